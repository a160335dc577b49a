"""Asymmetric loss (ASL): focal loss with a gamma of its own for negatives, and a shifted probability."""

from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.arrays import check_flag
from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PerClassLike,
    PublishedForm,
    check_inputs,
    check_number,
    per_class,
)
from afl_helpers.losses.costs import Cost, FocalCost, balanced
from afl_helpers.losses.elementwise import elementwise_loss
from afl_helpers.losses.shifted import ShiftedCost


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: PerClassLike = 0.0,
    gamma_negative: PerClassLike = 4.0,
    margin: float = 0.05,
    *,
    alpha: PerClassLike | None = None,
    weight: PerClassLike | None = None,
    detach_focus: bool = False,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the asymmetric loss (ASL, Ridnik et al., ICCV 2021, Eq. 7).

    A positive costs ``-(1 - p)^gamma_positive log p``, a negative ``-p_m^gamma_negative log(1 - p_m)`` with
    ``p_m = max(p - margin, 0)``: a negative below the margin has no loss and no gradient, by definition.

    Args:
        gamma_positive, gamma_negative, margin, alpha: see :class:`AsymmetricLoss`.
        weight: number or (n_labels,), weight of positives and negatives; None is 1.
        detach_focus: see :class:`AsymmetricLoss`.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import asymmetric_loss
        >>> logits, targets = torch.logit(torch.tensor([[0.04, 0.5]])), torch.zeros(1, 2)
        >>> torch.round(asymmetric_loss(logits, targets, reduction="none"), decimals=4)  # 0.04 is below the margin
        tensor([[0.0000, 0.0245]])
        >>> bce = asymmetric_loss(logits, targets, gamma_negative=0.0, margin=0.0, reduction="none")
        >>> torch.round(bce, decimals=4)  # cross-entropy
        tensor([[0.0408, 0.6931]])
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    positive, negative = asymmetric_costs(logits, gamma_positive, gamma_negative, margin, weight, alpha, detach_focus)
    return elementwise_loss(logits, targets, positive, negative, mask, reduction)


def asymmetric_costs(
    logits: Tensor,
    gamma_positive: PerClassLike,
    gamma_negative: PerClassLike,
    margin: float,
    weight: PerClassLike | None = None,
    alpha: PerClassLike | None = None,
    detach_focus: bool = False,
) -> tuple[Cost, Cost]:
    """Return the cost of a positive and of a negative; :func:`asymmetric_loss` describes the parameters."""
    focus_positive = per_class("gamma_positive", gamma_positive, logits)
    focus_negative = per_class("gamma_negative", gamma_negative, logits)
    share = per_class("alpha", alpha, logits, high=1.0, optional=True)
    of_positives, of_negatives = balanced(share, per_class("weight", weight, logits, optional=True))
    margin = check_number("margin", margin, 0.0, 1.0, open_high=True)
    detach_focus = check_flag("detach_focus", detach_focus)
    positive = FocalCost(-1.0, focus_positive, of_positives, detach=detach_focus)
    if not margin:
        return positive, FocalCost(1.0, focus_negative, of_negatives, detach=detach_focus)
    return positive, ShiftedCost(focus_negative, margin, detach=detach_focus, weight=of_negatives)


class AsymmetricLoss(MultiLabelLoss):
    """Asymmetric loss (ASL, Ridnik et al., ICCV 2021): focal loss with a gamma and a margin of its own for negatives.

    Args:
        gamma_positive: gamma of the positives: number or (n_labels,), at least 0.
        gamma_negative: gamma of the negatives: number or (n_labels,), at least 0.
        margin: in [0, 1): a negative with p below it has neither loss nor gradient.
        alpha: number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.
        detach_focus: whether the focusing weights, ``(1 - p)^gamma_positive`` and ``p_m^gamma_negative``, are constant
            in the gradient.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AsymmetricLoss
        >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])  # a positive and a negative with p = 1 / 2
        >>> torch.round(AsymmetricLoss()(logits, targets, reduction="none"), decimals=4)  # log 2 and -0.45^4 log 0.55
        tensor([[0.6931, 0.0245]])
    """

    gamma_positive: Tensor
    gamma_negative: Tensor
    alpha: Tensor | None

    def __init__(
        self,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        reduction: str = "mean",
        *,
        alpha: ArrayLike | None = None,
        detach_focus: bool = False,
    ):
        super().__init__(reduction)
        self.margin = check_number("margin", margin, 0.0, 1.0, open_high=True)
        self.detach_focus = check_flag("detach_focus", detach_focus)
        self._set_per_class("gamma_positive", gamma_positive)
        self._set_per_class("gamma_negative", gamma_negative)
        self._set_per_class("alpha", alpha, upper=1.0, optional=True)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return asymmetric_loss(
            logits,
            targets,
            self.gamma_positive,
            self.gamma_negative,
            self.margin,
            alpha=self.alpha,
            detach_focus=self.detach_focus,
            mask=mask,
            reduction=reduction,
        )


#: Meaning of the parameters that the asymmetric losses share.
ASYMMETRY = {
    "gamma_positive": "gamma of the positives: number or (n_labels,), at least 0.",
    "gamma_negative": "gamma of the negatives: number or (n_labels,), at least 0.",
    "margin": "in [0, 1): a negative with p below it has neither loss nor gradient.",
}
#: Meaning of a weight per class, as in Eq. 1.
ALPHA = {
    "alpha": "number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.",
}

ENTRIES = {
    "asl": LossInfo(
        title="Asymmetric loss (ASL)",
        equation=r"-y (1 - p)^{\gamma_+} \log p - (1 - y) \, p_m^{\gamma_-} \log(1 - p_m),"
        r" \quad p_m = \max(p - m, 0)",
        reference="ridnik2021asl",
        published=(
            PublishedForm("Eq. 7 and the authors' AsymmetricLossOptimized (Ridnik et al. 2021)", "equal"),
            PublishedForm(
                "their AsymmetricLoss as train.py calls it, which holds the focusing weight constant",
                "equal",
                {"detach_focus": True},
            ),
        ),
        fidelity="without the clamp of p at 1e-8 in their code; gamma_positive is 0 as in train.py, not 1 as in the class",
        when="Many labels, few positives per document, and some positives not labelled: easy negatives weigh little,"
        " and very easy ones nothing.",
        build=AsymmetricLoss,
        parameters={
            **ASYMMETRY,
            **ALPHA,
            "detach_focus": "whether the focusing weights, ``(1 - p)^gamma_positive`` and ``p_m^gamma_negative``, are"
            " constant in the gradient.",
        },
        reduces_to_bce={"gamma_negative": 0.0, "margin": 0.0},
    ),
}
