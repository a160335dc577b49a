"""Focal loss and its gradient on a CPU in one pass, block by block, in memory that stays in the cache.

With the plain formula, autograd writes about twenty intermediate tensors of the size of the logits. Here each
block of rows goes through all steps while it is in the cache, and only the gradient is written. The plain formula of
the same function is in :mod:`afl_helpers.losses.focal`.
"""

import torch
from torch import Tensor
from torch.autograd import forward_ad

from afl_helpers.losses.base import PerClass, check_target_range, in_trace

#: gamma and alpha of positives and negatives: gamma, gamma_negative, alpha, alpha_negative. Each is a number or
#: (n_labels,); None is a gamma of 0 or an alpha of 1.
FocalParameters = tuple[PerClass | None, PerClass | None, PerClass | None, PerClass | None]

#: Elements per block and thread: three buffers of this size fit the second-level cache.
_BLOCK = 100_000
_ZERO = torch.zeros(())


def has_fast_path(logits: Tensor, targets: Tensor, parameters: FocalParameters) -> bool:
    """Return whether this form applies: eager, on a CPU, and with nothing but the logits to differentiate."""
    if in_trace():
        return False
    tensors = (logits, targets, *(value for value in parameters if isinstance(value, Tensor)))
    return (
        all(type(value) in (Tensor, torch.nn.Parameter) and value.device.type == "cpu" for value in tensors)
        and not any(value.requires_grad for value in tensors[1:])
        and not any(_has_tangent(value) for value in tensors)
    )


def _has_tangent(value: Tensor) -> bool:
    """Return whether forward-mode differentiation goes through this tensor."""
    return forward_ad.unpack_dual(value).tangent is not None  # type: ignore[no-untyped-call]  # torch leaves it untyped


def loss_and_gradient(
    logits: Tensor, targets: Tensor, parameters: FocalParameters, divisor: float | None, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the focal loss and its gradient by the logits.

    Args:
        logits, targets: (..., n_labels).
        parameters: see :data:`FocalParameters`.
        divisor: the loss is the sum over all elements divided by it; None returns the loss of each element.
        with_gradient: whether to compute the gradient.

    Returns:
        The loss, a scalar or of the shape of the logits, and its gradient or None; float64 if the logits are, else
        float32.
    """
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    shape = logits.shape
    if len(shape) != 2:
        logits, targets = logits.reshape(-1, shape[-1]), targets.reshape(-1, shape[-1])
    gamma, gamma_negative, alpha, alpha_negative = (
        value.to(dtype) if isinstance(value, Tensor) else value for value in parameters
    )
    parameters = gamma, gamma_negative, alpha, alpha_negative
    small_gamma = dtype == torch.float32 and all(
        value is None or _largest(value) <= 8 for value in (gamma, gamma_negative)
    )
    elements = torch.empty(logits.shape, dtype=dtype) if divisor is None else None
    gradient = torch.empty(logits.shape, dtype=dtype) if with_gradient else None
    n, width = logits.shape
    n_rows = max(1, _BLOCK * torch.get_num_threads() // max(1, width))
    buffers = torch.empty((3, min(n_rows, n), width), dtype=dtype)
    sums = []
    for start in range(0, n, n_rows):
        rows = slice(start, start + n_rows)
        z, y = logits[rows], targets[rows]
        block_loss, block_gradient = (None if out is None else out[rows] for out in (elements, gradient))
        block = buffers if len(z) == buffers.shape[1] else buffers[:, : len(z)]
        total = _block(
            z.to(dtype), y.to(dtype), parameters, small_gamma, block.unbind(), block_loss, block_gradient, divisor
        )
        if total is not None:
            sums.append(total)
    if elements is not None:
        loss = elements.view(shape)
    else:
        loss = sums[0] if len(sums) == 1 else torch.tensor(sums, dtype=torch.float64).sum().to(dtype)  # none: 0
        loss.div_(divisor or 1)
    return loss, None if gradient is None else gradient.view(shape)


def _largest(value: PerClass) -> float:
    return value.max().item() if isinstance(value, Tensor) else value


def _block(
    z: Tensor,
    y: Tensor,
    parameters: FocalParameters,
    small_gamma: bool,
    buffers: tuple[Tensor, ...],
    loss: Tensor | None,
    gradient: Tensor | None,
    divisor: float | None,
) -> Tensor | None:
    """Write the losses to ``loss``, or return their sum if it is None; write the gradient to ``gradient`` if given."""
    gamma, gamma_negative, alpha, alpha_negative = parameters
    y_variance = torch.addcmul(y, y, y, value=-1, out=buffers[0]).view(-1)  # y (1 - y): 0 for hard targets
    if not torch.dot(y_variance, y_variance):
        gamma, alpha = _by_target(gamma, gamma_negative, y, 0.0), _by_target(alpha, alpha_negative, y, 1.0)
        return _hard_block(z, y, gamma, alpha, small_gamma, buffers, loss, gradient, divisor)
    check_target_range(y)
    positive, negative = torch.empty_like(z), torch.empty_like(z)
    positive_gradient = None if gradient is None else torch.empty_like(z)
    negative_gradient = None if gradient is None else torch.empty_like(z)
    ones, zeros = torch.ones_like(z), torch.zeros_like(z)
    _hard_block(z, ones, gamma, alpha, small_gamma, buffers, positive, positive_gradient, divisor)
    _hard_block(z, zeros, gamma_negative, alpha_negative, small_gamma, buffers, negative, negative_gradient, divisor)
    if positive_gradient is not None and negative_gradient is not None:
        torch.add(y * positive_gradient, (1 - y) * negative_gradient, out=gradient)
    total = torch.add(y * positive, (1 - y) * negative, out=loss)
    return total.sum() if loss is None else None


def _by_target(positive: PerClass | None, negative: PerClass | None, y: Tensor, missing: float) -> PerClass | None:
    """Return the parameter of each element: ``positive`` if y is 1, ``negative`` if y is 0."""
    if positive is negative:
        return positive
    positive, negative = (missing if value is None else value for value in (positive, negative))
    return positive * y + negative * (1 - y)


def _hard_block(
    z: Tensor,
    y: Tensor,
    gamma: PerClass | None,
    alpha: PerClass | None,
    small_gamma: bool,
    buffers: tuple[Tensor, ...],
    loss: Tensor | None,
    gradient: Tensor | None,
    divisor: float | None,
) -> Tensor | None:
    """Do the work of :func:`_block` for targets of 0 and 1.

    With v = (1 - 2y) z and q_t = 1 - p_t = sigmoid(v), the loss is ``alpha q_t^gamma ce_loss`` with ``ce_loss =
    softplus(v)``, and its derivative by v is ``alpha q_t^gamma (q_t + gamma p_t ce_loss)``: nothing cancels.
    """
    v, ce_loss, weight = buffers
    torch.addcmul(z, z, y, value=-2, out=v)
    torch.clamp(v, min=0, out=ce_loss)
    torch.add(v, ce_loss, alpha=-2, out=weight).exp_().log1p_()  # of -|v|
    ce_loss.add_(weight)  # softplus(v) = -log p_t
    log_q_t = v.clamp_(max=0).sub_(weight)
    unweighted = gamma is None and alpha is None
    if gamma is not None:
        torch.mul(log_q_t, gamma, out=weight).exp_()
        if alpha is not None:
            weight.mul_(alpha)
    elif isinstance(alpha, Tensor):
        weight.copy_(alpha)
    elif alpha is not None:
        weight.fill_(alpha)
    total = None
    if loss is not None:
        loss.copy_(ce_loss) if unweighted else torch.mul(ce_loss, weight, out=loss)
    else:
        total = ce_loss.sum() if unweighted else torch.mul(ce_loss, weight).sum()  # a dot product in float32 drifts
    if gradient is None:
        return total
    derivative = log_q_t.exp_()  # q_t
    if gamma is not None:
        # (1 - q_t) ce_loss is the cheaper form, but it is off by up to 1e-6, which a large gamma would show.
        p_t_ce_loss = (
            ce_loss.addcmul_(ce_loss, derivative, value=-1) if small_gamma else torch.neg(ce_loss).exp_().mul_(ce_loss)
        )
        if isinstance(gamma, Tensor):
            derivative.addcmul_(p_t_ce_loss, gamma)
        else:
            derivative.add_(p_t_ce_loss, alpha=gamma)
    scale = 1.0 if divisor is None else 1 / divisor
    if unweighted:
        derivative.mul_(scale)
    else:
        torch.addcmul(_ZERO, derivative, weight, value=scale, out=derivative)  # both factors in one pass
    torch.addcmul(derivative, derivative, y, value=-2, out=gradient)  # by z
    return total
