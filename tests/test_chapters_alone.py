"""A chapter away from home: in an environment without the package, and with the other profile."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import setup_cells
import torch
from nbclient import NotebookClient

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"


@pytest.fixture
def bare_python(tmp_path) -> Path:
    """A Python with the libraries of this one, as a notebook service has them, and without the package.

    A path in a .pth file is not searched for .pth files in turn, so the one that makes the package editable is ignored.
    """
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(site) / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    # Older Pythons bring a setuptools that is too old to build with.
    subprocess.run([python, "-m", "pip", "uninstall", "-y", "setuptools"], capture_output=True, check=True)
    absent = subprocess.run([python, "-c", "import torch, afl_helpers"], cwd=tmp_path, capture_output=True, text=True)
    if "No module named 'afl_helpers'" not in absent.stderr:
        pytest.skip("the package is installed as files here, so no environment can have its libraries without it")
    return python


def test_a_chapter_opened_alone_installs_the_package_and_works(bare_python, tmp_path):
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is not a git checkout, so it cannot stand for the repository")
    address = "https://github.com/somebody/their-book"
    folder = tmp_path / "content"
    folder.mkdir()
    chapter = json.loads((BOOK / "index.ipynb").read_text(encoding="utf-8"))
    chapter = setup_cells.with_setup(chapter, setup_cells.source(address, setup_cells.version()))
    (folder / "chapter.ipynb").write_text(json.dumps(chapter), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AFL_", "PYTHON"))}
    environment |= {
        # This checkout takes the place of the address; pip builds with the setuptools that is here.
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": "*",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{bare_python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [bare_python, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", "chapter.ipynb"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = [
        cell for cell in json.loads((folder / "chapter.ipynb").read_text())["cells"] if cell["cell_type"] == "code"
    ]
    assert (folder / "their-book" / "results").is_dir()
    assert any("text/html" in output.get("data", {}) for cell in cells for output in cell["outputs"])
    kept = dict(line.split("==") for line in (folder / "keep.txt").read_text().splitlines())
    assert kept == {
        name: metadata.version(name) for name in ("torch", "numpy", "ipython")
    }  # pip was told to leave them
    where = "import afl_helpers; print(afl_helpers.__file__)"
    found = subprocess.run([bare_python, "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(bare_python.parent.parent) in found.stdout


def first_cells(name: str, profile_line: str) -> tuple[list[str], str | None]:
    """What a chapter says up to its profile sentence, with its first cell changed: outputs, and the error or None."""
    notebook = nbformat.read(BOOK / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    end = next(
        i for i, cell in enumerate(code) if "profile.describe()" in cell.source or "active_profile()" in cell.source
    )
    notebook.cells = code[: end + 1]
    assert "# %env AFL_PROFILE=full" in notebook.cells[0].source
    notebook.cells[0].source = notebook.cells[0].source.replace("# %env AFL_PROFILE=full", profile_line)
    client = NotebookClient(
        notebook, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(BOOK)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    failed = next((output for output in outputs if output.output_type == "error"), None)
    return [output.get("text", "") for output in outputs], failed and f"{failed.ename}: {failed.evalue}"


def test_the_first_cell_switches_the_profile(monkeypatch):
    monkeypatch.delenv("AFL_PROFILE", raising=False)
    said, error = first_cells("data-set", "# %env AFL_PROFILE=full")
    assert error is None and any("Profile quick" in text for text in said)
    _, error = first_cells("data-set", "%env AFL_PROFILE=fulll")
    assert error is not None and "fulll" in error and "full" in error


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here, and the full profile would run")
def test_a_profile_that_cannot_run_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("AFL_PROFILE", raising=False)
    _, error = first_cells("fine-tuning", "%env AFL_PROFILE=full")
    assert error.startswith("UsageError: AFL_PROFILE=full cannot run here: no GPU is visible")


BAR = """
import time
from afl_helpers.progress import progress_bar
for _ in progress_bar(range(3), desc="steps", mininterval=0):
    time.sleep(0.05)
"""


def test_a_terminal_sees_the_bar_and_a_log_does_not():
    pty, termios = (
        pytest.importorskip(name, reason="this system has no pseudo-terminals") for name in ("pty", "termios")
    )
    seen = bytearray()
    main, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    child = subprocess.Popen([sys.executable, "-c", BAR], stdout=end, stderr=end, stdin=end, cwd=ROOT)
    os.close(end)
    try:
        while block := os.read(main, 1024):
            seen.extend(block)
    except OSError:  # Linux: the terminal is closed when the child ends
        pass
    os.close(main)
    assert child.wait() == 0
    assert b"steps" in seen and b"3/3" in seen and seen.rstrip(b" ").endswith(b"\r")  # it wipes itself away
    logged = subprocess.run([sys.executable, "-c", BAR], cwd=ROOT, capture_output=True, text=True, check=True)
    assert logged.stdout + logged.stderr == ""
