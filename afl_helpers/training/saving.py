"""The folder of a saved model: written completely or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from afl_helpers.errors import UsageError
from afl_helpers.evaluation import TopK
from afl_helpers.files import not_written

if TYPE_CHECKING:
    from afl_helpers.training.predictor import LabelPredictor

#: The file that says how a saved model was trained.
DETAILS = "afl_run.json"
#: What that file says of the model itself.
OF_PREDICTOR = ("label_names", "label_counts", "n_documents", "gamma", "thresholds", "seen")


def describe_predictor(predictor: "LabelPredictor") -> dict[str, Any]:
    """Return the label names, counts and thresholds of a model as lists and numbers, by the names of `OF_PREDICTOR`."""
    return {
        "label_names": predictor.label_names,
        "label_counts": _listed(predictor.label_counts),
        "n_documents": predictor.n_documents,
        "gamma": _listed(predictor.gamma),
        "seen": predictor.seen,
        "thresholds": {
            rule: asdict(value) if isinstance(value, TopK) else np.asarray(value).tolist()
            for rule, value in predictor.thresholds.items()
        },
    }


def write_folder(path: str | os.PathLike[str], write: Callable[[Path], None]) -> Path:
    """Write a folder by ``write``, which gets an empty one. A saved run is replaced; a folder with anything else is refused.

    Raises:
        UsageError: the folder holds something else.
        StorageError: the folder cannot be written; an earlier run in it is still there.
    """
    named = check_save_folder(path)
    path = named.resolve()  # the folder itself, not a link to it
    # Fixed names, so that the next save removes what a killed one left.
    part, old = (path.with_name(f".{path.name}.{kind}") for kind in ("part", "old"))
    try:
        for folder in (part, old):
            if folder.exists():
                shutil.rmtree(folder)
        part.mkdir(parents=True)
        write(part)
        if path.exists():
            path.rename(old)
        part.rename(path)
    except (OSError, SafetensorError) as error:
        raise not_written(named, error) from error
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)
    return named


def check_save_folder(path: str | os.PathLike[str], *, replace: bool = True) -> Path:
    """Return the folder as a Path after checking that a run can be saved there.

    Args:
        path: the folder.
        replace: whether a run that is saved there may be replaced.

    Raises:
        UsageError: the folder holds anything but a saved run, holds one that may not be replaced, or is the current folder
            or one above it.
        StorageError: the folder cannot be written.
    """
    path = Path(path)
    whole, here = path.resolve(), Path.cwd()
    if here.is_relative_to(whole):  # a save replaces the folder, and would leave the user in one that is gone
        raise UsageError(f"{path} is the folder that you are in, or above it; name another, such as {path / 'model'}")
    saved = (path / DETAILS).is_file()
    if path.exists() and not saved and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists and holds no saved run; choose another folder")
    if saved and not replace:
        sentence = f"{path} holds a saved run; choose another folder, or"
        raise UsageError(f"{sentence} pass replace=True", command_line=f"{sentence} replace it with --force")
    try:  # permissions alone do not tell
        whole.parent.mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(prefix=f".{whole.name}.", dir=whole.parent))
    except OSError as error:
        raise not_written(path, error, alternative="name another folder") from None
    return path


def _listed(values: NDArray[Any] | None) -> list[Any] | None:
    return None if values is None else values.tolist()
