"""MLeNN and MLTL, on documents whose neighbours can be seen."""

import numpy as np
import pytest

from afl_helpers.augment import AUGMENTATIONS, MLSMOTE, MLTL, MLeNN, build_augmentation
from afl_helpers.augment.mltl import automatic_threshold, jaccard_distance
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import UsageError

# On a line: four documents of label 0, one of label 1 between them, then three with labels 1 or 2.
X = np.array([[0.0], [1], [2], [2.4], [3], [10], [11], [12]])
Y = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
# Counts 4, 3, 1: IRLbl 1, 1.33 and 4, mean 2.11; document 7 alone has a minority label.


def kept(step, x=X, y=Y):
    step.fit_resample(x, y)
    return step.sample_indices_.tolist()


def test_mlenn_drops_the_document_among_others_and_spares_minority_labels():
    # Neighbours of 3: 2, 4, 1, all of label 0. Of 5: 6, 7, 4, of which two differ. Of 6: 5 and 7, then 4: two differ.
    # Of 2: 3, 1, 4: one differs. Of 4: 3, 2, 1. Of 0 and 1: at most 3. Of 7: all differ, but label 2 is rare.
    assert minority_labels(Y.sum(0)).tolist() == [False, False, True]
    assert kept(MLeNN()) == [0, 1, 2, 4, 7]
    assert kept(MLeNN(n_neighbors=1)) == [0, 1, 5, 6, 7]  # 2, 3 and 4 are nearest each other


def test_mlenn_counts_half_of_the_neighbours_as_enough():
    # Two neighbours each: of 2 they are 3 and 1, of which one differs: one is half of two.
    assert 2 not in kept(MLeNN(n_neighbors=2)) and 0 in kept(MLeNN(n_neighbors=2))


def test_mlenn_measures_labels_by_the_adjusted_hamming_distance():
    # Documents 0 and 1 share one of 1 and 3 labels: 2 / 4. The pair 2, 3 shares none: 1.
    x = np.array([[0.0], [1], [100], [101]])
    y = np.array([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1]])
    assert minority_labels(y.sum(0)).tolist() == [False, False, False, True]
    assert kept(MLeNN(n_neighbors=1, threshold=0.49), x, y) == [3]
    assert kept(MLeNN(n_neighbors=1, threshold=0.5), x, y) == [0, 1, 3]
    assert kept(MLeNN(n_neighbors=1, threshold=1), x, y) == [0, 1, 2, 3]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_mlenn_is_edited_nearest_neighbours_where_documents_have_one_label(k):
    under_sampling = pytest.importorskip("imblearn.under_sampling")
    rng = np.random.default_rng(k)
    classes = (np.arange(300) % 5 == 0).astype(int)
    x = rng.normal(size=(300, 3)) + classes[:, None]
    peer = under_sampling.EditedNearestNeighbours(sampling_strategy=[0], n_neighbors=k, kind_sel="mode")
    peer.fit_resample(x, classes)
    found = kept(MLeNN(n_neighbors=k), x, np.eye(2, dtype=int)[classes])
    assert found == sorted(peer.sample_indices_.tolist()) and 200 < len(found) < 300


def test_mltl_looks_at_the_nearest_neighbour_alone():
    # Nearest: 0-1, 1-0 (0 and 2 are equally near; the first counts), 2-3, 3-2, 4-3, 5-6, 6-5, 7-6.
    assert kept(MLTL(threshold=0.5)) == [0, 1, 5, 6, 7]  # 7 has no majority label
    assert kept(MLTL(threshold=0.5, cleaning=True)) == [0, 1, 5, 6]


def test_mltl_finds_no_majority_label_where_all_labels_are_equally_frequent():
    x, y = np.array([[0.0], [1], [2], [3]]), np.array([[1, 0], [0, 1]] * 2)
    assert kept(MLTL(threshold=0.5), x, y) == [0, 1, 2, 3]
    assert kept(MLTL(threshold=0.5, cleaning=True), x, y) == []


def test_mltl_divides_by_the_labels_that_either_document_carries():
    one, other = np.array([[1, 0, 0]], dtype=bool), np.array([[1, 1, 1]], dtype=bool)
    assert jaccard_distance(one, other).tolist() == [2 / 3]
    assert jaccard_distance(one & False, one & False).tolist() == [0]


@pytest.mark.parametrize(
    ("counts", "threshold"),
    [((4, 4), 0.5), ((6, 1), 0.5), ((7, 1), 0.3), ((34, 2), 0.3), ((46, 2), 0.15), ((60, 2), 0.15)],
)
def test_mltl_takes_the_threshold_from_the_imbalance(counts, threshold):
    # MeanIR 1, 3.5, 4, 9, 12 and 15.5: one over the root is 1, .53, .5, .33, .29 and .25; no document has both labels.
    y = np.repeat(np.eye(2, dtype=bool), counts, axis=0)
    assert automatic_threshold(y) == threshold


def test_mltl_takes_the_highest_threshold_where_rare_and_frequent_labels_occur_together():
    # One label in all 30 documents, and one of its own in each: IRLbl 1 and 30, MeanIR 29, SCUMBLE 1 - sqrt(30) / 15.5.
    y = np.concatenate([np.ones((30, 1), dtype=bool), np.eye(30, dtype=bool)], axis=1)
    assert automatic_threshold(y) == 0.5
    assert automatic_threshold(np.zeros((3, 2), dtype=bool)) == 0.5


def test_counts_of_minority_labels_stay_under_mlenn():
    rng = np.random.default_rng(0)
    y = (rng.random((400, 6)) < [0.6, 0.4, 0.2, 0.1, 0.03, 0.02]).astype(np.uint8)
    rare = minority_labels(y.sum(0))
    _, left = MLeNN(threshold=0.5).fit_resample(rng.normal(size=(400, 5)), y)
    assert len(left) < 400 and np.array_equal(left.sum(0)[rare], y.sum(0)[rare])


def test_wrong_parameters():
    with pytest.raises(UsageError, match="threshold is 1.5; pass a number from 0 to 1"):
        MLeNN(threshold=1.5)
    with pytest.raises(UsageError, match="cleaning is 1; pass True or False"):
        MLTL(cleaning=1)


def test_documents_that_all_leave_are_no_silent_result():
    x, y = [[0, 0], [0.1, 0], [5, 5], [5.1, 5]], [[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 0]]
    with pytest.warns(UserWarning, match="MLTL: no document is left; leave out fewer"):
        assert len(MLTL().fit_resample(x, y)[0]) == 0


def test_a_label_that_loses_all_its_documents_is_told():
    with pytest.warns(UserWarning, match="MLTL: 1 label loses all its documents"):
        MLTL(threshold=0.5).fit_resample([[0.0], [0.1], [9.0], [9.1]], [[1, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("make", [lambda: MLTL(cleaning="no"), lambda: MLSMOTE(per_attribute="False")])
def test_flags_are_true_or_false(make):
    with pytest.raises(UsageError, match="pass True or False"):
        make()


@pytest.mark.parametrize("name", [name for name, info in AUGMENTATIONS.items() if info.takes == "vectors"])
def test_vectors_are_real_and_have_features(name):
    step = build_augmentation(name)
    with pytest.raises(UsageError, match="X has complex values"):
        step.fit_resample(X + 1j, Y)
    with pytest.raises(UsageError, match=r"X has shape \(8, 0\)"):
        step.fit_resample(X[:, :0], Y)
