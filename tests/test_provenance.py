"""Recorded runs, done again from their files: the same metrics on the same kind of machine, nearly the same elsewhere."""

import copy
import os
from dataclasses import replace
from pathlib import Path

import pytest

from afl_helpers.errors import DataError
from afl_helpers.results import Result, read_result
from afl_helpers.studies import Deviation, difference, repeat

RESULTS = Path(__file__).resolve().parent.parent / "results"


def recorded(run: str, study: str = "provenance") -> Result:
    result = read_result(RESULTS / study / "runs" / f"{run}.json")
    if result.data.corpus != "toy" and not os.environ.get("AFL_DATA_DIR"):
        pytest.skip("real data is needed: set AFL_DATA_DIR")
    return result


def check(result: Result) -> None:
    found = difference(result, repeat(result))
    if found.same_environment:
        assert found.metric <= 1e-5  # files keep six digits
    # On another processor two documents may cross a threshold: each is a prediction and perhaps a right one.
    assert found.n_decisions <= (0 if found.same_environment else 4)


@pytest.mark.parametrize(
    "run", ["toy--afl--seed0", "toy--bce--seed0", "cmu-leads--afl--seed0", "cmu-leads--bce--seed0"]
)
def test_a_recorded_run_comes_out_as_recorded(run):
    check(recorded(run))


@pytest.mark.parametrize("run", ["toy--afl--seed0", "cmu-leads--afl--seed0"])
def test_a_run_on_other_splits_is_refused_and_names_its_commit(run):
    result = recorded(run)
    counts = result.labels.training_count.copy()
    counts[:2] += (1, -1)  # one document more with one label, one fewer with another
    sentence = rf"^run '{run}' was measured on .*; .*repeat it with the version that made it, commit [0-9a-f]{{40}}$"
    with pytest.raises(DataError, match=sentence):
        repeat(replace(result, labels=replace(result.labels, training_count=counts)))


def test_what_differs_is_found():
    result = recorded("toy--bce--seed0")
    assert difference(result, copy.deepcopy(result)) == Deviation(0.0, 0, True)
    other = copy.deepcopy(result)
    other.metrics["test"]["at_0.5"]["f1_micro"] += 0.25
    other.labels.predicted["tuned_per_label"][2] += 2
    other.labels.true_positives["tuned_per_label"][2] += 1
    other.environment.update(commit="another", torch="1.0")
    assert difference(result, other) == Deviation(pytest.approx(0.25), 3, False)
    other.metrics["test"]["at_0.5"]["f1_micro"] = float("nan")
    assert difference(result, other).metric == float("inf")


def test_other_data_are_refused():
    result = recorded("toy--bce--seed0")
    result = replace(result, data=replace(result.data, fingerprint="0" * 16))
    with pytest.raises(DataError, match="'toy--bce--seed0' was measured on toy with fingerprint 0000"):
        repeat(result)
