"""The book as an EPUB: what the EPUB 3.3 standard asks for and a reader would stumble over."""

import posixpath
import re
import zipfile
from xml.etree import ElementTree

import make_epub
import pytest

XHTML = "{http://www.w3.org/1999/xhtml}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"
OPF = "{http://www.idpf.org/2007/opf}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    if not (make_epub.HTML / "index.html").exists():
        pytest.skip("the book is not built; run `make book`")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_epub, "TARGET", tmp_path_factory.mktemp("epub") / "book.epub")
        assert make_epub.main() == 0
        with zipfile.ZipFile(make_epub.TARGET) as opened:
            yield opened


@pytest.fixture(scope="module")
def pages(archive):
    """The parsed pages by file name."""
    return {name: ElementTree.fromstring(archive.read(name)) for name in archive.namelist() if name.endswith(".xhtml")}


@pytest.mark.book
def test_the_archive_has_the_form_that_readers_look_for(archive):
    first = archive.infolist()[0]
    assert (first.filename, first.compress_type, first.extra) == ("mimetype", zipfile.ZIP_STORED, b"")
    assert archive.read("mimetype") == b"application/epub+zip"
    root = ElementTree.fromstring(archive.read("META-INF/container.xml"))
    assert next(root.iter("{urn:oasis:names:tc:opendocument:xmlns:container}rootfile")).get("full-path") == "book.opf"
    assert make_epub.TARGET.stat().st_size < 10_000_000


@pytest.mark.book
def test_the_package_names_every_file_once_and_the_pages_in_their_order(archive):
    package = ElementTree.fromstring(archive.read("book.opf"))
    items = {item.get("id"): item.get("href") for item in package.iter(f"{OPF}item")}
    assert len(set(items.values())) == len(items)
    assert set(items.values()) == set(archive.namelist()) - {"mimetype", "META-INF/container.xml", "book.opf"}
    order = [items[item.get("idref")] for item in package.iter(f"{OPF}itemref")]
    assert order == [make_epub.page_file(name) for name in make_epub.page_names()]
    with_math = {item.get("href") for item in package.iter(f"{OPF}item") if item.get("properties") == "mathml"}
    assert "book-focal-loss.xhtml" in with_math


@pytest.mark.book
def test_every_link_and_picture_leads_somewhere(archive, pages):
    places = {name: [e.get("id") for e in page.iter() if e.get("id")] for name, page in pages.items()}
    for name, page in pages.items():
        assert len(places[name]) == len(set(places[name])), f"{name} has one id twice"
        for element in page.iter():
            target = element.get("href") or element.get("src") or ""
            if re.match(r"[a-z]+:", target):
                continue
            file, _, place = target.partition("#")
            file = posixpath.normpath(file) if file else name
            assert file in archive.namelist(), f"{name} leads to {target}"
            assert not place or place in places[file], f"{name} leads to {target}"


@pytest.mark.book
def test_formulas_are_mathml_and_nothing_needs_a_script(pages):
    for name, page in pages.items():
        tags = {element.tag for element in page.iter()}
        assert not tags & {f"{XHTML}{tag}" for tag in ("script", "button", "input", "noscript")}, name
        text = "".join(page.itertext())
        assert r"\(" not in text and r"\frac" not in text or "reference" in name, name
    formulas = pages["book-focal-loss.xhtml"].iter(f"{MATHML}math")
    assert sum(1 for _ in formulas) > 50
    assert any(
        "Double Indemnity" in (image.get("alt") or "") for image in pages["book-index.xhtml"].iter(f"{XHTML}img")
    )


def test_what_html_allows_and_xml_does_not_is_changed():
    assert make_epub.anchor("id1") == "id1" and make_epub.anchor("1st place") == "p-1st-place"
    picture = make_epub.standalone('<svg viewBox="0 0 1 1"><use xlink:href="#a"/></svg>')
    assert ElementTree.fromstring(picture).get("viewBox") == "0 0 1 1"
    with pytest.raises(ElementTree.ParseError):
        make_epub.standalone("<svg><g></svg>")
