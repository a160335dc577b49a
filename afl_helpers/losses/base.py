"""What all losses share: the base module, the reduction, all checks, and the form of a registry entry.

This module exceeds 300 lines because every check on an argument is kept here, in one place.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.gamma import check_counts

REDUCTIONS = ("mean", "sum", "sum_over_classes", "none")

#: A parameter of the functions: one number, or a tensor with one number per class.
PerClass = float | Tensor


def reduce_loss(elements: Tensor, reduction: str = "mean", mask: Tensor | None = None) -> Tensor:
    """Reduce the losses of the elements of a batch.

    Args:
        elements: (batch, n_labels).
        reduction: ``"mean"`` over the elements that the mask keeps; ``"sum"``; ``"sum_over_classes"``: sum over the
            labels and mean over the documents (Eq. 3, averaged over the batch); ``"none"``: no reduction.
        mask: (batch, n_labels), False or 0 for an element that does not count. Such an element adds neither loss nor
            gradient. A mean over no elements is 0.

    Returns:
        A scalar, or (batch, n_labels) if ``reduction`` is ``"none"``.

    Raises:
        UsageError: an unknown reduction, or a mask of another shape.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import reduce_loss
        >>> elements = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> reduce_loss(elements).item(), reduce_loss(elements, "sum_over_classes").item()  # 12 / 4 and (3 + 9) / 2
        (3.0, 6.0)
        >>> reduce_loss(elements, mask=torch.tensor([[1, 1], [1, 0]])).item()  # the 6 does not count: 6 / 3
        2.0
    """
    check_reduction(reduction)
    if mask is not None:
        check_shape("mask", mask, elements)
        elements = torch.where(mask.bool(), elements, 0.0)
    if reduction == "none":
        return elements
    if mask is not None and reduction == "mean":
        return elements.sum() / mask.count_nonzero().clamp(min=1)
    return elements.sum() / reduction_divisor(elements, reduction)


def reduction_divisor(elements: Tensor, reduction: str) -> int:
    """Return the number by which a reduction without a mask divides the sum of all elements."""
    return max(1, {"mean": elements.numel(), "sum_over_classes": elements.shape[0], "sum": 1}[reduction])


class MultiLabelLoss(nn.Module):
    """A loss of logits and targets; subclasses define :meth:`compute`.

    What holds for every loss, as a module and as a function:

    - Logits are floating point, (batch, n_labels). Targets have the same shape, any dtype and values in [0, 1]. A soft
      target y costs y times a positive plus 1 - y times a negative; losses that need hard targets refuse it.
    - ``mask`` and ``reduction`` are those of :func:`reduce_loss`. A masked element adds neither loss nor gradient,
      whatever its logit and target.
    - The result is a scalar, or (batch, n_labels) if the reduction is ``"none"``. It is float64 if the logits are, else
      float32: in float16 a sum over some thousand elements would overflow.
    - Loss and gradient are computed in log space without clamps, so they are finite and have the right sign for every
      logit and every gamma of at least 0, provided that gamma times the logit fits in float32.
    - Errors are a ``UsageError``: shapes that do not fit, integer logits, an unknown reduction, a parameter out of its
      range or of another shape, invalid counts, or a target outside [0, 1]. The last is checked on a CPU only, and
      not while a graph is compiled or traced.

    Args:
        reduction: the default reduction.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import MultiLabelLoss, reduce_loss
        >>> class Hinge(MultiLabelLoss):
        ...     def compute(self, logits, targets, mask, reduction):
        ...         return reduce_loss(torch.relu(1 - (2 * targets - 1) * logits), reduction, mask)
        >>> Hinge()(torch.tensor([[2.0, 2.0]]), torch.tensor([[1.0, 0.0]])).item()  # 0 for the positive, else 3
        1.5
    """

    #: Whether the loss changes from epoch to epoch; its state must then be saved with a checkpoint.
    stateful = False
    #: Whether something is known to call :meth:`end_epoch`; the callback of a loss with a state says so.
    epochs_end = False

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        """Return the reduced loss."""
        raise NotImplementedError

    def forward(
        self, logits: Tensor, targets: Tensor, mask: Tensor | None = None, reduction: str | None = None
    ) -> Tensor:
        """Return the reduced loss; ``reduction=None`` uses the loss's default."""
        return self.compute(logits, targets, mask, reduction or self.reduction)

    def for_trainer(self) -> Callable[..., Tensor]:
        """Return this loss as ``compute_loss_func`` of a transformers ``Trainer``.

        When given ``compute_loss_func``, Trainer no longer divides the loss by the number of accumulation steps, but
        does multiply it by the number of processes. It passes ``num_items_in_batch``, the number of label entries in the
        whole batch over all steps and processes. Dividing by it gives the same gradient however the batch is split.
        This holds for Trainer's default, ``average_tokens_across_devices=True``. A label of -100 does not mean
        "unknown" here: call the loss with a mask instead.

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

        def compute_loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
            logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
            if num_items_in_batch is None:
                mean: Tensor = self(logits, labels)
                return mean
            # Under nn.DataParallel there is one count per replica, all equal, and Trainer multiplies by their number.
            counts = torch.as_tensor(num_items_in_batch, device=logits.device).reshape(-1)
            divisors: dict[str, Tensor | int] = {
                "mean": counts[0],
                "sum_over_classes": counts[0] / labels.shape[-1],
                "sum": 1,
            }
            total: Tensor = self(logits, labels, reduction="sum")
            return total / (divisors[self.reduction] * len(counts))

        return compute_loss

    @property
    def posterior_gamma(self) -> Tensor | None:
        """The gamma that maps scores to probabilities, one number or (n_labels,); None if no gamma does.

        It is that of a focal loss with the same gamma and the same weight for positives and negatives. Pass it to
        :func:`afl_helpers.evaluation.posterior_scores`.
        """
        return None

    def end_epoch(self) -> None:
        """Update the state of the loss after an epoch; the training loop calls it. Most losses have no state."""

    def gather(self) -> None:
        """Add up in the first process what all processes recorded in this epoch; every process calls it."""

    def forget_epoch(self) -> None:
        """Discard what was recorded in this epoch."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # .half() on a model that holds this loss must not turn a gamma of 1e5 into infinity.
        exact = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for name, moved in self.named_buffers(recurse=False):
            if moved.dtype in (torch.float16, torch.bfloat16):
                setattr(self, name, exact[name].to(moved.device))
        return self

    def _set_per_class(self, name: str, value: ArrayLike | Tensor | None, upper: float = math.inf) -> None:
        """Register ``value``, a number or one number per label in [0, upper], as a float64 buffer."""
        tensor = None
        if value is not None:
            tensor = torch.as_tensor(value, dtype=torch.float64).detach().clone()
            if tensor.ndim > 1:
                raise UsageError(f"{name} has shape {tuple(tensor.shape)}; pass one number or shape (n_labels,)")
            if not tensor.isfinite().all() or (tensor < 0).any() or (tensor > upper).any():
                limit = "at least 0" if upper == math.inf else f"in [0, {upper:g}]"
                raise UsageError(f"{name} is {tensor.tolist()}; every value must be finite and {limit}")
        self.register_buffer(name, tensor)


#: How the values and gradients of a loss compare with those of a published form, over all elements.
Agreement = Literal["equal", "equal up to a constant", "different"]


@dataclass(frozen=True)
class PublishedForm:
    """A form of a loss that somebody else published, and how the loss here compares with it.

    A test writes every form out anew from its source, compares values and gradients, and holds the result to this entry.

    Args:
        source: who published the form, and where we read it.
        agreement: the result of the comparison.
        params: parameters that turn the loss into this form; empty for its defaults.
        constant: the published loss over the loss here, if the two are equal up to a constant that is one number.

    Example:
        >>> from afl_helpers.losses import LOSSES
        >>> for form in LOSSES["ntr_focal"].published:
        ...     print(form.statement)
        with ``divide_negatives=False`` equal to NTR-Focal of BalancedLossNLP (Huang et al. 2021)
    """

    source: str
    agreement: Agreement
    params: Mapping[str, object] = field(default_factory=dict)
    constant: float | None = None

    @property
    def statement(self) -> str:
        """The comparison in words."""
        how = {
            "equal": "equal to",
            "equal up to a constant": f"equal up to a constant factor{f' of {self.constant:g}' if self.constant else ''} to",
            "different": "another form than",
        }[self.agreement]
        params = ", ".join(f"{name}={value!r}" for name, value in self.params.items())
        return f"with ``{params}`` {how} {self.source}" if params else f"{how} {self.source}"


@dataclass(frozen=True)
class LossInfo:
    """An entry of the registry.

    Args:
        title: the name of the loss in prose.
        equation: the loss of one label, in LaTeX.
        reference: key in the bibliography.
        fidelity: how close this loss is to its source. An entry gives what no comparison can tell; the statements of
            ``published`` are put before it.
        when: when to use it, and what to watch out for.
        build: returns the module; takes ``label_counts`` and ``n_documents`` first if ``needs_counts``.
        parameters: name of each parameter that the loss takes -> its meaning, in the words of the docstring of
            ``build``; ``reduction`` is added.
        needs_counts: whether the loss depends on class frequency.
        monotone: whether the loss of a positive never rises with its logit, and that of a negative never falls.
        soft_targets: whether the loss takes targets between 0 and 1, as mixtures of the two costs.
        differentiated: whether the gradient is the true derivative of the loss; False if a focusing weight is treated
            as a constant.
        reduces_to_bce: parameters with which the loss is binary cross-entropy, or None.
        published: the forms that the loss was compared with.

    Example:
        >>> from afl_helpers.losses import LOSSES
        >>> info = LOSSES["focal"]
        >>> info.defaults
        {'gamma': 2.0, 'alpha': None, 'reduction': 'mean'}
        >>> info.parameters["gamma"]
        'number or (n_labels,), at least 0; 0 is binary cross-entropy.'
    """

    title: str
    equation: str
    reference: str
    fidelity: str
    when: str
    build: Callable[..., MultiLabelLoss]
    parameters: Mapping[str, str]
    needs_counts: bool = False
    monotone: bool = True
    soft_targets: bool = True
    differentiated: bool = True
    reduces_to_bce: Mapping[str, object] | None = None
    published: tuple[PublishedForm, ...] = ()

    def __post_init__(self) -> None:
        statements = [form.statement for form in self.published] + ([self.fidelity] if self.fidelity else [])
        object.__setattr__(self, "fidelity", "; ".join(statements))
        reduction = "mean, sum, sum_over_classes (Eq. 3, averaged over the batch) or none."
        object.__setattr__(self, "parameters", {**self.parameters, "reduction": reduction})

    @property
    def defaults(self) -> dict[str, object]:
        """The default of each parameter."""
        signature = inspect.signature(self.build).parameters
        return {name: signature[name].default for name in self.parameters}

    @property
    def agreement(
        self,
    ) -> Literal["equal", "equal up to a constant", "equal with other parameters", "our construction"]:
        """The best agreement with a published form, in one phrase."""
        by_default = {form.agreement for form in self.published if not form.params}
        if "equal" in by_default:
            return "equal"
        if "equal up to a constant" in by_default:
            return "equal up to a constant"
        if any(form.agreement != "different" for form in self.published):
            return "equal with other parameters"
        return "our construction"


# --- checks ---------------------------------------------------------------------------------------------------------


def in_trace() -> bool:
    """Return whether the code is being compiled, exported, traced or vmapped.

    In that case control flow must not depend on tensor values.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return torch.compiler.is_compiling() or tracing or torch._C._are_functorch_transforms_active()  # vmap


def check_reduction(reduction: str) -> None:
    """Raise an error if the reduction is unknown."""
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, REDUCTIONS)


def check_shape(name: str, tensor: Tensor, logits: Tensor) -> None:
    """Raise an error unless ``tensor`` has the shape of the logits; broadcasting would hide a mistake."""
    if not isinstance(tensor, Tensor):
        raise UsageError(f"{name} must be a torch tensor, not {type(tensor).__name__}; convert with torch.as_tensor")
    if tensor.shape != logits.shape:
        raise UsageError(
            f"{name} has shape {tuple(tensor.shape)}, logits have {tuple(logits.shape)}; both must be (batch, n_labels)"
        )


def check_per_class(name: str, value: PerClass | None, logits: Tensor) -> None:
    """Raise an error unless ``value`` is one number or has one number per label of ``logits``."""
    if isinstance(value, Tensor) and value.ndim and tuple(value.shape) != (logits.shape[-1],):
        raise UsageError(
            f"{name} has shape {tuple(value.shape)}, logits have {logits.shape[-1]} labels; "
            f"pass one number or a tensor of shape ({logits.shape[-1]},)"
        )


def check_number(
    name: str,
    value: float,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raise an error unless ``value`` is one finite number in the range."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    fits = fits and (low < value if open_low else low <= value) and (value < high if open_high else value <= high)
    if not fits:
        if math.isinf(high):
            limit = "" if math.isinf(low) else f" {'above' if open_low else 'of at least'} {low:g}"
        else:
            limit = f" in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise UsageError(f"{name} is {value!r}; pass a finite number{limit}")


def check_target_range(targets: Tensor) -> None:
    """Raise an error if a target is not a number in [0, 1]."""
    if not targets.numel() or targets.dtype == torch.bool:
        return
    low, high = (value.item() for value in targets.aminmax())
    if not (low >= 0 and high <= 1):  # a NaN fails both
        wrong = high if low >= 0 else low
        raise UsageError(f"targets hold {wrong:g}; pass values in [0, 1], and mask unknown targets")


def check_hard_targets(targets: Tensor, loss: str) -> None:
    """Raise an error if a target is neither 0 nor 1, for a loss that is not defined for others; skipped in a trace."""
    if in_trace():
        return
    soft = (targets != 0) & (targets != 1)
    if soft.any():
        raise UsageError(
            f"targets hold {targets[soft][0].item():g}; {loss} takes only targets of 0 and 1; mask unknown targets"
        )


def check_inputs(
    logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str, **per_class: PerClass | None
) -> tuple[Tensor, Tensor]:
    """Check dtype and shapes; return logits and targets, both 0 if masked, so that a masked NaN reaches no gradient."""
    if not logits.is_floating_point() or logits.ndim == 0:
        raise UsageError(
            f"logits are {logits.dtype} of shape {tuple(logits.shape)}; pass floating-point logits (batch, n_labels)"
        )
    check_reduction(reduction)
    check_shape("targets", targets, logits)
    for name, value in per_class.items():
        check_per_class(name, value, logits)
    if mask is None:
        return logits, targets
    check_shape("mask", mask, logits)
    kept = mask.bool()
    return torch.where(kept, logits, 0.0), torch.where(kept, targets, torch.zeros_like(targets))


def promote(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as float64 if the logits are, else as float32; check the range of targets if they are on a CPU."""
    if targets.device.type == "cpu" and not in_trace():
        check_target_range(targets)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits, targets.to(logits.dtype)


@overload
def cast_like(logits: Tensor, value: PerClass) -> PerClass: ...
@overload
def cast_like(logits: Tensor, value: PerClass | None) -> PerClass | None: ...
def cast_like(logits: Tensor, value: PerClass | None) -> PerClass | None:
    """Return a tensor in the dtype and on the device of the logits, and a number as it is."""
    return value.to(logits) if isinstance(value, Tensor) else value


def mix(targets: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Return the cost of each element from its cost as a positive and as a negative."""
    return targets * positive + (1 - targets) * negative


def clip_counts(label_counts: ArrayLike, n_documents: int) -> NDArray[np.float64]:
    """Return the counts, clipped so that weights, log odds and inverse frequencies are finite.

    A label without documents counts as if it had one; a label on every document counts as if one document lacked it.

    Args:
        label_counts: (n_labels,) number of training documents with each label.
        n_documents: number of training documents.

    Returns:
        (n_labels,) float64.

    Raises:
        UsageError: invalid counts, as in :func:`~afl_helpers.gamma.check_counts`.

    Example:
        >>> from afl_helpers.losses.base import clip_counts
        >>> clip_counts([100, 20, 0], n_documents=100).tolist()
        [99.0, 20.0, 1.0]
    """
    counts = check_counts(label_counts, n_documents)
    return np.clip(counts, min(1.0, n_documents / 2), max(n_documents - 1.0, n_documents / 2))
