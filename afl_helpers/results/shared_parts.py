"""Parts of a run that a study's runs share: they stand once, in ``shared.json`` of its folder, and a run names them by key."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from afl_helpers.errors import DataError
from afl_helpers.files import json_text, sha256, write_text

#: The file in a study's folder.
FILE = "shared.json"

#: The parts of a run's content that stand there: the same for many runs.
SHARED = ("data", "setting", "config", "environment", "labels.name", "labels.training_count", "labels.support")


def share(folder: Path, content: dict[str, Any]) -> None:
    """Move the shared parts of a run's ``content`` to the study's ``shared.json``; a key takes the place of each.

    A key holds a checksum of its part, so a part that was changed is noticed when it is read.

    Raises:
        DataError: the file is there and broken.
        StorageError: the file cannot be written.
    """
    parts = {}
    for place, owner, name in _places(content):
        key = _key(place, owner[name])
        parts[key], owner[name] = owner[name], key
    if not parts.keys() <= read_shared(folder).keys():
        lock = folder / ".locks" / "shared.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            write_text(folder / FILE, json_text(dict(sorted({**read_shared(folder), **parts}.items()))))


def read_shared(folder: Path) -> dict[str, Any]:
    """Return key -> part of a study's folder; empty if it has no ``shared.json``.

    Raises:
        DataError: the file is broken, or a part is not the one that was written.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); {_REMEDY}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, not an object; {_REMEDY}")
    for key, part in content.items():
        if key != _key(key.rpartition("-")[0], part):
            raise DataError(f"{path}: {key!r} was changed after it was written; {_REMEDY}")
    return content


def put_back(content: dict[str, Any], shared: Mapping[str, Any], path: Path) -> None:
    """Replace the keys in the content of the run file ``path`` by their parts; files of version 0.1 have no keys.

    Raises:
        DataError: there is no part under a key.
    """
    for place, owner, name in _places(content):
        key = owner[name]
        if isinstance(key, str):
            if key not in shared or not key.startswith(f"{place}-"):
                raise DataError(f"{path}: its {place}, {key!r}, is not in {path.parent.parent / FILE}; {_REMEDY}")
            owner[name] = shared[key]


def first_key(content: Mapping[str, Any]) -> str | None:
    """Return the first shared part of a run's content that is still a key; None if all are there."""
    return next((place for place, owner, name in _places(content) if isinstance(owner[name], str)), None)


_REMEDY = "restore the file: it belongs to the runs, and is copied with them"


def _places(content: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield each shared part that is there: its place, what holds it, and its name in that."""
    for place in SHARED:
        *above, name = place.split(".")
        owner = content
        for step in above:
            owner = owner.get(step) if isinstance(owner, Mapping) else None
        if isinstance(owner, Mapping) and name in owner:
            yield place, owner, name


def _key(place: str, part: object) -> str:
    return f"{place}-{sha256(json.dumps(part, ensure_ascii=False).encode())[:12]}"
