"""Whether scores are probabilities: expected calibration error and Brier score."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.validation import check_inputs, label_blocks, ratio


def calibration_errors(targets: ArrayLike, scores: ArrayLike, n_bins: int = 15) -> tuple[float, np.ndarray]:
    """Expected calibration error (Naeini et al., AAAI 2015; Guo et al., ICML 2017) of the scores as probabilities.

    Scores fall into ``n_bins`` bins of equal width, [k / n_bins, (k + 1) / n_bins), 1 into the last. The error is the
    mean over the scores of how far the observed share lies from the mean score of their bin.

    Args:
        targets: (n_documents, n_labels) of 0 and 1.
        scores: (n_documents, n_labels) in [0, 1].
        n_bins: at least 1.

    Returns:
        (overall, per_label), the error of all (document, label) pairs as one, and of each label, (n_labels,).

    Raises:
        UsageError: shapes differ, a target is not 0 or 1, a score is not in [0, 1], or n_bins is below 1.

    Example:
        >>> from afl_helpers.evaluation import calibration_errors
        >>> overall, per_label = calibration_errors([[1, 0], [1, 0]], [[0.5, 0.5], [0.5, 0.5]])
        >>> overall, per_label.tolist()  # one label is too low, one too high: overall they cancel
        (0.0, [0.5, 0.5])
    """
    return errors_of_bins(*score_bins(targets, scores, n_bins))


def errors_of_bins(n: np.ndarray, positives: np.ndarray, total: np.ndarray) -> tuple[float, np.ndarray]:
    """The two errors of :func:`calibration_errors` from what :func:`score_bins` counts, added up over documents."""
    per_label = np.abs(positives - total).sum(1) / n.sum(1)
    return float(np.abs((positives - total).sum(0)).sum() / n.sum()), per_label


def calibration_bins(targets: ArrayLike, scores: ArrayLike, n_bins: int = 15) -> pd.DataFrame:
    """A reliability diagram's points, of all (document, label) pairs as one.

    Args:
        targets, scores, n_bins: as in :func:`calibration_errors`.

    Returns:
        One row per bin that holds a score, from low to high, with ``n`` (number of scores), ``mean_score`` and
        ``observed`` (share of positives).

    Raises:
        UsageError: as in :func:`calibration_errors`.

    Example:
        >>> from afl_helpers.evaluation import calibration_bins
        >>> targets, scores = [[1, 0], [1, 0], [1, 1], [1, 0]], [[0.75, 0.25]] * 4
        >>> calibration_bins(targets, scores, n_bins=2).to_dict("list")  # 0.25 is right, 0.75 too low
        {'n': [4, 4], 'mean_score': [0.25, 0.75], 'observed': [0.25, 1.0]}
    """
    n, positives, total = (values.sum(0) for values in score_bins(targets, scores, n_bins))
    table = pd.DataFrame({"n": n.astype(int), "mean_score": ratio(total, n), "observed": ratio(positives, n)})
    return table[table["n"] > 0].reset_index(drop=True)


def brier_scores(targets: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Mean squared difference of score and target by label; its mean is the Brier score of all pairs.

    Args:
        targets: (n_documents, n_labels) of 0 and 1.
        scores: (n_documents, n_labels) in [0, 1].

    Returns:
        (n_labels,), each from 0 (every score is right) to 1.

    Raises:
        UsageError: shapes differ, a target is not 0 or 1, or a score is not in [0, 1].

    Example:
        >>> from afl_helpers.evaluation import brier_scores
        >>> brier_scores([[1, 0], [0, 0]], [[0.5, 0.0], [0.5, 0.0]]).tolist()
        [0.25, 0.0]
    """
    targets, scores = _check_probabilities(targets, scores)
    brier = np.empty(targets.shape[1])
    for labels in label_blocks(*targets.shape):
        brier[labels] = ((scores[:, labels] - targets[:, labels]) ** 2).mean(0)
    return brier


def score_bins(targets: ArrayLike, scores: ArrayLike, n_bins: int = 15) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of scores, of positives, and sum of scores, each (n_labels, n_bins)."""
    if not n_bins >= 1:
        raise UsageError(f"n_bins is {n_bins}; pass at least 1")
    targets, scores = _check_probabilities(targets, scores)
    sums = np.zeros((3, targets.shape[1], n_bins))
    edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    for labels in label_blocks(*targets.shape):
        s = scores[:, labels]
        width = s.shape[1]
        cell = (np.searchsorted(edges, s, "right") + np.arange(width) * n_bins).ravel()
        for part, weights in zip(sums, (None, targets[:, labels].ravel(), s.ravel())):
            part[labels] = np.bincount(cell, weights, width * n_bins).reshape(width, n_bins)
    return tuple(sums)


def _check_probabilities(targets: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    targets, scores = check_inputs(targets, scores)
    if scores.min() < 0 or scores.max() > 1:
        raise UsageError("scores lie outside [0, 1]; calibration needs probabilities, pass sigmoid(logits)")
    return targets, scores
