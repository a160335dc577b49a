"""Contrastive learning in which documents attract each other as far as their labels overlap.

It is a public relative of HGBL ([12], known by its abstract only), not HGBL. The weights are those of Lin et al., "An
effective deployment of contrastive learning in multi-label text classification", Findings of ACL 2023 (code
IIP-Lab-2024/CL-MTC, read). There they multiply the terms of the denominator, with every other document as a positive,
so that documents with equal labels are pushed apart the most. Here they weight the positives, as in the supervised
contrastive loss of Khosla et al. (NeurIPS 2020), which it is if each document has one label.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from afl_helpers.arrays import check_flag
from afl_helpers.augment.base import check_number
from afl_helpers.relations.base import RelationInfo
from afl_helpers.relations.heads import Batch, HiddenHead, HiddenNetwork, Network, Streams, uniform_linear

_PROJECTION = 128


@dataclass(kw_only=True, eq=False)
class JaccardContrast(HiddenHead):
    """Train a head with one hidden layer with cross-entropy and a contrastive term. Our construction.

    The loss is ``(1 - share)`` times the cross-entropy plus ``share`` times :func:`jaccard_contrastive_loss`. The term
    is that of the unit vectors of a linear projection of the hidden units to width 128. Large batches are needed, or a
    rare label has no two documents in one.

    Args:
        share: the weight of the term; 0 trains the head alone.
        temperature: of the term.
        shuffled: the control. True gives each document the labels of another one of its batch, in the term alone.
        hidden: the number of hidden units.
        epochs, batch_size, learning_rate, weight_decay: those of :class:`~afl_helpers.relations.heads.Trained`; a batch
            of at least 64 documents.
    """

    share: float = 0.1
    temperature: float = 0.3
    shuffled: bool = False

    def _check(self) -> None:
        super()._check()
        check_number("share", self.share, 0, 1)
        check_number("temperature", self.temperature, 1e-3)
        check_number("batch_size", self.batch_size, 64, integer=True)
        check_flag("shuffled", self.shuffled)

    def _network(self, width: int, labels: NDArray[np.bool], streams: Streams) -> Network:
        if self.share == 0:
            return super()._network(width, labels, streams)
        return ContrastNetwork(width, self, labels, streams)


class ContrastNetwork(HiddenNetwork):
    """A hidden layer, a linear layer for the logits and one for the term."""

    def __init__(self, width: int, method: JaccardContrast, labels: NDArray[np.bool], streams: Streams) -> None:
        super().__init__(width, method.hidden, labels, streams)
        self.method = method
        self.projection = uniform_linear(method.hidden, _PROJECTION, streams.more_weights)

    def loss(self, x: Batch, y: Tensor) -> Tensor:
        """Return the weighted sum of cross-entropy and term."""
        hidden = self.representation(x)
        loss = F.binary_cross_entropy_with_logits(self.layer(hidden), y)
        shown = y[torch.randperm(len(y), generator=self.noise)] if self.method.shuffled else y
        term = jaccard_contrastive_loss(self.projection(hidden), shown, self.method.temperature)
        return (1 - self.method.share) * loss + self.method.share * term


def jaccard_contrastive_loss(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss of a batch, a scalar.

    It is ``-1/n sum_i sum_j w_ij log(exp(z_i z_j / temperature) / sum_k exp(z_i z_k / temperature))`` over j and k
    other than i, with z the vectors, scaled to length 1, and ``w_ij`` the Jaccard index of the labels of i and j,
    divided by its sum over j. A document that shares no label with another adds nothing.

    Args:
        vectors: (n, width).
        labels: (n, n_labels), 0 or 1.
        temperature: above 0.

    Example:
        >>> import torch
        >>> from afl_helpers.relations.jaccard_contrast import jaccard_contrastive_loss
        >>> vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> round(jaccard_contrastive_loss(vectors, labels, 1.0).item(), 4)  # 2/3 log(1 + exp(-1))
        0.2088
    """
    z = F.normalize(vectors, dim=1)
    own = torch.eye(len(z), dtype=torch.bool)
    log_share = (z @ z.T / temperature).masked_fill(own, -torch.inf).log_softmax(dim=1).masked_fill(own, 0.0)
    jaccard = jaccard_indices(labels).masked_fill(own, 0.0)
    weights = jaccard / jaccard.sum(1, keepdim=True).clamp(min=torch.finfo(jaccard.dtype).tiny)
    return -(weights * log_share).sum(1).mean()


def jaccard_indices(labels: Tensor) -> Tensor:
    """Return the share of labels that two documents have in common, of all that one of them has, (n, n).

    Args:
        labels: (n, n_labels), 0 or 1, in floating point. Documents without labels have nothing in common: 0.

    Example:
        >>> import torch
        >>> from afl_helpers.relations.jaccard_contrast import jaccard_indices
        >>> jaccard_indices(torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))[0].tolist()
        [1.0, 0.5, 0.0]
    """
    shared = labels @ labels.T
    counts = labels.sum(1)
    return shared / (counts[:, None] + counts - shared).clamp(min=1)


ENTRIES = {
    "jaccard_contrast": RelationInfo(
        title="Contrastive learning weighted by shared labels",
        build=JaccardContrast,
        source="Lin et al., Findings of ACL 2023",
        grade="code read",
        differs="the Jaccard indices weight the positives, not the denominator, and a hidden layer on given features "
        "is trained, not a text encoder",
        tuned="share",
        values=(0.01, 0.1),
        neutral={"share": 0},
        baseline="hidden_head",
        is_ours=True,
    ),
}
