"""Find files in a local data folder, or download them once into a cache; check what they hold."""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pooch
import requests

from afl_helpers.errors import DataError, MissingFileError

DATA_DIR_VARIABLE = "AFL_DATA_DIR"
CACHE_DIR_VARIABLE = "AFL_CACHE_DIR"

# No file of the corpora is larger; a compressed file that unpacks to more is not read any further.
FILE_LIMIT_BYTES = 2**29
# Nor is an archive read any further than this, unpacked; of that, all headers together and a single one.
ARCHIVE_LIMIT_BYTES = 2**31
HEADERS_LIMIT_BYTES = 2**22
HEADER_LIMIT_BYTES = 2**13
CHUNK_BYTES = 2**20
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
        MissingFileError: the download failed, or the cache cannot be written.
    """
    target = cache_dir() / file_name
    if os.path.isfile(target):  # Path.is_file would raise where the folder may not be entered
        return target
    pooch.get_logger().setLevel("WARNING")  # it would advise on hashes that are checked elsewhere
    try:
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT_SECONDS)
        # pooch writes to a temporary name and renames, so that a broken download leaves nothing behind.
        pooch.retrieve(url, known_hash=None, fname=target.name, path=target.parent, downloader=downloader)
    except (requests.RequestException, ValueError) as error:  # ValueError: a malformed address
        raise MissingFileError(f"cannot download {url} ({_reason(error)}); {instead}") from None
    except OSError as error:
        raise unwritable(target, error) from None
    return target


def unwritable(path: Path, error: OSError) -> MissingFileError:
    """The error for a file of the cache that cannot be written."""
    return MissingFileError(
        f"cannot write {path} ({_reason(error)}); mend that, or name another folder in {CACHE_DIR_VARIABLE}"
    )


def discard(path: Path) -> str:
    """Delete a download that is not what it should be; returns what became of it and what to do, in words."""
    try:
        path.unlink(missing_ok=True)  # another process may have been faster
    except OSError as error:
        return f"it cannot be deleted ({_reason(error)}), so delete it yourself and run this again"
    return "it has been deleted, so run this again"


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
        DataError: it is not a valid archive, it or a file in it is too large, or a wanted name is that of a
            link, a folder or a device.
    """
    found: dict[str, bytes] = {}
    try:
        with open(archive, "rb") as raw:
            # A server or a browser may have unpacked the archive already.
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = _TarStream(gzip.open(raw) if packed else raw, str(archive))
            for member in tarfile.open(fileobj=stream, mode="r:"):
                base = PurePosixPath(member.name).name
                name = base.removesuffix(".gz")
                if name not in names or name in found:
                    continue
                label = f"{archive}:{base}"
                if not member.isreg() or member.issparse():
                    raise DataError(f"{label} is a link, a folder or a device; pack the file itself under this name")
                content = stream.content(member, label)
                if base != name:
                    content = _read_limited(gzip.open(io.BytesIO(content)), label)
                found[name] = content
                if len(found) == len(names):
                    break
    except DataError:
        raise
    # tarfile lets ValueError and others out on crafted headers; a chain of headers ends in RecursionError.
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError):
        raise DataError(f"{archive} is not a complete .tar.gz archive; get it again") from None
    except OSError as error:
        raise MissingFileError(f"cannot read {archive} ({_reason(error)}); check its name and permissions") from None
    return found


class _TarStream:
    """What tarfile reads an archive from: forwards only and within limits, whatever the headers claim.

    tarfile itself takes the memory for a header of any size, and loops for ever over a member of negative size.
    """

    def __init__(self, stream: BinaryIO, archive: str) -> None:
        self.stream = stream
        self.archive = archive
        self.position = 0
        self.header_bytes = 0

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> None:
        if position < self.position:
            raise tarfile.ReadError("a member of negative size")
        if position > ARCHIVE_LIMIT_BYTES:
            raise DataError(f"{self.archive} is larger than {ARCHIVE_LIMIT_BYTES:,} bytes; pack only the wanted files")
        while self.position < position:
            skipped = len(self.stream.read(min(CHUNK_BYTES, position - self.position)))
            if not skipped:
                raise tarfile.ReadError("unexpected end of data")
            self.position += skipped

    def read(self, size: int) -> bytes:
        """Part of a header: tarfile itself reads nothing else."""
        self.header_bytes += size
        if not 0 <= size <= HEADER_LIMIT_BYTES or self.header_bytes > HEADERS_LIMIT_BYTES:
            raise DataError(f"{self.archive} holds too many members or too long names; pack only the wanted files")
        content = self.stream.read(size)
        self.position += len(content)
        return content

    def content(self, member: tarfile.TarInfo, label: str) -> bytes:
        """All of a member that is a plain file."""
        if not 0 <= member.size <= FILE_LIMIT_BYTES:
            raise _too_large(label)
        self.seek(member.offset_data)
        content = _read_in_pieces(self.stream, member.size)
        self.position += len(content)
        if len(content) < member.size:
            raise tarfile.ReadError("unexpected end of data")
        return content


def git_blob_hash(content: bytes) -> str:
    """The hash by which git knows a file's content: SHA-1 of a short header and the content, in hex."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    """SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


def _read_limited(stream: BinaryIO, label: str) -> bytes:
    content = _read_in_pieces(stream, FILE_LIMIT_BYTES + 1)
    if len(content) > FILE_LIMIT_BYTES:
        raise _too_large(label)
    return content


def _read_in_pieces(stream: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes. In one call `read` would reserve the memory for all of them, however few there are."""
    pieces = io.BytesIO()
    while size > 0 and (piece := stream.read(min(CHUNK_BYTES, size))):
        pieces.write(piece)
        size -= len(piece)
    return pieces.getvalue()


def _too_large(label: str) -> DataError:
    return DataError(f"{label} is larger than {FILE_LIMIT_BYTES:,} bytes; it is not the file it should be")


def _reason(error: Exception) -> str:
    """An error in words short enough for a sentence."""
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_SECONDS} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, PermissionError):
        return "permission denied"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0][:160]
