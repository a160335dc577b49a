"""The map from chapters to packages names every chapter, and packages that the chapter imports."""

import json
import re
from pathlib import Path

from afl_helpers import chapters

BOOK = Path(__file__).parent.parent / "book"
ROW = re.compile(r"^([\w-]+) +(afl_helpers\.\w+(?:, afl_helpers\.\w+)*)$", re.MULTILINE)


def packages_of(path: Path) -> set[str]:
    """Return the packages and modules right below afl_helpers that a notebook imports, besides the book's own."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    found = set(re.findall(r"^\s*(?:from|import) (afl_helpers\.\w+)", code, re.MULTILINE))
    return found - {"afl_helpers.chapters"}


def test_the_map_of_chapters_agrees_with_their_imports():
    table = {chapter: set(packages.split(", ")) for chapter, packages in ROW.findall(chapters.__doc__ or "")}
    imports = {path.stem: packages_of(path) for path in BOOK.glob("*.ipynb")}
    assert table.keys() == {chapter for chapter, packages in imports.items() if packages}
    assert [chapter for chapter, packages in table.items() if not packages <= imports[chapter]] == []
