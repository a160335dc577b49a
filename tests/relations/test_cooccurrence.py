import math

import numpy as np
import pytest

from afl_helpers.relations import CooccurrenceReranking
from afl_helpers.relations.cooccurrence import cooccurrence_lift

# Counts 4, 2, 2 of 8. Label 1 always with label 0; label 2 never.
Y = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0]])


def test_the_lift_by_hand():
    # P = 1/2, 1/4, 1/4; P(1|0) = 1/2, P(2|0) = 0, P(0|1) = 1, P(2|1) = 0, P(0|2) = P(1|2) = 0.
    expected = [[0, 0.25, -0.25], [0.5, 0, -0.25], [-0.5, -0.25, 0]]
    assert np.allclose(cooccurrence_lift(Y.astype(bool), 0), expected)
    # Shrinkage 2 halves the rows of labels with 2 documents, and takes a third of the row of the one with 4.
    assert np.allclose(cooccurrence_lift(Y.astype(bool), 2), np.array(expected) * [[2 / 3], [1 / 2], [1 / 2]])


def test_the_scores_by_hand():
    model = CooccurrenceReranking(beta=2, top_k=1, shrinkage=0).fit(None, Y)
    [row] = model.scores([[0.8, 0.5, 0.1]])
    logits = [math.log(0.8 / 0.2), 2 * 0.8 * 0.25, math.log(0.1 / 0.9) - 2 * 0.8 * 0.25]
    assert row == pytest.approx([1 / (1 + math.exp(-z)) for z in logits], abs=1e-12)
    # With two labels on top, each moves the other, and both move the third.
    [row] = CooccurrenceReranking(beta=1, top_k=2, shrinkage=0).fit(None, Y).scores([[0.8, 0.5, 0.1]])
    moved = np.log(row / (1 - row)) - np.log([4, 1, 1 / 9])
    assert moved == pytest.approx([0.5 * 0.5, 0.8 * 0.25, -0.8 * 0.25 - 0.5 * 0.25], abs=1e-12)


def test_independent_labels_and_labels_without_documents_move_nothing():
    independent = np.array([[a, b, 0] for a in (0, 1) for b in (0, 1)] * 3)
    scores = np.random.default_rng(0).random((20, 3))
    assert np.allclose(CooccurrenceReranking(beta=5, shrinkage=0).fit(None, independent).scores(scores), scores)


def test_certain_scores_stay_and_order_of_equal_ones_is_fixed():
    model = CooccurrenceReranking(top_k=1).fit(None, Y)
    assert model.scores([[1.0, 0.0, 0.5]])[0, :2].tolist() == [1, 0]
    # Of equal scores the first label counts.
    assert np.allclose(model.scores([[0.5, 0.5, 0.5]])[0, 0], 0.5)


def test_the_control_gives_labels_the_cooccurrences_of_others():
    true, shuffled = (CooccurrenceReranking(shuffle_seed=seed).fit(None, Y).lift for seed in (None, 5))
    order = np.random.default_rng(5).permutation(3)
    assert np.array_equal(shuffled, true[order][:, order]) and not np.array_equal(shuffled, true)
    assert np.sort(shuffled, axis=None).tolist() == np.sort(true, axis=None).tolist() and not shuffled.diagonal().any()
