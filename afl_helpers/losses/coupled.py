"""The bases of the losses that do not fall apart into one loss per element."""

from typing import Literal

from torch import Tensor

from afl_helpers.errors import UsageError
from afl_helpers.losses.base import MultiLabelLoss


def reduce_documents(documents: Tensor, reduction: str, mask: Tensor | None) -> Tensor:
    """Reduce one loss per document.

    Args:
        documents: (batch,).
        reduction: ``"mean"`` and ``"sum_over_classes"`` are the mean over the documents; ``"sum"`` their sum; ``"none"``
            no reduction.
        mask: (batch, n_labels); a mean leaves out the documents of which no element counts.

    Returns:
        A scalar, or (batch,) if ``reduction`` is ``"none"``.
    """
    if reduction == "none":
        return documents
    if reduction == "sum":
        return documents.sum()
    if mask is None:
        return documents.sum() / max(1, documents.numel())
    return documents.sum() / mask.bool().any(-1).count_nonzero().clamp(min=1)


def check_batch_reduction(reduction: str) -> None:
    """Raise an error unless the reduction is ``"mean"``, the only one that a loss of a whole batch has."""
    if reduction != "mean":
        raise UsageError(
            f'reduction is "{reduction}"; this loss is one number per batch, not a sum over elements: pass "mean"'
        )


class DocumentLoss(MultiLabelLoss):
    """A loss per document, whose labels it compares with each other; ``unit`` is ``"document"``.

    Reduction ``"none"`` gives (batch,). ``"mean"`` and ``"sum_over_classes"`` are both the mean over the documents, and
    ``"sum"`` their sum. A masked label is left out of its document; a document without any other is left out of a mean.
    """

    unit: Literal["element", "document", "batch"] = "document"

    def _share(self, logits: Tensor, labels: Tensor, n_items: Tensor) -> Tensor:
        total: Tensor = self(logits, labels, reduction="sum")
        return total if self.reduction == "sum" else total * labels.shape[-1] / n_items


class BatchLoss(MultiLabelLoss):
    """A loss of a whole batch, whose documents it compares with each other; ``unit`` is ``"batch"``.

    The only reduction is ``"mean"``; the others are refused. A masked element takes no part. The value depends on
    which documents share a batch. In a Trainer each part of a batch (an accumulated step, a process) is therefore a batch
    of its own: the hook averages over the parts, by their number of elements. Make each part as large as the memory
    allows.
    """

    unit: Literal["element", "document", "batch"] = "batch"

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction)
        check_batch_reduction(reduction)

    def _share(self, logits: Tensor, labels: Tensor, n_items: Tensor) -> Tensor:
        part: Tensor = self(logits, labels)
        return part * labels.numel() / n_items
