"""What the registry says of each loss and its sources, computed: values and gradients against every published form."""

import math

import pytest
import torch
from published_forms import FORMS, ONE_LABEL, OTHER, PLM_EPOCH, PLM_SEED, log_loss, ridnik, wu

from afl_helpers.losses import LOSSES, LogitAdjustedLoss, LossInfo, PublishedForm, build_loss

pytestmark = pytest.mark.filterwarnings("ignore:.*classes have a gamma")  # afl-literal, rightly

COUNTS, N = [400, 120, 40, 9, 3], 1000
PUBLISHED = [(name, form) for name, info in LOSSES.items() for form in info.published]


def batch(one_label=False):
    """Every label with both signs at logits from -8 to 8, documents without labels and with all."""
    generator = torch.Generator().manual_seed(5)
    z = torch.rand(300, 5, dtype=torch.float64, generator=generator) * 16 - 8
    y = (torch.rand(300, 5, generator=generator) < 0.4).double()
    y[0], y[1] = 0, 1
    if one_label:
        y = torch.nn.functional.one_hot(torch.arange(300) % 5, 5).double()
    return z.requires_grad_(), y


def of_ours(name, params, z, y):
    loss = build_loss(name, COUNTS, N, **params)
    if loss.stateful:  # the second epoch, after a given first one
        loss(PLM_EPOCH[0].clone().requires_grad_(), PLM_EPOCH[1])
        loss.end_epoch()
        torch.manual_seed(PLM_SEED)
    return loss(z, y, reduction="mean" if loss.unit == "batch" else "none")


def of_theirs(function, params, z, y):
    return function(z, y, torch.tensor(COUNTS, dtype=torch.float64), N, **params)


def compare(ours, theirs, z):
    """Return the agreement of two losses and, if they are equal up to a constant, theirs over ours."""
    (slope,), (their_slope,) = (torch.autograd.grad(value.sum(), z, retain_graph=True) for value in (ours, theirs))
    found, wanted = torch.cat([ours.flatten(), slope.flatten()]), torch.cat([theirs.flatten(), their_slope.flatten()])
    found, wanted = found.detach(), wanted.detach()
    if torch.allclose(found, wanted, rtol=1e-9, atol=1e-12):
        return "equal", None
    constant = (wanted.abs().sum() / found.abs().sum()).item()
    if torch.allclose(found * constant, wanted, rtol=1e-9, atol=1e-12):
        return "equal up to a constant", constant
    return "different", None


def compared(name, form, ours=None, other=None):
    """Compare one published form with the loss, with the parameters ``ours`` and, in both, ``other``."""
    function, other = FORMS[name, form.source], other or {}
    z, y = batch(function in ONE_LABEL)
    params = {**(form.params if ours is None else ours), **other}
    return compare(of_ours(name, params, z, y), of_theirs(function, other, z, y), z)


def test_every_entry_has_its_form_and_every_form_its_entry():
    assert {(name, form.source) for name, form in PUBLISHED} == set(FORMS)
    unclaimed = [
        name for name, info in LOSSES.items() if not info.published and "our construction" not in info.fidelity
    ]
    assert unclaimed == [], "write out the published form, or say that the loss is our construction"


@pytest.mark.parametrize("name, form", PUBLISHED, ids=lambda value: getattr(value, "source", value))
def test_agreement_is_what_the_registry_says(name, form):
    agreement, constant = compared(name, form)
    assert agreement == form.agreement
    if form.constant is not None:
        assert constant == pytest.approx(form.constant, rel=1e-12)
    for other in OTHER.get(name, []):
        assert compared(name, form, other=other)[0] == form.agreement, other


@pytest.mark.parametrize("name, form", PUBLISHED, ids=lambda value: getattr(value, "source", value))
def test_the_parameters_of_a_form_are_all_needed(name, form):
    """Without one of them, the agreement is worse; and a change of any parameter of the form is seen."""
    grades = ["different", "equal up to a constant", "equal"]
    for parameter in form.params:
        fewer = {key: value for key, value in form.params.items() if key != parameter}
        worse = compared(name, form, ours=fewer)[0]
        assert grades.index(worse) < grades.index(form.agreement), parameter
    for parameter, value in (pair for other in OTHER.get(name, []) for pair in other.items()):
        assert compared(name, form, ours={**form.params, parameter: value})[0] != "equal", parameter


def test_what_is_said_in_one_phrase():
    form = lambda agreement, **params: PublishedForm("a source", agreement, params)  # noqa: E731
    for published, phrase in (
        ((), "our construction"),
        ((form("different"),), "our construction"),
        ((form("different"), form("equal", a=1)), "equal with other parameters"),
        ((form("equal up to a constant"), form("equal", a=1)), "equal up to a constant"),
        ((form("equal up to a constant"), form("equal")), "equal"),
    ):
        info = LossInfo("", "", "", "and a remark", "", build_loss, {}, published=published)
        assert info.agreement == phrase
        assert info.fidelity == "; ".join([entry.statement for entry in published] + ["and a remark"])
    assert LOSSES["ldam"].agreement == LOSSES["wal"].agreement == "our construction"


def test_the_words_of_a_statement():
    statements = {name: [form.statement for form in info.published] for name, info in LOSSES.items()}
    assert statements["asl"][1].startswith("with ``detach_focus=True`` equal to their AsymmetricLoss")
    assert statements["cb_ntr"] == [
        "equal up to a constant factor of 10 to CBloss-ntr of BalancedLossNLP, weights by class (Huang et al. 2021)"
    ]
    assert statements["ldam"][0].startswith("another form than the authors' code")
    for name, info in LOSSES.items():
        assert all(statement in info.fidelity for statement in statements[name])


# --- the comparison, and the forms themselves, by hand --------------------------------------------------------------


def test_the_comparison_tells_equal_from_proportional_from_different():
    z, y = batch()
    loss = log_loss(z, y)
    assert compare(loss, log_loss(z, y), z) == ("equal", None)
    agreement, constant = compare(loss, 3 * log_loss(z, y), z)
    assert agreement == "equal up to a constant" and constant == pytest.approx(3)
    assert compare(loss, log_loss(z, y) * (1 + y), z)[0] == "different"
    assert compare(loss, log_loss(z, y) + 1e-6 * z, z)[0] == "different"
    # The same value with another gradient, as where a weight is held constant.
    weight = torch.sigmoid(z)
    assert compare(loss * weight, loss * weight.detach(), z)[0] == "different"


def test_negatives_of_ntr_focal_cost_half_of_its_source():
    """z = 1 and n = N/2, so without a shift: z' = 2, alpha = 1/2, gamma = 2."""
    p_t = 1 / (1 + math.exp(2))
    whole = -0.5 * (1 - p_t) ** 2 * math.log(p_t)
    assert whole == pytest.approx(0.8250, abs=1e-4)
    for params, cost in (({}, whole / 2), ({"divide_negatives": False}, whole)):
        loss = build_loss("ntr_focal", [500], 1000, **params)
        assert loss(torch.tensor([[1.0]]), torch.zeros(1, 1)).item() == pytest.approx(cost, rel=1e-6)
        assert loss(torch.tensor([[1.0]]), torch.ones(1, 1)).item() == pytest.approx(
            0.5 * (1 / (1 + math.e)) ** 2 * math.log(1 + 1 / math.e), rel=1e-6
        )


def test_the_gradient_of_asl_with_and_without_its_focusing_weight():
    """A negative with p = 3/4: p_m = .7, the weight .7^4, and d(-log(1 - p_m))/dz = p (1 - p) / .3."""
    z = torch.tensor([[math.log(3)]], dtype=torch.float64, requires_grad=True)
    y = torch.zeros(1, 1)
    held = 0.75 * 0.25 * 0.7**4 / 0.3
    whole = held - 0.75 * 0.25 * 4 * 0.7**3 * math.log(0.3)
    for params, slope in (({"detach_focus": True}, held), ({}, whole)):
        loss = build_loss("asl", **params)(z, y)
        assert loss.item() == pytest.approx(-(0.7**4) * math.log(0.3))
        assert torch.autograd.grad(loss, z)[0].item() == pytest.approx(slope)
    assert ridnik(z, y, None, None).item() == pytest.approx(-(0.7**4) * math.log(0.3))


def test_class_balanced_weights_labels_or_documents():
    """beta 1/2 and counts 2 and 1: weights 2/3 and 1, over their mean 4/5 and 6/5."""
    z, y = torch.zeros(4, 2), torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]])
    by_label, by_document = (
        build_loss("class_balanced", [2, 1], 10, beta=0.5, weight_by=by)(z, y, reduction="none") / math.log(2)
        for by in ("label", "document")
    )
    torch.testing.assert_close(by_label, torch.tensor([[0.8, 1.2]] * 4))
    torch.testing.assert_close(by_document, torch.tensor([[0.8, 0.8], [1.2, 1.2], [1.0, 1.0], [1.0, 1.0]]))
    # A masked label is unknown, and takes no part in the weight of its document; a soft target takes its share.
    mask = torch.tensor([[1, 1], [1, 1], [1, 0], [1, 1]])
    loss = build_loss("class_balanced", [2, 1], 10, beta=0.5, weight_by="document")
    masked = loss(z, torch.where(mask.bool(), y, torch.nan), mask=mask, reduction="none") / math.log(2)
    torch.testing.assert_close(masked, torch.tensor([[0.8, 0.8], [1.2, 1.2], [0.8, 0.0], [1.0, 1.0]]))
    soft = loss(z[:1], torch.tensor([[0.75, 0.25]]), reduction="none") / math.log(2)
    torch.testing.assert_close(soft, torch.tensor([[0.9, 0.9]]))
    assert loss.posterior_gamma is None


def test_the_sum_of_cui_et_al_is_divided_by_the_positives():
    """Their batch loss for documents with one label is our ``sum_over_classes``."""
    z, y = batch(one_label=True)
    function = FORMS["class_balanced", LOSSES["class_balanced"].published[1].source]
    loss = build_loss("class_balanced", COUNTS, N, weight_by="document", reduction="sum_over_classes")
    assert loss(z, y).item() == pytest.approx((of_theirs(function, {}, z, y).sum() / y.sum()).item(), rel=1e-12)


def test_the_halves_are_all_that_logit_adjustment_adds_to_balanced_softmax():
    z, y = batch()
    n = torch.tensor(COUNTS, dtype=torch.float64)
    theirs = of_theirs(FORMS["logit_adjusted", LOSSES["logit_adjusted"].published[0].source], {}, z, y)
    ours = LogitAdjustedLoss(torch.log(n / (N - n)))(z, y, reduction="none")
    assert compare(ours, theirs, z) == ("equal", None)
    # 400 and 3 of 1000 documents: the halves add log(400.5/400) - log(600.5/600) and log(3.5/3) - log(997.5/997).
    offset = build_loss("logit_adjusted", COUNTS, N).offset - torch.log(n / (N - n))
    assert offset[[0, -1]].tolist() == pytest.approx([4.164e-4, 0.153649], rel=1e-3)


def test_next_to_nothing_is_learnt_from_the_tensorflow_values_of_sigmoid_f1():
    z, y = batch()
    slopes = []
    for params in (form.params for form in LOSSES["sigmoid_f1"].published):
        loss = of_ours("sigmoid_f1", params, z, y)
        slopes.append(torch.autograd.grad(loss, z)[0].abs().max().item())
    assert slopes[1] < 1e-3 * slopes[0]
    assert 1 / (1 + math.exp(-10.0)) > 0.9999  # the least s, at a probability of 0


@pytest.mark.parametrize("scale", [2.0, 5.0])
def test_the_shift_of_wu_et_al_is_ours_over_the_scale(scale):
    z, y = batch()
    theirs = of_theirs(wu, {"negative_scale": scale}, z, y)
    ours = of_ours("distribution_balanced", {"prior_shift": 0.05 / scale, "negative_scale": scale}, z, y)
    agreement, constant = compare(ours, theirs, z)
    assert agreement == "equal up to a constant" and constant == pytest.approx(4)
    ratio = theirs / of_ours("distribution_balanced", {"negative_scale": scale}, z, y) / 4
    assert ratio.min() < 0.9 and ratio.max() > 1.1
