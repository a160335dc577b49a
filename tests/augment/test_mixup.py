import numpy as np
import pytest
import torch
from scipy import stats

from afl_helpers.augment import BalancedMixup, Mixup
from afl_helpers.augment.mixup import partner_weights
from afl_helpers.errors import UsageError

N = 4000


def mixed(step, seed=0):
    """What the step does to documents 0, 1, ... whose vector holds their position and its square; the shares, partners."""
    position = np.arange(N, dtype=float)
    labels = (np.arange(N)[:, None] % 40 == [[0, 1]]).astype(np.uint8)
    labels[:, 1] = 1 - labels[:, 0]  # counts 100 and 3900
    x, y = step.fit_resample(np.stack([position, position**2], axis=1), labels, seed)
    # x = lam i + (1 - lam) j and z = lam i^2 + (1 - lam) j^2 give j = (z - i x) / (x - i)
    moved = np.abs(x[:, 0] - position) > 1e-9
    partner = position.copy()
    partner[moved] = ((x[:, 1] - position * x[:, 0])[moved] / (x[:, 0] - position)[moved]).round()
    share = np.ones(N)
    far = np.abs(partner - position) > 0
    share[far] = (x[:, 0] - partner)[far] / (position - partner)[far]
    return x, y, labels, partner.astype(int), share


def test_vectors_and_labels_are_mixed_with_the_same_share():
    x, y, labels, partner, share = mixed(Mixup())
    expected = share[:, None] * labels + (1 - share[:, None]) * labels[partner]
    assert y == pytest.approx(expected, abs=1e-6) and y.sum(1) == pytest.approx(1)
    assert y.dtype == x.dtype == np.float64


def test_partners_are_a_permutation_and_shares_have_the_beta_distribution():
    for alpha in (0.4, 1.0, 3.0):
        _, _, _, partner, share = mixed(Mixup(alpha=alpha))
        known = (share > 1e-4) & (share < 1 - 1e-4)
        assert len(set(partner[known].tolist())) == known.sum()
        clipped = stats.beta(alpha, alpha)
        low, high = clipped.cdf(1e-4), clipped.cdf(1 - 1e-4)
        uniform = (clipped.cdf(share[known]) - low) / (high - low)
        assert stats.kstest(uniform, "uniform").pvalue > 1e-3


def test_labels_keep_their_counts_on_average_and_vectors_their_mean():
    x, y, labels, *_ = mixed(Mixup())
    assert y.sum(0) == pytest.approx(labels.sum(0), rel=0.15)
    assert x[:, 0].mean() == pytest.approx((N - 1) / 2, rel=0.03)


def test_a_balanced_partner_carries_the_rare_label_as_often_as_its_weight_says():
    # IRLbl is 39 for the label of 100 documents: 100 * 39 = 3900 * 1, so half of the partners carry it.
    _, _, labels, partner, _ = mixed(BalancedMixup(alpha=3.0))
    assert labels[partner, 0].mean() == pytest.approx(0.5, abs=0.03)
    _, _, labels, partner, _ = mixed(Mixup(alpha=3.0))
    assert labels[partner, 0].mean() == pytest.approx(0.025, abs=0.01)


def test_weights_of_partners():
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    assert partner_weights(labels).tolist() == [4, 1, 1, 1, 1]


def test_each_call_with_one_generator_draws_anew():
    rng = np.random.default_rng(0)
    x, y = np.arange(12.0).reshape(6, 2), np.eye(6, dtype=int)
    assert not np.array_equal(Mixup().fit_resample(x, y, rng)[0], Mixup().fit_resample(x, y, rng)[0])


def test_losses_take_what_comes_out():
    x, y = Mixup().fit_resample(
        np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32), np.eye(8, 3, dtype=int)
    )
    logits = torch.from_numpy(x)
    from afl_helpers.losses import FocalLoss

    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(y))
    assert FocalLoss(gamma=0.0)(logits, torch.from_numpy(y)).item() == pytest.approx(expected.item(), rel=1e-6)


def test_wrong_parameters():
    with pytest.raises(UsageError, match="alpha is -0.1; pass a number of at least 0"):
        Mixup(alpha=-0.1)
