"""The losses that do not fall apart into elements: numbers, gradients, masks, reductions and laws of their own."""

import math

import pytest
import torch
from reference_losses import REFERENCES, whole_reference

from afl_helpers.errors import UsageError
from afl_helpers.losses import LOSSES, build_loss, sigmoid_f1_loss, two_way_loss, zlpr_loss

COUPLED = sorted(name for name in LOSSES if LOSSES[name].unit != "element")
BATCH = sorted(name for name in LOSSES if LOSSES[name].unit == "batch")
DOCUMENT = sorted(name for name in LOSSES if LOSSES[name].unit == "document")
SOFT = sorted(name for name in COUPLED if LOSSES[name].soft_targets)

every_coupled_loss = pytest.mark.parametrize("name", COUPLED)


def batch(rows=4, n_labels=5, scale=2.0, seed=0):
    """A document and a label without a positive, and a document with all others."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, n_labels, generator=generator, dtype=torch.float64) * scale
    y = torch.randint(0, 2, (rows, n_labels), generator=generator).double()
    y[0], y[-1] = 0, 1
    y[:, -1] = 0
    return z.requires_grad_(), y


def gradient(value, z):
    return torch.autograd.grad(value, z)[0]


def hidden(values, mask):
    return [[v if k else None for v, k in zip(row, kept)] for row, kept in zip(values.tolist(), mask.tolist())]


# --- against the reference in 80 digits -----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["defaults", "other"])
@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_coupled_loss
def test_value_and_gradient(name, dtype, scale, which):
    params = getattr(REFERENCES[name], which)
    loss = build_loss(name, **params)
    for seed, masked in ((1, False), (2, True)):
        z, y = batch(scale=scale, seed=seed)
        z = z.detach().to(dtype).requires_grad_()
        mask = torch.ones(4, 5, dtype=torch.bool)
        if masked:
            mask[1, 2] = mask[3, 0] = False
            mask[2] = False
        value, slopes = whole_reference(name, params, hidden(z, mask), hidden(y, mask))
        kept_z, kept_y = torch.where(mask, z, torch.nan), torch.where(mask, y, torch.nan)
        found = loss(kept_z, kept_y, mask=mask if masked else None)
        relative = 2e-5 if dtype == torch.float32 else 1e-11
        assert found.item() == pytest.approx(float(value), rel=relative, abs=1e-30)
        for a, b in zip(gradient(found, z).flatten().tolist(), [float(s) for row in slopes for s in row]):
            # The derivative of F1 is a difference of sums over the batch, whose digits cancel where s is 0 or 1.
            assert a == pytest.approx(b, rel=relative * (50 if name == "sigmoid_f1" else 1), abs=1e-12 if b else 0)


@pytest.mark.parametrize("z", [-1e4, -300.0, -40.0, 40.0, 300.0, 1e4])
@every_coupled_loss
def test_far_out(name, z):
    """One label right and one wrong, as far as the reference goes."""
    logits, targets = [[z, -z], [-z, z]], [[1, 1], [0, 0]]
    value, slopes = whole_reference(name, {}, logits, targets)
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor(logits, dtype=dtype, requires_grad=True)
        found = build_loss(name)(x, torch.tensor(targets))
        assert found.item() == pytest.approx(float(value), rel=2e-5, abs=1e-30)
        expected = torch.tensor([[float(s) for s in row] for row in slopes], dtype=dtype)
        torch.testing.assert_close(gradient(found, x), expected, rtol=2e-5, atol=1e-12)


@pytest.mark.parametrize("name", SOFT)
def test_soft_targets_against_the_reference(name):
    z, _ = batch()
    y = torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    value, slopes = whole_reference(name, {}, z.tolist(), y.tolist())
    found = build_loss(name)(z, y)
    assert found.item() == pytest.approx(float(value), rel=1e-12)
    torch.testing.assert_close(gradient(found, z), torch.tensor([[float(s) for s in row] for row in slopes]).double())


def test_references_by_hand():
    ln3 = math.log(3)
    value, slopes = whole_reference("zlpr", {}, [[ln3, ln3, 0.0]], [[1, 0, 0]])
    assert float(value) == pytest.approx(math.log(1 + 3 + 1) + math.log(1 + 1 / 3))
    assert [float(s) for s in slopes[0]] == pytest.approx([-1 / 4, 3 / 5, 1 / 5])
    # Column 1 has a positive at 0 and a negative at ln 3: log(1 + 3); the row, one at 0: log 2. Column 2 has no positive.
    value, slopes = whole_reference("two_way", {}, [[0.0, 0.0], [ln3, 0.0]], [[1, 0], [0, 0]])
    assert float(value) == pytest.approx(math.log(4) + math.log(2))
    assert [float(s) for row in slopes for s in row] == pytest.approx([-3 / 4 - 1 / 2, 1 / 2, 3 / 4, 0])
    # Two positives at 0 with Tp = 4: (1 + 1)^4 = 16 in the row.
    value, _ = whole_reference("two_way", {}, [[0.0, 0.0, 0.0]], [[1, 1, 0]])
    assert float(value) == pytest.approx(0 + math.log(17))
    # s = 3/4 for a positive, 1/2 for a negative: 1 - 2 (3/4) / (3/4 + 1/2 + 1) = 1/3; a label without a positive: 1.
    value, slopes = whole_reference("sigmoid_f1", {}, [[ln3, 5.0], [0.0, 5.0]], [[1, 0], [0, 0]])
    assert float(value) == pytest.approx((1 / 3 + 1) / 2)
    assert float(slopes[1][0]) == pytest.approx(1.5 / 2.25**2 / 4 / 2) and slopes[0][1] == 0


@pytest.mark.parametrize("which", ["defaults", "other"])
@every_coupled_loss
def test_second_derivative(name, which):
    loss = build_loss(name, **getattr(REFERENCES[name], which))
    z, y = batch(rows=3, n_labels=3)
    mask = torch.ones(3, 3, dtype=torch.bool)
    mask[1, 2] = False
    assert torch.autograd.gradcheck(lambda z: loss(z, y, mask=mask), z)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, y, mask=mask), z)


# --- masks and reductions -------------------------------------------------------------------------------------------


@every_coupled_loss
def test_a_masked_label_of_all_documents_is_as_if_it_did_not_exist(name):
    loss = build_loss(name)
    z, y = batch()
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[:, 2] = False
    kept = [0, 1, 3, 4]
    found, expected = loss(z, y, mask=mask), loss(z[:, kept], y[:, kept])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found, z), gradient(expected, z))


@every_coupled_loss
def test_a_masked_document_is_as_if_it_did_not_exist(name):
    loss = build_loss(name)
    z, y = batch()
    mask = torch.ones(4, 5)
    mask[1] = 0
    torch.testing.assert_close(loss(z, y, mask=mask), loss(z[[0, 2, 3]], y[[0, 2, 3]]))
    if name in DOCUMENT:
        whole = loss(z, y, mask=mask, reduction="sum_over_classes")
        torch.testing.assert_close(whole * 4, loss(z, y, mask=mask, reduction="sum"))


@pytest.mark.parametrize("name", DOCUMENT)
def test_reductions_of_a_loss_per_document(name):
    loss = build_loss(name)
    z, y = batch()
    documents = loss(z, y, reduction="none")
    alone = torch.stack([loss(z[[i]], y[[i]]) for i in range(4)])
    assert documents.shape == (4,)
    torch.testing.assert_close(documents, alone)
    torch.testing.assert_close(loss(z, y), documents.mean())
    torch.testing.assert_close(loss(z, y, reduction="sum_over_classes"), documents.mean())
    torch.testing.assert_close(build_loss(name, reduction="sum")(z, y), documents.sum())


@pytest.mark.parametrize("reduction", ["none", "sum", "sum_over_classes"])
@pytest.mark.parametrize("name", BATCH)
def test_a_loss_of_a_batch_has_no_other_reduction(name, reduction):
    z, y = batch()
    for call in (
        lambda: build_loss(name, reduction=reduction),
        lambda: build_loss(name)(z, y, reduction=reduction),
        lambda: {"two_way": two_way_loss, "sigmoid_f1": sigmoid_f1_loss}[name](z, y, reduction=reduction),
    ):
        with pytest.raises(UsageError, match=f'reduction is "{reduction}"; this loss is one number per batch.*"mean"'):
            call()


@every_coupled_loss
def test_rows_of_tokens_are_documents(name):
    z, y = batch(rows=6)
    loss, mask, weight = build_loss(name), torch.rand(6, 5) < 0.8, torch.rand(6)
    for kwargs in ({}, {"mask": mask}, {"mask": mask, "weight": weight}):
        shaped = {key: value.reshape(2, 3, *value.shape[1:]) for key, value in kwargs.items()}
        torch.testing.assert_close(loss(z.reshape(2, 3, 5), y.reshape(2, 3, 5), **shaped), loss(z, y, **kwargs))
    torch.testing.assert_close(loss(z[0], y[0]), loss(z[:1], y[:1]))


@pytest.mark.parametrize("name", BATCH)
def test_a_weight_of_a_batch_repeats_documents(name):
    z, y = batch()
    repeated = [0, 1, 1, 3, 3, 3]
    loss, weight = build_loss(name), torch.tensor([1, 2, 0, 3])
    torch.testing.assert_close(loss(z, y, weight=weight), loss(z[repeated], y[repeated]))
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[1, 1] = mask[0, 3] = False
    torch.testing.assert_close(
        loss(z, y, mask=mask, weight=weight), loss(z[repeated], y[repeated], mask=mask[repeated])
    )


@pytest.mark.parametrize("name", DOCUMENT)
def test_a_weight_multiplies_documents(name):
    z, y = batch()
    loss, weight = build_loss(name), torch.tensor([1.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    documents = loss(z, y, reduction="none") * weight
    torch.testing.assert_close(loss(z, y, weight=weight, reduction="none"), documents)
    torch.testing.assert_close(loss(z, y, weight=weight), documents.mean())


@every_coupled_loss
def test_weights_of_elements_are_refused(name):
    z, y = batch()
    with pytest.raises(UsageError, match=r"weight has shape \(4, 5\); this loss compares labels.*\(4,\)"):
        build_loss(name)(z, y, weight=torch.ones(4, 5))
    with pytest.raises(UsageError, match="weight holds -1"):
        build_loss(name)(z, y, weight=[1, -1, 1, 1])


# --- in a Trainer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_over_classes"])
@pytest.mark.parametrize("name", DOCUMENT)
def test_parts_of_a_batch_add_up(name, reduction):
    z, y = batch(rows=5)
    loss = build_loss(name, reduction=reduction)
    hook = loss.for_trainer()
    parts = sum(hook({"logits": z[rows]}, y[rows], num_items_in_batch=25) for rows in (slice(0, 2), slice(2, 5)))
    torch.testing.assert_close(parts, loss(z, y))
    torch.testing.assert_close(hook({"logits": z}, y), loss(z, y))


@pytest.mark.parametrize("name", COUPLED)
def test_unknown_labels_in_a_trainer(name):
    """-100, one label of a document and a whole document; Trainer counts the others."""
    z, y = batch(rows=5)
    known = torch.ones(5, 5, dtype=torch.bool)
    known[1, 2] = False
    known[3] = False
    loss = build_loss(name)
    labels = torch.where(known, y, -100.0)
    torch.testing.assert_close(loss.for_trainer()({"logits": z}, labels, 19), loss(z, y, mask=known))
    labels = torch.where(known, y, torch.nan)  # which Trainer counts
    torch.testing.assert_close(loss.for_trainer()({"logits": z}, labels, 25), loss(z, y, mask=known))


def test_unknown_labels_of_documents_whose_number_nobody_knows_are_refused():
    z, y = batch(rows=5)
    hook = build_loss("zlpr").for_trainer()
    y[3] = -100  # as padding: no label of the document counts
    parts = sum(hook({"logits": z[rows]}, y[rows], num_items_in_batch=20) for rows in (slice(0, 2), slice(2, 5)))
    torch.testing.assert_close(parts, build_loss("zlpr")(z[[0, 1, 2, 4]], y[[0, 1, 2, 4]]))
    y[1, 2] = -100
    with pytest.raises(UsageError, match="unknown values of a document that has others.*do not split the batch"):
        hook({"logits": z[:2]}, y[:2], num_items_in_batch=19)


@pytest.mark.parametrize("name", BATCH)
def test_parts_of_a_batch_are_averaged_where_they_cannot_add_up(name):
    """Each is a batch of its own, and weighs as many elements as it has."""
    z, y = batch(rows=5)
    loss = build_loss(name)
    hook = loss.for_trainer()
    torch.testing.assert_close(hook({"logits": z}, y, num_items_in_batch=25), loss(z, y))
    parts = sum(hook({"logits": z[rows]}, y[rows], num_items_in_batch=25) for rows in (slice(0, 2), slice(2, 5)))
    torch.testing.assert_close(parts, 0.4 * loss(z[:2], y[:2]) + 0.6 * loss(z[2:], y[2:]))
    assert abs(parts - loss(z, y)) > 1e-3


# --- laws -----------------------------------------------------------------------------------------------------------


@every_coupled_loss
def test_the_order_of_labels_and_documents_does_not_matter(name):
    z, y = batch()
    loss = build_loss(name)
    torch.testing.assert_close(loss(z.flip(0), y.flip(0)), loss(z, y))
    torch.testing.assert_close(loss(z.flip(1), y.flip(1)), loss(z, y))


@every_coupled_loss
def test_a_gradient_never_points_the_wrong_way(name):
    for seed in range(5):
        z, y = batch(seed=seed, scale=4.0)
        slope = gradient(build_loss(name)(z, y), z)
        assert (slope * (1 - 2 * y) >= 0).all() and (slope != 0).any()


def test_zlpr_of_one_label_is_cross_entropy():
    z, y = batch(n_labels=2)
    z, y = z[:, :1], y[:, :1]
    torch.testing.assert_close(zlpr_loss(z, y), build_loss("bce")(z, y))


def test_zlpr_compares_every_positive_with_every_negative():
    """Its sums multiplied out: 1, each negative, each positive, each pair."""
    z, y = batch()
    for row, labels, found in zip(z, y, zlpr_loss(z, y, reduction="none")):
        negatives, positives = row[labels == 0].exp(), (-row[labels == 1]).exp()
        pairs = (negatives[:, None] * positives).sum()
        torch.testing.assert_close(found, torch.log(1 + negatives.sum() + positives.sum() + pairs))


def test_zlpr_limits_what_a_document_teaches():
    z, y = batch(rows=6, n_labels=300, scale=5.0)
    slope = gradient(zlpr_loss(z, y, reduction="sum"), z)
    for sign in (0, 1):
        assert (torch.where(y == sign, slope, 0.0).sum(1).abs() < 1).all()


def test_two_way_sees_differences_alone():
    z, y = batch()
    slope = gradient(two_way_loss(z, y), z)
    assert abs(slope.sum().item()) < 1e-12
    torch.testing.assert_close(two_way_loss(z + 3.0, y), two_way_loss(z, y))


def test_two_way_of_a_batch_without_positives_or_without_negatives_is_0():
    z, _ = batch()
    for y in (torch.zeros(4, 5), torch.ones(4, 5)):
        value = two_way_loss(z, y)
        assert value == 0 and (gradient(value, z) == 0).all()


def test_two_way_at_temperature_1_multiplies_the_sums():
    z, y = batch(rows=1)
    y[0, 1] = 1
    negatives, positives = z[y == 0].exp().sum(), (-z[y == 1]).exp().sum()
    # Each column of one document holds a positive or negatives, never both: only the row counts.
    torch.testing.assert_close(two_way_loss(z, y, 1.0, 1.0), torch.log1p(negatives * positives))


def test_sigmoid_f1_of_sure_scores_is_macro_f1():
    generator = torch.Generator().manual_seed(0)
    y, predicted = (torch.randint(0, 2, (30, 4), generator=generator) for _ in range(2))
    found = 1 - sigmoid_f1_loss((2.0 * predicted - 1) * 1e3, y)
    by_label = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in zip(y.T, predicted.T)]
    torch.testing.assert_close(found, torch.stack(by_label).mean())


def test_sigmoid_f1_on_probabilities_is_the_authors_form():
    """S = -slope and E = offset, with what they add to a denominator."""
    z, y = batch()
    for S, E in ((-1.0, 0.0), (-10.0, -0.5), (-10.0, 1.0)):
        s = 1 / (1 + torch.exp(S * (z.sigmoid() + E)))
        tp, fp, fn = ((a * b).sum(0) for a, b in ((s, y), (s, 1 - y), (1 - s, y)))
        theirs = (1 - 2 * tp / (2 * tp + fn + fp + 1e-16)).mean()
        found = sigmoid_f1_loss(z, y, slope=-S, offset=E, on_probabilities=True)
        torch.testing.assert_close(found, theirs)
        torch.testing.assert_close(gradient(found, z), gradient(theirs, z))
        assert (theirs - 1).abs() < 0.9 and (y.sum(0) == 0).any()  # a label without a positive counts in both


def test_two_way_is_the_authors_form_where_its_mask_value_does_not_leak():
    z, y = batch(rows=6)
    y[:, -1] = torch.tensor([0, 1, 0, 1, 0, 1])
    y[-1, 0] = 0

    def theirs(z, y):
        negatives = torch.logsumexp(torch.where(y > 0, -100.0, z), 0)
        positives = 4 * torch.logsumexp(torch.where(y == 0, -100.0, -z / 4), 0)
        return torch.nn.functional.softplus(negatives + positives)[(y > 0).any(0)].mean()

    torch.testing.assert_close(two_way_loss(z, y), theirs(z, y) + theirs(z.T, y.T))
