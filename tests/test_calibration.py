"""The plan that a calibration gives: the arithmetic by hand, and the measuring itself at tiny size."""

import re

import pytest

from afl_helpers.__main__ import main
from afl_helpers.errors import UsageError
from afl_helpers.studies import Calibration, calibrate, calibration, load_study
from afl_helpers.training import TrainingConfig, speed
from afl_helpers.training.speed import Speed

pytestmark = pytest.mark.usefixtures("own_cache")

BLOCKS = """
question: how long?
primary: {setting: afl, against: [bce], endpoints: [average_precision_macro_tail], margin: 0.02}
method: fine_tune
config: {encoder: tiny, max_length: 16, epochs: 4, batch_size: 10, keep: last}
tune: {learning_rate: [0.001, 0.01]}
tune_extensions: 3
corpora: [{name: toy, top: 6, n_documents: 300}]
blocks: 2
pilot: 0
record_epochs: [1]
settings:
  - {name: bce, loss: bce}
  - {name: afl, loss: afl}
  - {name: focal, loss: focal}
  - {name: priors, method: priors}
"""
SEEDS = """
question: how long?
method: fine_tune
config: {encoder: tiny, max_length: 16, epochs: 20, patience: 3, batch_size: 10}
corpora: [{name: toy, top: 6, n_documents: 300}]
seeds: [0, 1]
settings: [{name: bce}, {name: afl, loss: afl}]
"""
SIZES = {"toy": {"train": 205, "validation": 50, "test": 40}}


def write(folder, text):
    (folder / "small").mkdir()
    (folder / "small" / "study.yaml").write_text(text)
    return load_study("small", folder)


def by_hand(study, seconds_per_step=1.0, seconds_per_document=0.1, device="CPU"):
    settings = [setting.name for setting in study.settings if setting.name != "priors"]
    speeds = {("toy", name): Speed(seconds_per_step, 7, seconds_per_document) for name in settings}
    runs = [run for run in study.to_do() if run.setting.name != "priors"]
    return Calibration(study, device, runs, speeds, SIZES)


def test_a_run_that_keeps_its_last_epoch_takes_all_of_them(tmp_path):
    plan = by_hand(write(tmp_path, BLOCKS))
    runs = {run.name: run for run in plan.runs}
    # 21 steps of 10 documents per epoch, 4 epochs; then 50 and 40 documents are scored.
    assert plan.seconds(runs["toy--bce--block2"]) == pytest.approx((4 * 21 + 9, 4 * 21 + 9))
    # Block 1 is recorded: validation is scored after every epoch too.
    assert plan.seconds(runs["toy--bce--block1"]) == pytest.approx((4 * (21 + 5) + 9,) * 2)
    # Two candidates and at most three more; test is not scored.
    assert plan.seconds(runs["toy--bce--pilot"]) == pytest.approx((2 * (4 * 21 + 5), 5 * (4 * 21 + 5)))


def test_a_run_that_keeps_its_best_epoch_may_stop_after_its_patience(tmp_path):
    plan = by_hand(write(tmp_path, SEEDS))
    fewest, most = plan.seconds(plan.runs[0])
    assert (fewest, most) == pytest.approx((4 * (21 + 5) + 9, 20 * (21 + 5) + 9))
    text = plan.describe()
    assert "A run may stop early, after 4 to 20 epochs" in text and "grid" not in text
    assert "the first complete comparison, 2 runs: about 4 min to about 18 min\n" in text
    assert "the primary comparison" not in text and "everything, 4 runs: about 8 min to about 35 min\n" in text


def test_the_parts_of_the_plan_and_their_pilots(tmp_path):
    plan = by_hand(write(tmp_path, BLOCKS), device="NVIDIA H100")
    names = {part: [run.name.removeprefix("toy--") for run in runs] for part, runs in plan.parts().items()}
    pilots = ["bce--pilot", "afl--pilot"]
    assert names["the first complete comparison"] == [*pilots, "bce--block1", "afl--block1"]
    assert names["the primary comparison"] == [*pilots, "bce--block1", "afl--block1", "bce--block2", "afl--block2"]
    assert names["everything"] == [*names["the primary comparison"], "focal--pilot", "focal--block1", "focal--block2"]
    text = plan.describe()
    assert text.startswith(
        "small, measured on NVIDIA H100\n  toy, bce: 1 s per step of 10 documents (7 measured), 21 steps"
    )
    # 2 pilots of 178 s to 445 s and 2 runs of 113 s
    assert "the first complete comparison, 2 runs and 2 pilot runs: about 10 min to about 19 min\n" in text
    assert "a CPU" not in text and "grid of tuned values that grows" in text and "stop early" not in text


def test_it_measures_on_the_device_at_hand_and_says_that_it_is_a_cpu(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(calibration, "device_at_hand", lambda: "CPU")
    study = write(tmp_path, BLOCKS)
    assert main(["study", "small", "--results", str(tmp_path), "--calibrate", "1"]) == 0
    found = capsys.readouterr().out
    assert found.startswith("small, measured on a CPU; a GPU needs a calibration of its own\n")
    assert re.findall(r"^  toy, (\w+): \S+ s per step of 10 documents \((\d+) measured\)", found, re.MULTILINE) == [
        (name, "5") for name in ("bce", "afl", "focal")
    ]
    assert "everything, 6 runs and 3 pilot runs: " in found
    assert sorted(path.name for path in study.folder.iterdir()) == ["study.yaml"]  # nothing is kept


def test_steps_are_measured_until_the_time_is_over_and_the_first_ones_are_not(parts, monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(speed, "_now", lambda: float(next(ticks)))  # one second between two looks at the clock
    config = TrainingConfig(encoder="tiny", max_length=16, batch_size=8)
    found = speed.measure_speed(parts[0], "bce", config, seconds=0.01)
    assert found.n_steps == 5 and found.seconds_per_step == 1 / 5
    assert speed.measure_speed(parts[0], "bce", config, seconds=4).n_steps > 5


@pytest.mark.parametrize(
    "study, seconds, words",
    [
        (
            BLOCKS.replace("method: fine_tune", "method: probe"),
            1.0,
            "no missing run of study 'small' fine-tunes an encoder",
        ),
        (BLOCKS, 0.0, "seconds is 0.0; pass a number above 0"),
        (BLOCKS, float("nan"), "seconds is nan; pass a number above 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path, study, seconds, words):
    with pytest.raises(UsageError, match=words):
        calibrate(write(tmp_path, study), seconds=seconds)


def test_one_process_measures(parts, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="a launcher has started 2 processes; measure with one"):
        speed.measure_speed(parts[0], "bce", TrainingConfig(encoder="tiny"), seconds=1)
