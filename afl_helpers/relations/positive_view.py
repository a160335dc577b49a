"""A second view of each document, made of the tokens that speak for its labels.

HGCLR (Wang et al., "Incorporating hierarchy into text encoder: a contrastive learning approach for hierarchical text
classification", ACL 2022; the code wzh9969/contrastive-htc was read). It is the nearest public relative of HGBL ([12],
known by its abstract only), not HGBL.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from afl_helpers.augment.base import check_number
from afl_helpers.relations.base import RelationInfo, Takes, check_hierarchy, check_seed, in_place
from afl_helpers.relations.heads import Batch, HiddenHead, HiddenNetwork, Network, Streams, Tokens, uniform_linear
from afl_helpers.relations.hierarchy import Hierarchy


@dataclass(kw_only=True, eq=False)
class PositiveView(HiddenHead):
    """Train a head with one hidden layer on each document and on a view of it, made of some tokens. Our construction.

    The head sees the mean of the token states.

    Each token is given to the labels by a softmax with Gumbel noise over the products of its state and the vectors of
    the labels. The view keeps the tokens that the document's own labels get with a probability above ``threshold``; a
    document without labels keeps all. The mean of the kept states is the view, and gradients reach the vectors of the
    labels through the probabilities.

    The loss is the cross-entropy of the document, ``view`` times that of its view, and ``contrast`` times
    :func:`nt_xent` of both after a projection of two layers.

    Args:
        view, contrast: weights of the two terms, 1 in HGCLR. 0 for both trains the head alone.
        threshold: HGCLR has .02. With many labels a token gives each of them little: try values below 1 / n_labels too.
        width: of the vectors of labels.
        hierarchy: a label's vector is the sum of its own and those of the nodes above it; None is a hierarchy without
            edges.
        shuffle_seed: the control. A seed puts the labels at random places of the hierarchy; None leaves them.
        hidden: the number of hidden units.
        epochs, batch_size, learning_rate, weight_decay: those of :class:`~afl_helpers.relations.heads.Trained`.
    """

    view: float = 1.0
    contrast: float = 1.0
    threshold: float = 0.02
    width: int = 32
    hierarchy: Hierarchy | None = None
    shuffle_seed: int | None = None

    takes: ClassVar[Takes] = "token states"

    def _check(self) -> None:
        super()._check()
        check_number("view", self.view, 0)
        check_number("contrast", self.contrast, 0)
        check_number("threshold", self.threshold, 0, 1)
        check_number("width", self.width, 1, integer=True)
        check_hierarchy(self.hierarchy)
        check_seed(self.shuffle_seed)

    def _network(self, width: int, labels: NDArray[np.bool], streams: Streams) -> Network:
        tree = in_place(self.hierarchy, labels.shape[1], self.shuffle_seed)
        if not self.view and not self.contrast:
            return super()._network(width, labels, streams)
        return ViewNetwork(width, self, labels, tree, streams)


class ViewNetwork(HiddenNetwork):
    """The network of :class:`PositiveView`."""

    def __init__(
        self, width: int, method: PositiveView, labels: NDArray[np.bool], tree: Hierarchy, streams: Streams
    ) -> None:
        super().__init__(width, method.hidden, labels, streams)
        self.method = method
        self.above = torch.from_numpy(tree.above[: tree.n_labels].astype(np.float32))
        self.queries = uniform_linear(width, method.width, streams.more_weights)
        self.vectors = nn.Parameter(
            torch.randn(len(tree.names), method.width, generator=streams.more_weights, dtype=torch.float32)
        )
        self.projection = nn.Sequential(
            uniform_linear(method.hidden, method.hidden, streams.more_weights),
            nn.ReLU(),
            uniform_linear(method.hidden, method.hidden, streams.more_weights),
        )

    def kept(self, x: Tokens, y: Tensor) -> Tensor:
        """Return 1 for tokens that a view keeps, else 0, (n, n_tokens), with the gradients of the probabilities."""
        match = self.queries(x.states) @ (self.above @ self.vectors).T / self.vectors.shape[1] ** 0.5
        uniform = torch.rand(match.shape, generator=self.noise, dtype=torch.float32).clamp(1e-9, 1 - 1e-7)
        given = (match - (-uniform.log()).log()).softmax(dim=2)
        own = (given * y[:, None]).sum(2)
        chosen = ((own > self.method.threshold) | (y.sum(1, keepdim=True) == 0)) & x.present
        return (own + (1 - own).detach()) * chosen

    def loss(self, x: Batch, y: Tensor) -> Tensor:
        """Return the cross-entropy of a batch and the two terms."""
        assert isinstance(x, Tokens)
        kept = self.kept(x, y)
        n_kept = (kept > 0).sum(1, keepdim=True).clamp(min=1)
        document, view = self.representation(x), self.representation((x.states * kept[:, :, None]).sum(1) / n_kept)
        loss = F.binary_cross_entropy_with_logits(self.layer(document), y)
        if self.method.view:
            loss = loss + self.method.view * F.binary_cross_entropy_with_logits(self.layer(view), y)
        if self.method.contrast:
            loss = loss + self.method.contrast * nt_xent(self.projection(document), self.projection(view))
        return loss


def nt_xent(one: Tensor, other: Tensor) -> Tensor:
    """Return the contrastive loss (NT-Xent, temperature 1) of pairs of vectors, both (n, width): a scalar.

    Each of the 2n vectors, scaled to length 1, is to find its partner among the 2n - 1 others.

    Example:
        >>> import torch
        >>> from afl_helpers.relations.positive_view import nt_xent
        >>> one = torch.eye(2)
        >>> round(nt_xent(one, one).item(), 4)  # log(e + 2) - 1
        0.5514
    """
    z = F.normalize(torch.cat([one, other]), dim=1)
    n = len(one)
    match = (z @ z.T).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    return F.cross_entropy(match, torch.arange(2 * n).roll(n))


ENTRIES = {
    "positive_view": RelationInfo(
        title="Positive view from the tokens of the labels",
        build=PositiveView,
        source="HGCLR",
        grade="code read",
        differs="the states of a frozen encoder are averaged, where HGCLR runs BERT again on the kept tokens; a label "
        "has a learned vector plus those of the nodes above it, where HGCLR has Graphormer on the words of its name",
        tuned="threshold",
        values=(0.005, 0.02, 0.1),
        neutral={"view": 0, "contrast": 0},
        baseline="hidden_head",
        is_ours=True,
    ),
}
