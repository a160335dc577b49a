"""Heads on given features, and the one loop that trains every method with a gradient.

The two heads are baselines: with its neutral parameters, a method that trains gives the scores of one of them, bit for
bit. That is why each purpose has random numbers of its own (:class:`Streams`): what a method draws beyond its baseline
does not change what the baseline draws.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse
from torch import Generator, Tensor, nn

from afl_helpers.augment.base import check_number, is_sparse
from afl_helpers.errors import TrainingError
from afl_helpers.relations.base import Model, Relation, RelationInfo, Takes, n_documents, width_of
from afl_helpers.training.initial_bias import prior_logits

_WARMUP = 0.1
_SCORED_TOGETHER = 512


class Tokens(NamedTuple):
    """The token states of a batch, (n, n_tokens, width), zero where there is no token, and which are tokens."""

    states: Tensor
    present: Tensor


#: A batch of features.
Batch: TypeAlias = Tensor | Tokens


class Streams(NamedTuple):
    """Random numbers for the order of documents, the weights of the baseline, further weights, and other draws."""

    order: Generator
    weights: Generator
    more_weights: Generator
    noise: Generator


class Network(nn.Module):
    """A network with logits and a loss; ``forward`` takes a batch of features."""

    noise: Generator

    def loss(self, x: Batch, y: Tensor) -> Tensor:
        """Return the loss of a batch with the labels ``y``, (n, n_labels); cross-entropy unless a method adds to it."""
        return F.binary_cross_entropy_with_logits(self(x), y)


@dataclass(kw_only=True, eq=False)
class Trained(Relation):
    """A method that is trained with AdamW, and the parameters that all of these have.

    Dense features are standardized with the training split's mean and standard deviation; sparse ones stay as they are.
    The bias starts at the log odds of the labels. The learning rate rises over a tenth of the steps, then falls to 0
    along a cosine, and the last weights are kept: no validation split is needed. The number of updates is ``epochs``
    times the number of batches, for every method alike.

    Args:
        epochs: passes over the training documents.
        batch_size: documents per batch.
        learning_rate, weight_decay: of AdamW.
    """

    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 0.003
    weight_decay: float = 0.01

    takes: ClassVar[Takes] = "features"

    def _check(self) -> None:
        check_number("epochs", self.epochs, 1, integer=True)
        check_number("batch_size", self.batch_size, 1, integer=True)
        check_number("learning_rate", self.learning_rate, 0, 1)
        check_number("weight_decay", self.weight_decay, 0)

    @abstractmethod
    def _network(self, width: int, labels: NDArray[np.bool], streams: Streams) -> Network:
        """Return the network before training; its logits have one column per label, or more with groups after them."""

    def _targets(self, labels: NDArray[np.bool]) -> NDArray[np.bool]:
        """Return the targets of training, (n_documents, n_labels or more)."""
        return labels

    def _fit(self, X: Any, labels: NDArray[np.bool], rng: np.random.Generator) -> Model:
        streams = Streams(*(Generator().manual_seed(int(seed)) for seed in rng.integers(2**62, size=4)))
        features = Features(X)
        network = self._network(width_of(X), labels, streams)
        network.noise = streams.noise
        targets = torch.from_numpy(self._targets(labels).astype(np.float32))
        n_steps = self.epochs * math.ceil(len(labels) / self.batch_size)
        batches = (
            batch
            for _ in range(self.epochs)
            for batch in torch.randperm(len(labels), generator=streams.order).split(self.batch_size)
        )
        losses = (network.loss(features[batch], targets[batch]) for batch in batches)
        train_network(network, losses, n_steps, self.learning_rate, self.weight_decay)
        return TrainedModel(network.eval(), features, self.takes, labels.shape[1])


def train_network(
    network: nn.Module, losses: Iterator[Tensor], n_steps: int, learning_rate: float, weight_decay: float
) -> list[float]:
    """Train a network with AdamW for ``n_steps`` updates, and return the loss of each.

    The learning rate rises over a tenth of the updates, then falls to 0 along a cosine.

    Args:
        network: the network.
        losses: yields the loss of each update, computed with the weights at that moment.
        n_steps: the number of updates.
        learning_rate, weight_decay: of AdamW.

    Raises:
        TrainingError: a loss is not finite; the message names the update.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay, foreach=False)
    values: list[float] = []
    for step, loss in enumerate(islice(losses, n_steps)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _share_of_rate(step, n_steps)
        values.append(loss.item())
        if not math.isfinite(values[-1]):
            raise TrainingError(
                f"the loss is {values[-1]} at step {step + 1}; pass a learning_rate below {learning_rate:g}"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return values


def _share_of_rate(step: int, n_steps: int) -> float:
    warmup = int(_WARMUP * n_steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (1 + math.cos(math.pi * (step - warmup) / max(1, n_steps - warmup))) / 2


class TrainedModel(Model):
    """A trained network and the constants that standardize its features."""

    def __init__(self, network: Network, features: "Features", takes: Takes, n_labels: int) -> None:
        super().__init__(takes, n_labels, features.width)
        self.network, self._constants = network, features.constants

    def features(self, X: Any) -> "Features":
        """Return features as the network takes them."""
        return Features(X, self._constants)

    @torch.no_grad()
    def _scores(self, X: Any) -> NDArray[np.float64]:
        features = self.features(X)
        scores = np.zeros((n_documents(X), self.n_labels))
        for batch in torch.arange(len(scores)).split(_SCORED_TOGETHER):
            logits = self.network(features[batch])[:, : self.n_labels]
            scores[batch.numpy()] = torch.sigmoid(logits.double()).numpy()
        return scores


class Features:
    """Features by batch, as float32: standardized if they are dense, as they are if they are sparse."""

    def __init__(self, X: Any, constants: tuple[Tensor, Tensor] | None = None) -> None:
        self._X, self.width = X, width_of(X)
        if isinstance(X, list):
            means = torch.from_numpy(np.stack([x.astype(np.float32).mean(axis=0) for x in X]))
        elif is_sparse(X):
            means = torch.zeros(1, X.shape[1], dtype=torch.float32)
            zeros = torch.zeros(X.shape[1], dtype=torch.float32)
            constants = zeros, zeros + 1
        else:
            wide = np.asarray(X).dtype == np.float64  # a large offset is subtracted before digits are lost
            means = torch.from_numpy(np.array(X, dtype=np.float64 if wide else np.float32))
        if constants is None:
            scale = means.std(0, correction=0)
            # Some dimensions of MiniLM are constant.
            varies = scale > 1e-6 * means.abs().amax(0) if len(means) else scale > 0
            constants = means.mean(0), torch.where(varies, scale, 1.0)
        self.constants = constants
        self._dense = ((means - constants[0]) / constants[1]).float()

    def __getitem__(self, batch: Tensor) -> Batch:
        if is_sparse(self._X):
            return torch.from_numpy(sparse.csr_array(self._X)[batch.numpy()].toarray())
        if not isinstance(self._X, list):
            return self._dense[batch]
        documents = [self._X[i] for i in batch.tolist()]
        lengths = torch.tensor([len(document) for document in documents])
        states = np.zeros((len(documents), int(lengths.max()), self.width), dtype=np.float32)
        for row, document in zip(states, documents):
            row[: len(document)] = document
        present = torch.arange(states.shape[1]) < lengths[:, None]
        mean, scale = self.constants
        return Tokens((torch.from_numpy(states) - mean) / scale * present[:, :, None], present)


def pooled(x: Batch) -> Tensor:
    """Return the features of each document, (n, width); for token states, their mean."""
    if isinstance(x, Tokens):
        return x.states.sum(1) / x.present.sum(1, keepdim=True)
    return x


def uniform_linear(n_in: int, n_out: int, generator: Generator) -> nn.Linear:
    """Return a linear layer whose weights are drawn from -1 / sqrt(n_in) to 1 / sqrt(n_in)."""
    layer, bound = nn.utils.skip_init(nn.Linear, n_in, n_out, dtype=torch.float32), 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.zero_()
    return layer


def zero_linear(n_in: int, labels: NDArray[np.bool]) -> nn.Linear:
    """Return a linear layer with zero weights and the log odds of the labels as its bias."""
    layer = nn.utils.skip_init(nn.Linear, n_in, labels.shape[1], dtype=torch.float32)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(prior_logits(labels.sum(axis=0), len(labels)))
    return layer


class LinearNetwork(Network):
    """One linear layer."""

    def __init__(self, width: int, labels: NDArray[np.bool]) -> None:
        super().__init__()
        self.layer = zero_linear(width, labels)

    def forward(self, x: Batch) -> Tensor:
        """Return the logits of a batch."""
        return self.layer(pooled(x))


class HiddenNetwork(Network):
    """One hidden layer of rectified units, then one linear layer."""

    def __init__(self, width: int, hidden: int, labels: NDArray[np.bool], streams: Streams) -> None:
        super().__init__()
        self.hidden = uniform_linear(width, hidden, streams.weights)
        self.layer = zero_linear(hidden, labels)

    def representation(self, x: Batch) -> Tensor:
        """Return the hidden units of a batch."""
        return torch.relu(self.hidden(pooled(x)))

    def forward(self, x: Batch) -> Tensor:
        """Return the logits of a batch."""
        return self.layer(self.representation(x))


@dataclass(kw_only=True, eq=False)
class LinearHead(Trained):
    """Train one linear layer with cross-entropy; of token states, their mean is used. Parameters: :class:`Trained`."""

    def _network(self, width: int, labels: NDArray[np.bool], streams: Streams) -> Network:
        return LinearNetwork(width, labels)


@dataclass(kw_only=True, eq=False)
class HiddenHead(Trained):
    """Train one hidden layer of rectified units and a linear layer with cross-entropy.

    Args:
        hidden: the number of hidden units.
        epochs, batch_size, learning_rate, weight_decay: those of :class:`Trained`.
    """

    hidden: int = 256

    def _check(self) -> None:
        super()._check()
        check_number("hidden", self.hidden, 1, integer=True)

    def _network(self, width: int, labels: NDArray[np.bool], streams: Streams) -> Network:
        return HiddenNetwork(width, self.hidden, labels, streams)


ENTRIES = {
    "linear_head": RelationInfo(
        title="Linear head",
        build=LinearHead,
        source="logistic regression",
        grade="textbook",
        differs="",
        tuned="learning_rate",
        values=(0.001, 0.003, 0.01),
    ),
    "hidden_head": RelationInfo(
        title="Head with one hidden layer",
        build=HiddenHead,
        source="one hidden layer",
        grade="textbook",
        differs="",
        tuned="learning_rate",
        values=(0.001, 0.003, 0.01),
    ),
}
