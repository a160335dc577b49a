"""What the studies say about thresholds and rules, from a table that a tool computes from their recorded runs.

``evidence.json`` is made by ``tools/make_doctor_evidence.py``, which says how.
"""

import json
from functools import cache
from importlib.resources import files
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Survival(TypedDict):
    """What is left on test of the F1 that tuning promised, for labels with at least so many validation positives."""

    validation_positives_from: int
    labels: int
    f1_validation: float
    f1_test: float


class LossEvidence(TypedDict):
    """How many comparisons of another loss with cross-entropy there are, and how many are in its favour."""

    comparisons: int
    above: int
    margin: float


class Evidence(TypedDict):
    """The content of ``evidence.json``; ``rules`` is corpus -> rule -> metric -> mean over blocks, on test."""

    source: str
    survival: list[Survival]
    rules: dict[str, dict[str, dict[str, float]]]
    loss: LossEvidence


@cache
def evidence() -> Evidence:
    """Return the recorded evidence."""
    content: Evidence = json.loads((files("afl_helpers.doctor") / "evidence.json").read_text(encoding="utf-8"))
    return content


def kept_share(validation_positives: ArrayLike) -> NDArray[np.float64]:
    """Return what share of the F1 that tuning a threshold per label promises is left on test.

    Args:
        validation_positives: the number of validation documents with each label, of any shape.

    Returns:
        float64 of the same shape; NaN for a label without a validation document, which cannot be tuned.

    Example:
        >>> from afl_helpers.doctor.evidence import kept_share
        >>> kept_share([2, 200]).round(2).tolist()
        [0.65, 0.99]
    """
    rows = evidence()["survival"]
    ratios = [row["f1_test"] / row["f1_validation"] for row in rows]
    least = [row["validation_positives_from"] for row in rows]
    place = np.searchsorted(least, np.asarray(validation_positives, dtype=np.float64), side="right")
    return np.array([np.nan, *ratios])[place]


def gains_of(rule: str, against: str, metric: str) -> dict[str, float]:
    """Return corpus -> how much higher the metric is under a rule than under another one, for binary cross-entropy."""
    return {corpus: rules[rule][metric] - rules[against][metric] for corpus, rules in evidence()["rules"].items()}
