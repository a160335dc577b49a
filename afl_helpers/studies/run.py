"""Runs of a study: choose what to train, train it, keep the best candidate, and write its result file.

A result file is there whole or not at all. The scores of a run are written just before it. The study's folder ``.locks``
holds a lock for each run under way, and the checkpoints of fine-tuned runs until their results are written.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from afl_helpers.data import Corpus, load_corpus
from afl_helpers.data.own_files import TableOptions, read_corpus
from afl_helpers.errors import UsageError
from afl_helpers.results import Result, build_result, describe_data, read_result, write_result
from afl_helpers.results.record import of_pilot
from afl_helpers.studies.epochs import EpochRecord
from afl_helpers.studies.plan import METHODS, PlannedRun, Study, StudyCorpus
from afl_helpers.studies.scores import scores_path, write_scores
from afl_helpers.studies.tuning import at_edge, beyond_edge
from afl_helpers.training import Head, Run, selection_metrics, train_heads
from afl_helpers.training.assemble import OnEpoch
from afl_helpers.training.config import Config, EpochConfig, ProbeConfig
from afl_helpers.training.distributed import from_main, is_main, wait_for_all

Splits = tuple[Corpus, Corpus, Corpus]


class Candidate(NamedTuple):
    """A trained candidate: its configuration, its validation ``select_by``, and a function that returns its run."""

    config: Config
    score: float
    finish: Callable[[], Run]

    def values(self, names: Sequence[str]) -> dict[str, object]:
        """Return these fields of the configuration."""
        return {name: getattr(self.config, name) for name in names}


@lru_cache(maxsize=2)
def corpus_splits(corpus: StudyCorpus, split_seed: int) -> tuple[Corpus, Splits]:
    """Return a corpus with the labels and documents that the study uses, and its (train, validation, test) splits."""
    whole = _load(corpus)
    if corpus.min_count is not None or corpus.top is not None:
        whole = whole.select_labels(min_count=corpus.min_count, top=corpus.top)
    if corpus.n_documents is not None:
        whole = whole.sample(corpus.n_documents, seed=split_seed)
    if corpus.official_split is not None:
        return whole, whole.official_split(validation=corpus.official_split, seed=split_seed)
    if corpus.official_folds is not None:
        if not whole.n_folds:
            raise UsageError(f"corpus {corpus.name!r} has no official folds; leave official_folds out")
        fold = split_seed % whole.n_folds
        return whole, whole.official_split(validation=corpus.official_folds, fold=fold, seed=split_seed)
    if corpus.train is not None and corpus.validation is not None:
        train, validation = corpus.train / len(whole), corpus.validation / len(whole)
        if train + validation >= 1:
            raise UsageError(
                f"corpus {corpus.name!r} has {len(whole)} documents, too few for {corpus.train} of train and "
                f"{corpus.validation} of validation; ask for fewer"
            )
        return whole, whole.split(train, validation, 1 - train - validation, seed=split_seed)
    return whole, whole.split(0.8, 0.1, 0.1, seed=split_seed)


def _load(corpus: StudyCorpus) -> Corpus:
    if corpus.path is None:
        return load_corpus(corpus.name)
    options: dict[str, Any] = dict(corpus.reading or {})
    return read_corpus(TableOptions(**options), corpus.path, corpus.name)


def execute(study: Study, runs: Sequence[PlannedRun]) -> Iterator[Path]:
    """Do the runs of one of :meth:`Study.tasks`, and yield each result file when it is written.

    Runs that another process is doing, or has done in the meantime, are skipped.
    """
    with ExitStack() as locks:
        ours = _acquire(study, runs, locks) if is_main() else []
        names = set(from_main([run.name for run in ours]))
        for batch in _batches(study, [run for run in runs if run.name in names]):
            trained = _tune(study, batch) if batch[0].is_pilot else _train(study, batch, _configs(study, batch))
            for run, own in zip(batch, trained):
                best = max(own, key=lambda candidate: candidate.score)  # of equal ones, the first
                yield from _write(study, run, best.finish(), _trials(study, run, own, best))


def _acquire(study: Study, runs: Sequence[PlannedRun], locks: ExitStack) -> list[PlannedRun]:
    """Return the runs that are still to be done and that no other process is doing.

    They are ours until ``locks`` closes; the system releases the locks of a process that dies.
    """
    folder = study.folder / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    ours: list[PlannedRun] = []
    for run in runs:
        chooser = study.chooser(run)
        if chooser is not None and chooser not in (run, *ours) and not study.path(chooser).is_file():
            continue  # another process is doing the run that chooses for this one
        try:
            locks.enter_context(FileLock(folder / f"{run.name}.lock").acquire(timeout=0))
        except Timeout:
            continue
        if not study.path(run).is_file():
            ours.append(run)
    return ours


def _batches(study: Study, runs: Sequence[PlannedRun]) -> Iterator[list[PlannedRun]]:
    """Yield the runs that are trained together: the probes of one seed; every other run by itself.

    The first seed comes first, because it chooses for the others.
    """
    probes = [run for run in runs if study.method_of(run.setting) == "probe"]
    yield from ([run] for run in runs if study.method_of(run.setting) != "probe")
    for seed in study.seeds or dict.fromkeys(run.seed for run in probes):
        if batch := [run for run in probes if run.seed == seed]:
            yield batch


# --- candidates -----------------------------------------------------------------------------------------------------


def _configs(study: Study, batch: Sequence[PlannedRun]) -> list[list[Config]]:
    """Return the candidates of each run: all on the first seed, else the one that was chosen before."""
    configs = []
    for run in batch:
        chooser = study.chooser(run)
        if chooser is None or chooser == run:
            configs.append(study.candidates(run.setting, run.corpus))
        else:
            result = read_result(study.path(chooser))
            tuned = {name: result.config[name] for name in study.tuned_fields(run.setting)}
            configs.append([study.configure(run.setting, run.corpus, tuned)])
    return configs


def _tune(study: Study, batch: Sequence[PlannedRun]) -> list[list[Candidate]]:
    """Train the candidates of pilot runs, and more of them beyond the edges of the grid until no best value lies at one."""
    trained = list(_train(study, batch, [study.candidates(run.setting, run.corpus) for run in batch]))
    for _ in range(study.tune_extensions):
        more = [_beyond_edge(study, run, own) for run, own in zip(batch, trained)]
        if not any(more):
            break
        for own, new in zip(trained, _train(study, batch, more)):
            own.extend(new)
    return trained


def _beyond_edge(study: Study, run: PlannedRun, trained: Sequence[Candidate]) -> list[Config]:
    tune = study.tuned_fields(run.setting)
    tried = [candidate.values(list(tune)) for candidate in trained]
    best = max(trained, key=lambda candidate: candidate.score).values(list(tune))
    configs = []
    for values in beyond_edge(tune, tried, best):
        try:
            configs.append(study.configure(run.setting, run.corpus, values))
        except UsageError:  # the field cannot have this value, so the grid ends here
            continue
    return configs


# --- training -------------------------------------------------------------------------------------------------------


def splits_of(study: Study, run: PlannedRun) -> tuple[Corpus, Splits]:
    """Return the corpus of a run, and its splits. In a pilot run, validation stands in for test, which nobody looks at."""
    whole, (train, validation, test) = corpus_splits(run.corpus, study.split_seed_of(run))
    return whole, (train, validation, validation if run.is_pilot else test)


def _train(study: Study, batch: Sequence[PlannedRun], configs: Sequence[Sequence[Config]]) -> Iterator[list[Candidate]]:
    """Train the candidates of each run of a batch, and yield them run by run."""
    _, splits = splits_of(study, batch[0])
    if study.method_of(batch[0].setting) == "probe":
        heads = [_head(study, run, config, splits) for run, own in zip(batch, configs) for config in own]
        trained = iter(train_heads(*splits, heads, progress=False))
        for own in configs:
            yield [Candidate(config, head.score, head.run) for config, head in zip(own, islice(trained, len(own)))]
    else:
        for run, own in zip(batch, configs):
            yield [_train_one(study, run, config, splits) for config in own]


def _head(study: Study, run: PlannedRun, config: Config, splits: Splits) -> Head:
    assert isinstance(config, ProbeConfig)  # the class that METHODS names for a probe
    return Head(run.setting.loss, config, run.seed, run.loss_params, _epoch_record(study, run, config, splits))


def _train_one(study: Study, run: PlannedRun, config: Config, splits: Splits) -> Candidate:
    method = study.method_of(run.setting)
    options: dict[str, Any] = {}
    if method == "fine_tune":
        options["checkpoint_dir"] = checkpoint_folder(study, run) / _digest(study, run, config)
        options["on_epoch"] = _epoch_record(study, run, config, splits)
    trained = METHODS[method].train(
        *splits,
        loss=run.setting.loss,
        config=config,
        seed=run.seed,
        loss_params=run.loss_params,
        progress=False,
        **options,
    )
    metrics = selection_metrics(splits[1].dense_labels, trained.scores["validation"])
    return Candidate(config, metrics[_select_by(config)], lambda: trained)


def _epoch_record(study: Study, run: PlannedRun, config: Config, splits: Splits) -> OnEpoch | None:
    """Return what keeps the epochs of a run, in the blocks for which the study asks for it."""
    if run.is_pilot or run.block not in study.record_epochs or not isinstance(config, EpochConfig):
        return None
    path = study.folder / "epochs" / f"{run.name}.json"
    return EpochRecord(path, *splits[:2], config.epochs, study=study.name, run=run.name)


def _digest(study: Study, run: PlannedRun, config: Config) -> str:
    """Return a hash of all that decides what is trained, so that a changed study uses no old checkpoint."""
    corpus = run.corpus.to_dict()
    content = [config.to_dict(), run.setting.loss, run.loss_params, corpus, study.split_seed_of(run)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def checkpoint_folder(study: Study, run: PlannedRun) -> Path:
    """Return the folder of a fine-tuned run's checkpoints."""
    return study.folder / ".locks" / f"{run.name}.checkpoints"


def drop_checkpoints(study: Study) -> None:
    """Delete the checkpoints of finished runs, which a process leaves that is killed just after it wrote a result."""
    for run in (*study.pilots(), *study.runs()):
        if study.path(run).is_file():
            shutil.rmtree(checkpoint_folder(study, run), ignore_errors=True)


# --- writing --------------------------------------------------------------------------------------------------------


def _select_by(config: Config) -> str:
    return getattr(config, "select_by", "average_precision_micro")


def _trials(study: Study, run: PlannedRun, trained: Sequence[Candidate], best: Candidate) -> list[dict[str, Any]]:
    """Return the tuned fields and the score of each candidate; empty where there is only one.

    In a study with blocks they are those of the pilot run, and say which one was chosen.
    """
    chooser = study.chooser(run)
    if chooser is not None and chooser.is_pilot:
        return read_result(study.path(chooser)).tuned
    if len(trained) == 1:
        return []
    rows = []
    for candidate in trained:
        chosen = {"chosen": candidate is best} if run.is_pilot else {}
        rows.append(
            candidate.values(list(study.tuned_fields(run.setting)))
            | {_select_by(candidate.config): candidate.score}
            | chosen
        )
    return rows


def _write(study: Study, planned: PlannedRun, run: Run, trials: list[dict[str, Any]]) -> Iterator[Path]:
    """Write the result file and yield its path; of processes that train together, only the main one does."""
    path = study.path(planned)
    if is_main():
        whole, (train, validation, test) = splits_of(study, planned)
        splits = {"train": train, "validation": validation, "test": test}
        result = build_result(
            run,
            train,
            test,
            study=study.name,
            name=planned.name,
            setting=planned.setting.name,
            tuned=trials,
            data=describe_data(whole, splits, planned.corpus.to_dict(), study.split_seed_of(planned)),
            block=planned.block,
        )
        if planned.is_pilot:
            result = of_pilot(result)
        else:
            write_scores(scores_path(path), run.scores, validation, test)
        write_result(path, _judged(study, planned, result, trials))
        shutil.rmtree(checkpoint_folder(study, planned), ignore_errors=True)
        yield path
    wait_for_all()


def _judged(study: Study, run: PlannedRun, result: Result, trials: Sequence[Mapping[str, Any]]) -> Result:
    """Return a result of a study with blocks as not converged if one of its tuned fields is at the edge of what was tried."""
    chosen = next((trial for trial in trials if trial.get("chosen")), None)
    if chosen is None:
        return result
    edges = at_edge(study.tuned_fields(run.setting), trials, chosen)
    if not edges:
        return result
    reason = f"tuned at an edge of what was tried: {', '.join(f'{name} {chosen[name]:g}' for name in edges)}"
    return replace(result, time=replace(result.time, converged=False, reason=reason))
