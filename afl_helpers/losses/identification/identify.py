"""Which loss a function computes, and which of the usual faults it has: :func:`identify_loss`."""

import contextlib
import copy
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from afl_helpers.arrays import check_whole
from afl_helpers.errors import UsageError, check_choice
from afl_helpers.losses.base import check_number
from afl_helpers.losses.identification.faults import far_out, gradient_faults
from afl_helpers.losses.identification.probes import (
    CannotCallError,
    LossFunction,
    Probe,
    near,
    random_batch,
)
from afl_helpers.losses.identification.recognition import SIGMOID_TWICE, Match, recognise
from afl_helpers.losses.registry import LOSSES

_RANDOM = "it draws random numbers: the same batch costs something else each time"
_HALF = "it returns {}, whose few digits do not tell losses apart; let it compute in float32 or float64"


@dataclass(frozen=True)
class Identification:
    """What :func:`identify_loss` found.

    Args:
        name: key in :data:`~afl_helpers.losses.LOSSES`; None if no loss there has these values.
        params: the parameters that the values show: ``gamma``, ``alpha``, ``pos_weight``, ``margin`` and others.
        reduction: how the elements are reduced, as in :func:`~afl_helpers.losses.reduce_loss` or in words.
        faults: what is wrong, one sentence each.
        notes: what is unusual but may be meant.
        difference: largest relative difference from the values of that loss here, on random batches.

    Example:
        >>> from torch.nn import BCEWithLogitsLoss
        >>> from afl_helpers.losses import identify_loss
        >>> found = identify_loss(BCEWithLogitsLoss(reduction="sum"))
        >>> found.name, found.reduction, found.faults
        ('bce', 'sum', ())
    """

    name: str | None
    params: Mapping[str, object] = field(default_factory=dict)
    reduction: str = "unknown"
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    difference: float | None = None

    def __str__(self) -> str:
        if self.name is None:
            lines = ["no loss that is known here"]
        else:
            params = "".join(f", {name} {value}" for name, value in self.params.items())
            lines = [f"{LOSSES[self.name].title} ({self.name}){params}"]
        lines.append(f"reduction: {self.reduction}")
        if self.difference is not None:
            lines.append(f"largest relative difference from the values here: {self.difference:.0e}")
        lines += [f"fault: {text}" for text in self.faults] + [f"note: {text}" for text in self.notes]
        return "\n".join(lines)


def identify_loss(
    function: Callable[..., Tensor],
    n_labels: int = 4,
    *,
    label_counts: ArrayLike | None = None,
    n_documents: int | None = None,
    claimed: Mapping[str, float] | None = None,
) -> Identification:
    """Find out which loss a function computes, and which of the usual faults it has.

    The function is called on some hundred small batches; of a module, a copy is called, so that its state stays as it was.
    Its values give the formula, the gammas, what alpha weighs, the margin and the reduction. Its gradients, also at logits
    up to 200 in float32, show caps, NaN and constant focusing weights. A loss that is not known is reported as such, with the
    faults that can be seen anyway.

    Args:
        function: takes logits and targets, both (batch, n_labels), and returns a tensor. A function of probabilities,
            or of targets and logits, is recognised.
        n_labels: number of labels that the function is called with, at least 2; it must fit parameters per label.
        label_counts, n_documents: counts in training; with them the losses that depend on counts are recognised too.
        claimed: the ``alpha`` and ``gamma`` that the function is meant to have; by default, those in its attributes,
            in its ``functools.partial`` or in the defaults of its arguments.

    Returns:
        The result; ``print`` shows it.

    Raises:
        UsageError: the function cannot be called in any of these ways, or another argument does not fit.

    Example:
        >>> import torch
        >>> from torch.nn.functional import binary_cross_entropy_with_logits
        >>> from afl_helpers.losses import identify_loss
        >>> def focal(logits, targets, alpha=0.8, gamma=2.0):
        ...     cost = binary_cross_entropy_with_logits(logits, targets)
        ...     return alpha * (1 - torch.exp(-cost)) ** gamma * cost
        >>> for fault in identify_loss(focal).faults:
        ...     print(fault)
        the focusing weight is computed from the mean cross-entropy of the batch, not element by element
        alpha multiplies positives and negatives alike, so it scales the loss and balances nothing
    """
    if label_counts is not None:
        n_labels = len(np.atleast_1d(np.asarray(label_counts)))
    n_labels = check_whole(n_labels, "n_labels", 2)  # from 2 on, labels can be told apart
    claimed = None if claimed is None else _checked_claims(claimed)
    with contextlib.suppress(Exception):  # whatever a module raises that cannot be copied; then it is examined itself
        function = copy.deepcopy(function)
    with torch.random.fork_rng(devices=[]):
        return _identify(function, n_labels, label_counts, n_documents, claimed)


def _identify(
    function: Callable[..., Tensor],
    n_labels: int,
    label_counts: ArrayLike | None,
    n_documents: int | None,
    claimed: Mapping[str, float] | None,
) -> Identification:
    """Examine a function that may change its own state and the state of the random numbers."""
    counts = None if label_counts is None or n_documents is None else (label_counts, n_documents)
    usable: list[tuple[bool, tuple[str, ...], Probe]] = []
    errors: list[str] = []
    for words, reading in _readings(function):
        probe = Probe(reading, n_labels)
        try:
            result = probe(*random_batch(n_labels))
            if result.dtype in (torch.float16, torch.bfloat16):
                return Identification(None, notes=(_HALF.format(str(result.dtype).removeprefix("torch.")),))
            value = probe.total(*random_batch(n_labels))
            match = recognise(probe, counts) if math.isfinite(value) else None
        except CannotCallError as error:
            errors.append(str(error))
            continue
        if match is not None and not (words and SIGMOID_TWICE in match.faults):  # every function of logits would do
            return _report(function, probe, match, words, claimed)
        usable.append((math.isfinite(value), words, probe))
    if not usable:
        raise UsageError(
            f"the function fails on logits and targets of shape (3, {n_labels}): {errors[0]}; pass a function "
            "of (logits, targets), n_labels if it has parameters per label, and a value for each parameter without a default"
        )
    _, _, probe = next((entry for entry in usable if entry[0]), usable[0])
    return _report(function, probe, Match(None), (), claimed)


def _readings(function: Callable[..., Tensor]) -> Iterator[tuple[tuple[str, ...], LossFunction]]:
    """Yield ways to call the function, with what to say if one is right."""
    probabilities = "it takes probabilities, not logits: give it the sigmoid of the logits"
    order = "it takes (targets, logits) in this order"
    swapped = "positives and negatives are swapped: it takes 0 for a positive, or logits with the other sign"
    yield (), lambda z, y: function(z, y)
    yield (probabilities,), lambda z, y: function(z.sigmoid(), y)
    yield (order,), lambda z, y: function(y, z)
    yield (order, probabilities), lambda z, y: function(y, z.sigmoid())
    yield (swapped,), lambda z, y: function(z, 1 - y)
    yield (probabilities, swapped), lambda z, y: function(z.sigmoid(), 1 - y)


def _report(
    function: Callable[..., Tensor],
    probe: Probe,
    match: Match,
    words: tuple[str, ...],
    claimed: Mapping[str, float] | None,
) -> Identification:
    faults, notes = [*words, *match.faults], list(match.notes)
    if match.reduction == "sum_over_classes":
        notes.append("it divides by the documents alone, so a loss of n labels is n times the mean over elements")
    faults += _against_claims(match, _claims(function) if claimed is None else claimed)
    ordinary = [probe.total(*random_batch(probe.n_labels, seed)) for seed in (7, 8)]  # those that are examined below
    wrong = [value for value in ordinary if not math.isfinite(value)]
    if wrong:
        faults.append(f"an ordinary batch costs {wrong[0]}")
    else:
        odd = list(_on_odd_batches(probe))
        faults += odd
        if _RANDOM in odd:  # and so no two values of it can be compared
            return Identification(
                match.name, match.params, match.reduction, tuple(faults), tuple(notes), match.difference
            )
        if match.name is None and not words and not match.faults:
            faults += _against_the_targets(probe)
        for text, fault in (*gradient_faults(probe, match), *far_out(probe, match)):
            (faults if fault else notes).append(text)
    for name in sorted(probe.written):
        faults.append(f"it writes to the {name} that it is given; copy them first")
    return Identification(match.name, match.params, match.reduction, tuple(faults), tuple(notes), match.difference)


def _on_odd_batches(probe: Probe) -> Iterator[str]:
    """Yield what a loss does with a batch without positives or without negatives, and with the same batch twice."""
    z, y = random_batch(probe.n_labels, seed=8)
    for targets, word in ((torch.zeros_like(y), "positive"), (torch.ones_like(y), "negative")):
        value = probe.total(z, targets)
        if not math.isfinite(value):
            yield f"a batch without a {word} costs {value}"
    if probe.total(z, y) != probe.total(z, y):
        yield _RANDOM


def _against_the_targets(probe: Probe) -> Iterator[str]:
    """Yield that a loss rewards wrong predictions, if it does."""
    _, y = random_batch(probe.n_labels, seed=8)
    right, wrong = (probe.total(side * 3 * (2 * y - 1), y) for side in (1, -1))
    if right > wrong:
        yield "right predictions cost more than wrong ones: its sign is turned, so training goes away from the targets"


def _checked_claims(claimed: Mapping[str, float]) -> dict[str, float]:
    """Return alpha and gamma as the caller states them, without those that are None."""
    if not isinstance(claimed, Mapping):
        raise UsageError(f"claimed is {claimed!r}; pass a dict such as {{'gamma': 2.0}}")
    for name in claimed:
        check_choice("claim", name, ("alpha", "gamma"))
    return {
        name: check_number(f"claimed[{name!r}]", value, 0.0) for name, value in claimed.items() if value is not None
    }


def _claims(function: Callable[..., Tensor]) -> dict[str, float]:
    """Return alpha and gamma as the function itself states them, where they are numbers."""
    found: dict[str, object] = {}
    if isinstance(function, functools.partial):
        found = _claims(function.func) | {key: function.keywords[key] for key in function.keywords}
    elif inspect.isfunction(function):
        found = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    elif isinstance(function, nn.Module) or not inspect.isroutine(function):
        found = {name: getattr(function, name, None) for name in ("alpha", "gamma")}
    numbers = {}
    for name in ("alpha", "gamma"):
        value = found.get(name)
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            numbers[name] = float(value)
    return numbers


def _against_claims(match: Match, claimed: Mapping[str, float]) -> Iterator[str]:
    """Yield where the alpha and gamma that the values show differ from those that the function is meant to have."""
    form = match.form
    if form is None or match.name not in ("bce", "weighted_bce", "focal", "afl"):
        return
    (a, b), gamma, alpha = form.weight, claimed.get("gamma"), claimed.get("alpha")
    found = form.gamma[0]
    if gamma is not None and len(found) == 1 and not near(found[0], gamma, 1e-3):
        yield f"gamma acts as {found[0]:g}, not as {gamma:g}"
    if alpha is None or len(a) > 1 or len(b) > 1 or near(alpha, 1, 1e-3):
        return
    plus, minus = float(a[0]), float(b[0])
    if near(plus, 1 - alpha, 1e-3) and near(minus, alpha, 1e-3) and not near(alpha, 0.5, 1e-3):
        yield f"alpha is on the wrong side: {alpha:g} weighs the negatives, and positives get {1 - alpha:g}"
    elif near(plus, alpha, 1e-3) and near(minus, alpha, 1e-3) and not near(alpha, 0.5, 1e-3):
        yield "alpha multiplies positives and negatives alike, so it scales the loss and balances nothing"
    elif near(plus, 1, 1e-3) and near(minus, 1, 1e-3):
        yield f"alpha has no effect, although it is {alpha:g}"
