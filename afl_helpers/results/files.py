"""Result files: one JSON file per run, written whole or not at all, and read into a typed result."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afl_helpers.errors import DataError, MissingFileError
from afl_helpers.files import json_text
from afl_helpers.results.checksums import check_file, read_checksums, write_listed
from afl_helpers.results.encoding import from_json, to_json
from afl_helpers.results.schema import PILOT, Result
from afl_helpers.results.shared_parts import put_back, read_shared, share


def write_result(path: Path, result: Result) -> None:
    """Write a result file of a study, and its line in the study's checksums.

    What its runs share, such as the names of the labels, goes into the study's ``shared.json``.

    Raises:
        StorageError: the file cannot be written.
    """
    content = _significant(to_json(result))
    share(path.parent.parent, content)
    write_listed(path, json_text(content))


def _significant(content: Any, digits: int = 6) -> Any:
    """Round every float of a nested result to significant digits: enough to compare, short to store."""
    if isinstance(content, Mapping):
        return {key: _significant(value, digits) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_significant(value, digits) for value in content]
    return float(f"{content:.{digits}g}") if isinstance(content, float) else content


def read_result(path: str | Path) -> Result:
    """Read one result file; in a study with checksums, check that it is as it was written.

    Raises:
        MissingFileError: there is no such file.
        DataError: the file is not a result, or was changed.
    """
    path = Path(path)
    folder = path.parent.parent
    return _read(path, read_checksums(folder) if path.parent.name == "runs" else None, read_shared(folder))


def _read(path: Path, checksums: Mapping[str, str] | None, shared: Mapping[str, Any]) -> Result:
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; run the missing runs of the study")
    content = path.read_bytes()
    if checksums is not None:
        check_file(path, content, checksums)
    try:
        parsed = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}); run the study again") from None
    except (UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise DataError(f"{path}: not valid JSON ({error}); run the study again") from None
    put_back(parsed, shared, path)
    return from_json(parsed, path)


def _refuse_constant(name: str) -> None:
    raise ArithmeticError(f"it holds {name}")


def find_results() -> Path:
    """Return the nearest folder ``results``, looking in the current folder and then in each folder above it.

    Raises:
        MissingFileError: there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "results").is_dir():
            return folder / "results"
    missing = f"there is no folder 'results' in {here} or above it"
    raise MissingFileError(
        f"{missing}; pass the folder of the results",
        command_line=f"{missing}; name the folder of the results with --results",
    )


def read_study(study: str, folder: str | Path | None = None, pilots: bool = False) -> list[Result]:
    """Read the finished runs of a study, in order of file name.

    Args:
        study: name of the study, a folder in ``folder``.
        folder: the folder of the results; by default, the one that :func:`find_results` finds.
        pilots: also read the pilot runs, on which fields were tuned. They are no part of any comparison.

    Raises:
        MissingFileError: there is no such study.
        DataError: a result file is broken or was changed.
    """
    runs = (find_results() if folder is None else Path(folder)) / study / "runs"
    if not runs.is_dir() and not (runs.parent / "study.yaml").is_file():
        raise MissingFileError(f"{runs} does not exist; run: python -m afl_helpers study {study}")
    paths = sorted(runs.glob("*.json"))  # before the checksums: a file that is written meanwhile is listed first
    checksums, shared = read_checksums(runs.parent), read_shared(runs.parent)
    return [_read(path, checksums, shared) for path in paths if pilots or not path.stem.endswith(PILOT)]


def read_all_studies(folder: str | Path | None = None, pilots: bool = False) -> list[Result]:
    """Read the runs of every study in a folder of results, by study and file name.

    Args:
        folder: the folder of the results. Without it :func:`find_results` looks for one; there are no runs where it
            finds none.
        pilots: as in :func:`read_study`.

    Raises:
        MissingFileError: ``folder`` is given and does not exist.
        DataError: a result file is broken or was changed.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from afl_helpers.results import read_all_studies
        >>> with TemporaryDirectory() as folder:
        ...     read_all_studies(folder)  # no study in it
        []
    """
    if folder is None:
        try:
            folder = find_results()
        except MissingFileError:
            return []
    elif not Path(folder).is_dir():
        raise MissingFileError(
            f"{folder} does not exist; pass the folder of the results",
            command_line=f"{folder} does not exist; name the folder of the results with --results",
        )
    studies = sorted(path.parent.name for path in Path(folder).glob("*/runs"))
    return [run for study in studies for run in read_study(study, folder, pilots)]
