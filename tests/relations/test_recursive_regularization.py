import numpy as np
import torch

from afl_helpers.relations import Hierarchy, RecursiveRegularization
from afl_helpers.relations.recursive_regularization import recursive_term

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
Y = (X @ RNG.normal(size=(5, 4)) > 0.8).astype(int)
TREE = Hierarchy(("a", "b", "c", "d", "group"), (-1, 0, 4, 4, -1), 4)


def weights(**params):
    method = RecursiveRegularization(hierarchy=TREE, epochs=40, batch_size=30, learning_rate=0.05, **params)
    network = method.fit(X, Y).network
    return network.layer.weight.detach().numpy(), network.groups.detach().numpy()


def test_the_gradient_is_the_difference_of_each_pair():
    w = torch.tensor(RNG.normal(size=(5, 3)), requires_grad=True)
    recursive_term(w, torch.from_numpy(TREE.edges)).backward()
    v = w.detach().numpy()
    expected = np.zeros((5, 3))
    for parent, child in ((0, 1), (4, 2), (4, 3)):
        expected[parent] += v[parent] - v[child]
        expected[child] += v[child] - v[parent]
    assert np.allclose(w.grad.numpy(), expected)


def test_a_strong_term_makes_the_weights_of_relatives_equal_and_a_weak_one_does_not():
    free, _ = weights(strength=0, weight_decay=0)
    tied, group = weights(strength=100, weight_decay=0)
    apart = np.linalg.norm(free[0] - free[1])
    assert apart > 0.5 and np.linalg.norm(tied[0] - tied[1]) < 0.05 * apart
    assert np.linalg.norm(tied[2] - tied[3]) < 0.05 * np.linalg.norm(free[2] - free[3])
    assert np.linalg.norm(group[0] - tied[2]) < 0.1 * np.linalg.norm(free[2] - free[3])
    # Labels that are not relatives keep their distance.
    assert np.linalg.norm(tied[0] - tied[2]) > 10 * np.linalg.norm(tied[0] - tied[1])


def test_a_rare_child_borrows_from_its_parent():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 8))
    direction = rng.normal(size=8)
    parent = x @ direction > 0
    child = parent & (rng.random(500) < 0.02)  # a few documents of the parent
    new = rng.normal(size=(300, 8))
    tree = Hierarchy(("parent", "child"), (-1, 0), 2)

    def agreement(strength):
        method = RecursiveRegularization(strength=strength, hierarchy=tree, epochs=80, learning_rate=0.05)
        logit = method.fit(x, np.stack([parent, child], axis=1)).scores(new)[:, 1]
        return np.corrcoef(np.log(logit / (1 - logit)), new @ direction)[0, 1]

    assert agreement(0.1) > agreement(0) + 0.05
