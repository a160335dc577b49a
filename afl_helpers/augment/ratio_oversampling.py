"""Over-sampling in proportion to the imbalance ratio of each label.

After Bhattacharjee, Ghosh, Banerjee and Chatterjee, Springer LNNS, 2021, pages 239-249, of which the title and the list
of references alone were reachable: what stands here is our construction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afl_helpers.augment.base import AugmentationInfo, Augmented, Selection, check_number, passes
from afl_helpers.data.imbalance import imbalance_ratios, minority_labels


@dataclass(kw_only=True, eq=False)
class RatioOversampling(Selection):
    """Share a number of copies among the minority labels in proportion to their IRLbl. Our construction.

    A minority label has an IRLbl above MeanIR. ML-ROS gives each of them as many copies as every other, until it has
    enough; here the rarest label gets most. The copies of a label are spread evenly over its documents.

    Args:
        rate: documents to add, divided by the number of documents.
        max_copies: a label gets at most so many copies per document that carries it; what it does not get is left out.
    """

    rate: float = 0.25
    max_copies: int = 10

    def _check(self) -> None:
        check_number("rate", self.rate, 0)
        check_number("max_copies", self.max_copies, 1, integer=True)

    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        counts = labels.sum(axis=0)
        rare = np.flatnonzero(minority_labels(counts))
        if not len(rare):
            return data.positions
        shares = proportional_shares(imbalance_ratios(counts)[rare], round(self.rate * len(labels)))
        copies = [
            passes(np.flatnonzero(labels[:, label]), min(share, self.max_copies * int(counts[label])), rng)
            for label, share in zip(rare, shares.tolist())
        ]
        return np.concatenate([data.positions, *copies])


def proportional_shares(weights: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Divide ``n`` into whole shares in proportion to the weights, by the method of largest remainders.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.augment.ratio_oversampling import proportional_shares
        >>> proportional_shares(np.array([1.0, 2.0, 4.0]), 10).tolist()  # 1.43, 2.86 and 5.71
        [1, 3, 6]
    """
    exact = n * weights / weights.sum()
    shares = np.floor(exact).astype(np.int64)
    largest = np.argsort(shares - exact, kind="stable")[: n - int(shares.sum())]
    shares[largest] += 1
    return shares


ENTRIES = {
    "ratio_oversampling": AugmentationInfo(
        title="Copies in proportion to the imbalance ratio",
        build=RatioOversampling,
        source="Bhattacharjee et al., LNNS 2021",
        grade="title only",
        tuned="rate",
        values=(0.1, 0.25, 0.5),
        neutral={"rate": 0},
        cited="[18]",
    ),
}
