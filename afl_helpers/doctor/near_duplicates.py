"""Texts that are equal but for case, blanks and punctuation, and texts that are nearly equal.

Nearly equal texts share at least four fifths of their pairs of neighbouring words (Jaccard). Candidates are found by minwise
hashing with bands (Broder, "On the resemblance and containment of documents", 1997; Leskovec, Rajaraman and Ullman, "Mining
of massive datasets", chapter 3) and then compared exactly. Of two texts with a similarity of .8, 998 in 1,000 pairs become
candidates.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

#: The least share of word pairs that nearly equal texts have in common.
SIMILARITY = 0.8
#: Shorter texts are compared for equality alone: of a few words, one makes all the difference.
LEAST_WORDS = 8
_BANDS, _ROWS = 12, 4

Hashes = NDArray[np.uint64]


def same_words(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return a group number per text, (n_texts,): texts with the same words in the same order are in one group.

    Example:
        >>> from afl_helpers.doctor.near_duplicates import same_words
        >>> same_words(["A duel!", "a  duel", "A kiss."]).tolist()
        [0, 0, 1]
    """
    numbers: dict[str, int] = {}
    # A text without a word, such as a smiley, stands for itself.
    keys = (" ".join(_words(text)) or text for text in texts)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def nearly_equal(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return a group number per text, (n_texts,): nearly equal texts are in one group, directly or through others."""
    groups = same_words(texts)
    _, first = np.unique(groups, return_index=True)
    pairs_of_words = [_word_pairs(words) for words in _numbered([_words(texts[i]) for i in first])]
    long = [i for i, pairs in enumerate(pairs_of_words) if pairs.size >= LEAST_WORDS - 1]
    parent = list(range(len(first)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for one, other in _candidates([pairs_of_words[i] for i in long]):
        a, b = long[one], long[other]
        if root(a) != root(b) and _similarity(pairs_of_words[a], pairs_of_words[b]) >= SIMILARITY:
            parent[max(root(a), root(b))] = min(root(a), root(b))
    return np.array([root(group) for group in groups], dtype=np.int64)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _numbered(texts: Sequence[Sequence[str]]) -> Iterator[Hashes]:
    numbers: dict[str, int] = {}
    for words in texts:
        yield np.array([numbers.setdefault(word, len(numbers) + 1) for word in words], dtype=np.uint64)


def _word_pairs(words: Hashes) -> Hashes:
    """Return one hash per different pair of neighbouring words, sorted."""
    return np.unique(_mixed(words[:-1] * np.uint64(0x9E3779B97F4A7C15) + words[1:])) if words.size > 1 else words[:0]


def _mixed(values: Hashes) -> Hashes:
    """Spread values over 64 bits (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _candidates(sets: Sequence[Hashes]) -> Iterator[tuple[int, int]]:
    """Yield pairs of sets that agree in one band of their minwise hashes: each set with its neighbour and the first."""
    if len(sets) < 2:
        return
    values = np.concatenate(sets)
    starts = np.cumsum([0, *(len(one) for one in sets[:-1])])
    rng = np.random.default_rng(0)
    for _ in range(_BANDS):
        band = np.zeros(len(sets), dtype=np.uint64)
        for _ in range(_ROWS):
            salt = rng.integers(1, 2**63, dtype=np.uint64)
            band = _mixed(band ^ np.minimum.reduceat(_mixed(values ^ salt), starts))
        buckets = defaultdict(list)
        for i, value in enumerate(band.tolist()):
            buckets[value].append(i)
        for bucket in buckets.values():
            for place in range(1, len(bucket)):
                yield bucket[place - 1], bucket[place]
                if place > 1:
                    yield bucket[0], bucket[place]


def _similarity(one: Hashes, other: Hashes) -> float:
    common = np.intersect1d(one, other, assume_unique=True).size
    return float(common / (one.size + other.size - common))
