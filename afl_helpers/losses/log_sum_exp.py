"""Losses that set the positives of a group against its negatives by log-sum-exp: ZLPR and the two-way loss.

They do not fall apart into one loss per element: ZLPR compares the labels of a document, the two-way loss also the
documents of a batch.
"""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from afl_helpers.losses import coupled_kernel
from afl_helpers.losses.base import (
    LossInfo,
    PerClassLike,
    PublishedForm,
    as_rows,
    check_hard_targets,
    check_inputs,
    check_mask,
    check_number,
    is_hard,
    promote,
)
from afl_helpers.losses.coupled import BatchLoss, DocumentLoss, check_batch_reduction, document_weight, reduce_documents
from afl_helpers.losses.kept_gradient import has_fast_path, with_kept_gradient


def _log_sum_exp(values: Tensor, weights: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return ``log sum(weights exp(values))``, and whether any weight is above 0; without one, the first is 0."""
    some = (weights > 0).any(dim)
    terms = values + torch.where(weights > 0, weights, 1.0).log()
    terms = torch.where(weights > 0, terms, -torch.inf)
    terms = torch.where(some.unsqueeze(dim), terms, 0.0)  # a sum of nothing has no gradient, not a NaN
    return torch.where(some, torch.logsumexp(terms, dim), 0.0), some


def _softplus(values: Tensor, where: Tensor) -> Tensor:
    """Return ``log(1 + exp(values))``, 0 where the condition is False."""
    return torch.where(where, -logsigmoid(-values), 0.0)


def zlpr_loss(logits: Tensor, targets: Tensor, *, mask: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """Compute the zero-bounded log-sum-exp and pairwise rank-based loss (ZLPR, Su et al., 2022).

    A document costs ``log(1 + sum over negatives of exp(z)) + log(1 + sum over positives of exp(-z))``. A soft target y
    enters the first sum with the weight 1 - y and the second with y.

    Args:
        reduction: see ``afl_helpers.losses.coupled.DocumentLoss``.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import zlpr_loss
        >>> logits, targets = torch.zeros(1, 4), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        >>> round(zlpr_loss(logits, targets).item(), 4)  # log(1 + 3) + log(1 + 1)
        2.0794
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    kept = None if mask is None else check_mask(mask, logits)
    if kept is None and logits.numel() and has_fast_path(logits, targets) and is_hard(targets):
        documents = with_kept_gradient(logits, targets, coupled_kernel.zlpr, _zlpr)
    else:
        documents = _zlpr(logits, targets, kept)
    return reduce_documents(documents, reduction, kept)


def _zlpr(logits: Tensor, targets: Tensor, kept: Tensor | None = None) -> Tensor:
    """Return the loss of each document by the formula, for any device, derivative and trace."""
    logits, targets = promote(logits, targets)
    known = torch.ones_like(targets) if kept is None else kept.to(targets)
    negative = _softplus(*_log_sum_exp(logits, (1 - targets) * known, -1))
    positive = _softplus(*_log_sum_exp(-logits, targets * known, -1))
    return negative + positive


class ZLPRLoss(DocumentLoss):
    """Zero-bounded log-sum-exp and pairwise rank-based loss (ZLPR, Su et al., 2022).

    The gradients of the negatives of a document add up to less than 1, and so do those of its positives, however many
    labels there are.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import ZLPRLoss
        >>> logits = torch.zeros(1, 1000, requires_grad=True)
        >>> targets = torch.zeros(1, 1000)
        >>> targets[0, 0] = 1.0
        >>> ZLPRLoss()(logits, targets).backward()
        >>> round(logits.grad[0, 0].item(), 3), round(logits.grad[0, 1:].sum().item(), 3)  # 1 positive, 999 negatives
        (-0.5, 0.999)
    """

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return zlpr_loss(logits, targets, mask=mask, reduction=reduction)


def two_way_loss(
    logits: Tensor,
    targets: Tensor,
    temperature_positive: float = 4.0,
    temperature_negative: float = 1.0,
    *,
    weight: PerClassLike | None = None,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the two-way multi-label loss (Kobayashi, CVPR 2023), as in the author's code but without its finite mask.

    A group costs ``softplus(T_n log sum over negatives of exp(z / T_n) + T_p log sum over positives of exp(-z / T_p))``
    and 0 if it has only positives or only negatives. The loss is the mean over the labels that have a positive in the
    batch, with one group per label, plus the mean over the documents that have a positive, with one group per document.

    Args:
        temperature_positive, temperature_negative: see :class:`TwoWayLoss`.
        weight: one per document; a document of weight w counts like w documents.
        reduction: see ``afl_helpers.losses.coupled.BatchLoss``.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import two_way_loss
        >>> logits = torch.tensor([[2.0, -1.0], [0.0, 0.0]])
        >>> targets = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
        >>> round(two_way_loss(logits, targets).item(), 4)  # log(1 + exp(0 - 2)) of the label, log(1 + exp(-1 - 2))
        0.1755
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    targets = check_hard_targets(targets, "the two-way loss")
    check_batch_reduction(reduction)
    hot = check_number("temperature_positive", temperature_positive, 0.0, open_low=True)
    cold = check_number("temperature_negative", temperature_negative, 0.0, open_low=True)
    if mask is None and weight is None and logits.numel() and has_fast_path(logits, targets):
        kernel = partial(coupled_kernel.two_way, hot=hot, cold=cold)
        return with_kept_gradient(logits, targets, kernel, partial(_two_way, hot=hot, cold=cold))
    return _two_way(logits, targets, hot, cold, weight, mask)


def _two_way(
    logits: Tensor,
    targets: Tensor,
    hot: float,
    cold: float,
    weight: PerClassLike | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the loss by the formula, for any device, derivative and trace."""
    logits, targets = promote(logits, targets)
    known = torch.ones_like(targets) if mask is None else check_mask(mask, logits).to(targets)
    each = torch.ones_like(logits[..., 0]) if weight is None else document_weight(weight, logits[..., 0], None)
    logits, targets, known, each = as_rows(logits), as_rows(targets), as_rows(known), each.reshape(-1, 1)
    total = logits.new_zeros(())
    for dim, share in ((0, known * each), (1, known)):
        negative, some = _log_sum_exp(logits / cold, (1 - targets) * share, dim)
        positive, counted = _log_sum_exp(-logits / hot, targets * share, dim)
        costs = _softplus(cold * negative + hot * positive, some & counted)
        times = counted.to(costs) if dim == 0 else counted * each[:, 0]
        total = total + (times * costs).sum() / torch.where(counted.any(), times.sum(), 1.0)
    return total


class TwoWayLoss(BatchLoss):
    """Two-way multi-label loss (Kobayashi, CVPR 2023): every positive above the negatives of its document and its label.

    Args:
        temperature_positive: above 0; the higher it is, the more all positives count and not only the lowest.
        temperature_negative: above 0; the higher it is, the more all negatives count and not only the highest.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import TwoWayLoss
        >>> logits, targets = torch.tensor([[3.0, 1.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> loss = TwoWayLoss()
        >>> bool(torch.isclose(loss(logits, targets), loss(logits + 5.0, targets)))  # only differences matter
        True
    """

    soft_targets = False

    def __init__(self, temperature_positive: float = 4.0, temperature_negative: float = 1.0, reduction: str = "mean"):
        super().__init__(reduction)
        self.temperature_positive = check_number("temperature_positive", temperature_positive, 0.0, open_low=True)
        self.temperature_negative = check_number("temperature_negative", temperature_negative, 0.0, open_low=True)

    def compute_batch(self, logits: Tensor, targets: Tensor, mask: Tensor | None, weight: Tensor | None) -> Tensor:
        return two_way_loss(
            logits, targets, self.temperature_positive, self.temperature_negative, weight=weight, mask=mask
        )


ENTRIES = {
    "zlpr": LossInfo(
        title="ZLPR",
        equation=r"\log\Bigl(1 + \sum_{c: y_c = 0} e^{z_c}\Bigr) + \log\Bigl(1 + \sum_{c: y_c = 1} e^{-z_c}\Bigr)",
        reference="su2022zlpr",
        published=(PublishedForm("the first author's code (Su et al. 2022)", "equal"),),
        fidelity="the form for soft targets is after third parties' code, without its clips",
        when="Many labels, few per document: the gradients of a document's negatives add up to less than 1, so they"
        " cannot drown a positive. A score above 0 means yes; it is not a probability.",
        build=ZLPRLoss,
        parameters={},
        unit="document",
    ),
    "two_way": LossInfo(
        title="Two-way loss",
        equation=r"\operatorname{mean}_c M(\cdot, c) + \operatorname{mean}_i M(i, \cdot), \quad M = \zeta\Bigl("
        r"T_n \log\sum_{y = 0} e^{z / T_n} + T_p \log\sum_{y = 1} e^{-z / T_p}\Bigr), \quad"
        r" \zeta(x) = \log(1 + e^{x})",
        reference="kobayashi2023twoway",
        published=(PublishedForm("the author's code (Kobayashi 2023)", "equal"),),
        fidelity="without its finite mask value",
        when="When the order of the scores matters, within a document and within a label. The batch must hold several"
        " documents of most labels (the author uses 512). Zero has no meaning: thresholds must be tuned.",
        build=TwoWayLoss,
        parameters={
            "temperature_positive": "above 0; the higher it is, the more all positives count and not only the lowest.",
            "temperature_negative": "above 0; the higher it is, the more all negatives count and not only the highest.",
        },
        soft_targets=False,
        unit="batch",
    ),
}
