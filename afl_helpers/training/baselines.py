"""Baselines: models without a pretrained encoder.

Each function takes the arguments of :func:`~afl_helpers.training.fine_tune` and returns a
:class:`~afl_helpers.training.Run`, so that a study can compare them with the losses.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.progress import progress_bar
from afl_helpers.training.assemble import Splits, check_splits, finish, selection_metrics
from afl_helpers.training.config import Config, TfidfConfig, check_tfidf_loss
from afl_helpers.training.predictor import LabelPredictor
from afl_helpers.training.run import Run
from afl_helpers.training.word_counts import WordCountPredictor, new_vectorizer
from afl_helpers.training.word_networks import Bilstm, BilstmConfig, Cnn, CnnConfig, WordNetworkConfig, train_network

__all__ = ["Baseline", "BilstmConfig", "CnnConfig", "PriorsConfig", "TfidfConfig", "bilstm", "cnn", "priors", "tfidf"]

#: texts -> probabilities, (n_texts, n_labels)
Scorer = Callable[[Sequence[str]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class PriorsConfig(Config):
    """Configure scores that are the training frequency of each label. There is nothing to set."""

    _retired = {"encoder": "none", "epochs": 2}


@dataclass
class Baseline(LabelPredictor):
    """A baseline that predicts for new texts. It cannot be saved to a folder; see ``WordCountPredictor`` for one that can."""

    scorer: Scorer = field(repr=False)

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self.scorer(texts)


def _finish(splits: Splits, method: str, predictor: LabelPredictor, started: float, **details: Any) -> Run:
    """Score validation and test, and finish the run. A method without epochs gets a history of one row."""
    _, validation, test = splits
    scores = {"validation": predictor.predict_scores(validation.texts), "test": predictor.predict_scores(test.texts)}
    details.setdefault("history", [{"epoch": 1, **selection_metrics(validation.dense_labels, scores["validation"])}])
    details.setdefault("best_epoch", 1)
    return finish(method, splits, predictor, scores, started, **details)


def priors(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str = "bce",
    config: PriorsConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Score every document with the training frequency of each label. Neither the texts nor the loss are used."""
    splits, started = (train, validation, test), time.perf_counter()
    check_splits(*splits)
    rates = train.label_counts / len(train)
    return _finish(
        splits,
        "priors",
        Baseline(train.label_names, {}, lambda texts: np.tile(rates, (len(texts), 1))),
        started,
        loss={"name": loss, "params": {}},
        config=config or PriorsConfig(),
        seed=seed,
    )


def tfidf(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str = "bce",
    config: TfidfConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Train one of scikit-learn's linear classifiers per label on TF-IDF features (sublinear, lower case).

    Scores are the probabilities of the logistic regression, or the sigmoid of the SVM's margin; at 0.5 both decide as
    the classifier does. The classifier has its own loss, so ``loss`` must be "bce". A label that no training document or
    every one has is scored with its frequency.
    """
    from sklearn.base import clone  # here, because it takes a second
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    splits, started = (train, validation, test), time.perf_counter()
    check_splits(*splits)
    check_tfidf_loss(loss, loss_params)
    config = config or TfidfConfig()
    vectorizer = new_vectorizer(config.ngrams, min_df=config.min_count)
    try:
        features = vectorizer.fit_transform(train.texts)
    except ValueError:
        raise UsageError(f"no word stands in {config.min_count} training documents; pass a smaller min_count") from None
    targets = train.dense_labels
    rates = train.label_counts / len(train)
    classifier: LogisticRegression | LinearSVC
    if config.classifier == "linear_svm":
        classifier = LinearSVC(C=config.regularisation, random_state=seed)
    else:
        classifier = LogisticRegression(C=config.regularisation, solver="liblinear", random_state=seed)
    weights, bias = (
        np.zeros((train.n_labels, features.shape[1])),
        np.log(np.clip(rates, 1e-9, 1) / np.clip(1 - rates, 1e-9, 1)),
    )
    with progress_bar(total=train.n_labels, desc=config.classifier, unit="label", show=progress) as bar:
        for c in range(train.n_labels):
            if 0 < rates[c] < 1:
                fitted = clone(classifier).fit(features, targets[:, c])
                weights[c], bias[c] = fitted.coef_[0], fitted.intercept_[0]
            bar.update()

    predictor = WordCountPredictor(train.label_names, {}, vectorizer, weights, bias)
    return _finish(splits, "tfidf", predictor, started, loss={"name": "bce", "params": {}}, config=config, seed=seed)


def cnn(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = "focal",
    config: CnnConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Train a small convolutional network on words. Any loss of the library can be used.

    With random word vectors it is like the plot classifier of [23] of the paper, with GloVe vectors like the networks of [28];
    our construction, because the abstracts alone were reachable.

    Raises:
        MissingFileError: the package of the word vectors is not installed.
    """
    return _train_words("cnn", Cnn, (train, validation, test), loss, config or CnnConfig(), seed, loss_params, progress)


def bilstm(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = "focal",
    config: BilstmConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Train a bidirectional LSTM on words, as :func:`cnn` does with a convolutional network.

    With GloVe vectors it is like a network of [28] of the paper; our construction, because the abstract alone was reachable.

    Raises:
        MissingFileError: the package of the word vectors is not installed.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.training.baselines import BilstmConfig, bilstm
        >>> splits = load_corpus("toy").select_labels(top=3).select_documents(range(80)).split(0.6, 0.2, 0.2)
        >>> run = bilstm(*splits, config=BilstmConfig(max_length=16, width=8, hidden=8, epochs=2), progress=False)
        >>> run.scores["test"].shape[1], len(run.history)
        (3, 2)
    """
    splits = (train, validation, test)
    return _train_words("bilstm", Bilstm, splits, loss, config or BilstmConfig(), seed, loss_params, progress)


def _train_words(
    method: str,
    network: Callable[[nn.Embedding, Any, int], nn.Module],
    splits: Splits,
    loss: str | MultiLabelLoss,
    config: WordNetworkConfig,
    seed: int,
    loss_params: dict[str, object] | None,
    progress: bool,
) -> Run:
    started = time.perf_counter()
    trained = train_network(network, config, splits, loss, loss_params, seed, progress)
    return _finish(
        splits,
        method,
        Baseline(splits[0].label_names, {}, trained.scores),
        started,
        loss_module=trained.loss_module,
        loss=trained.loss,
        config=config,
        seed=seed,
        history=trained.history,
        best_epoch=trained.best_epoch,
    )
