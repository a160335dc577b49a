"""Studies of blocks: what is planned, pilot runs, order, kept scores, and the whole way on a tiny copy."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from afl_helpers.__main__ import main
from afl_helpers.data import load_corpus
from afl_helpers.errors import DataError, MissingFileError, StudyError, UsageError
from afl_helpers.evaluation import average_precision_per_label
from afl_helpers.files import json_text
from afl_helpers.results import read_all_studies, read_result, read_study, verify_checksums
from afl_helpers.results.encoding import to_json
from afl_helpers.studies import (
    StudyCorpus,
    compare_study,
    complete_results,
    convergence_shifts,
    corpus_splits,
    describe_progress,
    difference,
    estimate_seconds,
    kept_decisions,
    load_study,
    missing_scores,
    repeat,
    rescore,
    run_study,
    workers,
)
from afl_helpers.studies import run as run_module
from afl_helpers.studies.plan import METHODS
from afl_helpers.studies.scores import as_kept, read_scores, scores_path, write_scores
from afl_helpers.studies.study_file import read_study_file
from afl_helpers.studies.tuning import at_edge, beyond_edge
from afl_helpers.training.config import ProbeConfig, TrainingConfig
from afl_helpers.training.encoders import ENCODERS

RESULTS = Path(__file__).resolve().parent.parent / "results"
PATIENCE = 500

PROBES = """
question: does it run?
primary: {setting: afl, against: [bce], endpoints: [average_precision_macro_tail], margin: 0.02, unit: block}
method: probe
config: {encoder: tiny, max_length: 16, epochs: 3, batch_size: 64, schedule: cosine, keep: last}
tune: {learning_rate: [0.001, 0.01]}
tune_extensions: 2
corpora: [{name: toy, top: 6, n_documents: 300, train: 120, validation: 60}]
blocks: 2
pilot: 0
settings:
  - {name: bce, loss: bce}
  - {name: afl-shuffled, loss: afl, params: {assignment: shuffled}}
  - {name: afl, loss: afl}
  - {name: bce-long, loss: bce, config: {epochs: 6}, blocks: [1], tuned_as: bce}
  - {name: priors, method: priors}
"""
TUNED = PROBES.replace("method: probe", "method: fine_tune").replace("batch_size: 64", "batch_size: 16")
TUNED = TUNED.replace("epochs: 3", "epochs: 2").replace("epochs: 6", "epochs: 4") + "record_epochs: [1]\n"

# Of its runs, those that the comparison in one block needs.
TUNED_SHORT = "\n".join(
    line
    for line in TUNED.replace("blocks: 2", "blocks: 1").splitlines()
    if not re.search("shuffled|bce-long|priors", line)
)

# The same documents in both blocks, and only what a comparison needs.
WITH_LONGER = "\n".join(
    line.replace("n_documents: 300, ", "")
    for line in PROBES.splitlines()
    if "shuffled" not in line and "priors" not in line
)

pytestmark = pytest.mark.usefixtures("own_cache")


def write(folder: Path, text: str = PROBES, name: str = "small"):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "study.yaml").write_text(text)
    return load_study(name, folder)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    study = write(tmp_path_factory.mktemp("blocks"))
    list(run_study(study, progress=False))
    return study


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    study = write(tmp_path_factory.mktemp("tuned"), TUNED)
    list(run_study(study, progress=False))
    return study


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    study = write(tmp_path_factory.mktemp("longer"), WITH_LONGER)
    list(run_study(study, progress=False))
    return study


def outcomes(study) -> dict[str, object]:
    """What must not depend on how the runs were done."""
    return {
        result.run: [json_text(to_json(result)[key]) for key in ("metrics", "labels", "summaries", "setting", "config")]
        for result in read_study(study.name, study.folder.parent, pilots=True)
    }


ORDER = [
    *("toy--bce--pilot", "toy--afl--pilot"),
    *("toy--bce--block1", "toy--afl--block1", "toy--bce--block2", "toy--afl--block2"),
    *("toy--afl-shuffled--pilot", "toy--afl-shuffled--block1", "toy--bce-long--block1", "toy--priors--block1"),
    *("toy--afl-shuffled--block2", "toy--priors--block2"),
]


class TestPlan:
    def test_the_first_complete_comparison_comes_first(self, tmp_path):
        study = write(tmp_path)
        assert [run.name for run in study.to_do()] == ORDER
        assert [run.name for run in study.runs()] == [name for name in ORDER if "pilot" not in name]
        assert [[run.name for run in task] for task in study.tasks(study.to_do())] == [
            *(ORDER[:2], ORDER[2:4], ORDER[4:6], ORDER[6:7], ORDER[7:9], ORDER[9:10], ORDER[10:11], ORDER[11:])
        ]

    def test_what_needs_no_new_pilot_comes_before_those_that_do(self, tmp_path):
        text = PROBES.replace("  - {name: afl-shuffled, loss: afl, params: {assignment: shuffled}}\n", "")
        study = write(tmp_path, text + "  - {name: focal, loss: focal}\n")
        names = [run.name for run in study.to_do()]
        assert names[6:10] == [
            "toy--bce-long--block1",
            "toy--priors--block1",
            "toy--focal--pilot",
            "toy--focal--block1",
        ]

    def test_a_block_fixes_split_seed_and_permutation(self, tmp_path):
        study = write(tmp_path)
        for run in (*study.runs(), *study.pilots()):
            assert run.seed == run.block == study.split_seed_of(run)
            if run.setting.name == "afl-shuffled":
                assert run.loss_params == {"assignment": "shuffled", "assignment_seed": run.block}
            else:
                assert run.loss_params == run.setting.params
        assert {run.block for run in study.pilots()} == {0} and {run.block for run in study.runs()} == {1, 2}

    def test_sizes_of_the_splits_are_those_asked_for(self, done):
        splits = [corpus_splits(done.corpora[0], block)[1] for block in (0, 1, 2)]
        for train, validation, test in splits:
            assert abs(len(train) - 120) <= 12 and abs(len(validation) - 60) <= 12
            assert len(test) > 100
        assert len({tuple(train.document_ids) for train, _, _ in splits}) == 3

    def test_blocks_may_be_listed_and_a_study_of_seeds_turned_into_one_of_blocks(self, tmp_path):
        assert write(tmp_path, PROBES.replace("blocks: 2", "blocks: [3, 1]")).blocks == [3, 1]
        other = write(
            tmp_path,
            "extends: small\nseeds: [4]\ntune: {learning_rate: [0.01]}\nsettings: [{name: bce}]\nprimary: null",
            "seeds",
        )
        assert (other.blocks, other.pilot, other.seeds) == ([], None, [4])
        again = write(tmp_path, "extends: seeds\nblocks: 1", "again")
        assert (again.blocks, again.seeds) == ([1], [])

    @pytest.mark.parametrize(
        "old, new, words",
        [
            ("pilot: 0", "pilot: 2", "pilot is 2, which is also a block"),
            ("pilot: 0\n", "", "the study tunes but has no pilot"),
            ("pilot: 0", "pilot: 0\nseeds: [0]", "both blocks and seeds"),
            ("pilot: 0", "pilot: 0\nsplit_seed: 3", "both blocks and split_seed"),
            ("blocks: 2", "seeds: [0]", "pilot is for a study with blocks"),
            ("blocks: 2", "blocks: 0", "blocks is 0"),
            ("blocks: [1]", "blocks: [3]", "blocks of 'bce-long' is .3.; give blocks of the study"),
            ("tuned_as: bce", "tuned_as: bcee", "unknown tuned_as of 'bce-long' 'bcee' .did you mean 'bce'"),
            ("tuned_as: bce", "n_seeds: 1", "'bce-long' has n_seeds, but the study has blocks"),
            (", validation: 60", "", "only one of train and validation"),
            ("train: 120,", "train: 120, official_split: 9,", "both train and official_split"),
            ("train: 120,", "train: 120, official_folds: 9,", "both train and official_folds"),
            ("pilot: 0", "pilot: 0\nrecord_epochs: [5]", "record_epochs is .5.; give blocks of the study"),
            ("validation: 60", "validation: 60, settings: [bcee]", "unknown setting of corpus 'toy': 'bcee'"),
        ],
    )
    def test_a_wrong_file_is_refused_in_one_sentence(self, tmp_path, old, new, words):
        assert old in PROBES
        with pytest.raises(DataError, match=words) as refused:
            write(tmp_path, PROBES.replace(old, new))
        assert "\n" not in str(refused.value)


class TestTuning:
    GRID = {"learning_rate": [0.001, 0.01], "epochs": [2, 4], "keep": ["last"], "schedule": ["cosine", "constant"]}

    def test_the_grid_grows_by_its_ratio_where_the_best_value_is_at_its_edge(self):
        tried = [
            {"learning_rate": rate, "epochs": epochs, "keep": "last", "schedule": schedule}
            for rate in (0.001, 0.01)
            for epochs in (2, 4)
            for schedule in ("cosine", "constant")
        ]
        best = tried[-1]
        assert at_edge(self.GRID, tried, best) == ["learning_rate", "epochs"]
        assert beyond_edge(self.GRID, tried, best) == [best | {"learning_rate": 0.1}, best | {"epochs": 8}]
        assert beyond_edge(self.GRID, tried, tried[0]) == [
            tried[0] | {"learning_rate": 0.0001},
            tried[0] | {"epochs": 1},
        ]
        more = [*tried, best | {"learning_rate": 0.1}, best | {"epochs": 8}]
        assert at_edge(self.GRID, more, best) == []

    def test_the_trials_and_the_choice_are_in_the_pilot_and_in_every_run(self, done):
        pilots = {run.setting.name: read_result(done.path(run)) for run in done.pilots()}
        assert sorted(pilots) == ["afl", "afl-shuffled", "bce"]
        for result in read_study("small", done.folder.parent):
            if result.setting == "priors":
                assert result.tuned == []
                continue
            pilot = pilots[result.setting.removesuffix("-long")]
            assert result.tuned == pilot.tuned and sum(trial["chosen"] for trial in result.tuned) == 1
            scores = [trial["average_precision_weighted"] for trial in result.tuned]
            chosen = result.tuned[int(np.argmax(scores))]
            assert chosen["chosen"] and chosen["learning_rate"] == result.config["learning_rate"]
            rates = sorted(trial["learning_rate"] for trial in result.tuned)
            assert len(rates) <= 4 and set(rates) >= {0.001, 0.01}
            inside = rates[0] < chosen["learning_rate"] < rates[-1]
            assert result.time.converged is inside
            assert ("annealed" in result.time.reason) == inside
            assert result.time.reason.startswith("tuned at an edge of what was tried: learning_rate") != inside

    def test_an_edge_that_stays_is_not_converged(self, tmp_path, capsys):
        study = write(
            tmp_path,
            PROBES.replace("[0.001, 0.01]", "[1.0e-5, 1.0e-4]").replace("tune_extensions: 2", "tune_extensions: 1"),
        )
        assert main(["study", "small", "--results", str(tmp_path), "--setting", "bce"]) == 0
        # Said once, after the pilot run and before the blocks.
        assert capsys.readouterr().out.count("its runs will not count as converged: give `tune` other values") == 1
        results = [run for run in read_study("small", tmp_path, pilots=True) if run.setting == "bce"]
        assert len(results) == 3 and study.tune_extensions == 1
        for result in results:
            assert len(result.tuned) == 3 and result.time.converged is False
            assert result.time.reason.startswith("tuned at an edge of what was tried: learning_rate ")


class TestPilots:
    def test_they_are_no_part_of_any_table(self, done):
        names = {run.run for run in read_study("small", done.folder.parent)}
        assert names == {run.name for run in done.runs()}
        assert {run.run for run in read_all_studies(done.folder.parent)} == names
        pilots = {run.run for run in read_study("small", done.folder.parent, pilots=True)} - names
        assert pilots == {run.name for run in done.pilots()}
        verify_checksums(done.folder)

    def test_nothing_is_measured_on_test(self, done):
        result = read_result(done.path(done.pilots()[0]))
        _, (train, validation, _) = corpus_splits(done.corpora[0], 0)
        assert result.block == 0
        assert result.data.sizes == {"train": len(train), "validation": len(validation), "test": len(validation)}
        assert result.metrics["test"] == {} and result.metric("average_precision_macro", split="validation") > 0
        assert result.labels.predicted == {} and len(result.labels.average_precision) == 0
        assert not scores_path(done.path(done.pilots()[0])).exists()

    def test_the_runs_of_one_that_failed_are_reported(self, tmp_path, monkeypatch, capsys):
        from afl_helpers.studies import execute

        study = write(tmp_path)

        def fails(study, task):
            if task[0].is_pilot and task[0].setting.name == "afl-shuffled":
                raise RuntimeError("out of luck")
            return execute(study, task)

        monkeypatch.setattr(workers, "execute", fails)
        with pytest.raises(
            StudyError,
            match="3 of 12 runs failed .*afl-shuffled--pilot: RuntimeError.*; toy--afl-shuffled--block1, toy--afl-shuffled--block2: its pilot run failed",
        ):
            list(run_study(study, progress=False))
        assert [run.name for run in study.missing()] == ["toy--afl-shuffled--block1", "toy--afl-shuffled--block2"]
        monkeypatch.undo()
        list(run_study(study, progress=False))
        assert study.to_do() == []

    @pytest.mark.processes
    def test_processes_side_by_side_wait_for_them(self, done, tmp_path):
        study = write(tmp_path)
        list(run_study(study, progress=False, jobs=2))
        assert study.to_do() == [] and outcomes(study) == outcomes(done)


class TestRuns:
    def test_each_is_a_block_and_can_be_repeated(self, done):
        for result in read_study("small", done.folder.parent, pilots=True):
            if result.setting in ("afl-shuffled", "bce-long"):
                assert result.block == result.seed == result.data.split_seed
                found = difference(result, repeat(result))
                assert found.metric < 1e-5 and found.n_decisions == 0
        shuffled = [run for run in read_study("small", done.folder.parent) if run.setting == "afl-shuffled"]
        assert [run.loss.params["assignment_seed"] for run in shuffled] == [1, 2]

    def test_time_is_that_of_similar_runs_scaled_by_epochs(self, done):
        results = [
            replace(run, time=replace(run.time, seconds=10.0)) for run in read_study("small", done.folder.parent)
        ]
        runs = {run.name: run for run in (*done.pilots(), *done.runs())}
        assert estimate_seconds(done, [runs["toy--bce--block1"]], results) == (10.0, 0)
        assert estimate_seconds(done, [runs["toy--bce--pilot"]], results) == (20.0, 0)  # two candidates
        short = [run for run in results if run.setting == "bce"]
        assert estimate_seconds(done, [runs["toy--bce-long--block1"]], short) == (20.0, 0)  # twice the epochs


class TestScores:
    def test_they_are_kept_in_three_digits_beside_every_run(self, done):
        run = next(run for run in done.runs() if run.setting.name == "afl")
        result = read_result(done.path(run))
        _, (_, validation, test) = corpus_splits(run.corpus, run.block)
        scores = read_scores(scores_path(done.path(run)), validation, test)
        again = average_precision_per_label(test.dense_labels, scores["test"])
        np.testing.assert_allclose(again, result.labels.average_precision, atol=0.02)  # ties of rounded scores
        with pytest.raises(
            DataError, match="scores of other documents; make it again with: python -m afl_helpers study"
        ):
            read_scores(scores_path(done.path(run)), test, validation)

    def test_both_ends_keep_their_digits(self, parts, tmp_path):
        _, validation, test = parts
        exact = {
            name: np.random.default_rng(0).uniform(size=(len(split), 4))
            for name, split in (("validation", validation), ("test", test))
        }
        exact["test"][:6, 0] = [0.0, 1.0, 0.5, 1e-5, 1 - 1e-5, 1e-7]
        write_scores(tmp_path / "scores" / "run.npz", exact, validation, test)
        found = read_scores(tmp_path / "scores" / "run.npz", validation, test)
        np.testing.assert_allclose(found["validation"], exact["validation"], rtol=5e-4)
        np.testing.assert_allclose(found["test"], exact["test"], rtol=5e-4, atol=3e-8)
        np.testing.assert_allclose(1 - found["test"], 1 - exact["test"], rtol=5e-4, atol=3e-8)
        for threshold in (0.0, 0.25, 0.5, 1.0, np.nextafter(1, 2), 1.5, np.inf):
            assert as_kept(threshold) == threshold
        assert (as_kept(exact["test"][7, 1]), as_kept(exact["test"][8, 2])) == (
            found["test"][7, 1],
            found["test"][8, 2],
        )
        (tmp_path / "scores" / "run.npz").write_bytes(b"no")
        with pytest.raises(DataError, match="run.npz is broken; make it again with"):
            read_scores(tmp_path / "scores" / "run.npz", validation, test)
        with pytest.raises(MissingFileError, match="--repeat other"):
            read_scores(tmp_path / "scores" / "other.npz", validation, test)

    def test_two_models_of_a_block_are_compared_over_its_documents(self, done, tmp_path, capsys):
        folder = tmp_path / "small"
        shutil.copytree(done.folder, folder)
        main(["study", "small", "--results", str(tmp_path), "--checksums"])
        compare_it = ["compare", "small", "--results", str(tmp_path), "--block", "2"]
        capsys.readouterr()
        assert main(compare_it) == 1
        words = "asks about average_precision_macro_tail; over documents only f1_macro and f1_micro can be compared"
        assert words in capsys.readouterr().err
        declared = "endpoints: [f1_macro@at_0.5, f1_micro@at_0.5, average_precision_macro_tail]"
        text = (folder / "study.yaml").read_text()
        (folder / "study.yaml").write_text(text.replace("endpoints: [average_precision_macro_tail]", declared))
        main(["study", "small", "--results", str(tmp_path), "--checksums"])
        capsys.readouterr()
        assert main(compare_it) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(":")[0] for line in lines[:2]] == ["toy, f1_macro@at_0.5", "toy, f1_micro@at_0.5"]
        assert all("120 documents of block 2, t over documents" in line for line in lines[:2])
        assert "Only macro and micro F1 are compared over documents; left out: average_precision_macro_tail." in lines
        assert any("another split or seed gives others" in line for line in lines)
        assert any(
            "Holm within 'primary question of small, over documents of block 2', 2 rows" in line for line in lines
        )
        # Longer runs are no part of it, nor are other corpora.
        longer = [path for path in (folder / "scores").glob("*.npz") if "long" in path.name or "shuffled" in path.name]
        for path in longer:
            path.rename(path.with_suffix(".away"))
        assert longer and main([*compare_it, "--corpus", "toy"]) == 0
        for path in longer:
            path.with_suffix(".away").rename(path)
        for more, words in (
            (["--corpus", "toys"], "unknown corpus 'toys' (did you mean 'toy'?)"),
            (["--block", "9"], "study 'small' has no block 9; it has 1, 2"),
        ):
            assert main([*compare_it, *more]) == 1 and words in capsys.readouterr().err
        assert main(["compare", "small", "--results", str(tmp_path), "--corpus", "toy"]) == 1
        assert "--corpus needs --block" in capsys.readouterr().err
        study = load_study("small", tmp_path)
        for result in read_study("small", tmp_path):
            kept = kept_decisions(result, "at_0.5", tmp_path)
            assert np.array_equal(kept.targets.sum(0), result.labels.support)
            assert np.array_equal(kept.label_counts, result.labels.training_count)
            assert np.abs(kept.decisions.sum(0) - result.labels.predicted["at_0.5"]).sum() <= 1
            assert np.abs((kept.decisions & kept.targets).sum(0) - result.labels.true_positives["at_0.5"]).sum() <= 1
        with pytest.raises(UsageError, match="did you mean 'tuned_common'"):
            kept_decisions(result, "tuned_comon", tmp_path)
        # Scores that float16 cannot tell apart: all are 0 there.
        path = scores_path(study.path(study.runs()[0]))
        result = read_result(study.path(study.runs()[0]))
        _, (_, validation, test) = corpus_splits(study.corpora[0], result.block)
        rng = np.random.default_rng(0)
        tiny = {name: 1e-12 * rng.random((len(own), 6)) for name, own in (("validation", validation), ("test", test))}
        before = path.read_bytes()
        write_scores(path, tiny, validation, test)
        low = replace(result, labels=replace(result.labels, threshold={"tuned_common": 5e-13}))
        low.labels.predicted["tuned_common"] = (tiny["test"] >= 5e-13).sum(0)
        with pytest.raises(DataError, match=r"\d\d\d of the 3\d\d labels .* make them again with: .*three digits"):
            kept_decisions(low, "tuned_common", tmp_path)
        with pytest.raises(UsageError, match="result is a str; pass a result of a study"):
            kept_decisions("bce", "at_0.5", tmp_path)
        # Scores of another run of the same block, and files that broke.
        other = next(run for run in study.runs() if run.block == result.block and run.setting.loss == "afl")
        path.write_bytes(scores_path(study.path(other)).read_bytes())
        with pytest.raises(DataError, match=f"do not follow from the scores kept here; .*--repeat {result.run}"):
            kept_decisions(result, "at_0.5", tmp_path)
        flipped = bytearray(before)
        flipped[len(before) // 2] ^= 255
        with io.BytesIO() as file:
            np.save(file, np.zeros((2, 2)))
            array = file.getvalue()
        for broken in (b"", before[: len(before) // 2], bytes(flipped), array):
            path.write_bytes(broken)
            with pytest.raises(DataError, match="npz (is broken; make it again|holds scores that are no numbers)"):
                kept_decisions(result, "at_0.5", tmp_path)
        write_scores(path, {name: values + np.nan for name, values in tiny.items()}, validation, test)
        with pytest.raises(DataError, match="holds scores that are no numbers; make it again with: python"):
            kept_decisions(result, "at_0.5", tmp_path)
        path.write_bytes(before)
        lost = [scores_path(study.path(run)) for run in study.runs() if run.name.endswith("e--block2")]
        lost[0].unlink()
        assert main(compare_it) == 1
        command = f"python -m afl_helpers study small --results {tmp_path} --repeat toy--bce--block2"
        assert f"the scores of 1 of 2 runs are not here; make them with:\n  {command}" in capsys.readouterr().err
        with pytest.raises(MissingFileError, match="--repeat toy--bce--block2"):
            kept_decisions(
                next(run for run in read_study("small", tmp_path) if run.run == lost[0].stem), "at_0.5", tmp_path
            )
        assert main(command.split()[3:]) == 0 and main(compare_it) == 0

    def test_a_rule_is_judged_again_without_training(self, done, tmp_path, monkeypatch, capsys):
        shutil.copytree(done.folder, tmp_path / "small")
        study = load_study("small", tmp_path)
        before = {run.run: run for run in read_study("small", tmp_path)}
        # A rule that the runs do not have yet.
        for path in (study.folder / "runs").glob("*block*.json"):
            result = read_result(path)
            for values in (*result.metrics.values(), result.labels.predicted, result.labels.true_positives):
                del values["tuned_common"]
            del result.labels.threshold["tuned_common"]
            path.write_text(json_text(to_json(result)))
        main(["study", "small", "--results", str(tmp_path), "--checksums"])
        lost = scores_path(study.path(study.runs()[0]))
        lost.unlink()
        assert missing_scores(study) == [lost]
        assert main(["rescore", "small", "--rule", "tuned_common", "--results", str(tmp_path)]) == 0
        printed = capsys.readouterr().out
        assert "1 finished runs have no scores here" in printed
        command = f"python -m afl_helpers study small --results {tmp_path} --repeat {lost.stem}"
        assert command in printed and "toy--afl--block2" in printed
        assert main(command.split()[3:]) == 0 and lost.is_file()
        list(rescore(study, "tuned_common"))
        written = [path.read_bytes() for path in sorted((study.folder / "runs").glob("*.json"))]
        list(rescore(study, "at_0.5"))  # the runs have it, from exact scores; it stays
        assert [path.read_bytes() for path in sorted((study.folder / "runs").glob("*.json"))] == written
        verify_checksums(study.folder)
        for result in read_study("small", tmp_path):
            old = before[result.run]
            for name in ("f1_micro", "f1_macro"):  # scores of three digits have ties
                assert result.metric(name, "tuned_common") == pytest.approx(old.metric(name, "tuned_common"), abs=0.05)
            assert set(result.metrics["test"]["tuned_common"]) == set(old.metrics["test"]["tuned_common"])
            assert result.metric("average_precision_macro@tuned_common") == old.metric("average_precision_macro")
        assert main(["rescore", "small", "--rule", "tuned_comon", "--results", str(tmp_path)]) == 1
        assert "did you mean 'tuned_common'" in capsys.readouterr().err


class TestFineTuning:
    """The whole way with every layer trained: pilot, blocks, epochs, a kill and what comes after it."""

    def test_epochs_of_the_block_asked_for_are_kept(self, tuned):
        names = sorted(path.stem for path in (tuned.folder / "epochs").iterdir())
        assert names == [f"toy--{name}--block1" for name in ("afl", "afl-shuffled", "bce", "bce-long")]
        content = json.loads((tuned.folder / "epochs" / "toy--bce-long--block1.json").read_text())
        result = read_result(tuned.folder / "runs" / "toy--bce-long--block1.json")
        assert [row["epoch"] for row in content["epochs"]] == [1, 2, 3, 4] and len(content["labels"]) == 6
        assert [label["group"] for label in content["labels"]] == ["head"] * 2 + ["medium"] * 2 + ["tail"] * 2
        last = content["epochs"][-1]
        assert [len(scores) for scores in last["scores"]] == [content["n_documents"]] * 6
        for name in ("average_precision_macro", "average_precision_macro_tail"):
            assert last["metrics"][name] == pytest.approx(result.metric(name, split="validation"), abs=1e-3)

    def test_no_checkpoint_is_left(self, tuned):
        assert not list((tuned.folder / ".locks").glob("*.checkpoints"))

    @pytest.mark.processes
    def test_killed_often_it_ends_as_if_it_had_not_been(self, tuned, tmp_path):
        study = write(tmp_path, TUNED_SHORT)
        command = [sys.executable, "-m", "afl_helpers", "study", "small", "--results", str(tmp_path)]
        limit, kills = time.monotonic() + PATIENCE, 0
        while study.to_do() and time.monotonic() < limit:
            if kills == 2:
                list(run_study(study, progress=False))
                continue
            before = {*study.folder.glob("runs/*.json"), *study.folder.glob(".locks/*.checkpoints/*/checkpoint-*")}
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            while process.poll() is None and time.monotonic() < limit:
                now = {*study.folder.glob("runs/*.json"), *study.folder.glob(".locks/*.checkpoints/*/checkpoint-*")}
                if len(now - before) >= 2:
                    break
                time.sleep(0.02)
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        found, expected = outcomes(study), outcomes(tuned)
        assert study.to_do() == [] and found == {name: expected[name] for name in found}
        assert sorted(found) == [f"toy--{name}--{which}" for name in ("afl", "bce") for which in ("block1", "pilot")]
        for name in ("afl", "bce"):
            kept, undisturbed = (s.folder / "epochs" / f"toy--{name}--block1.json" for s in (study, tuned))
            assert json.loads(kept.read_text()) == json.loads(undisturbed.read_text())


class TestCommittedStudies:
    def test_tuned_to_the_end_is_planned_as_registered(self):
        study = load_study("tuned-to-the-end", RESULTS)
        runs = study.runs()
        assert [run.name for run in runs[:18]] == [
            f"cmu-leads--{name}--block{block}" for block in range(1, 7) for name in ("bce", "afl", "afl-mean")
        ]
        assert not any(study.is_exploratory(run) for run in runs[:18]) and all(map(study.is_exploratory, runs[18:]))
        long, exploratory, masked = 2, 3 * 6, 3 * 2
        assert len(runs) == 18 + long + exploratory + masked
        order = [run.name for run in study.to_do()]
        if not (study.folder / "runs").exists():
            assert order[:3] == ["cmu-leads--bce--pilot", "cmu-leads--afl--pilot", "cmu-leads--afl-mean--pilot"]
            assert order[21:23] == ["cmu-leads--bce-long--block1", "cmu-leads--afl-long--block1"]
        assert len(study.pilots()) == 6 and {run.block for run in study.pilots()} == {0}
        assert [study.chooser(run).name for run in runs[18:20]] == ["cmu-leads--bce--pilot", "cmu-leads--afl--pilot"]
        config = study.candidates(runs[0].setting)[0]
        assert isinstance(config, TrainingConfig)
        assert (config.epochs, config.batch_size, config.max_length, config.keep) == (15, 16, 64, "last")
        assert (config.max_warmup, config.schedule, config.weight_decay) == (0.1, "cosine", 0.01)
        assert (config.max_gradient_norm, config.start_bias, config.group_by_length) == (1.0, "loss", True)
        assert study.tune == {"learning_rate": [1e-4, 2e-4, 4e-4]}
        assert study.primary.settings == {"bce", "afl", "afl-mean"} and study.primary.margin == 0.02

    def test_frozen_encoder_is_planned_as_registered(self):
        study = load_study("frozen-encoder", RESULTS)
        assert len(study.settings) == 27 and len(study.runs()) == 27 * 3 * 10 and len(study.pilots()) == 27 * 3
        primary = [run for run in study.runs() if not study.is_exploratory(run)]
        assert study.runs()[: len(primary)] == primary and len(primary) == 4 * 3 * 10
        assert [run.block for run in primary] == sorted(run.block for run in primary)
        assert isinstance(study.config, ProbeConfig) and study.config.keep == "last"

    def test_the_paper_at_full_size_is_planned_as_the_paper_states_it(self):
        study = load_study("paper-cmu", RESULTS)
        paper = ["bce", "focal-1.5", "focal-2.0", "focal-2.5", "afl"]
        order = [run.name for run in study.to_do()] if not (study.folder / "runs").exists() else None
        expected = [f"cmu--{name}--block{block}" for block in range(1, 6) for name in paper]
        assert [run.name for run in study.runs()[:25]] == expected and order in (
            None,
            [run.name for run in study.runs()],
        )
        assert not any(study.is_exploratory(run) for run in study.runs()[:25])
        assert all(map(study.is_exploratory, study.runs()[25:])) and len(study.runs()) == 75
        for setting in study.settings:
            (config,) = study.candidates(setting)  # nothing is tuned
            assert (config.encoder, config.learning_rate, config.batch_size) == ("bert-base-uncased", 2e-5, 16)
            assert (config.schedule, config.warmup_steps, config.epochs, config.keep) == ("cosine", 500, 100, "best")
        assert [corpus.to_dict() for corpus in study.corpora] == [{"name": "cmu", "min_count": 10}]

    def test_its_note_says_what_five_blocks_can_show(self):
        note = " ".join(read_study_file(RESULTS / "paper-cmu" / "study.yaml")["note"].split())
        width = stats.t.ppf(0.975, 4) / np.sqrt(5)
        assert f"plus or minus {width:.2f} standard deviations of the differences" in note
        (detectable,) = re.findall(r"80 % power needs a difference of ([\d.]+) standard deviations", note)
        limit = stats.t.ppf(1 - 0.05 / 8 / 2, 4)
        assert stats.nct.sf(limit, 4, float(detectable) * np.sqrt(5)) == pytest.approx(0.8, abs=0.01)

    @pytest.mark.parametrize(
        "name, base, own",
        [
            ("paper-cmu-tuned", "paper-cmu", {"config", "tune", "tune_extensions", "pilot", "settings"}),
            ("paper-gpu", "paper-cmu", {"config", "tune", "tune_extensions", "pilot", "corpora"}),
            ("hoc-gpu", "paper-cmu", {"config", "tune", "tune_extensions", "pilot", "corpora"}),
            ("unfair-tos-gpu", "paper-cmu", {"config", "tune", "tune_extensions", "pilot", "corpora"}),
            ("tuned-to-the-end-gpu", "tuned-to-the-end", {"config", "tune", "corpora", "blocks"}),
            ("tuned-to-the-end-minilm", "tuned-to-the-end-gpu", {"config", "tune", "corpora", "settings"}),
        ],
    )
    def test_a_form_of_another_study_differs_from_it_in_these_fields(self, name, base, own):
        fields = yaml.safe_load((RESULTS / name / "study.yaml").read_text())
        assert fields.pop("extends") == base and fields.keys() - {"question", "note"} == own
        study, other = load_study(name, RESULTS), load_study(base, RESULTS)
        changed = {field for field, value in vars(other).items() if getattr(study, field) != value}
        assert changed <= own | {"name", "folder", "question"}
        assert study.settings[:5] == other.settings[:5]
        assert study.pilot is not None and study.pilot not in study.blocks

    def test_tuned_to_the_end_has_a_form_at_full_size(self):
        study = load_study("tuned-to-the-end-gpu", RESULTS)
        assert (study.config.encoder, len(study.blocks)) == ("bert-base-uncased", 10)
        assert {(corpus.name, corpus.min_count) for corpus in study.corpora} == {
            ("cmu-leads", 10),
            ("cmu-leads-masked", 10),
        }
        primary = [run.name for run in study.runs() if not study.is_exploratory(run)]
        assert primary == [
            f"cmu-leads--{name}--block{block}" for block in range(1, 11) for name in ("bce", "afl", "afl-mean")
        ]

    @pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/study.yaml")))
    def test_the_file_of_a_study_says_what_its_runs_were_made_with(self, name):
        """So that a default that changes does not change what the study stands for."""
        study = load_study(name, RESULTS)
        settings = {setting.name: setting for setting in study.settings}
        corpora = {corpus.name: corpus for corpus in study.corpora}
        for result in read_study(name, RESULTS):
            setting = settings[result.setting]
            method = METHODS[result.method]
            assert result.method == study.method_of(setting)
            config = method.config.from_record(result.config)
            candidates = study.candidates(setting, corpora[result.data.corpus])
            if config in candidates:
                continue
            # A tuned value may lie beyond the file's, where the best one was at the edge; then it is among the trials.
            tuned = {field: getattr(config, field) for field in study.tuned_fields(setting)}
            assert any(tuned.items() <= trial.items() for trial in result.tuned), result.run
            assert any(replace(candidate, **tuned) == config for candidate in candidates), result.run


class TestConvergence:
    """The longer runs that a study declares decide whether its settings have converged."""

    def with_margin(self, done, margin: float, **more):
        content = yaml.safe_load(WITH_LONGER)
        content["primary"] |= {"margin": margin, "convergence": {"bce": "bce-long"}} | more
        (done.folder / "study.yaml").write_text(yaml.safe_dump(content))
        return load_study("small", done.folder.parent)

    @pytest.fixture
    def copied(self, longer, tmp_path):
        shutil.copytree(longer.folder, tmp_path / "small")
        return load_study("small", tmp_path)

    def test_a_shift_of_the_margin_is_not_converged(self, copied):
        study = self.with_margin(copied, 0.9999)
        shifts = convergence_shifts(study)
        assert shifts[["setting", "longer", "block"]].to_numpy().tolist() == [["bce", "bce-long", 1]]
        longer, own = (read_result(study.folder / "runs" / f"toy--{name}--block1.json") for name in ("bce-long", "bce"))
        endpoint = "average_precision_macro_tail"
        shift = longer.metric(endpoint) - own.metric(endpoint)
        assert shifts["shift"].item() == pytest.approx(shift) and shift != 0
        assert set(compare_study(study)["outcome"]) != {"not converged"}
        runs, sentences = complete_results(study.folder.parent)
        assert runs and sentences == []
        assert [run.run for run in complete_results(study.folder.parent, study="small", corpus="toy")[0]] == [
            run.run for run in runs
        ]
        assert complete_results(study.folder.parent, study="small", corpus="reuters") == ([], [])
        with pytest.raises(MissingFileError, match="nowhere"):
            complete_results(study.folder.parent, study="nowhere")

        study = self.with_margin(copied, abs(shift))
        table = compare_study(study)
        assert set(table["outcome"]) == set(table["outcome_plain"]) == {"not converged"}
        results, sentences = complete_results(study.folder.parent)
        assert results == [] and "small has not converged, and does not count" in sentences[0]

    def test_the_comparison_waits_for_the_longer_runs(self, copied):
        (copied.folder / "runs" / "toy--bce-long--block1.json").unlink()
        assert describe_progress(copied) is None
        assert describe_progress(self.with_margin(copied, 0.02)) == "running: 4 of 5 runs"

    def test_a_setting_that_is_none_is_refused(self, copied):
        with pytest.raises(DataError, match="unknown setting in convergence 'bce-longer'"):
            self.with_margin(copied, 0.02, convergence={"bce": "bce-longer"})


class TestFoldsAsBlocks:
    @pytest.fixture
    def folded(self, monkeypatch):
        corpus = load_corpus("toy").sample(200)
        corpus = replace(corpus, folds=[i % 5 for i in range(200)])
        monkeypatch.setattr(run_module, "load_corpus", lambda name: corpus)
        run_module.corpus_splits.cache_clear()
        yield corpus
        run_module.corpus_splits.cache_clear()

    def test_the_blocks_one_to_five_test_each_fold_once(self, folded):
        option = StudyCorpus("toy", official_folds=20)
        assert option.to_dict() == {"name": "toy", "official_folds": 20}
        tested = []
        for block in range(1, 6):
            _, (train, validation, test) = corpus_splits(option, block)
            assert set(test.folds) == {block % 5} and len(validation) == 20
            assert not set(train.folds + validation.folds) & set(test.folds)
            tested += test.document_ids
        assert sorted(tested) == sorted(folded.document_ids)

    def test_another_block_has_another_validation_split(self, folded):
        option = StudyCorpus("toy", official_folds=20)
        one, other = (corpus_splits(option, block)[1] for block in (0, 5))
        assert one[2].document_ids == other[2].document_ids
        assert set(one[1].document_ids) != set(other[1].document_ids)

    def test_a_corpus_without_folds(self):
        with pytest.raises(UsageError, match="corpus 'toy' has no official folds; leave official_folds out"):
            corpus_splits(StudyCorpus("toy", official_folds=20), 1)


class TestStudiesOfOtherDomains:
    @pytest.mark.parametrize("name, n_blocks", [("frozen-hoc", 10), ("frozen-unfair-tos", 5)])
    def test_they_have_the_design_of_the_study_of_films_and_news(self, name, n_blocks):
        study, base = load_study(name, RESULTS), load_study("frozen-encoder", RESULTS)
        assert (study.primary, study.tune, study.pilot) == (base.primary, base.tune, base.pilot)
        changed = {key for key, value in study.config.to_dict().items() if value != base.config.to_dict()[key]}
        assert changed == {"max_length"} and study.blocks == list(range(1, n_blocks + 1))
        known = {setting.name: setting for setting in base.settings}
        for setting in study.settings:
            assert known.get(setting.name, setting) == setting
        primary = [run for run in study.runs() if not study.is_exploratory(run)]
        corpora = {"frozen-hoc": {"hoc", "hoc-nodes"}, "frozen-unfair-tos": {"unfair-tos"}}[name]
        assert {run.corpus.name for run in primary} == corpora
        assert len(primary) == 4 * n_blocks * len(corpora)
        assert [setting.method for setting in study.settings[-2:]] == ["tfidf", "tfidf"]

    @pytest.mark.parametrize(
        "name, encoder, frozen",
        [("hoc-gpu", "biomedbert", "frozen-hoc"), ("unfair-tos-gpu", "legal-bert", "frozen-unfair-tos")],
    )
    def test_their_forms_for_a_gpu_have_an_encoder_of_the_domain_and_the_same_splits(
        self, name, encoder, frozen, capsys
    ):
        study = load_study(name, RESULTS)
        assert study.config.encoder == encoder and ENCODERS[encoder].repository
        splits = [corpus.to_dict() for corpus in load_study(frozen, RESULTS).corpora]
        assert all(corpus.to_dict() in splits for corpus in study.corpora)
        assert main(["study", name, "--dry-run", "--results", str(RESULTS)]) == 0
        assert f"{study.corpora[0].name}--afl--block5" in capsys.readouterr().out
