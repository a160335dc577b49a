"""A linear head on fixed features with one remedy for rare labels: a change of the training split, or a use of relations.

All remedies share the features, the head, the number of updates and the schedule, so that what differs is the remedy.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from afl_helpers.augment import AUGMENTATIONS, Augmentation, GeneratedTexts, Mixup, PlainCopies, build_augmentation
from afl_helpers.augment.base import Selection
from afl_helpers.augment.feature_dictionary import cosines
from afl_helpers.augment.trigram_model import TrigramModel
from afl_helpers.data import Corpus
from afl_helpers.data.imbalance import mean_imbalance_ratio
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.losses import MultiLabelLoss
from afl_helpers.relations import (
    RELATIONS,
    Hierarchy,
    Relation,
    build_relation,
    official_hierarchy,
    subsumption_hierarchy,
    token_states,
)
from afl_helpers.relations.heads import Features, train_network
from afl_helpers.relations.official import OFFICIAL
from afl_helpers.relations.per_parent import PerParent
from afl_helpers.training.assemble import check_splits, finish, resolve_loss, selection_metrics
from afl_helpers.training.baselines import Baseline, Scorer
from afl_helpers.training.config import EpochConfig, check_seed
from afl_helpers.training.fixed_features import TextVectors, text_vectors
from afl_helpers.training.initial_bias import start_logits
from afl_helpers.training.run import Run

#: Share of the documents of a child that must carry its parent, where a corpus has no hierarchy of its own.
SUBSUMPTION = 0.7
#: Parameters of a relation that the configuration sets for all remedies alike.
_SHARED = ("epochs", "batch_size", "learning_rate", "weight_decay")


@dataclass(frozen=True, kw_only=True)
class RemedyConfig(EpochConfig):
    """Configure a linear head on fixed features, and one remedy.

    The head is trained for as many updates as ``epochs`` passes over the original training split have, whatever the remedy
    makes of the split. The learning rate rises over a tenth of them and falls to 0 along a cosine, and the last weights are
    kept; ``patience`` is not used. A remedy that scikit-learn fits, such as ``per_parent``, has no epochs. Fields that are
    not listed are those of :class:`~afl_helpers.training.config.EpochConfig`.

    Args:
        encoder: an encoder, or "word-counts"; see ``training.fixed_features.text_vectors``.
        remedy: "none", a key of ``AUGMENTATIONS``, or a key of ``RELATIONS``.
        value: of the one parameter that the remedy's entry names as ``tuned``; None is its default.
        params: further parameters of the remedy.
        control: put the remedy's control in its place: plain copies of the documents from which it makes others, a random
            hierarchy of the same shape, or the co-occurrences of other labels.
    """

    encoder: str = "minilm"
    epochs: int = 60
    batch_size: int = 256
    remedy: str = "none"
    value: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    control: bool = False

    keep: ClassVar[str] = "last"
    schedule: ClassVar[str] = "cosine"

    _ranges = EpochConfig._ranges | {"value": (0.0, math.inf)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.build()

    @property
    def by_epochs(self) -> bool:
        """Whether the remedy is trained in epochs."""
        return self.remedy not in RELATIONS or RELATIONS[self.remedy].build is not PerParent

    def build(self, seed: int = 0, hierarchy: Hierarchy | None = None) -> Augmentation | Relation | None:
        """Return the remedy, or None for "none".

        Args:
            seed: of a random control.
            hierarchy: for a relation that uses one.

        Raises:
            UsageError: the remedy or a parameter does not exist, or the remedy has no control.
        """
        if self.remedy == "none":
            if self.params or self.control or self.value is not None:
                raise UsageError("remedy is 'none', which has no value, params or control; leave them out")
            return None
        if self.remedy in AUGMENTATIONS:
            tuned = {} if self.value is None else {AUGMENTATIONS[self.remedy].tuned: self.value}
            step = build_augmentation(self.remedy, **tuned, **self.params)
            if self.control and (isinstance(step, Mixup) or isinstance(step, Selection) and step.takes == "anything"):
                raise UsageError(f"{self.remedy} makes no further documents, so it has no control; leave control out")
            return PlainCopies(of=step) if self.control else step
        if self.remedy not in RELATIONS:
            raise unknown_name("remedy", self.remedy, ("none", *AUGMENTATIONS, *RELATIONS))
        info = RELATIONS[self.remedy]
        names = info.build().get_params()
        params: dict[str, Any] = {name: getattr(self, name) for name in _SHARED if name in names}
        if info.uses_hierarchy and "hierarchy" not in info.fixed:
            params["hierarchy"] = hierarchy
        if self.value is not None:
            params[info.tuned] = self.value
        if self.control:
            if "shuffled" in names:
                params["shuffled"] = True
            elif "shuffle_seed" in names:
                params["shuffle_seed"] = seed
            else:
                raise UsageError(f"{self.remedy} has nothing to shuffle, so it has no control; leave control out")
        return build_relation(self.remedy, **(params | dict(self.params)))


def remedy(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = "bce",
    config: RemedyConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Train a linear head on fixed features with one remedy for rare labels.

    Arguments and errors are those of :func:`~afl_helpers.training.fine_tune`. Relations that train a network of their own
    do so with cross-entropy, so with them ``loss`` must be "bce". A relation that uses a hierarchy gets the official one of
    the corpus or, where there is none, one by subsumption from the training labels.

    Returns:
        A run. Each row of its history describes the documents that were trained on: ``documents``, their number; ``added``,
        the share of them that are copies or were made; ``dropped``, the share of the original ones that are left out; and
        ``mean_ir``, their MeanIR.

    Example:
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.studies.remedies import RemedyConfig, remedy
        >>> splits = load_corpus("toy").select_labels(top=6).select_documents(range(200)).split(0.6, 0.2, 0.2)
        >>> config = RemedyConfig(encoder="tiny", max_length=16, epochs=3, remedy="ml_ros", value=0.5)
        >>> run = remedy(*splits, config=config, progress=False)
        >>> round(run.history[-1]["added"], 2)  # ML-ROS stops early: no label is then rarer than the mean
        0.11
    """
    started, splits = time.perf_counter(), (train, validation, test)
    config = config or RemedyConfig()
    check_splits(*splits)
    check_seed(seed)
    module, description = resolve_loss(loss, loss_params, train)
    vectors = text_vectors(config.encoder, config.max_length, train.texts, [*validation.texts, *test.texts], progress)
    method = config.build(seed, _hierarchy(train))
    if isinstance(method, Relation) and method.takes != "scores":
        if description != {"name": "bce", "params": {}}:
            raise UsageError(f"{config.remedy} trains with cross-entropy; leave loss at 'bce', without parameters")
        scorer = _fit_relation(method, train, config, vectors, seed)
        history = [_Documents.of(train, vectors).facts(len(train))] * config.epochs
    else:
        head = _Head(train, vectors, module, config, seed)
        history = head.fit(method if isinstance(method, Augmentation) else None)
        scorer = head.scores if method is None or isinstance(method, Augmentation) else _reranked(method, head, train)
    scores = {name: scorer(split.texts) for name, split in (("validation", validation), ("test", test))}
    history = [{"epoch": epoch, **row} for epoch, row in enumerate(history, 1)]
    history[-1] |= selection_metrics(validation.dense_labels, scores["validation"])
    return finish(
        "remedy",
        splits,
        Baseline(train.label_names, {}, scorer),
        scores,
        started,
        loss_module=module if isinstance(method, Augmentation | None) else None,
        loss=description,
        config=config,
        seed=seed,
        history=history,
        best_epoch=config.epochs,
    )


def _hierarchy(train: Corpus) -> Hierarchy:
    if train.name in OFFICIAL:
        return official_hierarchy(train.name, train.label_names)
    return subsumption_hierarchy(train.dense_labels.astype(bool), train.label_names, SUBSUMPTION)


def _fit_relation(method: Relation, train: Corpus, config: RemedyConfig, vectors: TextVectors, seed: int) -> Scorer:
    def features(texts: Sequence[str]) -> Any:
        if method.takes == "token states":
            return token_states(texts, config.encoder, config.max_length, progress=False)
        return vectors(texts)

    model = method.fit(features(train.texts), train.dense_labels, seed)
    return lambda texts: model.scores(features(texts))


def _reranked(method: Relation, head: "_Head", train: Corpus) -> Scorer:
    model = method.fit(None, train.dense_labels)
    return lambda texts: model.scores(head.scores(texts))


class _Documents(NamedTuple):
    """What is trained on: vectors, targets, which targets are known (None: all), and the original positions."""

    vectors: NDArray[np.float32]
    labels: NDArray[Any]
    known: NDArray[np.bool] | None
    positions: NDArray[np.int64]

    @classmethod
    def of(cls, train: Corpus, vectors: TextVectors) -> "_Documents":
        return cls(vectors(train.texts), train.dense_labels, None, np.arange(len(train)))

    def facts(self, n: int) -> dict[str, float]:
        """Describe the documents as the history of :func:`remedy` does; ``n`` is the number of original ones."""
        unique = len(np.unique(self.positions))
        return {
            "documents": len(self.positions),
            "added": 1 - unique / len(self.positions),
            "dropped": 1 - unique / n,
            "mean_ir": mean_imbalance_ratio(self.labels.sum(axis=0)),
        }


class _Head:
    """A linear head on standardized vectors, trained with any loss and on what an augmentation makes of the split."""

    def __init__(
        self, train: Corpus, vectors: TextVectors, loss: MultiLabelLoss, config: RemedyConfig, seed: int
    ) -> None:
        self._train, self._vectors, self._loss, self._config, self._seed = train, vectors, loss, config, seed
        self._originals = _Documents.of(train, vectors)
        self._constants = Features(self._originals.vectors).constants
        self._layer = nn.Linear(self._originals.vectors.shape[1], train.n_labels)
        with torch.no_grad():
            self._layer.weight.zero_()
            self._layer.bias.copy_(start_logits(config.start_bias, loss, train.label_counts, len(train)))

    def fit(self, step: Augmentation | None) -> list[dict[str, float]]:
        """Train the head and return a history with one row per epoch of the original split."""
        config, n = self._config, len(self._train)
        passes = self._passes(step)
        first = next(passes)
        per_epoch = math.ceil(n / config.batch_size)
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)  # for losses that draw at random
            values = train_network(
                self._layer,
                self._losses(chain([first], passes)),
                config.epochs * per_epoch,
                config.learning_rate,
                config.weight_decay,
            )
        means = np.reshape(values, (config.epochs, per_epoch)).mean(axis=1)
        return [{"loss": float(value), **first.facts(n)} for value in means]

    def _passes(self, step: Augmentation | None) -> Iterator[_Documents]:
        """Yield what is trained on in each pass: the same documents, or with mixup other ones each time."""
        if step is None:
            while True:
                yield self._originals
        rng = np.random.default_rng([self._seed, 1])
        documents = self._apply(step, rng)
        while True:
            yield documents
            if isinstance(step, Mixup):
                documents = self._apply(step, rng)

    def _apply(self, step: Augmentation, rng: np.random.Generator) -> _Documents:
        labels = self._originals.labels
        writer = step.of if isinstance(step, PlainCopies) else step
        if isinstance(writer, GeneratedTexts):
            writer.set_params(model=TrigramModel(), score=self._likeness)
        if step.takes == "texts":
            texts, made = step.fit_resample(self._train.texts, labels, rng)
            vectors = self._vectors(texts)
        else:
            vectors, made = step.fit_resample(self._originals.vectors, labels, rng)
        return _Documents(vectors, made, getattr(step, "known_", None), step.sample_indices_)

    def _likeness(self, texts: list[str], label: int) -> NDArray[np.float64]:
        """Return the cosine of each text with the mean of the label's documents, by which generated texts are filtered.

        A head would not do: it has seen the real documents, so no new text reaches its scores for them.
        """
        own = self._standardized(self._originals.vectors[self._originals.labels[:, label] > 0]).mean(0, keepdim=True)
        return cosines(self._standardized(self._vectors(texts)).numpy(), own.numpy())[:, 0]

    def _losses(self, passes: Iterator[_Documents]) -> Iterator[Tensor]:
        """Yield the loss of each batch, pass by pass."""
        seed = np.random.default_rng(self._seed).integers(2**62, size=4)[0]  # the order of relations.heads
        order = Generator().manual_seed(int(seed))
        for documents in passes:
            x, y = self._standardized(documents.vectors), torch.from_numpy(documents.labels.astype(np.float32))
            known = None if documents.known is None else torch.from_numpy(documents.known)
            for batch in torch.randperm(len(x), generator=order).split(self._config.batch_size):
                mask = None if known is None else known[batch]
                yield self._loss(self._layer(x[batch]), y[batch], mask=mask)
            self._loss.end_epoch()

    def _standardized(self, vectors: NDArray[np.float32]) -> Tensor:
        mean, scale = self._constants
        return (torch.from_numpy(vectors) - mean) / scale

    @torch.no_grad()
    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each label, (n_texts, n_labels)."""
        logits = self._layer(self._standardized(self._vectors(texts)))
        scores: NDArray[np.float64] = torch.sigmoid(logits.double()).numpy()
        return scores
