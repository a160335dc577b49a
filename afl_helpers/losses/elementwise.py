"""Losses that fall apart into elements, in the fastest form that applies: CPU kernel, or plain formula."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

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
from afl_helpers.losses.cpu_kernel import Elements, loss_and_gradient
from afl_helpers.losses.kept_gradient import has_fast_path, with_kept_gradient


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
            a document.
        soften: from targets (..., n_labels) to those that the costs are mixed by, of the same type.
        kept: of the shape of the logits, 0 for an element without loss and gradient that counts in a mean, else 1.
        wide: whether to compute in float64, where the device has it, unless the costs have a form for float32.
    """
    result = torch.float64 if logits.dtype == torch.float64 else torch.float32
    dtype = widest(logits.device) if wide else result
    if not has_fast_path(logits, targets, *positive.tensors(), *negative.tensors()):
        y = check_target_range(targets.to(dtype)) if in_trace() else check_target_range(targets).to(dtype)
        elements = _plain(logits.to(dtype), y, positive, negative, weight, soften)
        if kept is not None:
            elements = torch.where(kept.bool(), elements, 0.0)
        return reduce_loss(elements, reduction, mask).to(result)
    exact = positive, negative, dtype
    if wide:
        narrow_positive, narrow_negative = positive.in_float32(), negative.in_float32()
        if narrow_positive is not None and narrow_negative is not None:
            positive, negative, dtype = narrow_positive, narrow_negative, result
    cast: dict[int, Tensor] = {}  # a tensor that both costs share stays one, which a kernel may use

    def as_computed(value: Tensor) -> Tensor:
        return cast.setdefault(id(value), value.to(dtype if value.ndim else widest(value.device)))

    positive, negative = positive.map(as_computed), negative.map(as_computed)
    divisor = None if reduction == "none" else reduction_divisor(logits, reduction)
    if mask is not None:
        mask = check_mask(mask, logits)
        kept = mask if kept is None else kept * mask
        divisor = max(1, int(mask.count_nonzero())) if reduction == "mean" else divisor
    what = Elements(positive, negative, weight, soften, kept, dtype, divisor)
    formula = replace(what, positive=exact[0], negative=exact[1], dtype=exact[2])
    return with_kept_gradient(logits, targets, partial(loss_and_gradient, what=what), partial(_formula, what=formula))


def _formula(logits: Tensor, targets: Tensor, what: Elements) -> Tensor:
    """Return what the kernel returns, by the plain formulas."""
    z, y = logits.to(what.dtype), targets.to(what.dtype)
    elements = _plain(z, y, what.positive, what.negative, what.weight, what.soften)
    if what.kept is not None:
        elements = torch.where(what.kept.bool(), elements, 0.0)
    loss = elements if what.divisor is None else elements.sum() / what.divisor
    return loss.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)


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
