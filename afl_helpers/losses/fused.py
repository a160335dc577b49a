"""The focal family in one pass: loss and gradient together, block by block, in memory that stays in the cache.

Autograd's way through the formula of focal loss writes about twenty intermediate tensors the size of the logits. Here a
block of rows goes through all steps while it is in the cache; what remains is the gradient, one tensor. Plain formula
and fast path compute the same function; the plain one serves traces, other devices, and second derivatives.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from afl_helpers.errors import UsageError

PerClass = float | Tensor | None

#: Elements of a block and thread: five buffers of them fit the second-level cache.
_BLOCK = 2**16


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
        loss, ctx.gradient = _run(logits, targets, parameters, divisor is not None, ctx.needs_input_grad[0])
        return loss if divisor is None else loss.div_(divisor)

    @staticmethod
    def backward(ctx, upstream):
        logits, targets = ctx.saved_tensors
        nothing = (None,) * (2 + len(ctx.parameters))
        if ctx.divisor is not None:
            upstream = upstream / ctx.divisor
        if torch.is_grad_enabled():  # the gradient itself is to be differentiated
            core = logits.to(upstream.dtype)
            parameters = [p.to(core) if isinstance(p, Tensor) else p for p in ctx.parameters]
            elements = focal_elements(core, targets.to(core), *parameters)
            loss = elements if ctx.divisor is None else elements.sum()
            return torch.autograd.grad(loss, logits, upstream, create_graph=True)[0], *nothing
        # Used up: the first backward hands its memory on, a second one over the same graph computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = _run(logits, targets, ctx.parameters, ctx.divisor is not None, True)[1]
        return gradient.mul_(upstream), *nothing


def _run(logits, targets, parameters, reduce, with_gradient) -> tuple[Tensor, Tensor | None]:
    """Sum (or elements) of the loss and, if asked for, its gradient by each logit."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    shape = logits.shape
    if len(shape) != 2:
        logits, targets = logits.reshape(-1, shape[-1]), targets.reshape(-1, shape[-1])
    parameters = [value.to(dtype) if isinstance(value, Tensor) else value for value in parameters]
    gentle = dtype == torch.float32 and all(value is None or _largest(value) <= 8 for value in parameters[:2])
    elements = None if reduce else torch.empty(logits.shape, dtype=dtype)
    gradient = torch.empty(logits.shape, dtype=dtype) if with_gradient else None
    n, width = logits.shape
    n_rows = max(1, _BLOCK * torch.get_num_threads() // max(1, width))
    buffers = torch.empty((5, min(n_rows, n), width), dtype=dtype)
    sums = []
    for start in range(0, n, n_rows):
        rows = slice(start, start + n_rows)
        z, y, out = logits, targets, gradient
        if n > n_rows:
            z, y, out = z[rows], y[rows], None if out is None else out[rows]
        block = buffers if len(z) == buffers.shape[1] else buffers[:, : len(z)]
        loss = _block(z.to(dtype), y.to(dtype), parameters, gentle, block.unbind(), out, reduce)
        if reduce:
            sums.append(loss)
        else:
            elements[rows] = loss
    if reduce:
        loss = sums[0] if len(sums) == 1 else torch.tensor(sums, dtype=torch.float64).sum().to(dtype)  # none: 0
    else:
        loss = elements.view(shape)
    return loss, None if gradient is None else gradient.view(shape)


def _largest(value: float | Tensor) -> float:
    return value.max().item() if isinstance(value, Tensor) else value


def _block(z, y, parameters, gentle, buffers, gradient, reduce) -> Tensor:
    """Loss of a block, summed or by element; the gradient goes to ``gradient``."""
    gamma, gamma_negative, alpha, alpha_negative = parameters
    softness = torch.addcmul(y, y, y, value=-1, out=buffers[0]).view(-1)  # y (1 - y): 0 for hard targets
    if not torch.dot(softness, softness):
        gamma, alpha = _of_sign(gamma, gamma_negative, y, 0.0), _of_sign(alpha, alpha_negative, y, 1.0)
        return _one_side(z, y, gamma, alpha, gentle, buffers, gradient, reduce)
    check_range(y)
    slopes = (None, None) if gradient is None else (torch.empty_like(z), torch.empty_like(z))
    positive = _one_side(z, torch.ones_like(y), gamma, alpha, gentle, buffers, slopes[0], False).clone()
    negative = _one_side(z, torch.zeros_like(y), gamma_negative, alpha_negative, gentle, buffers, slopes[1], False)
    if gradient is not None:
        torch.add(y * slopes[0], (1 - y) * slopes[1], out=gradient)
    loss = y * positive + (1 - y) * negative
    return loss.sum() if reduce else loss


def _of_sign(positive: PerClass, negative: PerClass, y: Tensor, missing: float) -> PerClass:
    """The parameter of each element: ``positive`` where y is 1, ``negative`` where it is 0."""
    if positive is negative:
        return positive
    positive, negative = (missing if value is None else value for value in (positive, negative))
    return positive * y + negative * (1 - y)


def _one_side(z, y, gamma, alpha, gentle, buffers, gradient, reduce) -> Tensor:
    """Loss for targets that are 0 or 1; writes the gradient where there is a place for it.

    With v = (1 - 2y) z the loss is ``w softplus(v)``, w = alpha sigmoid(v)^gamma, and its derivative by v
    ``w (sigmoid(v) + gamma sigmoid(-v) softplus(v))``: no difference of near values anywhere.
    """
    v, log_rest, loss, weight, work = buffers
    torch.addcmul(z, z, y, value=-2, out=v)
    torch.clamp(v, min=0, out=loss)
    torch.clamp(v, max=0, out=log_rest)
    torch.sub(log_rest, loss, out=work).exp_().log1p_()  # of -|v|
    loss.add_(work)  # softplus(v) = -log p_t
    log_rest.sub_(work)  # log(1 - p_t)
    if gamma is not None:
        torch.mul(log_rest, gamma, out=weight).exp_()
        if alpha is not None:
            weight.mul_(alpha)
    elif alpha is not None:
        weight.copy_(alpha) if isinstance(alpha, Tensor) else weight.fill_(alpha)
    plain = gamma is None and alpha is None
    if gradient is not None:
        slope = log_rest.exp_()
        if gamma is not None:
            # p_t softplus(v). As (1 - sigmoid(v)) softplus(v) it is off by up to 1e-6, which a large gamma would show.
            if gentle:
                torch.addcmul(loss, loss, slope, value=-1, out=work)
            else:
                torch.neg(loss, out=work).exp_().mul_(loss)
            slope.addcmul_(work, gamma) if isinstance(gamma, Tensor) else slope.add_(work, alpha=gamma)
        if not plain:
            slope.mul_(weight)
        torch.addcmul(slope, slope, y, value=-2, out=gradient)
    if plain:
        return loss.sum() if reduce else loss
    return torch.dot(loss.view(-1), weight.view(-1)) if reduce else loss.mul_(weight)
