"""Threads of a kernel: the same numbers as one thread, and nothing left behind."""

import threading

import pytest
import torch
from torch.nn.functional import softplus

from afl_helpers.losses import build_loss, threads
from afl_helpers.losses.costs import write_softplus

own_blocks = pytest.mark.skipif(
    not threads._openmp(), reason="threadpoolctl sets no OpenMP here, so threads share blocks"
)


@pytest.fixture(autouse=True, params=[1, 2, 3])
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def batch():
    """Six blocks of the size that kernels take."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1200, 1000, generator=generator) * 3
    return z, (torch.rand(1200, 1000, generator=generator) < 0.02).float()


def afl():
    return build_loss("afl", [1 + c for c in range(1000)], 2000)


def found(loss, z, y, reduction="mean"):
    logits = z.clone().requires_grad_()
    value = loss(logits, y, reduction=reduction)
    return value.detach(), torch.autograd.grad(value.sum(), logits)[0]


def in_one_block(loss, z, y, reduction="mean"):
    """100 rows at a time, so that no batch has a second block."""
    parts = [found(loss, z[row : row + 100], y[row : row + 100], reduction) for row in range(0, len(z), 100)]
    if reduction == "none":
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    return torch.stack([part[0] for part in parts]).mean(), torch.cat([part[1] for part in parts]) / len(parts)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("alone", [True, False], ids=["with threadpoolctl", "without"])
def test_threads_change_nothing(batch, reduction, alone, monkeypatch):
    if not alone:
        monkeypatch.setattr(threads, "_openmp", lambda: None)
    for got, expected in zip(found(afl(), *batch, reduction), in_one_block(afl(), *batch, reduction)):
        torch.testing.assert_close(got, expected, rtol=2e-6, atol=1e-12)


@own_blocks
@pytest.mark.parametrize("name", ["afl", "asl", "distribution_balanced"])
def test_the_same_bits_each_time_and_with_any_number_of_threads(batch, name):
    loss = build_loss(name, [1 + c for c in range(1000)], 2000)
    again = [found(loss, *batch) for _ in range(6)]
    torch.set_num_threads(2)
    again += [found(loss, *batch) for _ in range(6)]
    assert all(torch.equal(got, first) for each in again for got, first in zip(each, again[0]))


@own_blocks
@pytest.mark.parametrize("name", ["bce", "focal", "afl", "asl", "distribution_balanced"])
def test_a_lone_block_has_the_same_bits_with_any_number_of_threads(name, n_threads):
    loss = build_loss(name, [1 + c for c in range(101)], 2000)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        z, y = torch.randn(333, 101, generator=generator) * 3, torch.rand(333, 101, generator=generator)
        for targets in ((y < 0.02).float(), (y < 0.99).float(), y):
            torch.set_num_threads(1)
            expected = found(loss, z, targets)
            torch.set_num_threads(n_threads)
            assert all(torch.equal(one, other) for one, other in zip(found(loss, z, targets), expected))


@own_blocks
@pytest.mark.parametrize("n_blocks", [0, 1])
def test_a_lone_block_is_not_split(n_blocks, n_threads):
    seen = []
    threads.run_in_threads(lambda: seen.append(torch.get_num_threads()), n_blocks, 10**6)
    assert seen == [1] and torch.get_num_threads() == n_threads


def test_soft_targets_and_inference_mode(batch):
    z, y = batch
    soft = y * 0.8 + 0.1
    expected, _ = in_one_block(afl(), z, soft)
    with torch.inference_mode():
        torch.testing.assert_close(afl()(z, soft), expected, rtol=2e-6, atol=0)


def test_a_bad_target_is_refused_wherever_it_stands(batch):
    z, y = batch
    for row in range(0, 1200, 199):
        wrong = y.clone()
        wrong[row, 7] = 1.5
        with pytest.raises(ValueError, match="targets"):
            afl()(z, wrong)


def test_the_numbers_of_threads_stay(batch, n_threads):
    alive = threading.active_count()
    found(afl(), *batch)
    assert torch.get_num_threads() == n_threads
    assert threading.active_count() <= alive


@own_blocks
def test_each_thread_works_and_none_splits_its_operations(n_threads):
    seen, together = [], threading.Barrier(n_threads)

    def work():
        together.wait(10)
        seen.append(torch.get_num_threads())

    threads.run_in_threads(work, n_threads, 10**6)
    assert seen == [1] * n_threads


@own_blocks
def test_no_more_threads_than_blocks(n_threads):
    seen = []
    threads.run_in_threads(lambda: seen.append(None), 2, 10**6)
    assert len(seen) == min(n_threads, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_softplus_keeps_its_digits_where_exp_leaves_the_range(dtype):
    x = torch.cat([torch.linspace(-110, 110, 4401), torch.tensor([-1e4, 1e4])]).to(dtype)
    expected = torch.where(x < -40, x.double().exp(), softplus(x.double(), threshold=800))
    got = write_softplus(x, torch.empty_like(x), torch.empty_like(x))
    rtol = 4e-7 if dtype == torch.float32 else 2e-15
    torch.testing.assert_close(got.double(), expected, rtol=rtol, atol=3e-39)  # torch's sigmoid is 0 below that
