"""Files that are written whole or not at all."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically: a reader sees the old file or the new one. NaN becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_without_nan(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def _without_nan(content: object) -> object:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
