"""Training and studies that are killed, interrupted, out of room or memory, or diverge: nothing is lost or made up."""

import errno
import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from afl_helpers import results, training
from afl_helpers.__main__ import main
from afl_helpers.errors import DataError, StorageError, StudyError, TrainingError
from afl_helpers.files import json_text, write_json
from afl_helpers.losses import FocalLoss
from afl_helpers.results import read_study, verify_checksums
from afl_helpers.results.checksums import write_listed
from afl_helpers.results.encoding import to_json
from afl_helpers.studies import corpus_splits, load_study, run_study
from afl_helpers.training import embed, fine_tune, fine_tuning, load_predictor, probe, probing, trainer
from afl_helpers.training.config import ProbeConfig, TrainingConfig
from afl_helpers.training.embedding import enough_memory

SMALL = TrainingConfig(encoder="tiny", max_length=32, epochs=4, patience=4, learning_rate=1e-3)

STUDY = """
question: does it go on?
method: fine_tune
config: {encoder: tiny, max_length: 16, epochs: 2, patience: 2, learning_rate: 0.001}
corpora: [{name: toy, top: 4, n_documents: 120}]
seeds: [0, 1]
settings:
  - {name: afl, loss: afl}
  - {name: plm, loss: plm, n_seeds: 1}
"""

TUNED = STUDY + "tune: {learning_rate: [0.001, 0.0005]}\n"
PROBES = STUDY.replace("method: fine_tune", "method: probe").replace("{name: plm, loss: plm", "{name: bce, loss: bce")

pytestmark = pytest.mark.usefixtures("own_cache")


#: Seconds to wait for what another process does; a busy machine takes minutes to import torch.
PATIENCE = 500


def wait_for(condition) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"waited for {PATIENCE} s in vain"
        time.sleep(0.01)


class Killed(BaseException):
    """An end that no code of ours may catch."""


def kill(*args, **kwargs):
    raise Killed


def start(function, *args) -> multiprocessing.Process:
    """A copy of this process that runs ``function``, without the seconds that importing torch takes."""

    def body():
        torch.set_num_threads(1)
        function(*args)

    process = multiprocessing.get_context("fork").Process(target=body)
    process.start()
    return process


def checkpoints_in(folder: Path) -> set[str]:
    """The checkpoints below a folder; os.walk, unlike rglob, bears folders that vanish meanwhile."""
    return {
        os.path.join(path, name)
        for path, folders, _ in os.walk(folder)
        for name in folders
        if name.startswith("checkpoint-")
    }


def kill_at(process: multiprocessing.Process, folder: Path, pause: float | None, rng: random.Random) -> bool:
    """SIGKILL after ``pause`` seconds; where None, while a checkpoint is being written. False if it ended first."""
    before = checkpoints_in(folder)
    if pause is not None:
        process.join(pause)
    while pause is None and process.is_alive() and checkpoints_in(folder) <= before:
        time.sleep(0.0005)
    if pause is None:
        process.join(rng.uniform(0.0, 0.03))
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def kill_often(function, folder: Path, n_kills: int, seconds: float, rng: random.Random, *args) -> int:
    """Start ``function`` again and again, and kill it up to so many times; at last it ends. Returns the kills."""
    kills = 0
    while kills < n_kills:
        pause = rng.uniform(0.0, seconds) if kills % 2 else None
        if not kill_at(start(function, *args), folder, pause, rng):
            break
        kills += 1
    process = start(function, *args)
    process.join()
    assert process.exitcode == 0
    return kills


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# --- kills ----------------------------------------------------------------------------------------------------------


def train_and_note(parts, loss: str, checkpoints: Path, outcome: Path) -> None:
    run = fine_tune(*parts, loss=loss, config=SMALL, seed=1, checkpoint_dir=checkpoints, progress=False)
    np.savez(outcome, **run.scores)
    outcome.with_suffix(".json").write_text(json.dumps([run.metrics, run.history, run.best_epoch]))


@pytest.fixture(scope="module", params=["afl", "plm"])
def undisturbed(request, parts, tmp_path_factory):
    """The loss, what a run with it gives, and the seconds that it takes; plm has a state of its own."""
    folder = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    process = start(train_and_note, parts, request.param, folder / "checkpoints", folder / "outcome.npz")
    process.join()
    assert process.exitcode == 0
    return request.param, folder, time.monotonic() - started


def check_kills(undisturbed, parts, folder: Path, n_kills: int, rng: random.Random) -> int:
    loss, expected, seconds = undisturbed
    checkpoints, outcome = folder / "checkpoints", folder / "outcome.npz"
    kills = kill_often(train_and_note, checkpoints, n_kills, seconds, rng, parts, loss, checkpoints, outcome)
    scores, expected_scores = np.load(outcome), np.load(expected / "outcome.npz")
    for part in ("validation", "test"):
        np.testing.assert_array_equal(scores[part], expected_scores[part])
    assert outcome.with_suffix(".json").read_text() == (expected / "outcome.json").read_text()
    assert listing(checkpoints) == listing(expected / "checkpoints")
    return kills


@pytest.mark.processes
def test_a_killed_training_ends_as_if_it_had_not_been(undisturbed, parts, tmp_path):
    rng = random.Random(0)
    assert check_kills(undisturbed, parts, tmp_path, 3, rng) > 0


@pytest.mark.slow
def test_a_training_killed_often_ends_as_if_it_had_not_been(undisturbed, parts, tmp_path):
    rng, kills, rounds = random.Random(1), 0, 0
    while kills < 30:
        kills += check_kills(undisturbed, parts, tmp_path / str(rounds), 6, rng)
        rounds += 1
    print(f"{undisturbed[0]}: {kills} kills in {rounds} runs")


@pytest.mark.parametrize("moment", ["_load_best_model", "_finalize_training"])
def test_a_run_killed_after_its_last_epoch_trains_no_further(parts, tmp_path, monkeypatch, moment):
    config = TrainingConfig(encoder="tiny", max_length=16, epochs=6, patience=1, learning_rate=0.0)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(fine_tuning.CheckedTrainer, moment, kill)
        fine_tune(*parts, loss="bce", config=config, checkpoint_dir=tmp_path, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(fine_tuning.CheckedTrainer, "training_step", kill)
        run = fine_tune(*parts, loss="bce", config=config, checkpoint_dir=tmp_path, progress=False)
    assert len(run.history) == 2 and run.best_epoch == 1  # stopped early, by its patience


def check_same(run, expected) -> None:
    np.testing.assert_array_equal(run.scores["test"], expected.scores["test"])
    assert run.history == expected.history


@pytest.fixture(scope="module")
def kept(parts, tmp_path_factory):
    """How to run, the run undisturbed, the folder of one that was stopped at the begin of its third epoch, its copy."""
    folder = tmp_path_factory.mktemp("stopped")
    config = TrainingConfig(encoder="tiny", max_length=16, epochs=3, learning_rate=5e-3)

    def run(folder):
        return fine_tune(*parts, loss="bce", config=config, checkpoint_dir=folder, progress=False)

    def stop(self, args, state, control, **kwargs):
        if round(state.epoch) == 2:
            raise Killed

    expected = run(None)
    assert expected.best_epoch < 3  # so that the best weights lie in an old checkpoint
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(fine_tuning.ProgressBar, "on_epoch_begin", stop)
        run(folder / "checkpoints")
    shutil.copytree(folder / "checkpoints", folder / "copy")
    return run, expected, folder / "checkpoints", folder / "copy"


@pytest.fixture
def stopped(kept):
    """How to run, the run undisturbed, and the folder of the one that was stopped, where it was and as it was."""
    run, expected, folder, copy = kept
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(copy, folder)
    return run, expected, folder


@pytest.mark.parametrize("damage", ["trainer_state.json", "optimizer.pt", "rng_state.pth", "model.safetensors"])
def test_a_checkpoint_that_was_cut_off_is_not_gone_on_from(stopped, damage):
    run, expected, folder = stopped
    path = folder / "checkpoint-12" / damage
    if path.suffix == ".json":
        path.write_text(path.read_text()[:100])
    else:
        path.unlink()
    check_same(run(folder), expected)


@pytest.mark.parametrize("at_the_end", [False, True])
def test_checkpoints_may_be_moved(stopped, tmp_path, monkeypatch, at_the_end):
    run, expected, folder = stopped
    if at_the_end:  # no epoch is left in which Trainer would find the best one's checkpoint itself
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(fine_tuning.CheckedTrainer, "_load_best_model", kill)
            run(folder)
    folder.rename(tmp_path / "elsewhere")
    check_same(run(tmp_path / "elsewhere"), expected)


def test_a_broken_owner_of_checkpoints_is_named(stopped):
    run, _, folder = stopped
    (folder / "run.json").write_text('{"train": ')
    with pytest.raises(DataError, match=r"run.json is broken; choose another checkpoint_dir"):
        run(folder)


def test_a_run_without_checkpoints_leaves_nothing_in_their_place(stopped, monkeypatch, tmp_path):
    run, _, folder = stopped
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(
        fine_tuning.CheckedTrainer, "training_step", lambda *args: os.listdir(tmp_path / "tmp") and kill()
    )
    with pytest.raises(Exception) as raised:  # what it would do next needs a loss
        run(folder)
    assert not isinstance(raised.value, Killed) and os.listdir(tmp_path / "tmp") == []


# --- kills of studies -----------------------------------------------------------------------------------------------


def write(folder: Path, text: str = STUDY):
    (folder / "small").mkdir(parents=True, exist_ok=True)
    (folder / "small" / "study.yaml").write_text(text)
    return load_study("small", folder)


def outcomes(study) -> dict[str, object]:
    """What must not depend on how the runs were done."""
    return {
        result.run: {key: json_text(to_json(result)[key]) for key in ("metrics", "labels", "summaries", "setting")}
        | {"history": result.time.history}
        for result in read_study(study.name, study.folder.parent)
    }


def run_command(folder: Path) -> None:
    """``python -m afl_helpers study small`` in this process."""
    sys.stdout = open(os.devnull, "w")
    sys.exit(main(["study", "small", "--results", str(folder)]))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("done")
    study = write(folder)
    started = time.monotonic()
    process = start(run_command, folder)
    process.join()
    assert process.exitcode == 0
    return study, time.monotonic() - started


def check_study(study, done) -> None:
    assert outcomes(study) == outcomes(done)
    assert [name for name in listing(study.folder) if ".lock" not in name] == [
        "checksums.sha256",
        "runs",
        "runs/toy--afl--seed0.json",
        "runs/toy--afl--seed1.json",
        "runs/toy--plm--seed0.json",
        "scores",
        "scores/toy--afl--seed0.npz",
        "scores/toy--afl--seed1.npz",
        "scores/toy--plm--seed0.npz",
        "shared.json",
        "study.yaml",
    ]
    assert not list(study.folder.rglob("*.checkpoints")) and not list(study.folder.rglob("*.part"))
    verify_checksums(study.folder)


@pytest.mark.processes
def test_a_killed_study_of_fine_tuned_runs_has_each_result_once(done, tmp_path):
    study = write(tmp_path)
    assert kill_often(run_command, tmp_path, 3, done[1] / 2, random.Random(0), tmp_path) > 0
    check_study(study, done[0])


@pytest.mark.slow
def test_a_study_killed_often_has_each_result_once(tmp_path):
    rng, kills, rounds = random.Random(1), 0, 0
    expected = write(tmp_path / "expected", TUNED)
    started = time.monotonic()
    start(run_command, tmp_path / "expected").join()
    seconds = time.monotonic() - started
    while kills < 30:
        study = write(tmp_path / str(rounds), TUNED)
        kills += kill_often(run_command, study.folder, 8, seconds / 2, rng, tmp_path / str(rounds))
        check_study(study, expected)
        rounds += 1
    print(f"{kills} kills in {rounds} studies")


def test_a_fine_tuned_run_of_a_study_goes_on_from_its_last_epoch(done, tmp_path, monkeypatch):
    study = write(tmp_path)
    steps = []
    step = fine_tuning.CheckedTrainer.training_step

    def count(self, *args, **kwargs):
        steps.append(self.state.global_step)
        if len(steps) == 9:  # in the second epoch, of five or six steps
            raise Killed
        return step(self, *args, **kwargs)

    monkeypatch.setattr(fine_tuning.CheckedTrainer, "training_step", count)
    with pytest.raises(Killed):
        list(run_study(study, progress=False))
    [folder] = (study.folder / ".locks").glob("*.checkpoints")
    assert folder.name == "toy--afl--seed0.checkpoints" and not list((study.folder / "runs").glob("*"))
    list(run_study(study, progress=False))
    assert steps[9] > 0  # not at the first step
    check_study(study, done[0])


def test_checkpoints_of_an_earlier_plan_are_not_gone_on_from(tmp_path, monkeypatch):
    one = STUDY.replace("seeds: [0, 1]", "seeds: [0]").replace("  - {name: plm, loss: plm, n_seeds: 1}\n", "")
    study = write(tmp_path, one)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("shutil.rmtree", lambda *args, **kwargs: None)
        patch.setattr("afl_helpers.studies.run.write_result", kill)
        list(run_study(study, progress=False))
    study = write(tmp_path, one.replace("max_length: 16", "max_length: 8"))
    assert len(list(run_study(study, progress=False))) == 1
    assert not list(study.folder.rglob("*.checkpoints"))


def test_checkpoints_left_beside_a_result_are_cleared(tmp_path):
    study = write(tmp_path, PROBES)
    list(run_study(study, progress=False))
    left = study.folder / ".locks" / "toy--afl--seed0.checkpoints" / "checkpoint-1"
    left.mkdir(parents=True)
    assert list(run_study(study, progress=False)) == [] and not left.parent.exists()


# --- Ctrl-C ---------------------------------------------------------------------------------------------------------


def interrupt_once(command: list[str], ready) -> subprocess.CompletedProcess:
    """Run a command of ours, and press Ctrl-C, which goes to all its processes, once it is ``ready``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "afl_helpers", *command],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's `&` has it ignored
    )
    wait_for(lambda: ready() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(command, process.returncode, stderr=err)


@pytest.mark.processes
def test_an_interrupted_training_says_how_to_go_on(tmp_path):
    settings = {"encoder": "tiny", "max_length": 16, "epochs": 200, "patience": 200}
    command = ["train", "toy", "--loss", "bce", "--checkpoints", str(tmp_path / "c")]
    command += [word for name, value in settings.items() for word in ("--config", f"{name}={value}")]
    found = interrupt_once(command, lambda: list(tmp_path.glob("c/checkpoint-*/trainer_state.json")))
    assert found.returncode == 130
    assert found.stderr == f"stopped; the same command resumes from the last epoch in {tmp_path / 'c'}\n"


@pytest.mark.processes
@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_an_interrupted_study_says_how_to_go_on_and_does(done, tmp_path, jobs):
    study = write(tmp_path)
    command = ["study", "small", "--results", str(tmp_path), "--jobs", str(jobs)]
    found = interrupt_once(command, lambda: checkpoints_in(study.folder))
    assert found.returncode == 130
    assert found.stderr == "stopped; the same command resumes the study\n"
    list(run_study(study, progress=False))
    check_study(study, done[0])


def test_an_interrupt_in_a_notebook_stays_one(stopped, monkeypatch, request):
    run, expected, folder = stopped
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            fine_tuning.ProgressBar, "on_step_end", lambda *args, **kwargs: signal.raise_signal(signal.SIGINT)
        )
        run(folder)
    check_same(run(folder), expected)


# --- no room on the disk --------------------------------------------------------------------------------------------


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_that_finds_no_room_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})
    for where in ("os.fsync", "pathlib.Path.write_text", "os.replace"):
        with monkeypatch.context() as patch, pytest.raises(StorageError) as raised:
            patch.setattr(where, full)
            write_json(path, {"a": 2})
        sentence = str(raised.value)
        assert sentence.startswith(f"{path} could not be written (No space left on device); make room on its disk")
        assert "\n" not in sentence and os.listdir(tmp_path) == ["result.json"]
        assert json.loads(path.read_text()) == {"a": 1}
    write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match="file/result.json could not be written"):
        write_json(tmp_path / "file" / "result.json", {})


def train_with_limit(run, folder: Path, outcome: Path) -> None:
    """Train on, with room for no more than a small file from here on."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    try:
        run(folder)
    except StorageError as error:
        outcome.write_text(str(error))


@pytest.mark.processes
def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(stopped, tmp_path):
    run, expected, folder = stopped
    before = listing(folder)
    start(train_with_limit, run, folder, tmp_path / "outcome").join()
    sentence = (tmp_path / "outcome").read_text()
    assert f"{folder / 'checkpoint-18'} could not be written (" in sentence and "make room on its disk" in sentence
    assert "\n" not in sentence and listing(folder) == before
    check_same(run(folder), expected)


@pytest.mark.parametrize("where", ["torch.save", "transformers.trainer_callback.TrainerState.save_to_json"])
def test_every_file_of_a_checkpoint_may_find_no_room(stopped, monkeypatch, where):
    run, expected, folder = stopped
    before = listing(folder)
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="checkpoint-18 could not be written"):
        patch.setattr(where, full)
        run(folder)
    assert listing(folder) == before
    check_same(run(folder), expected)


def test_the_state_of_a_loss_may_find_no_room(parts, tmp_path, monkeypatch):
    config = TrainingConfig(encoder="tiny", max_length=16, epochs=1)
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="checkpoint-6 could not be written"):
        patch.setattr("afl_helpers.losses.trainer_callback.save_file", full)
        fine_tune(*parts, loss="plm", config=config, checkpoint_dir=tmp_path, progress=False)
    assert listing(tmp_path) == ["run.json"]


def test_a_study_without_room_stops_at_once_and_goes_on(tmp_path, monkeypatch, capsys):
    study = write(tmp_path, PROBES)
    command = ["study", "small", "--results", str(tmp_path)]
    results = []

    def second_is_full(source, target):
        if Path(target).parent == study.folder / "runs":
            results.append(target)
        return full() if len(results) == 2 else replace(source, target)

    replace = os.replace
    monkeypatch.setenv("AFL_BOOK", "1")  # no progress bar
    _, splits = corpus_splits(study.corpora[0], study.split_seed)
    embed([text for split in splits for text in split.texts], "tiny", 16, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", second_is_full)
        assert main(command) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and "No space left on device" in err
    assert f"{study.path(study.missing()[0])} could not be written" in err
    assert len(study.missing()) == 2 and not list(study.folder.rglob("*.part"))
    assert len(read_study("small", tmp_path)) == 1
    assert main(command) == 0
    assert study.missing() == []
    verify_checksums(study.folder)


def test_a_model_that_finds_no_room_leaves_the_old_one(parts, tmp_path, monkeypatch):
    config = ProbeConfig(encoder="tiny", max_length=16, epochs=2)
    run = probe(*parts, loss="bce", config=config, progress=False)
    path = run.save(tmp_path / "model")
    for where in ("afl_helpers.training.run.save_file", "pathlib.Path.write_text"):
        with monkeypatch.context() as patch, pytest.raises(StorageError, match="model could not be written"):
            patch.setattr(where, full)
            run.save(path)
        assert os.listdir(tmp_path) == ["model"] and load_predictor(path).label_names == parts[0].label_names
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("afl_helpers.training.run.Predictor.write", kill)
        patch.setattr("shutil.rmtree", lambda *args, **kwargs: None)
        run.save(path)
    assert sorted(os.listdir(tmp_path)) == [".model.part", "model"]
    run.save(path)
    assert os.listdir(tmp_path) == ["model"]


# --- losses and gradients that are not finite -----------------------------------------------------------------------


@pytest.mark.parametrize("what", ["loss", "gradient norm"])
@pytest.mark.parametrize("between", [1, 50])
def test_fine_tuning_stops_where_it_is_not_finite_any_more(parts, tmp_path, monkeypatch, what, between):
    """Between checks, as on a GPU, training goes on; the step and its documents are named all the same."""
    batches = []
    compute = fine_tuning.CheckedTrainer.compute_loss

    def break_tenth(self, model, inputs, *args, **kwargs):
        labels = inputs["labels"]
        loss = compute(self, model, inputs, *args, **kwargs)
        if not model.training:
            return loss
        batches.append(labels)
        if len(batches) == 10 and what == "loss":
            return loss * torch.inf
        if len(batches) == 10:
            loss.register_hook(lambda gradient: gradient * torch.nan)
        return loss

    monkeypatch.setattr(fine_tuning.CheckedTrainer, "compute_loss", break_tenth)
    monkeypatch.setattr(trainer, "steps_between_checks", lambda device: between)
    with pytest.raises(TrainingError) as raised:
        fine_tune(*parts, loss="bce", config=SMALL, checkpoint_dir=tmp_path, progress=False)
    sentence = str(raised.value)
    value = "inf" if what == "loss" else "nan"
    assert sentence.startswith(f"at step 10 the {what} is {value}, with documents ") and "\n" not in sentence
    assert all(words in sentence for words in ("learning_rate (0.001)", "gamma", 'precision="float32"'))
    named = sentence.split("with documents ")[1].split(";")[0].split(", ")
    rows = [parts[0].document_ids.index(name) for name in named]
    np.testing.assert_array_equal(batches[9].numpy(), parts[0].labels[rows])
    assert len(batches) == (10 if between == 1 else 12)  # the epoch's checkpoint is not written
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-6"]


class Breaking(FocalLoss):
    """Focal loss with a loss or gradient that is not finite at one step."""

    def __init__(self, what: str, step: int):
        super().__init__(2.0)
        self.what, self.step = what, step

    def forward(self, logits, targets, **kwargs):
        loss = super().forward(logits, targets, **kwargs)
        if not self.training:  # the start of the bias is no step
            return loss
        self.step -= 1
        if self.step == 0 and self.what == "loss":
            return loss * torch.nan
        if self.step == 0:
            loss.register_hook(lambda gradient: gradient * torch.inf)
        return loss


@pytest.mark.parametrize("what, step", [("loss", 1), ("loss", 7), ("gradient", 7), ("gradient", 8)])
def test_a_probe_stops_where_it_is_not_finite_any_more(parts, what, step):
    config = ProbeConfig(encoder="tiny", max_length=16, batch_size=32)  # 3 steps an epoch, or 4
    with pytest.raises(TrainingError) as raised:
        probe(*parts, loss=Breaking(what, step), config=config, progress=False)
    sentence = str(raised.value)
    assert sentence.startswith(f"at step {step} the {what} of Breaking is ") and "\n" not in sentence
    assert "learning_rate (0.001)" in sentence and "precision" not in sentence
    named = sentence.split("with documents ")[1].split(";")[0].split(" and ")[0].split(", ")
    order = torch.Generator().manual_seed(0)
    steps = -(-len(parts[0]) // 32)
    for _ in range((step - 1) // steps + 1):
        batches = torch.randperm(len(parts[0]), generator=order).split(32)
    assert named == [parts[0].document_ids[i] for i in batches[(step - 1) % steps][:16]]


def test_scores_that_are_not_finite_choose_no_epoch():
    scores = np.array([[0.1, np.nan], [0.5, 0.2]])
    with pytest.raises(TrainingError, match="1 of 4 scores are not finite; lower the learning_rate"):
        training.selection_metrics(np.eye(2), scores)


def test_a_setting_that_diverges_costs_no_other_its_result(tmp_path, monkeypatch, capsys):
    study = write(tmp_path, PROBES)
    step = probing.TrainedHead.step

    def diverge(self, x, y, batch):
        self._check("loss", np.nan if self.description["name"] == "afl" else 1.0, 1, batch)
        return step(self, x, y, batch)

    monkeypatch.setattr(probing.TrainedHead, "step", diverge)
    with pytest.raises(StudyError, match="2 of 3 runs failed and are missing: .*: at step 1 the loss of afl is nan"):
        list(run_study(study, progress=False))
    assert [run.setting.name for run in study.missing()] == ["afl", "afl"]


# --- too little memory ----------------------------------------------------------------------------------------------


def too_large(*args, **kwargs):
    torch.empty(2**46)


def out_of_gpu_memory(*args, **kwargs):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")


@pytest.mark.parametrize("fail, whose", [(out_of_gpu_memory, "the GPU's memory"), (too_large, "the memory")])
def test_too_little_memory_names_the_setting_to_change(parts, monkeypatch, fail, whose):
    config = TrainingConfig(encoder="tiny", max_length=16, epochs=1, batch_size=12, accumulation_steps=2)
    with monkeypatch.context() as patch, pytest.raises(TrainingError) as raised:
        patch.setattr("transformers.BertForSequenceClassification.forward", fail)
        fine_tune(*parts, config=config, progress=False)
    assert str(raised.value) == (
        f"{whose} is too small; pass batch_size=6 with accumulation_steps=4 instead of 12 with 2, which trains on as "
        "many documents per step, or pass a max_length below 16"
    )
    one = TrainingConfig(encoder="tiny", max_length=16, epochs=1, batch_size=1)
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="too small; pass a max_length below 16$"):
        patch.setattr("transformers.BertForSequenceClassification.forward", fail)
        fine_tune(*parts, config=one, progress=False)
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="a max_length below 16, or close what"):
        patch.setattr("transformers.BertModel.forward", fail)
        embed(["a text that is in no cache"], "tiny", 16, progress=False)


def test_other_errors_are_not_taken_for_too_little_memory():
    with pytest.raises(RuntimeError, match="^shapes differ$") as raised, enough_memory("wait"):
        raise RuntimeError("shapes differ")
    assert not isinstance(raised.value, TrainingError)


# --- the same again -------------------------------------------------------------------------------------------------

TWICE = """
import hashlib, json
from afl_helpers.training.config import ProbeConfig, TrainingConfig
from afl_helpers.data import load_corpus
from afl_helpers.training import fine_tune, probe
corpus = load_corpus("toy").select_labels(top=4).select_documents(range(100))
for train, kind in ((fine_tune, TrainingConfig), (probe, ProbeConfig)):
    config = kind(encoder="tiny", max_length=16, epochs=2, learning_rate=1e-3)
    run = train(*corpus.split(0.6, 0.2, 0.2, seed=0), loss="plm", config=config, seed=3, progress=False)
    print(hashlib.sha256(run.scores["test"].tobytes()).hexdigest(), json.dumps(run.metrics))
"""


@pytest.mark.processes
def test_one_seed_gives_the_same_in_every_process(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWICE],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"AFL_CACHE_DIR": f"{tmp_path}/{i}", "PYTHONHASHSEED": f"{i}", "OMP_NUM_THREADS": "1"},
        )
        for i in range(2)
    ]
    first, second = (process.communicate(timeout=2 * PATIENCE)[0] for process in processes)
    assert first == second and first.count("\n") == 2


# --- checksums of a study that is being written ----------------------------------------------------------------------


def write_many(folder: Path, name: str, n: int) -> None:
    text = json_text({"padding": "x" * 50_000})
    for i in range(n):
        write_listed(folder / "runs" / f"{name}-{i}.json", text)


@pytest.mark.processes
def test_several_processes_list_all_that_they_write(tmp_path):
    (tmp_path / "study.yaml").write_text("question: x")
    processes = [start(write_many, tmp_path, f"process{i}", 15) for i in range(4)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    verify_checksums(tmp_path)
    assert len(results.read_checksums(tmp_path)) == 61


@pytest.mark.processes
def test_a_study_killed_while_it_writes_can_always_be_read_and_goes_on(tmp_path):
    rng = random.Random(0)
    (tmp_path / "study.yaml").write_text("question: x")
    for i in range(30):
        processes = [start(write_many, tmp_path, f"process{i}-{j}", 1000) for j in range(2)]
        if i == 0:  # so that there is something to read
            wait_for(lambda: any((tmp_path / "runs").glob("*.json")))
        time.sleep(rng.uniform(0.02, 0.1))
        for process in processes:
            process.kill()
            process.join()
        listed = results.read_checksums(tmp_path) or {}
        for path in (tmp_path / "runs").glob("*.json"):
            assert listed[f"runs/{path.name}"] == hashlib.sha256(path.read_bytes()).hexdigest()
    missing = [name for name in results.read_checksums(tmp_path) if not (tmp_path / name).is_file()]
    for name in missing:
        write_listed(tmp_path / name, "{}")
    verify_checksums(tmp_path)
