"""Unfair clauses in terms of service (Galassi et al., 2024): the sentences of 50 companies' terms in English.

Lawyers tagged each sentence with the categories of clauses that it holds, and each tag with a degree: 1 clearly fair, 2
potentially unfair, 3 clearly unfair. Here a sentence carries a category if a tag of degree 2 or 3 gives it. Nine of ten
sentences carry none: they are negatives and stay. The mark "countrym", for what applies in some countries only, is no
category.

The authors' five folds are by company: each company's sentences are the test documents of one fold. Terms of service copy
each other, so some test sentences also stand in training; `Corpus.official_split` leaves them out and counts them.

This is not UNFAIR-ToS of LexGLUE, which has eight categories and another split: results on the two do not compare.

Licence: CC BY 4.0 (Galassi, Lagioia, Jabłonowska and Lippi, Artificial Intelligence and Law, 2024).

The layout is two files per company, `corpus/sentences/en/original/COMPANY.txt` and `corpus/tags/en/original/COMPANY.txt`,
with one sentence and its tags, separated by blanks, on each line; and for each fold a list of the files of its test
companies, `corpus/lists/LIST_TEST_FOLD.txt`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from afl_helpers.data.corpus import Corpus
from afl_helpers.data.reading import MalformedLines, OnError, build_corpus
from afl_helpers.data.sources import download
from afl_helpers.errors import DataError

COMMIT = "04d9878bfca0e1e17e7dd1cf7bd17fc4ce5fcd12"
URL = f"https://github.com/nlp-unibo/Multilingual-Unfair-Clause-Detection/archive/{COMMIT}.tar.gz"
ARCHIVE = "unfair-tos-en.tar.gz"
#: `content_hash` of the lists of the folds, and of the sentences and tags.
LISTS_HASH = "cea20581e732847e92a717c0c87fa0b333b17eb34f9886b961b63d0014144e5c"
CONTENT_HASH = "51f0f224e321b5e424d214905b101c09e9f07d56934b9716051360864a90dbdf"
N_FOLDS = 5
SOURCE = "unfair clauses in the English terms of service of 50 companies (Galassi et al., 2024; CC BY 4.0)"
WHERE_TO_GET = f"get {URL} and put it under unfair-tos/ in the folder that AFL_DATA_DIR names, as {ARCHIVE}"

#: The letters of a tag -> the category.
CATEGORIES = {
    "a": "arbitration",
    "ch": "unilateral change",
    "cr": "content removal",
    "j": "jurisdiction",
    "law": "choice of law",
    "ltd": "limitation of liability",
    "pinc": "privacy included",
    "ter": "unilateral termination",
    "use": "contract by using",
}
NO_CATEGORY = "countrym"
#: Of degree 1, a clause is fair.
UNFAIR_DEGREES = ("2", "3")
LISTS = [f"corpus/lists/LIST_TEST_{fold}.txt" for fold in range(N_FOLDS)]
SENTENCES, TAGS = "corpus/sentences/en/original/", "corpus/tags/en/original/"


def load_unfair_tos(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """Load the corpus from the local data folder; otherwise download it once into the cache. Verify its content.

    Raises:
        MissingFileError: the files are not in the data folder and cannot be downloaded.
        DataError: the files differ from the published ones.
    """
    local = None
    if data_dir is not None:
        folder = data_dir / "unfair-tos"
        places = (folder / ARCHIVE, folder)
        local = next((place for place in places if place.is_file() or (place / "corpus").is_dir()), None)

    def read(names: list[str], expected: str) -> dict[str, bytes]:
        what = "the terms of service"
        return download.published_files(
            local, names, expected, url=URL, file_name=f"unfair-tos/{ARCHIVE}", what=what, instead=WHERE_TO_GET
        )

    lists = read(LISTS, LISTS_HASH)
    companies = read_folds(lists)
    files = read([f"{folder}{company}.txt" for company in companies for folder in (SENTENCES, TAGS)], CONTENT_HASH)
    return read_unfair_tos(files, companies, on_error=on_error)


def read_folds(lists: Mapping[str, bytes]) -> dict[str, int]:
    """Return company -> the number of the fold in whose test part it stands, from 0.

    Raises:
        DataError: a company stands in two folds.
    """
    folds: dict[str, int] = {}
    for fold, name in enumerate(LISTS):
        for file in lists[name].decode("utf-8", "replace").split():
            company = file.removesuffix(".txt")
            if company in folds:
                raise DataError(f"{name}: {company} also stands in fold {folds[company]}; {WHERE_TO_GET}")
            folds[company] = fold
    return folds


def read_unfair_tos(files: Mapping[str, bytes], folds: Mapping[str, int], *, on_error: OnError = "raise") -> Corpus:
    """Read the corpus from its files. The documents are in order of their companies and lines.

    Args:
        files: the content of the files of sentences and tags by name.
        folds: company -> the number of its fold.
        on_error: "raise" stops at an unknown tag or a company whose two files differ in length; "skip" leaves out the
            sentence or the company and counts it.

    Raises:
        DataError: a file is malformed.
    """
    bad = MalformedLines(on_error)
    texts, label_sets, ids, fold_of = [], [], [], []
    degrees: Counter[str] = Counter()
    for company in sorted(folds):
        sentences, tags = (_lines(files[f"{folder}{company}.txt"]) for folder in (SENTENCES, TAGS))
        if len(sentences) != len(tags):
            bad.reject(
                f"{TAGS}{company}.txt", 1, f"tags for {len(tags)} sentences, but the company has {len(sentences)}"
            )
            continue
        for number, (sentence, cell) in enumerate(zip(sentences, tags, strict=True), start=1):
            parsed = [_tag(tag) for tag in cell.split() if tag != NO_CATEGORY]
            if None in parsed:
                bad.reject(f"{TAGS}{company}.txt", number, f"unknown tag in {cell[:40]!r}")
                continue
            pairs = [pair for pair in parsed if pair is not None]
            degrees.update(degree for _, degree in pairs)
            texts.append(" ".join(sentence.split()))
            label_sets.append({category for category, degree in pairs if degree in UNFAIR_DEGREES})
            ids.append(f"{company}-{number}")
            fold_of.append(folds[company])
    report = {
        "companies": len(folds),
        "tags_clearly_fair": degrees["1"],
        "tags_potentially_unfair": degrees["2"],
        "tags_clearly_unfair": degrees["3"],
        "documents_without_label": sum(not labels for labels in label_sets),
        "documents_with_several_labels": sum(len(labels) > 1 for labels in label_sets),
        "malformed_lines_skipped": bad.skipped,
    }
    return build_corpus(
        "unfair-tos",
        texts,
        label_sets,
        ids,
        folds=fold_of,
        report=report,
        source=SOURCE,
        unlabelled="keep",
        notes=[f"malformed lines skipped: {bad.skipped:,}"] if bad.skipped else [],
    )


def _lines(content: bytes) -> list[str]:
    """Return the lines of a file, without the end of the last one."""
    return content.decode("utf-8", "replace").removesuffix("\n").split("\n")


def _tag(tag: str) -> tuple[str, str] | None:
    """Return category and degree of a tag, or None if it is unknown."""
    match = re.fullmatch(r"([a-z]+)([123])", tag)
    return None if match is None or match[1] not in CATEGORIES else (CATEGORIES[match[1]], match[2])
