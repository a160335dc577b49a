"""Documents made after a feature dictionary, and near hard documents."""

import math

import numpy as np
import pytest

from afl_helpers.augment import FeatureDictionary, HardExamples
from afl_helpers.augment.feature_dictionary import attend, cosines
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import UsageError


def unit(degrees):
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def test_cosines_and_attention():
    assert cosines(np.array([[3.0, 0], [0, 0]]), np.array([[1.0, 1.0]])).round(12).tolist() == [
        [round(0.5**0.5, 12)],
        [0],
    ]
    # The cosines are 1 and 0; at a temperature of 1 / log(3) the weights are 3 / 4 and 1 / 4.
    assert attend(np.array([[1.0, 0]]), np.array([[4.0, 0], [0, 8]]), 1 / np.log(3)) == pytest.approx(
        np.array([[3, 2]])
    )


RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6)).astype(np.float32)
Y = (RNG.random((200, 4)) < [0.7, 0.5, 0.08, 0.05]).astype(np.uint8)
RARE = minority_labels(Y.sum(0))


def test_the_dictionary_pulls_documents_towards_its_entries():
    # Three different documents: they are the entries, with the mean of label 1's only document, (0, 0, 4).
    x, y = np.array([[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]] * 2)[:5], np.array([[1, 0], [1, 0], [1, 1], [1, 0], [1, 0]])
    step = FeatureDictionary(rate=50, temperature=1 / np.log(2), strength=0.5)
    new, labels = step.fit_resample(x, y, 0)
    # Cosines 0, 0, 1, 1 give weights 1/6, 1/6, 1/3, 1/3: the mean is (2/3, 2/3, 8/3).
    shares = (4 - new[5:, 2]) / (4 - 8 / 3)
    assert new[5:] == pytest.approx([0, 0, 4] + shares[:, None] * (np.array([2 / 3, 2 / 3, 8 / 3]) - [0, 0, 4]))
    assert (labels[5:] == [1, 1]).all() and set(step.sample_indices_[5:].tolist()) == {2}
    assert shares.min() < 0.05 and 0.45 < shares.max() < 0.5


def test_the_dictionary_makes_as_many_documents_as_asked_with_the_labels_of_their_seeds():
    for rate in (0.5, 1, 2):
        step = FeatureDictionary(rate=rate)
        new, labels = step.fit_resample(X, Y, 0)
        assert len(new) - 200 == sum(round(rate * n) for n in Y.sum(0)[RARE])
        assert np.array_equal(labels, Y[step.sample_indices_]) and np.array_equal(new[:200], X)
    copies = FeatureDictionary(strength=0)
    assert np.array_equal(copies.fit_resample(X, Y, 0)[0], X[copies.sample_indices_])


def test_hard_documents_are_those_with_the_lowest_scores():
    scores = RNG.random((200, 4))
    step = HardExamples(scores=scores, rate=20, share=0.25)
    step.fit_resample(X, Y, 0)
    expected = set()
    for label in np.flatnonzero(RARE):
        bag = np.flatnonzero(Y[:, label])
        expected |= set(bag[np.argsort(scores[bag, label])][: round(len(bag) / 4)].tolist())
    assert set(step.sample_indices_[200:].tolist()) <= expected
    far = HardExamples(share=0.01, rate=50)
    far.fit_resample(unit(np.array([0, 10, 100, 60, 50, 20.0, 5])), np.array([[1, 1]] * 3 + [[1, 0]] * 4), 0)
    assert set(far.sample_indices_[7:].tolist()) == {2}  # the mean of 0, 10 and 100 degrees is at 33


def test_a_new_document_is_no_further_from_the_mean_of_its_label():
    # The hard document is at 100 degrees; the mean of the label at 33. Its near others are at 60 or at 150 degrees.
    y = np.array([[1, 1]] * 3 + [[1, 0]] * 4)
    for others, kept in ((60.0, 8), (150.0, 0)):
        x = unit(np.array([0, 10, 100, others, others, others, others]))
        new, labels = HardExamples(share=0.01, rate=8).fit_resample(x, y, 0)
        assert len(new) - 7 == kept and (labels[7:] == [1, 1]).all()
    # Between 100 and 60 degrees, on the line, at most 30 % of the way.
    new = HardExamples(share=0.01, rate=200).fit_resample(unit(np.array([0, 10, 100, 60, 60, 60, 60.0])), y, 0)[0][7:]
    start, end = unit(100.0), unit(60.0)
    shares = (new - start) @ (end - start) / ((end - start) @ (end - start))
    assert new == pytest.approx(start + shares[:, None] * (end - start)) and 0.28 < shares.max() < 0.3


def test_labels_and_originals_stay():
    step = HardExamples(rate=4)
    new, labels = step.fit_resample(X, Y, 0)
    assert np.array_equal(new[:200], X) and np.array_equal(labels, Y[step.sample_indices_])
    assert 200 < len(new) <= 200 + 4 * sum(max(1, round(n / 3)) for n in Y.sum(0)[RARE])


def test_wrong_parameters():
    with pytest.raises(UsageError, match=r"scores has shape \(3, 2\), and Y \(200, 4\)"):
        HardExamples(scores=np.zeros((3, 2))).fit_resample(X, Y)
    with pytest.raises(UsageError, match="temperature is 0; pass a number of at least 1e-06"):
        FeatureDictionary(temperature=0)
    with pytest.raises(UsageError, match="share is 2; pass a number from 0 to 1"):
        HardExamples(share=2)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_hard_examples_take_finite_scores_alone(wrong):
    X, Y = np.eye(4), np.array([[1, 0], [1, 0], [1, 1], [0, 1]])
    with pytest.raises(UsageError, match="scores hold NaN or infinity"):
        HardExamples(scores=np.full(Y.shape, wrong)).fit_resample(X, Y, 0)
