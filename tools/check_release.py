"""Check that a tag may be released, and print what the changelog says about it.

Version, date and changelog stand in afl_helpers/__init__.py, CITATION.cff and CHANGELOG.md. A release needs them to agree.

Usage: python tools/check_release.py TAG [--notes FILE]      (standard library and PyYAML)
"""

import argparse
import re
import sys
from pathlib import Path

import setup_cells
import yaml

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r"^## (?P<version>\S+?), (?P<date>.+)$", re.MULTILINE)


def notes(tag: str, root: Path = ROOT) -> str:
    """Return what the changelog says about a tag.

    Raises:
        SystemExit: the tag, the version, the date or the changelog do not agree; the message says what to do.
    """
    version = setup_cells.version(root)
    if tag != f"v{version}":
        raise SystemExit(f"The tag is {tag}, but afl_helpers is {version}; tag v{version}, or change __version__.")
    citation = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    if str(citation["version"]) != version:
        raise SystemExit(f"CITATION.cff says {citation['version']}, not {version}; run python tools/setup_cells.py.")
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    headings = list(HEADING.finditer(changelog))
    found = next((heading for heading in headings if heading["version"] == version), None)
    if found is None:
        raise SystemExit(f'CHANGELOG.md has no heading "## {version}, DATE"; write what changed.')
    cited = citation.get("date-released", "not at all")
    if found["date"] != str(cited):
        raise SystemExit(
            f"CHANGELOG.md dates {version} {found['date']}, CITATION.cff {cited}; give both the day of the release, in "
            "CITATION.cff as date-released."
        )
    end = next((heading.start() for heading in headings if heading.start() > found.start()), len(changelog))
    text = changelog[found.end() : end].strip()
    if not text:
        raise SystemExit(f"CHANGELOG.md says nothing about {version}; write what changed.")
    return text + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tag")
    parser.add_argument("--notes", type=Path, metavar="FILE", help="write the text there instead of printing it")
    given = parser.parse_args(arguments)
    text = notes(given.tag)
    if given.notes:
        given.notes.write_text(text, "utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
