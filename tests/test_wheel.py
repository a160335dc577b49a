"""The wheel, alone in a clean environment and outside the repository, does what it promises."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parent.parent
NO_NETWORK = (
    "name resolution",
    "Failed to establish a new connection",
    "Network is unreachable",
    "ProxyError",
)
PROGRAM = """
import torch, afl_helpers
from afl_helpers.data import load_corpus
from afl_helpers.losses import AdaptiveFocalLoss

corpus = load_corpus("toy")
loss = AdaptiveFocalLoss.from_counts(corpus.label_counts, len(corpus.texts), base_gamma=2.0)
logits = torch.zeros(4, len(corpus.label_names), requires_grad=True)
value = loss(logits, torch.tensor(corpus.labels[:4]))
value.backward()
assert torch.isfinite(value) and logits.grad.abs().sum() > 0
print(afl_helpers.__file__)
"""


def run(*command: object, cwd: Path, clean: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command; `clean` keeps this repository and this environment out of Python's path."""
    environment = {k: v for k, v in os.environ.items() if not (clean and k.startswith(("PYTHON", "VIRTUAL")))}
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


def test_the_wheel_alone_trains_on_a_batch(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    constraints = tmp_path / "constraints.txt"
    lines = re.findall(r"^[A-Za-z0-9._-]+==[^\\\n]+", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    constraints.write_text("\n".join(lines) + "\n")
    torch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["afl"]["torch"]
    assert run(sys.executable, "-m", "venv", environment, cwd=tmp_path).returncode == 0
    installed = run(
        python,
        "-m",
        "pip",
        "install",
        "-q",
        f"torch=={torch}",
        wheel,
        "-c",
        constraints,
        cwd=tmp_path,
        clean=True,
    )
    if installed.returncode and any(sign in installed.stderr for sign in NO_NETWORK):
        pytest.skip("there is no package registry to install the wheel's dependencies from")
    assert installed.returncode == 0, installed.stderr

    used = run(python, "-c", PROGRAM, cwd=tmp_path, clean=True)
    assert used.returncode == 0, used.stderr
    assert Path(used.stdout.strip()).is_relative_to(environment)
    help_text = run(environment / "bin" / "afl-helpers", "--help", cwd=tmp_path, clean=True)
    assert help_text.returncode == 0 and "train" in help_text.stdout
