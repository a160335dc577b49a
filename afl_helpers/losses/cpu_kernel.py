"""The focal family in one pass: loss and gradient together, block by block, in memory that stays in the cache.

Autograd's way through the formula of focal loss writes about twenty intermediate tensors the size of the logits. Here a
block of rows goes through all steps while it is in the cache; what remains is the gradient, one tensor. Plain formula
and fast path compute the same function; the plain one serves traces, other devices, and second derivatives. torch.compile
makes its own single pass of a third form, which leaves nothing to its choice of what to keep for the way back.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid

from afl_helpers.errors import UsageError

PerClass = float | Tensor | None

#: Elements of a block and thread: three buffers of them fit the second-level cache.
_BLOCK = 100_000
_ZERO = torch.zeros(())


def in_trace() -> bool:
    """Whether the code runs to be compiled, exported or traced: then nothing may depend on values."""
    return (
        torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active()  # vmap
    )


def has_fast_path(logits: Tensor, targets: Tensor, *parameters: PerClass) -> bool:
    """Whether the one-pass form applies: eager, on a CPU, and with nothing but the logits to differentiate."""
    if in_trace():
        return False
    tensors = (logits, targets, *(value for value in parameters if isinstance(value, Tensor)))
    return (
        all(type(value) in (Tensor, torch.nn.Parameter) and value.device.type == "cpu" for value in tensors)
        and not any(value.requires_grad for value in tensors[1:])
        and torch.autograd.forward_ad.unpack_dual(logits).tangent is None
    )


def check_range(targets: Tensor) -> None:
    """An error where a target is not a number from 0 to 1."""
    if not targets.numel() or targets.dtype == torch.bool:
        return
    low, high = (value.item() for value in targets.aminmax())
    if not (low >= 0 and high <= 1):  # a NaN fails both
        wrong = high if low >= 0 else low
        raise UsageError(f"targets hold {wrong:g}; pass values in [0, 1], and a mask for the unknown ones")


def focal_sum(logits: Tensor, targets: Tensor, divisor: float, *parameters: PerClass) -> Tensor:
    """Sum of the focal loss over ``divisor`` by the fast path; parameters as in :func:`focal_elements`."""
    return _Focal.apply(logits, targets, divisor, *parameters)


def focal_elements(logits: Tensor, targets: Tensor, *parameters: PerClass, fast: bool = False) -> Tensor:
    """Focal loss of each element, (batch, n_labels).

    Args:
        logits, targets: (batch, n_labels); of one floating dtype, float32 or better, unless ``fast``.
        parameters: gamma and alpha of positives and negatives: gamma, gamma_negative, alpha, alpha_negative; each a number or
            (n_labels,). A gamma of None is 0, an alpha of None 1.
    """
    if fast:
        return _Focal.apply(logits, targets, None, *parameters)
    gamma, gamma_negative, alpha, alpha_negative = parameters
    tensors = [targets, *(value for value in parameters if isinstance(value, Tensor))]
    if torch.compiler.is_dynamo_compiling() and not any(value.requires_grad for value in tensors):
        same = gamma_negative is gamma, alpha_negative is alpha  # a compiled function takes no tensor twice
        pairs = gamma, None if same[0] else gamma_negative, alpha, None if same[1] else alpha_negative
        return _CompiledFocal.apply(logits, targets, same, *pairs)
    log_p, log_q = logsigmoid(logits), logsigmoid(-logits)
    positive = log_p if gamma is None else torch.exp(gamma * log_q) * log_p
    negative = log_q if gamma_negative is None else torch.exp(gamma_negative * log_p) * log_q
    if alpha is not None:
        positive = alpha * positive
    if alpha_negative is not None:
        negative = alpha_negative * negative
    return -(targets * positive + (1 - targets) * negative)


class _Focal(torch.autograd.Function):
    """Forward keeps the gradient beside the loss; backward scales it. A second derivative goes by the plain formula."""

    @staticmethod
    def forward(ctx, logits, targets, divisor, *parameters):
        ctx.divisor, ctx.parameters = divisor, parameters
        ctx.save_for_backward(logits, targets)
        loss, ctx.gradient = _run(logits, targets, parameters, divisor, ctx.needs_input_grad[0])
        return loss

    @staticmethod
    def backward(ctx, upstream):
        logits, targets = ctx.saved_tensors
        nothing = (None,) * (2 + len(ctx.parameters))
        if torch.is_grad_enabled():  # the gradient itself is to be differentiated
            core = logits.to(upstream.dtype)
            parameters = [p.to(core) if isinstance(p, Tensor) else p for p in ctx.parameters]
            elements = focal_elements(core, targets.to(core), *parameters)
            loss = elements if ctx.divisor is None else elements.sum() / ctx.divisor
            return torch.autograd.grad(loss, logits, upstream, create_graph=True)[0], *nothing
        # Used up: the first backward hands its memory on, a second one over the same graph computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = _run(logits, targets, ctx.parameters, ctx.divisor, True)[1]
        if ctx.divisor is None or upstream != 1:
            gradient.mul_(upstream)
        return gradient, *nothing


class _CompiledFocal(torch.autograd.Function):
    """Element losses with the gradient written beside them, for torch.compile: one kernel forward, one product back."""

    @staticmethod
    def forward(ctx, logits, targets, same, gamma, gamma_negative, alpha, alpha_negative):
        gamma_negative = gamma if same[0] else gamma_negative
        alpha_negative = alpha if same[1] else alpha_negative
        small = torch.exp(-logits.abs())
        log_large, large = torch.log1p(small), 1 / (1 + small)
        log_p, log_q = logits.clamp(max=0) - log_large, -logits.clamp(min=0) - log_large
        p = torch.where(logits >= 0, large, small * large)
        q = torch.where(logits >= 0, small * large, large)
        positive, negative, slope, negative_slope = -log_p, -log_q, -q, p
        if gamma is not None:
            weight = torch.exp(gamma * log_q)
            positive, slope = weight * positive, weight * (slope + gamma * p * log_p)
        if gamma_negative is not None:
            weight = torch.exp(gamma_negative * log_p)
            negative, negative_slope = weight * negative, weight * (negative_slope - gamma_negative * q * log_q)
        if alpha is not None:
            positive, slope = alpha * positive, alpha * slope
        if alpha_negative is not None:
            negative, negative_slope = alpha_negative * negative, alpha_negative * negative_slope
        ctx.save_for_backward(targets * slope + (1 - targets) * negative_slope)
        return targets * positive + (1 - targets) * negative

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None, None, None, None, None


def _run(logits, targets, parameters, divisor, with_gradient) -> tuple[Tensor, Tensor | None]:
    """Loss, summed over ``divisor`` or by element, and if asked for its gradient by each logit."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    shape = logits.shape
    if len(shape) != 2:
        logits, targets = logits.reshape(-1, shape[-1]), targets.reshape(-1, shape[-1])
    parameters = [value.to(dtype) if isinstance(value, Tensor) else value for value in parameters]
    gentle = dtype == torch.float32 and all(value is None or _largest(value) <= 8 for value in parameters[:2])
    elements = torch.empty(logits.shape, dtype=dtype) if divisor is None else None
    gradient = torch.empty(logits.shape, dtype=dtype) if with_gradient else None
    n, width = logits.shape
    n_rows = max(1, _BLOCK * torch.get_num_threads() // max(1, width))
    buffers = torch.empty((3, min(n_rows, n), width), dtype=dtype)
    sums = []
    for start in range(0, n, n_rows):
        rows = slice(start, start + n_rows)
        z, y, loss, slope = (None if t is None else t[rows] for t in (logits, targets, elements, gradient))
        block = buffers if len(z) == buffers.shape[1] else buffers[:, : len(z)]
        sums.append(_block(z.to(dtype), y.to(dtype), parameters, gentle, block.unbind(), loss, slope, divisor))
    if divisor is None:
        loss = elements.view(shape)
    else:
        loss = sums[0] if len(sums) == 1 else torch.tensor(sums, dtype=torch.float64).sum().to(dtype)  # none: 0
        loss.div_(divisor)
    return loss, None if gradient is None else gradient.view(shape)


def _largest(value: float | Tensor) -> float:
    return value.max().item() if isinstance(value, Tensor) else value


def _block(z, y, parameters, gentle, buffers, loss, slope, divisor) -> Tensor | None:
    """Writes the loss of each element to ``loss``, its derivative to ``slope``, where given; else returns the sum."""
    gamma, gamma_negative, alpha, alpha_negative = parameters
    softness = torch.addcmul(y, y, y, value=-1, out=buffers[0]).view(-1)  # y (1 - y): 0 for hard targets
    if not torch.dot(softness, softness):
        gamma, alpha = _of_sign(gamma, gamma_negative, y, 0.0), _of_sign(alpha, alpha_negative, y, 1.0)
        return _one_side(z, y, gamma, alpha, gentle, buffers, loss, slope, divisor)
    check_range(y)
    positive, negative = torch.empty_like(z), torch.empty_like(z)
    positive_slope, negative_slope = (None, None) if slope is None else (torch.empty_like(z), torch.empty_like(z))
    _one_side(z, torch.ones_like(z), gamma, alpha, gentle, buffers, positive, positive_slope, divisor)
    _one_side(
        z, torch.zeros_like(z), gamma_negative, alpha_negative, gentle, buffers, negative, negative_slope, divisor
    )
    if slope is not None:
        torch.add(y * positive_slope, (1 - y) * negative_slope, out=slope)
    total = torch.add(y * positive, (1 - y) * negative, out=loss)
    return total.sum() if loss is None else None


def _of_sign(positive: PerClass, negative: PerClass, y: Tensor, missing: float) -> PerClass:
    """The parameter of each element: ``positive`` where y is 1, ``negative`` where it is 0."""
    if positive is negative:
        return positive
    positive, negative = (missing if value is None else value for value in (positive, negative))
    return positive * y + negative * (1 - y)


def _one_side(z, y, gamma, alpha, gentle, buffers, loss, slope, divisor) -> Tensor | None:
    """:func:`_block` for targets that are 0 or 1.

    With v = (1 - 2y) z the loss is ``w softplus(v)``, w = alpha sigmoid(v)^gamma, and its derivative by v
    ``w (sigmoid(v) + gamma sigmoid(-v) softplus(v))``: no difference of near values anywhere.
    """
    v, nll, weight = buffers
    torch.addcmul(z, z, y, value=-2, out=v)
    torch.clamp(v, min=0, out=nll)
    torch.add(v, nll, alpha=-2, out=weight).exp_().log1p_()  # of -|v|
    nll.add_(weight)  # softplus(v) = -log p_t
    log_rest = v.clamp_(max=0).sub_(weight)  # log(1 - p_t)
    plain = gamma is None and alpha is None
    if gamma is not None:
        torch.mul(log_rest, gamma, out=weight).exp_()
        if alpha is not None:
            weight.mul_(alpha)
    elif alpha is not None:
        weight.copy_(alpha) if isinstance(alpha, Tensor) else weight.fill_(alpha)
    total = None
    if loss is not None:
        loss.copy_(nll) if plain else torch.mul(nll, weight, out=loss)
    else:
        total = nll.sum() if plain else torch.mul(nll, weight).sum()  # a dot product in float32 drifts
    if slope is None:
        return total
    factor = log_rest.exp_()
    if gamma is not None:
        # p_t softplus(v). As (1 - sigmoid(v)) softplus(v) it is off by up to 1e-6, which a large gamma would show.
        part = nll.addcmul_(nll, factor, value=-1) if gentle else torch.neg(nll).exp_().mul_(nll)
        factor.addcmul_(part, gamma) if isinstance(gamma, Tensor) else factor.add_(part, alpha=gamma)
    scale = 1.0 if divisor is None else 1 / divisor
    factor.mul_(scale) if plain else torch.addcmul(_ZERO, factor, weight, value=scale, out=factor)  # in one pass
    torch.addcmul(factor, factor, y, value=-2, out=slope)
    return total
