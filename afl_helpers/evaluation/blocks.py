"""The metrics of :func:`~afl_helpers.evaluation.evaluate` for sets of scores that do not fit into memory."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afl_helpers.errors import UsageError, require
from afl_helpers.evaluation.calibration import N_BINS, brier_scores, errors_from_bins, score_bins
from afl_helpers.evaluation.decisions import Counts, decision_metrics
from afl_helpers.evaluation.ranking import ranking_metrics
from afl_helpers.evaluation.reductions import label_blocks, mean, ratio
from afl_helpers.evaluation.top_k import TopK
from afl_helpers.evaluation.validation import (
    FloatArray,
    MatrixLike,
    SeenLabels,
    as_names,
    check_inputs,
    check_label_names,
    check_label_order,
    check_probabilities,
    check_thresholds,
    check_whole,
    check_zero_division,
    seen_labels,
    warn_of_unreachable,
)

if TYPE_CHECKING:
    import pandas as pd

IntArray: TypeAlias = NDArray[np.int64]

# Cells are of equal width in log p up to one half, and in log(1 - p) above it: 128 per factor of two, down to 2**-30.
CELLS_PER_DOUBLING, DOUBLINGS = 128, 29
N_CELLS = 2 * (CELLS_PER_DOUBLING * DOUBLINGS + 1)
#: Number of elements that fit into a processor's cache.
CACHED = 2**18


class BlockEvaluation:
    """Evaluate documents block by block, keeping counts instead of scores.

    No study uses this class: it is for label sets whose scores do not fit into memory, as in ``benchmarks/load.py``.

    It takes 16 bytes of memory per label and cell (0.6 GB for 5,000 labels) and 12 bytes per document. All metrics are
    exact except ROC AUC and average precision, which treat scores within one cell as ties: such scores differ by at
    most 0.8 % of the score or, above one half, of its distance from 1.

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
        self.n_labels = n_labels = check_whole(n_labels, "n_labels", 1)
        if isinstance(thresholds, TopK):
            raise UsageError(f"thresholds are {thresholds!r}, which is no threshold; pass one number or one per label")
        checked = check_thresholds(thresholds, n_labels).copy()  # the caller may change theirs between blocks
        warn_of_unreachable(checked, top_k=False)
        self.thresholds = np.broadcast_to(checked, n_labels)
        self.zero_division = check_zero_division(zero_division)
        self._given_thresholds = thresholds
        self._labels: SeenLabels | None = None
        self.n_documents = 0
        self._by_label = np.zeros((3, n_labels), dtype=np.int64)
        self._by_document: list[NDArray[np.int32]] = []
        self._all = np.zeros((n_labels, N_CELLS), dtype=np.int64)
        self._positives = np.zeros((n_labels, N_CELLS), dtype=np.int64)
        self._ranking: dict[str, float] = {}
        self._bins = np.zeros((3, n_labels, N_BINS))
        self._brier = np.zeros(n_labels)

    def add(self, targets: MatrixLike, scores: MatrixLike) -> None:
        """Count a block of documents.

        Args:
            targets, scores: (n, n_labels); scores in [0, 1].

        Raises:
            UsageError: the block is invalid; it is then not counted.
        """
        seen = seen_labels(targets, scores)
        named: dict[str, object] = {"the first data frame": self._labels, "thresholds": self._given_thresholds}
        named |= {"targets": targets, "scores": scores}
        targets, scores = check_inputs(targets, scores)
        if targets.shape[1] != self.n_labels:
            raise UsageError(
                f"a block has {targets.shape[1]} labels, the evaluation has {self.n_labels}; pass the same labels"
            )
        check_label_order(named)
        check_probabilities(scores, "BlockEvaluation")
        self._labels = self._labels or seen
        n = len(targets)
        decisions = scores >= self.thresholds
        self._by_label += Counts.of_decisions(targets, decisions, axis=0)
        self._by_document.append(np.array(Counts.of_decisions(targets, decisions, axis=1), dtype=np.int32))
        for labels in label_blocks(
            n, self.n_labels, CACHED
        ):  # by label, because the cells of one label are adjacent in memory
            width = labels.stop - labels.start
            place = cells(scores[:, labels].T) + np.arange(width)[:, None] * N_CELLS
            for counts, placed in ((self._all, place.ravel()), (self._positives, place[targets[:, labels].T])):
                counts[labels] += np.bincount(placed, minlength=width * N_CELLS).reshape(width, N_CELLS)
        for name, value in ranking_metrics(targets, scores).items():
            self._ranking[name] = self._ranking.get(name, 0.0) + n * value
        self._bins += score_bins(targets, scores)
        self._brier += n * brier_scores(targets, scores)
        self.n_documents += n

    def metrics(self) -> dict[str, float]:
        """Return all metrics of the documents so far, as :func:`~afl_helpers.evaluation.evaluate` names them.

        Raises:
            UsageError: no block was added.
        """
        self._check()
        by_label = Counts(*self._by_label)
        calibration_error, per_label = errors_from_bins(*self._bins)
        flat = self._all.sum(0, keepdims=True), self._positives.sum(0, keepdims=True)
        return {
            **decision_metrics(by_label, Counts(*np.concatenate(self._by_document, axis=1)), self.zero_division),
            "roc_auc_micro": float(_roc_auc(*flat)[0]),
            "roc_auc_macro": mean(self._per_label(_roc_auc)),
            "average_precision_micro": float(_average_precision(*flat)[0]),
            "average_precision_macro": mean(self._per_label(_average_precision)),
            **by_label.undefined(),
            **{name: value / self.n_documents for name, value in self._ranking.items()},
            "expected_calibration_error": calibration_error,
            "expected_calibration_error_macro": float(per_label.mean()),
            "brier": float((self._brier / self.n_documents).mean()),
        }

    def label_table(self, label_names: Sequence[str] | None = None) -> "pd.DataFrame":
        """Return the metrics of each label: the columns of :func:`~afl_helpers.evaluation.label_table` but calibration.

        Args:
            label_names: n_labels names; by default, the columns of a data frame, or else the labels' positions.

        Raises:
            UsageError: no block was added, or not one name per label.
        """
        self._check()
        label_names = as_names(label_names, "label_names", "label")
        check_label_order(
            {
                "the first data frame": self._labels,
                "label_names": label_names,
                "thresholds": self._given_thresholds,
            }
        )
        counts = Counts(*self._by_label)
        columns = {
            "label": check_label_names(label_names, self.n_labels, self._labels),
            "support": counts.actual,
            "threshold": self.thresholds,
            "predicted": counts.predicted,
            **counts.precision_recall_f1(self.zero_division),
            "roc_auc": self._per_label(_roc_auc),
            "average_precision": self._per_label(_average_precision),
        }
        table: pd.DataFrame = require("pandas", "data", "label_table").DataFrame(columns)
        return table

    def _per_label(self, metric: Callable[[IntArray, IntArray], FloatArray]) -> FloatArray:
        return np.concatenate(
            [metric(self._all[i], self._positives[i]) for i in label_blocks(N_CELLS, self.n_labels, CACHED)]
        )

    def _check(self) -> None:
        if not self.n_documents:
            raise UsageError("there is nothing to evaluate yet; add blocks of targets and scores first")


def cells(scores: FloatArray) -> IntArray:
    """Return the cell of each score in [0, 1]; a higher score is never in a lower cell.

    The leading bits of a positive float grow with it: the exponent counts doublings, the mantissa divides each evenly.
    """
    above = scores > 0.5
    near = np.maximum(np.where(above, 1 - scores, scores), 2.0**-30).astype(np.float32)
    lowest = int(np.float32(2.0**-30).view(np.int32)) >> 16
    cell = (near.view(np.int32) >> 16).astype(np.int64) - lowest
    return np.where(above, N_CELLS - 1 - cell, cell)


def _roc_auc(everything: IntArray, positives: IntArray) -> FloatArray:
    """Return the ROC AUC from counts per cell, (n, N_CELLS) each; scores of one cell are ties."""
    negatives = everything - positives
    below = np.cumsum(negatives, axis=1) - negatives
    n_positives, n_negatives = positives.sum(1), negatives.sum(1)
    return ratio((positives * (below + negatives / 2)).sum(1), n_positives * n_negatives.astype(float), np.nan)


def _average_precision(everything: IntArray, positives: IntArray) -> FloatArray:
    """Return the average precision from counts per cell, (n, N_CELLS) each; scores of one cell are ties."""
    at_least, hits = (np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] for counts in (everything, positives))
    return ratio((positives * ratio(hits, at_least)).sum(1), positives.sum(1), np.nan)
