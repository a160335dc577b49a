"""What a check of an exercise is, and the checks of numbers and names."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

#: What is wrong with an answer, or None if it is right.
Complaint = Callable[[Any], str | None]
#: Wrong answers that people give, and the slip behind each.
Slips = Sequence[tuple[Any, str]]


class StillBlank(Exception):
    """Nothing has been filled in yet."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on an answer. It is true if the answer is right, and its repr is one sentence."""

    message: str
    right: bool

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Check:
    """A check of one exercise.

    Attributes:
        asks: What to pass as the answer.
        complaint: Returns what is wrong with an answer, or None.
        points: What a right answer counts.
    """

    asks: str
    complaint: Complaint
    points: int = 2


def number(expected: Callable[[], float], tolerance: float = 1e-3, slips: Slips = ()) -> Complaint:
    """Return a check of a number, which names the slip behind a wrong one if it is known."""

    def complaint(answer: Any) -> str | None:
        if not isinstance(answer, Real | np.number):
            return f"the answer should be a number, and this is of type {type(answer).__name__}"
        value = float(answer)
        if math.isclose(value, expected(), rel_tol=tolerance):
            return None
        for wrong, hint in slips:
            if math.isclose(value, wrong, rel_tol=tolerance):
                return hint
        return f"{value:g} is not the answer"

    return complaint


def numbers(expected: Callable[[], Sequence[float]], tolerance: float = 1e-3, slips: Slips = ()) -> Complaint:
    """Return a check of several numbers in order, which names the slip behind wrong ones if it is known."""

    def complaint(answer: Any) -> str | None:
        values = [float(v) for v in (answer.values() if isinstance(answer, Mapping) else np.ravel(answer))]
        right = list(expected())
        if len(values) != len(right):
            return f"the answer should have {len(right)} numbers, and this has {len(values)}"
        if _close(values, right, tolerance):
            return None
        for wrong, hint in slips:
            if _close(values, wrong, tolerance):
                return hint
        i = next(i for i, value in enumerate(values) if not _close([value], [right[i]], tolerance))
        return f"number {i + 1} of {len(right)}, {values[i]:g}, is not the answer"

    return complaint


def _close(values: Sequence[float], others: Sequence[float], tolerance: float) -> bool:
    return all(math.isclose(a, b, rel_tol=tolerance) for a, b in zip(values, others, strict=True))


def name(*expected: str, slips: Mapping[str, str] | None = None) -> Complaint:
    """Return a check of a name; all that are expected mean the same."""

    def complaint(answer: Any) -> str | None:
        if answer in expected:
            return None
        return (slips or {}).get(answer, f"{answer!r} is not the answer")

    return complaint
