"""Lists of the labels that a study's runs share: names and counts stand once, in ``labels.json`` of its folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from afl_helpers.errors import DataError
from afl_helpers.files import json_text, sha256, write_text

#: The file in a study's folder.
LABELS = "labels.json"

#: The lists of a run's ``labels`` that stand there: the same for every run on one split of one corpus.
SHARED = ("name", "training_count", "support")

Lists = Mapping[str, list[Any]]


def share_lists(folder: Path, corpus: str, labels: dict[str, Any]) -> None:
    """Move the shared lists of a run's ``labels`` to the study's ``labels.json``; a key takes the place of each.

    A key holds a checksum of its list, so a list that was changed is noticed when it is read.

    Raises:
        DataError: the file is there and broken.
        StorageError: the file cannot be written.
    """
    lists = {_key(corpus, labels[name]): labels[name] for name in SHARED}
    labels.update(zip(SHARED, (_key(corpus, labels[name]) for name in SHARED)))
    if not lists.keys() <= read_lists(folder).keys():
        lock = folder / ".locks" / "labels.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            write_text(folder / LABELS, json_text(dict(sorted({**read_lists(folder), **lists}.items()))))


def read_lists(folder: Path) -> dict[str, list[Any]]:
    """Return key -> list of a study's folder; empty if it has no ``labels.json``.

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
    for key, values in content.items():
        if not isinstance(values, list) or key != _key(key.rpartition("-")[0], values):
            raise DataError(f"{path}: the list {key!r} was changed after it was written; {_REMEDY}")
    return content


def put_back(labels: dict[str, Any], lists: Lists, path: Path) -> None:
    """Replace the keys in the ``labels`` of the run file ``path`` by their lists; files of version 0.1 have no keys.

    Raises:
        DataError: there is no list under a key.
    """
    for name in SHARED:
        key = labels.get(name)
        if isinstance(key, str):
            if key not in lists:
                raise DataError(
                    f"{path}: its labels.{name}, {key!r}, is not in {path.parent.parent / LABELS}; {_REMEDY}"
                )
            labels[name] = lists[key]


_REMEDY = "restore the file: it belongs to the runs, and is copied with them"


def _key(corpus: str, values: Sequence[object]) -> str:
    return f"{corpus}-{sha256(json.dumps(values, ensure_ascii=False).encode())[:12]}"
