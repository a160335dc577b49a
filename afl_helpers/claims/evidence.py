"""What the runs say about a rule: which runs count, and the comparisons between them."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import pandas as pd

from afl_helpers.claims.definitions import (
    CONTROLS,
    GAMMA_READINGS,
    MARGIN,
    Comparison,
    Order,
    Spread,
)
from afl_helpers.errors import DataError
from afl_helpers.results import Result, compare
from afl_helpers.results.comparison import replicate
from afl_helpers.results.titles import endpoint_title

#: Where runs were made, nearest to the paper first.
LEVELS = ("the paper's", "tuned encoder", "frozen encoder")

#: What the paper states about its training (section V-A), as fields of a configuration.
PAPER_CONFIG = {
    "learning_rate": 2e-5,
    "batch_size": 16,
    "schedule": "cosine",
    "warmup_steps": 500,
    "epochs": 100,
    "keep": "best",
}

#: A study with fewer blocks or seeds than this decides nothing.
MIN_REPLICATES = 2

#: setting -> block or seed -> run
Runs = Mapping[str, Mapping[int, Result]]


def _trained_with(run: Result) -> dict[str, object]:
    """Return a run's configuration; a small card sums the gradients of several steps to the same batch."""
    batch = run.config.get("batch_size", 0) * run.config.get("accumulation_steps", 1)
    return {"keep": "best"} | run.config | {"batch_size": batch}


class Group(NamedTuple):
    """The runs of one study, corpus, encoder and method."""

    study: str
    corpus: str
    encoder: str | None
    method: str
    runs: list[Result]

    @property
    def unit(self) -> Literal["block", "seed"]:
        return "block" if all(run.block is not None for run in self.runs) else "seed"

    @property
    def has_one_split(self) -> bool:
        """Whether all runs have one split of the documents, and vary the seed alone; such runs decide nothing.

        An official split that leaves validation to be drawn gives each block other training counts.
        """
        blocks = {run.block for run in self.runs}
        splits = {tuple(run.labels.training_count.tolist()) for run in self.runs}
        official = all(run.data.options.get("official_split") for run in self.runs)
        return None in blocks or (official and len(blocks) > 1 and len(splits) == 1)

    @property
    def level(self) -> str:
        """Which of :data:`LEVELS` the runs were made at; empty for a method without an encoder."""
        if self.like_the_paper:
            return "the paper's"
        return {"fine_tune": "tuned encoder", "probe": "frozen encoder"}.get(self.method, "")

    @property
    def training(self) -> str:
        """How long the encoder was tuned, such as ``", 15 epochs"``; empty where it was not, or not equally long."""
        epochs = {run.config.get("epochs") for run in self.runs} - {None}
        return f", {epochs.pop()} epochs" if self.method == "fine_tune" and len(epochs) == 1 else ""

    @property
    def like_the_paper(self) -> bool:
        """Whether texts, encoder, method and training are the paper's."""
        if (self.corpus, self.encoder, self.method) != ("cmu", "bert-base-uncased", "fine_tune"):
            return False
        reduced = ("n_documents", "train", "validation")
        return all(
            not any(run.data.options.get(name) for name in reduced)
            and all(_trained_with(run).get(name) == value for name, value in PAPER_CONFIG.items())
            for run in self.runs
        )

    @property
    def data_set(self) -> str:
        """The data set of the labels: texts with the same labels (plain, masked or shortened) are one data set."""
        return self.corpus.split("-")[0]

    def paired(self, settings: Sequence[str]) -> Runs | None:
        """Return setting -> block or seed -> run, for those that converged in every setting; None without a setting."""
        runs: dict[str, dict[int, Result]] = {name: {} for name in settings}
        for run in self.runs:
            if run.setting in runs:
                runs[run.setting][replicate(run)] = run
        if not all(runs.values()):
            return None
        shared = sorted(
            replicate
            for replicate in set.intersection(*(set(of_setting) for of_setting in runs.values()))
            if all(of_setting[replicate].time.converged is not False for of_setting in runs.values())
        )
        return {name: {replicate: of_setting[replicate] for replicate in shared} for name, of_setting in runs.items()}


def group_runs(results: Iterable[Result]) -> list[Group]:
    """Group the runs that can decide a claim; the generated corpus and the random encoder decide nothing."""
    groups: dict[tuple[str, str, str | None, str], list[Result]] = {}
    for run in results:
        if run.data.corpus != "toy" and run.encoder != "tiny":
            groups.setdefault((run.study, run.data.corpus, run.encoder, run.method), []).append(run)
    found = [Group(*key, runs) for key, runs in groups.items()]
    return [group for group in found if group.level]


@dataclass(frozen=True, eq=False)
class Finding:
    """What one group of runs says about a rule under one reading of Eq. 2.

    Attributes:
        reading: of :data:`GAMMA_READINGS`; empty if the rule is about no adaptive loss.
        n: number of blocks or seeds.
        outcomes: alternative of the rule -> "holds", "fails" or "undecided".
        rows: rows of :func:`~afl_helpers.results.compare`, with the alternative that each belongs to.
        controls: the same for the controls of the reading.
        is_spread: whether the rule is about how far apart settings are, whichever is higher.
    """

    group: Group
    reading: str
    n: int
    outcomes: dict[str, str]
    rows: pd.DataFrame
    controls: pd.DataFrame
    is_spread: bool = False

    @property
    def outcome(self) -> str:
        """Whether the rule holds in some alternative, fails in all, or is undecided."""
        found = set(self.outcomes.values())
        return "holds" if "holds" in found else "fails" if found == {"fails"} else "undecided"

    @property
    def title(self) -> str:
        return f"{self.group.study} on {self.group.corpus} ({self.group.encoder}, {self.n} {self.group.unit}s)"


def find(rule: Order | Spread, group: Group) -> tuple[list[Finding], str]:
    """Return what a group says about a rule, reading by reading; or nothing, and why it does not count."""
    found = list(_order(rule, group) if isinstance(rule, Order) else _spread(rule, group))
    reasons = dict.fromkeys(one for one in found if isinstance(one, str))
    return [one for one in found if isinstance(one, Finding)], "; ".join(reasons)


def _order(rule: Order, group: Group) -> Iterable[Finding | str]:
    readings = GAMMA_READINGS if "afl" in rule.settings else {"": "afl"}
    paired: dict[str, Runs] = {}
    for reading, own in readings.items():
        runs = group.paired([own if name == "afl" else name for name in rule.settings])
        if runs is None:
            continue
        if len(next(iter(runs.values()))) < MIN_REPLICATES:
            yield f"fewer than {MIN_REPLICATES} {group.unit}s converged"
            continue
        paired[reading] = runs
    # Settings with the same blocks are compared in one call, so that its family contains all readings.
    by_replicates: dict[tuple[int, ...], list[str]] = {}
    for reading, runs in paired.items():
        by_replicates.setdefault(tuple(next(iter(runs.values()))), []).append(reading)
    for replicates, together in by_replicates.items():
        try:
            tables = _compare_all(rule, group, [readings[name] for name in together], paired, together)
        except DataError as error:
            yield str(error)
            continue
        for reading in together:
            own = readings[reading]
            rows, outcomes = [], {}
            for alternative, comparisons in rule.alternatives.items():
                parts = [_rows_of(tables[_key(c)], _swap(c, own)).assign(alternative=alternative) for c in comparisons]
                rows += parts
                outcomes[alternative] = conjunction([o for part in parts for o in part["holds"]])
            yield Finding(
                group,
                reading,
                len(replicates),
                outcomes,
                pd.concat(rows, ignore_index=True),
                _controls(rule, group, own) if reading else pd.DataFrame(),
            )


_Key = tuple[str, tuple[str, ...], float, str]


def _key(comparison: Comparison) -> _Key:
    """What the alternatives of one comparison have in common."""
    return comparison.setting, comparison.against, comparison.margin, comparison.wanted


def _compare_all(
    rule: Order, group: Group, settings: Sequence[str], paired: Mapping[str, Runs], together: Sequence[str]
) -> dict[_Key, pd.DataFrame]:
    """Make each comparison of a rule for all readings and alternatives at once; they are its family."""
    runs = {id(run): run for name in together for of_setting in paired[name].values() for run in of_setting.values()}
    endpoints: dict[_Key, list[str]] = {}
    for comparison in rule.comparisons:
        endpoints.setdefault(_key(comparison), []).extend(comparison.endpoints)
    tables = {}
    for key, names in endpoints.items():
        setting, against, margin, _ = key
        tested = settings if setting == "afl" else [setting]
        rivals = dict.fromkeys(r for rival in against for r in (settings if rival == "afl" else [rival]))
        tables[key] = compare(
            list(runs.values()),
            list(tested),
            list(rivals),
            list(dict.fromkeys(names)),
            unit=group.unit,
            margin=margin,
            family="all readings, rivals, metrics and thresholds of one comparison of the claim",
        )
    return tables


def _swap(comparison: Comparison, own: str) -> Comparison:
    setting, *against = (own if name == "afl" else name for name in (comparison.setting, *comparison.against))
    return replace(comparison, setting=setting, against=tuple(against))


def _rows_of(table: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    own = (
        (table["setting"] == comparison.setting)
        & table["rival"].isin(comparison.against)
        & table["endpoint"].isin(comparison.endpoints)
    )
    rows = table[own].copy()
    return rows.assign(holds=[row_outcome(outcome, comparison.wanted) for outcome in rows["outcome"]])


def row_outcome(outcome: str, wanted: str = "higher") -> str:
    """Return whether one comparison holds, fails or is undecided, by the outcome of :func:`~afl_helpers.results.compare`."""
    good = {"higher"} if wanted == "higher" else {"higher", "within the margin"}
    return "undecided" if outcome == "undecided" else "holds" if outcome in good else "fails"


def conjunction(outcomes: Sequence[str]) -> str:
    """Return the outcome of several that must all hold."""
    return "fails" if "fails" in outcomes else "undecided" if "undecided" in outcomes else "holds"


def _controls(rule: Order, group: Group, own: str) -> pd.DataFrame:
    """Compare one reading with its controls, in the endpoints of the rule; empty without runs of a control."""
    there = {run.setting for run in group.runs}
    controls = [name for name in CONTROLS[own] if name in there]
    endpoints = dict.fromkeys(e for c in rule.comparisons if c.setting == "afl" for e in c.endpoints)
    runs = group.paired([own, *controls]) if controls else None
    if runs is None or not endpoints or len(runs[own]) < MIN_REPLICATES:
        return pd.DataFrame()
    flat = [run for of_setting in runs.values() for run in of_setting.values()]
    try:
        family = "all controls and endpoints of one reading"
        return compare(flat, own, controls, list(endpoints), unit=group.unit, margin=MARGIN, family=family)
    except DataError:
        return pd.DataFrame()


def _spread(rule: Spread, group: Group) -> Iterable[Finding | str]:
    runs = group.paired(rule.settings)
    if runs is None:
        return
    n = len(next(iter(runs.values())))
    if n < MIN_REPLICATES:
        yield f"fewer than {MIN_REPLICATES} {group.unit}s converged"
        return
    flat = [run for of_setting in runs.values() for run in of_setting.values()]
    pairs = list(itertools.combinations(rule.settings, 2))
    # Bonferroni's correction, so that the interval says the same as the outcome.
    level = 1 - 0.05 / (len(pairs) * len(rule.endpoints))
    try:
        rivals: dict[str, list[str]] = {}
        for first, second in pairs:
            rivals.setdefault(first, []).append(second)
        table = compare(
            flat, [*rivals], rivals, rule.endpoints, unit=group.unit, margin=MARGIN, correction="none", level=level
        )
    except DataError as error:
        yield str(error)
        return
    table["alternative"] = [endpoint_title(endpoint) for endpoint in table["endpoint"]]
    apart = table["outcome"].isin(["higher", "lower"]) & (table["estimate"].abs() > MARGIN)
    table["holds"] = ["holds" if far == rule.large else "fails" for far in apart]
    table.loc[~apart & (table["outcome"] != "within the margin"), "holds"] = "undecided"
    outcomes = {}
    for name, rows in table.groupby("alternative", sort=False):
        far, near = apart[rows.index].any(), (rows["outcome"] == "within the margin").all()
        outcomes[str(name)] = "undecided" if not (far or near) else "holds" if far == rule.large else "fails"
    yield Finding(group, "", n, outcomes, table, pd.DataFrame(), is_spread=True)
