"""Your own data: tables in files, data frames and datasets become corpora.

Each row is a document. A row that cannot be read is an error, or is skipped and counted; a row with a blank text is left out
and counted. A row without a label is a document without labels, unless you ask to drop it. Whatever was left out, joined or
guessed stands in the notes of the corpus; what may lose or misread data is also a `CorpusWarning`.
"""

import json
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from afl_helpers.arrays import refuse_set
from afl_helpers.data.columns import Columns, find_columns, holds_one_label, shown, zero_or_one
from afl_helpers.data.corpus import SPLIT_NAMES, Corpus, Unlabelled, check_unlabelled
from afl_helpers.data.label_cells import (
    MISSING_LABELS,
    MISSING_WORDS,
    SEPARATOR,
    CellError,
    ColumnError,
    Tokens,
    are_numbers,
    joined_forms,
    joined_labels,
    labels_with_entities,
    labels_with_scores,
    one_space,
    read_cell,
    similar_labels,
    suspected_separator,
    vector_length,
    without_point,
)
from afl_helpers.data.reading import CorpusWarning, MalformedLines, OnError, build_corpus
from afl_helpers.data.sources.download import read_file
from afl_helpers.data.table_files import (
    LABEL_NAMES,
    MISSING,
    SURROGATE,
    TABLES_TAKEN,
    Table,
    is_dataset,
    is_dataset_folder,
    is_frame,
    read_dataset,
    read_folder,
    read_frame,
    read_path,
    refuse_spreadsheet,
    table_ending,
    table_name,
)
from afl_helpers.errors import DataError, MissingFileError, UsageError

#: Names of columns that may hold a given split.
SPLIT_COLUMNS = ("split", "subset", "fold", "partition")
#: The largest share of rows that a separator splits by accident.
FEW_SPLIT = 0.05
QUOTES = {*"\"'`\u2018\u2019\u201c\u201d\u201e"}
HALF_A_PAIR = "half a surrogate pair is not a character"


_Token = TypeVar("_Token", int, str)


@dataclass(frozen=True)
class TableOptions:
    """How to read a table; see `afl_helpers.data.load_corpus` for each option."""

    text: str | int | None = None
    labels: str | int | Sequence[str | int] | None = None
    separator: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    label_names: Any = None
    unlabelled: Unlabelled | None = None
    split_column: str | None = None
    ids: str | int | None = None
    on_error: OnError = "raise"

    def given(self) -> list[str]:
        """Return the names of the options that say how to read a table, among those that were passed."""
        return [name for name in vars(self) if name not in ("unlabelled", "on_error") and vars(self)[name] is not None]


@dataclass
class _Row:
    """A row with a text: its tokens become names of labels when all tables are read."""

    id: str
    text: str
    tokens: Tokens
    number: int
    split: str | None
    table: Table


@dataclass
class _Reading:
    """The rows of one or several tables, and what was counted on the way.

    Attributes:
        notes: what was guessed or joined.
        alarms: what was left out, or may be misread.
        declared: the label names that the tables themselves declare, in order.
    """

    options: TableOptions
    rows: list[_Row] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    declared: list[str] | None = None
    tables: list[Table] = field(default_factory=list)


def read_corpus(options: TableOptions, source: object, name: str | None = None) -> Corpus:
    """Read one corpus from a table, a folder of a dataset, or several tables by the name of their split.

    If there are splits, they become the official split of the corpus.

    Args:
        source: a path, a data frame or a dataset; or a dict of them.
        name: the name of the corpus; by default that of the file.

    Raises:
        UsageError: an option does not fit the table.
        DataError: a row is malformed, or no document is left.
    """
    whole, split_of = _read(options, source, name)
    splits = set(split_of)
    if splits == {None}:
        return whole
    strange = sorted(str(split) for split in splits if split not in SPLIT_NAMES)
    if strange:
        raise DataError(f"{whole.source} has a split {shown(strange[0])!r}; name splits train, validation and test")
    return replace(whole, subset=[str(split) for split in split_of])


def read_splits(options: TableOptions, source: object, name: str | None = None) -> dict[str, Corpus]:
    """Read given splits, each from a table of its own or all from one table with a split column.

    Arguments and errors are those of `read_corpus`.

    Returns:
        One corpus per split, all with the same list of labels.
    """
    whole, split_of = _read(options, source, name)
    splits = np.array([str(split) for split in split_of])
    return {
        split: replace(whole.select_documents(splits == split), name=f"{whole.name}-{split}")
        for split in dict.fromkeys(splits.tolist())
    }


def _read(options: TableOptions, source: object, name: str | None) -> tuple[Corpus, list[str | None]]:
    check_unlabelled("keep" if options.unlabelled is None else options.unlabelled)
    MalformedLines(options.on_error)
    for argument in ("separator", "delimiter", "encoding"):
        value = getattr(options, argument)
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{argument} is {value!r}; pass a string")
    tables = _tables(options, source)
    reading = _Reading(options)
    found = [
        find_columns(table, options.text, options.labels, options.split_column, options.ids) for _, table in tables
    ]
    if options.label_names is None and all(holds_one_label(table, own) for (_, table), own in zip(tables, found)):
        name = str(found[0].labels)
        if name.lower() in LABEL_NAMES:  # classes 0 and 1, or one label
            reading.alarms.append(
                f"the labels under {shown(name)!r} are 0 and 1, and read as two; if 1 says that a document has one label, call "
                f"the column by its name, or pass labels=[{shown(name)!r}]"
            )
        else:
            found = [replace(own, labels=None, binary=[str(own.labels)]) for own in found]
    for (split, table), columns in zip(tables, found):
        _read_rows(reading, table, columns, split)
    names = _name_labels(reading)
    if options.unlabelled == "drop":
        kept = [row for row in reading.rows if row.tokens]
        _alarm(reading, len(reading.rows) - len(kept), "row", "without a label left out, because unlabelled is 'drop'")
        reading.rows = kept
    _unique_ids(reading)
    _suspect_long_form(reading, found[0].text, found[0].labels)
    return _corpus(reading, names, source, name), [row.split for row in reading.rows]


# --- where tables come from -------------------------------------------------------------------------------------------


def _tables(options: TableOptions, source: object) -> list[tuple[str | None, Table]]:
    """Return the tables of a source, each with the name of its split."""
    if not isinstance(source, Mapping):
        return [(split, table) for split, table in _load(options, source).items()]
    if not source:
        raise UsageError("the dict of splits is empty; pass for example {'train': 'a.csv', 'test': 'b.csv'}")
    if options.split_column is not None:
        raise UsageError("split_column does not go with a dict of splits; pass one of the two")
    tables: list[tuple[str | None, Table]] = []
    for split, part in source.items():
        loaded = _load(options, part)
        if set(loaded) != {None}:
            raise UsageError(f"the split {split!r} is a dataset that has splits itself; pass its folder alone")
        tables.append((str(split), loaded[None]))
    return tables


def _load(options: TableOptions, source: object) -> Mapping[str | None, Table]:
    bad = MalformedLines(options.on_error)
    if is_frame(source):
        return {None: read_frame(source, bad)}
    if is_dataset(source):
        return {None: read_dataset(source, bad)}
    if not isinstance(source, str | os.PathLike):
        raise UsageError(f"a table is a path, a data frame or a datasets.Dataset, not a {type(source).__name__}")
    path = Path(source).expanduser()
    if not path.exists():
        raise MissingFileError(f"there is no file or folder {path}; check the path")
    if path.is_dir():
        if not is_dataset_folder(path):
            raise UsageError(f"{path} is no folder that save_to_disk of datasets wrote; pass the path of a file")
        return read_folder(path, bad)
    refuse_spreadsheet(path)
    if table_ending(path) is None:
        raise UsageError(
            f"cannot tell what {path} is from its name; {TABLES_TAKEN}; or read it with pandas and call Corpus.from_frame"
        )
    labels = options.labels
    several = labels if isinstance(labels, Iterable) and not isinstance(labels, str) else [labels]
    named = [options.text, *several]
    has_header = not any(isinstance(name, int | np.integer) for name in named)
    return {None: read_path(path, bad, delimiter=options.delimiter, encoding=options.encoding, has_header=has_header)}


def _name_of(source: object) -> str:
    if isinstance(source, Mapping):
        paths = [Path(part) for part in source.values() if isinstance(part, str | os.PathLike)]
        return table_name(paths[0]) if paths else "splits"
    if isinstance(source, str | os.PathLike):
        return table_name(Path(source))
    return "data frame" if is_frame(source) else "dataset"


def _describe_source(source: object) -> str:
    if isinstance(source, Mapping):
        return "the splits " + ", ".join(f"{split} ({_describe_source(part)})" for split, part in source.items())
    if isinstance(source, str | os.PathLike):
        return f"the {'folder' if Path(source).expanduser().is_dir() else 'file'} {Path(source).name}"
    return "a data frame" if is_frame(source) else "a dataset"


# --- rows -------------------------------------------------------------------------------------------------------------


def _read_rows(reading: _Reading, table: Table, columns: Columns, split: str | None) -> None:
    options = reading.options
    if columns.binary:
        _declare(reading, table, columns.binary)
    elif columns.labels in table.class_names:
        _declare(reading, table, table.class_names[columns.labels])
    reading.tables.append(table)
    n_rows, blank_ids, blank_texts = 0, 0, 0
    words: Counter[str] = Counter()
    for position, number in enumerate(table.numbers):
        try:
            row = _read_row(table, columns, options, position)
        except ColumnError as error:
            raise DataError(f"{table.file}, {table.bad.unit} {number}: {error}") from None
        except CellError as error:
            table.bad.reject(table.file, number, str(error))
            continue
        n_rows += 1
        if not row.id:
            blank_ids += columns.id is not None
            row.id = str(n_rows)
        row.split = row.split or split
        if row.text:
            reading.rows.append(row)
            if row.text.lower() in MISSING_WORDS:
                words[row.text] += 1
        else:
            blank_texts += 1
    reading.counts["rows"] += n_rows
    reading.counts["texts_blank"] += blank_texts
    file = Path(table.file).name
    note = f"{file}: texts from {shown(columns.text)!r}, labels from "
    if columns.binary:
        note += f"{_number(len(columns.binary), 'column')} of 0 and 1 ({_some(columns.binary)})"
    else:
        note += repr(shown(str(columns.labels)))
    note += ", ids are row numbers" if columns.id is None else f", ids from {shown(columns.id)!r}"
    if unused := [*columns.unused, *table.unread]:
        note += f"; not used: {_some(unused)}"
        by_name = [name for name in columns.unused if name.lower() in SPLIT_COLUMNS]
        if by_name:
            note += f" (for the given split, pass split_column={by_name[0]!r}, --split-column {by_name[0]})"
    reading.notes.append(note)
    if table.repeated:
        reading.alarms.append(
            f"{file}: not used, because several columns have the name: {_some(table.repeated)}; give each a name of its own"
        )
    if columns.yes_no:
        reading.alarms.append(
            f"{file}: not used, because they hold yes and no: {_some(columns.yes_no)}; write 1 and 0 where they are labels"
        )
    _alarm(reading, blank_texts, "row", f"of {file} with a blank text left out")
    _alarm(
        reading,
        words.total(),
        "row",
        f"of {file} with a text that stands for a missing one: {_some(list(words))}; leave such cells empty",
    )
    _alarm(reading, table.bad.skipped, table.bad.unit, f"of {file} skipped, malformed")
    _alarm(reading, blank_ids, "row", f"of {file} without an id, numbered instead")


def _read_row(table: Table, columns: Columns, options: TableOptions, position: int) -> _Row:
    """Return a row; its id is "" if it has none.

    Raises:
        CellError: a cell holds something else than it should.
    """
    text = table.columns[columns.text][position]
    if not (isinstance(text, str) or text is None):
        raise CellError(f"expected a string under {shown(columns.text)!r}")
    tokens: Tokens
    if columns.binary:
        tokens = [name for name in columns.binary if _binary_cell(table, name, position)]
    elif columns.labels is None or table.columns[columns.labels][position] is MISSING:
        raise CellError(f"there is nothing under {shown(str(columns.labels))!r}")
    else:
        tokens = read_cell(table.columns[columns.labels][position], options.separator)
        if columns.labels in table.class_names:
            tokens = [token for token in tokens if token != -1]  # type: ignore[assignment]  # -1: no label
    row_id = _id_cell(None if columns.id is None else table.columns[columns.id][position])
    split = None
    if options.split_column is not None:
        cell = table.columns[options.split_column][position]
        split = "" if cell is None or cell is MISSING else str(cell).strip()
        if not split:
            raise CellError(f"the split under {shown(options.split_column)!r} is blank")
        split = SPLIT_NAMES.get(split.lower(), split)
    strings = [text or "", row_id, *(token for token in tokens if isinstance(token, str))]
    if any(map(SURROGATE.search, strings)):
        raise CellError(HALF_A_PAIR)
    return _Row(row_id, " ".join((text or "").split()), tokens, table.numbers[position], split, table)


def _binary_cell(table: Table, name: str, position: int) -> int:
    cell = table.columns[name][position]
    value = zero_or_one(cell)
    if value is None:
        found = "nothing" if cell is None or cell is MISSING or cell == "" else repr(shown(str(cell)))
        raise CellError(f"expected 0 or 1 under {shown(name)!r}, found {found}")
    return value


def _id_cell(cell: object) -> str:
    if cell is None or cell is MISSING:
        return ""
    if isinstance(cell, float) and cell.is_integer():  # pandas keeps whole numbers as floats if one is missing
        return str(int(cell))
    if isinstance(cell, str) or (isinstance(cell, int | np.integer) and not isinstance(cell, bool)):
        return str(cell) if str(cell).strip() else ""
    raise CellError("expected a string or a number under 'id'")


def _unique_ids(reading: _Reading) -> None:
    """Give each row an id of its own: rows of several splits get the split in front, and repeated ids a number."""
    by_split: dict[str | None, set[str]] = {}
    for row in reading.rows:
        by_split.setdefault(row.split, set()).add(row.id)
    if len(by_split) > 1 and len(set().union(*by_split.values())) < sum(map(len, by_split.values())):
        for row in reading.rows:
            row.id = f"{row.split}/{row.id}"
    taken = {row.id for row in reading.rows}
    seen: set[str] = set()
    next_number: Counter[str] = Counter()
    first = ""
    for row in reading.rows:
        if row.id in seen:
            first = first or row.id
            reading.counts["rows_with_repeated_id"] += 1
            given = row.id
            while row.id in taken:
                next_number[given] += 1
                row.id = f"{given}#{next_number[given] + 1}"
            taken.add(row.id)
        seen.add(row.id)
    repeated = f"with an id that an earlier row has, such as {shown(first)!r}; '#2', '#3' and so on is added"
    _alarm(reading, reading.counts["rows_with_repeated_id"], "row", repeated)


# --- labels -----------------------------------------------------------------------------------------------------------


def _declare(reading: _Reading, table: Table, names: list[str]) -> None:
    if reading.declared is not None and reading.declared != names and reading.options.label_names is None:
        raise DataError(f"{table.file} declares other labels than {reading.tables[0].file}; pass label_names=")
    reading.declared = names


def _name_labels(reading: _Reading) -> list[str] | None:
    """Turn the tokens of all rows into names; return the names in their order if they are given, else None."""
    given = _given_names(reading.options.label_names)
    if given is None and reading.declared is not None:
        given = dict(enumerate(reading.declared))
    rows = [row.tokens for row in reading.rows]
    known = set() if given is None else set(given.values())
    has_numbers = are_numbers(rows) and any(rows) and not any(token in known for row in rows for token in row)
    if has_numbers:
        numbers = [[int(token) for token in row] for row in rows]
        length = vector_length(numbers)
        if length is not None:
            given = _name_vectors(reading, numbers, length, given)
        elif given is not None:
            _check_first_number(numbers, given, reading)
            _take_names(
                reading,
                numbers,
                given,
                lambda number: f"there is no label name for the number {number}",
                "with a number that has no name",
            )
        else:
            if any(isinstance(token, int) for row in rows for token in row):
                reading.notes.append("the labels are numbers; pass label_names= (a list or a file) to name them")
            for row in reading.rows:
                row.tokens = list(dict.fromkeys(str(token).strip() for token in row.tokens))  # "01" stays what it is
            _suspect_zeros(reading)
        return None if given is None else list(given.values())
    cells = Counter(str(token).strip() for row in rows for token in row)
    for row in reading.rows:
        row.tokens = list(dict.fromkeys(filter(None, (one_space(str(token)) for token in row.tokens))))
    if given is not None:
        names = list(given.values())
        cleaned = {one_space(name): name for name in names}
        _take_names(
            reading,
            [[str(token) for token in row.tokens] for row in reading.rows],
            cleaned,
            lambda token: f"label {shown(str(token))!r} is not in label_names",
            "with a label not in label_names",
        )
        return names
    _join_and_suspect(reading, cells)
    return None


def _suspect_zeros(reading: _Reading) -> None:
    """Say which labels are the same number, once with zeros in front."""
    written = defaultdict(set)
    for token in {str(token) for row in reading.rows for token in row.tokens}:
        written[int(token)].add(token)
    several = [sorted(found) for found in written.values() if len(found) > 1]
    if several:
        reading.alarms.append(
            f"labels that differ only in zeros in front are kept apart: {' and '.join(map(repr, several[0]))}"
            f"{f', and {len(several) - 1} more' if len(several) > 1 else ''}"
        )


def _name_vectors(
    reading: _Reading, numbers: list[list[int]], length: int, given: dict[int, str] | None
) -> dict[int, str]:
    if given is None:
        given = {number: str(number) for number in range(length)}
        reading.notes.append(
            f"the labels are vectors of {length} zeros and ones; pass label_names= (a list or a file) to name them"
        )
    if len(given) != length:
        raise UsageError(f"the labels are vectors of {length} zeros and ones, but there are {len(given)} label names")
    names = list(given.values())
    problems: list[str | None] = []
    for row, vector in zip(reading.rows, numbers):
        fits = not vector or (len(vector) == length and all(number in (0, 1) for number in vector))
        problems.append(
            None if fits else f"expected {length} zeros and ones, as in other rows, found {shown(str(vector))}"
        )
        row.tokens = [name for name, one in zip(names, vector) if one]
    _keep_rows(reading, problems, f"because its labels are no vector of {length} zeros and ones")
    return given


def _check_first_number(numbers: Sequence[Sequence[int]], given: Mapping[int, str], reading: _Reading) -> None:
    """Raise DataError if labels are numbered from 1 and their names from 0; raise an alarm if they may be."""
    used = {number for row in numbers for number in row}
    if list(given) != list(range(len(given))) or min(used) != 1:
        return
    advice = "pass label_names= as a dict {1: 'name', ...}, or as a file with a number and a name per line"
    if max(used) == len(given):
        raise DataError(f"the labels are numbers from 1 to {len(given)}, but label_names are numbered from 0; {advice}")
    reading.alarms.append(
        f"label 0 ({shown(given[0])!r}) is in no document, and label 1 was read as {shown(given[1])!r}; "
        f"if the labels are numbered from 1, {advice}"
    )


def _take_names(
    reading: _Reading,
    found: Sequence[Sequence[_Token]],
    names: Mapping[_Token, str],
    problem: Callable[[_Token], str],
    reason: str,
) -> None:
    """Replace the tokens of each row by their names; skip a row with a token that has no name."""
    problems: list[str | None] = []
    for row, tokens in zip(reading.rows, found):
        unknown = next((token for token in tokens if token not in names), None)
        problems.append(None if unknown is None else problem(unknown))
        row.tokens = list(dict.fromkeys(names[token] for token in tokens if token in names))
    _keep_rows(reading, problems, reason)


def _keep_rows(reading: _Reading, problems: Sequence[str | None], reason: str) -> None:
    """Keep the rows without a problem; refuse the others, or skip and count them."""
    kept = []
    skipped: Counter[tuple[str, str]] = Counter()
    for row, problem in zip(reading.rows, problems):
        if problem is None:
            kept.append(row)
        else:
            row.table.bad.reject(row.table.file, row.number, problem)
            skipped[row.table.bad.unit, Path(row.table.file).name] += 1
    for (unit, file), count in skipped.items():
        _alarm(reading, count, unit, f"of {file} skipped, {reason}")
    reading.rows = kept


def _join_and_suspect(reading: _Reading, cells: Counter[str]) -> None:
    """Join labels that look the same, and say where names may be more than one label or one label twice.

    `cells` has the labels as they stand in the table, with their line breaks.
    """
    counts = _label_counts(reading)
    written = without_point(counts)
    if written:
        counts = _rename_labels(reading, written)
        reading.alarms.append(
            f"{_number(len(written), 'label')} with a decimal point read as whole numbers: {_some(sorted(written))}"
        )
    joined = joined_forms(counts)
    if joined:
        counts = _rename_labels(reading, joined)
        reading.counts["labels_joined"] = len(joined)
        reading.alarms.append(
            f"{_number(len(joined), 'label')} joined with one that differs in invisible characters or Unicode form: "
            f"{_some(sorted(set(joined.values())))}"
        )
    similar = similar_labels(counts)
    if similar:
        shown_groups = [" and ".join(f"{shown(label)!r} ({counts[label]:,})" for label in group) for group in similar]
        more = "" if len(similar) <= 3 else f"; and {len(similar) - 3} more"
        reading.alarms.append(
            f"labels that differ only in case, blanks or hyphens are kept apart: {'; '.join(shown_groups[:3])}{more}"
        )
    missing = [label for label in counts if label.lower() in MISSING_LABELS]
    if missing:
        reading.alarms.append(
            f"read as {'a label' if len(missing) == 1 else 'labels'}: {_some(missing)}; for no label, leave the cell empty"
        )
    scored = labels_with_scores(counts)
    if scored:
        reading.alarms.append(
            f"{len(scored)} labels seem to hold a score: {_counted(scored, counts)}; "
            "take the scores off, or each becomes a label of its own"
        )
    quoted = [label for label in counts if len(label) > 1 and label[0] in QUOTES and label[-1] in QUOTES]
    if quoted:
        reading.alarms.append(
            f"{_number(len(quoted), 'label')} in quotation marks, which are read as part of the name: "
            f"{_counted(quoted, counts)}; remove them"
        )
    escaped = labels_with_entities(counts)
    if escaped:
        reading.alarms.append(
            f"{_number(len(escaped), 'label')} with an HTML entity: {_counted(escaped, counts)}; "
            "write entities as characters, with html.unescape of Python"
        )
    if reading.options.separator != "":
        _suspect_separator(reading, cells)


def _rename_labels(reading: _Reading, names: Mapping[str, str]) -> Counter[str]:
    """Give labels other names, each once per row, and return how often each label occurs then."""
    for row in reading.rows:
        row.tokens = list(dict.fromkeys(names.get(str(token), str(token)) for token in row.tokens))
    return _label_counts(reading)


def _label_counts(reading: _Reading) -> Counter[str]:
    return Counter(str(token) for row in reading.rows for token in row.tokens)


def _suspect_long_form(reading: _Reading, text: str, label: str | None) -> None:
    """Say where each row seems to hold one label of a document that has several rows.

    Args:
        text, label: names of the columns; no label for a column per label.
    """
    if label is None:
        return
    labels: dict[str, set[str]] = defaultdict(set)
    for row in reading.rows:
        if len(row.tokens) > 1:
            return
        labels[row.text].update(map(str, row.tokens))
    several = [text for text, found in labels.items() if len(found) > 1]
    if len(several) > 1 and 10 * len(several) >= len(labels):
        reading.alarms.append(
            f"{_number(len(several), 'text')} in several rows, each with another single label; if a document has a row per "
            f"label, join its labels first, as with pandas: frame.groupby({text!r})[{label!r}].agg("
            f"{SEPARATOR!r}.join)"
        )


def _suspect_separator(reading: _Reading, cells: Counter[str]) -> None:
    """Say where labels seem to be several labels that another separator would split."""
    given = reading.options.separator
    n_split = sum(len(row.tokens) > 1 for row in reading.rows)
    separator = suspected_separator(cells) if n_split <= FEW_SPLIT * len(reading.rows) else None
    if separator is not None:
        common = _counted([label for label, _ in cells.most_common() if separator in label], cells)
        reading.alarms.append(
            f"labels seem to be separated by {separator!r}, but are read as one: {common}; "
            f"pass separator={separator!r} (--separator {separator!r}) to split them, or '' if they are single labels"
        )
        return
    for separator, found in joined_labels(cells).items():
        if given is not None and given.strip() == separator:
            advice = f"pass separator={separator!r} (--separator {separator!r}) to split them, too"
        else:
            advice = f"separate them by {(SEPARATOR if given is None else given)!r}, as in the other cells"
        are = "1 label seems" if len(found) == 1 else f"{len(found)} labels seem"
        reading.alarms.append(
            f"{are} to be several, with {separator!r} between them: {_counted(found, cells)}; {advice}"
        )


def _counted(labels: Sequence[str], counts: Counter[str]) -> str:
    return ", ".join(f"{shown(label)!r} ({counts[label]:,})" for label in labels[:3])


def _given_names(value: object) -> dict[int, str] | None:
    """Return label names by number, from a list, a dict, or a file with one name per line or with JSON."""
    if value is None:
        return None
    refuse_set("label_names", value)
    if isinstance(value, str | os.PathLike):
        value = _names_in_file(Path(value).expanduser())
    if isinstance(value, Mapping):
        try:
            names = {int(number): str(name) for number, name in value.items()}
        except (TypeError, ValueError):
            raise UsageError("label_names is a dict whose keys are no whole numbers; pass {0: 'name', ...}") from None
    else:
        try:
            names = dict(enumerate(map(str, value)))  # type: ignore[call-overload]  # checked by the except
        except TypeError:
            raise UsageError(f"label_names is a {type(value).__name__}; pass a list, a dict or a file") from None
    repeated = [name for name, count in Counter(names.values()).items() if count > 1]
    if repeated or not names:
        raise UsageError(f"label_names holds {shown(repeated[0])!r} twice" if repeated else "label_names is empty")
    return names


def _names_in_file(path: Path) -> object:
    content = read_file(path).removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
        if path.name.endswith((".json", ".json.gz")):
            return json.loads(text)
    except ValueError:
        raise DataError(f"{path} is not UTF-8, or not JSON as its name says; correct it") from None
    lines = [line.strip() for line in re.split(r"\r\n?|\n", text.rstrip())]
    if "" in lines:
        raise DataError(
            f"{path}, line {lines.index('') + 1} is blank, and the names after it may belong to other numbers; remove it, or "
            "write a number and a name per line"
        )
    return _numbered(path, lines) or _check_no_header(path, lines)


def _numbered(path: Path, lines: Sequence[str]) -> dict[int, str] | None:
    """Return the names by number if each line has both, perhaps below a header such as "id,name"; else None."""
    for pattern, number, name in (
        (r"(\d{1,9})\s*[\t,;]\s*(.+)", 1, 2),
        (r"(.+?)\s*[\t,;]\s*(\d{1,9})", 2, 1),
        (r"(\d{1,9}) +(.+)", 1, 2),
    ):
        matches = [re.fullmatch(pattern, line) for line in lines]
        if len(lines) > 1 and matches[0] is None and re.search(r"[\t,;]", lines[0]):
            del matches[0]
        found = [(int(match[number]), match[name]) for match in matches if match]
        if not found or len(found) < len(matches):
            continue
        numbers, names = (Counter(column) for column in zip(*found))
        if pattern.endswith(" +(.+)") and len(names) < len(found):
            continue  # "2 stars" and "3 stars" are names: the number alone tells them apart
        (most, count) = numbers.most_common(1)[0]
        if count > 1:
            raise DataError(f"{path}: the number {most} stands before {count} names; give each number one name")
        return dict(found)
    return None


def _check_no_header(path: Path, lines: Sequence[str]) -> Sequence[str]:
    headers = {*LABEL_NAMES, "name", "names", "label_name", "label_names", "0"}
    if len(lines) > 1 and lines[0].lower().strip('"') in headers:
        raise DataError(
            f"{path}, line 1: {shown(lines[0])!r} looks like a header, which would shift all names by one; remove the line, "
            "or write a number and a name per line"
        )
    return lines


# --- the corpus -------------------------------------------------------------------------------------------------------


def _corpus(reading: _Reading, names: list[str] | None, source: object, name: str | None) -> Corpus:
    rows = reading.rows
    report = {
        "rows": reading.counts["rows"],
        "rows_with_repeated_id": reading.counts["rows_with_repeated_id"],
        "rows_without_label": sum(not row.tokens for row in rows),
        "texts_blank": reading.counts["texts_blank"],
        "malformed_lines_skipped": sum(table.bad.skipped for table in reading.tables),
    }
    described = _describe_source(source)
    if rows and names is None and not any(row.tokens for row in rows):
        raise DataError(f"{described}: none of the {len(rows):,} rows has a label; check the column of the labels")
    if not rows and not report["rows"] and not report["malformed_lines_skipped"]:
        raise DataError(f"{described}: there are no rows; give one row per document, below the names of the columns")
    _count_labels_of_splits(reading, report)
    if names is not None:
        without = sorted(set(names) - {str(token) for row in rows for token in row.tokens}, key=names.index)
        if without:
            reading.notes.append(f"{_number(len(without), 'label')} without a document: {_some(without)}")
    label_sets = [[str(token) for token in row.tokens] for row in rows]
    corpus = build_corpus(
        _name_of(source) if name is None else name,
        [row.text for row in rows],
        label_sets,
        [row.id for row in rows],
        report=report,
        source=described,
        label_names=names,
        unlabelled=reading.options.unlabelled or "keep",
        notes=[*reading.notes, *reading.alarms],
    )
    for sentence in reading.alarms:
        warnings.warn(f"{corpus.name}: {sentence}", CorpusWarning, stacklevel=5)
    return corpus


def _count_labels_of_splits(reading: _Reading, report: dict[str, int]) -> None:
    """Count the labels that training lacks, and the texts that stand in several splits."""
    sizes = Counter(row.split for row in reading.rows)
    other = [str(name) for name in sizes if name not in SPLIT_NAMES.values()]
    if reading.options.split_column is not None and other and len(other) < len(sizes):
        rows = ", ".join(f"{shown(name)!r} ({_number(sizes[name], 'row')})" for name in other[:3])
        reading.alarms.append(
            f"a split is called {rows}, not train, validation or test; correct it, or use it by that name"
        )
    if len(sizes) < 2:
        return
    reading.notes.append("documents per split: " + ", ".join(f"{split} {size:,}" for split, size in sizes.items()))
    found: dict[str | None, set[int | str]] = {split: set() for split in sizes}
    texts: dict[str, set[str | None]] = {}
    for row in reading.rows:
        found[row.split].update(row.tokens)
        texts.setdefault(row.text, set()).add(row.split)
    if "train" in found:
        lacking = sorted(str(label) for label in set().union(*found.values()) - found["train"])
        report["labels_not_in_train"] = len(lacking)
        if lacking:
            only = "only in other splits than train; the list of labels keeps them"
            reading.alarms.append(f"{_number(len(lacking), 'label')} {only}: {_some(lacking)}")
    shared = sum(len(splits) > 1 for splits in texts.values())
    report["texts_in_several_splits"] = shared
    _alarm(reading, shared, "text", "in more than one split")


def _alarm(reading: _Reading, count: int, noun: str, sentence: str) -> None:
    if count:
        reading.alarms.append(f"{_number(count, noun)} {sentence}")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(repr(shown(name)) for name in names[:5]) + more
