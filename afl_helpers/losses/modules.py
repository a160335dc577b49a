"""The losses as modules: parameters checked once, kept as buffers, and a hook for transformers' Trainer."""

from collections.abc import Callable

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from afl_helpers.errors import UsageError
from afl_helpers.gamma import class_gamma
from afl_helpers.losses.functional import (
    REDUCTIONS,
    binary_cross_entropy,
    check_shape,
    focal_loss,
    reduce_loss,
    unknown_name,
)


class MultiLabelLoss(nn.Module):
    """A loss of logits and targets, both (batch, n_labels); subclasses define :meth:`elements`."""

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        if reduction not in REDUCTIONS:
            raise unknown_name("reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each element, (batch, n_labels), float32 or better."""
        raise NotImplementedError

    def forward(
        self, logits: Tensor, targets: Tensor, mask: Tensor | None = None, reduction: str | None = None
    ) -> Tensor:
        """The reduced loss; ``mask`` and ``reduction`` as in :func:`~afl_helpers.losses.functional.reduce_loss`."""
        if mask is not None:
            check_shape("mask", mask, logits)
            check_shape("targets", targets, logits)
            # Before the loss, so that a masked NaN reaches neither the loss nor the gradient.
            logits, targets = (torch.where(mask.bool(), values, 0.0) for values in (logits, targets))
        return reduce_loss(self.elements(logits, targets), reduction or self.reduction, mask)

    def for_trainer(self) -> Callable[..., Tensor]:
        """This loss as ``compute_loss_func`` of a transformers ``Trainer``.

        Trainer does not divide by the number of accumulation steps where such a function is set, and multiplies by
        the number of processes. It passes ``num_items_in_batch``, the number of label entries in the whole batch over
        all steps and processes, and dividing by it gives the same gradient however the batch is cut up.
        """
        if self.reduction == "none":
            raise UsageError('reduction is "none"; a Trainer needs one number: "mean", "sum" or "sum_over_classes"')

        def compute_loss(outputs, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
            logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
            elements = self.elements(logits, labels)
            if num_items_in_batch is None or self.reduction == "sum":
                return reduce_loss(elements, self.reduction)
            if isinstance(num_items_in_batch, Tensor):
                num_items_in_batch = num_items_in_batch.to(elements.device)
            n_counted = num_items_in_batch if self.reduction == "mean" else num_items_in_batch / labels.shape[-1]
            return elements.sum() / n_counted

        return compute_loss

    def _apply(self, fn, recurse=True):
        # .half() on a model that holds this loss must not turn a gamma of 1e5 into infinity.
        exact = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, moved in self.named_buffers(recurse=False):
            if moved.dtype in (torch.float16, torch.bfloat16):
                setattr(self, name, exact[name].to(moved.device))
        return self

    def _set_per_class(self, name: str, value: ArrayLike | Tensor | None, upper: float = float("inf")) -> None:
        """Register ``value``, a number or one number per label in [0, upper], as a float64 buffer."""
        if value is not None:
            value = torch.as_tensor(value, dtype=torch.float64).detach().clone()
            if value.ndim > 1:
                raise UsageError(f"{name} has shape {tuple(value.shape)}; pass one number or shape (n_labels,)")
            if not value.isfinite().all() or (value < 0).any() or (value > upper).any():
                limit = "at least 0" if upper == float("inf") else f"in [0, {upper:g}]"
                raise UsageError(f"{name} is {value.tolist()}; every value must be finite and {limit}")
        self.register_buffer(name, value)


class BinaryCrossEntropy(MultiLabelLoss):
    """Binary cross-entropy with a sigmoid per label; the baseline of the paper."""

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        return binary_cross_entropy(logits, targets, reduction="none")


class FocalLoss(MultiLabelLoss):
    """Focal loss, Eq. 1 (Lin et al., ICCV 2017): ``-alpha_t (1 - p_t)^gamma log p_t``.

    Args:
        gamma: number or (n_labels,), at least 0; 0 is binary cross-entropy.
        alpha: number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.
    """

    def __init__(self, gamma: ArrayLike = 2.0, alpha: ArrayLike | None = None, reduction: str = "mean"):
        super().__init__(reduction)
        self._set_per_class("gamma", gamma)
        self._set_per_class("alpha", alpha, upper=1.0)

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        negative = None if self.alpha is None else 1 - self.alpha
        return focal_loss(logits, targets, self.gamma, self.alpha, alpha_negative=negative, reduction="none")

    def extra_repr(self) -> str:
        return f"gamma={self.gamma.tolist()}, alpha={None if self.alpha is None else self.alpha.tolist()}"


class AdaptiveFocalLoss(MultiLabelLoss):
    """Adaptive focal loss, Eq. 3: ``-alpha_c (1 - p_t)^gamma_c log p_t`` with a gamma per class.

    Args:
        gamma: number or (n_labels,), at least 0; usually from :func:`afl_helpers.gamma.class_gamma`.
        alpha: number or (n_labels,) in [0, 1], Eq. 3's weight of a class: it multiplies positives and negatives alike.
            The paper leaves it unstated; None is 1.
        gamma_negative: as ``gamma``, for the negatives alone; None uses ``gamma`` for both, as Eq. 3 does.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`; ``"sum_over_classes"`` is Eq. 3 itself.
    """

    def __init__(
        self,
        gamma: ArrayLike,
        alpha: ArrayLike | None = None,
        gamma_negative: ArrayLike | None = None,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self._set_per_class("gamma", gamma)
        self._set_per_class("alpha", alpha, upper=1.0)
        self._set_per_class("gamma_negative", gamma_negative)

    @classmethod
    def from_counts(
        cls,
        label_counts: ArrayLike,
        n_documents: int,
        base_gamma: float = 2.0,
        normalization: str = "mean",
        bounds: tuple[float, float] | None = (0.5, 5.0),
        **params,
    ) -> "AdaptiveFocalLoss":
        """The loss with :func:`~afl_helpers.gamma.class_gamma` of these training counts (Eq. 2)."""
        return cls(class_gamma(label_counts, n_documents, base_gamma, normalization, bounds), **params)

    def elements(self, logits: Tensor, targets: Tensor) -> Tensor:
        return focal_loss(logits, targets, self.gamma, self.alpha, self.gamma_negative, self.alpha, reduction="none")

    def extra_repr(self) -> str:
        low, high = self.gamma.min().item(), self.gamma.max().item()
        return f"gamma in [{low:.4g}, {high:.4g}], n_labels={self.gamma.numel()}"
