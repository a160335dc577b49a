"""Splits and samples of an asked size in which every label has about the same share; `stratification` has the method."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data.stratification import (
    Labels,
    Numbers,
    Units,
    even_out,
    keep_labels_in_train,
    stratify,
    text_units,
)
from afl_helpers.errors import UsageError

# A split may miss the share that was asked for by this part of it.
SIZE_TOLERANCE = 0.01


def stratified_split(
    ids: Sequence[str], texts: Sequence[str], labels: Labels, sizes: Sequence[float | None], *, seed: int
) -> Numbers:
    """Assign each document to a split.

    Args:
        ids: a unique id per document, which decides with the seed in which order documents are placed.
        texts: one per document; equal texts stay together.
        labels: 0 or 1, of shape (n_documents, n_labels).
        sizes: the size of each split, the training split first: a share of the documents (0 to 1), a whole number of
            documents (from 2), or None for the rest.
        seed: the same seed gives the same splits.

    Returns:
        int64 of shape (n_documents,): for each document the position of its split in `sizes`.

    Raises:
        UsageError: the sizes cannot be had, or the seed is not a whole number from 0.

    Warns:
        UserWarning: a size is missed by more than 1 % and more than one document, or training lacks a label.
    """
    asked = asked_sizes(sizes, len(texts))
    targets = _rounded(asked, len(texts))
    units = Units(ids, text_units(texts), labels, seed)
    in_numbers = any(_is_number_of_documents(size) for size in sizes)
    allowed = np.zeros(asked.size) if in_numbers else np.maximum(SIZE_TOLERANCE * asked, 1)
    tolerance = max(float(np.min(allowed - np.abs(targets - asked))), 0)
    splits, fits = stratify(units, targets, seed, tolerance=tolerance)
    has_train = bool(asked[0] > 0)
    if has_train:
        keep_labels_in_train(splits, units, exactly=in_numbers)
    even_out(splits, units, targets, train=has_train)
    missed = np.abs(np.bincount(splits, units.weights, minlength=asked.size) - asked)
    # Less than one document is rounding.
    if np.any(missed > np.maximum(allowed, 1 - 1e-6)):
        _warn_of_sizes(splits, units, asked, fits)
    if has_train:
        _warn_of_labels(splits, units)
    return splits[units.of_document]


def stratified_sample(
    ids: Sequence[str], texts: Sequence[str], labels: Labels, n_sampled: int, *, seed: int
) -> NDArray[np.bool]:
    """Choose exactly `n_sampled` validation documents, stratified as in `stratified_split`.

    Returns:
        bool of shape (n_documents,): True for the chosen documents. The others keep every label.

    Raises:
        UsageError: `n_sampled` is negative or leaves no document, or repeated texts or rare labels make it impossible.
    """
    n_documents = len(texts)
    if (
        isinstance(n_sampled, bool)
        or not isinstance(n_sampled, int | np.integer)
        or not 0 <= n_sampled < max(n_documents, 1)
    ):
        raise UsageError(
            f"validation is {n_sampled!r}; pass a whole number between 0 and {n_documents - 1}, "
            f"because there are {n_documents} training documents"
        )
    units = Units(ids, text_units(texts), labels, seed)
    targets = np.array([n_documents - n_sampled, n_sampled])
    splits, _ = stratify(units, targets, seed)
    keep_labels_in_train(splits, units, exactly=False)
    if units.weights[splits == 1].sum() != n_sampled:
        raise UsageError(
            f"no split was found that holds exactly {n_sampled} validation documents and every label in training; "
            "ask for fewer documents"
        )
    even_out(splits, units, targets, train=True)
    return np.equal(splits, 1)[units.of_document]


def random_sample(ids: Sequence[str], labels: Labels, n_sampled: int, *, seed: int) -> NDArray[np.bool]:
    """Choose exactly `n_sampled` documents, stratified; of equal texts some can be chosen and others not.

    Returns:
        bool of shape (n_documents,): True for the chosen documents, which hold every label if there are enough of them.
    """
    n_documents = len(ids)
    units = Units(ids, np.arange(n_documents), labels, seed)
    targets = np.array([n_sampled, n_documents - n_sampled])
    splits, _ = stratify(units, targets, seed)
    keep_labels_in_train(splits, units, exactly=True)
    even_out(splits, units, targets, train=True)
    return np.equal(splits, 0)[units.of_document]


def repeats(texts: Sequence[str], held_out: NDArray[np.bool]) -> NDArray[np.bool]:
    """Return which held-out texts also stand outside, but for case and white space: bool of shape (n_documents,)."""
    units = text_units(texts)
    return held_out & np.isin(units, units[~held_out])


# --- sizes ------------------------------------------------------------------------------------------------------------


def asked_sizes(sizes: Sequence[float | None], n_documents: int) -> NDArray[np.float64]:
    """Return the size of each split in documents, which need not be whole where shares are asked for.

    Raises:
        UsageError: a size is neither a share nor a whole number, or together they are not all documents.
    """
    shown = ", ".join(str(size) for size in sizes)
    given = [size for size in sizes if size is not None]
    if any(isinstance(size, bool) or not isinstance(size, int | float | np.number) for size in given):
        raise UsageError(f"the sizes of a split are numbers, or None for the rest, not ({shown})")
    if all(0 <= size <= 1 for size in given) and len(given) == len(sizes):
        if not math.isclose(math.fsum(given), 1.0, abs_tol=1e-9):
            raise UsageError(f"the shares of a split must sum to 1, not ({shown}); or pass None for the rest")
        return np.array(given, dtype=np.float64) * n_documents
    if any(not (0 <= size <= 1 or _is_number_of_documents(size)) for size in given):
        raise UsageError(
            f"the sizes of a split are shares that sum to 1, whole numbers of documents, or None for the rest, "
            f"not ({shown})"
        )
    if len(sizes) - len(given) > 1:
        raise UsageError(f"the sizes of a split are ({shown}); pass None for one split at most")
    documents = [float(size) if _is_number_of_documents(size) else float(size) * n_documents for size in given]
    rest = n_documents - math.fsum(documents)
    if rest < -1e-6:
        raise UsageError(f"a split of ({shown}) needs more than the {n_documents:,} documents there are; ask for fewer")
    if len(given) == len(sizes) and rest > 1e-6:
        raise UsageError(
            f"a split of ({shown}) leaves out some of the {n_documents:,} documents; pass None for one split"
        )
    filled = iter(documents)
    return np.array([max(rest, 0.0) if size is None else next(filled) for size in sizes], dtype=np.float64)


def _is_number_of_documents(size: float | None) -> bool:
    return isinstance(size, (int, np.integer)) and size > 1


def _rounded(asked: NDArray[np.float64], n_documents: int) -> Numbers:
    """Return whole numbers with a sum of `n_documents`; the largest fractions are rounded up."""
    whole = np.floor(asked + 1e-6).astype(np.int64)
    up = np.argsort(-(asked - whole), kind="stable")[: n_documents - whole.sum()]
    whole[up] += 1
    return whole


def _warn_of_sizes(splits: Numbers, units: Units, asked: NDArray[np.float64], fits: bool) -> None:
    sizes = np.bincount(splits, units.weights, minlength=asked.size)
    found, wanted = (", ".join(f"{size:,.0f}" for size in row) for row in (sizes, asked))
    repeated = f"equal texts stay together (one stands {units.weights.max():,} times)"
    reason = "every label is kept in training" if fits else repeated
    warnings.warn(f"the splits hold {found} documents instead of {wanted}, because {reason}", stacklevel=4)


def _warn_of_labels(splits: Numbers, units: Units) -> None:
    in_train = splits == 0
    n_missing = np.unique(units.labels.indices).size - np.unique(units.labels[in_train].indices).size
    if n_missing:
        warnings.warn(
            f"{n_missing:,} labels do not occur in the {units.weights[in_train].sum():,} training documents; "
            "ask for more of them",
            stacklevel=4,
        )
