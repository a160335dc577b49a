"""MLSMOTE: synthetic documents between documents that share a rare label.

Charte, Rivera, del Jesus and Herrera, "MLSMOTE: Approaching imbalanced multilabel learning through synthetic instance
generation", Knowledge-Based Systems 89, 2015. The code of the authors' group that was read is the R package
mldr.resampling 0.2.3. Two slips of it are not repeated: there the nearest neighbour is lost, and so is the first
synthetic document. IRLbl and the bags are those of the input, as in that code. The loop in the article computes the IRLbl of
each label again on the data grown so far; we say so from memory, as the article itself was not at hand.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from afl_helpers.arrays import check_flag
from afl_helpers.augment.base import (
    Augmentation,
    AugmentationInfo,
    Augmented,
    Takes,
    appended,
    check_number,
    passes,
)
from afl_helpers.augment.neighbours import nearest_neighbours
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import check_choice

RULES = ("ranking", "union", "intersection")


@dataclass(kw_only=True, eq=False)
class MLSMOTE(Augmentation):
    """Make documents between a document with a minority label and one of its neighbours with the same label.

    A minority label has an IRLbl above MeanIR; its bag is the documents that carry it. For each document s of a bag, r is
    one of its k nearest neighbours in the bag, and the new vector is s + u (r - s) with u uniform on [0, 1). IRLbl, MeanIR
    and the bags are those of the documents that are passed. A bag of one document is skipped; in a bag of at most k
    documents, all others are neighbours.

    Args:
        rate: new documents per document of a bag. 1 is the method's; with less, chance decides which documents get one.
        k_neighbors: k.
        rule: labels of a new document. "ranking": those of more than half of s and its neighbours; "union": those of any
            of them; "intersection": those of all.
        per_attribute: draw one u per feature, as the authors do. False draws one per document, which then lies on the
            line between s and r.
    """

    rate: float = 1.0
    k_neighbors: int = 5
    rule: Literal["ranking", "union", "intersection"] = "ranking"
    per_attribute: bool = True

    takes: ClassVar[Takes] = "vectors"

    def _check(self) -> None:
        check_number("rate", self.rate, 0)
        check_number("k_neighbors", self.k_neighbors, 1, integer=True)
        check_choice("rule", self.rule, RULES)
        check_flag("per_attribute", self.per_attribute)

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        vectors, new_vectors, new_labels, seeds = data.documents, [], [], []
        for label in np.flatnonzero(minority_labels(labels.sum(axis=0))):
            bag = np.flatnonzero(labels[:, label])
            n = round(self.rate * len(bag))
            if len(bag) < 2 or n == 0:
                continue
            neighbours = nearest_neighbours(vectors[bag], self.k_neighbors)
            rows = passes(np.arange(len(bag)), n, rng)
            chosen = neighbours[rows, rng.integers(neighbours.shape[1], size=n)]
            start, end = vectors[bag[rows]], vectors[bag[chosen]]
            share = rng.random((n, vectors.shape[1] if self.per_attribute else 1))
            new_vectors.append(start + share * (end - start))
            around = np.concatenate([rows[:, None], neighbours[rows]], axis=1)
            new_labels.append(self._labels(labels[bag[around]]))
            seeds.append(bag[rows])
        if not seeds:
            return data
        return appended(data, np.concatenate(new_vectors), np.concatenate(new_labels), np.concatenate(seeds))

    def _labels(self, around: NDArray[np.bool]) -> NDArray[np.bool]:
        """Combine the labels of each document and its neighbours, of shape (n, 1 + n_neighbours, n_labels)."""
        if self.rule == "union":
            return np.asarray(around.any(axis=1))
        if self.rule == "intersection":
            return np.asarray(around.all(axis=1))
        return around.sum(axis=1) > around.shape[1] / 2


def _entry(title: str, rule: str) -> AugmentationInfo:
    return AugmentationInfo(
        title=title,
        build=MLSMOTE,
        source="Charte et al., Knowledge-Based Systems 89, 2015",
        grade="code read",
        tuned="rate",
        values=(0.5, 1, 2),
        neutral={"rate": 0},
        fixed={"rule": rule},
        differs="two slips of the code of the authors' group are not repeated; as in that code, imbalance is measured once, while"
        " the article (from memory) measures it again for each label, on the data grown so far",
    )


ENTRIES = {
    "mlsmote": _entry("MLSMOTE, labels of the majority of neighbours", "ranking"),
    "mlsmote_union": _entry("MLSMOTE, labels of any neighbour", "union"),
    "mlsmote_intersection": _entry("MLSMOTE, labels of all neighbours", "intersection"),
}
