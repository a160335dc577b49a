"""The settings of a training run: one object per method, checked when it is made, recorded in every result file."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from afl_helpers.augment.oversampling import RESAMPLING
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.evaluation import THRESHOLD_RULES

#: Measures without thresholds by which the best epoch is chosen on validation.
SELECTION_METRICS = ("average_precision_micro", "average_precision_macro")
#: Threshold rules that every run is reported under; all but the first are tuned on validation.
THRESHOLDS = tuple(THRESHOLD_RULES)
SCHEDULES = ("cosine", "linear", "constant_with_warmup")
PRECISIONS = ("auto", "float32", "bf16")


class Config:
    """Range checks and conversion shared by the configurations."""

    #: field -> (lowest, highest) value allowed
    _ranges: dict[str, tuple[float, float]] = {}
    #: field -> allowed values
    _choices: dict[str, tuple[str, ...]] = {}

    def __post_init__(self):
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

    def _check_number(self, field, value) -> None:
        low, high = self._ranges[field.name]
        kind = int if field.type is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            what = "a whole number" if field.type is int else "a number"
            limit = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise UsageError(f"{field.name} is {value!r}; pass {what} {limit}")

    @classmethod
    def from_dict(cls, values: Mapping[str, object]):
        """The configuration with these fields set; a field that does not exist is an error."""
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise unknown_name(f"field of {cls.__name__}:", name, names)
        return cls(**values)

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class TrainingConfig(Config):
    """Fine-tuning. The defaults are the paper's settings where it states them.

    Stated by the paper: BERT, batch 16, learning rate 2e-5, cosine schedule with 500 warm-up steps, up to 100 epochs
    with early stopping, AdamW. Ours, because it does not say: the maximum length, weight decay, patience, clipping.

    Args:
        encoder: a name in ``afl_helpers.training.encoders.ENCODERS``, a folder, or ``organisation/name@revision``.
        max_length: tokens kept of a text.
        epochs: at most so many; training stops after ``patience`` epochs without a better
            validation ``select_by``.
        batch_size, accumulation_steps: documents a step, and steps that are added up before the weights move.
        warmup_steps: of the schedule, but at most ``max_warmup`` of all planned steps, so that a short run keeps the
            shape of a long one.
        max_gradient_norm: gradients are clipped to this norm.
        prior_bias: start the classifier's bias at the log odds of the labels instead of 0.
        logit_adjustment: after training, so many times the log odds of each label are taken off its logit (Menon et al.,
            ICLR 2021, there for softmax): 0 changes nothing, 1 makes rare labels as easy to predict as frequent ones.
        group_by_length: batches of texts of similar length, in an order given by (seed, epoch).
        select_by: the validation measure that decides which epoch is kept and when to stop. The micro average precision
            ranks all (document, label) pairs together, so it also asks that scores compare across labels; the macro
            one does not.
        precision: ``"auto"`` is bf16 on a GPU that has it, else float32.

    Example:
        >>> from afl_helpers.training.config import TrainingConfig
        >>> TrainingConfig().learning_rate
        2e-05
        >>> TrainingConfig(epochs=0)
        Traceback (most recent call last):
            ...
        afl_helpers.errors.UsageError: epochs is 0; pass a whole number from 1 to 10000
    """

    encoder: str = "bert-base-uncased"
    max_length: int = 512
    epochs: int = 100
    patience: int = 5
    batch_size: int = 16
    accumulation_steps: int = 1
    learning_rate: float = 2e-5
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup_steps: int = 500
    max_warmup: float = 0.1
    max_gradient_norm: float = 1.0
    prior_bias: bool = False
    logit_adjustment: float = 0.0
    group_by_length: bool = True
    select_by: str = "average_precision_micro"
    precision: str = "auto"

    _ranges = {
        "max_length": (8, 8192),
        "epochs": (1, 10_000),
        "patience": (1, 10_000),
        "batch_size": (1, 65_536),
        "accumulation_steps": (1, 65_536),
        "learning_rate": (0.0, 1.0),
        "weight_decay": (0.0, 10.0),
        "warmup_steps": (0, 10_000_000),
        "max_warmup": (0.0, 1.0),
        "max_gradient_norm": (1e-6, math.inf),
        "logit_adjustment": (0.0, 10.0),
    }
    _choices = {"schedule": SCHEDULES, "precision": PRECISIONS, "select_by": SELECTION_METRICS}


@dataclass(frozen=True)
class ProbeConfig(Config):
    """A linear head on the frozen encoder's mean-pooled, standardised embeddings.

    Args:
        encoder, max_length, epochs, patience, batch_size, learning_rate, weight_decay, select_by: as in
            :class:`TrainingConfig`; the learning rate is constant.
        prior_bias: start the bias at the log odds of the labels instead of 0.
        logit_adjustment: as in :class:`TrainingConfig`.
        resampling, resampling_rate: which training documents are seen how often; see
            :func:`~afl_helpers.augment.oversampling.resample`.

    Example:
        >>> from afl_helpers.training.config import ProbeConfig
        >>> ProbeConfig(learning_rate=0.003).to_dict()["learning_rate"]
        0.003
    """

    encoder: str = "minilm"
    max_length: int = 128
    epochs: int = 200
    patience: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    prior_bias: bool = False
    logit_adjustment: float = 0.0
    resampling: str = "none"
    resampling_rate: float = 0.25
    select_by: str = "average_precision_micro"

    _ranges = {
        name: TrainingConfig._ranges[name]
        for name in (
            "max_length",
            "epochs",
            "patience",
            "batch_size",
            "learning_rate",
            "weight_decay",
            "logit_adjustment",
        )
    } | {"resampling_rate": (0.0, 0.99)}
    _choices = {"select_by": SELECTION_METRICS, "resampling": RESAMPLING}

    @classmethod
    def of(cls, config: "ProbeConfig | TrainingConfig | None") -> "ProbeConfig":
        """The configuration itself, the defaults for None, or the fields that a :class:`TrainingConfig` shares."""
        if config is None:
            return cls()
        if isinstance(config, cls):
            return config
        names = {field.name for field in fields(cls)} & {field.name for field in fields(config)}
        return cls(**{name: getattr(config, name) for name in names})
