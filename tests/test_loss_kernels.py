"""The kernels for the CPU: each agrees with the formula of its loss in float64, and keeps little memory."""

import itertools
from functools import partial

import pytest
import torch

from afl_helpers.losses import (
    LOSSES,
    build_loss,
    costs,
    coupled_kernel,
    cpu_kernel,
    distribution_balanced_loss,
    log_sum_exp,
    soft_f1,
)

COUPLED = {
    "zlpr": (coupled_kernel.zlpr, log_sum_exp._zlpr, {}),
    "two_way": (coupled_kernel.two_way, log_sum_exp._two_way, {"hot": 4.0, "cold": 1.0}),
    "two_way, other temperatures": (coupled_kernel.two_way, log_sum_exp._two_way, {"hot": 0.5, "cold": 2.0}),
    "sigmoid_f1": (coupled_kernel.sigmoid_f1, soft_f1._sigmoid_f1, {"slope": 1.0, "offset": 0.0}),
    "sigmoid_f1, steep": (coupled_kernel.sigmoid_f1, soft_f1._sigmoid_f1, {"slope": 3.0, "offset": -0.5}),
}
every_loss = pytest.mark.parametrize("name", sorted(LOSSES))
pytestmark = pytest.mark.filterwarnings("ignore:.*classes have a gamma")


def batch(rows, labels, share, dtype=torch.float64):
    generator = torch.Generator().manual_seed(rows * labels)
    logits = torch.randn(rows, labels, generator=generator) * 3
    return logits.to(dtype), (torch.rand(rows, labels, generator=generator) < share).to(dtype)


@pytest.mark.parametrize("name", COUPLED)
@pytest.mark.parametrize(
    "shape, share", [((7, 9), 0.3), ((40, 50), 0.02), ((4, 5), 0.0), ((4, 5), 1.0), ((20, 1), 0.5)]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_coupled_kernel_is_its_formula(name, shape, share, dtype, monkeypatch):
    monkeypatch.setattr(cpu_kernel, "BLOCK", 2 * shape[1])  # two rows per block
    kernel, formula, params = COUPLED[name]
    z, y = batch(*shape, share, dtype)
    exact = z.double().clone().requires_grad_()
    expected = formula(exact, y.double(), **params)
    (slope,) = torch.autograd.grad(expected.sum(), exact)
    value, gradient = kernel(z, y, with_gradient=True, **params)
    assert value.dtype == gradient.dtype == dtype
    tolerance = {"rtol": 1e-11, "atol": 1e-15} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-9}
    torch.testing.assert_close(value.double(), expected.detach(), **tolerance)
    torch.testing.assert_close(gradient.double(), slope, **tolerance)
    alone, none = kernel(z, y, with_gradient=False, **params)
    assert none is None
    torch.testing.assert_close(alone, value, rtol=0, atol=0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("avx512", [True, False])
@pytest.mark.parametrize("name, least", [("log1p", -0.75), ("expm1", -80.0)])
def test_log1p_and_expm1_keep_their_digits_in_numpy_and_in_torch(name, least, avx512, monkeypatch):
    monkeypatch.setattr(costs, "_numpy_has_avx512", lambda name: avx512)
    size = torch.logspace(-40, 1.9, 20_001, dtype=torch.float64).float()
    values = torch.cat([-size[size <= -least], torch.tensor([0.0, -0.0, torch.inf, torch.nan]), size])
    exact = getattr(torch, name)(values.double())
    write = getattr(costs, f"write_{name}")
    aside = write(values, torch.empty_like(values))
    in_place = values.clone()
    write(in_place, in_place)
    assert torch.equal(aside.nan_to_num(7.0), in_place.nan_to_num(7.0))
    torch.testing.assert_close(aside.double(), exact, rtol=4 * 2.0**-23, atol=1e-44, equal_nan=True)
    torch.testing.assert_close(write(values.double(), values.double()), exact, equal_nan=True)


@every_loss
def test_blocks_and_threads_change_nothing(name, monkeypatch):
    z, y = batch(30, 40, 0.1)
    loss = build_loss(name, [1 + c % 300 for c in range(40)], 1000).eval()

    def found():
        logits = z.clone().requires_grad_()
        value = loss(logits, y)
        return value.detach(), torch.autograd.grad(value, logits)[0]

    whole = found()
    for block in (1, 100, 700):  # a row each; 2 rows, so that positives are put in often; 17 rows and a rest
        monkeypatch.setattr(cpu_kernel, "BLOCK", block)
        for got, expected in zip(found(), whole):
            torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-18)


@every_loss
def test_extra_memory_is_at_most_three_times_that_of_the_logits(name):
    z, y = batch(512, 10_000, 0.01, torch.float32)
    loss = build_loss(name, [1 + c % 3000 for c in range(10_000)], 50_000)

    def run(rows):
        loss(z[:rows].requires_grad_(), y[:rows]).backward()

    run(1)  # what is allocated once
    z = z.detach()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        run(512)
    changes = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    assert max(itertools.accumulate(event.nbytes() for event in changes)) <= 3 * 4 * z.numel()


@pytest.mark.parametrize("name", ["zlpr", "two_way", "sigmoid_f1"])
def test_a_coupled_loss_can_be_differentiated_twice_and_its_gradient_asked_for_twice(name):
    z, y = batch(3, 4, 0.4)
    loss = build_loss(name)
    assert torch.autograd.gradgradcheck(partial(loss, targets=y), z.clone().requires_grad_())
    logits = z.clone().requires_grad_()
    value = loss(logits, y) * 2.0
    first = torch.autograd.grad(value, logits, retain_graph=True)[0].clone()
    torch.testing.assert_close(torch.autograd.grad(value, logits)[0], first)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 3.7])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("shift", [[-1.9, 0.02, 0.6], [-30.0, 0.0, 9.0]])
def test_shifted_logits_keep_their_digits_in_float32(gamma, scale, shift):
    """Both forms: by odds, and in float64 where the scale is no power of two or the shift is large."""
    z = torch.linspace(-130, 130, 1041).repeat(3, 1).T.contiguous().requires_grad_()
    exact = z.detach().double().requires_grad_()
    for label in (0.0, 1.0):
        y = torch.full_like(z, label)
        shifted = scale ** (1 - label) * (exact + torch.tensor(shift, dtype=torch.float64))
        x = shifted if label == 0 else -shifted
        expected = torch.exp(gamma * torch.nn.functional.logsigmoid(x)) * torch.nn.functional.softplus(x, threshold=800)
        expected = expected / scale ** (1 - label)
        found = distribution_balanced_loss(
            z, y, torch.tensor(shift, dtype=torch.float64), scale, None, gamma, None, reduction="none"
        )
        (slope,) = torch.autograd.grad(found.sum(), z)
        (exact_slope,) = torch.autograd.grad(expected.sum(), exact)
        assert found.dtype == torch.float32
        for ours, theirs in ((found, expected), (slope, exact_slope)):
            torch.testing.assert_close(ours.double(), theirs.detach(), rtol=3e-6, atol=1e-36)
