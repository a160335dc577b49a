"""Configurations: one frozen object per method, checked when it is made and recorded in every result file."""

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, fields
from typing import Any, ClassVar, Self

from afl_helpers.augment.oversampling import RESAMPLING
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.evaluation import THRESHOLD_RULES

#: Validation metrics that can choose the best epoch. None of them depends on a threshold.
SELECTION_METRICS = ("average_precision_weighted", "average_precision_micro", "average_precision_macro")
START_BIASES = ("loss", "prior", "zero")
#: Which epoch a run ends with.
KEPT_EPOCHS = ("best", "last")
#: Threshold rules that every run is reported under; all but the first are tuned on validation.
THRESHOLDS = tuple(THRESHOLD_RULES)
SCHEDULES = ("cosine", "linear", "constant_with_warmup")
PROBE_SCHEDULES = ("constant", "cosine")
#: Schedules whose rate ends at 0.
ANNEALED = ("cosine", "linear")
PRECISIONS = ("auto", "float32", "bf16")
#: mixup while an encoder is tuned: with any partners, or with partners that carry rare labels.
MIXUPS = ("mixup", "balanced_mixup")


#: The largest seed that numpy's and torch's generators both take.
LARGEST_SEED = 2**32 - 1


def check_seed(seed: object) -> None:
    """Raise UsageError if the seed is not a whole number that every random generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed is {seed!r}; pass a whole number from 0 to {LARGEST_SEED}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Check types, ranges and choices of the fields, and convert to and from a dict."""

    #: field -> (lowest, highest) value allowed
    _ranges: ClassVar[dict[str, tuple[float, float]]] = {}
    #: field -> allowed values
    _choices: ClassVar[dict[str, tuple[str, ...]]] = {}
    #: former field -> the only value that it could have; old result files still have it
    _retired: ClassVar[dict[str, object]] = {}
    #: field -> the value that it stood for before it existed; old result files lack it
    _formerly: ClassVar[dict[str, object]] = {}

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.type in (int | None, float | None, str | None):
                continue
            if field.type is bool and not isinstance(value, bool):
                raise UsageError(f"{field.name} is {value!r}; pass True or False")
            if field.type in (str, str | None) and not isinstance(value, str):
                raise UsageError(f"{field.name} is {value!r}; pass a string")
            if field.type in (int, float, int | None, float | None):
                self._check_number(field, value)
            if field.name in self._choices and value not in self._choices[field.name]:
                raise unknown_name(field.name, value, self._choices[field.name])

    def _check_number(self, field: Field[Any], value: object) -> None:
        low, high = self._ranges[field.name]
        real = field.type in (float, float | None)
        kind = (int, float) if real else int
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            what = "a number" if real else "a whole number"
            limit = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise UsageError(f"{field.name} is {value!r}; pass {what} {limit}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration with these values; raise UsageError for a field that does not exist."""
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                raise unknown_name(f"field of {cls.__name__}:", name, names)
        return cls(**values)

    @classmethod
    def from_record(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration that a result file records, as it was meant when the file was written.

        Fields that did not exist then get the value that they stood for, and ``prior_bias`` becomes ``start_bias``.
        """
        kept = {name: value for name, value in values.items() if (name, value) not in cls._retired.items()}
        if "prior_bias" in kept:
            kept["start_bias"] = "prior" if kept.pop("prior_bias") else "zero"
        return cls.from_dict(cls._formerly | kept)

    def to_dict(self) -> dict[str, object]:
        """Return the fields and their values, without options that are not used (None).

        So a new option changes nothing about what was recorded without it.
        """
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class EpochConfig(Config):
    """What every method has that trains in epochs. Each method sets defaults of its own.

    Args:
        max_length: number of tokens (the CNN baseline: words) of a text that are used; the rest is cut off.
        epochs: maximum number of epochs.
        patience: training stops after this many epochs without a better validation ``select_by``; not used if the
            last epoch is kept.
        batch_size: documents per batch.
        learning_rate, weight_decay: of AdamW.
        start_bias: where the bias of the last layer starts. "loss": at each label's best constant for the loss that is
            trained, see ``best_constant_logits``, or at zero for a loss without a cost per label; "prior": at the log
            odds of the labels; "zero".
        select_by: the validation metric that chooses the epoch to keep, and among values that are tuned. The weighted
            and the macro average precision rank the documents of each label; the mean over the labels weighs each by its
            validation positives, or all equally. The micro one ranks all (document, label) pairs together, so scores
            must also be comparable across labels.
    """

    max_length: int = 128
    epochs: int = 100
    patience: int = 5
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    start_bias: str = "loss"
    select_by: str = "average_precision_weighted"

    _ranges = {
        "max_length": (8, 8192),
        "epochs": (1, 10_000),
        "patience": (1, 10_000),
        "batch_size": (1, 65_536),
        "learning_rate": (0.0, 1.0),
        "weight_decay": (0.0, 10.0),
    }
    _choices = {"select_by": SELECTION_METRICS, "start_bias": START_BIASES}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(EpochConfig):
    """What the methods share that use a pretrained encoder: the fields of :class:`EpochConfig`, and three more.

    Args:
        encoder: a name in ``afl_helpers.training.encoders.ENCODERS``, a folder, or ``organisation/name@revision``.
        keep: "best" keeps the epoch with the best ``select_by`` and stops early; "last" trains for all epochs and keeps
            the last one, which needs a schedule that anneals.
        logit_adjustment: after training, subtract this multiple of the label's log odds from each logit: 0 changes
            nothing, 1 makes rare labels as easy to predict as frequent ones (Menon et al., ICLR 2021, for softmax).
    """

    encoder: str = "minilm"
    keep: str = "best"
    logit_adjustment: float = 0.0

    _ranges = EpochConfig._ranges | {"logit_adjustment": (0.0, 10.0)}
    _choices = EpochConfig._choices | {"keep": KEPT_EPOCHS}
    _formerly = {"keep": "best"}


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
        lora_rank: train the head and, instead of the encoder's weights, a product of two matrices of this rank that is
            added to each linear layer of the encoder (LoRA: Hu et al., ICLR 2022), scaled by 2. AdamW then keeps moments
            for about one weight in a hundred, and rates around 2e-4 are usual. After training, the products are added to
            the weights. None tunes all weights. Needs the package peft.
        resampling, resampling_rate: which training documents are repeated or left out, and how many (default 0.25); see
            :func:`~afl_helpers.augment.oversampling.resample`. An epoch draws as many documents as without resampling, so
            the number of updates stays. EnvBERT ([17] of the paper, known by its abstract alone) oversampled before tuning
            BERT, and decided by one threshold: "ml_ros" and the rule "tuned_common" are our construction after it.
        mixup, mixup_alpha: mix the documents of a batch in front of the head, with any partners ("mixup") or partners that
            carry rare labels ("balanced_mixup"), and how much (alpha of a Beta distribution, default 1); see
            ``afl_helpers.training.pooled_mixup``. The loss must take targets between 0 and 1.

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
    lora_rank: int | None = None
    resampling: str | None = None
    resampling_rate: float | None = None
    mixup: str | None = None
    mixup_alpha: float | None = None

    _ranges = EncoderConfig._ranges | {
        "accumulation_steps": (1, 65_536),
        "warmup_steps": (0, 10_000_000),
        "max_warmup": (0.0, 1.0),
        "max_gradient_norm": (1e-6, math.inf),
        "lora_rank": (1, 1024),
        "resampling_rate": (0.0, 0.99),
        "mixup_alpha": (0.0, 100.0),
    }
    _choices = EncoderConfig._choices | {
        "schedule": SCHEDULES,
        "precision": PRECISIONS,
        "resampling": RESAMPLING,
        "mixup": MIXUPS,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for option, strength, example in (
            ("resampling", "resampling_rate", "ml_ros"),
            ("mixup", "mixup_alpha", "mixup"),
        ):
            value = getattr(self, strength)
            if value is not None and getattr(self, option) is None:
                raise UsageError(f"{strength} is {value:g} without {option}; pass {option}={example!r} too")


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(EncoderConfig):
    """Configure a linear head on the frozen encoder's mean-pooled, standardised embeddings.

    Fields that are not listed are those of :class:`~afl_helpers.training.config.EncoderConfig`.

    Args:
        schedule: "constant", or "cosine": the learning rate rises over the share ``warmup`` of all planned steps, then
            falls to 0.
        warmup: share of the steps, for the schedule "cosine".
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
    schedule: str = "constant"
    warmup: float = 0.1
    resampling: str = "none"
    resampling_rate: float = 0.25

    _ranges = EncoderConfig._ranges | {"warmup": (0.0, 1.0), "resampling_rate": (0.0, 0.99)}
    _choices = EncoderConfig._choices | {"schedule": PROBE_SCHEDULES, "resampling": RESAMPLING}
    _formerly = EncoderConfig._formerly | {"schedule": "constant"}

    @classmethod
    def of(cls, config: "ProbeConfig | TrainingConfig | None") -> "ProbeConfig":
        """Return a ProbeConfig unchanged, the defaults for None, or the fields shared with a TrainingConfig."""
        if config is None:
            return cls()
        if isinstance(config, cls):
            return config
        return cls(**{field.name: getattr(config, field.name) for field in fields(EncoderConfig)})


@dataclass(frozen=True, kw_only=True)
class TfidfConfig(Config):
    """Configure one linear classifier per label on TF-IDF features.

    Args:
        classifier: "logistic_regression" or "linear_svm" (squared hinge).
        ngrams: maximum number of words in a feature.
        min_count: minimum number of training documents that contain a feature.
        regularisation: scikit-learn's C, the inverse strength of regularization.
    """

    classifier: str = "logistic_regression"
    ngrams: int = 2
    min_count: int = 2
    regularisation: float = 1.0

    _ranges = {"ngrams": (1, 5), "min_count": (1, 1_000_000), "regularisation": (1e-9, 1e9)}
    _choices = {"classifier": ("logistic_regression", "linear_svm")}
    _retired = {"encoder": "tfidf", "epochs": 2}


def check_tfidf_loss(loss: object, loss_params: Mapping[str, object] | None) -> None:
    """Raise UsageError if a loss is named for word counts, whose classifier has its own."""
    if loss != "bce" or loss_params:
        raise UsageError(f"tfidf has its own loss, so it cannot use {loss!r}; leave loss at 'bce'")


def convergence(config: Config, best_epoch: int) -> tuple[bool | None, str]:
    """Return whether a run converged, and why; (None, "") for a method without epochs.

    A run that keeps its last epoch converged if the learning rate had annealed. A run that keeps its best epoch converged
    if it could wait out its patience: one whose best epoch lies within the patience of the cap might still improve.
    """
    if not isinstance(config, EpochConfig) or not getattr(config, "by_epochs", True):
        return None, ""
    if getattr(config, "keep", "best") == "last":
        if getattr(config, "schedule", "constant") in ANNEALED:
            return True, f"the learning rate annealed over {config.epochs} epochs"
        return False, "the last epoch was kept, but the learning rate does not anneal"
    if config.epochs - best_epoch < config.patience:
        return False, f"the best epoch, {best_epoch}, lies within the patience of the cap of {config.epochs}"
    return True, f"no better epoch came within the patience after epoch {best_epoch}"
