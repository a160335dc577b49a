"""Your own data: a .csv or .jsonl file with a text and its labels in each row."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from afl_helpers.data.corpus import Corpus
from afl_helpers.data.reading import MalformedLines, OnError, build_corpus
from afl_helpers.data.sources.download import SourceFile, read_file
from afl_helpers.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader  # the type of csv.reader's result has no public name

SEPARATOR = "|"
HALF_A_PAIR = "half a surrogate pair is not a character"
_SURROGATE = re.compile("[\ud800-\udfff]")
CELL_LIMIT = 2**27  # characters; the csv module's default of 131,072 is too low for long texts

#: Id (None if there is none), text and labels of a row.
Row: TypeAlias = tuple[str | None, str, list[str]]


def read_table(path: Path, *, on_error: OnError = "raise") -> Corpus:
    """Read a table with the columns text and labels, and optionally id.

    A .csv file has a header; its labels are separated by "|" or given as a JSON list. Each line of a .jsonl file is an
    object whose labels are a list of strings. Files are in UTF-8. Without ids, rows are numbered from 1. Rows with a blank
    text, without a label or with a repeated id are left out and counted.

    Raises:
        DataError: a row is malformed (the message names file and line), or none is left.
        MissingFileError: the file cannot be read.
    """
    bad = MalformedLines(on_error)
    file = SourceFile(str(path), read_file(path).removeprefix(b"\xef\xbb\xbf"))
    rows = _csv_rows if path.suffix == ".csv" else _jsonl_rows
    report = dict.fromkeys(("rows", "rows_with_repeated_id", "rows_without_label", "texts_blank"), 0)
    texts, label_sets, ids = [], [], []
    seen: set[str] = set()
    for row_id, text, labels in rows(file, bad):
        report["rows"] += 1
        row_id = str(report["rows"]) if row_id is None else row_id
        text = " ".join(text.split())
        names = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
        if row_id in seen:
            report["rows_with_repeated_id"] += 1
        elif not text:
            report["texts_blank"] += 1
        elif not names:
            report["rows_without_label"] += 1
        else:
            texts.append(text)
            label_sets.append(names)
            ids.append(row_id)
        seen.add(row_id)
    report["malformed_lines_skipped"] = bad.skipped
    return build_corpus(path.stem, texts, label_sets, ids, report=report, source=f"the file {path.name}")


def _csv_rows(file: SourceFile, bad: MalformedLines) -> Iterator[Row]:
    text = file.content.decode("utf-8", "surrogateescape")  # so that a bad byte spoils only its own row
    limit = csv.field_size_limit(CELL_LIMIT)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        for column in ("text", "labels"):
            if header.count(column) != 1:
                raise DataError(
                    f"{file.name}, line 1: expected a header with one column named {column!r}, found {str(header)[:80]}; "
                    "name the columns text, labels and, if there is one, id"
                )
        yield from _csv_body(reader, header, bad, file.name)
    except csv.Error as error:
        # After a broken quote nobody knows where the next row starts, so there is nothing to skip to.
        raise DataError(f"{file.name}, line {reader.line_num}: {error}; correct the quoting") from None
    finally:
        csv.field_size_limit(limit)


def _csv_body(reader: "Reader", header: list[str], bad: MalformedLines, file: str) -> Iterator[Row]:
    line = reader.line_num + 1  # a row starts after the last line of the previous row
    for row in reader:
        start, line = line, reader.line_num + 1
        if not row:
            continue
        if len(row) != len(header):
            bad.reject(file, start, f"expected {len(header)} columns, found {len(row)}")
            continue
        if any(map(_SURROGATE.search, row)):
            bad.reject(file, start, "a byte is not UTF-8")
            continue
        cells = dict(zip(header, row, strict=True))
        labels = cells["labels"].split(SEPARATOR)
        if cells["labels"].lstrip().startswith("["):
            parsed = _parsed(cells["labels"])
            if not _is_string_list(parsed):
                bad.reject(file, start, f"expected labels as a JSON list of strings, found {cells['labels'][:40]!r}")
                continue
            if any(map(_SURROGATE.search, parsed)):
                bad.reject(file, start, HALF_A_PAIR)
                continue
            labels = parsed
        yield cells.get("id"), cells["text"], labels


def _jsonl_rows(file: SourceFile, bad: MalformedLines) -> Iterator[Row]:
    for number, line in enumerate(file.content.split(b"\n"), start=1):
        if not line.strip():
            continue
        row = _parsed(line)
        if not isinstance(row, dict):
            bad.reject(file.name, number, f"expected a JSON object in UTF-8, found {line[:40].decode('latin-1')!r}")
            continue
        row_id, text, labels = row.get("id"), row.get("text"), row.get("labels")
        if not isinstance(text, str):
            bad.reject(file.name, number, 'expected a string under "text"')
        elif not _is_string_list(labels):
            bad.reject(file.name, number, 'expected a list of strings under "labels"')
        elif not isinstance(row_id, str | int | None):
            bad.reject(file.name, number, 'expected a string or a number under "id"')
        elif any(map(_SURROGATE.search, [text, *labels, str(row_id)])):
            bad.reject(file.name, number, HALF_A_PAIR)
        else:
            yield None if row_id is None else str(row_id), text, labels


def _parsed(text: str | bytes) -> object:
    """Return the JSON value, or None if it does not parse."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # bytes that are not UTF-8 raise a ValueError as well
        return None


def _is_string_list(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
