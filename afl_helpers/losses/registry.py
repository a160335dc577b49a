"""Every loss under one name: what it is, where it comes from, how it is built, what it obeys."""

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.gamma import assign_gamma, check_counts, class_gamma
from afl_helpers.losses.modules import (
    AdaptiveFocalLoss,
    AsymmetricLoss,
    AsymmetricPolynomialLoss,
    BinaryCrossEntropy,
    ClassBalancedLoss,
    DistributionBalancedLoss,
    FocalLoss,
    LDAMLoss,
    MultiLabelLoss,
    RobustAsymmetricLoss,
    SampleDependentFocalLoss,
    WeightedAsymmetricLoss,
    WeightedBinaryCrossEntropy,
    effective_number_weight,
)
from afl_helpers.losses.partial import PartialLabelMaskingLoss


@dataclass(frozen=True)
class LossInfo:
    """One row of the registry.

    Args:
        title: what the loss is called.
        equation: the loss of one label in LaTeX.
        reference: key of the bibliography.
        fidelity: how close this loss is to its source.
        when: when to reach for it, and what to beware of.
        build: makes the module; takes ``label_counts`` and ``n_documents`` first where ``needs_counts``.
        needs_counts: depends on class frequency.
        monotone: the loss of a positive never rises with its logit, that of a negative never falls.
        soft_targets: takes targets between 0 and 1, as mixtures of the two costs.
        differentiated: its gradient is that of its value; False where a focusing weight is held constant.
        reduces_to_bce: parameters with which it is binary cross-entropy, or None.

    Example:
        >>> from afl_helpers.losses import LOSSES
        >>> info = LOSSES["focal"]
        >>> info.defaults
        {'gamma': 2.0, 'alpha': None, 'reduction': 'mean'}
        >>> info.parameters["gamma"]
        'number or (n_labels,), at least 0; 0 is binary cross-entropy.'
    """

    title: str
    equation: str
    reference: str
    fidelity: str
    when: str
    build: Callable[..., MultiLabelLoss]
    needs_counts: bool = False
    monotone: bool = True
    soft_targets: bool = True
    differentiated: bool = True
    reduces_to_bce: dict[str, object] | None = None

    @property
    def defaults(self) -> dict[str, object]:
        """The parameters of the loss and their defaults."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in ("label_counts", "n_documents")}

    @property
    def parameters(self) -> dict[str, str]:
        """What each parameter means, from the docstring of ``build``."""
        text = inspect.getdoc(self.build) or ""
        section = re.search(r"^Args:\n((?: +.*\n?|\n)*)", text, re.MULTILINE)
        entries = re.findall(
            r"^ {4}([\w, ]+): ((?:.*\n?)(?:^ {8}.*\n?)*)", section.group(1) if section else "", re.MULTILINE
        )
        meanings = {name: " ".join(meaning.split()) for names, meaning in entries for name in names.split(", ")}
        return {name: meanings[name] for name in self.defaults if name in meanings}


#: alpha_c from the training counts, by name.
ALPHAS = ("inverse_frequency", "effective_number")


def _adaptive(
    label_counts,
    n_documents,
    base_gamma=2.0,
    normalization="mean",
    bounds=(0.5, 5.0),
    assignment="frequency",
    assignment_seed=0,
    alpha=None,
    gamma_negative=None,
    rescale=False,
    reduction="mean",
):
    """Adaptive focal loss from training counts.

    Args:
        base_gamma: the paper's base_gamma, at least 0; its value is not stated there.
        normalization: the reading of "normalised frequency", a name in NORMALIZATIONS.
        bounds: (lowest, highest) gamma, or None for none.
        assignment: which label gets which gamma; other than "frequency" it is a control of a study.
        assignment_seed: of a shuffled assignment.
        alpha: number or (n_labels,) in [0, 1], multiplies positives and negatives alike; None is 1;
            "inverse_frequency" and "effective_number" come from the counts, the largest 1.
        gamma_negative: number or (n_labels,), gamma of the negatives alone; None uses the same for both.
        rescale: multiply the loss of a class by gamma_c / base_gamma, as Equalized Focal Loss does.
        reduction: mean, sum, sum_over_classes (Eq. 3, averaged over the batch) or none.
    """
    if rescale and not base_gamma > 0:
        raise UsageError(f"rescale divides by base_gamma, which is {base_gamma}; pass a base above 0")
    gamma = assign_gamma(
        class_gamma(label_counts, n_documents, base_gamma, normalization, bounds), assignment, assignment_seed
    )
    if isinstance(alpha, str):
        alpha = _alpha(label_counts, n_documents, alpha)
    return AdaptiveFocalLoss(gamma, alpha, gamma_negative, base_gamma if rescale else None, reduction)


def _alpha(label_counts, n_documents, kind):
    """alpha_c of Eq. 3 by name, the largest 1; the paper leaves it undefined. An absent label counts as one with one."""
    if kind not in ALPHAS:
        raise unknown_name("alpha", kind, ALPHAS)
    counts = np.maximum(check_counts(label_counts, n_documents), 1.0)
    weights = 1 / counts if kind == ALPHAS[0] else effective_number_weight(counts, n_documents, 0.999)
    return weights / weights.max()


def _literal(
    label_counts, n_documents, base_gamma=2.0, alpha=None, gamma_negative=None, rescale=False, reduction="mean"
):
    """Adaptive focal loss with Eq. 2 to the letter.

    Args:
        base_gamma: the paper's base_gamma, at least 0; its value is not stated there.
        alpha: number or (n_labels,) in [0, 1], multiplies positives and negatives alike; None is 1;
            "inverse_frequency" and "effective_number" come from the counts, the largest 1.
        gamma_negative: number or (n_labels,), gamma of the negatives alone; None uses the same for both.
        rescale: multiply the loss of a class by gamma_c / base_gamma, as Equalized Focal Loss does.
        reduction: mean, sum, sum_over_classes (Eq. 3, averaged over the batch) or none.
    """
    return _adaptive(
        label_counts,
        n_documents,
        base_gamma,
        "documents",
        None,
        alpha=alpha,
        gamma_negative=gamma_negative,
        rescale=rescale,
        reduction=reduction,
    )


def _distribution_balanced(
    label_counts,
    n_documents,
    gamma=2.0,
    alpha=0.5,
    weight_floor=0.1,
    weight_slope=10.0,
    weight_center=0.9,
    prior_shift=0.05,
    negative_scale=2.0,
    reduction="mean",
):
    return DistributionBalancedLoss(
        label_counts,
        n_documents,
        gamma,
        alpha,
        weight_floor,
        weight_slope,
        weight_center,
        prior_shift=prior_shift,
        negative_scale=negative_scale,
        reduction=reduction,
    )


def _rebalanced_focal(
    label_counts,
    n_documents,
    gamma=2.0,
    alpha=0.5,
    weight_floor=0.1,
    weight_slope=10.0,
    weight_center=0.9,
    reduction="mean",
):
    return DistributionBalancedLoss(
        label_counts,
        n_documents,
        gamma,
        alpha,
        weight_floor,
        weight_slope,
        weight_center,
        prior_shift=0.0,
        negative_scale=1.0,
        reduction=reduction,
    )


def _negative_tolerant(
    label_counts, n_documents, gamma=2.0, alpha=0.5, prior_shift=0.05, negative_scale=2.0, reduction="mean"
):
    return DistributionBalancedLoss(
        label_counts,
        n_documents,
        gamma,
        alpha,
        weight_slope=None,
        prior_shift=prior_shift,
        negative_scale=negative_scale,
        reduction=reduction,
    )


def _class_balanced_negative_tolerant(
    label_counts, n_documents, gamma=2.0, alpha=0.5, beta=0.9, prior_shift=0.05, negative_scale=2.0, reduction="mean"
):
    return DistributionBalancedLoss(
        label_counts,
        n_documents,
        gamma,
        alpha,
        weight_slope=None,
        beta=beta,
        prior_shift=prior_shift,
        negative_scale=negative_scale,
        reduction=reduction,
    )


# The parts of one loss: their parameters mean what they mean there.
for _part in (_distribution_balanced, _rebalanced_focal, _negative_tolerant, _class_balanced_negative_tolerant):
    _part.__doc__ = DistributionBalancedLoss.__doc__


LOSSES: dict[str, LossInfo] = {
    "bce": LossInfo(
        "Binary cross-entropy",
        r"-y \log p - (1 - y) \log(1 - p)",
        "bishop2006pattern",
        "textbook",
        "The baseline. Its scores are probabilities; give rare labels thresholds of their own before reaching further.",
        BinaryCrossEntropy,
        reduces_to_bce={},
    ),
    "weighted_bce": LossInfo(
        "Weighted binary cross-entropy",
        r"-w_c \, y \log p - (1 - y) \log(1 - p), \quad w_c = (N - n_c) / n_c",
        "putra2023weighting",
        "textbook; the paper names class weights without a formula",
        "Where missing a rare label costs more than a false alarm. Scores no longer are probabilities, and without a cap the"
        " rarest labels dominate the gradient.",
        WeightedBinaryCrossEntropy.from_counts,
        needs_counts=True,
    ),
    "class_balanced": LossInfo(
        "Class-balanced loss",
        r"-w_c (1 - p_t)^{\gamma} \log p_t, \quad w_c \propto (1 - \beta) / (1 - \beta^{n_c})",
        "cui2019classbalanced",
        "as in its source, with a sigmoid per label; weights scaled to a mean of 1",
        "A softer form of inverse frequency: counts far above 1 / (1 - beta) weigh alike.",
        ClassBalancedLoss.from_counts,
        needs_counts=True,
        reduces_to_bce={"beta": 0.0},
    ),
    "focal": LossInfo(
        "Focal loss",
        r"-\alpha_t (1 - p_t)^{\gamma} \log p_t",
        "lin2017focal",
        "as in its source; the paper's Eq. 1",
        "Where easy negatives outnumber all else. Scores move towards one half: tune the threshold.",
        FocalLoss,
        reduces_to_bce={"gamma": 0.0},
    ),
    "afl": LossInfo(
        "Adaptive focal loss, our reading",
        r"-\alpha_c (1 - p_t)^{\gamma_c} \log p_t, \quad"
        r" \gamma_c = \mathrm{clip}(base_\gamma \, \bar n / n_c, 0.5, 5)",
        "labd2025aflbert",
        "the paper's Eq. 3; the normalisation of Eq. 2 and its bounds are our reading",
        "The paper's method, in a reading that trains. Compare it with focal loss at the upper bound before"
        " giving the adaptation the credit.",
        _adaptive,
        needs_counts=True,
        reduces_to_bce={"base_gamma": 0.0, "bounds": None},
    ),
    "afl-literal": LossInfo(
        "Adaptive focal loss, to the letter",
        r"-\alpha_c (1 - p_t)^{\gamma_c} \log p_t, \quad \gamma_c = base_\gamma \, N / n_c",
        "labd2025aflbert",
        "the paper's Eq. 2 and 3 to the letter, with f_c the share of documents and alpha_c = 1",
        "To see what the equation does as printed: rare labels do not train from a zero bias.",
        _literal,
        needs_counts=True,
        reduces_to_bce={"base_gamma": 0.0},
    ),
    "flsd53": LossInfo(
        "Sample-dependent focal loss (FLSD-53)",
        r"-(1 - p_t)^{\gamma(p_t)} \log p_t, \quad \gamma(p_t) = 5 \;(p_t < 0.2),\; 3 \;(p_t < 0.5),\; \gamma",
        "mukhoti2020calibrating",
        "the authors' code, which has a softmax; one sigmoid per label is ours",
        "For calibration. The loss jumps where gamma changes: at p_t = 0.2 a better score costs more.",
        SampleDependentFocalLoss,
        monotone=False,
        reduces_to_bce={"gamma": 0.0, "gammas": (0.0, 0.0)},
    ),
    "asl": LossInfo(
        "Asymmetric loss (ASL)",
        r"-y (1 - p)^{\gamma_+} \log p - (1 - y) \, p_m^{\gamma_-} \log(1 - p_m), \quad p_m = \max(p - m, 0)",
        "ridnik2021asl",
        "as in its source and the authors' code, without its clamp",
        "Many labels, few positives a document, and some positives unlabelled: easy and very easy negatives are let go.",
        AsymmetricLoss,
        reduces_to_bce={"gamma_negative": 0.0, "margin": 0.0},
    ),
    "apl": LossInfo(
        "Asymmetric polynomial loss (APL)",
        r"-y (1 - p)^{\gamma_+} \left[\log p + \epsilon_1 (1 - p) + \tfrac{\epsilon_2}{2} (1 - p)^2\right]"
        r" - (1 - y) \, p_m^{\gamma_-} \left[\log(1 - p_m) + \epsilon_0 (1 - p_m)\right]",
        "huang2023apl",
        "the authors' code; the focusing weights are not differentiated",
        "As ASL, with the first terms of the positive part's series free to tune.",
        AsymmetricPolynomialLoss,
        differentiated=False,
        reduces_to_bce={"epsilon_1": 0.0, "epsilon_2": 0.0, "gamma_negative": 0.0, "margin": 0.0},
    ),
    "ral": LossInfo(
        "Robust asymmetric loss (RAL)",
        r"-y (1 - p)^{\gamma_+} \left[\log p + \epsilon_1 (1 - p) + \tfrac{\epsilon_2}{2} (1 - p)^2\right]"
        r" - (1 - y) \, p_m^{\gamma_-} \log(1 - p_m) \, (\lambda - p) \, p^2 (\lambda - 1 + p_m)",
        "park2023ral",
        "the authors' code, without its clamps; the printed paper may differ",
        "As APL, less sensitive to its parameters by the authors' account.",
        RobustAsymmetricLoss,
    ),
    "wal": LossInfo(
        "Weighted asymmetric loss",
        r"w_c \left[-\tilde y \log p - (1 - \tilde y) \, p_m^{\gamma_-} \log(1 - p_m)\right],"
        r" \quad w_c \propto n_c^{-1/2}, \quad"
        r" \tilde y_c = (1 - s) \, y_c + \tfrac{s}{|J|} \sum_{j \in J} P(c \mid j)",
        "yasuda2024wal",
        "our construction from the abstract's three parts: the text could not be reached",
        "ASL with a weight by frequency, where labels that occur together are a likely slip of the annotators.",
        WeightedAsymmetricLoss,
        needs_counts=True,
        monotone=False,
        soft_targets=False,
        reduces_to_bce={"gamma_negative": 0.0, "margin": 0.0, "power": 0.0, "smoothing": 0.0},
    ),
    "ldam": LossInfo(
        "Label-distribution-aware margins (LDAM)",
        r"y \, \zeta(-s (z - d_c)) + (1 - y) \, \zeta(s z), \quad d_c \propto n_c^{-1/4}, \quad"
        r" \zeta(x) = \log(1 + e^{x})",
        "cao2019ldam",
        "our construction: the source has a softmax over exclusive classes",
        "Where rare labels overfit: their positives must clear a larger margin. The scale sets the logits' range,"
        " so thresholds must be tuned.",
        LDAMLoss.from_counts,
        needs_counts=True,
        reduces_to_bce={"max_margin": 0.0, "scale": 1.0},
    ),
    "plm": LossInfo(
        "Partial label masking (PLM)",
        r"-k \left[y \log p + (1 - y) \log(1 - p)\right], \quad k \sim \mathrm{Bernoulli}"
        r"\left(\min(1, r^*_c / r_c) \text{ if } y, \min(1, r_c / r^*_c) \text{ else}\right)",
        "duarte2021plm",
        "after a third party's code; its state and the clip of extreme counts are partly our construction",
        "Where a fixed weight is a guess: the share of negatives kept adapts after each epoch. It is stochastic,"
        " and its state must be saved with the model.",
        PartialLabelMaskingLoss,
        needs_counts=True,
        soft_targets=False,
        reduces_to_bce={},
    ),
    "distribution_balanced": LossInfo(
        "Distribution-balanced loss",
        r"w_{ic} \, \alpha_t (1 - p'_t)^{\gamma} (-\log p'_t), \quad"
        r" w_{ic} = \left[a + \sigma(b (r_{ic} - m))\right] s^{y - 1}, \quad"
        r" z' = s^{1 - y} \left(z - k \log(N / n_c - 1)\right)",
        "wu2020distribution",
        "as in its source's and BalancedLossNLP's code, focal form",
        "Long tails of labels that occur together: counts that a document's labels are repeated for each other, and"
        " lets negatives go early.",
        _distribution_balanced,
        needs_counts=True,
        soft_targets=False,
    ),
    "rebalanced_focal": LossInfo(
        "Rebalanced focal loss",
        r"\left[a + \sigma(b (r_{ic} - m))\right] \alpha_t (1 - p_t)^{\gamma} (-\log p_t), \quad"
        r" r_{ic} = n_c^{-1} / \textstyle\sum_{j: y_{ij} = 1} n_j^{-1}",
        "huang2021balancing",
        "BalancedLossNLP's code: the weights of the distribution-balanced loss alone",
        "To tell what the rebalancing weights contribute.",
        _rebalanced_focal,
        needs_counts=True,
        soft_targets=False,
    ),
    "ntr_focal": LossInfo(
        "Negative-tolerant focal loss",
        r"s^{y - 1} \alpha_t (1 - p'_t)^{\gamma} (-\log p'_t), \quad"
        r" z' = s^{1 - y} \left(z - k \log(N / n_c - 1)\right)",
        "huang2021balancing",
        "BalancedLossNLP's code: the shift and scale of the distribution-balanced loss alone",
        "To tell what negative tolerance contributes; among the best on Reuters in its source.",
        _negative_tolerant,
        needs_counts=True,
        soft_targets=False,
        reduces_to_bce={"gamma": 0.0, "alpha": None, "prior_shift": 0.0, "negative_scale": 1.0},
    ),
    "cb_ntr": LossInfo(
        "Class-balanced negative-tolerant loss",
        r"w_c \, s^{y - 1} \alpha_t (1 - p'_t)^{\gamma} (-\log p'_t), \quad w_c = (1 - \beta) / (1 - \beta^{n_c})",
        "huang2021balancing",
        "BalancedLossNLP's code, weights by class; its factor of 10 on the whole loss is left to the learning rate",
        "The best micro F1 on Reuters in its source.",
        _class_balanced_negative_tolerant,
        needs_counts=True,
        soft_targets=False,
        reduces_to_bce={"gamma": 0.0, "alpha": None, "beta": 0.0, "prior_shift": 0.0, "negative_scale": 1.0},
    ),
}


def build_loss(
    name: str, label_counts: ArrayLike | None = None, n_documents: int | None = None, **params
) -> MultiLabelLoss:
    """Build a loss by its name in :data:`LOSSES`; every name takes the same arguments.

    Args:
        name: a key of :data:`LOSSES`.
        label_counts: (n_labels,) counts on the training documents; only some losses need them.
        n_documents: number of training documents; only some losses need it.
        params: parameters of that loss, see ``LOSSES[name].defaults``.

    Returns:
        The loss, a module of logits and targets, both (batch, n_labels).

    Raises:
        UsageError: an unknown name or parameter, each with the valid ones; missing counts; or a value that the loss does
            not take.

    Example:
        >>> from afl_helpers.losses import build_loss
        >>> build_loss("afl", label_counts=[100, 40, 10], n_documents=200).gamma.tolist()
        [1.0, 2.5, 5.0]
        >>> build_loss("focal", gama=2.0)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: unknown parameter of loss 'focal': 'gama' (did you mean 'gamma'?); ...
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    info = LOSSES[name]
    for parameter in params:
        if parameter not in info.defaults:
            raise unknown_name(f"parameter of loss {name!r}:", parameter, info.defaults)
    if not info.needs_counts:
        return info.build(**params)
    if label_counts is None or n_documents is None:
        raise UsageError(f"loss {name!r} depends on class frequency; pass label_counts and n_documents")
    return info.build(label_counts, n_documents, **params)


def check_loss(name: str, params: Mapping[str, object]) -> None:
    """Refuse a loss or parameters that :func:`build_loss` would refuse, before there are counts.

    Args:
        name: a key of :data:`LOSSES`.
        params: parameters of that loss.

    Raises:
        UsageError: an unknown name or parameter, or a value that the loss does not take.

    Example:
        >>> from afl_helpers.losses import check_loss
        >>> check_loss("afl", {"base_gamma": 2.0})
        >>> check_loss("focal", {"gama": 2.0})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: unknown parameter of loss 'focal': 'gama' (did you mean 'gamma'?); ...
    """
    # Any counts will do, as many as a parameter with an entry for each label has.
    listed = [len(value) for key, value in params.items() if isinstance(value, list | tuple) and key != "bounds"]
    counts = range(1, max(listed, default=2) + 1)
    with warnings.catch_warnings():  # of gammas too large for these counts
        warnings.simplefilter("ignore")
        build_loss(name, list(counts), 2 * len(counts), **params)
