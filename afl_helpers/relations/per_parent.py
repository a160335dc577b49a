"""One model per parent of a hierarchy, from the top down.

HDLTex++ ([14]; the code SanneLin/HDLTex_plus_plus was read), after HDLTex (Kowsari et al., ICMLA 2017). A slip of that
code is not repeated: there the third level is decided by the scores of the second. Its own rival is a hierarchy of
linear SVMs.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from afl_helpers.augment.base import check_number, is_sparse
from afl_helpers.relations.base import (
    Model,
    Relation,
    RelationInfo,
    Takes,
    check_hierarchy,
    check_seed,
    in_place,
    width_of,
)
from afl_helpers.relations.hierarchy import ROOT, Hierarchy


@dataclass(kw_only=True, eq=False)
class PerParent(Relation):
    """Train, for each parent, logistic heads that tell its children apart; a score is the product down the path.

    The heads of the top level see all documents, those of a parent only the documents that carry it or a label below
    it. The two classes of each head have equal weight in its loss ("balanced"), as in HDLTex++. The only child of a
    parent gets no head: it has its parent's score. A head whose documents are all of one class gives their smoothed
    share.

    Dense features are standardized with the training split's mean and standard deviation. Nothing is drawn at random,
    except for the control.

    Args:
        C: scikit-learn's inverse strength of regularization.
        hierarchy: of the labels, in the order of the columns of Y. None is one without edges: one balanced head per
            label.
        shuffle_seed: the control. A seed puts the labels at random places of the hierarchy; None leaves them.
    """

    C: float = 1.0
    hierarchy: Hierarchy | None = None
    shuffle_seed: int | None = None

    takes: ClassVar[Takes] = "features"

    def _check(self) -> None:
        check_number("C", self.C, 1e-9, infinite=True)  # inf is scikit-learn's for no regularization
        check_hierarchy(self.hierarchy)
        check_seed(self.shuffle_seed)

    def _fit(self, X: Any, labels: NDArray[np.bool], rng: np.random.Generator) -> Model:
        tree = in_place(self.hierarchy, labels.shape[1], self.shuffle_seed)
        model = PathModel(tree, X)
        features = model.features(X)
        targets, under = tree.node_labels(labels), tree.under(labels)
        for parent in (ROOT, *range(len(tree.names))):
            children = tree.children(parent)
            if parent != ROOT and len(children) == 1:
                continue
            rows = np.arange(len(labels)) if parent == ROOT else np.flatnonzero(under[:, parent])
            for child in children:
                model.set_head(child, features[rows], targets[rows, child], self.C)
        return model


class PathModel(Model):
    """The heads of all nodes.

    Attributes:
        weights: (n_nodes, n_features).
        bias: (n_nodes,); infinite for the only child of a parent.
    """

    def __init__(self, tree: Hierarchy, X: Any) -> None:
        super().__init__("features", tree.n_labels, width_of(X))
        self._tree, self._mean, self._scale = tree, None, None
        if not is_sparse(X):
            dense = _dense(X)
            scale = dense.std(axis=0)
            self._mean, self._scale = dense.mean(axis=0), np.where(scale > 1e-6 * np.abs(dense).max(axis=0), scale, 1.0)
        self.weights = np.zeros((len(tree.names), width_of(X)))
        self.bias = np.full(len(tree.names), np.inf)

    def features(self, X: Any) -> Any:
        """Return the features that the heads see."""
        return X if self._mean is None else (_dense(X) - self._mean) / self._scale

    def set_head(self, node: int, features: Any, target: NDArray[np.bool], C: float) -> None:
        """Train the head of a node on the documents that it sees."""
        n, positives = len(target), int(target.sum())
        if positives in (0, n):
            self.bias[node] = np.log((positives + 0.5) / (n - positives + 0.5))
            return
        from sklearn.linear_model import LogisticRegression  # here, because it takes a second

        head = LogisticRegression(C=C, class_weight="balanced", max_iter=2000).fit(features, target)
        self.weights[node], self.bias[node] = head.coef_[0], head.intercept_[0]

    def _scores(self, X: Any) -> NDArray[np.float64]:
        scores = expit(self.features(X) @ self.weights.T + self.bias)
        for node in np.argsort(self._tree.levels, kind="stable").tolist():
            if (parent := self._tree.parents[node]) != ROOT:
                scores[:, node] *= scores[:, parent]
        return scores[:, : self.n_labels]


def _dense(X: Any) -> NDArray[np.float64]:
    """Return dense features, or the mean of the token states of each document, in float64."""
    return (
        np.stack([x.mean(axis=0, dtype=float) for x in X]) if isinstance(X, list) else np.asarray(X, dtype=np.float64)
    )


ENTRIES = {
    "balanced_head": RelationInfo(
        title="One balanced logistic head per label",
        build=PerParent,
        source="logistic regression with balanced classes",
        grade="textbook",
        differs="",
        tuned="C",
        values=(0.01, 0.1, 1, 10),
        fixed={"hierarchy": None},
    ),
    "per_parent": RelationInfo(
        title="One model per parent, from the top down",
        build=PerParent,
        source="HDLTex++",
        grade="code read",
        differs="logistic heads on given features, where HDLTex++ trains a network on the text per parent; a score is "
        "the product down the path, where HDLTex++ decides level by level at .6",
        tuned="C",
        values=(0.01, 0.1, 1, 10),
        neutral={"hierarchy": None},
        baseline="balanced_head",
        cited="[14]",
    ),
}
