"""Run chapters side by side and keep their outputs in the cache from which jupyter-book takes them.

By itself jupyter-book runs them one after the other, and most of a chapter's seconds are imports, which use one core.
A chapter that fails is not kept: jupyter-book then runs it again and reports what is wrong.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution

# A kernel says on stderr that its connection to this machine is not encrypted; nothing is wrong.
QUIET = "--log-level=ERROR"
#: Chapters that take much longer than the others.
SLOW = ("fine-tuning",)


def prepare(variables: Mapping[str, str]) -> None:
    """Give a worker its kernels' variables, and a process group of its own, so that Ctrl-C reaches the build alone."""
    os.environ.update(variables)
    if hasattr(os, "setpgrp"):  # Windows has none
        os.setpgrp()


def execute(path: Path, timeout: int) -> tuple[nbformat.NotebookNode, float] | None:
    """The chapter with its outputs and the seconds it took; None where a cell failed, or the kernel died."""
    notebook = nbformat.read(path, as_version=4)
    try:
        # On a busy machine a kernel may take longer to start than the minute that it gets by default.
        options = {"extra_arguments": [QUIET], "startup_timeout": max(60, timeout)}
        done = single_nb_execution(notebook, str(path.parent), timeout, allow_errors=False, **options)
    except (RuntimeError, TimeoutError):  # it died, as where memory is too small for two, or did not even start
        return None
    return None if done.err else (notebook, done.time)


def is_cached(cache, path: Path) -> bool:
    try:
        cache.match_cache_notebook(nbformat.read(path, as_version=4))
    except KeyError:
        return False
    return True


def run_chapters(
    paths: Sequence[Path], cache_folder: Path, timeout: int, environment: Mapping[str, str], n_jobs: int
) -> None:
    """Run the chapters whose outputs are not in the cache, ``n_jobs`` at a time, each with its share of the cores.

    Args:
        paths: notebooks, in the order in which they are begun.
        cache_folder: the cache; made where it is missing.
        timeout: seconds a cell may take.
        environment: variables of the kernels.
    """
    cache = get_cache(str(cache_folder))
    missing = [path for path in paths if not is_cached(cache, path)]
    threads = str(max(1, (os.cpu_count() or 1) // n_jobs))
    variables = {"OMP_NUM_THREADS": threads} | dict(environment)
    if missing:
        slow = [path.stem for path in missing if path.stem in SLOW]
        print(
            f"Running {len(missing)} of {len(paths)} chapters, {n_jobs} at a time"
            f"{f'; {slow[0]} takes minutes' if slow else ''}.",
            flush=True,
        )
    with ProcessPoolExecutor(n_jobs, get_context("spawn"), prepare, (variables,)) as pool:
        running = {pool.submit(execute, path, timeout): path for path in missing}
        try:
            for number, future in enumerate(as_completed(running), 1):
                path, done = running[future], future.result()
                if done is not None:
                    notebook, seconds = done
                    bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
                    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
                print(
                    f"  {number:2d} of {len(missing)}  {path.stem:28s} {f'{done[1]:6.1f} s' if done else 'failed'}",
                    flush=True,
                )
        except BrokenProcessPool:
            print(
                "A process was killed, as where memory is too small; what is left runs one after the other.", flush=True
            )
        except KeyboardInterrupt:
            for worker in active_children():
                worker.kill()  # its kernel notices, and ends
            raise
