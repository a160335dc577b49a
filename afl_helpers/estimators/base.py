"""What the estimators share: labels in every form that people have them, decisions, and a score."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags, check_random_state

from afl_helpers.errors import UsageError
from afl_helpers.evaluation import evaluate

Y_FORMS = "pass (n_documents, n_labels) of 0 and 1, or one list of labels per document"


def indicator(y: Any) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Return labels as (n_documents, n_labels) of 0 and 1, and the label of each column, as objects if y names them.

    Args:
        y: 0 and 1 as an array, a data frame (its columns name the labels) or a sparse matrix; or one list of labels per
            document. The labels of lists are sorted.

    Raises:
        UsageError: y holds something else.
    """
    if y is None:
        raise UsageError(f"this estimator requires y to be passed, but the target y is None; {Y_FORMS}")
    if hasattr(y, "__array__") and not hasattr(y, "ndim"):
        y = np.asarray(y)
    if sparse.issparse(y) or getattr(y, "ndim", 1) == 2:
        # Names are objects, also where they are numbers, so that they differ from places.
        names = np.asarray(y.columns, dtype=object) if hasattr(y, "columns") else np.arange(y.shape[1])
        matrix = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
        return _zeros_and_ones(matrix), names
    rows = list(y)
    if rows and all(isinstance(row, np.ndarray | list | tuple) and _are_numbers(row) for row in rows):
        lengths = {len(row) for row in rows}
        if len(lengths) == 1 and lengths != {0}:
            matrix = np.asarray(rows)
            return _zeros_and_ones(matrix), np.arange(matrix.shape[1])
    sets = label_sets(rows)
    names = np.array(sorted({label for labels in sets for label in labels}), dtype=object)
    if not len(names):
        raise UsageError(f"y holds no label; {Y_FORMS}")
    return columns_of(sets, names), names


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed for a random state as scikit-learn takes it; None is another seed each time."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def label_sets(rows: Iterable[Any]) -> list[list[str]]:
    """Return the labels of each document as a list.

    Raises:
        UsageError: a row is no list of strings.
    """
    sets = []
    for place, row in enumerate(rows):
        if isinstance(row, str) or not isinstance(row, Iterable):
            raise UsageError(f"Unknown label type: y[{place}] is {row!r}, one class for a document; {Y_FORMS}")
        labels = list(row)
        if not all(isinstance(label, str) for label in labels):
            raise UsageError(f"y[{place}] is {str(row)[:40]!r}; {Y_FORMS}")
        sets.append([str(label) for label in labels])
    return sets


def columns_of(sets: Sequence[Sequence[str]], names: NDArray[Any]) -> NDArray[np.uint8]:
    """Return lists of labels as (n_documents, n_labels) of 0 and 1, with the columns in the order of the names."""
    column = {name: c for c, name in enumerate(names)}
    matrix = np.zeros((len(sets), len(names)), dtype=np.uint8)
    for row, labels in zip(matrix, sets):
        row[[column[label] for label in labels]] = 1
    return matrix


def _are_numbers(row: Any) -> bool:
    return all(isinstance(value, bool | int | float | np.bool | np.number) for value in row)


def _zeros_and_ones(matrix: NDArray[Any]) -> NDArray[np.uint8]:
    try:
        values = matrix.astype(np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"y holds values that are no numbers; {Y_FORMS}") from None
    if not np.isfinite(values).all():
        raise UsageError(f"y holds NaN or infinity; {Y_FORMS}")
    wrong = values[(values != 0) & (values != 1)]
    if wrong.size:
        # scikit-learn's checks look for the first words.
        raise UsageError(f"Unknown label type: y holds {wrong[0]:g}, and not only 0 and 1; {Y_FORMS}")
    return values.astype(np.uint8)


class MultiLabelMixin(ClassifierMixin):
    """A classifier of several labels per document, whose score is micro F1."""

    classes_: NDArray[Any]

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the decisions, (n_documents, n_labels) of 0 and 1, in the order of ``classes_``."""
        raise NotImplementedError

    def predict_labels(self, X: Any) -> list[list[Any]]:
        """Return the predicted labels of each document, in the order of ``classes_``."""
        return [self.classes_[row.astype(bool)].tolist() for row in self.predict(X)]

    def score(self, X: Any, y: Any, sample_weight: None = None) -> float:
        """Return the micro F1 of the decisions.

        The accuracy that other classifiers return would count a document as wrong if a single label is. A label of ``y``
        that was not there in training counts as missed.
        """
        if sample_weight is not None:
            raise UsageError("score takes no sample_weight; leave it out")
        predicted, (targets, names) = self.predict(X), indicator(y)
        if names.dtype == object:  # y names its labels
            if not set(names) & set(self.classes_.tolist()):
                raise UsageError(
                    f"y has the labels {', '.join(map(repr, names[:3]))}, and none of them was there in training "
                    f"({', '.join(map(repr, self.classes_[:3].tolist()))}); pass y in the form that fit took"
                )
            every = [*self.classes_, *(name for name in names if name not in set(self.classes_))]
            place = {name: c for c, name in enumerate(every)}
            aligned = np.zeros((len(targets), len(every)), dtype=np.uint8)
            aligned[:, [place[name] for name in names]] = targets
            predicted = np.pad(predicted, ((0, 0), (0, len(every) - predicted.shape[1])))
            targets = aligned
        return evaluate(targets, predicted)["f1_micro"]

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.multi_label = True
        tags.target_tags.single_output = False
        tags.target_tags.multi_output = True
        return tags
