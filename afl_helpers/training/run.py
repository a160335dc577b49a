"""What a training run gives back, and what every method of training shares."""

import copy
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from afl_helpers.data import Corpus
from afl_helpers.errors import MissingFileError, TrainingError, UsageError, unknown_name
from afl_helpers.evaluation import average_precision_per_label, evaluate, fit_thresholds
from afl_helpers.files import not_written, write_json
from afl_helpers.losses import MultiLabelLoss, build_loss
from afl_helpers.training.config import Config
from afl_helpers.training.embedding import FrozenEncoder, forward
from afl_helpers.training.encoders import (
    default_device,
    load_encoder,
    load_saved_classifier,
    loading,
    quiet,
    refuse_code,
)

_DETAILS = "afl_run.json"
_HEAD = "head.safetensors"


# --- what a run gives back ------------------------------------------------------------------------------------------


@dataclass
class LabelPredictor:
    """Label names and thresholds over anything that scores texts."""

    label_names: list[str]
    thresholds: dict[str, float | np.ndarray]

    def _scores(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError

    def predict_scores(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of each label, (n_texts, n_labels) float64."""
        if isinstance(texts, str):
            raise UsageError("texts is one string; pass a list of strings")
        return self._scores(texts) if len(texts) else np.empty((0, len(self.label_names)))

    def predict(self, texts: Sequence[str], rule: str = "tuned_common") -> list[list[str]]:
        """The labels of each text by one of :data:`~afl_helpers.training.THRESHOLDS`, most probable first."""
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
    """A trained model with its label names and thresholds: scores and labels for new texts."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    max_length: int

    def _scores(self, texts: Sequence[str]) -> np.ndarray:
        return torch.sigmoid(forward(self.model, self.tokenizer, texts, self.max_length).double()).numpy()


@dataclass
class Run:
    """One trained model and what it scored.

    ``scores`` and ``metrics`` have the keys "validation" and "test"; scores are probabilities (n_documents, n_labels);
    ``metrics[part][rule]`` is what :func:`~afl_helpers.evaluation.evaluate` returns at that rule's thresholds.
    ``history`` has a row an epoch; ``converged`` is False where the best epoch was the last one planned.
    """

    method: str
    loss: dict[str, object]
    config: Config
    seed: int
    scores: dict[str, np.ndarray]
    metrics: dict[str, dict[str, dict[str, float]]]
    thresholds: dict[str, float | np.ndarray]
    history: list[dict[str, float]]
    best_epoch: int
    seconds: float
    predictor: LabelPredictor = field(repr=False)

    @property
    def model(self) -> nn.Module:
        return self.predictor.model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.predictor.tokenizer

    @property
    def converged(self) -> bool:
        return self.best_epoch < self.config.epochs

    def predict(self, texts: Sequence[str], rule: str = "tuned_common") -> list[list[str]]:
        """The labels of each text, most probable first; see :meth:`Predictor.predict <afl_helpers.training.run.LabelPredictor.predict>`."""
        return self.predictor.predict(texts, rule)

    def save(self, path: str | os.PathLike) -> Path:
        """Write model, tokenizer, thresholds, label names and metrics to a folder; :func:`load_predictor` reads it.

        The folder appears whole or not at all. One that holds an earlier run is replaced; any other is refused.

        Raises:
            UsageError: the folder holds something else, or this run is a baseline.
            StorageError: it cannot be written; an earlier run in it is still there.
        """
        if not isinstance(self.predictor, Predictor):
            raise UsageError(f"a run of method {self.method!r} cannot be saved; save one of 'fine_tune' or 'probe'")
        path = check_save_folder(path)
        # Fixed names, so that the next save clears what a killed one left.
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
        with quiet():
            self.tokenizer.save_pretrained(folder)
            if isinstance(self.model, FrozenEncoder):
                save_file(self.model.head_state(), folder / _HEAD)
            else:
                self.model.save_pretrained(folder)
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


def check_save_folder(path: str | os.PathLike) -> Path:
    """The folder, or a UsageError where it holds something that is not a saved run."""
    path = Path(path)
    if path.exists() and not (path / _DETAILS).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists and holds no saved run; choose another folder")
    return path


def load_predictor(path: str | os.PathLike) -> Predictor:
    """Read what :meth:`Run.save` wrote.

    Nothing in the folder is run: weights are safetensors, and a model that brings code of its own is refused.

    Raises:
        MissingFileError: the folder holds no saved run.
        DataError: a file in it is broken, its weights are a pickle, or it asks for code of its own.
    """
    path = Path(path)
    if not (path / _DETAILS).is_file():
        raise MissingFileError(
            f"{path} holds no saved run ({_DETAILS} is missing); pass a folder that run.save(...) wrote"
        )
    refuse_code(path)
    with loading(path):
        details = json.loads((path / _DETAILS).read_text(encoding="utf-8"))
        if details["method"] == "probe":
            state = load_file(path / _HEAD)
            model = FrozenEncoder(load_encoder(details["config"]["encoder"]), *state["weight"].shape)
            model.load_head_state(state)
        else:
            model = load_saved_classifier(path)
        return Predictor(
            label_names=details["label_names"],
            thresholds={
                rule: value if isinstance(value, float) else np.array(value)
                for rule, value in details["thresholds"].items()
            },
            model=model.to(default_device()).eval(),
            tokenizer=AutoTokenizer.from_pretrained(path, trust_remote_code=False),
            max_length=details["config"]["max_length"],
        )


# --- what every method shares ----------------------------------------------------------------------------------------


def resolve_loss(
    loss: str | MultiLabelLoss, loss_params: dict[str, object] | None, train: Corpus
) -> tuple[MultiLabelLoss, dict[str, object]]:
    """The loss module and its description as configured."""
    if isinstance(loss, MultiLabelLoss):
        if loss_params:
            raise UsageError("loss_params goes with a loss name; the loss passed is already built")
        state = {name: value.tolist() for name, value in loss.state_dict().items()}
        loss = copy.deepcopy(loss)  # one with a state starts every run as it was passed
        return loss, {"name": type(loss).__name__, "params": {"reduction": loss.reduction} | state}
    params = {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value
        for name, value in (loss_params or {}).items()
    }
    return build_loss(loss, train.label_counts, len(train), **params), {"name": loss, "params": params}


def check_parts(train: Corpus, validation: Corpus, test: Corpus) -> None:
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        if len(part) == 0:
            raise UsageError(f"{name} has no documents; split the corpus so that every part has some")
        if part.label_names != train.label_names:
            raise UsageError(f"{name} has other labels than train; select labels before splitting")
    if not validation.label_counts.any():
        raise UsageError("no document of validation carries a label; the best epoch cannot be chosen on it")


def not_finite(what: str, value: float, step: int, documents: Sequence[str], config: Config) -> TrainingError:
    """The error for a loss or a gradient that is not finite, with the documents that it came up with."""
    more = f" and {len(documents) - 16} more" if len(documents) > 16 else ""
    precision = "" if getattr(config, "precision", "float32") == "float32" else ', or pass precision="float32"'
    return TrainingError(
        f"at step {step} the {what} is {value}, with documents {', '.join(map(str, documents[:16]))}{more}; lower the "
        f"learning_rate ({config.learning_rate:g}) and check gamma and the loss's other parameters{precision}"
    )


def prior_logits(label_counts: np.ndarray, n_documents: int) -> Tensor:
    """Log odds of each label, (n_labels,) float32; half a document is added to each side so that it stays finite.

    Example:
        >>> from afl_helpers.training import prior_logits
        >>> [round(p, 3) for p in prior_logits([50, 1], n_documents=100).sigmoid().tolist()]
        [0.5, 0.015]
    """
    counts = np.asarray(label_counts, dtype=float)
    return torch.tensor(np.log((counts + 0.5) / (n_documents - counts + 0.5)), dtype=torch.float32)


def selection_metrics(targets: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """What an epoch can be chosen by: average precision of all (document, label) pairs as one ranking, and its mean
    over the labels that have a positive.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.training import selection_metrics
        >>> targets = np.array([[1, 0], [0, 1], [0, 0]])
        >>> scores = np.array([[0.9, 0.1], [0.5, 0.2], [0.1, 0.0]])  # each label ranks well; together they do not
        >>> {name: round(value, 3) for name, value in selection_metrics(targets, scores).items()}
        {'average_precision_micro': 0.833, 'average_precision_macro': 1.0}

    Raises:
        TrainingError: scores that are not finite.
    """
    n = scores.size - np.isfinite(scores).sum()
    if n:
        raise TrainingError(
            f"{n} of {scores.size} scores are not finite; lower the learning_rate and check gamma and the loss's other "
            "parameters"
        )
    targets = targets.astype(bool)
    flat = average_precision_per_label(targets.reshape(-1, 1), scores.reshape(-1, 1))
    return {
        "average_precision_micro": float(flat[0]),
        "average_precision_macro": float(np.nanmean(average_precision_per_label(targets, scores))),
    }


def tuned_thresholds(train: Corpus, validation: Corpus, scores: np.ndarray) -> dict[str, float | np.ndarray]:
    """Thresholds of every rule in :data:`THRESHOLDS`, from validation scores and training frequencies."""
    rates = train.label_counts / len(train)
    return fit_thresholds(validation.dense_labels, scores, rates, ("common", "per_label", "proportional"))


def finish(
    method: str,
    parts: tuple[Corpus, Corpus, Corpus],
    predictor: LabelPredictor,
    scores: dict[str, np.ndarray],
    started: float,
    **details,
) -> Run:
    """Tune thresholds on validation, evaluate both parts under each rule."""
    train, validation, test = parts
    predictor.thresholds = tuned_thresholds(train, validation, scores["validation"])
    metrics = {
        name: {
            rule: evaluate(part.dense_labels, scores[name], value, train.label_counts)
            for rule, value in predictor.thresholds.items()
        }
        for name, part in (("validation", validation), ("test", test))
    }
    return Run(
        method=method,
        scores=scores,
        metrics=metrics,
        thresholds=predictor.thresholds,
        predictor=predictor,
        seconds=time.perf_counter() - started,
        **details,
    )
