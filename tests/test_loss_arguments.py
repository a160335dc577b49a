"""What a loss takes as an argument: numbers of numpy, lists and arrays; and what it refuses when it is built."""

import functools
import inspect
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from reference_losses import REFERENCES

import afl_helpers.losses as losses
from afl_helpers.errors import UsageError
from afl_helpers.losses import LOSSES, AdaptiveFocalLoss, FocalLoss, build_loss, check_loss, focal_loss
from afl_helpers.losses.base import check_number

COUNTS, N = [60, 20, 3, 1], 100
COOCCURRENCE = [[60, 10, 2, 1], [10, 20, 1, 0], [2, 1, 3, 0], [1, 0, 0, 1]]

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*classes have a gamma",  # afl-literal, rightly
    "ignore:Sparse CSR tensor support is in beta state",
)
every_loss = pytest.mark.parametrize("name", LOSSES)


def batch():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return z, (torch.rand(5, 4, generator=generator) < 0.4).double()


def parameters(name):
    """All parameters of a loss with values, the defaults or, where there are some, others."""
    values = LOSSES[name].defaults | REFERENCES[name].other
    if "cooccurrence" in values:
        values["cooccurrence"] = COOCCURRENCE
    return values


def converted(value, number, sequence):
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return number(value)
    return sequence(value)


@pytest.mark.parametrize(
    "number, sequence",
    [
        (np.float64, np.asarray),
        (lambda x: np.int64(x) if x == int(x) else np.float64(x), tuple),
        (lambda x: np.int32(x) if x == int(x) else float(x), list),
        (np.asarray, lambda x: torch.tensor(x, dtype=torch.float64)),
        (lambda x: torch.tensor(x, dtype=torch.float64), list),
    ],
)
@every_loss
def test_numbers_of_numpy_and_any_sequence(name, number, sequence):
    given = parameters(name)
    other = {key: converted(value, number, sequence) for key, value in given.items()}
    z, y = batch()
    loss = build_loss(name, COUNTS, N, **given).eval()
    expected = loss(z, y)
    assert torch.equal(build_loss(name, np.array(COUNTS), np.int64(N), **other).eval()(z, y), expected)
    assert torch.equal(build_loss(name, torch.tensor(COUNTS), N, **other).eval()(z, y), expected)
    check_loss(name, other)


@every_loss
def test_float32_numbers_are_taken_at_their_value(name):
    given = parameters(name)
    single = {key: converted(value, np.float32, lambda x: x) for key, value in given.items() if key != "n_bins"}
    double = {key: float(value) if isinstance(value, np.float32) else value for key, value in single.items()}
    single, double = ({k: v for k, v in values.items() if k != "assignment_seed"} for values in (single, double))
    z, y = batch()
    loss, expected = (build_loss(name, COUNTS, N, **values).eval()(z, y) for values in (single, double))
    assert torch.equal(loss, expected)


@pytest.mark.parametrize("wrong", [True, np.True_, "2", None, float("nan"), np.inf, [1.0], 1j])
def test_what_is_no_number(wrong):
    with pytest.raises(UsageError, match="x is .*; pass a finite number of at least 0"):
        check_number("x", wrong, 0.0)


def test_check_number_returns_one_of_python():
    for value in (np.float32(0.5), np.float64(0.5), np.array(0.5), torch.tensor(0.5), 0.5):
        assert type(check_number("x", value)) is float
    assert check_number("x", np.int8(3), whole=True) == 3
    with pytest.raises(UsageError, match="x is 2.5; pass a whole number of at least 2"):
        check_number("x", 2.5, 2, whole=True)


# --- functions ------------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "focal_loss": ("gamma", "alpha", "gamma_negative", "alpha_negative"),
    "binary_cross_entropy": ("pos_weight", "weight"),
    "asymmetric_loss": ("gamma_positive", "gamma_negative", "alpha", "weight"),
    "asymmetric_polynomial_loss": ("gamma_positive", "gamma_negative", "alpha"),
    "robust_asymmetric_loss": ("gamma_positive", "gamma_negative", "alpha"),
    "ldam_loss": ("margin", "alpha"),
    "logit_adjusted_loss": ("offset",),
    "gradient_balanced_loss": ("scale",),
    "distribution_balanced_loss": ("weight", "shift"),
}
CASES = [(function, parameter) for function, names in FUNCTIONS.items() for parameter in names]
FIXED = {"ldam_loss": {"margin": 0.5}}


@pytest.mark.parametrize("function, parameter", CASES)
def test_parameters_per_class_of_the_functions(function, parameter):
    z, y = batch()
    shared = parameter == "alpha" and function != "focal_loss"  # negatives weigh 1 - alpha
    call, values = getattr(losses, function), [0.3, 1.0, 0.8 if shared else 2.0, 0.5]
    fixed = FIXED.get(function, {})

    def of(value):
        return call(z, y, **fixed | {parameter: value})

    expected = of(torch.tensor(values, dtype=torch.float64))
    for given in (values, tuple(values), np.array(values)):
        assert torch.equal(of(given), expected)
    for given in (np.float64(0.5), np.float32(0.5), np.array(0.5), 0.5, torch.tensor(0.5)):
        torch.testing.assert_close(of(given), of([0.5] * 4))
    with pytest.raises(UsageError, match=rf"{parameter} has shape \(3,\), logits have 4 labels"):
        of([1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match=f"{parameter} "):
        of("much")
    for wrong in (float("nan"), [1.0, 1.0, float("inf"), 1.0]):
        with pytest.raises(UsageError, match=f"{parameter} "):
            of(wrong)
    if parameter not in ("shift", "offset"):  # of a logit
        limit = r"in \[0, 1\]" if shared else "above 0" if parameter == "scale" else "of at least 0"
        for wrong in (-1.0, np.float32(-1), [1.0, -1.0, 1.0, 1.0], torch.full((4,), -1.0)):
            with pytest.raises(UsageError, match=f"{parameter} .*-1.*; pass .*{limit}$"):
                of(wrong)


@pytest.mark.parametrize(
    "function, params, words",
    [
        ("asymmetric_loss", {"margin": 1.0}, "margin is 1.0"),
        ("robust_asymmetric_loss", {"lambda_": 0.5}, "lambda_ is 0.5"),
        ("robust_asymmetric_loss", {"margin": -0.1}, "margin is -0.1"),
        ("asymmetric_polynomial_loss", {"epsilon_1": float("nan")}, "epsilon_1 is nan"),
        ("ldam_loss", {"margin": 0.5, "scale": 0}, "scale is 0; pass a finite number above 0"),
        ("flsd_loss", {"gamma": -1}, "gamma is -1"),
        ("flsd_loss", {"gammas": (1.0,)}, r"gammas is \(1.0,\); pass two numbers"),
        ("flsd_loss", {"limits": (0.5, 0.2)}, "limits is"),
        ("distribution_balanced_loss", {"gamma": -2}, "gamma is -2"),
        ("distribution_balanced_loss", {"negative_scale": 0}, "negative_scale is 0"),
        ("distribution_balanced_loss", {"alpha": 25.0}, r"alpha is 25.0; pass a finite number in \[0, 1\]"),
        ("distribution_balanced_loss", {"weight": torch.full((5, 4), -1.0)}, "weight holds -1; pass finite weights"),
        ("gradient_balanced_loss", {"scale": [1.0, 0.0, 1.0, 1.0]}, "scale holds 0; pass finite numbers above 0"),
        ("asymmetric_loss", {"alpha": [1.0, 2.0, 1.0, 1.0]}, r"alpha holds 2; pass finite numbers in \[0, 1\]"),
    ],
)
def test_numbers_of_the_functions(function, params, words):
    z, y = batch()
    with pytest.raises(UsageError, match=words):
        getattr(losses, function)(z, y, **params)


#: Every function of a loss, and its class by the parameters that the two share.
CLASSES = {
    "asymmetric_loss": losses.AsymmetricLoss,
    "asymmetric_polynomial_loss": losses.AsymmetricPolynomialLoss,
    "binary_cross_entropy": losses.WeightedBinaryCrossEntropy,
    "distribution_balanced_loss": functools.partial(losses.DistributionBalancedLoss, COUNTS, N),
    "flsd_loss": losses.SampleDependentFocalLoss,
    "focal_loss": FocalLoss,
    "gradient_balanced_loss": functools.partial(losses.GradientBalancedLoss, COUNTS, N),
    "hill_loss": losses.HillLoss,
    "ldam_loss": functools.partial(losses.LDAMLoss, margin=0.5),
    "logit_adjusted_loss": losses.LogitAdjustedLoss,
    "robust_asymmetric_loss": losses.RobustAsymmetricLoss,
    "sigmoid_f1_loss": losses.SigmoidF1Loss,
    "splc_loss": losses.SPLCLoss,
    "two_way_loss": losses.TwoWayLoss,
    "zlpr_loss": losses.ZLPRLoss,
}


def refuses(call, *args, **params):
    try:
        call(*args, **params)
    except UsageError:
        return True
    return False


def test_functions_of_losses_are_all_known():
    helpers = {"build_loss", "check_loss", "identify_loss", "reduce_loss"}
    assert set(CLASSES) == {name for name in losses.__all__ if name.endswith(("_loss", "entropy"))} - helpers


@pytest.mark.parametrize("function", CLASSES)
def test_functions_refuse_the_numbers_that_their_classes_refuse(function):
    build, call = CLASSES[function], functools.partial(getattr(losses, function), **FIXED.get(function, {}))
    numbers = set(inspect.signature(build).parameters) & set(inspect.signature(call).parameters) - {"reduction"}
    z, y = batch()
    for parameter in numbers - {"on_probabilities", "detach_focus", "divide_negatives"}:  # switches
        for value in (
            -25.0,
            -1.0,
            0.0,
            0.5,
            1.0,
            25.0,
            float("nan"),
            float("inf"),
            "much",
            [1.0, float("nan"), 1.0, 1.0],
        ):
            if (function, parameter, value) != ("focal_loss", "alpha", 25.0):  # negatives have a weight of their own
                found = refuses(call, z, y, **{parameter: value}), refuses(build, **{parameter: value})
                assert found[0] == found[1], (parameter, value)


# --- refused when built ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: build_loss("weighted_bce", COUNTS, N, cap=0), "cap is 0; pass a finite number above 0"),
        (lambda: AdaptiveFocalLoss([1, 2], alpha=[0.1, 0.2, 0.3]), "alpha has 3 labels.* have 2"),
        (lambda: AdaptiveFocalLoss([1, 2], gamma_negative=[1, 2, 3]), "gamma_negative has 3 labels"),
        (lambda: build_loss("afl", COUNTS, N, alpha=[0.1, 0.2]), "alpha has 2 labels.* have 4"),
        (lambda: build_loss("class_balanced", COUNTS, N, gamma=[0.1, 0.2]), "gamma has 2 labels.* have 4"),
        (lambda: build_loss("wal", COUNTS, N, gamma_positive=[0.1, 0.2]), "has [24] labels.* have [24]"),
        (lambda: build_loss("asl", gamma_positive=[0.1, 0.2], gamma_negative=[1, 2, 3]), "gamma_negative has 3 labels"),
        (lambda: build_loss("focal", COUNTS, N, gamma=[1, 2, 3]), "parameters of loss 'focal' have 3 labels.*has 4"),
        (lambda: FocalLoss([1, 2], alpha=[0.1, 0.2, 0.3]), "alpha has 3 labels"),
        (lambda: FocalLoss("much"), "gamma is 'much'; pass one number, or one number per label"),
        (lambda: FocalLoss([[1], [1, 2]]), "gamma is"),
        (
            lambda: FocalLoss(torch.ones(2).to_sparse()),
            r"gamma has the layout torch.sparse_coo; pass gamma.to_dense\(\)",
        ),
        (lambda: FocalLoss(torch.ones(2, device="meta")), "gamma is a tensor on the meta device"),
        (lambda: AdaptiveFocalLoss([1.0], alpha=-1.0), "alpha is -1.0; every value must be finite and at least 0"),
        (lambda: AdaptiveFocalLoss([1.0], rescale_by=0), "rescale_by is 0; pass a finite number above 0"),
        (lambda: build_loss("plm", COUNTS, N, n_bins=2.5), "n_bins is 2.5; pass a whole number"),
        (lambda: build_loss("wal", COUNTS, N, cooccurrence=[[1, 2], [1]]), "cooccurrence is"),
    ],
)
def test_refused_when_built(call, words):
    with pytest.raises(UsageError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_alpha_of_adaptive_focal_loss_may_exceed_one():
    """Weights with mean 1, as in class-balanced loss, are those of the paper's Eq. 3 times a constant."""
    z, y = batch()
    alpha = [0.25, 0.5, 1.25, 2.0]
    found = build_loss("afl", COUNTS, N, alpha=alpha)(z, y, reduction="none")
    whole = build_loss("afl", COUNTS, N)(z, y, reduction="none")
    torch.testing.assert_close(found, torch.tensor(alpha, dtype=torch.float64) * whole)
    assert build_loss("afl-literal", COUNTS, N, alpha=3).alpha == 3
    with pytest.raises(UsageError, match=r"alpha is 1.5.*\[0, 1\]"):
        FocalLoss(alpha=1.5)  # negatives weigh 1 - alpha


@pytest.mark.parametrize(
    "name, params",
    [
        ("wal", {"cooccurrence": [[50, 10], [10, 40]]}),
        ("wal", {"cooccurrence": np.array([[50, 10], [10, 40]])}),
        ("wal", {"cooccurrence": COOCCURRENCE, "gamma_positive": [0.0, 1.0, 2.0, 3.0]}),
        ("wal", {"cooccurrence": [[0, 0], [0, 0]]}),
        ("focal", {"gamma": np.array([1.0, 2.0, 3.0])}),
        ("focal", {"gamma": torch.tensor([1.0, 2.0, 3.0]), "alpha": (0.1, 0.2, 0.3)}),
        ("afl", {"alpha": np.ones(7), "bounds": [0.5, 5.0]}),
        ("afl", {"alpha": "inverse_frequency", "bounds": None}),
        ("afl-literal", {"gamma_negative": [1.0]}),
        ("flsd53", {"gammas": (5.0, 3.0), "limits": [0.1, 0.2]}),
        ("class_balanced", {"gamma": [1.0, 2.0, 3.0]}),
    ],
)
def test_check_loss_takes_what_build_loss_takes(name, params):
    check_loss(name, params)


@pytest.mark.parametrize(
    "name, params",
    [
        ("wal", {"cooccurrence": [[50, 10, 3], [10, 40, 3]]}),
        ("wal", {"cooccurrence": [[50, -10], [10, 40]]}),
        ("wal", {"cooccurrence": COOCCURRENCE, "gamma_positive": [0.0, 1.0]}),
        ("wal", {"cooccurrence": [[1, 2], [1]]}),
        ("focal", {"gamma": [1.0, 2.0], "alpha": [0.1, 0.2, 0.3]}),
        ("focal", {"gamma": []}),
        ("afl", {"alpha": [0.1, 0.2], "gamma_negative": [1.0]}),
        ("afl", {"alpha": "frequency"}),
        ("flsd53", {"gammas": (5.0, 3.0, 1.0)}),
        ("weighted_bce", {"cap": 0}),
    ],
)
def test_check_loss_refuses_what_build_loss_refuses(name, params):
    with pytest.raises(UsageError):
        check_loss(name, params)


# --- targets with a gradient ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, entry in LOSSES.items() if entry.soft_targets])
def test_soft_targets_may_require_a_gradient(name):
    z, y = batch()
    loss = build_loss(name, COUNTS, N).eval()
    soft, logits = (0.8 * y + 0.1).requires_grad_(), z.clone().requires_grad_()
    of_logits, of_targets = torch.autograd.grad(loss(logits, soft), (logits, soft))
    expected = torch.autograd.grad(loss(logits, soft.detach()), logits)[0]
    torch.testing.assert_close(of_logits, expected)
    assert of_targets.isfinite().all() and of_targets.any()


# --- sparse ---------------------------------------------------------------------------------------------------------


@every_loss
def test_sparse_tensors_are_refused_in_one_sentence(name):
    z, y = batch()
    loss = build_loss(name, COUNTS, N)
    for sparse in (y.to_sparse(), y.to_sparse_csr()):
        for kwargs in ({"targets": sparse}, {"targets": y, "mask": sparse}, {"targets": y, "weight": sparse}):
            with pytest.raises(UsageError, match=r"(targets|mask|weight) has the layout .*pass .*\.to_dense\(\)"):
                loss(z, **kwargs)
        with pytest.raises(UsageError, match="logits has the layout"):
            loss(sparse, y)
    with pytest.raises(UsageError, match=r"targets is a sparse csr_array; pass targets.toarray\(\)"):
        loss(z, scipy.sparse.csr_array(y.numpy()))
    with pytest.raises(UsageError, match="targets is a list that is no array of numbers"):
        loss(z, [[1, 0], [1]])


# --- masked arrays, and names of entries that are names of methods --------------------------------------------------


@every_loss
def test_masked_arrays_are_refused_in_one_sentence(name):
    """torch would read the values under the mask."""
    z, y = batch()
    loss = build_loss(name, COUNTS, N)
    hidden = np.ma.array(y.numpy(), mask=y.numpy() == 1)
    for kwargs in ({"targets": hidden}, {"targets": y, "mask": hidden}, {"targets": y, "weight": hidden}):
        with pytest.raises(UsageError, match="(targets|mask|weight) hold masked values; pass a plain array, and mask="):
            loss(z, **kwargs)
    shown = np.ma.array(y.numpy(), mask=False)
    assert torch.equal(build_loss(name, COUNTS, N).eval()(z, shown), build_loss(name, COUNTS, N).eval()(z, y))


def test_masked_parameters_are_refused():
    for build in (
        lambda value: FocalLoss(gamma=value),
        lambda value: losses.focal_loss(*batch(), gamma=value),
        lambda value: losses.smooth_labels(value, 0.1),
    ):
        with pytest.raises(UsageError, match="(gamma|targets) hold masked values"):
            build(np.ma.array([1.0, 1.0, 1.0, 1.0], mask=[True, False, False, False]))


def test_smooth_labels_refuses_what_is_no_number():
    for wrong in (["1", "0"], [[1, 0], [1]], None):
        with pytest.raises(UsageError, match="targets is a (list|NoneType) that is no array of numbers"):
            losses.smooth_labels(wrong, 0.2)


def test_an_entry_of_a_series_may_be_called_as_a_method():
    pd = pytest.importorskip("pandas")
    names = ["cpu", "detach", "toarray", "ndim"]
    z, y = batch()
    frame = pd.DataFrame(y.numpy(), columns=names)
    for columns in (names, range(4)):
        found = losses.BinaryCrossEntropy()(z, frame.set_axis(columns, axis=1))  # not "a sparse DataFrame"
        assert torch.equal(found, losses.BinaryCrossEntropy()(z, y))
    for name in ("weighted_bce", "afl", "distribution_balanced"):
        found = build_loss(name, pd.Series(COUNTS, index=names), N).eval()
        assert torch.equal(found(z, y), build_loss(name, COUNTS, N).eval()(z, y))
    assert FocalLoss(gamma=pd.Series([1.0, 2.0, 3.0, 4.0], index=names)).gamma.tolist() == [1, 2, 3, 4]


@every_loss
def test_a_mask_of_other_values_is_never_taken_for_true(name):
    """... also where no value can be looked at: there it makes the loss NaN."""
    loss = build_loss(name, COUNTS, N).eval()
    z, y = (torch.stack([part, part]) for part in batch())
    mask = torch.ones_like(z)
    under_vmap = torch.func.vmap(lambda z, y, mask: loss(z, y, mask=mask))
    torch.testing.assert_close(under_vmap(z, y, mask), loss(z[0], y[0]).expand(2))
    for wrong in (0.25, 2.0, math.nan):
        mask[1, 0, 0] = wrong
        with pytest.raises(UsageError, match="mask holds"):
            loss(z, y, mask=mask)
        found = under_vmap(z, y, mask)
        assert found[0].isfinite() and found[1].isnan()


@pytest.mark.parametrize("name", ["bce", "plm", "zlpr", "sigmoid_f1"])  # one of each base class, and a stateful one
def test_a_mask_of_other_values_in_a_compiled_loss(name):
    loss = build_loss(name, COUNTS, N).eval()
    z, y = batch()
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    assert compiled(z, y, mask=torch.full_like(z, 0.25)).isnan()
    torch.testing.assert_close(compiled(z, y, mask=torch.ones_like(z)), loss(z, y))


def test_a_reduction_takes_no_other_mask_either():
    reduced = torch.func.vmap(lambda elements, mask: losses.reduce_loss(elements, "mean", mask))
    assert reduced(torch.ones(2, 3), torch.tensor([[1.0, 1, 0], [1, 0.5, 0]])).isnan().tolist() == [False, True]


def test_masking_at_random_says_that_transforms_cannot_train_with_it():
    loss, (z, y) = build_loss("plm", COUNTS, N), batch()
    for transformed in (torch.func.grad(loss), torch.func.vmap(torch.func.grad(loss))):
        with pytest.raises(UsageError, match=r"call loss.eval\(\)"):
            transformed(z, y)
    assert torch.func.grad(loss.eval())(z, y).isfinite().all()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: build_loss("afl", COUNTS, N, assignment_seed="x"), "seed is 'x'; pass a whole number"),
        (lambda: build_loss("afl", COUNTS, N, assignment_seed=-1), "seed is -1; pass a whole number"),
        (lambda: build_loss("afl", COUNTS, N, assignment=["mean"]), "unknown assignment"),
        (lambda: build_loss("afl", COUNTS, N, normalization=np.array(["mean"])), "unknown normalization"),
        (lambda: build_loss("flsd53", gammas=[[1, 2], [3]]), "pass a finite number"),
        (lambda: build_loss("flsd53", limits=[[1, 2], [3]]), "pass a finite number"),
        (lambda: build_loss("flsd53", gammas=5), "gammas is 5; pass two numbers"),
        (lambda: build_loss("bce", reduction=np.array([0.1, 0.2])), "unknown reduction"),
        (lambda: build_loss("plm", COUNTS, N, update=["distance"]), "unknown update"),
        (lambda: build_loss("class_balanced", COUNTS, N, weight_by=None), "unknown weight_by"),
        (lambda: build_loss("bce").for_trainer(ignore_index=0.5), "ignore_index is 0.5; pass a whole number"),
    ],
)
def test_arguments_of_the_wrong_kind_are_one_sentence(make, words):
    with pytest.raises(UsageError, match=words):
        make()


def test_a_long_double_is_a_number():
    assert build_loss("asl", margin=np.longdouble(0.25)).margin == 0.25


def test_lists_have_all_digits():
    z, y = batch()
    y = y * 0.1 + 0.3
    for default in (torch.float32, torch.float16):
        torch.set_default_dtype(default)
        try:
            assert torch.equal(losses.BinaryCrossEntropy()(z, y.tolist()), losses.BinaryCrossEntropy()(z, y))
        finally:
            torch.set_default_dtype(torch.float32)


def test_weights_per_element_of_the_distribution_balanced_core_may_be_arrays():
    z, y = batch()
    weight = torch.rand(z.shape, dtype=torch.float64)
    wanted = losses.distribution_balanced_loss(z, y, weight=weight)
    assert torch.equal(losses.distribution_balanced_loss(z, y, weight=weight.numpy()), wanted)
    assert torch.equal(losses.distribution_balanced_loss(z, y, weight=weight.tolist()), wanted)


@every_loss
def test_a_loss_shows_its_parameters(name):
    values = {key: value for key, value in parameters(name).items() if key != "reduction"}
    loss = build_loss(name, COUNTS, N, **values)
    shown = repr(loss)
    kept = [key for key in inspect.signature(type(loss)).parameters if hasattr(loss, key)]
    assert all(f"{key}=" in shown for key in kept)
    numbers = {key: values[key] for key in values if isinstance(values[key], int | float) and key in kept}
    assert all(f"{key}={value:g}" in shown or f"{key}={value!r}" in shown for key, value in numbers.items())
    assert len(repr(build_loss(name, range(1, 501), 500))) < 400  # also for hundreds of labels
    repr(loss.to("meta"))  # as in a model that holds it before its weights are loaded


def test_a_loss_shows_many_numbers_as_a_range():
    assert repr(FocalLoss(gamma=[1.0, 2.5])) == "FocalLoss(gamma=[1, 2.5], alpha=None, reduction='mean')"
    assert "gamma=<5 numbers from 1 to 5>" in repr(AdaptiveFocalLoss([1.0, 2.0, 3.0, 4.0, 5.0]))


# --- options that are True or False ---------------------------------------------------------------------------------

OPTIONS = {
    "rescale": lambda value: build_loss("afl", COUNTS, N, rescale=value).rescale_by == 2.0,
    "divide_negatives": lambda value: build_loss("ntr_focal", COUNTS, N, divide_negatives=value).divide_negatives,
    "on_probabilities": lambda value: losses.SigmoidF1Loss(on_probabilities=value).on_probabilities,
    "detach_focus": lambda value: losses.AsymmetricLoss(detach_focus=value).detach_focus,
}
OF_FUNCTIONS = {
    "divide_negatives": losses.distribution_balanced_loss,
    "on_probabilities": losses.sigmoid_f1_loss,
    "detach_focus": losses.asymmetric_loss,
    "correct": losses.splc_loss,
}


def test_every_option_that_is_true_or_false_is_tested_here():
    def options(functions):
        parameters = [p for f in functions for p in inspect.signature(f).parameters.values()]
        return {p.name for p in parameters if isinstance(p.default, bool)}

    assert options(entry.build for entry in LOSSES.values()) == set(OPTIONS)
    functions = [getattr(losses, name) for name in losses.__all__]
    assert options(f for f in functions if inspect.isfunction(f) and f.__name__.endswith("_loss")) == set(OF_FUNCTIONS)


@pytest.mark.parametrize("wrong", ["False", "no", 0, 1.0, None, []])
@pytest.mark.parametrize("option", [*OPTIONS, "correct"])
def test_an_option_is_true_or_false(option, wrong):
    for call in (
        OPTIONS.get(option),
        option in OF_FUNCTIONS and (lambda v: OF_FUNCTIONS[option](*batch(), **{option: v})),
    ):
        if call:
            with pytest.raises(UsageError, match=f"{option} is .*; pass True or False"):
                call(wrong)
            for right in (True, False):
                assert torch.equal(torch.as_tensor(call(np.bool_(right))), torch.as_tensor(call(right)))


@pytest.mark.parametrize("elements", [[[1.0, 2.0]], np.ones((1, 2)), 1.0, None])
def test_only_a_tensor_is_reduced(elements):
    with pytest.raises(UsageError, match=f"elements are of type {type(elements).__name__}; pass a torch tensor"):
        losses.reduce_loss(elements, mask=[[1, 0]])


# --- found by an attack: values that were taken for something else ---------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_a_label_masked_by_the_smallest_logit_leaves_the_loss_finite(name, dtype):
    # Labels are masked so in generation: masked_fill(mask, torch.finfo(dtype).min).
    hidden = torch.tensor([[False, True], [False, False]])
    logits = torch.tensor([[1.0, -1.0], [0.5, 0.2]], dtype=dtype).masked_fill(hidden, torch.finfo(dtype).min)
    logits.requires_grad_()
    loss = build_loss(name, [3, 5], 10)(logits, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [30.0, 1000.0, 42204.0])
def test_a_large_gamma_keeps_its_digits_in_float32(gamma):
    # Adaptive focal loss to the letter has N / n_c, up to the number of documents.
    logits = torch.linspace(-14, 3, 69)
    targets = torch.ones_like(logits)
    wide = logits.double()
    focus = torch.exp(-gamma * torch.log1p(torch.exp(wide)))  # (1 - p)^gamma
    expected = focus * torch.log1p(torch.exp(-wide))
    found = focal_loss(logits, targets, gamma, reduction="none").double()
    some = expected > 1e-30
    # The logits are exact in both; what is left is the rounding of gamma log(1 - p).
    tolerance = (1 + (gamma * torch.log1p(torch.exp(wide)))) * 2.0**-20
    assert some.sum() > 10 and ((found - expected).abs() <= tolerance * expected)[some].all()


@pytest.mark.parametrize("name", ["asl", "apl", "ral", "wal", "hill"])
def test_a_logit_that_is_no_number_gives_a_loss_that_is_none(name):
    smooth = {"smoothing": 0.0} if name == "wal" else {}
    loss = build_loss(name, [3, 5], 10, **smooth)
    assert loss(torch.full((1, 2), math.nan), torch.zeros(1, 2)).isnan()


@pytest.mark.parametrize("wrong", [None, "2", b"2", True, [1, None], [1 + 2j, 1], 1e39])
@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("focal", "gamma"),
        ("asl", "gamma_negative"),
        ("apl", "gamma_positive"),
        ("ral", "gamma_negative"),
        ("wal", "gamma_positive"),
    ],
)
def test_a_gamma_that_is_no_number_is_refused_when_built(name, parameter, wrong):
    with pytest.raises(UsageError, match=parameter):
        build_loss(name, [3, 5], 10, **{parameter: wrong})


def test_the_function_refuses_a_gamma_of_none():
    with pytest.raises(UsageError, match="gamma is None"):
        focal_loss(torch.zeros(1, 2), torch.zeros(1, 2), None)


def test_counts_in_the_place_of_gammas_are_noticed():
    with pytest.warns(UserWarning, match="as counts do.*from_counts"):
        AdaptiveFocalLoss([30, 12, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AdaptiveFocalLoss([5, 2, 1])
        AdaptiveFocalLoss.from_counts([1, 50], 100, normalization="documents", bounds=None)


def test_targets_may_be_any_array_of_numbers():
    y = np.array([[0.0, 1.0], [1.0, 1.0]])
    logits = torch.tensor([[0.3, -1.0], [2.0, 0.1]])
    loss = build_loss("focal")
    expected = loss(logits, torch.tensor(y))
    frame = pd.DataFrame(y, columns=[1, 0], index=[1, 0])
    for values in (y.astype(">f4"), y.astype(np.longdouble), y.astype(object), y[:, ::-1][:, ::-1], y.tolist(), frame):
        assert loss(logits, values) == expected
    for values in (y + 1j, torch.tensor(y + 1j)):
        with pytest.raises(UsageError, match="targets"):
            loss(logits, values)


def test_weights_of_a_series_go_by_position():
    logits, targets = torch.tensor([[0.0], [3.0]]), torch.zeros(2, 1)
    expected = build_loss("bce")(logits, targets, weight=torch.tensor([1.0, 0.0]))
    for index in ([0, 1], [1, 0], [5, 7]):
        assert build_loss("bce")(logits, targets, weight=pd.Series([1.0, 0.0], index=index)) == expected


def test_a_tensor_counts_the_documents():
    for name in LOSSES:
        if LOSSES[name].needs_counts:
            build_loss(name, torch.tensor([3, 40]), torch.tensor(100))


def test_a_sparse_cooccurrence_is_refused_in_a_sentence():
    with pytest.raises(UsageError, match="cooccurrence is a sparse .*toarray"):
        check_loss("wal", {"cooccurrence": scipy.sparse.csr_array([[50, 10], [10, 40]])})


@pytest.mark.parametrize("name", ["afl", "zlpr", "two_way"])
def test_a_loss_given_to_trainer_as_it_is_says_what_to_pass(name):
    loss = build_loss(name, [3, 5], 10)
    for function in (loss, loss.for_trainer):
        with pytest.raises(UsageError, match=r"compute_loss_func=loss.for_trainer\(\)"):
            function({"logits": torch.zeros(1, 2)}, torch.zeros(1, 2), num_items_in_batch=2)
