"""Archives and compressed files that were made to do harm, or were cut or mixed up on their way."""

import bz2
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afl_helpers.data import load_corpus
from afl_helpers.data.sources import cmu, download
from afl_helpers.errors import DataError

# Whatever grows out of bounds ends here instead of holding up everything else.
pytestmark = pytest.mark.timeout(300)

METADATA = "\t".join(["1", "/m/1", "T", "2001", "", "", "{}", "{}", '{"/m/1": "Drama"}']).encode() + b"\n"
PLOTS = b"1\tA plot.\n"
WANTED = {cmu.METADATA_FILE: METADATA, cmu.PLOTS_FILE: PLOTS}


def tar(*members, format=tarfile.GNU_FORMAT) -> bytes:
    """An archive, not compressed, of (name, content) or (TarInfo, content)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as archive:
        for member, content in members:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A member's header alone, which may claim anything."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def write(folder, content: bytes, *, compressed: bool = True):
    path = folder / "mine.tar.gz"
    path.write_bytes(gzip.compress(content, 1) if compressed else content)
    return path


def zeros_in_gzip(n_mebibytes: int) -> bytes:
    """A gzip file that unpacks to this many mebibytes, a thousandth of that itself; gzip files may be joined."""
    return gzip.compress(bytes(2**20)) * n_mebibytes


def read(path) -> dict[str, bytes]:
    return download.read_members(path, WANTED)


def refused(path, problem: str) -> str:
    with pytest.raises(DataError) as error:
        read(path)
    message = str(error.value)
    assert message.startswith(str(path)) and problem in message and "\n" not in message
    assert re.search("; (get|pack|it is)", message), message
    return message


writes = []


def note_write(event, arguments):
    """Notes what is opened for writing, made, linked, moved or removed, while a test listens."""
    if not writes or writes[0] is not note_write:
        return
    if event == "open" and (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        writes.append((event, arguments[0]))
    elif event in ("os.mkdir", "os.link", "os.symlink", "os.rename", "os.remove", "os.chmod", "os.truncate"):
        writes.append((event, *arguments))


@pytest.mark.parametrize("folder", ["/", "/etc/", "../../", "a/../../b/", "./", "C:\\", "\x1b[31m\n/", "//host/share/"])
def test_a_name_that_leads_outside_is_read_in_memory_and_written_nowhere(tmp_path, folder):
    path = write(tmp_path, tar(*((folder + name, content) for name, content in WANTED.items())))
    if not writes:
        sys.addaudithook(note_write)  # cannot be taken off again; it listens below only
    writes[:] = [note_write]
    try:
        found = read(path)
    finally:
        heard, writes[:] = writes[1:], [None]
    assert heard == []
    assert found == ({} if folder == "C:\\" else WANTED)  # a backslash is no separator in a tar file
    assert os.listdir(tmp_path) == ["mine.tar.gz"]


def test_the_watch_on_writes_hears_them(tmp_path):
    if not writes:
        sys.addaudithook(note_write)
    writes[:] = [note_write]
    (tmp_path / "a").write_bytes(b"")
    os.symlink("a", tmp_path / "b")
    heard, writes[:] = writes[1:], [None]
    assert [event for event, *_ in heard] == ["open", "os.symlink"]


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE],
    ids=["symbolic link", "hard link", "character device", "block device", "FIFO", "folder"],
)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_wanted_name_on_what_is_no_file_is_refused(tmp_path, kind, end):
    member = tarfile.TarInfo(f"MovieSummaries/{cmu.PLOTS_FILE}{end}")
    member.type, member.linkname = kind, "/etc/passwd"
    path = write(tmp_path, tar((cmu.METADATA_FILE, METADATA), (member, b"")))
    message = f"mine.tar.gz:{cmu.PLOTS_FILE}{end} is a link, a folder or a device; pack the file itself"
    refused(path, message)
    with pytest.raises(DataError, match=re.escape(message)):
        load_corpus(path)


def test_a_sparse_file_is_refused(tmp_path):
    member = tarfile.TarInfo(cmu.PLOTS_FILE)
    member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "99999999999", "GNU.sparse.numblocks": "1"}
    member.size = 1
    path = write(tmp_path, tar((member, b"x"), format=tarfile.PAX_FORMAT))
    with tarfile.open(path) as archive:
        assert archive.next().issparse()
    refused(path, "pack the file itself")


def test_other_links_and_devices_are_passed_over(tmp_path):
    link = tarfile.TarInfo("README")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("null")
    device.type = tarfile.CHRTYPE
    path = write(tmp_path, tar((link, b""), (device, b""), *WANTED.items()))
    assert read(path) == WANTED
    assert load_corpus(path).texts == ["A plot."]


def peak_memory(function, *arguments) -> int:
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MIB = 2**20


def bombs() -> dict[str, bytes]:
    """Archives, compressed, of a few hundred kilobytes at most, that claim or unpack to far more than 8 MiB."""
    huge = header(cmu.PLOTS_FILE, 8 * 2**40)
    return {
        "a wanted file": gzip.compress(header(cmu.PLOTS_FILE, 200 * MIB)) + zeros_in_gzip(200),
        "a wanted .gz file": gzip.compress(tar((f"{cmu.PLOTS_FILE}.gz", zeros_in_gzip(200)))),
        "another file": gzip.compress(header("other", 200 * MIB)) + zeros_in_gzip(200),
        "a claim of 8 TiB": gzip.compress(huge + bytes(1024)),
        "another file of 8 TiB": gzip.compress(header("other", 8 * 2**40) + bytes(1024)),
        "a long name": gzip.compress(header("x", 200 * MIB, tarfile.GNUTYPE_LONGNAME)) + zeros_in_gzip(200),
        "an extended header": gzip.compress(header("x", 200 * MIB, tarfile.XHDTYPE)) + zeros_in_gzip(200),
        "a global header": gzip.compress(header("x", 200 * MIB, tarfile.XGLTYPE)) + zeros_in_gzip(200),
        "a header of negative size": gzip.compress(header("x", -1000, tarfile.XHDTYPE)) + zeros_in_gzip(200),
    }


@pytest.mark.parametrize("bomb", bombs())
def test_a_bomb_is_refused_within_the_memory_that_is_allowed(tmp_path, monkeypatch, bomb):
    monkeypatch.setattr(download, "FILE_LIMIT_BYTES", 8 * MIB)
    monkeypatch.setattr(download, "ARCHIVE_LIMIT_BYTES", 32 * MIB)
    path = write(tmp_path, bombs()[bomb], compressed=False)
    assert path.stat().st_size < MIB
    # A buffer that grows is copied, and lies there twice for a moment.
    assert peak_memory(refused, path, "") < 4 * 8 * MIB


def test_a_gzip_bomb_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "FILE_LIMIT_BYTES", 8 * MIB)
    path = tmp_path / f"{cmu.PLOTS_FILE}.gz"
    path.write_bytes(zeros_in_gzip(200))

    def read_it():
        with pytest.raises(DataError, match=r"plot_summaries\.txt\.gz is larger than 8,388,608 bytes; it is not"):
            download.read_file(path)

    assert peak_memory(read_it) < 4 * 8 * MIB


def test_small_files_take_little_memory(tmp_path):
    path = write(tmp_path, tar(*WANTED.items()))
    assert peak_memory(read, path) < 4 * MIB
    (tmp_path / "a.gz").write_bytes(gzip.compress(PLOTS))
    assert peak_memory(download.read_file, tmp_path / "a.gz") < 4 * MIB


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
@pytest.mark.parametrize("name", ["other", cmu.PLOTS_FILE, f"{cmu.PLOTS_FILE}.gz"])
@pytest.mark.parametrize("size", [-1, -512, -1024, -(2**40)])
def test_a_negative_size_is_no_endless_loop(tmp_path, kind, name, size):
    check_damaged(tmp_path, header(name, size, kind) + header("next", 0) * 3 + bytes(1024), True)


@pytest.mark.parametrize(
    "block",
    [
        header("x", 0),
        header("x", 1) + bytes(512),
        header("x", 10, tarfile.GNUTYPE_LONGNAME) + b"a/b".ljust(512, b"\0"),
        header("x", 20, tarfile.XHDTYPE) + b"11 path=ab\n".ljust(512, b"\0"),
        header("x", 20, tarfile.XGLTYPE) + b"11 path=ab\n".ljust(512, b"\0"),
    ],
    ids=["empty files", "tiny files", "long names", "extended headers", "global headers"],
)
def test_a_million_members_are_not_all_read(tmp_path, monkeypatch, block):
    path = write(tmp_path, gzip.compress(block * 1000) * 1000, compressed=False)
    parsed = []
    parse = tarfile.TarInfo.frombuf.__func__
    monkeypatch.setattr(
        tarfile.TarInfo, "frombuf", classmethod(lambda *arguments: parsed.append(1) or parse(*arguments))
    )
    refused(path, "")
    assert len(parsed) <= download.HEADERS_LIMIT_BYTES // 512


def test_several_thousand_members_are_no_obstacle(tmp_path):
    others = ((f"folder/other{number}", b"x") for number in range(3000))
    assert read(write(tmp_path, tar(*others, *WANTED.items()))) == WANTED


def test_long_names_are_read(tmp_path):
    long = "/".join(["folder"] * 100)
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        members = ((f"{long}/{name}", content) for name, content in WANTED.items())
        assert read(write(tmp_path, tar(*members, format=format))) == WANTED


@pytest.mark.parametrize("record", [b"1" * 8000, b"1" * 7000 + b" path=x\n", b"9 ", b"0 path=x\n", b"5 a=b\n" * 1000])
def test_a_crafted_extended_header_is_refused_or_passed_over(tmp_path, record):
    padded = record.ljust(-len(record) // 512 * -512, b"\0")
    path = write(tmp_path, header("x", len(record), tarfile.XHDTYPE) + padded + tar(*WANTED.items()))
    try:
        assert read(path).items() <= WANTED.items()
    except DataError as error:
        assert str(error).startswith(f"{path} ")


@pytest.mark.parametrize("compressed", [True, False])
def test_a_truncated_archive_gives_nothing_false(tmp_path, compressed):
    whole = tar(("README", b"r" * 700), *WANTED.items())
    whole = gzip.compress(whole) if compressed else whole
    for length in range(0, len(whole), 1 if compressed else 37):
        path = write(tmp_path, whole[:length], compressed=False)
        try:
            assert read(path).items() <= WANTED.items()
        except DataError as error:
            assert str(error) == f"{path} is not a complete .tar.gz archive; get it again"


def other_formats() -> dict[str, bytes]:
    inside = tar(*WANTED.items())
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(cmu.PLOTS_FILE, PLOTS)
    return {
        "bzip2": bz2.compress(inside),
        "broken bzip2": b"BZh9" + bytes(100),
        "xz": lzma.compress(inside),
        "broken xz": b"\xfd7zXZ\0" + b"x" * 100,
        "zip": zipped.getvalue(),
        "page": b"<!DOCTYPE html><html>Not found</html>",
        "long page": b"<!DOCTYPE html><html>Not found</html>" * 100,
        "empty": b"",
        "empty gzip": gzip.compress(b""),
        "gzip of a page": gzip.compress(b"<html>" * 1000),
        "gzip twice": gzip.compress(gzip.compress(inside)),
        "start of gzip": b"\x1f\x8b",
        "one byte": b"\x1f",
        "text": PLOTS,
    }


@pytest.mark.parametrize("kind", other_formats())
def test_what_is_no_archive_is_refused(tmp_path, kind):
    refused(write(tmp_path, other_formats()[kind], compressed=False), "is not a complete .tar.gz archive; get it again")


def test_an_archive_that_was_unpacked_on_the_way_is_read(tmp_path):
    assert read(write(tmp_path, tar(*WANTED.items()), compressed=False)) == WANTED


ARCHIVES = [
    tar((f"a/{cmu.METADATA_FILE}", METADATA), (f"{cmu.PLOTS_FILE}.gz", gzip.compress(PLOTS)), format=format)
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)
] + [
    tar(("x" * 120, b""), ("ä/" + cmu.PLOTS_FILE, PLOTS), format=format)
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
]


@st.composite
def damaged_archives(draw) -> bytes:
    """An archive with some bytes changed; mostly within headers, whose checksums are put right again or not."""
    content = bytearray(draw(st.sampled_from(ARCHIVES)))
    n_blocks = len(content) // 512
    touched = set()
    for _ in range(draw(st.integers(1, 6))):
        block = draw(st.integers(0, min(8, n_blocks - 1)))
        touched.add(block)
        place = 512 * block + draw(st.one_of(st.integers(100, 160), st.integers(0, 511)))
        new = draw(st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from([b"x", b"L", b"S", b"\x80", b"\xff"])))
        content[place : place + len(new)] = new
    if draw(st.booleans()):
        for block in touched:
            start = 512 * block
            checksum = tarfile.calc_chksums(bytes(content[start : start + 512]))[0]
            content[start + 148 : start + 156] = b"%06o\0 " % checksum
    return bytes(content[: draw(st.integers(0, len(content)))]) if draw(st.booleans()) else bytes(content)


def check_damaged(path, content: bytes, compressed: bool) -> None:
    path = write(path, content, compressed=compressed)
    try:
        assert read(path).keys() <= WANTED.keys()
    except DataError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
        str(error).encode("utf-8")


quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
long = settings(quick, max_examples=10_000)


@quick
@given(content=damaged_archives(), compressed=st.booleans())
def test_a_damaged_archive_is_read_or_refused(tmp_path, content, compressed):
    check_damaged(tmp_path, content, compressed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@long
@given(content=damaged_archives(), compressed=st.booleans())
def test_many_damaged_archives_are_read_or_refused(tmp_path, content, compressed):
    check_damaged(tmp_path, content, compressed)


LIMITED = """
import resource, sys
from pathlib import Path
from afl_helpers.data.sources import cmu, download
from afl_helpers.errors import DataError
in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + int(sys.argv[2]), in_use + int(sys.argv[2])))
try:
    download.read_members(Path(sys.argv[1]), cmu.GIT_BLOB_HASHES)
except DataError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize("kind", ["member", "nested", "long name"])
def test_the_real_limits_hold_in_a_process_with_little_memory(tmp_path, kind):
    """Ten gibibytes, packed, are refused with little more memory than the limit on a file."""
    path = tmp_path / "bomb.tar.gz"
    size, allowed = 10 * 2**30, int(2.5 * download.FILE_LIMIT_BYTES)
    if kind == "nested":
        path.write_bytes(gzip.compress(tar((f"{cmu.PLOTS_FILE}.gz", zeros_in_gzip(10 * 1024)))))
    else:
        first = header("other", size) if kind == "member" else header("x", size, tarfile.GNUTYPE_LONGNAME)
        path.write_bytes(gzip.compress(first) + zeros_in_gzip(10 * 1024))
        allowed = 64 * MIB
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), str(allowed)], capture_output=True, text=True, timeout=280
    )
    assert done.stdout.startswith(str(path)), done
