"""The built book in a real browser: offline, fast, for everyone."""

import contextlib
import json
import re
from types import SimpleNamespace
from urllib.parse import urlsplit

import make_pdf
import pytest
from build_book import page_names

pytestmark = pytest.mark.book

PAGES = [f"{name}.html" for name in (*page_names(), "genindex", "search")]
FIRST = PAGES[0]
CHARTS = [f"book/{name}.html" for name in ("metrics", "focal-loss", "adaptive-gamma", "beyond-films")]
WIDTHS = (360, 768, 1440)
#: Bytes over the wire, compressed; of the first page, and of any.
FIRST_PAGE, ANY_PAGE, ON_DISK = 600_000, 1_500_000, 20_000_000


class Visit:
    """One page with all that it asked for and said."""

    def __init__(self, context, address: str):
        self.page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.received = 0
        client = context.new_cdp_session(self.page)
        client.send("Network.enable")
        client.on("Network.loadingFinished", self._count)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        self.page.goto(address, wait_until="networkidle")

    def _count(self, event: dict) -> None:
        self.received += event["encodedDataLength"]

    def _listen(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


class Lender:
    """Stands for playwright's launcher and lends a browser that is open already."""

    def __init__(self, browser):
        self.browser = browser

    def launch(self, **options):
        return SimpleNamespace(new_page=self.browser.new_page, close=lambda: None)


@pytest.fixture
def context(chromium):
    context = chromium.new_context()
    yield context
    context.close()


def settle(page) -> None:
    """Wait for charts and formulas, which scripts draw after the page has come."""
    page.wait_for_function(
        "document.querySelectorAll('.vega-chart').length === document.querySelectorAll('.vega-chart svg.marks').length"
        " && document.querySelectorAll('.math').length === document.querySelectorAll('.math mjx-container').length"
    )


def foreign(requests: list[str], host: str) -> list[str]:
    return [
        url
        for url in requests
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).netloc != host
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_offline_and_light(context, site, name, record_property):
    visit = Visit(context, f"{site}/{name}")
    assert foreign(visit.requests, urlsplit(site).netloc) == []
    assert visit.complaints == []
    record_property("bytes", visit.received)
    assert visit.received < (FIRST_PAGE if name == FIRST else ANY_PAGE)
    formulas = visit.page.locator(".math").count()
    mathjax = [url for url in visit.requests if "tex-chtml.js" in url]
    assert len(mathjax) == (1 if formulas else 0)
    settle(visit.page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_disk(context, name):
    visit = Visit(context, (make_pdf.HTML / name).as_uri())
    assert foreign(visit.requests, "") == [] and visit.complaints == []


def test_the_site_is_small():
    assert sum(path.stat().st_size for path in make_pdf.HTML.rglob("*") if path.is_file()) < ON_DISK


def test_search_finds_a_word_offline(context, site):
    visit = Visit(context, f"{site}/search.html?q=shrinkage")
    visit.page.wait_for_selector("#search-results li a[href*='metrics']")  # results are listed one by one
    assert foreign(visit.requests, urlsplit(site).netloc) == [] and visit.complaints == []


# Formulas look alike, as do the entries of an API page of one kind: the contrast of three of them is that of all.
THIN = """() => { const seen = {};
    for (const entry of document.querySelectorAll("dl.py, .math"))
        if (entry.isConnected && (seen[entry.className] = (seen[entry.className] || 0) + 1) > 3) entry.remove() }"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_stands_in_anybodys_way(context, site, name, theme):
    page = context.new_page()
    page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    page.goto(f"{site}/{name}", wait_until="networkidle")
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    settle(page)
    serious = {}
    if theme == "light":
        headings_stand_in_order(page)
        serious = serious_violations(page, rules={"color-contrast": {"enabled": False}})
    page.evaluate(THIN)
    serious |= serious_violations(page, runOnly=["color-contrast"])
    assert serious == {}, json.dumps(serious, indent=1)


def serious_violations(page, **options) -> dict[str, list[str]]:
    from axe_playwright_python.sync_playwright import Axe

    # Without resultTypes it also describes what it found in order, which takes a third of its time on a long page.
    found = Axe().run(page, options={"resultTypes": ["violations"]} | options).response["violations"]
    return {
        violation["id"]: [node["html"][:160] for node in violation["nodes"]][:5]
        for violation in found
        if violation["impact"] in ("serious", "critical")
    }


def headings_stand_in_order(page) -> None:
    levels = page.eval_on_selector_all(
        "main :is(h1, h2, h3, h4, h5, h6)", "all => all.filter(h => h.checkVisibility()).map(h => +h.tagName[1])"
    )
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:])), levels


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_the_screen(context, site, name):
    page = context.new_page()
    page.set_viewport_size({"width": WIDTHS[0], "height": 800})
    page.goto(f"{site}/{name}", wait_until="networkidle")
    settle(page)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, f"at {width} px"
        wide = page.eval_on_selector_all(
            "main article :is(p, li, figure, img, svg, pre, table, .math)",
            """(all, width) => all.filter(e => e.checkVisibility() && e.getBoundingClientRect().right > width + 1).filter(e => {
                for (let p = e; p; p = p.parentElement)
                    if (["auto", "scroll", "hidden"].includes(getComputedStyle(p).overflowX)) return false;
                return true }).map(e => e.outerHTML.slice(0, 120))""",
            width,
        )
        assert wide == [], f"at {width} px"


def test_all_of_a_wide_formula_can_be_scrolled_to(context, site):
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"{site}/book/focal-loss.html", wait_until="networkidle")
    settle(page)
    hidden = page.eval_on_selector_all(
        "div.math",
        """all => all.filter(box => Math.min(...[...box.querySelectorAll("mjx-mi, mjx-mo, mjx-mn")]
             .map(e => e.getBoundingClientRect().left)) < box.getBoundingClientRect().left - 1).map(e => e.textContent.slice(0, 60))""",
    )
    assert page.locator("div.math").count() > 5 and hidden == []


def test_on_a_phone_a_figure_scrolls_in_its_box_and_its_edge_fades_until_the_end(context, site):
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"{site}/book/results.html", wait_until="networkidle")
    look = """async figure => {
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
        const box = figure.querySelector(".figure-box")
        return {left: figure.querySelector("figcaption").getBoundingClientRect().left, hidden: box.scrollWidth - box.clientWidth,
                shown: getComputedStyle(box).getPropertyValue("--shown")} }"""
    figure = page.locator("figure").first
    before = figure.evaluate(look)
    assert before["hidden"] > 100 and before["shown"] == "85%"
    figure.locator(".figure-box").evaluate("box => box.scrollLeft = box.scrollWidth")
    after = figure.evaluate(look)
    assert after["shown"] == "100%" and after["left"] == before["left"]
    page.set_viewport_size({"width": 1440, "height": 800})
    assert figure.evaluate(look) | {"left": 0} == {"left": 0, "hidden": 0, "shown": "100%"}


def test_the_magnifier_of_the_search_page_stands_before_the_words(context, site):
    page = context.new_page()
    page.goto(f"{site}/search.html?q=gamma", wait_until="networkidle")
    icon = page.locator("form.bd-search:visible i").bounding_box()
    field = page.locator("form.bd-search:visible input")
    words = field.bounding_box()["x"] + float(field.evaluate("e => parseFloat(getComputedStyle(e).paddingLeft)"))
    assert icon["x"] + icon["width"] < words


@pytest.mark.parametrize("name", [FIRST, *CHARTS, "book/results.html", "book/reference-api.html", "search.html"])
def test_the_keyboard_reaches_every_control(context, site, name):
    page = context.new_page()
    page.goto(f"{site}/{name}", wait_until="networkidle")
    settle(page)  # charts and formulas bring controls of their own
    wanted = page.eval_on_selector_all(
        "a[href], button, input, select, summary, [tabindex='0']",
        """all => { const seen = all.filter(e => e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.tabIndex >= 0
               && e.type !== "hidden" && !e.closest("[hidden], dialog:not([open])"));
           seen.forEach((e, i) => e.dataset.control = i);
           window.reached = new Set(); addEventListener("focusin", event => reached.add(event.target.dataset.control));
           return seen.length }""",
    )
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
    reached = set(page.evaluate("[...reached]"))
    missed = [
        page.locator(f"[data-control='{i}']").evaluate("e => e.outerHTML.slice(0, 150)")
        for i in range(wanted)
        if str(i) not in reached
    ]
    assert wanted > 20 and missed == []


def test_the_pages_with_charts_are_those_tried_here(site):
    assert [
        name for name in PAGES if 'class="vega-chart"' in (make_pdf.HTML / name).read_text(encoding="utf-8")
    ] == CHARTS


@pytest.mark.parametrize("name", CHARTS)
def test_each_slider_moves_its_chart(context, site, name):
    page = context.new_page()
    page.goto(f"{site}/{name}", wait_until="networkidle")
    settle(page)
    for chart in page.locator(".vega-chart").all():
        for slider in chart.locator("input[type=range]").all():
            before = chart.locator("svg.marks").inner_html()
            start = slider.evaluate("e => (e.value - e.min) / (e.max - e.min)")
            end = 0.25 if start > 0.5 else 0.75
            slider.scroll_into_view_if_needed()
            box = slider.bounding_box()
            middle = box["y"] + box["height"] / 2
            page.mouse.move(box["x"] + box["width"] * 0.5, middle)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * end, middle, steps=4)
            page.mouse.up()
            page.wait_for_function(
                "([svg, before]) => svg.innerHTML !== before", arg=[chart.locator("svg.marks").element_handle(), before]
            )


@pytest.mark.parametrize("name", CHARTS)
def test_without_scripts_a_still_picture_stands_there(chromium, site, name):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/{name}")
    chart = page.locator(".vega-chart").first
    still = chart.locator("noscript svg")
    assert still.is_visible() and still.bounding_box()["width"] > 300
    assert "Sliders" in chart.inner_text() or "slider" in chart.inner_text()
    context.close()


def test_largest_contentful_paint_on_a_slow_machine(context, site, capsys):
    page = context.new_page()
    client = context.new_cdp_session(page)
    client.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.add_init_script(
        "new PerformanceObserver(list => { window.largest = list.getEntries().at(-1).startTime })"
        ".observe({type: 'largest-contentful-paint', buffered: true})"
    )
    page.goto(f"{site}/{FIRST}", wait_until="networkidle")
    largest = page.wait_for_function("window.largest").json_value()
    with capsys.disabled():
        print(
            f"\nlargest contentful paint of the first page, processor slowed four times: {largest / 1000:.2f} s (aim 2.5 s)"
        )
    assert largest > 0


def test_print_leaves_the_text_alone(context, site):
    page = context.new_page()
    page.goto(f"{site}/book/focal-loss.html", wait_until="networkidle")
    page.emulate_media(media="print")
    hidden = page.eval_on_selector_all(
        ".bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .prev-next-footer",
        "all => all.filter(e => e.checkVisibility()).length",
    )
    assert hidden == 0
    titles = page.eval_on_selector_all("h1", "all => all.filter(e => e.checkVisibility()).map(e => e.textContent)")
    assert titles == ["Focal loss"]
    assert len(page.pdf(format="A4")) > 50_000


def test_the_pdf_has_a_title_contents_page_numbers_and_links_of_its_own(chromium, site, tmp_path, monkeypatch):
    from pypdf import PdfReader

    chosen = {"": ["book/index"], "The method": ["book/focal-loss"], "Reference": ["book/notation", "book/glossary"]}
    monkeypatch.setattr(make_pdf, "BOOK", tmp_path / "book.pdf")
    monkeypatch.setattr(make_pdf, "API", tmp_path / "api.pdf")
    monkeypatch.setattr(make_pdf, "parts", lambda: (chosen, {"": ["book/renamed"]}))
    # Playwright runs once in a process, so the browser of these tests prints.
    monkeypatch.setattr(
        make_pdf, "sync_playwright", lambda: contextlib.nullcontext(SimpleNamespace(chromium=Lender(chromium)))
    )
    assert make_pdf.main() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.pdf", "book.pdf"]
    book = PdfReader(tmp_path / "book.pdf")
    chapters = [item for item in book.outline if not isinstance(item, list)]
    titles = ["AFL-BERT, reproduced", "Focal loss", "Notation", "Glossary"]
    assert [item.title for item in chapters] == ["Contents", *titles]
    text = [page.extract_text() for page in book.pages]
    assert text[0].startswith("AFL-BERT, reproduced") and make_pdf.__version__ in text[0]
    for item in chapters[1:]:
        number = book.get_destination_page_number(item) + 1
        assert re.search(rf"{item.title}\s*{number}\b", text[1])  # the contents
        assert text[number - 1].rstrip().endswith(f"{item.title} {number}")  # the foot
        assert item.title in text[number - 1].partition("\n\n")[0]
    assert "What gamma does to the gradient" in sections_of(book, "Focal loss")

    links = [link.get_object() for page in book.pages for link in page.get("/Annots", ())]
    assert not [link for link in links if "file:" in str(link.get("/A", ""))]
    assert [link for link in links if "doi.org" in str(link.get("/A", ""))]
    # "focal loss" on the first page leads to its place in the glossary, which is not at the top of a page.
    goals = {
        (book.get_page_number(link["/Dest"][0].get_object()), link["/Dest"][3]) for link in links if "/Dest" in link
    }
    glossary = book.get_destination_page_number(chapters[-1])
    assert len({goal for goal in goals if goal[0] >= glossary}) > 5


def sections_of(book, title: str) -> list[str]:
    """The sections below a chapter in the outline of a PDF."""
    outline = book.outline
    place = next(i for i, item in enumerate(outline) if getattr(item, "title", None) == title)
    return [section.title for section in outline[place + 1]]


def test_the_api_is_bound_apart():
    book, api = make_pdf.parts()
    names = [name for names in book.values() for name in names]
    assert set(api[""]).isdisjoint(names)
    assert sorted([*names, *api[""]]) == sorted(page_names())


def test_pages_name_themselves_for_search_and_cards():
    pages = [(make_pdf.HTML / name).read_text(encoding="utf-8") for name in PAGES]
    titles = [re.search(r"<title>(.+?)</title>", page, re.DOTALL)[1] for page in pages]
    assert len(set(titles)) == len(titles) and all("AFL-BERT" in title for title in titles)


def test_a_missing_browser_is_one_sentence(monkeypatch, capsys):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    assert make_pdf.main() == 1
    assert re.fullmatch(r"Chromium was not found; .+\n", capsys.readouterr().err)
