"""A language model that needs no weights: trigrams of words, for :class:`~afl_helpers.augment.GeneratedTexts`."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import Parametrized, check_number
from afl_helpers.augment.generated_texts import Writer

_START, _END = "", "\n"  # no word of str.split is one of them


@dataclass(kw_only=True, eq=False)
class TrigramModel(Parametrized):
    """Write texts word by word, each word drawn from those that followed the last two words. Our construction.

    The documents of the label are asked first, then all documents, then all documents by the last word alone, then by
    frequency alone. Each step but the last gives away the share ``discount * kinds / count`` of its probability to the
    next one, where ``count`` words of so many kinds followed: interpolated absolute discounting (Ney, Essen and Kneser,
    Computer Speech and Language 8, 1994).

    Call it with texts, labels and a Generator; it returns the writer.

    Args:
        discount: from 0, which never asks the next step where one has an answer, to 1.
        longest: words in a text at most.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.augment import TrigramModel
        >>> rng = np.random.default_rng(0)
        >>> writer = TrigramModel(discount=0)(["a duel at noon", "a kiss"], np.eye(2, dtype=bool), rng)
        >>> writer(0, rng), writer(1, rng)
        ('a duel at noon', 'a kiss')
    """

    discount: float = 0.75
    longest: int = 400

    def _check(self) -> None:
        check_number("discount", self.discount, 0, 1)
        check_number("longest", self.longest, 1, integer=True)

    def __call__(self, texts: list[str], labels: NDArray[np.bool], rng: np.random.Generator) -> Writer:
        """Return the writer that is fitted to texts and their labels, (n_documents, n_labels)."""
        self._check()
        words = [text.split() for text in texts]
        everyone = [_Followers(words, n, self.discount if n else 0.0) for n in (2, 1, 0)]
        own: dict[int, _Followers] = {}

        def write(label: int, rng: np.random.Generator) -> str:
            if label not in own:
                bag = [words[i] for i in np.flatnonzero(labels[:, label])]
                own[label] = _Followers(bag, 2, self.discount)
            return " ".join(self._draw([own[label], *everyone], rng))

        return write

    def _draw(self, steps: Sequence["_Followers"], rng: np.random.Generator) -> list[str]:
        text = [_START, _START]
        while len(text) < self.longest + 2:
            word = next((word for step in steps if (word := step.draw(text, rng)) is not None), _END)
            if word == _END:
                break
            text.append(word)
        return text[2:]


class _Followers:
    """How often each word followed the last ``n`` words, and draws from it that may ask for the next step."""

    def __init__(self, documents: Sequence[list[str]], n: int, discount: float) -> None:
        self._n, self._discount = n, discount
        self._counts: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self._ready: dict[tuple[str, ...], tuple[list[str], NDArray[np.float64], int]] = {}
        for words in documents:
            padded = [_START, _START, *words, _END]
            for i in range(2, len(padded)):
                self._counts[tuple(padded[i - n : i])][padded[i]] += 1

    def draw(self, text: list[str], rng: np.random.Generator) -> str | None:
        """Return a word that follows the text, or None if the next step is to be asked."""
        context = tuple(text[len(text) - self._n :])
        if context not in self._ready:
            if context not in self._counts:
                return None
            counts = self._counts[context]
            kept = np.cumsum([count - self._discount for count in counts.values()])
            self._ready[context] = list(counts), kept, counts.total()
        words, kept, total = self._ready[context]
        chosen = int(np.searchsorted(kept, rng.random() * total, side="right"))
        return words[chosen] if chosen < len(words) else None
