"""Ratios, means and blocks of labels: the arithmetic that all metrics share."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.evaluation.validation import FloatArray

#: Elements per block of labels. It bounds the memory that sorting needs in addition to targets and scores.
BLOCK = 2**23


def label_blocks(n_documents: int, n_labels: int, size: int | None = None) -> Iterator[slice]:
    """Yield slices of labels with about ``size`` elements each; by default, :data:`BLOCK`."""
    step = max(1, (size or BLOCK) // n_documents)
    for start in range(0, n_labels, step):
        yield slice(start, min(start + step, n_labels))


def ratio(numerator: ArrayLike, denominator: ArrayLike, missing: float = 0.0) -> FloatArray:
    """Divide elementwise; a quotient is ``missing`` if its denominator is 0."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), float(missing))
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out


def mean(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the mean of the values that are not NaN, or NaN if there are none.

    Args:
        values: (n,).
        weights: (n,); a value without weight is left out.
    """
    values = np.atleast_1d(np.asarray(values, float))
    defined = ~np.isnan(values)
    if weights is None:
        return float(np.average(values[defined])) if defined.any() else float("nan")
    weights = np.asarray(weights)
    defined &= weights > 0
    return float(np.average(values[defined], weights=weights[defined])) if defined.any() else float("nan")
