"""Write requirements.lock: every package of pyproject.toml and what it needs, with versions and hashes.

torch and the GPU libraries it brings are left out, because their builds differ by machine;
make_environment.py installs torch by version. What else torch needs is in the lock.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
LEFT_OUT = re.compile(r"^(torch|triton|nvidia-.*|cuda-.*)==")
HEADER = "# Written by `make lock` from pyproject.toml; installed by make_environment.py. Do not edit.\n"


def without_torch(lock: str) -> str:
    """The lock's text without torch and the GPU libraries; an entry ends where the next begins."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return "".join(entry for entry in entries if not LEFT_OUT.match(entry))


def main() -> None:
    torch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["afl"]["torch"]
    command = [
        "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal", "--python-version", "3.11",
        "--fork-strategy", "fewest", "--generate-hashes", "--no-header", "--quiet", "--constraints", "-",
        "--output-file", str(LOCK), *sys.argv[1:],
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, input=f"torch=={torch}\n", text=True, check=True, stdout=subprocess.DEVNULL)
    LOCK.write_text(HEADER + without_torch(LOCK.read_text()))


if __name__ == "__main__":
    main()
