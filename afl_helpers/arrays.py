"""What a caller passes as numbers, read as a numpy array, or refused in one sentence."""

from collections import Counter
from itertools import combinations
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from afl_helpers.errors import UsageError


def refuse_masked(
    name: str, value: object, advice: str = "fill them, or leave out their rows, and pass a plain array"
) -> None:
    """Refuse a masked array with a masked value, which numpy would read as the value under the mask.

    Args:
        name: what the caller calls it, the first word of the message.
        value: anything; only a masked array, or a list of which one entry is masked, is looked at.
        advice: what to do, the end of the message.

    Raises:
        UsageError: a value is masked.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.arrays import refuse_masked
        >>> refuse_masked("targets", np.ma.array([0, 1], mask=[False, True]))
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: targets hold masked values; fill them, or leave out their rows, and pass a plain array
    """
    rows = value if isinstance(value, list | tuple) else (value,)
    if any(isinstance(row, np.ma.MaskedArray) and np.ma.getmaskarray(row).any() for row in rows):
        raise UsageError(f"{name} hold masked values; {advice}")


def dense(values: Any, name: str) -> NDArray[Any]:
    """Return a dense array, also of a sparse array and of a tensor on any device.

    Raises:
        UsageError: rows have different lengths, or a value is masked; the message begins with ``name``.
    """
    refuse_masked(name, values)
    # Asked of the type: a data frame or a series answers with a column or an entry of that name.
    if hasattr(type(values), "toarray"):  # sparse
        return np.asarray(values.toarray())
    if hasattr(type(values), "detach"):
        return _array_of_tensor(values)
    try:
        if isinstance(values, list | tuple) and any(hasattr(type(value), "detach") for value in values):
            return np.asarray([dense(value, name) for value in values])
        return np.asarray(values)
    except ValueError:
        raise UsageError(f"{name} hold rows of different lengths; pass one number per label in each row") from None


def _array_of_tensor(tensor: Any) -> NDArray[Any]:
    """Return the values of a torch tensor, perhaps with a gradient, perhaps sparse, perhaps on a GPU."""
    values = tensor.detach().cpu().to_dense()
    # numpy has no bfloat16, and torch need not be imported to tell.
    return np.asarray(values.float() if str(values.dtype) == "torch.bfloat16" else values)


def as_numbers(values: Any, name: str) -> NDArray[Any]:
    """Return a dense array of real numbers, in its own dtype; refuse strings, complex numbers and the like.

    Raises:
        UsageError: there is another value; the message begins with ``name``.
    """
    array = dense(values, name)
    if array.dtype.kind in "buif":
        return array
    if array.dtype.kind == "O":
        wrong = [value for value in array.flat if not is_number(value)]
        if not wrong:
            return array.astype(np.float64)
        raise UsageError(f"{name} hold {wrong[0]!r}; pass numbers")
    found = repr(array.flat[0].item()) if array.size else f"values of type {array.dtype}"
    raise UsageError(f"{name} hold {found}; pass numbers")


def is_number(value: Any) -> bool:
    """Return whether a value is a real number: no string, and nothing that is missing."""
    if isinstance(value, str | bytes | complex):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def check_row_order(**arguments: Any) -> None:
    """Refuse series and data frames that have the same index in another order; a different index says nothing.

    Args:
        arguments: what the caller calls each argument -> the argument; only those of pandas are looked at.
    """
    indexed = [(name, values.index) for name, values in arguments.items() if hasattr(type(values), "iloc")]
    for (one, first), (other, second) in combinations(indexed, 2):
        if not first.equals(second) and Counter(first) == Counter(second):
            raise UsageError(
                f"{one} and {other} have the same index in another order; rows go by position, so pass "
                f"{other}.loc[{one}.index]"
            )


def refuse_set(name: str, values: object) -> None:
    """Refuse a set, whose entries would come in an order of chance."""
    if isinstance(values, set | frozenset):
        raise UsageError(f"{name} is a set, which has no order; pass a list")


def check_flag(name: str, value: object) -> bool:
    """Return True or False, which may come from numpy; refuse what is only true or false as a condition, such as "no"."""
    if type(value) is bool:
        return value
    if not isinstance(value, np.bool_):
        raise UsageError(f"{name} is {value!r}; pass True or False")
    return bool(value)


def is_whole(value: object) -> TypeGuard[int | np.integer[Any]]:
    """Return whether a value is a whole number of Python or numpy: no bool, and no float that happens to be whole."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_whole(value: object, name: str, least: int) -> int:
    """Return a whole number that is at least ``least``."""
    if not is_whole(value) or value < least:
        raise UsageError(f"{name} is {value!r}; pass a whole number from {least}")
    return int(value)
