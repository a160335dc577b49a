"""Labels by how often they occur in training."""

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError, require
from afl_helpers.evaluation.validation import COUNTED, BoolArray, as_numbers, check_at_least_0

if TYPE_CHECKING:
    import pandas as pd

Cutoffs: TypeAlias = Literal["rank"] | tuple[int, int]


def frequency_groups(label_counts: ArrayLike, cutoffs: Cutoffs = "rank") -> dict[str, BoolArray]:
    """Split the labels into head, medium and tail by training count.

    Args:
        label_counts: (n_labels,) counts on the training documents.
        cutoffs: ``"rank"``: thirds of the labels in order of count (ties in order of position; the tail gets no more
            than a third). Or (head_from, medium_from): a head label has at least head_from documents, a medium label at
            least medium_from.

    Returns:
        ``{"head", "medium", "tail"}``, each (n_labels,) bool; every label is in one of them.

    Raises:
        UsageError: label_counts is not one-dimensional or holds a count below 0 or not finite, or the cutoffs are neither
            ``"rank"`` nor two descending counts.

    Example:
        >>> from afl_helpers.evaluation import frequency_groups
        >>> {name: labels.tolist() for name, labels in frequency_groups([900, 500, 30]).items()}
        {'head': [True, False, False], 'medium': [False, True, False], 'tail': [False, False, True]}
        >>> {name: labels.tolist() for name, labels in frequency_groups([900, 500, 30], cutoffs=(100, 10)).items()}
        {'head': [True, True, False], 'medium': [False, False, True], 'tail': [False, False, False]}
    """
    counts = as_numbers(label_counts, "label_counts")
    if counts.ndim != 1:
        raise UsageError(f"label_counts has shape {counts.shape}; pass one training count per label")
    check_at_least_0(counts, "label_counts", COUNTED)
    if isinstance(cutoffs, str):
        if cutoffs != "rank":
            raise UsageError(f'cutoffs are {cutoffs!r}; pass "rank" or (head_from, medium_from)')
        # As floats, because the negative of an unsigned number is positive.
        rank = np.empty(len(counts), dtype=int)
        rank[np.argsort(-counts.astype(np.float64), kind="stable")] = np.arange(len(counts))
        head, medium = rank < len(counts) / 3, rank < 2 * len(counts) / 3
    else:
        try:
            head_from, medium_from = cutoffs
            ordered = 0 <= medium_from <= head_from
        except (TypeError, ValueError):
            ordered = False
        if not ordered:
            raise UsageError(
                f'cutoffs are {cutoffs}; pass "rank", or (head_from, medium_from) with head_from >= medium_from'
            )
        head, medium = counts >= head_from, counts >= medium_from
    return {"head": head, "medium": medium & ~head, "tail": ~medium}


def frequency_curve(
    table: "pd.DataFrame", edges: ArrayLike = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
) -> "pd.DataFrame":
    """Average the metrics of the labels in bins of training count.

    Args:
        table: the result of :func:`~afl_helpers.evaluation.label_table` with training counts.
        edges: ascending counts, each the start of a bin; labels below the first form a bin of their own.

    Returns:
        One row per bin with labels, from rare to frequent, with ``count_from, count_below, n_labels, n_present,
        n_never_predicted`` and the means of ``recall, precision, f1, average_precision`` over those of its labels that
        occur in the evaluated documents (``n_present``; NaN if there are none).

    Raises:
        UsageError: the table has no training counts, or the edges do not ascend.

    Example:
        >>> from afl_helpers.evaluation import frequency_curve, label_table
        >>> targets, scores = [[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.1], [0.2, 0.4]]
        >>> table = label_table(targets, scores, label_counts=[500, 2])
        >>> frequency_curve(table, edges=(10, 100))[["count_from", "count_below", "recall"]].to_numpy().tolist()
        [[0.0, 10.0, 0.0], [100.0, inf, 1.0]]
    """
    if "training_count" not in table:
        raise UsageError("the table has no training_count; pass label_counts to label_table")
    edges = as_numbers(edges, "edges").astype(float)
    if edges.ndim != 1 or not len(edges) or np.isnan(edges).any() or (np.diff(edges) <= 0).any():
        raise UsageError("edges must ascend; pass the counts at which bins begin")
    bounds = np.concatenate([[0.0], edges[edges > 0], [np.inf]])
    bins = np.searchsorted(bounds, table["training_count"], side="right") - 1
    rows = []
    for index in np.unique(bins):
        labels = table[bins == index]
        present = labels[labels["support"] > 0]
        rows.append(
            {
                "count_from": bounds[index],
                "count_below": bounds[index + 1],
                "n_labels": len(labels),
                "n_present": len(present),
                "n_never_predicted": int((labels["predicted"] == 0).sum()),
                **present[["recall", "precision", "f1", "average_precision"]].mean().to_dict(),
            }
        )
    curve: pd.DataFrame = require("pandas", "data", "frequency_curve").DataFrame(rows)
    return curve
