"""Intervals of F1 over the documents of one test set, which also hold where labels have one or two positives.

The target is the *population* value: the F1 of these labels at these fixed thresholds on endlessly many documents of the
same kind. The F1 of a small test set lies below it, because F1 is a concave function of what is found: a label with one
positive that is missed by chance has F1 = 0. Bootstrap samples lose rare labels once more, so that a percentile interval can miss the population
value nearly always. Hence three steps:

1. *Frequent labels*, with at least ten expected positives on test, have their own F1, with its bias removed to second order.
2. *Rare labels* share what they do not know (empirical Bayes). Of a label's positives a share ``recall`` is found; and
   the label is predicted wrongly ``excess`` times as often as it has positives. Then F1 = 2 recall / (1 + recall + excess).
   Found positives are binomial and wrong predictions Poisson. About 25 labels of similar training count share one
   distribution of (recall, excess), fitted by EM on a grid; a label's F1 is its posterior mean.
3. *The error* comes from 20 random parts of the documents, each left out once and doubled once. The jackknife variance
   of leaving out is too large where labels are rare, because it counts curvature twice; the variance of half the
   difference between doubling and leaving out is too small, because it does not count it. Two thirds of the first and
   one third of the second cover best (chosen by simulation). Whole documents are left out, so labels of a document, and
   two classifiers on the same documents, stay together. The interval is Student's t with 19 degrees of freedom.

Assumptions: documents are independent, and rare labels with similar training counts are alike on average.

Simulated coverage at nominal 95 % (``tests/test_document_intervals.py``) is .94 to .97 on 227 labels from 50 % to .05
% with 1,900 documents, on 100 labels from 20 % to .2 % with 1,000 documents, on 50 labels with five positives each,
and for differences where one side never predicts the rarer half of the labels. Equal classifiers are told apart in .03
to .06 of test sets, and in .01 to .04 where the two share most of their decisions: there the error is up to a fifth
too large. Coverage is lower where little is known: .92 for differences where one side never predicts every second of the
rare labels, and with one positive per label on test (200 labels at .1 %) .93 for a metric and .88 for a difference
where one side never predicts the rarer half.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlog1py, xlogy

from afl_helpers.errors import UsageError, check_choice
from afl_helpers.evaluation.intervals import TestOfMean, t_test_of
from afl_helpers.evaluation.reductions import ratio
from afl_helpers.evaluation.validation import (
    BoolArray,
    FloatArray,
    MatrixLike,
    check_frames,
    check_label_counts,
    check_label_order,
    check_level,
    check_targets,
    check_whole,
)

#: Labels with fewer expected positives on test are rare.
FREQUENT = 10
_GROUP = 25
_PARTS = 20
#: Of the standard error of an interval.
DEGREES_OF_FREEDOM = _PARTS - 1
_STEPS = 60
_RECALL = np.linspace(0, 1, 13)
#: Below this many positives per rare label the groups hold too little to learn from.
_FEWEST = 0.5


class DocumentInterval(NamedTuple):
    """A metric, or a difference of two, with its interval over documents.

    Attributes:
        observed: the plain value on this test set, as :func:`~afl_helpers.evaluation.evaluate` gives it.
        estimate: the estimate of the population value, the centre of the interval.
        low, high: the interval.
        p_value: of the hypothesis that the population value is 0, two-sided.
    """

    observed: float
    estimate: float
    low: float
    high: float
    p_value: float


def metric_interval(
    targets: MatrixLike,
    decisions: MatrixLike,
    label_counts: ArrayLike,
    metric: str = "f1_macro",
    level: float = 0.95,
    seed: int = 0,
) -> DocumentInterval:
    """Estimate the population value of macro or micro F1 from one test set.

    See ``afl_helpers.evaluation.document_intervals`` for the method and its assumptions.

    Args:
        targets, decisions: (n_documents, n_labels) of 0 and 1, at least 20 documents.
        label_counts: (n_labels,) counts on train, which say which labels are similarly frequent.
        metric: "f1_macro" or "f1_micro".
        level: of the interval.
        seed: of the division of the documents into parts.

    Raises:
        UsageError: shapes or values are wrong, or the rare labels have fewer than one positive per two labels on test;
            then use more test documents, or leave the rarest labels out.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import metric_interval
        >>> rng = np.random.default_rng(0)
        >>> targets = rng.random((500, 50)) < 0.01
        >>> decisions = (targets & (rng.random((500, 50)) < 0.5)) | (rng.random((500, 50)) < 0.005)  # true F1: 0.5
        >>> found = metric_interval(targets, decisions, label_counts=np.full(50, 40))
        >>> found.low < 0.5 < found.high
        True
    """
    level = check_level(level)
    return estimate_population(targets, {"decisions": decisions}, label_counts, metric, seed).interval(level)


def difference_interval(
    targets: MatrixLike,
    decisions: MatrixLike,
    rival_decisions: MatrixLike,
    label_counts: ArrayLike,
    metric: str = "f1_macro",
    level: float = 0.95,
    seed: int = 0,
) -> DocumentInterval:
    """Estimate the population difference of two classifiers on one test set, the first minus the rival.

    It speaks of these two trained models. What another split or seed would give is said by
    :func:`afl_helpers.results.compare`.

    Args:
        targets, decisions, rival_decisions: (n_documents, n_labels) of 0 and 1.
        label_counts, metric, level, seed: as in :func:`metric_interval`.

    Raises:
        UsageError: as :func:`metric_interval`.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import difference_interval
        >>> rng = np.random.default_rng(0)
        >>> targets = rng.random((500, 50)) < 0.01
        >>> decisions = targets & (rng.random((500, 50)) < 0.5)  # F1 2/3
        >>> found = difference_interval(targets, decisions, np.zeros_like(targets), label_counts=np.full(50, 40))
        >>> found.low < 2 / 3 < found.high, found.p_value < 0.001
        (True, True)
    """
    level, sides = check_level(level), {"decisions": decisions, "rival_decisions": rival_decisions}
    return estimate_population(targets, sides, label_counts, metric, seed).interval(level)


class DocumentEstimate(NamedTuple):
    """A metric, or a difference of two: on this test set, its population value as estimated, and the standard error."""

    observed: float
    estimate: float
    error: float

    def t_test(self, level: float, margin: float = 0.0) -> TestOfMean:
        """Test the estimate by Student's t."""
        return t_test_of(self.estimate, self.error, DEGREES_OF_FREEDOM, level, margin)

    def interval(self, level: float) -> DocumentInterval:
        """Return the interval at this level."""
        return DocumentInterval(self.observed, *self.t_test(level)[:4])


def estimate_population(
    targets: MatrixLike, sides: Mapping[str, MatrixLike], label_counts: ArrayLike, metric: str, seed: int = 0
) -> DocumentEstimate:
    """Estimate a metric of the first side, minus that of the second if there are two.

    Args:
        targets: (n_documents, n_labels) of 0 and 1.
        sides: name -> decisions, of the same shape.
        label_counts, metric, seed: as in :func:`metric_interval`.
    """
    for name, values in sides.items():
        check_frames(targets, values, name)
    check_label_order({"targets": targets, **sides, "label_counts": label_counts})
    actual_labels, decisions = check_targets(targets), [check_targets(values, name) for name, values in sides.items()]
    for values in decisions:
        if values.shape != actual_labels.shape:
            raise UsageError(
                f"targets have shape {actual_labels.shape}, decisions {values.shape}; pass the same documents"
            )
    check_choice("metric", metric, POPULATION_METRICS)
    if len(actual_labels) < _PARTS:
        raise UsageError(f"there are {len(actual_labels)} documents; pass at least {_PARTS}")
    counts = check_label_counts(label_counts, actual_labels.shape[1]).astype(float)
    if not counts.any():
        raise UsageError("label_counts are all 0; pass the counts of the training documents")
    order = np.random.default_rng(check_whole(seed, "seed", 0)).permutation(len(actual_labels))
    starts = np.linspace(0, len(actual_labels), _PARTS, endpoint=False).astype(int)
    # Row 0 has all documents; then each part is left out, then each is doubled.
    weights = np.vstack([np.ones(_PARTS), 1 - np.eye(_PARTS), 1 + np.eye(_PARTS)])

    def counted(values: BoolArray) -> FloatArray:
        return np.asarray(weights @ np.add.reduceat(values[order].astype(float), starts, axis=0), dtype=np.float64)

    actual = counted(actual_labels)
    total, observed = np.zeros(len(weights)), 0.0
    for sign, predicted in zip((1, -1), decisions):
        found, wrong = counted(actual_labels & predicted), counted(predicted & ~actual_labels)
        plain, estimated = POPULATION_METRICS[metric](found, wrong, actual, counts)
        total += sign * estimated
        observed += sign * plain
    without, doubled = total[1 : _PARTS + 1], total[_PARTS + 1 :]
    left_out = (_PARTS - 1) ** 2 / _PARTS * without.var(ddof=1)
    both_ways = _PARTS * ((doubled - without) / 2).var(ddof=1)
    error = float(np.sqrt((2 * left_out + both_ways) / 3))
    return DocumentEstimate(observed, float(total[0]), error)


def _micro(found: FloatArray, wrong: FloatArray, actual: FloatArray, counts: FloatArray) -> tuple[float, FloatArray]:
    f1 = ratio(2 * found.sum(1), (found + wrong + actual).sum(1))
    return float(f1[0]), f1


def _macro(found: FloatArray, wrong: FloatArray, actual: FloatArray, counts: FloatArray) -> tuple[float, FloatArray]:
    """Return the plain macro F1 of row 0, and the estimated one of every row of counts (n_rows, n_labels)."""
    concerned = actual + wrong
    share = ratio(found, concerned)  # F1 = 2 share / (1 + share), a concave function: its mean lies too low
    f1 = 2 * share / (1 + share)
    estimated = f1 + 2 * share * (1 - share) / (1 + share) ** 3 / np.maximum(concerned - 1, 1)
    counts = np.maximum(counts, 0.5)  # a label that training lacks is rare, not impossible
    by_count = counts * ratio(actual.sum(1, keepdims=True), counts.sum())  # expected positives, from training alone
    # Thirty positives are no chance where ten are expected: such a label is frequent here, whatever training says.
    rare = np.flatnonzero((by_count[0] < FREQUENT) & (actual[0] < 3 * FREQUENT))
    if len(rare):
        if actual[0, rare].mean() < _FEWEST:
            raise UsageError(
                f"{len(rare)} rare labels have {actual[0, rare].sum():.0f} positives on test; use more test documents, or "
                "leave out the rarest labels"
            )
        # Expected positives of each label: its own, with those expected from training as at most ten more observations.
        known = np.clip(counts, 0.5, 10)
        expected = (known + actual) / (known / np.maximum(by_count, 1e-9) + 1)
        by_frequency = rare[np.argsort(-counts[rare], kind="stable")]
        for group in np.array_split(by_frequency, max(1, round(len(rare) / _GROUP))):
            estimated[:, group] = _shared(*(values[:, group] for values in (found, wrong, actual, expected)))
    return float(f1[0].mean()), np.asarray(estimated.mean(1))


def _shared(found: FloatArray, wrong: FloatArray, actual: FloatArray, expected: FloatArray) -> FloatArray:
    """Return the posterior mean F1 of labels that share a distribution of (recall, excess), (n_rows, n_labels) each."""
    most = max(4.0, float(((wrong[0] + 2) / expected[0]).max()))
    excesses = np.concatenate([[0.0], np.geomspace(0.1, most, 9)])
    recall, excess = (axis.ravel() for axis in np.meshgrid(_RECALL, excesses, indexing="ij"))
    of_recall = xlogy(found[..., None], _RECALL) + xlog1py((actual - found)[..., None], -_RECALL)
    rate = excesses * expected[..., None]
    of_excess = xlogy(wrong[..., None], rate) - rate
    log_likelihood = (of_recall[..., :, None] + of_excess[..., None, :]).reshape(*found.shape, -1)
    likelihood = np.exp(log_likelihood - log_likelihood.max(2, keepdims=True))
    weights = np.full((len(found), 1, likelihood.shape[2]), 1 / likelihood.shape[2])
    for _ in range(_STEPS):
        weights = weights * ((1 / (likelihood @ weights.mT)).mT @ likelihood) / found.shape[1]
    posterior = likelihood * weights
    return np.asarray((posterior @ (2 * recall / (1 + recall + excess))) / posterior.sum(2))


#: The metrics whose population value can be estimated.
POPULATION_METRICS: dict[str, Callable[[FloatArray, FloatArray, FloatArray, FloatArray], tuple[float, FloatArray]]] = {
    "f1_macro": _macro,
    "f1_micro": _micro,
}
