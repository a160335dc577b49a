"""Turn the imbalance of generated labels through ten strengths, and write what three losses reach at each.

The truth is known: features are standard normal, a label's log odds are linear in them, every label is equally well
separable, and the prior of the label of rank r falls as r ** -strength. A linear head is trained to its optimum on
2,000 documents with binary cross-entropy, with adaptive focal loss and with one gamma of its mean, so that no start, stop or
optimiser decides. (A label without a training document has no finite minimum; its bias then stops far below the others.)

Usage, about ten minutes on one busy core:
    python tools/imbalance_dial.py [--seeds 10]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from torch import Tensor, nn

from afl_helpers.evaluation import best_constant_logit, evaluate, evaluate_tuned
from afl_helpers.files import write_json
from afl_helpers.losses import build_loss
from afl_helpers.progress import progress_bar

RESULT = Path(__file__).resolve().parent.parent / "results" / "synthetic" / "imbalance_dial.json"
STRENGTHS = tuple(np.linspace(0, 1.8, 10).round(1).tolist())
#: Name -> loss and its parameters; the last is the control, one gamma for all labels.
LOSSES = {"bce": ("bce", {}), "afl": ("afl", {}), "afl-mean": ("afl", {"assignment": "mean"})}
RULES = ("at_0.5", "tuned_common", "tuned_common_macro", "tuned_proportional")
SIZES = {"train": 2000, "validation": 2000, "test": 5000}
N_LABELS, WIDTH, SEPARATION, LARGEST_PRIOR, WEIGHT_DECAY = 30, 16, 2.0, 0.3, 1e-3


def documents(strength: float, seed: int) -> dict[str, tuple[NDArray, NDArray, NDArray]]:
    """Return features, labels and true probabilities of each split."""
    random = np.random.default_rng(seed)
    weights = random.standard_normal((WIDTH, N_LABELS))
    weights *= SEPARATION / np.linalg.norm(weights, axis=0)
    # The log odds of a label are normal around its bias: the bias that gives the prior is a root.
    grid = np.linspace(-7, 7, 2001)
    density = np.exp(-(grid**2) / 2)
    density /= density.sum()
    priors = LARGEST_PRIOR * np.arange(1.0, N_LABELS + 1) ** -strength
    bias = [brentq(lambda b, f=f: expit(SEPARATION * grid + b) @ density - f, -40, 40) for f in priors]
    splits = {}
    for name, size in SIZES.items():
        features = random.standard_normal((size, WIDTH))
        truth = expit(features @ weights + bias)
        splits[name] = features, (random.random(truth.shape) < truth).astype(np.uint8), truth
    return splits


def train_head(features: NDArray, labels: NDArray, loss: nn.Module, gamma: NDArray | float) -> tuple[Tensor, Tensor]:
    """Return weights and bias at the minimum of the loss, summed over labels, with a small weight decay."""
    rates = labels.mean(axis=0).clip(0.5 / len(labels))
    weight = torch.zeros(WIDTH, N_LABELS, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(best_constant_logit(rates, gamma), requires_grad=True)
    x, y = torch.tensor(features), torch.tensor(labels, dtype=torch.float64)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-7)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = N_LABELS * loss(x @ weight + bias, y) + WEIGHT_DECAY * weight.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    return weight.detach(), bias.detach()


def compare(strength: float, seed: int) -> list[dict[str, float | str]]:
    """Return the metrics of each loss, and of the true probabilities, on one generated corpus."""
    splits = documents(strength, seed)
    features, labels, _ = splits["train"]
    counts = labels.sum(axis=0, dtype=int)
    known = {"truth": {name: truth for name, (_, _, truth) in splits.items()}}
    for name, (kind, params) in LOSSES.items():
        loss = build_loss(kind, label_counts=counts.clip(1), n_documents=len(labels), **params)
        gamma = loss.gamma.double().numpy() if kind == "afl" else 0.0
        weight, bias = train_head(features, labels, loss, gamma)
        known[name] = {
            part: torch.sigmoid(torch.tensor(x) @ weight + bias).numpy() for part, (x, _, _) in splits.items()
        }
    rows = []
    for name, scores in known.items():
        by_rule = evaluate_tuned(
            rules=list(RULES),
            validation=(splits["validation"][1], scores["validation"]),
            test=(splits["test"][1], scores["test"]),
            label_counts=counts,
            n_documents=len(labels),
        )
        row = {"strength": strength, "seed": seed, "loss": name, "most": int(counts.max()), "fewest": int(counts.min())}
        row |= {f"f1_macro@{rule}": round(metrics["f1_macro"], 5) for rule, metrics in by_rule.items()}
        row |= {f"recall_micro@{rule}": round(metrics["recall_micro"], 5) for rule, metrics in by_rule.items()}
        ranking = evaluate(splits["test"][1], scores["test"], label_counts=counts)
        row["average_precision_macro_tail"] = round(ranking["average_precision_macro_tail"], 5)
        rows.append(row)
    return rows


def main(seeds: int, out: Path = RESULT, strengths: tuple[float, ...] = STRENGTHS) -> None:
    """Write every row, one per strength, seed and loss."""
    rows = []
    for strength, seed in progress_bar([(strength, seed) for strength in strengths for seed in range(seeds)]):
        rows += compare(strength, seed)
    columns = list(rows[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, {"sizes": SIZES, "columns": columns, "rows": [[row[key] for key in columns] for row in rows]})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    main(parser.parse_args().seeds)
