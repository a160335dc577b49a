"""A graph of labels, and the contrastive term of HCL-MTC.

The layer is the Hierarchy-GCN of HiAGM (Zhou et al., ACL 2020; its code Alibaba-NLP/HiAGM was read) with cosines as the
weights of the edges, as in HCL-MTC ([11], Scientific Reports 15:14101). HiAGM's code lets the receiver of a message
decide its gate; here the sender does, as in the summary of HCL-MTC. No code of HCL-MTC was found: its formulas are from
a summary of an earlier version, so the weights of its two terms are ours.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from afl_helpers.augment.base import check_number
from afl_helpers.errors import UsageError
from afl_helpers.relations.base import RelationInfo, Takes, check_hierarchy, check_seed, in_place
from afl_helpers.relations.heads import Batch, Network, Streams, Trained, pooled, uniform_linear
from afl_helpers.relations.hierarchy import Hierarchy
from afl_helpers.relations.recursive_regularization import recursive_term
from afl_helpers.training.initial_bias import prior_logits


@dataclass(kw_only=True, eq=False)
class LabelGraph(Trained):
    """Train one vector per document and label, which a graph layer mixes along the hierarchy, with two further terms.

    The vectors of a document's nodes are ``v = reshape(M x)``. Node k gets from itself, its parent and its children j
    the message ``|cos(v_j, v_k)| v_j + b_k`` through the gate ``sigmoid(u_d v_j + c_k)``, where d is the direction:
    self, down or up. The sum, rectified, is h_k, and the logit ``w_k h_k + a_k``. Groups are nodes too; a document
    carries the group of each of its labels.

    The loss is the mean cross-entropy, ``recursive`` times the term of
    :class:`~afl_helpers.relations.recursive_regularization.RecursiveRegularization` on the w_k, and ``contrast`` times
    :func:`contrastive_term`.

    M has n_features x n_nodes x width weights: reduce word counts first, for instance by TruncatedSVD.

    Args:
        width: of the vector of a node.
        recursive, contrast: the weights of the two terms.
        hierarchy: of the labels, in the order of the columns of Y; None is one without edges.
        shuffle_seed: the control. A seed puts the labels at random places of the hierarchy; None leaves them.
        epochs, batch_size, learning_rate, weight_decay: those of :class:`~afl_helpers.relations.heads.Trained`.
    """

    width: int = 32
    recursive: float = 1e-6
    contrast: float = 0.01
    hierarchy: Hierarchy | None = None
    shuffle_seed: int | None = None

    takes: ClassVar[Takes] = "vectors"

    def _check(self) -> None:
        super()._check()
        check_number("width", self.width, 1, integer=True)
        check_number("recursive", self.recursive, 0)
        check_number("contrast", self.contrast, 0)
        check_hierarchy(self.hierarchy)
        check_seed(self.shuffle_seed)

    def _network(self, width: int, labels: NDArray[np.bool], streams: Streams) -> Network:
        tree = in_place(self.hierarchy, labels.shape[1], self.shuffle_seed)
        return GraphNetwork(width, self.width, labels, tree, streams, self.recursive, self.contrast)

    def _targets(self, labels: NDArray[np.bool]) -> NDArray[np.bool]:
        return in_place(self.hierarchy, labels.shape[1], self.shuffle_seed).node_labels(labels)


class GraphNetwork(Network):
    """The network of :class:`LabelGraph`."""

    def __init__(
        self,
        n_features: int,
        width: int,
        labels: NDArray[np.bool],
        tree: Hierarchy,
        streams: Streams,
        recursive: float,
        contrast: float,
    ) -> None:
        super().__init__()
        n = len(tree.names)
        self.recursive, self.contrast, self.width, self.edges = recursive, contrast, width, torch.from_numpy(tree.edges)
        self._pairs = SampledPairs(tree) if contrast else None
        own = torch.arange(n)
        #: sender and receiver of each message, by direction: self, down, up
        self.messages = ((own, own), (self.edges[:, 0], self.edges[:, 1]), (self.edges[:, 1], self.edges[:, 0]))
        self.nodes = uniform_linear(n_features, n * width, streams.weights)
        self.gates = uniform_linear(width, 3, streams.weights)
        self.gates.bias.requires_grad_(False)  # the biases of the gates are those of the nodes
        self.gate_bias = nn.Parameter(torch.zeros(n, dtype=torch.float32))
        self.message_bias = nn.Parameter(torch.zeros(n, width, dtype=torch.float32))
        self.weights = nn.Parameter(torch.zeros(n, width, dtype=torch.float32))
        node_labels = tree.node_labels(labels)
        self.bias = nn.Parameter(prior_logits(node_labels.sum(axis=0), len(labels)))

    def node_vectors(self, x: Batch) -> Tensor:
        """Return v, (n, n_nodes, width)."""
        return self.nodes(pooled(x)).unflatten(1, (-1, self.width))

    def logits(self, v: Tensor) -> Tensor:
        """Return the logits of all nodes, (n, n_nodes)."""
        unit = F.normalize(v, dim=2)
        gates = self.gates(v)
        total = torch.zeros_like(v)
        for direction, (sender, receiver) in enumerate(self.messages):
            similarity = (unit[:, sender] * unit[:, receiver]).sum(2, keepdim=True).abs()
            message = similarity * v[:, sender] + self.message_bias[receiver]
            gate = torch.sigmoid(gates[:, sender, direction] + self.gate_bias[receiver])
            total = total.index_add(1, receiver, gate.unsqueeze(2) * message)
        return (torch.relu(total) * self.weights).sum(2) + self.bias

    def forward(self, x: Batch) -> Tensor:
        """Return the logits of a batch, (n, n_nodes)."""
        return self.logits(self.node_vectors(x))

    def loss(self, x: Batch, y: Tensor) -> Tensor:
        """Return the cross-entropy of a batch and the terms."""
        v = self.node_vectors(x)
        loss = F.binary_cross_entropy_with_logits(self.logits(v), y)
        if self.recursive:
            loss = loss + self.recursive * recursive_term(self.weights, self.edges)
        if self._pairs is not None:
            loss = loss + self.contrast * contrastive_term(v, *self._pairs.draw(self.noise))
        return loss


class SampledPairs:
    """Draw, for each parent that is not alone on its level, another parent of the level and one of its own children."""

    def __init__(self, tree: Hierarchy) -> None:
        parents = [node for node in range(len(tree.names)) if tree.children(node)]
        others = {p: [q for q in parents if q != p and tree.levels[q] == tree.levels[p]] for p in parents}
        self.parents = [p for p in parents if others[p]]
        if not self.parents:
            raise UsageError(
                "hierarchy has no two parents on one level, so the contrastive term is empty; pass another one, or "
                "contrast=0"
            )
        self._others, self._children = others, {p: tree.children(p) for p in self.parents}

    def draw(self, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return parents, other parents and children, one of each per parent."""

        def one_of(nodes: list[int]) -> int:
            return nodes[int(torch.randint(len(nodes), (), generator=generator))]

        others = [one_of(self._others[p]) for p in self.parents]
        children = [one_of(self._children[p]) for p in self.parents]
        return torch.tensor(self.parents), torch.tensor(others), torch.tensor(children)


def contrastive_term(v: Tensor, parents: Tensor, others: Tensor, children: Tensor) -> Tensor:
    """Return the sum over parents of ``exp(|cos(parent, other)| - |cos(parent, child)|)``, the mean over documents.

    Args:
        v: (n, n_nodes, width), the vectors of the nodes.
        parents, others, children: positions of nodes; others[i] is a parent on the level of parents[i], children[i] a
            child of it.

    Example:
        >>> import torch
        >>> from afl_helpers.relations.label_graph import contrastive_term
        >>> v = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]])
        >>> p, q, c = torch.tensor([[0], [1], [2]])
        >>> round(contrastive_term(v, p, q, c).item(), 4)  # exp(0 - 1)
        0.3679
    """
    unit = F.normalize(v, dim=2)

    def similarity(one: Tensor, other: Tensor) -> Tensor:
        return (unit[:, one] * unit[:, other]).sum(2).abs()

    return (similarity(parents, others) - similarity(parents, children)).exp().sum(1).mean()


ENTRIES = {
    "label_graph": RelationInfo(
        title="Graph of labels",
        build=LabelGraph,
        source="HCL-MTC and HiAGM",
        grade="summary read",
        differs="one linear map of given features makes the vectors of the labels, where these systems train a text "
        "encoder, and the two terms of HCL-MTC are left out",
        tuned="width",
        values=(16, 32, 64),
        fixed={"recursive": 0, "contrast": 0},
        cited="[11]",
    ),
    "label_graph_contrast": RelationInfo(
        title="Graph of labels with contrastive and recursive terms",
        build=LabelGraph,
        source="HCL-MTC",
        grade="summary read",
        differs="one linear map of given features makes the vectors of the labels, where HCL-MTC trains a text "
        "encoder; the weights of the terms are ours",
        tuned="contrast",
        values=(0.01, 0.1),
        neutral={"recursive": 0, "contrast": 0},
        baseline="label_graph",
        cited="[11]",
    ),
}
