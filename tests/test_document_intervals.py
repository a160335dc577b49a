"""Intervals over documents hold the population value as often as they say, also where labels have few positives."""

import functools
import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from afl_helpers.errors import UsageError
from afl_helpers.evaluation import difference_interval, evaluate, metric_interval

SHIFT = 1.8  # the scores of positives are normal around it, those of negatives around 0

#: The rates of the labels, and the number of documents on test.
CASES = {
    "10 labels at 10 %": (np.full(10, 0.1), 1000),
    "50 labels at 1 %": (np.full(50, 0.01), 500),
    "100 labels from 20 % to .2 %": (0.2 / np.arange(1, 101), 1000),
    "200 labels at .1 %": (np.full(200, 0.001), 1000),
    "227 labels from 50 % to .05 %": (np.clip(0.5 / np.arange(1, 228) ** 1.27, 0.0005, 0.5), 1900),
}


def simulate(case, kind, repetitions, seed=0, never=0.0):
    """Return the shares of intervals that hold the true value, and of differences that are found at .05.

    Each label is predicted as often as it occurs, at a threshold fixed in advance. ``kind`` is "metric"; "never", where
    the rival never predicts the rarer half of the labels; or "null", where the rival is another classifier, as good, with
    correlated scores. ``never`` is the share of labels that nobody ever predicts.
    """
    rates, n = CASES[case]
    rng = np.random.default_rng(seed)
    thresholds = np.array(
        [brentq(lambda x, p=p: p * norm.sf(x - SHIFT) + (1 - p) * norm.sf(x) - p, -10, 12) for p in rates]
    )
    thresholds[np.random.default_rng(6).random(len(rates)) < never] = np.inf
    f1 = norm.sf(thresholds - SHIFT)  # precision = recall
    rarer = np.arange(len(rates)) >= len(rates) // 2
    true = {"metric": f1.mean(), "never": f1[rarer].sum() / len(rates), "null": 0.0}[kind]
    covered, found = np.zeros(repetitions, bool), np.zeros(repetitions, bool)
    for i in range(repetitions):
        targets = rng.random((n, len(rates))) < rates
        noise = rng.normal(size=targets.shape)
        decisions = noise + SHIFT * targets >= thresholds
        counts = rng.poisson(8 * n * rates).clip(1)
        rival = decisions & ~rarer
        if kind == "null":
            rival = math.sqrt(0.5) * (noise + rng.normal(size=noise.shape)) + SHIFT * targets >= thresholds
        result = (
            metric_interval(targets, decisions, counts)
            if kind == "metric"
            else difference_interval(targets, decisions, rival, counts)
        )
        covered[i], found[i] = result.low <= true <= result.high, result.p_value < 0.05
    return covered.mean(), found.mean()


@pytest.mark.parametrize(
    "case, kind, repetitions",
    [
        ("50 labels at 1 %", "metric", 300),
        ("50 labels at 1 %", "never", 300),
        ("50 labels at 1 %", "null", 300),
        ("227 labels from 50 % to .05 %", "metric", 80),
    ],
)
def test_intervals_cover(case, kind, repetitions):
    covered, found = simulate(case, kind, repetitions)
    error = 2 * math.sqrt(0.05 * 0.95 / repetitions)  # of the simulation, two standard errors
    assert 0.93 - error < covered < 0.97 + error
    assert kind != "null" or 0.04 - error < found < 0.06 + error


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["metric", "never", "null"])
@pytest.mark.parametrize(
    "case", [name for name in CASES if "from" in name or name in ("50 labels at 1 %", "10 labels at 10 %")]
)
def test_intervals_cover_on_long_tails(case, kind):
    covered, found = simulate(case, kind, 500)
    error = math.sqrt(0.05 * 0.95 / 500)  # one standard error
    print(f"{case}, {kind}: {covered:.3f} covered, {found:.3f} found")
    assert 0.93 - error < covered < 0.97 + error
    assert kind != "null" or 0.04 - error < found < 0.06 + error


@pytest.mark.slow
def test_coverage_where_the_assumptions_are_strained():
    one_positive_each, _ = simulate("200 labels at .1 %", "metric", 500)
    half_never_predicted, _ = simulate("227 labels from 50 % to .05 %", "metric", 500, never=0.5)
    print(f"covered: {one_positive_each:.3f}, {half_never_predicted:.3f}")
    assert one_positive_each > 0.92 and half_never_predicted > 0.92


def test_frequent_labels_keep_their_own_f1():
    rng = np.random.default_rng(0)
    targets = rng.random((2000, 3)) < [0.5, 0.3, 0.1]
    decisions = targets ^ (rng.random(targets.shape) < 0.05)
    for metric in ("f1_macro", "f1_micro"):
        found = metric_interval(targets, decisions, [4000, 2400, 800], metric)
        assert found.observed == pytest.approx(evaluate(targets, decisions.astype(float))[metric])
        assert found.estimate == pytest.approx(found.observed, abs=1e-3) and found.p_value < 1e-9
        assert found.low < found.observed < found.high < found.low + 0.05


def test_a_difference_is_paired():
    rng = np.random.default_rng(0)
    targets = rng.random((500, 40)) < 0.03
    decisions = targets & (rng.random(targets.shape) < 0.6)
    same = difference_interval(targets, decisions, decisions, np.full(40, 120))
    assert same == (0, 0, 0, 0, 1.0)
    rival = decisions.copy()
    rival[:100] &= rng.random((100, 40)) < 0.8
    one, other = (metric_interval(targets, values, np.full(40, 120)) for values in (decisions, rival))
    both = difference_interval(targets, decisions, rival, np.full(40, 120))
    assert both.estimate == pytest.approx(one.estimate - other.estimate) and both.p_value < 0.01
    assert both.high - both.low < 0.6 * (one.high - one.low)  # independent test sets would give more than 1.4
    back = difference_interval(targets, rival, decisions, np.full(40, 120))
    assert (back.low, back.high, back.p_value) == pytest.approx((-both.high, -both.low, both.p_value))


def test_what_gives_no_interval_is_refused():
    targets = np.random.default_rng(0).random((100, 30)) < 0.05
    call = functools.partial(metric_interval, targets, targets)
    with pytest.raises(UsageError, match="unknown metric 'f1_makro'"):
        call(np.full(30, 40), "f1_makro")
    with pytest.raises(UsageError, match="label_counts"):
        call([3, 4])
    with pytest.raises(UsageError, match="pass the same documents"):
        metric_interval(targets, targets[1:], np.full(30, 40))
    with pytest.raises(UsageError, match="at least 20"):
        metric_interval(targets[:10], targets[:10], np.full(30, 40))
    sparse = np.random.default_rng(0).random((1000, 100)) < 0.0003
    with pytest.raises(UsageError, match="rare labels have .* positives on test; use more test documents"):
        metric_interval(sparse, sparse, np.full(100, 3))


def test_labels_that_training_lacks_keep_their_own_f1():
    """A label with 300 positives on test is no rare label, whatever the training counts say."""
    rng = np.random.default_rng(0)
    targets = np.column_stack([rng.random(2000) < 0.15, rng.random((2000, 3)) < 0.1])
    decisions = targets & (rng.random(targets.shape) < 0.9)
    found = metric_interval(targets, decisions, [0, 800, 800, 800])
    assert found.low < found.observed < found.high and found.estimate == pytest.approx(found.observed, abs=0.01)
    with pytest.raises(UsageError, match="label_counts are all 0; pass the counts of the training documents"):
        metric_interval(targets, decisions, np.zeros(4))


def test_decisions_that_are_scores_are_named_as_what_they_are():
    targets = np.zeros((30, 2), dtype=int)
    with pytest.raises(UsageError, match="^decisions hold 0.5 at row 3, label 1"):
        scores = targets.astype(float)
        scores[3, 1] = 0.5
        metric_interval(targets, scores, [3, 3])
