"""From label counts to a gamma per class: every reading of the paper's Eq. 2, named.

Eq. 2 is ``gamma_c = base_gamma / f_c`` with ``f_c`` "the normalised frequency of class c". The paper does not say
what the frequency is normalised by; each entry of :data:`NORMALIZATIONS` is one answer.
"""

import numpy as np
from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError, unknown_name

#: Name of a reading -> its formula, in which n is a label's count, N the number of documents, g the base gamma.
NORMALIZATIONS = {
    "documents": "g / (n / N)",
    "labels": "g / (n / sum n)",
    "max": "g / (n / max n)",
    "mean": "g / (n / mean n)",
    "median": "g / (n / median n)",
    "sqrt": "g * sqrt(max n / n)",
    "log10": "g * (1 + log10(max n / n))",
    "information": "g * ln(N / n) / mean ln(N / n)",
}


def check_counts(label_counts: ArrayLike, n_documents: int) -> np.ndarray:
    """The counts as float64 of shape (n_labels,), or an error that names what is wrong with them.

    Args:
        label_counts: (n_labels,) number of documents that carry each label; a tensor may lie on a GPU.
        n_documents: number of documents.

    Returns:
        (n_labels,) float64.

    Raises:
        UsageError: another shape, a negative or non-finite count, one above ``n_documents``, or no documents.

    Example:
        >>> from afl_helpers.gamma import check_counts
        >>> check_counts([60, 3], n_documents=100).tolist()
        [60.0, 3.0]
        >>> check_counts([60, 3], n_documents=50)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: label_counts has 60 at label 0, more than n_documents = 50; ...
    """
    if hasattr(label_counts, "cpu"):  # a tensor, perhaps on a GPU
        label_counts = label_counts.cpu()
    counts = np.asarray(label_counts, dtype=np.float64)
    if counts.ndim != 1 or counts.size == 0:
        raise UsageError(f"label_counts has shape {counts.shape}; pass one count per label, shape (n_labels,)")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise UsageError("label_counts holds a negative or non-finite count; pass the number of documents per label")
    if not n_documents > 0:
        raise UsageError(f"n_documents is {n_documents}; pass the number of training documents, at least 1")
    if counts.max() > n_documents:
        raise UsageError(
            f"label_counts has {counts.max():g} at label {counts.argmax()}, more than n_documents = {n_documents}; "
            "both must be counted on the same documents"
        )
    return counts


def class_gamma(
    label_counts: ArrayLike,
    n_documents: int,
    base_gamma: float = 2.0,
    normalization: str = "mean",
    bounds: tuple[float, float] | None = (0.5, 5.0),
) -> np.ndarray:
    """One focusing parameter per class from how often each class occurs (the paper's Eq. 2).

    Args:
        label_counts: (n_labels,) number of training documents that carry each label. A label without any is treated as
            if it had one, so that its gamma is finite under every reading.
        n_documents: number of training documents.
        base_gamma: the paper's ``base_gamma``, at least 0; its value is not stated there.
        normalization: the reading of "normalised frequency", a key of :data:`NORMALIZATIONS`.
        bounds: (lowest, highest) gamma, or None for none. ``normalization="documents", bounds=None`` is Eq. 2 to the
            letter; the default, "mean" within (0.5, 5), is our reading of it.

    Returns:
        (n_labels,) float64, larger for rarer labels.

    Raises:
        UsageError: an unknown reading, counts that cannot be, a negative base or bounds out of order.

    Example:
        >>> from afl_helpers.gamma import class_gamma
        >>> counts = [100, 40, 10]  # 50 on average
        >>> class_gamma(counts, n_documents=200).tolist()  # 2 * 50 / n; the rare label's 10 is held at the upper bound
        [1.0, 2.5, 5.0]
        >>> class_gamma(counts, n_documents=200, normalization="documents", bounds=None).tolist()  # 2 * 200 / n
        [4.0, 10.0, 40.0]
    """
    if normalization not in NORMALIZATIONS:
        raise unknown_name("normalization", normalization, NORMALIZATIONS)
    counts = check_counts(label_counts, n_documents)
    if isinstance(base_gamma, str) or not (np.isfinite(base_gamma) and base_gamma >= 0):
        raise UsageError(f"base_gamma is {base_gamma}; pass a finite number of at least 0")
    if bounds is not None and not 0 <= bounds[0] <= bounds[1]:
        raise UsageError(f"bounds is {bounds}; pass (lowest, highest) with 0 <= lowest <= highest, or None")

    n = np.maximum(counts, 1.0)
    if normalization == "information":
        bits = np.log(np.maximum(n_documents / n, 1.0))
        # Every label in every document: none is rarer than another, each keeps the base.
        relative = bits / bits.mean() if bits.any() else np.ones_like(bits)
    elif normalization == "sqrt":
        relative = np.sqrt(n.max() / n)
    elif normalization == "log10":
        relative = 1.0 + np.log10(n.max() / n)
    else:
        reference = {
            "documents": float(n_documents),
            "labels": n.sum(),
            "max": n.max(),
            "mean": n.mean(),
            "median": np.median(n),
        }[normalization]
        relative = reference / n
    gamma = base_gamma * relative
    return gamma if bounds is None else np.clip(gamma, *bounds)


#: Which label gets which gamma: the method itself, and the controls that tell "adaptive" from "larger".
ASSIGNMENTS = ("frequency", "shuffled", "reversed", "mean")


def assign_gamma(gamma: ArrayLike, assignment: str = "frequency", seed: int = 0) -> np.ndarray:
    """The same gammas handed to the labels in another way; the controls of a study of adaptive gamma.

    Args:
        gamma: (n_labels,) as :func:`class_gamma` returns them.
        assignment: ``"frequency"`` leaves them; ``"shuffled"`` permutes them over the labels; ``"reversed"`` replaces
            each by max + min - gamma, so that frequent labels get the large ones; ``"mean"`` gives every label their mean.
        seed: of the permutation.

    Returns:
        (n_labels,) float64, a new array.

    Raises:
        UsageError: an unknown assignment.

    Example:
        >>> from afl_helpers.gamma import assign_gamma
        >>> gamma = [1.0, 2.0, 6.0]
        >>> assign_gamma(gamma, "reversed").tolist(), assign_gamma(gamma, "mean").tolist()
        ([6.0, 5.0, 1.0], [3.0, 3.0, 3.0])
        >>> sorted(assign_gamma(gamma, "shuffled", seed=1).tolist())  # the same values, whoever gets them
        [1.0, 2.0, 6.0]
    """
    gamma = np.array(gamma, dtype=np.float64)
    if assignment == "frequency":
        return gamma
    if assignment == "shuffled":
        return np.random.default_rng(seed).permutation(gamma)
    if assignment == "reversed":
        return gamma.max() + gamma.min() - gamma
    if assignment == "mean":
        return np.full_like(gamma, gamma.mean())
    raise unknown_name("assignment", assignment, ASSIGNMENTS)


def positive_gradient(gamma: ArrayLike, logits: ArrayLike = 0.0) -> np.ndarray:
    """Size of the gradient by its logit that focal loss gives one positive: ``q^gamma (q - gamma p ln p)``, q = 1 - p.

    Args:
        gamma: any shape, at least 0.
        logits: of the positive, a shape that broadcasts with ``gamma``; 0 is where a head with no bias starts.

    Returns:
        float64 of the broadcast shape. Below about 1e-10 Adam, whose epsilon is 1e-8, hardly moves the weights.

    Example:
        >>> from afl_helpers.gamma import positive_gradient
        >>> positive_gradient([0.0, 2.0]).round(4).tolist()  # at gamma 0 that of cross-entropy, 1 - p
        [0.5, 0.2983]
        >>> bool(positive_gradient(40.0) < 1e-10)  # a label with this gamma hardly trains
        True
    """
    gamma, logits = np.asarray(gamma, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    log_p, log_q = -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)
    return np.exp(gamma * log_q) * (np.exp(log_q) - gamma * np.exp(log_p) * log_p)
