import numpy as np
import pytest
from scipy.spatial.distance import cdist

from afl_helpers.augment import MLSMOTE
from afl_helpers.augment.neighbours import nearest_neighbours
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import UsageError

# Label 0: 10 documents; label 1: 4, on a line at 0, 1, 3 and 7; label 2: 2 of these. IRLbl 1, 2.5 and 5, mean 2.83.
X = np.array([[0.0, 5], [1, 5], [3, 5], [7, 5]] + [[100.0 + i, i] for i in range(6)])
Y = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 1, 0]] + [[1, 0, 0]] * 6)


def test_neighbours_are_the_nearest_others_in_order():
    points = np.array([[0.0], [1], [3], [7], [3]])
    assert nearest_neighbours(points, 2).tolist() == [[1, 2], [0, 2], [4, 1], [2, 4], [2, 1]]
    assert nearest_neighbours(points, 9, np.array([3])).tolist() == [[2, 4, 1, 0]]
    assert nearest_neighbours(points[:1], 3).shape == (1, 0)
    many = np.random.default_rng(0).normal(size=(50, 3))
    expected = [np.argsort(np.linalg.norm(many - row, axis=1))[1:6] for row in many]
    assert np.array_equal(nearest_neighbours(many, 5, block=7), expected)


def test_only_bags_of_minority_labels_get_documents_one_each():
    # Label 2 alone is above the mean: its bag is documents 0 and 2, and each is the only neighbour of the other.
    step = MLSMOTE()
    x, y = step.fit_resample(X, Y, 0)
    assert np.array_equal(x[:10], X) and np.array_equal(y[:10], Y) and step.sample_indices_[10:].tolist() == [0, 2]
    assert len(x) == 12 and ((x[10:, 0] > 0) & (x[10:, 0] < 3)).all() and (x[10:, 1] == 5).all()
    assert y[10:].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_rate_is_new_documents_per_document_of_a_bag():
    for rate, n in ((0, 0), (0.5, 1), (1, 2), (2, 4), (2.5, 5)):
        step = MLSMOTE(rate=rate)
        x, _ = step.fit_resample(X, Y, 0)
        assert len(x) == 10 + n and np.bincount(step.sample_indices_[10:], minlength=3).max() <= np.ceil(rate)


def test_a_new_document_lies_between_its_seed_and_one_of_the_k_nearest():
    bag = np.array([[0.0], [101], [10], [1], [100], [11]])
    x, y = np.concatenate([bag, np.full((60, 1), 50.0)]), np.ones((66, 2), dtype=int)
    y[6:, 1] = 0
    made = MLSMOTE(k_neighbors=1, rate=5).fit_resample(x, y, 0)[0][66:, 0]
    near = [((low <= made) & (made <= low + 1)).sum() for low in (0, 10, 100)]
    assert near == [10, 10, 10]
    # With two neighbours, 0 has 1 and 10, 10 has 11 and 1, and 100 has 101 and 11: nothing of 0, 1, 10 and 11 goes beyond 11.
    step = MLSMOTE(k_neighbors=2, rate=50)
    made, seeds = step.fit_resample(x, y, 0)[0][66:, 0], step.sample_indices_[66:]
    low, high = made[np.isin(seeds, [0, 2, 3, 5])], made[np.isin(seeds, [1, 4])]
    assert low.max() <= 11 and (low > 1).any() and high.min() >= 11 and (high < 100).any()


@pytest.mark.parametrize(
    ("rule", "labels"), [("ranking", [1, 1, 0, 0]), ("union", [1, 1, 1, 1]), ("intersection", [1, 0, 0, 0])]
)
def test_labels_come_from_the_document_and_its_neighbours(rule, labels):
    # One bag of four: label 0 in all four, label 1 in three, label 2 in two (not more than half), label 3 in one.
    bag = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
    rest = np.tile([0, 1, 1, 1], (400, 1))
    y = np.concatenate([bag, rest])  # counts 4, 403, 402, 401: label 0 alone is a minority label
    x = np.random.default_rng(0).normal(size=(len(y), 3))
    assert minority_labels(y.sum(0)).tolist() == [True, False, False, False]
    _, made = MLSMOTE(rule=rule).fit_resample(x, y, 0)
    assert made[404:].tolist() == [labels] * 4


def test_one_share_per_document_stays_on_a_line_between_two_documents():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 8)), np.zeros((60, 2), dtype=int)
    y[:, 0], y[:5, 1] = 1, 1

    def off_the_line(per_attribute):
        step = MLSMOTE(per_attribute=per_attribute)
        made = step.fit_resample(x, y, 0)[0][60:]
        gaps = []
        for new, seed in zip(made, step.sample_indices_[60:]):
            step_ = [new - x[seed], *(x[other] - x[seed] for other in range(5) if other != seed)]
            cosines = [step_[0] @ v / np.linalg.norm(step_[0]) / np.linalg.norm(v) for v in step_[1:]]
            gaps.append(1 - max(cosines))
            boxes = [((new - x[seed]) * (x[other] - new) >= 0).all() for other in range(5) if other != seed]
            assert any(boxes), "a new document lies outside the box of every pair"
        return max(gaps)

    assert off_the_line(False) < 1e-12 < 1e-3 < off_the_line(True)


def test_every_minority_label_gains_and_the_counts_add_up():
    rng = np.random.default_rng(2)
    y = (rng.random((300, 6)) < [0.6, 0.4, 0.2, 0.1, 0.03, 0.02]).astype(np.uint8)
    rare = minority_labels(y.sum(0))
    x, made = MLSMOTE(rate=1).fit_resample(rng.normal(size=(300, 4)), y, 0)
    assert len(x) == 300 + y[:, rare].sum()  # one per document and minority label
    assert (made.sum(0)[rare] >= 2 * y.sum(0)[rare]).all()  # with "ranking" the label itself is always kept


def test_wrong_parameters():
    with pytest.raises(UsageError, match="did you mean 'ranking'"):
        MLSMOTE(rule="rankin")
    with pytest.raises(UsageError, match="k_neighbors is 0; pass an integer of at least 1"):
        MLSMOTE(k_neighbors=0)


@pytest.mark.parametrize("offset", [0.0, 1e7, 1.7e9])  # as of a column of times
def test_neighbours_are_exact_beside_a_large_offset(offset):
    points = np.random.default_rng(0).normal(size=(200, 3)) + [offset, 0, 0]
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    expected = np.argsort(distances, axis=1)[:, :3]
    assert (np.sort(nearest_neighbours(points, 3)) == np.sort(expected)).all()
