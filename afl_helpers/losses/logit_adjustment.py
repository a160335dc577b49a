"""Logit adjustment in the loss: cross-entropy of logits that start from the log odds of their label."""

import math
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.errors import UsageError
from afl_helpers.gamma import check_counts
from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PerClassLike,
    PublishedForm,
    as_array,
    check_inputs,
    check_number,
    per_class,
)
from afl_helpers.losses.costs import FocalCost
from afl_helpers.losses.elementwise import elementwise_loss


def logit_adjusted_loss(
    logits: Tensor, targets: Tensor, offset: PerClassLike, *, mask: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Compute binary cross-entropy on ``logits + offset``.

    Args:
        offset: number or (n_labels,), usually ``tau`` times the log odds of the label in training. It is added in
            training only: predict with the plain logits, or add it again to get probabilities.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import logit_adjusted_loss
        >>> logits, targets = torch.zeros(1, 2), torch.zeros(1, 2)
        >>> offset = torch.tensor([0.0, -2.1972])  # the second label is on one document in ten
        >>> torch.round(logit_adjusted_loss(logits, targets, offset, reduction="none"), decimals=4)  # log 2, log 10/9
        tensor([[0.6931, 0.1054]])
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    start = per_class("offset", offset, logits, low=-math.inf)
    return elementwise_loss(logits, targets, FocalCost(-1.0, shift=start), FocalCost(1.0, shift=start), mask, reduction)


class LogitAdjustedLoss(MultiLabelLoss):
    """Cross-entropy with logit adjustment, our form with a sigmoid per label after Menon et al. (ICLR 2021).

    The loss of a large enough model is lowest at ``z = logit(P(c | document)) - offset_c``. With tau 1, z is above 0 if
    the label is more probable than in the training set as a whole. It does in training what ``logit_adjustment`` of a
    :class:`~afl_helpers.training.TrainingConfig` does afterwards; do not use both.

    Args:
        offset: finite number or (n_labels,), added to the logits of a label; positive or negative.

    Example:
        >>> from afl_helpers.losses import LogitAdjustedLoss
        >>> loss = LogitAdjustedLoss.from_counts([500, 9], n_documents=1000)
        >>> [round(value, 3) for value in loss.offset.tolist()]  # log of 500.5 / 500.5 and of 9.5 / 991.5
        [0.0, -4.648]
    """

    offset: Tensor

    def __init__(self, offset: ArrayLike, reduction: str = "mean"):
        super().__init__(reduction)
        values = as_array("offset", offset)
        if values.ndim > 1 or not np.isfinite(values).all():
            raise UsageError(f"offset is {values.tolist()}; pass a finite number, or one per label")
        self.n_labels = len(values) if values.ndim else None
        self.register_buffer("offset", torch.from_numpy(values))

    @classmethod
    def from_counts(cls, label_counts: ArrayLike, n_documents: int, tau: float = 1.0, reduction: str = "mean") -> Self:
        """Build the loss with the offset ``tau log((n_c + 1/2) / (N - n_c + 1/2))``.

        Args:
            label_counts, n_documents: see :func:`~afl_helpers.gamma.check_counts`.
            tau: at least 0; 0 is binary cross-entropy, 1 makes 0 the threshold of the balanced error.
        """
        tau = check_number("tau", tau, 0.0)
        counts = check_counts(label_counts, n_documents)
        return cls(tau * np.log((counts + 0.5) / (n_documents - counts + 0.5)), reduction)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return logit_adjusted_loss(logits, targets, self.offset, mask=mask, reduction=reduction)


ENTRIES = {
    "logit_adjusted": LossInfo(
        title="Logit-adjusted cross-entropy",
        equation=r"y \, \zeta(-z') + (1 - y) \, \zeta(z'), \quad z' = z + \tau \log\frac{n_c + 1/2}{N - n_c + 1/2},"
        r" \quad \zeta(x) = \log(1 + e^{x})",
        reference="menon2021logit",
        published=(
            PublishedForm("the sigmoid form of Balanced Softmax in its authors' code (Ren et al. 2020)", "different"),
        ),
        fidelity="our construction: the source has a softmax over exclusive classes. From that sigmoid form it differs by"
        " the halves alone, which keep the offset of a label without documents finite",
        when="When a rare label should be predicted as soon as it is more probable than usual, which is the balanced"
        " error's threshold and not F1's: tune thresholds for F1. Probabilities come back as the sigmoid of z'.",
        build=LogitAdjustedLoss.from_counts,
        parameters={
            "tau": "at least 0; 0 is binary cross-entropy, 1 makes 0 the threshold of the balanced error.",
        },
        needs_counts=True,
        reduces_to_bce={"tau": 0.0},
    ),
}
