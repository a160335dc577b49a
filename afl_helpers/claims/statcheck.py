"""Which averages can have produced a printed precision, recall, F1 and ROC AUC: interval arithmetic on any paper's values.

A reading is excluded only if no table of decisions has the printed values under it. So "possible" means "not excluded".

micro
    F1 = 2PR/(P + R). With t false positives per positive, P = R/(R + t), and each printed range is linear in (R, t): the
    values form a polygon, as in :func:`~afl_helpers.claims.reported.implied`.
macro, F1 of the means
    The same formula, of the mean precision and the mean recall over labels.
macro, mean of the F1s
    F1 = 2pr/(p + r) of one label is concave and grows with both. So its mean is at most the F1 of the means. It is least if
    the precisions and recalls of the labels are 0 or 1 and meet as rarely as possible; with L labels, one precision and one
    recall may lie between.

The ROC AUC of decisions is (recall + 1 - false positive rate)/2. That of scores belongs to a curve through the point of the
decisions (x, R), with x the false positive rate: it is at least R (1 - x) and at most 1 - x (1 - R). For pooled (micro) scores
this takes one threshold for all labels. A mean over labels (macro) of AUCs of scores has no limit from the other values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import floor

import numpy as np
from numpy.typing import NDArray

from afl_helpers.claims.reported import ReportedValue, _corners, _density_range, _f1_constraints, reported_range
from afl_helpers.errors import UsageError

#: How precision, recall and F1 may have been averaged.
AVERAGES = ("micro", "macro, mean of the F1s", "macro, F1 of the means")
#: What the ROC AUC, averaged in the same way, may have been computed from.
AUC_SOURCES = ("scores", "decisions")

#: Values that differ by less are taken as equal; two lines whose determinant is smaller, as parallel; a curvature, as none.
TOLERANCE, PARALLEL, FLAT = 1e-9, 1e-14, 1e-12
#: False positives per positive, more than any table of interest has: the limit where no printed value sets one.
MANY = 1e6

Range = tuple[float, float]
_Bilinear = Callable[[float, float], float]


@dataclass(frozen=True)
class ReadingCheck:
    """Say whether printed values can belong together under one reading.

    Args:
        average: how precision, recall and F1 were averaged, of :data:`AVERAGES`.
        auc_of: what the AUC was computed from, of :data:`AUC_SOURCES`; None if no AUC is printed.
        f1: (lowest, highest) F1 that precision and recall allow.
        auc: (lowest, highest) AUC that the other values allow; None if no AUC is printed or the F1 is impossible.
        reason: why the reading is excluded; empty if it is possible.

    Example:
        >>> from afl_helpers.claims import check_readings
        >>> print(check_readings(precision="0.60", recall="0.40", f1="0.52")[0])
        excluded: micro (precision and recall allow an F1 from 0.4748 to 0.4852)
    """

    average: str
    auc_of: str | None
    f1: Range
    auc: Range | None
    reason: str

    @property
    def possible(self) -> bool:
        """Whether the values can belong together."""
        return not self.reason

    @property
    def title(self) -> str:
        """The reading in words."""
        return self.average if self.auc_of is None else f"{self.average}; AUC of {self.auc_of}"

    def __str__(self) -> str:
        if not self.possible:
            return f"excluded: {self.title} ({self.reason})"
        limits = {"F1": self.f1} | ({} if self.auc is None else {"AUC": self.auc})
        allowed = " and an ".join(f"{name} from {low:.4f} to {high:.4f}" for name, (low, high) in limits.items())
        return f"possible: {self.title} (the other values allow an {allowed})"


def check_readings(
    precision: ReportedValue | None = None,
    recall: ReportedValue | None = None,
    f1: ReportedValue | None = None,
    auc: ReportedValue | None = None,
    n_labels: int | None = None,
    density: float | tuple[float, float] | None = None,
) -> list[ReadingCheck]:
    """Check under which readings printed values of a multi-label classifier can belong together.

    Args:
        precision, recall, f1, auc: as in :func:`~afl_helpers.claims.reported_range`; best as text, which carries its
            rounding. None if the paper does not print it.
        n_labels: number of labels; only the mean of the labels' F1s depends on it. None allows any number.
        density: share of the label entries that are positive, a number or (lowest, highest): labels per document over
            number of labels. Only micro AUCs depend on it. None allows any.

    Returns:
        One check per reading: each of :data:`AVERAGES`, with each of :data:`AUC_SOURCES` if an AUC is printed.

    Raises:
        UsageError: fewer than two values; a value that is not a share; a density or number of labels out of range.

    Example:
        >>> from afl_helpers.claims import check_readings
        >>> for check in check_readings(recall="0.5282", f1="0.50", auc="0.79", density=(0.008, 0.2)):  # adaptive focal loss
        ...     print(check.possible, check.title)
        True micro; AUC of scores
        False micro; AUC of decisions
        True macro, mean of the F1s; AUC of scores
        False macro, mean of the F1s; AUC of decisions
        True macro, F1 of the means; AUC of scores
        False macro, F1 of the means; AUC of decisions
    """
    given = {"precision": precision, "recall": recall, "f1": f1, "auc": auc}
    if sum(value is not None for value in given.values()) < 2:
        raise UsageError("fewer than two values are given; pass two of precision, recall, f1 and auc, or more")
    if n_labels is not None and (isinstance(n_labels, bool) or not isinstance(n_labels, int) or n_labels < 1):
        raise UsageError(f"n_labels is {n_labels!r}; pass the number of labels, a whole number from 1")
    ranges = {name: (0.0, 1.0) if value is None else reported_range(value) for name, value in given.items()}
    ratio = None if density is None else _density_range(density)
    checks = []
    for average in AVERAGES:
        for auc_of in AUC_SOURCES if auc is not None else (None,):
            checks.append(_check(average, auc_of, ranges, n_labels, ratio))
    return checks


def _check(
    average: str, auc_of: str | None, ranges: dict[str, Range], n_labels: int | None, ratio: Range | None
) -> ReadingCheck:
    precision, recall, f1 = ranges["precision"], ranges["recall"], ranges["f1"]
    mean_of_f1s = average == AVERAGES[1]
    lowest = least_mean_f1(precision[0], recall[0], n_labels) if mean_of_f1s else _f1(precision[0], recall[0])
    allowed = lowest, _f1(precision[1], recall[1])
    if not _meet(f1, allowed):
        reason = "precision and recall allow an F1 from {:.4f} to {:.4f}".format(*allowed)
        return ReadingCheck(average, auc_of, allowed, None, reason)
    if auc_of is None:
        return ReadingCheck(average, auc_of, allowed, None, "")
    if mean_of_f1s:
        region = None
        recalls = _recalls_of_mean_f1(precision, recall, f1)
    else:
        region = _region(precision, recall, f1)
        recalls = _extremes(_corners(region), lambda r, t: r) or recall
    auc = _auc_range(auc_of, region if average == "micro" else None, recalls, ratio)
    reason = "" if _meet(ranges["auc"], auc) else "the other values allow an AUC from {:.4f} to {:.4f}".format(*auc)
    return ReadingCheck(average, auc_of, allowed, auc, reason)


def _meet(first: Range, second: Range) -> bool:
    return first[0] <= second[1] + TOLERANCE and second[0] <= first[1] + TOLERANCE


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def least_mean_f1(precision: float, recall: float, n_labels: int | None = None) -> float:
    """Return the infimum of the mean F1 of labels whose mean precision and mean recall are given.

    The mean F1 is concave in the precisions and recalls, so it is least at an extreme point of those with the given means:
    all are 0 or 1 but for one precision and one recall.

    Args:
        precision, recall: means over the labels.
        n_labels: number of labels; None is the limit of ever more.

    Example:
        >>> from afl_helpers.claims.statcheck import least_mean_f1
        >>> least_mean_f1(0.5, 0.5, n_labels=2)  # one label is never found, the other always wrong
        0.0
        >>> least_mean_f1(0.5, 0.5, n_labels=1), round(least_mean_f1(0.75, 0.5), 2)
        (0.5, 0.25)
    """
    if n_labels is None:
        return max(0.0, precision + recall - 1)
    # Whole labels with precision or recall 1, and the rest of one label each. Sums that miss a whole number by rounding are it.
    whole_p, rest_p = _whole(precision, n_labels)
    whole_r, rest_r = _whole(recall, n_labels)

    def meeting(ones_p: int, ones_r: int, labels: int) -> float:
        """Return how many labels have both at 1, at least; infinite if there are fewer labels than that."""
        if min(ones_p, ones_r) < 0 or max(ones_p, ones_r) > labels:
            return float("inf")
        return max(0, ones_p + ones_r - labels)

    # The two rests in one label, or each in a label whose other value is 0 or 1.
    totals = [_f1(rest_p, rest_r) + meeting(whole_p, whole_r, n_labels - 1)]
    for beside_p in (0, 1):
        for beside_r in (0, 1):
            common = meeting(whole_p - beside_r, whole_r - beside_p, n_labels - 2)
            totals.append(_f1(rest_p, beside_p) + _f1(beside_r, rest_r) + common)
    return min(totals) / n_labels


def _whole(mean: float, n_labels: int) -> tuple[int, float]:
    whole = min(floor(mean * n_labels + TOLERANCE), n_labels - 1)
    return whole, max(mean * n_labels - whole, 0.0)


def _recalls_of_mean_f1(precision: Range, recall: Range, f1: Range) -> Range:
    """Return the mean recalls at which a mean F1 in the range is possible, for ever more labels."""
    low, high = recall[0], min(recall[1], 1 + f1[1] - precision[0])
    if f1[0] > 0:  # the F1 of the means must reach it
        low = max(low, f1[0] * precision[1] / (2 * precision[1] - f1[0])) if 2 * precision[1] > f1[0] else high
    return min(low, high), high


def _region(precision: Range, recall: Range, f1: Range) -> list[tuple[float, float, float]]:
    """Return the constraints a R + b t <= c on recall and false positives per positive."""
    constraints = [(-1.0, 0.0, -recall[0]), (1.0, 0.0, recall[1]), (0.0, -1.0, 0.0)]
    constraints += [(precision[0] - 1, precision[0], 0.0)]
    if precision[1] < 1:
        constraints += [(1 - precision[1], -precision[1], 0.0)]
    # Without a bound on F1 or precision, false positives have none; so many make any false positive rate 1.
    constraints += _f1_constraints(*f1) if f1[0] > 0 else [(2 - f1[1], -f1[1], f1[1]), (0.0, 1.0, MANY)]
    return constraints


def _auc_range(
    auc_of: str, region: list[tuple[float, float, float]] | None, recalls: Range, ratio: Range | None
) -> Range:
    """Return the AUCs that a reading allows; ``region`` None is a mean over labels."""
    if region is None or ratio is None:  # the false positive rate can be anything
        return (recalls[0] / 2, (1 + recalls[1]) / 2) if auc_of == "decisions" else (0.0, 1.0)
    k_low, k_high = ratio
    few = _corners([*region, (0.0, k_high, 1.0)])  # the false positive rate k t is at most 1
    all_corners = _corners([*region, (0.0, k_low, 1.0)])
    many = _corners([*region, (0.0, -k_high, -1.0)]) if k_high > 0 else all_corners[:0]
    if auc_of == "decisions":
        highest = _extremes(all_corners, lambda r, t: (1 + r - k_low * t) / 2)
        lowest = [
            _extremes(few, lambda r, t: (1 + r - k_high * t) / 2),
            _extremes(many, lambda r, t: r / 2),
        ]
    else:
        highest = _extremes(all_corners, lambda r, t: 1 - k_low * t * (1 - r))
        lowest = [_extremes(few, lambda r, t: r * (1 - k_high * t)), (0.0, 0.0) if len(many) else None]
    found = [one[0] for one in lowest if one]
    if not highest or not found:  # no table has these values: rounding at the very edge of the region
        return recalls[0] / 2, (1 + recalls[1]) / 2
    return max(min(found), 0.0), min(highest[1], 1.0)


def _extremes(corners: NDArray[np.float64], function: _Bilinear) -> Range | None:
    """Return the least and largest value of a bilinear function on a polygon; None if it is empty.

    The function is linear or a saddle, so both lie on the boundary, where it is quadratic along each side. Segments between
    any two corners include the sides and lie inside.
    """
    points = [(float(r), float(t)) for r, t in corners]
    values = [function(*point) for point in points]
    for (r0, t0), (r1, t1) in combinations(points, 2):
        start, half, end = function(r0, t0), function((r0 + r1) / 2, (t0 + t1) / 2), function(r1, t1)
        curve = 2 * (start + end - 2 * half)
        if abs(curve) > FLAT:
            at = -(end - start - curve) / (2 * curve)
            if 0 < at < 1:
                values.append(function(r0 + at * (r1 - r0), t0 + at * (t1 - t0)))
    return (min(values), max(values)) if values else None
