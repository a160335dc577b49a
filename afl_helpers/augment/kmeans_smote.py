"""K-means SMOTE, one binary problem per label.

Douzas, Bacao and Last, "Improving imbalanced learning through a heuristic oversampling method based on k-means and
SMOTE", Information Sciences 465, 2018, as imbalanced-learn has it. The method is for one label; the use for several is
that of a rival, and the threshold of the clusters is ours.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from afl_helpers.augment.base import Augmentation, AugmentationInfo, Augmented, Takes, appended, check_number
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import require


@dataclass(kw_only=True, eq=False)
class KMeansSMOTE(Augmentation):
    """Make documents of each minority label by SMOTE inside those k-means clusters in which it is frequent enough.

    Each label is a binary problem of its own: its new documents carry no other label, whatever their neighbours carry. So
    they are known for their own label only, and :attr:`known_` says so. With many labels this is slow, and what labels
    have to do with each other is lost.

    Args:
        rate: new documents per document of a minority label; a few more may arise, because each cluster rounds up.
        n_clusters: clusters of all documents.
        k_neighbors: neighbours within a cluster that SMOTE looks at.
        threshold: share of a cluster's documents that must carry the label. None is the label's share among all
            documents. "auto" is imbalanced-learn's, one half for a single label, which no rare label reaches.

    Attributes:
        known_: set by ``fit_resample``; bool of shape (n_resampled, n_labels), False where a label of a new document is
            not known. It is the ``mask`` of a loss.
        skipped_: set by ``fit_resample``; the minority labels for which no cluster qualifies.
        sample_indices_: for a new document, the position of the document of its label that is nearest: which two
            documents it was made from is not known.

    Raises:
        MissingExtraError: by ``fit_resample``; imbalanced-learn is not installed.
    """

    rate: float = 1.0
    n_clusters: int = 8
    k_neighbors: int = 2
    threshold: float | Literal["auto"] | None = None

    takes: ClassVar[Takes] = "vectors"

    def _check(self) -> None:
        check_number("rate", self.rate, 0)
        check_number("n_clusters", self.n_clusters, 1, integer=True)
        check_number("k_neighbors", self.k_neighbors, 1, integer=True)
        if self.threshold not in (None, "auto"):
            check_number("threshold", self.threshold, 0, 1)

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        counts = labels.sum(axis=0)
        new_vectors, new_labels, seeds = [], [], []
        self.skipped_: list[int] = []
        for label in np.flatnonzero(minority_labels(counts)):
            n = round(self.rate * int(counts[label]))
            if n == 0:
                continue
            made = self._make(data.documents, labels[:, label], n, int(rng.integers(2**31)))
            if made is None:
                self.skipped_.append(int(label))
                continue
            bag = np.flatnonzero(labels[:, label])
            between = cdist(made, data.documents[bag], "sqeuclidean")
            new_vectors.append(made)
            new_labels.append(np.tile(np.arange(labels.shape[1]) == label, (len(made), 1)))
            seeds.append(bag[between.argmin(axis=1)])
        self.known_: NDArray[np.bool] = np.concatenate([np.ones_like(labels), *new_labels])
        if not seeds:
            return data
        return appended(data, np.concatenate(new_vectors), np.concatenate(new_labels), np.concatenate(seeds))

    def _make(
        self, vectors: NDArray[np.floating], carries: NDArray[np.bool], n: int, seed: int
    ) -> NDArray[np.floating] | None:
        """Return the new vectors of one label; None if no cluster qualifies."""
        over_sampling = require("imblearn.over_sampling", "augment", "KMeansSMOTE")
        cluster = require("sklearn.cluster", "data", "KMeansSMOTE")
        n_with = int(carries.sum())
        if carries.all() or n_with <= self.k_neighbors:
            return None
        clusters = cluster.MiniBatchKMeans(min(self.n_clusters, len(vectors)), n_init=1, random_state=seed)
        method = over_sampling.KMeansSMOTE(
            sampling_strategy={1: n_with + n},
            kmeans_estimator=clusters,
            k_neighbors=self.k_neighbors,
            cluster_balance_threshold=carries.mean() if self.threshold is None else self.threshold,
            random_state=seed,
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # clusters of equal documents; labels that outgrow the rest
                resampled, _ = method.fit_resample(vectors, carries.astype(np.int64))
        except RuntimeError:  # no cluster qualifies
            return None
        except ValueError as error:  # the documents of the label are equal in all clusters that qualify
            if "NaN" not in str(error):
                raise
            return None
        made: NDArray[np.floating] = resampled[len(vectors) :]
        return made


ENTRIES = {
    "kmeans_smote": AugmentationInfo(
        title="K-means SMOTE, label by label",
        build=KMeansSMOTE,
        source="Douzas et al., Information Sciences 465, 2018",
        grade="code read",
        tuned="rate",
        values=(0.5, 1, 2),
        neutral={"rate": 0},
        differs="a binary problem per label, and the threshold of the clusters is the label's share among all documents",
    ),
}
