"""Ranking metrics and the bootstrap against scikit-learn, and how time and memory grow with size.

    python benchmarks/evaluation.py

The first table times one process on one set of scores. scikit-learn's bootstrap is timed on a few replicates, and its
time is scaled up. The second table runs each size in a new process: the seconds that all per-label AUCs take, the
seconds that `evaluate` takes, and the peak memory of the process, inputs included.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common.process import in_a_process, memory
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from afl_helpers.evaluation import (
    average_precision_per_label,
    bootstrap_decisions,
    bootstrap_weights,
    evaluate,
    roc_auc_per_label,
    tune_thresholds,
)
from afl_helpers.files import write_json
from afl_helpers.results import describe_environment

SHAPE = (8_400, 363)
SIZES = [(12_500, 250), (25_000, 250), (50_000, 250), (50_000, 500), (50_000, 1_000)]
N_REPLICATES = 1_000
RESULT = Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "evaluation.json"


def problem(n_documents: int, n_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return long-tailed targets, about four per document, and probabilities with ties."""
    rng = np.random.default_rng(0)
    rates = 0.4 / np.arange(1, n_labels + 1) ** 0.7
    targets = rng.random((n_documents, n_labels), dtype=np.float32) < rates
    logits = rng.standard_normal((n_documents, n_labels), dtype=np.float32)
    logits += 2 * targets + np.log(rates / (1 - rates)).astype(np.float32)
    return targets, np.round(1 / (1 + np.exp(-logits)), 4)


def least(function: Callable[[], object], repetitions: int = 5) -> tuple[float, object]:
    """Return the seconds of the fastest of several calls, and the result of the last."""
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - started)
    return min(times), result


def loop(function: Callable[..., float], targets: np.ndarray, scores: np.ndarray, needs_negative: bool) -> np.ndarray:
    """Return scikit-learn's metric, label by label; NaN where it is undefined."""
    values = np.full(targets.shape[1], np.nan)
    for label in range(targets.shape[1]):
        if targets[:, label].any() and not (needs_negative and targets[:, label].all()):
            values[label] = function(targets[:, label], scores[:, label])
    return values


def bootstrap_with_scikit_learn(targets: np.ndarray, decisions: np.ndarray, n_replicates: int) -> None:
    """Compute precision, recall and F1, micro and macro, of drawn documents."""
    rng = np.random.default_rng(0)
    for _ in range(n_replicates):
        rows = rng.integers(len(targets), size=len(targets))
        for average in ("micro", "macro"):
            precision_recall_fscore_support(targets[rows], decisions[rows], average=average, zero_division=0)


def beside_scikit_learn() -> dict[str, dict[str, float]]:
    """Time each function and scikit-learn's counterpart on one set of scores, and print the ratios."""
    targets, scores = problem(*SHAPE)
    scores = scores.astype(float)
    table = {}
    for name, ours, theirs, needs_negative in (
        ("ROC AUC of each label", roc_auc_per_label, roc_auc_score, True),
        ("average precision of each label", average_precision_per_label, average_precision_score, False),
    ):
        seconds, result = least(lambda ours=ours: ours(targets, scores))
        peer, expected = least(
            lambda theirs=theirs, need=needs_negative: loop(theirs, targets, scores, need), repetitions=1
        )
        error = float(np.nanmax(np.abs(result - expected)))
        table[name] = {"seconds": seconds, "scikit_learn_seconds": peer, "largest_difference": error}
    decisions = scores >= tune_thresholds(targets, scores)
    seconds, _ = least(lambda: bootstrap_decisions(targets, decisions, bootstrap_weights(len(targets), N_REPLICATES)))
    few = 5
    peer, _ = least(lambda: bootstrap_with_scikit_learn(targets, decisions, few), repetitions=1)
    table[f"{N_REPLICATES:,} bootstrap replicates of precision, recall and F1"] = {
        "seconds": seconds,
        "scikit_learn_seconds": peer * N_REPLICATES / few,
    }
    print(f"{SHAPE[0]:,} documents x {SHAPE[1]} labels")
    for name, row in table.items():
        row["ratio"] = row["scikit_learn_seconds"] / row["seconds"]
        difference = f"  largest difference {row['largest_difference']:.0e}" if "largest_difference" in row else ""
        print(f"  {name:50s} {row['seconds']:8.3f} s  {row['ratio']:7.0f} times as fast as scikit-learn{difference}")
    return table


def measure(n_documents: int, n_labels: int) -> dict[str, float]:
    """Return the seconds and the peak memory of one size."""
    targets, scores = problem(n_documents, n_labels)
    auc, _ = least(lambda: roc_auc_per_label(targets, scores), repetitions=2)
    every, _ = least(lambda: evaluate(targets, scores, label_counts=targets.sum(0)), repetitions=1)
    return {"auc_seconds": auc, "evaluate_seconds": every, "peak_gigabytes": memory("VmHWM") / 2**30}


def growth() -> dict[str, dict[str, float]]:
    """Measure each of the sizes in a new process, and print the table."""
    print("\ndocuments x labels   AUC of each label   evaluate, with groups   peak memory")
    table = {}
    for n_documents, n_labels in SIZES:
        row = in_a_process(__file__, "--one", n_documents, n_labels)
        table[f"{n_documents}x{n_labels}"] = row
        print(
            f"{n_documents:>9,} x {n_labels:<5,}  {row['auc_seconds']:15.2f} s  {row['evaluate_seconds']:19.2f} s"
            f"  {row['peak_gigabytes']:9.2f} GiB"
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--one", nargs=2, type=int, metavar=("DOCUMENTS", "LABELS"))
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    result = {"environment": describe_environment(), "beside_scikit_learn": beside_scikit_learn(), "growth": growth()}
    write_json(RESULT, result)


if __name__ == "__main__":
    main()
