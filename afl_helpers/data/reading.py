"""What all readers share: how they treat malformed lines, and how they build a corpus from what they read."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
from scipy import sparse

from afl_helpers.data.corpus import Corpus, Unlabelled
from afl_helpers.errors import DataError, UsageError

OnError = Literal["raise", "skip"]

# A label matrix that would take more bytes than this as a dense array (one per entry) is kept sparse.
DENSE_LIMIT_BYTES = 2**30


class CorpusWarning(UserWarning):
    """A warning about what was read: rows that were left out, or cells that seem to mean something else."""


class MalformedLines:
    """Handle lines that cannot be read: raise an error, or skip and count them.

    Attributes:
        skipped: the number of lines skipped so far.
        unit: what the numbers count, "line" or "row".
    """

    def __init__(self, on_error: OnError, unit: str = "line") -> None:
        if on_error not in ("raise", "skip"):
            raise UsageError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        self.skip = on_error == "skip"
        self.skipped = 0
        self.unit = unit

    def reject(self, file: str, line: int, problem: str) -> None:
        """Count the line (numbered from 1), or raise a DataError that names it."""
        if not self.skip:
            sentence = f"{file}, {self.unit} {line}: {problem}; correct the {self.unit}, or"
            raise DataError(
                f"{sentence} read with on_error='skip'",
                command_line=f"{sentence} pass --skip-malformed",
            )
        self.skipped += 1


def build_corpus(
    name: str,
    texts: list[str],
    label_sets: Sequence[Collection[str]],
    document_ids: list[str],
    *,
    report: dict[str, int],
    source: str,
    subset: list[str] | None = None,
    label_names: Sequence[str] | None = None,
    unlabelled: Unlabelled = "drop",
    notes: Sequence[str] = (),
    folds: list[int] | None = None,
) -> Corpus:
    """Build a corpus from the label names of each document, and add `documents` and `labels` to its report.

    Labels are ordered by decreasing count, then by name, unless `label_names` gives them in order.

    Raises:
        DataError: there are no documents.
    """
    if not texts:
        counted = ", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in report.items() if count)
        raise DataError(
            f"{source}: no document with a text and a label is left{f' ({counted})' if counted else ''}; check the files"
        )
    counts = Counter(label for labels in label_sets for label in labels)
    names = sorted(counts, key=lambda label: (-counts[label], label)) if label_names is None else list(label_names)
    column = {label: position for position, label in enumerate(names)}
    indices = np.array([column[label] for labels in label_sets for label in labels], dtype=np.int64)
    indptr = np.cumsum([0, *map(len, label_sets)])
    matrix = sparse.csr_array((np.ones(indices.size, dtype=np.uint8), indices, indptr), shape=(len(texts), len(names)))
    return Corpus(
        name=name,
        texts=texts,
        labels=matrix if len(texts) * len(names) > DENSE_LIMIT_BYTES else matrix.toarray(),
        label_names=names,
        document_ids=document_ids,
        subset=subset,
        report=report | {"documents": len(texts), "labels": len(names)},
        source=source,
        unlabelled=unlabelled,
        notes=tuple(notes),
        folds=folds,
    )
