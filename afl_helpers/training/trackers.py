"""Trackers of experiments, such as TensorBoard, by the names that transformers gives them."""

import os
from collections.abc import Sequence

from transformers.integrations import INTEGRATION_TO_CALLBACK

from afl_helpers.errors import MissingExtraError, UsageError, first_line, unknown_name


def check_trackers(report_to: str | Sequence[str], checkpoint_dir: str | os.PathLike[str] | None) -> list[str]:
    """Return the names of the trackers as a list, after checking that they can be used.

    Args:
        report_to: a name, or several; "none" and an empty sequence stand for no tracker.
        checkpoint_dir: where the run keeps its checkpoints, if it does.

    Raises:
        UsageError: a name is unknown, or TensorBoard's files would be deleted with the run's scratch folder.
        MissingExtraError: a tracker is not installed.
    """
    names = [report_to] if isinstance(report_to, str) else list(report_to)
    names = [] if names == ["none"] else names
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            raise unknown_name("tracker in report_to:", name, INTEGRATION_TO_CALLBACK)
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
