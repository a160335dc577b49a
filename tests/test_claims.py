"""The paper's arithmetic against confusion tables, and the verdicts on claims with planted differences."""

import itertools
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score, roc_auc_score

from afl_helpers.chapters.figures import claim_by_reading
from afl_helpers.chapters.verdicts import (
    TUNED_STUDIES,
    claim_evidence,
    reading_table,
    tail_by_epochs,
    tuned_differences,
    verdict_table,
)
from afl_helpers.claims import (
    CLAIMS,
    READINGS,
    REPORTED,
    REPORTED_VALUES,
    REUTERS_CUTOFFS,
    VERDICTS,
    claims_table,
    consistency,
    findings,
    implied,
    max_auc,
    published_reuters,
    reported_range,
    verdicts,
)
from afl_helpers.claims.definitions import GAMMA_READINGS
from afl_helpers.claims.evidence import PAPER_CONFIG, find, group_runs
from afl_helpers.errors import MissingFileError, UsageError
from afl_helpers.evaluation import frequency_groups
from afl_helpers.results import (
    DataRecord,
    LabelRecord,
    LossRecord,
    Result,
    TimeRecord,
    compare,
    deciding_interval,
)
from afl_helpers.studies import complete_results

RESULTS = Path(__file__).resolve().parent.parent / "results"


# --- arithmetic -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "figure, low, high",
    [
        ("0.5", 0.45, 0.55),
        ("0.50", 0.495, 0.505),
        (Decimal("0.4707"), 0.47065, 0.47075),
        ("1.0", 0.95, 1.0),
        (0.5, 0.5, 0.5),
        ((0.1, 0.2), 0.1, 0.2),
    ],
)
def test_the_digits_printed_say_how_far_a_figure_is_rounded(figure, low, high):
    assert reported_range(figure) == pytest.approx((low, high), abs=1e-12)
    assert reported_range(0.4707, half_unit=0.00005) == pytest.approx((0.47065, 0.47075), abs=1e-12)


@pytest.mark.parametrize("value", ["half", "nan", "1.2", -0.1, None, (0.2, 0.1), float("nan")])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(UsageError, match="not a"):
        reported_range(value)


@pytest.mark.parametrize("density", [1.0, -0.1, (0.2, 0.1), float("nan")])
def test_what_is_no_density_is_refused(density):
    with pytest.raises(UsageError, match="density is"):
        implied("0.5", "0.7", density)


# Worked out by hand from the formulas: recall and precision, at the label density of the first column.
BY_HAND = [
    (0.0, "bce", 0.424, 0.530),
    (0.0, "focal-2.0", 0.530, 0.460),
    (0.0, "focal-2.5", 0.418, 0.535),
    (0.0, "afl", 0.580, 0.439),
    (0.0099, "bce", 0.427, 0.524),
    (0.0099, "focal-2.0", 0.536, 0.455),
    (0.0099, "focal-2.5", 0.421, 0.529),
    (0.0099, "afl", 0.588, 0.435),
    (0.058, "bce", 0.453, 0.490),
    (0.058, "focal-2.0", 0.577, 0.429),
    (0.058, "focal-2.5", 0.446, 0.496),
    (0.058, "afl", 0.636, 0.412),
    (0.117, "bce", 0.511, 0.436),
    (0.117, "focal-2.0", 0.669, 0.390),
    (0.117, "focal-2.5", 0.502, 0.440),
    (0.117, "afl", 0.743, 0.377),
]


@pytest.mark.parametrize("density, setting, recall, precision", BY_HAND)
def test_the_papers_pairs_imply_recall_and_precision(density, setting, recall, precision):
    values, printed = REPORTED_VALUES[setting], REPORTED[setting]
    exact = implied(values["f1"], values["roc_auc"], density)
    assert exact.recall == pytest.approx((recall, recall), abs=6e-4)
    assert exact.precision == pytest.approx((precision, precision), abs=6e-4)
    rounded = implied(printed["f1"], printed["roc_auc"], (0.0, 0.117))
    assert rounded.recall[0] <= exact.recall[0] <= rounded.recall[1]
    assert rounded.precision[0] <= exact.precision[0] <= rounded.precision[1]


def test_a_confusion_table_by_hand():
    # 40 of 50 positives found, 20 of 150 negatives predicted: AUC = (4/5 + 13/15)/2 = 5/6, F1 = 80/110.
    found = implied(80 / 110, 5 / 6, 50 / 200)
    assert found.recall == pytest.approx((0.8, 0.8)) and found.precision == pytest.approx((2 / 3, 2 / 3))
    assert str(found) == "recall 0.8000 to 0.8000, precision 0.6667 to 0.6667"
    assert max_auc(0.8, 80 / 110, 50 / 200) == pytest.approx(5 / 6)


def rounded(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def table_values(tp: int, fp: int, fn: int, tn: int) -> tuple[float, float, float]:
    """Micro F1, ROC AUC of decisions, label density."""
    auc = (tp / (tp + fn) + tn / (tn + fp)) / 2
    return 2 * tp / (2 * tp + fp + fn), auc, (tp + fn) / (tp + fp + fn + tn)


counts = st.integers(0, 60)


@settings(max_examples=400, deadline=None)
@given(counts, counts, counts, counts, st.integers(1, 4), st.integers(1, 4), st.sampled_from([None, 1, 2, 3]))
def test_every_confusion_table_is_possible_and_inside_its_ranges(tp, fp, fn, tn, f1_digits, auc_digits, digits):
    fn, tn = max(fn, int(tp == 0)), max(tn, int(fp == 0))  # one positive and one negative at least
    f1, auc, density = table_values(tp, fp, fn, tn)
    if digits is not None:
        low, high = reported_range(rounded(density, digits))
        density = (low, min(high, 0.999999))
    found = implied(rounded(f1, f1_digits), rounded(auc, auc_digits), density)
    assert found.possible
    recall, precision = tp / (tp + fn), tp / (tp + fp) if tp + fp else 0.0
    assert found.recall[0] - 1e-6 <= recall <= found.recall[1] + 1e-6
    assert found.precision[0] - 1e-6 <= precision <= found.precision[1] + 1e-6
    assert found.recall[0] >= 0 and found.recall[1] <= 1 and found.precision[1] <= 1
    # The same table for the other function.
    assert auc <= max_auc(rounded(recall, 4), rounded(f1, f1_digits), density) + 1e-6


def by_grid(f1: str, auc: str, density: tuple[float, float], steps: int = 61) -> np.ndarray:
    """Recall and precision by the closed formulas, (n, 2), on a grid of rounding and densities."""
    grid = np.meshgrid(*(np.linspace(*ends, steps) for ends in (reported_range(f1), reported_range(auc), density)))
    f, a, d = (axis.ravel() for axis in grid)
    k = d / (1 - d)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = (2 * a - 1 - k) / (1 - k * (2 / f - 1))
        precision = f * recall / (2 * recall - f)
        false_positive_rate = recall + 1 - 2 * a
        possible = (recall >= 0) & (recall <= 1) & (precision > 0) & (precision <= 1) & (false_positive_rate <= 1)
    return np.column_stack([recall, precision])[possible]


@pytest.mark.parametrize(
    "f1, auc, density",
    [(row["f1"], row["roc_auc"], (0.0, 0.117)) for row in REPORTED.values()]
    + [
        ("0.3", "0.6", (0.05, 0.3)),
        ("0.9", "0.97", (0.01, 0.02)),
        ("0.6", "0.4", (0.3, 0.6)),
        ("0.7", "0.5", (0.4, 0.6)),
        ("0.32", "0.3", (0.3, 0.3)),
    ],
)
def test_the_ranges_are_no_wider_than_the_formulas_on_a_fine_grid(f1, auc, density):
    grid, found = by_grid(f1, auc, density), implied(f1, auc, density)
    for column, ends in zip(grid.T, (found.recall, found.precision)):
        assert ends[0] - 1e-9 <= column.min() and column.max() <= ends[1] + 1e-9
        assert (column.min(), column.max()) == pytest.approx(ends, abs=0.005)


@pytest.mark.parametrize(
    "f1, auc, density",
    # F1 <= 2R/(1 + R): an F1 of .85 needs a recall of .739, and then AUC > .86 at d = .1; F1 = 0 is R = 0, AUC <= .5.
    [
        ("0.9", "0.5", 0.1),
        ("0.2", "0.99", 0.2),
        ("0.50", "0.5", (0.0, 0.1)),
        (0.0, "0.9", 0.3),
        ("0.9", "0.6", 0.0),
    ],
)
def test_what_no_confusion_table_can_have_is_impossible(f1, auc, density):
    found = implied(f1, auc, density)
    assert not found.possible and str(found) == "impossible" and found.recall is None
    ends = density if isinstance(density, tuple) else (density, density)
    assert len(by_grid(f1, auc, ends)) == 0


def test_without_any_bound_false_positives_can_be_any_number():
    # One positive, found, among 100,000 entries of which 1,000 are predicted: F1 is .002, AUC .995.
    found = implied("0.0", "1.0", (0.0, 0.5))
    assert found.precision[0] == 0 and found.recall[1] == 1


def test_possible_and_impossible_agree_with_every_small_table():
    """All tables of 12 positives and 28 negatives: a printed pair is possible wherever one of them has it."""
    tables = [table_values(tp, fp, 12 - tp, 28 - fp) for tp, fp in itertools.product(range(13), range(29))]
    printed = {(rounded(f1, 1), rounded(auc, 1)) for f1, auc, _ in tables}
    digits = [f"{n / 10:.1f}" for n in range(11)]
    possible = {pair for pair in itertools.product(digits, digits) if implied(*pair, 0.3).possible}
    assert printed <= possible
    # And hardly elsewhere: each further one has a table among ten times finer ones.
    fine = [table_values(tp, fp, 120 - tp, 280 - fp) for tp, fp in itertools.product(range(121), range(281))]
    for pair in possible - printed:
        ends = [reported_range(text) for text in pair]
        assert any(all(low - 0.01 <= v <= high + 0.01 for v, (low, high) in zip(row, ends)) for row in fine), pair


@pytest.mark.parametrize("density, largest", [(0.0, 0.7641), (0.0099, 0.7612), (0.058, 0.7461), (0.117, 0.7254)])
def test_largest_auc_at_the_papers_recall(density, largest):
    assert max_auc(0.5282, 0.5, density) == pytest.approx(largest, abs=6e-5)
    assert max_auc("0.5282") == pytest.approx((1 + 0.52825) / 2, abs=1e-12)
    # Rounding and a range of densities only ever raise the limit.
    assert max_auc("0.5282", "0.5", (density, 0.117)) >= max_auc(0.5282, 0.5, density)


def test_an_f1_that_the_recall_excludes_is_refused():
    with pytest.raises(UsageError, match="no confusion table"):
        max_auc("0.50", "0.90")  # F1 is at most 2/3 at a recall of one half


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_the_limit_holds_for_micro_and_weighted_decisions(seed):
    rng = np.random.default_rng(seed)
    targets = rng.random((20, 4)) < rng.random(4)
    targets[0], targets[1] = True, False  # every label has both
    decisions = (rng.random((20, 4)) < 0.3) | (targets & (rng.random((20, 4)) < rng.random(4)))
    limit = max_auc(float(recall_score(targets, decisions, average="micro", zero_division=0)))
    assert roc_auc_score(targets, decisions, average="micro") <= limit + 1e-12
    assert roc_auc_score(targets, decisions, average="weighted") <= limit + 1e-12


def test_the_limit_does_not_hold_for_macro_and_sample_decisions():
    # One frequent label is missed, nine rare ones are found: micro recall is low, the mean over labels is not.
    targets = np.zeros((40, 10), bool)
    targets[:30, 0] = True
    targets[np.arange(31, 40), np.arange(1, 10)] = True
    decisions = targets.copy()
    decisions[:, 0] = False
    limit = max_auc(float(recall_score(targets, decisions, average="micro")))
    assert roc_auc_score(targets, decisions, average="macro") > limit
    # One document with all labels is missed, the others are found.
    targets = np.eye(10, dtype=bool)
    targets[0, :9] = True
    decisions = targets.copy()
    decisions[0] = False
    limit = max_auc(float(recall_score(targets, decisions, average="micro")))
    assert roc_auc_score(targets, decisions, average="samples") > limit


def contradictions(**values: dict[str, str]) -> set[tuple[str, str]]:
    checks = consistency(
        {name: row | values.get(name.replace("-", "_").replace(".", "_"), {}) for name, row in REPORTED.items()}
    )
    assert set(checks["verdict"]) <= {"consistent", "contradiction"} and set(checks["reading"]) == set(READINGS)
    return {(row.reading, row.rows) for row in checks.itertuples() if row.verdict == "contradiction"}


def test_the_papers_rows_contradict_each_other_under_two_readings_only():
    both = {"afl", "focal-2.0, afl"}
    expected = {(reading, rows) for reading in ("micro decisions", "weighted decisions") for rows in both}
    assert contradictions() == expected
    numbers = " ".join(consistency()["numbers"])
    assert "at least 0.78500, its recall allows at most 0.76412" in numbers
    assert "at least 0.52970, AFL's is at most 0.52825" in numbers


def test_other_values_would_not_contradict_each_other():
    assert contradictions(afl={"roc_auc": "0.76", "recall_micro": "0.53"}) == set()
    # The limit is (1 + .52825)/2 = .764125: .764 may have been .7635, .765 at least .7645.
    assert ("micro decisions", "afl") not in contradictions(afl={"roc_auc": "0.764"})
    assert ("micro decisions", "afl") in contradictions(afl={"roc_auc": "0.765"})
    assert ("micro decisions", "bce") in contradictions(bce={"f1": "0.9"})
    # More recall than the others, or less precision: .46 * .4176/(2 * .4176 - .46) = .512, below BCE's .530.
    for other in ({"roc_auc": "0.77"}, {"f1": "0.4600"}):
        assert ("micro decisions", "focal-2.5, focal-2.0, bce") in contradictions(focal_2_5=other)


# --- claims as data -------------------------------------------------------------------------------------------------


def test_the_claims_have_sources_rules_and_reported_values():
    assert [claim.id for claim in CLAIMS] == [f"C{n}" for n in range(1, 15)]
    assert all(claim.source and str(claim.rule) and "object at" not in str(claim.rule) for claim in CLAIMS)
    assert all(name in REPORTED[setting] for claim in CLAIMS for setting, name in claim.reported_values)
    assert REPORTED_VALUES["afl"] == {"f1": 0.5, "roc_auc": 0.79, "recall_micro": 0.5282}


# --- verdicts -------------------------------------------------------------------------------------------------------

PAPER = {"corpus": "cmu", "encoder": "bert-base-uncased", "method": "fine_tune"}
EVERY = (
    *("bce", "focal-1.5", "focal-2.0", "focal-2.5", "focal-5.0", "afl", "afl-mean", "afl-shuffled"),
    *("afl-log10", "afl-information", "afl-base-1", "afl-base-4"),
)
DECISIONS = (
    *("f1_micro", "f1_macro", "f1_macro_tail", "roc_auc_micro_of_decisions", "recall_micro", "precision_micro"),
)
RULES = ("at_0.5", "tuned_common", "tuned_proportional")
Leads = dict[str, float]


def runs(
    at_half: Leads | None = None,
    tuned: Leads | None = None,
    ranking: Leads | None = None,
    *,
    study: str = "one",
    corpus: str = "cmu-leads",
    encoder: str = "minilm",
    method: str = "probe",
    blocks: int = 6,
    names: tuple[str, ...] = EVERY,
    noise: float = 0.0005,
    not_converged: tuple[tuple[str, int], ...] = (),
    values: dict[str, float] | None = None,
    seeds_only: bool = False,
    **config,
) -> list[Result]:
    """Runs in which a setting has more of every metric than .4 by the given amount: of decisions at 0.5, at one tuned
    threshold (and nothing with the cut), and of the average precision."""
    rng = np.random.default_rng(0)
    results = []
    for name, block in itertools.product(names, range(1, blocks + 1)):
        leads = {"at_0.5": at_half or {}, "tuned_common": tuned or {}, "tuned_proportional": {}}
        metrics: dict[str, dict[str, float]] = {
            rule: {m: 0.4 + leads[rule].get(name, 0.0) + rng.normal(0, noise) for m in DECISIONS} | (values or {})
            for rule in RULES
        }
        average_precision = 0.4 + (ranking or {}).get(name, 0.0) + rng.normal(0, noise)
        for rule in RULES:
            metrics[rule]["average_precision_macro_tail"] = average_precision
        split = 0 if seeds_only else block
        paper = PAPER_CONFIG if (corpus, method) == ("cmu", "fine_tune") else {}
        nothing = np.zeros(0)
        results.append(
            Result(
                study=study,
                run=f"{corpus}--{name}--block{block}",
                setting=name,
                tuned=[],
                block=None if seeds_only else block,
                data=DataRecord(corpus, "", "", 0, 0, {"train": 1000, "test": 200}, {"name": corpus}, split),
                encoder=encoder,
                loss=LossRecord(name.split("-")[0], {}),
                seed=block,
                method=method,
                config=paper | config,
                metrics={"validation": {}, "test": metrics},
                labels=LabelRecord([], nothing, nothing, nothing, {}, {}, {}),
                summaries=None,
                environment={},
                time=TimeRecord("", 1.0, 1.0, 10, 5, (name, block) not in not_converged),
            )
        )
    return results


def judge(claim: str, *studies: list[Result], **options) -> pd.Series:
    return verdicts([run for study in studies for run in study], **options).set_index("id").loc[claim]


def verdict(claim: str, *studies: list[Result], **options) -> str:
    return judge(claim, *studies, **options)["verdict"]


AHEAD = {"focal-2.0": 0.03}
LEVEL: Leads = {}
SLIGHT = {"focal-2.0": 0.004}
BEHIND = {"focal-2.0": -0.03}


@pytest.mark.parametrize(
    "at_half, tuned, expected, words",
    [
        (AHEAD, AHEAD, "reproduced in direction", "at 0.5 it holds"),
        (AHEAD, BEHIND, "reproduced in direction", "Only at 0.5."),
        (BEHIND, AHEAD, "reproduced in direction", "Only at one tuned threshold."),
        (BEHIND, BEHIND, "not reproduced", "at 0.5 it fails"),
        (LEVEL, LEVEL, "not reproduced", "at one tuned threshold it fails"),
        # A lead that is shown to be too small to matter.
        (SLIGHT, SLIGHT, "not reproduced", "at one tuned threshold it fails"),
    ],
)
def test_a_planted_order_is_found(at_half, tuned, expected, words):
    found = judge("C2", runs(at_half, tuned))
    assert found["verdict"] == expected and words in found["evidence"]
    assert "one on cmu-leads (minilm, 6 blocks)" in found["evidence"] and found["conditions"] == "frozen encoder"


def test_the_effect_is_the_comparison_that_decides():
    # The weaker of the two metrics that must both lead; with its interval and its unit of evidence.
    results = runs(AHEAD, AHEAD, noise=0.0)
    for run in results:
        run.metrics["test"]["at_0.5"]["f1_micro"] -= 0.01 * (run.setting == "focal-2.0")
    effect = judge("C2", results)["effect"]
    assert effect == "micro F1 at 0.5, focal-2.0 - bce: +0.020 [+0.020, +0.020]; 6 blocks of cmu-leads"


def test_the_effect_of_tuned_encoders_says_how_long_they_were_trained():
    assert judge("C2", runs(AHEAD, AHEAD, method="fine_tune", epochs=15))["effect"].endswith(", 15 epochs")


def test_wide_intervals_are_undecided_and_say_what_could_have_been_detected():
    found = judge("C2", runs(AHEAD, AHEAD, noise=0.1))
    assert found["verdict"] == "undecided" and ", detectable 0." in found["effect"]


def test_texts_that_disagree_leave_a_claim_undecided():
    found = judge("C2", runs(AHEAD, AHEAD), runs(BEHIND, BEHIND, corpus="cmu-leads-masked"))
    assert found["verdict"] == "undecided" and "cmu-leads-masked" in found["evidence"]


def test_another_data_set_is_reported_beside():
    found = judge("C2", runs(AHEAD, AHEAD), runs(BEHIND, BEHIND, corpus="reuters"))
    assert found["verdict"] == "reproduced in direction" and "Beside it, one on reuters" in found["evidence"]


@pytest.mark.parametrize(
    "results",
    [
        [],
        runs(AHEAD, AHEAD, names=("focal-2.0", "afl")),
        runs(AHEAD, AHEAD, blocks=1),
        runs(AHEAD, AHEAD, blocks=2, not_converged=(("bce", 1),)),
        runs(AHEAD, AHEAD, corpus="toy"),
        runs(AHEAD, AHEAD, encoder="tiny"),
        runs(AHEAD, AHEAD, method="tfidf"),
        runs(AHEAD, AHEAD, seeds_only=True),
    ],
    ids=[
        "none",
        "no bce",
        "one block",
        "one converged",
        "generated texts",
        "random encoder",
        "no encoder",
        "one split",
    ],
)
def test_what_does_not_count_gives_no_verdict(results):
    found = judge("C2", results)
    assert found["verdict"] == "not yet tested" and found["evidence"].startswith("No study in blocks")


def test_blocks_that_did_not_converge_are_left_out_on_both_sides():
    results = runs(AHEAD, AHEAD, blocks=7, not_converged=(("bce", 1), ("focal-2.0", 3)))
    for run in results:
        if run.block in (1, 3):
            run.metrics["test"]["at_0.5"]["f1_micro"] = float(run.setting == "bce")
    found = judge("C2", results)
    assert found["verdict"] == "reproduced in direction" and "(minilm, 5 blocks)" in found["evidence"]


def test_reproduced_needs_the_papers_conditions_and_values():
    near = {"f1_micro": 0.49, "roc_auc_micro_of_decisions": 0.76}

    def study(**options) -> list[Result]:
        results = runs(AHEAD, AHEAD, names=("bce", "focal-2.0"), **options)
        for run in results:
            if run.setting == "focal-2.0":
                for metric, value in near.items():
                    lead = run.metrics["test"]["at_0.5"][metric] - 0.43
                    run.metrics["test"]["at_0.5"][metric] = value + lead
        return results

    found = judge("C2", study(**PAPER))
    assert found["verdict"] == "reproduced" and "the paper's 0.7649" in found["evidence"]
    assert found["conditions"] == "the paper's" and judge("C2", study())["conditions"] == "frozen encoder"
    assert judge("C2", [])["conditions"] == "" and judge("C10", [])["conditions"] == "the equations, at p = 0.5"
    assert verdict("C2", study()) == "reproduced in direction"
    assert verdict("C2", runs(AHEAD, AHEAD, **PAPER)) == "reproduced in direction"  # values are far
    assert verdict("C2", runs(BEHIND, BEHIND, **PAPER)) == "not reproduced"


@pytest.mark.parametrize("name, value", [("learning_rate", 1e-4), ("batch_size", 32), ("schedule", "constant")])
def test_another_rate_batch_or_schedule_is_not_the_papers(name, value):
    assert judge("C2", runs(AHEAD, AHEAD, **PAPER, **{name: value}))["conditions"] == "tuned encoder"


def test_the_nearest_conditions_decide():
    paper = runs(AHEAD, AHEAD, study="paper", **PAPER)
    tuned, frozen = runs(BEHIND, BEHIND, method="fine_tune"), runs(LEVEL, LEVEL)
    assert judge("C2", frozen, tuned, paper)["conditions"] == "the paper's"
    assert verdict("C2", frozen, tuned, paper) == "reproduced in direction"
    found = judge("C2", frozen, tuned)
    assert found["conditions"] == "tuned encoder" and "focal-2.0 - bce: -0.03" in found["effect"]


def test_a_baseline_value_needs_the_papers_conditions():
    near = {"f1_micro": 0.46, "roc_auc_micro_of_decisions": 0.70}
    assert verdict("C1", runs(values=near, **PAPER)) == "reproduced"
    assert verdict("C1", runs(values=near | {"f1_micro": 0.40}, **PAPER)) == "not reproduced"
    found = judge("C1", runs(values=near))
    assert found["verdict"] == "not yet tested" and "cannot be compared" in found["evidence"]


def test_every_comparison_must_hold():
    best = {"afl": 0.05, "focal-2.0": 0.02}
    assert verdict("C4", runs(best, best)) == "reproduced in direction"
    assert verdict("C5", runs(best, best)) == "reproduced in direction"
    second = {"afl": 0.05, "focal-1.5": 0.06}
    found = judge("C4", runs(second, second))
    assert found["verdict"] == "not reproduced" and "afl - focal-1.5: -0.01" in found["evidence"]


@pytest.mark.parametrize("reading, setting", GAMMA_READINGS.items())
def test_a_claim_holds_if_one_reading_of_eq_2_does(reading, setting):
    better = {setting: 0.05}
    found = judge("C13", runs(better, better))
    assert found["verdict"] == "reproduced in direction"
    assert f"Only with gamma read as {reading}." in found["evidence"] and f"{setting} - bce" in found["effect"]
    rows = findings(runs(better, better))
    rows = rows[(rows["id"] == "C13") & (rows["about"] == "claim") & (rows["alternative"] == "at 0.5")]
    assert dict(zip(rows["reading"], rows["outcome"])) == {
        name: "holds" if name == reading else "fails" for name in GAMMA_READINGS
    }


def test_one_comparison_is_the_family_of_all_its_readings():
    """The p value that decides is Holm's over readings, rivals, metrics and thresholds: 3 x 1 x 2 x 2 in C13."""
    [group] = group_runs(runs())
    found, _ = find(CLAIMS[12].rule, group)
    assert [set(one.rows["family_size"]) for one in found] == [{12}] * 3


def test_a_marginal_claim_is_not_refuted_by_a_small_lead():
    """C3: gamma 2.5 is "marginally" below the baseline, so no margin is asked of that comparison."""
    best = {"focal-2.0": 0.03, "bce": 0.002}
    assert verdict("C3", runs(best, best, noise=0.0001)) == "reproduced in direction"
    other = {"focal-2.0": 0.03, "bce": -0.002}
    found = judge("C3", runs(other, other, noise=0.0001))
    assert found["verdict"] == "not reproduced" and "bce - focal-2.5" in found["evidence"]


def test_precision_and_recall_are_traded():
    """C6 asks gamma 2.5 for more precision and AFL for more recall and F1."""
    results = runs()
    for run in results:
        for rule in RULES:
            metrics = run.metrics["test"][rule]
            metrics["precision_micro"] += 0.05 * (run.setting == "focal-2.5")
            for metric in ("recall_micro", "f1_micro"):
                metrics[metric] += 0.05 * (run.setting == "afl")
    assert verdict("C6", results) == "reproduced in direction"
    assert verdict("C6", runs({"focal-2.5": 0.05}, {"focal-2.5": 0.05})) == "not reproduced"


def test_minority_classes_are_judged_against_the_baseline_and_the_controls_stand_beside():
    better = {"afl": 0.05, "afl-shuffled": 0.05}
    for leads in ((better, {}, {}), ({}, better, {}), ({}, {}, better)):
        assert verdict("C7", runs(*leads)) == "reproduced in direction"
    assert verdict("C7", runs()) == "not reproduced"
    rows = findings(runs(ranking=better))
    beside = rows[(rows["id"] == "C7") & (rows["alternative"] == "average precision of the tail")]
    assert dict(zip(beside["about"], beside["outcome"])) == {
        "afl-mean": "holds",
        "afl-shuffled": "fails",
        "focal-5.0": "holds",
    }


def test_nothing_is_compromised_only_where_every_threshold_says_so():
    better, worse = {"afl": 0.05}, {"afl": -0.05, "afl-log10": -0.05, "afl-information": -0.05}
    assert verdict("C14", runs()) == "reproduced in direction"  # within the margin
    assert verdict("C14", runs(better, better)) == "reproduced in direction"
    assert verdict("C14", runs(better, worse)) == "not reproduced"
    assert verdict("C14", runs(noise=0.1)) == "undecided"


def test_a_spread_cites_the_pair_that_is_furthest_apart():
    spread = {"focal-2.0": 0.01, "focal-2.5": 0.1}
    for metrics in (runs(spread, spread), runs(spread)):
        assert "focal-1.5 - focal-2.5: -0.10" in judge("C9", metrics)["effect"]


def test_spread_is_large_or_small():
    spread = {"focal-2.0": 0.03, "afl-base-4": 0.03}
    assert verdict("C9", runs(spread, spread)) == "reproduced in direction"
    assert verdict("C8", runs(spread, spread)) == "not reproduced"
    assert verdict("C9", runs()) == "not reproduced"
    assert verdict("C8", runs()) == "reproduced in direction"
    assert verdict("C8", runs(noise=0.1)) == verdict("C9", runs(noise=0.1)) == "undecided"
    # Different from 0, and not by more than the margin: neither.
    between = {"focal-2.0": 0.0095}
    assert verdict("C9", runs(between, between)) == "undecided"


def test_generality_needs_two_data_sets():
    better, worse = {"afl": 0.05}, {name: -0.05 for name in GAMMA_READINGS.values()}
    ours, masked = runs(tuned=better), runs(tuned=better, corpus="cmu-leads-masked")
    found = judge("C12", ours, masked)
    assert found["verdict"] == "not yet tested" and found["evidence"].startswith("On one data set only.")
    assert verdict("C12", ours, runs(tuned=better, corpus="reuters")) == "reproduced in direction"
    everywhere = runs(worse, worse, worse, corpus="reuters")
    for run in everywhere:
        run.metrics["test"]["tuned_proportional"]["f1_macro_tail"] -= 0.05 * (run.setting in worse)
    assert verdict("C12", ours, everywhere) == "not reproduced"


def test_architectures_are_those_that_were_tuned():
    bert = runs(encoder="bert-base-uncased", method="fine_tune")
    assert verdict("C11", runs(), bert, runs(encoder="minilm", method="fine_tune")) == "not yet tested"
    found = judge("C11", bert, runs(encoder="roberta-base", method="fine_tune"))
    assert found["verdict"] == "reproduced in direction" and "bert-base-uncased, roberta-base" in found["evidence"]


def test_the_weight_of_rare_classes_follows_from_the_equations():
    found = judge("C10")
    assert found["verdict"] == "not reproduced"
    # 2^-gamma (1/2 + gamma ln 2/2) at gamma 0.5 and 5, worked out by hand: .476 and .0698.
    assert found["effect"].endswith("0.07 for the rarest genre, 0.48 for the most frequent")
    # At p = .18: gamma 0.5 gives .9055 (.82 + .1543) = .882, gamma 5 gives .3707 (.82 + 1.5433) = .876.
    assert "below p = 0.18" in found["evidence"]
    # At p = 1/42,204 with gamma 5: (1 - p) - gamma p log p = 1 + 5 * 10.65/42,204 = 1.001, times (1 - p)^5.
    assert "at its own prior, 1 against" in found["evidence"]


def test_impossible_only_where_every_admitted_reading_contradicts_itself():
    assert "impossible as printed" not in set(verdicts([])["verdict"])
    for claim in ("C4", "C5", "C13"):
        found = judge(claim)
        assert found["verdict"] == "not yet tested" and "of micro decisions or weighted decisions" in found["evidence"]
        assert verdict(claim, readings=("micro decisions", "weighted decisions")) == "impossible as printed"
        assert verdict(claim, readings=("micro decisions", "scores")) == "not yet tested"
    assert "contradict" not in judge("C5", readings=("scores",))["evidence"]
    with pytest.raises(UsageError, match="micro decisions"):
        verdicts([], readings=("micro",))
    with pytest.raises(UsageError, match="empty"):
        verdicts([], readings=())


def test_an_undefined_metric_decides_nothing_and_is_named():
    results = runs(tuned={"afl": 0.05})
    for run in results:
        for rule in RULES:
            run.metrics["test"][rule]["average_precision_macro_tail"] = float("nan")
    found = judge("C7", results)
    assert found["verdict"] == "not yet tested" and "is undefined" in found["evidence"]


def test_blocks_that_share_one_split_of_the_documents_decide_nothing():
    def with_counts(results, counts):
        return [
            replace(
                run,
                data=replace(run.data, options={"name": run.data.corpus, "official_split": 1000}),
                labels=replace(run.labels, training_count=np.array(counts(run.block))),
            )
            for run in results
        ]

    better = runs(ranking={"afl": 0.05})
    assert judge("C7", with_counts(better, lambda block: [9, 5 + block]))["verdict"] == "reproduced in direction"
    shared = judge("C7", with_counts(better, lambda block: [9, 5]))
    assert shared["verdict"] == "not yet tested" and "one split of the documents" in shared["evidence"]


def test_the_table_works_without_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complete_results() == ([], [])
    table = claims_table()
    names = ["id", "claim", "reported", "section", "verdict", "conditions", "effect", "evidence"]
    assert list(table.columns) == names and len(table) == 14
    assert dict(zip(table["id"], table["verdict"])) == {
        f"C{n}": "not reproduced" if n == 10 else "not yet tested" for n in range(1, 15)
    }
    with pytest.raises(MissingFileError, match="does not exist"):
        complete_results("nowhere")


def test_our_own_results_are_compared_as_results_compare_compares_them():
    results, _ = complete_results(RESULTS)
    table = claims_table(results).set_index("id")
    assert set(table["verdict"]) <= set(VERDICTS) and table["evidence"].str.len().min() > 0
    study = [run for run in results if (run.study, run.data.corpus) == ("frozen-encoder", "cmu-leads")]
    [row] = compare(study, "focal-2.0", ["bce"], ["f1_micro@tuned_common"]).to_dict("records")
    low, high, _ = deciding_interval(row)
    expected = f"micro F1 at one tuned threshold, focal-2.0 - bce: {row['estimate']:+.3f} [{low:+.3f}, {high:+.3f}]"
    rows = findings(results)
    own = rows[(rows["id"] == "C2") & (rows["study"] == "frozen-encoder") & (rows["corpus"] == "cmu-leads")]
    assert len(own) and expected in set(own["effect"])


def test_the_page_shows_outcomes_by_reading():
    better = {"afl-log10": 0.05}
    results = runs(better, better)
    page = reading_table(findings(results), "C13").data
    heads, *rows = [[cell.text for cell in row(["th", "td"])] for row in BeautifulSoup(page, "html.parser")("tr")]
    assert heads == ["Texts, reading", "at 0.5", "at one tuned threshold"]
    assert [row[0] for row in rows] == [f"cmu-leads, {reading}one, 6 blocks" for reading in GAMMA_READINGS]
    assert [row[1].startswith("holds+0.05") for row in rows] == [False, True, False]
    assert "No complete study yet" in reading_table(findings([]), "C13").data


def test_the_figure_of_a_claim_shows_each_comparison_where_it_stands_and_with_its_outcome():
    found = findings(runs({"afl-log10": 0.05}, {"afl-log10": 0.05}))
    own = found[(found["id"] == "C13") & (found["about"] == "claim")]
    panels = {axes.get_title().replace("\n", " "): axes for axes in claim_by_reading(found, "C13").axes}
    assert set(panels) == set(own["alternative"])
    for title, axes in panels.items():
        markers = {m: line for line in axes.lines for m in [line.get_marker()] if len(line.get_xdata()) and m in "os^"}
        for row in own[own["alternative"] == title].to_dict("records"):
            line = markers[{"n/mean": "o", "log10": "s", "information": "^"}[row["reading"]]]
            assert line.get_xdata()[0] == row["estimate"]
            [bar] = [one for one in axes.lines if list(one.get_xdata()) == [row["low"], row["high"]]]
            assert bar.get_color() == line.get_color()
        colours = {
            row["outcome"]: markers[m].get_color()
            for m, row in zip("os^", own[own["alternative"] == title].to_dict("records"))
        }
        assert len(set(colours.values())) == len(colours)
    assert claim_by_reading(findings([]), "C13").axes  # before any study there is an empty figure


def test_the_evidence_is_folded_and_every_verdict_coloured():
    results = runs({"afl-log10": 0.05}, {"afl-log10": 0.05})
    evidence = claim_evidence(claims_table(results)).data
    assert evidence.count("<details>") == len(CLAIMS) and "Only with gamma read as log10." in evidence
    assert verdict_table(claims_table(results)).data.count('<span class="verdict-') == len(CLAIMS)


def test_published_values_are_those_of_the_table():
    table = published_reuters()
    assert table.loc["focal-2.0", ("total", "macro")] == pytest.approx(0.5683)
    assert table.loc["distribution-balanced", ("tail", "micro")] == pytest.approx(0.4889)
    assert table.loc["tfidf-linear-svm", ("medium", "macro")] == pytest.approx(0.6100)
    assert table.shape == (8, 8) and table.stack([0, 1], future_stack=True).between(0, 1).all()
    # The published tail begins where ours does: 8 stories or fewer.
    assert frequency_groups([8, 9, 34, 35], REUTERS_CUTOFFS)["tail"].tolist() == [True, False, False, False]


# --- the studies that tune the whole encoder -------------------------------------------------------------------------


def test_tuned_differences_are_the_means_of_what_the_files_of_the_runs_hold():
    endpoint = "average_precision_macro_tail"
    table = tuned_differences([endpoint]).set_index(["study", "setting", "rival"])
    assert len(table) == 3 * len(TUNED_STUDIES)
    for (study, setting, rival), row in table.iterrows():
        values = {
            name: [
                json.loads(path.read_text())["metrics"]["test"]["all_rules"][endpoint]
                for path in sorted((RESULTS / study / "runs").glob(f"cmu-leads--{name}--block*.json"))
            ]
            for name in (setting, rival)
        }
        differences = np.subtract(values[setting], values[rival])
        assert row["estimate"] == pytest.approx(differences.mean(), abs=1e-9)
        assert (row["n_lower"], row["n_blocks"]) == ((differences < 0).sum(), len(differences))


def test_the_tail_by_epochs_holds_what_the_files_say_of_every_length():
    table = tail_by_epochs()
    found = table.set_index(["size", "setting", "epochs", "block"])["value"]
    assert found.index.is_unique
    small, large = TUNED_STUDIES.values()
    for key, study, run in (
        ((small, "bce", 15, 1), "tuned-to-the-end", "bce"),
        ((small, "bce", 30, 1), "tuned-to-the-end", "bce-long"),
        ((small, "bce", 30, 2), "tuned-for-longer", "bce-30"),
        ((small, "bce", 60, 3), "tuned-for-longer", "bce-60"),
        ((small, "afl", 60, 1), "tuned-for-longer", "afl-60"),
        ((small, "afl-mean", 30, 2), "tuned-for-longer", "afl-mean-30"),
        ((small, "afl-mean", 60, 1), "tuned-for-longer", "afl-mean-60"),
        ((large, "afl", 30, 1), "tuned-to-the-end-minilm", "afl-long"),
    ):
        record = json.loads((RESULTS / study / "runs" / f"cmu-leads--{run}--block{key[3]}.json").read_text())
        assert json.loads((RESULTS / study / "shared.json").read_text())[record["config"]]["epochs"] == key[2]
        assert found[key] == record["metrics"]["test"]["all_rules"]["average_precision_macro_tail"]
    assert set(table["setting"]) == {"bce", "afl", "afl-mean"}
    assert table.groupby("size")["block"].unique().map(sorted).to_dict() == {small: [1, 2, 3], large: [1]}
