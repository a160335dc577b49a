import numpy as np
import pytest
import torch
from scipy.special import expit

from afl_helpers.errors import UsageError
from afl_helpers.relations import Hierarchy, LabelGraph
from afl_helpers.relations.label_graph import SampledPairs, contrastive_term

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 6))
Y = (X @ RNG.normal(size=(6, 5)) > 1).astype(int)
#: 0 above 1 and 2; a group above 3 and 4.
TREE = Hierarchy((*"abcde", "group"), (-1, 0, 0, 5, 5, -1), 5)
SETTINGS = {"width": 3, "epochs": 4, "batch_size": 50, "learning_rate": 0.05, "hierarchy": TREE}


def cosine(one, other):
    return abs(one @ other) / np.linalg.norm(one) / np.linalg.norm(other)


def test_the_logits_by_the_formula():
    model = LabelGraph(recursive=0, contrast=0, **SETTINGS).fit(X, Y)
    net = {name: value.detach().double().numpy() for name, value in model.network.named_parameters()}
    x = (X[7] - X.mean(0)) / X.std(0)
    v = (net["nodes.weight"] @ x + net["nodes.bias"]).reshape(6, 3)
    neighbours = {
        0: [(0, 0), (1, 2), (2, 2)],
        1: [(1, 0), (0, 1)],
        2: [(2, 0), (0, 1)],
    }  # (sender, self 0 / down 1 / up 2)
    neighbours |= {3: [(3, 0), (5, 1)], 4: [(4, 0), (5, 1)], 5: [(5, 0), (3, 2), (4, 2)]}
    logits = np.zeros(6)
    for k, senders in neighbours.items():
        total = np.zeros(3)
        for j, direction in senders:
            message = cosine(v[j], v[k]) * v[j] + net["message_bias"][k]
            total += expit(net["gates.weight"][direction] @ v[j] + net["gate_bias"][k]) * message
        logits[k] = net["weights"][k] @ np.maximum(total, 0) + net["bias"][k]
    assert np.abs(net["gate_bias"]).min() > 0 and np.abs(net["message_bias"]).max() > 0, "the formula is not tested"
    assert np.allclose(model.scores(X[7:8])[0], expit(logits[:5]), atol=1e-5)


def test_a_group_is_trained_on_the_documents_of_its_labels():
    start = LabelGraph(contrast=0, **SETTINGS | {"epochs": 1, "learning_rate": 0}).fit(X, Y).network
    carried = (Y[:, 3] | Y[:, 4]).sum()
    assert torch.sigmoid(start.bias[5]).item() == pytest.approx((carried + 0.5) / 151, abs=1e-6)


def test_the_contrastive_term_by_hand():
    v = RNG.normal(size=(4, 6, 3))
    pairs = torch.tensor([0, 5]), torch.tensor([5, 0]), torch.tensor([2, 3])
    expected = np.mean(
        [sum(np.exp(cosine(d[p], d[q]) - cosine(d[p], d[c])) for p, q, c in ((0, 5, 2), (5, 0, 3))) for d in v]
    )
    assert contrastive_term(torch.from_numpy(v), *pairs).item() == pytest.approx(expected, abs=1e-12)


def test_pairs_are_parents_of_one_level_and_a_child_of_the_first():
    #   0 and 1 on top; 2, 3 below 0 and 4 below 1; 5 below 2, 6 below 4; 7 alone
    tree = Hierarchy(tuple("abcdefgh"), (-1, -1, 0, 0, 1, 2, 4, -1), 8)
    pairs, generator = SampledPairs(tree), torch.Generator().manual_seed(0)
    drawn = {triple for _ in range(60) for triple in zip(*(t.tolist() for t in pairs.draw(generator)))}
    assert drawn == {(0, 1, 2), (0, 1, 3), (1, 0, 4), (2, 4, 5), (4, 2, 6)}
    with pytest.raises(UsageError, match="no two parents on one level"):
        LabelGraph(**SETTINGS | {"hierarchy": None}).fit(X, Y)


def test_the_contrastive_term_brings_children_near_their_parent():
    def similarity(contrast):
        net = LabelGraph(contrast=contrast, **SETTINGS | {"epochs": 30}).fit(X, Y).network
        with torch.no_grad():
            v = net.node_vectors(torch.from_numpy(((X - X.mean(0)) / X.std(0)).astype(np.float32))).numpy()
        return [np.mean([cosine(d[p], d[q]) for d in v]) for p, q in ((0, 1), (0, 2), (5, 3), (5, 4), (0, 5))]

    without, with_term = similarity(0), similarity(1)
    assert np.mean(with_term[:4]) > np.mean(without[:4]) + 0.1 and with_term[4] < without[4] - 0.1


def test_the_recursive_term_draws_the_weights_of_labels_together():
    def distance(recursive):
        w = LabelGraph(recursive=recursive, contrast=0, **SETTINGS | {"epochs": 30}).fit(X, Y).network.weights
        return (w[0] - w[1]).norm().item()

    assert distance(10) < 0.1 * distance(0)
