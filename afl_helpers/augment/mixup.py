"""mixup on vectors: training on points between two documents, with targets between theirs.

Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018, Eq. 1. On the vector of a
whole text it is the senMixup of Guo, Mao and Zhang, arXiv 1905.08941, 2019. Lee, Kim and Lee (BigComp 2021) combine
mixup with focal loss; their abstract alone was reachable.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.augment.base import Augmentation, AugmentationInfo, Augmented, Takes, check_number, is_sparse
from afl_helpers.data.imbalance import imbalance_ratios


@dataclass(kw_only=True, eq=False)
class Mixup(Augmentation):
    """Move each document towards a partner: x = lam x_i + (1 - lam) x_j, and the same for its labels.

    lam has the distribution Beta(alpha, alpha), drawn for each document. The partners are a permutation of the documents.
    The number of documents stays. The labels become numbers from 0 to 1, in the type of the vectors: a loss must take soft
    targets (``LOSSES[name].soft_targets``). mixup is meant to be drawn anew in each epoch: call :meth:`fit_resample` once
    per epoch with one and the same Generator.

    Args:
        alpha: 0 mixes nothing, and returns the labels as they are. Values used on texts are 1 (Guo et al.) and, on
            images, 0.2 to 0.4.
    """

    alpha: float = 1.0

    takes: ClassVar[Takes] = "vectors"

    def _check(self) -> None:
        check_number("alpha", self.alpha, 0)

    def _partners(self, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.permutation(len(labels))

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        if self.alpha == 0 or not len(labels):
            return data
        partners = self._partners(labels, rng)
        share = rng.beta(self.alpha, self.alpha, size=(len(labels), 1)).astype(data.documents.dtype)
        vectors = mix(data.documents, data.documents[partners], share)
        targets = labels.astype(data.documents.dtype)
        mixed = mix(targets, targets[partners], share)
        return Augmented(vectors, sparse.csr_array(mixed) if is_sparse(data.labels) else mixed, data.positions)


@dataclass(kw_only=True, eq=False)
class BalancedMixup(Mixup):
    """Mix as :class:`Mixup` does, with partners that carry rare labels. Our construction.

    The partner of a document is drawn with a probability proportional to the highest IRLbl among its labels, or to 1 if
    it has none. Every document therefore still takes part, and many of them move towards rare labels.
    """

    def _partners(self, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        weights = partner_weights(labels)
        return rng.choice(len(labels), size=len(labels), p=weights / weights.sum())


def mix(one: NDArray[Any], other: NDArray[Any], share: NDArray[Any]) -> NDArray[Any]:
    """Return ``share`` of the one and the rest of the other."""
    mixed: NDArray[Any] = share * one + (1 - share) * other
    return mixed


def partner_weights(labels: NDArray[np.bool], label_counts: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Return the highest IRLbl among the labels of each document, 1 for a document without labels.

    Args:
        labels: (n_documents, n_labels).
        label_counts: (n_labels,), documents per label that IRLbl comes from; by default, those of ``labels``.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.augment.mixup import partner_weights
        >>> partner_weights(np.array([[1, 1], [1, 0], [1, 0], [0, 0]], dtype=bool)).tolist()
        [3.0, 1.0, 1.0, 1.0]
    """
    ratios = imbalance_ratios(labels.sum(axis=0) if label_counts is None else label_counts)
    return np.where(labels, np.where(np.isfinite(ratios), ratios, 1.0), 1.0).max(axis=1, initial=1.0)


ENTRIES = {
    "mixup": AugmentationInfo(
        title="mixup of vectors",
        build=Mixup,
        source="Zhang et al., ICLR 2018; Guo et al., arXiv 1905.08941",
        grade="paper known",
        tuned="alpha",
        values=(0.2, 0.4, 1),
        neutral={"alpha": 0},
    ),
    "balanced_mixup": AugmentationInfo(
        title="mixup of vectors with partners that carry rare labels",
        build=BalancedMixup,
        source="Lee et al., BigComp 2021",
        grade="abstract only",
        tuned="alpha",
        values=(0.2, 0.4, 1),
        neutral={"alpha": 0},
        cited="[16]",
    ),
}
