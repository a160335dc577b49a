"""The built book: every page, nothing unresolved, no failed cell, nothing fetched from elsewhere."""

import functools
import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup, Tag
from build_book import page_names
from contrast import contrast
from fontTools.ttLib import TTFont
from other_libraries import LIBRARIES

from afl_helpers.chapters.figures import PALETTE

pytestmark = pytest.mark.book

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
HTML = BUILD / "html"
PAGES = page_names()
LOADED = {"stylesheet", "preload", "icon", "shortcut icon", "modulepreload", "prefetch", "preconnect"}
FOREIGN_STYLE = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^\"')]+")


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    """The build treats a warning as an error, and leaves this mark only where there was none."""
    if not HTML.exists():
        pytest.skip("the book is not built; run `make book` first")
    assert (BUILD / "passed").exists(), "the last build of the book failed or had warnings; run `make book`"


def parse(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest) -> tuple[Path, BeautifulSoup, Tag]:
    """A page's file, its document and its article."""
    path = HTML / f"{request.param}.html"
    document = parse(path)
    return path, document, document.find("article")


def test_the_page_has_a_title_and_text(page) -> None:
    _, document, article = page
    assert document.title.text.strip()
    assert article.find("h1").text.strip()
    assert len(article.get_text(" ", strip=True)) > 200


def test_nothing_is_unresolved(page) -> None:
    _, _, article = page
    assert article.select(".problematic, .system-message") == []
    assert [mark for mark in article.select(".xref") if mark.name != "a" and mark.find_parent("a") is None] == []
    assert "[?]" not in article.text and "??" not in article.text


def test_no_output_lacks_its_number(page) -> None:
    # A page went on in prose about metrics that its result files no longer had.
    path, _, article = page
    if path.stem in ("losses", "focal-loss"):
        return  # they show the NaN of other libraries
    numbers = [cell.text for cell in article.select(".cell_output td")]
    numbers += [box.text for box in article.select(".cell_output .admonition, .cell_output pre")]
    assert [text for text in numbers if re.search(r"\bnan\b", text)] == []


def test_names_of_other_libraries_lead_to_their_documentation() -> None:
    links = {
        link["href"] for link in parse(HTML / "book/reference-api.html").find("article").select("a.external[href]")
    }
    known = {f"{address}{page}#{name}" for address, names in LIBRARIES.values() for name, (_, page) in names.items()}
    assert len(known) > 9 and known <= links


def test_every_checked_solution_is_right(page) -> None:
    _, _, article = page
    assert [output.text for output in article.select(".cell_output") if output.text.startswith("Not yet: ")] == []


def test_the_whole_book_stands_in_one_text_file() -> None:
    """Every page in order, with what its cells printed and the alt texts of its figures; llms.txt leads to it."""
    text = (HTML / "afl-bert-book.md").read_text(encoding="utf-8")
    pages = [parse(HTML / f"{name}.html").find("article") for name in PAGES]
    for page in pages:
        for mark in page.select("a.headerlink"):
            mark.decompose()
    titles = [" ".join(page.find("h1").get_text().split()) for page in pages]
    assert re.findall(r"(?m)(?:\A|^---\n\n)# (.*)", text) == titles
    printed = next(page for page, name in zip(pages, PAGES) if name.endswith("rare-labels"))
    outputs = [pre.get_text().rstrip() for pre in printed.select(".cell_output pre")]
    assert len(outputs) > 3 and all(output in text for output in outputs)
    assert all(f"[Figure: {image['alt']}]" in text for image in printed.select("img[alt]"))
    links = re.findall(r"\]\(([^)]*)\)", (HTML / "llms.txt").read_text(encoding="utf-8"))
    assert links == [*(f"{name}.html" for name in PAGES), "afl-bert-book.md"]


NUMBER = re.compile(r"[-+]?\d[\d,]*\.\d+(?:e[-+]?\d+)?|[-+]?\.\d+|[-+]?\d+(?:,\d{3})*")
PRINTED = json.loads((ROOT / "tests" / "data" / "printed_numbers.json").read_text())


@pytest.mark.parametrize("name", PRINTED)
def test_the_numbers_of_a_page_are_those_of_version_0_1(name) -> None:
    """What these pages compute from formulas and from the embedded corpus stays, to the last digit."""
    shown = []
    for output in parse(HTML / "book" / f"{name}.html").select("div.cell_output"):
        if "afl-helpers" in output.text:  # the table of versions
            continue
        for drawing in output.select(
            "script, style, svg, .caption-number, .quiz"
        ):  # figures are numbered through the book
            drawing.decompose()
        text = re.sub(r"\b\d+ s\b", "", output.get_text(" ")).replace("\u2212", "-")  # without durations
        shown += NUMBER.findall(text)
    assert shown == PRINTED[name].split()


def test_no_cell_failed(page) -> None:
    _, _, article = page
    failed = [
        output.text[:200]
        for output in article.select(".cell_output")
        if "Traceback (most recent call last)" in output.text
        and "tag_raises-exception" not in output.find_parent(class_="cell")["class"]
    ]
    assert failed == []


def test_every_picture_has_a_text(page) -> None:
    _, _, article = page
    for image in article.find_all("img"):
        text = image.get("alt", "").strip()
        assert text and not re.search(r"\.(png|svg|jpe?g)$", text), f"a picture has no alt text: {str(image)[:200]}"
    for chart in article.select(".vega-chart"):
        assert chart.get("aria-label", "").strip()


@functools.cache
def anchors(path: Path) -> set[str]:
    """The ids and names of a page: it is searched once, not for each link."""
    document = parse(path)
    return {element[name] for name in ("id", "name") for element in document.find_all(attrs={name: True})}


def test_links_within_the_book_lead_somewhere(page) -> None:
    path, _, article = page
    for link in article.find_all("a", href=True):
        parts = urlsplit(link["href"])
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        assert target.exists(), link["href"]
        if parts.fragment and target.suffix == ".html":
            assert unquote(parts.fragment) in anchors(target), link["href"]


def test_nothing_is_loaded_from_another_host(page) -> None:
    path, document, _ = page
    loaded = [element["src"] for element in document.find_all(src=True)]
    loaded += [link["href"] for link in document.find_all("link", href=True) if LOADED & set(link.get("rel", []))]
    for address in loaded:
        parts = urlsplit(address)
        assert parts.scheme in ("", "data") and not parts.netloc, address
        if not parts.scheme:
            assert (path.parent / unquote(parts.path)).exists(), address
    assert FOREIGN_STYLE.findall("".join(style.text for style in document.find_all("style"))) == []


def test_charts_have_their_script_and_other_pages_do_not_carry_it(page) -> None:
    _, document, article = page
    scripts = {Path(urlsplit(script["src"]).path).name for script in document.find_all("script", src=True)}
    assert bool(article.select(".vega-chart")) == ({"vega-bundle.js", "vega-charts.js"} <= scripts)


def test_the_front_page_leads_to_the_book() -> None:
    assert f"{PAGES[0]}.html" in (HTML / "index.html").read_text()


def test_no_stylesheet_loads_from_another_host() -> None:
    found = {}
    for sheet in (HTML / "_static").rglob("*.css"):
        if foreign := FOREIGN_STYLE.findall(sheet.read_text(encoding="utf-8")):
            found[sheet.name] = foreign
    assert found == {}


@pytest.mark.parametrize("name", [name for name in PAGES if (ROOT / f"{name}.ipynb").exists()])
def test_a_chapter_offers_its_notebook_and_places_to_run_it(name) -> None:
    """Services can run it only where the repository has an address (tests/test_site_settings.py builds both kinds)."""
    path = HTML / f"{name}.html"
    links = [link["href"] for link in parse(path).find_all("a", href=True)]
    notebook = next(link for link in links if link.endswith(f"_sources/{name}.ipynb"))
    cells = json.loads((path.parent / notebook).read_text(encoding="utf-8"))["cells"]
    assert any(cell["cell_type"] == "code" for cell in cells)
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    for host in ("mybinder.org", "colab.research.google.com"):
        found = [link for link in links if urlsplit(link).netloc == host]
        assert len(found) == bool(repository)
        assert all(repository.removeprefix("https://github.com/") in link and f"{name}.ipynb" in link for link in found)


def test_no_progress_bar_is_left_on_a_page(page) -> None:
    _, _, article = page
    assert re.findall(r"\d+%\|.*|\d+(?:\.\d+)?(?:step|it)/s", article.text) == []


def test_text_in_figures_is_readable() -> None:
    """AA, 4.5 to 1 on white; white text stands on the dark cells of a table, which a test of that figure looks at."""
    texts = re.compile(r'<g id="text_\d+">\s*<!-- .*? -->\s*<g(?: style="fill: (#[0-9a-f]{6})[^"]*")?', re.DOTALL)
    found = [
        (path.name, colour or "#000000") for path in HTML.rglob("*.svg") for colour in texts.findall(path.read_text())
    ]
    assert len(found) > 500
    assert {pair for pair in found if pair[1] != "#ffffff" and contrast(pair[1], "#ffffff") < 4.5} == set()


def test_the_icon_fonts_have_every_icon_that_styles_and_pages_show() -> None:
    fonts = [TTFont(path) for path in HTML.rglob("vendor/fontawesome/*/webfonts/*.woff")]
    drawn = {f"{code:x}" for font in fonts for code in font.getBestCmap() or ()}
    wanted = set()
    for path in (HTML / "_static").rglob("*.css"):
        content = path.read_text(encoding="utf-8")
        wanted |= {f"{ord(character):x}" for character in re.findall("[\uf000-\uf8ff]", content)}
        wanted |= set(re.findall(r"\\(f[0-9a-f]{3})\b", content))
    assert len(wanted) > 20 and wanted - drawn == set()


def test_lines_in_figures_stand_out() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert {colour for colour in PALETTE if contrast(colour, "#ffffff") < 3} == set()
