"""Checks of answers to the book's exercises: ``check("ex-focal-loss-1", my_focal)``.

A check recomputes what is asked, or tries the answer on inputs of its own; it holds no answer as a typed number.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from afl_helpers.errors import unknown_name


@dataclass(frozen=True)
class Verdict:
    """What a check found; true where the answer is right, and shown as one sentence."""

    message: str
    right: bool

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Check:
    """``asks`` says what to pass; ``complaint`` returns what is wrong with it, or None."""

    asks: str
    complaint: Callable[[object], str | None]


def check(label: str, answer: object) -> Verdict:
    """Check an answer to an exercise.

    Args:
        label: of the exercise, one of :data:`CHECKS`.
        answer: what ``CHECKS[label].asks`` says: a number, several in order, a name, or a function.

    Returns:
        The verdict. An answer of another kind, or a function that raises, is not right, and the message says why.

    Raises:
        UsageError: there is no check with this label.

    Example:
        >>> from afl_helpers.chapters.exercises import CHECKS, check
        >>> CHECKS["ex-focal-loss-2"].asks
        'the posterior at alpha = 0.25, a number'
        >>> check("ex-focal-loss-2", 0.25)
        Not yet: 0.25 is not it.
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


def _number(expected: Callable[[], float], tolerance: float = 1e-3) -> Callable[[object], str | None]:
    def complaint(answer: object) -> str | None:
        if not isinstance(answer, Real | np.number):
            return f"a number is asked for, and this is of type {type(answer).__name__}"
        return None if math.isclose(answer, expected(), rel_tol=tolerance) else f"{answer:g} is not it"

    return complaint


def _numbers(expected: Callable[[], Sequence[float]], tolerance: float = 1e-3) -> Callable[[object], str | None]:
    def complaint(answer: object) -> str | None:
        values = list(answer.values()) if isinstance(answer, Mapping) else list(np.ravel(answer))
        wanted = list(expected())
        if len(values) != len(wanted):
            return f"{len(wanted)} numbers are asked for, and these are {len(values)}"
        wrong = [i for i, pair in enumerate(zip(values, wanted), 1) if not math.isclose(*pair, rel_tol=tolerance)]
        return f"number {wrong[0]} of {len(wanted)}, {values[wrong[0] - 1]:g}, is not it" if wrong else None

    return complaint


def _name(expected: str) -> Callable[[object], str | None]:
    return lambda answer: None if answer == expected else f"{answer!r} is not it"


# --- the exercises ---------------------------------------------------------------------------------------------------


def _genres() -> np.ndarray:
    from afl_helpers.data.genres import genre_counts

    return np.array(list(genre_counts().values()))


def _accuracies_of_nothing() -> list[float]:
    from afl_helpers.data.genres import N_MOVIES_WITH_GENRE

    n = _genres()
    return [1 - n[:k].mean() / N_MOVIES_WITH_GENRE for k in (1, 5, 20, 100, len(n))]


def _testable() -> list[int]:
    needed = next(n for n in range(1, 1000) if 0.9**n <= 0.05)
    return [needed, int((_genres() < needed).sum())]


def _two_macro_f1s(answer: object) -> str | None:
    from afl_helpers.evaluation import evaluate

    targets, decisions = (np.asarray(part) for part in answer)
    if targets.ndim != 2 or targets.shape[1] != 2:
        return f"two labels are asked for, and the targets have shape {targets.shape}"
    found = evaluate(targets, decisions.astype(float))
    of_labels, of_means = found["f1_macro"], found["f1_macro_of_means"]
    far = of_labels < 0.2 and of_means > 0.45
    return None if far else f"the mean of the F1s is {of_labels:.2f} and the F1 of the means {of_means:.2f}"


def _stable_focal_loss(focal: object) -> str | None:
    import torch

    from afl_helpers.losses import focal_loss

    for gamma in (0.0, 0.5, 2.0):
        for target, side in ((1.0, "positive"), (0.0, "negative")):
            z = torch.tensor([[-1000.0, -100.0, -20.0, 0.3, 20.0, 100.0, 1000.0]], requires_grad=True)
            y = torch.full_like(z, target)
            ours = focal_loss(z, y, gamma, reduction="none")
            theirs = focal(z, y, gamma)
            for what, mine, yours in (
                ("loss", ours, theirs),
                ("gradient", *(torch.autograd.grad(loss.sum(), z)[0] for loss in (ours, theirs))),
            ):
                same = torch.isclose(mine, yours, rtol=1e-4, atol=1e-30)
                if not same.all():
                    at = int((~same).nonzero()[0, 1])
                    return (
                        f"at logit {z[0, at]:g} and gamma {gamma:g} the {what} of a {side} should be "
                        f"{mine[0, at]:.4g}, and yours is {yours[0, at]:.4g}"
                    )
    return None


def _balances() -> list[float]:
    from afl_helpers.gamma import positive_gradient

    negative = positive_gradient(2.0)
    return [float(negative / (negative + positive_gradient(gamma))) for gamma in (0.5, 2.0, 5.0)]


def _jump() -> list[float]:
    import torch

    from afl_helpers.losses import build_loss

    edge = math.log(0.2 / 0.8)
    at = torch.tensor([[edge - 1e-9], [edge + 1e-9]], dtype=torch.float64)
    below, above = build_loss("flsd53")(at, torch.ones_like(at), reduction="none").ravel().tolist()
    return [edge, above / below]


def _highest_auc() -> list[float]:
    from afl_helpers.claims import max_auc

    return [max_auc("0.5282", "0.50", density) for density in (0.0099, 0.117)]


def _least_recall() -> float:
    from afl_helpers.claims import PAPER_FIGURES

    return 2 * PAPER_FIGURES["focal-2.0"]["roc_auc"] - 1


#: Label of an exercise -> its check.
CHECKS = {
    "ex-rare-labels-1": Check("the five accuracies in order of k", _numbers(_accuracies_of_nothing)),
    "ex-rare-labels-3": Check("the class prior, a number", _number(lambda: 0.005 / (0.6 + 0.005))),
    "ex-data-set-2": Check("how many documents, and how many genres have fewer", _numbers(_testable)),
    "ex-metrics-1": Check("the least micro recall, a number", _number(_least_recall)),
    "ex-metrics-3": Check("a pair: targets and decisions, each (n_documents, 2)", _two_macro_f1s),
    "ex-focal-loss-1": Check("a function focal(z, y, gamma) of tensors, element by element", _stable_focal_loss),
    "ex-focal-loss-2": Check("the posterior at alpha = 0.25, a number", _number(lambda: 1 - 0.25)),
    "ex-adaptive-gamma-1": Check("the name of the reading", _name("information")),
    "ex-adaptive-gamma-2": Check("the three posteriors, for gamma 0.5, 2 and 5", _numbers(_balances)),
    "ex-losses-1": Check("the logit and the factor", _numbers(_jump)),
    "ex-paper-2": Check("the largest AUC at a density of 0.0099, and at 0.117", _numbers(_highest_auc, 0.01)),
    "ex-results-2": Check("the setting that AFL must be compared with, by its name in the study", _name("afl-mean")),
}
