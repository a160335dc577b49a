"""The primary comparison of a study: whether all of its runs are there, and what they say."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from afl_helpers.arrays import check_whole
from afl_helpers.errors import DataError, MissingFileError, UsageError, check_choice
from afl_helpers.evaluation.document_intervals import POPULATION_METRICS
from afl_helpers.results import Result, compare, find_results, read_all_studies, read_study
from afl_helpers.results.comparison import replicate
from afl_helpers.results.titles import endpoint_title
from afl_helpers.studies.plan import PlannedRun, Primary, Study
from afl_helpers.studies.rescoring import kept_decisions
from afl_helpers.studies.scores import command_for, scores_path
from afl_helpers.studies.study_file import load_study


def compare_study(study: Study | str, folder: str | Path | None = None) -> pd.DataFrame:
    """Make the comparison that a study's file declares as ``primary``.

    The unit is the one that the file names. Without one it is the block, or the seed where the runs have no blocks.

    Args:
        study: a study, or its name.
        folder: the folder of the studies; :func:`~afl_helpers.results.find_results` finds it unless given.

    Returns:
        One row per comparison, as :func:`~afl_helpers.results.compare` returns it.

    Raises:
        MissingFileError: there is no such study.
        UsageError: the study declares no primary comparison.
        DataError: planned runs of the primary settings are missing, or the runs cannot be compared.
    """
    study, primary, results = _primary_results(study, folder)
    table = compare(
        results,
        setting=primary.setting,
        against=primary.against,
        endpoints=primary.endpoints,
        unit=_unit(study, results),
        margin=primary.margin,
        family=primary.correct_within or primary.family or f"primary question of {study.name}",
    )
    if _moved(study, results):
        table[["outcome", "outcome_plain"]] = "not converged"
    return table


def compare_documents(
    study: Study | str, block: int, folder: str | Path | None = None, *, corpus: str | None = None
) -> pd.DataFrame:
    """Compare the trained models of one block over its test documents, as a study's file declares in ``primary``.

    This says how sure it is that these models differ, on endlessly many documents of the same kind. Whether models from
    another split or seed would differ is said by :func:`compare_study`, and so is whether the settings have converged.
    Only macro and micro F1 can be compared; other endpoints are left out.

    Args:
        study, folder: as in :func:`compare_study`.
        block: the block, or the seed in a study without blocks.
        corpus: compare on this corpus alone.

    Returns:
        One row per comparison, as :func:`~afl_helpers.results.compare` returns it.

    Raises:
        MissingFileError: there is no such study, or scores of the block's runs are not kept here; the message has the
            commands that make them again.
        UsageError: the study declares no primary comparison in macro or micro F1, or has no such block or corpus.
        DataError: planned runs of the primary settings are missing, or the runs cannot be compared.
    """
    study, primary, results = _primary_results(study, folder)
    block = check_whole(block, "block", 0)
    endpoints = [name for name in primary.endpoints if name.partition("@")[0] in POPULATION_METRICS]
    if not endpoints:
        raise UsageError(
            f"study {study.name!r} asks about {', '.join(primary.endpoints)}; over documents only "
            f"{' and '.join(POPULATION_METRICS)} can be compared"
        )
    results = [run for run in results if run.setting in primary.settings]
    if corpus is not None:
        check_choice("corpus", corpus, dict.fromkeys(run.data.corpus for run in results))
        results = [run for run in results if run.data.corpus == corpus]
    replicates = sorted({replicate(run) for run in results})
    if block not in replicates:
        kind = "seed" if results[0].block is None else "block"
        raise UsageError(f"study {study.name!r} has no {kind} {block}; it has {', '.join(map(str, replicates))}")
    own = [run for run in results if replicate(run) == block]
    _check_scores(study, own)
    family = f"{primary.family or f'primary question of {study.name}'}, over documents of block {block}"
    return compare(
        own,
        setting=primary.setting,
        against=primary.against,
        endpoints=endpoints,
        unit="document",
        margin=primary.margin,
        family=primary.correct_within or family,
        block=block,
        decisions=partial(kept_decisions, folder=study.folder.parent),
    )


def _primary_results(study: Study | str, folder: str | Path | None) -> tuple[Study, Primary, list[Result]]:
    """Return a study that is complete, its primary comparison and the runs of it."""
    study = _loaded(study, folder)
    if study.primary is None:
        raise UsageError(f"study {study.name!r} declares no primary comparison; pass its runs to results.compare")
    check_complete(study)
    planned = {run.name for run in primary_runs(study)}
    results = [run for run in read_study(study.name, study.folder.parent) if run.run in planned]
    return study, study.primary, results


def _check_scores(study: Study, results: Sequence[Result]) -> None:
    """Refuse runs whose scores are not kept here, all of them in one message."""
    paths = [scores_path(study.folder / "runs" / f"{run.run}.json") for run in results]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        commands = "".join(f"\n  {command_for(path)}" for path in missing)
        raise MissingFileError(
            f"the scores of {len(missing)} of {len(paths)} runs are not here; make them with:{commands}"
        )


def convergence_shifts(study: Study | str, folder: str | Path | None = None) -> pd.DataFrame:
    """Return by how much the endpoints of a study move when its settings are trained for longer.

    Args:
        study, folder: as in :func:`compare_study`.

    Returns:
        One row per setting of ``primary.convergence``, endpoint and block: ``setting, longer, endpoint, block, shift``, the
        shift being the longer run minus the other.

    Raises:
        MissingFileError, UsageError, DataError: as :func:`compare_study` does.
    """
    study = _loaded(study, folder)
    compare_study(study)  # refuses a study that is not complete
    results, primary = read_study(study.name, study.folder.parent), study.primary
    assert primary is not None
    rows = [
        (setting, longer, endpoint, block, shift)
        for setting, longer in primary.convergence.items()
        for endpoint in primary.endpoints
        for block, shift in _shifts(study, results, setting, endpoint)
    ]
    return pd.DataFrame(rows, columns=["setting", "longer", "endpoint", "block", "shift"])


def _moved(study: Study, results: Sequence[Result]) -> str:
    """Say which endpoints move by the margin or more when a setting is trained for longer; empty if none does."""
    if study.primary is None:
        return ""
    margin, found = study.primary.margin, []
    for endpoint in study.primary.endpoints:
        moved = [
            f"{setting} by {shift:+z.3f}"
            for setting in study.primary.convergence
            for _, shift in _shifts(study, results, setting, endpoint)
            if abs(shift) >= margin
        ]
        if moved:
            found.append(f"longer training moves {' and '.join(moved)} in {endpoint_title(endpoint)}")
    return "; ".join(found)


def _shifts(study: Study, results: Sequence[Result], setting: str, endpoint: str) -> list[tuple[int | None, float]]:
    """Return (block, endpoint of the longer run of a setting minus that of the setting), one per longer run."""
    longer = study.primary.convergence.get(setting) if study.primary else None
    own = {(run.data.corpus, run.block): run for run in results if run.setting == setting}
    return [
        (run.block, run.metric(endpoint) - own[run.data.corpus, run.block].metric(endpoint))
        for run in results
        if longer is not None and run.setting == longer
    ]


def primary_runs(study: Study) -> list[PlannedRun]:
    """Return the planned runs of a study's primary comparison, or all runs where it declares none.

    A corpus or a setting that has only some of the blocks is exploratory, and no part of it. The longer runs that show
    whether a setting converged are part of it.
    """
    if study.primary is None:
        return study.runs()
    longer = study.primary.convergence.values()
    return [run for run in study.runs() if run.setting.name in longer or not study.is_exploratory(run)]


def describe_progress(study: Study) -> str | None:
    """Return ``"running: 7 of 18 runs"`` for a study whose primary settings lack runs, or None where none is missing.

    Where none is there yet, it is ``"registered and not begun: 0 of 18 runs"``.
    """
    planned = primary_runs(study)
    done = sum(study.path(run).is_file() for run in planned)
    state = "running" if done else "registered and not begun"
    return None if done == len(planned) else f"{state}: {done} of {len(planned)} runs"


def check_complete(*studies: Study | str, folder: str | Path | None = None) -> None:
    """Refuse studies of which primary runs are missing, so that nobody looks at their test figures early.

    Args:
        studies, folder: as in :func:`compare_study`.

    Raises:
        MissingFileError: there is no such study.
        DataError: a study is running, or has not begun.
    """
    for study in studies:
        planned = _loaded(study, folder)
        progress = describe_progress(planned)
        if progress:
            command = f"python -m afl_helpers study {planned.name}"
            raise DataError(f"{planned.name} is {progress}; nothing of it is shown before all are there: {command}")


def complete_results(
    folder: str | Path | None = None, *, study: str | None = None, corpus: str | None = None
) -> tuple[list[Result], list[str]]:
    """Read the runs that may be compared: of each study, the settings of which no planned run is missing.

    Nothing of a study whose primary comparison is not complete is returned, so that nobody looks at it early. A study
    without blocks is returned as it is.

    Args:
        folder: the folder of the studies; :func:`~afl_helpers.results.find_results` finds it unless given.
        study: read this study alone.
        corpus: return the runs on this corpus alone.

    Returns:
        The runs, without pilot runs; and a sentence for each study that has begun and does not count, such as
        ``"frozen-encoder is running: 7 of 120 runs; it counts when it is complete."``, because runs are missing or because
        the longer runs that the study declares say that it has not converged. Both are empty where there is no folder of results.

    Raises:
        MissingFileError: there is no such study.
        DataError: a result file is broken or was changed.
    """
    if folder is None:
        try:
            folder = find_results()
        except MissingFileError:
            return [], []
    every = read_all_studies(folder) if study is None else read_study(study, folder)
    found, running = [], []
    for name, runs in itertools.groupby(every, lambda result: result.study):
        results = list(runs)
        plan = load_study(name, folder)
        progress = describe_progress(plan) if plan.primary else None
        if progress:
            running.append(f"{name} is {progress}; it counts when it is complete.")
        elif moved := _moved(plan, results):
            running.append(f"{name} has not converged, and does not count: {moved}.")
        elif plan.blocks:
            missing = {(run.corpus.name, run.setting.name) for run in plan.missing()}
            found += [run for run in results if (run.data.corpus, run.setting) not in missing]
        else:
            found += results
    return [run for run in found if corpus in (None, run.data.corpus)], running


def complete_blocks(
    study: Study | str, folder: str | Path | None = None, *, while_running: bool = False
) -> list[Result]:
    """Return the runs of a study's primary settings, from the blocks (or seeds) that have all of them.

    Args:
        study, folder: as in :func:`compare_study`.
        while_running: return the blocks that are complete while others are not, to draw what a first block looks like.
            They answer no question of the study.

    Raises:
        MissingFileError: there is no such study.
        DataError: the study is not complete, unless ``while_running``; or a result file is broken or was changed.
    """
    study = _loaded(study, folder)
    if not while_running:
        check_complete(study)
    planned = primary_runs(study)
    lacking = {(run.block, run.seed) for run in planned if not study.path(run).is_file()}
    complete = {run.name for run in planned if (run.block, run.seed) not in lacking}
    return [result for result in read_study(study.name, study.folder.parent) if result.run in complete]


def describe_convergence(study: Study | str, folder: str | Path | None = None) -> str:
    """Say how many runs of a study's primary comparison do not count as converged, and why; empty if all do.

    Args:
        study, folder: as in :func:`compare_study`.

    Example:
        >>> from afl_helpers.studies import describe_convergence
        >>> describe_convergence("word-vectors")
        '3 of 20 runs do not count as converged: the best epoch lies within the patience of the cap.'
    """
    study = _loaded(study, folder)
    planned = {run.name for run in primary_runs(study)}
    runs = [run for run in read_study(study.name, study.folder.parent) if run.run in planned]
    late = [run for run in runs if run.time.converged is False]
    if not late:
        return ""
    # "tuned at an edge of what was tried: strength 8", "the best epoch, 29, lies within the patience of the cap of 30"
    reasons = Counter(
        re.sub(r", \d+,| of \d+$", "", str(run.time.reason or "it says no more").partition(":")[0]) for run in late
    )
    why = "; ".join(f"{reason} ({count})" if len(reasons) > 1 else reason for reason, count in reasons.most_common())
    return f"{len(late)} of {len(runs)} runs do not count as converged: {why}."


def describe_shifts(study: Study | str, folder: str | Path | None = None) -> str:
    """Say by how much longer training moves the endpoints of a study, if by its margin or more; else empty.

    Args:
        study, folder: as in :func:`compare_study`.
    """
    study = _loaded(study, folder)
    return _moved(study, read_study(study.name, study.folder.parent))


def _loaded(study: Study | str, folder: str | Path | None) -> Study:
    return study if isinstance(study, Study) else load_study(study, find_results() if folder is None else folder)


def _unit(study: Study, results: Sequence[Result]) -> Literal["block", "seed"]:
    unit = study.primary.unit if study.primary else None
    if unit is None:
        return "seed" if all(run.block is None for run in results) else "block"
    return "block" if unit == "block" else "seed"
