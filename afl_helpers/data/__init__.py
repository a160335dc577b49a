"""Corpora: texts with several labels each, from public sources or from your own files.

>>> from afl_helpers.data import load_corpus
>>> corpus = load_corpus("toy")
>>> train, validation, test = corpus.split(0.8, 0.1, 0.1, seed=0)
"""

import os
from collections.abc import Callable
from pathlib import Path

from afl_helpers.data import own_files
from afl_helpers.data.corpus import Corpus
from afl_helpers.data.reading import MalformedLines, OnError
from afl_helpers.data.sources import cmu, cmu_leads, reuters, toy
from afl_helpers.data.sources.download import local_data_dir
from afl_helpers.errors import MissingFileError, UsageError, unknown_name

__all__ = ["CORPORA", "Corpus", "load_corpus"]

#: The corpora by name, each with a description.
CORPORA = {
    "toy": "embedded: generated plots with the genre statistics of the CMU corpus",
    "cmu": "the CMU Movie Summary Corpus: 41,793 plots, 363 genres",
    "cmu-leads": "the CMU genres on 19,075 leads of Wikipedia articles",
    "cmu-leads-masked": "cmu-leads with all genre words masked",
    "reuters": "Reuters-21578, ModApte: 10,789 stories, 90 topics, with an official split",
}
TABLE_ENDINGS = (".csv", ".jsonl")
ARCHIVE_ENDINGS = (".tar.gz", ".tgz")


def load_corpus(
    name: str | os.PathLike[str] = "toy",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    on_error: OnError = "raise",
) -> Corpus:
    """Load a corpus by its name, or from your own files.

    Args:
        name: "toy", "cmu", "cmu-leads", "cmu-leads-masked" or "reuters"; or the path of a folder or .tar.gz archive in
            CMU's layout (movie.metadata.tsv and plot_summaries.txt, each also as .gz); or the path of a .csv or .jsonl
            file with the columns text and labels.
        data_dir: the folder with local copies of the public archives; by default the folder that the environment variable
            AFL_DATA_DIR names. What it lacks is downloaded once into the user's cache folder, or into AFL_CACHE_DIR.
        on_error: how to treat a malformed line: "raise" an error that names file and line, or "skip" and count it.

    Raises:
        UsageError: the name is unknown.
        MissingFileError: a file does not exist and cannot be downloaded.
        DataError: a file has wrong content.
        StorageError: the cache folder cannot be written.
        MissingExtraError: a download needs a package that is not installed.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> load_corpus("toy")
        Corpus('toy', 2,400 documents, 28 labels)
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(
            f"load_corpus takes a name or a path, not a {type(name).__name__}; write a data frame to a .csv with the "
            "columns text and labels, or build a Corpus"
        )
    MalformedLines(on_error)  # checks the argument before a download starts
    if name == "toy":
        return _load_toy(on_error)
    loaders: dict[str, Callable[[Path | None, OnError], Corpus]] = {
        "cmu": cmu.load_cmu,
        "cmu-leads": cmu_leads.load_leads,
        "cmu-leads-masked": cmu_leads.load_masked_leads,
        "reuters": reuters.load_reuters,
    }
    if name in loaders:
        return loaders[name](local_data_dir(data_dir), on_error)
    return _load_path(name, on_error)


def _load_toy(on_error: OnError) -> Corpus:
    files = toy.toy_files()
    return cmu.read_cmu(
        files[cmu.METADATA_FILE],
        files[cmu.PLOTS_FILE],
        name="toy",
        source="generated texts with the real genre statistics of the CMU corpus; not real plots",
        on_error=on_error,
    )


def _load_path(name: str | os.PathLike[str], on_error: OnError) -> Corpus:
    path = Path(name).expanduser()
    known_ending = path.name.endswith((*TABLE_ENDINGS, *ARCHIVE_ENDINGS))
    if not path.exists():
        if known_ending or len(path.parts) > 1 or isinstance(name, os.PathLike):
            raise MissingFileError(f"there is no file or folder {path}; check the path")
        raise UsageError(
            f"{unknown_name('corpus', name, CORPORA)}; or give the path of a folder, a .tar.gz archive, "
            "a .csv or a .jsonl file"
        )
    if path.name.endswith(TABLE_ENDINGS):
        return own_files.read_table(path, on_error=on_error)
    if path.is_dir() or path.name.endswith(ARCHIVE_ENDINGS):
        return cmu.load_layout(path, on_error)
    raise UsageError(f"cannot tell what {path} is from its name; give a folder, a .tar.gz, a .csv or a .jsonl file")
