"""transformers' Trainer with a reproducible order of documents, and errors that say what to do."""

import inspect
import math
import shutil
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import ExportableState

from afl_helpers.errors import TrainingError, UsageError
from afl_helpers.files import not_written
from afl_helpers.progress import progress_bar
from afl_helpers.training.assemble import not_finite
from afl_helpers.training.checkpoints import reading
from afl_helpers.training.config import TrainingConfig
from afl_helpers.training.distributed import n_processes
from afl_helpers.training.pooled_mixup import PooledMixup
from afl_helpers.training.sampler import EpochSeededLengthSampler

#: Versions of transformers whose Trainer has the methods below; the same as in pyproject.toml.
TRANSFORMERS = ">=5.3"
#: Private methods of Trainer that CheckedTrainer overrides, with the parameters that it names. If one disappeared, its
#: override would never be called, and the order of documents or a check would be lost without an error.
_OVERRIDDEN: dict[str, tuple[str, ...]] = {
    "_get_train_sampler": ("train_dataset",),
    "_clip_grad_norm": ("model",),
    "_save_checkpoint": ("model", "trial"),
    "_maybe_log_save_evaluate": (),
    "_load_from_checkpoint": ("resume_from_checkpoint",),
    "_load_optimizer_and_scheduler": ("checkpoint",),
    "_load_rng_state": ("checkpoint",),
}


def check_trainer() -> None:
    """Raise TrainingError if the installed Trainer lacks a private method that CheckedTrainer overrides."""
    _check_methods(Trainer)


@cache
def _check_methods(trainer: type[Trainer]) -> None:
    for name, expected in _OVERRIDDEN.items():
        try:
            inspect.signature(getattr(trainer, name)).bind_partial(None, *expected)
        except (AttributeError, TypeError):
            raise TrainingError(
                f"transformers {transformers.__version__} has no Trainer.{name}({', '.join(expected)}), which "
                f"fine_tune needs; install transformers{TRANSFORMERS}"
            ) from None


class CheckedTrainer(Trainer):
    """Draw documents in the order of a sampler that survives a restart, and check losses, gradients and checkpoints."""

    def __init__(
        self,
        *args: Any,
        train_sampler: EpochSeededLengthSampler,
        document_ids: Sequence[str],
        config: TrainingConfig,
        mixup: PooledMixup | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._train_sampler, self._document_ids, self._config, self._mixup = train_sampler, document_ids, config, mixup
        self._seen: list[tuple[int, str, Tensor]] = []

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        return self._train_sampler

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        if self._mixup is not None:
            inputs = inputs | {"labels": self._mixup.draw(inputs["labels"])}
        loss = super().training_step(model, inputs, *args, **kwargs)
        self._see("loss", loss)
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        norm = super()._clip_grad_norm(model)
        self._see("gradient norm", norm)
        if (self.state.global_step + 1) % steps_between_checks(self.args.device) == 0:
            self._check_seen()
        return norm

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        self._check_seen()  # before the epoch's checkpoint
        if self._config.keep == "best":
            return super().evaluate(*args, **kwargs)
        with torch.random.fork_rng():  # a run that is watched draws the same numbers as one that is not
            return super().evaluate(*args, **kwargs)

    def _see(self, what: str, value: Tensor) -> None:
        self._seen.append((self.state.global_step + 1, what, value.detach().float()))

    def _check_seen(self) -> None:
        """Raise TrainingError for the first step whose loss or gradient norm was not finite."""
        seen, self._seen = self._seen, []
        values = torch.stack([value for _, _, value in seen]).tolist() if seen else []
        for (step, what, _), value in zip(seen, values):
            if not math.isfinite(value):
                raise not_finite(what, value, step, self._documents_of(step), self._config)

    def _documents_of(self, step: int) -> list[str]:
        """Return the ids of a step's documents, in the epoch that the sampler is at."""
        size = self._train_sampler.batch_size
        first = (step - 1) % math.ceil(len(self._train_sampler) / size) * size
        return [self._document_ids[i] for i in list(self._train_sampler)[first : first + size]]

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except RuntimeError as error:  # torch.save raises it if it cannot write, without saying so
            raise OSError("torch.save failed, as on a full disk") from error

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        try:
            super()._maybe_log_save_evaluate(*args, **kwargs)
        except (OSError, SafetensorError) as error:
            checkpoint = Path(str(self.args.output_dir), f"checkpoint-{self.state.global_step}")
            shutil.rmtree(checkpoint, ignore_errors=True)
            raise not_written(checkpoint, error) from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *args: Any, **kwargs: Any) -> None:
        with reading(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, *args, **kwargs)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with reading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with reading(checkpoint):
            super()._load_rng_state(checkpoint)


def steps_between_checks(device: torch.device) -> int:
    """Return how many steps pass between two checks: reading a value makes a GPU wait, and costs nothing on a CPU."""
    return 1 if device.type == "cpu" else 50


def training_arguments(
    config: TrainingConfig, folder: Path, seed: int, n_documents: int, validate: bool
) -> TrainingArguments:
    """Return the arguments of a Trainer that writes its checkpoints to a folder."""
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
        eval_strategy="epoch" if validate else "no",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=config.keep == "best",
        metric_for_best_model=config.select_by if config.keep == "best" else None,
        greater_is_better=True if config.keep == "best" else None,
        restore_callback_states_from_checkpoint=True,
        logging_nan_inf_filter=False,  # it would hide losses that are not finite, and wait for the GPU at each step
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def less_memory(config: TrainingConfig) -> str:
    """Return the advice for training that needs too much memory."""
    shorter = f"pass a max_length below {config.max_length}"
    if config.batch_size == 1:
        return shorter
    factor = next(n for n in range(2, config.batch_size + 1) if config.batch_size % n == 0)
    return (
        f"pass batch_size={config.batch_size // factor} with accumulation_steps={config.accumulation_steps * factor} "
        f"instead of {config.batch_size} with {config.accumulation_steps}, which trains on as many documents per step, "
        f"or {shorter}"
    )


class Elapsed(TrainerCallback, ExportableState):
    """Keep the seconds of training in each checkpoint, so that a run that resumes counts those before it was stopped.

    Trainer builds it anew from the checkpoint.

    Args:
        before: seconds of training before this process.
    """

    def __init__(self, before: float = 0.0) -> None:
        self.before = before
        self.started = time.perf_counter()

    def state(self) -> dict[str, Any]:
        return {"args": {"before": self.before + time.perf_counter() - self.started}, "attributes": {}}


class ProgressBar(TrainerCallback):
    """Show one line: steps done, time left, the latest validation average precision."""

    def __init__(self, title: str, show: bool) -> None:
        self.title, self.show = title, show
        self.bar = progress_bar(show=False)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar = progress_bar(
            total=state.max_steps,
            initial=state.global_step,
            desc=self.title,
            unit="step",
            show=self.show and state.is_world_process_zero,
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.update(state.global_step - self.bar.n)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.set_postfix({"validation AP": f"{kwargs['metrics']['eval_average_precision_micro']:.3f}"})

    def close(self) -> None:
        self.bar.close()
