"""The hook for transformers' Trainer: unknown and smoothed labels, what it refuses, and what a GPU does with wrong labels."""

import pickle
import warnings

import pytest
import torch
from test_losses_in_trainer import BagOfWords, tiny_bert
from transformers import Trainer, TrainingArguments

from afl_helpers.errors import UsageError
from afl_helpers.losses import (
    LOSSES,
    base,
    build_loss,
    elementwise,
    log_sum_exp,
    smooth_labels,
    soft_f1,
    trainer_hook,
)

COUNTS, N = [60, 20, 3], 100
REDUCTIONS = ("mean", "sum", "sum_over_classes")

pytestmark = pytest.mark.filterwarnings("ignore:.*classes have a gamma")  # afl-literal, rightly
every_loss = pytest.mark.parametrize("name", LOSSES)
by_element = pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].unit == "element"])


def build(name, **params):
    return build_loss(name, COUNTS, N, **params).eval()


def batch(shape=(6, 3)):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    y = (torch.rand(shape, generator=generator) < 0.4).double()
    known = torch.rand(shape, generator=generator) < 0.7
    known[0] = False
    return z, y, known


def counted(labels):
    """What Trainer passes as num_items_in_batch."""
    return labels.ne(-100).sum()


@pytest.mark.parametrize("shape", [(6, 3), (2, 4, 3)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@every_loss
def test_unknown_labels_are_left_out_as_by_a_mask(name, reduction, shape):
    if LOSSES[name].unit == "batch" and reduction != "mean":
        pytest.skip("one number per batch")
    z, y, known = batch(shape)
    loss = build(name, reduction=reduction)
    expected = loss(z, y, mask=known)
    (slope,) = torch.autograd.grad(expected, z)
    half = torch.arange(y.numel()).reshape(y.shape) % 2 == 0
    for hook, labels in (
        (loss.for_trainer(), torch.where(known, y, -100.0)),
        (loss.for_trainer(), torch.where(known, y, -100.0).long()),
        (loss.for_trainer(), torch.where(known, y, torch.nan)),
        (loss.for_trainer(), torch.where(known, y, torch.where(half, torch.nan, -100.0))),
        (loss.for_trainer(ignore_index=None), torch.where(known, y, torch.nan)),
        (loss.for_trainer(ignore_index=-1), torch.where(known, y, -1.0)),
        (loss.for_trainer(ignore_index=9), torch.where(known, y, 9.0).to(torch.int32)),
    ):
        for outputs in ({"logits": z}, (z,), z):
            for num_items in (None, counted(labels), counted(labels).item()):
                found = hook(outputs, labels, num_items_in_batch=num_items)
                torch.testing.assert_close(found, expected)
                torch.testing.assert_close(torch.autograd.grad(found, z)[0], slope)
    whole = loss.for_trainer()({"logits": z}, y, num_items_in_batch=y.numel())
    torch.testing.assert_close(whole, loss(z, y))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@by_element
def test_unknown_labels_in_a_split_batch(name, reduction):
    z, y, known = batch()
    loss = build(name, reduction=reduction)
    labels = torch.where(known, y, -100.0)
    hook, n = loss.for_trainer(), counted(labels)
    parts = sum(
        hook((z[rows],), labels[rows], num_items_in_batch=n) for rows in (slice(0, 1), slice(1, 4), slice(4, 6))
    )
    torch.testing.assert_close(parts, loss(z, y, mask=known))


def test_a_count_that_cannot_be_corrected_is_refused():
    z, y, known = batch()
    split, n = slice(0, 3), y.numel()
    with pytest.raises(UsageError, match="not -100 in a batch that Trainer splits.*mark unknown labels as -100"):
        build("bce").for_trainer()((z[split],), torch.where(known, y, torch.nan)[split], num_items_in_batch=n)
    with pytest.raises(UsageError, match='splits over steps.*build the loss with reduction="mean"'):
        loss = build("bce", reduction="sum_over_classes")
        labels = torch.where(known, y, -100.0)
        loss.for_trainer()((z[split],), labels[split], num_items_in_batch=counted(labels))


@every_loss
def test_nothing_known_costs_nothing(name):
    z, _, _ = batch()
    for reduction in ("mean",) if LOSSES[name].unit == "batch" else REDUCTIONS:
        labels = torch.full(z.shape, -100)
        value = build(name, reduction=reduction).for_trainer()((z,), labels, num_items_in_batch=counted(labels))
        assert value == 0 and (torch.autograd.grad(value, z)[0] == 0).all()


@every_loss
def test_smoothed_labels(name):
    z, y, known = batch()
    loss = build(name)
    if not loss.soft_targets:
        with pytest.raises(UsageError, match="label_smoothing is 0.2, but .* takes only targets of 0 and 1"):
            loss.for_trainer(label_smoothing=0.2)
        return
    hook, labels = loss.for_trainer(label_smoothing=0.2), torch.where(known, y, -100.0)
    expected = loss(z, 0.8 * y + 0.1, mask=known)
    torch.testing.assert_close(hook((z,), labels, num_items_in_batch=counted(labels)), expected)
    torch.testing.assert_close(hook((z,), torch.where(known, y, torch.nan)), expected)
    with pytest.raises(UsageError, match="targets hold 1.05"):  # smoothing would hide it
        hook((z,), torch.full_like(y, 1.05))


def test_smooth_labels():
    assert smooth_labels([[1, 0, 0.5]], 1.0).tolist() == [[0.5, 0.5, 0.5]]
    assert smooth_labels(torch.eye(2), 0).tolist() == [[1, 0], [0, 1]]
    assert smooth_labels(torch.eye(2).double(), 0.1).dtype == torch.float64
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="smoothing"):
            smooth_labels([1], wrong)


@every_loss
def test_the_hook_can_be_pickled(name):
    z, y, _ = batch()
    hook = build(name).for_trainer(ignore_index=-1)
    copy = pickle.loads(pickle.dumps(hook))
    assert copy((z,), y, num_items_in_batch=36) == hook((z,), y, num_items_in_batch=36)
    assert "ignore_index=-1" in repr(copy)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: build("bce", reduction="none").for_trainer(), "a Trainer needs one number"),
        (lambda: build("bce").for_trainer(ignore_index=1), "ignore_index is 1, which is a label"),
        (lambda: build("bce").for_trainer(ignore_index="no"), "ignore_index is 'no'"),
        (lambda: build("bce").for_trainer(label_smoothing=2), "label_smoothing is 2"),
        (lambda: build("bce").for_trainer()((torch.zeros(1, 2),), None), "labels are NoneType.*column 'labels'"),
        (lambda: build("bce").for_trainer()((torch.zeros(1, 2),), torch.tensor([[-1, 0]])), "targets hold -1"),
    ],
)
def test_what_the_hook_refuses(call, words):
    with pytest.raises(UsageError, match=words):
        call()


# --- a Trainer ------------------------------------------------------------------------------------------------------


class Tokens(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return {"input_ids": torch.arange(4) + i % 3, "labels": torch.tensor([1.0, 0.0, -100.0 if i % 2 else 1.0])}


class PerToken(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(10, 3)

    def forward(self, input_ids):
        return (self.embedding(input_ids),)


class TokenLabels(Tokens):
    def __getitem__(self, i):
        item = super().__getitem__(i)
        item["labels"] = item["labels"].expand(4, 3).clone()
        item["labels"][3:] = -100  # padding
        return item


def trained(loss, folder, data=None, model=None, callbacks=(), hook=None, **settings):
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=2,
        learning_rate=0.1,
        optim="sgd",
        max_grad_norm=0.0,
        label_names=["labels"],
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        seed=1,
        **{"per_device_train_batch_size": 4} | settings,
    )
    torch.manual_seed(1)
    model = (model or BagOfWords)().double()
    hook = hook or loss.for_trainer()
    trainer = Trainer(
        model, arguments, train_dataset=data or Tokens(), compute_loss_func=hook, callbacks=list(callbacks)
    )
    trainer.train()
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def test_trainer_with_unknown_labels_and_accumulated_steps(tmp_path):
    loss = build("afl")
    whole = trained(loss, tmp_path)
    parts = trained(loss, tmp_path, per_device_train_batch_size=1, gradient_accumulation_steps=4)
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize("name", ["bce", "afl", "distribution_balanced", "rebalanced_focal", "wal"])
def test_trainer_with_labels_per_token(name, tmp_path):
    """Each token is a document; padding, whose labels are unknown, adds nothing."""
    loss, start = build(name), torch.cat([p.detach().flatten() for p in PerToken().double().parameters()])
    found = trained(loss, tmp_path, TokenLabels(), PerToken)
    assert found.isfinite().all() and (found != start).any()
    parts = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    torch.testing.assert_close(trained(loss, tmp_path, TokenLabels(), PerToken, **parts), found)
    rows = trained(loss, tmp_path, TokenLabels(), PerToken, hook=by_rows(loss))
    torch.testing.assert_close(rows, found)


def by_rows(loss):
    """A function for Trainer, written out: only rows that are no padding, and the mean over their known labels."""

    def compute_loss(outputs, labels, num_items_in_batch=None):
        kept = (labels != -100).any(-1)
        z, y = outputs[0][kept], labels[kept]
        known = y != -100
        return loss(z, torch.where(known, y, 0.0), mask=known)

    return compute_loss


@pytest.mark.parametrize("problem_type", [None, "multi_label_classification"])  # for the second, Trainer drops it
def test_label_smoothing_factor_is_refused(problem_type, tmp_path):
    def model():
        bert = tiny_bert()
        bert.config.problem_type = problem_type
        return bert

    with pytest.raises(UsageError, match=r"label_smoothing_factor is 0.2.*for_trainer\(label_smoothing=0.2\)"):
        trained(build("bce"), tmp_path, model=model, label_smoothing_factor=0.2)
    with pytest.raises(UsageError, match="label_smoothing_factor is 0.2"):
        wrapped = in_a_function(in_a_function(build("bce").for_trainer()))
        trained(None, tmp_path, model=model, hook=wrapped, label_smoothing_factor=0.2)
    trained(None, tmp_path, model=model, hook=build("bce").for_trainer(label_smoothing=0.2))


def in_a_function(hook):
    """A function around the hook, as people write to change the labels first."""

    def compute_loss(outputs, labels, num_items_in_batch=None):
        return hook(outputs, labels, num_items_in_batch)

    return compute_loss


def test_a_loss_that_learns_says_when_nothing_ends_its_epochs(tmp_path):
    loss = build("plm").train()
    labels = torch.ones(8, 3)

    class Known(Tokens):
        def __getitem__(self, i):
            return super().__getitem__(i) | {"labels": labels[i]}

    with pytest.warns(UserWarning, match=r"callbacks=\[loss.callback\(\)\]") as record:
        trained(loss, tmp_path, Known())
    assert len([warning for warning in record if "callback" in str(warning.message)]) == 1
    with pytest.warns(UserWarning, match=r"callbacks=\[loss.callback\(\)\]"):
        trained(None, tmp_path, Known(), hook=in_a_function(loss.for_trainer()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trained(loss, tmp_path, Known(), callbacks=[loss.callback()])


# --- on a GPU, emulated ---------------------------------------------------------------------------------------------


@pytest.fixture
def emulated_gpu(monkeypatch):
    """The CPU as a device whose values the program does not look at, and without the kernel for the CPU."""
    for module in (base, trainer_hook):
        monkeypatch.setattr(module, "ASYNCHRONOUS", frozenset({"cpu"}))
    for module in (elementwise, log_sum_exp, soft_f1):
        monkeypatch.setattr(module, "has_fast_path", lambda *arguments: False)


class LooksAtAValue(Exception):
    pass


class NeverLooks(torch.utils._python_dispatch.TorchDispatchMode):
    """Fails where the program would wait for the device; counts the device's assertions."""

    def __init__(self):
        super().__init__()
        self.n_assertions = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "_local_scalar_dense" in str(function) or "nonzero" in str(function).replace("count_nonzero", ""):
            raise LooksAtAValue(function)
        self.n_assertions += "_assert_async" in str(function)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("wrong", [-100.0, 1.5, float("nan"), float("inf")])
@every_loss
def test_a_gpu_stops_at_a_wrong_target(name, wrong, emulated_gpu):
    z, y, _ = batch()
    y[2, 1] = wrong
    with pytest.raises(RuntimeError, match="targets"):
        build(name)(z, y)


@every_loss
def test_a_gpu_stops_at_a_wrong_mask_and_weight(name, emulated_gpu):
    z, y, _ = batch()
    with pytest.raises(RuntimeError, match="mask holds"):
        build(name)(z, y, mask=y / 2)
    with pytest.raises(RuntimeError, match="weight holds"):
        build(name)(z, y, weight=-torch.ones(6))  # one per document, which every loss takes


@every_loss
def test_a_gpu_is_never_waited_for(name, emulated_gpu):
    """... once the first batch has been looked at, as adaptive focal loss does."""
    z, y, known = batch()
    loss = build(name)
    loss(z, y)
    labels = torch.where(known, y, -100.0)
    with NeverLooks() as mode:
        loss(z, y).backward()
        assert mode.n_assertions
        loss(z, y, mask=known, weight=y[:, 0])
        found = loss.for_trainer()((z,), labels, num_items_in_batch=counted(labels))
    torch.testing.assert_close(found, loss(z, y, mask=known))


def test_a_gpu_stops_at_a_count_that_cannot_be_corrected(emulated_gpu):
    z, y, known = batch()
    labels = torch.where(known, y, torch.nan)
    with pytest.raises(RuntimeError, match="mark unknown labels as -100"):
        build("bce").for_trainer()((z[:3],), labels[:3], num_items_in_batch=torch.tensor(18))


@every_loss
def test_in_a_compiled_graph_a_wrong_target_costs_nan(name):
    z, y, _ = batch()
    y[2, 1] = -100
    torch._dynamo.reset()
    compiled = torch.compile(build(name), backend="aot_eager", fullgraph=True)
    assert compiled(z, y).isnan()
    if LOSSES[name].unit != "batch":
        assert torch.vmap(lambda z, y: build(name)(z, y))(z.detach(), y)[2].isnan()


@pytest.mark.parametrize(
    "outputs, words",
    [
        ({"logit": torch.zeros(6, 3), "loss": None}, "outputs hold 'logit', 'loss' and no 'logits'"),
        ({}, "outputs hold nothing and no 'logits'"),
        ((), "outputs are an empty tuple; pass"),
        (None, "outputs are a NoneType; pass"),
        ({"logits": None}, "logits are a NoneType; pass a torch tensor"),
        ((torch.zeros(6, 3, dtype=torch.int64),), "logits are torch.int64"),
    ],
)
def test_outputs_without_logits_are_refused_in_one_sentence(outputs, words):
    _, y, _ = batch()
    with pytest.raises(UsageError, match=words) as error:
        build("bce").for_trainer()(outputs, y)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["bce", "zlpr", "sigmoid_f1"])
def test_a_count_of_0_is_finite(name, reduction):
    if LOSSES[name].unit == "batch" and reduction != "mean":
        return
    z, y, _ = batch()
    hook = build(name, reduction=reduction).for_trainer()
    assert hook((z,), y, num_items_in_batch=0) == hook((z,), y, num_items_in_batch=1)
