"""A Sphinx extension for questions and exercises.

The directive `{quiz} NAME` shows the questions of a chapter, or `course` for those of the whole book; in a notebook a cell does
the same with `quiz("NAME")`. `{session} NAME` shows the plan of a session of course/course.yaml. Below every exercise stands how many points it has.
"""

from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx_exercise.nodes import is_exercise_node

from afl_helpers.chapters.exercises import points_of
from afl_helpers.chapters.quizzes import as_html
from afl_helpers.errors import UsageError


class QuizDirective(SphinxDirective):
    """Questions whose answers say, when they are opened, whether they are right, and why."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            content = as_html(self.arguments[0])
        except UsageError as error:
            raise self.error(str(error)) from None
        return [nodes.raw("", content, format="html")]


COURSE = Path(__file__).resolve().parent.parent.parent / "course" / "course.yaml"


class SessionDirective(SphinxDirective):
    """The plan of a session: what to read, the minutes of the long and the short form, homework and expected answers."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(COURSE))
        sessions = {
            session["name"]: session for session in yaml.safe_load(COURSE.read_text(encoding="utf-8"))["sessions"]
        }
        if self.arguments[0] not in sessions:
            raise self.error(f"there is no session {self.arguments[0]} in course/course.yaml: {', '.join(sessions)}")
        return self.parse_text_to_nodes(session_text(sessions[self.arguments[0]]))


def session_text(session: dict) -> str:
    """Return the plan of a session as MyST."""
    lines = [
        session["question"],
        "",
        f"**Read before:** {', '.join(f'{{doc}}`{name}`' for name in session['reading'])}.",
    ]
    for length, blocks in sorted(session["plans"].items(), reverse=True):
        lines += ["", f"**{length} minutes**", "", "| minutes | what | exercise |", "|---|---|---|"]
        for block in blocks:
            work = ", ".join(f"{{ref}}`{label}`" for label in block.get("work", ()))
            lines.append(f"| {block['minutes']} | {block['does']} | {work} |")
    homework = [f"{{ref}}`{label}` ({points_of(label)})" for label in session["homework"]]
    lines += ["", f"**Homework**, with points: {', '.join(homework)}.", "", "**Expect these answers**", ""]
    lines += [f"- {entry['ask']} {entry['wrong']} Ask back: {entry['reply']}" for entry in session["wrong"]]
    return "\n".join(lines)


def show_points(app: Sphinx, doctree: nodes.document) -> None:
    """Write the points of each exercise below it."""
    for exercise in list(doctree.findall(is_exercise_node)):
        points = points_of(exercise["label"])
        exercise += nodes.paragraph("", "", nodes.emphasis("", f"{points} points"), classes=["points"])


def setup(app: Sphinx) -> dict:
    app.add_directive("quiz", QuizDirective)
    app.add_directive("session", SessionDirective)
    app.connect("doctree-read", show_points)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
