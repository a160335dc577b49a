"""Charts with sliders, which work in JupyterLab and in the built book without a kernel or a network."""

import html
import io
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from altair.typing import ChartType
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from afl_helpers.chapters.figures.style import DOCUMENTS, PALETTE, one_panel
from afl_helpers.evaluation import evaluate
from afl_helpers.gamma import class_gamma, positive_gradient

#: JupyterLab draws Vega-Lite 5 and no later version. The charts use only what both versions have.
_LAB_TYPE = "application/vnd.vegalite.v5+json"
_LAB_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"


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


def focal_slider(gamma: float = 2.0, alpha: float = 0.5) -> InteractiveChart:
    """Return the focal loss of a positive and the gradients of a positive and a negative, with sliders.

    The sliders move gamma and alpha. As in Lin et al. (2017), alpha weights positives and 1 - alpha weights negatives.
    Dashed lines stay at gamma 0 and alpha 0.5, which is half of binary cross-entropy.

    Args:
        gamma: First value of gamma.
        alpha: First value of alpha.
    """

    def formulas(g: str, a: str) -> dict[str, str]:
        return {
            "loss of a positive": f"-{a} * pow(1 - datum.p, {g}) * log(datum.p)",
            "gradient of a positive": f"{a} * pow(1 - datum.p, {g}) * (1 - datum.p - {g} * datum.p * log(datum.p))",
            "gradient of a negative": (
                f"(1 - {a}) * pow(datum.p, {g}) * (datum.p - {g} * (1 - datum.p) * log(1 - datum.p))"
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
                y=alt.Y("value:Q", title="loss, size of the gradient").scale(domain=[0, 1.5]),
                color=alt.Color("curve:N", title=None, sort=names)
                .scale(domain=names, range=list(PALETTE[:3]))
                .legend(orient="top", columns=1),
            )
        )

    chart = alt.layer(lines("gamma", "alpha", []), lines("0", "0.5", [4, 3])).add_params(
        _slider("gamma", gamma, 0.0, 5.0, 0.1, "gamma "), _slider("alpha", alpha, 0.05, 0.95, 0.05, "alpha ")
    )
    p = np.linspace(0.005, 0.995, 199)
    logits = np.log(p / (1 - p))
    still, axes = one_panel()
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
        "Three curves against the score. The loss of a positive falls. Its gradient falls too; for a larger gamma it "
        "first rises and then falls faster. The gradient of a negative is its mirror image. Sliders move gamma and "
        "alpha; dashed lines stay at gamma 0 and alpha 0.5.",
        still,
    )


def gamma_slider(label_counts: Mapping[str, int], bounds: tuple[float, float] = (0.5, 5.0)) -> InteractiveChart:
    """Return gamma of each label, base * mean n / n within bounds, with sliders for the base and the bounds.

    The colour is the gradient at a score of one half, where a new head begins, as a share of that of binary
    cross-entropy: ``2^-gamma (1 + gamma log 2)``.

    Args:
        label_counts: Label -> number of documents.
        bounds: First values of the lower and upper bound.
    """
    counts = pd.DataFrame({"label": list(label_counts), "documents": list(label_counts.values())})
    gamma = f"clamp(base * {counts['documents'].mean()} / datum.documents, low, high)"
    share = f"pow(2, -datum.gamma) * (1 + datum.gamma * {np.log(2)})"
    chart = (
        alt.Chart(counts)
        .mark_circle(size=40)
        .transform_calculate(gamma=gamma)
        .transform_calculate(signal=share)
        .encode(
            x=alt.X("documents:Q", title=DOCUMENTS)
            .scale(type="log", reverse=True)
            .axis(values=[1, 10, 100, 1000, 10_000], format=",d"),
            y=alt.Y("gamma:Q", title="gamma of the label").scale(domain=[0, 10]),
            color=alt.Color("signal:Q", title="gradient at one half, as a share of BCE's")
            .scale(scheme="viridis", domain=[0, 1])
            .legend(orient="top", gradientLength=220, titleLimit=300),
            tooltip=[
                alt.Tooltip("label:N"),
                alt.Tooltip("documents:Q", format=","),
                alt.Tooltip("gamma:Q", format=".2f"),
                alt.Tooltip("signal:Q", title="gradient, share of BCE's", format=".3f"),
            ],
        )
        .add_params(
            _slider("base", 2.0, 0.0, 5.0, 0.1, "base gamma "),
            _slider("low", bounds[0], 0.0, 2.0, 0.1, "lower bound "),
            _slider("high", bounds[1], 0.0, 10.0, 0.1, "upper bound "),
        )
        .properties(width="container", height=280)
    )
    documents = counts["documents"].to_numpy(float)
    at_first = class_gamma(documents, bounds=bounds)
    still, axes = one_panel()
    points = axes.scatter(
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
    still.colorbar(points, label="gradient at one half,\nas a share of BCE's")
    return InteractiveChart(
        chart,
        "Each label as a point, gamma against its number of documents: flat at the lower bound for frequent labels, "
        "then a steep rise to the upper bound. The colour of a point shows how strong its gradient is at the start. "
        "Sliders move base gamma and both bounds.",
        still,
    )


_THRESHOLD_METRICS = {
    "f1_micro": "micro F1",
    "f1_macro": "macro F1",
    "precision_micro": "micro precision",
    "recall_micro": "micro recall",
    "recall_macro": "macro recall",
    "roc_auc_micro_of_decisions": "micro AUC of decisions",
}


def threshold_slider(targets: ArrayLike, scores: ArrayLike, start: float = 0.5) -> InteractiveChart:
    """Return six metrics of decisions at one threshold for all labels, which a slider moves.

    Args:
        targets: (n_documents, n_labels), 0 or 1.
        scores: (n_documents, n_labels), in [0, 1].
        start: First threshold, a multiple of 0.02 from 0.02 to 0.98.
    """
    titles = list(_THRESHOLD_METRICS.values())
    rows: list[dict[str, Any]] = []
    for threshold in np.round(np.linspace(0.02, 0.98, 49), 2):
        metrics = evaluate(targets, scores, threshold)
        never = metrics["n_labels_never_predicted"]
        rows += [
            {"threshold": threshold, "metric": title, "value": round(metrics[name], 4), "never": never}
            for name, title in _THRESHOLD_METRICS.items()
        ]
    table = pd.DataFrame(rows)
    base = alt.Chart(table).encode(
        x=alt.X("value:Q", title="value on validation").scale(domain=[0, 1]).axis(tickCount=5, format=".1f"),
        y=alt.Y("metric:N", title=None, sort=titles),
    )
    current = base.transform_filter("abs(datum.threshold - at) < 0.001")
    bars = current.mark_bar(color=PALETTE[0], opacity=0.75, height=14)
    text = current.mark_text(align="left", dx=5, color=PALETTE[0]).encode(text=alt.Text("value:Q", format=".3f"))
    best = (
        base.transform_window(
            rank="row_number()", sort=[alt.SortField("value", order="descending")], groupby=["metric"]
        )
        .transform_filter("datum.rank == 1")
        .mark_tick(thickness=2, height=20, color=PALETTE[1])
        .encode(tooltip=[alt.Tooltip("value:Q", format=".3f"), alt.Tooltip("threshold:Q", title="at threshold")])
    )
    n_labels = np.shape(targets)[1]
    never_predicted = (
        alt.Chart(table)
        .transform_filter("abs(datum.threshold - at) < 0.001 && datum.metric == 'micro F1'")
        .transform_calculate(words=f"'labels never predicted: ' + datum.never + ' of {n_labels}'")
        .mark_text(align="left", fontSize=13, color="black")
        .encode(x=alt.value(0), y=alt.value(-12), text="words:N")
    )
    chart = (
        alt.layer(bars, text, best, never_predicted)
        .add_params(_slider("at", start, 0.02, 0.98, 0.02, "threshold "))
        .properties(width="container", height=220)
    )
    values = table[table["threshold"] == start].set_index("metric")["value"][titles[::-1]]
    highest = table.groupby("metric")["value"].max()[values.index]
    still, axes = one_panel()
    axes.barh(values.index, values, color=PALETTE[0], alpha=0.75)
    axes.plot(highest, highest.index, "|", color=PALETTE[1], markersize=18, markeredgewidth=2)
    axes.set(xlabel=f"value on test, threshold {start:g}", xlim=(0, 1))
    return InteractiveChart(
        chart,
        "Six metrics as bars at the threshold that a slider moves. A tick marks the best value of each metric at any "
        "threshold. A line above the bars says how many labels are never predicted.",
        still,
    )
