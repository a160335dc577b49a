"""Partial label masking: a loss with a state that changes from epoch to epoch."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, distributed

from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    check_hard_targets,
    check_inputs,
    check_number,
    clip_counts,
    per_class,
)
from afl_helpers.losses.costs import FocalCost
from afl_helpers.losses.elementwise import elementwise_loss

if TYPE_CHECKING:  # transformers takes seconds to import
    from afl_helpers.losses.trainer_callback import LossStateCallback

#: Replaces the empty bins of a target histogram, as machine epsilon does in the implementation that we followed.
_EMPTY = float(np.finfo(np.float64).eps)

#: Elements that are recorded at a time: too few for torch to split an operation over threads.
_BLOCK = 32_000


class PartialLabelMaskingLoss(MultiLabelLoss):
    """Partial label masking (PLM, Duarte et al., CVPRW 2021), after a third party's code, and partly our construction.

    Cross-entropy times a Bernoulli mask. Let r_c be the share of documents with label c, and r*_c its ideal, which
    starts at r_c. A positive is kept with probability r*_c/r_c if r_c > r*_c, a negative with r_c/r*_c if r_c < r*_c.
    After each epoch r*_c is multiplied by ``exp(rate (KL_pos - KL_neg))``: a label whose positives are predicted worse
    than its negatives loses negatives. KL is the divergence between the histograms of predictions and targets,
    standardised over the labels (zero mean, unit deviation) as in that code. A label without positives or without
    negatives in the epoch counts as average.

    The mask is drawn from torch's global generator. Mask and histograms are used only in training, that is in train
    mode and with logits that require a gradient; otherwise this is cross-entropy. Elements that were not kept count as
    0 in a mean. The training loop must call :meth:`end_epoch`. In a transformers Trainer, :meth:`callback` does so, and
    it saves the state with each checkpoint.

    Args:
        label_counts, n_documents: see :func:`~afl_helpers.losses.base.clip_counts`.
        rate: at least 0, how fast the ideal shares move; the paper's lambda.
        n_bins: number of bins of the histograms, at least 2.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import PartialLabelMaskingLoss
        >>> loss = PartialLabelMaskingLoss([50, 10], n_documents=100)  # ideal shares start at 0.5 and 0.1
        >>> _ = loss(torch.tensor([[3.0, -3.0], [-3.0, -3.0]], requires_grad=True), torch.tensor([[1, 1], [0, 0]]))
        >>> loss.end_epoch()  # label 1's positive was missed
        >>> [round(ratio, 4) for ratio in loss.ideal_ratio.tolist()]  # 0.5 / e^0.1, 0.1 * e^0.1
        [0.4524, 0.1105]
    """

    stateful = True
    soft_targets = False
    ratio: Tensor
    ideal_ratio: Tensor
    histograms: Tensor

    def __init__(
        self,
        label_counts: ArrayLike,
        n_documents: int,
        rate: float = 0.1,
        n_bins: int = 10,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self.rate = check_number("rate", rate, 0.0)
        self.n_bins = int(check_number("n_bins", n_bins, 2, whole=True))
        self._set_per_class("ratio", clip_counts(label_counts, n_documents) / n_documents)
        self._set_per_class("ideal_ratio", self.ratio)
        # Predictions of positives and of negatives in this epoch: (2, n_bins, n_labels).
        self.register_buffer(
            "histograms", torch.zeros(2, self.n_bins, len(self.ratio), dtype=torch.float64, device="cpu")
        )

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        logits, targets = check_inputs(logits, targets, mask, reduction)
        per_class("ratio", self.ratio, logits)
        targets = check_hard_targets(targets, "partial label masking")
        kept = None
        if self.training and logits.requires_grad:
            for block in _row_blocks(logits.detach(), targets, mask):
                self._record(*block)
            dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
            kept = torch.rand_like(logits, dtype=dtype, requires_grad=False) < self._keep(targets)
        return elementwise_loss(logits, targets, FocalCost(-1.0), FocalCost(1.0), mask, reduction, kept=kept)

    def _keep(self, targets: Tensor) -> Tensor:
        """Return the probability that each element is kept, (batch, n_labels)."""
        relative = self.ideal_ratio / self.ratio
        positive, negative = (value.clamp(max=1).float().to(targets.device) for value in (relative, 1 / relative))
        return torch.where(targets.bool(), positive, negative)

    def _record(self, logits: Tensor, targets: Tensor, mask: Tensor | None) -> None:
        bins = (torch.sigmoid(logits.float()) * self.n_bins).long().clamp(max=self.n_bins - 1)
        counted = torch.ones_like(targets) if mask is None else mask
        for row, chosen in enumerate((targets.bool(), ~targets.bool())):
            weight = (chosen & counted.bool()).to(self.histograms)
            self.histograms[row].scatter_add_(0, bins.to(weight.device), weight)

    @torch.no_grad()
    def gather(self) -> None:
        """Add up the histograms of all processes in the first one, and empty the others; every process calls it."""
        if _in_processes():
            total = self.histograms.to(_device())
            distributed.all_reduce(total)
            self.histograms.copy_(total if distributed.get_rank() == 0 else torch.zeros_like(total))

    @torch.no_grad()
    def forget_epoch(self) -> None:
        """Empty the histograms."""
        self.histograms.zero_()

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Move the ideal shares by this epoch's predictions, and start a new epoch.

        If several processes train together, every one calls it: their histograms are added up first.
        """
        if _in_processes():
            self.gather()
            total = self.histograms.to(_device())
            distributed.broadcast(total, 0)
            self.histograms.copy_(total)
        divergence = [_divergence(self.histograms[0], self.n_bins - 1), _divergence(self.histograms[1], 0)]
        known = torch.isfinite(divergence[0]) & torch.isfinite(divergence[1])
        positive, negative = (_standardise(values, known) for values in divergence)
        self.ideal_ratio.mul_(torch.exp(self.rate * (positive - negative)).to(self.ideal_ratio))
        self.forget_epoch()

    def callback(self) -> "LossStateCallback":
        """Return a transformers ``TrainerCallback`` that ends the epochs and saves the state with the checkpoints."""
        from afl_helpers.losses.trainer_callback import LossStateCallback  # transformers takes seconds to import

        return LossStateCallback(self)


def _row_blocks(logits: Tensor, targets: Tensor, mask: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Yield some rows of each at a time, so that what is computed of them takes little memory."""
    n_rows = max(1, _BLOCK // max(1, logits.shape[-1]))
    masks = itertools.repeat(None) if mask is None else torch.split(mask, n_rows)
    yield from zip(torch.split(logits, n_rows), torch.split(targets, n_rows), masks)


def _in_processes() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _device() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"


def _divergence(histogram: Tensor, target_bin: int) -> Tensor:
    """Return the KL divergence of predictions from targets that are all in one bin, per label; NaN without predictions.

    Args:
        histogram: (n_bins, n_labels) counts of predictions.
        target_bin: the bin of the targets.
    """
    share = histogram / histogram.sum(0)
    expected = torch.full_like(share, _EMPTY)
    expected[target_bin] = 1.0
    divergence: Tensor = (torch.special.xlogy(share, share) - share * expected.log()).sum(0)
    return divergence


def _standardise(values: Tensor, known: Tensor) -> Tensor:
    """Scale the known entries to zero mean and unit deviation; the others, and equal entries, become 0."""
    if not known.any():
        return torch.zeros_like(values)
    centred = values - values[known].mean()
    return torch.where(known, centred / (centred[known].square().mean().sqrt() + _EMPTY), 0.0)


ENTRIES = {
    "plm": LossInfo(
        title="Partial label masking (PLM)",
        equation=r"-k \left[y \log p + (1 - y) \log(1 - p)\right], \quad k \sim \mathrm{Bernoulli}"
        r"\left(\min(1, r^*_c / r_c) \text{ if } y, \min(1, r_c / r^*_c) \text{ else}\right)",
        reference="duarte2021plm",
        fidelity="after a third party's code; its state and the clip of extreme counts are partly our construction",
        when="When you do not want to guess a fixed weight: the share of negatives that are kept adapts after each"
        " epoch. The loss is stochastic, and its state must be saved with the model.",
        build=PartialLabelMaskingLoss,
        parameters={
            "rate": "at least 0, how fast the ideal shares move; the paper's lambda.",
            "n_bins": "number of bins of the histograms, at least 2.",
        },
        needs_counts=True,
        soft_targets=False,
        reduces_to_bce={},
    ),
}
