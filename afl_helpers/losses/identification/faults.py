"""What is wrong with the gradient of a loss, and with its values at large logits."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from afl_helpers.errors import first_line
from afl_helpers.losses.identification.probes import (
    CannotCallError,
    Form,
    Probe,
    random_batch,
)
from afl_helpers.losses.identification.recognition import Match
from afl_helpers.losses.registry import LOSSES

#: Logits at which a loss is tried in float32. Past 16.6 the sigmoid rounds to 1, past 104 exp(-z) to 0.
_FAR = (12.0, 17.0, 20.0, 30.0, 50.0, 110.0, 200.0)


def gradient_faults(probe: Probe, match: Match) -> Iterator[tuple[str, bool]]:
    """Yield what is unusual in the gradient, and whether it is a fault."""
    z, y = random_batch(probe.n_labels, seed=7)
    try:
        _, slope = probe.value_and_slope(z, y)
    except (CannotCallError, RuntimeError) as error:
        yield f"its gradient cannot be computed: {first_line(error)}", True
        return
    if slope is None:
        yield "the result has no gradient, so nothing is trained", True
        return
    # A loss that computes in float32 has 7 digits, of which a difference over a small step would lose most.
    double = probe(z, y).dtype == torch.float64
    step, tolerance = (1e-5, 1e-3) if double else (1e-2, 2e-2)
    numeric = torch.zeros_like(z)
    for i in range(z.numel()):
        change = torch.zeros(z.numel(), dtype=z.dtype)
        change[i] = step
        change = change.reshape(z.shape)
        numeric.view(-1)[i] = (probe.total(z + change, y) - probe.total(z - change, y)) / (2 * step)
    if not numeric.isfinite().all():
        yield "its value beside an ordinary batch is not finite", True
        return
    close = torch.isclose(slope, numeric, rtol=tolerance, atol=tolerance * numeric.abs().max().item())
    if close.sum() >= close.numel() - (0 if double else 1):  # a wide step may cross a jump
        return
    if match.name and not LOSSES[match.name].differentiated:
        return
    if match.form and match.divisor:
        held = _held_constant(match.form, z, y) / match.divisor(*z.shape)
        if torch.allclose(slope, held, rtol=1e-3, atol=1e-6):
            yield (
                "the focusing weight is held constant in the gradient, as in APL and in the training of ASL's authors",
                False,
            )
            return
    yield "its gradient is not the derivative of its value", True


def _held_constant(form: Form, z: Tensor, y: Tensor) -> Tensor:
    """Return the gradient if the focusing weight is a constant."""
    leaf = z.clone().requires_grad_()
    zero = np.zeros(1)
    plain = replace(form, gamma=(zero, zero)).elements(leaf, y)
    focus = form.elements(z, y) / plain.detach().clamp(min=1e-300)
    return torch.autograd.grad((focus * plain).sum(), leaf)[0]


def far_out(probe: Probe, match: Match) -> Iterator[tuple[str, bool]]:
    """Yield what goes wrong at large logits in float32, and whether it is a fault."""
    scale = match.divisor(1, probe.n_labels) / probe.n_labels if match.divisor else 1.0
    gamma = match.params.get("gamma", match.params.get("gamma_positive"))
    low = isinstance(gamma, float) and 0 < gamma < 1
    for target, word in ((1.0, "positive"), (0.0, "negative")):
        if not math.isfinite(probe.uniform(0.0, target)):  # it divides by the others, of which there are none
            continue
        for side in (1.0, -1.0):
            found: dict[str, tuple[float, float]] = {}
            for size in _FAR:
                z = torch.full((1, probe.n_labels), side * size)
                y = torch.full_like(z, target)
                try:
                    value, slope = probe.value_and_slope(z, y)
                except (CannotCallError, RuntimeError):
                    return
                if slope is None:
                    return
                value *= scale
                hard = (side > 0) != (target == 1)
                expected = math.nan if match.elements is None else match.elements(z.double(), y.double()).mean().item()
                if not math.isfinite(value):
                    found.setdefault("value", (side * size, value))
                elif not slope.isfinite().all():
                    found.setdefault("slope", (side * size, value))
                elif hard and value < 0.98 * expected and (slope == 0).all():
                    found.setdefault("cap", (side * size, value))
                elif hard and match.elements is None and (slope == 0).all():
                    found.setdefault("flat", (side * size, value))
                elif not hard and value == 0 and expected > 1e-30:
                    found.setdefault("lost", (side * size, value))
            if "value" in found:
                yield f"a {word} with a logit of {found['value'][0]:g} costs {found['value'][1]} in float32", True
            if "slope" in found:
                why = ": a power below 1 has an infinite slope where 1 - p rounds to 0" if low else ""
                yield f"the gradient of a {word} is NaN in float32 from a logit of {found['slope'][0]:g} on{why}", True
            if "cap" in found:
                weight = 1.0 if match.form is None else float(match.form.weight[0 if target else 1].mean())
                cap = found["cap"][1] / weight
                yield (
                    f"a {word} never costs more than {found['cap'][1]:.4g}, because p is clamped at {math.exp(-cap):.0e}:"
                    f" it has no gradient from a logit of about {side * cap:.1f} on",
                    True,
                )
            if "flat" in found:
                yield f"a {word} with a logit of {found['flat'][0]:g} has no gradient in float32", False
            if "lost" in found:
                yield f"an easy {word} costs exactly 0 in float32 from a logit of {found['lost'][0]:g} on", False
