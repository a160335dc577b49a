"""Small networks on words: convolutions, or an LSTM in both directions, on random or pretrained word vectors.

The convolutional one is that of Kim (2014), like the plot classifier of [23] of the paper. Of [23], [27] and [28] the abstract
alone was reachable. They name the networks, and GloVe; all else here is our construction.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.progress import progress_bar
from afl_helpers.training.assemble import Splits, check_splits, resolve_loss, selection_metrics
from afl_helpers.training.config import EpochConfig, check_seed
from afl_helpers.training.encoders import default_device, load_encoder, load_tokenizer
from afl_helpers.training.initial_bias import start_logits

#: Ids that are no word: padding, and all words without an id of their own.
PAD, UNKNOWN = 0, 1


@dataclass(frozen=True, kw_only=True)
class WordNetworkConfig(EpochConfig):
    """Configure a network on words. Fields that are not listed are those of :class:`~afl_helpers.training.config.EpochConfig`.

    Args:
        vocabulary: number of training words, the most frequent ones, with a vector of their own; all others share one.
        encoder: where the word vectors come from: "glove-50d", or None for random ones. A training word that the encoder
            does not know starts at zero.
        freeze_vectors: leave the vectors of the encoder as they are, instead of training them too.
        width: width of random word vectors.
        dropout: dropout rate before the last layer.
    """

    epochs: int = 20
    patience: int = 3
    batch_size: int = 64
    weight_decay: float = 0.0
    vocabulary: int = 20_000
    encoder: str | None = None
    freeze_vectors: bool = False
    width: int = 100
    dropout: float = 0.5

    _ranges = EpochConfig._ranges | {"vocabulary": (1, 10_000_000), "width": (1, 10_000), "dropout": (0.0, 0.99)}
    _choices = EpochConfig._choices | {"encoder": ("glove-50d",)}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.freeze_vectors and self.encoder is None:
            raise UsageError("freeze_vectors is True, but random vectors must be trained; pass encoder='glove-50d' too")


@dataclass(frozen=True, kw_only=True)
class CnnConfig(WordNetworkConfig):
    """Configure a convolutional network on words. Fields that are not listed are those of :class:`WordNetworkConfig`.

    Args:
        filters: number of filters for each of the window sizes 3, 5 and 7 (odd, so that a window has a middle).
    """

    filters: int = 100

    _ranges = WordNetworkConfig._ranges | {"filters": (1, 10_000)}
    _retired = {"encoder": "cnn"}


@dataclass(frozen=True, kw_only=True)
class BilstmConfig(WordNetworkConfig):
    """Configure a bidirectional LSTM on words. Fields that are not listed are those of :class:`WordNetworkConfig`.

    Args:
        hidden: width of the states in each of the two directions.
    """

    hidden: int = 100

    _ranges = WordNetworkConfig._ranges | {"hidden": (1, 10_000)}


class Cnn(nn.Module):
    """Apply windows of 3, 5 and 7 words, max pooling, dropout and a linear layer: ids to (batch, n_labels) logits."""

    def __init__(self, words: nn.Embedding, config: CnnConfig, n_labels: int) -> None:
        super().__init__()
        self.words = words
        self.windows = nn.ModuleList(
            nn.Conv1d(words.embedding_dim, config.filters, size, padding="same") for size in (3, 5, 7)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(3 * config.filters, n_labels)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids).transpose(1, 2).unsqueeze(2)
        pooled = torch.cat([_convolve(x, window).flatten(2).max(2).values for window in self.windows], 1)
        return self.head(self.dropout(torch.relu(pooled)))


def _convolve(x: Tensor, window: nn.Module) -> Tensor:
    """Apply a Conv1d to (batch, width, 1, length), whose width comes last in memory; that takes a third less time."""
    weight = window.get_parameter("weight").unsqueeze(2).contiguous(memory_format=torch.channels_last)
    return nn.functional.conv2d(x, weight, window.get_parameter("bias"), padding=(0, weight.shape[-1] // 2))


class Bilstm(nn.Module):
    """Apply an LSTM in both directions, the maximum over the words, dropout and a linear layer.

    Texts are padded at the end, and the second LSTM reads them from the last word to the first. That gives the states of
    packed sequences in less than half the time.
    """

    def __init__(self, words: nn.Embedding, config: BilstmConfig, n_labels: int) -> None:
        super().__init__()
        self.words = words
        self.lstms = nn.ModuleList(nn.LSTM(words.embedding_dim, config.hidden, batch_first=True) for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.hidden, n_labels)

    def forward(self, ids: Tensor) -> Tensor:
        lengths = (ids != PAD).sum(1, keepdim=True).clamp(min=1)  # a text without words has one padding
        ids = ids[:, : int(lengths.max())]
        place = torch.arange(ids.shape[1], device=ids.device)
        outside = place >= lengths
        backwards = ids.gather(1, torch.where(outside, place, lengths - 1 - place))
        pooled = [
            lstm(self.words(read))[0].masked_fill(outside.unsqueeze(2), -torch.inf).amax(1)
            for lstm, read in zip(self.lstms, (ids, backwards))
        ]
        return self.head(self.dropout(torch.cat(pooled, 1)))


class Trained(NamedTuple):
    """A trained network and how it was trained; ``scores`` maps texts to probabilities, (n_texts, n_labels)."""

    scores: Callable[[Sequence[str]], NDArray[np.float64]]
    loss_module: MultiLabelLoss
    loss: dict[str, Any]
    history: list[dict[str, Any]]
    best_epoch: int


def train_network(
    network: Callable[[nn.Embedding, Any, int], nn.Module],
    config: WordNetworkConfig,
    splits: Splits,
    loss: str | MultiLabelLoss,
    loss_params: Mapping[str, object] | None,
    seed: int,
    progress: bool,
) -> Trained:
    """Train a network on words and keep the epoch with the best validation ``select_by``.

    The words are those of the training texts. With an encoder, each row of the history has ``coverage``, the share of the
    words in these texts that have a vector.
    """
    train, validation, _ = splits
    check_splits(*splits)
    check_seed(seed)
    loss_module, description = resolve_loss(loss, loss_params, train)
    counts = Counter(word for text in train.texts for word in split_words(text))
    index = {word: i + 2 for i, (word, _) in enumerate(counts.most_common(config.vocabulary))}
    facts: dict[str, float] = {}

    def encode(texts: Sequence[str]) -> Tensor:
        ids = torch.full((len(texts), config.max_length), PAD)
        for row, text in enumerate(texts):
            words = [index.get(word, UNKNOWN) for word in split_words(text)[: config.max_length]]
            ids[row, : len(words)] = torch.tensor(words, dtype=torch.long)
        return ids

    device = default_device()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if config.encoder is None:
            words = nn.Embedding(len(index) + 2, config.width, padding_idx=PAD)
        else:
            words, known = pretrained(config.encoder, index, config.freeze_vectors)
            facts["coverage"] = sum(counts[word] for word in known) / max(counts.total(), 1)
        model: Any = network(words, config, train.n_labels).to(device)
        with torch.no_grad():
            model.head.bias.copy_(start_logits(config.start_bias, loss_module, train.label_counts, len(train)))
        loss_module = loss_module.to(device)
        trainable = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
        x, y = encode(train.texts), torch.from_numpy(train.dense_labels).float()

        @torch.inference_mode()
        def logits(texts: Sequence[str]) -> Tensor:
            model.eval()
            return torch.cat([model(ids.to(device)).cpu() for ids in encode(texts).split(256)])

        history: list[dict[str, Any]] = []
        best: tuple[float, int, dict[str, Tensor]] = (-1.0, 0, {})
        title = f"{network.__name__}, {description['name']}".lower()
        with progress_bar(total=config.epochs, desc=title, unit="epoch", show=progress) as bar:
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
                history.append({"epoch": epoch, "loss": total / len(x), **metrics, **facts})
                bar.update()
                if metrics[config.select_by] > best[0]:
                    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
                    best = (metrics[config.select_by], epoch, state)
                elif epoch - best[1] >= config.patience:
                    break
    model.load_state_dict(best[2])
    return Trained(
        lambda texts: torch.sigmoid(logits(texts).double()).numpy(), loss_module, description, history, best[1]
    )


def pretrained(encoder: str, index: Mapping[str, int], freeze: bool) -> tuple[nn.Embedding, list[str]]:
    """Return the vectors of an encoder for the words with these ids, and the words that have one; the others are zero.

    Raises:
        MissingFileError: the package of the vectors is not installed.
    """
    known, vectors = load_tokenizer(encoder).get_vocab(), load_encoder(encoder).get_parameter("vectors.weight")
    words = [word for word in index if word in known]
    table = torch.zeros(len(index) + 2, vectors.shape[1])
    table[[index[word] for word in words]] = vectors.detach()[[known[word] for word in words]]
    embedding = nn.Embedding(len(table), table.shape[1], padding_idx=PAD, _weight=table)  # draws no random numbers
    embedding.weight.requires_grad_(not freeze)
    return embedding, words


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case.

    Example:
        >>> from afl_helpers.training.word_networks import split_words
        >>> split_words("A duel, at noon.")
        ['a', 'duel', 'at', 'noon']
    """
    return re.findall(r"\w+", text.lower())
