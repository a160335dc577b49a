"""Checks of answers to the book's exercises: ``check("ex-focal-loss-1", my_focal)``.

A check computes the right answer, or tries the reader's function on inputs of its own. No answer is typed in. Where a wrong
answer is a known slip, the verdict names the slip and not the answer. An exercise without a check has a rubric.
"""

import json
import os

from afl_helpers.chapters.exercises.answers import ANSWERS
from afl_helpers.chapters.exercises.blanks import BLANKS
from afl_helpers.chapters.exercises.kinds import Check, StillBlank, Verdict
from afl_helpers.chapters.exercises.rubrics import RUBRICS
from afl_helpers.errors import unknown_name

__all__ = ["CHECKS", "RECORD", "RUBRICS", "Check", "Verdict", "check", "points_of"]

#: Label of an exercise -> its check.
CHECKS: dict[str, Check] = {**BLANKS, **ANSWERS}
#: The variable that names the file to which verdicts are added, one JSON object per line; `make grade` sets it.
RECORD = "AFL_RECORD_VERDICTS"


def check(label: str, answer: object) -> Verdict:
    """Check an answer to an exercise.

    Args:
        label: Label of the exercise, one of :data:`CHECKS`.
        answer: What ``CHECKS[label].asks`` says: a number, several numbers in order, a name, or a function.

    Returns:
        The verdict. An answer of the wrong type and a function that raises are not right; the message says why.

    Raises:
        UsageError: If no check has this label.

    Example:
        >>> from afl_helpers.chapters.exercises import CHECKS, check
        >>> CHECKS["ex-focal-loss-2"].asks
        'the posterior at alpha = 0.25, a number'
        >>> check("ex-focal-loss-2", 0.2)
        Not yet: 0.2 is not the answer.
        >>> bool(check("ex-focal-loss-2", 0.75))
        True
    """
    if label not in CHECKS:
        raise unknown_name("exercise with a check", label, tuple(CHECKS))
    try:
        if answer is ...:
            raise StillBlank
        complaint = CHECKS[label].complaint(answer)
    except StillBlank:
        verdict = Verdict(f"Still blank: write {CHECKS[label].asks}.", False)
    except Exception as error:
        verdict = Verdict(f"Not yet: pass {CHECKS[label].asks} ({type(error).__name__}: {error}).", False)
    else:
        verdict = Verdict("Right.", True) if complaint is None else Verdict(f"Not yet: {complaint}.", False)
    if path := os.environ.get(RECORD):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"label": label, "right": verdict.right, "message": verdict.message}) + "\n")
    return verdict


def points_of(label: str) -> int:
    """Return what an exercise counts.

    Raises:
        UsageError: If no exercise has this label.
    """
    if label in CHECKS:
        return CHECKS[label].points
    if label in RUBRICS:
        return sum(points for points, _ in RUBRICS[label])
    raise unknown_name("exercise", label, (*CHECKS, *RUBRICS))
