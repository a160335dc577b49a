"""A trained model and its results: predict with it, save it, load it."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers  # loads its parts on first use
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from afl_helpers.errors import MissingFileError, UsageError
from afl_helpers.evaluation import DEFAULT_RULE, TopK
from afl_helpers.training.config import Config, convergence
from afl_helpers.training.embedding import FrozenEncoder, forward
from afl_helpers.training.encoders import (
    default_device,
    load_encoder,
    load_saved_classifier,
    loading,
    quiet,
    refuse_code,
)
from afl_helpers.training.explanation import Explanation, integrated_gradients
from afl_helpers.training.predictor import LabelPredictor, OwnThresholds, Thresholds
from afl_helpers.training.saving import DETAILS, OF_PREDICTOR, check_save_folder
from afl_helpers.training.word_counts import WordCountPredictor

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["LabelPredictor", "OwnThresholds", "Predictor", "Run", "Thresholds", "check_save_folder", "load_predictor"]

_HEAD = "head.safetensors"


@dataclass
class Predictor(LabelPredictor):
    """A trained model with its tokenizer, label names and thresholds."""

    model: "PreTrainedModel | FrozenEncoder"
    tokenizer: "PreTrainedTokenizerBase"
    max_length: int

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return torch.sigmoid(forward(self.model, self.tokenizer, texts, self.max_length).double()).numpy()

    def _explain(self, text: str, labels: Sequence[int]) -> list[Explanation]:
        found = integrated_gradients(self.model, self.tokenizer, text, self.max_length, labels)
        return [Explanation(self.label_names[label], *values) for label, values in zip(labels, found)]

    def write(self, folder: Path) -> None:
        """Write the weights and the tokenizer to a folder."""
        with quiet():
            self.tokenizer.save_pretrained(folder)
            if isinstance(self.model, FrozenEncoder):
                save_file(self.model.head_state(), folder / _HEAD)
            else:
                self.model.save_pretrained(folder)


@dataclass
class Run:
    """A trained model, its scores and its metrics.

    ``scores`` and ``metrics`` have the keys "validation" and "test". Scores are probabilities (n_documents, n_labels);
    ``metrics[split][rule]`` is what :func:`~afl_helpers.evaluation.evaluate` returns with the thresholds of that rule.
    ``history`` has one row per epoch. ``gamma`` (n_labels,) turns the scores of a focal loss into probabilities, by
    :func:`~afl_helpers.evaluation.posterior_scores`; it is None if the loss has no such gamma.
    """

    method: str
    loss: dict[str, Any]
    config: Config
    seed: int
    scores: dict[str, NDArray[np.float64]]
    metrics: dict[str, dict[str, dict[str, float]]]
    thresholds: Thresholds
    history: list[dict[str, float]]
    best_epoch: int
    seconds: float
    predictor: LabelPredictor = field(repr=False)
    gamma: NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def encoder(self) -> str | None:
        """Return the name of the encoder, or None for a method without one."""
        return getattr(self.config, "encoder", None)

    @property
    def converged(self) -> bool | None:
        """Return whether training converged, or None for a method without epochs; see ``convergence``."""
        return convergence(self.config, self.best_epoch)[0]

    @property
    def model(self) -> "PreTrainedModel | FrozenEncoder":
        """Return the torch module."""
        return self._encoder_predictor("has no encoder model").model

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Return the tokenizer of the encoder."""
        return self._encoder_predictor("has no tokenizer").tokenizer

    def _encoder_predictor(self, problem: str) -> Predictor:
        if not isinstance(self.predictor, Predictor):
            raise UsageError(f"a run of method {self.method!r} {problem}; use one of 'fine_tune' or 'probe'")
        return self.predictor

    def predict(
        self, texts: Iterable[str], rule: str = DEFAULT_RULE, thresholds: OwnThresholds | None = None
    ) -> list[list[str]]:
        """Return the labels of each text, the most probable first.

        See :meth:`Predictor.predict <afl_helpers.training.run.LabelPredictor.predict>`.
        """
        return self.predictor.predict(texts, rule, thresholds)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write model, thresholds, label names, training counts and metrics to a folder for :func:`load_predictor`.

        The folder is written completely or not at all. A saved run is replaced; a folder with anything else is refused.

        Raises:
            UsageError: the folder holds something else, or the method has nothing to save.
            StorageError: the folder cannot be written; an earlier run in it is still there.
        """
        if type(self.predictor).write is LabelPredictor.write:
            raise UsageError(
                f"a run of method {self.method!r} cannot be saved; use one of 'fine_tune', 'probe' or 'tfidf'"
            )
        details = {
            "method": self.method,
            "loss": self.loss,
            "config": self.config.to_dict(),
            "seed": self.seed,
            "best_epoch": self.best_epoch,
            "metrics": self.metrics,
        }
        return replace(self.predictor, details=details).save(path)


def load_predictor(path: str | os.PathLike[str]) -> LabelPredictor:
    """Load what :meth:`Run.save` wrote: a model that predicts, explains itself and can be evaluated.

    No code from the folder is run: weights are safetensors, and a model that needs code of its own is refused.

    Returns:
        A :class:`~afl_helpers.training.run.LabelPredictor`; for an encoder, a :class:`Predictor`. ``predict_frame``, and
        the reports that ``evaluate`` returns, are pandas data frames.

    Raises:
        MissingFileError: the folder holds no saved run.
        DataError: a file is broken, the weights are a pickle, or the model needs code of its own.

    Example:
        >>> import tempfile
        >>> from afl_helpers.data import load_corpus
        >>> from afl_helpers.training import load_predictor
        >>> from afl_helpers.training.baselines import tfidf
        >>> corpus = load_corpus("toy").select_labels(top=3)
        >>> run = tfidf(*corpus.split(0.8, 0.1, 0.1, seed=0), progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     predictor = load_predictor(run.save(f"{folder}/model"))
        >>> predictor.predict_frame(corpus.texts[:2], corpus.document_ids[:2], scores=True).columns.tolist()
        ['id', 'text', 'labels', 'Drama', 'Comedy', 'Romance Film']
    """
    path = Path(path)
    if not (path / DETAILS).is_file():
        raise MissingFileError(
            f"{path} holds no saved run ({DETAILS} is missing); pass a folder that run.save(...) or train --save wrote"
        )
    refuse_code(path)
    with loading(path):
        details = json.loads((path / DETAILS).read_text(encoding="utf-8"))
        method = details["method"]
        counts, gamma = details.get("label_counts"), details.get("gamma")
        shared: dict[str, Any] = {
            "label_names": details["label_names"],
            "thresholds": {rule: _read_threshold(value) for rule, value in details["thresholds"].items()},
            "label_counts": None if counts is None else np.array(counts, dtype=np.int64),
            "n_documents": details.get("n_documents"),
            "gamma": None if gamma is None else np.array(gamma, dtype=np.float64),
            "seen": details.get("seen"),
            "details": {name: value for name, value in details.items() if name not in OF_PREDICTOR},
        }
        if method == "tfidf":
            return WordCountPredictor.read(path, **shared)
        model = _load_probe(path, details) if method == "probe" else load_saved_classifier(path)
        model.to(default_device())  # type: ignore[arg-type]  # transformers wraps Module.to without binding self
        return Predictor(
            **shared,
            model=model.eval(),
            tokenizer=transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=False),
            max_length=details["config"]["max_length"],
        )


def _read_threshold(value: Any) -> float | NDArray[np.float64] | TopK:
    if isinstance(value, dict):
        return TopK(**value)
    return value if isinstance(value, float) else np.array(value)


def _load_probe(path: Path, details: dict[str, Any]) -> FrozenEncoder:
    state = load_file(path / _HEAD)
    n_labels, width = state["weight"].shape
    model = FrozenEncoder(load_encoder(details["config"]["encoder"]), n_labels, width)
    model.load_head_state(state)
    return model
