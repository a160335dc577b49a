"""Metrics against scikit-learn and hand-checked numbers; thresholds against exhaustive search."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import metrics as sk

from afl_helpers.errors import UsageError
from afl_helpers.evaluation import (
    average_precision_per_label,
    bootstrap_average_precision,
    bootstrap_f1,
    evaluate,
    frequency_groups,
    interval,
    label_table,
    paired_difference,
    paper_metrics,
    resampling_weights,
    tune_thresholds,
)

# Four documents, two labels; decisions at 0.5: rows (1,0), (0,0), (1,1), (1,0).
TARGETS = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.uint8)
SCORES = np.array([[0.9, 0.1], [0.4, 0.2], [0.6, 0.8], [0.7, 0.3]])


def test_by_hand():
    found = evaluate(TARGETS, SCORES)
    # label 0: tp 2, fp 1, fn 1, tn 0; label 1: tp 1, fp 0, fn 0, tn 3
    expected = {
        "subset_accuracy": 2 / 4,
        "hamming_accuracy": 6 / 8,
        "precision_micro": 3 / 4,
        "recall_micro": 3 / 4,
        "f1_micro": 3 / 4,
        "precision_macro": (2 / 3 + 1) / 2,
        "recall_macro": (2 / 3 + 1) / 2,
        "f1_macro": (2 / 3 + 1) / 2,
        "f1_weighted": (3 * 2 / 3 + 1) / 4,
        "f1_samples": (1 + 0 + 2 / 3 + 1) / 4,
        "f1_macro_of_means": 5 / 6,
        "roc_auc_macro": (2 / 3 + 1) / 2,
        "average_precision_macro": ((1 + 1 + 3 / 4) / 3 + 1) / 2,
        "roc_auc_micro_of_decisions": (3 / 4 + 3 / 4) / 2,
        "roc_auc_macro_of_decisions": ((2 / 3 + 0) / 2 + 1) / 2,
        "roc_auc_weighted_of_decisions": (3 * (1 / 3) + 1 * 1) / 4,
        # by document: (recall + specificity) / 2
        "roc_auc_samples_of_decisions": (1 + 1 / 2 + (1 + 0) / 2 + 1) / 4,
        "n_labels_without_positives": 0,
        "n_labels_never_predicted": 0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@st.composite
def problems(draw):
    n, n_labels = draw(st.integers(2, 25)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    targets = rng.random((n, n_labels)) < draw(st.sampled_from([0.05, 0.3, 0.7]))
    scores = np.round(rng.random((n, n_labels)), draw(st.sampled_from([1, 6])))  # one digit: many ties
    return targets.astype(np.uint8), scores


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(problems())
def test_equals_scikit_learn(problem):
    targets, scores = problem
    found, decisions = evaluate(targets, scores), scores >= 0.5
    for average in ("micro", "macro", "weighted", "samples"):
        expected = sk.precision_recall_fscore_support(targets, decisions, average=average, zero_division=0)
        assert [found[f"{m}_{average}"] for m in ("precision", "recall", "f1")] == pytest.approx(expected[:3])
    assert found["subset_accuracy"] == pytest.approx(sk.accuracy_score(targets, decisions))
    assert found["hamming_accuracy"] == pytest.approx(1 - sk.hamming_loss(targets, decisions))
    both = [c for c in range(targets.shape[1]) if 0 < targets[:, c].sum() < len(targets)]
    some = [c for c in range(targets.shape[1]) if targets[:, c].any()]
    if both:
        for key, values in (("roc_auc_macro", scores), ("roc_auc_macro_of_decisions", decisions)):
            assert found[key] == pytest.approx(np.mean([sk.roc_auc_score(targets[:, c], values[:, c]) for c in both]))
        assert found["roc_auc_micro"] == pytest.approx(sk.roc_auc_score(targets.ravel(), scores.ravel()))
    if some:
        expected = np.mean([sk.average_precision_score(targets[:, c], scores[:, c]) for c in some])
        assert found["average_precision_macro"] == pytest.approx(expected)
        expected = sk.average_precision_score(targets.ravel(), scores.ravel())
        assert found["average_precision_micro"] == pytest.approx(expected)
    assert found["n_labels_without_positives"] == targets.shape[1] - len(some)


def test_nothing_positive_is_zero_or_undefined_never_an_error():
    found = evaluate(np.zeros((3, 2)), np.zeros((3, 2)))
    assert found["f1_micro"] == found["precision_macro"] == 0.0
    assert math.isnan(found["roc_auc_macro"]) and math.isnan(found["average_precision_macro"])
    assert found["n_labels_without_positives"] == found["n_labels_never_predicted"] == 2


def test_sparse_targets_and_thresholds_per_label():
    per_label = evaluate(sparse.csr_array(TARGETS), SCORES, thresholds=[0.35, 0.25])
    shifted = evaluate(TARGETS, SCORES - [0.35, 0.25], thresholds=0.0)
    assert per_label["f1_macro"] == shifted["f1_macro"] == pytest.approx((6 / 7 + 2 / 3) / 2)


def test_groups_by_rank_and_by_cutoff():
    counts = np.array([5, 90, 7, 60, 8, 1])
    groups = frequency_groups(counts)
    assert [np.flatnonzero(groups[g]).tolist() for g in ("head", "medium", "tail")] == [[1, 3], [2, 4], [0, 5]]
    groups = frequency_groups(counts, cutoffs=(60, 7))
    assert [np.flatnonzero(groups[g]).tolist() for g in ("head", "medium", "tail")] == [[1, 3], [2, 4], [0, 5]]
    with pytest.raises(UsageError, match="cutoffs"):
        frequency_groups(counts, cutoffs=(7, 60))


def test_group_metrics_are_the_metrics_of_those_labels():
    rng = np.random.default_rng(0)
    targets, scores = rng.random((40, 9)) < 0.4, rng.random((40, 9))
    counts = np.arange(9)[::-1]
    found = evaluate(targets, scores, label_counts=counts)
    tail = evaluate(targets[:, 6:], scores[:, 6:])
    assert {k: found[f"{k}_tail"] for k in tail} == pytest.approx(tail)


def test_paper_metrics_are_eight():
    found = paper_metrics(TARGETS, SCORES, average="macro")
    assert len(found) == 8 and found["f1"] == pytest.approx(5 / 6) and found["recall_micro"] == 3 / 4
    assert found["roc_auc_of_decisions"] == pytest.approx(2 / 3) and found["roc_auc_of_scores"] == pytest.approx(5 / 6)


def test_label_table_by_hand():
    table = label_table(TARGETS, SCORES, label_names=["a", "b"], label_counts=[30, 4])
    assert table.loc[0, ["label", "training_count", "support", "predicted"]].tolist() == ["a", 30, 3, 3]
    assert table["f1"].tolist() == pytest.approx([2 / 3, 1.0])


@settings(max_examples=40, deadline=None)
@given(problems(), st.sampled_from(["f1_micro", "f1_macro"]))
def test_common_threshold_is_the_best_there_is(problem, metric):
    targets, scores = problem
    if not targets.any():
        return
    threshold = tune_thresholds(targets, scores, "common", metric)
    reached = evaluate(targets, scores, threshold)[metric]
    assert reached == pytest.approx(max(evaluate(targets, scores, t)[metric] for t in np.unique(scores)))


def test_per_label_thresholds_shrink_towards_the_common_one():
    rng = np.random.default_rng(1)
    targets = rng.random((300, 3)) < [0.5, 0.2, 0.01]
    scores = np.clip(rng.random((300, 3)) * 0.5 * [1, 0.5, 0.1] + targets * 0.2, 0, 1)
    common = tune_thresholds(targets, scores, "common")
    free = tune_thresholds(targets, scores, "per_label", shrinkage=0)
    shrunk = tune_thresholds(targets, scores, "per_label", shrinkage=10)
    best = [max(sk.f1_score(targets[:, c], scores[:, c] >= t) for t in scores[:, c]) for c in range(3)]
    assert sk.f1_score(targets, scores >= free, average=None) == pytest.approx(best)
    assert (np.abs(shrunk - common) <= np.abs(free - common) + 1e-12).all()
    far = np.abs(shrunk - common) / np.abs(free - common)
    assert far[2] < far[0]  # the label with three positives moves least
    targets[:, 2] = False
    assert tune_thresholds(targets, scores, "per_label")[2] == tune_thresholds(targets, scores, "common")


def test_proportional_cut_predicts_as_often_as_in_training():
    rng = np.random.default_rng(2)
    scores = rng.random((200, 4))
    rates = [0.5, 0.1, 0.005, 0.0]
    thresholds = tune_thresholds(np.zeros((200, 4)), scores, "proportional", label_rates=rates)
    assert (scores >= thresholds).sum(0).tolist() == [100, 20, 1, 0]


def test_bootstrap_replicates_equal_metrics_of_the_resampled_documents():
    rng = np.random.default_rng(3)
    targets, scores = (rng.random((60, 5)) < 0.3), np.round(rng.random((60, 5)), 1)
    weights = resampling_weights(60, n_replicates=4)
    assert (weights.sum(1) == 60).all()
    np.testing.assert_array_equal(weights, resampling_weights(60, n_replicates=4))
    f1, precision = bootstrap_f1(targets, scores >= 0.6, weights), bootstrap_average_precision(targets, scores, weights)
    for r, weight in enumerate(weights):
        rows = np.repeat(np.arange(60), weight.astype(int))
        expected = evaluate(targets[rows], scores[rows], 0.6)
        assert f1["f1_micro"][r] == pytest.approx(expected["f1_micro"])
        assert f1["f1_macro"][r] == pytest.approx(expected["f1_macro"])
        np.testing.assert_allclose(precision[r], average_precision_per_label(targets[rows], scores[rows]), rtol=1e-5)


def test_intervals():
    assert interval(np.arange(1001)) == pytest.approx((25.0, 975.0))
    found = paired_difference(np.arange(100) + 2.0, np.arange(100))
    assert found == {"difference": 2.0, "low": 2.0, "high": 2.0}
    with pytest.raises(UsageError, match="same test set"):
        paired_difference(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: evaluate(TARGETS, SCORES[:3]), r"\(4, 2\), scores \(3, 2\)"),
        (lambda: evaluate(TARGETS * 2, SCORES), "other than 0 and 1"),
        (lambda: evaluate(TARGETS, np.where(SCORES == 0.8, np.nan, SCORES)), "row 2, label 1"),
        (lambda: evaluate(TARGETS, SCORES, [0.5] * 3), "thresholds"),
        (lambda: evaluate(TARGETS, SCORES, label_counts=[1]), "label_counts"),
        (lambda: evaluate(TARGETS[:0], SCORES[:0]), "at least one document"),
        (lambda: tune_thresholds(TARGETS, SCORES, "best"), "choose one of: common, per_label, proportional"),
        (lambda: tune_thresholds(TARGETS, SCORES, metric="auc"), "f1_macro, f1_micro"),
        (lambda: tune_thresholds(TARGETS, SCORES, "proportional"), "label_rates"),
        (lambda: tune_thresholds(TARGETS, SCORES * 9, "per_label"), "probabilities"),
        (lambda: paper_metrics(TARGETS, SCORES, average="weighted"), "macro, micro"),
    ],
)
def test_errors_say_what_and_what_to_do(call, words):
    with pytest.raises(UsageError, match=words):
        call()
