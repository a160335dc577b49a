"""Configurations: one frozen object per method, checked when it is made and recorded in every result file."""

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, fields
from typing import Any, ClassVar, Self

from afl_helpers.augment.oversampling import RESAMPLING
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.evaluation import THRESHOLD_RULES

#: Validation metrics that can choose the best epoch. None of them depends on a threshold.
SELECTION_METRICS = ("average_precision_micro", "average_precision_macro")
#: Threshold rules that every new run is reported under; all but the first are tuned on validation.
THRESHOLDS = tuple(THRESHOLD_RULES)
SCHEDULES = ("cosine", "linear", "constant_with_warmup")
PRECISIONS = ("auto", "float32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Check types, ranges and choices of the fields, and convert to and from a dict."""

    #: field -> (lowest, highest) value allowed
    _ranges: ClassVar[dict[str, tuple[float, float]]] = {}
    #: field -> allowed values
    _choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    #: former field -> the only value that it could have; old result files still have it
    _retired: ClassVar[dict[str, object]] = {}

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is bool and not isinstance(value, bool):
                raise UsageError(f"{field.name} is {value!r}; pass True or False")
            if field.type is str and not isinstance(value, str):
                raise UsageError(f"{field.name} is {value!r}; pass a string")
            if field.type in (int, float):
                self._check_number(field, value)
            if field.name in self._choices and value not in self._choices[field.name]:
                raise unknown_name(field.name, value, self._choices[field.name])

    def _check_number(self, field: Field[Any], value: object) -> None:
        low, high = self._ranges[field.name]
        kind = int if field.type is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            what = "a whole number" if field.type is int else "a number"
            limit = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise UsageError(f"{field.name} is {value!r}; pass {what} {limit}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration with these values; raise UsageError for a field that does not exist."""
        names = [field.name for field in fields(cls)]
        kept = {name: value for name, value in values.items() if (name, value) not in cls._retired.items()}
        for name in kept:
            if name not in names:
                raise unknown_name(f"field of {cls.__name__}:", name, names)
        return cls(**kept)

    def to_dict(self) -> dict[str, object]:
        """Return the fields and their values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class EpochConfig(Config):
    """What every method has that trains in epochs. Each method sets defaults of its own.

    Args:
        max_length: number of tokens (the CNN baseline: words) of a text that are used; the rest is cut off.
        epochs: maximum number of epochs.
        patience: training stops after this many epochs without a better validation ``select_by``.
        batch_size: documents per batch.
        learning_rate, weight_decay: of AdamW.
        prior_bias: start the bias of the last layer at the log odds of the labels instead of 0.
        select_by: the validation metric that chooses the epoch to keep. The micro average precision ranks all
            (document, label) pairs together, so scores must also be comparable across labels; the macro one ranks
            the documents of each label.
    """

    max_length: int = 128
    epochs: int = 100
    patience: int = 5
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    prior_bias: bool = False
    select_by: str = "average_precision_micro"

    _ranges = {
        "max_length": (8, 8192),
        "epochs": (1, 10_000),
        "patience": (1, 10_000),
        "batch_size": (1, 65_536),
        "learning_rate": (0.0, 1.0),
        "weight_decay": (0.0, 10.0),
    }
    _choices = {"select_by": SELECTION_METRICS}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(EpochConfig):
    """What the methods share that use a pretrained encoder: the fields of :class:`EpochConfig`, and two more.

    Args:
        encoder: a name in ``afl_helpers.training.encoders.ENCODERS``, a folder, or ``organisation/name@revision``.
        logit_adjustment: after training, subtract this multiple of the label's log odds from each logit: 0 changes
            nothing, 1 makes rare labels as easy to predict as frequent ones (Menon et al., ICLR 2021, for softmax).
    """

    encoder: str = "minilm"
    logit_adjustment: float = 0.0

    _ranges = EpochConfig._ranges | {"logit_adjustment": (0.0, 10.0)}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(EncoderConfig):
    """Configure fine-tuning. The defaults are the paper's values where it states them.

    Stated by the paper: BERT, batches of 16, learning rate 2e-5, cosine schedule with 500 warm-up steps, up to 100
    epochs with early stopping, AdamW. Chosen here, because the paper does not say: maximum length, weight decay,
    patience, clipping. Fields that are not listed are those of :class:`~afl_helpers.training.config.EncoderConfig`.

    Args:
        accumulation_steps: number of batches whose gradients are summed before the weights change.
        schedule: how the learning rate changes after warm-up, one of ``SCHEDULES``.
        warmup_steps: steps over which the learning rate rises, but at most the share ``max_warmup`` of all planned
            steps, so that a short run keeps the shape of a long one.
        max_gradient_norm: gradients are clipped to this norm.
        group_by_length: put texts of similar length into one batch, in an order that (seed, epoch) decides.
        precision: ``"auto"`` is bf16 on a GPU that supports it, else float32.

    Example:
        >>> from afl_helpers.training import TrainingConfig
        >>> TrainingConfig().learning_rate
        2e-05
        >>> TrainingConfig(epochs=0)
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: epochs is 0; pass a whole number from 1 to 10000
    """

    encoder: str = "bert-base-uncased"
    max_length: int = 512
    learning_rate: float = 2e-5
    accumulation_steps: int = 1
    schedule: str = "cosine"
    warmup_steps: int = 500
    max_warmup: float = 0.1
    max_gradient_norm: float = 1.0
    group_by_length: bool = True
    precision: str = "auto"

    _ranges = EncoderConfig._ranges | {
        "accumulation_steps": (1, 65_536),
        "warmup_steps": (0, 10_000_000),
        "max_warmup": (0.0, 1.0),
        "max_gradient_norm": (1e-6, math.inf),
    }
    _choices = EncoderConfig._choices | {"schedule": SCHEDULES, "precision": PRECISIONS}


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(EncoderConfig):
    """Configure a linear head on the frozen encoder's mean-pooled, standardised embeddings.

    The learning rate is constant. Fields that are not listed are those of :class:`~afl_helpers.training.config.EncoderConfig`.

    Args:
        resampling, resampling_rate: which training documents are repeated or left out, and how many; see
            :func:`~afl_helpers.augment.oversampling.resample`.

    Example:
        >>> from afl_helpers.training import ProbeConfig
        >>> ProbeConfig(learning_rate=0.003).to_dict()["learning_rate"]
        0.003
    """

    epochs: int = 200
    patience: int = 10
    batch_size: int = 256
    resampling: str = "none"
    resampling_rate: float = 0.25

    _ranges = EncoderConfig._ranges | {"resampling_rate": (0.0, 0.99)}
    _choices = EncoderConfig._choices | {"resampling": RESAMPLING}

    @classmethod
    def of(cls, config: "ProbeConfig | TrainingConfig | None") -> "ProbeConfig":
        """Return a ProbeConfig unchanged, the defaults for None, or the fields shared with a TrainingConfig."""
        if config is None:
            return cls()
        if isinstance(config, cls):
            return config
        return cls(**{field.name: getattr(config, field.name) for field in fields(EncoderConfig)})
