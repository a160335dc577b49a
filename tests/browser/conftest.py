"""Chromium, driven headless, and the built book behind the project's own server."""

import functools
import os
import threading
from http.server import ThreadingHTTPServer

import make_pdf
import pytest
import serve

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
    """The address of the built book, served as `make serve` does."""
    if not (serve.HTML / "index.html").exists():
        pytest.skip("the book is not built; run `make book`")
    server = QuietServer(("127.0.0.1", 0), functools.partial(serve.Handler, directory=str(serve.HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
