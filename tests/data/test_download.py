import functools
import http.server
import io
import tarfile
import threading

import pytest

from afl_helpers.data import cmu, cmu_leads, download, load_corpus, reuters
from afl_helpers.errors import DataError, MissingFileError

METADATA = "\t".join(["1", "/m/1", "T", "2001", "", "", "{}", "{}", '{"/m/1": "Drama"}']).encode() + b"\n"
PLOTS = b"1\tA plot.\n"


class Handler(http.server.SimpleHTTPRequestHandler):
    requests: list[str] = []

    def do_GET(self):
        self.requests.append(self.path)
        super().do_GET()

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
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
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
    monkeypatch.setattr(cmu_leads, "WIKIPEDIA_SHA256", {"movies-2000s.json": download.sha256(content)})
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
