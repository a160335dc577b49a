"""Coupled losses and their gradients on a CPU: block by block, in memory that stays in the cache.

They are for hard targets without mask or weight. As in :mod:`~afl_helpers.losses.cpu_kernel`, positives are few: a block is
worked on as if all were negatives, and its positives are taken out and put in one by one.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from afl_helpers.losses.base import as_rows, widest
from afl_helpers.losses.cpu_kernel import positions, row_blocks


class _Batch:
    """A batch in rows, with a gradient to be filled in."""

    def __init__(self, logits: Tensor, targets: Tensor, with_gradient: bool):
        self.dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
        self.logits, self.targets = as_rows(logits), as_rows(targets)
        self.n, self.width = self.logits.shape
        self.gradient = torch.empty(self.logits.shape, dtype=self.dtype, device="cpu") if with_gradient else None
        self.rows = row_blocks(self.n, self.width, n_sharing=torch.get_num_threads())
        self.found: dict[int, Tensor] = {}

    def blocks(self, scale: float = 1.0, shift: float = 0.0) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """Yield the rows of a block, ``scale * (z + shift)``, which may be changed, an empty tensor, and the positives."""
        buffers = torch.empty((2, self.rows[0].stop, self.width), dtype=self.dtype, device="cpu")
        for block in self.rows:
            z, spare = buffers[:, : block.stop - block.start].unbind()
            if block.start not in self.found:
                self.found[block.start] = positions(self.targets[block])
            if shift:
                torch.add(self.logits[block], shift, out=z)
            else:
                z.copy_(self.logits[block])
            yield block, z if scale == 1 else z.mul_(scale), spare, self.found[block.start]


@torch.no_grad()
def zlpr(logits: Tensor, targets: Tensor, *, with_gradient: bool) -> tuple[Tensor, Tensor | None]:
    """Return the ZLPR of each document, (...,), and its gradient."""
    batch = _Batch(logits, targets, with_gradient)
    losses = torch.empty(batch.n, dtype=batch.dtype, device="cpu")
    for rows, z, _, where in batch.blocks():
        few, row = z.take(where), where // batch.width
        negative, total = _sum_of_negatives(z, where)
        positive, terms, total_positive = _sum_of_few(-few, row, len(z))
        losses[rows] = _softplus(negative) + _softplus(positive)
        if batch.gradient is not None:
            torch.mul(z, (torch.sigmoid(negative) / total).unsqueeze(1), out=batch.gradient[rows])
            batch.gradient[rows].put_(where, terms.mul_((torch.sigmoid(positive) / total_positive)[row]).neg_())
    return losses.view(logits.shape[:-1]), None if batch.gradient is None else batch.gradient.view(logits.shape)


@torch.no_grad()
def two_way(
    logits: Tensor, targets: Tensor, *, hot: float, cold: float, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the two-way loss with the temperature ``hot`` of positives and ``cold`` of negatives, and its gradient."""
    batch = _Batch(logits, targets, with_gradient)
    gradient = batch.gradient
    top = torch.full((batch.width,), -math.inf, dtype=batch.dtype, device="cpu")
    n_positives = torch.zeros(batch.n, dtype=torch.int64, device="cpu")
    costs, kept = torch.empty(batch.n, dtype=batch.dtype, device="cpu"), []
    # Rows first. What their gradient is divided by, the number of rows with a positive, is known afterwards.
    for rows, z, spare, where in batch.blocks(1 / cold):
        row = where // batch.width
        n_positives[rows] = torch.bincount(row, minlength=len(z))
        few = z.take(where).mul_(cold)
        spare.copy_(z).view(-1).index_fill_(0, where, -math.inf)
        torch.maximum(top, spare.amax(0), out=top)
        negative, total = _sum_of_negatives(z, where)
        positive, terms, total_positive = _sum_of_few(few / -hot, row, len(z))
        costs[rows], slope = _cost(cold * negative + hot * positive)
        if gradient is not None:
            torch.mul(z, (slope / total).unsqueeze(1), out=gradient[rows])
            kept.append((few, terms.mul_((slope / total_positive)[row])))
        else:
            kept.append((few, terms))
    where_all = torch.cat([batch.found[rows.start] + rows.start * batch.width for rows in batch.rows])
    few, of_rows = (torch.cat(values) for values in zip(*kept))
    column = where_all % batch.width
    n_rows, counted = (n_positives > 0).sum().clamp(min=1), torch.bincount(column, minlength=batch.width) > 0
    n_columns = counted.sum().clamp(min=1)
    # A column of positives alone has no highest negative, and no sum.
    highest, totals = torch.where(top > -math.inf, top, 0.0), torch.zeros_like(top, dtype=widest(top.device))
    for _, z, _, where in batch.blocks(1 / cold):
        totals += z.sub_(highest).exp_().view(-1).index_fill_(0, where, 0.0).view_as(z).sum(0)
    negative = torch.where(totals > 0, highest + totals.log().to(top), -math.inf)
    positive, terms, total_positive = _sum_of_few(few / -hot, column, batch.width)
    column_costs, slope = _cost(cold * negative + hot * positive)
    loss = costs.sum() / n_rows + column_costs.sum() / n_columns
    if gradient is None:
        return loss, None
    share = slope / totals.clamp(min=1e-30).to(slope) / n_columns
    for rows, z, _, _ in batch.blocks(1 / cold):
        gradient[rows].div_(n_rows).addcmul_(z.sub_(highest).exp_(), share)
    of_columns = terms.mul_((slope / total_positive)[column]).div_(n_columns)
    gradient.put_(where_all, of_rows.div_(n_rows).add_(of_columns).neg_())
    return loss, gradient.view(logits.shape)


@torch.no_grad()
def sigmoid_f1(
    logits: Tensor, targets: Tensor, *, slope: float, offset: float, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Return sigmoid F1 on logits, and its gradient."""
    batch = _Batch(logits, targets, with_gradient)
    wide = widest(batch.logits.device)
    tp, fp, fn, n_positives = torch.zeros((4, batch.width), dtype=wide, device="cpu").unbind()
    for _, x, _, where in batch.blocks(slope, offset):
        few, column = x.take(where), where % batch.width
        fp += x.sigmoid_().view(-1).index_fill_(0, where, 0.0).view_as(x).sum(0)
        tp.index_add_(0, column, torch.sigmoid(few).to(wide))
        fn.index_add_(0, column, torch.sigmoid(-few).to(wide))
        n_positives.index_add_(0, column, torch.ones_like(few, dtype=wide))
    wrong, some = fp + fn, n_positives > 0
    everything = torch.where(some, 2 * tp + wrong, 1.0)
    loss = torch.where(some, wrong / everything, 1.0).mean().to(batch.dtype)
    if batch.gradient is None:
        return loss, None
    factor = torch.where(some, slope / (everything * everything * batch.width), 0.0)
    of_negatives, of_positives = (2 * tp * factor).to(batch.dtype), (-(everything + wrong) * factor).to(batch.dtype)
    for rows, x, spare, where in batch.blocks(slope, offset):
        variance = torch.neg(x, out=spare).sigmoid_().mul_(x.sigmoid_())
        torch.mul(variance, of_negatives, out=batch.gradient[rows])
        batch.gradient[rows].put_(where, variance.take(where).mul_(of_positives[where % batch.width]))
    return loss, batch.gradient.view(logits.shape)


def _sum_of_negatives(z: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``log sum exp(z)`` over the negatives of each row, and by what to divide what is left in ``z``.

    ``z`` is changed to the terms of the sum, over the largest term, and 0 for positives. Without a negative the first is
    minus infinity.
    """
    z.view(-1).index_fill_(0, positives, -math.inf)
    top = z.amax(1, keepdim=True)
    top = torch.where(top == -math.inf, 0.0, top)
    total = z.sub_(top).exp_().sum(1)
    return total.log().add_(top.squeeze(1)), total.clamp(min=1)


def _sum_of_few(values: Tensor, group: Tensor, n_groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``log sum exp`` of each group, the terms over the largest term, and by what to divide them."""
    top = values.new_full((n_groups,), -math.inf).scatter_reduce_(0, group, values, "amax")
    terms = values.sub(top[group]).exp_()
    total = torch.zeros_like(top).index_add_(0, group, terms)
    return top + total.log(), terms, total.clamp(min=1)


def _softplus(values: Tensor) -> Tensor:
    return torch.clamp(values, min=0).add_(values.abs().neg_().exp_().log1p_())


def _cost(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the softplus and its derivative; both are 0 of minus infinity, which is a group without one of the sides."""
    return _softplus(values), torch.sigmoid(values)
