"""Files that are written whole or not at all."""

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from afl_helpers.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a new file to be written, which takes the place of ``path`` once all went well.

    A reader sees the old file or the new one. The new one is ``<name>.part`` until then: what a killed process leaves
    behind, the next write replaces. One process at a time may write a path; where several could, they share a lock.

    Raises:
        StorageError: the file cannot be written; the old one is still there.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink()


def not_written(path: Path, error: Exception) -> StorageError:
    """The error for a file or folder that could not be written."""
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    # Libraries in other languages pass on the system's words, not its number.
    full = getattr(error, "errno", None) in _FULL or any(os.strerror(number) in reason for number in _FULL)
    remedy = "make room on its disk" if full else "see that its folder can be written to and its disk has room"
    return StorageError(f"{path} could not be written ({reason}); {remedy}, then do the same again, which goes on")


def write_json(path: Path, content: object) -> None:
    """Write JSON as in :func:`replacing`. NaN becomes null."""
    write_text(path, json_text(content))


def json_text(content: object) -> str:
    """JSON on one line; NaN becomes null."""
    return json.dumps(_without_nan(content), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write text as in :func:`replacing`."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _without_nan(content: object) -> object:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
