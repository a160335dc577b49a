"""The control for every method that makes documents: as many plain copies of the same documents."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import Augmentation, Augmented, Takes, take
from afl_helpers.errors import UsageError


@dataclass(kw_only=True, eq=False)
class PlainCopies(Augmentation):
    """Take the documents from which a method makes its rows, unchanged, with all of their labels.

    If the method helps and this does not, then what it makes is what helps, and not the number of documents.

    Args:
        of: the method.

    Example:
        >>> from afl_helpers.augment import MLSMOTE, PlainCopies
        >>> vectors, labels = [[0.0], [1.0], [2.0], [8.0]], [[1, 1], [1, 1], [1, 0], [1, 0]]
        >>> MLSMOTE().fit_resample(vectors, labels)[0].ravel().round(1).tolist()
        [0.0, 1.0, 2.0, 8.0, 0.3, 1.0]
        >>> PlainCopies(of=MLSMOTE()).fit_resample(vectors, labels)[0].ravel().round(1).tolist()
        [0.0, 1.0, 2.0, 8.0, 0.0, 1.0]
    """

    of: Augmentation

    @property
    def takes(self) -> Takes:  # type: ignore[override]  # what the method takes
        """What the method works on."""
        return self.of.takes

    def _check(self) -> None:
        if not isinstance(self.of, Augmentation):
            raise UsageError(f"of is {self.of!r:.40}; pass a method, such as MLSMOTE(rate=1)")

    def _check_order(self, X: Any, Y: Any) -> None:
        self.of._check_order(X, Y)

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        self.of.fit_resample(data.documents, data.labels, rng)
        positions = self.of.sample_indices_
        return Augmented(take(data.documents, positions), take(data.labels, positions), positions)
