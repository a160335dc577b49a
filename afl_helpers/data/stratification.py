"""Iterative stratification of texts that weigh what they weigh.

The method is that of Sechidis, Tsoumakas and Vlahavas (ECML PKDD 2011): the documents of the rarest label are placed first,
each in the split that lacks most documents with this label. Four things are added:

- Documents with equal texts are one unit, placed as a whole. A unit of k documents counts k documents, and its labels
  count as often as its documents carry them. The units of several documents are placed first, so that the single documents
  can fill what is left.
- No split takes more documents than it lacks, so that the sizes come out as asked.
- The last document of a label that training does not hold yet goes to training.
- At the end, documents are exchanged between splits while that brings the labels nearer to their shares.

Units are taken in the order of a hash of seed and document id, and all sums are whole numbers. So a split depends on neither
the order of the documents nor the machine nor the version of a random number generator, and two corpora with the same ids,
labels and repetitions have the same splits, whatever their texts.
"""

import hashlib
import heapq
import itertools
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.errors import UsageError

# How many repeated texts are placed, all attempts together, while a split gets more of them than it has space for. There
# are at least 20 attempts.
PLACED_ANEW = 2000
# The most exchanges between two splits. 100,000 documents with 10,000 labels need about 400.
MAX_EXCHANGES = 500
IMPOSSIBLE = -(2**60)

Labels = NDArray[np.uint8] | sparse.csr_array
Numbers = NDArray[np.int64]


def text_units(texts: Sequence[str]) -> Numbers:
    """Return a number for each text, int64, equal for texts that differ only in case and white space."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(" ".join(text.split()).casefold(), len(numbers)) for text in texts], np.int64)


class Units:
    """What is placed as a whole: the documents with one text. Units are numbered in the order of the hashes
    of their ids, so that their numbers are random but depend on neither the order of the documents nor the texts.

    Attributes:
        of_document: the unit of each document.
        weights: the number of documents of each unit.
        labels: how many documents of each unit carry each label, int64 of shape (n_units, n_labels).
    """

    def __init__(self, ids: Sequence[str], units: Numbers, labels: Labels, seed: int) -> None:
        if not (isinstance(seed, (int, np.integer)) and seed >= 0):
            raise UsageError(f"seed is {seed!r}; pass a whole number from 0")
        hashes: dict[int, bytes] = {}
        for unit, name in zip(units.tolist(), ids, strict=True):
            own = hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogatepass")).digest()
            hashes[unit] = min(own, hashes.get(unit, own))
        rank = np.empty(len(hashes), dtype=np.int64)
        rank[sorted(hashes, key=hashes.__getitem__)] = np.arange(len(hashes))
        self.of_document: Numbers = rank[units]
        self.weights: Numbers = np.bincount(self.of_document, minlength=rank.size)
        membership = sparse.csr_array(
            (np.ones(units.size, dtype=np.int64), (self.of_document, np.arange(units.size))),
            shape=(rank.size, units.size),
        )
        self.labels = sparse.csr_array(membership @ sparse.csr_array(labels).astype(np.int64))
        self.labels.sort_indices()

    def rows(self) -> list[list[int]]:
        """Return the labels of each unit. Lists are several times as fast as arrays where single numbers are read."""
        ends, columns = self.labels.indptr.tolist(), self.labels.indices.tolist()
        return [columns[start:stop] for start, stop in zip(ends[:-1], ends[1:], strict=True)]


# --- stratification ---------------------------------------------------------------------------------------------------


def stratify(units: Units, targets: Numbers, seed: int, *, tolerance: float = 0) -> tuple[Numbers, bool]:
    """Return the split of each unit, and whether no split holds more documents than its target.

    Repeated texts are placed anew while more than `tolerance` documents are in a split without space, up to a limit.
    """
    used = np.flatnonzero(targets > 0)
    n_documents = int(targets.sum())
    # What each split lacks of each label, times n_documents: whole numbers have no rounding errors.
    lacking = np.outer(targets[used], units.labels.sum(axis=0))
    space = targets[used].copy()
    splits = np.full(units.weights.size, -1, dtype=np.int64)
    repeated = np.flatnonzero(units.weights > 1)
    if repeated.size:
        repeated = repeated[np.argsort(-units.weights[repeated], kind="stable")]
        best = None
        for attempt in range(max(20, PLACED_ANEW // repeated.size)):
            placed = _place_repeated(
                units,
                repeated,
                lacking,
                space,
                n_documents,
                tolerance,
                random.Random(f"{seed} {attempt}"),
                any_labels=attempt >= 10,  # sizes come before labels
            )
            excess = np.maximum(np.bincount(placed, units.weights[repeated], used.size) - space, 0).sum()
            if best is None or excess < best[0]:
                best = excess, placed
            if excess <= tolerance:
                break
        assert best is not None
        splits[repeated] = best[1]
        for split in range(used.size):
            members = splits == split
            space[split] -= units.weights[members].sum()
            lacking[split] -= n_documents * units.labels[members].sum(axis=0)
    _place_single(units, splits, lacking.tolist(), space.tolist(), n_documents, train=targets[0] > 0)
    return used[splits], bool(space.min(initial=0) >= 0)


def _place_repeated(
    units: Units,
    repeated: Numbers,
    lacking: Numbers,
    space: Numbers,
    n_documents: int,
    tolerance: float,
    generator: random.Random,
    *,
    any_labels: bool,
) -> Numbers:
    """Place the units of several documents, the largest first.

    Each goes to a split that has space for it and lacks its labels (unless `any_labels`), drawn in proportion to the space.
    If there is none, it goes to the split with space that it takes the fewest labels too many to; without space, to the one with most.
    """
    lacking, space = lacking.copy(), space.copy()
    placed = np.empty(repeated.size, dtype=np.int64)
    for number, unit in enumerate(repeated):
        start, stop = units.labels.indptr[unit : unit + 2]
        columns, counts = units.labels.indices[start:stop], n_documents * units.labels.data[start:stop]
        left = (lacking[:, columns] - counts).min(axis=1, initial=0)
        has_space = space + tolerance >= units.weights[unit]
        if not has_space.any():
            split = int(space.argmax())
        elif (good := np.flatnonzero(has_space & ((left >= 0) | any_labels))).size:
            chances = np.maximum(space[good], 1)
            drawn = np.searchsorted(np.cumsum(chances), generator.random() * chances.sum(), side="right")
            split = int(good[drawn])
        else:
            fitting = np.flatnonzero(has_space)
            split = int(fitting[left[fitting].argmax()])
        placed[number] = split
        space[split] -= units.weights[unit]
        lacking[split, columns] -= counts
    return placed


def _place_single(
    units: Units,
    splits: Numbers,
    lacking: list[list[int]],
    space: list[int],
    n_documents: int,
    *,
    train: bool,
) -> None:
    """Place the units that are not placed yet, all of one document, in O(n log n) time for n nonzero labels; in place.

    The label with the fewest unplaced units is next. Each of its units goes to the split that lacks most documents with
    this label; if several splits do, to the one with most space.
    """
    rows = units.rows()
    by_label = sparse.csc_array(units.labels)
    by_label.sort_indices()
    holders, ends = by_label.indices.tolist(), by_label.indptr.tolist()
    is_placed = splits >= 0
    unplaced: list[int] = np.bincount(units.labels[~is_placed].indices, minlength=by_label.shape[1]).tolist()
    # Without a training split no label is missing there.
    in_train: list[bool] = [not train] * by_label.shape[1]
    if train:
        for label in np.unique(units.labels[splits == 0].indices):
            in_train[label] = True
    placed = splits.tolist()
    choices = range(len(space))
    waiting = [(count, label) for label, count in enumerate(unplaced)]
    heapq.heapify(waiting)

    def place(unit: int, split: int) -> None:
        placed[unit] = split
        space[split] -= 1
        lacks = lacking[split]
        for label in rows[unit]:
            lacks[label] -= n_documents
            unplaced[label] -= 1
            heapq.heappush(waiting, (unplaced[label], label))
            if split == 0:
                in_train[label] = True

    while waiting:
        count, label = heapq.heappop(waiting)
        if count == 0 or count != unplaced[label]:  # the label is done, or has a later entry
            continue
        for unit in holders[ends[label] : ends[label + 1]]:
            if placed[unit] >= 0:
                continue
            if space[0] > 0 and any(unplaced[other] == 1 and not in_train[other] for other in rows[unit]):
                place(unit, 0)
            else:
                open_choices = [split for split in choices if space[split] > 0]
                place(unit, max(open_choices, key=lambda split: (lacking[split][label], space[split])))
    for unit in np.flatnonzero(~is_placed).tolist():
        if placed[unit] < 0:  # a unit without a label
            place(unit, max(choices, key=space.__getitem__))
    splits[:] = placed


def keep_labels_in_train(splits: Numbers, units: Units, *, exactly: bool) -> None:
    """Move units into the training split (number 0) until it holds every label; in place.

    For each, as many single documents move back to the split that it came from. They are those whose rarest label is the
    most frequent, and never the last of a label in training. If there are none, nothing moves if `exactly`; else training
    becomes larger.
    """
    counts = np.asarray(units.labels.sum(axis=0)).reshape(-1)
    in_train = np.bincount(units.labels[splits == 0].indices, minlength=counts.size)
    missing = np.flatnonzero((in_train == 0) & (counts > 0))
    if not missing.size:
        return
    rows = units.rows()
    by_label = sparse.csc_array(units.labels)
    by_label.sort_indices()
    candidates = np.flatnonzero((splits == 0) & (units.weights == 1)).tolist()
    spare = iter(sorted(candidates, key=lambda unit: -min(counts[rows[unit]], default=0)))
    for label in missing[np.argsort(counts[missing], kind="stable")]:
        if in_train[label]:  # it came with another label
            continue
        holders = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]
        unit = holders[units.weights[holders].argmin()]
        back: list[int] = []
        while len(back) < units.weights[unit] and (other := next(spare, None)) is not None:
            if np.all(in_train[rows[other]] > 1):
                back.append(other)
                in_train[rows[other]] -= 1
        if exactly and len(back) < units.weights[unit]:
            return
        splits[back] = splits[unit]
        splits[unit] = 0
        in_train[rows[unit]] += 1


def even_out(splits: Numbers, units: Units, targets: Numbers, *, train: bool) -> None:
    """Exchange units of equal size between splits while that brings the labels nearer to their shares; in place.

    What falls is the sum over splits and labels of (documents with the label - those it should have)^2 / all of them. The
    labels that are placed last need it most, because they find little space. No label leaves training.
    """
    totals = np.asarray(units.labels.sum(axis=0)).reshape(-1)
    n_documents = int(targets.sum())
    scale = np.maximum(2**20 // np.maximum(totals, 1), 1)  # whole numbers have no rounding errors
    counts = np.stack([np.asarray(units.labels[splits == s].sum(axis=0)).reshape(-1) for s in range(targets.size)])
    excess = n_documents * counts - np.outer(targets, totals)
    in_train = np.bincount(units.labels[splits == 0].indices, minlength=totals.size)
    pairs = list(itertools.combinations(np.flatnonzero(targets > 0).tolist(), 2))
    weights, n_units = np.unique(units.weights, return_counts=True)
    for weight, (a, b) in itertools.product(weights[n_units > 1], pairs * 2):
        members = np.flatnonzero(units.weights == weight)
        rows = units.labels[members]
        own = n_documents * (rows.power(2) @ scale)
        stays = np.zeros(members.size, dtype=bool)  # the last unit of a label in training
        for _ in range(MAX_EXCHANGES):
            moves, gain = [], 0
            for source, goal in ((a, b), (b, a)):
                gains = rows @ (scale * (excess[source] - excess[goal])) - own
                gains[stays | (splits[members] != source)] = IMPOSSIBLE
                while gains[best := int(gains.argmax())] > IMPOSSIBLE:
                    moved = slice(*rows.indptr[best : best + 2])
                    if not train or source > 0 or np.all(in_train[rows.indices[moved]] > 1):
                        break
                    stays[best], gains[best] = True, IMPOSSIBLE
                moves.append((best, source, goal))
                gain += int(gains[best])
            if gain <= 0:
                break
            for position, source, goal in moves:
                moved = slice(*rows.indptr[position : position + 2])
                columns, documents = rows.indices[moved], n_documents * rows.data[moved]
                excess[source, columns] -= documents
                excess[goal, columns] += documents
                in_train[columns] += int(goal == 0) - int(source == 0)
                splits[members[position]] = goal
