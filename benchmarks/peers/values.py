"""What public implementations of the focal and the asymmetric loss return, and where that is wrong.

    make bench-peers

Runs in an environment of its own (requirements.txt) and writes tests/data/peer_values.json: loss and gradient of every
element over a grid of logits, and a summary of the faults on that grid. A fault's first logit is looked for on a finer
grid, in steps of 1/8.

A value is judged by the same loss in float64, in the form exp(gamma log(1 - p_t)) log p_t. It is at fault as ``nan``
where it is not finite; as ``zero`` where it is 0 and the true one is at least ``SMALLEST``; as ``off`` where it is
further than ``TOLERANCE`` from it. An element is easy where the logit has the sign of its target, else hard.
"""

import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

try:
    import torchvision.ops
except RuntimeError:
    # A torchvision built for CUDA cannot load its compiled operators beside a torch built for the CPU, and its import
    # fails where it describes them. The focal loss uses none of them, so to have their names is enough.
    operators = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision.ops

import fvcore.nn
import kornia.losses
import monai.losses
import timm.loss

RESULT = Path(__file__).resolve().parent.parent.parent / "tests" / "data" / "peer_values.json"

MAGNITUDES = [0.125, 1.0, 3.0, 8.0, 12.0, 16.0, 17.0, 24.0, 40.0, 88.0, 104.0, 300.0, 1e4]
FINE = [k / 8 for k in range(1, 1024)] + [300.0, 1e4]  # exact in float16, too
GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0]
SMALLEST = {"float32": 1e-30, "float16": 2.0**-14}  # the second is the smallest normal number
TOLERANCE = {"float32": 1e-3, "float16": 1e-2}

FOCAL: dict[str, Callable[..., Tensor]] = {
    "torchvision": lambda z, y, gamma, alpha: torchvision.ops.sigmoid_focal_loss(
        z, y, alpha=-1 if alpha is None else alpha, gamma=gamma
    ),
    "fvcore": lambda z, y, gamma, alpha: fvcore.nn.sigmoid_focal_loss(
        z, y, alpha=-1 if alpha is None else alpha, gamma=gamma
    ),
    "kornia": lambda z, y, gamma, alpha: kornia.losses.binary_focal_loss_with_logits(z, y, alpha=alpha, gamma=gamma),
    "monai": lambda z, y, gamma, alpha: monai.losses.FocalLoss(
        gamma=gamma, alpha=alpha, use_softmax=False, reduction="none"
    )(z, y),
}


def timm_asymmetric(z: Tensor, y: Tensor, gamma_positive: float, gamma_negative: float, margin: float) -> Tensor:
    return timm.loss.AsymmetricLossMultiLabel(
        gamma_neg=gamma_negative, gamma_pos=gamma_positive, clip=margin, reduction="none"
    )(z, y)


def torch_cross_entropy(z: Tensor, y: Tensor, gamma: float, alpha: None) -> Tensor:
    """Focal loss at a gamma of 0: what the others are built on."""
    return binary_cross_entropy_with_logits(z, y, reduction="none")


def settings() -> list[tuple[str, Callable[..., Tensor], str, dict, str]]:
    """(peer, its function, name of the loss in our registry, parameters under our names, dtype)."""
    found = [("torch", torch_cross_entropy, "focal", {"gamma": 0.0, "alpha": None}, "float32")]
    for peer, function in FOCAL.items():
        for alpha in (None, 0.25):
            found += [(peer, function, "focal", {"gamma": gamma, "alpha": alpha}, "float32") for gamma in GAMMAS]
        found += [(peer, function, "focal", {"gamma": gamma, "alpha": None}, "float16") for gamma in (0.5, 2.0)]
    pairs = [(gamma, gamma, margin) for margin in (0.05, 0.0) for gamma in GAMMAS] + [(1.0, 4.0, 0.05)]
    names = ("gamma_positive", "gamma_negative", "margin")
    for dtype in ("float32", "float16"):
        used = pairs if dtype == "float32" else pairs[-1:]
        found += [("timm", timm_asymmetric, "asl", dict(zip(names, values)), dtype) for values in used]
    return found


def true_loss(z: Tensor, y: Tensor, params: dict) -> Tensor:
    """The loss of float64 logits, to about 12 digits."""
    sign = 2 * y - 1
    if "margin" not in params:
        weight = 1.0 if params["alpha"] is None else torch.where(y == 1, params["alpha"], 1 - params["alpha"])
        return -weight * torch.exp(params["gamma"] * logsigmoid(-sign * z)) * logsigmoid(sign * z)
    gamma = torch.where(y == 1, params["gamma_positive"], params["gamma_negative"])
    plain = -torch.exp(gamma * logsigmoid(-sign * z)) * logsigmoid(sign * z)
    margin = params["margin"]
    if margin == 0:
        return plain
    inside = torch.sigmoid(z) > margin
    shifted = torch.where(inside, torch.sigmoid(z) - margin, 0.5)
    rest = torch.where(inside, torch.sigmoid(-z) + margin, 1.0)  # 1 without a gradient where there is no loss
    return torch.where(y == 1, plain, -(shifted**gamma) * torch.log(rest))


def values_of(function: Callable[..., Tensor], logits: list[float], y: int, params: dict, dtype: torch.dtype) -> tuple:
    """Loss and gradient of each logit, as lists of numbers."""
    z = torch.tensor(logits, dtype=dtype)[:, None].requires_grad_()
    loss = function(z, torch.full_like(z, y), **params)
    loss.sum().backward()
    return loss[:, 0].tolist(), z.grad[:, 0].tolist()


def fault(found: float, true: float, dtype: str) -> str | None:
    """``nan``, ``zero``, ``off`` or None; see the top of this file."""
    if not abs(found) < float("inf"):
        return "nan"
    if found == 0 and abs(true) >= SMALLEST[dtype]:
        return "zero"
    off = abs(found - true) > max(TOLERANCE[dtype] * abs(true), SMALLEST[dtype])
    return "off" if off else None


KEY = ("peer", "dtype", "margin", "target", "quantity", "fault", "side")


def faults(peer: str, function: Callable[..., Tensor], params: dict, dtype: str, logits: list[float]) -> list[dict]:
    """Every fault of one setting on a grid."""
    found = []
    for y in (0, 1):
        theirs = values_of(function, logits, y, params, getattr(torch, dtype))
        true = values_of(true_loss, logits, y, {"params": params}, torch.float64)
        gamma = params.get("gamma", params.get("gamma_positive" if y else "gamma_negative"))
        for quantity, values, references in zip(("loss", "gradient"), theirs, true):
            for logit, value, reference in zip(logits, values, references):
                kind = fault(value, reference, dtype)
                if kind is None:
                    continue
                side = "easy" if (logit > 0) == bool(y) else "hard"
                key = dict(zip(KEY, (peer, dtype, params.get("margin"), y, quantity, kind, side)))
                error = 0.0 if kind == "nan" else abs(value - reference)
                found.append(key | {"gamma": gamma, "logit": logit, "error": error})
    return found


def summary(grid: list[float]) -> list[dict]:
    """The faults of each peer: how many on the grid, for which gammas, and from which logit."""
    fine = sorted({sign * z for z in FINE for sign in (-1, 1)} | set(grid))
    groups: dict[tuple, list[dict]] = {}
    counts: dict[tuple, int] = {}
    for peer, function, _, params, dtype in settings():
        for one in faults(peer, function, params, dtype, fine):
            key = tuple(one[name] for name in KEY)
            groups.setdefault(key, []).append(one)
            counts[key] = counts.get(key, 0) + (one["logit"] in grid)
    return [
        dict(zip(KEY, key))
        | {
            "n": counts[key],
            "gammas": sorted({one["gamma"] for one in some}),
            "from": min((one["logit"] for one in some), key=abs),
            "largest_error": number(max(one["error"] for one in some)),
        }
        for key, some in sorted(groups.items(), key=lambda item: str(item[0]))
    ]


def number(value: float) -> float | str:
    """Six digits, well beyond what is compared, and NaN as a string: JSON has none."""
    return float(f"{value:.6g}") + 0.0 if abs(value) < float("inf") else str(value)


def main() -> None:
    grid = sorted([0.0] + [sign * z for z in MAGNITUDES for sign in (-1, 1)])
    rows = []
    for peer, function, loss, params, dtype in settings():
        for y in (0, 1):
            values, gradient = values_of(function, grid, y, params, getattr(torch, dtype))
            row = {"peer": peer, "dtype": dtype, "loss": loss, "params": params, "target": y}
            rows.append(row | {"values": [*map(number, values)], "gradient": [*map(number, gradient)]})
    wrong = summary(grid)
    layout = "{:<12}{:<9}{:<8}{:<3}{:<10}{:<7}{:<6}{:>4}  {:<9}{:<10}{}"
    print(layout.format("peer", "dtype", "margin", "y", "quantity", "fault", "side", "n", "from", "error", "gammas"))
    for row in wrong:
        cells = row | {"margin": str(row["margin"]), "largest_error": f"{row['largest_error']:.3g}"}
        print(layout.format(*(cells[name] for name in (*KEY, "n", "from", "largest_error", "gammas"))))
    versions = {name: version(name) for name in ("torch", "torchvision", "fvcore", "kornia", "monai", "timm")}
    head = {"versions": versions, "machine": platform.machine(), "logits": grid}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    for name, table in (("rows", rows), ("wrong", wrong)):
        lines.append(f'"{name}": [\n' + ",\n".join(map(json.dumps, table)) + "\n]")
    RESULT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
