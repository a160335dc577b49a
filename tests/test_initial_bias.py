"""Where training starts: the best constant logit of each label, against solutions found in other ways."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import expit, log_expit

from afl_helpers.errors import UsageError
from afl_helpers.losses import LOSSES, MultiLabelLoss, build_loss, reduce_loss
from afl_helpers.training import ProbeConfig, TrainingConfig, best_constant_logits, fine_tune, prior_logits, probe
from afl_helpers.training.encoders import head_bias
from afl_helpers.training.initial_bias import start_logits

COUNTS, N = [700, 300, 120, 40, 11, 3, 0], 1000
RATES = (np.array(COUNTS) + 0.5) / (N + 1)


def risk_slope(z: float, rate: float, gamma: float) -> float:
    """The derivative of the focal loss's prior risk in the logit, divided by what both terms share."""
    p, q = expit(z), expit(-z)
    log_p, log_q = log_expit(z), log_expit(-z)
    positive = q**gamma * (gamma * p * log_p - q)
    negative = p**gamma * (p - gamma * q * log_q)
    return rate * positive + (1 - rate) * negative


def test_of_cross_entropy_it_is_the_log_odds():
    for name in ("bce", "plm"):  # partial label masking starts without a mask
        found = best_constant_logits(build_loss(name, COUNTS, N), COUNTS, N)
        torch.testing.assert_close(found, prior_logits(COUNTS, N), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "name, params", [("focal", {"gamma": 2.0}), ("focal", {"gamma": 5.0}), ("afl", {}), ("afl", {"bounds": None})]
)
def test_of_focal_losses_the_slope_of_the_prior_risk_is_zero(name, params):
    loss = build_loss(name, COUNTS, N, **params)
    gammas = np.broadcast_to(loss.gamma.numpy(), len(COUNTS))
    found = best_constant_logits(loss, COUNTS, N).numpy()
    for value, rate, gamma in zip(found, RATES, gammas):
        if gamma < 50:
            assert value == pytest.approx(brentq(risk_slope, -30, 30, args=(rate, gamma), xtol=1e-12), abs=1e-5)
        assert abs(risk_slope(value, rate, gamma)) < 1e-6


def test_a_rare_label_starts_near_a_quarter_at_gamma_5():
    found = best_constant_logits(build_loss("focal", gamma=5.0), [2], 1000).sigmoid()
    assert found.item() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("name", sorted(name for name in LOSSES if LOSSES[name].unit != "element"))
def test_a_loss_without_a_cost_per_label_has_no_best_constant(name):
    with pytest.raises(UsageError, match="no cost per label.*start_bias='zero'"):
        best_constant_logits(build_loss(name), COUNTS, N)
    assert (start_logits("loss", build_loss(name), COUNTS, N) == 0).all()


@pytest.mark.parametrize("name", sorted(name for name in LOSSES if LOSSES[name].unit == "element"))
def test_no_constant_is_better_for_any_loss(name):
    """Among all constants on a fine grid, on documents that have one label each or none."""
    loss = build_loss(name, COUNTS, N)
    state = {key: value.clone() for key, value in loss.state_dict().items()}
    found = best_constant_logits(loss, COUNTS, N)
    assert found.dtype == torch.float32 and found.isfinite().all() and (found.abs() <= 40).all()
    torch.testing.assert_close(loss.state_dict(), state)
    if name in ("distribution_balanced", "rebalanced_focal", "wal"):
        return  # approximate, see below
    grid = torch.linspace(-20, 20, 4001, dtype=torch.float64)[:, None].expand(-1, len(COUNTS)).contiguous()
    loss.eval()

    def risk(logits):
        ones, rate = torch.ones_like(logits), torch.from_numpy(RATES)
        return rate * loss(logits, ones, reduction="none") + (1 - rate) * loss(logits, 0 * ones, reduction="none")

    tolerance = 0.1 if name == "flsd53" else 1e-6  # it jumps, and is lowest beside a jump
    assert (risk(found.double()[None]) <= risk(grid).min(0).values * (1 + tolerance) + 1e-300).all()


@pytest.mark.parametrize("name", ["distribution_balanced", "rebalanced_focal", "wal"])
def test_where_labels_interact_documents_have_one_label_each(name):
    counts = [60, 30, 10]
    loss = build_loss(name, counts, 100)
    found = best_constant_logits(loss, counts, 100)
    rows = torch.eye(3, dtype=torch.float64)[torch.repeat_interleave(torch.arange(3), torch.tensor(counts))]
    for c in range(3):
        logits = torch.linspace(-8, 8, 1601, dtype=torch.float64)
        costs = []
        for z in logits:
            full = torch.zeros_like(rows)
            full[:, c] = z
            costs.append(loss(full, rows, reduction="none")[:, c].sum())
        assert found[c].item() == pytest.approx(logits[torch.stack(costs).argmin()].item(), abs=0.06)


def test_a_loss_with_two_minima_gets_the_lower_one():
    class Twofold(MultiLabelLoss):
        def compute(self, logits, targets, mask, reduction):
            wells = torch.minimum((logits - 6) ** 2 + 0.1, (logits + 6) ** 2)
            return reduce_loss(wells, reduction, mask)

    assert best_constant_logits(Twofold(), [5, 50], 100).tolist() == pytest.approx([-6, -6], abs=1e-5)


def test_every_start_is_one_of_three():
    loss = build_loss("focal", gamma=2.0)
    assert start_logits("zero", loss, COUNTS, N).tolist() == [0.0] * len(COUNTS)
    torch.testing.assert_close(start_logits("prior", loss, COUNTS, N), prior_logits(COUNTS, N))
    torch.testing.assert_close(start_logits("loss", loss, COUNTS, N), best_constant_logits(loss, COUNTS, N))


@pytest.mark.usefixtures("own_cache")
def test_training_starts_there_by_default(parts):
    train = parts[0]
    expected = best_constant_logits(build_loss("focal", gamma=5.0), train.label_counts, len(train))
    for function, kind in ((fine_tune, TrainingConfig), (probe, ProbeConfig)):
        config = kind(encoder="tiny", max_length=16, epochs=1, learning_rate=0.0)
        run = function(*parts, loss="focal", loss_params={"gamma": 5.0}, config=config, progress=False)
        bias = head_bias(run.model) if function is fine_tune else run.model.head.bias
        torch.testing.assert_close(bias.cpu().detach(), expected)
