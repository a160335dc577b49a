"""EDA: new texts by replacing, inserting, swapping and deleting words.

Wei and Zou, "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks", EMNLP 2019;
read with the authors' code. What differs: of the synonyms of a word, chance draws the inserted one too; two words that are
swapped always differ in place; and the list of words that are not replaced is our own.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import Augmentation, AugmentationInfo, Augmented, Takes, appended, check_number
from afl_helpers.augment.wordnet import WordNet
from afl_helpers.errors import UsageError

#: word -> its synonyms, in lower case.
Synonyms = Callable[[str], Iterable[str]]
LookUp = Callable[[str], Sequence[str]]
Operation = Callable[[list[str], np.random.Generator], list[str]]

#: The share of letters other than a to z above which a warning says that EDA loses them. The corpora here, all English, have less
#: than .001.
FOREIGN = 0.005

#: Words that are not replaced: they hold sentences together.
FUNCTION_WORDS = frozenset(
    """
    a about above after again against all also although am an and any are as at be because been before being below
    between both but by can cannot could d did do does doing down during each either else ever every few for from further had
    has have having he her here hers herself him himself his how i if in into is it its itself just ll m may me might mine
    more most must my myself neither no nor not now of off on once only or other ought our ours ourselves out over own re s
    same shall she should since so some such t than that the their theirs them themselves then there these they this those
    though through thus to too under until up upon us ve very was we were what when where whether which while who whom whose
    why will with within without would yet you your yours yourself yourselves
    """.split()
)


@lru_cache(maxsize=4)
def wordnet_synonyms(folder: str | None = None) -> LookUp:
    """Return the function that looks up WordNet's synonyms; :mod:`~afl_helpers.augment.wordnet` says where it looks.

    Raises:
        MissingFileError: WordNet is not installed.
    """
    return WordNet(folder).synonyms


def clean(text: str) -> list[str]:
    """Return the words of a text as EDA takes them: in lower case, with the letters a to z alone.

    Example:
        >>> from afl_helpers.augment.eda import clean
        >>> clean("It's a well-known plot: 2 heroes.")
        ['its', 'a', 'well', 'known', 'plot', 'heroes']
    """
    return re.sub("[^a-z]+", " ", re.sub("['\u2019]", "", text.lower())).split()


def warn_of_lost_letters(method: str, texts: Iterable[str]) -> None:
    """Warn if :func:`clean` loses more than a small share of the letters of texts; ``_augment`` of ``method`` calls this."""
    n, n_kept = 0, 0
    for text in texts:
        n += len(re.sub(r"[\W\d_]", "", text))
        n_kept += len(re.sub("[^a-z]", "", text.lower()))
    if n - n_kept > FOREIGN * n:
        warnings.warn(
            f"{method} is for English: it keeps the letters a to z alone, and {1 - n_kept / n:.0%} of the letters of these"
            " texts are lost; use a method that changes no words, such as MLROS or FloorOversampling",
            stacklevel=4,
        )


def replace_words(words: list[str], n: int, synonyms: LookUp, rng: np.random.Generator) -> list[str]:
    """Replace ``n`` different words by a synonym each, in all places; fewer if so many have none (EDA's SR)."""
    replaced: dict[str, str] = {}
    for word in rng.permutation(sorted({word for word in words if word not in FUNCTION_WORDS})).tolist():
        if len(replaced) == n:
            break
        if found := synonyms(word):
            replaced[word] = found[int(rng.integers(len(found)))]
    return " ".join(replaced.get(word, word) for word in words).split()


def insert_words(words: list[str], n: int, synonyms: LookUp, rng: np.random.Generator) -> list[str]:
    """Insert ``n`` times a synonym of a random word at a random place, if ten tries find a word that has one (RI)."""
    words = words.copy()
    for _ in range(n):
        for word in rng.choice(words, size=10).tolist():
            if found := synonyms(word):
                words.insert(int(rng.integers(len(words))), found[int(rng.integers(len(found)))])
                break
    return " ".join(words).split()


def swap_words(words: list[str], n: int, rng: np.random.Generator) -> list[str]:
    """Swap ``n`` times two words (RS)."""
    words = words.copy()
    for _ in range(n if len(words) > 1 else 0):
        one, other = rng.choice(len(words), size=2, replace=False)
        words[one], words[other] = words[other], words[one]
    return words


def delete_words(words: list[str], p: float, rng: np.random.Generator) -> list[str]:
    """Leave out each word with probability ``p``; if none is left, keep one (RD)."""
    kept = [word for word, number in zip(words, rng.random(len(words))) if number >= p]
    return kept or [words[int(rng.integers(len(words)))]]


def no_synonyms(word: str) -> tuple[str, ...]:
    """Return no synonym of any word: the ``synonyms`` of EDA that swaps and deletes words only."""
    return ()


def check_synonyms(synonyms: Synonyms | None) -> None:
    """Raise UsageError unless ``synonyms`` is None or a function."""
    if synonyms is not None and not callable(synonyms):
        raise UsageError(
            f"synonyms is {synonyms!r:.40}; pass a function from a word to its synonyms, or None for WordNet"
        )


def checked(synonyms: Synonyms) -> LookUp:
    """Return a function of synonyms that raises UsageError where the given one returns something else."""

    def look_up(word: str) -> Sequence[str]:
        found: Any = synonyms(word)
        if found is None:  # as the `get` of a dict returns it
            return ()
        if isinstance(found, Iterable) and not isinstance(found, str | bytes | set | frozenset):
            words = tuple(found)
            if all(isinstance(name, str) and name.strip() for name in words):
                return words
        raise UsageError(
            f"synonyms returns {found!r:.40} for {word!r}; it must return a list of words, empty or None for a word without synonyms"
        )

    return look_up


def operations(alpha: float, synonyms: Synonyms | None) -> list[Operation]:
    """Return EDA's operations in its order, SR, RI, RS and RD; with :func:`no_synonyms` the last two alone.

    Each changes ``alpha`` times the number of words, at least one; RD leaves out each with the probability ``alpha``.
    """

    def number(words: list[str]) -> int:
        return max(1, int(alpha * len(words)))

    without: list[Operation] = [
        lambda words, rng: swap_words(words, number(words), rng),
        lambda words, rng: delete_words(words, alpha, rng),
    ]
    if synonyms is no_synonyms:
        return without
    look_up = wordnet_synonyms() if synonyms is None else checked(synonyms)
    return [
        lambda words, rng: replace_words(words, number(words), look_up, rng),
        lambda words, rng: insert_words(words, number(words), look_up, rng),
        *without,
    ]


@dataclass(kw_only=True, eq=False)
class EDA(Augmentation):
    """Make new texts of each document, each by one of EDA's four operations on its words. English only.

    The operations take turns: each makes n_new // 4 + 1 texts, of which chance keeps n_new; with :func:`no_synonyms` there
    are two, and each makes n_new // 2 + 1. The words are those of :func:`clean`, which loses letters other than a to z;
    the text itself stays as it is. A text without words gets no new one.

    Args:
        alpha: the share of words that an operation changes, at least one word.
        n_new: new documents per document; 0 makes none. The authors make 4 (for large data) to 16 (for small).
        synonyms: a function from a word to a list of its synonyms. None looks them up in WordNet, as the authors do;
            :func:`no_synonyms` leaves swapping and deleting, and is then called "EDA without synonyms".
    """

    alpha: float = 0.1
    n_new: int = 4
    synonyms: Synonyms | None = None

    takes: ClassVar[Takes] = "texts"

    def _check(self) -> None:
        check_number("alpha", self.alpha, 0, 1)
        check_number("n_new", self.n_new, 0, integer=True)
        check_synonyms(self.synonyms)

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        if self.n_new == 0:
            return data
        warn_of_lost_letters(type(self).__name__, data.documents)
        steps = operations(self.alpha, self.synonyms)
        texts: list[str] = []
        seeds: list[int] = []
        for i, words in enumerate(map(clean, data.documents)):
            if words:
                made = [" ".join(step(words, rng)) for step in steps for _ in range(self.n_new // len(steps) + 1)]
                texts += [made[j] for j in rng.permutation(len(made))[: self.n_new]]
                seeds += [i] * self.n_new
        return appended(data, texts, labels[seeds], seeds)


_SOURCE = "Wei and Zou, EMNLP 2019"
_DIFFERS = (
    "chance draws also the synonym that is inserted, two swapped words always differ in place, and the list of words that"
    " stay is our own"
)

ENTRIES = {
    "eda": AugmentationInfo(
        title="EDA: words replaced, inserted, swapped, deleted",
        build=EDA,
        source=_SOURCE,
        grade="code read",
        tuned="alpha",
        values=(0.05, 0.1, 0.2),
        neutral={"n_new": 0},
        differs=_DIFFERS,
    ),
    "eda_without_synonyms": AugmentationInfo(
        title="EDA without synonyms: words swapped, deleted",
        build=EDA,
        source=_SOURCE,
        grade="code read",
        tuned="alpha",
        values=(0.05, 0.1, 0.2),
        neutral={"n_new": 0},
        fixed={"synonyms": no_synonyms},
        differs="only the operations that swap and delete words",
    ),
}
