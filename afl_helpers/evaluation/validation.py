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
    if hasattr(values, "detach"):
        return _array_of_tensor(values)
    if isinstance(values, list | tuple) and any(hasattr(value, "detach") for value in values):
        return np.asarray([dense(value) for value in values])
    return np.asarray(values)


def _array_of_tensor(tensor: Any) -> NDArray[Any]:
    """Return the values of a torch tensor, perhaps with a gradient, perhaps on a GPU."""
    values = tensor.detach().cpu()
    # numpy has no bfloat16, and torch need not be imported to tell.
    return np.asarray(values.float() if str(values.dtype) == "torch.bfloat16" else values)


def as_numbers(values: MatrixLike, name: str) -> NDArray[Any]:
    """Return a dense array of real numbers, in its own dtype; refuse strings, complex numbers and the like.

    Raises:
        UsageError: there is another value; the message begins with ``name``.
    """
    try:
        array = dense(values)
    except ValueError:
        raise UsageError(f"{name} hold rows of different lengths; pass one number per label in each row") from None
    if array.dtype.kind in "buif":
        return array
    if array.dtype.kind == "O":
        wrong = [value for value in array.flat if isinstance(value, str | bytes | complex) or not _is_number(value)]
        if not wrong:
            return array.astype(np.float64)
        raise UsageError(f"{name} hold {wrong[0]!r}; pass numbers")
    found = repr(array.flat[0].item()) if array.size else f"values of type {array.dtype}"
    raise UsageError(f"{name} hold {found}; pass numbers")


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def check_whole(value: object, name: str, least: int) -> int:
    """Return a whole number that is at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"{name} is {value!r}; pass a whole number from {least}")
    return int(value)


def check_level(level: float) -> float:
    """Return the level of an interval, a share between 0 and 1."""
    if isinstance(level, bool) or not isinstance(level, int | float | np.number) or not 0 < level < 1:
        raise UsageError(f"level is {level!r}; pass a share between 0 and 1, such as 0.95")
    return float(level)


def check_zero_division(value: float) -> float:
    """Return the value of metrics with a zero denominator: 0, 1 or NaN."""
    if not isinstance(value, int | float | np.number) or not (value in (0, 1) or np.isnan(value)):
        raise UsageError(f"zero_division is {value!r}; pass 0, 1 or NaN")
    return value


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
    """Return targets as bool and scores as float64, both (n_documents, n_labels); refuse scores that are not finite.

    Two data frames must have the same columns and index, in the same order: a column is never read as another label.
    """
    _check_frames(targets, scores)
    dense_targets, dense_scores = dense(targets), np.asarray(as_numbers(scores, "scores"), dtype=np.float64)
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


def _check_frames(targets: Any, scores: Any) -> None:
    """Refuse two data frames whose rows or columns are named differently, or stand in another order."""
    if not all(hasattr(values, "columns") and hasattr(values, "index") for values in (targets, scores)):
        return
    if targets.shape != scores.shape:
        return  # the comparison of shapes says more
    for axis, rows in (("columns", "[targets.columns]"), ("index", ".loc[targets.index]")):
        first, second = list(getattr(targets, axis)), list(getattr(scores, axis))
        if first == second:
            continue
        at = next(i for i, (one, other) in enumerate(zip(first, second)) if one != other)
        remedy = f"pass scores{rows}" if set(first) == set(second) else f"give both the same {axis}, or pass arrays"
        raise UsageError(
            f"targets and scores are data frames whose {axis} differ, {first[at]!r} and {second[at]!r} at {at}; {remedy}"
        )


def are_probabilities(scores: FloatArray) -> bool:
    """Return whether every score is in [0, 1]."""
    return bool(scores.min() >= 0 and scores.max() <= 1)


def check_probabilities(scores: FloatArray, purpose: str) -> None:
    """Refuse scores outside [0, 1]; ``purpose`` says what needs probabilities."""
    if not are_probabilities(scores):
        raise UsageError(f"scores are outside [0, 1]; {purpose} needs probabilities, so pass sigmoid(logits)")


def check_thresholds(thresholds: ArrayLike, n_labels: int) -> FloatArray:
    """Return thresholds as float64, one number or (n_labels,)."""
    if hasattr(thresholds, "k"):
        raise UsageError(f"thresholds are {thresholds!r}, which is no threshold; pass one number or one per label")
    values = np.asarray(as_numbers(thresholds, "thresholds"), dtype=np.float64)
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
    counts = as_numbers(label_counts, "label_counts")
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
    if isinstance(label_names, str):
        raise UsageError("label_names is one string; pass a list of names, one per label")
    if len(label_names) != n_labels:
        raise UsageError(
            f"label_names has {len(label_names)} names, scores have {n_labels} labels; pass one name per label"
        )
    return label_names
