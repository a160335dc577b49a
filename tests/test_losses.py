"""The losses against a reference in 60 digits, their laws, and the contract that every loss keeps."""

import copy
import math
import pickle
import warnings

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from afl_helpers.errors import UsageError
from afl_helpers.gamma import class_gamma
from afl_helpers.losses import (
    LOSSES,
    AdaptiveFocalLoss,
    BinaryCrossEntropy,
    FocalLoss,
    MultiLabelLoss,
    binary_cross_entropy,
    build_loss,
    focal_loss,
    reduce_loss,
)

mpmath.mp.dps = 60

COUNTS, N = np.array([60, 20, 3, 1]), 100
LOGITS = [-1e4, -300.0, -88.0, -17.5, -3.0, -0.1, 0.0, 0.1, 3.0, 17.5, 88.0, 300.0, 1e4]
GAMMAS = [0.0, 0.3, 1.0, 2.0, 5.0, 50.0, 1e5]


def reference(z, y, gamma):
    """Focal loss of one element and its derivative by the logit, in 60 digits."""
    z, gamma = mpmath.mpf(z), mpmath.mpf(gamma)
    u = z if y else -z
    p, q = 1 / (1 + mpmath.exp(-u)), 1 / (1 + mpmath.exp(u))
    loss = -(q**gamma) * mpmath.log(p)
    slope = q**gamma * (gamma * p * mpmath.log(p) - q)
    return loss, slope if y else -slope


@pytest.mark.parametrize("y", [0, 1])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_focal_against_high_precision(gamma, y):
    z = torch.tensor(LOGITS, dtype=torch.float32, requires_grad=True)
    loss = focal_loss(z[None], torch.full((1, len(LOGITS)), float(y)), gamma, reduction="none")[0]
    loss.sum().backward()
    for i, logit in enumerate(z.tolist()):
        expected_loss, expected_slope = reference(logit, y, gamma)
        for found, expected in ((loss[i].item(), expected_loss), (z.grad[i].item(), expected_slope)):
            assert math.isfinite(found)
            if abs(expected) > 1e-30:
                assert abs(found / expected - 1) < 2e-5, (logit, found, expected)
        assert z.grad[i].item() * (1 if y else -1) <= 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    z = torch.full((512, 400), 60.0, dtype=dtype, requires_grad=True)
    loss = focal_loss(z, torch.zeros(512, 400), 2.0, reduction="sum")
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(512 * 400 * 60.0)  # past the largest float16
    assert z.grad.dtype == dtype and z.grad.isfinite().all()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6), st.floats(0, 8))
def test_ratio_law_and_gamma_zero(batch, n_labels, seed, gamma):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(batch, n_labels, generator=generator, dtype=torch.float64) * 4
    y = torch.randint(0, 2, (batch, n_labels), generator=generator).double()
    bce = binary_cross_entropy(z, y, reduction="none")
    p_t = torch.where(y == 1, z.sigmoid(), (-z).sigmoid())
    torch.testing.assert_close(focal_loss(z, y, gamma, reduction="none"), (1 - p_t) ** gamma * bce)
    torch.testing.assert_close(focal_loss(z, y, 0.0), torch.nn.functional.binary_cross_entropy_with_logits(z, y))


def test_adaptive_equals_focal_label_by_label():
    generator = torch.Generator().manual_seed(1)
    z, y = torch.randn(5, 4, generator=generator), torch.randint(0, 2, (5, 4), generator=generator).float()
    gamma = torch.tensor([0.5, 2.0, 3.5, 5.0])
    found = AdaptiveFocalLoss(gamma)(z, y, reduction="none")
    for c in range(4):
        torch.testing.assert_close(found[:, [c]], FocalLoss(gamma[c])(z[:, [c]], y[:, [c]], reduction="none"))


def test_alpha_of_equation_1_and_of_equation_3():
    z, y = torch.tensor([[0.3, 0.3]]), torch.tensor([[1.0, 0.0]])
    plain = FocalLoss(2.0)(z, y, reduction="none")
    balanced = FocalLoss(2.0, alpha=0.25)(z, y, reduction="none")
    torch.testing.assert_close(balanced, plain * torch.tensor([[0.25, 0.75]]))
    by_class = AdaptiveFocalLoss(torch.tensor([2.0, 2.0]), alpha=[0.2, 0.9])(z, y, reduction="none")
    torch.testing.assert_close(by_class, plain * torch.tensor([[0.2, 0.9]]))


def test_separate_gamma_for_negatives():
    z, y = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    found = AdaptiveFocalLoss([3.0, 3.0], gamma_negative=[0.0, 1.0])(z, y, reduction="none")
    expected = torch.cat([FocalLoss(g)(z[:, [i]], y[:, [i]], reduction="none") for i, g in enumerate((3.0, 1.0))], 1)
    torch.testing.assert_close(found, expected)


def test_reductions_by_hand():
    elements = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    mask = torch.tensor([[1, 0, 1], [1, 1, 0]])
    assert reduce_loss(elements, "mean") == 4.0
    assert reduce_loss(elements, "sum") == 24.0
    assert reduce_loss(elements, "sum_over_classes") == 12.0
    assert reduce_loss(elements, "none", mask).tolist() == [[1.0, 0.0, 3.0], [4.0, 5.0, 0.0]]
    assert reduce_loss(elements, "mean", mask) == 13 / 4
    assert reduce_loss(elements, "mean", torch.zeros(2, 3)) == 0.0


@pytest.mark.filterwarnings("ignore:.*classes have a gamma")  # afl-literal, rightly
@pytest.mark.parametrize("name", LOSSES)
class TestContract:
    """What every name in the registry keeps."""

    def build(self, name, **params):
        return build_loss(name, label_counts=COUNTS, n_documents=N, **params)

    def batch(self, dtype=torch.float32):
        generator = torch.Generator().manual_seed(0)
        z = torch.randn(6, 4, generator=generator).to(dtype).requires_grad_()
        return z, torch.randint(0, 2, (6, 4), generator=generator).float()

    def test_reductions_agree(self, name):
        if LOSSES[name].unit != "element":
            pytest.skip("it has no loss per element")
        z, y = self.batch()
        loss = self.build(name)
        elements = loss(z, y, reduction="none")
        assert elements.shape == (6, 4) and loss(z, y).ndim == 0
        torch.testing.assert_close(loss(z, y), elements.mean())
        torch.testing.assert_close(self.build(name, reduction="sum")(z, y), elements.sum())
        torch.testing.assert_close(self.build(name, reduction="sum_over_classes")(z, y), elements.sum(1).mean())

    def test_masked_elements_add_nothing(self, name):
        if LOSSES[name].unit != "element":
            pytest.skip("it has no loss per element")
        z, y = self.batch()
        mask = torch.ones(6, 4, dtype=torch.bool)
        mask[2] = False
        with torch.no_grad():
            z[2] = float("inf")
        y[2] = float("nan")  # how unlabelled entries are often marked
        loss = self.build(name)(z, y, mask=mask)
        keep = mask[:, 0]
        torch.testing.assert_close(loss, self.build(name)(z[keep], y[keep]))
        (slope,) = torch.autograd.grad(loss, z)
        assert slope.isfinite().all() and (slope[2] == 0).all() and (slope[keep] != 0).any()

    def test_inputs_are_left_alone(self, name):
        if LOSSES[name].unit != "element":
            pytest.skip("it has no loss per element")
        z, y = self.batch()
        before = z.detach().clone(), y.clone()
        with torch.no_grad():
            self.build(name)(z, y)
            assert not torch.is_grad_enabled()
        assert torch.equal(z, before[0]) and torch.equal(y, before[1])

    def test_finite_at_extreme_logits(self, name):
        z = torch.tensor([[-1e4, -1e4, 1e4, 1e4]], requires_grad=True)
        y = torch.tensor([[0.0, 1.0, 0.0, 1.0]])
        loss = self.build(name)(z, y)
        loss.backward()
        assert loss.isfinite() and z.grad.isfinite().all()

    def test_gradient(self, name):
        if not LOSSES[name].differentiated:
            pytest.skip("a focusing weight is held constant in the gradient, by its definition")
        z, y = self.batch(torch.float64)
        loss = self.build(name)
        assert torch.autograd.gradcheck(lambda z: loss(z, y.double()), z)
        assert torch.autograd.gradgradcheck(lambda z: loss(z, y.double()), z)

    def test_copies_and_state(self, name):
        if LOSSES[name].unit != "element":
            pytest.skip("it has no loss per element")
        z, y = self.batch()
        loss = self.build(name)
        for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert other(z, y) == loss(z, y)
        restored = self.build(name)
        restored.load_state_dict(loss.state_dict())
        assert loss.to(torch.float64)(z, y).isfinite()

    def test_registry_row_is_complete(self, name):
        info = LOSSES[name]
        assert info.title and info.equation and info.reference and info.fidelity
        assert self.build(name, **{key: value for key, value in info.defaults.items()})


def test_buffers_follow_the_module_but_not_into_half_precision():
    loss = build_loss("afl-literal", label_counts=[1, 50_000], n_documents=100_000)
    assert set(loss.state_dict()) == {"gamma"}
    assert loss.to("meta").gamma.device.type == "meta"
    loss = build_loss("afl-literal", label_counts=[1, 50_000], n_documents=100_000)
    assert loss.float().gamma.dtype == torch.float32
    assert loss.half().gamma.tolist() == [2e5, 4.0]


def test_a_gamma_that_cannot_train_is_reported_once():
    z, y = torch.zeros(3, 2, requires_grad=True), torch.zeros(3, 2)
    loss = build_loss("afl-literal", label_counts=[2, 50], n_documents=100)
    with pytest.warns(UserWarning, match=r"1 of 2 classes have a gamma \(from 100 to 100\).*start_bias='prior'"):
        loss(z, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(z, y)  # once
        # From the class priors it trains, and within bounds it always does.
        build_loss("afl-literal", [2, 50], 100)((z + torch.tensor([-4.0, 0.0])), y)
        build_loss("afl", [2, 50], 100)(z, y)
        build_loss("afl-literal", [2, 50], 100)(z.detach(), y)  # nothing is being trained


def test_a_gamma_too_large_for_half_precision_is_reported():
    z = torch.zeros(1, 1, dtype=torch.float16, requires_grad=True)
    with pytest.warns(UserWarning, match="6e-08"):
        AdaptiveFocalLoss([28.0])(z, torch.zeros(1, 1))


def test_from_counts_is_class_gamma():
    loss = AdaptiveFocalLoss.from_counts(COUNTS, N, base_gamma=1.5, normalization="log10", bounds=None)
    np.testing.assert_allclose(loss.gamma.numpy(), class_gamma(COUNTS, N, 1.5, "log10", None))


@pytest.mark.parametrize("assignment", ["shuffled", "reversed", "mean"])
def test_from_counts_is_build_loss(assignment):
    params = {"base_gamma": 1.5, "assignment": assignment, "assignment_seed": 3, "alpha": "inverse_frequency"}
    loss, built = AdaptiveFocalLoss.from_counts(COUNTS, N, **params), build_loss("afl", COUNTS, N, **params)
    assert torch.equal(loss.gamma, built.gamma) and torch.equal(loss.alpha, built.alpha)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: build_loss("focall"), "did you mean 'focal'.*choose one of: afl, afl-literal, apl, asl, bce"),
        (lambda: build_loss("focal", gama=2), "did you mean 'gamma'"),
        (lambda: build_loss("afl"), "label_counts and n_documents"),
        (lambda: build_loss("afl", label_counts=[5, 200], n_documents=100), "more than n_documents"),
        (lambda: FocalLoss(gamma=-1.0), "gamma is -1.0"),
        (lambda: FocalLoss(alpha=1.5), r"alpha is 1.5.*\[0, 1\]"),
        (lambda: AdaptiveFocalLoss([[1.0]]), "gamma has shape"),
        (lambda: BinaryCrossEntropy(reduction="avg"), "choose one of: mean, none, sum, sum_over_classes"),
        (lambda: BinaryCrossEntropy(reduction="none").for_trainer(), "reduction"),
        (lambda: FocalLoss()(torch.zeros(2, 3), torch.zeros(2, 4)), r"targets has shape \(2, 4\)"),
        (
            lambda: AdaptiveFocalLoss([1.0, 2.0])(torch.zeros(2, 3), torch.zeros(2, 3)),
            r"gamma has shape \(2,\).*3 labels",
        ),
        (lambda: FocalLoss()(torch.zeros(2, 3).long(), torch.zeros(2, 3)), "logits are torch.int64"),
        (lambda: FocalLoss()(torch.zeros(2, 3), torch.zeros(2, 3), mask=torch.ones(3)), "mask has shape"),
    ],
)
def test_errors_say_what_and_what_to_do(call, words):
    with pytest.raises(UsageError, match=words):
        call()


@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_over_classes"])
def test_trainer_hook_adds_up_over_micro_batches(reduction):
    """Two halves, each divided by the size of the whole, give the gradient of the whole."""
    z, y = torch.randn(8, 3, requires_grad=True), torch.randint(0, 2, (8, 3)).float()
    loss = FocalLoss(2.0, reduction=reduction)
    whole = torch.autograd.grad(loss(z, y), z)[0]
    hook = loss.for_trainer()
    halves = sum(
        hook({"logits": z[rows]}, y[rows], num_items_in_batch=y.numel()) for rows in (slice(0, 3), slice(3, 8))
    )
    torch.testing.assert_close(torch.autograd.grad(halves, z)[0], whole)
    torch.testing.assert_close(hook({"logits": z}, y), loss(z, y))


@pytest.mark.parametrize("convert", [list, np.asarray, torch.Tensor.int])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore:.*classes have a gamma")
def test_targets_mask_and_weight_may_be_lists_and_arrays(name, convert):
    z, y = torch.randn(2, 4), torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]])
    mask, weight = torch.tensor([[1, 1, 0, 1], [1, 0, 1, 1]]), torch.tensor([2.0, 3.0])
    loss = build_loss(name, COUNTS, N)
    as_list = (lambda tensor: tensor.tolist()) if convert is list else convert
    assert loss(z, as_list(y), mask=as_list(mask), weight=as_list(weight)) == loss(z, y, mask=mask, weight=weight)


# --- what MultiLabelLoss gives to a loss that somebody adds ----------------------------------------------------------


class Hinge(MultiLabelLoss):
    """That of the documentation of MultiLabelLoss."""

    def compute(self, logits, targets, mask, reduction):
        return reduce_loss(torch.relu(1 - (2 * targets - 1) * logits), reduction, mask)


class HalfHinge(Hinge):
    """One that computes in float16, and whose sum would overflow there."""

    def compute(self, logits, targets, mask, reduction):
        return super().compute(logits.half(), targets.half(), mask, reduction)


class Unreduced(Hinge):
    """One that reduces nothing itself."""

    def compute(self, logits, targets, mask, reduction):
        return (targets.half() * logits.half()).mean()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", [Hinge, HalfHinge])
def test_a_loss_that_is_added_is_float32_and_overflows_no_half(kind, dtype):
    z = torch.full((256, 800), 9.0, dtype=dtype)
    with torch.autocast("cpu", dtype=dtype):
        for reduction, expected in (("mean", 10.0), ("sum", 2048000.0), ("sum_over_classes", 8000.0)):
            found = kind(reduction)(z, torch.zeros_like(z))
            assert found.dtype == torch.float32 and found == expected
        assert kind("none")(z, torch.zeros_like(z)).dtype == torch.float32
    assert Unreduced()(z, torch.ones_like(z)).dtype == torch.float32
    assert Hinge()(z.double(), torch.zeros_like(z)).dtype == torch.float64


def test_a_loss_that_is_added_refuses_targets_outside_0_and_1_and_leaves_masked_elements_out():
    class Own(FocalLoss):
        compute = Hinge.compute

    z = torch.tensor([[math.nan, 2.0]], requires_grad=True)
    for loss in (Hinge(), Own()):
        with pytest.raises(UsageError, match=r"targets hold 5; pass values in \[0, 1\]"):
            loss(torch.zeros(2, 2), torch.full((2, 2), 5.0))
        value = loss(z, torch.tensor([[5.0, 0.0]]), mask=[[0, 1]])
        assert value == 3 and torch.autograd.grad(value, z)[0].tolist() == [[0, 1]]
        assert loss(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.uint8)) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_reduce_loss_computes_in_float32(dtype):
    elements = torch.ones(300, 300).to(dtype)
    assert reduce_loss(elements, "sum") == 90_000 and reduce_loss(elements).dtype == torch.float32
    assert reduce_loss(torch.tensor([[1, 2]]), weight=[0.5]) == 0.75
    assert reduce_loss(torch.tensor([[1, 2]]), "none", weight=[[0.5, 0.25]]).tolist() == [[0.5, 0.5]]
