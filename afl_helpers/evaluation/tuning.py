"""How each threshold rule chooses its thresholds on validation."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.reductions import label_blocks, ratio
from afl_helpers.evaluation.validation import BoolArray, FloatArray, check_probabilities

#: One threshold, or one per label, (n_labels,).
Thresholds: TypeAlias = float | FloatArray


@dataclass(frozen=True)
class TuningData:
    """What a rule may use to choose thresholds; it takes what it needs.

    Attributes:
        targets, scores: (n_documents, n_labels) of the validation documents, checked.
        label_rates: (n_labels,) share of training documents with each label.
        gamma: (n_labels,) focusing parameters of the loss that was trained, for rules on scores that are first mapped
            to probabilities. The four rules of today do not use it.
        metric, shrinkage: options of :func:`~afl_helpers.evaluation.tune_thresholds`.
    """

    targets: BoolArray
    scores: FloatArray
    label_rates: ArrayLike | None = None
    gamma: ArrayLike | None = None
    metric: str = "f1_micro"
    shrinkage: float = 10.0


def common_threshold(data: TuningData) -> float:
    """Return the one threshold with the highest ``data.metric``."""
    targets, scores = data.targets, data.scores
    flat = scores.ravel()
    order = np.argsort(-flat, kind="stable")
    if data.metric == "f1_micro":
        return _best_cut(flat[order], _f1_by_cut(targets.ravel()[order]))
    # Lowering the threshold past one score changes the F1 of one label: add these changes in order of score.
    label_order = np.argsort(-scores, axis=0, kind="stable")
    f1 = _f1_by_cut(np.take_along_axis(targets, label_order, 0))
    change = np.empty_like(f1)
    np.put_along_axis(change, label_order, np.diff(f1, axis=0, prepend=0.0), 0)
    return _best_cut(flat[order], change.ravel()[order].cumsum())


def label_thresholds(data: TuningData) -> FloatArray:
    """Return each label's own best threshold, drawn towards the common one."""
    targets, scores = data.targets, data.scores
    check_probabilities(scores, 'rule "per_label"')
    if not data.shrinkage >= 0:
        raise UsageError(f"shrinkage is {data.shrinkage}; pass a number of positives, at least 0")
    own = np.empty(scores.shape[1])
    for labels in label_blocks(*scores.shape):
        order = np.argsort(-scores[:, labels], axis=0, kind="stable")
        ranked = np.take_along_axis(scores[:, labels], order, 0)
        f1 = _f1_by_cut(np.take_along_axis(targets[:, labels], order, 0))
        own[labels] = [_best_cut(ranked[:, c], f1[:, c]) for c in range(ranked.shape[1])]
    common = common_threshold(data)
    positives = targets.sum(0)
    weight = ratio(positives, positives + data.shrinkage)
    own_logit, common_logit = (logit(np.clip(value, 1e-12, 1 - 1e-12)) for value in (own, common))
    return np.where(positives == 0, common, expit(weight * own_logit + (1 - weight) * common_logit))


def proportional_thresholds(data: TuningData) -> FloatArray:
    """Return thresholds that predict each label as often as ``data.label_rates`` says."""
    n, n_labels = data.scores.shape
    rates = np.asarray(np.nan if data.label_rates is None else data.label_rates, dtype=float)
    if rates.shape != (n_labels,) or not ((rates >= 0) & (rates <= 1)).all():
        raise UsageError(
            f'rule "proportional" needs label_rates, the share of training documents with each label: '
            f"{n_labels} numbers in [0, 1]"
        )
    ranked = -np.sort(-data.scores, axis=0)
    predicted = np.rint(rates * n).astype(int)
    above_all = np.nextafter(ranked[0], np.inf)
    return np.array([_cut_below(ranked[:, c], k - 1) if k else above_all[c] for c, k in enumerate(predicted)])


def _cut_below(ranked: FloatArray, position: int) -> float:
    """Return a threshold that keeps the first ``position + 1`` of the descending scores, half-way to the next one."""
    if position + 1 < len(ranked):
        return float((ranked[position] + ranked[position + 1]) / 2)
    return float(ranked[position])


def _f1_by_cut(hits: BoolArray) -> FloatArray:
    """Return the F1 of predicting the first 1, 2, ... documents of a ranking, along axis 0."""
    predicted = np.arange(1, len(hits) + 1).reshape(-1, *[1] * (hits.ndim - 1))
    return ratio(2 * hits.cumsum(0), predicted + hits.sum(0))


def _best_cut(ranked: FloatArray, value: FloatArray) -> float:
    """Return the cut with the highest value among those that separate two different scores."""
    separates = np.append(ranked[:-1] != ranked[1:], True)
    return _cut_below(ranked, int(np.where(separates, value, -1.0).argmax()))
