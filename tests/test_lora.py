"""LoRA in fine_tune; its arithmetic by hand. Needs peft."""

import copy
import json
import sys

import numpy as np
import pytest
import torch

from afl_helpers.errors import MissingExtraError, UsageError
from afl_helpers.training import TrainingConfig, fine_tune
from afl_helpers.training.encoders import head_bias, load_classifier
from afl_helpers.training.lora import add_lora, merge_lora

pytestmark = pytest.mark.usefixtures("own_cache")
CONFIG = TrainingConfig(encoder="tiny", max_length=16, epochs=2, learning_rate=1e-2, lora_rank=2)


def needs_peft():
    pytest.importorskip("peft", reason="peft is not installed")


def model_with_lora(rank=2):
    torch.manual_seed(0)
    model = load_classifier("tiny", ["a", "b"]).eval()
    plain = copy.deepcopy(model)
    add_lora(model, rank)
    return model, plain


IDS = torch.tensor([[5, 6, 7, 8]])


def test_at_first_nothing_changes_and_few_weights_are_trained():
    needs_peft()
    model, plain = model_with_lora()
    torch.testing.assert_close(model(IDS).logits, plain(IDS).logits)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained and all("lora_" in name or name.startswith("classifier") for name in trained)
    assert {"classifier.weight", "classifier.bias"} <= trained
    # 2 layers with 4 linear maps of 128 x 128 and two of 128 x 512, and the pooler, each with rank x (in + out); the head.
    by_hand = 2 * (2 * (4 * 256 + 2 * 640) + 256) + 2 * 128 + 2
    assert sum(weight.numel() for weight in model.parameters() if weight.requires_grad) == by_hand


def test_merging_adds_twice_the_product_to_the_weights():
    needs_peft()
    model, plain = model_with_lora(rank=3)
    layer = "bert.encoder.layer.1.attention.self.query"
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.1)
    tuned = model.get_submodule(layer)
    product = tuned.lora_B["default"].weight @ tuned.lora_A["default"].weight
    before = model(IDS).logits
    merge_lora(model)
    torch.testing.assert_close(model(IDS).logits, before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.get_submodule(layer).weight, plain.get_submodule(layer).weight + 2 * product)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert all(weight.requires_grad for weight in model.parameters())


def test_training_moves_the_layers_but_not_the_embeddings(parts):
    needs_peft()
    run = fine_tune(*parts, loss="afl", config=CONFIG, seed=3, progress=False)
    torch.manual_seed(0)
    start = load_classifier("tiny", parts[0].label_names)
    assert run.model.state_dict().keys() == start.state_dict().keys()
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    again = fine_tune(*parts, loss="afl", config=CONFIG, seed=3, progress=False)
    np.testing.assert_array_equal(run.scores["test"], again.scores["test"])


def test_a_stopped_run_resumes_to_the_same_result(parts, tmp_path):
    needs_peft()

    class Stop(Exception):
        pass

    def stop(epoch, scores):
        if epoch == 2:
            raise Stop

    whole = fine_tune(*parts, config=CONFIG, progress=False)
    with pytest.raises(Stop):
        fine_tune(*parts, config=CONFIG, checkpoint_dir=tmp_path, on_epoch=stop, progress=False)
    resumed = fine_tune(*parts, config=CONFIG, checkpoint_dir=tmp_path, progress=False)
    np.testing.assert_allclose(resumed.scores["test"], whole.scores["test"], atol=1e-6)


def test_without_peft_one_sentence_says_what_to_install(parts, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r'^lora_rank needs peft; run: pip install "afl-helpers\[lora\]"$'):
        fine_tune(*parts, config=CONFIG, progress=False)


def test_the_option_changes_nothing_where_it_is_not_used():
    """Neither what is recorded nor what identifies a run."""
    assert "lora_rank" not in TrainingConfig().to_dict()
    assert TrainingConfig.from_record(json.loads(json.dumps(CONFIG.to_dict()))) == CONFIG
    assert TrainingConfig.from_record(TrainingConfig().to_dict()) == TrainingConfig()


@pytest.mark.parametrize("rank", [0, -1, 2.0, True, "8", 2000])
def test_a_wrong_rank(rank):
    with pytest.raises(UsageError, match="lora_rank is .*; pass a whole number from 1 to 1024"):
        TrainingConfig(lora_rank=rank)


def test_the_head_starts_where_it_starts_without():
    needs_peft()
    model, plain = model_with_lora()
    torch.testing.assert_close(head_bias(model), head_bias(plain))
