"""From label counts to one gamma per class: every reading of the paper's Eq. 2, by name.

Eq. 2 is ``gamma_c = base_gamma / f_c`` with ``f_c`` "the normalised frequency of class c". The paper does not say
what the frequency is normalised by. Each entry of :data:`NORMALIZATIONS` is one answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afl_helpers.arrays import as_numbers, check_whole
from afl_helpers.errors import UsageError, check_choice

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Normalization:
    """One reading of "normalised frequency".

    Args:
        formula: gamma as text; n is the count of a label, N the number of documents, g the base gamma.
        inverse_frequency: ``1 / f_c``, which Eq. 2 multiplies by the base gamma, as a function of the counts, at least
            1 and of shape (n_labels,), and the number of documents.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.gamma import NORMALIZATIONS
        >>> reading = NORMALIZATIONS["max"]
        >>> reading.formula, reading.inverse_frequency(np.array([100.0, 10.0]), None).tolist()
        ('g / (n / max n)', [1.0, 10.0])
    """

    formula: str
    inverse_frequency: Callable[[Vector, int | None], Vector]


def _documents(counts: Vector, n_documents: int | None) -> Vector:
    return float(_required(n_documents)) / counts


def _information(counts: Vector, n_documents: int | None) -> Vector:
    nats = np.log(np.maximum(_required(n_documents) / counts, 1.0))
    # Where every document has every label, no label is rarer than another: each keeps the base gamma.
    return nats / nats.mean() if nats.any() else np.ones_like(nats)


def _required(n_documents: int | None) -> int:
    if n_documents is None:
        raise UsageError("n_documents is None; pass the number of documents on which the labels were counted")
    return n_documents


#: Name of a reading -> its formula and function.
NORMALIZATIONS = {
    "documents": Normalization("g / (n / N)", _documents),
    "labels": Normalization("g / (n / sum n)", lambda n, _: n.sum() / n),
    "max": Normalization("g / (n / max n)", lambda n, _: n.max() / n),
    "mean": Normalization("g / (n / mean n)", lambda n, _: n.mean() / n),
    "median": Normalization("g / (n / median n)", lambda n, _: np.median(n) / n),
    "sqrt": Normalization("g * sqrt(max n / n)", lambda n, _: np.sqrt(n.max() / n)),
    "log10": Normalization("g * (1 + log10(max n / n))", lambda n, _: 1.0 + np.log10(n.max() / n)),
    "information": Normalization("g * ln(N / n) / mean ln(N / n)", _information),
}


def check_counts(label_counts: ArrayLike, n_documents: int | None = None) -> Vector:
    """Return the counts as float64, or raise an error that says what is wrong with them.

    Args:
        label_counts: (n_labels,) number of documents with each label; a tensor may be on a GPU.
        n_documents: number of documents; None checks the counts alone.

    Returns:
        (n_labels,) float64.

    Raises:
        UsageError: not numbers, another shape, a negative or non-finite count, shares, a count above ``n_documents``, or no
            documents.

    Example:
        >>> from afl_helpers.gamma import check_counts
        >>> check_counts([60, 3], n_documents=100).tolist()
        [60.0, 3.0]
        >>> check_counts([60, 3], n_documents=50)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: label_counts has 60 at label 0, more than n_documents = 50; ...
    """
    counts = as_numbers(label_counts, "label_counts").astype(np.float64)
    if counts.ndim != 1 or counts.size == 0:
        raise UsageError(f"label_counts has shape {counts.shape}; pass one count per label, shape (n_labels,)")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise UsageError("label_counts holds a negative or non-finite count; pass the number of documents per label")
    if counts.max() <= 1 and (counts % 1 > 0).any():
        raise UsageError(
            f"label_counts holds {counts[counts % 1 > 0][0]:g}: shares, not counts; pass the number of documents per label"
        )
    if n_documents is None:
        return counts
    if not 0 < _number(n_documents) < np.inf:
        raise UsageError(f"n_documents is {n_documents!r}; pass the number of training documents, at least 1")
    if counts.max() > n_documents:
        raise UsageError(
            f"label_counts has {counts.max():g} at label {counts.argmax()}, more than n_documents = {n_documents}; "
            "both must be counted on the same documents"
        )
    return counts


def _number(value: object) -> float:
    """Return one number, also of a 0-dimensional array or tensor; NaN, which is in no range, of anything else."""
    try:
        number = as_numbers(value, "value")
    except UsageError:
        return float("nan")
    return float(number) if number.ndim == 0 else float("nan")


def class_gamma(
    label_counts: ArrayLike,
    n_documents: int | None = None,
    base_gamma: float = 2.0,
    normalization: str = "mean",
    bounds: tuple[float, float] | None = (0.5, 5.0),
) -> Vector:
    """Return one focusing parameter per class from how often each class occurs (the paper's Eq. 2).

    Args:
        label_counts: (n_labels,) number of training documents with each label. A label without documents counts as if
            it had one, so that its gamma is finite under every reading.
        n_documents: number of training documents. Only "documents" and "information" use it; None is enough for the
            other readings.
        base_gamma: the paper's ``base_gamma``, at least 0; the paper does not state its value.
        normalization: the reading of "normalised frequency", a key of :data:`NORMALIZATIONS`.
        bounds: (lowest, highest) gamma, or None for no bounds. ``normalization="documents", bounds=None`` is Eq. 2 to
            the letter; the default, "mean" within (0.5, 5), is our reading of it.

    Returns:
        (n_labels,) float64, larger for rarer labels.

    Raises:
        UsageError: an unknown reading, invalid counts, a negative base, bounds out of order, or a missing
            ``n_documents``.

    Example:
        >>> from afl_helpers.gamma import class_gamma
        >>> counts = [100, 40, 10]  # 50 on average
        >>> class_gamma(counts).tolist()  # 2 * 50 / n; the upper bound cuts the 10 of the rare label to 5
        [1.0, 2.5, 5.0]
        >>> class_gamma(counts, n_documents=200, normalization="documents", bounds=None).tolist()  # 2 * 200 / n
        [4.0, 10.0, 40.0]
    """
    check_choice("normalization", normalization, NORMALIZATIONS)
    counts = check_counts(label_counts, n_documents)
    base = _number(base_gamma)
    if not 0 <= base < np.inf:
        raise UsageError(f"base_gamma is {base_gamma!r}; pass a finite number of at least 0")
    ends = [_number(end) for end in bounds] if np.iterable(bounds) else []
    if bounds is not None and not (len(ends) == 2 and 0 <= ends[0] <= ends[1]):
        raise UsageError(f"bounds is {bounds!r}; pass (lowest, highest) with 0 <= lowest <= highest, or None")
    gamma = base * NORMALIZATIONS[normalization].inverse_frequency(np.maximum(counts, 1.0), n_documents)
    return gamma if bounds is None else np.clip(gamma, ends[0], ends[1])


#: How gammas are assigned to labels: by frequency is the method; the others are controls that tell "adaptive" from
#: "larger".
ASSIGNMENTS = ("frequency", "shuffled", "reversed", "mean")


def assign_gamma(gamma: ArrayLike, assignment: str = "frequency", seed: int = 0) -> Vector:
    """Assign the same gammas to the labels in another way, as a control in a study of adaptive gamma.

    Args:
        gamma: (n_labels,) as :func:`class_gamma` returns them.
        assignment: ``"frequency"`` leaves them as they are; ``"shuffled"`` permutes them over the labels;
            ``"reversed"`` replaces each by max + min - gamma, so that frequent labels get the large ones; ``"mean"``
            gives every label their mean.
        seed: seed of the permutation.

    Returns:
        (n_labels,) float64, a new array.

    Raises:
        UsageError: an unknown assignment, gammas of another shape, or a seed that is no whole number of at least 0.

    Example:
        >>> from afl_helpers.gamma import assign_gamma
        >>> gamma = [1.0, 2.0, 6.0]
        >>> assign_gamma(gamma, "reversed").tolist(), assign_gamma(gamma, "mean").tolist()
        ([6.0, 5.0, 1.0], [3.0, 3.0, 3.0])
        >>> sorted(assign_gamma(gamma, "shuffled", seed=1).tolist())  # the same values in another order
        [1.0, 2.0, 6.0]
    """
    check_choice("assignment", assignment, ASSIGNMENTS)
    seed = check_whole(seed, "seed", 0)
    values = as_numbers(gamma, "gamma").astype(np.float64)
    if values.ndim != 1 or not values.size:
        raise UsageError(f"gamma has shape {values.shape}; pass one gamma per label, shape (n_labels,)")
    if assignment == "frequency":
        return values
    if assignment == "shuffled":
        return np.random.default_rng(seed).permutation(values)
    if assignment == "reversed":
        reversed_values: Vector = values.max() + values.min() - values
        return reversed_values
    return np.full_like(values, values.mean())


def positive_gradient(gamma: ArrayLike, logits: ArrayLike = 0.0) -> Vector:
    """Return the size of the gradient that focal loss gives the logit of a positive: ``q^gamma (q - gamma p ln p)``.

    Args:
        gamma: any shape, at least 0.
        logits: logits of the positive, of a shape that broadcasts with ``gamma``; a head without a bias starts at 0.

    Returns:
        float64 of the broadcast shape, with q = 1 - p. Below about 1e-10, Adam, whose epsilon is 1e-8, hardly moves
        the weights.

    Raises:
        UsageError: a gamma is negative or not finite, or not numbers.

    Example:
        >>> from afl_helpers.gamma import positive_gradient
        >>> positive_gradient([0.0, 2.0]).round(4).tolist()  # gamma 0 is cross-entropy: 1 - p
        [0.5, 0.2983]
        >>> bool(positive_gradient(40.0) < 1e-10)  # a label with this gamma hardly trains
        True
    """
    gammas, z = (as_numbers(values, name).astype(np.float64) for values, name in ((gamma, "gamma"), (logits, "logits")))
    wrong = gammas[~((gammas >= 0) & (gammas < np.inf))]
    if wrong.size:
        raise UsageError(f"gamma holds {wrong[0]}; pass finite numbers of at least 0")
    z = np.clip(z, -1000.0, 1000.0)  # beyond it p and q are 0 and 1 already, and 0 times an infinite logarithm is NaN
    log_p, log_q = -np.logaddexp(0.0, -z), -np.logaddexp(0.0, z)
    gradient: Vector = np.exp(gammas * log_q) * (np.exp(log_q) - gammas * np.exp(log_p) * log_p)
    return gradient
