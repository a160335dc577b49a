"""What goes into every measure, checked once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from afl_helpers.errors import UsageError

#: Elements of a block of labels: bounds what sorting needs beside targets and scores.
BLOCK = 2**23


def _array(values: ArrayLike) -> np.ndarray:
    """A dense array of what may be sparse, or a tensor with a gradient."""
    values = values.detach() if hasattr(values, "detach") else values
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def check_targets(targets: ArrayLike) -> np.ndarray:
    """Targets as bool, (n_documents, n_labels), or an error that says what is wrong."""
    targets = _array(targets)
    if targets.ndim != 2 or 0 in targets.shape:
        raise UsageError(
            f"targets have shape {targets.shape}; pass (n_documents, n_labels), at least one document and one label"
        )
    if targets.dtype == bool:
        return targets
    wrong = (targets != 0) & (targets != 1)
    if wrong.any():
        row, label = np.argwhere(wrong)[0]
        raise UsageError(
            f"targets hold {targets[row, label]} at row {row}, label {label}: a value other than 0 and 1; "
            "pass 1 where the document has the label, else 0"
        )
    return targets.astype(bool)


def check_inputs(targets: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Targets as bool and scores as float64, both (n_documents, n_labels), or an error that says what is wrong."""
    targets, scores = _array(targets), np.asarray(_array(scores), dtype=np.float64)
    if targets.ndim != 2 or targets.shape != scores.shape:
        raise UsageError(
            f"targets have shape {targets.shape}, scores {scores.shape}; both must be (n_documents, n_labels)"
        )
    targets = check_targets(targets)
    finite = np.isfinite(scores)
    if not finite.all():
        row, label = np.argwhere(~finite)[0]
        raise UsageError(f"scores hold {scores[row, label]} at row {row}, label {label}; every score must be finite")
    return targets, scores


def check_thresholds(thresholds: ArrayLike, n_labels: int) -> np.ndarray:
    """Thresholds as a float64 array that broadcasts over labels."""
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if thresholds.shape not in ((), (n_labels,)):
        raise UsageError(
            f"thresholds have shape {thresholds.shape}; pass one number or one per label, shape ({n_labels},)"
        )
    if np.isnan(thresholds).any():
        raise UsageError("thresholds hold NaN; pass one number or one per label")
    return thresholds


def check_counts(label_counts: ArrayLike, n_labels: int) -> np.ndarray:
    """Training counts, (n_labels,)."""
    label_counts = _array(label_counts)
    if label_counts.shape != (n_labels,):
        raise UsageError(
            f"label_counts has shape {label_counts.shape}, scores have {n_labels} labels; "
            f"pass the training counts, shape ({n_labels},)"
        )
    if not (label_counts >= 0).all():
        raise UsageError(f"label_counts hold {label_counts.min()}; pass how many training documents have each label")
    return label_counts


def label_blocks(n_documents: int, n_labels: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices of labels, each of about ``size`` elements."""
    step = max(1, size // n_documents)
    for start in range(0, n_labels, step):
        yield slice(start, min(start + step, n_labels))


def ratio(numerator: ArrayLike, denominator: ArrayLike, missing: float = 0.0) -> np.ndarray:
    """numerator / denominator, ``missing`` where the denominator is 0."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), float(missing))
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def mean(values: ArrayLike, weights: np.ndarray | None = None) -> float:
    """Mean of the values that are defined; NaN where none is."""
    values = np.atleast_1d(np.asarray(values, float))
    defined = ~np.isnan(values)
    if weights is not None:
        defined &= weights > 0
    if not defined.any():
        return float("nan")
    return float(np.average(values[defined], weights=None if weights is None else weights[defined]))
