"""The charts with sliders, each alone on a page: their goals, their controls, and what they say, by keyboard and on a phone."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from afl_helpers.chapters.figures import cost_slider, focal_slider, gamma_slider, threshold_slider
from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts
from afl_helpers.evaluation import evaluate
from afl_helpers.gamma import class_gamma, positive_gradient

BOOK = Path(__file__).resolve().parents[2] / "book"
RNG = np.random.default_rng(0)
TARGETS = (RNG.random((300, 6)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.02]).astype(int)
SCORES = 1 / (1 + np.exp(-(RNG.normal(-2, 1, TARGETS.shape) + 2 * TARGETS)))
#: Four positives and eleven negatives in four bins of scores.
POSITIVES, NEGATIVES = [1, 1, 0, 2], [8, 2, 1, 0]
CHARTS = {
    "focal": focal_slider,
    "gamma": lambda: gamma_slider(genre_counts(), N_MOVIES_WITH_GENRE),
    "threshold": lambda: threshold_slider(TARGETS, SCORES),
    "cost": lambda: cost_slider(POSITIVES, NEGATIVES, "clauses"),
}


@pytest.fixture(scope="session")
def vega(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("offline_book", BOOK / "_ext" / "offline_book.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path_factory.mktemp("vega") / "vega-bundle.js"
    path.write_text(module.vega_script(), encoding="utf-8")
    return path


@pytest.fixture
def open_chart(chromium, vega, tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_BOOK", "1")
    contexts = []

    def opened(name, width=1300):
        html = CHARTS[name]()._repr_mimebundle_()["text/html"]
        scripts = "".join(
            f'<script defer src="{path.as_uri()}"></script>' for path in (vega, BOOK / "_static/vega-charts.js")
        )
        file = tmp_path / f"{name}.html"
        file.write_text(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
            f'<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="{(BOOK / "_static/custom.css").as_uri()}">'
            f"{scripts}</head><body><main><h1>{name}</h1>{html}</main></body></html>"
        )
        context = chromium.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector(".says_marks text")
        return page

    yield opened
    for context in contexts:
        context.close()


def words(page):
    return " ".join(page.locator(".says_marks tspan").all_text_contents())


def control(page, label):
    return page.locator(f'.vega-bind label:has(> .vega-bind-name:text-is("{label} ")) > :is(input, select)')


def put(page, label, value):
    control(page, label).evaluate(
        "(e, value) => { e.value = value; for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {bubbles: true})) }",
        str(value),
    )


@pytest.mark.parametrize("width", [1300, 360])
@pytest.mark.parametrize("name", CHARTS)
def test_controls_are_as_wide_as_the_chart_and_nothing_is_cut_off(open_chart, name, width):
    from axe_playwright_python.sync_playwright import Axe

    page = open_chart(name, width)
    chart = page.locator(".vega-chart-drawing").bounding_box()
    controls = page.locator(".vega-bind :is(input, select)")
    boxes = [controls.nth(i).bounding_box() for i in range(controls.count())]
    assert boxes and all(box["width"] >= 0.97 * chart["width"] and box["height"] >= 43 for box in boxes)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    outside = page.locator("svg.marks text").evaluate_all(
        """all => all.filter(e => { const t = e.getBoundingClientRect(), s = e.ownerSVGElement.getBoundingClientRect();
                                    return t.width && (t.left < s.left - 1 || t.right > s.right + 1) }).map(e => e.textContent)"""
    )
    assert outside == []
    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []


def test_the_goal_of_the_focal_slider_is_the_gamma_that_pushes_hardest(open_chart):
    page = open_chart("focal")
    assert "Not yet" in words(page)
    gammas = np.arange(0, 10.05, 0.1)
    pushes = positive_gradient(gammas, np.full_like(gammas, np.log(0.1 / 0.9))) / 0.9
    for gamma in (0.0, 5.0, gammas[pushes.argmax()]):
        put(page, "gamma", f"{gamma:.1f}")
        at = positive_gradient(gamma, np.log(0.1 / 0.9)) / 0.9, positive_gradient(gamma, 0.0) / 0.5
        assert f"0.1: {float(at[0]):.2f} times" in words(page) and f"half: {float(at[1]):.2f} times" in words(page)
        assert ("Reached" in words(page)) == (float(at[0]) > pushes.max() - 5e-4)
    assert "Reached" in words(page)
    control(page, "gamma").focus()
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    assert "Not yet" in page.locator(".vega-chart-status").inner_text()  # a screen reader hears it


def test_the_gamma_slider_counts_the_labels_at_the_bounds(open_chart):
    page = open_chart("gamma")
    counts = np.array(list(genre_counts().values()))
    halves = []
    for reading, base in (("mean", 2.0), ("documents", 2.0), ("information", 2.0), ("log10", 0.7), ("sqrt", 0.3)):
        put(page, "reading", reading)
        put(page, "base gamma", base)
        gamma = class_gamma(counts, N_MOVIES_WITH_GENRE, base, reading, None)
        low, high = int((gamma <= 0.5).sum()), int((gamma >= 5).sum())
        assert (
            f"lower bound {low}, at the upper {high}, between {len(gamma) - low - high} of {len(gamma)} labels."
            in words(page)
        )
        halves.append(2 * (len(gamma) - low - high) >= len(gamma))
        assert ("Reached" in words(page)) == halves[-1]
    assert not halves[0] and any(halves)
    put(page, "label to mark", "Film noir")
    gamma = class_gamma(counts, N_MOVIES_WITH_GENRE, 0.3, "sqrt")[list(genre_counts()).index("Film noir")]
    assert f"Marked: gamma {gamma:.2f}" in words(page)


def test_the_goal_of_the_threshold_slider_is_the_highest_macro_f1(open_chart):
    page = open_chart("threshold")
    values = {at: evaluate(TARGETS, SCORES, at) for at in np.round(np.linspace(0.02, 0.98, 49), 2)}
    best = max(values, key=lambda at: values[at]["f1_macro"])
    assert "Not yet" in words(page)
    put(page, "threshold", best)
    assert "Reached" in words(page) and f"macro F1 {values[best]['f1_macro']:.3f}" in words(page)
    assert f"never predicted: {values[best]['n_labels_never_predicted']} of 6" in words(page)


def test_the_cost_slider_counts_misses_and_false_alarms(open_chart):
    page = open_chart("cost")
    # From 1/2 on: the positives of the first two bins are missed, and one negative is a false alarm.
    assert "2 of 4 missed, 1 false alarms, cost 3 (at 0.5: 3)." in words(page) and "Not yet" in words(page)
    put(page, "false alarms per miss", 3)
    assert "Threshold 1/(1 + 3) = 0.250: 1 of 4 missed, 3 false alarms, cost 6 (at 0.5: 7)." in words(page)
    put(page, "false alarms per miss", 30)
    assert "0 of 4 missed, 11 false alarms, cost 11 (at 0.5: 61)." in words(page)
    assert "Least possible: 11, at 0.00. Goal: miss at most a tenth. Reached." in words(page)
