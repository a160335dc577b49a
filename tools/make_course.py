"""Write the course's slides and sheets from course/course.yaml into _build/course. They need no network.

Usage: python tools/make_course.py [--jobs 2]       (`make course` runs this)

Figures are those of the chapters: a chapter whose outputs are not in the cache of the build is run first.
"""

import argparse
import base64
import functools
import html
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from build_book import BUILD, CELL_TIMEOUT, LIBRARIES, ROOT, SETTINGS, cache_key, drop_stale_outputs
from jupyter_cache import get_cache
from run_chapters import run_chapters

from afl_helpers.chapters.exercises import CHECKS, RUBRICS, points_of
from afl_helpers.chapters.quizzes import inline, read_quiz

SOURCE = ROOT / "course"
TARGET = BUILD / "course"
REVEAL = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js", "LICENSE")
Session = Mapping[str, Any]


def read_course() -> dict[str, Any]:
    return yaml.safe_load((SOURCE / "course.yaml").read_text(encoding="utf-8"))


# --- how long things take --------------------------------------------------------------------------------------------


def minutes_needed(block: Mapping[str, Any], pace: Mapping[str, float]) -> float:
    """Return the minutes that a block of a session takes: slides, exercises by points, questions and talk."""
    return (
        block.get("slides", 0) * pace["minutes_per_slide"]
        + sum(points_of(label) for label in block.get("work", ())) * pace["minutes_per_point"]
        + (len(read_quiz(block["quiz"])) * pace["minutes_per_question"] if "quiz" in block else 0)
        + block.get("talk", 0)
    )


def reading_minutes(chapters: Iterable[str], pace: Mapping[str, float]) -> float:
    """Return the minutes that students need to read chapters: by words of prose, and by cells whose output they look at."""
    minutes = 0.0
    for chapter in chapters:
        for cell in json.loads((ROOT / "book" / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "code":
                minutes += pace["minutes_per_cell"]
            elif "## Exercises" in text:
                break  # exercises are homework
            else:
                minutes += len(text.split()) / pace["words_per_minute"]
    return minutes


# --- figures ---------------------------------------------------------------------------------------------------------


def executed(chapters: list[str], n_jobs: int) -> dict[str, nbformat.NotebookNode]:
    """Return chapters with their outputs, run where the cache of the build does not hold them."""
    settings = {name: os.environ.get(name, "") for name in SETTINGS}
    drop_stale_outputs(BUILD, cache_key(ROOT, settings, {name: importlib.metadata.version(name) for name in LIBRARIES}))
    paths = [ROOT / "book" / f"{chapter}.ipynb" for chapter in chapters]
    run_chapters(paths, BUILD / ".jupyter_cache", CELL_TIMEOUT, os.environ | {"AFL_BOOK": "1"}, n_jobs)
    cache = get_cache(str(BUILD / ".jupyter_cache"))
    return {path.stem: cache.merge_match_into_notebook(nbformat.read(path, 4))[1] for path in paths}


def figure(notebook: nbformat.NotebookNode, name: str) -> tuple[str, bytes, str]:
    """Return the ending, the content and the alternative text of a chapter's figure."""
    for cell in notebook.cells:
        settings = cell.metadata.get("mystnb", {})
        if settings.get("figure", {}).get("name") == name:
            for output in cell.outputs:
                data = output.get("data", {})
                if "image/svg+xml" in data:
                    return ".svg", "".join(data["image/svg+xml"]).encode(), settings["image"]["alt"]
                if "image/png" in data:
                    return ".png", base64.b64decode(data["image/png"]), settings["image"]["alt"]
    raise ValueError(f"no cell of the chapter draws the figure {name}; name another one in course/course.yaml")


# --- slides ----------------------------------------------------------------------------------------------------------


def copy_reveal(target: Path) -> None:
    """Copy reveal.js out of the package that carries it."""
    for file in importlib.metadata.files("sphinx-revealjs") or ():
        name = file.as_posix().partition("_static/revealjs/")[2]
        if name in REVEAL:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target / name)
    missing = [name for name in REVEAL if not (target / name).is_file()]
    if missing:
        sys.exit(
            f"{missing[0]} of reveal.js is missing; install the package that carries it: pip install 'sphinx-revealjs>=3.2'"
        )


def slides(session: Session, pictures: Mapping[str, tuple[str, str]]) -> str:
    """Return a session's deck. `pictures` has the file and the alternative text of each figure."""
    sections = [f"<h1>{_t(session['title'])}</h1><p>{_t(session['question'])}</p>"]
    for slide in session["slides"]:
        parts = [f"<h2>{_t(slide['title'])}</h2>"]
        if "figure" in slide:
            file, alt = pictures[slide["figure"][1]]
            parts.append(f'<img src="{file}" alt="{html.escape(alt)}">')
        parts.append(_list(slide["says"]))
        parts.append(f'<aside class="notes">{_t(slide["notes"])}</aside>')
        sections.append("\n".join(parts))
    body = "\n".join(f"<section>\n{section}\n</section>" for section in sections)
    return f"""<!DOCTYPE html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_t(session["title"])}</title>
<link rel="stylesheet" href="reveal/dist/reset.css">
<link rel="stylesheet" href="reveal/dist/reveal.css">
<link rel="stylesheet" href="slides.css">
</head>
<body>
<main><div class="reveal"><div class="slides">
{body}
</div></div></main>
<script src="reveal/dist/reveal.js"></script>
<script src="reveal/plugin/notes/notes.js"></script>
<script>
Reveal.initialize({{
  width: 1100, height: 700, margin: 0.06, hash: true, slideNumber: "c/t", transition: "none", scrollActivationWidth: 0,
  plugins: [RevealNotes],
}});
</script>
</body>
</html>
"""


# --- sheets ----------------------------------------------------------------------------------------------------------


def sheet(title: str, *parts: str) -> str:
    """Return a page to print."""
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_t(title)}</title>
<link rel="stylesheet" href="sheet.css">
</head>
<body>
<main>
<h1>{_t(title)}</h1>
{body}
</main>
</body>
</html>
"""


def handout(session: Session, key: bool = False) -> str:
    """Return the sheet that students write on, or its key."""
    parts = [] if key else ['<p class="name">Name</p>']
    for task in session["handout"]:
        parts.append(f"<h2>{_t(task['title'])}</h2>\n<p>{_t(task['text'])}</p>")
        if key:
            parts.append(f"<p><strong>{_t(task['key'])}</strong></p>")
        elif "table" in task:
            parts.append(_table(task["table"][0], task["table"][1:]))
        elif "axes" in task:
            parts.append(_axes(*task["axes"]))
        else:
            parts.append('<p class="line"></p>' * task["lines"])
    if not key:
        parts.append(
            f'<h2>Before you go</h2>\n<p>{_t(session["exit"]["ask"])}</p><p class="line"></p><p class="line"></p>'
        )
    return sheet(f"{session['title']}: {'key to the handout' if key else 'handout'}", *parts)


def quiz_sheet(session: Session, names: Iterable[str], key: bool = False) -> str:
    """Return the quizzes of chapters to print, or their key with the reason of every answer."""
    parts = [] if key else ['<p class="name">Name</p>']
    for name in names:
        parts.append(f"<h2>{_t(chapter_title(name))}</h2>\n<ol>")
        for question in read_quiz(name):
            options = "".join(
                f"<li>{inline(option.text)}"
                + (f" <strong>{'Right.' if option.right else 'No.'}</strong> {inline(option.why)}" if key else "")
                + "</li>"
                for option in question.options
            )
            answer = f" <strong>({question.key})</strong>" if key else ""
            parts.append(f'<li><p>{inline(question.ask)}{answer}</p><ol type="a">{options}</ol></li>')
        parts.append("</ol>")
    return sheet(f"{session['title']}: {'key to the quiz' if key else 'quiz'}", *parts)


def teacher_sheet(session: Session, pace: Mapping[str, float]) -> str:
    """Return what a teacher has at hand: readings, plans, board, wrong answers and the key of the exit ticket."""
    reading = ", ".join(chapter_title(chapter) for chapter in session["reading"])
    parts = [
        f"<p>{_t(session['question'])}</p>",
        f"<p><strong>Read before:</strong> {_t(reading)}, about {reading_minutes(session['reading'], pace):.0f} minutes.</p>",
    ]
    for length, blocks in session["plans"].items():
        rows = [[str(block["minutes"]), block["does"], ", ".join(block.get("work", ()))] for block in blocks]
        parts.append(f"<h2>{length} minutes</h2>\n{_table(['minutes', 'what', 'exercise'], rows)}")
    wrong = [[entry["ask"], entry["wrong"], entry["reply"]] for entry in session["wrong"]]
    parts += [
        f"<h2>Board</h2>\n{_list(session['board'])}",
        f"<h2>Expect these answers</h2>\n{_table(['asked', 'said', 'ask back'], wrong)}",
        f"<h2>Exit ticket</h2>\n<p>{_t(session['exit']['ask'])}</p>\n<p><strong>{_t(session['exit']['key'])}</strong></p>",
    ]
    return sheet(f"{session['title']}: for the teacher", *parts)


def homework(session: Session) -> str:
    """Return a session's homework with points and rubric."""
    rows = [[label, str(points_of(label)), how_marked(label)] for label in session["homework"]]
    total = sum(points_of(label) for label in session["homework"])
    return sheet(
        f"{session['title']}: homework",
        f"<p>Hand in the notebooks before the next session. {total} points.</p>",
        _table(["exercise", "points", "how it is marked"], rows),
    )


def how_marked(label: str) -> str:
    """Return how an exercise is marked: by its check, or by what earns points."""
    if label in CHECKS:
        return f"by its check: pass {CHECKS[label].asks}"
    return "; ".join(f"{points}: {what}" for points, what in RUBRICS[label])


def exit_tickets(sessions: Iterable[Session]) -> str:
    """Return the exit tickets of all sessions, to cut apart."""
    parts = [
        f'<div class="ticket"><h2>{_t(session["title"])}</h2><p>{_t(session["exit"]["ask"])}</p>'
        + '<p class="line"></p>' * 3
        + "</div>"
        for session in sessions
    ]
    return sheet("Exit tickets", *parts)


@functools.cache
def chapter_title(chapter: str) -> str:
    """Return the title of a chapter."""
    cells = json.loads((ROOT / "book" / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    return (
        next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown").split("\n")[0].lstrip("# ")
    )


def sheets(course: Mapping[str, Any]) -> dict[str, str]:
    """Return the name and the content of every sheet."""
    found = {"exit-tickets.html": exit_tickets(course["sessions"])}
    found["plan-b.html"] = sheet(course["plan_b"]["title"], _list(course["plan_b"]["says"]))
    for session in course["sessions"]:
        name, names = session["name"], [block["quiz"] for block in session["plans"][90] if "quiz" in block]
        found |= {
            f"{name}-teacher.html": teacher_sheet(session, course["pace"]),
            f"{name}-handout.html": handout(session),
            f"{name}-handout-key.html": handout(session, key=True),
            f"{name}-quiz.html": quiz_sheet(session, names),
            f"{name}-quiz-key.html": quiz_sheet(session, names, key=True),
            f"{name}-homework.html": homework(session),
        }
    return found


def contents(course: Mapping[str, Any]) -> str:
    """Return the page that links all others."""
    words = ("slides", "teacher", "handout", "handout-key", "quiz", "quiz-key", "homework")
    rows = "\n".join(
        f"<h2>{_t(session['title'])}</h2><ul>"
        + "".join(f'<li><a href="{session["name"]}-{word}.html">{word.replace("-", ", ")}</a></li>' for word in words)
        + "</ul>"
        for session in course["sessions"]
    )
    return sheet(
        "The course",
        rows,
        '<h2>All sessions</h2><ul><li><a href="exit-tickets.html">exit tickets</a></li>'
        '<li><a href="plan-b.html">a room without an installation</a></li></ul>',
    )


def _t(text: str) -> str:
    return html.escape(str(text), quote=False)


def _list(entries: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_t(entry)}</li>" for entry in entries) + "</ul>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = "".join(f"<th scope='col'>{_t(cell)}</th>" if cell else "<td></td>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_t(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _axes(below: str, beside: str) -> str:
    return (
        f'<svg viewBox="0 0 500 210" role="img" aria-label="Empty axes: {html.escape(below)}, {html.escape(beside)}">'
        '<path d="M40 8V180H490" fill="none" stroke="black"/>'
        f'<text x="265" y="203" text-anchor="middle">{_t(below)}</text>'
        f'<text transform="translate(22 94) rotate(-90)" text-anchor="middle">{_t(beside)}</text></svg>'
    )


def main(n_jobs: int) -> int:
    course = read_course()
    wanted = {tuple(slide["figure"]) for s in course["sessions"] for slide in s["slides"] if "figure" in slide}
    notebooks = executed(sorted({chapter for chapter, _ in wanted}), n_jobs)
    shutil.rmtree(TARGET, ignore_errors=True)
    (TARGET / "figures").mkdir(parents=True)
    pictures = {}
    for chapter, name in sorted(wanted):
        ending, content, alt = figure(notebooks[chapter], name)
        (TARGET / "figures" / f"{name}{ending}").write_bytes(content)
        pictures[name] = (f"figures/{name}{ending}", alt)
    copy_reveal(TARGET / "reveal")
    pages = sheets(course) | {"index.html": contents(course)}
    pages |= {f"{session['name']}-slides.html": slides(session, pictures) for session in course["sessions"]}
    for name, content in pages.items():
        (TARGET / name).write_text(content, encoding="utf-8")
    for style in ("slides.css", "sheet.css"):
        shutil.copyfile(SOURCE / style, TARGET / style)
    print(f"{len(pages)} pages; open {TARGET / 'index.html'}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="chapters that run side by side")
    try:
        sys.exit(main(parser.parse_args().jobs))
    except (ValueError, KeyError) as error:
        sys.exit(f"The course was not written: {error}.")
