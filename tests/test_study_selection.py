"""``study NAME --setting X --seed N``: a part of a study is done alone, and what it is tuned by with it."""

from pathlib import Path

import pytest
from small_study import STUDY

from afl_helpers.__main__ import main
from afl_helpers.errors import UsageError
from afl_helpers.studies import load_study, run_study

RESULTS = Path(__file__).resolve().parent.parent / "results"


@pytest.fixture
def study(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "study.yaml").write_text(STUDY)
    return load_study("small", tmp_path)


def names(runs):
    return [run.name for run in runs]


def test_a_setting_and_a_seed_are_left_to_do_and_what_tunes_for_them(study):
    assert names(study.only(["bce"], [0]).to_do()) == ["toy--bce--seed0"]
    assert names(study.only(["bce"], [1]).to_do()) == ["toy--bce--seed0", "toy--bce--seed1"]  # seed 0 tunes
    assert names(study.only(seeds=[0]).to_do()) == ["toy--bce--seed0", "toy--afl-shuffled--seed0"]
    assert study.only().to_do() == study.to_do()
    assert study.only(["bce"]).runs() == study.runs()  # the study is what it was


def test_a_part_is_done_as_it_is_in_the_whole_and_the_rest_stays(study, capsys):
    command = ["study", "small", "--results", str(study.folder.parent)]
    assert main([*command, "--setting", "bce", "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert "small: 4 runs, 1 missing of those selected\n" in out and "1 runs done, 0 left" in out
    first = (study.folder / "runs" / "toy--bce--seed0.json").read_text()
    assert sorted(path.stem for path in (study.folder / "runs").iterdir()) == ["toy--bce--seed0"]
    assert len(list(run_study(study, progress=False))) == 3
    assert (study.folder / "runs" / "toy--bce--seed0.json").read_text() == first


def test_runs_for_tuning_are_counted_apart_from_first_to_last(tmp_path, capsys):
    (tmp_path / "small").mkdir()
    plan = STUDY.replace("seeds: [0, 1]", "blocks: 2\npilot: 0").replace(
        "n_documents: 200", "train: 120, validation: 40"
    )
    (tmp_path / "small" / "study.yaml").write_text(plan)
    command = ["study", "small", "--results", str(tmp_path)]
    assert main([*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("small: 4 runs and 2 for tuning, 6 missing\n")
    assert main([*command, "--setting", "bce", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("small: 4 runs and 2 for tuning, 2 missing of those selected\n")
    assert "  0 runs and 1 for tuning done, 1 left" in out and "  1 runs and 1 for tuning done, 0 left" in out
    assert main(["study", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("small: 4 runs and 2 for tuning, 4 missing\n")


def test_the_pilot_run_of_a_selected_block_is_done_too():
    study = load_study("paper-cmu-tuned", RESULTS)
    to_do = study.only(["bce"], [study.blocks[0]]).to_do()
    assert names(to_do) == ["cmu--bce--pilot", f"cmu--bce--block{study.blocks[0]}"]


def test_the_five_rows_of_the_paper_can_be_run_alone(capsys):
    paper = ["bce", "focal-1.5", "focal-2.0", "focal-2.5", "afl"]
    options = [part for name in paper for part in ("--setting", name)]
    assert main(["study", "paper-cmu", "--results", str(RESULTS), *options, "--seed", "1", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines if line.startswith("  ")] == [f"cmu--{name}--block1" for name in paper]


@pytest.mark.parametrize(
    "settings, seeds, words",
    [
        (["afl-shuffle"], None, "unknown setting of this study: 'afl-shuffle' .did you mean 'afl-shuffled'"),
        (None, [7], "seed 7 is not in this study; its seeds are 0, 1"),
    ],
)
def test_a_part_that_the_study_does_not_have_is_refused(study, settings, seeds, words):
    with pytest.raises(UsageError, match=words):
        study.only(settings, seeds)


def test_a_setting_without_that_seed_is_refused(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "study.yaml").write_text(STUDY.replace("loss: bce}", "loss: bce, n_seeds: 1}"))
    with pytest.raises(UsageError, match="no run of that setting with that seed"):
        load_study("small", tmp_path).only(["bce"], [1])
