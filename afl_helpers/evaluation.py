"""Metrics, thresholds, frequency groups and bootstrap replicates for multi-label scores.

A label is predicted where ``score >= threshold``. Rules for what is undefined, the same everywhere:

- precision, recall and F1 with a zero denominator are 0, as in scikit-learn with ``zero_division=0``;
- ROC AUC and average precision of a label (or document) without both a positive and a negative (average precision:
  without a positive) are left out of the mean, and ``n_labels_without_positives`` says how many labels that concerns;
- a mean over nothing is NaN.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import expit, logit

from afl_helpers.errors import UsageError, unknown_name

GROUPS = ("head", "medium", "tail")
RULES = ("common", "per_label", "proportional")


# --- inputs ---------------------------------------------------------------------------------------------------------


def check_inputs(targets: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Targets as bool and scores as float64, both (n_documents, n_labels), or an error that says what is wrong."""
    targets = targets.toarray() if sparse.issparse(targets) else np.asarray(targets)
    scores = np.asarray(scores, dtype=np.float64)
    if targets.ndim != 2 or targets.shape != scores.shape:
        raise UsageError(
            f"targets have shape {targets.shape}, scores {scores.shape}; both must be (n_documents, n_labels)"
        )
    if 0 in targets.shape:
        raise UsageError(f"targets have shape {targets.shape}; pass at least one document and one label")
    if not np.isin(targets, (0, 1)).all():
        raise UsageError("targets hold a value other than 0 and 1")
    if not np.isfinite(scores).all():
        row, label = np.argwhere(~np.isfinite(scores))[0]
        raise UsageError(f"scores hold {scores[row, label]} at row {row}, label {label}; every score must be finite")
    return targets.astype(bool), scores


def check_thresholds(thresholds: ArrayLike, n_labels: int) -> np.ndarray:
    """Thresholds as a float64 array that broadcasts over labels."""
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if thresholds.shape not in ((), (n_labels,)) or np.isnan(thresholds).any():
        raise UsageError(
            f"thresholds have shape {thresholds.shape}; pass one number or one per label, shape ({n_labels},)"
        )
    return thresholds


# --- frequency groups -----------------------------------------------------------------------------------------------


def frequency_groups(
    label_counts: ArrayLike, cutoffs: Literal["rank"] | tuple[int, int] = "rank"
) -> dict[str, np.ndarray]:
    """Head, medium and tail labels by training count.

    Args:
        label_counts: (n_labels,) counts on the training documents.
        cutoffs: ``"rank"``: thirds of the labels ordered by count (ties by position, the tail gets no more than a
            third); or (head_from, medium_from): head has at least head_from documents, medium at least medium_from.

    Returns:
        ``{"head", "medium", "tail"}``, each (n_labels,) bool; together every label once.
    """
    counts = np.asarray(label_counts)
    if cutoffs == "rank":
        rank = np.empty(len(counts), dtype=int)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        head, medium = rank < len(counts) / 3, rank < 2 * len(counts) / 3
    else:
        head_from, medium_from = cutoffs
        if not 0 <= medium_from <= head_from:
            raise UsageError(f"cutoffs are {cutoffs}; pass (head_from, medium_from) with head_from >= medium_from")
        head, medium = counts >= head_from, counts >= medium_from
    return {"head": head, "medium": medium & ~head, "tail": ~medium}


# --- measures -------------------------------------------------------------------------------------------------------


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """numerator / denominator, 0 where the denominator is 0."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of the values that are defined; NaN where none is."""
    defined = ~np.isnan(values)
    if weights is not None:
        defined &= weights > 0
    if not defined.any():
        return float("nan")
    return float(np.average(values[defined], weights=None if weights is None else weights[defined]))


def roc_auc_per_label(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """ROC AUC of each column, (n_labels,); ties count half; NaN without both a positive and a negative."""
    n = len(targets)
    result = np.full(targets.shape[1], np.nan)
    for label, own, ranked in _ranked_labels(targets, scores):
        if len(own) < n:
            # The mean of the ranks that share a score, counted from 1 at the lowest.
            ranks = (np.searchsorted(ranked, own, "left") + np.searchsorted(ranked, own, "right") + 1) / 2
            result[label] = (ranks.sum() - len(own) * (len(own) + 1) / 2) / (len(own) * (n - len(own)))
    return result


def average_precision_per_label(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of each column, (n_labels,), documents of one score as one step; NaN without a positive."""
    n = len(targets)
    result = np.full(targets.shape[1], np.nan)
    for label, own, ranked in _ranked_labels(targets, scores):
        at_least = n - np.searchsorted(ranked, own, "left")
        hits = len(own) - np.searchsorted(own, own, "left")
        result[label] = (hits / at_least).mean()
    return result


def _ranked_labels(targets: np.ndarray, scores: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each label that has a positive: its column, the scores of its positives and all its scores, both ascending."""
    by_label = np.ascontiguousarray(targets.T, dtype=bool)
    scores = np.ascontiguousarray(scores.T)
    ranked = np.sort(scores, axis=1)
    for label in np.flatnonzero(by_label.any(1)):
        yield label, np.sort(scores[label, by_label[label]]), ranked[label]


def _decision_metrics(targets: np.ndarray, decisions: np.ndarray) -> dict[str, float]:
    """Everything that depends on decisions alone."""
    hit = targets & decisions
    metrics = {
        "subset_accuracy": float((targets == decisions).all(1).mean()),
        "hamming_accuracy": float((targets == decisions).mean()),
    }
    for average, axis in {"micro": None, "macro": 0, "samples": 1}.items():
        tp, predicted, actual = hit.sum(axis), decisions.sum(axis), targets.sum(axis)
        negatives = (~targets).sum(axis)
        precision, recall, f1 = _ratio(tp, predicted), _ratio(tp, actual), _ratio(2 * tp, predicted + actual)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall_defined = np.asarray(tp / actual, float)
            specificity = np.asarray(1 - (predicted - tp) / negatives, float)
        auc = np.atleast_1d((recall_defined + specificity) / 2)
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            metrics[f"{name}_{average}"] = float(values.mean())
            if average == "macro":
                metrics[f"{name}_weighted"] = float(_ratio((values * actual).sum(), actual.sum()))
        metrics[f"roc_auc_{average}_of_decisions"] = _mean(auc)
        if average == "macro":
            metrics["roc_auc_weighted_of_decisions"] = _mean(auc, actual)
    mean_precision, mean_recall = metrics["precision_macro"], metrics["recall_macro"]
    metrics["f1_macro_of_means"] = float(_ratio(2 * mean_precision * mean_recall, mean_precision + mean_recall))
    return metrics


def _score_metrics(
    targets: np.ndarray, scores: np.ndarray, roc_auc: np.ndarray, average_precision: np.ndarray
) -> dict[str, float]:
    """Measures of the ranking, from the labels' own values and the flattened matrix."""
    flat_targets, flat_scores = targets.reshape(-1, 1), scores.reshape(-1, 1)
    return {
        "roc_auc_micro": float(roc_auc_per_label(flat_targets, flat_scores)[0]),
        "roc_auc_macro": _mean(roc_auc),
        "average_precision_micro": float(average_precision_per_label(flat_targets, flat_scores)[0]),
        "average_precision_macro": _mean(average_precision),
    }


def evaluate(
    targets: ArrayLike,
    scores: ArrayLike,
    thresholds: ArrayLike = 0.5,
    label_counts: ArrayLike | None = None,
    cutoffs: Literal["rank"] | tuple[int, int] = "rank",
) -> dict[str, float]:
    """Every measure of a set of scores, at given thresholds.

    Args:
        targets: (n_documents, n_labels) of 0 and 1, dense or sparse.
        scores: (n_documents, n_labels), finite; usually probabilities.
        thresholds: one number, or (n_labels,); tune them on validation with :func:`tune_thresholds`.
        label_counts: (n_labels,) counts on the *training* documents; with them every measure is also given for the head,
            medium and tail labels (:func:`frequency_groups`), with ``_head``, ``_medium``, ``_tail`` appended.
        cutoffs: of the groups.

    Returns:
        dict of floats: ``subset_accuracy, hamming_accuracy``; ``{precision, recall, f1}_{micro, macro, weighted,
        samples}``; ``f1_macro_of_means`` (F1 of mean precision and mean recall, the other published macro F1);
        ``roc_auc_{micro, macro}``, ``average_precision_{micro, macro}`` of scores; ``roc_auc_{micro, macro, weighted,
        samples}_of_decisions``; ``n_labels_without_positives, n_labels_never_predicted``.
    """
    targets, scores = check_inputs(targets, scores)
    n_labels = targets.shape[1]
    decisions = scores >= check_thresholds(thresholds, n_labels)
    roc_auc = roc_auc_per_label(targets, scores)
    average_precision = average_precision_per_label(targets, scores)

    def measure(labels: np.ndarray) -> dict[str, float]:
        t, d = targets[:, labels], decisions[:, labels]
        return (
            _decision_metrics(t, d)
            | _score_metrics(t, scores[:, labels], roc_auc[labels], average_precision[labels])
            | {
                "n_labels_without_positives": int((~t.any(0)).sum()),
                "n_labels_never_predicted": int((~d.any(0)).sum()),
            }
        )

    metrics = measure(np.ones(n_labels, dtype=bool))
    if label_counts is not None:
        label_counts = np.asarray(label_counts)
        if label_counts.shape != (n_labels,):
            raise UsageError(
                f"label_counts has shape {label_counts.shape}, scores have {n_labels} labels; "
                f"pass the training counts, shape ({n_labels},)"
            )
        for group, labels in frequency_groups(label_counts, cutoffs).items():
            if labels.any():
                metrics |= {f"{name}_{group}": value for name, value in measure(labels).items()}
    return metrics


def paper_metrics(
    targets: ArrayLike, scores: ArrayLike, thresholds: ArrayLike = 0.5, average: str = "micro"
) -> dict[str, float]:
    """The paper's eight figures under one reading.

    The paper names neither the averaging of F1 and ROC AUC nor whether AUC is of scores or of decisions; ``average``
    is ``"micro"`` or ``"macro"`` for both, and both AUCs are given. "Accuracy" is subset accuracy, what
    scikit-learn's ``accuracy_score`` computes for several labels.
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
    thresholds: ArrayLike = 0.5,
    label_names: list[str] | None = None,
    label_counts: ArrayLike | None = None,
) -> pd.DataFrame:
    """One row per label: training count, support, threshold, how often it is predicted, precision, recall, F1,
    ROC AUC and average precision of its scores."""
    targets, scores = check_inputs(targets, scores)
    thresholds = np.broadcast_to(check_thresholds(thresholds, targets.shape[1]), targets.shape[1])
    decisions = scores >= thresholds
    tp, predicted, support = (targets & decisions).sum(0), decisions.sum(0), targets.sum(0)
    table = pd.DataFrame(
        {
            "label": range(targets.shape[1]) if label_names is None else label_names,
            "training_count": -1 if label_counts is None else np.asarray(label_counts),
            "support": support,
            "threshold": thresholds,
            "predicted": predicted,
            "precision": _ratio(tp, predicted),
            "recall": _ratio(tp, support),
            "f1": _ratio(2 * tp, predicted + support),
            "roc_auc": roc_auc_per_label(targets, scores),
            "average_precision": average_precision_per_label(targets, scores),
        }
    )
    return table if label_counts is not None else table.drop(columns="training_count")


# --- thresholds -----------------------------------------------------------------------------------------------------


def tune_thresholds(
    targets: ArrayLike,
    scores: ArrayLike,
    rule: str = "common",
    metric: str = "f1_micro",
    shrinkage: float = 10.0,
    label_rates: ArrayLike | None = None,
) -> float | np.ndarray:
    """Thresholds from *validation* targets and scores; never call it with test data.

    Args:
        targets, scores: (n_documents, n_labels); scores in [0, 1] for ``"per_label"``.
        rule: ``"common"``: the one threshold that maximises ``metric``. ``"per_label"``: each label's own best F1,
            drawn towards the common threshold on the logit scale; a label with ``shrinkage`` positives lies half-way, one
            without any takes the common one. ``"proportional"``: each label is predicted as often as it occurs in
            training (PCut, Yang, SIGIR 2001); uses the scores only.
        metric: ``"f1_micro"`` or ``"f1_macro"``, what the common threshold maximises.
        shrinkage: positives that weigh as much as the common threshold; 0 for none.
        label_rates: (n_labels,) share of training documents with each label; needed by ``"proportional"`` alone.

    Returns:
        A float for ``"common"``, else (n_labels,) float64. A threshold lies half-way between the two scores it separates.
    """
    if rule not in RULES:
        raise unknown_name("rule", rule, RULES)
    if metric not in ("f1_micro", "f1_macro"):
        raise unknown_name("metric", metric, ("f1_micro", "f1_macro"))
    targets, scores = check_inputs(targets, scores)
    if rule == "proportional":
        return _proportional_thresholds(scores, label_rates)
    common = _common_threshold(targets, scores, metric)
    return common if rule == "common" else _label_thresholds(targets, scores, common, shrinkage)


def _cut_below(ranked: np.ndarray, position: int) -> float:
    """A threshold that keeps the first ``position + 1`` of the descending scores, half-way to the next one."""
    if position + 1 < len(ranked):
        return float((ranked[position] + ranked[position + 1]) / 2)
    return float(ranked[position])


def _f1_by_cut(hits: np.ndarray) -> np.ndarray:
    """F1 of predicting the first 1, 2, ... documents of a ranking, along axis 0."""
    predicted = np.arange(1, len(hits) + 1).reshape(-1, *[1] * (hits.ndim - 1))
    return _ratio(2 * hits.cumsum(0), predicted + hits.sum(0))


def _best_cut(ranked: np.ndarray, value: np.ndarray) -> float:
    """The cut with the highest value among those that separate two different scores."""
    separates = np.append(ranked[:-1] != ranked[1:], True)
    return _cut_below(ranked, int(np.where(separates, value, -1.0).argmax()))


def _common_threshold(targets: np.ndarray, scores: np.ndarray, metric: str) -> float:
    flat = scores.ravel()
    order = np.argsort(-flat, kind="stable")
    if metric == "f1_micro":
        return _best_cut(flat[order], _f1_by_cut(targets.ravel()[order]))
    # Lowering the threshold past one score changes the F1 of one label: sum these changes in order of score.
    label_order = np.argsort(-scores, axis=0, kind="stable")
    f1 = _f1_by_cut(np.take_along_axis(targets, label_order, 0))
    change = np.empty_like(f1)
    np.put_along_axis(change, label_order, np.diff(f1, axis=0, prepend=0.0), 0)
    return _best_cut(flat[order], change.ravel()[order].cumsum())


def _label_thresholds(targets: np.ndarray, scores: np.ndarray, common: float, shrinkage: float) -> np.ndarray:
    if scores.min() < 0 or scores.max() > 1:
        raise UsageError('scores lie outside [0, 1]; rule "per_label" needs probabilities, pass sigmoid(logits)')
    if not shrinkage >= 0:
        raise UsageError(f"shrinkage is {shrinkage}; pass a number of positives, at least 0")
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked, hits = np.take_along_axis(scores, order, 0), np.take_along_axis(targets, order, 0)
    f1 = _f1_by_cut(hits)
    own = np.array([_best_cut(ranked[:, c], f1[:, c]) for c in range(scores.shape[1])])
    positives = targets.sum(0)
    weight = _ratio(positives, positives + shrinkage)
    own_logit, common_logit = (logit(np.clip(value, 1e-12, 1 - 1e-12)) for value in (own, common))
    return np.where(positives == 0, common, expit(weight * own_logit + (1 - weight) * common_logit))


def _proportional_thresholds(scores: np.ndarray, label_rates: ArrayLike | None) -> np.ndarray:
    n, n_labels = scores.shape
    rates = np.asarray(np.nan if label_rates is None else label_rates, dtype=float)
    if rates.shape != (n_labels,) or not ((rates >= 0) & (rates <= 1)).all():
        raise UsageError(
            f'rule "proportional" needs label_rates, the share of training documents with each label: '
            f"{n_labels} numbers in [0, 1]"
        )
    ranked = -np.sort(-scores, axis=0)
    predicted = np.rint(rates * n).astype(int)
    above_all = np.nextafter(ranked[0], np.inf)
    return np.array([_cut_below(ranked[:, c], k - 1) if k else above_all[c] for c, k in enumerate(predicted)])


# --- bootstrap ------------------------------------------------------------------------------------------------------


def resampling_weights(n_documents: int, n_replicates: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each document stands in each bootstrap sample, (n_replicates, n_documents) float32.

    One fixed sequence for every test set of that size, so that the replicates of two runs are paired.
    """
    rng = np.random.default_rng([seed, n_documents])
    return rng.multinomial(n_documents, np.full(n_documents, 1 / n_documents), n_replicates).astype(np.float32)


def bootstrap_f1(targets: ArrayLike, decisions: ArrayLike, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Replicates of micro and macro F1, each (n_replicates,), from the sufficient statistics of every sample."""
    targets, decisions = np.asarray(targets, bool), np.asarray(decisions, bool)
    tp, size = (
        weights @ values.astype(np.float32) for values in (targets & decisions, targets.astype(np.int8) + decisions)
    )
    return {"f1_micro": _ratio(2 * tp.sum(1), size.sum(1)), "f1_macro": _ratio(2 * tp, size).mean(1)}


def bootstrap_average_precision(targets: ArrayLike, scores: ArrayLike, weights: np.ndarray) -> np.ndarray:
    """Replicates of each label's average precision, (n_replicates, n_labels); NaN where a sample has no positive."""
    targets, scores = check_inputs(targets, scores)
    replicates = np.empty((len(weights), targets.shape[1]))
    for label in range(targets.shape[1]):
        positive = np.flatnonzero(targets[:, label])
        at_least = (scores[:, label, None] >= scores[positive, label]).astype(np.float32)
        ranked_above = weights @ at_least
        hits_above = weights[:, positive] @ at_least[positive]
        precision = _ratio(hits_above, ranked_above)
        with np.errstate(invalid="ignore"):
            replicates[:, label] = (precision * weights[:, positive]).sum(1) / weights[:, positive].sum(1)
    return replicates


def interval(replicates: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates."""
    low, high = np.nanquantile(np.asarray(replicates, float), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> dict[str, float]:
    """first - second from replicates of the same samples: mean difference and its percentile interval."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape:
        raise UsageError(f"replicates have shapes {first.shape} and {second.shape}; pair runs on the same test set")
    low, high = interval(first - second, level)
    return {"difference": float(np.nanmean(first - second)), "low": low, "high": high}
