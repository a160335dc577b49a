import hashlib

import numpy as np
import pytest

from afl_helpers.augment import FloorOversampling, build_augmentation
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


@pytest.mark.parametrize(
    ("method", "digest"),
    [
        ("lp_ros", "5716237202ceb615"),
        ("lp_rus", "33742324f33c32dc"),
        ("ml_ros", "1d3bb92b7ce1b2ae"),
        ("ml_rus", "5ed5f396275c31d1"),
    ],
)
def test_the_positions_are_those_of_recorded_runs(method, digest):
    # Computed before the methods had objects of their own: results that are recorded depend on these documents.
    labels, found = load_corpus("toy").labels, hashlib.sha256()
    for rate in (0.05, 0.25, 0.9):
        for seed in range(4):
            found.update(resample(labels, method, rate, seed).astype("<i8").tobytes())
    assert found.hexdigest().startswith(digest)


@pytest.mark.parametrize("method", [name for name in RESAMPLING if name != "none"])
def test_objects_take_the_same_documents(method):
    labels = load_corpus("toy").labels
    step = build_augmentation(method, rate=0.3)
    x, y = step.fit_resample(np.arange(len(labels)), labels, 2)
    positions = resample(labels, method, 0.3, seed=2)
    assert np.array_equal(step.sample_indices_, positions) and np.array_equal(x, positions)
    assert np.array_equal(y, labels[positions])


def test_a_floor_is_not_rounded_up_by_a_rounding_error():
    labels = np.zeros((105, 2), dtype=int)
    labels[:100, 0], labels[100:, 1] = 1, 1
    made = FloorOversampling(floor=0.07).fit_resample(np.arange(105), labels, 0)[1]
    assert made[:, 1].sum() == 7
