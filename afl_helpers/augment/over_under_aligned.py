"""Over- and under-sampling of labels towards one target.

After ML-OUSCA of Taha et al., Journal of ICT 20(3), 2021, of which the abstract alone was reachable.
It says that a new training set is built by over-sampling small classes and under-sampling big ones, with an alignment of
the classes; how is not known. What stands here is our construction, and not that method.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import AugmentationInfo, Augmented, Selection, check_number


@dataclass(kw_only=True, eq=False)
class OverUnderAligned(Selection):
    """Move the counts of labels towards one target T from both sides. Our construction.

    First, for each label below T, the rarest first, its documents are repeated until it has T; those with the fewest
    labels above T come first. Then, for each label above T, the most frequent first, documents that were not repeated
    leave in random order, if each of their labels keeps at least T documents. So a label with n documents keeps at least
    min(n, T), and a document without labels stays.

    Args:
        rate: documents to add at most, and to leave out at most, divided by the number of documents.
        target: T as a multiple of the median count of the labels that have documents.
        max_copies: copies of one document at most.
    """

    rate: float = 0.25
    target: float = 1.0
    max_copies: int = 5

    def _check(self) -> None:
        check_number("rate", self.rate, 0)
        check_number("target", self.target, 0)
        check_number("max_copies", self.max_copies, 1, integer=True)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        counts, n = labels.sum(axis=0), round(self.rate * len(labels))
        if n == 0 or not counts.any():
            return data.positions
        target = self.target * float(np.median(counts[counts > 0]))
        copies = self._add(labels, counts, target, n, rng)
        leave = _leave_out(labels, counts, target, n, copies > 0, rng)
        return np.concatenate([data.positions[~leave], np.repeat(data.positions, copies)])

    def _add(
        self, labels: NDArray[np.bool], counts: NDArray[np.int64], target: float, n: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the number of copies of each document, and add them to ``counts``."""
        copies = np.zeros(len(labels), dtype=np.int64)
        frequent = (labels & (counts > target)).sum(axis=1)
        for label in np.argsort(counts, kind="stable"):
            documents = np.flatnonzero(labels[:, label])
            documents = documents[np.lexsort((rng.random(len(documents)), frequent[documents]))]
            for document in np.tile(documents, self.max_copies):
                if counts[label] >= target or copies.sum() == n:
                    break
                if copies[document] < self.max_copies:
                    copies[document] += 1
                    counts += labels[document]
        return copies


def _leave_out(
    labels: NDArray[np.bool],
    counts: NDArray[np.int64],
    target: float,
    n: int,
    stay: NDArray[np.bool],
    rng: np.random.Generator,
) -> NDArray[np.bool]:
    """Return which documents leave, at most ``n``, and subtract them from ``counts``."""
    leave, stay = np.zeros(len(labels), dtype=bool), stay | ~labels.any(axis=1)
    for label in np.argsort(-counts, kind="stable"):
        for document in rng.permutation(np.flatnonzero(labels[:, label] & ~stay & ~leave)):
            if counts[label] <= target or leave.sum() == n:
                break
            if (counts[labels[document]] - 1 >= target).all():
                leave[document] = True
                counts -= labels[document]
    return leave


ENTRIES = {
    "over_under_aligned": AugmentationInfo(
        title="Over- and under-sampling towards one count per label",
        build=OverUnderAligned,
        source="Taha et al., Journal of ICT 20(3), 2021",
        grade="abstract only",
        tuned="rate",
        values=(0.1, 0.25, 0.5),
        neutral={"rate": 0},
        cited="[15]",
    ),
}
