"""Every metric equals scikit-learn's and torchmetrics', on ordinary and degenerate inputs."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm
from torchmetrics.functional.classification import binary_calibration_error

from afl_helpers.evaluation import (
    average_precision_per_label,
    brier_scores,
    evaluate,
    expected_calibration_errors,
    ranking_metrics,
    roc_auc_per_label,
)

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.filterwarnings("ignore::UserWarning")]
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
AVERAGES = ("micro", "macro", "weighted", "samples")


@st.composite
def problems(draw, n_documents=(1, 25), n_labels=(1, 6)):
    """Targets from none to all positive; scores with no ties, many ties, or constant scores."""
    shape = draw(st.integers(*n_documents)), draw(st.integers(*n_labels))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    targets = rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.0]))
    if draw(st.booleans()):
        targets[:, 0] = draw(st.booleans())
    kind = draw(st.sampled_from(["all different", "ties", "constant"]))
    scores = np.round(rng.random(shape), {"all different": 9, "ties": 1, "constant": 0}[kind])
    if kind == "constant":
        scores[:] = draw(st.sampled_from([0.0, 0.5, 1.0]))
    return targets.astype(np.uint8), scores


def defined(values):
    """Return the mean of the values that are not NaN, as the package averages over labels."""
    values = [value for value in values if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan


def columns(function, targets, values, needs_negative):
    ok = [t.sum() > 0 and (t.sum() < len(t) or not needs_negative) for t in targets.T]
    return [function(t, v) if good else math.nan for good, t, v in zip(ok, targets.T, values.T)]


@many
@given(problems(), st.sampled_from([0.0, 1.0, math.nan]))
def test_decisions_equal_scikit_learn_at_each_zero_division(problem, zero_division):
    targets, scores = problem
    result, decisions = evaluate(targets, scores, zero_division=zero_division), scores >= 0.5
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        if targets.shape[1] == 1:  # scikit-learn reads one column as a binary problem
            padded = [np.hstack([part, part]) for part in (targets, decisions)]
        else:
            padded = [targets, decisions]
        for average in AVERAGES:
            expected = function(*padded, average=average, zero_division=zero_division)
            assert result[f"{name}_{average}"] == pytest.approx(float(expected), nan_ok=True), (name, average)
    assert result["subset_accuracy"] == pytest.approx((targets == decisions).all(1).mean())
    assert result["hamming_accuracy"] == pytest.approx(1 - sk.hamming_loss(targets.ravel(), decisions.ravel()))


@many
@given(problems())
def test_scores_equal_scikit_learn(problem):
    targets, scores = problem
    result = evaluate(targets, scores)
    auc = columns(sk.roc_auc_score, targets, scores, needs_negative=True)
    precision = columns(sk.average_precision_score, targets, scores, needs_negative=False)
    np.testing.assert_allclose(roc_auc_per_label(targets, scores), auc, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(average_precision_per_label(targets, scores), precision, rtol=1e-9, atol=1e-12)
    flat = targets.reshape(-1, 1), scores.reshape(-1, 1)
    decided = (scores >= 0.5).astype(float)
    of_decisions = columns(sk.roc_auc_score, targets, decided, needs_negative=True)
    expected = {
        "roc_auc_macro": defined(auc),
        "roc_auc_micro": columns(sk.roc_auc_score, *flat, needs_negative=True)[0],
        "average_precision_macro": defined(precision),
        "average_precision_micro": columns(sk.average_precision_score, *flat, needs_negative=False)[0],
        "roc_auc_micro_of_decisions": columns(sk.roc_auc_score, flat[0], decided.reshape(-1, 1), True)[0],
        "roc_auc_macro_of_decisions": defined(of_decisions),
        "roc_auc_samples_of_decisions": defined(columns(sk.roc_auc_score, targets.T, decided.T, True)),
    }
    assert {name: result[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    support = targets.sum(0) * ~np.isnan(of_decisions)
    if support.any():
        weighted = np.average(np.nan_to_num(of_decisions), weights=support)
        assert result["roc_auc_weighted_of_decisions"] == pytest.approx(weighted)
    neither = ~targets.any(0) & ~decided.any(0)
    counted = {
        "n_labels_without_positives": (~targets.any(0)).sum(),
        "n_labels_never_predicted": (~decided.any(0)).sum(),
        "n_labels_without_f1": neither.sum(),
    }
    assert {name: result[name] for name in counted} == counted


@many
@given(problems(n_labels=(2, 7)))
def test_rankings_equal_scikit_learn_and_torchmetrics(problem):
    targets, scores = problem
    result = ranking_metrics(targets, scores, ks=(1, 2))
    assert result["coverage"] == pytest.approx(sk.coverage_error(targets, scores))
    assert result["label_ranking_average_precision"] == pytest.approx(
        sk.label_ranking_average_precision_score(targets, scores)
    )
    logits, hard = torch.tensor(scores), torch.tensor(targets).long()
    assert result["coverage"] == pytest.approx(float(tm.multilabel_coverage_error(logits, hard, targets.shape[1])))
    for k in (1, 2):
        chosen = [sorted(range(len(row)), key=lambda c: (-row[c], c))[:k] for row in scores]
        expected = np.mean([targets[i, c] for i, labels in enumerate(chosen) for c in labels])
        assert result[f"precision_at_{k}"] == pytest.approx(expected)


@many
@given(problems(n_documents=(2, 25), n_labels=(2, 6)))
def test_scores_equal_torchmetrics(problem):
    targets, scores = problem
    logits, hard, n_labels = torch.tensor(scores), torch.tensor(targets).long(), targets.shape[1]
    result = evaluate(targets, scores)
    auc = tm.multilabel_auroc(logits, hard, n_labels, average=None).numpy()
    both = (targets.sum(0) > 0) & (targets.sum(0) < len(targets))
    np.testing.assert_allclose(roc_auc_per_label(targets, scores)[both], auc[both], atol=1e-6)
    precision = tm.multilabel_average_precision(logits, hard, n_labels, average=None).numpy()
    some = targets.any(0)
    np.testing.assert_allclose(average_precision_per_label(targets, scores)[some], precision[some], atol=1e-6)
    for average in ("micro", "macro", "weighted"):
        above = tm.multilabel_f1_score((logits >= 0.5).long(), hard, n_labels, average=average)
        if average != "macro":  # torchmetrics leaves out labels that are neither present nor predicted
            assert result[f"f1_{average}"] == pytest.approx(float(above), abs=1e-6)
    assert result["subset_accuracy"] == pytest.approx(
        float(tm.multilabel_exact_match((logits >= 0.5).long(), hard, n_labels)), abs=1e-6
    )


@many
@given(problems(), st.integers(1, 20))
def test_calibration_equals_torchmetrics_and_scikit_learn(problem, n_bins):
    targets, scores = problem
    scores = scores * 0.999  # torchmetrics puts a score of 1 into a bin of its own
    overall, per_label = expected_calibration_errors(targets, scores, n_bins)
    # A score on an edge falls to either side in float32: compare where none lies near one.
    near = np.abs(scores * n_bins - np.rint(scores * n_bins)) < 1e-4
    if not (near & (scores > 0)).any():
        pair = torch.tensor(scores), torch.tensor(targets).long()
        expected = binary_calibration_error(pair[0].ravel(), pair[1].ravel(), n_bins, norm="l1")
        assert overall == pytest.approx(float(expected), abs=1e-5)
        for c in range(targets.shape[1]):
            expected = binary_calibration_error(pair[0][:, c], pair[1][:, c], n_bins, norm="l1")
            assert per_label[c] == pytest.approx(float(expected), abs=1e-5)
    brier = [np.mean((t - s) ** 2) for t, s in zip(targets.T.astype(float), scores.T)]
    both = [c for c in range(targets.shape[1]) if 0 < targets[:, c].sum() < len(targets)]
    for c in both:
        assert brier_scores(targets, scores)[c] == pytest.approx(sk.brier_score_loss(targets[:, c], scores[:, c]))
    np.testing.assert_allclose(brier_scores(targets, scores), brier)


def test_the_size_of_blocks_does_not_matter(monkeypatch):
    from afl_helpers.evaluation import reductions

    rng = np.random.default_rng(0)
    targets, scores = rng.random((50, 13)) < 0.2, np.round(rng.random((50, 13)), 1)
    whole = evaluate(targets, scores, label_counts=np.arange(13))
    monkeypatch.setattr(reductions, "BLOCK", 120)
    assert evaluate(targets, scores, label_counts=np.arange(13)) == pytest.approx(whole)
