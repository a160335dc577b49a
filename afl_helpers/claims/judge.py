"""A verdict on each claim, by rules that were written down before the runs.

- *Conditions.* The paper's conditions are its texts (corpus ``cmu``, all of it), its encoder (``bert-base-uncased``) and
  the whole encoder tuned. Runs under other conditions count only if there are none under the paper's, and even then they
  can only establish the direction. The generated corpus ``toy`` and the random encoder ``tiny`` decide nothing.
- *Runs.* A study counts on a corpus if it has every setting of the claim with at least two seeds. A seed is left out if
  one of its runs had not converged, which means that the best epoch was the last.
- *Intervals.* Each interval is for the difference between the means over seeds. If a bootstrap interval over test
  documents is on record, we use it; otherwise Student's t over the paired seeds. The bootstrap ignores variation between
  seeds; Student's t ignores variation between documents. Each interval is at 1 - 0.05 / number of comparisons of the
  claim (Bonferroni). That also covers the choice between two thresholds, because a claim holds only with all its
  comparisons. We do not correct for the number of studies.
- *Order.* A comparison holds if its interval is above 0. It fails if it does not hold and the upper end is below
  ``MARGIN`` (or the comparison's own margin), which rules out a difference large enough to matter. A claim holds if all
  its comparisons hold, and fails if one fails.
- *Spread.* The settings differ if the interval of some pair is wholly beyond ``MARGIN``; they agree if the interval of
  every pair is within ``MARGIN``. The claim says which of the two is meant; it fails if the other one is found.
- *Match.* The claim holds if our means are within ``REPORTED_MARGIN`` of the reported values, and fails otherwise. Only
  runs under the paper's conditions count.
- *Mechanism.* Claim C10 is decided from Eq. 2 and 3 and the counts of the corpus's genres, without runs: at p = 0.5, a
  positive of the rarest label must have a larger gradient than one of the most frequent.
- *Architectures.* Claim C11 holds, in direction only, if encoders of at least two designs were tuned with the loss,
  converged or not. It cannot fail.
- *Threshold.* The paper names none. A claim holds in a study if it holds at 0.5 or at one tuned threshold, and fails if
  it fails at both. A claim may admit only one of them. The evidence says which.
- *Data sets.* A claim about several data sets is decided only if runs on the required number count; it must hold on
  that number, and runs under the paper's conditions have no precedence.
- *Verdict.* **impossible as printed**: the reported values contradict each other under every admitted reading of the
  ROC AUC. **reproduced**: the claim holds under the paper's conditions, and our values are within ``REPORTED_MARGIN`` of
  the reported ones. **reproduced in direction**: it holds in at least one study and fails in none. **not reproduced**:
  it fails in at least one study and holds in none. A claim about several data sets is already not reproduced if it fails
  on one of them. **not testable here**: we lack what a test would need (no claim currently gets this verdict). **not yet
  tested**: no run counts, or the runs leave it undecided; the evidence says which.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from afl_helpers.claims.definitions import (
    CLAIMS,
    MARGIN,
    METRIC_OF,
    METRIC_TITLES,
    REPORTED_MARGIN,
    THRESHOLD_TITLES,
    Architectures,
    Claim,
    Match,
    Mechanism,
    Order,
    Spread,
    at_thresholds,
)
from afl_helpers.claims.evidence import Group, RunsBySeed, difference, group_runs, value
from afl_helpers.claims.reported import READINGS, REPORTED, consistency, reported_range
from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.gamma import class_gamma, positive_gradient
from afl_helpers.results import Result, read_all_studies

VERDICTS = (
    "reproduced",
    "reproduced in direction",
    "not reproduced",
    "impossible as printed",
    "not testable here",
    "not yet tested",
)

#: A study with fewer seeds than this decides nothing.
MIN_SEEDS = 2

_OUTCOMES = {"holds": "it holds", "fails": "it fails", "open": "undecided"}


def verdicts(results: Iterable[Result], readings: Sequence[str] = READINGS) -> pd.DataFrame:
    """Return a verdict on every claim, by the rules that this module states at its top.

    Args:
        results: runs of any number of studies, as :func:`~afl_helpers.results.read_all_studies` returns them.
        readings: the readings of the paper's ROC AUC to admit, of :data:`READINGS`. With all of them no claim is
            impossible as printed; with ``("micro decisions",)`` some are.

    Returns:
        One row per claim, in order of :data:`CLAIMS`, with ``id``, ``verdict`` (of :data:`VERDICTS`), ``conditions``,
        ``evidence``. ``conditions`` says under which conditions the verdict was found: "the paper's", "ours",
        "the equations", or empty if nothing is decided.

    Raises:
        UsageError: an unknown reading, or none.

    Example:
        >>> from afl_helpers.claims import verdicts
        >>> verdicts([])["verdict"].value_counts().to_dict()  # without runs the equations alone decide
        {'not yet tested': 11, 'not reproduced': 1}
        >>> table = verdicts([], readings=("micro decisions",))
        >>> table.loc[table["verdict"] == "impossible as printed", "id"].tolist()
        ['C4', 'C5']
    """
    for reading in readings:
        if reading not in READINGS:
            raise unknown_name("reading of ROC AUC", reading, READINGS)
    if not readings:
        raise UsageError("readings is empty; admit at least one reading of ROC AUC")
    groups, checks = group_runs(results), consistency()
    rows = []
    for claim in CLAIMS:
        verdict, conditions, evidence = _decide(claim, groups)
        cited = checks[
            checks["claims"].map(lambda names, id=claim.id: id in names.split())
            & (checks["verdict"] == "contradiction")
            & checks["reading"].isin(readings)
        ]
        if set(cited["reading"]) == set(readings):
            verdict = "impossible as printed"
        rows.append((claim.id, verdict, conditions, " ".join([evidence, *_contradictions(cited)])))
    return pd.DataFrame(rows, columns=["id", "verdict", "conditions", "evidence"])


def claims_table(results: Iterable[Result] | None = None) -> pd.DataFrame:
    """Tabulate the claims with their verdicts.

    Args:
        results: as in :func:`verdicts`; by default, those of :func:`~afl_helpers.results.read_all_studies`.

    Returns:
        One row per claim, in order of :data:`CLAIMS`, with ``id, claim, reported, section, verdict, conditions, evidence``.

    Raises:
        DataError: a result file is broken.

    Example:
        >>> from afl_helpers.claims import claims_table
        >>> table = claims_table([])
        >>> table.loc[table["conditions"] == "the equations", ["id", "claim", "verdict"]].to_numpy().tolist()
        [['C10', 'The loss assigns more weight to rare classes', 'not reproduced']]
    """
    table = pd.DataFrame(
        [(c.id, c.claim, c.reported, c.section) for c in CLAIMS], columns=["id", "claim", "reported", "section"]
    )
    return table.merge(verdicts(read_all_studies() if results is None else results), on="id")


def _contradictions(checks: pd.DataFrame) -> list[str]:
    """Say, for each set of numbers, under which readings of the ROC AUC they contradict each other."""
    return [
        f"If the paper's ROC AUC is of {' or '.join(same['reading'])}, its reported values contradict each other: {numbers}."
        for numbers, same in checks.groupby("numbers", sort=False)
    ]


def _decide(claim: Claim, groups: Sequence[Group]) -> tuple[str, str, str]:
    """Return verdict, conditions and evidence of one claim, by its rule."""
    rule = claim.rule
    if isinstance(rule, Mechanism):
        return _mechanism()
    if isinstance(rule, Architectures):
        return _architectures(rule, groups)

    n_data_sets = rule.n_data_sets if isinstance(rule, Order) else 1
    several = n_data_sets > 1
    found = []
    for group in groups:
        runs = group.converged(rule.settings)
        if runs is not None and len(runs[rule.settings[0]]) >= MIN_SEEDS:
            found.append(_find(claim, rule, group, runs))
    like_the_paper = [finding for finding in found if finding.group.like_the_paper]
    if isinstance(rule, Match) or (like_the_paper and not several):
        found = like_the_paper
    if isinstance(rule, Match) and not found:
        return (
            "not yet tested",
            "",
            "No run on the paper's texts and encoder yet; elsewhere its reported values cannot be compared.",
        )
    if not found:
        settings = ", ".join(rule.settings)
        return "not yet tested", "", f"No study has {MIN_SEEDS} seeds that converged with each of {settings}."

    evidence = " ".join(finding.words for finding in found)
    conditions = "the paper's" if found == like_the_paper else "ours"
    holds = [finding for finding in found if finding.outcome == "holds"]
    fails = [finding for finding in found if finding.outcome == "fails"]
    if several and len({finding.group.data_set for finding in found}) < n_data_sets:
        return "not yet tested", "", f"On one data set only. {evidence}"
    if fails and (several or not holds):
        return "not reproduced", conditions, evidence
    if holds and not fails and (not several or len({finding.group.data_set for finding in holds}) >= n_data_sets):
        where = [name for name in rule.thresholds if any(finding.outcomes[name] == "holds" for finding in holds)]
        if len(where) < len(rule.thresholds):
            evidence = f"Only {at_thresholds(where)}. {evidence}"
        exact = not several and any(finding.matches for finding in holds)
        return "reproduced" if exact else "reproduced in direction", conditions, evidence
    return "not yet tested", "", f"Undecided. {evidence}"


class _Finding(NamedTuple):
    """What one study says about a claim: "holds", "fails" or "open" at each threshold, and the evidence in words."""

    group: Group
    outcomes: dict[str, str]
    matches: bool
    words: str

    @property
    def outcome(self) -> str:
        found = set(self.outcomes.values())
        return "holds" if "holds" in found else "fails" if found == {"fails"} else "open"


def _find(claim: Claim, rule: Order | Spread | Match, group: Group, runs: Mapping[str, RunsBySeed]) -> _Finding:
    outcomes, matches, words = {}, False, []
    for threshold in rule.thresholds:
        near, both = _near_reported(claim, runs, threshold)
        if isinstance(rule, Match):
            outcome, text = "holds" if near else "fails", both
        else:
            outcome, text = _compare(rule, runs, threshold)
            if group.like_the_paper and both:
                text += f"; {both}"
        outcomes[threshold] = outcome
        matches |= near and outcome == "holds" and group.like_the_paper
        words.append(f"{THRESHOLD_TITLES[threshold]} {_OUTCOMES[outcome]} ({text})")
    n_seeds = len(next(iter(runs.values())))
    return _Finding(group, outcomes, matches, f"{group.title}, {n_seeds} seeds: {', '.join(words)}.")


def _near_reported(claim: Claim, runs: Mapping[str, RunsBySeed], threshold: str) -> tuple[bool, str]:
    """Whether our values are within :data:`REPORTED_MARGIN` of those that the claim reports, and both in words."""
    near, words = True, []
    for setting, name in claim.reported_values:
        metric, reported = METRIC_OF[name], REPORTED[setting][name]
        ours = float(np.mean([value(run, metric, threshold) for run in runs[setting].values()]))
        low, high = reported_range(reported)
        near &= low - REPORTED_MARGIN <= ours <= high + REPORTED_MARGIN
        words.append(f"{METRIC_TITLES[metric]} {ours:.4f}, the paper reports {reported}")
    return bool(near), ", ".join(words)


def _compare(rule: Order | Spread, runs: Mapping[str, RunsBySeed], threshold: str) -> tuple[str, str]:
    """Say whether a rule holds, fails or is open at one threshold, and by which differences."""
    if isinstance(rule, Order):
        pairs = [(c.setting, other, metric) for c in rule.comparisons for metric in c.metrics for other in c.against]
    else:
        pairs = [(*two, metric) for metric in rule.metrics for two in itertools.combinations(rule.settings, 2)]
    rows = [difference(runs, *pair, threshold, family=len(pairs)) for pair in pairs]

    if isinstance(rule, Order):
        margins = [c.margin for c in rule.comparisons for _ in itertools.product(c.metrics, c.against)]
        failed = [row for row, margin in zip(rows, margins) if not row.low > 0 and row.high < margin]
        outcome = "fails" if failed else "holds" if all(row.low > 0 for row in rows) else "open"
        weakest = []
        for metric in dict.fromkeys(row.metric for row in rows):
            own = [row for row in rows if row.metric == metric]
            worst = [row for row in own if row in failed] or own
            weakest.append(min(worst, key=lambda row: np.nan_to_num(row.low, nan=-np.inf)))
        return outcome, f"{len(rows)} comparisons, weakest: {'; '.join(map(str, weakest))}"
    widest = max(rows, key=lambda row: np.nan_to_num(max(row.low, -row.high), nan=-np.inf))
    apart = max(widest.low, -widest.high) > MARGIN
    together = all(row.low > -MARGIN and row.high < MARGIN for row in rows)
    outcome = "open" if not (apart or together) else "holds" if apart == rule.large else "fails"
    return outcome, f"furthest apart of {len(rows)}: {widest}"


def _mechanism() -> tuple[str, str, str]:
    """Decide claim C10 from Eq. 2 and 3 and the counts of the corpus's genres; no run is needed."""
    counts = np.array(list(genre_counts().values()))
    frequent, rare = counts.argmax(), counts.argmin()
    words, less = [], []
    readings = {
        "Gamma n/mean in [0.5, 5]": class_gamma(counts, N_MOVIES_WITH_GENRE),
        "Eq. 2 to the letter": class_gamma(counts, N_MOVIES_WITH_GENRE, normalization="documents", bounds=None),
    }
    for name, gammas in readings.items():
        gamma = gammas[[frequent, rare]]
        gradient = positive_gradient(gamma)
        less.append(gradient[1] < gradient[0])
        words.append(
            f"{name}: at p = 0.5, where a head without bias starts, the gradient of a positive is {gradient[0]:.2g} "
            f"for the most frequent genre (gamma {gamma[0]:.3g}), {gradient[1]:.2g} for the rarest ({gamma[1]:.3g})."
        )
        if len(words) == 1:
            at = _crossing(*gamma)
            words.append(f"The rarest has the larger one only below p = {at:.2f}.")
    evidence = " ".join(
        [
            "The weight (1 - p)^gamma of Eq. 3 falls with gamma at every p, so it is smallest for the rarest label.",
            *words,
            "Only alpha_c, which the paper leaves undefined, could raise the weight.",
        ]
    )
    return "not reproduced" if all(less) else "reproduced in direction", "the equations", evidence


def _crossing(small: float, large: float) -> float:
    """Return the p below which the larger gamma gives a positive the larger gradient."""

    def excess(logit: float) -> float:
        return float(positive_gradient(large, logit) - positive_gradient(small, logit))

    return float(expit(brentq(excess, -6.0, 0.0)))


#: Names of encoders that share a design; any other design is the first part of the encoder's name.
_DESIGNS = {"minilm": "bert", "tiny": "bert"}


def _architectures(rule: Architectures, groups: Sequence[Group]) -> tuple[str, str, str]:
    """Decide claim C11 by the designs of the encoders that were tuned with the loss, converged or not."""
    used = [group for group in groups if any(run.loss.name == rule.loss for run in group.runs)]
    tuned = sorted({group.encoder for group in used if group.encoder and group.method == "fine_tune"})
    frozen = sorted({group.encoder for group in used if group.encoder and group.method == "probe"})
    designs = {_DESIGNS.get(name, name.split("-")[0]) for name in tuned}
    evidence = (
        "A Trainer takes the loss as one argument, compute_loss_func=loss.for_trainer(). "
        f"Encoders tuned with it: {', '.join(tuned) or 'none'}; frozen under it: {', '.join(frozen) or 'none'}. "
        f"{rule.at_least} designs would show the direction; no number of designs can show 'any'."
    )
    verdict = "reproduced in direction" if len(designs) >= rule.at_least else "not yet tested"
    return verdict, "" if verdict == "not yet tested" else "ours", evidence
