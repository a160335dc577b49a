"""Fine-tuning all layers of an encoder through transformers' Trainer.

Going on from a checkpoint reads files that may come from elsewhere. Weights and the loss's state are safetensors; the
optimiser, the schedule and the random states Trainer reads with ``torch.load(weights_only=True)``, which builds tensors
and plain containers and calls nothing else; ``training_args.bin``, a pickle, is written by Trainer and never read.
"""

import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from pickle import UnpicklingError  # what torch.load raises for a file that it will not read

import numpy as np
import torch
from safetensors import SafetensorError
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers import (
    EarlyStoppingCallback,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from afl_helpers.data import Corpus
from afl_helpers.errors import DataError, UsageError, first_line
from afl_helpers.files import not_written, write_json
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.losses.trainer_callback import LossStateCallback
from afl_helpers.progress import progress_bar
from afl_helpers.training.config import SELECTION_METRICS, TrainingConfig
from afl_helpers.training.distributed import from_main, is_main, n_processes, wait_for_all
from afl_helpers.training.embedding import check_length, enough_memory, pad
from afl_helpers.training.encoders import head_bias, load_classifier, load_tokenizer, quiet
from afl_helpers.training.run import (
    Predictor,
    Run,
    check_parts,
    finish,
    not_finite,
    prior_logits,
    resolve_loss,
    selection_metrics,
)

#: What a whole checkpoint has, beside the random states, which are a file for each process.
_CHECKPOINT_FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt")


class LengthGroupedSampler(Sampler[int]):
    """Batches of similar length in an order that (seed, epoch) alone decides, so that a resumed run repeats it.

    The documents are shuffled, cut into pools of ``pool`` batches, sorted by length within each pool, and the batches
    shuffled again; a last batch that is not full stays last.

    Example:
        >>> from afl_helpers.training import LengthGroupedSampler
        >>> sampler = LengthGroupedSampler([5, 50, 6, 51], batch_size=2, seed=0)
        >>> sorted(map(sorted, [list(sampler)[:2], list(sampler)[2:]]))
        [[0, 2], [1, 3]]
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, pool: int = 50, group: bool = True):
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.pool, self.group = batch_size, seed, pool, group
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        if not self.group:
            return iter(order.tolist())
        n_full = len(order) // self.batch_size * self.batch_size
        full, rest = order[:n_full], order[n_full:]
        size = self.pool * self.batch_size
        pools = [full[start : start + size] for start in range(0, n_full, size)]
        batches = [
            batch
            for pool in pools
            for batch in pool[np.argsort(-self.lengths[pool], kind="stable")].reshape(-1, self.batch_size)
        ]
        batches = [batches[i] for i in rng.permutation(len(batches))]
        return iter(np.concatenate([*batches, rest]).tolist())


class _Documents(Dataset):
    """Token ids and labels of a corpus, tokenised once."""

    def __init__(self, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, max_length: int, by_length: bool = False):
        self.ids = tokenizer(corpus.texts, truncation=True, max_length=max_length)["input_ids"]
        self.labels = sparse.csr_array(corpus.labels)  # one row at a time becomes dense
        self.lengths = [len(ids) for ids in self.ids]
        self.order = np.argsort(self.lengths, kind="stable") if by_length else np.arange(len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> tuple[list[int], np.ndarray]:
        i = self.order[i]
        return self.ids[i], self.labels[[i]].toarray()[0]


class _Trainer(Trainer):
    """Trainer with an order of documents that survives a restart, and errors that say what to do."""

    def __init__(
        self, *args, train_sampler: LengthGroupedSampler, document_ids: Sequence[str], config: TrainingConfig, **kwargs
    ):
        super().__init__(*args, **kwargs)
        self._train_sampler, self._document_ids, self._config = train_sampler, document_ids, config
        self._seen: list[tuple[int, str, Tensor]] = []

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        return self._train_sampler

    def training_step(self, *args, **kwargs) -> Tensor:
        loss = super().training_step(*args, **kwargs)
        self._see("loss", loss)
        return loss

    def _clip_grad_norm(self, model):
        norm = super()._clip_grad_norm(model)
        self._see("gradient norm", norm)
        if (self.state.global_step + 1) % _steps_between_checks(self.args.device) == 0:
            self._check_seen()
        return norm

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        self._check_seen()  # before the epoch's checkpoint
        return super().evaluate(*args, **kwargs)

    def _see(self, what: str, value: Tensor) -> None:
        self._seen.append((self.state.global_step + 1, what, value.detach().float()))

    def _check_seen(self) -> None:
        """A TrainingError for the first step whose loss or gradient norm was not finite."""
        seen, self._seen = self._seen, []
        values = torch.stack([value for _, _, value in seen]).tolist() if seen else []
        for (step, what, _), value in zip(seen, values):
            if not math.isfinite(value):
                raise not_finite(what, value, step, self._documents_of(step), self._config)

    def _documents_of(self, step: int) -> list[str]:
        """The ids of a step's documents, of the epoch that the sampler is at."""
        size = self._train_sampler.batch_size
        first = (step - 1) % math.ceil(len(self._train_sampler) / size) * size
        return [self._document_ids[i] for i in list(self._train_sampler)[first : first + size]]

    def _save_checkpoint(self, model, trial) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except RuntimeError as error:  # torch.save's where it cannot write; its words do not say so
            raise OSError("torch.save failed, as on a full disk") from error

    def _maybe_log_save_evaluate(self, *args, **kwargs) -> None:
        try:
            super()._maybe_log_save_evaluate(*args, **kwargs)
        except (OSError, SafetensorError) as error:
            checkpoint = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}")
            shutil.rmtree(checkpoint, ignore_errors=True)
            raise not_written(checkpoint, error) from error

    def _load_from_checkpoint(self, resume_from_checkpoint, *args, **kwargs) -> None:
        with _reading(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, *args, **kwargs)

    def _load_optimizer_and_scheduler(self, checkpoint) -> None:
        with _reading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint) -> None:
        with _reading(checkpoint):
            super()._load_rng_state(checkpoint)


def _steps_between_checks(device: torch.device) -> int:
    """How often losses and gradients are looked at: asking a GPU means waiting for it, asking a CPU costs nothing."""
    return 1 if device.type == "cpu" else 50


@contextmanager
def _reading(checkpoint: str | None) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (UnpicklingError, SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError) as error:
        raise DataError(
            f"{checkpoint} cannot be read ({first_line(error)}); delete it, and the run goes on from an earlier one or starts over"
        ) from None


class _ProgressBar(TrainerCallback):
    """One line: steps done, time left, the last validation average precision."""

    def __init__(self, title: str, show: bool):
        self.title, self.show, self.bar = title, show, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = progress_bar(
            total=state.max_steps,
            initial=state.global_step,
            desc=self.title,
            unit="step",
            show=self.show and state.is_world_process_zero,
        )

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update(state.global_step - self.bar.n)

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        if self.bar is not None:
            self.bar.set_postfix({"validation AP": f"{metrics['eval_average_precision_micro']:.3f}"})

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def fine_tune(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = "afl",
    config: TrainingConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    checkpoint_dir: str | os.PathLike | None = None,
    progress: bool = True,
) -> Run:
    """Fine-tune all layers of an encoder with a linear head, one sigmoid per label.

    Started by ``accelerate launch`` or ``torchrun``, the processes share each batch: ``batch_size`` documents in all. The
    last batch of an epoch is filled up with its first documents where it does not divide evenly.

    Args:
        train, validation, test: corpora with the same labels. The best epoch and the thresholds come from validation.
        loss: a name in ``LOSSES`` (built from the training counts, with ``loss_params``) or a loss module.
        config: the paper's settings by default.
        seed: of the head's initial weights, dropout and the order of the documents.
        checkpoint_dir: where checkpoints are kept, one an epoch; a run that was stopped goes on from the last, and ends
            as if it had not been stopped. None keeps none.
        progress: show a progress bar.

    Raises:
        UsageError: parts that do not fit, or a ``checkpoint_dir`` that belongs to another run.
        TrainingError: a loss or gradient that is not finite, or too little memory; the message names the step.
        StorageError: a checkpoint cannot be written; the one before is still there.
        DataError: a checkpoint cannot be read.

    Example:
        >>> from afl_helpers.training.config import TrainingConfig
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.training import fine_tune
        >>> corpus = load_corpus("toy").select_labels(top=3).select_documents(range(80))
        >>> config = TrainingConfig(encoder="tiny", max_length=16, epochs=1, learning_rate=1e-3)
        >>> run = fine_tune(*corpus.split(0.6, 0.2, 0.2), loss="afl", config=config, progress=False)
        >>> run.scores["test"].shape[1], len(run.history)
        (3, 1)
    """
    started = time.perf_counter()
    config = config or TrainingConfig()
    if not isinstance(config, TrainingConfig):
        raise UsageError(f"config is a {type(config).__name__}; fine_tune takes a TrainingConfig")
    check_parts(train, validation, test)
    loss_module, description = resolve_loss(loss, loss_params, train)
    tokenizer = load_tokenizer(config.encoder)
    identity = {
        "train": train.fingerprint,
        "validation": validation.fingerprint,
        "loss": description,
        "config": config.to_dict(),
        "seed": seed,
    }
    with ExitStack() as stack:
        if checkpoint_dir is None:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="afl-", ignore_cleanup_errors=True))
            folder = Path(from_main(scratch))
        else:
            folder = Path(checkpoint_dir)
        state_file = LossStateCallback.FILE if loss_module.stateful else None
        checkpoint = from_main(_last_checkpoint(folder, identity, state_file) if is_main() else None)
        set_seed(seed)
        model = load_classifier(config.encoder, train.label_names)
        check_length(config.max_length, model)
        if config.prior_bias:
            with torch.no_grad():
                head_bias(model).copy_(prior_logits(train.label_counts, len(train)))
        documents = _Documents(train, tokenizer, config.max_length)
        batch_size = config.batch_size * config.accumulation_steps
        arguments = _arguments(config, folder, seed, len(train))
        arguments.save_only_model = checkpoint_dir is None  # then nothing but the best epoch's weights is read again
        if checkpoint is not None and _had_stopped(Path(checkpoint), config.patience):
            arguments.num_train_epochs = 0  # what is left is to take the best epoch
        bar = _ProgressBar(description["name"], progress)
        stack.callback(bar.close)
        trainer = _Trainer(
            model=model,
            args=arguments,
            train_sampler=LengthGroupedSampler(documents.lengths, batch_size, seed, group=config.group_by_length),
            document_ids=train.document_ids,
            config=config,
            train_dataset=documents,
            eval_dataset=_Documents(validation, tokenizer, config.max_length, by_length=True),
            data_collator=lambda items: (
                pad(tokenizer, [ids for ids, _ in items])
                | {"labels": torch.from_numpy(np.stack([row for _, row in items])).float()}
            ),
            compute_loss_func=loss_module.for_trainer(),
            compute_metrics=lambda result: selection_metrics(result.label_ids, result.predictions),
            callbacks=[
                EarlyStoppingCallback(config.patience),
                bar,
                *([loss_module.callback()] if loss_module.stateful else []),
            ],
        )
        trainer.remove_callback(PrinterCallback)
        with quiet(), enough_memory(_less_memory(config)):
            trainer.train(resume_from_checkpoint=checkpoint)
        model = trainer.model.eval()
        wait_for_all()  # the main process owns the folder
    with torch.no_grad():
        bias = head_bias(model)
        bias -= config.logit_adjustment * prior_logits(train.label_counts, len(train)).to(bias.device)

    history = _history(trainer.state.log_history)
    best_epoch = max(history, key=lambda row: (row[config.select_by], -row["epoch"]))["epoch"]
    predictor = Predictor(train.label_names, {}, model, tokenizer, config.max_length)
    scores = {name: predictor.predict_scores(part.texts) for name, part in (("validation", validation), ("test", test))}
    return finish(
        "fine_tune",
        (train, validation, test),
        predictor,
        scores,
        started,
        loss=description,
        config=config,
        seed=seed,
        history=history,
        best_epoch=best_epoch,
    )


def _arguments(config: TrainingConfig, folder: Path, seed: int, n_documents: int) -> TrainingArguments:
    on_gpu = torch.cuda.is_available()
    steps = config.epochs * math.ceil(n_documents / (config.batch_size * config.accumulation_steps))
    bf16 = config.precision == "bf16" or (
        config.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    if bf16 and not on_gpu:
        raise UsageError('precision is "bf16" but there is no GPU; use "auto" or "float32" (bf16 is slower on a CPU)')
    n = n_processes()
    if config.batch_size % n:
        raise UsageError(f"batch_size is {config.batch_size}, which {n} processes cannot share; pass a multiple of {n}")
    return TrainingArguments(
        output_dir=str(folder),
        seed=seed,
        data_seed=seed,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size // n,
        per_device_eval_batch_size=4 * config.batch_size // n,
        gradient_accumulation_steps=config.accumulation_steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        lr_scheduler_type=config.schedule,
        warmup_steps=min(config.warmup_steps, int(config.max_warmup * steps)),
        max_grad_norm=config.max_gradient_norm,
        bf16=bf16,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        remove_unused_columns=False,
        label_names=["labels"],
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=config.select_by,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_nan_inf_filter=False,  # it would hide such losses, and wait for the GPU at each step
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def _less_memory(config: TrainingConfig) -> str:
    """What to change where training needs too much memory."""
    shorter = f"pass a max_length below {config.max_length}"
    if config.batch_size == 1:
        return shorter
    factor = next(n for n in range(2, config.batch_size + 1) if config.batch_size % n == 0)
    return (
        f"pass batch_size={config.batch_size // factor} with accumulation_steps={config.accumulation_steps * factor} "
        f"instead of {config.batch_size} with {config.accumulation_steps}, which trains on as many documents a step, "
        f"or {shorter}"
    )


def _last_checkpoint(folder: Path, identity: dict[str, object], last_file: str | None = None) -> str | None:
    """The newest whole checkpoint in ``folder``, which from now on belongs to this run; what was cut off is deleted."""
    owner = folder / "run.json"
    checkpoints = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    if owner.is_file():
        found = _json(owner)
        if found is None:
            raise DataError(f"{owner} is broken; choose another checkpoint_dir, or delete this one and start over")
        differs = [name for name in identity if found.get(name) != json.loads(json.dumps(identity[name]))]
        if differs:
            raise UsageError(
                f"{folder} holds the checkpoints of another run (other {', '.join(differs)}); "
                "choose another checkpoint_dir or delete it"
            )
    elif checkpoints:
        raise UsageError(
            f"{folder} holds checkpoints that fine_tune did not write (run.json is missing); choose another checkpoint_dir"
        )
    else:
        write_json(owner, identity)
    whole = []
    for checkpoint in checkpoints:
        if _is_whole(checkpoint, last_file):
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    if not whole:
        return None
    last = max(whole, key=lambda path: int(path.name.split("-")[1]))
    _say_where_the_best_is(last)
    return str(last)


def _is_whole(checkpoint: Path, last_file: str | None) -> bool:
    """Whether nothing of a checkpoint is missing: one that was being written, or deleted, is not.

    The state is written after the rest, by Trainer, or by the callback of a loss with a state: ``last_file``. The best
    epoch's weights lie in a checkpoint of their own.
    """
    files = [*_CHECKPOINT_FILES, *([last_file] if last_file else [])]
    state = _json(checkpoint / "trainer_state.json")
    if state is None or not all((checkpoint / name).is_file() for name in files):
        return False
    best = checkpoint.parent / f"checkpoint-{state.get('best_global_step')}" / "model.safetensors"
    return any(checkpoint.glob("rng_state*.pth")) and best.is_file()


def _say_where_the_best_is(checkpoint: Path) -> None:
    """Trainer's state has the best checkpoint's whole path, which is another where the folder was moved."""
    state = _json(checkpoint / "trainer_state.json")
    best = str(checkpoint.parent / f"checkpoint-{state['best_global_step']}")
    if state["best_model_checkpoint"] != best:
        write_json(checkpoint / "trainer_state.json", state | {"best_model_checkpoint": best})


def _had_stopped(checkpoint: Path, patience: int) -> bool:
    """Whether training had stopped early at a checkpoint; Trainer, going on from it, would train for another epoch."""
    callbacks = _json(checkpoint / "trainer_state.json")["stateful_callbacks"]
    return callbacks["EarlyStoppingCallback"]["attributes"]["early_stopping_patience_counter"] >= patience


def _json(path: Path) -> dict[str, object] | None:
    """The object in a JSON file; None where it is missing, or was cut off."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _history(log: list[dict[str, float]]) -> list[dict[str, float]]:
    """Trainer's log as one row an epoch."""
    epochs: dict[int, dict[str, float]] = {}
    for entry in log:
        row = epochs.setdefault(round(entry["epoch"]), {"epoch": round(entry["epoch"])})
        for source, name in [("loss", "loss"), ("eval_loss", "validation_loss")] + [
            (f"eval_{metric}", metric) for metric in SELECTION_METRICS
        ]:
            if source in entry:
                row[name] = float(entry[source])
    return [row for row in epochs.values() if "average_precision_micro" in row]
