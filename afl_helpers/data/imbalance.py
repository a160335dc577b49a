"""Metrics of imbalance: how rare labels are, and how often rare labels occur together with frequent ones.

Both are from Charte, Rivera, del Jesus and Herrera: the imbalance ratios from "Addressing imbalance in multilabel
classification: Measures and random resampling algorithms", Neurocomputing 163, 2015; SCUMBLE from "Concurrence among
imbalanced labels and its influence on multilabel resampling algorithms", HAIS 2014.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from afl_helpers.errors import UsageError


def imbalance_ratios(label_counts: ArrayLike) -> NDArray[np.float64]:
    """Return IRLbl of each label: the count of the most frequent label divided by the count of this label.

    Args:
        label_counts: the number of documents that carry each label, shape (n_labels,).

    Returns:
        float64 of shape (n_labels,), at least 1; inf for a label without documents. The mean is MeanIR.

    Example:
        >>> from afl_helpers.data.imbalance import imbalance_ratios
        >>> imbalance_ratios([9, 3, 1]).tolist()
        [1.0, 3.0, 9.0]
    """
    counts = np.asarray(label_counts, float)
    ratios = np.full(len(counts), np.inf)
    np.divide(counts.max(initial=0.0), counts, out=ratios, where=counts > 0)
    return ratios


def mean_imbalance_ratio(label_counts: ArrayLike) -> float:
    """Return MeanIR: the mean of IRLbl over the labels that have documents; nan if none has.

    Args:
        label_counts: the number of documents that carry each label, shape (n_labels,).

    Example:
        >>> from afl_helpers.data.imbalance import mean_imbalance_ratio
        >>> mean_imbalance_ratio([8, 4, 1, 0])  # (1 + 2 + 8) / 3
        3.6666666666666665
    """
    ratios = imbalance_ratios(label_counts)
    finite = ratios[np.isfinite(ratios)]
    return float(finite.mean()) if len(finite) else float("nan")


def minority_labels(label_counts: ArrayLike) -> NDArray[np.bool]:
    """Return which labels are minority labels: those that have documents, and an IRLbl above MeanIR.

    Args:
        label_counts: the number of documents that carry each label, shape (n_labels,).

    Returns:
        bool of shape (n_labels,).

    Example:
        >>> from afl_helpers.data.imbalance import minority_labels
        >>> minority_labels([9, 3, 1, 0]).tolist()  # MeanIR is 13 / 3
        [False, False, True, False]
    """
    ratios = imbalance_ratios(label_counts)
    return np.isfinite(ratios) & (ratios > mean_imbalance_ratio(label_counts))


def scumble(labels: ArrayLike | sparse.csr_array) -> NDArray[np.float64]:
    """Return SCUMBLE of each document, which is high if the document carries both rare and frequent labels.

    It is one minus the ratio of the geometric to the arithmetic mean of IRLbl over the labels of the document. It is 0 if
    all of them are equally frequent, and below 1. SCUMBLE of a corpus is the mean over its documents: the higher it is,
    the more frequent labels are repeated as well when documents with rare labels are repeated.

    Args:
        labels: 0 or 1, dense or sparse, of shape (n_documents, n_labels).

    Returns:
        float64 of shape (n_documents,); 0 for a document with at most one label.

    Raises:
        UsageError: labels has another number of dimensions.

    Example:
        >>> from afl_helpers.data.imbalance import scumble
        >>> scumble([[1, 1], [1, 0], [1, 0], [1, 0]]).round(3).tolist()  # 1 - sqrt(1 * 4) / 2.5
        [0.2, 0.0, 0.0, 0.0]
    """
    matrix = sparse.csr_array(labels if sparse.issparse(labels) else np.asarray(labels)).astype(np.float64)
    if matrix.ndim != 2:
        raise UsageError(f"labels has shape {matrix.shape}; pass (n_documents, n_labels)")
    ratios = imbalance_ratios(matrix.sum(0))
    ratios[~np.isfinite(ratios)] = 1.0  # labels without documents
    carried = np.maximum(matrix.sum(1), 1.0)
    geometric = np.exp(matrix @ np.log(ratios) / carried)
    arithmetic = matrix @ ratios / carried
    scores = 1 - geometric / np.maximum(arithmetic, 1.0)
    # Labels of equal frequency have two equal means up to rounding, which must not count as a difference.
    return np.where((matrix.sum(1) > 0) & (scores > 1e-14), scores, 0.0)
