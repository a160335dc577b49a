"""Texts to label: every row of a table or line of a text, in order, also those without a text.

The readers of corpora leave rows out where that is right for training. Here, no row may be lost: the n-th prediction
belongs to the n-th row.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from afl_helpers.data.columns import find_text, shown
from afl_helpers.data.reading import MalformedLines
from afl_helpers.data.sources.download import SourceFile, read_file
from afl_helpers.data.table_files import (
    KNOWN_NAMES,
    MISSING,
    SPREADSHEET_ENDINGS,
    SURROGATE,
    TABLES_TAKEN,
    Table,
    decode,
    is_dataset_folder,
    read_folder,
    read_path,
    refuse_spreadsheet,
    table_ending,
)
from afl_helpers.errors import DataError, MissingFileError, UsageError


@dataclass(frozen=True)
class Texts:
    """Texts and their ids: those of the table, or the numbers of rows or lines from 1, as strings.

    ``note`` says which columns were read, if there are columns.
    """

    ids: list[str]
    texts: list[str]
    note: str = ""

    @property
    def n_blank(self) -> int:
        """The number of blank texts."""
        return sum(not text for text in self.texts)

    @property
    def n_repeated_ids(self) -> int:
        """The number of rows with an id that an earlier row has."""
        return len(self.ids) - len(set(self.ids))


class _EveryLine(MalformedLines):
    """Refuse every malformed line, because each line must be predicted."""

    def __init__(self) -> None:
        super().__init__("raise")

    def reject(self, file: str, line: int, problem: str) -> NoReturn:
        """Raise a DataError that names the line."""
        raise DataError(f"{file}, {self.unit} {line}: {problem}; correct the {self.unit}, since none may be left out")


def names_table(argument: str) -> bool:
    """Return whether an argument that may be a text is the name of a file with texts.

    Raises:
        MissingFileError: it looks like one, but there is no such file.
        UsageError: it is a spreadsheet, a file of another kind, or a folder without a dataset.
    """
    path = Path(argument).expanduser()
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # longer than a name can be
        return False
    if is_folder and is_dataset_folder(path):
        return True
    elsewhere = "a text can also be given on standard input"
    if is_folder:
        raise UsageError(f"{path} is a folder without a dataset; pass a file ({elsewhere})")
    known = table_ending(path) is not None or path.suffix.lower() in SPREADSHEET_ENDINGS
    if is_file and known:
        refuse_spreadsheet(path)
        return True
    if is_file:
        raise UsageError(f"cannot tell what the file {path} is from its name; {TABLES_TAKEN} ({elsewhere})")
    if known and not any(character.isspace() for character in argument):
        raise MissingFileError(f"there is no file {path}; check the path ({elsewhere})")
    return False


def read_texts(
    path: Path,
    *,
    text: str | int | None = None,
    ids: str | int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Texts:
    """Read the texts of a file, one per row of a table, or one per line of a .txt file.

    Args:
        path: a table or a folder of a dataset as `load_corpus` takes it, or a .txt file.
        text: the column of the texts, guessed from its name where one guess is possible. A number, from 0, names the column
            of a file without a header. With it, a .txt file is read as a table.
        ids: the column of the ids; by default the one called id, else rows are numbered from 1.
        delimiter, encoding: as in `load_corpus`.

    Raises:
        UsageError: a named column does not exist.
        DataError: a row is malformed (the message names file and line), or several columns may hold the texts.
        MissingFileError: the file cannot be read.
    """
    if text is None and ids is None and delimiter is None and (table_ending(path) == ".txt"):
        lines = lines_of(read_file(path), str(path), encoding)
        if lines.texts and is_header(lines.texts[0]):
            sentence = f"{path}, line 1: {shown(lines.texts[0])!r} looks like the header of a table; name the column of the texts with"
            raise DataError(f"{sentence} text=", command_line=f"{sentence} --text")
        return lines
    has_header = not isinstance(text, int)
    bad = _EveryLine()
    if path.is_dir():
        tables = read_folder(path, bad)
        if len(tables) > 1:
            raise UsageError(
                f"{path} has the splits {', '.join(map(str, tables))}; pass one, such as {path / str(next(iter(tables)))}"
            )
        (table,) = tables.values()
    else:
        table = read_path(path, bad, delimiter=delimiter, encoding=encoding, has_header=has_header)
    column, id_column = find_text(table, text, ids)
    texts = [_text(bad, table, column, place) for place in range(len(table.numbers))]
    names = [""] * len(texts) if id_column is None else [_id(cell) for cell in table.columns[id_column]]
    blank = [place for place, name in enumerate(names, start=1) if not name]
    found = "ids are row numbers"
    if id_column is not None:
        found = f"ids from {shown(id_column)!r}"
        if blank:
            rows = "1 row has" if len(blank) == 1 else f"{len(blank):,} rows have"
            found += f" ({rows} none: numbered instead)"
    given = {*names}
    for place in blank:
        names[place - 1] = str(place) if str(place) not in given else f"row {place}"
    return Texts(names, texts, f"{path.name}: texts from {shown(column)!r}, {found}")


def lines_of(content: bytes, name: str, encoding: str | None = None) -> Texts:
    """Return the lines of a text, each with its number, from 1, as its id; the end of the last line begins no line.

    Raises:
        DataError: a byte does not fit the encoding; the message names the line and the likely encoding.
    """
    lines = re.split(r"\r\n?|\n", decode(SourceFile(name, content), _EveryLine(), encoding))
    if lines[-1] == "":
        lines.pop()
    return Texts([str(number) for number in range(1, len(lines) + 1)], [" ".join(line.split()) for line in lines])


def is_header(line: str) -> bool:
    """Return whether a line without blanks names columns, one of them as those of texts, labels or ids are often named."""
    cells = re.split("[,;|]", line.lower())
    return len(cells) > 1 and all(re.fullmatch(r"\w{1,30}", cell) for cell in cells) and bool({*cells} & KNOWN_NAMES)


def _text(bad: _EveryLine, table: Table, column: str, place: int) -> str:
    cell, number = table.columns[column][place], table.numbers[place]
    if cell is None:
        return ""
    if not isinstance(cell, str):
        found = "nothing" if cell is MISSING else repr(shown(str(cell)))
        bad.reject(table.file, number, f"expected a string under {shown(column)!r}, found {found}")
    if SURROGATE.search(cell):
        bad.reject(table.file, number, "half a surrogate pair is not a character")
    return " ".join(cell.split())


def _id(cell: object) -> str:
    """Return the id in a cell, or "" if it has none."""
    if isinstance(cell, float) and cell.is_integer():  # pandas keeps whole numbers as floats if one is missing
        return str(int(cell))
    name = "" if cell is None or cell is MISSING else str(cell)
    return name if name.strip() else ""
