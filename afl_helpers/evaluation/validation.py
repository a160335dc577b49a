"""Checks of shared arguments: each returns a plain array, or raises a UsageError that names the fault."""

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from afl_helpers.arrays import as_numbers as as_numbers
from afl_helpers.arrays import check_whole as check_whole
from afl_helpers.arrays import dense, is_number, refuse_set
from afl_helpers.arrays import refuse_masked as refuse_masked
from afl_helpers.errors import UsageError

BoolArray: TypeAlias = NDArray[np.bool_]
FloatArray: TypeAlias = NDArray[np.float64]
#: What may hold a matrix: nested lists, an array, a data frame, a tensor, or a sparse array.
MatrixLike: TypeAlias = ArrayLike | sparse.sparray | sparse.spmatrix


def check_level(level: float, name: str = "level", example: float = 0.95) -> float:
    """Return the level of an interval, or another share between 0 and 1."""
    if isinstance(level, bool) or not isinstance(level, int | float | np.number) or not 0 < level < 1:
        raise UsageError(f"{name} is {level!r}; pass a share between 0 and 1, such as {example}")
    return float(level)


def check_zero_division(value: float) -> float:
    """Return the value of metrics with a zero denominator: 0, 1 or NaN."""
    if not isinstance(value, int | float | np.number) or not (value in (0, 1) or np.isnan(value)):
        raise UsageError(f"zero_division is {value!r}; pass 0, 1 or NaN")
    return value


def check_targets(targets: MatrixLike, name: str = "targets") -> BoolArray:
    """Return targets as bool, (n_documents, n_labels); refuse an empty matrix and values other than 0 and 1."""
    values = dense(targets, name)
    if values.ndim != 2 or 0 in values.shape:
        raise UsageError(
            f"{name} have shape {values.shape}; pass (n_documents, n_labels), at least one document and one label"
        )
    if values.dtype == bool:
        return values
    if values.dtype.kind in "uif":
        wrong = (values != 0) & (values != 1)
    else:  # each alone: a missing value of pandas has no comparison with a number
        wrong = np.array([not (is_number(value) and value in (0, 1)) for value in values.flat]).reshape(values.shape)
    if wrong.any():
        row, label = np.argwhere(wrong)[0]
        found = values[row, label]
        raise UsageError(
            f"{name} hold {found.item() if isinstance(found, np.generic) else found!r} at row {row}, label {label}: a "
            "value other than 0 and 1; pass 1 if the document has the label, else 0"
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
    dense_targets, dense_scores = dense(targets, "targets"), np.asarray(as_numbers(scores, "scores"), dtype=np.float64)
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
    # Asked of the type, because a series answers with an entry of that name.
    return hasattr(type(values), "columns") and hasattr(type(values), "index")


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
    if argument == "label_names" and values is not None:
        return list(values), argument, f"list({{}}) as {argument}"
    if _is_frame(values):
        return list(values.columns), f"{argument}.columns", f"{argument}[{{}}]"
    if hasattr(type(values), "iloc"):
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
    values = np.asarray(as_numbers(thresholds, "thresholds"), dtype=np.float64)
    if values.shape not in ((), (n_labels,)):
        raise UsageError(f"thresholds have shape {values.shape}; pass one number or one per label, shape ({n_labels},)")
    if np.isnan(values).any():
        raise UsageError("thresholds hold NaN; pass one number or one per label")
    return values


#: A threshold above this is a mistake for probabilities. The rules return the number just above the highest score for a
#: label that is never predicted, which a file in float32 may round.
_JUST_ABOVE_1 = 1 + 1e-6


def warn_of_unreachable(thresholds: FloatArray, *, top_k: bool = True) -> None:
    """Warn of a finite threshold that no probability reaches.

    Args:
        thresholds: one number or (n_labels,), checked.
        top_k: whether the caller takes ``TopK`` as well.
    """
    unreachable = np.flatnonzero((thresholds > _JUST_ABOVE_1) & np.isfinite(thresholds))
    if not unreachable.size:
        return
    value = float(thresholds.flat[unreachable[0]])
    common = thresholds.ndim == 0
    remedies = []
    if 5 <= value <= 100:
        remedies.append(f"{value / 100:g} for {value:g} %")
    if common and top_k and value <= 10 and value == int(value):
        remedies.append(f"TopK({value:g}) for the {value:g} highest labels of each document")
    warn(
        f"the threshold{'' if common else f' of label {unreachable[0]}'} is {value:g}, but scores lie in [0, 1], so "
        f"{'no label' if common else 'it'} is {'' if common else 'never '}predicted; "
        f"pass {' or '.join(remedies) or 'a threshold in [0, 1]'}"
    )


def warn(message: str) -> None:
    """Warn at the line that called this package, however many of its functions lie between."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "afl_helpers":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


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


def as_names(names: Iterable[Any] | None, argument: str, of: str) -> list[Any] | None:
    """Return the names of labels or documents as a list; refuse a set, which has no order, and what holds no names.

    Args:
        argument: what the caller calls it.
        of: what has the names: "label" or "document".
    """
    if names is None:
        return None
    if isinstance(names, str):
        raise UsageError(f"{argument} is one string; pass a list of names, one per {of}")
    refuse_set(argument, names)
    if not np.iterable(names) or getattr(names, "ndim", 1) != 1:
        raise UsageError(f"{argument} is of type {type(names).__name__}; pass a list of names, one per {of}, in order")
    return list(names)


def check_label_names(
    label_names: Sequence[str] | None, n_labels: int, seen: SeenLabels | None = None
) -> Sequence[object]:
    """Return one name per label, of :func:`as_names`; without names, the columns that were seen, or the positions of the labels."""
    if label_names is None:
        return range(n_labels) if seen is None else seen.names
    if len(label_names) != n_labels:
        raise UsageError(
            f"label_names has {len(label_names)} names, scores have {n_labels} labels; pass one name per label"
        )
    return label_names
