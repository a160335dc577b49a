"""The table of losses in a real browser: sorted by the head that is pressed, and whole without a script."""

from pathlib import Path

import pytest

from afl_helpers.chapters.display import loss_table
from afl_helpers.losses import LOSSES

SCRIPT = Path(__file__).resolve().parents[2] / "book" / "_static" / "reader.js"


@pytest.fixture
def page(chromium):
    context = chromium.new_context()
    page = context.new_page()
    page.set_content(loss_table().data)
    yield page
    context.close()


def column(page, number: int) -> list[str]:
    return page.eval_on_selector_all(
        f"tbody td:nth-child({number})", "cells => cells.map((cell) => cell.textContent.trim())"
    )


def test_a_press_sorts_and_a_second_turns_the_order(page):
    agreements = [info.agreement for info in LOSSES.values()]
    assert column(page, 2) == agreements and page.query_selector("th button") is None
    page.add_script_tag(path=str(SCRIPT))
    head = page.get_by_role("button", name="against its sources")
    head.focus()
    page.keyboard.press("Enter")
    assert column(page, 2) == sorted(agreements)
    assert page.get_attribute("th:nth-child(2)", "aria-sort") == "ascending"
    head.click()
    assert column(page, 2) == sorted(agreements, reverse=True)
    assert page.get_attribute("th:nth-child(2)", "aria-sort") == "descending"
    page.get_by_role("button", name="properties").click()
    properties = column(page, 3)
    assert properties == sorted(properties) and len(set(properties)) > 2
    assert page.get_attribute("th:nth-child(2)", "aria-sort") is None
    assert len(column(page, 1)) == len(LOSSES)
