"""What students and teachers get: predictions with answers, editions, sessions whose minutes fit, grades."""

import ast
import csv
import html
import json
import re
from pathlib import Path

import grade
import make_course
import make_student
import nbformat
import pytest
from bs4 import BeautifulSoup

from afl_helpers.chapters.exercises import points_of
from afl_helpers.chapters.exercises.blanks import BLANKS
from afl_helpers.chapters.quizzes import quiz_names

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
PREDICT = re.compile(r"^:::\{admonition\} Predict first\n:class: predict\n", re.MULTILINE)
ANSWER = re.compile(r"^:::\{admonition\} Answer\n:class: dropdown\n(.+?)\n:::$", re.MULTILINE | re.DOTALL)


def unanswered(text: str) -> list[str]:
    """Return the questions that no folded answer follows before the next question."""
    boxes = PREDICT.split(text)[1:]
    return [box[:60] for box in boxes if not (answer := ANSWER.search(box)) or len(answer[1].split()) < 8]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_prediction_has_its_answer_folded_behind_it(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    if path.stem == "index":  # its box shows what such a box looks like
        text = text.replace(":::{admonition} Predict first", "")
    assert unanswered(text) == []


def test_what_the_test_of_predictions_would_find() -> None:
    box = ":::{admonition} Predict first\n:class: predict\nWhich?\n:::\n"
    answer = ":::{admonition} Answer\n:class: dropdown\nThe first one, because it is not the second.\n:::\n"
    assert unanswered(box + answer + box + answer) == []
    assert len(unanswered(box + box + answer)) == 1 and len(unanswered(answer + box)) == 1


# --- sessions --------------------------------------------------------------------------------------------------------

COURSE = make_course.read_course()
PLANS = [(session, length) for session in COURSE["sessions"] for length in (45, 90)]
PLAN_IDS = [f"{session['name']}-{length}" for session, length in PLANS]


@pytest.mark.parametrize(("session", "length"), PLANS, ids=PLAN_IDS)
def test_the_minutes_of_a_session_fit_what_is_done_in_them(session, length) -> None:
    blocks = session["plans"][length]
    assert sum(block["minutes"] for block in blocks) == length
    for block in blocks:
        needed = make_course.minutes_needed(block, COURSE["pace"])
        assert 0 < needed <= block["minutes"], f"{block['does']} needs {needed:g} minutes"
    assert sum(block.get("slides", 0) for block in blocks) == len(session["slides"])


def test_what_the_test_of_minutes_counts() -> None:
    pace = {"minutes_per_slide": 2, "minutes_per_point": 3, "minutes_per_question": 1.5}
    block = {"slides": 2, "work": ["blank-bce"], "quiz": "rare-labels", "talk": 1}
    assert make_course.minutes_needed(block, pace) == 2 * 2 + 2 * 3 + 4 * 1.5 + 1


@pytest.mark.parametrize("session", COURSE["sessions"], ids=lambda session: session["name"])
def test_the_reading_before_a_session_takes_an_hour_at_most(session) -> None:
    minutes = make_course.reading_minutes(session["reading"], COURSE["pace"])
    assert 5 < minutes <= COURSE["longest_reading"], f"{minutes:.0f} minutes"


@pytest.mark.parametrize("session", COURSE["sessions"], ids=lambda session: session["name"])
def test_what_a_session_names_is_in_the_book(session) -> None:
    figures = {
        (path.stem, cell["metadata"]["mystnb"]["figure"]["name"])
        for path in NOTEBOOKS
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if "figure" in cell["metadata"].get("mystnb", {})
    }
    named = {tuple(slide["figure"]) for slide in session["slides"] if "figure" in slide}
    assert len(named) >= 2 and named <= figures
    labels = [
        *session["homework"],
        *(label for blocks in session["plans"].values() for b in blocks for label in b.get("work", ())),
    ]
    assert all(points_of(label) for label in labels)
    assert {block["quiz"] for blocks in session["plans"].values() for block in blocks if "quiz" in block} <= set(
        quiz_names()
    )
    assert 10 <= sum(points_of(label) for label in session["homework"]) <= 15


def test_every_blank_is_written_in_some_session() -> None:
    done = {
        label for session in COURSE["sessions"] for block in session["plans"][90] for label in block.get("work", ())
    }
    done |= {label for session in COURSE["sessions"] for label in session["homework"]}
    # One tuned threshold comes before the cut in the same chapter, and is read.
    assert BLANKS.keys() - done == {"blank-threshold"}


# --- slides and sheets -----------------------------------------------------------------------------------------------


def test_slides_hold_their_figures_and_load_nothing_from_elsewhere() -> None:
    session = COURSE["sessions"][0]
    names = [slide["figure"][1] for slide in session["slides"] if "figure" in slide]
    page = BeautifulSoup(
        make_course.slides(session, {name: (f"figures/{name}.svg", "A curve.") for name in names}), "html.parser"
    )
    assert len(page.select("section")) == len(session["slides"]) + 1
    assert [image["src"] for image in page.select("img")] == [f"figures/{name}.svg" for name in names]
    assert all(image["alt"] for image in page.select("img")) and len(page.select("aside.notes")) == len(
        session["slides"]
    )
    assert not re.search(r"(src|href)=\"(https?:)?//", str(page))


def test_a_figure_is_taken_from_its_cell() -> None:
    cell = nbformat.v4.new_code_cell(
        "draw()", metadata={"mystnb": {"figure": {"name": "fig-a"}, "image": {"alt": "A line."}}}
    )
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg/>"})]
    assert make_course.figure(nbformat.v4.new_notebook(cells=[cell]), "fig-a") == (".svg", b"<svg/>", "A line.")
    with pytest.raises(ValueError, match="fig-b"):
        make_course.figure(nbformat.v4.new_notebook(cells=[cell]), "fig-b")


def test_the_package_that_carries_reveal_has_what_the_slides_load(tmp_path) -> None:
    pytest.importorskip("sphinx_revealjs")
    make_course.copy_reveal(tmp_path)
    assert all((tmp_path / name).stat().st_size > 500 for name in make_course.REVEAL)


def test_sheets_for_students_hold_no_key_and_keys_hold_every_answer() -> None:
    pages = make_course.sheets(COURSE)
    for session in COURSE["sessions"]:
        name = session["name"]
        asked, key = pages[f"{name}-handout.html"], pages[f"{name}-handout-key.html"]
        assert all(
            html.escape(task["key"], quote=False) in key and task["key"] not in asked for task in session["handout"]
        )
        asked, key = pages[f"{name}-quiz.html"], pages[f"{name}-quiz-key.html"]
        assert "Right." not in asked and key.count("Right.") == asked.count('<ol type="a">') >= 4
        assert pages[f"{name}-homework.html"].count("<tr>") == len(session["homework"]) + 1
    assert pages["exit-tickets.html"].count('class="ticket"') == len(COURSE["sessions"])


# --- editions --------------------------------------------------------------------------------------------------------


def test_the_student_edition_has_no_solutions_findings_and_key_points_and_places_instead() -> None:
    for name, text in make_student.edition("student").items():
        cells = json.loads(text)["cells"]
        prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        for hidden in ("{solution-", "{admonition} Answer", ":class: we-find", "## Key points"):
            assert hidden not in prose or name == "index.ipynb" and hidden == ":class: we-find", name
        assert len({cell["id"] for cell in cells}) == len(cells)
        for cell in cells:
            if cell["cell_type"] == "code" and not "".join(cell["source"]).lstrip().startswith(("!", "%", "#")):
                ast.parse(re.sub(r"^\s*!.*$", "0", "".join(cell["source"]), flags=re.MULTILINE))
        for label in re.findall(r"```\{exercise\}.*\n:label: (\S+)", prose):
            assert f":label: {label}\n\n*{points_of(label)} points*\n" in prose


def test_a_finding_becomes_a_place_and_what_other_cells_use_of_it_stays() -> None:
    cell = {"cell_type": "code", "id": "c", "metadata": {}, "outputs": [], "execution_count": None}
    source = """
a = 1
b = {}
b["x"] = a  # for the next cell
said = "AFL is ahead"
if a:
    said += "."

def shown(text):
    return text

print(b)
we_find(
    shown(f"{a}: {said}")
)""".lstrip()
    first, place = make_student.without_finding(cell | {"source": source.splitlines(keepends=True)}, ["%env X\nb"])
    assert "".join(first["source"]) == 'a = 1\nb = {}\nb["x"] = a  # for the next cell\n\nprint(b)'
    assert place["cell_type"] == "markdown" and "What do you find" in place["source"][0]
    assert make_student.without_finding(cell | {"source": ["a = 1\n", "we_find(a)"]}) == [place]
    kept = cell | {"source": ["x = we_find('a')\n", "x"]}
    assert make_student.without_finding(kept) == [kept]


def test_the_instructor_edition_has_everything_open_with_rubrics_keys_and_expected_answers() -> None:
    made = make_student.edition("instructor")
    text = "\n".join("".join(cell["source"]) for cell in json.loads(made["rare-labels.ipynb"])["cells"])
    assert "**Expect these answers**" in text and "**Key of the quiz:** 1 b, 2 c, 3 a, 4 b" in text
    assert "says that a lower threshold costs precision" in text and "{solution-start}" in text
    assert "dropdown" not in text and '"source_hidden"' not in made["rare-labels.ipynb"]


# --- grades ----------------------------------------------------------------------------------------------------------


def hand_in(path: Path, *cells: str) -> None:
    task = "```{exercise} A\n:label: ex-focal-loss-2\n```\n```{exercise} B\n:label: ex-rare-labels-2\n```"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(task), *map(nbformat.v4.new_code_cell, cells)]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def test_grades_come_from_running_the_notebooks(tmp_path, capsys) -> None:
    start = "from afl_helpers.chapters.exercises import check"
    hand_in(
        tmp_path / "ada" / "focal-loss.ipynb",
        start,
        "1 / 0",
        'check("ex-focal-loss-2", 0.5)',
        'check("ex-focal-loss-2", 0.75)',
    )
    hand_in(tmp_path / "bob" / "focal-loss.ipynb", start, 'check("ex-focal-loss-2", 0.25)', 'print("Right.")')
    hand_in(tmp_path / "cleo.ipynb", "pass")
    (tmp_path / "eve.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook()), encoding="utf-8")
    (tmp_path / "dan").mkdir()
    (tmp_path / "dan" / "broken.ipynb").write_text("{")
    assert grade.main(tmp_path, 300) == 0
    with open(tmp_path / "grades.csv", newline="") as file:
        rows = {(row["student"], row["exercise"]): row for row in csv.DictReader(file)}
    assert rows["ada", "ex-focal-loss-2"]["points"] == str(points_of("ex-focal-loss-2"))
    assert (
        rows["bob", "ex-focal-loss-2"]["points"] == "0" and "this is alpha" in rows["bob", "ex-focal-loss-2"]["remark"]
    )
    assert rows["cleo", "ex-focal-loss-2"]["remark"] == "never checked"
    assert (
        rows["ada", "ex-rare-labels-2"]["points"] == ""
        and "read it: 1 for" in rows["ada", "ex-rare-labels-2"]["remark"]
    )
    assert "no notebook" in rows["dan", ""]["remark"]
    assert rows["eve", ""]["remark"] == "it holds no exercise of the book"
    assert "ada" in capsys.readouterr().out


def test_a_folder_without_notebooks_is_named(tmp_path, capsys) -> None:
    assert grade.main(tmp_path, 300) == 1
    assert "holds no notebooks" in capsys.readouterr().err
