"""Raise every label to a floor, by copies of its documents or by texts that EDA makes of them.

After Cai et al., "Ustnlp16 at SemEval-2025 Task 9" (arXiv 2505.00021), read with its public code. Their task has one
label per document; the form for several labels is ours. They raise classes by EDA to 10 % of the data, and by copies to a
share of the largest class; here both have the second goal.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import AugmentationInfo, Augmented, Selection, Takes, check_number, take
from afl_helpers.augment.eda import Synonyms, check_synonyms, clean, no_synonyms, operations, warn_of_lost_letters


@dataclass(kw_only=True, eq=False)
class FloorOversampling(Selection):
    """Repeat random documents of each label until it has a share of the most frequent label's documents.

    The labels take their turns from the rarest on, and a copy counts for each label that it carries. A label without
    documents stays without.

    Args:
        floor: the share of the most frequent label's count that each label is raised to. Ustnlp16 take 0.2. With a long tail a small floor makes many copies already.
        max_copies: copies per document and label at most; None for any number, as in Ustnlp16.
    """

    floor: float = 0.1
    max_copies: int | None = None

    def _check(self) -> None:
        check_number("floor", self.floor, 0, 1)
        if self.max_copies is not None:
            check_number("max_copies", self.max_copies, 1, integer=True)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        counts = labels.sum(axis=0)
        goal = math.ceil(self.floor * counts.max(initial=0) - 1e-9)  # .07 of 100 is 7.000000000000001
        added = [data.positions]
        for label in np.argsort(counts, kind="stable"):
            documents = np.flatnonzero(labels[:, label])
            if not len(documents) or (n := goal - int(counts[label])) <= 0:
                continue
            chosen = rng.choice(
                documents, size=n if self.max_copies is None else min(n, self.max_copies * len(documents))
            )
            counts += labels[chosen].sum(axis=0)
            added.append(chosen)
        return np.concatenate(added)


@dataclass(kw_only=True, eq=False)
class FloorEDA(FloorOversampling):
    """Raise each label to a floor as :class:`FloorOversampling` does, with texts that EDA makes instead of copies. English only.

    As Ustnlp16 do, each of the four operations is applied to a copy with the probability one half, one after the other. A
    copy may therefore stay as it is, apart from what :func:`~afl_helpers.augment.eda.clean` does to it. A text without any
    of the letters that ``clean`` keeps is copied unchanged.

    Args:
        floor, max_copies: those of :class:`FloorOversampling`.
        alpha, synonyms: those of :class:`~afl_helpers.augment.eda.EDA`.
    """

    alpha: float = 0.1
    synonyms: Synonyms | None = None

    takes: ClassVar[Takes] = "texts"

    def _check(self) -> None:
        super()._check()
        check_number("alpha", self.alpha, 0, 1)
        check_synonyms(self.synonyms)

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        positions = self._choose(data, labels, rng)
        made = positions[len(labels) :]
        steps = operations(self.alpha, self.synonyms) if len(made) else []
        changed = [data.documents[i] for i in made]
        warn_of_lost_letters(type(self).__name__, changed)
        texts = []
        for text in changed:
            words = clean(text)
            for step in steps:
                if words and rng.random() < 0.5:
                    words = step(words, rng)
            texts.append(" ".join(words) or text)
        return Augmented([*data.documents, *texts], take(data.labels, positions), positions)


_SOURCE = "Cai et al., SemEval-2025 Task 9"

ENTRIES = {
    "floor_oversampling": AugmentationInfo(
        title="Copies up to a floor, after Ustnlp16",
        build=FloorOversampling,
        source=_SOURCE,
        grade="code read",
        tuned="floor",
        values=(0.01, 0.02, 0.05, 0.1, 0.2),
        neutral={"floor": 0},
        cited="[22]",
        differs="documents with several labels",
    ),
    "floor_eda": AugmentationInfo(
        title="EDA up to a floor, after Ustnlp16",
        build=FloorEDA,
        source=_SOURCE,
        grade="code read",
        tuned="floor",
        values=(0.01, 0.02, 0.05, 0.1, 0.2),
        neutral={"floor": 0},
        cited="[22]",
        differs="documents with several labels, and a share of the largest label as the floor, where the source has a share of the data",
    ),
    "floor_eda_without_synonyms": AugmentationInfo(
        title="EDA without synonyms up to a floor, after Ustnlp16",
        build=FloorEDA,
        source=_SOURCE,
        grade="code read",
        tuned="floor",
        values=(0.01, 0.02, 0.05, 0.1, 0.2),
        neutral={"floor": 0},
        fixed={"synonyms": no_synonyms},
        cited="[22]",
        differs="as floor_eda, and only the operations that swap and delete words",
    ),
}
