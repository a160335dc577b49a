"""The map from focal scores to probabilities, against its definition in 50 digits and more."""

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from afl_helpers.errors import UsageError
from afl_helpers.evaluation import best_constant_logit, best_constant_score, posterior_logits, posterior_scores
from afl_helpers.evaluation.posterior import lowest_scores_at, posterior_logits_of_scores
from afl_helpers.losses import (
    AdaptiveFocalLoss,
    AsymmetricLoss,
    BinaryCrossEntropy,
    ClassBalancedLoss,
    FocalLoss,
    build_loss,
)

GAMMAS = (1e-12, 1e-3, 0.1, 0.5, 1, 2, 3, 5, 10, 50, 1e3)
LOGITS = (1e-300, 1e-20, 1e-8, 1e-4, 0.1, 1, 3, 9, 40, 100, 600, 699, 701, 745, 1e3, 1e4)
SCORES = (1e-300, 1e-100, 1e-20, 1e-6, 0.001, 0.1, 0.25, 0.49, 0.4999999, 0.5000001, 0.75, 0.99, 1 - 1e-12, 1 - 2**-53)


def digits(z: float) -> int:
    """Return 50 digits, and those that it takes for exp(-z) to change a sum with 1, or z one with exp(z)."""
    return 50 + int(abs(z)) + max(0, -int(np.log10(abs(z))))


def log_odds(z, gamma):
    """Return the log odds of the probability for which z is the best logit, from the derivatives of both losses.

    Of a positive, -(1 - p)^gamma log p, and of a negative, -p^gamma log(1 - p), in p and both times p (1 - p).
    """
    p, q, gamma = 1 / (1 + mp.exp(-z)), 1 / (1 + mp.exp(z)), mp.mpf(gamma)
    positive = q**gamma * (q - gamma * p * mp.log(p))
    negative = p**gamma * (p - gamma * q * mp.log(q))
    return mp.log(negative) - mp.log(positive)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_logits_equal_the_stationarity_condition(gamma):
    for z in LOGITS:
        with mp.workdps(digits(z)):
            exact = log_odds(mp.mpf(z), gamma)
            for sign in (1, -1):
                found = posterior_logits([sign * z], gamma)[0]
                assert abs(sign * mp.mpf(float(found)) / exact - 1) < 2e-14, (sign * z, gamma)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_scores_equal_the_stationarity_condition(gamma):
    for p in SCORES:
        with mp.workdps(digits(2 * np.log(p))):
            z = mp.log(mp.mpf(p) / (1 - mp.mpf(p)))
            exact = 1 / (1 + mp.exp(-log_odds(z, gamma)))
            found = mp.mpf(float(posterior_scores([p], gamma)[0]))
            assert (found < 1e-306) if exact < 1e-307 else abs(found / exact - 1) < 1e-11, (p, gamma)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("eta", [1e-4, 0.05, 0.5, 0.9])
def test_the_score_that_minimises_the_expected_loss_maps_to_the_probability(eta, gamma):
    with mp.workdps(50):

        def slope(z):
            def risk(x):
                p = 1 / (1 + mp.exp(-x))
                return -eta * (1 - p) ** gamma * mp.log(p) - (1 - eta) * p**gamma * mp.log(1 - p)

            return mp.diff(risk, z)

        start = float(best_constant_logit(eta, gamma))
        best = mp.findroot(slope, (start - 0.1, start + 0.1), solver="anderson", tol=1e-30)
    assert posterior_scores(float(1 / (1 + mp.exp(-best))), gamma) == pytest.approx(eta, rel=1e-12)
    assert posterior_logits(float(best), gamma) == pytest.approx(np.log(eta / (1 - eta)), rel=1e-12, abs=1e-12)


def test_by_hand():
    # gamma 1, p 1/4: a positive pulls 3/4 / (1/4) + log 4, a negative 1/4 / (3/4) + log 4/3
    pulls = 1 / 3 + np.log(4 / 3), 3 + np.log(4)
    assert posterior_scores(0.25, 1.0) == pytest.approx(pulls[0] / sum(pulls), rel=1e-14)
    assert posterior_scores([0.25, 0.5, 0.75], 2.0) == pytest.approx([0.049856, 0.5, 0.950144], abs=1e-6)


def test_at_gamma_0_scores_and_logits_stay_as_they_are():
    scores = np.random.default_rng(0).random((50, 3))
    assert (posterior_scores(scores, 0.0) == scores).all() and (posterior_logits(scores, [0, 0, 0]) == scores).all()
    assert posterior_scores([0.0, 5e-324, 1.0], 0).tolist() == [0.0, 5e-324, 1.0]
    mixed = posterior_scores(scores, [0.0, 2.0, 0.0])
    assert (mixed[:, [0, 2]] == scores[:, [0, 2]]).all() and (mixed[:, 1] != scores[:, 1]).all()


def test_each_label_has_its_own_gamma_and_other_shapes_are_taken():
    scores, gamma = np.random.default_rng(1).random((4, 5, 3)), np.array([0.5, 2.0, 1e3])
    mapped = posterior_scores(scores, gamma)
    assert mapped.shape == scores.shape and posterior_scores(np.empty((0, 3)), gamma).shape == (0, 3)
    for c in range(3):
        assert (mapped[..., c] == posterior_scores(scores[..., c], gamma[c])).all()
    tensors = torch.from_numpy(scores), torch.from_numpy(gamma)
    assert (posterior_scores(*tensors) == mapped).all()
    np.testing.assert_allclose(expit(posterior_logits(np.log(scores / (1 - scores)), gamma)), mapped, rtol=1e-10)


def test_ends_and_extreme_logits():
    for gamma in (0.5, 5.0, 1e3):
        assert posterior_scores([0.0, 0.5, 1.0], gamma).tolist() == [0.0, 0.5, 1.0]
        assert posterior_scores(expit([-1e4, 1e4]), gamma).tolist() == [0.0, 1.0]
        far = posterior_logits([-1e4, 1e4], gamma)
        assert far[1] == -far[0] == pytest.approx((gamma + 1) * 1e4 - np.log1p(gamma), rel=1e-14)
    assert posterior_logits([-np.inf, 0.0, np.inf], 2.0).tolist() == [-np.inf, 0.0, np.inf]


def neighbours(value: float, n: int = 1000) -> np.ndarray:
    """Return the floating-point numbers around a positive value, ascending."""
    return (np.array([value]).view(np.int64) + np.arange(-n, n)).view(np.float64)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.floats(1e-300, 1 - 1e-9), st.integers(1, 1000).map(lambda k: 2.0**-k), st.floats(0.499, 0.501)),
    st.one_of(st.floats(0, 1e3), st.sampled_from([0, 1e-12, 1, 2, 5])),
)
def test_neighbouring_numbers_keep_their_order(value, gamma):
    around = neighbours(value)
    assert (np.diff(posterior_scores(around, gamma)) >= 0).all()
    assert (np.diff(posterior_logits_of_scores(around, np.array(float(gamma)))) >= 0).all()
    above = 1 - around[::-1]
    assert (np.diff(posterior_scores(above, gamma)) >= 0).all()
    for logits in (around * 1e3, -around[::-1], neighbours(value * 1e4)):
        assert (np.diff(posterior_logits(logits, gamma)) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1e3))
def test_the_lowest_score_at_log_odds_is_the_lowest(score, gamma):
    gammas = np.array([gamma, 0.0])
    odds = float(posterior_logits_of_scores(np.array(score), np.array(gamma)))
    lowest = lowest_scores_at(odds, gammas)
    assert (posterior_logits_of_scores(lowest, gammas) >= odds).all() and lowest[0] <= score
    below = np.nextafter(lowest, -1)
    assert (posterior_logits_of_scores(np.maximum(below, 0), gammas) < odds)[below >= 0].all()


@pytest.mark.parametrize("gamma", (0, *GAMMAS))
def test_the_best_constant_maps_to_the_rate(gamma):
    for rate in (1e-300, 1e-12, 1e-6, 0.001, 0.2, 0.4999, 0.5, 0.6, 0.99, 1 - 1e-12):
        logit = float(best_constant_logit(rate, gamma))
        with mp.workdps(400):
            found = 1 / (1 + mp.exp(-log_odds(mp.mpf(logit), gamma)))
            assert abs(found / mp.mpf(rate) - 1) < 1e-12, (rate, gamma)
        if rate > 1e-12 or gamma == 0:
            assert posterior_scores(best_constant_score(rate, gamma), gamma) == pytest.approx(rate, rel=1e-10)


def test_the_best_constant_by_label():
    rates = np.array([0.3, 0.001, 0.5])
    assert best_constant_logit(rates, 0.0) == pytest.approx(np.log(rates / (1 - rates)))
    assert (best_constant_score(rates, 0.0) == rates).all()
    found = best_constant_score(rates, [0.0, 5.0, 1e3])
    assert found[0] == 0.3 and 0.2 < found[1] < 0.3 and found[2] == 0.5  # about 1/4 for a rare label
    assert best_constant_logit([0.25, 0.75], 3.0).sum() == 0


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: posterior_scores([0.5, 1.5], 2.0), r"outside \[0, 1\]; posterior_scores needs probabilities"),
        (lambda: posterior_scores([0.5, np.nan], 2.0), "scores hold NaN; pass numbers"),
        (lambda: posterior_logits([np.nan], 2.0), "logits hold NaN; pass numbers"),
        (lambda: posterior_scores([0.5], -1.0), "gamma holds -1.0; pass finite numbers of at least 0"),
        (lambda: posterior_scores([0.5], [np.inf]), "gamma holds inf; pass finite"),
        (lambda: posterior_scores([[0.5, 0.5]], [1, 2, 3]), r"gamma has shape \(3,\); .* the last axis has 2 labels"),
        (lambda: best_constant_score([0.0, 0.1], 2.0), r"rate must be strictly between 0 and 1; pass \(count"),
        (lambda: best_constant_logit(0.1, [[1.0]]), "gamma has shape"),
    ],
)
def test_errors(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_losses_say_whether_a_gamma_maps_their_scores():
    assert FocalLoss([1.0, 2.0]).posterior_gamma.tolist() == [1.0, 2.0]
    assert FocalLoss(2.0, alpha=0.5).posterior_gamma.item() == 2.0  # both signs weigh the same
    assert AdaptiveFocalLoss([1.0, 2.0], alpha=[0.1, 1.0]).posterior_gamma.tolist() == [1.0, 2.0]
    assert ClassBalancedLoss([1.0, 3.0], gamma=1.5).posterior_gamma.item() == 1.5
    assert (
        build_loss("afl", [100, 10], 200).posterior_gamma.tolist() == build_loss("afl", [100, 10], 200).gamma.tolist()
    )
    without = FocalLoss(2.0, alpha=0.25), AdaptiveFocalLoss(2.0, gamma_negative=1.0), AsymmetricLoss()
    assert [loss.posterior_gamma for loss in (*without, BinaryCrossEntropy())] == [None] * 4


def test_the_map_is_right_for_the_losses_themselves():
    """At the mapped probability, the expected gradient of the loss is 0."""
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None].repeat(1, 3).requires_grad_()
    for loss in (
        AdaptiveFocalLoss([0.5, 2.0, 5.0], alpha=[0.2, 1.0, 0.5], rescale_by=2.0),
        ClassBalancedLoss([1.0, 2.0, 3.0], gamma=[0.0, 2.0, 3.0]),
        FocalLoss(3.0),
    ):
        gamma = loss.posterior_gamma.numpy()
        eta = torch.from_numpy(posterior_scores(torch.sigmoid(z), gamma))
        [gradient] = torch.autograd.grad(loss(z, eta, reduction="sum"), z)
        assert gradient.abs().max() < 1e-12
