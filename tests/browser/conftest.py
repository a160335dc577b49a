"""Chromium, driven headless, and the built book behind the project's own server."""

import functools
import os
import threading
from http.server import ThreadingHTTPServer

import make_pdf
import pytest
import serve


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
        yield browser
        browser.close()


class QuietServer(ThreadingHTTPServer):
    """A browser that closes while a page still loads is no error."""

    def handle_error(self, request, client_address) -> None:
        pass


@pytest.fixture(scope="session")
def site():
    """The address of the built book, served as `make serve` does."""
    if not (serve.HTML / "index.html").exists():
        pytest.skip("the book is not built; run `make book`")
    server = QuietServer(("127.0.0.1", 0), functools.partial(serve.Handler, directory=str(serve.HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
