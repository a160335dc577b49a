"""Intervals and p values: from bootstrap replicates, from several seeds, for several comparisons."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import nctdtrinc, stdtr, stdtrit  # importing scipy.stats takes seconds

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.validation import FloatArray, as_numbers, check_level


def interval(replicates: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap replicates.

    It is right for micro metrics. For macro F1 with rare labels it hardly ever holds the population value, because bootstrap
    samples lose labels; :func:`~afl_helpers.evaluation.metric_interval` is for that.

    Args:
        replicates: (n_replicates,); NaN is left out.
        level: share of the replicates within the interval; half of the rest lies on either side.

    Returns:
        (low, high); NaN if no replicate is defined.

    Raises:
        UsageError: the replicates are those of several labels.

    Example:
        >>> from afl_helpers.evaluation import bootstrap_decisions, bootstrap_weights, interval
        >>> interval(range(101), level=0.5)
        (25.0, 75.0)
        >>> targets, decisions = [[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 0], [0, 1]]  # micro recall 2/3
        >>> interval(bootstrap_decisions(targets, decisions, bootstrap_weights(3))["recall_micro"])
        (0.0, 1.0)
    """
    level = check_level(level)
    replicates = _replicates(replicates)
    if np.isnan(replicates).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> dict[str, float]:
    """Return first - second with its interval, from replicates of the same bootstrap samples.

    As with :func:`interval`, for micro metrics. Two models in macro F1 are compared by
    :func:`~afl_helpers.evaluation.difference_interval`.

    Args:
        first, second: (n_replicates,) of two runs on one test set; a pair with a NaN is left out.
        level: of the interval.

    Returns:
        ``difference`` (mean), ``low`` and ``high`` (percentile interval), and the two-sided ``p_value``: twice the
        share of replicates on the rarer side of 0, each count plus one, at most 1.

    Raises:
        UsageError: shapes differ, the replicates are those of several labels, or no pair is defined.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import paired_difference
        >>> second = np.linspace(0.4, 0.5, 999)
        >>> first = second + 0.02  # far less than either run varies, but the same in every sample
        >>> {name: round(value, 3) for name, value in paired_difference(first, second).items()}
        {'difference': 0.02, 'low': 0.02, 'high': 0.02, 'p_value': 0.002}
    """
    first, second = (_replicates(side) for side in (first, second))
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


def _replicates(replicates: ArrayLike) -> FloatArray:
    checked = as_numbers(replicates, "replicates").astype(float)
    if checked.ndim != 1:
        raise UsageError(
            f"replicates have shape {checked.shape}; pass one label at a time, such as replicates[:, 0], "
            "shape (n_replicates,)"
        )
    return checked


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
    level = check_level(level)
    values = as_numbers(values, "values").astype(float)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise UsageError(f"values have shape {values.shape}; pass one number per seed, none of them NaN")
    if len(values) == 1:
        return {"mean": float(values[0]), "low": float("nan"), "high": float("nan")}
    found = t_test(values, level)
    return {"mean": found.mean, "low": found.low, "high": found.high}


class TestOfMean(NamedTuple):
    """What :func:`t_test` returns."""

    mean: float
    low: float
    high: float
    #: of the hypothesis that the true mean is 0, two-sided
    p_value: float
    #: of the hypothesis that the true mean is at least ``margin`` away from 0
    p_equivalence: float


def t_test(differences: ArrayLike, level: float = 0.95, overlap: float = 0.0, margin: float = 0.0) -> TestOfMean:
    """Test the mean of paired differences by Student's t, plain or corrected for overlapping training sets.

    The blocks of a study are random splits of one corpus. Their training and test sets overlap, so their differences are
    correlated, and the plain test, which takes them as independent, rejects too often. Nadeau and Bengio (2003) assume
    that the correlation is n_test / (n_train + n_test). Then the variance of the mean of J differences with variance s2
    is about (1/J + n_test / n_train) s2, in place of s2 / J. The degrees of freedom stay J - 1.

    Equivalence is tested by two one-sided tests: its p value is the larger of theirs.

    Args:
        differences: (n_blocks,), at least two.
        level: of the interval.
        overlap: n_test / n_train; 0 for the plain test.
        margin: the smallest difference that matters.

    Raises:
        UsageError: there are fewer than two differences, or one is NaN; overlap or margin is below 0.

    Example:
        >>> from afl_helpers.evaluation import t_test
        >>> [round(value, 3) for value in t_test([0.01, 0.02, 0.03, 0.02])]
        [0.02, 0.007, 0.033, 0.016, 0.992]
        >>> [round(value, 3) for value in t_test([0.01, 0.02, 0.03, 0.02], overlap=1 / 9)]  # splits of 90 % and 10 %
        [0.02, 0.004, 0.036, 0.027, 0.987]
    """
    level = check_level(level)
    values = _differences(differences)
    _check_at_least_0(overlap, "overlap", "n_test / n_train")
    _check_at_least_0(margin, "margin", "the smallest difference that matters")
    error = float(np.sqrt((1 / len(values) + overlap) * values.var(ddof=1)))
    return t_test_of(float(values.mean()), error, len(values) - 1, level, margin)


def t_test_of(center: float, error: float, df: int, level: float, margin: float = 0.0) -> TestOfMean:
    """Test an estimate with this standard error by Student's t with ``df`` degrees of freedom."""
    half = float(stdtrit(df, (1 + level) / 2)) * error

    def above(distance: float) -> float:
        """Return the probability of an estimate that lies further above the true value than this."""
        if error == 0:
            return 0.5 if distance == 0 else float(distance < 0)
        return float(stdtr(df, -distance / error))

    return TestOfMean(center, center - half, center + half, 2 * above(abs(center)), above(margin - abs(center)))


def _differences(differences: ArrayLike) -> FloatArray:
    values = as_numbers(differences, "differences").astype(float)
    if values.ndim != 1 or len(values) < 2 or np.isnan(values).any():
        raise UsageError(f"differences have shape {values.shape}; pass at least two numbers, none of them NaN")
    return values


def _check_at_least_0(value: float, name: str, meaning: str) -> None:
    if not isinstance(value, int | float | np.number) or not 0 <= value < np.inf:
        raise UsageError(f"{name} is {value!r}; pass {meaning}, a finite number of at least 0")


def detectable_difference(
    differences: ArrayLike, level: float = 0.95, power: float = 0.8, overlap: float = 0.0
) -> float:
    """Return the true difference that the two-sided :func:`t_test` finds with this probability.

    Args:
        differences: (n_blocks,), at least two, from which the standard deviation is taken.
        level: 1 minus the error of the test.
        power: the probability.
        overlap: n_test / n_train; 0 for the plain test.

    Raises:
        UsageError: there are fewer than two differences, or one is NaN; power is no share, or overlap is below 0.

    Example:
        >>> from afl_helpers.evaluation import detectable_difference
        >>> round(detectable_difference([0.01, 0.02, 0.03, 0.02]), 3)
        0.017
    """
    level = check_level(level)
    power = check_level(power, "power", 0.8)
    values = _differences(differences)
    _check_at_least_0(overlap, "overlap", "n_test / n_train")
    error = float(np.sqrt((1 / len(values) + overlap) * values.var(ddof=1)))
    return detectable_at(error, len(values) - 1, level, power)


def detectable_at(error: float, df: int, level: float, power: float = 0.8) -> float:
    """Return the true value that a two-sided t test with this standard error finds with this probability."""
    return float(nctdtrinc(df, 1 - power, stdtrit(df, (1 + level) / 2))) * error


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
    p_values = as_numbers(p_values, "p_values").astype(float)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise UsageError("p_values must be one row of numbers in [0, 1]")
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
