"""Losses whose gradient is computed together with the loss, and kept until the backward pass asks for it."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import forward_ad

from afl_helpers.losses.base import in_trace


class Compute(Protocol):
    """Returns the loss, and its gradient with respect to the logits if that is asked for."""

    def __call__(self, logits: Tensor, targets: Tensor, *, with_gradient: bool) -> tuple[Tensor, Tensor | None]: ...


#: Returns the loss in operations of torch, for derivatives of the gradient.
Formula = Callable[[Tensor, Tensor], Tensor]


def has_fast_path(logits: Tensor, *others: Tensor) -> bool:
    """Return whether a kernel for the CPU applies: eager, and with nothing but the logits to differentiate."""
    return (
        not in_trace()
        and all(
            type(value) in (Tensor, torch.nn.Parameter) and value.device.type == "cpu" for value in (logits, *others)
        )
        and not any(value.requires_grad for value in others)
        and not any(_has_tangent(value) for value in (logits, *others))
    )


def _has_tangent(value: Tensor) -> bool:
    """Return whether forward-mode differentiation goes through this tensor."""
    return forward_ad.unpack_dual(value).tangent is not None  # type: ignore[no-untyped-call]  # torch leaves it untyped


def with_kept_gradient(logits: Tensor, targets: Tensor, compute: Compute, formula: Formula) -> Tensor:
    """Return the loss that ``compute`` and ``formula`` return.

    Args:
        logits, targets: (..., n_labels).
        compute: the loss is a scalar, (...,) or (..., n_labels); the gradient, that of the sum, is (..., n_labels).
        formula: the same loss, differentiable.
    """
    loss: Tensor = _KeptGradient.apply(logits, targets, compute, formula)  # type: ignore[no-untyped-call]  # by torch
    return loss


def _is_batched(upstream: Tensor) -> bool:
    """Return whether this stands for several gradients at once, as in a vectorized Jacobian."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(upstream) or functorch.is_legacy_batchedtensor(upstream)


class _KeptGradient(torch.autograd.Function):
    """See :func:`with_kept_gradient`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, compute: Compute, formula: Formula) -> Tensor:
        ctx.save_for_backward(logits, targets)
        ctx.compute, ctx.formula = compute, formula
        with_gradient = ctx.needs_input_grad[0] and not torch.is_inference_mode_enabled()
        loss, ctx.gradient = compute(logits.detach(), targets, with_gradient=with_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        logits, targets = ctx.saved_tensors
        none = (None,) * 3
        if torch.is_grad_enabled():  # the gradient itself will be differentiated
            loss = ctx.formula(logits, targets)
            return torch.autograd.grad(loss, logits, upstream, create_graph=True)[0], *none
        # The first backward gives its memory away; a second one over the same graph computes the gradient again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = ctx.compute(logits.detach(), targets, with_gradient=True)[1]
        if 0 < upstream.ndim < gradient.ndim:  # one per document
            upstream = upstream.unsqueeze(-1)
        if _is_batched(upstream):
            return gradient * upstream, *none
        if upstream.ndim or upstream != 1:
            gradient.mul_(upstream)
        return gradient, *none
