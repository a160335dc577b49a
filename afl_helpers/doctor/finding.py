"""A finding, and the words that several checks share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from afl_helpers.data.columns import shown

#: "fix": the data say something that they should not say. "check": it may be meant, or limits what can be learnt. "note": a
#: fact that is good to know.
Severity = Literal["fix", "check", "note"]
SEVERITIES: tuple[Severity, ...] = ("fix", "check", "note")


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do.

    Attributes:
        kind: a short name of the check, such as ``"repeated_texts"``.
        severity: "fix", "check" or "note".
        sentence: what was found.
        advice: what to do about it; empty for most notes.
        examples: a few of the labels or texts concerned.
        share: the share of the documents or labels concerned, from 0 to 1. Of equally severe findings, the one with the
            largest share comes first.
    """

    kind: str
    severity: Severity
    sentence: str
    advice: str = ""
    examples: tuple[str, ...] = ()
    share: float = 0.0


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings by severity, then by share."""
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), -finding.share))


def number(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun.

    Example:
        >>> from afl_helpers.doctor.finding import number
        >>> number(1, "label"), number(1200, "label"), number(2, "text differs", "texts differ")
        ('1 label', '1,200 labels', '2 texts differ')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """Return a share in per cent, so that a small one is not shown as none."""
    if 0 < share < 0.01:
        return "less than 1 %"
    return f"{100 * share:.0f} %"


def excerpt(text: str, limit: int = 70) -> str:
    """Return a text on one line, cut to the limit."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def named(labels: Sequence[str], counts: Iterable[int] | None = None, limit: int = 5) -> tuple[str, ...]:
    """Return the first labels as examples, each with its count."""
    cut = [repr(shown(label)) for label in labels[:limit]]
    if counts is not None:
        cut = [f"{label} ({count:,})" for label, count in zip(cut, counts)]
    more = len(labels) - len(cut)
    return (*cut, *([f"and {more:,} more"] if more else []))
