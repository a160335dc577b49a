"""Time and memory of every stage for up to a million documents and 5,000 labels, and how they grow with the size.

    python benchmarks/load.py [--sizes 10000 100000]

Each size runs in a process of its own. The corpus has short texts and about four labels per document, with a long tail.
The loss (AFL, forward and backward) sees every document in batches, and the evaluation in blocks; the logits are random
and higher for positives, and making them is not timed. Times are CPU times of all threads together. The exponent says how
the time grew with the number of documents since the previous size: 1 is linear, n log n is about 1.1.
"""

import argparse
import json
import math
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from common.process import in_a_process
from scipy import sparse

from afl_helpers.data import Corpus
from afl_helpers.evaluation import BlockEvaluation
from afl_helpers.files import write_json
from afl_helpers.losses import build_loss
from afl_helpers.results import describe_environment

N_LABELS = 5_000
SIZES = [10_000, 100_000, 1_000_000]
BATCH, BLOCK = 256, 2_000
STAGES = ["corpus", "split", "loss", "evaluation"]
RESULT = Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "load.json"


def long_tail(n_documents: int, rng: np.random.Generator) -> sparse.csr_array:
    """Return a label matrix with 1 + Poisson(3) draws per document; label k has the weight 1 / k**0.9."""
    weights = 1 / np.arange(1, N_LABELS + 1) ** 0.9
    n_labels = 1 + rng.poisson(3, n_documents)
    rows = np.repeat(np.arange(n_documents), n_labels)
    columns = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(rows.size))
    matrix = sparse.csr_array((np.ones(rows.size, np.uint8), (rows, columns)), shape=(n_documents, N_LABELS))
    matrix.data[:] = 1
    return matrix


def blocks(labels: sparse.csr_array, size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield dense targets and logits, both float32, block by block."""
    prior = np.log((np.asarray(labels.sum(0)) + 0.5) / labels.shape[0]).astype(np.float32)
    for start in range(0, labels.shape[0], size):
        targets = labels[start : start + size].toarray().astype(np.float32)
        yield targets, rng.standard_normal(targets.shape, dtype=np.float32) + prior + 3 * targets


def measure(n_documents: int) -> dict[str, object]:
    """Measure each stage: its CPU seconds, which a busy machine distorts less, and the peak memory after it in GB."""
    rng = np.random.default_rng(0)
    seconds, memory = dict.fromkeys(STAGES, 0.0), {}

    @contextmanager
    def stage(name: str):
        started = time.process_time()
        yield
        seconds[name] += time.process_time() - started
        memory[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

    labels = long_tail(n_documents, rng)
    texts = [f"document {i} of a synthetic corpus" for i in range(n_documents)]
    with stage("corpus"):
        names = [f"label {i}" for i in range(N_LABELS)]
        corpus = Corpus("synthetic", texts, labels, names, [str(i) for i in range(n_documents)])
        counts = corpus.label_counts
    with stage("split"):
        splits = corpus.split(0.8, 0.1, 0.1, seed=0)
    shares = np.array([split.label_counts for split in splits[1:]]) / np.maximum(counts, 1)
    spread = float(np.abs(shares[:, counts >= 10] - 0.1).max()) if (counts >= 10).any() else math.nan
    with stage("loss"):
        loss = build_loss("afl", counts, n_documents)  # gamma from the counts
    for targets, logits in blocks(labels, BATCH, rng):
        with stage("loss"):
            logits = torch.from_numpy(logits).requires_grad_()
            loss(logits, torch.from_numpy(targets)).backward()
    evaluation = BlockEvaluation(N_LABELS)
    for targets, logits in blocks(labels, BLOCK, rng):
        scores = 1 / (1 + np.exp(-logits))
        with stage("evaluation"):
            evaluation.add(targets, scores)
    with stage("evaluation"):
        metrics = evaluation.metrics()
    return {
        "n_documents": n_documents,
        "seconds": seconds,
        "memory_gb": memory,
        "largest_share_error": spread,
        "average_precision_macro": metrics["average_precision_macro"],
    }


def report(rows: list[dict[str, object]]) -> None:
    print(f"{'documents':>10} " + "".join(f"{name:>22}" for name in STAGES) + f"{'memory':>12}")
    print(f"{'':>10} " + f"{'seconds':>14}{'growth':>8}" * len(STAGES) + f"{'GB':>12}")
    before = None
    for row in rows:
        line = f"{row['n_documents']:>10,} "
        for name in STAGES:
            growth = ""
            if before:
                ratio = row["seconds"][name] / before["seconds"][name]
                growth = f"{math.log(ratio) / math.log(row['n_documents'] / before['n_documents']):.2f}"
            line += f"{row['seconds'][name]:>14.2f}{growth:>8}"
        print(f"{line}{max(row['memory_gb'].values()):>12.2f}")
        before = row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    rows = []
    for size in arguments.sizes:
        rows.append(in_a_process(__file__, "--one", size))
    report(rows)
    if arguments.sizes == SIZES:
        write_json(RESULT, {"n_labels": N_LABELS, "sizes": rows, "environment": describe_environment()})


if __name__ == "__main__":
    main()
