"""From focal scores to probabilities, and back.

A model that minimises focal loss does not output the probability of a label. If eta is that probability, its logit z
solves ``eta * l+'(z) + (1 - eta) * l-'(z) = 0``, with the derivatives of the loss of a positive and of a negative.
Charoenphakdee et al. (CVPR 2021) solve this for eta. For two classes, with ``sp(z) = log(1 + exp(z))``::

    logit(eta) = (gamma - 1) z + log(exp(z) + gamma sp(z)) - log(exp(-z) + gamma sp(-z))

The map never decreases, also in floating point: a logit is first rounded to 46 significant bits, so that neighbours are
further apart than the errors of the functions applied after it. This costs a relative error of at most 1.5e-14 in
the logit. The map is odd, so only ``|z|`` is computed.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from afl_helpers.errors import UsageError
from afl_helpers.evaluation.validation import FloatArray, MatrixLike, as_numbers, check_label_order, check_probabilities

#: Significant bits that are kept, of 53.
_BITS = 46

#: log 2 in two parts; a product of the first with an exponent is exact (fdlibm's constants).
_LOG2 = 6.93147180369123816490e-01, 1.90821492927058770002e-10


def posterior_scores(scores: MatrixLike, gamma: ArrayLike) -> FloatArray:
    """Return the probabilities implied by the scores of a focal loss (Charoenphakdee et al., CVPR 2021).

    The map holds for the scores that minimise a focal loss with the same gamma and the same weight for positives and
    negatives. It does not hold for asymmetric losses. A weight per label on both signs changes nothing.

    Args:
        scores: (..., n_labels) in [0, 1], such as sigmoid(logits).
        gamma: number or (n_labels,), at least 0; 0 returns the scores unchanged.

    Returns:
        The shape of ``scores``, in [0, 1]. A larger score never gets a smaller probability. Probabilities below 1e-307
        are 0.

    Raises:
        UsageError: scores outside [0, 1]; gamma negative, not finite or of another shape.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.evaluation import posterior_scores
        >>> np.round(posterior_scores([0.1, 0.25, 0.5, 0.75], gamma=2.0), 4).tolist()
        [0.0026, 0.0499, 0.5, 0.9501]
        >>> np.round(posterior_scores([[0.25, 0.25]], gamma=[0.0, 5.0]), 4).tolist()  # one gamma per label
        [[0.25, 0.0022]]
    """
    check_label_order({"scores": scores, "gamma": gamma})
    values = _checked(scores, "scores")
    if values.size:
        check_probabilities(values, "posterior_scores")
    gammas = check_gamma(gamma, values.shape)
    tail = _probability_below_half(_stretched(_distance(values), gammas))
    return np.where(gammas == 0, values, np.where(values < 0.5, tail, 1 - tail))


def posterior_logits(logits: MatrixLike, gamma: ArrayLike) -> FloatArray:
    """Return the log odds of the probabilities implied by the logits of a focal loss.

    It is :func:`posterior_scores` before the sigmoid, for logits of any size.

    Args:
        logits: (..., n_labels).
        gamma: number or (n_labels,), at least 0; 0 returns the logits unchanged.

    Returns:
        The shape of ``logits``. A larger logit never gets smaller log odds.

    Raises:
        UsageError: a logit is NaN; gamma negative, not finite or of another shape.

    Example:
        >>> from afl_helpers.evaluation import posterior_logits
        >>> posterior_logits([-1.0, 0.0, 1e4], gamma=2.0).round(4).tolist()  # far out, logits grow by gamma + 1
        [-2.6817, 0.0, 29998.9014]
    """
    check_label_order({"logits": logits, "gamma": gamma})
    values = _checked(logits, "logits")
    gammas = check_gamma(gamma, values.shape)
    return np.where(gammas == 0, values, np.copysign(_stretched(np.abs(values), gammas), values))


def best_constant_logit(rate: ArrayLike, gamma: ArrayLike) -> FloatArray:
    """Return the logit that minimises the expected focal loss of a label if all documents get the same logit.

    It is the inverse of :func:`posterior_logits` at the log odds of the rate.

    Args:
        rate: (..., n_labels), the share of documents with the label, strictly between 0 and 1.
        gamma: number or (n_labels,), at least 0; 0 returns the log odds of the rate.

    Returns:
        The shape of ``rate``.

    Raises:
        UsageError: a rate outside (0, 1); gamma negative, not finite or of another shape.

    Example:
        >>> from afl_helpers.evaluation import best_constant_logit
        >>> best_constant_logit([0.5, 0.01], gamma=0.0).round(3).tolist()
        [0.0, -4.595]
        >>> best_constant_logit([0.5, 0.01], gamma=[5.0, 5.0]).round(3).tolist()
        [0.0, -0.825]
    """
    check_label_order({"rate": rate, "gamma": gamma})
    rates = _checked(rate, "rate")
    if not ((rates > 0) & (rates < 1)).all():
        raise UsageError("rate must be strictly between 0 and 1; pass (count + 0.5) / (n_documents + 1)")
    gammas = check_gamma(gamma, rates.shape)
    odds = logit(rates)
    target = np.abs(odds)
    # The logarithms subtract at most log(1 + gamma) from (gamma + 1) |z|, and focal loss moves scores towards one half.
    low = target / (gammas + 1)
    high = np.minimum(target, (target + np.log1p(gammas)) / (gammas + 1))
    for _ in range(80):  # bisection: 53 halvings reach the last bit, and a few more the bits of a small logit
        middle = low + (high - low) / 2
        below = _formula(middle, gammas) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(gammas == 0, odds, np.copysign(high, odds))


def best_constant_score(rate: ArrayLike, gamma: ArrayLike) -> FloatArray:
    """Return the score that minimises the expected focal loss of a label if all documents get the same score.

    Args:
        rate, gamma: as in :func:`best_constant_logit`.

    Returns:
        The shape of ``rate``: the rate itself at gamma 0; the larger gamma is, the nearer the score is to one half.

    Example:
        >>> from afl_helpers.evaluation import best_constant_score, posterior_scores
        >>> score = best_constant_score([0.002, 0.2], gamma=5.0)
        >>> score.round(3).tolist(), posterior_scores(score, 5.0).round(6).tolist()
        ([0.247, 0.438], [0.002, 0.2])
    """
    best: FloatArray = expit(best_constant_logit(rate, gamma))
    return np.where(as_numbers(gamma, "gamma") == 0, as_numbers(rate, "rate").astype(np.float64), best)


def posterior_logits_of_scores(scores: FloatArray, gamma: FloatArray) -> FloatArray:
    """Return the log odds of :func:`posterior_scores`, infinite for scores of 0 and 1, of checked arguments."""
    stretched = _stretched(_distance(scores), gamma)
    return np.where(scores < 0.5, -stretched, stretched)


def lowest_scores_at(posterior_logit: float, gamma: FloatArray) -> FloatArray:
    """Return the lowest score of each label whose posterior has at least these log odds, (n_labels,).

    The search is among all floating-point numbers in [0, 1], which have the order of their bits. So ``score >= result``
    is the same decision as ``posterior_logits_of_scores(score, gamma) >= posterior_logit``.
    """
    low = np.zeros(gamma.shape, dtype=np.int64)
    high = np.full(gamma.shape, 1.0).view(np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        reaches = posterior_logits_of_scores(middle.view(np.float64), gamma) >= posterior_logit
        low, high = np.where(reaches, low, middle + 1), np.where(reaches, middle, high)
    return high.view(np.float64)


def check_gamma(gamma: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Return gamma as float64, one number or one per label; labels are the last axis of ``shape``."""
    values = np.asarray(as_numbers(gamma, "gamma"), dtype=np.float64)
    if values.shape not in ((), shape[-1:]):
        n_labels = f"; the last axis has {shape[-1]} labels" if shape else ""
        raise UsageError(f"gamma has shape {values.shape}; pass one number or one per label{n_labels}")
    wrong = values[~(np.isfinite(values) & (values >= 0))]
    if wrong.size:
        raise UsageError(f"gamma holds {wrong[0]}; pass finite numbers of at least 0")
    return values


def _checked(values: MatrixLike, name: str) -> FloatArray:
    checked = np.asarray(as_numbers(values, name), dtype=np.float64)
    if np.isnan(checked).any():
        raise UsageError(f"{name} hold NaN; pass numbers")
    return checked


def _rounded(values: FloatArray) -> FloatArray:
    """Round to ``_BITS`` significant bits; neighbouring results are 128 units of the last place apart."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(_rounded_mantissa(mantissa), exponent)


def _rounded_mantissa(mantissa: FloatArray) -> FloatArray:
    rounded: FloatArray = np.rint(mantissa * 2.0**_BITS) / 2.0**_BITS
    return rounded


def _distance(scores: FloatArray) -> FloatArray:
    """Return ``|logit(score)|``, never increasing towards 0.5.

    A logarithm that is off by a unit in its last place could swap neighbours, so the smaller of score and 1 - score is
    rounded first, and its exponent enters exactly.
    """
    mantissa, exponent = np.frexp(np.minimum(scores, 1 - scores))
    mantissa = _rounded_mantissa(mantissa)
    with np.errstate(divide="ignore"):  # scores of 0 and 1 have infinite log odds
        log = exponent * _LOG2[0] + (np.log(mantissa) + exponent * _LOG2[1])
    return np.maximum(np.log1p(-np.ldexp(mantissa, exponent)) - log, 0.0)


def _stretched(distance: FloatArray, gamma: FloatArray) -> FloatArray:
    return _formula(_rounded(distance), gamma)


def _formula(z: FloatArray, gamma: FloatArray) -> FloatArray:
    """Return the log odds for logits of at least 0.

    With ``a = sp(z) exp(-z)`` and ``b = sp(-z) exp(z)`` they are ``(gamma + 1) z + log((1 + gamma a) / (1 + gamma b))``,
    and ``a - b = z exp(-z) - b (1 - exp(-2 z))``, which stays accurate near 0. Beyond z = 700 only the first term grows.
    """
    bounded = np.minimum(z, 700.0)
    u = np.exp(-bounded)
    b = np.log1p(u) / u
    change = gamma * (bounded * u + b * np.expm1(-2 * bounded)) / (1 + gamma * b)
    with np.errstate(over="ignore"):
        log_odds: FloatArray = (gamma + 1) * z + np.log1p(change)
    return log_odds


def _probability_below_half(log_odds: FloatArray) -> FloatArray:
    """Return ``sigmoid(-log_odds)`` for log odds of at least 0, never increasing.

    Near one half the sigmoid moves less than its own rounding, so it is taken from the hyperbolic tangent, which does
    not; numbers so small that they have fewer digits are 0.
    """
    odds = np.exp(-log_odds)
    odds = np.where(odds < 1e-307, 0.0, odds)
    return np.where(log_odds < 1, 0.5 - np.tanh(log_odds / 2) / 2, odds / (1 + odds))
