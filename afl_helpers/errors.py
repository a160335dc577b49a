"""Errors meant for users: one sentence that names what was wrong and says what to do."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A wrong argument, name or setting."""


class StudyError(UsageError):
    """A study of which runs failed."""


class TrainingError(ValueError):
    """Training that cannot go on: a loss that is not finite, or too little memory; the message says what to do."""


class DataError(ValueError):
    """A data file that does not hold what it should; the message names file and line."""


class MissingFileError(OSError):
    """A file, folder or download that is not there; the message says where to get it."""


class StorageError(OSError):
    """A file that could not be written; the message says which, why, and what to do."""


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> UsageError:
    """The error for a name that is not in a registry: it lists the valid ones, and the nearest first."""
    valid = sorted(valid)
    near = difflib.get_close_matches(str(name), valid, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return UsageError(f"unknown {kind} {name!r}{hint}; choose one of: {', '.join(valid)}")
