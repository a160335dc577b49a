"""CMU's genres on another text: the lead of each movie's English Wikipedia article instead of its plot.

The plots of the CMU corpus are not to be had everywhere; its metadata and a public list of Wikipedia leads
are. Leads are shorter than plots and often name a genre, so there is a second form with the genre words
masked. The movies and genres are the corpus' own: a result on either form says how losses compare on a real
long tail, and is not a result on the CMU plots.
"""

import gzip
import io
import json
import os
import re
import tarfile
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from afl_helpers.data.corpus import Corpus, MalformedLines, OnError
from afl_helpers.data.sources import cmu, download
from afl_helpers.errors import DataError, MissingFileError

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

MASK_WORD = "[MASK]"
# The words of genre names that are no sign of a genre. Single letters (B-movie, Z movie) are not masked
# either.
FUNCTION_WORDS = frozenset({"about", "an", "and", "can", "in", "of", "on", "out", "the", "to", "up"})
# Forms that the rules of `word_forms` do not make, by the word as it stands in a genre name.
IRREGULAR_FORMS = {
    "absurdism": "absurd absurdly absurdity",
    "action": "actions",
    "adaptation": "adapted adapt adapts",
    "adventure": "adventurous adventurer adventurers",
    "animation": "animated animator animators",
    "apocalyptic": "apocalypse apocalypses",
    "archaeology": "archaeological archaeologist",
    "biographical": "biography biographies biographic",
    "biography": "biographical biographic",
    "biopic": "biopics",
    "boxing": "boxer boxers",
    "business": "businesses",
    "children": "child childhood",
    "comdedy": "comedy comedies",
    "comedy": "comedic comic comical comedian comedians",
    "comedies": "comedic comic comical",
    "crime": "criminal criminals",
    "criminal": "crime crimes",
    "culture": "cultural",
    "dance": "dances dancing dancer dancers",
    "detective": "detectives",
    "documentary": "documentarian",
    "documetary": "documentary documentaries",
    "drama": "dramatic dramatically dramatised dramatized",
    "dystopia": "dystopian",
    "education": "educational",
    "environmental": "environment",
    "epic": "epics",
    "erotic": "erotica erotically",
    "erotica": "erotic",
    "existentialism": "existential",
    "family": "familial",
    "fantasy": "fantastic fantastical",
    "fiction": "fictional fictionalised fictionalized",
    "fictional": "fiction",
    "film": "filmed filming filmic",
    "filmed": "film films",
    "finance": "financial",
    "gladiators": "gladiatorial",
    "heavenly": "heaven",
    "historical": "history historic",
    "history": "historical historic",
    "homoeroticism": "homoerotic",
    "horror": "horrific horrifying",
    "humour": "humor humorous humourous",
    "inspirational": "inspiring",
    "instrumental": "instruments",
    "investing": "investment investor investors",
    "journalism": "journalistic",
    "law": "legal",
    "legal": "law laws",
    "librarians": "librarian",
    "linguistics": "linguistic",
    "literature": "literary",
    "marriage": "marital",
    "medical": "medicine",
    "melodrama": "melodramatic",
    "military": "militaries",
    "monster": "monstrous",
    "music": "musical musicals musically",
    "musical": "music musically",
    "mystery": "mysterious mysteriously",
    "mythological": "mythology myth myths mythic mythical",
    "natural": "nature",
    "nature": "natural",
    "neorealism": "neorealist",
    "nuclear": "nukes",
    "parody": "parodic parodied",
    "patriotic": "patriotism patriot",
    "political": "politics politically politician",
    "pornographic": "pornography porn",
    "pornography": "pornographic porn",
    "psychological": "psychology psychologically",
    "religious": "religion religions",
    "revenge": "vengeful vengeance",
    "revisionist": "revisionism",
    "romance": "romantic romantically",
    "romantic": "romance romances romantically",
    "satire": "satirical satiric",
    "sci": "scifi",
    "science": "scientific",
    "sex": "sexual sexy",
    "society": "societal",
    "spy": "spying",
    "sports": "sport sporting",
    "superhero": "superheroic",
    "supernatural": "supernaturally",
    "surrealism": "surreal surrealist surrealistic",
    "suspense": "suspenseful",
    "swashbuckler": "swashbuckling",
    "television": "televised tv",
    "thriller": "thrilling",
    "thrillers": "thrilling",
    "tragedy": "tragic tragically",
    "tragicomedy": "tragicomic",
    "travel": "travelling traveling",
    "vampire": "vampiric",
    "women": "woman",
    "zombie": "zombified",
}
_WORD = re.compile(r"[^\W\d_]+")


def load_leads(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """The corpus `cmu-leads`: its archive from the local data folder, else built once from its two sources.

    Raises:
        MissingFileError: a source is not there and cannot be downloaded.
        DataError: a source does not hold what was published.
    """
    archive = _find_or_build(data_dir)
    return _read(archive, cmu.find_files(archive)[0], on_error)


def load_masked_leads(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """The corpus `cmu-leads-masked`: the same documents and labels, the words of all genre names masked."""
    archive = _find_or_build(data_dir)
    files, _ = cmu.find_files(archive)
    corpus = _read(archive, files, on_error)
    movies = cmu.read_movies(files[cmu.METADATA_FILE], MalformedLines("skip"), Counter())
    genre_names = {genre for movie in movies for genre in movie.genres}
    texts = mask_genre_words(corpus.texts, genre_names)
    report = corpus.report | {"words_masked": sum(text.count(MASK_WORD) for text in texts)}
    return replace(corpus, name="cmu-leads-masked", texts=texts, report=report, source=f"{SOURCE}; genre words masked")


def mask_genre_words(texts: Iterable[str], genre_names: Iterable[str]) -> list[str]:
    """The texts with every word of every genre name replaced by MASK_WORD, one mask a word.

    Whole words only, in any case, with their plurals and adjectives (`word_forms`); parts of hyphenated words
    count as words. FUNCTION_WORDS and single letters stay.
    """
    masked = {form for name in genre_names for forms in genre_words(name) for form in forms}

    def mask(match: re.Match) -> str:
        return MASK_WORD if match[0].lower() in masked else match[0]

    return [_WORD.sub(mask, text) for text in texts]


def genre_words(name: str) -> list[set[str]]:
    """The words of a genre's name, each with its forms (`word_forms`), without FUNCTION_WORDS and single letters."""
    words = (word.lower() for word in _WORD.findall(name))
    return [word_forms(word) for word in words if len(word) > 1 and word not in FUNCTION_WORDS]


def words_of(text: str) -> set[str]:
    """The words of a text in lower case; parts of hyphenated words are words."""
    return {word.lower() for word in _WORD.findall(text)}


def word_forms(word: str) -> set[str]:
    """A lower-case word with its singular, its plural, and its other forms from IRREGULAR_FORMS."""
    singular = _singular(word)
    forms = {word, singular, _plural(singular)}
    if word.endswith("ism"):
        forms |= {
            word[:-1] + "t",
            word[:-1] + "ts",
            word[:-1] + "tic",
        }  # realism: realist, realists, realistic
    for key in (word, singular):
        forms.update(IRREGULAR_FORMS.get(key, "").split())
    return forms


def _singular(word: str) -> str:
    if word in {"movies", "zombies"}:
        return word[:-1]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return word[:-1] + "ies"
    if word.endswith(("s", "x", "z", "ch", "sh", "ero")):
        return word + "es"
    return word + "s"


def build_leads(metadata: bytes | str | os.PathLike, wikipedia: Mapping[str, bytes] | str | os.PathLike) -> bytes:
    """Join the two sources into the content of a `plot_summaries.txt`, in ascending order of the movie id.

    Titles are normalised (`normalised_title`). An entry of the Wikipedia list belongs to the movie with a
    genre that carries its title and its year, or else the year before, or else the year after. The pair is
    kept only if it is unique: one movie with that title and year, one entry with its title and year, and no
    other entry for the movie. Entries without a lead are left out beforehand.

    Args:
        metadata: the content or path of CMU's `movie.metadata.tsv`.
        wikipedia: the JSON lists, content by file name, or the folder or .tar.gz archive they lie in.

    Raises:
        DataError: a list is missing or is not the published one.
    """
    if not isinstance(metadata, bytes):
        metadata = download.read_file(Path(metadata))
    if not isinstance(wikipedia, Mapping):
        wikipedia = read_wikipedia(Path(wikipedia))
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
    """Title, year and extract of each entry of a list."""
    try:
        for entry in json.loads(content):
            title, year, extract = entry["title"], entry["year"], entry.get("extract") or ""
            if not (isinstance(title, str) and isinstance(year, int) and isinstance(extract, str)):
                raise TypeError
            extract.encode("utf-8")  # half a surrogate pair is no text
            yield title, year, extract
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise DataError(f"{file} is not a JSON list of movies with title, year and extract; {WHERE_TO_GET}") from None


def normalised_title(title: str) -> str:
    """A title without accents, case, round brackets and their content, punctuation, and a leading article."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    # Up to the last closing bracket: behind it, every opening one would be followed to the end for nothing.
    start, bracket, end = plain.rpartition(")")
    plain = re.sub(r"\([^)]*\)", " ", start + bracket) + end
    plain = re.sub(r"[^a-z0-9]+", " ", plain).strip()
    return re.sub(r"^(?:the|an|a) ", "", plain)


def read_wikipedia(place: Path) -> dict[str, bytes]:
    """The JSON lists from a folder or .tar.gz archive, content by file name, verified.

    Raises:
        MissingFileError: the place or one of the lists is not there.
        DataError: a list is not the published one.
    """
    if place.is_dir():
        lists = {name: download.read_file(place / name) for name in WIKIPEDIA_SHA256 if (place / name).is_file()}
    else:
        lists = download.read_members(place, WIKIPEDIA_SHA256)
    missing = sorted(WIKIPEDIA_SHA256.keys() - lists.keys())
    if missing:
        raise MissingFileError(f"{place} holds no {missing[0]}; {WHERE_TO_GET}")
    for name, content in lists.items():
        if difference := _difference(name, content):
            raise DataError(f"{name} in {place} {difference}; replace it: {WHERE_TO_GET}")
    return lists


def _difference(name: str, content: bytes) -> str | None:
    """How a list differs from the published one, in words; None where it does not."""
    found = download.sha256(content)
    return None if found == WIKIPEDIA_SHA256[name] else f"has SHA-256 {found} instead of {WIKIPEDIA_SHA256[name]}"


def _find_or_build(data_dir: Path | None) -> Path:
    """The corpus as an archive in CMU's layout: the local one, or one that is built into the cache."""
    if data_dir is not None and (local := data_dir / "cmu-leads" / cmu.ARCHIVE).is_file():
        return local
    cached = download.cache_dir() / "cmu-leads" / cmu.ARCHIVE
    if not os.path.isfile(cached):  # Path.is_file would raise where the folder may not be entered
        wikipedia = _wikipedia_lists(data_dir)
        metadata = cmu.local_metadata(data_dir)
        if metadata is None:
            metadata = cmu.find_files(cmu.fetch_archive())[0][cmu.METADATA_FILE]
        _write_archive(cached, {cmu.METADATA_FILE: metadata, cmu.PLOTS_FILE: build_leads(metadata, wikipedia)})
    return cached


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


def _read(archive: Path, files: Mapping[str, bytes], on_error: OnError) -> Corpus:
    missing = sorted(cmu.GIT_BLOB_HASHES.keys() - files.keys())
    if missing:
        raise DataError(f"{archive} holds no {missing[0]}; delete it, and it is built again from its sources")
    return cmu.read_cmu(
        files[cmu.METADATA_FILE],
        files[cmu.PLOTS_FILE],
        name="cmu-leads",
        source=SOURCE,
        on_error=on_error,
        metadata_name=f"{archive}:{cmu.METADATA_FILE}",
        plots_name=f"{archive}:{cmu.PLOTS_FILE}",
    )


def _write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a .tar.gz in CMU's layout under a temporary name, then rename it: it is never half there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
                with tarfile.open(fileobj=packed, mode="w") as tar:
                    for name, content in files.items():
                        member = tarfile.TarInfo(f"{cmu.FOLDER}/{name}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise download.unwritable(path, error) from None
