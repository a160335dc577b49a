"""A verdict on each claim, by rules that were written down before the runs were read.

- *Runs.* Only complete settings of a study count, over blocks that fix split, seed and permutation. Seeds on one split
  are reported beside. A block or seed is left out if one of its runs had not converged. The generated corpus ``toy`` and
  the random encoder ``tiny`` decide nothing.
- *Conditions.* The paper's conditions are its texts (corpus ``cmu``, all of it), its encoder (``bert-base-uncased``),
  the whole encoder tuned, and the rate, batch and schedule that it states. The runs nearest to them decide: the paper's
  conditions, else a tuned encoder, else a frozen one. The others are reported beside. A claim is judged on film genres,
  the paper's data set, unless it speaks of several data sets.
- *Comparisons.* All are made by :func:`~afl_helpers.results.compare`. A comparison holds if the outcome is "higher". It
  fails if it is "lower" or "within the margin". Else it is undecided. Where the paper claims that nothing is lost,
  "within the margin" holds too. One family, corrected by Holm, is one comparison of a claim on one corpus: all readings,
  rivals, metrics and thresholds.
- *Alternatives.* The paper names no threshold. A claim holds if it holds in one alternative, such as at 0.5 or at one
  tuned threshold; it fails if it fails in all.
- *Readings.* What Eq. 2 leaves open is read in three ways. A reading holds if it holds on some texts and fails on none;
  it fails if it fails on some and holds on none. A claim holds if one reading does, and fails if all do.
- *Spread.* The settings differ if some pair differs by more than ``MARGIN`` and the difference is not 0; they agree if
  every pair is within the margin. Bonferroni's correction covers pairs and thresholds.
- *Match.* The claim holds if our means are within ``REPORTED_MARGIN`` of the reported values, and fails otherwise. Only
  runs under the paper's conditions count.
- *Data sets.* A claim about several data sets must hold on that number, and fails if it fails on one.
- *Verdict.* **impossible as printed**: the reported values contradict each other under every admitted reading of the
  ROC AUC. **reproduced**: the claim holds under the paper's conditions, and our values are within ``REPORTED_MARGIN`` of
  the reported ones. **reproduced in direction**: it holds. **not reproduced**: it fails. **undecided**: runs count, and
  leave it open; the evidence says which difference could have been detected. **not testable here**: we lack what a test
  would need (no claim currently gets this verdict). **not yet tested**: no run counts.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from afl_helpers.claims.definitions import (
    CLAIMS,
    METRIC_OF,
    PAPER_DATA_SET,
    PAPER_THRESHOLDS,
    REPORTED_MARGIN,
    Architectures,
    Claim,
    Match,
    Mechanism,
    Order,
    Spread,
)
from afl_helpers.claims.equations import judge_mechanism
from afl_helpers.claims.evidence import LEVELS, Finding, Group, find, group_runs, row_outcome
from afl_helpers.claims.reported import READINGS, REPORTED, consistency, reported_range
from afl_helpers.claims.words import decisive, describe_finding, describe_row
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.results import Result, deciding_interval
from afl_helpers.results.titles import endpoint_title
from afl_helpers.studies import complete_results

VERDICTS = (
    "reproduced",
    "reproduced in direction",
    "not reproduced",
    "undecided",
    "impossible as printed",
    "not testable here",
    "not yet tested",
)

_FINDING_COLUMNS = [
    *("id", "counts", "level", "study", "corpus", "n", "unit"),
    *("reading", "about", "alternative", "outcome", "effect", "estimate", "low", "high"),
]
_COLUMNS = ["id", "verdict", "conditions", "effect", "evidence"]


def verdicts(results: Iterable[Result], readings: Sequence[str] = READINGS) -> pd.DataFrame:
    """Return a verdict on every claim, by the rules that this module states at its top.

    Args:
        results: runs of any number of studies, as :func:`~afl_helpers.studies.complete_results` returns them.
        readings: the readings of the paper's ROC AUC to admit, of :data:`READINGS`. With all of them no claim is
            impossible as printed; with ``("micro decisions",)`` some are.

    Returns:
        One row per claim, in order of :data:`CLAIMS`, with ``id``, ``verdict`` (of :data:`VERDICTS`), ``conditions``,
        ``effect`` (the comparison that decides, with its interval) and ``evidence`` (sentences, one per line).
        ``conditions`` says where the verdict was found: "the paper's", "tuned encoder", "frozen encoder", "the
        equations", or empty if nothing is decided.

    Raises:
        UsageError: an unknown reading, or none.

    Example:
        >>> from afl_helpers.claims import verdicts
        >>> verdicts([])["verdict"].value_counts().to_dict()  # without runs the equations alone decide
        {'not yet tested': 13, 'not reproduced': 1}
        >>> table = verdicts([], readings=("micro decisions",))
        >>> table.loc[table["verdict"] == "impossible as printed", "id"].tolist()
        ['C4', 'C5', 'C13']
    """
    for reading in readings:
        if reading not in READINGS:
            raise unknown_name("reading of ROC AUC", reading, READINGS)
    if not readings:
        raise UsageError("readings is empty; admit at least one reading of ROC AUC")
    checks = consistency()
    checks = checks[(checks["verdict"] == "contradiction") & checks["reading"].isin(readings)]
    groups, rows = group_runs(results), []
    for claim in CLAIMS:
        verdict, conditions, effect, evidence = _decide(claim, groups)
        cited = checks[np.array([claim.id in names.split() for names in checks["claims"]], dtype=bool)]
        if set(cited["reading"]) == set(readings):
            verdict = "impossible as printed"
        rows.append((claim.id, verdict, conditions, effect, "\n".join([*evidence, *_contradictions(cited)])))
    return pd.DataFrame(rows, columns=_COLUMNS)


def claims_table(results: Iterable[Result] | None = None) -> pd.DataFrame:
    """Tabulate the claims with their verdicts.

    Args:
        results: as in :func:`verdicts`; by default, those of :func:`~afl_helpers.studies.complete_results`.

    Returns:
        One row per claim, in order of :data:`CLAIMS`, with ``id, claim, reported, section, verdict, conditions, effect,
        evidence``.

    Raises:
        DataError: a result file is broken.

    Example:
        >>> from afl_helpers.claims import claims_table
        >>> table = claims_table([])
        >>> table.loc[table["conditions"] == "the equations, at p = 0.5", ["id", "claim", "verdict"]].to_numpy().tolist()
        [['C10', 'The loss assigns more weight to rare classes', 'not reproduced']]
    """
    table = pd.DataFrame(
        [(c.id, c.claim, c.reported, c.section) for c in CLAIMS], columns=["id", "claim", "reported", "section"]
    )
    return table.merge(verdicts(complete_results()[0] if results is None else results), on="id")


def findings(results: Iterable[Result] | None = None) -> pd.DataFrame:
    """Tabulate what holds for each claim, study, corpus, reading of Eq. 2 and alternative of its rule.

    Args:
        results: as in :func:`claims_table`.

    Returns:
        One row per claim, group of runs, reading and alternative: ``id``; ``counts``, whether the verdict rests on it;
        ``level, study, corpus``; ``n`` and ``unit``, the number of blocks or seeds; ``reading``; ``about``, "claim" or
        the control that the reading is compared with; ``alternative`` (for a control: the endpoint); ``outcome``
        ("holds", "fails" or "undecided"); ``effect``, the comparison that decides, in words; and its ``estimate, low, high``.

    Example:
        >>> from afl_helpers.claims import findings
        >>> table = findings()
        >>> sorted(set(table["outcome"]))
        ['fails', 'holds', 'undecided']
    """
    groups, rows = group_runs(complete_results()[0] if results is None else results), []
    for claim in CLAIMS:
        if not isinstance(claim.rule, (Order, Spread)):
            continue
        found, counted, _ = _evidence(claim.rule, groups)
        for finding in found:
            group = finding.group
            about = (claim.id, finding in counted, group.level, group.study, group.corpus, finding.n, group.unit)
            for alternative, outcome in finding.outcomes.items():
                row = decisive(finding, alternative)
                rows.append((*about, finding.reading, "claim", alternative, outcome, *_effect(row)))
            for _, row in finding.controls.iterrows():
                outcome = row_outcome(row["outcome"])
                title = endpoint_title(row["endpoint"])
                rows.append((*about, finding.reading, row["rival"], title, outcome, *_effect(row)))
    return pd.DataFrame(rows, columns=_FINDING_COLUMNS)


def _effect(row: pd.Series) -> tuple[str, float, float, float]:
    """Return a comparison in words, its difference, and the interval of the test that decided."""
    low, high, _ = deciding_interval(row.to_dict())
    return describe_row(row), row["estimate"], low, high


def _contradictions(checks: pd.DataFrame) -> list[str]:
    """Say, for each set of numbers, under which readings of the ROC AUC they contradict each other."""
    return [
        f"If the paper's ROC AUC is of {' or '.join(same['reading'])}, its reported values contradict each other: {numbers}."
        for numbers, same in checks.groupby("numbers", sort=False)
    ]


def _decide(claim: Claim, groups: Sequence[Group]) -> tuple[str, str, str, list[str]]:
    """Return verdict, conditions, effect and evidence of one claim, by its rule."""
    rule = claim.rule
    if isinstance(rule, Mechanism):
        verdict, effect, text = judge_mechanism()
        return verdict, "the equations, at p = 0.5", effect, [text]
    if isinstance(rule, Architectures):
        return _architectures(rule, groups)
    if isinstance(rule, Match):
        return _match(claim, rule, groups)
    n_data_sets = rule.n_data_sets
    found, counted, reasons = _evidence(rule, groups)
    evidence = [describe_finding(finding) for finding in counted]
    beside = [finding for finding in found if finding not in counted and not finding.group.has_one_split]
    evidence += [f"Beside it, {describe_finding(finding)}" for finding in beside] + reasons
    if not counted:
        return (
            "not yet tested",
            "",
            "",
            [f"No study in blocks has complete, converged runs of {', '.join(rule.settings)}.", *evidence],
        )
    conditions = counted[0].group.level
    if len({finding.group.data_set for finding in counted}) < n_data_sets:
        return "not yet tested", "", "", ["On one data set only.", *evidence]
    by_reading: dict[str, list[Finding]] = {}
    for finding in counted:
        by_reading.setdefault(finding.reading, []).append(finding)
    outcomes = {
        reading: _of_reading(own, rule.n_data_sets if isinstance(rule, Order) else 1)
        for reading, own in by_reading.items()
    }
    verdict, outcome = _combine(list(outcomes.values()))
    deciding = by_reading[next(reading for reading, found_ in outcomes.items() if found_ == outcome)]
    one = next((finding for finding in deciding if finding.outcome == outcome), deciding[0])
    row = decisive(one)
    where = f"{one.n} {one.group.unit}s of {one.group.corpus}{one.group.training}"
    within = f", within {row['margin']:g}" if row["outcome"] == "within the margin" else ""
    if outcome == one.outcome:
        effect = f"{describe_row(row)}{within}; {where}"
    else:  # it holds on some texts and fails on others
        effect = "; ".join(
            f"{finding.outcome} on {finding.group.corpus} ({describe_row(decisive(finding))}; {finding.n} {finding.group.unit}s)"
            for finding in deciding
        )
    if verdict == "reproduced in direction":
        alternatives = [name for name, o in one.outcomes.items() if o == "holds"]
        if len(alternatives) < len(one.outcomes):
            evidence.insert(0, f"Only {' and '.join(alternatives)}.")
        readings = [reading for reading, o in outcomes.items() if o == "holds"]
        if len(readings) < len(outcomes):
            evidence.insert(0, f"Only with gamma read as {' or '.join(readings)}.")
        if (
            n_data_sets == 1
            and conditions == LEVELS[0]
            and claim.reported_values
            and _near_reported(claim, one.group)[0]
        ):
            verdict = "reproduced"
    if conditions == LEVELS[0] and claim.reported_values:
        evidence.append(_near_reported(claim, one.group)[1])
    return verdict, conditions, effect, evidence


def _evidence(rule: Order | Spread, groups: Sequence[Group]) -> tuple[list[Finding], list[Finding], list[str]]:
    """Return all findings on a rule, those that decide it, and why groups of runs do not count."""
    found: list[Finding] = []
    reasons = []
    for group in groups:
        own, reason = find(rule, group)
        found += own
        if own and group.has_one_split:
            reason = "all its runs have one split of the documents"
        if reason:
            reasons.append(f"{group.study} on {group.corpus} does not count: {reason}.")
    return found, _nearest(found, rule.n_data_sets), reasons


def _nearest(found: Sequence[Finding], n_data_sets: int) -> list[Finding]:
    """Return the findings that decide: those over blocks, of the level nearest to the paper that has enough data sets."""
    found = [finding for finding in found if not finding.group.has_one_split]
    if n_data_sets == 1:
        found = [finding for finding in found if finding.group.data_set == PAPER_DATA_SET]
    best: list[Finding] = []
    for level in LEVELS:
        own = [finding for finding in found if finding.group.level == level]
        if len({finding.group.data_set for finding in own}) >= n_data_sets:
            return own
        best = best or own
    return best


def _of_reading(found: Sequence[Finding], n_data_sets: int) -> str:
    holds = {finding.group.data_set for finding in found if finding.outcome == "holds"}
    fails = any(finding.outcome == "fails" for finding in found)
    if fails and (n_data_sets > 1 or not holds):
        return "fails"
    return "holds" if len(holds) >= n_data_sets and not fails else "undecided"


def _combine(outcomes: Sequence[str]) -> tuple[str, str]:
    """Return the verdict over readings, and the outcome that makes it."""
    if "holds" in outcomes:
        return "reproduced in direction", "holds"
    if set(outcomes) == {"fails"}:
        return "not reproduced", "fails"
    return "undecided", "undecided"


def _match(claim: Claim, rule: Match, groups: Sequence[Group]) -> tuple[str, str, str, list[str]]:
    found = [group for group in groups if group.like_the_paper and group.paired(rule.settings)]
    if not found:
        text = "No run under the paper's conditions yet; elsewhere its reported values cannot be compared."
        return "not yet tested", "", "", [text]
    near = [_near_reported(claim, group) for group in found]
    verdict = "reproduced" if any(one for one, _ in near) else "not reproduced"
    return verdict, LEVELS[0], "", [text for _, text in near]


def _near_reported(claim: Claim, group: Group) -> tuple[bool, str]:
    """Whether our values are within :data:`REPORTED_MARGIN` of those that the claim reports, and both in words."""
    runs: Mapping[str, Mapping[int, Result]] | None = group.paired(
        tuple(dict.fromkeys(setting for setting, _ in claim.reported_values))
    )
    if not runs:
        return False, ""
    ways, words = [], []
    for threshold in PAPER_THRESHOLDS:
        near = True
        for setting, name in claim.reported_values:
            endpoint, reported = f"{METRIC_OF[name]}@{threshold}", REPORTED[setting][name]
            ours = float(np.mean([run.metric(endpoint) for run in runs[setting].values()]))
            low, high = reported_range(reported)
            near &= low - REPORTED_MARGIN <= ours <= high + REPORTED_MARGIN
            words.append(f"{setting}, {endpoint_title(endpoint)}: ours {ours:.4f}, the paper's {reported}")
        ways.append(near)
    return any(ways), f"{group.study}: {'; '.join(words)}."


#: Names of encoders that share a design; any other design is the first part of the encoder's name.
_DESIGNS = {"minilm": "bert", "tiny": "bert"}


def _architectures(rule: Architectures, groups: Sequence[Group]) -> tuple[str, str, str, list[str]]:
    """Decide claim C11 by the designs of the encoders that were tuned with the loss, converged or not."""
    used = [group for group in groups if any(run.loss.name == rule.loss for run in group.runs)]
    tuned = sorted({group.encoder for group in used if group.encoder and group.method == "fine_tune"})
    frozen = sorted({group.encoder for group in used if group.encoder and group.method == "probe"})
    designs = {_DESIGNS.get(name, name.split("-")[0]) for name in tuned}
    evidence = [
        "A Trainer takes the loss as one argument, compute_loss_func=loss.for_trainer().",
        f"Encoders tuned with it: {', '.join(tuned) or 'none'}; frozen under it: {', '.join(frozen) or 'none'}.",
        f"{rule.at_least} designs would show the direction; no number of designs can show 'any'.",
    ]
    verdict = "reproduced in direction" if len(designs) >= rule.at_least else "not yet tested"
    return verdict, "" if verdict == "not yet tested" else "tuned encoder", "", evidence
