"""Repeating a run from its result file alone, and comparing the two results."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from afl_helpers.errors import DataError
from afl_helpers.results import Result, build_result
from afl_helpers.results.schema import PILOT
from afl_helpers.studies.plan import METHODS, StudyCorpus
from afl_helpers.studies.run import Splits, corpus_splits
from afl_helpers.studies.scores import write_scores


@dataclass(frozen=True)
class Deviation:
    """How far two results of one run are apart.

    Attributes:
        metric: largest difference of a test metric; the difference is relative if the metric is above 1.
        n_decisions: by how much the numbers of predicted and of rightly predicted test documents differ, summed over
            the labels, under the threshold rule with the largest sum.
        same_environment: whether processor and versions are the same.
    """

    metric: float
    n_decisions: int
    same_environment: bool


def repeat(result: Result, scores: Path | None = None) -> Result:
    """Do a run again from what its result says was done.

    Args:
        result: a recorded run.
        scores: a file for the scores, as ``write_scores`` writes it.

    Raises:
        DataError: the data or their splits are no longer those of the recorded run.
    """
    train, validation, test = recorded_splits(result)
    method = METHODS[result.method]
    run = method.train(
        *(train, validation, test),
        loss=result.loss.name,
        config=method.config.from_record(result.config),
        seed=result.seed,
        loss_params=result.loss.params,
        progress=False,
    )
    if scores is not None:
        write_scores(scores, run.scores, validation, test)
    return build_result(
        run,
        train,
        test,
        study=result.study,
        name=result.run,
        setting=result.setting,
        tuned=result.tuned,
        data=result.data,
        block=result.block,
    )


def recorded_splits(result: Result) -> Splits:
    """Return the (train, validation, test) documents of a recorded run.

    Raises:
        DataError: the data, or their splits, are no longer those of the recorded run.
    """
    data = result.data
    whole, splits = corpus_splits(StudyCorpus(**data.options), data.split_seed)
    earlier = f"repeat it with the version that made it, commit {result.environment.get('commit', 'unknown')}"
    if whole.fingerprint != data.fingerprint:
        # For a sample, either the archive or the sampling may be another one.
        sampled = f", or {earlier}" if "n_documents" in data.options else ""
        raise DataError(
            f"run {result.run!r} was measured on {data.corpus} with fingerprint {data.fingerprint}, but the data here have "
            f"{whole.fingerprint}; use the archive that the run was measured on{sampled}"
        )
    train, validation, test = splits
    judged = validation if result.run.endswith(PILOT) else test
    if not _are_splits_of((train, validation, judged), result):
        raise DataError(
            f"run {result.run!r} was measured on other splits of {data.corpus} than this version makes; {earlier}"
        )
    return train, validation, judged


def _are_splits_of(splits: Splits, result: Result) -> bool:
    """Return whether the splits have the recorded counts of labels; a result keeps no ids of documents."""
    train, _, test = splits
    return np.array_equal(train.label_counts, result.labels.training_count) and np.array_equal(
        test.label_counts, result.labels.support
    )


def difference(first: Result, second: Result) -> Deviation:
    """Measure how far two results of one run are apart."""
    metric = max(
        _distance(value, second.metrics[split][rule][name])
        for split in first.metrics
        for rule, metrics in first.metrics[split].items()
        for name, value in metrics.items()
        if name in second.metrics[split][rule]
    )
    n_decisions = max(
        (
            int(
                np.abs(first.labels.predicted[rule] - second.labels.predicted[rule]).sum()
                + np.abs(first.labels.true_positives[rule] - second.labels.true_positives[rule]).sum()
            )
            for rule in first.labels.predicted
        ),
        default=0,  # of a pilot run
    )
    environments = [
        {key: value for key, value in result.environment.items() if key != "commit"} for result in (first, second)
    ]
    return Deviation(metric, n_decisions, environments[0] == environments[1])


def _distance(first: float, second: float) -> float:
    """Infinite if only one of the two is defined."""
    if math.isnan(first) or math.isnan(second):
        return 0.0 if math.isnan(first) and math.isnan(second) else math.inf
    return abs(first - second) / max(1.0, abs(first))
