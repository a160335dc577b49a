"""ML-ROS and ML-RUS: random over- and under-sampling by the imbalance ratio IRLbl of each label.

Charte, Rivera, del Jesus and Herrera, "Addressing imbalance in multilabel classification: Measures and random
resampling algorithms", Neurocomputing 163, 2015, algorithms 3 and 4. Two slips of the R package mldr.resampling are not
repeated: there ML-ROS never finds that a label has enough copies, and ML-RUS draws documents with replacement.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import AugmentationInfo, Augmented, Selection, check_number
from afl_helpers.data.imbalance import mean_imbalance_ratio, minority_labels


@dataclass(kw_only=True, eq=False)
class MLROS(Selection):
    """Repeat documents of each label whose IRLbl is above the mean, in turn, until it no longer is.

    Args:
        rate: documents to add, divided by the number of documents; fewer are added if no label is left.
    """

    rate: float = 0.25

    def _check(self) -> None:
        check_number("rate", self.rate, 0)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        n = round(self.rate * len(labels))
        return np.sort(np.concatenate([data.positions, _repeat_rare_labels(labels, n, rng)])) if n else data.positions


@dataclass(kw_only=True, eq=False)
class MLRUS(Selection):
    """Leave out documents that carry no label whose IRLbl is above the mean.

    Args:
        rate: documents to leave out, divided by the number of documents; fewer leave if there are not so many.
    """

    rate: float = 0.25

    def _check(self) -> None:
        check_number("rate", self.rate, 0, 1)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        n = round(self.rate * len(labels))
        if n == 0:
            return data.positions
        without = np.flatnonzero(~labels[:, minority_labels(labels.sum(axis=0))].any(axis=1))
        return np.delete(data.positions, rng.permutation(without)[:n])


def _repeat_rare_labels(labels: NDArray[np.bool], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``n`` documents in turn from the labels whose IRLbl is above the mean; a label leaves when it no longer is."""
    counts = labels.sum(axis=0).astype(np.float64)
    mean = mean_imbalance_ratio(counts)
    rare = list(np.flatnonzero(minority_labels(counts)))
    documents = {label: np.flatnonzero(labels[:, label]) for label in rare}
    added: list[int] = []
    while rare and len(added) < n:
        for label in list(rare):
            if len(added) == n:
                break
            document = rng.choice(documents[label])
            added.append(document)
            counts += labels[document]
            if counts.max() / counts[label] <= mean:
                rare.remove(label)
    return np.array(added, dtype=np.int64)


_SOURCE = "Charte et al., Neurocomputing 163, 2015"

ENTRIES = {
    "ml_ros": AugmentationInfo(
        title="ML-ROS: copies of documents with rare labels",
        build=MLROS,
        source=_SOURCE,
        grade="code read",
        tuned="rate",
        values=(0.1, 0.25, 0.5),
        neutral={"rate": 0},
        differs="a slip of the package mldr.resampling is not repeated",
    ),
    "ml_rus": AugmentationInfo(
        title="ML-RUS: fewer documents without rare labels",
        build=MLRUS,
        source=_SOURCE,
        grade="code read",
        tuned="rate",
        values=(0.1, 0.25, 0.5),
        neutral={"rate": 0},
        differs="a slip of the package mldr.resampling is not repeated",
    ),
}
