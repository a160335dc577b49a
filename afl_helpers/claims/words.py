"""Verdicts and evidence in words."""

import pandas as pd

from afl_helpers.claims.evidence import Finding
from afl_helpers.results import deciding_interval
from afl_helpers.results.titles import endpoint_title

_OUTCOMES = {"holds": "it holds", "fails": "it fails", "undecided": "undecided"}


def decisive(finding: Finding, alternative: str | None = None) -> pd.Series:
    """Return the comparison that decides a finding: of an order, the one that fails most or leads least; of a spread, the widest."""
    outcome = finding.outcome if alternative is None else finding.outcomes[alternative]
    named = [name for name, found in finding.outcomes.items() if found == outcome and alternative in (None, name)]
    rows = finding.rows[finding.rows["alternative"].isin(named) & (finding.rows["holds"] == outcome)]
    size = -rows["estimate"].abs() if finding.is_spread else rows["estimate"]
    return rows.loc[size.sort_values().index[0]]


def describe_row(row: pd.Series) -> str:
    """Return one comparison in words: what, by how much, with the interval of the test that decided.

    Of an undecided one it also says which difference could have been detected, and of an interval that is not one of 95 %,
    its level.
    """
    low, high, _ = deciding_interval(row.to_dict())
    text = f"{endpoint_title(row['endpoint'])}, {row['setting']} - {row['rival']}: {row['estimate']:+z.3f} [{low:+z.3f}, {high:+z.3f}]"
    level = row["interval"].rpartition(", ")[2].removesuffix(" % each")
    if level != "95":
        text += f" ({float(level):.3g} %)"
    if row["outcome"] == "undecided":
        text += f", detectable {row['detectable']:.3f}"
    return text


def describe_finding(finding: Finding) -> str:
    """Return what a study says about a claim: per alternative, the outcome and the comparison that decides."""
    parts = [
        f"{alternative} {_OUTCOMES[outcome]} ({describe_row(decisive(finding, alternative))})"
        for alternative, outcome in finding.outcomes.items()
    ]
    reading = f", gamma as {finding.reading}" if finding.reading else ""
    return f"{finding.title}{reading}: {'; '.join(parts)}."
