"""Every measure of a set of scores at given thresholds, of all labels and of head, medium and tail."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.evaluation.calibration import brier_scores, calibration_errors
from afl_helpers.evaluation.groups import frequency_groups
from afl_helpers.evaluation.ranking import average_precision_per_label, ranking_metrics, roc_auc_per_label
from afl_helpers.evaluation.thresholds import RULES, TopK, decide, fit_thresholds
from afl_helpers.evaluation.validation import check_counts, check_inputs, mean, ratio


def evaluate(
    targets: ArrayLike,
    scores: ArrayLike,
    thresholds: ArrayLike | TopK = 0.5,
    label_counts: ArrayLike | None = None,
    cutoffs: Literal["rank"] | tuple[int, int] = "rank",
    zero_division: float = 0.0,
) -> dict[str, float]:
    """Every measure of a set of scores, at given thresholds.

    Args:
        targets: (n_documents, n_labels) of 0 and 1, dense or sparse.
        scores: (n_documents, n_labels), finite; usually probabilities.
        thresholds: one number, or (n_labels,), or ``TopK(k)``; tune them on validation with
            :func:`~afl_helpers.evaluation.tune_thresholds`, or do both with
            :func:`~afl_helpers.evaluation.evaluate_tuned`.
        label_counts: (n_labels,) counts on the *training* documents; with them every measure of labels is also given
            for the head, medium and tail (:func:`~afl_helpers.evaluation.frequency_groups`), with ``_head``,
            ``_medium``, ``_tail`` appended; not so the ranking of a document's labels and the calibration. A group
            without labels is left out.
        cutoffs: of the groups.
        zero_division: what precision, recall and F1 are where their denominator is 0; 0, 1, or NaN to leave them out of
            means.

    Returns:
        Every measure by its name, in [0, 1] but for ``coverage`` and the numbers of labels. Of decisions
        ``subset_accuracy, hamming_accuracy``; ``{precision, recall, f1}_{micro, macro, weighted, samples}``;
        ``f1_macro_of_means`` (F1 of mean precision and mean recall, the other published macro F1);
        ``roc_auc_{micro, macro, weighted, samples}_of_decisions``. Of scores ``roc_auc_{micro, macro}``,
        ``average_precision_{micro, macro}``; ``coverage``, ``label_ranking_average_precision``,
        ``precision_at_{1, 3, 5}`` (:func:`~afl_helpers.evaluation.ranking_metrics`); ``calibration_error``,
        ``calibration_error_macro``, ``brier`` (NaN where scores lie outside [0, 1]). How many labels a rule for the
        undefined concerns: ``n_labels_without_positives, n_labels_never_predicted, n_labels_without_f1``.

    Raises:
        UsageError: shapes differ, a target is not 0 or 1, a score is not finite, or another argument is out of range.

    Example:
        >>> from afl_helpers.evaluation import evaluate
        >>> targets = [[1, 0], [1, 0], [1, 0], [0, 1]]  # a frequent label and a rare one
        >>> scores = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.1], [0.2, 0.4]]  # the rare one is missed at 0.5
        >>> metrics = evaluate(targets, scores)
        >>> {name: round(metrics[name], 3) for name in ("recall_micro", "f1_micro", "f1_macro", "roc_auc_macro")}
        {'recall_micro': 0.75, 'f1_micro': 0.857, 'f1_macro': 0.5, 'roc_auc_macro': 1.0}
    """
    targets, scores = check_inputs(targets, scores)
    if zero_division not in (0, 1) and not np.isnan(zero_division):
        raise UsageError(f"zero_division is {zero_division}; pass 0, 1 or NaN")
    n_labels = targets.shape[1]
    decisions = decide(scores, thresholds)
    roc_auc = roc_auc_per_label(targets, scores)
    average_precision = average_precision_per_label(targets, scores)

    def measure(labels: np.ndarray | slice) -> dict[str, float]:
        t, d = targets[:, labels], decisions[:, labels]
        absent, unpredicted = ~t.any(0), ~d.any(0)
        return (
            _decision_metrics(t, d, zero_division)
            | _score_metrics(t, scores[:, labels], roc_auc[labels], average_precision[labels])
            | {
                "n_labels_without_positives": int(absent.sum()),
                "n_labels_never_predicted": int(unpredicted.sum()),
                "n_labels_without_f1": int((absent & unpredicted).sum()),
            }
        )

    metrics = measure(slice(None)) | ranking_metrics(targets, scores) | _calibration_metrics(targets, scores)
    if label_counts is not None:
        for group, labels in frequency_groups(check_counts(label_counts, n_labels), cutoffs).items():
            if labels.any():
                metrics |= {f"{name}_{group}": value for name, value in measure(labels).items()}
    return metrics


def evaluate_tuned(
    *,
    validation: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    label_counts: ArrayLike,
    n_documents: int,
    rules: Sequence[str] = RULES,
    metric: str = "f1_micro",
    shrinkage: float = 10.0,
    **kwargs,
) -> dict[str, dict[str, float]]:
    """Every measure on test, at 0.5 and at thresholds tuned on validation, rule by rule.

    Args:
        validation, test: (targets, scores) of two disjoint sets of documents, each (n_documents, n_labels).
        label_counts: (n_labels,) counts on the training documents.
        n_documents: number of training documents, so that label_counts / n_documents are the labels' rates.
        rules, metric, shrinkage: see :func:`~afl_helpers.evaluation.tune_thresholds`.
        kwargs: ``cutoffs`` and ``zero_division`` of :func:`evaluate`.

    Returns:
        For ``"at_0.5"`` and ``"tuned_"`` with each rule's name what :func:`evaluate` returns, with the groups.

    Raises:
        UsageError: as in :func:`evaluate` and :func:`~afl_helpers.evaluation.tune_thresholds`, where a count is above
            n_documents, and where validation and test are the same scores: then thresholds would be tuned on test.

    Example:
        >>> from afl_helpers.evaluation import evaluate_tuned
        >>> validation = [[1, 0], [0, 1]], [[0.4, 0.1], [0.2, 0.3]]
        >>> test = [[0, 1], [1, 0]], [[0.1, 0.45], [0.35, 0.15]]
        >>> rules = evaluate_tuned(validation=validation, test=test, label_counts=[50, 50], n_documents=100)
        >>> {rule: metrics["f1_micro"] for rule, metrics in rules.items()}  # every score is below 0.5
        {'at_0.5': 0.0, 'tuned_common': 1.0, 'tuned_per_label': 1.0, 'tuned_proportional': 1.0, 'tuned_top_k': 1.0}
    """
    tuning, tested = check_inputs(*validation), check_inputs(*test)
    if tuning[0].shape[1] != tested[0].shape[1]:
        raise UsageError(f"validation has {tuning[0].shape[1]} labels, test {tested[0].shape[1]}; pass the same labels")
    if tuning[1].shape == tested[1].shape and (tuning[1] == tested[1]).all():
        raise UsageError("validation and test hold the same scores; tune on documents that are not in test")
    counts = check_counts(label_counts, tuning[0].shape[1])
    if not n_documents >= counts.max():
        raise UsageError(
            f"n_documents is {n_documents}, a label has {counts.max()}; pass the number of training documents"
        )
    thresholds = fit_thresholds(*tuning, counts / n_documents, rules, metric, shrinkage)
    return {rule: evaluate(*tested, value, counts, **kwargs) for rule, value in thresholds.items()}


def _decision_metrics(targets: np.ndarray, decisions: np.ndarray, zero_division: float) -> dict[str, float]:
    """Everything that depends on decisions alone."""
    hit = targets & decisions
    counts = {axis: tuple(values.sum(axis) for values in (hit, decisions, targets)) for axis in (0, 1)}
    return metrics_of_counts(counts[0], counts[1], zero_division)


def metrics_of_counts(
    by_label: tuple[np.ndarray, np.ndarray, np.ndarray],
    by_document: tuple[np.ndarray, np.ndarray, np.ndarray],
    zero_division: float = 0.0,
) -> dict[str, float]:
    """Everything that depends on decisions alone, from true positives, predicted and actual positives.

    Args:
        by_label: the three counts of each label, (n_labels,).
        by_document: of each document, (n_documents,).
        zero_division: as in :func:`evaluate`.

    Returns:
        The measures of decisions, as in :func:`evaluate`.
    """
    n_labels, n_documents = len(by_label[0]), len(by_document[0])
    wrong = by_document[1] + by_document[2] - 2 * by_document[0]
    metrics = {"subset_accuracy": float((wrong == 0).mean()), "hamming_accuracy": float(1 - wrong.mean() / n_labels)}
    of_all = tuple(np.atleast_1d(values.sum()) for values in by_label)
    for average, counts in {"micro": of_all, "macro": by_label, "samples": by_document}.items():
        tp, predicted, actual = counts
        precision, recall = ratio(tp, predicted, zero_division), ratio(tp, actual, zero_division)
        f1 = ratio(2 * tp, predicted + actual, zero_division)
        # As a mean of recall and specificity; undefined without both a positive and a negative.
        negatives = n_documents * n_labels // len(tp) - actual
        auc = (ratio(tp, actual, np.nan) + 1 - ratio(predicted - tp, negatives, np.nan)) / 2
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
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


def _score_metrics(
    targets: np.ndarray, scores: np.ndarray, roc_auc: np.ndarray, average_precision: np.ndarray
) -> dict[str, float]:
    """Measures of the ranking, from the labels' own values and the flattened matrix."""
    flat_targets, flat_scores = targets.reshape(-1, 1), scores.reshape(-1, 1)
    return {
        "roc_auc_micro": float(roc_auc_per_label(flat_targets, flat_scores)[0]),
        "roc_auc_macro": mean(roc_auc),
        "average_precision_micro": float(average_precision_per_label(flat_targets, flat_scores)[0]),
        "average_precision_macro": mean(average_precision),
    }


def _calibration_metrics(targets: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    if scores.min() < 0 or scores.max() > 1:
        return dict.fromkeys(("calibration_error", "calibration_error_macro", "brier"), float("nan"))
    overall, per_label = calibration_errors(targets, scores)
    return {
        "calibration_error": overall,
        "calibration_error_macro": float(per_label.mean()),
        "brier": float(brier_scores(targets, scores).mean()),
    }


def paper_metrics(
    targets: ArrayLike, scores: ArrayLike, thresholds: ArrayLike = 0.5, average: str = "micro"
) -> dict[str, float]:
    """The paper's eight figures under one reading.

    The paper names neither the averaging of F1 and ROC AUC nor whether AUC is of scores or of decisions; ``average``
    is ``"micro"`` or ``"macro"`` for both, and both AUCs are given. "Accuracy" is subset accuracy, what
    scikit-learn's ``accuracy_score`` computes for several labels.

    Args:
        targets, scores, thresholds: as in :func:`evaluate`.
        average: ``"micro"`` or ``"macro"``.

    Returns:
        ``accuracy, f1, roc_auc_of_scores, roc_auc_of_decisions, {precision, recall}_{macro, micro}``, all shares.

    Raises:
        UsageError: an unknown average, or as in :func:`evaluate`.

    Example:
        >>> from afl_helpers.evaluation import paper_metrics
        >>> targets = [[1, 0], [1, 0], [1, 0], [0, 1]]
        >>> scores = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.1], [0.2, 0.4]]  # in perfect order, but 0.4 is missed at 0.5
        >>> figures = paper_metrics(targets, scores)
        >>> figures["roc_auc_of_scores"], figures["roc_auc_of_decisions"]
        (1.0, 0.875)
    """
    if average not in ("micro", "macro"):
        raise unknown_name("average", average, ("micro", "macro"))
    metrics = evaluate(targets, scores, thresholds)
    return {
        "accuracy": metrics["subset_accuracy"],
        "f1": metrics[f"f1_{average}"],
        "roc_auc_of_scores": metrics[f"roc_auc_{average}"],
        "roc_auc_of_decisions": metrics[f"roc_auc_{average}_of_decisions"],
    } | {f"{name}_{kind}": metrics[f"{name}_{kind}"] for name in ("precision", "recall") for kind in ("macro", "micro")}


def label_table(
    targets: ArrayLike,
    scores: ArrayLike,
    thresholds: ArrayLike | TopK = 0.5,
    label_names: list[str] | None = None,
    label_counts: ArrayLike | None = None,
    zero_division: float = 0.0,
) -> pd.DataFrame:
    """Every measure of each label by itself.

    Args:
        targets, scores, thresholds, zero_division: as in :func:`evaluate`.
        label_names: n_labels names; the labels' positions unless given.
        label_counts: (n_labels,) counts on the *training* documents.

    Returns:
        One row per label, in order of the columns of scores, with ``label, training_count`` (where given), ``support,
        predicted`` (numbers of documents), ``precision, recall, f1``, of its scores ``roc_auc, average_precision`` and,
        for probabilities, ``calibration_error, brier``; ``threshold`` unless top k.

    Raises:
        UsageError: not one name or count for each label, or as in :func:`evaluate`.

    Example:
        >>> from afl_helpers.evaluation import label_table
        >>> targets, scores = [[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.1], [0.2, 0.4]]
        >>> table = label_table(targets, scores, label_names=["drama", "samurai"])
        >>> table[["label", "support", "predicted", "recall"]].to_dict("list")
        {'label': ['drama', 'samurai'], 'support': [2, 1], 'predicted': [2, 0], 'recall': [1.0, 0.0]}
    """
    targets, scores = check_inputs(targets, scores)
    n_labels = targets.shape[1]
    if label_names is not None and len(label_names) != n_labels:
        raise UsageError(f"label_names has {len(label_names)} names, scores have {n_labels} labels; pass one each")
    decisions = decide(scores, thresholds)
    tp, predicted, support = (targets & decisions).sum(0), decisions.sum(0), targets.sum(0)
    columns = {"label": range(n_labels) if label_names is None else label_names}
    if label_counts is not None:
        columns["training_count"] = check_counts(label_counts, n_labels)
    columns["support"] = support
    if not isinstance(thresholds, TopK):
        columns["threshold"] = np.broadcast_to(np.asarray(thresholds, float), n_labels)
    columns |= {
        "predicted": predicted,
        "precision": ratio(tp, predicted, zero_division),
        "recall": ratio(tp, support, zero_division),
        "f1": ratio(2 * tp, predicted + support, zero_division),
        "roc_auc": roc_auc_per_label(targets, scores),
        "average_precision": average_precision_per_label(targets, scores),
    }
    if scores.min() >= 0 and scores.max() <= 1:
        columns["calibration_error"] = calibration_errors(targets, scores)[1]
        columns["brier"] = brier_scores(targets, scores)
    return pd.DataFrame(columns)
