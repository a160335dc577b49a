"""A trained model and its results: predict with it, save it, load it."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from afl_helpers.errors import MissingFileError, UsageError, unknown_name
from afl_helpers.files import not_written, write_json
from afl_helpers.training.config import Config, EncoderConfig, convergence
from afl_helpers.training.embedding import FrozenEncoder, forward
from afl_helpers.training.encoders import (
    default_device,
    load_encoder,
    load_saved_classifier,
    loading,
    quiet,
    refuse_code,
)

#: Threshold rule -> one threshold, or one per label (n_labels,).
Thresholds = dict[str, float | NDArray[np.float64]]

_DETAILS = "afl_run.json"
_HEAD = "head.safetensors"


@dataclass
class LabelPredictor:
    """Label names and thresholds for anything that scores texts."""

    label_names: list[str]
    thresholds: Thresholds

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        raise NotImplementedError

    def predict_scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each label, (n_texts, n_labels)."""
        if isinstance(texts, str):
            raise UsageError("texts is one string; pass a list of strings")
        return self._scores(texts) if len(texts) else np.empty((0, len(self.label_names)))

    def predict(self, texts: Sequence[str], rule: str = "tuned_common") -> list[list[str]]:
        """Return the labels of each text, the most probable first.

        ``rule`` is one of :data:`~afl_helpers.training.THRESHOLDS`.
        """
        if rule not in self.thresholds:
            raise unknown_name("rule", rule, self.thresholds)
        scores = self.predict_scores(texts)
        chosen = scores >= self.thresholds[rule]
        return [
            [self.label_names[c] for c in np.argsort(-row, kind="stable") if keep[c]]
            for row, keep in zip(scores, chosen)
        ]


@dataclass
class Predictor(LabelPredictor):
    """A trained model with its tokenizer, label names and thresholds."""

    model: PreTrainedModel | FrozenEncoder
    tokenizer: PreTrainedTokenizerBase
    max_length: int

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return torch.sigmoid(forward(self.model, self.tokenizer, texts, self.max_length).double()).numpy()


@dataclass
class Run:
    """A trained model, its scores and its metrics.

    ``scores`` and ``metrics`` have the keys "validation" and "test". Scores are probabilities (n_documents, n_labels);
    ``metrics[split][rule]`` is what :func:`~afl_helpers.evaluation.evaluate` returns with the thresholds of that rule.
    ``history`` has one row per epoch.
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

    @property
    def encoder(self) -> str | None:
        """Return the name of the encoder, or None for a method without one."""
        return self.config.encoder if isinstance(self.config, EncoderConfig) else None

    @property
    def converged(self) -> bool | None:
        """Return whether training converged, or None for a method without epochs; see :func:`convergence`."""
        return convergence(self.config, self.best_epoch)[0]

    @property
    def model(self) -> PreTrainedModel | FrozenEncoder:
        """Return the torch module."""
        return self._encoder_predictor("has no encoder model").model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer of the encoder."""
        return self._encoder_predictor("has no tokenizer").tokenizer

    def _encoder_predictor(self, problem: str) -> Predictor:
        if not isinstance(self.predictor, Predictor):
            raise UsageError(f"a run of method {self.method!r} {problem}; use one of 'fine_tune' or 'probe'")
        return self.predictor

    def predict(self, texts: Sequence[str], rule: str = "tuned_common") -> list[list[str]]:
        """Return the labels of each text, the most probable first.

        See :meth:`Predictor.predict <afl_helpers.training.run.LabelPredictor.predict>`.
        """
        return self.predictor.predict(texts, rule)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write model, tokenizer, thresholds, label names and metrics to a folder for :func:`load_predictor`.

        The folder is written completely or not at all. A saved run is replaced; a folder with anything else is refused.

        Raises:
            UsageError: the folder holds something else, or this run is a baseline.
            StorageError: the folder cannot be written; an earlier run in it is still there.
        """
        self._encoder_predictor("cannot be saved")
        path = check_save_folder(path)
        # Fixed names, so that the next save removes what a killed one left.
        part, old = (path.with_name(f".{path.name}.{kind}") for kind in ("part", "old"))
        try:
            for folder in (part, old):
                if folder.exists():
                    shutil.rmtree(folder)
            part.mkdir(parents=True)
            self._write(part)
            if path.exists():
                path.rename(old)
            part.rename(path)
        except (OSError, SafetensorError) as error:
            raise not_written(path, error) from error
        finally:
            if old.exists() and not path.exists():
                old.rename(path)
            for folder in (part, old):
                shutil.rmtree(folder, ignore_errors=True)
        return path

    def _write(self, folder: Path) -> None:
        model = self.model
        with quiet():
            self.tokenizer.save_pretrained(folder)
            if isinstance(model, FrozenEncoder):
                save_file(model.head_state(), folder / _HEAD)
            else:
                model.save_pretrained(folder)
        details = {
            "method": self.method,
            "loss": self.loss,
            "config": self.config.to_dict(),
            "seed": self.seed,
            "best_epoch": self.best_epoch,
            "label_names": self.predictor.label_names,
            "thresholds": {rule: np.asarray(value).tolist() for rule, value in self.thresholds.items()},
            "metrics": self.metrics,
        }
        write_json(folder / _DETAILS, details)


def check_save_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder as a Path; raise UsageError if it holds anything but a saved run."""
    path = Path(path)
    if path.exists() and not (path / _DETAILS).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists and holds no saved run; choose another folder")
    return path


def load_predictor(path: str | os.PathLike[str]) -> Predictor:
    """Load what :meth:`Run.save` wrote.

    No code from the folder is run: weights are safetensors, and a model that needs code of its own is refused.

    Raises:
        MissingFileError: the folder holds no saved run.
        DataError: a file is broken, the weights are a pickle, or the model needs code of its own.
    """
    path = Path(path)
    if not (path / _DETAILS).is_file():
        raise MissingFileError(
            f"{path} holds no saved run ({_DETAILS} is missing); pass a folder that run.save(...) wrote"
        )
    refuse_code(path)
    with loading(path):
        details = json.loads((path / _DETAILS).read_text(encoding="utf-8"))
        model = _load_probe(path, details) if details["method"] == "probe" else load_saved_classifier(path)
        model.to(default_device())  # type: ignore[arg-type]  # transformers wraps Module.to without binding self
        return Predictor(
            label_names=details["label_names"],
            thresholds={
                rule: value if isinstance(value, float) else np.array(value)
                for rule, value in details["thresholds"].items()
            },
            model=model.eval(),
            tokenizer=AutoTokenizer.from_pretrained(path, trust_remote_code=False),
            max_length=details["config"]["max_length"],
        )


def _load_probe(path: Path, details: dict[str, Any]) -> FrozenEncoder:
    state = load_file(path / _HEAD)
    n_labels, width = state["weight"].shape
    model = FrozenEncoder(load_encoder(details["config"]["encoder"]), n_labels, width)
    model.load_head_state(state)
    return model
