"""Synthetic documents near hard documents with rare labels.

After Tian et al., MISO (EMNLP 2021, id 2021.emnlp-main.252), of which the abstract alone was reachable. It says that hard
documents of minority classes attend to near documents of majority classes, and that a mutual-information loss keeps their
meaning. There is no such loss here: a check on the result stands in its place. The rest, too, is our construction.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from afl_helpers.arrays import as_numbers, check_row_order
from afl_helpers.augment.base import (
    Augmentation,
    AugmentationInfo,
    Augmented,
    Takes,
    appended,
    check_number,
    passes,
)
from afl_helpers.augment.feature_dictionary import cosines
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import UsageError
from afl_helpers.evaluation.validation import check_label_order


@dataclass(kw_only=True, eq=False)
class HardExamples(Augmentation):
    """Move hard documents with minority labels towards near documents without the label. Our construction.

    Of the documents of a minority label, those with the lowest scores for it are hard. For such a document s, m is the
    mean of its nearest documents without the label, weighted by softmax(cosine / temperature), and the new vector is
    s + r (m - s), with r uniform on [0, strength). It is kept if it is no further from the label's mean vector than s is,
    by the cosine, and it has the labels of s. A label with one document is skipped.

    Args:
        rate: trials per hard document and label; as many new documents arise at most.
        scores: (n_documents, n_labels), of the documents that are passed, in their order; the higher, the more the label
            applies. Best are scores of a model that was not trained on the document. None takes the cosine with the
            label's mean vector.
        share: share of the label's documents that are hard, at least one document.
        n_neighbors: documents without the label that m is the mean of.
        temperature: the lower, the more the nearest one outweighs the others.
        strength: the largest share of the way towards m.
    """

    rate: float = 1.0
    scores: ArrayLike | None = None
    share: float = 1 / 3
    n_neighbors: int = 5
    temperature: float = 0.1
    strength: float = 0.3

    takes: ClassVar[Takes] = "vectors"

    def _check(self) -> None:
        check_number("rate", self.rate, 0)
        check_number("share", self.share, 0, 1)
        check_number("n_neighbors", self.n_neighbors, 1, integer=True)
        check_number("temperature", self.temperature, 1e-6)
        check_number("strength", self.strength, 0, 1)

    def _check_order(self, X: Any, Y: Any) -> None:
        super()._check_order(X, Y)
        check_row_order(Y=Y, scores=self.scores)
        check_label_order({"Y": Y, "scores": self.scores})

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        scores = None if self.scores is None else as_numbers(self.scores, "scores")
        if scores is not None and scores.shape != labels.shape:
            raise UsageError(
                f"scores has shape {scores.shape}, and Y {labels.shape}; pass one score per document and label"
            )
        if scores is not None and not np.isfinite(scores).all():
            raise UsageError("scores hold NaN or infinity; pass a finite score per document and label")
        vectors, seeds, made = data.documents, [], []
        for label in np.flatnonzero(minority_labels(labels.sum(axis=0))) if self.rate else ():
            bag, others = np.flatnonzero(labels[:, label]), np.flatnonzero(~labels[:, label])
            if len(bag) < 2 or not len(others):
                continue
            prototype = vectors[bag].mean(axis=0, keepdims=True)
            known = cosines(vectors[bag], prototype)[:, 0] if scores is None else scores[bag, label]
            hard = bag[np.argsort(known, kind="stable")[: max(1, round(self.share * len(bag)))]]
            chosen = passes(hard, round(self.rate * len(hard)), rng)
            towards = self._mixtures(vectors[chosen], vectors[others])
            new = vectors[chosen] + self.strength * rng.random((len(chosen), 1)) * (towards - vectors[chosen])
            kept = cosines(new, prototype)[:, 0] >= cosines(vectors[chosen], prototype)[:, 0]
            made.append(new[kept])
            seeds.append(chosen[kept])
        if not seeds:
            return data
        positions = np.concatenate(seeds)
        return appended(data, np.concatenate(made), labels[positions], positions)

    def _mixtures(self, queries: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
        """Return, for each query, the weighted mean of its nearest others."""
        near = cosines(queries, others)
        k = min(self.n_neighbors, len(others))
        nearest = np.argsort(-near, axis=1, kind="stable")[:, :k]
        weights = softmax(np.take_along_axis(near, nearest, axis=1) / self.temperature, axis=1)
        return np.einsum("ij,ijk->ik", weights, others[nearest].astype(np.float64))


ENTRIES = {
    "hard_examples": AugmentationInfo(
        title="Hard documents moved towards their neighbours",
        build=HardExamples,
        source="Tian et al., EMNLP 2021",
        grade="abstract only",
        tuned="rate",
        values=(1, 2, 4),
        neutral={"rate": 0},
        cited="[21]",
    ),
}
