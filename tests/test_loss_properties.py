"""Laws that the losses keep for any shape and value, and what a module of torch has to be able to do."""

import copy
import functools
import inspect
import io
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from reference_losses import REFERENCES, reference
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

import afl_helpers.losses as losses
from afl_helpers.errors import UsageError
from afl_helpers.losses import LOSSES, build_loss, focal_loss
from afl_helpers.losses.rebalanced import rebalancing_weight

COUNTS, N = [60, 20, 3, 1], 100
every_loss = pytest.mark.parametrize("name", sorted(LOSSES))
#: The losses with one loss per element; tests/test_coupled_losses.py has the laws of the others.
NAMES = sorted(name for name in LOSSES if LOSSES[name].unit == "element")
every_loss_by_element = pytest.mark.parametrize("name", NAMES)

#: Their alpha weighs positives, and 1 - alpha negatives; that of the adaptive focal loss (Eq. 3) weighs both.
WEIGHED_AS_IN_EQ_1 = sorted(name for name in LOSSES if "alpha" in LOSSES[name].parameters and name[:3] != "afl")

#: What each entry of the registry claims; each claim is tested both where it is made and where it is denied.
BCE = sorted(name for name in LOSSES if LOSSES[name].reduces_to_bce is not None)
MONOTONE = sorted(name for name in NAMES if LOSSES[name].monotone)
SOFT_TARGETS = sorted(name for name in NAMES if LOSSES[name].soft_targets)
DIFFERENTIATED = sorted(name for name in NAMES if LOSSES[name].differentiated)


def build(name, counts=COUNTS, n_documents=N, **params):
    return build_loss(name, label_counts=counts, n_documents=n_documents, **params)


def batch(rows=6, n_labels=4, seed=0, dtype=torch.float64):
    """Logits away from the points where a loss changes its form, and targets with a document of none and one of all."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, n_labels, generator=generator, dtype=dtype) * 2
    kinks = [math.log(p / (1 - p)) for p in (0.05, 0.2, 0.15, 0.4, 0.5)]
    for point in [sign * kink for kink in kinks for sign in (1, -1)]:
        z = torch.where((z - point).abs() < 0.02, z + 0.05, z)
    y = torch.randint(0, 2, (rows, n_labels), generator=generator).to(dtype)
    y[0], y[-1] = 0, 1
    return z.requires_grad_(), y


def finest(name):
    """The reduction that gives most numbers."""
    return LOSSES[name].reductions[-1]


def derivatives(value, z):
    """The first, and the second along a vector of ones."""
    (first,) = torch.autograd.grad(value, z, create_graph=True)
    return first.detach(), torch.autograd.grad(first.sum(), z)[0]


def gradient(loss, z, y, **kwargs):
    z = z.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(z, y, **kwargs), z)[0]


@st.composite
def batches(draw, soft=False):
    """(logits, targets, counts, n_documents): any shape, near and far logits, from no label to all of them."""
    rows, n_labels = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    z = torch.randn(rows, n_labels, generator=generator, dtype=torch.float64) * draw(st.sampled_from([0.1, 2.0, 15.0]))
    y = torch.rand(rows, n_labels, generator=generator, dtype=torch.float64)
    if not soft:
        y = (y < draw(st.sampled_from([0.0, 0.3, 1.0]))).double()
    n_documents = draw(st.integers(2, 1000))
    counts = draw(st.lists(st.integers(0, n_documents), min_size=n_labels, max_size=n_labels))
    return z, y, counts, n_documents


pytestmark = pytest.mark.filterwarnings(
    "ignore:.*classes have a gamma",  # afl-literal says so of the counts here, rightly
    "ignore:.*`torch.jit:DeprecationWarning",
    "ignore::torch.jit.TracerWarning",
)

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- laws -----------------------------------------------------------------------------------------------------------


def test_every_loss_has_a_reference():
    assert set(REFERENCES) == set(LOSSES)


@every_loss
def test_the_module_and_its_entry_agree_on_soft_targets(name):
    assert build(name).soft_targets == LOSSES[name].soft_targets


@every_loss
def test_an_entry_describes_the_parameters_of_its_function(name):
    """All of them, and in the words of the docstring; a partial may fix some."""
    info = LOSSES[name]
    function = getattr(info.build, "func", info.build)
    signature = set(inspect.signature(function).parameters) - {"label_counts", "n_documents"}
    assert set(info.parameters) <= signature
    if function is info.build:
        assert set(info.parameters) == signature
    bases = inspect.getmro(function) if inspect.isclass(function) else [function]
    docstrings = " ".join(" ".join((inspect.getdoc(base) or "").split()) for base in bases)
    for parameter, meaning in info.parameters.items():
        assert parameter == "reduction" or meaning in docstrings, f"{parameter}: {meaning}"


@pytest.mark.parametrize("name", BCE)
@quick
@given(batches())
def test_some_parameters_make_it_bce(name, drawn):
    z, y, counts, n_documents = drawn
    loss = build(name, counts, n_documents, **LOSSES[name].reduces_to_bce)
    for reduction in ("mean", "sum"):
        expected = binary_cross_entropy_with_logits(z, y, reduction=reduction)
        torch.testing.assert_close(loss(z, y, reduction=reduction), expected)
        slope = gradient(binary_cross_entropy_with_logits, z, y, reduction=reduction)
        torch.testing.assert_close(gradient(loss, z, y, reduction=reduction), slope)


@quick
@given(batches(), st.floats(0.1, 4.0), st.sampled_from(["mean", "max", "documents"]))
def test_ratio_law_class_by_class(drawn, base, reading):
    """FL / BCE = (1 - p_t)^gamma_c, for each class with the gamma of its count."""
    z, y, counts, n_documents = drawn
    n = torch.tensor(counts, dtype=torch.float64).clamp(min=1)
    gamma = base * {"mean": n.mean(), "max": n.max(), "documents": n_documents}[reading] / n
    bce = build("bce")(z, y, reduction="none")  # torch's own cancels at a logit of -30
    ratio = torch.where(y == 1, (-z).sigmoid(), z.sigmoid()) ** gamma
    adaptive = build("afl", counts, n_documents, base_gamma=base, normalization=reading, bounds=None)
    for loss in (adaptive, build("focal", counts, n_documents, gamma=gamma.tolist())):
        torch.testing.assert_close(loss(z, y, reduction="none"), ratio * bce, rtol=1e-9, atol=1e-200)
    bounded = build("afl", counts, n_documents, base_gamma=base, normalization=reading, bounds=(1.0, 1.0))
    torch.testing.assert_close(bounded(z, y), build("focal", gamma=1.0)(z, y))
    rescaled = build("afl", counts, n_documents, base_gamma=base, normalization=reading, bounds=None, rescale=True)
    torch.testing.assert_close(rescaled(z, y, reduction="none"), gamma / base * ratio * bce, rtol=1e-9, atol=1e-200)


@quick
@given(batches(), st.floats(0, 5))
def test_class_balanced_weighs_the_focal_loss(drawn, gamma):
    """The weights of the labels, seen from outside, have mean 1, and a rarer label never weighs less."""
    z, y, counts, n_documents = drawn
    focal = build("focal", gamma=gamma)(z, y, reduction="none")
    assume((focal > 1e-200).all())
    weights = build("class_balanced", counts, n_documents, beta=0.99, gamma=gamma)(z, y, reduction="none") / focal
    torch.testing.assert_close(weights, weights[:1].expand_as(weights))
    torch.testing.assert_close(weights[0].mean(), torch.tensor(1.0, dtype=torch.float64))
    assert (weights[0][np.argsort(counts)].diff() <= 1e-12).all()


@pytest.mark.parametrize("name", WEIGHED_AS_IN_EQ_1)
@quick
@given(batches())
def test_limits_of_alpha(name, drawn):
    """alpha 1 silences the negatives, 0 the positives, and 1/2 halves what no alpha gives."""
    z, y, counts, n_documents = drawn
    whole = build(name, counts, n_documents, alpha=None)(z, y, reduction="none")
    for alpha, kept in ((1.0, y), (0.0, 1 - y), (0.5, torch.full_like(y, 0.5))):
        loss = build(name, counts, n_documents, alpha=alpha)
        torch.testing.assert_close(loss(z, y, reduction="none"), kept * whole)
        assert (gradient(loss, z, y)[kept == 0] == 0).all()


@quick
@given(batches(), st.floats(0, 1))
def test_alpha_of_a_class_multiplies_both_signs(drawn, alpha):
    z, y, counts, n_documents = drawn
    for name in ("afl", "afl-literal"):
        whole = build(name, counts, n_documents)(z, y, reduction="none")
        found = build(name, counts, n_documents, alpha=[alpha] * len(counts))(z, y, reduction="none")
        torch.testing.assert_close(found, alpha * whole)


@pytest.mark.parametrize("name", MONOTONE)
@quick
@given(drawn=batches(), line=st.lists(st.floats(-50, 50), min_size=2, max_size=30), other=st.booleans())
def test_monotone(name, drawn, line, other):
    """A higher logit never makes a positive cost more, nor a negative less."""
    _, y, counts, n_documents = drawn
    params = {} if len(counts) != 4 or not other else REFERENCES[name].other
    if name == "ral" or name == "apl":
        params = {key: value for key, value in params.items() if key != "epsilon_negative"}  # a negative cost below 0
    z = torch.tensor(sorted(line), dtype=torch.float64)
    loss = build(name, counts, n_documents, **params)
    for row in y:
        costs = loss(z[:, None].repeat(1, len(row)), row.repeat(len(z), 1), reduction="none")
        step = costs.diff(dim=0) * (1 - 2 * row)
        assert (step >= -1e-12 * costs[1:].abs()).all()


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(MONOTONE)))
def test_where_a_loss_is_not_monotone(name):
    z = torch.linspace(-6, 6, 1201, dtype=torch.float64)[:, None].repeat(1, 4)
    loss = build(name, **REFERENCES[name].other)
    rises = loss(z, torch.ones_like(z), reduction="none").diff(dim=0).max()
    falls = loss(z, torch.zeros_like(z), reduction="none").diff(dim=0).min()
    assert rises > 1e-4 or falls < -1e-4


# --- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_first_and_second_derivative(name):
    """... with other parameters than the defaults, under a mask, each reduction, and with soft targets where taken."""
    loss = build(name, **REFERENCES[name].other)
    z, y = batch(rows=3)
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2] = False
    cases = [y]
    if LOSSES[name].soft_targets:
        cases.append(torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))
    for targets in cases:
        for reduction in ("mean", "none"):
            call = functools.partial(loss, targets=targets, mask=mask, reduction=reduction)
            assert torch.autograd.gradcheck(call, z)
            assert torch.autograd.gradgradcheck(call, z)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(DIFFERENTIATED)))
def test_where_the_gradient_is_not_that_of_the_value(name):
    z, y = batch(rows=3)
    loss = build(name, **REFERENCES[name].other)
    assert not torch.autograd.gradcheck(lambda z: loss(z, y), z, raise_exception=False)


@quick
@given(batches(), st.floats(0, 3), st.floats(0.3, 3), st.sampled_from([0.0, 0.05, 0.3]))
def test_apl_holds_its_focusing_weight(drawn, gamma_positive, gamma_negative, margin):
    z, y, _, _ = drawn
    assume((z.abs() < 12).all())  # beyond, the plain formula below cancels
    z = z.requires_grad_()
    p, q = z.sigmoid(), (-z).sigmoid()
    p_m = (p - margin).clamp(min=0)
    weight = torch.where(y == 1, q**gamma_positive, p_m**gamma_negative).detach()
    plain = torch.where(y == 1, -(logsigmoid(z) + q - 1.25 * q**2), -torch.log1p(-p_m.clamp(max=1 - 1e-16)))
    loss = build("apl", gamma_positive=gamma_positive, gamma_negative=gamma_negative, margin=margin, reduction="sum")
    for value in zip(derivatives((weight * plain).sum(), z), derivatives(loss(z, y), z)):
        torch.testing.assert_close(*value, rtol=1e-6, atol=1e-12)


def plain_focal(z, y, gamma):
    p_t = torch.where(y == 1, z.sigmoid(), (-z).sigmoid())
    return -((1 - p_t) ** gamma) * torch.where(y == 1, logsigmoid(z), logsigmoid(-z))


@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_over_classes"])
@pytest.mark.parametrize("name", ["focal", "afl", "bce"])
def test_double_backward_of_the_focal_family(name, reduction):
    """A penalty on the gradient, and a Hessian times a vector, as through the plain formula."""
    loss = build(name, reduction=reduction)
    gamma = {"bce": 0.0, "focal": 2.0}.get(name, getattr(loss, "gamma", None))
    z, y = batch()
    size = {"mean": y.numel(), "sum": 1, "sum_over_classes": len(y)}[reduction]
    vector = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    results = []
    for value in (loss(z, y), plain_focal(z, y, gamma).sum() / size):
        (slope,) = torch.autograd.grad(value, z, create_graph=True)
        (penalty,) = torch.autograd.grad(slope.square().sum(), z, retain_graph=True)
        (hessian,) = torch.autograd.grad(slope, z, vector, create_graph=True)
        (third,) = torch.autograd.grad(hessian.sum(), z)
        results.append((slope.detach(), penalty, hessian.detach(), third))
    for found, expected in zip(*results):
        torch.testing.assert_close(found, expected)


def test_parameters_of_the_function_can_be_learnt():
    z, y = batch(rows=3)
    gamma = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor([0.2, 0.4, 0.6, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, g, a: losses.focal_loss(z, y, g, a, g + 1, 1 - a), (z, gamma, alpha))
    assert torch.autograd.gradcheck(lambda w, v: losses.binary_cross_entropy(z, y, w, v), (gamma, alpha))


@every_loss
def test_second_backward_gives_the_same_gradient(name):
    loss = build(name)
    z, y = batch(dtype=torch.float32)
    for reduction in {"mean", finest(name)}:
        value = loss(z * 1, y, reduction=reduction).sum()
        first = torch.autograd.grad(value, z, retain_graph=True)[0].clone()
        second = torch.autograd.grad(value, z, retain_graph=True)[0].clone()
        third = torch.autograd.grad(value, z)[0]
        assert torch.equal(first, second) and torch.equal(first, third) and (first != 0).any()


@every_loss
def test_gradients_add_up_in_a_leaf(name):
    """Two backward passes into one .grad, and an upstream factor on each."""
    loss = build(name)
    z, y = batch(dtype=torch.float32)
    once = gradient(loss, z, y)
    (3.0 * loss(z, y)).backward()
    (loss(z, y) * -1.0).backward()
    torch.testing.assert_close(z.grad, 2 * once)


@pytest.fixture
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize("name", ["bce", "focal", "afl"])
def test_a_batch_of_many_blocks(name, threads):
    """Past the size at which a batch is cut up, and in a layout that is not contiguous."""
    counts = [1 + (7 * c) % 500 for c in range(700)]
    loss = build(name, counts, 500)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(700, 451, generator=generator).T * 3
    y = (torch.rand(451, 700, generator=generator) < 0.1).float()
    gamma = {"bce": 0.0, "focal": 2.0}.get(name, getattr(loss, "gamma", None))
    expected = plain_focal(z.double(), y.double(), gamma)
    torch.testing.assert_close(loss(z, y).double(), expected.mean(), rtol=2e-6, atol=0)
    torch.testing.assert_close(loss(z, y, reduction="none").double(), expected, rtol=2e-5, atol=1e-30)
    slope = gradient(lambda z, y: plain_focal(z, y, gamma).mean(), z.double(), y.double())
    torch.testing.assert_close(gradient(loss, z, y).double(), slope, rtol=2e-5, atol=1e-30)
    mask = torch.rand(451, 700, generator=generator) < 0.5
    torch.testing.assert_close(loss(z, y, mask=mask).double(), expected[mask].mean(), rtol=2e-6, atol=0)
    with torch.inference_mode():
        torch.testing.assert_close(loss(z * 1, y, reduction="none").double(), expected, rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize("name", sorted(name for name in LOSSES if LOSSES[name].unit != "batch"))
def test_per_sample_gradients(name):
    """torch.func: the gradient of each document, at once."""
    loss = build(name).eval()
    z, y = batch()
    found = torch.func.vmap(torch.func.grad(lambda z, y: loss(z[None], y[None], reduction="sum")))(z.detach(), y)
    torch.testing.assert_close(found, gradient(loss, z, y, reduction="sum"))


# --- against the reference ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["defaults", "other"])
@every_loss_by_element
def test_random_batches_against_the_reference(name, which):
    params = getattr(REFERENCES[name], which)
    loss = build(name, **params)
    z, y = batch(rows=5, seed=11)
    found = loss(z, y, reduction="none")
    (slopes,) = torch.autograd.grad(found.sum(), z)
    for i in range(5):
        for c in range(4):
            value, slope = reference(name, params, COUNTS, N, z[i].tolist(), y[i].tolist(), c)
            assert found[i, c].item() == pytest.approx(float(value), rel=1e-11, abs=1e-300)
            assert slopes[i, c].item() == pytest.approx(float(slope), rel=1e-11, abs=1e-300)


def functions():
    """Losses through the functions of the package, with what the module takes from the counts written out.

    Not that of "wal", whose module computes the targets.
    """
    n = torch.tensor(COUNTS, dtype=torch.float64)
    share = {beta: (1 - beta) / (1 - beta**n) for beta in (0.9, 0.999)}
    balanced = share[0.999] / share[0.999].mean()
    shift = -0.05 * torch.log(N / n - 1)
    rarity = (math.log(N) - 1) * (2.5 / (n + 1.5)) ** 0.55
    db, focal = losses.distribution_balanced_loss, losses.focal_loss
    rebalanced = functools.partial(rebalancing_weight, frequency=n)
    return {
        "bce": losses.binary_cross_entropy,
        "weighted_bce": lambda z, y, **k: losses.binary_cross_entropy(z, y, (N - n) / n, **k),
        "class_balanced": lambda z, y, **k: losses.binary_cross_entropy(z, y, weight=balanced, **k),
        "focal": focal,
        "afl": lambda z, y, **k: focal(z, y, (2 * n.mean() / n).clip(0.5, 5), **k),
        "afl-literal": lambda z, y, **k: focal(z, y, 2 * N / n, **k),
        "flsd53": losses.flsd_loss,
        "asl": losses.asymmetric_loss,
        "logit_adjusted": lambda z, y, **k: losses.logit_adjusted_loss(z, y, torch.log((n + 0.5) / (N - n + 0.5)), **k),
        "hill": losses.hill_loss,
        "splc": lambda z, y, **k: losses.splc_loss(z, y, correct=False, **k),
        "dbgb": lambda z, y, **k: losses.gradient_balanced_loss(z, y, 1.1 + 0.1 * rarity, **k),
        "zlpr": losses.zlpr_loss,
        "two_way": losses.two_way_loss,
        "sigmoid_f1": losses.sigmoid_f1_loss,
        "apl": losses.asymmetric_polynomial_loss,
        "ral": losses.robust_asymmetric_loss,
        "ldam": lambda z, y, **k: losses.ldam_loss(z, y, 0.5 * n**-0.25, **k),  # the rarest has one document
        "plm": losses.binary_cross_entropy,
        "distribution_balanced": lambda z, y, **k: db(z, y, shift, 2.0, rebalanced(y), **k),
        "rebalanced_focal": lambda z, y, **k: db(z, y, weight=rebalanced(y), **k),
        "ntr_focal": lambda z, y, **k: db(z, y, shift, 2.0, **k),
        "cb_ntr": lambda z, y, **k: db(z, y, shift, 2.0, share[0.9], **k),
    }


@pytest.mark.parametrize("name", functions())
def test_module_is_function(name):
    loss, function = build(name), functions()[name]
    z, y = batch(rows=6, seed=2)
    mask = torch.ones(6, 4, dtype=torch.bool)
    mask[2] = False
    for kwargs in ({}, {"mask": mask}):
        for reduction in LOSSES[name].reductions:
            torch.testing.assert_close(
                loss(z, y, reduction=reduction, **kwargs), function(z, y, reduction=reduction, **kwargs)
            )


# --- shapes, masks, targets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (3, 4)])
@every_loss_by_element
def test_reductions_with_and_without_mask(name, shape):
    rows, n_labels = shape
    loss = build(name, COUNTS[-n_labels:])
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(shape, generator=generator)
    y = torch.randint(0, 2, shape, generator=generator).float()
    elements = loss(z, y, reduction="none")
    mask = torch.arange(rows * n_labels).reshape(shape) % 3 != 1
    for kept, kwargs in (
        (torch.ones(shape, dtype=torch.bool), {}),
        (mask, {"mask": mask}),
        (mask, {"mask": mask.int()}),
    ):
        # A label of the document that is masked is unknown: it takes no part in the weight of the others.
        wanted = elements if not kwargs else loss(z, torch.where(kept, y, 0.0), reduction="none")
        wanted = torch.where(kept, wanted, 0.0)
        noisy_z, noisy_y = torch.where(kept, z, torch.nan).requires_grad_(), torch.where(kept, y, torch.nan)
        for reduction, divisor in (("mean", kept.sum()), ("sum", 1), ("sum_over_classes", rows)):
            value = loss(noisy_z, noisy_y, reduction=reduction, **kwargs)
            torch.testing.assert_close(value, wanted.sum() / divisor)
            (slope,) = torch.autograd.grad(value, noisy_z)
            assert slope.isfinite().all() and (slope[~kept] == 0).all()
        torch.testing.assert_close(loss(noisy_z, noisy_y, reduction="none", **kwargs), wanted)


@every_loss
def test_nothing_to_reduce(name):
    loss = build(name)
    z = torch.full((2, 4), torch.nan, requires_grad=True)
    value = loss(z, torch.full((2, 4), torch.nan), mask=torch.zeros(2, 4))
    value.backward()
    assert value == 0 and (z.grad == 0).all()
    empty = torch.zeros(0, 4, requires_grad=True)
    for reduction in set(LOSSES[name].reductions) - {"none"}:
        value = loss(empty, torch.zeros(0, 4), reduction=reduction)
        value.backward()
        assert value == 0
    shape = {"element": (0, 4), "document": (0,), "batch": ()}[LOSSES[name].unit]
    assert loss(empty, torch.zeros(0, 4), reduction=finest(name)).shape == shape


@every_loss
@quick
@example(drawn=(torch.zeros(1, 1).double(), torch.zeros(1, 1).double(), [0], 2))
@given(drawn=batches())
def test_any_count_and_batch_is_finite(name, drawn):
    """Also a class with no document in training, with every document, with no target in the batch."""
    z, y, counts, n_documents = drawn
    loss = build(name, counts, n_documents)
    for dtype in (torch.float32, torch.float64):
        elements = loss(z.to(dtype), y.to(dtype), reduction=finest(name))
        assert elements.isfinite().all() and (elements >= 0).all() and elements.dtype == dtype
        assert gradient(loss, z.to(dtype), y.to(dtype)).isfinite().all()


@every_loss
def test_dtype_of_the_targets_is_free(name):
    loss = build(name)
    z, y = batch(dtype=torch.float32)
    expected = loss(z, y)
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64):
        assert torch.equal(loss(z, y.to(dtype)), expected) and loss(z, y.to(dtype)).dtype == torch.float32


@every_loss_by_element
@quick
@given(drawn=batches(soft=True), share=st.floats(0.01, 0.99))
def test_soft_targets_mix_the_two_costs(name, drawn, share):
    z, y, counts, n_documents = drawn
    y = y * share
    loss = build(name, counts, n_documents)
    if not LOSSES[name].soft_targets:
        with pytest.raises(UsageError, match="targets of 0 and 1"):
            loss(z, y)
        return
    if REFERENCES[name].by_document:
        return  # the other labels enter, too: see below
    one, zero = loss(z, torch.ones_like(z), reduction="none"), loss(z, torch.zeros_like(z), reduction="none")
    torch.testing.assert_close(loss(z, y, reduction="none"), y * one + (1 - y) * zero)


def mixture(loss, z, y):
    one, zero = loss(z, torch.ones_like(z), reduction="none"), loss(z, torch.zeros_like(z), reduction="none")
    return y * one + (1 - y) * zero


@quick
@given(drawn=batches(soft=True))
def test_a_soft_target_repeats_its_document_in_proportion(drawn):
    """Wu et al., Eq. 4, with each label's share of the document in place of a whole label."""
    z, y, counts, n_documents = drawn
    n = torch.tensor(counts, dtype=torch.float64).clip(min(1, n_documents / 2), max(n_documents - 1, n_documents / 2))
    repeated = sum(y[:, [j]] / n[j] for j in range(len(counts)))
    weight = 0.1 + torch.sigmoid(10 * (1 / n / repeated - 0.9))
    tolerant = mixture(build("ntr_focal", counts, n_documents), z, y)
    torch.testing.assert_close(
        build("distribution_balanced", counts, n_documents)(z, y, reduction="none"), weight * tolerant
    )
    plain = mixture(build("ntr_focal", counts, n_documents, prior_shift=0.0, negative_scale=1.0), z, y)
    torch.testing.assert_close(build("rebalanced_focal", counts, n_documents)(z, y, reduction="none"), weight * plain)


@quick
@given(drawn=batches(soft=True), with_table=st.booleans())
def test_a_soft_target_smooths_the_others_in_proportion(drawn, with_table):
    z, y, counts, n_documents = drawn
    n = torch.tensor(counts, dtype=torch.float64)
    conditional = (n.clip(min(1, n_documents / 2), max(n_documents - 1, n_documents / 2)) / n_documents).expand(
        len(n), -1
    )
    params = {}
    if with_table:
        shared = torch.minimum(n[:, None], n) / 3
        params, conditional = {"cooccurrence": shared.tolist()}, shared / n.clamp(min=1)[:, None]
    conditional = torch.where(torch.eye(len(n), dtype=torch.bool), 1.0, conditional)
    smoothed = 0.7 * y + 0.3 * torch.einsum("dj,jc->dc", y, conditional) / y.sum(1, keepdim=True).clamp(min=1)
    found = build("wal", counts, n_documents, smoothing=0.3, **params)(z, y, reduction="none")
    expected = mixture(build("wal", counts, n_documents, smoothing=0.0), z, smoothed)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("share", [1e-6, 1e-3, 1 - 1e-3])
@pytest.mark.parametrize("name", [name for name in SOFT_TARGETS if not REFERENCES[name].by_document])
def test_one_soft_target_among_many_hard_ones(name, share):
    """A sum of targets over the batch does not notice it; its loss and gradient must."""
    logits = torch.tensor([[-300.0, -3.0, 3.0, 300.0]])
    z, y = torch.cat([logits, torch.zeros(2000, 4)]), torch.cat([torch.full((1, 4), share), torch.ones(2000, 4)])
    loss = build(name, reduction="sum")
    one, zero = (loss(logits, torch.full((1, 4), sign), reduction="none") for sign in (1.0, 0.0))
    expected = y[0] * one + (1 - y[0]) * zero
    torch.testing.assert_close(loss(z, y, reduction="none")[:1], expected, rtol=1e-5, atol=1e-30)
    slopes = [gradient(loss, logits, torch.full((1, 4), sign)) for sign in (1.0, 0.0)]
    torch.testing.assert_close(
        gradient(loss, z, y)[:1], y[0] * slopes[0] + (1 - y[0]) * slopes[1], rtol=1e-5, atol=1e-30
    )


@pytest.mark.parametrize("wrong", [-0.1, 1.5, 2.0, float("nan"), float("inf")])
@every_loss
def test_targets_out_of_range(name, wrong):
    z, y = batch()
    y[2, 1] = wrong
    with pytest.raises(UsageError, match="targets"):
        build(name)(z, y)


@every_loss
def test_targets_out_of_range_that_add_up(name):
    """With t = 2 and eight of 1/2, t^2 and t have the same sum, as 0 and 1 have."""
    y = torch.tensor([[2.0, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [0.5, 0.0, 1.0, 1.0]])
    with pytest.raises(UsageError, match="targets"):
        build(name)(torch.ones(3, 4), y)


@every_loss
def test_nothing_is_changed_by_a_backward(name):
    loss = build(name)
    z, y = batch(dtype=torch.float32)
    mask = torch.arange(24).reshape(6, 4) % 5 != 0
    before = z.detach().clone(), y.clone(), mask.clone(), copy.deepcopy(loss.state_dict())
    value = loss(z, y, mask=mask, reduction=finest(name))
    upstream = torch.full_like(value, 2.0)
    value.backward(upstream)
    loss(z, y).backward()
    assert torch.equal(z.detach(), before[0]) and torch.equal(y, before[1]) and torch.equal(mask, before[2])
    assert (upstream == 2).all() and torch.is_grad_enabled()
    if name != "plm":  # it records the epoch
        assert all(torch.equal(value, before[3][key]) for key, value in loss.state_dict().items())
    with torch.inference_mode():
        assert not loss(z, y).requires_grad and torch.is_inference_mode_enabled()
    with pytest.raises(UsageError), torch.no_grad():
        loss(z, y[:2])
    assert torch.is_grad_enabled()


# --- a module of torch ----------------------------------------------------------------------------------------------


@every_loss
def test_compiled_without_a_break(name):
    loss = build(name)
    z, y = batch(dtype=torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(z, y), loss(z, y))
    torch.testing.assert_close(gradient(compiled, z, y), gradient(loss, z, y))


@pytest.mark.parametrize("gammas", [(2.0, None), (0.5, 3.0), ("per class", None), ("per class", 1e3)])
@pytest.mark.parametrize("alphas", [(None, None), (0.25, 0.75), ("per class", None)])
def test_compiled_focal_loss_has_a_form_of_its_own(gammas, alphas):
    values = torch.tensor([0.0, 0.3, 1.0, 2.5, 5.0, 40.0], dtype=torch.float64)
    gamma, gamma_negative = (values if value == "per class" else value for value in gammas)
    alpha, alpha_negative = (values / 40 if value == "per class" else value for value in alphas)
    z = torch.cat([torch.linspace(-60, 60, 97), torch.tensor([-1e4, 1e4])])[:, None].expand(-1, 6).contiguous()
    parameters = {"gamma": gamma, "alpha": alpha, "gamma_negative": gamma_negative, "alpha_negative": alpha_negative}
    given = {name: p.float() if isinstance(p, torch.Tensor) else p for name, p in parameters.items()}
    torch._dynamo.reset()
    compiled = torch.compile(focal_loss, fullgraph=True, backend="aot_eager")
    for y in (torch.zeros_like(z), torch.ones_like(z)):
        expected = focal_loss(z.double(), y.double(), **parameters, reduction="none")
        torch.testing.assert_close(
            compiled(z, y, **given, reduction="none").double(), expected, rtol=2e-5, atol=1e-30, check_dtype=False
        )
        slope = gradient(focal_loss, z.double(), y.double(), **parameters)
        found = gradient(compiled, z, y, **given)
        torch.testing.assert_close(found.double(), slope, rtol=2e-5, atol=1e-30)


def test_compiled_focal_loss_with_soft_targets_learned_gamma_and_no_second_derivative():
    z, _ = batch(dtype=torch.float32)
    soft = torch.rand(z.shape, generator=torch.Generator().manual_seed(3))
    gamma = torch.linspace(0, 4, z.shape[1], requires_grad=True)
    torch._dynamo.reset()
    compiled = torch.compile(focal_loss, backend="aot_eager")
    fixed = gamma.detach()
    torch.testing.assert_close(
        gradient(lambda z, y: compiled(z, y, fixed), z, soft), gradient(lambda z, y: focal_loss(z, y, fixed), z, soft)
    )
    (slope,) = torch.autograd.grad(compiled(z, soft, gamma), gamma)
    (expected,) = torch.autograd.grad(focal_loss(z, soft, gamma), gamma)
    torch.testing.assert_close(slope, expected)
    with pytest.raises(RuntimeError, match="double backward|create_graph=False"):  # better than a wrong one
        (first,) = torch.autograd.grad(compiled(z, soft, fixed), z, create_graph=True)
        first.sum().backward()


@every_loss
def test_exported(name):
    """With any batch size; the program gives what the module gives."""
    loss = build(name).eval()
    z, y = batch(dtype=torch.float32)
    rows = torch.export.Dim("rows", min=2, max=1024)
    program = torch.export.export(loss, (z.detach(), y), dynamic_shapes=({0: rows}, {0: rows}))
    other, targets = batch(rows=9, seed=4, dtype=torch.float32)
    torch.testing.assert_close(program.module()(other.detach(), targets), loss(other, targets).detach())


@every_loss
def test_traced(name):
    loss = build(name).eval()
    z, y = batch(dtype=torch.float32)
    traced = torch.jit.trace(loss, (z.detach(), y), check_trace=False)
    other, targets = batch(seed=4, dtype=torch.float32)
    torch.testing.assert_close(traced(other, targets), loss(other, targets))
    torch.testing.assert_close(gradient(traced, other, targets), gradient(loss, other, targets))


@every_loss
def test_state_dict_carries_all_that_the_counts_gave(name):
    """A loss built on other counts, once it has read the state, is this loss; through a file and back."""
    loss, other = build(name, **REFERENCES[name].other), build(name, [5, 5, 50, 70], 80, **REFERENCES[name].other)
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    z, y = batch()
    assert torch.equal(other(z, y, reduction=finest(name)), loss(z, y, reduction=finest(name)))


@every_loss
def test_conversions_keep_the_values(name):
    """.to(float64) and .double() change nothing; .half() and .bfloat16() of a model that holds the loss neither."""
    z, y = batch()
    expected = build(name, **REFERENCES[name].other)(z, y, reduction=finest(name))
    for convert in (
        lambda m: m.double(),
        lambda m: m.to(torch.float64),
        lambda m: m.half(),
        lambda m: m.bfloat16(),
        lambda m: m.to("cpu", torch.float16),
    ):
        holder = torch.nn.ModuleDict({"loss": build(name, **REFERENCES[name].other), "head": torch.nn.Linear(2, 2)})
        loss = convert(holder)["loss"]
        torch.testing.assert_close(loss(z, y, reduction=finest(name)), expected, rtol=1e-14, atol=0)
    loss = build(name, **REFERENCES[name].other).float()
    torch.testing.assert_close(loss(z, y, reduction=finest(name)), expected, rtol=1e-5, atol=1e-30)


@every_loss
def test_a_copy_is_independent(name):
    loss = build(name)
    twin = copy.deepcopy(loss)
    z, y = batch()
    expected = loss(z, y)
    for buffer in twin.buffers():
        buffer.zero_()
    assert torch.equal(loss(z, y), expected)


# --- partial label masking: chance and memory -----------------------------------------------------------------------

PREDICTED = torch.tensor([0.9, 0.9, 0.1, 0.1]).logit()


BOTH_UPDATES = pytest.mark.parametrize("update", ["distance", "standardized_kl"])


def plm_after_an_epoch(**params):
    """Label 0 has positives at .9, .9, .1 and a negative at .1; label 1 a positive at .9 and negatives at .9, .1, .1.

    The errors of label 0 are 1.1/3 for its positives and .1 for its negatives, those of label 1 .1 and 1.1/3. With two
    bins the divergence of label 0 is K for its positives and 0 for its negatives, of label 1 0 and the same K.
    Standardised over the two: 1 and -1, -1 and 1. Label 2 has no positive: it does not move.
    """
    loss = build_loss("plm", label_counts=[5, 2, 3], n_documents=10, n_bins=2, **params)
    z = torch.stack([PREDICTED, PREDICTED, PREDICTED], 1).requires_grad_()
    y = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]).float()
    loss(z, y)
    loss.end_epoch()
    return loss


def test_plm_moves_its_ideal_ratio():
    for rate in (0.1, 0.3):
        ideal = plm_after_an_epoch(rate=rate, bound=7.0).ideal_ratio.tolist()
        moved = 7.0 ** (rate * 0.8 / 3)
        assert ideal == pytest.approx([5 / 5 * moved, 2 / 8 / moved, 3 / 7])
        ideal = plm_after_an_epoch(rate=rate, update="standardized_kl").ideal_ratio.tolist()
        assert ideal == pytest.approx([0.5 * math.exp(2 * rate), 0.2 * math.exp(-2 * rate), 0.3])


@BOTH_UPDATES
def test_plm_keeps_as_often_as_it_says(update):
    loss = plm_after_an_epoch(reduction="none", update=update, rate=0.1 if update == "standardized_kl" else 1.0)
    p = math.exp(-0.2) if update == "standardized_kl" else 10 ** (-0.8 / 3)
    z = torch.randn(40_000, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    y = (torch.arange(40_000) % 2)[:, None].repeat(1, 3).float()
    torch.manual_seed(7)
    elements = loss(z, y)
    (slope,) = torch.autograd.grad(elements.sum(), z)
    kept = elements != 0
    whole = build("bce")(z, y, reduction="none")
    assert torch.equal(elements, torch.where(kept, whole, 0.0)) and ((slope != 0) == kept).all()
    # Negatives of label 0, which has too few positives; positives of label 1, which has too many.
    for found in (kept[0::2, 0], kept[1::2, 1]):
        assert found.float().mean().item() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / 20_000))
    assert kept[1::2, 0].all() and kept[0::2, 1].all() and kept[:, 2].all()
    assert loss(z, y, reduction="mean").item() < whole.mean()  # what is masked still counts in the mean

    torch.manual_seed(7)
    assert torch.equal(loss(z, y), elements)
    assert not torch.equal(loss(z, y), elements)


@pytest.mark.parametrize("update, ideals, shares", [("distance", [1 / 3, 3.0, 0.1], [0.25, 0.75, 1 / 11]),
                                                    ("standardized_kl", [0.25, 0.75, 0.1], [1 / 3, 0.6, 1 / 6])])  # fmt: skip
def test_plm_reaches_its_ideal_by_odds_and_not_by_shares(update, ideals, shares):
    """Labels on half of the documents: of the elements that are kept, which share is positive?"""
    loss = build_loss("plm", [500] * 3, 1000, update=update, reduction="none")
    loss.ideal_ratio.copy_(torch.tensor(ideals))
    y = (torch.arange(100_000) % 2)[:, None].repeat(1, 3).float()
    torch.manual_seed(3)
    kept = loss(torch.ones(100_000, 3, requires_grad=True), y) != 0
    found = (kept & y.bool()).sum(0) / kept.sum(0)
    for share, expected in zip(found.tolist(), shares):
        assert share == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / 50_000))


def factors_over_epochs(loss, z, y, epochs):
    """The ideal over the observed ratio after each epoch of the same predictions: (epochs, n_labels)."""
    factors = []
    for _ in range(epochs):
        loss(z.clone().requires_grad_(), y)
        loss.end_epoch()
        factors.append(loss.ideal_ratio / loss.ratio)
    return torch.stack(factors)


PLM_COUNTS = [400, 120, 40, 9, 3]


def plm_batch(seed=0, rows=1000, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(rows, 5, generator=generator) < torch.tensor(PLM_COUNTS) / 1000).float()
    y[0], y[1] = 1, 0
    return torch.randn(rows, 5, generator=generator) * scale + 2 * y - 1, y


def test_plm_stays_where_predictions_are_perfect():
    _, y = plm_batch()
    factors = factors_over_epochs(build_loss("plm", PLM_COUNTS, 1000), (2 * y - 1) * 200, y, 200)
    assert torch.equal(factors, torch.ones_like(factors))


def test_plm_settles_where_the_update_of_the_third_party_runs_away():
    """Of 5,000 predictions, two have p = .73 on the right side, and the others are right; none ever changes."""
    _, y = plm_batch()
    z = (2 * y - 1) * 12
    z[y[:, 0].nonzero()[0], 0], z[(y[:, 1] == 0).nonzero()[0], 1] = 1.0, -1.0
    settled = factors_over_epochs(build_loss("plm", PLM_COUNTS, 1000), z, y, 200)
    error = (1 - 1 / (1 + math.exp(-1))) / y[:, 0].sum().item()  # of the positives of label 0; all else is 1e-5 or less
    assert settled[-1, 0].item() == pytest.approx(10**error, rel=1e-4)
    assert (settled.log().abs() < 0.002).all()
    run_away = factors_over_epochs(build_loss("plm", PLM_COUNTS, 1000, update="standardized_kl"), z, y, 50)
    assert run_away[9, 0] == pytest.approx(12.2, rel=0.01) and run_away[-1, 0] > 2e5
    assert (run_away[1:, 0] / run_away[:-1, 0] - run_away[0, 0]).abs().max() < 1e-9  # by the same factor each epoch


@pytest.mark.parametrize("rate", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("bound", [1.0, 3.0, 10.0])
def test_plm_is_bounded_for_any_predictions(rate, bound):
    loss, generator = build_loss("plm", PLM_COUNTS, 1000, rate=rate, bound=bound), torch.Generator().manual_seed(0)
    _, y = plm_batch(rows=50)
    for epoch in range(200):  # long spells of being wrong about positives, about negatives, and of noise
        z = [-30.0, 30.0, 20 * torch.randn(50, 5, generator=generator)][epoch // 40 % 3] * torch.ones(50, 5)
        factors = factors_over_epochs(loss, z, y, 1)
        assert (factors <= bound * (1 + 1e-12)).all() and (factors >= (1 - 1e-12) / bound).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_plm_converges_for_unchanging_predictions(rate):
    z, y = plm_batch()
    z = z - torch.arange(5) / 2 + 0.7
    p = torch.sigmoid(z.double())
    error = (y * (1 - p)).sum(0) / y.sum(0) - ((1 - y) * p).sum(0) / (1 - y).sum(0)
    limit = math.log(10) * error
    for start in (1.0, 0.01, 50.0):
        loss = build_loss("plm", PLM_COUNTS, 1000, rate=rate)
        loss.ideal_ratio.mul_(start)
        logs = factors_over_epochs(loss, z, y, 200).log()
        expected = limit + (math.log(start) - limit) * (1 - rate) ** torch.arange(1, 201, dtype=torch.float64)[:, None]
        torch.testing.assert_close(logs, expected, rtol=0, atol=1e-6)
    assert error.abs().min() > 0.01


def test_plm_rises_with_the_errors_of_positives_and_falls_with_those_of_negatives():
    for seed in range(20):
        z, y = plm_batch(seed, rows=60)
        row, label = seed % 60, seed % 5
        before = factors_over_epochs(build_loss("plm", PLM_COUNTS, 1000), z, y, 3)[-1]
        z[row, label] -= 0.5
        after = factors_over_epochs(build_loss("plm", PLM_COUNTS, 1000), z, y, 3)[-1]
        assert (after > before).tolist() == [c == label for c in range(5)]  # a positive is worse, or a negative better
        assert torch.equal(after[after == before], before[after == before]) and (after >= before).all()


def test_plm_settles_together_with_a_model_that_fits_what_it_keeps():
    """A model of one score per label predicts the share of positives among the elements that were kept."""
    loss = build_loss("plm", PLM_COUNTS, 1000)
    y = (torch.arange(1000)[:, None] < torch.tensor(PLM_COUNTS)).float()
    for _ in range(200):
        loss(loss.ideal_ratio.log().expand(1000, 5).clone().requires_grad_(), y)
        loss.end_epoch()
    # All elements of a label have one p, so both errors sum to 1 and the fixed point is log f = log 10 (1 - 2p).
    factor, p = loss.ideal_ratio / loss.ratio, loss.ideal_ratio / (1 + loss.ideal_ratio)
    torch.testing.assert_close(factor.log(), math.log(10) * (1 - 2 * p), rtol=0, atol=1e-6)
    assert (factor[1:] > factor[:-1]).all() and factor[0] > 1  # the rarer, the more negatives are left out


def test_plm_parameters_are_checked():
    for params, words in (
        ({"update": "kl"}, "update.*choose one of: distance, standardized_kl"),
        ({"rate": 1.5}, r"rate is 1.5; pass a finite number in \[0, 1\]"),
        ({"bound": 0.5}, "bound is 0.5"),
    ):
        with pytest.raises(UsageError, match=words):
            build_loss("plm", [5, 2], 10, **params)
    build_loss("plm", [5, 2], 10, update="standardized_kl", rate=1.5)


def test_plm_is_bce_where_nothing_is_trained():
    loss = plm_after_an_epoch()
    before, state = copy.deepcopy(loss.state_dict()), torch.get_rng_state()
    z, y = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)), torch.zeros(50, 3)
    expected = build("bce")(z, y)
    assert torch.equal(loss(z, y), expected)
    with torch.no_grad():
        assert torch.equal(loss(z.requires_grad_() * 1, y), expected)
    loss.eval()
    assert torch.equal(loss(z.requires_grad_(), y), expected)
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_plm_does_not_count_what_is_masked():
    loss = build_loss("plm", label_counts=[5, 2], n_documents=10)
    other = copy.deepcopy(loss)
    z, y = batch(rows=20, n_labels=2, dtype=torch.float32)
    loss(z[:15], y[:15])
    mask = (torch.arange(20) < 15)[:, None].repeat(1, 2)
    other(torch.where(mask, z, torch.nan), torch.where(mask, y, torch.nan), mask=mask)
    for part in (loss, other):
        part.end_epoch()
    torch.testing.assert_close(loss.ideal_ratio, other.ideal_ratio, rtol=1e-7, atol=0)
    assert (loss.ideal_ratio != loss.ratio).any()


def test_plm_goes_on_from_its_state():
    """Stopped in the middle of an epoch, by state dict or pickle."""
    loss = plm_after_an_epoch()
    z, y = batch(rows=8, n_labels=3, dtype=torch.float32)
    loss(z[:4], y[:4])
    restored = build_loss("plm", label_counts=[1, 1, 1], n_documents=4, n_bins=2)
    restored.load_state_dict(loss.state_dict())
    for other in (restored, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        for part in (loss_copy := copy.deepcopy(loss), other):
            part(z[4:], y[4:])
            part.end_epoch()
        assert torch.equal(loss_copy.ideal_ratio, other.ideal_ratio)
        assert (loss_copy.ideal_ratio != loss.ideal_ratio).any()


def test_plm_second_derivative():
    """With the mask that the generator's state gives, drawn anew in each call."""
    loss = plm_after_an_epoch(rate=1.0, reduction="none")
    z, y = batch(rows=4, n_labels=3)

    def call(z):
        torch.manual_seed(3)
        return loss(z, y)

    assert (call(z) == 0).any()
    assert torch.autograd.gradcheck(call, z) and torch.autograd.gradgradcheck(call, z)


# --- what a count or a table may hold -------------------------------------------------------------------------------


def test_wal_takes_labels_that_all_or_none_carry():
    shared = [[10, 4, 0], [4, 4, 0], [0, 0, 0]]
    loss = build_loss("wal", label_counts=[10, 4, 0], n_documents=10, cooccurrence=shared)
    z, y = batch(rows=5, n_labels=3)
    assert loss(z, y).isfinite() and gradient(loss, z, y).isfinite().all()


@every_loss
def test_one_document(name):
    loss = build(name, [1, 0], 1)
    z, y = batch(rows=3, n_labels=2)
    assert loss(z, y, reduction=finest(name)).isfinite().all() and gradient(loss, z, y).isfinite().all()


def with_gradient(loss, z, y, reduction):
    value = loss(z, y, reduction=reduction)
    return torch.cat([value.detach().flatten(), torch.autograd.grad(value.sum(), z)[0].flatten()])


def test_no_parameter_is_without_effect():
    z, y = batch()
    changes = {
        "cap": 2.0,
        "beta": 0.5,
        "gamma": 1.2,
        "alpha": 0.3,
        "base_gamma": 1.0,
        "normalization": "sqrt",
        "bounds": (1.0, 2.0),
        "assignment": "reversed",
        "gamma_negative": 0.7,
        "rescale": True,
        "gammas": (4.0, 2.0),
        "limits": (0.4, 0.6),
        "gamma_positive": 0.7,
        "margin": 0.3,
        "epsilon_1": 0.2,
        "epsilon_2": -1.0,
        "epsilon_negative": 0.4,
        "lambda_": 1.2,
        "power": 1.0,
        "smoothing": 0.4,
        "cooccurrence": [[60, 10, 2, 1], [10, 20, 1, 0], [2, 1, 3, 0], [1, 0, 0, 1]],
        "weight_floor": 0.5,
        "weight_slope": 1.0,
        "weight_center": 0.1,
        "prior_shift": 0.7,
        "negative_scale": 3.0,
        "divide_negatives": False,
        "detach_focus": True,
        "max_margin": 1.0,
        "scale": 2.0,
        "tau": 0.5,
        "change_epoch": 0,
        "temperature_positive": 2.0,
        "temperature_negative": 2.0,
        "slope": 3.0,
        "offset": 0.5,
        "on_probabilities": True,
    }
    idle = {
        "reduction",
        "assignment_seed",
        "rate",
        "n_bins",
        "update",
        "bound",
        "threshold",
        "growth",
        "n_epochs",
    }  # of a shuffle, and of later epochs
    for name, info in LOSSES.items():
        before = with_gradient(build(name), z, y, finest(name))
        for parameter in set(info.defaults) - idle:
            value = changes[parameter] if parameter in changes else REFERENCES[name].other[parameter]
            after = with_gradient(build(name, **{parameter: value}), z, y, finest(name))
            assert not torch.equal(before, after), (name, parameter)
