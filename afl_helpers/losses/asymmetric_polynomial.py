"""Asymmetric losses with polynomial terms: APL, and RAL, which adds the factor of the Hill loss."""

from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.losses.asymmetric import ALPHA, ASYMMETRY, AsymmetricLoss
from afl_helpers.losses.base import (
    LossInfo,
    PerClass,
    PerClassLike,
    PublishedForm,
    check_inputs,
    check_number,
    per_class,
)
from afl_helpers.losses.costs import balanced
from afl_helpers.losses.elementwise import elementwise_loss
from afl_helpers.losses.shifted import PolynomialCost, ShiftedCost


def _focus(logits: Tensor, gamma_positive: PerClassLike, gamma_negative: PerClassLike) -> tuple[PerClass, PerClass]:
    """Return both gammas, checked."""
    return (
        per_class("gamma_positive", gamma_positive, logits),
        per_class("gamma_negative", gamma_negative, logits),
    )


def _coefficients(epsilon_1: float, epsilon_2: float, epsilon_negative: float) -> tuple[float, float, float]:
    return (
        check_number("epsilon_1", epsilon_1),
        check_number("epsilon_2", epsilon_2),
        check_number("epsilon_negative", epsilon_negative),
    )


def asymmetric_polynomial_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: PerClassLike = 0.0,
    gamma_negative: PerClassLike = 4.0,
    margin: float = 0.05,
    epsilon_1: float = 1.0,
    epsilon_2: float = -2.5,
    epsilon_negative: float = 0.0,
    *,
    alpha: PerClassLike | None = None,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the asymmetric polynomial loss (APL, Huang et al., ICASSP 2023), as in the authors' code.

    It is :func:`asymmetric_loss` with ``log p`` replaced by ``log p + epsilon_1 (1 - p) + epsilon_2/2 (1 - p)^2`` and
    ``log(1 - p_m)`` by ``log(1 - p_m) + epsilon_negative (1 - p_m)``. The focusing weights are not differentiated.
    :class:`AsymmetricPolynomialLoss` describes the parameters.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import asymmetric_polynomial_loss
        >>> logits, targets = torch.zeros(1, 1), torch.ones(1, 1)  # a positive with p = 1 / 2
        >>> round(asymmetric_polynomial_loss(logits, targets, epsilon_1=0.0, epsilon_2=0.0).item(), 4)  # log 2
        0.6931
        >>> round(asymmetric_polynomial_loss(logits, targets).item(), 4)  # log 2 - 1 / 2 + 2.5 / 2 / 4
        0.5056
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    focus_positive, focus_negative = _focus(logits, gamma_positive, gamma_negative)
    epsilon_1, epsilon_2, epsilon_negative = _coefficients(epsilon_1, epsilon_2, epsilon_negative)
    weight, weight_negative = balanced(per_class("alpha", alpha, logits, high=1.0, optional=True))
    margin = check_number("margin", margin, 0.0, 1.0, open_high=True)
    positive = PolynomialCost(focus_positive, epsilon_1, epsilon_2, detach=True, weight=weight)
    negative = ShiftedCost(focus_negative, margin, epsilon_negative, detach=True, weight=weight_negative)
    return elementwise_loss(logits, targets, positive, negative, mask, reduction)


def robust_asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: PerClassLike = 0.0,
    gamma_negative: PerClassLike = 4.0,
    margin: float = 0.05,
    epsilon_1: float = 1.0,
    epsilon_2: float = -2.5,
    epsilon_negative: float = 0.0,
    lambda_: float = 1.5,
    *,
    alpha: PerClassLike | None = None,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the robust asymmetric loss (RAL, Park et al., ICCVW 2023), as in the authors' code without its clamps.

    It is :func:`asymmetric_polynomial_loss` with the negative part multiplied by the factor of the Hill loss,
    ``(lambda_ - p) p^2 (lambda_ - (1 - p_m))``. The focusing weights are differentiated. The printed paper may differ.
    :class:`RobustAsymmetricLoss` describes the parameters.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import robust_asymmetric_loss
        >>> logits, targets = torch.zeros(1, 1), torch.zeros(1, 1)  # a negative with p = 1 / 2
        >>> loss = robust_asymmetric_loss(logits, targets, gamma_negative=0.0, margin=0.0, lambda_=1.5)
        >>> round(loss.item(), 4)  # log 2 times (1.5 - 1/2) (1/2)^2 (1.5 - 1/2)
        0.1733
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    focus_positive, focus_negative = _focus(logits, gamma_positive, gamma_negative)
    epsilon_1, epsilon_2, epsilon_negative = _coefficients(epsilon_1, epsilon_2, epsilon_negative)
    weight, weight_negative = balanced(per_class("alpha", alpha, logits, high=1.0, optional=True))
    margin = check_number("margin", margin, 0.0, 1.0, open_high=True)
    positive = PolynomialCost(focus_positive, epsilon_1, epsilon_2, detach=False, weight=weight)
    lambda_ = check_number("lambda_", lambda_, 1.0)
    negative = ShiftedCost(focus_negative, margin, epsilon_negative, lambda_, weight=weight_negative)
    return elementwise_loss(logits, targets, positive, negative, mask, reduction)


class AsymmetricPolynomialLoss(AsymmetricLoss):
    """Asymmetric polynomial loss (APL, Huang et al., ICASSP 2023); its focusing weights are not differentiated.

    Args:
        gamma_positive, gamma_negative, margin, alpha: see :class:`AsymmetricLoss`.
        epsilon_1: coefficient of (1 - p) in the positive part.
        epsilon_2: twice the coefficient of (1 - p)^2 in the positive part.
        epsilon_negative: coefficient of (1 - p_m) in the negative part.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AsymmetricPolynomialLoss
        >>> logits = torch.zeros(1, 1, requires_grad=True)
        >>> loss = AsymmetricPolynomialLoss(gamma_positive=2.0, epsilon_1=0.0, epsilon_2=0.0)
        >>> loss(logits, torch.ones(1, 1)).backward()
        >>> round(logits.grad.item(), 4)  # cross-entropy's -1/2 times the constant (1 - 1/2)^2; focal loss has -0.2983
        -0.125
    """

    def __init__(
        self,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        epsilon_1: float = 1.0,
        epsilon_2: float = -2.5,
        epsilon_negative: float = 0.0,
        reduction: str = "mean",
        *,
        alpha: ArrayLike | None = None,
    ):
        super().__init__(gamma_positive, gamma_negative, margin, reduction, alpha=alpha)
        self.epsilon_1, self.epsilon_2, self.epsilon_negative = _coefficients(epsilon_1, epsilon_2, epsilon_negative)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return asymmetric_polynomial_loss(
            logits,
            targets,
            self.gamma_positive,
            self.gamma_negative,
            self.margin,
            self.epsilon_1,
            self.epsilon_2,
            self.epsilon_negative,
            alpha=self.alpha,
            mask=mask,
            reduction=reduction,
        )


class RobustAsymmetricLoss(AsymmetricPolynomialLoss):
    """Robust asymmetric loss (RAL, Park et al., ICCVW 2023): APL with the factor of the Hill loss on its negatives.

    Args:
        gamma_positive, gamma_negative, margin, alpha: see :class:`AsymmetricLoss`.
        epsilon_1, epsilon_2, epsilon_negative: see :class:`AsymmetricPolynomialLoss`.
        lambda_: at least 1; the negative part is multiplied by ``(lambda_ - p) p^2 (lambda_ - (1 - p_m))``.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AsymmetricLoss, RobustAsymmetricLoss
        >>> logits, targets = torch.tensor([[8.0]]), torch.zeros(1, 1)  # a negative with p near 1: perhaps mislabelled
        >>> losses = AsymmetricLoss(margin=0.0), RobustAsymmetricLoss(margin=0.0, lambda_=1.0)
        >>> [round(loss(logits, targets).item(), 3) for loss in losses]
        [7.99, 0.003]
    """

    def __init__(
        self,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        epsilon_1: float = 1.0,
        epsilon_2: float = -2.5,
        epsilon_negative: float = 0.0,
        lambda_: float = 1.5,
        reduction: str = "mean",
        *,
        alpha: ArrayLike | None = None,
    ):
        super().__init__(
            gamma_positive, gamma_negative, margin, epsilon_1, epsilon_2, epsilon_negative, reduction, alpha=alpha
        )
        self.lambda_ = check_number("lambda_", lambda_, 1.0)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return robust_asymmetric_loss(
            logits,
            targets,
            self.gamma_positive,
            self.gamma_negative,
            self.margin,
            self.epsilon_1,
            self.epsilon_2,
            self.epsilon_negative,
            self.lambda_,
            alpha=self.alpha,
            mask=mask,
            reduction=reduction,
        )


_POLYNOMIAL = {
    **ASYMMETRY,
    **ALPHA,
    "epsilon_1": "coefficient of (1 - p) in the positive part.",
    "epsilon_2": "twice the coefficient of (1 - p)^2 in the positive part.",
    "epsilon_negative": "coefficient of (1 - p_m) in the negative part.",
}

ENTRIES = {
    "apl": LossInfo(
        title="Asymmetric polynomial loss (APL)",
        equation=r"-y (1 - p)^{\gamma_+} \left[\log p + \epsilon_1 (1 - p) + \tfrac{\epsilon_2}{2} (1 - p)^2\right]"
        r" - (1 - y) \, p_m^{\gamma_-} \left[\log(1 - p_m) + \epsilon_- (1 - p_m)\right]",
        reference="huang2023apl",
        published=(PublishedForm("the authors' code (Huang et al. 2023)", "equal"),),
        fidelity="without its clamp; the focusing weights are not differentiated",
        when="As ASL, with tunable coefficients for the first terms of the positive part's series.",
        build=AsymmetricPolynomialLoss,
        parameters=_POLYNOMIAL,
        differentiated=False,
        reduces_to_bce={"epsilon_1": 0.0, "epsilon_2": 0.0, "gamma_negative": 0.0, "margin": 0.0},
    ),
    "ral": LossInfo(
        title="Robust asymmetric loss (RAL)",
        equation=r"-y (1 - p)^{\gamma_+} \left[\log p + \epsilon_1 (1 - p) + \tfrac{\epsilon_2}{2} (1 - p)^2\right]"
        r" - (1 - y) \, p_m^{\gamma_-} \left[\log(1 - p_m) + \epsilon_- (1 - p_m)\right] (\lambda - p) \, p^2 (\lambda - 1 + p_m)",
        reference="park2023ral",
        published=(PublishedForm("the authors' code (Park et al. 2023)", "equal"),),
        fidelity="without its clamps; the printed paper may differ",
        when="As APL; its authors report that it is less sensitive to its parameters.",
        build=RobustAsymmetricLoss,
        parameters={
            **_POLYNOMIAL,
            "lambda_": "at least 1; the negative part is multiplied by ``(lambda_ - p) p^2 (lambda_ - (1 - p_m))``.",
        },
    ),
}
