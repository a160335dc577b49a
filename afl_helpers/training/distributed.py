"""Data-parallel training: what the processes of one `accelerate launch` or `torchrun` agree on.

Alone, every function here does nothing, so no caller asks how many there are.
"""

import os
from typing import TypeVar

import torch

Value = TypeVar("Value")


def n_processes() -> int:
    """How many processes train together; 1 unless a launcher started several."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _state():
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def is_main() -> bool:
    """Whether this process is the one that writes files and prints."""
    return n_processes() == 1 or _state().is_main_process


def from_main(value: Value) -> Value:
    """The main process' value, in every process."""
    if n_processes() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    _state()
    return broadcast_object_list([value])[0]


def wait_for_all() -> None:
    """Return once every process is here."""
    if n_processes() > 1:
        _state().wait_for_everyone()
