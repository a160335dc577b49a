"""Figures of a corpus: how frequent labels are, which occur together, how long texts are, how a split falls."""

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from afl_helpers.chapters.figures.style import DOCUMENTS, PALETTE, look_at, one_panel, panels


def long_tail(label_counts: Mapping[str, int], n_documents: int, annotate: Sequence[str] = ()) -> Figure:
    """Draw how many documents carry each label, most frequent first, on logarithmic axes.

    Args:
        label_counts: Label -> number of documents.
        n_documents: Number of documents in the corpus, for the title.
        annotate: Labels to name in the figure.
    """
    names = sorted(label_counts, key=lambda name: -label_counts[name])
    counts = np.array([label_counts[name] for name in names])
    figure, axes = one_panel()
    axes.loglog(np.arange(1, len(counts) + 1), counts, ".-", markersize=4)
    for name in annotate:
        rank = names.index(name) + 1
        axes.annotate(
            f"{name} ({label_counts[name]:,})",
            (rank, label_counts[name]),
            xytext=(6, 6),
            textcoords="offset points",
            fontsize=9,
        )
    axes.set(xlabel="rank of the label", ylabel="documents with the label")
    axes.set_title(f"{len(counts)} labels, {n_documents:,} documents", loc="left")
    return figure


def cooccurrence(labels: NDArray[np.uint8], label_names: Sequence[str], top: int = 15) -> Figure:
    """Draw P(column | row) among the first labels.

    Args:
        labels: (n_documents, n_labels), columns in order of frequency.
        label_names: Names of the columns.
        top: Number of labels to draw.
    """
    shown = np.asarray(labels[:, :top], dtype=float)
    names = list(label_names[:top])
    given = (shown.T @ shown) / shown.sum(0)[:, None]
    np.fill_diagonal(given, np.nan)
    figure, axes = one_panel(figsize=(7.0, 5.6))
    sns.heatmap(
        given,
        xticklabels=names,
        yticklabels=names,
        cmap="viridis",
        ax=axes,
        square=True,
        cbar_kws={"label": "share of the row's documents", "format": PercentFormatter(1.0, decimals=0)},
    )
    axes.grid(False)
    axes.set(xlabel="also carries", ylabel="documents with")
    return figure


def text_lengths(lengths: Mapping[str, Sequence[int]], limits: Sequence[int] = (128, 512)) -> Figure:
    """Draw the cumulative distribution of text lengths, one line per corpus.

    Args:
        lengths: Corpus -> number of tokens of each text.
        limits: Numbers of tokens that an encoder reads at most, drawn as vertical lines.
    """
    figure, axes = one_panel()
    longest = max(max(values) for values in lengths.values())
    for i, (name, values) in enumerate(lengths.items()):
        ordered = np.sort(np.asarray(values))
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        # The line of each corpus continues to the longest text of all.
        axes.step(
            [*ordered, longest],
            [*share, 1],
            where="post",
            color=look_at(i).colour,
            linestyle=look_at(i).line,
            label=f"{name}, n = {len(ordered):,}",
        )
    for limit in limits:
        axes.axvline(limit, color="black", linestyle="--", linewidth=1)
        axes.annotate(
            f"{limit}", (limit, 0.02), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points"
        )
    axes.set(xscale="log", xlabel="tokens", ylabel="share of texts that are no longer", ylim=(0, 1.02))
    axes.set_xticks([16, 64, 256, 1024], ["16", "64", "256", "1,024"])
    axes.minorticks_off()
    axes.legend(fontsize=9, loc="upper left")
    return figure


def split_shares(shares: Mapping[str, NDArray[np.float64]], label_counts: ArrayLike, fraction: float) -> Figure:
    """Draw the share of each label's documents that falls into one split, one panel per way of splitting.

    Args:
        shares: Way of splitting -> (n_repeats, n_labels).
        label_counts: (n_labels,) on the whole corpus.
        fraction: Share of all documents that the split should hold, drawn as a line.
    """
    figure, all_axes = panels(len(shares), figsize=(7.6, 3.6), sharey=True)
    for i, (axes, (name, values)) in enumerate(zip(all_axes, shares.items())):
        counts = np.broadcast_to(label_counts, values.shape)
        axes.semilogx(counts.ravel(), values.ravel(), ".", color=look_at(i).colour, markersize=4, alpha=0.4)
        axes.axhline(fraction, color=PALETTE[-1], linewidth=1, linestyle=":")
        axes.invert_xaxis()
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set(title=name)
    all_axes[0].set(ylabel="share in test")
    figure.supxlabel(DOCUMENTS, fontsize="medium")
    return figure
