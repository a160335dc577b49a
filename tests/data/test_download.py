import contextlib
import functools
import hashlib
import http.server
import io
import os
import random
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import pooch
import pytest

from afl_helpers.data import load_corpus
from afl_helpers.data.sources import cmu, cmu_leads, download, hoc, reuters, unfair_tos
from afl_helpers.errors import DataError, MissingFileError, StorageError
from afl_helpers.files import sha256

METADATA = "\t".join(["1", "/m/1", "T", "2001", "", "", "{}", "{}", '{"/m/1": "Drama"}']).encode() + b"\n"
PLOTS = b"1\tA plot.\n"


class Handler(http.server.SimpleHTTPRequestHandler):
    requests: list[str] = []
    answer = None  # what to do instead of serving the file

    def do_GET(self):
        self.requests.append(self.path)
        if Handler.answer is None:
            super().do_GET()
        else:
            Handler.answer(self)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served on this machine, its address, and the paths that were asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("AFL_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Handler.requests = []
    Handler.answer = None
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{httpd.server_port}", Handler.requests
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def serve_archive(folder, plots=PLOTS):
    with tarfile.open(folder / "MovieSummaries.tar.gz", "w:gz") as tar:
        for name, content in ((cmu.METADATA_FILE, METADATA), (cmu.PLOTS_FILE, plots)):
            member = tarfile.TarInfo(f"MovieSummaries/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def small_cmu(server, monkeypatch):
    folder, address, _ = server
    monkeypatch.setattr(cmu, "URL", f"{address}/MovieSummaries.tar.gz")
    # As `git hash-object` gives them for these two contents.
    hashes = {
        cmu.METADATA_FILE: "74035cc5c0180001fcf8bd7f726fae4a136f50a5",
        cmu.PLOTS_FILE: "fd1af7af3e046d3439c665050fde60af765cf206",
    }
    monkeypatch.setattr(cmu, "GIT_BLOB_HASHES", hashes)
    return server


def test_git_blob_hash():
    # `printf 'hello' | git hash-object --stdin`
    assert download.git_blob_hash(b"hello") == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"


def test_cmu_is_downloaded_once(small_cmu):
    folder, _, requests = small_cmu
    serve_archive(folder)
    assert load_corpus("cmu").texts == ["A plot."]
    assert load_corpus("cmu").texts == ["A plot."]
    assert requests == ["/MovieSummaries.tar.gz"]


def test_a_local_copy_goes_first(small_cmu, tmp_path):
    (tmp_path / "data" / "cmu").mkdir(parents=True)
    for name, content in ((cmu.METADATA_FILE, METADATA), (cmu.PLOTS_FILE, PLOTS)):
        (tmp_path / "data" / "cmu" / name).write_bytes(content)
    assert load_corpus("cmu", data_dir=tmp_path / "data").texts == ["A plot."]
    assert small_cmu[2] == []


def test_wrong_content_is_named_and_downloaded_again(small_cmu, tmp_path):
    folder, _, requests = small_cmu
    serve_archive(folder, plots=b"1\tAnother plot.\n")
    with pytest.raises(DataError) as error:
        load_corpus("cmu")
    message = str(error.value)
    assert message.startswith("plot_summaries.txt in ")
    assert cmu.GIT_BLOB_HASHES[cmu.PLOTS_FILE] in message
    assert download.git_blob_hash(b"1\tAnother plot.\n") in message
    assert list((tmp_path / "cache").iterdir()) == []
    serve_archive(folder)
    assert load_corpus("cmu").texts == ["A plot."]
    assert len(requests) == 2


def test_a_page_instead_of_an_archive(small_cmu, tmp_path):
    (small_cmu[0] / "MovieSummaries.tar.gz").write_bytes(b"<html>moved</html>")
    with pytest.raises(DataError, match="is not a complete .tar.gz archive; it has been deleted"):
        load_corpus("cmu")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_page_is_one_sentence(small_cmu, tmp_path):
    with pytest.raises(
        MissingFileError, match="the server answered 404.*the plots of the CMU corpus are missing"
    ) as error:
        load_corpus("cmu")
    assert error.value.__suppress_context__ and "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []


def test_metadata_without_plots_says_what_is_missing(small_cmu, tmp_path):
    (tmp_path / "data" / "cmu").mkdir(parents=True)
    (tmp_path / "data" / "cmu" / cmu.METADATA_FILE).write_bytes(METADATA)
    with pytest.raises(MissingFileError, match="the plots of the CMU corpus are missing: get MovieSummaries.tar.gz"):
        load_corpus("cmu", data_dir=tmp_path / "data")


def test_no_connection(small_cmu, monkeypatch):
    monkeypatch.setattr(cmu, "URL", "http://127.0.0.1:9/MovieSummaries.tar.gz")  # nothing listens there
    with pytest.raises(MissingFileError, match=r"cannot download http://127\.0\.0\.1:9/.* \(no connection\)"):
        load_corpus("cmu")


def test_leads_are_built_from_downloads(small_cmu, monkeypatch, tmp_path):
    folder, address, requests = small_cmu
    serve_archive(folder)
    content = b'[{"title": "T", "year": 2001, "extract": "T is a drama."}]'
    (folder / "movies-2000s.json").write_bytes(content)
    monkeypatch.setattr(cmu_leads, "WIKIPEDIA_URL", address)
    monkeypatch.setattr(cmu_leads, "WIKIPEDIA_SHA256", {"movies-2000s.json": sha256(content)})
    assert load_corpus("cmu-leads").texts == ["T is a drama."]
    assert load_corpus("cmu-leads-masked").texts == ["T is a [MASK]."]
    assert sorted(requests) == ["/MovieSummaries.tar.gz", "/movies-2000s.json"]


def test_a_changed_list_is_deleted(small_cmu, monkeypatch, tmp_path):
    folder, address, _ = small_cmu
    (folder / "movies-2000s.json").write_bytes(b"[]")
    monkeypatch.setattr(cmu_leads, "WIKIPEDIA_URL", address)
    monkeypatch.setattr(cmu_leads, "WIKIPEDIA_SHA256", {"movies-2000s.json": "0" * 64})
    with pytest.raises(DataError, match=f"instead of {'0' * 64}; it has been deleted"):
        load_corpus("cmu-leads")
    assert list((tmp_path / "cache" / "wikipedia-movies").iterdir()) == []


def test_reuters_that_is_something_else_is_deleted(server, monkeypatch, tmp_path):
    folder, address, _ = server
    monkeypatch.setattr(reuters, "URL", f"{address}/reuters21578.tar.gz")
    with pytest.raises(MissingFileError, match="the Reuters stories are missing"):
        load_corpus("reuters")
    serve_archive(folder)
    (folder / "MovieSummaries.tar.gz").rename(folder / "reuters21578.tar.gz")
    with pytest.raises(DataError, match="holds no reut2-000.sgm.*has been deleted"):
        load_corpus("reuters")
    assert list((tmp_path / "cache").iterdir()) == []


def test_data_folder_must_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_DATA_DIR", str(tmp_path / "nothing"))
    with pytest.raises(MissingFileError, match="AFL_DATA_DIR names .*nothing, which is not a folder"):
        load_corpus("reuters")


# What a server or something on the way to it may do. Each is given the handler of a request.


def status(code):
    return lambda handler: handler.send_error(code)


def page(handler, encoding=None, body=b"<html>Please log in to the network.</html>"):
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", str(len(body)))
    if encoding:
        handler.send_header("Content-Encoding", encoding)
    handler.end_headers()
    handler.wfile.write(body)


def content(handler):
    return Path(handler.translate_path(handler.path)).read_bytes()


def cut_body(handler):
    body = content(handler)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def cut_chunk(handler):
    body = content(handler)
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n" % len(body) + body[: len(body) // 2])
    handler.close_connection = True


def cut_without_length(handler):
    handler.send_response(200)
    handler.end_headers()
    body = content(handler)
    handler.wfile.write(body[: len(body) // 2])


def broken_length(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "many")
    handler.end_headers()


def redirect_for_ever(handler):
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.end_headers()


ANSWERS = {
    "404": status(404),
    "500": status(500),
    "503": status(503),
    "a page": page,
    "a page that says it is gzip": functools.partial(page, encoding="gzip"),
    "nothing": functools.partial(page, body=b""),
    "no answer": lambda handler: None,
    "not HTTP": lambda handler: handler.wfile.write(b"\x00\xff\r\n\r\n"),
    "cut body": cut_body,
    "cut chunk": cut_chunk,
    "cut without length": cut_without_length,
    "broken length": broken_length,
    "redirects": redirect_for_ever,
}

STORY = """<REUTERS TOPICS="YES" LEWISSPLIT="{split}" NEWID="{number}"><TOPICS><D>acq</D></TOPICS>
<TEXT><TITLE>A plot.</TITLE></TEXT></REUTERS>
"""


@pytest.fixture
def small_corpora(small_cmu, monkeypatch):
    """The corpora that are downloaded, with one text each, from the server."""
    folder, address, requests = small_cmu
    serve_archive(folder)
    stories = (STORY.format(split="TRAIN", number=1) + STORY.format(split="TEST", number=2)).encode()
    with tarfile.open(folder / reuters.ARCHIVE, "w:gz") as tar:
        member = tarfile.TarInfo("reut2-000.sgm")
        member.size = len(stories)
        tar.addfile(member, io.BytesIO(stories))
    monkeypatch.setattr(reuters, "URL", f"{address}/{reuters.ARCHIVE}")
    monkeypatch.setattr(reuters, "SHA256", {"reut2-000.sgm": sha256(stories)})
    monkeypatch.setattr(reuters, "EXPECTED_COUNTS", {})
    entries = b'[{"title": "T", "year": 2001, "extract": "A plot."}]'
    (folder / "movies-2000s.json").write_bytes(entries)
    monkeypatch.setattr(cmu_leads, "WIKIPEDIA_URL", address)
    monkeypatch.setattr(cmu_leads, "WIKIPEDIA_SHA256", {"movies-2000s.json": sha256(entries)})
    tables = {name: b"labels\tsentence\tindex\n" for name in hoc.SPLIT_SHA256}
    tables["train.tsv"] += b"-\tA plot.\t7_s0\n"
    for name, table in tables.items():
        (folder / name).write_bytes(table)
    monkeypatch.setattr(hoc, "SPLIT_URL", address)
    monkeypatch.setattr(hoc, "SPLIT_SHA256", {name: sha256(table) for name, table in tables.items()})
    abstracts = {"text/7.txt": b"A plot.\n", "labels/7.txt": b"< A--"}
    serve(monkeypatch, hoc, folder, address, abstracts)
    monkeypatch.setattr(hoc, "CONTENT_HASH", download.content_hash(abstracts))
    lists = {name: b"" for name in unfair_tos.LISTS} | {unfair_tos.LISTS[3]: b"One.txt\n"}
    terms = {f"{unfair_tos.SENTENCES}One.txt": b"A plot.\n", f"{unfair_tos.TAGS}One.txt": b"a3 \n"}
    serve(monkeypatch, unfair_tos, folder, address, lists | terms)
    monkeypatch.setattr(unfair_tos, "LISTS_HASH", download.content_hash(lists))
    monkeypatch.setattr(unfair_tos, "CONTENT_HASH", download.content_hash(terms))
    return small_cmu


def serve(monkeypatch, source, folder, address, files):
    """Put the files into the archive of a source, below a folder as GitHub does, and serve it."""
    with tarfile.open(folder / source.ARCHIVE, "w:gz") as tar:
        for name, content_ in files.items():
            member = tarfile.TarInfo(f"repository-1234/{name}")
            member.size = len(content_)
            tar.addfile(member, io.BytesIO(content_))
    monkeypatch.setattr(source, "URL", f"{address}/{source.ARCHIVE}")


def files_in(folder):
    return [path for path in folder.rglob("*") if not path.is_dir()] if folder.is_dir() else []


def assert_one_sentence(message):
    """Names an address or a file and what to do."""
    assert "\n" not in message
    assert "http://" in message or "/cache" in message
    assert any(advice in message for advice in ("; get ", ": get ", "run this again", "name another folder")), message


CORPORA = ("cmu", "cmu-leads", "reuters", "hoc", "unfair-tos")


@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_failed_download_is_one_sentence_and_leaves_nothing(small_corpora, tmp_path, monkeypatch, name, answer):
    monkeypatch.setattr(Handler, "answer", staticmethod(ANSWERS[answer]))
    with pytest.raises((MissingFileError, DataError)) as error:
        load_corpus(name)
    assert_one_sentence(str(error.value))
    assert files_in(tmp_path / "cache") == []
    monkeypatch.setattr(Handler, "answer", None)
    assert set(load_corpus(name).texts) == {"A plot."}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("cut body", "the connection broke off"),
        ("cut chunk", "the connection broke off"),
        ("503", "the server answered 503"),
        ("no answer", "no connection"),
    ],
)
def test_the_reason_is_named(small_cmu, monkeypatch, answer, reason):
    serve_archive(small_cmu[0])
    monkeypatch.setattr(Handler, "answer", staticmethod(ANSWERS[answer]))
    with pytest.raises(MissingFileError, match=rf"^cannot download {cmu.URL} \({reason}\); the plots"):
        load_corpus("cmu")


@pytest.mark.parametrize("answer", [page, status(407)])
def test_a_proxy_that_answers_for_the_server(small_cmu, tmp_path, monkeypatch, answer):
    monkeypatch.setenv("http_proxy", small_cmu[1])
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr(cmu, "URL", "http://corpora.invalid/MovieSummaries.tar.gz")
    monkeypatch.setattr(Handler, "answer", staticmethod(answer))
    with pytest.raises((MissingFileError, DataError), match="http://corpora.invalid/") as error:
        load_corpus("cmu")
    assert_one_sentence(str(error.value))
    assert small_cmu[2] == ["http://corpora.invalid/MovieSummaries.tar.gz"]
    assert files_in(tmp_path / "cache") == []


@pytest.mark.parametrize("name", CORPORA)
def test_a_full_disk(small_corpora, tmp_path, monkeypatch, name):
    with monkeypatch.context() as patch:
        # /dev/full fails as a full disk does.
        patch.setattr(pooch.downloaders, "open", lambda path, mode: open("/dev/full", "wb"), raising=False)
        with pytest.raises(StorageError, match=r"cache/.* could not be written \(No space left on device\); ") as error:
            load_corpus(name)
    assert_one_sentence(str(error.value))
    assert files_in(tmp_path / "cache") == []
    assert set(load_corpus(name).texts) == {"A plot."}


def test_a_disk_that_is_full_when_the_leads_are_packed(small_corpora, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cmu_leads, "open", lambda path, mode: open("/dev/full", mode), raising=False)
        with pytest.raises(StorageError, match=r"MovieSummaries.tar.gz could not be written \(No space left") as error:
            load_corpus("cmu-leads")
    assert_one_sentence(str(error.value))
    assert files_in(tmp_path / "cache" / "cmu-leads") == []
    assert load_corpus("cmu-leads").texts == ["A plot."]


@pytest.mark.parametrize("name", CORPORA)
def test_a_cache_folder_that_is_a_file(small_corpora, tmp_path, name):
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(StorageError, match="cache/.* could not be written .*, or name another folder in AFL_CACHE_DIR"):
        load_corpus(name)
    assert (tmp_path / "cache").read_text() == "mine"
    (tmp_path / "cache").unlink()
    assert set(load_corpus(name).texts) == {"A plot."}


def test_a_cached_archive_that_is_a_folder(small_corpora, tmp_path):
    (tmp_path / "cache" / reuters.ARCHIVE).mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be deleted .*, so delete it yourself and run this again"):
        load_corpus("reuters")


@contextlib.contextmanager
def ordinary_user():
    """Whoever runs the tests, without the rights of root, to whom permissions do not apply."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="permissions of this kind are those of Unix")
@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["not writable", "not readable"])
@pytest.mark.parametrize("name", CORPORA)
def test_a_cache_without_permission(small_corpora, monkeypatch, name, mode):
    # Not below tmp_path, which another user than root cannot enter.
    with tempfile.TemporaryDirectory(prefix="cache") as parent:
        os.chmod(parent, 0o755)
        cache = Path(parent) / "cache"
        cache.mkdir()
        monkeypatch.setenv("AFL_CACHE_DIR", str(cache))
        cache.chmod(mode)
        with (
            ordinary_user(),
            pytest.raises(StorageError, match=r"could not be written \(Permission denied\); ") as error,
        ):
            load_corpus(name)
        assert_one_sentence(str(error.value))
        cache.chmod(stat.S_IRWXU)
        assert files_in(cache) == []
        assert set(load_corpus(name).texts) == {"A plot."}


LOAD = """
import sys
from afl_helpers.data import load_corpus
from afl_helpers.data.sources import cmu
cmu.URL = sys.argv[1]
cmu.GIT_BLOB_HASHES = dict(zip(cmu.GIT_BLOB_HASHES, sys.argv[2:]))
print("ready", flush=True)
sys.stdin.readline()
print(load_corpus("cmu").texts)
"""


def start_loading():
    """A process that loads the CMU corpus once it is sent a line."""
    command = [sys.executable, "-c", LOAD, cmu.URL, *cmu.GIT_BLOB_HASHES.values()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes)


@pytest.mark.processes
def test_two_processes_download_the_same_file_at_once(small_cmu, tmp_path, monkeypatch):
    serve_archive(small_cmu[0])
    both = threading.Barrier(2, timeout=300)

    def answer(handler):
        both.wait()  # neither gets a byte before the other has asked, too
        http.server.SimpleHTTPRequestHandler.do_GET(handler)

    monkeypatch.setattr(Handler, "answer", staticmethod(answer))
    processes = [start_loading() for _ in range(2)]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [out for out, _ in outputs] == ["['A plot.']\n"] * 2, outputs
    assert len(small_cmu[2]) == 2
    archive = tmp_path / "cache" / cmu.ARCHIVE
    assert files_in(tmp_path / "cache") == [archive]
    assert archive.read_bytes() == (small_cmu[0] / cmu.ARCHIVE).read_bytes()


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.processes
def test_a_killed_download_is_never_taken_for_a_whole_one(small_cmu, tmp_path, monkeypatch, kills):
    serve_archive(small_cmu[0])
    under_way = threading.Event()

    def answer(handler):
        body = content(handler)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        under_way.set()
        handler.rfile.read(1)  # until the other side is gone

    chance = random.Random(0)
    for _ in range(kills):
        under_way.clear()
        monkeypatch.setattr(Handler, "answer", staticmethod(answer))
        process = start_loading()
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
        assert under_way.wait(300)
        time.sleep(chance.random() / 10)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "cache" / cmu.ARCHIVE).exists()
        monkeypatch.setattr(Handler, "answer", None)
        assert load_corpus("cmu").texts == ["A plot."]
        (tmp_path / "cache" / cmu.ARCHIVE).unlink()


LIMITED = """
import resource, sys
from afl_helpers.data.sources import download
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    download.fetch(sys.argv[1], "a.bin", instead="get a.bin")
except OSError as error:
    print(error)
"""


@pytest.mark.processes
def test_a_limit_on_the_size_of_files(server, tmp_path):
    (server[0] / "a.bin").write_bytes(bytes(100_000))
    command = [sys.executable, "-c", LIMITED, f"{server[1]}/a.bin"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "a.bin could not be written (File too large); make room on its disk" in done.stdout, done
    assert files_in(tmp_path / "cache") == []
    path = download.fetch(f"{server[1]}/a.bin", "a.bin", instead="get a.bin")
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(bytes(100_000)).digest()
