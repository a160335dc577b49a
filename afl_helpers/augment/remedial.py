"""REMEDIAL and REMEDIAL-HwR: separate the rare from the frequent labels of a document, then resample.

Charte, Rivera, del Jesus and Herrera, "Resampling multilabel datasets by decoupling highly imbalanced labels", HAIS
2015; the same, "REMEDIAL-HwR: Tackling multilabel imbalance through label decoupling and data resampling hybridization",
Neurocomputing 326-327, 2019 (arXiv 1802.05031). The code that was read is that of the R package mldr and, for the
hybrids, of mulan.resampling.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.arrays import check_flag
from afl_helpers.augment.base import Augmentation, AugmentationInfo, Augmented, Takes, check_number, is_sparse, take
from afl_helpers.augment.ml_resampling import MLROS
from afl_helpers.augment.mlenn import MLeNN
from afl_helpers.augment.mlsmote import MLSMOTE
from afl_helpers.data.imbalance import minority_labels, scumble


@dataclass(kw_only=True, eq=False)
class REMEDIAL(Augmentation):
    """Copy each document in which rare and frequent labels occur together: one copy keeps the first, one the second.

    These are the documents whose SCUMBLE is above the mean. The document itself keeps its labels with an IRLbl of at most
    MeanIR; a copy at the end gets its minority labels. The number of documents with each label stays as it is.

    The two copies have contradicting targets for the same text. A model that can tell documents apart by their text
    learns to give all these labels a lower score, so expect lower recall before thresholds are tuned.

    Args:
        level: documents whose SCUMBLE is above this multiple of the mean are copied: 1 is the method's, inf copies none.
        empty_copies: also copy a document whose labels are all of one kind, as the authors do: one of its copies then
            has no label at all. False leaves such documents as they are.
    """

    level: float = 1.0
    empty_copies: bool = True

    takes: ClassVar[Takes] = "anything"

    def _check(self) -> None:
        check_number("level", self.level, 0, infinite=True)
        check_flag("empty_copies", self.empty_copies)

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        scores, rare = scumble(labels), minority_labels(labels.sum(axis=0))
        high = np.zeros(len(labels), dtype=bool)
        if math.isfinite(self.level) and len(labels):
            high = scores - self.level * scores.mean() > 1e-12  # a mean of equal scores may round below them
        if not self.empty_copies:
            high &= labels[:, rare].any(axis=1) & labels[:, ~rare].any(axis=1)
        positions = np.concatenate([np.arange(len(labels)), np.flatnonzero(high)])
        separated = labels[positions]
        separated[: len(labels)] &= ~(high[:, None] & rare)
        separated[len(labels) :] &= rare
        dense = separated.astype(data.labels.dtype)
        return Augmented(
            take(data.documents, positions), sparse.csr_array(dense) if is_sparse(data.labels) else dense, positions
        )


class _Hybrid(REMEDIAL):
    """REMEDIAL, then another method on what it returns."""

    @abstractmethod
    def _second(self) -> Augmentation:
        """Return the other method."""

    def _check(self) -> None:
        super()._check()
        self._second()

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        first, second = super()._augment(data, labels, rng), self._second()
        documents, resampled = second.fit_resample(first.documents, first.labels, rng)
        return Augmented(documents, resampled, first.positions[second.sample_indices_])


@dataclass(kw_only=True, eq=False)
class RemedialMLROS(_Hybrid):
    """REMEDIAL, then :class:`~afl_helpers.augment.ml_resampling.MLROS`.

    Args:
        level, empty_copies: those of :class:`REMEDIAL`.
        rate: that of ML-ROS.
    """

    rate: float = 0.25

    def _second(self) -> Augmentation:
        return MLROS(rate=self.rate)


@dataclass(kw_only=True, eq=False)
class RemedialMLSMOTE(_Hybrid):
    """REMEDIAL, then :class:`~afl_helpers.augment.mlsmote.MLSMOTE`.

    Args:
        level, empty_copies: those of :class:`REMEDIAL`.
        rate, k_neighbors, rule, per_attribute: those of MLSMOTE.
    """

    rate: float = 1.0
    k_neighbors: int = 5
    rule: Literal["ranking", "union", "intersection"] = "ranking"
    per_attribute: bool = True

    takes: ClassVar[Takes] = "vectors"

    def _second(self) -> Augmentation:
        return MLSMOTE(rate=self.rate, k_neighbors=self.k_neighbors, rule=self.rule, per_attribute=self.per_attribute)


@dataclass(kw_only=True, eq=False)
class RemedialMLeNN(_Hybrid):
    """REMEDIAL, then :class:`~afl_helpers.augment.mlenn.MLeNN`.

    Args:
        level, empty_copies: those of :class:`REMEDIAL`.
        threshold, n_neighbors: those of MLeNN.
    """

    threshold: float = 0.75
    n_neighbors: int = 3

    takes: ClassVar[Takes] = "vectors"

    def _second(self) -> Augmentation:
        return MLeNN(threshold=self.threshold, n_neighbors=self.n_neighbors)


_HYBRID = "Charte et al., Neurocomputing 326-327, 2019"

ENTRIES = {
    "remedial": AugmentationInfo(
        title="REMEDIAL: rare and frequent labels of a document on two copies",
        build=REMEDIAL,
        source="Charte et al., HAIS 2015",
        grade="code read",
        tuned="level",
        values=(1, 2, 4),
        neutral={"level": math.inf},
    ),
    "remedial_ml_ros": AugmentationInfo(
        title="REMEDIAL, then ML-ROS",
        build=RemedialMLROS,
        source=_HYBRID,
        grade="code read",
        tuned="rate",
        values=(0.1, 0.25, 0.5),
        neutral={"level": math.inf, "rate": 0},
    ),
    "remedial_mlsmote": AugmentationInfo(
        title="REMEDIAL, then MLSMOTE",
        build=RemedialMLSMOTE,
        source=_HYBRID,
        grade="code read",
        tuned="rate",
        values=(0.5, 1, 2),
        neutral={"level": math.inf, "rate": 0},
    ),
    "remedial_mlenn": AugmentationInfo(
        title="REMEDIAL, then MLeNN",
        build=RemedialMLeNN,
        source=_HYBRID,
        grade="code read",
        tuned="threshold",
        values=(0.5, 0.75),
        neutral={"level": math.inf, "threshold": 1},
    ),
}
