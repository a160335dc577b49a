"""Where the bias of the last layer starts: the logits that a model gives when it knows only how frequent each label is."""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss

#: No best constant lies outside -LIMIT to LIMIT: there, a probability differs from 0 or 1 by less than 1e-17.
LIMIT = 40.0
_GRID_STEP = 0.25
_GOLDEN = (math.sqrt(5) - 1) / 2

#: logits (n, n_labels) -> the costs of a positive and of a negative at each of them, both (n, n_labels)
_Costs = Callable[[Tensor], tuple[Tensor, Tensor]]


def prior_logits(label_counts: ArrayLike, n_documents: int) -> Tensor:
    """Compute the log odds of each label, (n_labels,) float32.

    Half a document is added to both counts of a label, so that the odds are finite.

    Example:
        >>> from afl_helpers.training import prior_logits
        >>> [round(p, 3) for p in prior_logits([50, 1], n_documents=100).sigmoid().tolist()]
        [0.5, 0.015]
    """
    counts = np.asarray(label_counts, dtype=float)
    return torch.tensor(np.log((counts + 0.5) / (n_documents - counts + 0.5)), dtype=torch.float32)


def start_logits(start_bias: str, loss: MultiLabelLoss, label_counts: ArrayLike, n_documents: int) -> Tensor:
    """Return the bias that training starts from, (n_labels,) float32.

    Args:
        start_bias: "loss", "prior" or "zero"; see :class:`~afl_helpers.training.config.EpochConfig`.
        loss: the loss that is trained. One without a cost per label has no best constant: "loss" is then "zero".
        label_counts: (n_labels,) number of training documents with each label.
        n_documents: number of training documents.
    """
    if start_bias == "loss" and loss.unit == "element":
        return best_constant_logits(loss, label_counts, n_documents)
    log_odds = prior_logits(label_counts, n_documents)
    return log_odds if start_bias == "prior" else torch.zeros_like(log_odds)


@torch.no_grad()
def best_constant_logits(loss: MultiLabelLoss, label_counts: ArrayLike, n_documents: int) -> Tensor:
    """Compute the best constant logit of each label for a loss, (n_labels,) float32.

    It minimizes ``r loss(z, 1) + (1 - r) loss(z, 0)``, with r the share of training documents with the label, to which
    half a document is added as in :func:`prior_logits`. For cross-entropy it is the log odds. For focal loss it is the
    score whose posterior is r, about 1/4 for a rare label at gamma 5.

    The minimum is found by values alone: the best of a grid, then a golden-section search around it. Where a huge gamma
    makes the cost of several grid points 0, the middle of them is taken.

    Some losses weigh an element by the other labels of its document (distribution-balanced, rebalanced focal, weighted
    asymmetric). For them every training document is taken to have exactly one label, so the result is approximate, and
    the time grows with the square of the number of labels. Partial label masking starts without a mask, and so at the
    log odds. Losses that compare the labels of a document or the documents of a batch have no cost per label.

    Raises:
        UsageError: a loss that has no cost per label.

    Example:
        >>> from afl_helpers.losses import FocalLoss
        >>> from afl_helpers.training.initial_bias import best_constant_logits
        >>> p = best_constant_logits(FocalLoss(gamma=[0.0, 2.0, 5.0]), [3, 3, 3], n_documents=1000).sigmoid()
        >>> [round(value, 3) for value in p.tolist()]
        [0.003, 0.11, 0.266]
    """
    if loss.unit != "element":
        raise UsageError(
            f"{type(loss).__name__} has no cost per label, so no constant logit is the best; use start_bias='zero' or 'prior'"
        )
    loss = copy.deepcopy(loss).cpu().eval()
    counts = torch.as_tensor(np.asarray(label_counts, dtype=float))
    rates = (counts + 0.5) / (n_documents + 1)
    costs = _single_label_costs(loss, counts) if _labels_interact(loss, len(counts)) else _costs(loss)

    def risk(logits: Tensor) -> Tensor:
        positive, negative = costs(logits)
        return rates * positive + (1 - rates) * negative

    grid = torch.arange(-LIMIT, LIMIT + _GRID_STEP / 2, _GRID_STEP, dtype=torch.float64)
    values = risk(grid[:, None].expand(-1, len(counts)))
    best = values == values.min(0).values
    first, last = grid[best.int().argmax(0)], grid[len(grid) - 1 - best.flip(0).int().argmax(0)]
    middle = (first + last) / 2
    refined = _golden_section(risk, middle - _GRID_STEP, middle + _GRID_STEP)
    # A loss that jumps can be worse there than at the grid point.
    flat, worse = last - first > _GRID_STEP, risk(refined[None])[0] > values.min(0).values
    return torch.where(flat, middle, torch.where(worse, first, refined)).float()


def _golden_section(risk: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Return where the risk of each label is lowest between ``low`` and ``high``, (n_labels,) each."""
    for _ in range(50):
        width = _GOLDEN * (high - low)
        left, right = high - width, low + width
        values = risk(torch.stack([left, right]))
        lower_is_left = values[0] < values[1]
        low, high = torch.where(lower_is_left, low, left), torch.where(lower_is_left, right, high)
    return (low + high) / 2


def _costs(loss: MultiLabelLoss) -> _Costs:
    def costs(logits: Tensor) -> tuple[Tensor, Tensor]:
        ones = torch.ones_like(logits)
        return loss(logits, ones, reduction="none"), loss(logits, 0 * ones, reduction="none")

    return costs


def _single_label_costs(loss: MultiLabelLoss, counts: Tensor) -> _Costs:
    """Return the mean costs over documents that each have one label, as often as the counts say."""
    weight = counts.clamp(min=0.5)
    others = weight.sum() - weight
    rows = torch.eye(len(counts), dtype=torch.float64)

    def costs_at(logits: Tensor) -> tuple[Tensor, Tensor]:
        elements = loss(logits.expand(len(counts), -1).contiguous(), rows, reduction="none")
        positive = elements.diagonal()
        return positive, (weight @ elements - weight * positive) / others

    def costs(logits: Tensor) -> tuple[Tensor, Tensor]:
        positive, negative = zip(*map(costs_at, logits))
        return torch.stack(positive), torch.stack(negative)

    return costs


def _labels_interact(loss: MultiLabelLoss, n_labels: int) -> bool:
    """Return whether the cost of an element depends on the other labels of its document."""
    if n_labels == 1:
        return False
    rows = torch.eye(n_labels, dtype=torch.float64)[torch.linspace(0, n_labels - 1, min(n_labels, 50)).long()]
    elements = loss(torch.full_like(rows, -1.0), rows, reduction="none")
    positive, negative = _costs(loss)(torch.full((1, n_labels), -1.0, dtype=torch.float64))
    return not torch.equal(elements, torch.where(rows.bool(), positive, negative))
