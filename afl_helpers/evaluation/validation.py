"""Checks of shared arguments: each returns a plain array, or raises a UsageError that names the fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
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


def check_inputs(targets: MatrixLike, scores: MatrixLike, **per_label: object) -> tuple[BoolArray, FloatArray]:
    """Return targets as bool and scores as float64, both (n_documents, n_labels); refuse scores that are not finite.

    Two data frames must have the same columns and index, in the same order: a column is never read as another label.

    Args:
        per_label: other arguments by their names, which may name the labels too, as in :func:`check_label_order`.
    """
    check_frames(targets, scores)
    check_label_order({"targets": targets, "scores": scores, **per_label})
    dense_targets, dense_scores = dense(targets), np.asarray(as_numbers(scores, "scores"), dtype=np.float64)
    if dense_targets.ndim != 2 or dense_targets.shape != dense_scores.shape:
        raise UsageError(
            f"targets have shape {dense_targets.shape}, scores {dense_scores.shape}; "
            "both must be (n_documents, n_labels)"
        )
    checked = check_targets(dense_targets)
    check_finite(dense_scores)
    return checked, dense_scores


def check_finite(scores: NDArray[Any]) -> None:
    """Refuse scores (n_documents, n_labels) of which one is NaN or infinite."""
    finite = np.isfinite(scores)
    if not finite.all():
        row, label = np.argwhere(~finite)[0]
        raise UsageError(f"scores hold {scores[row, label]} at row {row}, label {label}; every score must be finite")


def _is_frame(values: object) -> bool:
    return hasattr(values, "columns") and hasattr(values, "index")


def check_frames(targets: Any, scores: Any, name: str = "scores") -> None:
    """Refuse two data frames whose rows or columns are named differently, or stand in another order.

    Args:
        name: what ``scores`` are called.
    """
    if not _is_frame(targets) or not _is_frame(scores):
        return
    if targets.shape != scores.shape:
        return  # the comparison of shapes says more
    for axis, rows in (("columns", "[targets.columns]"), ("index", ".loc[targets.index]")):
        first, second = list(getattr(targets, axis)), list(getattr(scores, axis))
        if first == second:
            continue
        at = next(i for i, (one, other) in enumerate(zip(first, second)) if one != other)
        remedy = f"pass {name}{rows}" if set(first) == set(second) else f"give both the same {axis}, or pass arrays"
        raise UsageError(
            f"targets and {name} are data frames whose {axis} differ, {first[at]!r} and {second[at]!r} at {at}; {remedy}"
        )


@dataclass(frozen=True)
class SeenLabels:
    """The columns of a data frame that was passed before, in their order."""

    names: tuple[object, ...]


def seen_labels(*matrices: object) -> SeenLabels | None:
    """Return the columns of the first data frame; None if there is none."""
    for values in matrices:
        if _is_frame(values):
            return SeenLabels(tuple(values.columns))  # type: ignore[attr-defined]  # of pandas, which is optional
    return None


def check_label_order(arguments: Mapping[str, object]) -> None:
    """Refuse two arguments that name the labels differently, or in another order: no value is read as another label's.

    Names are the columns of a data frame, the index of a series, the entries of ``label_names``, and
    :class:`SeenLabels`. Numbers, which pandas gives by itself, agree with all names but the same numbers in another order.

    Args:
        arguments: what the caller calls each argument -> the argument; those without names are left out.
    """
    named = [(name, *found) for name, values in arguments.items() if (found := _label_names(name, values))]
    for (one, first, order, _), (other, second, _, reordered) in combinations(named, 2):
        if first == second or len(first) != len(second):
            continue  # a comparison of shapes says more
        same = set(first) == set(second)
        if not same and (_are_numbers(first) or _are_numbers(second)):
            continue
        at = next(i for i, (name, rival) in enumerate(zip(first, second)) if name != rival)
        fault = "have the labels in different orders" if same else "name the labels differently"
        remedy = f"pass {reordered.format(order)}" if same else "give both the same names, or pass arrays"
        raise UsageError(f"{one} and {other} {fault}, {first[at]!r} and {second[at]!r} at {at}; {remedy}")


def _label_names(argument: str, values: Any) -> tuple[list[object], str, str] | None:
    """Return an argument's names of the labels, how a message writes them, and the argument in the order ``{}``."""
    if isinstance(values, SeenLabels):
        return list(values.names), f"columns of {argument}", argument
    if argument == "label_names" and values is not None and not isinstance(values, str):
        return list(values), argument, f"list({{}}) as {argument}"
    if _is_frame(values):
        return list(values.columns), f"{argument}.columns", f"{argument}[{{}}]"
    if hasattr(values, "iloc"):
        return list(values.index), f"{argument}.index", f"{argument}.loc[{{}}]"
    return None


def _are_numbers(names: list[object]) -> bool:
    return all(isinstance(name, int | np.integer) for name in names)


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


#: What label counts are, for messages.
COUNTED = "pass how many training documents have each label"


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
    check_at_least_0(counts, "label_counts", COUNTED)
    return counts


def check_at_least_0(values: NDArray[Any], name: str, advice: str) -> None:
    """Refuse values of which one is below 0 or not finite."""
    wrong = values[~((values >= 0) & np.isfinite(values))]
    if wrong.size:
        raise UsageError(f"{name} hold {wrong[0]}; {advice}")


def check_label_names(
    label_names: Sequence[str] | None, n_labels: int, seen: SeenLabels | None = None
) -> Sequence[object]:
    """Return one name per label; without names, the columns that were seen, or the positions of the labels."""
    if label_names is None:
        return range(n_labels) if seen is None else seen.names
    if isinstance(label_names, str):
        raise UsageError("label_names is one string; pass a list of names, one per label")
    if len(label_names) != n_labels:
        raise UsageError(
            f"label_names has {len(label_names)} names, scores have {n_labels} labels; pass one name per label"
        )
    return label_names
