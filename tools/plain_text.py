"""Write the built book as one Markdown file, and `llms.txt`, which lists its pages (https://llmstxt.org).

Programs that read text get every page in reading order, with the numbers that the cells printed, in one file.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, NavigableString, Tag

ROOT = Path(__file__).resolve().parent.parent
WHOLE = "afl-bert-book.md"
#: What a page shows for its reader alone: links to headings, buttons, scripts, and drawings that their alt text replaces.
FURNITURE = "a.headerlink, button, script, style, svg, .caption-number, .toggle-details__summary"


def blocks(element: Tag) -> Iterator[str]:
    """Return the paragraphs of an element as Markdown: headings, text, code, tables, lists and the alt texts of figures."""
    for child in element.children:
        if isinstance(child, NavigableString):
            if text := " ".join(child.split()):
                yield text
        elif child.name in ("h1", "h2", "h3", "h4", "h5", "h6"):
            yield f"{'#' * int(child.name[1])} {inline(child)}"
        elif child.name == "pre":
            yield f"```\n{child.get_text().rstrip()}\n```"
        elif child.name == "table":
            rows = [[inline(cell) for cell in row.find_all(["th", "td"])] for row in child.find_all("tr")]
            yield "\n".join("| " + " | ".join(row) + " |" for row in rows)
        elif child.name in ("ul", "ol"):
            yield "\n".join(f"- {inline(item)}" for item in child.find_all("li", recursive=False))
        elif child.name in ("p", "dt", "figcaption", "span", "a", "summary"):
            yield from filter(None, [inline(child)])
        elif child.name == "img" and child.get("alt"):
            yield f"[Figure: {child['alt']}]"
        else:
            yield from blocks(child)


def inline(element: Tag) -> str:
    """Return the text of an element on one line, with the alt texts of its images."""
    for image in element.find_all("img"):
        image.replace_with(f"[Figure: {image.get('alt', '')}]")
    return " ".join(element.get_text().split())


def page_text(path: Path) -> str:
    """Return a page as Markdown."""
    article = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find("article")
    for element in article.select(FURNITURE):
        element.decompose()
    return "\n\n".join(blocks(article))


def write_plain_text(html: Path, pages: list[str]) -> None:
    """Write ``afl-bert-book.md`` and ``llms.txt`` beside the pages of a built book."""
    texts = {name: page_text(html / f"{name}.html") for name in pages}
    (html / WHOLE).write_text("\n\n---\n\n".join(texts.values()) + "\n", encoding="utf-8")
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["description"]
    titles = {
        name: next(line[2:] for line in text.splitlines() if line.startswith("# ")) for name, text in texts.items()
    }
    lines = [f"# {titles[pages[0]]}", "", f"> {about}", "", "## Pages", ""]
    lines += [f"- [{title}]({name}.html)" for name, title in titles.items()]
    lines += ["", "## The whole book", "", f"- [All pages in one Markdown file]({WHOLE})"]
    (html / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
