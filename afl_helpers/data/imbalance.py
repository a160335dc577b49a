"""How imbalanced labels are, and how entangled rare ones are with frequent ones.

After Charte, Rivera, del Jesus and Herrera: the imbalance ratios from "Addressing imbalance in multilabel
classification: Measures and random resampling algorithms", Neurocomputing 163, 2015; SCUMBLE from "Concurrence among
imbalanced labels and its influence on multilabel resampling algorithms", HAIS 2014.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from afl_helpers.errors import UsageError


def imbalance_ratios(label_counts: ArrayLike) -> np.ndarray:
    """IRLbl: the count of the most frequent label over that of each.

    Args:
        label_counts: (n_labels,) number of documents that carry each label.

    Returns:
        (n_labels,) float64, at least 1; inf for a label that no document has. Their mean is MeanIR.

    Example:
        >>> from afl_helpers.data.imbalance import imbalance_ratios
        >>> imbalance_ratios([9, 3, 1]).tolist()
        [1.0, 3.0, 9.0]
    """
    counts = np.asarray(label_counts, float)
    return np.divide(counts.max(initial=0.0), counts, out=np.full(len(counts), np.inf), where=counts > 0)


def scumble(labels: ArrayLike | sparse.csr_array) -> np.ndarray:
    """SCUMBLE of each document: 0 where its labels are equally frequent, towards 1 where a rare one meets a frequent one.

    One minus the geometric over the arithmetic mean of the IRLbl of the document's own labels. The mean over documents
    is the corpus's: the higher, the more frequent labels come along when documents with rare ones are repeated.

    Args:
        labels: (n_documents, n_labels) of 0 and 1, dense or sparse.

    Returns:
        (n_documents,) float64; 0 for a document with one label or none.

    Raises:
        UsageError: another shape.

    Example:
        >>> from afl_helpers.data.imbalance import scumble
        >>> scumble([[1, 1], [1, 0], [1, 0], [1, 0]]).round(3).tolist()  # 1 - sqrt(1 * 4) / 2.5
        [0.2, 0.0, 0.0, 0.0]
    """
    matrix = sparse.csr_array(labels, dtype=np.float64)
    if matrix.ndim != 2:
        raise UsageError(f"labels has shape {matrix.shape}; pass (n_documents, n_labels)")
    ratios = imbalance_ratios(matrix.sum(0))
    ratios[~np.isfinite(ratios)] = 1.0  # of no document
    carried = np.maximum(matrix.sum(1), 1.0)
    geometric = np.exp(matrix @ np.log(ratios) / carried)
    arithmetic = matrix @ ratios / carried
    return np.where(matrix.sum(1) > 0, 1 - geometric / np.maximum(arithmetic, 1.0), 0.0)
