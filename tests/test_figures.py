"""Each figure draws what it is given: points in the data, names on the axes, one style."""

import ast
import html
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from contrast import contrast
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from afl_helpers.chapters import figures
from afl_helpers.chapters.display import loss_card, loss_table, we_find
from afl_helpers.chapters.verdicts import differences_by_block
from afl_helpers.errors import UsageError
from afl_helpers.gamma import class_gamma, positive_gradient
from afl_helpers.losses import LOSSES, focal_loss
from afl_helpers.results import deciding_interval, read_result, read_study
from afl_helpers.studies import compare_study

RESULTS = Path(__file__).resolve().parent.parent / "results"

matplotlib.use("Agg")

COUNTS = {"Drama": 60, "Comedy": 30, "Western": 6, "Heist": 1}
RNG = np.random.default_rng(0)
TARGETS = (RNG.random((50, 4)) < [0.6, 0.3, 0.1, 0.05]).astype(np.uint8)
SCORES = RNG.random((50, 4))


@pytest.fixture
def table() -> pd.DataFrame:
    """Runs of two settings, two seeds, under each threshold rule."""
    rows = []
    for setting, level in (("bce", 0.2), ("afl", 0.4)):
        for seed in (0, 1):
            for rule in figures.RULE_TITLES:
                row = {name: level + 0.02 * seed for name in figures.PAPER_METRICS}
                rows.append(
                    {"setting": setting, "seed": seed, "thresholds": rule, "f1_macro": level + seed / 100, **row}
                )
    return pd.DataFrame(rows)


def test_long_tail_is_sorted_and_named():
    figure = figures.long_tail(dict(reversed(COUNTS.items())), 70, annotate=["Heist"])
    axes = figure.axes[0]
    assert axes.lines[0].get_ydata().tolist() == [60, 30, 6, 1]
    assert axes.texts[0].get_text() == "Heist (1)" and "4 labels, 70 documents" in axes.get_title(loc="left")


def test_text_lengths_are_cumulative_shares():
    figure = figures.text_lengths({"a": [10, 20, 20, 600], "b": [5]}, limits=(512,))
    line = figure.axes[0].lines[0]
    share = dict(zip(line.get_xdata(), line.get_ydata()))
    assert share[10] == 0.25 and share[20] == 0.75 and share[600] == 1.0
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a, n = 4", "b, n = 1"]


def test_cooccurrence_is_conditional_on_the_row():
    labels = np.array([[1, 1], [1, 0], [1, 0], [0, 1]])
    mesh = figures.cooccurrence(labels, ["a", "b"]).axes[0].collections[0]
    values = np.ma.filled(mesh.get_array(), np.nan).reshape(2, 2)
    assert values[0, 1] == pytest.approx(1 / 3) and values[1, 0] == pytest.approx(1 / 2) and np.isnan(values[0, 0])


def test_focal_curves_show_the_loss_and_its_gradient():
    left, right = figures.focal_curves([0, 2]).axes
    p, loss = left.lines[1].get_data()
    np.testing.assert_allclose(loss, -((1 - p) ** 2) * np.log(p), rtol=1e-9)
    np.testing.assert_allclose(right.lines[0].get_ydata(), 1 - p, rtol=1e-9)
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["0", "2"]


def test_gamma_readings_draws_every_reading():
    counts = np.array(list(COUNTS.values()))
    axes = figures.gamma_readings(counts, 70).axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(drawn["mean"], class_gamma(counts, 70, normalization="mean", bounds=None))
    assert len(drawn) == 8 and axes.xaxis_inverted()


def test_paper_comparison_marks_the_reported_values(table):
    axes = figures.paper_comparison(table, ["bce", "afl"]).axes[0]
    heights = [patch.get_height() for patch in axes.patches]
    assert heights == pytest.approx([0.21] * 7 + [0.41] * 7)
    diamonds = sorted(line.get_ydata()[0] for line in axes.lines if line.get_marker() == "D" and len(line.get_ydata()))
    assert diamonds == [0.4707, 0.5, 0.5282, 0.7118, 0.79]


def test_paper_comparison_says_what_was_run(table):
    assert figures.paper_comparison(table, ["bce"]).axes[0].get_title(loc="left") == "seeds 0, 1"
    named = table.assign(study="paper-cmu", corpus="cmu", encoder="bert-base-uncased", block=1)
    title = figures.paper_comparison(named, ["bce", "afl"]).axes[0].get_title(loc="left")
    assert title == "paper-cmu; cmu; bert-base-uncased; block 1"


def test_settings_by_block_draws_a_point_per_block_and_joins_them(table):
    own = table[table["thresholds"] == "at_0.5"].rename(columns={"seed": "block"})
    left, right = figures.settings_by_block(own, ["afl", "bce"], {"f1_macro": "F", "f1_micro": "M"}).axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == [figures.title_of("afl"), figures.title_of("bce")]
    by_block = own.set_index(["setting", "block"])
    blocks = sorted(set(own["block"]))
    assert len(blocks) > 1
    for axes, metric in ((left, "f1_macro"), (right, "f1_micro")):
        joined, points = axes.lines[: len(blocks)], axes.lines[len(blocks) :]
        for line, block in zip(joined, blocks):
            assert line.get_xdata().tolist() == [by_block.loc[(name, block), metric] for name in ("afl", "bce")]
        for line, setting in zip(points, ("afl", "bce")):
            assert line.get_xdata().tolist() == own.loc[own["setting"] == setting, metric].tolist()


def test_by_training_length_draws_a_line_per_setting_and_names_it_at_its_end():
    rows = [
        *(("a", "bce", 1, 30, 0.2), ("a", "bce", 1, 15, 0.1), ("a", "bce", 2, 15, 0.3), ("a", "bce", 2, 30, 0.6)),
        *(("a", "afl", 1, 15, 0.05), ("b", "bce", 1, 15, 0.3)),
    ]
    left, right = figures.by_training_length(
        pd.DataFrame(rows, columns=["size", "setting", "block", "epochs", "value"]), "AP"
    ).axes
    points, means = left.lines[::2], left.lines[1::2]
    assert [line.get_ydata().tolist() for line in points] == [[0.2, 0.1, 0.3, 0.6], [0.05]]
    assert [line.get_ydata().tolist() for line in means] == [pytest.approx([0.2, 0.4]), [0.05]]
    assert [(text.get_text(), text.xy) for text in left.texts] == [
        ("BCE", (30, pytest.approx(0.4))),
        ("AFL", (15, 0.05)),
    ]
    assert (left.get_title(), right.get_title()) == ("a, 2 blocks", "b, one block") and len(right.lines) == 2


def test_differences_draws_intervals_around_zero():
    rows = pd.DataFrame({"comparison": ["a", "b"], "difference": [0.1, -0.1], "low": [0.05, -0.3], "high": [0.2, 0.1]})
    axes = figures.differences(rows, "difference", margin=0.02).axes[0]
    segments = axes.collections[-1].get_segments()
    assert sorted(segment[:, 0].tolist() for segment in segments) == [[-0.3, 0.1], [0.05, 0.2]]


def test_settings_by_rule_draws_means_and_ranges(table):
    axes = figures.settings_by_rule({"corpus": table}, ["bce", "afl"], ["at_0.5", "tuned_common"]).axes[0]
    for line, setting in zip(axes.lines, ("bce", "afl"), strict=True):
        own = table[table["setting"] == setting].groupby("thresholds")["f1_macro"]
        assert line.get_ydata() == pytest.approx(own.mean()[["at_0.5", "tuned_common"]].to_numpy())
    ends = [tuple(segment[:, 1]) for segment in axes.collections[0].get_segments()]
    own = table[table["setting"] == "bce"].groupby("thresholds")["f1_macro"]
    assert ends == [(own.min()[rule], own.max()[rule]) for rule in ("at_0.5", "tuned_common")]


def test_score_distributions_pool_the_runs_of_a_setting_and_mark_their_threshold():
    runs = [
        run for run in read_study("frozen-encoder", RESULTS) if run.data.corpus == "reuters" and run.setting == "bce"
    ]
    figure = figures.score_distributions(runs[:2], ["bce"], {"tail": "rarest third"})
    (axes,) = figure.axes
    counts = sum(np.array(run.summaries.groups["tail"].negatives) for run in runs[:2])
    drawn = [patch.get_data() for patch in axes.patches]
    assert drawn[1].values == pytest.approx(counts / counts.max()) and drawn[1].edges[[0, -1]].tolist() == [0, 1]
    common = np.mean([run.labels.threshold["tuned_common"] for run in runs[:2]])
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([0.5, common])
    without = [replace(runs[0], summaries=None)]
    with pytest.raises(UsageError, match="keeps no histograms of scores"):
        figures.score_distributions(without, ["bce"])


def test_registered_differences_draw_the_interval_of_the_test_that_decides():
    table = compare_study("frozen-encoder", RESULTS)
    titles = {"average_precision_macro_tail": "tail", "f1_macro@tuned_proportional": "cut"}
    axes = figures.registered_differences(table, titles).axes[0]
    drawn = {
        (round(x[0], 12), round(x[1], 12))
        for bars in axes.collections
        for x in (segment[:, 0] for segment in getattr(bars, "get_segments", list)())
    }
    own = table[table["endpoint"] == "average_precision_macro_tail"]
    corrected = own[own["decided_by"] == "corrected t"]
    assert len(corrected) == 6 and (corrected["low_corrected"] < corrected["low"]).all()
    for row in own.to_dict("records"):
        low, high, _ = deciding_interval(row)
        assert (round(low, 12), round(high, 12)) in drawn


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.metrics_by_threshold(TARGETS, SCORES),
        lambda: figures.recall_by_frequency(TARGETS, {"BCE": SCORES}, {"BCE": 0.5}, np.array([60, 30, 6, 1])),
        lambda: figures.gamma_by_label({"AFL": np.array([1.0, 2.0, 3.0, 4.0])}, np.array([60, 30, 6, 1])),
        lambda: figures.epochs({"BCE": [{"epoch": 1, "average_precision_micro": 0.2}]}),
    ],
)
def test_every_axis_has_a_name_and_colours_come_from_the_palette(draw):
    figures.set_style()
    figure = draw()
    assert isinstance(figure, Figure)
    for axes in figure.axes:
        assert axes.get_xlabel()
        for line in axes.lines:
            assert to_hex(line.get_color()).upper() in {to_hex(colour).upper() for colour in figures.PALETTE}


def test_figures_do_not_stay_open():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    figures.long_tail(COUNTS, 70)
    assert plt.get_fignums() == before


def test_a_finding_is_escaped():
    assert "a &lt; b" in we_find("a < b").data and 'class="admonition we-find"' in we_find("x").data


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_loss_card_names_every_parameter_without_leftover_markup(name):
    text = loss_card(name).data
    for parameter in LOSSES[name].parameters:
        assert parameter == "reduction" or f"<code>{parameter}</code>" in text
    assert "`" not in text and ":func:" not in text
    fidelity = html.escape(LOSSES[name].fidelity.replace("``", ""), quote=False)
    assert fidelity in re.sub("</?code>", "", text)


def test_the_table_of_losses_has_a_row_for_each():
    _, *rows = re.findall(r"<tr.*?</tr>", loss_table().data, re.DOTALL)
    assert len(rows) == len(LOSSES)
    for row, (name, info) in zip(rows, LOSSES.items()):
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        assert cells[0].endswith(f"<code>{name}</code>") and cells[1] == info.agreement


def test_the_gallery_has_a_panel_for_each_loss():
    figure = figures.loss_gallery([40, 250, 600], 1000)
    drawn = [axes for axes in figure.axes if axes.lines]
    assert len(drawn) == len(LOSSES)
    z, positive = drawn[0].lines[0].get_data()
    np.testing.assert_allclose(positive, np.log1p(np.exp(-np.asarray(z))), rtol=1e-6)
    np.testing.assert_allclose(drawn[0].lines[1].get_ydata(), -1 / (1 + np.exp(np.asarray(z))), rtol=1e-6)


def test_masking_settles_by_one_update_and_runs_away_by_the_other():
    settled, run_away, bound = figures.masking_over_epochs(epochs=20).axes[0].lines
    assert np.abs(np.log(settled.get_ydata())).max() < 0.01
    ratios = run_away.get_ydata()[1:] / run_away.get_ydata()[:-1]
    assert ratios.min() > 1.2 and bound.get_ydata()[0] == 10


def two_settings() -> pd.DataFrame:
    """Two settings and two seeds under three rules; "afl" leads at 0.5 and trails under the other rules."""
    rows = []
    for setting, lead in (("bce", 0.0), ("afl", 0.1)):
        for seed in (0, 1):
            for rule, sign in (("at_0.5", 1), ("tuned_common", -1), ("tuned_proportional", -1)):
                values = {metric: 0.4 + sign * lead + 0.01 * seed for metric, _ in figures.RANKED_BY.values()}
                values |= {column: 0.7 + sign * lead for column in figures.AUC_READINGS}
                rows.append({"setting": setting, "seed": seed, "thresholds": rule, **values})
    return pd.DataFrame(rows)


def test_ranks_follow_the_metric_and_its_threshold():
    found = figures.ranks(two_settings(), ["bce", "afl"])
    assert found.loc["afl", "micro F1, at 0.5"] == found.loc["bce", "micro F1, tuned"] == 1
    assert found.loc["bce", "micro F1, at 0.5"] == found.loc["afl", "macro F1, prop. cut"] == 2
    axes = figures.ranks_by_metric(two_settings(), ["bce", "afl"]).axes[0]
    assert axes.images[0].get_array().tolist() == found.T.to_numpy().tolist()
    assert [text.get_text() for text in axes.texts[:2]] == ["2", "1"]


@pytest.mark.parametrize("n_settings", [2, 8])
def test_ranks_can_be_read_on_their_cells(n_settings):
    settings = list(figures.SETTING_TITLES)[:n_settings]
    rows = two_settings().query("setting == 'bce' and seed == 0")
    table = pd.concat(
        [
            rows.assign(setting=name).map(lambda v, i=i: v + i / 100 if isinstance(v, float) else v)
            for i, name in enumerate(settings)
        ]
    )
    axes = figures.ranks_by_metric(table, settings).axes[0]
    image = axes.images[0]
    for text in axes.texts:
        column, row = (round(place) for place in text.get_position())
        cell = to_hex(image.to_rgba(image.get_array())[row, column])
        assert contrast(cell, to_hex(text.get_color())) >= 4.5, f"rank {text.get_text()} of {n_settings}"


def _expressions(specification: dict) -> dict[str, str]:
    """Name -> formula of every calculate transform of a chart, layers included, but not the words above it."""
    parts = [specification, *(layer for layer in specification.get("layer", []) if layer.get("name") != "says")]
    found = {}
    for part in reversed(parts):  # the first layer, which the sliders move, last
        found |= {step["as"]: step["calculate"] for step in part.get("transform", []) if "calculate" in step}
    return found


def _vega(expression: str, **values: float) -> float:
    known = {"pow": pow, "log": math.log, "clamp": lambda x, low, high: min(max(x, low), high)}
    return eval(expression, known, {"datum": _Datum(values), **values})


class _Datum(dict):
    """A row of a Vega data set: fields by dot or by brackets."""

    __getattr__ = dict.__getitem__


@pytest.mark.parametrize("gamma", [0.0, 0.7, 5.0])
@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_focal_slider_draws_the_loss_of_the_package(gamma, p):
    formulas = _expressions(figures.focal_slider().specification)
    z = torch.tensor([[p], [p]], dtype=torch.float64).logit().requires_grad_()
    loss = focal_loss(z, torch.tensor([[1.0], [0.0]], dtype=torch.float64), gamma, 0.3, None, 0.7, reduction="none")
    slopes = torch.autograd.grad(loss.sum(), z)[0].abs().ravel().tolist()
    drawn = {name: _vega(formula, p=p, gamma=gamma, alpha=0.3) for name, formula in formulas.items()}
    # Twice Lin et al.'s weights: at alpha 0.5, the loss without weights.
    assert drawn == pytest.approx(
        {
            "loss of a positive": 2 * loss[0].item(),
            "gradient of a positive": 2 * slopes[0],
            "gradient of a negative": 2 * slopes[1],
        }
    )


@pytest.mark.parametrize("reading", ["mean", "documents", "information"])
def test_gamma_slider_draws_the_gamma_and_the_gradient_of_the_package(reading):
    specification = figures.gamma_slider(COUNTS, 70).specification
    formulas = _expressions(specification)
    expected = class_gamma(list(COUNTS.values()), 70, base_gamma=1.5, normalization=reading, bounds=(0.2, 8.0))
    rows = next(rows for rows in specification["datasets"].values() if "label" in rows[0])
    assert {row["label"]: row["documents"] for row in rows} == dict(COUNTS)
    drawn = [_vega(formulas["gamma"], **row, reading=reading, base=1.5, low=0.2, high=8.0) for row in rows]
    assert drawn == pytest.approx(expected.tolist(), rel=1e-5)
    shares = [_vega(formulas["signal"], gamma=gamma) for gamma in drawn]
    assert shares == pytest.approx((positive_gradient(expected) / positive_gradient(0.0)).tolist(), rel=1e-5)


def test_gamma_slider_without_a_number_of_documents_leaves_out_the_readings_that_need_it():
    [reading] = [one for one in figures.gamma_slider(COUNTS).specification["params"] if one["name"] == "reading"]
    assert {"mean", "sqrt"} < set(reading["bind"]["options"]) and "documents" not in reading["bind"]["options"]


def test_workflow_uses_the_test_split_last_and_alone():
    texts = [text.get_text() for text in figures.workflow().axes[0].texts]
    assert {"train", "validation", "test"} < set(texts) and "metrics and\nintervals, once" in texts


def test_a_chart_has_a_still_picture_for_pages_without_scripts(monkeypatch):
    monkeypatch.setenv("AFL_BOOK", "1")
    page = figures.gamma_slider(COUNTS)._repr_mimebundle_()["text/html"]
    still = page[page.index("<noscript>") : page.index("</noscript>")]
    assert "<svg" in still and "Sliders move" in still and 'width="' not in still[: still.index(">", 12)]


def test_a_chart_in_a_notebook_has_a_form_for_the_lab_and_a_picture_for_others(monkeypatch):
    monkeypatch.delenv("AFL_BOOK", raising=False)
    forms = figures.gamma_slider(COUNTS)._repr_mimebundle_()
    assert forms["application/vnd.vegalite.v5+json"]["$schema"].endswith("v5.json")
    assert forms["image/svg+xml"].startswith("<svg") and "Sliders move" in forms["text/plain"]
    assert "text/html" not in forms  # JupyterLab would prefer it, and it stays empty there


def test_threshold_slider_has_the_values_of_each_threshold():
    from afl_helpers.evaluation import evaluate

    rows = next(iter(figures.threshold_slider(TARGETS, SCORES).specification["datasets"].values()))
    found = {(row["threshold"], row["metric"]): row for row in rows}
    expected = evaluate(TARGETS, SCORES, 0.3)
    assert found[0.3, "macro F1"]["value"] == pytest.approx(expected["f1_macro"], abs=1e-4)
    assert found[0.3, "micro AUC of decisions"]["value"] == pytest.approx(
        expected["roc_auc_micro_of_decisions"], abs=1e-4
    )
    never = evaluate(TARGETS, SCORES, 0.98)["n_labels_never_predicted"]
    assert f"never predicted: {never} of {TARGETS.shape[1]}" in found[0.98, "micro F1"]["words"]


def test_cost_slider_finds_the_threshold_of_least_cost():
    positives, negatives = np.array([3, 0, 1, 4]), np.array([50, 9, 2, 1])
    rows = next(
        rows
        for rows in figures.cost_slider(positives, negatives, "texts").specification["datasets"].values()
        if "ratio" in rows[0]
    )
    for row in rows:
        costs = [row["ratio"] * positives[:edge].sum() + negatives[edge:].sum() for edge in range(5)]
        assert costs[round(4 * row["least"])] == min(costs) and row["at"] == pytest.approx(1 / (1 + row["ratio"]))
        assert f"Least possible: {min(costs)}, at" in row["words"]


def test_score_errors_shade_what_the_rule_decides_wrongly():
    targets = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [0, 0]])
    scores = np.array([[0.9, 0.01], [0.2, 0.3], [0.7, 0.02], [0.1, 0.6], [0.01, 0.02]])
    figure = figures.score_errors(
        targets, scores, {1: "rare", 0: "frequent"}, {"untuned": 0.5, "own": [0.15, 0.2]}, errors_of="own"
    )
    rare, frequent = figure.axes
    assert (rare.get_ylabel(), frequent.get_ylabel()) == ("rare", "frequent")

    def masses(axes):
        """What each heap holds, in documents: positives, wrong positives, negatives, wrong negatives."""
        return [np.abs(patch.get_data().values).sum() for patch in axes.patches if hasattr(patch, "get_data")]

    assert masses(rare) == [2, 0, 1.5, 0]  # the highest bin of the negatives holds two documents and has height 1
    assert masses(frequent) == [2, 0, 3, 1]
    assert [text.get_text() for text in rare.texts] == ["own 0.20", "untuned 0.50"]


def test_reliability_draws_the_bins_beside_the_diagonal():
    bins = pd.DataFrame({"n": [3, 4], "mean_score": [0.1, 0.8], "observed": [0.2, 0.7]})
    diagonal, line = figures.reliability({"model": bins}).axes[0].lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert line.get_xydata().tolist() == [[0.1, 0.2], [0.8, 0.7]]


def test_implied_recall_of_the_first_row_by_hand():
    left, right = figures.implied_by_density(np.array([0.0, 0.0099])).axes
    lines = {line.get_label(): line.get_ydata() for line in left.lines}
    assert lines["BCE"][0] == pytest.approx(2 * 0.7118 - 1)  # at density 0
    # (2 A - 1 - k) / (1 - k (2 / F - 1)) with k = .0099 / .9901 = .009999
    assert lines["BCE"][1] == pytest.approx((0.4236 - 0.009999) / (1 - 0.009999 * 3.248991), abs=1e-5)
    assert len(right.get_legend().get_texts()) == 4


def test_paper_pairs_stand_in_every_panel():
    for axes, column in zip(figures.paper_pairs(two_settings()).axes, figures.AUC_READINGS):
        ours, *theirs = [line for line in axes.lines if len(line.get_xdata())]
        assert ours.get_ydata().tolist() == two_settings()[column].tolist()
        assert (0.4707, pytest.approx(0.7118)) in [(round(x, 4), y) for line in theirs for x, y in line.get_xydata()]


def test_differences_in_panels_share_their_rows():
    table = pd.DataFrame(
        [
            {
                "metric": metric,
                "comparison": name,
                "group": group,
                "difference": value,
                "low": value - 0.1,
                "high": value + 0.2,
            }
            for metric, value in (("a", 0.5), ("b", -0.5))
            for name in ("first", "second")
            for group in ("one corpus", "another")
        ]
    )
    figure = figures.differences(table, {"a": "metric a", "b": "metric b"}, margin=0.01)
    assert [axes.get_xlabel() for axes in figure.axes] == ["metric a", "metric b"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["first", "second"]
    for axes, value in zip(figure.axes, (0.5, -0.5)):
        for points, _, (bars,) in axes.containers:
            assert points.get_xdata().tolist() == [value, value]
            low, high = bars.get_segments()[0][:, 0]
            assert (low, high) == pytest.approx((value - 0.1, value + 0.2))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one corpus", "another"]


def test_published_values_stand_beside_ours():
    published = pd.DataFrame({("total", "micro"): {"bce": 0.9}, ("total", "macro"): {"bce": 0.5}})
    ours = pd.DataFrame(
        [
            {"setting": setting, "seed": seed, "group": group, "f1_micro": 0.8 + seed / 10, "f1_macro": 0.4}
            for setting in ("bce", "afl")
            for seed in (0, 1)
            for group in ("total", "tail")
        ]
    )
    micro, macro = figures.published_beside_ours(published, ours).axes
    assert [text.get_text() for text in micro.get_yticklabels()] == ["BCE", "AFL"]
    assert [line.get_xdata().tolist() for line in micro.lines[:3]] == [[0.8, 0.9], [0.9], [0.8, 0.9]]
    assert macro.lines[1].get_xdata().tolist() == [0.5] and macro.lines[1].get_marker() == "D"


def test_epochs_marks_the_best_of_each_metric():
    history = [
        {"epoch": 1, "ap": 0.2, "moved": 0.0},
        {"epoch": 2, "ap": 0.4, "moved": 1.0},
        {"epoch": 3, "ap": 0.3, "moved": 1.0},
    ]
    left, right = figures.epochs({"run": history}, {"ap": "AP", "moved": "moved"}).axes
    assert left.lines[0].get_ydata().tolist() == [0.2, 0.4, 0.3] and left.lines[1].get_xdata().tolist() == [2]
    assert right.get_ylabel() == "moved" and right.lines[1].get_ydata().tolist() == [1.0]


def test_the_package_offers_every_public_name_of_its_modules():
    for module in Path(figures.__file__).parent.glob("[a-z]*.py"):
        body = ast.parse(module.read_text(encoding="utf-8")).body
        functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        shared = {"Look", "one_panel", "panels", "legend_above"}  # for the other modules alone
        offered = {name for name, home in figures._MODULE_OF.items() if home == module.stem}
        assert {name for name in functions if not name.startswith("_")} - shared <= offered, module.name
    assert all(getattr(figures, name) is not None for name in figures.__all__)
    assert set(figures.__all__) <= set(dir(figures)) and not hasattr(figures, "no_such_figure")


@pytest.mark.processes
def test_the_style_alone_imports_no_charts_and_no_torch():
    code = (
        "import sys; from afl_helpers.chapters.figures import PALETTE, set_style, title_of; set_style(svg=False); "
        "print({'altair', 'sklearn', 'torch'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_no_two_settings_look_the_same():
    looks = [figures.look_of(setting) for setting in figures.SETTING_TITLES]
    for kind in ("line", "marker", "hatch"):
        assert len({(look.colour, getattr(look, kind)) for look in looks}) == len(looks)
    with pytest.raises(UsageError, match="unknown setting 'aflx' .did you mean 'afl'"):
        figures.look_of("aflx")
    with pytest.raises(ValueError, match="63 series"):
        figures.look_at(63)


@pytest.mark.parametrize(
    ("setting", "colour"),
    [
        ("bce", "#0072B2"),
        ("focal-2.0", "#009E73"),
        ("afl", "#602020"),
        ("focal-5.0", "#8060E0"),
        ("afl-shuffled", "#555555"),
        ("afl-reversed", "#0072B2"),
        ("afl-mean", "#D55E00"),
    ],
)
def test_main_settings_keep_their_colours(setting, colour):
    assert figures.look_of(setting).colour == colour


def test_more_runs_than_colours_are_all_drawn_and_differ():
    runs = {f"run {i}": [{"epoch": 1, "ap": i / 10}, {"epoch": 2, "ap": i / 9}] for i in range(9)}
    lines = [line for line in figures.epochs(runs, {"ap": "AP"}).axes[0].lines if len(line.get_xdata()) == 2]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9


def test_bars_of_one_colour_differ_in_their_hatch(table):
    settings = list(figures.SETTING_TITLES)[:9]
    runs = pd.concat([table[table["setting"] == "bce"].assign(setting=name) for name in settings])
    bars = figures.paper_comparison(runs, settings).axes[0].patches
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in bars}) == 9


def test_tails_draw_the_share_of_each_label_by_rank():
    run = next(run for run in read_study("frozen-encoder", RESULTS) if run.data.corpus == "reuters")
    (line,) = figures.tails({"news": run}).axes[0].lines
    share = line.get_ydata()
    assert len(share) == run.data.n_labels and (np.diff(share) <= 0).all()
    assert share[0] == max(run.labels.training_count) / run.data.sizes["train"]


def test_an_effect_stands_beside_each_property_with_its_interval():
    table = pd.DataFrame(
        {"corpus": ["a", "b"], "estimate": [0.1, -0.2], "low": [0.0, -0.5], "high": [0.3, 0.1], "labels": [10, 200]}
    )
    (axes,) = figures.effect_beside(table, ["labels"], "AFL - BCE").axes
    segments = [bars.get_segments()[0] for bars in axes.collections]
    assert [(x, round(low, 9), round(high, 9)) for ((x, low), (_, high)) in segments] == [
        (10, 0, 0.3),
        (200, -0.5, 0.1),
    ]


def test_the_dial_draws_the_mean_difference_with_the_interval_of_a_paired_t():
    rows = pd.DataFrame(
        [
            {"strength": 1.0, "seed": seed, "loss": loss, "f1": value}
            for loss, values in {"bce": (0.1, 0.2, 0.3), "afl": (0.2, 0.3, 0.5)}.items()
            for seed, value in enumerate(values)
        ]
    )
    (axes,) = figures.imbalance_dial(rows, {"f1": "macro F1"}).axes
    ((_, low), (_, high)) = axes.collections[0].get_segments()[0]
    # Differences 0.1, 0.1, 0.2: mean 0.4 / 3, standard error 1 / 30; 4.303 is the 97.5 % quantile of t with 2 degrees.
    np.testing.assert_allclose([low, high], [0.4 / 3 - 4.303 / 30, 0.4 / 3 + 4.303 / 30], atol=1e-4)


def test_differences_by_block_pair_runs_of_one_block():
    first = read_result(RESULTS / "frozen-encoder" / "runs" / "cmu-leads--bce--block1.json")
    endpoint = "average_precision_macro_tail"

    def run(setting, block, value, corpus="cmu-leads"):
        metrics = {"test": {"at_0.5": {endpoint: value}}}
        return replace(first, setting=setting, block=block, metrics=metrics, data=replace(first.data, corpus=corpus))

    runs = [run("bce", 1, 0.5), run("bce", 2, 0.25), run("asl", 1, 0.75), run("asl", 2, 0.125)]
    runs += [run("wal", 2, 0.5), run("wal", 3, 1.0), run("hill", 1, 1.0), run("asl", 1, 0.0, "reuters")]
    table = differences_by_block(runs, ["wal", "asl"], [endpoint])
    assert table.to_numpy().tolist() == [
        ["cmu-leads", "wal", 2, 0.25],
        ["cmu-leads", "asl", 1, 0.25],
        ["cmu-leads", "asl", 2, -0.125],
    ]
    [axes] = figures.block_differences(table, {endpoint: "tail"}, margin=0.01).axes
    points = [(x, y) for line in axes.lines[1:] for x, y in zip(line.get_xdata(), line.get_ydata())]
    assert points == [(0.25, 0), (0.25, 1), (-0.125, 1)]
    [clipped] = figures.block_differences(table, {endpoint: "tail"}, margin=0.01, limit=0.2).axes
    arrows = {line.get_marker(): line.get_xydata().tolist() for line in clipped.lines[1:] if len(line.get_xdata())}
    assert arrows.pop(">") == [[0.2, 0], [0.2, 1]] and list(arrows.values()) == [[[-0.125, 1]]]
    assert axes.get_xlabel() == "tail"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["WAL (ours, after)", "ASL"]
    grouped = {"of ours": ["wal"], "of none": [], "asymmetric": ["asl"]}
    [axes] = figures.block_differences(table, {endpoint: "tail"}, margin=0.01, groups=grouped).axes
    names = [(text.get_text(), text.get_fontweight()) for text in axes.get_yticklabels()]
    assert [name for name, weight in names if weight == "bold"] == list(grouped)
    points = [(x, names[round(y)][0]) for line in axes.lines[1:] for x, y in zip(line.get_xdata(), line.get_ydata())]
    assert points == [(0.25, "WAL (ours, after)"), (0.25, "ASL"), (-0.125, "ASL")]
