"""The chapter on remedies: only a complete comparison is shown, words follow the numbers, and methods do what their panel says."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from contrast import contrast

from afl_helpers.augment import AUGMENTATIONS, build_augmentation
from afl_helpers.chapters import decision, display, figures, remedies
from afl_helpers.chapters.figures.remedies import (
    _FILLS,
    FIVE_LABELS,
    FIVE_METHODS,
    FIVE_TEXTS,
    FIVE_VECTORS,
    MORE_METHODS,
    RELATED_LABELS,
    RELATED_TREE,
    WRITTEN_METHODS,
)
from afl_helpers.data.imbalance import minority_labels
from afl_helpers.errors import UsageError
from afl_helpers.relations import RELATIONS
from afl_helpers.results import compare, read_study
from afl_helpers.studies import load_study

matplotlib.use("Agg")

RESULTS = Path(__file__).resolve().parent.parent / "results"
ENDPOINTS = {"average_precision_macro_tail": "AP", "f1_macro@tuned_proportional": "F1"}


@pytest.fixture(scope="module")
def evidence() -> remedies.Evidence:
    """The blocks of the study in which every compared setting has run, whether or not the study is complete."""
    study = load_study("remedies", RESULTS)
    compared = {*study.primary.setting, *study.primary.against}
    runs = read_study("remedies", RESULTS)
    settings: dict[tuple[str, int], set[str]] = {}
    for run in runs:
        settings.setdefault((run.data.corpus, run.block), set()).add(run.setting)
    whole = [run for run in runs if compared <= settings[run.data.corpus, run.block]]
    return remedies.Evidence(study, whole, "")


@pytest.fixture(scope="module")
def table(evidence) -> pd.DataFrame:
    primary = evidence.study.primary
    endpoints = list(ENDPOINTS)
    return compare(evidence.runs, primary.setting, primary.against, endpoints, margin=0.02, family=("corpus",))


# --- the tree --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "counts", "options"),
    [
        (["mask", "few", "cost"], [500, 30, 3], {"all_annotated": False, "miss_costs": 5}),
        (["mask", "cut"], [500, 30], {"all_annotated": False}),
        (["cost"], [500, 30], {"miss_costs": 5}),
        (["few", "one"], [500, 9], {}),  # one label is left, and it needs one threshold
        (["few", "cut"], [500, 40, 9], {}),
        (["few"], [9, 8], {}),
        (["one"], [79, 10], {}),
        (["one"], [9000, 10], {"metric": "micro F1"}),
        (["cut"], [80, 10], {}),
        (["cut"], [9000, 999], {}),
        (["tune"], [9000, 1000], {}),
        (["tune"], [9000, 500], {"validation_share": 0.2}),
    ],
)
def test_each_advice_is_reached_where_the_tree_says(steps, counts, options):
    assert decision.advice_for(counts, 10_000, **options) == [decision.STEPS[step] for step in steps]


def test_another_metric_is_refused_by_name():
    with pytest.raises(UsageError, match="unknown metric 'accuracy'; choose one of: macro F1, micro F1"):
        decision.advice_for([11], 100, metric="accuracy")
    assert decision.advice_for(np.array([240, 40], dtype=np.uint8), 1000) == [decision.STEPS["one"]]  # a factor of 6


@pytest.mark.parametrize(
    "counts, words",
    [
        ([11], "label_counts has 11 at label 0, more than n_documents = 10"),
        ([-1, 3], "label_counts holds a negative or non-finite count"),
        ([], r"label_counts has shape \(0,\); pass one count per label"),
        ([[1, 2]], r"label_counts has shape \(1, 2\); pass one count per label"),
    ],
)
def test_counts_that_no_corpus_has_are_refused(counts, words):
    with pytest.raises(UsageError, match=words):
        decision.advice_for(counts, 10)


def test_the_figure_has_every_leaf_and_the_limits_of_the_function():
    texts = [text.get_text() for text in figures.decision_tree().axes[0].texts]
    leaves = sorted(int(text[0]) for text in texts if text[:1].isdigit())
    assert leaves == sorted(step.number for step in decision.STEPS.values()) == list(range(1, 7))
    drawn = " ".join(texts)
    for limit in (decision.DEFAULT_MIN_COUNT, decision.ALIKE, decision.ENOUGH_TO_TUNE):
        assert f"{limit}" in drawn


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_nothing_is_shown_until_the_comparison_is_complete(tmp_path, monkeypatch):
    folder = tmp_path / "remedies"
    (folder / "runs").mkdir(parents=True)
    for name in ("study.yaml", "shared.json"):
        shutil.copy(RESULTS / "remedies" / name, folder)
    for path in (RESULTS / "remedies" / "runs").glob("cmu-leads--bce--block*.json"):
        shutil.copy(path, folder / "runs")
    found = remedies.read_evidence("remedies", tmp_path)
    assert found.runs == [] and "is running" in found.state and "when it is complete" in found.state
    for empty in (remedies.effects, remedies.control_effects, remedies.costs, remedies.mildest):
        assert empty(found).empty
    assert remedies.rule_effects(found, ["at_0.5"]).empty and remedies.strengths(found, {}).empty
    assert remedies.mean_effects(found, {}).empty
    assert remedies.extremes(pd.DataFrame()) == ""
    assert remedies.describe_effects(pd.DataFrame()) == remedies.describe_mildest(remedies.mildest(found), {}) == ""
    monkeypatch.setattr(remedies, "describe_progress", lambda study: None)
    found = remedies.read_evidence("remedies", tmp_path)
    assert {run.setting for run in found.runs} == {"bce"} and "complete: 5 blocks of 4 corpora" in found.state


def test_a_rule_is_compared_on_the_same_scores(evidence):
    found = remedies.rule_effects(evidence, ["tuned_proportional"])
    row = found.iloc[0]
    own = [run for run in evidence.runs if run.setting == "bce" and run.data.corpus == row["corpus"]]
    differences = [run.metric("f1_macro@tuned_proportional") - run.metric("f1_macro@tuned_common") for run in own]
    assert row["difference"] == pytest.approx(np.mean(differences)) and row["low"] < row["difference"] < row["high"]


def test_a_control_is_compared_where_two_blocks_have_it(evidence):
    plain = [run for run in evidence.runs if not run.setting.endswith("-control")]
    corpus = plain[0].data.corpus
    blocks = sorted({run.block for run in plain if run.data.corpus == corpus})[:2]
    copies = [
        replace(run, setting="mlsmote-control")
        for run in plain
        if run.setting == "bce" and run.data.corpus == corpus and run.block in blocks
    ]
    assert "cannot yet say" in remedies.describe_controls(remedies.control_effects(evidence._replace(runs=plain)))
    assert remedies.control_effects(evidence._replace(runs=[*plain, *copies[:1]])).empty
    found = remedies.control_effects(evidence._replace(runs=[*plain, *copies]))
    assert set(found["rival"]) == {"mlsmote-control"} and set(found["n_blocks"]) == {2} and len(found) == 2
    assert "of 2 differences" in remedies.describe_controls(found)


def test_remedies_are_held_beside_cross_entropy_at_their_rate(evidence):
    """The setting of the comparison is planted: cross-entropy that is .01 lower in every block."""

    def lower(run, by):
        rules = {rule: {k: v - by for k, v in own.items()} for rule, own in run.metrics["test"].items()}
        return replace(run, setting="bce-at-0.003", metrics=run.metrics | {"test": rules})

    here = [run for run in evidence.runs if run.data.corpus == "reuters"]
    planted = [lower(run, 0.01) for run in here if run.setting == "bce"]
    found = remedies.rate_effects(evidence._replace(runs=[*evidence.runs, *planted]))
    assert found["corpus"].tolist() == ["reuters"] * 2 and found["same_rate"].tolist() == pytest.approx([-0.01] * 2)
    sharing = {run.setting for run in here if run.config["remedy"] != "none" and not run.config["control"]}
    means = {
        name: np.mean([run.metric(found["endpoint"][0]) for run in here if run.setting == name])
        for name in sharing & {*evidence.study.primary.setting} - {"hidden-head"}  # it tuned a rate of its own
    }
    base = np.mean([run.metric(found["endpoint"][0]) for run in here if run.setting == "bce"])
    assert found["remedies"][0] == pytest.approx(np.median([*means.values()]) - base)
    assert remedies.rate_effects(evidence).empty


def test_remedies_with_a_rate_of_their_own_are_left_out():
    study = load_study("remedies-words", RESULTS)
    runs = [run for run in read_study("remedies-words", RESULTS) if run.data.corpus == "cmu-leads"]
    kept = ("bce", "bce-at-0.003", "hidden-head", "mlsmote", "mltl", "mlsmote-control")
    few = [run for run in runs if run.setting in kept]
    assert {run.config["learning_rate"] for run in few if run.setting == "hidden-head"} != {0.003}
    found = remedies.rate_effects(remedies.Evidence(study, few, ""))
    without = [run for run in few if run.setting not in ("hidden-head", "mlsmote-control")]
    pd.testing.assert_frame_equal(found, remedies.rate_effects(remedies.Evidence(study, without, "")))


def test_costs_are_relative_to_cross_entropy_on_the_same_block(evidence):
    found = remedies.costs(evidence)
    assert len(found) == len(evidence.study.primary.setting) and (found["time / time of BCE"] > 0).all()
    assert found.loc["ML-ROS", "copied or made"] > 0 == found.loc["mixup", "copied or made"]
    assert found.loc["MLTL", "left out"] > 0 == found.loc["ML-ROS", "left out"]
    assert found.loc["ML-ROS", "MeanIR / before"] < 0.9 and found.loc["ASL", "MeanIR / before"] == pytest.approx(
        1, abs=1e-4
    )
    assert "<summary>Time &amp; shares</summary>" in display.folded(found, "Time & shares").data


def test_the_least_of_a_remedy_is_the_value_nearest_to_its_neutral_one(evidence):
    run = next(run for run in evidence.runs if run.setting == "mltl")
    for best, least in ((0.3, False), (0.75, True)):
        tuned = [{"value": v, "average_precision_weighted": float(v == best)} for v in (0.3, 0.5, 0.75)]
        found = remedies.mildest(evidence._replace(runs=[replace(run, tuned=tuned)]))
        assert found["least"].tolist() == [least]
    assert remedies.describe_mildest(found, {run.data.corpus: "films"}) == (
        "Of the remedies that change documents, tuning chose the lowest strength that it tried for 1 of 1 on films."
    )


def test_mean_effects_average_differences_over_blocks_and_corpora(evidence):
    found = remedies.mean_effects(evidence, {"average_precision_macro_head": "head", "f1_macro@at_0.5": "0.5"})
    assert list(found.columns) == ["head", "0.5"] and len(found) == len(evidence.study.primary.setting)
    by_corpus = []
    for corpus in (corpus.name for corpus in evidence.study.corpora):
        own = {
            setting: [
                run.metric("f1_macro@at_0.5")
                for run in evidence.runs
                if (run.setting, run.data.corpus) == (setting, corpus)
            ]
            for setting in ("asl", "bce")
        }
        by_corpus.append(np.mean(own["asl"]) - np.mean(own["bce"]))
    assert found.loc["ASL", "0.5"] == pytest.approx(np.mean(by_corpus))


def test_strengths_are_those_of_the_classes_and_of_the_runs(evidence):
    titles = {corpus.name: corpus.name.upper() for corpus in evidence.study.corpora}
    found = remedies.strengths(evidence, titles)
    assert list(found.columns) == ["parameter", "default", *titles.values()]
    assert found.loc["MLSMOTE", ["parameter", "default"]].tolist() == ["rate", "1"]
    assert found.loc["REMEDIAL", ["parameter", "default"]].tolist() == ["level", "1"]
    (chosen,) = {run.config["value"] for run in evidence.runs if run.run.startswith("reuters--remedial--")}
    assert found.loc["REMEDIAL", "REUTERS"] == f"{chosen:g}" and found.loc["K-means SMOTE", "HOC-NODES"] == ""
    assert "ML-ROS, default" not in found.index and "ASL" not in found.index


def outcomes(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    made = pd.DataFrame(
        [
            (corpus, setting, endpoint, estimate, outcome)
            for setting, corpus, outcome, estimate in rows
            for endpoint in ENDPOINTS
        ],
        columns=["corpus", "setting", "endpoint", "estimate", "outcome"],
    )
    return made.assign(margin=0.02, detectable=np.linspace(0.01, 0.05, len(made)))


def test_a_remedy_helps_only_if_it_is_higher_in_both_endpoints_on_two_corpora():
    both = outcomes(("mixup", "a", "higher", 0.03), ("mixup", "b", "higher", 0.03), ("mltl", "a", "lower", -0.1))
    assert "mixup of 2 remedies is shown to have it" in remedies.describe_effects(both)
    assert "Shown to harm in at least one comparison: MLTL" in remedies.describe_effects(both)
    for other in (
        outcomes(("mixup", "a", "higher", 0.03), ("mixup", "b", "undecided", 0.03)),
        outcomes(("mixup", "a", "higher", 0.03), ("mixup", "b", "higher", 0.01)),
        both[(both["corpus"] == "a") | (both["endpoint"] == "average_precision_macro_tail")],
    ):
        assert "none of" in remedies.describe_effects(other)
    open_still = outcomes(
        ("mixup", "a", "undecided", 0.0), ("mltl", "a", "undecided", 0.0), ("asl", "a", "lower", -0.1)
    )
    shown = "a true difference of 0.02 would be seen in four of five such studies; over all of them that difference runs from 0.01 to 0.03"
    assert shown in remedies.describe_effects(open_still) and "would be seen" not in remedies.describe_effects(both)
    moved = both.assign(outcome="not converged")
    assert "has not converged" in remedies.describe_effects(moved)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_remedies_are_sorted_by_their_mean_and_every_effect_is_drawn(table):
    corpora = list(dict.fromkeys(table["corpus"]))
    several = pd.concat([table.assign(corpus=name) for name in (*corpora, "another")])
    for shown in (table, several):
        figure = figures.remedy_effects(shown, ENDPOINTS, {name: name for name in set(shown["corpus"])})
        names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
        means = shown.groupby("setting")["estimate"].mean().sort_values(ascending=False)
        assert names == [figures.title_of(name) for name in means.index]
        for axes, endpoint in zip(figure.axes, ENDPOINTS):
            points = [x for line in axes.lines for x in line.get_xdata() if line.get_label() in set(shown["corpus"])]
            assert sorted(points) == pytest.approx(sorted(shown.loc[shown["endpoint"] == endpoint, "estimate"]))


def test_every_compared_setting_has_a_title_of_its_own(evidence):
    primary = evidence.study.primary
    titles = [figures.title_of(name) for name in (*primary.setting, *primary.against)]
    assert len(set(titles)) == len(titles)


def test_our_own_constructions_are_marked_wherever_a_title_is_shown(evidence):
    for setting in evidence.study.settings:
        info = {**AUGMENTATIONS, **RELATIONS}.get(str(setting.config.get("remedy")))
        if info is not None and not setting.name.endswith("-control"):
            assert figures.title_of(setting.name).endswith(" (ours)") == info.is_ours, setting.name
    for name, (title, *_) in {**FIVE_METHODS, **MORE_METHODS}.items():
        assert title == figures.title_of(name.replace("_", "-")).removesuffix(" (ours)")


@pytest.mark.parametrize("further", [False, True])
def test_five_documents_show_what_the_methods_do(further):
    assert minority_labels(FIVE_LABELS.sum(axis=0)).tolist() == [False, True]
    methods = MORE_METHODS if further else FIVE_METHODS
    assert set(methods) <= set(AUGMENTATIONS)
    figure = figures.five_documents(further)
    drawn = {axes.get_title().strip(): axes.get_xlabel() for axes in figure.axes if axes.get_visible()}
    assert len(drawn) == len(methods) + (not further)
    assert further or drawn["five documents"] == "D 4, H 2"
    for name, (title, _, params, seed) in methods.items():
        step = build_augmentation(name, **params)
        vectors, labels = step.fit_resample(FIVE_VECTORS, FIVE_LABELS, seed)
        changed = len(vectors) != 5 or not np.allclose(vectors, FIVE_VECTORS) or not np.allclose(labels, FIVE_LABELS)
        assert changed, f"{name} does nothing"
        before, after = FIVE_LABELS.sum(axis=0), labels.sum(axis=0)
        words = [f"{label} {b} → {a:.1f}".removesuffix(".0") for label, b, a in zip("DH", before, after)]
        assert drawn[title] == ", ".join(words)


def test_every_method_is_drawn_or_needs_texts_or_joins_two_that_are_drawn():
    drawn = {*FIVE_METHODS, *MORE_METHODS, "remedial_mlenn"}
    missing = [name for name, info in AUGMENTATIONS.items() if info.takes != "texts" and name not in drawn]
    assert not missing, (
        f"no panel shows {', '.join(missing)}; add one to MORE_METHODS in afl_helpers/chapters/figures/remedies.py"
    )


def test_what_the_page_and_its_alt_texts_say_of_the_five_documents():
    drawn = {axes.get_title().strip(): axes.get_xlabel() for axes in figures.five_documents().axes}
    assert drawn["ML-ROS"].startswith("D 4 → 5") and drawn["MLTL"].endswith("H 2 → 1")


def test_related_documents_show_what_the_methods_do():
    rerank, jaccard, parent, regularization = figures.related_documents().axes
    assert {".31\n→.26", ".57\n→.57"} <= {text.get_text() for text in rerank.texts}  # as the alternative text says
    pairs = [tuple(map(tuple, line.get_xydata())) for line in jaccard.lines]
    drawn = {pair: line.get_linewidth() for pair, line in zip(pairs, jaccard.lines)}
    sets = [{"D"}, {"D"}, {"D"}, {"D", "H"}, {"N"}]
    for i, j in itertools.combinations(range(5), 2):
        width = drawn.pop((tuple(FIVE_VECTORS[i]), tuple(FIVE_VECTORS[j])), 0)
        assert width == pytest.approx(4 * len(sets[i] & sets[j]) / len(sets[i] | sets[j]))
    assert not drawn
    (crosses,) = parent.lines
    assert np.array_equal(crosses.get_xydata(), FIVE_VECTORS[:3])
    lines = [contour.get_paths()[0].vertices for contour in regularization.collections]
    slopes = [np.arctan2(*(line[-1] - line[0])[::-1]) for line in lines]
    angles = [abs((b - a + np.pi / 2) % np.pi - np.pi / 2) for a, b in (slopes[:2], slopes[2:])]
    assert angles[0] > 1 and angles[1] < 0.2


def test_read_documents_show_what_the_caption_says():
    graph, texts, attention, view = figures.read_documents().axes
    assert {".17\n→.02", ".87\n→.98"} <= {text.get_text() for text in graph.texts}
    words = [text.split() for text in FIVE_TEXTS]
    names = [RELATED_TREE.names[:3][i] for i in range(3)]
    for axes in (attention, view):
        rows = {round(text.get_position()[1], 2): [] for text in axes.texts if text.get_text() in sum(words, [])}
        assert len(rows) == 5
        for text in axes.texts:
            y = round(text.get_position()[1], 2)
            if y in rows and text.get_text() not in ("D", "H", "N", "D+H"):
                rows[y].append((text.get_text(), text.get_fontweight() == "bold"))
        lines = [rows[y] for y in sorted(rows, reverse=True)]
        assert [[word for word, _ in line] for line in lines] == words
        bold = [[word for word, strong in line if strong] for line in lines]
        if axes is attention:
            assert "and" in bold[1] and all(1 <= len(line) <= 2 for line in bold)
        else:
            assert [bool(line) for line in bold] == [True, True, False, True, True]
    looking = [t.get_text().split("+") for t in attention.texts if t.get_fontsize() == 10.5][:-1]
    assert sum(map(len, looking)) == 2 * 5 and {name for row in looking for name in row} <= set(names)
    assert not any(text.get_fontweight() == "bold" for text in texts.texts)


def test_written_documents_show_what_the_caption_says():
    *written, keywords = figures.written_documents().axes
    for axes, (name, (title, _, params, seed)) in zip(written, WRITTEN_METHODS.items()):
        step = build_augmentation(name, **params)
        texts, labels = step.fit_resample(list(FIVE_TEXTS), RELATED_LABELS, seed)
        drawn = " / ".join(text.get_text() for text in axes.texts)
        assert axes.get_title().strip() == title == figures.title_of(name.replace("_", "-")).removesuffix(" (ours)")
        assert len(texts) > 5 and all(text in drawn for text in texts[5:])
    assert labels[5:].tolist() == [[0, 1, 0], [0, 0, 1]] and list(texts[5:]) == ["son fears spy", "spy leaves home"]
    bold = {text.get_text() for text in keywords.texts if text.get_fontweight() == "bold"}
    assert bold == {"mother", "home", "fears", "ghosts", "spy", "town"}


def test_labels_in_the_figures_are_readable():
    assert all(contrast("#000000", fill) > 4.5 for fill in (*_FILLS.values(), "#d7ecdf", "#f0f0f0"))


# --- comparisons beside the registered one ---------------------------------------------------------------------------


def test_later_effects_are_differences_of_block_means_once_all_blocks_are_there():
    """Against the metrics themselves."""
    runs = read_study("remedies", RESULTS)
    settings = {"reuters": ["per-parent", "label-graph"], "hoc-nodes": ["per-parent"]}
    found = remedies.later_effects(runs, settings, "bce", list(ENDPOINTS), 5)
    assert found.groupby("corpus").size().to_dict() == {"reuters": 4, "hoc-nodes": 2} and set(found["n_blocks"]) == {5}
    for row in found.to_dict("records"):
        metric, _, rule = row["endpoint"].partition("@")
        values = {
            run.setting + str(run.block): run.metrics["test"][rule or "at_0.5"][metric]
            for run in runs
            if run.data.corpus == row["corpus"] and run.setting in (row["setting"], "bce") and run.block in range(1, 6)
        }
        differences = [values[f"{row['setting']}{block}"] - values[f"bce{block}"] for block in range(1, 6)]
        assert row["estimate"] == pytest.approx(np.mean(differences), abs=1e-9)
    without = [run for run in runs if (run.setting, run.block) != ("label-graph", 4)]
    assert remedies.later_effects(without, settings, "bce", list(ENDPOINTS), 5).empty
    assert remedies.later_effects(runs, {"reuters": ["nothing"]}, "bce", list(ENDPOINTS), 5).empty


def test_block_means_are_those_of_the_metrics_for_settings_with_all_blocks():
    runs = read_study("word-vectors", RESULTS)
    endpoints = ["average_precision_macro_tail", "f1_macro@tuned_common"]
    found = remedies.block_means(runs, endpoints, 3)
    assert {"glove-cnn", "tfidf-linear-svm"} <= set(found.index) and not found.isna().any(axis=None)
    assert found[found.columns[0]].is_monotonic_decreasing
    for corpus, endpoint in found:
        metric, _, rule = endpoint.partition("@")
        for setting in found.index:
            own = [run for run in runs if run.data.corpus == corpus and run.setting == setting and run.block <= 3]
            values = [run.metrics["test"][rule or "at_0.5"][metric] for run in own]
            assert len(values) == 3 and found.loc[setting, (corpus, endpoint)] == pytest.approx(sum(values) / 3)
    lost = next(run for run in runs if (run.setting, run.block, run.data.corpus) == ("glove-cnn", 2, "reuters"))
    without = remedies.block_means([run for run in runs if run is not lost], endpoints, 3)
    assert [*without.index] == [name for name in found.index if name != "glove-cnn"]


def test_a_table_of_differences_keeps_order_and_shows_signs():
    rows = [
        ("reuters", "mltl", "x", -0.0004, -0.01, 0.02),
        ("reuters", "bce", "x", 0.0, 0.0, 0.0),
        ("reuters", "mltl", "y", 0.031, 0.0, 0.05),
        ("reuters", "bce", "y", 0.0, 0.0, 0.0),
        ("cmu-leads", "bce", "x", 0.5, 0.25, 0.75),
        ("cmu-leads", "bce", "y", -0.5, -0.75, -0.25),
    ]
    compared = pd.DataFrame(rows, columns=["corpus", "setting", "endpoint", "estimate", "low", "high"])
    compared[["decided_by", "p_adjusted", "p_corrected_adjusted"]] = "paired t", 0.5, 0.5
    compared[["low_corrected", "high_corrected"]] = -1.0, 1.0
    compared.loc[compared["corpus"] == "cmu-leads", "decided_by"] = "corrected t"  # its blocks overlap
    found = remedies.difference_table(compared, {"x": "AP", "y": "F1"}, {"reuters": "news", "cmu-leads": "films"})
    assert list(found.columns) == ["AP", "F1"]
    assert [*found.index] == [("news", "MLTL"), ("news", "BCE"), ("films", "BCE")]
    assert found.loc[("news", "MLTL"), "AP"] == "+.000 [-.010,\u00a0+.020]"
    assert found.loc[("films", "BCE"), "F1"] == "-.500 [-1.000,\u00a0+1.000]"


@pytest.mark.parametrize(
    "counts, n, options, words",
    [
        ([np.nan, 100, 20], 1000, {}, "negative or non-finite count"),
        ([0.5, 0.1], 1000, {}, "shares, not counts"),
        (["100", "20"], 1000, {}, "label_counts hold '100'; pass numbers"),
        ({"a": 100}, 1000, {}, "pass numbers"),
        (np.ma.array([100, 20], mask=[0, 1]), 1000, {}, "label_counts"),
        ([100, 20], None, {}, "n_documents is None"),
        ([100, 20], np.nan, {}, "n_documents is nan"),
        ([100, 20], 1000, {"miss_costs": -1}, "miss_costs is -1"),
        ([100, 20], 1000, {"miss_costs": "five"}, "miss_costs is 'five'"),
        ([100, 20], 1000, {"miss_costs": np.nan}, "miss_costs is nan"),
        ([100, 20], 1000, {"validation_share": 10}, "validation_share is 10"),
        ([100, 20], 1000, {"validation_share": np.nan}, "validation_share is nan"),
        ([100, 20], 1000, {"all_annotated": "no"}, "all_annotated is 'no'; pass True or False"),
    ],
)
def test_advice_is_given_only_on_counts(counts, n, options, words):
    with pytest.raises(UsageError, match=words):
        decision.advice_for(counts, n, **options)
