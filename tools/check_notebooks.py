"""Check that notebooks are committed without outputs.

A cell tagged `nbval-check-output` keeps the output that it promises.

Usage: python tools/check_notebooks.py NOTEBOOK ...      (run by `make lint`)
"""

import json
import sys
from pathlib import Path


def problems(notebook: dict) -> list[str]:
    """Return one line per cell that holds an output or an execution count, and one if widgets are stored."""
    found = [
        f"cell {number} ({cell.get('id')}) holds an output or an execution count"
        for number, cell in enumerate(notebook["cells"], 1)
        if cell["cell_type"] == "code"
        and "nbval-check-output" not in cell["metadata"].get("tags", [])
        and (cell["outputs"] or cell["execution_count"] is not None)
    ]
    return found + ["the state of widgets is stored"] * ("widgets" in notebook["metadata"])


def main(*names: str) -> int:
    found = [f"{name}: {line}" for name in names for line in problems(json.loads(Path(name).read_text("utf-8")))]
    for line in found:
        print(f"{line}; clear all outputs and save the notebook", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
