"""Rewrite README.md for the page of a package index, which has no files beside it: links are whole, and the package is installed
by its name. The workflow of a release runs it before it builds; the rewritten file is not committed.

    python tools/package_readme.py ADDRESS TAG
"""

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Of a picture of Markdown, of a link, and of a picture of HTML: what stands before the address.
_LINK = re.compile(r'(!\[[^\]]*\]\(|\]\(|<img src=")(?!https?:|#|mailto:)([^)"\s]+)')
_IN_A_CHECKOUT = "That runs after `pip install .` in a checkout."


def whole_links(text: str, address: str, tag: str) -> str:
    """Return the text with links to files of the repository at a tag."""

    def whole(found: re.Match[str]) -> str:
        before, path = found.groups()
        kind = "raw" if before.startswith(("!", "<img")) else "blob"
        return f"{before}{address}/{kind}/{tag}/{path}"

    return _LINK.sub(whole, text)


def package_readme(text: str, address: str, tag: str) -> str:
    """Return the README that a package index shows.

    Raises:
        ValueError: the sentence on installing is not there.
    """
    if _IN_A_CHECKOUT not in text:
        raise ValueError(f"README.md does not say: {_IN_A_CHECKOUT}")
    return whole_links(text.replace(_IN_A_CHECKOUT, "That runs after `pip install afl-helpers`."), address, tag)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("address", help="of the repository")
    parser.add_argument("tag", help="of the release")
    given = parser.parse_args()
    path = ROOT / "README.md"
    path.write_text(package_readme(path.read_text("utf-8"), given.address.rstrip("/"), given.tag), "utf-8")


if __name__ == "__main__":
    main()
