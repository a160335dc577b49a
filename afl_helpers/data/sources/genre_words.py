"""Words of genre names in a text: find them in all their forms, and mask them.

The forms that no rule makes ("comedic" for "comedy") are listed in `genre_words.toml`.
"""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

MASK_WORD = "[MASK]"
#: Words of genre names that do not indicate a genre. Neither do single letters (B-movie, Z movie).
FUNCTION_WORDS = frozenset({"about", "an", "and", "can", "in", "of", "on", "out", "the", "to", "up"})
_WORD = re.compile(r"[^\W\d_]+")


def mask_genre_words(texts: Iterable[str], genre_names: Iterable[str]) -> list[str]:
    """Replace every word of every genre name by MASK_WORD, one mask per word.

    Only whole words are masked, in upper or lower case and in all their forms (`word_forms`). The parts of a hyphenated
    word are words. FUNCTION_WORDS and single letters stay.
    """
    masked = {form for name in genre_names for forms in genre_word_forms(name) for form in forms}

    def mask(match: re.Match[str]) -> str:
        return MASK_WORD if match[0].lower() in masked else match[0]

    return [_WORD.sub(mask, text) for text in texts]


def genre_word_forms(name: str) -> list[set[str]]:
    """Return the forms (`word_forms`) of each word of a genre's name, without FUNCTION_WORDS and single letters."""
    words = (word.lower() for word in _WORD.findall(name))
    return [word_forms(word) for word in words if len(word) > 1 and word not in FUNCTION_WORDS]


def words_in(text: str) -> set[str]:
    """Return the words of a text in lower case; the parts of a hyphenated word are words."""
    return {word.lower() for word in _WORD.findall(text)}


def word_forms(word: str) -> set[str]:
    """Return a lower-case word with its singular, its plural and its related words."""
    singular = _singular(word)
    forms = {word, singular, _plural(singular)}
    if word.endswith("ism"):
        forms |= {word[:-1] + end for end in ("t", "ts", "tic")}  # realism: realist, realists, realistic
    for key in (word, singular):
        forms.update(_listed_forms().get(key, ()))
    return forms


@cache
def _listed_forms() -> dict[str, list[str]]:
    return tomllib.loads((files("afl_helpers.data.sources") / "genre_words.toml").read_text(encoding="utf-8"))


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
