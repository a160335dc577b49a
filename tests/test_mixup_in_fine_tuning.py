"""mixup while an encoder is tuned: its arithmetic by hand, alpha 0 is the baseline, and a run that was stopped ends the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from afl_helpers.augment.mixup import partner_weights
from afl_helpers.errors import TrainingError, UsageError
from afl_helpers.training import TrainingConfig, fine_tune, fine_tuning
from afl_helpers.training.config import MIXUPS
from afl_helpers.training.encoders import load_classifier
from afl_helpers.training.keyword_attention import KeywordDistillationConfig
from afl_helpers.training.pooled_mixup import PooledMixup

TINY = TrainingConfig(encoder="tiny", max_length=16, epochs=2, learning_rate=1e-3, keep="last")

pytestmark = pytest.mark.usefixtures("own_cache")


def tuned(parts, seed=1, loss="bce", checkpoint_dir=None, **options):
    config = replace(TINY, **options)
    return fine_tune(*parts, loss=loss, config=config, seed=seed, checkpoint_dir=checkpoint_dir, progress=False)


@pytest.fixture(scope="module")
def plain(parts):
    return tuned(parts).scores["test"]


@pytest.mark.parametrize("method", MIXUPS)
def test_alpha_zero_is_the_baseline_bit_for_bit(parts, plain, method):
    assert np.array_equal(tuned(parts, mixup=method, mixup_alpha=0.0).scores["test"], plain)


@pytest.mark.parametrize("method", MIXUPS)
@pytest.mark.parametrize("loss", ["bce", "afl"])
def test_mixing_changes_what_is_learned_and_leaves_a_model_that_mixes_nothing(parts, plain, method, loss):
    run = tuned(parts, loss=loss, mixup=method)
    assert not np.array_equal(run.scores["test"], plain) and np.isfinite(run.history[-1]["loss"])
    assert not [module for module in run.model.modules() if module._forward_pre_hooks]


def by_hand(rows, partners, share):
    return np.array([s * rows[i] + (1 - s) * rows[j] for i, (j, s) in enumerate(zip(partners, share))])


@pytest.mark.parametrize("balanced", [False, True])
def test_vectors_and_labels_of_a_batch_are_mixed_alike(balanced):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Identity(), nn.Linear(4, 3))
    labels, vectors = torch.eye(3)[[0, 0, 0, 0, 1, 2]], torch.randn(6, 4)
    weight, bias = (parameter.detach().numpy() for parameter in model[1].parameters())
    mixup = PooledMixup(model, 0.5, np.array([40, 20, 10]) if balanced else None)
    mixed = mixup.draw(labels)
    partners, share = (drawn.numpy() for drawn in mixup._drawn)
    assert share.shape == (6, 1) and len({*share[:, 0]}) == 6 and (share > 0).all() and (share < 1).all()
    if not balanced:
        assert sorted(partners) == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(mixed, by_hand(labels.numpy(), partners, share[:, 0]), rtol=1e-6)
    rows = by_hand(vectors.numpy(), partners, share[:, 0])
    np.testing.assert_allclose(model(vectors).detach(), rows @ weight.T + bias, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.eval()(vectors).detach(), vectors.numpy() @ weight.T + bias, rtol=1e-4, atol=1e-6)
    with pytest.raises(TrainingError, match="6 documents and a GPU sees 3 of them; start one process per GPU"):
        model.train()(vectors[:3])
    mixup.close()
    np.testing.assert_allclose(model(vectors).detach(), vectors.numpy() @ weight.T + bias, rtol=1e-4, atol=1e-6)


def test_partners_are_drawn_by_the_rarity_of_their_labels_in_training():
    """The ratios are 1, 2 and 4, those of the counts of training and not of the batch; no label counts as 1."""
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0]])
    counts = np.array([40, 20, 10])
    assert partner_weights(labels.numpy() > 0, counts).tolist() == [1, 2, 4, 1]
    torch.manual_seed(0)
    mixup = PooledMixup(nn.Linear(2, 3), 1.0, counts)
    seen = np.zeros(4)
    for _ in range(2_000):
        mixup.draw(labels)
        seen += np.bincount(mixup._drawn[0], minlength=4)
    np.testing.assert_allclose(seen / seen.sum(), np.array([1, 2, 4, 1]) / 8, atol=0.02)  # 3 standard errors are .017


def test_shares_have_the_distribution_that_alpha_names():
    torch.manual_seed(0)
    mixup = PooledMixup(nn.Linear(2, 1), 0.2)
    mixup.draw(torch.zeros(20_000, 1))
    share = mixup._drawn[1]
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.005)  # of Beta(a, a)


class _Killed(BaseException):
    pass


def test_a_stopped_run_ends_as_if_it_had_not_been(parts, tmp_path, monkeypatch):
    whole = tuned(parts, mixup="balanced_mixup", checkpoint_dir=tmp_path / "whole")

    def kill(self, args, state, control, **kwargs):
        if round(state.epoch) == 1:
            raise _Killed

    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(fine_tuning.ProgressBar, "on_epoch_begin", kill)
        tuned(parts, mixup="balanced_mixup", checkpoint_dir=tmp_path / "stopped")
    resumed = tuned(parts, mixup="balanced_mixup", checkpoint_dir=tmp_path / "stopped")
    np.testing.assert_array_equal(resumed.scores["test"], whole.scores["test"])


def test_the_head_of_every_kind_of_classifier_is_what_is_mixed():
    model = load_classifier("tiny", ["a", "b"]).train()
    mixup = PooledMixup(model, 1.0)
    assert model.classifier._forward_pre_hooks and mixup.draw(torch.eye(2)).shape == (2, 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda parts: replace(TINY, mixup_alpha=0.5), "mixup_alpha is 0.5 without mixup; pass mixup='mixup' too"),
        (
            lambda parts: replace(TINY, mixup="manifold"),
            "unknown mixup 'manifold'; choose one of: balanced_mixup, mixup",
        ),
        (lambda parts: replace(TINY, mixup="mixup", mixup_alpha=-1.0), "mixup_alpha is -1.0; pass a number from 0 to"),
        (
            lambda parts: tuned(parts, loss="two_way", mixup="mixup"),
            "which TwoWayLoss does not take; use another loss, or leave",
        ),
        (
            lambda parts: KeywordDistillationConfig(mixup="mixup"),
            "a teacher speaks of whole documents; leave mixup out",
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused(parts, make, words):
    with pytest.raises(UsageError, match=words):
        make(parts)
    assert "mixup" not in TrainingConfig().to_dict()  # checkpoints of earlier versions are still resumed
