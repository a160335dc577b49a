"""Quizzes and slides in a real browser: by keyboard, on a phone, in light and dark."""

import shutil

import make_course
import pytest
from axe_playwright_python.sync_playwright import Axe

from afl_helpers.chapters.quizzes import as_html, quiz_names

MODES = ("light", "dark")
GROUND = {"light": "#fff", "dark": "#121212"}


@pytest.fixture
def context(chromium, request):
    context = chromium.new_context(viewport={"width": 390, "height": 800}, color_scheme=request.param)
    yield context, request.param
    context.close()


def violations(page) -> list[str]:
    return [violation["id"] for violation in Axe().run(page).response["violations"]]


@pytest.mark.parametrize("context", MODES, indirect=True)
def test_a_quiz_is_answered_by_keyboard_without_scripts_and_fits_a_phone(context) -> None:
    context, mode = context
    page = context.new_page()
    ink = "#111" if mode == "light" else "#eee"
    body = "".join(f"<h2>{name}</h2>{as_html(name)}" for name in quiz_names())
    page.set_content(
        f'<!DOCTYPE html><html lang="en" data-theme="{mode}"><meta name="viewport" content="width=device-width"><title>Q</title>'
        f'<body style="background:{GROUND[mode]};color:{ink}"><main><h1>Q</h1>{body}</main></body></html>'
    )
    first = page.locator(".quiz details").first
    assert not first.locator("p").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert first.locator("p").is_visible()
    page.keyboard.press("Space")
    assert not first.locator("p").is_visible()
    page.evaluate("document.querySelectorAll('.quiz details').forEach((box) => (box.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


@pytest.mark.parametrize("context", MODES, indirect=True)
def test_slides_need_no_network_and_fit(context, tmp_path) -> None:
    pytest.importorskip("sphinx_revealjs")
    context, mode = context
    session = make_course.read_course()["sessions"][0]
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 400"><path d="M0 0L900 400" stroke="black"/></svg>'
    )
    (tmp_path / "figure.svg").write_text(drawing)
    pictures = {slide["figure"][1]: ("figure.svg", "A line.") for slide in session["slides"] if "figure" in slide}
    make_course.copy_reveal(tmp_path / "reveal")
    shutil.copy(make_course.SOURCE / "slides.css", tmp_path)
    deck = tmp_path / "deck.html"
    deck.write_text(make_course.slides(session, pictures), encoding="utf-8")
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(deck.as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    assert complaints == [] and all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getState().indexh") == 1
    sizes = page.evaluate(
        "[...document.querySelectorAll('.slides > section')].map((e) => [e.scrollWidth, e.scrollHeight])"
    )
    assert len(sizes) == len(session["slides"]) + 1 and all(w <= 1100 and h <= 700 for w, h in sizes)
    ground = page.evaluate("getComputedStyle(document.querySelector('.reveal-viewport')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[mode]
    assert violations(page) == []
