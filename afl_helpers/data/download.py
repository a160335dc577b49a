"""Find files in a local data folder, or download them once into a cache; check what they hold."""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import pooch
import requests

from afl_helpers.errors import DataError, MissingFileError

DATA_DIR_VARIABLE = "AFL_DATA_DIR"
CACHE_DIR_VARIABLE = "AFL_CACHE_DIR"

# No file of the corpora is larger; a compressed file that unpacks to more is not read any further.
FILE_LIMIT_BYTES = 2**29
TIMEOUT_SECONDS = 30


def local_data_dir(data_dir: str | os.PathLike | None = None) -> Path | None:
    """The folder of local data: the argument, else the environment variable AFL_DATA_DIR, else None.

    Raises:
        MissingFileError: the folder does not exist.
    """
    chosen = data_dir if data_dir is not None else os.environ.get(DATA_DIR_VARIABLE)
    if not chosen:
        return None
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        origin = DATA_DIR_VARIABLE if data_dir is None else "data_dir"
        raise MissingFileError(f"{origin} names {folder}, which is not a folder; correct it or leave it unset")
    return folder


def cache_dir() -> Path:
    """The folder for downloads: the environment variable AFL_CACHE_DIR, else the user's cache folder."""
    return Path(os.environ.get(CACHE_DIR_VARIABLE) or pooch.os_cache("afl-helpers")).expanduser()


def fetch(url: str, file_name: str, *, instead: str) -> Path:
    """The cached copy of a public file, downloaded with a progress bar where there is none yet.

    Args:
        url: its address.
        file_name: its name below the cache folder.
        instead: what to do where there is no network; ends the sentence of the error.

    Raises:
        MissingFileError: the download failed.
    """
    target = cache_dir() / file_name
    if target.is_file():
        return target
    pooch.get_logger().setLevel("WARNING")  # it would advise on hashes that are checked elsewhere
    try:
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT_SECONDS)
        # pooch writes to a temporary name and renames, so that a broken download leaves nothing behind.
        pooch.retrieve(url, known_hash=None, fname=target.name, path=target.parent, downloader=downloader)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; ValueError: a malformed address
        raise MissingFileError(f"cannot download {url} ({_reason(error)}); {instead}") from None
    return target


def read_file(path: Path) -> bytes:
    """The content of a file, unpacked where its name ends in .gz.

    Raises:
        MissingFileError: it cannot be read.
        DataError: it is not valid gzip, or too large.
    """
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as stream:
            return _read_limited(stream, str(path))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(f"{path} is not a complete gzip file; get it again") from None
    except OSError as error:
        raise MissingFileError(f"cannot read {path} ({_reason(error)}); check its name and permissions") from None


def read_members(archive: Path, names: Collection[str]) -> dict[str, bytes]:
    """The named files of a .tar.gz archive, in whatever folder they lie there; nothing is written to disk.

    Returns:
        Content by name, for those names that are there; a member NAME.gz stands for NAME.

    Raises:
        MissingFileError: the archive cannot be read.
        DataError: it is not a valid archive, or a file in it is too large.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                base = PurePosixPath(member.name).name
                name = base.removesuffix(".gz")
                if not member.isfile() or name not in names or name in found:
                    continue
                label = f"{archive}:{member.name}"
                stream = tar.extractfile(member)
                if base != name:
                    stream = gzip.open(stream)
                found[name] = _read_limited(stream, label)
                if len(found) == len(names):
                    break
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(f"{archive} is not a complete .tar.gz archive; get it again") from None
    except OSError as error:
        raise MissingFileError(f"cannot read {archive} ({_reason(error)}); check its name and permissions") from None
    return found


def git_blob_hash(content: bytes) -> str:
    """The hash by which git knows a file's content: SHA-1 of a short header and the content, in hex."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    """SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


def _read_limited(stream, label: str) -> bytes:
    content = stream.read(FILE_LIMIT_BYTES + 1)
    if len(content) > FILE_LIMIT_BYTES:
        raise DataError(f"{label} is larger than {FILE_LIMIT_BYTES:,} bytes; it is not the file it should be")
    return content


def _reason(error: Exception) -> str:
    """An error in words short enough for a sentence."""
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_SECONDS} s"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0][:160]
