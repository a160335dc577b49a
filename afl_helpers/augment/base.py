"""What every change of the training split shares: the interface, the checks, and the form of a registry entry."""

import copy
import dataclasses
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.arrays import check_row_order, is_number, refuse_masked
from afl_helpers.arrays import dense as as_dense
from afl_helpers.errors import UsageError, unknown_name

#: What a method works on: "anything" with one row per document, dense vectors, or texts.
Takes = Literal["anything", "vectors", "texts"]
#: How well the source of a method is known. With the last two, no algorithm was published or reachable.
Grade = Literal["code read", "paper known", "abstract only", "title only"]


class Augmented(NamedTuple):
    """Documents, their labels, and the position of the document that each row is a copy of or was made from."""

    documents: Any
    labels: Any
    positions: NDArray[np.int64]


class Parametrized:
    """A method whose parameters are the fields of a dataclass; they are checked when they are set and when it is used."""

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        """Raise UsageError if a parameter has a wrong value."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, as scikit-learn does."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]  # subclasses are dataclasses

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, as scikit-learn does, and return the object; refused ones change nothing."""
        changed = copy.copy(self)
        for name, value in params.items():
            if name not in self.get_params():
                raise unknown_name("parameter", name, self.get_params())
            setattr(changed, name, value)
        changed._check()
        for name, value in params.items():
            setattr(self, name, value)
        return self


class Augmentation(Parametrized, ABC):
    """A change of the training split: documents are repeated, left out, changed or made.

    The interface is that of a sampler of imbalanced-learn, so an object works in its pipelines too. Pass the training
    split only: counts, neighbours and everything else that a method needs come from the arrays that it is given.

    Attributes:
        takes: "anything" with one row per document, "vectors" or "texts".
        sample_indices_: set by :meth:`fit_resample`; int64 of shape (n_resampled,). Position of the document that each
            row is a copy of, or was made from. :class:`~afl_helpers.augment.plain_copies.PlainCopies` takes these.
    """

    takes: ClassVar[Takes]
    sample_indices_: NDArray[np.int64]

    def fit_resample(self, X: Any, Y: Any, rng: int | np.random.Generator | None = 0) -> tuple[Any, Any]:
        """Return the changed training split.

        Args:
            X: one row per document. A method that takes "vectors" needs a dense array of shape (n_documents,
                n_features), and one that takes "texts" a list of strings; the others also take sparse matrices,
                lists, data frames, dense tensors, and the columns and tables of pyarrow and datasets.
            Y: 0 or 1, dense or sparse, of shape (n_documents, n_labels).
            rng: a seed, or a numpy Generator; the same seed gives the same result. With None, each call differs.

        Returns:
            The documents, in the type of X (of scipy's sparse matrices always ``csr_array``), and their labels: a sparse
            array if Y is one of scipy, else a numpy array.
            Vectors are a numpy array, texts a list, and so are sequences of a type that is not named above. Documents
            that a method makes stand at the end.

        Raises:
            UsageError: a parameter has a wrong value; X or Y has another form, values that are not finite, or labels
                other than 0 and 1; or they have the same index in another order.
        """
        self._check()
        self._check_order(X, Y)
        Y = sparse.csr_array(Y) if is_sparse(Y) else as_dense(Y, "labels in Y")
        labels = check_labels(Y)
        X = _CHECKS[self.takes](X)
        if (n := n_rows(X)) != len(labels):
            raise UsageError(f"X has {n} documents and Y has {len(labels)} rows; pass one row of labels per document")
        result = self._augment(Augmented(X, Y, np.arange(n)), labels, as_generator(rng))
        self.sample_indices_ = result.positions
        return result.documents, result.labels

    def _check_order(self, X: Any, Y: Any) -> None:
        """Raise UsageError if arguments name the same documents or labels in different orders."""
        check_row_order(X=X, Y=Y)

    @abstractmethod
    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        """Return the changed documents; ``labels`` are those of ``data``, dense."""


class Selection(Augmentation):
    """A change that repeats documents or leaves them out, and changes none."""

    takes: ClassVar[Takes] = "anything"

    @abstractmethod
    def _choose(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the positions of the documents of the changed split."""

    def _augment(self, data: Augmented, labels: NDArray[np.bool], rng: np.random.Generator) -> Augmented:
        positions = self._choose(data, labels, rng)
        lost = int((labels.any(axis=0) & ~labels[positions].any(axis=0)).sum())
        if lost:
            lose = "1 label loses all its documents" if lost == 1 else f"{lost} labels lose all their documents"
            what = lose if len(positions) else "no document is left"
            warnings.warn(f"{type(self).__name__}: {what}; leave out fewer", stacklevel=3)
        return Augmented(take(data.documents, positions), take(data.labels, positions), positions)


@dataclass(frozen=True)
class AugmentationInfo:
    """A registry entry: what a method is, where it comes from, and what a study tunes.

    Args:
        title: long words, for tables and plots.
        build: the class.
        source: the work that the method comes from.
        grade: how well that work is known. If only its abstract or title is, the method is our construction.
        tuned: the one parameter that a study tunes.
        values: values of it that are worth trying.
        neutral: parameters with which the method returns its input unchanged.
        fixed: parameters that tell this entry from others of the same class.
        cited: the number of the work in the paper's list of references, if it has one.
        differs: how the method here differs from that work, in a sentence without a full stop; "" if it does not, or if
            the method is our construction as a whole.

    Example:
        >>> from afl_helpers.augment import AUGMENTATIONS
        >>> AUGMENTATIONS["ml_ros"].tuned, AUGMENTATIONS["ml_ros"].takes
        ('rate', 'anything')
    """

    title: str
    build: Callable[..., Augmentation]
    source: str
    grade: Grade
    tuned: str
    values: tuple[Any, ...]
    neutral: Mapping[str, Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    cited: str | None = None
    differs: str = ""

    @property
    def takes(self) -> Takes:
        """What the method works on."""
        return self.build.takes  # type: ignore[attr-defined]  # build is a class of Augmentation

    @property
    def is_ours(self) -> bool:
        """Whether the method is our construction, because no algorithm of its source is known."""
        return self.grade in ("abstract only", "title only")

    @property
    def attribution(self) -> str:
        """Where the method comes from and how it differs from its source, as it must be shown."""
        text = f"our construction after {self.source} ({self.grade})" if self.is_ours else self.source
        return f"{text}: {self.differs}" if self.differs else text


def is_sparse(data: Any) -> bool:
    """Return whether the data are a sparse matrix; unlike scipy's own function, it narrows no type."""
    return bool(sparse.issparse(data))


def is_tensor(data: Any) -> bool:
    """Return whether the data are a tensor of torch, which need not be imported to tell."""
    return hasattr(type(data), "detach")


def take(data: Any, positions: NDArray[np.int64]) -> Any:
    """Return the rows at the positions, in the type of the data, or as a list if the type is no known one."""
    if hasattr(data, "iloc"):
        return data.iloc[positions]
    if isinstance(data, np.ndarray) or is_sparse(data) or is_tensor(data):
        return data[positions]
    package = type(data).__module__.partition(".")[0]  # others have methods of these names that mean something else
    if package == "pyarrow" and hasattr(data, "take"):
        return data.take(positions)
    if package == "datasets" and hasattr(data, "select"):
        return data.select(positions)
    return [data[i] for i in positions.tolist()]


def append(data: Any, rows: Any) -> Any:
    """Return the data with rows appended, in the type of the data: an array, sparse matrix or list."""
    if is_sparse(data):
        kept = sparse.csr_array(data)
        return sparse.vstack([kept, sparse.csr_array(np.asarray(rows, dtype=kept.dtype))], format="csr")
    if isinstance(data, np.ndarray):
        return np.concatenate([data, np.asarray(rows, dtype=data.dtype).reshape(len(rows), *data.shape[1:])])
    return [*data, *rows]


def appended(
    data: Augmented, documents: Any, labels: NDArray[Any], positions: Sequence[int] | NDArray[Any]
) -> Augmented:
    """Return the data with new documents, their labels, and the position of the document each was made from."""
    if not len(positions):
        return data
    new = np.asarray(positions, dtype=np.int64)
    return Augmented(append(data.documents, documents), append(data.labels, labels), np.append(data.positions, new))


def check_number(
    name: str, value: Any, low: float, high: float = math.inf, *, integer: bool = False, infinite: bool = False
) -> None:
    """Raise UsageError unless the value is a number, or an integer, from ``low`` to ``high``; inf only if ``infinite``."""
    kinds = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    fits = not isinstance(value, bool | np.bool) and isinstance(value, kinds) and low <= value <= high
    endless = fits and value == math.inf
    if not fits or (endless and not infinite):
        kind = "an integer" if integer else "a finite number" if endless else "a number"
        bounds = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise UsageError(f"{name} is {value!r}; pass {kind} {bounds}")


def passes(documents: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ``n`` of the documents, each as often as every other, up to one that chance decides."""
    whole, rest = divmod(n, max(len(documents), 1))
    return np.concatenate([np.tile(documents, whole), rng.permutation(documents)[:rest]])


def as_generator(rng: Any) -> np.random.Generator:
    """Return a seed or a generator as a generator; raise UsageError for anything else."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise UsageError(f"rng is {rng!r}; pass a seed of at least 0, a numpy Generator, or None") from None


def n_rows(documents: Any) -> int | None:
    """Return the number of documents; None of what has no rows."""
    shape = getattr(documents, "shape", None)
    if isinstance(shape, tuple):
        return shape[0] if shape else None
    return len(documents) if hasattr(documents, "__len__") else None


def check_labels(labels: Any) -> NDArray[np.bool]:
    """Return labels as a dense array; raise UsageError unless they are 0 or 1, of shape (n_documents, n_labels)."""
    dense: NDArray[Any] = sparse.csr_array(labels).toarray() if is_sparse(labels) else as_dense(labels, "labels in Y")
    if dense.ndim != 2:
        raise UsageError(f"Y has shape {dense.shape}; pass (n_documents, n_labels)")
    if dense.dtype.kind in "buif":
        known = dense.dtype == bool or bool(np.isin(dense, (0, 1)).all())
    else:  # each alone: a missing value of pandas has no comparison with a number
        known = all(is_number(value) and value in (0, 1) for value in dense.flat)
    if not known:
        raise UsageError("Y has values other than 0 and 1; pass 1 where a document carries a label, else 0")
    return dense.astype(bool)


def check_vectors(vectors: Any) -> NDArray[Any]:
    """Return vectors as a dense array of floats; raise UsageError unless they are finite and have two dimensions."""
    if is_sparse(vectors):
        raise UsageError("X is sparse; pass dense vectors, such as embeddings or the output of TruncatedSVD")
    refuse_sparse_tensor(vectors)
    refuse_masked("vectors in X", vectors)
    try:
        dense = as_dense(vectors, "vectors in X")
        dense = dense if dense.dtype.kind in "fc" else dense.astype(np.float64)
    except (TypeError, ValueError):
        raise UsageError("X has values that are not numbers; pass vectors of shape (n_documents, n_features)") from None
    if dense.dtype.kind == "c":
        raise UsageError("X has complex values; pass real numbers, such as their absolute values")
    if dense.ndim != 2 or not dense.shape[1]:
        raise UsageError(f"X has shape {dense.shape}; pass vectors of shape (n_documents, n_features)")
    if not np.isfinite(dense).all():
        raise UsageError("X has values that are not finite; leave out or mend those documents")
    return dense


def _check_documents(documents: Any) -> Any:
    # A mapping or a set has no rows in order.
    if isinstance(documents, str | bytes | Mapping | set | frozenset) or n_rows(documents) is None:
        raise UsageError(f"X is {documents!r:.40}; pass one row or text per document")
    refuse_sparse_tensor(documents)
    refuse_masked("documents in X", documents)
    return sparse.csr_array(documents) if is_sparse(documents) else documents


def refuse_sparse_tensor(X: Any) -> None:
    """Raise UsageError if X is a sparse tensor, whose rows cannot be taken."""
    if is_tensor(X) and str(X.layout) != "torch.strided":
        raise UsageError("X is a sparse tensor; pass X.to_dense(), or a sparse array of scipy")


def _check_texts(texts: Any) -> list[str]:
    texts = _check_documents(texts)
    texts = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)  # columns of pyarrow
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"X[{i}] is {type(text).__name__}; pass a list of strings")
    return texts


_CHECKS: dict[Takes, Callable[[Any], Any]] = {
    "anything": _check_documents,
    "vectors": check_vectors,
    "texts": _check_texts,
}
