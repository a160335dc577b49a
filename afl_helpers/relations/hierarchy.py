"""A hierarchy of labels: which label, or group of labels, stands above which."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from afl_helpers.arrays import is_whole, refuse_set
from afl_helpers.augment.base import check_labels, check_number
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.evaluation.validation import check_label_order

ROOT = -1


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A forest whose nodes are the labels of a corpus, in their order, and after them groups that no document carries.

    Attributes:
        names: one unique name per node.
        parents: for each node the position of the node above it, or -1.
        n_labels: how many of the nodes are labels.
        source: where the hierarchy comes from, in words.

    Example:
        >>> from afl_helpers.relations import Hierarchy
        >>> tree = Hierarchy.from_parents(["grain", "wheat", "gold"], {"wheat": "grain", "gold": "metal"})
        >>> tree.names, tree.parents, tree.n_labels
        (('grain', 'wheat', 'gold', 'metal'), (-1, 0, 3, -1), 3)
        >>> tree
        Hierarchy(3 labels, 1 group, 2 edges)
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    n_labels: int
    source: str = ""

    def __post_init__(self) -> None:
        n = len(self.names)
        if len(set(self.names)) != n or len(self.parents) != n or not 0 <= self.n_labels <= n:
            raise UsageError(
                f"names has {n} entries, {len(set(self.names))} of them unique, parents {len(self.parents)}, and "
                f"n_labels is {self.n_labels}; pass one unique name and one parent per node, labels first"
            )
        for parent in self.parents:
            if not is_whole(parent) or not ROOT <= parent < n:
                raise UsageError(
                    f"parents hold {parent!r}; pass the position of a node, a whole number from 0 to {n - 1}, or -1 for none"
                )
        # Lists and arrays are taken too; a tuple of Python's numbers compares, hashes and prints alike whatever was given.
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "parents", tuple(map(int, self.parents)))
        for node in range(n):
            above, steps = self.parents[node], 0
            while above != ROOT and steps <= n:
                if above == node:
                    raise UsageError(f"{self.names[node]!r} stands above itself; take one parent out of this circle")
                above, steps = self.parents[above], steps + 1

    def __repr__(self) -> str:
        groups = len(self.names) - self.n_labels
        return f"Hierarchy({self.n_labels} labels, {groups} group{'s'[: groups != 1]}, {len(self.edges)} edges)"

    @classmethod
    def from_parents(cls, label_names: Iterable[str], parents: Mapping[str, str | None], source: str = "") -> Self:
        """Build a hierarchy from label -> parent. A parent that is no label becomes a group.

        Args:
            label_names: the labels, in the order of the columns of Y.
            parents: label -> the label or group above it, also as a series of pandas. A label that is left out has no
                parent; so has one whose parent is None or a missing value of pandas.
            source: where the hierarchy comes from, in words.

        Raises:
            UsageError: label_names is a set or a string, parents has another form, a key is neither a label nor a parent,
                or a label stands above itself.
        """
        labels = names_of_labels(label_names)
        given = _parents(parents)
        parent_of = {label: parent for label, parent in given.items() if parent is not None}
        names = [*labels, *(name for name in dict.fromkeys(parent_of.values()) if name not in set(labels))]
        position = {name: i for i, name in enumerate(names)}
        for name in given:
            if name not in position:
                raise unknown_name("label in parents", name, names)
        above = tuple(position[parent_of[name]] if name in parent_of else ROOT for name in names)
        return cls(tuple(names), above, len(labels), source)

    @classmethod
    def flat(cls, n_labels: int) -> Self:
        """Return a hierarchy without edges."""
        return cls(tuple(map(str, range(n_labels))), (ROOT,) * n_labels, n_labels, "no hierarchy")

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """Parent and child of each edge, (n_edges, 2)."""
        pairs = [(parent, child) for child, parent in enumerate(self.parents) if parent != ROOT]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """How many nodes stand above each node, (n_nodes,)."""
        return self.above.sum(axis=1) - 1

    @cached_property
    def above(self) -> NDArray[np.bool]:
        """Whether node j is node i or stands above it, (n_nodes, n_nodes)."""
        matrix = np.eye(len(self.names), dtype=bool)
        for node in range(len(self.names)):
            parent = self.parents[node]
            while parent != ROOT:
                matrix[node, parent] = True
                parent = self.parents[parent]
        return matrix

    def children(self, node: int) -> list[int]:
        """Return the nodes right below a node; those without parent for -1."""
        return [child for child, parent in enumerate(self.parents) if parent == node]

    def node_labels(self, labels: NDArray[np.bool]) -> NDArray[np.bool]:
        """Return which nodes each document carries, (n_documents, n_nodes): its labels, and the groups above these."""
        groups = labels @ self.above[: self.n_labels, self.n_labels :]
        return np.concatenate([labels, groups], axis=1)

    def under(self, labels: NDArray[np.bool]) -> NDArray[np.bool]:
        """Return for each node whether a document carries it or a label below it, (n_documents, n_nodes)."""
        closed: NDArray[np.bool] = labels @ self.above[: self.n_labels]
        return closed

    def shuffled(self, seed: int | np.random.Generator) -> Self:
        """Return a random hierarchy of the same shape, the control for it: the labels change places at random.

        Groups stay where they are, so the number of children of each node of the forest stays as well.
        """
        place = np.random.default_rng(seed).permutation(self.n_labels).tolist()
        place += range(self.n_labels, len(self.names))
        parents = [ROOT] * len(self.names)
        for node, parent in enumerate(self.parents):
            parents[place[node]] = ROOT if parent == ROOT else place[parent]
        return type(self)(self.names, tuple(parents), self.n_labels, f"random, in the shape of: {self.source}")


def names_of_labels(label_names: Iterable[str]) -> list[str]:
    """Return the names of labels; refuse a set, which has no order, and a string."""
    refuse_set("label_names", label_names)
    if isinstance(label_names, str):
        raise UsageError(f"label_names is {label_names!r}; pass a list with one name per label")
    return list(label_names)


def _parents(parents: Any) -> dict[str, str | None]:
    """Return label -> parent, None for what pandas and JSON have for no parent."""
    if hasattr(type(parents), "iloc") and getattr(parents, "ndim", 0) == 1:
        if not parents.index.is_unique:
            twice = parents.index[parents.index.duplicated()][0]
            raise UsageError(f"parents has {twice!r} twice; pass one parent per label")
        parents = dict(parents.items())
    if not isinstance(parents, Mapping):
        raise UsageError(
            f"parents is a {type(parents).__name__}; pass a mapping from a label to the label or group above it"
        )
    found = {label: None if _is_missing(parent) else parent for label, parent in parents.items()}
    for label, parent in found.items():
        if parent == "" or not isinstance(parent, Hashable):
            raise UsageError(
                f"the parent of {label!r} is {parent!r}; pass the name of a label or group, or None for none"
            )
    return found


def _is_missing(value: Any) -> bool:
    """Return whether a value is None or NaN, or NA or NaT of pandas, which is optional."""
    is_nan = isinstance(value, float | np.floating) and np.isnan(value)
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def subsumption_hierarchy(
    labels: NDArray[np.bool], label_names: Iterable[str], threshold: float = 0.8, min_count: int = 5
) -> Hierarchy:
    """Return the hierarchy that the training labels suggest. It is made here: no corpus has it.

    Label x stands above y if P(x | y) is at least ``threshold`` and above P(y | x), as in Sanderson and Croft,
    "Deriving concept hierarchies from text", SIGIR 1999, who do so with words. Of several such labels the rarest is the
    parent.

    Args:
        labels: (n_documents, n_labels), 0 or 1, of the training split.
        label_names: one per column.
        threshold: the share of the documents of y that must carry x.
        min_count: labels with fewer documents get no parent.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.relations import subsumption_hierarchy
        >>> labels = np.array([[1, 1]] * 5 + [[1, 0]] * 3)
        >>> subsumption_hierarchy(labels, ["grain", "wheat"]).parents
        (-1, 0)
    """
    check_number("threshold", threshold, 0, 1)
    check_number("min_count", min_count, 1, integer=True)
    names = names_of_labels(label_names)
    check_label_order({"labels": labels, "label_names": names})
    carried = check_labels(labels).astype(np.int64)
    if carried.shape[1] != len(names):
        raise UsageError(
            f"labels has {carried.shape[1]} columns for {len(names)} label_names; pass one name per column"
        )
    in_float = carried.astype(np.float64)  # counts stay exact, and numpy multiplies integers without a library
    both = (in_float.T @ in_float).astype(np.int64)
    counts = both.diagonal()
    parents: dict[str, str | None] = {}
    for child in np.flatnonzero(counts >= min_count):
        # P(y | x) < P(x | y) holds for every x that is more frequent than y and occurs with it.
        allowed = (both[child] >= threshold * counts[child]) & (counts > counts[child]) & (both[child] > 0)
        if allowed.any():
            candidates = np.flatnonzero(allowed)
            parents[names[child]] = names[candidates[np.argmin(counts[candidates])]]
    source = f"ours: parents by subsumption at {threshold:g}, from {len(carried):,} training documents"
    return Hierarchy.from_parents(names, parents, source)
