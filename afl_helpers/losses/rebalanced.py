"""Distribution-balanced loss and the three losses that take parts of it."""

import functools
import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.arrays import check_flag
from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PerClass,
    PerClassLike,
    PublishedForm,
    check_inputs,
    check_number,
    clip_counts,
    on_device,
    per_class,
    reduce_loss,
)
from afl_helpers.losses.costs import FocalCost
from afl_helpers.losses.cross_entropy import effective_number_weight
from afl_helpers.losses.elementwise import elementwise_loss


def distribution_balanced_loss(
    logits: Tensor,
    targets: Tensor,
    shift: PerClassLike = 0.0,
    negative_scale: float = 1.0,
    weight: PerClassLike | None = None,
    gamma: float = 2.0,
    alpha: float | None = 0.5,
    *,
    divide_negatives: bool = True,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the core of the distribution-balanced loss (Wu et al., ECCV 2020), focal form of BalancedLossNLP's code.

    Logits are shifted, ``z + shift``. Those of negatives are then multiplied by ``negative_scale``, and their loss is
    divided by it. The result is the focal loss of these logits, with ``gamma`` and ``alpha``, times ``weight``. Adding the
    shift in float32 would cost more digits than a large gamma leaves. So with a shift the computation is in float64, where
    the device has it; a CPU multiplies the odds instead, which costs none.

    Args:
        shift: number or (n_labels,), log odds that every logit starts from.
        negative_scale: above 0.
        weight: number, (n_labels,) or of the shape of the logits, at least 0; None is 1.
        gamma: at least 0.
        alpha: in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.
        divide_negatives: whether the loss of negatives is divided by ``negative_scale``.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import distribution_balanced_loss
        >>> logits, targets = torch.tensor([[-1.0]]), torch.tensor([[0.0]])  # a negative on its side of the boundary
        >>> bce = {"gamma": 0.0, "alpha": None}
        >>> round(distribution_balanced_loss(logits, targets, **bce).item(), 4)  # cross-entropy: log(1 + e^-1)
        0.3133
        >>> round(distribution_balanced_loss(logits, targets, negative_scale=2.0, **bce).item(), 4)  # log(1 + e^-2) / 2
        0.0635
    """
    if (weight.ndim if isinstance(weight, Tensor) else np.asarray(weight).ndim) > 1:
        elements = distribution_balanced_loss(
            logits,
            targets,
            shift,
            negative_scale,
            None,
            gamma,
            alpha,
            divide_negatives=divide_negatives,
            mask=mask,
            reduction="none",
        )
        return reduce_loss(elements, reduction, mask, weight)
    logits, targets = check_inputs(logits, targets, mask, reduction)
    costs = _costs(logits, shift, negative_scale, weight, gamma, alpha, divide_negatives)
    return elementwise_loss(logits, targets, *costs, mask, reduction, wide=costs[0].shift is not None)


def _costs(
    logits: Tensor,
    shift: PerClassLike,
    negative_scale: float,
    weight: PerClassLike | None,
    gamma: float,
    alpha: float | None,
    divide_negatives: bool,
) -> tuple[FocalCost, FocalCost]:
    """Return the cost of a positive and of a negative; see :func:`distribution_balanced_loss`."""
    divide_negatives = check_flag("divide_negatives", divide_negatives)
    gamma = check_number("gamma", gamma, 0.0)
    scale = check_number("negative_scale", negative_scale, 0.0, open_low=True)
    none = isinstance(shift, (int, float)) and shift == 0
    start = None if none else per_class("shift", shift, logits, low=-math.inf)
    of_both = per_class("weight", weight, logits, optional=True)
    share: PerClass
    share_negative: PerClass
    alpha = None if alpha is None else check_number("alpha", alpha, 0.0, 1.0)
    share, share_negative = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    if divide_negatives:
        share_negative /= scale
    if of_both is not None:
        share, share_negative = share * of_both, share_negative * of_both
    return FocalCost(-1.0, gamma, share, start), FocalCost(float(scale), gamma, share_negative, start)


def rebalancing_weight(
    targets: Tensor, frequency: Tensor, floor: float = 0.1, slope: float = 10.0, center: float = 0.9
) -> Tensor:
    """Compute the rebalancing weight of each element (Wu et al., Eq. 4-6).

    The weight is ``floor + sigmoid(slope (r - center))``, where r is the inverse frequency of the label over the sum of
    the inverse frequencies of the document's labels. It falls with the number of times that the document is repeated for
    its other labels. A document without labels has an infinite r and the weight ``floor + 1``. With soft targets a label
    repeats its document in proportion to its target.

    Args:
        targets: (..., n_labels), in [0, 1].
        frequency: (n_labels,) number of training documents with each label, above 0.

    Returns:
        Of the shape of the targets, float64 where the device has it.
    """
    inverse = 1 / on_device(frequency, targets.device)
    repeated = (targets.to(inverse.dtype) * inverse).sum(-1, keepdim=True)
    return floor + torch.sigmoid(slope * (inverse / repeated - center))


class DistributionBalancedLoss(MultiLabelLoss):
    """Distribution-balanced loss (Wu et al., ECCV 2020) and its ablations, as in BalancedLossNLP (Huang et al., EMNLP 2021).

    BalancedLossNLP differs from the code of Wu et al. in two ways. It does not divide the shift of the logits by
    ``negative_scale``, which its authors call a mended error: ``prior_shift / negative_scale`` here gives the shift of
    Wu et al. And it weighs positives by alpha and negatives by 1 - alpha, where they multiply the whole loss by 2. Without a
    weight per element, which is the negative-tolerant focal loss, BalancedLossNLP does not divide the loss of negatives
    by ``negative_scale`` either: ``divide_negatives=False``.

    Args:
        label_counts, n_documents: see :func:`~afl_helpers.losses.base.clip_counts`.
        gamma: at least 0, gamma of the focal loss at its core.
        alpha: in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.
        weight_floor: at least 0, weight of an element whose document is repeated for its other labels.
        weight_slope: above 0, steepness of the weight; None leaves the rebalancing weight out.
        weight_center: relative repetition at which the weight is half-way (0.9 for Reuters, 0.05 for PubMed in Huang
            et al.).
        beta: in [0, 1), for a class-balanced weight instead; None uses no such weight.
        prior_shift: at least 0; each logit starts from the log odds of its label times this factor.
        negative_scale: above 0; logits of negatives are multiplied by it.
        divide_negatives: whether the loss of negatives is divided by ``negative_scale``, which leaves the gradient of a
            negative far from the boundary as it was.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import DistributionBalancedLoss
        >>> loss = DistributionBalancedLoss([90, 10], n_documents=100, gamma=0.0, alpha=None, prior_shift=0.0)
        >>> elements = loss(torch.zeros(1, 2), torch.ones(1, 2), reduction="none")  # a document with both labels
        >>> torch.round(elements, decimals=4)  # log 2 times 0.1003 and 0.6: it is repeated for the rare one
        tensor([[0.0695, 0.4159]])
    """

    frequency: Tensor
    shift: Tensor
    class_weight: Tensor | None

    def __init__(
        self,
        label_counts: ArrayLike,
        n_documents: int,
        gamma: float = 2.0,
        alpha: float | None = 0.5,
        weight_floor: float = 0.1,
        weight_slope: float | None = 10.0,
        weight_center: float = 0.9,
        beta: float | None = None,
        prior_shift: float = 0.05,
        negative_scale: float = 2.0,
        reduction: str = "mean",
        *,
        divide_negatives: bool = True,
    ):
        super().__init__(reduction)
        self.gamma = check_number("gamma", gamma, 0.0)
        self.alpha = None if alpha is None else check_number("alpha", alpha, 0.0, 1.0)
        self.weight_floor = check_number("weight_floor", weight_floor, 0.0)
        self.weight_center = check_number("weight_center", weight_center)
        self.weight_slope = (
            None if weight_slope is None else check_number("weight_slope", weight_slope, 0.0, open_low=True)
        )
        self.prior_shift = check_number("prior_shift", prior_shift, 0.0)
        self.negative_scale = check_number("negative_scale", negative_scale, 0.0, open_low=True)
        counts = clip_counts(label_counts, n_documents)
        self.divide_negatives = check_flag("divide_negatives", divide_negatives)
        self._set_per_class("frequency", counts)
        self.register_buffer("shift", torch.from_numpy(-self.prior_shift * np.log(float(n_documents) / counts - 1)))
        self._set_per_class(
            "class_weight",
            None if beta is None else effective_number_weight(label_counts, n_documents, beta),
            optional=True,
        )

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        rebalance = None
        if self.weight_slope is not None:
            rebalance = self._rebalancing_weight
        logits, targets = check_inputs(logits, targets, mask, reduction)
        costs = _costs(
            logits,
            self.shift if self.prior_shift else 0.0,
            self.negative_scale,
            self.class_weight,
            self.gamma,
            self.alpha,
            self.divide_negatives,
        )
        return elementwise_loss(logits, targets, *costs, mask, reduction, rebalance, wide=costs[0].shift is not None)

    def _rebalancing_weight(self, targets: Tensor) -> Tensor:
        """Return :func:`rebalancing_weight`, in the type of the targets."""
        inverse = (1 / on_device(self.frequency, targets.device)).to(targets.dtype)
        slope = self.weight_slope or 0.0
        repeated = (targets * inverse).sum(-1, keepdim=True)  # a matrix product would be in bfloat16 under autocast
        relative = (slope * inverse) * (1 / repeated)
        return (
            relative.sub_(slope * self.weight_center).sigmoid_() + self.weight_floor
        )  # the derivative of sigmoid_ needs its result


_FOCAL = {
    "gamma": "at least 0, gamma of the focal loss at its core.",
    "alpha": "in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.",
}
_REBALANCING = {
    "weight_floor": "at least 0, weight of an element whose document is repeated for its other labels.",
    "weight_slope": "above 0, steepness of the weight; None leaves the rebalancing weight out.",
    "weight_center": "relative repetition at which the weight is half-way (0.9 for Reuters, 0.05 for PubMed in Huang"
    " et al.).",
}
_TOLERANCE = {
    "prior_shift": "at least 0; each logit starts from the log odds of its label times this factor.",
    "negative_scale": "above 0; logits of negatives are multiplied by it.",
    "divide_negatives": "whether the loss of negatives is divided by ``negative_scale``, which leaves the gradient of a"
    " negative far from the boundary as it was.",
}

ENTRIES = {
    "distribution_balanced": LossInfo(
        title="Distribution-balanced loss",
        equation=r"w_{ic} \, \alpha_t (1 - p'_t)^{\gamma} (-\log p'_t), \quad"
        r" w_{ic} = \left[a + \sigma(b (r_{ic} - m))\right] s^{y - 1}, \quad"
        r" z' = s^{1 - y} \left(z - k \log(N / n_c - 1)\right)",
        reference="wu2020distribution",
        published=(
            PublishedForm("DBloss of BalancedLossNLP (Huang et al. 2021)", "equal"),
            PublishedForm(
                "the authors' code at the same parameters (Wu et al. 2020)",
                "equal up to a constant",
                {"prior_shift": 0.025},
                4.0,
            ),
        ),
        fidelity="the two sources differ: Wu et al. divide the shift k by the scale s",
        when="Long tails of labels that occur together: it corrects for the repetition of a document for each of its"
        " labels, and stops training on negatives early.",
        build=functools.partial(DistributionBalancedLoss, beta=None),
        parameters={**_FOCAL, **_REBALANCING, **_TOLERANCE},
        needs_counts=True,
    ),
    "rebalanced_focal": LossInfo(
        title="Rebalanced focal loss",
        equation=r"\left[a + \sigma(b (r_{ic} - m))\right] \alpha_t (1 - p_t)^{\gamma} (-\log p_t), \quad"
        r" r_{ic} = n_c^{-1} / \textstyle\sum_{j: y_{ij} = 1} n_j^{-1}",
        reference="huang2021balancing",
        published=(PublishedForm("R-BCE-Focal of BalancedLossNLP (Huang et al. 2021)", "equal"),),
        fidelity="the weights of the distribution-balanced loss alone",
        when="To see what the rebalancing weights contribute.",
        build=functools.partial(DistributionBalancedLoss, prior_shift=0.0, negative_scale=1.0),
        parameters={**_FOCAL, **_REBALANCING},
        needs_counts=True,
    ),
    "ntr_focal": LossInfo(
        title="Negative-tolerant focal loss",
        equation=r"s^{y - 1} \alpha_t (1 - p'_t)^{\gamma} (-\log p'_t), \quad"
        r" z' = s^{1 - y} \left(z - k \log(N / n_c - 1)\right)",
        reference="huang2021balancing",
        published=(
            PublishedForm("NTR-Focal of BalancedLossNLP (Huang et al. 2021)", "equal", {"divide_negatives": False}),
        ),
        fidelity="the shift and scale of the distribution-balanced loss alone, with negatives divided by s as there; in"
        " BalancedLossNLP negatives cost s = 2 times as much",
        when="To see what negative tolerance contributes. Its source, where negatives cost twice as much, reports it among"
        " the best on Reuters.",
        build=functools.partial(DistributionBalancedLoss, weight_slope=None),
        parameters={**_FOCAL, **_TOLERANCE},
        needs_counts=True,
        reduces_to_bce={"gamma": 0.0, "alpha": None, "prior_shift": 0.0, "negative_scale": 1.0},
    ),
    "cb_ntr": LossInfo(
        title="Class-balanced negative-tolerant loss",
        equation=r"w_c \, s^{y - 1} \alpha_t (1 - p'_t)^{\gamma} (-\log p'_t), \quad"
        r" w_c = (1 - \beta) / (1 - \beta^{n_c})",
        reference="huang2021balancing",
        published=(
            PublishedForm(
                "CBloss-ntr of BalancedLossNLP, weights by class (Huang et al. 2021)",
                "equal up to a constant",
                constant=10.0,
            ),
        ),
        fidelity="the constant is left to the learning rate",
        when="The best micro F1 on Reuters in its source.",
        build=functools.partial(DistributionBalancedLoss, weight_slope=None, beta=0.9),
        parameters={
            **_FOCAL,
            "beta": "in [0, 1), for a class-balanced weight instead; None uses no such weight.",
            **_TOLERANCE,
        },
        needs_counts=True,
        reduces_to_bce={"gamma": 0.0, "alpha": None, "beta": 0.0, "prior_shift": 0.0, "negative_scale": 1.0},
    ),
}
