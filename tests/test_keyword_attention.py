"""Keyword attention and distillation: each part by hand, neutral settings, and one run from corpus to scores."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from afl_helpers.errors import UsageError
from afl_helpers.losses import BinaryCrossEntropy, FocalLoss
from afl_helpers.training import THRESHOLDS
from afl_helpers.training.assemble import resolve_loss
from afl_helpers.training.distillation import DistillationHook, Teacher
from afl_helpers.training.embedding import forward, mean_pool
from afl_helpers.training.encoders import load_encoder, load_tokenizer
from afl_helpers.training.fine_tuning import fit
from afl_helpers.training.keyword_attention import (
    KeywordClassifier,
    KeywordDistillationConfig,
    keep_layers,
    keyword_distillation,
    keyword_model,
    label_keywords,
)

TINY = KeywordDistillationConfig(
    encoder="tiny", max_length=16, epochs=2, learning_rate=1e-3, student_layers=1, n_keywords=3
)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def run(parts):
    return keyword_distillation(*parts, loss="focal", config=TINY, seed=1, progress=False)


def test_keywords_by_hand():
    # "0 0 0 1" with the label, "0 1 1 2" without it. The prior of token 0 is 4, of 1 is 3, of 2 is 1; each side has 4 + 8.
    ids, labels = [[0, 0, 0, 1], [0, 1, 1, 2]], np.array([[1], [0]])
    z = (math.log(7 / 5) - math.log(5 / 7)) / math.sqrt(1 / 7 + 1 / 5)
    assert z > 0  # token 0; token 1 has odds of 4/8 against 5/7, token 2 of 1/11 against 2/10
    assert [row.tolist() for row in label_keywords(ids, labels, 3, 5)] == [[0]]


@pytest.mark.parametrize("n_keywords", [1, 2])
def test_the_strongest_keywords_come_first(n_keywords):
    ids, labels = [[0, 0, 0, 1], [0, 1, 1, 2]], np.array([[0], [1]])
    one = (math.log(5 / 7) - math.log(4 / 8)) / math.sqrt(1 / 5 + 1 / 4)
    two = (math.log(2 / 10) - math.log(1 / 11)) / math.sqrt(1 / 2 + 1 / 1)
    expected = [token for _, token in sorted([(one, 1), (two, 2)], reverse=True)][:n_keywords]
    assert label_keywords(ids, labels, 3, n_keywords)[0].tolist() == expected


def test_ignored_tokens_and_one_sided_labels_have_no_keywords():
    ids, labels = [[0, 1], [0, 2], [0, 3]], np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0]])
    assert [row.tolist() for row in label_keywords(ids, labels, 4, 5)] == [[1], [], []]
    assert [row.tolist() for row in label_keywords(ids, labels, 4, 5, ignored=[1])] == [[], [], []]


def classifier(weight, is_keyword=None):
    encoder = load_encoder("tiny")
    if is_keyword is None:
        is_keyword = np.arange(encoder.config.vocab_size) == 2003
    model = KeywordClassifier(encoder, 128, is_keyword, weight).eval()
    with torch.no_grad():
        model.head.weight.copy_(torch.eye(128))
        model.head.bias.zero_()
    return model


def test_a_keyword_weighs_more_in_the_mean_and_padding_nothing():
    ids, mask = torch.tensor([[101, 2003, 2178, 102, 0], [101, 5, 6, 7, 102]]), torch.tensor([[1] * 4 + [0], [1] * 5])
    with torch.no_grad():
        found = classifier(1.5)(ids, mask).logits
        hidden = load_encoder("tiny")(input_ids=ids, attention_mask=mask).last_hidden_state
        expected = (hidden[0, 0] + 2.5 * hidden[0, 1] + hidden[0, 2] + hidden[0, 3]) / 5.5
        torch.testing.assert_close(found[0], expected)
        torch.testing.assert_close(found[1], hidden[1].mean(0))
        plain = mean_pool(load_encoder("tiny"), ids, mask)
        assert torch.equal(classifier(0.0)(ids, mask).logits, plain)  # no weight: the plain mean
        nothing = np.zeros(30522, dtype=bool)
        assert torch.equal(classifier(1.5, nothing)(ids, mask).logits, plain)  # no keywords: the same


def test_the_loss_by_hand():
    teacher = Teacher(np.array([[math.log(3) * 2, -80.0]], dtype=np.float32), weight=0.25, temperature=2.0)
    row = teacher.row(np.array([1, 0], dtype=np.uint8), 0)
    np.testing.assert_allclose(row, [1, 0, 2 * math.log(3), -50])
    labels, logits = torch.from_numpy(row)[None], torch.tensor([[0.0, 2 * math.log(4)]])
    # The student's logits over T are 0 and log 4; the teacher's probabilities at T are 3/4 and 0.
    hard = (math.log(2) + math.log(17)) / 2
    soft = (math.log(2) + math.log(5)) / 2
    hook = DistillationHook(BinaryCrossEntropy(), teacher)
    expected = 0.75 * hard + 0.25 * 4 * soft
    assert hook({"logits": logits}, labels).item() == pytest.approx(expected, rel=1e-6)
    # Trainer counts the entries of the labels, logits included: 4 here, or 8 if this is half of a batch.
    assert hook({"logits": logits}, labels, torch.tensor(4)).item() == pytest.approx(expected, rel=1e-6)
    assert hook({"logits": logits}, labels, torch.tensor(8)).item() == pytest.approx(expected / 2, rel=1e-6)
    assert hook({"logits": logits}, labels[:, :2]).item() == pytest.approx(
        hard, rel=1e-6
    )  # validation has labels alone


def test_weight_one_learns_from_the_teacher_alone_and_weight_zero_from_the_labels():
    logits, labels = torch.tensor([[0.3, -1.0]]), torch.tensor([[1.0, 0.0, 5.0, -2.0]])
    other = torch.tensor([[0.0, 1.0, 5.0, -2.0]])
    alone, none = (DistillationHook(FocalLoss(), Teacher(labels[:, 2:].numpy(), weight, 1.0)) for weight in (1.0, 0.0))
    assert torch.equal(alone({"logits": logits}, labels), alone({"logits": logits}, other))
    assert torch.equal(none({"logits": logits}, labels), FocalLoss()(logits, labels[:, :2]))


def test_with_weight_zero_the_student_is_trained_as_without_a_teacher_bit_for_bit(parts):
    config = replace(TINY, distillation_weight=0.0)
    taught = keyword_distillation(*parts, loss="focal", config=config, seed=1, progress=False)
    module, description = resolve_loss("focal", None, parts[0])
    tokenizer = load_tokenizer("tiny")
    build = keyword_model(config, parts[0], tokenizer)
    alone = fit(lambda: build(module, 1), tokenizer, parts[:2], module, description, config, 1, progress=False)
    scores = torch.sigmoid(forward(alone.model, tokenizer, parts[2].texts, 16).double()).numpy()
    assert np.array_equal(taught.scores["test"], scores)
    assert taught.history == alone.history  # no row speaks of a teacher


def test_a_teacher_changes_the_student_and_the_same_seed_gives_the_same(parts, run):
    again = keyword_distillation(*parts, loss="focal", config=TINY, seed=1, progress=False)
    assert np.array_equal(again.scores["test"], run.scores["test"])
    free = replace(TINY, distillation_weight=0.0)
    assert not np.array_equal(
        keyword_distillation(*parts, loss="focal", config=free, seed=1, progress=False).scores["test"],
        run.scores["test"],
    )


def test_the_run_is_that_of_the_student(parts, run):
    assert run.method == "keyword_distillation" and set(run.metrics["test"]) == set(THRESHOLDS)
    assert run.scores["test"].shape == (len(parts[2]), 4) and run.gamma is not None
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert 0 < run.history[0]["teacher_average_precision_weighted"] <= 1
    with pytest.raises(UsageError, match="a run of method 'keyword_distillation' cannot be saved; use one of"):
        run.save("nowhere")


def test_a_marker_in_validation_and_test_is_never_learned(parts):
    train, validation, test = parts
    marked = [
        replace(split, texts=[f"zebra {t}" if row[0] else t for t, row in zip(split.texts, split.dense_labels)])
        for split in (validation, test)
    ]
    config, texts = replace(TINY, epochs=1, keep="last"), [*test.texts, "zebra"]
    runs = [keyword_distillation(train, *rest, config=config, progress=False) for rest in ((validation, test), marked)]
    one, other = (run.predictor.predict_scores(texts) for run in runs)
    assert np.array_equal(one, other)


def test_evenly_spaced_layers_are_kept():
    encoder = load_encoder("tiny")
    first = encoder.encoder.layer[0]
    keep_layers(encoder, 1, "tiny")
    assert list(encoder.encoder.layer) == [first] and encoder.config.num_hidden_layers == 1
    six = load_encoder("tiny")
    six.encoder.layer = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(6))
    layers = list(six.encoder.layer)
    keep_layers(six, 3, "six")
    assert list(six.encoder.layer) == [layers[0], layers[2], layers[4]]
    with pytest.raises(UsageError, match="student_layers is 3, but encoder 'tiny' has 1 layers; pass at most that"):
        keep_layers(encoder, 3, "tiny")


def test_what_cannot_be_distilled_is_refused(parts):
    with pytest.raises(UsageError, match="lora_rank is 8, but distillation trains all weights"):
        KeywordDistillationConfig(lora_rank=8)
    with pytest.raises(UsageError, match="student_layers is 3, but encoder 'tiny' has 2 layers"):
        keyword_distillation(*parts, config=replace(TINY, student_layers=3), progress=False)
