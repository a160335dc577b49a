"""Training: the whole encoder fine-tuned through transformers' Trainer, or a head on the frozen encoder.

Both return a :class:`Run`: scores, metrics at every threshold rule, the history of the epochs, and a model that
predicts for new texts. Epochs are chosen by validation average precision, a measure without thresholds;
thresholds are tuned on validation alone.
"""

import copy
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy import sparse
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from afl_helpers.config import SELECTION_METRICS, ProbeConfig, TrainingConfig
from afl_helpers.data import Corpus
from afl_helpers.data.download import cache_dir
from afl_helpers.encoders import (
    ENCODERS,
    default_device,
    head_bias,
    load_classifier,
    load_encoder,
    load_tokenizer,
    quiet,
)
from afl_helpers.errors import MissingFileError, UsageError, unknown_name
from afl_helpers.evaluation import average_precision_per_label, evaluate, fit_thresholds
from afl_helpers.files import write_json
from afl_helpers.losses import MultiLabelLoss, build_loss
from afl_helpers.losses.callback import LossStateCallback
from afl_helpers.progress import progress_bar

#: Threshold rules that every run is reported under; all but the first are tuned on validation.
THRESHOLDS = ("at_0.5", "tuned_common", "tuned_per_label", "tuned_proportional")

_DETAILS = "afl_run.json"
_HEAD = "head.safetensors"


# --- what a run gives back ------------------------------------------------------------------------------------------


@dataclass
class Predictor:
    """A trained model with its label names and thresholds: scores and labels for new texts."""

    label_names: list[str]
    thresholds: dict[str, float | np.ndarray]
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    max_length: int

    def predict_scores(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of each label, (n_texts, n_labels) float64."""
        if isinstance(texts, str):
            raise UsageError("texts is one string; pass a list of strings")
        if not len(texts):
            return np.empty((0, len(self.label_names)))
        return torch.sigmoid(_forward(self.model, self.tokenizer, texts, self.max_length).double()).numpy()

    def predict(self, texts: Sequence[str], rule: str = "tuned_common") -> list[list[str]]:
        """The labels of each text by one of :data:`THRESHOLDS`, most probable first."""
        if rule not in self.thresholds:
            raise unknown_name("rule", rule, self.thresholds)
        scores = self.predict_scores(texts)
        chosen = scores >= self.thresholds[rule]
        return [
            [self.label_names[c] for c in np.argsort(-row, kind="stable") if keep[c]]
            for row, keep in zip(scores, chosen)
        ]


@dataclass
class Run:
    """One trained model and what it scored.

    ``scores`` and ``metrics`` have the keys "validation" and "test"; scores are probabilities (n_documents, n_labels);
    ``metrics[part][rule]`` is what :func:`~afl_helpers.evaluation.evaluate` returns at that rule's thresholds.
    ``history`` has a row an epoch; ``converged`` is False where the best epoch was the last one planned.
    """

    method: str
    loss: dict[str, object]
    config: TrainingConfig | ProbeConfig
    seed: int
    scores: dict[str, np.ndarray]
    metrics: dict[str, dict[str, dict[str, float]]]
    thresholds: dict[str, float | np.ndarray]
    history: list[dict[str, float]]
    best_epoch: int
    seconds: float
    predictor: Predictor = field(repr=False)

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
        """The labels of each text, most probable first; see :meth:`Predictor.predict`."""
        return self.predictor.predict(texts, rule)

    def save(self, path: str | os.PathLike) -> Path:
        """Write model, tokenizer, thresholds, label names and metrics to a folder; :func:`load_predictor` reads it.

        The folder appears whole or not at all. One that holds an earlier run is replaced; any other is refused.
        """
        path = check_save_folder(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            self.tokenizer.save_pretrained(folder)
            if isinstance(self.model, FrozenEncoder):
                save_file(self.model.head_state(), folder / _HEAD)
            else:
                with quiet():
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
            folder.chmod(0o755)
            if path.exists():
                shutil.rmtree(path)
            folder.rename(path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return path


def check_save_folder(path: str | os.PathLike) -> Path:
    """The folder, or a UsageError where it holds something that is not a saved run."""
    path = Path(path)
    if path.exists() and not (path / _DETAILS).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists and holds no saved run; choose another folder")
    return path


def load_predictor(path: str | os.PathLike) -> Predictor:
    """Read what :meth:`Run.save` wrote.

    Raises:
        MissingFileError: the folder holds no saved run.
    """
    path = Path(path)
    if not (path / _DETAILS).is_file():
        raise MissingFileError(
            f"{path} holds no saved run ({_DETAILS} is missing); pass a folder that run.save(...) wrote"
        )
    details = json.loads((path / _DETAILS).read_text(encoding="utf-8"))
    config = details["config"]
    if details["method"] == "probe":
        state = load_file(path / _HEAD)
        model = FrozenEncoder(load_encoder(config["encoder"]), *state["weight"].shape)
        model.load_head_state(state)
    else:
        with quiet():
            model = AutoModelForSequenceClassification.from_pretrained(path)
    return Predictor(
        label_names=details["label_names"],
        thresholds={
            rule: value if isinstance(value, float) else np.array(value)
            for rule, value in details["thresholds"].items()
        },
        model=model.to(default_device()).eval(),
        tokenizer=AutoTokenizer.from_pretrained(path),
        max_length=config["max_length"],
    )


# --- what both methods share ----------------------------------------------------------------------------------------


def _resolve_loss(
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


def _check_parts(train: Corpus, validation: Corpus, test: Corpus) -> None:
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        if len(part) == 0:
            raise UsageError(f"{name} has no documents; split the corpus so that every part has some")
        if part.label_names != train.label_names:
            raise UsageError(f"{name} has other labels than train; select labels before splitting")
    if not validation.label_counts.any():
        raise UsageError("no document of validation carries a label; the best epoch cannot be chosen on it")


def _check_length(max_length: int, model: PreTrainedModel) -> None:
    limit = getattr(model.config, "max_position_embeddings", max_length)
    if max_length > limit:
        raise UsageError(f"max_length is {max_length}, but the encoder takes at most {limit} tokens; pass at most that")


def _dense(labels) -> np.ndarray:
    return labels.toarray() if sparse.issparse(labels) else np.asarray(labels)


def prior_logits(label_counts: np.ndarray, n_documents: int) -> Tensor:
    """Log odds of each label, (n_labels,) float32; half a document is added to each side so that it stays finite."""
    counts = np.asarray(label_counts, dtype=float)
    return torch.tensor(np.log((counts + 0.5) / (n_documents - counts + 0.5)), dtype=torch.float32)


def selection_metrics(targets: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """What an epoch can be chosen by: average precision of all (document, label) pairs as one ranking, and its mean
    over the labels that have a positive."""
    targets = targets.astype(bool)
    flat = average_precision_per_label(targets.reshape(-1, 1), scores.reshape(-1, 1))
    return {
        "average_precision_micro": float(flat[0]),
        "average_precision_macro": float(np.nanmean(average_precision_per_label(targets, scores))),
    }


def tuned_thresholds(train: Corpus, validation: Corpus, scores: np.ndarray) -> dict[str, float | np.ndarray]:
    """Thresholds of every rule in :data:`THRESHOLDS`, from validation scores and training frequencies."""
    rates = train.label_counts / len(train)
    return fit_thresholds(_dense(validation.labels), scores, rates, ("common", "per_label", "proportional"))


def _finish(
    method: str,
    parts: tuple[Corpus, Corpus, Corpus],
    predictor: Predictor,
    scores: dict[str, np.ndarray],
    started: float,
    **details,
) -> Run:
    """Tune thresholds on validation, evaluate both parts under each rule."""
    train, validation, test = parts
    predictor.thresholds = tuned_thresholds(train, validation, scores["validation"])
    metrics = {
        name: {
            rule: evaluate(_dense(part.labels), scores[name], value, train.label_counts)
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


def _length_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[np.ndarray]:
    """Indices in order of falling length, cut so that a padded batch has at most ``max_tokens`` tokens."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        size = max(1, max_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


@torch.inference_mode()
def _forward(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int, progress: bool = False
) -> Tensor:
    """Output of ``model`` for each text in order, (n_texts, width) float32 on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    encoded = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    batches = list(_length_batches([len(ids) for ids in encoded], 32 * max_length))
    outputs, positions = [], []
    with progress_bar(total=len(texts), desc="embedding", unit="text", show=progress) as bar:
        for batch in batches:
            padded = _pad(tokenizer, [encoded[i] for i in batch])
            output = model(**{name: value.to(device) for name, value in padded.items()})
            outputs.append((output if isinstance(output, Tensor) else output.logits).float().cpu())
            positions.append(batch)
            bar.update(len(batch))
    result = torch.cat(outputs)
    return result[torch.from_numpy(np.argsort(np.concatenate(positions)))]


def _pad(tokenizer: PreTrainedTokenizerBase, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Token ids padded to the longest of the batch, with their attention mask."""
    longest = max(map(len, ids))
    input_ids = torch.full((len(ids), longest), tokenizer.pad_token_id, dtype=torch.long)
    attention_mask = torch.zeros((len(ids), longest), dtype=torch.long)
    for row, tokens in enumerate(ids):
        input_ids[row, : len(tokens)] = torch.tensor(tokens)
        attention_mask[row, : len(tokens)] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}


# --- fine-tuning ----------------------------------------------------------------------------------------------------


class LengthGroupedSampler(Sampler[int]):
    """Batches of similar length in an order that (seed, epoch) alone decides, so that a resumed run repeats it.

    The documents are shuffled, cut into pools of ``pool`` batches, sorted by length within each pool, and the batches
    shuffled again; a last batch that is not full stays last.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, pool: int = 50, group: bool = True):
        self.lengths = np.asarray(lengths)
        self.batch_size, self.seed, self.pool, self.group = batch_size, seed, pool, group
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        if not self.group:
            return iter(order.tolist())
        n_full = len(order) // self.batch_size * self.batch_size
        full, rest = order[:n_full], order[n_full:]
        size = self.pool * self.batch_size
        pools = [full[start : start + size] for start in range(0, n_full, size)]
        batches = [
            batch
            for pool in pools
            for batch in pool[np.argsort(-self.lengths[pool], kind="stable")].reshape(-1, self.batch_size)
        ]
        batches = [batches[i] for i in rng.permutation(len(batches))]
        return iter(np.concatenate([*batches, rest]).tolist())


class _Documents(Dataset):
    """Token ids and labels of a corpus, tokenised once."""

    def __init__(self, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, max_length: int, by_length: bool = False):
        self.ids = tokenizer(corpus.texts, truncation=True, max_length=max_length)["input_ids"]
        self.labels = corpus.labels
        self.lengths = [len(ids) for ids in self.ids]
        self.order = np.argsort(self.lengths, kind="stable") if by_length else np.arange(len(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> tuple[list[int], np.ndarray]:
        i = self.order[i]
        row = self.labels[[i]]
        return self.ids[i], _dense(row)[0]


class _Trainer(Trainer):
    """Trainer with an order of documents that survives a restart."""

    def __init__(self, *args, train_sampler: Sampler, **kwargs):
        super().__init__(*args, **kwargs)
        self._train_sampler = train_sampler

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        return self._train_sampler


class _ProgressBar(TrainerCallback):
    """One line: steps done, time left, the last validation average precision."""

    def __init__(self, title: str, show: bool):
        self.title, self.show, self.bar = title, show, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = progress_bar(
            total=state.max_steps,
            initial=state.global_step,
            desc=self.title,
            unit="step",
            show=self.show and state.is_world_process_zero,
        )

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update(state.global_step - self.bar.n)

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        if self.bar is not None:
            self.bar.set_postfix({"validation AP": f"{metrics['eval_average_precision_micro']:.3f}"})

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


def fine_tune(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = "afl",
    config: TrainingConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    checkpoint_dir: str | os.PathLike | None = None,
    progress: bool = True,
) -> Run:
    """Fine-tune all layers of an encoder with a linear head, one sigmoid per label.

    Args:
        train, validation, test: corpora with the same labels. The best epoch and the thresholds come from validation.
        loss: a name in ``LOSSES`` (built from the training counts, with ``loss_params``) or a loss module.
        config: the paper's settings by default.
        seed: of the head's initial weights, dropout and the order of the documents.
        checkpoint_dir: where checkpoints are kept, one an epoch; a run that was stopped goes on from the last, and ends
            as if it had not been stopped. None keeps none.
        progress: show a progress bar.

    Raises:
        UsageError: parts that do not fit, or a ``checkpoint_dir`` that belongs to another run.
    """
    started = time.perf_counter()
    config = config or TrainingConfig()
    _check_parts(train, validation, test)
    loss_module, description = _resolve_loss(loss, loss_params, train)
    tokenizer = load_tokenizer(config.encoder)
    identity = {
        "train": train.fingerprint,
        "validation": validation.fingerprint,
        "loss": description,
        "config": config.to_dict(),
        "seed": seed,
    }
    with tempfile.TemporaryDirectory(prefix="afl-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch if checkpoint_dir is None else checkpoint_dir)
        checkpoint = _last_checkpoint(folder, identity, LossStateCallback.FILE if loss_module.stateful else None)
        set_seed(seed)
        model = load_classifier(config.encoder, train.label_names)
        _check_length(config.max_length, model)
        if config.prior_bias:
            with torch.no_grad():
                head_bias(model).copy_(prior_logits(train.label_counts, len(train)))
        documents = _Documents(train, tokenizer, config.max_length)
        batch_size = config.batch_size * config.accumulation_steps
        trainer = _Trainer(
            model=model,
            args=_arguments(config, folder, seed, len(train)),
            train_sampler=LengthGroupedSampler(documents.lengths, batch_size, seed, group=config.group_by_length),
            train_dataset=documents,
            eval_dataset=_Documents(validation, tokenizer, config.max_length, by_length=True),
            data_collator=lambda items: (
                _pad(tokenizer, [ids for ids, _ in items])
                | {"labels": torch.from_numpy(np.stack([row for _, row in items])).float()}
            ),
            compute_loss_func=loss_module.for_trainer(),
            compute_metrics=lambda result: selection_metrics(result.label_ids, result.predictions),
            callbacks=[
                EarlyStoppingCallback(config.patience),
                _ProgressBar(description["name"], progress),
                *([loss_module.callback()] if loss_module.stateful else []),
            ],
        )
        trainer.remove_callback(PrinterCallback)
        with quiet():
            trainer.train(resume_from_checkpoint=checkpoint)
        model = trainer.model.eval()

    history = _history(trainer.state.log_history)
    best_epoch = max(history, key=lambda row: (row[config.select_by], -row["epoch"]))["epoch"]
    predictor = Predictor(train.label_names, {}, model, tokenizer, config.max_length)
    scores = {name: predictor.predict_scores(part.texts) for name, part in (("validation", validation), ("test", test))}
    return _finish(
        "fine_tune",
        (train, validation, test),
        predictor,
        scores,
        started,
        loss=description,
        config=config,
        seed=seed,
        history=history,
        best_epoch=best_epoch,
    )


def _arguments(config: TrainingConfig, folder: Path, seed: int, n_documents: int) -> TrainingArguments:
    on_gpu = torch.cuda.is_available()
    steps = config.epochs * math.ceil(n_documents / (config.batch_size * config.accumulation_steps))
    bf16 = config.precision == "bf16" or (
        config.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    if bf16 and not on_gpu:
        raise UsageError('precision is "bf16" but there is no GPU; use "auto" or "float32" (bf16 is slower on a CPU)')
    return TrainingArguments(
        output_dir=str(folder),
        seed=seed,
        data_seed=seed,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=4 * config.batch_size,
        gradient_accumulation_steps=config.accumulation_steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        lr_scheduler_type=config.schedule,
        warmup_steps=min(config.warmup_steps, int(config.max_warmup * steps)),
        max_grad_norm=config.max_gradient_norm,
        bf16=bf16,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        remove_unused_columns=False,
        label_names=["labels"],
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=config.select_by,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def _last_checkpoint(folder: Path, identity: dict[str, object], last_file: str | None = None) -> str | None:
    """The newest whole checkpoint in ``folder``, which from now on belongs to this run."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder / "run.json"
    checkpoints = [path for path in folder.iterdir() if re.fullmatch(r"checkpoint-\d+", path.name)]
    if owner.is_file():
        found = json.loads(owner.read_text(encoding="utf-8"))
        differs = [name for name in identity if found.get(name) != json.loads(json.dumps(identity[name]))]
        if differs:
            raise UsageError(
                f"{folder} holds the checkpoints of another run (other {', '.join(differs)}); "
                "choose another checkpoint_dir or delete it"
            )
    elif checkpoints:
        raise UsageError(
            f"{folder} holds checkpoints that fine_tune did not write (run.json is missing); choose another checkpoint_dir"
        )
    else:
        owner.write_text(json.dumps(identity, indent=1), encoding="utf-8")
    whole = []
    for checkpoint in checkpoints:
        # Written last, by Trainer or by the callback of a loss with a state: without it the checkpoint was cut off.
        if (checkpoint / (last_file or "trainer_state.json")).is_file():
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return str(max(whole, key=lambda path: int(path.name.split("-")[1]))) if whole else None


def _history(log: list[dict[str, float]]) -> list[dict[str, float]]:
    """Trainer's log as one row an epoch."""
    epochs: dict[int, dict[str, float]] = {}
    for entry in log:
        row = epochs.setdefault(round(entry["epoch"]), {"epoch": round(entry["epoch"])})
        for source, name in [("loss", "loss"), ("eval_loss", "validation_loss")] + [
            (f"eval_{metric}", metric) for metric in SELECTION_METRICS
        ]:
            if source in entry:
                row[name] = float(entry[source])
    return [row for row in epochs.values() if "average_precision_micro" in row]


# --- the frozen-encoder probe ---------------------------------------------------------------------------------------


class FrozenEncoder(nn.Module):
    """Mean-pooled embeddings of a frozen encoder, standardised, and a linear head: (batch, n_labels) logits."""

    def __init__(self, encoder: PreTrainedModel, n_labels: int, width: int):
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.head = nn.Linear(width, n_labels)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    @property
    def config(self):
        return self.encoder.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.head((mean_pool(self.encoder, input_ids, attention_mask) - self.mean) / self.scale)

    def head_state(self) -> dict[str, Tensor]:
        return {"weight": self.head.weight, "bias": self.head.bias, "mean": self.mean, "scale": self.scale}

    def load_head_state(self, state: dict[str, Tensor]) -> None:
        self.head.load_state_dict({name: state[name] for name in ("weight", "bias")})
        self.mean.copy_(state["mean"])
        self.scale.copy_(state["scale"])


def mean_pool(encoder: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Mean of the last hidden states over the tokens of each text, (batch, width)."""
    hidden = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)


class _Pooled(nn.Module):
    def __init__(self, encoder: PreTrainedModel):
        super().__init__()
        self.encoder, self.config = encoder, encoder.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return mean_pool(self.encoder, input_ids, attention_mask)


def _encoder_identity(encoder: str) -> str:
    """The name of an encoder, or the hash of its weights where it is a folder, whose weights may change."""
    folder = Path(encoder)
    if encoder in ENCODERS or not folder.is_dir():
        return encoder
    digest = hashlib.sha256()
    for weights in sorted(folder.glob("*.safetensors")):
        digest.update(hashlib.sha256(weights.read_bytes()).digest())
    return digest.hexdigest()


def embed(
    texts: Sequence[str], encoder: str = "minilm", max_length: int = 128, progress: bool = True
) -> dict[str, np.ndarray]:
    """Embedding of each distinct text, (width,) float32, computed once and kept in the cache folder.

    The cache is keyed by the encoder, the length and the set of texts, whatever their order or split.
    """
    unique = sorted(set(texts))
    key = json.dumps([_encoder_identity(encoder), max_length, unique])
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    path = cache_dir() / "embeddings" / f"{digest}.npy"
    if path.is_file():
        vectors = np.load(path, allow_pickle=False)
    else:
        model = _Pooled(load_encoder(encoder)).to(default_device())
        _check_length(max_length, model)
        vectors = _forward(model, load_tokenizer(encoder), unique, max_length, progress).numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.save(file, vectors)
        os.replace(file.name, path)
    return dict(zip(unique, vectors))


def probe(
    train: Corpus,
    validation: Corpus,
    test: Corpus,
    loss: str | MultiLabelLoss = "afl",
    config: ProbeConfig | TrainingConfig | None = None,
    seed: int = 0,
    *,
    loss_params: dict[str, object] | None = None,
    progress: bool = True,
) -> Run:
    """Train a linear head on the frozen encoder; seconds once the texts are embedded.

    Parameters and errors as in :func:`fine_tune`; ``seed`` decides the order of the documents (the head starts at
    zero weights). Of a :class:`TrainingConfig` the fields that a probe has are used, its learning rate too.
    """
    started = time.perf_counter()
    config = ProbeConfig.of(config)
    parts = (train, validation, test)
    _check_parts(*parts)
    loss_module, description = _resolve_loss(loss, loss_params, train)
    vectors = embed([text for part in parts for text in part.texts], config.encoder, config.max_length, progress)
    device = default_device()
    features = [torch.from_numpy(np.stack([vectors[text] for text in part.texts])) for part in parts]
    mean, scale = features[0].mean(0), features[0].std(0)
    scale = torch.where(scale > 1e-6, scale, 1.0)  # some dimensions of MiniLM are constant
    x, x_validation, x_test = (((values - mean) / scale).to(device) for values in features)
    y = torch.from_numpy(_dense(train.labels)).float().to(device)
    targets = _dense(validation.labels)

    head = nn.Linear(x.shape[1], y.shape[1]).to(device)
    nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.copy_(prior_logits(train.label_counts, len(train)) if config.prior_bias else torch.zeros(y.shape[1]))
    loss_module = loss_module.to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    generator = torch.Generator().manual_seed(seed)
    history, best = [], (-1.0, 0, {})
    with progress_bar(total=config.epochs, desc=description["name"], unit="epoch", show=progress) as bar:
        for epoch in range(1, config.epochs + 1):
            total = 0.0
            for batch in torch.randperm(len(x), generator=generator).split(config.batch_size):
                optimizer.zero_grad()
                value = loss_module(head(x[batch]), y[batch])
                value.backward()
                optimizer.step()
                total += value.item() * len(batch)
            loss_module.end_epoch()
            with torch.no_grad():
                logits = head(x_validation).cpu().numpy()
            history.append({"epoch": epoch, "loss": total / len(x), **selection_metrics(targets, logits)})
            value = history[-1][config.select_by]
            bar.update()
            bar.set_postfix({"validation AP": f"{value:.3f}"})
            if value > best[0]:
                best = (value, epoch, {name: value.detach().clone() for name, value in head.state_dict().items()})
            elif epoch - best[1] >= config.patience:
                break
    head.load_state_dict(best[2])
    with torch.no_grad():
        scores = {
            name: torch.sigmoid(head(values).double()).cpu().numpy()
            for name, values in (("validation", x_validation), ("test", x_test))
        }

    model = FrozenEncoder(load_encoder(config.encoder), y.shape[1], x.shape[1])
    model.load_head_state(
        {name: value.cpu() for name, value in (head.state_dict() | {"mean": mean, "scale": scale}).items()}
    )
    predictor = Predictor(
        train.label_names, {}, model.to(device).eval(), load_tokenizer(config.encoder), config.max_length
    )
    return _finish(
        "probe",
        parts,
        predictor,
        scores,
        started,
        loss=description,
        config=config,
        seed=seed,
        history=history,
        best_epoch=best[1],
    )
