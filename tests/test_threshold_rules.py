"""Each threshold rule against numbers worked out by hand and against a slow search over all cuts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afl_helpers.errors import UsageError
from afl_helpers.evaluation import (
    THRESHOLD_RULES,
    TopK,
    binarize,
    evaluate,
    evaluate_rules,
    evaluate_tuned,
    fit_thresholds,
    tune_thresholds,
)
from afl_helpers.evaluation.posterior import posterior_logits_of_scores

TINY = [0.0, 5e-324, 1e-323, 1e-300, 1e-13, 1.1e-13, 0.3, np.nextafter(0.3, 1), 0.5, 0.7, 1 - 1e-14, 1 - 2**-53, 1.0]


@st.composite
def problems(draw, n_labels=(1, 4)):
    """Targets from none to all positive; scores with ties, zeros, ones, neighbours and tiny numbers, or all different."""
    shape = draw(st.integers(1, 12)), draw(st.integers(*n_labels))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    targets = rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.4, 1.0]))
    kind = draw(st.sampled_from(["tiny", "few", "different"]))
    scores = rng.choice(TINY, shape) if kind == "tiny" else np.round(rng.random(shape), 1 if kind == "few" else 9)
    return targets, scores


def f1(targets, decisions):
    total = int(targets.sum()) + int(decisions.sum())
    return 2 * int((targets & decisions).sum()) / total if total else 0.0


def cuts(scores):
    """Every different decision that a threshold can make about one label, as thresholds, ascending."""
    return [*np.unique(scores), np.nextafter(scores.max(), np.inf)]


@settings(max_examples=300, deadline=None)
@given(problems())
def test_per_label_without_shrinkage_equals_exhaustive_search(problem):
    targets, scores = problem
    decisions = scores >= tune_thresholds(targets, scores, "per_label", shrinkage=0)
    for c in np.flatnonzero(targets.any(0)):
        best = max(f1(targets[:, c], scores[:, c] >= t) for t in cuts(scores[:, c]))
        assert f1(targets[:, c], decisions[:, c]) == best


def test_per_label_by_hand():
    assert tune_thresholds([[0], [1]], [[0.4], [0.0]], "per_label", shrinkage=0).tolist() == [0.0]  # F1 2/3, not 0
    # three positives of four at .9, .5 and .1, of which all four are best: F1 6/7 against 4/5 for two
    targets, scores = [[1], [1], [0], [1]], [[0.9], [0.5], [0.3], [0.1]]
    assert tune_thresholds(targets, scores, "per_label", shrinkage=0).tolist() == [0.1]
    # a label with as many positives as the shrinkage lies half-way between the log odds of .25 and of the common .75
    targets = [[1, 1], [1, 0], [1, 0], [0, 0], [0, 0], [0, 0]]
    scores = [[0.9, 0.35], [0.9, 0.15], [0.9, 0.15], [0.6, 0.15], [0.6, 0.15], [0.6, 0.15]]
    assert tune_thresholds(targets, scores) == 0.75  # micro F1 6/7; with the .35, three negatives come along: 8/11
    assert tune_thresholds(targets, scores, "per_label", shrinkage=1)[1] == pytest.approx(0.5)


@settings(max_examples=200, deadline=None)
@given(problems(), st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0]))
def test_proportional_takes_the_nearest_number_that_ties_allow(problem, rate):
    targets, scores = problem
    thresholds = tune_thresholds(targets, scores, "proportional", label_rates=[rate] * scores.shape[1])
    wanted = int(np.rint(rate * len(scores)))
    for c, predicted in enumerate((scores >= thresholds).sum(0)):
        possible = sorted(int((scores[:, c] >= t).sum()) for t in cuts(scores[:, c]))
        assert predicted == min(possible, key=lambda k: (abs(k - wanted), k))


def test_proportional_by_hand():
    def predicted(scores, rate):
        column = np.array(scores)[:, None]
        threshold = tune_thresholds(np.zeros_like(column), column, "proportional", label_rates=[rate])
        return int((column >= threshold).sum())

    assert predicted([0.9] * 10 + [0.0] * 90, 0.2) == 10  # 20 asked; 10 or 100 are possible
    assert predicted([0.5] * 100, 0.01) == 0 and predicted([0.5] * 100, 0.9) == 100
    assert predicted([0.9] * 5 + [0.5] * 3 + [0.1] * 2, 0.6) == 5  # 6 asked; 5 or 8
    assert predicted([0.9] * 4 + [0.5] * 4 + [0.1] * 2, 0.6) == 4  # 4 and 8 are equally near
    assert predicted([0.9, 0.8, 0.7, 0.6], 0.5) == 2


# Frequent label: its best cut is .5. Rare label: .15.
TARGETS = np.array([[1, 0], [1, 0], [1, 1], [0, 0], [0, 0], [0, 0]], dtype=bool)
SCORES = np.array([[0.8, 0.1], [0.7, 0.1], [0.6, 0.2], [0.4, 0.1], [0.4, 0.1], [0.1, 0.1]])


def test_one_threshold_for_micro_and_for_macro_f1_by_hand():
    # At .5: label 0 is right, label 1 never predicted: micro 6/7, macro 1/2.
    # At .3: micro 6/9, macro (6/8 + 0)/2. At .15: micro 8/10, macro (6/8 + 1)/2 = .875.
    assert tune_thresholds(TARGETS, SCORES) == tune_thresholds(TARGETS, SCORES, "common") == 0.5
    assert tune_thresholds(TARGETS, SCORES, "common_macro") == pytest.approx(0.15)
    assert tune_thresholds(TARGETS, SCORES, "common", "f1_macro") == tune_thresholds(TARGETS, SCORES, "common_macro")


def test_a_threshold_on_posteriors_by_hand():
    # Gamma 2 turns .25 into .04986 and .75 into .95014; the other label keeps its scores.
    targets, gamma = [[1, 1], [0, 1], [0, 0]], [2.0, 0.0]
    scores = [[0.75, 0.3], [0.25, 0.2], [0.25, 0.1]]  # posteriors .95, .05, .05 and .3, .2, .1
    found = tune_thresholds(targets, scores, "common_posterior", gamma=gamma)
    # All three positives and no negative lie above .2; half-way to .1 in log odds is .1429, a score of .339 at gamma 2.
    assert binarize(scores, found).tolist() == np.array(targets, dtype=bool).tolist()
    assert found[1] == pytest.approx(1 / 7) and found[0] == pytest.approx(0.3387, abs=1e-4)
    # On the scores themselves, no threshold separates them: F1 is 6/7 at best, with one of the two at .25.
    assert evaluate(targets, scores, tune_thresholds(targets, scores))["f1_micro"] < 1


@pytest.mark.parametrize("metric", ["f1_micro", "f1_macro"])
@settings(max_examples=150, deadline=None)
@given(problem=problems(n_labels=(2, 4)), seed=st.integers(0, 100))
def test_thresholds_on_posteriors_decide_as_one_threshold_does(metric, problem, seed):
    targets, scores = problem
    rng = np.random.default_rng(seed)
    gamma = rng.choice([0.0, 0.5, 2.0, 5.0, 50.0], scores.shape[1])
    gamma[0] = 1.0
    rule = "common_macro_posterior" if metric == "f1_macro" else "common_posterior"
    thresholds = np.broadcast_to(tune_thresholds(targets, scores, rule, gamma=gamma), scores.shape[1])
    log_odds = posterior_logits_of_scores(scores, gamma)
    best = max(metric_at(targets, log_odds, t, metric) for t in np.unique(log_odds))
    assert evaluate(targets, scores, thresholds)[metric] == pytest.approx(best)
    # On any other scores too, the decisions are those of one cut through the log odds.
    if (gamma != gamma[0]).any():
        other = rng.random((50, scores.shape[1]))
        decided, odds = other >= thresholds, posterior_logits_of_scores(other, gamma)
        assert not decided.any() or decided.all() or odds[decided].min() >= odds[~decided].max()


def metric_at(targets, log_odds, threshold, metric):
    average = metric.removeprefix("f1_")
    decisions = log_odds >= threshold
    if average == "micro":
        return f1(targets.ravel(), decisions.ravel())
    return np.mean([f1(targets[:, c], decisions[:, c]) for c in range(targets.shape[1])])


@settings(max_examples=50, deadline=None)
@given(problems())
def test_without_a_gamma_or_with_one_for_all_a_threshold_on_posteriors_is_the_common_one(problem):
    targets, scores = problem
    for plain, mapped in (("common", "common_posterior"), ("common_macro", "common_macro_posterior")):
        expected = tune_thresholds(targets, scores, plain)
        for gamma in (None, 0.0, 3.0, [2.0] * scores.shape[1]):
            assert tune_thresholds(targets, scores, mapped, gamma=gamma) == expected


def test_smoothed_by_hand():
    # Label 0: its two positives come first: F1 1, and micro F1 so far 1. The cut is between .8 and .3.
    # Label 1: its one positive comes last of six. All six: 2/7 / 2 + 6 / (6 + 1 + 4) = .69; none: 0 + 4 / (0 + 1 + 4) = .8.
    targets = [[1, 0], [1, 0], [0, 0], [0, 0], [0, 0], [0, 1]]
    scores = [[0.9, 0.9], [0.8, 0.8], [0.3, 0.7], [0.1, 0.6], [0.1, 0.5], [0.1, 0.4]]
    thresholds = tune_thresholds(targets, scores, "smoothed")
    assert thresholds.tolist() == [pytest.approx(0.55), np.nextafter(0.9, 1)]
    assert tune_thresholds(targets, scores, "per_label", shrinkage=0).tolist() == [pytest.approx(0.55), 0.4]
    # If it comes third, three are predicted: 2/4 / 2 + 6 / (3 + 1 + 4) = 1.
    scores[5][1] = 0.75
    assert tune_thresholds(targets, scores, "smoothed")[1] == pytest.approx((0.75 + 0.7) / 2)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_smoothed_equals_a_search_over_all_cuts(problem):
    targets, scores = problem
    decisions = scores >= tune_thresholds(targets, scores, "smoothed")
    visited = []
    for k, c in enumerate(sorted(range(targets.shape[1]), key=lambda c: -targets[:, c].sum()), start=1):
        visited.append(c)

        def value(own, k=k, c=c):
            chosen = decisions[:, visited].copy()
            chosen[:, -1] = own
            return f1(targets[:, c], own) / k + f1(targets[:, visited].ravel(), chosen.ravel())

        values = [value(scores[:, c] >= t) for t in cuts(scores[:, c])]
        assert value(decisions[:, c]) == pytest.approx(max(values), abs=1e-12)
        best = [t for t, v in zip(cuts(scores[:, c]), values) if v > max(values) - 1e-12][-1]
        assert decisions[:, c].sum() == (scores[:, c] >= best).sum()


def scut_fbr(targets, scores):
    """Return the threshold of one label by SCutFBR, step by step."""
    folds = np.random.default_rng(0).permutation(len(scores)) % 3

    def tune(t, s):
        best, threshold = f1(t, s >= 0.5), 0.5
        u = np.unique(s)
        for cut in [*((u[1:] + u[:-1]) / 2)[::-1], u[0]]:
            if f1(t, s >= cut) > best:
                best, threshold = f1(t, s >= cut), cut
        return best, threshold

    sums = {}
    for tenths in range(1, 9):
        sums[tenths] = 0.0
        for fold in range(3):
            held = folds == fold
            if not held.any() or held.all():
                continue
            best, threshold = tune(targets[~held], scores[~held])
            chosen = scores[held] >= threshold if best > tenths / 10 else scores[held] > scores[~held].max()
            sums[tenths] += f1(targets[held], chosen)
    tenths = max(sums, key=lambda value: (sums[value], value)) if any(sums.values()) else 1
    best, threshold = tune(targets, scores)
    return threshold if best > tenths / 10 else np.nextafter(scores.max(), np.inf)


def test_fbr_equals_its_definition():
    rng = np.random.default_rng(3)
    kinds = set()
    for _ in range(200):
        n = int(rng.integers(1, 40))
        targets = rng.random((n, 3)) < rng.choice([0.0, 0.1, 0.4])
        scores = np.round(np.minimum(rng.random((n, 3)) * rng.choice([0.5, 1.0]) + 0.2 * targets, 1.0), 2)
        found = tune_thresholds(targets, scores, "fbr")
        assert found.tolist() == [scut_fbr(targets[:, c], scores[:, c]) for c in range(3)]
        kinds |= set(np.where(found > scores.max(0), "never", np.where(found == 0.5, "half", "tuned")))
    assert kinds == {"never", "half", "tuned"}


def test_fbr_by_hand():
    # Label 0 is found in every fold: F1 1 is above every fbr, and .5 is as good as any cut.
    # Label 1: the same at scores below .5: the tuned cut, half-way between .1 and .3.
    # Label 2 has no positive: fbr 0.1, F1 0, and nothing is predicted.
    targets = np.zeros((12, 3), dtype=bool)
    targets[:6, :2] = True
    scores = np.where(targets, [0.9, 0.3, 0.0], [0.2, 0.1, 0.4])
    thresholds = tune_thresholds(targets, scores, "fbr")
    assert thresholds.tolist() == [0.5, pytest.approx(0.2), np.nextafter(0.4, 1)]
    # One document: nothing to choose fbr on; F1 1 is above 0.1.
    assert tune_thresholds([[1, 0]], [[0.3, 0.3]], "fbr").tolist() == [0.3, np.nextafter(0.3, 1)]


def test_top_k_is_a_rule():
    targets, scores = [[1, 1, 0], [0, 1, 1]], [[0.9, 0.8, 0.1], [0.1, 0.3, 0.2]]
    assert tune_thresholds(targets, scores, "top_k") == TopK(2)
    assert fit_thresholds(targets, scores, None, ["tuned_top_k"]) == {"tuned_top_k": TopK(2)}


def test_all_rules_at_once_agree_with_each_alone():
    rng = np.random.default_rng(0)
    rates, gamma = np.array([0.4, 0.2, 0.1, 0.05]), np.array([0.5, 1.0, 2.0, 5.0])
    targets = rng.random((150, 4)) < rates
    scores = np.clip(0.6 * rng.random((150, 4)) + 0.25 * targets, 0, 1)
    fitted = fit_thresholds(targets[:75], scores[:75], rates, gamma=gamma)
    assert list(fitted)[:4] == ["at_0.5", "tuned_common", "tuned_per_label", "tuned_proportional"]
    assert list(fitted) == list(THRESHOLD_RULES)
    for rule, value in fitted.items():
        if rule != "at_0.5":
            alone = tune_thresholds(
                targets[:75], scores[:75], rule.removeprefix("tuned_"), label_rates=rates, gamma=gamma
            )
            assert np.array_equal(alone, value) if not isinstance(value, TopK) else alone == value
    tuned = evaluate_tuned(
        validation=(targets[:75], scores[:75]),
        test=(targets[75:], scores[75:]),
        label_counts=rates * 1000,
        n_documents=1000,
        gamma=gamma,
    )
    found = evaluate_rules(targets[75:], scores[75:], fitted, rates * 1000)
    for rule, value in fitted.items():
        expected = evaluate(targets[75:], scores[75:], value, rates * 1000)
        assert list(found[rule]) == list(expected)
        assert found[rule] == pytest.approx(expected, nan_ok=True) == tuned[rule]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"rule": "smooth"}, "did you mean 'smoothed'"),
        ({"rule": "fbr", "scores": [[2.0], [0.1]]}, r'rule "fbr" needs probabilities'),
        ({"rule": "common_posterior", "gamma": [1.0, 2.0]}, r"gamma has shape \(2,\)"),
        ({"rule": "common_posterior", "gamma": -1.0}, "gamma holds -1.0"),
        ({"rule": "per_label", "shrinkage": -1}, "shrinkage is -1"),
        ({"rule": "proportional", "label_rates": [1.5]}, "needs label_rates"),
    ],
)
def test_errors(arguments, words):
    given = {"targets": [[1], [0]], "scores": [[0.9], [0.1]]} | arguments
    with pytest.raises(UsageError, match=words):
        tune_thresholds(**given)


def test_posteriors_need_probabilities_where_they_are_mapped():
    with pytest.raises(UsageError, match="a threshold on posteriors needs probabilities"):
        tune_thresholds([[1, 0]], [[2.0, 0.1]], "common_posterior", gamma=[1.0, 2.0])


def test_a_rule_may_be_called_as_metrics_call_it():
    targets, scores = [[1, 0], [1, 0], [0, 1], [0, 0]], [[0.9, 0.2], [0.6, 0.1], [0.4, 0.3], [0.1, 0.0]]
    for name in ("common", "per_label", "smoothed"):
        found = tune_thresholds(targets, scores, f"tuned_{name}")
        np.testing.assert_array_equal(found, tune_thresholds(targets, scores, name))
