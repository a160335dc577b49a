"""The threshold rules for any classifier with scores."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import check_cv
from sklearn.utils import Tags, _safe_indexing, get_tags
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from afl_helpers.advice import DEFAULT_RULE
from afl_helpers.arrays import check_row_order
from afl_helpers.errors import UsageError, require, unknown_name
from afl_helpers.estimators.base import MultiLabelMixin, indicator
from afl_helpers.evaluation import THRESHOLD_RULES, binarize

RESPONSES = ("auto", "predict_proba", "decision_function")


class ThresholdedClassifier(MultiLabelMixin, MetaEstimatorMixin, BaseEstimator):
    """Give a threshold rule to any multi-label classifier.

    This is for several labels what :class:`~sklearn.model_selection.TunedThresholdClassifierCV` is for one, with the same
    arguments. The thresholds are chosen on scores of documents that the scoring estimator has not seen.

    Args:
        estimator: a multi-label classifier with ``predict_proba`` or ``decision_function``, such as
            :class:`~sklearn.multiclass.OneVsRestClassifier`, ``MultiOutputClassifier``, ``ClassifierChain``, a forest, or a
            pipeline that ends in one.
        rule: a threshold rule, a name in :data:`~afl_helpers.evaluation.THRESHOLD_RULES`; by default the proportional cut.
            The label frequencies that it needs are those of ``y``.
        response_method: "predict_proba", "decision_function", or "auto" for the first of these that exists. The sigmoid is
            applied to values of ``decision_function``, so that all rules can be used.
        cv: where the scores come from.

            - None or a whole number: cross-validation with folds that are stratified by label, by default five; all
              documents are used;
            - a number between 0 and 1: one held-out part of this share, stratified by label;
            - a splitter or an iterable of (train, test) indices;
            - "prefit": ``estimator`` is trained already, and ``fit`` only chooses thresholds. Pass documents that it has not
              seen.
        refit: whether the estimator is trained on all documents in the end. Only a held-out part allows False.
        n_jobs: number of folds at once, as in joblib.
        random_state: seed of the folds or of the held-out part.

    Attributes:
        estimator_: the trained estimator.
        thresholds_: a number, (n_labels,), or a ``TopK``.
        classes_: the label of each column of what is predicted.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.datasets import make_multilabel_classification
        >>> from sklearn.multiclass import OneVsRestClassifier
        >>> from afl_helpers.estimators import ThresholdedClassifier
        >>> X, y = make_multilabel_classification(500, n_classes=8, random_state=3)
        >>> plain = OneVsRestClassifier(LogisticRegression()).fit(X[:300], y[:300])
        >>> cut = ThresholdedClassifier(OneVsRestClassifier(LogisticRegression())).fit(X[:300], y[:300])
        >>> decisions = plain.predict(X[300:]), cut.predict(X[300:]), y[300:]
        >>> [int(labels[:, 0].sum()) for labels in decisions]  # how often the first label is found, and is there
        [44, 65, 72]
    """

    def __init__(
        self,
        estimator: Any,
        *,
        rule: str = DEFAULT_RULE,
        response_method: str = "auto",
        cv: Any = None,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.rule = rule
        self.response_method = response_method
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Choose the thresholds, and train the estimator unless ``cv`` is "prefit".

        Args:
            X: what the estimator takes, (n_documents, ...).
            y: (n_documents, n_labels) of 0 and 1; or one list of labels per document.

        Raises:
            UsageError: an argument is wrong.
        """
        if self.rule not in THRESHOLD_RULES:
            raise unknown_name("rule", self.rule, THRESHOLD_RULES)
        if self.response_method not in RESPONSES:
            raise unknown_name("response_method", self.response_method, RESPONSES)
        check_row_order(X=X, y=y)
        targets, self.classes_ = indicator(y)
        y = targets.astype(np.int64)
        if self.cv == "prefit":
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            seen, scores = np.arange(len(y)), self._response(self.estimator, X, y.shape[1])
        else:
            folds = self._folds(X, y)
            results = Parallel(n_jobs=self.n_jobs)(delayed(self._fold)(X, y, train, test) for train, test in folds)
            seen = np.concatenate([test for _, test in folds])
            scores = np.concatenate([scored for _, scored in results])
            if self.refit:
                self.estimator_ = clone(self.estimator).fit(X, y)
            elif len(folds) == 1:
                self.estimator_ = results[0][0]
            else:
                raise UsageError("refit is False, but there are several folds; pass a share of the documents as cv")
        self.thresholds_ = THRESHOLD_RULES[self.rule].fit(y[seen], scores, y.mean(0))
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def _folds(self, X: Any, y: NDArray[np.int64]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        iterstrat = require("iterstrat.ml_stratifiers", "data", "ThresholdedClassifier")
        cv: Any = 5 if self.cv is None else self.cv
        if isinstance(cv, Integral):
            if not 2 <= int(cv) <= len(y):
                n = f"{len(y)} sample{'' if len(y) == 1 else 's'}"
                raise UsageError(f"cv is {cv} for {n}; pass at least 2 folds, and at most one per sample")
            splitter = iterstrat.MultilabelStratifiedKFold(int(cv), shuffle=True, random_state=self.random_state)
        elif isinstance(cv, Real):
            if not 0 < float(cv) < 1:
                raise UsageError(f"cv is {cv}; pass a share between 0 and 1, or a whole number of folds")
            splitter = iterstrat.MultilabelStratifiedShuffleSplit(
                1, test_size=float(cv), random_state=self.random_state
            )
        else:
            return list(check_cv(cv, y).split(X, y))
        # What splits by one label alone takes no matrix; with the opposite label beside it, it is split in the same way.
        return list(splitter.split(np.zeros(len(y)), y if y.shape[1] > 1 else np.hstack([y, 1 - y])))

    def _fold(
        self, X: Any, y: NDArray[np.int64], train: NDArray[np.intp], test: NDArray[np.intp]
    ) -> tuple[Any, NDArray[np.float64]]:
        estimator = clone(self.estimator).fit(_safe_indexing(X, train), y[train])
        return estimator, self._response(estimator, _safe_indexing(X, test), y.shape[1])

    def _response(self, estimator: Any, X: Any, n_labels: int) -> NDArray[np.float64]:
        """Return scores in [0, 1], (n_documents, n_labels)."""
        names = RESPONSES[1:] if self.response_method == "auto" else (self.response_method,)
        name = next((name for name in names if hasattr(estimator, name)), None)
        if name is None:
            raise UsageError(f"a {type(estimator).__name__} has no {' and no '.join(names)}; pass one that has scores")
        values = getattr(estimator, name)(X)
        if isinstance(values, list):  # one array per label, of both of its values
            classes = getattr(estimator, "classes_", [None] * len(values))
            values = np.column_stack([_positive(part, known) for part, known in zip(values, classes)])
        values = np.asarray(values, dtype=np.float64)
        if n_labels == 1 and values.ndim == 1:
            values = values[:, None]
        if n_labels == 1 and values.ndim == 2 and values.shape[1] == 2:
            values = values[:, 1:]
        if values.ndim != 2 or values.shape[1] != n_labels:
            raise UsageError(
                f"{name} of a {type(estimator).__name__} has shape {values.shape}, but there are {n_labels} labels; "
                "wrap it in OneVsRestClassifier or MultiOutputClassifier"
            )
        return values if name == "predict_proba" else expit(values)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the scores that the thresholds apply to, in [0, 1], (n_documents, n_labels)."""
        check_is_fitted(self)
        return self._response(self.estimator_, X, len(self.classes_))

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the decisions under the rule, (n_documents, n_labels) of 0 and 1."""
        return binarize(self.predict_proba(X), self.thresholds_).astype(np.int64)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        own = get_tags(self.estimator).input_tags
        tags.input_tags.sparse, tags.input_tags.string = own.sparse, own.string
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = own.one_d_array, own.two_d_array
        tags.input_tags.allow_nan = own.allow_nan
        return tags


def _positive(values: NDArray[Any], classes: Any) -> NDArray[np.float64]:
    """Return the probability of 1 from those of both values, or of the only one that training had."""
    if values.ndim == 1:  # a decision function of one label
        return values
    if values.shape[1] == 1:
        only = 0 if classes is None else classes[0]
        return np.full(len(values), float(only == 1))
    return values[:, 1]
