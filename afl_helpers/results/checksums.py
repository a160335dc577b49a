"""Checksums of a study's files, so that a result that was edited by hand is noticed when it is read.

Git shows that a file changed, but not whether the change was deliberate; and results are also copied without git.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from afl_helpers.errors import DataError, MissingFileError
from afl_helpers.files import sha256, write_text

#: The file of a study's checksums, in the format of `sha256sum`; `sha256sum --check checksums.sha256` reads it too.
CHECKSUMS = "checksums.sha256"


def write_checksums(folder: str | Path) -> Path:
    """List the checksums of a study's files as they are now, after a deliberate change.

    ``python -m afl_helpers study NAME --checksums`` calls this.

    Returns:
        The path of the list.
    """
    folder = Path(folder)
    _write(folder, _current(folder))
    return folder / CHECKSUMS


def verify_checksums(folder: str | Path) -> None:
    """Check that ``study.yaml`` and every run of a study's folder are as they were written.

    Raises:
        MissingFileError: the folder has no checksums.
        DataError: a file was changed, is not listed, or is listed but missing; the message names it.
    """
    folder = Path(folder)
    files = _files(folder)  # before the checksums: a file that another process writes meanwhile is listed first
    checksums = read_checksums(folder)
    if checksums is None:
        raise MissingFileError(f"{folder / CHECKSUMS} does not exist; {_remedy(folder)}")
    for path in files:
        check_file(path, path.read_bytes(), checksums)
    for name in checksums:
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is listed in {CHECKSUMS} but missing; run the missing runs of the study")


def read_checksums(folder: str | Path) -> dict[str, str] | None:
    """Return file name -> SHA-256 as listed in a study's folder, or None if there is no list."""
    path = Path(folder) / CHECKSUMS
    if not path.is_file():
        return None
    checksums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if not match:
            raise DataError(f"{path}, line {number}: expected a checksum and a file name; {_remedy(path.parent)}")
        checksums[match[2]] = match[1]
    return checksums


def check_file(path: Path, content: bytes, checksums: Mapping[str, str]) -> None:
    """Check a file of a study against the study's checksums.

    Raises:
        DataError: the file is not listed, or was changed after it was written.
    """
    folder = path.parent if path.name == "study.yaml" else path.parent.parent
    expected = checksums.get(path.relative_to(folder).as_posix())
    if expected is None:
        raise DataError(f"{path} is not listed in {CHECKSUMS}; delete it, or {_remedy(folder)}")
    if sha256(content) != expected:
        raise DataError(
            f"{path} was changed after it was written, by {CHECKSUMS}; restore the old one, or if the change was "
            f"deliberate, {_remedy(folder)}"
        )


def write_listed(path: Path, text: str) -> None:
    """Write a file of a study's ``runs`` and its line in the study's checksums.

    The line comes first. A process that is killed in between leaves a line without a file: that run is missing, and
    running it again writes both. So a file without a line was not written here, and is refused. The first file that is
    written to a study without checksums also lists the files that are already there.

    Raises:
        StorageError: the file cannot be written.
    """
    folder = path.parent.parent
    lock = folder / ".locks" / "checksums.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        checksums = read_checksums(folder)
        checksums = _current(folder) if checksums is None else checksums
        if (folder / "study.yaml").is_file():
            checksums["study.yaml"] = sha256((folder / "study.yaml").read_bytes())
        _write(folder, checksums | {f"runs/{path.name}": sha256(text.encode())})
    write_text(path, text)


def _remedy(folder: Path) -> str:
    return f"look at the files and list them with: python -m afl_helpers study {folder.name} --checksums"


def _files(folder: Path) -> list[Path]:
    return [path for path in (folder / "study.yaml", *sorted(folder.glob("runs/*.json"))) if path.is_file()]


def _current(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()) for path in _files(folder)}


def _write(folder: Path, checksums: Mapping[str, str]) -> None:
    lines = [f"{digest}  {name}\n" for name, digest in sorted(checksums.items())]
    write_text(folder / CHECKSUMS, "".join(lines))
