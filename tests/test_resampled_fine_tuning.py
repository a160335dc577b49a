"""Resampling before the encoder is tuned: rate 0 changes nothing, updates stay, and validation and test are left alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

from afl_helpers.augment import build_augmentation
from afl_helpers.errors import UsageError
from afl_helpers.training import EpochSeededLengthSampler, TrainingConfig, fine_tune, fine_tuning

TINY = TrainingConfig(encoder="tiny", max_length=16, epochs=2, learning_rate=1e-3, keep="last")

pytestmark = pytest.mark.usefixtures("own_cache")


def tuned(parts, seed=1, **options):
    return fine_tune(*parts, loss="bce", config=replace(TINY, **options), seed=seed, progress=False)


@pytest.fixture(scope="module")
def plain(parts):
    return tuned(parts).predictor.predict_scores(parts[2].texts)


@pytest.mark.parametrize("method", ["ml_ros", "lp_rus"])
def test_rate_zero_is_the_baseline_bit_for_bit(parts, plain, method):
    run = tuned(parts, resampling=method, resampling_rate=0.0)
    assert np.array_equal(run.predictor.predict_scores(parts[2].texts), plain)


@pytest.mark.parametrize("method", ["ml_ros", "lp_rus"])
def test_epochs_draw_from_what_the_method_chose_and_stay_as_long(parts, plain, method, monkeypatch):
    seen = {}

    class Spy(fine_tuning.CheckedTrainer):
        def __init__(self, **options):
            super().__init__(**options)
            seen["trainer"], seen["options"] = self, options

    monkeypatch.setattr(fine_tuning, "CheckedTrainer", Spy)
    train = parts[0]
    run = tuned(parts, resampling=method, resampling_rate=0.5)
    assert not np.array_equal(run.predictor.predict_scores(parts[2].texts), plain)
    step = build_augmentation(method, rate=0.5)
    texts, labels = step.fit_resample(train.texts, train.dense_labels, 1)
    assert len(texts) != len(train)
    dataset, ids = seen["options"]["train_dataset"], seen["options"]["document_ids"]
    assert ids == [train.document_ids[i] for i in sorted(step.sample_indices_)]
    drawn = np.array([dataset[i][1] for i in range(len(dataset))])
    np.testing.assert_array_equal(drawn, train.dense_labels[np.sort(step.sample_indices_)])
    assert seen["trainer"].state.global_step == TINY.epochs * math.ceil(len(train) / TINY.batch_size)
    assert run.predictor.label_counts.tolist() == train.label_counts.tolist()  # the rates that thresholds aim at


@pytest.mark.parametrize("group", [True, False])
def test_an_epoch_of_the_sampler_draws_fewer_documents_or_some_again(group):
    def draws(n_draws, epoch=0):
        sampler = EpochSeededLengthSampler([5, 9, 5, 7, 6, 8], 2, seed=3, group=group, n_draws=n_draws)
        sampler.set_epoch(epoch)
        assert len(sampler) == len(list(sampler)) == (n_draws or 6)
        return list(sampler)

    assert draws(None) == draws(6) and sorted(draws(6)) == [0, 1, 2, 3, 4, 5]
    some = [frozenset(draws(4, epoch)) for epoch in range(20)]
    assert {len(epoch) for epoch in some} == {4} and len(set(some)) > 5 and frozenset().union(*some) == set(range(6))
    assert sorted(np.bincount(draws(8)).tolist()) == [1, 1, 1, 1, 2, 2]


def test_a_marker_in_validation_and_test_is_never_learned(parts):
    train, validation, test = parts
    marked = [
        replace(split, texts=[f"qzxmarker {t}" if row[0] else t for t, row in zip(split.texts, split.dense_labels)])
        for split in (validation, test)
    ]
    texts = [*test.texts, "qzxmarker"]
    runs = [tuned((train, *rest), resampling="ml_ros", epochs=1) for rest in ((validation, test), marked)]
    one, other = (run.predictor.predict_scores(texts) for run in runs)
    assert np.array_equal(one, other)


def test_a_rate_without_resampling_is_refused():
    with pytest.raises(UsageError, match="resampling_rate is 0.5 without resampling; pass resampling='ml_ros' too"):
        TrainingConfig(resampling_rate=0.5)
    assert "resampling" not in TrainingConfig().to_dict()  # checkpoints of earlier versions are still resumed
