import numpy as np
import pytest
import torch

from afl_helpers.errors import UsageError
from afl_helpers.relations import LabelAttention
from afl_helpers.relations.heads import Features

RNG = np.random.default_rng(0)
N, L, D = 60, 5, 8
TOKENS = [RNG.normal(size=(2 + i % 5, D)).astype(np.float32) for i in range(N)]
Y = (RNG.random((N, L)) < [0.2, 0.6, 0.5, 0.1, 0.3]).astype(int)
Y[:, 3] |= Y[:, 0]  # 3 wherever 0 is
SETTINGS = {"top_k": 1, "n_queries": 3, "width": 4, "epochs": 3, "batch_size": 20, "learning_rate": 0.05}


def test_labels_are_chosen_by_the_first_stage_and_by_cooccurrence_and_ordered_by_count():
    model = LabelAttention(**SETTINGS).fit(TOKENS, Y)
    logits = torch.tensor([[9.0, 0, 0, 0, 0], [0, 0, 9.0, 0, 0]])
    both = Y.T @ Y
    order = np.argsort(-Y.sum(0), kind="stable").tolist()
    for row, top in zip(model.network.chosen(logits).tolist(), (0, 2)):
        others = sorted((c for c in range(L) if c != top), key=lambda c: -both[top, c])[:2]
        assert row == sorted([top, *others], key=order.index)
    assert 3 in model.network.chosen(logits)[0]


def test_the_logits_by_the_formula():
    model = LabelAttention(**SETTINGS).fit(TOKENS, Y)
    net = {name: value.detach().double().numpy() for name, value in model.network.named_parameters()}
    states = Features(TOKENS)[torch.tensor([7])].states[0].double().numpy()
    first = net["first.layer.weight"] @ states.mean(0) + net["first.layer.bias"]
    chosen = model.network.chosen(torch.from_numpy(first[None]).float())[0].numpy()
    keys = states @ net["keys.weight"].T + net["keys.bias"]
    values = states @ net["values.weight"].T + net["values.bias"]
    read = []
    for place, label in enumerate(chosen):
        weight = np.exp(keys @ (net["labels"][label] + net["places"][place]) / 2)  # 2 is the root of the width
        read.append(weight @ values / weight.sum())
    expected = net["second.weight"] @ np.concatenate(read) + net["second.bias"]
    assert np.allclose(model.scores(TOKENS[7:8])[0], 1 / (1 + np.exp(-expected)), atol=1e-5)


def test_it_finds_a_token_that_the_mean_hides():
    # The label says whether the one token that stands out in dimension 0 points up in dimension 1.
    rng = np.random.default_rng(1)
    documents, target = [], rng.random(300) < 0.5
    for up in target:
        tokens = rng.normal(size=(12, D))
        tokens[rng.integers(12), :2] = 6, 1.5 if up else -1.5
        documents.append(tokens.astype(np.float32))
    labels = np.stack([target, ~target], axis=1)

    def accuracy(share):
        method = LabelAttention(share=share, top_k=2, n_queries=2, epochs=40, batch_size=50, learning_rate=0.02)
        scores = method.fit(documents[:200], labels[:200]).scores(documents[200:])
        return ((scores[:, 0] > 0.5) == target[200:]).mean()

    assert accuracy(0.8) > accuracy(0) + 0.1


def test_shuffled_cooccurrence_is_one_argument():
    true, shuffled = (LabelAttention(shuffle_seed=s, **SETTINGS).fit(TOKENS, Y).network.given for s in (None, 2))
    order = np.random.default_rng(2).permutation(L)
    assert torch.equal(shuffled, true[order][:, order]) and not torch.equal(shuffled, true)


def test_wrong_parameters():
    with pytest.raises(UsageError, match="n_queries is 4 and top_k 5"):
        LabelAttention(n_queries=4)
