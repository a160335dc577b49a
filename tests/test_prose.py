"""The book's words: in one English, its terms linked, and no result typed in."""

import json
import re
from pathlib import Path

import pytest
from build_book import page_names

from afl_helpers.claims import REPORTED

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*(ROOT / "book").glob("*.ipynb"), *(ROOT / "book").glob("*.md")])
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "results/README.md"))]
#: Pages that say what our runs found.
FINDINGS = (
    "index",
    "results",
    "what-reproduces",
    "beyond-the-paper",
    "beyond-films",
    "what-to-do",
    "more-remedies",
    "use-it",
)
#: American forms; the book is in British English. Names in code are not looked at.
AMERICAN = re.compile(
    r"\b(colors?|colored|behaviors?|centers?|centered|favors?|gray|labeled|labeling|modeling|"
    r"(?:normal|optim|initial|general|regular|standard|summar|token|recogn|minim|maxim|penal|character|categor|real)iz(?:e|es|ed|er|ing|ation))\b",
    re.IGNORECASE,
)
#: A share with three digits or more is a result; thresholds, margins and settings have fewer.
RESULT = re.compile(r"(?<![\w.])0?\.\d{3,}(?!\w)")


def prose(path: Path, keep_code: bool = False) -> str:
    """The text of a page, without cells and blocks of code, and without code and formulas in a line unless kept."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    # A directive is kept as a whole, so that its closing fence is not taken for the opening one of a block of code.
    fenced = re.compile(r"^```(\{)?[^\n]*\n.*?^```$", re.DOTALL | re.MULTILINE)
    text = fenced.sub(lambda block: block[0] if block[1] else "", text)
    return text if keep_code else re.sub(r"`[^`\n]*`|\$[^$]*\$|https?://\S+", " ", text)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_the_book_is_in_british_english(path):
    quoted = re.sub(r"\"[^\"\n]*\"|“[^”]*”", " ", prose(path))  # the paper's words keep their spelling
    assert AMERICAN.findall(quoted) == []


@pytest.mark.parametrize("path", [path for path in PAGES if path.stem in FINDINGS], ids=lambda path: path.stem)
def test_no_result_is_typed_in(path):
    printed = {float(figure) for values in REPORTED.values() for figure in values.values()}
    assert [number for number in RESULT.findall(prose(path)) if float(number) not in printed] == []


def test_what_these_tests_would_find():
    assert AMERICAN.findall("The normalized color") == ["normalized", "color"]
    assert RESULT.findall("micro F1 of 0.517 and .4923, not 0.5 nor 1.25") == ["0.517", ".4923"]


def _chapters() -> list[Path]:
    """Pages in the order in which they are read, without those that list terms."""
    ends = (".ipynb", ".md")
    pages = [next(ROOT / f"{name}{end}" for end in ends if (ROOT / f"{name}{end}").is_file()) for name in page_names()]
    return [page for page in pages if page.stem not in ("glossary", "notation")]


def _unlinked_first_uses(terms: list[str], pages: dict[str, str]) -> list[str]:
    """Terms whose first use, pages in order, is not a link to the glossary; headings and lists of aims do not count."""
    found = []
    for term in terms:
        use = re.compile(rf"(?<![\w-]){re.escape(term)}(?:s|es)?(?![\w-])", re.IGNORECASE)
        link = re.compile(rf"\{{term\}}`(?:[^`<]*<)?{re.escape(term)}>?`", re.IGNORECASE)
        for name, text in pages.items():
            text = re.sub(
                r":::\{admonition\} In this chapter.*?^:::$|^#+ [^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE
            )
            linked = link.search(text)
            plain = use.search(re.sub(r"(?:\{\w+\})?`[^`]*`|\$[^$]*\$", lambda hidden: " " * len(hidden[0]), text))
            if plain and (not linked or plain.start() < linked.start()):
                found.append(f"{term}: {name}")
            if plain or linked:
                break
    return found


def test_every_term_of_the_glossary_is_linked_at_its_first_use():
    glossary = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8").partition("{glossary}")[2]
    terms = [line.strip() for line in glossary.splitlines() if line and not line.startswith((" ", "`", ":", "#"))]
    assert len(terms) > 30
    texts = {path.stem: prose(path, keep_code=True) for path in _chapters()}
    assert _unlinked_first_uses(terms, texts) == []


def test_what_the_test_of_terms_would_find():
    pages = {"one": "## A probe\nA {term}`label` of a score", "two": "{term}`Scores <score>` and a {term}`probe`"}
    assert _unlinked_first_uses(["label", "score", "probe"], pages) == ["score: one"]


def test_code_that_a_reader_sees_fits_the_page():
    """A line of code has at most 80 characters, so that no box of a cell scrolls."""
    hidden = {"remove-cell", "remove-input"}
    found = []
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for i, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "code" and not hidden & set(cell["metadata"].get("tags", [])):
                lines = "".join(cell["source"]).split("\n")
                found += [f"{path.stem}, cell {i}: {line}" for line in lines if len(line) > 80]
    assert found == []
