import numpy as np
import pytest
from scipy import sparse
from scipy.stats import gmean

from afl_helpers.data.imbalance import imbalance_ratios, mean_imbalance_ratio, minority_labels, scumble


def test_imbalance_ratio_is_the_largest_count_over_each():
    assert imbalance_ratios([9, 3, 1, 0]).tolist() == [1.0, 3.0, 9.0, np.inf]


def test_labels_without_documents_count_neither_in_the_mean_nor_as_minority_labels():
    assert mean_imbalance_ratio([9, 3, 1, 0]) == pytest.approx(13 / 3)
    assert minority_labels([9, 3, 1, 0]).tolist() == [False, False, True, False]
    assert minority_labels([4, 4]).tolist() == [False, False]  # equal to the mean is not above it
    assert np.isnan(mean_imbalance_ratio([0, 0])) and minority_labels([0, 0]).tolist() == [False, False]


def test_scumble_is_its_definition_document_by_document():
    labels = (np.random.default_rng(0).random((40, 7)) < [0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.0]).astype(np.uint8)
    ratios = imbalance_ratios(labels.sum(0))
    expected = [1 - gmean(ratios[row == 1]) / ratios[row == 1].mean() if row.any() else 0.0 for row in labels]
    assert scumble(labels) == pytest.approx(expected, abs=1e-12)
    assert scumble(sparse.csr_array(labels)) == pytest.approx(expected, abs=1e-12)


def test_scumble_is_exactly_zero_where_labels_are_equally_frequent():
    # Counts 1 to 60, each in documents of its own, and pairs of equally frequent labels.
    alone = np.repeat(np.eye(60, dtype=np.uint8), np.arange(1, 61), axis=0)
    assert not scumble(alone).any() and not scumble(np.concatenate([alone, alone], axis=1)).any()
    nearly = np.zeros((20001, 2), dtype=np.uint8)
    nearly[:, 0], nearly[1:, 1] = 1, 1
    assert scumble(nearly)[1] > 0  # counts 20,001 and 20,000
