"""Checks of the texts: repeated and nearly equal ones, leakage between splits, encoding, markup, blanks."""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.data import Corpus
from afl_helpers.doctor.finding import Finding, excerpt, number, percent
from afl_helpers.doctor.near_duplicates import nearly_equal, same_words

#: What the reader of a table counts -> the words for it, one and several.
_LOST = {
    "texts_blank": ("row has a blank text and is left out", "rows have a blank text and are left out"),
    "malformed_lines_skipped": ("malformed line is skipped", "malformed lines are skipped"),
}
#: A closing tag, a line break or a tag with an attribute; in news, <B> alone is the ticker of a company.
_TAG = re.compile(r"</[a-z][a-z0-9]*>|<[bh]r\s*/?>|<[a-z][a-z0-9]*\s+[a-z-]+\s*=[^<>]*>", re.I)
_ENTITY = re.compile(r"&(?:amp|quot|lt|gt|nbsp|apos|#\d{2,5}|#x[0-9a-f]{2,5});", re.I)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]{2,}")
#: What misread UTF-8 most often stands for: Latin letters with accents, Greek, Cyrillic, punctuation, the euro sign.
_LIKELY = re.compile("[\u00a0-\u017f\u0370-\u04ff\u2010-\u203a\u20ac\u2122]")
#: Characters of no text: control characters, among them what cp1252 read as Latin-1 leaves.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: A text below this number of words says little about its labels.
SHORT = 3


def check_texts(corpus: Corpus) -> Iterator[Finding]:
    """Yield what the texts show."""
    yield from _lost_rows(corpus)
    equal, near = same_words(corpus.texts), nearly_equal(corpus.texts)
    yield from _repeated(corpus, equal, near)
    yield from _leakage(corpus, equal, near)
    yield from _encoding(corpus)
    yield from _markup(corpus)
    yield from _short(corpus)


def _lost_rows(corpus: Corpus) -> Iterator[Finding]:
    rows = max(corpus.report.get("rows", 0), 1)
    for name, words in _LOST.items():
        count = corpus.report.get(name, 0)
        if count and "rows" in corpus.report:
            yield Finding(name, "fix", f"{number(count, *words)}.", "Correct the table.", share=count / rows)
    count = corpus.report.get("rows_with_repeated_id", 0)
    if count:
        yield Finding(
            "repeated_ids",
            "check",
            f"{number(count, 'row has', 'rows have')} an id that an earlier row has.",
            "If the column numbers something else, such as users, rename it; if rows stand twice, remove them.",
            share=count / rows,
        )


def _repeated(corpus: Corpus, equal: NDArray[np.int64], near: NDArray[np.int64]) -> Iterator[Finding]:
    n = max(len(corpus), 1)
    counts = np.bincount(equal)
    repeats = int(len(corpus) - counts.size)
    if repeats:
        most = int(counts.argmax())
        text = corpus.texts[int(np.flatnonzero(equal == most)[0])]
        yield Finding(
            "repeated_texts",
            "check",
            f"{number(repeats, 'document has', 'documents have')} the words of an earlier one ({percent(repeats / n)}).",
            "Remove repeats that are not meant; they count several times in training and in every metric.",
            (f"{excerpt(text)!r} ({counts[most]:,} times)",),
            repeats / n,
        )
    yield from _conflicts(corpus, equal)
    distinct, first = np.unique(equal, return_index=True)
    groups = near[first]
    sizes = np.bincount(groups, minlength=distinct.size)
    close = int(np.sum(sizes[sizes > 1] - 1))
    if close:
        group = int(sizes.argmax())
        one, other = first[groups == group][:2]
        yield Finding(
            "nearly_equal_texts",
            "check",
            f"{number(close, 'text differs', 'texts differ')} from another one in a few words only ({percent(close / n)}).",
            "`split` keeps equal texts in one split, but not nearly equal ones: remove one of each pair, or give splits "
            "that keep them together.",
            (f"{excerpt(corpus.texts[one])!r} and {excerpt(corpus.texts[other])!r}",),
            close / n,
        )


def _conflicts(corpus: Corpus, equal: NDArray[np.int64]) -> Iterator[Finding]:
    rows = sparse.csr_array(corpus.labels)
    rows.sort_indices()
    labels_of: dict[int, set[bytes]] = {}
    for document, group in enumerate(equal.tolist()):
        own = rows.indices[rows.indptr[document] : rows.indptr[document + 1]].tobytes()
        labels_of.setdefault(group, set()).add(own)
    conflicting = [group for group, found in labels_of.items() if len(found) > 1]
    if conflicting:
        one, other = _two_that_differ(rows, np.flatnonzero(equal == conflicting[0]))
        named = [
            ", ".join(
                corpus.label_names[c] for c in rows.indices[rows.indptr[document] : rows.indptr[document + 1]][:4]
            )
            for document in (one, other)
        ]
        yield Finding(
            "conflicting_labels",
            "check",
            f"{number(len(conflicting), 'text stands', 'texts stand')} several times, with different labels.",
            "Decide on one set of labels for each, or join the sets.",
            (f"{excerpt(corpus.texts[one], 50)!r}: {named[0] or 'no label'!s} and {named[1] or 'no label'!s}",),
            len(conflicting) / len(corpus),
        )


def _two_that_differ(rows: sparse.csr_array, documents: NDArray[np.int64]) -> tuple[int, int]:
    def labels(document: int) -> list[int]:
        found: list[int] = rows.indices[rows.indptr[document] : rows.indptr[document + 1]].tolist()
        return found

    first = int(documents[0])
    return first, next(int(other) for other in documents[1:] if labels(int(other)) != labels(first))


def _leakage(corpus: Corpus, equal: NDArray[np.int64], near: NDArray[np.int64]) -> Iterator[Finding]:
    """Find documents of validation or test whose text, or nearly that text, is in training."""
    if corpus.subset is None:
        return
    subset = np.array(corpus.subset)
    trained = subset == "train"
    for split in ("validation", "test"):
        own = subset == split
        same = own & np.isin(equal, equal[trained])
        close = own & np.isin(near, near[trained]) & ~same
        count = int(same.sum() + close.sum())
        if count:
            example = int(np.flatnonzero(same if same.any() else close)[0])
            yield Finding(
                f"leakage_{split}",
                "fix",
                f"{number(count, f'{split} document is', f'{split} documents are')} in training, too: "
                f"{int(same.sum()):,} with the same words, {int(close.sum()):,} nearly equal ({percent(count / own.sum())} "
                f"of {split}).",
                f"Take them out of training; metrics on {split} are too high with them.",
                (repr(excerpt(corpus.texts[example])),),
                count / own.sum(),
            )


def _encoding(corpus: Corpus) -> Iterator[Finding]:
    misread = [text for text in corpus.texts if misread_utf8(text)]
    if misread:
        found = misread_utf8(misread[0]) or ""
        yield Finding(
            "misread_encoding",
            "fix",
            f"{number(len(misread), 'text looks', 'texts look')} like UTF-8 that was read in another encoding.",
            "Export the table again as UTF-8, and read it as such (encoding='utf-8', --encoding utf-8).",
            (f"{found!r} for {_repaired(found)!r} in {excerpt(misread[0], 50)!r}",),
            len(misread) / len(corpus),
        )
    for kind, words, signs in (
        ("lost_characters", "the sign \ufffd of a character that was lost", re.compile("\ufffd")),
        ("control_characters", "control characters", _CONTROL),
    ):
        texts = [text for text in corpus.texts if signs.search(text)]
        if texts:
            yield Finding(
                kind,
                "fix" if kind == "lost_characters" else "check",
                f"{number(len(texts), 'text holds', 'texts hold')} {words}.",
                "Export the table again, with the encoding that it was written in.",
                (repr(_around(texts[0], signs)),),
                len(texts) / len(corpus),
            )


def _around(text: str, signs: re.Pattern[str]) -> str:
    """Return the words around the first place that matches."""
    match = signs.search(text)
    start = max(0, match.start() - 25) if match else 0
    return ("…" if start else "") + excerpt(text[start:], 60)


def misread_utf8(text: str) -> str | None:
    """Return the first characters of a text that are UTF-8 read as cp1252 or Latin-1, or None.

    Example:
        >>> from afl_helpers.doctor.texts import misread_utf8
        >>> misread_utf8("a cafÃ© in Paris"), misread_utf8("a café «in» Paris")
        ('Ã©', None)
    """
    for run in _NOT_ASCII.findall(text):
        if _repaired(run) is not None:
            return str(run)
    return None


def _repaired(run: str) -> str | None:
    for encoding in ("cp1252", "latin-1"):
        try:
            repaired = run.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if _LIKELY.search(repaired):
            return repaired
    return None


def _markup(corpus: Corpus) -> Iterator[Finding]:
    found = [text for text in corpus.texts if _TAG.search(text) or _ENTITY.search(text)]
    if found:
        match = _TAG.search(found[0]) or _ENTITY.search(found[0])
        yield Finding(
            "markup",
            "check",
            f"{number(len(found), 'text holds', 'texts hold')} HTML tags or entities ({percent(len(found) / len(corpus))}).",
            "Remove the markup, and write entities such as &amp; as characters.",
            (f"{match[0]!r} in {excerpt(found[0], 50)!r}" if match else "",),
            len(found) / len(corpus),
        )


def _short(corpus: Corpus) -> Iterator[Finding]:
    short = [text for text in corpus.texts if len(text.split()) < SHORT and len(text) < 12]
    if len(short) > len(corpus) / 100:
        yield Finding(
            "short_texts",
            "check",
            f"{number(len(short), 'text has', 'texts have')} fewer than {SHORT} words ({percent(len(short) / len(corpus))}).",
            "Check that the column of the texts is the right one, and that nothing was cut off.",
            tuple(repr(excerpt(text)) for text in short[:3]),
            len(short) / len(corpus),
        )
