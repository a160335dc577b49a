"""Focal loss: the function, its form for torch.compile, the module and the registry entry."""

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PerClass,
    PerClassLike,
    PublishedForm,
    cast_like,
    check_inputs,
    per_class,
    promote,
    reduce_loss,
)
from afl_helpers.losses.compiled_kernel import CompiledFocal
from afl_helpers.losses.costs import FocalCost
from afl_helpers.losses.elementwise import elementwise_loss

#: gamma and alpha of positives and negatives: gamma, gamma_negative, alpha, alpha_negative. Each is a number or
#: (n_labels,); None is a gamma of 0 or an alpha of 1.
FocalParameters = tuple[PerClass | None, PerClass | None, PerClass | None, PerClass | None]


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: PerClassLike = 2.0,
    alpha: PerClassLike | None = None,
    gamma_negative: PerClassLike | None = None,
    alpha_negative: PerClassLike | None = None,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the focal loss of Lin et al. (ICCV 2017), the paper's Eq. 1, with every parameter free per class.

    A positive costs ``-alpha (1 - p)^gamma log p``, a negative ``-alpha_negative p^gamma_negative log(1 - p)``. With
    one gamma per class this is the adaptive focal loss, Eq. 3, before its sum over the classes.

    Args:
        gamma, gamma_negative: number or (n_labels,), at least 0; by default, ``gamma_negative`` equals ``gamma``.
        alpha, alpha_negative: number or (n_labels,) weights of positives and negatives; None is 1.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import focal_loss
        >>> logits, targets = torch.zeros(1, 3), torch.ones(1, 3)  # three positives with p = 1 / 2
        >>> gamma = torch.tensor([0.0, 1.0, 2.0])
        >>> torch.round(focal_loss(logits, targets, gamma, reduction="none"), decimals=4)  # log 2 times 1, 1/2 and 1/4
        tensor([[0.6931, 0.3466, 0.1733]])
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    given = {"gamma": gamma, "gamma_negative": gamma_negative, "alpha": alpha, "alpha_negative": alpha_negative}
    same_alpha = alpha_negative is alpha
    positive, negative, weight, weight_negative = (
        per_class(name, value, logits, optional=name != "gamma") for name, value in given.items()
    )
    negative = positive if gamma_negative is None or gamma_negative is gamma else negative
    weight_negative = weight if same_alpha else weight_negative
    return reduced_focal(logits, targets, (positive, negative, weight, weight_negative), mask, reduction)


def reduced_focal(
    logits: Tensor, targets: Tensor, parameters: FocalParameters, mask: Tensor | None, reduction: str
) -> Tensor:
    """Compute focal loss, or cross-entropy without a gamma, of checked inputs in the fastest form that applies.

    Args:
        logits, targets: as :func:`~afl_helpers.losses.base.check_inputs` returns them.
        parameters: see :data:`FocalParameters`.
    """
    gamma, gamma_negative, alpha, alpha_negative = parameters
    learnt = any(value.requires_grad for value in (targets, *parameters) if isinstance(value, Tensor))
    if torch.compiler.is_dynamo_compiling() and not learnt:
        return reduce_loss(_compiled(*promote(logits, targets), parameters), reduction, mask)
    positive, negative = FocalCost(-1.0, gamma, alpha), FocalCost(1.0, gamma_negative, alpha_negative)
    return elementwise_loss(logits, targets, positive, negative, mask, reduction)


def _compiled(logits: Tensor, targets: Tensor, parameters: FocalParameters) -> Tensor:
    gamma, gamma_negative, alpha, alpha_negative = (cast_like(logits, value) for value in parameters)
    same = parameters[1] is parameters[0], parameters[3] is parameters[2]
    pairs = gamma, None if same[0] else gamma_negative, alpha, None if same[1] else alpha_negative
    loss: Tensor = CompiledFocal.apply(logits, targets, same, *pairs)  # type: ignore[no-untyped-call]  # by torch
    return loss


class FocalLoss(MultiLabelLoss):
    """Focal loss, Eq. 1 (Lin et al., ICCV 2017): ``-alpha_t (1 - p_t)^gamma log p_t``.

    Args:
        gamma: number or (n_labels,), at least 0; 0 is binary cross-entropy.
        alpha: number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import BinaryCrossEntropy, FocalLoss
        >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
        >>> losses = BinaryCrossEntropy(), FocalLoss(gamma=0.0), FocalLoss(gamma=2.0)
        >>> [round(loss(logits, targets).item(), 4) for loss in losses]  # log 2, the same, and a quarter of it
        [0.6931, 0.6931, 0.1733]
    """

    gamma: Tensor
    alpha: Tensor | None

    def __init__(self, gamma: ArrayLike = 2.0, alpha: ArrayLike | None = None, reduction: str = "mean"):
        super().__init__(reduction)
        self._set_per_class("gamma", gamma)
        self._set_per_class("alpha", alpha, upper=1.0, optional=True)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        negative = None if self.alpha is None else 1 - self.alpha
        return focal_loss(logits, targets, self.gamma, self.alpha, None, negative, mask=mask, reduction=reduction)

    @property
    def posterior_gamma(self) -> Tensor | None:
        equal_weights = self.alpha is None or bool((self.alpha == 0.5).all())
        return self.gamma if equal_weights else None


ENTRIES = {
    "focal": LossInfo(
        title="Focal loss",
        equation=r"-\alpha_t (1 - p_t)^{\gamma} \log p_t",
        reference="lin2017focal",
        published=(PublishedForm("Eq. 5 of Lin et al. (2017), and Eq. 4 without an alpha", "equal"),),
        fidelity="the paper's Eq. 1",
        when="When easy negatives outnumber everything else. Scores move towards one half: tune the threshold.",
        build=FocalLoss,
        parameters={
            "gamma": "number or (n_labels,), at least 0; 0 is binary cross-entropy.",
            "alpha": "number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.",
        },
        reduces_to_bce={"gamma": 0.0},
    ),
}
