"""Random over- and under-sampling of training documents, after Charte et al. (2015).

The methods work by label set (LP-ROS, LP-RUS) or by the imbalance ratio IRLbl of each label (ML-ROS, ML-RUS): Charte,
Rivera, del Jesus and Herrera, "Addressing imbalance in multilabel classification: Measures and random resampling
algorithms", Neurocomputing 163, 2015. They return positions of documents, so texts and labels are not copied.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afl_helpers.data.imbalance import imbalance_ratios
from afl_helpers.errors import UsageError, unknown_name

#: The names of the methods; "none" takes every document once.
RESAMPLING = ("none", "lp_ros", "lp_rus", "ml_ros", "ml_rus")


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
        UsageError: the method is unknown, or the rate is outside [0, 1).

    Example:
        >>> from afl_helpers.augment.oversampling import resample
        >>> resample([[1, 0], [1, 0], [1, 0], [0, 1]], "lp_ros", rate=0.25).tolist()
        [0, 1, 2, 3, 3]
    """
    if method not in RESAMPLING:
        raise unknown_name("resampling", method, RESAMPLING)
    if not 0 <= rate < 1:
        raise UsageError(f"rate is {rate!r}; pass a number from 0 to below 1")
    matrix = np.asarray(labels).astype(bool)
    everything = np.arange(len(matrix))
    n = round(rate * len(matrix))
    if method == "none" or n == 0:
        return everything
    rng = np.random.default_rng(seed)
    if method == "lp_ros":
        return np.sort(np.concatenate([everything, _repeat_rare_sets(matrix, n, rng)]))
    if method == "lp_rus":
        return np.delete(everything, _drop_frequent_sets(matrix, n, rng))
    if method == "ml_ros":
        return np.sort(np.concatenate([everything, _repeat_rare_labels(matrix, n, rng)]))
    return np.delete(everything, _drop_frequent_labels(matrix, n, rng))


def _label_sets(labels: NDArray[np.bool]) -> list[NDArray[np.int64]]:
    """Group the documents by their set of labels."""
    _, which = np.unique(np.packbits(labels, axis=1), axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    return np.split(order, np.cumsum(np.bincount(which.reshape(-1)))[:-1])


def _repeat_rare_sets(labels: NDArray[np.bool], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``n`` documents, with repetition, that raise the label sets below the mean size evenly towards the mean."""
    sets = _label_sets(labels)
    mean = len(labels) / len(sets)
    rare = [documents for documents in sets if len(documents) < mean]
    if not rare:
        return np.empty(0, dtype=np.int64)
    room = np.array([int(np.ceil(mean - len(documents))) for documents in rare])
    slots = np.repeat(np.arange(len(rare)), room)
    chosen = rng.permutation(slots)[:n]
    return np.array([rng.choice(rare[i]) for i in chosen], dtype=np.int64)


def _drop_frequent_sets(labels: NDArray[np.bool], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``n`` documents whose removal leaves no label set that is above the mean size below it."""
    sets = _label_sets(labels)
    mean = len(labels) / len(sets)
    spare = [
        rng.permutation(documents)[: len(documents) - int(np.ceil(mean))] for documents in sets if len(documents) > mean
    ]
    return rng.permutation(np.concatenate(spare))[:n] if spare else np.empty(0, dtype=np.int64)


def _repeat_rare_labels(labels: NDArray[np.bool], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``n`` documents in turn from the labels whose IRLbl is above the mean; a label leaves when it no longer is."""
    counts = labels.sum(axis=0).astype(np.float64)
    ratios = imbalance_ratios(counts)
    mean = ratios[np.isfinite(ratios)].mean()
    rare = list(np.flatnonzero(np.isfinite(ratios) & (ratios > mean)))
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


def _drop_frequent_labels(labels: NDArray[np.bool], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose ``n`` documents that carry no label whose IRLbl is above the mean."""
    ratios = imbalance_ratios(labels.sum(axis=0))
    rare = ratios > ratios[np.isfinite(ratios)].mean()
    return rng.permutation(np.flatnonzero(~labels[:, rare].any(axis=1)))[:n]
