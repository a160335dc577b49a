"""Thresholds: from scores to decisions, by rules that are tuned on validation documents.

:data:`THRESHOLD_RULES` is the one table of rules. A new rule is one entry there: its name in result files, its titles,
and a function of a :class:`~afl_helpers.evaluation.tuning.TuningData`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError, check_choice, unknown_name
from afl_helpers.evaluation.infrequent import fbr_thresholds, smoothed_thresholds
from afl_helpers.evaluation.top_k import TopK
from afl_helpers.evaluation.tuning import (
    Thresholds,
    TuningData,
    common_macro_posterior_thresholds,
    common_macro_threshold,
    common_posterior_thresholds,
    common_threshold,
    label_thresholds,
    proportional_thresholds,
    top_k,
)
from afl_helpers.evaluation.validation import (
    BoolArray,
    MatrixLike,
    are_probabilities,
    as_numbers,
    check_finite,
    check_inputs,
    check_label_order,
    check_thresholds,
    warn_of_unreachable,
)


def binarize(scores: MatrixLike, thresholds: ArrayLike | TopK) -> BoolArray:
    """Return decisions: ``score >= threshold``, or the k highest labels of each document.

    Args:
        scores: (n_documents, n_labels).
        thresholds: one number, (n_labels,), or ``TopK(k)``.

    Returns:
        (n_documents, n_labels) bool.

    Raises:
        UsageError: scores or thresholds of another shape, or not numbers; a score that is not finite.

    Warns:
        UserWarning: a threshold is above 1 and all scores are in [0, 1].

    Example:
        >>> from afl_helpers.evaluation import binarize
        >>> binarize([[0.9, 0.8], [0.5, 0.1]], 0.5).tolist()
        [[True, True], [True, False]]
        >>> binarize([[0.9, 0.8], [0.5, 0.1]], [0.7, 0.1]).tolist()
        [[True, True], [False, True]]
    """
    check_label_order({"scores": scores, "thresholds": thresholds})
    scores = as_numbers(scores, "scores")
    if scores.ndim != 2:
        raise UsageError(f"scores have shape {scores.shape}; pass (n_documents, n_labels)")
    check_finite(scores)
    decisions: BoolArray
    if not isinstance(thresholds, TopK):
        checked = check_thresholds(thresholds, scores.shape[1])
        if (checked > 1).any() and scores.size and are_probabilities(scores):
            warn_of_unreachable(checked)
        decisions = scores >= checked
        return decisions
    decisions = np.zeros(scores.shape, dtype=bool)
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)  # the negative of an unsigned number is positive
    best = np.argsort(-scores, axis=1, kind="stable")[:, : thresholds.k]
    np.put_along_axis(decisions, best, True, axis=1)
    return decisions


@dataclass(frozen=True)
class ThresholdRule:
    """A way to choose thresholds, and its titles.

    Args:
        name: key in result files and in :data:`THRESHOLD_RULES`. A rule that learns from validation begins with
            ``tuned_``; :func:`tune_thresholds` takes the rest of the name.
        title: long words, for the model card.
        short_title: short words, for the tables and plots of the book.
        tuned_for: what the thresholds are tuned for, in words; None for a rule that is not tuned.
        choose: the thresholds for a :class:`~afl_helpers.evaluation.tuning.TuningData`.

    Example:
        >>> from afl_helpers.evaluation import THRESHOLD_RULES
        >>> rule = THRESHOLD_RULES["tuned_common"]
        >>> rule.short_title, rule.tuned_for
        ('one tuned threshold', 'micro F1')
        >>> rule.fit([[1, 0], [0, 1]], [[0.4, 0.1], [0.2, 0.3]])
        0.25
    """

    name: str
    title: str
    short_title: str
    tuned_for: str | None
    choose: Callable[[TuningData], Thresholds]

    @property
    def tuned(self) -> bool:
        """Whether the thresholds depend on validation documents."""
        return self.tuned_for is not None

    def fit(
        self,
        targets: MatrixLike,
        scores: MatrixLike,
        label_rates: ArrayLike | None = None,
        gamma: ArrayLike | None = None,
    ) -> Thresholds:
        """Return the rule's threshold or thresholds; the arguments are those of :func:`fit_thresholds`."""
        checked = check_inputs(targets, scores, label_rates=label_rates, gamma=gamma)
        return self.choose(TuningData(*checked, label_rates, gamma))


#: Every threshold rule by its name in result files. Training reports the metrics of each run under all of them.
THRESHOLD_RULES: dict[str, ThresholdRule] = {
    rule.name: rule
    for rule in (
        ThresholdRule(
            "at_0.5",
            title="0.5 for every label",
            short_title="at 0.5",
            tuned_for=None,
            choose=lambda data: 0.5,
        ),
        ThresholdRule(
            "tuned_common",
            title="one threshold, tuned on validation for micro F1",
            short_title="one tuned threshold",
            tuned_for="micro F1",
            choose=common_threshold,
        ),
        ThresholdRule(
            "tuned_per_label",
            title="one threshold per label, tuned on validation",
            short_title="one per label",
            tuned_for="the F1 of each label",
            choose=label_thresholds,
        ),
        ThresholdRule(
            "tuned_proportional",
            title="each label as often as in training",
            short_title="proportional cut",
            tuned_for="the frequency of each label in training",
            choose=proportional_thresholds,
        ),
        ThresholdRule(
            "tuned_common_macro",
            title="one threshold, tuned on validation for macro F1",
            short_title="one, for macro F1",
            tuned_for="macro F1",
            choose=common_macro_threshold,
        ),
        ThresholdRule(
            "tuned_common_posterior",
            title="one threshold on posteriors, tuned on validation for micro F1",
            short_title="one on posteriors",
            tuned_for="micro F1",
            choose=common_posterior_thresholds,
        ),
        ThresholdRule(
            "tuned_common_macro_posterior",
            title="one threshold on posteriors, tuned on validation for macro F1",
            short_title="one on posteriors, for macro F1",
            tuned_for="macro F1",
            choose=common_macro_posterior_thresholds,
        ),
        ThresholdRule(
            "tuned_smoothed",
            title="one threshold per label, tuned on validation for micro plus macro F1",
            short_title="per label, smoothed",
            tuned_for="micro plus macro F1",
            choose=smoothed_thresholds,
        ),
        ThresholdRule(
            "tuned_fbr",
            title="one threshold per label, high if its validation F1 is low (SCutFBR)",
            short_title="per label, SCutFBR",
            tuned_for="the F1 of each label",
            choose=fbr_thresholds,
        ),
        ThresholdRule(
            "tuned_top_k",
            title="the same number of labels per document, tuned on validation for micro F1",
            short_title="top k",
            tuned_for="micro F1",
            choose=top_k,
        ),
    )
}


def tune_thresholds(
    targets: MatrixLike,
    scores: MatrixLike,
    rule: str = "common",
    metric: str = "f1_micro",
    shrinkage: float = 10.0,
    label_rates: ArrayLike | None = None,
    gamma: ArrayLike | None = None,
) -> Thresholds:
    """Return thresholds tuned on *validation* targets and scores; never call it with test data.

    :func:`~afl_helpers.evaluation.evaluate_tuned` tunes and evaluates, and keeps validation and test apart.

    Args:
        targets, scores: (n_documents, n_labels); scores in [0, 1] for ``"per_label"``, ``"fbr"`` and posteriors.
        rule: a name from :data:`THRESHOLD_RULES` without ``tuned_``.

            - ``"common"``: the one threshold with the highest ``metric``; ``"common_macro"``: with the highest macro F1.
            - ``"common_posterior"``, ``"common_macro_posterior"``: the same on the probabilities implied by the scores of
              a focal loss (:func:`~afl_helpers.evaluation.posterior_scores`). The returned thresholds apply to the
              original, unmapped scores: one per label, or one for all if all labels have the same gamma.
            - ``"per_label"``: each label's own F1-optimal threshold, drawn towards the common threshold on the logit
              scale. A label with ``shrinkage`` positives gets the midpoint of the two, a label without positives gets
              the common threshold.
            - ``"smoothed"``: one per label for micro plus macro F1 (Lin & Lin, CIKM 2023);
              :func:`~afl_helpers.evaluation.infrequent.smoothed_thresholds` lists the differences from their code.
            - ``"fbr"``: each label's own F1-optimal threshold, or one above all scores if the label's F1 stays low
              (SCutFBR, Yang, SIGIR 2001); see :func:`~afl_helpers.evaluation.infrequent.fbr_thresholds`.
            - ``"proportional"``: each label is predicted as often as it occurs in training (PCut, Yang, SIGIR 2001); the
              targets are not used. If ties make that number impossible, the nearest possible number is used (the
              smaller if two are equally near). A label whose expected number of predictions rounds to 0 is never
              predicted.
            - ``"top_k"``: see :func:`~afl_helpers.evaluation.tune_top_k`.
        metric: ``"f1_micro"`` or ``"f1_macro"``, for a common threshold and for top k.
        shrinkage: for ``"per_label"``, how many positives a label needs for its own threshold to weigh as much as the
            common one; 0 turns shrinkage off, so that each label gets its F1-optimal threshold.
        label_rates: (n_labels,) share of training documents with each label; only ``"proportional"`` needs it.
        gamma: number or (n_labels,), gamma of the focal loss that was trained, for rules on posteriors; None for another
            loss, whose scores are not mapped.

    Returns:
        A float, or (n_labels,) float64, or a ``TopK``. A threshold is half-way between the two scores that it separates
        (before shrinkage; on posteriors, half-way between their log odds). It is the lowest score if nothing is cut off,
        and just above the highest if nothing is predicted.

    Raises:
        UsageError: unknown rule or metric; scores outside [0, 1] under a rule that needs probabilities; rates missing or
            outside [0, 1]; negative shrinkage; gamma negative or not one per label.

    Example:
        >>> from afl_helpers.evaluation import binarize, tune_thresholds
        >>> targets = [[1, 0], [1, 0], [0, 1], [0, 0]]
        >>> scores = [[0.9, 0.2], [0.6, 0.1], [0.4, 0.3], [0.1, 0.0]]
        >>> thresholds = tune_thresholds(targets, scores, "proportional", label_rates=[0.5, 0.25])
        >>> thresholds.tolist(), binarize(scores, thresholds).mean(0).tolist()  # each label as often as its rate
        ([0.5, 0.25], [0.5, 0.25])
    """
    rules = {name.removeprefix("tuned_"): known for name, known in THRESHOLD_RULES.items() if known.tuned}
    if not isinstance(rule, str) or rule.removeprefix("tuned_") not in rules:
        raise unknown_name("rule", rule, rules)
    rule = rule.removeprefix("tuned_")  # as metrics call it
    check_choice("metric", metric, ("f1_micro", "f1_macro"))
    checked = check_inputs(targets, scores, label_rates=label_rates, gamma=gamma)
    return rules[rule].choose(TuningData(*checked, label_rates, gamma, metric, shrinkage))


def fit_thresholds(
    targets: MatrixLike,
    scores: MatrixLike,
    label_rates: ArrayLike | None,
    rules: Iterable[str] | None = None,
    gamma: ArrayLike | None = None,
) -> dict[str, Thresholds]:
    """Return the thresholds of several rules, from *validation* data.

    Args:
        targets, scores: (n_documents, n_labels).
        label_rates: (n_labels,) share of training documents with each label.
        rules: names from :data:`THRESHOLD_RULES`; by default, all of them.
        gamma: as in :func:`tune_thresholds`.

    Returns:
        Name of each rule -> one threshold, (n_labels,), or a ``TopK``.

    Raises:
        UsageError: unknown rule, or as in :func:`tune_thresholds`.

    Example:
        >>> from afl_helpers.evaluation import fit_thresholds
        >>> targets, scores = [[1, 0], [0, 1]], [[0.4, 0.1], [0.2, 0.3]]
        >>> fit_thresholds(targets, scores, label_rates=[0.5, 0.5], rules=["at_0.5", "tuned_common"])
        {'at_0.5': 0.5, 'tuned_common': 0.25}
    """
    if isinstance(rules, str) or not isinstance(rules, Iterable | None):
        raise UsageError(f"rules is {rules!r}; pass a list of names")
    names = list(THRESHOLD_RULES if rules is None else rules)
    for name in names:
        check_choice("rule", name, THRESHOLD_RULES)
    return {name: THRESHOLD_RULES[name].fit(targets, scores, label_rates, gamma) for name in names}
