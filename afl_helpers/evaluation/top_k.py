"""Top k: the decision rule that gives every document the same number of labels and so needs no threshold."""

from dataclasses import dataclass

import numpy as np

from afl_helpers.arrays import is_whole
from afl_helpers.errors import UsageError, check_choice
from afl_helpers.evaluation.reductions import ratio
from afl_helpers.evaluation.validation import MatrixLike, check_inputs


@dataclass(frozen=True)
class TopK:
    """Predict the k labels with the highest scores of each document; the first label wins a tie.

    Functions accept it as ``thresholds``.

    Args:
        k: number of labels per document; if there are fewer labels, all of them are predicted.

    Raises:
        UsageError: k is not a whole number of at least 0.

    Example:
        >>> from afl_helpers.evaluation import TopK, binarize
        >>> binarize([[0.9, 0.8], [0.2, 0.1]], TopK(1)).tolist()
        [[True, False], [True, False]]
    """

    k: int

    def __post_init__(self) -> None:
        if not is_whole(self.k) or self.k < 0:
            raise UsageError(f"k is {self.k}; pass a whole number of labels per document, at least 0")


def tune_top_k(targets: MatrixLike, scores: MatrixLike, metric: str = "f1_micro") -> TopK:
    """Return the k with the best F1 on *validation* documents; of several best values, the smallest.

    Args:
        targets, scores: (n_documents, n_labels).
        metric: ``"f1_micro"`` or ``"f1_macro"``.

    Raises:
        UsageError: unknown metric.

    Example:
        >>> from afl_helpers.evaluation import tune_top_k
        >>> tune_top_k([[1, 0], [0, 1]], [[0.4, 0.1], [0.2, 0.3]])
        TopK(k=1)
    """
    check_choice("metric", metric, ("f1_micro", "f1_macro"))
    targets, scores = check_inputs(targets, scores)
    order = np.argsort(-scores, axis=1, kind="stable")
    n_labels = scores.shape[1]
    tp, predicted, actual = np.zeros(n_labels), np.zeros(n_labels), targets.sum(0)
    best, best_value = 0, -1.0
    for k in range(1, n_labels + 1):  # the documents' k-th labels join the predictions
        labels = order[:, k - 1]
        predicted += np.bincount(labels, minlength=n_labels)
        tp += np.bincount(labels, np.take_along_axis(targets, labels[:, None], 1)[:, 0], n_labels)
        if metric == "f1_micro":
            value = float(ratio(2 * tp.sum(), predicted.sum() + actual.sum()))
        else:
            value = float(ratio(2 * tp, predicted + actual).mean())
        if value > best_value:
            best, best_value = k, value
    return TopK(best)
