"""Figures that set the paper's reported values beside our runs or beside each other."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from afl_helpers.chapters.figures.style import PALETTE, legend_above, look_of, one_panel, panels, title_of
from afl_helpers.claims import REPORTED, REPORTED_VALUES, implied, reported_range

#: The paper's metrics: column of a table of runs -> title.
PAPER_METRICS = {
    "subset_accuracy": "accuracy",
    "f1_micro": "F1 (micro)",
    "roc_auc_micro_of_decisions": "ROC AUC of decisions",
    "precision_macro": "macro precision",
    "precision_micro": "micro precision",
    "recall_macro": "macro recall",
    "recall_micro": "micro recall",
}

#: What the paper's ROC AUC may be: column of a table of runs -> title.
AUC_READINGS = {
    "roc_auc_micro_of_decisions": "of decisions, micro",
    "roc_auc_samples_of_decisions": "of decisions, by document",
    "roc_auc_macro_of_decisions": "of decisions, macro",
    "roc_auc_micro": "of scores, micro",
}

#: Column of a table of runs -> name of the paper's reported value.
_REPORTED_AS = {"f1_micro": "f1", "roc_auc_micro_of_decisions": "roc_auc", "recall_micro": "recall_micro"}


#: Outcome of a comparison -> its colour in figures; a marker without filling is undecided.
_OUTCOME_COLOURS = {"holds": PALETTE[2], "fails": PALETTE[1], "undecided": PALETTE[6]}
_READING_MARKERS = {"n/mean": "o", "log10": "s", "information": "^", "": "o"}


def claim_by_reading(findings: pd.DataFrame, claim: str) -> Figure:
    """Draw what holds for one claim: studies down, a panel per alternative of the rule, a marker per reading of Eq. 2.

    Args:
        findings: Rows of :func:`afl_helpers.claims.findings`; only those over blocks are drawn.
        claim: Its id, such as "C7".
    """
    own = findings[(findings["id"] == claim) & (findings["about"] == "claim") & (findings["unit"] == "block")]
    alternatives, readings = (list(dict.fromkeys(own[column])) for column in ("alternative", "reading"))
    groups = own.groupby(["study", "corpus", "n"], sort=False)
    n_panels = max(len(alternatives), 1)
    figure, all_axes = panels(n_panels, figsize=(8.4, 1.2 + 0.62 * len(groups)), sharex=True, sharey=True)
    for axes, alternative in zip(all_axes, alternatives):
        for place, (_, group) in enumerate(groups):
            rows = group[group["alternative"] == alternative].to_dict("records")
            for i, row in enumerate(rows):
                y = place + (i - (len(rows) - 1) / 2) * 0.27
                colour = _OUTCOME_COLOURS[row["outcome"]]
                filling = "white" if row["outcome"] == "undecided" else colour
                axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.4)
                axes.plot(
                    row["estimate"],
                    y,
                    _READING_MARKERS[row["reading"]],
                    color=colour,
                    markerfacecolor=filling,
                    markersize=5,
                )
        axes.axvline(0, color="black", linewidth=1)
        axes.set_title(textwrap.fill(alternative, 18), fontsize=10)
        axes.grid(False, axis="y")
        for place in range(1, len(groups)):
            axes.axhline(place - 0.5, color="0.9", linewidth=0.8)
    names = [f"{corpus}\n{study}, {n} blocks" for (study, corpus, n), _ in groups]
    all_axes[0].set_yticks(range(len(groups)), names, fontsize=8)
    all_axes[0].set_ylim(len(groups) - 0.4, -0.6)
    outcomes = [name for name in _OUTCOME_COLOURS if name in set(own["outcome"])]
    for name in outcomes:
        all_axes[0].plot([], [], linewidth=3, color=_OUTCOME_COLOURS[name], label=name)
    for name in readings if len(readings) > 1 else ():
        all_axes[0].plot([], [], _READING_MARKERS[name], color="black", markerfacecolor="white", label=name)
    legend_above(figure, all_axes[0], n_columns=6)
    figure.supxlabel(f"{title_of('afl')} minus rival, in the comparison that decides", fontsize=10)
    return figure


def paper_comparison(table: pd.DataFrame, settings: Sequence[str]) -> Figure:
    """Draw the paper's bar chart for our runs: its metrics at threshold 0.5, with its reported values as open diamonds.

    Args:
        table: Rows of :func:`afl_helpers.results.results_table` for one corpus and method.
        settings: Settings to draw, from left to right. Bars are means over the runs of a setting; lines are their range.
            The title names study, corpus, encoder, and blocks or seeds, where the table has them.
    """
    rows = table[table["thresholds"] == "at_0.5"]
    figure, axes = one_panel(figsize=(7.6, 4.4))
    width = 0.8 / len(settings)
    for i, setting in enumerate(settings):
        runs = rows[rows["setting"] == setting][list(PAPER_METRICS)]
        x = np.arange(len(PAPER_METRICS)) + (i - (len(settings) - 1) / 2) * width
        mean = runs.mean()
        spread = np.abs(np.stack([mean - runs.min(), runs.max() - mean]))
        look = look_of(setting)
        axes.bar(
            x,
            mean,
            width * 0.92,
            yerr=spread,
            color=look.colour,
            hatch=look.hatch,
            label=title_of(setting),
            error_kw={"lw": 1},
        )
        for metric, name in _REPORTED_AS.items():
            if name in REPORTED_VALUES.get(setting, {}):
                place = x[list(PAPER_METRICS).index(metric)]
                axes.plot(place, REPORTED_VALUES[setting][name], "D", color="black", markersize=6, fillstyle="none")
    axes.plot([], [], "D", color="black", fillstyle="none", linestyle="none", label="reported by the paper")
    axes.set_xticks(np.arange(len(PAPER_METRICS)), [label.replace(" ", "\n", 1) for label in PAPER_METRICS.values()])
    axes.tick_params(axis="x", labelsize=9)
    axes.set(ylim=(0, 1), ylabel="test, threshold 0.5")
    axes.grid(False, axis="x")
    axes.legend(ncols=3, fontsize=9, loc="upper left")
    axes.set_title(_what_was_run(rows[rows["setting"].isin(settings)]), fontsize=10, loc="left")
    return figure


def _what_was_run(table: pd.DataFrame) -> str:
    """Return the values that all rows share, and the blocks or seeds."""
    parts = [str(table[name].iloc[0]) for name in ("study", "corpus", "encoder") if name in table]
    for name in ("block", "seed"):
        if name in table and table[name].notna().all():
            values = sorted(table[name].astype(int).unique())
            parts.append(f"{name}{'s' if len(values) > 1 else ''} {', '.join(map(str, values))}")
            break
    return "; ".join(parts)


def implied_by_density(densities: NDArray[np.float64]) -> Figure:
    """Draw the micro recall and precision that the paper's pairs of F1 and ROC AUC imply, against the label density.

    Bands are as wide as the rounding of the reported values. The dashed line is the micro recall reported for AFL.

    Args:
        densities: (n_densities,), shares of documents that carry a label, averaged over labels.
    """
    figure, all_axes = panels(2, figsize=(7.6, 3.8), sharex=True, sharey=True)
    for setting, row in REPORTED.items():
        exact, look = REPORTED_VALUES[setting], look_of(setting)
        for axes, name in zip(all_axes, ("recall", "precision")):
            line, low, high = np.full((3, len(densities)), np.nan)
            for i, density in enumerate(map(float, densities)):
                rounded, centre = (implied(pair["f1"], pair["roc_auc"], density) for pair in (row, exact))
                if rounded.possible:
                    low[i], high[i] = getattr(rounded, name)
                if centre.possible:
                    line[i] = np.mean(getattr(centre, name))
            axes.fill_between(densities, low, high, color=look.colour, alpha=0.3, linewidth=0)
            axes.plot(densities, line, color=look.colour, linestyle=look.line, label=title_of(setting))
            axes.set(xlabel="label density", title=f"implied micro {name}", ylim=(0.25, 1))
    reported = REPORTED_VALUES["afl"]["recall_micro"]
    left, right = all_axes
    left.axhline(reported, color="black", linestyle="--", linewidth=1)
    left.annotate("reported for AFL", (densities[0], reported), (0, -12), textcoords="offset points", fontsize=9)
    right.legend(fontsize=9)
    return figure


def paper_pairs(table: pd.DataFrame) -> Figure:
    """Draw micro F1 and ROC AUC of our runs, one panel per reading of the AUC, and the paper's pairs with their rounding.

    Args:
        table: Rows of :func:`afl_helpers.results.results_table` for one corpus and method, under any threshold rules.
    """
    figure, all_axes = panels(2, 2, figsize=(7.6, 6.0), sharex=True)
    for axes, (column, title) in zip(all_axes, AUC_READINGS.items()):
        axes.plot(table["f1_micro"], table[column], ".", color="#8a8a8a", markersize=5, label="a run of ours")
        for setting, row in REPORTED.items():
            (f1_low, f1_high), (low, high) = reported_range(row["f1"]), reported_range(row["roc_auc"])
            axes.errorbar(
                (f1_low + f1_high) / 2,
                (low + high) / 2,
                xerr=(f1_high - f1_low) / 2,
                yerr=(high - low) / 2,
                fmt="D",
                markersize=6,
                color=look_of(setting).colour,
                label=f"{title_of(setting)}, the paper",
            )
        axes.set(title=f"AUC {title}", xlim=(0.4, 0.57))
    for axes in all_axes[::2]:
        axes.set(ylabel="ROC AUC")
    for axes in all_axes[2:]:
        axes.set(xlabel="micro F1")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def published_beside_ours(published: pd.DataFrame, ours: pd.DataFrame) -> Figure:
    """Draw micro and macro F1 of all labels, one row per setting: diamonds are published values, points are our runs.

    Args:
        published: Table of :func:`afl_helpers.claims.published_reuters`.
        ours: Rows of :func:`afl_helpers.results.f1_by_count`.
    """
    total = ours[ours["group"] == "total"]
    settings = list(dict.fromkeys([*published.index, *total["setting"]]))
    figure, all_axes = panels(2, figsize=(8.4, 1.0 + 0.34 * len(settings)), sharey=True)
    for axes, average in zip(all_axes, ("micro", "macro")):
        for row, setting in enumerate(settings):
            values = total.loc[total["setting"] == setting, f"f1_{average}"]
            axes.plot(values, [row] * len(values), "o", color=PALETTE[0], markersize=6, alpha=0.8)
            if setting in published.index:
                value = published.loc[setting, ("total", average)]
                axes.plot(value, row, "D", color=PALETTE[1], markersize=7, fillstyle="none")
        axes.set(xlabel=f"{average} F1 on test")
    first = all_axes[0]
    first.plot([], [], "D", color=PALETTE[1], fillstyle="none", linestyle="none", label="published")
    first.plot([], [], "o", color=PALETTE[0], linestyle="none", label="ours")
    first.set_yticks(range(len(settings)), [title_of(setting) for setting in settings])
    first.set_ylim(len(settings) - 0.5, -0.5)
    legend_above(figure, first, n_columns=2)
    return figure
