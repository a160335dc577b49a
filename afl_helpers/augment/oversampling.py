"""Random over- and under-sampling as positions of documents, for training that keeps its documents in place.

The methods are LP-ROS, LP-RUS, ML-ROS and ML-RUS of ``afl_helpers.augment``, with their defaults.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afl_helpers.augment.base import Selection, n_rows
from afl_helpers.augment.lp_resampling import LPROS, LPRUS
from afl_helpers.augment.ml_resampling import MLROS, MLRUS
from afl_helpers.errors import UsageError, check_choice

_METHODS: dict[str, Callable[..., Selection]] = {"lp_ros": LPROS, "lp_rus": LPRUS, "ml_ros": MLROS, "ml_rus": MLRUS}

#: The names of the methods; "none" takes every document once.
RESAMPLING = ("none", *_METHODS)


def resample(labels: ArrayLike, method: str = "none", rate: float = 0.25, seed: int = 0) -> NDArray[np.int64]:
    """Return the positions of the documents in a resampled training set.

    Args:
        labels: 0 or 1, of shape (n_documents, n_labels).
        method: one of :data:`RESAMPLING`. "lp_ros" repeats documents whose label set is rarer than the mean; "lp_rus"
            drops documents whose label set is more frequent than the mean. "ml_ros" repeats documents of each label whose
            IRLbl is above the mean, until it no longer is; "ml_rus" drops documents that carry no such label.
        rate: the number of documents to add or drop, divided by the number of documents. Fewer are added or dropped
            if the method runs out of documents.
        seed: the same seed gives the same documents.

    Returns:
        int64 of shape (n_resampled,), in ascending order.

    Raises:
        UsageError: the method is unknown, the rate is outside [0, 1), or the labels have another form; "none" does not look at them.

    Example:
        >>> from afl_helpers.augment.oversampling import resample
        >>> resample([[1, 0], [1, 0], [1, 0], [0, 1]], "lp_ros", rate=0.25).tolist()
        [0, 1, 2, 3, 3]
    """
    check_choice("resampling", method, RESAMPLING)
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 0 <= rate < 1:
        raise UsageError(f"rate is {rate!r}; pass a number from 0 to below 1")
    everything = np.arange(n_rows(labels) or 0)
    if method == "none":
        return everything
    step = _METHODS[method](rate=rate)
    step.fit_resample(everything, labels, seed)
    return step.sample_indices_
