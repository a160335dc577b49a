"""Checks of shared arguments: each returns a plain array, or raises a UsageError that names the fault."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from afl_helpers.errors import UsageError

BoolArray: TypeAlias = NDArray[np.bool_]
FloatArray: TypeAlias = NDArray[np.float64]
#: What may hold a matrix: nested lists, an array, a data frame, a tensor, or a sparse array.
MatrixLike: TypeAlias = ArrayLike | sparse.sparray | sparse.spmatrix


def dense(values: MatrixLike) -> NDArray[Any]:
    """Return a dense array, also of a sparse array and of a tensor on any device."""
    if hasattr(values, "toarray"):  # sparse
        return np.asarray(values.toarray())
    if hasattr(values, "detach"):  # a tensor, perhaps with a gradient, perhaps on a GPU
        values = values.detach().cpu()
    return np.asarray(values)


def check_targets(targets: MatrixLike) -> BoolArray:
    """Return targets as bool, (n_documents, n_labels); refuse an empty matrix and values other than 0 and 1."""
    values = dense(targets)
    if values.ndim != 2 or 0 in values.shape:
        raise UsageError(
            f"targets have shape {values.shape}; pass (n_documents, n_labels), at least one document and one label"
        )
    if values.dtype == bool:
        return values
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        row, label = np.argwhere(wrong)[0]
        raise UsageError(
            f"targets hold {values[row, label]} at row {row}, label {label}: a value other than 0 and 1; "
            "pass 1 if the document has the label, else 0"
        )
    return values.astype(bool)


def check_inputs(targets: MatrixLike, scores: MatrixLike) -> tuple[BoolArray, FloatArray]:
    """Return targets as bool and scores as float64, both (n_documents, n_labels); refuse scores that are not finite."""
    dense_targets, dense_scores = dense(targets), np.asarray(dense(scores), dtype=np.float64)
    if dense_targets.ndim != 2 or dense_targets.shape != dense_scores.shape:
        raise UsageError(
            f"targets have shape {dense_targets.shape}, scores {dense_scores.shape}; "
            "both must be (n_documents, n_labels)"
        )
    checked = check_targets(dense_targets)
    finite = np.isfinite(dense_scores)
    if not finite.all():
        row, label = np.argwhere(~finite)[0]
        raise UsageError(
            f"scores hold {dense_scores[row, label]} at row {row}, label {label}; every score must be finite"
        )
    return checked, dense_scores


def are_probabilities(scores: FloatArray) -> bool:
    """Return whether every score is in [0, 1]."""
    return bool(scores.min() >= 0 and scores.max() <= 1)


def check_probabilities(scores: FloatArray, purpose: str) -> None:
    """Refuse scores outside [0, 1]; ``purpose`` says what needs probabilities."""
    if not are_probabilities(scores):
        raise UsageError(f"scores are outside [0, 1]; {purpose} needs probabilities, so pass sigmoid(logits)")


def check_thresholds(thresholds: ArrayLike, n_labels: int) -> FloatArray:
    """Return thresholds as float64, one number or (n_labels,)."""
    values = np.asarray(dense(thresholds), dtype=np.float64)
    if values.shape not in ((), (n_labels,)):
        raise UsageError(f"thresholds have shape {values.shape}; pass one number or one per label, shape ({n_labels},)")
    if np.isnan(values).any():
        raise UsageError("thresholds hold NaN; pass one number or one per label")
    return values


def check_label_counts(label_counts: ArrayLike, n_labels: int) -> NDArray[Any]:
    """Return the training counts of the labels, (n_labels,), in their own dtype.

    :func:`afl_helpers.gamma.check_counts` also compares them with the number of training documents, which most metrics
    do not receive.
    """
    counts = dense(label_counts)
    if counts.shape != (n_labels,):
        raise UsageError(
            f"label_counts has shape {counts.shape}, scores have {n_labels} labels; "
            f"pass the training counts, shape ({n_labels},)"
        )
    if not (counts >= 0).all():
        raise UsageError(f"label_counts hold {counts.min()}; pass how many training documents have each label")
    return counts


def check_label_names(label_names: Sequence[str] | None, n_labels: int) -> Sequence[str] | range:
    """Return one name per label; without names, the positions of the labels."""
    if label_names is None:
        return range(n_labels)
    if len(label_names) != n_labels:
        raise UsageError(
            f"label_names has {len(label_names)} names, scores have {n_labels} labels; pass one name per label"
        )
    return label_names
