"""Recursive regularization: the weights of a label are drawn towards those of the label above it.

Gopal and Yang, "Recursive regularization for large-scale classification with hierarchical and graphical dependencies",
KDD 2013. As a term of a network's loss, with a fixed strength: HiAGM (Zhou et al., ACL 2020; its code Alibaba-NLP/HiAGM
was read) and HCL-MTC ([11]).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from afl_helpers.augment.base import check_number
from afl_helpers.relations.base import RelationInfo, check_hierarchy, check_seed, in_place
from afl_helpers.relations.heads import Batch, LinearNetwork, Streams, Trained
from afl_helpers.relations.hierarchy import Hierarchy


@dataclass(kw_only=True, eq=False)
class RecursiveRegularization(Trained):
    """Train a linear head whose loss has the term ``strength * sum 1/2 ||w_parent - w_child||^2`` over all edges.

    Biases are free. A group that no document carries has weights too, which start at 0 and which its children alone
    draw; it has no loss of its own.

    Args:
        strength: the weight of the term beside the mean cross-entropy; HiAGM has 1e-6. 0 trains a linear head.
        hierarchy: of the labels, in the order of the columns of Y; None is one without edges.
        shuffle_seed: the control. A seed puts the labels at random places of the hierarchy; None leaves them.
        epochs, batch_size, learning_rate, weight_decay: those of :class:`~afl_helpers.relations.heads.Trained`.
    """

    strength: float = 1e-4
    hierarchy: Hierarchy | None = None
    shuffle_seed: int | None = None

    def _check(self) -> None:
        super()._check()
        check_number("strength", self.strength, 0)
        check_hierarchy(self.hierarchy)
        check_seed(self.shuffle_seed)

    def _network(self, width: int, labels: NDArray[np.bool], streams: Streams) -> "RegularizedNetwork":
        tree = in_place(self.hierarchy, labels.shape[1], self.shuffle_seed)
        return RegularizedNetwork(width, labels, tree, self.strength)


class RegularizedNetwork(LinearNetwork):
    """A linear layer, the weights of groups, and the edges between both."""

    def __init__(self, width: int, labels: NDArray[np.bool], tree: Hierarchy, strength: float) -> None:
        super().__init__(width, labels)
        self.strength, self.edges = strength, torch.from_numpy(tree.edges)
        self.groups = nn.Parameter(torch.zeros(len(tree.names) - tree.n_labels, width, dtype=torch.float32))

    def loss(self, x: Batch, y: Tensor) -> Tensor:
        """Return the cross-entropy of a batch and the term."""
        loss = super().loss(x, y)
        if not self.strength:
            return loss
        return loss + self.strength * recursive_term(torch.cat([self.layer.weight, self.groups]), self.edges)


def recursive_term(weights: Tensor, edges: Tensor) -> Tensor:
    """Return ``sum 1/2 ||w_parent - w_child||^2``.

    Args:
        weights: (n_nodes, width).
        edges: (n_edges, 2), parent and child.

    Example:
        >>> import torch
        >>> from afl_helpers.relations.recursive_regularization import recursive_term
        >>> weights = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
        >>> recursive_term(weights, torch.tensor([[0, 1], [0, 2]])).item()  # (25 + 1) / 2
        13.0
    """
    return (weights[edges[:, 0]] - weights[edges[:, 1]]).square().sum() / 2


ENTRIES = {
    "recursive_regularization": RelationInfo(
        title="Recursive regularization of linear heads",
        build=RecursiveRegularization,
        source="Gopal and Yang, KDD 2013, as in HiAGM",
        grade="code read",
        differs="on given features, where HiAGM trains a text encoder",
        tuned="strength",
        values=(1e-6, 1e-4, 1e-3, 1e-2),
        neutral={"strength": 0},
        baseline="linear_head",
        cited="[11]",
    ),
}
