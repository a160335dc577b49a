"""The scripts behind make: set-up, build key, lock, chapters for students, setup cells."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import build_book
import lock
import make_environment
import make_student
import nbformat
import pytest
import setup_cells
import yaml
from jupyter_cache import get_cache
from run_chapters import is_cached, run_chapters

from afl_helpers.chapters.profiles import PROFILES

#: Seconds to wait for what other processes do; a busy machine takes minutes to start a kernel.
PATIENCE = 500


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository in small: one module, one result."""
    for name in ("afl_helpers/gamma.py", "results/probe/runs/a.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    return tmp_path


def key(tree: Path, profile: str = "quick", torch: str = "2") -> str:
    return build_book.cache_key(tree, {"AFL_PROFILE": profile}, {"torch": torch})


def test_the_key_stays_while_nothing_changes(tree: Path) -> None:
    before = key(tree)
    (tree / "afl_helpers" / "__pycache__").mkdir()
    (tree / "afl_helpers" / "__pycache__" / "gamma.pyc").write_text("x")
    (tree / "tests").mkdir()
    (tree / "tests" / "test_gamma.py").write_text("x")
    assert key(tree) == before


@pytest.mark.parametrize("name", ["afl_helpers/gamma.py", "results/probe/runs/a.json", "results/new.json"])
def test_the_key_changes_with_the_package_and_the_results(tree: Path, name: str) -> None:
    before = key(tree)
    (tree / name).write_text("2")
    assert key(tree) != before


def test_the_key_changes_with_a_renamed_file_the_profile_and_a_library(tree: Path) -> None:
    before = key(tree)
    assert key(tree, profile="full") != before
    assert key(tree, torch="3") != before
    (tree / "afl_helpers/gamma.py").rename(tree / "afl_helpers/gammas.py")
    assert key(tree) != before


def test_pages_are_written_again_when_their_style_changes_and_not_otherwise(tree: Path) -> None:
    for name in ("_config.yml", "_toc.yml", "book/_static/custom.css", "book/_ext/cards.py"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("1")
    build = tree / "_build"
    assert build_book.drop_stale_pages(build, build_book.pages_key(tree))
    (build / ".doctrees").mkdir()
    assert not build_book.drop_stale_pages(build, build_book.pages_key(tree)) and (build / ".doctrees").exists()
    (tree / "book/_static/custom.css").write_text("2")
    assert build_book.drop_stale_pages(build, build_book.pages_key(tree)) and not (build / ".doctrees").exists()


def test_stale_outputs_are_dropped_and_fresh_ones_kept(tmp_path: Path) -> None:
    outputs = tmp_path / ".jupyter_cache" / "record"
    assert build_book.drop_stale_outputs(tmp_path, "one")
    outputs.mkdir(parents=True)
    assert not build_book.drop_stale_outputs(tmp_path, "one")
    assert outputs.exists()
    assert build_book.drop_stale_outputs(tmp_path, "two")
    assert not outputs.exists()


def write_chapter(path: Path, code: str) -> Path:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=kernel), path)
    return path


def test_chapters_run_side_by_side_into_the_cache_and_once_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Each waits for the other's file, so one after the other they would not end.
    wait = (
        "import os, pathlib, time\npathlib.Path({!r}).touch()\nwhile not pathlib.Path({!r}).exists(): time.sleep(.1)\n"
    )
    said = "print(os.environ['AFL_BOOK'], os.getcwd(), sep='|')"
    one = write_chapter(tmp_path / "one.ipynb", wait.format("first", "second") + said)
    two = write_chapter(tmp_path / "two.ipynb", wait.format("second", "first") + said)
    broken = write_chapter(tmp_path / "broken.ipynb", "raise ValueError('no')")
    killed = write_chapter(tmp_path / "killed.ipynb", "import os\nos.kill(os.getpid(), 9)")
    source = one.read_bytes()
    folder = tmp_path / "build" / ".jupyter_cache"
    run_chapters([one, two, broken, killed], folder, PATIENCE, {"AFL_BOOK": "1"}, n_jobs=2)

    cache = get_cache(str(folder))
    assert [is_cached(cache, path) for path in (one, two, broken, killed)] == [True, True, False, False]
    _, executed = cache.merge_match_into_notebook(nbformat.read(one, as_version=4))
    assert executed.cells[0].outputs[0].text == f"1|{tmp_path}\n"
    assert one.read_bytes() == source
    printed = capfd.readouterr()
    assert printed.out.startswith("Running 4 of 4 chapters, 2 at a time.\n") and "  4 of 4  " in printed.out
    failed = [line.split()[3] for line in printed.out.splitlines() if line.endswith("failed")]
    assert "encryption" not in printed.err
    assert sorted(failed) == ["broken", "killed"]
    run_chapters([one, two], folder, PATIENCE, {}, n_jobs=2)
    assert capfd.readouterr().out == ""


def test_ctrl_c_ends_the_chapters_too(tmp_path: Path) -> None:
    """Both kernels are busy for longer than the test waits."""
    begun = [tmp_path / f"begun{i}" for i in range(2)]
    code = "import os, pathlib, time\npathlib.Path({!r}).write_text(str(os.getpid()))\ntime.sleep(100_000)"
    paths = [write_chapter(tmp_path / f"{path.name}.ipynb", code.format(str(path))) for path in begun]
    call = f"run_chapters([Path(p) for p in {[str(p) for p in paths]}], Path({str(tmp_path / 'cache')!r}), 100_000, {{}}, 2)"
    build = subprocess.Popen(
        [sys.executable, "-c", f"from pathlib import Path; from run_chapters import run_chapters; {call}"],
        cwd=build_book.ROOT / "tools", start_new_session=True, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    wait_for(lambda: all(path.exists() and path.read_text() for path in begun))
    os.killpg(build.pid, signal.SIGINT)
    _, said = build.communicate(timeout=PATIENCE)
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    wait_for(lambda: not any(Path("/proc", path.read_text()).exists() for path in begun))


def wait_for(condition) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            pytest.fail(f"waited for {PATIENCE} s in vain")
        time.sleep(0.1)


@pytest.mark.parametrize(("profile", "side_by_side"), [("quick", True), ("full", False)])
def test_chapters_that_share_a_gpu_are_left_to_jupyter_book(
    profile: str, side_by_side: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    monkeypatch.setattr(build_book, "BUILD", tmp_path)
    monkeypatch.setattr(build_book, "active_profile", lambda: PROFILES[profile])
    monkeypatch.setattr(build_book, "run_chapters", lambda paths, *_: asked.extend(paths))
    monkeypatch.setattr(build_book, "run_quietly", lambda command, environment: 1)
    assert build_book.main(n_jobs=2) == 1
    notebooks = sorted((build_book.ROOT / "book").glob("*.ipynb"))
    assert sorted(asked) == (notebooks if side_by_side else [])


def test_a_profile_that_cannot_run_ends_the_build_with_its_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> str:
        raise ValueError("AFL_PROFILE=full needs a GPU, and there is none; use AFL_PROFILE=quick")

    monkeypatch.setattr(build_book, "active_profile", refuse)
    assert build_book.main(n_jobs=2) == 1
    assert capsys.readouterr().err == "AFL_PROFILE=full needs a GPU, and there is none; use AFL_PROFILE=quick\n"


def test_an_old_python_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert make_environment.main(str(tmp_path / "venv")) == 1
    assert "needs Python 3.11 or newer" in capsys.readouterr().err
    assert not (tmp_path / "venv").exists()


def test_the_lock_drops_torch_and_the_gpu_libraries_with_their_hashes() -> None:
    entries = "numpy==2.0 \\\n    --hash=sha256:aa\n    # via torch\n{}tqdm==4.0 \\\n    --hash=sha256:dd\n"
    gpu = "nvidia-nccl==1 ; os_name == 'nt' \\\n    --hash=sha256:bb\ntorch==2.0 \\\n    --hash=sha256:cc\n"
    assert lock.without_torch(entries.format(gpu)) == entries.format("")


def notebook(*cells: tuple[str, str]) -> dict:
    return {
        "cells": [
            {"cell_type": kind, "id": str(i), "metadata": {}, "source": text.splitlines(keepends=True)}
            for i, (kind, text) in enumerate(cells)
        ]
    }


def test_what_a_student_changed_or_added_is_kept(tmp_path) -> None:
    folder = tmp_path / "student"
    assert make_student.write_all({"a.ipynb": "one", "b.ipynb": "two"}, folder) == (["a.ipynb", "b.ipynb"], [])
    (folder / "a.ipynb").write_text("one, with an answer")
    (folder / "notes.ipynb").write_text("mine")
    # Another version of the chapters: what is unchanged follows it, what holds an answer does not.
    assert make_student.write_all({"a.ipynb": "1", "b.ipynb": "2", "c.ipynb": "3"}, folder) == (
        ["b.ipynb", "c.ipynb"],
        ["a.ipynb"],
    )
    assert {path.name: path.read_text() for path in folder.glob("*.ipynb")} == {
        "a.ipynb": "one, with an answer",
        "b.ipynb": "2",
        "c.ipynb": "3",
        "notes.ipynb": "mine",
    }
    (folder / make_student.WRITTEN).unlink()  # a folder that this script does not know is not overwritten
    (folder / "b.ipynb").write_text("an answer")
    assert make_student.write_all({"b.ipynb": "2"}, folder) == ([], ["b.ipynb"])


def test_a_student_gets_exercises_and_places_for_answers_but_no_solutions() -> None:
    first = "```{exercise} Add\n:label: ex-use-1\nAdd them.\n```\n\n```{solution-start} ex\n:label: sol\n```\n\nSECRET words"
    between = "SECRET end\n\n```{solution-end}\n```\n\n## Next\n\n"
    between += ":::{admonition} Answer\n:class: dropdown\nSECRET\n:::\n\nGo on."
    found = make_student.without_solutions(
        notebook(("code", "a = 1"), ("markdown", first), ("code", "SECRET"), ("markdown", between))
    )
    kinds = [(cell["cell_type"], "".join(cell["source"])) for cell in found["cells"]]
    assert [kind for kind, _ in kinds] == ["code", "markdown", "code", "markdown"]
    assert "Add them." in kinds[1][1] and kinds[2][1] == make_student.PLACE and kinds[3][1] == "## Next\n\n\nGo on."
    assert "SECRET" not in json.dumps(found) and len({cell["id"] for cell in found["cells"]}) == 4
    with pytest.raises(ValueError, match="no solution-end"):
        make_student.without_solutions(notebook(("markdown", first)))


def test_the_place_of_a_checked_answer_says_what_to_pass_and_checks_it() -> None:
    place = make_student.place_of("ex-focal-loss-2")
    assert (
        "answer = ...  # the posterior at alpha = 0.25, a number" in place
        and 'check("ex-focal-loss-2", answer)' in place
    )
    assert make_student.place_of("ex-use-1") == make_student.PLACE


def test_every_chapter_keeps_its_exercises_and_loses_its_solutions() -> None:
    for path in sorted((make_student.ROOT / "book").glob("*.ipynb")):
        before = json.loads(path.read_text())
        text, found = json.dumps(before), make_student.without_solutions(before)
        after = json.dumps(found)
        assert after.count("{exercise}") == text.count("{exercise}")
        assert "{solution-" not in after and "{admonition} Answer" not in after
        places = sum("".join(cell["source"]).startswith(make_student.PLACE) for cell in found["cells"])
        assert places == text.count("{solution-start}") - text.count("{solution-start} blank-")


def test_the_student_edition_is_made_with_an_address_too() -> None:
    text = setup_cells.source("https://example.org/a/my-book", "1.2")
    made = setup_cells.with_setup(notebook(("markdown", "# A"), ("code", "b = 1\nwe_find(b)"), ("code", "b")), text)
    found = make_student.without_solutions(made)["cells"]
    assert "".join(found[1]["source"]) == text and "".join(found[2]["source"]) == "b = 1"


def test_a_chapter_opened_alone_fetches_the_book_before_its_own_code() -> None:
    text = setup_cells.source("https://example.org/a/my-book", "1.2")
    assert "--branch v1.2 https://example.org/a/my-book" in text and "%cd my-book/book" in text
    cells = setup_cells.with_setup(notebook(("markdown", "# A"), ("code", "a = 1"), ("code", "b = 2")), text)["cells"]
    assert [cell["id"] for cell in cells][1] == "setup" and "".join(cells[1]["source"]) == text and len(cells) == 4
    again = setup_cells.with_setup({"cells": cells}, "other")["cells"]
    assert len(again) == 4 and "".join(again[1]["source"]) == "other"


def test_without_an_address_the_first_cell_of_a_chapter_runs_nothing() -> None:
    lines = setup_cells.source("", "1.2").splitlines()
    assert all(line.startswith("#") for line in lines)
    assert "make lab" in lines[1] + lines[2] and "clone" not in "".join(lines)


def test_a_build_that_knows_its_address_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(build_book, "BUILD", tmp_path)
    assert build_book.configuration("quick", "") == []
    _, path = build_book.configuration("quick", "https://example.org/book/")
    written = yaml.safe_load(Path(path).read_text())
    assert written["html"]["baseurl"] == "https://example.org/book/" and written["execute"]["timeout"] == 600
    _, path = build_book.configuration("full", "")
    assert yaml.safe_load(Path(path).read_text())["execute"]["timeout"] == -1
