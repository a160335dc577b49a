"""Write the chapters without their solutions and folded answers, for a class to work in.

Usage: python tools/make_student.py [FOLDER]

FOLDER is student by default, which no build and no `make clean` touches. `make student` runs this. A second call replaces only
what it wrote itself: a notebook that was changed, or added, stays as it is.
"""

import hashlib
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


def main(folder: str = "student") -> int:
    target = ROOT / folder
    notebooks = {
        path.name: json.dumps(
            without_solutions(json.loads(path.read_text(encoding="utf-8"))), indent=1, ensure_ascii=False
        )
        + "\n"
        for path in sorted((ROOT / "book").glob("*.ipynb"))
    }
    written, kept = write_all(notebooks, target)
    shutil.copytree(ROOT / "book" / "_static", target / "_static", dirs_exist_ok=True)
    print(f"{len(written)} notebooks without solutions in {target}")
    if kept:
        print(f"kept, because they were changed: {', '.join(kept)}; rename one and run this again to get a fresh copy")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
