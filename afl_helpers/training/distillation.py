"""Distillation: a student learns from the labels and from the scores of a teacher (Hinton, Vinyals and Dean, 2015).

Their softmax becomes a sigmoid per label, because a document can carry several labels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from afl_helpers.losses import BinaryCrossEntropy, MultiLabelLoss

#: Logits of a teacher are cut to this range. Trainer does not count labels of -100, and here logits stand among labels.
_LIMIT = 50.0


@dataclass(frozen=True)
class Teacher:
    """What a teacher says of the training documents, and how much it counts.

    Args:
        logits: (n_documents, n_labels).
        weight: a, from 0 to 1; see :class:`DistillationHook`.
        temperature: T, above 0. A higher one tells more of the labels that the teacher finds improbable.
    """

    logits: NDArray[np.float32]
    weight: float
    temperature: float

    def row(self, labels: NDArray[np.uint8], document: int) -> NDArray[np.float32]:
        """Return the labels of a document and, behind them, the logits of the teacher, (2 n_labels,)."""
        return np.concatenate([labels, self.logits[document].clip(-_LIMIT, _LIMIT)]).astype(np.float32)


class DistillationHook:
    """A loss for a Trainer: ``(1 - a) loss(s, y) + a T^2 BCE(s/T, sigmoid(t/T))``, with student s and teacher t as logits.

    T^2 keeps the size of the teacher's gradient independent of T. Labels are rows of :meth:`Teacher.row`. Where only
    labels are given, as on validation, it is the loss itself.

    Example:
        >>> import numpy as np, torch
        >>> from afl_helpers.losses import BinaryCrossEntropy
        >>> from afl_helpers.training.distillation import DistillationHook, Teacher
        >>> teacher = Teacher(np.zeros((1, 1), dtype=np.float32), weight=0.5, temperature=2.0)
        >>> hook = DistillationHook(BinaryCrossEntropy(), teacher)
        >>> round(hook({"logits": torch.zeros(1, 1)}, torch.tensor([[1.0, 0.0]])).item(), 3)  # (0.5 + 0.5 * 4) log 2
        1.733
    """

    def __init__(self, loss: MultiLabelLoss, teacher: Teacher) -> None:
        self._weight, self._temperature = teacher.weight, teacher.temperature
        self._hard = loss.for_trainer()
        self._soft = BinaryCrossEntropy(reduction=loss.reduction).for_trainer()

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Return the loss of a batch; the arguments are those of a Trainer."""
        logits = outputs["logits"]
        n_labels = logits.shape[-1]
        if labels.shape[-1] == n_labels:
            return self._hard(outputs, labels, num_items_in_batch)
        targets, teacher = labels[:, :n_labels], labels[:, n_labels:]
        count = None if num_items_in_batch is None else num_items_in_batch // 2  # Trainer counted the logits too
        soft = self._soft(logits / self._temperature, torch.sigmoid(teacher / self._temperature), count)
        hard = self._hard(logits, targets, count)
        return (1 - self._weight) * hard + self._weight * self._temperature**2 * soft
