"""Result files and the study that writes them: whole or absent, resumed, refused when wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from afl_helpers import studies
from afl_helpers.data import load_corpus
from afl_helpers.errors import DataError, MissingFileError
from afl_helpers.evaluation import evaluate, frequency_groups
from afl_helpers.files import write_json
from afl_helpers.results import (
    KEYS,
    f1_by_count,
    label_decisions,
    pack_decisions,
    paired_differences,
    read_result,
    read_study,
    results_table,
    unpack_decisions,
    validate_result,
)
from afl_helpers.studies import load_study, run_study

RESULTS = Path(__file__).resolve().parent.parent / "results"

STUDY = """
question: does it run?
method: probe
config: {encoder: tiny, max_length: 16, epochs: 3, patience: 2, batch_size: 64}
tune: {learning_rate: [0.001, 0.01]}
corpora: [{name: toy, top: 6, n_documents: 200}]
seeds: [0, 1]
settings:
  - {name: bce, loss: bce}
  - {name: afl-shuffled, loss: afl, params: {assignment: shuffled}}
"""


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
    assert [tuple(result) for result in results] == [KEYS] * 4
    result = results[0]
    assert result["loss"] == {"name": "afl", "params": {"assignment": "shuffled"}}
    assert result["run"] == "toy--afl-shuffled--seed0" and result["study"] == "small"
    assert result["setting"]["name"] == "afl-shuffled" and result["encoder"] == "tiny"
    assert [row["learning_rate"] for row in result["setting"]["tuned"]] == [0.001, 0.01]
    assert set(result["metrics"]["test"]) == {"at_0.5", "tuned_common", "tuned_per_label", "tuned_proportional"}
    assert {"torch", "transformers", "python", "commit", "device"} <= set(result["environment"])
    assert result["data"]["fingerprint"] and result["data"]["parts"]["train"] > 100
    # The second seed takes the setting that the first chose.
    assert results[1]["seed"] == 1 and results[1]["config"]["learning_rate"] == result["config"]["learning_rate"]


def test_stored_replicates_and_decisions_belong_to_the_stored_metrics(folder):
    result = read_study("small", folder)[0]
    corpus = studies.corpus_splits(studies.StudyCorpus("toy", top=6, n_documents=200), 0)[1]
    test = corpus[2]
    decisions = unpack_decisions(result["bootstrap"]["decisions"]["tuned_common"], test.labels.shape)
    found = evaluate(test.labels, decisions.astype(float))
    assert found["f1_macro"] == pytest.approx(result["metrics"]["test"]["tuned_common"]["f1_macro"], rel=1e-5)
    replicates = np.array(result["bootstrap"]["replicates"]["f1_macro@tuned_common"])
    assert len(replicates) == 1000
    assert abs(replicates.mean() - found["f1_macro"]) < 4 * replicates.std() + 0.02
    assert result["labels"]["support"] == test.labels.sum(0).tolist()
    assert frequency_groups(result["labels"]["training_count"])["tail"].sum() == 2


def test_a_study_goes_on_where_it_was(folder, monkeypatch):
    study = load_study("small", folder)
    assert study.missing() == []
    lost = study.path(study.runs()[3])
    before = read_result(lost)
    lost.unlink()
    monkeypatch.setenv("AFL_CACHE_DIR", str(folder / "cache"))
    assert list(run_study(study, progress=False)) == [lost]
    after = read_result(lost)
    assert after["metrics"] == before["metrics"] and after["bootstrap"] == before["bootstrap"]
    assert list(run_study(study, progress=False)) == []


def test_table_has_a_row_for_each_run_and_rule(folder):
    table = results_table(read_study("small", folder))
    assert len(table) == 16 and set(table["setting"]) == {"bce", "afl-shuffled"}
    assert table["f1_macro"].between(0, 1).all()


def test_f1_by_count_is_that_of_the_metrics(folder):
    results = read_study("small", folder)
    for rule in ("at_0.5", "tuned_per_label"):
        found = f1_by_count(results, rule).set_index(["setting", "seed", "group"])
        for result in results:
            metrics, key = result["metrics"]["test"][rule], (result["setting"]["name"], result["seed"])
            for group in ("total", "head", "medium", "tail"):
                suffix = "" if group == "total" else f"_{group}"
                for average in ("f1_micro", "f1_macro"):
                    assert found.loc[(*key, group), average] == pytest.approx(metrics[average + suffix], rel=1e-5)
    counts = results[0]["labels"]["training_count"]
    low, high = min(counts), max(counts)
    by_cutoff = f1_by_count(results, cutoffs=(high, low + 1)).groupby("group")["n_labels"].first()
    assert by_cutoff["head"] == counts.count(high) and by_cutoff["tail"] == counts.count(low)
    assert by_cutoff["total"] == len(counts)
    del results[0]["labels"]["true_positives"]
    with pytest.raises(DataError, match="holds no counts of its labels' decisions"):
        f1_by_count(results)


def test_labels_are_predicted_as_often_as_the_decisions_say(folder):
    results = read_study("small", folder)
    for rule in ("tuned_common", "tuned_proportional"):
        found = label_decisions(results, rule)
        for result in results:
            own = found[(found["setting"] == result["setting"]["name"]) & (found["seed"] == result["seed"])]
            assert own["predicted"].tolist() == result["labels"]["predicted"][rule]
    share = result["data"]["parts"]["test"] / result["data"]["parts"]["train"]
    assert (own["expected"] / own["training_count"]).tolist() == pytest.approx([share] * len(own))


def test_differences_are_those_of_the_metrics_and_seeds_must_match(folder):
    results = read_study("small", folder)
    found = paired_differences(results, "afl-shuffled", ["bce"], ["f1_macro@tuned_common", "average_precision_macro"])
    table = (
        results_table(results, rules=("tuned_common",))
        .groupby("setting")[["f1_macro", "average_precision_macro"]]
        .mean()
    )
    expected = table.loc["afl-shuffled"] - table.loc["bce"]
    assert found["difference"].tolist() == pytest.approx(expected.tolist())
    assert (found["low"] <= found["high"]).all()
    crossed = paired_differences(
        results, "afl-shuffled", ["bce@tuned_per_label"], ["f1_macro@tuned_common", "average_precision_macro"]
    )
    assert crossed[["metric", "comparison"]].values.tolist() == [["f1_macro@tuned_common", "bce@tuned_per_label"]]
    per_label = results_table(results, rules=("tuned_per_label",)).groupby("setting")["f1_macro"].mean()
    assert crossed["difference"].item() == pytest.approx(
        expected["f1_macro"] + table.loc["bce", "f1_macro"] - per_label["bce"]
    )
    with pytest.raises(DataError, match="run what is missing, or pass the seeds that both have"):
        paired_differences(results[:-1], "afl-shuffled", ["bce"], ["average_precision_macro"])
    one = paired_differences(results[:-1], ["afl-shuffled", "bce"], ["bce"], ["average_precision_macro"], seeds=[0])
    assert one["setting"].tolist() == ["afl-shuffled"]  # a setting is not compared with itself
    with pytest.raises(DataError, match=r"only seeds \[0\] of \[0, 1\] of setting 'bce'"):
        paired_differences(results[:-1], "afl-shuffled", ["bce"], ["average_precision_macro"], seeds=[0, 1])


def test_intervals_widen_with_the_number_of_comparisons_also_beyond_the_replicates(folder):
    results = read_study("small", folder)
    metrics = [
        "f1_macro@tuned_common",
        "f1_micro@tuned_common",
        "f1_macro@tuned_proportional",
        "average_precision_macro",
    ]

    def width(n):
        """Of the first of n comparisons."""
        many = [f"bce@{rule}" for rule in ("tuned_common", "tuned_per_label", "tuned_proportional")]
        found = paired_differences(results, "afl-shuffled", [*many, "bce"][: n or None], metrics[:1])
        return (found["high"] - found["low"]).iloc[0]

    assert width(1) < width(2) < width(4)
    found = paired_differences(results, "afl-shuffled", ["bce"], metrics[:1])
    replicates = [
        np.mean([r["bootstrap"]["replicates"][metrics[0]] for r in results if r["setting"]["name"] == name], axis=0)
        for name in ("afl-shuffled", "bce")
    ]
    low, high = np.quantile(replicates[0] - replicates[1], [0.025, 0.975])
    assert found[["low", "high"]].values.tolist() == [pytest.approx([low, high])]
    # 20 comparisons leave 1.25 replicates beyond each end: the normal distribution takes over.
    many = paired_differences(results, "afl-shuffled", ["bce"] * 20, metrics[:1])
    deviation = np.std(replicates[0] - replicates[1], ddof=1)
    assert (many["high"] - many["difference"]).iloc[0] == pytest.approx(3.0233 * deviation, rel=1e-3)


def test_a_broken_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.json"
    write_json(path, {"a": [1.0, float("nan")]})
    assert json.loads(path.read_text()) == {"a": [1.0, None]}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": [1.0, None]} and len(list(tmp_path.iterdir())) == 1


def test_decisions_survive_packing():
    decisions = np.random.default_rng(0).random((13, 7)) < 0.3
    np.testing.assert_array_equal(unpack_decisions(pack_decisions(decisions), (13, 7)), decisions)


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
    result = read_study("small", folder)[0]
    change(result)
    with pytest.raises(DataError, match=words):
        validate_result(result, "run.json")


def test_files_that_are_not_there_or_not_json(tmp_path):
    with pytest.raises(MissingFileError, match="python -m afl_helpers study nowhere"):
        read_study("nowhere", tmp_path)
    with pytest.raises(MissingFileError, match="the studies here are: none"):
        load_study("nowhere", tmp_path)
    (tmp_path / "bad.json").write_text('{"schema": 1,\n oops}')
    with pytest.raises(DataError, match="bad.json, line 2"):
        read_result(tmp_path / "bad.json")


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("method: probe", "method: prob", "did you mean 'probe'"),
        ("loss: bce", "loss: bcee", "unknown loss"),
        ("question:", "quest:", "unknown field 'quest'"),
        ("epochs: 3", "epochs: three", "epochs is 'three'"),
        ("name: afl-shuffled", "name: bce", "same name"),
        ("seeds: [0, 1]", "", "seeds is missing"),
        ("top: 6", "best: 6", "unknown field of a corpus 'best'"),
        ("assignment: shuffled", "asignment: shuffled", "did you mean 'assignment'"),
        ("learning_rate: [", "learning_rat: [", "did you mean 'learning_rate'"),
        ("name: afl-shuffled", "name: afl/shuffled", "'/' in its name"),
    ],
)
def test_a_wrong_study_is_refused_before_it_runs(tmp_path, old, new, words):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.yaml").write_text(STUDY.replace(old, new))
    with pytest.raises(DataError, match=words):
        load_study("s", tmp_path)


def test_committed_results_are_valid_and_of_the_committed_studies():
    for path in sorted(RESULTS.glob("*/study.yaml")):
        study = load_study(path.parent.name, RESULTS)
        names = {run.name for run in study.runs()}
        for result in read_study(study.name, RESULTS):
            assert result["run"] in names and result["study"] == study.name
            assert result["loss"]["name"] in {setting.loss for setting in study.settings}


def test_seeds_share_the_split():
    corpus = studies.StudyCorpus("toy", top=6)
    first, second = (studies.corpus_splits.__wrapped__(corpus, 0) for _ in range(2))
    assert [part.fingerprint for part in first[1]] == [part.fingerprint for part in second[1]]
    assert len(first[0]) == len(load_corpus("toy").select_labels(top=6))
