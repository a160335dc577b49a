"""Schedules that anneal, the epoch that is kept, when a run counts as converged, and the choice of an epoch."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup

from afl_helpers.training import Head, ProbeConfig, TrainingConfig, fine_tune, probe, selection_metrics, train_heads
from afl_helpers.training.baselines import CnnConfig, PriorsConfig
from afl_helpers.training.config import SELECTION_METRICS, convergence
from afl_helpers.training.probing import TrainedHead

pytestmark = pytest.mark.usefixtures("own_cache")

ANNEALED = ProbeConfig(
    encoder="tiny", max_length=16, epochs=4, batch_size=16, learning_rate=0.02, schedule="cosine", keep="last"
)
TUNED = TrainingConfig(encoder="tiny", max_length=16, epochs=3, learning_rate=1e-3, keep="last")


class TestConverged:
    def test_a_best_epoch_within_the_patience_of_the_cap_has_not(self):
        config = ProbeConfig(epochs=100, patience=10)
        assert [convergence(config, epoch)[0] for epoch in (1, 90, 91, 100)] == [True, True, False, False]
        assert convergence(config, 95)[1] == "the best epoch, 95, lies within the patience of the cap of 100"
        assert convergence(CnnConfig(epochs=20, patience=3), 18)[0] is False
        assert convergence(PriorsConfig(), 1) == (None, "")

    def test_a_last_epoch_has_where_the_rate_annealed(self):
        assert convergence(ANNEALED, 4)[0] is True and convergence(TUNED, 3)[0] is True
        assert convergence(replace(ANNEALED, schedule="constant"), 4)[0] is False
        assert convergence(replace(TUNED, schedule="constant_with_warmup"), 3)[0] is False


@pytest.mark.parametrize("n_steps, warmup", [(40, 0.1), (7, 0.5), (100, 0.0)])
def test_the_annealed_schedule_is_that_of_transformers(n_steps, warmup):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.02)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(warmup * n_steps), n_steps)
    head = object.__new__(TrainedHead)
    head.config = replace(ANNEALED, warmup=warmup)
    for step in range(n_steps):
        assert head.learning_rate(step, n_steps) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        schedule.step()
    head.config = replace(ANNEALED, schedule="constant")
    assert {head.learning_rate(step, n_steps) for step in range(n_steps)} == {0.02}


def test_a_probe_keeps_its_last_epoch_and_scores_only_that(parts):
    run = probe(*parts, loss="bce", config=ANNEALED, progress=False)
    assert (run.best_epoch, len(run.history), run.converged) == (4, 4, True)
    assert set(run.history[0]) == {"epoch", "loss"}
    seen = {}
    [head] = train_heads(*parts, [Head("bce", ANNEALED, on_epoch=seen.__setitem__)], progress=False)
    assert sorted(seen) == [1, 2, 3, 4] and "average_precision_weighted" in head.history[0]
    np.testing.assert_allclose(head.run().scores["test"], run.scores["test"])
    np.testing.assert_allclose(seen[4], run.scores["validation"], atol=1e-6)
    assert head.score == pytest.approx(selection_metrics(parts[1].dense_labels, seen[4])["average_precision_weighted"])


def test_heads_with_schedules_of_their_own_train_side_by_side_as_alone(parts):
    others = [replace(ANNEALED, epochs=6), replace(ANNEALED, schedule="constant", keep="best", patience=2)]
    configs = [ANNEALED, *others]
    together = train_heads(*parts, [Head("bce", config) for config in configs], progress=False)
    for head, config in zip(together, configs):
        alone = probe(*parts, loss="bce", config=config, progress=False)
        np.testing.assert_allclose(head.run().scores["test"], alone.scores["test"], atol=1e-6)


def test_fine_tuning_keeps_its_last_epoch_without_validation_in_between(parts):
    run = fine_tune(*parts, loss="afl", config=TUNED, progress=False)
    assert (run.best_epoch, run.converged) == (3, True) and [set(row) for row in run.history] == [{"epoch", "loss"}] * 3
    seen = {}
    again = fine_tune(*parts, loss="afl", config=TUNED, progress=False, on_epoch=seen.__setitem__)
    assert sorted(seen) == [1, 2, 3]
    np.testing.assert_allclose(again.scores["test"], run.scores["test"], atol=1e-6)
    np.testing.assert_allclose(seen[3], run.scores["validation"], atol=1e-5)  # in the order of the documents


class _Killed(Exception):
    pass


@pytest.mark.parametrize("killed_after", [1, 3])
@pytest.mark.parametrize("watched", [False, True])
def test_a_stopped_run_that_keeps_its_last_epoch_ends_as_if_it_had_not_been(
    parts, tmp_path, monkeypatch, killed_after, watched
):
    from afl_helpers.training.trainer import CheckedTrainer

    expected = fine_tune(*parts, loss="afl", config=TUNED, seed=1, progress=False)
    save, saved, seen = CheckedTrainer._save_checkpoint, [], []

    def die(self, model, trial):
        save(self, model, trial)
        saved.append(self.state.global_step)
        if len(saved) == killed_after:
            raise _Killed

    options = {"on_epoch": lambda epoch, scores: seen.append(epoch)} if watched else {}
    with monkeypatch.context() as patch:
        patch.setattr(CheckedTrainer, "_save_checkpoint", die)
        with pytest.raises(_Killed):
            fine_tune(*parts, loss="afl", config=TUNED, seed=1, checkpoint_dir=tmp_path, progress=False, **options)
    resumed = fine_tune(*parts, loss="afl", config=TUNED, seed=1, checkpoint_dir=tmp_path, progress=False, **options)
    for split in ("validation", "test"):
        np.testing.assert_array_equal(resumed.scores[split], expected.scores[split])
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3] and seen == ([1, 2, 3] if watched else [])
    assert [row["loss"] for row in resumed.history] == pytest.approx([row["loss"] for row in expected.history])
    assert len(list(Path(tmp_path).glob("checkpoint-*"))) == 1


def test_the_weighted_metric_weighs_labels_by_their_positives_and_compares_no_labels():
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
    scores = np.array([[0.9, 0.3, 0.1], [0.8, 0.1, 0.2], [0.1, 0.2, 0.3], [0.7, 0.0, 0.4]])
    found = selection_metrics(targets, scores)
    assert tuple(found) == SELECTION_METRICS
    assert found["average_precision_weighted"] == pytest.approx((3 * 1.0 + 1 * (1 / 3)) / 4)
    assert selection_metrics(targets, scores * [1, 100, 1]) | {"average_precision_micro": 0} == pytest.approx(
        found | {"average_precision_micro": 0}
    )


def test_recorded_configurations_are_read_as_they_were_meant():
    """Files of version 0.1 have prior_bias, and neither a schedule of the probe nor the epoch to keep."""
    old = ProbeConfig().to_dict() | {"prior_bias": False, "select_by": "average_precision_micro"}
    for name in ("schedule", "keep", "warmup", "start_bias"):
        del old[name]
    assert ProbeConfig.from_record(old) == ProbeConfig(start_bias="zero", select_by="average_precision_micro")
    assert ProbeConfig.from_record(old | {"prior_bias": True}).start_bias == "prior"
    new = replace(ANNEALED, start_bias="loss")
    assert ProbeConfig.from_record(json.loads(json.dumps(new.to_dict()))) == new
