"""Linear heads on a frozen encoder: one, or several trained side by side on the same embeddings and batches."""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from afl_helpers.advice import DEFAULT_LOSS
from afl_helpers.augment.oversampling import resample
from afl_helpers.data import Corpus
from afl_helpers.errors import UsageError
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.progress import progress_bar
from afl_helpers.training.assemble import (
    OnEpoch,
    Splits,
    check_splits,
    finish,
    not_finite,
    resolve_loss,
    selection_metrics,
)
from afl_helpers.training.config import ProbeConfig, TrainingConfig, check_seed
from afl_helpers.training.embedding import FrozenEncoder, embed
from afl_helpers.training.encoders import default_device, load_encoder, load_tokenizer
from afl_helpers.training.initial_bias import prior_logits, start_logits
from afl_helpers.training.run import Predictor, Run

#: A label has moved if one of its validation logits differs from its initial value by more than this.
_MOVED = 0.01


@dataclass(frozen=True)
class Head:
    """Describe one head to train: the arguments of :func:`probe` other than the data.

    ``on_epoch`` is called after each epoch with its number and the validation scores, (n_documents, n_labels).
    """

    loss: str | MultiLabelLoss = DEFAULT_LOSS
    config: ProbeConfig | TrainingConfig | None = None
    seed: int = 0
    loss_params: Mapping[str, object] = field(default_factory=dict)
    on_epoch: OnEpoch | None = None


def probe(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = DEFAULT_LOSS,
    config: ProbeConfig | TrainingConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Train a linear head on the frozen encoder. This takes seconds once the texts are embedded.

    Arguments and errors are those of :func:`fine_tune`; ``seed`` sets the order of the documents, because the head
    starts with zero weights. From a :class:`TrainingConfig`, the fields that a probe has are used, including the
    learning rate.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.training import ProbeConfig, probe
        >>> corpus = load_corpus("toy").select_labels(top=3).select_documents(range(80))
        >>> config = ProbeConfig(encoder="tiny", max_length=16, epochs=3)
        >>> run = probe(*corpus.split(0.6, 0.2, 0.2), loss="bce", config=config, progress=False)
        >>> list(run.metrics["test"])[:3]  # one entry per rule in THRESHOLD_RULES
        ['at_0.5', 'tuned_common', 'tuned_per_label']
    """
    [head] = train_heads(train, validation, test, [Head(loss, config, seed, loss_params or {})], progress=progress)
    return head.run()


def train_heads(
    train: Corpus, validation: Corpus, test: Corpus, heads: Sequence[Head], *, progress: bool = True
) -> list["TrainedHead"]:
    """Train several heads together on embeddings that are computed once.

    Heads with the same seed, batch size and resampling share their batches and one optimizer.

    Returns:
        The trained heads, in order. ``run()`` of each returns what :func:`probe` returns for it alone.

    Raises:
        UsageError: the splits do not fit together, or the heads have different encoders or lengths.
        TrainingError: the loss or gradient of a head is not finite; the message names the step.
    """
    configs = [ProbeConfig.of(head.config) for head in heads]
    if len({(config.encoder, config.max_length) for config in configs}) > 1:
        raise UsageError("the heads have different encoders or lengths; train each kind separately")
    check_splits(train, validation, test)
    for head in heads:
        check_seed(head.seed)
    losses = [resolve_loss(head.loss, dict(head.loss_params), train) for head in heads]
    data = _Data((train, validation, test), configs[0].encoder, configs[0].max_length, progress)
    trained = [
        TrainedHead(data, head.seed, config, *loss, head.on_epoch) for head, config, loss in zip(heads, configs, losses)
    ]

    def shared(head: TrainedHead) -> tuple[int, int, str, float]:
        return head.seed, head.config.batch_size, head.config.resampling, head.config.resampling_rate

    with _denormals_as_zero():
        for _, group in itertools.groupby(sorted(trained, key=shared), shared):
            _train_together(list(group), progress)
    return trained


@contextmanager
def _denormals_as_zero() -> Iterator[None]:
    """Round denormal numbers to 0 on this thread during the block, then restore the previous mode.

    Adam squares gradients. With a large gamma most squares are below 1e-38, where a CPU is slow.
    """
    before = (torch.tensor(1e-30) * 1e-10).item() == 0  # torch can set the mode, but not return it
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


class _Data:
    """Standardized embeddings of the three splits and the targets, on the device."""

    def __init__(self, splits: Splits, encoder: str, max_length: int, progress: bool) -> None:
        self.splits, self.device = splits, default_device()
        vectors = embed([text for split in splits for text in split.texts], encoder, max_length, progress)
        features = [torch.from_numpy(np.stack([vectors[text] for text in split.texts])) for split in splits]
        mean, scale = features[0].mean(0), features[0].std(0)
        scale = torch.where(scale > 1e-6, scale, 1.0)  # some dimensions of MiniLM are constant
        self.standardization = {"mean": mean, "scale": scale}
        self.x, self.x_validation, self.x_test = (((values - mean) / scale).to(self.device) for values in features)
        self.labels, self.validation_labels = (split.dense_labels for split in splits[:2])
        self.y = torch.from_numpy(self.labels).float().to(self.device)
        self.prior_logits = prior_logits(splits[0].label_counts, len(splits[0])).to(self.device)


class TrainedHead:
    """A head, its history and the weights that are kept. ``score`` is the validation ``select_by`` of these weights.

    A row of the history has the loss, the selection metrics and ``labels_moved``, the share of labels for which some
    validation logit has changed by more than 0.01 since the start. If the last epoch is kept, only that one is scored on
    validation, unless ``on_epoch`` asks for all, and the rows have the loss alone.
    """

    def __init__(
        self,
        data: _Data,
        seed: int,
        config: ProbeConfig,
        loss: MultiLabelLoss,
        description: dict[str, Any],
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self.seed, self.config, self.description, self._on_epoch = seed, config, description, on_epoch
        self.history: list[dict[str, Any]] = []
        self.score, self.best_epoch, self.seconds = -1.0, 0, 0.0
        self._data, self._n_steps = data, 0
        self._state: dict[str, Tensor] = {}
        self._gradient, self._batch = torch.zeros((), device=data.device), torch.empty(0, dtype=torch.long)
        train = data.splits[0]
        start = start_logits(config.start_bias, loss, train.label_counts, len(train))
        self._loss = loss.to(data.device)
        self._layer = nn.Linear(data.x.shape[1], data.y.shape[1]).to(data.device)
        nn.init.zeros_(self._layer.weight)
        with torch.no_grad():
            self._layer.bias.copy_(start)
        self._start: NDArray[np.float32] = self._layer.bias.detach().cpu().numpy().copy()

    def parameters(self) -> dict[str, object]:
        """Return the head's parameter group for the shared optimizer."""
        return {
            "params": [*self._layer.parameters()],
            "lr": self.config.learning_rate,
            "weight_decay": self.config.weight_decay,
        }

    def learning_rate(self, step: int, n_steps: int) -> float:
        """Return the rate at a step, from 0, of ``n_steps`` planned ones; the schedule is that of transformers."""
        if self.config.schedule == "constant":
            return self.config.learning_rate
        warmup = int(self.config.warmup * n_steps)
        if step < warmup:
            return self.config.learning_rate * step / warmup
        return self.config.learning_rate * (1 + math.cos(math.pi * (step - warmup) / max(1, n_steps - warmup))) / 2

    def step(self, x: Tensor, y: Tensor, batch: Tensor) -> float:
        """Compute the loss on the documents ``batch`` and its gradient, and return the sum of the loss.

        Raises:
            TrainingError: the loss, or the gradient of the previous step, is not finite.
        """
        self._n_steps += 1
        with self._own_randomness():
            loss = self._loss(self._layer(x), y)
        # Both values in one transfer, so that the device is waited for once. The bias's gradient is the sum over documents
        # and is not finite if any of them is not.
        value, gradient = torch.stack([loss.detach(), self._gradient]).tolist()
        self._check("gradient", gradient, self._n_steps - 1, self._batch)
        self._check("loss", value, self._n_steps, batch)
        loss.backward()
        assert self._layer.bias.grad is not None
        self._gradient, self._batch = self._layer.bias.grad.sum(), batch
        return value * len(x)

    def _check(self, what: str, value: float, step: int, batch: Tensor) -> None:
        if not math.isfinite(value):
            ids = self._data.splits[0].document_ids
            what = f"{what} of {self.description['name']}"
            raise not_finite(what, value, step, [ids[i] for i in batch.tolist()], self.config)

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Seed the draws of a loss with a state by seed and step, so that other heads do not change them."""
        if not self._loss.stateful:
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.SeedSequence([self.seed, self._n_steps]).generate_state(1)[0]))
            yield

    def end_epoch(self, loss: float) -> bool:
        """Score the epoch on validation and return whether training continues."""
        self._check("gradient", self._gradient.item(), self._n_steps, self._batch)
        self._loss.end_epoch()
        epoch = len(self.history) + 1
        last, keep_last = epoch == self.config.epochs, self.config.keep == "last"
        row: dict[str, Any] = {"epoch": epoch, "loss": loss}
        if not keep_last or last or self._on_epoch:
            with torch.no_grad():
                logits = self._layer(self._data.x_validation).cpu().numpy()
            metrics = selection_metrics(self._data.validation_labels, logits)
            moved = np.abs(logits - self._start).max(0) > _MOVED
            if self._on_epoch:
                self._on_epoch(epoch, expit(logits.astype(np.float64)))
            if last if keep_last else metrics[self.config.select_by] > self.score:
                self.score, self.best_epoch = metrics[self.config.select_by], epoch
                self._state = {name: value.detach().clone() for name, value in self._layer.state_dict().items()}
            if not keep_last or self._on_epoch:
                row |= {**metrics, "labels_moved": float(moved.mean())}
        self.history.append(row)
        return not last and (keep_last or epoch - self.best_epoch < self.config.patience)

    def run(self) -> Run:
        """Return thresholds, metrics and a model that predicts, from the epoch that is kept."""
        started, data, config = time.perf_counter() - self.seconds, self._data, self.config
        state = self._state | {"bias": self._state["bias"] - config.logit_adjustment * data.prior_logits}
        scores = {
            name: torch.sigmoid(nn.functional.linear(x, state["weight"], state["bias"]).double()).cpu().numpy()
            for name, x in (("validation", data.x_validation), ("test", data.x_test))
        }
        train = data.splits[0]
        model = FrozenEncoder(load_encoder(config.encoder), train.n_labels, data.x.shape[1])
        model.load_head_state({name: value.cpu() for name, value in (state | data.standardization).items()})
        return finish(
            "probe",
            data.splits,
            Predictor(
                train.label_names, {}, model.to(data.device).eval(), load_tokenizer(config.encoder), config.max_length
            ),
            scores,
            started,
            loss_module=self._loss,
            loss=self.description,
            config=config,
            seed=self.seed,
            history=self.history,
            best_epoch=self.best_epoch,
        )


def _train_together(heads: Sequence[TrainedHead], progress: bool) -> None:
    """Train heads that share their batches until each has stopped.

    They share the batches and the optimizer. One matrix product per head is faster on a CPU than one for all heads: 4.1
    against 6.4 ms per head and step for 256 x 227 and 16 heads on one thread.
    """
    config, seed, data = heads[0].config, heads[0].seed, heads[0]._data
    order = torch.from_numpy(resample(data.labels, config.resampling, config.resampling_rate, seed))
    optimizer = torch.optim.AdamW([head.parameters() for head in heads], fused=True)
    steps_per_epoch, steps = math.ceil(len(order) / config.batch_size), itertools.count()
    generator = torch.Generator().manual_seed(seed)
    active = list(heads)
    title = heads[0].description["name"] if len(heads) == 1 else f"{len(heads)} heads"
    with progress_bar(total=max(head.config.epochs for head in heads), desc=title, unit="epoch", show=progress) as bar:
        while active:
            started = time.perf_counter()
            totals = np.zeros(len(active))
            for batch in order[torch.randperm(len(order), generator=generator)].split(config.batch_size):
                x, y = data.x[batch], data.y[batch]
                step = next(steps)
                for head, group in zip(heads, optimizer.param_groups):
                    group["lr"] = head.learning_rate(step, head.config.epochs * steps_per_epoch)
                optimizer.zero_grad()  # sets gradients to None, so that heads that have stopped do not change
                totals += [head.step(x, y, batch) for head in active]
                optimizer.step()
            continues = [head.end_epoch(float(total) / len(order)) for head, total in zip(active, totals)]
            for head in active:
                head.seconds += (time.perf_counter() - started) / len(active)
            bar.update()
            bar.set_postfix({"validation AP": f"{max(head.score for head in active):.3f}"})
            active = [head for head, more in zip(active, continues) if more]
