"""The names of a study's labels: the runs of a study share them, so they stand once, in ``labels.json`` of its folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from afl_helpers.errors import DataError
from afl_helpers.files import json_text, sha256, write_text

#: The file in a study's folder.
LABELS = "labels.json"


def share_names(folder: Path, corpus: str, names: Sequence[str]) -> str:
    """Write label names to a study's ``labels.json`` unless they are there, and return the key they stand under.

    The key holds a checksum of the names, so a list that was changed is noticed when it is read.

    Raises:
        DataError: the file is there and broken.
        StorageError: the file cannot be written.
    """
    key = _key(corpus, names)
    if key not in read_names(folder):
        lock = folder / ".locks" / "labels.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            write_text(folder / LABELS, json_text(dict(sorted({**read_names(folder), key: list(names)}.items()))))
    return key


def read_names(folder: Path) -> dict[str, list[str]]:
    """Return key -> label names of a study's folder; empty if it has no ``labels.json``.

    Raises:
        DataError: the file is broken, or a list is not the one that was written.
    """
    path = folder / LABELS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); {_REMEDY}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, not an object; {_REMEDY}")
    for key, names in content.items():
        if not isinstance(names, list) or key != _key(key.rpartition("-")[0], names):
            raise DataError(f"{path}: the label names of {key!r} were changed after they were written; {_REMEDY}")
    return content


def find_names(key: str, names: Mapping[str, list[str]], path: Path) -> list[str]:
    """Return the names under a key that the run file ``path`` holds.

    Raises:
        DataError: there are none.
    """
    if key not in names:
        raise DataError(f"{path}: its label names, {key!r}, are not in {path.parent.parent / LABELS}; {_REMEDY}")
    return names[key]


_REMEDY = "restore the file: it belongs to the runs, and is copied with them"


def _key(corpus: str, names: Sequence[str]) -> str:
    return f"{corpus}-{sha256(json.dumps(names, ensure_ascii=False).encode())[:12]}"
