"""Intervals and p values: from bootstrap replicates, from several seeds, for several comparisons."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.validation import FloatArray


def interval(replicates: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap replicates.

    Args:
        replicates: (n_replicates,); NaN is left out.
        level: share of the replicates within the interval; half of the rest lies on either side.

    Returns:
        (low, high); NaN if no replicate is defined.

    Example:
        >>> from afl_helpers.evaluation import bootstrap_decisions, bootstrap_weights, interval
        >>> interval(range(101), level=0.5)
        (25.0, 75.0)
        >>> targets, decisions = [[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 0], [0, 1]]  # micro recall 2/3
        >>> interval(bootstrap_decisions(targets, decisions, bootstrap_weights(3))["recall_micro"])
        (0.0, 1.0)
    """
    replicates = np.asarray(replicates, float)
    if np.isnan(replicates).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> dict[str, float]:
    """Return first - second with its interval, from replicates of the same bootstrap samples.

    Args:
        first, second: (n_replicates,) of two runs on one test set; a pair with a NaN is left out.
        level: of the interval.

    Returns:
        ``difference`` (mean), ``low`` and ``high`` (percentile interval), and the two-sided ``p_value``: twice the
        share of replicates on the rarer side of 0, each count plus one, at most 1.

    Raises:
        UsageError: shapes differ, or no pair is defined.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import paired_difference
        >>> second = np.linspace(0.4, 0.5, 999)
        >>> first = second + 0.02  # far less than either run varies, but the same in every sample
        >>> {name: round(value, 3) for name, value in paired_difference(first, second).items()}
        {'difference': 0.02, 'low': 0.02, 'high': 0.02, 'p_value': 0.002}
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape:
        raise UsageError(f"replicates have shapes {first.shape} and {second.shape}; pair runs on the same test set")
    difference = first - second
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        raise UsageError("no replicate is defined in both runs; there is nothing to compare")
    low, high = interval(difference, level)
    rarer = min((difference <= 0).sum(), (difference >= 0).sum())
    return {
        "difference": float(difference.mean()),
        "low": low,
        "high": high,
        "p_value": float(min(1.0, 2 * (rarer + 1) / (len(difference) + 1))),
    }


def seed_interval(values: ArrayLike, level: float = 0.95) -> dict[str, float]:
    """Return the mean over seeds with Student's t interval; with one seed ``low`` and ``high`` are NaN.

    To compare two settings with the same seeds, pass their differences.

    Args:
        values: (n_seeds,).
        level: of the interval.

    Returns:
        ``mean, low, high``, in the unit of the values.

    Raises:
        UsageError: the values are not one row, there are none, or one is NaN.

    Example:
        >>> from afl_helpers.evaluation import seed_interval
        >>> {name: round(value, 4) for name, value in seed_interval([0.50, 0.52, 0.54]).items()}
        {'mean': 0.52, 'low': 0.4703, 'high': 0.5697}
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise UsageError(f"values have shape {values.shape}; pass one number per seed, none of them NaN")
    half = np.nan
    if (
        len(values) > 1
    ):  # stdtrit is the quantile of scipy.stats.t, without the seconds that importing scipy.stats takes
        half = stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return {"mean": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}


def holm(p_values: ArrayLike) -> FloatArray:
    """Correct p values for several comparisons (Holm, 1979); reject those below the level.

    Args:
        p_values: (n_comparisons,) in [0, 1].

    Returns:
        (n_comparisons,) in the same order, at most 1.

    Raises:
        UsageError: the p values are not one row of numbers in [0, 1].

    Example:
        >>> from afl_helpers.evaluation import holm
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()  # 3 x 0.01; 2 x 0.03; 0.04, but no less than the one before
        [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, float)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise UsageError("p_values must be one row of numbers in [0, 1]")
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
