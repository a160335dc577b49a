"""What a loss with a state needs from transformers' Trainer."""

from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from afl_helpers.errors import MissingFileError
from afl_helpers.losses.modules import MultiLabelLoss


class LossStateCallback(TrainerCallback):
    """Calls ``end_epoch`` of a loss, saves its buffers in every checkpoint and reads them when a run goes on.

    A transformers checkpoint holds the model and the optimiser, not the loss.
    """

    FILE = "loss.safetensors"

    def __init__(self, loss: MultiLabelLoss):
        self.loss = loss

    def on_train_begin(self, args, state, control, **kwargs):
        if not state.global_step:
            return
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / self.FILE
        if not path.is_file():
            raise MissingFileError(
                f"{path} is missing: the checkpoint was written without this loss's state; start anew, or go on from one with it"
            )
        self.loss.load_state_dict(load_file(path))

    def on_epoch_end(self, args, state, control, **kwargs):
        self.loss.end_epoch()

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            save_file(
                {name: value.cpu().contiguous() for name, value in self.loss.state_dict().items()}, folder / self.FILE
            )
