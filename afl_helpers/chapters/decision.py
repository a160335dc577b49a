"""The decision tree of the chapter on remedies: from counts of labels to advice."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.advice import DEFAULT_MIN_COUNT
from afl_helpers.errors import UsageError

#: Labels whose counts differ by less than this factor count as about equally frequent. In the generated corpora of the
#: chapter "beyond-films", one threshold does as well as the cut up to a strength of 0.6, where 30 labels differ by 7.7.
ALIKE = 8
#: Validation documents with a label from which a threshold of its own can be tuned: in the exercise of the chapter
#: "use-it", a hundred keep nearly all that tuning promises.
ENOUGH_TO_TUNE = 100


class Step(NamedTuple):
    """A piece of advice of the decision tree: its number in the figure, and what to do."""

    number: int
    advice: str


STEPS = {
    "mask": Step(1, "Mask the entries that nobody has looked at, then go on."),
    "few": Step(
        2,
        f"Leave out the labels with fewer than {DEFAULT_MIN_COUNT} documents, or collect more; go on with the others.",
    ),
    "cost": Step(3, "Set the threshold by what an error costs."),
    "one": Step(4, "Use one threshold; tune it on validation."),
    "tune": Step(5, "Tune a threshold for each label."),
    "cut": Step(6, "Use the proportional cut."),
}


def advice_for(
    label_counts: ArrayLike,
    n_documents: int,
    *,
    all_annotated: bool = True,
    miss_costs: float | None = None,
    metric: Literal["macro F1", "micro F1"] = "macro F1",
    validation_share: float = 0.1,
) -> list[Step]:
    """Return the advice of the decision tree for the labels of a corpus, in order.

    Args:
        label_counts: the number of documents with each label, in all parts together.
        n_documents: the number of documents, with those without a label.
        all_annotated: whether every document was judged for every label.
        miss_costs: how many false alarms one missed label costs, where that is known.
        metric: what the decisions are judged by.
        validation_share: share of the documents that thresholds are tuned on.

    Raises:
        UsageError: a count is negative or above the number of documents, or there is none; or the metric is another one.

    Example:
        >>> from afl_helpers.chapters.decision import advice_for
        >>> [step.advice for step in advice_for([500, 40, 12], 1000)]
        ['Use the proportional cut.']
    """
    counts = np.asarray(label_counts)
    if counts.ndim != 1 or not len(counts) or counts.min() < 0 or counts.max() > n_documents:
        raise UsageError(f"label_counts must be numbers from 0 to n_documents, {n_documents}; pass one per label")
    if metric not in ("macro F1", "micro F1"):
        raise UsageError(f"metric must be 'macro F1' or 'micro F1', not {metric!r}")
    steps = [] if all_annotated else [STEPS["mask"]]
    kept = counts[counts >= DEFAULT_MIN_COUNT]
    if len(kept) < len(counts):
        steps.append(STEPS["few"])
    if not len(kept):
        return steps
    if miss_costs is not None:
        return [*steps, STEPS["cost"]]
    if metric == "micro F1" or kept.max() < ALIKE * kept.min():
        return [*steps, STEPS["one"]]
    return [*steps, STEPS["tune" if kept.min() * validation_share >= ENOUGH_TO_TUNE else "cut"]]
