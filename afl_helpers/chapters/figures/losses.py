"""Figures of the losses in the registry: all of them side by side, and what masking does over the epochs."""

import math
import textwrap
import warnings
from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from afl_helpers.chapters.figures.style import PALETTE, legend_above, one_panel, panels
from afl_helpers.losses import LOSSES, PartialLabelMaskingLoss, build_loss


def value_and_gradient(
    name: str, label_counts: Sequence[int], n_documents: int, logits: Tensor, target: float
) -> tuple[Tensor, Tensor]:
    """Return the default loss of the first label at each logit, and its gradient; every document has the second label.

    A loss that has no loss per label is that of a batch of one document, where the other logits are 0.

    Args:
        name: Name of the loss in the registry.
        label_counts: Number of training documents per label.
        n_documents: Number of training documents.
        logits: (n_points,).
        target: Target of the first label.
    """
    z = torch.zeros(len(logits), len(label_counts), dtype=torch.float64)
    z[:, 0] = logits
    z.requires_grad_()
    y = torch.zeros_like(z)
    y[:, 0], y[:, 1] = target, 1.0
    with warnings.catch_warnings():
        # The chapter says what the loss warns of: a literal gamma leaves rare labels without gradient.
        warnings.simplefilter("ignore", UserWarning)
        loss = build_loss(name, label_counts, n_documents).eval()
    if loss.unit == "element":
        values = loss(z, y, reduction="none")[:, 0]
    else:  # each row is a batch of its own: one document
        values = torch.stack([loss(logits[None], targets[None]) for logits, targets in zip(z, y)])
    (gradient,) = torch.autograd.grad(values.sum(), z)
    return values.detach(), gradient[:, 0]


def loss_gallery(label_counts: Sequence[int], n_documents: int, n_columns: int = 4) -> Figure:
    """Draw every loss of the registry with its default parameters and its gradient against the logit, one panel each.

    Args:
        label_counts: Number of training documents per label; the curves are those of the first label.
        n_documents: Number of training documents.
        n_columns: Number of panels side by side.
    """
    n_rows = math.ceil(len(LOSSES) / n_columns)
    figure, grid = panels(n_columns, n_rows, figsize=(7.6, 1.75 * n_rows), sharex=True, sharey=True)
    z = torch.linspace(-6, 6, 241, dtype=torch.float64)
    for axes, (name, info) in zip(grid, LOSSES.items()):
        for target, colour, sign in ((1.0, PALETTE[0], "positive"), (0.0, PALETTE[1], "negative")):
            values, gradient = value_and_gradient(name, label_counts, n_documents, z, target)
            axes.plot(z, values, color=colour, linewidth=2, label=f"{sign}: loss")
            axes.plot(z, gradient, "--", color=colour, linewidth=1.2, label="gradient")
        axes.set_title(textwrap.fill(info.title, 22), fontsize=8)
        axes.set(ylim=(-1.6, 3))
    for axes in grid[len(LOSSES) :]:
        axes.set_axis_off()
    for axes in grid[len(LOSSES) - n_columns : len(LOSSES)]:  # the last of each column
        axes.set_xlabel("logit", fontsize=8)
        axes.tick_params(labelbottom=True)
    legend_above(figure, grid[0], 4)
    return figure


def masking_over_epochs(epochs: int = 50) -> Figure:
    """Draw how far partial label masking moves the odds of a label by each of its updates, for unchanging predictions.

    Of the 5,000 predictions for five labels, all are right but two, of two labels, which have p = 0.73 on the right side.
    The curve is that of the first of these labels.
    """
    counts = [400, 120, 40, 9, 3]
    targets = (torch.arange(1000)[:, None] < torch.tensor(counts)).double()
    logits = (2 * targets - 1) * 12
    logits[0, 0], logits[-1, 1] = 1.0, -1.0
    figure, axes = one_panel(figsize=(7.0, 3.4))
    drawn = {"distance": "default, by distance", "standardized_kl": "a third party's, by standardised divergences"}
    for i, (update, title) in enumerate(drawn.items()):
        loss = PartialLabelMaskingLoss(counts, 1000, update=update)
        factors = [1.0]
        for _ in range(epochs):
            loss(logits.clone().requires_grad_(), targets)
            loss.end_epoch()
            factors.append((loss.ideal_ratio / loss.ratio)[0].item())
        axes.semilogy(factors, ("-", "--")[i], color=PALETTE[i], label=title)
    axes.axhline(10, color=PALETTE[-1], linewidth=1, linestyle=":", label="bound of the default")
    axes.set(xlabel="epoch", ylabel="ideal over observed ratio", xlim=(0, epochs))
    axes.legend(title="update", fontsize=9)
    return figure
