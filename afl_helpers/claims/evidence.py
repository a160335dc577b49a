"""What the runs say about two settings: the runs that count for a claim, and the differences between them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from afl_helpers.claims.definitions import METRIC_TITLES
from afl_helpers.evaluation import seed_interval
from afl_helpers.results import Result
from afl_helpers.results.recorded import recorded_interval

#: seed -> run
RunsBySeed = Mapping[int, Result]


class Group(NamedTuple):
    """The runs of one study, corpus, encoder and method."""

    study: str
    corpus: str
    encoder: str | None
    method: str
    runs: list[Result]

    @property
    def title(self) -> str:
        return f"{self.study} ({self.corpus}, {self.encoder or self.method}, {self.method})"

    @property
    def like_the_paper(self) -> bool:
        """Whether texts, encoder and method are the paper's."""
        reduced = any("n_documents" in run.data.options for run in self.runs)
        return (self.corpus, self.encoder, self.method) == ("cmu", "bert-base-uncased", "fine_tune") and not reduced

    @property
    def data_set(self) -> str:
        """The data set of the labels: texts with the same labels (plain, masked or shortened) are one data set."""
        return self.corpus.split("-")[0]

    def converged(self, settings: Sequence[str]) -> dict[str, dict[int, Result]] | None:
        """Return setting -> seed -> run, for the seeds that converged in every setting; None if a setting has no run."""
        runs: dict[str, dict[int, Result]] = {name: {} for name in settings}
        for run in self.runs:
            if run.setting in runs:
                runs[run.setting][run.seed] = run
        if not all(runs.values()):
            return None
        seeds = sorted(
            seed
            for seed in set.intersection(*(set(by_seed) for by_seed in runs.values()))
            if all(by_seed[seed].time.converged is not False for by_seed in runs.values())
        )
        return {name: {seed: by_seed[seed] for seed in seeds} for name, by_seed in runs.items()}


def group_runs(results: Iterable[Result]) -> list[Group]:
    """Group the runs that can decide a claim; the generated corpus and the random encoder decide nothing."""
    groups: dict[tuple[str, str, str | None, str], list[Result]] = {}
    for run in results:
        if run.data.corpus != "toy" and run.encoder != "tiny":
            groups.setdefault((run.study, run.data.corpus, run.encoder, run.method), []).append(run)
    return [Group(*key, runs) for key, runs in groups.items()]


def value(run: Result, metric: str, rule: str) -> float:
    """Return a test metric, or NaN if the run does not have it."""
    return run.metrics["test"][rule].get(metric, math.nan)


class Difference(NamedTuple):
    """By how much the first setting exceeds the second in a metric, with the interval."""

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


def difference(
    runs: Mapping[str, RunsBySeed], first: str, second: str, metric: str, rule: str, family: int
) -> Difference:
    """Compare two settings in one metric.

    The interval is the recorded one over documents if there is one, else Student's t over the paired seeds. Its level is
    1 - 0.05 / ``family``.
    """
    ours, theirs = runs[first], runs[second]
    by_seed = np.array([value(ours[seed], metric, rule) - value(theirs[seed], metric, rule) for seed in ours])
    if np.isnan(by_seed).any():
        return Difference(metric, first, second, np.nan, np.nan, np.nan, "nothing: it is not defined in every run")
    one = next(iter(ours.values()))
    name = metric if metric.startswith("average_precision") else f"{metric}@{rule}"
    recorded = recorded_interval("verdict", one.study, one.data.corpus, name, first, second, list(ours), family)
    found, over = (seed_interval(by_seed, 1 - 0.05 / family), "seeds") if recorded is None else (recorded, "documents")
    return Difference(metric, first, second, float(by_seed.mean()), found["low"], found["high"], over)
