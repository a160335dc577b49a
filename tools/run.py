"""Every target of `make`, also where there is no make, as on Windows.

Usage: python tools/run.py [--dry-run] [TARGET ...] [NAME=VALUE ...]      (standard library only; make calls it)

A target without an environment sets it up first, in .venv. Without a target, the targets are listed.
"""

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = "Scripts" if os.name == "nt" else "bin"
VENV, PEERS, AUDIT = ".venv", ".venv-peers", ".venv-audit"
#: What can be set on the command line or as a variable of the shell, and its default.
OPTIONS = {
    "JOBS": "2",
    "PORT": "8000",
    "LAB_PORT": "8888",
    "BROWSER": "1",
    "ROOT_USER": "",
    "STUDY": "",
    "UPGRADE": "",
    "FOLDER": "",
    "GPU_DAY": "",
}


def option(name):
    return os.environ.get(name, OPTIONS[name])


def program(name, environment=VENV):
    """Return the path of a program of an environment."""
    return str(Path(environment) / PLACE / (name + (".exe" if os.name == "nt" else "")))


def python(*arguments):
    return [program("python"), *arguments]


def offline():
    """Return the variable by which building and testing in the quick profile fetch nothing from the hub."""
    return [] if os.environ.get("AFL_PROFILE") == "full" else ["HF_HUB_OFFLINE=1"]


def pytest(*arguments):
    # One thread per process: several run side by side.
    return [*offline(), "OMP_NUM_THREADS=1", *python("-m", "pytest", "-n", option("JOBS"), *arguments)]


def installed(folder, requirements):
    """Return the commands that make an environment of pinned packages, if it is missing or out of date."""
    ready = ROOT / folder / ".ready"
    if is_newer(ready, ROOT / requirements):
        return []
    install = [program("python", folder), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [[sys.executable, "-m", "venv", folder], [*install, "-r", requirements], ["touch", str(ready)]]


def is_newer(target, *sources):
    return target.exists() and all(target.stat().st_mtime >= source.stat().st_mtime for source in sources)


def environment(stamp=".ready"):
    """Return the command that makes .venv, if it is missing or out of date; one with everything serves readers too."""
    sources = [ROOT / "pyproject.toml", ROOT / "requirements.lock"]
    stamps = [".ready"] if stamp == ".ready" else [".ready", stamp]
    if any(is_newer(ROOT / VENV / name, *sources) for name in stamps):
        return []
    what = ["--all"] if stamp == ".ready" else ["--reader"]
    return [[sys.executable, "tools/make_environment.py", *what, VENV]]


def reader():
    return environment(".ready-reader")


# Each target returns the commands that it runs, one after the other, until one fails. A command is a list of words; words
# of the form NAME=VALUE before the program are variables of its environment.


def setup():
    """set up .venv with everything (for the book alone, see `book`)"""
    return environment()


def book():
    """execute every chapter, JOBS=2 at a time, and render the book into _build/html"""
    return [*reader(), build()]


def build():
    return [*offline(), *python("tools/build_book.py", "--jobs", option("JOBS"))]


def pdf():
    """print the built book through Chromium into _build/afl-bert-book.pdf, and the API into afl-bert-api.pdf"""
    return [*environment(), build(), python("tools/make_pdf.py")]


def epub():
    """write the built book into _build/afl-bert-book.epub, for e-readers"""
    return [*environment(), build(), python("tools/make_epub.py")]


def article():
    """write the reproduction article from results/ into _build/article.pdf"""
    return [*environment(), python("tools/make_article.py")]


def gpu_day():
    """measure and run all that needs a GPU, or go on with it (GPU_DAY=--plan: measure two minutes and say how long; GPU_DAY=--rehearse: tiny, without a GPU)"""
    words, set_up = option("GPU_DAY").split(), environment()
    if set_up and not {"--rehearse", "--cards"}.intersection(words) and not sees_gpu():
        sys.exit(
            "No driver of a GPU is seen here, so nothing is set up; "
            "GPU_DAY=--rehearse does every stage at tiny size without one."
        )
    return [*set_up, python("tools/gpu_day.py", *words)]


def sees_gpu():
    """Return whether a driver of NVIDIA or AMD is there, without torch."""
    devices = [Path("/dev/nvidiactl"), Path("/dev/kfd")]
    return any(map(shutil.which, ("nvidia-smi", "rocm-smi"))) or any(device.exists() for device in devices)


def serve():
    """show the built book on localhost (PORT=8000)"""
    if not (ROOT / "_build" / "html" / "index.html").is_file():
        sys.exit("There is no built book yet; run `make book` first.")
    folder = ["--bind", "127.0.0.1", "--directory", "_build/html"]
    return [[sys.executable, "-m", "http.server", option("PORT"), *folder]]


def lab():
    """open the chapters in JupyterLab (LAB_PORT=8888; BROWSER=0 opens none; ROOT_USER=1 allows root)"""
    options = ["--notebook-dir=book", f"--port={option('LAB_PORT')}"]
    # Without this, the address that is printed opens a list of kernels, not the first page.
    options.append("--LabApp.default_url=/lab/tree/index.ipynb")
    options += ["--no-browser"] if option("BROWSER") == "0" else []
    if option("ROOT_USER") not in ("", "0"):
        options.append("--allow-root")
    elif getattr(os, "geteuid", lambda: 1)() == 0:
        sys.exit("JupyterLab does not start for root; in a container, run `make lab ROOT_USER=1`.")
    return [*reader(), [program("jupyter"), "lab", *options]]


def student():
    """write the chapters without solutions into student/, and keep what was changed there"""
    return [*reader(), python("tools/make_student.py", "student")]


def instructor():
    """write the chapters with solutions, rubrics and keys into instructor/"""
    return [*reader(), python("tools/make_student.py", "instructor")]


def course():
    """write slides, handouts, quizzes and plans of the sessions into _build/course"""
    return [*environment(), [*offline(), *python("tools/make_course.py", "--jobs", option("JOBS"))]]


def grade():
    """run the checks of handed-in notebooks into a table (FOLDER=handed-in)"""
    if not option("FOLDER"):
        sys.exit("Name the folder: make grade FOLDER=handed-in")
    return [*reader(), [*offline(), *python("tools/grade.py", option("FOLDER"))]]


def lint():
    """check style, types, spelling, notebooks, sizes and secrets (what a commit is checked for)"""
    if not (ROOT / ".git").exists():
        print("This is no git checkout, so there are no committed files to check.")
        return environment()
    checks = ["PRE_COMMIT_HOME=" + str(Path(VENV) / "pre-commit"), program("pre-commit"), "run", "--all-files"]
    return [*environment(), checks]


def test():
    """run every test that needs at most minutes: the checks, the build, the package, the chapters"""
    chapters = ["--dist", "loadfile", "--nbval-lax", "--nbval-cell-timeout", "600", *notebooks()]
    return [*lint(), build(), pytest("-m", "not slow"), pytest(*chapters)]


def notebooks():
    return [Path(path).relative_to(ROOT).as_posix() for path in sorted(glob.glob(str(ROOT / "book" / "*.ipynb")))]


def test_fast():
    """run the checks and the unit tests (under 3 minutes)"""
    return [*lint(), pytest("-m", "not slow and not packaging and not processes and not book")]


def test_slow():
    """run the tests that take long and are in no other target"""
    return [*environment(), pytest("-m", "slow")]


def study():
    """run a study, or go on with it (STUDY=name; without it the studies are listed)"""
    return [*reader(), python("-m", "afl_helpers", "study", *filter(None, [option("STUDY")]))]


def bench():
    """run every benchmark: a table of ratios against a named peer each"""
    scripts = sorted(glob.glob(str(ROOT / "benchmarks" / "*.py")))
    return [*environment(), *(python(Path(path).relative_to(ROOT).as_posix()) for path in scripts)]


def bench_peers():
    """tabulate what public implementations of the losses return"""
    values = ["OMP_NUM_THREADS=1", program("python", PEERS), "benchmarks/peers/values.py"]
    return [*installed(PEERS, "benchmarks/peers/requirements.txt"), values]


def lock():
    """write requirements.lock from pyproject.toml (UPGRADE=1 takes newer versions)"""
    path = "PATH=" + os.pathsep.join([str(ROOT / VENV / PLACE), os.environ.get("PATH", "")])  # uv is there
    return [*environment(), [path, *python("tools/lock.py", *(["--upgrade"] if option("UPGRADE") else []))]]


def audit():
    """licences of what is installed, known vulnerabilities of what is locked"""
    return [*environment(), *installed(AUDIT, "tools/audit-requirements.txt"), python("tools/audit.py", AUDIT)]


def clean():
    """remove the built book and its cache, and the environments"""
    folders = ["_build", VENV, PEERS, AUDIT, *(path.name for path in ROOT.glob("*.egg-info"))]
    return [["rm", "-rf", *folders]]


TARGETS = {
    function.__name__.replace("_", "-"): function
    for function in (
        book, pdf, epub, article, serve, lab, student, instructor, course, grade, gpu_day, lint, test, test_fast, test_slow, study, bench, bench_peers, lock, audit, setup, clean
    )
}  # fmt: skip


def execute(command):
    """Run one command at the root and return its exit code. `touch` and `rm` are done here: Windows has neither."""
    if command[0] == "touch":
        Path(command[1]).touch()
        return 0
    if command[0] == "rm":
        for name in command[2:]:
            shutil.rmtree(ROOT / name, ignore_errors=True)
        return 0
    programs = str(ROOT / VENV / PLACE)  # where the checks of .pre-commit-config.yaml find their tools
    variables = {"TOKENIZERS_PARALLELISM": "false", **os.environ}
    variables["PATH"] = os.pathsep.join(filter(None, (programs, variables.get("PATH"))))
    words = list(command)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    path = ROOT / words[0]
    try:
        return subprocess.run(
            [str(path) if path.is_file() else words[0], *words[1:]], cwd=ROOT, env=variables
        ).returncode
    except KeyboardInterrupt:
        return 130


def describe():
    lines = [f"  {name:11} {function.__doc__}" for name, function in TARGETS.items()]
    return "\n".join(["make TARGET, or python tools/run.py TARGET:", *lines])


def main(arguments):
    dry_run = "--dry-run" in arguments
    names = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals:
            os.environ[name] = value
        elif argument != "--dry-run":
            names.append(argument)
    for name in names:
        if name not in TARGETS:
            print(f"There is no target {name!r}.\n{describe()}", file=sys.stderr)
            return 2
    if not names:
        print(describe())
    for name in names:
        for command in TARGETS[name]():
            if dry_run:
                print(" ".join(command))
                continue
            code = execute(command)
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
