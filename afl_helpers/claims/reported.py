"""The values that the paper reports, and what follows from them by arithmetic alone.

This module exceeds 300 lines because half of it is the documentation of the arithmetic.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np
import pandas as pd

from afl_helpers.errors import UsageError

#: What the paper reports in the text of its section V (its tables are pictures), digit by digit: setting -> values.
#: Section VII writes adaptive focal loss's F1 as "0.50", the abstract its micro recall as "0.53".
REPORTED = {
    "bce": {"f1": "0.4707", "roc_auc": "0.7118"},
    "focal-2.0": {"f1": "0.4923", "roc_auc": "0.7649"},
    "focal-2.5": {"f1": "0.4692", "roc_auc": "0.7088"},
    "afl": {"f1": "0.5", "roc_auc": "0.79", "recall_micro": "0.5282"},
}

#: The same as numbers.
REPORTED_VALUES = {
    setting: {name: float(text) for name, text in values.items()} for setting, values in REPORTED.items()
}

#: How the paper's ROC AUC may have been computed: of decisions with one of four averages, or of scores.
READINGS = ("micro decisions", "weighted decisions", "macro decisions", "sample decisions", "scores")


ReportedValue = str | Decimal | float | tuple[float, float]


#: More are never printed, and a float does not hold them.
_MOST_DIGITS = 15


def reported_range(value: ReportedValue, half_unit: float = 0.0) -> tuple[float, float]:
    """Return the range that a reported share was rounded from.

    Args:
        value: text or Decimal as reported, which carries its rounding ("0.5" is 0.45 to 0.55, "0.50" 0.495 to 0.505);
            or a number, rounded to within ``half_unit``; or (lowest, highest).
        half_unit: half a unit of the last digit of a number; 0 takes it as exact.

    Returns:
        (lowest, highest), cut to [0, 1].

    Raises:
        UsageError: the value is not a number, or not a share between 0 and 1.

    Example:
        >>> from afl_helpers.claims import reported_range
        >>> reported_range("0.5"), reported_range("0.50")
        ((0.45, 0.55), (0.495, 0.505))
        >>> reported_range(0.5, half_unit=0.25)
        (0.25, 0.75)
    """
    if isinstance(value, tuple):
        low, high = value
    else:
        try:
            number = Decimal(value) if isinstance(value, str) else value
            if isinstance(number, Decimal):
                low, high = _rounding(number)
            else:
                low, high = float(number - half_unit), float(number + half_unit)
        except (InvalidOperation, TypeError):
            raise UsageError(f"{value!r} is not a number; write a reported value as text, such as '0.4707'") from None
    if not (low <= high and high >= 0 and low <= 1):
        raise UsageError(f"{value!r} is not a share between 0 and 1")
    return max(low, 0.0), min(high, 1.0)


def _rounding(number: Decimal) -> tuple[float, float]:
    """The numbers that round to this one."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):  # "NaN" and "Infinity" parse too
        raise TypeError
    if len(number.as_tuple().digits) > _MOST_DIGITS:
        raise UsageError(f"'{number}' has more than {_MOST_DIGITS} digits; write it as the paper prints it")
    half_unit = Decimal(1).scaleb(exponent) / 2
    return float(number - half_unit), float(number + half_unit)


@dataclass(frozen=True)
class Implied:
    """The micro recall and precision that a reported pair allows, each (lowest, highest); both None if impossible.

    Both are shares in [0, 1]. :func:`implied` returns it.

    Example:
        >>> from afl_helpers.claims import Implied
        >>> print(Implied(recall=(0.5, 0.6), precision=(0.4, 0.5)))
        recall 0.5000 to 0.6000, precision 0.4000 to 0.5000
        >>> Implied(None, None).possible
        False
    """

    recall: tuple[float, float] | None
    precision: tuple[float, float] | None

    @property
    def possible(self) -> bool:
        """Whether any confusion table has the reported pair."""
        return self.recall is not None

    def __str__(self) -> str:
        if self.recall is None or self.precision is None:
            return "impossible"
        return "recall {:.4f} to {:.4f}, precision {:.4f} to {:.4f}".format(*self.recall, *self.precision)


def _density_range(density: float | tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest k = d/(1 - d), positives per negative."""
    low, high = density if isinstance(density, tuple) else (density, density)
    if not 0 <= low <= high < 1:
        raise UsageError(
            f"density is {density}; pass the share of label entries that are positive, at least 0, below 1"
        )
    return low / (1 - low), high / (1 - high)


def _corners(constraints: Iterable[tuple[float, float, float]]) -> np.ndarray:
    """Corners (x, y) of the polygon in which a x + b y <= c for every (a, b, c); (0, 2) if it is empty."""
    a, b, c = np.array(list(constraints), dtype=float).T
    first, second = np.triu_indices(len(a), 1)
    determinant = a[first] * b[second] - a[second] * b[first]
    crossing = np.abs(determinant) > 1e-14
    first, second, determinant = first[crossing], second[crossing], determinant[crossing]
    x = (c[first] * b[second] - c[second] * b[first]) / determinant
    y = (a[first] * c[second] - a[second] * c[first]) / determinant
    terms = np.stack([np.outer(x, a), np.outer(y, b)])
    inside = (terms.sum(0) <= c + 1e-9 * (1 + np.abs(terms).sum(0))).all(1)
    return np.column_stack([x, y])[inside]


def _f1_constraints(low: float, high: float) -> list[tuple[float, float, float]]:
    """F1 = 2R/(R + 1 + t) within bounds, t being false positives per positive."""
    return [(low - 2, low, -low), (2 - high, -high, high)]


def implied(
    f1: ReportedValue, auc: ReportedValue, density: float | tuple[float, float], half_unit: float = 0.0
) -> Implied:
    """Return micro recall and precision if F1 is micro and the ROC AUC is that of micro decisions (section V).

    Then AUC = (recall + specificity)/2, and with k = d/(1 - d), recall = (2 AUC - 1 - k)/(1 - k (2/F1 - 1)) and
    precision = F1 recall/(2 recall - F1). The ranges are exact, over every value within the rounding and every density
    within its range at once. If t is the number of false positives per positive, each bound is linear in (recall, t), so
    the bounds form a polygon, and both recall and precision = recall/(recall + t) have their extremes at its corners.
    The polygon is empty if no confusion table has these values.

    Args:
        f1, auc: as in :func:`reported_range`.
        density: share d of the label entries that are positive, a number or (lowest, highest); 0 is the limit of ever
            more labels.
        half_unit: as in :func:`reported_range`, of values given as numbers.

    Returns:
        The ranges of recall and precision, both None if the pair is impossible. Precision is 0 if nothing is found.

    Raises:
        UsageError: a value is not a share, or a density is not in [0, 1).

    Example:
        >>> from afl_helpers.claims import implied
        >>> print(implied(f1=0.5, auc=0.75, density=0))  # recall = 2 AUC - 1
        recall 0.5000 to 0.5000, precision 0.5000 to 0.5000
        >>> print(implied(f1=0.8, auc=0.75, density=0))  # a recall of 0.5 allows an F1 of at most 2/3
        impossible
    """
    f1_low, f1_high = reported_range(f1, half_unit)
    lowest, highest = (2 * value - 1 for value in reported_range(auc, half_unit))
    k_low, k_high = _density_range(density)
    corners = _corners(
        [
            *_f1_constraints(f1_low, f1_high),
            (-1, 0, 0),
            (1, 0, min(1, 1 + highest)),
            (0, -1, 0),
            (0, k_low, 1),
            (-1, k_low, -lowest),
            (1, -k_high, highest),
        ]
    )
    if not len(corners):
        return Implied(None, None)
    recall, per_positive = np.clip(corners[:, 0], 0, 1), np.maximum(corners[:, 1], 0)
    precision = np.divide(recall, recall + per_positive, out=np.zeros_like(recall), where=recall > 1e-12)
    # With neither value bounding them, false positives can be any number.
    least = 0.0 if k_low == f1_low == 0 else float(precision.min())
    return Implied((float(recall.min()), float(recall.max())), (least, float(precision.max())))


def max_auc(
    recall: ReportedValue,
    f1: ReportedValue | None = None,
    density: float | tuple[float, float] | None = None,
    half_unit: float = 0.0,
) -> float:
    """Return the largest ROC AUC of micro decisions that a micro recall allows.

    It is (1 + recall)/2, or less if F1 and density are given.

    The support-weighted mean of the labels' AUCs has the first limit too, however F1 is averaged: its recall part is the
    support-weighted mean of the labels' recalls, which is the micro recall, and no specificity exceeds 1. The means
    over labels (macro) and over documents (samples) have no such limit; neither does the AUC of scores.

    Args:
        recall, f1: micro averages, as in :func:`reported_range`.
        density: share of the label entries that are positive, a number or (lowest, highest); no limit without ``f1``.
        half_unit: as in :func:`reported_range`.

    Returns:
        The limit, at the ends of the ranges that favour the paper most.

    Raises:
        UsageError: the F1 is impossible at this recall, or an argument is out of range.

    Example:
        >>> from afl_helpers.claims import max_auc
        >>> max_auc(0.5)
        0.75
        >>> round(max_auc("0.5282"), 4)  # the paper reports an AUC of 0.79 with this recall
        0.7641
    """
    low, high = reported_range(recall, half_unit)
    k = 0.0 if density is None else _density_range(density)[0]
    constraints: list[tuple[float, float, float]] = [(-1, 0, -low), (1, 0, high), (0, -1, 0), (0, k, 1)]
    if f1 is not None:
        constraints += _f1_constraints(*reported_range(f1, half_unit))
    corners = _corners(constraints)
    if not len(corners):
        raise UsageError(f"no confusion table has a recall of {recall} and an F1 of {f1}; F1 <= 2 recall/(1 + recall)")
    return float(((1 + corners[:, 0] - k * corners[:, 1]) / 2).max())


def consistency(
    reported: Mapping[str, Mapping[str, str]] = REPORTED, density: tuple[float, float] = (0.0, 0.2)
) -> pd.DataFrame:
    """Tabulate which of the paper's values (section V) fit together, under each reading of its ROC AUC.

    Args:
        reported: setting -> values as text, with the names of :data:`REPORTED`.
        density: range of the share of positive label entries, which the paper does not state. All 363 genres, at about 3
            per movie, give .008; the 20 most frequent give .108, the 10 most frequent .181 (all movies of the metadata).

    Returns:
        One row per check, with ``reading`` (of :data:`READINGS`), ``rows`` (settings), ``claims, check, numbers``,
        ``verdict`` ("consistent" or "contradiction"). "consistent" means that this check excludes nothing.

    Raises:
        UsageError: a value is not a share, or a density is not in [0, 1).

    Example:
        >>> from afl_helpers.claims import consistency
        >>> checks = consistency()
        >>> checks["verdict"].value_counts().to_dict()
        {'consistent': 8, 'contradiction': 4}
        >>> checks.loc[checks["verdict"] == "contradiction", "reading"].unique().tolist()
        ['micro decisions', 'weighted decisions']
    """
    value = {setting: {name: reported_range(text) for name, text in row.items()} for setting, row in reported.items()}
    recall, auc = value["afl"]["recall_micro"], value["afl"]["roc_auc"][0]
    needed = 2 * auc - 1
    other = 2 * value["focal-2.0"]["roc_auc"][0] - 1
    rows = []

    def add(reading: str, settings: str, claims: str, check: str, numbers: str, contradiction: bool = False) -> None:
        rows.append((reading, settings, claims, check, numbers, "contradiction" if contradiction else "consistent"))

    for reading in ("micro decisions", "weighted decisions"):
        cap = max_auc(recall)
        add(
            reading,
            "afl",
            "C4 C5 C13",
            "AUC <= (1 + micro recall)/2, whatever F1 averages",
            f"AFL's AUC is at least {auc:.5f}, its recall allows at most {cap:.5f}",
            auc > cap,
        )
        add(
            reading,
            "focal-2.0, afl",
            "C5",
            "AFL's micro recall is the highest",
            f"focal 2.0's AUC implies a recall of at least {other:.5f}, AFL's is at most {recall[1]:.5f}",
            other > recall[1],
        )
    for setting, row in reported.items():
        found = implied(row["f1"], row["roc_auc"], density)
        add(
            "micro decisions",
            setting,
            "",
            "F1, if micro, and AUC belong to one confusion table",
            f"{found} at densities from {density[0]:g} to {density[1]:g}",
            not found.possible,
        )
    densities = [at for at in np.linspace(*density, 201) if _highest_precision(reported, at, recall[0])]
    add(
        "micro decisions",
        "focal-2.5, focal-2.0, bce",
        "C6",
        "focal 2.5 has the highest precision of the three, the lowest recall, and less recall than AFL",
        f"the pairs imply it at densities from {min(densities):.3f} to {max(densities):.3f}"
        if densities
        else f"the pairs imply it at no density from {density[0]:g} to {density[1]:g}",
        not densities,
    )
    for reading, mean in (("macro decisions", "labels"), ("sample decisions", "documents")):
        add(
            reading,
            "afl",
            "C4 C5 C13",
            f"AUC <= (1 + mean recall over {mean})/2; micro recall sets no limit",
            f"AFL's mean recall over {mean} is at least {needed:.5f}, its micro recall at most {recall[1]:.5f}",
        )
    # A curve through (x, R) covers at most 1 - x (1 - R); the false positive rate x is largest at the lowest F1.
    per_positive = 2 * recall[0] / value["afl"]["f1"][0] - recall[0] - 1
    reachable = 1 - _density_range(density)[1] * per_positive * (1 - recall[0])
    add(
        "scores",
        "afl",
        "C4 C5 C13",
        "a ROC curve of scores that passes through AFL's micro recall",
        f"AFL's AUC is at least {auc:.5f}, such a curve can cover at least {reachable:.5f}",
        auc > reachable,
    )
    return pd.DataFrame(rows, columns=["reading", "rows", "claims", "check", "numbers", "verdict"])


def _highest_precision(reported: Mapping[str, Mapping[str, str]], density: float, recall: float) -> bool:
    """Whether the reported pairs imply claim C6 at a density, whatever the digits that rounding hides."""
    found = {
        name: implied(reported[name]["f1"], reported[name]["roc_auc"], density) for name in reported if name != "afl"
    }
    pairs = {name: (one.precision, one.recall) for name, one in found.items() if one.precision and one.recall}
    if len(pairs) < len(found):  # one is impossible
        return False
    precision, own_recall = pairs.pop("focal-2.5")
    return precision[0] > max(other[1] for other, _ in pairs.values()) and own_recall[1] < min(
        recall, *(other[0] for _, other in pairs.values())
    )
