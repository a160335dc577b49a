"""The losses as modules: parameters checked once, kept as buffers, and a hook for transformers' Trainer."""

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.gamma import check_counts, class_gamma, positive_gradient
from afl_helpers.losses.cpu_kernel import in_trace
from afl_helpers.losses.functional import (
    REDUCTIONS,
    asymmetric_loss,
    asymmetric_polynomial_loss,
    binary_cross_entropy,
    check_hard,
    distribution_balanced_loss,
    flsd_loss,
    focal_loss,
    ldam_loss,
    rebalancing_weight,
    robust_asymmetric_loss,
)


class MultiLabelLoss(nn.Module):
    """A loss of logits and targets, both (batch, n_labels); subclasses define :meth:`compute`.

    Args:
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: an unknown reduction.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import MultiLabelLoss, reduce_loss
        >>> class Hinge(MultiLabelLoss):
        ...     def compute(self, logits, targets, mask, reduction):
        ...         return reduce_loss(torch.relu(1 - (2 * targets - 1) * logits), reduction, mask)
        >>> Hinge()(torch.tensor([[2.0, 2.0]]), torch.tensor([[1.0, 0.0]])).item()  # 0 for the positive, 3 for the other
        1.5
    """

    #: Whether the loss changes from epoch to epoch; its state must then be saved with a checkpoint.
    stateful = False

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        if reduction not in REDUCTIONS:
            raise unknown_name("reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        """The reduced loss, float32 or better."""
        raise NotImplementedError

    def forward(
        self, logits: Tensor, targets: Tensor, mask: Tensor | None = None, reduction: str | None = None
    ) -> Tensor:
        """The reduced loss.

        Args:
            logits: (batch, n_labels) floating point.
            targets: (batch, n_labels) in [0, 1]; 0 or 1 where the loss takes no soft targets.
            mask: (batch, n_labels) or None, see :func:`~afl_helpers.losses.functional.reduce_loss`.
            reduction: in place of the loss's own; None keeps that.

        Returns:
            A scalar, or (batch, n_labels) where the reduction is ``"none"``.

        Raises:
            UsageError: shapes do not fit, integer logits, an unknown reduction, or a target that the loss does not take.
        """
        return self.compute(logits, targets, mask, reduction or self.reduction)

    def for_trainer(self) -> Callable[..., Tensor]:
        """This loss as ``compute_loss_func`` of a transformers ``Trainer``.

        Trainer does not divide by the number of accumulation steps where such a function is set, and multiplies by
        the number of processes. It passes ``num_items_in_batch``, the number of label entries in the whole batch over
        all steps and processes, and dividing by it gives the same gradient however the batch is cut up. This holds
        for Trainer's default, ``average_tokens_across_devices=True``. Labels of -100 do not stand for "unknown" here:
        call the loss with a mask instead.

        Returns:
            A function of (outputs, labels, num_items_in_batch) to a scalar; labels are (batch, n_labels).

        Raises:
            UsageError: the loss's reduction is ``"none"``.

        Example:
            >>> import torch
            >>> from afl_helpers.losses import BinaryCrossEntropy
            >>> hook = BinaryCrossEntropy().for_trainer()  # for Trainer(compute_loss_func=hook)
            >>> outputs, labels = {"logits": torch.zeros(1, 2)}, torch.tensor([[1.0, 0.0]])
            >>> round(hook(outputs, labels, num_items_in_batch=4).item(), 4)  # half of a batch of 4 entries: log 2 / 2
            0.3466
        """
        if self.reduction == "none":
            raise UsageError('reduction is "none"; a Trainer needs one number: "mean", "sum" or "sum_over_classes"')

        def compute_loss(outputs, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
            logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
            if num_items_in_batch is None:
                return self(logits, labels)
            # Under nn.DataParallel there is one count a replica, all alike, and Trainer multiplies by their number.
            counts = torch.as_tensor(num_items_in_batch, device=logits.device).reshape(-1)
            divisor = {"mean": counts[0], "sum_over_classes": counts[0] / labels.shape[-1], "sum": 1}[self.reduction]
            return self(logits, labels, reduction="sum") / (divisor * len(counts))

        return compute_loss

    def end_epoch(self) -> None:
        """Called after each epoch by whoever trains; a loss with a state moves it here."""

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


def clip_counts(label_counts: ArrayLike, n_documents: int) -> np.ndarray:
    """Counts that every weight of this module can be taken of, (n_labels,) float64.

    A label that no document has counts as one document, a label that every document has as all but one: weights, log
    odds and inverse frequencies stay finite.
    """
    counts = check_counts(label_counts, n_documents)
    return np.clip(counts, min(1.0, n_documents / 2), max(n_documents - 1.0, n_documents / 2))


def effective_number_weight(label_counts: ArrayLike, n_documents: int, beta: float) -> np.ndarray:
    """``(1 - beta) / (1 - beta^n_c)``, the inverse effective number of documents (Cui et al., CVPR 2019, Eq. 2)."""
    _check_range("beta", beta, 0.0, 1.0, open_above=True)
    counts = clip_counts(label_counts, n_documents)
    return (1 - beta) / -np.expm1(counts * np.log(beta)) if beta else np.ones_like(counts)


def _check_range(name: str, value: float, low: float, high: float = math.inf, open_above: bool = False) -> None:
    """An error unless ``value`` is one finite number in the range."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not low <= value <= high or (open_above and value == high):
        limit = f"at least {low:g}" if math.isinf(high) else f"in [{low:g}, {high:g}{')' if open_above else ']'}"
        raise UsageError(f"{name} is {value!r}; pass a finite number {limit}")


# --- cross-entropy --------------------------------------------------------------------------------------------------


class BinaryCrossEntropy(MultiLabelLoss):
    """Binary cross-entropy with a sigmoid per label; the baseline of the paper.

    Args:
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: an unknown reduction.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import BinaryCrossEntropy
        >>> loss = BinaryCrossEntropy()
        >>> logits, targets = torch.tensor([[0.0, 9.0]]), torch.tensor([[1.0, 0.0]])
        >>> round(loss(logits, targets, mask=torch.tensor([[True, False]])).item(), 4)  # the 9 is left out: log 2
        0.6931
    """

    def compute(self, logits, targets, mask, reduction):
        return binary_cross_entropy(logits, targets, mask=mask, reduction=reduction)


class WeightedBinaryCrossEntropy(MultiLabelLoss):
    """Binary cross-entropy whose positives weigh more: ``-w_c y log p - (1 - y) log(1 - p)``.

    Args:
        pos_weight: number or (n_labels,), at least 0.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> from afl_helpers.losses import WeightedBinaryCrossEntropy
        >>> WeightedBinaryCrossEntropy.from_counts([50, 10], n_documents=100).pos_weight.tolist()  # 50 / 50, 90 / 10
        [1.0, 9.0]
        >>> WeightedBinaryCrossEntropy.from_counts([50, 10], n_documents=100, cap=5.0).pos_weight.tolist()
        [1.0, 5.0]
    """

    def __init__(self, pos_weight: ArrayLike, reduction: str = "mean"):
        super().__init__(reduction)
        self._set_per_class("pos_weight", pos_weight)

    @classmethod
    def from_counts(
        cls, label_counts: ArrayLike, n_documents: int, cap: float | None = None, reduction: str = "mean"
    ) -> "WeightedBinaryCrossEntropy":
        """The positive weight ``(n_documents - n_c) / n_c``, with which both signs of a label weigh the same.

        Args:
            label_counts, n_documents: of the training documents; counts are taken as in
                :func:`~afl_helpers.losses.modules.clip_counts`.
            cap: largest weight, above 0; None sets no limit.
            reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

        Returns:
            The loss.

        Raises:
            UsageError: counts cannot be, a parameter is out of its range or shape, or the reduction is unknown.
        """
        counts = clip_counts(label_counts, n_documents)
        weight = (n_documents - counts) / counts
        if cap is not None:
            _check_range("cap", cap, 0.0)
            weight = np.minimum(weight, cap)
        return cls(weight, reduction)

    def compute(self, logits, targets, mask, reduction):
        return binary_cross_entropy(logits, targets, self.pos_weight, mask=mask, reduction=reduction)


class ClassBalancedLoss(MultiLabelLoss):
    """Focal loss (cross-entropy at gamma 0) times a weight per class, for positives and negatives alike.

    Args:
        weight: number or (n_labels,), at least 0.
        gamma: number or (n_labels,), at least 0; 0 is binary cross-entropy.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> from afl_helpers.losses import ClassBalancedLoss
        >>> loss = ClassBalancedLoss.from_counts([2, 1], n_documents=10, beta=0.5)  # 0.5 / (1 - 0.5^n): 2/3 and 1
        >>> [round(weight, 4) for weight in loss.weight.tolist()]  # over their mean, 5/6
        [0.8, 1.2]
    """

    def __init__(self, weight: ArrayLike, gamma: ArrayLike = 0.0, reduction: str = "mean"):
        super().__init__(reduction)
        self._set_per_class("weight", weight)
        self._set_per_class("gamma", gamma)

    @classmethod
    def from_counts(
        cls,
        label_counts: ArrayLike,
        n_documents: int,
        beta: float = 0.999,
        gamma: ArrayLike = 0.0,
        reduction: str = "mean",
    ) -> "ClassBalancedLoss":
        """The inverse effective number of documents of each class, scaled to a mean of 1 over the labels.

        Args:
            label_counts, n_documents: of the training documents; counts are taken as in
                :func:`~afl_helpers.losses.modules.clip_counts`.
            beta: in [0, 1); 0 weighs all labels alike, near 1 the weight is the inverse frequency. Huang et al. (2021)
                use 0.9.
            gamma: number or (n_labels,), at least 0; 0 is binary cross-entropy.
            reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

        Returns:
            The loss.

        Raises:
            UsageError: counts cannot be, a parameter is out of its range or shape, or the reduction is unknown.
        """
        weight = effective_number_weight(label_counts, n_documents, beta)
        return cls(weight / weight.mean(), gamma, reduction)

    def compute(self, logits, targets, mask, reduction):
        return focal_loss(logits, targets, self.gamma, self.weight, None, self.weight, mask=mask, reduction=reduction)


# --- the focal family -----------------------------------------------------------------------------------------------


class FocalLoss(MultiLabelLoss):
    """Focal loss, Eq. 1 (Lin et al., ICCV 2017): ``-alpha_t (1 - p_t)^gamma log p_t``.

    Args:
        gamma: number or (n_labels,), at least 0; 0 is binary cross-entropy.
        alpha: number or (n_labels,) in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import BinaryCrossEntropy, FocalLoss
        >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
        >>> losses = BinaryCrossEntropy(), FocalLoss(gamma=0.0), FocalLoss(gamma=2.0)
        >>> [round(loss(logits, targets).item(), 4) for loss in losses]  # log 2, the same, and a quarter of it
        [0.6931, 0.6931, 0.1733]
    """

    def __init__(self, gamma: ArrayLike = 2.0, alpha: ArrayLike | None = None, reduction: str = "mean"):
        super().__init__(reduction)
        self._set_per_class("gamma", gamma)
        self._set_per_class("alpha", alpha, upper=1.0)

    def compute(self, logits, targets, mask, reduction):
        negative = None if self.alpha is None else 1 - self.alpha
        return focal_loss(logits, targets, self.gamma, self.alpha, None, negative, mask=mask, reduction=reduction)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma.tolist()}, alpha={None if self.alpha is None else self.alpha.tolist()}"


class AdaptiveFocalLoss(MultiLabelLoss):
    """Adaptive focal loss, Eq. 3: ``-alpha_c (1 - p_t)^gamma_c log p_t`` with a gamma per class.

    A class whose gamma is so large that its gradient vanishes at the first batch's logits is reported, once, as a warning.

    Args:
        gamma: number or (n_labels,), at least 0; usually from :func:`afl_helpers.gamma.class_gamma`.
        alpha: number or (n_labels,) in [0, 1], Eq. 3's weight of a class: it multiplies positives and negatives alike.
            The paper leaves it unstated; None is 1.
        gamma_negative: as ``gamma``, for the negatives alone; None uses ``gamma`` for both, as Eq. 3 does.
        rescale_by: the base gamma by which Equalized Focal Loss (Li et al., CVPR 2022) makes up for what a larger gamma
            takes away: the loss is multiplied by ``gamma / rescale_by``. None, as in Eq. 3, does not.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`; ``"sum_over_classes"`` is Eq. 3 itself.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AdaptiveFocalLoss
        >>> loss = AdaptiveFocalLoss.from_counts([100, 40, 10], n_documents=200)
        >>> loss.gamma.tolist()  # the rarest label is at the upper bound
        [1.0, 2.5, 5.0]
        >>> torch.round(loss(torch.zeros(1, 3), torch.ones(1, 3), reduction="none"), decimals=4)  # log 2 / 2^gamma
        tensor([[0.3466, 0.1225, 0.0217]])
    """

    def __init__(
        self,
        gamma: ArrayLike,
        alpha: ArrayLike | None = None,
        gamma_negative: ArrayLike | None = None,
        rescale_by: float | None = None,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self._set_per_class("gamma", gamma)
        self._set_per_class("alpha", alpha, upper=1.0)
        self._set_per_class("gamma_negative", gamma_negative)
        if rescale_by is not None and not rescale_by > 0:
            raise UsageError(f"rescale_by is {rescale_by}; pass the base gamma, above 0, or None")
        self.rescale_by = rescale_by
        self._checked = False

    @classmethod
    def from_counts(
        cls,
        label_counts: ArrayLike,
        n_documents: int,
        base_gamma: float = 2.0,
        normalization: str = "mean",
        bounds: tuple[float, float] | None = (0.5, 5.0),
        rescale: bool = False,
        **params,
    ) -> "AdaptiveFocalLoss":
        """The loss with :func:`~afl_helpers.gamma.class_gamma` of these training counts (Eq. 2).

        Args:
            label_counts, n_documents, base_gamma, normalization, bounds: see :func:`~afl_helpers.gamma.class_gamma`.
            rescale: multiply the loss of a class by ``gamma_c / base_gamma``, as Equalized Focal Loss does.
            params: further parameters of the class.

        Returns:
            The loss.

        Raises:
            UsageError: counts cannot be, an unknown reading, a parameter is out of its range or shape, or an unknown
                reduction.
        """
        gamma = class_gamma(label_counts, n_documents, base_gamma, normalization, bounds)
        return cls(gamma, rescale_by=base_gamma if rescale else None, **params)

    def compute(self, logits, targets, mask, reduction):
        weight = self.alpha
        if self.rescale_by is not None:
            scale = self.gamma / self.rescale_by
            weight = scale if weight is None else weight * scale
        loss = focal_loss(
            logits, targets, self.gamma, weight, self.gamma_negative, weight, mask=mask, reduction=reduction
        )
        if not self._checked and logits.requires_grad and not in_trace():
            self._checked = True
            self._warn_of_vanishing(logits.detach())
        return loss

    def _warn_of_vanishing(self, logits: Tensor) -> None:
        """Warn of classes that cannot train from where they start: their positives have no gradient to speak of.

        The start is the mean logit of the class in the first batch, at most 0. A gradient that Adam's epsilon of 1e-8
        cuts to a hundredth, or that the logits' precision cannot hold, counts as none.
        """
        if not logits.numel():
            return
        start = logits.double().reshape(-1, logits.shape[-1]).mean(0).nan_to_num().clamp(max=0).cpu().numpy()
        gradient = positive_gradient(self.gamma.double().cpu().numpy(), start)
        limit = max(1e-10, torch.finfo(logits.dtype).smallest_normal * torch.finfo(logits.dtype).eps)
        lost = gradient < limit
        if lost.any():
            gamma = np.broadcast_to(self.gamma.cpu().numpy(), lost.shape)[lost]
            warnings.warn(
                f"{lost.sum()} of {lost.size} classes have a gamma (from {gamma.min():.3g} to {gamma.max():.3g}) at which a"
                f" positive has a gradient below {limit:.0e} at the first batch's logits: they will not train. Start the"
                " bias at the class priors (prior_bias=True), or keep gamma within bounds, such as (0.5, 5.0).",
                stacklevel=2,
            )

    def extra_repr(self) -> str:
        low, high = self.gamma.min().item(), self.gamma.max().item()
        return f"gamma in [{low:.4g}, {high:.4g}], n_labels={self.gamma.numel()}"


class SampleDependentFocalLoss(MultiLabelLoss):
    """Focal loss whose gamma follows the sample (FLSD-53, Mukhoti et al., NeurIPS 2020), one sigmoid per label.

    Args:
        gamma: number, at least 0: where p_t is above both limits.
        gammas: two numbers, at least 0: below the first limit, and from the first to the second.
        limits: two values of p_t in (0, 1), in order.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import FocalLoss, SampleDependentFocalLoss
        >>> logits, targets = torch.logit(torch.tensor([[0.1, 0.3]])), torch.ones(1, 2)
        >>> losses = SampleDependentFocalLoss(), FocalLoss(gamma=[5.0, 3.0])  # gamma is 5 below p_t = 0.2, then 3
        >>> [round(loss(logits, targets).item(), 4) for loss in losses]
        [0.8863, 0.8863]
    """

    def __init__(
        self,
        gamma: float = 3.0,
        gammas: tuple[float, float] = (5.0, 3.0),
        limits: tuple[float, float] = (0.2, 0.5),
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        for name, value in (("gamma", gamma), ("gammas[0]", gammas[0]), ("gammas[1]", gammas[1])):
            _check_range(name, value, 0.0)
        if not 0 < limits[0] <= limits[1] < 1:
            raise UsageError(f"limits is {limits}; pass (lower, upper) with 0 < lower <= upper < 1")
        self.gamma, self.gammas, self.limits = gamma, tuple(gammas), tuple(limits)

    def compute(self, logits, targets, mask, reduction):
        return flsd_loss(logits, targets, self.gamma, self.gammas, self.limits, mask=mask, reduction=reduction)


# --- the asymmetric family ------------------------------------------------------------------------------------------


class AsymmetricLoss(MultiLabelLoss):
    """Asymmetric loss (ASL, Ridnik et al., ICCV 2021): focal loss with its own gamma for negatives, and a margin.

    Args:
        gamma_positive: number or (n_labels,), at least 0.
        gamma_negative: number or (n_labels,), at least 0.
        margin: in [0, 1): a negative with p below it has neither loss nor gradient.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AsymmetricLoss
        >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])  # a positive and a negative with p = 1 / 2
        >>> torch.round(AsymmetricLoss()(logits, targets, reduction="none"), decimals=4)  # log 2 and -0.45^4 log 0.55
        tensor([[0.6931, 0.0245]])
    """

    def __init__(
        self,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        _check_range("margin", margin, 0.0, 1.0, open_above=True)
        self.margin = margin
        self._set_per_class("gamma_positive", gamma_positive)
        self._set_per_class("gamma_negative", gamma_negative)

    def compute(self, logits, targets, mask, reduction):
        return asymmetric_loss(
            logits, targets, self.gamma_positive, self.gamma_negative, self.margin, mask=mask, reduction=reduction
        )


class AsymmetricPolynomialLoss(AsymmetricLoss):
    """Asymmetric polynomial loss (APL, Huang et al., ICASSP 2023).

    Args:
        gamma_positive: number or (n_labels,), at least 0.
        gamma_negative: number or (n_labels,), at least 0; neither focusing weight is differentiated.
        margin: in [0, 1): a negative with p below it has neither loss nor gradient.
        epsilon_1: coefficient of (1 - p) in the positive part.
        epsilon_2: twice the coefficient of (1 - p)^2 in the positive part.
        epsilon_negative: coefficient of (1 - p_m) in the negative part.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AsymmetricPolynomialLoss
        >>> logits = torch.zeros(1, 1, requires_grad=True)
        >>> AsymmetricPolynomialLoss(gamma_positive=2.0, epsilon_1=0.0, epsilon_2=0.0)(logits, torch.ones(1, 1)).backward()
        >>> round(logits.grad.item(), 4)  # cross-entropy's -1/2 times the constant (1 - 1/2)^2; focal loss has -0.2983
        -0.125
    """

    _function = staticmethod(asymmetric_polynomial_loss)

    def __init__(
        self,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        epsilon_1: float = 1.0,
        epsilon_2: float = -2.5,
        epsilon_negative: float = 0.0,
        reduction: str = "mean",
    ):
        super().__init__(gamma_positive, gamma_negative, margin, reduction)
        for name, value in (("epsilon_1", epsilon_1), ("epsilon_2", epsilon_2), ("epsilon_negative", epsilon_negative)):
            _check_range(name, value, -math.inf)
        self.epsilon_1, self.epsilon_2, self.epsilon_negative = epsilon_1, epsilon_2, epsilon_negative

    def _params(self) -> tuple:
        return (
            self.gamma_positive,
            self.gamma_negative,
            self.margin,
            self.epsilon_1,
            self.epsilon_2,
            self.epsilon_negative,
        )

    def compute(self, logits, targets, mask, reduction):
        return self._function(logits, targets, *self._params(), mask=mask, reduction=reduction)


class RobustAsymmetricLoss(AsymmetricPolynomialLoss):
    """Robust asymmetric loss (RAL, Park et al., ICCVW 2023): APL whose negatives carry the factor of the Hill loss.

    Args:
        gamma_positive: number or (n_labels,), at least 0.
        gamma_negative: number or (n_labels,), at least 0.
        margin: in [0, 1): a negative with p below it has neither loss nor gradient.
        epsilon_1: coefficient of (1 - p) in the positive part.
        epsilon_2: twice the coefficient of (1 - p)^2 in the positive part.
        epsilon_negative: coefficient of (1 - p_m) in the negative part.
        lambda_: at least 1; the negative part is multiplied by ``(lambda_ - p) p^2 (lambda_ - (1 - p_m))``.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AsymmetricLoss, RobustAsymmetricLoss
        >>> logits, targets = torch.tensor([[8.0]]), torch.zeros(1, 1)  # a negative with p near 1: perhaps mislabelled
        >>> losses = AsymmetricLoss(margin=0.0), RobustAsymmetricLoss(margin=0.0, lambda_=1.0)
        >>> [round(loss(logits, targets).item(), 3) for loss in losses]
        [7.99, 0.003]
    """

    _function = staticmethod(robust_asymmetric_loss)

    def __init__(
        self,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        epsilon_1: float = 1.0,
        epsilon_2: float = -2.5,
        epsilon_negative: float = 0.0,
        lambda_: float = 1.5,
        reduction: str = "mean",
    ):
        super().__init__(gamma_positive, gamma_negative, margin, epsilon_1, epsilon_2, epsilon_negative, reduction)
        _check_range("lambda_", lambda_, 1.0)
        self.lambda_ = lambda_

    def _params(self) -> tuple:
        return *super()._params(), self.lambda_


class WeightedAsymmetricLoss(AsymmetricLoss):
    """Weighted asymmetric loss, our construction after Yasuda et al. (2024), whose text could not be reached.

    The three parts that its abstract names: a weight by label frequency, the asymmetric suppression of negatives, and labels
    smoothed by co-occurrence. For a document with labels J the target of label c is
    ``(1 - smoothing) y_c + smoothing * mean over j in J of P(c | j)``; a document without labels keeps its zeros.

    Args:
        label_counts: (n_labels,) counts on the training documents.
        n_documents: number of training documents.
        gamma_positive: number or (n_labels,), at least 0.
        gamma_negative: number or (n_labels,), at least 0.
        margin: in [0, 1): the negative part of a label with p below it has neither loss nor gradient.
        power: at least 0; a class weighs n_c^-power, scaled to a mean of 1 over the labels.
        smoothing: in [0, 1]; 0 leaves the targets as they are.
        cooccurrence: (n_labels, n_labels) number of training documents with both labels, from which P(c | j) is taken; None
            takes labels as independent, P(c | j) = n_c / N.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: counts cannot be, a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> from afl_helpers.losses import WeightedAsymmetricLoss
        >>> loss = WeightedAsymmetricLoss([100, 25], n_documents=200)
        >>> [round(weight, 4) for weight in loss.weight.tolist()]  # 1 / 10 and 1 / 5, over their mean
        [0.6667, 1.3333]
    """

    def __init__(
        self,
        label_counts: ArrayLike,
        n_documents: int,
        gamma_positive: ArrayLike = 0.0,
        gamma_negative: ArrayLike = 4.0,
        margin: float = 0.05,
        power: float = 0.5,
        smoothing: float = 0.1,
        cooccurrence: ArrayLike | None = None,
        reduction: str = "mean",
    ):
        super().__init__(gamma_positive, gamma_negative, margin, reduction)
        _check_range("power", power, 0.0)
        _check_range("smoothing", smoothing, 0.0, 1.0)
        counts = clip_counts(label_counts, n_documents)
        self.smoothing = smoothing
        weight = (counts / counts.max()) ** -power
        self._set_per_class("weight", weight / weight.mean())
        self._set_per_class("rate", counts / n_documents)
        conditional = None
        if cooccurrence is not None:
            shared, single = np.asarray(cooccurrence, dtype=np.float64), np.asarray(label_counts, dtype=np.float64)
            if shared.shape != (len(counts), len(counts)):
                raise UsageError(
                    f"cooccurrence has shape {shared.shape}, label_counts {len(counts)} labels; "
                    f"pass shape ({len(counts)}, {len(counts)})"
                )
            if not ((shared >= 0) & (shared <= single[:, None])).all():
                raise UsageError(
                    "cooccurrence holds more documents with both labels than with the first, or a negative number; "
                    "both must be counted on the same documents"
                )
            conditional = torch.from_numpy(shared / np.maximum(single, 1.0)[:, None])
            conditional.fill_diagonal_(1.0)
        self.register_buffer("conditional", conditional)

    def compute(self, logits, targets, mask, reduction):
        check_hard(targets if mask is None else torch.where(mask.bool(), targets, 0), "weighted asymmetric loss")
        return asymmetric_loss(
            logits,
            self._smooth(targets, mask),
            self.gamma_positive,
            self.gamma_negative,
            self.margin,
            weight=self.weight,
            mask=mask,
            reduction=reduction,
        )

    def _smooth(self, targets: Tensor, mask: Tensor | None) -> Tensor:
        if not self.smoothing or targets.shape[-1:] != self.rate.shape:
            return targets
        hard = targets.to(self.rate)
        if mask is not None:
            hard = torch.where(mask.bool(), hard, 0.0)
        n_labels = hard.sum(-1, keepdim=True)
        independent = self.conditional is None
        expected = (n_labels - hard) * self.rate + hard if independent else hard @ self.conditional
        return (1 - self.smoothing) * hard + self.smoothing * expected / n_labels.clamp(min=1)


# --- margins and rebalancing ----------------------------------------------------------------------------------------


class LDAMLoss(MultiLabelLoss):
    """Label-distribution-aware margins, our sigmoid form of Cao et al. (NeurIPS 2019).

    Args:
        margin: number or (n_labels,), at least 0: by how much a positive's logit must clear the boundary.
        scale: factor on the logits, above 0.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> from afl_helpers.losses import LDAMLoss
        >>> loss = LDAMLoss.from_counts([160, 10], n_documents=1000)
        >>> [round(margin, 4) for margin in loss.margin.tolist()]  # 16 times as rare: twice the margin
        [0.25, 0.5]
    """

    def __init__(self, margin: ArrayLike, scale: float = 30.0, reduction: str = "mean"):
        super().__init__(reduction)
        _check_range("scale", scale, math.ulp(0.0))
        self.scale = scale
        self._set_per_class("margin", margin)

    @classmethod
    def from_counts(
        cls,
        label_counts: ArrayLike,
        n_documents: int,
        max_margin: float = 0.5,
        scale: float = 30.0,
        reduction: str = "mean",
    ) -> "LDAMLoss":
        """Margins ``max_margin n_c^(-1/4) / max_j n_j^(-1/4)``.

        Args:
            label_counts, n_documents: of the training documents; counts are taken as in
                :func:`~afl_helpers.losses.modules.clip_counts`.
            max_margin: margin of the rarest class, at least 0.
            scale: factor on the logits, above 0.
            reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

        Returns:
            The loss.

        Raises:
            UsageError: counts cannot be, a parameter is out of its range or shape, or the reduction is unknown.
        """
        _check_range("max_margin", max_margin, 0.0)
        counts = clip_counts(label_counts, n_documents)
        return cls(max_margin * (counts / counts.min()) ** -0.25, scale, reduction)

    def compute(self, logits, targets, mask, reduction):
        return ldam_loss(logits, targets, self.margin, self.scale, mask=mask, reduction=reduction)


class DistributionBalancedLoss(MultiLabelLoss):
    """Distribution-balanced loss (Wu et al., ECCV 2020) and its ablations, as BalancedLossNLP's code has them.

    Args:
        label_counts: (n_labels,) counts on the training documents, taken as in
            :func:`~afl_helpers.losses.modules.clip_counts`.
        n_documents: number of training documents.
        gamma: at least 0, of the focal loss at its core.
        alpha: in [0, 1]: positives weigh alpha, negatives 1 - alpha; None weighs both 1.
        weight_floor: at least 0, weight of an element whose document is repeated for its other labels.
        weight_slope: above 0, steepness of the weight; None leaves the rebalancing weight out.
        weight_center: relative repetition at which the weight is half-way (0.9 for Reuters, 0.05 for PubMed in Huang et al.).
        beta: in [0, 1), of a class-balanced weight instead; None for none.
        prior_shift: at least 0; each logit starts from its label's log odds times this.
        negative_scale: above 0; logits of negatives are multiplied by it, their loss divided.
        reduction: see :func:`~afl_helpers.losses.functional.reduce_loss`.

    Raises:
        UsageError: counts cannot be, a parameter is out of its range or shape, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import DistributionBalancedLoss
        >>> loss = DistributionBalancedLoss([90, 10], n_documents=100, gamma=0.0, alpha=None, prior_shift=0.0)
        >>> elements = loss(torch.zeros(1, 2), torch.ones(1, 2), reduction="none")  # a document with both labels
        >>> torch.round(elements, decimals=4)  # log 2 times 0.1003 and 0.6: it is repeated for the rare one
        tensor([[0.0695, 0.4159]])
    """

    def __init__(
        self,
        label_counts: ArrayLike,
        n_documents: int,
        gamma: float = 2.0,
        alpha: float | None = 0.5,
        weight_floor: float = 0.1,
        weight_slope: float | None = 10.0,
        weight_center: float = 0.9,
        beta: float | None = None,
        prior_shift: float = 0.05,
        negative_scale: float = 2.0,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        _check_range("gamma", gamma, 0.0)
        if alpha is not None:
            _check_range("alpha", alpha, 0.0, 1.0)
        _check_range("weight_floor", weight_floor, 0.0)
        _check_range("weight_center", weight_center, -math.inf)
        if weight_slope is not None:
            _check_range("weight_slope", weight_slope, math.ulp(0.0))
        _check_range("prior_shift", prior_shift, 0.0)
        _check_range("negative_scale", negative_scale, math.ulp(0.0))
        counts = clip_counts(label_counts, n_documents)
        self.gamma, self.alpha, self.negative_scale = gamma, alpha, negative_scale
        self.weight_floor, self.weight_slope, self.weight_center = weight_floor, weight_slope, weight_center
        self._set_per_class("frequency", counts)
        self.register_buffer("shift", torch.from_numpy(-prior_shift * np.log(n_documents / counts - 1)))
        self._set_per_class(
            "class_weight", None if beta is None else effective_number_weight(label_counts, n_documents, beta)
        )

    def compute(self, logits, targets, mask, reduction):
        weight = self.class_weight
        if self.weight_slope is not None and targets.shape[-1:] == self.frequency.shape:
            known = targets if mask is None else torch.where(mask.bool(), targets, 0)
            weight = rebalancing_weight(known, self.frequency, self.weight_floor, self.weight_slope, self.weight_center)
        return distribution_balanced_loss(
            logits,
            targets,
            self.shift,
            self.negative_scale,
            weight,
            self.gamma,
            self.alpha,
            mask=mask,
            reduction=reduction,
        )
