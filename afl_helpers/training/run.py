"""A trained model and its results: predict with it, save it, load it."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from afl_helpers.errors import MissingFileError, UsageError, unknown_name
from afl_helpers.evaluation import THRESHOLD_RULES, TopK, binarize
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

#: Threshold rule -> one threshold, one per label (n_labels,), or a number of labels per document.
Thresholds = dict[str, float | NDArray[np.float64] | TopK]
#: Thresholds of one's own: a number, label -> number, or (n_labels,).
OwnThresholds = float | Mapping[str, float] | Sequence[float] | NDArray[np.floating]

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

    def predict(
        self, texts: Sequence[str], rule: str = "tuned_common", thresholds: OwnThresholds | None = None
    ) -> list[list[str]]:
        """Return the labels of each text, the most probable first.

        Args:
            texts: the texts.
            rule: a threshold rule, one of :data:`~afl_helpers.training.THRESHOLDS`. A model that was saved by an earlier
                version has fewer of them; ``thresholds`` lists those that it has.
            thresholds: thresholds of your own in [0, 1] instead: one number, (n_labels,), or a dict of label and number,
                in which labels that are not named keep the rule's threshold.

        Raises:
            UsageError: a rule that does not exist or that this model does not have, a label that does not exist, or a
                threshold outside [0, 1].
        """
        chosen_thresholds = self._own(thresholds, rule)
        scores = self.predict_scores(texts)
        chosen = binarize(scores, chosen_thresholds)
        return [
            [self.label_names[c] for c in np.argsort(-row, kind="stable") if keep[c]]
            for row, keep in zip(scores, chosen)
        ]

    def _of_rule(self, rule: str) -> float | NDArray[np.float64] | TopK:
        if rule in self.thresholds:
            return self.thresholds[rule]
        if rule in THRESHOLD_RULES:
            raise UsageError(
                f"this model was saved without thresholds of rule {rule!r}; choose one of "
                f"{', '.join(sorted(self.thresholds))}, or train it again"
            )
        raise unknown_name("rule", rule, self.thresholds)

    def _own(self, thresholds: OwnThresholds | None, rule: str) -> float | NDArray[np.float64] | TopK:
        """Return the thresholds to predict with, checked."""
        if thresholds is None:
            return self._of_rule(rule)
        if not isinstance(thresholds, Mapping):
            values = _numbers(thresholds)
            if values.shape not in ((), (len(self.label_names),)):
                raise UsageError(
                    f"thresholds have shape {values.shape}; pass one number, {len(self.label_names)} numbers, or a dict "
                    "of label and number"
                )
            _check_in_range(values, "thresholds hold")
            return values
        start = self._of_rule(rule)
        if isinstance(start, TopK):
            raise UsageError(f"rule {rule!r} has no thresholds for the other labels; choose another rule")
        values = np.broadcast_to(start, len(self.label_names)).copy()
        position = {name: c for c, name in enumerate(self.label_names)}
        for name, value in thresholds.items():
            if name not in position:
                raise unknown_name("label", name, self.label_names)
            number = _numbers(value)
            if number.shape:
                raise UsageError(f"the threshold of {name!r} has shape {number.shape}; pass one number")
            _check_in_range(number, f"the threshold of {name!r} is")
            values[position[name]] = number
        return values


def _numbers(values: object) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"thresholds are {values!r}; pass numbers in [0, 1]") from None


def _check_in_range(values: NDArray[np.float64], start: str) -> None:
    wrong = values[~((values >= 0) & (values <= 1))]  # a NaN fails both
    if wrong.size:
        raise UsageError(f"{start} {wrong[0]:g}; pass numbers in [0, 1]")


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
        return self.config.encoder if isinstance(self.config, EncoderConfig) else None

    @property
    def converged(self) -> bool | None:
        """Return whether training converged, or None for a method without epochs; see ``convergence``."""
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

    def predict(
        self, texts: Sequence[str], rule: str = "tuned_common", thresholds: OwnThresholds | None = None
    ) -> list[list[str]]:
        """Return the labels of each text, the most probable first.

        See :meth:`Predictor.predict <afl_helpers.training.run.LabelPredictor.predict>`.
        """
        return self.predictor.predict(texts, rule, thresholds)

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
            "thresholds": {
                rule: asdict(value) if isinstance(value, TopK) else np.asarray(value).tolist()
                for rule, value in self.thresholds.items()
            },
            "metrics": self.metrics,
        }
        write_json(folder / _DETAILS, details)


def check_save_folder(path: str | os.PathLike[str], *, replace: bool = True) -> Path:
    """Return the folder as a Path after checking that a run can be saved there.

    Args:
        path: the folder.
        replace: whether a run that is saved there may be replaced.

    Raises:
        UsageError: the folder holds anything but a saved run, or holds one that may not be replaced.
        StorageError: the folder cannot be written.
    """
    path = Path(path)
    saved = (path / _DETAILS).is_file()
    if path.exists() and not saved and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists and holds no saved run; choose another folder")
    if saved and not replace:
        sentence = f"{path} holds a saved run; choose another folder, or"
        raise UsageError(f"{sentence} pass replace=True", command_line=f"{sentence} replace it with --force")
    try:  # permissions alone do not tell
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise not_written(path, error, alternative="name another folder") from None
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
            thresholds={rule: _read_threshold(value) for rule, value in details["thresholds"].items()},
            model=model.eval(),
            tokenizer=AutoTokenizer.from_pretrained(path, trust_remote_code=False),
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
