import numpy as np
import pytest

from afl_helpers.augment import REMEDIAL, MLeNN, RemedialMLeNN, RemedialMLROS, RemedialMLSMOTE, build_augmentation
from afl_helpers.data.imbalance import minority_labels, scumble
from afl_helpers.errors import UsageError

# Counts 6, 4, 1: IRLbl 1, 1.5 and 6, mean 2.83: label 2 is rare. SCUMBLE: document 0 has all labels, 1 and 2 have the
# frequent ones: 1 - sqrt(1.5) / 1.25 = .0202. Document 0: 1 - 9 ** (1 / 3) / 2.833 = .2659. Mean: .0438.
Y = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]])
TEXTS = list("abcdefg")


def test_rare_and_frequent_labels_of_a_document_go_to_two_copies():
    assert scumble(Y).round(4).tolist() == [0.2659, 0.0202, 0.0202, 0, 0, 0, 0]
    step = REMEDIAL()
    texts, y = step.fit_resample(TEXTS, Y)
    assert texts == [*TEXTS, "a"] and step.sample_indices_.tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
    assert y[0].tolist() == [1, 1, 0] and y[7].tolist() == [0, 0, 1] and np.array_equal(y[1:7], Y[1:])


def test_a_lower_level_copies_documents_whose_labels_are_all_frequent_as_the_authors_do():
    # Half the mean is .0219, above .0202; a quarter is below it.
    assert len(REMEDIAL(level=0.5).fit_resample(TEXTS, Y)[0]) == 8
    texts, y = REMEDIAL(level=0.25).fit_resample(TEXTS, Y)
    assert texts[7:] == ["a", "b", "c"] and y[7:].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    texts, y = REMEDIAL(level=0.25, empty_copies=False).fit_resample(TEXTS, Y)
    assert texts[7:] == ["a"] and y.any(axis=1).all()


def test_documents_with_one_label_each_are_not_copied():
    y = np.array([[1, 0]] * 5 + [[0, 1]])
    assert scumble(y).tolist() == [0] * 6 and np.array_equal(REMEDIAL().fit_resample(list("abcdef"), y)[1], y)


def test_counts_of_labels_stay_and_copies_share_no_label():
    y = (np.random.default_rng(0).random((300, 6)) < [0.6, 0.4, 0.2, 0.1, 0.03, 0.02]).astype(np.uint8)
    step = REMEDIAL()
    new = step.fit_resample(np.arange(300), y)[1]
    copied, rare = step.sample_indices_[300:], minority_labels(y.sum(0))
    assert np.array_equal(new.sum(0), y.sum(0)) and len(copied) == (scumble(y) > scumble(y).mean()).sum() > 20
    assert np.array_equal(new[copied] + new[300:], y[copied]) and not (new[copied] & new[300:]).any()
    assert not new[copied][:, rare].any() and not new[300:][:, ~rare].any()
    assert scumble(new).mean() < scumble(y).mean()


@pytest.mark.parametrize(
    ("hybrid", "second"),
    [
        (RemedialMLROS(rate=0.5), build_augmentation("ml_ros", rate=0.5)),
        (RemedialMLSMOTE(rate=0.5, rule="union"), build_augmentation("mlsmote_union", rate=0.5)),
        (RemedialMLeNN(threshold=0.5), MLeNN(threshold=0.5)),
    ],
)
def test_a_hybrid_is_the_one_method_after_the_other(hybrid, second):
    rng = np.random.default_rng(1)
    y = (rng.random((200, 6)) < [0.6, 0.4, 0.2, 0.1, 0.05, 0.04]).astype(np.uint8)
    x = np.round(rng.normal(size=(200, 3)), 2)
    first = REMEDIAL()
    expected = second.fit_resample(*first.fit_resample(x, y), 7)
    found = hybrid.fit_resample(x, y, 7)
    assert all(map(np.array_equal, found, expected)) and len(found[0]) != 200
    assert np.array_equal(hybrid.sample_indices_, first.sample_indices_[second.sample_indices_])


def test_wrong_parameters():
    with pytest.raises(UsageError, match="level is -1; pass a number of at least 0"):
        REMEDIAL(level=-1)
    with pytest.raises(UsageError, match="rate is -1"):
        RemedialMLROS(rate=-1)
    with pytest.raises(UsageError, match="empty_copies is 0; pass True or False"):
        REMEDIAL(empty_copies=0)


def test_equal_scumbles_copy_nothing():
    # None is above the mean, which rounds to just below them for many numbers of documents.
    for n in range(2, 60):
        labels = np.array([[1, 1, 0], [1, 0, 1]] * n)
        assert len(REMEDIAL().fit_resample(np.arange(2 * n), labels, 0)[0]) == 2 * n
