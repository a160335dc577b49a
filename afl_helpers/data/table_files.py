"""Tables as columns of cells: from .csv, .tsv, .jsonl, .json and .parquet files, data frames and datasets.

pandas would read more dialects, but it takes "None" for a missing value, and of an unclosed quote or a row with too many
cells it says neither where it is nor how to go on. So text files are read here, and the packages read the rest.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from afl_helpers.data.reading import MalformedLines
from afl_helpers.data.sources.download import SourceFile, read_file
from afl_helpers.errors import DataError, UsageError, first_line, require

if TYPE_CHECKING:
    import datasets
    import pandas

CELL_LIMIT = 2**27  # characters; the csv module's default of 131,072 is too low for long texts
DELIMITERS = (",", ";", "\t", "|")
TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt")
JSON_LINES_ENDINGS = (".jsonl", ".ndjson")
#: The endings of tables; text and JSON also as .gz.
TABLE_ENDINGS = (*TEXT_ENDINGS, *JSON_LINES_ENDINGS, ".json", ".parquet")
TABLES_TAKEN = "give a .csv, .tsv, .txt, .jsonl, .json (each also as .gz) or .parquet file"
SPREADSHEET_ENDINGS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
#: The cell of a JSON object that lacks the key.
MISSING = object()
#: Column names that say what they hold, in lower case.
TEXT_NAMES = (
    *("text", "texts", "comment_text", "comment", "sentence", "content", "body", "document", "description", "abstract"),
    *("plot", "review", "tweet", "message", "utterance", "question", "title_and_abstract", "summary"),
)
LABEL_NAMES = (
    *("labels", "label", "label_list", "tags", "tag", "genres", "genre", "categories", "category", "topics", "topic"),
    *("classes", "class", "emotions", "emotion", "emotion_ids", "label_ids", "targets", "target"),
)
KNOWN_NAMES = {*TEXT_NAMES, *LABEL_NAMES, "id"}
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Table:
    """The cells of a table by column, each a list with one entry per row.

    Attributes:
        place: where the names of the columns stand, for errors: "mine.csv, line 1", or "the data frame".
        numbers: the line or row number of each row.
        class_names: the label names of a column whose dataset declares them.
        repeated: names that several columns have; these columns are left out, since nobody can tell them apart.
        unread: columns of a dataset that hold something else than text and numbers; they are left out.
    """

    file: str
    place: str
    columns: dict[str, list[Any]]
    numbers: list[int]
    bad: MalformedLines
    has_header: bool = True
    class_names: dict[str, list[str]] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def table_ending(path: Path) -> str | None:
    """Return the ending that says what table the file holds, without .gz, or None."""
    name = path.name.lower().removesuffix(".gz")
    return next((ending for ending in TABLE_ENDINGS if name.endswith(ending)), None)


def refuse_spreadsheet(path: Path) -> None:
    """Raise UsageError if the name is that of a spreadsheet."""
    if path.suffix.lower() in SPREADSHEET_ENDINGS:
        raise UsageError(f"{path} is a spreadsheet; save it as CSV in Excel (CSV UTF-8), and pass that file")


def table_name(path: Path) -> str:
    """Return the name of the corpus in a file: the file's name without endings."""
    ending = table_ending(path) or ""
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    return name[: len(name) - len(ending)] or path.name


def read_path(
    path: Path, bad: MalformedLines, *, delimiter: str | None, encoding: str | None, has_header: bool
) -> Table:
    """Read the table in a file.

    Raises:
        DataError: a row is malformed (the message names file and line), or the file is not what its name says.
        MissingFileError: the file cannot be read.
    """
    ending = table_ending(path)
    if ending == ".parquet":
        return _read_parquet(path, bad)
    file = SourceFile(str(path), read_file(path))
    if not file.content.removeprefix(b"\xef\xbb\xbf").strip():
        raise DataError(f"{path}: the file is empty; check how it was written")
    if ending in JSON_LINES_ENDINGS:
        return _read_json_lines(file, bad, encoding)
    if ending == ".json":
        return _read_json(file, bad, encoding)
    given = check_delimiter(delimiter)
    return _read_text(file, bad, given or ("\t" if ending in (".tsv", ".tab") else None), encoding, has_header)


# --- CSV and its kind -------------------------------------------------------------------------------------------------


def _read_text(
    file: SourceFile, bad: MalformedLines, delimiter: str | None, encoding: str | None, has_header: bool
) -> Table:
    text = decode(file, bad, encoding)
    first_line, rest = _first_line(text)
    declared = re.fullmatch(r"sep=(.)[,;\t]*", first_line)  # a first line that Excel writes and heeds
    if declared:
        delimiter, text = delimiter or declared[1], rest
        first_line, _ = _first_line(text)
    if has_header and first_line.startswith("#"):
        _refuse_comment(file.name, text, delimiter)
    lines_before = 1 if declared else 0
    delimiter = delimiter or _guess_delimiter(first_line, has_header)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    header: list[str] | None = None
    columns: list[list[Any]] = []
    numbers: list[int] = []
    blank: list[int] = []  # lines since the last row
    limit = csv.field_size_limit(CELL_LIMIT)
    start = line = lines_before + 1
    try:
        for row in reader:
            start, line = line, lines_before + reader.line_num + 1
            if header is None:
                numbered = [str(i) for i in range(len(row))]
                header = [cell.strip() for cell in row] if has_header else numbered
                columns = [[] for _ in header]
                if has_header or row == numbered:  # pandas names columns so that have no name
                    continue
            if not row:
                blank.append(start)
                continue
            if len(header) == 1:  # a blank line is a blank cell, unless nothing follows
                numbers += blank
                columns[0] += [""] * len(blank)
            blank.clear()
            if delimiter == "\t" and any("\n" in cell and "\t" in cell for cell in row):
                raise DataError(
                    f"{file.name}, line {start}: a quoted cell holds a tab and goes on in line {line - 1}, so its quotation "
                    "marks may be plain characters; then read the file with pandas (sep='\\t', quoting=3) and pass the data "
                    "frame, or save it as CSV"
                )
            if len(row) != len(header):
                bad.reject(file.name, start, f"expected {len(header)} columns, found {len(row)}")
            elif any(map(SURROGATE.search, row)):
                bad.reject(file.name, start, f"a byte is not {(encoding or 'UTF-8').upper()}")
            else:
                numbers.append(start)
                for cells, cell in zip(columns, row):
                    cells.append(cell)
    except csv.Error as error:
        # After a broken quote nobody knows where the next row starts, so there is nothing to skip to.
        raise DataError(
            f"{file.name}, line {line}: a quote in the row that begins here is not closed as it should be "
            f"(line {lines_before + reader.line_num}: {error}); correct the quoting"
        ) from None
    finally:
        csv.field_size_limit(limit)
    return _table(file.name, f"{file.name}, line {lines_before + 1}", header or [], columns, numbers, bad, has_header)


def _refuse_comment(name: str, text: str, delimiter: str | None) -> None:
    """Raise DataError if the first lines are comments: the line after them has another number of columns."""
    lines = text.splitlines()
    header = next((line for line in lines if not line.startswith("#")), "")
    separator = delimiter or _guess_delimiter(header, True)
    if lines[0].count(separator) != header.count(separator):
        n_comments = lines.index(header) if header else len(lines)
        first = "line 1 begins" if n_comments == 1 else f"lines 1 to {n_comments:,} begin"
        raise DataError(f"{name}: {first} with '#', as comments do; remove what stands before the header")


def _first_line(text: str) -> tuple[str, str]:
    """Return the first line and what follows it."""
    end = min((place for place in (text.find("\n"), text.find("\r")) if place >= 0), default=len(text))
    return text[:end], text[end:].removeprefix("\r").removeprefix("\n")


def _guess_delimiter(first_line: str, has_header: bool) -> str:
    """Return the delimiter that gives most columns; in a header, one that gives names that are known."""

    def score(delimiter: str) -> tuple[int, int]:
        cells = [cell.strip(' "').casefold() for cell in first_line.split(delimiter)]
        known = sum(cell in KNOWN_NAMES for cell in cells) if has_header else 0
        return known, len(cells)

    return max(DELIMITERS, key=score) if len(first_line) < CELL_LIMIT else ","


def check_delimiter(delimiter: str | None) -> str | None:
    """Return the delimiter as one character; the words "tab" and "\\t" stand for a tab."""
    if delimiter in ("tab", "\\t"):
        return "\t"
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
        raise UsageError(f"delimiter is {delimiter!r}; pass one character such as ',' or ';', or 'tab'")
    return delimiter


def decode(file: SourceFile, bad: MalformedLines, encoding: str | None) -> str:
    """Return the text of a file; a byte that does not fit becomes half a surrogate pair, so that it spoils only its own row."""
    content = file.content
    if encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig"):
        content = content.removeprefix(b"\xef\xbb\xbf")
        place = 0
        try:
            text = content.decode("utf-8")
            if not _has_many_zeros(content):  # UTF-16 of English is UTF-8 with a zero byte per character
                return text
        except UnicodeDecodeError as error:
            place = error.start
        likely = _likely_encoding(content)
        if not bad.skip or likely.startswith("utf"):
            line = content.count(b"\n", 0, place) + 1
            sentence = f"{file.name}, line {line}: the file is not UTF-8, it seems to be {likely};"
            raise DataError(
                f"{sentence} save it as UTF-8, or pass encoding={likely!r}",
                command_line=f"{sentence} save it as UTF-8, or pass --encoding {likely}",
            )
        return content.decode("utf-8", "surrogateescape")
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise UsageError(f"encoding {encoding!r} is unknown; pass for example 'cp1252' or 'utf-16'") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file.name}, line {line}: a byte is not {encoding}; pass another encoding") from None


def _has_many_zeros(content: bytes) -> bool:
    sample = content[:4096]
    return len(sample) > 3 and sample.count(0) * 3 > len(sample)


def _likely_encoding(content: bytes) -> str:
    for mark, encoding in ((b"\xff\xfe\0\0", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return encoding
    if _has_many_zeros(content):
        sample = content[:4096]
        return "utf-16-le" if sample[1::2].count(0) > sample[::2].count(0) else "utf-16-be"
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _table(
    file: str,
    place: str,
    header: list[str],
    columns: list[list[Any]],
    numbers: list[int],
    bad: MalformedLines,
    has_header: bool,
) -> Table:
    """Return a table; of columns with the same name, which nobody can tell apart, none."""
    named = {name: cells for name, cells in zip(header, columns) if header.count(name) == 1 or not name}
    repeated = [name for name in dict.fromkeys(header) if name and name not in named]
    return Table(file, place, named, numbers, bad, has_header, repeated=repeated)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _read_json_lines(file: SourceFile, bad: MalformedLines, encoding: str | None) -> Table:
    content = file.content.removeprefix(b"\xef\xbb\xbf")
    if encoding is not None or not bad.skip:
        content = decode(file, bad, encoding).encode("utf-8", "surrogatepass")
    rows, numbers = [], []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        row = _parsed(line)
        if isinstance(row, _Repeated):
            bad.reject(file.name, number, f"the key {row.key!r} stands twice in one object")
        elif isinstance(row, dict):
            rows.append(row)
            numbers.append(number)
        else:
            bad.reject(file.name, number, f"expected a JSON object in UTF-8, found {line[:40].decode('latin-1')!r}")
    return Table(file.name, file.name, _columns(rows), numbers, bad)


def _read_json(file: SourceFile, bad: MalformedLines, encoding: str | None) -> Table:
    """Read a list of objects, an object that holds one such list, or an object with one list or object per column."""
    bad.unit = "row"
    try:
        value = json.loads(decode(file, bad, encoding), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        lines = file.name.endswith(".json") and error.msg == "Extra data"
        hint = "; if each line is an object, name the file .jsonl" if lines else "; correct the file"
        raise DataError(f"{file.name}, line {error.lineno}: this is not JSON ({error.msg}){hint}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{file.name}: this is not JSON that can be read; correct the file") from None
    if isinstance(value, _Repeated):
        raise DataError(f"{file.name}: the key {value.key!r} stands twice in one object; correct the file")
    if isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list)]
        if len(lists) == 1 and all(isinstance(row, dict) for row in lists[0]):
            value = lists[0]
        elif value and len(lists) == len(value) and len({len(part) for part in lists}) == 1:
            value = [dict(zip(value, row)) for row in zip(*lists)]
        elif value and all(isinstance(part, dict) for part in value.values()):  # what DataFrame.to_json writes
            keys = dict.fromkeys(key for part in value.values() for key in part)
            value = [{name: part[key] for name, part in value.items() if key in part} for key in keys]
    if not isinstance(value, list):
        raise DataError(f"{file.name}: expected a list of objects, one per document; correct the file")
    rows, numbers = [], []
    for number, row in enumerate(value, start=1):
        if isinstance(row, _Repeated):
            bad.reject(file.name, number, f"the key {row.key!r} stands twice in one object")
        elif isinstance(row, dict):
            rows.append(row)
            numbers.append(number)
        else:
            bad.reject(file.name, number, f"expected a JSON object, found {str(row)[:40]!r}")
    return Table(file.name, file.name, _columns(rows), numbers, bad)


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, MISSING) for row in rows] for name in names}


@dataclass(frozen=True)
class _Repeated:
    """A JSON object in which a key stands twice, so that nobody knows which value is meant."""

    key: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    keys = [key for key, _ in pairs]
    return _Repeated(next(key for key in keys if keys.count(key) > 1))


def _parsed(text: bytes) -> object:
    """Return the JSON value, or None if it does not parse."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError):  # bytes that are not UTF-8 raise a ValueError as well
        return None


# --- pandas and datasets ----------------------------------------------------------------------------------------------


def is_frame(value: object) -> TypeGuard["pandas.DataFrame"]:
    """Return whether the value is a pandas data frame, without importing pandas."""
    return type(value).__module__.startswith("pandas") and hasattr(value, "columns")


def is_dataset(value: object) -> TypeGuard["datasets.Dataset"]:
    """Return whether the value is a `datasets.Dataset`, without importing datasets."""
    return type(value).__module__.startswith("datasets") and hasattr(value, "features")


def read_frame(frame: "pandas.DataFrame", bad: MalformedLines) -> Table:
    """Return the cells of a data frame; each missing value becomes None."""
    bad.unit = "row"
    header = [str(column) for column in frame.columns]
    columns = []
    for place in range(len(header)):
        column = frame.iloc[:, place]
        columns.append([None if gone else cell for cell, gone in zip(column.tolist(), column.isna().tolist())])
    numbers = list(range(1, len(frame) + 1))
    return _table("the data frame", "the data frame", header, columns, numbers, bad, True)


def read_dataset(dataset: "datasets.Dataset", bad: MalformedLines, file: str = "the dataset") -> Table:
    """Return the cells of a dataset, and the label names that its features declare."""
    datasets = require("datasets", "data", "from_dataset()")
    if isinstance(dataset, datasets.IterableDataset):
        raise UsageError(f"{file} is streamed, and a corpus needs all of it; pass Dataset.from_list(list(dataset))")
    bad.unit = "row"
    class_names, columns, unread = {}, {}, []
    for name, feature in dataset.features.items():
        inner = getattr(feature, "feature", feature)
        if isinstance(inner, datasets.ClassLabel) and inner.names is not None:
            class_names[name] = list(inner.names)
        if isinstance(inner, datasets.ClassLabel | datasets.Value | dict):  # a dict of features: objects
            columns[name] = list(dataset.with_format(None)[name])
        else:
            unread.append(name)
    numbers = list(range(1, len(dataset) + 1))
    return Table(file, file, columns, numbers, bad, class_names=class_names, unread=unread)


def _read_parquet(path: Path, bad: MalformedLines) -> Table:
    datasets = require("datasets", "data", "a .parquet file")
    parquet = require("pyarrow.parquet", "data", "a .parquet file")
    arrow = require("pyarrow", "data", "a .parquet file")
    try:
        # Unlike Dataset.from_parquet, this copies nothing into a cache.
        return read_dataset(datasets.Dataset(parquet.read_table(path)), bad, str(path))
    except (arrow.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet ({str(error).splitlines()[0][:200]}); get it again"
        ) from None


def is_dataset_folder(path: Path) -> bool:
    """Return whether `save_to_disk` of a dataset, or of a dict of datasets, wrote this folder."""
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def read_folder(path: Path, bad: MalformedLines) -> dict[str | None, Table]:
    """Return the tables of a folder that `save_to_disk` wrote, by split; the split of a single dataset is None."""
    datasets = require("datasets", "data", "a folder of a dataset")
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever the library raises for a damaged folder
        raise DataError(f"{path} cannot be read as a dataset ({type(error).__name__}: {first_line(error)})") from None
    if isinstance(loaded, datasets.DatasetDict):
        return {str(split): read_dataset(part, bad, f"{path}/{split}") for split, part in loaded.items()}
    return {None: read_dataset(loaded, bad, str(path))}
