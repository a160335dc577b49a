"""Arguments of the evaluation that do not fit end in one sentence; numbers of every kind give the same result."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from afl_helpers.errors import UsageError
from afl_helpers.evaluation import (
    BlockEvaluation,
    Temperature,
    TopK,
    best_constant_logit,
    best_constant_score,
    binarize,
    bootstrap_average_precision,
    bootstrap_decisions,
    bootstrap_weights,
    detectable_difference,
    difference_interval,
    evaluate,
    evaluate_rules,
    evaluate_tuned,
    expected_calibration_errors,
    fit_isotonic,
    fit_thresholds,
    frequency_curve,
    frequency_groups,
    holm,
    interval,
    label_table,
    metric_interval,
    paired_difference,
    paper_metrics,
    posterior_logits,
    posterior_scores,
    ranking_metrics,
    seed_interval,
    suspicious_labels,
    t_test,
    tune_thresholds,
)

TARGETS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]])
# Exact in bfloat16.
SCORES = np.array([[0.875, 0.25, 0.125], [0.375, 0.75, 0.25], [0.625, 0.6875, 0.125], [0.25, 0.125, 0.9375]])
MISSING = pd.DataFrame(TARGETS).astype("Int64").mask(TARGETS * SCORES == 0.75)
HALVED = {"validation": (TARGETS[:2], SCORES[:2]), "test": (TARGETS[2:], SCORES[2:]), "label_counts": [3, 2, 1]}


@pytest.mark.parametrize(
    "scores",
    [
        torch.tensor(SCORES, dtype=torch.bfloat16),
        torch.tensor(SCORES, dtype=torch.bfloat16, requires_grad=True),
        torch.tensor(SCORES, dtype=torch.float16),
        [torch.tensor(row, dtype=torch.bfloat16, requires_grad=True) for row in SCORES],
        SCORES.astype(object),
    ],
)
def test_scores_of_every_kind_give_the_same_numbers(scores):
    assert evaluate(torch.tensor(TARGETS).bfloat16(), scores) == evaluate(TARGETS, SCORES)
    assert (binarize(scores, torch.tensor([0.5, 0.5, 0.5], dtype=torch.bfloat16)) == (SCORES >= 0.5)).all()
    assert evaluate(TARGETS, scores, torch.tensor(0.5, dtype=torch.bfloat16)) == evaluate(TARGETS, SCORES)
    rates = torch.tensor([0.5, 0.25, 0.25], dtype=torch.bfloat16)
    expected = tune_thresholds(TARGETS, SCORES, "proportional", label_rates=[0.5, 0.25, 0.25])
    assert (tune_thresholds(TARGETS, scores, "proportional", label_rates=rates) == expected).all()


def test_weights_may_be_lists():
    weights = bootstrap_weights(4, n_replicates=3)
    decisions = SCORES > 0.5
    for found, expected in zip(
        bootstrap_decisions(TARGETS, decisions, weights.tolist()).values(),
        bootstrap_decisions(TARGETS, decisions, weights).values(),
    ):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        bootstrap_average_precision(TARGETS, SCORES, weights.tolist()),
        bootstrap_average_precision(TARGETS, SCORES, weights),
    )


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: binarize(SCORES[0], 0.5), r"scores have shape \(3,\); pass \(n_documents, n_labels\)"),
        (lambda: binarize([[np.nan, 0.9]], 0.5), "scores hold nan at row 0, label 0; every score must be finite"),
        (lambda: binarize([[0.1, 0.9], [0.1, np.inf]], TopK(2)), "scores hold inf at row 1, label 1"),
        (lambda: bootstrap_decisions(TARGETS, TARGETS, [[1, np.nan, 1, 1]]), "weights hold nan; pass how often"),
        (lambda: bootstrap_average_precision(TARGETS, SCORES, [[1, -1, 3, 1]]), "weights hold -1; pass how often"),
        (lambda: evaluate(TARGETS, SCORES, label_counts=[3, np.inf, 1]), "label_counts hold inf; pass how many"),
        (lambda: frequency_groups([3, np.nan, 1]), "label_counts hold nan; pass how many"),
        (
            lambda: frequency_curve(label_table(TARGETS, SCORES, label_counts=[3, 2, 1]), [1, np.nan]),
            "edges must ascend",
        ),
        (lambda: posterior_scores([["high"]], 2.0), "scores hold 'high'; pass numbers"),
        (lambda: posterior_logits([0.5], "much"), "gamma hold 'much'; pass numbers"),
        (lambda: fit_isotonic(TARGETS, SCORES)(SCORES.astype(str)), "scores hold '0.875'; pass numbers"),
        (lambda: BlockEvaluation(3, TopK(1)), "thresholds are TopK"),
        (lambda: evaluate(TARGETS, SCORES, zero_division="warn"), "zero_division is 'warn'; pass 0, 1 or NaN"),
        (lambda: evaluate(TARGETS, SCORES, zero_division=None), "zero_division is None"),
        (lambda: label_table(TARGETS, SCORES, zero_division=2), "zero_division is 2"),
        (lambda: BlockEvaluation(3, 0.5, zero_division="nan"), "zero_division is 'nan'"),
        (lambda: evaluate(TARGETS, SCORES, label_counts=[3, 2, 1], cutoffs=None), "cutoffs are None"),
        (lambda: frequency_groups([3, 2, 1], cutoffs=("a", "b")), "cutoffs are"),
        (lambda: frequency_groups(["3", "2"]), "label_counts hold '3'; pass numbers"),
        (lambda: evaluate(TARGETS, SCORES, label_counts=["3", "2", "1"]), "label_counts hold '3'; pass numbers"),
        (lambda: evaluate(TARGETS, SCORES, label_counts=[3, None, 1]), "label_counts hold None"),
        (lambda: bootstrap_weights(0), "n_documents is 0; pass a whole number from 1"),
        (lambda: bootstrap_weights([3]), "n_documents is"),
        (lambda: bootstrap_weights(3, n_replicates=-1), "n_replicates is -1"),
        (lambda: interval([1.0, 2.0], level=95), "level is 95; pass a share between 0 and 1, such as 0.95"),
        (lambda: seed_interval([1.0, 2.0], level=95), "level is 95"),
        (lambda: seed_interval([1.0], level=95), "level is 95"),
        (lambda: t_test([1.0, 2.0], level="0.95"), "level is '0.95'"),
        (lambda: detectable_difference([1.0, 2.0], level=0), "level is 0"),
        (lambda: metric_interval(TARGETS, SCORES > 0.5, [1, 1, 1], level=95), "level is 95"),
        (lambda: interval(["a"]), "replicates hold 'a'; pass numbers"),
        (lambda: seed_interval(["a"]), "values hold 'a'"),
        (lambda: t_test(["a", "b"]), "differences hold 'a'"),
        (lambda: holm(["a"]), "p_values hold 'a'"),
        (lambda: evaluate(TARGETS, SCORES.astype(str)), "scores hold '0.875'; pass numbers"),
        (lambda: evaluate(TARGETS, SCORES.astype(str).astype(object)), "scores hold '0.875'; pass numbers"),
        (lambda: evaluate(TARGETS, SCORES.astype(complex)), "scores hold .*; pass numbers"),
        (lambda: evaluate(TARGETS, [[0.5], [0.5, 0.5]]), "scores has rows of different lengths|different lengths"),
        (lambda: evaluate(TARGETS, SCORES, thresholds="0.5"), "thresholds hold '0.5'; pass numbers"),
        (lambda: label_table(TARGETS, SCORES, label_names="abc"), "label_names is one string"),
        (
            lambda: expected_calibration_errors(TARGETS, SCORES, n_bins=None),
            "n_bins is None; pass a whole number from 1",
        ),
        (lambda: expected_calibration_errors(TARGETS, SCORES, n_bins=2.5), "n_bins is 2.5"),
        (lambda: tune_thresholds(TARGETS, SCORES, "per_label", shrinkage="a"), "shrinkage is 'a'"),
        (lambda: tune_thresholds(TARGETS, SCORES, ["common"]), r"unknown rule \['common'\]"),
        (lambda: fit_thresholds(TARGETS, SCORES, None, [["at_0.5"]]), r"unknown rule \['at_0.5'\]"),
        (lambda: evaluate([[1, 0], [1]], SCORES), "targets hold rows of different lengths; pass one number per label"),
        (
            lambda: evaluate(TARGETS.astype(str), SCORES),
            "targets hold '1' at row 0, label 0: a value other than 0 and 1",
        ),
        (lambda: evaluate(TARGETS.astype(str).astype(object), SCORES), "targets hold '1' at row 0, label 0"),
        (lambda: evaluate(MISSING, SCORES), "targets hold <NA> at row 1, label 1"),
        (lambda: evaluate(MISSING.astype("boolean"), SCORES), "targets hold <NA> at row 1, label 1"),
        (lambda: evaluate([[1, None, 0]] * 4, SCORES), "targets hold None at row 0, label 1"),
        (lambda: evaluate(TARGETS, SCORES, None), "thresholds hold None; pass numbers"),
        (lambda: evaluate_rules(TARGETS, SCORES, [0.5]), r"thresholds are \[0.5\]; pass each name with its thresholds"),
        (lambda: evaluate_tuned(**HALVED, n_documents=None), "n_documents is None; pass a whole number from 1"),
        (lambda: evaluate_tuned(**HALVED, n_documents="100"), "n_documents is '100'"),
        (
            lambda: evaluate_tuned(**HALVED | {"test": (TARGETS,)}, n_documents=100),
            r"test is no pair; pass \(targets, scores\)",
        ),
        (lambda: ranking_metrics(TARGETS, SCORES, 3), "ks is 3; pass a list of whole numbers of at least 1"),
        (lambda: ranking_metrics(TARGETS, SCORES, "13"), "ks are .*; pass whole numbers of at least 1"),
        (lambda: label_table(TARGETS, SCORES, label_names=3), "label_names is of type int; pass a list of names"),
        (
            lambda: label_table(TARGETS, SCORES, label_names=set("abc")),
            "label_names is a set, which has no order; pass a",
        ),
        (lambda: label_table(TARGETS, SCORES, label_names=np.eye(3)), "label_names is of type ndarray; pass a list"),
        (lambda: suspicious_labels(TARGETS, SCORES, document_ids=4), "document_ids is of type int; pass a list"),
        (
            lambda: suspicious_labels(TARGETS, SCORES, document_ids=set("abcd")),
            "document_ids is a set, which has no order; pass a list",
        ),
        (lambda: BlockEvaluation("2"), "n_labels is '2'; pass a whole number from 1"),
        (lambda: BlockEvaluation(-1), "n_labels is -1"),
        (lambda: BlockEvaluation(2.0), "n_labels is 2.0"),
        (
            lambda: metric_interval(*[np.tile(TARGETS, (9, 1))] * 2, [9, 9, 9], seed=-1),
            "seed is -1; pass a whole number",
        ),
        (lambda: metric_interval(TARGETS, TARGETS, [1, 1, 1], ["f1_macro"]), r"unknown metric \['f1_macro'\]"),
        (lambda: Temperature(0), "value is 0; pass a finite temperature above 0"),
        (lambda: Temperature(-1.0), "value is -1.0"),
        (lambda: Temperature(float("nan")), "value is nan"),
        (lambda: Temperature("2"), "value is '2'"),
        (lambda: interval(np.ones((5, 3))), r"replicates have shape \(5, 3\); pass one label at a time, such as repl"),
        (lambda: paired_difference(np.ones((5, 3)), np.ones((5, 3))), "pass one label at a time"),
        (
            lambda: t_test([0.1, 0.2, 0.4], overlap=-1),
            "overlap is -1; pass n_test / n_train, a finite number of at least",
        ),
        (lambda: t_test([0.1, 0.2, 0.4], overlap="a"), "overlap is 'a'"),
        (lambda: t_test([0.1, 0.2, 0.4], margin=-1), "margin is -1; pass the smallest difference that matters"),
        (lambda: detectable_difference([0.1]), r"differences have shape \(1,\); pass at least two numbers"),
        (lambda: detectable_difference([0.1, np.nan]), "pass at least two numbers, none of them NaN"),
        (lambda: detectable_difference([[0.1, 0.2], [0.3, 0.5]]), r"differences have shape \(2, 2\)"),
        (lambda: detectable_difference([0.1, 0.2], power=2), "power is 2; pass a share between 0 and 1, such as 0.8"),
        (lambda: detectable_difference([0.1, 0.2], overlap=-1), "overlap is -1"),
    ],
)
def test_what_does_not_fit_is_one_sentence(call, words):
    with pytest.raises(UsageError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_logits_at_one_half_are_said_to_be_no_probabilities():
    logits = 8 * (SCORES - 0.5)
    with pytest.warns(UserWarning, match=r"scores lie between -3 and 3\.5, .* pass sigmoid\(logits\)"):
        evaluate(TARGETS, logits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(TARGETS, logits, thresholds=0.0)
        evaluate(TARGETS, logits, TopK(1))
        evaluate(TARGETS, SCORES)
        evaluate(TARGETS, [[0.0, 1.0, 1.0]] * 4)


def test_tuning_on_the_test_documents_is_found_in_any_order():
    rng = np.random.default_rng(0)
    targets, scores = rng.random((40, 3)) < 0.4, rng.random((40, 3))
    order = rng.permutation(40)
    options = {"label_counts": [20, 10, 5], "n_documents": 100}
    for test in ((targets, scores), (targets[order], scores[order])):
        with pytest.raises(UsageError, match="validation and test hold the same scores"):
            evaluate_tuned(validation=(targets, scores), test=test, **options)
    # The same scores, but of documents with other labels: two constant scorers are no error.
    other = targets.copy()
    other[0] = ~other[0]
    assert evaluate_tuned(validation=(targets, scores), test=(other[order], scores[order]), **options)


def test_a_threshold_in_per_cent_is_noticed():
    with pytest.warns(UserWarning, match="the threshold is 50, but scores lie in .*; pass 0.5 for 50 %"):
        evaluate([[1, 0], [0, 1]], [[0.4, 0.1], [0.2, 0.3]], 50)


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: evaluate(TARGETS, SCORES, 3),
            r"no label is predicted; pass TopK\(3\) for the 3 highest labels of each",
        ),
        (lambda: evaluate(TARGETS, SCORES, 5), r"pass 0.05 for 5 % or TopK\(5\) for"),
        (lambda: evaluate(TARGETS, SCORES, 1.5), r"the threshold is 1.5, .*; pass a threshold in \[0, 1\]"),
        (
            lambda: evaluate(TARGETS, SCORES, [50] * 3),
            "the threshold of label 0 is 50, .* so it is never predicted; pass",
        ),
        (lambda: evaluate(TARGETS, SCORES, [0.5, 0.5, 3]), r"label 2 is 3, .*; pass a threshold in \[0, 1\]"),
        (lambda: evaluate_rules(TARGETS, SCORES, {"half": 0.5, "fifty": 50}), "the threshold is 50"),
        (lambda: label_table(TARGETS, SCORES, 50), "the threshold is 50"),
        (lambda: binarize(SCORES, 50), "the threshold is 50"),
        (lambda: BlockEvaluation(3, 50), "the threshold is 50"),
        (lambda: BlockEvaluation(3, 2), r"pass a threshold in \[0, 1\]"),
    ],
)
def test_a_threshold_that_no_probability_reaches_is_noticed(call, words):
    with pytest.warns(UserWarning, match=words) as found:
        call()
    assert len(found) == 1


def test_thresholds_of_labels_that_are_never_predicted_are_no_mistake():
    certain = np.ones((4, 3))
    thresholds = fit_thresholds(TARGETS * [1, 1, 0], certain, [0.0, 0.5, 1.0])
    assert max(np.max(value) for value in thresholds.values() if not isinstance(value, TopK)) > 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_rules(TARGETS, certain, thresholds)
        for value in (np.inf, [np.inf, 0.5, 1.0], np.nextafter(np.float32(1), np.float32(2))):
            assert not binarize(SCORES, value).all(0).any()
            BlockEvaluation(3, value)
        binarize(SCORES * 100, 50)  # scores in per cent
        binarize(SCORES[:0], 50)  # no document


def test_a_warning_points_to_the_line_that_called_the_package():
    logits = 8 * (SCORES - 0.5)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        first = inspect.currentframe().f_lineno + 1
        evaluate(TARGETS, logits)
        evaluate_rules(TARGETS, logits, {"half": 0.5})
        paper_metrics(TARGETS, logits)
        evaluate_tuned(**HALVED | {"test": (TARGETS, logits)}, n_documents=9, rules=["at_0.5"])
        evaluate(TARGETS, SCORES, 50)
        binarize(SCORES, 50)
        BlockEvaluation(3, 50)
    assert [(warning.filename, warning.lineno) for warning in found] == [(__file__, first + i) for i in range(7)]


@pytest.mark.parametrize("kind", ["uint8", "uint64", "int8", "bool", "float32"])
def test_whole_numbers_of_every_kind_have_the_same_order(kind):
    """The negative of an unsigned number, and of the lowest signed one, is no smaller."""
    values = np.array([[0, 1, 120], [-128, 3, 1]] if kind in ("int8", "float32") else [[0, 10, 200], [255, 3, 1]])
    scores = values.astype(kind)
    np.testing.assert_array_equal(binarize(scores, TopK(1)), binarize(scores.astype(float), TopK(1)))
    counts = scores[scores.min(1) >= 0][0]
    for name, labels in frequency_groups(counts.astype(float)).items():
        np.testing.assert_array_equal(frequency_groups(counts)[name], labels)


def test_thresholds_belong_to_the_evaluation_of_blocks():
    thresholds = np.full(3, 0.5)
    evaluation = BlockEvaluation(3, thresholds)
    evaluation.add(TARGETS, SCORES)
    thresholds[:] = 2
    evaluation.add(TARGETS, SCORES)
    assert evaluation.metrics()["f1_micro"] == evaluate(TARGETS, SCORES)["f1_micro"] == 1


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda masked: evaluate(masked, SCORES), "targets"),
        (lambda masked: evaluate(TARGETS, masked), "scores"),
        (lambda masked: evaluate(TARGETS, list(masked)), "scores"),
        (lambda masked: evaluate(TARGETS, SCORES, masked[0]), "thresholds"),
        (lambda masked: evaluate(TARGETS, SCORES, label_counts=masked[0]), "label_counts"),
        (lambda masked: metric_interval(masked, TARGETS, [3, 2, 1]), "targets"),
        (lambda masked: interval(masked[0]), "replicates"),
        (lambda masked: posterior_scores(masked, 2.0), "scores"),
    ],
)
def test_masked_values_are_refused(call, name):
    with pytest.raises(UsageError, match=f"^{name} hold masked values; fill them, or leave out their rows"):
        call(np.ma.array(TARGETS, mask=TARGETS == 1))


def test_a_masked_array_without_a_masked_value_is_an_array():
    assert evaluate(np.ma.array(TARGETS), np.ma.array(SCORES)) == evaluate(TARGETS, SCORES)


@pytest.mark.parametrize("name", ["cpu", "detach", "toarray", "k", "columns", "iloc"])
def test_a_label_may_have_the_name_of_an_attribute(name):
    names = [name, "drama", "samurai"]
    targets, scores = pd.DataFrame(TARGETS, columns=names), pd.DataFrame(SCORES, columns=names)
    halves = pd.Series(0.5, names)
    assert evaluate(targets, scores, halves) == evaluate(TARGETS, SCORES)
    assert label_table(TARGETS, SCORES, halves, label_counts=halves)["training_count"].tolist() == [0.5] * 3
    assert label_table(targets, scores, halves)["label"].tolist() == names
    tune_thresholds(targets, scores, "proportional", label_rates=halves)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_tensors_of_every_kind_are_read():
    halves = torch.nn.Parameter(torch.tensor([0.5] * 3))
    targets, scores = torch.tensor(TARGETS), torch.tensor(SCORES)
    assert evaluate(targets.to_sparse(), scores.to_sparse(), halves) == evaluate(TARGETS, SCORES)
    assert evaluate(targets.to_sparse_csr(), sparse.csr_array(SCORES)) == evaluate(TARGETS, SCORES)
    pd.testing.assert_frame_equal(label_table(TARGETS, SCORES, halves), label_table(TARGETS, SCORES))
    for gamma in (2.0, torch.nn.Parameter(torch.tensor([2.0, 0.0, 1.0]))):
        found = best_constant_score(halves, gamma)
        np.testing.assert_array_equal(found, [0.5] * 3)
    np.testing.assert_array_equal(
        best_constant_score(torch.tensor([0.25]).bfloat16(), 2.0), best_constant_score([0.25], 2.0)
    )


def test_names_may_come_from_a_generator_or_a_series():
    expected = label_table(TARGETS, SCORES, label_names=list("abc"))
    for names in (
        (name for name in "abc"),
        pd.Series(list("abc"), [5, 6, 7]),
        np.array(list("abc")),
        dict.fromkeys("abc"),
    ):
        pd.testing.assert_frame_equal(label_table(TARGETS, SCORES, label_names=names), expected)
    assert ranking_metrics(TARGETS, SCORES, (k for k in (1, 3))) == ranking_metrics(TARGETS, SCORES, (1, 3))


def test_isotonic_maps_are_compared_and_hashed():
    maps, others = fit_isotonic(TARGETS, SCORES), fit_isotonic(TARGETS, SCORES)
    assert maps == maps and maps != others
    assert len({maps, others}) == 2


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda scores: scores[["b", "a"]], r"columns differ, 'a' and 'b' at 0; pass scores\[targets.columns\]"),
        (lambda scores: scores.iloc[::-1], r"index differ, 7 and 9 at 0; pass scores.loc\[targets.index\]"),
        (
            lambda scores: scores.rename(columns={"b": "c"}),
            "columns differ, 'b' and 'c' at 1; give both the same columns",
        ),
    ],
)
def test_data_frames_of_another_order_are_refused(change, words):
    """A column is never read as another label, a row never as another document."""
    targets = pd.DataFrame([[1, 0], [0, 1]], columns=["a", "b"], index=[7, 9])
    scores = pd.DataFrame([[0.9, 0.1], [0.2, 0.7]], columns=["a", "b"], index=[7, 9])
    assert evaluate(targets, scores)["f1_macro"] == 1
    for judge in (evaluate, tune_thresholds, suspicious_labels):
        with pytest.raises(UsageError, match=words):
            judge(targets, change(scores))
    assert evaluate(targets, change(scores).to_numpy())["f1_macro"] in (0, 1)  # arrays have no names to compare


# --- names of labels ------------------------------------------------------------------------------------------------

NAMES = ["drama", "samurai"]
NAMED = pd.DataFrame([[1, 0], [1, 0], [1, 0], [0, 1]] * 5, columns=NAMES)
NAMED_SCORES = NAMED * 0.5 + 0.25
SWAPPED, SWAPPED_SCORES = NAMED[NAMES[::-1]], NAMED_SCORES[NAMES[::-1]]
COUNTS, HALVES = pd.Series([3, 1], NAMES), pd.Series([0.5, 0.5], NAMES)


def of_blocks(thresholds, *blocks, label_names=None):
    evaluation = BlockEvaluation(2, thresholds)
    for block in blocks:
        evaluation.add(*block)
    return evaluation.label_table(label_names)


def tuned(validation=(NAMED, NAMED_SCORES), test=(NAMED[:8], NAMED_SCORES[:8]), label_counts=COUNTS, gamma=None):
    return evaluate_tuned(validation=validation, test=test, label_counts=label_counts, n_documents=20, gamma=gamma)


#: What takes one value per label, beside data frames or another such value.
PER_LABEL = {
    "label_table, counts": lambda x: label_table(NAMED, NAMED_SCORES, label_counts=x),
    "label_table, thresholds": lambda x: label_table(NAMED, NAMED_SCORES, x / 4),
    "label_table, names": lambda x: label_table(NAMED.to_numpy(), NAMED_SCORES.to_numpy(), x / 4, NAMES),
    "evaluate, thresholds": lambda x: evaluate(NAMED, NAMED_SCORES, x / 4),
    "evaluate, counts": lambda x: evaluate(NAMED.to_numpy(), NAMED_SCORES, label_counts=x),
    "paper_metrics": lambda x: paper_metrics(NAMED, NAMED_SCORES, x / 4),
    "binarize": lambda x: binarize(NAMED_SCORES, x / 4),
    "tune_thresholds": lambda x: tune_thresholds(NAMED, NAMED_SCORES, "proportional", label_rates=x / 20),
    "fit_thresholds": lambda x: fit_thresholds(NAMED, NAMED_SCORES, [0.5, 0.5], gamma=x),
    "evaluate_tuned, counts": lambda x: tuned(label_counts=x),
    "evaluate_tuned, gamma": lambda x: tuned(gamma=x),
    "metric_interval": lambda x: metric_interval(NAMED, NAMED, x),
    "posterior_scores": lambda x: posterior_scores(NAMED_SCORES, x),
    "posterior_logits": lambda x: posterior_logits(NAMED_SCORES, x),
    "best_constant_logit": lambda x: best_constant_logit(HALVES, x),
    "BlockEvaluation": lambda x: of_blocks(x / 4, (NAMED, NAMED_SCORES)),
    "BlockEvaluation, names": lambda x: of_blocks(
        x / 4, (NAMED.to_numpy(), NAMED_SCORES.to_numpy()), label_names=NAMES
    ),
}


@pytest.mark.parametrize("call", PER_LABEL.values(), ids=PER_LABEL)
def test_a_series_of_another_order_is_refused(call):
    expected = call(COUNTS)
    for same in (COUNTS.to_numpy(), COUNTS.reset_index(drop=True)):
        assert str(call(same)) == str(expected)
    with pytest.raises(UsageError, match="in different orders, '(drama|samurai)' and '(drama|samurai)' at 0; pass "):
        call(COUNTS[::-1])
    with pytest.raises(
        UsageError, match="name the labels differently, .* at 1; give both the same names, or pass arrays"
    ):
        call(COUNTS.rename({"samurai": "western"}))


def test_the_remedy_for_a_series_is_code_that_works():
    counts = NAMED.sum().sort_values()
    with pytest.raises(UsageError, match=r"targets and label_counts .*; pass label_counts.loc\[targets.columns\]$"):
        label_table(NAMED, NAMED_SCORES, label_counts=counts)
    table = label_table(NAMED, NAMED_SCORES, label_counts=counts.loc[NAMED.columns])
    assert table["training_count"].tolist() == [15, 5]


def test_numbers_as_names_are_compared_only_with_numbers():
    """pandas numbers what has no names, and sorting shuffles these numbers."""
    plain, scores = NAMED.set_axis([0, 1], axis=1), NAMED_SCORES.set_axis([0, 1], axis=1)
    with pytest.raises(
        UsageError, match=r"in different orders, 0 and 1 at 0; pass label_counts.loc\[targets.columns\]"
    ):
        evaluate(plain, scores, label_counts=plain.sum().sort_values())
    for targets, counts in (
        (plain, COUNTS),
        (NAMED, pd.Series([3, 1], [7, 9])),
        (plain.to_numpy(), pd.Series([3, 1], [1, 0])),
    ):
        table = label_table(targets, NAMED_SCORES.to_numpy(), label_counts=counts)
        assert table["training_count"].tolist() == [3, 1]


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: tuned(test=(SWAPPED[:8], SWAPPED_SCORES[:8])),
            r"validation\[0\] and test\[0\] have .* at 0; pass test\[0\]\[validation\[0\].columns\]",
        ),
        (
            lambda: tuned(test=(SWAPPED.to_numpy()[:8], SWAPPED_SCORES[:8])),
            r"pass test\[1\]\[validation\[0\].columns\]",
        ),
        (
            lambda: fit_isotonic(NAMED, NAMED_SCORES)(SWAPPED_SCORES),
            r"the data frame of the fit and scores .*; pass scores\[columns of the data frame of the fit\]",
        ),
        (
            lambda: of_blocks(0.5, (NAMED, NAMED_SCORES), (SWAPPED, SWAPPED_SCORES)),
            r"the first data frame and targets .*; pass targets\[columns of the first data frame\]",
        ),
        (
            lambda: bootstrap_decisions(NAMED, SWAPPED, bootstrap_weights(20, 3)),
            r"targets and decisions .* columns differ.*; pass decisions\[targets.columns\]",
        ),
        (
            lambda: difference_interval(NAMED, NAMED, SWAPPED, [3, 1]),
            r"targets and rival_decisions .*; pass rival_decisions\[targets.columns\]",
        ),
        (lambda: metric_interval(NAMED, NAMED[::-1], [3, 1]), r"index differ, .*; pass decisions.loc\[targets.index\]"),
    ],
)
def test_data_frames_that_belong_together_have_one_order(call, words):
    with pytest.raises(UsageError, match=words):
        call()


@pytest.mark.parametrize(
    "table",
    [
        lambda names: label_table(NAMED, NAMED_SCORES, label_names=names),
        lambda names: suspicious_labels(NAMED, 1 - NAMED_SCORES.shift(1, fill_value=0.5), names),
        lambda names: of_blocks(0.5, (NAMED, NAMED_SCORES), label_names=names),
    ],
    ids=["label_table", "suspicious_labels", "BlockEvaluation"],
)
def test_label_names_are_the_columns_of_data_frames(table):
    assert set(table(None)["label"]) <= set(NAMES)
    pd.testing.assert_frame_equal(table(NAMES), table(None))
    with pytest.raises(UsageError, match=r"label_names have .* at 0; pass list\(.*columns.*\) as label_names"):
        table(NAMES[::-1])
    with pytest.raises(UsageError, match="label_names name the labels differently, 'samurai' and 'western' at 1"):
        table(["drama", "western"])
