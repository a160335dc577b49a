"""Thresholds: from scores to decisions, tuned on validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.evaluation.validation import check_inputs, check_thresholds, label_blocks, ratio

RULES = ("common", "per_label", "proportional", "top_k")


@dataclass(frozen=True)
class TopK:
    """Decide for the k highest scores of each document, the first label first among equals.

    Args:
        k: labels per document; all labels where there are fewer.

    Raises:
        UsageError: k is no whole number, or below 0.

    Example:
        >>> from afl_helpers.evaluation import TopK, decide
        >>> decide([[0.9, 0.8], [0.2, 0.1]], TopK(1)).tolist()
        [[True, False], [True, False]]
    """

    k: int

    def __post_init__(self):
        if not isinstance(self.k, int | np.integer) or isinstance(self.k, bool) or self.k < 0:
            raise UsageError(f"k is {self.k}; pass a whole number of labels per document, at least 0")


def decide(scores: np.ndarray, thresholds: ArrayLike | TopK) -> np.ndarray:
    """Decisions from scores: ``score >= threshold``, or the k highest of each document.

    Args:
        scores: (n_documents, n_labels), dense.
        thresholds: one number, or (n_labels,), or ``TopK(k)``.

    Returns:
        (n_documents, n_labels) bool.

    Raises:
        UsageError: thresholds of another shape, or NaN.

    Example:
        >>> from afl_helpers.evaluation import decide
        >>> decide([[0.9, 0.8], [0.5, 0.1]], 0.5).tolist()
        [[True, True], [True, False]]
        >>> decide([[0.9, 0.8], [0.5, 0.1]], [0.7, 0.1]).tolist()
        [[True, True], [False, True]]
    """
    scores = np.asarray(scores)
    if not isinstance(thresholds, TopK):
        return scores >= check_thresholds(thresholds, scores.shape[1])
    decisions = np.zeros(scores.shape, dtype=bool)
    best = np.argsort(-scores, axis=1, kind="stable")[:, : thresholds.k]
    np.put_along_axis(decisions, best, True, axis=1)
    return decisions


def tune_thresholds(
    targets: ArrayLike,
    scores: ArrayLike,
    rule: str = "common",
    metric: str = "f1_micro",
    shrinkage: float = 10.0,
    label_rates: ArrayLike | None = None,
) -> float | np.ndarray | TopK:
    """Thresholds from *validation* targets and scores; never call it with test data.

    :func:`~afl_helpers.evaluation.evaluate_tuned` does the tuning and the evaluation and keeps the two parts apart.

    Args:
        targets, scores: (n_documents, n_labels); scores in [0, 1] for ``"per_label"``.
        rule: ``"common"``: the one threshold that maximises ``metric``. ``"per_label"``: each label's own best F1,
            drawn towards the common threshold on the logit scale; a label with ``shrinkage`` positives lies half-way,
            one without any takes the common one. ``"proportional"``: each label is predicted as often as it occurs in
            training (PCut, Yang, SIGIR 2001); uses the scores only. ``"top_k"``: the k that maximises ``metric`` where
            each document gets its k highest labels.
        metric: ``"f1_micro"`` or ``"f1_macro"``, what ``"common"`` and ``"top_k"`` maximise.
        shrinkage: positives that weigh as much as the common threshold; 0 for none.
        label_rates: (n_labels,) share of training documents with each label; needed by ``"proportional"`` alone.

    Returns:
        A float for ``"common"``, a :class:`TopK` for ``"top_k"``, else (n_labels,) float64. A threshold lies half-way
        between the two scores it separates (before ``"per_label"`` draws it to the common one); it is the lowest score
        where nothing is cut off, and just above the highest where a rate rounds to no document.

    Raises:
        UsageError: an unknown rule or metric, shapes differ, a target is not 0 or 1, a score is not finite, or not in
            [0, 1] for ``"per_label"``; rates that are missing or not in [0, 1], a shrinkage below 0.

    Example:
        >>> from afl_helpers.evaluation import decide, tune_thresholds
        >>> targets = [[1, 0], [1, 0], [0, 1], [0, 0]]
        >>> scores = [[0.9, 0.2], [0.6, 0.1], [0.4, 0.3], [0.1, 0.0]]
        >>> thresholds = tune_thresholds(targets, scores, "proportional", label_rates=[0.5, 0.25])
        >>> thresholds.tolist(), decide(scores, thresholds).mean(0).tolist()  # each as often as its rate
        ([0.5, 0.25], [0.5, 0.25])
    """
    if rule not in RULES:
        raise unknown_name("rule", rule, RULES)
    if metric not in ("f1_micro", "f1_macro"):
        raise unknown_name("metric", metric, ("f1_micro", "f1_macro"))
    targets, scores = check_inputs(targets, scores)
    if rule == "proportional":
        return _proportional_thresholds(scores, label_rates)
    if rule == "top_k":
        return _best_top_k(targets, scores, metric)
    common = _common_threshold(targets, scores, metric)
    return common if rule == "common" else _label_thresholds(targets, scores, common, shrinkage)


def fit_thresholds(
    targets: ArrayLike,
    scores: ArrayLike,
    label_rates: ArrayLike,
    rules: Sequence[str] = RULES,
    metric: str = "f1_micro",
    shrinkage: float = 10.0,
) -> dict[str, float | np.ndarray | TopK]:
    """The thresholds of several rules from *validation* data.

    Args:
        targets, scores, metric, shrinkage: as in :func:`tune_thresholds`.
        label_rates: (n_labels,) share of training documents with each label.
        rules: of :data:`RULES`.

    Returns:
        ``"at_0.5"``, and ``"tuned_"`` with each rule's name, each with what :func:`tune_thresholds` returns.

    Raises:
        UsageError: as in :func:`tune_thresholds`.

    Example:
        >>> from afl_helpers.evaluation import fit_thresholds
        >>> targets, scores = [[1, 0], [0, 1]], [[0.4, 0.1], [0.2, 0.3]]
        >>> fit_thresholds(targets, scores, label_rates=[0.5, 0.5], rules=("common", "top_k"))
        {'at_0.5': 0.5, 'tuned_common': 0.25, 'tuned_top_k': TopK(k=1)}
    """
    return {"at_0.5": 0.5} | {
        f"tuned_{rule}": tune_thresholds(targets, scores, rule, metric, shrinkage, label_rates) for rule in rules
    }


def _cut_below(ranked: np.ndarray, position: int) -> float:
    """A threshold that keeps the first ``position + 1`` of the descending scores, half-way to the next one."""
    if position + 1 < len(ranked):
        return float((ranked[position] + ranked[position + 1]) / 2)
    return float(ranked[position])


def _f1_by_cut(hits: np.ndarray) -> np.ndarray:
    """F1 of predicting the first 1, 2, ... documents of a ranking, along axis 0."""
    predicted = np.arange(1, len(hits) + 1).reshape(-1, *[1] * (hits.ndim - 1))
    return ratio(2 * hits.cumsum(0), predicted + hits.sum(0))


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
    own = np.empty(scores.shape[1])
    for labels in label_blocks(*scores.shape):
        order = np.argsort(-scores[:, labels], axis=0, kind="stable")
        ranked = np.take_along_axis(scores[:, labels], order, 0)
        f1 = _f1_by_cut(np.take_along_axis(targets[:, labels], order, 0))
        own[labels] = [_best_cut(ranked[:, c], f1[:, c]) for c in range(ranked.shape[1])]
    positives = targets.sum(0)
    weight = ratio(positives, positives + shrinkage)
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


def _best_top_k(targets: np.ndarray, scores: np.ndarray, metric: str) -> TopK:
    order = np.argsort(-scores, axis=1, kind="stable")
    n_labels = scores.shape[1]
    tp, predicted, actual = np.zeros(n_labels), np.zeros(n_labels), targets.sum(0)
    best, best_value = 0, -1.0
    for k in range(1, n_labels + 1):
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
