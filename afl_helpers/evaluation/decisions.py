"""Metrics of decisions, from counts of true, predicted and actual positives."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afl_helpers.evaluation.reductions import mean, ratio
from afl_helpers.evaluation.validation import BoolArray, FloatArray


class Counts(NamedTuple):
    """True, predicted and actual positives, each (n,): of every label or of every document."""

    true_positives: NDArray[np.integer]
    predicted: NDArray[np.integer]
    actual: NDArray[np.integer]

    @classmethod
    def of_decisions(cls, targets: BoolArray, decisions: BoolArray, axis: int) -> "Counts":
        """Count along an axis of (n_documents, n_labels): 0 gives counts of labels, 1 of documents."""
        return cls((targets & decisions).sum(axis), decisions.sum(axis), targets.sum(axis))

    def undefined(self) -> dict[str, float]:
        """Return the numbers of labels whose recall, precision or F1 is undefined."""
        absent, unpredicted = self.actual == 0, self.predicted == 0
        return {
            "n_labels_without_positives": int(absent.sum()),
            "n_labels_never_predicted": int(unpredicted.sum()),
            "n_labels_without_f1": int((absent & unpredicted).sum()),
        }

    def precision_recall_f1(self, zero_division: float) -> dict[str, FloatArray]:
        """Return ``precision, recall, f1``, each (n,)."""
        tp, predicted, actual = self
        return {
            "precision": ratio(tp, predicted, zero_division),
            "recall": ratio(tp, actual, zero_division),
            "f1": ratio(2 * tp, predicted + actual, zero_division),
        }


def decision_metrics(by_label: Counts, by_document: Counts, zero_division: float = 0.0) -> dict[str, float]:
    """Return those metrics of :func:`~afl_helpers.evaluation.evaluate` that depend on decisions alone."""
    n_labels, n_documents = len(by_label.actual), len(by_document.actual)
    wrong = by_document.predicted + by_document.actual - 2 * by_document.true_positives
    metrics = {"subset_accuracy": float((wrong == 0).mean()), "hamming_accuracy": float(1 - wrong.mean() / n_labels)}
    of_all = Counts(*(np.atleast_1d(values.sum()) for values in by_label))
    for average, counts in {"micro": of_all, "macro": by_label, "samples": by_document}.items():
        tp, predicted, actual = counts
        # The mean of recall and specificity; undefined without both a positive and a negative.
        negatives = n_documents * n_labels // len(tp) - actual
        auc = (ratio(tp, actual, np.nan) + 1 - ratio(predicted - tp, negatives, np.nan)) / 2
        for name, values in counts.precision_recall_f1(zero_division).items():
            metrics[f"{name}_{average}"] = mean(values)
            if average == "macro":
                weighted = mean(values, actual)  # without any support: the plain mean, as in scikit-learn
                metrics[f"{name}_weighted"] = mean(values) if np.isnan(weighted) else weighted
        metrics[f"roc_auc_{average}_of_decisions"] = mean(auc)
        if average == "macro":
            metrics["roc_auc_weighted_of_decisions"] = mean(auc, actual)
    means = metrics["precision_macro"], metrics["recall_macro"]
    metrics["f1_macro_of_means"] = float(ratio(2 * means[0] * means[1], means[0] + means[1], zero_division))
    return metrics
