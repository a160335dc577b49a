import numpy as np
import pytest
import torch

from afl_helpers.errors import UsageError
from afl_helpers.relations import JaccardContrast
from afl_helpers.relations.jaccard_contrast import jaccard_contrastive_loss

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(12, 5))


def value(labels, temperature=0.3, vectors=VECTORS):
    return jaccard_contrastive_loss(
        torch.from_numpy(vectors), torch.from_numpy(labels.astype(float)), temperature
    ).item()


def by_the_formula(labels, temperature):
    z = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    total = 0.0
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        jaccard = {j: (labels[i] & labels[j]).sum() / max((labels[i] | labels[j]).sum(), 1) for j in others}
        everything = sum(np.exp(z[i] @ z[k] / temperature) for k in others)
        for j in others:
            if jaccard[j]:
                total -= jaccard[j] / sum(jaccard.values()) * np.log(np.exp(z[i] @ z[j] / temperature) / everything)
    return total / len(z)


@pytest.mark.parametrize("temperature", [0.1, 0.3, 1])
def test_the_loss_by_the_formula(temperature):
    labels = RNG.random((12, 4)) < 0.4
    labels[3] = False
    assert value(labels, temperature) == pytest.approx(by_the_formula(labels, temperature), abs=1e-10)


#: SupConLoss of pytorch-metric-learning 2.9.0 on PEER_VECTORS, three labels in turn: temperature -> value
PEER_VECTORS = np.sin(np.arange(1, 49, dtype=float) ** 1.5).reshape(12, 4)
PEER_VALUES = {0.1: 6.999726340498161, 0.3: 2.978409705296665, 1: 2.357053772465911}


@pytest.mark.parametrize("temperature", PEER_VALUES)
def test_with_one_label_per_document_it_is_the_supervised_contrastive_loss(temperature):
    labels = np.eye(3)[np.arange(12) % 3]
    assert value(labels, temperature, PEER_VECTORS) == pytest.approx(PEER_VALUES[temperature], rel=1e-10)


def test_a_document_that_shares_no_label_adds_nothing_and_gradients_are_finite():
    assert value(np.zeros((12, 3))) == 0 and value(np.eye(12)) == 0
    vectors = torch.zeros(4, 3, requires_grad=True)
    jaccard_contrastive_loss(vectors, torch.eye(4)[[0, 0, 1, 2]], 0.1).backward()
    assert torch.isfinite(vectors.grad).all()


def test_it_makes_documents_with_the_same_labels_alike():
    x = RNG.normal(size=(128, 6))
    y = np.stack([x[:, 0] > 0, x[:, 0] <= 0], axis=1)

    def likeness(**params):
        settings = {"hidden": 16, "epochs": 25, "batch_size": 64, "learning_rate": 0.02}
        net = JaccardContrast(**settings, **params).fit(x, y).network
        with torch.no_grad():
            z = net.projection(net.representation(torch.from_numpy(((x - x.mean(0)) / x.std(0)).astype(np.float32))))
            z = torch.nn.functional.normalize(z, dim=1)
        same = torch.from_numpy(y[:, :1] == y[:, 0])
        match = z @ z.T
        return (match[same].mean() - match[~same].mean()).item()

    assert likeness(share=0.5) > 1 and likeness(share=0.5, shuffled=True) < 0.6 * likeness(share=0.5)


def test_wrong_parameters():
    with pytest.raises(UsageError, match="batch_size is 32; pass an integer of at least 64"):
        JaccardContrast(batch_size=32)
    with pytest.raises(UsageError, match="shuffled is 1; pass True or False"):
        JaccardContrast(shuffled=1)
