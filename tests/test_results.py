"""Results of a study: what a file holds, reading and writing it, tables, and recorded comparisons."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_study import STUDY

from afl_helpers import studies
from afl_helpers.data import load_corpus
from afl_helpers.errors import DataError, MissingFileError, UsageError
from afl_helpers.evaluation import THRESHOLD_RULES, frequency_groups
from afl_helpers.files import json_text, write_json
from afl_helpers.results import (
    KEYS,
    encoding,
    f1_by_count,
    history_table,
    label_table,
    read_result,
    read_study,
    results_table,
    run_table,
    threshold_table,
    tuning_table,
)
from afl_helpers.results.encoding import from_json, to_json
from afl_helpers.results.record import summarize_scores
from afl_helpers.studies import load_study, run_study

RESULTS = Path(__file__).resolve().parent.parent / "results"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study of four runs, done."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "small").mkdir()
    (folder / "small" / "study.yaml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFL_CACHE_DIR", str(folder / "cache"))
        assert len(list(run_study(load_study("small", folder), progress=False))) == 4
    return folder


def test_a_run_file_has_the_schema(folder):
    results = read_study("small", folder)
    paths = sorted((folder / "small" / "runs").glob("*.json"))
    assert [tuple(json.loads(path.read_text())) for path in paths] == [KEYS] * 4
    assert all(path.stat().st_size < 40_000 for path in paths)
    stored = json.loads(paths[2].read_text())["labels"]["predicted"]
    assert stored["tuned_common_posterior"] == "tuned_common"  # cross-entropy's scores are their own posteriors
    result = read_result(paths[2])
    assert (result.labels.predicted["tuned_common_posterior"] == result.labels.predicted["tuned_common"]).all()
    result = results[0]
    assert (result.loss.name, result.loss.params) == ("afl", {"assignment": "shuffled"})
    assert result.run == "toy--afl-shuffled--seed0" and result.study == "small" and result.block is None
    assert result.setting == "afl-shuffled" and result.encoder == "tiny" and result.method == "probe"
    assert [trial["learning_rate"] for trial in result.tuned] == [0.001, 0.01]
    assert list(result.metrics["test"]) == list(result.labels.predicted) == list(THRESHOLD_RULES)
    assert {"torch", "transformers", "python", "commit", "device"} <= set(result.environment)
    assert result.data.fingerprint and result.data.sizes["train"] > 100
    # The second seed takes the value that the first chose.
    assert results[1].seed == 1 and results[1].config["learning_rate"] == result.config["learning_rate"]


def test_what_is_written_is_what_is_read(folder):
    result = read_study("small", folder)[0]
    text = json_text(to_json(result))
    assert json_text(to_json(from_json(json.loads(text)))) == text
    assert result.metric("f1_macro@tuned_common") == result.metrics["test"]["tuned_common"]["f1_macro"]
    assert result.metric("f1_micro", "tuned_common", "validation") > 0
    with pytest.raises(DataError, match="no test metric 'f1_makro'; did you mean 'f1_macro'"):
        result.metric("f1_makro")
    with pytest.raises(DataError, match="no rule 'tuned'; it has at_0.5, tuned_common"):
        result.metric("f1_macro@tuned")


def test_zeros_at_the_end_of_counts_are_left_out_of_the_file_and_come_back(folder):
    result = read_study("small", folder)[0]
    counts = np.array([4, 0, 2, 0, 0, 0])
    rare = replace(result.labels, predicted={"at_0.5": counts}, true_positives={"at_0.5": 0 * counts})
    content = to_json(replace(result, labels=rare))
    assert content["labels"]["predicted"]["at_0.5"] == [4, 0, 2]
    assert content["labels"]["true_positives"]["at_0.5"] == []
    read = from_json(json.loads(json_text(content)))
    assert read.labels.predicted["at_0.5"].tolist() == [4, 0, 2, 0, 0, 0]
    assert not read.labels.true_positives["at_0.5"].any() and read.labels.true_positives["at_0.5"].shape == (6,)
    for kind in ("groups", "labels"):
        for name, own in getattr(result.summaries, kind).items():
            again = getattr(read.summaries, kind)[name]
            assert np.array_equal(again.positives, own.positives) and np.array_equal(again.negatives, own.negatives)
    content["labels"]["predicted"]["at_0.5"] = 7 * [1]
    with pytest.raises(DataError, match="wrong kind"):
        from_json(json.loads(json_text(content)))


def test_metrics_that_are_equal_under_every_rule_stand_once_and_undefined_ones_stay_undefined():
    rules = {
        "at_0.5": {"average_precision_macro": 0.25, "roc_auc_macro": math.nan, "f1_macro": 0.5},
        "tuned_common": {"average_precision_macro": 0.25, "roc_auc_macro": math.nan, "f1_macro": math.nan},
    }
    stored = encoding._factored("test", rules)
    assert stored["at_0.5"] == {"f1_macro": 0.5}
    assert set(stored["all_rules"]) == {"average_precision_macro", "roc_auc_macro"}
    read = encoding._metrics(
        {"test": {**stored}, "validation": {"all_rules": {}, "at_0.5": {}, "tuned_common": {}}}, "x"
    )
    assert read["test"]["at_0.5"]["f1_macro"] == 0.5 and math.isnan(read["test"]["tuned_common"]["f1_macro"])
    assert read["test"]["tuned_common"]["average_precision_macro"] == 0.25


def test_labels_and_histograms_belong_to_the_stored_metrics(folder):
    test = studies.corpus_splits(studies.StudyCorpus("toy", top=6, n_documents=200), 0)[1][2]
    for result in read_study("small", folder):
        labels = result.labels
        assert labels.support.tolist() == test.labels.sum(0).tolist()
        assert frequency_groups(labels.training_count)["tail"].sum() == 2
        for rule, predicted in labels.predicted.items():
            hits, either = labels.true_positives[rule], predicted + labels.support
            assert 2 * hits.sum() / either.sum() == pytest.approx(result.metric("f1_micro", rule), rel=1e-5)
            f1 = np.divide(2.0 * hits, either, out=np.zeros(6), where=either > 0)
            assert f1.mean() == pytest.approx(result.metric("f1_macro", rule), rel=1e-5)
        assert np.nanmean(labels.average_precision) == pytest.approx(result.metric("average_precision_macro"), abs=1e-5)
        groups = result.summaries.groups
        assert list(groups) == ["head", "medium", "tail"] and len(result.summaries.labels) == 6
        assert sum(one.positives.sum() for one in groups.values()) == labels.support.sum()
        assert sum((one.positives + one.negatives).sum() for one in groups.values()) == 6 * len(test)


def test_histograms_count_every_score_in_its_bin():
    targets = np.array([[True, False, True], [False, False, True]])
    scores = np.array([[0.0, 1.0, 0.5], [1 / 64, 0.99, 0.999]])
    found = summarize_scores(targets, scores, [9, 5, 1], ["a", "b", "c"])
    assert list(found.groups) == ["head", "medium", "tail"] and list(found.labels) == ["a", "b", "c"]
    assert np.flatnonzero(found.labels["a"].positives).tolist() == [0]
    assert np.flatnonzero(found.labels["a"].negatives).tolist() == [1]
    assert found.labels["b"].negatives[63] == 2 and not found.labels["b"].positives.any()
    assert np.flatnonzero(found.labels["c"].positives).tolist() == [32, 63]


def test_a_study_is_resumed_where_it_stopped(folder, monkeypatch):
    study = load_study("small", folder)
    assert study.missing() == []
    lost = study.path(study.runs()[3])
    before = read_result(lost)
    lost.unlink()
    monkeypatch.setenv("AFL_CACHE_DIR", str(folder / "cache"))
    assert list(run_study(study, progress=False)) == [lost]
    first, second = (to_json(result) for result in (before, read_result(lost)))
    for key in ("metrics", "labels", "summaries", "setting", "data", "config"):
        assert json_text(first[key]) == json_text(second[key])
    assert list(run_study(study, progress=False)) == []


def test_tables_have_a_row_for_each_run_and_rule_trial_label_and_epoch(folder):
    results = read_study("small", folder)
    table = results_table(results)
    assert len(table) == 4 * len(THRESHOLD_RULES) and set(table["setting"]) == {"bce", "afl-shuffled"}
    assert table["f1_macro"].between(0, 1).all()
    assert len(results_table(results, rules=("at_0.5",))) == 4
    runs = run_table(results)
    assert runs["config.learning_rate"].tolist() == [result.config["learning_rate"] for result in results]
    assert runs[["n_train", "n_validation", "n_test"]].sum(axis=1).tolist() == [
        result.data.n_documents for result in results
    ]
    assert runs["best_epoch"].between(1, 3).all() and runs["epochs"].max() <= 3
    trials = tuning_table(results)
    assert trials.groupby("setting").size().to_dict() == {"afl-shuffled": 2, "bce": 2}
    assert trials["learning_rate"].tolist() == [0.001, 0.01] * 2
    epochs = history_table(results).groupby(["setting", "seed"])["epoch"].max()
    assert epochs.tolist() == runs.sort_values(["setting", "seed"])["epochs"].tolist()
    thresholds = threshold_table(results)
    assert (thresholds["at_0.5"] == 0.5).all() and thresholds["tuned_common"].between(0, 1).all()
    assert "tuned_per_label" not in thresholds


def test_f1_by_count_is_that_of_the_metrics(folder):
    results = read_study("small", folder)
    for rule in ("at_0.5", "tuned_common"):
        found = f1_by_count(results, rule).set_index(["setting", "seed", "group"])
        for result in results:
            for group in ("total", "head", "medium", "tail"):
                suffix = "" if group == "total" else f"_{group}"
                for average in ("f1_micro", "f1_macro") if group == "total" else ("f1_macro",):
                    expected = result.metric(average + suffix, rule)
                    assert found.loc[(result.setting, result.seed, group), average] == pytest.approx(expected, rel=1e-5)
    counts = results[0].labels.training_count.tolist()
    low, high = min(counts), max(counts)
    by_cutoff = f1_by_count(results, cutoffs=(high, low + 1)).groupby("group")["n_labels"].first()
    assert by_cutoff["head"] == counts.count(high) and by_cutoff["tail"] == counts.count(low)
    assert by_cutoff["total"] == len(counts)
    without = replace(results[0], labels=replace(results[0].labels, predicted={}))
    with pytest.raises(DataError, match="keeps no counts of decisions under 'tuned_common'; run it again"):
        f1_by_count([without])


def test_labels_are_predicted_as_often_as_expected_at_their_frequency_in_training(folder):
    results = read_study("small", folder)
    found = label_table(results, "tuned_proportional")
    assert len(found) == 4 * 6
    sizes = results[0].data.sizes
    assert (found["expected"] / found["training_count"]).to_numpy() == pytest.approx(sizes["test"] / sizes["train"])
    own = found[(found["setting"] == "bce") & (found["seed"] == 0)]
    assert own["predicted"].tolist() == read_study("small", folder)[2].labels.predicted["tuned_proportional"].tolist()


def test_a_broken_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.json"
    write_json(path, {"a": [1.0, float("nan")]})
    assert json.loads(path.read_text()) == {"a": [1.0, None]}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": [1.0, None]} and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda r: r.pop("labels"), "misses labels"),
        (lambda r: r.update(extra=1), "has unknown extra"),
        (lambda r: r.update(schema=99), "schema is 99"),
        (lambda r: r["metrics"]["test"].pop("at_0.5"), "metrics.test misses at_0.5"),
    ],
)
def test_a_wrong_file_is_refused_with_the_field(folder, change, words):
    content = to_json(read_study("small", folder)[0])
    change(content)
    with pytest.raises(DataError, match=words):
        from_json(content, "run.json")


def test_files_that_are_not_there_or_not_json(tmp_path):
    with pytest.raises(MissingFileError, match="python -m afl_helpers study nowhere"):
        read_study("nowhere", tmp_path)
    with pytest.raises(MissingFileError, match="the studies here are: none"):
        load_study("nowhere", tmp_path)
    (tmp_path / "bad.json").write_text('{"schema": 2,\n oops}')
    with pytest.raises(DataError, match="bad.json, line 2"):
        read_result(tmp_path / "bad.json")


def test_committed_results_are_valid_and_of_the_committed_studies():
    for path in sorted(RESULTS.glob("*/study.yaml")):
        study = load_study(path.parent.name, RESULTS)
        names = {run.name for run in study.runs()}
        for result in read_study(study.name, RESULTS):
            assert result.run in names and result.study == study.name
            assert result.loss.name in {setting.loss for setting in study.settings}


def test_seeds_share_the_split():
    corpus = studies.StudyCorpus("toy", top=6)
    first, second = (studies.corpus_splits.__wrapped__(corpus, 0) for _ in range(2))
    assert [part.fingerprint for part in first[1]] == [part.fingerprint for part in second[1]]
    assert len(first[0]) == len(load_corpus("toy").select_labels(top=6))


def test_committed_results_are_small():
    files = list(RESULTS.glob("*/runs/*.json"))
    assert max(path.stat().st_size for path in files) <= 42_000
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 60_000_000


def test_tables_without_a_row_have_their_columns(folder):
    results = [replace(result, time=replace(result.time, history={})) for result in read_study("small", folder)]
    key = ["study", "corpus", "setting", "seed", "block"]
    full = read_study("small", folder)
    for table in (run_table, label_table, f1_by_count):
        columns = [name for name in table(full).columns if not name.startswith("config.")]
        assert len(table([])) == 0 and table([]).columns.tolist() == columns
    for table in (results_table, threshold_table, tuning_table):
        assert len(table([])) == 0 and table([]).columns.tolist()[:5] == key
    for none in ([], results):
        assert history_table(none).columns.tolist() == [*key, "epoch", "loss"] and len(history_table(none)) == 0
    assert {*key, "epoch"} <= {*history_table(full).columns}


def test_rules_of_the_table_of_results(folder):
    results = read_study("small", folder)
    assert results_table(results, "tuned_common").equals(results_table(results, ["tuned_common"]))
    for wrong in ("tuned_comon", ["tuned_comon"]):
        with pytest.raises(UsageError, match="unknown threshold rule 'tuned_comon' .did you mean 'tuned_common'"):
            results_table(results, wrong)
