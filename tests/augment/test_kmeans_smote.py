import sys

import numpy as np
import pytest

from afl_helpers.augment import KMeansSMOTE
from afl_helpers.errors import MissingExtraError, UsageError

RNG = np.random.default_rng(0)
# Two clouds far apart. Label 1 is in 10 documents of the second and in 2 of the first; label 2 is in two documents only.
X = np.concatenate([RNG.normal(size=(100, 3)), RNG.normal(size=(50, 3)) + 50])
Y = np.zeros((150, 3), dtype=np.uint8)
Y[:, 0] = 1
Y[[0, 1, *range(100, 110)], 1] = 1
Y[[3, 4], 2] = 1


def test_without_imbalanced_learn_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "imblearn", None)
    monkeypatch.setitem(sys.modules, "imblearn.over_sampling", None)
    with pytest.raises(MissingExtraError, match=r'KMeansSMOTE needs .*; run: pip install "afl-helpers\[augment\]"'):
        KMeansSMOTE().fit_resample(X, Y)


def test_documents_are_made_where_the_label_is_frequent():
    pytest.importorskip("imblearn")
    rare = Y[:, 1:].copy()
    rare[:, 1] = 1  # label 0 of these is in 12 documents, and a minority label
    step = KMeansSMOTE(n_clusters=2)
    x, y = step.fit_resample(X, rare, 0)
    assert np.array_equal(x[:150], X) and np.array_equal(y[:150], rare)
    assert len(x) == 150 + 12 and (y[150:] == [1, 0]).all() and x[150:].min() > 40  # the first cloud has 2 % of it
    assert set(step.sample_indices_[150:].tolist()) <= set(range(100, 110))
    assert step.known_[:150].all() and (step.known_[150:] == [True, False]).all() and step.skipped_ == []
    # SMOTE stays on the line between two documents of the label.
    bag = X[100:110]
    for new in x[150:]:
        gaps = [
            np.linalg.norm(new - a) + np.linalg.norm(new - b) - np.linalg.norm(a - b)
            for i, a in enumerate(bag)
            for b in bag[:i]
        ]
        assert min(gaps) < 1e-9


def test_labels_without_a_cluster_are_skipped_and_named():
    pytest.importorskip("imblearn")
    step = KMeansSMOTE(n_clusters=2)
    x, _ = step.fit_resample(X, Y, 0)
    assert step.skipped_ == [2] and len(x) == 150  # two documents have one neighbour each
    auto = KMeansSMOTE(n_clusters=2, threshold="auto")
    x, _ = auto.fit_resample(X, Y[:, :2], 0)
    assert auto.skipped_ == [1] and len(x) == 150  # 10 of 50 is less than one half


def test_equal_documents_are_skipped_and_other_errors_are_not_hidden(monkeypatch):
    over_sampling = pytest.importorskip("imblearn.over_sampling")
    x = X.copy()
    x[Y[:, 1] == 1] = 0
    step = KMeansSMOTE(n_clusters=2)
    assert len(step.fit_resample(x, Y[:, :2], 0)[0]) == 150 and step.skipped_ == [1]

    def broken(*_):
        raise ValueError("another fault")

    monkeypatch.setattr(over_sampling.KMeansSMOTE, "fit_resample", broken)
    with pytest.raises(ValueError, match="another fault"):
        KMeansSMOTE(n_clusters=2).fit_resample(X, Y[:, :2], 0)


def test_wrong_parameters():
    with pytest.raises(UsageError, match="threshold is 'half'; pass a number from 0 to 1"):
        KMeansSMOTE(threshold="half")
