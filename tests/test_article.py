"""The reproduction article: no number in its text is typed, its table is that of the command, its pages are as promised."""

import json
import re
from pathlib import Path

import make_article
import numpy as np
import pandas as pd
import pypdf
import pytest
import yaml

from afl_helpers.__main__ import main
from afl_helpers.errors import DataError
from afl_helpers.studies import compare_study

ROOT = Path(__file__).resolve().parent.parent
TEXT = ROOT / "article" / "article.typ"
#: What may hold digits: values, citations, comments, and the names F1 and of files.
NOT_TYPED = re.compile(r"#val\.[\w.]*\w|@[a-z]\w*|//.*|\"[\w.]+\.(typ|bib)\"|\bF1\b")
NUMBER_WORDS = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|twenty|dozen|hundred"
    r"|thousand|million|twice|both)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def values():
    return make_article.facts()


@pytest.fixture(scope="module")
def pdf(values, tmp_path_factory):
    pytest.importorskip("typst", reason='Typst is not installed: pip install ".[article]"')
    return make_article.write(values, tmp_path_factory.mktemp("built") / "article")


def printed(pdf: Path) -> str:
    """Return the text of all pages without spaces and hyphens at line ends."""
    text = "".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)
    return re.sub(r"[\s\u00ad-]", "", text)


def numbers_in(text: str) -> list[str]:
    text = NOT_TYPED.sub("", text)
    return re.findall(r"\S*\d\S*", text) + NUMBER_WORDS.findall(text)


def test_no_number_in_the_text_is_typed():
    assert numbers_in(TEXT.read_text(encoding="utf-8")) == []


def test_the_check_finds_numbers_in_digits_and_in_words():
    text = "F1 of #val.svm is 0.3 on ten blocks @lin2017focal // not 5\n"
    assert numbers_in(text) == ["0.3", "ten"]


def test_the_table_of_claims_is_that_of_the_command(values, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    assert main(["claims"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r"C\d", line)]
    rows = [
        f"{row['id']:4} {row['verdict']}: {row['claim']}" + (f"; {row['effect']}" if row["effect"] else "")
        for row in values["claims"]["rows"]
    ]
    assert [row.replace("−", "-") for row in rows] == lines


def test_the_pages_show_every_claim_with_its_verdict_and_effect(values, pdf):
    text = printed(pdf)
    for row in values["claims"]["rows"]:
        for part in ("id", "claim", "verdict", "effect"):
            assert re.sub(r"[\s-]", "", row[part]) in text, (row["id"], part)


def test_it_has_four_to_six_pages_without_pixels(pdf):
    reader = pypdf.PdfReader(pdf)
    assert 4 <= len(reader.pages) <= 6
    assert [image.name for page in reader.pages for image in page.images] == []
    shapes = [len(re.findall(rb"\bre\b|\bc\b|\bl\b", page.get_contents().get_data())) for page in reader.pages]
    assert sum(shapes) > 500  # what the figures are drawn with


def test_it_can_be_read_aloud_and_searched(values, pdf):
    """Tagged, with a language and a title; figures have words (the PDF/UA standard refuses a file without)."""
    reader = pypdf.PdfReader(pdf)
    catalogue = reader.trailer["/Root"]
    assert catalogue["/MarkInfo"]["/Marked"] and catalogue["/Lang"].startswith("en")
    assert reader.metadata.title == values["about"]["title"]
    assert b"pdfuaid" in catalogue["/Metadata"].get_object().get_data()


def test_title_and_authors_are_those_of_the_citation_file(values):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    about = values["about"]
    assert about["title"] == f"[Re] {citation['references'][0]['title']}"
    assert about["authors"] == [author["name"] for author in citation["authors"]]
    told = dict(about["facts"])
    assert citation["version"] in told["Code and results"] and citation["references"][0]["doi"] in told["Original"]


def test_an_address_in_the_citation_file_is_named(tmp_path):
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    (tmp_path / "CITATION.cff").write_text(text + "repository-code: https://github.com/somebody/their-book\n")
    assert "github.com/somebody/their-book" in dict(make_article.about(tmp_path)["facts"])["Code and results"]


def test_two_builds_are_the_same_file(values, pdf, tmp_path):
    assert make_article.write(values, tmp_path / "again").read_bytes() == pdf.read_bytes()


def test_values_are_those_of_the_result_files(values):
    """Two values of the figures and one of the text, from the files without the package."""

    def found(study: str, corpus: str, setting: str, rule: str, metric: str) -> list[float]:
        files = sorted((ROOT / "results" / study / "runs").glob(f"{corpus}--{setting}--*.json"))
        runs = [json.loads(path.read_text()) for path in files if "--pilot" not in path.name]
        return [run["metrics"]["test"][rule][metric] for run in runs]

    where = "average_precision_macro_tail"
    afl, bce = (found("frozen-encoder", "cmu-leads", name, "all_rules", where) for name in ("afl", "bce"))
    plot = values["differences"]
    row = [row["name"] for row in plot["rows"]].index("AFL")
    point = next(point for point in plot["panels"][0]["points"] if point["row"] == row)
    assert len(afl) == 10 and point["at"] == pytest.approx(np.mean(afl) - np.mean(bce), abs=1e-6)
    bce_with_cut = found("frozen-encoder", "reuters", "bce", "tuned_proportional", "f1_macro")
    row = max(i for i, row in enumerate(values["rules"]["plot"]["rows"]) if row["name"] == "BCE")
    point = next(point for point in values["rules"]["plot"]["panels"][2]["points"] if point["row"] == row)
    assert point["at"] == pytest.approx(np.mean(bce_with_cut)) and point["low"] == pytest.approx(min(bce_with_cut))
    svm = found("word-counts", "reuters", "tfidf-linear-svm", "tuned_proportional", "f1_macro")
    assert f"{np.mean(svm):.3f} on news topics, against {np.mean(bce_with_cut):.3f} for BCE" in values["svm"]


def test_it_is_not_written_once_the_results_say_something_else():
    table = compare_study("frozen-encoder", ROOT / "results")
    make_article.frozen(table)
    with pytest.raises(DataError, match="no registered difference is higher; the results no longer show it"):
        make_article.frozen(table.assign(outcome="higher"))
    with pytest.raises(DataError, match="every registered interval ends below the margin"):
        make_article.frozen(table.assign(high=1.0, high_corrected=1.0))


def test_a_study_is_running_until_all_its_runs_are_there(monkeypatch):
    table = pd.DataFrame(
        [
            {
                **{
                    "setting": "afl",
                    "rival": "bce",
                    "endpoint": "average_precision_macro_tail",
                    "outcome": "undecided",
                },
                **{"estimate": -0.01, "decided_by": "paired t", "low": -0.03, "high": 0.01, "p_adjusted": 0.2},
            }
        ]
    )
    monkeypatch.setattr(make_article, "registered", lambda name: ("", table))
    assert make_article.of_study("paper-cmu", "on a GPU") == {
        "status": "The study paper-cmu, on a GPU, is complete: AFL minus BCE, average precision of the tail, "
        "−0.010 [−0.030, +0.010], undecided."
    }
    monkeypatch.setattr(make_article, "registered", lambda name: ("", None))
    monkeypatch.setattr(make_article, "describe_progress", lambda study: "running: 3 of 25 runs")
    assert make_article.of_study("paper-cmu", "on a GPU")["status"].endswith("is running: 3 of 25 runs.")


def test_every_device_is_named():
    class Run:
        def __init__(self, device):
            self.environment = {"device": device}

    assert "All 2 runs of this article were made on CPUs" in make_article.devices([Run("CPU, 1 thread")] * 2)
    both = make_article.devices([Run("CPU, 1 thread"), Run("NVIDIA H100"), Run("NVIDIA H100")])
    assert both == "Runs were made on NVIDIA H100 (2) and CPU (1)."
    more = make_article.devices([Run("CPU, 1 thread")], [Run("NVIDIA H100"), Run("NVIDIA H100")])
    assert more == "Runs were made on NVIDIA H100 (2) and CPU (1); 2 of them are of studies that give no verdict."


def test_without_typst_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "typst", None)
    assert make_article.main([]) == 1
    assert "Typst is not installed; run `pip install" in capsys.readouterr().err


def test_the_folder_is_left_with_what_typst_needs(values, pdf):
    names = {path.name for path in pdf.with_suffix("").iterdir()}
    assert names == {"article.typ", "style.typ", "references.bib", "values.json"}
