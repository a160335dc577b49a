"""What a cell of labels holds: names or numbers, as a list or as one string."""

import ast
import html
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

SEPARATOR = "|"
#: What else often separates labels; a space comes last because names of labels hold spaces, too.
OTHER_SEPARATORS = (",", ";", "/", "\n", "\t", " ")
#: What programs write for a missing value.
MISSING_WORDS = {"nan", "null", "none", "<na>", "n/a", "na"}
#: What people write for no label besides.
MISSING_LABELS = MISSING_WORDS | {
    "-",
    "--",
    "\u2013",
    "\u2014",
    "?",
    "no label",
    "no labels",
    "no tag",
    "no tags",
    "unlabeled",
    "unlabelled",
}

#: The labels of one cell: all names, or all numbers.
Tokens: TypeAlias = list[str] | list[int]

_ESCAPE = r"\\[\\'\"abfnrtvxuU0-7]"
_ITEM = re.compile(
    rf'"(?:[^"\\]|{_ESCAPE})*"|' + rf"'(?:[^'\\]|{_ESCAPE})*'" + r"|-?\d{1,18}(?:\.0*)?(?![\w.])", re.DOTALL
)
_CLOSING = {"[": "]", "(": ")", "{": "}"}
#: A set as Python writes it: empty, or a list within.
_EMPTY = ("set()", "frozenset()", "{}")
_SET = re.compile(r"(?:frozen)?set\((.*)\)", re.DOTALL)
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_WITH_SCORE = re.compile(
    r"[^\W\d].*(?:\(\s*[01]?[.,]\d+\s*\)|[:=]\s*[01]?[.,]\d+|\d\s*%\s*\)?)|[01]?[.,]\d+[\s:]+[^\W\d].*", re.DOTALL
)
_ENTITY = re.compile(r"&#?\w{2,31};")
#: A whole number, perhaps with a decimal point and zeros.
_WHOLE = re.compile(r"[0-9]{1,18}(\.0+)?")
_DASHES = re.compile("[\\s_\u2010-\u2015\u2212-]+")


class CellError(ValueError):
    """A cell that cannot be read; the message says what was expected."""


class ColumnError(CellError):
    """A cell that no other row will have right, so that leaving its row out would be no help."""


def read_cell(cell: object, separator: str | None) -> Tokens:
    """Return the labels of a cell: a list of names or of numbers, or a string that holds several.

    Args:
        cell: None, a name, a number, or a list of names or of numbers. A string may be a list as JSON, Python or numpy write
            it.
        separator: what separates the names in a string; None stands for "|", and "" for nothing.

    Raises:
        CellError: the cell holds something else.
        ColumnError: it holds an object.
    """
    if cell is None:
        return []
    if isinstance(cell, str):
        return _read_string(cell, separator)
    if isinstance(cell, np.ndarray | list | tuple | set | frozenset):
        items = sorted(cell, key=str) if isinstance(cell, set | frozenset) else list(cell)
        return _tokens(items, cell)
    if isinstance(cell, bool | np.bool):
        raise CellError(f"expected names or numbers of labels, found {cell}")
    return _tokens([cell], cell)


def _tokens(items: Sequence[object], cell: object) -> Tokens:
    if all(isinstance(item, str) for item in items):
        return [str(item) for item in items if str(item).strip()]
    if any(isinstance(item, Mapping) for item in items):
        raise ColumnError(
            f'the labels are objects, such as {str(items[0])[:40]}; write their names alone, as in ["a", "b"]'
        )
    numbers = [_whole(item) for item in items]
    if any(number is None for number in numbers):
        raise CellError(f"expected a list of strings or of whole numbers, found {str(cell)[:40]!r}")
    return [number for number in numbers if number is not None]


def _whole(item: object) -> int | None:
    if isinstance(item, bool | np.bool | int | np.integer):
        return int(item)
    if isinstance(item, float | np.floating) and float(item).is_integer():
        return int(item)
    return None


def _read_string(cell: str, separator: str | None) -> Tokens:
    stripped = cell.strip()
    if stripped in _EMPTY:
        return []
    as_set = _SET.fullmatch(stripped)
    if as_set and as_set[1][:1] in _CLOSING:
        stripped = as_set[1]
    if stripped[:1] in _CLOSING:
        items = _parse_list(stripped)
        if items is None and _is_dict(stripped):
            raise ColumnError(
                f"expected labels, found a dict, {cell[:40]!r}; write the labels that the document has, as a{SEPARATOR}b"
            )
        if items is not None:
            return _tokens(items, cell)
        if separator is None and stripped[0] == "[" and not re.match(r"\[[^\[\]\"',]*\]", stripped):
            raise CellError(
                f"expected labels as a JSON list of strings, found {cell[:40]!r}; "
                'write a label that begins with a bracket as ["[x"]'
            )
    if separator == "":
        parts = [cell]
    else:
        parts = cell.split() if separator == " " else cell.split(SEPARATOR if separator is None else separator)
    return [part for part in parts if part.strip()]


def _is_dict(text: str) -> bool:
    """Return whether a text is a dict as JSON or Python writes it, with something in it."""
    if not re.match(r"\{\s*['\"]", text):
        return False
    for read in (json.loads, ast.literal_eval):
        try:
            return isinstance(read(text), dict)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return False


def _parse_list(text: str) -> list[object] | None:
    """Return the items of a list as JSON, Python or numpy write it, or None if it is no such list."""
    if text[0] == "[":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return value if isinstance(value, list) else None
    items: list[object] = []
    place, after_item = 1, False
    while place < len(text):
        if text[place] == _CLOSING[text[0]]:
            # A bracket with nothing or numbers alone in it, such as (1984), may be a name.
            listed = text[0] == "[" or (bool(items) and all(isinstance(item, str) for item in items))
            return items if listed and place == len(text) - 1 else None
        if text[place].isspace() or text[place] == ",":
            place, after_item = place + 1, False
            continue
        match = None if after_item else _ITEM.match(text, place)
        if match is None:
            return None
        try:
            items.append(ast.literal_eval(match[0]))
        except (ValueError, SyntaxError):
            return None
        place, after_item = match.end(), True
    return None


# --- the whole column -------------------------------------------------------------------------------------------------


def vector_length(rows: Sequence[Sequence[int]]) -> int | None:
    """Return the length of vectors of 0 and 1, one number per label, or None if the rows are lists of numbers of labels.

    A row may be empty. Three zeros and ones repeat a number, which a list of labels does not; so if most rows are such, the
    other ones are mistakes. Two may be a list: then all rows must be of that length.
    """
    filled = [row for row in rows if row]
    binary = Counter(len(row) for row in filled if all(number in (0, 1) for number in row))
    if not binary:
        return None
    length, count = binary.most_common(1)[0]
    if length > 2 and 2 * count > len(filled) or length == 2 and count == len(filled):
        return length
    return None


def are_numbers(rows: Iterable[Tokens]) -> bool:
    """Return whether all labels are whole numbers from 0, perhaps written as strings."""
    return all(isinstance(token, int) or is_number(token) for row in rows for token in row)


def is_number(token: str) -> bool:
    """Return whether the label is a whole number from 0 in decimal digits."""
    token = token.strip()
    return token.isascii() and token.isdigit() and len(token) < 19


def one_space(label: str) -> str:
    """Return the label without blanks around it, and with single spaces inside."""
    return " ".join(label.split())


def joined_forms(counts: Counter[str]) -> dict[str, str]:
    """Return the name of each label that is also written otherwise: with other Unicode forms or invisible characters.

    The most frequent form is the name; of equally frequent ones, the first in alphabetical order.
    """
    forms = defaultdict(list)
    for label in counts:
        forms[one_space(unicodedata.normalize("NFC", _INVISIBLE.sub("", label)))].append(label)
    names: dict[str, str] = {}
    for group in forms.values():
        if len(group) > 1:
            name = min(group, key=lambda label: (-counts[label], label))
            names.update((label, name) for label in group if label != name)
    return names


def without_point(labels: Iterable[str]) -> dict[str, str]:
    """Return the whole number of each label that is written with a decimal point, such as 2.0.

    A program that joins tables, or that holds missing values, writes the label 2 so. Nothing is returned unless all labels
    are whole numbers.
    """
    every = list(labels)
    if not all(_WHOLE.fullmatch(label) for label in every):
        return {}
    return {label: label.partition(".")[0] for label in every if "." in label}


def similar_labels(labels: Iterable[str]) -> list[list[str]]:
    """Return groups of labels that differ only in case, in blanks, hyphens and underscores, or in Unicode form."""
    groups = defaultdict(list)
    for label in labels:
        groups[_DASHES.sub(" ", unicodedata.normalize("NFKC", label)).casefold().strip()].append(label)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _has_letters(part: str) -> bool:
    return any(map(str.isalnum, part))


def suspected_separator(counts: Counter[str]) -> str | None:
    """Return the separator that single labels seem to hold, or None.

    Args:
        counts: how often each whole cell occurs; no cell was split.

    A separator is suspected if at least half of the different cells that hold it share a part with another cell. Names hold
    spaces, too ("Science Fiction", "Crime Fiction"); for a space, the part must also stand alone or in another place.
    """
    counts = Counter({_ENTITY.sub("&", cell): number for cell, number in counts.items()})  # its ";" separates nothing
    for separator in (SEPARATOR, *OTHER_SEPARATORS):
        parts = {
            cell: cell.split() if separator == " " else [one_space(part) for part in cell.split(separator)]
            for cell in counts
        }
        for found in parts.values():  # a separator may also end the cell, or begin it
            while found and not found[-1]:
                found.pop()
            while found and not found[0]:
                del found[0]
        several = [cell for cell in counts if len(parts[cell]) > 1 and all(map(_has_letters, parts[cell]))]
        places: dict[str, Counter[int]] = defaultdict(Counter)
        for cell in counts:
            alone = len(parts[cell]) == 1
            for place, part in enumerate(parts[cell]):
                places[part][-1 if alone else place] += 1

        def recurs(part: str, place: int, places: dict[str, Counter[int]] = places, sep: str = separator) -> bool:
            return len(places[part]) > 1 if sep == " " else places[part].total() > 1

        shared = [cell for cell in several if any(recurs(part, place) for place, part in enumerate(parts[cell]))]
        if len(shared) >= 2 and 2 * len(shared) >= len(several) and 10 * len(several) >= len(counts):
            return separator
    return None


def joined_labels(counts: Counter[str]) -> dict[str, list[str]]:
    """Return the labels that are other labels with a separator between them, most frequent first, by separator.

    A space separates nothing here: "Science Fiction" may stand beside "Science" and "Fiction".
    """
    known = {one_space(label) for label in counts}
    found: dict[str, list[str]] = {}
    for label, _ in counts.most_common():
        for separator in (SEPARATOR, *OTHER_SEPARATORS):
            parts = [one_space(part) for part in label.split(separator)]
            if separator != " " and len(parts) > 1 and known.issuperset(parts):
                found.setdefault(separator, []).append(label)
                break
    return found


def labels_with_scores(names: Iterable[str]) -> list[str]:
    """Return the names that end in a score, such as "Drama (0.93)" or "Drama:0.93", if there are several of them."""
    found = [name for name in names if _WITH_SCORE.fullmatch(name.rstrip())]
    return found if len(found) > 1 else []


def labels_with_entities(names: Iterable[str]) -> list[str]:
    """Return the names that hold an HTML entity, such as "Drama &amp; Romance"."""
    return [name for name in names if any(html.unescape(found) != found for found in _ENTITY.findall(name))]
