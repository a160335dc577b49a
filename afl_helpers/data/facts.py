"""Counts on the real texts, which chapters can show without the texts themselves.

``tools/count_corpora.py`` counts and writes ``corpus_facts.json``; a test counts again if the sources are available.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data.corpus import Corpus
from afl_helpers.data.imbalance import imbalance_ratios, scumble
from afl_helpers.data.sources.genre_words import genre_word_forms, words_in


def corpus_facts() -> dict[str, dict[str, Any]]:
    """Return the counts of each real corpus by its name; of the CMU plots only the first 72 were available.

    Example:
        >>> from afl_helpers.data.facts import corpus_facts, token_lengths
        >>> facts = corpus_facts()
        >>> facts["cmu-leads"]["documents"], len(token_lengths(facts["cmu, first 72 plots"]))
        (19075, 72)
    """
    text = resources.files("afl_helpers.data").joinpath("corpus_facts.json").read_text(encoding="utf-8")
    facts: dict[str, dict[str, Any]] = json.loads(text)
    return facts


def token_lengths(facts: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return the number of tokens of each text, special tokens included: int64 of shape (n_documents,), ascending."""
    counts = {int(length): n for length, n in facts["tokens"].items()}
    return np.repeat(np.array(sorted(counts), dtype=np.int64), [counts[length] for length in sorted(counts)])


def count_lengths(encoded: Sequence[Sequence[int]]) -> dict[str, int]:
    """Return the number of texts by their number of tokens, in ascending order."""
    counts = Counter(map(len, encoded))
    return {str(length): counts[length] for length in sorted(counts)}


def count_labels(corpus: Corpus) -> dict[str, object]:
    """Return size and imbalance of the label matrix, and how many documents have no label."""
    return {
        "documents": len(corpus),
        "without_label": corpus.n_unlabelled,
        "labels": corpus.n_labels,
        "labels_per_document": round(float(np.sum(corpus.label_counts) / len(corpus)), 4),
        "mean_imbalance_ratio": round(float(imbalance_ratios(corpus.label_counts).mean()), 2),
        "scumble": round(float(scumble(corpus.labels).mean()), 4),
    }


#: Words that occur in nearly every text about a film and name no genre.
_ANY_FILM = frozenset({"film", "films", "movie", "movies"})


def count_genre_words(corpus: Corpus, min_count: int = 100) -> dict[str, object]:
    """Count how often a text names a genre, among the texts with the genre and among those without it.

    A text names a genre if it holds all words of the genre's name, in any form; "film" and "movie" are not needed.

    Returns:
        ``documents_naming_own``: the share of texts that name a genre they carry; ``assignments_named``: the share of
        pairs of text and own genre in which the text names the genre; ``by_genre``: for each genre with at least
        ``min_count`` documents, [share of texts with the genre that name it, share of the other texts that do].
    """
    words_by_text = [words_in(text) for text in corpus.texts]
    own = corpus.dense_labels.astype(bool)
    named = np.zeros(own.shape, dtype=bool)
    for c, genre in enumerate(corpus.label_names):
        needed = [forms for forms in genre_word_forms(genre) if forms.isdisjoint(_ANY_FILM)]
        if needed:
            named[:, c] = [all(not forms.isdisjoint(words) for forms in needed) for words in words_by_text]
    return {
        "documents_naming_own": round(float((named & own).any(1).mean()), 4),
        "assignments_named": round(float((named & own).sum() / own.sum()), 4),
        "by_genre": {
            genre: [round(float(named[own[:, c], c].mean()), 4), round(float(named[~own[:, c], c].mean()), 4)]
            for c, genre in enumerate(corpus.label_names)
            if own[:, c].sum() >= min_count
        },
    }
