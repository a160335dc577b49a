"""The README's snippets run as printed, and its figures are those of every other page."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from afl_helpers.results import read_study
from afl_helpers.studies import compare_study

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def run(code: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_snippet_of_a_loss_runs_as_printed(tmp_path):
    printed, moved = run(SNIPPETS[0] + "loss(logits, targets).backward(); print(logits.grad.any())", tmp_path).split(
        "\n"
    )[:2]
    assert printed.startswith("tensor(0.") and moved == "tensor(True)"


@pytest.mark.slow
def test_the_snippet_of_training_runs_as_printed(tmp_path):
    first, labels = run(SNIPPETS[1], tmp_path).splitlines()
    assert 0.3 < float(first) < 1 and re.match(r"\[\['", labels)


def test_these_are_all_the_snippets():
    assert len(SNIPPETS) == 2


def test_the_figures_of_the_first_screen_are_those_of_the_runs():
    def tails(study: str) -> dict[str, float]:
        by_setting: dict[str, list[float]] = {}
        for run in read_study(study, ROOT / "results"):
            by_setting.setdefault(run.setting, []).append(run.metric("average_precision_macro_tail@at_0.5"))
        assert {len(values) for values in by_setting.values()} == {6}
        return {setting: sum(values) / 6 for setting, values in by_setting.items()}

    svm, losses = tails("word-counts-9500")["tfidf-linear-svm"], tails("paper-minilm")
    best = max(losses.values())
    assert losses["focal-2.5"] == best < svm and len(losses) == 5
    plain = " ".join(README.split())
    assert (
        f"(average precision {svm:.3f} against {best:.3f} for the best of them, focal loss at 2.5)".replace("0.", ".")
        in plain
    )
    found = [compare_study(name, ROOT / "results") for name in ("frozen-encoder", "frozen-hoc", "frozen-unfair-tos")]
    assert not any((table["outcome"] == "higher").any() for table in found)
    assert f"{sum(map(len, found))} comparisons of AFL with cross-entropy were registered" in README
    larger = compare_study("frozen-mpnet", ROOT / "results")
    higher = larger[larger["outcome"] == "higher"]
    assert (
        f"larger encoder {len(higher)} of {len(larger)} show one, of .03 in average precision on rare news topics"
        in " ".join(README.split())
    )
    assert higher["estimate"].round(2).eq(0.03).all() and set(higher["endpoint"]) == {"average_precision_macro_tail"}


def page(name: str) -> str:
    text = (ROOT / "book" / name).read_text(encoding="utf-8")
    if name.endswith(".ipynb"):
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return text


def figures(pattern: str, *texts: str) -> set[str]:
    """Return what a pattern finds in the texts; each must have it."""
    found = [re.findall(pattern, text) for text in texts]
    assert all(found), f"{pattern}: {found}"
    return {value for values in found for value in values}


def test_memory_and_minutes_are_the_same_on_every_page():
    index, teaching = page("index.ipynb"), page("teaching.md")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert figures(r"(?:cores, |memory \| )(\d+ GB)(?= of memory| \|)", README.partition("`make test`")[0], index) == {
        "4 GB"
    }
    assert len(figures(r"a GPU with (\d+ GB)", README, index)) == 1
    assert len(figures(r"about (\d+) minutes on two idle cores", README, index)) == 1
    assert len(figures(r"`make test`.{0,80}?about (\d+) minutes", README, teaching)) == 1
    fast = (ROOT / "tools" / "run.py").read_text(encoding="utf-8")
    assert figures(r"under (\d|three) minutes", contributing, fast) == {"three", "3"}


def test_the_versions_of_python_are_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    first, last = versions[0], versions[-1]
    assert f"Python {first} to {last}" in README and project["requires-python"] == f">={first}"
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"][0]
    assert conda == f"python>={first},<3.{int(last.split('.')[1]) + 1}"
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "versions.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["python"]["strategy"]["matrix"]["python"] == versions


def test_the_first_page_names_the_study_that_the_full_profile_is_not():
    assert "does not reproduce" in README and "study paper-cmu" in README
