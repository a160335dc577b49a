"""Losses for documents whose positive labels are partly missing: Hill, and self-paced loss correction (SPLC)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from afl_helpers.arrays import check_flag
from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PublishedForm,
    check_hard_targets,
    check_inputs,
    check_number,
)
from afl_helpers.losses.costs import ZERO, Cost, FocalCost
from afl_helpers.losses.elementwise import elementwise_loss
from afl_helpers.losses.epochs import EpochLoss


@dataclass
class _HillNegative(Cost):
    """Cost of a negative: ``(lambda_ - p) p^2``."""

    lambda_: float

    def formula(self, z: Tensor) -> Tensor:
        # Two forms, with q = 1 - p: near p = 1 the terms in q cancel in the gradient of the first.
        p, q = torch.sigmoid(z), torch.sigmoid(-z)
        above = (self.lambda_ - 1) + q * ((3 - 2 * self.lambda_) + q * ((self.lambda_ - 3) + q))
        return torch.where(z > 0, above, ((self.lambda_ - 1) + q) * p**2)

    def kernel(self, z: Tensor, loss: Tensor, gradient: Tensor | None, factor: float, scratch: list[Tensor]) -> None:
        q, p_squared = torch.neg(z, out=scratch[0]).sigmoid_(), torch.sigmoid(z, out=scratch[1]).square_()
        torch.add(q, self.lambda_ - 1, out=loss).mul_(p_squared)
        if gradient is not None:  # p^2 q (2 lambda_ - 3 p)
            slope = torch.mul(q, 3, out=gradient).add_(2 * self.lambda_ - 3)
            torch.addcmul(ZERO, slope.mul_(q), p_squared, value=factor, out=gradient)


def hill_loss(
    logits: Tensor,
    targets: Tensor,
    lambda_: float = 1.5,
    margin: float = 1.0,
    gamma: float = 2.0,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the Hill loss (Zhang et al., 2021), as in the authors' code.

    A positive costs the focal loss of ``z - margin``, a negative ``(lambda_ - p) p^2``. :class:`HillLoss` describes the
    parameters.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import hill_loss
        >>> logits = torch.tensor([[-4.0, 0.0, 4.0]], requires_grad=True)
        >>> hill_loss(logits, torch.zeros(1, 3), reduction="sum").backward()
        >>> torch.round(logits.grad, decimals=4)  # 3 p^2 (1 - p)^2: a negative that is sure to be wrong teaches little
        tensor([[0.0009, 0.1875, 0.0009]])
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    lambda_, margin = check_number("lambda_", lambda_, 1.0), check_number("margin", margin)
    positive = FocalCost(-1.0, check_number("gamma", gamma, 0.0), shift=-margin)
    return elementwise_loss(logits, targets, positive, _HillNegative(lambda_), mask, reduction)


class HillLoss(MultiLabelLoss):
    """Hill loss (Zhang et al., 2021): a negative that the model is sure of teaches nothing, right or wrong.

    Args:
        lambda_: at least 1; a negative costs ``(lambda_ - p) p^2``. At 1.5, the authors' value, its gradient is
            ``3 p^2 (1 - p)^2``; below 1.5 a negative with p near 1 is pushed up.
        margin: the logit of a positive must be higher by this much; the authors advise 0.5 to 1.
        gamma: at least 0, gamma of the focal loss of the positives.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import BinaryCrossEntropy, HillLoss
        >>> logits, targets = torch.tensor([[8.0]]), torch.zeros(1, 1)  # a negative with p near 1: perhaps mislabelled
        >>> [round(loss(logits, targets).item(), 3) for loss in (BinaryCrossEntropy(), HillLoss())]
        [8.0, 0.5]
    """

    def __init__(self, lambda_: float = 1.5, margin: float = 1.0, gamma: float = 2.0, reduction: str = "mean"):
        super().__init__(reduction)
        self.lambda_ = check_number("lambda_", lambda_, 1.0)
        self.margin = check_number("margin", margin)
        self.gamma = check_number("gamma", gamma, 0.0)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return hill_loss(logits, targets, self.lambda_, self.margin, self.gamma, mask=mask, reduction=reduction)


@dataclass
class _SelfPacedNegative(Cost):
    """Cost of a negative, which is that of a positive if the logit is above ``limit`` and ``correct`` holds."""

    gamma: float
    limit: float
    correct: bool | Tensor

    def formula(self, z: Tensor) -> Tensor:
        side = torch.where((z > self.limit) & self.correct, -z, z)
        return FocalCost(1.0, self.gamma).formula(side)

    def kernel(self, z: Tensor, loss: Tensor, gradient: Tensor | None, factor: float, scratch: list[Tensor]) -> None:
        corrected = ((z > self.limit) & self.correct).to(z.dtype)
        FocalCost(1.0, self.gamma, flipped=corrected).kernel(z, loss, gradient, factor, scratch)


def splc_loss(
    logits: Tensor,
    targets: Tensor,
    threshold: float = 0.6,
    margin: float = 1.0,
    gamma: float = 2.0,
    *,
    correct: bool | Tensor = True,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the self-paced loss correction (SPLC, Zhang et al., 2021), as in the authors' code.

    It is focal loss, with ``z - margin`` for a positive. If ``correct``, a negative with p above the threshold costs
    what a positive would, without the margin. :class:`SPLCLoss` describes the parameters.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import splc_loss
        >>> logits, targets = torch.tensor([[1.0, -1.0]]), torch.zeros(1, 2)  # p = 0.73 and 0.27
        >>> torch.round(splc_loss(logits, targets, gamma=0.0, reduction="none"), decimals=4)  # -log 0.73, twice
        tensor([[0.3133, 0.3133]])
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    targets = check_hard_targets(targets, "self-paced loss correction")
    threshold = check_number("threshold", threshold, 0.0, 1.0, open_low=True, open_high=True)
    margin, gamma = check_number("margin", margin), check_number("gamma", gamma, 0.0)
    correct = correct if isinstance(correct, Tensor) else check_flag("correct", correct)
    positive = FocalCost(-1.0, gamma, shift=-margin)
    # A logit is compared, not its sigmoid: in float32 that rounds.
    limit = math.log(threshold) - math.log1p(-threshold)
    negative = FocalCost(1.0, gamma) if correct is False else _SelfPacedNegative(gamma, limit, correct)
    return elementwise_loss(logits, targets, positive, negative, mask, reduction)


class SPLCLoss(EpochLoss):
    """Self-paced loss correction (SPLC, Zhang et al., 2021): a negative that the model is sure of becomes a positive.

    Args:
        threshold: in (0, 1); a negative with p above it is taken for a missing positive.
        margin: the logit of a positive must be higher by this much; the authors use 1.
        gamma: at least 0, gamma of the focal loss of positives and negatives.
        change_epoch: whole number, at least 0: how many epochs to train before the first correction.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import SPLCLoss
        >>> loss = SPLCLoss(gamma=0.0)
        >>> logits, targets = torch.tensor([[2.0]]), torch.zeros(1, 1)
        >>> before = loss(logits, targets)
        >>> loss.end_epoch()
        >>> round(before.item(), 3), round(loss(logits, targets).item(), 3)  # -log(1 - p), then -log p
        (2.127, 0.127)
    """

    soft_targets = False

    def __init__(
        self,
        threshold: float = 0.6,
        margin: float = 1.0,
        gamma: float = 2.0,
        change_epoch: int = 1,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self.threshold = check_number("threshold", threshold, 0.0, 1.0, open_low=True, open_high=True)
        self.margin = check_number("margin", margin)
        self.gamma = check_number("gamma", gamma, 0.0)
        self.change_epoch = int(check_number("change_epoch", change_epoch, 0, whole=True))

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return splc_loss(
            logits,
            targets,
            self.threshold,
            self.margin,
            self.gamma,
            correct=self.epoch >= self.change_epoch,
            mask=mask,
            reduction=reduction,
        )


ENTRIES = {
    "hill": LossInfo(
        title="Hill loss",
        equation=r"-y (1 - p_m)^{\gamma} \log p_m + (1 - y) (\lambda - p) \, p^2, \quad p_m = \sigma(z - m)",
        reference="zhang2021hill",
        published=(PublishedForm("the authors' code (Zhang et al. 2021)", "equal"),),
        fidelity="they sum over batch and labels, here the mean is the default",
        when="Many positives were never labelled, so a negative with a high score is more likely a gap than an error. A"
        " hard true negative teaches little too. Scores are not probabilities: tune thresholds.",
        build=HillLoss,
        parameters={
            "lambda_": "at least 1; a negative costs ``(lambda_ - p) p^2``. At 1.5, the authors' value, its gradient is"
            " ``3 p^2 (1 - p)^2``; below 1.5 a negative with p near 1 is pushed up.",
            "margin": "the logit of a positive must be higher by this much; the authors advise 0.5 to 1.",
            "gamma": "at least 0, gamma of the focal loss of the positives.",
        },
    ),
    "splc": LossInfo(
        title="Self-paced loss correction (SPLC)",
        equation=r"-\tilde y (1 - \tilde p)^{\gamma} \log \tilde p - (1 - \tilde y) \, \tilde p^{\gamma}"
        r" \log(1 - \tilde p), \quad \tilde p = \sigma(z - m y), \quad"
        r" \tilde y = \max(y, [\tilde p > \tau]) \text{ after the first epoch}",
        reference="zhang2021hill",
        published=(PublishedForm("the authors' code (Zhang et al. 2021)", "equal"),),
        fidelity="they sum over batch and labels, here the mean is the default",
        when="As the Hill loss, if you trust the model to fill the gaps after one epoch. It trains towards its own"
        " mistakes just as firmly, and a rare label that never exceeds the threshold gains nothing. The training loop"
        " must end the epochs.",
        build=SPLCLoss,
        parameters={
            "threshold": "in (0, 1); a negative with p above it is taken for a missing positive.",
            "margin": "the logit of a positive must be higher by this much; the authors use 1.",
            "gamma": "at least 0, gamma of the focal loss of positives and negatives.",
            "change_epoch": "whole number, at least 0: how many epochs to train before the first correction.",
        },
        monotone=False,
        soft_targets=False,
        reduces_to_bce={"margin": 0.0, "gamma": 0.0, "change_epoch": 10**9},
    ),
}
