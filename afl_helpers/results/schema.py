"""What a run's result holds, as typed objects; ``encoding`` writes them to JSON and reads them back.

A result file keeps what pages and comparisons need, in at most 42 kB: metrics under every threshold rule, counts of
decisions per label, and histograms of scores. The scores themselves are kept outside the repository.
"""

import difflib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afl_helpers.errors import DataError, unknown_name

#: metrics[split][rule][name]
Metrics = dict[str, dict[str, dict[str, float]]]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Bins of a histogram of scores.
N_BINS = 64

#: How the names of pilot runs end. Nothing is measured on test there: their results have no test metrics.
PILOT = "--pilot"


@dataclass(frozen=True)
class DataRecord:
    """The documents of a run.

    ``sizes`` are the numbers of training, validation and test documents; ``options`` is the corpus entry of the
    study's file, from which the same documents are loaded again.
    """

    corpus: str
    source: str
    fingerprint: str
    n_documents: int
    n_labels: int
    sizes: dict[str, int]
    options: dict[str, Any]
    split_seed: int


@dataclass(frozen=True)
class LossRecord:
    """A loss as configured: its name in the registry and the parameters that were passed."""

    name: str
    params: dict[str, Any]


@dataclass(frozen=True)
class LabelRecord:
    """Counts per label; every array has shape (n_labels,).

    Attributes:
        name: the labels' names.
        training_count: number of training documents with the label.
        support: number of test documents with the label.
        average_precision: test average precision; NaN if ``support`` is 0. Empty in a pilot run.
        predicted: threshold rule -> number of test documents predicted to have the label.
        true_positives: threshold rule -> number of those documents that really have the label.
        threshold: the threshold of each rule that has one for all labels.
    """

    name: list[str]
    training_count: Counts
    support: Counts
    average_precision: Floats
    predicted: dict[str, Counts]
    true_positives: dict[str, Counts]
    threshold: dict[str, float]


@dataclass(frozen=True)
class ScoreHistogram:
    """Histograms of test scores, with equal-width bins over [0, 1], for positives and negatives; each (64,)."""

    positives: Counts
    negatives: Counts


@dataclass(frozen=True)
class Summaries:
    """Histograms of the test scores, per frequency third and for six labels."""

    groups: dict[str, ScoreHistogram]
    labels: dict[str, ScoreHistogram]


@dataclass(frozen=True)
class TimeRecord:
    """How long a run took and how it ended.

    ``epochs``, ``best_epoch`` and ``converged`` are None for a method that does not train by epochs. ``history`` maps
    each column to one value per epoch; it is empty where no page shows it. ``reason`` says why the run counts as converged
    or not; files of version 0.1 lack it.
    """

    finished: str
    seconds: float
    documents_per_second: float
    epochs: int | None
    best_epoch: int | None
    converged: bool | None
    history: dict[str, list[float]] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """One run of a study.

    Attributes:
        setting: name of the setting in the study's file.
        tuned: the values that were tried for this setting, each with its validation score.
        block: the replicate that fixes split, seed and permutation; None in a study without blocks.
        encoder: name of the encoder, None for a method without one.
        method: how the model was trained, a key of ``afl_helpers.studies.METHODS``.
        config: the fields of the method's configuration.
        metrics: ``metrics[split][rule][name]``; NaN if a metric is not defined. For the validation split and the
            frequency groups, only the headline metrics are kept.
        summaries: None for runs older than this field.
        environment: versions, commit, device and processor.
    """

    study: str
    run: str
    setting: str
    tuned: list[dict[str, float]]
    block: int | None
    data: DataRecord
    encoder: str | None
    loss: LossRecord
    seed: int
    method: str
    config: dict[str, Any]
    metrics: Metrics
    labels: LabelRecord
    summaries: Summaries | None
    environment: dict[str, Any]
    time: TimeRecord

    def metric(self, name: str, rule: str = "at_0.5", split: str = "test") -> float:
        """Return one metric; NaN if it is not defined.

        Args:
            name: a key of :func:`~afl_helpers.evaluation.evaluate`, or ``"name@rule"``.
            rule: a threshold rule; metrics of scores are the same under each.
            split: ``"test"`` or ``"validation"``.

        Raises:
            DataError: the run has no such rule or metric.
            UsageError: there is no such split.
        """
        name, _, own = name.partition("@")
        if split not in self.metrics:
            raise unknown_name("split", split, self.metrics)
        rules = self.metrics[split]
        if (own or rule) not in rules:
            raise DataError(f"run {self.run!r} has no rule {own or rule!r}; it has {', '.join(rules)}")
        values = rules[own or rule]
        if name not in values:
            near = difflib.get_close_matches(name, values, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; results_table shows all metrics that it keeps"
            raise DataError(f"run {self.run!r} keeps no {split} metric {name!r}{hint}")
        return values[name]
