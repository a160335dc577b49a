"""Running runs of a study: each leaves one result file, whole, or none.

What belongs to runs under way lies in the study's folder ``.locks``: a lock each, and the checkpoints of fine-tuned
ones, which are deleted once the result is there.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from afl_helpers.data import Corpus, load_corpus
from afl_helpers.results import build_result, describe_data, read_result, write_result
from afl_helpers.studies.plan import METHODS, PlannedRun, Study
from afl_helpers.training import Head, Run, train_heads
from afl_helpers.training.distributed import from_main, is_main, wait_for_all


@lru_cache(maxsize=2)
def corpus_parts(
    corpus: tuple[tuple[str, object], ...], split_seed: int
) -> tuple[Corpus, tuple[Corpus, Corpus, Corpus]]:
    """A corpus with its kept labels and documents, and its split; ``corpus`` is the items of a study's entry."""
    options = dict(corpus)
    whole = load_corpus(options.pop("name"))
    n_documents = options.pop("n_documents", None)
    official = options.pop("official_split", None)
    if options:
        whole = whole.select_labels(**options)
    if n_documents is not None:
        whole = whole.sample(n_documents, seed=split_seed)
    if official is not None:
        return whole, whole.official_split(validation=official, seed=split_seed)
    return whole, whole.split(0.8, 0.1, 0.1, seed=split_seed)


def execute(study: Study, runs: Sequence[PlannedRun]) -> Iterator[Path]:
    """Do the runs of one of :meth:`Study.tasks`; yields each result file when it is written.

    A run that another process is at, or has done meanwhile, is left to it.
    """
    with ExitStack() as locks:
        ours = [run.name for run in runs if is_main() and _acquire(study, run, locks) and not study.path(run).is_file()]
        names = set(from_main(ours))
        mine = [run for run in runs if run.name in names]
        together = [run for run in mine if study.method_of(run.setting) == "probe"]
        for run in mine:
            if run not in together:
                yield from _write(study, run, *_train(study, run))
        for seed in sorted({run.seed for run in together}, key=study.seeds.index):
            batch = [run for run in together if run.seed == seed]
            for run, trained in zip(batch, _train_heads(study, batch)):
                yield from _write(study, run, *trained)


def _acquire(study: Study, run: PlannedRun, locks: ExitStack) -> bool:
    """Whether the run is ours until ``locks`` closes; a lock dies with its process."""
    folder = study.folder / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        locks.enter_context(FileLock(folder / f"{run.name}.lock").acquire(timeout=0))
    except Timeout:
        return False
    return True


def checkpoint_folder(study: Study, run: PlannedRun) -> Path:
    """Where a fine-tuned run under way keeps its checkpoints."""
    return study.folder / ".locks" / f"{run.name}.checkpoints"


def drop_checkpoints(study: Study) -> None:
    """Delete the checkpoints of runs that are done, which a process killed after its result left behind."""
    for run in study.runs():
        if study.path(run).is_file():
            shutil.rmtree(checkpoint_folder(study, run), ignore_errors=True)


def _candidates(study: Study, run: PlannedRun) -> list:
    """What to train: the candidates on the first seed, then the one that it chose."""
    candidates = study.candidates(run.setting)
    if len(candidates) == 1 or run.seed == study.seeds[0]:
        return candidates
    first = read_result(study.path(replace(run, seed=study.seeds[0])))
    return [replace(candidates[0], **{name: first["config"][name] for name in study.tune})]


def _tuned(study: Study, run: PlannedRun, select_by: str, scores: Sequence[float]) -> list[dict[str, object]]:
    """The candidates' values and validation scores, where there were several."""
    if len(scores) == 1:
        return []
    return [{**values, select_by: score} for values, score in zip(study.grid(run.setting), scores)]


def _train(study: Study, run: PlannedRun) -> tuple[Run, list[dict[str, object]]]:
    method = study.method_of(run.setting)
    function = METHODS[method][0]
    _, parts = _parts(study, run)
    trained = []
    for config in _candidates(study, run):
        options = {}
        if method == "fine_tune":
            options["checkpoint_dir"] = checkpoint_folder(study, run) / _digest(study, run, config.to_dict())
        trained.append(
            function(
                *parts,
                loss=run.setting.loss,
                config=config,
                seed=run.seed,
                loss_params=run.setting.params,
                progress=False,
                **options,
            )
        )
    select_by = getattr(trained[0].config, "select_by", "average_precision_micro")
    scores = [one.metrics["validation"]["at_0.5"][select_by] for one in trained]
    return trained[scores.index(max(scores))], _tuned(study, run, select_by, scores)


def _digest(study: Study, run: PlannedRun, config: dict[str, object]) -> str:
    """Of all in the study's file that decides what is trained: after a change, old checkpoints are not gone on from."""
    content = [config, run.setting.loss, run.setting.params, dict(run.corpus), study.split_seed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _train_heads(study: Study, batch: Sequence[PlannedRun]) -> Iterator[tuple[Run, list[dict[str, object]]]]:
    """Every candidate of every run as one problem; the best of each run."""
    _, parts = _parts(study, batch[0])
    candidates = [_candidates(study, run) for run in batch]
    heads = [
        Head(run.setting.loss, config, run.seed, run.setting.params)
        for run, configs in zip(batch, candidates)
        for config in configs
    ]
    trained = iter(train_heads(*parts, heads, progress=False))
    for run, configs in zip(batch, candidates):
        found = [next(trained) for _ in configs]
        best = max(found, key=lambda head: head.score)
        yield best.run(), _tuned(study, run, best.config.select_by, [head.score for head in found])


def _parts(study: Study, run: PlannedRun) -> tuple[Corpus, tuple[Corpus, Corpus, Corpus]]:
    return corpus_parts(tuple(sorted(run.corpus.items())), study.split_seed)


def _write(study: Study, planned: PlannedRun, run: Run, tuned: list[dict[str, object]]) -> Iterator[Path]:
    """Write the result file; of several processes that trained together, the main one alone."""
    if is_main():
        whole, parts = _parts(study, planned)
        train, validation, test = parts
        data = describe_data(whole, {"train": train, "validation": validation, "test": test})
        result = build_result(
            run,
            train,
            test,
            study=study.name,
            name=planned.name,
            setting={"name": planned.setting.name, "tuned": tuned},
            data=data | {"options": dict(planned.corpus), "split_seed": study.split_seed},
        )
        write_result(study.path(planned), result)
        shutil.rmtree(checkpoint_folder(study, planned), ignore_errors=True)
        yield study.path(planned)
    wait_for_all()
