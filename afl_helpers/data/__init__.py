"""Corpora: texts with several labels each, from public sources or from your own files.

>>> from afl_helpers.data import load_corpus
>>> corpus = load_corpus("toy")
>>> train, validation, test = corpus.split(0.8, 0.1, 0.1, seed=0)
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack, overload

from afl_helpers.data import own_files
from afl_helpers.data.card import data_card
from afl_helpers.data.corpus import Corpus, Unlabelled, check_unlabelled
from afl_helpers.data.reading import CorpusWarning, MalformedLines, OnError
from afl_helpers.data.sources import cmu, cmu_leads, hoc, reuters, toy, unfair_tos
from afl_helpers.data.sources.download import local_data_dir
from afl_helpers.data.table_files import is_dataset_folder
from afl_helpers.errors import MissingFileError, UsageError, unknown_name

__all__ = ["CORPORA", "Corpus", "CorpusWarning", "data_card", "load_corpus"]

#: The corpora by name, each with a description.
CORPORA = {
    "toy": "embedded: generated plots with the genre statistics of the CMU corpus",
    "cmu": "the CMU Movie Summary Corpus: 41,793 plots, 363 genres",
    "cmu-leads": "the CMU genres on 19,075 leads of Wikipedia articles",
    "cmu-leads-masked": "cmu-leads with all genre words masked",
    "reuters": "Reuters-21578, ModApte: 10,789 stories, 90 topics, with an official split",
    "hoc": "Hallmarks of Cancer: 1,852 PubMed abstracts, 10 hallmarks, with an official split",
    "hoc-nodes": "hoc with all 37 nodes of the tree of hallmarks",
    "hoc-sentences": "the 17,458 sentences of hoc, 10 hallmarks, with an official split",
    "unfair-tos": "unfair clauses in terms of service: 17,383 sentences, 9 categories, with five official folds",
}
ARCHIVE_ENDINGS = (".tar.gz", ".tgz")


class _Options(TypedDict, total=False):
    """The options of `load_corpus` that change nothing about the type of what it returns."""

    text: str | int | None
    labels: str | int | Sequence[str | int] | None
    separator: str | None
    delimiter: str | None
    encoding: str | None
    label_names: Sequence[str] | Mapping[int, str] | str | os.PathLike[str] | None
    unlabelled: Unlabelled | None
    ids: str | int | None
    data_dir: str | os.PathLike[str] | None
    on_error: OnError


@overload
def load_corpus(name: Mapping[str, object], **options: Unpack[_Options]) -> dict[str, Corpus]: ...
@overload
def load_corpus(
    name: str | os.PathLike[str], *, split_column: str, **options: Unpack[_Options]
) -> dict[str, Corpus]: ...
@overload
def load_corpus(name: str | os.PathLike[str] = "toy", **options: Unpack[_Options]) -> Corpus: ...
def load_corpus(
    name: str | os.PathLike[str] | Mapping[str, object] = "toy",
    *,
    text: str | int | None = None,
    labels: str | int | Sequence[str | int] | None = None,
    separator: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    label_names: Sequence[str] | Mapping[int, str] | str | os.PathLike[str] | None = None,
    unlabelled: Unlabelled | None = None,
    split_column: str | None = None,
    ids: str | int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    on_error: OnError = "raise",
) -> Corpus | dict[str, Corpus]:
    """Load a corpus by its name, or from your own files.

    Args:
        name: one of:

            - a name of `CORPORA`: "toy", "cmu", "cmu-leads", "cmu-leads-masked", "reuters", "hoc", "hoc-nodes",
              "hoc-sentences" or "unfair-tos";
            - the path of a table: .csv, .tsv, .txt, .jsonl or .json, each also as .gz, or .parquet;
            - the path of a folder that `save_to_disk` of datasets wrote;
            - the path of a folder or .tar.gz archive in CMU's layout (movie.metadata.tsv and plot_summaries.txt, each also
              as .gz);
            - a dict of such tables, data frames or datasets by the name of their split.
        text: the column of the texts. Columns are guessed from their names where one guess is possible. Numbers, from 0,
            name the columns of a file without a header.
        labels: the column of the labels, or a list with one column of 0 and 1 per label. A cell holds names or numbers of
            labels: a list (also as JSON, Python or numpy write one), a vector of 0 and 1, or a string. A single column of
            0 and 1 that is called by the name of a label is one label, unless you pass label_names.
        separator: what separates the labels in a string: "|" by default, " " for any blanks, "" for nothing.
        delimiter: what separates the columns of a text file; by default a tab in .tsv, else what the first line suggests.
        encoding: the encoding of a text file, such as "cp1252"; UTF-8 by default.
        label_names: the labels in order, where cells hold numbers or the list is fixed: a list, a dict by number, or a file
            with one name per line, with a number and a name per line, or with JSON.
        unlabelled: whether to "keep" or "drop" documents without a label. Your own tables keep them by default; the
            published corpora of films and news are without them, the others keep them.
        split_column: the column that names the split of each row.
        ids: the column of the document ids; by default the one called id, else rows are numbered from 1.
        data_dir: the folder with local copies of the public archives; by default the folder that the environment variable
            AFL_DATA_DIR names. What it lacks is downloaded once into the user's cache folder, or into AFL_CACHE_DIR.
        on_error: how to treat a malformed line: "raise" an error that names file and line, or "skip" and count it.

    Returns:
        A corpus. For a dict or a split column, a dict with one corpus per split; all have the same labels. What was read,
        joined or left out stands in `Corpus.describe()`; what may lose or misread data is also a `CorpusWarning`.

    Raises:
        UsageError: the name is unknown, or an option does not fit.
        MissingFileError: a file does not exist and cannot be downloaded.
        DataError: a file has wrong content.
        StorageError: the cache folder cannot be written.
        MissingExtraError: a download or a file needs a package that is not installed.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> load_corpus("toy")
        Corpus('toy', 2,400 documents, 28 labels)
    """
    options = own_files.TableOptions(
        text, labels, separator, delimiter, encoding, label_names, unlabelled, split_column, ids, on_error
    )
    MalformedLines(on_error)  # checks the argument before a download starts
    if isinstance(name, Mapping):
        return own_files.read_splits(options, name)
    if not isinstance(name, str | os.PathLike):
        raise UsageError(
            f"load_corpus takes a name, a path or a dict of splits, not a {type(name).__name__}; "
            "use Corpus.from_frame or Corpus.from_dataset"
        )
    if name == "":
        raise UsageError("the name of the corpus is empty; pass a name, or the path of a table, a folder or an archive")
    if name in CORPORA:
        given = options.given()
        if given:
            raise UsageError(f"{given[0]} is an option for tables of your own; {name!r} is read without it")
        corpus = _load_named(str(name), data_dir, on_error)
        if unlabelled is not None:
            check_unlabelled(unlabelled)
            corpus = replace(corpus, unlabelled=unlabelled)
        return corpus
    path = _existing_path(name)
    if path.is_dir() and not is_dataset_folder(path) or path.name.endswith(ARCHIVE_ENDINGS):
        given = options.given()
        if given:
            raise UsageError(f"{given[0]} is an option for tables; {path} is read in CMU's layout, without it")
        return cmu.load_layout(path, on_error)
    if split_column is not None:
        return own_files.read_splits(options, path)
    return own_files.read_corpus(options, path)


def _load_named(name: str, data_dir: str | os.PathLike[str] | None, on_error: OnError) -> Corpus:
    if name == "toy":
        return _load_toy(on_error)
    loaders: dict[str, Callable[[Path | None, OnError], Corpus]] = {
        "cmu": cmu.load_cmu,
        "cmu-leads": cmu_leads.load_leads,
        "cmu-leads-masked": cmu_leads.load_masked_leads,
        "reuters": reuters.load_reuters,
        "hoc": hoc.load_hoc,
        "hoc-nodes": hoc.load_hoc_nodes,
        "hoc-sentences": hoc.load_hoc_sentences,
        "unfair-tos": unfair_tos.load_unfair_tos,
    }
    return loaders[name](local_data_dir(data_dir), on_error)


def _existing_path(name: str | os.PathLike[str]) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        if path.suffix or len(path.parts) > 1 or isinstance(name, os.PathLike):  # no corpus has a dot in its name
            raise MissingFileError(f"there is no file or folder {path}; check the path")
        raise UsageError(
            f"{unknown_name('corpus', name, CORPORA)}; or give the path of a table, a folder or an archive"
        )
    return path


def _load_toy(on_error: OnError) -> Corpus:
    files = toy.toy_files()
    return cmu.read_cmu(
        files[cmu.METADATA_FILE],
        files[cmu.PLOTS_FILE],
        name="toy",
        source="generated texts with the real genre statistics of the CMU corpus; not real plots",
        on_error=on_error,
    )
