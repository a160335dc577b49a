"""The decision tree of the chapter on remedies: from counts of labels to advice."""

from typing import Literal, NamedTuple

from numpy.typing import ArrayLike

from afl_helpers.advice import DEFAULT_MIN_COUNT
from afl_helpers.arrays import check_flag, refuse_masked
from afl_helpers.augment.base import check_number
from afl_helpers.errors import UsageError, check_choice
from afl_helpers.gamma import check_counts

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
        miss_costs: how many false alarms one missed label costs, at least 0, where that is known.
        metric: what the decisions are judged by.
        validation_share: share of the documents that thresholds are tuned on, from 0 to 1.

    Raises:
        UsageError: counts that are none, as :func:`~afl_helpers.gamma.check_counts` says, or another argument out of its
            range.

    Example:
        >>> from afl_helpers.chapters.decision import advice_for
        >>> [step.advice for step in advice_for([500, 40, 12], 1000)]
        ['Use the proportional cut.']
    """
    refuse_masked("label_counts", label_counts)
    if n_documents is None:
        raise UsageError("n_documents is None; pass the number of documents")
    counts = check_counts(label_counts, n_documents)
    check_flag("all_annotated", all_annotated)
    check_choice("metric", metric, ("macro F1", "micro F1"))
    check_number("validation_share", validation_share, 0, 1)
    if miss_costs is not None:
        check_number("miss_costs", miss_costs, 0)
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
