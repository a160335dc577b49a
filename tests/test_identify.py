"""identify_loss on losses written anew as people write them, right and wrong, and on every loss of the registry."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from afl_helpers.errors import UsageError
from afl_helpers.losses import LOSSES, FocalLoss, build_loss, identify_loss
from afl_helpers.losses.identification.probes import random_batch

ROOT = Path(__file__).resolve().parent.parent
COUNTS, N = [60, 20, 3, 1], 100
bce = F.binary_cross_entropy_with_logits

# --- public forms, written out anew ---------------------------------------------------------------------------------


def usual_focal(logits, targets, alpha=0.25, gamma=2.0, reduction="mean"):
    """The formula of torchvision and fvcore."""
    p = torch.sigmoid(logits)
    ce = bce(logits, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = (alpha * targets + (1 - alpha) * (1 - targets)) * (1 - p_t) ** gamma * ce
    return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[reduction]()


class FocalOfTheMean(nn.Module):
    """A form from Kaggle: the weight comes from the mean of the batch, and alpha multiplies everything."""

    def __init__(self, alpha=0.8, gamma=2.0):
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def forward(self, inputs, targets):
        mean = F.binary_cross_entropy(torch.sigmoid(inputs).view(-1), targets.view(-1), reduction="mean")
        return self.alpha * (1 - torch.exp(-mean)) ** self.gamma * mean


class FocalByElement(FocalOfTheMean):
    """The same with a weight per element; alpha still multiplies everything."""

    def forward(self, inputs, targets):
        ce = bce(inputs, targets, reduction="none")
        return (self.alpha * (1 - torch.exp(-ce)) ** self.gamma * ce).mean()


def stable_focal(logits, targets, gamma=2.0):
    """A form from Kaggle: cross-entropy with max(-z, 0), and the weight through a logsigmoid."""
    top = (-logits).clamp(min=0)
    ce = logits - logits * targets + top + ((-top).exp() + (-logits - top).exp()).log()
    return ((F.logsigmoid(-logits * (targets * 2 - 1)) * gamma).exp() * ce).sum(1).mean()


class AuthorsASL(nn.Module):
    def __init__(self, gamma_neg=4, gamma_pos=1, clip=0.05, held=False):
        super().__init__()
        self.gamma_neg, self.gamma_pos, self.clip, self.held = gamma_neg, gamma_pos, clip, held

    def forward(self, x, y):
        p = torch.sigmoid(x)
        q = (1 - p + self.clip).clamp(max=1)
        loss = y * torch.log(p.clamp(min=1e-8)) + (1 - y) * torch.log(q.clamp(min=1e-8))
        with torch.set_grad_enabled(not self.held):
            weight = (1 - (p * y + q * (1 - y))) ** (self.gamma_pos * y + self.gamma_neg * (1 - y))
        return -(loss * weight).sum()


def clamped_focal(logits, targets, gamma=2.0):
    p = torch.sigmoid(logits).clamp(1e-8, 1 - 1e-8)
    return -(targets * (1 - p) ** gamma * p.log() + (1 - targets) * p**gamma * (1 - p).log()).mean()


def keras_focal(y_true, y_pred, gamma=2.0, alpha=0.25):
    eps = 1e-7
    y_pred = y_pred.clamp(eps, 1 - eps)
    one, zero = torch.where(y_true == 1, y_pred, 1.0), torch.where(y_true == 0, y_pred, 0.0)
    return -(alpha * (1 - one) ** gamma * one.log()).sum() - ((1 - alpha) * zero**gamma * (1 - zero).log()).sum()


def softmax_focal(logits, targets, gamma=2.0):
    log_p = F.log_softmax(logits, dim=1)
    return -(targets * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()


def wrong_side(logits, targets, alpha=0.25, gamma=2.0):
    ce = bce(logits, targets, reduction="none")
    weight = torch.where(targets == 1, 1 - alpha, alpha)
    return (weight * (1 - (-ce).exp()) ** gamma * ce).mean()


def writes_to_its_input(logits, targets, offset=0.0):
    logits += offset + 1e-3
    return bce(logits, targets)


def sigmoid_in_the_model(logits, targets):
    """The model returned probabilities, and the loss has a sigmoid too."""
    return bce(torch.sigmoid(logits), targets)


def without_gradient(logits, targets):
    return torch.tensor(bce(logits.detach(), targets).item(), dtype=logits.dtype)


def zlpr(y_pred, y_true):
    y_pred = (1 - 2 * y_true) * y_pred
    zeros = torch.zeros_like(y_pred[..., :1])
    negative = torch.cat([y_pred - y_true * 1e12, zeros], -1)
    positive = torch.cat([y_pred - (1 - y_true) * 1e12, zeros], -1)
    return torch.logsumexp(negative, -1) + torch.logsumexp(positive, -1)


def per_positive(logits, targets):
    return usual_focal(logits, targets, reduction="sum") / targets.sum().clamp(min=1)


def soft_dice(logits, targets):
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * targets).sum() + 1) / (p.sum() + targets.sum() + 1)


def smoothed(logits, targets, eps=0.1):
    return bce(logits, targets * (1 - eps) + eps / 2)


def test_the_usual_focal_loss():
    found = identify_loss(usual_focal)
    assert (found.name, found.params, found.reduction) == ("focal", {"gamma": 2.0, "alpha": 0.25}, "mean")
    assert found.faults == () and found.difference < 1e-9
    assert any("easy" in note and "exactly 0" in note for note in found.notes)  # 1 - p rounds to 0
    for reduction in ("sum", "none"):
        assert identify_loss(functools.partial(usual_focal, reduction=reduction)).reduction == reduction


def test_a_gamma_below_1_gives_nan():
    found = identify_loss(functools.partial(usual_focal, gamma=0.5))
    assert found.params["gamma"] == 0.5
    assert [fault for fault in found.faults if "NaN" in fault and "below 1" in fault]
    assert not any("NaN" in fault for fault in identify_loss(build_loss("focal", gamma=0.5)).faults)


def test_a_focal_loss_of_the_mean():
    found = identify_loss(FocalOfTheMean())
    assert (found.name, found.params["gamma"], found.reduction) == ("focal", 2.0, "mean")
    assert any("mean cross-entropy of the batch" in fault for fault in found.faults)
    assert any("balances nothing" in fault for fault in found.faults)


def test_an_alpha_that_balances_nothing():
    found = identify_loss(FocalByElement())
    assert (found.name, found.params) == ("focal", {"gamma": 2.0, "weight": 0.8})
    assert found.faults == (
        "alpha multiplies positives and negatives alike, so it scales the loss and balances nothing",
    )


def test_a_focal_loss_summed_over_the_labels():
    found = identify_loss(stable_focal)
    assert (found.name, found.params, found.reduction) == ("focal", {"gamma": 2.0}, "sum_over_classes")
    assert found.faults == () and any("documents alone" in note for note in found.notes)


@pytest.mark.parametrize("held", [False, True])
def test_the_asymmetric_loss_of_its_authors(held):
    found = identify_loss(AuthorsASL(held=held))
    assert (found.name, found.reduction) == ("asl", "sum")
    assert found.params == {"gamma_positive": 1.0, "gamma_negative": 4.0, "margin": 0.05}
    (cap,) = [fault for fault in found.faults if "clamped" in fault]
    assert cap.startswith("a positive never costs more than 18.42, because p is clamped at 1e-08")
    assert any("held constant" in note for note in found.notes) == held
    assert found.difference < 1e-4


def test_a_clamp_at_both_ends():
    found = identify_loss(clamped_focal)
    assert (found.name, found.params) == ("focal", {"gamma": 2.0})
    assert [fault.split()[1] for fault in found.faults if "1e-08" in fault] == ["positive"]
    # 1 - 1e-8 is 1 in float32: a negative's log is of 0, times a weight of 1.
    assert any("a negative" in fault and "inf" in fault for fault in found.faults)


def test_the_order_of_keras():
    found = identify_loss(keras_focal)
    assert (found.name, found.params, found.reduction) == ("focal", {"gamma": 2.0, "alpha": 0.25}, "sum")
    assert found.faults[:2] == (
        "it takes (targets, logits) in this order",
        "it takes probabilities, not logits: give it the sigmoid of the logits",
    )


def test_probabilities():
    found = identify_loss(F.binary_cross_entropy)
    assert (found.name, found.reduction) == ("bce", "mean") and "probabilities" in found.faults[0]


def test_softmax_instead_of_sigmoid():
    for function in (softmax_focal, F.cross_entropy):
        found = identify_loss(function)
        assert found.name is None and any("softmax" in fault for fault in found.faults)


def test_alpha_on_the_wrong_side():
    found = identify_loss(wrong_side)
    assert found.params == {"gamma": 2.0, "alpha": 0.75}
    assert found.faults == ("alpha is on the wrong side: 0.25 weighs the negatives, and positives get 0.75",)
    # Without a word on what was meant it is a focal loss with an alpha of 0.75.
    assert identify_loss(wrong_side, claimed={}).faults == ()
    assert identify_loss(usual_focal, claimed={"alpha": 0.75}).faults[0].startswith("alpha is on the wrong side: 0.75")


def test_a_gamma_that_is_not_the_one_meant():
    assert identify_loss(usual_focal, claimed={"gamma": 3.0}).faults == ("gamma acts as 2, not as 3",)


def test_targets_swapped():
    found = identify_loss(lambda z, y: usual_focal(z, 1 - y, alpha=0.75))
    assert found.params == {"gamma": 2.0, "alpha": 0.75} and "swapped" in found.faults[0]


def test_sigmoid_twice():
    found = identify_loss(sigmoid_in_the_model)
    assert found.name == "bce" and "sigmoid is applied twice" in found.faults[0]


def test_input_written():
    faults = identify_loss(functools.partial(writes_to_its_input, offset=-1e-3 + 1e-12)).faults
    assert "it writes to the logits that it is given; copy them first" in faults


def test_no_gradient():
    assert any("no gradient" in fault for fault in identify_loss(without_gradient).faults)


def test_a_wrong_gradient():
    class Halved(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            return z * 1

        @staticmethod
        def backward(ctx, upstream):
            return upstream / 2

    found = identify_loss(lambda z, y: bce(Halved.apply(z), y))
    assert found.name == "bce" and found.faults == ("its gradient is not the derivative of its value",)


def test_torch_itself():
    found = identify_loss(nn.BCEWithLogitsLoss())
    assert (found.name, found.params, found.reduction, found.faults) == ("bce", {}, "mean", ())
    weights = torch.tensor([1.0, 5.0, 20.0, 100.0])
    found = identify_loss(nn.BCEWithLogitsLoss(pos_weight=weights))
    assert (found.name, found.params, found.reduction) == ("weighted_bce", {"pos_weight": weights.tolist()}, "mean")
    assert identify_loss(nn.MultiLabelSoftMarginLoss(reduction="sum")).name == "bce"
    assert identify_loss(nn.BCEWithLogitsLoss(pos_weight=weights, reduction="sum")).reduction == "sum"


def test_zlpr_of_its_authors():
    for function, reduction in ((zlpr, "none"), (lambda z, y: zlpr(z, y).mean(), "mean")):
        found = identify_loss(function)
        assert (found.name, found.reduction) == ("zlpr", reduction)


def test_divided_by_the_positives():
    found = identify_loss(per_positive)
    assert (found.name, found.params) == ("focal", {"gamma": 2.0, "alpha": 0.25})
    assert "positives" in found.reduction and "rest of its batch" in found.notes[0]


def test_smoothed_targets():
    found = identify_loss(smoothed)
    assert (found.name, found.params, found.reduction) == ("bce", {"smoothing": 0.1}, "mean")


def test_what_is_not_known_is_not_named():
    for function in (soft_dice, lambda z, y: ((z.sigmoid() - y) ** 2).mean(), lambda z, y: (z - y).abs().sum()):
        found = identify_loss(function)
        assert found.name is None and str(found).startswith("no loss that is known here")


def summed(z, y):
    return bce(z, y, reduction="sum")


def by_element(z, y):
    return bce(z, y, reduction="none")


#: Functions that share values with a known loss where one label is tried alone, and differ from it on whole batches.
NEARLY = {
    "one more positive": lambda z, y: summed(z, y) / (y.sum() + 1),
    "documents by their labels": lambda z, y: (by_element(z, y).mean(1) * (1 + y.sum(1))).mean(),
    "a mean of each kind": lambda z, y: (
        (by_element(z, y) * y).sum() / y.sum() + (by_element(z, y) * (1 - y)).sum() / (1 - y).sum()
    ),
    "clamped logits": lambda z, y: bce(z.clamp(-4, 4), y),
    "a class left out": lambda z, y: by_element(z, y)[:, 1:].mean(),
}


@pytest.mark.parametrize("name", NEARLY)
def test_a_loss_that_only_resembles_one_is_neither_named_nor_accused(name):
    found = identify_loss(NEARLY[name])
    assert found.name is None and found.difference is None
    assert not any(
        word in fault for fault in found.faults for word in ("sigmoid", "probabilities", "focusing", "weight")
    )


def test_a_named_loss_has_the_values_of_whole_batches():
    for function in (bce, usual_focal, smoothed, per_positive, summed, AuthorsASL()):
        assert identify_loss(function).difference < 1e-3


def test_clamped_logits_have_no_gradient_beyond():
    notes = identify_loss(NEARLY["clamped logits"]).notes
    assert "a positive with a logit of -12 has no gradient in float32" in notes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_too_few_digits_are_no_fault(dtype):
    for function in (lambda z, y: bce(z.to(dtype).float(), y.float()).to(dtype), lambda z, y: bce(z, y).to(dtype)):
        found = identify_loss(function)
        assert found.name is None and not found.faults and "few digits" in found.notes[0]


def test_the_sign_turned():
    assert identify_loss(lambda z, y: -bce(z, y)).faults[0].startswith("right predictions cost more than wrong ones")


def test_values_per_label():
    for function, how in (
        (lambda z, y: by_element(z, y).mean(0), "mean"),
        (lambda z, y: by_element(z, y).sum(0), "sum"),
    ):
        for n_labels in (3, 4):  # the batches that it is called with have three documents
            found = identify_loss(function, n_labels)
            assert (found.name, found.reduction) == ("bce", f"{how} over the documents, one value per label")
    assert (
        identify_loss(lambda z, y: by_element(z, y).mean(1), 3).reduction
        == "mean over the labels, one value per document"
    )


def test_divided_by_the_positives_of_which_there_may_be_none():
    found = identify_loss(lambda z, y: usual_focal(z, y, reduction="sum") / y.sum())
    assert (found.name, found.params) == ("focal", {"gamma": 2.0, "alpha": 0.25})
    assert found.faults == ("a batch without a positive costs inf",)


def test_weights_that_could_be_a_reduction():
    loss = build_loss("class_balanced", COUNTS, N, reduction="sum_over_classes")
    assert any("cannot be told from a sum" in note for note in identify_loss(loss, 4).notes)


# --- what is odd in how it is computed ------------------------------------------------------------------------------

FORMS = {
    "focal": usual_focal,
    "bce": bce,
    "asl": AuthorsASL(),
    "zlpr": zlpr,
    "hill": build_loss("hill"),
    "flsd53": build_loss("flsd53"),
    "two_way": build_loss("two_way"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_loss_that_computes_in_single_precision(name):
    """Its values have 7 digits: enough for the same name, and no reason to call its gradient wrong."""
    found = identify_loss(lambda z, y: FORMS[name](z.float(), y.float()), claimed={})
    exact = identify_loss(FORMS[name], claimed={})
    assert (found.name, found.params, found.reduction) == (exact.name, exact.params, exact.reduction)
    assert found.name == name and found.faults == exact.faults


def test_random_numbers():
    torch.manual_seed(0)
    found = identify_loss(lambda z, y: bce(F.dropout(z, 0.5), y))
    assert found.faults == ("it draws random numbers: the same batch costs something else each time",)


def test_a_batch_without_a_positive():
    found = identify_loss(lambda z, y: usual_focal(z, y, reduction="sum") / y.sum())
    assert any(fault.startswith("a batch without a positive costs inf") for fault in found.faults)


def test_in_place_and_twice():
    faults = identify_loss(lambda z, y: bce(z.sigmoid_(), y)).faults
    assert "applied twice" in faults[0] and "writes to the logits" in faults[-1]


# --- the losses here ------------------------------------------------------------------------------------------------

#: Found under another name, because its default values are those of that loss.
SAME = {"plm": "bce"}


@pytest.mark.filterwarnings("ignore:.*classes have a gamma")
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_here_is_found_and_has_no_fault(name):
    loss = build_loss(name, COUNTS, N)
    found = identify_loss(loss, label_counts=COUNTS, n_documents=N, claimed={})
    assert found.name == SAME.get(name, name)
    assert found.faults == () and found.reduction == "mean"
    assert found.difference is None or found.difference < 1e-4


def test_parameters_per_label():
    gamma, alpha = [0.5, 1.0, 2.0, 5.0], [0.1, 0.2, 0.5, 0.9]
    found = identify_loss(build_loss("focal", gamma=gamma, alpha=alpha), claimed={})
    assert found.params["gamma"] == pytest.approx(gamma, abs=1e-4)
    assert found.params["alpha"] == pytest.approx(alpha, abs=1e-4)


# --- the command, and errors ----------------------------------------------------------------------------------------


def test_a_function_that_cannot_be_called():
    with pytest.raises(UsageError, match=r"fails on logits and targets of shape \(3, 4\).*n_labels"):
        identify_loss(nn.BCEWithLogitsLoss(pos_weight=torch.ones(7)))
    assert identify_loss(nn.BCEWithLogitsLoss(pos_weight=torch.ones(7)), n_labels=7).name == "bce"
    with pytest.raises(UsageError, match="n_labels is 1"):
        identify_loss(usual_focal, 1)


def run(*args, cwd=None):
    command = [sys.executable, "-m", "afl_helpers", "identify", *args]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, env=env)
    return done.returncode, done.stdout, done.stderr


def test_the_command(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom torch.nn.functional import binary_cross_entropy_with_logits as bce\n"
        "def focal(z, y, gamma=2.0):\n    ce = bce(z, y, reduction='none')\n"
        "    return ((1 - (-ce).exp()) ** gamma * ce).mean()\n"
        "class Loss(torch.nn.Module):\n    def __init__(self, gamma=1.0):\n        super().__init__()\n"
        "        self.gamma = gamma\n    def forward(self, z, y):\n        return focal(z, y, self.gamma)\n"
    )
    code, out, _ = run("mine:focal", cwd=tmp_path)
    assert code == 0 and "Focal loss (focal), gamma 2.0" in out and "reduction: mean" in out
    code, out, _ = run("mine:Loss", "--param", "gamma=0.5", cwd=tmp_path)
    assert code == 0 and "gamma 0.5" in out and "fault: the gradient of a positive is NaN" in out
    for wrong, words in (
        ("mine", "is not MODULE:FUNCTION"),
        ("absent:focal", "there is no module absent; run"),
        ("mine:other", "unknown function of mine: 'other'.*Loss, focal"),
    ):
        code, _, err = run(wrong, cwd=tmp_path)
        assert code == 1 and re.match(f"error: .*{words}", err)


# --- what is examined stays as it was -------------------------------------------------------------------------------


def test_the_loss_that_is_examined_stays_as_it_was():
    plm = build_loss("plm", COUNTS, N)
    before = {name: value.clone() for name, value in plm.state_dict().items()}
    for function in (plm, plm.forward, functools.partial(plm)):
        identify_loss(function, label_counts=COUNTS, n_documents=N)
        assert all(torch.equal(value, before[name]) for name, value in plm.state_dict().items())
    literal = build_loss("afl-literal", [3000, 20, 10, 5], 4000)
    identify_loss(literal)
    with pytest.warns(UserWarning, match="classes have a gamma"):
        literal(torch.zeros(2, 4, requires_grad=True), torch.ones(2, 4))


def test_random_numbers_are_drawn_from_a_copy_of_the_generator():
    def noisy(logits, targets):
        return bce(logits + 0.1 * torch.rand(()), targets)

    before = torch.get_rng_state()
    assert any("it draws random numbers" in fault for fault in identify_loss(noisy).faults)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_module_that_cannot_be_copied_is_examined_itself():
    class Uncopied(nn.BCEWithLogitsLoss):
        def __deepcopy__(self, memo):
            raise TypeError("not me")

    assert identify_loss(Uncopied()).name == "bce"


# --- values that are not finite, and wrong arguments ----------------------------------------------------------------


@pytest.mark.parametrize(
    "function, value",
    [
        (lambda z, y: torch.log(z - 100).sum(), "nan"),
        (lambda z, y: z.sum() * float("nan"), "nan"),
        (lambda z, y: (F.softplus(z) * y).sum() / 0, "inf"),
        (lambda z, y: -(F.softplus(z) * y).sum() / 0, "-inf"),
    ],
)
def test_an_ordinary_batch_that_is_not_finite_is_one_fault(function, value):
    found = identify_loss(function)
    assert found.name is None and found.faults == (f"an ordinary batch costs {value}",)


def test_a_loss_that_is_not_finite_beside_an_ordinary_batch():
    z, _ = random_batch(4, seed=7)

    def fragile(logits, targets):
        beside = logits.shape == z.shape and 0 < (logits - z).abs().max() < 1e-4
        return bce(logits, targets) * (float("nan") if beside else 1.0)

    assert identify_loss(fragile).faults == ("its value beside an ordinary batch is not finite",)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"claimed": {"gamma": "2"}}, r"claimed\['gamma'\] is '2'; pass a finite number of at least 0"),
        ({"claimed": {"gamma": [2, 2, 2, 2]}}, r"claimed\['gamma'\] is \[2, 2, 2, 2\]; pass a finite number"),
        ({"claimed": [2.0]}, r"claimed is \[2.0\]; pass a dict such as {'gamma': 2.0}"),
        ({"claimed": {"gama": 2}}, "unknown claim 'gama' .did you mean 'gamma'.*alpha, gamma"),
        ({"n_labels": "4"}, "n_labels is '4'; pass a whole number from 2"),
        ({"n_labels": 2.5}, "n_labels is 2.5; pass a whole number from 2"),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(arguments, words):
    with pytest.raises(UsageError, match=words) as error:
        identify_loss(usual_focal, **arguments)
    assert "\n" not in str(error.value)
    assert identify_loss(usual_focal, claimed={"gamma": np.float32(2), "alpha": None}).faults == ()


@pytest.mark.parametrize("gamma", [30.0, 60.0])
def test_a_large_gamma_is_recognised(gamma):
    found = identify_loss(FocalLoss(gamma=gamma))
    assert (found.name, found.params["gamma"], found.reduction) == ("focal", gamma, "mean")


def test_the_loss_to_the_letter_is_recognised():
    counts = {"label_counts": [3, 17, 60, 90], "n_documents": 100}
    assert identify_loss(build_loss("afl-literal", *counts.values()), **counts).name == "afl-literal"
