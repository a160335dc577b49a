"""Fine-tuning all layers of an encoder through transformers' Trainer."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainingArguments,
    set_seed,
)

from afl_helpers.advice import DEFAULT_LOSS
from afl_helpers.augment.oversampling import resample
from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.losses.trainer_callback import LossStateCallback
from afl_helpers.training.assemble import (
    OnEpoch,
    check_splits,
    finish,
    resolve_loss,
    selection_metrics,
)
from afl_helpers.training.checkpoints import had_stopped, last_checkpoint
from afl_helpers.training.config import SELECTION_METRICS, TrainingConfig, check_seed
from afl_helpers.training.distillation import DistillationHook, Teacher
from afl_helpers.training.distributed import from_main, is_main, wait_for_all
from afl_helpers.training.embedding import check_length, enough_memory
from afl_helpers.training.encoders import head_bias, load_classifier, load_tokenizer, quiet
from afl_helpers.training.initial_bias import prior_logits, start_logits
from afl_helpers.training.lora import add_lora, merge_lora
from afl_helpers.training.pooled_mixup import PooledMixup
from afl_helpers.training.run import Predictor, Run
from afl_helpers.training.sampler import EpochSeededLengthSampler
from afl_helpers.training.trackers import check_trackers, tracked
from afl_helpers.training.trainer import (
    CheckedTrainer,
    Elapsed,
    ProgressBar,
    check_trainer,
    less_memory,
    training_arguments,
)


def fine_tune(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = DEFAULT_LOSS,
    config: TrainingConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    on_epoch: OnEpoch | None = None,
    report_to: str | Sequence[str] | None = (),
    progress: bool = True,
) -> Run:
    """Fine-tune all layers of an encoder with a linear head, one sigmoid per label.

    If ``accelerate launch`` or ``torchrun`` starts several processes, they share each batch of ``batch_size`` documents.
    An incomplete last batch is filled up with the first documents of the epoch if the processes cannot share it evenly.

    Args:
        train, validation, test: corpora with the same labels. The best epoch and the thresholds come from validation.
        loss: a loss module, or a name in ``LOSSES``, built from the training counts and ``loss_params``. The default is
            what the evidence favours, see ``afl_helpers.advice``.
        config: default: the paper's configuration.
        seed: seed of the head's initial weights, dropout and the order of the documents.
        checkpoint_dir: folder for one checkpoint per epoch. A run that was stopped resumes from the last one and ends
            with the same result. None: keep no checkpoints.
        on_epoch: called after each epoch with its number and the validation scores, (n_documents, n_labels). Without it, a
            run that keeps its last epoch is scored on validation only at the end. An epoch that was cut off and is done
            again is passed again.
        report_to: trackers that get the loss and the validation metrics of each epoch, by their names in transformers,
            such as "tensorboard", "wandb" or "mlflow". A run is named by its loss and its seed. TensorBoard's files are
            written to ``runs`` in ``checkpoint_dir``, or to the folder that the variable TENSORBOARD_LOGGING_DIR names.
        progress: show a progress bar.

    Raises:
        UsageError: the splits do not fit together, ``checkpoint_dir`` belongs to another run, or the seed is too large.
        TrainingError: a loss or gradient is not finite (the message names the step), memory is too small, or the
            installed version of transformers does not fit.
        MissingExtraError: ``lora_rank`` is given and peft is not installed, or a tracker is not installed.
        StorageError: a checkpoint cannot be written; the previous one is still there.
        DataError: a checkpoint cannot be read.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.training import TrainingConfig, fine_tune
        >>> corpus = load_corpus("toy").select_labels(top=3).select_documents(range(80))
        >>> config = TrainingConfig(encoder="tiny", max_length=16, epochs=1, learning_rate=1e-3)
        >>> run = fine_tune(*corpus.split(0.6, 0.2, 0.2), loss="afl", config=config, progress=False)
        >>> run.scores["test"].shape[1], len(run.history)
        (3, 1)
    """
    started = time.perf_counter()
    check_trainer()
    config = config or TrainingConfig()
    if not isinstance(config, TrainingConfig):
        raise UsageError(f"config is a {type(config).__name__}; fine_tune takes a TrainingConfig")
    check_splits(train, validation, test)
    check_seed(seed)
    trackers = check_trackers(report_to, checkpoint_dir)
    loss_module, description = resolve_loss(loss, loss_params, train)
    tokenizer = load_tokenizer(config.encoder)
    model, history, best_epoch, before = fit(
        lambda: new_model(config, train, loss_module),
        tokenizer,
        (train, validation),
        loss_module,
        description,
        config,
        seed,
        checkpoint_dir=checkpoint_dir,
        on_epoch=on_epoch,
        trackers=trackers,
        progress=progress,
    )
    predictor = Predictor(train.label_names, {}, model, tokenizer, config.max_length)
    return finish(
        "fine_tune",
        (train, validation, test),
        predictor,
        {"validation": predictor.predict_scores(validation.texts), "test": predictor.predict_scores(test.texts)},
        started - before,
        loss_module=loss_module,
        loss=description,
        config=config,
        seed=seed,
        history=history,
        best_epoch=best_epoch,
    )


class Fitted(NamedTuple):
    """A trained model in evaluation mode, one row per epoch, and the epoch that was kept.

    ``seconds_before`` are those of training before a stop, if the run was resumed.
    """

    model: Any
    history: list[dict[str, Any]]
    best_epoch: int
    seconds_before: float


def fit(
    build: Callable[[], nn.Module],
    tokenizer: PreTrainedTokenizerBase,
    splits: tuple[Corpus, Corpus],
    loss: MultiLabelLoss,
    description: Mapping[str, Any],
    config: TrainingConfig,
    seed: int,
    *,
    teacher: Teacher | None = None,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    on_epoch: OnEpoch | None = None,
    trackers: list[str] | None = None,
    progress: bool = True,
) -> Fitted:
    """Train what ``build`` returns on (train, validation); the other arguments are those of :func:`fine_tune`."""
    train, validation = splits
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
        state_file = LossStateCallback.FILE if loss.stateful else None
        checkpoint = from_main(last_checkpoint(folder, identity, state_file) if is_main() else None)
        set_seed(seed)
        model = build()
        arguments = training_arguments(
            config, folder, seed, len(train), validate=config.keep == "best" or on_epoch is not None
        )
        arguments.report_to = trackers or []
        arguments.save_only_model = checkpoint_dir is None  # only the weights of the best epoch are read again
        if checkpoint is not None and config.keep == "best" and had_stopped(checkpoint, config.patience):
            arguments.num_train_epochs = 0  # only load the best epoch
        bar = ProgressBar(description["name"], progress)
        stack.callback(bar.close)
        stack.enter_context(tracked(arguments.report_to, model, arguments, description, seed))
        mixup = _new_mixup(model, train, loss, config)
        if mixup is not None:
            stack.callback(mixup.close)
        trainer = new_trainer(model, tokenizer, arguments, splits, loss, config, seed, bar, on_epoch, teacher, mixup)
        with quiet(), enough_memory(less_memory(config)):
            trainer.train(resume_from_checkpoint=checkpoint)
        wait_for_all()  # the main process owns the folder
    if config.lora_rank is not None:
        merge_lora(model)
    model.eval()
    _adjust_logits(model, config.logit_adjustment * prior_logits(train.label_counts, len(train)))
    history = _history(trainer.state.log_history)
    if config.keep == "best":
        best_epoch = max(history, key=lambda row: (row[config.select_by], -row["epoch"]))["epoch"]
    else:
        best_epoch = history[-1]["epoch"]
    (elapsed,) = (one for one in trainer.callback_handler.callbacks if isinstance(one, Elapsed))
    return Fitted(model, history, best_epoch, elapsed.before)


def new_model(config: TrainingConfig, train: Corpus, loss: MultiLabelLoss) -> PreTrainedModel:
    """Return the encoder with a fresh head, whose bias starts where ``start_bias`` says."""
    model = load_classifier(config.encoder, train.label_names)
    check_length(config.max_length, model)
    with torch.no_grad():
        head_bias(model).copy_(start_logits(config.start_bias, loss, train.label_counts, len(train)))
    if config.lora_rank is not None:
        add_lora(model, config.lora_rank)
    return model


def _adjust_logits(model: nn.Module, offset: Tensor) -> None:
    """Subtract an offset per label, (n_labels,), from the logits of a trained model."""
    with torch.no_grad():
        bias = head_bias(model)
        bias -= offset.to(bias.device)


class _Documents(Dataset[tuple[list[int], NDArray[Any]]]):
    """Token ids and labels of a corpus, tokenized once; the labels with what a teacher says of them, if there is one."""

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        by_length: bool = False,
        teacher: Teacher | None = None,
    ) -> None:
        self.teacher = teacher
        self.ids: list[list[int]] = tokenizer(corpus.texts, truncation=True, max_length=max_length)["input_ids"]
        self.labels = sparse.csr_array(corpus.labels)  # one row at a time becomes dense
        self.lengths = [len(ids) for ids in self.ids]
        self.order = np.argsort(self.lengths, kind="stable") if by_length else np.arange(len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> tuple[list[int], NDArray[Any]]:
        i = self.order[i]
        row: NDArray[np.uint8] = self.labels[[i]].toarray()[0]
        return self.ids[i], row if self.teacher is None else self.teacher.row(row, i)


def _positions(train: Corpus, config: TrainingConfig, seed: int) -> list[int]:
    """Return the positions of the documents that epochs draw from."""
    if config.resampling is None:
        return list(range(len(train)))
    rate = {} if config.resampling_rate is None else {"rate": config.resampling_rate}
    return resample(train.dense_labels, config.resampling, seed=seed, **rate).tolist()


def _new_mixup(model: nn.Module, train: Corpus, loss: MultiLabelLoss, config: TrainingConfig) -> PooledMixup | None:
    if config.mixup is None:
        return None
    if not loss.soft_targets:
        raise UsageError(
            f"mixup makes targets between 0 and 1, which {type(loss).__name__} does not take; use another loss, or leave "
            "mixup out"
        )
    counts = train.label_counts if config.mixup == "balanced_mixup" else None
    return PooledMixup(model, 1.0 if config.mixup_alpha is None else config.mixup_alpha, counts)


def new_trainer(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    arguments: TrainingArguments,
    splits: tuple[Corpus, Corpus],
    loss: MultiLabelLoss,
    config: TrainingConfig,
    seed: int,
    bar: ProgressBar,
    on_epoch: OnEpoch | None,
    teacher: Teacher | None = None,
    mixup: PooledMixup | None = None,
) -> CheckedTrainer:
    """Return the Trainer for (train, validation)."""
    train, validation = splits
    documents = _Documents(train, tokenizer, config.max_length, teacher=teacher)
    positions = _positions(train, config, seed)
    validated = _Documents(validation, tokenizer, config.max_length, by_length=True)
    batch_size = config.batch_size * config.accumulation_steps

    def collate(items: Sequence[tuple[list[int], NDArray[Any]]]) -> dict[str, Tensor]:
        labels = torch.from_numpy(np.stack([row for _, row in items])).float()
        padded = tokenizer.pad({"input_ids": [ids for ids, _ in items]}, return_tensors="pt")
        return {**padded, "labels": labels}

    def evaluate(result: EvalPrediction) -> dict[str, float]:
        targets, logits = np.asarray(result.label_ids), np.asarray(result.predictions)
        if on_epoch is not None and is_main():
            scores = np.empty(logits.shape)
            scores[validated.order] = expit(logits.astype(np.float64))
            on_epoch(round(trainer.state.epoch or 0), scores)
        return selection_metrics(targets, logits)

    trainer = CheckedTrainer(
        model=model,
        args=arguments,
        train_sampler=EpochSeededLengthSampler(
            [documents.lengths[i] for i in positions],
            batch_size,
            seed,
            group=config.group_by_length,
            n_draws=len(train),
        ),
        document_ids=[train.document_ids[i] for i in positions],
        config=config,
        mixup=mixup,
        train_dataset=Subset(documents, positions),
        eval_dataset=validated,
        data_collator=collate,
        compute_loss_func=loss.for_trainer() if teacher is None else DistillationHook(loss, teacher),
        compute_metrics=evaluate,
        callbacks=[
            *([EarlyStoppingCallback(config.patience)] if config.keep == "best" else []),
            bar,
            Elapsed(),
            *([loss.callback()] if loss.stateful else []),  # type: ignore[operator]  # only such losses have one
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _history(log: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Return Trainer's log as one row per epoch."""
    epochs: dict[int, dict[str, Any]] = {}
    for entry in log:
        row = epochs.setdefault(round(entry["epoch"]), {"epoch": round(entry["epoch"])})
        for source, name in [("loss", "loss"), ("eval_loss", "validation_loss")] + [
            (f"eval_{metric}", metric) for metric in SELECTION_METRICS
        ]:
            if source in entry:
                row[name] = float(entry[source])
    return [row for row in epochs.values() if "loss" in row]
