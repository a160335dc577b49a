"""Charts with sliders, which work in JupyterLab and in the built book without a kernel or a network."""

import html
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from altair.typing import ChartType
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from afl_helpers.chapters.figures.style import DOCUMENTS, PALETTE, one_panel
from afl_helpers.evaluation import evaluate
from afl_helpers.gamma import NORMALIZATIONS, class_gamma, positive_gradient

#: JupyterLab draws Vega-Lite 5 and no later version. The charts use only what both versions have.
_LAB_TYPE = "application/vnd.vegalite.v5+json"
_LAB_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
#: Name of the layer whose text vega-charts.js hands to screen readers.
SAYS = "says"


class InteractiveChart:
    """An Altair chart that works in JupyterLab and, without a kernel or a network, on a page of the built book.

    Args:
        chart: The chart.
        description: What the chart shows, for readers who do not see it.
        still: The chart at its first position, for pages on which no script runs.
    """

    def __init__(self, chart: ChartType, description: str, still: Figure):
        # The padding leaves room for the last tick's label.
        self.specification: dict[str, Any] = chart.to_dict() | {
            "padding": {"left": 5, "top": 5, "right": 14, "bottom": 5}
        }
        self.description = description
        self.still = still

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        # The build of the book sets AFL_BOOK. It gets HTML alone, because Sphinx warns of types that it cannot show.
        if os.environ.get("AFL_BOOK"):
            return {"text/html": self._page()}
        # JupyterLab draws a chart before its cell has a width, so the chart brings its own.
        lab = self.specification | {"$schema": _LAB_SCHEMA, "description": self.description, "width": 560}
        # The picture is for viewers that cannot draw Vega-Lite: Colab, or a notebook on a code host.
        return {_LAB_TYPE: lab, "image/svg+xml": _svg(self.still), "text/plain": self.description}

    def _page(self) -> str:
        """Return the chart as HTML. The book's script draws it; without scripts, the page shows the picture."""
        # "</" would end the script element.
        text = json.dumps(self.specification).replace("</", "<\\/")
        head, body = _svg(self.still).split(">", 1)
        # Without a size of its own, the picture takes the width of the page.
        head = re.sub(r'\s(width|height)="[^"]*"', "", head)
        description = html.escape(self.description)
        return (
            f'<div class="vega-chart" role="figure" aria-label="{description}">'
            f'<script type="application/json">{text}</script>'
            f'<noscript>{head} aria-hidden="true">{body}<p>{description}</p></noscript></div>'
        )


def _svg(figure: Figure) -> str:
    """Return the figure as an svg element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _slider(name: str, value: float, low: float, high: float, step: float, title: str) -> alt.Parameter:
    return alt.param(name=name, value=value, bind=alt.binding_range(min=low, max=high, step=step, name=title))


def _choice(name: str, value: str, options: Sequence[str], title: str) -> alt.Parameter:
    return alt.param(name=name, value=value, bind=alt.binding_select(options=[*options], name=title))


def _says(chart: alt.Chart, n_lines: int) -> alt.Chart:
    """Return a layer above the chart that shows the field ``words`` of its one row. The page reads it aloud on a change."""
    return (
        chart.mark_text(align="left", lineBreak="\n", lineHeight=18, fontSize=13, color="black")
        .encode(x=alt.value(0), y=alt.value(-18 * n_lines), text="words:N")
        .properties(name=SAYS)
    )


#: The positive whose push the goal of ``focal_slider`` is about.
_GOAL_SCORE = 0.1


def focal_slider(gamma: float = 2.0, alpha: float = 0.5) -> InteractiveChart:
    """Return the focal loss of a positive and the gradients of a positive and a negative, with sliders and a goal.

    The sliders move gamma and alpha. Positives are weighted by ``2 alpha`` and negatives by ``2 (1 - alpha)``: twice the
    weights of Lin et al. (2017), so that an alpha of 0.5 weights nothing. Dashed lines stay at binary cross-entropy.

    Args:
        gamma: First value of gamma.
        alpha: First value of alpha.
    """

    def formulas(g: str, a: str) -> dict[str, str]:
        return {
            "loss of a positive": f"-2 * {a} * pow(1 - datum.p, {g}) * log(datum.p)",
            "gradient of a positive": f"2 * {a} * pow(1 - datum.p, {g}) * (1 - datum.p - {g} * datum.p * log(datum.p))",
            "gradient of a negative": (
                f"2 * (1 - {a}) * pow(datum.p, {g}) * (datum.p - {g} * (1 - datum.p) * log(1 - datum.p))"
            ),
        }

    names = list(formulas("0", "0.5"))

    def lines(g: str, a: str, dash: list[float]) -> alt.Chart:
        return (
            alt.Chart(alt.sequence(0.005, 1.0, 0.005, as_="p"))
            .transform_calculate(**formulas(g, a))
            .transform_fold([*names], as_=["curve", "value"])
            .mark_line(clip=True, strokeDash=dash, strokeWidth=1 if dash else 2)
            .encode(
                x=alt.X("p:Q", title="score p").scale(domain=[0, 1]).axis(tickCount=5, format=".1f"),
                y=alt.Y("value:Q", title="loss, size of the gradient").scale(domain=[0, 2]),
                color=alt.Color("curve:N", title=None, sort=names)
                .scale(domain=names, range=list(PALETTE[:3]))
                .legend(orient="bottom", columns=1),
            )
        )

    # The push of a positive as a share of cross-entropy's, at the goal's score and at one half.
    steps = np.arange(0, 10.05, 0.1)
    goal_logit = np.full_like(steps, np.log(_GOAL_SCORE / (1 - _GOAL_SCORE)))
    most = float((positive_gradient(steps, goal_logit) / (1 - _GOAL_SCORE)).max())

    def share(p: float) -> str:
        return f"pow({1 - p}, gamma) * (1 - gamma * {p * np.log(p) / (1 - p)})"

    says = alt.Chart(alt.Data(values=[{}])).transform_calculate(
        words=f"'A positive at {_GOAL_SCORE}: ' + format(2 * alpha * {share(_GOAL_SCORE)}, '.2f') + ' times BCE\\'s push;\\n'"
        f" + 'at one half: ' + format(2 * alpha * {share(0.5)}, '.2f') + ' times.\\n'"
        f" + 'Goal: push hardest at {_GOAL_SCORE}. ' + ({share(_GOAL_SCORE)} > {most - 5e-4:.6f} ? 'Reached.' : 'Not yet.')"
    )
    chart = alt.layer(lines("gamma", "alpha", []), lines("0", "0.5", [4, 3]), _says(says, 3)).add_params(
        _slider("gamma", gamma, 0.0, 10.0, 0.1, "gamma "), _slider("alpha", alpha, 0.05, 0.95, 0.05, "alpha ")
    )
    p = np.linspace(0.005, 0.995, 199)
    logits = np.log(p / (1 - p))
    still, axes = one_panel()
    for g, a, style in ((gamma, alpha, "-"), (0.0, 0.5, "--")):
        values = (
            -2 * a * (1 - p) ** g * np.log(p),
            2 * a * positive_gradient(g, logits),
            2 * (1 - a) * positive_gradient(g, -logits),
        )
        for name, curve, colour in zip(names, values, PALETTE):
            axes.plot(p, curve, style, color=colour, label=name if style == "-" else None)
    axes.set(xlabel="score p", ylabel="loss, size of the gradient", xlim=(0, 1), ylim=(0, 2))
    axes.legend(fontsize=9)
    return InteractiveChart(
        chart.properties(width="container", height=280),
        "Three curves against the score. The loss of a positive falls. Its gradient falls too; for a larger gamma it "
        "first rises and then falls faster. The gradient of a negative is its mirror image. Sliders move gamma and "
        "alpha; dashed lines stay at cross-entropy. A line above the chart says how hard a positive is pushed.",
        still,
    )


def gamma_slider(
    label_counts: Mapping[str, int], n_documents: int | None = None, bounds: tuple[float, float] = (0.5, 5.0)
) -> InteractiveChart:
    """Return gamma of each label within bounds, with a choice of the reading, sliders and a goal.

    The colour is the gradient at a score of one half, where a new head begins, as a share of that of binary
    cross-entropy: ``2^-gamma (1 + gamma log 2)``.

    Args:
        label_counts: Label -> number of documents.
        n_documents: Number of documents. Without it, the readings that need it are not among the choices.
        bounds: First values of the lower and upper bound.
    """
    counts = pd.DataFrame({"label": list(label_counts), "documents": list(label_counts.values())})
    documents = counts["documents"].to_numpy(float)
    readings = [name for name in NORMALIZATIONS if n_documents or name not in ("documents", "information")]
    for name in readings:  # gamma is proportional to the base under every reading
        values = class_gamma(documents, n_documents, base_gamma=1.0, normalization=name, bounds=None)
        counts[f"by {name}"] = [float(f"{value:.6g}") for value in values]
    gamma = "clamp(base * datum['by ' + reading], low, high)"
    share = f"pow(2, -datum.gamma) * (1 + datum.gamma * {np.log(2)})"
    start = "mean"
    base = alt.Chart(counts).transform_calculate(gamma=gamma).transform_calculate(signal=share)
    places = {
        "x": alt.X("documents:Q", title=DOCUMENTS)
        .scale(type="log", reverse=True)
        .axis(values=[1, 10, 100, 1000, 10_000], format=",d"),
        "y": alt.Y("gamma:Q", title="gamma of the label").scale(domain=[0, 10]),
    }
    points = base.mark_circle(size=40).encode(
        **places,
        color=alt.Color("signal:Q", title="gradient at one half, as a share of BCE's")
        .scale(scheme="viridis", domain=[0, 1])
        .legend(orient="bottom", gradientLength=220, titleLimit=300),
        tooltip=[
            alt.Tooltip("label:N"),
            alt.Tooltip("documents:Q", format=","),
            alt.Tooltip("gamma:Q", format=".2f"),
            alt.Tooltip("signal:Q", title="gradient, share of BCE's", format=".3f"),
        ],
    )
    chosen = (
        base.transform_filter("datum.label === picked")
        .mark_point(size=160, strokeWidth=2, color="black")
        .encode(**places)
    )
    # What is at a bound is decided before the bound cuts: a gamma that falls on it by itself counts, too.
    says = (
        base.transform_calculate(
            at_low="base * datum['by ' + reading] <= low ? 1 : 0",
            at_high="base * datum['by ' + reading] >= high && base * datum['by ' + reading] > low ? 1 : 0",
        )
        .transform_joinaggregate(n_low="sum(at_low)", n_high="sum(at_high)", n="count()")
        .transform_filter("datum.label === picked")
        .transform_calculate(between="datum.n - datum.n_low - datum.n_high")
        .transform_calculate(
            words="'At the lower bound ' + datum.n_low + ', at the upper ' + datum.n_high + ',\\n'"
            " + 'between ' + datum.between + ' of ' + datum.n + ' labels.\\n'"
            " + 'Goal: half of them between. ' + (2 * datum.between >= datum.n ? 'Reached.' : 'Not yet.')"
            " + '\\nMarked: gamma ' + format(datum.gamma, '.2f') + ', gradient ' + format(datum.signal, '.2f') + ' of BCE\\'s.'"
        )
    )
    chart = (
        alt.layer(points, chosen, _says(says, 4))
        .add_params(
            _choice("reading", start, readings, "reading "),
            _slider("base", 2.0, 0.0, 5.0, 0.1, "base gamma "),
            _slider("low", bounds[0], 0.0, 2.0, 0.1, "lower bound "),
            _slider("high", bounds[1], 0.0, 10.0, 0.1, "upper bound "),
            _choice("picked", str(counts["label"].iloc[-1]), counts["label"].tolist(), "label to mark "),
        )
        .properties(width="container", height=280)
    )
    at_first = class_gamma(documents, bounds=bounds)
    still, axes = one_panel()
    drawn = axes.scatter(
        documents,
        at_first,
        c=positive_gradient(at_first) / positive_gradient(0.0),
        cmap="viridis",
        vmin=0,
        vmax=1,
        s=14,
    )
    axes.set(xscale="log", xlabel=DOCUMENTS, ylabel="gamma of the label")
    axes.invert_xaxis()
    still.colorbar(drawn, label="gradient at one half,\nas a share of BCE's")
    return InteractiveChart(
        chart,
        "Each label as a point, gamma against its number of documents: flat at the lower bound for frequent labels, "
        "then a steep rise to the upper bound. The colour of a point shows how strong its gradient is at the start. "
        "Sliders move base gamma and both bounds; lists choose the reading and a label to mark. Lines above the chart say "
        "how many labels are at each bound.",
        still,
    )


_THRESHOLD_METRICS = {
    "f1_micro": "micro F1",
    "f1_macro": "macro F1",
    "precision_micro": "micro precision",
    "recall_micro": "micro recall",
    "roc_auc_micro_of_decisions": "micro AUC of decisions",
}


def threshold_slider(targets: ArrayLike, scores: ArrayLike, start: float = 0.5) -> InteractiveChart:
    """Return five metrics of decisions against one threshold for all labels, which a slider moves, with a goal.

    Args:
        targets: (n_documents, n_labels), 0 or 1, of the validation documents.
        scores: (n_documents, n_labels), in [0, 1].
        start: First threshold, a multiple of 0.02 from 0.02 to 0.98.
    """
    titles = list(_THRESHOLD_METRICS.values())
    n_labels = np.shape(targets)[1]
    found = {at: evaluate(targets, scores, at) for at in np.round(np.linspace(0.02, 0.98, 49), 2)}
    best = max(metrics["f1_macro"] for metrics in found.values())
    rows: list[dict[str, Any]] = []
    for threshold, metrics in found.items():
        now = {title: round(metrics[name], 4) for name, title in _THRESHOLD_METRICS.items()}
        never, reached = metrics["n_labels_never_predicted"], metrics["f1_macro"] == best
        words = (
            f"Labels never predicted: {never} of {n_labels}.\n"
            + f"Micro F1 {now['micro F1']:.3f}, macro F1 {now['macro F1']:.3f},\n"
            + f"precision {now['micro precision']:.3f}, recall {now['micro recall']:.3f}.\n"
            + f"Goal: the highest macro F1. {'Reached.' if reached else 'Not yet.'}"
        )
        rows += [{"threshold": threshold, "metric": title, "value": now[title], "words": words} for title in titles]
    table = pd.DataFrame(rows)
    base = alt.Chart(table).encode(
        x=alt.X("threshold:Q").scale(domain=[0, 1]).axis(tickCount=5, format=".1f"),
        y=alt.Y("value:Q", title="value on validation").scale(domain=[0, 1]).axis(tickCount=5, format=".1f"),
        color=alt.Color("metric:N", title=None, sort=titles)
        .scale(domain=titles, range=list(PALETTE[: len(titles)]))
        .legend(orient="bottom", columns=2),
    )
    at = "abs(datum.threshold - at) < 0.001"
    current = base.transform_filter(at)
    rule = (
        alt.Chart(table)
        .transform_filter(f"{at} && datum.metric === '{titles[0]}'")
        .mark_rule(color="black", strokeDash=[4, 3])
        .encode(x="threshold:Q")
    )
    says = alt.Chart(table).transform_filter(f"{at} && datum.metric === '{titles[0]}'")
    chart = (
        alt.layer(base.mark_line(strokeWidth=2), rule, current.mark_circle(size=90, opacity=1), _says(says, 4))
        .add_params(_slider("at", start, 0.02, 0.98, 0.02, "threshold "))
        .properties(width="container", height=260)
    )
    still, axes = one_panel()
    for title, colour in zip(titles, PALETTE):
        one = table[table["metric"] == title]
        axes.plot(one["threshold"], one["value"], color=colour, label=title)
    axes.axvline(start, color="black", linestyle="--")
    axes.set(xlabel="threshold", ylabel="value on validation", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=9)
    return InteractiveChart(
        chart,
        "Five metrics as lines against the threshold, with a dot on each at the threshold that a slider moves. Lines of "
        "text above the chart give the values and say how many labels are never predicted.",
        still,
    )


#: The largest ratio of costs on the slider: beyond it, 1 / (1 + ratio) lies in the first two bins of the scores.
_LARGEST_RATIO = 30
#: The share of positives that the goal of ``cost_slider`` allows to be missed.
_MISSED = 0.1


def cost_slider(positives: ArrayLike, negatives: ArrayLike, noun: str, start: int = 1) -> InteractiveChart:
    """Return the scores of one label's documents and the threshold that a ratio of costs asks for, with a goal.

    Args:
        positives, negatives: (n_bins,) number of documents with and without the label by score, in bins of equal width
            from 0 to 1.
        noun: what has the label, in the plural, such as "clauses".
        start: First ratio, from 1 to 30: how many false alarms cost as much as one miss.
    """
    positives, negatives = np.asarray(positives), np.asarray(negatives)
    n_bins, n_positives = len(positives), int(positives.sum())
    # Predicted at an edge: what lies above it.
    kept, alarms = (np.append(counts[::-1].cumsum()[::-1], 0) for counts in (positives, negatives))
    missed = n_positives - kept
    bars = pd.DataFrame(
        {
            "score": np.tile(np.arange(n_bins) / n_bins, 2),
            "end": np.tile(np.arange(1, n_bins + 1) / n_bins, 2),
            # A square root, so that a few positives are seen beside many negatives.
            "height": np.concatenate([np.sqrt(positives), -np.sqrt(negatives)]),
            "side": np.repeat([f"{noun} with the label", "without"], n_bins),
        }
    )
    rows: list[dict[str, Any]] = []
    for ratio in range(1, _LARGEST_RATIO + 1):
        cost = ratio * missed + alarms
        asked, half, least = round(n_bins / (1 + ratio)), n_bins // 2, int(cost.argmin())
        words = (
            f"Threshold 1/(1 + {ratio}) = {1 / (1 + ratio):.3f}:\n"
            f"{missed[asked]} of {n_positives} missed, {alarms[asked]} false alarms,\n"
            f"cost {cost[asked]} (at 0.5: {cost[half]}).\n"
            f"Least possible: {cost[least]}, at {least / n_bins:.2f}.\n"
            f"Goal: miss at most a tenth. {'Reached.' if missed[asked] <= _MISSED * n_positives else 'Not yet.'}"
        )
        rows.append({"ratio": ratio, "at": 1 / (1 + ratio), "least": least / n_bins, "words": words})
    table = pd.DataFrame(rows)
    sides = list(dict.fromkeys(bars["side"]))
    histogram = (
        alt.Chart(bars)
        .mark_rect()
        .encode(
            x=alt.X("score:Q", title="score").scale(domain=[0, 1]).axis(tickCount=5, format=".1f"),
            x2=alt.X2("end:Q", title="score"),
            y=alt.Y("height:Q", title="documents (square root)").axis(labels=False, ticks=False, grid=False),
            y2=alt.datum(0),
            color=alt.Color("side:N", title=None, sort=sides)
            .scale(domain=sides, range=[PALETTE[1], PALETTE[0]])
            .legend(orient="bottom"),
        )
    )
    now = alt.Chart(table).transform_filter("datum.ratio === ratio")
    chart = (
        alt.layer(
            histogram,
            now.mark_rule(color="black", strokeDash=[4, 3], strokeWidth=2).encode(x=alt.X("at:Q", title="score")),
            now.mark_rule(color="black", strokeWidth=1).encode(x=alt.X("least:Q", title="score")),
            _says(now, 5),
        )
        .add_params(_slider("ratio", start, 1, _LARGEST_RATIO, 1, "false alarms per miss "))
        .properties(width="container", height=260)
    )
    first = table[table["ratio"] == start].iloc[0]
    still, axes = one_panel()
    for side, colour in zip(sides, (PALETTE[1], PALETTE[0])):
        own = bars[bars["side"] == side]
        axes.bar(own["score"], own["height"], 1 / n_bins, align="edge", color=colour, label=side)
    axes.axvline(first["at"], color="black", linestyle="--")
    axes.axvline(first["least"], color="black", linewidth=1)
    axes.set(xlabel="score", ylabel="documents (square root)", xlim=(0, 1), yticks=[])
    axes.legend(fontsize=9)
    return InteractiveChart(
        chart,
        f"The scores of {noun} with a label above the axis, and without it below. A slider says how many false alarms cost as "
        "much as one miss. A dashed line is the threshold that this asks for, a thin line the one that would have cost least. "
        "Lines of text above the chart count misses, false alarms and cost.",
        still,
    )
