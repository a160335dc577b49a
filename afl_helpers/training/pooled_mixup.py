"""mixup while an encoder is tuned: the vectors that the head sees are mixed within a batch, and the labels with them.

This is the senMixup of Guo, Mao and Zhang (arXiv 1905.08941, 2019), here with one sigmoid per label. Lee, Kim and Lee
(BigComp 2021, [16] of the paper) combine mixup with focal loss; their abstract alone was reachable.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Beta

from afl_helpers.augment.mixup import partner_weights
from afl_helpers.errors import TrainingError
from afl_helpers.training.encoders import head


class PooledMixup:
    """Mix what enters a model's last linear layer, ``lam x_i + (1 - lam) x_j``, with j in the same batch.

    :meth:`draw` chooses partners and shares for a batch and mixes its labels; the forward pass that follows mixes the
    vectors. In evaluation mode nothing is mixed. All draws are from torch's generator on the CPU, whose state is in each
    checkpoint, so a run that resumes ends with the same result.

    Args:
        model: the classifier.
        alpha: lam has the distribution Beta(alpha, alpha), drawn for each document. 0 draws and mixes nothing.
        label_counts: (n_labels,), training documents per label. If given, a partner is drawn with a probability
            proportional to the highest IRLbl among its labels, as in :class:`~afl_helpers.augment.mixup.BalancedMixup`;
            else the partners are a permutation of the batch.
    """

    def __init__(self, model: nn.Module, alpha: float, label_counts: NDArray[np.int64] | None = None) -> None:
        self._alpha, self._label_counts = alpha, label_counts
        self._drawn: tuple[Tensor, Tensor] | None = None
        self._hook = head(model).register_forward_pre_hook(self._mix_vectors)

    def draw(self, labels: Tensor) -> Tensor:
        """Choose partners and shares for a batch, and return its labels mixed: (n_documents, n_labels) in and out."""
        if self._alpha == 0:
            return labels
        partners = self._partners(labels)
        share = Beta(self._alpha, self._alpha).sample((len(labels), 1))
        self._drawn = partners, share
        return _mix(labels, partners, share)

    def close(self) -> None:
        """Leave the model as it was."""
        self._hook.remove()

    def _partners(self, labels: Tensor) -> Tensor:
        if self._label_counts is None:
            return torch.randperm(len(labels))
        weights = torch.from_numpy(partner_weights(labels.cpu().numpy() > 0, self._label_counts))
        return torch.multinomial(weights, len(labels), replacement=True)

    def _mix_vectors(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self._drawn is None or not module.training:
            return None
        partners, share = self._drawn
        vectors, *rest = inputs
        if len(vectors) != len(partners):
            raise TrainingError(
                f"mixup drew partners for {len(partners)} documents and a GPU sees {len(vectors)} of them; start one "
                "process per GPU, with accelerate launch or torchrun"
            )
        return _mix(vectors, partners, share), *rest


def _mix(rows: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    share = share.to(rows)
    return share * rows + (1 - share) * rows[partners.to(rows.device)]
