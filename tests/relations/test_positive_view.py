import numpy as np
import pytest
import torch

from afl_helpers.relations import Hierarchy, PositiveView
from afl_helpers.relations.heads import Features
from afl_helpers.relations.positive_view import nt_xent

RNG = np.random.default_rng(0)
N, L, D = 40, 3, 6
TOKENS = [RNG.normal(size=(2 + i % 4, D)).astype(np.float32) for i in range(N)]
Y = (RNG.random((N, L)) < 0.5).astype(int)
Y[0] = 0
SETTINGS = {"width": 4, "hidden": 5, "epochs": 2, "batch_size": 20}


def network(**params):
    return PositiveView(**SETTINGS, **params).fit(TOKENS, Y).network


def test_a_view_keeps_tokens_by_the_probability_of_the_documents_own_labels():
    x, y = Features(TOKENS)[torch.arange(N)], torch.from_numpy(Y).float()
    everything, some, nothing = (network(threshold=t).kept(x, y) for t in (0, 0.5, 1))
    labelled = y.any(1) & ~y.all(1)
    assert torch.equal(everything > 0, x.present)
    # A document without labels keeps all its tokens; others lose some, and none keeps what is padding.
    assert torch.equal(nothing[~y.any(1)] > 0, x.present[~y.any(1)]) and not nothing[labelled].any()
    share = (some[labelled] > 0).float().sum() / x.present[labelled].sum()
    assert 0.2 < share < 0.95 and not some[~x.present].any()
    assert set(torch.unique(some.detach().round(decimals=5)).tolist()) == {0, 1}


def test_gradients_reach_the_vectors_of_the_labels():
    net = network(threshold=0.1)
    net.zero_grad()
    net.loss(Features(TOKENS)[torch.arange(20)], torch.from_numpy(Y[:20]).float()).backward()
    assert net.vectors.grad.abs().max() > 0 and net.queries.weight.grad.abs().max() > 0


def test_a_label_has_the_vectors_of_the_nodes_above_it():
    tree = Hierarchy(("a", "b", "c", "group"), (3, 0, -1, -1), 3)
    assert network(hierarchy=tree).above.int().tolist() == [[1, 0, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0]]


def test_the_contrastive_loss_by_the_formula():
    one, other = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    z = np.concatenate([one, other])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    total = 0.0
    for i in range(8):
        terms = np.exp([z[i] @ z[k] for k in range(8) if k != i])
        total -= np.log(np.exp(z[i] @ z[(i + 4) % 8]) / terms.sum())
    assert nt_xent(torch.from_numpy(one), torch.from_numpy(other)).item() == pytest.approx(total / 8, abs=1e-12)


def test_the_terms_add_up():
    x, y = Features(TOKENS)[torch.arange(20)], torch.from_numpy(Y[:20]).float()
    net = network()

    def loss(view, contrast):
        net.method = PositiveView(view=view, contrast=contrast, **SETTINGS)
        net.noise.manual_seed(1)
        return net.loss(x, y).item()

    both, neither = loss(2, 3), loss(0, 0)
    assert both == pytest.approx(neither + 2 * (loss(1, 0) - neither) + 3 * (loss(0, 1) - neither), rel=1e-5)
    assert neither == pytest.approx(torch.nn.functional.binary_cross_entropy_with_logits(net(x), y).item())
