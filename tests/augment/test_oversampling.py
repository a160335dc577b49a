import numpy as np
import pytest

from afl_helpers.augment.oversampling import RESAMPLING, resample
from afl_helpers.data import load_corpus
from afl_helpers.data.imbalance import imbalance_ratios
from afl_helpers.errors import UsageError

# Sets: {0} 6 times, {0, 1} 3 times, {2} once.
LABELS = np.array([[1, 0, 0]] * 6 + [[1, 1, 0]] * 3 + [[0, 0, 1]])


def test_label_sets_move_towards_their_mean_size():
    # The mean size is 10/3: copies go to {0, 1} (at most 1) and {2} (at most 3); documents leave {0} (at most 2).
    added = resample(LABELS, "lp_ros", 0.9, seed=0)
    assert np.bincount(added, minlength=10)[:6].tolist() == [1] * 6
    assert np.bincount(added, minlength=10)[6:9].sum() == 4 and (added == 9).sum() == 4
    kept = resample(LABELS, "lp_rus", 0.9, seed=0)
    assert len(kept) == 8 and set(range(6, 10)) <= set(kept.tolist())


def test_rare_labels_get_copies_until_they_are_no_longer_rare():
    # IRLbl 1, 3 and 9, mean 13/3: only label 2 is rare; at three documents its ratio is 3, at 2 it is 4.5.
    positions = resample(LABELS, "ml_ros", 0.9, seed=0)
    assert positions.tolist() == [*range(9), 9, 9, 9]
    assert len(resample(LABELS, "ml_ros", 0.1, seed=0)) == 11


def test_only_documents_without_a_rare_label_leave():
    kept = resample(LABELS, "ml_rus", 0.5, seed=0)
    assert len(kept) == 5 and 9 in kept


@pytest.mark.parametrize("method", RESAMPLING)
def test_on_real_genre_counts(method):
    labels = load_corpus("toy").labels
    positions = resample(labels, method, 0.25, seed=1)
    assert np.array_equal(positions, resample(labels, method, 0.25, seed=1)) and np.all(np.diff(positions) >= 0)
    n, more = len(labels), round(0.25 * len(labels))
    before, after = imbalance_ratios(labels.sum(0)), imbalance_ratios(labels[positions].sum(0))
    if method == "none":
        assert positions.tolist() == list(range(n))
    elif method.endswith("ros"):
        assert n < len(positions) <= n + more and set(positions.tolist()) == set(range(n))
        assert after.mean() < before.mean()
    else:
        assert n - more <= len(positions) < n and len(set(positions.tolist())) == len(positions)


def test_wrong_names_and_rates():
    with pytest.raises(UsageError, match="did you mean 'ml_ros'"):
        resample(LABELS, "mlros")
    with pytest.raises(UsageError, match="rate is 1"):
        resample(LABELS, "ml_ros", 1)
