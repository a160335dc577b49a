"""Trackers of experiments, such as TensorBoard, by the names that transformers gives them."""

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from transformers import TrainingArguments
from transformers.integrations import INTEGRATION_TO_CALLBACK

from afl_helpers.errors import MissingExtraError, UsageError, check_choice, first_line


def check_trackers(report_to: str | Sequence[str] | None, checkpoint_dir: str | os.PathLike[str] | None) -> list[str]:
    """Return the names of the trackers as a list, after checking that they can be used.

    Args:
        report_to: a name, or several; None, "none" and an empty sequence stand for no tracker.
        checkpoint_dir: where the run keeps its checkpoints, if it does.

    Raises:
        UsageError: a name is unknown, or TensorBoard's files would be deleted with the run's scratch folder.
        MissingExtraError: a tracker is not installed.
    """
    names = [report_to] if isinstance(report_to, str) else list(report_to or ())
    names = [] if names == ["none"] else names
    for name in names:
        check_choice("tracker in report_to:", name, INTEGRATION_TO_CALLBACK)
        try:
            INTEGRATION_TO_CALLBACK[name]()
        except (RuntimeError, ImportError) as error:
            raise MissingExtraError(
                f"report_to names {name!r}, which cannot be used ({first_line(error)}); install its package, or leave it out"
            ) from None
    if "tensorboard" in names and checkpoint_dir is None and not os.environ.get("TENSORBOARD_LOGGING_DIR"):
        raise UsageError(
            "report_to names 'tensorboard', whose files would be lost with the run's scratch folder; pass a checkpoint_dir, or "
            "set TENSORBOARD_LOGGING_DIR to a folder"
        )
    return names


@contextmanager
def tracked(
    names: Sequence[str], model: Any, arguments: TrainingArguments, loss: Mapping[str, Any], seed: int
) -> Iterator[None]:
    """Let trackers tell runs apart: each has a name, its loss among its parameters, and its own run.

    Trackers write down what the arguments and the model's configuration hold, so the loss stands there meanwhile.

    Args:
        names: of :func:`check_trackers`; nothing is done where there is none.
        model, arguments: of the Trainer.
        loss: name and parameters.
        seed: of the run.
    """
    if not names:
        yield
        return
    arguments.run_name = f"{loss['name']}, seed {seed}"
    model.config.loss_name, model.config.loss_params = loss["name"], dict(loss["params"])
    opened_before = "wandb" in names and importlib.import_module("wandb").run is not None
    try:
        yield
    finally:
        del model.config.loss_name, model.config.loss_params
        if "wandb" in names and not opened_before:  # else the next run would be written into this one
            importlib.import_module("wandb").finish()
