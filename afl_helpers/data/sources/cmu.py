"""The CMU Movie Summary Corpus (Bamman, O'Connor and Smith, ACL 2013), and anything in its file layout.

The layout is two files. `movie.metadata.tsv` has nine columns between tabs, without header or quoting:
Wikipedia id, Freebase id, title, release date, box office, running time, languages, countries and genres, the
last three as JSON objects from Freebase id to name. `plot_summaries.txt` has a Wikipedia id, a tab and a plot
on each line.
"""

import html
import json
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from afl_helpers.data.corpus import Corpus, MalformedLines, OnError, build_corpus
from afl_helpers.data.sources import download
from afl_helpers.errors import DataError, MissingFileError

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


class Movie(NamedTuple):
    """A row of the metadata, as far as it is used. `year` is None where the release date has none."""

    movie_id: str
    title: str
    year: int | None
    genres: tuple[str, ...]


def read_cmu(
    metadata: bytes | str | os.PathLike,
    plots: bytes | str | os.PathLike,
    *,
    name: str = "cmu",
    source: str = SOURCE,
    on_error: OnError = "raise",
    metadata_name: str = METADATA_FILE,
    plots_name: str = PLOTS_FILE,
) -> Corpus:
    """Join plots and genres on the movie id.

    Documents are the plots that have a movie with a genre and a text that is not blank, in the order of the
    plots. Of a repeated id the first row counts. Genres are told apart by name, because one name can stand
    under two ids. Leftover wiki and HTML markup is removed from the texts, and runs of white space become one
    space.

    Args:
        metadata, plots: the content of the two files, or their paths (also ending in .gz).
        name, source: recorded in the corpus.
        on_error: "raise" stops at a malformed line; "skip" leaves it out and counts it.
        metadata_name, plots_name: what errors call the files, where their content is given.

    Raises:
        DataError: a line is malformed (the message names file and line), or no document is left.
        MissingFileError: a path cannot be read.
    """
    if not isinstance(metadata, bytes):
        metadata_name, metadata = str(metadata), download.read_file(Path(metadata))
    if not isinstance(plots, bytes):
        plots_name, plots = str(plots), download.read_file(Path(plots))
    bad = MalformedLines(on_error)
    report: Counter[str] = Counter()
    genres_of = {movie.movie_id: movie.genres for movie in read_movies(metadata, bad, report, metadata_name)}

    texts, genre_sets, ids = [], [], []
    seen: set[str] = set()
    report.update(dict.fromkeys(PLOT_COUNTS, 0))
    for movie_id, text in _read_plots(plots, bad, report, plots_name):
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
    return build_corpus(name, texts, genre_sets, ids, report=dict(report), source=source)


# Listed, so that a report shows them also where they are 0.
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


def read_movies(metadata: bytes, bad: MalformedLines, report: Counter[str], file: str = METADATA_FILE) -> list[Movie]:
    """The rows of the metadata, the first of each id. Counts go into `report`, malformed lines to `bad`."""
    report.update(dict.fromkeys(METADATA_COUNTS, 0))
    movies: dict[str, Movie] = {}
    ids_of_name: defaultdict[str, set[str]] = defaultdict(set)
    parsed: dict[str, tuple[str, ...]] = {}  # the same genres recur in thousands of rows
    for number, line in _lines(metadata, bad, report, "metadata_lines", file):
        columns = line.split("\t")
        if len(columns) != N_COLUMNS:
            bad.reject(file, number, f"expected {N_COLUMNS} columns between tabs, found {len(columns)}")
            continue
        movie_id, title, released, genres = columns[0], columns[2], columns[3], columns[8]
        if not _is_id(movie_id):
            bad.reject(file, number, f"expected a number as movie id, found {movie_id[:40]!r}")
            continue
        if genres not in parsed:
            by_id = _string_object(genres)
            if by_id is None:
                bad.reject(file, number, f"expected a JSON object of genre names, found {genres[:40]!r}")
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
    """The corpus itself: from the local data folder, else downloaded once into the cache and verified.

    Local files that differ from the published ones are used with a warning.

    Raises:
        MissingFileError: the plots are not there and cannot be downloaded.
        DataError: the download does not hold the published files.
    """
    for place in _local_places(data_dir):
        files, names = find_files(place)
        if PLOTS_FILE in files and METADATA_FILE in files:
            _warn_of_differences(files, names)
            break
    else:
        place = fetch_archive()
        files, names = find_files(place)
    return read_cmu(
        files[METADATA_FILE],
        files[PLOTS_FILE],
        on_error=on_error,
        metadata_name=names[METADATA_FILE],
        plots_name=names[PLOTS_FILE],
    )


def load_layout(path: Path, on_error: OnError = "raise") -> Corpus:
    """A folder or .tar.gz archive in the layout of the corpus."""
    files, names = find_files(path)
    for wanted in (METADATA_FILE, PLOTS_FILE):
        if wanted not in files:
            raise MissingFileError(
                f"{path} holds no {wanted} (or {wanted}.gz); "
                f"a corpus in CMU's layout has {METADATA_FILE} and {PLOTS_FILE}"
            )
    return read_cmu(
        files[METADATA_FILE],
        files[PLOTS_FILE],
        name=path.name.removesuffix(".tar.gz").removesuffix(".tgz"),
        source=f"files in CMU's layout from {path.name}",
        on_error=on_error,
        metadata_name=names[METADATA_FILE],
        plots_name=names[PLOTS_FILE],
    )


def find_files(place: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """The two files in a folder (or its subfolder MovieSummaries) or an archive, as far as they are there.

    Returns:
        Their content, and what to call them in messages; the keys are METADATA_FILE and PLOTS_FILE.
    """
    if not place.is_dir():
        files = download.read_members(place, GIT_BLOB_HASHES)
        return files, {name: f"{place}:{name}" for name in files}
    paths = {}
    for name in GIT_BLOB_HASHES:
        candidates = [folder / f"{name}{end}" for folder in (place, place / FOLDER) for end in ("", ".gz")]
        paths.update({name: path for path in candidates[::-1] if path.is_file()})
    return {name: download.read_file(path) for name, path in paths.items()}, {n: str(p) for n, p in paths.items()}


def local_metadata(data_dir: Path | None) -> bytes | None:
    """The metadata from the local data folder, with or without plots beside it."""
    for place in _local_places(data_dir):
        files, _ = find_files(place)
        if METADATA_FILE in files:
            return files[METADATA_FILE]
    return None


def fetch_archive() -> Path:
    """The published archive from the cache, downloaded where it is not there yet, and verified.

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
        found = download.git_blob_hash(files[name]) if name in files else "no such file"
        if found != expected:
            raise DataError(
                f"{name} in {archive} has git blob hash {found} instead of {expected}; "
                f"{download.discard(archive)}, or {WHERE_TO_GET}"
            )
    return archive


def _warn_of_differences(files: Mapping[str, bytes], names: Mapping[str, str]) -> None:
    for name, expected in GIT_BLOB_HASHES.items():
        if download.git_blob_hash(files[name]) != expected:
            warnings.warn(f"{names[name]} is not the published {name} of the CMU corpus", stacklevel=3)


def _local_places(data_dir: Path | None) -> list[Path]:
    if data_dir is None:
        return []
    places = (data_dir / "cmu", data_dir / "cmu" / ARCHIVE, data_dir / FOLDER, data_dir / ARCHIVE)
    return [place for place in places if place.exists()]


def _read_plots(plots: bytes, bad: MalformedLines, report: Counter[str], file: str) -> Iterator[tuple[str, str]]:
    for number, line in _lines(plots, bad, report, "plot_lines", file):
        movie_id, tab, text = line.partition("\t")
        if not tab:
            bad.reject(file, number, "expected a movie id, a tab and a plot, found no tab")
        elif not _is_id(movie_id):
            bad.reject(file, number, f"expected a number as movie id, found {movie_id[:40]!r}")
        else:
            yield movie_id, text


def _lines(
    content: bytes, bad: MalformedLines, report: Counter[str], count: str, file: str
) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers from 1.

    Only a line feed ends a line: `str.splitlines` would also cut a plot at U+2028 or U+0085.
    """
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if not line:
            continue
        report[count] += 1
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            bad.reject(file, number, f"byte {error.start + 1} of the line is not UTF-8 ({error.reason})")


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
    # JSON can spell half a character, \ud800, which no file could be written with.
    return None if any(map(_SURROGATE.search, value.values())) else value


_INLINE_TAGS = "b|big|cite|code|del|em|font|i|ins|nowiki|s|small|span|strike|strong|sub|sup|tt|u"
_BLOCK_TAGS = "blockquote|br|center|dd|div|dl|dt|gallery|h[1-6]|hr|li|ol|p|poem|pre|references|table|td|th|tr|ul"
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]*);")
# Templates nest a few levels deep; without a limit, crafted braces would take quadratic time.
_TEMPLATE_DEPTH = 40
# What is removed: a sign, and the patterns that are tried, in this order, on the texts that hold it. Most
# hold none. A pattern that looks for an end sign is tried up to the last such sign only (its third entry): behind
# it, every start sign would be followed to the end of the text for nothing.
_MARKUP = [
    (
        sign,
        [
            (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement, [re.compile(e, re.IGNORECASE) for e in end])
            for pattern, replacement, *end in patterns
        ],
    )
    for sign, patterns in (
        (
            "<",
            (
                (r"<!--.*?-->", " ", "-->"),
                (r"<ref\b[^<>]*/>", " "),
                (r"<ref\b[^<>{}]*>.*?</ref\s*>", " ", r"</ref\s*>"),
                # A reference that lost its end: drop the tag, or as much as the next closing sign delimits.
                (r"<ref\b[^<>{}]{0,300}(?:>|\}\})", " "),
                (r"</ref\s*>", " "),
                (rf"</?(?:{_INLINE_TAGS})(?:\s[^<>]*)?/?>", ""),
                (rf"</?(?:{_BLOCK_TAGS})(?:\s[^<>]*)?/?>", " "),
            ),
        ),
        (
            "[",
            (
                # An image: its name and layout go, its caption stays.
                (
                    r"\[\[(?:image|file):[^|\[\]]*"
                    r"(?:\|(?:right|left|center|none|thumb|thumbnail|frame|frameless|border|upright|\d+px))*\|?",
                    " ",
                ),
                (r"\[\[[^\[\]|]*\|([^\[\]]*)\]\]", r"\1"),
                (r"\[https?://[^\s\]]*\s*([^\]]*)\]", r"\1", r"\]"),
                # Of a link or template that lost its end only the brackets go: the words may belong to the
                # plot.
                (r"\[\[", ""),
            ),
        ),
        ("]", ((r"\]\]", ""),)),
        ("//", ((r"https?://\S+", " "),)),
        ("{", ((r"\{\{+", " "),)),
        ("}", ((r"\}\}+", " "),)),
        ("''", ((r"'{2,}", ""),)),
        ("=", ((r"={2,}", " "),)),
    )
]


def clean_text(text: str) -> tuple[str, bool]:
    """A plot without leftover markup, its runs of white space as one space; and whether there was markup.

    Words are kept in doubt: of a link its text, of an image its caption, of a broken template all but the
    braces.
    """
    cleaned = _without_templates(text) if "{" in text else text
    for sign, patterns in _MARKUP:
        if sign in cleaned:
            for pattern, replacement, end in patterns:
                stop = _last_end(end[0], cleaned) if end else len(cleaned)
                cleaned = pattern.sub(replacement, cleaned[:stop]) + cleaned[stop:]
    if "&" in cleaned:
        cleaned = _ENTITY.sub(lambda match: html.unescape(match[0]), cleaned)
    return " ".join(cleaned.split()), cleaned != text


def _last_end(pattern: re.Pattern, text: str) -> int:
    """Where the last match of a pattern ends; 0 where there is none."""
    return max((match.end() for match in pattern.finditer(text)), default=0)


def _without_templates(text: str) -> str:
    for _ in range(_TEMPLATE_DEPTH):  # templates nest; the inner ones go first
        before, text = text, _TEMPLATE.sub(" ", text)
        if text == before:
            break
    return text
