"""Files: the cache folder, checksums, and files that are replaced whole."""

import errno
import os

import pytest

from afl_helpers.errors import StorageError
from afl_helpers.files import cache_dir, not_written, replacing, sha256, write_text


def test_the_cache_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine"
    monkeypatch.setenv("AFL_CACHE_DIR", "")
    assert cache_dir().name == "afl-helpers"


def test_sha256_of_bytes_and_of_a_file(tmp_path):
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(b"abc") == sha256(tmp_path / "a") == expected


@pytest.mark.parametrize("shared", [False, True])
def test_an_error_in_the_block_leaves_the_old_file_alone(tmp_path, shared):
    path = tmp_path / "new" / "a.txt"
    with replacing(path, shared=shared) as part:
        part.write_text("old")
    with pytest.raises(KeyError), replacing(path, shared=shared) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(path.parent) == ["a.txt"]


def test_of_a_link_the_target_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and os.listdir(target.parent) == ["a.txt"]


def test_a_pipe_is_written_and_stays_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_text(path, "new")
    assert os.read(reader, 9) == b"new" and path.is_fifo() and os.listdir(tmp_path) == ["pipe"]
    os.close(reader)


def test_a_file_of_the_users_that_ends_in_part_stays(tmp_path):
    (tmp_path / "a.txt.part").write_text("mine")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt.part").read_text() == "mine" and (tmp_path / "a.txt").read_text() == "new"


def test_two_writers_of_a_shared_path_do_not_meet(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    with replacing(path, shared=True) as mine:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with replacing(path, shared=True) as theirs:
            mine.write_text("mine")
            theirs.write_text("theirs")
        assert path.read_text() == "theirs"
    assert path.read_text() == "mine" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "(No space left on device); make room on its disk"),
        (PermissionError("two\nlines"), "(Permission denied); check that its folder is writable and its disk has room"),
        (RuntimeError("two\nlines"), "(two); check that its folder is writable"),
    ],
)
def test_the_reason_and_the_remedy_are_named(tmp_path, error, words):
    found = not_written(tmp_path / "a", error, alternative="name another folder")
    assert isinstance(found, StorageError)
    assert str(found).startswith(f"{tmp_path / 'a'} could not be written {words}")
    assert str(found).endswith(", or name another folder, then run this again") and "\n" not in str(found)
