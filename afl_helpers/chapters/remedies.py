"""What the chapter on remedies shows: the runs that count, effects, controls and costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from afl_helpers.augment import AUGMENTATIONS
from afl_helpers.chapters.figures import RULE_TITLES, title_of
from afl_helpers.data.imbalance import mean_imbalance_ratio
from afl_helpers.results import Result, compare, deciding_interval, find_results, read_study
from afl_helpers.studies import Study, compare_study, describe_convergence, describe_progress, load_study

#: What the pages on remedies call the corpora, in this order, and the endpoints of the registered comparison.
CORPORA = {
    "cmu-leads": "film genres",
    "cmu-leads-masked": "film genres, masked",
    "reuters": "news topics",
    "hoc-nodes": "cancer, 37 nodes",
}
ENDPOINTS = {
    "average_precision_macro_tail": "average precision, tail",
    "f1_macro@tuned_proportional": "macro F1, the cut",
}

#: What tuning maximises on validation.
_TUNED_BY = "average_precision_weighted"


class Evidence(NamedTuple):
    """The runs of a study that a page may show, and how far the study is.

    Attributes:
        study: the study.
        runs: those of all its blocks; none until the registered comparison is complete.
        state: how far that is, in a sentence.
    """

    study: Study
    runs: list[Result]
    state: str


def read_evidence(name: str = "remedies", folder: str | Path | None = None) -> Evidence:
    """Read what may be shown of a study of remedies: nothing until its registered comparison is complete.

    Args:
        name: of a study that declares a primary comparison.
        folder: the folder of the studies; the nearest one unless given.
    """
    folder = find_results() if folder is None else Path(folder)
    study = load_study(name, folder)
    progress = describe_progress(study)
    if progress is not None:
        return Evidence(
            study, [], f"The registered comparison of {name} is {progress}; it is shown when it is complete."
        )
    blocks = len({run.block for run in study.runs() if run.block is not None})
    where = f"{blocks} blocks of {len(study.corpora)} corpora"
    state = f"The registered comparison of {name} is complete: {where}. {describe_convergence(study)}".strip()
    return Evidence(study, read_study(name, folder), state)


def effects(evidence: Evidence) -> pd.DataFrame:
    """Return the registered comparison, every remedy with cross-entropy; no rows until it is complete."""
    return compare_study(evidence.study) if evidence.runs else pd.DataFrame()


def rule_effects(evidence: Evidence, rules: Sequence[str], rival: str = "tuned_common") -> pd.DataFrame:
    """Compare threshold rules on plain cross-entropy in macro F1, each minus one threshold tuned for micro F1.

    Returns:
        Rows of :func:`afl_helpers.results.compare` with ``rule``, and with the columns that
        :func:`afl_helpers.chapters.figures.differences` draws: ``low`` and ``high`` are those of the deciding test.
        Exploratory.
    """
    if not evidence.runs:
        return pd.DataFrame()
    table = compare(
        evidence.runs,
        [f"bce@{rule}" for rule in rules],
        [f"bce@{rival}"],
        [f"f1_macro@{rival}"],
        margin=evidence.study.primary.margin if evidence.study.primary else 0.0,
        family=("corpus",),
    )
    intervals = [deciding_interval(row)[:2] for row in table.to_dict("records")]
    names = table["setting"].str.partition("@")[2]
    low, high = zip(*intervals)
    return table.assign(rule=names, comparison=names.map(RULE_TITLES), difference=table["estimate"], low=low, high=high)


def later_effects(
    runs: Sequence[Result],
    settings: Mapping[str, Sequence[str]],
    rival: str,
    endpoints: Sequence[str],
    n_blocks: int,
    margin: float = 0.02,
) -> pd.DataFrame:
    """Compare settings that are no part of a registered comparison with a baseline.

    Args:
        runs: of one study.
        settings: by corpus.
        rival: the baseline.
        endpoints: as :func:`afl_helpers.results.compare` takes them.
        n_blocks: blocks 1 to ``n_blocks`` count.
        margin: below which a difference does not matter.

    Returns:
        Rows of :func:`afl_helpers.results.compare`, without a correction for their number; none while a setting lacks a
        block.
    """
    tables, blocks = [], {*range(1, n_blocks + 1)}
    for corpus, names in settings.items():
        own = [run for run in runs if run.data.corpus == corpus and run.block in blocks]
        there = {(run.setting, run.block) for run in own}
        if not {(name, block) for name in (*names, rival) for block in blocks} <= there:
            return pd.DataFrame()
        tables.append(compare(own, list(names), [rival], list(endpoints), margin=margin, correction="none"))
    return pd.concat(tables, ignore_index=True)


def block_means(runs: Sequence[Result], endpoints: Sequence[str], n_blocks: int) -> pd.DataFrame:
    """Average endpoints over blocks, for each setting that has all of them on every corpus.

    Args:
        runs: of one study.
        endpoints: as :func:`afl_helpers.results.compare` takes them.
        n_blocks: blocks 1 to ``n_blocks`` count.

    Returns:
        A row per setting and a column per corpus and endpoint; the highest of the first column first.
    """
    values = pd.DataFrame(
        [
            {"corpus": run.data.corpus, "setting": run.setting, **{name: run.metric(name) for name in endpoints}}
            for run in runs
            if run.block in range(1, n_blocks + 1)
        ]
    )
    complete = {}
    for corpus, own in values.groupby("corpus", sort=False):
        by_setting = own.groupby("setting")[[*endpoints]]
        complete[corpus] = by_setting.mean()[by_setting.size() == n_blocks]
    means = pd.concat(complete, axis="columns").dropna()
    return means.sort_values(means.columns[0], ascending=False)


def difference_table(compared: pd.DataFrame, endpoints: Mapping[str, str], titles: Mapping[str, str]) -> pd.DataFrame:
    """Lay out differences with the intervals that decide, a row per corpus and setting and a column per endpoint.

    Args:
        compared: rows of :func:`afl_helpers.results.compare`.
        endpoints, titles: what to call each endpoint and each corpus.
    """
    ends = [deciding_interval(row)[:2] for row in compared.to_dict("records")]
    cells = [
        f"{_signed(estimate)} [{_signed(low)},\u00a0{_signed(high)}]"  # no break within an interval
        for estimate, (low, high) in zip(compared["estimate"], ends)
    ]
    rows = pd.DataFrame(
        {
            "corpus": compared["corpus"].map(titles),
            "method": compared["setting"].map(title_of),
            "endpoint": compared["endpoint"].map(endpoints),
            "difference": cells,
        }
    )
    table = rows.pivot(index=["corpus", "method"], columns="endpoint", values="difference")
    order = rows[["corpus", "method"]].drop_duplicates().itertuples(index=False, name=None)
    table.columns.name = None
    return table.reindex(index=pd.MultiIndex.from_tuples(order, names=table.index.names), columns=[*endpoints.values()])


def _signed(value: float) -> str:
    return f"{value:+z.3f}".replace("0.", ".", 1)


def control_effects(evidence: Evidence) -> pd.DataFrame:
    """Compare each remedy with its control, on the blocks in which both are there; at least two.

    Returns:
        Rows of :func:`afl_helpers.results.compare`; none where no control has run.
    """
    primary, tables = evidence.study.primary, []
    assert primary is not None
    for setting in evidence.study.settings:
        control = f"{setting.name}-control"
        for corpus in (corpus.name for corpus in evidence.study.corpora):
            own = [run for run in evidence.runs if run.data.corpus == corpus and run.setting in (setting.name, control)]
            blocks = [{run.block for run in own if run.setting == name} for name in (setting.name, control)]
            both = blocks[0] & blocks[1]
            if len(both) < 2:
                continue
            pair = [run for run in own if run.block in both]
            tables.append(
                compare(pair, setting.name, [control], primary.endpoints, margin=primary.margin, correction="none")
            )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def describe_controls(table: pd.DataFrame) -> str:
    """Return in words how remedies compare with their controls; rows as :func:`control_effects` returns them."""
    if table.empty:
        return "No control has two blocks beside its remedy yet, so we cannot yet say whether the synthetic documents make the difference."
    counts = table["outcome"].value_counts()
    n_lower, n_higher = counts.get("lower", 0), counts.get("higher", 0)
    lower, higher = (
        {title_of(name) for name in table.loc[table["outcome"] == o, "setting"]} for o in ("lower", "higher")
    )
    return (
        f"Remedy minus control, {table['setting'].nunique()} remedies on {table['corpus'].nunique()} corpora, "
        f"{table['n_blocks'].min()} blocks or more: of {len(table)} differences {counts.get('within the margin', 0)} lie "
        f"within {table['margin'].iloc[0]:g}, {n_lower} {'is' if n_lower == 1 else 'are'} lower, "
        f"{counts.get('undecided', 0)} undecided and {n_higher} higher, without a correction for their number. "
        f"Lower: {_listed(sorted(lower))}. Higher: {_listed(sorted(higher))}."
    )


def rate_effects(evidence: Evidence, same_rate: str = "bce-at-0.003") -> pd.DataFrame:
    """Compare the remedies that share one learning rate with cross-entropy at that rate and at its own.

    A remedy that tuned a rate of its own, such as a head with a hidden layer, is left out.

    Args:
        evidence: of a study of remedies.
        same_rate: its setting with cross-entropy at the rate of the remedies.

    Returns:
        One row per corpus and endpoint: ``remedies``, the median over the remedies that share the rate of their difference to
        cross-entropy, and ``same_rate``, that of cross-entropy at their rate. Exploratory.
    """
    primary, rows = evidence.study.primary, []
    assert primary is not None
    for corpus in sorted({run.data.corpus for run in evidence.runs if run.setting == same_rate}):
        own = [run for run in evidence.runs if run.data.corpus == corpus]
        remedies = {
            run.setting for run in own if run.config.get("remedy", "none") != "none" and not run.config["control"]
        }
        rates = {run.config["learning_rate"] for run in own if run.setting == same_rate}
        other_rate = {run.setting for run in own if run.config.get("learning_rate") not in rates}
        settings = [*sorted((remedies - other_rate) & {*primary.setting}), same_rate]
        found = compare(own, settings, "bce", primary.endpoints, correction="none")  # the differences alone are used
        for endpoint, part in found.groupby("endpoint"):
            is_same = part["setting"] == same_rate
            rows.append(
                {
                    "corpus": corpus,
                    "endpoint": endpoint,
                    "remedies": part.loc[~is_same, "estimate"].median(),
                    "same_rate": part.loc[is_same, "estimate"].item(),
                }
            )
    return pd.DataFrame(rows)


def describe_effects(table: pd.DataFrame) -> str:
    """Return in words which remedies help and which harm, by the rule that the study registers; rows of :func:`effects`."""
    if table.empty:
        return ""
    n, corpora = table["setting"].nunique(), table["corpus"].nunique()
    helps, harms = [], []
    for setting, rows in table.groupby("setting", sort=False):
        above = rows[(rows["outcome"] == "higher") & (rows["estimate"] > rows["margin"])]
        both = above.groupby("corpus")["endpoint"].nunique() == table["endpoint"].nunique()
        if both.sum() >= 2:
            helps.append(title_of(str(setting)))
        if (rows["outcome"] == "lower").any():
            harms.append(title_of(str(setting)))
    counts = table["outcome"].value_counts()
    within, undecided = counts.get("within the margin", 0), counts.get("undecided", 0)
    higher, lower = counts.get("higher", 0), counts.get("lower", 0)
    converged = (
        " By its own rule, the study has not converged, and gives no verdict." if "not converged" in counts else ""
    )
    seen = table.loc[table["outcome"] == "undecided", "detectable"]
    detectable = (
        f" In half of the undecided ones a true difference of {seen.median():.2f} would be seen in four of five such studies;"
        f" over all of them that difference runs from {seen.min():.2f} to {seen.max():.2f}."
        if len(seen)
        else ""
    )
    return (
        f"The registered rule asks for a gain on two of {corpora} corpora: {_listed(helps)} of {n} remedies is shown to have it. Shown to "
        f"harm in at least one comparison: {_listed(harms)}. Of {len(table)} differences {within} lie within {table['margin'].iloc[0]:g} and "
        f"{undecided} are undecided; {higher} are higher and {lower} lower.{detectable}{converged}"
    )


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names) or "none"  # names have commas


def extremes(table: pd.DataFrame, n: int = 3) -> str:
    """Return in words the remedies with the highest and the lowest mean effect over corpora and endpoints."""
    if table.empty:
        return ""
    means = table.groupby("setting")["estimate"].mean().sort_values()

    def named(part: pd.Series) -> str:
        return ", ".join(f"{title_of(str(name))} {value:+z.3f}" for name, value in part.items())

    return f"Highest mean effect: {named(means[::-1][:n])}. Lowest: {named(means[:n])}."


def mean_effects(evidence: Evidence, endpoints: Mapping[str, str]) -> pd.DataFrame:
    """Average each remedy minus cross-entropy over the corpora, for any endpoints. Exploratory: no test is made.

    Args:
        evidence: of a study of remedies.
        endpoints: as :func:`afl_helpers.results.compare` takes them, and what to call each.

    Returns:
        One row per setting of the registered comparison, index its title, and a column per endpoint.
    """
    primary = evidence.study.primary
    assert primary is not None
    if not evidence.runs:
        return pd.DataFrame()
    found = compare(evidence.runs, primary.setting, primary.against, list(endpoints), correction="none")
    means = found.pivot_table(index="setting", columns="endpoint", values="estimate")
    return means.loc[list(primary.setting), list(endpoints)].rename(index=title_of, columns=endpoints)


def costs(evidence: Evidence) -> pd.DataFrame:
    """Return what each remedy costs beside cross-entropy, and what it does to the training documents.

    Returns:
        One row per setting of the registered comparison, index its title: time as a multiple of that of cross-entropy in
        the same block, the median over blocks and corpora; the shares of documents that are copies or made, and
        of originals that are left out; and MeanIR of the documents that were trained on, as a share of that before.
    """
    rows = []
    seconds = {
        (run.data.corpus, run.block): run.time.seconds
        for run in evidence.runs
        if run.setting == "bce" and run.time.seconds
    }
    primary = evidence.study.primary
    assert primary is not None
    for run in evidence.runs:
        if run.setting not in primary.setting or (run.data.corpus, run.block) not in seconds:
            continue
        history = run.time.history or {}
        rows.append(
            {
                "remedy": title_of(run.setting),
                "time / time of BCE": run.time.seconds / seconds[run.data.corpus, run.block],
                "copied or made": float(np.mean(history.get("added", [np.nan]))),
                "left out": float(np.mean(history.get("dropped", [np.nan]))),
                "MeanIR / before": float(np.mean(history.get("mean_ir", [np.nan])))
                / mean_imbalance_ratio(run.labels.training_count),
            }
        )
    if not rows:
        return pd.DataFrame()
    return pd.DataFrame(rows).groupby("remedy", sort=False).median()


def mildest(evidence: Evidence) -> pd.DataFrame:
    """Return for which remedies tuning found nothing better than the least of the remedy that it tried.

    Remedies of :data:`afl_helpers.augment.AUGMENTATIONS` count where one number says how much of them there is: at its
    neutral value the remedy does nothing.

    Returns:
        Columns ``corpus, setting, least``: whether the value nearest to the neutral one is as good as any.
    """
    rows = {}
    for run in evidence.runs:
        info = AUGMENTATIONS.get(str(run.config.get("remedy")))
        if info is None or info.tuned not in info.neutral or not run.tuned or run.config.get("control"):
            continue
        neutral, best = float(info.neutral[info.tuned]), max(row[_TUNED_BY] for row in run.tuned)
        nearest = (min if neutral == 0 else max)(run.tuned, key=lambda row: row["value"])
        rows[run.data.corpus, run.setting] = nearest[_TUNED_BY] == best
    found = [(*key, least) for key, least in rows.items()]
    return pd.DataFrame(found, columns=["corpus", "setting", "least"])


def strengths(evidence: Evidence, titles: Mapping[str, str]) -> pd.DataFrame:
    """Return how strong each remedy that changes documents is by default, and how strong tuning made it.

    Args:
        evidence: of a study of remedies.
        titles: what to call each corpus, in the order of the columns.

    Returns:
        One row per setting with a tuned parameter, in the order of the study, index its title: ``parameter``,
        ``default``, that of the class, and a column per corpus. Numbers are strings, empty where nothing was tuned.
    """
    rows: dict[str, dict[str, str]] = {}
    for run in evidence.runs:
        info = AUGMENTATIONS.get(str(run.config.get("remedy")))
        if info is None or not run.tuned or run.config.get("control"):
            continue
        default = getattr(info.build(**info.fixed), info.tuned)
        row = rows.setdefault(
            run.setting, {"parameter": info.tuned, "default": "by a rule" if default is None else f"{default:g}"}
        )
        row[titles[run.data.corpus]] = f"{run.config['value']:g}"
    in_order = {setting.name: rows[setting.name] for setting in evidence.study.settings if setting.name in rows}
    table = pd.DataFrame(in_order, index=["parameter", "default", *titles.values()])
    return table.T.fillna("").rename(index=title_of)


def describe_mildest(table: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Return in words how often tuning chose the least of a remedy.

    Args:
        table: rows as :func:`mildest` returns them.
        titles: what to call each corpus.
    """
    n_least, n = (table.groupby("corpus")["least"].agg(how).to_dict() for how in ("sum", "size"))
    counts = "; ".join(
        f"{n_least[corpus]} of {n[corpus]} on {title}" for corpus, title in titles.items() if corpus in n
    )
    return (
        f"Of the remedies that change documents, tuning chose the lowest strength that it tried for {counts}."
        if counts
        else ""
    )
