"""Data-parallel training by ``accelerate launch`` or ``torchrun``: what the processes agree on.

In a single process the functions return at once, so callers need not distinguish the two cases.
"""

import os
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from accelerate import PartialState

Value = TypeVar("Value")


def n_processes() -> int:
    """Return how many processes train together: 1 unless a launcher started several."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _state() -> "PartialState":
    from accelerate import PartialState  # here, because a single process does not need it and it takes seconds

    return PartialState(cpu=not torch.cuda.is_available())


def is_main() -> bool:
    """Return whether this process is the one that writes files and prints."""
    return n_processes() == 1 or _state().is_main_process


def from_main(value: Value) -> Value:
    """Return the main process's value in every process."""
    if n_processes() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    _state()
    return broadcast_object_list([value])[0]


def wait_for_all() -> None:
    """Wait until every process has called this function."""
    if n_processes() > 1:
        _state().wait_for_everyone()
