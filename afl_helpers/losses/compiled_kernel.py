"""Focal loss and its gradient for torch.compile, in a form that it turns into one kernel."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from afl_helpers.losses.base import PerClass


# Compiled, the plain formula takes 2.1 to 2.6 times as long at 512 x 10,000 and 1.2 times at 16 x 363.
class CompiledFocal(torch.autograd.Function):
    """The loss of each element, with the gradient written beside it: one kernel forward, one product back.

    A compiled function takes no tensor twice. ``same`` says whether the negatives use the gamma and the alpha of the
    positives; their own are then None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        targets: Tensor,
        same: tuple[bool, bool],
        gamma: PerClass | None,
        gamma_negative: PerClass | None,
        alpha: PerClass | None,
        alpha_negative: PerClass | None,
    ) -> Tensor:
        gamma_negative = gamma if same[0] else gamma_negative
        alpha_negative = alpha if same[1] else alpha_negative
        small = torch.exp(-logits.abs())
        log_large, large = torch.log1p(small), 1 / (1 + small)
        log_p, log_q = logits.clamp(max=0) - log_large, -logits.clamp(min=0) - log_large
        p = torch.where(logits >= 0, large, small * large)
        q = torch.where(logits >= 0, small * large, large)
        positive, negative, positive_gradient, negative_gradient = -log_p, -log_q, -q, p
        if gamma is not None:
            weight = torch.exp(gamma * log_q)
            positive, positive_gradient = weight * positive, weight * (positive_gradient + gamma * p * log_p)
        if gamma_negative is not None:
            weight = torch.exp(gamma_negative * log_p)
            negative, negative_gradient = weight * negative, weight * (negative_gradient - gamma_negative * q * log_q)
        if alpha is not None:
            positive, positive_gradient = alpha * positive, alpha * positive_gradient
        if alpha_negative is not None:
            negative, negative_gradient = alpha_negative * negative, alpha_negative * negative_gradient
        ctx.save_for_backward(targets * positive_gradient + (1 - targets) * negative_gradient)
        return targets * positive + (1 - targets) * negative

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None, None, None, None, None
