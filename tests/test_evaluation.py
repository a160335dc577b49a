"""Metrics against numbers worked out by hand; thresholds against exhaustive search; errors."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import metrics as sk

from afl_helpers.errors import MissingExtraError, UsageError
from afl_helpers.evaluation import (
    THRESHOLD_RULES,
    BlockEvaluation,
    ThresholdRule,
    TopK,
    average_precision_per_label,
    binarize,
    bootstrap_average_precision,
    bootstrap_decisions,
    bootstrap_weights,
    brier_scores,
    calibration_bins,
    evaluate,
    evaluate_tuned,
    expected_calibration_errors,
    fit_thresholds,
    frequency_curve,
    frequency_groups,
    holm,
    interval,
    label_table,
    paired_difference,
    paper_metrics,
    ranking_metrics,
    seed_interval,
    tune_thresholds,
    tune_top_k,
)

# Four documents, two labels; decisions at 0.5: rows (1,0), (0,0), (1,1), (1,0).
TARGETS = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.uint8)
SCORES = np.array([[0.9, 0.1], [0.4, 0.2], [0.6, 0.8], [0.7, 0.3]])


def test_by_hand():
    result = evaluate(TARGETS, SCORES)
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
        # per document: (recall + specificity) / 2
        "roc_auc_samples_of_decisions": (1 + 1 / 2 + (1 + 0) / 2 + 1) / 4,
        "n_labels_without_positives": 0,
        "n_labels_never_predicted": 0,
    }
    assert {name: result[name] for name in expected} == pytest.approx(expected)


@st.composite
def problems(draw):
    n, n_labels = draw(st.integers(2, 25)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    targets = rng.random((n, n_labels)) < draw(st.sampled_from([0.05, 0.3, 0.7]))
    scores = np.round(rng.random((n, n_labels)), draw(st.sampled_from([1, 6])))  # one digit gives many ties
    return targets.astype(np.uint8), scores


def test_nothing_positive_is_zero_or_undefined_never_an_error():
    result = evaluate(np.zeros((3, 2)), np.zeros((3, 2)))
    assert result["f1_micro"] == result["precision_macro"] == 0.0
    assert math.isnan(result["roc_auc_macro"]) and math.isnan(result["average_precision_macro"])
    assert result["n_labels_without_positives"] == result["n_labels_never_predicted"] == 2


def test_sparse_targets_and_thresholds_per_label():
    per_label = evaluate(sparse.csr_array(TARGETS), SCORES, thresholds=[0.35, 0.25])
    shifted = evaluate(TARGETS, SCORES - [0.35, 0.25], thresholds=0.0)
    assert per_label["f1_macro"] == shifted["f1_macro"] == pytest.approx((6 / 7 + 2 / 3) / 2)


def test_lists_arrays_frames_tensors_and_sparse_arrays_give_the_same_metrics():
    expected = evaluate(TARGETS, SCORES, label_counts=[3, 1])
    tensors = torch.tensor(TARGETS), torch.tensor(SCORES, requires_grad=True)
    for targets, scores in (
        tensors,
        (TARGETS.tolist(), SCORES.tolist()),
        (pd.DataFrame(TARGETS), sparse.csr_array(SCORES)),
    ):
        assert evaluate(targets, scores, label_counts=torch.tensor([3, 1])) == pytest.approx(expected, nan_ok=True)


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
    result = evaluate(targets, scores, label_counts=counts)
    tail = evaluate(targets[:, 6:], scores[:, 6:])
    of_labels = {name: value for name, value in tail.items() if f"{name}_tail" in result}
    assert len(of_labels) == 26 and {k: result[f"{k}_tail"] for k in of_labels} == pytest.approx(of_labels)


def test_the_eight_metrics_of_the_paper():
    result = paper_metrics(TARGETS, SCORES, average="macro")
    assert len(result) == 8 and result["f1"] == pytest.approx(5 / 6) and result["recall_micro"] == 3 / 4
    assert result["roc_auc_of_decisions"] == pytest.approx(2 / 3) and result["roc_auc_of_scores"] == pytest.approx(
        5 / 6
    )


def test_label_table_by_hand():
    table = label_table(TARGETS, SCORES, label_names=["a", "b"], label_counts=[30, 4])
    assert table.loc[0, ["label", "training_count", "support", "predicted"]].tolist() == ["a", 30, 3, 3]
    assert table["f1"].tolist() == pytest.approx([2 / 3, 1.0])


@settings(max_examples=40, deadline=None)
@given(problems(), st.sampled_from(["f1_micro", "f1_macro"]))
def test_common_threshold_equals_exhaustive_search(problem, metric):
    targets, scores = problem
    if not targets.any():
        return
    threshold = tune_thresholds(targets, scores, "common", metric)
    reached = evaluate(targets, scores, threshold)[metric]
    assert reached == pytest.approx(max(evaluate(targets, scores, t)[metric] for t in np.unique(scores)))


def test_per_label_thresholds_shrink_towards_the_common_threshold():
    rng = np.random.default_rng(1)
    targets = rng.random((300, 3)) < [0.5, 0.2, 0.01]
    scores = np.clip(rng.random((300, 3)) * 0.5 * [1, 0.5, 0.1] + targets * 0.2, 0, 1)
    common = tune_thresholds(targets, scores, "common")
    free = tune_thresholds(targets, scores, "per_label", shrinkage=0)
    shrunk = tune_thresholds(targets, scores, "per_label", shrinkage=10)
    best = [max(sk.f1_score(targets[:, c], scores[:, c] >= t) for t in scores[:, c]) for c in range(3)]
    assert sk.f1_score(targets, scores >= free, average=None) == pytest.approx(best)
    assert (np.abs(shrunk - common) <= np.abs(free - common) + 1e-12).all()
    far = np.abs(shrunk - common)[[0, 2]] / np.abs(free - common)[[0, 2]]
    assert far[1] < far[0]  # the label with three positives moves least
    targets[:, 2] = False
    assert tune_thresholds(targets, scores, "per_label")[2] == tune_thresholds(targets, scores, "common")


def test_proportional_cut_predicts_each_label_at_its_training_rate():
    rng = np.random.default_rng(2)
    scores = rng.random((200, 4))
    rates = [0.5, 0.1, 0.005, 0.0]
    thresholds = tune_thresholds(np.zeros((200, 4)), scores, "proportional", label_rates=rates)
    assert (scores >= thresholds).sum(0).tolist() == [100, 20, 1, 0]


def test_bootstrap_replicates_equal_the_metrics_of_the_drawn_documents():
    rng = np.random.default_rng(3)
    targets, scores = (rng.random((60, 5)) < 0.3), np.round(rng.random((60, 5)), 1)
    weights = bootstrap_weights(60, n_replicates=4)
    assert (weights.sum(1) == 60).all()
    np.testing.assert_array_equal(weights, bootstrap_weights(60, n_replicates=4))
    counted = bootstrap_decisions(targets, scores >= 0.6, weights)
    precision = bootstrap_average_precision(targets, scores, weights)
    for r, weight in enumerate(weights):
        rows = np.repeat(np.arange(60), weight.astype(int))
        expected = evaluate(targets[rows], scores[rows], 0.6)
        assert {name: values[r] for name, values in counted.items()} == pytest.approx(
            {
                f"{name}_{kind}": expected[f"{name}_{kind}"]
                for name in ("precision", "recall", "f1")
                for kind in ("micro", "macro")
            }
        )
        np.testing.assert_allclose(precision[r], average_precision_per_label(targets[rows], scores[rows]), rtol=1e-5)


def test_intervals():
    assert interval(np.arange(1001)) == pytest.approx((25.0, 975.0))
    assert np.isnan(interval([math.nan])).all()
    result = paired_difference(np.arange(100) + 2.0, np.arange(100))
    assert result == {"difference": 2.0, "low": 2.0, "high": 2.0, "p_value": pytest.approx(2 / 101)}
    with pytest.raises(UsageError, match="same test set"):
        paired_difference(np.zeros(3), np.zeros(4))


def test_bootstrap_of_average_precision_with_ties_and_a_label_without_positives():
    rng = np.random.default_rng(4)
    targets, scores = rng.random((80, 4)) < [0.02, 0.3, 0.9, 0.0], np.round(rng.random((80, 4)), 1)
    weights = bootstrap_weights(80, n_replicates=50)
    result = bootstrap_average_precision(targets, scores, weights)
    assert np.isnan(result[:, 3]).all()
    for r in (0, 7, 49):
        rows = np.repeat(np.arange(80), weights[r].astype(int))
        np.testing.assert_allclose(result[r], average_precision_per_label(targets[rows], scores[rows]), rtol=1e-5)


def test_holm_by_hand():
    # ordered .01, .02, .03, .04: times 4, 3, 2, 1 is .04, .06, .06, .04, made ascending
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0] and holm([0.03]).tolist() == [0.03]
    with pytest.raises(UsageError, match="p_values"):
        holm([1.2])


def test_p_values_without_a_difference_are_uniform_in_the_tail():
    rng = np.random.default_rng(5)
    p = [paired_difference(rng.normal(rng.normal(), 1, 400), np.zeros(400))["p_value"] for _ in range(800)]
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.075


def test_seed_interval_by_hand():
    # mean 2, standard deviation 1, t of 2 degrees of freedom 4.302653
    result = seed_interval([1.0, 2.0, 3.0])
    assert result == pytest.approx({"mean": 2.0, "low": 2 - 4.302653 / 3**0.5, "high": 2 + 4.302653 / 3**0.5})
    assert math.isnan(seed_interval([1.0])["low"])
    with pytest.raises(UsageError, match="per seed"):
        seed_interval([[1.0, 2.0]])


def test_seed_intervals_cover_at_their_level():
    rng = np.random.default_rng(6)
    result = [seed_interval(rng.normal(0.5, 0.02, 5)) for _ in range(1500)]
    assert 0.93 < np.mean([i["low"] <= 0.5 <= i["high"] for i in result]) < 0.97


def test_top_k():
    scores = np.array([[0.9, 0.8, 0.1], [0.5, 0.5, 0.5]])
    assert binarize(scores, TopK(2)).tolist() == [[True, True, False], [True, True, False]]
    assert not binarize(scores, TopK(0)).any() and binarize(scores, TopK(9)).all()
    result = evaluate([[1, 1, 0], [0, 0, 1]], scores, TopK(2))
    assert (result["precision_micro"], result["recall_micro"]) == (2 / 4, 2 / 3)
    assert "threshold" not in label_table([[1, 1, 0], [0, 0, 1]], scores, TopK(2))
    with pytest.raises(UsageError, match="k is -1"):
        TopK(-1)


@settings(max_examples=40, deadline=None)
@given(problems(), st.sampled_from(["f1_micro", "f1_macro"]))
def test_top_k_equals_exhaustive_search(problem, metric):
    targets, scores = problem
    reached = evaluate(targets, scores, tune_top_k(targets, scores, metric))[metric]
    best = max(evaluate(targets, scores, TopK(k))[metric] for k in range(1, targets.shape[1] + 1))
    assert reached == pytest.approx(best)


def tuning_problem():
    rng = np.random.default_rng(7)
    targets = rng.random((120, 4)) < [0.5, 0.2, 0.1, 0.05]
    return targets, np.clip(0.6 * rng.random((120, 4)) + 0.2 * targets, 0, 1)


def test_evaluate_tuned_tunes_on_validation_alone():
    targets, scores = tuning_problem()
    validation, test = (targets[:60], scores[:60]), (targets[60:], scores[60:])
    arguments = {"label_counts": [50, 20, 10, 5], "n_documents": 100}
    result = evaluate_tuned(validation=validation, test=test, **arguments)
    assert list(result) == list(THRESHOLD_RULES)
    for rule, value in fit_thresholds(*validation, np.array([0.5, 0.2, 0.1, 0.05])).items():
        assert result[rule] == pytest.approx(evaluate(*test, value, [50, 20, 10, 5]), nan_ok=True)
    # The thresholds do not depend on the test documents: half of them give the same decisions.
    part = evaluate_tuned(
        validation=validation, test=(targets[60:90], scores[60:90]), rules=["tuned_common"], **arguments
    )
    assert (
        part["tuned_common"]["f1_micro"]
        == evaluate(targets[60:90], scores[60:90], tune_thresholds(*validation))["f1_micro"]
    )


def test_a_new_rule_is_one_entry(monkeypatch):
    rule = ThresholdRule(
        "tuned_mine",
        title="one threshold, tuned for macro F1",
        short_title="tuned for macro F1",
        tuned_for="macro F1",
        choose=lambda data: tune_thresholds(data.targets, data.scores, "common", "f1_macro"),
    )
    half = ThresholdRule("half_gamma", "", "", None, choose=lambda data: np.asarray(data.gamma) / 2)
    monkeypatch.setitem(THRESHOLD_RULES, rule.name, rule)
    monkeypatch.setitem(THRESHOLD_RULES, half.name, half)
    targets, scores = tuning_problem()
    result = fit_thresholds(targets, scores, [0.1] * 4, gamma=[1, 1, 2, 2])
    assert list(result) == list(THRESHOLD_RULES) and result["half_gamma"].tolist() == [0.5, 0.5, 1, 1]
    assert result["tuned_mine"] == tune_thresholds(targets, scores, "mine") == rule.fit(targets, scores)
    by_rule = evaluate_tuned(
        validation=(targets[:60], scores[:60]),
        test=(targets[60:], scores[60:]),
        label_counts=[5] * 4,
        n_documents=60,
        rules=["tuned_mine"],
    )
    assert list(by_rule) == ["tuned_mine"]


def test_every_rule_has_its_words():
    for name, rule in THRESHOLD_RULES.items():
        assert rule.name == name and rule.title and rule.short_title
        assert rule.tuned == name.startswith("tuned_")
    with pytest.raises(UsageError, match="did you mean 'tuned_common'"):
        fit_thresholds(TARGETS, SCORES, None, ["tuned_comon"])


def test_the_core_needs_numpy_and_scipy_alone():
    """Without pandas, scikit-learn, tqdm and torch, only functions that return a data frame fail."""
    program = """
import sys
for absent in ("pandas", "sklearn", "tqdm", "torch"):
    sys.modules[absent] = None
from afl_helpers.errors import MissingExtraError
from afl_helpers import evaluation as e
targets, scores = [[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.3]]
assert e.evaluate(targets, scores, label_counts=[2, 1])["recall_micro"] == 0.5
blocks = e.BlockEvaluation(2)
blocks.add(targets, scores)
blocks.metrics()
e.bootstrap_average_precision(targets, scores, e.bootstrap_weights(2, 3))
try:
    e.label_table(targets, scores)
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == 'label_table needs pandas; run: pip install "afl-helpers[data]"\n', done.stderr


def test_a_missing_pandas_is_an_error_that_names_the_extra(monkeypatch):
    blocks = BlockEvaluation(2)
    blocks.add(TARGETS, SCORES)
    monkeypatch.setitem(sys.modules, "pandas", None)
    for call, name in (
        (lambda: label_table(TARGETS, SCORES), "label_table"),
        (lambda: calibration_bins(TARGETS, SCORES), "calibration_bins"),
        (blocks.label_table, "label_table"),
    ):
        with pytest.raises(MissingExtraError, match=rf'^{name} needs pandas; run: pip install "afl-helpers\[data\]"$'):
            call()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"test": "validation"}, "the same scores; tune on documents that are not test documents"),
        ({"label_counts": [1, 2]}, r"shape \(2,\), scores have 4 labels"),
        ({"n_documents": 10}, "50 at label 0, more than n_documents = 10"),
    ],
)
def test_evaluate_tuned_refuses_misleading_input(changes, words):
    targets, scores = tuning_problem()
    given = {
        "validation": (targets[:60], scores[:60]),
        "test": (targets[60:], scores[60:]),
        "label_counts": [50, 20, 10, 5],
        "n_documents": 100,
    } | changes
    if given["test"] == "validation":
        given["test"] = (targets[:60].copy(), scores[:60].copy())
    with pytest.raises(UsageError, match=words):
        evaluate_tuned(**given)


def test_calibration_by_hand():
    # two bins: [0, .5) has scores .1, .3 and one positive; [.5, 1] has .5, 1 and two
    targets, scores = [[0], [1], [1], [1]], [[0.1], [0.3], [0.5], [1.0]]
    overall, per_label = expected_calibration_errors(targets, scores, n_bins=2)
    assert overall == per_label[0] == pytest.approx(0.5 * abs(0.5 - 0.2) + 0.5 * abs(1 - 0.75))
    bins = calibration_bins(targets, scores, n_bins=2)
    assert bins.to_dict("list") == {"n": [2, 2], "mean_score": pytest.approx([0.2, 0.75]), "observed": [0.5, 1.0]}
    assert brier_scores(targets, scores).tolist() == pytest.approx([(0.01 + 0.49 + 0.25 + 0) / 4])


def test_calibrated_scores_have_almost_no_calibration_error():
    rng = np.random.default_rng(8)
    scores = rng.random((40_000, 2))
    targets = rng.random(scores.shape) < scores
    assert (
        expected_calibration_errors(targets, scores)[0]
        < 0.01
        < 0.1
        < expected_calibration_errors(targets, scores**3)[0]
    )
    logits = evaluate(targets[:50], scores[:50] * 8 - 4)
    assert math.isnan(logits["brier"]) and math.isnan(logits["expected_calibration_error"])


def test_frequency_curve_by_hand():
    table = label_table(
        [[1, 0, 1, 0], [1, 1, 0, 0]], [[0.9, 0.1, 0.9, 0.1], [0.2, 0.6, 0.9, 0.1]], label_counts=[500, 12, 20, 0]
    )
    curve = frequency_curve(table, edges=(1, 10, 100))
    assert curve["count_from"].tolist() == [0, 10, 100] and curve["count_below"].tolist() == [1, 100, math.inf]
    assert curve["n_labels"].tolist() == [1, 2, 1] and curve["n_present"].tolist() == [0, 2, 1]
    assert curve["n_never_predicted"].tolist() == [1, 0, 0]
    assert curve["recall"].tolist()[1:] == [1.0, 0.5] and curve["f1"][1] == pytest.approx((1 + 2 / 3) / 2)
    assert math.isnan(curve["recall"][0])
    with pytest.raises(UsageError, match="training_count"):
        frequency_curve(table.drop(columns="training_count"))
    with pytest.raises(UsageError, match="ascend"):
        frequency_curve(table, edges=(10, 10))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: evaluate(TARGETS, SCORES, zero_division=2), "zero_division is 2"),
        (lambda: evaluate(TARGETS, SCORES, label_counts=[3, -1]), "label_counts hold -1"),
        (lambda: frequency_groups([1, 2], (5, 3, 1)), "cutoffs"),
        (lambda: TopK(True), "k is True"),
        (lambda: evaluate(TARGETS, np.where(SCORES == 0.8, np.nan, SCORES)), "nan at row 2, label 1"),
        (lambda: evaluate(np.where(TARGETS, np.nan, 0), SCORES), "nan at row 0, label 0"),
        (lambda: evaluate(TARGETS, SCORES, [0.5, math.nan]), "thresholds hold NaN"),
        (lambda: expected_calibration_errors(TARGETS, SCORES * 2), "probabilities"),
        (lambda: expected_calibration_errors(TARGETS, SCORES, 0), "n_bins"),
        (lambda: ranking_metrics(TARGETS, SCORES, (0,)), "ks are"),
        (lambda: frequency_groups([1, 2], "third"), "cutoffs"),
        (lambda: label_table(TARGETS, SCORES, label_names=["a"]), "label_names has 1"),
        (lambda: bootstrap_decisions(TARGETS, TARGETS[:2], np.ones((3, 4))), "decisions"),
        (lambda: evaluate(TARGETS, SCORES[:3]), r"\(4, 2\), scores \(3, 2\)"),
        (lambda: evaluate(TARGETS * 2, SCORES), "other than 0 and 1"),
        (lambda: evaluate(TARGETS, np.where(SCORES == 0.8, np.nan, SCORES)), "row 2, label 1"),
        (lambda: evaluate(TARGETS, SCORES, [0.5] * 3), "thresholds"),
        (lambda: evaluate(TARGETS, SCORES, label_counts=[1]), "label_counts"),
        (lambda: evaluate(TARGETS[:0], SCORES[:0]), "at least one document"),
        (
            lambda: tune_thresholds(TARGETS, SCORES, "best"),
            "choose one of: common, common_macro, .*, proportional, smoothed, top_k",
        ),
        (lambda: tune_thresholds(TARGETS, SCORES, metric="auc"), "f1_macro, f1_micro"),
        (lambda: tune_thresholds(TARGETS, SCORES, "proportional"), "label_rates"),
        (lambda: tune_thresholds(TARGETS, SCORES * 9, "per_label"), "probabilities"),
        (lambda: paper_metrics(TARGETS, SCORES, average="weighted"), "macro, micro"),
    ],
)
def test_errors_name_the_fault_and_the_remedy(call, words):
    with pytest.raises(UsageError, match=words):
        call()


@pytest.mark.parametrize("n_documents", [2, 4])
def test_weights_for_another_number_of_documents_are_refused(n_documents):
    weights = bootstrap_weights(n_documents, 10)
    with pytest.raises(UsageError, match=rf"weights have shape \(10, {n_documents}\) for 3 documents"):
        bootstrap_average_precision(np.eye(3, dtype=int), np.eye(3), weights)
