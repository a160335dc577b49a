"""Classical classifiers on fixed vectors of texts, such as the mean of GloVe vectors ([27] and [28] of the paper).

Of those two works the abstract alone was reachable, so the choice of classifiers is theirs and all else is our construction.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError
from afl_helpers.progress import progress_bar
from afl_helpers.training.assemble import check_splits, finish, selection_metrics
from afl_helpers.training.baselines import Baseline
from afl_helpers.training.config import Config, check_seed
from afl_helpers.training.fixed_features import text_vectors
from afl_helpers.training.run import Run

#: vectors -> probabilities, (n_texts, n_labels)
VectorScorer = Callable[[NDArray[Any]], NDArray[np.float64]]
CLASSIFIERS = ("logistic_regression", "linear_svm", "nearest_neighbours", "random_forest")


@dataclass(frozen=True, kw_only=True)
class VectorClassifierConfig(Config):
    """Configure a classifier of scikit-learn on fixed, standardized vectors of texts.

    Args:
        encoder: "glove-50d" for the mean of the GloVe vectors of a text's words, another encoder, or "word-counts"; see
            ``training.fixed_features.text_vectors``.
        max_length: tokens of a text that are used.
        classifier: one of ``CLASSIFIERS``. The linear ones train one model per label.
        regularisation: scikit-learn's C of the linear ones.
        n_neighbours: documents that vote.
        n_trees: of the forest.
    """

    encoder: str = "glove-50d"
    max_length: int = 128
    classifier: str = "logistic_regression"
    regularisation: float = 1.0
    n_neighbours: int = 15
    n_trees: int = 200

    _ranges = {
        "max_length": (8, 8192),
        "regularisation": (1e-9, 1e9),
        "n_neighbours": (1, 10_000),
        "n_trees": (1, 10_000),
    }
    _choices = {"classifier": CLASSIFIERS}


def vector_classifier(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str = "bce",
    config: VectorClassifierConfig | None = None,
    seed: int = 0,
    *,
    loss_params: Mapping[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Train a classical classifier on fixed vectors of texts.

    Scores are probabilities of the logistic regression, the sigmoid of the SVM's margin, the share of the nearest neighbours
    that carry the label, or the mean share of it in the leaves of the trees, which regress on 0 and 1. The linear ones score
    a label that no training document or every one has with its frequency. Arguments and errors are those of :func:`~afl_helpers.training.fine_tune`; the
    classifiers have losses of their own, so ``loss`` must be "bce".

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.training.vector_classifiers import VectorClassifierConfig, vector_classifier
        >>> splits = load_corpus("toy").select_labels(top=3).select_documents(range(80)).split(0.6, 0.2, 0.2)
        >>> config = VectorClassifierConfig(encoder="tiny", max_length=16, classifier="nearest_neighbours")
        >>> vector_classifier(*splits, config=config, progress=False).scores["test"].shape[1]
        3
    """
    from sklearn.preprocessing import StandardScaler  # here, because it takes a second

    started, splits = time.perf_counter(), (train, validation, test)
    config = config or VectorClassifierConfig()
    check_splits(*splits)
    check_seed(seed)
    if loss != "bce" or loss_params:
        raise UsageError(f"a vector classifier has its own loss, so it cannot use {loss!r}; leave loss at 'bce'")
    vectors = text_vectors(config.encoder, config.max_length, train.texts, [*validation.texts, *test.texts], progress)
    scaler = StandardScaler().fit(vectors(train.texts))
    features = scaler.transform(vectors(train.texts))
    if config.classifier in ("logistic_regression", "linear_svm"):
        score = _linear(features, train, config, seed, progress)
    else:
        score = _votes(features, train.dense_labels, config, seed)

    def scorer(texts: Sequence[str]) -> NDArray[np.float64]:
        return score(scaler.transform(vectors(texts)))

    scores = {name: scorer(split.texts) for name, split in (("validation", validation), ("test", test))}
    return finish(
        "vector_classifier",
        splits,
        Baseline(train.label_names, {}, scorer),
        scores,
        started,
        loss={"name": "bce", "params": {}},
        config=config,
        seed=seed,
        history=[{"epoch": 1, **selection_metrics(validation.dense_labels, scores["validation"])}],
        best_epoch=1,
    )


def _linear(
    features: NDArray[Any], train: Corpus, config: VectorClassifierConfig, seed: int, progress: bool
) -> VectorScorer:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if config.classifier == "logistic_regression":
        one = LogisticRegression(C=config.regularisation, max_iter=2000)
    else:
        one = LinearSVC(C=config.regularisation, random_state=seed)
    rates, targets = train.label_counts / len(train), train.dense_labels
    weights = np.zeros((train.n_labels, features.shape[1]))
    bias = np.log(np.clip(rates, 1e-9, 1) / np.clip(1 - rates, 1e-9, 1))
    with progress_bar(total=train.n_labels, desc=config.classifier, unit="label", show=progress) as bar:
        for c in range(train.n_labels):
            if 0 < rates[c] < 1:
                fitted = clone(one).fit(features, targets[:, c])
                weights[c], bias[c] = fitted.coef_[0], fitted.intercept_[0]
            bar.update()
    return lambda x: np.asarray(expit(x @ weights.T + bias))


def _votes(features: NDArray[Any], targets: NDArray[Any], config: VectorClassifierConfig, seed: int) -> VectorScorer:
    """Return the scores of a model of all labels at once; regression on 0 and 1 gives shares of votes."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.neighbors import KNeighborsRegressor

    if config.classifier == "nearest_neighbours":
        model = KNeighborsRegressor(min(config.n_neighbours, len(features)))
    else:
        model = RandomForestRegressor(config.n_trees, max_features="sqrt", random_state=seed, n_jobs=1)
    model.fit(features, targets.astype(np.float64))
    return lambda x: np.clip(np.reshape(model.predict(x), (len(x), -1)), 0, 1)
