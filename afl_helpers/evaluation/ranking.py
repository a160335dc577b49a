"""Metrics of a ranking: ROC AUC and average precision per label, and how well each document's labels are ranked.

The cost grows as n log n with documents and linearly with labels, which are sorted block by block.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.reductions import label_blocks
from afl_helpers.evaluation.validation import BoolArray, FloatArray, MatrixLike, check_inputs


def roc_auc_per_label(targets: MatrixLike, scores: MatrixLike) -> FloatArray:
    """Return the ROC AUC of each label: the share of (positive, negative) pairs in the right order; ties count half.

    Args:
        targets, scores: (n_documents, n_labels).

    Returns:
        (n_labels,) in [0, 1]; NaN for a label without both a positive and a negative.

    Example:
        >>> from afl_helpers.evaluation import roc_auc_per_label
        >>> targets, scores = [[1, 0], [0, 0], [1, 0]], [[0.9, 0.1], [0.5, 0.2], [0.3, 0.3]]
        >>> roc_auc_per_label(targets, scores).tolist()  # one positive is above the negative, one below
        [0.5, nan]
    """
    targets, scores = check_inputs(targets, scores)
    n = len(targets)
    result = np.full(targets.shape[1], np.nan)
    for label, own, ranked in _ranked_labels(targets, scores):
        if len(own) < n:
            # The mean of the ranks that share a score, counted from 1 at the lowest.
            ranks = (np.searchsorted(ranked, own, "left") + np.searchsorted(ranked, own, "right") + 1) / 2
            result[label] = (ranks.sum() - len(own) * (len(own) + 1) / 2) / (len(own) * (n - len(own)))
    return result


def average_precision_per_label(targets: MatrixLike, scores: MatrixLike) -> FloatArray:
    """Return the average precision of each label: the precision at each of its positives, averaged.

    Documents with the same score form one step.

    Args:
        targets, scores: (n_documents, n_labels).

    Returns:
        (n_labels,) in [0, 1]; NaN for a label without a positive.

    Example:
        >>> from afl_helpers.evaluation import average_precision_per_label
        >>> targets, scores = [[1, 0], [0, 0], [1, 0]], [[0.9, 0.1], [0.5, 0.2], [0.3, 0.3]]
        >>> average_precision_per_label(targets, scores).round(3).tolist()  # (1/1 + 2/3) / 2
        [0.833, nan]
    """
    targets, scores = check_inputs(targets, scores)
    n = len(targets)
    result = np.full(targets.shape[1], np.nan)
    for label, own, ranked in _ranked_labels(targets, scores):
        at_least = n - np.searchsorted(ranked, own, "left")
        hits = len(own) - np.searchsorted(own, own, "left")
        result[label] = (hits / at_least).mean()
    return result


def ranking_metrics(targets: MatrixLike, scores: MatrixLike, ks: Sequence[int] = (1, 3, 5)) -> dict[str, float]:
    """Return how well the labels of each document are ranked, averaged over documents.

    Args:
        targets, scores: (n_documents, n_labels).
        ks: values of k for precision at k; one above n_labels is left out.

    Returns:
        ``coverage``: how many of the highest labels include all true labels of a document; 0 if it has none.
        ``label_ranking_average_precision``: 1 for a document without labels. Both as in scikit-learn.
        ``precision_at_k``: the share of the k highest labels that are true; the first label wins a tie.

    Raises:
        UsageError: a k is not a whole number of at least 1.

    Example:
        >>> from afl_helpers.evaluation import ranking_metrics
        >>> ranking_metrics([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.3]])  # the true label ranks first, then second
        {'coverage': 1.5, 'label_ranking_average_precision': 0.75, 'precision_at_1': 0.5}
    """
    targets, scores = check_inputs(targets, scores)
    n, n_labels = targets.shape
    if not np.iterable(ks):
        raise UsageError(f"ks is {ks!r}; pass a list of whole numbers of at least 1")
    ks = list(ks)
    if not all(isinstance(k, int | np.integer) and k >= 1 for k in ks):
        raise UsageError(f"ks are {tuple(ks)}; pass whole numbers of at least 1")
    ks = [int(k) for k in ks if k <= n_labels]
    hits = dict.fromkeys(ks, 0)
    ranking, depth = np.ones(n), np.zeros(n)
    # Transposed: each document is ranked over labels as each label is ranked over documents above.
    for document, own, ranked in _ranked_labels(targets.T, scores.T):
        at_least = n_labels - np.searchsorted(ranked, own, "left")
        ranking[document] = ((len(own) - np.searchsorted(own, own, "left")) / at_least).mean()
        depth[document] = at_least[0]
        place = n_labels - np.searchsorted(ranked, own, "right")  # 0 is the highest
        if (at_least - place > 1).any():  # tied scores: the first label wins
            best = np.argsort(-scores[document], kind="stable")
            place = np.flatnonzero(targets[document][best])
        for k in ks:
            hits[k] += int((place < k).sum())
    metrics = {"coverage": float(depth.mean()), "label_ranking_average_precision": float(ranking.mean())}
    return metrics | {f"precision_at_{k}": hits[k] / (k * n) for k in ks}


def _ranked_labels(targets: BoolArray, scores: FloatArray) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Yield, for each label with a positive: its column, its positives' scores and all its scores, both ascending."""
    for labels in label_blocks(*targets.shape):
        by_label = np.ascontiguousarray(targets[:, labels].T)
        own = np.ascontiguousarray(scores[:, labels].T)
        ranked = np.sort(own, axis=1)
        for row in np.flatnonzero(by_label.any(1)):
            yield labels.start + row, np.sort(own[row, by_label[row]]), ranked[row]
