"""Which column of a table holds the texts, which the labels, and which the ids.

A column is guessed only where one guess is possible: its name says what it holds, or it is the only one left.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from afl_helpers.arrays import refuse_set
from afl_helpers.data.table_files import LABEL_NAMES, MISSING, TEXT_NAMES, Table
from afl_helpers.errors import DataError, UsageError, unknown_name

#: Names of columns that hold neither texts nor labels.
OTHER_NAMES = ("id", "split", "subset", "fold", "index", "")
#: The share of 0 and 1 from which another cell in a column is taken for a mistake.
NEARLY_ALL = 0.9
_YES_NO = {"yes", "no", "y", "n"}
_BINARY = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


@dataclass(frozen=True)
class Columns:
    """The columns to read: either `labels`, with names or numbers, or `binary`, one column of 0 and 1 per label.

    Attributes:
        yes_no: the unused columns that hold yes and no where other columns hold 0 and 1.
    """

    text: str
    labels: str | None
    binary: list[str]
    id: str | None
    unused: list[str]
    yes_no: list[str] = field(default_factory=list)


def zero_or_one(cell: object) -> int | None:
    """Return the 0 or 1 in a cell, or None if it holds something else."""
    if isinstance(cell, str):
        return _BINARY.get(cell.strip().lower())
    if isinstance(cell, bool | np.bool | int | np.integer | float | np.floating) and cell in (0, 1):
        return int(cell)
    return None


def find_columns(
    table: Table,
    text: str | int | None,
    labels: str | int | Sequence[str | int] | None,
    split: str | None,
    ids: str | int | None = None,
) -> Columns:
    """Return the columns that were named, and guess those that were not.

    Raises:
        UsageError: a named column does not exist.
        DataError: more than one guess is possible, or none.
    """
    if not table.columns and not table.numbers and not table.place.endswith("line 1"):
        return Columns("text", "labels", [], None, [])  # no row at all; whoever builds the corpus says so
    split = None if split is None else _existing(table, "split_column", split)
    text = None if text is None else _existing(table, "text", text)
    binary: list[str] = []
    named: str | None = None
    if labels is not None and not isinstance(labels, str | int | np.integer):
        refuse_set("labels", labels)
        if not isinstance(labels, Iterable):
            raise UsageError(f"labels is {labels!r}; pass the name of a column, or one name per label")
        binary = [_existing(table, "labels", column) for column in labels]
        if not binary:
            raise UsageError("labels is an empty list; pass the name of a column, or one name per label")
        repeated = [column for column in binary if binary.count(column) > 1]
        if repeated:
            raise UsageError(f"labels names the column {repeated[0]!r} twice; name each once")
    elif labels is not None:
        named = _existing(table, "labels", labels)
    ids = _find_ids(table, ids, [name for name in (text, named, *binary) if name is not None])
    free = [name for name in table.columns if name not in (text, named, split, ids, *binary)]
    known_text = text or _known(free, TEXT_NAMES)
    known_labels = named if named is not None else (None if binary else _known(free, LABEL_NAMES))
    free = [name for name in free if name not in (known_text, known_labels) and name.lower() not in OTHER_NAMES]
    if known_text is None and (known_labels is not None or binary):
        known_text = _only([name for name in free if _holds_strings(table, name)])
    elif known_text is not None and known_labels is None and not binary:
        known_labels, binary = _guess_labels(table, free)
    if known_text is None:
        raise _cannot_tell(table, "texts", "text", known_labels is None and not binary)
    if known_labels is None and not binary:
        raise _cannot_tell(table, "labels", "labels", False)
    for name in binary:
        _check_filled(table, name)
    used = (known_text, known_labels, split, ids, *binary)
    unused = [name for name in table.columns if name not in used]
    guessed = binary and labels is None
    yes_no = [name for name in unused if guessed and name.lower() not in OTHER_NAMES and _holds_yes_and_no(table, name)]
    return Columns(known_text, known_labels, binary, ids, unused, yes_no)


def holds_one_label(table: Table, columns: Columns) -> bool:
    """Return whether the column of the labels says for each document whether it has one label: 0 or 1, and both occur."""
    if columns.labels not in table.columns or columns.labels in table.class_names:
        return False
    cells = table.columns[columns.labels]
    if any(zero_or_one(cell) is None for cell in cells):  # names: the first cell says it
        return False
    return {zero_or_one(cell) for cell in cells} == {0, 1}


def find_text(table: Table, text: str | int | None, ids: str | int | None = None) -> tuple[str, str | None]:
    """Return the column of the texts and that of the ids, as named or guessed; the latter is None if there is none.

    Raises:
        UsageError: the named column does not exist.
        DataError: more than one guess is possible, or none.
    """
    if text is not None:
        column = _existing(table, "text", text)
        return column, _find_ids(table, ids, [column])
    ids = _find_ids(table, ids, [])
    free = [name for name in table.columns if name != ids and name.lower() not in ("id", *OTHER_NAMES)]
    found = _known(free, TEXT_NAMES) or _only(free) or _only([name for name in free if _holds_strings(table, name)])
    if found is None:
        raise _cannot_tell(table, "texts", "text", False)
    return found, ids


def _find_ids(table: Table, ids: str | int | None, taken: list[str]) -> str | None:
    """Return the column of the ids: the one that was named, or "id", or the only one called so in another case."""
    if ids is None:
        named = [name for name in table.columns if name.lower() == "id" and name not in taken]
        return "id" if "id" in named else _only(named)
    column = _existing(table, "ids", ids)
    if column in taken:
        raise UsageError(
            f"{table.file}: the column {shown(column)!r} is named for the ids and for something else; name another"
        )
    return column


def _existing(table: Table, argument: str, column: str | int) -> str:
    name = str(column)
    if name in table.repeated:
        raise UsageError(f"{table.file}: several columns are named {shown(name)!r}; give each a name of its own")
    if name not in table.columns:
        if not table.columns:
            raise DataError(f"{table.place}: there are no columns; check the file")
        error = unknown_name("column", column, [shown(name) for name in table.columns])
        raise UsageError(f"{table.file}: {argument} names an {error}")
    return name


def _known(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column with the first of the names, else the only one that has another of them."""
    first = [column for column in columns if column == names[0]]
    return first[0] if first else _only([column for column in columns if column.lower() in names])


def _only(columns: list[str]) -> str | None:
    return columns[0] if len(columns) == 1 else None


def _guess_labels(table: Table, free: list[str]) -> tuple[str | None, list[str]]:
    binary = [name for name in free if _nearly_binary(table, name)]
    if len(binary) > 1:
        if not table.bad.skip:
            for name in binary:
                _check_binary(table, name)
        return None, binary
    if len(free) == 1:
        return free[0], []
    yes_no = [name for name in free if _holds_yes_and_no(table, name)]
    if len(yes_no) > 1:
        raise DataError(f"{table.file}: {shown(yes_no[0])!r} and other columns hold yes and no; write 1 and 0 instead")
    return _only([name for name in free if _every(table, name, lambda cell: isinstance(cell, list | np.ndarray))]), []


def _cells(table: Table, name: str) -> list[Any]:
    """Return the cells that hold something."""
    return [cell for cell in table.columns[name] if cell is not None and cell is not MISSING and cell != ""]


def _nearly_binary(table: Table, name: str) -> bool:
    cells = _cells(table, name)
    return bool(cells) and sum(zero_or_one(cell) is not None for cell in cells) >= NEARLY_ALL * len(cells)


def _check_filled(table: Table, name: str) -> None:
    """Raise DataError if a column of 0 and 1 holds something else, or nothing, in more than a few of its cells."""
    wrong = [cell for cell in table.columns[name] if zero_or_one(cell) is None]
    if len(wrong) <= max(2, (1 - NEARLY_ALL) * len(table.columns[name])):
        return
    words = list(dict.fromkeys(str(cell) for cell in wrong if cell is not None and cell is not MISSING and cell != ""))
    found = "nothing" if not words else ", ".join(repr(shown(word)) for word in words[:3])
    rows = f"{len(wrong):,} of {len(table.columns[name]):,} rows"
    raise DataError(
        f"{table.file}: expected 0 or 1 under {shown(name)!r}, found {found} in {rows}; write 1 where a document has the "
        "label, and 0 where it lacks it"
    )


def _check_binary(table: Table, name: str) -> None:
    """Raise the error about the first cell that is neither 0 nor 1; blank cells are left to whoever reads the rows."""
    for number, cell in zip(table.numbers, table.columns[name]):
        if zero_or_one(cell) is None and cell is not None and cell is not MISSING and cell != "":
            unit = table.bad.unit
            start = (
                f"{table.file}, {unit} {number}: expected 0 or 1 under {shown(name)!r}, as in nearly all of its cells, found "
                f"{shown(str(cell))!r}; correct the {unit}"
            )
            raise DataError(
                f"{start}, read with on_error='skip', or name the label columns with labels=",
                command_line=f"{start}, pass --skip-malformed, or name each label column with --labels",
            )


def _holds_yes_and_no(table: Table, name: str) -> bool:
    return _every(
        table,
        name,
        lambda cell: (isinstance(cell, str) and cell.strip().lower() in _YES_NO) or zero_or_one(cell) is not None,
    )


def _holds_strings(table: Table, name: str) -> bool:
    return _every(table, name, lambda cell: isinstance(cell, str) and zero_or_one(cell) is None)


def _every(table: Table, name: str, holds: Callable[[Any], bool]) -> bool:
    cells = _cells(table, name)
    return bool(cells) and all(map(holds, cells))


def shown(name: str) -> str:
    """Return a name as errors show it: cut to 40 characters."""
    return name if len(name) <= 40 else f"{name[:39]}…"


def _cannot_tell(table: Table, what: str, argument: str, both: bool) -> DataError:
    columns = list(table.columns)
    found = ", ".join(repr(shown(name)) for name in columns[:10]) + (" and more" if len(columns) > 10 else "")
    if table.repeated:
        twice = ", ".join(repr(shown(name)) for name in table.repeated[:3])
        found += f" (and more than once, so that it cannot be used: {twice})"
    arguments = "text= and labels=" if both else f"{argument}="
    options = "--text and --labels" if both else f"--{argument}"
    start = f"{table.place}: cannot tell which column holds the {what}"
    if table.place.endswith(("line 1", "line 2")):
        start = f"{table.place}: expected a header that names the columns; cannot tell which one holds the {what}"
    headless = " (numbers from 0 if the first line is no header)" if table.place.endswith("line 1") else ""
    delimiter = len(columns) == 1 and table.place.endswith("line 1")
    end = [f", or their delimiter with {name}" if delimiter else "" for name in ("delimiter=", "--delimiter")]
    sentence = f"{start}, found {found or 'nothing'}; name the columns with"
    return DataError(
        f"{sentence} {arguments}{headless}{end[0]}", command_line=f"{sentence} {options}{headless}{end[1]}"
    )
