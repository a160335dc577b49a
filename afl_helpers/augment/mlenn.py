"""MLeNN: leave out documents with frequent labels whose neighbours carry other labels.

Charte, Rivera, del Jesus and Herrera, "MLeNN: A First Approach to Heuristic Multilabel Undersampling", IDEAL 2014. The
defaults are those of the authors' code. It compares a document with the first rows of the data instead of its
neighbours, and the R package mldr.resampling loses the nearest neighbour; neither is repeated.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import AugmentationInfo, Augmented, Selection, Takes, check_number
from afl_helpers.augment.neighbours import nearest_neighbours
from afl_helpers.data.imbalance import minority_labels


@dataclass(kw_only=True, eq=False)
class MLeNN(Selection):
    """Leave out a document without minority labels if at least half of its nearest neighbours carry other labels.

    A minority label has an IRLbl above MeanIR. The labels of two documents differ if their adjusted Hamming distance,
    the number of labels that one of them carries alone over the sum of their numbers of labels, is above a threshold.
    Two documents without labels do not differ. All documents are neighbours, and all leave at once.

    Args:
        threshold: the distance above which labels differ; at 1, nothing leaves.
        n_neighbors: neighbours per document.
    """

    threshold: float = 0.75
    n_neighbors: int = 3

    takes: ClassVar[Takes] = "vectors"

    def _check(self) -> None:
        check_number("threshold", self.threshold, 0, 1)
        check_number("n_neighbors", self.n_neighbors, 1, integer=True)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        candidates = np.flatnonzero(~labels[:, minority_labels(labels.sum(axis=0))].any(axis=1))
        neighbours = nearest_neighbours(data.documents, self.n_neighbors, candidates)
        differ = adjusted_hamming(labels[candidates][:, None], labels[neighbours]) > self.threshold
        leave = candidates[(differ.sum(axis=1) >= neighbours.shape[1] / 2) & differ.any(axis=1)]
        return np.delete(data.positions, leave)


def adjusted_hamming(one: NDArray[np.bool], other: NDArray[np.bool]) -> NDArray[np.float64]:
    """Return the adjusted Hamming distance of label sets along the last axis; 0 if both are empty.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.augment.mlenn import adjusted_hamming
        >>> adjusted_hamming(np.array([True, True, False]), np.array([True, False, True])).item()  # 2 / (2 + 2)
        0.5
    """
    carried = one.sum(axis=-1) + other.sum(axis=-1)
    return (one ^ other).sum(axis=-1) / np.maximum(carried, 1)


ENTRIES = {
    "mlenn": AugmentationInfo(
        title="MLeNN: fewer documents that disagree with their neighbours",
        build=MLeNN,
        source="Charte et al., IDEAL 2014",
        grade="code read",
        tuned="threshold",
        values=(0.5, 0.75),
        neutral={"threshold": 1},
        differs="two slips of public code are not repeated",
    ),
}
