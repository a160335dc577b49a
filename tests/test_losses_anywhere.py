"""Every loss where losses live: other devices, copies and processes, compiled and exported, under torch.func."""

import copy
import functools
import multiprocessing
import pickle

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertForSequenceClassification, BertModel

from afl_helpers.losses import LOSSES, base, build_loss, focal_loss

COUNTS, N = [60, 20, 3, 1], 100
#: Values per class wherever a parameter takes them, so that they must be moved.
PARAMS = {
    "focal": {"gamma": [0.5, 1.0, 2.0, 3.0], "alpha": [0.2, 0.4, 0.6, 1.0]},
    "wal": {"cooccurrence": [[60, 10, 2, 1], [10, 20, 1, 0], [2, 1, 3, 0], [1, 0, 0, 1]]},
    "afl": {"alpha": [0.2, 0.4, 0.6, 3.0], "gamma_negative": [1.0, 0.5, 0.5, 2.0], "rescale": True},
}
every_loss = pytest.mark.parametrize("name", LOSSES)

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*classes have a gamma",  # afl-literal, rightly
    "ignore:.*lie on a kink",
)


def build(name, **params):
    return build_loss(name, COUNTS, N, **PARAMS.get(name, {}) | params)


def reduction_of(name, wanted):
    """``wanted``, or the one reduction that a loss of a whole batch has."""
    return "mean" if LOSSES[name].unit == "batch" else wanted


def batch(rows=6, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, 4, generator=generator, dtype=dtype) * 2 + 0.01
    y = (torch.rand(rows, 4, generator=generator) < 0.4).to(dtype)
    mask = torch.rand(rows, 4, generator=generator) < 0.8
    return z, y, mask


def gradient(loss, z, y, **kwargs):
    z = z.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(z, y, **kwargs), z)[0]


# --- other devices --------------------------------------------------------------------------------------------------


def model_with(name):
    class Model(BertForSequenceClassification):
        def __init__(self, config):
            super().__init__(config)
            self.loss_fn = build(name)

    return Model


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@every_loss
def test_from_pretrained(name, dtype, tmp_path):
    """transformers builds the model on a device without data, then loads the weights."""
    sizes = {"vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_labels": 4}
    model = model_with(name)(BertConfig(**sizes, intermediate_size=8, max_position_embeddings=8))
    for buffer in filter(torch.is_floating_point, model.loss_fn.buffers()):
        buffer.mul_(0.75)  # what was saved, and not what the constructor makes
    model.save_pretrained(tmp_path)
    loaded = model_with(name).from_pretrained(tmp_path, dtype=dtype).loss_fn
    saved, found = dict(model.loss_fn.named_buffers()), dict(loaded.named_buffers())
    assert set(saved) == set(found)
    for key, value in found.items():
        assert value.device.type == "cpu"
        assert torch.equal(value, saved[key])
    z, y, _ = batch()
    assert loaded.eval()(z, y).isfinite()


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_from_pretrained_of_an_encoder_without_the_loss(dtype, tmp_path, monkeypatch):
    """The usual case. transformers puts memory that nothing was written to in place of the buffers."""
    like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *args, **kwargs: like(*args, **kwargs).fill_(7))

    class Model(BertForSequenceClassification):
        def __init__(self, config):
            super().__init__(config)
            self.losses = torch.nn.ModuleDict({name: build(name) for name in LOSSES})
            self.losses["focal"].gamma = torch.full((4,), 9.0, device="cpu")  # set after it was built
            self.post_init()

    sizes = {"vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_labels": 4}
    config = BertConfig(**sizes, intermediate_size=8, max_position_embeddings=8)
    BertModel(config).save_pretrained(tmp_path)
    made, loaded = Model(config), Model.from_pretrained(tmp_path, dtype=dtype)
    for name, loss in loaded.losses.items():
        expected = dict(made.losses[name].named_buffers())
        assert {key: value.tolist() for key, value in loss.named_buffers()} == {
            key: value.tolist() for key, value in expected.items()
        }
    assert loaded.losses["focal"].gamma.tolist() == [9.0] * 4
    for buffer in filter(torch.is_floating_point, loaded.losses.buffers()):
        buffer.add_(1)  # as training may
    loaded.save_pretrained(tmp_path / "own")
    again = dict(Model.from_pretrained(tmp_path / "own").losses.named_buffers())
    assert all(torch.equal(value, again[key]) for key, value in loaded.losses.named_buffers())


@every_loss
def test_built_and_used_under_another_default_device(name):
    z, y, mask = batch()
    expected, slope = build(name).eval()(z, y, mask=mask), gradient(build(name).eval(), z, y)
    with torch.device("meta"):
        loss = build(name).eval()
        assert all(buffer.device.type == "cpu" for buffer in loss.buffers())
        assert torch.equal(loss(z, y, mask=mask), expected) and torch.equal(gradient(loss, z, y), slope)
        assert loss.for_trainer()((z,), y, num_items_in_batch=24).isfinite()
        loss(z, y, weight=torch.ones(6, device="cpu"))
        assert loss(z, y * 0.5 + 0.1 if loss.soft_targets else y).isfinite()
        loss.end_epoch()


@pytest.mark.parametrize("moved", [False, True])
@every_loss
def test_on_another_device_whether_or_not_the_loss_was_moved(name, moved):
    """Tensors without values on a device of their own: an operation on two devices fails as with a GPU."""
    loss = build(name)
    if moved:
        loss = loss.to("meta")
        assert all(buffer.device.type == "meta" for buffer in loss.buffers())
    z = torch.empty(6, 4, device="meta", requires_grad=True)
    y, mask = torch.empty(6, 4, device="meta"), torch.empty(6, 4, device="meta", dtype=torch.bool)
    for kwargs in ({}, {"mask": mask}, {"weight": y[:, 0]}, {"reduction": reduction_of(name, "none")}):
        value = loss(z, y, **kwargs)
        value.sum().backward()
        assert value.device.type == "meta" and z.grad.device.type == "meta"
    value = loss.for_trainer()((z,), y, num_items_in_batch=torch.empty((), device="meta", dtype=torch.int64))
    assert value.device.type == "meta"


class NoFloat64(TorchDispatchMode):
    """A device without float64: an operation that makes one fails."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            raise TypeError(f"{function} makes a float64 tensor")
        return result


@every_loss
def test_on_a_device_without_float64(name, monkeypatch):
    """MPS, by construction: after .to() no buffer is float64, and nothing that the loss computes is."""
    z, y, mask = batch()
    expected, slope = build(name).eval()(z, y, mask=mask), gradient(build(name).eval(), z, y)
    loss = build(name).eval()
    monkeypatch.setattr(base, "WITHOUT_FLOAT64", frozenset({"cpu"}))
    loss = torch.nn.ModuleList([loss]).to("cpu")[0]
    assert all(buffer.dtype != torch.float64 for buffer in loss.buffers())
    for convert in (torch.Tensor.numpy, torch.Tensor.tolist):
        y64 = convert(y.double())
        found = loss(z, y64, mask=convert(mask.double()), weight=convert(torch.ones(6, dtype=torch.float64)))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    loss(z.clone().requires_grad_(), y)  # adaptive focal loss looks at the first batch
    with NoFloat64():
        found = loss(z, y, mask=mask)
        found_slope = gradient(loss, z, y)
        loss(z, y, weight=y[:, 0])
        loss.for_trainer()((z,), torch.where(mask, y, -100.0), num_items_in_batch=mask.sum())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found_slope, slope, rtol=1e-4, atol=1e-6)


# --- copies and processes -------------------------------------------------------------------------------------------


def in_another_process(hook, z, y):
    return hook((z,), y, num_items_in_batch=y.numel()).item()


def test_hooks_in_a_process_that_was_spawned():
    """All of them in one process: starting it takes seconds."""
    z, y, _ = batch()
    hooks = [build(name).eval().for_trainer() for name in LOSSES]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.starmap(in_another_process, [(hook, z, y) for hook in hooks])
    assert found == [in_another_process(hook, z, y) for hook in hooks]


@every_loss
def test_copies(name):
    z, y, mask = batch()
    loss = build(name, reduction=reduction_of(name, "sum")).eval()
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), copy.copy(loss)):
        assert torch.equal(other(z, y, mask=mask), loss(z, y, mask=mask))
        assert other.n_labels == loss.n_labels
    hook = copy.deepcopy(loss.for_trainer())
    assert hook.loss is not loss and torch.equal(hook((z,), y), loss(z, y))


# --- compiled, exported ---------------------------------------------------------------------------------------------


@every_loss
def test_compiled_with_any_batch(name):
    loss = build(name).eval()
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (3, 6, 17):
        z, y, mask = batch(rows)
        torch.testing.assert_close(compiled(z, y, mask=mask), loss(z, y, mask=mask))
        torch.testing.assert_close(gradient(compiled, z, y), gradient(loss, z, y))


# The base class reshapes and weights for all, so two of them are tried each time.
@pytest.mark.parametrize(
    "name", [n if n in ("afl", "ral") else pytest.param(n, marks=pytest.mark.slow) for n in LOSSES]
)
def test_compiled_per_token_and_with_weights(name):
    loss = build(name).eval()
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    z, y, _ = batch(8)
    torch.testing.assert_close(compiled(z.view(2, 4, 4), y.view(2, 4, 4)), loss(z, y))
    torch.testing.assert_close(compiled(z, y, weight=y[:, 0]), loss(z, y, weight=y[:, 0]))


@every_loss
def test_exported_per_token(name):
    loss = build(name).eval()
    z, y, _ = batch(6)
    n = torch.export.Dim("n", min=2, max=64)
    program = torch.export.export(loss, (z.view(2, 3, 4), y.view(2, 3, 4)), dynamic_shapes=({0: n}, {0: n}))
    z, y, _ = batch(15, seed=1)
    torch.testing.assert_close(program.module()(z.view(5, 3, 4), y.view(5, 3, 4)), loss(z, y))


# --- derivatives ----------------------------------------------------------------------------------------------------


@every_loss
def test_batched_gradients(name):
    loss = build(name).eval()
    z, y, mask = batch(3, dtype=torch.float64)
    for kwargs in ({}, {"mask": mask}):
        leaf = z.clone().requires_grad_()
        elements = loss(leaf, y, reduction=reduction_of(name, "none"), **kwargs)
        size = elements.numel()
        upstream = torch.eye(size, dtype=torch.float64).reshape(size, *elements.shape)
        batched = torch.autograd.grad(elements, leaf, upstream, is_grads_batched=True, retain_graph=True)[0]
        single = torch.stack([torch.autograd.grad(elements, leaf, one, retain_graph=True)[0] for one in upstream])
        torch.testing.assert_close(batched, single)
        mean = loss(leaf, y, **kwargs)
        factors = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)
        batched = torch.autograd.grad(mean, leaf, factors, is_grads_batched=True)[0]
        torch.testing.assert_close(batched, factors[:, None, None] * gradient(loss, z, y, **kwargs))


@every_loss
def test_vectorized_jacobian_and_hessian(name):
    loss = build(name).eval()
    z, y, _ = batch(2, dtype=torch.float64)
    functional = torch.autograd.functional
    elements = functools.partial(loss, targets=y, reduction=reduction_of(name, "none"))
    mean = functools.partial(loss, targets=y)
    for function, of in ((functional.jacobian, elements), (functional.hessian, mean)):
        torch.testing.assert_close(function(of, z, vectorize=True), function(of, z))
    jacobian = functional.jacobian(elements, z)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(elements)(z), jacobian)


@every_loss
def test_gradient_of_each_document(name):
    loss = build(name).eval()
    z, y, mask = batch(dtype=torch.float64)

    reduction = reduction_of(name, "sum")

    def of_document(z, y, mask):
        return loss(z, y, mask=mask, reduction=reduction)

    per_document = torch.vmap(torch.func.grad(of_document))(z, y, mask)
    one_by_one = [gradient(loss, *row[:2], mask=row[2], reduction=reduction) for row in zip(z, y, mask)]
    torch.testing.assert_close(per_document, torch.stack(one_by_one))
    per_document = torch.vmap(torch.func.grad(functools.partial(loss, reduction=reduction)))(z, y)
    torch.testing.assert_close(
        per_document, torch.stack([gradient(loss, *row, reduction=reduction) for row in zip(z, y)])
    )


@every_loss
def test_forward_mode(name):
    """The derivative along a direction in the logits, the targets and the weight, against a difference quotient."""
    loss = build(name).eval()
    z, _, _ = batch(3, dtype=torch.float64)
    y = torch.full_like(z, 0.4) if loss.soft_targets else (z > 0).double()
    weight = torch.rand(3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    direction = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 0.5
    given = {"logits": z, "targets": y, "weight": weight}
    step = 1e-6
    for moved in given:
        if (moved == "targets" and not loss.soft_targets) or (moved == "logits" and not LOSSES[name].differentiated):
            continue
        along = direction if moved != "weight" else direction[:, 0].contiguous()
        with forward_ad.dual_level():
            tensors = given | {moved: forward_ad.make_dual(given[moved], along)}
            tangent = forward_ad.unpack_dual(loss(**tensors)).tangent
        up, down = (loss(**given | {moved: given[moved] + sign * step * along}) for sign in (1, -1))
        torch.testing.assert_close(tangent, (up - down) / (2 * step), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("moved", ["gamma", "alpha", "gamma_negative", "alpha_negative"])
def test_forward_mode_in_the_parameters_of_focal_loss(moved):
    z, y, _ = batch(3, dtype=torch.float64)
    values = torch.tensor([0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
    given = {name: values for name in ("gamma", "alpha", "gamma_negative", "alpha_negative")}
    with forward_ad.dual_level():
        dual = given | {moved: forward_ad.make_dual(values, torch.ones(4, dtype=torch.float64))}
        tangent = forward_ad.unpack_dual(focal_loss(z, y, **dual)).tangent
    up, down = (focal_loss(z, y, **given | {moved: values + sign * 1e-6}) for sign in (1, -1))
    torch.testing.assert_close(tangent, (up - down) / 2e-6, rtol=1e-5, atol=1e-9)
