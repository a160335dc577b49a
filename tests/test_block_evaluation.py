"""Evaluation by blocks of documents equals evaluation of all documents at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from afl_helpers.errors import UsageError
from afl_helpers.evaluation import BlockEvaluation, evaluate, label_table
from afl_helpers.evaluation.blocks import N_CELLS, cells

RANKED = {"roc_auc_micro", "roc_auc_macro", "average_precision_micro", "average_precision_macro"}


def problem(n_documents: int, n_labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return long-tailed targets, some labels without positives, and probabilities that depend on them."""
    rng = np.random.default_rng(seed)
    rates = 0.5 / np.arange(1, n_labels + 1) ** 1.5
    targets = rng.random((n_documents, n_labels)) < rates
    logits = rng.standard_normal(targets.shape) * 2 + 2 * targets + np.log(rates / (1 - rates))
    return targets, 1 / (1 + np.exp(-logits))


def in_blocks(targets, scores, size: int, **options) -> BlockEvaluation:
    evaluation = BlockEvaluation(targets.shape[1], **options)
    for start in range(0, targets.shape[0], size):
        evaluation.add(targets[start : start + size], scores[start : start + size])
    return evaluation


@pytest.mark.parametrize("zero_division", [0.0, 1.0, float("nan")])
@pytest.mark.parametrize("size", [1, 7, 300])
def test_every_metric_equals_that_of_all_documents_at_once(size, zero_division):
    targets, scores = problem(300, 40)
    thresholds = np.linspace(0.05, 0.5, 40)
    result = in_blocks(targets, scores, size, thresholds=thresholds, zero_division=zero_division).metrics()
    expected = evaluate(targets, scores, thresholds, zero_division=zero_division)
    assert set(result) == set(expected)
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, abs=5e-3 if name in RANKED else 1e-12, nan_ok=True), name


def test_scores_in_different_cells_are_ranked_exactly():
    targets, scores = problem(400, 30)
    scores = np.round(scores * 50) / 50
    result, expected = in_blocks(targets, scores, 64).metrics(), evaluate(targets, scores)
    assert {name: result[name] for name in RANKED} == pytest.approx({name: expected[name] for name in RANKED})


def test_the_label_table_is_the_same():
    targets, scores = problem(300, 12)
    names = [f"label {i}" for i in range(12)]
    result = in_blocks(targets, scores, 50).label_table(names)
    expected = label_table(targets, scores, label_names=names)[list(result)]
    exact = ["label", "support", "threshold", "predicted", "precision", "recall", "f1"]
    assert result[exact].equals(expected[exact])
    assert np.allclose(
        result[["roc_auc", "average_precision"]], expected[["roc_auc", "average_precision"]], atol=5e-3, equal_nan=True
    )


def test_sparse_targets_count_like_dense_ones():
    targets, scores = problem(100, 8)
    assert in_blocks(sparse.csr_array(targets), scores, 30).metrics() == in_blocks(targets, scores, 30).metrics()


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_a_higher_score_is_never_in_a_lower_cell(values):
    result = cells(np.sort(np.array(values)))
    assert (np.diff(result) >= 0).all() and result.min() >= 0 and result.max() < N_CELLS


@pytest.mark.parametrize(
    ("low", "high"), [(1e-6, 1.01e-6), (0.01, 0.0101), (0.495, 0.5), (0.5, 0.505), (0.99, 0.9901), (1 - 1e-6, 1)]
)
def test_scores_one_percent_apart_are_in_different_cells(low, high):
    assert cells(np.array([low]))[0] < cells(np.array([high]))[0]


@pytest.mark.parametrize(
    ("targets", "scores", "words"),
    [
        ([[1, 0, 0]], [[0.5, 0.5, 0.5]], "3 labels, the evaluation has 2"),
        ([[1, 0]], [[1.5, 0.5]], "outside"),
        ([[2, 0]], [[0.5, 0.5]], "other than 0 and 1"),
        ([[1, 0]], [[float("nan"), 0.5]], "finite"),
    ],
)
def test_a_wrong_block_is_refused_and_not_counted(targets, scores, words):
    evaluation = BlockEvaluation(2)
    evaluation.add([[1, 0]], [[0.6, 0.4]])
    before = evaluation.metrics()
    with pytest.raises(UsageError, match=words):
        evaluation.add(targets, scores)
    assert evaluation.metrics() == pytest.approx(before, nan_ok=True)


def test_an_evaluation_without_documents_and_wrong_thresholds_are_refused():
    with pytest.raises(UsageError, match="add blocks"):
        BlockEvaluation(2).metrics()
    with pytest.raises(UsageError, match="thresholds have shape"):
        BlockEvaluation(2, thresholds=[0.1, 0.2, 0.3])
