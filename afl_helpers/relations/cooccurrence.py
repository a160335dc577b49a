"""Re-ranking by co-occurrence, without training.

It keeps one idea of LabelCoRank ([13], code 821code/LabelCoRank): the labels that co-occur with the highest-ranked ones
are looked at again. There they join the queries of a second network; that stage is
:class:`~afl_helpers.relations.label_attention.LabelAttention`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from afl_helpers.augment.base import check_number
from afl_helpers.relations.base import Model, Relation, RelationInfo, Takes, check_seed


@dataclass(kw_only=True, eq=False)
class CooccurrenceReranking(Relation):
    """Raise the labels that occur with a document's highest-ranked labels more often than elsewhere. Our construction.

    The new logit of label c is ``logit(p_c) + beta sum_j p_j (P(c | j) - P(c))``, with j over the k labels with the
    highest scores p_j, without c itself. ``P(c | j)`` is ``(n_cj + shrinkage P(c)) / (n_j + shrinkage)``, from counts
    of the training split: what is known of a rare j from few documents counts for little, and independent labels change
    nothing.

    Args:
        beta: the strength; 0 returns the scores as they are.
        top_k: k.
        shrinkage: documents of prior belief that j does not change the share of c.
        shuffle_seed: the control. A seed gives each label the co-occurrences of another label; None leaves them.
    """

    beta: float = 1.0
    top_k: int = 5
    shrinkage: float = 5.0
    shuffle_seed: int | None = None

    takes: ClassVar[Takes] = "scores"

    def _check(self) -> None:
        check_number("beta", self.beta, 0)
        check_number("top_k", self.top_k, 1, integer=True)
        check_number("shrinkage", self.shrinkage, 0)
        check_seed(self.shuffle_seed)

    def _fit(self, X: Any, labels: NDArray[np.bool], rng: np.random.Generator) -> Model:
        lift = cooccurrence_lift(labels, self.shrinkage)
        if self.shuffle_seed is not None:
            order = np.random.default_rng(self.shuffle_seed).permutation(len(lift))
            lift = lift[np.ix_(order, order)]
        return Reranking(lift, self.beta, self.top_k)


class Reranking(Model):
    """The fitted re-ranking.

    Attributes:
        lift: (n_labels, n_labels); row j has P(c | j) - P(c) of each label c, and 0 for c = j.
    """

    def __init__(self, lift: NDArray[np.float64], beta: float, top_k: int) -> None:
        super().__init__("scores", len(lift), len(lift))
        self.lift, self.beta, self.top_k = lift, beta, top_k

    def _scores(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.beta == 0:
            return X.copy()
        top = np.argsort(-X, axis=1, kind="stable")[:, : self.top_k]
        weights = np.zeros_like(X)
        np.put_along_axis(weights, top, np.take_along_axis(X, top, axis=1), axis=1)
        moved: NDArray[np.float64] = expit(logit(X) + self.beta * (weights @ self.lift))
        return moved


def cooccurrence_lift(labels: NDArray[np.bool], shrinkage: float) -> NDArray[np.float64]:
    """Return P(c | j) - P(c) in row j and column c, 0 for c = j; see :class:`CooccurrenceReranking`.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.relations.cooccurrence import cooccurrence_lift
        >>> labels = np.array([[1, 1], [1, 0], [0, 0], [0, 0]], dtype=bool)
        >>> cooccurrence_lift(labels, 0).tolist()  # P(1 | 0) = 1/2 and P(1) = 1/4; P(0 | 1) = 1 and P(0) = 1/2
        [[0.0, 0.25], [0.5, 0.0]]
    """
    carried = labels.astype(np.float64)
    both, shares = carried.T @ carried, carried.mean(axis=0)
    counts = both.diagonal()[:, None]
    given = np.divide(
        both + shrinkage * shares, counts + shrinkage, out=np.tile(shares, (len(both), 1)), where=counts > 0
    )
    lift: NDArray[np.float64] = given - shares
    np.fill_diagonal(lift, 0.0)
    return lift


ENTRIES = {
    "cooccurrence_reranking": RelationInfo(
        title="Re-ranking by co-occurrence, without training",
        build=CooccurrenceReranking,
        source="LabelCoRank",
        grade="code read",
        differs="scores are moved by the co-occurrences themselves, and no second network is trained",
        tuned="beta",
        values=(0.25, 0.5, 1, 2),
        neutral={"beta": 0},
        baseline="scores",
        is_ours=True,
        cited="[13]",
    ),
}
