"""Label-distribution-aware margins (LDAM): the positives of rarer labels must clear a larger margin."""

from typing import Self

from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PerClassLike,
    PublishedForm,
    check_inputs,
    check_number,
    clip_counts,
    per_class,
)
from afl_helpers.losses.costs import FocalCost, balanced
from afl_helpers.losses.elementwise import elementwise_loss


def ldam_loss(
    logits: Tensor,
    targets: Tensor,
    margin: PerClassLike,
    scale: float = 30.0,
    *,
    alpha: PerClassLike | None = None,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the loss with label-distribution-aware margins: cross-entropy on ``scale (z - margin y)``.

    Our construction with a sigmoid per label, after Cao et al. (NeurIPS 2019), who use a softmax. :class:`LDAMLoss`
    describes the parameters.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import ldam_loss
        >>> logits, targets = torch.tensor([[2.0, 2.0]]), torch.ones(1, 2)
        >>> elements = ldam_loss(logits, targets, margin=torch.tensor([0.0, 2.0]), scale=1.0, reduction="none")
        >>> torch.round(elements, decimals=4)  # the second has just reached its margin: log 2
        tensor([[0.1269, 0.6931]])
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    distance = per_class("margin", margin, logits)
    scale = check_number("scale", scale, 0.0, open_low=True)
    weight, weight_negative = balanced(per_class("alpha", alpha, logits, high=1.0, optional=True))
    positive = FocalCost(-scale, weight=weight, shift=-distance)
    negative = FocalCost(scale, weight=weight_negative)
    return elementwise_loss(logits, targets, positive, negative, mask, reduction)


class LDAMLoss(MultiLabelLoss):
    """Label-distribution-aware margins, our form with a sigmoid per label after Cao et al. (NeurIPS 2019).

    Args:
        margin: number or (n_labels,), at least 0: by how much the logit of a positive must clear the boundary.
        scale: factor on the logits, above 0.
        alpha: number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.

    Example:
        >>> from afl_helpers.losses import LDAMLoss
        >>> loss = LDAMLoss.from_counts([160, 10], n_documents=1000)
        >>> [round(margin, 4) for margin in loss.margin.tolist()]  # 16 times as rare: twice the margin
        [0.25, 0.5]
    """

    margin: Tensor
    alpha: Tensor | None

    def __init__(
        self,
        margin: ArrayLike,
        scale: float = 30.0,
        reduction: str = "mean",
        *,
        alpha: ArrayLike | None = None,
    ):
        super().__init__(reduction)
        self.scale = check_number("scale", scale, 0.0, open_low=True)
        self._set_per_class("margin", margin)
        self._set_per_class("alpha", alpha, upper=1.0, optional=True)

    @classmethod
    def from_counts(
        cls,
        label_counts: ArrayLike,
        n_documents: int,
        max_margin: float = 0.5,
        scale: float = 30.0,
        reduction: str = "mean",
        *,
        alpha: ArrayLike | None = None,
    ) -> Self:
        """Build the loss with the margins ``max_margin n_c^(-1/4) / max_j n_j^(-1/4)``.

        Args:
            label_counts, n_documents: see :func:`~afl_helpers.losses.base.clip_counts`.
            max_margin: margin of the rarest class, at least 0.
            scale: factor on the logits, above 0.
            alpha: number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.
        """
        max_margin = check_number("max_margin", max_margin, 0.0)
        counts = clip_counts(label_counts, n_documents)
        return cls(max_margin * (counts / counts.min()) ** -0.25, scale, reduction, alpha=alpha)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return ldam_loss(logits, targets, self.margin, self.scale, alpha=self.alpha, mask=mask, reduction=reduction)


ENTRIES = {
    "ldam": LossInfo(
        title="Label-distribution-aware margins (LDAM)",
        equation=r"y \, \zeta(-s (z - d_c)) + (1 - y) \, \zeta(s z), \quad d_c \propto n_c^{-1/4}, \quad"
        r" \zeta(x) = \log(1 + e^{x})",
        reference="cao2019ldam",
        published=(
            PublishedForm(
                "the authors' code with two classes per label, present and absent (Cao et al. 2019)", "different"
            ),
        ),
        fidelity="our construction with a sigmoid per label and a margin for positives alone; the source has a softmax over"
        " exclusive classes and a margin for each",
        when="When rare labels overfit: their positives must clear a larger margin. The scale sets the range of the"
        " logits, so thresholds must be tuned.",
        build=LDAMLoss.from_counts,
        parameters={
            "max_margin": "margin of the rarest class, at least 0.",
            "scale": "factor on the logits, above 0.",
            "alpha": "number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.",
        },
        needs_counts=True,
        reduces_to_bce={"max_margin": 0.0, "scale": 1.0},
    ),
}
