"""The files in examples/ run as they are, and the page shows all of them."""

import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from afl_helpers.data import load_corpus
from afl_helpers.evaluation import evaluate, tune_thresholds

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGE = ROOT / "book" / "examples.md"
#: Libraries that the environment of the book does not have.
OPTIONAL = {"with_lightning": "lightning", "with_sentence_transformers": "sentence_transformers"}


@pytest.mark.processes
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_trains_and_its_scores_rank_documents(path, tmp_path):
    library = OPTIONAL.get(path.stem)
    if library and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, path], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    printed = dict(re.findall(r"^(at_0\.5|tuned_proportional): macro F1 (0\.\d{3})$", done.stdout, re.MULTILINE))
    assert len(printed) == 2, done.stdout
    assert float(printed["tuned_proportional"]) > _chance()


@cache
def _chance() -> float:
    """Return the macro F1 of the proportional cut on scores drawn at random, in the mean over 100 draws."""
    corpus = load_corpus("toy").select_labels(top=4).sample(300)
    train, validation, test = corpus.split(0.6, 0.2, 0.2, seed=0)
    rng = np.random.default_rng(0)
    rates = train.label_counts / len(train)
    values = []
    for _ in range(100):
        known, new = rng.random(validation.labels.shape), rng.random(test.labels.shape)
        cut = tune_thresholds(validation.labels, known, rule="proportional", label_rates=rates)
        values.append(evaluate(test.labels, new, cut)["f1_macro"])
    return float(np.mean(values))


def test_the_page_shows_every_example_and_no_other():
    shown = re.findall(r"\{literalinclude\} \.\./(examples/\S+)", PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == [path.relative_to(ROOT).as_posix() for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_fits_the_page(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 80
