"""The fast path trains as a plain loop does: the same losses step by step, the same gradients, whatever the padding."""

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments

from afl_helpers.data import load_corpus
from afl_helpers.losses import build_loss
from afl_helpers.training import EpochSeededLengthSampler, fine_tune, fine_tuning
from afl_helpers.training.config import TrainingConfig
from afl_helpers.training.encoders import load_classifier, load_tokenizer

BATCH, LEARNING_RATE, SEED = 8, 1e-3, 3


@pytest.fixture(scope="module")
def parts():
    corpus = load_corpus("toy").select_labels(top=6).select_documents(range(160))
    return corpus.split(0.6, 0.2, 0.2, seed=0)


def without_dropout(name: str, label_names: list[str]):
    torch.manual_seed(SEED)
    model = load_classifier(name, label_names)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.config.attention_probs_dropout_prob = model.config.hidden_dropout_prob = 0.0
    for module in model.modules():
        if isinstance(getattr(module, "dropout_prob", None), float):
            module.dropout_prob = 0.0
    return model


def batches(train, tokenizer, group: bool) -> list[list[int]]:
    lengths = [len(ids) for ids in tokenizer(train.texts, truncation=True, max_length=32)["input_ids"]]
    order = list(EpochSeededLengthSampler(lengths, BATCH, SEED, group=group))
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


class Recorded(torch.nn.Module):
    """A loss that remembers its values."""

    def __init__(self, loss):
        super().__init__()
        self.loss, self.values = loss, []

    def forward(self, logits, targets):
        value = self.loss(logits, targets)
        self.values.append(value.item())
        return value


def by_hand(train, group: bool) -> tuple[list[float], torch.nn.Module]:
    """Losses of one epoch of plain PyTorch, every text padded to the maximum length."""
    tokenizer = load_tokenizer("tiny")
    model = without_dropout("tiny", train.label_names).train()
    loss = Recorded(build_loss("afl", train.label_counts, len(train)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    for batch in batches(train, tokenizer, group):
        inputs = tokenizer(
            [train.texts[i] for i in batch], truncation=True, max_length=32, padding="max_length", return_tensors="pt"
        )
        targets = torch.from_numpy(train.labels[batch]).float()
        loss(model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits, targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    return loss.values, model


@pytest.mark.parametrize("group", [True, False], ids=["grouped", "random order"])
def test_fine_tune_has_the_losses_of_a_plain_loop(parts, group, monkeypatch):
    seen: list[float] = []
    original = fine_tuning.CheckedTrainer.training_step

    def training_step(self, *args, **kwargs):
        loss = original(self, *args, **kwargs)
        seen.append(loss.item())
        return loss

    monkeypatch.setattr(fine_tuning.CheckedTrainer, "training_step", training_step)
    monkeypatch.setattr(fine_tuning, "load_classifier", without_dropout)
    config = TrainingConfig(
        encoder="tiny", max_length=32, epochs=1, batch_size=BATCH, learning_rate=LEARNING_RATE, weight_decay=0.0,
        schedule="constant_with_warmup", warmup_steps=0, max_gradient_norm=1e9, group_by_length=group,
        start_bias="zero",
    )  # fmt: skip
    run = fine_tune(*parts, loss="afl", config=config, seed=SEED, progress=False)
    expected, model = by_hand(parts[0], group)
    assert len(seen) == len(expected) > 10
    assert seen == pytest.approx(expected, rel=2e-5)
    for ours, plain in zip(run.model.parameters(), model.parameters()):
        # Adam divides by the size of the gradient, so that where it is nothing but rounding a step is as large as any.
        assert (ours - plain).abs().median() < 1e-6


def test_gradients_do_not_depend_on_the_padding(parts):
    train = parts[0]
    tokenizer = load_tokenizer("tiny")
    ids = tokenizer(train.texts[:8], truncation=True, max_length=32)["input_ids"]
    targets = torch.from_numpy(train.labels[:8]).float()
    found = []
    for inputs in (
        dict(tokenizer.pad({"input_ids": ids}, return_tensors="pt")),
        dict(tokenizer.pad({"input_ids": ids}, padding="max_length", max_length=64, return_tensors="pt")),
    ):
        model = without_dropout("tiny", train.label_names).train()
        build_loss("bce")(model(**inputs).logits, targets).backward()
        found.append([parameter.grad for parameter in model.parameters() if parameter.grad is not None])
    assert len(found[0]) == len(found[1]) > 30
    for short, long in zip(*found):
        rows = min(len(short), len(long))  # positions beyond the texts have no gradient in either
        assert torch.allclose(short[:rows], long[:rows], rtol=1e-4, atol=1e-7)


def test_a_plain_trainer_has_the_same_losses_on_the_same_batches(parts, tmp_path):
    train = parts[0]
    tokenizer = load_tokenizer("tiny")
    order = [i for batch in batches(train, tokenizer, True) for i in batch]
    ids = tokenizer(train.texts, truncation=True, max_length=32)["input_ids"]
    items = [(ids[i], train.labels[i]) for i in order]
    loss = Recorded(build_loss("afl", train.label_counts, len(train)))

    class InOrder(Trainer):
        def _get_train_sampler(self, train_dataset=None):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    arguments = TrainingArguments(
        str(tmp_path), num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=LEARNING_RATE, weight_decay=0.0,
        lr_scheduler_type="constant", max_grad_norm=1e9, use_cpu=True, save_strategy="no", report_to="none", disable_tqdm=True,
        remove_unused_columns=False,
    )  # fmt: skip
    InOrder(
        without_dropout("tiny", train.label_names), arguments, train_dataset=items,
        data_collator=lambda rows: dict(tokenizer.pad({"input_ids": [row for row, _ in rows]}, return_tensors="pt")) | {"labels": torch.from_numpy(np.stack([y for _, y in rows])).float()},
        compute_loss_func=lambda outputs, labels, num_items_in_batch=None: loss(outputs.logits, labels),
    ).train()  # fmt: skip
    assert loss.values == pytest.approx(by_hand(train, True)[0], rel=2e-5)
