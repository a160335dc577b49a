"""Checks of answers to the book's exercises: ``check("ex-focal-loss-1", my_focal)``.

A check computes the right answer, or tries the reader's function on inputs of its own. No answer is typed in.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from afl_helpers.claims import REPORTED_VALUES, max_auc
from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts
from afl_helpers.errors import unknown_name
from afl_helpers.evaluation import evaluate
from afl_helpers.gamma import positive_gradient
from afl_helpers.losses import build_loss, focal_loss

#: What is wrong with an answer, or None if it is right.
Complaint = Callable[[Any], str | None]


@dataclass(frozen=True)
class Verdict:
    """The verdict on an answer. It is true if the answer is right, and its repr is one sentence."""

    message: str
    right: bool

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Check:
    """A check of one exercise.

    Attributes:
        asks: What to pass as the answer.
        complaint: Returns what is wrong with an answer, or None.
    """

    asks: str
    complaint: Complaint


def check(label: str, answer: object) -> Verdict:
    """Check an answer to an exercise.

    Args:
        label: Label of the exercise, one of :data:`CHECKS`.
        answer: What ``CHECKS[label].asks`` says: a number, several numbers in order, a name, or a function.

    Returns:
        The verdict. An answer of the wrong type and a function that raises are not right; the message says why.

    Raises:
        UsageError: If no check has this label.

    Example:
        >>> from afl_helpers.chapters.exercises import CHECKS, check
        >>> CHECKS["ex-focal-loss-2"].asks
        'the posterior at alpha = 0.25, a number'
        >>> check("ex-focal-loss-2", 0.25)
        Not yet: 0.25 is not the answer.
        >>> bool(check("ex-focal-loss-2", 0.75))
        True
    """
    if label not in CHECKS:
        raise unknown_name("exercise with a check", label, tuple(CHECKS))
    try:
        complaint = CHECKS[label].complaint(answer)
    except Exception as error:
        complaint = f"pass {CHECKS[label].asks} ({type(error).__name__}: {error})"
    return Verdict("Right.", True) if complaint is None else Verdict(f"Not yet: {complaint}.", False)


# --- kinds of answer -------------------------------------------------------------------------------------------------


def _number(expected: Callable[[], float], tolerance: float = 1e-3) -> Complaint:
    def complaint(answer: Any) -> str | None:
        if not isinstance(answer, Real | np.number):
            return f"the answer should be a number, and this is of type {type(answer).__name__}"
        value = float(answer)
        return None if math.isclose(value, expected(), rel_tol=tolerance) else f"{value:g} is not the answer"

    return complaint


def _numbers(expected: Callable[[], Sequence[float]], tolerance: float = 1e-3) -> Complaint:
    def complaint(answer: Any) -> str | None:
        values = list(answer.values()) if isinstance(answer, Mapping) else list(np.ravel(answer))
        right = list(expected())
        if len(values) != len(right):
            return f"the answer should have {len(right)} numbers, and this has {len(values)}"
        for i, (value, wanted) in enumerate(zip(values, right), 1):
            if not math.isclose(value, wanted, rel_tol=tolerance):
                return f"number {i} of {len(right)}, {value:g}, is not the answer"
        return None

    return complaint


def _name(expected: str) -> Complaint:
    return lambda answer: None if answer == expected else f"{answer!r} is not the answer"


# --- the exercises ---------------------------------------------------------------------------------------------------


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
            for name, wanted, found in (("loss", right, answer), ("gradient", right_gradient, answer_gradient)):
                same = torch.isclose(wanted, found, rtol=1e-4, atol=1e-30)
                if not same.all():
                    i = int((~same).nonzero()[0, 1])
                    return (
                        f"at logit {z[0, i]:g} and gamma {gamma:g} the {name} of a {side} should be "
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


#: Label of an exercise -> its check.
CHECKS = {
    "ex-rare-labels-1": Check("the five accuracies in order of k", _numbers(_accuracies_of_nothing)),
    "ex-rare-labels-3": Check("the class prior, a number", _number(lambda: 0.005 / (0.6 + 0.005))),
    "ex-data-set-2": Check("how many documents, and how many genres have fewer", _numbers(_testable)),
    "ex-metrics-1": Check("the smallest possible micro recall, a number", _number(_least_recall)),
    "ex-metrics-3": Check("a pair: targets and decisions, each (n_documents, 2)", _two_macro_f1s),
    "ex-focal-loss-1": Check("a function focal(z, y, gamma) of tensors, element by element", _stable_focal_loss),
    "ex-focal-loss-2": Check("the posterior at alpha = 0.25, a number", _number(lambda: 1 - 0.25)),
    "ex-adaptive-gamma-1": Check("the name of the reading", _name("information")),
    "ex-adaptive-gamma-2": Check("the three posteriors, for gamma 0.5, 2 and 5", _numbers(_balances)),
    "ex-losses-1": Check("the logit and the factor", _numbers(_jump)),
    "ex-paper-2": Check("the largest AUC at a density of 0.0099, and at 0.117", _numbers(_highest_auc, 0.01)),
    "ex-beyond-films-1": Check("the two cost ratios, at 0.5 and at 0.05", _numbers(lambda: [1.0, 19.0])),
    "ex-results-2": Check("the setting that AFL must be compared with, by its name in the study", _name("afl-mean")),
}
