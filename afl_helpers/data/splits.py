"""Splits in which every label has about the same share, and which never share a text.

The method is iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011), which places the documents of
the rarest label first. Up to a limit the package `iterative-stratification` does it. That package takes a dense matrix,
and its time grows faster than the matrix; above the limit this module runs the same method on a sparse matrix.
"""

import heapq
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.errors import UsageError, require

# The largest dense matrix (one byte per entry) for the package, which takes a minute for 5,000 labels of 6,700 documents.
STRATIFICATION_LIMIT_BYTES = 2**25


def text_units(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each text, int64, equal for texts that differ only in case and white space."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(" ".join(text.split()).casefold(), len(numbers)) for text in texts], np.int64)


def stratified_split(
    texts: Sequence[str], labels: NDArray[np.uint8] | sparse.csr_array, fractions: Sequence[float], *, seed: int
) -> NDArray[np.int64]:
    """Assign each document to a split.

    Args:
        texts: one per document.
        labels: 0 or 1, of shape (n_documents, n_labels).
        fractions: the share of each split, the training split first; at least 0 each, with a sum of 1.
        seed: the same seed gives the same splits.

    Returns:
        int64 of shape (n_documents,): for each document the position of its split in `fractions`.

    Raises:
        UsageError: a fraction is negative or not a number, or they do not sum to 1.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if not (np.all(shares >= 0) and math.isclose(shares.sum(), 1.0, abs_tol=1e-9)):
        raise UsageError(f"the fractions of a split must be at least 0 and sum to 1, not {tuple(fractions)}")
    if not texts:
        return np.zeros(0, dtype=np.int64)
    units = text_units(texts)
    unit_labels = _labels_of_units(labels, units)
    used = np.flatnonzero(shares > 0)
    splits = used[_stratify(unit_labels, shares[used], seed)]
    if shares[0] > 0:
        _keep_labels_in_train(splits, unit_labels)
    return splits[units]


def stratified_sample(
    texts: Sequence[str], labels: NDArray[np.uint8] | sparse.csr_array, n_sampled: int, *, seed: int
) -> NDArray[np.bool]:
    """Choose exactly `n_sampled` validation documents, stratified as in `stratified_split`.

    Returns:
        bool of shape (n_documents,): True for the chosen documents. The others keep every label where possible.

    Raises:
        UsageError: `n_sampled` is negative or leaves no document, or repeated texts make the number impossible.
    """
    n_documents = len(texts)
    if not 0 <= n_sampled < max(n_documents, 1):
        raise UsageError(
            f"validation is {n_sampled}; pass a number between 0 and {n_documents - 1}, "
            f"because there are {n_documents} training documents"
        )
    if n_sampled == 0:
        return np.zeros(n_documents, dtype=bool)
    share = n_sampled / n_documents
    sampled = np.equal(stratified_split(texts, labels, (1 - share, share), seed=seed), 1)
    _adjust_size(sampled, n_sampled, text_units(texts), sparse.csr_array(labels))
    return sampled


def _labels_of_units(labels: NDArray[np.uint8] | sparse.csr_array, units: NDArray[np.int64]) -> sparse.csr_array:
    """Return the labels of each unit: those that at least one of its documents carries."""
    n_units = int(units.max()) + 1
    membership = sparse.csr_array(
        (np.ones(units.size, dtype=np.int64), (units, np.arange(units.size))), shape=(n_units, units.size)
    )
    summed = sparse.csr_array(membership @ sparse.csr_array(labels).astype(np.int64))
    return (summed > 0).astype(np.int64)


def _stratify(unit_labels: sparse.csr_array, shares: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    n_units, n_labels = unit_labels.shape
    if n_units * n_labels > STRATIFICATION_LIMIT_BYTES:
        return _stratify_sparse(unit_labels, shares, seed)
    # Imported here so that corpora can be built and read without it. The function lies beneath the package's splitters:
    # it makes all splits in one pass, and also takes a single label.
    stratify = require("iterstrat.ml_stratifiers", "data", "split()").IterativeStratification
    generator = np.random.RandomState(seed)
    order = generator.permutation(n_units)
    dense = unit_labels.astype(bool).toarray()[order]
    splits = np.empty(n_units, dtype=np.int64)
    splits[order] = stratify(labels=dense, r=shares, random_state=generator)
    return splits


def _stratify_sparse(unit_labels: sparse.csr_array, shares: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Stratify in O(n log n) time, where n is the number of nonzero entries.

    The label with the fewest unplaced units is next. Each of its units goes to the split that lacks most units of this
    label; if several splits do, to the one that lacks most units overall.
    """
    n_units, n_labels = unit_labels.shape
    order = np.random.default_rng(seed).permutation(n_units)
    shuffled = unit_labels[order]
    by_label = sparse.csc_array(shuffled)
    by_label.sort_indices()
    # Plain lists: the loop touches single numbers, for which lists are several times as fast as arrays.
    rows, row_ends = shuffled.indices.tolist(), shuffled.indptr.tolist()
    columns, column_ends = by_label.indices.tolist(), by_label.indptr.tolist()
    label_counts = np.diff(by_label.indptr)
    unplaced: list[int] = label_counts.tolist()
    lacking = [(share * label_counts).tolist() for share in shares]
    units_lacking = [share * n_units for share in shares]
    splits = [-1] * n_units
    choices = range(len(shares))

    def place(unit: int, split: int) -> None:
        splits[unit] = split
        units_lacking[split] -= 1
        for label in rows[row_ends[unit] : row_ends[unit + 1]]:
            lacking[split][label] -= 1
            unplaced[label] -= 1
            heapq.heappush(waiting, (unplaced[label], label))

    waiting = [(count, label) for label, count in enumerate(unplaced)]
    heapq.heapify(waiting)
    while waiting:
        count, label = heapq.heappop(waiting)
        if count == 0 or count != unplaced[label]:  # the label is done, or has a later entry
            continue
        for unit in columns[column_ends[label] : column_ends[label + 1]]:
            if splits[unit] < 0:
                place(unit, max(choices, key=lambda split: (lacking[split][label], units_lacking[split])))
    for unit in range(n_units):
        if splits[unit] < 0:  # a unit without a label
            place(unit, max(choices, key=units_lacking.__getitem__))
    in_order = np.empty(n_units, dtype=np.int64)
    in_order[order] = splits
    return in_order


def _keep_labels_in_train(splits: NDArray[np.int64], unit_labels: sparse.csr_array) -> None:
    """Move one unit into the training split (number 0) for each label that is missing there; in place."""
    by_label = sparse.csc_array(unit_labels)
    for label in range(by_label.shape[1]):
        holders = np.sort(by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]])
        if holders.size and not np.any(splits[holders] == 0):
            splits[holders[0]] = 0


def _adjust_size(sampled: NDArray[np.bool], n_sampled: int, units: NDArray[np.int64], labels: sparse.csr_array) -> None:
    """Move single documents until exactly `n_sampled` are chosen; in place.

    Documents whose rarest label is the most frequent move first, because they change the shares least. A document stays
    in training if it is the last one there with some label. A document whose text occurs twice never moves.
    """
    surplus = int(sampled.sum()) - n_sampled
    counts = np.asarray(labels.sum(axis=0, dtype=np.int64)).reshape(-1)
    remaining = np.asarray(labels[~sampled].sum(axis=0, dtype=np.int64)).reshape(-1)
    rows = [labels.indices[start:stop] for start, stop in zip(labels.indptr[:-1], labels.indptr[1:], strict=True)]
    is_single = np.bincount(units)[units] == 1
    movable = np.flatnonzero((sampled == (surplus > 0)) & is_single)
    for document in sorted(movable, key=lambda i: (-min(counts[rows[i]], default=0), i)):
        if surplus == 0:
            return
        row = rows[document]
        if surplus < 0 and np.any(remaining[row] < 2):
            continue
        remaining[row] += 1 if surplus > 0 else -1
        sampled[document] = surplus < 0
        surplus -= 1 if surplus > 0 else -1
    if surplus:
        raise UsageError(
            f"no split holds exactly {n_sampled} validation documents and every label in training; "
            "ask for fewer documents"
        )
