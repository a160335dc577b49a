"""Texts as vectors that training does not change: embeddings of a frozen encoder, or word counts of fewer dimensions."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from afl_helpers.errors import UsageError
from afl_helpers.training.embedding import embed
from afl_helpers.training.word_counts import new_vectorizer

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: The name under which a configuration asks for word counts in place of an encoder.
WORD_COUNTS = "word-counts"
WIDTH = 384

#: texts -> vectors, (n_texts, width) float32
TextVectors = Callable[[Sequence[str]], NDArray[np.float32]]


def text_vectors(
    encoder: str, max_length: int, train: Sequence[str], others: Sequence[str], progress: bool = True
) -> TextVectors:
    """Return the function that makes vectors of texts.

    Args:
        encoder: an encoder, whose mean-pooled embeddings are the vectors; or "word-counts": TF-IDF of the words that stand
            in two training texts or more, reduced to ``WIDTH`` dimensions by a truncated singular value decomposition
            (latent semantic analysis). It is fitted to the training texts.
        max_length: tokens that an encoder reads.
        train, others: the texts whose embeddings are computed at once and kept in the cache. The vectors of all other
            texts are computed when they are asked for, and not kept.

    Example:
        >>> from afl_helpers.training.fixed_features import text_vectors
        >>> vectors = text_vectors("tiny", 16, ["A duel."], ["A duel at noon."], progress=False)
        >>> vectors(["A duel at dawn.", "A duel."]).shape
        (2, 128)
    """
    if encoder == WORD_COUNTS:
        reduced = _reduced_word_counts(tuple(train))
        return lambda texts: np.asarray(reduced.transform(list(texts)), dtype=np.float32)
    known = embed([*train, *others], encoder, max_length, progress)

    def vectors(texts: Sequence[str]) -> NDArray[np.float32]:
        new = embed([text for text in texts if text not in known], encoder, max_length, progress=False, keep=False)
        return np.stack([known[text] if text in known else new[text] for text in texts])

    return vectors


# The settings of a study share a split, and the decomposition takes as long as the training of several heads.
@lru_cache(maxsize=2)
def _reduced_word_counts(texts: tuple[str, ...]) -> "Pipeline":
    from sklearn.decomposition import TruncatedSVD  # here, because it takes a second
    from sklearn.pipeline import make_pipeline

    counts = new_vectorizer(1, min_df=2)
    try:
        n_words = counts.fit_transform(texts).shape[1]
    except ValueError:
        raise UsageError("no word stands in two training documents; pass more documents, or an encoder") from None
    width = min(WIDTH, n_words - 1, len(texts) - 1)
    if width < 1:
        raise UsageError(f"{n_words} words stand in two training documents, too few; pass more, or an encoder")
    return make_pipeline(counts, TruncatedSVD(width, random_state=0)).fit(texts)
