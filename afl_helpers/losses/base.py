"""What all losses share: the base module, the reduction, all checks, and the form of a registry entry.

This module exceeds 300 lines because every check on an argument is kept here, in one place.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self, TypedDict, Unpack, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from afl_helpers.arrays import as_numbers, is_number, refuse_masked
from afl_helpers.errors import UsageError, check_choice
from afl_helpers.gamma import check_counts

if TYPE_CHECKING:
    from afl_helpers.losses.trainer_hook import TrainerHook

REDUCTIONS = ("mean", "sum", "sum_over_classes", "none")

#: A parameter as the computation takes it: one number, or a tensor with one number per class.
PerClass = float | Tensor
#: A parameter as a caller may pass it: also a numpy scalar, a list or an array.
PerClassLike = ArrayLike | Tensor

#: Devices that have no float64. There, buffers and computations that are float64 elsewhere are float32.
WITHOUT_FLOAT64 = frozenset({"mps"})
#: Devices that run behind the program: looking at a value would make the program wait, so the device itself checks it.
#: The meta device has no values to look at.
ASYNCHRONOUS = frozenset({"cuda", "meta"})

#: The types in which losses are computed.
_EXACT = (torch.float32, torch.float64)
_MOST_FLOAT32 = float(np.finfo(np.float32).max)


def refuse_others(others: Mapping[str, object]) -> None:
    """Refuse what Trainer passes to a function of the loss, where the loss itself, or its method, was given to it."""
    if others:
        raise UsageError(
            f"a loss takes no {', '.join(others)}; in a transformers Trainer, pass compute_loss_func=loss.for_trainer()"
        )


def reduce_loss(
    elements: Tensor,
    reduction: str = "mean",
    mask: ArrayLike | Tensor | None = None,
    weight: PerClassLike | None = None,
) -> Tensor:
    """Reduce the losses of the elements of a batch.

    Args:
        elements: (..., n_labels). All dimensions but the last are documents: a batch of tokens has batch times tokens.
            Halves and whole numbers become float32.
        reduction: ``"mean"`` over the elements that the mask keeps; ``"sum"``; ``"sum_over_classes"``: sum over the
            labels and mean over the documents (Eq. 3, averaged over the batch); ``"none"``: no reduction.
        mask: of the shape of ``elements``; False or 0 for an element that does not count. Such an element adds neither
            loss nor gradient. A mean over no elements is 0.
        weight: of the shape of ``elements``, or of that shape without the last dimension: one weight per element or per
            document, at least 0. It multiplies the losses and leaves the divisor of a mean as it is, as in torch.

    Returns:
        A scalar, or a tensor of the shape of ``elements`` if ``reduction`` is ``"none"``.

    Raises:
        UsageError: elements that are no tensor, an unknown reduction, or a mask or weight of another shape or with
            other values.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import reduce_loss
        >>> elements = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
        >>> reduce_loss(elements).item(), reduce_loss(elements, "sum_over_classes").item()  # 12 / 4 and (3 + 9) / 2
        (3.0, 6.0)
        >>> reduce_loss(elements, mask=torch.tensor([[1, 1], [1, 0]])).item()  # the 6 does not count: 6 / 3
        2.0
        >>> reduce_loss(elements, weight=torch.tensor([1.0, 0.0])).item()  # the second document weighs nothing: 3 / 4
        0.75
    """
    check_reduction(reduction)
    if not isinstance(elements, Tensor):
        raise UsageError(f"elements are of type {type(elements).__name__}; pass a torch tensor (..., n_labels)")
    kept = None if mask is None else check_mask(mask, elements)
    if elements.dtype not in _EXACT:
        elements = elements.float()  # a sum in float16 would overflow, a weight would become a whole number
    if weight is not None:
        elements = elements * _element_weight(weight, elements, kept)
    if kept is not None:
        elements = torch.where(kept, spoil_by_mask(elements, mask), 0.0)
    if reduction == "none":
        return elements
    if kept is not None and reduction == "mean":
        return elements.sum() / kept.count_nonzero().clamp(min=1)
    return elements.sum() / reduction_divisor(elements, reduction)


def reduction_divisor(elements: Tensor, reduction: str) -> int:
    """Return the number by which a reduction without a mask divides the sum of all elements."""
    n_documents = math.prod(elements.shape[:-1])
    return max(1, {"mean": elements.numel(), "sum_over_classes": n_documents, "sum": 1}[reduction])


def _element_weight(weight: PerClassLike, elements: Tensor, kept: Tensor | None) -> Tensor:
    """Return the weight of each element, 0 where it is masked."""
    weight = as_strided("weight", weight, elements)
    if weight.shape == elements.shape[:-1]:
        weight = weight.unsqueeze(-1).expand_as(elements)
    elif weight.shape != elements.shape:
        raise UsageError(
            f"weight has shape {tuple(weight.shape)}, logits have {tuple(elements.shape)}; pass one weight per document,"
            f" shape {tuple(elements.shape[:-1])}, or per element, shape {tuple(elements.shape)}"
        )
    return valid_weight(weight.to(elements.dtype), kept)


def valid_weight(weight: Tensor, counted: Tensor | None) -> Tensor:
    """Return a weight, 0 where it does not count; refuse one that is not finite or below 0 where it does."""
    if counted is not None:
        weight = torch.where(counted, weight, 0.0)
    valid = (weight >= 0) & (weight < math.inf)
    return require(weight, valid, "weight holds {}; pass finite weights of at least 0")


def smooth_labels(targets: ArrayLike | Tensor, smoothing: float) -> Tensor:
    """Smooth the targets of labels that are decided independently: ``(1 - smoothing) y + smoothing / 2``.

    It is label smoothing (Szegedy et al., CVPR 2016, section 7) for two outcomes per label, "has it" and "has it not":
    the smoothed target is what an annotator means who guesses with probability ``smoothing``. Every loss that takes soft
    targets takes the result.

    Args:
        targets: any shape, values in [0, 1].
        smoothing: in [0, 1].

    Returns:
        float32, or float64 if the targets are.

    Example:
        >>> from afl_helpers.losses import smooth_labels
        >>> smooth_labels([[1, 0]], 0.2)
        tensor([[0.9000, 0.1000]])
    """
    smoothing = check_number("smoothing", smoothing, 0.0, 1.0)
    if not isinstance(targets, Tensor):
        targets = as_strided("targets", targets, torch.empty(0))
    targets = check_target_range(targets if targets.dtype == torch.float64 else targets.float())
    return (1 - smoothing) * targets + smoothing / 2


class MultiLabelLoss(nn.Module):
    """A loss of logits and targets, as a :class:`torch.nn.Module`; subclasses define :meth:`compute`.

    The :meth:`compute` of a loss of your own gets logits and targets of shape (documents, n_labels), in float32, or float64
    if the logits are, and 0 where they are masked; it ends with :func:`reduce_loss`. All that follows then holds for it
    too, except that its formula decides what a soft target costs, and whether it is computed in log space.

    What holds for every loss, as a module and as a function:

    - Logits are a floating-point tensor (..., n_labels): one document, (batch, n_labels) or (batch, tokens, n_labels).
      All dimensions but the last are documents; the numbers are those of the flattened batch. Targets have the same
      shape, any dtype and values in [0, 1]; lists and arrays are taken too.
    - A soft target y costs y times a positive plus 1 - y times a negative. What a loss takes from the document's other
      labels (how often it is repeated, what they make likely) it then takes in proportion to their targets.
    - ``mask`` and ``reduction`` are those of :func:`reduce_loss`. A masked element adds neither loss nor gradient,
      whatever its logit and target. A module takes the ``weight`` of :func:`reduce_loss`, too; where a function has a
      ``weight``, it is one of its own, which its docstring describes.
    - The result is a scalar, or of the shape of the logits if the reduction is ``"none"``. It is float64 if the logits
      are, else float32: in float16 a sum over some thousand elements would overflow.
    - Loss and gradient are computed in log space without clamps, so they are finite and have the right sign for every
      logit and every gamma of at least 0, provided that gamma times the logit fits in float32.
    - Errors are a ``UsageError``: shapes that do not fit, sparse tensors, integer logits, an unknown reduction, a
      parameter out of its range or of another shape, invalid counts, or a target outside [0, 1]. Values of a tensor on a
      CUDA device are checked by the device, which stops the program with the same sentence and never makes it wait.
      In a graph that was compiled (:func:`torch.compile`), exported or traced, and under vmap, a target outside [0, 1]
      makes the loss NaN, and so does a mask that is neither 0 nor 1.

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
    #: Whether targets may lie between 0 and 1.
    soft_targets = True
    #: The number of labels that the parameters fix; None if every parameter is one number.
    n_labels: int | None = None
    #: What one value of reduction "none" belongs to: an element, a document, or (refused) a batch; see ``LossInfo``.
    unit: Literal["element", "document", "batch"] = "element"
    #: Whether :meth:`compute` itself prepares logits and targets. The losses here do, in the kernel that is the fastest.
    _prepares = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "compute" in vars(cls):
            cls._prepares = cls.__module__.startswith("afl_helpers.")

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        self._built_on_meta: dict[str, Tensor] = {}

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a buffer, as :class:`torch.nn.Module` does; its value is kept while the default device is meta."""
        super().register_buffer(name, tensor, persistent)
        if tensor is not None and torch.get_default_device().type == "meta":
            self._built_on_meta[name] = tensor.clone()

    @property
    def _is_hf_initialized(self) -> bool:
        """Whether all buffers have values: yes, because those that were not loaded get here what they were built with.

        ``from_pretrained`` builds a model on the meta device, puts memory that nothing was written to in place of the buffers
        that the checkpoint lacks, marks those that it loads, and then asks every module.
        """
        for name, built in self._built_on_meta.items():
            buffer = self._buffers[name]
            if buffer is not None and not buffer.is_meta and not getattr(buffer, "_is_hf_initialized", False):
                with torch.no_grad():
                    buffer.copy_(built)
        return True

    @_is_hf_initialized.setter
    def _is_hf_initialized(self, value: bool) -> None:
        """Take what transformers sets, which changes nothing."""

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        """Return the reduced loss."""
        raise NotImplementedError

    def forward(
        self,
        logits: Tensor,
        targets: ArrayLike | Tensor,
        mask: ArrayLike | Tensor | None = None,
        reduction: str | None = None,
        weight: PerClassLike | None = None,
        **others: object,
    ) -> Tensor:
        """Return the reduced loss; ``reduction=None`` uses the loss's default. Others are refused: see :meth:`for_trainer`."""
        refuse_others(others)
        reduction = reduction or self.reduction
        check_reduction(reduction)
        check_logits(logits)
        targets = check_shape("targets", targets, logits)
        mask = None if mask is None else check_shape("mask", mask, logits)
        shape = logits.shape
        if len(shape) != 2:
            logits, targets = as_rows(logits), as_rows(targets)
            mask = None if mask is None else as_rows(mask)
        if not self._prepares:
            logits, targets = promote(*check_inputs(logits, targets, mask, reduction))
        if weight is None:
            loss = self.compute(logits, targets, mask, reduction)
            if loss.dtype not in _EXACT:
                loss = loss.float()
            return loss.reshape(shape) if reduction == "none" else loss
        elements = self.compute(logits, targets, mask, "none").reshape(shape)
        return reduce_loss(elements, reduction, None if mask is None else mask.reshape(shape), weight)

    def for_trainer(
        self, ignore_index: int | None = -100, label_smoothing: float = 0.0, **others: object
    ) -> "TrainerHook":
        """Return this loss as ``compute_loss_func`` of a transformers ``Trainer``.

        When given ``compute_loss_func``, Trainer no longer divides the loss by the number of accumulation steps, but
        does multiply it by the number of processes. It passes ``num_items_in_batch``, the number of label entries in the
        whole batch over all steps and processes. Dividing by it gives the same gradient however the batch is split.
        This holds for Trainer's default, ``average_tokens_across_devices=True``.

        Args:
            ignore_index: a label of this value is unknown, and so is NaN: it adds neither loss nor gradient, and does
                not count in a mean. Trainer itself leaves -100 out of its count, and nothing else. Where it counted an
                unknown label, or for ``"sum_over_classes"``, the count is corrected; that needs the whole batch, so a
                batch that is split over steps or processes is then refused. None: no value but NaN is unknown.
            label_smoothing: in [0, 1], see :func:`smooth_labels`; Trainer's own ``label_smoothing_factor`` is refused,
                because Trainer does not apply it to a function that it is given.

        Returns:
            A function of (outputs, labels, num_items_in_batch) to a scalar; it can be pickled.

        Raises:
            UsageError: the loss's reduction is ``"none"``, or the loss takes no soft targets and labels are smoothed.

        Example:
            >>> import torch
            >>> from afl_helpers.losses import BinaryCrossEntropy
            >>> hook = BinaryCrossEntropy().for_trainer()  # for Trainer(compute_loss_func=hook)
            >>> outputs, labels = {"logits": torch.zeros(1, 3)}, torch.tensor([[1.0, 0.0, -100.0]])
            >>> round(hook(outputs, labels, num_items_in_batch=4).item(), 4)  # two of a batch of 4 entries: log 2 / 2
            0.3466
        """
        from afl_helpers.losses.trainer_hook import TrainerHook  # it imports this module

        refuse_others(others)
        return TrainerHook(self, ignore_index, label_smoothing)

    @property
    def posterior_gamma(self) -> Tensor | None:
        """The gamma that maps scores to probabilities, one number or (n_labels,); None if no gamma does.

        It is that of a focal loss with the same gamma and the same weight for positives and negatives. Pass it to
        :func:`afl_helpers.evaluation.posterior_scores`.
        """
        return None

    def extra_repr(self) -> str:
        """Return the parameters, for ``repr``."""
        names = inspect.signature(type(self)).parameters
        return ", ".join(f"{name}={_in_brief(getattr(self, name))}" for name in names if hasattr(self, name))

    def end_epoch(self) -> None:
        """Update the state of the loss after an epoch; the training loop calls it. Most losses have no state."""

    def gather(self) -> None:
        """Add up in the first process what all processes recorded in this epoch; every process calls it."""

    def forget_epoch(self) -> None:
        """Discard what was recorded in this epoch."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        exact = dict(self.named_buffers(recurse=False))
        if fn(torch.empty(0, device="cpu")).device.type in WITHOUT_FLOAT64:
            for name, value in exact.items():
                exact[name] = value.float() if value.dtype == torch.float64 else value
                setattr(self, name, exact[name])
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        # .half() on a model that holds this loss must not turn a gamma of 1e5 into infinity.
        for name, moved in self.named_buffers(recurse=False):
            if moved.dtype in (torch.float16, torch.bfloat16):
                setattr(self, name, exact[name].to(moved.device))
        return self

    def _set_per_class(
        self, name: str, value: PerClassLike | None, upper: float = math.inf, optional: bool = False
    ) -> None:
        """Register ``value``, a number or one number per label in [0, upper], as a float64 buffer on the CPU.

        None is registered as it is if it is ``optional``, and refused otherwise.

        On the CPU also where another device is the default, such as the one without data on which transformers builds
        a model before it loads the weights.
        """
        tensor = None
        if value is not None or not optional:
            array = as_array(name, value)
            if array.ndim > 1:
                raise UsageError(f"{name} has shape {array.shape}; pass one number or shape (n_labels,)")
            if not np.isfinite(array).all() or (array < 0).any() or (array > min(upper, _MOST_FLOAT32)).any():
                limit = "at least 0" if upper == math.inf else f"in [0, {upper:g}]"
                raise UsageError(f"{name} is {array.tolist()}; every value must be finite and {limit}")
            if array.ndim:
                if self.n_labels not in (None, len(array)):
                    raise UsageError(
                        f"{name} has {len(array)} labels, the loss's other parameters have {self.n_labels};"
                        " pass one number, or one per label"
                    )
                self.n_labels = len(array)
            tensor = torch.from_numpy(array)
        self.register_buffer(name, tensor)


def _in_brief(value: object) -> str:
    """Write a parameter for ``repr``; many numbers as their number and range."""
    if not isinstance(value, Tensor):
        return repr(value)
    if value.is_meta:  # in a model whose weights are not loaded yet
        return "..."
    if value.numel() > 4:
        return f"<{value.numel()} numbers from {value.min().item():.4g} to {value.max().item():.4g}>"
    return f"{value.item():.4g}" if not value.ndim else f"[{', '.join(f'{number:.4g}' for number in value.tolist())}]"


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
        soft_targets: whether the loss takes targets between 0 and 1; see :class:`MultiLabelLoss`.
        differentiated: whether the gradient is the true derivative of the loss; False if a focusing weight is treated
            as a constant.
        reduces_to_bce: parameters with which the loss is binary cross-entropy, or None.
        published: the forms that the loss was compared with.
        unit: what the loss falls apart into: ``"element"``; ``"document"``, if it compares the labels of a document, so
            that reduction ``"none"`` gives (batch,); or ``"batch"``, if it compares documents, so that its value depends
            on which of them share a batch and the only reduction is ``"mean"``.

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
    unit: Literal["element", "document", "batch"] = "element"

    def __post_init__(self) -> None:
        statements = [form.statement for form in self.published] + ([self.fidelity] if self.fidelity else [])
        object.__setattr__(self, "fidelity", "; ".join(statements))
        reduction = "mean, sum, sum_over_classes (Eq. 3, averaged over the batch) or none."
        if self.unit == "document":
            reduction = "mean or sum_over_classes (both over the documents), sum, or none (one value per document)."
        elif self.unit == "batch":
            reduction = "mean; the loss is one number per batch."
        object.__setattr__(self, "parameters", {**self.parameters, "reduction": reduction})

    @property
    def reductions(self) -> tuple[str, ...]:
        """The reductions that the loss takes, the finest last."""
        return ("mean",) if self.unit == "batch" else REDUCTIONS

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
    check_choice("reduction", reduction, REDUCTIONS)


def require(tensor: Tensor, valid: Tensor, message: str) -> Tensor:
    """Return ``tensor`` if it is valid everywhere; refuse it in the way that its device allows.

    Args:
        tensor: floating point if it may be part of a trace.
        valid: bool, of the shape of ``tensor``.
        message: the error; ``{}`` stands for the first value that is not valid.

    Returns:
        ``tensor``. In a trace, where no value may be looked at, values that are not valid are NaN.

    Raises:
        UsageError: a value that is not valid. On a CUDA device it is a failed assertion of the device.
    """
    if in_trace():
        return torch.where(valid, tensor, math.nan)
    refuse_unless(valid.all(), lambda: message.format(f"{tensor[~valid][0].item():g}"), message.format("a wrong value"))
    return tensor


def refuse_unless(valid: Tensor, message: Callable[[], str], device_message: str) -> None:
    """Raise an error unless ``valid`` is True; an :data:`ASYNCHRONOUS` device checks it when it comes to it.

    Args:
        valid: bool, one element.
        message: makes the error's message, where the value can be looked at.
        device_message: the message of the device.
    """
    if valid.device.type in ASYNCHRONOUS:
        torch._assert_async(valid, device_message)
    elif not valid:
        raise UsageError(message())


def check_logits(logits: Tensor) -> None:
    """Raise an error unless the logits are a floating-point tensor (..., n_labels)."""
    if not isinstance(logits, Tensor):
        raise UsageError(f"logits are a {type(logits).__name__}; pass a torch tensor (..., n_labels)")
    if not logits.is_floating_point() or logits.ndim == 0:
        raise UsageError(
            f"logits are {logits.dtype} of shape {tuple(logits.shape)}; pass floating-point logits (..., n_labels)"
        )
    _check_layout("logits", logits)


def as_strided(name: str, value: ArrayLike | Tensor, logits: Tensor) -> Tensor:
    """Return ``value`` as a dense tensor on the device of the logits; a tensor elsewhere is an error, not moved."""
    if isinstance(value, Tensor):
        _check_layout(name, value)
        if value.device != logits.device:
            raise UsageError(f"{name} is on {value.device}, logits are on {logits.device}; move one of them with .to()")
        return _real(name, value)
    if hasattr(type(value), "toarray"):  # of the type: a data frame answers with a column of that name
        raise UsageError(f"{name} is a sparse {type(value).__name__}; pass {name}.toarray()")
    refuse_masked(name, value, "pass a plain array, and mask= for elements that do not count")
    try:
        if not isinstance(value, list | tuple):  # lists may hold tensors
            # torch takes a series by its index, and some arrays not at all.
            array = as_numbers(value, name)
            dtype = np.float64 if array.dtype == np.longdouble else array.dtype.newbyteorder("=")
            value = np.require(array, dtype, ("C", "W"))  # torch warns of memory that is read-only
        tensor = torch.as_tensor(value, device="cpu")
        # Numbers of a list are of the default type, in which 0.1 may be another one.
        if isinstance(value, list | tuple) and tensor.is_floating_point():
            tensor = torch.as_tensor(value, dtype=torch.float64, device="cpu")
        if tensor.dtype == torch.float64:
            tensor = tensor.to(widest(logits.device))
        return _real(name, tensor.to(logits.device))
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(
            f"{name} is a {type(value).__name__} that is no array of numbers; pass a torch tensor"
        ) from None


def _real(name: str, tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        raise UsageError(f"{name} is complex; pass real numbers")
    return tensor


def _check_layout(name: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided:
        raise UsageError(f"{name} has the layout {tensor.layout}; pass {name}.to_dense()")


def as_array(name: str, value: PerClassLike | None) -> NDArray[np.float64]:
    """Return a new float64 array with the numbers of a parameter."""
    if hasattr(type(value), "toarray"):  # of the type: a data frame answers with a column of that name
        raise UsageError(f"{name} is a sparse {type(value).__name__}; pass {name}.toarray()")
    if isinstance(value, Tensor):
        _check_layout(name, value)
        if value.is_meta:
            raise UsageError(f"{name} is a tensor on the meta device, which holds no values; pass a list or an array")
        value = value.detach().cpu().double().numpy()
    refuse_masked(name, value)
    if torch.compiler.is_compiling():  # which traces the call, and no look at the array
        return np.array(value, dtype=np.float64)
    try:
        array = np.asarray(value)
        if array.dtype.kind in "uif" or all(
            is_number(one) and not isinstance(one, bool | np.bool) for one in array.flat
        ):
            return np.array(array, dtype=np.float64)
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{name} is {value!r}; pass one number, or one number per label")


def as_rows(tensor: Tensor) -> Tensor:
    """Return a tensor (..., n_labels) as (documents, n_labels)."""
    return tensor.unsqueeze(0) if tensor.ndim == 1 else tensor.flatten(0, -2)


def check_shape(name: str, value: ArrayLike | Tensor, logits: Tensor) -> Tensor:
    """Return ``value`` as a tensor, or raise an error unless it has the shape of the logits.

    Broadcasting would hide a mistake.
    """
    tensor = as_strided(name, value, logits)
    if tensor.shape != logits.shape:
        raise UsageError(
            f"{name} has shape {tuple(tensor.shape)}, logits have {tuple(logits.shape)};"
            " both must have the same shape, (..., n_labels)"
        )
    return tensor


def check_mask(mask: ArrayLike | Tensor, logits: Tensor) -> Tensor:
    """Return a mask as bool, or raise an error if it has another shape or holds anything but 0 and 1."""
    mask = check_shape("mask", mask, logits)
    if mask.dtype == torch.bool:
        return mask
    if not in_trace():
        require(mask, _is_binary(mask), "mask holds {}; pass a mask of 0 and 1, and weights of elements as weight")
    return mask.bool()


def _is_binary(mask: Tensor) -> Tensor:
    """Return which values of a mask are 0 or 1."""
    return (mask == 0) | (mask == 1)


def spoil_by_mask(values: Tensor, mask: ArrayLike | Tensor | None) -> Tensor:
    """Return ``values``; in a trace, where :func:`check_mask` cannot look, NaN where the mask is neither 0 nor 1."""
    if mask is None or not in_trace() or (isinstance(mask, Tensor) and mask.dtype == torch.bool):
        return values
    return require(values, _is_binary(as_strided("mask", mask, values)), "")


class _Limits(TypedDict, total=False):
    low: float
    high: float
    open_low: bool
    optional: bool


@overload
def per_class(name: str, value: PerClassLike, logits: Tensor, **limits: Unpack[_Limits]) -> PerClass: ...
@overload
def per_class(name: str, value: PerClassLike | None, logits: Tensor, **limits: Unpack[_Limits]) -> PerClass | None: ...
def per_class(
    name: str,
    value: PerClassLike | None,
    logits: Tensor,
    *,
    low: float = 0.0,
    high: float = math.inf,
    open_low: bool = False,
    optional: bool = False,
) -> PerClass | None:
    """Return a parameter as a number or a tensor with one number per label of ``logits``.

    Args:
        name: the parameter's name, for the message.
        value: number or (n_labels,).
        logits: (..., n_labels).
        low, high: the smallest and the largest value that it may have. Not checked of a tensor on an asynchronous
            device, of one that is learnt, and in a trace.
        open_low: whether it must be above ``low``.
        optional: whether it may be None, which stays None.

    Raises:
        UsageError: another shape, or a value out of the range or not finite.
    """
    if value is None and optional:
        return None
    if not isinstance(value, Tensor):
        array = as_array(name, value)
        if not array.ndim:
            return check_number(name, array.item(), low, high, open_low=open_low)
        value = torch.from_numpy(array)
    _check_layout(name, value)
    if value.ndim and tuple(value.shape) != (logits.shape[-1],):
        raise UsageError(
            f"{name} has shape {tuple(value.shape)}, logits have {logits.shape[-1]} labels; "
            f"pass one number or a tensor of shape ({logits.shape[-1]},)"
        )
    seen = value.device.type not in ASYNCHRONOUS
    if seen and value.numel() and not value.requires_grad and not in_trace():
        smallest, largest = (bound.item() for bound in value.aminmax())
        fits_low = smallest > low if open_low else smallest >= low
        if not (fits_low and largest <= high and largest < math.inf):
            wrong = largest if fits_low else smallest
            raise UsageError(f"{name} holds {wrong:g}; pass finite numbers{_range(low, high, open_low)}")
    return value


def _range(low: float, high: float, open_low: bool, open_high: bool = False) -> str:
    """Return a range in words, to be put after "number"."""
    if math.isinf(high):
        return "" if math.isinf(low) else f" {'above' if open_low else 'of at least'} {low:g}"
    return f" in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"


def check_number(
    name: str,
    value: float,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
    whole: bool = False,
) -> float:
    """Return a number, which may come from numpy, as one of Python.

    Raises:
        UsageError: not one finite number in the range, or, if ``whole``, with a fraction.
    """
    if torch.compiler.is_compiling():  # it was checked when the loss was built, and may be symbolic here
        return value
    number = value
    if type(value) not in (int, float) and getattr(value, "ndim", None) == 0:
        number = float(value) if isinstance(value, np.longdouble) else value.item()  # type: ignore[attr-defined]
    fits = type(number) in (int, float) and math.isfinite(number)
    fits = fits and (low < number if open_low else low <= number) and (number < high if open_high else number <= high)
    if not fits or (whole and number != int(number)):
        kind = "whole" if whole else "finite"
        raise UsageError(f"{name} is {value!r}; pass a {kind} number{_range(low, high, open_low, open_high)}")
    return int(number) if whole else number


def check_target_range(targets: Tensor) -> Tensor:
    """Return the targets, or raise an error if one is not a number in [0, 1]; NaN in its place in a trace."""
    if not targets.numel() or targets.dtype == torch.bool:
        return targets
    if in_trace():
        return require(targets, (targets >= 0) & (targets <= 1), "")
    low, high = targets.aminmax()  # a NaN is both

    def message() -> str:
        wrong = high if low >= 0 else low
        return f"targets hold {wrong.item():g}; pass values in [0, 1], and mask unknown targets"

    refuse_unless((low >= 0) & (high <= 1), message, "targets must be in [0, 1]; mask unknown targets")
    return targets


def check_hard_targets(targets: Tensor, loss: str) -> Tensor:
    """Return the targets, or raise an error if one is neither 0 nor 1, for a loss that is not defined for others."""
    if targets.dtype == torch.bool or (in_trace() and not targets.is_floating_point()):
        return targets
    if targets.device.type not in ASYNCHRONOUS and not in_trace() and is_hard(targets):
        return targets
    message = f"targets hold {{}}; {loss} takes only targets of 0 and 1; mask unknown targets"
    return require(targets, (targets == 0) | (targets == 1), message)


def is_hard(targets: Tensor) -> bool:
    """Return whether all targets, in memory that can be looked at, are 0 or 1.

    Some at a time, because comparisons write as much as they read.
    """
    if targets.dtype == torch.bool or not targets.numel():
        return True
    for y in torch.split(targets.detach().reshape(-1), 100_000):
        wrong = torch.addcmul(y, y, y, value=-1)  # y - y^2
        low, high = wrong.aminmax()
        if not low == high == 0:
            return False
    return True


def check_inputs(
    logits: Tensor, targets: ArrayLike | Tensor, mask: ArrayLike | Tensor | None, reduction: str
) -> tuple[Tensor, Tensor]:
    """Check dtype and shapes; return logits and targets, both 0 if masked, so that a masked NaN reaches no gradient."""
    check_logits(logits)
    check_reduction(reduction)
    targets = check_shape("targets", targets, logits)
    if mask is None:
        return logits, targets
    kept = check_mask(mask, logits)
    logits = spoil_by_mask(logits, mask)
    return torch.where(kept, logits, 0.0), torch.where(kept, targets, torch.zeros_like(targets))


def widest(device: torch.device) -> torch.dtype:
    """Return float64, or float32 for a device that has no float64."""
    return torch.float32 if device.type in WITHOUT_FLOAT64 else torch.float64


@overload
def on_device(value: Tensor, device: torch.device) -> Tensor: ...
@overload
def on_device(value: Tensor | None, device: torch.device) -> Tensor | None: ...
def on_device(value: Tensor | None, device: torch.device) -> Tensor | None:
    """Return a buffer in the widest type of a device, on that device; a loss need not be moved to it."""
    return None if value is None else value.to(widest(device)).to(device)


def promote(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as float64 if the logits are, else as float32; check the range of the targets."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if in_trace():
        return logits, check_target_range(targets.to(logits.dtype))
    return logits, check_target_range(targets).to(logits.dtype)


@overload
def cast_like(logits: Tensor, value: PerClass) -> PerClass: ...
@overload
def cast_like(logits: Tensor, value: PerClass | None) -> PerClass | None: ...
def cast_like(logits: Tensor, value: PerClass | None) -> PerClass | None:
    """Return a tensor in the dtype and on the device of the logits, and a number as it is."""
    # The type first: the device may not have the tensor's own.
    return value.to(logits.dtype).to(logits.device) if isinstance(value, Tensor) else value


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
    counts, whole = check_counts(label_counts, n_documents), float(n_documents)
    return np.clip(counts, min(1.0, whole / 2), max(whole - 1.0, whole / 2))
