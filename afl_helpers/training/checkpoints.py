"""The folder of checkpoints of one run: which run it belongs to, and where to resume.

Files in it may come from elsewhere. Weights and the loss's state are safetensors. Trainer reads the optimizer, the
schedule and the random states with ``torch.load(weights_only=True)``, which builds tensors and plain containers and
calls nothing else. Trainer also writes ``training_args.bin``, a pickle; nothing reads it.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError  # torch.load raises it for a file that it refuses
from typing import Any

import torch
from safetensors import SafetensorError

from afl_helpers.errors import DataError, UsageError
from afl_helpers.files import write_json

_OWNER = "run.json"
_STATE = "trainer_state.json"
#: Files of a complete checkpoint. Each process adds one file of random states.
_FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt")


def last_checkpoint(folder: Path, identity: dict[str, object], last_file: str | None = None) -> str | None:
    """Claim ``folder`` for the run with this identity and return its newest complete checkpoint, or None.

    Incomplete checkpoints are deleted. ``last_file`` is the file that is written last, if a loss with a state adds one.

    Raises:
        UsageError: the folder holds checkpoints of another run, or checkpoints that ``fine_tune`` did not write.
        DataError: the file that says which run the folder belongs to is broken.
    """
    owner = folder / _OWNER
    checkpoints = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    if owner.is_file():
        _check_owner(owner, identity)
    elif checkpoints:
        raise UsageError(
            f"{folder} holds checkpoints that fine_tune did not write ({_OWNER} is missing); "
            "choose another checkpoint_dir"
        )
    else:
        write_json(owner, identity)
    complete = []
    for checkpoint in checkpoints:
        if _is_complete(checkpoint, last_file):
            complete.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    if not complete:
        return None
    last = max(complete, key=lambda path: int(path.name.split("-")[1]))
    _point_to_best(last)
    return str(last)


def _check_owner(owner: Path, identity: dict[str, object]) -> None:
    recorded = _read_json(owner)
    if recorded is None:
        raise DataError(f"{owner} is broken; choose another checkpoint_dir, or delete this one and start over")
    differs = [name for name in identity if recorded.get(name) != json.loads(json.dumps(identity[name]))]
    if differs:
        raise UsageError(
            f"{owner.parent} holds the checkpoints of another run (other {', '.join(differs)}); "
            "choose another checkpoint_dir or delete it"
        )


def _is_complete(checkpoint: Path, last_file: str | None) -> bool:
    """Return False for a checkpoint whose writing or deletion was interrupted.

    Trainer writes its state after the other files; the callback of a loss with a state writes ``last_file`` even later.
    The weights of the best epoch are in a checkpoint of their own, unless the last epoch is kept.
    """
    files = [*_FILES, *([last_file] if last_file else [])]
    state = _read_json(checkpoint / _STATE)
    if state is None or not all((checkpoint / name).is_file() for name in files):
        return False
    if not any(checkpoint.glob("rng_state*.pth")):
        return False
    best = state.get("best_global_step")
    return best is None or (checkpoint.parent / f"checkpoint-{best}" / "model.safetensors").is_file()


def _point_to_best(checkpoint: Path) -> None:
    """Correct the absolute path of the best checkpoint in Trainer's state, which is wrong if the folder was moved."""
    state = _read_json(checkpoint / _STATE) or {}
    if state["best_global_step"] is None:
        return
    best = str(checkpoint.parent / f"checkpoint-{state['best_global_step']}")
    if state["best_model_checkpoint"] != best:
        write_json(checkpoint / _STATE, state | {"best_model_checkpoint": best})


def had_stopped(checkpoint: str, patience: int) -> bool:
    """Return whether training had stopped early at a checkpoint. Trainer would train for one more epoch from there."""
    callbacks = (_read_json(Path(checkpoint, _STATE)) or {})["stateful_callbacks"]
    return callbacks["EarlyStoppingCallback"]["attributes"]["early_stopping_patience_counter"] >= patience


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None if the file is missing or broken."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


@contextmanager
def reading(checkpoint: str | None) -> Iterator[None]:
    """Turn the errors of a broken checkpoint into one DataError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (UnpicklingError, SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"{checkpoint} cannot be read ({reason}); delete it, and the same run resumes from an earlier checkpoint or "
            "starts over"
        ) from None
