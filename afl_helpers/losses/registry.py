"""Every loss by name, and the function that builds it."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError, check_choice
from afl_helpers.gamma import check_counts
from afl_helpers.losses import (
    adaptive_focal,
    asymmetric,
    asymmetric_polynomial,
    cross_entropy,
    focal,
    gradient_balanced,
    log_sum_exp,
    logit_adjustment,
    margins,
    missing_labels,
    partial,
    rebalanced,
    soft_f1,
    weighted_asymmetric,
)
from afl_helpers.losses.base import LossInfo, MultiLabelLoss

_FAMILIES = (
    cross_entropy,
    focal,
    adaptive_focal,
    asymmetric,
    asymmetric_polynomial,
    weighted_asymmetric,
    margins,
    partial,
    rebalanced,
    logit_adjustment,
    missing_labels,
    gradient_balanced,
    soft_f1,
    log_sum_exp,
)

#: Name of a loss -> its entry.
LOSSES: dict[str, LossInfo] = {name: info for family in _FAMILIES for name, info in family.ENTRIES.items()}

#: Parameters that are lists of another length than the number of labels.
_NOT_PER_LABEL = frozenset({"bounds", "gammas", "limits"})


def build_loss(
    name: str, label_counts: ArrayLike | None = None, n_documents: int | None = None, **params: Any
) -> MultiLabelLoss:
    """Build a loss by its name in :data:`LOSSES`; every name takes the same arguments.

    Args:
        name: a key of :data:`LOSSES`.
        label_counts: (n_labels,) number of training documents with each label; only some losses need it.
        n_documents: number of training documents; only some losses need it.
        params: parameters of that loss, see ``LOSSES[name].parameters``.

    Returns:
        The loss, a module of logits and targets, both (..., n_labels).

    Raises:
        UsageError: an unknown name or parameter (the message lists the valid ones), missing counts, or a value that the
            loss does not take.

    Example:
        >>> from afl_helpers.losses import build_loss
        >>> build_loss("afl", label_counts=[100, 40, 10], n_documents=200).gamma.tolist()
        [1.0, 2.5, 5.0]
        >>> build_loss("focal", gama=2.0)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: unknown parameter of loss 'focal': 'gama' (did you mean 'gamma'?); ...
    """
    check_choice("loss", name, LOSSES)
    info = LOSSES[name]
    for parameter in params:
        check_choice(f"parameter of loss {name!r}:", parameter, info.parameters)
    if not info.needs_counts:
        loss = info.build(**params)
    elif label_counts is None or n_documents is None:
        raise UsageError(f"loss {name!r} depends on class frequency; pass label_counts and n_documents")
    else:
        if getattr(n_documents, "ndim", None) == 0:
            n_documents = n_documents.item()  # type: ignore[attr-defined]  # of numpy or torch
        loss = info.build(label_counts, n_documents, **params)
    n_labels = None if label_counts is None else len(check_counts(label_counts))
    if loss.n_labels is not None and n_labels not in (None, loss.n_labels):
        raise UsageError(
            f"parameters of loss {name!r} have {loss.n_labels} labels, label_counts has {n_labels}; pass one number per"
            " label in each"
        )
    return loss


def check_loss(name: str, params: Mapping[str, Any]) -> None:
    """Refuse a loss or parameters that :func:`build_loss` would refuse, before there are counts.

    Args:
        name: a key of :data:`LOSSES`.
        params: parameters of that loss.

    Raises:
        UsageError: an unknown name or parameter, or a value that the loss does not take.

    Example:
        >>> from afl_helpers.losses import check_loss
        >>> check_loss("afl", {"base_gamma": 2.0})
        >>> check_loss("focal", {"gama": 2.0})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: unknown parameter of loss 'focal': 'gama' (did you mean 'gamma'?); ...
    """
    # Any counts will do that have a number for each label of the parameters and allow for their co-occurrence.
    counts, n_documents = np.array([1.0, 2.0]), 4
    lengths = [_shape(value)[0] for key, value in params.items() if key not in _NOT_PER_LABEL and _shape(value)]
    if lengths and lengths[0]:
        counts, n_documents = np.arange(1.0, lengths[0] + 1), 2 * lengths[0]
    shared = params.get("cooccurrence")
    if shared is not None and not hasattr(shared, "toarray") and len(_shape(shared)) == 2 and all(_shape(shared)):
        counts = np.nan_to_num(np.asarray(shared, dtype=np.float64)).clip(min=1).max(1)
        n_documents = int(2 * counts.max())
    with warnings.catch_warnings():  # of gammas too large for these counts
        warnings.simplefilter("ignore")
        build_loss(name, counts, n_documents, **params)


def _shape(value: object) -> tuple[int, ...]:
    """Return the shape of a list, an array or a tensor; () of a number, a name, and of what is no array."""
    try:
        return tuple(np.shape(value))  # type: ignore[call-overload]  # whether it is an array is what is found out
    except ValueError:  # rows of different lengths
        return ()
