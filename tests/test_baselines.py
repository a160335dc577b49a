"""Heads side by side, and the models that are not a tuned encoder."""

import numpy as np
import pytest
import torch

from afl_helpers.data import load_corpus
from afl_helpers.errors import UsageError
from afl_helpers.losses import build_loss
from afl_helpers.training import THRESHOLDS, Head, probe, train_heads
from afl_helpers.training.baselines import CnnConfig, PriorsConfig, TfidfConfig, cnn, priors, tfidf
from afl_helpers.training.config import ProbeConfig, TrainingConfig

CONFIG = ProbeConfig(encoder="tiny", max_length=16, epochs=6, patience=2, batch_size=64, learning_rate=0.01)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def parts():
    corpus = load_corpus("toy").select_labels(top=6)
    return corpus.split(0.8, 0.1, 0.1, seed=0)


class TestHeads:
    def test_each_is_what_it_is_alone(self, parts):
        heads = [
            Head("bce", CONFIG),
            Head("afl", CONFIG),
            Head("focal", CONFIG.__class__(**CONFIG.to_dict() | {"learning_rate": 0.1}), loss_params={"gamma": 5.0}),
            Head("plm", CONFIG),
            Head("bce", CONFIG, seed=1),
            Head("bce", CONFIG.__class__(**CONFIG.to_dict() | {"resampling": "ml_ros"})),
        ]
        together = train_heads(*parts, heads, progress=False)
        assert len({head.best_epoch for head in together}) > 1, "heads that stop at different epochs are the point"
        for head, found in zip(heads, together):
            alone = probe(
                *parts, loss=head.loss, config=head.config, seed=head.seed, loss_params=head.loss_params, progress=False
            )
            run = found.run()
            np.testing.assert_array_equal(run.scores["test"], alone.scores["test"])
            assert run.history == alone.history and run.thresholds["tuned_common"] == alone.thresholds["tuned_common"]

    def test_the_share_of_labels_that_moved_is_zero_where_nothing_trains(self, parts):
        still = ProbeConfig(**CONFIG.to_dict() | {"learning_rate": 0.0})
        assert [row["labels_moved"] for row in probe(*parts, "bce", still, progress=False).history] == [0.0] * 3
        assert probe(*parts, "bce", CONFIG, progress=False).history[0]["labels_moved"] == 1.0

    def test_they_must_share_the_encoder(self, parts):
        with pytest.raises(UsageError, match="different encoders or lengths"):
            train_heads(*parts, [Head("bce", CONFIG), Head("bce", ProbeConfig(encoder="tiny", max_length=32))])

    def test_logit_adjustment_takes_the_log_odds_off(self, parts):
        adjusted = ProbeConfig(**CONFIG.to_dict() | {"logit_adjustment": 0.5})
        plain, shifted = (probe(*parts, "bce", config, progress=False).scores["test"] for config in (CONFIG, adjusted))
        n, counts = len(parts[0]), parts[0].label_counts
        odds = np.log((counts + 0.5) / (n - counts + 0.5))
        difference = np.log(plain / (1 - plain)) - np.log(shifted / (1 - shifted))
        np.testing.assert_allclose(difference, np.broadcast_to(0.5 * odds, difference.shape), atol=1e-4)


class TestBaselines:
    def test_priors_score_by_frequency_alone(self, parts):
        run = priors(*parts, progress=False)
        assert set(run.metrics["test"]) == set(THRESHOLDS)
        np.testing.assert_allclose(
            run.scores["test"], np.tile(parts[0].label_counts / len(parts[0]), (len(parts[2]), 1))
        )
        assert run.metrics["test"]["at_0.5"]["roc_auc_macro"] == 0.5
        assert run.encoder is None and run.converged is None and run.config.to_dict() == {}
        with pytest.raises(UsageError, match="method 'priors' has no encoder model; use"):
            run.model  # noqa: B018
        with pytest.raises(UsageError, match="method 'priors' has no tokenizer; use"):
            run.tokenizer  # noqa: B018
        with pytest.raises(UsageError, match="'priors' cannot be saved; use one of 'fine_tune', 'probe' or 'tfidf'"):
            run.save("nowhere")

    @pytest.mark.parametrize("classifier", ["linear_svm", "logistic_regression"])
    def test_tfidf_reads_the_text(self, parts, classifier):
        run = tfidf(*parts, config=TfidfConfig(classifier=classifier), progress=False)
        assert run.metrics["test"]["at_0.5"]["average_precision_macro"] > 0.5
        assert run.predictor.predict_scores([]).shape == (0, 6)
        np.testing.assert_allclose(run.predictor.predict_scores(parts[2].texts[:3]), run.scores["test"][:3])
        with pytest.raises(UsageError, match="tfidf has its own loss"):
            tfidf(*parts, loss="focal")
        with pytest.raises(UsageError, match="no word stands in 1000000 training documents"):
            tfidf(*parts, config=TfidfConfig(min_count=1_000_000))

    def test_cnn_learns_the_same_from_the_same_seed(self, parts):
        config = CnnConfig(max_length=32, width=16, filters=16, epochs=4)
        state = torch.random.get_rng_state()
        first, second = (cnn(*parts, loss="focal", config=config, seed=3, progress=False) for _ in range(2))
        assert torch.equal(state, torch.random.get_rng_state())
        np.testing.assert_array_equal(first.scores["test"], second.scores["test"])
        assert first.history[-1]["loss"] < first.history[0]["loss"]
        assert first.metrics["test"]["at_0.5"]["average_precision_macro"] > 0.3
        assert first.encoder is None and first.converged == (first.best_epoch == 1)

    @pytest.mark.parametrize(
        "kind, old", [(PriorsConfig, "none"), (TfidfConfig, "tfidf"), (CnnConfig, "cnn")], ids=lambda x: str(x)
    )
    def test_configurations_of_old_result_files_are_read(self, kind, old):
        """They have an encoder and, without epochs, two epochs."""
        recorded = kind().to_dict() | {"encoder": old} | ({} if kind is CnnConfig else {"epochs": 2})
        assert kind.from_record(recorded) == kind()
        with pytest.raises(UsageError, match="encoder"):
            kind.from_record({"encoder": "minilm"})


@pytest.mark.parametrize(
    "kind, weights",
    [
        ("inverse_frequency", [0.001, 0.01, 1.0, 1.0]),
        # (1 - .999)/(1 - .999^n): 1/632.3 at n = 1000, 1/95.2 at n = 100, 1 at n = 1.
        ("effective_number", [1 / 632.305, 1 / 95.2079, 1.0, 1.0]),
    ],
)
def test_alpha_by_name(kind, weights):
    loss = build_loss("afl", label_counts=[1000, 100, 1, 0], n_documents=2000, alpha=kind)
    np.testing.assert_allclose(loss.alpha.numpy(), weights, rtol=1e-5)


def test_an_unknown_alpha_is_refused():
    with pytest.raises(UsageError, match="did you mean 'inverse_frequency'"):
        build_loss("afl", label_counts=[1], n_documents=2, alpha="inverse_frequencies")


def test_a_probe_leaves_its_own_fields_alone_when_it_is_given_a_training_configuration():
    config = ProbeConfig.of(TrainingConfig(encoder="tiny", logit_adjustment=1.0))
    assert config.logit_adjustment == 1.0 and config.resampling == "none"
