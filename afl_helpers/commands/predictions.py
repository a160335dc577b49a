"""Predictions as rows: readable in a terminal, CSV, or JSON lines."""

import csv
import json
from collections.abc import Sequence
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data.label_cells import SEPARATOR


class Writer:
    """Write one row per text.

    - "plain": the labels, with scores in brackets if asked for, a tab and the text; the id comes first if asked for.
    - "csv": the columns ``id`` and ``labels``, then ``score:LABEL`` for each label. Labels are separated by ``|``, or are a
      JSON list where a name holds what would be misread. `load_corpus` reads both.
    - "jsonl": objects with ``id``, ``labels`` and ``scores`` (by label).
    """

    def __init__(
        self, file: TextIO, form: str, label_names: Sequence[str], *, with_ids: bool, with_scores: bool
    ) -> None:
        self.file, self.form, self.label_names = file, form, list(label_names)
        self.with_ids, self.with_scores = with_ids, with_scores
        self.as_lists = any(SEPARATOR in name or name[:1] in "[({" or name != name.strip() for name in label_names)
        if form == "csv":
            self.csv = csv.writer(file, lineterminator="\n")
            scores = [f"score:{name}" for name in label_names] if with_scores else []
            self.csv.writerow(["id", "labels", *scores])

    def write(
        self, ids: Sequence[str], texts: Sequence[str], labels: Sequence[Sequence[str]], scores: NDArray[np.float64]
    ) -> None:
        """Write rows; ``scores`` is (n_rows, n_labels)."""
        rounded = [[float(f"{value:.6g}") for value in row] for row in scores.tolist()] if self.with_scores else scores
        for row_id, text, names, row in zip(ids, texts, labels, rounded, strict=True):
            if self.form == "csv":
                cell = json.dumps(list(names), ensure_ascii=False) if self.as_lists else SEPARATOR.join(names)
                self.csv.writerow([row_id, cell, *(row if self.with_scores else [])])
            elif self.form == "jsonl":
                content: dict[str, object] = {"id": row_id, "labels": list(names)}
                if self.with_scores:
                    content["scores"] = dict(zip(self.label_names, row))
                self.file.write(json.dumps(content, ensure_ascii=False) + "\n")
            else:
                self.file.write(self._plain(row_id, text, names, row))

    def _plain(self, row_id: str, text: str, names: Sequence[str], row: Sequence[float]) -> str:
        score = dict(zip(self.label_names, row))
        shown = [f"{name} ({score[name]:.3f})" if self.with_scores else name for name in names]
        start = f"{row_id}\t" if self.with_ids else ""
        return f"{start}{'; '.join(shown) or '(none)'}\t{text}\n"
