"""Compare forward and backward of every loss with torch's cross-entropy and with public formulas of focal loss.

    python benchmarks/losses.py [--device cuda]

Times: all losses in one process, in turns, on the same logits; the median of nine turns. A table shows the median of
three such processes; ``ratios`` are those of each. The C library gives memory of this size back to the system and takes it
anew at each step, in some processes and not in others, and that alone doubles the time of cross-entropy. So it is told to
keep the memory; two tables are measured without that, as the system comes. The large shape is measured
with one and with two threads, while this is all that the machine is given to do and while every core has another program
to run; the load that the machine had anyway is recorded beside it. One thread on an idle machine is measured in processor
time, which other programs do not add to, and everything else in wall time. Memory: the peak of what torch allocates,
gradient included, in multiples of the logits. The formulas of torchvision and kornia are written out here, because the
packages cannot be installed beside this torch. With a GPU, the same shapes also run on it; ``--device cuda`` measures that
part alone and keeps the others of the result file.
"""

import argparse
import contextlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from common.process import in_a_process
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from afl_helpers.files import write_json
from afl_helpers.losses import LOSSES, build_loss
from afl_helpers.results import describe_environment

SMALL, LARGE = (16, 363), (512, 10_000)
TURNS, PROCESSES, N_DOCUMENTS = 9, 3, 50_000
#: Makes glibc keep the memory that tensors free.
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**36)}
RESULT = Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "losses.json"

Loss = Callable[[Tensor, Tensor], Tensor]


def torchvision_formula(logits: Tensor, targets: Tensor, gamma: float | Tensor, alpha: float = 0.25) -> Tensor:
    """Compute what torchvision.ops.sigmoid_focal_loss does, with reduction "mean"."""
    p = torch.sigmoid(logits)
    ce_loss = binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return (alpha_t * ce_loss * (1 - p_t) ** gamma).mean()


def kornia_formula(logits: Tensor, targets: Tensor, gamma: float | Tensor, alpha: float = 0.25) -> Tensor:
    """Compute what kornia.losses.binary_focal_loss_with_logits does, with reduction "mean"."""
    log_p, log_q = logsigmoid(logits), logsigmoid(-logits)
    positive = -alpha * torch.exp(gamma * log_q) * targets * log_p
    negative = -(1 - alpha) * torch.exp(gamma * log_p) * (1 - targets) * log_q
    return (positive + negative).mean()


def inputs(rows: int, labels: int, device: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, labels, generator=generator) * 3
    targets = (torch.rand(rows, labels, generator=generator) < 0.01).float()
    return logits.to(device), targets.to(device)


def implementations(labels: int, device: str) -> dict[str, Loss]:
    """Return torch's cross-entropy first, then the public formulas and every loss of the package."""
    generator = torch.Generator().manual_seed(1)
    gamma = (0.5 + 4.5 * torch.rand(labels, generator=generator)).to(device)
    counts = (1 + 5000 * torch.rand(labels, generator=generator) ** 4).long().tolist()
    found: dict[str, Loss] = {
        "torch BCE with logits": lambda z, y: binary_cross_entropy_with_logits(z, y),
        "torchvision's formula, gamma 2": lambda z, y: torchvision_formula(z, y, 2.0),
        "torchvision's formula, gamma per class": lambda z, y: torchvision_formula(z, y, gamma),
        "kornia's formula, gamma per class": lambda z, y: kornia_formula(z, y, gamma),
    }
    for name in LOSSES:
        found[f"afl_helpers, {name}"] = build_loss(name, counts, N_DOCUMENTS).to(device)
    return found


def now(device: str, clock: Callable[[], float]) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return clock()


def step(
    loss: Loss,
    logits: Tensor,
    targets: Tensor,
    device: str,
    repetitions: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the time of a forward and a backward pass in milliseconds."""
    started = now(device, clock)
    for _ in range(repetitions):
        loss(logits.detach().requires_grad_(), targets).backward()
    return 1e3 * (now(device, clock) - started) / repetitions


@contextlib.contextmanager
def load(busy: bool) -> Iterator[None]:
    """Give every core another program to run."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1) if busy]
    try:
        yield
    finally:
        for other in others:
            other.terminate()


def times(rows: int, labels: int, threads: int, busy: bool, compiled: bool, device: str) -> dict[str, float]:
    """Return the median time of each implementation in milliseconds."""
    torch.set_num_threads(threads)
    logits, targets = inputs(rows, labels, device)
    ways = implementations(labels, device)
    if compiled:  # each takes half a minute: the two that matter
        ways = {name: torch.compile(ways[name]) for name in ("torch BCE with logits", "afl_helpers, afl")}
    repetitions = 20 if rows * labels < 10**5 else 1
    turns: dict[str, list[float]] = {name: [] for name in ways}
    clock = time.process_time if threads == 1 and not busy and device == "cpu" else time.perf_counter
    with load(busy):
        for turn in range(TURNS + 1):
            for name, loss in ways.items():
                taken = step(loss, logits, targets, device, repetitions, clock)
                if turn:  # the first loads libraries and compiles
                    turns[name].append(taken)
    return {name: statistics.median(taken) for name, taken in turns.items()}


def allocated(run: Callable[[], object], device: str) -> int:
    """Return the peak of what torch allocates while ``run`` runs, in bytes."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    changes = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    return max(itertools.accumulate(event.nbytes() for event in changes))


def extra_memory(rows: int, labels: int, device: str) -> dict[str, float]:
    """Return the peak of what each implementation allocates, in multiples of the logits."""
    torch.set_num_threads(1)
    logits, targets = inputs(rows, labels, device)
    found = {}
    for name, loss in implementations(labels, device).items():
        step(loss, logits[:1], targets[:1], device)  # loads the libraries
        peak = allocated(partial(step, loss, logits, targets, device), device)
        found[name] = round(peak / (logits.element_size() * logits.numel()), 4)
    return found


def summarize(runs: list[dict[str, float]]) -> dict[str, dict[str, object]]:
    """Return the medians over processes, each of which found the milliseconds of each implementation."""
    found: dict[str, dict[str, object]] = {}
    for name in runs[0]:
        ratios = [round(run[name] / run["torch BCE with logits"], 4) for run in runs]
        milliseconds = round(statistics.median(run[name] for run in runs), 4)
        found[name] = {"milliseconds": milliseconds, "ratio_to_bce": statistics.median(ratios), "ratios": ratios}
    return found


def table(
    rows: int, labels: int, threads: int, busy: bool, compiled: bool, device: str, keeping: bool = True
) -> dict[str, dict[str, object]]:
    """Measure, print and return the times."""
    arguments = "--times", rows, labels, threads, int(busy), int(compiled), device
    settings = KEEPING if keeping else {}
    found = summarize([in_a_process(__file__, *arguments, **settings) for _ in range(PROCESSES)])
    where = "GPU" if device == "cuda" else f"{threads} threads, {'busy' if busy else 'idle'}"
    memory = "" if keeping else ", memory given back"
    print(f"\n({rows}, {labels:,}) {'compiled' if compiled else 'eager'}, {where}, float32{memory}")
    for name, row in found.items():
        low, high = min(row["ratios"]), max(row["ratios"])
        print(
            f"  {name:40s} {row['milliseconds']:9.2f} ms  {row['ratio_to_bce']:6.2f} x BCE ({low:.2f} to {high:.2f})",
            flush=True,
        )
    return found


def main() -> None:
    warnings.filterwarnings("ignore", message=".*classes have a gamma")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", nargs=6, metavar=("ROWS", "LABELS", "THREADS", "BUSY", "COMPILED", "DEVICE"))
    parser.add_argument("--memory", nargs=3, metavar=("ROWS", "LABELS", "DEVICE"))
    parser.add_argument(
        "--device", choices=("cuda",), help="measure the GPU alone, and keep what the file has for the CPU"
    )
    arguments = parser.parse_args()
    if arguments.times:
        *numbers, device = arguments.times
        rows, labels, threads, busy, compiled = map(int, numbers)
        print(json.dumps(times(rows, labels, threads, bool(busy), bool(compiled), device)))
        return
    if arguments.memory:
        rows, labels, device = arguments.memory
        print(json.dumps(extra_memory(int(rows), int(labels), device)))
        return

    def tables(device: str) -> dict[str, object]:
        name = "{}x{} {}, {}".format
        found: dict[str, object] = {name(*SMALL, "eager", "1 thread"): table(*SMALL, 1, False, False, device)}
        for threads in (1, 2) if device == "cpu" else (1,):
            for busy in (False, True) if device == "cpu" else (False,):
                key = name(*LARGE, "eager", f"{threads} thread{'s' * (threads > 1)}, {'busy' if busy else 'idle'}")
                found[key] = table(*LARGE, threads, busy, False, device)
        if device == "cpu":
            for threads in (1, 2):
                key = name(*LARGE, "eager", f"{threads} thread{'s' * (threads > 1)}, idle, memory given back")
                found[key] = table(*LARGE, threads, False, False, device, keeping=False)
        if shutil.which("g++"):
            found[name(*LARGE, "compiled", "1 thread")] = table(*LARGE, 1, False, True, device)
        else:
            print("\ncompiled: not measured, torch.compile needs a C++ compiler")
        return found

    def memories(device: str) -> dict[str, float]:
        print("\nExtra memory, in multiples of the logits")
        found = in_a_process(__file__, "--memory", *LARGE, device)
        for way, multiples in found.items():
            print(f"  {way:40s} {multiples:6.2f}", flush=True)
        return found

    def on_the_gpu() -> dict[str, object]:
        return {"environment": describe_environment(), "tables": tables("cuda"), "extra_memory": memories("cuda")}

    recorded = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    if arguments.device:
        if not torch.cuda.is_available():
            raise SystemExit("error: torch sees no GPU; leave out --device cuda")
        write_json(RESULT, recorded | {"cuda": on_the_gpu()})
        return
    load_at_start = os.getloadavg()[0]
    large = "{}x{} eager, 1 thread, idle".format(*LARGE)
    found, extra = tables("cpu"), memories("cpu")
    report = {
        "environment": describe_environment(),
        "cores": os.cpu_count(),
        "load_at_start": load_at_start,
        # What the table of losses shows.
        "costs": {
            name: {
                "time": round(found[large][f"afl_helpers, {name}"]["ratio_to_bce"], 2),
                "memory": round(extra[f"afl_helpers, {name}"], 2),
            }
            for name in LOSSES
        },
        "tables": found,
        "extra_memory": extra,
        "cuda": on_the_gpu() if torch.cuda.is_available() else recorded.get("cuda", "not measured on a GPU yet"),
    }
    write_json(RESULT, report)


if __name__ == "__main__":
    main()
