"""A sketch of the texts that a model was made with, so that its evaluation on some of them is noticed."""

import hashlib
from collections.abc import Sequence

#: Hashes in a sketch: 20 kB in a saved model, and enough to notice a tenth of 100 texts among 20,000.
SIZE = 2048


def sketch_of(texts: Sequence[str]) -> list[int]:
    """Return the smallest hashes of the texts, in order (bottom-k sketch; Broder, SEQUENCES 1997). Blanks do not count."""
    return sorted({_hash(text) for text in texts})[:SIZE]


def count_seen(sketch: Sequence[int], texts: Sequence[str]) -> tuple[int, int]:
    """Return how many of the texts that the sketch can judge are in it, and how many it can judge.

    With at most ``SIZE`` texts in the sketch it can judge all; otherwise those with a hash as small as its own.
    """
    known = set(sketch)
    limit = max(known) if len(known) >= SIZE else 2**32
    hashes = [found for found in map(_hash, texts) if found <= limit]
    return sum(found in known for found in hashes), len(hashes)


def _hash(text: str) -> int:
    content = " ".join(text.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=4).digest(), "big")
