"""Our losses beside public implementations, whose values in data/peer_values.json come from `make bench-peers`."""

import json
import math
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import torch
from reference_losses import reference

from afl_helpers.losses import build_loss

ROOT = Path(__file__).resolve().parent.parent
TABLE = json.loads((ROOT / "tests" / "data" / "peer_values.json").read_text())
LOGITS, ROWS = TABLE["logits"], TABLE["rows"]

# As the table counts: a value is at fault where it is further from the reference than its share and than SMALLEST,
# which is the smallest normal number in half precision. RIGHT is nearer: there we agree with a peer.
TOLERANCE = {"float32": 1e-3, "float16": 1e-2}
SMALLEST = {"float32": 1e-30, "float16": 2.0**-14}
RIGHT = {"float32": 1e-4, "float16": 1e-2}


def name_of(row):
    return "-".join(map(str, [row["peer"], row["dtype"], *row["params"].values(), row["target"]]))


@cache
def true_values(loss, params, y):
    """Loss and gradient at every logit, from 80 digits."""
    found = [reference(loss, dict(params), [], 1, [z], [y], 0) for z in LOGITS]
    return {"loss": [float(value) for value, _ in found], "gradient": [float(slope) for _, slope in found]}


def truth(row):
    return true_values(row["loss"], tuple(row["params"].items()), row["target"])


def theirs(row):
    return {"loss": [*map(float, row["values"])], "gradient": [*map(float, row["gradient"])]}


def ours(row):
    z = torch.tensor(LOGITS, dtype=getattr(torch, row["dtype"]))[:, None].requires_grad_()
    loss = build_loss(row["loss"], **row["params"])(z, torch.full_like(z, row["target"]), reduction="none")
    loss.sum().backward()
    return {"loss": loss[:, 0].tolist(), "gradient": z.grad[:, 0].tolist()}


def close(found, true, relative, absolute):
    return math.isfinite(found) and abs(found - true) <= max(relative * abs(true), absolute)


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_ours_is_right_everywhere_and_agrees_with_a_peer_where_that_is_right(row):
    dtype, true = row["dtype"], truth(row)
    for quantity, found in ours(row).items():
        peer = theirs(row)[quantity]
        # Half-precision logits get a loss in single precision, and a gradient that is rounded once.
        half = dtype == "float16" and quantity == "gradient"
        limits = (1e-3, 2.0**-24) if half else (1e-4, 1e-30)
        n_right = 0
        for z, a, b, t in zip(LOGITS, found, peer, true[quantity]):
            assert close(a, t, *limits), (quantity, z, a, t)
            if close(b, t, RIGHT[dtype], SMALLEST[dtype]):
                n_right += 1
                assert close(a, b, 1.2 * RIGHT[dtype], 1.2 * SMALLEST[dtype]), (quantity, z, a, b)
        assert n_right >= 9


def faults():
    """(the table's key, gamma, logit) of every value that is at fault against the reference."""
    for row in ROWS:
        y, dtype, params = row["target"], row["dtype"], row["params"]
        gamma = params["gamma"] if "gamma" in params else params["gamma_positive" if y else "gamma_negative"]
        for quantity, values in theirs(row).items():
            for z, found, true in zip(LOGITS, values, truth(row)[quantity]):
                if close(found, true, TOLERANCE[dtype], SMALLEST[dtype]):
                    continue
                fault = "nan" if not math.isfinite(found) else "zero" if found == 0 else "off"
                side = "easy" if z * (2 * y - 1) > 0 else "hard"
                yield (row["peer"], dtype, params.get("margin"), y, quantity, fault, side), gamma, z


def test_the_table_of_faults_follows_from_its_values():
    found = list(faults())
    keys = ("peer", "dtype", "margin", "target", "quantity", "fault", "side")
    wrong = {tuple(line[key] for key in keys): line for line in TABLE["wrong"]}
    assert Counter(key for key, _, _ in found) == {key: line["n"] for key, line in wrong.items() if line["n"]}
    for key, gamma, z in found:
        line = wrong[key]
        assert gamma in line["gammas"]
        assert abs(z) >= abs(line["from"]) and z * line["from"] > 0


def test_how_often_each_peer_is_wrong():
    """Gradients in single precision; the NaN are counted by hand in the test below."""
    found = Counter((key[0], key[5]) for key, _, _ in faults() if key[1] == "float32" and key[4] == "gradient")
    peers = {row["peer"]: tuple(found[row["peer"], fault] for fault in ("nan", "zero", "off")) for row in ROWS}
    assert peers == {
        "torch": (0, 3, 2),
        "torchvision": (26, 14, 34),
        "fvcore": (26, 14, 34),
        "kornia": (0, 0, 0),
        "monai": (0, 20, 43),
        "timm": (31, 107, 64),
    }


def row_of(peer, target, dtype="float32", **params):
    (row,) = (
        row
        for row in ROWS
        if (row["peer"], row["target"], row["dtype"], row["params"]) == (peer, target, dtype, params)
    )
    values = theirs(row)
    return {z: pair for z, pair in zip(LOGITS, zip(values["loss"], values["gradient"]))}


def nan_logits(values):
    return [z for z, (_, slope) in values.items() if not math.isfinite(slope)]


@pytest.mark.parametrize("peer", ["torchvision", "fvcore"])
def test_faults_of_1_minus_p(peer):
    """sigmoid(z) is 1 in single precision from ln 2^24 = 16.6, and 1 - sigmoid(-z) from ln 2^25 = 17.3."""
    for alpha in (None, 0.25):
        positive, negative = (row_of(peer, y, gamma=0.5, alpha=alpha) for y in (1, 0))
        assert nan_logits(positive) == [z for z in LOGITS if z >= 17]
        assert nan_logits(negative) == [z for z in LOGITS if z <= -24]
    assert row_of(peer, 1, gamma=2.0, alpha=None)[17.0] == (0.0, 0.0)


@pytest.mark.parametrize("peer", ["torch", "torchvision", "fvcore", "monai"])
def test_faults_of_a_difference_of_logits(peer):
    """An easy negative costs z - logsigmoid(z), whose digits are gone at -16: single precision steps by 2e-6 there."""
    values = row_of(peer, 0, gamma=0.0, alpha=None)
    assert values[-12.0][0] == pytest.approx(math.exp(-12), rel=0.1)
    assert values[-16.0][0] == 0 and math.exp(-16) > 1e-7


def test_faults_of_a_clamp():
    """The asymmetric loss clamps p at 1e-8: a positive with a logit below -18.4 costs 18.42 and teaches nothing."""
    cap = -math.log(1e-8)
    defaults = {"gamma_positive": 1.0, "gamma_negative": 4.0, "margin": 0.05}
    for dtype in ("float32", "float16"):
        values = row_of("timm", 1, dtype, **defaults)
        assert values[-17.0] == pytest.approx((17.0, -1.0), rel=1e-4)
        for z in (-24.0, -40.0, -1e4):
            assert values[z][0] == pytest.approx(cap, rel=1e-5) and abs(values[z][1]) < 1e-9
    # Below the margin the weight of a negative is 0^0.5, whose slope is infinite; logit(0.05) is -2.94.
    values = row_of("timm", 0, gamma_positive=0.5, gamma_negative=0.5, margin=0.05)
    assert nan_logits(values) == [z for z in LOGITS if z <= -3]


def test_the_table_is_of_the_pinned_versions():
    text = (ROOT / "benchmarks" / "peers" / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    assert {name: found.partition("+")[0] for name, found in TABLE["versions"].items()} == {
        name: pins[name] for name in TABLE["versions"]
    }
    assert {row["peer"] for row in ROWS} == set(TABLE["versions"])
