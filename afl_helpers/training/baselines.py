"""Baselines: models without a pretrained encoder.

Each function takes the arguments of :func:`~afl_helpers.training.fine_tune` and returns a
:class:`~afl_helpers.training.Run`, so that a study can compare them with the losses.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.progress import progress_bar
from afl_helpers.training.assemble import (
    Splits,
    check_splits,
    finish,
    resolve_loss,
    selection_metrics,
)
from afl_helpers.training.config import Config, EpochConfig, TfidfConfig, check_tfidf_loss
from afl_helpers.training.encoders import default_device
from afl_helpers.training.initial_bias import start_logits
from afl_helpers.training.predictor import LabelPredictor
from afl_helpers.training.run import Run
from afl_helpers.training.word_counts import WordCountPredictor, new_vectorizer

#: texts -> probabilities, (n_texts, n_labels)
Scorer = Callable[[Sequence[str]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class PriorsConfig(Config):
    """Configure scores that are the training frequency of each label. There is nothing to set."""

    _retired = {"encoder": "none", "epochs": 2}


@dataclass(frozen=True, kw_only=True)
class CnnConfig(EpochConfig):
    """Configure a convolutional network on words, trained from random weights.

    The network is that of Kim (2014), like the plot classifier of [23]. Fields that are not listed are those of
    :class:`~afl_helpers.training.config.EpochConfig`.

    Args:
        vocabulary: number of training words, the most frequent ones, with a vector of their own; all others share one.
        width: width of the word vectors.
        filters: number of filters for each of the window sizes 3, 5 and 7 (odd, so that a window has a middle).
        dropout: dropout rate after pooling.
    """

    epochs: int = 20
    patience: int = 3
    batch_size: int = 64
    weight_decay: float = 0.0
    vocabulary: int = 20_000
    width: int = 100
    filters: int = 100
    dropout: float = 0.5

    _ranges = EpochConfig._ranges | {
        "vocabulary": (1, 10_000_000),
        "width": (1, 10_000),
        "filters": (1, 10_000),
        "dropout": (0.0, 0.99),
    }
    _retired = {"encoder": "cnn"}


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


class _Cnn(nn.Module):
    """Apply windows of 3, 5 and 7 words, max pooling, dropout and a linear layer: (batch, n_labels) logits."""

    def __init__(self, config: CnnConfig, n_words: int, n_labels: int) -> None:
        super().__init__()
        self.words = nn.Embedding(n_words, config.width, padding_idx=0)
        self.windows = nn.ModuleList(
            nn.Conv1d(config.width, config.filters, size, padding="same") for size in (3, 5, 7)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(3 * config.filters, n_labels)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids).transpose(1, 2)
        pooled = torch.cat([torch.relu(window(x)).amax(2) for window in self.windows], 1)
        return self.head(self.dropout(pooled))


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
    """Train a small convolutional network on words, without pretrained weights. Any loss of the library can be used."""
    splits, started = (train, validation, test), time.perf_counter()
    check_splits(*splits)
    config = config or CnnConfig()
    loss_module, description = resolve_loss(loss, loss_params, train)
    counts = Counter(word for text in train.texts for word in _words(text))
    index = {word: i + 2 for i, (word, _) in enumerate(counts.most_common(config.vocabulary))}  # 0: padding, 1: unknown

    def encode(texts: Sequence[str]) -> Tensor:
        ids = torch.zeros((len(texts), config.max_length), dtype=torch.long)
        for row, text in enumerate(texts):
            words = [index.get(word, 1) for word in _words(text)[: config.max_length]]
            ids[row, : len(words)] = torch.tensor(words, dtype=torch.long)
        return ids

    device = default_device()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _Cnn(config, len(index) + 2, train.n_labels).to(device)
        with torch.no_grad():
            model.head.bias.copy_(start_logits(config.start_bias, loss_module, train.label_counts, len(train)))
        loss_module = loss_module.to(device)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        x, y = encode(train.texts), torch.from_numpy(train.dense_labels).float()

        @torch.inference_mode()
        def logits(texts: Sequence[str]) -> Tensor:
            model.eval()
            return torch.cat([model(ids.to(device)).cpu() for ids in encode(texts).split(256)])

        history: list[dict[str, Any]] = []
        best: tuple[float, int, dict[str, Tensor]] = (-1.0, 0, {})
        with progress_bar(total=config.epochs, desc=f"cnn, {description['name']}", unit="epoch", show=progress) as bar:
            for epoch in range(1, config.epochs + 1):
                total = 0.0
                model.train()
                for batch in torch.randperm(len(x)).split(config.batch_size):
                    optimizer.zero_grad()
                    value = loss_module(model(x[batch].to(device)), y[batch].to(device))
                    value.backward()
                    optimizer.step()
                    total += value.item() * len(batch)
                loss_module.end_epoch()
                metrics = selection_metrics(validation.dense_labels, logits(validation.texts).numpy())
                history.append({"epoch": epoch, "loss": total / len(x), **metrics})
                bar.update()
                if metrics[config.select_by] > best[0]:
                    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
                    best = (metrics[config.select_by], epoch, state)
                elif epoch - best[1] >= config.patience:
                    break
    model.load_state_dict(best[2])
    return _finish(
        splits,
        "cnn",
        Baseline(train.label_names, {}, lambda texts: torch.sigmoid(logits(texts).double()).numpy()),
        started,
        loss_module=loss_module,
        loss=description,
        config=config,
        seed=seed,
        history=history,
        best_epoch=best[1],
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
