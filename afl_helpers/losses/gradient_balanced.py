"""Gradient-balanced loss: the negatives of rare labels lose weight, and more of it in later epochs."""

import math

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.gamma import check_counts
from afl_helpers.losses.base import (
    LossInfo,
    PerClassLike,
    PublishedForm,
    check_inputs,
    check_number,
    per_class,
)
from afl_helpers.losses.costs import FocalCost
from afl_helpers.losses.elementwise import elementwise_loss
from afl_helpers.losses.epochs import EpochLoss

#: Share of the inverse propensity in the scale, and the constants a and b of the propensity, all as in the authors' code.
_SHARE, _A, _B = 0.1, 0.55, 1.5


def gradient_balanced_loss(
    logits: Tensor, targets: Tensor, scale: PerClassLike, *, mask: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Compute cross-entropy whose negatives cost ``log(1 + exp(scale z)) / scale``.

    The gradient of a negative is ``sigmoid(scale z)``: with a large scale an easy negative (z < 0) teaches almost
    nothing, and a hard one as much as in cross-entropy.

    Args:
        scale: number or (n_labels,), above 0; 1 is binary cross-entropy.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import gradient_balanced_loss
        >>> logits = torch.tensor([[-2.0, -2.0]], requires_grad=True)
        >>> gradient_balanced_loss(logits, torch.zeros(1, 2), torch.tensor([1.0, 3.0]), reduction="sum").backward()
        >>> torch.round(logits.grad, decimals=4)  # sigmoid(-2) and sigmoid(-6)
        tensor([[0.1192, 0.0025]])
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    factor = per_class("scale", scale, logits, open_low=True)
    negative = FocalCost(factor, weight=1 / factor)
    return elementwise_loss(logits, targets, FocalCost(-1.0), negative, mask, reduction)


class GradientBalancedLoss(EpochLoss):
    """The gradient-balanced loss of DBGB (Yao et al., TOIS 2023), from the authors' pre-publication code.

    The scale of label c in epoch e (the first is 0) is ``1 + growth e / (n_epochs - 1) + q_c / 10``. The inverse
    propensity ``q_c = 1 + (log N - 1) 2.5^0.55 (n_c + 1.5)^-0.55`` is high for rare labels. After ``n_epochs`` the scale
    no longer grows. With fewer than three documents q_c is 1.

    The second half of DBGB is not a part of the loss: a second head for tail labels, which is trained with some of
    the frequent positives left out.

    Args:
        label_counts, n_documents: see :func:`~afl_helpers.gamma.check_counts`.
        growth: at least 0, by how much the scale grows in training; the authors use 2 or 4.
        n_epochs: whole number, at least 1: length of the training; with 1 the scale does not grow.

    Example:
        >>> from afl_helpers.losses import GradientBalancedLoss
        >>> loss = GradientBalancedLoss([900, 10], n_documents=1000, n_epochs=2)
        >>> [round(value, 2) for value in loss.scale.tolist()]
        [1.12, 1.36]
        >>> loss.end_epoch()
        >>> [round(value, 2) for value in loss.scale.tolist()]
        [3.12, 3.36]
    """

    inverse_propensity: Tensor

    def __init__(
        self,
        label_counts: ArrayLike,
        n_documents: int,
        growth: float = 2.0,
        n_epochs: int = 10,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self.growth = check_number("growth", growth, 0.0)
        self.n_epochs = int(check_number("n_epochs", n_epochs, 1, whole=True))
        counts = check_counts(label_counts, n_documents)
        factor = max(math.log(n_documents) - 1, 0.0) * (_B + 1) ** _A
        self._set_per_class("inverse_propensity", 1 + factor * np.power(counts + _B, -_A))

    @property
    def scale(self) -> Tensor:
        """The scale of each label in this epoch, (n_labels,) float64."""
        last = max(self.n_epochs - 1, 1)
        share = self.epoch.clamp(max=last).to(self.inverse_propensity) / last if self.n_epochs > 1 else 0.0
        return 1 + self.growth * share + _SHARE * self.inverse_propensity

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return gradient_balanced_loss(logits, targets, self.scale, mask=mask, reduction=reduction)


ENTRIES = {
    "dbgb": LossInfo(
        title="Gradient-balanced loss (DBGB)",
        equation=r"y \, \zeta(-z) + (1 - y) \, \zeta(d_c z) / d_c, \quad"
        r" d_c = 1 + g \, \tfrac{e}{E - 1} + \tfrac{1}{10} q_c, \quad"
        r" q_c = 1 + (\log N - 1) \left(\tfrac{2.5}{n_c + 1.5}\right)^{0.55}, \quad \zeta(x) = \log(1 + e^{x})",
        reference="yao2023dbgb",
        published=(PublishedForm("the authors' pre-publication code for one head (Yao et al. 2023)", "equal"),),
        fidelity="without the second head and its random mask; we could not obtain the text",
        when="Thousands of labels, most of them rare: the many easy negatives of a rare label stop to weigh on it. Set"
        " the number of epochs, and let the training loop end them. Scores are not probabilities: tune thresholds.",
        build=GradientBalancedLoss,
        parameters={
            "growth": "at least 0, by how much the scale grows in training; the authors use 2 or 4.",
            "n_epochs": "whole number, at least 1: length of the training; with 1 the scale does not grow.",
        },
        needs_counts=True,
    ),
}
