"""Diagrams of boxes and arrows: the classifier, and the course of a study."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from afl_helpers.chapters.figures.style import PALETTE, one_panel

_GREY = "#333333"
_ARROW: dict[str, Any] = {"arrowstyle": "-|>", "color": _GREY, "linewidth": 1.2}
_BOX: dict[str, Any] = {"boxstyle": "round,pad=0.45", "linewidth": 1.6, "facecolor": "white"}


def workflow() -> Figure:
    """Draw the course of a study: what each split is used for, and where label counts and thresholds come from."""
    places = {  # name: (x, y, text, colour)
        "files": (2, 6, "two files", PALETTE[6]),
        "matrix": (5.8, 6, "texts and label matrix", PALETTE[6]),
        "train": (2, 4.6, "train", PALETTE[0]),
        "validation": (5.8, 4.6, "validation", PALETTE[0]),
        "test": (9.4, 4.6, "test", PALETTE[0]),
        "gamma": (2, 3.2, "label counts,\na gamma per label", PALETTE[3]),
        "fine-tuning": (2, 1.6, "fine-tuning\nwith the loss", PALETTE[1]),
        "scores": (5.8, 3.2, "scores", PALETTE[2]),
        "choose": (5.8, 1.6, "choose epoch,\nthen thresholds", PALETTE[2]),
        "metrics": (9.4, 1.6, "metrics and\nintervals, once", PALETTE[2]),
    }
    arrows = [
        ("files", "matrix"), ("matrix", "train"), ("matrix", "validation"), ("matrix", "test"), ("train", "gamma"),
        ("gamma", "fine-tuning"), ("fine-tuning", "choose"), ("validation", "scores"), ("scores", "choose"),
        ("choose", "metrics"), ("test", "metrics"),
    ]  # fmt: skip
    figure, axes = one_panel(figsize=(7.0, 4.6))
    axes.set(xlim=(0, 11.2), ylim=(0.8, 6.6))
    axes.axis("off")
    boxes = {
        name: axes.text(x, y, text, ha="center", va="center", fontsize=11, bbox=_BOX | {"edgecolor": colour})
        for name, (x, y, text, colour) in places.items()
    }
    for start, end in arrows:
        level = places[start][1] == places[end][1]
        start_box, end_box = boxes[start].get_bbox_patch(), boxes[end].get_bbox_patch()
        assert start_box is not None and end_box is not None  # each text above has a box
        axes.annotate(
            "",
            xy=(0, 0.5) if level else (0.5, 1),
            xycoords=end_box,
            xytext=(1, 0.5) if level else (0.5, 0),
            textcoords=start_box,
            arrowprops=_ARROW,
        )
    axes.text(5.95, 5.03, "stratified", fontsize=9, color=_GREY)
    return figure


def architecture(width: int, n_layers: int, n_labels: int) -> Figure:
    """Draw the path of one text through the classifier, from tokens to predicted labels, and the loss beside it.

    Args:
        width: Dimension of the encoder's vectors.
        n_layers: Number of the encoder's layers.
        n_labels: Number of labels.
    """
    steps = [
        ("text", "a plot summary", PALETTE[6]),
        ("tokeniser", "[CLS] token ids [SEP], attention mask", PALETTE[6]),
        (f"encoder, {n_layers} layers", f"one vector of {width} numbers per token", PALETTE[0]),
        ("[CLS] vector", f"{width} numbers for the whole text", PALETTE[0]),
        ("linear head", f"{n_labels} logits, one per label", PALETTE[1]),
        ("sigmoid", f"{n_labels} scores in (0, 1)", PALETTE[2]),
        ("thresholds", "the predicted labels", PALETTE[2]),
    ]
    figure, axes = one_panel(figsize=(7.0, 5.6))
    axes.set(xlim=(0, 10), ylim=(-0.6, len(steps) - 0.4))
    axes.axis("off")
    heights = (len(steps) - 1 - np.arange(len(steps))).tolist()
    for y, (name, output, colour) in zip(heights, steps):
        axes.text(2.0, y, name, ha="center", va="center", bbox=_BOX | {"edgecolor": colour}, fontsize=11)
        axes.text(4.0, y, output, ha="left", va="center", fontsize=10, color=_GREY)
    for y in heights[:-1]:
        axes.annotate("", (2.0, y - 0.72), (2.0, y - 0.28), arrowprops=_ARROW)
    y = heights[4]  # the loss stands beside the linear head
    axes.text(8.4, y, "loss", ha="center", va="center", bbox=_BOX | {"edgecolor": PALETTE[3]}, fontsize=11)
    axes.text(8.4, y + 1, "targets, 0 or 1", ha="center", va="center", fontsize=10, color=_GREY)
    axes.annotate("", (8.4, y + 0.28), (8.4, y + 0.78), arrowprops=_ARROW)
    axes.annotate("", (7.8, y), (6.9, y), arrowprops=_ARROW)
    axes.text(8.4, y - 0.62, "its gradient trains\nhead and encoder", ha="center", va="center", fontsize=9, color=_GREY)
    return figure
