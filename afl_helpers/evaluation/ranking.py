"""Measures of an order: ROC AUC and average precision by label, and how well each document's labels are ranked.

Cost is n log n in documents and linear in labels, which go by in blocks.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.validation import check_inputs, label_blocks


def roc_auc_per_label(targets: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """ROC AUC of each column: how often a positive is above a negative; ties count half.

    Args:
        targets: (n_documents, n_labels) of 0 and 1.
        scores: (n_documents, n_labels), finite.

    Returns:
        (n_labels,) in [0, 1]; NaN without both a positive and a negative.

    Raises:
        UsageError: shapes differ, a target is not 0 or 1, or a score is not finite.

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


def average_precision_per_label(targets: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Average precision of each column: the mean over its positives of the precision down to each.

    Documents of one score are one step.

    Args:
        targets: (n_documents, n_labels) of 0 and 1.
        scores: (n_documents, n_labels), finite.

    Returns:
        (n_labels,) in [0, 1]; NaN without a positive.

    Raises:
        UsageError: shapes differ, a target is not 0 or 1, or a score is not finite.

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


def ranking_metrics(targets: ArrayLike, scores: ArrayLike, ks: Sequence[int] = (1, 3, 5)) -> dict[str, float]:
    """How well the labels of each document are ranked.

    Args:
        targets: (n_documents, n_labels) of 0 and 1.
        scores: (n_documents, n_labels), finite.
        ks: for precision at k; a k above n_labels is left out.

    Returns:
        ``coverage``, how far down the ranking all labels of a document lie, mean, a document without labels counts 0;
        ``label_ranking_average_precision``, where a document without labels counts 1, both as in scikit-learn;
        ``precision_at_k``, share of the k highest that are right, the first label first among equals. Coverage is a
        number of labels, the others are shares.

    Raises:
        UsageError: shapes differ, a target is not 0 or 1, a score is not finite, or a k is no whole number from 1.

    Example:
        >>> from afl_helpers.evaluation import ranking_metrics
        >>> ranking_metrics([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.3]])  # the label ranks first, then second
        {'coverage': 1.5, 'label_ranking_average_precision': 0.75, 'precision_at_1': 0.5}
    """
    targets, scores = check_inputs(targets, scores)
    n, n_labels = targets.shape
    if not all(isinstance(k, int | np.integer) and k >= 1 for k in ks):
        raise UsageError(f"ks are {tuple(ks)}; pass whole numbers of at least 1")
    ks = [int(k) for k in ks if k <= n_labels]
    hits = dict.fromkeys(ks, 0)
    ranking, depth = np.ones(n), np.zeros(n)
    # A document's labels are to its ranking what a label's documents are to the label's.
    for document, own, ranked in _ranked_labels(targets.T, scores.T):
        at_least = n_labels - np.searchsorted(ranked, own, "left")
        ranking[document] = ((len(own) - np.searchsorted(own, own, "left")) / at_least).mean()
        depth[document] = at_least[0]
        place = n_labels - np.searchsorted(ranked, own, "right")  # from 0, the highest
        if (at_least - place > 1).any():  # equals: the first label goes first
            best = np.argsort(-scores[document], kind="stable")
            place = np.flatnonzero(targets[document][best])
        for k in ks:
            hits[k] += int((place < k).sum())
    metrics = {"coverage": float(depth.mean()), "label_ranking_average_precision": float(ranking.mean())}
    return metrics | {f"precision_at_{k}": hits[k] / (k * n) for k in ks}


def _ranked_labels(targets: np.ndarray, scores: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each label that has a positive: its column, the scores of its positives and all its scores, both ascending."""
    for labels in label_blocks(*targets.shape):
        by_label = np.ascontiguousarray(targets[:, labels].T)
        own = np.ascontiguousarray(scores[:, labels].T)
        ranked = np.sort(own, axis=1)
        for row in np.flatnonzero(by_label.any(1)):
            yield labels.start + row, np.sort(own[row, by_label[row]]), ranked[row]
