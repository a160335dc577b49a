"""Figures that explain an idea: losses, their gradients, and gamma as a function of a label's count."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from afl_helpers.chapters.figures.losses import value_and_gradient
from afl_helpers.chapters.figures.style import DOCUMENTS, PALETTE, legend_above, look_at, one_panel, panels
from afl_helpers.gamma import NORMALIZATIONS, class_gamma
from afl_helpers.losses import focal_loss


def focal_curves(gammas: Sequence[float]) -> Figure:
    """Draw the focal loss of a positive and the size of its gradient against the score, one curve per gamma."""
    z = torch.linspace(-6, 6, 400, dtype=torch.float64, requires_grad=True)
    p = z.sigmoid().detach().numpy()
    figure, (left, right) = panels(2, figsize=(7.6, 3.6))
    for i, gamma in enumerate(gammas):
        colour, line = look_at(i).colour, look_at(i).line
        loss = focal_loss(z[None], torch.ones(1, len(z), dtype=torch.float64), gamma, reduction="none")[0]
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        left.plot(p, loss.detach().numpy(), color=colour, linestyle=line, label=f"{gamma:g}")
        right.plot(p, gradient.abs().numpy(), color=colour, linestyle=line)
    left.set(xlabel="score $p$ of a positive", ylabel="loss", ylim=(0, 3.5))
    right.set(xlabel="score $p$ of a positive", ylabel="size of the gradient", ylim=(0, None))
    left.legend(title=r"$\gamma$")
    return figure


def loss_curves(name: str, label_counts: Sequence[int], n_documents: int) -> Figure:
    """Draw one loss of the registry against the logit, for a positive and a negative, and the gradient of each.

    The loss has its default parameters. Thin lines show binary cross-entropy for comparison. A loss that has no loss per
    label is drawn for a batch of one document, which has the second label with a logit of 0.

    Args:
        name: Name of the loss in the registry.
        label_counts: Number of training documents per label; the curves are those of the first label.
        n_documents: Number of training documents.
    """
    figure, (left, right) = panels(2, figsize=(7.6, 2.9))
    z = torch.linspace(-6, 6, 481, dtype=torch.float64)
    for drawn, width in (("bce", 1.0), (name, 2.2)):
        for target, colour, style in ((1.0, PALETTE[0], "-"), (0.0, PALETTE[1], "--")):
            values, gradient = value_and_gradient(drawn, label_counts, n_documents, z, target)
            label = None if drawn == "bce" else "positive" if target else "negative"
            alpha = 0.45 if drawn == "bce" and name != "bce" else 1.0
            left.plot(z, values, style, color=colour, linewidth=width, alpha=alpha, label=label)
            right.plot(z, gradient, style, color=colour, linewidth=width, alpha=alpha)
    left.set(xlabel="logit", ylabel="loss", ylim=(0, 4))
    right.set(xlabel="logit", ylabel="gradient", ylim=(-1.6, 1.6))
    if name == "bce":
        for line, label in zip(left.get_lines()[2:], ("positive", "negative")):
            line.set_label(label)
    left.legend(fontsize=9)
    return figure


def gamma_readings(
    label_counts: ArrayLike, n_documents: int, base_gamma: float = 2.0, bounds: tuple[float, float] | None = None
) -> Figure:
    """Draw gamma against the label's count, one curve per reading of Eq. 2. Arguments as in :func:`class_gamma`."""
    counts = np.sort(np.asarray(label_counts))[::-1]
    figure, axes = one_panel(figsize=(7.0, 4.2))
    styles = ["-", "--", "-.", ":"]
    for i, name in enumerate(NORMALIZATIONS):
        gamma = class_gamma(counts, n_documents, base_gamma, name, bounds)
        axes.loglog(counts, gamma, styles[i // 4], color=PALETTE[i % 4], label=name)
        axes.grid(True, which="major")
    axes.invert_xaxis()
    axes.set(xlabel=DOCUMENTS, ylabel=r"$\gamma_c$")
    axes.legend(title="reading", ncols=2, fontsize=9)
    return figure


def gamma_by_label(gamma: Mapping[str, NDArray[np.float64]], label_counts: ArrayLike) -> Figure:
    """Draw several assignments of gamma to labels, each (n_labels,), against the labels' counts.

    An assignment that follows the counts, up or down, is a line; one that does not has a dot per label.
    """
    figure, axes = one_panel()
    order = np.argsort(label_counts, kind="stable")
    counts = np.asarray(label_counts)[order]
    for i, (name, values) in enumerate(gamma.items()):
        own, look = np.asarray(values)[order], look_at(i)
        steps = np.diff(own)
        if (steps >= 0).all() or (steps <= 0).all():
            axes.semilogx(counts, own, look.line, color=look.colour, linewidth=2, label=name)
        else:
            axes.semilogx(counts, own, ".", color=look.colour, markersize=5, alpha=0.7, zorder=1, label=name)
    axes.invert_xaxis()
    axes.set(xlabel=DOCUMENTS, ylabel=r"$\gamma_c$")
    legend_above(figure, axes, n_columns=4)
    return figure


def expected_bce(rates: Sequence[float]) -> Figure:
    """Draw the expected binary cross-entropy of one constant probability, one curve per label rate.

    Each curve has a point at its minimum, where the probability equals the rate.
    """
    p = np.geomspace(1e-4, 0.99, 400)
    figure, axes = one_panel()
    for i, rate in enumerate(rates):
        colour = look_at(i).colour
        loss = -rate * np.log(p) - (1 - rate) * np.log1p(-p)
        axes.semilogx(p, loss, color=colour, linestyle=look_at(i).line, label=f"{rate:.2g}")
        axes.plot(rate, -rate * np.log(rate) - (1 - rate) * np.log1p(-rate), "o", color=colour)
    axes.axvline(0.5, color=PALETTE[-1], linewidth=1, linestyle=":")
    axes.set(xlabel="probability given to every document", ylabel="expected loss", ylim=(0, 2))
    axes.legend(title="share of documents\nwith the label")
    return figure


def curves(
    x: ArrayLike,
    lines: Mapping[str, ArrayLike],
    xlabel: str,
    ylabel: str,
    legend: str | None = None,
    levels: Mapping[str, float] | None = None,
    marks: Sequence[float] = (),
    **axes_settings: Any,
) -> Figure:
    """Draw several named curves over one x.

    Args:
        x: (n_points,).
        lines: Name of a curve -> (n_points,).
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        legend: Title of the legend.
        levels: Name -> y of a horizontal line. The name is written at its right-hand end.
        marks: Values of x, each marked by a tick at the lower edge.
        axes_settings: Passed to ``Axes.set``, for example ``xscale="log"``.
    """
    figure, axes = one_panel()
    for i, (name, y) in enumerate(lines.items()):
        axes.plot(x, y, linestyle=look_at(i).line, color=look_at(i).colour, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel, **axes_settings)
    for name, level in (levels or {}).items():
        axes.axhline(level, color=PALETTE[-1], linewidth=1, linestyle=":")
        axes.annotate(
            name,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=PALETTE[-1],
        )
    if len(marks):
        axes.plot(
            marks,
            np.zeros(len(marks)),
            "|",
            transform=axes.get_xaxis_transform(),
            color="black",
            markersize=12,
            alpha=0.4,
            clip_on=False,
        )
    if len(lines) > 1:
        axes.legend(title=legend)
    return figure
