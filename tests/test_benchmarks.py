"""Each benchmark runs at a small size; what it writes, the page on speed can show."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
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
        *(
            (
                "training",
                ["--one", "tuned loop", "tiny", "leads", "4", "--documents", "16", "--lever", lever],
                "padding",
            )
            for lever in ("batches of equal tokens", "bf16", "pinned, prefetched batches", "no mask", "CUDA graphs")
        ),
        ("memory", ["--one", "1"], "."),
        ("memory", ["--one", "0.5", "1"], "the memory is too small; pass a max_length below 512"),
        ("losses", ["--times", "16", "363", "1", "0", "0", "cpu"], "afl_helpers, two_way"),
        ("losses", ["--memory", "16", "363", "cpu"], "afl_helpers, two_way"),
    ],
)
def test_a_benchmark_runs_at_a_small_size_and_overwrites_nothing(script, options, words):
    before = (RESULTS / f"{script}.json").read_bytes()
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / f"{script}.py", *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert words in done.stdout
    assert (RESULTS / f"{script}.json").read_bytes() == before


@pytest.mark.parametrize("script", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_every_benchmark_has_its_file_which_says_where_it_was_measured(script):
    environment = json.loads((RESULTS / f"{script}.json").read_text())["environment"]
    assert re.fullmatch("[0-9a-f]{40}", environment["commit"])
    assert all(environment[name] for name in ("device", "processor", "python", "torch", "numpy"))


def test_a_million_documents_fit_into_eight_gigabytes():
    sizes = json.loads((RESULTS / "load.json").read_text())["sizes"]
    assert sizes[-1]["n_documents"] == 1_000_000
    assert max(max(row["memory_gb"].values()) for row in sizes) < 8


def test_fine_tuning_is_faster_than_a_plain_trainer_where_it_was_measured():
    cases = json.loads((RESULTS / "training.json").read_text())["encoders"]
    ratios = {way: row["fine_tune_is"] for way, row in cases["minilm, leads, batch 16"].items()}
    assert ratios["plain Trainer"] >= 1.3 and ratios["Trainer, padded"] >= 1.7 and ratios["tuned loop"] >= 0.95


def test_evaluation_and_checkpoints_take_under_a_twentieth_of_the_time_where_it_was_measured():
    longer = json.loads((RESULTS / "training.json").read_text())["longer_epochs"]
    shares = longer["shares"]
    assert longer["case"].startswith("minilm")
    assert shares["evaluation"] + shares["checkpoints"] < 0.05 and shares["loss, forward"] < 0.01


def test_the_memory_counted_is_that_measured_and_predicts_what_fits_under_a_cap():
    memory = json.loads((RESULTS / "memory.json").read_text())
    counted = {row["documents"]: row["float32"] for row in memory["counted_gb"]}
    for documents, measured in memory["measured_gb"].items():
        assert measured == pytest.approx(counted[int(documents)], rel=0.1)
    for row in memory["tried"]:
        assert (row["error"] is None) == (counted[row["batch_size"]] <= row["cap_gb"])
        # The setting that the error names keeps the documents a step.
        for batch_size, accumulation_steps in re.findall(
            r"batch_size=(\d+) with accumulation_steps=(\d+)", row["error"] or ""
        ):
            assert int(batch_size) < row["batch_size"] and int(batch_size) * int(accumulation_steps) == 16


def test_two_chapters_at_a_time_take_a_third_off_the_build_where_it_was_measured():
    one, two = json.loads((RESULTS / "build.json").read_text())["builds"].values()
    assert two["running chapters"] <= 2 / 3 * one["running chapters"]


def test_the_count_of_one_document_holds_weights_gradients_and_both_means_of_the_optimiser():
    count = subprocess.run(
        [sys.executable, "-c", "from memory import counted_gb; print(counted_gb(1, bf16=True))"],
        cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True,
    )  # fmt: skip
    n_weights = 109_482_240 + 363 * 769  # BERT base, and the head
    assert float(count.stdout) == pytest.approx(16 * n_weights / 1e9, rel=0.01)


def test_the_page_shows_a_gpu_once_one_was_measured(tmp_path):
    cells = {
        cell["id"]: "".join(cell["source"]) for cell in json.loads((ROOT / "book" / "speed.ipynb").read_text())["cells"]
    }
    found = json.loads((RESULTS / "training.json").read_text()) | {"peak_tflops": 989}
    next(iter(found["encoders"].values()))["fine_tune"]["busy"] = (
        None  # a run shorter than the time between two samples
    )
    (tmp_path / "training-gpu.json").write_text(json.dumps(found))
    shown = []
    names = {
        "folder": tmp_path,
        "read": lambda name: found,
        "machine": lambda _: "a card",
        "pd": pd,
        "display": shown.append,
    }
    exec(cells["speed-gpu"], names)
    loop = found["encoders"]["minilm, leads, batch 16"]["tuned loop"]
    assert shown[0].loc["tuned loop, documents per second", "minilm, leads, batch 16"] == round(
        loop["documents_per_second"]
    )
    assert list(shown[0].loc["GPU busy"])[0] == "" and list(shown[0].loc["model FLOPs utilisation"]) == ["0%", "0%"]


def test_batches_of_equal_tokens_hold_each_text_once_and_no_more_padding():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from training import batches_of
    finally:
        sys.path.pop(0)
    lengths = [5, 90, 7, 100, 6, 95, 100, 8, 9, 10] * 20
    batches = list(batches_of(range(len(lengths)), lengths, by_tokens=True))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    assert all(len(batch) * max(lengths[i] for i in batch) <= 16 * sum(lengths) / len(lengths) for batch in batches)
