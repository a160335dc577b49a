"""The losses as pure functions of logits, in log space.

With ``p = sigmoid(z)`` every factor is the exponential of a ``logsigmoid``: ``log p = logsigmoid(z)`` and
``(1 - p)^gamma = exp(gamma * logsigmoid(-z))``. Nothing is clamped, so loss and gradient are finite and correctly
signed for every logit and gamma >= 0, also below 1, as long as their product stays within float32. Half-precision
logits are computed, and the result returned, in float32: a sum over some thousand elements overflows float16.

Every function takes ``mask`` and ``reduction`` as :func:`reduce_loss` does. A masked element adds neither loss nor
gradient, whatever its logit and target hold.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.losses.cpu_kernel import check_range, focal_elements, focal_sum, has_fast_path, in_trace

REDUCTIONS = ("mean", "sum", "sum_over_classes", "none")

PerClass = float | Tensor


# --- what all losses share ------------------------------------------------------------------------------------------


def reduce_loss(elements: Tensor, reduction: str = "mean", mask: Tensor | None = None) -> Tensor:
    """Reduce element losses of shape (batch, n_labels).

    Args:
        elements: (batch, n_labels).
        reduction: ``"mean"`` over the elements that count; ``"sum"``; ``"sum_over_classes"``: sum over the labels, mean
            over the documents (Eq. 3, averaged over the batch); ``"none"``: shape (batch, n_labels).
        mask: (batch, n_labels), False or 0 where an element does not count; it then adds neither loss nor gradient. A
            mean over no element is 0.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``.

    Raises:
        UsageError: an unknown reduction, or a mask of another shape.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import reduce_loss
        >>> elements = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> reduce_loss(elements).item(), reduce_loss(elements, "sum_over_classes").item()  # 12 / 4 and (3 + 9) / 2
        (3.0, 6.0)
        >>> reduce_loss(elements, mask=torch.tensor([[1, 1], [1, 0]])).item()  # the 6 does not count: 6 / 3
        2.0
    """
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    if mask is not None:
        check_shape("mask", mask, elements)
        elements = torch.where(mask.bool(), elements, 0.0)
    if reduction == "none":
        return elements
    if mask is not None and reduction == "mean":
        return elements.sum() / mask.count_nonzero().clamp(min=1)
    return elements.sum() / _divisor(elements, reduction)


def _divisor(elements: Tensor, reduction: str) -> int:
    """What the sum over all elements is divided by."""
    return max(1, {"mean": elements.numel(), "sum_over_classes": elements.shape[0], "sum": 1}[reduction])


def check_shape(name: str, tensor: Tensor, logits: Tensor) -> None:
    """An error unless ``tensor`` has the logits' shape: broadcasting here is always a mistake."""
    if not isinstance(tensor, Tensor):
        raise UsageError(
            f"{name} are of type {type(tensor).__name__}; pass a torch tensor, as torch.as_tensor makes one"
        )
    if tensor.shape != logits.shape:
        raise UsageError(
            f"{name} has shape {tuple(tensor.shape)}, logits have {tuple(logits.shape)}; both must be (batch, n_labels)"
        )


def check_per_class(name: str, value: PerClass, logits: Tensor) -> None:
    """An error unless ``value`` is one number or holds one number per label of ``logits``."""
    if isinstance(value, Tensor) and value.ndim and tuple(value.shape) != (logits.shape[-1],):
        raise UsageError(
            f"{name} has shape {tuple(value.shape)}, logits have {logits.shape[-1]} labels; "
            f"pass one number or a tensor of shape ({logits.shape[-1]},)"
        )


def check_hard(targets: Tensor, loss: str) -> None:
    """An error where a target is neither 0 nor 1, for a loss that means nothing by others; not checked in a trace."""
    if in_trace():
        return
    soft = (targets != 0) & (targets != 1)
    if soft.any():
        raise UsageError(
            f"targets hold {targets[soft][0].item():g}; {loss} takes targets of 0 and 1 alone, and a mask for unknown ones"
        )


def prepare(
    logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str, **per_class: PerClass | None
) -> tuple[Tensor, Tensor]:
    """Check shapes; the logits and targets, both 0 where ``mask`` is, so that a masked NaN reaches no gradient."""
    if not logits.is_floating_point() or logits.ndim == 0:
        raise UsageError(
            f"logits are {logits.dtype} of shape {tuple(logits.shape)}; pass floating-point logits (batch, n_labels)"
        )
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    check_shape("targets", targets, logits)
    for name, value in per_class.items():
        check_per_class(name, value, logits)
    if mask is None:
        return logits, targets
    check_shape("mask", mask, logits)
    counted = mask.bool()
    return torch.where(counted, logits, 0.0), torch.where(counted, targets, torch.zeros_like(targets))


def _core(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32, or in float64 where the logits are; targets out of range are an error where checking is cheap."""
    if targets.device.type == "cpu" and not in_trace():
        check_range(targets)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits, targets.to(logits.dtype)


def _to(logits: Tensor, *values: PerClass | None) -> tuple[PerClass | None, ...]:
    return tuple(value.to(logits) if isinstance(value, Tensor) else value for value in values)


def _mix(targets: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """The cost of each element; a soft target mixes the two."""
    return targets * positive + (1 - targets) * negative


# --- cross-entropy and the focal family -----------------------------------------------------------------------------


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    pos_weight: PerClass | None = None,
    weight: PerClass | None = None,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy, the loss of the paper's baseline: ``-y log p - (1 - y) log(1 - p)``.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels) in [0, 1]; a soft target mixes the two costs.
        pos_weight: number or (n_labels,), weight of the positives alone.
        weight: number or (n_labels,), weight of positives and negatives.
        mask, reduction: see :func:`reduce_loss`.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``; float64 where the logits are, else float32.

    Raises:
        UsageError: shapes do not fit, integer logits, an unknown reduction, or (on a CPU) a target outside [0, 1].

    Example:
        >>> import torch
        >>> from afl_helpers.losses import binary_cross_entropy
        >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
        >>> round(binary_cross_entropy(logits, targets).item(), 4)  # log 2, of the positive and of the negative
        0.6931
        >>> round(binary_cross_entropy(logits, targets, pos_weight=3.0).item(), 4)  # (3 + 1) / 2 * log 2
        1.3863
    """
    logits, targets = prepare(logits, targets, mask, reduction, pos_weight=pos_weight, weight=weight)
    positive = weight if pos_weight is None else pos_weight if weight is None else pos_weight * weight
    return _focal(logits, targets, None, None, positive, weight, mask, reduction)


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: PerClass = 2.0,
    alpha: PerClass | None = None,
    gamma_negative: PerClass | None = None,
    alpha_negative: PerClass | None = None,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss of Lin et al. (ICCV 2017), the paper's Eq. 1, with every parameter free per class.

    A positive costs ``-alpha (1 - p)^gamma log p``, a negative ``-alpha_negative p^gamma_negative log(1 - p)``. With
    one gamma for each class this is the adaptive focal loss, Eq. 3, before its sum over the classes.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels) in [0, 1]; a soft target mixes the two costs.
        gamma, gamma_negative: number or (n_labels,), at least 0; ``gamma_negative`` is ``gamma`` unless given.
        alpha, alpha_negative: number or (n_labels,) weights of positives and negatives; None is 1.
        mask, reduction: see :func:`reduce_loss`.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``; float64 where the logits are, else float32.

    Raises:
        UsageError: shapes do not fit, integer logits, an unknown reduction, or (on a CPU) a target outside [0, 1].

    Example:
        >>> import torch
        >>> from afl_helpers.losses import focal_loss
        >>> logits, targets = torch.zeros(1, 3), torch.ones(1, 3)  # three positives with p = 1 / 2
        >>> gamma = torch.tensor([0.0, 1.0, 2.0])
        >>> torch.round(focal_loss(logits, targets, gamma, reduction="none"), decimals=4)  # log 2 times 1, 1/2 and 1/4
        tensor([[0.6931, 0.3466, 0.1733]])
    """
    logits, targets = prepare(
        logits,
        targets,
        mask,
        reduction,
        gamma=gamma,
        alpha=alpha,
        gamma_negative=gamma_negative,
        alpha_negative=alpha_negative,
    )
    negative = gamma if gamma_negative is None else gamma_negative
    return _focal(logits, targets, gamma, negative, alpha, alpha_negative, mask, reduction)


def _focal(logits, targets, gamma, gamma_negative, alpha, alpha_negative, mask, reduction) -> Tensor:
    """The focal family: on a CPU in one pass over blocks of rows, elsewhere and in a trace by formulas of tensors."""
    parameters = gamma, gamma_negative, alpha, alpha_negative
    fast = has_fast_path(logits, targets, *parameters)
    if fast and mask is None and reduction != "none":
        return focal_sum(logits, targets, _divisor(logits, reduction), *parameters)
    if not fast:
        logits, targets = _core(logits, targets)
        parameters = _to(logits, *parameters)
    elements = focal_elements(logits, targets, *parameters, fast=fast)
    return reduce_loss(elements, reduction, mask)


def flsd_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: float = 3.0,
    gammas: tuple[float, float] = (5.0, 3.0),
    limits: tuple[float, float] = (0.2, 0.5),
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss with a gamma that follows the sample (FLSD-53 of Mukhoti et al., NeurIPS 2020, section 5).

    gamma is ``gammas[0]`` where p_t is below ``limits[0]``, ``gammas[1]`` up to ``limits[1]`` and ``gamma`` above; it is
    not differentiated. The authors use a softmax; one sigmoid per label is our transfer. The loss jumps where
    gamma falls: it is not monotone.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels) in [0, 1]; a soft target mixes the two costs.
        gamma: number, at least 0: where p_t is not below either limit.
        gammas: two numbers, at least 0: below the first limit, and from the first to the second.
        limits: two values of p_t in (0, 1), in order.
        mask, reduction: see :func:`reduce_loss`.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``; float64 where the logits are, else float32.

    Raises:
        UsageError: shapes do not fit, integer logits, an unknown reduction, or (on a CPU) a target outside [0, 1].

    Example:
        >>> import torch
        >>> from afl_helpers.losses import flsd_loss
        >>> logits = torch.logit(torch.tensor([[0.19, 0.21]]))
        >>> elements = flsd_loss(logits, torch.ones(1, 2), reduction="none")
        >>> torch.round(elements, decimals=4)  # 0.81^5 * -log 0.19, 0.79^3 * -log 0.21: gamma falls, the loss jumps
        tensor([[0.5791, 0.7695]])
    """
    logits, targets = _core(*prepare(logits, targets, mask, reduction))

    def of(sign: Tensor) -> Tensor:
        low, middle = (math.log(p / (1 - p)) for p in limits)
        chosen = torch.full_like(sign, gamma).masked_fill(sign < middle, gammas[1]).masked_fill(sign < low, gammas[0])
        return -torch.exp(chosen * logsigmoid(-sign)) * logsigmoid(sign)

    return reduce_loss(_mix(targets, of(logits), of(-logits)), reduction, mask)


# --- the asymmetric family ------------------------------------------------------------------------------------------


def _log_one_minus_exp(d: Tensor) -> Tensor:
    """``log(1 - exp(-d))`` for d > 0, exact at both ends."""
    small = d < math.log(2.0)
    near, far = torch.where(small, d, 1.0), torch.where(small, 1.0, d)
    return torch.where(small, torch.log(-torch.expm1(-near)), torch.log1p(-torch.exp(-far)))


class _Shifted:
    """The shifted probability ``p_m = max(p - margin, 0)`` of a negative, in logs.

    ``p - margin`` cancels where p is near the margin, so it is taken as ``p (1 - margin) (1 - exp(-d))`` with d the
    distance of the logit from that of the margin.
    """

    def __init__(self, logits: Tensor, margin: float):
        if margin == 0:
            self.inside = None
            self.log_p, self.log_rest = logsigmoid(logits), logsigmoid(-logits)
            self.p, self.rest = torch.sigmoid(logits), torch.sigmoid(-logits)
            return
        cut = math.log(margin / (1 - margin))
        coarse = torch.tensor(cut, dtype=torch.float32).item()
        distance = (logits - coarse) - (cut - coarse)  # in two steps: the first is exact where it matters
        self.inside = distance > 1e-30
        log_p = _log_one_minus_exp(torch.where(self.inside, distance, 1.0)) + logsigmoid(logits) + math.log1p(-margin)
        p, rest = torch.exp(log_p), torch.sigmoid(-logits) + margin
        small = p < 0.5
        log_rest = torch.where(small, torch.log1p(-torch.where(small, p, 0.0)), torch.log(rest))
        self.log_p = log_p
        self.p, self.rest = torch.where(self.inside, p, 0.0), torch.where(self.inside, rest, 1.0)
        self.log_rest = torch.where(self.inside, log_rest, 0.0)

    def power(self, gamma: PerClass) -> Tensor:
        """``p_m^gamma``, with 0^0 = 1."""
        inside = torch.exp(gamma * self.log_p)
        if self.inside is None:
            return inside
        outside = torch.as_tensor(gamma, dtype=inside.dtype, device=inside.device) == 0
        return torch.where(self.inside, inside, outside.to(inside.dtype))


def _asymmetric(logits: Tensor, gamma_positive: PerClass, gamma_negative: PerClass, margin: float):
    """Cost of a positive and of a negative, element by element."""
    shifted = _Shifted(logits, margin)
    positive = -torch.exp(gamma_positive * logsigmoid(-logits)) * logsigmoid(logits)
    return positive, -shifted.power(gamma_negative) * shifted.log_rest


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: PerClass = 0.0,
    gamma_negative: PerClass = 4.0,
    margin: float = 0.05,
    *,
    weight: PerClass | None = None,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Asymmetric loss (ASL, Ridnik et al., ICCV 2021, Eq. 7).

    A positive costs ``-(1 - p)^gamma_positive log p``, a negative ``-p_m^gamma_negative log(1 - p_m)`` with
    ``p_m = max(p - margin, 0)``: a negative below the margin has no loss and no gradient, by definition.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels) in [0, 1]; a soft target mixes the two costs.
        gamma_positive, gamma_negative: number or (n_labels,), at least 0.
        margin: in [0, 1).
        weight: number or (n_labels,), weight of positives and negatives; None is 1.
        mask, reduction: see :func:`reduce_loss`.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``; float64 where the logits are, else float32.

    Raises:
        UsageError: shapes do not fit, integer logits, an unknown reduction, or (on a CPU) a target outside [0, 1].

    Example:
        >>> import torch
        >>> from afl_helpers.losses import asymmetric_loss
        >>> logits, targets = torch.logit(torch.tensor([[0.04, 0.5]])), torch.zeros(1, 2)
        >>> torch.round(asymmetric_loss(logits, targets, reduction="none"), decimals=4)  # below the margin: nothing
        tensor([[0.0000, 0.0245]])
        >>> plain = asymmetric_loss(logits, targets, gamma_negative=0.0, margin=0.0, reduction="none")
        >>> torch.round(plain, decimals=4)  # cross-entropy
        tensor([[0.0408, 0.6931]])
    """
    logits, targets = _core(
        *prepare(
            logits,
            targets,
            mask,
            reduction,
            gamma_positive=gamma_positive,
            gamma_negative=gamma_negative,
            weight=weight,
        )
    )
    gamma_positive, gamma_negative, weight = _to(logits, gamma_positive, gamma_negative, weight)
    elements = _mix(targets, *_asymmetric(logits, gamma_positive, gamma_negative, margin))
    return reduce_loss(elements if weight is None else weight * elements, reduction, mask)


def _polynomial_positive(logits: Tensor, epsilon_1: float, epsilon_2: float) -> Tensor:
    """``-(log p + epsilon_1 q + epsilon_2/2 q^2)`` with q = 1 - p.

    At epsilon_1 = 1 the terms in q cancel. ``-log p - q`` is therefore taken from its series where q is small.
    """
    q = torch.sigmoid(-logits)
    small = q < 0.05
    near = torch.where(small, q, 0.0)
    series = torch.zeros_like(near)
    for k in range(12, 1, -1):
        series = (series + 1 / k) * near
    rest = torch.where(small, series * near, -logsigmoid(logits) - q)
    return (1 - epsilon_1) * q + rest - 0.5 * epsilon_2 * q**2


def asymmetric_polynomial_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: PerClass = 0.0,
    gamma_negative: PerClass = 4.0,
    margin: float = 0.05,
    epsilon_1: float = 1.0,
    epsilon_2: float = -2.5,
    epsilon_negative: float = 0.0,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Asymmetric polynomial loss (APL, Huang et al., ICASSP 2023), as the authors' code has it.

    :func:`asymmetric_loss` with ``log p`` replaced by ``log p + epsilon_1 (1 - p) + epsilon_2/2 (1 - p)^2`` and
    ``log(1 - p_m)`` by ``log(1 - p_m) + epsilon_negative (1 - p_m)``. The focusing weights are not differentiated.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels) in [0, 1]; a soft target mixes the two costs.
        gamma_positive, gamma_negative: number or (n_labels,), at least 0.
        margin: in [0, 1).
        epsilon_1, epsilon_2, epsilon_negative: coefficients of the polynomial terms.
        mask, reduction: see :func:`reduce_loss`.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``; float64 where the logits are, else float32.

    Raises:
        UsageError: shapes do not fit, integer logits, an unknown reduction, or (on a CPU) a target outside [0, 1].

    Example:
        >>> import torch
        >>> from afl_helpers.losses import asymmetric_polynomial_loss
        >>> logits, targets = torch.zeros(1, 1), torch.ones(1, 1)  # a positive with p = 1 / 2
        >>> round(asymmetric_polynomial_loss(logits, targets, epsilon_1=0.0, epsilon_2=0.0).item(), 4)  # log 2
        0.6931
        >>> round(asymmetric_polynomial_loss(logits, targets).item(), 4)  # log 2 - 1 / 2 + 2.5 / 2 / 4
        0.5056
    """
    logits, targets = _core(
        *prepare(logits, targets, mask, reduction, gamma_positive=gamma_positive, gamma_negative=gamma_negative)
    )
    gamma_positive, gamma_negative = _to(logits, gamma_positive, gamma_negative)
    shifted = _Shifted(logits, margin)
    focus_positive = torch.exp(gamma_positive * logsigmoid(-logits)).detach()
    positive = focus_positive * _polynomial_positive(logits, epsilon_1, epsilon_2)
    negative = -shifted.power(gamma_negative).detach() * (shifted.log_rest + epsilon_negative * shifted.rest)
    return reduce_loss(_mix(targets, positive, negative), reduction, mask)


def robust_asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: PerClass = 0.0,
    gamma_negative: PerClass = 4.0,
    margin: float = 0.05,
    epsilon_1: float = 1.0,
    epsilon_2: float = -2.5,
    epsilon_negative: float = 0.0,
    lambda_: float = 1.5,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Robust asymmetric loss (RAL, Park et al., ICCVW 2023), as the authors' code has it, without its clamps.

    :func:`asymmetric_polynomial_loss` whose negative part is multiplied by ``(lambda_ - p) p^2 (lambda_ - (1 - p_m))``, the
    factor of the Hill loss. The focusing weights are differentiated. The printed paper may differ.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels) in [0, 1]; a soft target mixes the two costs.
        gamma_positive, gamma_negative: number or (n_labels,), at least 0.
        margin: in [0, 1).
        epsilon_1, epsilon_2, epsilon_negative: coefficients of the polynomial terms.
        lambda_: at least 1, so that no factor is negative.
        mask, reduction: see :func:`reduce_loss`.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``; float64 where the logits are, else float32.

    Raises:
        UsageError: shapes do not fit, integer logits, an unknown reduction, or (on a CPU) a target outside [0, 1].

    Example:
        >>> import torch
        >>> from afl_helpers.losses import robust_asymmetric_loss
        >>> logits, targets = torch.zeros(1, 1), torch.zeros(1, 1)  # a negative with p = 1 / 2
        >>> loss = robust_asymmetric_loss(logits, targets, gamma_negative=0.0, margin=0.0, lambda_=1.5)
        >>> round(loss.item(), 4)  # log 2 times (1.5 - 1/2) (1/2)^2 (1.5 - 1/2)
        0.1733
    """
    logits, targets = _core(
        *prepare(logits, targets, mask, reduction, gamma_positive=gamma_positive, gamma_negative=gamma_negative)
    )
    gamma_positive, gamma_negative = _to(logits, gamma_positive, gamma_negative)
    shifted = _Shifted(logits, margin)
    positive = torch.exp(gamma_positive * logsigmoid(-logits)) * _polynomial_positive(logits, epsilon_1, epsilon_2)
    # lambda_ - p and lambda_ - (1 - p_m) as sums: at lambda_ = 1 the differences cancel.
    hill = ((lambda_ - 1) + torch.sigmoid(-logits)) * torch.exp(2 * logsigmoid(logits)) * ((lambda_ - 1) + shifted.p)
    negative = -shifted.power(gamma_negative) * (shifted.log_rest + epsilon_negative * shifted.rest) * hill
    return reduce_loss(_mix(targets, positive, negative), reduction, mask)


# --- margins and rebalancing ----------------------------------------------------------------------------------------


def ldam_loss(
    logits: Tensor,
    targets: Tensor,
    margin: PerClass,
    scale: float = 30.0,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Label-distribution-aware margins with a sigmoid per label: cross-entropy on ``scale (z - margin y)``.

    Our construction after Cao et al. (NeurIPS 2019), who use a softmax: a positive must clear its class's margin.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels) in [0, 1]; a soft target mixes the two costs.
        margin: number or (n_labels,), at least 0; larger for rarer classes.
        scale: factor on the logits, above 0.
        mask, reduction: see :func:`reduce_loss`.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``; float64 where the logits are, else float32.

    Raises:
        UsageError: shapes do not fit, integer logits, an unknown reduction, or (on a CPU) a target outside [0, 1].

    Example:
        >>> import torch
        >>> from afl_helpers.losses import ldam_loss
        >>> logits, targets = torch.tensor([[2.0, 2.0]]), torch.ones(1, 2)
        >>> elements = ldam_loss(logits, targets, margin=torch.tensor([0.0, 2.0]), scale=1.0, reduction="none")
        >>> torch.round(elements, decimals=4)  # the second has just reached its margin: log 2
        tensor([[0.1269, 0.6931]])
    """
    logits, targets = _core(*prepare(logits, targets, mask, reduction, margin=margin))
    (margin,) = _to(logits, margin)
    positive, negative = -logsigmoid(scale * (logits - margin)), -logsigmoid(-scale * logits)
    return reduce_loss(_mix(targets, positive, negative), reduction, mask)


def distribution_balanced_loss(
    logits: Tensor,
    targets: Tensor,
    shift: PerClass = 0.0,
    negative_scale: float = 1.0,
    weight: PerClass | None = None,
    gamma: float = 2.0,
    alpha: float | None = 0.5,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The core of the distribution-balanced loss (Wu et al., ECCV 2020), focal form of BalancedLossNLP's code.

    Logits are shifted, ``z + shift``; those of negatives are then multiplied by ``negative_scale`` and their loss divided by
    it; on the result, focal loss with ``gamma`` and ``alpha`` (negatives 1 - alpha), times ``weight``. Computed in float64:
    adding the shift in float32 costs more digits than a large gamma leaves.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels), 0 or 1.
        shift: number or (n_labels,), log odds to start from.
        negative_scale: above 0.
        weight: number, (n_labels,) or (batch, n_labels); None is 1.
        gamma: at least 0.
        alpha: in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.
        mask, reduction: see :func:`reduce_loss`.

    Returns:
        A scalar, or (batch, n_labels) where ``reduction`` is ``"none"``; float64 where the logits are, else float32.

    Raises:
        UsageError: shapes do not fit, integer logits, an unknown reduction, or soft targets: the repetition of a
            document's labels has no meaning for them.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import distribution_balanced_loss
        >>> logits, targets = torch.tensor([[-1.0]]), torch.tensor([[0.0]])  # a negative, on its side of the boundary
        >>> plain = {"gamma": 0.0, "alpha": None}
        >>> round(distribution_balanced_loss(logits, targets, **plain).item(), 4)  # cross-entropy: log(1 + e^-1)
        0.3133
        >>> round(distribution_balanced_loss(logits, targets, negative_scale=2.0, **plain).item(), 4)  # log(1 + e^-2) / 2
        0.0635
    """
    logits, targets = prepare(logits, targets, mask, reduction, shift=shift)
    check_hard(targets, "the distribution-balanced family")
    result = torch.float64 if logits.dtype == torch.float64 else torch.float32
    logits, targets = logits.double(), targets.double()
    shift, weight = _to(logits, shift, weight)
    shifted = logits + shift
    positive, negative = shifted, -negative_scale * shifted
    positive = -torch.exp(gamma * logsigmoid(-positive)) * logsigmoid(positive)
    negative = -torch.exp(gamma * logsigmoid(-negative)) * logsigmoid(negative) / negative_scale
    if alpha is not None:
        positive, negative = alpha * positive, (1 - alpha) * negative
    elements = _mix(targets, positive, negative)
    return reduce_loss(elements if weight is None else weight * elements, reduction, mask).to(result)


def rebalancing_weight(
    targets: Tensor, frequency: Tensor, floor: float = 0.1, slope: float = 10.0, center: float = 0.9
) -> Tensor:
    """Weight of each element by how often its document is repeated for its other labels (Wu et al., Eq. 4-6).

    ``floor + sigmoid(slope (r - center))``, with r the inverse frequency of the label over the sum of the inverse
    frequencies of the document's labels. A document without labels has r infinite: weight ``floor + 1``.

    Args:
        targets: (batch, n_labels), 0 or 1.
        frequency: (n_labels,) training documents of each label, above 0.

    Returns:
        (batch, n_labels) float64.
    """
    inverse = 1 / frequency.to(targets.device, torch.float64)
    repeated = (targets.double() * inverse).sum(1, keepdim=True)
    return floor + torch.sigmoid(slope * (inverse / repeated - center))
