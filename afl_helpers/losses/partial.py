"""Partial label masking: a loss with a state that changes from epoch to epoch."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, distributed

from afl_helpers.errors import UsageError, check_choice
from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PublishedForm,
    check_hard_targets,
    check_inputs,
    check_number,
    clip_counts,
    in_trace,
    on_device,
    per_class,
)
from afl_helpers.losses.costs import FocalCost
from afl_helpers.losses.elementwise import elementwise_loss

if TYPE_CHECKING:  # transformers takes seconds to import
    from afl_helpers.losses.trainer_callback import LossStateCallback

#: How the ideal ratio follows the predictions.
UPDATES = ("distance", "standardized_kl")

#: Replaces the empty bins of a target histogram, as machine epsilon does in the implementation that we followed.
_EMPTY = float(np.finfo(np.float64).eps)

#: Elements that are recorded at a time on a CPU.
_BLOCK = 200_000


class PartialLabelMaskingLoss(MultiLabelLoss):
    """Partial label masking (PLM) after Duarte et al. (CVPRW 2021): cross-entropy times a Bernoulli mask.

    Let o_c be the odds of label c, the number of documents with it over the number without, and o*_c its ideal odds,
    which start at o_c. A positive is kept with probability o*_c/o_c if that is below 1, a negative with o_c/o*_c if that
    is below 1. So the elements that are kept have the odds o*_c. With shares in place of odds they would not have the
    ideal share: from a share of 1/2 and an ideal of 1/4 the same rule reaches 1/3.

    After each epoch, let e+_c be the mean of 1 - p over the positives of label c, and e-_c the mean of p over its
    negatives: the 1-Wasserstein distance between predictions and targets, from 0 to 1. Then::

        log(o*_c / o_c) <- (1 - rate) log(o*_c / o_c) + rate log(bound) (e+_c - e-_c)

    A label whose positives are predicted worse than its negatives loses negatives. For predictions that no longer
    change, o*_c/o_c approaches ``bound ** (e+_c - e-_c)``, which is 1 if all are right: each epoch leaves the fraction
    ``1 - rate`` of the distance in its logarithm. It never leaves the range from 1/bound to bound. A label without
    positives or without negatives in the epoch keeps its ideal.

    This update is our construction, because the one that we could read does not settle. The paper's text and code were
    not available. A third party's code multiplies the ideal by ``exp(rate (KL+_c - KL-_c))``, with Kullback-Leibler
    divergences between histograms that are standardised over the labels to zero mean and unit deviation in each epoch,
    and masks by shares. Standardised divergences do not show how large the errors are, so the ideal moves even if nearly
    all predictions are right, and moves without limit. ``update="standardized_kl"`` is that code, for comparison. A
    label without positives or without negatives counts as average there.

    The mask is drawn from torch's global generator. Predictions are masked and recorded only in training, that is in train
    mode and with logits that require a gradient; otherwise this is cross-entropy. Elements that were not kept count as
    0 in a mean. The training loop must call :meth:`end_epoch`: before the first call nothing is masked. In a
    transformers Trainer, :meth:`callback` does so, and it saves the state with each checkpoint.

    Args:
        label_counts, n_documents: see :func:`~afl_helpers.losses.base.clip_counts`.
        rate: how fast the ideal moves, at least 0, and at most 1 unless ``update`` is ``"standardized_kl"``; the
            paper's lambda.
        n_bins: number of bins of the histograms for ``"standardized_kl"``, at least 2.
        update: ``"distance"`` or ``"standardized_kl"``.
        bound: at least 1, the largest factor between the ideal and the observed odds; ``"standardized_kl"`` has none.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import PartialLabelMaskingLoss
        >>> loss = PartialLabelMaskingLoss([50, 10], n_documents=100, rate=1.0)  # ideal odds start at 50/50 and 10/90
        >>> _ = loss(torch.tensor([[9.0, -9.0], [-9.0, -9.0]], requires_grad=True), torch.tensor([[1, 1], [0, 0]]))
        >>> loss.end_epoch()  # label 1's positive was missed, all else was right
        >>> [round(factor, 1) for factor in (loss.ideal_ratio / loss.ratio).tolist()]
        [1.0, 10.0]
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
        *,
        update: str = "distance",
        bound: float = 10.0,
    ):
        super().__init__(reduction)
        check_choice("update", update, UPDATES)
        self.update = update
        self.rate = check_number("rate", rate, 0.0, math.inf if update == "standardized_kl" else 1.0)
        self.n_bins = int(check_number("n_bins", n_bins, 2, whole=True))
        self.bound = check_number("bound", bound, 1.0)
        counts = clip_counts(label_counts, n_documents)
        # Odds, or shares in the third party's code.
        self._set_per_class("ratio", counts / (n_documents - (counts if update == "distance" else 0)))
        self._set_per_class("ideal_ratio", self.ratio)
        # Predictions of positives and of negatives in this epoch: (2, bins, n_labels). For the distance there are two
        # bins, at 0 and at 1, and a prediction p counts as 1 - p in the first and as p in the second.
        bins = 2 if update == "distance" else self.n_bins
        self.register_buffer("histograms", torch.zeros(2, bins, len(self.ratio), dtype=torch.float64, device="cpu"))

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        logits, targets = check_inputs(logits, targets, mask, reduction)
        per_class("ratio", self.ratio, logits)
        targets = check_hard_targets(targets, "partial label masking")
        kept = None
        if self.training and not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
            raise UsageError(
                "partial label masking draws masks and counts scores while it trains, which transforms of torch.func cannot"
                " do; call loss.eval() before"
            )
        if self.training and logits.requires_grad:
            dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
            kept = torch.rand_like(logits, dtype=dtype, requires_grad=False)
            for rows in _row_blocks(logits):
                if not logits.is_meta:
                    self._record(logits[rows].detach(), targets[rows], None if mask is None else mask[rows])
                torch.lt(kept[rows], self._keep(targets[rows]), out=kept[rows])
        return elementwise_loss(logits, targets, FocalCost(-1.0), FocalCost(1.0), mask, reduction, kept=kept)

    def _keep(self, targets: Tensor) -> Tensor:
        """Return the probability that each element is kept, (batch, n_labels)."""
        relative = on_device(self.ideal_ratio / self.ratio, targets.device)
        of_positives, of_negatives = relative.clamp(max=1).float(), (1 / relative).clamp(max=1).float()
        return torch.lerp(of_negatives, of_positives, targets.to(of_negatives))  # exact, as targets are 0 or 1

    def _record(self, logits: Tensor, targets: Tensor, mask: Tensor | None) -> None:
        # Masked logits and targets are 0 here, so a masked element is a negative with p = 1/2 that must not count.
        p = torch.sigmoid(logits if logits.dtype == torch.float64 else logits.float())
        positive, known = targets.bool(), None if mask is None else mask.bool()
        if self.update == "distance":
            p = p if known is None else p * known
            right = (p * positive).sum(0)  # positives count as p
            wrong = (p.sum(0) - right).clamp(min=0)  # and negatives
            n_positives, n_known = positive.sum(0), len(p) if known is None else known.sum(0)
            counts = torch.stack([n_positives - right, right, n_known - n_positives - wrong, wrong])
            self.histograms.add_(counts.to(self.histograms).reshape(2, 2, -1))
            return
        bins = (p.float() * self.n_bins).long().clamp(max=self.n_bins - 1).to(self.histograms.device)
        for row, chosen in enumerate((positive, ~positive)):
            weight = (chosen if known is None else chosen & known).to(self.histograms)
            self.histograms[row].scatter_add_(0, bins, weight)

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
        """Move the ideal odds by this epoch's predictions, and start a new epoch.

        If several processes train together, every one calls it: their histograms are added up first.
        """
        if _in_processes():
            self.gather()
            total = self.histograms.to(_device())
            distributed.broadcast(total, 0)
            self.histograms.copy_(total)
        change = self._distance_update() if self.update == "distance" else self._standardized_kl_update()
        self.ideal_ratio.mul_(torch.exp(change).to(self.ideal_ratio))
        self.forget_epoch()

    def _distance_update(self) -> Tensor:
        """Return by how much the logarithm of the ideal odds changes."""
        errors = torch.stack([self.histograms[0, 0], self.histograms[1, 1]]) / self.histograms.sum(1)
        target = math.log(self.bound) * (errors[0] - errors[1])
        change = self.rate * (target - torch.log(self.ideal_ratio / self.ratio))
        return torch.where(change.isfinite(), change, 0.0)

    def _standardized_kl_update(self) -> Tensor:
        """Return by how much the logarithm of the ideal share changes, in the third party's code."""
        divergence = [_divergence(self.histograms[0], self.n_bins - 1), _divergence(self.histograms[1], 0)]
        known = torch.isfinite(divergence[0]) & torch.isfinite(divergence[1])
        positive, negative = (_standardise(values, known) for values in divergence)
        return self.rate * (positive - negative)

    def callback(self) -> "LossStateCallback":
        """Return a transformers ``TrainerCallback`` that ends the epochs and saves the state with the checkpoints."""
        from afl_helpers.losses.trainer_callback import LossStateCallback  # transformers takes seconds to import

        return LossStateCallback(self)


def _row_blocks(logits: Tensor) -> list[slice]:
    """Return some rows at a time, so that what is computed of them takes little memory; all rows in a trace."""
    n = len(logits)
    if in_trace() or logits.device.type != "cpu":
        return [slice(None)]
    n_rows = max(1, _BLOCK // max(1, logits.shape[-1]))
    return [slice(start, start + n_rows) for start in range(0, n, n_rows)]


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
        r"\left(\min(1, o^*_c / o_c) \text{ if } y, \min(1, o_c / o^*_c) \text{ else}\right), \quad o_c = n_c / (N - n_c)",
        reference="duarte2021plm",
        published=(
            PublishedForm(
                "a third party's code (mamo3gr/partial_label_masking)", "equal", {"update": "standardized_kl"}
            ),
        ),
        fidelity="the default update of the ideal odds o* and the clip of extreme counts are our construction, and"
        " the authors' text and code were not available",
        when="When you do not want to guess a fixed weight: the share of negatives that are kept adapts after each"
        " epoch. The loss is stochastic, and its state must be saved with the model. In a Trainer it needs"
        " ``callbacks=[loss.callback()]``.",
        build=PartialLabelMaskingLoss,
        parameters={
            "rate": 'how fast the ideal moves, at least 0, and at most 1 unless ``update`` is ``"standardized_kl"``; the'
            " paper's lambda.",
            "n_bins": 'number of bins of the histograms for ``"standardized_kl"``, at least 2.',
            "update": '``"distance"`` or ``"standardized_kl"``.',
            "bound": 'at least 1, the largest factor between the ideal and the observed odds; ``"standardized_kl"`` has'
            " none.",
        },
        needs_counts=True,
        soft_targets=False,
        reduces_to_bce={},
    ),
}
