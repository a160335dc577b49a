"""Each benchmark runs at a small size; what it writes, the page on speed can show."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options", "words"),
    [
        ("load", ["--sizes", "200", "400"], "evaluation"),
        ("training", ["--case", "tiny", "leads", "4", "--documents", "16"], "tuned loop"),
        ("training", ["--case", "tiny", "plots", "4", "--documents", "16"], "where fine_tune's time goes"),
    ],
)
def test_a_benchmark_runs_at_a_small_size_and_overwrites_nothing(script, options, words):
    before = (RESULTS / f"{script}.json").read_bytes()
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / f"{script}.py", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert words in done.stdout
    assert (RESULTS / f"{script}.json").read_bytes() == before


@pytest.mark.parametrize("script", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_every_benchmark_has_its_file(script):
    assert json.loads((RESULTS / f"{script}.json").read_text())


def test_a_million_documents_fit_into_eight_gigabytes():
    sizes = json.loads((RESULTS / "load.json").read_text())["sizes"]
    assert sizes[-1]["n_documents"] == 1_000_000
    assert max(max(row["memory_gb"].values()) for row in sizes) < 8


def test_fine_tuning_is_faster_than_a_plain_trainer_where_it_was_measured():
    cases = json.loads((RESULTS / "training.json").read_text())["encoders"]
    ratios = {way: row["fine_tune_is"] for way, row in cases["minilm, leads, batch 16"].items()}
    assert ratios["plain Trainer"] >= 1.3 and ratios["Trainer, padded"] >= 1.7 and ratios["tuned loop"] >= 0.95
