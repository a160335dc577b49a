import numpy as np
import pytest

from afl_helpers.augment import OverUnderAligned
from afl_helpers.data.imbalance import imbalance_ratios
from afl_helpers.errors import UsageError

# Labels alone in their documents; counts 10, 4 and 1, the median is 4.
ALONE = np.repeat(np.eye(3, dtype=np.uint8), (10, 4, 1), axis=0)


def counts(step, y=ALONE, rng=0):
    return step.fit_resample(np.arange(len(y)), y, rng)[1].sum(0).tolist()


def test_labels_move_to_the_target_from_both_sides():
    assert counts(OverUnderAligned(rate=1)) == [4, 4, 4]
    assert counts(OverUnderAligned(rate=1, target=2)) == [8, 8, 6]  # five copies of one document at most
    assert counts(OverUnderAligned(rate=2 / 15)) == [8, 4, 3]
    assert counts(OverUnderAligned(rate=1, max_copies=1)) == [4, 4, 2]


def test_documents_with_the_fewest_frequent_labels_are_repeated_first():
    # Counts 5, 2, 2: the target is 2 * 1.5 = 3. Label 1 is in documents 5 (alone) and 0 (with label 0); so is label 2.
    y = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    step = OverUnderAligned(rate=1, target=1.5)
    assert counts(step, y) == [3, 3, 3]
    assert step.sample_indices_[-2:].tolist() == [5, 6]  # the copies
    assert {0, 1, 5, 6} <= set(step.sample_indices_.tolist())  # documents 2, 3 and 4 alone may leave


@pytest.mark.parametrize("seed", range(5))
def test_every_label_keeps_the_smaller_of_its_count_and_the_target(seed):
    rng = np.random.default_rng(seed)
    y = (rng.random((300, 8)) < [0.6, 0.4, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01]).astype(np.uint8)
    before = y.sum(0)
    target = np.median(before[before > 0])
    step = OverUnderAligned(rate=0.3)
    _, new = step.fit_resample(np.arange(300), y, seed)
    after, used = new.sum(0), np.bincount(step.sample_indices_, minlength=300)
    assert (after >= np.minimum(before, target)).all()
    assert 0 < (used == 0).sum() <= 90 and 0 < np.maximum(used - 1, 0).sum() <= 90 and used.max() <= 6
    assert used[~y.any(axis=1)].tolist() == [1] * int((~y.any(axis=1)).sum())
    assert imbalance_ratios(after).max() < imbalance_ratios(before).max()


def test_wrong_parameters():
    with pytest.raises(UsageError, match="target is -1; pass a number of at least 0"):
        OverUnderAligned(target=-1)
