"""The CMU genres on another text: the lead of each movie's English Wikipedia article instead of its plot.

The plots of the CMU corpus cannot be obtained everywhere. Its metadata and a public list of Wikipedia leads can. Leads are
shorter than plots and often name a genre, so there is a second form with all genre words masked. Movies and genres are
those of the CMU corpus: results on either form compare losses on a real long tail, but are not results on the CMU plots.
"""

import gzip
import io
import json
import os
import re
import tarfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from afl_helpers.data.corpus import Corpus
from afl_helpers.data.reading import MalformedLines, OnError
from afl_helpers.data.sources import cmu, download
from afl_helpers.data.sources.download import SourceFile
from afl_helpers.data.sources.genre_words import MASK_WORD, mask_genre_words
from afl_helpers.errors import DataError
from afl_helpers.files import cache_dir, replacing, sha256

WIKIPEDIA_COMMIT = "91ae721d3672e8ef4f15b213c763a634250ef61a"
WIKIPEDIA_URL = f"https://raw.githubusercontent.com/prust/wikipedia-movie-data/{WIKIPEDIA_COMMIT}"
WIKIPEDIA_ARCHIVE = "wikipedia-movie-data.tar.gz"
WIKIPEDIA_SHA256 = {
    "movies-1900s.json": "5a42dfc3ff83ab30e3982f93f1164114b41e99e73c632c2321a87772959793e5",
    "movies-1910s.json": "4672fe20aeddfe1c52464efc804ee3091f9e4b5fd385401ff0ce48cf8d367573",
    "movies-1920s.json": "cb892518d2ffda4f2f11a0bd56f28b102fd0d47e5ae1ba2b2e4cb4e964f8127a",
    "movies-1930s.json": "b2ffc5608cbeff231408433ad43f873d422b914bebdf408ebe18427c09a9dcb2",
    "movies-1940s.json": "b4d96fc8b7c36f406e489b6fc017de03dd6a10f4c89a84d2a2a46af74e8b49a3",
    "movies-1950s.json": "8f566bfec734e93f19f688598e82239556401bde63c226510d71190b30855298",
    "movies-1960s.json": "a2450179f0744c07960a7840b9a86b5e0d733f7c0136a4ebcb804a63de9dc0a1",
    "movies-1970s.json": "f9abef01840fc70afd148906c7985fa5548ab1f473520dfa6623a3a397bc4ce3",
    "movies-1980s.json": "21d0f3c203f77169bb6508225aad4740816a3d7efd9e3bac82e3b812d0569672",
    "movies-1990s.json": "facf24e3297937022285d064cc069e8bbe02581c3248a87f0b377c045b4fb61d",
    "movies-2000s.json": "66140e41fe6c79cbb325b6566f156e27fe032a42175f224dfff1b71aa9630207",
    "movies-2010s.json": "e218edfdd8453cdd938fcb8b07b6b177474b3b18361e3422fdd6480d7e3bf9f9",
    "movies-2020s.json": "505f0f56ecdca7a2643fb3a811399b885f837e2cbfa9ee95a24b9018073e3eb3",
}
SOURCE = "leads of English Wikipedia articles (prust/wikipedia-movie-data), genres of the CMU Movie Summary Corpus"
WHERE_TO_GET = (
    "get the files movies-1900s.json to movies-2020s.json of prust/wikipedia-movie-data at commit "
    f"{WIKIPEDIA_COMMIT}, and put them under wikipedia-movies/ in the folder that AFL_DATA_DIR names"
)


def load_leads(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """Load `cmu-leads`: its archive from the local data folder, or else one built once from the two sources.

    Raises:
        MissingFileError: a source is not in the data folder and cannot be downloaded.
        DataError: a source differs from the published one.
        StorageError: the archive cannot be written to the cache.
    """
    return _read(_find_or_build(data_dir), on_error)


def load_masked_leads(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """Load `cmu-leads-masked`: the documents and labels of `cmu-leads`, with the words of all genre names masked.

    Raises the errors of `load_leads`.
    """
    files = _find_or_build(data_dir)
    corpus = _read(files, on_error)
    movies = cmu.read_movies(files[cmu.METADATA_FILE], MalformedLines("skip"), Counter())
    genre_names = {genre for movie in movies for genre in movie.genres}
    texts = mask_genre_words(corpus.texts, genre_names)
    report = corpus.report | {"words_masked": sum(text.count(MASK_WORD) for text in texts)}
    return replace(corpus, name="cmu-leads-masked", texts=texts, report=report, source=f"{SOURCE}; genre words masked")


def build_leads(metadata: SourceFile, wikipedia: Mapping[str, bytes]) -> bytes:
    """Join the two sources; return the content of a `plot_summaries.txt` in ascending order of the movie id.

    An entry of the Wikipedia lists belongs to the movie with its title and its year; else with the year before; else with
    the year after. Titles are compared in normalised form (`normalised_title`), and only movies with a genre and entries
    with a lead count. A pair is kept only if it is unique: a single movie with that title and year, a single entry with
    its title and year, and no other entry for the movie.

    Args:
        metadata: CMU's `movie.metadata.tsv`.
        wikipedia: the content of the JSON lists by file name.

    Raises:
        DataError: a file is malformed.
    """
    movies_of = defaultdict(list)
    for movie in cmu.read_movies(metadata, MalformedLines("raise"), Counter()):
        if movie.genres and movie.year is not None:
            movies_of[normalised_title(movie.title), movie.year].append(movie.movie_id)

    entries_of = defaultdict(list)
    for file in sorted(wikipedia):
        for title, year, extract in _entries(wikipedia[file], file):
            lead = " ".join(extract.split())
            if lead:
                entries_of[normalised_title(title), year].append(lead)

    leads_of = defaultdict(list)
    for (title, year), leads in entries_of.items():
        if len(leads) > 1:
            continue
        candidates = next((movies_of[title, y] for y in (year, year - 1, year + 1) if (title, y) in movies_of), [])
        if len(candidates) == 1:
            leads_of[candidates[0]].extend(leads)
    unique = {movie_id: leads[0] for movie_id, leads in leads_of.items() if len(leads) == 1}
    return "".join(f"{movie_id}\t{unique[movie_id]}\n" for movie_id in sorted(unique, key=int)).encode("utf-8")


def _entries(content: bytes, file: str) -> Iterator[tuple[str, int, str]]:
    """Yield title, year and extract of each entry of a list."""
    try:
        for entry in json.loads(content):
            title, year, extract = entry["title"], entry["year"], entry.get("extract") or ""
            if not (isinstance(title, str) and isinstance(year, int) and isinstance(extract, str)):
                raise TypeError
            extract.encode("utf-8")  # half a surrogate pair is not text
            yield title, year, extract
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise DataError(f"{file} is not a JSON list of movies with title, year and extract; {WHERE_TO_GET}") from None


def normalised_title(title: str) -> str:
    """Return a title without accents, case, punctuation, a leading article, and round brackets with their content."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    # Up to the last closing bracket: after it, every opening one would be followed to the end of the text in vain.
    start, bracket, end = plain.rpartition(")")
    plain = re.sub(r"\([^)]*\)", " ", start + bracket) + end
    plain = re.sub(r"[^a-z0-9]+", " ", plain).strip()
    return re.sub(r"^(?:the|an|a) ", "", plain)


def read_wikipedia(place: Path) -> dict[str, bytes]:
    """Read the JSON lists from a folder or .tar.gz archive, and verify them.

    Returns:
        Their content by file name.

    Raises:
        MissingFileError: the place or one of the lists is missing.
        DataError: a list differs from the published one.
    """
    lists = download.read_files(place, WIKIPEDIA_SHA256, instead=WHERE_TO_GET)
    for name, file in lists.items():
        if difference := _difference(name, file.content):
            raise DataError(f"{name} in {place} {difference}; replace it: {WHERE_TO_GET}")
    return {name: file.content for name, file in lists.items()}


def _difference(name: str, content: bytes) -> str | None:
    """Return in words how a list differs from the published one, or None if it does not."""
    actual = sha256(content)
    return None if actual == WIKIPEDIA_SHA256[name] else f"has SHA-256 {actual} instead of {WIKIPEDIA_SHA256[name]}"


def _find_or_build(data_dir: Path | None) -> dict[str, SourceFile]:
    """Return the two files in CMU's layout from the local archive, or else from one that is built in the cache."""
    instead = "delete it, so that it is built again from its sources"
    if data_dir is not None and (local := data_dir / "cmu-leads" / cmu.ARCHIVE).is_file():
        return download.read_files(local, cmu.GIT_BLOB_HASHES, instead=instead)
    cached = cache_dir() / "cmu-leads" / cmu.ARCHIVE
    if not os.path.isfile(cached):  # Path.is_file would raise if the folder may not be entered
        wikipedia = _wikipedia_lists(data_dir)
        metadata = cmu.local_metadata(data_dir)
        if metadata is None:
            metadata = cmu.find_files(cmu.fetch_archive())[cmu.METADATA_FILE]
        leads = build_leads(metadata, wikipedia)
        _write_archive(cached, {cmu.METADATA_FILE: metadata.content, cmu.PLOTS_FILE: leads})
    return download.read_files(cached, cmu.GIT_BLOB_HASHES, instead=instead)


def _wikipedia_lists(data_dir: Path | None) -> dict[str, bytes]:
    if data_dir is not None:
        folder = data_dir / "wikipedia-movies"
        for place in (folder / WIKIPEDIA_ARCHIVE, folder):
            if place.is_file() or any(place.glob("movies-*.json")):
                return read_wikipedia(place)
    lists = {}
    for name in WIKIPEDIA_SHA256:
        instead = f"the Wikipedia leads are missing: {WHERE_TO_GET}"
        path = download.fetch(f"{WIKIPEDIA_URL}/{name}", f"wikipedia-movies/{name}", instead=instead)
        lists[name] = download.read_file(path)
        if difference := _difference(name, lists[name]):
            advice = f"{download.discard(path)}, or {WHERE_TO_GET}"
            raise DataError(f"{name} in {path.parent} {difference}; {advice}")
    return lists


def _read(files: Mapping[str, SourceFile], on_error: OnError) -> Corpus:
    return cmu.read_cmu(
        files[cmu.METADATA_FILE], files[cmu.PLOTS_FILE], name="cmu-leads", source=SOURCE, on_error=on_error
    )


def _write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a .tar.gz in CMU's layout; it is written whole or not at all."""
    with replacing(path, shared=True, alternative=download.OTHER_CACHE) as part, open(part, "wb") as raw:
        # No file name and no time in the header: equal files give equal archives.
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(f"{cmu.FOLDER}/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
