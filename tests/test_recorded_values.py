"""Values and gradients of every loss as they were recorded, so that a change of the code that moves a digit is seen.

``python tests/test_recorded_values.py`` records them anew, which is right only if a formula was meant to change.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from afl_helpers.losses import LOSSES, build_loss

FILE = Path(__file__).resolve().parent / "data" / "recorded_loss_values.json"
COUNTS, N = [60, 20, 3, 1], 100
DTYPES = {"float64": 17, "float32": 9, "float16": 9, "bfloat16": 9}  # digits that tell two numbers apart
REDUCTIONS = ("mean", "sum", "sum_over_classes")

TABLE = json.loads(FILE.read_text())
#: Parameters with which each loss was recorded once more, beside the defaults.
OTHER = TABLE.pop("other parameters")
NAMES = sorted({key.partition(",")[0] for key in TABLE})

pytestmark = pytest.mark.filterwarnings("ignore:.*classes have a gamma")  # afl-literal, rightly


def batch(dtype):
    """Near and far logits, a document of no label and one of all, a mask that leaves out a document and some elements."""
    generator = torch.Generator().manual_seed(11)
    z = torch.randn(6, 4, generator=generator) * 3
    z[5] = torch.tensor([-40.0, 17.0, 88.0, -300.0])
    y = torch.randint(0, 2, (6, 4), generator=generator)
    y[0], y[1] = 0, 1
    mask = torch.rand(6, 4, generator=generator) < 0.7
    mask[2] = False
    return z.to(dtype), y.to(dtype), mask


def settings():
    for name in NAMES:
        yield name, "defaults", {}
        if name in OTHER:
            yield name, "other", OTHER[name]


def values(name, params, dtype_name):
    """What is recorded of one loss in one type, as a dict of lists."""
    dtype = getattr(torch, dtype_name)
    loss = build_loss(name, COUNTS, N, **params)
    z, y, mask = batch(dtype)
    found = {}

    def record(key, function, targets=y, **kwargs):
        logits = z.clone().requires_grad_()
        value = function(logits, targets, **kwargs)
        (slope,) = torch.autograd.grad(value.sum(), logits)
        found[key] = [value.detach().double().flatten().tolist(), slope.double().flatten().tolist()]

    record("elements", loss, reduction="none")
    record("mean, mask", loss, mask=mask)
    for reduction in REDUCTIONS:
        record(reduction, loss, reduction=reduction)
    if dtype_name in ("float32", "float64"):
        torch._dynamo.reset()
        record("compiled", torch.compile(loss, fullgraph=True, backend="aot_eager"))
        if name in SOFT:
            record("soft", loss, (y.double() * 0.8 + 0.1).to(dtype), reduction="none")
    return found


#: What took soft targets when the values were recorded.
SOFT = "bce weighted_bce class_balanced focal afl afl-literal flsd53 asl apl ral ldam".split()


def compact(found, digits):
    """The gradients of "sum" and of the compiled mean are those of the elements and of the mean: once is enough."""
    kept = {key: pair if key in ("elements", "mean", "soft", "mean, mask") else pair[:1] for key, pair in found.items()}
    return {
        key: [[float(f"{number:.{digits}g}") for number in numbers] for numbers in pair] for key, pair in kept.items()
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name, label, params", list(settings()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_digit_has_changed(name, label, params, dtype):
    key = f"{name}, {label}, {dtype}"
    found = values(name, params, dtype)
    recorded = TABLE[key]
    # Another machine's exp and log differ in the last digits; loss and gradient have no cancellation to make more of it.
    rtol = {"float64": 1e-13, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1e-2}[dtype]
    for what, pair in recorded.items():
        for i, (numbers, expected) in enumerate(zip(found[what], pair)):
            atol = 1e-40
            if dtype == "float32":
                # An exponential of -40 is good to 40 of each rounding of its exponent, of which there are three. So a number
                # may also be that recorded in float64, to this precision, and the record in float32 the one that is off.
                exact = np.array(TABLE[f"{name}, {label}, float64"][what][i])
                roundings = 3 * np.abs(np.log(np.maximum(np.abs(exact), 1e-300)))
                close = np.abs(numbers - exact) <= np.maximum(rtol, 2**-24 * roundings) * np.abs(exact)
                expected = np.where(close, numbers, expected)
                # The gradients of both sides of a soft target have opposite signs, each with a rounding of its own.
                atol = 2e-8 if what == "soft" and i else atol
            np.testing.assert_allclose(numbers, expected, rtol=rtol, atol=atol, err_msg=what)
    # Masked or not, "sum" and "compiled" have the gradient of the elements and of the mean.
    np.testing.assert_allclose(found["sum"][1], found["elements"][1], rtol=rtol, atol=1e-40)
    if "compiled" in found:
        np.testing.assert_allclose(found["compiled"][1], found["mean"][1], rtol=20 * rtol, atol=1e-40)


def test_every_loss_of_the_record_is_still_there():
    assert set(NAMES) <= set(LOSSES)
    assert len(TABLE) > 100 and all(
        math.isfinite(x) for row in TABLE.values() for p in row.values() for v in p for x in v
    )


if __name__ == "__main__":
    table = {"other parameters": OTHER} | {
        f"{name}, {label}, {dtype}": compact(values(name, params, dtype), digits)
        for name, label, params in settings()
        for dtype, digits in DTYPES.items()
    }
    FILE.write_text(
        "{\n"
        + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in table.items())
        + "\n}\n"
    )
