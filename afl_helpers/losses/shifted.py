"""The costs of the asymmetric losses: a negative by its shifted probability, and a positive with polynomial terms."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from afl_helpers.losses.base import PerClass
from afl_helpers.losses.costs import (
    MOST_LOGIT,
    ZERO,
    Cost,
    add_product,
    as_number,
    changed,
    raise_base,
    write_expm1,
    write_log1p,
)


def _log_one_minus_exp(d: Tensor) -> Tensor:
    """Return ``log(1 - exp(-d))`` for d > 0, exact at both ends."""
    small = d < math.log(2.0)
    near, far = torch.where(small, d, 1.0), torch.where(small, 1.0, d)
    return torch.where(small, torch.log(-torch.expm1(-near)), torch.log1p(-torch.exp(-far)))


def _round_to_float32(value: float) -> float:
    """Return the nearest float32, without a tensor, which a default device could not hold or a trace would record."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(mantissa, 24)), exponent - 24)


#: The least distance from the margin that is computed. Powers of smaller ones would leave the range of the type, which
#: makes processors slow.
LEAST_DISTANCE = {torch.float32: 1e-8, torch.float64: 1e-30}


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
        coarse = _round_to_float32(cut)
        distance = (logits - coarse) - (cut - coarse)  # in two steps: the first is exact if the logit is near the cut
        self.inside = ~(distance <= 1e-30)  # a NaN is inside, and stays one
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


def _polynomial_positive(logits: Tensor, epsilon_1: float, epsilon_2: float) -> Tensor:
    """Return ``-(log p + epsilon_1 q + epsilon_2/2 q^2)`` with q = 1 - p.

    At epsilon_1 = 1 the terms in q cancel, so ``-log p - q`` is computed from its series if q is small.
    """
    q = torch.sigmoid(-logits)
    small = q < 0.05
    near = torch.where(small, q, 0.0)
    series = torch.zeros_like(near)
    for k in range(12, 1, -1):
        series = (series + 1 / k) * near
    log_term = torch.where(small, series * near, -logsigmoid(logits) - q)
    return (1 - epsilon_1) * q + log_term - 0.5 * epsilon_2 * q**2


@dataclass
class PolynomialCost(Cost):
    """Cost of a positive: ``-weight q^gamma (log p + epsilon_1 q + epsilon_2/2 q^2)``.

    Args:
        gamma, weight: a number, or one per label; a weight of None is 1.
        detach: whether ``q^gamma`` is a constant in the gradient.
    """

    gamma: PerClass
    epsilon_1: float
    epsilon_2: float
    detach: bool
    weight: PerClass | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "PolynomialCost":
        gamma = change(self.gamma) if isinstance(self.gamma, Tensor) else self.gamma
        return PolynomialCost(gamma, self.epsilon_1, self.epsilon_2, self.detach, changed(self.weight, change))

    def formula(self, z: Tensor) -> Tensor:
        focus = torch.exp(self.gamma * logsigmoid(-z))
        cost = (focus.detach() if self.detach else focus) * _polynomial_positive(z, self.epsilon_1, self.epsilon_2)
        return cost if self.weight is None else self.weight * cost


@dataclass
class ShiftedCost(Cost):
    """Cost of a negative: ``-weight p_m^gamma (log q_m + epsilon q_m)``, times ``hill`` if lambda_ is given.

    ``hill = (lambda_ - p) p^2 (lambda_ - q_m)`` is the factor of the Hill loss.

    Args:
        gamma, weight: a number, or one per label; a weight of None is 1.
        margin: of :class:`ShiftedProbability`.
        detach: whether ``p_m^gamma`` is a constant in the gradient.
    """

    gamma: PerClass
    margin: float
    epsilon: float = 0.0
    lambda_: float | None = None
    detach: bool = False
    weight: PerClass | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "ShiftedCost":
        gamma = change(self.gamma) if isinstance(self.gamma, Tensor) else self.gamma
        weight = changed(self.weight, change)
        return ShiftedCost(gamma, self.margin, self.epsilon, self.lambda_, self.detach, weight)

    def formula(self, z: Tensor) -> Tensor:
        shifted = ShiftedProbability(z, self.margin)
        focus = shifted.power(self.gamma)
        log_term = shifted.log_q_m if not self.epsilon else shifted.log_q_m + self.epsilon * shifted.q_m
        cost = -(focus.detach() if self.detach else focus) * log_term
        if self.lambda_ is not None:
            # lambda_ - p and lambda_ - (1 - p_m) as sums: at lambda_ = 1 the differences cancel.
            above = self.lambda_ - 1
            cost = cost * ((above + torch.sigmoid(-z)) * torch.exp(2 * logsigmoid(z)) * (above + shifted.p_m))
        return cost if self.weight is None else self.weight * cost

    def kernel(self, z: Tensor, loss: Tensor, gradient: Tensor | None, factor: float, scratch: list[Tensor]) -> None:
        """See :meth:`Cost.kernel`.

        With b = -log q_m the cost is ``p_m^gamma b hill``. p_m has the derivative pq, so the cost has
        ``p_m^gamma pq [(gamma b / p_m + 1 / q_m) hill + b hill' / pq]``.
        """
        costs_below = self.margin == 0 or self.epsilon  # a negative below the margin may cost something
        if costs_below or not z.numel() or not z.amax().item() < MOST_LOGIT:
            super().kernel(z, loss, gradient, factor, scratch)
            return
        t, r, p, q, inside, product, difference = scratch[:7]
        margin, cut = self.margin, math.log(self.margin / (1 - self.margin))
        coarse = _round_to_float32(cut)
        torch.sub(z, coarse, out=t).sub_(cut - coarse)
        gamma = as_number(self.gamma)
        assert gamma is not None
        torch.mul(t, 1e30, out=inside).clamp_(0, 1)
        # With t = margin (exp(d) - 1) and r = 1 / (1 + t): p = (margin + t) r, q = (1 - margin) r and p_m = (1 - margin) t r.
        write_expm1(t.clamp_(min=LEAST_DISTANCE[z.dtype]), t).mul_(margin)
        torch.add(t, 1, out=r).reciprocal_()
        torch.add(t, margin, out=p).mul_(r)
        torch.mul(r, 1 - margin, out=q)
        pq = None if gradient is None else torch.mul(p, q, out=gradient)
        p_m = torch.addcmul(ZERO, t, r, value=1 - margin, out=t)
        # hill is product p^2, and its derivative over pq is p (2 product + p difference).
        hill = self.lambda_ is not None
        if self.lambda_ is not None:
            torch.add(q, self.lambda_ - 1, out=product)
            product.mul_(torch.add(p_m, self.lambda_ - 1, out=difference))
            torch.sub(q, p_m, out=difference)
        q_m = q.add_(margin)
        cost = write_log1p(torch.div(p_m, q_m, out=loss), loss)  # -log q_m, as 1 / q_m = 1 + p_m / q_m
        focus = r
        raise_base(p_m, gamma, focus)
        focus.mul_(inside)
        if self.weight is not None:
            focus.mul_(self.weight)
        if gradient is not None and pq is not None:
            slope = q_m.reciprocal_()
            if not self.detach:
                add_product(slope, torch.div(cost, p_m, out=p_m), gamma)
            if hill:
                slope.mul_(p).add_(cost, alpha=2).mul_(product)
                slope.addcmul_(torch.mul(cost, p, out=p_m), difference).mul_(p)
            torch.addcmul(ZERO, slope.mul_(pq), focus, value=factor, out=gradient)
        if hill:
            focus.mul_(product).mul_(p).mul_(p)
        loss.mul_(focus)
