"""What a loss has to beat: models that are not a fine-tuned encoder.

Each function takes what :func:`~afl_helpers.training.fine_tune` takes and returns a
:class:`~afl_helpers.training.Run`, so that a study holds them beside the losses.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.progress import progress_bar
from afl_helpers.training.config import Config, TrainingConfig
from afl_helpers.training.encoders import default_device
from afl_helpers.training.run import (
    LabelPredictor,
    Run,
    check_parts,
    finish,
    prior_logits,
    resolve_loss,
    selection_metrics,
)


@dataclass(frozen=True)
class TfidfConfig(Config):
    """A linear classifier for each label on word TF-IDF.

    Args:
        classifier: "logistic_regression" or "linear_svm" (squared hinge).
        ngrams: longest run of words that is a feature.
        min_count: a feature occurs in at least so many training documents.
        regularisation: scikit-learn's C, the inverse strength; larger fits closer.
    """

    classifier: str = "logistic_regression"
    ngrams: int = 2
    min_count: int = 2
    regularisation: float = 1.0
    encoder: str = "tfidf"
    epochs: int = 2

    _ranges = {
        "ngrams": (1, 5),
        "min_count": (1, 1_000_000),
        "regularisation": (1e-9, 1e9),
        "epochs": (2, 2),
    }
    _choices = {"classifier": ("logistic_regression", "linear_svm"), "encoder": ("tfidf",)}


@dataclass(frozen=True)
class PriorsConfig(Config):
    """Each document gets the training frequency of each label as its score."""

    encoder: str = "none"
    epochs: int = 2

    _ranges = {"epochs": (2, 2)}
    _choices = {"encoder": ("none",)}


@dataclass(frozen=True)
class CnnConfig(Config):
    """A convolutional network on words, trained from random weights: after Kim (2014), as the plot classifier of [23].

    Args:
        max_length: words kept of a text.
        vocabulary: the so many most frequent training words have a vector; the rest share one.
        width, filters: of the word vectors; of each of the three window sizes 3, 5 and 7 (odd, so that a window has a middle).
        dropout: on the pooled filters.
        epochs, patience, batch_size, learning_rate, weight_decay, prior_bias, select_by: as in
            :class:`~afl_helpers.training.config.TrainingConfig`.
    """

    max_length: int = 128
    vocabulary: int = 20_000
    width: int = 100
    filters: int = 100
    dropout: float = 0.5
    epochs: int = 20
    patience: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    prior_bias: bool = True
    select_by: str = "average_precision_micro"
    encoder: str = "cnn"

    _ranges = {
        name: TrainingConfig._ranges[name]
        for name in ("max_length", "epochs", "patience", "batch_size", "learning_rate", "weight_decay")
    } | {"vocabulary": (1, 10_000_000), "width": (1, 10_000), "filters": (1, 10_000), "dropout": (0.0, 0.99)}
    _choices = {"select_by": TrainingConfig._choices["select_by"], "encoder": ("cnn",)}


@dataclass
class Baseline(LabelPredictor):
    """A baseline that predicts for new texts; it is not saved to a folder."""

    scorer: Callable[[Sequence[str]], np.ndarray] = field(repr=False)

    def _scores(self, texts: Sequence[str]) -> np.ndarray:
        return self.scorer(texts)


def _finish(parts: tuple[Corpus, Corpus, Corpus], method: str, scorer: Callable, started: float, **details) -> Run:
    predictor = Baseline(parts[0].label_names, {}, scorer)
    scores = {name: predictor.predict_scores(part.texts) for name, part in zip(("validation", "test"), parts[1:])}
    details.setdefault("history", [{"epoch": 1, **selection_metrics(parts[1].dense_labels, scores["validation"])}])
    details.setdefault("best_epoch", 1)
    return finish(method, parts, predictor, scores, started, **details)


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
    """The training frequency of each label as its score: what can be had without reading a text. The loss is not used."""
    parts, started = (train, validation, test), time.perf_counter()
    check_parts(*parts)
    rates = train.label_counts / len(train)
    return _finish(
        parts,
        "priors",
        lambda texts: np.tile(rates, (len(texts), 1)),
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
    """One linear classifier a label on word TF-IDF (sublinear, lower case), scikit-learn's.

    Scores are probabilities of the logistic regression, or the sigmoid of the margin of the SVM, so that 0.5 is its own
    decision. The loss must be "bce": the classifier has its own. A label that no training document, or every one, has
    gets its frequency.
    """
    parts, started = (train, validation, test), time.perf_counter()
    check_parts(*parts)
    if loss != "bce" or loss_params:
        raise UsageError(f"tfidf has its own loss, so it cannot use {loss!r}; leave loss at 'bce'")
    config = config or TfidfConfig()
    vectorizer = TfidfVectorizer(ngram_range=(1, config.ngrams), min_df=config.min_count, sublinear_tf=True)
    features = vectorizer.fit_transform(train.texts)
    targets = train.dense_labels
    rates = train.label_counts / len(train)
    kind = {
        "logistic_regression": lambda: LogisticRegression(
            C=config.regularisation, solver="liblinear", random_state=seed
        ),
        "linear_svm": lambda: LinearSVC(C=config.regularisation, random_state=seed),
    }[config.classifier]
    weights, bias = (
        np.zeros((train.n_labels, features.shape[1])),
        np.log(np.clip(rates, 1e-9, 1) / np.clip(1 - rates, 1e-9, 1)),
    )
    with progress_bar(total=train.n_labels, desc=config.classifier, unit="label", show=progress) as bar:
        for c in range(train.n_labels):
            if 0 < rates[c] < 1:
                fitted = kind().fit(features, targets[:, c])
                weights[c], bias[c] = fitted.coef_[0], fitted.intercept_[0]
            bar.update()

    def score(texts: Sequence[str]) -> np.ndarray:
        margins = sparse.csr_array(vectorizer.transform(texts)) @ weights.T + bias
        return torch.sigmoid(torch.from_numpy(margins)).numpy()

    return _finish(parts, "tfidf", score, started, loss={"name": "bce", "params": {}}, config=config, seed=seed)


class _Cnn(nn.Module):
    """Windows of 3, 5 and 7 words, the highest response of each filter, dropout, a linear layer: (batch, n_labels)."""

    def __init__(self, config: CnnConfig, n_words: int, n_labels: int):
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
    """A small convolutional network on words with any loss of the library; no pretrained weights."""
    parts, started = (train, validation, test), time.perf_counter()
    check_parts(*parts)
    config = config or CnnConfig()
    loss_module, description = resolve_loss(loss, loss_params, train)
    counts = Counter(word for text in train.texts for word in _words(text))
    index = {word: i + 2 for i, (word, _) in enumerate(counts.most_common(config.vocabulary))}  # 0 pads, 1 is unknown

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
        if config.prior_bias:
            with torch.no_grad():
                model.head.bias.copy_(prior_logits(train.label_counts, len(train)))
        loss_module = loss_module.to(device)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        x, y = encode(train.texts), torch.from_numpy(train.dense_labels).float()

        @torch.inference_mode()
        def logits(texts: Sequence[str]) -> Tensor:
            model.eval()
            return torch.cat([model(ids.to(device)).cpu() for ids in encode(texts).split(256)])

        history, best = [], (-1.0, 0, {})
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
                found = selection_metrics(validation.dense_labels, logits(validation.texts).numpy())
                history.append({"epoch": epoch, "loss": total / len(x), **found})
                bar.update()
                if found[config.select_by] > best[0]:
                    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
                    best = (found[config.select_by], epoch, state)
                elif epoch - best[1] >= config.patience:
                    break
    model.load_state_dict(best[2])
    return _finish(
        parts,
        "cnn",
        lambda texts: torch.sigmoid(logits(texts).double()).numpy(),
        started,
        loss=description,
        config=config,
        seed=seed,
        history=history,
        best_epoch=best[1],
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
