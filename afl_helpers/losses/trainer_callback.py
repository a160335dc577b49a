"""What a loss with a state needs from transformers' Trainer."""

import os
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from afl_helpers.errors import MissingFileError
from afl_helpers.losses.partial import PartialLabelMaskingLoss


class LossStateCallback(TrainerCallback):
    """Ends the epochs of a loss with a state, saves it in every checkpoint and reads it when a run goes on.

    A transformers checkpoint holds the model and the optimiser, not the loss. A run goes on from ``output_dir``'s own
    checkpoints. An epoch is ended when the next one begins: Trainer saves before an epoch's end and, going on from there,
    never reaches that end, so every checkpoint holds the state before it.

    Args:
        loss: the loss that the Trainer trains with; :meth:`PartialLabelMaskingLoss.callback` makes this callback of it.

    Raises:
        MissingFileError: a run goes on from a checkpoint that does not hold the loss's state.
    """

    FILE = "loss.safetensors"

    def __init__(self, loss: PartialLabelMaskingLoss):
        self.loss = loss

    def on_train_begin(self, args, state, control, **kwargs):
        if not state.global_step:
            return
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / self.FILE
        if not path.is_file():
            raise MissingFileError(
                f"{path} is missing: go on from a checkpoint in output_dir that was saved with this loss's state, or anew"
            )
        self.loss.load_state_dict(load_file(path))
        if args.process_index:
            self.loss.histograms.zero_()  # the first process holds the sum

    def on_epoch_begin(self, args, state, control, **kwargs):
        if state.global_step and state.epoch == int(state.epoch):
            self.loss.end_epoch()

    def on_save(self, args, state, control, **kwargs):
        self.loss.gather()
        if args.should_save:
            path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / self.FILE
            part = path.with_suffix(".part")
            save_file({name: value.cpu().contiguous() for name, value in self.loss.state_dict().items()}, part)
            os.replace(part, path)
