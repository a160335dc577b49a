"""Check how many texts are longer than what the encoder reads."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data import Corpus
from afl_helpers.doctor.finding import Finding, percent
from afl_helpers.errors import MissingExtraError, MissingFileError, needs_extra

#: Tokens per word where the tokenizer is not at hand; English text has about this many.
TOKENS_PER_WORD = 1.3
#: So many texts are tokenized, evenly spaced.
SAMPLE = 2000
#: With a larger share of texts cut off, the length is worth a thought.
MANY = 0.1


def check_lengths(corpus: Corpus, encoder: str, max_length: int) -> Iterator[Finding]:
    """Yield how many texts an encoder cuts off, and where."""
    step = max(1, len(corpus) // SAMPLE)
    texts = corpus.texts[::step][:SAMPLE]
    lengths, how = _count_tokens(texts, encoder)
    long = float(np.mean(lengths > max_length))
    median, most = np.percentile(lengths, [50, 95])
    sample = "" if len(texts) == len(corpus) else f", in a sample of {len(texts):,}"
    sentence = f"Half of the texts have at most {median:,.0f} tokens, 95 % at most {most:,.0f} ({how}{sample})."
    advice = ""
    if long:
        share = percent(long)
        sentence += f" {share[0].upper()}{share[1:]} are longer than {max_length}; what comes after is not read."
    many = long > MANY
    if many:
        advice = (
            f"If the labels depend on the end, pass a larger max_length (--config max_length={2 * max_length}); time grows "
            "with it."
        )
    yield Finding("lengths", "check" if many else "note", sentence, advice, share=long)


def _count_tokens(texts: list[str], encoder: str) -> tuple[NDArray[np.int64], str]:
    """Return the number of tokens of each text, (n_texts,), and how they were counted."""
    try:
        with needs_extra("train", "counting tokens"):
            from afl_helpers.training.encoders import load_tokenizer  # here, because transformers takes seconds
        tokenizer = load_tokenizer(encoder)
    except (MissingExtraError, MissingFileError):
        words = np.array([len(text.split()) for text in texts], dtype=np.float64)
        return np.rint(TOKENS_PER_WORD * words).astype(np.int64), f"estimated: {TOKENS_PER_WORD} per word"
    ids = tokenizer(texts, verbose=False)["input_ids"]
    return np.array([len(one) for one in ids], dtype=np.int64), f"tokens of {encoder}"
