"""Exact nearest neighbours among vectors, by Euclidean distance."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def nearest_neighbours(
    vectors: NDArray[Any], k: int, of: NDArray[np.int64] | None = None, block: int = 1024
) -> NDArray[np.int64]:
    """Return the ``k`` nearest other rows of each row, the nearest first; of equally near rows, the first is nearer.

    Args:
        vectors: (n, n_features).
        k: neighbours per row; all other rows if there are fewer.
        of: positions of the rows whose neighbours are wanted; None for all.
        block: rows that are compared at once, which bounds the memory.

    Returns:
        int64 of shape (n_wanted, min(k, n - 1)); positions in ``vectors``.
    """
    points = vectors.astype(np.float64)
    if len(points):
        points -= points.mean(axis=0)  # a large offset of a column would cancel all digits of the distances
    wanted = np.arange(len(points)) if of is None else of
    k = min(k, len(points) - 1)
    found = np.empty((len(wanted), max(k, 0)), dtype=np.int64)
    if k < 1:
        return found
    squares = (points**2).sum(axis=1)
    for start in range(0, len(wanted), block):
        rows = wanted[start : start + block]
        distances = squares - 2 * (points[rows] @ points.T)  # the square of the row itself changes no order
        distances[np.arange(len(rows)), rows] = np.inf
        furthest = np.partition(distances, k - 1, axis=1)[:, k - 1]
        for i, row in enumerate(distances):
            near = np.flatnonzero(row <= furthest[i])
            found[start + i] = near[np.argsort(row[near], kind="stable")[:k]]
    return found
