"""The measures of :func:`~afl_helpers.evaluation.evaluate` for sets of scores that do not fit into memory."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.calibration import brier_scores, errors_of_bins, score_bins
from afl_helpers.evaluation.metrics import metrics_of_counts
from afl_helpers.evaluation.ranking import ranking_metrics
from afl_helpers.evaluation.validation import check_inputs, check_thresholds, label_blocks, mean, ratio

# Scores are counted in cells that are even in log p below one half and in log(1 - p) above it: 128 a doubling, down to 2**-30.
CELLS_A_DOUBLING, DOUBLINGS = 128, 29
#: Elements that a processor's cache holds.
CACHED = 2**18
N_CELLS = 2 * (CELLS_A_DOUBLING * DOUBLINGS + 1)


class BlockEvaluation:
    """Evaluation that sees the documents block by block and keeps counts, not scores.

    Memory is 16 bytes for each label and cell (0.6 GB for 5,000 labels) and 12 bytes a document; it does not grow
    with documents times labels. Everything is exact but ROC AUC and average precision: scores of one cell, which differ
    by at most 0.8 %, above one half by 0.8 % of their distance from 1, count as equal.

    Args:
        n_labels: number of columns of every block.
        thresholds: one number or (n_labels,).
        zero_division: as in :func:`~afl_helpers.evaluation.evaluate`.

    Example:
        >>> from afl_helpers.evaluation import BlockEvaluation
        >>> evaluation = BlockEvaluation(n_labels=2)
        >>> evaluation.add([[1, 0], [1, 0]], [[0.9, 0.1], [0.8, 0.2]])
        >>> evaluation.add([[1, 0], [0, 1]], [[0.7, 0.1], [0.2, 0.4]])
        >>> metrics = evaluation.metrics()
        >>> {name: round(metrics[name], 3) for name in ("recall_micro", "f1_micro", "f1_macro", "roc_auc_macro")}
        {'recall_micro': 0.75, 'f1_micro': 0.857, 'f1_macro': 0.5, 'roc_auc_macro': 1.0}
    """

    def __init__(self, n_labels: int, thresholds: ArrayLike = 0.5, zero_division: float = 0.0):
        self.n_labels = n_labels
        self.thresholds = np.broadcast_to(check_thresholds(thresholds, n_labels), n_labels)
        self.zero_division = zero_division
        self.n_documents = 0
        self._by_label = np.zeros((3, n_labels), dtype=np.int64)
        self._by_document: list[np.ndarray] = []
        self._all = np.zeros((n_labels, N_CELLS), dtype=np.int64)
        self._positives = np.zeros((n_labels, N_CELLS), dtype=np.int64)
        self._ranking: dict[str, float] = {}
        self._bins = 0.0
        self._brier = np.zeros(n_labels)

    def add(self, targets: ArrayLike, scores: ArrayLike) -> None:
        """Count a block of documents.

        Args:
            targets: (n, n_labels) of 0 and 1, dense or sparse.
            scores: (n, n_labels) in [0, 1].

        Raises:
            UsageError: shapes differ, a target is not 0 or 1, or a score is not in [0, 1]; the block is then not counted.
        """
        targets, scores = check_inputs(targets, scores)
        if targets.shape[1] != self.n_labels:
            raise UsageError(
                f"a block has {targets.shape[1]} labels, the evaluation {self.n_labels}; pass the same labels"
            )
        if scores.min() < 0 or scores.max() > 1:
            raise UsageError("scores lie outside [0, 1]; pass probabilities, sigmoid(logits)")
        n = len(targets)
        decisions = scores >= self.thresholds
        counted = targets & decisions, decisions, targets
        self._by_label += [values.sum(0) for values in counted]
        self._by_document.append(np.array([values.sum(1) for values in counted], dtype=np.int32))
        for labels in label_blocks(n, self.n_labels, CACHED):  # label by label: the cells of one lie together
            width = labels.stop - labels.start
            place = cells(scores[:, labels].T) + np.arange(width)[:, None] * N_CELLS
            for counts, placed in ((self._all, place.ravel()), (self._positives, place[targets[:, labels].T])):
                counts[labels] += np.bincount(placed, minlength=width * N_CELLS).reshape(width, N_CELLS)
        for name, value in ranking_metrics(targets, scores).items():
            self._ranking[name] = self._ranking.get(name, 0.0) + n * value
        self._bins = self._bins + np.stack(score_bins(targets, scores))
        self._brier += n * brier_scores(targets, scores)
        self.n_documents += n

    def metrics(self) -> dict[str, float]:
        """Every measure of the documents so far, by the names of :func:`~afl_helpers.evaluation.evaluate`.

        Raises:
            UsageError: no block was added.
        """
        self._check()
        tp, predicted, actual = self._by_label
        calibration_error, per_label = errors_of_bins(*self._bins)
        flat = self._all.sum(0, keepdims=True), self._positives.sum(0, keepdims=True)
        return metrics_of_counts(
            tuple(self._by_label), tuple(np.concatenate(self._by_document, axis=1)), self.zero_division
        ) | {
            "roc_auc_micro": float(_roc_auc(*flat)[0]),
            "roc_auc_macro": mean(self._of_labels(_roc_auc)),
            "average_precision_micro": float(_average_precision(*flat)[0]),
            "average_precision_macro": mean(self._of_labels(_average_precision)),
            "n_labels_without_positives": int((actual == 0).sum()),
            "n_labels_never_predicted": int((predicted == 0).sum()),
            "n_labels_without_f1": int(((actual == 0) & (predicted == 0)).sum()),
            **{name: value / self.n_documents for name, value in self._ranking.items()},
            "calibration_error": calibration_error,
            "calibration_error_macro": float(per_label.mean()),
            "brier": float((self._brier / self.n_documents).mean()),
        }

    def label_table(self, label_names: list[str] | None = None) -> pd.DataFrame:
        """Each label by itself, with the columns of :func:`~afl_helpers.evaluation.label_table`, calibration apart.

        Raises:
            UsageError: no block was added, or not one name for each label.
        """
        self._check()
        if label_names is not None and len(label_names) != self.n_labels:
            raise UsageError(f"label_names has {len(label_names)} names for {self.n_labels} labels; pass one each")
        tp, predicted, support = self._by_label
        return pd.DataFrame(
            {
                "label": range(self.n_labels) if label_names is None else label_names,
                "support": support,
                "threshold": self.thresholds,
                "predicted": predicted,
                "precision": ratio(tp, predicted, self.zero_division),
                "recall": ratio(tp, support, self.zero_division),
                "f1": ratio(2 * tp, predicted + support, self.zero_division),
                "roc_auc": self._of_labels(_roc_auc),
                "average_precision": self._of_labels(_average_precision),
            }
        )

    def _of_labels(self, measure: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        return np.concatenate(
            [measure(self._all[i], self._positives[i]) for i in label_blocks(N_CELLS, self.n_labels, CACHED)]
        )

    def _check(self) -> None:
        if not self.n_documents:
            raise UsageError("there is nothing to evaluate yet; add blocks of targets and scores first")


def cells(scores: np.ndarray) -> np.ndarray:
    """The cell of each score in [0, 1], int64; a higher score is never in a lower cell.

    The leading bits of a positive float grow with it: the exponent counts doublings, the mantissa divides each evenly.
    """
    above = scores > 0.5
    near = np.maximum(np.where(above, 1 - scores, scores), 2.0**-30).astype(np.float32)
    lowest = int(np.float32(2.0**-30).view(np.int32)) >> 16
    cell = (near.view(np.int32) >> 16).astype(np.int64) - lowest
    return np.where(above, N_CELLS - 1 - cell, cell)


def _roc_auc(everything: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """ROC AUC from counts by cell, (n, N_CELLS) each; those of one cell count half."""
    negatives = everything - positives
    below = np.cumsum(negatives, axis=1) - negatives
    n_positives, n_negatives = positives.sum(1), negatives.sum(1)
    return ratio((positives * (below + negatives / 2)).sum(1), n_positives * n_negatives.astype(float), np.nan)


def _average_precision(everything: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Average precision from counts by cell; those of one cell are one step."""
    at_least, hits = (np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] for counts in (everything, positives))
    return ratio((positives * ratio(hits, at_least)).sum(1), positives.sum(1), np.nan)
