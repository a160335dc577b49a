"""Running the missing runs of a study, in this process or in several side by side.

Why not ``concurrent.futures.ProcessPoolExecutor``: when one of its workers is killed, it ends all others too, says
neither which run killed it nor by which signal, and before Python 3.14 it cannot be told to end its workers.
"""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

import torch

from afl_helpers.errors import DataError, MissingFileError, StorageError, StudyError, UsageError
from afl_helpers.progress import progress_bar
from afl_helpers.studies.plan import PlannedRun, Study
from afl_helpers.studies.run import drop_checkpoints, execute
from afl_helpers.studies.study_file import load_study
from afl_helpers.training.distributed import from_main, is_main, n_processes

#: Seconds between two checks for new result files.
_INTERVAL = 0.5

#: Seconds that a process gets to end by itself; it cannot react while it is inside a library's own loop.
_PATIENCE = 5


def run_study(
    study: Study, corpora: Iterable[str] | None = None, progress: bool = True, jobs: int = 1
) -> Iterator[Path]:
    """Do the missing runs, on the named corpora or on all, and yield each result file when it is written.

    A run that fails is tried once more at the end, apart from the runs of other settings. Runs that another process is
    doing are left to it. A fine-tuned run that was stopped continues after its last complete epoch. With
    ``accelerate launch`` or ``torchrun``, the processes train each run together.

    Args:
        jobs: the number of processes side by side, each with its share of the cores; with 1, this process does all.

    Raises:
        StudyError: at the end, if runs failed twice; it names them and their errors.
        StorageError: at once, if a file cannot be written, because the next could not be written either.
    """
    if not isinstance(jobs, int) or jobs < 1:
        raise UsageError(f"jobs is {jobs!r}; pass a whole number of at least 1")
    if jobs > 1 and n_processes() > 1:
        raise UsageError(f"jobs is {jobs}, but a launcher has started {n_processes()} processes; leave jobs at 1")
    if is_main():
        drop_checkpoints(study)
    names = from_main([run.name for run in study.to_do(corpora)])
    runs = {run.name: run for run in (*study.pilots(), *study.runs())}
    missing = [runs[name] for name in names]
    queue = _Queue(study, missing)
    with progress_bar(total=len(missing), unit="run", desc=study.name, show=progress and is_main()) as bar:
        for path in _in_this_process(study, queue) if jobs == 1 else _side_by_side(study, queue, jobs):
            bar.update()
            bar.set_postfix_str(path.stem)
            yield path
    queue.give_up()
    if queue.failures:
        reasons = "; ".join(f"{', '.join(names)}: {error}" for error, names in queue.failures.items())
        n = sum(map(len, queue.failures.values()))
        raise StudyError(f"{n} of {len(missing)} runs failed and are missing: {reasons}")


@dataclass(frozen=True)
class _Task:
    runs: list[PlannedRun]
    attempt: int = 1


class _Queue:
    """The tasks that are still to be done, and the names of the runs that failed for good, by error."""

    def __init__(self, study: Study, runs: Sequence[PlannedRun]):
        self._study = study
        self.tasks = deque(_Task(task) for task in study.tasks(runs))
        self.failures: dict[str, list[str]] = {}

    def take(self) -> _Task | None:
        """Take out the first task whose pilot runs are done, or else a part of one; None if all that is left waits."""
        tasks = [(task, [run for run in task.runs if self._study.is_ready(run)]) for task in self.tasks]
        for task, ready in sorted(tasks, key=lambda pair: len(pair[1]) < len(pair[0].runs)):
            if ready:
                waiting = [run for run in task.runs if run not in ready]
                self.tasks[self.tasks.index(task)] = _Task(waiting, task.attempt)
                if not waiting:
                    self.tasks.remove(_Task(waiting, task.attempt))
                return _Task(ready, task.attempt)
        return None

    def give_up(self) -> None:
        """Record the tasks that are left as failed if a pilot run failed; otherwise another process does the pilot run."""
        failed = {name for names in self.failures.values() for name in names}
        for task in self.tasks:
            waiting = [run for run in task.runs if (pilot := self._study.chooser(run)) and pilot.name in failed]
            if waiting:
                self.failures.setdefault("its pilot run failed", []).extend(run.name for run in waiting)

    def failed(self, task: _Task, error: str, try_again: bool) -> None:
        """Put what is left of a task back once, setting by setting; record it as failed if a retry cannot help."""
        left = [run for run in task.runs if not self._study.path(run).is_file()]
        if not left:
            return
        if try_again and task.attempt == 1:
            print(f"{self._study.name}: {left[0].name} failed ({error}); it is tried once more", file=sys.stderr)
            self.tasks.extend(_Task(again, 2) for again in self._study.tasks(left, heads=1))
        else:
            self.failures.setdefault(error, []).extend(run.name for run in left)


def _in_this_process(study: Study, queue: _Queue) -> Iterator[Path]:
    while task := queue.take():
        try:
            yield from execute(study, task.runs)
        except StorageError:
            raise
        except Exception as error:
            queue.failed(task, *_describe(error))


def _describe(error: Exception) -> tuple[str, bool]:
    """Return the error in one line, and whether a retry may help: it does not if the input is wrong."""
    text = str(error).strip()
    wrong_input = isinstance(error, UsageError | DataError | MissingFileError)
    line = text.splitlines()[0] if text else type(error).__name__
    return (line if wrong_input else f"{type(error).__name__}: {line}"), not wrong_input


# --- processes side by side -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Worker:
    """A process that does one task and then ends."""

    process: SpawnProcess
    errors: Connection
    task: _Task
    seen: set[str] = field(default_factory=set)

    def new_results(self, study: Study) -> Iterator[Path]:
        """Yield the result files that were not there at the last call."""
        for run in self.task.runs:
            if run.name not in self.seen and study.path(run).is_file():
                self.seen.add(run.name)
                yield study.path(run)

    def error(self) -> tuple[str, bool] | StorageError:
        """Return what the process sent before it ended, or how it ended."""
        try:
            return self.errors.recv()
        except EOFError:
            return f"its process ended with code {self.process.exitcode}", True


def _side_by_side(study: Study, queue: _Queue, jobs: int) -> Iterator[Path]:
    running: list[_Worker] = []
    try:
        while True:
            while len(running) < jobs and (task := queue.take()):
                with _no_interrupts():  # until it is listed, and so is ended below
                    running.append(_start(study, task, max(1, (os.cpu_count() or 1) // jobs)))
            if not running:
                break
            ended = wait([worker.process.sentinel for worker in running], timeout=_INTERVAL)
            for worker in running:
                yield from worker.new_results(study)
            for worker in [worker for worker in running if worker.process.sentinel in ended]:
                running.remove(worker)
                worker.process.join()
                if worker.process.exitcode:
                    error = worker.error()
                    if isinstance(error, StorageError):
                        raise error
                    queue.failed(worker.task, *error)
    finally:
        for worker in running:
            worker.process.terminate()
        for worker in running:
            worker.process.join(_PATIENCE)
            worker.process.kill()
            worker.process.join()


def _start(study: Study, task: _Task, threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    names = [run.name for run in task.runs]
    process = context.Process(target=_work, args=(study.name, study.folder.parent, names, threads, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, task)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C. A terminal sends it to all processes; the parent receives it and ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # otherwise it starts with the first process, and lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(name: str, folder: Path, names: Sequence[str], threads: int, errors: Connection) -> None:
    """Do the named runs of a study, as the body of a process."""
    signal.signal(signal.SIGTERM, _end)
    torch.set_num_threads(threads)
    study = load_study(name, folder)
    runs = {run.name: run for run in (*study.pilots(), *study.runs())}
    try:
        for _ in execute(study, [runs[name] for name in names]):
            pass
    except Exception as error:
        errors.send(error if isinstance(error, StorageError) else _describe(error))
        sys.exit(1)


def _end(number: int, frame: FrameType | None) -> None:
    """End in the regular way, so that temporary files are removed, and without a traceback on stderr."""
    sys.stderr = open(os.devnull, "w")
    sys.exit(143)
