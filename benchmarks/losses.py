"""Compare forward and backward of adaptive focal loss with torch's cross-entropy and torchvision's focal formula.

    python benchmarks/losses.py

Each implementation runs in a process of its own, in turns, on the same logits. The table shows the shortest time of
several runs (other work on the machine only adds to it) and the peak memory above the inputs, in multiples of the
logits. The formulas of torchvision and kornia are written out here, because the packages cannot be installed beside this
torch. With a GPU, the same shapes also run on it.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import torch
from common.process import in_a_process, memory
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from afl_helpers.files import write_json
from afl_helpers.losses import focal_loss
from afl_helpers.results import describe_environment

SHAPES = [(16, 363), (512, 10_000), (4096, 30_000)]
COMPILED_SHAPE = (512, 10_000)
RESULT = Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "losses.json"


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


IMPLEMENTATIONS = {
    "torch BCE with logits": lambda z, y, gamma: binary_cross_entropy_with_logits(z, y),
    "torchvision's formula, gamma 2": lambda z, y, gamma: torchvision_formula(z, y, 2.0),
    "torchvision's formula, gamma per class": torchvision_formula,
    "kornia's formula, gamma per class": kornia_formula,
    "afl_helpers, gamma 2": lambda z, y, gamma: focal_loss(z, y, 2.0),
    "afl_helpers, gamma per class": lambda z, y, gamma: focal_loss(z, y, gamma),
}


class Memory:
    """The peak memory of a device since this object was made, in bytes; Linux only."""

    def __init__(self, device: str):
        self.on_gpu = device == "cuda"
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak
            self.before = memory("VmRSS")

    def extra(self) -> int:
        return (torch.cuda.max_memory_allocated() if self.on_gpu else memory("VmHWM")) - self.before


def now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(name: str, rows: int, labels: int, compiled: bool, device: str, repetitions: int) -> dict[str, float]:
    """Return the shortest time of forward and backward in milliseconds, and the peak memory in multiples of the logits."""
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(rows, labels, generator=generator) * 3).to(device)
    targets = (torch.rand(rows, labels, generator=generator) < 0.01).float().to(device)
    gamma = (0.5 + 4.5 * torch.rand(labels, generator=generator)).to(device)
    loss = torch.compile(IMPLEMENTATIONS[name]) if compiled else IMPLEMENTATIONS[name]

    def step() -> float:
        z = logits.detach().requires_grad_()
        started = now(device)
        loss(z, targets, gamma).backward()
        return now(device) - started

    # A small step first loads the libraries, so that the peak below is that of the loss.
    z = logits[:1].clone().requires_grad_()
    IMPLEMENTATIONS[name](z, targets[:1], gamma).backward()
    peak_memory = Memory(device)
    first = step()
    peak = peak_memory.extra() / (4 * rows * labels)
    times = [first, *(step() for _ in range(repetitions))]
    return {"milliseconds": 1e3 * min(times), "extra_memory": peak}


def table(rows: int, labels: int, compiled: bool, device: str) -> dict[str, dict[str, float]]:
    elements = rows * labels
    repetitions = 300 if elements < 10**5 else 15 if elements < 10**7 else 2
    results: dict[str, dict[str, float]] = {}
    for _ in range(1 if elements > 10**8 else 2 if compiled else 5):
        for name in IMPLEMENTATIONS:
            new = in_a_process(__file__, "--one", name, rows, labels, int(compiled), device, repetitions)
            best = results.setdefault(name, new)
            best.update({key: min(best[key], value) for key, value in new.items()})
    baseline = results["torch BCE with logits"]["milliseconds"]
    where = "GPU" if device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"\n({rows}, {labels:,}) {'compiled' if compiled else 'eager'}, {where}, float32")
    for name, result in results.items():
        result["ratio_to_bce"] = result["milliseconds"] / baseline
        memory_text = f"{result['extra_memory']:5.2f} x logits" if elements > 10**6 else ""
        print(f"  {name:40s} {result['milliseconds']:9.2f} ms  {result['ratio_to_bce']:6.2f} x BCE  {memory_text}")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--one", nargs=6, metavar=("NAME", "ROWS", "LABELS", "COMPILED", "DEVICE", "REPETITIONS"))
    arguments = parser.parse_args()
    if arguments.one:
        name, rows, labels, compiled, device, repetitions = arguments.one
        print(json.dumps(measure(name, int(rows), int(labels), compiled == "1", device, int(repetitions))))
        return

    def tables(device: str) -> dict[str, object]:
        results = {f"{rows}x{labels} eager": table(rows, labels, False, device) for rows, labels in SHAPES}
        if shutil.which("g++"):
            results["{}x{} compiled".format(*COMPILED_SHAPE)] = table(*COMPILED_SHAPE, True, device)
        else:
            print("\ncompiled: not measured, torch.compile needs a C++ compiler")
        return results

    report = {"environment": describe_environment(), "tables": tables("cpu")}
    report["cuda"] = tables("cuda") if torch.cuda.is_available() else "not measured on a GPU yet"
    if isinstance(report["cuda"], str):
        print(f"\nCUDA: {report['cuda']}")
    write_json(RESULT, report)


if __name__ == "__main__":
    main()
