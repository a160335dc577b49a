"""What :func:`~afl_helpers.losses.identify_loss` measures: a function's values, and the formulas that they fit."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit, log_expit
from torch import Tensor

from afl_helpers.errors import first_line
from afl_helpers.losses.asymmetric import asymmetric_loss
from afl_helpers.losses.focal import focal_loss

#: A loss as somebody else wrote it: (logits, targets), both (batch, n_labels), to a tensor.
LossFunction = Callable[[Tensor, Tensor], Tensor]

Vector = NDArray[np.float64]

#: Logits at which every usual formula is exact in double precision, and still tells gammas apart.
GRID: Vector = np.linspace(-6.0, 6.0, 13)
#: Far on the right side of the boundary: nearly every loss is 0 there.
EASY = 30.0
#: Relative difference up to which two numbers are the same; a loss that computes in float32 has no more digits.
CLOSE = 1e-4


class CannotCallError(Exception):
    """The function raised an error; the message is its first line."""


class Probe:
    """Calls a loss on copies of its arguments, and remembers whether it wrote to them."""

    def __init__(self, function: LossFunction, n_labels: int):
        self.function, self.n_labels = function, n_labels
        self.written: set[str] = set()

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        z, y = logits.clone(), targets.clone()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = self.function(z, y)
            except Exception as error:  # whatever the function raises
                raise CannotCallError(first_line(error)) from error
        if not isinstance(result, Tensor):
            raise CannotCallError(f"it returns {type(result).__name__}, not a tensor")
        for name, passed, before in (("logits", z, logits), ("targets", y, targets)):
            if not torch.equal(passed.detach().nan_to_num(), before.detach().nan_to_num()):
                self.written.add(name)
        return result

    def total(self, logits: Tensor, targets: Tensor) -> float:
        """Return the sum of what the loss returns."""
        with torch.no_grad():
            return float(self(logits, targets).double().sum())

    def value_and_slope(self, logits: Tensor, targets: Tensor) -> tuple[float, Tensor | None]:
        """Return the sum of what the loss returns and its gradient, None if it has none."""
        leaf = logits.clone().requires_grad_()
        result = self(leaf * 1, targets).double().sum()
        if not result.requires_grad:
            return float(result), None
        (slope,) = torch.autograd.grad(result, leaf, allow_unused=True)
        return float(result.detach()), slope

    def uniform(self, logit: float, target: float, rows: int = 1, n_labels: int | None = None) -> float:
        """Return the total of a batch in which every element has the same logit and target."""
        z = torch.full((rows, n_labels or self.n_labels), logit, dtype=torch.float64)
        return self.total(z, torch.full_like(z, target))

    def one_label(self, c: int, logit: float, target: float) -> float:
        """Return the total of a document with this logit and target of label c, and easy negatives."""
        z = torch.full((1, self.n_labels), -EASY, dtype=torch.float64)
        y = torch.zeros_like(z)
        z[0, c], y[0, c] = logit, target
        return self.total(z, y)


def random_batch(
    n_labels: int, seed: int = 0, rows: int = 3, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Return logits and hard targets; both targets occur, in the first row too."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, n_labels, generator=generator, dtype=dtype) * 2
    y = torch.randint(0, 2, (rows, n_labels), generator=generator).to(dtype)
    y[0, 0], y[0, -1], y[-1, 0] = 1, 0, 0
    return z, y


def near(a: float, b: float, relative: float = CLOSE) -> bool:
    """Return whether two numbers are the same to the digits that count."""
    return math.isfinite(a) and abs(a - b) <= relative * max(abs(a), abs(b)) + 1e-9


def tidy(value: float) -> float:
    """Return the number with few decimals that this one is an approximation of."""
    for digits in range(7):
        if abs(value - round(value, digits)) <= 5e-5 * abs(value) + 1e-6:
            return round(value, digits) + 0.0
    return value


def interactions(probe: Probe) -> tuple[bool, bool]:
    """Return whether the loss couples the labels of a document, and whether it couples documents.

    In a sum over elements, two changes together change as much as one and the other.
    """
    z, y = random_batch(probe.n_labels)

    def total(targets: Tensor, *moved: tuple[int, int]) -> float:
        changed = z.clone()
        for i, c in moved:
            changed[i, c] += 0.7
        return probe.total(changed, targets)

    def coupled(a: tuple[int, int], b: tuple[int, int]) -> bool:
        for targets in (y, torch.zeros_like(y), torch.ones_like(y)):
            values = [total(targets, a, b), total(targets, a), total(targets, b), total(targets)]
            if abs(values[0] - values[1] - values[2] + values[3]) > 2e-5 * max(map(abs, values)):
                return True
        return False

    last = probe.n_labels - 1
    return coupled((1, 0), (1, last)), any(coupled((0, c), (1, k)) for c, k in ((0, 0), (0, last), (last, last)))


@dataclass(frozen=True)
class Divisor:
    """Whether a loss divides the sum over elements by the documents and by the labels of a batch.

    ``labels`` is a guess if the loss takes only one number of labels; ``certain`` says so.
    """

    documents: bool
    labels: bool
    certain: bool = True

    def __call__(self, rows: int, n_labels: int) -> int:
        return (rows if self.documents else 1) * (n_labels if self.labels else 1)


def find_divisor(probe: Probe) -> Divisor:
    """Return what a loss divides by, from batches of other sizes."""
    one = probe.uniform(-3.0, 1.0)
    documents = near(probe.uniform(-3.0, 1.0, rows=3), one)
    try:
        return Divisor(documents, near(probe.uniform(-3.0, 1.0, n_labels=probe.n_labels + 3), one))
    except CannotCallError:  # it has parameters per label
        return Divisor(documents, labels=True, certain=False)


def divides_by_positives(probe: Probe) -> bool:
    """Return whether two positives cost as much as one, among negatives that cost nothing."""
    z, y = torch.full((2, probe.n_labels), -EASY, dtype=torch.float64), torch.zeros(2, probe.n_labels).double()
    totals = [probe.total(z, y)]
    for row in (0, 1):
        z[row, 0], y[row, 0] = -3.0, 1.0
        totals.append(probe.total(z, y))
    nothing = not math.isfinite(totals[0]) or abs(totals[0]) < 1e-6 * abs(totals[1])  # 0 / 0 without a positive
    return nothing and near(totals[1], totals[2])


def undivided(probe: Probe) -> Probe:
    """Return a probe of a loss that divides by the number of positives, times that number."""

    def times_positives(z: Tensor, y: Tensor) -> Tensor:
        if not y.any():  # one more document: a positive, and negatives, that cost nothing
            z, y = torch.cat([z, torch.full_like(z[:1], -EASY)]), torch.cat([y, torch.zeros_like(y[:1])])
            z[-1, 0], y[-1, 0] = EASY, 1.0
        return probe.function(z, y) * y.sum()

    return Probe(times_positives, probe.n_labels)


def fit_focal(logits: Vector, costs: Vector) -> tuple[float, float] | None:
    """Return a and gamma of ``a (1 - p)^gamma (-log p)``, or None if that does not fit."""
    if not (np.isfinite(costs).all() and (costs > 0).all()):
        return None
    focus, ratio = log_expit(-logits), np.log(costs) - np.log(-log_expit(logits))
    gamma, log_a = np.polyfit(focus, ratio, 1)
    if np.abs(log_a + gamma * focus - ratio).max() > 5 * CLOSE or gamma < -CLOSE:
        return None
    return tidy(float(np.exp(log_a))), max(tidy(float(gamma)), 0.0)


def fit_shifted(logits: Vector, costs: Vector) -> tuple[float, float, float] | None:
    """Return b, gamma and margin of the negatives of an asymmetric loss, or None if that does not fit."""
    inside = costs > 0
    if inside.all() or inside.sum() < 5 or not np.isfinite(costs).all():
        return None
    p = expit(logits)
    low, high = float(p[~inside].max()), float(p[inside].min())
    if low > high:
        return None

    def residual(x: Vector) -> Vector:
        p_m = np.maximum(p[inside] - x[2], 1e-12)
        return np.asarray(x[0] + x[1] * np.log(p_m) + np.log(-np.log1p(-p_m)) - np.log(costs[inside]))

    fit = least_squares(residual, [0.0, 2.0, (low + high) / 2], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    if np.abs(fit.fun).max() > 10 * CLOSE or not low - 1e-6 <= fit.x[2] <= high + 1e-6:
        return None
    return tidy(float(np.exp(fit.x[0]))), tidy(float(fit.x[1])), tidy(float(fit.x[2]))


def fit_smoothed(logits: Vector, positive: Vector, negative: Vector) -> float | None:
    """Return epsilon if both are cross-entropy with targets moved by epsilon/2 towards one half, else None."""
    costs = np.stack([-log_expit(logits), -log_expit(-logits)], axis=1)
    (one, two), (three, four) = (np.linalg.lstsq(costs, values, rcond=None)[0] for values in (positive, negative))
    fits = np.allclose(costs @ [one, two], positive, rtol=CLOSE) and np.allclose(
        costs @ [three, four], negative, rtol=CLOSE
    )
    if fits and near(one + two, 1) and near(one, four) and near(two, three) and 1e-4 < two < 0.5:
        return tidy(2 * float(two))
    return None


@dataclass(frozen=True)
class Form:
    """The formula that a loss fits: weights and gammas of positives and negatives, one per label or one for all."""

    weight: tuple[Vector, Vector]
    gamma: tuple[Vector, Vector]
    margin: float = 0.0

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the loss of each element."""
        a, b, plus, minus = (
            torch.from_numpy(value).to(logits).expand(logits.shape[-1]) for value in (*self.weight, *self.gamma)
        )
        if self.margin:
            elements = asymmetric_loss(logits, targets, plus, minus, self.margin, reduction="none")
            return torch.where(targets == 1, a, b) * elements
        return focal_loss(logits, targets, plus, a, minus, b, reduction="none")


def fit(logits: Vector, positive: Vector, negative: Vector) -> Form | None:
    """Return the focal or asymmetric form of the costs of one label, or None."""
    first, second = fit_focal(logits, positive), fit_focal(-logits, negative)
    third = fit_shifted(logits, negative) if first and not second else None
    if first is None or (second is None and third is None):
        return None
    b, gamma = (second or third or (0.0, 0.0))[:2]
    pairs = [(np.array([x]), np.array([y])) for x, y in ((first[0], b), (first[1], gamma))]
    return Form(pairs[0], pairs[1], third[2] if third else 0.0)
