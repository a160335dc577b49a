"""Training on texts as a scikit-learn classifier."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from afl_helpers.advice import DEFAULT_LOSS, DEFAULT_RULE
from afl_helpers.arrays import check_row_order
from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.estimators.base import MultiLabelMixin, indicator, seed_of
from afl_helpers.evaluation import THRESHOLD_RULES, binarize
from afl_helpers.training import fine_tune, probe
from afl_helpers.training.baselines import tfidf
from afl_helpers.training.config import Config, ProbeConfig, TfidfConfig, TrainingConfig
from afl_helpers.training.predictor import check_texts

#: Method -> the function that trains, and its configuration.
METHODS: dict[str, tuple[Any, type[Config]]] = {
    "tfidf": (tfidf, TfidfConfig),
    "probe": (probe, ProbeConfig),
    "fine_tune": (fine_tune, TrainingConfig),
}


class MultiLabelClassifier(MultiLabelMixin, BaseEstimator):
    """Classify texts into several labels each, with thresholds by a rule.

    ``fit`` holds a share of the texts out, stratified by label, and tunes the thresholds of all rules on it; for "probe"
    and "fine_tune" it also chooses the epoch. So ``rule`` can be changed after ``fit``, without training again. It works in
    :class:`~sklearn.pipeline.Pipeline`, ``cross_val_score``, ``cross_val_predict`` and
    :class:`~sklearn.model_selection.GridSearchCV`, and can be cloned and pickled.

    Without ``cv`` of your own, scikit-learn's cross-validation takes ``y`` only as 0 and 1: it refuses lists of labels. There
    is no ``decision_function``: ``predict_proba`` gives scikit-learn's scorers all they need.

    The checks of scikit-learn that do not apply are listed in :mod:`afl_helpers.estimators`.

    Args:
        method: "tfidf" (a linear model on word counts, see :func:`~afl_helpers.training.baselines.tfidf`), "probe" or
            "fine_tune".
        loss: name of a loss; word counts have their own, so only "bce" goes with "tfidf".
        loss_params: parameters of the loss.
        config: the configuration of the method, as an object or as a dict of fields.
        rule: a threshold rule; by default the proportional cut.
        validation_size: the share of the texts that is held out.
        random_state: seed of the split and of training; None is another one each time.

    Attributes:
        classes_: the label of each column of what is predicted: sorted names if ``y`` had lists, the columns of a data
            frame, or numbers from 0.
        run_: the :class:`~afl_helpers.training.Run`; ``run_.save(folder)`` keeps the model for ``load_predictor``. Its
            metrics of "test" are those of the held-out texts.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.estimators import MultiLabelClassifier
        >>> corpus = load_corpus("toy").select_labels(top=3)
        >>> classifier = MultiLabelClassifier().fit(corpus.texts[:800], corpus.labels[:800])
        >>> classifier.predict_proba(corpus.texts[800:]).shape
        (781, 3)
        >>> round(classifier.score(corpus.texts[800:], corpus.labels[800:]), 1)
        0.8
    """

    def __init__(
        self,
        method: str = "tfidf",
        *,
        loss: str = DEFAULT_LOSS,
        loss_params: Mapping[str, object] | None = None,
        config: Config | Mapping[str, Any] | None = None,
        rule: str = DEFAULT_RULE,
        validation_size: float = 0.2,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.method = method
        self.loss = loss
        self.loss_params = loss_params
        self.config = config
        self.rule = rule
        self.validation_size = validation_size
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train on texts and their labels.

        Args:
            X: (n_documents,) texts: a list, an array or a column of a data frame.
            y: (n_documents, n_labels) of 0 and 1, or one list of labels per document.

        Raises:
            UsageError: an argument is wrong, or too few texts have a label.
        """
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        if self.rule not in THRESHOLD_RULES:
            raise unknown_name("rule", self.rule, THRESHOLD_RULES)
        if not 0 < self.validation_size < 1:
            raise UsageError(f"validation_size is {self.validation_size!r}; pass a share between 0 and 1")
        function, kind = METHODS[self.method]
        config = self.config if isinstance(self.config, Config) else kind.from_dict(self.config or {})
        if not isinstance(config, kind):
            raise UsageError(f"config is a {type(config).__name__}; method {self.method!r} takes a {kind.__name__}")
        check_row_order(X=X, y=y)
        texts, (targets, classes) = texts_of(X), indicator(y)
        if len(texts) != len(targets):
            raise UsageError(f"X has {len(texts)} texts and y {len(targets)} rows; pass as many of each")
        if len(texts) < 2:
            raise UsageError("X has 1 sample; pass at least two, since some are held out")
        names = [str(name) for name in classes]
        corpus = Corpus("fit", texts, targets, names)
        seed = seed_of(self.random_state)
        train, validation, _ = corpus.split(1 - self.validation_size, self.validation_size, 0.0, seed=seed)
        self.run_ = function(
            train,
            validation,
            validation,  # nothing is tested here
            loss=self.loss,
            config=config,
            seed=seed,
            loss_params=dict(self.loss_params or {}),
            progress=False,
        )
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each label, (n_documents, n_labels)."""
        check_is_fitted(self)
        scores: NDArray[np.float64] = self.run_.predictor.predict_scores(texts_of(X))
        return scores

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the decisions under the rule, (n_documents, n_labels) of 0 and 1."""
        scores = self.predict_proba(X)
        return binarize(scores, self.run_.predictor.choose_thresholds(self.rule)).astype(np.int64)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        return tags


def texts_of(X: Any) -> list[str]:
    """Return the texts of a list, an array, or a data frame with one column."""
    if hasattr(X, "columns") or getattr(X, "ndim", 1) == 2:
        values = np.asarray(X)
        if values.shape[1] != 1:
            raise UsageError(f"X has {values.shape[1]} columns; pass the one with the texts")
        X = values[:, 0].tolist()
    return check_texts(X)
