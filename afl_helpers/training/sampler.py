"""The order of the training documents."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class EpochSeededLengthSampler(Sampler[int]):
    """Draw batches of texts of similar length, in an order that depends on (seed, epoch) alone.

    A resumed run therefore repeats the order; transformers' ``LengthGroupedSampler`` does not. The documents are
    shuffled, cut into pools of ``pool`` batches and sorted by length within each pool; then the batches are shuffled.
    An incomplete batch stays last.

    Args:
        lengths: number of tokens of each document.
        batch_size: documents per batch.
        seed: seed of the order; :meth:`set_epoch` sets the epoch, 0 at first.
        pool: number of batches that are sorted together.
        group: False only shuffles the documents.
        n_draws: number of documents that an epoch draws. If there are more documents, each epoch leaves out others; if there
            are fewer, it draws some again. None draws each once.

    Example:
        >>> from afl_helpers.training import EpochSeededLengthSampler
        >>> sampler = EpochSeededLengthSampler([5, 50, 6, 51], batch_size=2, seed=0)
        >>> sorted(map(sorted, [list(sampler)[:2], list(sampler)[2:]]))
        [[0, 2], [1, 3]]
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        pool: int = 50,
        group: bool = True,
        n_draws: int | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.pool, self.group = batch_size, seed, pool, group
        self.n_draws = len(self.lengths) if n_draws is None else n_draws
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order is drawn next, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_draws

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = np.resize(rng.permutation(len(self.lengths)), self.n_draws)
        if not self.group:
            return iter(order.tolist())
        n_full = len(order) // self.batch_size * self.batch_size
        full, rest = order[:n_full], order[n_full:]
        size = self.pool * self.batch_size
        pools = [full[start : start + size] for start in range(0, n_full, size)]
        batches = [
            batch
            for pool in pools
            for batch in pool[np.argsort(-self.lengths[pool], kind="stable")].reshape(-1, self.batch_size)
        ]
        batches = [batches[i] for i in rng.permutation(len(batches))]
        return iter(np.concatenate([*batches, rest]).tolist())
