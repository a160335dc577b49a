"""Checks of exercises tell a right answer from wrong ones, name the known slips, and belong to the chapters."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from afl_helpers.chapters.exercises import CHECKS, RECORD, RUBRICS, check, points_of
from afl_helpers.errors import UsageError

BOOK = Path(__file__).parent.parent / "book"


def stable(z, y, gamma):
    log_p, log_not_p = torch.nn.functional.logsigmoid(z), torch.nn.functional.logsigmoid(-z)
    return -torch.where(y == 1, torch.exp(gamma * log_not_p) * log_p, torch.exp(gamma * log_p) * log_not_p)


def naive(z, y, gamma):
    p = torch.sigmoid(z)
    return -torch.where(y == 1, (1 - p) ** gamma * torch.log(p), p**gamma * torch.log(1 - p))


def mirrored(z, y, gamma):
    return stable(z, 1 - y, gamma)


TARGETS, DECISIONS = np.zeros((100, 2)), np.zeros((100, 2))
TARGETS[:50, 0], TARGETS[0, 1], DECISIONS[0, 0], DECISIONS[:50, 1] = 1, 1, 1, 1

# Right answers by hand or by another way than the check's; beside each, answers that are not.
ANSWERS = {
    "ex-rare-labels-1": ([0.57195, 0.80243, 0.89800, 0.97110, 0.99156], [[0.5] * 5, [0.57195]]),
    "ex-rare-labels-3": (1 / 121, [120, "a number"]),
    "ex-data-set-2": ((29, 134), [(28, 134), 29]),
    "ex-metrics-1": (0.5298, [0.7649]),
    "ex-metrics-3": ((TARGETS, DECISIONS), [(TARGETS, TARGETS), TARGETS, 3]),
    "ex-focal-loss-1": (stable, [naive, mirrored, lambda z, y, gamma: stable(z, y, 2.0), 1.0]),
    "ex-focal-loss-2": (0.75, [0.25, None]),
    "ex-adaptive-gamma-1": ("information", ["mean", 1]),
    "ex-adaptive-gamma-2": ({0.5: 0.385, 2.0: 0.5, 5.0: 0.810}, [[0.385, 0.5, 0.190]]),
    "ex-losses-1": ((np.log(0.25), 1.5625), [(0.2, 1.5625), (np.log(0.25), 0.64)]),
    "ex-paper-2": ((0.761, 0.725), [(0.764, 0.764)]),
    "ex-results-2": ("one gamma (AFL's mean)", ["bce"]),
    "ex-beyond-films-1": ([1, 19], [[0.5, 0.95], [2, 20]]),
    "ex-what-to-do-1": ([10, 1.9], [[10, 1], [0.1, 0.526]]),
}
# What the verdict on a known slip must say, of the slip and not of the answer.
SLIPS = [
    ("ex-rare-labels-3", 1 / 120, "ratio of the two odds"),
    ("ex-rare-labels-3", 120, "likelihood ratio"),
    ("ex-data-set-2", (28, 134), "with 28 documents"),
    ("ex-metrics-1", (1 + 0.7649) / 2, "in the place of the recall"),
    ("ex-focal-loss-2", 0.25, "this is alpha"),
    ("ex-adaptive-gamma-1", "mean", "last column"),
    ("ex-adaptive-gamma-2", [0.6148, 0.5, 0.1896], "shares of the *negatives*"),
    ("ex-losses-1", (0.2, 1.5625), "0.2 is the score"),
    ("ex-losses-1", (np.log(0.25), 0.64), "larger than 1"),
    ("ex-beyond-films-1", [2, 20], "1 / t"),
    ("ex-beyond-films-1", [0.5, 0.95], "1 - t"),
    ("ex-what-to-do-1", [10, 1], "carries D as well"),
    ("ex-results-2", "bce", "the size of gamma"),
]


# --- blanks, as a reader writes them ---------------------------------------------------------------------------------


def bce(z, y):
    # softplus(z) - y z, which is the same number by another way than the check's.
    return torch.nn.functional.softplus(z) - y * z


def bce_by_sigmoid(z, y):
    p = torch.sigmoid(z)
    return -torch.where(y == 1, torch.log(p), torch.log(1 - p))


def p_of(z):
    return torch.sigmoid(z)


def focal_from(ce, gamma):
    return (-torch.expm1(-ce)) ** gamma * ce


def gradient(p, y, gamma):
    p_t = np.where(y == 1, p, 1 - p)
    sign = np.where(y == 1, -1.0, 1.0)
    return sign * (1 - p_t) ** gamma * (1 - p_t - gamma * p_t * np.log(p_t))


def gamma_of(counts):
    return np.array([min(5.0, max(0.5, 2.0 * (sum(counts) / len(counts)) / n)) for n in counts])


def micro_f1(targets, decided):
    hits = (targets * decided).sum()
    return 2 * hits / max(1, targets.sum() + decided.sum())


def best_by(targets, scores, value):
    return max(np.unique(scores), key=lambda t: value(targets, scores >= t))


def best_threshold(targets, scores):
    return best_by(targets, scores, micro_f1)


def macro_f1(targets, decided):
    return np.mean([micro_f1(targets[:, c], decided[:, c]) for c in range(targets.shape[1])])


def just_below(targets, scores):
    """The threshold of somebody who predicts scores *above* it."""
    candidates = np.concatenate([[0.0], np.unique(scores)])
    return max(candidates, key=lambda t: micro_f1(targets, scores > t))


def proportional_cut(scores, rates, shift=0, rounded=np.round):
    falling = -np.sort(-scores, axis=0)
    places = rounded(len(scores) * rates).astype(int) - 1 + shift
    return falling[places, np.arange(scores.shape[1])]


def bootstrap(values, rng, draws=300, level=95, replace=True, size=None, pairs=False):
    n = len(values)
    means = []
    for _ in range(draws):
        if pairs:
            means.append(rng.choice(values.ravel(), values.size).mean())
        else:
            means.append(values[rng.choice(n, size or n, replace=replace)].mean())
    return np.percentile(means, [(100 - level) / 2, (100 + level) / 2])


def of_the_mean(values, rng):
    means = [values[rng.choice(len(values), len(values))].mean() for _ in range(300)]
    margin = 1.96 * np.std(means) / np.sqrt(len(means))
    return np.mean(means) - margin, np.mean(means) + margin


def by_rank(gamma):
    out = np.empty(len(gamma))
    out[np.argsort(gamma)] = np.sort(gamma)[::-1]
    return out


def controls(gamma, rng, mean=None, shuffled=None, turned=None):
    return {
        "mean": np.full(len(gamma), gamma.mean() if mean is None else mean(gamma)),
        "shuffled": rng.permutation(gamma) if shuffled is None else shuffled(gamma, rng),
        "reversed": gamma.max() + gamma.min() - gamma if turned is None else turned(gamma),
    }


def in_place(gamma, rng):
    rng.shuffle(gamma)
    return {"mean": gamma, "shuffled": gamma, "reversed": gamma}


BLANKS = {
    "blank-bce": (
        [bce, lambda z, y: torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none")],
        [
            (bce_by_sigmoid, "logsigmoid"),
            (lambda z, y: -torch.log(p_of(z)), "not of p_t"),
            (lambda z, y: -y * torch.log(p_of(z)), "negatives cost nothing"),
            (lambda z, y: -bce(z, y), "sign"),
            (lambda z, y: bce(z, 1 - y), "wrong way round"),
            (lambda z, y: bce(z, y) / np.log(2), "base 2"),
            (lambda z, y: bce(z, y).mean(), "one value per element"),
            (lambda z, y: -(y * torch.log(z) + (1 - y) * torch.log(1 - z)), "z is a logit"),
            (lambda z, y: bce(z, y) + 1, "should cost"),
        ],
    ),
    "blank-focal": (
        [focal_from, lambda ce, gamma: (1 - torch.exp(-ce)) ** gamma * ce],
        [
            (lambda ce, gamma: torch.exp(-ce) ** gamma * ce, "not p_t"),
            (lambda ce, gamma: (1 - torch.exp(-ce)) * gamma * ce, "exponent"),
            (lambda ce, gamma: (1 - ce) ** gamma * ce, "exp(-ce)"),
            (lambda ce, gamma: (1 - torch.exp(-ce)) ** gamma, "factor alone"),
            (lambda ce, gamma: -((1 - torch.exp(-ce)) ** gamma) * ce, "sign"),
            (lambda ce, gamma: ((1 - torch.exp(-ce)) ** gamma * ce).sum(), "one value per element"),
            (lambda ce, gamma: ce, "focal loss is"),
        ],
    ),
    "blank-gradient": (
        [gradient],
        [
            (lambda p, y, gamma: -np.abs(gradient(p, y, gamma)), "sign of a negative"),
            (lambda p, y, gamma: np.abs(gradient(p, y, gamma)), "this is the size"),
            (lambda p, y, gamma: -gradient(p, y, gamma), "both signs"),
            (lambda p, y, gamma: np.where(y == 1, 1, -1) * gradient(p, np.ones_like(y), gamma), "positive at 1 - p"),
            (lambda p, y, gamma: gradient(p, y, gamma) / (p * (1 - p)), "derivative by p"),
            (lambda p, y, gamma: (p - y) * np.abs(p - y) ** gamma, "second term"),
            (lambda p, y, gamma: 0 * p, "the gradient is"),
        ],
    ),
    "blank-gamma": (
        [gamma_of, lambda n: np.clip(2 * n.mean() / n, 0.5, 5)],
        [
            (lambda n: np.clip(2 * n / n.mean(), 0.5, 5), "turned over"),
            (lambda n: np.clip(2 * np.median(n) / n, 0.5, 5), "median"),
            (lambda n: np.clip(2 * n.max() / n, 0.5, 5), "n/max"),
            (lambda n: np.clip(2 * n.sum() / n, 0.5, 5), "n/sum"),
            (lambda n: 2 * n.mean() / n, "bounds are missing"),
            (lambda n: np.minimum(5, 2 * n.mean() / n), "lower bound"),
            (lambda n: np.maximum(0.5, 2 * n.mean() / n), "upper bound"),
            (lambda n: np.clip(n.mean() / n, 0.5, 5), "base is missing"),
            (lambda n: 2 * np.clip(n.mean() / n, 0.5, 5), "before you clip"),
            (lambda n: np.full(len(n), 3.0), "for the counts"),
        ],
    ),
    "blank-threshold": (
        [best_threshold],
        [
            (lambda y, s: best_by(y, s, macro_f1), "best for macro F1"),
            (lambda y, s: best_by(y, s, lambda a, b: (a == b).mean()), "best for the accuracy"),
            (just_below, "at least"),
            (lambda y, s: micro_f1(y, s >= best_threshold(y, s)), "best F1 itself"),
            (lambda y, s: int(np.argmax([micro_f1(y, s >= t) for t in np.unique(s)])), "position in a list"),
            (lambda y, s: [best_threshold(y[:, [c]], s[:, [c]]) for c in range(3)], "one threshold for all labels"),
            (lambda y, s: 0.99, "is possible"),
        ],
    ),
    "blank-cut": (
        [
            proportional_cut,
            lambda s, r: np.array([np.sort(s[:, c])[len(s) - round(len(s) * f)] for c, f in enumerate(r)]),
        ],
        [
            (lambda s, r: np.array([np.quantile(s[:, c], f) for c, f in enumerate(r)]), "the *highest* scores"),
            (lambda s, r: proportional_cut(s, r) + 1e-9, "too seldom"),
            (lambda s, r: proportional_cut(s, r, shift=1), "too often"),
            (lambda s, r: proportional_cut(s, r, rounded=np.floor), "nearest whole number"),
            (lambda s, r: 1 - r, "a rate is a share"),
            (lambda s, r: 0.3, "a threshold of its own"),
            (lambda s, r: np.full(3, 0.31), "should be predicted"),
        ],
    ),
    "blank-interval": (
        [bootstrap],
        [
            (lambda v, rng: bootstrap(v, rng, replace=False), "no width"),
            (of_the_mean, "far too narrow"),
            (lambda v, rng: bootstrap(v, rng, pairs=True), "whole documents"),
            (lambda v, rng: bootstrap(v, rng, level=90), "90 %"),
            (lambda v, rng: bootstrap(v, rng, size=len(v) // 2), "too wide"),
            (lambda v, rng: v.mean(), "two numbers"),
            (lambda v, rng: bootstrap(v + 0.4, rng), "covered the truth"),
        ],
    ),
    "blank-control": (
        [controls, lambda g, rng: controls(g, rng, turned=by_rank)],
        [
            (in_place, "have changed"),
            (lambda g, rng: controls(g, rng, mean=np.median), "median"),
            (lambda g, rng: controls(g, rng, mean=lambda g: 2.0), "same gamma for every label"),
            (lambda g, rng: controls(g, rng, shuffled=lambda g, rng: rng.choice(g, len(g))), "without replacement"),
            (lambda g, rng: controls(g, rng, shuffled=lambda g, rng: g[::-1].copy()), "come from rng"),
            (lambda g, rng: controls(g, rng, turned=lambda g: g[::-1]), "the *list* round"),
            (lambda g, rng: controls(g, rng, turned=lambda g: 5.5 - 2 * g), "keep the range"),
            (lambda g, rng: controls(g, rng, turned=np.sort), "the label that had the smallest"),
            (lambda g, rng: {"mean": g}, "keys"),
        ],
    ),
}


def test_each_check_has_answers_here():
    assert ANSWERS.keys() | BLANKS.keys() == CHECKS.keys()


@pytest.mark.parametrize("label", ANSWERS)
def test_right_answers_are_right_and_others_are_not(label):
    right, wrong = ANSWERS[label]
    verdict = check(label, right)
    assert verdict and repr(verdict) == "Right."
    for answer in wrong:
        verdict = check(label, answer)
        assert not verdict and re.fullmatch(r"Not yet: .+\.", repr(verdict))


@pytest.mark.parametrize(("label", "answer", "said"), SLIPS)
def test_a_known_slip_is_named(label, answer, said):
    verdict = check(label, answer)
    assert not verdict and said in repr(verdict)


@pytest.mark.parametrize("label", BLANKS)
def test_what_a_reader_may_write_into_a_blank_is_right(label):
    for function in BLANKS[label][0]:
        assert repr(check(label, function)) == "Right."


@pytest.mark.parametrize(
    ("label", "function", "said"),
    [(label, *slip) for label, (_, slips) in BLANKS.items() for slip in slips],
    ids=[f"{label}-{i}" for label, (_, slips) in BLANKS.items() for i in range(len(slips))],
)
def test_a_blank_names_the_slip(label, function, said):
    verdict = check(label, function)
    assert not verdict and said in repr(verdict)


@pytest.mark.parametrize("label", BLANKS)
def test_an_empty_blank_says_what_is_asked_for_and_is_not_wrong(label):
    verdict = check(label, lambda *_: None)
    assert not verdict and repr(verdict) == f"Still blank: write {CHECKS[label].asks}."
    assert repr(check(label, ...)).startswith("Still blank: ")


def test_a_function_that_raises_is_told_so():
    assert "ZeroDivisionError" in repr(check("blank-gamma", lambda counts: 1 / 0))


def test_the_naive_loss_is_told_where_it_breaks():
    assert "at logit -1000 and gamma 0 the loss of a positive should be 1000, and yours is inf" in repr(
        check("ex-focal-loss-1", naive)
    )


def test_an_unknown_exercise_is_named():
    with pytest.raises(UsageError, match="ex-focal-loss-1"):
        check("ex-focal-los-1", 1)
    with pytest.raises(UsageError, match="ex-metrics-2"):
        points_of("ex-metrics-22")


def test_verdicts_are_recorded_where_a_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(RECORD, str(tmp_path / "verdicts"))
    check("ex-focal-loss-2", 0.5)
    check("ex-focal-loss-2", 0.75)
    lines = [json.loads(line) for line in (tmp_path / "verdicts").read_text().splitlines()]
    assert [(line["label"], line["right"]) for line in lines] == [("ex-focal-loss-2", False), ("ex-focal-loss-2", True)]


def texts() -> list[str]:
    chapters = [json.loads(path.read_text(encoding="utf-8"))["cells"] for path in BOOK.glob("*.ipynb")]
    return ["".join(cell["source"]) for cells in chapters for cell in cells]


def test_every_exercise_has_points_and_a_check_or_a_rubric():
    labels = re.findall(r"```\{exercise\}.*\n:label: (\S+)", "\n".join(texts()))
    assert len(labels) == len(set(labels)) > 30
    assert set(labels) == CHECKS.keys() | RUBRICS.keys() and not CHECKS.keys() & RUBRICS.keys()
    assert all(2 <= points_of(label) <= 5 for label in labels)
    assert all(points > 0 and what[0].islower() for rubric in RUBRICS.values() for points, what in rubric)


@pytest.mark.parametrize("label", CHECKS)
def test_the_exercise_is_in_a_chapter_whose_solution_is_checked(label):
    found = texts()
    assert sum(f":label: {label}\n" in text for text in found) == 1
    # A blank is checked twice: where the reader writes, and below its solution.
    assert sum(len(re.findall(rf'check\(\s*"{label}",', text)) for text in found) == (2 if label in BLANKS else 1)
