"""Training: the whole encoder fine-tuned through transformers' Trainer, or heads on the frozen encoder.

Both return a :class:`Run`: scores, metrics at every threshold rule, the history of the epochs, and a model that
predicts for new texts. Epochs are chosen by validation average precision, a measure without thresholds;
thresholds are tuned on validation alone.
"""

from afl_helpers.training.config import THRESHOLDS, ProbeConfig, TrainingConfig
from afl_helpers.training.embedding import FrozenEncoder, embed
from afl_helpers.training.fine_tuning import LengthGroupedSampler, fine_tune
from afl_helpers.training.model_card import model_card
from afl_helpers.training.probing import Head, TrainedHead, probe, train_heads
from afl_helpers.training.run import (
    Predictor,
    Run,
    check_save_folder,
    load_predictor,
    prior_logits,
    selection_metrics,
    tuned_thresholds,
)

__all__ = [
    "FrozenEncoder",
    "Head",
    "LengthGroupedSampler",
    "Predictor",
    "ProbeConfig",
    "Run",
    "THRESHOLDS",
    "TrainedHead",
    "TrainingConfig",
    "check_save_folder",
    "embed",
    "fine_tune",
    "load_predictor",
    "model_card",
    "prior_logits",
    "probe",
    "selection_metrics",
    "train_heads",
    "tuned_thresholds",
]
