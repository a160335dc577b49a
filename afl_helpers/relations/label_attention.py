"""The second stage of LabelCoRank ([13]; the code 821code/LabelCoRank was read): labels look at the tokens again.

That code does not run as published, because two of its classes are missing. In its committed setting, as many labels
are taken from the first stage as the second looks at, so that no co-occurring one is added; here the two numbers
differ.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from afl_helpers.augment.base import check_number
from afl_helpers.errors import UsageError
from afl_helpers.relations.base import RelationInfo, Takes, check_seed
from afl_helpers.relations.heads import (
    Batch,
    LinearNetwork,
    Network,
    Streams,
    Tokens,
    Trained,
    uniform_linear,
    zero_linear,
)


@dataclass(kw_only=True, eq=False)
class LabelAttention(Trained):
    """Train a linear head, and a second stage in which some labels look at the tokens. Our construction.

    The first stage is a linear head on the mean of the token states. Of its labels, the ``top_k`` with the highest
    scores are chosen, and as many more as make ``n_queries``: those with the largest sum of P(c | j) over the chosen j,
    counted in the training split. Ordered by their counts, the labels are queries to the token states: the sum of a
    vector of the label and one of the place, in one head of attention. A linear layer on what all of them read gives
    the logits of all labels.

    Args:
        share: weight of the second stage's cross-entropy; the first has the rest. The authors' is .8; with 0 there is
            no second stage, and the scores are those of the first.
        top_k: labels that the first stage chooses.
        n_queries: labels that look at the tokens.
        width: of the vectors of labels, keys and values.
        shuffle_seed: the control. A seed gives each label the co-occurrences of another label; None leaves them.
        epochs, batch_size, learning_rate, weight_decay: those of :class:`~afl_helpers.relations.heads.Trained`.
    """

    share: float = 0.8
    top_k: int = 5
    n_queries: int = 20
    width: int = 16
    shuffle_seed: int | None = None

    takes: ClassVar[Takes] = "token states"

    def _check(self) -> None:
        super()._check()
        check_number("share", self.share, 0, 1)
        check_number("top_k", self.top_k, 1, integer=True)
        check_number("n_queries", self.n_queries, 1, integer=True)
        check_number("width", self.width, 1, integer=True)
        check_seed(self.shuffle_seed)
        if self.n_queries < self.top_k:
            raise UsageError(f"n_queries is {self.n_queries} and top_k {self.top_k}; pass n_queries of at least top_k")

    def _network(self, width: int, labels: NDArray[np.bool], streams: Streams) -> Network:
        if self.share == 0:
            return LinearNetwork(width, labels)
        carried = labels.astype(np.float64)
        both = carried.T @ carried
        given = both / np.maximum(both.diagonal()[:, None], 1)
        if self.shuffle_seed is not None:
            order = np.random.default_rng(self.shuffle_seed).permutation(len(given))
            given = given[np.ix_(order, order)]
        return TwoStages(width, labels, torch.from_numpy(given.astype(np.float32)), self, streams)


class TwoStages(Network):
    """The network of :class:`LabelAttention`."""

    def __init__(
        self, width: int, labels: NDArray[np.bool], given: Tensor, method: LabelAttention, streams: Streams
    ) -> None:
        super().__init__()
        n_labels, inner = labels.shape[1], method.width
        self.share, self.top_k, self.n_queries = (
            method.share,
            min(method.top_k, n_labels),
            min(method.n_queries, n_labels),
        )
        self.given = given
        counts = torch.from_numpy(labels.sum(axis=0))
        self.rank = torch.argsort(torch.argsort(-counts, stable=True))
        self.first = LinearNetwork(width, labels)
        self.keys = uniform_linear(width, inner, streams.more_weights)
        self.values = uniform_linear(width, inner, streams.more_weights)
        self.labels = nn.Parameter(torch.randn(n_labels, inner, generator=streams.more_weights, dtype=torch.float32))
        self.places = nn.Parameter(
            torch.randn(self.n_queries, inner, generator=streams.more_weights, dtype=torch.float32)
        )
        self.second = zero_linear(self.n_queries * inner, labels)

    def chosen(self, logits: Tensor) -> Tensor:
        """Return the labels that look at the tokens, (n, n_queries), the most frequent first."""
        top = logits.topk(self.top_k, dim=1).indices
        weight = self.given[top].sum(1).scatter(1, top, torch.inf)
        found = weight.topk(self.n_queries, dim=1).indices
        return found.gather(1, self.rank[found].argsort(dim=1))

    def stages(self, x: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits of both stages."""
        assert isinstance(x, Tokens)
        first = self.first(x)
        attention = self.attention(x, self.chosen(first.detach()))
        return first, self.second((attention @ self.values(x.states)).flatten(1))

    def attention(self, x: Tokens, chosen: Tensor) -> Tensor:
        """Return how much each chosen label looks at each token, (n, n_queries, n_tokens); its sum over tokens is 1."""
        queries = self.labels[chosen] + self.places
        match = queries @ self.keys(x.states).transpose(1, 2) / queries.shape[2] ** 0.5
        return match.masked_fill(~x.present[:, None], -torch.inf).softmax(dim=2)

    def forward(self, x: Batch) -> Tensor:
        """Return the logits of the second stage."""
        return self.stages(x)[1]

    def loss(self, x: Batch, y: Tensor) -> Tensor:
        """Return the weighted cross-entropies of both stages."""
        first, second = (F.binary_cross_entropy_with_logits(logits, y) for logits in self.stages(x))
        return self.share * second + (1 - self.share) * first


ENTRIES = {
    "label_attention": RelationInfo(
        title="Second stage in which co-occurring labels look at the tokens",
        build=LabelAttention,
        source="LabelCoRank",
        grade="code read",
        differs="on the token states of a frozen encoder, with vectors of width 16 and one head of attention, where "
        "LabelCoRank tunes RoBERTa with 12 heads of width 64; all chosen labels look at the tokens",
        tuned="share",
        values=(0.5, 0.8),
        neutral={"share": 0},
        baseline="linear_head",
        is_ours=True,
        cited="[13]",
    ),
}
