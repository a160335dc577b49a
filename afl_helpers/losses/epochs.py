"""What the losses share that change with the number of the epoch."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from afl_helpers.losses.base import MultiLabelLoss

if TYPE_CHECKING:  # transformers takes seconds to import
    from afl_helpers.losses.trainer_callback import LossStateCallback


class EpochLoss(MultiLabelLoss):
    """A loss that counts epochs in its state; the training loop calls :meth:`end_epoch` after each.

    In a transformers Trainer, :meth:`callback` does so, and it saves the count with each checkpoint. Without it the loss
    stays in its first epoch.
    """

    stateful = True
    epoch: Tensor

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction)
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64, device="cpu"))

    def end_epoch(self) -> None:
        """Count one more epoch."""
        self.epoch += 1

    def callback(self) -> "LossStateCallback":
        """Return a transformers ``TrainerCallback`` that ends the epochs and saves the state with the checkpoints."""
        from afl_helpers.losses.trainer_callback import LossStateCallback  # transformers takes seconds to import

        return LossStateCallback(self)
