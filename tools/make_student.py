"""Write the chapters for a class to work in, or for its teacher.

Usage: python tools/make_student.py [student | instructor]

The student edition has no solutions, folded answers, findings and key points; a place to write stands where a solution or a
finding stood. The instructor edition has all of them unfolded, with points, rubrics, quiz keys and the answers to expect.
Each is written into the folder of its name, which no build and no `make clean` touches. `make student` and `make instructor`
run this. A second call replaces only what it wrote itself: a notebook that was changed, or added, stays as it is.
"""

import ast
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from make_course import how_marked, read_course

from afl_helpers.chapters.exercises import CHECKS, points_of
from afl_helpers.chapters.quizzes import read_quiz

ROOT = Path(__file__).resolve().parent.parent
START = re.compile(r"```\{solution-start\} (\S+).*?^```$", re.DOTALL | re.MULTILINE)
END = re.compile(r"```\{solution-end\}\s*^```$", re.MULTILINE)
ANSWER = re.compile(r"^:::\{admonition\} Answer\n:class: dropdown\n.*?^:::$\n?", re.DOTALL | re.MULTILINE)
FINDING = re.compile(r"^:::\{admonition\} We find\n:class: we-find\n.*?^:::$\n?", re.DOTALL | re.MULTILINE)
KEY_POINTS = re.compile(r"^## Key points\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
EXERCISE = re.compile(r"^```\{exercise\}.*?^:label: (\S+)$\n", re.DOTALL | re.MULTILINE)
QUIZ = re.compile(r'^quiz\("([\w-]+)"\)', re.MULTILINE)
PLACE = "# Your answer\n"
FINDING_PLACE = "**What do you find?** *Write one sentence here before you read on.*\n"
WRITTEN = ".written.json"  # name of a notebook -> hash of what this script wrote last
CHECKED_PLACE = (
    PLACE
    + """
from afl_helpers.chapters.exercises import check

answer = ...  # {asks}
check("{label}", answer)
"""
)


def without_solutions(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with places to write instead of solutions and findings, without folded answers and key points."""
    cells: list[dict[str, Any]] = []
    inside = False
    sources = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "markdown":
            if not inside:
                others = [source for name, source in sources.items() if name != cell["id"]]
                cells += without_finding(cell, others)
            continue
        text = "".join(cell["source"])
        pieces: list[tuple[str, str]] = []
        while text:
            mark = (END if inside else START).search(text)
            if mark is None:
                if not inside:
                    pieces.append(("markdown", text))
                break
            if not inside:
                pieces.append(("markdown", text[: mark.start()]))
                # Above the solution of a blank there is a cell to write in already.
                pieces += [("code", place_of(mark[1]))] * (not mark[1].startswith("blank-"))
            text, inside = text[mark.end() :], not inside
        for n, (kind, piece) in enumerate(pieces):
            piece = for_students(piece).strip("\n") if kind == "markdown" else piece
            if piece.strip():
                cells.append(_cell(kind, piece, f"{cell['id']}-{n}"))
    if inside:
        raise ValueError("a solution-start has no solution-end")
    return notebook | {"cells": cells}


def for_students(text: str) -> str:
    """Return Markdown without folded answers and key points, with a place for each finding and the points of exercises."""
    text = FINDING.sub(FINDING_PLACE, KEY_POINTS.sub("", ANSWER.sub("", text)))
    return EXERCISE.sub(lambda match: f"{match[0]}\n*{points_of(match[1])} points*\n", text)


def without_finding(cell: dict[str, Any], others: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return a code cell without the finding that it ends with, and a place to write.

    Args:
        cell: of a notebook.
        others: the sources of the other code cells. What the cell computed for the finding alone goes with it; what they
            use stays.
    """
    source = "".join(cell["source"])
    if "we_find(" not in source:
        return [cell]
    last = ast.parse(source).body[-1]
    if not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and _name(last.value.func) == "we_find"):
        return [cell]
    lines, used = source.splitlines(keepends=True), set().union(*map(_loaded, map(_parsed, others)))
    body, kept = ast.parse(source).body[:-1], ""
    ends = [0, *(statement.end_lineno for statement in body)]
    for start, statement in reversed(list(zip(ends, body))):
        if _is_used(statement, used):
            used |= _loaded(statement)
            kept = "".join(lines[start : statement.end_lineno]) + kept
    rest = kept.strip()
    place = _cell("markdown", FINDING_PLACE, f"{cell['id']}-place")
    return [cell | {"source": rest.splitlines(keepends=True)}, place] if rest else [place]


def _parsed(source: str) -> ast.Module:
    """Parse the code of a cell, with ``pass`` for the lines that are the notebook's own."""
    return ast.parse(re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", source))


def _loaded(node: ast.AST) -> set[str]:
    """Return the names that a piece of code reads."""
    return {own.id for own in ast.walk(node) if isinstance(own, ast.Name) and isinstance(own.ctx, ast.Load)}


def _is_used(statement: ast.stmt, used: set[str]) -> bool:
    """Return whether a statement shows or changes something, or makes a name that is used."""
    nodes = list(ast.walk(statement))
    if any(isinstance(node, ast.Expr | ast.Delete) for node in nodes):
        return True
    made: set[str] = set()
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                made.add(name)
            case ast.alias(name=name, asname=other):
                made.add(other or name)
            case (
                ast.Subscript(value=ast.Name(id=name), ctx=ast.Store())
                | ast.Attribute(value=ast.Name(id=name), ctx=ast.Store())
            ):
                made.add(name)
    return bool(made & used)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def for_instructors(notebook: dict[str, Any], wrong: list[dict[str, str]]) -> dict[str, Any]:
    """Return the notebook with everything unfolded, points and rubrics, the key of its quiz and the answers to expect."""
    cells: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            source = EXERCISE.sub(lambda m: f"{m[0]}\n*{points_of(m[1])} points: {how_marked(m[1])}*\n", source)
            source = source.replace("\n:class: dropdown\n", "\n")
            cells.append(cell | {"source": source.splitlines(keepends=True)})
            continue
        tags = [tag for tag in cell["metadata"].get("tags", []) if not tag.startswith("hide-")]
        metadata = {key: value for key, value in cell["metadata"].items() if key not in ("jupyter", "tags")}
        cells.append(cell | {"metadata": metadata | ({"tags": tags} if tags else {})})
        if found := QUIZ.search(source):
            keys = ", ".join(f"{n} {question.key}" for n, question in enumerate(read_quiz(found[1]), 1))
            cells.append(_cell("markdown", f"**Key of the quiz:** {keys}", f"{cell['id']}-key"))
    if wrong:
        lines = [f"- {entry['ask']} {entry['wrong']} Ask back: {entry['reply']}" for entry in wrong]
        cells.insert(1, _cell("markdown", "\n".join(["**Expect these answers**", "", *lines]), "expected-answers"))
    return notebook | {"cells": cells}


def place_of(label: str) -> str:
    """Return the source of the empty cell for an exercise, with the call of its check if it has one."""
    return CHECKED_PLACE.format(label=label, asks=CHECKS[label].asks) if label in CHECKS else PLACE


def _cell(kind: str, text: str, name: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell if kind == "markdown" else cell | {"execution_count": None, "outputs": []}


def write_all(notebooks: dict[str, str], folder: Path) -> tuple[list[str], list[str]]:
    """Write name -> text into a folder; return the names that were written, and those that were kept as they are.

    A file is kept if its content is not what this function wrote there last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / WRITTEN
    hashes: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    written, kept = [], []
    for name, text in notebooks.items():
        path = folder / name
        if path.exists() and _hash(path.read_bytes()) not in (hashes.get(name), _hash(text.encode())):
            kept.append(name)
            continue
        path.write_text(text, encoding="utf-8", newline="\n")
        hashes[name] = _hash(text.encode())
        written.append(name)
        record.write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    return written, kept


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def edition(name: str) -> dict[str, str]:
    """Return name -> text of every notebook of an edition."""
    expected: dict[str, list[dict[str, str]]] = {}
    for session in read_course()["sessions"]:
        expected.setdefault(session["reading"][0], []).extend(session["wrong"])
    notebooks = {}
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        made = (
            without_solutions(notebook) if name == "student" else for_instructors(notebook, expected.get(path.stem, []))
        )
        notebooks[path.name] = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    return notebooks


def main(name: str = "student") -> int:
    if name not in ("student", "instructor"):
        print(f"there is no edition {name}; write student or instructor", file=sys.stderr)
        return 1
    target = ROOT / name
    written, kept = write_all(edition(name), target)
    shutil.copytree(ROOT / "book" / "_static", target / "_static", dirs_exist_ok=True)
    print(f"{len(written)} notebooks of the {name} edition in {target}")
    if kept:
        print(f"kept, because they were changed: {', '.join(kept)}; rename one and run this again to get a fresh copy")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
