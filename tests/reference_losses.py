"""Every loss of the registry, one element at a time, in 80 digits: the oracle of the tests.

Written from the formulas as a plain loop, without a tensor. ``p`` is the sigmoid of the logit ``z``, ``q`` is ``1 - p``
computed as the sigmoid of ``-z``: at z = 1e4 it is exp(-1e4), where 1 - p would be 0 in fewer than 4,343 digits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mpmath

mp = mpmath.mp.clone()  # our own digits: other tests set those of the shared context
mp.dps = 80
STEP = mp.mpf(10) ** -26  # of the central difference; its error is far below the 16 digits that the tests look at


@dataclass(frozen=True)
class Reference:
    """What the tests know about a loss, independently of the package.

    Args:
        cost: (logit, target, label, document, logit at which a held weight is taken, parameters) -> cost.
        defaults: the loss's parameters and their defaults.
        other: other values, which show what a default hides: a gamma of 0, an alpha of None, an epsilon of 0. A list
            has one entry for each of four labels.
        by_document: the cost of a label depends on the other targets of the document.
    """

    cost: Callable[..., mpmath.mpf]
    defaults: dict[str, object]
    other: dict[str, object]
    by_document: bool = False


def reference(name, params, counts, n_documents, row_logits, row_targets, c):
    """Loss of label ``c`` of one document, and its derivative by that label's logit.

    Args:
        params: parameters that differ from the defaults; a parameter per class is a list.
        counts: documents of each label in training; not used where the loss does not depend on them.
        row_logits, row_targets: the document's, one number per label; targets are 0 or 1.

    Returns:
        Two mpf. In the derivative, what the loss holds constant is constant: apl's focusing weight, flsd53's gamma.
    """
    params = {**REFERENCES[name].defaults, **params}
    document = Document(counts, n_documents, row_targets)
    z = mp.mpf(row_logits[c])

    def cost(z, held):
        return REFERENCES[name].cost(z, row_targets[c], c, document, held, **params)

    return cost(z, z), (cost(z + STEP, z) - cost(z - STEP, z)) / (2 * STEP)


class Document:
    """What a loss may know besides the logit: the counts in training and the document's own targets."""

    def __init__(self, counts, n_documents, targets):
        self.given = [mp.mpf(n) for n in counts]
        self.N = mp.mpf(n_documents)
        self.n = [min(max(n, mp.mpf(1)), self.N - 1) for n in self.given]  # "no document" and "every" stay finite
        self.targets = targets


# --- parts ----------------------------------------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + mp.exp(-z)) if z >= 0 else mp.exp(z) / (1 + mp.exp(z))


def minus_log_sigmoid(z):
    """-ln p, a softplus."""
    return mp.log1p(mp.exp(-z)) if z >= 0 else -z + mp.log1p(mp.exp(z))


def cross_entropy(z, y):
    return minus_log_sigmoid(z if y else -z)


def focal(z, y, gamma):
    """(1 - p_t)^gamma (-ln p_t)"""
    u = z if y else -z
    return sigmoid(-u) ** mp.mpf(gamma) * minus_log_sigmoid(u)


def at(value, c):
    """The value of label c of a parameter that is one number or one per class."""
    return mp.mpf(value[c] if isinstance(value, (list, tuple)) else value)


def balance(alpha, y, c):
    """alpha for positives, 1 - alpha for negatives, 1 without an alpha."""
    if alpha is None:
        return mp.mpf(1)
    return at(alpha, c) if y else 1 - at(alpha, c)


# --- costs ----------------------------------------------------------------------------------------------------------


def bce(z, y, c, document, held):
    return cross_entropy(z, y)


def weighted_bce(z, y, c, document, held, cap):
    weight = (document.N - document.n[c]) / document.n[c]
    if cap is not None:
        weight = min(weight, mp.mpf(cap))
    return weight * cross_entropy(z, y) if y else cross_entropy(z, y)


def class_balanced(z, y, c, document, held, beta, gamma, weight_by):
    weights = [effective_weight(n, beta) for n in document.n]
    weights = [weight / (sum(weights) / len(weights)) for weight in weights]
    if weight_by == "label":
        return weights[c] * focal(z, y, gamma)
    carried = [weight for weight, target in zip(weights, document.targets) if target]
    return (sum(carried) / len(carried) if carried else 1) * focal(z, y, gamma)


def effective_weight(n, beta):
    """(1 - beta) / (1 - beta^n)"""
    return (1 - mp.mpf(beta)) / (1 - mp.mpf(beta) ** n)


def plain_focal(z, y, c, document, held, gamma, alpha):
    return balance(alpha, y, c) * focal(z, y, at(gamma, c))


def class_gammas(document, base_gamma, normalization, bounds):
    """The paper's Eq. 2 under the readings that divide by a frequency; a count is at least 1."""
    n = [max(count, mp.mpf(1)) for count in document.given]
    whole = {"documents": document.N, "labels": sum(n), "max": max(n), "mean": sum(n) / len(n)}[normalization]
    gammas = [mp.mpf(base_gamma) * whole / count for count in n]
    if bounds is not None:
        low, high = bounds
        gammas = [min(max(gamma, mp.mpf(low)), mp.mpf(high)) for gamma in gammas]
    return gammas


def adaptive_focal(
    z,
    y,
    c,
    document,
    held,
    base_gamma,
    alpha,
    gamma_negative,
    rescale,
    normalization="documents",
    bounds=None,
    assignment="frequency",
    assignment_seed=0,
):
    gammas = class_gammas(document, base_gamma, normalization, bounds)
    if assignment == "reversed":
        gammas = [max(gammas) + min(gammas) - gamma for gamma in gammas]
    elif assignment == "mean":
        gammas = [sum(gammas) / len(gammas)] * len(gammas)
    else:
        assert assignment == "frequency"
    gamma = gammas[c] if y or gamma_negative is None else at(gamma_negative, c)
    cost = focal(z, y, gamma)
    if alpha is not None:
        cost *= at(alpha, c)
    return cost * gammas[c] / mp.mpf(base_gamma) if rescale else cost


def flsd(z, y, c, document, held, gamma, gammas, limits):
    p_t = sigmoid(held if y else -held)
    if p_t < mp.mpf(limits[0]):
        gamma = gammas[0]
    elif p_t < mp.mpf(limits[1]):
        gamma = gammas[1]
    return focal(z, y, gamma)


def shifted(z, margin):
    """p_m = max(p - m, 0)"""
    return max(sigmoid(z) - mp.mpf(margin), mp.mpf(0))


def minus_log_rest(z, margin):
    """-ln(1 - p_m)"""
    p_m = shifted(z, margin)
    return -mp.log1p(-p_m) if p_m < 0.5 else -mp.log(sigmoid(-z) + mp.mpf(margin))


def asymmetric(z, y, c, document, held, gamma_positive, gamma_negative, margin, alpha=None, detach_focus=False):
    focus_at = held if detach_focus else z
    if y:
        return balance(alpha, y, c) * sigmoid(-focus_at) ** mp.mpf(gamma_positive) * minus_log_sigmoid(z)
    focus = shifted(focus_at, margin) ** mp.mpf(gamma_negative)
    return balance(alpha, y, c) * focus * minus_log_rest(z, margin)


def polynomial(z, epsilon_1, epsilon_2):
    """-(ln p + e1 q + (e2/2) q^2), where ln p = -q - q^2/2 - q^3/3 - ..."""
    q, e1, e2 = sigmoid(-z), mp.mpf(epsilon_1), mp.mpf(epsilon_2)
    if q > mp.mpf("1e-10"):
        return minus_log_sigmoid(z) - e1 * q - e2 / 2 * q**2
    return (1 - e1) * q + (1 - e2) / 2 * q**2 + sum(q**k / k for k in range(3, 9))


def asymmetric_polynomial(
    z, y, c, document, held, gamma_positive, gamma_negative, margin, epsilon_1, epsilon_2, epsilon_negative, alpha
):
    if y:
        return balance(alpha, y, c) * sigmoid(-held) ** mp.mpf(gamma_positive) * polynomial(z, epsilon_1, epsilon_2)
    weight = balance(alpha, y, c) * shifted(held, margin) ** mp.mpf(gamma_negative)
    return weight * (minus_log_rest(z, margin) - mp.mpf(epsilon_negative) * (1 - shifted(z, margin)))


def robust_asymmetric(z, y, c, document, held, lambda_, **params):
    cost = asymmetric_polynomial(z, y, c, document, z, **params)  # everything is differentiated
    if y:
        return cost
    p, rest, lambda_ = sigmoid(z), 1 - shifted(z, params["margin"]), mp.mpf(lambda_)
    return cost * (lambda_ - p) * p**2 * (lambda_ - rest)


def rebalancing(c, document, floor, slope, center):
    """floor + sigmoid(slope (r_c - center)), r_c = (1/n_c) / sum over the document's labels of 1/n_j."""
    repeated = sum(1 / n for n, target in zip(document.n, document.targets) if target)
    if not repeated:
        return mp.mpf(floor) + 1  # r_c is infinite
    return mp.mpf(floor) + sigmoid(mp.mpf(slope) * (1 / document.n[c] / repeated - mp.mpf(center)))


def tolerant(z, y, c, document, prior_shift, negative_scale, divide_negatives):
    """Negative-tolerant regularisation: the logit that the focal loss gets, and the weight that goes with it."""
    z = z - mp.mpf(prior_shift) * mp.log(document.N / document.n[c] - 1)
    scale = mp.mpf(1) if y else mp.mpf(negative_scale)
    return scale * z, 1 / scale if divide_negatives else mp.mpf(1)


def distribution_balanced(
    z,
    y,
    c,
    document,
    held,
    gamma,
    alpha,
    weight_floor,
    weight_slope,
    weight_center,
    prior_shift,
    negative_scale,
    divide_negatives,
):
    weight = rebalancing(c, document, weight_floor, weight_slope, weight_center)
    z, negative_weight = tolerant(z, y, c, document, prior_shift, negative_scale, divide_negatives)
    return weight * negative_weight * balance(alpha, y, c) * focal(z, y, gamma)


def rebalanced_focal(z, y, c, document, held, gamma, alpha, weight_floor, weight_slope, weight_center):
    weight = rebalancing(c, document, weight_floor, weight_slope, weight_center)
    return weight * balance(alpha, y, c) * focal(z, y, gamma)


def ntr_focal(z, y, c, document, held, gamma, alpha, prior_shift, negative_scale, divide_negatives):
    z, negative_weight = tolerant(z, y, c, document, prior_shift, negative_scale, divide_negatives)
    return negative_weight * balance(alpha, y, c) * focal(z, y, gamma)


def cb_ntr(z, y, c, document, held, beta, **params):
    return effective_weight(document.n[c], beta) * ntr_focal(z, y, c, document, held, **params)


def smoothed(c, document, smoothing, cooccurrence):
    """(1 - s) y_c + s * mean over the document's labels j of P(c | j); P(c | c) is 1. Zero without a label."""
    carried = [j for j, target in enumerate(document.targets) if target]
    if not carried:
        return mp.mpf(0)
    expected = mp.mpf(0)
    for j in carried:
        if j == c:
            expected += 1
        elif cooccurrence is None:
            expected += document.n[c] / document.N
        else:
            expected += mp.mpf(cooccurrence[j][c]) / max(document.given[j], mp.mpf(1))
    s = mp.mpf(smoothing)
    return (1 - s) * document.targets[c] + s * expected / len(carried)


def weighted_asymmetric(z, y, c, document, held, power, smoothing, cooccurrence, **params):
    weights = [n ** -mp.mpf(power) for n in document.n]
    target = smoothed(c, document, smoothing, cooccurrence)
    positive, negative = (asymmetric(z, sign, c, document, held, **params) for sign in (1, 0))
    return weights[c] / (sum(weights) / len(weights)) * (target * positive + (1 - target) * negative)


def ldam(z, y, c, document, held, max_margin, scale, alpha):
    rarest = max(n ** mp.mpf(-0.25) for n in document.n)
    margin = mp.mpf(max_margin) * document.n[c] ** mp.mpf(-0.25) / rarest
    return balance(alpha, y, c) * cross_entropy(mp.mpf(scale) * (z - margin if y else z), y)


def partial_label_masking(z, y, c, document, held, rate, n_bins, update, bound):
    return cross_entropy(z, y)  # before the first end_epoch() the ideal ratio is the observed one: nothing is masked


def logit_adjusted(z, y, c, document, held, tau):
    n = document.given[c]
    return cross_entropy(z + mp.mpf(tau) * mp.log((n + 0.5) / (document.N - n + 0.5)), y)


def hill(z, y, c, document, held, lambda_, margin, gamma):
    """The focal loss of a positive that must clear a margin; a hill in the gradient of a negative."""
    if y:
        return focal(z - mp.mpf(margin), 1, gamma)
    return (mp.mpf(lambda_) - sigmoid(z)) * sigmoid(z) ** 2


def self_paced(z, y, c, document, held, threshold, margin, gamma, change_epoch):
    """In the first epoch: a negative is corrected if no epoch must pass before."""
    if y:
        return focal(z - mp.mpf(margin), 1, gamma)
    return focal(z, int(change_epoch == 0 and sigmoid(held) > mp.mpf(threshold)), gamma)


def gradient_balanced(z, y, c, document, held, growth, n_epochs):
    """In the first epoch; log(1 + e^(d z)) / d with d = 1 + q/10 for a negative."""
    if y:
        return cross_entropy(z, 1)
    C = (mp.log(document.N) - 1) * mp.mpf("2.5") ** mp.mpf("0.55")
    d = 1 + (1 + C * (document.given[c] + mp.mpf("1.5")) ** mp.mpf("-0.55")) / 10
    return cross_entropy(d * z, 0) / d


# --- losses that do not fall apart into elements --------------------------------------------------------------------


@dataclass(frozen=True)
class WholeReference:
    """What the tests know about a loss of a document or of a batch.

    Args:
        cost: (rows of logits, rows of targets, parameters) -> one cost per document, or the cost of the batch. An entry
            that is masked is None in both.
        defaults, other: as in ``Reference``.
    """

    cost: Callable[..., object]
    defaults: dict[str, object]
    other: dict[str, object]


def whole_reference(name, params, logits, targets):
    """Mean loss of a batch and its derivative by each logit (0 where it is None), in mpf.

    Args:
        logits, targets: rows of numbers; None if masked.
    """
    params = {**REFERENCES[name].defaults, **params}
    rows = [[None if z is None else mp.mpf(z) for z in row] for row in logits]

    def cost(rows):
        value = REFERENCES[name].cost(rows, targets, **params)
        if not isinstance(value, list):
            return value
        known = [v for v, row in zip(value, rows) if any(z is not None for z in row)]
        return sum(known) / len(known)

    def moved(i, c, step):
        return [[z + step if (i, c) == (j, k) else z for k, z in enumerate(row)] for j, row in enumerate(rows)]

    slopes = [
        [
            mp.mpf(0) if z is None else (cost(moved(i, c, STEP)) - cost(moved(i, c, -STEP))) / (2 * STEP)
            for c, z in enumerate(row)
        ]
        for i, row in enumerate(rows)
    ]
    return cost(rows), slopes


def zlpr(rows, targets):
    documents = []
    for row, labels in zip(rows, targets):
        known = [(z, mp.mpf(y)) for z, y in zip(row, labels) if z is not None]
        negatives = sum((1 - y) * mp.exp(z) for z, y in known)
        positives = sum(y * mp.exp(-z) for z, y in known)
        documents.append(mp.log1p(negatives) + mp.log1p(positives))
    return documents


def two_way(rows, targets, temperature_positive, temperature_negative):
    """log(1 + (sum exp(z/Tn))^Tn (sum exp(-z/Tp))^Tp) of each row and each column that holds a positive."""
    Tp, Tn = mp.mpf(temperature_positive), mp.mpf(temperature_negative)
    grid = [[(z, y) for z, y in zip(row, labels)] for row, labels in zip(rows, targets)]
    total = mp.mpf(0)
    for groups in (grid, list(zip(*grid))):
        costs = []
        for group in groups:
            positives = [z for z, y in group if z is not None and y == 1]
            negatives = [z for z, y in group if z is not None and y == 0]
            if positives:
                product = sum(mp.exp(-z / Tp) for z in positives) ** Tp
                costs.append(mp.log1p(product * sum(mp.exp(z / Tn) for z in negatives) ** Tn if negatives else 0))
        total += sum(costs) / len(costs) if costs else 0
    return total


def sigmoid_f1(rows, targets, slope, offset, on_probabilities):
    """1 - 2 TP / (sum of s + number of positives), label by label."""
    losses = []
    for column, labels in zip(zip(*rows), zip(*targets)):
        known = [(z, mp.mpf(y)) for z, y in zip(column, labels) if z is not None]
        if not known:
            continue
        s = [sigmoid(mp.mpf(slope) * ((sigmoid(z) if on_probabilities else z) + mp.mpf(offset))) for z, _ in known]
        positives = sum(y for _, y in known)
        hit = sum(a * y for a, (_, y) in zip(s, known))
        losses.append(1 - 2 * hit / (sum(s) + positives) if positives else mp.mpf(1))
    return sum(losses) / len(losses)


REFERENCES = {
    "bce": Reference(bce, {}, {}),
    "weighted_bce": Reference(weighted_bce, {"cap": None}, {"cap": 5.0}),
    "class_balanced": Reference(
        class_balanced,
        {"beta": 0.999, "gamma": 0.0, "weight_by": "label"},
        {"beta": 0.9, "gamma": 1.5, "weight_by": "document"},
        by_document=True,
    ),
    "focal": Reference(
        plain_focal, {"gamma": 2.0, "alpha": None}, {"gamma": [0.5, 2.0, 3.0, 0.0], "alpha": [0.25, 0.5, 0.9, 1.0]}
    ),
    "afl": Reference(
        adaptive_focal,
        {
            "base_gamma": 2.0,
            "normalization": "mean",
            "bounds": (0.5, 5.0),
            "assignment": "frequency",
            "assignment_seed": 0,
            "alpha": None,
            "gamma_negative": None,
            "rescale": False,
        },
        {"normalization": "max", "bounds": (1.0, 6.0), "alpha": [0.25, 0.5, 0.9, 1.0], "rescale": True},
    ),
    "afl-literal": Reference(
        adaptive_focal,
        {"base_gamma": 2.0, "alpha": None, "gamma_negative": None, "rescale": False},
        {"base_gamma": 0.1, "gamma_negative": 1.0},
    ),
    "flsd53": Reference(
        flsd,
        {"gamma": 3.0, "gammas": (5.0, 3.0), "limits": (0.2, 0.5)},
        {"gamma": 1.0, "gammas": (4.0, 2.5), "limits": (0.15, 0.4)},
    ),
    "asl": Reference(
        asymmetric,
        {"gamma_positive": 0.0, "gamma_negative": 4.0, "margin": 0.05, "alpha": None, "detach_focus": False},
        {"gamma_positive": 1.0, "gamma_negative": 1.5, "margin": 0.2},
    ),
    "apl": Reference(
        asymmetric_polynomial,
        {
            "gamma_positive": 0.0,
            "gamma_negative": 4.0,
            "margin": 0.05,
            "epsilon_1": 1.0,
            "epsilon_2": -2.5,
            "epsilon_negative": 0.0,
            "alpha": None,
        },
        {"gamma_positive": 1.5, "gamma_negative": 2.0, "margin": 0.2, "epsilon_1": 0.5, "epsilon_negative": 0.3},
    ),
    "ral": Reference(
        robust_asymmetric,
        {
            "gamma_positive": 0.0,
            "gamma_negative": 4.0,
            "margin": 0.05,
            "epsilon_1": 1.0,
            "epsilon_2": -2.5,
            "epsilon_negative": 0.0,
            "lambda_": 1.5,
            "alpha": None,
        },
        {"gamma_positive": 1.5, "gamma_negative": 2.0, "margin": 0.2, "epsilon_1": 0.5, "lambda_": 2.0},
    ),
    "distribution_balanced": Reference(
        distribution_balanced,
        {
            "gamma": 2.0,
            "alpha": 0.5,
            "weight_floor": 0.1,
            "weight_slope": 10.0,
            "weight_center": 0.9,
            "prior_shift": 0.05,
            "negative_scale": 2.0,
            "divide_negatives": True,
        },
        {"gamma": 1.5, "alpha": 0.3, "weight_center": 0.2, "prior_shift": 0.5},
        by_document=True,
    ),
    "rebalanced_focal": Reference(
        rebalanced_focal,
        {"gamma": 2.0, "alpha": 0.5, "weight_floor": 0.1, "weight_slope": 10.0, "weight_center": 0.9},
        {"gamma": 1.5, "alpha": None, "weight_floor": 0.0, "weight_slope": 2.0},
        by_document=True,
    ),
    "ntr_focal": Reference(
        ntr_focal,
        {"gamma": 2.0, "alpha": 0.5, "prior_shift": 0.05, "negative_scale": 2.0, "divide_negatives": True},
        {"gamma": 1.5, "alpha": None, "prior_shift": 0.5, "negative_scale": 3.0, "divide_negatives": False},
    ),
    "cb_ntr": Reference(
        cb_ntr,
        {
            "gamma": 2.0,
            "alpha": 0.5,
            "beta": 0.9,
            "prior_shift": 0.05,
            "negative_scale": 2.0,
            "divide_negatives": True,
        },
        {"gamma": 0.0, "alpha": 0.3, "beta": 0.99},
    ),
    "ldam": Reference(
        ldam,
        {"max_margin": 0.5, "scale": 30.0, "alpha": None},
        {"max_margin": 1.0, "scale": 2.0},
    ),
    "plm": Reference(partial_label_masking, {"rate": 0.1, "n_bins": 10, "update": "distance", "bound": 10.0}, {}),
    "wal": Reference(
        weighted_asymmetric,
        {
            "gamma_positive": 0.0,
            "gamma_negative": 4.0,
            "margin": 0.05,
            "power": 0.5,
            "smoothing": 0.1,
            "cooccurrence": None,
        },
        {"gamma_positive": 1.0, "margin": 0.2, "power": 1.0, "smoothing": 0.2},
        by_document=True,
    ),
    "logit_adjusted": Reference(logit_adjusted, {"tau": 1.0}, {"tau": 0.4}),
    "hill": Reference(
        hill, {"lambda_": 1.5, "margin": 1.0, "gamma": 2.0}, {"lambda_": 2.0, "margin": 0.5, "gamma": 0.5}
    ),
    "splc": Reference(
        self_paced,
        {"threshold": 0.6, "margin": 1.0, "gamma": 2.0, "change_epoch": 1},
        {"margin": 0.5, "gamma": 1.5, "change_epoch": 0},
    ),
    "dbgb": Reference(gradient_balanced, {"growth": 2.0, "n_epochs": 10}, {"growth": 4.0, "n_epochs": 1}),
    "zlpr": WholeReference(zlpr, {}, {}),
    "two_way": WholeReference(
        two_way,
        {"temperature_positive": 4.0, "temperature_negative": 1.0},
        {"temperature_positive": 1.0, "temperature_negative": 2.5},
    ),
    "sigmoid_f1": WholeReference(
        sigmoid_f1,
        {"slope": 1.0, "offset": 0.0, "on_probabilities": False},
        {"slope": 10.0, "offset": -0.5, "on_probabilities": True},
    ),
}
