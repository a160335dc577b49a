"""Every loss in an unmodified transformers Trainer: accumulated steps, several processes, evaluation, resuming.

Models compute in float64 and train by plain SGD, so equal gradients show as weights that are equal to rounding. Started
by ``torch.distributed.run``, this file is what each process does.
"""

import gc
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from afl_helpers.errors import MissingFileError
from afl_helpers.losses import LOSSES, MultiLabelLoss, build_loss

N_DOCUMENTS, N_LABELS, N_WORDS = 23, 3, 12
BATCH_SIZE = 8  # the last batch of an epoch holds 7 documents
REDUCTIONS = ("mean", "sum", "sum_over_classes")
#: With these the three reductions take the same steps on a full batch.
LEARNING_RATE = {"mean": 0.6, "sum": 0.6 / (BATCH_SIZE * N_LABELS), "sum_over_classes": 0.6 / N_LABELS}


@pytest.fixture(scope="module", autouse=True)
def imports_are_no_garbage():
    """Trainer collects garbage before each run, which takes most of the time of such small ones."""
    gc.freeze()
    yield
    gc.unfreeze()


class Documents(torch.utils.data.Dataset):
    """Random words with random labels; ``order`` is the order in which they were asked for."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.words = torch.randint(0, N_WORDS, (N_DOCUMENTS, 5), generator=generator)
        rates = torch.tensor([0.6, 0.3, 0.15])
        self.labels = (torch.rand(N_DOCUMENTS, N_LABELS, generator=generator) < rates).float()
        self.order: list[int] = []

    def __len__(self) -> int:
        return N_DOCUMENTS

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        self.order.append(int(i))
        return {"input_ids": self.words[i], "labels": self.labels[i]}


class BagOfWords(nn.Module):
    """The least that Trainer trains: no configuration, and outputs in a tuple."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(N_WORDS, 4)
        self.head = nn.Linear(4, N_LABELS)

    def forward(self, input_ids: Tensor) -> tuple[Tensor]:
        return (self.head(torch.tanh(self.embedding(input_ids))),)


def tiny_bert() -> nn.Module:
    sizes = {"vocab_size": N_WORDS, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForSequenceClassification(
        BertConfig(**sizes, **dropout, intermediate_size=8, max_position_embeddings=8, num_labels=N_LABELS)
    )


def new_model(make=BagOfWords) -> nn.Module:
    torch.manual_seed(1)
    return make().double()


def new_loss(name: str, **params) -> MultiLabelLoss:
    return build_loss(name, Documents().labels.sum(0).numpy(), N_DOCUMENTS, **params)


@dataclass
class Result:
    losses: list[float]
    change: dict[str, Tensor]
    state: dict[str, Tensor]
    order: list[int]

    @classmethod
    def of(cls, losses: list[float], model: nn.Module, start: nn.Module, loss: MultiLabelLoss, order=()) -> "Result":
        before = start.state_dict()
        change = {name: value - before[name] for name, value in model.state_dict().items() if value.is_floating_point()}
        return cls(losses, change, {name: value.clone() for name, value in loss.state_dict().items()}, list(order))

    def differences(self, other: "Result", exactly: bool = False) -> list[str]:
        """Where two runs differ: the logged losses (float32), the change of a weight, the state of the loss."""
        rtol = 0.0 if exactly else 1e-9
        same_length = len(self.losses) == len(other.losses) > 0
        close = same_length and np.allclose(self.losses, other.losses, rtol=0.0 if exactly else 1e-5, atol=0.0)
        found = [] if close else [f"losses {self.losses} and {other.losses}"]
        for mine, others, atol in ((self.change, other.change, rtol * 1e-6), (self.state, other.state, 0.0)):
            found += [name for name, value in mine.items() if not torch.allclose(others[name], value, rtol, atol)]
        return found


def train(
    loss: MultiLabelLoss,
    folder: Path,
    make=BagOfWords,
    callbacks=(),
    resume: Path | None = None,
    n_gpu=None,
    with_callback: bool = True,
    **settings,
) -> Result:
    documents = Documents()
    settings = {
        "learning_rate": LEARNING_RATE[loss.reduction],
        "per_device_train_batch_size": BATCH_SIZE,
        "num_train_epochs": 2,
        "save_strategy": "no",
    } | settings
    arguments = TrainingArguments(
        output_dir=str(folder),
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        logging_steps=1,
        label_names=["labels"],
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        **settings,
    )
    if n_gpu:
        arguments._n_gpu = n_gpu
    trainer = Trainer(
        model=new_model(make),
        args=arguments,
        train_dataset=documents,
        compute_loss_func=loss.for_trainer(),
        callbacks=list(callbacks) + ([loss.callback()] if loss.stateful and with_callback else []),
    )
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    loss.end_epoch()  # the last, where the callback has left it open
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return Result.of(losses, trainer.model, new_model(make), loss, documents.order)


def plain_loop(
    loss: MultiLabelLoss, epochs: list[list[list[int]]], learning_rate: float, random_states=None, make=BagOfWords
) -> Result:
    """What the loss means: its value on each whole batch, its gradient, one step."""
    documents, model, losses = Documents(), new_model(make), []
    optimizer = torch.optim.SGD(model.parameters(), learning_rate)
    for batches in epochs:
        for batch in batches:
            if random_states is not None:
                torch.set_rng_state(random_states[len(losses)])
            value = loss(model(documents.words[batch])[0], documents.labels[batch])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
        loss.end_epoch()
    return Result.of(losses, model, new_model(make), loss)


def batches_of(order: list[int], n_filled: int = 0) -> list[list[list[int]]]:
    """The batches of each epoch; ``n_filled`` documents of its beginning stand again at its end."""
    epochs = [order[i : i + N_DOCUMENTS] for i in range(0, len(order), N_DOCUMENTS)]
    filled = [epoch + epoch[:n_filled] for epoch in epochs]
    return [[epoch[i : i + BATCH_SIZE] for i in range(0, len(epoch), BATCH_SIZE)] for epoch in filled]


class RandomStates(TrainerCallback):
    """The state of torch's generator before each step, for the losses that draw from it."""

    def __init__(self):
        self.states: list[Tensor] = []

    def on_step_begin(self, args, state, control, **kwargs):
        self.states.append(torch.get_rng_state())


@pytest.mark.parametrize("name", LOSSES)
def test_a_run_is_the_plain_loop(name, tmp_path):
    params = {"rate": 1.0} if name == "plm" else {}
    recorder = RandomStates()
    run = train(new_loss(name, **params), tmp_path, callbacks=[recorder], learning_rate=0.05, num_train_epochs=3)
    epochs = batches_of(run.order)
    assert len(epochs) == 3 and epochs[0] != epochs[1]
    expected = plain_loop(new_loss(name, **params), epochs, 0.05, recorder.states)
    assert run.differences(expected) == []


@pytest.mark.parametrize("make", [BagOfWords, tiny_bert])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_accumulated_steps_equal_one_large_batch(reduction, make, tmp_path):
    """The last step of an epoch has parts of 2, 2, 2 and 1 documents."""
    loss = new_loss("afl", reduction=reduction)
    whole = train(loss, tmp_path, make)
    parts = train(loss, tmp_path, make, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    expected = plain_loop(loss, batches_of(whole.order), LEARNING_RATE[reduction], make=make)
    assert whole.differences(expected) == [] and parts.differences(expected) == []


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_several_gpus_of_one_process_equal_one(reduction, tmp_path, monkeypatch):
    """Trainer's default on a machine with several GPUs; on the CPU nothing but its bookkeeping differs."""
    monkeypatch.setattr(nn, "DataParallel", type("OneReplica", (), {"__new__": lambda cls, model: model}))
    loss = new_loss("afl", reduction=reduction)
    whole = train(loss, tmp_path)
    parts = train(loss, tmp_path, n_gpu=2, per_device_train_batch_size=BATCH_SIZE // 2)
    assert parts.differences(whole) == []


@pytest.mark.parametrize("reduction", ["mean", "sum_over_classes"])
def test_evaluation_gives_the_loss_of_the_whole_set(reduction, tmp_path):
    loss, documents, model = new_loss("afl", reduction=reduction), Documents(), new_model()
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_eval_batch_size=BATCH_SIZE,
        label_names=["labels"],
        use_cpu=True,
        report_to="none",
    )
    trainer = Trainer(model=model, args=arguments, eval_dataset=documents, compute_loss_func=loss.for_trainer())
    expected = loss(model(documents.words)[0], documents.labels).item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-6)


def code_of_the_page() -> dict[str, object]:
    """What the code on the page about ``compute_loss_func`` defines; its assertions hold."""
    text = (Path(__file__).resolve().parent.parent / "book" / "compute-loss-func.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(block, names)
    return names


@pytest.mark.parametrize("steps", [1, 4])
def test_the_function_on_the_page_trains_like_ours(steps, tmp_path, monkeypatch):
    settings = {"per_device_train_batch_size": BATCH_SIZE // steps, "gradient_accumulation_steps": steps}
    expected = train(new_loss("bce"), tmp_path, **settings)
    loss = new_loss("bce")
    monkeypatch.setattr(loss, "for_trainer", lambda: code_of_the_page()["compute_loss"])
    assert train(loss, tmp_path, **settings).differences(expected) == []


# --- a loss with a state --------------------------------------------------------------------------------------------

#: Checkpoints after every step, also the last of an epoch, which comes before the end of the epoch; and after every epoch.
SAVING = {
    "step": {"save_strategy": "steps", "save_steps": 1},
    "epoch": {"save_strategy": "epoch", "restore_callback_states_from_checkpoint": True},
}


@pytest.fixture(scope="module", params=SAVING)
def uninterrupted(request, tmp_path_factory):
    """How checkpoints were saved, where, and how the run ended."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, train(new_loss("plm", rate=1.0), folder, num_train_epochs=4, **SAVING[request.param])


def test_a_resumed_run_ends_as_the_uninterrupted(uninterrupted):
    saving, folder, run = uninterrupted
    assert (run.state["ideal_ratio"] / run.state["ratio"] - 1).abs().min() > 0.1
    settings = {"num_train_epochs": 4} | SAVING[saving] | {"save_strategy": "no"}
    for step in {"step": [1, 3, 5, 9], "epoch": [3, 9]}[saving]:
        resumed = train(new_loss("plm", rate=1.0), folder, resume=folder / f"checkpoint-{step}", **settings)
        assert (step, resumed.differences(run, exactly=True)) == (step, [])


def test_masking_without_its_callback_warns_once_and_does_not_mask(tmp_path):
    settings = {"num_train_epochs": 2}
    loss = new_loss("plm", rate=1.0)
    with pytest.warns(UserWarning, match=r"PartialLabelMaskingLoss learns after each epoch") as caught:
        found = train(loss, tmp_path, with_callback=False, **settings)
    assert len([warning for warning in caught if "after each epoch" in str(warning.message)]) == 1
    expected = train(new_loss("bce"), tmp_path, **settings)
    assert found.losses == pytest.approx(expected.losses)
    for name, change in expected.change.items():
        torch.testing.assert_close(found.change[name], change)


def test_saving_changes_nothing(uninterrupted, tmp_path):
    unsaved = train(new_loss("plm", rate=1.0), tmp_path, num_train_epochs=4)
    assert unsaved.differences(uninterrupted[-1], exactly=True) == []


def test_a_checkpoint_without_the_loss_is_refused(tmp_path):
    train(new_loss("bce"), tmp_path, num_train_epochs=1, **SAVING["epoch"])
    with pytest.raises(MissingFileError, match="checkpoint-3"):
        train(new_loss("plm"), tmp_path, resume=tmp_path / "checkpoint-3")


# --- two processes --------------------------------------------------------------------------------------------------

#: What two processes must do like one that takes twice the batch: the loss, the model, Trainer's settings. The last batch
#: of an epoch falls to them as 4 and 3 documents.
CASES = {
    f"{reduction}, {steps} parts": ("afl", {"reduction": reduction}, BagOfWords, {"gradient_accumulation_steps": steps})
    for reduction in REDUCTIONS
    for steps in (1, 2)
} | {
    "bert": ("afl", {}, tiny_bert, {}),
    "rebalanced": ("distribution_balanced", {}, BagOfWords, {}),
    # One epoch: in the second, processes mask other elements than one process does.
    "masked": ("plm", {}, BagOfWords, {"num_train_epochs": 1}),
}
UNEVEN = {"accelerator_config": {"even_batches": False}}


def in_one_process(case: str, folder: Path) -> Result:
    name, params, make, settings = CASES[case]
    return train(new_loss(name, **params), folder, make, **settings)


def in_two_processes(folder: Path) -> None:
    """Each of two processes: run all cases, then write what came out into ``folder``."""
    gc.freeze()
    half = {"per_device_train_batch_size": BATCH_SIZE // 2, "ddp_backend": "gloo"}
    results = {
        case: train(new_loss(name, **params), folder, make, **half, **UNEVEN, **settings)
        for case, (name, params, make, settings) in CASES.items()
    }
    results["filled"] = train(new_loss("afl"), folder, **half)
    stateful = {"num_train_epochs": 3, **half, **UNEVEN}
    results["uninterrupted"] = train(new_loss("plm", rate=1.0), folder, **stateful, **SAVING["step"])
    for step in (2, 3, 4):
        results[f"resumed {step}"] = train(
            new_loss("plm", rate=1.0), folder, resume=folder / f"checkpoint-{step}", **stateful
        )
    torch.save({case: asdict(run) for case, run in results.items()}, folder / f"{os.environ['RANK']}.pt")


def test_two_processes_train_like_one(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    done = subprocess.run(
        [*command, str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (
        {case: Result(**run) for case, run in torch.load(tmp_path / f"{rank}.pt").items()} for rank in (0, 1)
    )

    assert [len(first["mean, 1 parts"].order), len(second["mean, 1 parts"].order)] == [24, 22]
    expected = {case: in_one_process(case, tmp_path) for case in CASES}
    # As accelerate shares out by default, the last batch is filled up from the epoch's beginning.
    order = expected["mean, 1 parts"].order
    expected["filled"] = plain_loop(new_loss("afl"), batches_of(order, n_filled=1), LEARNING_RATE["mean"])
    expected |= {case: first["uninterrupted"] for case in first if case.startswith("resumed")}
    found = {case: run.differences(expected[case]) for case, run in first.items() if case != "uninterrupted"}
    found |= {f"{case}, second process": run.differences(first[case], exactly=True) for case, run in second.items()}
    assert {case: differences for case, differences in found.items() if differences} == {}


if __name__ == "__main__":
    in_two_processes(Path(sys.argv[1]))
