"""Where the time of `make book` goes: the seconds of each chapter in the last build that ran them all.

    python benchmarks/build.py
"""

import json
from pathlib import Path

from afl_helpers.files import write_json
from afl_helpers.results import describe_environment

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "results" / "benchmarks" / "build.json"


def main() -> None:
    source = ROOT / "_build" / "execution.json"
    if not source.is_file():
        raise SystemExit("There is no build on record; run `make book` first.")
    seconds = json.loads(source.read_text())
    found = {"seconds": seconds, "chapters": sum(seconds.values()), "environment": describe_environment()}
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{name:28}{value:7.1f} s")
    print(f"{'all chapters':28}{found['chapters']:7.1f} s")
    write_json(RESULT, found)


if __name__ == "__main__":
    main()
