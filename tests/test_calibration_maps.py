"""Calibration after training and suspicious labels, against formulas written out, and on faults that were planted."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from afl_helpers.chapters.figures import reliability_plot
from afl_helpers.errors import UsageError
from afl_helpers.evaluation import (
    expected_calibration_errors,
    fit_isotonic,
    fit_temperature,
    suspicious_labels,
)


def drawn(temperature, n=20_000, seed=0):
    """Targets drawn from probabilities, and scores whose log odds are a multiple of theirs."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(-1, 1.5, (n, 3))
    targets = generator.random((n, 3)) < expit(log_odds)
    return targets, expit(log_odds * temperature)


class TestTemperature:
    @pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
    def test_the_temperature_that_was_put_in_comes_out(self, true):
        targets, scores = drawn(true)
        temperature = fit_temperature(targets, scores)
        assert temperature.value == pytest.approx(true, rel=0.03)
        assert expected_calibration_errors(targets, temperature(scores))[0] < 0.01
        assert (np.argsort(temperature(scores).ravel()) == np.argsort(scores.ravel())).all()

    def test_it_is_where_the_derivative_is_zero_in_higher_precision(self):
        targets, scores = (
            [[1, 0], [0, 1], [1, 1], [0, 0], [0, 1]],
            [[0.9, 0.2], [0.4, 0.3], [0.95, 0.6], [0.7, 0.1], [0.1, 0.8]],
        )
        mpmath.mp.dps = 40
        pairs = [
            (t, mpmath.log(mpmath.mpf(s) / (1 - mpmath.mpf(s))))
            for row_t, row_s in zip(targets, scores)
            for t, s in zip(row_t, row_s)
        ]
        root = mpmath.findroot(lambda a: sum(z * (1 / (1 + mpmath.exp(-a * z)) - t) for t, z in pairs), 1.0)
        assert fit_temperature(targets, scores).value == pytest.approx(float(1 / root), rel=1e-6)

    def test_scores_that_are_logits_are_refused(self):
        with pytest.raises(UsageError, match="needs probabilities"):
            fit_temperature([[1]], [[2.0]])
        with pytest.raises(UsageError, match="needs probabilities"):
            fit_temperature([[1]], [[0.5]])([[2.0]])


class TestIsotonic:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=14))
    def test_it_is_the_minimum_of_maxima_of_means(self, pairs):
        """Robertson, Wright & Dykstra (1988), Theorem 1.4.4, over the distinct scores."""
        scores = np.array([[value / 10] for value, _ in pairs])
        targets = np.array([[truth] for _, truth in pairs])
        maps = fit_isotonic(targets, scores)
        if targets.all() or not targets.any():
            np.testing.assert_array_equal(maps(scores), scores)
            return
        values = np.unique(scores)
        groups = [targets[scores == value] for value in values]
        for place, value in enumerate(values):
            expected = max(
                min(np.concatenate(groups[low : high + 1]).mean() for high in range(place, len(values)))
                for low in range(place + 1)
            )
            assert maps([[value]])[0, 0] == pytest.approx(expected, abs=1e-9)

    def test_each_label_gets_its_own_map(self):
        targets, scores = drawn(1.0)
        bent = np.column_stack([scores[:, 0] ** 2, np.sqrt(scores[:, 1]), scores[:, 2]])
        maps = fit_isotonic(targets[:10_000], bent[:10_000])
        before = expected_calibration_errors(targets[10_000:], bent[10_000:])[1]
        after = expected_calibration_errors(targets[10_000:], maps(bent[10_000:]))[1]
        assert before[:2].min() > 0.06 and after.max() < 0.03
        with pytest.raises(UsageError, match=r"shape \(2, 1\); pass \(n_documents, 3\)"):
            maps([[0.1], [0.2]])


def test_the_reliability_plot_draws_all_kinds_of_scores_in_one_call():
    targets, scores = drawn(3.0, n=500)
    figure = reliability_plot(targets, {"as trained": scores, "calibrated": fit_temperature(targets, scores)(scores)})
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert {"as trained", "calibrated"} <= set(lines)
    x, y = lines["as trained"].get_data()
    assert x[0] < 0.02 and y[0] == pytest.approx(targets[scores < 1 / 15].mean())
    assert "scores" in [line.get_label() for line in reliability_plot(targets, scores).axes[0].lines]


class TestSuspiciousLabels:
    def test_by_hand(self):
        targets = [[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]]
        scores = [[0.9, 0.2], [0.05, 0.3], [0.1, 0.1], [0.8, 0.9], [0.0, 0.1]]
        # Label a: mean of positives .475, of negatives .3: document 1 is at .05, and document 3 at .8.
        # Label b: mean of positives .5, of negatives .2: document 2 is at .1.
        table = suspicious_labels(targets, scores, ["a", "b"], ["p", "q", "r", "s", "t"])
        rows = table[["document", "label", "given", "score"]].to_numpy().tolist()
        assert rows == [["q", "a", 1, 0.05], ["s", "a", 0, 0.8], ["r", "b", 1, 0.1]]
        expected = [logit(0.3) - logit(0.05), logit(0.8) - logit(0.475), logit(0.2) - logit(0.1)]
        np.testing.assert_allclose(table["margin"], expected)
        np.testing.assert_allclose(table["threshold"], [0.3, 0.475, 0.2])

    def test_planted_faults_stand_at_the_top(self):
        generator = np.random.default_rng(0)
        truth = generator.random((2000, 6)) < [0.4, 0.3, 0.2, 0.1, 0.05, 0.03]
        scores = expit(np.where(truth, 2.0, -4.0) + generator.normal(0, 1.0, truth.shape))
        faults = generator.random(truth.shape) < 0.02
        table = suspicious_labels(truth ^ faults, scores)
        n = faults.sum()
        found = faults[table["document"], table["label"]]
        # The threshold is a mean, so it lets some faults pass; what it finds is right, for missing labels and wrong ones.
        assert found[:150].mean() > 0.97 and found.sum() / n > 0.7
        assert table["given"].iloc[:150].value_counts().min() > 10

    def test_nothing_is_found_where_the_model_agrees_or_knows_nothing(self):
        targets = np.array([[1, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0], [1, 0, 1, 0]])
        scores = np.column_stack([targets[:, 0] * 0.9 + 0.05, 1 - targets[:, 1], [0.1, 0.2, 0.3, 0.9], [0.9] * 4])
        table = suspicious_labels(targets, scores)
        # A label whose documents all score the same is at both means; its margin is 0.
        assert table.empty or table["margin"].max() == pytest.approx(0, abs=1e-9)

    def test_one_name_and_id_for_each(self):
        with pytest.raises(UsageError, match="document_ids has 1 entries for 2 documents"):
            suspicious_labels([[1], [0]], [[0.1], [0.2]], document_ids=["a"])
        with pytest.raises(UsageError, match="label_names has 2 names"):
            suspicious_labels([[1], [0]], [[0.1], [0.2]], ["a", "b"])
