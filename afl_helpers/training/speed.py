"""Measuring how fast this device fine-tunes and scores, in seconds instead of hours."""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, set_seed
from transformers.trainer_utils import SaveStrategy

from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError
from afl_helpers.training.assemble import resolve_loss
from afl_helpers.training.config import TrainingConfig
from afl_helpers.training.distributed import n_processes
from afl_helpers.training.embedding import enough_memory
from afl_helpers.training.encoders import load_tokenizer, quiet
from afl_helpers.training.fine_tuning import new_model, new_trainer
from afl_helpers.training.run import Predictor
from afl_helpers.training.trainer import ProgressBar, less_memory, training_arguments

#: Steps before the clock starts: the first ones also load libraries and reserve memory.
_WARM_UP = 3
#: The fewest steps on the clock, however slow they are.
_LEAST = 5
#: Documents that are trained on, in batches: two pools of the sampler, so that batches are as long as in a run.
_BATCHES = 100
#: Share of the time that goes to scoring.
_SCORING = 0.2


@dataclass(frozen=True)
class Speed:
    """How fast a device fine-tunes.

    Attributes:
        seconds_per_step: of a training step, forward and backward.
        n_steps: number of steps that were measured.
        seconds_per_document: of scoring a document.
    """

    seconds_per_step: float
    n_steps: int
    seconds_per_document: float


def measure_speed(
    train: Corpus,
    loss: str,
    config: TrainingConfig,
    seconds: float,
    *,
    loss_params: dict[str, object] | None = None,
) -> Speed:
    """Fine-tune for a few steps, on a random part of the documents, and score some of them.

    Nothing is kept. Each step is one of a real run: the same encoder, batch size, lengths, precision and loss.

    Args:
        train: the training documents of a run; the loss is built from all of them.
        seconds: about how long this may take. At least five steps are measured, however long they take.

    Raises:
        UsageError: several processes train together.
        TrainingError: there is too little memory.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.training import TrainingConfig
        >>> from afl_helpers.training.speed import measure_speed
        >>> config = TrainingConfig(encoder="tiny", max_length=16)
        >>> speed = measure_speed(load_corpus("toy").select_labels(top=3), "afl", config, seconds=0.1)
        >>> speed.n_steps >= 5, speed.seconds_per_step > 0
        (True, True)
    """
    if n_processes() > 1:
        raise UsageError(f"a launcher has started {n_processes()} processes; measure with one")
    end = time.perf_counter() + seconds
    config = replace(config, keep="last")  # no validation and no early stopping between the steps
    module, description = resolve_loss(loss, loss_params, train)
    size = min(len(train), _BATCHES * config.batch_size * config.accumulation_steps)
    part = train.select_documents(np.random.default_rng(0).permutation(len(train))[:size])
    tokenizer = load_tokenizer(config.encoder)
    set_seed(0)
    model = new_model(config, train, module)
    clock = _Clock(end - _SCORING * seconds)
    with tempfile.TemporaryDirectory(prefix="afl-", ignore_cleanup_errors=True) as folder:
        arguments = training_arguments(config, Path(folder), 0, len(train), validate=False)
        arguments.save_strategy = SaveStrategy.NO
        arguments.max_steps = 1_000_000  # the clock stops it
        bar = ProgressBar(description["name"], show=False)
        trainer = new_trainer(model, tokenizer, arguments, (part, part), module, config, 0, bar, None)
        trainer.add_callback(clock)
        with quiet(), enough_memory(less_memory(config)):
            trainer.train()
    predictor = Predictor(train.label_names, {}, model, tokenizer, config.max_length)
    per_document = _seconds_per_document(predictor, part, end)
    del trainer, model, predictor
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return Speed(clock.seconds / clock.n_steps, clock.n_steps, per_document)


def _seconds_per_document(predictor: Predictor, part: Corpus, end: float) -> float:
    """Score twice as many documents each time, until the time is over, and return the last rate."""
    n, rate = 16, 0.0
    while True:
        n = min(n, len(part))
        started = time.perf_counter()
        predictor.predict_scores(part.texts[:n])
        now = time.perf_counter()
        rate = (now - started) / n
        if n == len(part) or now + 2 * (now - started) > end:
            return rate
        n *= 2


class _Clock(TrainerCallback):
    """Time training steps after the first few, and stop at a point in time."""

    def __init__(self, end: float) -> None:
        self._end, self._started = end, 0.0
        self.n_steps, self.seconds = 0, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == _WARM_UP:
            self._started = _now()
        self.n_steps = state.global_step - _WARM_UP
        if self.n_steps >= _LEAST and time.perf_counter() >= self._end:
            self.seconds = _now() - self._started
            control.should_training_stop = True


def _now() -> float:
    """Return the time once the GPU, which works behind the program, has done all that it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
