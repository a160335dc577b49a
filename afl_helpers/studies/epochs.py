"""How a run learns: metrics by frequency third, and the validation scores of six labels, after every epoch.

They lie in ``results/<study>/epochs/<run>.json``, under 1 MB.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data import Corpus
from afl_helpers.evaluation import evaluate, frequency_groups
from afl_helpers.files import write_json
from afl_helpers.results.record import shown_labels

#: Scores are left out of some epochs where a file would have more than this many characters of them.
_LONGEST = 900_000
_CHARACTERS_PER_SCORE = 6
_METRICS = ("average_precision_macro", "f1_micro", "f1_macro", "recall_macro", "precision_macro")


class EpochRecord:
    """Write the file of one run, epoch by epoch; call it with the epoch and the validation scores.

    The file is written after each epoch. An epoch that is done again after a stop replaces the earlier one, and with the
    first epoch the file starts anew.

    Args:
        path: the file.
        train, validation: the documents of the run.
        n_epochs: how many epochs are planned.
        about: what else the file says at its top, such as the name of the run.
    """

    def __init__(self, path: Path, train: Corpus, validation: Corpus, n_epochs: int, **about: object):
        self._path, self._train, self._validation, self._about = path, train, validation, about
        self._shown = shown_labels(train.label_counts)
        size = n_epochs * len(self._shown) * len(validation) * _CHARACTERS_PER_SCORE
        self._every, self._n_epochs = math.ceil(size / _LONGEST), n_epochs

    def __call__(self, epoch: int, scores: NDArray[np.float64]) -> None:
        earlier = json.loads(self._path.read_text(encoding="utf-8"))["epochs"] if self._path.is_file() else []
        rows = [row for row in earlier if row["epoch"] < epoch]
        write_json(self._path, self._top() | {"epochs": [*rows, self._row(epoch, scores)]})

    def _row(self, epoch: int, scores: NDArray[np.float64]) -> dict[str, Any]:
        found = evaluate(self._validation.dense_labels, scores, 0.5, self._train.label_counts)
        names = [f"{name}{group}" for group in ("", "_head", "_medium", "_tail") for name in _METRICS]
        row = {"epoch": epoch, "metrics": {name: float(f"{found[name]:.4g}") for name in names}, "scores": None}
        if epoch % self._every == 0 or epoch in (1, self._n_epochs):
            row["scores"] = [np.round(scores[:, c], 3).tolist() for c in self._shown]
        return row

    def _top(self) -> dict[str, Any]:
        groups = frequency_groups(self._train.label_counts)
        targets = self._validation.dense_labels
        labels = [
            {
                "name": self._train.label_names[c],
                "group": next(name for name, members in groups.items() if members[c]),
                "training_count": int(self._train.label_counts[c]),
                "positives": np.flatnonzero(targets[:, c]).tolist(),
            }
            for c in self._shown
        ]
        return {**self._about, "n_documents": len(self._validation), "labels": labels}
