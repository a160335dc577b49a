import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from afl_helpers.errors import TrainingError
from afl_helpers.relations import HiddenHead, LinearHead, build_relation, token_states
from afl_helpers.relations.heads import Features, pooled
from afl_helpers.training import embed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6))
Y = (X @ RNG.normal(size=(6, 3)) + RNG.normal(size=(400, 3)) > 0.5).astype(int)


def test_the_linear_head_is_logistic_regression():
    z = (X - X.mean(0)) / X.std(0)
    y = (RNG.random((400, 1)) < 1 / (1 + np.exp(-z[:, :1]))).astype(int)
    scores = LinearHead(epochs=150, batch_size=400, learning_rate=0.05, weight_decay=0).fit(X, y).scores(X)
    peer = LogisticRegression(C=np.inf).fit(z, y[:, 0]).predict_proba(z)
    assert np.abs(scores[:, 0] - peer[:, 1]).max() < 0.005


def test_training_starts_at_the_shares_of_the_labels():
    scores = LinearHead(epochs=1, learning_rate=0).fit(X, Y).scores(X[:2])
    assert np.allclose(scores, (Y.sum(0) + 0.5) / 401, atol=1e-6)


def test_a_hidden_layer_learns_what_a_linear_head_cannot():
    one_of_two = ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(int)[:, None]

    def accuracy(head):
        return ((head.fit(X, one_of_two).scores(X) > 0.5) == one_of_two).mean()

    settings = {"epochs": 30, "batch_size": 50, "learning_rate": 0.02}
    assert accuracy(LinearHead(**settings)) < 0.65 < 0.9 < accuracy(HiddenHead(hidden=32, **settings))


def test_features_are_standardized_by_the_training_split_alone():
    features = Features(X)
    batch = features[torch.arange(400)]
    assert torch.allclose(batch.mean(0), torch.zeros(6), atol=1e-5) and torch.allclose(
        batch.std(0, correction=0), torch.ones(6)
    )
    other = Features(X[:3] * 100, features.constants)[torch.arange(3)]
    assert np.allclose(other, (X[:3] * 100 - X.mean(0)) / X.std(0), atol=1e-3)
    constant = Features(np.concatenate([X, np.full((400, 1), 7.0)], axis=1))[torch.arange(400)]
    assert torch.isfinite(constant).all() and not constant[:, 6].any()


def test_padding_of_token_states_counts_for_nothing():
    states = [RNG.normal(size=(n, 4)).astype(np.float32) for n in (1, 5, 3)]
    together = pooled(Features(states)[torch.tensor([0, 1, 2])])
    alone = torch.cat([pooled(Features(states)[torch.tensor([i])]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_token_states_average_to_the_embedding(own_cache):
    texts = ["A duel at noon.", "A kiss.", "A duel at noon.", "word " * 40]
    states = token_states(texts, "tiny", 16, progress=False)
    vectors = embed(texts, "tiny", 16, progress=False)
    assert [len(s) for s in states] == [7, 5, 7, 16] and states[0].dtype == np.float16
    for text, document in zip(texts, states):
        assert np.abs(document.astype(float).mean(0) - vectors[text]).max() < 2e-3


def test_a_loss_that_is_not_finite_is_named():
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+; pass a learning_rate below 1"):
        LinearHead(learning_rate=1, weight_decay=1e30, batch_size=8).fit(X, Y)


@pytest.mark.parametrize("name", ["linear_head", "hidden_head", "per_parent"])
def test_the_unit_of_the_features_does_not_matter(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 6))
    Y = (X[:, :3] + rng.normal(size=(80, 3)) > 0.5).astype(int)
    expected = build_relation(name).fit(X, Y).scores(X)
    for unit in (1e-8, 1e8):
        np.testing.assert_allclose(build_relation(name).fit(X * unit, Y).scores(X * unit), expected, atol=2e-3)
