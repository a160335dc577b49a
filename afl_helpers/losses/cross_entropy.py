"""Binary cross-entropy, plain and weighted by class."""

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from afl_helpers.errors import check_choice
from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PerClassLike,
    PublishedForm,
    check_inputs,
    check_number,
    clip_counts,
    on_device,
    per_class,
    reduce_loss,
)
from afl_helpers.losses.focal import focal_loss, reduced_focal


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    pos_weight: PerClassLike | None = None,
    weight: PerClassLike | None = None,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute binary cross-entropy, the loss of the paper's baseline: ``-y log p - (1 - y) log(1 - p)``.

    Args:
        pos_weight: number or (n_labels,), weight of the positives alone.
        weight: number or (n_labels,), weight of positives and negatives.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import binary_cross_entropy
        >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
        >>> round(binary_cross_entropy(logits, targets).item(), 4)  # log 2, of the positive and of the negative
        0.6931
        >>> round(binary_cross_entropy(logits, targets, pos_weight=3.0).item(), 4)  # (3 + 1) / 2 * log 2
        1.3863
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    of_positives, of_both = (
        per_class(name, value, logits, optional=True)
        for name, value in (("pos_weight", pos_weight), ("weight", weight))
    )
    positive = of_both if of_positives is None else of_positives if of_both is None else of_positives * of_both
    return reduced_focal(logits, targets, (None, None, positive, of_both), mask, reduction)


class BinaryCrossEntropy(MultiLabelLoss):
    """Binary cross-entropy with a sigmoid per label; the baseline of the paper.

    The numbers are those of :class:`torch.nn.BCEWithLogitsLoss`.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import BinaryCrossEntropy
        >>> loss = BinaryCrossEntropy()
        >>> logits, targets = torch.tensor([[0.0, 9.0]]), torch.tensor([[1.0, 0.0]])
        >>> round(loss(logits, targets, mask=torch.tensor([[True, False]])).item(), 4)  # the 9 is left out: log 2
        0.6931
    """

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return binary_cross_entropy(logits, targets, mask=mask, reduction=reduction)


class WeightedBinaryCrossEntropy(MultiLabelLoss):
    """Binary cross-entropy with a weight on the positives: ``-w_c y log p - (1 - y) log(1 - p)``.

    Args:
        pos_weight: number or (n_labels,), at least 0.

    Example:
        >>> from afl_helpers.losses import WeightedBinaryCrossEntropy
        >>> WeightedBinaryCrossEntropy.from_counts([50, 10], n_documents=100).pos_weight.tolist()  # 50 / 50, 90 / 10
        [1.0, 9.0]
        >>> WeightedBinaryCrossEntropy.from_counts([50, 10], n_documents=100, cap=5.0).pos_weight.tolist()
        [1.0, 5.0]
    """

    pos_weight: Tensor

    def __init__(self, pos_weight: ArrayLike, reduction: str = "mean"):
        super().__init__(reduction)
        self._set_per_class("pos_weight", pos_weight)

    @classmethod
    def from_counts(
        cls, label_counts: ArrayLike, n_documents: int, cap: float | None = None, reduction: str = "mean"
    ) -> Self:
        """Build the loss with the positive weight ``(n_documents - n_c) / n_c``, which balances both signs of a label.

        Args:
            label_counts, n_documents: see :func:`~afl_helpers.losses.base.clip_counts`.
            cap: largest weight, above 0; None sets no limit.
        """
        counts = clip_counts(label_counts, n_documents)
        weight = (float(n_documents) - counts) / counts
        if cap is not None:
            weight = np.minimum(weight, check_number("cap", cap, 0.0, open_low=True))
        return cls(weight, reduction)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return binary_cross_entropy(logits, targets, self.pos_weight, mask=mask, reduction=reduction)


def effective_number_weight(label_counts: ArrayLike, n_documents: int, beta: float) -> NDArray[np.float64]:
    """Return ``(1 - beta) / (1 - beta^n_c)``, the inverse effective number of documents (Cui et al. 2019, Eq. 2)."""
    beta = check_number("beta", beta, 0.0, 1.0, open_high=True)
    counts = clip_counts(label_counts, n_documents)
    return (1 - beta) / -np.expm1(counts * np.log(beta)) if beta else np.ones_like(counts)


class ClassBalancedLoss(MultiLabelLoss):
    """Focal loss, which at gamma 0 is cross-entropy, with weights by class on positives and negatives alike.

    Cui et al. (CVPR 2019) have one label per document, and weigh all its elements by the weight of that label:
    ``weight_by="document"``. By default each element has the weight of its own label, as with BalancedLossNLP (Huang et
    al., EMNLP 2021), which has the other too.

    Args:
        weight: number or (n_labels,), at least 0.
        gamma: number or (n_labels,), at least 0; 0 is binary cross-entropy.
        weight_by: ``"label"`` or ``"document"``: each element has the weight of its label, or the mean weight of the
            labels of its document; a document without labels then weighs 1.

    Example:
        >>> from afl_helpers.losses import ClassBalancedLoss
        >>> loss = ClassBalancedLoss.from_counts([2, 1], n_documents=10, beta=0.5)  # 0.5 / (1 - 0.5^n): 2/3 and 1
        >>> [round(weight, 4) for weight in loss.weight.tolist()]  # over their mean, 5/6
        [0.8, 1.2]
    """

    weight: Tensor
    gamma: Tensor

    def __init__(self, weight: ArrayLike, gamma: ArrayLike = 0.0, reduction: str = "mean", *, weight_by: str = "label"):
        super().__init__(reduction)
        check_choice("weight_by", weight_by, ("label", "document"))
        self.weight_by = weight_by
        self._set_per_class("weight", weight)
        self._set_per_class("gamma", gamma)

    @classmethod
    def from_counts(
        cls,
        label_counts: ArrayLike,
        n_documents: int,
        beta: float = 0.999,
        gamma: ArrayLike = 0.0,
        reduction: str = "mean",
        *,
        weight_by: str = "label",
    ) -> Self:
        """Build the loss with the inverse effective number of documents per class, scaled to a mean of 1 over labels.

        Args:
            label_counts, n_documents: see :func:`~afl_helpers.losses.base.clip_counts`.
            beta: in [0, 1); 0 weights all labels alike; near 1, the weight is the inverse frequency. Huang et al. (2021)
                use 0.9.
            gamma: number or (n_labels,), at least 0; 0 is binary cross-entropy.
            weight_by: ``"label"`` or ``"document"``: each element has the weight of its label, or the mean weight of the
                labels of its document; a document without labels then weighs 1.
        """
        weight = effective_number_weight(label_counts, n_documents, beta)
        return cls(weight / weight.mean(), gamma, reduction, weight_by=weight_by)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        if self.weight_by == "label":
            weight = self.weight
            return focal_loss(logits, targets, self.gamma, weight, None, weight, mask=mask, reduction=reduction)
        elements = focal_loss(logits, targets, self.gamma, mask=mask, reduction="none")
        known = targets if mask is None else torch.where(mask.bool(), targets, 0)
        return reduce_loss(self._document_weight(known).to(elements) * elements, reduction, mask)

    def _document_weight(self, targets: Tensor) -> Tensor:
        """Return the mean weight of each document's labels, (batch, 1)."""
        weight = on_device(self.weight, targets.device)
        known = targets.to(weight)
        n_labels = known.sum(-1, keepdim=True)
        return torch.where(n_labels > 0, (known * weight).sum(-1, keepdim=True) / n_labels.clamp(min=1e-30), 1.0)

    @property
    def posterior_gamma(self) -> Tensor | None:
        return self.gamma if self.weight_by == "label" else None


ENTRIES = {
    "bce": LossInfo(
        title="Binary cross-entropy",
        equation=r"-y \log p - (1 - y) \log(1 - p)",
        reference="bishop2006pattern",
        published=(PublishedForm("the textbook", "equal"),),
        fidelity="",
        when="The baseline. Its scores are probabilities; before you try more, choose the threshold rule for your metric.",
        build=BinaryCrossEntropy,
        parameters={},
        reduces_to_bce={},
    ),
    "weighted_bce": LossInfo(
        title="Weighted binary cross-entropy",
        equation=r"-w_c \, y \log p - (1 - y) \log(1 - p), \quad w_c = (N - n_c) / n_c",
        reference="putra2023weighting",
        published=(PublishedForm("the textbook", "equal"),),
        fidelity="the paper names class weights without a formula",
        when="When missing a rare label costs more than a false alarm. Scores are no longer probabilities, and without"
        " a cap the rarest labels dominate the gradient.",
        build=WeightedBinaryCrossEntropy.from_counts,
        parameters={"cap": "largest weight, above 0; None sets no limit."},
        needs_counts=True,
    ),
    "class_balanced": LossInfo(
        title="Class-balanced loss",
        equation=r"-w_c (1 - p_t)^{\gamma} \log p_t, \quad w_c \propto (1 - \beta) / (1 - \beta^{n_c})",
        reference="cui2019classbalanced",
        published=(
            PublishedForm(
                "CBloss of BalancedLossNLP, weights by class (Huang et al. 2021)",
                "equal up to a constant",
                {"beta": 0.9, "gamma": 2.0},
            ),
            PublishedForm(
                "the authors' sigmoid form, for documents with one label (Cui et al. 2019)",
                "equal",
                {"weight_by": "document"},
            ),
        ),
        fidelity="by default each label has its own weight, as in BalancedLossNLP; the source weighs all labels of a"
        " document alike",
        when="A softer form of inverse frequency: counts far above 1 / (1 - beta) get nearly the same weight.",
        build=ClassBalancedLoss.from_counts,
        parameters={
            "beta": "in [0, 1); 0 weights all labels alike; near 1, the weight is the inverse frequency."
            " Huang et al. (2021) use 0.9.",
            "gamma": "number or (n_labels,), at least 0; 0 is binary cross-entropy.",
            "weight_by": '``"label"`` or ``"document"``: each element has the weight of its label, or the mean weight'
            " of the labels of its document; a document without labels then weighs 1.",
        },
        needs_counts=True,
        reduces_to_bce={"beta": 0.0},
    ),
}
