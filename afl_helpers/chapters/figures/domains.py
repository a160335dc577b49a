"""Figures over corpora of several domains: their tails side by side, and an effect beside what differs between them."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import t as student_t

from afl_helpers.chapters.figures.style import legend_above, look_at, one_panel, panels, title_of
from afl_helpers.results import Result


def tails(runs: Mapping[str, Result]) -> Figure:
    """Draw the share of training documents with each label, labels by rank, one line per corpus.

    Args:
        runs: Title of a corpus -> one of its runs, which holds the counts of its labels.
    """
    figure, axes = one_panel(figsize=(7.0, 3.8))
    for i, (title, run) in enumerate(runs.items()):
        share = np.sort(np.asarray(run.labels.training_count))[::-1] / run.data.sizes["train"]
        look = look_at(i)
        axes.loglog(np.arange(1, len(share) + 1), share, look.marker, linestyle="-", color=look.colour, markersize=3)
        axes.annotate(title, (len(share), share[-1]), (5, -3), textcoords="offset points", fontsize=9, va="top")
    axes.set(xlabel="rank of the label", ylabel="share of training documents")
    left, right = axes.get_xlim()
    axes.set_xlim(left, right * 4)
    return figure


def effect_beside(table: pd.DataFrame, properties: Sequence[str], ylabel: str) -> Figure:
    """Draw an effect with its interval against each property of the corpora, one panel per property, two in a row.

    Args:
        table: One row per corpus, with columns ``corpus, estimate, low, high`` and the properties.
        properties: Columns to draw on the x axes, on a log scale where values above 0 differ by more than a factor of 10.
        ylabel: Label of the y axis.
    """
    n_columns, n_rows = min(len(properties), 2), math.ceil(len(properties) / 2)
    figure, all_axes = panels(n_columns, n_rows, figsize=(8.4, 0.8 + 2.6 * n_rows), sharey=True)
    for axes in all_axes[len(properties) :]:
        axes.set_axis_off()
    for axes, name in zip(all_axes, properties):
        axes.axhline(0, color="black", linewidth=1)
        for i, row in enumerate(table.to_dict("records")):
            look = look_at(i)
            below, above = row["estimate"] - row["low"], row["high"] - row["estimate"]
            axes.errorbar(
                row[name],
                row["estimate"],
                yerr=[[below], [above]],
                fmt=look.marker,
                color=look.colour,
                capsize=2,
                label=row["corpus"],
            )
        values = table[name]
        axes.set(xlabel=name, xscale="log" if 0 < 10 * values.min() < values.max() else "linear")
    figure.supylabel(ylabel, fontsize=10)
    legend_above(figure, all_axes[0], n_columns=3)
    return figure


def imbalance_dial(
    rows: pd.DataFrame, metrics: Mapping[str, str], settings: Sequence[str] = ("afl",), rival: str = "bce"
) -> Figure:
    """Draw the differences of losses on generated labels against the strength of their imbalance, one panel per metric.

    Each point is the mean over seeds, with the 95 % interval of a paired t test.

    Args:
        rows: Columns ``strength, seed, loss`` and the metrics.
        metrics: Column -> title of its panel.
        settings: The losses, a line each.
        rival: The loss that is subtracted.
    """
    figure, all_axes = panels(len(metrics), figsize=(8.4, 3.5), sharey=True)
    for axes, (metric, title) in zip(all_axes, metrics.items()):
        wide = rows.pivot(index=["strength", "seed"], columns="loss", values=metric)
        axes.axhline(0, color="black", linewidth=1)
        for i, setting in enumerate(settings):
            difference = (wide[setting] - wide[rival]).groupby("strength")
            mean, n = difference.mean(), difference.count()
            half = student_t.ppf(0.975, n - 1) * difference.std() / np.sqrt(n)
            look = look_at(i)
            axes.errorbar(
                mean.index,
                mean,
                yerr=half,
                fmt=look.marker,
                linestyle=look.line,
                color=look.colour,
                capsize=2,
                markersize=4,
                label=title_of(setting),
            )
        axes.set_title(textwrap.fill(title, 20), fontsize=10)
        axes.set(xlabel="strength")
        axes.xaxis.set_major_locator(MaxNLocator(4))
    if len(settings) > 1:
        legend_above(figure, all_axes[0], n_columns=len(settings))
    all_axes[0].set(ylabel=f"difference from {title_of(rival)}")
    return figure
