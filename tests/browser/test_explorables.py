"""The interactive parts: their arithmetic against the package, in node and in a browser, and their pages for everyone."""

import json
import os
import re
import shutil
import subprocess
import unicodedata
from dataclasses import replace
from pathlib import Path

import make_explorables
import numpy as np
import pytest
import torch
import try_your_text
import watch_the_encoder
from scipy.special import expit

from afl_helpers.claims import check_readings
from afl_helpers.data import load_corpus
from afl_helpers.data.genres import genre_counts
from afl_helpers.data.sources.genre_words import mask_genre_words
from afl_helpers.evaluation import best_constant_logit, best_constant_score, evaluate, posterior_logits, tune_thresholds
from afl_helpers.files import sha256
from afl_helpers.gamma import NORMALIZATIONS, class_gamma
from afl_helpers.losses import AdaptiveFocalLoss, BinaryCrossEntropy, FocalLoss
from afl_helpers.studies import load_study
from afl_helpers.studies.epochs import EpochRecord
from afl_helpers.training.initial_bias import start_logits
from afl_helpers.training.word_counts import new_vectorizer

BOOK = Path(__file__).resolve().parents[2] / "book"
STATIC = BOOK / "_static" / "explorables"
NEEDS = {
    "film": ("losses", "data/leads"),
    "tug": ("losses",),
    "train": ("losses", "training"),
    "statcheck": ("intervals",),
    "watch": (),
    "try": ("losses", "words", "data/leads", "data/plainHeads"),
}
#: name -> page
PAGES = {
    "film": "film",
    "tug": "tug-of-war",
    "train": "train-in-the-page",
    "statcheck": "statcheck",
    "try": "try",
    "watch": "watch",
}
PAGES = {name: page for name, page in PAGES.items() if (BOOK / f"{page}.md").is_file()}


def scripts(name: str, data: Path | None = None) -> list[Path]:
    before = [STATIC / f"{script}.js" for script in ("widgets", *NEEDS[name])]
    return [*before, data or STATIC / "data" / f"{name}.js", STATIC / f"{name}.js"]


class Node:
    """Runs a function of JavaScript on an argument, with these scripts loaded."""

    def run(self, files, function, argument):
        program = (
            "const fs = require('fs'), vm = require('vm'); const [files, argument] = JSON.parse(fs.readFileSync(0));"
            "for (const file of files) vm.runInThisContext(fs.readFileSync(file, 'utf8'), {filename: file});"
            f"process.stdout.write(JSON.stringify(({function})(argument)))"
        )
        done = subprocess.run(
            ["node", "-e", program],
            input=json.dumps([[str(file) for file in files], argument]),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class Chromium:
    def __init__(self, browser):
        self.browser = browser

    def run(self, files, function, argument):
        page = self.browser.new_page()
        for file in files:
            page.add_script_tag(path=str(file))
        result = page.evaluate(function, argument)
        page.close()
        return result


@pytest.fixture(params=["node", "chromium"])
def engine(request):
    if request.param == "chromium":
        return Chromium(request.getfixturevalue("chromium"))
    if shutil.which("node") is None:
        pytest.skip("node was not found; the same test runs in Chromium")
    return Node()


@pytest.fixture
def one_engine(request):
    """Node where it is there, or else Chromium, for what takes long."""
    return Node() if shutil.which("node") else Chromium(request.getfixturevalue("chromium"))


LOSSES = [STATIC / "losses.js"]
LOGITS = np.concatenate([np.linspace(-40, 40, 81), np.random.default_rng(0).normal(0, 3, 60)])
COUNTS = [900, 310, 120, 47, 12, 3, 1]


def test_loss_and_gradient_equal_the_packages(engine):
    """Values and gradients by automatic differentiation of the package's losses, for positives and negatives."""
    cases, wanted = [], []
    for gamma, alpha in ((0.0, 1.0), (0.5, 1.0), (2.0, 0.25), (5.0, 1.0), (30.0, 1.0), (188.3, 0.01)):
        for target in (0.0, 1.0):
            z = torch.tensor(LOGITS[:, None], requires_grad=True)
            loss = AdaptiveFocalLoss(gamma=gamma, alpha=alpha)(z, torch.full_like(z, target), reduction="none")
            (gradient,) = torch.autograd.grad(loss.sum(), z)
            cases += [[float(value), target, gamma, alpha] for value in LOGITS]
            wanted += torch.cat([loss, gradient], 1).tolist()
    z = torch.tensor(LOGITS[:, None])
    reference = BinaryCrossEntropy()(z, torch.ones_like(z), reduction="none")[:, 0]
    found = np.array(
        engine.run(
            LOSSES,
            "cases => cases.map(c => [Explorables.losses.focalLoss(...c), Explorables.losses.focalGradient(...c)])",
            cases,
        )
    )
    assert np.abs(found - wanted).max() < 1e-12
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-300)
    positives_without_gamma = found[len(LOGITS) : 2 * len(LOGITS), 0]
    np.testing.assert_allclose(positives_without_gamma, reference, rtol=1e-12)


def test_the_posterior_map_and_its_inverse_equal_the_packages(engine):
    gammas, rates = (0.0, 0.1, 0.5, 2.0, 5.0, 10.0, 50.0), (1e-6, 0.001, 0.02, 0.3, 0.5, 0.9)
    maps = [[float(z), gamma] for z in LOGITS for gamma in gammas]
    constants = [[rate, gamma] for rate in rates for gamma in gammas]
    found = engine.run(
        LOSSES,
        """([maps, constants]) => [maps.map(c => Explorables.losses.posteriorLogit(...c)),
                                   constants.map(c => Explorables.losses.bestConstantLogit(...c))]""",
        [maps, constants],
    )
    np.testing.assert_allclose(found[0], [posterior_logits([z], gamma)[0] for z, gamma in maps], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        found[1], [float(best_constant_logit(*case)) for case in constants], rtol=1e-9, atol=1e-12
    )


def test_gamma_alpha_and_the_start_of_the_bias_equal_the_packages(engine):
    n, beta = 1000, 0.999
    readings = [
        [COUNTS, n, base, name, bounds]
        for name in NORMALIZATIONS
        for base in (0.5, 2.0)
        for bounds in ([0.5, 5.0], None)
    ]
    kinds = ["inverse_frequency", "effective_number"]
    gammas = [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 20.0]
    found = engine.run(
        LOSSES,
        """([counts, n, beta, readings, kinds, gammas]) => [
             readings.map(c => Explorables.losses.classGamma(...c)), kinds.map(k => Explorables.losses.classAlpha(counts, k, beta)),
             ["zero", "prior", "loss"].map(s => counts.map((c, i) => Explorables.losses.startLogit(s, c, n, gammas[i])))]""",
        [COUNTS, n, beta, readings, kinds, gammas],
    )
    for (counts, documents, base, name, bounds), gamma in zip(readings, found[0]):
        np.testing.assert_allclose(gamma, class_gamma(counts, documents, base, name, bounds), rtol=1e-14)
    for kind, alpha in zip(kinds, found[1]):
        np.testing.assert_allclose(alpha, AdaptiveFocalLoss.from_counts(COUNTS, n, alpha=kind).alpha, rtol=1e-6)
    for start, logits in zip(("zero", "prior", "loss"), found[2]):
        np.testing.assert_allclose(logits, start_logits(start, FocalLoss(gammas), COUNTS, n), atol=1e-6)


# ---- tug of war ----


def test_the_balance_point_is_the_packages_and_gamma_decides_who_wins(engine):
    gammas = [0, 0.5, 1, 2, 5, 10]
    found = engine.run(
        scripts("tug"),
        "gammas => gammas.map(gamma => Explorables.tug.pulls(Explorables.data.tug, gamma, 0.05))",
        gammas,
    )
    np.testing.assert_allclose(
        [one["balance"] for one in found], [float(best_constant_score(0.001, gamma)) for gamma in gammas], rtol=1e-9
    )
    assert [one["up"] > one["down"] for one in found] == [one["balance"] > 0.05 for one in found]


# ---- what the pages read ----


@pytest.mark.parametrize("name", ["tug", "statcheck", "watch"])
def test_the_committed_data_is_what_its_maker_writes_today(name, monkeypatch):
    """Of pages that need no corpus; the data of the others is held by checksums."""
    written = {}
    for module in (make_explorables, watch_the_encoder):
        monkeypatch.setattr(module, "write", lambda name, data: written.update({name: data}))
        monkeypatch.setattr(module, "save", lambda figure, name: None)
    make_explorables.MAKERS[name]()
    assert json.loads(json.dumps(written[name])) == read_data(name)


# ---- train it in the page ----

#: Trains with the setting of a preset and returns, per epoch from 0, the validation logits and the summaries of both rules.
RUN = """([setting, epochs]) => {
    const {train, training} = Explorables, data = Explorables.data.train, films = training.readFilms(data);
    const given = {...setting, epochs, bounds: setting.bounded ? [setting.lowest, setting.highest] : null};
    const logits = [], summaries = [];
    const head = train.run(data, films, given, head => {
        const z = head.validate();
        logits.push(z.map(one => Array.from(one)));
        summaries.push(data.rules.map(rule => training.summarize(head, z, rule[0], data.moved)));
    });
    const halfway = data.labels.map((_, label) => train.halfway(logits, label, data.moved));
    return {logits, summaries, halfway, gamma: head.gamma} }"""


def read_data(name):
    """What a page reads from its data."""
    text = (STATIC / "data" / f"{name}.js").read_text(encoding="utf-8")
    return json.loads(text[text.index('= {"') + 2 : text.rindex(";\n}(")])


@pytest.fixture(scope="module")
def films():
    """The films and settings of the page, and the validation targets."""
    data = read_data("train")
    targets = np.zeros((len(data["films"]) - data["nTrain"], len(data["labels"])), dtype=int)
    for film, labels in enumerate(data["films"][data["nTrain"] :]):
        targets[film, labels] = 1
    return data, targets


def test_the_films_are_those_of_the_checksums_and_light():
    sums = dict(line.split()[::-1] for line in (STATIC / "data" / "checksums.sha256").read_text().splitlines())
    sizes = {"train.js": 1_000_000, "film.js": 400_000, "leads.js": 50_000}
    sizes |= {"try.js": 50_000, "plainHeads.js": 500_000, "maskedHeads.js": 500_000}
    assert sums == {name: sha256(STATIC / "data" / name) for name in sizes}
    assert all((STATIC / "data" / name).stat().st_size < size for name, size in sizes.items())


def test_training_in_the_page_is_training_in_python(engine, films):
    data, _ = films
    epochs = 3
    settings = [preset["setting"] for preset in data["presets"]]
    base = settings[-1]
    settings += [
        base | {"loss": "bce", "start": "prior"},
        base | {"alpha": "effective_number", "start": "loss", "reading": "information"},
    ]
    for setting in settings:
        wanted = make_explorables.train_in_python(data, setting, epochs)
        found = np.array(engine.run(scripts("train"), RUN, [setting, epochs])["logits"])
        # The package's start of the bias, alpha and gamma are float32.
        np.testing.assert_allclose(found[1:].transpose(0, 2, 1), wanted, atol=2e-5)


def preset_runs(engine, films, number):
    """Train with a preset, in JavaScript and in Python, for as long as the page can."""
    data, targets = films
    setting, epochs = data["presets"][number]["setting"], data["epochs"]["max"]
    page = engine.run(scripts("train"), RUN, [setting, epochs])
    torch.set_flush_denormal(True)
    logits = make_explorables.train_in_python(data, setting, epochs)
    torch.set_flush_denormal(False)
    return data, targets, setting, page, logits


@pytest.mark.parametrize("number", range(3))
def test_each_preset_does_what_it_says_in_the_page_and_in_python(one_engine, films, number):
    data, targets, setting, page, logits = preset_runs(one_engine, films, number)
    groups, gamma = np.array(data["groups"]), np.array(page["gamma"])
    ways = expit(logits).mean(1) - 0.5  # all presets start at one half
    half = (ways / np.where(ways[-1], ways[-1], 1) >= 0.5).argmax(0) + 1
    assert page["halfway"] == [epoch if abs(way) > data["moved"] / 4 else None for epoch, way in zip(half, ways[-1])]
    both = {"page": np.array(page["logits"]).transpose(0, 2, 1)[1:], "python": logits}
    for z in both.values():
        scores = expit(z)
        if number == 0:  # from zero: most labels have not moved after all epochs, and of the tail none
            stuck = np.abs(z[-1]).max(0) <= data["moved"]
            assert stuck[groups == "tail"].all() and stuck.mean() > 0.7 and not stuck[data["frequent"]]
            assert stuck[np.argsort(gamma)].tolist() == sorted(stuck)  # it is the large gammas that are stuck
        if number == 1:  # the larger gamma, the later does the mean score leave one half by 0.1
            away = np.abs(scores.mean(1) - 0.5) > 0.1
            first = np.where(away.any(0), away.argmax(0) + 1, len(z) + 1)
            rare = data["counts"] <= np.quantile(
                data["counts"], 0.9
            )  # the best score of a frequent label is near one half
            medians = [
                np.median(first[rare & (gamma >= low) & (gamma < high)])
                for low, high in ((0, 6), (6, 12), (12, 18), (18, 99))
            ]
            assert medians == sorted(set(medians)) and medians[-1] > 3 * medians[0]
            assert page["halfway"][data["rare"]] > 2 * page["halfway"][data["frequent"]]
        if number == 2:  # the stop finds much more of the head than full training, and of the tail nothing
            recall = [
                evaluate(targets, one, label_counts=data["counts"])
                for one in (scores[setting["epochs"] - 1], scores[-1])
            ]
            assert recall[0]["recall_macro_head"] > 1.5 * recall[1]["recall_macro_head"]
            assert recall[0]["recall_micro"] > 1.3 * recall[1]["recall_micro"] and recall[0]["recall_macro_tail"] < 0.02


def test_the_summary_of_an_epoch_is_the_packages(one_engine, films):
    data, targets = films
    setting = data["presets"][2]["setting"]
    page = one_engine.run(scripts("train"), RUN, [setting, 6])
    rates = np.array(data["counts"]) / data["nTrain"]
    for z, (fixed, cut) in list(zip(page["logits"], page["summaries"]))[1:]:
        scores = expit(np.array(z).T)
        for summary, thresholds in (
            (fixed, 0.5),
            (cut, tune_thresholds(targets, scores, "proportional", label_rates=rates)),
        ):
            wanted = evaluate(targets, scores, thresholds, label_counts=data["counts"])
            for group in ("head", "medium", "tail"):
                assert summary["recall"][group] == pytest.approx(wanted[f"recall_macro_{group}"], abs=1e-9)
            assert (
                summary["microRecall"] == pytest.approx(wanted["recall_micro"])
                and summary["silent"] == wanted["n_labels_never_predicted"]
            )
            assert summary["microPrecision"] == pytest.approx(wanted["precision_micro"])


def test_training_runs_in_the_page_and_the_rule_reaches_the_goal(open_page, capsys):
    page = open_page("train")
    page.get_by_role("button", name="A large gamma").click()
    page.wait_for_selector("[data-seconds]")
    with capsys.disabled():
        print(f"\n60 epochs in the page: {page.get_attribute('[data-explorable]', 'data-seconds')} s")
    goals = page.locator(".explorable-goals li")
    assert goals.nth(0).get_attribute("class") == "" and "60 of 60" in page.locator("table").inner_text()
    page.get_by_label("a film gets the label").select_option("tuned_proportional")
    assert goals.nth(0).get_attribute("class") == "reached"
    page.get_by_label("epochs").focus()
    page.keyboard.press("ArrowLeft")  # a change forgets the head that was trained
    assert "0 of 59" in page.locator("table").inner_text()
    said = page.locator(".explorable-summary")
    page.get_by_role("button", name="Train", exact=True).click()
    assert said.inner_text() == "Training …"
    page.get_by_role("button", name="Stop", exact=True).click()  # what has been trained so far is judged
    assert said.inner_text().startswith("After ") and "Train first" not in goals.nth(1).inner_text()


def test_the_bounds_of_gamma_never_cross_and_one_gamma_for_all_reaches_no_goal(one_engine, open_page):
    page = open_page("train")
    page.locator("summary").click()
    lowest, highest = (page.get_by_label(f"{which} gamma") for which in ("lowest", "highest"))
    page.get_by_label("keep gamma").check()
    lowest.fill("5")
    highest.fill("2")
    assert (lowest.input_value(), highest.input_value()) == ("2", "2")
    lowest.fill("4")
    assert (lowest.input_value(), highest.input_value()) == ("4", "4")
    function = """([setting, moved]) => {
        const data = Explorables.data.train, recall = {head: 0, medium: 0, tail: 0};
        return Explorables.train.answers(data, setting, 60, {recall, microPrecision: 0, moved}, data.rules[0][0])[1] }"""
    literal = {"loss": "afl", "reading": "documents", "gamma": 2, "bounds": None}
    n_labels = len(read_data("train")["labels"])
    for change, moved, reached, words in [
        ({}, n_labels, True, "Reached"),
        ({}, n_labels - 1, False, "1 labels have not moved"),
        ({"reading": "mean"}, n_labels, False, "not the literal reading"),
        ({"gamma": 0}, n_labels, False, "the same gamma"),
        ({"bounds": [2, 2]}, n_labels, False, "the same gamma"),
    ]:
        answer = one_engine.run(scripts("train"), function, [literal | change, moved])
        assert answer["reached"] == reached and words in answer["says"]


# ---- one film ----


@pytest.fixture(scope="module")
def shown():
    """The data of the page, and the targets of its films."""
    data = read_data("film")
    targets = np.zeros((len(data["titles"]), len(data["labels"])), dtype=int)
    for film, genres in enumerate(data["genres"]):
        targets[film, genres] = 1
    return data, targets


#: The thresholds and metrics of each loss under each rule, and under common thresholds.
DECIDE = """([rules, commons]) => {
    const {film} = Explorables, data = Explorables.data.film;
    return data.losses.map(([loss]) => {
        const scores = film.readScores(data, loss);
        const cases = rules.map(rule => film.thresholdsOf(data, loss, rule, 0.5)).concat(commons.map(t => film.thresholdsOf(data, loss, "own", t)));
        return {scores, cases: cases.map(thresholds => ({thresholds, ...film.evaluate(data, scores, thresholds)}))};
    })}"""


def test_scores_and_metrics_of_the_films_are_the_packages(engine, shown):
    data, targets = shown
    rules, commons = [rule for rule, _ in data["rules"]], [0.01, 0.2, 0.29, 0.45, 0.5, 0.61, 0.99]
    found = engine.run(scripts("film"), DECIDE, [rules, commons])
    for (loss, _), page in zip(data["losses"], found):
        scores = make_explorables.scores_of(data, loss)
        np.testing.assert_allclose(page["scores"], scores, rtol=1e-12)
        thresholds = [np.array(data["thresholds"][loss][rule]) for rule in rules] + commons
        for case, threshold in zip(page["cases"], thresholds):
            np.testing.assert_array_equal(case["thresholds"], np.broadcast_to(threshold, len(data["labels"])))
            wanted = evaluate(targets, scores, threshold)
            assert case["micro"] == pytest.approx(wanted["f1_micro"], abs=1e-12)
            assert case["macro"] == pytest.approx(wanted["f1_macro"], abs=1e-12)
            assert case["silent"] == wanted["n_labels_never_predicted"]
            assert [one["named"] for one in case["labels"]] == (scores >= threshold).sum(0).tolist()


def test_the_page_shows_what_its_text_says(shown):
    """Each goal starts open and can be reached; at one half the losses agree, elsewhere only a tuned rule makes them."""
    data, targets = shown
    losses, rare, goals = [loss for loss, _ in data["losses"]], data["rare"], data["goals"]
    scores = {loss: make_explorables.scores_of(data, loss) for loss in losses}
    assert (scores[losses[0]][:, rare] < 0.5).all()  # of the loss that the page begins with

    def micros(thresholds):
        return [evaluate(targets, scores[loss], np.array(one))["f1_micro"] for loss, one in zip(losses, thresholds)]

    half = micros([0.5] * 3)
    assert np.ptp(half) < goals["apart"] and min(half) < goals["micro"]
    common = [micros([threshold] * 3) for threshold in np.arange(0.01, 1, 0.01)]
    assert max(np.ptp(common, axis=1)) >= goals["apart"]
    assert not [one for one in common if np.ptp(one) <= goals["together"] and min(one) >= goals["micro"]]
    for rule, _ in data["rules"]:
        tuned = micros([data["thresholds"][loss][rule] for loss in losses])
        assert np.ptp(tuned) <= goals["together"] and min(tuned) >= goals["micro"]
        for loss in losses:
            assert (
                scores[loss][:, rare] >= np.broadcast_to(data["thresholds"][loss][rule], len(data["labels"]))[rare]
            ).any()


def test_texts_of_films_are_few_and_credited():
    leads = read_data("leads")
    assert len(leads["films"]) <= 10 and leads["licence"]["name"] in (STATIC / "data" / "leads.LICENSE.md").read_text()
    titles = read_data("film")["titles"]
    for lead in leads["films"]:
        assert lead["url"].startswith("https://en.wikipedia.org/wiki/") and titles[lead["film"]] == lead["title"]
        assert lead["article"] and lead["text"]


def test_a_film_its_threshold_and_the_rules_by_keyboard_and_pointer(open_page, shown):
    data, targets = shown
    page = open_page("film")
    goals, outcomes, said = (page.locator(f".explorable-{kind}") for kind in ("goals li", "outcomes li", "summary"))
    reached = lambda: goals.evaluate_all("all => all.map(e => e.className)")  # noqa: E731
    assert reached() == ["", "", ""] and "Film noir" in outcomes.nth(2).inner_text()
    threshold = page.get_by_label("threshold of all genres")
    threshold.focus()
    while "reached" not in goals.nth(0).get_attribute("class"):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")  # a threshold higher, Film noir is gone, and the mark of the goal stays
    rare = make_explorables.scores_of(data, "bce")[:, data["rare"]].max()
    value = float(threshold.input_value())
    assert value - 0.01 <= rare < value and reached()[0] == "reached"
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
        if reached()[1]:
            break
    assert reached() == ["reached", "reached", ""]
    tuned = data["thresholds"]["bce"]["tuned_common"]
    page.get_by_label("passes").select_option("tuned_common")
    assert float(threshold.input_value()) == round(tuned, 2) and page.locator("output").inner_text() == f"{tuned:.2f}"
    page.get_by_label("passes").select_option("tuned_proportional")
    assert reached() == ["reached"] * 3 and page.locator("output").inner_text() == "one per genre"
    wanted = evaluate(
        targets, make_explorables.scores_of(data, "bce"), np.array(data["thresholds"]["bce"]["tuned_proportional"])
    )
    assert f"micro F1 {wanted['f1_micro']:.3f}, macro F1 {wanted['f1_macro']:.3f}" in said.inner_text()
    page.get_by_label("film", exact=True).select_option(label="Halloween II (1981)")
    page.get_by_label("trained with").select_option("focal")
    assert "Horror" in outcomes.nth(0).inner_text() and "Halloween II" in page.locator("a").first.inner_text()
    chart = page.locator(".explorable-drag")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    half = 158 + (box["width"] - 12 - 158) / 2
    page.mouse.move(box["x"] + half + 30, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + half, box["y"] + 70)
    page.mouse.up()
    page.mouse.move(box["x"] + half + 90, box["y"] + 70)
    assert float(threshold.input_value()) == 0.5 and page.get_by_label("passes").input_value() == "own"


def test_a_finger_that_scrolls_over_the_film_leaves_rule_and_threshold(open_page):
    page = open_page("film", width=360, has_touch=True)
    rule, threshold = page.get_by_label("passes"), page.get_by_label("threshold of all genres")
    rule.select_option("tuned_proportional")
    chart = page.locator(".explorable-drag")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()

    def swipe(across, along):
        client = page.context.new_cdp_session(page)
        x, y = box["x"] + 200, max(box["y"], 0) + 250
        client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in range(1, 11):
            point = {"x": x + across * step / 10, "y": y + along * step / 10}
            client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    swipe(3, -120)
    assert rule.input_value() == "tuned_proportional"
    swipe(90, 4)  # sideways it is dragged
    assert rule.input_value() == "own"
    at = (200 + 90 - 158) / (box["width"] - 12 - 158)
    assert float(threshold.input_value()) == pytest.approx(at, abs=0.02)


def test_all_scores_of_a_film_stand_in_a_table(open_page, shown):
    data, _ = shown
    page = open_page("film")
    page.locator("details summary").click()
    rows = page.locator("details tbody tr")
    film = read_data("leads")["films"][0]["film"]
    scores = make_explorables.scores_of(data, "bce")[film]
    cells = [row.inner_text().split("\t") for row in rows.all()]
    assert [row[0] for row in cells] == data["labels"] and {row[2] for row in cells} == {"0.500"}
    assert [float(row[1]) for row in cells] == pytest.approx(scores, abs=6e-4)


# ---- try your own text ----

HEADS = ("plainHeads", "maskedHeads")
#: Scores of texts, (n_texts, n_labels), per loss, by the heads of a file.
SCORE = """([name, texts]) => { const {words} = Explorables, heads = words.readHeads(Explorables.data[name]), scores = {};
    const features = texts.map(text => words.featuresOf(heads, text));
    for (const loss of Object.keys(heads.weights)) scores[loss] = features.map(one => words.scoresOf(heads, loss, one));
    return scores }"""
TOKENS = "texts => texts.map(text => Explorables.words.tokens(text))"


def words_scripts(*names):
    return [STATIC / f"{script}.js" for script in ("losses", "words", *(f"data/{name}" for name in names))]


def generated_texts(words):
    """Return texts of known and unknown words in several scripts, words once and often, and texts that say nothing."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, size=size)) for size in rng.integers(1, 120, 150)]
    odd = ["", "a", "Ünbekannt 日本語 ΣΟΦΟΣ", f"{words[0]}! {words[1]}—{words[2].upper()}, x_{words[3]} {words[4]}'s"]
    return [*texts, *odd, *(lead["text"] for lead in read_data("leads")["films"])]


@pytest.fixture(scope="module")
def heads():
    """The settings of the page, and per file the package's model of each loss."""
    settings = read_data("try")
    return settings, {name: try_your_text.predictors(read_data(name), settings["labels"]) for name in HEADS}


@pytest.mark.parametrize("name", HEADS)
def test_scores_of_texts_are_the_packages(engine, heads, name):
    texts = generated_texts(read_data(name)["words"].split(" "))
    found = engine.run(words_scripts(name), SCORE, [name, texts])
    for loss, model in heads[1][name].items():
        np.testing.assert_allclose(found[loss], model.predict_scores(texts), atol=1e-9)


@pytest.mark.parametrize("name", HEADS)
def test_scores_of_a_thousand_leads_are_the_packages(one_engine, heads, name):
    if "AFL_DATA_DIR" not in os.environ:
        pytest.skip("AFL_DATA_DIR is not set; the leads of cmu-leads are needed")
    texts = load_corpus("cmu-leads").sample(1000, seed=1).texts
    found = one_engine.run(words_scripts(name), SCORE, [name, texts])
    for loss, model in heads[1][name].items():
        np.testing.assert_allclose(found[loss], model.predict_scores(texts), atol=1e-3)
    assert one_engine.run(words_scripts(), TOKENS, texts) == [
        new_vectorizer(1).build_analyzer()(text) for text in texts
    ]


@pytest.mark.parametrize("name", HEADS)
def test_the_model_card_says_how_good_these_heads_are(name):
    if "AFL_DATA_DIR" not in os.environ:
        pytest.skip("AFL_DATA_DIR is not set; the leads of cmu-leads are needed")
    card = (STATIC / "data" / "try.MODEL_CARD.md").read_text(encoding="utf-8")
    for row in try_your_text.quality_rows(read_data(name), try_your_text.HEADS[name]):
        assert row in card


#: Code points of which the engine and Python both know what they are, and make different tokens of them.
EXCEPTIONS: dict[int, str] = {}


def test_tokens_of_every_character_are_those_of_scikit_learn(engine):
    """Each character alone, doubled, between letters and after one; characters that one side does not know are left out."""
    known = [point for point in range(0x110000) if unicodedata.category(chr(point)) not in ("Cn", "Cs")]
    knows = "points => points.map(point => !/\\p{Cn}/u.test(String.fromCodePoint(point)))"
    both = [point for point, yes in zip(known, engine.run([], knows, known)) if yes]
    analyse = new_vectorizer(1).build_analyzer()
    texts = [f"{c} {c}{c} a{c}b A{c} {c}A." for c in map(chr, both)]
    found = engine.run(words_scripts(), TOKENS, texts)
    wrong = {point for point, text, one in zip(both, texts, found) if one != analyse(text)}
    assert len(both) > 280_000 and {f"{point:x}" for point in wrong} == {f"{point:x}" for point in EXCEPTIONS}


def test_masked_heads_read_a_text_as_if_its_genre_words_were_masked(heads):
    texts = [
        "A film noir. This western comedy-drama is a musical about a detective.",
        "War and love in the Wild West; science-fiction horror, or a thriller",
    ]
    masked = mask_genre_words(texts, genre_counts())
    assert masked[0] != texts[0]
    for model in heads[1]["maskedHeads"].values():
        np.testing.assert_array_equal(model.predict_scores(texts), model.predict_scores(masked))


def test_the_words_that_spoke_are_those_of_the_package(one_engine, heads):
    settings, models = heads
    text, rare = read_data("leads")["films"][0]["text"], settings["rare"]
    function = """([text, losses, label]) => { const {words} = Explorables, heads = words.readHeads(Explorables.data.plainHeads);
        return losses.map(loss => words.spoke(heads, loss, words.featuresOf(heads, text), label)) }"""
    found = one_engine.run(words_scripts("plainHeads"), function, [text, list(models["plainHeads"]), rare])
    for spoke, model in zip(found, models["plainHeads"].values()):
        [wanted] = model.explain(text, settings["labels"][rare])
        assert len(spoke) > 5 and [abs(amount) for _, amount in spoke] == sorted(
            [abs(a) for _, a in spoke], reverse=True
        )
        assert dict(spoke) == pytest.approx({word: amount for word, amount in wanted.words if amount})


def test_losses_that_differ_at_one_half_agree_under_a_rule(heads):
    """Of the ten texts, some reach the second goal, and the first film starts with it open."""
    settings, models = heads
    reached = []
    for lead in read_data("leads")["films"]:
        labels = [
            {
                tuple(model.predict_scores([lead["text"]])[0] >= model.thresholds[rule])
                for model in models["plainHeads"].values()
            }
            for rule, _ in settings["rules"]
        ]
        reached.append(len(labels[0]) > 1 and 1 in [len(one) for one in labels[1:]])
    assert reached[0] and sum(reached) >= 3


def test_a_text_of_ones_own_reaches_the_goals_by_keyboard(open_page, heads):
    settings, models = heads
    page = open_page("try")
    goals, said = page.locator(".explorable-goals li"), page.locator(".explorable-summary")
    reached = lambda: goals.evaluate_all("all => all.map(e => e.className)")  # noqa: E731
    assert reached() == ["", "", ""] and "Drama" in said.inner_text()
    page.get_by_label("passes").select_option("tuned_proportional")
    assert reached() == ["", "reached", ""]
    page.get_by_label("passes").select_option("at_0.5")
    page.get_by_label("the text:").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("A film noir <b>from</b> Ünbekannt")
    assert page.get_by_label("a text to begin with").input_value() == "own"
    model = models["plainHeads"]["bce"]
    score = model.predict_scores(["A film noir <b>from</b> Ünbekannt"])[0][settings["rare"]]
    row = page.locator("table").first.locator("tr", has=page.get_by_role("rowheader", name="Film noir"))
    assert reached()[0] == "reached" and f"{score:.3f}" in row.inner_text() and "noir\u00a0+" in row.inner_text()
    page.get_by_label("trained with").select_option("focal5")
    score = models["plainHeads"]["focal5"].predict_scores(["A film noir <b>from</b> Ünbekannt"])[0][settings["rare"]]
    assert f"{score:.3f}" in row.inner_text()
    page.get_by_label("they learned from").select_option("masked")  # loaded now, from disk
    page.wait_for_function("Explorables.data.maskedHeads && !document.body.innerText.includes('being loaded')")
    assert "saw the name" in goals.nth(2).inner_text() and reached()[2] == ""
    page.get_by_label("trained with").select_option("bce")
    page.get_by_label("the text:").fill("1947 murder, city, detective, blackmail")
    assert reached() == ["reached"] * 3
    page.get_by_label("the text:").fill("")
    assert "0 of the 0 words" in said.inner_text() and page.complaints == []


def test_without_a_word_no_loss_names_a_genre(open_page):
    page = open_page("try")
    for text in ("", "\U0001f3ac \U0001f3ac"):
        page.locator("textarea").fill(text)
        assert "No loss names a genre." in page.locator(".explorable-goals li").nth(1).inner_text()
        assert page.locator("tbody").last.inner_text().count("none") == 4


def test_heads_that_cannot_be_loaded_leave_the_others(open_page):
    page = open_page("try")
    page.evaluate("() => { document.head.appendChild = script => script.onerror() }")
    page.get_by_label("they learned from").select_option("masked")
    page.wait_for_function("document.body.innerText.includes('could not be loaded')")
    assert page.get_by_label("they learned from").input_value() == "plain"


# ---- watch the encoder learn ----


def kept_epochs(folder):
    """Return kept files of three trainings of four epochs on random scores that part as they go, as a study writes them."""
    corpus = load_corpus("toy").select_labels(top=12)
    train, validation, _ = corpus.split(0.6, 0.3, 0.1, seed=0)
    kept = []
    for seed, arm in enumerate(watch_the_encoder.ARMS):
        rng, path = np.random.default_rng(seed), folder / f"{arm}.json"
        record = EpochRecord(path, train, validation, 4, study="made", run=arm)
        noise = rng.normal(-1.5, 1, validation.dense_labels.shape)
        for epoch in range(1, 5):
            record(epoch, expit(noise + (seed + 1) * epoch / 2 * validation.dense_labels))
        kept.append(json.loads(path.read_text(encoding="utf-8")))
    return kept


@pytest.fixture
def watched(tmp_path):
    """The kept files, and the path of the script that a page reads in place of the committed one."""
    kept = kept_epochs(tmp_path)
    data = watch_the_encoder.watch_data(kept)
    script = tmp_path / "watch-data.js"
    script.write_text(f"Explorables.data.watch = {json.dumps(data)};", encoding="utf-8")
    return kept, data, script


def test_watch_says_that_the_study_is_running_until_its_registered_runs_are_there(open_page, tmp_path):
    study = load_study("tuned-to-the-end", BOOK.parent / "results")
    registered = [run for run in study.runs() if not study.is_exploratory(run)]
    elsewhere = replace(study, folder=tmp_path)
    (tmp_path / "runs").mkdir()
    for run in registered:
        assert watch_the_encoder.kept_files(elsewhere) is None  # while one is missing
        elsewhere.path(run).touch()
    assert [path.parent for path in watch_the_encoder.kept_files(elsewhere)] == [tmp_path / "epochs"] * 3
    if watch_the_encoder.kept_files(study) is None:
        assert read_data("watch") == {"running": True}
        assert "still running" in open_page("watch").locator("[data-explorable]").inner_text()


def test_watch_counts_scores_as_they_are_kept(one_engine, watched):
    kept, data, script = watched
    function = "([at, label]) => Explorables.watch.found(Explorables.data.watch, label, at)"
    for at, label in ((0, 0), (2, 3), (3, 5)):
        shares = one_engine.run([STATIC / "widgets.js", script, STATIC / "watch.js"], function, [at, label])
        for share, one in zip(shares, kept):
            scores = np.array(one["epochs"][at]["scores"][label])[one["labels"][label]["positives"]]
            assert share == pytest.approx((scores >= 0.5).mean())
    for arm in data["arms"]:
        for counts in arm["labels"]:
            assert {sum(a) + sum(b) for a, b in zip(counts["positives"], counts["negatives"])} == {data["nFilms"]}


def test_watch_moves_through_the_epochs_by_keyboard_to_its_goals(open_page, watched):
    kept, data, script = watched
    page = open_page("watch", data=script)
    goals, said = page.locator(".explorable-goals li"), page.locator(".explorable-summary")
    assert goals.evaluate_all("all => all.map(e => e.className)") == ["", ""] and "After epoch 1:" in said.inner_text()
    tails = [np.array(arm["thirds"]["average_precision_macro"]["tail"]) for arm in data["arms"]]
    first = np.argmax(np.all([tail >= tail[-1] - data["near"] for tail in tails], axis=0))
    page.get_by_role("slider").focus()
    for _ in range(first):
        assert goals.nth(0).get_attribute("class") == ""
        page.keyboard.press("ArrowRight")
    assert goals.nth(0).get_attribute("class") == "reached"
    page.keyboard.press("End")
    last = kept[2]["epochs"][-1]["metrics"]
    page.get_by_label("metric").select_option("recall_macro")
    cells = page.locator("tbody tr").nth(2).locator("td").all_inner_texts()
    assert cells[:3] == [f"{last[f'recall_macro_{third}']:.3f}" for third in ("head", "medium", "tail")]
    for label in range(len(data["labels"])):
        page.get_by_label("genre, its").select_option(str(label))
        page.get_by_role("slider").focus()
        page.keyboard.press("Home")
        for _ in data["epochs"]:
            page.keyboard.press("ArrowRight")
    assert goals.nth(1).get_attribute("class") == "reached"


# ---- pages: from disk, on a phone, dark, by keyboard, without scripts ----


def write_page(folder: Path, name: str, theme: str, data: Path | None = None) -> str:
    """Write a page that holds one interactive part, as the book's pages do, and return its address on disk.

    ``data`` is a script to load in place of the part's own data.
    """
    body = next(
        line
        for line in (BOOK / f"{PAGES[name]}.md").read_text(encoding="utf-8").splitlines()
        if f'data-explorable="{name}"' in line
    )
    styles = "".join(
        f'<link rel="stylesheet" href="{path.as_uri()}">'
        for path in (BOOK / "_static/custom.css", STATIC / "explorables.css")
    )
    colours = {"light": "#fff; color: #222", "dark": "#121212; color: #ced6dd"}[theme]
    theme_variables = (
        ":root { --pst-color-background: #121212; --pst-color-text-base: #ced6dd; --pst-color-text-muted: #9ca4af; --pst-color-border: #48566b }"
        if theme == "dark"
        else ""
    )
    loaded = "".join(f'<script defer src="{path.as_uri()}"></script>' for path in scripts(name, data))
    page = folder / f"{name}-{theme}.html"
    page.write_text(
        f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width">{styles}<style>body {{ background: {colours}; margin: 12px }} {theme_variables}</style>'
        f"{loaded}</head><body><main><h1>{name}</h1>{body.replace('../_static', (BOOK / '_static').as_uri())}</main></body></html>"
    )
    return page.as_uri()


@pytest.fixture
def open_page(chromium, tmp_path):
    contexts = []

    def opened(name, theme="light", width=1300, data=None, **options):
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on(
            "console",
            lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(write_page(tmp_path, name, theme, data))
        if options.get("java_script_enabled", True):
            page.wait_for_selector("[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("theme, width", [("light", 1300), ("dark", 360)])
@pytest.mark.parametrize("name", PAGES)
def test_a_part_opens_from_disk_fits_the_screen_and_excludes_nobody(open_page, watched, name, theme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(name, theme, width, watched[2] if name == "watch" else None)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    box = page.locator(".explorable")
    inner = box.evaluate("e => e.clientWidth - 2 * parseFloat(getComputedStyle(e).paddingLeft)")
    sliders = box.locator("> .explorable-controls:not(.two):not(.three) input[type=range]")
    widths = sliders.evaluate_all("all => all.map(e => e.getBoundingClientRect().width)")
    assert all(width >= inner - 8 for width in widths)
    heights = box.locator("input:visible, select:visible, button:visible").evaluate_all(
        "all => all.map(e => (e.type === 'checkbox' ? e.parentElement : e).getBoundingClientRect().height)"
    )
    assert heights and min(heights) >= 43  # for a thumb
    outside = box.locator("svg text").evaluate_all(
        """all => all.filter(e => { const t = e.getBoundingClientRect(), s = e.ownerSVGElement.getBoundingClientRect();
                                    return t.left < s.left - 1 || t.right > s.right + 1 }).map(e => e.textContent)"""
    )
    assert outside == []
    assert page.complaints == []  # axe itself then asks for the styles, which a page on disk may not
    assert [violation["id"] for violation in Axe().run(page).response["violations"]] == []


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_a_picture_and_a_sentence_stand_there(open_page, name):
    page = open_page(name, java_script_enabled=False)
    picture = page.locator("noscript img")
    assert (
        picture.is_visible()
        and picture.evaluate("e => e.naturalWidth") > 300
        and len(picture.get_attribute("alt")) > 60
    )
    assert len(page.locator("noscript p").inner_text()) > 40


def test_the_keyboard_alone_reaches_the_goals_of_the_tug_of_war(open_page):
    page = open_page("tug")
    states = page.locator(".explorable-goals li")
    assert states.evaluate_all("all => all.map(e => e.className)") == ["", "", ""]
    page.keyboard.press("Tab")  # gamma
    for _ in range(100):
        page.keyboard.press("ArrowRight")
        if "reached" in states.nth(0).get_attribute("class"):
            break
    gamma = float(page.locator("output").first.inner_text())
    assert best_constant_score(0.001, gamma) > 0.05 >= best_constant_score(0.001, gamma - 0.1)
    page.keyboard.press("End")
    assert states.evaluate_all("all => all.map(e => e.className)") == ["reached"] * 3
    assert "whatever gamma is" in states.nth(2).inner_text()


def test_the_two_pulls_are_seen_to_cross_at_every_gamma(open_page):
    """At gamma 0, too, where they cross at one in a thousand, left of the slider's first score."""
    page = open_page("tug")
    crosses = """() => {
        const [down, up] = [...document.querySelectorAll("svg")]
            .map(svg => svg.querySelectorAll("polyline")).find(lines => lines.length === 2);
        const heights = line => [...line.points].map(point => point.y);  // in pixels from the top
        const above = heights(down).map((y, i) => y < heights(up)[i]);
        return !above[0] && above[above.length - 1] && above.every((one, i) => i === 0 || one >= above[i - 1]);
    }"""
    page.keyboard.press("Tab")  # gamma
    assert page.evaluate(crosses)
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(crosses)
    page.keyboard.press("End")
    assert page.evaluate(crosses)


@pytest.mark.parametrize("width", [360, 1300])
def test_words_of_the_tug_of_war_never_lie_on_each_other(open_page, width):
    page = open_page("tug", width=width)
    overlaps = """() => [...document.querySelectorAll(".explorable-drawing")].flatMap(chart => {
        const boxes = [...chart.querySelectorAll("text")].filter(e => e.textContent).map(e => [e.textContent, e.getBoundingClientRect()]);
        return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) =>
            Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3
        ).map(([other]) => [one, other])) })"""
    for gamma in (0, 2, 5, 7, 8, 9, 10):
        page.get_by_label("gamma").fill(str(gamma))
        for score in (0.005, 0.3, 0.6):
            page.get_by_label("score that").fill(str(score))
            assert page.evaluate(overlaps) == [], (gamma, score)


# ---- statcheck ----


def test_the_page_and_the_command_check_alike(engine):
    """Verdicts, limits and reasons on random printed values, with and without each of them."""
    rng = np.random.default_rng(5)
    cases = []
    for _ in range(150):
        values = {
            name: f"{rng.uniform(0.02, 0.98):.{rng.integers(1, 5)}f}" for name in ("precision", "recall", "f1", "auc")
        }
        if rng.random() < 0.7:  # an F1 that fits
            precision, recall = float(values["precision"]), float(values["recall"])
            values["f1"] = (
                f"{2 * precision * recall / (precision + recall) * rng.choice([1, 0.8]):.{rng.integers(2, 5)}f}"
            )
        kept = set(rng.choice(list(values), size=rng.integers(2, 5), replace=False))
        low, high = sorted(rng.uniform(0, 0.4, 2).round(3))
        density = [None, [float(low), float(low)], [float(low), float(high)]][rng.integers(3)]
        labels = [None, int(rng.integers(1, 40))][rng.integers(2)]
        cases.append([{name: value if name in kept else "" for name, value in values.items()}, labels, density])
    function = """cases => cases.map(([texts, labels, density]) => {
        const input = Explorables.statcheck.read({...texts, labels: labels ? String(labels) : "",
                                                  density: density ? density.join(" to ") : ""});
        return Explorables.intervals.checkReadings(input.given, input.nLabels, input.density) })"""
    found = engine.run(scripts("statcheck"), function, cases)
    verdicts = []
    for (texts, labels, density), checks in zip(cases, found):
        wanted = check_readings(
            **{name: text or None for name, text in texts.items()}, n_labels=labels, density=density and tuple(density)
        )
        assert [(one["average"], one["aucOf"]) for one in checks] == [(one.average, one.auc_of) for one in wanted]
        for one, expected in zip(checks, wanted):
            assert (one["reason"] == "") == expected.possible and one["reason"] == expected.reason
            assert one["f1"] == pytest.approx(expected.f1, abs=1e-9)
            assert one["auc"] == (None if expected.auc is None else pytest.approx(expected.auc, abs=1e-9))
            verdicts.append(expected.possible)
    assert 0.2 < np.mean(verdicts) < 0.8


def test_typing_gives_verdicts_complaints_and_goals(open_page):
    page = open_page("statcheck")
    rows, said = page.locator("tbody tr"), page.locator(".explorable-summary")
    assert rows.count() == 6 and "3 of 6" in said.inner_text()  # the paper's own values stand there first
    goals = page.locator(".explorable-goals li")
    reached = goals.evaluate_all("all => all.map(e => e.className)")
    assert reached == ["", ""] and "Not possible" in goals.nth(1).inner_text()
    readings = []
    for button in page.locator(".explorable-buttons button").all()[1:6]:  # what others print, each with its source
        button.click()
        assert re.match(
            "https://(arxiv.org/abs|github.com)/", page.locator("[data-explorable] a").get_attribute("href")
        )
        readings.append(said.inner_text())
    assert "No reading" in readings[1] and "1 of 6" in readings[2], readings  # the two F1s of one row, micro and macro
    page.locator(".explorable-buttons button").first.click()
    assert page.locator("[data-explorable] a").count() == 0
    for auc, words in (
        ("0.7", "so is a higher one"),
        ("0.10", "Not possible"),
        ("0.7642", "Not possible"),
        ("0.7641", "is the highest"),
    ):
        page.get_by_label("ROC AUC").fill(auc)
        assert words in goals.nth(1).inner_text()
    page.get_by_label("recall").fill("0.3")
    page.get_by_label("ROC AUC").fill("0.675")
    assert "Now with the paper's, 0.5282" in goals.nth(1).inner_text()
    page.get_by_label("recall").fill("1.00")
    for auc in ("1", "1.0", "1.00"):  # nothing is above
        page.get_by_label("ROC AUC").fill(auc)
        assert "is the highest" in goals.nth(1).inner_text()
    page.get_by_label("ROC AUC").fill("0." + 400 * "3")
    assert "at most 15 digits" in page.locator(".explorable-wrong").inner_text() and rows.count() == 0
    page.get_by_label("ROC AUC").fill("")
    page.get_by_label("recall").fill("0.40")
    page.get_by_label("precision").fill("60")
    assert page.get_by_label("precision").get_attribute("aria-invalid") == "true" and rows.count() == 0
    page.get_by_label("precision").fill("0.60")
    page.get_by_label("F1", exact=True).fill("0.35")
    assert page.locator("tbody .explorable-yes").count() == 1 and goals.nth(0).get_attribute("class") == "reached"
    page.get_by_role("button", name="A generated table").click()
    possible = page.locator("tbody tr:has(.explorable-yes) th").all_inner_texts()  # with the limits below the title
    assert possible and all(title.startswith("macro, mean of the F1s") for title in possible)
