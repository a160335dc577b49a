"""Errors meant for users: each message is one sentence that names what is wrong and says what to do."""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType


class UserError(Exception):
    """Base class of all errors meant for users.

    Attributes:
        command_line: the message for users of the command line; it differs from the message where the advice names an
            argument for which the command line has an option.
    """

    def __init__(self, message: str, *, command_line: str | None = None) -> None:
        super().__init__(message)
        self.command_line = message if command_line is None else command_line


class UsageError(UserError, ValueError):
    """A wrong argument, name or value."""


class StudyError(UsageError):
    """A study in which some runs failed."""


class TrainingError(UserError, ValueError):
    """Training that cannot continue: the loss is not finite, or there is too little memory."""


class DataError(UserError, ValueError):
    """A data file with wrong content; the message names file and line."""


class MissingFileError(UserError, OSError):
    """A file, folder or download that does not exist; the message says where to get it."""


class StorageError(UserError, OSError):
    """A file that could not be written; the message says why."""


class MissingExtraError(UserError, ImportError):
    """An optional package that is not installed; the message says how to install it."""


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
        if not error.name or not f"{module}.".startswith(
            f"{error.name}."
        ):  # something that the package imports is missing
            raise
        raise MissingExtraError(f'{caller} needs {module}; run: pip install "afl-helpers[{extra}]"') from None


@contextmanager
def needs_extra(extra: str, caller: str) -> Iterator[None]:
    """Import what an extra of afl-helpers installs, inside a ``with`` block.

    Args:
        extra: the extra that installs it, such as ``"train"``.
        caller: what needs it, the first words of the message.

    Raises:
        MissingExtraError: a package that is not part of afl-helpers is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "afl_helpers"):
            raise
        raise MissingExtraError(f'{caller} needs {package}; run: pip install "afl-helpers[{extra}]"') from None


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> UsageError:
    """Return the error for a name that is not in a registry; it suggests the nearest valid name and lists all."""
    valid = sorted(valid)
    by_case = {known.casefold(): known for known in valid}
    longer = sorted((known for known in valid if str(name) and known.startswith(str(name))), key=len)
    if longer and not all(known.startswith(longer[0]) for known in longer):
        longer = []  # the start of several names
    near = (
        longer
        or difflib.get_close_matches(str(name), valid, n=1)
        or [by_case[found] for found in difflib.get_close_matches(str(name).casefold(), list(by_case), n=1)]
    )
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    choice = f"choose one of: {', '.join(valid)}" if valid else "there is none to choose"
    return UsageError(f"unknown {kind} {name!r}{hint}; {choice}")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise UsageError unless a value is one of the names that an argument takes."""
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        raise unknown_name(name, value, choices)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of the error's type if there is no message.

    Example:
        >>> from afl_helpers.errors import first_line
        >>> first_line(ValueError("too short\\nat byte 7")), first_line(EOFError())
        ('too short', 'EOFError')
    """
    message = str(error).strip()
    return message.splitlines()[0] if message else type(error).__name__
