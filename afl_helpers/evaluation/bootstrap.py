"""How sure a figure is: resampled documents, several seeds, several comparisons."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.evaluation.validation import check_inputs, check_targets, ratio

# --- documents ------------------------------------------------------------------------------------------------------


def resampling_weights(n_documents: int, n_replicates: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each document stands in each bootstrap sample.

    One fixed sequence for every test set of that size, so that the replicates of two runs are paired.

    Args:
        n_documents: of the test set, at least 1.
        n_replicates: number of samples.
        seed: of the sequence.

    Returns:
        (n_replicates, n_documents) float32 of whole numbers; each row sums to n_documents.

    Example:
        >>> from afl_helpers.evaluation import resampling_weights
        >>> weights = resampling_weights(4, n_replicates=3)
        >>> weights.shape, weights.sum(1).tolist()
        ((3, 4), [4.0, 4.0, 4.0])
        >>> bool((weights == resampling_weights(4, n_replicates=3)).all())
        True
    """
    rng = np.random.default_rng([seed, n_documents])
    return rng.multinomial(n_documents, np.full(n_documents, 1 / n_documents), n_replicates).astype(np.float32)


def bootstrap_decisions(targets: ArrayLike, decisions: ArrayLike, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Replicates of precision, recall and F1, micro and macro, from the counts of every sample.

    Args:
        targets, decisions: (n_documents, n_labels) of 0 and 1.
        weights: (n_replicates, n_documents) from :func:`resampling_weights`.

    Returns:
        ``{precision, recall, f1}_{micro, macro}``, each (n_replicates,); a zero denominator gives 0.

    Raises:
        UsageError: shapes differ, or targets or decisions hold another value than 0 and 1.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import bootstrap_decisions
        >>> targets, decisions = [[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 0], [0, 1]]  # the second document is missed
        >>> weights = np.array([[1, 1, 1], [0, 2, 1]])  # the documents themselves; the second in place of the first
        >>> bootstrap_decisions(targets, decisions, weights)["recall_micro"].round(3).tolist()
        [0.667, 0.333]
    """
    targets, decisions = check_targets(targets), check_targets(decisions)
    if targets.shape != decisions.shape or weights.shape[1:] != targets.shape[:1]:
        raise UsageError(
            f"targets have shape {targets.shape}, decisions {decisions.shape}, weights {weights.shape}; the first two "
            "must be (n_documents, n_labels), weights (n_replicates, n_documents)"
        )
    # Sums of counts are whole numbers, exact in float32 up to 2^24.
    tp, predicted, actual = (
        weights @ values.astype(np.float32) for values in (targets & decisions, decisions, targets)
    )
    replicates = {}
    for name, numerator, denominator in (
        ("precision", tp, predicted),
        ("recall", tp, actual),
        ("f1", 2 * tp, predicted + actual),
    ):
        replicates[f"{name}_micro"] = ratio(numerator.sum(1, dtype=float), denominator.sum(1, dtype=float))
        replicates[f"{name}_macro"] = ratio(numerator, denominator).mean(1)
    return replicates


def bootstrap_average_precision(targets: ArrayLike, scores: ArrayLike, weights: np.ndarray) -> np.ndarray:
    """Replicates of each label's average precision.

    Args:
        targets: (n_documents, n_labels) of 0 and 1.
        scores: (n_documents, n_labels), finite.
        weights: (n_replicates, n_documents) from :func:`resampling_weights` with the same n_documents.

    Returns:
        (n_replicates, n_labels); NaN where a sample has no positive.

    Raises:
        UsageError: shapes of targets, scores and weights do not fit, a target is not 0 or 1, or a score is not finite.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import bootstrap_average_precision
        >>> targets, scores = [[1, 0], [0, 1], [1, 0]], [[0.9, 0.1], [0.5, 0.8], [0.3, 0.2]]
        >>> weights = np.array([[1, 1, 1], [0, 1, 2], [2, 0, 1]])
        >>> bootstrap_average_precision(targets, scores, weights).round(3).tolist()
        [[0.833, 1.0], [0.667, 1.0], [1.0, nan]]
    """
    targets, scores = check_inputs(targets, scores)
    if weights.shape[1:] != targets.shape[:1]:
        raise UsageError(
            f"weights have shape {weights.shape} for {len(targets)} documents; pass (n_replicates, n_documents)"
        )
    by_document = np.ascontiguousarray(weights.T)
    replicates = np.full((len(weights), targets.shape[1]), np.nan)
    for label in range(targets.shape[1]):
        order = np.argsort(-scores[:, label])
        hit = targets[order, label]
        if not hit.any():
            continue
        ranked = scores[order, label]
        # Documents of one score are one step: where each positive's step ends, among all and among the positives.
        ends = len(ranked) - np.searchsorted(ranked[::-1], ranked[hit])
        own = by_document[order[hit]]
        hits_above = own.cumsum(0)[hit.cumsum()[ends - 1] - 1]
        steps, step_of = np.unique(ends, return_inverse=True)
        starts = np.concatenate([[0], steps[:-1]])
        ranked_above = np.add.reduceat(by_document[order[: ends[-1]]], starts, axis=0).cumsum(0)[step_of]
        with np.errstate(invalid="ignore"):
            replicates[:, label] = (ratio(hits_above, ranked_above) * own).sum(0) / own.sum(0)
    return replicates


def interval(replicates: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates.

    Args:
        replicates: (n_replicates,); NaN is left out.
        level: share of the replicates that lie within, half of the rest on either side.

    Returns:
        (low, high); NaN where no replicate is defined.

    Example:
        >>> from afl_helpers.evaluation import bootstrap_decisions, interval, resampling_weights
        >>> interval(range(101), level=0.5)
        (25.0, 75.0)
        >>> targets, decisions = [[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 0], [0, 1]]  # micro recall 2/3
        >>> interval(bootstrap_decisions(targets, decisions, resampling_weights(3))["recall_micro"])
        (0.0, 1.0)
    """
    replicates = np.asarray(replicates, float)
    if np.isnan(replicates).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> dict[str, float]:
    """first - second from replicates of the same samples.

    Args:
        first, second: (n_replicates,) of two runs on the same test set; pairs with a NaN are left out.
        level: of the interval.

    Returns:
        ``difference`` (mean), ``low`` and ``high`` (percentile interval) and ``p_value``, two-sided, twice the share of
        replicates on the rarer side of 0, each count plus one, at most 1.

    Raises:
        UsageError: shapes differ, or no pair is defined.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import paired_difference
        >>> second = np.linspace(0.4, 0.5, 999)
        >>> first = second + 0.02  # far less than either run varies, but in every sample
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


def holm(p_values: ArrayLike) -> np.ndarray:
    """P values corrected for several comparisons (Holm, 1979): reject where they are below the level.

    Args:
        p_values: (n_comparisons,) in [0, 1].

    Returns:
        (n_comparisons,) in the same order, at most 1.

    Raises:
        UsageError: not one row of numbers in [0, 1].

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


# --- seeds ----------------------------------------------------------------------------------------------------------


def seed_interval(values: ArrayLike, level: float = 0.95) -> dict[str, float]:
    """Mean over seeds with Student's t interval; with one seed ``low`` and ``high`` are NaN.

    For two settings with the same seeds, pass their differences.

    Args:
        values: (n_seeds,).
        level: of the interval.

    Returns:
        ``mean, low, high``, in the unit of the values.

    Raises:
        UsageError: not one row of values, none at all, or NaN among them.

    Example:
        >>> from afl_helpers.evaluation import seed_interval
        >>> {name: round(value, 4) for name, value in seed_interval([0.50, 0.52, 0.54]).items()}
        {'mean': 0.52, 'low': 0.4703, 'high': 0.5697}
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise UsageError(f"values have shape {values.shape}; pass one number per seed, none of them NaN")
    half = np.nan
    if len(values) > 1:
        half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return {"mean": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}


def summarize_runs(
    scores: Mapping[str, ArrayLike],
    statistic: str = "iqm",
    level: float = 0.95,
    n_replicates: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Several losses, each by several seeds on several tasks, in one figure each with its interval.

    After Agarwal et al. (NeurIPS 2021): the interquartile mean over all runs of a loss is less moved by one lucky seed
    than the mean, and less wasteful than the median; its interval resamples the seeds of each task.

    Args:
        scores: for each loss (n_seeds, n_tasks), a task being a corpus or one metric on it; make tasks comparable
            first.
        statistic: ``"iqm"``, ``"mean"`` or ``"median"``, over seeds and tasks.
        level, n_replicates, seed: of the interval.

    Returns:
        One row per loss, its name as index, with ``estimate, low, high, n_seeds, n_tasks``.

    Raises:
        UsageError: an unknown statistic, or scores that are not (n_seeds, n_tasks), or hold NaN.

    Example:
        >>> from afl_helpers.evaluation import summarize_runs
        >>> scores = {"bce": [[0.5], [0.5], [0.5], [0.9]]}  # four seeds on one task, one of them lucky
        >>> [round(float(summarize_runs(scores, name)["estimate"]["bce"]), 3) for name in ("iqm", "mean")]
        [0.5, 0.6]
    """
    statistics = {
        "iqm": lambda values: stats.trim_mean(values, 0.25, axis=-1),
        "mean": lambda values: values.mean(-1),
        "median": lambda values: np.median(values, -1),
    }
    if statistic not in statistics:
        raise unknown_name("statistic", statistic, tuple(statistics))
    compute = statistics[statistic]
    rng = np.random.default_rng(seed)
    rows = {}
    for name, values in scores.items():
        values = _check_runs(name, values)
        low, high = interval(compute(_resample_seeds(values, n_replicates, rng).reshape(n_replicates, -1)), level)
        estimate = float(compute(values.reshape(-1)))
        rows[name] = {"estimate": estimate, "low": low, "high": high} | dict(
            zip(("n_seeds", "n_tasks"), values.shape, strict=True)
        )
    return pd.DataFrame.from_dict(rows, orient="index")


def probability_of_improvement(
    first: ArrayLike, second: ArrayLike, level: float = 0.95, n_replicates: int = 2000, seed: int = 0
) -> dict[str, float]:
    """How likely a run of the first loss beats one of the second, on a task drawn at random.

    After Agarwal et al. (NeurIPS 2021): the share of pairs of seeds in which the first is higher, ties half, averaged
    over tasks; the interval resamples the seeds of each task.

    Args:
        first, second: (n_seeds, n_tasks); the numbers of seeds may differ.
        level, n_replicates, seed: of the interval.

    Returns:
        ``probability, low, high``, all in [0, 1].

    Raises:
        UsageError: scores that are not (n_seeds, n_tasks), or hold NaN, or numbers of tasks that differ.

    Example:
        >>> from afl_helpers.evaluation import probability_of_improvement
        >>> probability_of_improvement([[0.6], [0.8]], [[0.5], [0.7]])  # 3 of 4 pairs; two seeds say little
        {'probability': 0.75, 'low': 0.0, 'high': 1.0}
    """
    first, second = _check_runs("first", first), _check_runs("second", second)
    if first.shape[1] != second.shape[1]:
        raise UsageError(
            f"first has {first.shape[1]} tasks, second {second.shape[1]}; pass the same tasks in one order"
        )

    def share(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        difference = a[..., :, None, :] - b[..., None, :, :]
        return ((difference > 0) + 0.5 * (difference == 0)).mean((-1, -2, -3))

    rng = np.random.default_rng(seed)
    replicates = share(_resample_seeds(first, n_replicates, rng), _resample_seeds(second, n_replicates, rng))
    low, high = interval(replicates, level)
    return {"probability": float(share(first, second)), "low": low, "high": high}


def _check_runs(name: str, values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, float)
    if values.ndim != 2 or 0 in values.shape or np.isnan(values).any():
        raise UsageError(f"scores of {name!r} have shape {values.shape}; pass (n_seeds, n_tasks), none of them NaN")
    return values


def _resample_seeds(values: np.ndarray, n_replicates: int, rng: np.random.Generator) -> np.ndarray:
    """(n_replicates, n_seeds, n_tasks): the seeds of each task drawn anew, with replacement."""
    n_seeds, n_tasks = values.shape
    rows = rng.integers(n_seeds, size=(n_replicates, n_seeds, n_tasks))
    return values[rows, np.arange(n_tasks)]
