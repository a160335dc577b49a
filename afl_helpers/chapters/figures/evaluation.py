"""Figures of a trained model: training by epoch, metrics by threshold, recall by frequency, calibration."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from sklearn.metrics import roc_auc_score, roc_curve

from afl_helpers.chapters.figures.style import (
    PALETTE,
    RULE_TITLES,
    TRAINING_DOCUMENTS,
    legend_above,
    look_at,
    one_panel,
    panels,
)
from afl_helpers.evaluation import TopK, calibration_bins, evaluate, label_table
from afl_helpers.evaluation.calibration import N_BINS
from afl_helpers.evaluation.validation import MatrixLike

_AVERAGE_PRECISION = MappingProxyType({"average_precision_micro": "validation average precision (micro)"})


def epochs(
    histories: Mapping[str, Sequence[Mapping[str, float]] | pd.DataFrame],
    metrics: Mapping[str, str] = _AVERAGE_PRECISION,
) -> Figure:
    """Draw metrics by epoch, one panel per metric and one line per run; a circle marks the best epoch.

    Args:
        histories: Run -> its history: a table, or one mapping per epoch, with ``epoch`` and the metrics.
        metrics: Key of a metric in the histories -> label of its axis.
    """
    figure, all_axes = panels(len(metrics), figsize=(7.0 if len(metrics) == 1 else 8.4, 3.8))
    for axes, (metric, ylabel) in zip(all_axes, metrics.items()):
        for i, (name, history) in enumerate(histories.items()):
            colour, line = look_at(i).colour, look_at(i).line
            frame = pd.DataFrame(history)
            axes.plot(frame["epoch"], frame[metric], marker=".", linestyle=line, color=colour, label=name, markersize=4)
            best = frame.iloc[int(frame[metric].to_numpy().argmax())]
            axes.plot(best["epoch"], best[metric], "o", color=colour, markersize=9, fillstyle="none")
        axes.set(xlabel="epoch", ylabel=ylabel)
        locator = axes.xaxis.get_major_locator()
        assert isinstance(locator, MaxNLocator)  # the locator of a linear axis
        locator.set_params(integer=True)
    if len(histories) > 3:
        legend_above(figure, all_axes[-1], n_columns=4)
    else:
        all_axes[-1].legend(fontsize=9)
    return figure


def metrics_by_threshold(targets: ArrayLike, scores: ArrayLike, thresholds: ArrayLike | None = None) -> Figure:
    """Draw micro and macro precision, recall and F1 against one threshold for all labels.

    Args:
        targets: (n_documents, n_labels), 0 or 1.
        scores: (n_documents, n_labels), in [0, 1].
        thresholds: (n_thresholds,), 0.02 to 0.9 by default.
    """
    thresholds = np.linspace(0.02, 0.9, 45) if thresholds is None else np.asarray(thresholds)
    rows = [evaluate(targets, scores, threshold) for threshold in thresholds]
    figure, all_axes = panels(2, figsize=(7.6, 3.6), sharey=True)
    for axes, average in zip(all_axes, ("micro", "macro")):
        for metric, colour in zip(("precision", "recall", "f1"), PALETTE):
            values = [row[f"{metric}_{average}"] for row in rows]
            axes.plot(thresholds, values, color=colour, label="F1" if metric == "f1" else metric)
        axes.axvline(0.5, color=PALETTE[-1], linewidth=1, linestyle=":")
        axes.set(title=average, xlabel="threshold", ylim=(0, 1))
    all_axes[0].legend()
    return figure


def recall_by_frequency(
    targets: ArrayLike,
    scores: Mapping[str, NDArray[np.floating]],
    thresholds: Mapping[str, float | NDArray[np.floating]],
    label_counts: ArrayLike,
) -> Figure:
    """Draw the recall of each label against its training count, one colour per model.

    Args:
        targets: (n_documents, n_labels) of the test split.
        scores: Model -> (n_documents, n_labels).
        thresholds: Model -> one threshold, or (n_labels,).
        label_counts: (n_labels,) in the training split.
    """
    figure, axes = one_panel()
    for i, (name, values) in enumerate(scores.items()):
        look = look_at(i)
        table = label_table(targets, values, thresholds[name], label_counts=label_counts)
        axes.semilogx(
            table["training_count"],
            table["recall"],
            look.marker,
            color=look.colour,
            markersize=5,
            alpha=0.7,
            label=name,
        )
    axes.invert_xaxis()
    axes.set(xlabel=TRAINING_DOCUMENTS, ylabel="recall on test", ylim=(-0.03, 1.03))
    axes.legend()
    return figure


def thresholds_by_rule(
    thresholds: Mapping[str, float | NDArray[np.floating] | TopK], label_counts: ArrayLike
) -> Figure:
    """Draw the threshold of each label against its training count, one colour per threshold rule.

    Args:
        thresholds: Threshold rule -> one threshold, or (n_labels,); top k has none and is left out.
        label_counts: (n_labels,) in the training split.
    """
    figure, axes = one_panel()
    counts = np.asarray(label_counts)
    drawn = {name: values for name, values in thresholds.items() if not isinstance(values, TopK)}
    for (name, values), colour, marker in zip(drawn.items(), cycle(PALETTE), cycle("_os^vDPX*")):
        axes.semilogx(
            counts,
            np.broadcast_to(values, counts.shape),
            marker,
            color=colour,
            markersize=6,
            alpha=0.8,
            label=RULE_TITLES.get(name, name),
        )
    axes.invert_xaxis()
    axes.set(xlabel=TRAINING_DOCUMENTS, ylabel="threshold", ylim=(0, 1))
    axes.legend(ncols=2, fontsize=9)
    return figure


def score_errors(
    targets: ArrayLike,
    scores: ArrayLike,
    labels: Mapping[int, str],
    thresholds: Mapping[str, ArrayLike],
    errors_of: str,
) -> Figure:
    """Draw where the scores of a few labels lie, one panel per label, and shade the errors of one threshold rule.

    Positives stand above the line, negatives below it, each scaled to a height of 1, because negatives are many times as
    many. The axis is linear
    in the logit, so that scores near 0 are told apart.

    Args:
        targets: (n_documents, n_labels), 0 or 1.
        scores: (n_documents, n_labels), in [0, 1].
        labels: Column -> title of its panel, from top to bottom.
        thresholds: Title of a rule -> its threshold or (n_labels,); each is a line.
        errors_of: The rule whose errors are shaded: positives below its threshold, negatives at or above it.
    """
    truth, values = np.asarray(targets).astype(bool), np.asarray(scores)
    edges = np.linspace(-7, 5, 49)
    figure, all_axes = panels(1, len(labels), figsize=(7.0, 2.3 * len(labels) + 0.6), sharex=True, sharey=True)
    for axes, (column, title) in zip(all_axes, labels.items()):
        own, score = truth[:, column], values[:, column]
        where = np.clip(logit(np.clip(score, 1e-6, 1 - 1e-6)), edges[0], edges[-1])
        cuts = {name: float(np.broadcast_to(cut, len(values[0]))[column]) for name, cut in thresholds.items()}
        wrong = np.where(own, score < cuts[errors_of], score >= cuts[errors_of])
        for sign, side, name, colour in ((own, 1, "positives", PALETTE[0]), (~own, -1, "negatives", PALETTE[1])):
            height = max(np.histogram(where[sign], edges)[0].max(), 1)
            for which, alpha, label in ((sign, 0.3, name), (sign & wrong, 1.0, f"{name}, wrongly decided")):
                counts = side * np.histogram(where[which], edges)[0] / height
                axes.stairs(counts, edges, fill=True, color=colour, alpha=alpha, label=label)
        for i, (name, cut) in enumerate(sorted(cuts.items(), key=lambda item: item[1])):
            x = float(np.clip(logit(cut), edges[0], edges[-1]))
            axes.axvline(x, color="black", linewidth=1.5, linestyle="-" if name == errors_of else ":", ymax=0.79)
            axes.annotate(
                f"{name} {cut:.2f}", (x, 1.62 - 0.26 * i), (3, 0), textcoords="offset points", fontsize=9, va="top"
            )
        axes.set(ylabel=title, ylim=(-1.05, 1.65), yticks=[])
        axes.axhline(0, color="black", linewidth=0.8)
        axes.grid(False)
    ticks = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99)
    all_axes[-1].set_xticks(logit(ticks), [f"{tick:g}" for tick in ticks])
    all_axes[-1].set(xlabel="score", xlim=(edges[0], edges[-1]))
    legend_above(figure, all_axes[0], n_columns=2)
    return figure


def roc_of_decisions(targets: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> Figure:
    """Draw the ROC curve of all scores as one ranking, and that of the same scores after one threshold.

    Args:
        targets: (n_documents, n_labels), 0 or 1.
        scores: (n_documents, n_labels), in [0, 1].
        threshold: A score at or above it counts as a positive decision.
    """
    truth, ranked = np.asarray(targets).ravel().astype(bool), np.asarray(scores).ravel()
    decisions = ranked >= threshold
    figure, axes = one_panel(figsize=(5.2, 4.6))
    for name, values, style in (("scores", ranked, "-"), ("decisions", decisions.astype(float), "o--")):
        false_positive_rate, recall, _ = roc_curve(truth, values)
        area = roc_auc_score(truth, values)
        axes.plot(false_positive_rate, recall, style, markersize=5, label=f"of {name}: area {area:.3f}")
    axes.plot([0, 1], [0, 1], color=PALETTE[-1], linewidth=1, linestyle=":")
    axes.set(xlabel="false positive rate (1 - specificity)", ylabel="recall", aspect="equal")
    axes.legend(loc="lower right")
    return figure


def reliability(bins: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the share of true labels against the mean score, per bin of scores; on the diagonal a score is a probability.

    Args:
        bins: Name -> table that :func:`afl_helpers.evaluation.calibration_bins` returns.
    """
    figure, axes = one_panel(figsize=(5.4, 4.2))
    axes.plot([0, 1], [0, 1], color=PALETTE[-1], linewidth=1, linestyle=":")
    for i, (name, table) in enumerate(bins.items()):
        look = look_at(i)
        axes.plot(
            table["mean_score"],
            table["observed"],
            marker=look.marker,
            linestyle=look.line,
            color=look.colour,
            markersize=5,
            label=name,
        )
    axes.set(xlabel="mean score of the bin", ylabel="share that is true", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return figure


def reliability_plot(
    targets: MatrixLike, scores: MatrixLike | Mapping[str, MatrixLike], n_bins: int = N_BINS
) -> Figure:
    """Draw the reliability diagram of scores, or of several kinds of scores, in one call.

    Args:
        targets: (n_documents, n_labels), 0 or 1.
        scores: (n_documents, n_labels), in [0, 1]; or name -> such scores, for example before and after
            :func:`afl_helpers.evaluation.fit_temperature`.
        n_bins: Number of bins of equal width.
    """
    named = scores if isinstance(scores, Mapping) else {"scores": scores}
    return reliability({name: calibration_bins(targets, values, n_bins) for name, values in named.items()})
