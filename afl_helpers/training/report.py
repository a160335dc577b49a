"""The report of a trained model on labelled documents: what was evaluated, and the metrics of rules and labels."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data import Corpus
from afl_helpers.data.label_cells import OTHER_SEPARATORS, SEPARATOR, one_space
from afl_helpers.errors import UsageError, require
from afl_helpers.evaluation import DEFAULT_RULE, TopK, evaluate_rules, label_table

if TYPE_CHECKING:
    import pandas as pd

#: The metrics of decisions that a report shows, each with a title.
SHOWN = {
    "f1_micro": "micro F1",
    "f1_macro": "macro F1",
    "precision_micro": "micro precision",
    "recall_micro": "micro recall",
    "n_labels_never_predicted": "labels never predicted",
}


def first_five(names: Sequence[str]) -> str:
    """Return at most five names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


@dataclass(frozen=True)
class AlignedLabels:
    """The labels of a corpus in the order of a model.

    Attributes:
        targets: (n_documents, n_labels) of 0 and 1, one column per label of the model.
        unknown: each label of the corpus that the model does not know -> number of documents that carry it.
        absent: the labels of the model that no document of the corpus carries.
    """

    targets: NDArray[np.uint8]
    unknown: dict[str, int]
    absent: list[str]

    def notes(self) -> list[str]:
        """Return what could not be aligned, in sentences."""
        notes = []
        if self.unknown:
            counted = first_five([f"{name!r} ({count:,})" for name, count in self.unknown.items()])
            are = "1 label is" if len(self.unknown) == 1 else f"{len(self.unknown)} labels are"
            notes.append(f"{are} unknown to the model and left out (documents that carry it): {counted}")
        if self.absent:
            are = "1 label of the model is" if len(self.absent) == 1 else f"{len(self.absent)} labels of the model are"
            notes.append(f"{are} on no document here: {first_five([*map(repr, self.absent)])}")
        return notes


def align_labels(corpus: Corpus, label_names: Sequence[str]) -> AlignedLabels:
    """Return the labels of a corpus by the names of a model's labels. Every document stays.

    Raises:
        UsageError: the corpus has no documents, or none of the labels.
    """
    if not len(corpus):
        raise UsageError("the corpus has no documents; pass labelled documents")
    column = {name: c for c, name in enumerate(corpus.label_names)}
    known = [(c, column[name]) for c, name in enumerate(label_names) if name in column]
    if not known:
        theirs, ours = (", ".join(map(repr, names[:3])) for names in (corpus.label_names, label_names))
        folded = {name.casefold() for name in label_names} & {name.casefold() for name in corpus.label_names}
        advice = (
            "write them in the case of the model's"
            if folded
            else "check the column of the labels and how they are separated"
        )
        raise UsageError(
            f"the corpus has none of the model's labels: it has {theirs}, and the model has {ours}; {advice}"
        )
    targets = np.zeros((len(corpus), len(label_names)), dtype=np.uint8)
    to, source = np.array(known).T
    targets[:, to] = corpus.dense_labels[:, source]
    names = set(label_names)
    unknown = {
        name: int(count)
        for name, count in zip(corpus.label_names, corpus.label_counts)
        if name not in names and count  # a label that no document carries is only a name
    }
    absent = [name for name, count in zip(label_names, targets.sum(0)) if not count]
    return AlignedLabels(targets, unknown, absent)


def check_known(corpus: Corpus, label_names: Sequence[str]) -> None:
    """Check that a model knows at least half of the assignments of labels in a corpus.

    Raises:
        UsageError: it does not; the message names the most frequent unknown labels and what may split them.
    """
    known = set(label_names)
    counts = {name: int(count) for name, count in zip(corpus.label_names, corpus.label_counts) if count}
    unknown = [name for name in counts if name not in known]
    n_all, n_unknown = sum(counts.values()), sum(counts[name] for name in unknown)
    if 2 * n_unknown <= n_all:
        return
    examples = ", ".join(f"{name[:40]!r}" for name in sorted(unknown, key=lambda name: -counts[name])[:3])
    sentence = (
        f"the model does not know {n_unknown:,} of the {n_all:,} labels that the documents of {corpus.name!r} carry, such "
        f"as {examples}; check the column of the labels, or say what separates them in a cell"
    )
    character = _splitting(unknown, known) or ","
    raise UsageError(
        f"{sentence} (separator={character!r})", command_line=f"{sentence} (--separator {shlex.quote(character)})"
    )


def _splitting(names: Sequence[str], known: Collection[str]) -> str | None:
    """Return the separator that splits most of the names into known labels, or None."""

    def made_of_known(name: str, separator: str) -> bool:
        parts = name.split(separator)
        return len(parts) > 1 and all(one_space(part) in known for part in parts)

    found = {
        separator: sum(made_of_known(name, separator) for name in names) for separator in (SEPARATOR, *OTHER_SEPARATORS)
    }
    best = max(found, key=lambda separator: found[separator])
    return best if found[best] else None


@dataclass(frozen=True)
class Report:
    """Metrics of a model on labelled documents.

    Attributes:
        labels: the documents' labels in the order of the model, and those that could not be aligned.
        scores: (n_documents, n_labels).
        metrics: name of each rule -> what :func:`~afl_helpers.evaluation.evaluate` returns.
        seen: how many texts the model was trained or tuned on, among those of which it can be said.
    """

    label_names: list[str]
    labels: AlignedLabels = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False)
    thresholds: Mapping[str, float | NDArray[np.float64] | TopK] = field(repr=False)
    metrics: dict[str, dict[str, float]] = field(repr=False)
    label_counts: NDArray[np.int64] | None = field(default=None, repr=False)
    seen: tuple[int, int] = field(default=(0, 0), repr=False)

    def rules(self) -> "pd.DataFrame":
        """Return all metrics as a data frame, one row per threshold rule."""
        frame: pd.DataFrame = require("pandas", "data", "rules").DataFrame.from_dict(self.metrics, orient="index")
        return frame.rename_axis("rule")

    def by_label(self, rule: str = DEFAULT_RULE) -> "pd.DataFrame":
        """Return :func:`~afl_helpers.evaluation.label_table` under one of the model's rules, one row per label."""
        if rule not in self.thresholds:
            raise UsageError(
                f"the model has no thresholds of rule {rule!r}; choose one of {', '.join(self.thresholds)}"
            )
        return label_table(self.labels.targets, self.scores, self.thresholds[rule], self.label_names, self.label_counts)

    def _seen_note(self) -> list[str]:
        n_seen, n_judged = self.seen
        if n_seen < 2:  # one may be a text that occurs twice
            return []
        share = n_seen / n_judged
        return [
            f"about {share:.0%} of these texts were in training or tuning: the metrics are better than those of new documents"
        ]

    def __str__(self) -> str:
        n_documents, n_labels = self.scores.shape
        of_scores = next(iter(self.metrics.values()))
        lines = [
            f"{n_documents:,} document{'' if n_documents == 1 else 's'}, "
            f"{n_labels:,} label{'' if n_labels == 1 else 's'}",
            *self.labels.notes(),
            *self._seen_note(),
            f"average precision: micro {of_scores['average_precision_micro']:.4f}, "
            f"macro {of_scores['average_precision_macro']:.4f}",
        ]
        table = self.rules()[list(SHOWN)].rename(columns=SHOWN).rename_axis(None)
        never = SHOWN["n_labels_never_predicted"]
        table[never] = table[never].astype(int)
        return "\n".join([*lines, "", table.to_string(float_format="%.4f")])


def report_on(
    corpus: Corpus,
    label_names: Sequence[str],
    score: Callable[[Sequence[str]], NDArray[np.float64]],
    thresholds: Mapping[str, Any],
    label_counts: NDArray[np.int64] | None,
) -> Report:
    """Return the report on a corpus; ``score`` returns the probabilities of texts."""
    labels = align_labels(corpus, label_names)
    scores = score(corpus.texts)
    metrics = evaluate_rules(labels.targets, scores, thresholds, label_counts)
    return Report(list(label_names), labels, scores, thresholds, metrics, label_counts)
