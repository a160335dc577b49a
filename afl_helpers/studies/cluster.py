"""Running a study on several machines through Ray: `pip install "afl-helpers[ray]"`.

A worker gets its task and returns its results as objects and bytes, so the machines need no common file system. Each machine
needs the package and the data (``AFL_DATA_DIR`` or a download).
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from afl_helpers.errors import MissingFileError, StudyError
from afl_helpers.files import replacing
from afl_helpers.progress import progress_bar
from afl_helpers.results import Result, read_result, write_result
from afl_helpers.studies.plan import PlannedRun, Study
from afl_helpers.studies.run import execute
from afl_helpers.studies.study_file import load_study, read_study_file


def run_study_on_ray(
    study: Study,
    corpora: Iterable[str] | None = None,
    address: str | None = None,
    cpus_per_task: float = 1,
    gpus_per_task: float = 0,
    progress: bool = True,
) -> Iterator[Path]:
    """Run what is missing on a Ray cluster, and yield each result file when it is written on this machine.

    A task is run once more if it fails or its worker is killed.

    Args:
        address: the address of the cluster; None starts one on this machine, or uses the one that ``ray.init`` joined.
        cpus_per_task, gpus_per_task: what Ray reserves for a task; with a fraction of a GPU, several tasks share one.

    Raises:
        MissingFileError: Ray is not installed.
        StudyError: at the end, if runs failed; it names them and their errors.
    """
    try:
        import ray
    except ImportError:
        raise MissingFileError('Ray is not installed; run: pip install "afl-helpers[ray]"') from None
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    remote_work = ray.remote(num_cpus=cpus_per_task, num_gpus=gpus_per_task, max_retries=1, retry_exceptions=True)(
        _work
    )
    to_do = study.to_do(corpora)
    content = yaml.safe_dump(read_study_file(study.folder / "study.yaml"))
    failures: dict[str, list[str]] = {}
    with progress_bar(total=len(to_do), unit="run", desc=study.name, show=progress) as bar:
        # Pilot runs first: the others need their results.
        for wave in ([run for run in to_do if run.is_pilot], [run for run in to_do if not run.is_pilot]):
            waiting = {
                remote_work.remote(study.name, content, [run.name for run in task], _needed_results(study, task)): task
                for task in study.tasks([run for run in wave if study.is_ready(run)])
            }
            while waiting:
                [done], _ = ray.wait(list(waiting), num_returns=1)
                task = waiting.pop(done)
                try:
                    results, files = ray.get(done)
                except ray.exceptions.RayError as error:
                    line = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
                    failures.setdefault(line, []).extend(run.name for run in task)
                    continue
                for name, bytes_ in files.items():
                    with replacing(study.folder / name) as part:
                        part.write_bytes(bytes_)
                for run in task:
                    if run.name in results:
                        write_result(study.path(run), results[run.name])
                        bar.update()
                        yield study.path(run)
            blocked = [run.name for run in wave if not study.is_ready(run)]
            if blocked:
                failures.setdefault("its pilot run failed", []).extend(blocked)
    if failures:
        reasons = "; ".join(f"{', '.join(names)}: {error}" for error, names in failures.items())
        raise StudyError(f"{sum(map(len, failures.values()))} of {len(to_do)} runs failed and are missing: {reasons}")


def _needed_results(study: Study, task: list[PlannedRun]) -> dict[str, Result]:
    """Return the results that the task needs: those of the runs that chose the tuned fields for it."""
    choosers = [chooser for run in task if (chooser := study.chooser(run)) is not None]
    paths = {study.path(chooser) for chooser in choosers}
    return {path.stem: read_result(path) for path in paths if path.is_file()}


def _work(
    name: str, content: str, runs: list[str], needed: dict[str, Result]
) -> tuple[dict[str, Result], dict[str, bytes]]:
    """Do the named runs of a study, as the body of a task, and return their results, and the files of scores and epochs."""
    with tempfile.TemporaryDirectory(prefix="afl-study-") as folder:
        runs_folder = Path(folder) / name / "runs"
        runs_folder.mkdir(parents=True)
        (runs_folder.parent / "study.yaml").write_text(content, encoding="utf-8")
        for run, result in needed.items():
            write_result(runs_folder / f"{run}.json", result)
        study = load_study(name, folder)
        known = {run.name: run for run in (*study.pilots(), *study.runs())}
        results = {path.stem: read_result(path) for path in execute(study, [known[run] for run in runs])}
        files = [path for kind in ("scores", "epochs") for path in (study.folder / kind).glob("*")]
        own = {path.relative_to(study.folder).as_posix(): path.read_bytes() for path in files if path.stem in results}
        return results, own
