"""Judging a threshold rule on the scores that runs kept, without training."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data import Corpus
from afl_helpers.errors import DataError, UsageError, check_choice
from afl_helpers.evaluation import THRESHOLD_RULES, binarize, evaluate
from afl_helpers.evaluation.tuning import Thresholds
from afl_helpers.losses import build_loss
from afl_helpers.results import DocumentDecisions, Result, find_results, read_study, write_result
from afl_helpers.studies.plan import Study
from afl_helpers.studies.rerun import recorded_splits
from afl_helpers.studies.scores import as_kept, check_kept, command_for, read_scores, scores_path
from afl_helpers.studies.study_file import metrics_changed_by_thresholds


def missing_scores(study: Study) -> list[Path]:
    """Return the score files that finished runs of a study lack."""
    finished = [scores_path(study.path(run)) for run in study.runs() if study.path(run).is_file()]
    return [path for path in finished if not path.is_file()]


def rescore(study: Study, rule: str) -> Iterator[Result]:
    """Judge a rule on the kept scores of each finished run, and yield the result with it.

    A rule that the result file lacks is written into it. One that it has is as the run itself computed it, from exact
    scores, and stays so. Runs whose scores are not here are left out; :func:`missing_scores` lists them. Metrics that no
    threshold changes stay as they were computed from the exact scores; the others come from scores of about three digits.

    Args:
        rule: a name in :data:`~afl_helpers.evaluation.THRESHOLD_RULES`.

    Raises:
        UsageError: the rule is unknown.
        DataError: a score file is broken, or the data are no longer those of a run.
    """
    check_choice("rule", rule, THRESHOLD_RULES)
    planned = {run.name for run in study.runs()}
    for result in read_study(study.name, study.folder.parent):
        path = study.folder / "runs" / f"{result.run}.json"
        if result.run in planned and scores_path(path).is_file():
            if rule not in result.metrics["test"]:
                result = _judge(result, rule, scores_path(path))
                write_result(path, result)
            yield result


def kept_decisions(result: Result, rule: str, folder: str | Path | None = None) -> DocumentDecisions:
    """Return what a run decided on its test documents, from the scores that it kept.

    For :func:`afl_helpers.results.compare` over documents. A threshold that the result holds is rounded as the scores
    are; thresholds per label, and the k of ``tuned_top_k``, are fitted again. Kept scores have three digits, so a decision
    close to a threshold can be another one: on ``cmu-leads``, numbers of predicted labels changed by less than 1 %. Where
    they differ by 2 % from what the run recorded, the scores are refused.

    Args:
        result: a run of a study.
        rule: a name in :data:`~afl_helpers.evaluation.THRESHOLD_RULES`.
        folder: the folder of the studies; :func:`~afl_helpers.results.find_results` finds it unless given.

    Raises:
        UsageError: the rule is unknown.
        MissingFileError: the scores are not here; the sentence has the command that makes them again.
        DataError: the score file is broken or from another training, the data are no longer those of the run, or its
            scores lie too close together for three digits.
    """
    if not isinstance(result, Result):
        raise UsageError(f"result is a {type(result).__name__}; pass a result of a study, as read_study returns them")
    check_choice("rule", rule, THRESHOLD_RULES)
    folder = find_results() if folder is None else Path(folder)
    path = scores_path(folder / result.study / "runs" / f"{result.run}.json")
    kept = _judged(result, rule, path)
    decisions = binarize(kept.scores["test"], kept.thresholds)
    recorded = result.labels.predicted.get(rule)
    if recorded is not None:
        n_other = int(np.abs(decisions.sum(0) - recorded).sum())
        if n_other > 0.02 * max(recorded.sum(), 50):
            raise DataError(
                f"under {rule!r}, {n_other:,} of the {recorded.sum():,} labels that run {result.run!r} predicted do not follow "
                f"from the scores kept here; make them again with: {command_for(path)}. If that changes nothing, they lie too "
                "close together for three digits, and another rule is needed"
            )
    return DocumentDecisions(kept.test.dense_labels.astype(bool), decisions, kept.train.label_counts)


class _Judged(NamedTuple):
    train: Corpus
    validation: Corpus
    test: Corpus
    scores: dict[str, NDArray[np.float64]]
    thresholds: Thresholds


def _judged(result: Result, rule: str, path: Path) -> _Judged:
    """Return the documents of a run, their kept scores, and the thresholds of a rule."""
    check_kept(path)  # before the documents are read
    train, validation, test = recorded_splits(result)
    scores = read_scores(path, validation, test)
    thresholds: Thresholds
    if rule in result.labels.threshold:
        thresholds = as_kept(result.labels.threshold[rule])
    else:
        loss = build_loss(result.loss.name, train.label_counts, len(train), **result.loss.params)
        gamma = None if result.config.get("logit_adjustment") else loss.posterior_gamma
        thresholds = THRESHOLD_RULES[rule].fit(
            validation.dense_labels,
            scores["validation"],
            train.label_counts / len(train),
            None if gamma is None else np.asarray(gamma),
        )
    return _Judged(train, validation, test, scores, thresholds)


def _judge(result: Result, rule: str, path: Path) -> Result:
    train, validation, test, scores, threshold = _judged(result, rule, path)
    changed = metrics_changed_by_thresholds()
    metrics = {}
    for split, corpus in (("validation", validation), ("test", test)):
        found = evaluate(corpus.dense_labels, scores[split], threshold, train.label_counts)
        known = result.metrics[split]["at_0.5"]
        exact = {name: value for name, value in known.items() if not changed.get(name, True)}
        metrics[split] = result.metrics[split] | {rule: found | exact}
    targets, decisions = test.dense_labels.astype(bool), binarize(scores["test"], threshold)
    common = {rule: float(threshold)} if isinstance(threshold, int | float) else {}
    labels = replace(
        result.labels,
        predicted=result.labels.predicted | {rule: decisions.sum(0)},
        true_positives=result.labels.true_positives | {rule: (decisions & targets).sum(0)},
        threshold=result.labels.threshold | common,
    )
    return replace(result, metrics=metrics, labels=labels)
