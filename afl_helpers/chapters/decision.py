"""The decision tree of the chapter on remedies: from counts of labels to one piece of advice."""

from typing import NamedTuple

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


class Leaf(NamedTuple):
    """An end of the decision tree: its number in the figure, and what to do."""

    number: int
    advice: str


LEAVES = {
    "mask": Leaf(1, "Mask the entries that nobody has looked at."),
    "cost": Leaf(2, "Set the threshold by what an error costs."),
    "few": Leaf(3, "Leave these labels out, or collect documents."),
    "alike": Leaf(4, "Keep one threshold; tune it on validation."),
    "tune": Leaf(5, "Tune a threshold for each label."),
    "cut": Leaf(6, "Use the proportional cut."),
}


def leaf_for(
    label_counts: ArrayLike,
    n_documents: int,
    *,
    all_annotated: bool = True,
    miss_costs: float | None = None,
    validation_share: float = 0.1,
) -> Leaf:
    """Return the leaf of the decision tree for the labels of a corpus.

    Args:
        label_counts: the number of documents with each label, in all parts together.
        n_documents: the number of documents, with those without a label.
        all_annotated: whether every document was judged for every label.
        miss_costs: how many false alarms one missed label costs, where that is known.
        validation_share: share of the documents that thresholds are tuned on.

    Raises:
        UsageError: a count is negative or above the number of documents, or there is none.

    Example:
        >>> from afl_helpers.chapters.decision import leaf_for
        >>> leaf_for([500, 40, 12], 1000).advice
        'Use the proportional cut.'
    """
    counts = np.asarray(label_counts)
    if counts.ndim != 1 or not len(counts) or counts.min() < 0 or counts.max() > n_documents:
        raise UsageError(f"label_counts must be numbers from 0 to n_documents, {n_documents}; pass one per label")
    if not all_annotated:
        return LEAVES["mask"]
    if miss_costs is not None:
        return LEAVES["cost"]
    if counts.min() < DEFAULT_MIN_COUNT:
        return LEAVES["few"]
    if counts.max() < ALIKE * counts.min():
        return LEAVES["alike"]
    return LEAVES["tune" if counts.min() * validation_share >= ENOUGH_TO_TUNE else "cut"]
