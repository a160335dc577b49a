"""A loss as ``compute_loss_func`` of transformers' Trainer; transformers itself is not imported."""

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from afl_helpers.errors import UsageError
from afl_helpers.losses.base import (
    ASYNCHRONOUS,
    MultiLabelLoss,
    check_logits,
    check_number,
    refuse_unless,
    smooth_labels,
)

#: The one label that Trainer leaves out when it counts the entries of a batch.
_NOT_COUNTED = -100

#: How many functions may stand between a Trainer and the hook.
_MOST_WRAPPERS = 8

_SPLIT = (
    "labels hold {} in a batch that Trainer splits over steps or processes, and Trainer's count does not tell how many of"
    " all parts; {}"
)


def _logits(outputs: Any) -> Tensor:
    """Return the logits of a model's outputs."""
    if isinstance(outputs, Mapping):
        if "logits" not in outputs:
            found = ", ".join(map(repr, outputs)) or "nothing"
            raise UsageError(f"outputs hold {found} and no 'logits'; pass the outputs of a model that returns logits")
        outputs = outputs["logits"]
    elif isinstance(outputs, tuple | list):
        if not outputs:
            raise UsageError(
                f"outputs are an empty {type(outputs).__name__}; pass logits, or a tuple that starts with them"
            )
        outputs = outputs[0]
    elif not isinstance(outputs, Tensor):
        raise UsageError(
            f"outputs are a {type(outputs).__name__}; pass logits, a mapping with 'logits', or a tuple that starts with them"
        )
    check_logits(outputs)
    logits: Tensor = outputs
    return logits


def _calling_trainer() -> object:
    """Return the Trainer that calls the hook, also through functions of its user; None if none does."""
    frame = sys._getframe(3)
    for _ in range(_MOST_WRAPPERS):
        caller = frame.f_locals.get("self")
        if hasattr(caller, "compute_loss_func"):
            return caller
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


class TrainerHook:
    """Computes a loss for a Trainer; :meth:`MultiLabelLoss.for_trainer` makes it and says what it does.

    Args:
        loss: the loss; its reduction is not ``"none"``.
        ignore_index, label_smoothing: see :meth:`MultiLabelLoss.for_trainer`.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import BinaryCrossEntropy, TrainerHook
        >>> hook = TrainerHook(BinaryCrossEntropy(), label_smoothing=0.2)
        >>> labels = torch.tensor([[1.0, torch.nan]])  # the second is unknown
        >>> round(hook((torch.tensor([[2.0, 2.0]]),), labels).item(), 4)  # 0.9 log(1 + e^-2) + 0.1 log(1 + e^2)
        0.3269
    """

    def __init__(self, loss: MultiLabelLoss, ignore_index: int | None = -100, label_smoothing: float = 0.0):
        if loss.reduction == "none":
            raise UsageError('reduction is "none"; a Trainer needs one number: "mean", "sum" or "sum_over_classes"')
        if ignore_index in (0, 1):
            raise UsageError(f"ignore_index is {ignore_index}, which is a label; pass another number, such as -100")
        label_smoothing = check_number("label_smoothing", label_smoothing, 0.0, 1.0)
        if label_smoothing and not loss.soft_targets:
            raise UsageError(
                f"label_smoothing is {label_smoothing:g}, but {type(loss).__name__} takes only targets of 0 and 1;"
                " leave it at 0, or use another loss"
            )
        self.loss = loss
        self.ignore_index = None if ignore_index is None else check_number("ignore_index", ignore_index, whole=True)
        self.label_smoothing = label_smoothing
        self._warned = False

    def __repr__(self) -> str:
        options = f"ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}"
        return f"{type(self).__name__}({self.loss}, {options})"

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Return the loss of a batch, or of a part of it if ``num_items_in_batch`` counts more.

        Args:
            outputs: of a model: a mapping with ``"logits"``, a tuple that starts with them, or they themselves.
            labels: (..., n_labels), as the logits.
            num_items_in_batch: number of entries of the labels in the whole batch that are not -100.
        """
        self._look_at_trainer()
        logits = _logits(outputs)
        if not isinstance(labels, Tensor):
            raise UsageError(
                f"labels are {type(labels).__name__}, not a tensor; the data set needs a column 'labels', one number per"
                " label"
            )
        labels = labels.to(logits.device)
        known = self._known(labels)
        targets = labels
        if self.label_smoothing:
            targets = labels if known is None else torch.where(known, labels, torch.zeros_like(labels))
            targets = smooth_labels(targets, self.label_smoothing)
        if num_items_in_batch is None:
            mean: Tensor = self.loss(logits, targets, mask=known)
            return mean
        # Under nn.DataParallel there is one count per replica, all equal, and Trainer multiplies by their number.
        counts = torch.as_tensor(num_items_in_batch, device=logits.device).reshape(-1)
        if self.loss.unit == "batch":  # a part is a batch of its own; Trainer's counts say how much of the whole it is
            part: Tensor = self.loss(logits, targets, mask=known)
            return part * labels.ne(_NOT_COUNTED).sum() / (counts[0].clamp(min=1) * len(counts))
        total: Tensor = self.loss(logits, targets, mask=known, reduction="sum")
        return total / (self._divisor(labels, known, counts[0]) * len(counts))

    def _known(self, labels: Tensor) -> Tensor | None:
        """Return which labels are known, or None if all are; on a GPU, which is not asked, always which."""
        below_zero = self.ignore_index is None or self.ignore_index < 0
        if labels.device.type not in ASYNCHRONOUS and below_zero and labels.numel() and labels.min() >= 0:  # no NaN
            return None
        known = torch.ones_like(labels, dtype=torch.bool) if self.ignore_index is None else labels != self.ignore_index
        return known & ~labels.isnan() if labels.is_floating_point() else known

    def _divisor(self, labels: Tensor, known: Tensor | None, count: Tensor) -> Tensor | int:
        """Return what the sum over this part of a batch is divided by: its share in the reduction over the whole batch.

        Args:
            labels, known: of this part.
            count: what Trainer counted in the whole batch.
        """
        if self.loss.reduction == "sum":
            return 1
        mean = self.loss.reduction == "mean"
        by_document = self.loss.unit == "document"
        if known is not None:
            counted_here = labels.ne(_NOT_COUNTED).sum()
            # A mean leaves unknown entries out; a mean over documents has every document, as in a direct call.
            of_known = known.any(-1).sum() * labels.shape[-1] if by_document else known.sum()
            excess = counted_here - (of_known if mean else labels.numel())
            message = (
                _SPLIT.format("unknown values of a document that has others", "do not split the batch")
                if mean and by_document
                else _SPLIT.format("an unknown value that is not -100", "mark unknown labels as -100")
                if mean
                else _SPLIT.format("an unknown value", 'build the loss with reduction="mean"')
            )
            refuse_unless((excess == 0) | (count == counted_here), lambda: message, message)
            count = (count - excess).clamp(min=1)
        else:
            count = count.clamp(min=1)
        return count if mean and not by_document else count / labels.shape[-1]

    def _look_at_trainer(self) -> None:
        """Refuse what the calling Trainer is set to do and does not do, and warn of what it lacks.

        Trainer does not hand itself to the function. Its frame, which called the hook or a function around it, is where
        its settings are seen.
        """
        trainer = _calling_trainer()
        factor = getattr(getattr(trainer, "args", None), "label_smoothing_factor", 0.0)
        if factor:
            raise UsageError(
                f"label_smoothing_factor is {factor}, which Trainer does not apply to a compute_loss_func; leave it at 0,"
                f" and pass loss.for_trainer(label_smoothing={factor})"
            )
        callbacks = getattr(getattr(trainer, "callback_handler", None), "callbacks", None)
        if callbacks is None or not self.loss.stateful or self._warned or not torch.is_grad_enabled():
            return
        if not any(getattr(callback, "loss", None) is self.loss for callback in callbacks):
            self._warned = True
            warnings.warn(
                f"{type(self.loss).__name__} learns after each epoch, and nothing tells it when one ends: pass"
                " callbacks=[loss.callback()] to the Trainer, or call loss.end_epoch() in a callback of your own.",
                stacklevel=3,
            )
