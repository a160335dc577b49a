"""Chromium, driven headless, and the built book behind a server that compresses, as a web host does."""

import functools
import gzip
import io
import os
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import make_pdf
import pytest

COMPRESSED = {".html", ".css", ".js", ".json", ".svg", ".txt"}


@functools.cache
def compress(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6)


class Handler(SimpleHTTPRequestHandler):
    """Send as gzip what a web host would, so that the weight of a page is what a reader receives."""

    protocol_version = "HTTP/1.1"

    def send_head(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file() or path.suffix not in COMPRESSED:
            return super().send_head()
        body = compress(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing about requests."""


#: Milliseconds to wait for a page; playwright's own 30 s are too few on a busy machine.
PATIENCE = 300_000


@pytest.fixture(scope="session")
def chromium():
    """A browser; where there is none the tests skip, unless AFL_BROWSER=required."""
    path = make_pdf.find_browser()
    if path is None:
        if os.environ.get("AFL_BROWSER") == "required":
            pytest.fail("Chromium was not found, and AFL_BROWSER=required says that it is here")
        pytest.skip("Chromium was not found; install it to run the browser tests")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield Patient(browser)
        browser.close()


class Patient:
    """A browser whose pages wait longer."""

    def __init__(self, browser):
        self._browser = browser

    def new_context(self, **options):
        context = self._browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        return context

    def new_page(self, **options):
        page = self._browser.new_page(**options)
        page.set_default_timeout(PATIENCE)
        return page


class QuietServer(ThreadingHTTPServer):
    """A browser that closes while a page still loads is no error."""

    def handle_error(self, request, client_address) -> None:
        pass


@pytest.fixture(scope="session")
def site():
    """The address of the built book."""
    if not (make_pdf.HTML / "index.html").exists():
        pytest.skip("the book is not built; run `make book`")
    server = QuietServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(make_pdf.HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
