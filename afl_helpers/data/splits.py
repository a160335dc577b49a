"""Splits that give every part about the same share of every label, and never share a text between parts.

The method is iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011), which places the
documents of the rarest label first; the package `iterative-stratification` implements it, for a
dense matrix and in time that grows faster than its size. Beyond a limit the same method runs here on the labels present.
"""

import heapq
import math
from collections.abc import Sequence

import numpy as np
from iterstrat.ml_stratifiers import IterativeStratification
from scipy import sparse

from afl_helpers.errors import UsageError

# The largest dense matrix (one byte an entry) that goes to the package; 5,000 labels of 6,700 documents take it a minute.
STRATIFICATION_LIMIT_BYTES = 2**25


def text_units(texts: Sequence[str]) -> np.ndarray:
    """A number for each text, int64, equal for texts that differ only in case and white space."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(" ".join(text.split()).casefold(), len(numbers)) for text in texts], np.int64)


def stratified_parts(
    texts: Sequence[str], labels: np.ndarray | sparse.csr_array, fractions: Sequence[float], *, seed: int
) -> np.ndarray:
    """Which part each document belongs to.

    Args:
        texts: one a document.
        labels: 0 or 1, of shape (n_documents, n_labels).
        fractions: the share of each part, the training part first; at least 0, and 1 together.
        seed: the same seed gives the same parts.

    Returns:
        int64 of shape (n_documents,): the position in `fractions`.

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
    parts = used[_stratify(unit_labels, shares[used], seed)]
    if shares[0] > 0:
        _keep_labels_in_train(parts, unit_labels)
    return parts[units]


def stratified_sample(
    texts: Sequence[str], labels: np.ndarray | sparse.csr_array, n_sampled: int, *, seed: int
) -> np.ndarray:
    """Choose exactly `n_sampled` documents in the way of `stratified_parts`.

    Returns:
        bool of shape (n_documents,): True for the chosen ones. The others keep every label where possible.

    Raises:
        UsageError: `n_sampled` is negative or leaves no document, or repeated texts make the number
            impossible.
    """
    n_documents = len(texts)
    if not 0 <= n_sampled < max(n_documents, 1):
        raise UsageError(
            f"validation must lie between 0 and {n_documents - 1}, because there are {n_documents} "
            f"training documents, not {n_sampled}"
        )
    if n_sampled == 0:
        return np.zeros(n_documents, dtype=bool)
    share = n_sampled / n_documents
    sampled = stratified_parts(texts, labels, (1 - share, share), seed=seed) == 1
    _adjust_size(sampled, n_sampled, text_units(texts), sparse.csr_array(labels))
    return sampled


def _labels_of_units(labels: np.ndarray | sparse.csr_array, units: np.ndarray) -> sparse.csr_array:
    """The labels of each unit: all those that one of its documents carries."""
    n_units = int(units.max()) + 1
    membership = sparse.csr_array(
        (np.ones(units.size, dtype=np.int64), (units, np.arange(units.size))), shape=(n_units, units.size)
    )
    summed = sparse.csr_array(membership @ sparse.csr_array(labels, dtype=np.int64))
    return (summed > 0).astype(np.int64)


def _stratify(unit_labels: sparse.csr_array, shares: np.ndarray, seed: int) -> np.ndarray:
    n_units, n_labels = unit_labels.shape
    if n_units * n_labels > STRATIFICATION_LIMIT_BYTES:
        return _stratify_sparse(unit_labels, shares, seed)
    # The function under the package's splitters: it makes all parts in one pass, and also takes a single
    # label.
    generator = np.random.RandomState(seed)
    order = generator.permutation(n_units)
    dense = unit_labels.astype(bool).toarray()[order]
    parts = np.empty(n_units, dtype=np.int64)
    parts[order] = IterativeStratification(labels=dense, r=shares, random_state=generator)
    return parts


def _stratify_sparse(unit_labels: sparse.csr_array, shares: np.ndarray, seed: int) -> np.ndarray:
    """Iterative stratification in time that grows with the number of labels that units carry, times its logarithm.

    The label with the fewest units left is next; each of its units goes to the part that lacks most of this label, of
    equal parts to the one that lacks most units.
    """
    n_units, n_labels = unit_labels.shape
    order = np.random.default_rng(seed).permutation(n_units)
    shuffled = unit_labels[order]
    by_label = sparse.csc_array(shuffled)
    by_label.sort_indices()
    # Plain lists: the loop touches single numbers, for which they are several times as fast as arrays.
    rows, row_ends = shuffled.indices.tolist(), shuffled.indptr.tolist()
    columns, column_ends = by_label.indices.tolist(), by_label.indptr.tolist()
    left = np.diff(by_label.indptr)
    lacking = [(share * left).tolist() for share in shares]
    units_lacking = [share * n_units for share in shares]
    left = left.tolist()
    parts = [-1] * n_units
    choices = range(len(shares))

    def place(unit: int, part: int) -> None:
        parts[unit] = part
        units_lacking[part] -= 1
        for label in rows[row_ends[unit] : row_ends[unit + 1]]:
            lacking[part][label] -= 1
            left[label] -= 1
            heapq.heappush(waiting, (left[label], label))

    waiting = [(count, label) for label, count in enumerate(left)]
    heapq.heapify(waiting)
    while waiting:
        count, label = heapq.heappop(waiting)
        if count == 0 or count != left[label]:  # done, or the label has a later entry
            continue
        for unit in columns[column_ends[label] : column_ends[label + 1]]:
            if parts[unit] < 0:
                place(unit, max(choices, key=lambda part: (lacking[part][label], units_lacking[part])))
    for unit in range(n_units):  # those without a label
        if parts[unit] < 0:
            place(unit, max(choices, key=units_lacking.__getitem__))
    found = np.empty(n_units, dtype=np.int64)
    found[order] = parts
    return found


def _keep_labels_in_train(parts: np.ndarray, unit_labels: sparse.csr_array) -> None:
    """Move one unit into train for each label that train (part 0) lacks; in place."""
    by_label = sparse.csc_array(unit_labels)
    for label in range(by_label.shape[1]):
        holders = np.sort(by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]])
        if holders.size and not np.any(parts[holders] == 0):
            parts[holders[0]] = 0


def _adjust_size(sampled: np.ndarray, n_sampled: int, units: np.ndarray, labels: sparse.csr_array) -> None:
    """Move single documents until exactly `n_sampled` are chosen; in place.

    Documents whose rarest label is the most frequent go first: they disturb the shares least. None leaves the
    training part as the last one with a label, and none whose text occurs twice is moved.
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
