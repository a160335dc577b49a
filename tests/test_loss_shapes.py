"""Every loss takes (..., n_labels), a mask, and a weight per document or element, with the numbers of the flattened batch."""

import pytest
import torch

from afl_helpers.errors import UsageError
from afl_helpers.losses import LOSSES, build_loss, reduce_loss

COUNTS, N = [60, 20, 3, 1], 100
SHAPES = [(4,), (1, 4), (6, 4), (2, 3, 4), (2, 1, 3, 4)]
REDUCTIONS = ("mean", "sum", "sum_over_classes", "none")

pytestmark = pytest.mark.filterwarnings("ignore:.*classes have a gamma")  # afl-literal, rightly
every_loss = pytest.mark.parametrize("name", LOSSES)
by_element = pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].unit == "element"])


def build(name, **params):
    loss = build_loss(name, COUNTS, N, **params)
    if name == "plm":  # masks are drawn, once the ideal shares have moved
        loss.ideal_ratio.mul_(torch.tensor([0.5, 2.0, 0.8, 1.1]))
    return loss


def batch(shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(len(shape))
    z = torch.randn(shape, generator=generator, dtype=dtype) * 3
    y = (torch.rand(shape, generator=generator) < 0.4).to(dtype)
    mask = torch.rand(shape, generator=generator) < 0.7
    weight = torch.rand(shape, generator=generator, dtype=dtype) * 3
    return z.requires_grad_(), y, mask, weight


def flat(tensor):
    return tensor.reshape(-1, tensor.shape[-1])


def value_and_gradient(loss, z, y, **kwargs):
    torch.manual_seed(5)
    leaf = z.detach().clone().requires_grad_()
    value = loss(leaf, y, **kwargs)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


#: Options that look at more than one element, or change the graph.
OPTIONS = [
    ("class_balanced", {"weight_by": "document", "beta": 0.9}),
    ("asl", {"detach_focus": True}),
    ("asl", {"detach_focus": True, "alpha": [0.1, 0.5, 0.7, 0.9]}),
    ("ntr_focal", {"divide_negatives": False}),
    ("plm", {"update": "standardized_kl"}),
    ("sigmoid_f1", {"on_probabilities": True}),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name, params", [(name, {}) for name in LOSSES] + OPTIONS)
def test_the_numbers_are_those_of_the_flattened_batch(name, params, shape):
    z, y, mask, weight = batch(shape)
    unit = LOSSES[name].unit
    of_documents = weight[..., 0]
    weights = (weight, of_documents) if unit == "element" else (of_documents,)
    masked = [{"mask": mask}] + [{"mask": mask, "weight": weight} for weight in weights]
    for reduction in ("mean",) if unit == "batch" else REDUCTIONS:
        for kwargs in ({}, *({"weight": weight} for weight in weights), *masked):
            rows = {
                key: flat(tensor) if tensor.shape == shape else tensor.reshape(-1) for key, tensor in kwargs.items()
            }
            found, slope = value_and_gradient(build(name, **params), z, y, reduction=reduction, **kwargs)
            expected, expected_slope = value_and_gradient(
                build(name, **params), flat(z), flat(y), reduction=reduction, **rows
            )
            assert found.shape == ({"element": shape, "document": shape[:-1]}[unit] if reduction == "none" else ())
            assert torch.equal(found, expected.reshape(found.shape)) and torch.equal(
                slope, expected_slope.reshape(shape)
            )


@by_element
def test_a_document_is_all_but_the_last_dimension(name):
    """Sum over classes, mean over documents: in the same batch it is n_labels times the mean."""
    z, y, _, _ = batch((2, 3, 4))
    loss = build(name).eval()
    torch.testing.assert_close(loss(z, y, reduction="sum_over_classes"), 4 * loss(z, y, reduction="mean"))


@by_element
def test_a_weight_multiplies_and_leaves_the_divisor(name):
    z, y, mask, weight = batch((6, 4))
    loss = build(name).eval()
    elements = loss(z, y, reduction="none")
    of_documents = weight[:, 0]
    for given, by_element in ((weight, weight), (of_documents, of_documents[:, None].expand(6, 4))):
        products = elements * by_element
        for reduction, divisor in (("mean", 24), ("sum", 1), ("sum_over_classes", 6)):
            torch.testing.assert_close(loss(z, y, reduction=reduction, weight=given), products.sum() / divisor)
        assert torch.equal(loss(z, y, reduction="none", weight=given), products)
    # Where an element is masked, neither its weight nor its loss is looked at.
    unknown = torch.where(mask, weight, torch.nan)
    masked = loss(z, torch.where(mask, y, -100.0), mask=mask, reduction="none") * torch.where(mask, weight, 0.0)
    found = loss(z, torch.where(mask, y, -100.0), mask=mask, weight=unknown)
    torch.testing.assert_close(found, masked.sum() / mask.sum())
    (slope,) = torch.autograd.grad(found, z)
    assert (slope[~mask] == 0).all() and slope.isfinite().all()


@by_element
def test_a_document_with_weight_two_stands_for_two(name):
    z, y, _, _ = batch((3, 4))
    loss = build(name).eval()
    twice = loss(torch.cat([z, z[:1]]), torch.cat([y, y[:1]]), reduction="sum")
    torch.testing.assert_close(loss(z, y, reduction="sum", weight=[2, 1, 1]), twice)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda loss, z, y: loss(z, y[:, :1]), r"targets has shape \(2, 1, 4\), logits have \(2, 3, 4\)"),
        (lambda loss, z, y: loss(z, y, mask=y[0] > 0), r"mask has shape \(3, 4\), logits have \(2, 3, 4\)"),
        (
            lambda loss, z, y: loss(z, y, weight=y[0, 0]),
            r"weight has shape \(4,\).*\(2, 3\), or per element.*\(2, 3, 4\)",
        ),
        (lambda loss, z, y: loss(z, y, weight=y - 1), "weight holds -1; pass finite weights of at least 0"),
        (lambda loss, z, y: loss(z, y, weight=y * torch.inf), "weight holds inf"),
        (lambda loss, z, y: loss(z, y, mask=y * 0.25 + 0.25), "mask holds 0.[25]+.*weights of elements as weight"),
        (lambda loss, z, y: loss(z, y, mask=(y * 2).long()), "mask holds 2"),
        (lambda loss, z, y: loss(z.sum(), y.sum()), "logits are .* of shape"),
        (lambda loss, z, y: loss(z.tolist(), y), "logits are a list; pass a torch tensor"),
    ],
)
@by_element
def test_what_does_not_fit_is_refused_in_one_sentence(name, call, words):
    z = torch.zeros(2, 3, 4)
    y = torch.zeros(2, 3, 4)
    y[0, 0] = 1
    with pytest.raises(UsageError, match=words) as error:
        call(build(name), z, y)
    assert "\n" not in str(error.value)


def test_reduce_loss_by_hand():
    elements = torch.arange(8.0).reshape(2, 2, 2)  # 28 in all
    assert reduce_loss(elements, "sum_over_classes") == 7 and reduce_loss(elements[0, 0], "sum_over_classes") == 1
    assert reduce_loss(elements, weight=[[1, 0], [0, 0]]).item() == 1 / 8
    mask = [[[1, 1], [0, 0]], [[0, 0], [0, 1]]]
    assert reduce_loss(elements, mask=mask).item() == pytest.approx(8 / 3)
    assert reduce_loss(elements, "sum_over_classes", mask, weight=[[2, 1], [1, 3]]).item() == (2 + 21) / 4
