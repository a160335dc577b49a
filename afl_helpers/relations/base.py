"""What every method that uses relations between labels shares: the interface, the checks, and the registry entry."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.arrays import check_row_order, dense, is_whole, refuse_masked
from afl_helpers.augment.base import (
    Parametrized,
    as_generator,
    check_labels,
    check_vectors,
    is_sparse,
    refuse_sparse_tensor,
)
from afl_helpers.errors import UsageError
from afl_helpers.evaluation.validation import SeenLabels, check_label_order, seen_labels
from afl_helpers.relations.hierarchy import Hierarchy

#: What a method works on: dense vectors; any features, also sparse word counts and token states; the states of the
#: tokens of each document; or the scores of another model.
Takes = Literal["vectors", "features", "token states", "scores"]
#: How well the source of a method is known.
Grade = Literal["code read", "paper known", "summary read", "textbook"]


class Model(ABC):
    """A fitted method.

    Attributes:
        takes: what :meth:`scores` takes, as in :class:`Relation`.
        n_labels: the number of labels.
    """

    takes: Takes
    n_labels: int
    _width: int | None
    #: Set by :meth:`Relation.fit`: the form of X, and the columns of X, or of Y for a method that takes "scores".
    _form: str | None = None
    _columns: SeenLabels | None = None

    def __init__(self, takes: Takes, n_labels: int, width: int | None) -> None:
        self.takes, self.n_labels, self._width = takes, n_labels, width

    def scores(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each label, (n_documents, n_labels).

        Args:
            X: what the method was fitted on, in the same form; for a method that takes "scores", the scores of another
                model, (n_documents, n_labels), from 0 to 1.

        Raises:
            UsageError: X has another form or width, or the columns in another order.
        """
        columns = seen_labels(X)
        if self.takes == "scores":
            check_label_order({"Y": self._columns, "X": X})
        X = check_input(self.takes, X)
        if self._form not in (None, form_of(X)):
            raise UsageError(f"X is {form_of(X)}, but the model was fitted on {self._form}; pass X in that form")
        if (width := width_of(X)) != (self._width or width):
            raise UsageError(
                f"X has {width} columns, but the model was fitted on {self._width}; pass the same features"
            )
        if columns and self._columns and set(columns.names) == set(self._columns.names) and columns != self._columns:
            at, (name, fitted) = next(
                (i, pair) for i, pair in enumerate(zip(columns.names, self._columns.names)) if pair[0] != pair[1]
            )
            raise UsageError(
                f"X has the columns of fit in another order, {name!r} for {fitted!r} at {at}; pass them in the order of fit"
            )
        return self._scores(X)

    @abstractmethod
    def _scores(self, X: Any) -> NDArray[np.float64]:
        """Return the scores for checked input."""


class Relation(Parametrized, ABC):
    """A method that uses what labels have to do with each other.

    Pass the training split only: counts, hierarchies and everything else that a method learns come from the arrays that
    it is given.

    Attributes:
        takes: "vectors": a dense array of shape (n_documents, n_features), such as embeddings. "features": also a
            sparse one, such as word counts, or token states. "token states": one array of shape (n_tokens, width) per
            document, see :func:`~afl_helpers.relations.tokens.token_states`. "scores": the method re-ranks the scores
            of any model.
    """

    takes: ClassVar[Takes]

    def fit(self, X: Any, Y: Any, rng: int | np.random.Generator | None = 0) -> Model:
        """Fit the method to the training split and return a model, whose ``scores`` are those for other documents.

        Args:
            X: one row per document, in the form that ``takes`` says. A method that takes "scores" does not look at it:
                pass None.
            Y: 0 or 1, dense or sparse, of shape (n_documents, n_labels).
            rng: a seed, or a numpy Generator; the same seed gives the same model. With None, each call differs.

        Raises:
            UsageError: a parameter has a wrong value; X or Y has another form; or they do not fit together or to the
                hierarchy, whose labels must be the columns of Y, in their order, if Y is a data frame.
        """
        self._check()
        tree: Hierarchy | None = getattr(self, "hierarchy", None)
        if tree is not None and len(tree.edges):
            check_label_order({"hierarchy": SeenLabels(tree.names[: tree.n_labels]), "Y": Y})
        labels = check_labels(Y)
        if not labels.size:
            raise UsageError(f"Y has shape {labels.shape}; pass at least one document and one label")
        if self.takes == "scores":
            model = self._fit(None, labels, as_generator(rng))
            model._columns = seen_labels(Y)
            return model
        check_row_order(X=X, Y=Y)
        columns, X = seen_labels(X), check_input(self.takes, X)
        if (n := n_documents(X)) != len(labels):
            raise UsageError(f"X has {n} documents and Y has {len(labels)} rows; pass one row of labels per document")
        model = self._fit(X, labels, as_generator(rng))
        model._form, model._columns = form_of(X), columns
        return model

    @abstractmethod
    def _fit(self, X: Any, labels: NDArray[np.bool], rng: np.random.Generator) -> Model:
        """Return the fitted model."""


@dataclass(frozen=True)
class RelationInfo:
    """A registry entry: what a method is, where it comes from, and what a study tunes.

    Args:
        title: long words, for tables and plots.
        build: the class.
        source: the work that the method comes from.
        grade: how well that work is known.
        differs: how the method here differs from that work, in a sentence without a full stop; "" if it does not.
        tuned: the one parameter that a study tunes.
        values: values of it that are worth trying.
        neutral: parameters with which the method gives the scores of ``baseline`` bit for bit.
        baseline: the entry that it is compared with; "scores" if it is the scores that are passed in; None for a
            baseline.
        is_ours: whether the method is our construction, so that it must not be shown under the name of its source.
        fixed: parameters that tell this entry from others of the same class.
        cited: the number of the work in the paper's list of references, if it has one.

    Example:
        >>> from afl_helpers.relations import RELATIONS
        >>> info = RELATIONS["recursive_regularization"]
        >>> info.takes, info.tuned, info.baseline, dict(info.neutral)
        ('features', 'strength', 'linear_head', {'strength': 0})
    """

    title: str
    build: Callable[..., Relation]
    source: str
    grade: Grade
    differs: str
    tuned: str
    values: tuple[Any, ...]
    neutral: Mapping[str, Any] = field(default_factory=dict)
    baseline: str | None = None
    is_ours: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    cited: str | None = None

    @property
    def takes(self) -> Takes:
        """What the method works on."""
        return self.build.takes  # type: ignore[attr-defined]  # build is a class of Relation

    @property
    def uses_hierarchy(self) -> bool:
        """Whether the method has a parameter ``hierarchy``."""
        return "hierarchy" in self.build.__dataclass_fields__  # type: ignore[attr-defined]  # build is a dataclass

    @property
    def attribution(self) -> str:
        """Where the method comes from and how it differs from its source, as it must be shown."""
        text = f"our construction after {self.source}" if self.is_ours else self.source
        text += "" if self.grade == "textbook" else f" ({self.grade})"
        return f"{text}: {self.differs}" if self.differs else text


def check_input(takes: Takes, X: Any) -> Any:
    """Return X in the form that a method takes, or raise UsageError."""
    if takes == "scores":
        scores = check_vectors(X).astype(np.float64, copy=False)
        if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
            raise UsageError("X has scores outside 0 to 1; pass probabilities, for logits their sigmoid")
        return scores
    if takes == "vectors":
        return check_vectors(X)
    if takes == "token states" or _are_token_states(X):
        return _check_token_states(X)
    refuse_sparse_tensor(X)
    if is_sparse(X):
        if X.dtype.kind not in "buif" or not X.shape[1]:
            raise UsageError(f"X has shape {X.shape} and type {X.dtype}; pass real numbers, (n_documents, n_features)")
        matrix = sparse.csr_array(X).astype(np.float32)
        if not np.isfinite(matrix.data).all():
            raise UsageError("X has values that are not finite; leave out or mend those documents")
        return matrix
    return check_vectors(X)


def form_of(X: Any) -> str:
    """Return the form of checked input in words."""
    return "token states" if isinstance(X, list) else "a sparse matrix" if is_sparse(X) else "a dense array"


def n_documents(X: Any) -> int:
    """Return the number of documents of checked input."""
    return len(X) if isinstance(X, list) else X.shape[0]


def width_of(X: Any) -> int:
    """Return the number of features of checked input."""
    return X[0].shape[1] if isinstance(X, list) else X.shape[1]


def in_place(hierarchy: Hierarchy | None, n_labels: int, shuffle_seed: int | None) -> Hierarchy:
    """Return the hierarchy that a method uses: the one it was given, a random one of that shape, or one without edges.

    Raises:
        UsageError: it is a hierarchy of other labels.
    """
    if hierarchy is None:
        return Hierarchy.flat(n_labels)
    if hierarchy.n_labels != n_labels:
        raise UsageError(
            f"hierarchy has {hierarchy.n_labels} labels and Y has {n_labels} columns; build it from the names of these "
            "labels"
        )
    return hierarchy if shuffle_seed is None else hierarchy.shuffled(shuffle_seed)


def check_hierarchy(hierarchy: Any) -> None:
    """Raise UsageError unless it is a hierarchy or None."""
    if hierarchy is not None and not isinstance(hierarchy, Hierarchy):
        raise UsageError(
            f"hierarchy is a {type(hierarchy).__name__}; pass a Hierarchy, such as "
            "Hierarchy.from_parents(names, parents), or None"
        )


def check_seed(seed: Any) -> None:
    """Raise UsageError unless it is a seed or None."""
    if seed is not None and (not is_whole(seed) or seed < 0):
        raise UsageError(f"shuffle_seed is {seed!r}; pass an integer of at least 0, or None for what is not shuffled")


def _are_token_states(X: Any) -> bool:
    try:
        return isinstance(X, list) and bool(X) and all(np.ndim(document) == 2 for document in X)
    except ValueError:  # rows of different lengths
        return False


def _check_token_states(X: Any) -> list[NDArray[Any]]:
    wanted = "pass one array of shape (n_tokens, width) per document, such as token_states returns"
    if isinstance(X, str) or is_sparse(X) or not hasattr(X, "__len__"):
        raise UsageError(f"X is a {type(X).__name__}; {wanted}")
    documents = []
    for i, document in enumerate(X):
        refuse_masked(f"states in X[{i}]", document)
        try:
            documents.append(dense(document, f"X[{i}]"))
        except UsageError:
            raise UsageError(f"X[{i}] has rows of different lengths; {wanted}") from None
    if not documents:
        raise UsageError(f"X is empty; {wanted}")
    for i, document in enumerate(documents):
        if document.ndim != 2 or not len(document) or document.dtype.kind != "f":
            raise UsageError(f"X[{i}] has shape {document.shape} and type {document.dtype}; {wanted}")
        if document.shape[1] != documents[0].shape[1]:
            raise UsageError(f"X[{i}] has width {document.shape[1]} and X[0] {documents[0].shape[1]}; {wanted}")
        if not np.isfinite(document).all():
            raise UsageError(f"X[{i}] has values that are not finite; leave out or mend that document")
    return documents
