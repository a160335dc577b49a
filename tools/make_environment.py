"""Create .venv and install what pyproject.toml, requirements.lock and the torch pin name.

Usage: python3 tools/make_environment.py [FOLDER]      (standard library only; run by make)
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def torch_requirement() -> str:
    """The tested torch, as a requirement. Its build (CPU or CUDA) is left to the machine."""
    import tomllib

    return "torch==" + tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["afl"]["torch"]


def main(folder: str = ".venv") -> int:
    if sys.version_info < (3, 11):
        found = re.match(r"[\d.]+", sys.version).group()
        print(
            "This project needs Python 3.11 or newer, and {} is Python {}; name a newer one, "
            "as in `make PYTHON=python3.12`.".format(sys.executable, found),
            file=sys.stderr,
        )
        return 1
    target = ROOT / folder
    python = str(target / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    torch = torch_requirement()
    steps = [
        (f"creating {folder}", [sys.executable, "-m", "venv", str(target)]),
        (f"installing {torch} (the largest part)", [*install, torch]),
        (
            "installing the locked packages",
            [*install, "--no-deps", "--require-hashes", "-r", "requirements.lock"],
        ),
        (
            "installing afl_helpers, editable",
            [*install, "--no-deps", "--no-build-isolation", "--editable", "."],
        ),
    ]
    for number, (what, command) in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] {what}", flush=True)
        code = subprocess.run(command, cwd=ROOT).returncode
        if code:
            print(f"The set-up stopped while {what}; the message above says why.", file=sys.stderr)
            return 1
    (target / ".ready").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
