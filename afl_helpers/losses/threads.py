"""Threads that do whole blocks of a kernel each, so that torch need not split every operation among them.

Operations that are split make the threads meet after each of them, some hundred times per batch. That costs more than it
gains for operations this short, and much more where another program has some of the cores.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

#: Threads at most: with more they wait for each other's Python.
MOST_THREADS = 16
#: torch splits no operation on fewer elements.
LEAST_SPLIT = 32_768


@cache
def _openmp() -> Any:
    """Return what sets the number of threads that operations use in one thread; None without threadpoolctl.

    torch itself sets it for all. The package comes with scikit-learn.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="openmp")


def threads_per_block() -> int:
    """Return how many threads share a block: one, or as many as torch uses where each cannot have its own."""
    return 1 if _openmp() else torch.get_num_threads()


def run_in_threads(work: Callable[[], None], n_blocks: int, n_elements: int) -> None:
    """Run ``work`` in several threads at once, of which this is one, and wait for all.

    None splits its operations, also where there is one block alone: sums that are split have other bits.

    Args:
        work: takes blocks until none is left. The new threads have the inference mode of this one and record no gradients.
        n_blocks: number of blocks; there are no more threads than that.
        n_elements: in all blocks.
    """
    if torch.get_num_threads() < 2 or n_elements < LEAST_SPLIT or not _openmp():
        work()
        return
    n = min(torch.get_num_threads(), n_blocks, MOST_THREADS)
    if n < 2:
        with _openmp().limit(limits=1):
            work()
        return
    inference = torch.is_inference_mode_enabled()

    def work_alone() -> None:
        torch.get_num_threads()  # a new thread takes torch's number with its first question, and then the limit
        with _openmp().limit(limits=1), torch.inference_mode(inference), torch.no_grad():
            work()

    with ThreadPoolExecutor(n - 1) as pool:
        others = [pool.submit(work_alone) for _ in range(n - 1)]
        with _openmp().limit(limits=1):
            work()
        for other in others:
            other.result()
