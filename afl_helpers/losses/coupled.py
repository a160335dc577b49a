"""The bases of the losses that do not fall apart into one loss per element."""

import math
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.errors import UsageError
from afl_helpers.losses.base import (
    MultiLabelLoss,
    PerClassLike,
    as_rows,
    as_strided,
    check_logits,
    check_mask,
    check_reduction,
    check_shape,
    in_trace,
    refuse_others,
    spoil_by_mask,
    valid_weight,
)


def reduce_documents(
    documents: Tensor, reduction: str, known: Tensor | None = None, weight: PerClassLike | None = None
) -> Tensor:
    """Reduce one loss per document.

    Args:
        documents: (...,), one loss per document.
        reduction: ``"mean"`` over the documents of which any label is known; ``"sum_over_classes"``: mean over all
            documents; ``"sum"``; ``"none"``: no reduction.
        known: (..., n_labels) mask of bool, None if all labels are known.
        weight: (...,), one weight per document, at least 0. It leaves the divisor of a mean as it is.

    Returns:
        A scalar, or (...,) if ``reduction`` is ``"none"``.
    """
    if weight is not None:
        documents = documents * document_weight(weight, documents, None if known is None else known.any(-1))
    if reduction == "none":
        return documents
    total = documents.sum()
    if reduction == "mean" and known is not None:
        return total / known.any(-1).count_nonzero().clamp(min=1)
    return total / (1 if reduction == "sum" else max(1, documents.numel()))


def document_weight(weight: PerClassLike, documents: Tensor, some_known: Tensor | None) -> Tensor:
    """Return one weight per document, 0 where no label is known.

    Raises:
        UsageError: another shape, as of weights per element, which mean nothing here; or a weight below 0.
    """
    tensor = as_strided("weight", weight, documents)
    if tensor.shape != documents.shape:
        raise UsageError(
            f"weight has shape {tuple(tensor.shape)}; this loss compares labels, so pass one weight per document, shape"
            f" {tuple(documents.shape)}"
        )
    return valid_weight(tensor.to(documents.dtype), some_known)


def check_batch_reduction(reduction: str) -> None:
    """Raise an error unless the reduction is ``"mean"``, the only one that a loss of a whole batch has."""
    check_reduction(reduction)
    if reduction != "mean":
        raise UsageError(
            f'reduction is "{reduction}"; this loss is one number per batch, not a sum over elements: pass "mean"'
        )


def spoil_wrong(loss: Tensor, targets: Tensor, known: Tensor | None, soft_targets: bool) -> Tensor:
    """Return the losses; in a trace, where no target can be refused, NaN where a target is wrong.

    Args:
        loss: (...,) one per document, or one number.
        targets: (..., n_labels).
    """
    if not in_trace():
        return loss
    valid = (targets >= 0) & (targets <= 1) if soft_targets else (targets == 0) | (targets == 1)
    valid = valid if known is None else valid | ~known
    return loss * torch.where(valid.all(-1) if loss.ndim else valid.all(), 1.0, math.nan)


class DocumentLoss(MultiLabelLoss):
    """A loss per document, whose labels it compares with each other; ``unit`` is ``"document"``.

    Reduction ``"none"`` gives one value per document, (...,). ``"mean"`` and ``"sum_over_classes"`` are means over the
    documents, ``"sum"`` is their sum. A masked label is left out of its document. A document of which no label is known
    costs 0; ``"mean"`` does not count it. ``weight`` is one per document.
    """

    unit: Literal["element", "document", "batch"] = "document"

    def forward(
        self,
        logits: Tensor,
        targets: ArrayLike | Tensor,
        mask: ArrayLike | Tensor | None = None,
        reduction: str | None = None,
        weight: PerClassLike | None = None,
        **others: object,
    ) -> Tensor:
        """Return the reduced loss; ``reduction=None`` uses the loss's default."""
        refuse_others(others)
        reduction = reduction or self.reduction
        check_reduction(reduction)
        check_logits(logits)
        targets = check_shape("targets", targets, logits)
        known = None if mask is None else check_mask(mask, logits)
        logits = spoil_by_mask(logits, mask)
        documents = spoil_wrong(self.compute(logits, targets, known, "none"), targets, known, self.soft_targets)
        return reduce_documents(documents, reduction, known, weight)


class BatchLoss(MultiLabelLoss):
    """A loss of a whole batch, whose documents it compares with each other; ``unit`` is ``"batch"``.

    The only reduction is ``"mean"``; the others are refused. A masked element takes no part. A document of weight w
    counts like w documents; ``weight`` is one per document.

    The value depends on which documents share a batch. In a Trainer each part of a batch (an accumulated step, a process)
    is therefore a batch of its own: the hook averages over the parts, by their number of elements. Make each part as large
    as the memory allows.
    """

    unit: Literal["element", "document", "batch"] = "batch"

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction)
        check_batch_reduction(reduction)

    def compute_batch(self, logits: Tensor, targets: Tensor, mask: Tensor | None, weight: Tensor | None) -> Tensor:
        """Return the loss of rows of logits; ``weight`` is (batch,)."""
        raise NotImplementedError

    def forward(
        self,
        logits: Tensor,
        targets: ArrayLike | Tensor,
        mask: ArrayLike | Tensor | None = None,
        reduction: str | None = None,
        weight: PerClassLike | None = None,
        **others: object,
    ) -> Tensor:
        """Return the loss of the batch."""
        refuse_others(others)
        check_batch_reduction(reduction or self.reduction)
        check_logits(logits)
        targets = check_shape("targets", targets, logits)
        known = None if mask is None else check_mask(mask, logits)
        logits = spoil_by_mask(logits, mask)
        each = None
        if weight is not None:
            like = logits.detach()[..., 0]
            like = like if like.dtype == torch.float64 else like.float()
            each = document_weight(weight, like, None if known is None else known.any(-1)).reshape(-1)
        rows = as_rows(logits), as_rows(targets), None if known is None else as_rows(known)
        return spoil_wrong(self.compute_batch(*rows, each), targets, known, self.soft_targets)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        check_batch_reduction(reduction)
        return self.compute_batch(logits, targets, mask, None)
