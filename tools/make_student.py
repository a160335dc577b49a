"""Write the chapters without their solutions and folded answers, for a class to work in.

Usage: python tools/make_student.py [FOLDER]

FOLDER is _build/student by default. `make student` runs this.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from afl_helpers.chapters.exercises import CHECKS

ROOT = Path(__file__).resolve().parent.parent
START = re.compile(r"```\{solution-start\} (\S+).*?^```$", re.DOTALL | re.MULTILINE)
END = re.compile(r"```\{solution-end\}\s*^```$", re.MULTILINE)
ANSWER = re.compile(r"^:::\{admonition\} Answer\n:class: dropdown\n.*?^:::$\n?", re.DOTALL | re.MULTILINE)
PLACE = "# Your answer\n"
CHECKED_PLACE = (
    PLACE
    + """
from afl_helpers.chapters.exercises import check

answer = ...  # {asks}
check("{label}", answer)
"""
)


def without_solutions(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with an empty code cell in place of each solution, and without folded answers."""
    cells: list[dict[str, Any]] = []
    inside = False
    for cell in notebook["cells"]:
        if cell["cell_type"] != "markdown":
            if not inside:
                cells.append(cell)
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
                pieces += [("markdown", text[: mark.start()]), ("code", place_of(mark[1]))]
            text, inside = text[mark.end() :], not inside
        for n, (kind, piece) in enumerate(pieces):
            piece = ANSWER.sub("", piece).strip("\n") if kind == "markdown" else piece
            if piece.strip():
                cells.append(_cell(kind, piece, f"{cell['id']}-{n}"))
    if inside:
        raise ValueError("a solution-start has no solution-end")
    return notebook | {"cells": cells}


def place_of(label: str) -> str:
    """Return the source of the empty cell for an exercise, with the call of its check if it has one."""
    return CHECKED_PLACE.format(label=label, asks=CHECKS[label].asks) if label in CHECKS else PLACE


def _cell(kind: str, text: str, name: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell if kind == "markdown" else cell | {"execution_count": None, "outputs": []}


def main(folder: str = "_build/student") -> int:
    target = ROOT / folder
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        notebook = without_solutions(json.loads(path.read_text(encoding="utf-8")))
        (target / path.name).write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.copytree(ROOT / "book" / "_static", target / "_static")
    print(f"{len(list(target.glob('*.ipynb')))} notebooks without solutions in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
