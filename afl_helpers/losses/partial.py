"""Partial label masking: a loss with a state that lives across the epochs."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.errors import UsageError
from afl_helpers.losses.functional import binary_cross_entropy, check_hard, prepare, reduce_loss
from afl_helpers.losses.modules import MultiLabelLoss, _check_range, clip_counts

#: Stands for the empty bins of a target histogram, as machine epsilon does in the implementation that was read.
_EMPTY = float(np.finfo(np.float64).eps)


class PartialLabelMaskingLoss(MultiLabelLoss):
    """Partial label masking (PLM, Duarte et al., CVPRW 2021), after a third party's code: partly our construction.

    Cross-entropy times a Bernoulli mask. With r_c the share of documents with label c and r*_c its ideal, which starts at
    r_c, a positive is kept with probability r*_c/r_c where r_c > r*_c, a negative with r_c/r*_c where r_c < r*_c. After
    each epoch r*_c is multiplied by ``exp(rate (KL_pos - KL_neg))``: a label whose positives are predicted worse than its
    negatives loses negatives. KL is the divergence between the histograms of predictions and targets, standardised
    over the labels (zero mean, unit deviation) as in that code; a label without positives or negatives in the epoch
    counts as average.

    The mask is drawn, from torch's global generator, and the histograms are kept in training alone: in train mode and
    with logits that require a gradient. Otherwise this is cross-entropy. Elements that were not kept count as 0 in a mean.
    Whoever trains calls :meth:`end_epoch`; in a transformers Trainer :meth:`callback` does, and saves the state with each
    checkpoint.

    Args:
        label_counts: (n_labels,) counts on the training documents; a label that none or all have counts as by
            :func:`~afl_helpers.losses.modules.clip_counts`.
        n_documents: number of training documents.
        rate: at least 0, how fast the ideal ratios move; the paper's lambda.
        n_bins: of the histograms, at least 2.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: counts cannot be, a parameter is out of its range, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import PartialLabelMaskingLoss
        >>> loss = PartialLabelMaskingLoss([50, 10], n_documents=100)  # ideal ratios start at 0.5 and 0.1
        >>> _ = loss(torch.tensor([[3.0, -3.0], [-3.0, -3.0]], requires_grad=True), torch.tensor([[1, 1], [0, 0]]))
        >>> loss.end_epoch()  # label 1's positive was missed
        >>> [round(ratio, 4) for ratio in loss.ideal_ratio.tolist()]  # 0.5 / e^0.1, 0.1 * e^0.1
        [0.4524, 0.1105]
    """

    stateful = True

    def __init__(
        self,
        label_counts: ArrayLike,
        n_documents: int,
        rate: float = 0.1,
        n_bins: int = 10,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        _check_range("rate", rate, 0.0)
        if not (isinstance(n_bins, int) and n_bins >= 2):
            raise UsageError(f"n_bins is {n_bins!r}; pass a whole number of at least 2")
        self.rate, self.n_bins = rate, n_bins
        self._set_per_class("ratio", clip_counts(label_counts, n_documents) / n_documents)
        self._set_per_class("ideal_ratio", self.ratio)
        # Predictions of positives and of negatives in this epoch: (2, n_bins, n_labels).
        self.register_buffer("histograms", torch.zeros(2, n_bins, len(self.ratio), dtype=torch.float64))

    def compute(self, logits, targets, mask, reduction):
        logits, targets = prepare(logits, targets, mask, reduction, ratio=self.ratio)
        check_hard(targets, "partial label masking")
        elements = binary_cross_entropy(logits, targets, reduction="none")
        if self.training and logits.requires_grad:
            self._record(logits.detach(), targets, mask)
            elements = torch.where(torch.rand_like(elements) < self._keep(targets), elements, 0.0)
        return reduce_loss(elements, reduction, mask)

    def _keep(self, targets: Tensor) -> Tensor:
        """Probability that each element is kept, (batch, n_labels)."""
        relative = (self.ideal_ratio / self.ratio).to(targets.device)
        return torch.where(targets.bool(), relative.clamp(max=1), (1 / relative).clamp(max=1)).float()

    def _record(self, logits: Tensor, targets: Tensor, mask: Tensor | None) -> None:
        bins = (torch.sigmoid(logits.float()) * self.n_bins).long().clamp(max=self.n_bins - 1)
        counted = torch.ones_like(targets) if mask is None else mask
        for row, chosen in enumerate((targets.bool(), ~targets.bool())):
            weight = (chosen & counted.bool()).to(self.histograms)
            self.histograms[row].scatter_add_(0, bins.to(weight.device), weight)

    @torch.no_grad()
    def gather(self) -> None:
        """Add up the histograms of all processes in the first one, and empty the others'; all of them call it."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
            total = self.histograms.to(device)
            torch.distributed.all_reduce(total)
            self.histograms.copy_(total if torch.distributed.get_rank() == 0 else torch.zeros_like(total))

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Move the ideal ratios by what this epoch's predictions showed, and begin a new epoch.

        Where several processes train together all of them call it: their histograms are added up first.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            self.gather()
            device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
            total = self.histograms.to(device)
            torch.distributed.broadcast(total, 0)
            self.histograms.copy_(total)
        surprise = [_divergence(self.histograms[0], self.n_bins - 1), _divergence(self.histograms[1], 0)]
        known = torch.isfinite(surprise[0]) & torch.isfinite(surprise[1])
        standard = [_standardise(values, known) for values in surprise]
        self.ideal_ratio.mul_(torch.exp(self.rate * (standard[0] - standard[1])).to(self.ideal_ratio))
        self.histograms.zero_()

    def callback(self):
        """For ``Trainer(callbacks=[...])``: ends the epochs, and keeps the state with the checkpoints.

        Returns:
            A transformers ``TrainerCallback``.
        """
        from afl_helpers.losses.trainer_callback import LossStateCallback  # transformers takes seconds to import

        return LossStateCallback(self)


def _divergence(histogram: Tensor, target_bin: int) -> Tensor:
    """KL divergence of predictions, (n_bins, n_labels) counts, from targets that all lie in one bin; NaN of none."""
    share = histogram / histogram.sum(0)
    expected = torch.full_like(share, _EMPTY)
    expected[target_bin] = 1.0
    return (torch.special.xlogy(share, share) - share * expected.log()).sum(0)


def _standardise(values: Tensor, known: Tensor) -> Tensor:
    """Zero mean and unit deviation over the known entries; 0 elsewhere, and where all are alike."""
    if not known.any():
        return torch.zeros_like(values)
    centred = values - values[known].mean()
    return torch.where(known, centred / (centred[known].square().mean().sqrt() + _EMPTY), 0.0)
