"""Checks of exercises tell a right answer from wrong ones, and belong to the chapters."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from afl_helpers.chapters.exercises import CHECKS, check
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
    "ex-results-2": ("afl-mean", ["bce"]),
    "ex-beyond-films-1": ([1, 19], [[0.5, 0.95], [2, 20]]),
}


def test_each_check_has_answers_here():
    assert ANSWERS.keys() == CHECKS.keys()


@pytest.mark.parametrize("label", ANSWERS)
def test_right_answers_are_right_and_others_are_not(label):
    right, wrong = ANSWERS[label]
    verdict = check(label, right)
    assert verdict and repr(verdict) == "Right."
    for answer in wrong:
        verdict = check(label, answer)
        assert not verdict and re.fullmatch(r"Not yet: .+\.", repr(verdict))


def test_the_naive_loss_is_told_where_it_breaks():
    assert "at logit -1000 and gamma 0 the loss of a positive should be 1000, and yours is inf" in repr(
        check("ex-focal-loss-1", naive)
    )


def test_an_unknown_exercise_is_named():
    with pytest.raises(UsageError, match="ex-focal-loss-1"):
        check("ex-focal-los-1", 1)


@pytest.mark.parametrize("label", CHECKS)
def test_the_exercise_is_in_a_chapter_whose_solution_is_checked(label):
    chapters = [json.loads(path.read_text(encoding="utf-8"))["cells"] for path in BOOK.glob("*.ipynb")]
    texts = ["".join(cell["source"]) for cells in chapters for cell in cells]
    assert sum(f":label: {label}\n" in text for text in texts) == 1
    assert any(re.search(rf'check\(\s*"{label}",', text) for text in texts)
