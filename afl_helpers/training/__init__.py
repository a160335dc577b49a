"""Training: fine-tune a whole encoder through transformers' Trainer, or train heads on a frozen one.

Both return a :class:`Run`: scores, metrics under every threshold rule, the history of the epochs, and a model that
predicts for new texts. A validation metric without thresholds chooses the epoch; thresholds are tuned on validation
alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from afl_helpers.errors import needs_extra

if TYPE_CHECKING:
    from afl_helpers.training.assemble import selection_metrics, tuned_thresholds
    from afl_helpers.training.config import THRESHOLDS, ProbeConfig, TrainingConfig
    from afl_helpers.training.embedding import FrozenEncoder, embed
    from afl_helpers.training.fine_tuning import fine_tune
    from afl_helpers.training.hub import push_to_hub
    from afl_helpers.training.initial_bias import best_constant_logits, prior_logits
    from afl_helpers.training.model_card import render_model_card
    from afl_helpers.training.probing import Head, TrainedHead, probe, train_heads
    from afl_helpers.training.run import Predictor, Run, check_save_folder, load_predictor
    from afl_helpers.training.sampler import EpochSeededLengthSampler

__all__ = [
    "EpochSeededLengthSampler",
    "FrozenEncoder",
    "Head",
    "Predictor",
    "ProbeConfig",
    "Run",
    "THRESHOLDS",
    "TrainedHead",
    "TrainingConfig",
    "best_constant_logits",
    "check_save_folder",
    "embed",
    "fine_tune",
    "load_predictor",
    "prior_logits",
    "probe",
    "push_to_hub",
    "render_model_card",
    "selection_metrics",
    "train_heads",
    "tuned_thresholds",
]

# Each name is imported on first use (PEP 562): torch and transformers take seconds to import, and neither a
# configuration nor an error about a misspelt name should wait for them.
_NAMES = {
    "assemble": ("selection_metrics", "tuned_thresholds"),
    "config": ("THRESHOLDS", "ProbeConfig", "TrainingConfig"),
    "embedding": ("FrozenEncoder", "embed"),
    "fine_tuning": ("fine_tune",),
    "hub": ("push_to_hub",),
    "initial_bias": ("best_constant_logits", "prior_logits"),
    "model_card": ("render_model_card",),
    "probing": ("Head", "TrainedHead", "probe", "train_heads"),
    "run": ("Predictor", "Run", "check_save_folder", "load_predictor"),
    "sampler": ("EpochSeededLengthSampler",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra("train", f"afl_helpers.training.{name}"):
        module = import_module(f"{__name__}.{_MODULES[name]}")
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
