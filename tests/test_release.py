"""What a release promises: the public surface as listed, a changelog that fits the tag, and workflows that call what is there."""

import re
import shutil
import subprocess
import types
from pathlib import Path

import check_release
import list_names
import package_readme
import pytest
import yaml

from afl_helpers import losses

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_public_surface_is_as_it_is_listed():
    found, listed = list_names.page().splitlines(), list_names.PAGE.read_text("utf-8").splitlines()
    changed = [f"- {line}" for line in listed if line not in found] + [
        f"+ {line}" for line in found if line not in listed
    ]
    assert changed == [], "a public name changed: say so in CHANGELOG.md, then run python tools/list_names.py"
    assert found == listed


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"focal_loss": None}, "focal_loss"),
        ({"focal_loss": lambda logits, targets, gamma=3.0: None}, "focal_loss"),
        ({"FocalLoss": type("FocalLoss", (), {"__init__": lambda self, gamma: None})}, "FocalLoss"),
    ],
)
def test_a_changed_signature_shows(monkeypatch, change, line):
    before = list_names.page()
    for name, value in change.items():
        monkeypatch.setattr(losses, name, value)
    changed = set(before.splitlines()) ^ set(list_names.page().splitlines())
    assert changed and any(found.strip().startswith(f"- `{line}") for found in changed)


def test_a_new_name_shows(monkeypatch):
    before = list_names.page()
    monkeypatch.setattr(losses, "__all__", [*losses.__all__, "new"])
    monkeypatch.setattr(losses, "new", lambda logits: None, raising=False)
    assert set(list_names.page().splitlines()) - set(before.splitlines()) == {"- `new(logits)`: stable"}


def test_every_name_has_a_line_and_none_depends_on_this_machine():
    names = {f"{module}.{name}" for module in list_names.MODULES for name in list_names.public_names(module_of(module))}
    text = list_names.page()
    assert len(re.findall(r"(?m)^- `.*`: (?:stable|may change)$", text)) == len(names) > 200
    assert not re.search(r" at 0x|/\w+/\w+/", text)
    assert set(list_names.EXCEPTIONS) <= names


def module_of(name: str) -> types.ModuleType:
    return __import__(name, fromlist=["x"])


def test_a_signature_has_defaults_and_kinds_but_no_types_and_no_place_in_memory():
    def given(rule: int, *, other: str = "a", made=module_of) -> int:
        pass

    assert list_names.signature(given) == "(rule, *, other='a', made=<function module_of>)"
    assert list_names.signature(3) == ""


# The tag and the changelog.


@pytest.fixture
def copy(tmp_path):
    (tmp_path / "afl_helpers").mkdir()
    (tmp_path / "afl_helpers" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text('version: 1.2.0\ndate-released: "2027-01-31"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 1.2.0, 2027-01-31\n\n### Added\n- A.\n\n## 1.1.0, 2026-12-01\n\n- B.\n"
    )
    return tmp_path


def test_the_notes_of_a_release_are_its_part_of_the_changelog(copy):
    assert check_release.notes("v1.2.0", copy) == "### Added\n- A.\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("afl_helpers/__init__.py", "1.2.0", "1.3.0", "The tag is v1.2.0, but afl_helpers is 1.3.0; tag v1.3.0"),
        ("CITATION.cff", "version: 1.2.0", "version: 1.1.0", "run python tools/setup_cells.py"),
        ("CHANGELOG.md", "## 1.2.0, 2027-01-31", "## 1.2.1, 2027-01-31", 'has no heading "## 1.2.0, DATE"'),
        (
            "CHANGELOG.md",
            "## 1.2.0, 2027-01-31",
            "## 1.2.0, unreleased",
            "dates 1.2.0 unreleased, CITATION.cff 2027-01-31",
        ),
        ("CHANGELOG.md", "### Added\n- A.\n\n", "", "CHANGELOG.md says nothing about 1.2.0"),
    ],
)
def test_a_tag_that_fits_nothing_is_refused(copy, file, old, new, message):
    path = copy / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SystemExit, match=re.escape(message)):
        check_release.notes("v1.2.0", copy)


def test_the_changelog_of_this_repository_can_be_read():
    headings = list(check_release.HEADING.finditer((ROOT / "CHANGELOG.md").read_text("utf-8")))
    assert headings and headings[0]["version"] == check_release.setup_cells.version()


# The workflows, which cannot run here: they are well formed, and what they call is there.


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_what_there_is(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    text = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    targets = set(re.search(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"))[1].split())
    assert set(re.findall(r"(?:^|\s)make ([a-z-]+)", text)) <= targets
    for name in re.findall(r"tools/[\w.]+", text):
        assert (ROOT / name).is_file(), name
    for job in workflow["jobs"].values():
        needed = job.get("needs", [])
        assert {needed} if isinstance(needed, str) else set(needed) <= set(workflow["jobs"])


def test_only_the_job_that_publishes_to_pypi_may_ask_for_a_token():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))["jobs"]
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == ["pypi"]
    assert jobs["pypi"]["environment"] == "pypi" and "password" not in str(jobs)


@pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("unzip") and shutil.which("zip")), reason="needs zip and bash"
)
def test_the_readme_of_the_package_links_to_files_of_the_tag_that_are_there():
    address = "https://github.com/somebody/book"
    text = package_readme.package_readme((ROOT / "README.md").read_text("utf-8"), address, "v1.2.3")
    assert "pip install afl-helpers`" in text and "in a checkout. To read" not in text
    links = re.findall(r'(?:\]\(|src=")([^)"\s]+)', text)
    assert len(links) > 20 and all(link.startswith(("https://", "#")) for link in links)
    own = [re.fullmatch(re.escape(address) + "/(raw|blob)/v1.2.3/(.+)", link) for link in links if address in link]
    assert all((ROOT / found[2].partition("#")[0]).exists() for found in own)
    assert {found[1] for found in own if found[2].endswith(".png")} == {"raw"}
    assert {found[1] for found in own if found[2].endswith(".ipynb")} == {"blob"}
    again = package_readme.whole_links("[a](https://x.org) [b](#c) [d](e.md)", address, "v2")
    assert again == f"[a](https://x.org) [b](#c) [d]({address}/blob/v2/e.md)"


def test_the_site_keeps_the_sites_of_releases(tmp_path):
    """With a stand-in for GitHub's program: v1.0.0 has a site, v0.9.0 has none."""
    site, programs, old = tmp_path / "site", tmp_path / "bin", tmp_path / "old"
    for folder in (site, programs, old):
        folder.mkdir()
    (old / "index.html").write_text("old")
    (site / "book").mkdir()
    (site / "book" / "index.html").write_text(
        yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["html"]["extra_footer"]
    )
    subprocess.run(["zip", "-qr", tmp_path / "site.zip", "."], cwd=old, check=True)
    (programs / "gh").write_text(
        "#!/usr/bin/env bash\n"
        'if [ "$2" = list ]; then printf "v1.0.0\\nv0.9.0\\n"; exit; fi\n'
        f'[ "$3" = v1.0.0 ] && cp {tmp_path}/site.zip "${{@: -1}}"\n'
    )
    (programs / "gh").chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin"}
    subprocess.run([ROOT / "tools" / "add_versions.sh", site], env=environment, check=True)
    assert (site / "v1.0.0" / "index.html").read_text() == "old" and not (site / "v0.9.0").exists()
    assert re.findall(r'href="([^"]*)"', (site / "versions.html").read_text()) == ["./", "v1.0.0/"]
    links = re.findall(r'href="([^"]*)"', (site / "book" / "index.html").read_text())
    assert links[-1] == "../versions.html" and (site / "book" / links[-1]).resolve() == site / "versions.html"
