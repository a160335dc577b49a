"""Any loss that falls apart into elements, with its gradient, on a CPU: block by block, in memory that stays in the cache.

With a plain formula, autograd writes twenty and more tensors of the size of the logits. Here each block of rows goes
through all steps while it is in the cache, and only the gradient is written. Positives are few, so a block first gets the
cost of negatives everywhere; its positives are put in their places later, those of many blocks together.

With several threads, each does all steps on one block after the other; a lone block has one thread. Which positives are put
in together depends on the batch alone, so the bits of the result are the same whichever thread does what, and with any
number of threads. Neither holds without threadpoolctl, nor for :mod:`~afl_helpers.losses.coupled_kernel`, whose blocks all
threads share.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from afl_helpers.losses.base import as_rows, check_target_range
from afl_helpers.losses.costs import Cost
from afl_helpers.losses.threads import run_in_threads, threads_per_block

#: Elements per block.
BLOCK = 200_000
#: Positives that are put in together, unless one block has more; torch splits no operation on fewer among its threads.
N_POSITIVES = 30_000
#: Buffers of a block that a cost may use.
N_SCRATCH = 7


class _Positives(NamedTuple):
    """Positives of a block: their places in the flattened batch, logits and factors, (n,); without factors, None."""

    where: Tensor
    logits: Tensor
    factors: Tensor | None


@dataclass
class Elements:
    """A loss that falls apart into elements, each of which costs ``y * positive + (1 - y) * negative``.

    Args:
        positive, negative: cost of a positive and of a negative, with parameters in ``dtype``.
        weight: from the targets of some rows to factors on their elements, of the same type; None is 1.
        soften: from the targets of some rows to those of the loss, of the same type; None leaves them.
        kept: of the shape of the logits, 0 for an element without loss and gradient; None keeps all.
        dtype: of the computation.
        divisor: the loss is the sum over all elements divided by it; None returns the loss of each element.
    """

    positive: Cost
    negative: Cost
    weight: Callable[[Tensor], Tensor] | None
    soften: Callable[[Tensor], Tensor] | None
    kept: Tensor | None
    dtype: torch.dtype
    divisor: float | None


def row_blocks(n_rows: int, width: int, dtype: torch.dtype = torch.float32, n_sharing: int = 1) -> list[slice]:
    """Return the rows of each block, fewer in a wider type, so that it takes as much of the cache.

    Args:
        n_sharing: threads that share a block, which then has more rows, so that they meet less often.
    """
    n_elements = BLOCK * torch.float32.itemsize // dtype.itemsize * n_sharing
    step = max(1, n_elements // max(1, width))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def _rows(values: Tensor, rows: slice, dtype: torch.dtype) -> Tensor:
    block = values.narrow(0, rows.start, rows.stop - rows.start)
    return block if block.dtype == dtype else block.to(dtype)


def positions(y: Tensor) -> Tensor:
    """Return where a tensor is not 0, as indices of the flattened tensor."""
    values = y.bool() if y.dtype in (torch.bfloat16, torch.float16) else y  # numpy has no bfloat16
    return torch.from_numpy(np.flatnonzero(values.numpy() != 0))  # several times as fast as torch's own


def _all_0_or_1(y: Tensor) -> bool:
    values = y.numpy()
    return bool(np.count_nonzero(values == 0) + np.count_nonzero(values == 1) == values.size)


def _all_1(y: Tensor, where: Tensor) -> bool:
    return bool((y.numpy().reshape(-1)[where.numpy()] == 1).all())


def loss_and_gradient(
    logits: Tensor, targets: Tensor, what: Elements, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the loss and its gradient with respect to the logits.

    Args:
        logits, targets: (..., n_labels).
        with_gradient: whether to compute the gradient.

    Returns:
        The loss, a scalar or of the shape of the logits, and its gradient or None; float64 if the logits are, else
        float32.
    """
    with torch.no_grad():
        return _Pass(logits, targets, what, with_gradient).run()


class _Pass:
    """One pass over the blocks of a batch."""

    def __init__(self, logits: Tensor, targets: Tensor, what: Elements, with_gradient: bool):
        self.what, self.shape = what, logits.shape
        self.logits, self.targets = as_rows(logits), as_rows(targets)
        self.kept = None if what.kept is None else as_rows(what.kept)
        self.out_dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
        self.factor = 1 / (what.divisor or 1)

        def whole() -> Tensor:
            return torch.empty(self.logits.shape, dtype=self.out_dtype, device="cpu")

        self.elements = whole() if what.divisor is None else None
        self.gradient = whole() if with_gradient else None
        self.sums: list[float] = []
        self.positives: dict[int, _Positives] = {}  # by the first row of their block

    def run(self) -> tuple[Tensor, Tensor | None]:
        n, width = self.logits.shape
        blocks = row_blocks(n, width, self.what.dtype, threads_per_block())
        todo = iter(blocks)  # the threads share it
        run_in_threads(lambda: self._blocks(todo), len(blocks), n * width)
        groups = self._groups()
        left = iter(groups)
        n_positives = sum(len(found.where) for group in groups for found in group)
        run_in_threads(lambda: self._put_groups(left), len(groups), n_positives)
        gradient = None if self.gradient is None else self.gradient.view(self.shape)
        if self.elements is not None:
            return self.elements.view(self.shape), gradient
        return torch.tensor(math.fsum(self.sums) * self.factor, dtype=self.out_dtype, device="cpu"), gradient

    def _blocks(self, blocks: Iterator[slice]) -> None:
        """Do block after block, in buffers of their own."""
        buffers: list[Tensor] = []
        for rows in blocks:
            height = rows.stop - rows.start
            if not buffers:
                shape = N_SCRATCH + 4, height, self.logits.shape[1]
                buffers = list(torch.empty(shape, dtype=self.what.dtype, device="cpu").unbind())
            self._block(rows, buffers if height == len(buffers[0]) else [buffer[:height] for buffer in buffers])

    def _block(self, rows: slice, buffers: list[Tensor]) -> None:
        what = self.what
        z, y = _rows(self.logits, rows, what.dtype), _rows(self.targets, rows, self.out_dtype)
        loss, slope, *scratch = buffers
        same = self.out_dtype == what.dtype
        if same and self.elements is not None:
            loss = _rows(self.elements, rows, self.out_dtype)
        if same and self.gradient is not None:
            slope = _rows(self.gradient, rows, self.out_dtype)
        wanted = None if self.gradient is None else slope
        if what.soften is not None:
            y = what.soften(check_target_range(y))
        factors = None if what.weight is None else what.weight(y).to(what.dtype)
        if self.kept is not None:
            kept = self.kept[rows].to(what.dtype)
            factors = kept if factors is None else factors * kept
        positives: Tensor | None = None
        if what.soften is not None:
            self._soft(z, y.to(what.dtype), loss, wanted, scratch)
        elif (mixed := what.positive.mixed(what.negative, y.to(what.dtype))) is not None and _all_0_or_1(y):
            mixed.kernel(z, loss, wanted, self.factor, scratch)
        elif not _all_1(y, positives := positions(y)):
            self._soft(z, check_target_range(y).to(what.dtype), loss, wanted, scratch)
            positives = None
        else:
            what.negative.kernel(z, loss, wanted, self.factor, scratch)
            loss.view(-1).index_fill_(0, positives, 0.0)
        if factors is not None:
            loss.mul_(factors)
            if wanted is not None:
                wanted.mul_(factors)
        if self.elements is None:
            self.sums.append(loss.sum().item())
        elif not same:
            self.elements[rows] = loss
        if self.gradient is not None and not same:
            self.gradient[rows] = slope
        if positives is not None and len(positives):
            few = None if factors is None else factors.expand_as(z).take(positives)
            self.positives[rows.start] = _Positives(positives + rows.start * z.shape[1], z.take(positives), few)

    def _soft(self, z: Tensor, y: Tensor, loss: Tensor, gradient: Tensor | None, scratch: list[Tensor]) -> None:
        what, factor = self.what, self.factor
        *scratch, loss_p, spare = scratch
        slope_p = None if gradient is None else spare
        what.positive.kernel(z, loss_p, slope_p, factor, scratch)
        what.negative.kernel(z, loss, gradient, factor, scratch)
        torch.lerp(loss, loss_p, y, out=loss)
        if gradient is not None and slope_p is not None:
            torch.lerp(gradient, slope_p, y, out=gradient)

    def _groups(self) -> list[list[_Positives]]:
        """Return the positives of all blocks in order, in groups."""
        groups: list[list[_Positives]] = []
        size = N_POSITIVES
        for start in sorted(self.positives):
            found = self.positives[start]
            if size + len(found.where) > N_POSITIVES:
                groups.append([])
                size = 0
            groups[-1].append(found)
            size += len(found.where)
        return groups

    def _put_groups(self, groups: Iterator[list[_Positives]]) -> None:
        for group in groups:
            self._put_positives(group)

    def _put_positives(self, group: list[_Positives]) -> None:
        """Compute the cost of positives that were left out, and put it in its places."""
        where = torch.cat([found.where for found in group])
        factors = [found.factors for found in group if found.factors is not None]
        columns = where % self.logits.shape[1]
        loss, spare, *scratch = torch.empty((N_SCRATCH + 2, len(where)), dtype=self.what.dtype, device="cpu").unbind()
        slope = None if self.gradient is None else spare
        cost = self.what.positive.map(lambda value: value[columns] if value.ndim else value)
        cost.kernel(torch.cat([found.logits for found in group]), loss, slope, self.factor, scratch)
        for values in (loss, slope) if factors else ():
            if values is not None:
                values.mul_(torch.cat(factors))
        if self.elements is None:
            self.sums.append(loss.sum().item())
        else:
            self.elements.put_(where, loss.to(self.out_dtype))
        if self.gradient is not None and slope is not None:
            self.gradient.put_(where, slope.to(self.out_dtype))
