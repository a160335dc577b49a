"""How the threshold rules choose thresholds on validation documents; rules for infrequent labels are in ``infrequent``."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.posterior import check_gamma, lowest_scores_at, posterior_logits_of_scores
from afl_helpers.evaluation.reductions import label_blocks, ratio
from afl_helpers.evaluation.top_k import TopK, tune_top_k
from afl_helpers.evaluation.validation import BoolArray, FloatArray, as_numbers, check_probabilities

#: One threshold; one per label, (n_labels,); or a number of labels per document.
Thresholds: TypeAlias = float | FloatArray | TopK


@dataclass(frozen=True)
class TuningData:
    """What a rule may use to choose thresholds; each rule takes what it needs.

    Attributes:
        targets, scores: (n_documents, n_labels) of the validation documents, checked.
        label_rates: (n_labels,) share of training documents with each label.
        gamma: number or (n_labels,), focusing parameters of the focal loss that was trained; None for another loss. The
            rules on posteriors map scores by it (:func:`~afl_helpers.evaluation.posterior_scores`).
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
    return _common_cut(data.targets, data.scores, data.metric)


def common_macro_threshold(data: TuningData) -> float:
    """Return the one threshold with the highest macro F1."""
    return _common_cut(data.targets, data.scores, "f1_macro")


def common_posterior_thresholds(data: TuningData) -> float | FloatArray:
    """Return, as thresholds on scores, the one threshold on posteriors with the highest ``data.metric``.

    The same posterior corresponds to a different score for each gamma, so the result has one threshold per label, and
    the decisions are exactly those of the common threshold on the mapped scores. A threshold is half-way between log
    odds. With one gamma for all labels, or none, the map keeps the order of all scores, and the result is that of
    :func:`common_threshold`.
    """
    n_labels = data.scores.shape[1]
    gamma = check_gamma(0.0 if data.gamma is None else data.gamma, (n_labels,))
    if gamma.min() == gamma.max():
        return common_threshold(data)
    check_probabilities(data.scores, "a threshold on posteriors")
    log_odds = posterior_logits_of_scores(data.scores, gamma)
    return lowest_scores_at(_common_cut(data.targets, log_odds, data.metric), gamma)


def common_macro_posterior_thresholds(data: TuningData) -> float | FloatArray:
    """Return :func:`common_posterior_thresholds` for macro F1."""
    return common_posterior_thresholds(replace(data, metric="f1_macro"))


def label_thresholds(data: TuningData) -> FloatArray:
    """Return each label's own best threshold, drawn towards the common one."""
    targets, scores = data.targets, data.scores
    check_probabilities(scores, 'rule "per_label"')
    if not isinstance(data.shrinkage, int | float | np.number) or not data.shrinkage >= 0:
        raise UsageError(f"shrinkage is {data.shrinkage!r}; pass a number of positives, at least 0")
    own, _ = best_label_cuts(targets, scores)
    common = common_threshold(data)
    positives = targets.sum(0)
    weight = ratio(positives, positives + data.shrinkage)
    own_logit, common_logit = (logit(np.clip(value, 1e-12, 1 - 1e-12)) for value in (own, common))
    drawn = expit(weight * own_logit + (1 - weight) * common_logit)
    # Converting to logits and back rounds, so a threshold that should equal a score may come out above it.
    drawn = np.where((weight == 1) | (own == common), own, drawn)
    return np.where(positives == 0, common, drawn)


def proportional_thresholds(data: TuningData) -> FloatArray:
    """Return thresholds that predict each label as often as ``data.label_rates`` says, or as nearly as ties allow."""
    n, n_labels = data.scores.shape
    rates = np.asarray(np.nan if data.label_rates is None else as_numbers(data.label_rates, "label_rates"), dtype=float)
    if rates.shape != (n_labels,) or not ((rates >= 0) & (rates <= 1)).all():
        raise UsageError(
            f'rule "proportional" needs label_rates, the share of training documents with each label: '
            f"{n_labels} numbers in [0, 1]"
        )
    ranked = -np.sort(-data.scores, axis=0)
    wanted = np.rint(rates * n).astype(int)
    return np.array([threshold_of_cut(ranked[:, c], _nearest_cut(ranked[:, c], k)) for c, k in enumerate(wanted)])


def top_k(data: TuningData) -> TopK:
    """Return the number of labels per document with the highest ``data.metric``."""
    return tune_top_k(data.targets, data.scores, data.metric)


def best_label_cuts(targets: BoolArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return each label's threshold with the highest F1 (of several, the highest), and that F1, (n_labels,) each."""
    n_labels = scores.shape[1]
    thresholds, best = np.empty(n_labels), np.empty(n_labels)
    for labels in label_blocks(*scores.shape):
        order = np.argsort(-scores[:, labels], axis=0, kind="stable")
        ranked = np.take_along_axis(scores[:, labels], order, 0)
        f1 = np.where(_separates(ranked), _f1_by_cut(np.take_along_axis(targets[:, labels], order, 0)), -1.0)
        cuts = f1.argmax(0)
        thresholds[labels] = [threshold_of_cut(ranked[:, c], cut + 1) for c, cut in enumerate(cuts)]
        best[labels] = np.take_along_axis(f1, cuts[None], 0)[0]
    return thresholds, best


def threshold_of_cut(ranked: FloatArray, n_predicted: int) -> float:
    """Return a threshold that keeps the first ``n_predicted`` of descending scores.

    It is half-way to the next score. It is just above the highest score if none is kept, and the lowest if all are.
    """
    if n_predicted == 0:
        return float(np.nextafter(ranked[0], np.inf))
    last = float(ranked[n_predicted - 1])
    if n_predicted == len(ranked):
        return last
    following = float(ranked[n_predicted])
    middle = (last + following) / 2
    # Neighbouring, infinite or huge numbers have no midpoint.
    return middle if following < middle <= last else last


def above_highest(scores: FloatArray) -> FloatArray:
    """Return thresholds just above the highest score of each label, (n_labels,): nothing is predicted."""
    above: FloatArray = np.nextafter(scores.max(0), np.inf)
    return above


def _common_cut(targets: BoolArray, scores: FloatArray, metric: str) -> float:
    """Return the one threshold with the highest metric; scores may be infinite."""
    flat = scores.ravel()
    order = np.argsort(-flat, kind="stable")
    if metric == "f1_micro":
        value = _f1_by_cut(targets.ravel()[order])
    else:
        # Lowering the threshold past one score changes the F1 of one label: add these changes in order of score.
        label_order = np.argsort(-scores, axis=0, kind="stable")
        f1 = _f1_by_cut(np.take_along_axis(targets, label_order, 0))
        change = np.empty_like(f1)
        np.put_along_axis(change, label_order, np.diff(f1, axis=0, prepend=0.0), 0)
        value = change.ravel()[order].cumsum()
    ranked = flat[order]
    return threshold_of_cut(ranked, int(np.where(_separates(ranked), value, -1.0).argmax()) + 1)


def _f1_by_cut(hits: BoolArray) -> FloatArray:
    """Return the F1 of predicting the first 1, 2, ... documents of a ranking, along axis 0."""
    predicted = np.arange(1, len(hits) + 1).reshape(-1, *[1] * (hits.ndim - 1))
    return ratio(2 * hits.cumsum(0), predicted + hits.sum(0))


def _separates(ranked: FloatArray) -> BoolArray:
    """Return whether a cut after each of the descending scores separates two different scores, along axis 0."""
    return np.concatenate([ranked[:-1] != ranked[1:], np.ones_like(ranked[:1], dtype=bool)])


def _nearest_cut(ranked: FloatArray, wanted: int) -> int:
    """Return the number of predictions nearest to ``wanted`` that a threshold can make; of two, the smaller."""
    if wanted in (0, len(ranked)) or ranked[wanted - 1] != ranked[wanted]:
        return wanted
    tied = ranked[wanted]
    fewer, more = int((ranked > tied).sum()), int((ranked >= tied).sum())
    return fewer if wanted - fewer <= more - wanted else more
