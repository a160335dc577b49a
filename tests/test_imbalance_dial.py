"""The dial of the chapter "Beyond films": generated labels have the stated priors, heads reach their optimum, and the text holds."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import imbalance_dial  # noqa: E402

from afl_helpers.losses import build_loss  # noqa: E402


def test_priors_fall_by_the_strength_and_every_label_is_equally_separable():
    splits = imbalance_dial.documents(1.0, seed=3)
    _, labels, truth = splits["test"]
    expected = imbalance_dial.LARGEST_PRIOR / np.arange(1, imbalance_dial.N_LABELS + 1)
    np.testing.assert_allclose(truth.mean(axis=0), expected, rtol=0.12)  # 5,000 documents
    spread = np.log(truth / (1 - truth)).std(axis=0)
    np.testing.assert_allclose(spread, imbalance_dial.SEPARATION, rtol=0.05)
    assert abs(labels.mean() - truth.mean()) < 0.002


def test_a_head_stands_at_the_minimum_of_its_loss():
    features, labels, _ = imbalance_dial.documents(1.0, seed=3)["train"]
    loss = build_loss("afl", label_counts=labels.sum(axis=0, dtype=int), n_documents=len(labels))
    weight, bias = imbalance_dial.train_head(features, labels, loss, loss.gamma.double().numpy())
    weight.requires_grad_(), bias.requires_grad_()
    logits = torch.tensor(features) @ weight + bias
    value = imbalance_dial.N_LABELS * loss(logits, torch.tensor(labels, dtype=torch.float64))
    (value + imbalance_dial.WEIGHT_DECAY * weight.square().sum()).backward()
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-5


def test_what_the_chapter_says_of_the_committed_rows_holds():
    content = json.loads(imbalance_dial.RESULT.read_text())
    rows = pd.DataFrame(content["rows"], columns=content["columns"])
    assert (rows.groupby(["strength", "loss"]).size() == 10).all()
    means = rows.groupby(["strength", "loss"]).mean()
    afl, bce, truth = (means.xs(name, level="loss") for name in ("afl", "bce", "truth"))
    gain = afl - bce
    assert gain["average_precision_macro_tail"].max() < 0.001 and gain["f1_macro@tuned_proportional"].max() < 0.001
    long_tail = gain.index >= 1
    assert gain.loc[long_tail, "f1_macro@tuned_common"].min() > 0.015
    assert gain.loc[gain.index <= 0.4, "f1_macro@tuned_common"].abs().max() < 0.005
    lost = truth["f1_macro@tuned_proportional"] - truth["f1_macro@tuned_common"]
    assert (lost[long_tail] > 0.02).all()
    # One gamma of equal mean has about half of the gain; the largest is at 1.2, and the interval leaves zero at 0.8.
    control = means.xs("afl-mean", level="loss") - bce
    share = control["f1_macro@tuned_common"][long_tail].sum() / gain["f1_macro@tuned_common"][long_tail].sum()
    assert 0.4 < share < 0.6 and gain["f1_macro@tuned_common"].idxmax() == 1.2
    wide = rows.pivot(index=["strength", "seed"], columns="loss", values="f1_macro@tuned_common")
    paired = (wide["afl"] - wide["bce"]).groupby("strength")
    low = paired.mean() - 2.262 * paired.std() / np.sqrt(10)  # the 97.5 % quantile of t with 9 degrees
    assert (low[low.index <= 0.6] < 0).all() and (low[low.index >= 0.8] > 0).all()
    tuned_for_macro = gain["f1_macro@tuned_common_macro"]
    assert (tuned_for_macro[long_tail] < gain["f1_macro@tuned_common"][long_tail]).all()
    assert tuned_for_macro[~long_tail].abs().max() < 0.002 < tuned_for_macro[long_tail].min()
    best_single = truth[["f1_macro@tuned_common", "f1_macro@tuned_common_macro"]].max(axis=1)
    assert (best_single < truth["f1_macro@tuned_proportional"])[truth.index >= 0.8].all()


def test_a_corpus_is_made_and_judged_again_as_committed(tmp_path):
    imbalance_dial.main(1, tmp_path / "rows.json", strengths=(0.0,))
    columns, again = (json.loads((tmp_path / "rows.json").read_text())[key] for key in ("columns", "rows"))
    committed = json.loads(imbalance_dial.RESULT.read_text())
    first = [row for row in committed["rows"] if row[:2] == [0.0, 0]]
    assert columns == committed["columns"] and [row[2] for row in again] == [row[2] for row in first]
    np.testing.assert_allclose([row[3:] for row in again], [row[3:] for row in first], atol=2e-3)
