"""What was counted on the real texts, so that chapters can show it where the texts are not at hand.

``tools/count_corpora.py`` counts and writes ``corpus_facts.json``; a test counts again where the sources are.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np

from afl_helpers.data.corpus import Corpus
from afl_helpers.data.imbalance import imbalance_ratios, scumble
from afl_helpers.data.sources.cmu_leads import genre_words, words_of


def corpus_facts() -> dict[str, dict]:
    """Facts of each real corpus by its name; "cmu, first 72 plots" are all the plots that were at hand.

    Example:
        >>> from afl_helpers.data.facts import corpus_facts, token_lengths
        >>> facts = corpus_facts()
        >>> facts["cmu-leads"]["documents"], len(token_lengths(facts["cmu, first 72 plots"]))
        (19075, 72)
    """
    text = resources.files("afl_helpers.data").joinpath("corpus_facts.json").read_text(encoding="utf-8")
    return json.loads(text)


def token_lengths(facts: Mapping[str, object]) -> np.ndarray:
    """(n_documents,) int64, ascending: tokens of each text, the special ones included."""
    counts = {int(length): n for length, n in facts["tokens"].items()}
    return np.repeat(sorted(counts), [counts[length] for length in sorted(counts)])


def count_lengths(encoded: Sequence[Sequence[int]]) -> dict[str, int]:
    """Number of tokens -> number of texts, in ascending order."""
    counts = Counter(map(len, encoded))
    return {str(length): counts[length] for length in sorted(counts)}


def count_labels(corpus: Corpus) -> dict[str, object]:
    """Size and imbalance of the label matrix."""
    return {
        "documents": len(corpus),
        "labels": corpus.n_labels,
        "labels_per_document": round(float(np.sum(corpus.label_counts) / len(corpus)), 4),
        "mean_imbalance_ratio": round(float(imbalance_ratios(corpus.label_counts).mean()), 2),
        "scumble": round(float(scumble(corpus.labels).mean()), 4),
    }


#: Words that nearly every text about a film holds, and that name no genre.
_ANY_FILM = frozenset({"film", "films", "movie", "movies"})


def count_genre_words(corpus: Corpus, min_count: int = 100) -> dict[str, object]:
    """How often a text names a genre, given that it carries the genre, and that it does not.

    A text names a genre where it holds all words of the genre's name, in any form, "film" and "movie" aside.

    Returns:
        ``documents_naming_own``: share of texts that name a genre of theirs; ``assignments_named``: share of all pairs
        of text and own genre; ``by_genre``: for genres of ``min_count`` documents, [share with the genre, share without].
    """
    found = [words_of(text) for text in corpus.texts]
    own = (corpus.labels.toarray() if hasattr(corpus.labels, "toarray") else np.asarray(corpus.labels)).astype(bool)
    named = np.zeros(own.shape, dtype=bool)
    for c, genre in enumerate(corpus.label_names):
        needed = [forms for forms in genre_words(genre) if forms.isdisjoint(_ANY_FILM)]
        if needed:
            named[:, c] = [all(not forms.isdisjoint(words) for forms in needed) for words in found]
    return {
        "documents_naming_own": round(float((named & own).any(1).mean()), 4),
        "assignments_named": round(float((named & own).sum() / own.sum()), 4),
        "by_genre": {
            genre: [round(float(named[own[:, c], c].mean()), 4), round(float(named[~own[:, c], c].mean()), 4)]
            for c, genre in enumerate(corpus.label_names)
            if own[:, c].sum() >= min_count
        },
    }
