"""Synthetic documents as combinations of a dictionary of vectors.

After Park, Song and Kang, "Imbalanced Classification via Feature Dictionary-Based Minority Oversampling", IEEE Access 10,
2022, which is about images of fashion; its abstract alone was reachable. It says that features of minority classes are
synthesised from entries of a dictionary, and that the classifier alone is trained on them. The rest is our construction.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from afl_helpers.augment.base import Augmentation, AugmentationInfo, Augmented, Takes, appended, check_number, passes
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import require


@dataclass(kw_only=True, eq=False)
class FeatureDictionary(Augmentation):
    """Move documents with minority labels towards a dictionary of typical vectors. Our construction.

    The dictionary of a minority label has the k-means centres of all documents and the mean of the label's own documents.
    For a document s of the label, entries a_j weigh w = softmax(cos(s, a_j) / temperature), and the new vector is
    s + r sum_j w_j (a_j - s), with r uniform on [0, strength). It has the labels of s.

    Args:
        rate: new documents per document and minority label.
        n_atoms: k-means centres; fewer if there are fewer different documents.
        temperature: the lower, the more the nearest entry outweighs the others.
        strength: the largest share of the way towards the dictionary. At 0, the new documents are copies.
    """

    rate: float = 1.0
    n_atoms: int = 16
    temperature: float = 0.1
    strength: float = 0.3

    takes: ClassVar[Takes] = "vectors"

    def _check(self) -> None:
        check_number("rate", self.rate, 0)
        check_number("n_atoms", self.n_atoms, 1, integer=True)
        check_number("temperature", self.temperature, 1e-6)
        check_number("strength", self.strength, 0, 1)

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        vectors = data.documents
        rare = np.flatnonzero(minority_labels(labels.sum(axis=0)))
        if self.rate == 0 or not len(rare):
            return data
        centres = self._centres(vectors, rng)
        seeds, moved = [], []
        for label in rare:
            bag = np.flatnonzero(labels[:, label])
            chosen = passes(bag, round(self.rate * len(bag)), rng)
            atoms = np.concatenate([centres, vectors[bag].mean(axis=0, keepdims=True)])
            shares = self.strength * rng.random((len(chosen), 1))
            moved.append(
                vectors[chosen] + shares * (attend(vectors[chosen], atoms, self.temperature) - vectors[chosen])
            )
            seeds.append(chosen)
        positions = np.concatenate(seeds)
        return appended(data, np.concatenate(moved), labels[positions], positions)

    def _centres(self, vectors: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Return the k-means centres of all documents."""
        different = np.unique(vectors, axis=0)
        if len(different) <= self.n_atoms:
            return different
        cluster = require("sklearn.cluster", "data", "FeatureDictionary")
        means = cluster.KMeans(self.n_atoms, n_init=1, random_state=int(rng.integers(2**31))).fit(vectors)
        centres: NDArray[Any] = means.cluster_centers_
        return centres


def cosines(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine of each row of the one with each row of the other; 0 for a row of zeros."""

    def unit(rows: NDArray[Any]) -> NDArray[np.float64]:
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        return rows / np.where(lengths > 0, lengths, 1.0)

    return unit(one) @ unit(other).T


def attend(queries: NDArray[Any], entries: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Return, for each query, the mean of the entries, weighted by softmax(cosine / temperature).

    Example:
        >>> import numpy as np
        >>> from afl_helpers.augment.feature_dictionary import attend
        >>> attend(np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 4.0]]), temperature=1 / np.log(3)).tolist()
        [[1.5, 1.0]]
    """
    weighted: NDArray[np.float64] = softmax(cosines(queries, entries) / temperature, axis=1) @ entries
    return weighted


ENTRIES = {
    "feature_dictionary": AugmentationInfo(
        title="Documents moved towards a dictionary of vectors",
        build=FeatureDictionary,
        source="Park et al., IEEE Access 10, 2022",
        grade="abstract only",
        tuned="rate",
        values=(0.5, 1, 2),
        neutral={"rate": 0},
        cited="[21]",
    ),
}
