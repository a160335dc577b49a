"""Every figure of the book, each a function from data to a matplotlib Figure in one style."""

import html
import io
import json
import os
import re
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from sklearn.metrics import roc_auc_score, roc_curve

from afl_helpers.claims import PAPER_FIGURES, PRINTED, implied, printed_range
from afl_helpers.evaluation import label_table
from afl_helpers.gamma import NORMALIZATIONS, class_gamma, positive_gradient

#: After Okabe and Ito, for readers of every colour vision; their yellow and light blue, too faint for lines on white,
#: gave way to a brown and a violet.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#602020", "#8060E0", "#555555")

#: The order and names in which settings stand in tables and figures.
SETTING_TITLES = {
    "bce": "BCE",
    "focal-1.5": "focal 1.5",
    "focal-2.0": "focal 2.0",
    "focal-2.5": "focal 2.5",
    "afl": "AFL",
    "focal-5.0": "focal 5.0",
    "afl-shuffled": "AFL, shuffled",
    "afl-reversed": "AFL, reversed",
    "afl-mean": "AFL, mean gamma",
    "afl-literal": "AFL, literal",
    "afl-labels": "AFL, n / sum n",
    "afl-max": "AFL, n / max n",
    "afl-mean-unbounded": "AFL, no bounds",
    "afl-median": "AFL, n / median n",
    "afl-sqrt": "AFL, square root",
    "afl-log10": "AFL, log10",
    "afl-information": "AFL, information",
    "afl-rescaled": "AFL, rescaled",
    "afl-base-1": "AFL, base 1",
    "afl-base-4": "AFL, base 4",
    "bce-adjusted": "BCE, logit adjustment",
    "focal-2.0-adjusted": "focal 2.0, logit adj.",
    "alpha-inverse-gamma-0": "1/n, gamma 0",
    "alpha-inverse-gamma-2": "1/n, gamma 2",
    "alpha-inverse-afl": "1/n, AFL",
    "alpha-effective-gamma-0": "effective n, gamma 0",
    "alpha-effective-gamma-2": "effective n, gamma 2",
    "alpha-effective-afl": "effective n, AFL",
    "weighted-bce": "weighted BCE",
    "class-balanced": "class-balanced",
    "flsd53": "FLSD-53",
    "asl": "ASL",
    "apl": "APL",
    "ral": "RAL",
    "wal": "WAL (ours, after)",
    "ldam": "LDAM (ours, after)",
    "plm": "PLM",
    "distribution-balanced": "distribution-balanced",
    "rebalanced-focal": "rebalanced focal",
    "ntr-focal": "NTR focal",
    "cb-ntr": "CB-NTR",
    "bce-lp-ros": "BCE, LP-ROS",
    "bce-lp-rus": "BCE, LP-RUS",
    "bce-ml-ros": "BCE, ML-ROS",
    "bce-ml-rus": "BCE, ML-RUS",
    "priors": "label frequencies",
    "tfidf-logistic-regression": "TF-IDF, logistic regr.",
    "tfidf-linear-svm": "TF-IDF, linear SVM",
    "cnn-bce": "CNN, BCE",
    "cnn-focal-2.0": "CNN, focal 2.0",
    "cnn-afl": "CNN, AFL",
    "literal-zero": "Eq. 2 literal, from 0",
    "literal-prior": "Eq. 2 literal, from the priors",
    "literal-sum-zero": "Eq. 2 literal, sum, from 0",
    "literal-sum-prior": "Eq. 2 literal, sum, from the priors",
    "afl-zero": "AFL, from 0",
    "afl-prior": "AFL, from the priors",
    "bce-zero": "BCE, from 0",
    "bce-prior": "BCE, from the priors",
}

#: Bins of training counts in figures.
COUNT_EDGES = (1, 3, 10, 30, 100, 300, 1000, 3000, 1_000_000)

RULE_TITLES = {
    "at_0.5": "at 0.5",
    "tuned_common": "one tuned threshold",
    "tuned_per_label": "one per label",
    "tuned_proportional": "proportional cut",
}


def set_style(svg: bool = True) -> None:
    """The book's style; in a notebook, figures are drawn as SVG."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=PALETTE,
        rc={
            "figure.figsize": (7.0, 3.8),
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e3e3e3",
            "font.size": 11,
            "axes.titlesize": 12,
            "legend.frameon": False,
            "svg.hashsalt": "afl",
        },
    )
    if svg:
        try:
            from matplotlib_inline.backend_inline import set_matplotlib_formats
        except ImportError:
            return
        set_matplotlib_formats("svg", metadata={"Date": None})


def colour_of(setting: str) -> str:
    """One colour a setting in every figure, as far as the palette reaches."""
    return PALETTE[list(SETTING_TITLES).index(setting) % len(PALETTE)]


def _subplots(*args, **kwargs) -> tuple[Figure, Axes]:
    """As plt.subplots, but known to nobody else: a notebook shows the figure once, where a cell ends with it."""
    figure, axes = plt.subplots(*args, **kwargs)
    plt.close(figure)
    return figure, axes


def title_of(setting: str) -> str:
    return SETTING_TITLES.get(setting, setting)


# --- data -----------------------------------------------------------------------------------------------------------


def long_tail(label_counts: Mapping[str, int], n_documents: int, annotate: Sequence[str] = ()) -> Figure:
    """How many documents carry each label, most frequent first, on logarithmic axes."""
    names = sorted(label_counts, key=lambda name: -label_counts[name])
    counts = np.array([label_counts[name] for name in names])
    figure, axes = _subplots()
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


def cooccurrence(labels: np.ndarray, label_names: Sequence[str], top: int = 15) -> Figure:
    """P(column | row) among the most frequent labels."""
    labels = np.asarray(labels[:, :top], dtype=float)
    names = [name for name in label_names[:top]]
    given = (labels.T @ labels) / labels.sum(0)[:, None]
    np.fill_diagonal(given, np.nan)
    figure, axes = _subplots(figsize=(7.0, 5.6))
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
    """The share of texts with at most so many tokens, one line a corpus, and limits on what an encoder reads."""
    figure, axes = _subplots()
    longest = max(max(values) for values in lengths.values())
    for (name, values), colour in zip(lengths.items(), PALETTE):
        ordered = np.sort(np.asarray(values))
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        axes.step([*ordered, longest], [*share, 1], where="post", color=colour, label=f"{name}, n = {len(ordered):,}")
    for limit in limits:
        axes.axvline(limit, color="black", linestyle="--", linewidth=1)
        axes.annotate(
            f"{limit}", (limit, 0.02), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points"
        )
    axes.set(xscale="log", xlabel="tokens", ylabel="share of texts with at most so many", ylim=(0, 1.02))
    axes.set_xticks([16, 64, 256, 1024], ["16", "64", "256", "1,024"])
    axes.minorticks_off()
    axes.legend(fontsize=9, loc="upper left")
    return figure


def split_shares(shares: Mapping[str, np.ndarray], label_counts: np.ndarray, fraction: float) -> Figure:
    """The share of each label's documents that falls into a part, one panel a way of splitting.

    Args:
        shares: way of splitting -> (n_splits, n_labels).
        label_counts: (n_labels,) on the whole corpus.
        fraction: of all documents that the part should hold, drawn as a line.
    """
    figure, panels = _subplots(1, len(shares), figsize=(7.6, 3.6), sharey=True, squeeze=False)
    for axes, (name, values), colour in zip(panels[0], shares.items(), PALETTE):
        counts = np.broadcast_to(label_counts, values.shape)
        axes.semilogx(counts.ravel(), values.ravel(), ".", color=colour, markersize=4, alpha=0.4)
        axes.axhline(fraction, color=PALETTE[-1], linewidth=1, linestyle=":")
        axes.invert_xaxis()
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set(title=name)
    panels[0][0].set(ylabel="of them in the test part")
    figure.supxlabel("documents with the label (rarer to the right)", fontsize="medium")
    return figure


# --- losses and gamma -----------------------------------------------------------------------------------------------


def focal_curves(gammas: Sequence[float]) -> Figure:
    """Loss and size of the gradient of a positive against its score, one curve a gamma."""
    import torch

    from afl_helpers.losses import focal_loss

    z = torch.linspace(-6, 6, 400, dtype=torch.float64, requires_grad=True)
    p = z.sigmoid().detach().numpy()
    figure, (left, right) = _subplots(1, 2, figsize=(7.6, 3.6))
    for gamma, colour in zip(gammas, PALETTE):
        loss = focal_loss(z[None], torch.ones(1, len(z), dtype=torch.float64), gamma, reduction="none")[0]
        (slope,) = torch.autograd.grad(loss.sum(), z)
        left.plot(p, loss.detach().numpy(), color=colour, label=f"{gamma:g}")
        right.plot(p, slope.abs().numpy(), color=colour)
    left.set(xlabel="score $p$ of a positive", ylabel="loss", ylim=(0, 3.5))
    right.set(xlabel="score $p$ of a positive", ylabel="|gradient| by the logit", ylim=(0, None))
    left.legend(title=r"$\gamma$")
    return figure


def loss_curves(name: str, label_counts: Sequence[int], n_documents: int) -> Figure:
    """One loss of the registry, by logit: the cost of a positive and of a negative, and the gradient of each.

    Drawn with its default parameters for the label of the first count; binary cross-entropy is the thin line beside it.
    """
    import warnings

    import torch

    from afl_helpers.losses import build_loss

    figure, panels = _subplots(1, 2, figsize=(7.6, 2.9), sharey=False)
    z = torch.linspace(-6, 6, 481, dtype=torch.float64)
    for which, width in (("bce", 1.0), (name, 2.2)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the literal gamma, which the text speaks of
            loss = build_loss(which, label_counts, n_documents)
        for target, colour, style in ((1.0, PALETTE[0], "-"), (0.0, PALETTE[1], "--")):
            logits = torch.zeros(len(z), len(label_counts), dtype=torch.float64)
            logits[:, 0] = z
            logits.requires_grad_()
            targets = torch.zeros_like(logits)
            targets[:, 0], targets[:, 1] = target, 1.0
            loss.eval()
            cost = loss(logits, targets, reduction="none")[:, 0]
            (slope,) = torch.autograd.grad(cost.sum(), logits)
            label = None if which == "bce" else "positive" if target else "negative"
            alpha = 0.45 if which == "bce" and name != "bce" else 1.0
            panels[0].plot(z, cost.detach(), style, color=colour, linewidth=width, alpha=alpha, label=label)
            panels[1].plot(z, slope[:, 0], style, color=colour, linewidth=width, alpha=alpha)
    panels[0].set(xlabel="logit", ylabel="loss", ylim=(0, 4))
    panels[1].set(xlabel="logit", ylabel="gradient by the logit", ylim=(-1.6, 1.6))
    if name == "bce":
        for line, label in zip(panels[0].get_lines()[2:], ("positive", "negative")):
            line.set_label(label)
    panels[0].legend(fontsize=9)
    return figure


def gamma_readings(
    label_counts: np.ndarray, n_documents: int, base_gamma: float = 2.0, bounds: tuple[float, float] | None = None
) -> Figure:
    """Gamma of each label under every reading of Eq. 2, against its count."""
    counts = np.sort(np.asarray(label_counts))[::-1]
    figure, axes = _subplots(figsize=(7.0, 4.2))
    styles = ["-", "--", "-.", ":"]
    for i, name in enumerate(NORMALIZATIONS):
        gamma = class_gamma(counts, n_documents, base_gamma, name, bounds)
        axes.loglog(counts, gamma, styles[i // 4], color=PALETTE[i % 4], label=name)
        axes.grid(True, which="major")
    axes.invert_xaxis()
    axes.set(xlabel="documents with the label (rarer to the right)", ylabel=r"$\gamma_c$")
    axes.legend(title="reading", ncols=2, fontsize=9)
    return figure


def gamma_by_label(gamma: Mapping[str, np.ndarray], label_counts: np.ndarray) -> Figure:
    """Several assignments of gamma to labels, against the labels' counts."""
    figure, axes = _subplots()
    for (name, values), colour in zip(gamma.items(), PALETTE):
        axes.semilogx(label_counts, values, ".", color=colour, markersize=5, alpha=0.7, label=name)
    axes.invert_xaxis()
    axes.set(xlabel="documents with the label (rarer to the right)", ylabel=r"$\gamma_c$")
    axes.legend()
    return figure


def curves(
    x: np.ndarray,
    lines: Mapping[str, np.ndarray],
    xlabel: str,
    ylabel: str,
    legend: str | None = None,
    levels: Mapping[str, float] | None = None,
    marks: Sequence[float] = (),
    **axes_settings,
) -> Figure:
    """Several named curves over one x.

    Args:
        legend: the legend's title.
        levels: named horizontal lines, written at the right-hand end.
        marks: values of x, each a tick at the lower edge.
        axes_settings: passed to ``Axes.set``, e.g. ``xscale="log"``.
    """
    figure, axes = _subplots()
    styles = ["-", "--", "-.", ":"]
    for i, (name, y) in enumerate(lines.items()):
        axes.plot(x, y, styles[i // len(PALETTE)], color=PALETTE[i % len(PALETTE)], label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel, **axes_settings)
    for name, level in (levels or {}).items():
        axes.axhline(level, color=PALETTE[-1], linewidth=1, linestyle=":")
        axes.annotate(
            name,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=PALETTE[-1],
        )
    if len(marks):
        axes.plot(
            marks,
            np.zeros(len(marks)),
            "|",
            transform=axes.get_xaxis_transform(),
            color="black",
            markersize=12,
            alpha=0.4,
            clip_on=False,
        )
    if len(lines) > 1:
        axes.legend(title=legend)
    return figure


#: JupyterLab draws Vega-Lite 5 and no later version; the charts keep to what both versions share.
_LAB_TYPE = "application/vnd.vegalite.v5+json"
_LAB_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"


class InteractiveChart:
    """An Altair chart that works in JupyterLab and, without a kernel or a network, on a page of the built book.

    Args:
        chart: an ``altair.Chart``.
        alt: what is seen, for those who do not see it.
        still: the chart at its first position, for a page on which no script runs.
    """

    def __init__(self, chart, alt: str, still: Figure):
        # Room for the last tick's label.
        self.specification = chart.to_dict() | {"padding": {"left": 5, "top": 5, "right": 14, "bottom": 5}}
        self.alt = alt
        self.still = still

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        # The build of the book sets AFL_BOOK, and Sphinx warns of a type that it cannot show.
        if os.environ.get("AFL_BOOK"):
            return {"text/html": self._page()}
        # The lab draws a chart before its cell has a width.
        lab = self.specification | {"$schema": _LAB_SCHEMA, "description": self.alt, "width": 560}
        # The picture is for those who cannot draw Vega-Lite: Colab, a notebook shown by a code host.
        return {_LAB_TYPE: lab, "image/svg+xml": _svg(self.still), "text/plain": self.alt}

    def _page(self) -> str:
        """The chart as HTML; the book's script draws it, and without scripts the picture stands there."""
        # "</" would end the script element.
        text = json.dumps(self.specification).replace("</", "<\\/")
        head, body = _svg(self.still).split(">", 1)
        head = re.sub(r'\s(width|height)="[^"]*"', "", head)  # it takes the width it gets
        alt = html.escape(self.alt)
        return (
            f'<div class="vega-chart" role="figure" aria-label="{alt}">'
            f'<script type="application/json">{text}</script>'
            f'<noscript>{head} aria-hidden="true">{body}<p>{alt}</p></noscript></div>'
        )


def _svg(figure: Figure) -> str:
    """The figure as an svg element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def focal_slider(gamma: float = 2.0, alpha: float = 0.5) -> InteractiveChart:
    """Loss of a positive, and gradients by the logit of a positive and a negative, with sliders for gamma and alpha.

    Lin et al. (2017): a positive is weighted with alpha, a negative with 1 - alpha. Dashed: the same at gamma 0 and
    alpha 0.5, which is half of cross-entropy.
    """
    import altair as alt

    def curves_at(g: str, a: str) -> dict[str, str]:
        return {
            "loss of a positive": f"-{a} * pow(1 - datum.p, {g}) * log(datum.p)",
            "gradient of a positive": f"{a} * pow(1 - datum.p, {g}) * (1 - datum.p - {g} * datum.p * log(datum.p))",
            "gradient of a negative": f"(1 - {a}) * pow(datum.p, {g}) * (datum.p - {g} * (1 - datum.p) * log(1 - datum.p))",
        }

    names = list(curves_at("0", "0.5"))
    sliders = [
        alt.param(name="gamma", value=gamma, bind=alt.binding_range(min=0.0, max=5.0, step=0.1, name="gamma ")),
        alt.param(name="alpha", value=alpha, bind=alt.binding_range(min=0.05, max=0.95, step=0.05, name="alpha ")),
    ]

    def lines(g: str, a: str, dash: list[int]):
        return (
            alt.Chart(alt.sequence(0.005, 1.0, 0.005, as_="p"))
            .transform_calculate(**curves_at(g, a))
            .transform_fold(names, as_=["curve", "value"])
            .mark_line(clip=True, strokeDash=dash, strokeWidth=2 if not dash else 1)
            .encode(
                x=alt.X("p:Q", title="score p").scale(domain=[0, 1]).axis(tickCount=5, format=".1f"),
                y=alt.Y("value:Q", title="loss, size of the gradient").scale(domain=[0, 1.5]),
                color=alt.Color("curve:N", title=None, sort=names)
                .scale(domain=names, range=list(PALETTE[:3]))
                .legend(orient="top", columns=1),
            )
        )

    chart = alt.layer(lines("gamma", "alpha", []), lines("0", "0.5", [4, 3])).add_params(*sliders)
    p = np.linspace(0.005, 0.995, 199)
    logits = np.log(p / (1 - p))
    still, axes = _subplots()
    for g, a, style in ((gamma, alpha, "-"), (0.0, 0.5, "--")):
        values = (
            -a * (1 - p) ** g * np.log(p),
            a * positive_gradient(g, logits),
            (1 - a) * positive_gradient(g, -logits),
        )
        for name, curve, colour in zip(names, values, PALETTE):
            axes.plot(p, curve, style, color=colour, label=name if style == "-" else None)
    axes.set(xlabel="score p", ylabel="loss, size of the gradient", xlim=(0, 1), ylim=(0, 1.5))
    axes.legend(fontsize=9)
    return InteractiveChart(
        chart.properties(width="container", height=280),
        "Three curves against the score: the loss of a positive falls; its gradient falls too, but for a larger gamma first rises and then "
        "falls faster; the gradient of a negative is its mirror image. Sliders move gamma and alpha; dashed lines stay at gamma 0 and alpha 0.5.",
        still,
    )


def gamma_slider(label_counts: Mapping[str, int], bounds: tuple[float, float] = (0.5, 5.0)) -> InteractiveChart:
    """Gamma of each label, base * mean n / n within bounds, with sliders for base and bounds.

    The colour is the gradient at a score of one half, where a fresh head begins, as a share of cross-entropy's:
    ``2^-gamma (1 + gamma log 2)``.
    """
    import altair as alt

    counts = pd.DataFrame({"label": list(label_counts), "documents": list(label_counts.values())})

    def slider(name: str, value: float, highest: float, title: str):
        return alt.param(name=name, value=value, bind=alt.binding_range(min=0.0, max=highest, step=0.1, name=title))

    gamma = f"clamp(base * {counts['documents'].mean()} / datum.documents, low, high)"
    signal = f"pow(2, -datum.gamma) * (1 + datum.gamma * {np.log(2)})"
    scheme = {"scheme": "viridis", "domain": [0, 1]}
    chart = (
        alt.Chart(counts)
        .mark_circle(size=40)
        .transform_calculate(gamma=gamma)
        .transform_calculate(signal=signal)
        .encode(
            x=alt.X("documents:Q", title="documents with the label (rarer to the right)")
            .scale(type="log", reverse=True)
            .axis(values=[1, 10, 100, 1000, 10_000], format=",d"),
            y=alt.Y("gamma:Q", title="gamma of the label").scale(domain=[0, 10]),
            color=alt.Color("signal:Q", title="gradient at one half, as a share of BCE's")
            .scale(**scheme)
            .legend(orient="top", gradientLength=220, titleLimit=300),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("documents:Q", format=","),
                alt.Tooltip("gamma:Q", format=".2f"),
                alt.Tooltip("signal:Q", title="gradient, share of BCE's", format=".3f"),
            ],
        )
        .add_params(
            slider("base", 2.0, 5.0, "base gamma "),
            slider("low", bounds[0], 2.0, "lower bound "),
            slider("high", bounds[1], 10.0, "upper bound "),
        )
        .properties(width="container", height=280)
    )
    documents = counts["documents"].to_numpy(float)
    at_first = class_gamma(documents, documents.sum(), bounds=bounds)
    still, axes = _subplots()
    points = axes.scatter(
        documents,
        at_first,
        c=positive_gradient(at_first) / positive_gradient(0.0),
        cmap="viridis",
        vmin=0,
        vmax=1,
        s=14,
    )
    axes.set(xscale="log", xlabel="documents with the label (rarer to the right)", ylabel="gamma of the label")
    axes.invert_xaxis()
    still.colorbar(points, label="gradient at one half,\nas a share of BCE's")
    return InteractiveChart(
        chart,
        "Each label as a point, gamma against its number of documents: flat at the lower bound for frequent labels, then a steep rise to the upper "
        "bound. The colour of a point says how strong its gradient is at the start. Sliders move base gamma and both bounds.",
        still,
    )


# --- the model ------------------------------------------------------------------------------------------------------


def workflow() -> Figure:
    """How a study goes: what each part of the split is used for, and where the counts and the thresholds come from."""
    places = {  # name: (x, y, text, colour)
        "files": (2, 6, "two files", PALETTE[6]),
        "matrix": (5.8, 6, "texts and label matrix", PALETTE[6]),
        "train": (2, 4.6, "train", PALETTE[0]),
        "validation": (5.8, 4.6, "validation", PALETTE[0]),
        "test": (9.4, 4.6, "test", PALETTE[0]),
        "gamma": (2, 3.2, "label counts,\na gamma per label", PALETTE[3]),
        "tune": (2, 1.6, "fine-tuning\nwith the loss", PALETTE[1]),
        "epoch": (5.8, 3.2, "scores", PALETTE[2]),
        "choose": (5.8, 1.6, "choose epoch,\nthen thresholds", PALETTE[2]),
        "measure": (9.4, 1.6, "metrics and\nintervals, once", PALETTE[2]),
    }
    arrows = [
        ("files", "matrix"), ("matrix", "train"), ("matrix", "validation"), ("matrix", "test"), ("train", "gamma"),
        ("gamma", "tune"), ("tune", "choose"), ("validation", "epoch"), ("epoch", "choose"), ("choose", "measure"),
        ("test", "measure"),
    ]  # fmt: skip
    figure, axes = _subplots(figsize=(7.0, 4.6))
    axes.set(xlim=(0, 11.2), ylim=(0.8, 6.6))
    axes.axis("off")
    boxes = {
        name: axes.text(
            x, y, text, ha="center", va="center", fontsize=11,
            bbox={"boxstyle": "round,pad=0.45", "linewidth": 1.6, "facecolor": "white", "edgecolor": colour},
        )
        for name, (x, y, text, colour) in places.items()
    }  # fmt: skip
    for start, end in arrows:
        level = places[start][1] == places[end][1]
        axes.annotate(
            "",
            xy=(0, 0.5) if level else (0.5, 1),
            xycoords=boxes[end].get_bbox_patch(),
            xytext=(1, 0.5) if level else (0.5, 0),
            textcoords=boxes[start].get_bbox_patch(),
            arrowprops={"arrowstyle": "-|>", "color": "#333333", "linewidth": 1.2},
        )
    axes.text(5.95, 5.03, "stratified", fontsize=9, color="#333333")
    return figure


def architecture(width: int, n_layers: int, n_labels: int) -> Figure:
    """The path of one text through the classifier, from tokens to decisions; the loss beside it."""
    steps = [
        ("text", "a plot summary", PALETTE[6]),
        ("tokeniser", "[CLS] token ids [SEP], attention mask", PALETTE[6]),
        (f"encoder, {n_layers} layers", f"one vector of {width} numbers a token", PALETTE[0]),
        ("[CLS] vector", f"{width} numbers for the whole text", PALETTE[0]),
        ("linear head", f"{n_labels} logits, one a label", PALETTE[1]),
        ("sigmoid", f"{n_labels} scores in (0, 1)", PALETTE[2]),
        ("thresholds", "the labels decided on", PALETTE[2]),
    ]
    figure, axes = _subplots(figsize=(7.0, 5.6))
    axes.set(xlim=(0, 10), ylim=(-0.6, len(steps) - 0.4))
    axes.axis("off")
    arrow = {"arrowstyle": "-|>", "color": "#333333", "linewidth": 1.2}
    box = {"boxstyle": "round,pad=0.45", "linewidth": 1.6, "facecolor": "white"}
    heights = len(steps) - 1 - np.arange(len(steps))
    for y, (name, gives, colour) in zip(heights, steps):
        axes.text(2.0, y, name, ha="center", va="center", bbox=box | {"edgecolor": colour}, fontsize=11)
        axes.text(4.0, y, gives, ha="left", va="center", fontsize=10, color="#333333")
    for y in heights[:-1]:
        axes.annotate("", (2.0, y - 0.72), (2.0, y - 0.28), arrowprops=arrow)
    y = heights[4]
    axes.text(8.4, y, "loss", ha="center", va="center", bbox=box | {"edgecolor": PALETTE[3]}, fontsize=11)
    axes.text(8.4, y + 1, "targets, 0 or 1", ha="center", va="center", fontsize=10, color="#333333")
    axes.annotate("", (8.4, y + 0.28), (8.4, y + 0.78), arrowprops=arrow)
    axes.annotate("", (7.8, y), (6.9, y), arrowprops=arrow)
    axes.text(
        8.4, y - 0.62, "its gradient trains\nhead and encoder", ha="center", va="center", fontsize=9, color="#333333"
    )
    return figure


def expected_bce(rates: Sequence[float]) -> Figure:
    """Expected binary cross-entropy of one constant probability, a curve a label rate, its minimum marked."""
    p = np.geomspace(1e-4, 0.99, 400)
    figure, axes = _subplots()
    for rate, colour in zip(rates, PALETTE):
        loss = -rate * np.log(p) - (1 - rate) * np.log1p(-p)
        axes.semilogx(p, loss, color=colour, label=f"{rate:.2g}")
        axes.plot(rate, -rate * np.log(rate) - (1 - rate) * np.log1p(-rate), "o", color=colour)
    axes.axvline(0.5, color=PALETTE[-1], linewidth=1, linestyle=":")
    axes.set(xlabel="probability given to every document", ylabel="expected loss", ylim=(0, 2))
    axes.legend(title="share of documents\nwith the label")
    return figure


# --- evaluation -----------------------------------------------------------------------------------------------------


def metrics_by_threshold(targets: np.ndarray, scores: np.ndarray, thresholds: np.ndarray | None = None) -> Figure:
    """Micro and macro precision, recall and F1 as one common threshold moves."""
    from afl_helpers.evaluation import evaluate

    thresholds = np.linspace(0.02, 0.9, 45) if thresholds is None else thresholds
    rows = [evaluate(targets, scores, threshold) for threshold in thresholds]
    figure, panels = _subplots(1, 2, figsize=(7.6, 3.6), sharey=True)
    for axes, average in zip(panels, ("micro", "macro")):
        for metric, colour in zip(("precision", "recall", "f1"), PALETTE):
            values = [row[f"{metric}_{average}"] for row in rows]
            axes.plot(thresholds, values, color=colour, label="F1" if metric == "f1" else metric)
        axes.axvline(0.5, color=PALETTE[-1], linewidth=1, linestyle=":")
        axes.set(title=average, xlabel="threshold", ylim=(0, 1))
    panels[0].legend()
    return figure


def recall_by_frequency(
    targets: np.ndarray,
    scores: Mapping[str, np.ndarray],
    thresholds: Mapping[str, float | np.ndarray],
    label_counts: np.ndarray,
) -> Figure:
    """Recall of each label against its training count, one colour a model."""
    figure, axes = _subplots()
    for (name, values), colour in zip(scores.items(), PALETTE):
        table = label_table(targets, values, thresholds[name], label_counts=label_counts)
        axes.semilogx(table["training_count"], table["recall"], "o", color=colour, markersize=5, alpha=0.7, label=name)
    axes.invert_xaxis()
    axes.set(
        xlabel="training documents with the label (rarer to the right)", ylabel="recall on test", ylim=(-0.03, 1.03)
    )
    axes.legend()
    return figure


def epochs(
    histories: Mapping[str, list[dict[str, float]]],
    metrics: Mapping[str, str] = {"average_precision_micro": "validation average precision (micro)"},
) -> Figure:
    """Columns of a history by epoch, one panel a metric, one line a run; the epoch with the best of it is marked."""
    figure, panels = _subplots(1, len(metrics), figsize=(7.0 if len(metrics) == 1 else 8.4, 3.8), squeeze=False)
    for axes, (metric, ylabel) in zip(panels[0], metrics.items()):
        for (name, history), colour in zip(histories.items(), PALETTE):
            frame = pd.DataFrame(history)
            axes.plot(frame["epoch"], frame[metric], ".-", color=colour, label=name, markersize=4)
            best = frame.loc[frame[metric].idxmax()]
            axes.plot(best["epoch"], best[metric], "o", color=colour, markersize=9, fillstyle="none")
        axes.set(xlabel="epoch", ylabel=ylabel)
        axes.xaxis.get_major_locator().set_params(integer=True)
    if len(histories) > 3:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9)
    else:
        axes.legend(fontsize=9)
    return figure


def roc_of_decisions(targets: np.ndarray, scores: np.ndarray, threshold: float = 0.5) -> Figure:
    """The ROC curve of all scores as one ranking, and what is left of it once they are thresholded."""
    targets, scores = np.asarray(targets).ravel().astype(bool), np.asarray(scores).ravel()
    decisions = scores >= threshold
    figure, axes = _subplots(figsize=(5.2, 4.6))
    for name, values, style in (("scores", scores, "-"), ("decisions", decisions.astype(float), "o--")):
        false_positive_rate, recall, _ = roc_curve(targets, values)
        area = roc_auc_score(targets, values)
        axes.plot(false_positive_rate, recall, style, markersize=5, label=f"of {name}: area {area:.3f}")
    axes.plot([0, 1], [0, 1], color=PALETTE[-1], linewidth=1, linestyle=":")
    axes.set(xlabel="false positive rate (1 - specificity)", ylabel="recall", aspect="equal")
    axes.legend(loc="lower right")
    return figure


def thresholds_by_rule(thresholds: Mapping[str, float | np.ndarray], label_counts: np.ndarray) -> Figure:
    """The threshold of each label under several rules, against its training count."""
    figure, axes = _subplots()
    counts = np.asarray(label_counts)
    for (name, values), colour, marker in zip(thresholds.items(), PALETTE, "_os^v"):
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
    axes.set(xlabel="training documents with the label (rarer to the right)", ylabel="threshold", ylim=(0, 1))
    axes.legend(ncols=2, fontsize=9)
    return figure


# --- results --------------------------------------------------------------------------------------------------------

PAPER_METRICS = {
    "subset_accuracy": "accuracy",
    "f1_micro": "F1 (micro)",
    "roc_auc_micro_of_decisions": "ROC AUC of decisions",
    "precision_macro": "macro precision",
    "precision_micro": "micro precision",
    "recall_macro": "macro recall",
    "recall_micro": "micro recall",
}

_PAPER_POINTS = {"f1_micro": "f1", "roc_auc_micro_of_decisions": "roc_auc", "recall_micro": "recall_micro"}


def paper_comparison(table: pd.DataFrame, settings: Sequence[str]) -> Figure:
    """The paper's bar chart for our runs: its metrics at threshold 0.5, the paper's own figures as open diamonds.

    Args:
        table: rows of :func:`afl_helpers.results.results_table` for one corpus and method.
        settings: in the order in which they stand; bars are means over seeds, lines the seeds' range.
    """
    rows = table[table["thresholds"] == "at_0.5"]
    figure, axes = _subplots(figsize=(7.6, 4.4))
    width = 0.8 / len(settings)
    for i, setting in enumerate(settings):
        runs = rows[rows["setting"] == setting][list(PAPER_METRICS)]
        x = np.arange(len(PAPER_METRICS)) + (i - (len(settings) - 1) / 2) * width
        mean = runs.mean()
        spread = np.abs(np.stack([mean - runs.min(), runs.max() - mean]))
        colour = colour_of(setting)
        axes.bar(x, mean, width * 0.92, yerr=spread, color=colour, label=title_of(setting), error_kw={"lw": 1})
        for metric, name in _PAPER_POINTS.items():
            if name in PAPER_FIGURES.get(setting, {}):
                place = x[list(PAPER_METRICS).index(metric)]
                axes.plot(place, PAPER_FIGURES[setting][name], "D", color="black", markersize=6, fillstyle="none")
    axes.plot([], [], "D", color="black", fillstyle="none", linestyle="none", label="the paper's figure")
    axes.set_xticks(np.arange(len(PAPER_METRICS)), [label.replace(" ", "\n", 1) for label in PAPER_METRICS.values()])
    axes.tick_params(axis="x", labelsize=9)
    axes.set(ylim=(0, 1), ylabel="test, threshold 0.5")
    axes.grid(False, axis="x")
    axes.legend(ncols=3, fontsize=9, loc="upper left")
    return figure


def by_threshold_rule(
    table: pd.DataFrame, settings: Sequence[str], metric: str = "f1_macro", ylabel: str = "macro F1 on test"
) -> Figure:
    """One metric under each threshold rule: points are seeds, the bar their mean."""
    rules = list(RULE_TITLES)
    figure, axes = _subplots(figsize=(7.6, 4.0))
    for i, setting in enumerate(settings):
        for j, rule in enumerate(rules):
            values = table[(table["setting"] == setting) & (table["thresholds"] == rule)][metric]
            x = j + (i - (len(settings) - 1) / 2) * 0.8 / len(settings)
            axes.plot([x] * len(values), values, "o", color=PALETTE[i % len(PALETTE)], markersize=4, alpha=0.8)
            axes.plot(
                [x - 0.05, x + 0.05],
                [values.mean()] * 2,
                color=PALETTE[i % len(PALETTE)],
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
    """One metric under two threshold rules, one panel for each table; points are seeds."""
    figure, panels = _subplots(1, len(tables), figsize=(max(7.6, 2.9 * len(tables)), 3.8), sharey=True, squeeze=False)
    for axes, (title, table) in zip(panels[0], tables.items()):
        for rule, colour, marker in zip(rules, PALETTE, "os"):
            for x, setting in enumerate(settings):
                values = table[(table["setting"] == setting) & (table["thresholds"] == rule)][metric]
                axes.plot([x] * len(values), values, marker, color=colour, markersize=5, alpha=0.8)
            axes.plot([], [], marker, color=colour, linestyle="none", label=RULE_TITLES[rule])
        axes.set_xticks(range(len(settings)), [title_of(setting) for setting in settings], rotation=35, ha="right")
        axes.set_title(title)
        axes.set(xlim=(-0.5, len(settings) - 0.5))
    panels[0][0].set(ylabel=ylabel, ylim=(0, None))
    panels[0][-1].legend(loc="lower right", fontsize=9)
    return figure


def predicted_by_frequency(panels: Mapping[str, pd.DataFrame], edges: Sequence[float] = COUNT_EDGES) -> Figure:
    """How often labels are predicted, over how often they should be, in bins of training counts.

    Args:
        panels: for each panel, by its title, rows ``setting, training_count, predicted, expected``, one a run and label.
        edges: of the bins, ascending.
    """
    figure, all_axes = _subplots(1, len(panels), figsize=(8.4, 3.8), sharey=True, squeeze=False)
    for axes, (title, table) in zip(all_axes[0], panels.items()):
        axes.axhline(1, color="black", linewidth=1)
        for setting, colour, marker in zip(dict.fromkeys(table["setting"]), PALETTE, "os^vDP"):
            own = table[table["setting"] == setting]
            bins = pd.cut(own["training_count"], edges, right=False)
            sums = own.groupby(bins, observed=True)[["predicted", "expected"]].sum()
            centres = own.groupby(bins, observed=True)["training_count"].median()
            axes.semilogx(
                centres, sums["predicted"] / sums["expected"], f"{marker}-", color=colour, label=title_of(setting)
            )
        axes.invert_xaxis()
        axes.set(title=title)
    figure.supxlabel("training documents with the label (rarer to the right)", fontsize=12)
    all_axes[0][0].set(ylabel="predicted / expected", ylim=(0, None))
    all_axes[0][0].legend(fontsize=9)
    return figure


def differences(table: pd.DataFrame, xlabel: str | Mapping[str, str], margin: float | None = None) -> Figure:
    """Paired differences with their intervals, one row a comparison.

    Args:
        table: columns ``comparison, difference, low, high`` and optionally ``group``, which colours the rows.
        xlabel: of the one panel; or for each value of the column ``metric`` that of its own panel.
        margin: the smallest difference that matters, drawn as a band around 0.
    """
    panels = xlabel if isinstance(xlabel, Mapping) else {None: xlabel}
    groups = list(dict.fromkeys(table["group"])) if "group" in table else [None]
    names = list(dict.fromkeys(table["comparison"]))
    height = 1.3 + len(names) * (0.22 + 0.12 * len(groups))
    figure, all_axes = _subplots(
        1, len(panels), figsize=(7.2 if len(panels) == 1 else 8.4, height), sharey=True, squeeze=False
    )
    for axes, (metric, title) in zip(all_axes[0], panels.items()):
        own = table if metric is None else table[table["metric"] == metric]
        if margin is not None:
            axes.axvspan(-margin, margin, color="#eeeeee", zorder=0)
        axes.axvline(0, color="black", linewidth=1)
        for i, group in enumerate(groups):
            rows = own if group is None else own[own["group"] == group]
            y = np.array([names.index(name) for name in rows["comparison"]]) + (i - (len(groups) - 1) / 2) * 0.22
            spread = np.stack([rows["difference"] - rows["low"], rows["high"] - rows["difference"]])
            axes.errorbar(
                rows["difference"], y, xerr=spread, fmt="o", color=PALETTE[i], label=group, capsize=2, markersize=5
            )
        axes.set(xlabel=title)
        axes.xaxis.set_major_locator(MaxNLocator(5 if len(panels) == 1 else 9 // len(panels)))
        axes.grid(False, axis="y")
    first = all_axes[0][0]
    first.set_yticks(range(len(names)), names)
    first.set_ylim(len(names) - 0.5, -0.5)
    if groups != [None]:
        if len(panels) == 1:
            first.legend(loc="best", fontsize=9)
        else:
            figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=len(groups), fontsize=9)
    return figure


def published_beside_ours(published: pd.DataFrame, ours: pd.DataFrame) -> Figure:
    """Micro and macro F1 of all labels, one row a setting: published as open diamonds, ours as points (seeds).

    Args:
        published: as :func:`afl_helpers.claims.published_reuters` returns it.
        ours: rows of :func:`afl_helpers.results.f1_by_count`.
    """
    total = ours[ours["group"] == "total"]
    settings = list(dict.fromkeys([*published.index, *total["setting"]]))
    figure, panels = _subplots(1, 2, figsize=(8.4, 1.0 + 0.34 * len(settings)), sharey=True)
    for axes, average in zip(panels, ("micro", "macro")):
        for row, setting in enumerate(settings):
            values = total.loc[total["setting"] == setting, f"f1_{average}"]
            axes.plot(values, [row] * len(values), "o", color=PALETTE[0], markersize=6, alpha=0.8)
            if setting in published.index:
                figure_in_print = published.loc[setting, ("total", average)]
                axes.plot(figure_in_print, row, "D", color=PALETTE[1], markersize=7, fillstyle="none")
        axes.set(xlabel=f"{average} F1 on test")
    panels[0].plot([], [], "D", color=PALETTE[1], fillstyle="none", linestyle="none", label="published")
    panels[0].plot([], [], "o", color=PALETTE[0], linestyle="none", label="ours")
    panels[0].set_yticks(range(len(settings)), [title_of(setting) for setting in settings])
    panels[0].set_ylim(len(settings) - 0.5, -0.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9)
    return figure


# --- what a metric hides -------------------------------------------------------------------------------------------


def threshold_slider(targets: np.ndarray, scores: np.ndarray, start: float = 0.5) -> InteractiveChart:
    """What each measure of decisions is at a threshold that a slider moves."""
    import altair as alt

    titles = {
        "f1_micro": "micro F1",
        "f1_macro": "macro F1",
        "precision_micro": "micro precision",
        "recall_micro": "micro recall",
        "recall_macro": "macro recall",
        "roc_auc_micro_of_decisions": "micro AUC of decisions",
    }
    from afl_helpers.evaluation import evaluate

    rows = []
    for threshold in np.round(np.linspace(0.02, 0.98, 49), 2):
        found = evaluate(targets, scores, threshold)
        never = found["n_labels_never_predicted"]
        rows += [
            {"threshold": threshold, "measure": title, "value": round(found[name], 4), "never": never}
            for name, title in titles.items()
        ]
    at = alt.param(name="at", value=start, bind=alt.binding_range(min=0.02, max=0.98, step=0.02, name="threshold "))
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("value:Q", title="value on test").scale(domain=[0, 1]).axis(tickCount=5, format=".1f"),
        y=alt.Y("measure:N", title=None, sort=list(titles.values())),
    )
    here = base.transform_filter("abs(datum.threshold - at) < 0.001")
    best = (
        base.transform_window(
            rank="row_number()", sort=[alt.SortField("value", order="descending")], groupby=["measure"]
        )
        .transform_filter("datum.rank == 1")
        .mark_tick(thickness=2, height=20, color=PALETTE[1])
        .encode(tooltip=[alt.Tooltip("value:Q", format=".3f"), alt.Tooltip("threshold:Q", title="at threshold")])
    )
    bars = here.mark_bar(color=PALETTE[0], opacity=0.75, height=14)
    text = here.mark_text(align="left", dx=5, color=PALETTE[0]).encode(text=alt.Text("value:Q", format=".3f"))
    never = (
        alt.Chart(pd.DataFrame(rows))
        .transform_filter("abs(datum.threshold - at) < 0.001 && datum.measure == 'micro F1'")
        .transform_calculate(words=f"'labels never predicted: ' + datum.never + ' of {targets.shape[1]}'")
        .mark_text(align="left", fontSize=13, color="black")
        .encode(x=alt.value(0), y=alt.value(-12), text="words:N")
    )
    chart = alt.layer(bars, text, best, never).add_params(at).properties(width="container", height=220)
    found = pd.DataFrame(rows)
    values = found[found["threshold"] == start].set_index("measure")["value"][list(titles.values())[::-1]]
    highest = found.groupby("measure")["value"].max()[values.index]
    still, axes = _subplots()
    axes.barh(values.index, values, color=PALETTE[0], alpha=0.75)
    axes.plot(highest, highest.index, "|", color=PALETTE[1], markersize=18, markeredgewidth=2)
    axes.set(xlabel=f"value on test, threshold {start:g}", xlim=(0, 1))
    return InteractiveChart(
        chart,
        "A bar for each of six measures at the threshold that a slider moves, and a tick at the best that any threshold "
        "reaches; above, how many labels are never predicted.",
        still,
    )


#: A column of results, and the threshold rule for measures of decisions: what a study may be ranked by.
RANKED_BY = {
    "micro F1, at 0.5": ("f1_micro", "at_0.5"),
    "micro F1, tuned": ("f1_micro", "tuned_common"),
    "micro F1, prop. cut": ("f1_micro", "tuned_proportional"),
    "macro F1, at 0.5": ("f1_macro", "at_0.5"),
    "macro F1, tuned": ("f1_macro", "tuned_common"),
    "macro F1, prop. cut": ("f1_macro", "tuned_proportional"),
    "AUC of decisions, at 0.5": ("roc_auc_micro_of_decisions", "at_0.5"),
    "AUC of scores, micro": ("roc_auc_micro", "at_0.5"),
    "AUC of scores, macro": ("roc_auc_macro", "at_0.5"),
    "average precision, micro": ("average_precision_micro", "at_0.5"),
    "average precision, tail": ("average_precision_macro_tail", "at_0.5"),
}


def ranks(table: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """The rank of each setting, 1 for the highest mean over seeds, under each of :data:`RANKED_BY`."""
    columns = {}
    for title, (metric, rule) in RANKED_BY.items():
        rows = table[(table["thresholds"] == rule) & table["setting"].isin(settings)]
        columns[title] = rows.groupby("setting")[metric].mean().rank(ascending=False, method="min")
    return pd.DataFrame(columns).loc[list(settings)].astype(int)


def ranks_by_measure(table: pd.DataFrame, settings: Sequence[str]) -> Figure:
    """Which setting is first, second, ... under each measure; means over seeds.

    Args:
        table: rows of :func:`afl_helpers.results.results_table` for one corpus and method.
        settings: to be ranked, in the order in which they stand.
    """
    found = ranks(table, settings).T
    figure, axes = _subplots(figsize=(7.6, 5.0))
    shown = axes.imshow(found, cmap="cividis_r", aspect="auto", vmin=1, vmax=len(settings))
    for (row, column), rank in np.ndenumerate(found.to_numpy()):
        dark = rank > len(settings) * 0.6
        axes.text(column, row, rank, ha="center", va="center", color="white" if dark else "black", fontsize=10)
    axes.set_xticks(range(len(settings)), [title_of(setting).replace(", ", ",\n") for setting in settings], fontsize=9)
    axes.set_yticks(range(len(found)), found.index, fontsize=9)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes, label="rank", shrink=0.6, ticks=[1, len(settings)])
    return figure


def reliability(bins: Mapping[str, pd.DataFrame]) -> Figure:
    """How often labels with about the same score are true; on the diagonal a score is a probability.

    Args:
        bins: name -> what :func:`afl_helpers.evaluation.calibration_bins` returns.
    """
    figure, axes = _subplots(figsize=(5.4, 4.2))
    axes.plot([0, 1], [0, 1], color=PALETTE[-1], linewidth=1, linestyle=":")
    for i, (name, table) in enumerate(bins.items()):
        axes.plot(table["mean_score"], table["observed"], "o-", color=PALETTE[i], markersize=5, label=name)
    axes.set(xlabel="mean score of the bin", ylabel="share that is true", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return figure


# --- the paper's own numbers ----------------------------------------------------------------------------------------

#: What the paper's ROC AUC may be, as columns of a table of runs.
AUC_READINGS = {
    "roc_auc_micro_of_decisions": "of decisions, micro",
    "roc_auc_samples_of_decisions": "of decisions, by document",
    "roc_auc_macro_of_decisions": "of decisions, macro",
    "roc_auc_micro": "of scores, micro",
}


def implied_by_density(densities: np.ndarray) -> Figure:
    """The micro recall and precision that the paper's pairs of F1 and ROC AUC imply, against the label density.

    Bands are as wide as the rounding of the printed figures; the dashed line is the micro recall printed for AFL.
    """
    figure, axes = _subplots(1, 2, figsize=(7.6, 3.8), sharex=True, sharey=True)
    for setting, row in PRINTED.items():
        exact = PAPER_FIGURES[setting]
        for panel, name in zip(axes, ("recall", "precision")):
            line, low, high = np.full((3, len(densities)), np.nan)
            for i, density in enumerate(map(float, densities)):
                rounded, centre = (implied(pair["f1"], pair["roc_auc"], density) for pair in (row, exact))
                if rounded.possible:
                    low[i], high[i] = getattr(rounded, name)
                if centre.possible:
                    line[i] = np.mean(getattr(centre, name))
            panel.fill_between(densities, low, high, color=colour_of(setting), alpha=0.3, linewidth=0)
            panel.plot(densities, line, color=colour_of(setting), label=title_of(setting))
            panel.set(xlabel="label density", title=f"implied micro {name}", ylim=(0.25, 1))
    printed = PAPER_FIGURES["afl"]["recall_micro"]
    axes[0].axhline(printed, color="black", linestyle="--", linewidth=1)
    axes[0].annotate("printed for AFL", (densities[0], printed), (0, -12), textcoords="offset points", fontsize=9)
    axes[1].legend(fontsize=9)
    return figure


def paper_pairs(table: pd.DataFrame) -> Figure:
    """Micro F1 and ROC AUC of our runs, one panel a reading of the AUC, with the paper's pairs and their rounding.

    Args:
        table: rows of :func:`afl_helpers.results.results_table` for one corpus and method, under any threshold rules.
    """
    figure, axes = _subplots(2, 2, figsize=(7.6, 6.0), sharex=True)
    for panel, (column, title) in zip(axes.flat, AUC_READINGS.items()):
        panel.plot(table["f1_micro"], table[column], ".", color="#8a8a8a", markersize=5, label="a run of ours")
        for setting, row in PRINTED.items():
            (f1_low, f1_high), (low, high) = printed_range(row["f1"]), printed_range(row["roc_auc"])
            centre = (f1_low + f1_high) / 2, (low + high) / 2
            panel.errorbar(
                *centre,
                xerr=(f1_high - f1_low) / 2,
                yerr=(high - low) / 2,
                fmt="D",
                markersize=6,
                color=colour_of(setting),
                label=f"{title_of(setting)}, the paper",
            )
        panel.set(title=f"AUC {title}", xlim=(0.4, 0.57))
    for panel in axes[:, 0]:
        panel.set(ylabel="ROC AUC")
    for panel in axes[1]:
        panel.set(xlabel="micro F1")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure
