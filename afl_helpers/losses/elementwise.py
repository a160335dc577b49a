"""Losses that fall apart into elements, in the fastest form that applies: CPU kernel, or plain formula."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from afl_helpers.losses.base import (
    check_mask,
    check_target_range,
    in_trace,
    mix,
    reduce_loss,
    reduction_divisor,
    widest,
)
from afl_helpers.losses.costs import Cost
from afl_helpers.losses.cpu_kernel import loss_and_gradient


def elementwise_loss(
    logits: Tensor,
    targets: Tensor,
    positive: Cost,
    negative: Cost,
    mask: Tensor | None,
    reduction: str,
    weight: Callable[[Tensor], Tensor] | None = None,
    soften: Callable[[Tensor], Tensor] | None = None,
    kept: Tensor | None = None,
    wide: bool = False,
) -> Tensor:
    """Return the reduced loss of elements that cost ``y * positive + (1 - y) * negative``.

    Args:
        logits, targets: as :func:`~afl_helpers.losses.base.check_inputs` returns them.
        positive, negative: their tensors may have any floating-point type.
        weight: from targets (..., n_labels) to factors on their elements; None is 1. It may look at the other labels of
            a document, and is not differentiated.
        soften: from targets (..., n_labels) to those that the costs are mixed by, of the same type.
        kept: of the shape of the logits, False for an element without loss and gradient that counts in a mean.
        wide: whether to compute in float64, where the device has it.
    """
    result = torch.float64 if logits.dtype == torch.float64 else torch.float32
    dtype = widest(logits.device) if wide else result
    if not has_fast_path(logits, targets, positive, negative):
        y = check_target_range(targets.to(dtype)) if in_trace() else check_target_range(targets).to(dtype)
        elements = _plain(logits.to(dtype), y, positive, negative, weight, soften)
        if kept is not None:
            elements = torch.where(kept, elements, 0.0)
        return reduce_loss(elements, reduction, mask).to(result)
    positive, negative = (
        cost.map(lambda value: value.to(dtype) if value.ndim else value.double()) for cost in (positive, negative)
    )
    divisor = None if reduction == "none" else reduction_divisor(logits, reduction)
    if mask is not None:
        mask = check_mask(mask, logits)
        kept = mask if kept is None else kept & mask
        divisor = max(1, int(mask.count_nonzero())) if reduction == "mean" else divisor
    loss: Tensor = _OnCPU.apply(  # type: ignore[no-untyped-call]  # by torch
        logits, targets, positive, negative, weight, soften, kept, dtype, divisor
    )
    return loss


def _plain(
    z: Tensor,
    y: Tensor,
    positive: Cost,
    negative: Cost,
    weight: Callable[[Tensor], Tensor] | None,
    soften: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    """Return the loss of each element by the formulas, for any device, derivative and trace."""
    positive, negative = (cost.map(lambda value: value.to(z.dtype).to(z.device)) for cost in (positive, negative))
    soft = y if soften is None else soften(y)
    elements = mix(soft, positive.formula(z), negative.formula(z))
    return elements if weight is None else weight(y) * elements


def has_fast_path(logits: Tensor, targets: Tensor, positive: Cost, negative: Cost) -> bool:
    """Return whether the CPU kernel applies: eager, on a CPU, and with nothing but the logits to differentiate."""
    if in_trace():
        return False
    tensors = (logits, targets, *positive.tensors(), *negative.tensors())
    return (
        all(type(value) in (Tensor, torch.nn.Parameter) and value.device.type == "cpu" for value in tensors)
        and not any(value.requires_grad for value in tensors[1:])
        and not any(_has_tangent(value) for value in tensors)
    )


def _has_tangent(value: Tensor) -> bool:
    """Return whether forward-mode differentiation goes through this tensor."""
    return forward_ad.unpack_dual(value).tangent is not None  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _is_batched(upstream: Tensor) -> bool:
    """Return whether this stands for several gradients at once, as in a vectorized Jacobian."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(upstream) or functorch.is_legacy_batchedtensor(upstream)


class _OnCPU(torch.autograd.Function):
    """Keeps the gradient that the CPU kernel computes with the loss; a second derivative uses the plain formula."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        targets: Tensor,
        positive: Cost,
        negative: Cost,
        weight: Callable[[Tensor], Tensor] | None,
        soften: Callable[[Tensor], Tensor] | None,
        kept: Tensor | None,
        dtype: torch.dtype,
        divisor: float | None,
    ) -> Tensor:
        ctx.save_for_backward(logits, targets)
        ctx.arguments = positive, negative, weight, soften, kept, dtype, divisor
        with_gradient = ctx.needs_input_grad[0] and not torch.is_inference_mode_enabled()
        loss, ctx.gradient = loss_and_gradient(
            logits.detach(), targets, positive, negative, weight, soften, kept, dtype, divisor, with_gradient
        )
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        logits, targets = ctx.saved_tensors
        positive, negative, weight, soften, kept, dtype, divisor = ctx.arguments
        none = (None,) * 8
        if torch.is_grad_enabled():  # the gradient itself will be differentiated
            elements = _plain(logits.to(dtype), targets.to(dtype), positive, negative, weight, soften)
            elements = elements if kept is None else torch.where(kept, elements, 0.0)
            loss = (elements if divisor is None else elements.sum() / divisor).to(upstream.dtype)
            return torch.autograd.grad(loss, logits, upstream, create_graph=True)[0], *none
        # The first backward gives its memory away; a second one over the same graph computes the gradient again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = loss_and_gradient(
                logits.detach(), targets, positive, negative, weight, soften, kept, dtype, divisor, True
            )[1]
        if _is_batched(upstream):
            return gradient * upstream, *none
        if divisor is None or upstream != 1:
            gradient.mul_(upstream)
        return gradient, *none
