"""A verdict on each claim by a stated rule.

What counts as what:

- *Conditions.* The paper's are its texts (corpus ``cmu``, not reduced), its encoder (``bert-base-uncased``) and the
  whole encoder tuned. Runs under other conditions decide only where there are none under the paper's, and then at most
  the direction. The generated corpus ``toy`` and the random encoder ``tiny`` decide nothing.
- *Runs.* A study counts on a corpus with every setting of the claim and two seeds at least. Seeds with a run that had
  not converged (its best epoch was its last) are left out.
- *Intervals.* Of the difference of the means over seeds: over resampled test documents where the run files hold
  replicates, else Student's t over the paired seeds. The first does not contain the scatter of seeds, the second not
  that of documents. Each is at 1 - 0.05 / comparisons of the claim (Bonferroni); that covers the choice between the two
  thresholds too, because a claim holds only with all its comparisons. The number of studies is not corrected for.
- *Order.* A comparison holds when its interval lies above 0, and fails when it does not and its upper end is below
  ``MARGIN``: a lead that matters is excluded. A claim holds when all its comparisons hold, and fails when one fails.
- *Threshold.* The paper names none. A claim holds in a study when it holds at 0.5 or at one tuned threshold, and fails
  when it fails at both; the evidence says which.
- *Verdict.* **impossible as printed**: the figures contradict each other under every admitted reading of the ROC AUC.
  **reproduced**: it holds under the paper's conditions, and the figures that it prints are within ``FIGURE_MARGIN``.
  **reproduced in direction**: it holds in one study at least, and fails in none. **not reproduced**: it fails in one
  study at least, and holds in none; a claim about several data sets, when it fails on one of several. **not testable
  here**: what it needs is out of reach; no rule gives it at present. **not yet tested**: no run counts, or the runs
  leave it undecided; the evidence says which.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from afl_helpers.claims.definitions import (
    CLAIMS,
    FIGURE_MARGIN,
    MARGIN,
    METRIC_OF,
    METRIC_TITLES,
    THRESHOLD_TITLES,
    Architectures,
    Claim,
    Match,
    Mechanism,
    Order,
    Spread,
    at_thresholds,
)
from afl_helpers.claims.reported import PRINTED, READINGS, consistency, printed_range
from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts
from afl_helpers.errors import MissingFileError, UsageError, unknown_name
from afl_helpers.evaluation import paired_difference, seed_interval
from afl_helpers.gamma import class_gamma, positive_gradient

VERDICTS = (
    "reproduced",
    "reproduced in direction",
    "not reproduced",
    "impossible as printed",
    "not testable here",
    "not yet tested",
)

#: A study with fewer seeds decides nothing.
MIN_SEEDS = 2

_OUTCOMES = {"holds": "it holds", "fails": "it fails", "open": "undecided"}


class _Group(NamedTuple):
    """The runs of one study, corpus, encoder and method."""

    study: str
    corpus: str
    encoder: str
    method: str
    runs: list[dict]

    @property
    def title(self) -> str:
        return f"{self.study} ({self.corpus}, {self.encoder}, {self.method})"

    @property
    def like_the_paper(self) -> bool:
        reduced = any("n_documents" in run["data"].get("options", {}) for run in self.runs)
        return (self.corpus, self.encoder, self.method) == ("cmu", "bert-base-uncased", "fine_tune") and not reduced

    @property
    def data_set(self) -> str:
        """Texts of the same labels, plain, masked or shortened, are one data set."""
        return self.corpus.split("-")[0]

    def converged(self, settings: Sequence[str]) -> dict[str, dict[int, dict]] | None:
        """Setting -> seed -> run, of the seeds that converged in every setting; None if a setting has no run."""
        runs: dict[str, dict[int, dict]] = {name: {} for name in settings}
        for run in self.runs:
            if run["setting"]["name"] in runs:
                runs[run["setting"]["name"]][run["seed"]] = run
        if not all(runs.values()):
            return None
        seeds = sorted(
            seed
            for seed in set.intersection(*(set(by_seed) for by_seed in runs.values()))
            if all(by_seed[seed]["time"]["converged"] for by_seed in runs.values())
        )
        return {name: {seed: by_seed[seed] for seed in seeds} for name, by_seed in runs.items()}


def _groups(results: Iterable[Mapping[str, object]]) -> list[_Group]:
    groups: dict[tuple, list[dict]] = {}
    for run in results:
        if run["data"]["corpus"] != "toy" and run["encoder"] != "tiny":
            key = (run["study"], run["data"]["corpus"], run["encoder"], run["config"]["method"])
            groups.setdefault(key, []).append(run)
    return [_Group(*key, runs) for key, runs in groups.items()]


def all_results(folder: str | Path | None = None) -> list[dict[str, object]]:
    """The runs of every study in a folder of results.

    Args:
        folder: :func:`~afl_helpers.results.find_results` unless given; none is found: no runs.

    Returns:
        The contents of each result file, a dict a run, by study and file name.

    Raises:
        MissingFileError: ``folder`` is given and does not exist.
        DataError: a result file is broken.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from afl_helpers.claims import all_results
        >>> with TemporaryDirectory() as folder:
        ...     all_results(folder)  # no study in it
        []
    """
    from afl_helpers.results import find_results, read_study  # loads torch, which the paper's figures do not need

    if folder is None:
        try:
            folder = find_results()
        except MissingFileError:
            return []
    elif not Path(folder).is_dir():
        raise MissingFileError(
            f"{folder} does not exist; pass the folder of the results",
            command_line=f"{folder} does not exist; name the folder of the results with --results",
        )
    studies = sorted(path.parent.name for path in Path(folder).glob("*/runs"))
    return [run for study in studies for run in read_study(study, folder)]


def verdicts(results: Iterable[Mapping[str, object]], readings: Sequence[str] = READINGS) -> pd.DataFrame:
    """A verdict on every claim, by the rules that this module states at its top.

    Args:
        results: result files' contents, of any number of studies, as :func:`all_results` returns them.
        readings: the readings of the paper's ROC AUC to admit, of :data:`READINGS`. With all of them no claim is
            impossible as printed; with ``("micro decisions",)`` some are.

    Returns:
        One row a claim, in order of :data:`CLAIMS`, with ``id``, ``verdict`` (of :data:`VERDICTS`), ``conditions``,
        ``evidence``. The conditions are those that the verdict was found under: "the paper's", "ours", "the equations",
        or empty where nothing is decided.

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
    groups, checks = _groups(results), consistency()
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


def claims_table(results: Iterable[Mapping[str, object]] | None = None) -> pd.DataFrame:
    """The claims with verdicts, one a row.

    Args:
        results: as in :func:`verdicts`; :func:`all_results` unless given.

    Returns:
        One row a claim, in order of :data:`CLAIMS`, with ``id, claim, figure, section, verdict, conditions, evidence``.

    Raises:
        DataError: a result file is broken.

    Example:
        >>> from afl_helpers.claims import claims_table
        >>> table = claims_table([])
        >>> table.loc[table["conditions"] == "the equations", ["id", "claim", "verdict"]].to_numpy().tolist()
        [['C10', 'The loss assigns more weight to rare classes', 'not reproduced']]
    """
    table = pd.DataFrame(
        [(c.id, c.claim, c.figure, c.section) for c in CLAIMS], columns=["id", "claim", "figure", "section"]
    )
    return table.merge(verdicts(all_results() if results is None else results), on="id")


def _contradictions(checks: pd.DataFrame) -> list[str]:
    """One sentence for each set of numbers, with the readings under which they contradict each other."""
    return [
        f"If the paper's ROC AUC is of {' or '.join(same['reading'])}, its figures contradict each other: {numbers}."
        for numbers, same in checks.groupby("numbers", sort=False)
    ]


def _decide(claim: Claim, groups: Sequence[_Group]) -> tuple[str, str, str]:
    """Verdict, conditions and evidence of one claim, by its rule."""
    rule = claim.rule
    if isinstance(rule, Mechanism):
        return _mechanism()
    if isinstance(rule, Architectures):
        return _architectures(rule, groups)

    several = isinstance(rule, Order) and rule.n_data_sets > 1
    found = []
    for group in groups:
        runs = group.converged(rule.settings)
        if runs is not None and len(runs[rule.settings[0]]) >= MIN_SEEDS:
            found.append(_find(claim, group, runs))
    like_the_paper = [finding for finding in found if finding.group.like_the_paper]
    if isinstance(rule, Match) or (like_the_paper and not several):
        found = like_the_paper
    if isinstance(rule, Match) and not found:
        return (
            "not yet tested",
            "",
            "No run on the paper's texts and encoder yet; elsewhere its figures cannot be compared.",
        )
    if not found:
        settings = ", ".join(rule.settings)
        return "not yet tested", "", f"No study has {MIN_SEEDS} seeds that converged with each of {settings}."

    evidence = " ".join(finding.words for finding in found)
    conditions = "the paper's" if found == like_the_paper else "ours"
    holds = [finding for finding in found if finding.outcome == "holds"]
    fails = [finding for finding in found if finding.outcome == "fails"]
    if several and len({finding.group.data_set for finding in found}) < rule.n_data_sets:
        return "not yet tested", "", f"On one data set only. {evidence}"
    if fails and (several or not holds):
        return "not reproduced", conditions, evidence
    if holds and not fails and (not several or len({finding.group.data_set for finding in holds}) >= rule.n_data_sets):
        where = [name for name in rule.thresholds if any(finding.outcomes[name] == "holds" for finding in holds)]
        if len(where) < len(rule.thresholds):
            evidence = f"Only {at_thresholds(where)}. {evidence}"
        exact = not several and any(finding.matches for finding in holds)
        return "reproduced" if exact else "reproduced in direction", conditions, evidence
    return "not yet tested", "", f"Undecided. {evidence}"


class _Finding(NamedTuple):
    """What one study says of a claim: "holds", "fails" or "open", at each threshold and in all; the words."""

    group: _Group
    outcomes: dict[str, str]
    matches: bool
    words: str

    @property
    def outcome(self) -> str:
        found = set(self.outcomes.values())
        return "holds" if "holds" in found else "fails" if found == {"fails"} else "open"


def _find(claim: Claim, group: _Group, runs: Mapping[str, Mapping[int, dict]]) -> _Finding:
    outcomes, matches, words = {}, False, []
    for threshold in claim.rule.thresholds:
        near, figures = _figures(claim, runs, threshold)
        if isinstance(claim.rule, Match):
            outcome, text = "holds" if near else "fails", figures
        else:
            outcome, text = _compare(claim.rule, runs, threshold)
            if group.like_the_paper and figures:
                text += f"; {figures}"
        outcomes[threshold] = outcome
        matches |= near and outcome == "holds" and group.like_the_paper
        words.append(f"{THRESHOLD_TITLES[threshold]} {_OUTCOMES[outcome]} ({text})")
    n_seeds = len(next(iter(runs.values())))
    return _Finding(group, outcomes, matches, f"{group.title}, {n_seeds} seeds: {', '.join(words)}.")


def _value(run: Mapping[str, object], metric: str, threshold: str) -> float:
    value = run["metrics"]["test"][threshold].get(metric)
    return np.nan if value is None else float(value)


def _figures(claim: Claim, runs: Mapping[str, Mapping[int, dict]], threshold: str) -> tuple[bool, str]:
    """Whether ours are within :data:`FIGURE_MARGIN` of the claim's printed figures, and both."""
    near, words = True, []
    for setting, name in claim.figures:
        metric, printed = METRIC_OF[name], PRINTED[setting][name]
        ours = float(np.mean([_value(run, metric, threshold) for run in runs[setting].values()]))
        low, high = printed_range(printed)
        near &= low - FIGURE_MARGIN <= ours <= high + FIGURE_MARGIN
        words.append(f"{METRIC_TITLES[metric]} {ours:.4f}, the paper prints {printed}")
    return bool(near), ", ".join(words)


class _Difference(NamedTuple):
    """How much more of a metric the first setting has than the second, with its interval."""

    metric: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    over: str

    def __str__(self) -> str:
        return (
            f"{METRIC_TITLES[self.metric]}, {self.first} - {self.second} = {self.difference:+.4f} "
            f"[{self.low:+.4f}, {self.high:+.4f}] over {self.over}"
        )


def _compare(rule: Order | Spread, runs: Mapping[str, Mapping[int, dict]], threshold: str) -> tuple[str, str]:
    """Holds, fails or open at one threshold, and the differences that decide it."""
    if isinstance(rule, Order):
        pairs = [(c.setting, other, metric) for c in rule.comparisons for metric in c.metrics for other in c.against]
    else:
        pairs = [(*two, metric) for metric in rule.metrics for two in itertools.combinations(rule.settings, 2)]
    rows = [_difference(runs, *pair, threshold, level=1 - 0.05 / len(pairs)) for pair in pairs]

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


def _difference(
    runs: Mapping[str, Mapping[int, dict]], first: str, second: str, metric: str, threshold: str, level: float
) -> _Difference:
    """From replicates of the same resampled documents where every run has them, else from the paired seeds."""
    ours, theirs = list(runs[first].values()), list(runs[second].values())
    name = metric if metric.startswith("average_precision") else f"{metric}@{threshold}"
    by_seed = np.array([_value(a, metric, threshold) - _value(b, metric, threshold) for a, b in zip(ours, theirs)])
    if np.isnan(by_seed).any():
        return _Difference(metric, first, second, np.nan, np.nan, np.nan, "nothing: it is not defined in every run")
    if all(name in run["bootstrap"]["replicates"] for run in ours + theirs):
        means = [
            np.mean([np.array(run["bootstrap"]["replicates"][name], dtype=float) for run in side], axis=0)
            for side in (ours, theirs)
        ]
        found, over = paired_difference(*means, level=level), "documents"
    else:
        found, over = seed_interval(by_seed, level), "seeds"
    return _Difference(metric, first, second, float(by_seed.mean()), found["low"], found["high"], over)


def _mechanism() -> tuple[str, str, str]:
    """Claim C10 from Eq. 2 and 3 and the counts of the corpus's genres; no run is needed."""
    counts = np.array(list(genre_counts().values()))
    frequent, rare = counts.argmax(), counts.argmin()
    words, less = [], []
    for name, options in {
        "Gamma n/mean in [0.5, 5]": {},
        "Eq. 2 to the letter": {"normalization": "documents", "bounds": None},
    }.items():
        gamma = class_gamma(counts, N_MOVIES_WITH_GENRE, **options)[[frequent, rare]]
        gradient = positive_gradient(gamma)
        less.append(gradient[1] < gradient[0])
        words.append(
            f"{name}: at p = 0.5, where a head without bias starts, the gradient of a positive is {gradient[0]:.2g} "
            f"for the most frequent genre (gamma {gamma[0]:.3g}), {gradient[1]:.2g} for the rarest ({gamma[1]:.3g})."
        )
        if not options:
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
    """The p below which the larger gamma gives a positive the larger gradient."""

    def excess(logit: float) -> float:
        return float(positive_gradient(large, logit) - positive_gradient(small, logit))

    return float(expit(brentq(excess, -6.0, 0.0)))


#: Encoders of one design; any other is named by what its name begins with.
_DESIGNS = {"minilm": "bert", "tiny": "bert"}


def _architectures(rule: Architectures, groups: Sequence[_Group]) -> tuple[str, str, str]:
    """Claim C11: the designs of the encoders that the loss has tuned, converged or not."""
    used = [group for group in groups if any(run["loss"]["name"] == rule.loss for run in group.runs)]
    tuned = sorted({group.encoder for group in used if group.method == "fine_tune"})
    frozen = sorted({group.encoder for group in used if group.method != "fine_tune"})
    designs = {_DESIGNS.get(name, name.split("-")[0]) for name in tuned}
    evidence = (
        "A Trainer takes the loss as one argument, compute_loss_func=loss.for_trainer(). "
        f"Encoders tuned with it: {', '.join(tuned) or 'none'}; frozen under it: {', '.join(frozen) or 'none'}. "
        f"{rule.at_least} designs would show the direction, and no number of them 'any'."
    )
    verdict = "reproduced in direction" if len(designs) >= rule.at_least else "not yet tested"
    return verdict, "" if verdict == "not yet tested" else "ours", evidence
