"""Write the built book into one EPUB, _build/afl-bert-book.epub: a page of the site after the other, without scripts.

Formulas become MathML, charts the still pictures that the site shows without scripts.
"""

import datetime
import html
import os
import posixpath
import re
import sys
import uuid
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import latex2mathml.converter
import yaml
from bs4 import BeautifulSoup, Tag
from build_book import page_names, page_parts

from afl_helpers import __version__

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
TARGET = ROOT / "_build" / "afl-bert-book.epub"
TITLE, LANGUAGE = "AFL-BERT, reproduced", "en"
MEDIA = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}
#: What has no use on paper or in a reader.
DROPPED = "script, style, link, button, input, select, .headerlink, .prev-next-footer, .copybtn, [data-explorable] > :not(noscript)"
STYLE = """\
body { line-height: 1.4; } img { max-width: 100%; height: auto; } pre { white-space: pre-wrap; font-size: .8em; }
table { border-collapse: collapse; font-size: .85em; } th, td { padding: .1em .5em; border-bottom: 1px solid; text-align: left; }
.admonition, .exercise, .solution { border-left: .2em solid; padding-left: .8em; margin: 1em 0; }
.admonition-title { font-weight: bold; } figcaption { font-style: italic; font-size: .9em; }
"""
CONTAINER = """\
<?xml version="1.0" encoding="UTF-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""


def page_file(name: str) -> str:
    """Return the name of a page's file in the book."""
    return name.replace("/", "-") + ".xhtml"


def document(title: str, body: str) -> str:
    """Return an XHTML document."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n'
        f'<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="{LANGUAGE}" '
        f'xml:lang="{LANGUAGE}"><head><title>{html.escape(title)}</title>'
        f'<link rel="stylesheet" type="text/css" href="book.css"/></head>\n<body>\n{body}\n</body></html>\n'
    )


class Book:
    """The files of the book by name, collected page by page."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.files: dict[str, bytes] = {}
        self.titles: dict[str, str] = {}
        self.has_math: set[str] = set()

    def add_page(self, name: str) -> None:
        """Read a page of the site, and add it and its pictures."""
        text = (HTML / f"{name}.html").read_text(encoding="utf-8")
        # A parser of HTML would spoil the names in pictures that stand in the page; they become files.
        pictures = re.findall(r"<svg\b.*?</svg>", text, flags=re.DOTALL)
        for number, picture in enumerate(pictures):
            text = text.replace(picture, f'<img alt="" data-picture="{number}"/>', 1)
        article = BeautifulSoup(text, "html.parser").select_one("article")
        if article is None:
            raise SystemExit(f"{name} has no article; build the book again with `make book`")
        for element in article.select(DROPPED):
            element.decompose()
        for element in article.select("noscript"):
            element.unwrap()
        for element in article.select("img"):
            self._add_picture(element, name, pictures)
        for element in article.select(".math"):
            self._write_formula(element, name)
        for element in article.select("a[href]"):
            self._point(element, name)
        for element in article.select("[id]"):  # a name that begins with a digit is none in XML
            element["id"] = anchor(str(element["id"]))
        for element in article.find_all(True):
            element.attrs = {key: value for key, value in element.attrs.items() if re.fullmatch(r"[a-z][a-z-]*", key)}
        heading = article.select_one("h1")
        self.titles[name] = heading.get_text(" ", strip=True) if heading else name
        # One element may carry two ids in HTML's way, by a span before it; twice the same id is an error in XML.
        seen: set[str] = set()
        for element in article.select("[id]"):
            if element["id"] in seen:
                del element["id"]
            else:
                seen.add(str(element["id"]))
        body = "".join(str(child) for child in article.children)
        self.files[page_file(name)] = document(self.titles[name], body).encode()

    def _add_picture(self, element: Tag, name: str, pictures: list[str]) -> None:
        if "data-picture" in element.attrs:
            number = int(str(element["data-picture"]))
            file, content = f"{name.replace('/', '-')}-{number}.svg", standalone(pictures[number])
        else:
            path = (HTML / name).parent / str(element["src"]).partition("?")[0]
            file, content = path.name, path.read_bytes()
        element.attrs = {"src": f"images/{file}", "alt": element.get("alt", "")}
        self.files[f"images/{file}"] = content

    def _write_formula(self, element: Tag, name: str) -> None:
        number = element.select_one(".eqno")
        after = "" if number is None else f" {number.extract().get_text().strip()}"
        formula = re.sub(r"^\\[(\[]|\\[)\]]$", "", element.get_text().strip()).strip()
        formula = re.sub(r"\\tag\{(\w+)\}", r"\\qquad (\1)", formula)
        math = latex2mathml.converter.convert(formula, display="block" if element.name == "div" else "inline")
        math = re.sub(r"(<mi>(?:log|exp)</mi>)(?!<mo)", r'\1<mspace width="0.17em"/>', math)
        element.clear()
        element.append(BeautifulSoup(math + after, "html.parser"))
        self.has_math.add(name)

    def _point(self, element: Tag, name: str) -> None:
        """Turn a link to a page into one within the book; other files of the site are not in it."""
        target, _, place = str(element["href"]).partition("#")
        place = f"#{anchor(place)}" if place else ""
        if "://" in target or target.startswith("mailto:"):
            return
        page = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).removesuffix(".html")
        if not target:
            element["href"] = place
        elif target.endswith(".html") and page in self.names:
            element["href"] = page_file(page) + place
        else:
            del element["href"]

    def drop_dead_links(self) -> None:
        """Remove the places that links name and pages do not have, such as those of the site's own menus."""
        places = {file: set(re.findall(rb'\bid="([^"]+)"', content)) for file, content in self.files.items()}
        for file, content in self.files.items():
            if file.endswith(".xhtml"):
                own = file

                def checked(match: re.Match[bytes], own: str = own) -> bytes:
                    target = match[1].decode() or own
                    return match[0] if match[2] in places.get(target, set()) else b'href="' + target.encode() + b'"'

                self.files[file] = re.sub(rb'href="([\w.-]*)#([^"]+)"', checked, content)

    def contents(self) -> str:
        """Return the table of contents, by the parts of _toc.yml."""
        entries = []
        for caption, names in page_parts().items():
            chapters = "".join(map(self._entry, names))
            entries.append(f"<li><span>{html.escape(caption)}</span><ol>{chapters}</ol></li>" if caption else chapters)
        return document("Contents", f'<nav epub:type="toc"><h1>Contents</h1><ol>{"".join(entries)}</ol></nav>')

    def _entry(self, name: str) -> str:
        return f'<li><a href="{page_file(name)}">{html.escape(self.titles[name])}</a></li>'

    def package(self, version: str, author: str) -> str:
        """Return the package document: what the book is, its files and their order."""
        items = ['<item id="contents" href="contents.xhtml" media-type="application/xhtml+xml" properties="nav"/>']
        items.append('<item id="style" href="book.css" media-type="text/css"/>')
        for number, file in enumerate(sorted(name for name in self.files if name.startswith("images/"))):
            items.append(f'<item id="picture-{number}" href="{file}" media-type="{MEDIA[Path(file).suffix]}"/>')
        for name in self.names:
            math = ' properties="mathml"' if name in self.has_math else ""
            file = page_file(name)
            items.append(f'<item id="{file[:-6]}" href="{file}" media-type="application/xhtml+xml"{math}/>')
        order = "".join(f'<itemref idref="{page_file(name)[:-6]}"/>' for name in self.names)
        identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"afl-bert-book {version}")
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata '
            'xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f'<dc:identifier id="id">urn:uuid:{identifier}</dc:identifier><dc:title>{html.escape(TITLE)}</dc:title>'
            f"<dc:language>{LANGUAGE}</dc:language><dc:creator>{html.escape(author)}</dc:creator>"
            f'<meta property="dcterms:modified">{modified()}</meta></metadata>\n'
            f"<manifest>{''.join(items)}</manifest>\n<spine>{order}</spine></package>\n"
        )


def anchor(place: str) -> str:
    """Return the name of a place in a page as XML allows it."""
    place = re.sub(r"[^\w.-]", "-", place)
    return place if re.match(r"[A-Za-z_]", place) else f"p-{place}"


def standalone(picture: str) -> bytes:
    """Return a picture of a page as a file of its own."""
    for prefix, space in (("", "2000/svg"), (":xlink", "1999/xlink")):
        if f"xmlns{prefix}=" not in picture:
            picture = picture.replace("<svg", f'<svg xmlns{prefix}="http://www.w3.org/{space}"', 1)
    picture = html.unescape(picture) if "&nbsp;" in picture else picture
    ElementTree.fromstring(picture)
    return picture.encode()


def modified() -> str:
    """Return the time of the book, to the second; SOURCE_DATE_EPOCH sets it, as in other tools."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    time = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else datetime.datetime.now(datetime.UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> int:
    if not (HTML / "index.html").exists():
        print("There is no built book yet; run `make book` first.", file=sys.stderr)
        return 1
    author = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["author"]
    book = Book(page_names())
    for name in book.names:
        book.add_page(name)
    book.drop_dead_links()
    part = TARGET.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("book.opf", book.package(__version__, author))
        archive.writestr("contents.xhtml", book.contents())
        archive.writestr("book.css", STYLE)
        for file, content in book.files.items():
            archive.writestr(file, content)
    part.replace(TARGET)
    print(f"{TARGET}: {len(book.names)} pages, {TARGET.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
