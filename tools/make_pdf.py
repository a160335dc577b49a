"""Print the built book through Chromium into one PDF, _build/afl-bert-book.pdf, a page of the site after the other."""

import io
import os
import shutil
import sys
from pathlib import Path

from build_book import page_names
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
TARGET = ROOT / "_build" / "afl-bert-book.pdf"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """The path of a Chromium: the one that CHROMIUM names, or the first on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def pages() -> list[Path]:
    """The built pages in the order of the table of contents."""
    return [HTML / f"{name}.html" for name in page_names()]


def main() -> int:
    browser_path = find_browser()
    if browser_path is None:
        print("Chromium was not found; install it, or name it: CHROMIUM=/path/to/chromium make pdf", file=sys.stderr)
        return 1
    if not (HTML / "index.html").exists():
        print("There is no built book yet; run `make book` first.", file=sys.stderr)
        return 1
    book = PdfWriter()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page()
        for path in pages():
            page.goto(path.as_uri())
            page.wait_for_load_state("networkidle")
            title = page.title().partition(" — ")[0]
            content = page.pdf(format="A4", margin={side: "18mm" for side in ("top", "bottom", "left", "right")})
            first = len(book.pages)
            book.append(PdfReader(io.BytesIO(content)), import_outline=False)
            book.add_outline_item(title=title, page_number=first)
        browser.close()
    part = TARGET.with_suffix(".part")
    book.write(part)
    part.replace(TARGET)
    print(f"{TARGET}: {len(book.pages)} pages, {TARGET.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
