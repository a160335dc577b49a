"""Print the built book through Chromium into two PDFs: _build/afl-bert-book.pdf, and _build/afl-bert-api.pdf of the package.

Each begins with a title page and its contents. Pages are numbered, and links between pages of the site lead to the page of
the PDF.
"""

import html
import io
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

from build_book import page_parts
from playwright.sync_api import Page, PdfMargins, sync_playwright
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import Destination, Fit

from afl_helpers import __version__

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
BOOK, API = ROOT / "_build" / "afl-bert-book.pdf", ROOT / "_build" / "afl-bert-api.pdf"
TITLE = "AFL-BERT, reproduced"
#: The pages of the API's own file: nobody reads them in a row.
API_PAGES = ("book/reference-api", "book/stability", "book/reference-files", "book/renamed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MARGIN: PdfMargins = {"top": "16mm", "bottom": "18mm", "left": "18mm", "right": "18mm"}
NO_MARGIN: PdfMargins = {"top": "0", "bottom": "0", "left": "0", "right": "0"}
STYLE = """\
body { font: 11pt/1.5 sans-serif; margin: 0; } h1 { font-size: 30pt; margin: 70mm 0 4mm; line-height: 1.2; }
.below { color: #555; page-break-after: always; } h2 { font-size: 12pt; margin: 5mm 0 1mm; }
a { display: flex; color: inherit; text-decoration: none; } a i { flex: 1; border-bottom: 1px dotted #999; margin: 0 2mm 1.2mm; }
.foot { height: 297mm; page-break-after: always; position: relative; font-size: 8.5pt; color: #555; }
.foot p { position: absolute; bottom: 9mm; left: 18mm; right: 18mm; margin: 0; display: flex; justify-content: space-between; }
"""

#: Part of the table of contents -> names of its pages.
Parts = Mapping[str, Sequence[str]]


class Printed:
    """A page of the site, or the front matter, printed; ``first`` is its first page in the PDF, counted from 0."""

    def __init__(self, title: str, content: bytes) -> None:
        self.title = title
        self.reader = PdfReader(io.BytesIO(content))
        self.first = 0
        #: What a link can lead to: name -> page, counted from 0, and distance from its lower edge.
        self.places = {name: self.place(found) for name, found in self.reader.named_destinations.items()}

    def place(self, destination: Destination) -> tuple[int, float | None]:
        top = destination.top
        return self.reader.get_destination_page_number(destination) or 0, None if top is None else float(top)

    def sections(self) -> list[Destination]:
        """The sections, which stand one level below the title in the outline that Chromium writes."""
        return [
            item
            for entry in self.reader.outline
            if isinstance(entry, list)
            for item in entry
            if isinstance(item, Destination)
        ]


def find_browser() -> str | None:
    """The path of a Chromium: the one that CHROMIUM names, or the first on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def parts() -> tuple[Parts, Parts]:
    """The parts of the book, and those of the API: caption -> names of pages, in reading order."""
    own = {caption: [name for name in names if name not in API_PAGES] for caption, names in page_parts().items()}
    return own, {"": list(API_PAGES)}


def linked_fragments(names: Sequence[str]) -> dict[str, set[str]]:
    """Page -> the places on it that other pages link to."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in names:
        here = (HTML / f"{name}.html").as_uri()
        text = (HTML / f"{name}.html").read_text(encoding="utf-8")
        for path, fragment in re.findall(r'href="([^":#]*)#([^"]+)"', text):
            if path and (target := page_of(here.rpartition("/")[0] + "/" + path, names)):
                found[target].add(html.unescape(fragment))
    return found


def page_of(address: str, names: Container[str]) -> str | None:
    """The name of the page at a file's address, or None where it is none of the pages."""
    parsed = urlsplit(address)
    if parsed.scheme != "file":
        return None
    path = Path(os.path.normpath(unquote(parsed.path)))
    name = path.relative_to(HTML).with_suffix("").as_posix() if path.is_relative_to(HTML) else ""
    return name if name in names and path.suffix == ".html" else None


def print_page(page: Page, path: Path, fragments: set[str]) -> Printed:
    """Print a page of the site.

    Chromium keeps the place of an element only if the page itself links to it: ``fragments`` are linked to, unseen.
    """
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    page.evaluate(
        """fragments => {
            const links = document.createElement("div");
            links.hidden = true;
            links.append(...fragments.map(id => Object.assign(document.createElement("a"), { href: "#" + id })));
            document.body.append(links);
        }""",
        sorted(fragments),
    )
    return Printed(page.title().partition(" — ")[0], page.pdf(format="A4", margin=MARGIN, outline=True, tagged=True))


def typeset(page: Page, title: str, body: str, margin: PdfMargins = MARGIN) -> Printed:
    """Print a piece of HTML of our own."""
    page.goto("about:blank")
    page.set_content(f"<!doctype html><meta charset='utf-8'><style>{STYLE}</style><body>{body}")
    return Printed(title, page.pdf(format="A4", margin=margin))


def front_matter(page: Page, title: str, below: str, sections: Parts, printed: Mapping[str, Printed]) -> Printed:
    """Print the title page and the contents, and settle on which page each section begins."""
    n_pages = 0
    while True:
        first = n_pages
        for one in printed.values():
            one.first, first = first, first + len(one.reader.pages)
        lines = [
            (f"<h2>{html.escape(caption)}</h2>" if caption else "")
            + "".join(
                f'<a href="{(HTML / f"{name}.html").as_uri()}"><span>{html.escape(printed[name].title)}</span><i></i>'
                f"<span>{printed[name].first + 1}</span></a>"
                for name in names
            )
            for caption, names in sections.items()
        ]
        body = f"<h1>{title}</h1><p class='below'>{below}</p><h2>Contents</h2>{''.join(lines)}"
        front = typeset(page, "Contents", body)
        if len(front.reader.pages) == n_pages:
            return front
        n_pages = len(front.reader.pages)


def bind(page: Page, title: str, below: str, sections: Parts, fragments: Mapping[str, set[str]], target: Path) -> None:
    """Print the pages of some sections into one PDF."""
    names = [name for section in sections.values() for name in section]
    printed = {name: print_page(page, HTML / f"{name}.html", fragments.get(name, set())) for name in names}
    front = front_matter(page, title, below, sections, printed)
    book, links, feet = PdfWriter(), [], []
    for one in (front, *printed.values()):
        for i, sheet in enumerate(one.reader.pages, start=one.first):
            links += [(i, link) for link in links_of(sheet, one, printed)]
            sheet.pop("/Annots", None)
            numbered = f"<p><span>{html.escape(one.title)}</span><span>{i + 1}</span></p>"
            feet.append(f"<div class='foot'>{'' if one is front else numbered}</div>")
        book.append(one.reader, import_outline=False)
        top = book.add_outline_item(title=one.title, page_number=1 if one is front else one.first)
        for section in one.sections():
            number, height = one.place(section)
            book.add_outline_item(
                title=section.title or "", page_number=one.first + number, parent=top, fit=Fit.xyz(top=height)
            )
    for number, link in links:
        book.add_annotation(number, link)
    for sheet, foot in zip(book.pages, typeset(page, "", "".join(feet), NO_MARGIN).reader.pages, strict=False):
        sheet.merge_page(foot)
        sheet.compress_content_streams()
    book.add_metadata({"/Title": title})
    book.compress_identical_objects(remove_duplicates=True, remove_unreferenced=True)
    part = target.with_suffix(".part")
    book.write(part)
    part.replace(target)
    print(f"{target}: {len(book.pages)} pages, {target.stat().st_size / 1e6:.1f} MB")


def links_of(sheet: PageObject, own: Printed, printed: Mapping[str, Printed]) -> list[Link]:
    """The links of a printed sheet: into this PDF where they lead to a page of it, else to their address.

    One to another file of the site is dropped: it would name a folder of the machine that printed.
    """
    found = []
    annotations: list[Any] = [reference.get_object() for reference in sheet.get("/Annots", ())]
    for annotation in annotations:
        left, bottom, right, top = map(float, annotation["/Rect"])
        rect = (left, bottom, right, top)
        address = str(annotation.get("/A", {}).get("/URI", ""))
        if address and not address.startswith("file:"):
            found.append(Link(rect=rect, url=address))
            continue
        page, fragment = urldefrag(address)
        goal = printed.get(page_of(page, printed) or "") if address else own
        if goal is not None:
            name = f"/{unquote(fragment)}" if address else str(annotation.get("/Dest"))
            number, height = goal.places.get(name, (0, None))
            found.append(Link(rect=rect, target_page_index=goal.first + number, fit=Fit.xyz(top=height)))
    return found


def main() -> int:
    browser_path = find_browser()
    if browser_path is None:
        print("Chromium was not found; install it, or name it: CHROMIUM=/path/to/chromium make pdf", file=sys.stderr)
        return 1
    if not (HTML / "index.html").exists():
        print("There is no built book yet; run `make book` first.", file=sys.stderr)
        return 1
    book, api = parts()
    fragments = linked_fragments([name for sections in (book, api) for names in sections.values() for name in names])
    below = f"The AFL-BERT Book authors<br>Version {__version__}<br>Text and figures: CC BY 4.0. Code: MIT."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page()
        bind(
            page, TITLE, f"An executable book on imbalanced multi-label learning<br><br>{below}", book, fragments, BOOK
        )
        bind(page, "The package afl_helpers", below, api, fragments, API)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
