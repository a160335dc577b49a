"""Create .venv and install what pyproject.toml, requirements.lock and the torch pin name.

Usage: python3 tools/make_environment.py [--all | --reader] [FOLDER]      (standard library only; run by make)

--reader leaves out what only tests, checks and clusters need: browsers' drivers, linters, ray, uv. Where the variable
TORCH_INDEX names a package index, torch comes from there, such as its CPU build.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: The extras of pyproject.toml that a reader's environment has.
READER = ("book", "augment", "lora", "encoders", "minilm")
ENTRY = re.compile(r"^(?=[A-Za-z0-9])", re.MULTILINE)


def torch_requirement() -> str:
    """The tested torch, as a requirement. Its build (CPU or CUDA) is left to the machine."""
    return "torch==" + project()["tool"]["afl"]["torch"]


def project() -> dict:
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def canonical(requirement: str) -> str:
    """The name in a requirement, as the lock writes it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement).group()).lower()


def declared(extra: str, extras: dict) -> set:
    """The packages that an extra declares, those of the extras that it includes among them."""
    found = set()
    for line in extras[extra]:
        included = re.match(r"afl-helpers\[(.*)\]", line)
        if included:
            found.update(*(declared(name, extras) for name in included[1].split(",")))
        else:
            found.add(canonical(line))
    return found


def for_readers(lock: str, content: dict) -> str:
    """The entries of the lock that a reader needs: packages of the extras READER, and what these need in turn.

    Below each package the lock says which others need it.
    """
    heads = {canonical(entry): entry for entry in ENTRY.split(lock) if re.match(r"[A-Za-z0-9]", entry)}
    needed_by = {
        name: {canonical(line) for line in re.findall(r"^    #(?: via)? +([\w.-]+)", entry, re.MULTILINE)} - {"via"}
        for name, entry in heads.items()
    }
    wanted = {canonical(line) for line in content["project"]["dependencies"]}
    for extra in READER:
        wanted |= declared(extra, content["project"]["optional-dependencies"])
    while True:
        more = {name for name, by in needed_by.items() if name not in wanted and by & wanted}
        if not more:
            return "".join(entry for name, entry in heads.items() if name in wanted)
        wanted |= more


def run_counted(command: list, n_packages: int) -> int:
    """Run pip, and say now and then how many packages it has fetched; its other lines are shown only if it fails."""
    lines = []
    seen = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            lines.append(line)
            counted = line.startswith(("Collecting ", "Requirement already satisfied"))
            seen += counted
            if counted and seen % 25 == 0:
                print(f"      {seen} of about {n_packages} packages", flush=True)
            elif line.startswith("Installing collected"):
                print("      all fetched, unpacking them", flush=True)
    if process.returncode:
        print("".join(lines[-20:]), end="", file=sys.stderr)
    return process.returncode


def main(folder: str = ".venv", reader: bool = False) -> int:
    if sys.version_info < (3, 11):
        found = re.match(r"[\d.]+", sys.version).group()
        print(
            "This project needs Python 3.11 or newer, and {} is Python {}; name a newer one, "
            "as in `make PYTHON=python3.12`.".format(sys.executable, found),
            file=sys.stderr,
        )
        return 1
    target = ROOT / folder
    python = str(target / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    torch = torch_requirement()
    index = os.environ.get("TORCH_INDEX")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = for_readers(lock, project()) if reader else lock
    n_packages = len(re.findall(r"^[A-Za-z0-9]", entries, re.MULTILINE))
    if not reader and (target / ".ready-reader").is_file():
        print(f"{folder} has what `make book` needs; this needs the rest, too, which is added once", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        chosen = Path(scratch, "requirements.txt")
        chosen.write_text(entries, encoding="utf-8")
        steps = [
            (f"{'updating' if target.is_dir() else 'creating'} {folder}", [sys.executable, "-m", "venv", str(target)]),
            (f"installing {torch}{f' from {index}' if index else ''} (the largest part)", [*install, "--quiet", torch]),
            (
                f"installing {n_packages} locked packages (a few minutes)",
                [*install, "--no-deps", "--require-hashes", "-r", str(chosen)],
            ),
            (
                "installing afl_helpers, editable",
                [*install, "--quiet", "--no-deps", "--no-build-isolation", "--editable", "."],
            ),
        ]
        for number, (what, command) in enumerate(steps, 1):
            print(f"[{number}/{len(steps)}] {what}", flush=True)
            if "--require-hashes" in command:
                code = run_counted(command, n_packages)
            else:
                variables = dict(os.environ, **({"PIP_INDEX_URL": index} if index and torch in command else {}))
                code = subprocess.run(command, cwd=ROOT, env=variables).returncode
            if code:
                print(f"The set-up stopped while {what}; the message above says why.", file=sys.stderr)
                return 1
    (target / (".ready-reader" if reader else ".ready")).touch()
    return 0


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    sys.exit(main(*names, reader="--reader" in sys.argv))
