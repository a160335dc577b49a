"""Checks of the blanks in the flow of the chapters: the reader writes the book's objects, and a wrong one is told its slip.

Each check compares the reader's function with the package's, or with what the function must do, on inputs of its own. Where
they differ it tries the known slips on the same inputs and names the one that fits.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import logsigmoid

from afl_helpers.chapters.exercises.kinds import Check, StillBlank
from afl_helpers.evaluation import bootstrap_weights, evaluate
from afl_helpers.gamma import assign_gamma, class_gamma
from afl_helpers.losses import focal_loss

Array = NDArray[np.float64]
Function = Callable[..., Any]


def _called(function: Function, *args: Any) -> Any:
    """Return what the reader's function returns, if it returns anything."""
    found = function(*args)
    if found is None or found is ...:
        raise StillBlank
    return found


def _array(found: Any) -> Array:
    return np.asarray(found.detach() if isinstance(found, torch.Tensor) else found, dtype=float)


def _slip(found: Array, slips: Sequence[tuple[Function, str]], *args: Any) -> str | None:
    """Return the hint of the first slip that gives the same values."""
    for wrong, hint in slips:
        with np.errstate(all="ignore"):
            if np.allclose(found, _array(wrong(*args)), rtol=1e-4, atol=1e-7, equal_nan=True):
                return hint
    return None


def _shape(found: Array, wanted: Array) -> str | None:
    if found.shape == wanted.shape:
        return None
    summed = " Return one value per element, without a mean or a sum" if found.size == 1 else ""
    return f"the result should have the shape {wanted.shape}, and yours has {found.shape}{summed and '.' + summed}"


def _logits() -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.tensor([-9.0, -2.0, -0.5, 0.0, 0.3, 1.0, 4.0, 12.0], dtype=torch.float64)
    return z.repeat(2), torch.cat([torch.ones_like(z), torch.zeros_like(z)])


# --- losses ----------------------------------------------------------------------------------------------------------


def _bce(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -(y * logsigmoid(z) + (1 - y) * logsigmoid(-z))


_BCE_SLIPS: list[tuple[Function, str]] = [
    (
        lambda z, y: -logsigmoid(z),
        "this is the logarithm of p for every element, not of p_t: a negative costs -ln(1 - p)",
    ),
    (lambda z, y: -y * logsigmoid(z), "negatives cost nothing here; add (1 - y) times -ln(1 - p)"),
    (lambda z, y: -_bce(z, y), "the sign is the other way round: a loss falls as the score of what is true rises"),
    (lambda z, y: _bce(z, 1 - y), "positives and negatives are the wrong way round"),
    (lambda z, y: _bce(z, y) / np.log(2), "this is the logarithm to base 2; the book's is the natural one"),
    (lambda z, y: _bce(z, y) / np.log(10), "this is the logarithm to base 10; the book's is the natural one"),
    (
        lambda z, y: -(y * torch.log(z) + (1 - y) * torch.log(1 - z)),
        "z is a logit and any real number; put it through the sigmoid before you take its logarithm",
    ),
]


def _bce_blank(bce: Function) -> str | None:
    z, y = _logits()
    found, wanted = _array(_called(bce, z, y)), _array(_bce(z, y))
    if complaint := _shape(found, wanted):
        return complaint
    if not np.allclose(found, wanted, rtol=1e-5):
        i = int(np.flatnonzero(~np.isclose(found, wanted, rtol=1e-5))[0])
        side = "positive" if y[i] == 1 else "negative"
        return _slip(found, _BCE_SLIPS, z, y) or (
            f"at logit {z[i]:g} a {side} should cost {wanted[i]:.4g}, and yours costs {found[i]:.4g}"
        )
    z, y = torch.tensor([-1000.0, 1000.0]), torch.tensor([1.0, 0.0])
    if not np.allclose(_array(bce(z, y)), 1000):
        return (
            "the formula is right, but at a logit of 1000 the sigmoid rounds to exactly 1 and ln(1 - p) is infinite: "
            "use logsigmoid(z) for ln p and logsigmoid(-z) for ln(1 - p)"
        )
    return None


def _p_t(ce: Any) -> Any:
    return torch.exp(-ce)


_FOCAL_SLIPS: list[tuple[Function, str]] = [
    (
        lambda ce, gamma: _p_t(ce) ** gamma * ce,
        "the factor is (1 - p_t) to the power of gamma, not p_t: easy must be small",
    ),
    (lambda ce, gamma: (1 - _p_t(ce)) * gamma * ce, "gamma is an exponent, and not a factor"),
    (lambda ce, gamma: (1 - ce) ** gamma * ce, "ce is -ln(p_t); get p_t back as exp(-ce) before you use it"),
    (lambda ce, gamma: ce**gamma * ce, "ce is -ln(p_t); get p_t back as exp(-ce) before you use it"),
    (lambda ce, gamma: (1 - _p_t(ce)) ** gamma, "this is the factor alone; multiply it with the cross-entropy"),
    (
        lambda ce, gamma: -((1 - _p_t(ce)) ** gamma) * ce,
        "the sign is turned round: ce is -ln(p_t), and positive already",
    ),
    (lambda ce, gamma: (1 - torch.exp(ce)) ** gamma * ce, "p_t is exp(-ce), with a minus sign"),
]


def _focal_blank(focal: Function) -> str | None:
    z, y = _logits()
    ce = _bce(z, y)
    for gamma in (0.5, 2.0, 5.0):
        found = _array(_called(focal, ce, gamma))
        wanted = _array(focal_loss(z[None], y[None], gamma, reduction="none"))[0]
        if complaint := _shape(found, wanted):
            return complaint
        if not np.allclose(found, wanted, rtol=1e-4, atol=1e-9):
            i = int(np.flatnonzero(~np.isclose(found, wanted, rtol=1e-4, atol=1e-9))[0])
            return _slip(found, _FOCAL_SLIPS, ce, gamma) or (
                f"where the cross-entropy is {ce[i]:.4g} and gamma is {gamma:g} the focal loss is {wanted[i]:.4g}, and "
                f"yours is {found[i]:.4g}"
            )
    return None


def _size(p: Array, gamma: float) -> Array:
    return (1 - p) ** gamma * ((1 - p) - gamma * p * np.log(p))


def _slope(p: Array, y: Array, gamma: float) -> Array:
    return np.where(y == 1, -_size(p, gamma), _size(1 - p, gamma))


_SLOPE_SLIPS: list[tuple[Function, str]] = [
    (
        lambda p, y, gamma: np.where(y == 1, -_size(p, gamma), -_size(1 - p, gamma)),
        "the sign of a negative is wrong: its loss grows with z, so its gradient is positive",
    ),
    (
        lambda p, y, gamma: np.where(y == 1, _size(p, gamma), _size(1 - p, gamma)),
        "this is the size; the gradient of a positive is negative, because its loss falls as z grows",
    ),
    (lambda p, y, gamma: -_slope(p, y, gamma), "both signs are turned round"),
    (
        lambda p, y, gamma: np.where(y == 1, -_size(p, gamma), _size(p, gamma)),
        "a negative at p is a positive at 1 - p: put 1 - p into the formula for it",
    ),
    (
        lambda p, y, gamma: _slope(p, y, gamma) / (p * (1 - p)),
        "this is the derivative by p; by z it is p (1 - p) times that",
    ),
    (
        lambda p, y, gamma: np.where(y == 1, -((1 - p) ** (gamma + 1)), p ** (gamma + 1)),
        "the product rule has a second term: the factor (1 - p_t)^gamma depends on z as well",
    ),
    (
        lambda p, y, gamma: np.where(
            y == 1,
            -((1 - p) ** gamma) * ((1 - p) + gamma * p * np.log(p)),
            p**gamma * (p + gamma * (1 - p) * np.log(1 - p)),
        ),
        "the second term has the wrong sign: ln p is negative, so -gamma p ln p adds to the bracket",
    ),
]


def _gradient_blank(gradient: Function) -> str | None:
    grid = np.array([0.02, 0.2, 0.5, 0.7, 0.95])
    p, y = np.tile(grid, 2), np.repeat([1.0, 0.0], len(grid))
    for gamma in (0.0, 0.5, 2.0, 5.0):
        z = torch.from_numpy(np.log(p / (1 - p)))[None].requires_grad_()
        loss = focal_loss(z, torch.from_numpy(y)[None], gamma, reduction="sum")
        wanted = _array(torch.autograd.grad(loss, z)[0])[0]
        found = _array(_called(gradient, p, y, gamma))
        if complaint := _shape(found, wanted):
            return complaint
        if not np.allclose(found, wanted, rtol=1e-4, atol=1e-9):
            # At gamma 0 several slips look alike, so they are told apart at 2.
            known = _slip(_array(gradient(p, y, 2.0)), _SLOPE_SLIPS, p, y, 2.0)
            i = int(np.flatnonzero(~np.isclose(found, wanted, rtol=1e-4, atol=1e-9))[0])
            side = "positive" if y[i] == 1 else "negative"
            return known or (
                f"for a {side} at p = {p[i]:g} and gamma {gamma:g} the gradient is {wanted[i]:.4g}, and yours is "
                f"{found[i]:.4g}"
            )
    return None


# --- gamma -----------------------------------------------------------------------------------------------------------

_COUNTS = np.array([6000, 30, 900, 2500, 3, 700, 1200, 150, 1])
_GAMMA_SLIPS: list[tuple[Function, str]] = [
    (
        lambda n: np.clip(2 * n / n.mean(), 0.5, 5),
        "the fraction is turned over: a rare label should get the *larger* gamma",
    ),
    (lambda n: np.clip(2 * np.median(n) / n, 0.5, 5), "this divides the median count by n_c, and our reading the mean"),
    (lambda n: np.clip(2 * n.max() / n, 0.5, 5), "this is the reading n/max; ours divides the mean count by n_c"),
    (lambda n: np.clip(2 * n.sum() / n, 0.5, 5), "this is the reading n/sum; ours divides the mean count by n_c"),
    (lambda n: 2 * n.mean() / n, "the bounds are missing: keep the result within [0.5, 5]"),
    (lambda n: np.minimum(5, 2 * n.mean() / n), "the lower bound of 0.5 is missing"),
    (lambda n: np.maximum(0.5, 2 * n.mean() / n), "the upper bound of 5 is missing"),
    (
        lambda n: np.clip(n.mean() / n, 0.5, 5),
        "the base is missing: a label of average frequency gets base, which is 2",
    ),
    (lambda n: 2 * np.clip(n.mean() / n, 0.5, 5), "the bounds are for gamma, so multiply by the base before you clip"),
]


def _gamma_blank(gamma_of: Function) -> str | None:
    wanted = class_gamma(_COUNTS, int(_COUNTS.max()) + 500)
    found = _array(_called(gamma_of, _COUNTS))
    if complaint := _shape(found, wanted):
        return complaint
    if np.allclose(found, wanted):
        return None
    i = int(np.flatnonzero(~np.isclose(found, wanted))[0])
    return _slip(found, _GAMMA_SLIPS, _COUNTS) or (
        f"for the counts {_COUNTS.tolist()} the label with {_COUNTS[i]} gets {wanted[i]:.3g}, and yours {found[i]:.3g}"
    )


# --- thresholds ------------------------------------------------------------------------------------------------------


def _scored(seed: int, n: int = 60) -> tuple[NDArray[np.int64], Array]:
    """Return targets and scores of three labels with different priors, without ties."""
    rng = np.random.default_rng(seed)
    priors = np.array([0.5, 0.2, 0.05])
    targets = (rng.random((n, 3)) < priors).astype(int)
    targets[0] = 1
    logits = rng.normal(0, 1, (n, 3)) + 1.5 * targets + np.log(priors / (1 - priors))
    return targets, 1 / (1 + np.exp(-logits))


def _value(targets: Any, scores: Any, threshold: float, metric: str) -> float:
    return float(evaluate(targets, scores, threshold)[metric])


def _threshold_blank(best_threshold: Function) -> str | None:
    for seed in range(4):
        targets, scores = _scored(seed)
        found = _array(_called(best_threshold, targets, scores))
        if found.size != 1:
            return f"one threshold for all labels is asked for, and yours are {found.size}"
        threshold = float(found.ravel()[0])
        candidates = np.unique(scores)
        reached = {
            metric: np.array([_value(targets, scores, t, metric) for t in candidates])
            for metric in ("f1_micro", "f1_macro", "hamming_accuracy")
        }
        best = reached["f1_micro"].max()
        if np.isclose(_value(targets, scores, threshold, "f1_micro"), best):
            continue
        if np.isclose(threshold, best) and threshold not in candidates:
            return "this is the best F1 itself; return the threshold that reaches it"
        if threshold >= 1 or threshold == int(threshold):
            return "this looks like a position in a list; return the threshold that stands there"
        above = candidates[candidates > threshold]
        if len(above) and np.isclose(_value(targets, scores, above[0], "f1_micro"), best):
            return "a label is predicted where its score is *at least* the threshold, and yours counts scores above it"
        for metric, what in (("f1_macro", "macro F1"), ("hamming_accuracy", "the accuracy")):
            if np.isclose(_value(targets, scores, threshold, metric), reached[metric].max()):
                return f"this threshold is the best for {what}; micro F1 is asked for"
        got = _value(targets, scores, threshold, "f1_micro")
        return (
            f"on {len(targets)} documents {threshold:.3f} reaches a micro F1 of {got:.3f}, and {best:.3f} is possible"
        )
    return None


def _cut_blank(proportional_cut: Function) -> str | None:
    for seed in range(3):
        _, scores = _scored(seed, n=53)
        n, rates = len(scores), np.array([0.45, 0.21, 0.07])
        found = _array(_called(proportional_cut, scores, rates))
        if found.size == 1:
            return "each label gets a threshold of its own, so return one per column"
        if found.shape != rates.shape:
            return f"the result should have the shape {rates.shape}, and yours has {found.shape}"
        predicted, wanted = (scores >= found).sum(axis=0), np.round(n * rates).astype(int)
        if (predicted == wanted).all():
            continue
        if (predicted == n - wanted).all() or (np.abs(predicted - (n - wanted)) <= 1).all():
            return "this predicts all but the share that is asked for; the cut is at the *highest* scores"
        if (predicted == wanted - 1).all() or (predicted == np.maximum(wanted - 1, 0)).all():
            return "each label is predicted once too seldom: a score at the threshold counts, because the rule is >="
        if (predicted == wanted + 1).all():
            return "each label is predicted once too often: positions in a list start at 0"
        if (predicted == np.floor(n * rates)).all() or (predicted == np.ceil(n * rates)).all():
            return "round n times the rate to the nearest whole number, not always down or up"
        if np.allclose(found, 1 - rates) or np.allclose(found, rates):
            return "a rate is a share of documents, not a score; find the score that cuts off this share"
        i = int(np.flatnonzero(predicted != wanted)[0])
        return (
            f"of {n} documents, label {i} with rate {rates[i]:g} should be predicted {wanted[i]} times, and yours is "
            f"{predicted[i]} times"
        )
    return None


# --- uncertainty and controls ----------------------------------------------------------------------------------------


def _documents(seed: int, n: int = 50, n_labels: int = 6) -> Array:
    """Return differences between two models per document and label with mean 0; those of one document go together."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (n, 1)) + 0.3 * rng.normal(0, 1, (n, n_labels))


def _interval_blank(bootstrap_interval: Function, repeats: int = 120) -> str | None:
    intervals = []
    widths = []
    for seed in range(repeats):
        values = _documents(seed)
        found = _array(_called(bootstrap_interval, values, np.random.default_rng(1000 + seed)))
        if found.shape != (2,) or found[0] > found[1]:
            return f"an interval is two numbers, the lower one first, and this is {found.tolist()}"
        means = bootstrap_weights(len(values), 400) @ values.mean(axis=1) / len(values)
        low, high = np.quantile(means, [0.025, 0.975])
        intervals.append(found)
        widths.append((found[1] - found[0]) / (high - low))
        if seed == 9 and not 0.9 < np.median(widths) < 1.1:
            break
    covered = float(np.mean([low <= 0 <= high for low, high in intervals]))
    width = float(np.median(widths))
    if width < 1e-6:
        return "the interval has no width: drawn without replacement, every draw holds the same documents"
    if width < 0.2:
        return (
            "the interval is far too narrow: it says how well the mean of the draws is known, and not how far the draws "
            "spread; take their 2.5th and 97.5th percentiles"
        )
    if width < 0.6:
        return (
            "the interval is too narrow: it treats pairs of document and label as independent; draw whole documents, "
            "with all their labels"
        )
    if 0.8 < width < 0.88:
        return "the interval is that of 90 %: 95 % leaves out 2.5 % at each end"
    if width > 1.15:
        return "the interval is too wide: each draw should hold as many documents as there are, with replacement"
    if not 0.9 <= covered <= 0.985:
        return f"in {repeats} simulated experiments it covered the truth in {covered:.0%}, and 95 % is asked for"
    return None


def _control_blank(controls: Function) -> str | None:
    gamma = np.array([0.5, 5.0, 1.1, 0.7, 5.0, 2.3, 0.9, 4.0, 5.0, 3.1])
    given = gamma.copy()
    found: Mapping[str, Any] = _called(controls, given, np.random.default_rng(3))
    if not np.array_equal(given, gamma):
        return "the gammas that were passed in have changed: shuffle a copy, as rng.permutation does"
    if not isinstance(found, Mapping) or set(found) != {"mean", "shuffled", "reversed"}:
        return "return a dict with the keys mean, shuffled and reversed"
    arrays = {name: _array(value) for name, value in found.items()}
    for key, array in arrays.items():
        if array.shape != gamma.shape:
            return f"{key} should have one gamma per label, {len(gamma)}, and has the shape {array.shape}"
    if np.allclose(arrays["mean"], np.median(gamma)):
        return "mean holds the median of the gammas"
    if not np.allclose(arrays["mean"], gamma.mean()):
        return f"mean should be the same gamma for every label, {gamma.mean():.3g}"
    if not np.allclose(np.sort(arrays["shuffled"]), np.sort(gamma)):
        return "shuffled holds other gammas than AFL: each must be handed out exactly once, so draw without replacement"
    other = _array(controls(gamma.copy(), np.random.default_rng(4))["shuffled"])
    if np.array_equal(arrays["shuffled"], gamma) or np.array_equal(arrays["shuffled"], other):
        return "shuffled must come from rng, so that each block draws another order"
    if np.array_equal(arrays["reversed"], gamma[::-1]):
        return (
            "this turns the *list* round, and the labels are not sorted by frequency: the label with the smallest gamma "
            "gets the largest, the next one the next"
        )
    if np.allclose(arrays["reversed"], assign_gamma(gamma, "reversed")):
        return None
    if not np.allclose(np.sort(arrays["reversed"]), np.sort(gamma)):
        return "reversed should keep the range of the gammas: max + min - gamma does"
    # The same gammas by rank are as good; ties may be broken either way.
    labels = range(len(gamma))
    if any(gamma[i] < gamma[j] and arrays["reversed"][i] < arrays["reversed"][j] for i in labels for j in labels):
        return "reversed should give the largest gamma to the label that had the smallest, and so on"
    return None


#: Label of a blank -> its check.
BLANKS = {
    "blank-bce": Check("a function bce(z, y) that returns one value per element", _bce_blank),
    "blank-focal": Check("a function focal_from(ce, gamma) that returns one value per element", _focal_blank),
    "blank-gradient": Check("a function gradient(p, y, gamma) that returns one value per element", _gradient_blank, 3),
    "blank-gamma": Check("a function gamma_of(counts) that returns one gamma per label", _gamma_blank),
    "blank-threshold": Check("a function best_threshold(targets, scores) that returns a number", _threshold_blank, 3),
    "blank-cut": Check(
        "a function proportional_cut(scores, rates) that returns one threshold per label", _cut_blank, 3
    ),
    "blank-interval": Check("a function bootstrap_interval(values, rng) that returns two numbers", _interval_blank, 4),
    "blank-control": Check("a function controls(gamma, rng) that returns a dict of three arrays", _control_blank, 3),
}
