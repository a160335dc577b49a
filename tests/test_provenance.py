"""Recorded runs, done again from their files: the same figures on the same kind of machine, two documents off elsewhere."""

import copy
import os
from pathlib import Path

import pytest

from afl_helpers.errors import DataError
from afl_helpers.results import pack_decisions, read_result, unpack_decisions
from afl_helpers.studies import difference, repeat

RESULTS = Path(__file__).resolve().parent.parent / "results"


def recorded(run: str, study: str = "provenance") -> dict[str, object]:
    result = read_result(RESULTS / study / "runs" / f"{run}.json")
    if result["data"]["corpus"] != "toy" and not os.environ.get("AFL_DATA_DIR"):
        pytest.skip("real data is needed: set AFL_DATA_DIR")
    return result


def check(result: dict[str, object]) -> None:
    found = difference(result, repeat(result))
    if found["same_environment"]:
        assert found["metric"] <= 1e-6
    assert found["n_documents"] <= (0 if found["same_environment"] else 2)


@pytest.mark.parametrize(
    "run", ["toy--afl--seed0", "toy--bce--seed0", "cmu-leads--afl--seed0", "cmu-leads--bce--seed0"]
)
def test_a_recorded_run_comes_out_as_recorded(run):
    check(recorded(run))


@pytest.mark.slow
@pytest.mark.parametrize(
    "study, run",
    [
        ("probe", "cmu-leads--afl--seed0"),
        ("probe", "cmu-leads--bce--seed1"),
        ("probe", "cmu-leads-masked--afl--seed0"),
        ("probe", "reuters--afl--seed0"),
        ("baselines", "reuters--tfidf-linear-svm--seed0"),
        ("paper", "cmu-leads--afl--seed0"),
    ],
)
def test_a_run_of_full_size_comes_out_as_recorded(study, run):
    check(recorded(run, study))


def test_what_differs_is_found():
    result = recorded("toy--bce--seed0")
    other = copy.deepcopy(result)
    assert difference(result, other) == {"metric": 0.0, "n_documents": 0, "same_environment": True}
    other["metrics"]["test"]["at_0.5"]["f1_micro"] += 0.25
    shape = other["data"]["parts"]["test"], other["data"]["n_labels"]
    packed = other["bootstrap"]["decisions"]
    decisions = unpack_decisions(packed["tuned_per_label"], shape)
    decisions[[0, 3], 2] ^= True
    packed["tuned_per_label"] = pack_decisions(decisions)
    other["environment"] |= {"commit": "another", "torch": "1.0"}
    found = difference(result, other)
    assert found == {"metric": pytest.approx(0.25), "n_documents": 2, "same_environment": False}
    other["metrics"]["test"]["at_0.5"]["f1_micro"] = None
    assert difference(result, other)["metric"] == float("inf")


def test_other_data_are_refused():
    result = copy.deepcopy(recorded("toy--bce--seed0"))
    result["data"]["fingerprint"] = "0" * 16
    with pytest.raises(DataError, match="'toy--bce--seed0' was measured on toy with fingerprint 0000"):
        repeat(result)
