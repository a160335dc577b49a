"""Find files in a local data folder, or download them once into the cache; read them within limits."""

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from afl_helpers.errors import DataError, MissingFileError, UsageError, require
from afl_helpers.files import CACHE_DIR_VARIABLE, cache_dir, not_written, reason_of, sha256

DATA_DIR_VARIABLE = "AFL_DATA_DIR"
#: What to do when the cache cannot be written; part of the sentence of an error.
OTHER_CACHE = f"name another folder in {CACHE_DIR_VARIABLE}"

# Limits on hostile or broken files, all larger than anything in the corpora. Of an archive they count unpacked bytes.
FILE_LIMIT_BYTES = 2**29
ARCHIVE_LIMIT_BYTES = 2**31
HEADERS_LIMIT_BYTES = 2**22  # all headers of an archive together
HEADER_LIMIT_BYTES = 2**13  # one header
CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class SourceFile:
    """The content of a file, and the name that errors call it by."""

    name: str
    content: bytes


def local_data_dir(data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the folder of local data: the argument, else the environment variable AFL_DATA_DIR, else None.

    Raises:
        MissingFileError: the folder does not exist.
    """
    chosen = data_dir if data_dir is not None else os.environ.get(DATA_DIR_VARIABLE)
    if not chosen:
        return None
    if not isinstance(chosen, str | os.PathLike):
        raise UsageError(f"data_dir is {chosen!r}; pass the path of a folder")
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        origin = DATA_DIR_VARIABLE if data_dir is None else "data_dir"
        raise MissingFileError(f"{origin} names {folder}, which is not a folder; correct it or leave it unset")
    return folder


def fetch(url: str, file_name: str, *, instead: str) -> Path:
    """Return the cached copy of a public file; download it, with a progress bar, if there is none yet.

    Args:
        url: its address.
        file_name: its name below the cache folder.
        instead: what to do without a network; ends the sentence of the error.

    Raises:
        MissingFileError: the download failed.
        StorageError: the cache cannot be written.
        MissingExtraError: pooch or requests is not installed.
    """
    target = cache_dir() / file_name
    if os.path.isfile(target):  # Path.is_file would raise if the folder may not be entered
        return target
    pooch, requests = (require(module, "data", "downloading a corpus") for module in ("pooch", "requests"))
    pooch.get_logger().setLevel("WARNING")  # it would advise to pass hashes, which are checked elsewhere
    try:
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT_SECONDS)
        # pooch writes to a temporary name and renames, so that a broken download leaves nothing behind.
        pooch.retrieve(url, known_hash=None, fname=target.name, path=target.parent, downloader=downloader)
    except (requests.RequestException, ValueError) as error:  # ValueError: a malformed address
        raise MissingFileError(f"cannot download {url} ({_network_reason(error)}); {instead}") from None
    except OSError as error:
        raise not_written(target, error, alternative=OTHER_CACHE) from None
    return target


def published_files(
    local: Path | None, names: Collection[str], expected: str, *, url: str, file_name: str, what: str, instead: str
) -> dict[str, bytes]:
    """Read the named files from a local place, else from an archive that is downloaded once; verify their content.

    Args:
        local: a folder or .tar.gz archive; None if there is none.
        names: as in `find_files`.
        expected: the `content_hash` of the published files.
        url, file_name: the address of the archive, and its name below the cache folder.
        what, instead: what the files are and what to do without them; parts of the sentences of errors.

    Returns:
        The content of the files by name.

    Raises:
        MissingFileError: a file is missing, or the archive cannot be downloaded.
        DataError: the content differs from the published one.
    """
    place = fetch(url, file_name, instead=f"{what} are missing: {instead}") if local is None else local
    try:
        files = {name: file.content for name, file in read_files(place, names, instead=instead).items()}
        found = content_hash(files)
        if found != expected:
            raise DataError(f"{what} in {place} have content hash {found} instead of {expected}; {instead}")
    except (DataError, MissingFileError) as error:
        if local is not None:
            raise
        raise DataError(f"{error}; the download was {place}: {discard(place)}") from None
    return files


def discard(path: Path) -> str:
    """Delete a download with wrong content; return what happened and what to do, as the end of an error's sentence."""
    try:
        path.unlink(missing_ok=True)  # another process may have been faster
    except OSError as error:
        return f"it cannot be deleted ({reason_of(error)}), so delete it yourself and run this again"
    return "it has been deleted, so run this again"


def read_files(
    place: Path, names: Collection[str], *, subfolder: str | None = None, instead: str
) -> dict[str, SourceFile]:
    """Read the named files, all of them, from a folder or a .tar.gz archive.

    Args:
        place, names, subfolder: as in `find_files`.
        instead: what to do if one is missing; ends the sentence of the error.

    Raises:
        MissingFileError: a file is missing, or cannot be read.
        DataError: as in `read_file` and `read_members`.
    """
    files = find_files(place, names, subfolder=subfolder)
    missing = sorted(set(names) - files.keys())
    if missing:
        raise MissingFileError(f"{place} holds no {missing[0]}; {instead}")
    return files


def find_files(place: Path, names: Collection[str], *, subfolder: str | None = None) -> dict[str, SourceFile]:
    """Read those of the named files that a folder or a .tar.gz archive holds.

    Args:
        place: the folder or archive. In an archive the files may lie in any folder.
        names: the names of the files, also with folders, as in "text/1.txt"; each may also lie there as NAME.gz.
        subfolder: a folder below `place` that may hold them as well.

    Returns:
        The files by their names in `names`.
    """
    if not place.is_dir():
        return {name: SourceFile(f"{place}:{name}", content) for name, content in read_members(place, names).items()}
    folders = [place] if subfolder is None else [place, place / subfolder]
    files = {}
    for name in names:
        candidates = [folder / f"{name}{end}" for folder in folders for end in ("", ".gz")]
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is not None:
            files[name] = SourceFile(str(path), read_file(path))
    return files


def read_file(path: Path) -> bytes:
    """Return the content of a file, unpacked if its name ends in .gz.

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
        raise MissingFileError(f"cannot read {path} ({reason_of(error)}); check its name and permissions") from None


def read_members(archive: Path, names: Collection[str]) -> dict[str, bytes]:
    """Return the content of the named files of a .tar.gz archive by name; nothing is written to disk.

    The files may lie in any folder of the archive: a name stands for every path that ends in it, as "text/1.txt" does for
    "a/b/text/1.txt", and the first one counts. Missing names are left out. NAME.gz is unpacked and stands for NAME.

    Raises:
        MissingFileError: the archive cannot be read.
        DataError: the archive is invalid, it or a file in it is too large, or a wanted name belongs to a link, a folder
            or a device.
    """
    files: dict[str, bytes] = {}
    lengths = {len(PurePosixPath(name).parts) for name in names}
    try:
        with open(archive, "rb") as raw:
            # A server or a browser may have unpacked the archive already.
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = _TarStream(gzip.open(raw) if packed else raw, str(archive))
            # tarfile needs no more of a stream than _TarStream has.
            for member in tarfile.open(fileobj=stream, mode="r:"):  # type: ignore[call-overload]
                path = PurePosixPath(member.name)
                base = path.name
                parts = (*path.parts[:-1], base.removesuffix(".gz"))
                ends = {"/".join(parts[-length:]) for length in lengths}
                name = next((end for end in ends if end in names and end not in files), None)
                if name is None:
                    continue
                label = f"{archive}:{base}"
                if not member.isreg() or member.issparse():
                    raise DataError(f"{label} is a link, a folder or a device; pack the file itself under this name")
                content = stream.content(member, label)
                if base != parts[-1]:
                    content = _read_limited(gzip.open(io.BytesIO(content)), label)
                files[name] = content
                if len(files) == len(names):
                    break
    except DataError:
        raise
    # tarfile raises ValueError and others for crafted headers; a chain of headers ends in RecursionError.
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError):
        raise DataError(f"{archive} is not a complete .tar.gz archive; get it again") from None
    except OSError as error:
        raise MissingFileError(f"cannot read {archive} ({reason_of(error)}); check its name and permissions") from None
    return files


class _TarStream:
    """A stream for tarfile that reads forwards only and within limits, whatever the headers claim.

    tarfile itself reserves the memory for a header of any size, and never ends on a member of negative size.
    """

    def __init__(self, stream: _Readable, archive: str) -> None:
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
        """Return part of a header; tarfile itself reads nothing else."""
        self.header_bytes += size
        if not 0 <= size <= HEADER_LIMIT_BYTES or self.header_bytes > HEADERS_LIMIT_BYTES:
            raise DataError(f"{self.archive} holds too many members or too long names; pack only the wanted files")
        content = self.stream.read(size)
        self.position += len(content)
        return content

    def content(self, member: tarfile.TarInfo, label: str) -> bytes:
        """Return the whole content of a member that is a plain file."""
        if not 0 <= member.size <= FILE_LIMIT_BYTES:
            raise _too_large(label)
        self.seek(member.offset_data)
        content = _read_in_pieces(self.stream, member.size)
        self.position += len(content)
        if len(content) < member.size:
            raise tarfile.ReadError("unexpected end of data")
        return content


def content_hash(files: Mapping[str, bytes]) -> str:
    """Return one SHA-256, in hex, for several files: of a line per file, in order of the names, with hash and name."""
    lines = (f"{sha256(files[name])}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def git_blob_hash(content: bytes) -> str:
    """Return the hash by which git knows a file's content: SHA-1 of a short header and the content, in hex."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _read_limited(stream: _Readable, label: str) -> bytes:
    content = _read_in_pieces(stream, FILE_LIMIT_BYTES + 1)
    if len(content) > FILE_LIMIT_BYTES:
        raise _too_large(label)
    return content


def _read_in_pieces(stream: _Readable, size: int) -> bytes:
    """Return up to `size` bytes. A single call of `read` would reserve memory for all of them, however few there are."""
    pieces = io.BytesIO()
    while size > 0 and (piece := stream.read(min(CHUNK_BYTES, size))):
        pieces.write(piece)
        size -= len(piece)
    return pieces.getvalue()


def _too_large(label: str) -> DataError:
    return DataError(f"{label} is larger than {FILE_LIMIT_BYTES:,} bytes; it is not the file it should be")


def _network_reason(error: Any) -> str:
    """Return the reason of an error of requests."""
    import requests  # optional; it is there, because it raised this error

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_SECONDS} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return reason_of(error)
