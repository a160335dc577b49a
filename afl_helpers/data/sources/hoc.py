"""Hallmarks of Cancer (Baker et al., Bioinformatics 2016): PubMed abstracts, each sentence annotated with hallmarks.

The corpus has 1,852 abstracts. Experts gave each sentence any number of the 37 nodes of a tree, whose roots are the ten
hallmarks. A document carries what one of its sentences carries. 272 documents carry nothing: they are negatives and stay.

Licence: the repository of the corpus is under GPL-3.0, and the abstracts belong to their authors. This package contains
none of its texts and annotations, only the names of the labels: it reads the files from their public address, or from your
folder.

The splits are those of the BLURB benchmark (Gu et al., 2021), by document, from the ids in `hieunguyen7337/KeBioLM`.
BLURB evaluates ten hallmarks per document, as the corpus `hoc` has them. Two test sentences of different abstracts can be
equal, but no document repeats.

The layout is two files per abstract, named by its PubMed id: `text/ID.txt` has one sentence per line, in tokens separated
by blanks; `labels/ID.txt` has for each sentence a "<" and its nodes, joined by "AND". A node is written as the path from
its root, as in "Resisting cell death--Apoptosis". The sign "--" may also end a path, and "NULL" means no node.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from afl_helpers.data.corpus import Corpus
from afl_helpers.data.reading import MalformedLines, OnError, build_corpus
from afl_helpers.data.sources import download
from afl_helpers.data.splits import repeats
from afl_helpers.errors import DataError
from afl_helpers.files import sha256

COMMIT = "3bc6e6deb90cf5bc4f9988c493fe2c32e9b3cf2a"
URL = f"https://github.com/sb895/Hallmarks-of-Cancer/archive/{COMMIT}.tar.gz"
ARCHIVE = "Hallmarks-of-Cancer.tar.gz"
#: `content_hash` of text/ and labels/.
CONTENT_HASH = "bfe5f4b35d4073d32cbdc6d075d51a30c47fb7eeaecc19ea98d5600469f5bf87"
SPLIT_COMMIT = "bc7c3667c786236252ba5b26b3b921197465b7a3"
SPLIT_URL = f"https://raw.githubusercontent.com/hieunguyen7337/KeBioLM/{SPLIT_COMMIT}/data/HoC"
SPLIT_ARCHIVE = "KeBioLM-HoC-split.tar.gz"
SPLIT_SHA256 = {
    "train.tsv": "48352fe9828a63254c9302d5c9a13abe0167a5016dd1143e7f7e47c0348c9a81",
    "dev.tsv": "c0bae75eab5940db8afd3ac620d391661c826fa1428e38d258c9e730f4358b99",
    "test.tsv": "2e9ffe24c756b126efa2d351a9572ebb671a3473658bc0766d02ec80b9129d48",
}
SPLIT_FILES = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}
SOURCE = "Hallmarks of Cancer (Baker et al., 2016): PubMed abstracts, splits of BLURB (repository under GPL-3.0)"
WHERE_TO_GET = (
    f"get {URL} and the files train.tsv, dev.tsv and test.tsv of {SPLIT_URL}, and put them under hoc/ in the folder "
    f"that AFL_DATA_DIR names, the first one as {ARCHIVE}"
)

#: What stands between the names of a path in the tree.
PATH_SIGN = "--"
Unit = Literal["documents", "sentences"]
Level = Literal["hallmarks", "nodes"]


class Abstract(NamedTuple):
    """The sentences of an abstract, and the nodes of each, with all nodes above them."""

    pubmed_id: str
    sentences: tuple[str, ...]
    nodes: tuple[frozenset[str], ...]


def load_hoc(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """Load `hoc`: the abstracts with the ten hallmarks.

    Raises:
        MissingFileError: the files are not in the data folder and cannot be downloaded.
        DataError: the files differ from the published ones.
    """
    return read_hoc(*_find(data_dir), name="hoc", on_error=on_error)


def load_hoc_nodes(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """Load `hoc-nodes`: the abstracts with all 37 nodes of the tree. Raises the errors of `load_hoc`."""
    return read_hoc(*_find(data_dir), name="hoc-nodes", level="nodes", on_error=on_error)


def load_hoc_sentences(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """Load `hoc-sentences`: the sentences with the ten hallmarks. Raises the errors of `load_hoc`."""
    return read_hoc(*_find(data_dir), name="hoc-sentences", unit="sentences", on_error=on_error)


def label_tree(label_names: Iterable[str]) -> dict[str, str]:
    """Return label -> the label above it, for labels that are paths; a label without one above it is left out.

    Example:
        >>> from afl_helpers.data.sources.hoc import label_tree
        >>> label_tree(["Resisting cell death", "Resisting cell death--Apoptosis"])
        {'Resisting cell death--Apoptosis': 'Resisting cell death'}
    """
    names = list(label_names)
    parents = {name: name.rpartition(PATH_SIGN)[0] for name in names}
    return {name: parent for name, parent in parents.items() if parent in names}


def read_hoc(
    files: Mapping[str, bytes],
    split_of: Mapping[str, str],
    *,
    name: str = "hoc",
    unit: Unit = "documents",
    level: Level = "hallmarks",
    on_error: OnError = "raise",
) -> Corpus:
    """Read the corpus from its files.

    Test texts that also stand in training or validation are left out and counted; among the abstracts there are none.
    Documents without a label are kept. Letters that the files write as "\\\\u03b1" are read as the letters they are.

    Args:
        files: the content of text/ID.txt and labels/ID.txt by name.
        split_of: PubMed id -> "train", "validation" or "test"; the documents are in order of their ids.
        name: recorded in the corpus.
        unit: what a document of the corpus is: an abstract or a sentence.
        level: the labels, the ten "hallmarks" or all "nodes" of the tree. A node implies all nodes above it.
        on_error: "raise" stops at an abstract whose files do not fit together; "skip" leaves it out and counts it.

    Raises:
        DataError: the two files of an abstract do not fit together, or a file is not in UTF-8.
    """
    bad = MalformedLines(on_error)
    abstracts = [
        abstract
        for pubmed_id in sorted(split_of, key=lambda number: (len(number), number))
        if (abstract := _abstract(pubmed_id, files, bad)) is not None
    ]
    rows = [row for abstract in abstracts for row in _rows(abstract, unit)]
    subset = [split_of[row_id.partition("_")[0]] for row_id, _, _ in rows]
    texts = [text for _, text, _ in rows]
    repeated = repeats(texts, np.array(subset) == "test")
    kept = np.flatnonzero(~repeated).tolist()
    decoded = [_letters(texts[i]) for i in kept]
    label_sets = [
        rows[i][2] if level == "nodes" else {node for node in rows[i][2] if PATH_SIGN not in node} for i in kept
    ]
    subset = [subset[i] for i in kept]
    labelled = [split for split, labels in zip(subset, label_sets, strict=True) if labels]
    report = {
        "abstracts": len(abstracts),
        "sentences": sum(len(abstract.sentences) for abstract in abstracts),
        **{f"{split}_documents": subset.count(split) for split in SPLIT_FILES.values()},
        **{f"{split}_with_label": labelled.count(split) for split in SPLIT_FILES.values()},
        "documents_without_label": len(subset) - len(labelled),
        "test_texts_also_in_training": int(repeated.sum()),
        "texts_with_letters_decoded": sum(text != texts[i] for i, text in zip(kept, decoded, strict=True)),
        "malformed_lines_skipped": bad.skipped,
    }
    notes = []
    if repeated.any():
        notes.append(f"test {unit} left out whose text also stands in training or validation: {repeated.sum():,}")
    if bad.skipped:
        notes.append(f"malformed abstracts skipped: {bad.skipped:,}")
    return build_corpus(
        name,
        decoded,
        label_sets,
        [rows[i][0] for i in kept],
        subset=subset,
        report=report,
        source=SOURCE,
        unlabelled="keep",
        notes=notes,
    )


# Neither control characters nor halves of a surrogate pair, which are no letters.
_ESCAPE = re.compile(r"\\u(?!00[01]|007f|00[89]|[dD][89a-fA-F])([0-9a-fA-F]{4})")


def _letters(text: str) -> str:
    """Replace written letters by the letters they are, and turn each run of white space into one space."""
    return " ".join(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text).split()) if "\\u" in text else text


def _rows(abstract: Abstract, unit: Unit) -> list[tuple[str, str, frozenset[str]]]:
    """Return id, text and nodes: of the abstract, or of each of its sentences."""
    if unit == "documents":
        return [(abstract.pubmed_id, " ".join(abstract.sentences), frozenset().union(*abstract.nodes))]
    return [
        (f"{abstract.pubmed_id}_s{number}", sentence, nodes)
        for number, (sentence, nodes) in enumerate(zip(abstract.sentences, abstract.nodes, strict=True))
    ]


def _abstract(pubmed_id: str, files: Mapping[str, bytes], bad: MalformedLines) -> Abstract | None:
    names = [f"{folder}/{pubmed_id}.txt" for folder in ("text", "labels")]
    try:
        text, labels = (files[name].decode("utf-8") for name in names)
    except UnicodeDecodeError:
        bad.reject(" and ".join(names), 1, "one of these files is not in UTF-8")
        return None
    sentences = tuple(" ".join(line.split()) for line in text.split("\n") if line.strip())
    before, *cells = labels.split("<")
    if before.strip() or len(cells) != len(sentences):
        bad.reject(names[1], 1, f"labels for {len(cells)} sentences, but {names[0]} has {len(sentences)}")
        return None
    return Abstract(pubmed_id, sentences, tuple(map(_nodes, cells)))


def _nodes(cell: str) -> frozenset[str]:
    """Return the nodes that one sentence was given, and all above them."""
    nodes: set[str] = set()
    for path in cell.split("AND"):
        names = [name.strip() for name in path.split(PATH_SIGN) if name.strip()]
        if names != ["NULL"]:
            nodes.update(PATH_SIGN.join(names[: depth + 1]) for depth in range(len(names)))
    return frozenset(nodes)


def read_split(content: bytes, file: str) -> list[str]:
    """Return the PubMed ids of a split's table, whose last column is PubMed id, "_s" and the number of the sentence.

    Raises:
        DataError: a row has another form.
    """
    ids: dict[str, None] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").strip("\n").split("\n")[1:], start=2):
        match = re.fullmatch(r"(\d{1,9})_s\d+", line.rpartition("\t")[2])
        if match is None:
            raise DataError(
                f"{file}, line {number}: the last column is no PubMed id with a sentence; get the file again"
            )
        ids[match[1]] = None
    return list(ids)


def _find(data_dir: Path | None) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the verified files of the corpus, and the split of each PubMed id."""
    folder = None if data_dir is None else data_dir / "hoc"
    tables = _split_tables(folder)
    split_of = {pubmed_id: split for file, split in SPLIT_FILES.items() for pubmed_id in read_split(tables[file], file)}
    names = [f"{kind}/{pubmed_id}.txt" for pubmed_id in split_of for kind in ("text", "labels")]
    local = None
    if folder is not None:
        places = (folder / ARCHIVE, folder)
        local = next((place for place in places if place.is_file() or (place / "labels").is_dir()), None)
    files = download.published_files(
        local,
        names,
        CONTENT_HASH,
        url=URL,
        file_name=f"hoc/{ARCHIVE}",
        what="the abstracts of Hallmarks of Cancer",
        instead=WHERE_TO_GET,
    )
    return files, split_of


def _split_tables(folder: Path | None) -> dict[str, bytes]:
    for place in () if folder is None else (folder / SPLIT_ARCHIVE, folder):
        if place.is_file() or (place / "train.tsv").is_file():
            files = download.read_files(place, SPLIT_SHA256, instead=WHERE_TO_GET)
            for name, file in files.items():
                if difference := _difference(name, file.content):
                    raise DataError(f"{file.name} {difference}; {WHERE_TO_GET}")
            return {name: file.content for name, file in files.items()}
    tables = {}
    for name in SPLIT_SHA256:
        instead = f"the splits of Hallmarks of Cancer are missing: {WHERE_TO_GET}"
        path = download.fetch(f"{SPLIT_URL}/{name}", f"hoc/{name}", instead=instead)
        tables[name] = download.read_file(path)
        if difference := _difference(name, tables[name]):
            raise DataError(f"{path} {difference}; {download.discard(path)}, or {WHERE_TO_GET}")
    return tables


def _difference(name: str, content: bytes) -> str | None:
    """Return in words how a table differs from the published one, or None if it does not."""
    found = sha256(content)
    return None if found == SPLIT_SHA256[name] else f"has SHA-256 {found} instead of {SPLIT_SHA256[name]}"
