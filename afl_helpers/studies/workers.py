"""Running what is missing of a study: in this process, or in several side by side."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path

from afl_helpers.errors import DataError, MissingFileError, StorageError, StudyError, UsageError, first_line
from afl_helpers.progress import progress_bar
from afl_helpers.studies.plan import PlannedRun, Study, load_study
from afl_helpers.studies.run import drop_checkpoints, execute
from afl_helpers.training.distributed import from_main, is_main, n_processes

#: Seconds between two looks at what the processes have written.
_INTERVAL = 0.5

#: Seconds that a process may take to end itself; one in a library's loop does not hear until it is out of it.
_PATIENCE = 5


def run_study(
    study: Study, corpora: Iterable[str] | None = None, progress: bool = True, jobs: int = 1
) -> Iterator[Path]:
    """Run what is missing, on the named corpora or all; yields each result file when it is written.

    A run that fails is tried once more at the end, apart from the runs of other settings. Runs that another process is
    at are left to it. A fine-tuned run that was stopped goes on from its last epoch. Started by ``accelerate launch`` or
    ``torchrun``, the processes train each run together.

    Args:
        jobs: processes side by side, each with its share of the cores; 1 is this process itself.

    Raises:
        StudyError: at the end, if runs failed twice; it names them and their errors.
        StorageError: at once, if a file cannot be written, since the next could not be either.
    """
    if not isinstance(jobs, int) or jobs < 1:
        raise UsageError(f"jobs is {jobs!r}; pass a whole number of at least 1")
    if jobs > 1 and n_processes() > 1:
        raise UsageError("jobs side by side and a launcher's processes do not mix; leave jobs at 1")
    if is_main():
        drop_checkpoints(study)
    names = set(from_main([run.name for run in study.missing(corpora)]))
    missing = [run for run in study.runs() if run.name in names]
    failures: dict[str, list[str]] = {}
    queue = deque((task, 1) for task in study.tasks(missing))
    with progress_bar(total=len(missing), unit="run", desc=study.name, show=progress and is_main()) as bar:
        for path in (_alone if jobs == 1 else _side_by_side)(study, queue, failures, jobs):
            bar.update()
            bar.set_postfix_str(path.stem)
            yield path
    if failures:
        reasons = "; ".join(f"{', '.join(names)}: {error}" for error, names in failures.items())
        n = sum(map(len, failures.values()))
        raise StudyError(f"{n} of {len(missing)} runs failed and are missing: {reasons}")


def _failed(
    study: Study,
    task: Sequence[PlannedRun],
    attempt: int,
    error: str,
    again: bool,
    queue: deque,
    failures: dict[str, list[str]],
) -> None:
    """Put what is left of a task back once, setting by setting, unless a second try cannot help; else note it."""
    left = [run for run in task if not study.path(run).is_file()]
    if not left:
        return
    if again and attempt == 1:
        print(f"{study.name}: {left[0].name} failed ({error}); it is tried once more", file=sys.stderr)
        queue.extend((piece, 2) for piece in study.tasks(left, heads=1))
    else:
        failures.setdefault(error, []).extend(run.name for run in left)


def _alone(study: Study, queue: deque, failures: dict[str, list[str]], jobs: int) -> Iterator[Path]:
    while queue:
        task, attempt = queue.popleft()
        try:
            yield from execute(study, task)
        except StorageError:
            raise
        except Exception as error:
            _failed(study, task, attempt, *_described(error), queue, failures)


def _side_by_side(study: Study, queue: deque, failures: dict[str, list[str]], jobs: int) -> Iterator[Path]:
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    running: dict[object, tuple] = {}
    try:
        while queue or running:
            while queue and len(running) < jobs:
                task, attempt = queue.popleft()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_work,
                    args=(study.name, study.folder.parent, [run.name for run in task], threads, theirs),
                    daemon=True,
                )
                with _no_interrupts():
                    process.start()
                theirs.close()
                running[process.sentinel] = (process, ours, task, attempt, set())
            ended = wait(list(running), timeout=_INTERVAL)
            for _, _, task, _, seen in running.values():
                yield from _new(study, task, seen)
            for sentinel in ended:
                process, ours, task, attempt, _ = running.pop(sentinel)
                process.join()
                if process.exitcode:
                    found = _received(ours) or (f"its process ended with code {process.exitcode}", True)
                    if isinstance(found, StorageError):
                        raise found
                    _failed(study, task, attempt, *found, queue, failures)
    finally:
        for process, *_ in running.values():
            process.terminate()
        for process, *_ in running.values():
            process.join(_PATIENCE)
            process.kill()
            process.join()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """A process started in here never sees Ctrl-C, which a terminal sends to all: its parent does, and ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started with the first process otherwise, which lets interrupts in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _new(study: Study, task: Sequence[PlannedRun], seen: set[str]) -> Iterator[Path]:
    """The result files of a task that were not there at the last look."""
    for run in task:
        if run.name not in seen and study.path(run).is_file():
            seen.add(run.name)
            yield study.path(run)


def _received(connection: Connection) -> tuple[str, bool] | StorageError | None:
    try:
        return connection.recv()
    except EOFError:
        return None


def _end(*_) -> None:
    """End as a process does that is done, so that nothing is left; and say nothing, wherever the signal struck."""
    sys.stderr = open(os.devnull, "w")
    sys.exit(143)


def _work(name: str, folder: Path, runs: Sequence[str], threads: int, errors: Connection) -> None:
    """The body of a process: the named runs of a study."""
    import torch

    signal.signal(signal.SIGTERM, _end)
    torch.set_num_threads(threads)
    study = load_study(name, folder)
    try:
        for _ in execute(study, [run for run in study.runs() if run.name in set(runs)]):
            pass
    except Exception as error:
        errors.send(error if isinstance(error, StorageError) else _described(error))
        sys.exit(1)


def _described(error: Exception) -> tuple[str, bool]:
    """One line, and whether a second try may help: not where the input is wrong."""
    wrong_input = isinstance(error, UsageError | DataError | MissingFileError)
    line = first_line(error)
    return (line if wrong_input else f"{type(error).__name__}: {line}"), not wrong_input


def estimate_seconds(
    study: Study, runs: Sequence[PlannedRun], results: Sequence[dict[str, object]]
) -> tuple[float, int]:
    """How long the runs should take one after the other, from the time that recorded runs took.

    A run is taken to last as long as the mean of the recorded runs that are nearest to it: of this study, corpus and
    setting; else of this study and corpus; else of this study; else, for each epoch, document and token, of the same
    method and encoder. Tuning counts once for each candidate.

    Returns:
        seconds, and the number of runs that are not in them because none of that kind is on record.
    """
    total, unknown = 0.0, 0
    for run in runs:
        seconds = _seconds_of_one(study, run, results)
        if seconds is None:
            unknown += 1
        else:
            total += seconds * (len(study.candidates(run.setting)) if run.seed == study.seeds[0] else 1)
    return total, unknown


def _seconds_of_one(study: Study, run: PlannedRun, results: Sequence[dict[str, object]]) -> float | None:
    own = [result for result in results if result["study"] == study.name]
    same_corpus = [result for result in own if result["data"]["corpus"] == run.corpus["name"]]
    same_setting = [result for result in same_corpus if result["setting"]["name"] == run.setting.name]
    for group in (same_setting, same_corpus, own):
        if group:
            return sum(result["time"]["seconds"] for result in group) / len(group)
    config = study.candidates(run.setting)[0]
    like = [
        result
        for result in results
        if result["config"]["method"] == study.method_of(run.setting)
        and result["encoder"] == getattr(config, "encoder", None)
    ]
    sizes = [
        result["data"]["parts"]["train"] for result in results if result["data"]["corpus"] == run.corpus["name"]
    ] or ([round(0.8 * run.corpus["n_documents"])] if "n_documents" in run.corpus else [])
    if not like or not sizes:
        return None
    unit = sum(
        result["time"]["seconds"]
        / (result["time"]["epochs"] * result["data"]["parts"]["train"] * result["config"].get("max_length", 1))
        for result in like
    ) / len(like)
    epochs = min(config.epochs, max(result["time"]["epochs"] for result in like))
    return unit * epochs * max(sizes) * getattr(config, "max_length", 1)


def describe_seconds(seconds: float) -> str:
    """Such as "about 2 h 10 min".

    Example:
        >>> from afl_helpers.studies import describe_seconds
        >>> describe_seconds(7800)
        'about 2 h 10 min'
    """
    minutes = max(1, round(seconds / 60))
    return f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {minutes} min"
