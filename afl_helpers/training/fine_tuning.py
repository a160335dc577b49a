"""Fine-tuning all layers of an encoder through transformers' Trainer."""

import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
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

from afl_helpers.config import SELECTION_METRICS, TrainingConfig
from afl_helpers.data import Corpus
from afl_helpers.encoders import head_bias, load_classifier, load_tokenizer, quiet
from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.losses.callback import LossStateCallback
from afl_helpers.processes import from_main, is_main, n_processes, wait_for_all
from afl_helpers.progress import progress_bar
from afl_helpers.training.embedding import check_length, pad
from afl_helpers.training.run import (
    Predictor,
    Run,
    check_parts,
    dense,
    finish,
    prior_logits,
    resolve_loss,
    selection_metrics,
)


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
        self.labels = corpus.labels
        self.lengths = [len(ids) for ids in self.ids]
        self.order = np.argsort(self.lengths, kind="stable") if by_length else np.arange(len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> tuple[list[int], np.ndarray]:
        i = self.order[i]
        row = self.labels[[i]]
        return self.ids[i], dense(row)[0]


class _Trainer(Trainer):
    """Trainer with an order of documents that survives a restart."""

    def __init__(self, *args, train_sampler: Sampler, **kwargs):
        super().__init__(*args, **kwargs)
        self._train_sampler = train_sampler

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        return self._train_sampler


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

    def on_train_end(self, args, state, control, **kwargs):
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

    Example:
        >>> from afl_helpers.config import TrainingConfig
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
    with tempfile.TemporaryDirectory(prefix="afl-", ignore_cleanup_errors=True) as scratch:
        folder = Path(from_main(scratch) if checkpoint_dir is None else checkpoint_dir)
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
        trainer = _Trainer(
            model=model,
            args=_arguments(config, folder, seed, len(train)),
            train_sampler=LengthGroupedSampler(documents.lengths, batch_size, seed, group=config.group_by_length),
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
                _ProgressBar(description["name"], progress),
                *([loss_module.callback()] if loss_module.stateful else []),
            ],
        )
        trainer.remove_callback(PrinterCallback)
        with quiet():
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
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def _last_checkpoint(folder: Path, identity: dict[str, object], last_file: str | None = None) -> str | None:
    """The newest whole checkpoint in ``folder``, which from now on belongs to this run."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / "run.json"
    checkpoints = [path for path in folder.iterdir() if re.fullmatch(r"checkpoint-\d+", path.name)]
    if owner.is_file():
        found = json.loads(owner.read_text(encoding="utf-8"))
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
        owner.write_text(json.dumps(identity, indent=1), encoding="utf-8")
    whole = []
    for checkpoint in checkpoints:
        # Written last, by Trainer or by the callback of a loss with a state: without it the checkpoint was cut off.
        if (checkpoint / (last_file or "trainer_state.json")).is_file():
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return str(max(whole, key=lambda path: int(path.name.split("-")[1]))) if whole else None


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
