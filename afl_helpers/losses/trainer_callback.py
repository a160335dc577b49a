"""What a loss with a state needs from transformers' Trainer."""

import os
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from afl_helpers.errors import MissingFileError
from afl_helpers.losses.base import MultiLabelLoss


class LossStateCallback(TrainerCallback):
    """Ends the epochs of a loss with a state, saves the state in every checkpoint, and reads it when a run resumes.

    A transformers checkpoint holds the model and the optimiser, but not the loss. A run resumes from the checkpoints of
    its own ``output_dir``. An epoch is ended when the next one begins: Trainer saves before the end of an epoch, and a
    run that resumes from there never reaches that end. So every checkpoint holds the state before it.

    Args:
        loss: the loss that the Trainer trains with.

    Raises:
        MissingFileError: a run resumes from a checkpoint without the state of the loss.
    """

    FILE = "loss.safetensors"

    def __init__(self, loss: MultiLabelLoss):
        self.loss = loss

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.loss.epochs_end = True
        if not state.global_step:
            return
        path = self._path(args, state)
        if not path.is_file():
            raise MissingFileError(
                f"{path} is missing; resume from a checkpoint in output_dir that was saved with this callback, or start"
                " a new run"
            )
        self.loss.load_state_dict(load_file(path))
        if args.process_index:
            self.loss.forget_epoch()  # the first process holds the sum over all

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step and state.epoch == int(state.epoch or 0):
            self.loss.end_epoch()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.loss.gather()
        if args.should_save:
            path = self._path(args, state)
            part = path.with_suffix(".part")
            save_file({name: value.cpu().contiguous() for name, value in self.loss.state_dict().items()}, part)
            os.replace(part, path)

    def _path(self, args: TrainingArguments, state: TrainerState) -> Path:
        return Path(args.output_dir or "") / f"checkpoint-{state.global_step}" / self.FILE
