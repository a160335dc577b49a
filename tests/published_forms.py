"""Losses as others published them, each written out from its source: what the entries of the registry are compared with.

The forms are naive, in float64, with sigmoids and logarithms as in the sources, but without their clamps. They take the
logits, the targets, the counts of the labels in training and the number of documents, and parameters by our names, whose
defaults are those of the source; they return the loss of every element, or of every document or the batch if the loss
has none per element. A loss with a state is in its second epoch.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def log_loss(z: Tensor, y: Tensor) -> Tensor:
    """Bishop (2006), Eq. 4.90, with -ln p = ln(1 + e^-z) and -ln(1 - p) = ln(1 + e^z)."""
    return y * torch.log1p(torch.exp(-z)) + (1 - y) * torch.log1p(torch.exp(z))


def textbook(z, y, n, N):
    return log_loss(z, y)


def textbook_weighted(z, y, n, N, cap=None):
    weight = (N - n) / n
    if cap is not None:
        weight = weight.clamp(max=cap)
    p = torch.sigmoid(z)
    return -(weight * y * p.log() + (1 - y) * (1 - p).log())


def lin_focal(z, y, n, N, gamma=2.0, alpha=None):
    """Lin et al. (2017): p_t is p for a positive and 1 - p for a negative, alpha_t likewise."""
    p = torch.sigmoid(z)
    p_t = torch.where(y == 1, p, 1 - p)
    alpha_t = 1.0 if alpha is None else (alpha * y + (1 - alpha) * (1 - y))
    return -alpha_t * (1 - p_t) ** gamma * p_t.log()


def paper_adaptive(z, y, n, N, base_gamma=2.0, alpha=None):
    """The paper's Eq. 2, gamma_c = base gamma over the frequency n_c / N, and its Eq. 3 with one alpha_c per class."""
    p = torch.sigmoid(z)
    p_t = torch.where(y == 1, p, 1 - p)
    return -(1.0 if alpha is None else alpha) * (1 - p_t) ** (base_gamma / (n / N)) * p_t.log()


def two_classes(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of (present, absent) for every label, and which of the two is true: a sigmoid is their softmax."""
    return torch.stack([z, torch.zeros_like(z)], -1), torch.stack([y, 1 - y], -1)


def mukhoti(z, y, n, N, gamma=3.0):
    """focal_calibration, Losses/focal_loss_adaptive_gamma.py: gamma from a table by the value of p_t, not differentiated."""
    logits, true = two_classes(z, y)
    log_p_t = (torch.log_softmax(logits, -1) * true).sum(-1)
    p_t = log_p_t.exp()
    gammas = torch.tensor([5.0 if v < 0.2 else 3.0 if v < 0.5 else gamma for v in p_t.flatten().tolist()])
    return -((1 - p_t) ** gammas.reshape(p_t.shape).double()) * log_p_t


def cao(z, y, n, N, max_margin=0.5, scale=30.0):
    """LDAM-DRW, losses.py: the margin of the true class is taken from its logit, then a scaled softmax."""
    logits, true = two_classes(z, y)
    margins = torch.stack([n, N - n], -1) ** -0.25
    margins = margins * (max_margin / margins.max())
    return -(torch.log_softmax(scale * (logits - margins * true), -1) * true).sum(-1)


def cui(z, y, n, N, beta=0.999, gamma=0.0):
    """class-balanced-loss, src/cifar_main.py: all sigmoids of a document weigh as its one label; the weights sum to C."""
    weights = (1 - beta) / (1 - beta**n)
    weights = weights / weights.sum() * len(weights)
    of_document = (weights * y).sum(1, keepdim=True)
    # Their stable modulator: exp(-gamma y z - gamma log(1 + exp(-z))).
    modulator = torch.exp(-gamma * y * z - gamma * torch.log1p(torch.exp(-z)))
    return of_document * modulator * log_loss(z, y)


def ridnik(z, y, n, N, gamma_positive=0.0, gamma_negative=4.0, margin=0.05, hold=False):
    """ASL, src/loss_functions/losses.py: one weight for both signs, as a power of 1 - p_t."""
    positive = torch.sigmoid(z)
    negative = (1 - positive + margin).clamp(max=1)
    loss = y * positive.log() + (1 - y) * negative.log()
    p_t = positive * y + negative * (1 - y)
    weight = (1 - p_t) ** (gamma_positive * y + gamma_negative * (1 - y))
    return -loss * (weight.detach() if hold else weight)


def ridnik_held(z, y, n, N, **params):
    return ridnik(z, y, n, N, hold=True, **params)


def huang_apl(
    z,
    y,
    n,
    N,
    gamma_positive=0.0,
    gamma_negative=4.0,
    margin=0.05,
    epsilon_1=1.0,
    epsilon_2=-2.5,
    epsilon_negative=0.0,
    hill=None,
):
    """APL, APLloss.py: a polynomial is added to each logarithm; the weight is held constant."""
    positive = torch.sigmoid(z)
    negative = (1 - positive + margin).clamp(max=1)
    terms = positive.log() + epsilon_1 * (1 - positive) + 0.5 * epsilon_2 * (1 - positive) ** 2
    others = negative.log() + epsilon_negative * negative
    if hill is not None:
        others = others * (hill - positive) * positive**2 * (hill - negative)
    p_t = positive * y + negative * (1 - y)
    weight = (1 - p_t) ** (gamma_positive * y + gamma_negative * (1 - y))
    return -(y * terms + (1 - y) * others) * (weight.detach() if hill is None else weight)


def park_ral(z, y, n, N, lambda_=1.5, **params):
    """RAL, models/get_optimizer.py, Ralloss: APL's terms, the Hill factor on negatives, the weight differentiated."""
    return huang_apl(z, y, n, N, hill=lambda_, **params)


def balanced_nlp(
    z,
    y,
    n,
    N,
    gamma=2.0,
    alpha=0.5,
    weights=None,
    prior_shift=None,
    negative_scale=2.0,
    beta=0.9,
    weight_floor=0.1,
    weight_slope=10.0,
    weight_center=0.9,
    loss_weight=1.0,
):
    """BalancedLossNLP, Reuters/util_loss.py with the settings of Reuters/train.py."""
    weight = None
    if weights == "rebalance":
        repeated = (y / n).sum(1, keepdim=True)
        weight = torch.sigmoid(weight_slope * (1 / n / repeated - weight_center)) + weight_floor
    elif weights == "CB by class":
        weight = ((1 - beta) / (1 - beta**n)).expand_as(y)
    if prior_shift is not None:  # its logit_reg
        z = z - prior_shift * torch.log(N / n - 1)
        z = z * (1 - y) * negative_scale + z * y
        if weight is not None:
            weight = weight / negative_scale * (1 - y) + weight * y
    log_p_t = -log_loss(z, y)
    loss = -log_p_t if weight is None else -weight * log_p_t
    return loss_weight * (alpha * y + (1 - alpha) * (1 - y)) * (1 - log_p_t.exp()) ** gamma * loss


def nlp(**settings):
    return lambda z, y, n, N, **params: balanced_nlp(z, y, n, N, **{**settings, **params})


def wu(z, y, n, N, gamma=2.0, weight_floor=0.1, weight_slope=10.0, weight_center=0.9, shift=0.05, negative_scale=2.0):
    """DistributionBalancedLoss, mllt/models/losses/resample_loss.py: the shift over the scale, all of it times 2."""
    repeated = (y / n).sum(1, keepdim=True)
    weight = torch.sigmoid(weight_slope * (1 / n / repeated - weight_center)) + weight_floor
    z = z - torch.log(N / n - 1) * shift / negative_scale
    z = z * (1 - y) * negative_scale + z * y
    weight = weight / negative_scale * (1 - y) + weight * y
    log_p_t = -log_loss(z, y)
    return 2.0 * (1 - log_p_t.exp()) ** gamma * -weight * log_p_t


#: What plm has seen in its first epoch: (logits, targets); and the seed of the mask in the second.
PLM_EPOCH = (
    torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(8)) * 2,
    (torch.rand(200, 5, generator=torch.Generator().manual_seed(9)) < 0.4).double(),
)
PLM_SEED = 4


def mamo3gr(z, y, n, N, rate=0.1, n_bins=10):
    """partial_label_masking, src/plm.py: the ratio after one epoch, then the mask of this batch; in numpy."""
    ratio = n.numpy() / N  # examples/utils.py
    eps = np.finfo(float).eps
    predicted, true = torch.sigmoid(PLM_EPOCH[0]).numpy(), PLM_EPOCH[1].numpy()
    differences = []
    for sign in (true > 0, true == 0):
        divergences = []
        for c in range(len(ratio)):
            shares = [
                np.histogram(values[sign[:, c], c], n_bins, (0.0, 1.0))[0] / sign[:, c].sum()
                for values in (predicted, true)
            ]
            p, q = shares[0], np.where(shares[1] > 0, shares[1], eps)
            divergences.append(np.sum(p * np.log(p / q + eps)))
        divergences = np.array(divergences)
        differences.append((divergences - divergences.mean()) / (divergences.std() + eps))
    ideal = ratio * np.exp(rate * (differences[0] - differences[1]))
    of_positives, of_negatives = np.minimum(1, ideal / ratio), np.minimum(1, ratio / ideal)
    keep = torch.where(y == 1, torch.tensor(of_positives), torch.tensor(of_negatives))
    torch.manual_seed(PLM_SEED)
    return log_loss(z, y) * (torch.rand_like(z.detach()) < keep)


def ren(z, y, n, N):
    """BALMS, fast_rcnn.py: a sigmoid whose logits start from the log odds of the classes, log((1 - r)/r) taken off."""
    frequency = n / N
    return log_loss(z - torch.log((1 - frequency) / frequency), y)


def zhang_hill(z, y, n, N, lambda_=1.5, margin=1.0, gamma=2.0):
    """robust-loss-mlml, src/loss_functions/losses.py, Hill: a margin and a focal weight for positives alone."""
    shifted, p = torch.sigmoid(z - margin), torch.sigmoid(z)
    return -y * (1 - shifted) ** gamma * shifted.log() + (1 - y) * (lambda_ - p) * p**2


def zhang_splc(z, y, n, N, threshold=0.6, margin=1.0, gamma=2.0, change_epoch=1):
    """robust-loss-mlml, SPLC, in the epoch of index 1: the margin goes by the given target, the rest by the corrected."""
    p = torch.sigmoid(torch.where(y == 1, z - margin, z))
    corrected = torch.where(p > threshold, 1.0, y) if change_epoch <= 1 else y
    p_t = torch.where(corrected == 1, p, 1 - p)
    return -((1 - p_t) ** gamma) * p_t.log()


def yao(z, y, n, N, growth=2.0, n_epochs=10):
    """DBGB, src/dbloss.py, one head, in the epoch of index 1: the scale is w(e) + 0.1 times the inverse propensity."""
    propensity = 1 / (1 + (np.log(N) - 1) * 2.5**0.55 * (n + 1.5) ** -0.55)
    d = 1 + growth * 1 / (n_epochs - 1) + 0.1 / propensity
    return y * torch.log1p(torch.exp(-z)) + (1 - y) * torch.log1p(torch.exp(d * z)) / d


def su(z, y, n, N):
    """bert4keras, backend.py, multilabel_categorical_crossentropy: a zero is added to the logits of either side."""
    zero = torch.zeros_like(z[:, :1])
    negatives = torch.cat([z.masked_fill(y == 1, -torch.inf), zero], 1)
    positives = torch.cat([(-z).masked_fill(y == 0, -torch.inf), zero], 1)
    return torch.logsumexp(negatives, 1) + torch.logsumexp(positives, 1)


def kobayashi(z, y, n, N, temperature_positive=4.0, temperature_negative=1.0):
    """TwoWayMultiLabelLoss, utils/criterion.py: by label and by document, over those with a positive."""
    total = 0.0
    for dim in (0, 1):
        negatives = torch.logsumexp((z / temperature_negative).masked_fill(y == 1, -torch.inf), dim)
        positives = torch.logsumexp((-z / temperature_positive).masked_fill(y == 0, -torch.inf), dim)
        of_group = torch.nn.functional.softplus(temperature_negative * negatives + temperature_positive * positives)
        total = total + of_group[(y == 1).any(dim)].mean()
    return total


def benedict(z, y, n, N, slope=1.0, offset=0.0):
    """metrics-as-losses, VLAP/pytorchLosses.py: S is minus the slope, and the sigmoid is applied to probabilities."""
    s = 1 / (1 + torch.exp(-slope * (torch.sigmoid(z) + offset)))
    tp, fp, fn = (s * y).sum(0), (s * (1 - y)).sum(0), ((1 - s) * y).sum(0)
    return (1 - 2 * tp / (2 * tp + fn + fp + 1e-16)).mean()


def benedict_tensorflow(z, y, n, N, slope=10.0, offset=1.0):
    """metrics-as-losses, VLAP/sigmoidF1.py, with the values of VLAP/hyperparameters.py."""
    return benedict(z, y, n, N, slope, offset)


#: (name in the registry, source as its entry names it) -> form.
FORMS: dict[tuple[str, str], Callable[..., Tensor]] = {
    ("bce", "the textbook"): textbook,
    ("weighted_bce", "the textbook"): textbook_weighted,
    ("class_balanced", "CBloss of BalancedLossNLP, weights by class (Huang et al. 2021)"): nlp(
        weights="CB by class", loss_weight=10.0
    ),
    ("class_balanced", "the authors' sigmoid form, for documents with one label (Cui et al. 2019)"): cui,
    ("focal", "Eq. 5 of Lin et al. (2017), and Eq. 4 without an alpha"): lin_focal,
    ("afl", "the paper's Eq. 2 and 3 to the letter"): paper_adaptive,
    ("afl-literal", "the paper's Eq. 2 and 3 to the letter"): paper_adaptive,
    ("flsd53", "the authors' code with two classes per label, present and absent (Mukhoti et al. 2020)"): mukhoti,
    ("asl", "Eq. 7 and the authors' AsymmetricLossOptimized (Ridnik et al. 2021)"): ridnik,
    ("asl", "their AsymmetricLoss as train.py calls it, which holds the focusing weight constant"): ridnik_held,
    ("apl", "the authors' code (Huang et al. 2023)"): huang_apl,
    ("ral", "the authors' code (Park et al. 2023)"): park_ral,
    ("ldam", "the authors' code with two classes per label, present and absent (Cao et al. 2019)"): cao,
    ("plm", "a third party's code (mamo3gr/partial_label_masking)"): mamo3gr,
    ("distribution_balanced", "DBloss of BalancedLossNLP (Huang et al. 2021)"): nlp(
        weights="rebalance", prior_shift=0.05
    ),
    ("distribution_balanced", "the authors' code at the same parameters (Wu et al. 2020)"): wu,
    ("rebalanced_focal", "R-BCE-Focal of BalancedLossNLP (Huang et al. 2021)"): nlp(weights="rebalance"),
    ("ntr_focal", "NTR-Focal of BalancedLossNLP (Huang et al. 2021)"): nlp(prior_shift=0.05),
    ("cb_ntr", "CBloss-ntr of BalancedLossNLP, weights by class (Huang et al. 2021)"): nlp(
        weights="CB by class", prior_shift=0.05, loss_weight=10.0
    ),
    ("logit_adjusted", "the sigmoid form of Balanced Softmax in its authors' code (Ren et al. 2020)"): ren,
    ("hill", "the authors' code (Zhang et al. 2021)"): zhang_hill,
    ("splc", "the authors' code (Zhang et al. 2021)"): zhang_splc,
    ("dbgb", "the authors' pre-publication code for one head (Yao et al. 2023)"): yao,
    ("zlpr", "the first author's code (Su et al. 2022)"): su,
    ("two_way", "the author's code (Kobayashi 2023)"): kobayashi,
    ("sigmoid_f1", "the authors' PyTorch code (Benedict et al. 2022)"): benedict,
    (
        "sigmoid_f1",
        "their TensorFlow code, where next to nothing is learnt, because every s is above 0.9999",
    ): benedict_tensorflow,
}

#: Other parameters, under our names, with which the agreement must be what it is by default.
OTHER: dict[str, list[dict[str, object]]] = {
    "weighted_bce": [{"cap": 3.0}],
    "class_balanced": [{"beta": 0.99}, {"beta": 0.5, "gamma": 1.5}],
    "focal": [{"gamma": 0.5}, {"gamma": 1.0, "alpha": 0.25}],
    "afl": [{"base_gamma": 0.3, "alpha": 0.25}],
    "afl-literal": [{"base_gamma": 0.3, "alpha": 0.25}],
    "flsd53": [{"gamma": 1.0}],
    "asl": [{"gamma_positive": 1.0}, {"gamma_positive": 2.0, "gamma_negative": 1.5, "margin": 0.2}],
    "apl": [{"gamma_positive": 1.5, "margin": 0.1, "epsilon_1": 0.7, "epsilon_negative": 0.3}],
    "ral": [{"gamma_positive": 1.0, "margin": 0.1, "epsilon_negative": 0.4, "lambda_": 1.2}],
    "ldam": [{"max_margin": 1.0, "scale": 2.0}],
    "plm": [{"rate": 1.2, "n_bins": 4}],
    "distribution_balanced": [{"gamma": 1.0, "weight_floor": 0.3, "weight_slope": 3.0, "weight_center": 0.2}],
    "rebalanced_focal": [{"gamma": 1.0, "alpha": 0.3, "weight_center": 0.2}],
    "ntr_focal": [{"gamma": 1.0, "alpha": 0.3, "prior_shift": 0.3, "negative_scale": 5.0}],
    "cb_ntr": [{"gamma": 1.0, "beta": 0.99, "prior_shift": 0.3, "negative_scale": 5.0}],
    "hill": [{"lambda_": 2.0, "margin": 0.5, "gamma": 1.0}],
    "splc": [{"threshold": 0.8, "margin": 0.5, "gamma": 1.0}, {"change_epoch": 2}],
    "dbgb": [{"growth": 4.0, "n_epochs": 5}],
    "two_way": [{"temperature_positive": 1.0, "temperature_negative": 2.5}],
    "sigmoid_f1": [{"slope": 4.0, "offset": -0.5}],
}

#: Forms that their source defines for documents with one label alone.
ONE_LABEL = {cui}
