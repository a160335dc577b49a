"""The losses as pure functions of logits, in log space.

With ``p = sigmoid(z)`` every factor is the exponential of a ``logsigmoid``: ``log p = logsigmoid(z)`` and
``(1 - p)^gamma = exp(gamma * logsigmoid(-z))``. Nothing is clamped, so loss and gradient are finite and correctly
signed for every logit and gamma >= 0, also below 1, as long as their product stays within float32. Half-precision logits are computed, and the result
returned, in float32: a sum over some thousand elements overflows float16.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from afl_helpers.errors import UsageError, unknown_name

REDUCTIONS = ("mean", "sum", "sum_over_classes", "none")

PerClass = float | Tensor


def reduce_loss(elements: Tensor, reduction: str = "mean", mask: Tensor | None = None) -> Tensor:
    """Reduce element losses of shape (batch, n_labels).

    Args:
        reduction: ``"mean"`` over the elements that count; ``"sum"``; ``"sum_over_classes"``: sum over the labels, mean
            over the documents (Eq. 3, averaged over the batch); ``"none"``: shape (batch, n_labels).
        mask: (batch, n_labels), False or 0 where an element does not count; it then adds neither loss nor gradient. A
            mean over no element is 0.
    """
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)
    if mask is None:
        n_counted = elements.numel()
    else:
        check_shape("mask", mask, elements)
        elements = torch.where(mask.bool(), elements, 0.0)
        n_counted = mask.count_nonzero().clamp(min=1)
    if reduction == "none":
        return elements
    if reduction == "mean":
        return elements.sum() / n_counted
    if reduction == "sum_over_classes":
        return elements.sum() / elements.shape[0]
    return elements.sum()


def check_shape(name: str, tensor: Tensor, logits: Tensor) -> None:
    """An error unless ``tensor`` has the logits' shape: broadcasting here is always a mistake."""
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


def prepare(logits: Tensor, targets: Tensor, **per_class: PerClass | None) -> tuple[Tensor, Tensor]:
    """Check shapes; return logits and targets in float32, or float64 where the logits are."""
    if not logits.is_floating_point() or logits.ndim == 0:
        raise UsageError(
            f"logits are {logits.dtype} of shape {tuple(logits.shape)}; pass floating-point logits (batch, n_labels)"
        )
    check_shape("targets", targets, logits)
    for name, value in per_class.items():
        if value is not None:
            check_per_class(name, value, logits)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits, targets.to(logits)


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, *, mask: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy, the loss of the paper's baseline: ``-y log p - (1 - y) log(1 - p)``.

    Args:
        logits: (batch, n_labels) floating point.
        targets: (batch, n_labels) in [0, 1]; soft targets are allowed.
        mask, reduction: see :func:`reduce_loss`.
    """
    logits, targets = prepare(logits, targets)
    elements = -(targets * logsigmoid(logits) + (1 - targets) * logsigmoid(-logits))
    return reduce_loss(elements, reduction, mask)


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

    Raises:
        UsageError: shapes do not fit.
    """
    logits, targets = prepare(
        logits, targets, gamma=gamma, alpha=alpha, gamma_negative=gamma_negative, alpha_negative=alpha_negative
    )
    gamma, alpha, gamma_negative, alpha_negative = (
        value.to(logits) if isinstance(value, Tensor) else value
        for value in (gamma, alpha, gamma if gamma_negative is None else gamma_negative, alpha_negative)
    )
    log_p, log_not_p = logsigmoid(logits), logsigmoid(-logits)
    positive = torch.exp(gamma * log_not_p) * log_p
    negative = torch.exp(gamma_negative * log_p) * log_not_p
    if alpha is not None:
        positive = alpha * positive
    if alpha_negative is not None:
        negative = alpha_negative * negative
    return reduce_loss(-(targets * positive + (1 - targets) * negative), reduction, mask)
