"""What an element costs as a positive or as a negative: the formula, and a kernel that computes it with its gradient.

The loss of an element is ``y * positive + (1 - y) * negative``. A loss whose elements do not depend on each other is a
pair of costs; :func:`afl_helpers.losses.elementwise.elementwise_loss` does the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from afl_helpers.losses.base import PerClass, widest

ZERO = torch.zeros((), device="cpu")
LOG2_E = 1 / math.log(2)
#: The largest ``|scale shift|`` for which odds neither overflow before the cap below nor lose digits in float32.
MOST_SHIFT = 4.0
#: Where odds are capped; the cost of larger ones is linear.
MOST_ODDS = 1e30
LOG_MOST_ODDS = math.log(MOST_ODDS)
#: Up to it log(1 + s) is s to the last digit.
LEAST_TO_LOG = 1e-16
#: The largest absolute logit whose odds are computed; those of larger ones would leave the range of float32.
MOST_LOGIT = 60.0
#: Up to it log sigmoid(x) is computed as x - log(1 + exp(x)), which cancels as x grows: off by 1e-6 here.
MOST_TO_SUBTRACT = 16.0
#: The largest gamma for which the error of log sigmoid(x), and that of sigmoid(x) near 1, stays small when it multiplies them.
MOST_GAMMA = 20.0


class Cost:
    """What elements cost as positives, or as negatives, by their logits."""

    def formula(self, z: Tensor) -> Tensor:
        """Return the costs, for any device, derivative and trace."""
        raise NotImplementedError

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return this cost with its tensors, one number or one per label, changed."""
        return self

    def mixed(self, negative: "Cost", y: Tensor) -> "Cost | None":
        """Return the cost of elements with targets of 0 and 1 as one cost; None where that is no gain.

        Args:
            negative: the cost of negatives; this is the cost of positives.
            y: targets of a block, in the type of its logits.
        """
        return None

    def in_float32(self) -> "Cost | None":
        """Return a cost whose kernel keeps its digits in float32, where the formula needs float64; None if there is none."""
        return None

    def tensors(self) -> list[Tensor]:
        """Return the parameters that are tensors."""
        found: list[Tensor] = []
        self.map(lambda value: found.append(value) or value)  # type: ignore[func-returns-value]
        return found

    def kernel(self, z: Tensor, loss: Tensor, gradient: Tensor | None, factor: float, scratch: list[Tensor]) -> None:
        """Write the costs to ``loss``, and their derivatives times ``factor`` to ``gradient`` if it is given.

        Args:
            z: logits of a block, not to be changed; the other tensors have its shape and type.
            scratch: buffers to use.
        """
        if gradient is None:
            loss.copy_(self.formula(z))
            return
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            costs = self.formula(leaf)
            (slope,) = torch.autograd.grad(costs.sum(), leaf)
        loss.copy_(costs.detach())
        torch.mul(slope, factor, out=gradient)


def changed(value: PerClass | None, change: Callable[[Tensor], Tensor]) -> PerClass | None:
    """Return ``change(value)`` of a tensor, and a number or None as it is."""
    return change(value) if isinstance(value, Tensor) else value


@cache
def _numpy_has_avx512(name: str) -> bool:
    """Return whether numpy computes this function of float32 by AVX-512: in a quarter to eight tenths of torch's time."""
    try:
        from numpy.lib.introspect import opt_func_info
    except ImportError:  # numpy before 2.1
        return False
    loops = opt_func_info(func_name=f"^{name}$").get(name, {})
    return loops.get("ff", {}).get("current", "").startswith(("AVX512", "X86_V4"))


def _write(name: str, values: Tensor, out: Tensor) -> Tensor:
    if values.dtype == torch.float32 and _numpy_has_avx512(name):
        with np.errstate(all="ignore"):  # as torch does
            getattr(np, name)(values.numpy(), out=out.numpy())  # off by 3 units in the last place at most
    else:
        getattr(torch, name)(values, out=out)
    return out


def write_log1p(values: Tensor, out: Tensor) -> Tensor:
    """Write ``log(1 + values)`` to ``out``, which may be ``values``, and return it."""
    return _write("log1p", values, out)


def write_exp(values: Tensor, out: Tensor) -> Tensor:
    """Write ``exp(values)`` to ``out``, which may be ``values``, and return it; slow where it underflows."""
    return _write("exp", values, out)


def write_expm1(values: Tensor, out: Tensor) -> Tensor:
    """Write ``exp(values) - 1`` to ``out``, which may be ``values``, and return it."""
    return _write("expm1", values, out)


def raise_to(logarithm: Tensor, gamma: PerClass) -> Tensor:
    """Return ``exp(gamma * logarithm)`` in the place of ``logarithm``."""
    if logarithm.dtype == torch.float64:
        return logarithm.mul_(gamma).exp_()
    # A third of the time of exp. numpy's exp2 takes 30 times as long where it underflows.
    return logarithm.mul_(gamma * LOG2_E).exp2_()


def as_number(value: PerClass | None) -> PerClass | None:
    """Return a tensor without dimensions as a number, and anything else as it is."""
    return value.item() if isinstance(value, Tensor) and not value.ndim else value


def _largest(gamma: PerClass | None) -> float:
    if isinstance(gamma, Tensor):
        return gamma.amax().item() if gamma.numel() else 0.0
    return gamma or 0.0


def has_products(gamma: PerClass) -> bool:
    """Return whether a power is a few products: for one gamma of 1, 2, 3 or 4."""
    return not isinstance(gamma, Tensor) and gamma in (1, 2, 3, 4)


def write_power(base: Tensor, gamma: PerClass, out: Tensor) -> bool:
    """Write ``base**gamma`` to ``out`` and return True if products do it."""
    if not has_products(gamma):
        return False
    if gamma == 1:
        out.copy_(base)
    else:
        torch.mul(base, base, out=out)
        if gamma > 2:
            out.mul_(base if gamma == 3 else out)
    return True


def raise_base(base: Tensor, gamma: PerClass, out: Tensor) -> None:
    """Write ``base**gamma`` to ``out``, for a base above 0."""
    if not write_power(base, gamma, out):
        _write("log2", base, out).mul_(gamma).exp2_()


def write_softplus(x: Tensor, out: Tensor, spare: Tensor) -> Tensor:
    """Write ``log(1 + exp(x))`` to ``out`` and return it.

    Where ``exp(-|x|)`` is tiny, exp and log1p take ten times as long, and sigmoid is the same number.
    """
    small = torch.abs(x, out=spare).clamp_(max=MOST_LOGIT).neg_()
    write_exp(small, small)
    write_log1p(torch.threshold_(small, LEAST_TO_LOG, 0.0), small)
    torch.maximum(torch.abs(x, out=out).neg_().sigmoid_(), small, out=out)  # sigmoid(-|x|) is never above the other
    return out.add_(torch.clamp(x, min=0, out=spare))


def add_product(total: Tensor, values: Tensor, gamma: PerClass) -> None:
    """Add ``values * gamma`` to ``total``, in one pass."""
    if isinstance(gamma, Tensor):
        total.addcmul_(values, gamma)
    else:
        total.add_(values, alpha=gamma)


def balanced(alpha: PerClass | None, weight: PerClass | None = None) -> tuple[PerClass | None, PerClass | None]:
    """Return the weight of positives and of negatives: alpha and 1 - alpha as in Eq. 1, times ``weight``."""
    if alpha is None:
        return weight, weight
    return (alpha, 1 - alpha) if weight is None else (alpha * weight, (1 - alpha) * weight)


@dataclass
class FocalCost(Cost):
    """``weight * sigmoid(x)^gamma * softplus(x)`` with ``x = scale (z + shift)``.

    sigmoid(x) is the probability of being wrong: scale is below 0 for a positive and above 0 for a negative.

    Args:
        scale, shift: of the logit; a number, or one per label.
        gamma: a number, one per label, or a function of x, which is not differentiated; None is 0.
        weight: a number, or one per label; None is 1.
        detach: whether ``sigmoid(x)^gamma`` is a constant in the gradient.
        flipped: where it is 1, scale changes its sign; None flips nothing.
    """

    scale: PerClass
    gamma: PerClass | Callable[[Tensor], Tensor] | None = None
    weight: PerClass | None = None
    shift: PerClass | None = None
    detach: bool = False
    flipped: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "FocalCost":
        scale = change(self.scale) if isinstance(self.scale, Tensor) else self.scale
        gamma = change(self.gamma) if isinstance(self.gamma, Tensor) else self.gamma
        return FocalCost(scale, gamma, changed(self.weight, change), changed(self.shift, change), self.detach)

    def mixed(self, negative: Cost, y: Tensor) -> "FocalCost | None":
        if not isinstance(negative, FocalCost):
            return None
        if self.gamma is not negative.gamma or self.shift is not negative.shift:
            return None
        if isinstance(self.scale, Tensor) or isinstance(negative.scale, Tensor) or self.scale != -negative.scale:
            return None
        weight = _by_target(self.weight, negative.weight, y)
        return FocalCost(negative.scale, self.gamma, weight, self.shift, self.detach, y)

    def in_float32(self) -> "ShiftedFocalCost | None":
        scale, gamma = self.scale, self.gamma
        if not isinstance(self.shift, Tensor) or self.detach or self.flipped is not None:
            return None
        if not isinstance(scale, float) or not isinstance(gamma, float | None) or abs(math.frexp(scale)[0]) != 0.5:
            return None
        if (gamma or 0.0) > MOST_GAMMA:
            return None
        log_start = self.shift.to(widest(self.shift.device)) * scale
        if not log_start.numel() or log_start.abs().max() > MOST_SHIFT:
            return None
        return ShiftedFocalCost(scale, gamma or 0.0, log_start.exp(), self.weight)

    def formula(self, z: Tensor) -> Tensor:
        x = self.scale * (z if self.shift is None else z + self.shift)
        cost = -logsigmoid(-x)
        if self.gamma is not None:
            gamma = self.gamma(x.detach()) if callable(self.gamma) else self.gamma
            focus = torch.exp(gamma * logsigmoid(x))
            cost = (focus.detach() if self.detach else focus) * cost
        return cost if self.weight is None else self.weight * cost

    def kernel(self, z: Tensor, loss: Tensor, gradient: Tensor | None, factor: float, scratch: list[Tensor]) -> None:
        """See :meth:`Cost.kernel`.

        With q = sigmoid(x), p = 1 - q, odds = q / p and ce = softplus(x), the derivative by x is
        ``weight q^gamma (q + gamma p ce)``, or ``weight q^gamma p (odds + gamma ce)``: nothing cancels.
        """
        x, q, p, focus = scratch[:4]
        x = self._shifted(z, x)
        low, high = (end.item() for end in torch.aminmax(x)) if x.numel() else (-math.inf, math.inf)
        if self.flipped is not None and x.numel() and not -math.inf < low <= high < math.inf:
            # 2 z leaves the range of the type before z does.
            shifted = z if self.shift is None else z + self.shift
            torch.mul(torch.where(self.flipped.bool(), -shifted, shifted), self.scale, out=x)
        gamma = self.gamma(x) if callable(self.gamma) else self.gamma
        gamma = as_number(gamma)
        gamma = None if isinstance(gamma, float) and gamma == 0 else gamma
        by_odds = low > -MOST_LOGIT and high < MOST_LOGIT
        if by_odds:  # fewer steps
            odds = write_exp(x, q)
            ce = write_log1p(odds, loss)
            torch.add(odds, 1, out=p).reciprocal_()
            if gamma is not None and not callable(self.gamma) and _largest(gamma) > MOST_GAMMA:
                raise_to(write_log1p(torch.reciprocal(odds, out=focus), focus), -gamma)  # -log q = log(1 + 1 / odds)
            elif gamma is not None and high < MOST_TO_SUBTRACT and not has_products(gamma):
                raise_to(torch.sub(x, ce, out=focus), gamma)  # by log q
            elif gamma is not None:
                raise_base(torch.mul(odds, p, out=scratch[4]), gamma, focus)
        elif gamma is None:
            ce = write_softplus(x, loss, p)
            torch.sigmoid(x, out=q)
        else:
            torch.sigmoid(x, out=q)
            torch.neg(x, out=p).sigmoid_()  # 1 - q would be off by up to 4e-6 times gamma in the gradient
            # The larger of p and q is 1 - min(p, q), and its logarithm -log(1 + exp(-|x|)).
            write_log1p(torch.minimum(p, q, out=loss).neg_(), loss)
            if not write_power(q, gamma, focus):
                raise_to(torch.clamp(x, max=0, out=focus).add_(loss), gamma)  # by log q
            ce = torch.sub(torch.clamp(x, min=0, out=scratch[4]), loss, out=loss)
        if gamma is not None and self.weight is not None:
            focus.mul_(self.weight)
        if gradient is not None:
            if gamma is not None and not self.detach:
                add_product(q, ce if by_odds else p.mul_(ce), gamma)
            if by_odds:  # q was odds
                q.mul_(p)
            if isinstance(self.scale, Tensor):
                q.mul_(self.scale)
            else:
                factor *= self.scale
            out = gradient if self.flipped is None else q
            factors = focus if gamma is not None else self.weight
            if isinstance(factors, Tensor):
                torch.addcmul(ZERO, q, factors, value=factor, out=out)  # both factors in one pass
            else:
                torch.mul(q, factor if factors is None else factor * factors, out=out)
            if self.flipped is not None:
                torch.addcmul(q, self.flipped, q, value=-2, out=gradient)
        if gamma is not None:
            loss.mul_(focus)
        elif self.weight is not None:
            loss.mul_(self.weight)

    def _shifted(self, z: Tensor, x: Tensor) -> Tensor:
        """Return ``scale (z + shift)``, in ``x`` if it is not ``z`` itself."""
        if self.shift is not None:
            z = torch.add(z, self.shift, out=x)
        if self.flipped is not None:
            z = torch.addcmul(z, self.flipped, z, value=-2, out=x)  # in this order 0 is never multiplied by infinity
        return z if isinstance(self.scale, float) and self.scale == 1 else torch.mul(z, self.scale, out=x)


@dataclass
class ShiftedFocalCost(Cost):
    """:class:`FocalCost` of shifted logits, by their odds ``exp(x) = exp(scale z) start``.

    Adding the shift to a logit in float32 would cost more digits than a large gamma leaves; a product costs one rounding.

    Args:
        scale: of the logit, a power of two, which costs no digit.
        gamma: a number.
        start: (n_labels,), ``exp(scale shift)``.
        weight: a number, or one per label; None is 1.
    """

    scale: float
    gamma: float
    start: Tensor
    weight: PerClass | None

    def map(self, change: Callable[[Tensor], Tensor]) -> "ShiftedFocalCost":
        return ShiftedFocalCost(self.scale, self.gamma, change(self.start), changed(self.weight, change))

    def kernel(self, z: Tensor, loss: Tensor, gradient: Tensor | None, factor: float, scratch: list[Tensor]) -> None:
        """See :meth:`Cost.kernel`, and :meth:`FocalCost.kernel` for the names."""
        odds, q, p, focus = scratch[:4]
        torch.mul(z, self.scale, out=odds).exp_().mul_(self.start).clamp_(max=MOST_ODDS)
        torch.add(odds, 1, out=p).reciprocal_()
        torch.mul(odds, p, out=q)
        ce = write_log1p(odds, loss)
        high = (z.amax() if self.scale > 0 else z.amin()) * self.scale + MOST_SHIFT if z.numel() else 0.0
        if high > LOG_MOST_ODDS:
            x = torch.add(self.start.log(), z, alpha=self.scale, out=odds)
            ce.add_(x.sub_(LOG_MOST_ODDS).clamp_(min=0))
        if self.gamma:
            if not write_power(q, self.gamma, focus):
                torch.pow(q, self.gamma, out=focus)
            if self.weight is not None:
                focus.mul_(self.weight)
        if gradient is not None:
            if self.gamma:
                q.addcmul_(p, ce, value=self.gamma)
            factors = focus if self.gamma else self.weight
            if isinstance(factors, Tensor):
                torch.addcmul(ZERO, q, factors, value=factor * self.scale, out=gradient)
            else:
                torch.mul(q, factor * self.scale * (1.0 if factors is None else factors), out=gradient)
        if self.gamma:
            loss.mul_(focus)
        elif self.weight is not None:
            loss.mul_(self.weight)


def _by_target(positive: PerClass | None, negative: PerClass | None, y: Tensor) -> PerClass | None:
    """Return the weight of each element: ``positive`` if y is 1, ``negative`` if y is 0."""
    if positive is negative:
        return positive
    positive, negative = (1.0 if value is None else value for value in (positive, negative))
    start, end = (torch.as_tensor(value, dtype=y.dtype, device=y.device).expand_as(y) for value in (negative, positive))
    return torch.lerp(start, end, y)
