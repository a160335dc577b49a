"""Asymmetric loss with weights by label frequency and targets smoothed by co-occurrence."""

from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.errors import UsageError
from afl_helpers.gamma import check_counts
from afl_helpers.losses.asymmetric import ASYMMETRY, AsymmetricLoss, asymmetric_costs
from afl_helpers.losses.base import (
    LossInfo,
    as_array,
    cast_like,
    check_inputs,
    check_number,
    clip_counts,
)
from afl_helpers.losses.elementwise import elementwise_loss


class WeightedAsymmetricLoss(AsymmetricLoss):
    """Weighted asymmetric loss, our construction after Yasuda et al. (2024), whose text we could not obtain.

    It has the three parts that the abstract names: a weight by label frequency, the asymmetric suppression of
    negatives, and labels smoothed by co-occurrence. For a document with labels J the target of label c is
    ``(1 - smoothing) y_c + smoothing * mean over j in J of P(c | j)``; a document without labels keeps its zeros. With soft
    targets the mean weighs label j by y_j, and is divided by the sum of the y_j, but by no less than 1.

    Args:
        label_counts, n_documents: see :func:`~afl_helpers.losses.base.clip_counts`.
        gamma_positive, gamma_negative, margin: see :class:`AsymmetricLoss`.
        power: at least 0; a class weighs n_c^-power, scaled to a mean of 1 over the labels.
        smoothing: in [0, 1]; 0 leaves the targets as they are.
        cooccurrence: (n_labels, n_labels) number of training documents with both labels, which gives P(c | j); None
            treats labels as independent, P(c | j) = n_c / N.

    Example:
        >>> from afl_helpers.losses import WeightedAsymmetricLoss
        >>> loss = WeightedAsymmetricLoss([100, 25], n_documents=200)
        >>> [round(weight, 4) for weight in loss.weight.tolist()]  # 1 / 10 and 1 / 5, over their mean
        [0.6667, 1.3333]
    """

    weight: Tensor
    rate: Tensor
    conditional: Tensor | None

    def __init__(
        self,
        label_counts: ArrayLike,
        n_documents: int,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        power: float = 0.5,
        smoothing: float = 0.1,
        cooccurrence: ArrayLike | None = None,
        reduction: str = "mean",
    ):
        super().__init__(gamma_positive, gamma_negative, margin, reduction)
        power = check_number("power", power, 0.0)
        self.smoothing = check_number("smoothing", smoothing, 0.0, 1.0)
        counts = clip_counts(label_counts, n_documents)
        weight = (counts / counts.max()) ** -power
        self._set_per_class("weight", weight / weight.mean())
        self._set_per_class("rate", counts / n_documents)
        conditional = None
        if cooccurrence is not None:
            shared, single = as_array("cooccurrence", cooccurrence), check_counts(label_counts)
            if shared.shape != (len(counts), len(counts)):
                raise UsageError(
                    f"cooccurrence has shape {shared.shape}, label_counts has {len(counts)} labels; "
                    f"pass shape ({len(counts)}, {len(counts)})"
                )
            if not ((shared >= 0) & (shared <= single[:, None])).all():
                raise UsageError(
                    "cooccurrence holds more documents with both labels than with the first, or a negative number; "
                    "both must be counted on the same documents"
                )
            share = shared / np.maximum(single, 1.0)[:, None]
            np.fill_diagonal(share, 1.0)
            conditional = torch.from_numpy(share)
        self.register_buffer("conditional", conditional)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        logits, targets = check_inputs(logits, targets, mask, reduction)
        costs = asymmetric_costs(logits, self.gamma_positive, self.gamma_negative, self.margin, self.weight, None)
        soften = self._smooth if self.smoothing else None
        return elementwise_loss(logits, targets, *costs, mask, reduction, soften=soften)

    def _smooth(self, targets: Tensor) -> Tensor:
        rate = cast_like(targets, self.rate)
        assert isinstance(rate, Tensor)
        conditional = cast_like(targets, self.conditional)
        n_labels = targets.sum(-1, keepdim=True)
        share = self.smoothing / n_labels.clamp(min=1)
        if isinstance(conditional, Tensor):
            # autocast would multiply the matrices in bfloat16.
            with nullcontext() if targets.is_meta else torch.autocast(targets.device.type, enabled=False):
                return (1 - self.smoothing) * targets + share * (targets @ conditional)
        # Products of two are several times as fast as one pass over three.
        shared = share * (n_labels - targets) * rate
        return shared + (1 - self.smoothing + share) * targets


ENTRIES = {
    "wal": LossInfo(
        title="Weighted asymmetric loss",
        equation=r"w_c \left[-\tilde y \, (1 - p)^{\gamma_+} \log p - (1 - \tilde y) \, p_m^{\gamma_-} \log(1 - p_m)\right],"
        r" \quad w_c \propto n_c^{-1/2}, \quad"
        r" \tilde y_c = (1 - s) \, y_c + \tfrac{s}{|J|} \sum_{j \in J} P(c \mid j)",
        reference="yasuda2024wal",
        fidelity="our construction from the abstract's three parts; we could not obtain the text",
        when="ASL with a weight by frequency, for labels that occur together, so that a missing label may be an"
        " annotation error.",
        build=WeightedAsymmetricLoss,
        parameters={
            **ASYMMETRY,
            "power": "at least 0; a class weighs n_c^-power, scaled to a mean of 1 over the labels.",
            "smoothing": "in [0, 1]; 0 leaves the targets as they are.",
            "cooccurrence": "(n_labels, n_labels) number of training documents with both labels, which gives P(c | j);"
            " None treats labels as independent, P(c | j) = n_c / N.",
        },
        needs_counts=True,
        monotone=False,
        reduces_to_bce={"gamma_negative": 0.0, "margin": 0.0, "power": 0.0, "smoothing": 0.0},
    ),
}
