"""The wheel, in an environment with numpy, scipy and torch alone and outside the repository, does what it promises."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parent.parent
CORE = """
import numpy as np
import torch

import afl_helpers
from afl_helpers.evaluation import evaluate, tune_thresholds
from afl_helpers.gamma import class_gamma
from afl_helpers.losses import LOSSES, AdaptiveFocalLoss, build_loss

counts, n_documents = np.array([50, 10, 2]), 100
assert class_gamma(counts, n_documents).shape == (3,)
loss = AdaptiveFocalLoss.from_counts(counts, n_documents, base_gamma=2.0)
logits = torch.zeros(4, 3, requires_grad=True)
targets = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])
value = loss(logits, targets)
value.backward()
assert torch.isfinite(value) and logits.grad.abs().sum() > 0
for name in LOSSES:
    assert torch.isfinite(build_loss(name, label_counts=counts, n_documents=n_documents)(logits, targets)), name
scores = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.2], [0.1, 0.2, 0.6], [0.3, 0.1, 0.1]])
labels = targets.numpy().astype(np.uint8)
thresholds = tune_thresholds(labels, scores, rule="common", metric="f1_macro")
assert evaluate(labels, scores, thresholds)["f1_macro"] == 1
print(afl_helpers.__file__)
"""
#: What needs an extra: a program, and the extra that its error names.
NEEDS_AN_EXTRA = {
    "data": "from afl_helpers.data import load_corpus\nload_corpus('toy').to_frame()",
    "train": "from afl_helpers.training import fine_tune\nfine_tune(None, None, None, loss='bce')",
}


def run(*command: object, cwd: Path, clean: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command; `clean` keeps this repository and this environment out of Python's path, and what pip is set to here."""
    environment = {k: v for k, v in os.environ.items() if not (clean and k.startswith(("PYTHON", "VIRTUAL", "PIP_")))}
    if clean:
        environment["PIP_CONFIG_FILE"] = os.devnull
    return subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that no build folder is left in the repository."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "afl_helpers", source / "afl_helpers", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", ".", cwd=source)
    assert built.returncode == 0, built.stdout + built.stderr
    return next((source / "dist").glob("*.whl"))


def test_the_wheel_holds_the_package_and_its_tables_only(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    in_tree = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "afl_helpers").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == in_tree
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    assert "afl_helpers/py.typed" in zipfile.ZipFile(wheel).namelist()


def with_dependencies(names: list[str]) -> set[str]:
    """These installed packages and what they need in turn, by the names that they declare."""
    found: set[str] = set()
    while names:
        name = canonicalize_name(names.pop())
        if name in found:
            continue
        found.add(name)
        needed = [Requirement(line) for line in importlib.metadata.requires(name) or ()]
        names += [line.name for line in needed if line.marker is None or line.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def core_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has numpy, scipy, torch and what these need, by links to this environment's; and the wheel, by pip.

    Nothing is downloaded: pip finds the declared dependencies there, or fails.
    """
    folder = tmp_path_factory.mktemp("core")
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"
    where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder, clean=True)
    site = Path(where.stdout.strip())
    for name in with_dependencies(["numpy", "scipy", "torch"]):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(distribution.locate_file(top)).resolve())
    installed = run(python, "-m", "pip", "install", "-q", "--no-index", wheel, cwd=folder, clean=True)
    assert installed.returncode == 0, installed.stderr
    return python


def test_the_core_needs_numpy_scipy_and_torch_alone(core_python: Path, tmp_path: Path) -> None:
    hidden = run(core_python, "-c", "import pandas", cwd=tmp_path, clean=True)
    assert "No module named 'pandas'" in hidden.stderr
    used = run(core_python, "-c", CORE, cwd=tmp_path, clean=True)
    assert used.returncode == 0, used.stderr
    assert Path(used.stdout.strip()).is_relative_to(core_python.parent.parent)


@pytest.mark.parametrize("extra", NEEDS_AN_EXTRA)
def test_what_needs_an_extra_names_it_in_one_sentence(core_python: Path, tmp_path: Path, extra: str) -> None:
    used = run(core_python, "-c", NEEDS_AN_EXTRA[extra], cwd=tmp_path, clean=True)
    assert used.returncode == 1
    last = used.stderr.rstrip().splitlines()[-1]
    assert re.match(r"[\w.]+Error: ", last) and f"afl-helpers[{extra}]" in last, used.stderr


def test_the_command_line_of_the_core_shows_its_help_or_names_the_extra(core_python: Path, tmp_path: Path) -> None:
    shown = run(core_python.parent / "afl-helpers", "--help", cwd=tmp_path, clean=True)
    assert "Traceback" not in shown.stderr
    assert "train" in shown.stdout if shown.returncode == 0 else "afl-helpers[" in shown.stderr


def test_a_report_of_the_environment_needs_no_extra_and_names_no_checkout_of_others(core_python, tmp_path):
    run("git", "init", "-q", core_python.parent.parent, cwd=tmp_path)
    git = ["git", "-C", core_python.parent.parent, "-c", "user.name=a", "-c", "user.email=a@b.c"]
    assert run(*git, "commit", "-q", "--allow-empty", "-m", "theirs", cwd=tmp_path).returncode == 0
    told = run(core_python, "-m", "afl_helpers", "doctor", "--environment", cwd=tmp_path, clean=True)
    assert told.returncode == 0, told.stderr
    rows = dict(line.split(maxsplit=1) for line in told.stdout.splitlines())
    assert rows["commit"] == rows["transformers"] == "none" and rows["numpy"][0].isdigit()


def test_training_with_the_core_alone_names_the_extra(core_python, tmp_path):
    told = run(core_python, "-m", "afl_helpers", "train", "toy", cwd=tmp_path, clean=True)
    assert told.returncode == 1 and "Traceback" not in told.stderr and "afl-helpers[" in told.stderr


def records(folder: Path, packages: dict[str, str]) -> None:
    """Let an environment have these versions, as far as pip can tell: it decides by what is recorded."""
    for name, version in packages.items():
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text("")
        (info / "INSTALLER").write_text("pip\n")


@pytest.fixture(scope="module")
def empty_python(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Python without packages, and its folder of packages."""
    folder = tmp_path_factory.mktemp("empty") / "environment"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder, clean=True)
    return python, Path(where.stdout.strip())


@pytest.mark.parametrize("torch", ["2.6.0", "2.6.0+cu124", "2.8.0", "2.10.0+cpu", "2.13.0", "2.99.0"])
@pytest.mark.parametrize("numpy", ["1.26.4", "2.4.6"])
def test_an_environment_with_torch_gets_the_package_and_keeps_all_it_has(wheel, empty_python, torch, numpy, tmp_path):
    assert _would_install(wheel, empty_python, {"torch": torch, "numpy": numpy, "scipy": "1.11.4"}, tmp_path) == [
        "afl-helpers"
    ]


def test_a_torch_that_is_too_old_would_be_replaced(wheel, empty_python, tmp_path):
    old = {"torch": "2.5.1", "numpy": "1.26.4", "scipy": "1.11.4"}
    assert _would_install(wheel, empty_python, old, tmp_path) is None  # there is no index to take a newer one from


def _would_install(
    wheel: Path, empty_python: tuple[Path, Path], packages: dict[str, str], folder: Path
) -> list[str] | None:
    """Return the names of the packages that pip would install or replace, or None if it could not."""
    python, site = empty_python
    records(site, packages)
    try:
        options = ["--dry-run", "--no-index", "--quiet", "--report", folder / "report.json"]
        planned = run(python, "-m", "pip", "install", *options, wheel, cwd=folder, clean=True)
    finally:
        for name, version in packages.items():
            shutil.rmtree(site / f"{name}-{version}.dist-info")
    if planned.returncode:
        return None
    report = json.loads((folder / "report.json").read_text())
    return [item["metadata"]["name"] for item in report["install"]]


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 1_000_000
