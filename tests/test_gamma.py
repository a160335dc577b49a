"""Eq. 2 under each reading, against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts
from afl_helpers.errors import UsageError
from afl_helpers.gamma import ASSIGNMENTS, NORMALIZATIONS, assign_gamma, check_counts, class_gamma, positive_gradient

COUNTS, N = [100, 10, 1], 200

# sum 111, max 100, mean 37, median 10; ln(200/100) = .693147, ln 20 = 2.995732, ln 200 = 5.298317, mean 2.995732
EXPECTED = {
    "documents": [4.0, 40.0, 400.0],
    "labels": [2.22, 22.2, 222.0],
    "max": [2.0, 20.0, 200.0],
    "mean": [0.74, 7.4, 74.0],
    "median": [0.2, 2.0, 20.0],
    "sqrt": [2.0, 6.324555, 20.0],
    "log10": [2.0, 4.0, 6.0],
    "information": [0.462756, 2.0, 3.537244],
}


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_readings_by_hand(normalization):
    gamma = class_gamma(COUNTS, N, 2.0, normalization, bounds=None)
    np.testing.assert_allclose(gamma, EXPECTED[normalization], rtol=1e-6)
    assert gamma.dtype == np.float64


@pytest.mark.parametrize(
    "normalization, most_frequent, rarest",
    [
        ("documents", 4.672, 158_894),  # 2 x 79,447 / 34,007, and / 1
        ("labels", 14.28, 485_500),
        ("max", 2.0, 68_014),
        ("mean", 0.0393, 1_337.5),
        ("sqrt", 2.0, 368.8),
        ("log10", 2.0, 11.06),
        ("information", 0.238, 3.17),
    ],
)
def test_readings_on_the_real_genres(normalization, most_frequent, rarest):
    """The 363 genres of 79,447 movies; "Drama" has 34,007, 13 genres have one."""
    counts = list(genre_counts().values())
    gamma = class_gamma(counts, N_MOVIES_WITH_GENRE, 2.0, normalization, bounds=None)
    assert gamma[0] == gamma.min() and gamma[-1] == gamma.max()
    np.testing.assert_allclose([gamma[0], gamma[-1]], [most_frequent, rarest], rtol=5e-3)


@pytest.mark.parametrize("normalization", sorted(set(NORMALIZATIONS) - {"documents", "information"}))
def test_readings_that_do_not_use_the_number_of_documents_do_not_need_it(normalization):
    np.testing.assert_array_equal(
        class_gamma(COUNTS, normalization=normalization), class_gamma(COUNTS, N, normalization=normalization)
    )


def test_bounds_hold_most_of_the_real_genres_at_the_upper_one():
    gamma = class_gamma(list(genre_counts().values()), N_MOVIES_WITH_GENRE)
    assert gamma[0] == 0.5 and (gamma == 5.0).sum() == 268


def test_default_is_the_mean_within_bounds():
    np.testing.assert_allclose(class_gamma(COUNTS, N), [0.74, 5.0, 5.0])


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=30),
    st.floats(0, 10),
    st.sampled_from(sorted(NORMALIZATIONS)),
    st.booleans(),
)
def test_rarer_labels_never_get_a_smaller_gamma(counts, base_gamma, normalization, bounded):
    bounds = (0.5, 5.0) if bounded else None
    gamma = class_gamma(counts, 1000, base_gamma, normalization, bounds)
    assert np.isfinite(gamma).all()
    assert (np.diff(gamma[np.argsort(counts, kind="stable")]) <= 1e-9 * (1 + gamma.max())).all()
    if bounded:
        assert gamma.min() >= 0.5 and gamma.max() <= 5.0


def test_gamma_is_proportional_to_the_base():
    for normalization in NORMALIZATIONS:
        one, three = (class_gamma(COUNTS, N, base, normalization, None) for base in (1.0, 3.0))
        np.testing.assert_allclose(three, 3 * one)


def test_a_label_without_documents_counts_as_one():
    np.testing.assert_allclose(class_gamma([100, 0], N, 2.0, "documents", None), [4.0, 400.0])


def test_labels_on_every_document():
    np.testing.assert_allclose(class_gamma([50, 50], 50, 2.0, "information", None), [2.0, 2.0])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (([-1, 2], 10), "label_counts"),
        (([11, 2], 10), "more than n_documents"),
        (([], 10), "shape"),
        (([[1, 2]], 10), "shape"),
        (([1.0, float("nan")], 10), "non-finite"),
        (([1], 0), "n_documents"),
        (([1], 10, -1.0), "base_gamma"),
        (([1], 10, "abc"), "base_gamma"),
        (([1], 10, 2.0, "mode"), "choose one of: documents"),
        (([1], 10, 2.0, "mean", (5, 1)), "bounds"),
        (([1], None, 2.0, "documents"), "n_documents is None; pass"),
        (([1], None, 2.0, "information"), "n_documents is None; pass"),
        ((["a", "b"], 10), "label_counts hold 'a'; pass numbers"),
        ((["5", "3"], 10), "label_counts hold '5'; pass numbers"),
        ((None, 10), "label_counts hold None; pass numbers"),
        (([5, None], 10), "label_counts hold None; pass numbers"),
        (([[1], [1, 2]], 10), "label_counts hold rows of different lengths"),
        ((sparse.csr_array([[1, 2]]), 10), r"label_counts has shape \(1, 2\)"),
        ((np.ma.array([5, 3], mask=[0, 1]), 10), "label_counts hold masked values; fill them"),
        (([1], "100"), "n_documents is '100'; pass the number of training documents"),
        (([1], [100]), r"n_documents is \[100\]"),
        (([1], float("nan")), "n_documents is nan"),
        (([1], 10, None), "base_gamma is None; pass a finite number"),
        (([1], 10, [1, 2]), r"base_gamma is \[1, 2\]"),
        (([1], 10, float("inf")), "base_gamma is inf"),
        (([1], 10, 2.0, ["mean"]), r"unknown normalization \['mean'\] \(did you mean 'mean'\?\)"),
        (([1], 10, 2.0, "mean", 5.0), r"bounds is 5.0; pass \(lowest, highest\)"),
        (([1], 10, 2.0, "mean", (0.5,)), r"bounds is \(0.5,\)"),
        (([1], 10, 2.0, "mean", (1, 2, 3)), r"bounds is \(1, 2, 3\)"),
        (([1], 10, 2.0, "mean", ("a", "b")), r"bounds is \('a', 'b'\)"),
    ],
)
def test_errors_name_the_argument(arguments, words):
    with pytest.raises(UsageError, match=words) as error:
        class_gamma(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "counts",
    [
        torch.tensor(COUNTS),
        torch.nn.Parameter(torch.tensor(COUNTS, dtype=torch.float32)),
        torch.tensor(COUNTS, dtype=torch.bfloat16),
        torch.tensor(COUNTS).to_sparse(),
        pd.Series(COUNTS, ["cpu", "detach", "toarray"]),
        np.array(COUNTS, dtype=np.uint8),
    ],
)
def test_counts_of_every_kind_give_the_same_gammas(counts):
    np.testing.assert_array_equal(class_gamma(counts, torch.tensor(N)), class_gamma(COUNTS, N))
    np.testing.assert_array_equal(assign_gamma(counts, "reversed"), assign_gamma(COUNTS, "reversed"))


def test_checked_counts_are_a_copy():
    counts = np.array([60.0, 3.0])
    checked = check_counts(counts)
    counts[:] = 0
    assert checked.tolist() == [60, 3]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (([], "reversed"), r"gamma has shape \(0,\); pass one gamma per label"),
        (([[1, 2], [3, 4]], "shuffled"), r"gamma has shape \(2, 2\)"),
        ((["a"],), "gamma hold 'a'; pass numbers"),
        (([1, 2], "shuffled", -1), "seed is -1; pass a whole number from 0"),
        (([1, 2], "shuffled", "a"), "seed is 'a'"),
    ],
)
def test_an_assignment_needs_one_gamma_per_label_and_a_seed(arguments, words):
    with pytest.raises(UsageError, match=words):
        assign_gamma(*arguments)


@pytest.mark.parametrize(
    "gamma, words", [(-1.0, "gamma holds -1.0"), ([0, np.inf], "holds inf"), ("a", "gamma hold 'a'")]
)
def test_the_gradient_of_a_positive_needs_gammas_of_at_least_0(gamma, words):
    with pytest.raises(UsageError, match=words):
        positive_gradient(gamma)


def test_the_gradient_of_a_positive_has_limits():
    gammas = [0.0, 1e-3, 2.0]
    assert positive_gradient(gammas, np.inf).tolist() == [0, 0, 0]
    assert positive_gradient(gammas, -np.inf).tolist() == [1, 1, 1]
    np.testing.assert_allclose(positive_gradient(gammas, torch.tensor([-700.0, 0.0, 30.0])), [1, 0.5, 0], atol=1e-3)


def test_assignments_are_the_controls_they_claim_to_be():
    gamma = np.array([0.5, 1.0, 5.0, 5.0])
    np.testing.assert_allclose(assign_gamma(gamma, "reversed"), [5.0, 4.5, 0.5, 0.5])
    np.testing.assert_allclose(assign_gamma(gamma, "mean"), [2.875] * 4)
    shuffled = assign_gamma(np.arange(20.0), "shuffled", seed=3)
    assert sorted(shuffled) == list(range(20)) and list(shuffled) != list(range(20))
    np.testing.assert_array_equal(shuffled, assign_gamma(np.arange(20.0), "shuffled", seed=3))
    assert gamma.tolist() == [0.5, 1.0, 5.0, 5.0]
    with pytest.raises(UsageError, match=", ".join(sorted(ASSIGNMENTS))):
        assign_gamma(gamma, "random")


def test_shares_are_no_counts():
    with pytest.raises(UsageError, match="label_counts holds 0.25: shares, not counts"):
        class_gamma([0.25, 1.0], n_documents=400)
    assert class_gamma([0, 1, 1], n_documents=400).shape == (3,)
