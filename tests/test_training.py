"""Training with a random two-layer encoder: the loop, resume, saving, and what it refuses."""

import dataclasses
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, Trainer

from afl_helpers import training
from afl_helpers.errors import MissingFileError, TrainingError, UsageError
from afl_helpers.evaluation import tune_thresholds
from afl_helpers.losses import AdaptiveFocalLoss, FocalLoss, build_loss
from afl_helpers.training import (
    THRESHOLDS,
    EpochSeededLengthSampler,
    assemble,
    embed,
    embedding,
    encoders,
    fine_tune,
    fine_tuning,
    load_predictor,
    prior_logits,
    probe,
    probing,
    trainer,
)
from afl_helpers.training.config import ProbeConfig, TrainingConfig
from afl_helpers.training.encoders import head_bias, load_classifier

SMALL = TrainingConfig(encoder="tiny", max_length=32, epochs=3, patience=3, learning_rate=1e-3)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def run(parts):
    return fine_tune(*parts, loss="afl", config=SMALL, seed=1, progress=False)


def test_run_has_scores_metrics_and_history(run, parts):
    _, validation, test = parts
    assert run.scores["test"].shape == (len(test), 4) and run.scores["validation"].shape == (len(validation), 4)
    assert ((run.scores["test"] > 0) & (run.scores["test"] < 1)).all()
    assert set(run.metrics) == {"validation", "test"} and set(run.metrics["test"]) == set(THRESHOLDS)
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    best = max(run.history, key=lambda row: row["average_precision_weighted"])
    assert run.best_epoch == best["epoch"] and run.converged is False  # none of 3 epochs is 3 before the last
    assert run.encoder == "tiny" and run.tokenizer.vocab_size == 30522


def test_the_best_epoch_is_the_one_kept(run, parts):
    found = training.selection_metrics(parts[1].labels, run.scores["validation"])
    chosen = run.history[run.best_epoch - 1]
    assert found == pytest.approx({name: chosen[name] for name in found}, abs=1e-6)


def test_same_seed_same_scores_and_another_seed_others(run, parts):
    again = fine_tune(*parts, loss="afl", config=SMALL, seed=1, progress=False)
    np.testing.assert_array_equal(again.scores["test"], run.scores["test"])
    other = fine_tune(*parts, loss="afl", config=SMALL, seed=2, progress=False)
    assert np.abs(other.scores["test"] - run.scores["test"]).max() > 1e-4


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_stopped_run_ends_as_if_it_had_not_been(run, parts, tmp_path, monkeypatch, killed_after):
    def kill(self, args, state, control, **kwargs):
        if round(state.epoch) == killed_after:
            raise _Killed

    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(fine_tuning.ProgressBar, "on_epoch_begin", kill)
        fine_tune(*parts, loss="afl", config=SMALL, seed=1, checkpoint_dir=tmp_path, progress=False)
    (tmp_path / "checkpoint-999").mkdir()  # one that was cut off while being written
    resumed = fine_tune(*parts, loss="afl", config=SMALL, seed=1, checkpoint_dir=tmp_path, progress=False)
    np.testing.assert_array_equal(resumed.scores["test"], run.scores["test"])
    assert resumed.history == run.history
    with pytest.raises(UsageError, match="another run .other loss, seed"):
        fine_tune(*parts, loss="bce", config=SMALL, seed=2, checkpoint_dir=tmp_path, progress=False)


def test_a_resumed_run_counts_the_seconds_before_it_was_stopped(parts, tmp_path, monkeypatch):
    """Else its documents per second, and the estimates that rest on them, are far too high."""

    def kill(self, args, state, control, **kwargs):
        if round(state.epoch) == 1:
            raise _Killed

    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(fine_tuning.ProgressBar, "on_epoch_begin", kill)
        fine_tune(*parts, loss="bce", config=SMALL, seed=1, checkpoint_dir=tmp_path, progress=False)
    (path,) = tmp_path.glob("checkpoint-*/trainer_state.json")
    state = json.loads(path.read_text())
    kept = state["stateful_callbacks"]["Elapsed"]["args"]
    assert kept["before"] > 0
    kept["before"] += 1000
    path.write_text(json.dumps(state))
    resumed = fine_tune(*parts, loss="bce", config=SMALL, seed=1, checkpoint_dir=tmp_path, progress=False)
    assert 1000 < resumed.seconds < 2000


def test_without_a_folder_for_checkpoints_only_weights_are_written_and_the_run_is_the_same(
    run, parts, tmp_path, monkeypatch
):
    written = []
    save = Trainer._save_optimizer_and_scheduler
    monkeypatch.setattr(
        Trainer, "_save_optimizer_and_scheduler", lambda self, folder: (written.append(folder), save(self, folder))
    )
    fine_tune(*parts, loss="afl", config=SMALL, seed=1, progress=False)
    assert written == []
    kept = fine_tune(*parts, loss="afl", config=SMALL, seed=1, checkpoint_dir=tmp_path, progress=False)
    assert len(written) == len(kept.history)
    assert np.array_equal(kept.scores["test"], run.scores["test"]) and kept.best_epoch == run.best_epoch


def test_early_stopping_counts_epochs_without_a_better_one(parts):
    config = TrainingConfig(encoder="tiny", max_length=16, epochs=6, patience=1, learning_rate=0.0)
    stopped = fine_tune(*parts, loss="bce", config=config, progress=False)
    assert len(stopped.history) == 2 and stopped.best_epoch == 1 and stopped.converged


def test_saved_model_predicts_the_same(run, parts, tmp_path):
    texts = parts[2].texts[:7]
    path = run.save(tmp_path / "model")
    loaded = load_predictor(path)
    np.testing.assert_allclose(loaded.predict_scores(texts), run.scores["test"][:7], atol=1e-6)
    assert loaded.predict(texts) == run.predict(texts)
    assert loaded.label_names == parts[0].label_names
    plain = AutoModelForSequenceClassification.from_pretrained(path)
    assert [plain.config.id2label[i] for i in range(4)] == parts[0].label_names
    details = json.loads((path / "afl_run.json").read_text())
    assert details["config"]["learning_rate"] == 1e-3 and details["loss"] == {"name": "afl", "params": {}}
    assert not list(tmp_path.glob(".model-*"))
    run.save(path)  # replaces its own kind
    with pytest.raises(UsageError, match="holds no saved run"):
        run.save(tmp_path)
    with pytest.raises(MissingFileError, match="afl_run.json"):
        load_predictor(tmp_path)


def test_predict_follows_the_thresholds(run, parts):
    texts = parts[2].texts[:5]
    expected = run.scores["test"][:5] >= run.thresholds["tuned_proportional"]
    found = run.predict(texts, "tuned_proportional")
    assert [set(row) for row in found] == [
        {name for name, keep in zip(parts[0].label_names, row) if keep} for row in expected
    ]
    with pytest.raises(UsageError, match="tuned_common"):
        run.predict(texts, "best")
    with pytest.raises(UsageError, match="one string"):
        run.predict("a text")


def test_predict_takes_thresholds_of_ones_own(run, parts):
    texts, names = parts[2].texts[:5], parts[0].label_names
    scores = run.predictor.predict_scores(texts)

    def expected(thresholds):
        return [[names[c] for c in np.argsort(-row, kind="stable") if row[c] >= thresholds[c]] for row in scores]

    own = np.median(scores, axis=0)
    assert run.predict(texts, thresholds=own) == run.predict(texts, thresholds=own.tolist()) == expected(own)
    assert run.predict(texts, thresholds=0) == expected([0] * 4) and run.predict(texts, thresholds=0.3) == expected(
        [0.3] * 4
    )
    mixed = np.broadcast_to(run.thresholds["tuned_per_label"], 4).copy()
    mixed[2] = own[2]
    assert run.predict(texts, "tuned_per_label", thresholds={names[2]: own[2]}) == expected(mixed)
    for wrong, words in (
        (1.5, r"thresholds hold 1.5; pass numbers in \[0, 1\]"),
        ([0.1, 0.2], r"thresholds have shape \(2,\); pass one number, 4 numbers, or a dict of label and number"),
        ("high", "thresholds are 'high'; pass numbers"),
        (True, "thresholds are True; pass numbers"),
        ("0.3", "thresholds are '0.3'; pass numbers"),
        ([0.1, 0.2, np.nan, 0.4], "thresholds hold nan"),
        ({names[0]: -0.1}, f"the threshold of '{names[0]}' is -0.1; pass numbers"),
        ({"Dramma": 0.5}, "unknown label 'Dramma'"),
        ({names[0]: [0.1, 0.2]}, "has shape"),
    ):
        with pytest.raises(UsageError, match=words):
            run.predict(texts, thresholds=wrong)
    with pytest.raises(UsageError, match="rule 'tuned_top_k' has no thresholds for the other labels"):
        run.predict(texts, "tuned_top_k", {names[0]: 0.5})


def test_every_rule_is_saved_and_an_older_model_says_which_it_has(run, parts, tmp_path):
    texts = parts[2].texts[:7]
    path = run.save(tmp_path / "model")
    loaded = load_predictor(path)
    assert list(loaded.thresholds) == list(training.THRESHOLDS) == list(run.thresholds)
    assert loaded.thresholds["tuned_top_k"] == run.thresholds["tuned_top_k"]
    for rule in training.THRESHOLDS:
        assert loaded.predict(texts, rule) == run.predict(texts, rule)
    details = json.loads((path / "afl_run.json").read_text())
    details["thresholds"] = {
        rule: details["thresholds"][rule] for rule in ("at_0.5", "tuned_common", "tuned_per_label")
    }
    (path / "afl_run.json").write_text(json.dumps(details))
    older = load_predictor(path)
    assert older.predict(texts, "tuned_common") == run.predict(texts, "tuned_common")
    with pytest.raises(UsageError, match="without thresholds of rule 'tuned_proportional'; choose one of at_0.5"):
        older.predict(texts)
    with pytest.raises(
        UsageError,
        match="without thresholds of rule 'tuned_smoothed'; choose one of at_0.5, tuned_common, tuned_per_lab",
    ):
        older.predict(texts, "tuned_smoothed")
    with pytest.raises(UsageError, match="unknown rule 'tuned_smoth'"):
        older.predict(texts, "tuned_smoth")


def test_the_gamma_of_the_loss_reaches_the_rules(parts):
    config = ProbeConfig(encoder="tiny", max_length=16, epochs=2, learning_rate=1e-2)

    def trained(loss, config=config, **params):
        return probe(*parts, loss=loss, config=config, loss_params=params, progress=False)

    run = trained("afl")
    counts, n = parts[0].label_counts, len(parts[0])
    assert run.gamma.tolist() == build_loss("afl", counts, n).gamma.tolist()
    expected = tune_thresholds(parts[1].dense_labels, run.scores["validation"], "common_posterior", gamma=run.gamma)
    assert run.thresholds["tuned_common_posterior"].tolist() == expected.tolist()
    assert trained("focal", gamma=1.5).gamma.tolist() == [1.5] * 4
    adjusted = ProbeConfig(encoder="tiny", max_length=16, epochs=2, learning_rate=1e-2, logit_adjustment=1.0)
    for run in (trained("bce"), trained("focal", alpha=0.25), trained("afl", adjusted)):
        assert run.gamma is None and run.thresholds["tuned_common_posterior"] == run.thresholds["tuned_common"]


def test_prior_bias_starts_at_the_label_rates(parts):
    train = parts[0]
    np.testing.assert_allclose(
        torch.sigmoid(prior_logits(train.label_counts, len(train))), train.label_counts / len(train), atol=0.01
    )
    still = TrainingConfig(encoder="tiny", max_length=16, epochs=1, learning_rate=0.0, start_bias="prior")
    run = fine_tune(*parts, loss="bce", config=still, progress=False)
    torch.testing.assert_close(head_bias(run.model).cpu(), prior_logits(train.label_counts, len(train)))


def test_a_loss_module_can_be_passed(parts):
    config = TrainingConfig(encoder="tiny", max_length=16, epochs=1)
    run = fine_tune(*parts, loss=FocalLoss(1.5), config=config, progress=False)
    assert run.loss == {"name": "FocalLoss", "params": {"reduction": "mean", "gamma": 1.5}}


def test_accumulated_steps_train_like_one_large_batch(parts, monkeypatch):
    def scores(**settings):
        config = TrainingConfig(
            encoder="tiny", max_length=32, epochs=1, learning_rate=1e-3, group_by_length=False, **settings
        )
        return fine_tune(*parts, loss="afl", config=config, progress=False).scores["test"]

    config = encoders._tiny_config()
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    monkeypatch.setattr(encoders, "_tiny_config", lambda: config)
    np.testing.assert_allclose(scores(batch_size=4, accumulation_steps=4), scores(batch_size=16), atol=2e-5)


class TestSampler:
    lengths = np.random.default_rng(0).integers(5, 120, 1003)

    def test_every_document_once_and_the_order_by_seed_and_epoch(self):
        orders = {}
        for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
            sampler = EpochSeededLengthSampler(self.lengths, 16, seed)
            sampler.set_epoch(epoch)
            orders[seed, epoch] = list(sampler)
            assert sorted(orders[seed, epoch]) == list(range(1003)) and len(sampler) == 1003
        assert len({tuple(order) for order in orders.values()}) == 3
        assert list(EpochSeededLengthSampler(self.lengths, 16, 0)) == orders[0, 0]

    def test_batches_hold_texts_of_similar_length(self):
        def padding(group):
            order = list(EpochSeededLengthSampler(self.lengths, 16, 0, group=group))
            batches = [self.lengths[order[i : i + 16]] for i in range(0, 992, 16)]
            return sum(16 * batch.max() - batch.sum() for batch in batches)

        assert padding(True) < padding(False) / 10


def test_probe_learns_saves_and_caches(parts, tmp_path, monkeypatch):
    config = ProbeConfig(encoder="tiny", max_length=32, epochs=30, learning_rate=1e-2)
    run = probe(*parts, loss="afl", config=config, progress=False)
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    loaded = load_predictor(run.save(tmp_path / "probe"))
    np.testing.assert_allclose(loaded.predict_scores(parts[2].texts), run.scores["test"], atol=1e-5)
    assert loaded.label_names == parts[0].label_names and loaded.predict_scores([]).shape == (0, 4)
    with monkeypatch.context() as patch:
        patch.setattr(embedding, "load_encoder", lambda name: pytest.fail("embedded again"))
        texts = [text for part in reversed(parts) for text in part.texts]
        assert len(embed(texts, "tiny", 32)) == len(set(texts))


def test_changed_weights_in_a_folder_are_embedded_again(tmp_path):
    for seed, name in ((0, "first"), (1, "second")):
        encoders.load_tokenizer("tiny").save_pretrained(tmp_path / "encoder")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoders.torch, "manual_seed", lambda _, seed=seed: torch.random.manual_seed(seed))
            encoders.load_encoder("tiny").save_pretrained(tmp_path / "encoder")
        vector = embed(["a text"], str(tmp_path / "encoder"), 16, progress=False)["a text"]
        if name == "first":
            first = vector
    assert np.abs(vector - first).max() > 1e-3


@pytest.mark.parametrize(
    "values, words",
    [
        ({"epochs": 0}, "epochs is 0; pass a whole number from 1 to 10000"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; pass a number"),
        ({"start_bias": "odds"}, "unknown start_bias 'odds'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"learing_rate": 0.1}, "did you mean 'learning_rate'"),
    ],
)
def test_configuration_is_checked_when_made(values, words):
    with pytest.raises(UsageError, match=words):
        TrainingConfig.from_dict(values)


def test_a_foreign_checkpoint_is_neither_used_nor_deleted(parts, tmp_path):
    weights = tmp_path / "checkpoint-500" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_text("not ours")
    with pytest.raises(UsageError, match="fine_tune did not write"):
        fine_tune(*parts, config=SMALL, checkpoint_dir=tmp_path, progress=False)
    assert weights.read_text() == "not ours"


def test_a_loss_is_described_by_all_that_it_holds(parts):
    describe = assemble.resolve_loss
    first, second = (describe(AdaptiveFocalLoss(gamma), None, parts[0])[1] for gamma in ([0.5, 5.0], [5.0, 0.5]))
    assert first != second and first["params"]["gamma"] == [0.5, 5.0]
    gamma = np.linspace(1.0, 2.0, parts[0].n_labels)
    assert describe("focal", {"gamma": gamma}, parts[0])[1] == {"name": "focal", "params": {"gamma": gamma.tolist()}}


def test_a_probe_takes_what_it_shares_with_a_training_configuration():
    config = ProbeConfig.of(TrainingConfig(encoder="tiny", max_length=32, learning_rate=0.01))
    assert config == ProbeConfig(
        encoder="tiny", max_length=32, learning_rate=0.01, epochs=100, patience=5, batch_size=16
    )
    assert ProbeConfig.of(None) == ProbeConfig() and ProbeConfig.of(config) is config


def test_fine_tuning_takes_its_own_configuration(parts):
    with pytest.raises(UsageError, match="takes a TrainingConfig"):
        fine_tune(*parts, config=ProbeConfig())


def test_splits_must_fit(parts):
    train, validation, test = parts
    with pytest.raises(UsageError, match="test has other labels"):
        fine_tune(train, validation, test.select_labels(top=2), config=SMALL)
    with pytest.raises(UsageError, match="no document of validation carries a label"):
        none = np.zeros_like(validation.labels)
        probe(train, dataclasses.replace(validation, labels=none), test)
    with pytest.raises(UsageError, match="at most 512 tokens"):
        fine_tune(*parts, config=TrainingConfig(encoder="tiny", max_length=600))
    with pytest.raises(UsageError, match="validation has no documents"):
        probe(train, validation.select_documents([]), test)
    with pytest.raises(UsageError, match="choose one of: afl"):
        fine_tune(*parts, loss="asl2", config=SMALL)
    with pytest.raises(UsageError, match="all-mpnet-base-v2, bert-base-uncased, .*, tiny"):
        fine_tune(*parts, config=TrainingConfig(encoder="bert-small"))


@pytest.mark.parametrize(
    "statement", ["import afl_helpers.training.config", "from afl_helpers.training import TrainingConfig"]
)
def test_a_configuration_loads_neither_torch_nor_transformers(statement):
    code = f"import sys; {statement}; sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_studies_are_read_without_what_trains():
    code = "import sys, afl_helpers.studies; sys.exit(bool({'sklearn', 'transformers.modeling_utils'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_is_there_and_only_these():
    assert sorted(training.__all__) == sorted(training._MODULES) and set(training.__all__) <= set(dir(training))
    for name in training.__all__:
        home = getattr(training, name, None)
        assert home is not None and getattr(home, "__name__", name) == name
    with pytest.raises(AttributeError, match="no attribute 'fine_tun'"):
        training.fine_tun  # noqa: B018


class TestPrivateMethodsOfTrainer:
    def test_all_are_overridden_and_there(self):
        trainer.check_trainer()
        private = {name for name in vars(trainer.CheckedTrainer) if name.startswith("_") and not name.startswith("__")}
        assert len(trainer._OVERRIDDEN) == 7 and {name for name in private if hasattr(Trainer, name)} == set(
            trainer._OVERRIDDEN
        )

    def test_the_versions_are_those_of_the_package(self):
        project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]
        extras = project["optional-dependencies"].values()
        required = [name for names in (project["dependencies"], *extras) for name in names]
        lowest = f"transformers{trainer.TRANSFORMERS.split(',')[0]}"
        found = [name for name in required if name.startswith("transformers")]
        assert found and all(name.startswith(lowest) for name in found)

    @pytest.mark.parametrize("name", trainer._OVERRIDDEN)
    def test_a_missing_one_is_named_with_the_versions_that_have_it(self, parts, monkeypatch, name):
        monkeypatch.delattr(Trainer, name)
        trainer._check_methods.cache_clear()
        with pytest.raises(TrainingError, match=rf"has no Trainer\.{name}\(.*; install transformers>=\d") as raised:
            fine_tune(*parts, config=SMALL, progress=False)
        assert "\n" not in str(raised.value)
        trainer._check_methods.cache_clear()

    def test_one_that_takes_other_arguments_is_named(self, monkeypatch):
        monkeypatch.setattr(Trainer, "_load_rng_state", lambda self: None)
        trainer._check_methods.cache_clear()
        with pytest.raises(TrainingError, match=r"Trainer._load_rng_state\(checkpoint\)"):
            trainer.check_trainer()
        trainer._check_methods.cache_clear()


@pytest.mark.parametrize("before", [False, True])
def test_a_probe_leaves_denormal_numbers_as_they_were(parts, before):
    def are_zero() -> bool:
        return (torch.tensor(1e-30) * 1e-10).item() == 0

    if not torch.set_flush_denormal(before):
        pytest.skip("this processor cannot round denormal numbers to 0")
    try:
        with probing._denormals_as_zero():
            assert are_zero()
        assert are_zero() == before
        probe(*parts, loss="bce", config=ProbeConfig(encoder="tiny", max_length=16, epochs=1), progress=False)
        assert are_zero() == before
    finally:
        torch.set_flush_denormal(False)


def test_disk_is_left_clean(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    fine_tune(*parts, loss="bce", config=TrainingConfig(encoder="tiny", max_length=16, epochs=1), progress=False)
    assert os.listdir(tmp_path) == []


def test_minilm_is_the_file_it_should_be():
    model = load_classifier("minilm", ["a", "b"])
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(22.7e6, rel=0.01)


def test_the_model_card_names_training_data_and_results(run, parts):
    card = training.render_model_card(run, parts[0], few=int(parts[0].label_counts.max()))
    assert "loss afl; seed 1" in card and f"{len(parts[0]):,} training documents of toy" in card
    assert parts[0].fingerprint[:16] in card and "they are not probabilities" in card
    metrics = run.metrics["test"]["tuned_proportional"]
    assert f"| each label as often as in training | {metrics['f1_micro']:.3f} | {metrics['f1_macro']:.3f} |" in card
    rare = [name for name, n in zip(parts[0].label_names, parts[0].label_counts) if n < parts[0].label_counts.max()]
    assert f"training documents: {', '.join(rare)}." in card
    short = dataclasses.replace(run, best_epoch=run.config.epochs)
    assert "The best epoch was the last" in training.render_model_card(short, parts[0])
    assert "Fewer than" not in training.render_model_card(run, parts[0], few=1)
