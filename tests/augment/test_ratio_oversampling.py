import numpy as np
import pytest

from afl_helpers.augment import RatioOversampling
from afl_helpers.augment.ratio_oversampling import proportional_shares
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import UsageError

# Labels alone in their documents; counts 60, 30, 4 and 2: IRLbl 1, 2, 15 and 30, mean 12.
Y = np.repeat(np.eye(4, dtype=np.uint8), (60, 30, 4, 2), axis=0)


def added(step):
    _, y = step.fit_resample(np.arange(len(Y)), Y, 0)
    assert np.array_equal(step.sample_indices_[: len(Y)], np.arange(len(Y)))
    return (y.sum(0) - Y.sum(0)).tolist()


def test_copies_are_shared_in_proportion_to_the_imbalance_ratio():
    assert minority_labels(Y.sum(0)).tolist() == [False, False, True, True]
    assert added(RatioOversampling(rate=24 / 96)) == [0, 0, 8, 16]  # 24 copies as 15 to 30
    assert added(RatioOversampling(rate=25 / 96)) == [0, 0, 8, 17]  # 8.33 and 16.67


def test_a_label_gets_at_most_so_many_copies_per_document():
    assert added(RatioOversampling(rate=0.25, max_copies=3)) == [0, 0, 8, 6]


def test_copies_are_spread_evenly_over_documents():
    step = RatioOversampling(rate=25 / 96)
    step.fit_resample(np.arange(len(Y)), Y, 0)
    assert np.bincount(step.sample_indices_)[90:].tolist() in ([3, 3, 3, 3, 9, 10], [3, 3, 3, 3, 10, 9])


def test_shares_are_whole_and_add_up():
    for n in range(30):
        shares = proportional_shares(np.array([1.0, 3.0, 7.5]), n)
        assert shares.sum() == n and (abs(shares - n * np.array([1, 3, 7.5]) / 11.5) < 1).all()


def test_wrong_parameters():
    with pytest.raises(UsageError, match="max_copies is 0.5; pass an integer of at least 1"):
        RatioOversampling(max_copies=0.5)
