"""Verdicts and evidence in words."""

import pandas as pd

from afl_helpers.claims.definitions import endpoint_title
from afl_helpers.claims.evidence import Finding
from afl_helpers.results import deciding_interval

_OUTCOMES = {"holds": "it holds", "fails": "it fails", "undecided": "undecided"}


def decisive(finding: Finding, alternative: str | None = None) -> pd.Series:
    """Return the comparison that decides a finding: the one that fails most, or leads least."""
    if alternative is None:
        named = [name for name, outcome in finding.outcomes.items() if outcome == finding.outcome]
        rows = finding.rows[finding.rows["alternative"].isin(named)]
    else:
        rows = finding.rows[finding.rows["alternative"] == alternative]
    order = {"fails": 0, "undecided": 1, "holds": 2}
    key = rows["holds"].map(order)
    return rows[key == key.min()].sort_values("estimate").iloc[0]


def describe_row(row: pd.Series, detectable: bool = False) -> str:
    """Return one comparison in words: what, by how much, with the interval of the test that decided."""
    low, high, _ = deciding_interval(row.to_dict())
    text = f"{endpoint_title(row['endpoint'])}, {row['setting']} - {row['rival']}: {row['estimate']:+.3f} [{low:+.3f}, {high:+.3f}]"
    if detectable:
        text += f", detectable {row['detectable']:.3f}"
    return text


def describe_finding(finding: Finding) -> str:
    """Return what a study says about a claim: per alternative, the outcome and the comparison that decides."""
    parts = [
        f"{alternative} {_OUTCOMES[outcome]} ({describe_row(decisive(finding, alternative), outcome == 'undecided')})"
        for alternative, outcome in finding.outcomes.items()
    ]
    reading = f", gamma as {finding.reading}" if finding.reading else ""
    return f"{finding.title}{reading}: {'; '.join(parts)}."
