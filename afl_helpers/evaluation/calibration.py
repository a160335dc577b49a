"""Whether scores are probabilities: expected calibration error and Brier score."""

from typing import TYPE_CHECKING

import numpy as np

from afl_helpers.errors import require
from afl_helpers.evaluation.reductions import label_blocks, ratio
from afl_helpers.evaluation.validation import FloatArray, MatrixLike, check_inputs, check_probabilities, check_whole

if TYPE_CHECKING:
    import pandas as pd

#: The default number of bins of the calibration error.
N_BINS = 15


def expected_calibration_errors(
    targets: MatrixLike, scores: MatrixLike, n_bins: int = N_BINS
) -> tuple[float, FloatArray]:
    """Return the expected calibration error of the scores (Naeini et al., AAAI 2015; Guo et al., ICML 2017).

    Scores fall into ``n_bins`` bins of equal width, [k / n_bins, (k + 1) / n_bins); a score of 1 falls into the last.
    The error is the absolute difference between a bin's share of positives and its mean score, averaged over the scores.

    Args:
        targets, scores: (n_documents, n_labels); scores in [0, 1].
        n_bins: at least 1.

    Returns:
        (overall, per_label): the error of all (document, label) pairs together, and of each label, (n_labels,).

    Raises:
        UsageError: a score is outside [0, 1], or n_bins is below 1.

    Example:
        >>> from afl_helpers.evaluation import expected_calibration_errors
        >>> overall, per_label = expected_calibration_errors([[1, 0], [1, 0]], [[0.5, 0.5], [0.5, 0.5]])
        >>> overall, per_label.tolist()  # one label scored too low, one too high: overall they cancel
        (0.0, [0.5, 0.5])
    """
    return errors_from_bins(*score_bins(targets, scores, n_bins))


def errors_from_bins(n: FloatArray, positives: FloatArray, total: FloatArray) -> tuple[float, FloatArray]:
    """Return both errors of :func:`expected_calibration_errors` from the sums of :func:`score_bins`."""
    per_label = np.abs(positives - total).sum(1) / n.sum(1)
    return float(np.abs((positives - total).sum(0)).sum() / n.sum()), per_label


def calibration_bins(targets: MatrixLike, scores: MatrixLike, n_bins: int = N_BINS) -> "pd.DataFrame":
    """Return the points of a reliability diagram, of all (document, label) pairs together.

    Args:
        targets, scores, n_bins: as in :func:`expected_calibration_errors`.

    Returns:
        One row per bin that holds a score, from low to high, with ``n`` (number of scores), ``mean_score`` and
        ``observed`` (share of positives).

    Raises:
        UsageError: as in :func:`expected_calibration_errors`.

    Example:
        >>> from afl_helpers.evaluation import calibration_bins
        >>> targets, scores = [[1, 0], [1, 0], [1, 1], [1, 0]], [[0.75, 0.25]] * 4
        >>> calibration_bins(targets, scores, n_bins=2).to_dict("list")  # 0.25 is right, 0.75 is too low
        {'n': [4, 4], 'mean_score': [0.25, 0.75], 'observed': [0.25, 1.0]}
    """
    n, positives, total = (values.sum(0) for values in score_bins(targets, scores, n_bins))
    held = n > 0
    columns = {"n": n.astype(int), "mean_score": ratio(total, n), "observed": ratio(positives, n)}
    table: pd.DataFrame = require("pandas", "data", "calibration_bins").DataFrame(
        {name: values[held] for name, values in columns.items()}
    )
    return table


def brier_scores(targets: MatrixLike, scores: MatrixLike) -> FloatArray:
    """Return each label's mean squared difference between score and target; their mean is the Brier score of all pairs.

    Args:
        targets, scores: (n_documents, n_labels); scores in [0, 1].

    Returns:
        (n_labels,), from 0 (every score is right) to 1.

    Raises:
        UsageError: a score is outside [0, 1].

    Example:
        >>> from afl_helpers.evaluation import brier_scores
        >>> brier_scores([[1, 0], [0, 0]], [[0.5, 0.0], [0.5, 0.0]]).tolist()
        [0.25, 0.0]
    """
    targets, scores = check_inputs(targets, scores)
    check_probabilities(scores, "calibration")
    brier = np.empty(targets.shape[1])
    for labels in label_blocks(*targets.shape):
        brier[labels] = ((scores[:, labels] - targets[:, labels]) ** 2).mean(0)
    return brier


def score_bins(targets: MatrixLike, scores: MatrixLike, n_bins: int = N_BINS) -> FloatArray:
    """Sum over the documents of each bin: scores counted, positives counted, scores added; (3, n_labels, n_bins)."""
    n_bins = check_whole(n_bins, "n_bins", 1)
    targets, scores = check_inputs(targets, scores)
    check_probabilities(scores, "calibration")
    sums = np.zeros((3, targets.shape[1], n_bins))
    edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    for labels in label_blocks(*targets.shape):
        s = scores[:, labels]
        width = s.shape[1]
        cell = (np.searchsorted(edges, s, "right") + np.arange(width) * n_bins).ravel()
        for counted, weights in zip(sums, (None, targets[:, labels].ravel(), s.ravel()), strict=True):
            counted[labels] = np.bincount(cell, weights, width * n_bins).reshape(width, n_bins)
    return sums
