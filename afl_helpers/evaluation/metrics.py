"""All metrics of a set of scores at given thresholds: of all labels, of head, medium and tail, and of each label."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError, check_choice, require
from afl_helpers.evaluation.calibration import brier_scores, expected_calibration_errors
from afl_helpers.evaluation.decisions import Counts, decision_metrics
from afl_helpers.evaluation.groups import Cutoffs, frequency_groups
from afl_helpers.evaluation.ranking import average_precision_per_label, ranking_metrics, roc_auc_per_label
from afl_helpers.evaluation.reductions import mean
from afl_helpers.evaluation.thresholds import binarize, fit_thresholds
from afl_helpers.evaluation.top_k import TopK
from afl_helpers.evaluation.validation import (
    BoolArray,
    FloatArray,
    MatrixLike,
    are_probabilities,
    as_names,
    as_numbers,
    check_inputs,
    check_label_counts,
    check_label_names,
    check_label_order,
    check_thresholds,
    check_whole,
    check_zero_division,
    seen_labels,
    warn,
)
from afl_helpers.gamma import check_counts

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    targets: MatrixLike,
    scores: MatrixLike,
    thresholds: ArrayLike | TopK = 0.5,
    label_counts: ArrayLike | None = None,
    cutoffs: Cutoffs = "rank",
    zero_division: float = 0.0,
) -> dict[str, float]:
    """Return all metrics of a set of scores, at given thresholds.

    Args:
        targets, scores: (n_documents, n_labels); scores are usually probabilities.
        thresholds: one number, (n_labels,), or ``TopK(k)``. Tune them on validation documents with
            :func:`~afl_helpers.evaluation.tune_thresholds`; :func:`~afl_helpers.evaluation.evaluate_tuned` does both.
        label_counts: (n_labels,) counts on the *training* documents. With them, metrics of labels are also given for
            the head, medium and tail (:func:`~afl_helpers.evaluation.frequency_groups`), with ``_head``, ``_medium`` or
            ``_tail`` appended; a group without labels is left out. The ranking of each document's labels and the
            calibration have no groups.
        cutoffs: as in :func:`~afl_helpers.evaluation.frequency_groups`.
        zero_division: the value of precision, recall and F1 if their denominator is 0: 0, 1, or NaN to leave them out of
            means.

    Returns:
        Name -> value, in [0, 1] except for ``coverage`` and the numbers of labels.

        Of decisions: ``subset_accuracy, hamming_accuracy``; ``{precision, recall, f1}_{micro, macro, weighted,
        samples}``; ``f1_macro_of_means`` (F1 of macro precision and macro recall, the other published macro F1);
        ``roc_auc_{micro, macro, weighted, samples}_of_decisions``.

        Of scores: ``roc_auc_{micro, macro}``, ``average_precision_{micro, macro}``; ``coverage,
        label_ranking_average_precision, precision_at_{1, 3, 5}`` (:func:`~afl_helpers.evaluation.ranking_metrics`);
        ``expected_calibration_error, expected_calibration_error_macro, brier`` (NaN if a score is outside [0, 1]).

        Labels with an undefined metric: ``n_labels_without_positives, n_labels_never_predicted, n_labels_without_f1``.

    Raises:
        UsageError: an argument is out of range.

    Warns:
        UserWarning: scores are outside [0, 1] at the threshold 0.5, as if logits were taken for probabilities; or a
            threshold is above 1 and all scores are in [0, 1].

    Example:
        >>> from afl_helpers.evaluation import evaluate
        >>> targets = [[1, 0], [1, 0], [1, 0], [0, 1]]  # a frequent label and a rare one
        >>> scores = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.1], [0.2, 0.4]]  # the rare one is missed at 0.5
        >>> metrics = evaluate(targets, scores)
        >>> {name: round(metrics[name], 3) for name in ("recall_micro", "f1_micro", "f1_macro", "roc_auc_macro")}
        {'recall_micro': 0.75, 'f1_micro': 0.857, 'f1_macro': 0.5, 'roc_auc_macro': 1.0}
    """
    return evaluate_rules(targets, scores, {"": thresholds}, label_counts, cutoffs, zero_division)[""]


def evaluate_rules(
    targets: MatrixLike,
    scores: MatrixLike,
    thresholds: Mapping[str, ArrayLike | TopK],
    label_counts: ArrayLike | None = None,
    cutoffs: Cutoffs = "rank",
    zero_division: float = 0.0,
) -> dict[str, dict[str, float]]:
    """Return the result of :func:`evaluate` for several thresholds; metrics of scores are computed once.

    Args:
        targets, scores, label_counts, cutoffs, zero_division: as in :func:`evaluate`.
        thresholds: name -> thresholds, such as the result of :func:`~afl_helpers.evaluation.fit_thresholds`.

    Returns:
        Each name -> all metrics.

    Example:
        >>> from afl_helpers.evaluation import evaluate_rules
        >>> rules = evaluate_rules([[1, 0], [0, 1]], [[0.4, 0.1], [0.2, 0.3]], {"half": 0.5, "quarter": 0.25})
        >>> {name: metrics["f1_micro"] for name, metrics in rules.items()}
        {'half': 0.0, 'quarter': 1.0}
    """
    if not isinstance(thresholds, Mapping):
        raise UsageError(f'thresholds are {thresholds!r}; pass each name with its thresholds, such as {{"half": 0.5}}')
    named = {f"thresholds[{name!r}]" if name else "thresholds": value for name, value in thresholds.items()}
    targets, scores = check_inputs(targets, scores, **named, label_counts=label_counts)
    check_zero_division(zero_division)
    all_decisions = {name: binarize(scores, value) for name, value in thresholds.items()}
    _warn_of_logits(scores, thresholds.values())
    parts: dict[str, BoolArray | slice] = {"": slice(None)}  # suffix of the metrics -> labels
    if label_counts is not None:
        groups = frequency_groups(check_label_counts(label_counts, targets.shape[1]), cutoffs)
        parts |= {f"_{group}": labels for group, labels in groups.items() if labels.any()}
    roc_auc = roc_auc_per_label(targets, scores)
    average_precision = average_precision_per_label(targets, scores)
    of_scores = {
        suffix: _score_metrics(targets[:, labels], scores[:, labels], roc_auc[labels], average_precision[labels])
        for suffix, labels in parts.items()
    }
    of_whole = ranking_metrics(targets, scores) | _calibration_metrics(targets, scores)

    def metrics_of(decisions: BoolArray) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for suffix, labels in parts.items():
            t, d = targets[:, labels], decisions[:, labels]
            counts = Counts.of_decisions(t, d, axis=0)
            own = (
                decision_metrics(counts, Counts.of_decisions(t, d, axis=1), zero_division)
                | of_scores[suffix]
                | counts.undefined()
                | ({} if suffix else of_whole)
            )
            metrics |= {f"{name}{suffix}": value for name, value in own.items()}
        return metrics

    return {name: metrics_of(decisions) for name, decisions in all_decisions.items()}


def evaluate_tuned(
    *,
    validation: tuple[MatrixLike, MatrixLike],
    test: tuple[MatrixLike, MatrixLike],
    label_counts: ArrayLike,
    n_documents: int,
    rules: Iterable[str] | None = None,
    gamma: ArrayLike | None = None,
    cutoffs: Cutoffs = "rank",
    zero_division: float = 0.0,
) -> dict[str, dict[str, float]]:
    """Tune thresholds on validation documents by several rules, and return all test metrics under each rule.

    Args:
        validation, test: (targets, scores) of two disjoint sets of documents, each (n_documents, n_labels).
        label_counts: (n_labels,) counts on the training documents.
        n_documents: number of training documents.
        rules: names from :data:`~afl_helpers.evaluation.THRESHOLD_RULES`; by default, all of them.
        gamma: number or (n_labels,), gamma of the focal loss that was trained, for rules on posteriors; None for another
            loss.
        cutoffs, zero_division: as in :func:`evaluate`.

    Returns:
        Name of each rule -> the result of :func:`evaluate`, with groups.

    Raises:
        UsageError: an argument is out of range, a count is above n_documents, or validation and test hold the same
            scores, because thresholds would then be tuned on test documents.

    Example:
        >>> from afl_helpers.evaluation import evaluate_tuned
        >>> validation = [[1, 0], [0, 1]], [[0.4, 0.1], [0.2, 0.3]]
        >>> test = [[0, 1], [1, 0]], [[0.1, 0.45], [0.35, 0.15]]
        >>> rules = evaluate_tuned(validation=validation, test=test, label_counts=[50, 50], n_documents=100)
        >>> len(rules), rules["at_0.5"]["f1_micro"], rules["tuned_common"]["f1_micro"]  # every score is below 0.5
        (10, 0.0, 1.0)
    """
    sets = {"validation": validation, "test": test}
    for name, both in sets.items():
        if not np.iterable(both) or len(both) != 2:
            raise UsageError(f"{name} is no pair; pass (targets, scores)")
    check_whole(n_documents, "n_documents", 1)
    tuning, tested = check_inputs(*validation, label_counts=label_counts, gamma=gamma), check_inputs(*test)
    check_label_order({f"{name}[{i}]": values for name, both in sets.items() for i, values in enumerate(both)})
    if tuning[0].shape[1] != tested[0].shape[1]:
        raise UsageError(
            f"validation has {tuning[0].shape[1]} labels, test has {tested[0].shape[1]}; pass the same labels"
        )
    if _are_same_documents(tuning, tested):
        raise UsageError("validation and test hold the same scores; tune on documents that are not test documents")
    counts = check_counts(check_label_counts(label_counts, tuning[0].shape[1]), n_documents)
    thresholds = fit_thresholds(*tuning, counts / n_documents, rules, gamma)
    return evaluate_rules(*tested, thresholds, counts, cutoffs, zero_division)


def _are_same_documents(one: tuple[BoolArray, FloatArray], other: tuple[BoolArray, FloatArray]) -> bool:
    """Return whether two sets hold the same scores, or in another order the same scores and targets."""
    if one[1].shape != other[1].shape:
        return False
    if (one[1] == other[1]).all():
        return True
    if not np.array_equal(np.sort(one[1][:, 0]), np.sort(other[1][:, 0])):  # nearly always enough, and quick
        return False
    first, second = (
        sorted(row.tobytes() + labels.tobytes() for labels, row in zip(targets, scores))
        for targets, scores in (one, other)
    )
    return first == second


def _warn_of_logits(scores: FloatArray, thresholds: Iterable[ArrayLike | TopK]) -> None:
    """Warn of scores that are no probabilities at a threshold of 0.5."""
    common = [as_numbers(value, "thresholds") for value in thresholds if not isinstance(value, TopK)]
    if any(value.ndim == 0 and value == 0.5 for value in common) and not are_probabilities(scores):
        warn(
            f"scores lie between {scores.min():.3g} and {scores.max():.3g}, so they are no probabilities, but the threshold "
            "is 0.5; pass sigmoid(logits), or a threshold for these scores"
        )


def _score_metrics(
    targets: BoolArray, scores: FloatArray, roc_auc: FloatArray, average_precision: FloatArray
) -> dict[str, float]:
    """Return the ranking metrics, from the labels' own values and from all pairs as one label."""
    flat_targets, flat_scores = targets.reshape(-1, 1), scores.reshape(-1, 1)
    return {
        "roc_auc_micro": float(roc_auc_per_label(flat_targets, flat_scores)[0]),
        "roc_auc_macro": mean(roc_auc),
        "average_precision_micro": float(average_precision_per_label(flat_targets, flat_scores)[0]),
        "average_precision_macro": mean(average_precision),
    }


def _calibration_metrics(targets: BoolArray, scores: FloatArray) -> dict[str, float]:
    overall = per_label = brier = float("nan")
    if are_probabilities(scores):
        overall, errors = expected_calibration_errors(targets, scores)
        per_label, brier = float(errors.mean()), float(brier_scores(targets, scores).mean())
    return {
        "expected_calibration_error": overall,
        "expected_calibration_error_macro": per_label,
        "brier": brier,
    }


def paper_metrics(
    targets: MatrixLike, scores: MatrixLike, thresholds: ArrayLike | TopK = 0.5, average: str = "micro"
) -> dict[str, float]:
    """Return the eight metrics that the paper reports, under one reading.

    The paper states neither the averaging of F1 and ROC AUC nor whether the AUC is of scores or of decisions.
    ``average`` applies to F1 and both AUCs, and both AUCs are given. "Accuracy" is subset accuracy, as in
    scikit-learn's :func:`~sklearn.metrics.accuracy_score` of several labels.

    Args:
        targets, scores, thresholds: as in :func:`evaluate`.
        average: ``"micro"`` or ``"macro"``.

    Returns:
        ``accuracy, f1, roc_auc_of_scores, roc_auc_of_decisions, {precision, recall}_{macro, micro}``, in [0, 1].

    Raises:
        UsageError: unknown average, or as in :func:`evaluate`.

    Example:
        >>> from afl_helpers.evaluation import paper_metrics
        >>> targets = [[1, 0], [1, 0], [1, 0], [0, 1]]
        >>> scores = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.1], [0.2, 0.4]]  # in perfect order, but 0.4 is missed at 0.5
        >>> metrics = paper_metrics(targets, scores)
        >>> metrics["roc_auc_of_scores"], metrics["roc_auc_of_decisions"]
        (1.0, 0.875)
    """
    check_choice("average", average, ("micro", "macro"))
    metrics = evaluate(targets, scores, thresholds)
    return {
        "accuracy": metrics["subset_accuracy"],
        "f1": metrics[f"f1_{average}"],
        "roc_auc_of_scores": metrics[f"roc_auc_{average}"],
        "roc_auc_of_decisions": metrics[f"roc_auc_{average}_of_decisions"],
    } | {f"{name}_{kind}": metrics[f"{name}_{kind}"] for name in ("precision", "recall") for kind in ("macro", "micro")}


def label_table(
    targets: MatrixLike,
    scores: MatrixLike,
    thresholds: ArrayLike | TopK = 0.5,
    label_names: Sequence[str] | None = None,
    label_counts: ArrayLike | None = None,
    zero_division: float = 0.0,
) -> "pd.DataFrame":
    """Return all metrics of each label.

    Args:
        targets, scores, thresholds, zero_division: as in :func:`evaluate`.
        label_names: n_labels names; by default, the columns of a data frame, or else the labels' positions.
        label_counts: (n_labels,) counts on the *training* documents.

    Returns:
        One row per label, in order of the columns of scores, with ``label, training_count`` (if given), ``support``
        (positives), ``threshold`` (except for top k), ``predicted`` (documents), ``precision, recall, f1``,
        ``roc_auc, average_precision`` and, for probabilities, ``expected_calibration_error, brier``.

    Raises:
        UsageError: not one name or count per label, or as in :func:`evaluate`.

    Example:
        >>> from afl_helpers.evaluation import label_table
        >>> targets, scores = [[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.1], [0.2, 0.4]]
        >>> table = label_table(targets, scores, label_names=["drama", "samurai"])
        >>> table[["label", "support", "predicted", "recall"]].to_dict("list")
        {'label': ['drama', 'samurai'], 'support': [2, 1], 'predicted': [2, 0], 'recall': [1.0, 0.0]}
    """
    seen = seen_labels(targets, scores)
    label_names = as_names(label_names, "label_names", "label")
    targets, scores = check_inputs(
        targets, scores, label_names=label_names, thresholds=thresholds, label_counts=label_counts
    )
    check_zero_division(zero_division)
    n_labels = targets.shape[1]
    columns: dict[str, Any] = {"label": check_label_names(label_names, n_labels, seen)}
    counts = Counts.of_decisions(targets, binarize(scores, thresholds), axis=0)
    if label_counts is not None:
        columns["training_count"] = check_label_counts(label_counts, n_labels)
    columns["support"] = counts.actual
    if not isinstance(thresholds, TopK):
        columns["threshold"] = np.broadcast_to(check_thresholds(thresholds, n_labels), n_labels)
    columns |= {"predicted": counts.predicted, **counts.precision_recall_f1(zero_division)}
    columns["roc_auc"] = roc_auc_per_label(targets, scores)
    columns["average_precision"] = average_precision_per_label(targets, scores)
    if are_probabilities(scores):
        columns["expected_calibration_error"] = expected_calibration_errors(targets, scores)[1]
        columns["brier"] = brier_scores(targets, scores)
    table: pd.DataFrame = require("pandas", "data", "label_table").DataFrame(columns)
    return table
