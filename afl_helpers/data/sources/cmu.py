"""The CMU Movie Summary Corpus (Bamman, O'Connor and Smith, ACL 2013), and other files in its layout.

The layout is two files. `movie.metadata.tsv` has nine columns separated by tabs, without header or quoting: Wikipedia id,
Freebase id, title, release date, box office, running time, languages, countries and genres. The last three are JSON
objects from Freebase id to name. `plot_summaries.txt` has a Wikipedia id, a tab and a plot on each line.
"""

import json
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from afl_helpers.data.corpus import Corpus
from afl_helpers.data.reading import MalformedLines, OnError, build_corpus
from afl_helpers.data.sources import download
from afl_helpers.data.sources.download import SourceFile
from afl_helpers.data.sources.wiki_markup import clean_text
from afl_helpers.errors import DataError

METADATA_FILE = "movie.metadata.tsv"
PLOTS_FILE = "plot_summaries.txt"
FOLDER = "MovieSummaries"
ARCHIVE = "MovieSummaries.tar.gz"
N_COLUMNS = 9
ID_DIGITS = 18

URL = "http://www.cs.cmu.edu/~ark/personas/data/MovieSummaries.tar.gz"
GIT_BLOB_HASHES = {
    METADATA_FILE: "3a047d6cd6b5bb551de35ac3e4a003b92a3ea905",
    PLOTS_FILE: "626050f66b20018f983dcfec0ca5dd89370d0b8a",
}
SOURCE = "CMU Movie Summary Corpus (Bamman, O'Connor and Smith, 2013): plots and genres of movies"
WHERE_TO_GET = (
    f"get {ARCHIVE} from {URL} on a machine with internet, and put it under cmu/ in the folder that AFL_DATA_DIR names"
)

#: A file, its content, or its path (which may end in .gz).
FileOrPath: TypeAlias = SourceFile | bytes | str | os.PathLike[str]


class Movie(NamedTuple):
    """The columns of the metadata that are used. `year` is None if the release date has none."""

    movie_id: str
    title: str
    year: int | None
    genres: tuple[str, ...]


def read_cmu(
    metadata: FileOrPath, plots: FileOrPath, *, name: str = "cmu", source: str = SOURCE, on_error: OnError = "raise"
) -> Corpus:
    """Read a corpus in CMU's layout: join plots and genres on the movie id.

    The documents are the plots that are not blank and whose movie has a genre, in the order of the plots. If an id
    repeats, the first row counts. Genres are identified by name, because one name can have two ids. Leftover wiki and
    HTML markup is removed, and each run of white space becomes one space.

    Args:
        metadata, plots: the two files.
        name, source: recorded in the corpus.
        on_error: "raise" stops at a malformed line; "skip" leaves it out and counts it.

    Raises:
        DataError: a line is malformed (the message names file and line), or no document is left.
        MissingFileError: a path cannot be read.
    """
    bad = MalformedLines(on_error)
    report: Counter[str] = Counter()
    movies = read_movies(_source_file(metadata, METADATA_FILE), bad, report)
    genres_of = {movie.movie_id: movie.genres for movie in movies}

    texts, genre_sets, ids = [], [], []
    seen: set[str] = set()
    report.update(dict.fromkeys(PLOT_COUNTS, 0))
    for movie_id, text in _read_plots(_source_file(plots, PLOTS_FILE), bad, report):
        if movie_id in seen:
            report["plots_with_repeated_id"] += 1
            continue
        seen.add(movie_id)
        genres = genres_of.get(movie_id)
        if genres is None:
            report["plots_without_metadata"] += 1
            continue
        report["plots_joined"] += 1
        if not genres:
            report["plots_without_genre"] += 1
            continue
        report["plots_with_genre"] += 1
        cleaned, had_markup = clean_text(text)
        report["texts_with_markup_removed"] += had_markup
        if not cleaned:
            report["texts_blank"] += 1
            continue
        texts.append(cleaned)
        genre_sets.append(genres)
        ids.append(movie_id)
    report["movies_without_plot"] = len(genres_of.keys() - seen)
    report["malformed_lines_skipped"] = bad.skipped
    left_out = {
        "without a genre": "plots_without_genre",
        "without metadata": "plots_without_metadata",
        "with a repeated id": "plots_with_repeated_id",
        "without a text": "texts_blank",
    }
    notes = [f"plots left out {why}: {report[count]:,}" for why, count in left_out.items() if report[count]]
    if bad.skipped:
        notes.append(f"malformed lines skipped: {bad.skipped:,}")
    return build_corpus(name, texts, genre_sets, ids, report=dict(report), source=source, notes=notes)


def _source_file(source: FileOrPath, name: str) -> SourceFile:
    if isinstance(source, SourceFile):
        return source
    if isinstance(source, bytes):
        return SourceFile(name, source)
    return SourceFile(str(source), download.read_file(Path(source)))


# Listed so that a report shows them even if they are 0.
METADATA_COUNTS = (
    "metadata_lines",
    "movies_with_repeated_id",
    "movies",
    "movies_with_genre",
    "movies_without_genre",
    "genres_in_metadata",
    "genre_names_under_several_ids",
)
PLOT_COUNTS = (
    "plot_lines",
    "plots_with_repeated_id",
    "plots_without_metadata",
    "plots_joined",
    "plots_without_genre",
    "plots_with_genre",
    "texts_with_markup_removed",
    "texts_blank",
)


def read_movies(metadata: SourceFile, bad: MalformedLines, report: Counter[str]) -> list[Movie]:
    """Return the rows of the metadata, the first row of each id; add counts to `report` and malformed lines to `bad`."""
    report.update(dict.fromkeys(METADATA_COUNTS, 0))
    movies: dict[str, Movie] = {}
    ids_of_name: defaultdict[str, set[str]] = defaultdict(set)
    parsed: dict[str, tuple[str, ...]] = {}  # the same genres recur in thousands of rows
    for number, line in _lines(metadata, bad, report, "metadata_lines"):
        columns = line.split("\t")
        if len(columns) != N_COLUMNS:
            bad.reject(metadata.name, number, f"expected {N_COLUMNS} columns between tabs, found {len(columns)}")
            continue
        movie_id, title, released, genres = columns[0], columns[2], columns[3], columns[8]
        if not _is_id(movie_id):
            bad.reject(metadata.name, number, f"expected a number as movie id, found {movie_id[:40]!r}")
            continue
        if genres not in parsed:
            by_id = _string_object(genres)
            if by_id is None:
                bad.reject(metadata.name, number, f"expected a JSON object of genre names, found {genres[:40]!r}")
                continue
            names = {genre_id: name.strip() for genre_id, name in by_id.items() if name.strip()}
            for genre_id, name in names.items():
                ids_of_name[name].add(genre_id)
            parsed[genres] = tuple(dict.fromkeys(names.values()))
        if movie_id in movies:
            report["movies_with_repeated_id"] += 1
            continue
        year = released[:4]
        movies[movie_id] = Movie(movie_id, title, int(year) if _is_id(year) else None, parsed[genres])
        report["movies_with_genre" if parsed[genres] else "movies_without_genre"] += 1
    report["movies"] = len(movies)
    report["genres_in_metadata"] = len(ids_of_name)
    report["genre_names_under_several_ids"] = sum(len(ids) > 1 for ids in ids_of_name.values())
    return list(movies.values())


def load_cmu(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """Load the CMU corpus from the local data folder; otherwise download it once into the cache and verify it.

    Local files that differ from the published ones are used with a warning.

    Raises:
        MissingFileError: the plots are not in the data folder and cannot be downloaded.
        DataError: the download does not hold the published files.
    """
    for place in _local_places(data_dir):
        files = find_files(place)
        if PLOTS_FILE in files and METADATA_FILE in files:
            _warn_of_differences(files)
            break
    else:
        files = find_files(fetch_archive())
    return read_cmu(files[METADATA_FILE], files[PLOTS_FILE], on_error=on_error)


def load_layout(path: Path, on_error: OnError = "raise") -> Corpus:
    """Load a corpus from a folder or .tar.gz archive in CMU's layout.

    Raises:
        MissingFileError: one of the two files is missing, or cannot be read.
        DataError: as in `read_cmu`.
    """
    instead = f"a corpus in CMU's layout has {METADATA_FILE} and {PLOTS_FILE}, each also as .gz; of a table, give the path of the file"
    files = download.read_files(path, GIT_BLOB_HASHES, subfolder=FOLDER, instead=instead)
    return read_cmu(
        files[METADATA_FILE],
        files[PLOTS_FILE],
        name=path.name.removesuffix(".tar.gz").removesuffix(".tgz"),
        source=f"files in CMU's layout from {path.name}",
        on_error=on_error,
    )


def find_files(place: Path) -> dict[str, SourceFile]:
    """Read METADATA_FILE and PLOTS_FILE, if present, from a folder (or its subfolder FOLDER) or an archive."""
    return download.find_files(place, GIT_BLOB_HASHES, subfolder=FOLDER)


def local_metadata(data_dir: Path | None) -> SourceFile | None:
    """Return the metadata from the local data folder, even if there are no plots beside it."""
    for place in _local_places(data_dir):
        files = find_files(place)
        if METADATA_FILE in files:
            return files[METADATA_FILE]
    return None


def fetch_archive() -> Path:
    """Return the published archive from the cache, downloaded if it is not there yet, and verified.

    Raises:
        MissingFileError: the download failed.
        DataError: a file in the archive differs from the published one. The archive is then deleted.
    """
    archive = download.fetch(URL, ARCHIVE, instead=f"the plots of the CMU corpus are missing: {WHERE_TO_GET}")
    try:
        files = download.read_members(archive, GIT_BLOB_HASHES)
    except DataError:
        raise DataError(
            f"{archive}, downloaded from {URL}, is not a complete .tar.gz archive; "
            f"{download.discard(archive)}, or {WHERE_TO_GET}"
        ) from None
    for name, expected in GIT_BLOB_HASHES.items():
        actual = download.git_blob_hash(files[name]) if name in files else "no such file"
        if actual != expected:
            raise DataError(
                f"{name} in {archive} has git blob hash {actual} instead of {expected}; "
                f"{download.discard(archive)}, or {WHERE_TO_GET}"
            )
    return archive


def _warn_of_differences(files: Mapping[str, SourceFile]) -> None:
    for name, expected in GIT_BLOB_HASHES.items():
        if download.git_blob_hash(files[name].content) != expected:
            warnings.warn(f"{files[name].name} is not the published {name} of the CMU corpus", stacklevel=3)


def _local_places(data_dir: Path | None) -> list[Path]:
    if data_dir is None:
        return []
    places = (data_dir / "cmu", data_dir / "cmu" / ARCHIVE, data_dir / FOLDER, data_dir / ARCHIVE)
    return [place for place in places if place.exists()]


def _read_plots(plots: SourceFile, bad: MalformedLines, report: Counter[str]) -> Iterator[tuple[str, str]]:
    for number, line in _lines(plots, bad, report, "plot_lines"):
        movie_id, tab, text = line.partition("\t")
        if not tab:
            bad.reject(plots.name, number, "expected a movie id, a tab and a plot, found no tab")
        elif not _is_id(movie_id):
            bad.reject(plots.name, number, f"expected a number as movie id, found {movie_id[:40]!r}")
        else:
            yield movie_id, text


def _lines(file: SourceFile, bad: MalformedLines, report: Counter[str], count: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers from 1; add their number to `report[count]`.

    Only a line feed ends a line: `str.splitlines` would also cut a plot at U+2028 or U+0085.
    """
    for number, line in enumerate(file.content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if not line:
            continue
        report[count] += 1
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            bad.reject(file.name, number, f"byte {error.start + 1} of the line is not UTF-8 ({error.reason})")


_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_id(text: str) -> bool:
    return len(text) <= ID_DIGITS and text.isascii() and text.isdigit()


def _string_object(text: str) -> dict[str, str] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        return None
    # JSON can hold half a surrogate pair such as \ud800, which cannot be written to a file.
    return None if any(map(_SURROGATE.search, value.values())) else value
