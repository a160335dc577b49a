"""Asymmetric loss (ASL): focal loss with a gamma of its own for negatives, and a shifted probability."""

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import logsigmoid

from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PerClass,
    PerClassLike,
    cast_like,
    check_inputs,
    check_number,
    mix,
    per_class,
    promote,
    reduce_loss,
)


def _log_one_minus_exp(d: Tensor) -> Tensor:
    """Return ``log(1 - exp(-d))`` for d > 0, exact at both ends."""
    small = d < math.log(2.0)
    near, far = torch.where(small, d, 1.0), torch.where(small, 1.0, d)
    return torch.where(small, torch.log(-torch.expm1(-near)), torch.log1p(-torch.exp(-far)))


class ShiftedProbability:
    """The shifted probability ``p_m = max(p - margin, 0)`` of a negative, ``q_m = 1 - p_m``, and their logarithms.

    ``p - margin`` loses digits if p is near the margin, so it is computed as ``p (1 - margin) (1 - exp(-d))``, where
    d is the distance of the logit from that of the margin.
    """

    inside: Tensor | None

    def __init__(self, logits: Tensor, margin: float):
        if margin == 0:
            self.inside = None
            self.log_p_m, self.log_q_m = logsigmoid(logits), logsigmoid(-logits)
            self.p_m, self.q_m = torch.sigmoid(logits), torch.sigmoid(-logits)
            return
        cut = math.log(margin / (1 - margin))
        coarse = torch.tensor(cut, dtype=torch.float32).item()
        distance = (logits - coarse) - (cut - coarse)  # in two steps: the first is exact if the logit is near the cut
        self.inside = distance > 1e-30
        log_p_m = _log_one_minus_exp(torch.where(self.inside, distance, 1.0)) + logsigmoid(logits) + math.log1p(-margin)
        p_m, q_m = torch.exp(log_p_m), torch.sigmoid(-logits) + margin
        small = p_m < 0.5
        log_q_m = torch.where(small, torch.log1p(-torch.where(small, p_m, 0.0)), torch.log(q_m))
        self.log_p_m = log_p_m
        self.p_m, self.q_m = torch.where(self.inside, p_m, 0.0), torch.where(self.inside, q_m, 1.0)
        self.log_q_m = torch.where(self.inside, log_q_m, 0.0)

    def power(self, gamma: PerClass) -> Tensor:
        """Return ``p_m^gamma``, with 0^0 = 1."""
        inside = torch.exp(gamma * self.log_p_m)
        if self.inside is None:
            return inside
        outside = torch.as_tensor(gamma, dtype=inside.dtype, device=inside.device) == 0
        return torch.where(self.inside, inside, outside.to(inside.dtype))


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: PerClassLike = 0.0,
    gamma_negative: PerClassLike = 4.0,
    margin: float = 0.05,
    *,
    weight: PerClassLike | None = None,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the asymmetric loss (ASL, Ridnik et al., ICCV 2021, Eq. 7).

    A positive costs ``-(1 - p)^gamma_positive log p``, a negative ``-p_m^gamma_negative log(1 - p_m)`` with
    ``p_m = max(p - margin, 0)``: a negative below the margin has no loss and no gradient, by definition.

    Args:
        gamma_positive, gamma_negative, margin: see :class:`AsymmetricLoss`.
        weight: number or (n_labels,), weight of positives and negatives; None is 1.

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
    logits, targets = promote(*check_inputs(logits, targets, mask, reduction))
    focus_positive = cast_like(logits, per_class("gamma_positive", gamma_positive, logits))
    focus_negative = cast_like(logits, per_class("gamma_negative", gamma_negative, logits))
    class_weight = cast_like(logits, per_class("weight", weight, logits))
    shifted = ShiftedProbability(logits, check_number("margin", margin, 0.0, 1.0, open_high=True))
    positive = -torch.exp(focus_positive * logsigmoid(-logits)) * logsigmoid(logits)
    negative = -shifted.power(focus_negative) * shifted.log_q_m
    elements = mix(targets, positive, negative)
    return reduce_loss(elements if class_weight is None else class_weight * elements, reduction, mask)


class AsymmetricLoss(MultiLabelLoss):
    """Asymmetric loss (ASL, Ridnik et al., ICCV 2021): focal loss with a gamma and a margin of its own for negatives.

    Args:
        gamma_positive: gamma of the positives: number or (n_labels,), at least 0.
        gamma_negative: gamma of the negatives: number or (n_labels,), at least 0.
        margin: in [0, 1): a negative with p below it has neither loss nor gradient.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AsymmetricLoss
        >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])  # a positive and a negative with p = 1 / 2
        >>> torch.round(AsymmetricLoss()(logits, targets, reduction="none"), decimals=4)  # log 2 and -0.45^4 log 0.55
        tensor([[0.6931, 0.0245]])
    """

    gamma_positive: Tensor
    gamma_negative: Tensor

    def __init__(
        self,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self.margin = check_number("margin", margin, 0.0, 1.0, open_high=True)
        self._set_per_class("gamma_positive", gamma_positive)
        self._set_per_class("gamma_negative", gamma_negative)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return asymmetric_loss(
            logits, targets, self.gamma_positive, self.gamma_negative, self.margin, mask=mask, reduction=reduction
        )


#: Meaning of the parameters that the asymmetric losses share.
ASYMMETRY = {
    "gamma_positive": "gamma of the positives: number or (n_labels,), at least 0.",
    "gamma_negative": "gamma of the negatives: number or (n_labels,), at least 0.",
    "margin": "in [0, 1): a negative with p below it has neither loss nor gradient.",
}

ENTRIES = {
    "asl": LossInfo(
        title="Asymmetric loss (ASL)",
        equation=r"-y (1 - p)^{\gamma_+} \log p - (1 - y) \, p_m^{\gamma_-} \log(1 - p_m),"
        r" \quad p_m = \max(p - m, 0)",
        reference="ridnik2021asl",
        fidelity="as in its source and the authors' code, without its clamp",
        when="Many labels, few positives per document, and some positives not labelled: easy negatives weigh little,"
        " and very easy ones nothing.",
        build=AsymmetricLoss,
        parameters=ASYMMETRY,
        reduces_to_bce={"gamma_negative": 0.0, "margin": 0.0},
    ),
}
