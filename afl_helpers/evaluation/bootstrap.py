"""The bootstrap over test documents: its weights, and the metrics of every bootstrap sample."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.reductions import ratio
from afl_helpers.evaluation.validation import (
    FloatArray,
    MatrixLike,
    as_numbers,
    check_at_least_0,
    check_frames,
    check_inputs,
    check_targets,
    check_whole,
)


def bootstrap_weights(n_documents: int, n_replicates: int = 1000, seed: int = 0) -> NDArray[np.float32]:
    """Return how often each document occurs in each bootstrap sample.

    The sequence is fixed for each number of documents, so that the replicates of two runs on one test set are paired.

    Args:
        n_documents: number of test documents, at least 1.
        n_replicates: number of samples.
        seed: of the sequence.

    Raises:
        UsageError: a number is not whole, or too small.

    Returns:
        (n_replicates, n_documents) whole numbers as float32; each row sums to n_documents.

    Example:
        >>> from afl_helpers.evaluation import bootstrap_weights
        >>> weights = bootstrap_weights(4, n_replicates=3)
        >>> weights.shape, weights.sum(1).tolist()
        ((3, 4), [4.0, 4.0, 4.0])
        >>> bool((weights == bootstrap_weights(4, n_replicates=3)).all())
        True
    """
    n = check_whole(n_documents, "n_documents", 1)
    rng = np.random.default_rng([check_whole(seed, "seed", 0), n])
    return rng.multinomial(n, np.full(n, 1 / n), check_whole(n_replicates, "n_replicates", 1)).astype(np.float32)


def bootstrap_decisions(targets: MatrixLike, decisions: MatrixLike, weights: ArrayLike) -> dict[str, FloatArray]:
    """Return replicates of precision, recall and F1, micro and macro.

    Args:
        targets, decisions: (n_documents, n_labels) of 0 and 1.
        weights: (n_replicates, n_documents) from :func:`bootstrap_weights`.

    Returns:
        ``{precision, recall, f1}_{micro, macro}``, each (n_replicates,); a zero denominator gives 0.

    Raises:
        UsageError: shapes differ, decisions hold a value other than 0 and 1, or a weight is below 0 or not finite.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import bootstrap_decisions
        >>> targets, decisions = [[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 0], [0, 1]]  # the second document is missed
        >>> weights = np.array([[1, 1, 1], [0, 2, 1]])  # the documents themselves; the second in place of the first
        >>> bootstrap_decisions(targets, decisions, weights)["recall_micro"].round(3).tolist()
        [0.667, 0.333]
    """
    check_frames(targets, decisions, "decisions")
    targets, decisions = check_targets(targets), check_targets(decisions)
    weights = _checked_weights(weights)
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


def bootstrap_average_precision(targets: MatrixLike, scores: MatrixLike, weights: ArrayLike) -> FloatArray:
    """Return replicates of each label's average precision.

    Args:
        targets, scores: (n_documents, n_labels).
        weights: (n_replicates, n_documents) from :func:`bootstrap_weights`.

    Returns:
        (n_replicates, n_labels); NaN where a sample has no positive.

    Raises:
        UsageError: weights for another number of documents, below 0 or not finite.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import bootstrap_average_precision
        >>> targets, scores = [[1, 0], [0, 1], [1, 0]], [[0.9, 0.1], [0.5, 0.8], [0.3, 0.2]]
        >>> weights = np.array([[1, 1, 1], [0, 1, 2], [2, 0, 1]])
        >>> bootstrap_average_precision(targets, scores, weights).round(3).tolist()
        [[0.833, 1.0], [0.667, 1.0], [1.0, nan]]
    """
    targets, scores = check_inputs(targets, scores)
    weights = _checked_weights(weights)
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
        # Documents with one score are one step: the position where each positive's step ends, among all documents ...
        ends = len(ranked) - np.searchsorted(ranked[::-1], ranked[hit])
        own = by_document[order[hit]]
        # ... and among the positives. Sums of weights down to there are the hits and the documents of each sample.
        hits_above = own.cumsum(0)[hit.cumsum()[ends - 1] - 1]
        steps, step_of = np.unique(ends, return_inverse=True)
        starts = np.concatenate([[0], steps[:-1]])
        ranked_above = np.add.reduceat(by_document[order[: ends[-1]]], starts, axis=0).cumsum(0)[step_of]
        with np.errstate(invalid="ignore"):
            replicates[:, label] = (ratio(hits_above, ranked_above) * own).sum(0) / own.sum(0)
    return replicates


def _checked_weights(weights: ArrayLike) -> NDArray[Any]:
    checked = as_numbers(weights, "weights")
    check_at_least_0(checked, "weights", "pass how often each document occurs, as bootstrap_weights does")
    return checked
