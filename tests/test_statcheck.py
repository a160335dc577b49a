"""The readings of printed values: true readings are never excluded, and limits are those of brute force."""

import itertools
import re

import numpy as np
import pytest
from scipy.special import expit, logit

from afl_helpers.__main__ import main
from afl_helpers.claims import AUC_SOURCES, AVERAGES, REPORTED, check_readings, implied
from afl_helpers.claims.statcheck import least_mean_f1
from afl_helpers.errors import UsageError
from afl_helpers.evaluation import evaluate

#: Reading -> the metrics of evaluate() that a paper would print under it.
METRICS = {
    ("micro", "scores"): ("precision_micro", "recall_micro", "f1_micro", "roc_auc_micro"),
    ("micro", "decisions"): ("precision_micro", "recall_micro", "f1_micro", "roc_auc_micro_of_decisions"),
    (AVERAGES[1], "scores"): ("precision_macro", "recall_macro", "f1_macro", "roc_auc_macro"),
    (AVERAGES[1], "decisions"): ("precision_macro", "recall_macro", "f1_macro", "roc_auc_macro_of_decisions"),
    (AVERAGES[2], "scores"): ("precision_macro", "recall_macro", "f1_macro_of_means", "roc_auc_macro"),
    (AVERAGES[2], "decisions"): ("precision_macro", "recall_macro", "f1_macro_of_means", "roc_auc_macro_of_decisions"),
}
NAMES = ("precision", "recall", "f1", "auc")


def tables(n_tables: int):
    """Yield metrics, number of labels and density of generated tables: few and many labels, weak and strong scores."""
    rng = np.random.default_rng(0)
    for _ in range(n_tables):
        n_labels, n_documents = rng.integers(1, 30), rng.integers(20, 300)
        rates = rng.uniform(0.02, 0.6, n_labels)
        targets = (rng.random((n_documents, n_labels)) < rates).astype(int)
        targets[0], targets[1] = 1, 0  # every label has a positive and a negative, so that each AUC is defined
        scores = expit(rng.normal(size=targets.shape) + rng.uniform(0, 4) * targets + logit(rates))
        yield evaluate(targets, scores, rng.uniform(0.05, 0.9)), int(n_labels), float(targets.mean())


@pytest.fixture(scope="module")
def verdicts():
    """Per table, true reading and number of digits: what is excluded, from what is printed."""
    found = []
    for metrics, n_labels, density in tables(150):
        for truth, keys in METRICS.items():
            for digits in (2, 3, 4):
                printed = {name: f"{metrics[key]:.{digits}f}" for name, key in zip(NAMES, keys)}
                checks = check_readings(**printed, n_labels=n_labels, density=density)
                found.append((truth, digits, n_labels, {(one.average, one.auc_of): one.possible for one in checks}))
    return found


def test_the_true_reading_is_never_excluded(verdicts):
    assert [(truth, digits) for truth, digits, _, possible in verdicts if not possible[truth]] == []


def test_wrong_readings_are_found_out(verdicts, record_property):
    """How often, with four digits: the check would be worthless if it excluded nothing."""

    def share(truth, wrong):
        tried = [not possible[wrong] for one, digits, n, possible in verdicts if one == truth and digits == 4 and n > 3]
        record_property(f"{truth} taken for {wrong}", float(np.mean(tried)))
        return np.mean(tried)

    mean_of_f1s, of_means = AVERAGES[1], AVERAGES[2]
    assert share((mean_of_f1s, "scores"), ("micro", "scores")) > 0.9
    assert share((mean_of_f1s, "scores"), (of_means, "scores")) > 0.9
    assert share(("micro", "scores"), ("micro", "decisions")) > 0.9
    assert share(("micro", "decisions"), ("micro", "scores")) < 0.1  # such an AUC always has a curve of scores
    assert share((mean_of_f1s, "scores"), (mean_of_f1s, "decisions")) > 0.5


@pytest.mark.parametrize("n_labels", [1, 2, 3])
def test_the_least_mean_f1_is_that_of_all_tables_on_a_grid(n_labels):
    """Over precisions and recalls in quarters: the bound is reached, and never undercut."""
    steps = np.arange(5) / 4
    least: dict[tuple[float, float], float] = {}
    for p in itertools.combinations_with_replacement(steps, n_labels):
        for r in itertools.product(steps, repeat=n_labels):
            both = np.add(p, r)
            f1 = np.divide(2 * np.multiply(p, r), both, out=np.zeros(n_labels), where=both > 0).mean()
            key = (float(np.mean(p)), float(np.mean(r)))
            least[key] = min(f1, least.get(key, 1.0))
    for (precision, recall), value in least.items():
        assert least_mean_f1(precision, recall, n_labels) == pytest.approx(value, abs=1e-12)
        assert least_mean_f1(precision, recall) <= value + 1e-12


def test_the_aucs_of_micro_readings_are_those_of_all_tables():
    """Random confusion tables within the printed ranges: none has an AUC outside the limits, some come near both."""
    rng = np.random.default_rng(1)
    density = (0.02, 0.2)
    checks = check_readings("0.6", "0.5", "0.5", "0.7", density=density)
    recall, t = rng.uniform(0.45, 0.55, 200_000), rng.uniform(0, 1, 200_000)
    k = rng.uniform(*(d / (1 - d) for d in density), len(t))
    precision, rate = recall / (recall + t), k * t
    f1 = 2 * recall / (recall + 1 + t)
    kept = (abs(precision - 0.6) <= 0.05) & (abs(f1 - 0.5) <= 0.05)
    recall, rate = recall[kept], rate[kept]
    least = recall * (1 - rate)
    for check, low, high in (
        (checks[0], least, 1 - rate * (1 - recall)),
        (checks[1], (1 + recall - rate) / 2, (1 + recall - rate) / 2),
    ):
        assert check.auc[0] <= low.min() < check.auc[0] + 0.005 and check.auc[1] - 0.005 < high.max() <= check.auc[1]


def test_micro_values_agree_with_the_arithmetic_of_the_papers_own():
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(300):
        f1, auc = f"{rng.uniform(0.05, 0.95):.3f}", f"{rng.uniform(0.4, 0.95):.3f}"
        density = tuple(sorted(rng.uniform(0, 0.4, 2)))
        check = next(
            one for one in check_readings(f1=f1, auc=auc, density=density) if one.title == "micro; AUC of decisions"
        )
        assert check.possible == implied(f1, auc, density).possible
        seen.add(check.possible)
    assert seen == {True, False}


def test_an_f1_outside_of_precision_and_recall_is_a_mean_of_f1s():
    checks = check_readings("0.2937", "0.2283", "0.2095")  # issue 87 of GERBIL, NERD-ML on KORE50
    assert [check.average for check in checks if check.possible] == [AVERAGES[1]]
    assert not any(check.possible for check in check_readings("0.60", "0.40", "0.55"))


def test_the_notes_on_other_papers_say_what_the_arithmetic_says():
    def possible(*values):
        return [check.title for check in check_readings(*values) if check.possible]

    assert possible("0.748", "0.675", "0.710") == list(AVERAGES)  # SGM, Table 1: three digits exclude none
    assert possible("0.7655", "0.6592", "0.8398") == []  # medBERT.de's table: the micro F1 beside other averages
    assert possible("0.7655", "0.6592", "0.6906", "0.9248") == [f"{AVERAGES[1]}; AUC of scores"]
    hospital = possible("0.6796", "0.1701", "0.2720", "0.9382", 8922)
    assert "micro; AUC of scores" in hospital and "micro; AUC of decisions" not in hospital
    assert f"{AVERAGES[2]}; AUC of scores" in possible("0.6144", "0.3762", "0.4666", "0.8438", 50)


def test_the_papers_auc_with_its_recall_is_not_one_of_decisions():
    printed = REPORTED["afl"]
    checks = check_readings(
        recall=printed["recall_micro"], f1=printed["f1"], auc=printed["roc_auc"], density=(0.0, 0.2)
    )
    assert {check.auc_of for check in checks if check.possible} == {"scores"}
    assert {check.auc_of for check in checks} == set(AUC_SOURCES)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"f1": "0.5"}, "fewer than two values"),
        ({"f1": "0.5", "recall": "50"}, "not a share"),
        ({"f1": "0.5", "recall": "a half"}, "is not a number"),
        ({"f1": "0.5", "recall": "0." + 400 * "3"}, "more than 15 digits"),
        ({"f1": "0.5", "recall": "0.5", "n_labels": 0}, "n_labels is 0"),
        ({"f1": "0.5", "auc": "0.7", "density": 1.5}, "density is 1.5"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words):
    with pytest.raises(UsageError, match=words):
        check_readings(**arguments)


def test_the_command_prints_each_reading(capsys):
    assert main(["statcheck", "--recall", "0.5282", "--f1", "0.50", "--auc", "0.79", "--density", "0.01:0.2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[0].startswith("possible: micro; AUC of scores (the other values allow an F1 from ")
    assert re.search(r" and an AUC from 0\.\d{4} to 0\.\d{4}\)$", lines[0])
    assert lines[1].startswith("excluded: micro; AUC of decisions (the other values allow an AUC from ")
    assert main(["statcheck", "--precision", "0.60", "--recall", "0.40", "--f1", "0.55"]) == 0
    assert "No reading gives these values" in capsys.readouterr().out
    assert main(["statcheck", "--f1", "0.5", "--auc", "0.7", "--density", "few"]) == 1
    assert "--density 'few'" in capsys.readouterr().err
