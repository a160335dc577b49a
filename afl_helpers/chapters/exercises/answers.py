"""Checks of the exercises at the end of the chapters."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from afl_helpers.chapters.exercises.kinds import Check, name, number, numbers
from afl_helpers.claims import REPORTED_VALUES, max_auc
from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts
from afl_helpers.evaluation import evaluate
from afl_helpers.gamma import positive_gradient
from afl_helpers.losses import build_loss, focal_loss


def _genre_counts() -> NDArray[np.int64]:
    return np.array(list(genre_counts().values()))


def _accuracies_of_nothing() -> list[float]:
    counts = _genre_counts()
    return [1 - counts[:k].mean() / N_MOVIES_WITH_GENRE for k in (1, 5, 20, 100, len(counts))]


def _testable() -> list[int]:
    needed = next(n for n in range(1, 1000) if 0.9**n <= 0.05)
    return [needed, int((_genre_counts() < needed).sum())]


def _two_macro_f1s(answer: Any) -> str | None:
    targets, decisions = (np.asarray(array) for array in answer)
    if targets.ndim != 2 or targets.shape[1] != 2:
        return f"the targets should have two labels, and their shape is {targets.shape}"
    metrics = evaluate(targets, decisions.astype(float))
    mean_of_f1s, f1_of_means = metrics["f1_macro"], metrics["f1_macro_of_means"]
    if mean_of_f1s < 0.2 and f1_of_means > 0.45:
        return None
    return f"the mean of the F1s is {mean_of_f1s:.2f} and the F1 of the means {f1_of_means:.2f}"


def _stable_focal_loss(focal: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]) -> str | None:
    for gamma in (0.0, 0.5, 2.0):
        for target, side in ((1.0, "positive"), (0.0, "negative")):
            z = torch.tensor([[-1000.0, -100.0, -20.0, 0.3, 20.0, 100.0, 1000.0]], requires_grad=True)
            y = torch.full_like(z, target)
            right, answer = focal_loss(z, y, gamma, reduction="none"), focal(z, y, gamma)
            (right_gradient,) = torch.autograd.grad(right.sum(), z)
            (answer_gradient,) = torch.autograd.grad(answer.sum(), z)
            for what, wanted, found in (("loss", right, answer), ("gradient", right_gradient, answer_gradient)):
                same = torch.isclose(wanted, found, rtol=1e-4, atol=1e-30)
                if not same.all():
                    i = int((~same).nonzero()[0, 1])
                    return (
                        f"at logit {z[0, i]:g} and gamma {gamma:g} the {what} of a {side} should be "
                        f"{wanted[0, i]:.4g}, and yours is {found[0, i]:.4g}"
                    )
    return None


def _balances() -> list[float]:
    negative = positive_gradient(2.0)
    return [float(negative / (negative + positive_gradient(gamma))) for gamma in (0.5, 2.0, 5.0)]


def _jump() -> list[float]:
    edge = math.log(0.2 / 0.8)
    logits = torch.tensor([[edge - 1e-9], [edge + 1e-9]], dtype=torch.float64)
    below, above = build_loss("flsd53")(logits, torch.ones_like(logits), reduction="none").ravel().tolist()
    return [edge, above / below]


def _highest_auc() -> list[float]:
    return [max_auc("0.5282", "0.50", density) for density in (0.0099, 0.117)]


def _least_recall() -> float:
    return 2 * REPORTED_VALUES["focal-2.0"]["roc_auc"] - 1


_ODDS = "this is the ratio of the two odds, and a probability p has odds p / (1 - p): turn the odds into a probability"

#: Label of an exercise -> its check.
ANSWERS = {
    "ex-rare-labels-1": Check("the five accuracies in order of k", numbers(_accuracies_of_nothing)),
    "ex-rare-labels-3": Check(
        "the class prior, a number",
        number(
            lambda: 0.005 / (0.6 + 0.005),
            slips=[
                (1 / 120, _ODDS),
                (120, "this is the likelihood ratio; ask which prior odds it lifts to 1"),
                (120 / 121, "this is the probability of *no* label"),
            ],
        ),
        3,
    ),
    "ex-data-set-2": Check(
        "how many documents, and how many genres have fewer",
        numbers(
            _testable,
            slips=[
                ((28, _testable()[1]), "with 28 documents the label is still missing in more than 5 % of the splits")
            ],
        ),
        3,
    ),
    "ex-metrics-1": Check(
        "the smallest possible micro recall, a number",
        number(
            _least_recall,
            slips=[
                (
                    (1 + REPORTED_VALUES["focal-2.0"]["roc_auc"]) / 2,
                    "this puts the AUC in the place of the recall; solve AUC = (1 + recall) / 2 for the recall",
                ),
                (REPORTED_VALUES["focal-2.0"]["roc_auc"], "this is the AUC itself"),
            ],
        ),
    ),
    "ex-metrics-3": Check("a pair: targets and decisions, each (n_documents, 2)", _two_macro_f1s, 3),
    "ex-focal-loss-1": Check("a function focal(z, y, gamma) of tensors, element by element", _stable_focal_loss, 4),
    "ex-focal-loss-2": Check(
        "the posterior at alpha = 0.25, a number",
        number(
            lambda: 1 - 0.25,
            slips=[
                (0.25, "this is alpha; a positive counts *less* with it, so a higher posterior is needed"),
                (1 / 3, "this is alpha over 1 - alpha; set f alpha = (1 - f)(1 - alpha) and solve for f"),
                (0.5, "this is the answer without alpha"),
            ],
        ),
        3,
    ),
    "ex-adaptive-gamma-1": Check(
        "the name of the reading",
        name(
            "information",
            slips={
                "mean": "the mean keeps few genres within the bounds; look at the last column of the table",
                "log10": "the base-10 logarithm keeps fewer of them; look at the last column of the table",
            },
        ),
    ),
    "ex-adaptive-gamma-2": Check(
        "the three posteriors, for gamma 0.5, 2 and 5",
        numbers(
            _balances,
            slips=[
                (
                    [1 - p for p in _balances()],
                    "these are the shares of the *negatives*; a pull that is weak needs more documents to balance",
                )
            ],
        ),
        3,
    ),
    "ex-losses-1": Check(
        "the logit and the factor",
        numbers(
            _jump,
            slips=[
                ((0.2, _jump()[1]), "0.2 is the score; the logit is asked for, ln(p / (1 - p))"),
                ((_jump()[0], 1 / _jump()[1]), "the cost jumps *up*, so the factor is larger than 1"),
            ],
        ),
    ),
    "ex-paper-2": Check("the largest AUC at a density of 0.0099, and at 0.117", numbers(_highest_auc, 0.01), 3),
    "ex-beyond-films-1": Check(
        "the two cost ratios, at 0.5 and at 0.05",
        numbers(
            lambda: [1.0, 19.0],
            slips=[
                ([2.0, 20.0], "this is 1 / t, which counts the false alarm itself; solve t = 1 / (1 + c) for c"),
                ([0.5, 0.95], "this is 1 - t; solve t = 1 / (1 + c) for c"),
                ([1.0, 1 / 19], "this is how much a false alarm costs, in misses; turn it over"),
            ],
        ),
    ),
    "ex-what-to-do-1": Check(
        "the ratio of the counts of D and H, before and after the copies",
        numbers(
            lambda: [10.0, 1.9],
            slips=[
                ([10.0, 1.0], "this leaves D at 100; each copy carries D as well"),
                ([0.1, 10 / 19], "turn both ratios over: D, the frequent label, stands above"),
                ([10.0, 200 / 110], "nine *further* copies make ten documents of one: H has 100, not 110"),
            ],
        ),
    ),
    "ex-results-2": Check(
        "the setting that AFL must be compared with, by its name in the study",
        name(
            "afl-mean",
            "one gamma (AFL's mean)",
            slips={"bce": "BCE differs from AFL in the size of gamma as well, so it does not isolate adaptation"},
        ),
    ),
}
