"""Execute the chapters and render the book into _build/html; the exit code is not 0 where anything is wrong.

jupyter-book runs a chapter again when the chapter's own code changed. A chapter also depends on the package,
the result files, the profile and the versions of the libraries that do the work: when one of these changed,
the cached outputs are dropped first.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import yaml
from plain_text import write_plain_text
from run_chapters import run_chapters

from afl_helpers.chapters.profiles import active_profile

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
HTML = BUILD / "html" / "index.html"
CACHED = (".jupyter_cache", ".doctrees", "jupyter_execute", "passed")
DEPENDENCIES = ("afl_helpers", "results")
LIBRARIES = ("torch", "transformers", "scikit-learn", "pandas", "numpy", "matplotlib", "altair")
#: Lines in which nothing is wrong: each kernel's notice about this machine, Sphinx's progress and its configuration.
NOISE = re.compile(
    r"Kernel is running over TCP without encryption|^(\x1b\[[\d;]*m)*(Running (Sphinx|Jupyter-Book) v|Source Folder:|Config Path:"
    r"|Output Path:|myst(-nb)? v|Using jupyter-cache|sphinx-multitoc-numbering v|loading (pickled environment|translations)"
    r"|making output directory|\[(autosummary|etoc)\]|building \[|updating environment|looking for now-outdated|pickling "
    r"|checking consistency|preparing documents|copying |writing (output|additional)|reading sources|generating indices"
    r"|highlighting module|dumping |build succeeded|Copying the source path .* will overwrite data)"
)
SETTINGS = ("AFL_PROFILE", "AFL_DATA_DIR")
CELL_TIMEOUT = 600  # seconds


def dependency_files(root: Path) -> Iterable[Path]:
    """The files beside the chapters that a chapter's outputs depend on, in a fixed order."""
    for folder in DEPENDENCIES:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path


def hash_files(root: Path, paths: Iterable[Path], start: bytes = b"") -> str:
    """A hash of these files' names and contents, in the order given."""
    key = hashlib.sha256(start)
    for path in paths:
        key.update(str(path.relative_to(root)).encode() + b"\0")
        key.update(hashlib.sha256(path.read_bytes()).digest())
    return key.hexdigest()


def cache_key(root: Path, settings: dict[str, str], versions: dict[str, str]) -> str:
    """A hash of all that a chapter's outputs depend on apart from the chapter itself."""
    return hash_files(root, dependency_files(root), json.dumps([settings, versions], sort_keys=True).encode())


def pages_key(root: Path) -> str:
    """A hash of what the look of every page depends on: configuration, extensions, styles and scripts."""
    own = (path for path in sorted((root / "book").glob("_*/**/*")) if path.is_file() and path.suffix != ".pyc")
    return hash_files(root, [root / "_config.yml", root / "_toc.yml", *own])


def drop_stale(build: Path, note: str, key: str, names: Iterable[str]) -> bool:
    """Remove what was built under another key than this one, and note it; True where something was stale."""
    noted = build / note
    stale = not noted.exists() or noted.read_text() != key
    if stale:
        for name in names:
            shutil.rmtree(build / name, ignore_errors=True)
        build.mkdir(exist_ok=True)
        noted.write_text(key)
    return stale


def drop_stale_outputs(build: Path, key: str) -> bool:
    """Have every chapter run again where the cached outputs belong to another key."""
    return drop_stale(build, "cache-key", key, CACHED)


def drop_stale_pages(build: Path, key: str) -> bool:
    """Have every page written again where the last ones belong to another key; chapters do not run for that."""
    return drop_stale(build, "pages-key", key, (".doctrees",))


def page_parts(root: Path = ROOT) -> dict[str, list[str]]:
    """The pages in reading order, without endings, by the part of the table of contents; its root stands alone, under ""."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = {part["caption"]: [chapter["file"] for chapter in part["chapters"]] for part in contents["parts"]}
    return {"": [contents["root"]], **parts}


def page_names(root: Path = ROOT) -> list[str]:
    """The pages in reading order, without endings: the root of the table of contents, then its chapters."""
    return [name for names in page_parts(root).values() for name in names]


def report_times(build: Path, seconds: dict[str, float]) -> str:
    """A table of the seconds each chapter took to run when it last ran, and of the parts of this build."""
    runtimes = json.loads((build / "execution.json").read_text())
    rows = [f"  {name:28s} {runtime:6.1f} s" for name, runtime in sorted(runtimes.items())]
    total = f"  {'all chapters':28s} {sum(runtimes.values()):6.1f} s"
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    return "\n".join(["Time to run each chapter, when it last ran:", *rows, total, f"This build: {parts}."])


def run_quietly(command: list[str], environment: dict[str, str]) -> int:
    """Run a command at the root and show what it says, less the noise; return its exit code."""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            if not NOISE.search(line) or "WARNING" in line or "ERROR" in line:
                print(line, end="", flush=True)
    return process.returncode


def configuration(profile_name: str, address: str) -> list[str]:
    """The options of a build at full scale, whose cells run as long as they need, and of one that knows its address."""
    content = yaml.safe_load((ROOT / "_config.yml").read_text())
    if profile_name == "full":
        content["execute"]["timeout"] = -1
    elif not address:
        return []
    content["html"]["baseurl"] = address
    path = BUILD / "_config.yml"
    path.write_text(yaml.safe_dump(content))
    return ["--config", str(path)]


def main(n_jobs: int) -> int:
    try:
        profile = active_profile()
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    settings = {name: os.environ.get(name, "") for name in SETTINGS}
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    first = not (BUILD / "cache-key").exists()
    stale = drop_stale_outputs(BUILD, cache_key(ROOT, settings, versions))
    if stale and not first:
        print("Every chapter runs: package, results, profile or a library changed since the last build.")
    drop_stale_pages(BUILD, pages_key(ROOT))
    environment = os.environ | {"AFL_BOOK": "1"}
    started = time.monotonic()
    passed = BUILD / "passed"
    if not passed.exists():
        # Sphinx repeats no warning about a page it has read before, so a failed build starts afresh.
        shutil.rmtree(BUILD / ".doctrees", ignore_errors=True)
    passed.unlink(missing_ok=True)
    if profile.name == "quick":  # at full scale chapters share a GPU, so jupyter-book runs them one after the other
        chapters = [path for name in page_names() if (path := ROOT / f"{name}.ipynb").is_file()]
        run_chapters(chapters, BUILD / ".jupyter_cache", CELL_TIMEOUT, environment, n_jobs)
    executed = time.monotonic()
    print(f"Writing {len(page_names())} pages.", flush=True)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-W", "--keep-going"]
    command += configuration(profile.name, os.environ.get("AFL_BASE_URL", ""))
    if run_quietly(command, environment):
        print("The book was not built: the errors and warnings above say where.", file=sys.stderr)
        return 1
    write_plain_text(HTML.parent, page_names())
    passed.touch()
    seconds = {"running chapters": executed - started, "writing pages": time.monotonic() - executed}
    if stale:  # benchmarks/build.py reads what a build of everything took
        (BUILD / "seconds.json").write_text(json.dumps(seconds))
    print(report_times(BUILD, seconds))
    print(f"Open {HTML}, or run `make serve`.")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="chapters that run side by side")
    n_jobs = parser.parse_args().jobs
    if n_jobs < 1:
        parser.error(f"--jobs (in make: JOBS) is {n_jobs}; pass 1 or more")
    try:
        sys.exit(main(n_jobs))
    except KeyboardInterrupt:
        sys.exit("Stopped. Chapters that had run are kept; `make book` goes on with the others.")
