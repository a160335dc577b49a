"""Comparisons of settings over blocks: by hand, what is refused, false positives, and a study's own comparison."""

import functools
import itertools
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from afl_helpers.__main__ import main
from afl_helpers.errors import DataError, UsageError
from afl_helpers.evaluation import detectable_difference, difference_interval, holm, t_test
from afl_helpers.results import DocumentDecisions, compare, deciding_interval, read_result, write_checksums
from afl_helpers.studies import compare_study, complete_blocks, describe_convergence, load_study

RESULTS = Path(__file__).resolve().parent.parent / "results"
RECORD = read_result(RESULTS / "provenance" / "runs" / "toy--bce--seed0.json")


def run(setting, block, value, corpus="c", **changes):
    """A run of a study with blocks: macro F1 at 0.5 is ``value``, average precision is its half."""
    rules = {rule: {"f1_macro": value + 0.1 * i, "ap": value / 2} for i, rule in enumerate(("at_0.5", "tuned_common"))}
    sizes = {"train": 800, "validation": 100, "test": 100}
    data = replace(RECORD.data, corpus=corpus, split_seed=block, sizes=sizes, options={}, **changes.pop("data", {}))
    values = {"setting": setting, "block": block, "seed": block, "run": f"{corpus}--{setting}--{block}"}
    return replace(RECORD, metrics={"test": rules}, data=data, **(values | changes))


def study(values, corpus="c", **changes):
    """One run per block and setting; ``values`` maps settings to their macro F1 in each block."""
    return [run(name, b, value, corpus, **changes) for name, row in values.items() for b, value in enumerate(row)]


OURS, THEIRS = [0.50, 0.53, 0.52, 0.51], [0.48, 0.50, 0.51, 0.48]


def test_both_t_tests_by_hand():
    differences = np.subtract(OURS, THEIRS)
    mean, deviation = differences.mean(), differences.std(ddof=1)
    row = compare(study({"afl": OURS, "bce": THEIRS}), "afl", ["bce"], ["f1_macro@at_0.5"], margin=0.001).iloc[0]
    plain = stats.ttest_rel(OURS, THEIRS)
    assert row[["estimate", "p", "p_adjusted"]].tolist() == pytest.approx([mean, plain.pvalue, plain.pvalue])
    assert row[["low", "high"]].tolist() == pytest.approx(list(plain.confidence_interval()))
    half = stats.t.ppf(0.975, 3) * deviation * math.sqrt(1 / 4 + 100 / 800)
    assert row[["low_corrected", "high_corrected"]].tolist() == pytest.approx([mean - half, mean + half])
    assert row["p_corrected"] == pytest.approx(2 * stats.t.sf(mean / (half / stats.t.ppf(0.975, 3)), 3))
    assert (row["n_blocks"], row["unit"], row["interval"]) == (4, "block", "paired t over blocks, 95 % each")
    assert (row["decided_by"], row["outcome"], row["not_corrected_because"]) == ("corrected t", "higher", "")
    back = compare(study({"afl": OURS, "bce": THEIRS}), "bce", ["afl"], ["f1_macro@at_0.5"]).iloc[0]
    assert back["estimate"] == -row["estimate"] and back["outcome"] == "lower"


def test_the_detectable_difference_is_found_in_80_percent():
    differences = np.array([0.01, 0.02, 0.03, 0.02, 0.05, -0.01])
    for overlap in (0.0, 1 / 8):
        found = detectable_difference(differences, 0.99, overlap=overlap)
        error = math.sqrt((1 / 6 + overlap) * differences.var(ddof=1))
        assert stats.nct.sf(stats.t.ppf(0.995, 5), 5, found / error) == pytest.approx(0.8, abs=1e-6)


def test_equivalence_is_two_one_sided_tests():
    values = [0.001, -0.002, 0.0005, 0.001, -0.001]
    upper = stats.ttest_1samp(values, 0.01, alternative="less").pvalue
    lower = stats.ttest_1samp(values, -0.01, alternative="greater").pvalue
    assert t_test(values, margin=0.01).p_equivalence == pytest.approx(max(upper, lower))
    assert t_test([0.0, 0.0]) == (0, 0, 0, 1.0, 0.5) and t_test([1.0, 1.0], margin=2.0)[3:] == (0.0, 0.0)
    rows = study({"afl": np.add(0.5, values), "bce": [0.5] * 5})
    outcome = {
        margin: compare(rows, "afl", ["bce"], ["f1_macro@at_0.5"], margin=margin)["outcome"][0] for margin in (0, 0.01)
    }
    assert outcome == {0: "undecided", 0.01: "within the margin"}
    for wrong in ([0.1], [0.1, math.nan]):
        with pytest.raises(UsageError, match="at least two numbers"):
            t_test(wrong)


def test_families_are_those_that_are_named():
    results = [
        one
        for corpus in ("c", "d")
        for one in study({"afl": OURS, "bce": THEIRS, "focal": [0.5, 0.5, 0.51, 0.52]}, corpus)
    ]
    call = results, "afl", ["bce", "focal"], ["f1_macro@at_0.5", "ap"]
    with pytest.raises(UsageError, match="8 comparisons have no family; pass the columns"):
        compare(*call)
    named = compare(*call, family="question 1")
    assert set(named["family"]) == {"question 1"} and set(named["family_size"]) == {8}
    assert named["p_adjusted"].tolist() == pytest.approx(holm(named["p"]).tolist())
    split = compare(*call, family=("corpus", "endpoint"))
    assert split["family"].unique().tolist()[0] == "corpus c, endpoint f1_macro@at_0.5"
    assert set(split["family_size"]) == {2}
    assert split["p_adjusted"][:2].tolist() == pytest.approx(holm(split["p"][:2]).tolist())
    assert (named["detectable"] > split["detectable"]).all()  # the strictest level of a larger family is stricter
    one = compare(results, "afl", "bce", "ap", family="corpora")  # a single name is no list of letters
    assert one.equals(compare(iter(results), ["afl"], ("bce",), ["ap"], family="corpora"))
    alone = compare(*call, correction="none")
    assert alone["p_adjusted"].equals(alone["p"]) and (alone["outcome"] != named["outcome"]).any()
    assert set(alone["family"]) == {"none"}
    with pytest.raises(UsageError, match="did you mean 'corpus'"):
        compare(*call, family=("corpu",))


def test_settings_with_controls_of_their_own_are_one_family():
    results = study({"afl": OURS, "afl-mean": THEIRS, "log": [0.5, 0.5, 0.51, 0.52], "log-mean": [0.4, 0.5, 0.5, 0.5]})
    own = {"afl": "afl-mean", "log": ["log-mean"]}
    found = compare(results, ["afl", "log"], own, "ap", family="controls")
    assert list(zip(found["setting"], found["rival"])) == [("afl", "afl-mean"), ("log", "log-mean")]
    assert set(found["family_size"]) == {2} and found["p_adjusted"].tolist() == holm(found["p"]).tolist()
    with pytest.raises(UsageError, match="unknown setting in against 'log'"):
        compare(results, ["afl", "log"], {"afl": "afl-mean"}, "ap")
    with pytest.raises(UsageError, match="unknown setting in against 'logs'"):
        compare(results, ["afl", "log"], own | {"logs": "log-mean"}, "ap")
    with pytest.raises(UsageError, match="pass a rival for each setting"):
        compare(results, ["afl", "log"], own | {"log": []}, "ap")
    with pytest.raises(UsageError, match="family is .*; pass columns"):
        compare(results, ["afl", "log"], own, "ap", family=())


def test_a_study_that_samples_documents_in_each_block_is_compared():
    """Each block has documents of its own, and both sides of it the same ones."""
    change = {"options": {"n_documents": 400}}
    results = [
        replace(one, data=replace(one.data, **change, fingerprint=f"of block {one.block}"))
        for one in study({"afl": OURS, "bce": THEIRS})
    ]
    assert compare(results, "afl", "bce", "ap")["estimate"][0] == pytest.approx(0.01125)
    other = replace(results[-1], data=replace(results[-1].data, fingerprint="of block 0"))
    with pytest.raises(DataError, match="different documents or labels"):
        compare([*results[:-1], other], "afl", "bce", "ap")


@pytest.mark.parametrize("argument", ["results", "setting", "against", "endpoints", "family"])
@pytest.mark.parametrize("wrong", [5, None, [1]], ids=repr)
def test_arguments_of_another_kind_are_one_sentence(argument, wrong):
    call = {
        "results": study({"afl": OURS, "bce": THEIRS}),
        "setting": "afl",
        "against": "bce",
        "endpoints": ["ap", "f1_macro"],
    }
    with pytest.raises(UsageError):
        compare(**(call | {"family": "one"} | {argument: wrong}))


def test_a_rival_can_have_a_threshold_rule_of_its_own():
    results = study({"afl": OURS, "bce": THEIRS})
    found = compare(results, "afl", ["bce", "bce@tuned_common"], ["f1_macro@at_0.5", "ap"], family="rules")
    assert found["rival"].tolist() == ["bce", "bce@tuned_common", "bce"]  # a rule changes no metric of scores
    assert found["estimate"].tolist() == pytest.approx([0.0225, 0.0225 - 0.1, 0.01125])


def test_with_an_official_test_set_the_paired_t_decides():
    results = [
        replace(one, data=replace(one.data, options={"official_split": 1000}))
        for one in study({"afl": OURS, "bce": THEIRS})
    ]
    row = compare(results, "afl", ["bce"], ["f1_macro@at_0.5"]).iloc[0]
    assert "official test set" in row["not_corrected_because"] and row["decided_by"] == "paired t"
    columns = ["low_corrected", "high_corrected", "p_corrected", "p_corrected_adjusted"]
    assert np.isnan(row[columns].astype(float)).all() and row["outcome"] == row["outcome_plain"] == "higher"


def drawn(seed, n_documents=400, n_labels=60):
    """Targets as rare as those of a long tail; decisions by setting and rule; the counts of the training documents."""
    rng = np.random.default_rng(seed)
    rates = 0.3 / np.arange(1, n_labels + 1)
    targets = rng.random((n_documents, n_labels)) < rates
    decisions = {
        (name, rule): (targets & (rng.random(targets.shape) < found)) | (rng.random(targets.shape) < 0.3 * rates)
        for name, found in (("afl", 0.8), ("bce", 0.5), ("focal", 0.5))
        for rule in ("at_0.5", "tuned_common")
    }
    return targets, decisions, (rates * 4 * n_documents).astype(int)


class TestOverDocuments:
    RESULTS = study({"afl": OURS, "bce": THEIRS, "focal": OURS})

    @staticmethod
    def decided(result, rule):
        targets, decisions, counts = drawn(result.block)
        return DocumentDecisions(targets, decisions[result.setting, rule], counts)

    def test_a_row_is_the_interval_of_that_pair(self):
        found = compare(
            *(self.RESULTS, "afl", ["bce@at_0.5", "focal"], ["f1_macro@tuned_common", "f1_micro"]),
            **dict(unit="document", block=2, decisions=self.decided, family="two models", margin=0.01, level=0.9),
        )
        targets, decisions, counts = drawn(2)
        rules = {("f1_macro@tuned_common", "bce@at_0.5"): ("tuned_common", "at_0.5")}
        rules |= {("f1_macro@tuned_common", "focal"): ("tuned_common",) * 2, ("f1_micro", "focal"): ("at_0.5",) * 2}
        assert list(zip(found["endpoint"], found["rival"])) == list(
            rules
        )  # a rule of a rival needs one in the endpoint
        p_values = []
        for row in found.to_dict("records"):
            own, other = rules[row["endpoint"], row["rival"]]
            pair = decisions["afl", own], decisions[row["rival"].partition("@")[0], other]
            metric = row["endpoint"].partition("@")[0]
            by_hand = difference_interval(targets, *pair, counts, metric, level=0.9)
            assert (row["estimate"], row["low"], row["high"], row["p"]) == pytest.approx(by_hand[1:])
            error = (by_hand.high - by_hand.low) / 2 / stats.t.ppf(0.95, 19)
            level = 0.1 / 3 / 2  # of three rows, two-sided
            power = stats.nct.sf(stats.t.ppf(1 - level, 19), 19, row["detectable"] / error)
            assert power == pytest.approx(0.8, abs=1e-6)
            p_values.append(by_hand.p_value)
        assert found["p_adjusted"].tolist() == pytest.approx(holm(p_values).tolist())
        assert set(found["family_size"]) == {3} and set(found["outcome"]) == {"higher"}
        row = found.iloc[0]
        assert (row["sample"], row["decided_by"]) == ("400 documents of block 2", "t over documents")
        assert row["interval"] == "t over documents, 90 % each" and row["n_blocks"] == 1
        assert row["n_lower"] == 0
        assert "training does not" in row["not_corrected_because"] and math.isnan(row["low_corrected"])
        assert deciding_interval(row) == (row["low"], row["high"], row["p_adjusted"])

    def test_a_seed_of_a_study_without_blocks_is_one_too(self):
        seeds = [replace(run, block=None, data=replace(run.data, split_seed=0)) for run in self.RESULTS]
        row = compare(
            *(seeds, "bce", "afl", "f1_macro"),
            unit="document",
            block=3,
            decisions=lambda run, rule: self.decided(replace(run, block=run.seed), rule),
        ).iloc[0]
        assert row["sample"] == "400 documents of seed 3" and (row["outcome"], row["n_lower"]) == ("lower", 1)

    def test_equal_models_are_within_a_wide_margin(self):
        def same(result, rule):
            return self.decided(replace(result, setting="bce"), rule)

        call = functools.partial(compare, self.RESULTS, "afl", "bce", "f1_micro", unit="document", block=1)
        assert call(decisions=same, margin=0.01)["outcome"][0] == "within the margin"
        assert call(decisions=same)["outcome"][0] == "undecided"

    def test_what_is_no_comparison_of_documents_is_one_sentence(self):
        call = functools.partial(compare, self.RESULTS, "afl", "bce", unit="document", decisions=self.decided)
        for missing in (dict(block=None), dict(block=1, decisions=None)):
            with pytest.raises(UsageError, match="pass a block, and decisions=kept_decisions of afl_helpers.studies"):
                call("f1_macro", **missing)
        with pytest.raises(UsageError, match="are for unit='document', and unit is 'block'; leave them out"):
            call("f1_macro", unit="block", block=1)
        with pytest.raises(UsageError, match="'ap'; over documents, only f1_macro and f1_micro can be compared"):
            call("ap", block=1)
        with pytest.raises(DataError, match="on corpus 'c', setting 'afl' has no run of block 9; pass another block"):
            call("f1_macro", block=9)
        with pytest.raises(
            DataError, match="'afl' has two runs of block 1, 'c--afl--1' and 'c--afl--1'; pass the runs of one"
        ):
            compare(2 * self.RESULTS, "afl", "bce", "f1_macro", unit="document", block=1, decisions=self.decided)
        for wrong in (True, 1.5, "1", -1):
            with pytest.raises(UsageError, match=f"block is {wrong!r}; pass a whole number from 0"):
                call("f1_macro", block=wrong)
        with pytest.raises(UsageError, match="decisions is a dict; pass a function"):
            call("f1_macro", block=1, decisions={"afl": 1})
        with pytest.raises(UsageError, match="decisions returned a tuple; return results.DocumentDecisions"):
            call("f1_macro", block=1, decisions=lambda run, rule: tuple(drawn(1)))
        moved = [replace(run, seed=99) if run.setting == "bce" else run for run in self.RESULTS]
        with pytest.raises(DataError, match="'afl' and 'bce' on corpus 'c' differ within a block in split or seed"):
            compare(moved, "afl", "bce", "f1_macro", unit="document", block=1, decisions=self.decided)

        def other_test_set(result, rule):
            return self.decided(replace(result, block=len(result.setting)), rule)

        def other_counts(result, rule):
            found = self.decided(result, rule)
            return replace(found, label_counts=found.label_counts + len(result.setting))

        for other in (other_test_set, other_counts):
            with pytest.raises(DataError, match="'afl' and 'focal' have other test documents or other counts"):
                compare(self.RESULTS, "afl", "focal", "f1_macro", unit="document", block=1, decisions=other)
        with pytest.raises(UsageError, match=r"unknown unit 'documents' \(did you mean 'document'"):
            call("f1_macro", block=1, unit="documents")

    @pytest.mark.parametrize("kind", ["equal", "one never predicts the rarer half", "equal and mostly the same"])
    def test_the_true_difference_lies_within_and_the_width_is_right(self, kind):
        """At fixed decision rates the true F1 of each label is known: 2 found / (found + predicted + actual)."""
        rates, n_documents, recall, excess = 0.3 / np.arange(1, 101), 1000, 0.6, 0.4
        both = np.full(100, 2 * recall / (1 + recall + excess * (1 - rates)))
        rarer = np.arange(100) >= 50
        true = both[rarer].sum() / 100 if kind.startswith("one") else 0.0
        counts, rng, repetitions = (rates * 4000).astype(int), np.random.default_rng(0), 200
        pair = study({"afl": OURS[:1], "bce": THEIRS[:1]})

        def decide(targets):
            found, wrong = rng.random(targets.shape) < recall, rng.random(targets.shape) < excess * rates
            return np.where(targets, found, wrong)

        rows = []
        for _ in range(repetitions):
            targets = rng.random((n_documents, 100)) < rates
            ours = decide(targets)
            theirs = ours & ~rarer if kind.startswith("one") else decide(targets)
            if kind.endswith("the same"):
                theirs = np.where(rng.random(targets.shape) < 0.2, theirs, ours)
            sides = {"afl": ours, "bce": theirs}
            rows.append(
                compare(
                    *(pair, "afl", "bce", "f1_macro"),
                    unit="document",
                    block=0,
                    decisions=lambda run, rule, targets=targets, sides=sides: DocumentDecisions(
                        targets, sides[run.setting], counts
                    ),
                ).iloc[0]
            )
        low, high, estimate = (np.array([row[name] for row in rows]) for name in ("low", "high", "estimate"))
        covered = ((low <= true) & (true <= high)).mean()
        monte_carlo = 2 * math.sqrt(0.95 * 0.05 / repetitions)
        assert 0.93 - monte_carlo < covered
        # Coverage near 1 would also pass, so the width is compared with the spread of the estimates.
        error = (high - low).mean() / 2 / stats.t.ppf(0.975, 19)
        ratio = error / estimate.std(ddof=1)
        assert 0.88 < ratio < (1.35 if kind.endswith("the same") else 1.2)
        assert abs(estimate.mean() - true) < 0.005
        if true == 0:
            assert [row["outcome"] == "undecided" for row in rows] == ((low <= 0) & (high >= 0)).tolist()


def test_seeds_are_compared_only_where_there_are_no_blocks():
    blocks = study({"afl": OURS, "bce": THEIRS})
    seeds = [replace(one, block=None, data=replace(one.data, split_seed=0)) for one in blocks]
    row = compare(seeds, "afl", ["bce"], ["ap"], unit="seed").iloc[0]
    assert row["unit"] == "seed" and "one split" in row["not_corrected_because"]
    with pytest.raises(DataError, match="has no block; compare over its seeds"):
        compare(seeds, "afl", ["bce"], ["ap"])
    with pytest.raises(DataError, match="has a block; compare over blocks"):
        compare(blocks, "afl", ["bce"], ["ap"], unit="seed")
    with pytest.raises(DataError, match="different splits; give the study blocks"):
        compare([replace(one, block=None) for one in blocks], "afl", ["bce"], ["ap"], unit="seed")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda runs: runs[:-1], r"'afl' has blocks \[0, 1, 2, 3\] and 'bce' \[0, 1, 2\]; run what is missing"),
        (lambda runs: runs[:4], "there is no run of setting 'bce' on corpus 'c'"),
        (lambda runs: [runs[0], runs[4]], "has one block; a comparison needs at least two"),
        (lambda runs: [*runs, runs[0]], "two runs of block 0"),
        (lambda runs: [*runs[:-1], replace(runs[-1], encoder="bert-base-uncased")], "compare runs of one encoder"),
        (lambda runs: [*runs[:-1], run("bce", 3, 0.4, data={"fingerprint": "other"})], "different documents or labels"),
        (lambda runs: [*runs[:-1], run("bce", 3, 0.4, data={"n_labels": 3})], "different documents or labels"),
        (lambda runs: [*runs[:-1], run("bce", 3, 0.4, seed=9)], "differ within a block in split or seed"),
        (lambda runs: [*runs[:-1], run("bce", 3, math.nan)], "is undefined"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, words):
    with pytest.raises(DataError, match=words):
        compare(change(study({"afl": OURS, "bce": THEIRS})), "afl", ["bce"], ["f1_macro@at_0.5"])


def test_wrong_arguments_are_refused():
    results = study({"afl": OURS, "bce": THEIRS})
    for changes, words in (
        ({"correction": "bonferroni"}, "unknown correction"),
        ({"margin": -1.0}, "margin from 0"),
        ({"level": 95}, "level between 0 and 1"),
    ):
        with pytest.raises(UsageError, match=words):
            compare(results, "afl", ["bce"], ["ap"], **changes)
    for arguments in (([], "afl", ["bce"], ["ap"]), (results, "afl", ["afl"], ["ap"])):
        with pytest.raises(UsageError, match="nothing to compare"):
            compare(*arguments)


def test_false_positives_over_correlated_differences():
    # Nadeau and Bengio's model: ten differences with correlation n_test / (n_train + n_test), here 1/9.
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 10))
    differences = math.sqrt(1 / 9) * shared + math.sqrt(8 / 9) * own
    assert 0.04 < np.mean([t_test(row, overlap=1 / 8).p_value < 0.05 for row in differences]) < 0.06
    assert np.mean([t_test(row).p_value < 0.05 for row in differences]) > 0.12
    assert 0.04 < np.mean([t_test(row).p_value < 0.05 for row in own]) < 0.06  # independent blocks


def false_positives(n_train, n_test, n_blocks):
    """Return how often the plain and the corrected t tell two equally good linear classifiers apart, in 1,000 corpora.

    The two see different but equally good features of 600 documents, in overlapping random splits.
    """
    rng, rejected = np.random.default_rng(0), np.zeros(2)
    for _ in range(1000):
        targets = rng.random(600) < 0.5
        features = rng.normal(size=(600, 2, 5)) + 0.35 * targets[:, None, None]
        differences = []
        for _ in range(n_blocks):
            order = rng.permutation(600)
            train, test = order[:n_train], order[-n_test:]
            high, low = (features[train][targets[train] == value].mean(0) for value in (True, False))
            scores = ((features[test] - (high + low) / 2) * (high - low)).sum(2)
            first, second = ((scores > 0) == targets[test][:, None]).mean(0)
            differences.append(first - second)
        rejected += [t_test(differences).p_value < 0.05, t_test(differences, overlap=n_test / n_train).p_value < 0.05]
    return rejected / 1000


def test_false_positives_of_equal_classifiers_over_overlapping_splits():
    plain, corrected = false_positives(480, 60, 10)
    assert 0.025 < corrected < 0.06 and plain > 0.12  # measured: .038 and .154


def test_where_much_more_is_tested_than_trained_on_the_corrected_test_is_too_careful():
    plain, corrected = false_positives(96, 456, 6)  # 16 % and 76 %, as in tuned-to-the-end
    assert corrected < 0.01 and plain > 0.2  # measured: 0 and .356


PLAN = """
question: is it higher?
primary: {setting: afl, against: [bce], endpoints: [f1_macro at at_0.5, average_precision_macro], margin: 0.01}
method: probe
corpora: [{name: toy, min_count: 10}]
seeds: [0, 1, 2]
settings: [{name: afl, loss: afl}, {name: bce}, {name: focal-2.0, loss: focal, params: {gamma: 2.0}}]
"""


def small_runs(folder):
    """Two recorded runs, as three seeds each, of which the later ones differ a little."""
    runs = folder / "small" / "runs"
    runs.mkdir(parents=True)
    shutil.copy(RESULTS / "provenance" / "shared.json", runs.parent)
    for setting, seed in itertools.product(("afl", "bce"), range(3)):
        content = json.loads((RESULTS / "provenance" / "runs" / f"toy--{setting}--seed0.json").read_text())
        name = f"toy--{setting}--seed{seed}"
        values = content["metrics"]["test"]
        values["at_0.5"]["f1_macro"] += 0.01 * seed * (1 + (setting == "afl"))
        values["all_rules"]["average_precision_macro"] -= 0.01 * seed * (setting == "afl")
        (runs / f"{name}.json").write_text(json.dumps(content | {"study": "small", "run": name, "seed": seed}))
    return runs


def test_a_study_is_compared_once_its_primary_runs_are_there(tmp_path, capsys):
    runs = small_runs(tmp_path)
    (tmp_path / "small" / "study.yaml").write_text(PLAN)
    write_checksums(tmp_path / "small")
    found = compare_study("small", tmp_path)
    assert found["setting"].tolist() == ["afl", "afl"] and set(found["unit"]) == {"seed"}
    assert set(found["family"]) == {"primary question of small"} and set(found["margin"]) == {0.01}
    assert main(["compare", "small", "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("toy, f1_macro@at_0.5: afl minus bce ") and "Holm" in lines[2]
    assert len(lines) == 3 + ("undecided" in set(found["outcome"]))
    outcome = found["outcome"][0]
    detectable = f", detectable {found['detectable'][0]:.4f}" if outcome == "undecided" else ""
    assert lines[0].endswith(f"3 seeds, paired t: {outcome}{detectable}")

    (runs / "toy--bce--seed2.json").unlink()
    with pytest.raises(DataError, match="running: 5 of 6 runs"):
        compare_study(load_study("small", tmp_path))
    assert main(["compare", "small", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "small: running: 5 of 6 runs\n"


def test_a_study_that_is_done_names_the_next_step_and_may_be_given_as_a_path(tmp_path, capsys, monkeypatch):
    small_runs(tmp_path / "results")
    study = tmp_path / "results" / "small"
    (study / "study.yaml").write_text(PLAN.replace(", {name: focal-2.0, loss: focal, params: {gamma: 2.0}}", ""))
    write_checksums(study)
    monkeypatch.chdir(tmp_path)
    assert main(["study", "small"]) == 0
    assert capsys.readouterr().out == ("small: 6 runs, 0 missing\ncompare them: python -m afl_helpers compare small\n")
    assert main(["compare", "small"]) == 0
    expected = capsys.readouterr().out
    for given in ("results/small", "results/small/", str(study)):
        assert main(["compare", given]) == 0
        assert capsys.readouterr().out == expected
    for command in (["study", "results/small"], ["rescore", "results/small", "--rule", "at_0.5"]):
        assert main(command) == 0
        assert "small" in capsys.readouterr().out
    assert main(["compare", "results/tiny"]) == 1
    assert "results/tiny/study.yaml does not exist; the studies here are: small" in capsys.readouterr().err
    monkeypatch.chdir(study)
    assert main(["study", "."]) == 0
    assert capsys.readouterr().out.endswith(f"compare small --results {tmp_path / 'results'}\n")
    (study / "runs" / "toy--bce--seed2.json").unlink()
    assert main(["study", ".", "--dry-run"]) == 0
    assert "compare them" not in capsys.readouterr().out


def test_studies_that_declare_no_comparison_over_blocks_say_so(tmp_path):
    (tmp_path / "small").mkdir()
    path = tmp_path / "small" / "study.yaml"
    path.write_text("\n".join(line for line in PLAN.splitlines() if not line.startswith("primary")))
    with pytest.raises(UsageError, match="declares no primary comparison"):
        compare_study("small", tmp_path)


def test_a_study_names_the_family_of_its_comparisons(tmp_path):
    small_runs(tmp_path)
    path = tmp_path / "small" / "study.yaml"
    path.write_text(PLAN)
    write_checksums(tmp_path / "small")
    together = compare_study("small", tmp_path)
    path.write_text(PLAN.replace("margin: 0.01}", "margin: 0.01, correct_within: [corpus, endpoint]}"))
    apart = compare_study("small", tmp_path)
    assert set(together["family_size"]) == {2} and set(apart["family_size"]) == {1}
    assert (apart["p_adjusted"] == apart["p"]).all() and (together["p_adjusted"] >= together["p"]).all()
    path.write_text(PLAN.replace("margin: 0.01}", "margin: 0.01, correct_within: [corpora]}"))
    with pytest.raises(DataError, match="unknown column in correct_within 'corpora'"):
        compare_study("small", tmp_path)


def test_a_comparison_that_stands_twice_is_made_once():
    """A repeat would count twice in Holm's correction, and so would the same pair from its other side."""
    results = study({"afl": OURS, "bce": THEIRS, "focal": [0.5, 0.5, 0.51, 0.52]})
    once = compare(results, "afl", ["bce", "focal"], ["f1_macro@at_0.5", "ap"], family="all")
    twice = compare(results, ["afl", "afl"], ["bce", "focal", "bce"], ["f1_macro@at_0.5", "ap", "ap"], family="all")
    assert twice.equals(once)
    both = compare(results, ["afl", "bce"], ["bce", "afl", "focal"], "ap", family="all")
    pairs = list(zip(both["setting"], both["rival"]))
    assert pairs == [("afl", "bce"), ("afl", "focal"), ("bce", "focal")] and set(both["family_size"]) == {3}


@pytest.mark.parametrize("wrong", ["0.01", None, math.nan, -0.1, [0.01], True])
def test_margin_and_level_are_numbers(wrong):
    results = study({"afl": OURS, "bce": THEIRS})
    for argument in ("margin", "level"):
        with pytest.raises(UsageError, match=f"{argument} .*; pass"):
            compare(results, "afl", "bce", "ap", **{argument: wrong})
    assert compare(results, "afl", "bce", "ap", margin=np.float32(0.5), level=np.float64(0.9))["margin"][0] == 0.5


def test_an_unknown_split_of_a_metric_is_named():
    with pytest.raises(
        UsageError, match="unknown split 'val' .did you mean 'validation'..; choose one of: test, valid"
    ):
        RECORD.metric("f1_macro", split="val")


def test_what_is_no_result_is_refused():
    with pytest.raises(UsageError, match="results hold a str; pass results of a study.*difference_interval"):
        compare(["a run"], ["afl"], ["bce"], ["f1_macro@tuned_common"])


def test_runs_that_count_as_not_converged_are_counted(capsys):
    assert describe_convergence("frozen-encoder", RESULTS) == ""
    found = describe_convergence("word-vectors", RESULTS)
    assert found == "3 of 20 runs do not count as converged: the best epoch lies within the patience of the cap."
    assert main(["compare", "word-vectors", "--results", str(RESULTS)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == found and all("undecided, detectable 0." in line for line in lines[:4])


def test_blocks_of_a_study_that_is_running_are_not_handed_out(tmp_path):
    runs = small_runs(tmp_path)
    (tmp_path / "small" / "study.yaml").write_text(PLAN)
    write_checksums(tmp_path / "small")
    assert len(complete_blocks("small", tmp_path)) == 6
    (runs / "toy--bce--seed2.json").unlink()
    write_checksums(tmp_path / "small")
    with pytest.raises(DataError, match="small is running: 5 of 6 runs; nothing of it is shown"):
        complete_blocks("small", tmp_path)
    assert {run.seed for run in complete_blocks("small", tmp_path, while_running=True)} == {0, 1}


def test_a_comparison_over_documents_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "study.yaml").write_text(PLAN.replace("margin: 0.01}", "margin: 0.01, unit: document}"))
    with pytest.raises(DataError, match="a study's question is about settings.*compare STUDY --block N"):
        load_study("small", tmp_path)
