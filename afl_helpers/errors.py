"""Errors meant for users: one sentence that names what was wrong and says what to do."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


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


class MissingExtraError(ImportError):
    """An optional package that is not installed; the message gives the command that installs it."""


def require(module: str, extra: str, caller: str = "this") -> ModuleType:
    """Import a package that only an extra of afl-helpers installs.

    Args:
        module: name of the package, such as ``"pandas"``.
        extra: the extra that installs it, such as ``"data"``.
        caller: what needs it, the first words of the message.

    Raises:
        MissingExtraError: the package is not installed.

    Example:
        >>> from afl_helpers.errors import require
        >>> require("no_such_package", "data", "label_table")
        Traceback (most recent call last):
            ...
        afl_helpers.errors.MissingExtraError: label_table needs no_such_package; run: pip install "afl-helpers[data]"
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:  # the package is there, but something that it imports is not
            raise
        raise MissingExtraError(f'{caller} needs {module}; run: pip install "afl-helpers[{extra}]"') from None


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> UsageError:
    """The error for a name that is not in a registry: it lists the valid ones, and the nearest first."""
    valid = sorted(valid)
    near = difflib.get_close_matches(str(name), valid, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return UsageError(f"unknown {kind} {name!r}{hint}; choose one of: {', '.join(valid)}")
