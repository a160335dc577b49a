"""Value and gradient of every loss against a reference in 80 digits, over the whole range of logits and parameters."""

import math

import numpy as np
import pytest
import torch
from reference_losses import REFERENCES, mp, reference

from afl_helpers.losses import LOSSES, build_loss

pytestmark = pytest.mark.filterwarnings("ignore:.*classes have a gamma")  # afl-literal, rightly

COUNTS, N = [1000, 600, 20, 3, 1, 0], 1000  # a long tail, with a label in every document and one in none
SMALLEST = 1e-30  # below it a value may be off by as much, but no more

MAGNITUDES = [0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 14.0, 17.5, 25.0, 40.0, 88.0, 104.0, 300.0, 1e4]
LOGITS = [-z for z in MAGNITUDES] + [0.0] + MAGNITUDES
GAMMAS = [0.0, 0.3, 1.0, 2.0, 5.0, 8.0, 50.0, 1e5]
NEAR = [0.0, 1e-6, 1e-3, 0.05]


def around(*points):
    """Logits at the points where a loss changes its form (as near as float32 comes) and just beside."""
    return [point + sign * distance for point in points for distance in NEAR for sign in (1, -1)]


def beside(*points):
    """Logits on either side of a jump, far enough for float32 to tell the sides."""
    return sorted(set(around(*points)) - set(points))


def logit(p):
    return math.log(p / (1 - p))


def settings():
    """(name, parameters, further logits) of everything that is compared."""
    yield "bce", {}, []
    for params in ({}, {"cap": 5.0}, {"cap": 0.5}):
        yield "weighted_bce", params, []
    for params in (
        {},
        {"gamma": 2.0},
        {"beta": 0.9, "gamma": 0.3},
        {"beta": 0.99999, "gamma": 5.0},
        {"beta": 0.0},
        {"gamma": 1e5},
        {"weight_by": "document", "gamma": 0.3},
    ):
        yield "class_balanced", params, []
    for gamma in GAMMAS:
        yield "focal", {"gamma": gamma}, []
    for alpha in (0.25, 0.001, 1e-6):
        yield "focal", {"gamma": 2.0, "alpha": alpha}, []
    yield "focal", {"gamma": [5.0, 50.0, 0.0, 0.3, 1.0, 1e5], "alpha": [0.1, 0.2, 0.5, 0.0, 1.0, 0.9]}, []
    alpha = [0.1, 0.2, 0.5, 0.0, 1.0, 0.9]
    for params in (
        {},
        {"base_gamma": 0.3, "bounds": None},
        {"normalization": "max", "bounds": None, "rescale": True},
        {"normalization": "labels", "bounds": (1.0, 50.0), "alpha": alpha, "gamma_negative": 1.0},
        {"assignment": "reversed", "rescale": True, "gamma_negative": [0.0, 0.3, 1.0, 2.0, 5.0, 1e5]},
        {"assignment": "mean", "alpha": 0.3},
    ):
        yield "afl", params, []
    for params in (
        {},
        {"base_gamma": 0.3, "alpha": alpha},
        {"base_gamma": 100.0},
        {"rescale": True},
        {"gamma_negative": 0.3, "rescale": True},
    ):
        yield "afl-literal", params, []
    for params in (
        {},
        {"gamma": 1.0, "gammas": (50.0, 2.0), "limits": (0.1, 0.7)},
        {"gamma": 1e5, "gammas": (0.3, 0.0), "limits": (0.01, 0.5)},
    ):
        limits = params.get("limits", (0.2, 0.5))
        yield "flsd53", params, [sign * z for p in limits for z in beside(logit(p)) for sign in (1, -1)]
    for gamma_positive, gamma_negative, margin in (
        (0.0, 4.0, 0.05),
        (0.3, 0.0, 0.05),
        (1.0, 0.3, 0.05),
        (2.0, 1.0, 0.2),
        (5.0, 2.0, 0.5),
        (50.0, 5.0, 0.001),
        (1e5, 50.0, 0.05),
        (0.0, 1e5, 0.0),
        (1.0, 0.0, 0.0),
        (0.3, 0.3, 0.0),
    ):
        params = {"gamma_positive": gamma_positive, "gamma_negative": gamma_negative, "margin": margin}
        special = around(logit(margin)) if margin else []
        yield "asl", params, special
        yield "asl", {**params, "detach_focus": True}, special
        yield "apl", params, special
        yield "ral", params, special
    special = around(logit(0.05))
    yield "asl", {"alpha": [0.1, 0.2, 0.5, 0.0, 1.0, 0.9]}, special
    for params in (
        {"epsilon_1": 0.0, "epsilon_2": 0.0},
        {"epsilon_1": 0.5, "epsilon_2": -1.0, "epsilon_negative": 0.5, "alpha": [0.1, 0.2, 0.5, 0.0, 1.0, 0.9]},
        {"epsilon_1": 1.0, "epsilon_2": 0.0, "gamma_positive": 1.0},
        {"epsilon_1": -1.0, "epsilon_2": -2.5, "epsilon_negative": 2.0, "gamma_negative": 0.0},
    ):
        yield "apl", params, special
        yield "ral", {**params, "lambda_": 2.0}, special
    for params in (
        {},
        {"gamma": 0.0, "alpha": None},
        {"gamma": 0.3, "alpha": 0.25, "prior_shift": 1.0, "negative_scale": 5.0},
        {"gamma": 50.0, "weight_slope": 0.2, "weight_center": 0.05, "negative_scale": 0.5},
    ):
        special = around(*(0.05 * math.log(N / n - 1) for n in (600, 1)))
        yield "distribution_balanced", params, special
    for params in ({}, {"gamma": 5.0, "alpha": None, "weight_floor": 0.0, "weight_center": 0.05}, {"gamma": 1e5}):
        yield "rebalanced_focal", params, []
    for name in ("ntr_focal", "cb_ntr"):
        for params in ({}, {"gamma": 0.3, "alpha": None, "prior_shift": 0.5}, {"gamma": 1.0, "negative_scale": 1.0}):
            yield name, params, []
        yield name, {"gamma": 2.0, "negative_scale": 5.0, "divide_negatives": False}, []
    yield "cb_ntr", {"beta": 0.9999, "gamma": 5.0}, []
    for params in ({}, {"max_margin": 0.0, "scale": 1.0}, {"max_margin": 3.0, "scale": 10.0, "alpha": 0.2}):
        largest = params.get("max_margin", 0.5)
        yield "ldam", params, around(largest, largest * (1 / 600) ** 0.25)
    yield "plm", {}, []
    for tau in (1.0, 0.25, 2.0):
        yield "logit_adjusted", {"tau": tau}, around(*(-tau * math.log((n + 0.5) / (N - n + 0.5)) for n in (600, 1)))
    for params in (
        {},
        {"lambda_": 2.0, "margin": 0.0, "gamma": 0.0},
        {"lambda_": 1.0, "margin": 0.5, "gamma": 0.3},
        {"lambda_": 1.25, "gamma": 50.0},
    ):
        # Below 1.5 the gradient of a negative is 0 at p = lambda / 1.5.
        yield "hill", params, around(0.0, params.get("margin", 1.0))
    for params in (
        {},
        {"change_epoch": 0},
        {"change_epoch": 0, "threshold": 0.9, "gamma": 0.3, "margin": 0.0},
        {"change_epoch": 0, "threshold": 0.05, "gamma": 0.0, "margin": 0.5},
    ):
        yield "splc", params, beside(logit(params.get("threshold", 0.6)))
    for params in ({}, {"growth": 4.0, "n_epochs": 20}):
        yield "dbgb", params, []
    shared = [[n * m / 1500 for m in COUNTS] for n in COUNTS]
    for params in (
        {},
        {"power": 0.0, "smoothing": 0.0, "gamma_positive": 2.0, "gamma_negative": 0.0},
        {"power": 1.0, "smoothing": 1.0, "margin": 0.0, "gamma_negative": 1.0},
        {"power": 2.0, "smoothing": 0.3, "margin": 0.2, "gamma_positive": 0.3, "cooccurrence": shared},
    ):
        margin = params.get("margin", 0.05)
        yield "wal", params, around(logit(margin)) if margin else []


#: The losses with one loss per element; tests/test_coupled_losses.py has the others.
BY_ELEMENT = [name for name in LOSSES if LOSSES[name].unit == "element"]
SETTINGS = list(settings())
SETTINGS += [(name, {}, []) for name in BY_ELEMENT if name not in {setting[0] for setting in SETTINGS}]
IDS = [f"{name}-{i}" for i, (name, _, _) in enumerate(SETTINGS)]


def batch(name, special):
    """Logits of shape (rows, labels), exact in float32, and targets: every logit with either target of every label."""
    n_labels = len(COUNTS)
    points = np.unique(np.array(LOGITS + special, dtype=np.float32)).astype(np.float64)
    alternating = [c % 2 for c in range(n_labels)]
    patterns = [alternating, [1 - y for y in alternating]]
    if REFERENCES[name].by_document:  # documents without a label and with all of them, too
        patterns += [[0] * n_labels, [1] * n_labels]
    logits = np.repeat(points, len(patterns))[:, None].repeat(n_labels, axis=1)
    return logits, np.tile(patterns, (len(points), 1))


def of_class(params, c):
    """The parameters that label c sees: what is the same for two labels needs computing once."""
    per_class = {key: value for key, value in params.items() if isinstance(value, list) and key != "cooccurrence"}
    return tuple(value[c] for value in per_class.values())


def expected(name, params, logits, targets):
    """Loss, derivative and its sign (the derivative may underflow) of each element by the reference, in float64."""
    loss, slope, sign = np.empty_like(logits), np.empty_like(logits), np.empty_like(logits)
    known = {}
    for i, (row, row_targets) in enumerate(zip(logits.tolist(), targets.tolist())):
        for c in range(len(COUNTS)):
            counted = LOSSES[name].needs_counts
            others = REFERENCES[name].by_document and tuple(row_targets)
            key = row[c], row_targets[c], counted and c, of_class(params, c), others
            if key not in known:
                value, derivative = reference(name, params, COUNTS, N, row, row_targets, c)
                known[key] = float(value), float(derivative), float(mp.sign(derivative))
            loss[i, c], slope[i, c], sign[i, c] = known[key]
    return loss, slope, sign


def found(loss, logits, targets, dtype):
    """Loss and derivative of each element, and the derivative again through the sum over the batch."""
    z = torch.tensor(logits, dtype=dtype, requires_grad=True)
    y = torch.tensor(targets, dtype=dtype)
    elements, total = loss(z, y, reduction="none"), loss(z, y, reduction="sum")
    torch.testing.assert_close(total, elements.sum())
    slopes = [torch.autograd.grad(value, z)[0].double().numpy() for value in (elements.sum(), total)]
    return elements.detach().double().numpy(), *slopes


def build(name, params):
    return build_loss(name, label_counts=COUNTS, n_documents=N, **params)


def worst(found, expected, tolerance, logits, targets, what):
    """Where ``found`` is further from ``expected`` than allowed, as a message; empty if nowhere."""
    allowed = np.where(np.abs(expected) > SMALLEST, tolerance * np.abs(expected), SMALLEST)
    bad = ~(np.abs(found - expected) <= allowed)
    if not bad.any():
        return ""
    error = np.where(bad, np.abs(found - expected) / allowed, 0)
    i, c = np.unravel_index(np.nanargmax(error), error.shape)
    return (
        f"{what}: {bad.sum()} of {bad.size} off, most at logit {float(logits[i, c])!r}, target {targets[i, c]}, "
        f"label {c}, targets {targets[i].tolist()}: {float(found[i, c])!r} for {float(expected[i, c])!r}\n"
    )


@pytest.mark.parametrize("name, params, special", SETTINGS, ids=IDS)
def test_value_and_gradient(name, params, special):
    logits, targets = batch(name, special)
    *wanted, sign = expected(name, params, logits, targets)
    shifts = "gamma_negative" in REFERENCES[name].defaults  # elsewhere a margin is one of the logit
    margin = params.get("margin", REFERENCES[name].defaults.get("margin")) if shifts else None
    gamma = params.get("gamma_negative", 4.0)
    # A float64 logit of the margin is known to 1e-16 alone: what is left of p_m beside it is worth that much less.
    near = np.abs(logits - logit(margin)) if margin and isinstance(gamma, float) else np.inf
    exact = 2e-12 + (0 if margin is None else (gamma + 1) * 2e-15 / np.maximum(near, 1e-300))
    at_margin = (np.abs(logits - logit(margin)) == 0) & (targets == 0) if margin else np.zeros(logits.shape, bool)
    problems = ""
    # A smoothed target near 1 is rounded to float32: 1 - target, the weight of the other cost, has fewer digits left.
    rough = 1e-3 if name == "wal" else 2e-5
    for dtype, tolerance in ((torch.float32, rough), (torch.float64, exact)):
        values = found(build(name, params), logits, targets, dtype)
        for i, (what, value) in enumerate(zip(("loss", "gradient", "gradient of the sum"), values)):
            assert np.isfinite(value).all()
            true = wanted[min(i, 1)]
            if i:
                assert (np.sign(value) * sign >= 0).all(), f"{dtype}: a {what} points the wrong way"
                value = np.where(at_margin, true, value)  # a kink: either side is right
            problems += worst(value, true, tolerance, logits, targets, f"{dtype} {what}")
    assert not problems, problems


@pytest.mark.parametrize("name", LOSSES)
def test_defaults_are_those_of_the_reference(name):
    defaults = {key: value for key, value in LOSSES[name].defaults.items() if key != "reduction"}
    assert defaults == REFERENCES[name].defaults


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", BY_ELEMENT)
def test_half_precision_is_the_float32_computation(name, dtype):
    """... of the rounded logits, also where autocast is on."""
    special = [z for other, _, points in SETTINGS if other == name for z in points]
    logits, targets = batch(name, special)
    loss = build(name, {})
    z = torch.tensor(logits, dtype=dtype, requires_grad=True)
    y = torch.tensor(targets, dtype=dtype)
    wanted, slope, _ = found(loss, z.detach().float().numpy(), targets, torch.float32)
    for autocast in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            elements = loss(z, y, reduction="none")
            total = loss(z, y, reduction="sum")
        assert elements.dtype == total.dtype == torch.float32
        np.testing.assert_array_equal(elements.detach().numpy(), wanted.astype(np.float32))
        (grad,) = torch.autograd.grad(elements.sum(), z)
        assert grad.dtype == dtype and grad.isfinite().all()
        torch.testing.assert_close(grad, torch.tensor(slope).to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-7)
        (grad_of_sum,) = torch.autograd.grad(total, z)
        torch.testing.assert_close(grad_of_sum, grad, rtol=torch.finfo(dtype).eps, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_logits_of_a_layer_under_autocast(name):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(5, len(COUNTS)), torch.randn(8, 5)
    y = torch.randint(0, 2, (8, len(COUNTS)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(x)
        total = build(name, {})(logits, y)
    assert logits.dtype == torch.bfloat16 and total.dtype == torch.float32
    total.backward()
    torch.testing.assert_close(total, build(name, {})(logits.float(), y))
    assert layer.weight.grad.isfinite().all() and (layer.weight.grad != 0).any()


def test_products_of_matrices_in_a_loss_keep_their_digits_under_autocast():
    z, y = torch.randn(8, 3), torch.rand(8, 3)
    loss = build_loss("wal", [60, 20, 3], 100, cooccurrence=[[60, 10, 2], [10, 20, 1], [2, 1, 3]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(z, y, reduction="none")
    assert torch.equal(found, loss(z, y, reduction="none"))


# --- the reference itself, by hand ----------------------------------------------------------------------------------

LN3 = math.log(3)  # p = 3/4
P, Q = 0.75, 0.25
DBGB = 1 + (1 + (math.log(100) - 1) * (2.5 / 21.5) ** 0.55) / 10
ASL_IS_BCE = {"gamma_negative": 0.0, "margin": 0.0}


@pytest.mark.parametrize(
    "name, params, targets, c, loss, slope",
    [
        ("bce", {}, [1, 0], 0, -math.log(P), -Q),
        ("bce", {}, [1, 0], 1, -math.log(Q), P),
        ("focal", {}, [1, 0], 0, -(Q**2) * math.log(P), Q**2 * (2 * P * math.log(P) - Q)),
        ("focal", {"alpha": 0.1}, [1, 0], 1, -0.9 * P**2 * math.log(Q), -0.9 * P**2 * (2 * Q * math.log(Q) - P)),
        # counts 80 and 20 of 100
        ("weighted_bce", {}, [1, 0], 0, -math.log(P) * 20 / 80, -Q * 20 / 80),
        ("weighted_bce", {"cap": 3.0}, [1, 1], 1, -math.log(P) * 3, -Q * 3),
        ("weighted_bce", {}, [1, 0], 1, -math.log(Q), P),
        ("class_balanced", {"beta": 0.0}, [1, 0], 0, -math.log(P), -Q),
        ("afl", {}, [1, 1], 1, -(Q**5) * math.log(P), Q**5 * (5 * P * math.log(P) - Q)),  # 2 * 50/20, the upper bound
        ("afl", {"rescale": True}, [1, 1], 0, -(Q**1.25) * math.log(P) * 0.625, None),  # 2 * 50/80 = 1.25
        ("afl-literal", {"alpha": 0.5}, [1, 1], 1, -0.5 * Q**10 * math.log(P), None),  # 2 * 100/20
        ("flsd53", {}, [1, 0], 0, -(Q**3) * math.log(P), Q**3 * (3 * P * math.log(P) - Q)),
        ("flsd53", {"gamma": 1.0}, [1, 0], 1, -(P**3) * math.log(Q), -(P**3) * (3 * Q * math.log(Q) - P)),  # p_t = .25
        ("asl", {}, [1, 0], 0, -math.log(P), -Q),
        ("asl", {}, [1, 0], 1, -(0.7**4) * math.log(0.3), P * Q * (0.7**4 / 0.3 - 4 * 0.7**3 * math.log(0.3))),
        ("apl", {}, [1, 0], 0, -(math.log(P) + Q - 1.25 * Q**2), -(Q**2) * (1 + 2.5 * P)),
        ("apl", {}, [1, 0], 1, -(0.7**4) * math.log(0.3), P * Q * 0.7**4 / 0.3),  # the weight .7^4 is held
        ("apl", {"epsilon_negative": 0.5}, [1, 0], 1, -(0.7**4) * (math.log(0.3) + 0.15), None),
        ("ral", {}, [1, 0], 1, -(0.7**4) * math.log(0.3) * 0.75 * P**2 * 1.2, None),
        # a document with both labels: 1/n is 1/80 and 1/20, so r is 1/5 and 4/5; nu is .05 ln 4 and -.05 ln 4
        (
            "rebalanced_focal",
            {"gamma": 0.0, "alpha": None},
            [1, 1],
            0,
            -math.log(P) * (0.1 + 1 / (1 + math.exp(7))),
            None,
        ),
        ("rebalanced_focal", {"gamma": 0.0}, [1, 1], 1, -math.log(P) * 0.5 * (0.1 + 1 / (1 + math.exp(1))), None),
        ("rebalanced_focal", {"gamma": 0.0, "alpha": None}, [0, 0], 1, -math.log(Q) * 1.1, P * 1.1),
        (
            "rebalanced_focal",
            {"gamma": 0.0, "alpha": None},
            [1, 0],
            1,
            -math.log(Q) * (0.1 + 1 / (1 + math.exp(-31))),
            None,
        ),
        ("ntr_focal", {"gamma": 0.0, "alpha": None, "prior_shift": 0.0}, [1, 0], 1, math.log(10) / 2, 0.9),  # e^z' = 9
        ("ntr_focal", {"gamma": 0.0, "alpha": 0.2, "prior_shift": 1.0}, [1, 0], 0, 0.2 * math.log(13 / 12), -0.2 / 13),
        ("ntr_focal", {"gamma": 0.0, "alpha": None, "prior_shift": 1.0}, [1, 0], 1, math.log(1 + 9 / 16) / 2, 9 / 25),
        ("cb_ntr", {"gamma": 0.0, "alpha": None, "prior_shift": 0.0, "beta": 0.0}, [1, 0], 0, -math.log(P), -Q),
        ("ldam", {"scale": 1.0, "max_margin": 1.0}, [1, 1], 1, math.log(1 + math.e / 3), -math.e / (3 + math.e)),
        ("ldam", {"scale": 2.0, "max_margin": 2**0.5}, [1, 1], 0, math.log(1 + math.exp(2) / 9), None),  # (1/4)^(1/4)
        ("ldam", {"scale": 2.0}, [1, 0], 1, math.log(10), 1.8),
        ("plm", {}, [1, 0], 1, -math.log(Q), P),
        ("logit_adjusted", {}, [1, 0], 0, math.log(1 + 20.5 / 80.5 / 3), -1 / (1 + 3 * 80.5 / 20.5)),
        ("logit_adjusted", {"tau": 2.0}, [1, 0], 1, math.log(1 + 3 * (20.5 / 80.5) ** 2), None),
        ("hill", {}, [1, 0], 1, 0.75 * P**2, 3 * P**2 * Q**2),
        ("hill", {"margin": LN3}, [1, 0], 0, 0.25 * math.log(2), 0.25 * (math.log(0.5) - 0.5)),  # p_m = 1/2
        ("splc", {}, [1, 0], 1, -(P**2) * math.log(Q), -(P**2) * (2 * Q * math.log(Q) - P)),
        ("splc", {"change_epoch": 0}, [1, 0], 1, -(Q**2) * math.log(P), Q**2 * (2 * P * math.log(P) - Q)),
        ("splc", {"change_epoch": 0, "threshold": 0.8, "gamma": 0.0}, [1, 0], 1, -math.log(Q), P),
        ("dbgb", {}, [1, 0], 0, -math.log(P), -Q),
        # q = 1 + (ln 100 - 1) (2.5 / 21.5)^0.55 = 2.10376...: d = 1.210376...
        ("dbgb", {}, [1, 0], 1, math.log1p(3**DBGB) / DBGB, 1 / (1 + 3**-DBGB)),
        # weights (1/80)^1 and (1/20)^1 over their mean: 2/5 and 8/5; the target of label 1 is .1 * P(1 | 0)
        ("wal", {"power": 1.0, **ASL_IS_BCE}, [1, 0], 0, -math.log(P) * 0.4, -Q * 0.4),
        ("wal", {"power": 1.0, **ASL_IS_BCE}, [1, 0], 1, -(0.02 * math.log(P) + 0.98 * math.log(Q)) * 1.6, 0.73 * 1.6),
        ("wal", {"power": 0.0, **ASL_IS_BCE, "cooccurrence": [[80, 4], [4, 20]]}, [1, 0], 1, None, 0.745),
        ("wal", {"power": 0.0, **ASL_IS_BCE, "cooccurrence": [[80, 4], [4, 20]]}, [1, 1], 1, None, -0.2025),
    ],
)
def test_reference_by_hand(name, params, targets, c, loss, slope):
    value, derivative = reference(name, params, [80, 20], 100, [LN3, LN3], targets, c)
    for found, by_hand in ((value, loss), (derivative, slope)):
        if by_hand is not None:
            assert float(found) == pytest.approx(by_hand, rel=1e-13)


def test_reference_is_exact_far_out():
    """Where p rounds to 1 in any usual precision, the leading term is known."""
    value, slope = reference("focal", {"gamma": 1e5}, [1], 2, [1e4], [1], 0)
    assert abs(mp.log(value) / (-1e4 * (1e5 + 1)) - 1) < 1e-50 and abs(slope / value / (1e5 + 1) + 1) < 1e-25
    value, slope = reference("apl", {}, [1], 2, [1e4], [1], 0)
    assert abs(value / (1.75 * mp.exp(-2e4)) - 1) < 1e-50 and abs(slope / value / 2 + 1) < 1e-25
