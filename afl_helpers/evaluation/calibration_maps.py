"""Calibration after training: maps that turn scores into probabilities, fitted on validation documents."""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from afl_helpers.errors import UsageError, require
from afl_helpers.evaluation.validation import (
    FloatArray,
    MatrixLike,
    SeenLabels,
    as_numbers,
    check_inputs,
    check_label_order,
    check_probabilities,
    seen_labels,
)

#: Scores are taken to be at least this far from 0 and 1, where log odds are infinite.
_TINY = 1e-12
#: A temperature lies between exp(-LIMIT) and exp(LIMIT).
_LIMIT = 5.0


@dataclass(frozen=True)
class Temperature:
    """Divide the log odds of scores by a number above 0: above 1 for scores that are too extreme.

    Call it with scores, (n_documents, n_labels); it returns probabilities of the same shape. The order of all scores stays.

    Example:
        >>> from afl_helpers.evaluation import Temperature
        >>> Temperature(2.0)([[0.9, 0.5]]).round(3).tolist()
        [[0.75, 0.5]]
    """

    value: float

    def __post_init__(self) -> None:
        if not isinstance(self.value, int | float | np.number) or not 0 < self.value < np.inf:
            raise UsageError(f"value is {self.value!r}; pass a finite temperature above 0")

    def __call__(self, scores: MatrixLike) -> FloatArray:
        values = _probabilities(scores)
        calibrated: FloatArray = expit(logit(np.clip(values, _TINY, 1 - _TINY)) / self.value)
        return calibrated


@dataclass(frozen=True, eq=False)  # == of arrays is no truth value, and arrays have no hash
class IsotonicMaps:
    """Map the scores of each label by a step-wise linear function that never falls.

    Call it with scores, (n_documents, n_labels); it returns probabilities of the same shape.

    Attributes:
        points: for each label the scores and the probabilities between which it interpolates; None leaves a label as it is.

    Example:
        >>> from afl_helpers.evaluation import fit_isotonic
        >>> fit_isotonic([[0, 1], [1, 1]], [[0.2, 0.3], [0.4, 0.3]])([[0.3, 0.3]]).round(3).tolist()
        [[0.5, 0.3]]
    """

    points: tuple[tuple[FloatArray, FloatArray] | None, ...] = field(repr=False)
    _labels: SeenLabels | None = field(default=None, init=False, repr=False)

    def __call__(self, scores: MatrixLike) -> FloatArray:
        check_label_order({"the data frame of the fit": self._labels, "scores": scores})
        values = _probabilities(scores).copy()
        if values.ndim != 2 or values.shape[1] != len(self.points):
            raise UsageError(f"scores have shape {values.shape}; pass (n_documents, {len(self.points)})")
        for column, points in zip(values.T, self.points):
            if points is not None:
                column[:] = np.interp(column, *points)
        return values


def fit_temperature(targets: MatrixLike, scores: MatrixLike) -> Temperature:
    """Return the temperature with the least cross-entropy over all (document, label) pairs (Guo et al., ICML 2017).

    Fit it on *validation* documents. It has one number, so few documents are enough, but it cannot mend a label that is
    scored too high while others are scored too low; :func:`fit_isotonic` can.

    Args:
        targets, scores: (n_documents, n_labels); scores in [0, 1].

    Returns:
        A :class:`Temperature`, to be called with other scores.

    Raises:
        UsageError: a score is outside [0, 1].

    Example:
        >>> from afl_helpers.evaluation import fit_temperature
        >>> temperature = fit_temperature([[1]] * 3 + [[0]], [[0.9]] * 4)  # three of four are right, not nine of ten
        >>> round(temperature.value, 3), temperature([[0.9]]).round(3).tolist()
        (2.0, [[0.75]])
    """
    checked, values = check_inputs(targets, scores)
    check_probabilities(values, "calibration")
    log_odds = logit(np.clip(values, _TINY, 1 - _TINY))

    def cross_entropy(log_temperature: float) -> float:
        z = log_odds * np.exp(-log_temperature)
        return float((np.logaddexp(0, z) - checked * z).mean())

    # Convex in 1 / T, so there is one minimum.
    found = minimize_scalar(cross_entropy, bounds=(-_LIMIT, _LIMIT), method="bounded", options={"xatol": 1e-9})
    return Temperature(float(np.exp(found.x)))


def fit_isotonic(targets: MatrixLike, scores: MatrixLike) -> IsotonicMaps:
    """Return the map of each label that never falls and has the least squared error (Zadrozny & Elkan, KDD 2002).

    Fit it on *validation* documents. It needs many positives: a label with few gets few steps, and ties between scores that
    were different. A label without positives or without negatives is left as it is.

    Args:
        targets, scores: (n_documents, n_labels); scores in [0, 1].

    Returns:
        :class:`IsotonicMaps`, to be called with other scores. Scores beyond those of the fit get the nearest value.

    Raises:
        UsageError: a score is outside [0, 1].
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> from afl_helpers.evaluation import fit_isotonic
        >>> maps = fit_isotonic([[0], [1], [0], [1]], [[0.1], [0.2], [0.3], [0.4]])
        >>> maps([[0.05], [0.2], [0.35], [0.9]]).round(3).tolist()
        [[0.0], [0.5], [0.75], [1.0]]
    """
    checked, values = check_inputs(targets, scores)
    check_probabilities(values, "calibration")
    isotonic = require("sklearn.isotonic", "data", "fit_isotonic")
    points: list[tuple[FloatArray, FloatArray] | None] = []
    for truth, column in zip(checked.T, values.T):
        if truth.all() or not truth.any():
            points.append(None)
            continue
        fitted = isotonic.IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(column, truth)
        points.append((np.asarray(fitted.X_thresholds_), np.asarray(fitted.y_thresholds_)))
    maps = IsotonicMaps(tuple(points))
    object.__setattr__(maps, "_labels", seen_labels(targets, scores))
    return maps


def _probabilities(scores: MatrixLike) -> FloatArray:
    values = np.asarray(as_numbers(scores, "scores"), dtype=np.float64)
    if values.size:
        check_probabilities(values, "calibration")
    return values
