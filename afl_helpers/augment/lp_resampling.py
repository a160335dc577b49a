"""LP-ROS and LP-RUS: random over- and under-sampling by label set.

Charte, Rivera, del Jesus and Herrera, "Addressing imbalance in multilabel classification: Measures and random
resampling algorithms", Neurocomputing 163, 2015, algorithms 1 and 2. One thing differs: the authors' group (R package
mldr.resampling) gives each set that is too rare the same number of copies, as far as it lacks them, and shares out what is
left; here chance shares all copies in proportion to what the sets lack. Where all sets reach the mean, that is the same.
LP-RUS differs likewise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import AugmentationInfo, Augmented, Selection, check_number


@dataclass(kw_only=True, eq=False)
class LPROS(Selection):
    """Repeat documents whose label set is rarer than the mean, which raises these sets evenly towards the mean.

    Args:
        rate: documents to add, divided by the number of documents; fewer are added if all sets have reached the mean.
    """

    rate: float = 0.25

    def _check(self) -> None:
        check_number("rate", self.rate, 0)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        n = round(self.rate * len(labels))
        return np.sort(np.concatenate([data.positions, _repeat_rare_sets(labels, n, rng)])) if n else data.positions


@dataclass(kw_only=True, eq=False)
class LPRUS(Selection):
    """Leave out documents whose label set is more frequent than the mean; no such set falls below the mean.

    Args:
        rate: documents to leave out, divided by the number of documents; fewer leave if all sets have reached the mean.
    """

    rate: float = 0.25

    def _check(self) -> None:
        check_number("rate", self.rate, 0, 1)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        n = round(self.rate * len(labels))
        return np.delete(data.positions, _drop_frequent_sets(labels, n, rng)) if n else data.positions


def _label_sets(labels: NDArray[np.bool]) -> list[NDArray[np.int64]]:
    """Group the documents by their set of labels."""
    _, which = np.unique(np.packbits(labels, axis=1), axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    return np.split(order, np.cumsum(np.bincount(which.reshape(-1)))[:-1])


def _repeat_rare_sets(labels: NDArray[np.bool], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``n`` documents, with repetition, that raise the label sets below the mean size evenly towards the mean."""
    sets = _label_sets(labels)
    mean = len(labels) / len(sets)
    rare = [documents for documents in sets if len(documents) < mean]
    if not rare:
        return np.empty(0, dtype=np.int64)
    room = np.array([int(np.ceil(mean - len(documents))) for documents in rare])
    slots = np.repeat(np.arange(len(rare)), room)
    chosen = rng.permutation(slots)[:n]
    return np.array([rng.choice(rare[i]) for i in chosen], dtype=np.int64)


def _drop_frequent_sets(labels: NDArray[np.bool], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``n`` documents whose removal leaves no label set that is above the mean size below it."""
    sets = _label_sets(labels)
    mean = len(labels) / len(sets)
    spare = [
        rng.permutation(documents)[: len(documents) - int(np.ceil(mean))] for documents in sets if len(documents) > mean
    ]
    return rng.permutation(np.concatenate(spare))[:n] if spare else np.empty(0, dtype=np.int64)


_SOURCE = "Charte et al., Neurocomputing 163, 2015"
_SHARED_BY_CHANCE = "chance shares the {} in proportion to what the label sets {}; the code of the authors' group {} each the same number first"

ENTRIES = {
    "lp_ros": AugmentationInfo(
        title="LP-ROS: copies of documents with rare label sets",
        build=LPROS,
        source=_SOURCE,
        grade="code read",
        tuned="rate",
        values=(0.1, 0.25, 0.5),
        neutral={"rate": 0},
        differs=_SHARED_BY_CHANCE.format("copies", "lack", "gives"),
    ),
    "lp_rus": AugmentationInfo(
        title="LP-RUS: fewer documents with frequent label sets",
        build=LPRUS,
        source=_SOURCE,
        grade="code read",
        tuned="rate",
        values=(0.1, 0.25, 0.5),
        neutral={"rate": 0},
        differs=_SHARED_BY_CHANCE.format("removals", "have too much", "takes from"),
    ),
}
