"""From a finished run to the result that its file holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afl_helpers.data import Corpus
from afl_helpers.environment import describe_environment
from afl_helpers.evaluation import TopK, average_precision_per_label, binarize, frequency_groups
from afl_helpers.results.schema import (
    N_BINS,
    DataRecord,
    LabelRecord,
    LossRecord,
    Result,
    ScoreHistogram,
    Summaries,
    TimeRecord,
)
from afl_helpers.training.config import convergence

if TYPE_CHECKING:  # importing it takes seconds, which a page that only reads results is spared
    from afl_helpers.training import Run

#: A history longer than this is not kept: no page shows it, and it would be most of the file.
_LONGEST_HISTORY = 120

#: Methods that train a head in seconds; no page draws their loss, only what a remedy did to the documents.
_HEADS = ("probe", "remedy")


def build_result(
    run: "Run",
    train: Corpus,
    test: Corpus,
    *,
    study: str,
    name: str,
    setting: str,
    tuned: Sequence[Mapping[str, float]],
    data: DataRecord,
    block: int | None = None,
) -> Result:
    """Build the result of a finished run.

    Args:
        run: what :func:`~afl_helpers.training.fine_tune` or another method returned.
        train, test: the documents that it was trained and tested on.
        study, name: names of the study and of the run.
        setting: name of the setting in the study's file.
        tuned: the values that were tried for this setting, each with its validation score.
        data: see :func:`describe_data`.
        block: the replicate that the run belongs to, in a study with blocks.
    """
    targets = test.dense_labels.astype(bool)
    scores = run.scores["test"]
    decisions = {rule: binarize(scores, threshold) for rule, threshold in run.thresholds.items()}
    history = run.history if len(run.history) <= _LONGEST_HISTORY else []
    columns = [name for name in history[0] if run.method not in _HEADS or name != "loss"] if history else []
    return Result(
        study=study,
        run=name,
        setting=setting,
        tuned=[dict(row) for row in tuned],
        block=block,
        data=data,
        encoder=run.encoder,
        loss=LossRecord(run.loss["name"], run.loss["params"]),
        seed=run.seed,
        method=run.method,
        config=run.config.to_dict(),
        metrics=run.metrics,
        labels=LabelRecord(
            name=list(test.label_names),
            training_count=np.asarray(train.label_counts, dtype=np.int64),
            support=targets.sum(0),
            average_precision=average_precision_per_label(targets, scores),
            predicted={rule: own.sum(0) for rule, own in decisions.items()},
            true_positives={rule: (own & targets).sum(0) for rule, own in decisions.items()},
            threshold={
                rule: float(value)
                for rule, value in run.thresholds.items()
                if not isinstance(value, TopK) and np.ndim(value) == 0
            },
        ),
        summaries=summarize_scores(targets, scores, train.label_counts, test.label_names),
        environment=describe_environment(),
        time=TimeRecord(
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(run.seconds, 2),
            documents_per_second=round(len(train) * len(run.history) / run.seconds, 2),
            epochs=None if run.converged is None else len(run.history),
            best_epoch=None if run.converged is None else run.best_epoch,
            converged=run.converged,
            reason=convergence(run.config, run.best_epoch)[1],
            history={column: [row[column] for row in history] for column in columns} if len(columns) > 1 else {},
        ),
    )


def of_pilot(result: Result) -> Result:
    """Return the result of a run that only tuned a setting: without all that is of test documents."""
    labels = replace(result.labels, average_precision=np.empty(0), predicted={}, true_positives={}, threshold={})
    return replace(result, summaries=None, labels=labels, metrics={**result.metrics, "test": {}})


def describe_data(
    corpus: Corpus, splits: Mapping[str, Corpus], options: Mapping[str, Any], split_seed: int
) -> DataRecord:
    """Describe the data of a run: corpus, fingerprint, sizes, and how to load the same documents again."""
    return DataRecord(
        corpus=corpus.name,
        source=corpus.source,
        fingerprint=corpus.fingerprint,
        n_documents=len(corpus),
        n_labels=corpus.n_labels,
        sizes={name: len(split) for name, split in splits.items()},
        options=dict(options),
        split_seed=split_seed,
    )


def summarize_scores(
    targets: NDArray[np.bool_], scores: NDArray[np.float64], label_counts: ArrayLike, label_names: Sequence[str]
) -> Summaries:
    """Count the scores of positives and negatives in 64 bins, per frequency third and for six labels.

    The six labels are those of :func:`shown_labels`.

    Args:
        targets, scores: (n_documents, n_labels) of the test documents.
        label_counts: (n_labels,) counts on the training documents, which order the labels.
        label_names: (n_labels,).
    """
    bins = np.minimum((scores * N_BINS).astype(np.int64), N_BINS - 1)

    def histogram(columns: NDArray[np.bool_] | list[int]) -> ScoreHistogram:
        own, positive = bins[:, columns], targets[:, columns]
        counts = [np.bincount(own[chosen], minlength=N_BINS) for chosen in (positive, ~positive)]
        return ScoreHistogram(*counts)

    counts = np.asarray(label_counts)
    return Summaries(
        {name: histogram(members) for name, members in frequency_groups(counts).items()},
        {label_names[c]: histogram([c]) for c in shown_labels(counts)},
    )


def shown_labels(label_counts: ArrayLike) -> list[int]:
    """Return the positions of six labels: of each frequency third, the most frequent one and the middle one.

    There are fewer where a third has fewer than two labels.
    """
    counts = np.asarray(label_counts)
    shown: list[int] = []
    for members in frequency_groups(counts).values():
        by_count = sorted(np.flatnonzero(members).tolist(), key=lambda c: (-counts[c], c))
        shown += dict.fromkeys((*by_count[:1], *by_count[len(by_count) // 2 :][:1]))
    return shown
