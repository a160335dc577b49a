"""Data-level baselines: which training documents are seen how often. Nothing but positions is returned.

Random over-sampling and under-sampling by label set (LP-ROS, LP-RUS), and their multi-label forms by the imbalance
ratio of each label (ML-ROS, ML-RUS), after Charte, Rivera, del Jesus and Herrera, "Addressing imbalance in multilabel
classification: Measures and random resampling algorithms", Neurocomputing 163, 2015.
"""

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.data.imbalance import imbalance_ratios
from afl_helpers.errors import UsageError, unknown_name

#: Names of the methods; "none" is every document once.
RESAMPLING = ("none", "lp_ros", "lp_rus", "ml_ros", "ml_rus")


def resample(labels: ArrayLike, method: str = "none", rate: float = 0.25, seed: int = 0) -> np.ndarray:
    """Positions of the documents of a resampled training set, (n,) int64, in ascending order.

    Args:
        labels: (n_documents, n_labels) of 0 and 1.
        method: one of :data:`RESAMPLING`. "lp_ros" repeats documents whose set of labels is rarer than the mean, "lp_rus"
            drops documents whose set is more frequent; "ml_ros" repeats documents of labels whose IRLbl is above the mean
            while it is, "ml_rus" drops documents that carry only labels whose IRLbl is not.
        rate: how many documents are added or dropped, as a share of all.
        seed: of the choice.

    Raises:
        UsageError: an unknown method or a rate outside [0, 1).
    """
    if method not in RESAMPLING:
        raise unknown_name("resampling", method, RESAMPLING)
    if not 0 <= rate < 1:
        raise UsageError(f"rate is {rate!r}; pass a share from 0 to below 1")
    labels = np.asarray(labels).astype(bool)
    everything = np.arange(len(labels))
    n = round(rate * len(labels))
    if method == "none" or n == 0:
        return everything
    rng = np.random.default_rng(seed)
    if method == "lp_ros":
        return np.sort(np.concatenate([everything, _repeat_rare_sets(labels, n, rng)]))
    if method == "lp_rus":
        return np.delete(everything, _drop_frequent_sets(labels, n, rng))
    if method == "ml_ros":
        return np.sort(np.concatenate([everything, _repeat_minority(labels, n, rng)]))
    return np.delete(everything, _drop_majority(labels, n, rng))


def _label_sets(labels: np.ndarray) -> list[np.ndarray]:
    """The documents of each distinct set of labels."""
    _, which = np.unique(np.packbits(labels, axis=1), axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    return np.split(order, np.cumsum(np.bincount(which.reshape(-1)))[:-1])


def _repeat_rare_sets(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` copies spread evenly over the sets below the mean size, none raised above it by more than rounding."""
    sets = _label_sets(labels)
    mean = len(labels) / len(sets)
    rare = [documents for documents in sets if len(documents) < mean]
    if not rare:
        return np.empty(0, int)
    room = np.array([int(np.ceil(mean - len(documents))) for documents in rare])
    slots = np.repeat(np.arange(len(rare)), room)
    chosen = rng.permutation(slots)[:n]
    return np.array([rng.choice(rare[i]) for i in chosen], dtype=int)


def _drop_frequent_sets(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` documents, or as many as there are, of the sets above the mean size, none cut below it."""
    sets = _label_sets(labels)
    mean = len(labels) / len(sets)
    spare = [
        rng.permutation(documents)[: len(documents) - int(np.ceil(mean))] for documents in sets if len(documents) > mean
    ]
    return rng.permutation(np.concatenate(spare))[:n] if spare else np.empty(0, int)


def _repeat_minority(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Each label above the mean IRLbl in turn gets one more copy of one of its documents, until it is not above."""
    counts = labels.sum(0).astype(float)
    ratios = imbalance_ratios(counts)
    mean = ratios[np.isfinite(ratios)].mean()
    minority = [c for c in np.flatnonzero(np.isfinite(ratios) & (ratios > mean))]
    documents = {c: np.flatnonzero(labels[:, c]) for c in minority}
    added: list[int] = []
    while minority and len(added) < n:
        for c in list(minority):
            if len(added) == n:
                break
            document = rng.choice(documents[c])
            added.append(document)
            counts += labels[document]
            if counts.max() / counts[c] <= mean:
                minority.remove(c)
    return np.array(added, dtype=int)


def _drop_majority(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` documents, or as many as there are, that carry no label above the mean IRLbl."""
    ratios = imbalance_ratios(labels.sum(0))
    minority = ratios > ratios[np.isfinite(ratios)].mean()
    return rng.permutation(np.flatnonzero(~labels[:, minority].any(1)))[:n]
