"""Texts that a language model writes for rare labels, filtered.

After Shaikh, Daudpota, Imran and Kastrati, Applied Sciences 11(2) 869, 2021, of which the abstract and an outline were
reachable. They fit GPT-2 and a word-level LSTM to each rare class of data with one label per document. The filter by a
classifier is that of LAMBADA (Anaby-Tavor et al., arXiv 1911.03118). The rest is our construction.

The caller passes the language model. One that needs no weights, of three-word sequences, comes with this package:
:class:`~afl_helpers.augment.TrigramModel`.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afl_helpers.arrays import as_numbers
from afl_helpers.augment.base import Augmentation, AugmentationInfo, Augmented, Takes, appended, check_number
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import UsageError

#: (position of a label, rng) -> one text for the label.
Writer = Callable[[int, np.random.Generator], str]
#: (texts, labels of shape (n_documents, n_labels), rng) -> a writer that was fitted to them.
LanguageModel = Callable[[list[str], NDArray[np.bool], np.random.Generator], Writer]
#: (texts, position of a label) -> scores; the higher, the more the label applies.
Scorer = Callable[[list[str], int], ArrayLike]


@dataclass(kw_only=True, eq=False)
class GeneratedTexts(Augmentation):
    """Add texts that a language model writes for minority labels. Our construction; pass ``TrigramModel()`` or your own model.

    The model is fitted to the texts that are passed. A text that it writes for a label is kept if its number of words is
    between the 10th and the 90th percentile of the label's documents, if it shares no run of ``longest_copy`` words with
    any text that is passed, and, with ``score``, if its score for the label is at least the median of the label's
    documents. It carries its label alone; whether others apply is not known.

    Args:
        model: a function that takes the texts, their labels and a Generator, and returns the fitted writer: a function
            that takes the position of a label and a Generator and returns one text.
        rate: new texts per document of a minority label; fewer arise if too many are refused.
        score: a function that takes texts and the position of a label and returns one score per text; None keeps texts
            whatever their score.
        longest_copy: words in a run.
        tries: texts to write at most, per text that is wanted.

    Attributes:
        known_: set by ``fit_resample``; bool of shape (n_resampled, n_labels), False where a label of a new text is not
            known. It is the ``mask`` of a loss.
        sample_indices_: for a new text, the position of a random document of its label.
    """

    model: LanguageModel | None = None
    rate: float = 1.0
    score: Scorer | None = None
    longest_copy: int = 8
    tries: int = 5

    takes: ClassVar[Takes] = "texts"

    def _check(self) -> None:
        check_number("rate", self.rate, 0)
        check_number("longest_copy", self.longest_copy, 1, integer=True)
        check_number("tries", self.tries, 1, integer=True)
        for name, value in (("model", self.model), ("score", self.score)):
            if value is not None and not callable(value):
                raise UsageError(f"{name} is {value!r:.40}; pass a function, or None")

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        texts, made, carried, seeds = data.documents, [], [], []
        if self.rate:
            if self.model is None:
                raise UsageError(
                    "GeneratedTexts needs a language model; pass model=TrigramModel(), or a function that fits one to texts"
                )
            writer = self.model(texts, labels, rng)
            if not callable(writer):
                raise UsageError(
                    f"model returns {writer!r:.40}; it must return a function of a label's position and a Generator"
                )
            wanted = 0
            runs = {run for text in texts for run in _runs(text, self.longest_copy)}
            for label in np.flatnonzero(minority_labels(labels.sum(axis=0))).tolist():
                bag = np.flatnonzero(labels[:, label])
                new = self._write(writer, label, [texts[i] for i in bag], runs, rng)
                wanted += round(self.rate * len(bag))
                made += new
                carried += [label] * len(new)
                seeds += rng.choice(bag, size=len(new)).tolist()
            if wanted and not made:
                warnings.warn(
                    f"none of the texts that the model wrote passed the filters, and {wanted} are wanted; see longest_copy, score"
                    " and tries",
                    stacklevel=3,
                )
        rows = np.arange(labels.shape[1]) == np.array(carried, dtype=np.int64)[:, None]
        self.known_: NDArray[np.bool] = np.concatenate([np.ones_like(labels), rows])
        return appended(data, made, rows, seeds)

    def _write(
        self, writer: Writer, label: int, real: list[str], runs: set[tuple[str, ...]], rng: np.random.Generator
    ) -> list[str]:
        """Return the texts for a label that pass the filters, at most as many as are wanted."""
        wanted = round(self.rate * len(real))
        shortest, longest = np.percentile([len(text.split()) for text in real], [10, 90])
        lowest = None if self.score is None else np.median(self._scores(real, label))
        kept: list[str] = []
        for _ in range(self.tries * wanted):
            if len(kept) == wanted:
                break
            text = writer(label, rng)
            if not isinstance(text, str):
                raise UsageError(f"the model's writer returns {text!r:.40}; it must return one text")
            if not shortest <= len(text.split()) <= longest or runs.intersection(_runs(text, self.longest_copy)):
                continue
            if self.score is None or self._scores([text], label)[0] >= lowest:
                kept.append(text)
        return kept

    def _scores(self, texts: list[str], label: int) -> NDArray[np.float64]:
        """Return one score per text, or raise an error if ``score`` returns something else."""
        assert self.score is not None
        scores = as_numbers(self.score(texts, label), "scores").astype(np.float64)
        if scores.shape != (len(texts),) or not np.isfinite(scores).all():
            raise UsageError(
                f"score returns an array of shape {scores.shape} for {len(texts)} texts, or values that are not finite; it must"
                " return one finite number per text"
            )
        return scores


def _runs(text: str, n: int) -> list[tuple[str, ...]]:
    """Return the runs of ``n`` words of a text and, because it may be shorter, the whole text; in lower case."""
    words = tuple(text.lower().split())
    return [words, *(words[i : i + n] for i in range(len(words) - n + 1))]


ENTRIES = {
    "generated_texts": AugmentationInfo(
        title="Texts by a language model",
        build=GeneratedTexts,
        source="Shaikh et al., Applied Sciences 11(2), 2021",
        grade="abstract only",
        tuned="rate",
        values=(0.5, 1, 2),
        neutral={"rate": 0},
        cited="[20]",
    ),
}
