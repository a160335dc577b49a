"""Figures of studies: settings under each threshold rule, differences with intervals, ranks, predictions by frequency."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from afl_helpers.chapters.figures.ranking import ranks
from afl_helpers.chapters.figures.style import (
    PALETTE,
    RULE_TITLES,
    legend_above,
    look_at,
    look_of,
    one_panel,
    panels,
    title_of,
)
from afl_helpers.errors import UsageError
from afl_helpers.results import Result, deciding_interval


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
        names = [RULE_TITLES[rule] for rule in rules]
        axes.set_xticks(range(len(rules)), names, fontsize=9, rotation=30, ha="right", rotation_mode="anchor")
        axes.set(title=title, xlim=(-0.5, len(rules) - 0.5))
        axes.grid(False, axis="x")
    all_axes[0].set(ylabel=ylabel)
    legend_above(figure, all_axes[0], n_columns=len(settings))
    return figure


def by_training_length(table: pd.DataFrame, ylabel: str) -> Figure:
    """Draw a metric over the number of epochs of whole trainings: a panel per size, a line per setting, the mean of its blocks.

    Args:
        table: Rows of :func:`afl_helpers.chapters.verdicts.tail_by_epochs`.
        ylabel: Label of the y axis.
    """
    sizes = list(dict.fromkeys(table["size"]))
    figure, all_axes = panels(len(sizes), figsize=(8.4, 3.6), sharey=True)
    for axes, size in zip(all_axes, sizes):
        for setting, rows in table[table["size"] == size].groupby("setting", sort=False):
            look = look_of(str(setting))
            axes.plot(rows["epochs"], rows["value"], look.marker, color=look.colour, markersize=4, alpha=0.5)
            line = rows.groupby("epochs", as_index=False)["value"].mean()
            axes.plot(line["epochs"], line["value"], color=look.colour, linestyle=look.line)
            end = line.iloc[-1]
            axes.annotate(
                title_of(str(setting)),
                (end["epochs"], end["value"]),
                xytext=(6, 0) if len(line) > 1 else (-4, 7),  # a single point may lie beside another line
                textcoords="offset points",
                va="center" if len(line) > 1 else "bottom",
                fontsize=10,
            )
        shown = sorted(set(table["epochs"]))
        axes.set_xscale("log", base=2)
        axes.set_xticks(shown, [str(n) for n in shown])
        axes.minorticks_off()
        n_blocks = table.loc[table["size"] == size, "block"].nunique()
        blocks = f"{n_blocks} blocks" if n_blocks > 1 else "one block"
        axes.set(title=f"{size}, {blocks}", xlabel="epochs of training", xlim=(shown[0] * 0.9, shown[-1] * 2.2))
    all_axes[0].set(ylabel=ylabel, ylim=(0, None))
    return figure


def settings_by_block(table: pd.DataFrame, settings: Sequence[str], titles: Mapping[str, str]) -> Figure:
    """Draw metrics of settings with a point per block, one panel per metric; a thin line joins the points of a block.

    Args:
        table: Rows of :func:`afl_helpers.results.results_table`, one per setting and block.
        settings: From top to bottom.
        titles: Column of the table -> label of its panel.
    """
    figure, all_axes = panels(len(titles), figsize=(8.4, 1.2 + 0.34 * len(settings)), sharey=True)
    for axes, (metric, title) in zip(all_axes, titles.items()):
        for _, own in table.set_index("setting").groupby("block"):
            axes.plot(own[metric].reindex(list(settings)), range(len(settings)), color="0.8", linewidth=0.8, zorder=1)
        for i, setting in enumerate(settings):
            look = look_of(setting)
            values = table.loc[table["setting"] == setting, metric]
            axes.plot(values, [i] * len(values), look.marker, color=look.colour, markersize=7, alpha=0.8)
        axes.set(xlabel=title)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    all_axes[0].set_yticks(range(len(settings)), [title_of(setting) for setting in settings])
    all_axes[0].set_ylim(len(settings) - 0.5, -0.5)
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


def block_differences(
    table: pd.DataFrame,
    titles: Mapping[str, str],
    margin: float,
    limit: float = np.inf,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Draw differences with a point per block, one row per setting and one panel per endpoint.

    Args:
        table: As :func:`afl_helpers.chapters.verdicts.differences_by_block` returns it. Colours are by corpus.
        titles: Endpoint -> label of its panel.
        margin: Smallest difference that matters, drawn as a band around 0.
        limit: Points farther from 0 stand there, as arrows that point outwards.
        groups: Title of a group -> its settings; the title stands above them. By default there are no groups.
    """
    corpora = list(dict.fromkeys(table["corpus"]))
    present = list(dict.fromkeys(table["setting"]))
    rows: list[tuple[str, str]] = []  # (setting or nothing, what stands beside it)
    for title, settings in ({"": present} if groups is None else groups).items():
        rows += [("", title)] if title else []
        rows += [(setting, title_of(setting)) for setting in settings if setting in present]
    place = {setting: i for i, (setting, _) in enumerate(rows) if setting}
    figure, all_axes = panels(len(titles), figsize=(8.4, 1.2 + 0.34 * len(rows)), sharex=True, sharey=True)
    for axes, (endpoint, title) in zip(all_axes, titles.items()):
        axes.axvspan(-margin, margin, color="#eeeeee", zorder=0)
        axes.axvline(0, color="black", linewidth=1)
        for i, corpus in enumerate(corpora):
            own, look = table[table["corpus"] == corpus], look_at(i)
            y = own["setting"].map(place) + (i - (len(corpora) - 1) / 2) * 0.3
            x = own[endpoint].clip(-limit, limit)
            inside = x.abs() < limit
            style: dict[str, Any] = {"linestyle": "none", "color": look.colour, "alpha": 0.8}
            axes.plot(x[inside], y[inside], marker=look.marker, markersize=5, label=corpus, **style)
            for marker, there in (("<", x == -limit), (">", x == limit)):
                axes.plot(x[there], y[there], marker=marker, markersize=6, **style)
        axes.set(xlabel=title)
        axes.xaxis.set_major_locator(MaxNLocator(9 // len(titles)))
        axes.grid(False, axis="y")
    all_axes[0].set_yticks(range(len(rows)), [name for _, name in rows])
    for (setting, _), label in zip(rows, all_axes[0].get_yticklabels()):
        label.set_fontweight("normal" if setting else "bold")
    all_axes[0].set_ylim(len(rows) - 0.5, -0.5)
    legend_above(figure, all_axes[0], n_columns=len(corpora))
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
