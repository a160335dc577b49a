"""Figures of studies: settings under each threshold rule, differences with intervals, ranks, predictions by frequency."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from afl_helpers.chapters.figures.ranking import ranks
from afl_helpers.chapters.figures.style import (
    PALETTE,
    RULE_TITLES,
    TRAINING_DOCUMENTS,
    legend_above,
    look_at,
    one_panel,
    panels,
    title_of,
)
from afl_helpers.errors import UsageError
from afl_helpers.results import Result, deciding_interval

#: Edges of the bins of training counts.
COUNT_EDGES = (1, 3, 10, 30, 100, 300, 1000, 3000, 1_000_000)


def by_threshold_rule(
    table: pd.DataFrame, settings: Sequence[str], metric: str = "f1_macro", ylabel: str = "macro F1 on test"
) -> Figure:
    """Draw one metric under each threshold rule: points are seeds, bars their means.

    Args:
        table: Rows of :func:`afl_helpers.results.results_table` for one corpus and method; the rules that it holds are
            drawn.
        settings: Settings to draw, from left to right. Colours are by position.
        metric: Column of the table.
        ylabel: Label of the y axis.
    """
    figure, axes = one_panel(figsize=(7.6, 4.0))
    rules = [rule for rule in RULE_TITLES if rule in set(table["thresholds"])]
    for i, setting in enumerate(settings):
        look = look_at(i)
        for j, rule in enumerate(rules):
            values = table[(table["setting"] == setting) & (table["thresholds"] == rule)][metric]
            x = j + (i - (len(settings) - 1) / 2) * 0.8 / len(settings)
            axes.plot([x] * len(values), values, look.marker, color=look.colour, markersize=4, alpha=0.8)
            axes.plot(
                [x - 0.05, x + 0.05],
                [values.mean()] * 2,
                color=look.colour,
                linestyle=look.line,
                linewidth=2.5,
                label=title_of(setting) if j == 0 else None,
            )
    axes.set_xticks(range(len(rules)), [RULE_TITLES[rule] for rule in rules])
    axes.set(ylabel=ylabel, ylim=(0, None))
    axes.grid(False, axis="x")
    axes.legend(ncols=3, fontsize=9)
    return figure


def panels_by_rule(
    tables: Mapping[str, pd.DataFrame],
    settings: Sequence[str],
    rules: Sequence[str] = ("tuned_common", "tuned_proportional"),
    metric: str = "f1_macro",
    ylabel: str = "macro F1 on test",
) -> Figure:
    """Draw one metric of each setting under some threshold rules, one panel per table; points are seeds.

    Args:
        tables: Title of a panel -> rows of :func:`afl_helpers.results.results_table` for one corpus and method.
        settings: Settings to draw, from left to right.
        rules: Threshold rules, each with a colour and marker.
        metric: Column of the tables.
        ylabel: Label of the y axis.
    """
    figure, all_axes = panels(len(tables), figsize=(max(7.6, 2.9 * len(tables)), 3.8), sharey=True)
    for axes, (title, table) in zip(all_axes, tables.items()):
        for rule, colour, marker in zip(rules, PALETTE, "os^vDPX"):
            for x, setting in enumerate(settings):
                values = table[(table["setting"] == setting) & (table["thresholds"] == rule)][metric]
                axes.plot([x] * len(values), values, marker, color=colour, markersize=5, alpha=0.8)
            axes.plot([], [], marker, color=colour, linestyle="none", label=RULE_TITLES[rule])
        axes.set_xticks(range(len(settings)), [title_of(setting) for setting in settings], rotation=35, ha="right")
        axes.set_title(title)
        axes.set(xlim=(-0.5, len(settings) - 0.5))
    all_axes[0].set(ylabel=ylabel, ylim=(0, None))
    all_axes[-1].legend(loc="lower right", fontsize=9)
    return figure


def settings_by_rule(
    tables: Mapping[str, pd.DataFrame],
    settings: Sequence[str],
    rules: Sequence[str],
    metric: str = "f1_macro",
    ylabel: str = "macro F1 on test",
) -> Figure:
    """Draw one metric of some settings side by side under each threshold rule, one panel per table with a scale of its own.

    A point is the mean over the replicates, a line reaches from the lowest to the highest. Arguments as in
    :func:`panels_by_rule`.
    """
    figure, all_axes = panels(len(tables), figsize=(max(7.6, 2.9 * len(tables)), 3.9))
    for axes, (title, table) in zip(all_axes, tables.items()):
        for i, setting in enumerate(settings):
            look = look_at(i)
            own = table[table["setting"] == setting]
            values = [own[own["thresholds"] == rule][metric] for rule in rules]
            x = np.arange(len(rules)) + (i - (len(settings) - 1) / 2) * 0.6 / len(settings)
            axes.vlines(x, [v.min() for v in values], [v.max() for v in values], color=look.colour, linewidth=1.5)
            axes.plot(
                x, [v.mean() for v in values], look.marker, color=look.colour, markersize=6, label=title_of(setting)
            )
        names = [textwrap.fill(RULE_TITLES[rule], 12) for rule in rules]
        axes.set_xticks(range(len(rules)), names, fontsize=9)
        axes.set(title=title, xlim=(-0.5, len(rules) - 0.5))
        axes.grid(False, axis="x")
    all_axes[0].set(ylabel=ylabel)
    legend_above(figure, all_axes[0], n_columns=len(settings))
    return figure


def predicted_by_frequency(tables: Mapping[str, pd.DataFrame], edges: Sequence[float] = COUNT_EDGES) -> Figure:
    """Draw how often labels are predicted, divided by how often they should be, in bins of training counts.

    Args:
        tables: Title of a panel -> rows of :func:`afl_helpers.results.label_decisions`: one per run and label, with
            columns ``setting, training_count, predicted, expected``.
        edges: Edges of the bins, ascending.
    """
    figure, all_axes = panels(len(tables), figsize=(8.4, 3.8), sharey=True)
    for axes, (title, table) in zip(all_axes, tables.items()):
        axes.axhline(1, color="black", linewidth=1)
        for i, setting in enumerate(dict.fromkeys(table["setting"])):
            own = table[table["setting"] == setting]
            bins = pd.cut(own["training_count"], edges, right=False)
            sums = own.groupby(bins, observed=True)[["predicted", "expected"]].sum()
            centres = own.groupby(bins, observed=True)["training_count"].median()
            axes.semilogx(
                centres,
                sums["predicted"] / sums["expected"],
                marker="os^vDP"[i % 6],
                linestyle=look_at(i).line,
                color=look_at(i).colour,
                label=title_of(setting),
            )
        axes.invert_xaxis()
        axes.set(title=title)
    figure.supxlabel(TRAINING_DOCUMENTS, fontsize=12)
    all_axes[0].set(ylabel="predicted / expected", ylim=(0, None))
    all_axes[0].legend(fontsize=9)
    return figure


def registered_differences(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Draw the comparison that a study declares: one panel per endpoint, the intervals those of the deciding test.

    Args:
        table: Rows of :func:`afl_helpers.results.compare`, all with one margin.
        titles: Endpoint -> label of its panel.
    """
    low, high, _ = zip(*map(deciding_interval, table.to_dict("records")))
    several = table["rival"].nunique() > 1
    names = [
        f"{title_of(own)} - {title_of(rival)}" if several else title_of(own)
        for own, rival in zip(table["setting"], table["rival"])
    ]
    drawn = table.rename(columns={"estimate": "difference", "endpoint": "metric", "corpus": "group"})
    drawn = drawn.assign(comparison=names, low=low, high=high)
    return differences(drawn, titles, margin=float(table["margin"].iloc[0]))


def differences(table: pd.DataFrame, xlabel: str | Mapping[str, str], margin: float | None = None) -> Figure:
    """Draw paired differences with their intervals, one row per comparison.

    Args:
        table: Columns ``comparison, difference, low, high`` and optionally ``group``, which colours the rows.
        xlabel: Label of the one panel; or, for several panels, value of the column ``metric`` -> label of its panel.
        margin: Smallest difference that matters, drawn as a band around 0.
    """
    metrics: Mapping[str | None, str] = {None: xlabel} if isinstance(xlabel, str) else dict(xlabel.items())
    groups: list[str | None] = list(dict.fromkeys(table["group"])) if "group" in table else [None]
    names = list(dict.fromkeys(table["comparison"]))
    height = 1.3 + len(names) * (0.22 + 0.12 * len(groups))
    figure, all_axes = panels(len(metrics), figsize=(7.2 if len(metrics) == 1 else 8.4, height), sharey=True)
    for axes, (metric, title) in zip(all_axes, metrics.items()):
        own = table if metric is None else table[table["metric"] == metric]
        if margin is not None:
            axes.axvspan(-margin, margin, color="#eeeeee", zorder=0)
        axes.axvline(0, color="black", linewidth=1)
        for i, group in enumerate(groups):
            rows = own if group is None else own[own["group"] == group]
            y = np.array([names.index(name) for name in rows["comparison"]]) + (i - (len(groups) - 1) / 2) * 0.22
            spread = np.stack([rows["difference"] - rows["low"], rows["high"] - rows["difference"]])
            axes.errorbar(
                rows["difference"],
                y,
                xerr=spread,
                fmt=look_at(i).marker,
                color=look_at(i).colour,
                label=group,
                capsize=2,
                markersize=5,
            )
        axes.set(xlabel=title)
        axes.xaxis.set_major_locator(MaxNLocator(5 if len(metrics) == 1 else 9 // len(metrics)))
        axes.grid(False, axis="y")
    # One axis for all panels: else the panel without a difference would have the longest lines.
    limits = [axes.get_xlim() for axes in all_axes]
    for axes in all_axes:
        axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    first = all_axes[0]
    first.set_yticks(range(len(names)), names)
    first.set_ylim(len(names) - 0.5, -0.5)
    if groups != [None]:
        if len(metrics) == 1:
            first.legend(loc="best", fontsize=9)
        else:
            legend_above(figure, first, n_columns=len(groups))
    return figure


def recall_by_third(table: pd.DataFrame, settings: Sequence[str], rule: str = "at_0.5") -> Figure:
    """Draw the recall of frequent, medium and rare labels under one threshold rule: points are replicates, bars their means.

    Args:
        table: Rows of :func:`afl_helpers.results.results_table` for one corpus and method.
        settings: Settings to draw, from left to right. Colours are by position.
        rule: Threshold rule.
    """
    figure, axes = one_panel(figsize=(7.6, 3.6))
    groups = ("head", "medium", "tail")
    own = table[table["thresholds"] == rule]
    for i, setting in enumerate(settings):
        look = look_at(i)
        for j, group in enumerate(groups):
            values = own[own["setting"] == setting][f"recall_macro_{group}"]
            x = j + (i - (len(settings) - 1) / 2) * 0.8 / len(settings)
            label = title_of(setting) if j == 0 else None
            axes.bar(x, values.mean(), 0.7 / len(settings), color=look.colour, alpha=0.85, label=label)
            axes.plot([x] * len(values), values, ".", color="black", markersize=3)
            axes.annotate(
                f"{values.mean():.3f}", (x, values.max()), (0, 3), textcoords="offset points", ha="center", fontsize=8
            )
    axes.set_xticks(range(len(groups)), ["frequent third", "medium third", "rarest third"])
    axes.set(ylabel=f"macro recall {RULE_TITLES[rule]}")
    axes.grid(False, axis="x")
    axes.legend(fontsize=9)
    return figure


def score_distributions(
    results: Sequence[Result],
    settings: Sequence[str],
    groups: Mapping[str, str] | None = None,
    rule: str = "tuned_common",
    names: tuple[str, str] = ("positives", "negatives"),
) -> Figure:
    """Draw where the test scores of positives and negatives lie, one column per setting and one row per group of labels.

    Each distribution is scaled to a height of 1, because negatives are many times as many. Lines mark 0.5 and the mean of
    the one threshold that the rule tuned.

    Args:
        results: Runs of one corpus that keep summaries; those of one setting are pooled.
        settings: Settings to draw, from left to right.
        groups: A frequency third ("head", "medium", "tail") or a label -> title of its row; head and tail by default.
        rule: A threshold rule with one threshold for all labels.
        names: What the legend calls positives and negatives.
    """
    shown = {"head": "frequent third", "tail": "rarest third"} if groups is None else groups
    figure, all_axes = panels(
        len(settings), len(shown), figsize=(8.4, 2.1 * len(shown) + 0.7), sharex=True, sharey=True
    )
    for axes, (group, setting) in zip(all_axes, ((group, setting) for group in shown for setting in settings)):
        own = [run for run in results if run.setting == setting]
        for sign, name, colour in zip(("positives", "negatives"), names, PALETTE):
            counts = np.sum([_histogram(run, group, sign) for run in own], axis=0)
            axes.stairs(
                counts / counts.max(),
                np.linspace(0, 1, len(counts) + 1),
                fill=True,
                color=colour,
                alpha=0.45,
                label=name,
            )
        axes.axvline(0.5, color="black", linewidth=1, linestyle=":")
        threshold = float(np.mean([run.labels.threshold[rule] for run in own]))
        axes.axvline(threshold, color="black", linewidth=1.5)
        if group == next(iter(shown)):
            axes.set_title(title_of(setting))
            axes.annotate(
                f"threshold {threshold:.2f}",
                (threshold, 1.17),
                (4, 0),
                textcoords="offset points",
                fontsize=9,
                va="top",
            )
        if setting == settings[0]:
            axes.set_ylabel(shown[group])
        axes.set(xlim=(0, 1), ylim=(0, 1.18), yticks=[])
        axes.grid(False)
    figure.supxlabel("score on test", fontsize=12)
    legend_above(figure, all_axes[0], n_columns=2)
    return figure


def _histogram(run: Result, group: str, sign: str) -> NDArray[np.float64]:
    found = run.summaries.groups.get(group) or run.summaries.labels[group] if run.summaries else None
    if found is None:
        raise UsageError(f"run {run.run!r} keeps no histograms of scores; draw a study whose runs do")
    return np.asarray(getattr(found, sign), dtype=np.float64)


def ranks_by_metric(table: pd.DataFrame, settings: Sequence[str]) -> Figure:
    """Draw the rank of each setting under each metric, as a table of coloured cells. Arguments as in :func:`ranks`."""
    found = ranks(table, settings).T
    figure, axes = one_panel(figsize=(7.6, 5.0))
    image = axes.imshow(found, cmap="cividis_r", aspect="auto", vmin=1, vmax=len(settings))
    for (row, column), rank in np.ndenumerate(found.to_numpy()):
        dark = rank > len(settings) * 0.6
        axes.text(column, row, str(rank), ha="center", va="center", color="white" if dark else "black", fontsize=10)
    axes.set_xticks(range(len(settings)), [title_of(setting).replace(", ", ",\n") for setting in settings], fontsize=9)
    axes.set_yticks(range(len(found)), list(found.index), fontsize=9)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="rank", shrink=0.6, ticks=[1, len(settings)])
    return figure
