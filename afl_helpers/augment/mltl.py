"""MLTL: Tomek links for documents with several labels.

Pereira, Costa and Silla Jr., "MLTL: A multi-label approach for the Tomek Link undersampling algorithm", Neurocomputing
383, 2020. The form is that of the first author's code, the class MLTomekLink of his package mulan.resampling. Its
distance divides by the number of labels that either document carries, which is not what MLeNN does.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from afl_helpers.arrays import check_flag
from afl_helpers.augment.base import AugmentationInfo, Augmented, Selection, Takes, check_number
from afl_helpers.augment.neighbours import nearest_neighbours
from afl_helpers.data.imbalance import imbalance_ratios, mean_imbalance_ratio, scumble


@dataclass(kw_only=True, eq=False)
class MLTL(Selection):
    """Leave out a document with a majority label if its nearest neighbour carries too many other labels.

    A majority label has an IRLbl below MeanIR; a document that also carries rare labels is not spared. The distance of
    two documents is the number of labels that one of them carries alone over the number that either carries; it is 0
    if neither carries any. All documents are neighbours, and all leave at once.

    Args:
        threshold: the distance above which a document leaves; at 1, nothing leaves. None takes the authors' rule: 0.5
            if SCUMBLE of the documents is above 0.3 or MeanIR is below 4; else 0.3 if MeanIR is below 1 / 0.09; else
            0.15.
        cleaning: look at all documents, not at those with a majority label alone.
    """

    threshold: float | None = None
    cleaning: bool = False

    takes: ClassVar[Takes] = "vectors"

    def _check(self) -> None:
        if self.threshold is not None:
            check_number("threshold", self.threshold, 0, 1)
        check_flag("cleaning", self.cleaning)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        counts = labels.sum(axis=0)
        majority = imbalance_ratios(counts) < mean_imbalance_ratio(counts)
        looked_at = np.ones(len(labels), dtype=bool) if self.cleaning else labels[:, majority].any(axis=1)
        candidates = np.flatnonzero(looked_at)
        nearest = nearest_neighbours(data.documents, 1, candidates)
        if nearest.shape[1] == 0:
            return data.positions
        threshold = automatic_threshold(labels) if self.threshold is None else self.threshold
        distances = jaccard_distance(labels[candidates], labels[nearest[:, 0]])
        return np.delete(data.positions, candidates[distances > threshold])


def jaccard_distance(one: NDArray[np.bool], other: NDArray[np.bool]) -> NDArray[np.float64]:
    """Return the share of labels that one label set has alone among those that either has, along the last axis."""
    return (one ^ other).sum(axis=-1) / np.maximum((one | other).sum(axis=-1), 1)


def automatic_threshold(labels: NDArray[np.bool]) -> float:
    """Return the threshold that the authors' code takes if none is given; see :class:`MLTL`."""
    if not labels.any() or scumble(labels).mean() > 0.3:
        return 0.5
    root = 1 / np.sqrt(mean_imbalance_ratio(labels.sum(axis=0)))
    return 0.5 if root > 0.5 else 0.3 if root > 0.3 else 0.15


ENTRIES = {
    "mltl": AugmentationInfo(
        title="MLTL: fewer documents with frequent labels that disagree with their nearest neighbour",
        build=MLTL,
        source="Pereira et al., Neurocomputing 383, 2020",
        grade="code read",
        tuned="threshold",
        values=(0.15, 0.3, 0.5, 0.75),
        neutral={"threshold": 1},
    ),
}
