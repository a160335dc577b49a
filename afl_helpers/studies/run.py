"""Runs of a study: choose what to train, train it, keep the best candidate, and write its result file.

A result file is there whole or not at all. The study's folder ``.locks`` holds a lock for each run under way, and the
checkpoints of fine-tuned runs until their results are written.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from afl_helpers.data import Corpus, load_corpus
from afl_helpers.results import build_result, describe_data, read_result, write_result
from afl_helpers.studies.plan import METHODS, PlannedRun, Study, StudyCorpus
from afl_helpers.training import Head, Run, train_heads
from afl_helpers.training.config import Config, ProbeConfig
from afl_helpers.training.distributed import from_main, is_main, wait_for_all

Splits = tuple[Corpus, Corpus, Corpus]


class Candidate(NamedTuple):
    """A trained candidate: its configuration, its validation ``select_by``, and a function that returns its run."""

    config: Config
    score: float
    finish: Callable[[], Run]


@lru_cache(maxsize=2)
def corpus_splits(corpus: StudyCorpus, split_seed: int) -> tuple[Corpus, Splits]:
    """Return a corpus with the labels and documents that the study uses, and its (train, validation, test) splits."""
    whole = load_corpus(corpus.name)
    if corpus.min_count is not None or corpus.top is not None:
        whole = whole.select_labels(min_count=corpus.min_count, top=corpus.top)
    if corpus.n_documents is not None:
        whole = whole.sample(corpus.n_documents, seed=split_seed)
    if corpus.official_split is not None:
        return whole, whole.official_split(validation=corpus.official_split, seed=split_seed)
    return whole, whole.split(0.8, 0.1, 0.1, seed=split_seed)


def execute(study: Study, runs: Sequence[PlannedRun]) -> Iterator[Path]:
    """Do the runs of one of :meth:`Study.tasks`, and yield each result file when it is written.

    Runs that another process is doing, or has done in the meantime, are skipped.
    """
    with ExitStack() as locks:
        ours = _acquire(study, runs, locks) if is_main() else []
        names = set(from_main([run.name for run in ours]))
        for batch in _batches(study, [run for run in runs if run.name in names]):
            configs = [_candidates(study, run) for run in batch]
            for run, trained in zip(batch, _train(study, batch, configs)):
                yield from _write(study, run, _choose(trained).finish(), _tuned(study, trained))


def _acquire(study: Study, runs: Sequence[PlannedRun], locks: ExitStack) -> list[PlannedRun]:
    """Return the runs that are still to be done and that no other process is doing.

    They are ours until ``locks`` closes; the system releases the locks of a process that dies.
    """
    folder = study.folder / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    ours: list[PlannedRun] = []
    for run in runs:
        first = study.first_seed(run)
        if study.is_tuned(run.setting) and first not in (run, *ours) and not study.path(first).is_file():
            continue  # another process is doing the first seed, which chooses for this one
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
    for seed in study.seeds:
        if batch := [run for run in probes if run.seed == seed]:
            yield batch


# --- candidates -----------------------------------------------------------------------------------------------------


def _candidates(study: Study, run: PlannedRun) -> list[Config]:
    """Return all candidates on the first seed; on the others, the one that the first seed chose."""
    candidates = study.candidates(run.setting)
    first = study.first_seed(run)
    if len(candidates) == 1 or run == first:
        return candidates
    result = read_result(study.path(first))
    chosen = {name: result.config[name] for name in study.tune}
    return [type(candidates[0]).from_dict(candidates[0].to_dict() | chosen)]


# --- training -------------------------------------------------------------------------------------------------------


def _train(study: Study, batch: Sequence[PlannedRun], configs: Sequence[Sequence[Config]]) -> Iterator[list[Candidate]]:
    """Train the candidates of each run of a batch, and yield them run by run."""
    _, splits = corpus_splits(batch[0].corpus, study.split_seed)
    if study.method_of(batch[0].setting) == "probe":
        yield from _train_heads(batch, configs, splits)
    else:
        for run, own in zip(batch, configs):
            yield [_train_one(study, run, config, splits) for config in own]


def _train_heads(
    batch: Sequence[PlannedRun], configs: Sequence[Sequence[Config]], splits: Splits
) -> Iterator[list[Candidate]]:
    heads = [_head(run, config) for run, own in zip(batch, configs) for config in own]
    trained = iter(train_heads(*splits, heads, progress=False))
    for own in configs:
        yield [Candidate(config, head.score, head.run) for config, head in zip(own, islice(trained, len(own)))]


def _head(run: PlannedRun, config: Config) -> Head:
    assert isinstance(config, ProbeConfig)  # the class that METHODS names for a probe
    return Head(run.setting.loss, config, run.seed, run.setting.params)


def _train_one(study: Study, run: PlannedRun, config: Config, splits: Splits) -> Candidate:
    method = study.method_of(run.setting)
    options: dict[str, Any] = {}
    if method == "fine_tune":
        options["checkpoint_dir"] = checkpoint_folder(study, run) / _digest(study, run, config)
    trained = METHODS[method].train(
        *splits,
        loss=run.setting.loss,
        config=config,
        seed=run.seed,
        loss_params=run.setting.params,
        progress=False,
        **options,
    )
    return Candidate(config, trained.metrics["validation"]["at_0.5"][_select_by(config)], lambda: trained)


def _digest(study: Study, run: PlannedRun, config: Config) -> str:
    """Return a hash of all that decides what is trained, so that a changed study uses no old checkpoint."""
    content = [config.to_dict(), run.setting.loss, run.setting.params, run.corpus.to_dict(), study.split_seed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def checkpoint_folder(study: Study, run: PlannedRun) -> Path:
    """Return the folder of a fine-tuned run's checkpoints."""
    return study.folder / ".locks" / f"{run.name}.checkpoints"


def drop_checkpoints(study: Study) -> None:
    """Delete the checkpoints of finished runs, which a process leaves that is killed just after it wrote a result."""
    for run in study.runs():
        if study.path(run).is_file():
            shutil.rmtree(checkpoint_folder(study, run), ignore_errors=True)


# --- choosing and writing -------------------------------------------------------------------------------------------


def _choose(trained: Sequence[Candidate]) -> Candidate:
    """Return the candidate with the best score; of equal ones, the first."""
    return max(trained, key=lambda candidate: candidate.score)


def _select_by(config: Config) -> str:
    return getattr(config, "select_by", "average_precision_micro")


def _tuned(study: Study, trained: Sequence[Candidate]) -> list[dict[str, float]]:
    """Return the tuned fields and the score of each candidate; empty where there is only one."""
    if len(trained) == 1:
        return []
    return [
        {name: getattr(config, name) for name in study.tune} | {_select_by(config): score}
        for config, score, _ in trained
    ]


def _write(study: Study, planned: PlannedRun, run: Run, tuned: list[dict[str, float]]) -> Iterator[Path]:
    """Write the result file and yield its path; of processes that train together, only the main one does."""
    if is_main():
        whole, (train, validation, test) = corpus_splits(planned.corpus, study.split_seed)
        splits = {"train": train, "validation": validation, "test": test}
        result = build_result(
            run,
            train,
            test,
            study=study.name,
            name=planned.name,
            setting=planned.setting.name,
            tuned=tuned,
            data=describe_data(whole, splits, planned.corpus.to_dict(), study.split_seed),
        )
        write_result(study.path(planned), result)
        shutil.rmtree(checkpoint_folder(study, planned), ignore_errors=True)
        yield study.path(planned)
    wait_for_all()
