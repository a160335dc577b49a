"""Questions of the chapters: one right answer each, every answer explained, and no way to guess it from its form."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from test_prose import AMERICAN

from afl_helpers.chapters.quizzes import inline, quiz, quiz_names, read_quiz
from afl_helpers.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = [(name, question) for name in quiz_names() for question in read_quiz(name)]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(QUESTIONS)]
#: Chapters of the main line; "Try it" has parts that move, and "Reference" is looked up.
PARTS = ("The problem", "The method", "The findings", "Your turn")


def chapters() -> list[str]:
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    names = [Path(c["file"]).name for part in parts if part["caption"] in PARTS for c in part["chapters"]]
    return [name for name in names if (ROOT / "book" / f"{name}.ipynb").is_file()]


def test_every_chapter_of_the_main_line_has_its_quiz_and_shows_it_once() -> None:
    assert {*chapters(), "course"} == set(quiz_names())
    for name in chapters():
        cells = json.loads((ROOT / "book" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        calls = [call for cell in cells for call in re.findall(r"\bquiz\((.*?)\)", "".join(cell["source"]))]
        assert calls == [f'"{name}"']


@pytest.mark.parametrize("name", quiz_names())
def test_a_quiz_has_three_to_five_questions(name: str) -> None:
    assert 3 <= len(read_quiz(name)) <= (10 if name == "course" else 5)


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=IDS)
def test_one_answer_is_right_and_each_is_explained(name: str, question) -> None:
    assert question.ask.endswith("?")
    assert 3 <= len(question.options) <= 4
    assert [option.right for option in question.options].count(True) == 1
    assert len({option.text for option in question.options}) == len(question.options)
    for option in question.options:
        assert len(option.why.split()) >= 5 and option.why.endswith(".") and option.why != option.text
        assert not AMERICAN.findall(option.text + option.why)
        assert "$" not in option.text + option.why  # a page would not typeset it


def test_the_right_answer_cannot_be_guessed_from_its_place_or_length() -> None:
    places = Counter(question.key for _, question in QUESTIONS)
    longest = sum(max(q.options, key=lambda option: len(option.text)).right for _, q in QUESTIONS)
    assert min(places[letter] for letter in "abc") > 0.2 * len(QUESTIONS)
    assert longest < 0.45 * len(QUESTIONS)


@pytest.mark.parametrize("name", quiz_names())
def test_a_quiz_works_without_scripts_and_says_what_it_marks(name: str) -> None:
    page = BeautifulSoup(quiz(name).data, "html.parser")
    assert not page.find("script") and not page.find(id=True)
    boxes = page.select("details")
    assert len(boxes) == sum(len(question.options) for question in read_quiz(name))
    assert not any(box.has_attr("open") for box in boxes)
    words = {"right": "Right.", "wrong": "No."}
    assert all(box.p.strong.text == words[box["class"][0]] and box.summary.text.strip() for box in boxes)


def test_markup_of_a_text() -> None:
    assert inline("`a < b` is *true* for γ~c~, (1 − p)^γ^\n and A & B") == (
        "<code>a &lt; b</code> is <em>true</em> for γ<sub>c</sub>, (1 − p)<sup>γ</sup> and A &amp; B"
    )


def test_an_unknown_quiz_is_named() -> None:
    with pytest.raises(UsageError, match="focal-loss"):
        quiz("focal-los")
