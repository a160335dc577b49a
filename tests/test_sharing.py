"""What leaves the machine on request: reports to trackers, and a model with its card for the hub. Nothing is sent here."""

import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import yaml
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled
from transformers import TrainerCallback, integrations

from afl_helpers.errors import MissingExtraError, StorageError, UsageError
from afl_helpers.training import TrainingConfig, fine_tune, load_predictor, push_to_hub
from afl_helpers.training.baselines import tfidf

CONFIG = TrainingConfig(encoder="tiny", max_length=8, epochs=2, learning_rate=1e-3)


@pytest.fixture(scope="module")
def run(parts):
    return fine_tune(*parts, loss="afl", config=CONFIG, progress=False)


class Notebook(TrainerCallback):
    """A tracker that keeps what it is told."""

    logs: list[dict[str, float]] = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append(dict(logs, step=state.global_step))


def test_a_tracker_gets_loss_and_validation_metrics_of_each_epoch_and_changes_nothing(parts, run, monkeypatch):
    monkeypatch.setitem(integrations.integration_utils.INTEGRATION_TO_CALLBACK, "notebook", Notebook)
    monkeypatch.setattr(Notebook, "logs", [])
    told = fine_tune(*parts, loss="afl", config=CONFIG, report_to="notebook", progress=False)
    assert (told.scores["test"] == run.scores["test"]).all()
    for name, key in (("loss", "loss"), ("eval_average_precision_weighted", "average_precision_weighted")):
        assert [log[name] for log in Notebook.logs if name in log] == [row[key] for row in run.history]


def test_trackers_tell_runs_apart_by_name_and_loss(parts, monkeypatch):
    seen = []

    class Told(Notebook):
        def on_train_begin(self, args, state, control, model, **rest):
            seen.append((args.run_name, model.config.to_dict()["loss_name"], model.config.to_dict()["loss_params"]))

    monkeypatch.setitem(integrations.integration_utils.INTEGRATION_TO_CALLBACK, "notebook", Told)
    focal = fine_tune(
        *parts, loss="focal", loss_params={"gamma": 3.0}, config=CONFIG, seed=2, report_to="notebook", progress=False
    )
    fine_tune(*parts, loss="bce", config=CONFIG, report_to="notebook", progress=False)
    assert seen == [("focal, seed 2", "focal", {"gamma": 3.0}), ("bce, seed 0", "bce", {})]
    assert "loss_name" not in focal.predictor.model.config.to_dict()


def test_a_run_of_weights_and_biases_ends_with_its_training(parts, monkeypatch):
    finished = []
    own = SimpleNamespace(run=None, finish=lambda **options: finished.append(options))
    monkeypatch.setitem(sys.modules, "wandb", own)
    monkeypatch.setitem(integrations.integration_utils.INTEGRATION_TO_CALLBACK, "wandb", Notebook)
    fine_tune(*parts, loss="bce", config=CONFIG, report_to=["wandb"], progress=False)
    assert len(finished) == 1
    own.run = "one that its owner began"
    fine_tune(*parts, loss="bce", config=CONFIG, report_to=["wandb"], progress=False)
    assert len(finished) == 1


def test_tensorboard_writes_beside_the_checkpoints(parts, tmp_path):
    fine_tune(*parts, config=CONFIG, report_to=["tensorboard"], checkpoint_dir=tmp_path / "run", progress=False)
    assert list((tmp_path / "run" / "runs").rglob("events.out.tfevents*"))


def test_what_a_tracker_cannot_do_is_said_before_training(parts, monkeypatch):
    trackers = integrations.integration_utils.INTEGRATION_TO_CALLBACK
    with pytest.raises(UsageError, match="unknown tracker in report_to: 'tensorbord' .did you mean 'tensorboard'"):
        fine_tune(*parts, config=CONFIG, report_to="tensorbord")

    def absent():
        raise RuntimeError("WandbCallback requires wandb to be installed. Run `pip install wandb`.")

    monkeypatch.setitem(trackers, "wandb", absent)
    with pytest.raises(MissingExtraError, match="report_to names 'wandb', which cannot be used .*install its package"):
        fine_tune(*parts, config=CONFIG, report_to=["wandb"])
    monkeypatch.setitem(trackers, "tensorboard", Notebook)
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    with pytest.raises(UsageError, match="files would be lost .* pass a checkpoint_dir"):
        fine_tune(*parts, config=CONFIG, report_to="tensorboard")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on this machine: repositories that were created, and a folder with what was uploaded."""
    found = SimpleNamespace(created=[], folder=tmp_path / "uploaded", error=None)

    def create_repo(self, repo_id, *, private, exist_ok):
        if found.error:
            raise found.error
        found.created.append((repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        Path(folder_path).rename(found.folder)
        return SimpleNamespace(commit_url=f"https://hub.example/{repo_id}/commit/1")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    return found


def test_the_hub_gets_the_saved_run_and_its_card(parts, run, hub):
    assert push_to_hub(run, parts[0], "somebody/films") == "https://hub.example/somebody/films/commit/1"
    assert hub.created == [("somebody/films", True, True)]
    assert load_predictor(hub.folder).predict(["a ship"]) == run.predict(["a ship"])
    _, metadata, card = (hub.folder / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(metadata) == {
        "library_name": "transformers", "pipeline_tag": "text-classification",
        "tags": ["multi-label-classification", "afl-helpers"],
    }  # fmt: skip
    assert "# Model card: 4 labels, tiny" in card and parts[0].fingerprint[:16] in card


def test_the_card_names_the_model_that_was_tuned_and_a_model_of_word_counts_goes_up_too(parts, run, hub):
    run = tfidf(*parts, progress=False)
    push_to_hub(run, parts[0], "somebody/words", private=False)
    assert hub.created == [("somebody/words", False, True)]
    assert "library_name: afl-helpers" in (hub.folder / "README.md").read_text()


def test_the_card_of_a_tuned_bert_names_it(run):
    from dataclasses import replace

    from afl_helpers.training.hub import _metadata

    tuned = replace(run, config=replace(run.config, encoder="bert-base-uncased"))
    assert yaml.safe_load(_metadata(tuned).strip("-\n"))["base_model"] == "google-bert/bert-base-uncased"


@pytest.mark.parametrize(
    "error, kind, words",
    [
        (LocalTokenNotFoundError("no token"), StorageError, "log in with `hf auth login`"),
        (OfflineModeIsEnabled("offline"), StorageError, "check the connection"),
        (HfHubHTTPError.__bases__[0]("no route"), StorageError, "somebody/films cannot be uploaded .*no route"),
        (HFValidationError("two slashes"), UsageError, "which the hub does not allow .two slashes.; pass 'org"),
    ],
)
def test_a_refusal_of_the_hub_is_one_sentence(parts, run, hub, error, kind, words):
    hub.error = error
    with pytest.raises(kind, match=words):
        push_to_hub(run, parts[0], "somebody/films")
