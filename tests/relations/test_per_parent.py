import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from afl_helpers.relations import Hierarchy, PerParent

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4))
TOP = np.stack([X[:, 0] > 0, X[:, 0] < 0.3], axis=1)
Y = np.concatenate(
    [TOP, TOP[:, :1] & np.stack([X[:, 1] > 0, X[:, 1] < 0.2], axis=1), TOP[:, 1:] & (X[:, 2:3] > 0)], axis=1
)
#: 0 above 2 and 3; 1 above 4 alone.
TREE = Hierarchy(tuple("abcde"), (-1, -1, 0, 0, 1), 5)
Z = (X - X.mean(0)) / X.std(0)


def head(rows, target):
    fitted = LogisticRegression(class_weight="balanced", max_iter=2000).fit(Z[rows], target[rows])
    return fitted.predict_proba(Z)[:, 1]


def test_scores_are_products_down_the_path_of_heads_trained_on_the_parents_documents():
    scores = PerParent(hierarchy=TREE).fit(X, Y).scores(X)
    everyone, of_a = np.arange(200), np.flatnonzero(Y[:, 0])
    a, b = head(everyone, Y[:, 0]), head(everyone, Y[:, 1])
    expected = np.stack(
        [a, b, a * head(of_a, Y[:, 2]), a * head(of_a, Y[:, 3]), b], axis=1
    )  # the only child has no head
    assert np.allclose(scores, expected, atol=1e-6) and (scores[:, 2:4] <= scores[:, :1]).all()


def test_without_a_hierarchy_there_is_one_balanced_head_per_label():
    scores = PerParent().fit(X, Y).scores(X)
    assert np.allclose(scores, np.stack([head(np.arange(200), Y[:, i]) for i in range(5)], axis=1), atol=1e-6)


def test_a_group_has_the_documents_of_its_labels():
    tree = Hierarchy((*"abcde", "group", "other"), (6, 6, 5, 5, 6, -1, -1), 5)
    scores = PerParent(hierarchy=tree).fit(X, Y).scores(X)
    in_group = Y[:, 2] | Y[:, 3]
    group = head(np.arange(200), in_group)
    assert scores.shape == (200, 5)
    assert np.allclose(scores[:, 2], group * head(np.flatnonzero(in_group), Y[:, 2]), atol=1e-6)


def test_documents_of_a_child_train_it_even_if_they_lack_the_parent():
    labels = Y.copy()
    labels[:, 0] = False
    labels[:5, 0] = True
    tree = Hierarchy(tuple("abcde"), (-1, -1, 0, 0, 1), 5)
    scores = PerParent(hierarchy=tree).fit(X, labels).scores(X)
    rows = np.flatnonzero(labels[:, 0] | labels[:, 2] | labels[:, 3])
    a = head(np.arange(200), labels[:, 0])
    assert np.allclose(scores[:, 2], a * head(rows, labels[:, 2]), atol=1e-6)


def test_a_label_that_none_or_all_of_its_documents_carry():
    labels = Y.copy()
    labels[:, 2], labels[:, 3] = Y[:, 0], False
    scores = PerParent(hierarchy=TREE).fit(X, labels).scores(X)
    n = Y[:, 0].sum()
    assert np.allclose(scores[:, 2] / scores[:, 0], (n + 0.5) / (n + 1)) and np.allclose(
        scores[:, 3] / scores[:, 0], 0.5 / (n + 1)
    )


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix])
def test_word_counts_are_not_standardized(kind):
    counts = np.maximum(np.round(X), 0)
    scores = PerParent().fit(kind(counts), Y).scores(kind(counts))
    fitted = LogisticRegression(class_weight="balanced", max_iter=2000).fit(counts, Y[:, 0])
    assert np.allclose(scores[:, 0], fitted.predict_proba(counts)[:, 1], atol=1e-3)


def test_on_single_paths_it_decides_as_hiclass_does():
    # LocalClassifierPerParentNode of hiclass 5.0.8 with balanced logistic regression, fitted on the first 60 documents.
    peer = "11 11 11 11 01 10 01 11 00 00 00 00 01 11 00 11 01 10 10 10".split()
    x = np.sin(np.arange(1, 321, dtype=float) ** 1.5).reshape(80, 4)
    noise = np.cos(np.arange(1, 161, dtype=float) ** 1.7).reshape(80, 2)
    top = (x[:, 0] + 0.3 * noise[:, 0] > 0.1).astype(int)
    leaf = (x[:, 1] + 0.3 * noise[:, 1] > -0.2 + 0.5 * top).astype(int)
    labels = np.concatenate([np.eye(2)[top], np.eye(4)[2 * top + leaf]], axis=1)
    tree = Hierarchy(("0", "1", "00", "01", "10", "11"), (-1, -1, 0, 0, 1, 1), 6)
    scores = PerParent(hierarchy=tree).fit(x[:60], labels[:60]).scores(x[60:])
    first = scores[:, :2].argmax(axis=1)
    second = [row[2 + 2 * t : 4 + 2 * t].argmax() for row, t in zip(scores, first)]
    assert [f"{t}{s}" for t, s in zip(first, second)] == peer
