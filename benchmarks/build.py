"""Where the time of `make book` goes, with chapters one after the other and two side by side.

    python benchmarks/build.py

Both builds run every chapter anew; embeddings that an earlier one kept are not computed again.
"""

import json
import subprocess
import sys
from pathlib import Path

from afl_helpers.files import write_json
from afl_helpers.results import describe_environment

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
RESULT = ROOT / "results" / "benchmarks" / "build.json"


def build(n_jobs: int) -> dict[str, object]:
    """Seconds of each chapter, of all of them together as the clock shows it, and of writing the pages."""
    (BUILD / "cache-key").unlink(missing_ok=True)
    command = [sys.executable, str(ROOT / "tools" / "build_book.py"), "--jobs", str(n_jobs)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return json.loads((BUILD / "seconds.json").read_text()) | {
        "chapters": json.loads((BUILD / "execution.json").read_text())
    }


def main() -> None:
    found = {f"{n_jobs} at a time": build(n_jobs) for n_jobs in (1, 2)}
    one, two = found.values()
    for name, seconds in sorted(one["chapters"].items(), key=lambda item: -item[1]):
        print(f"{name:28}{seconds:7.1f} s{two['chapters'][name]:7.1f} s")
    for part in ("running chapters", "writing pages"):
        print(f"{part:28}{one[part]:7.1f} s{two[part]:7.1f} s")
    write_json(RESULT, {"environment": describe_environment(), "builds": found})


if __name__ == "__main__":
    main()
