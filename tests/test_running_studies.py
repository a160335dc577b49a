"""A page that needs a study which is still running stops with a sentence, before it shows anything of that study's test figures."""

import json
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from afl_helpers.chapters.display import describe_detectable, describe_outcomes
from afl_helpers.errors import DataError
from afl_helpers.studies import compare_study, load_study
from afl_helpers.studies.primary import primary_runs

ROOT = Path(__file__).resolve().parent.parent


def results_without(study: str, which: int, folder: Path) -> None:
    """Link all results into a folder, and leave out one primary run of a study."""
    (folder / "results" / study / "runs").mkdir(parents=True)
    for path in (ROOT / "results").iterdir():
        if path.name != study:
            (folder / "results" / path.name).symlink_to(path)
    missing = primary_runs(load_study(study, ROOT / "results"))[which].name
    for path in [*(ROOT / "results" / study).iterdir(), *(ROOT / "results" / study / "runs").iterdir()]:
        link = folder / path.relative_to(ROOT)
        if path.stem != missing and not link.exists():
            link.symlink_to(path)


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize(
    "page, study",
    [
        ("index", "tuned-to-the-end"),
        ("index", "paper-minilm"),
        ("index", "frozen-encoder"),
        ("results", "tuned-to-the-end-minilm"),
        ("results", "frozen-encoder"),
        ("results", "start-and-stop"),
        ("results", "paper-minilm"),
        ("more-results", "frozen-encoder"),
        ("more-results", "tuned-to-the-end"),
        ("more-results", "start-and-stop"),
        ("what-to-do", "remedies"),
        ("more-remedies", "remedies"),
        ("beyond-films", "frozen-unfair-tos"),
        ("beyond-films", "frozen-mpnet"),
        ("more-metrics", "frozen-encoder"),
        ("paper-numbers", "frozen-encoder"),
    ],
)
def test_a_page_stops_where_a_study_is_running(page, study, which, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_without(study, which, tmp_path)
    matplotlib.use("agg")
    cells = json.loads((ROOT / "book" / f"{page}.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    with pytest.raises(
        DataError, match=rf"^{study} is running: \d+ of \d+ runs; .* python -m afl_helpers study {study}$"
    ):
        for cell in cells:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and "check(" not in source:
                exec(source, names)


def test_detectable_differences_are_those_of_the_undecided():
    table = compare_study("frozen-encoder", ROOT / "results")
    own = table.loc[table["outcome"] == "undecided", "detectable"]
    assert describe_detectable(table).endswith(
        f"would find is {own.min():.3f} to {own.max():.3f}, depending on the row."
    )
    assert describe_detectable(None) == describe_detectable(pd.DataFrame()) == ""
    assert describe_detectable(table[table["outcome"] != "undecided"]) == ""


def test_a_study_that_has_not_converged_has_no_counts_of_outcomes():
    table = compare_study("tuned-to-the-end-minilm", ROOT / "results")
    assert describe_outcomes(table).endswith(
        "of 2 differences none has a verdict, because longer training still changed the numbers."
    )
