"""Recorded intervals of the first studies. New studies are compared by ``comparison``."""

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from afl_helpers.errors import DataError
from afl_helpers.results.files import find_results
from afl_helpers.results.schema import Result

#: Bootstrap intervals of the first studies, whose files no longer hold the replicates that they came from.
RECORDED_INTERVALS = "recorded-intervals.csv"

_RECORDED_KEY = ["study", "corpus", "metric", "setting", "comparison", "seeds", "family"]


@cache
def recorded_intervals(path: Path) -> dict[tuple[str | int, ...], dict[str, float]]:
    """Read the table of recorded intervals, one row per comparison that a page shows.

    Its columns are ``study, corpus, metric, setting, comparison, seeds`` (separated by blanks), ``family`` (how many comparisons share the error of 5 %, by Bonferroni's correction), and the interval:
    ``low, high`` and ``p_value``, which is not corrected.

    Returns:
        The values of the columns ``study`` to ``family`` -> ``low, high, p_value``.
    """
    rows = pd.read_csv(path, dtype={"seeds": str}).to_dict("records")
    return {
        tuple(row[column] for column in _RECORDED_KEY): {name: row[name] for name in ("low", "high", "p_value")}
        for row in rows
    }


def recorded_interval(
    study: str, corpus: str, metric: str, setting: str, comparison: str, seeds: Sequence[int], family: int
) -> dict[str, float] | None:
    """Return ``low, high, p_value`` of one recorded comparison, or None where it is not on record."""
    path = find_results() / RECORDED_INTERVALS
    if not path.is_file():
        return None
    key = (study, corpus, metric, setting, comparison, " ".join(map(str, seeds)), family)
    return recorded_intervals(path).get(key)


def paired_differences(
    results: Sequence[Result],
    setting: str | Sequence[str],
    against: Sequence[str],
    metrics: Sequence[str],
    seeds: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Tabulate how much better settings are than others, with the recorded simultaneous 95 % intervals.

    The difference is the mean over seeds of ``setting`` minus that of each other setting. The intervals come from
    bootstrap samples of the test documents, widened for the number of comparisons of this call (Bonferroni: each at
    1 - 0.05 / rows). They do not contain the scatter between splits.

    Args:
        results: the runs of one study.
        setting: its name, or several.
        against: names of settings; ``"bce@tuned_proportional"`` is taken under that threshold rule, whichever the metric
            names, and is compared in metrics of decisions only.
        metrics: such as ``"f1_macro@tuned_common"`` or ``"average_precision_macro"``.
        seeds: only these. Without it all seeds, which must be the same for both sides.

    Returns:
        One row per corpus, metric, setting and comparison: ``corpus, metric, setting, comparison, difference, low, high,
        p_value``, the last not corrected.

    Raises:
        DataError: a run is missing, or the interval of a comparison is not on record.
    """
    corpora = list(dict.fromkeys(result.data.corpus for result in results))
    settings = [setting] if isinstance(setting, str) else list(setting)
    keys = [
        (corpus, metric, own, other)
        for corpus, metric, own, other in itertools.product(corpora, metrics, settings, against)
        if own != other and ("@" in metric or "@" not in other)
    ]
    rows = []
    for corpus, metric, own, other in keys:
        name, _, rule = other.partition("@")
        other_metric = f"{metric.partition('@')[0]}@{rule}" if rule else metric
        ours, theirs = (runs_by_seed(results, corpus, one, seeds) for one in (own, name))
        if set(ours) != set(theirs):
            raise DataError(
                f"on corpus {corpus!r}, {own!r} has seeds {sorted(ours)} and {name!r} {sorted(theirs)}; "
                "run what is missing, or pass the seeds that both have"
            )
        study = next(iter(ours.values())).study
        found = recorded_interval(study, corpus, metric, own, other, sorted(ours), len(keys))
        if found is None:
            raise DataError(
                f"the interval of {own!r} minus {other!r} in {metric} on {corpus!r} (study {study!r}, seeds "
                f"{sorted(ours)}, {len(keys)} comparisons) is not in {RECORDED_INTERVALS}; its replicates are gone"
            )
        difference = float(np.mean([run.metric(metric) for run in ours.values()])) - float(
            np.mean([run.metric(other_metric) for run in theirs.values()])
        )
        rows.append(
            {"corpus": corpus, "metric": metric, "setting": own, "comparison": other, "difference": difference, **found}
        )
    return pd.DataFrame(rows)


def runs_by_seed(
    results: Sequence[Result], corpus: str, setting: str, seeds: Sequence[int] | None = None
) -> dict[int, Result]:
    """Return the runs of one setting on one corpus by seed: all, or exactly those asked for.

    Raises:
        DataError: there is no such run, or one of the seeds is missing.
    """
    runs = {
        result.seed: result
        for result in results
        if result.data.corpus == corpus and result.setting == setting and (seeds is None or result.seed in seeds)
    }
    if not runs or (seeds is not None and set(runs) != set(seeds)):
        which = "no run" if not runs else f"only seeds {sorted(runs)} of {sorted(seeds or ())}"
        raise DataError(f"{which} of setting {setting!r} on corpus {corpus!r} in this study; run what is missing")
    return runs
