"""Run the checks of handed-in notebooks and write a table of points.

Usage: python tools/grade.py FOLDER [--seconds 300]       (`make grade FOLDER=handed-in` runs this)

FOLDER holds one folder per student with notebooks in it, as `make student` writes them; a notebook that lies in FOLDER itself
belongs to a student of its name. Each notebook runs anew, so that a verdict that was typed in counts nothing. The last verdict on
an exercise counts. FOLDER/grades.csv has a row per student and exercise; exercises with a rubric have no points until somebody
reads them. A notebook is a program: grade only what students of yours have handed in, on a machine that may run it.
"""

import argparse
import csv
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from afl_helpers.chapters.exercises import CHECKS, RECORD, RUBRICS, points_of

LABEL = re.compile(r"```\{exercise\}.*\n:label: (\S+)")
COLUMNS = ("student", "notebook", "exercise", "points", "of", "remark")


def verdicts(path: Path, seconds: int) -> tuple[dict[str, dict[str, object]], str]:
    """Run a notebook; return label -> its last verdict, and what stopped the run, if anything did."""
    notebook = nbformat.read(path, as_version=4)
    stopped = ""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "verdicts"
        # A cell that fails does not hide the others.
        client = NotebookClient(
            notebook, timeout=seconds, allow_errors=True, resources={"metadata": {"path": str(path.parent)}}
        )
        try:
            client.execute(env=os.environ | {RECORD: str(record)})
        except (CellTimeoutError, DeadKernelError) as error:
            stopped = "a cell ran too long" if isinstance(error, CellTimeoutError) else "the kernel died"
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    return {entry["label"]: entry for entry in map(json.loads, lines)}, stopped


def grade(path: Path, student: str, seconds: int) -> list[dict[str, object]]:
    """Return a row per exercise of a notebook."""
    try:
        cells = nbformat.read(path, as_version=4).cells
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError):
        return [dict(zip(COLUMNS, (student, path.name, "", "", "", "this is no notebook; ask for the file again")))]
    labels = [label for cell in cells for label in LABEL.findall(cell.source)]
    found, stopped = verdicts(path, seconds) if set(labels) & CHECKS.keys() else ({}, "")
    rows = []
    for label in labels:
        if label in RUBRICS:
            points, remark = "", "read it: " + "; ".join(f"{n} for {what}" for n, what in RUBRICS[label])
        elif label in CHECKS:
            verdict = found.get(label)
            points = points_of(label) if verdict and verdict["right"] else 0
            remark = str(verdict["message"]) if verdict else f"never checked{': ' if stopped else ''}{stopped}"
        else:
            continue
        rows.append(dict(zip(COLUMNS, (student, path.name, label, points, points_of(label), remark))))
    return rows or [dict(zip(COLUMNS, (student, path.name, "", "", "", "it holds no exercise of the book")))]


def main(folder: Path, seconds: int) -> int:
    paths = sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    if not paths:
        print(f"{folder} holds no notebooks; put one folder per student into it", file=sys.stderr)
        return 1
    rows: list[dict[str, object]] = []
    totals: dict[str, int] = {}
    for path in paths:
        parts = path.relative_to(folder).parts
        student = parts[0] if len(parts) > 1 else path.stem
        own = grade(path, student, seconds)
        rows += own
        totals[student] = totals.get(student, 0) + sum(int(str(row["points"] or 0)) for row in own)
        print(f"  {student:24s} {path.name}", flush=True)
    with open(folder / "grades.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    for student, points in sorted(totals.items()):
        print(f"{student:26s} {points:3d} points checked")
    print(f"{folder / 'grades.csv'}: {sum(row['points'] == '' for row in rows)} rows to be read by a person")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="one folder per student with notebooks in it")
    parser.add_argument("--seconds", type=int, default=300, help="what a cell may take")
    arguments = parser.parse_args()
    sys.exit(main(arguments.folder, arguments.seconds))
