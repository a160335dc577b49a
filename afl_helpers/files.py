"""Files: written whole or not at all, kept in the cache folder, and told apart by checksums."""

import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from afl_helpers.errors import StorageError, first_line, require

CACHE_DIR_VARIABLE = "AFL_CACHE_DIR"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cache_dir() -> Path:
    """Return the folder for downloads and embeddings: AFL_CACHE_DIR if set, else the user's cache folder.

    Raises:
        MissingExtraError: AFL_CACHE_DIR is not set and pooch, which knows the user's cache folder, is not installed.
    """
    folder = os.environ.get(CACHE_DIR_VARIABLE)
    if not folder:
        folder = require("pooch", "data", "finding the user's cache folder").os_cache("afl-helpers")
    return Path(folder).expanduser()


def sha256(content: bytes | Path) -> str:
    """Return the SHA-256 checksum, in hex, of the given bytes or of the file at the given path."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with open(content, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path, *, shared: bool = False, alternative: str = "") -> Iterator[Path]:
    """Yield the path of a new file, which replaces ``path`` when the block ends without an error.

    Readers see the old file or the new one, never half a file. The new file is called ``.<name>.afl.part`` until the end.
    What a killed process leaves behind is replaced by the next write. Of a symbolic link, the target is replaced. What is
    no file, such as a pipe or a device, cannot be replaced: its own path is yielded.

    Args:
        path: the file to write. Its folder is made where needed.
        shared: several processes may write this path at the same time; each then uses a name of its own for the new file.
            Otherwise at most one process at a time may write it.
        alternative: as in :func:`not_written`.

    Raises:
        StorageError: the file cannot be written; the old one is unchanged.
    """
    is_special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    target = Path(os.path.realpath(path))
    # A name that is no file of the user's.
    part = target.with_name(f".{target.name}.{os.getpid()}.afl.part" if shared else f".{target.name}.afl.part")
    try:
        if is_special:
            yield path
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        raise not_written(path, error, alternative=alternative) from error
    finally:
        with suppress(OSError):
            part.unlink()


def not_written(path: Path, error: Exception, *, alternative: str = "") -> StorageError:
    """Return the error for a file or folder that could not be written.

    Args:
        path: the file or folder.
        error: the reason.
        alternative: what the user can do instead of repairing the cause, e.g. "name another folder".
    """
    reason = reason_of(error)
    # Libraries written in other languages pass on the system's message but not its error number.
    full = getattr(error, "errno", None) in _DISK_FULL or any(os.strerror(number) in reason for number in _DISK_FULL)
    remedy = "make room on its disk" if full else "check that its folder is writable and its disk has room"
    if alternative:
        remedy += f", or {alternative}"
    return StorageError(f"{path} could not be written ({reason}); {remedy}, then run this again")


def reason_of(error: Exception) -> str:
    """Return why a file could not be read or written, in words short enough for a sentence."""
    if isinstance(error, PermissionError):
        return os.strerror(errno.EACCES)  # pooch puts other words into the error
    reason: str = getattr(error, "strerror", None) or first_line(error)
    return reason[:160]


def write_json(path: Path, content: object) -> None:
    """Write JSON as in :func:`replacing`; NaN and infinity become null."""
    write_text(path, json_text(content))


def json_text(content: object) -> str:
    """Return JSON on one line; NaN and infinity become null."""
    return json.dumps(_finite(content), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 as in :func:`replacing`."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _finite(content: object) -> object:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
