"""Sigmoid F1: macro F1 with soft counts, as a loss."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from afl_helpers.arrays import check_flag
from afl_helpers.losses import coupled_kernel
from afl_helpers.losses.base import (
    LossInfo,
    PerClassLike,
    PublishedForm,
    as_rows,
    check_inputs,
    check_mask,
    check_number,
    is_hard,
    promote,
)
from afl_helpers.losses.coupled import BatchLoss, check_batch_reduction, document_weight
from afl_helpers.losses.kept_gradient import has_fast_path, with_kept_gradient


def sigmoid_f1_loss(
    logits: Tensor,
    targets: Tensor,
    slope: float = 1.0,
    offset: float = 0.0,
    on_probabilities: bool = False,
    *,
    weight: PerClassLike | None = None,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute sigmoid F1 (Benedict et al., TMLR 2022): 1 minus the macro F1 of soft counts over the batch.

    With ``s = sigmoid(slope (z + offset))`` a label has the counts TP = sum of s y, FP = sum of s (1 - y) and
    FN = sum of (1 - s) y. The loss is the mean over the labels of ``1 - 2 TP / (2 TP + FP + FN)``. A label without a
    positive in the batch costs 1 and has no gradient. A label that is masked in all documents is left out.

    Args:
        slope, offset, on_probabilities: see :class:`SigmoidF1Loss`.
        weight: one per document; a document of weight w counts like w documents.
        reduction: see ``afl_helpers.losses.coupled.BatchLoss``.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import sigmoid_f1_loss
        >>> logits, targets = torch.zeros(4, 1), torch.tensor([[1.0], [0.0], [0.0], [0.0]])
        >>> round(sigmoid_f1_loss(logits, targets).item(), 4)  # TP 1/2, FP 3/2, FN 1/2: 1 - 1 / 3
        0.6667
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    check_batch_reduction(reduction)
    slope, offset = check_number("slope", slope, 0.0, open_low=True), check_number("offset", offset)
    on_probabilities = check_flag("on_probabilities", on_probabilities)
    plain = mask is None and weight is None and not on_probabilities and logits.numel()
    if plain and has_fast_path(logits, targets) and is_hard(targets):
        kernel = partial(coupled_kernel.sigmoid_f1, slope=slope, offset=offset)
        return with_kept_gradient(logits, targets, kernel, partial(_sigmoid_f1, slope=slope, offset=offset))
    return _sigmoid_f1(logits, targets, slope, offset, on_probabilities, weight, mask)


def _sigmoid_f1(
    logits: Tensor,
    targets: Tensor,
    slope: float,
    offset: float,
    on_probabilities: bool = False,
    weight: PerClassLike | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the loss by the formula, for any device, derivative and trace."""
    logits, targets = promote(logits, targets)
    known = torch.ones_like(targets) if mask is None else check_mask(mask, logits).to(targets)
    if weight is not None:
        known = known * document_weight(weight, logits[..., 0], None).unsqueeze(-1)
    logits, targets, known = as_rows(logits), as_rows(targets), as_rows(known)
    # exp(logsigmoid) is the sigmoid, with a gradient that does not vanish where the sigmoid rounds to 1.
    position = slope * ((logsigmoid(logits).exp() if on_probabilities else logits) + offset)
    predicted, missed = logsigmoid(position).exp() * known, logsigmoid(-position).exp() * known
    n_positives, n_known = (targets * known).sum(0), known.sum(0)
    wrong = (predicted * (1 - targets) + missed * targets).sum(0)
    everything = (predicted * targets).sum(0) * 2 + wrong
    some = n_positives > 0
    f1_loss = torch.where(some, wrong / torch.where(some, everything, 1.0), 1.0)
    counted = n_known > 0
    return torch.where(counted, f1_loss, 0.0).sum() / counted.count_nonzero().clamp(min=1)


class SigmoidF1Loss(BatchLoss):
    """Sigmoid F1 (Benedict et al., TMLR 2022): 1 minus the macro F1 of soft counts over the batch.

    The authors' code applies its sigmoid to probabilities. With its values, slope 1 and offset 0 in PyTorch, s then
    ranges over [0.5, 0.731] only. Here it is applied to logits by default.

    Args:
        slope: above 0, how sharply scores become decisions; the authors' S is minus this.
        offset: added to the logit or probability, so that minus the offset is the threshold; the authors' E.
        on_probabilities: whether the sigmoid is applied to the probability, as in the authors' code; then a slope near
            10 and an offset of -0.5 make sense.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import SigmoidF1Loss
        >>> logits, targets = torch.tensor([[9.0], [-9.0], [-9.0]]), torch.tensor([[1.0], [0.0], [0.0]])
        >>> losses = SigmoidF1Loss(), SigmoidF1Loss(on_probabilities=True)
        >>> [round(loss(logits, targets).item(), 2) for loss in losses]  # all is right; the authors' form cannot say so
        [0.0, 0.46]
    """

    def __init__(
        self, slope: float = 1.0, offset: float = 0.0, on_probabilities: bool = False, reduction: str = "mean"
    ):
        super().__init__(reduction)
        self.slope = check_number("slope", slope, 0.0, open_low=True)
        self.offset, self.on_probabilities = (
            check_number("offset", offset),
            check_flag("on_probabilities", on_probabilities),
        )

    def compute_batch(self, logits: Tensor, targets: Tensor, mask: Tensor | None, weight: Tensor | None) -> Tensor:
        return sigmoid_f1_loss(
            logits, targets, self.slope, self.offset, self.on_probabilities, weight=weight, mask=mask
        )


ENTRIES = {
    "sigmoid_f1": LossInfo(
        title="Sigmoid F1",
        equation=r"\operatorname{mean}_c \left[1 - \frac{2 \sum_i s_{ic} y_{ic}}{\sum_i (s_{ic} + y_{ic})}\right],"
        r" \quad s = \sigma(b (z + e))",
        reference="benedict2022sigmoidf1",
        published=(
            PublishedForm(
                "the authors' PyTorch code (Benedict et al. 2022)",
                "equal",
                {"on_probabilities": True},
            ),
            PublishedForm(
                "their TensorFlow code, where next to nothing is learnt, because every s is above 0.9999",
                "equal",
                {"on_probabilities": True, "slope": 10.0, "offset": 1.0},
            ),
        ),
        fidelity="on logits instead of probabilities by default",
        when="To train for macro F1 itself, with large batches: a label without a positive in the batch teaches"
        " nothing. Start from a model that cross-entropy has trained; scores are not probabilities.",
        build=SigmoidF1Loss,
        parameters={
            "slope": "above 0, how sharply scores become decisions; the authors' S is minus this.",
            "offset": "added to the logit or probability, so that minus the offset is the threshold; the authors' E.",
            "on_probabilities": "whether the sigmoid is applied to the probability, as in the authors' code; then a"
            " slope near 10 and an offset of -0.5 make sense.",
        },
        unit="batch",
    ),
}
