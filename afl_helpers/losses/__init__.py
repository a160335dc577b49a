"""Losses of imbalanced multi-label learning: pure functions, modules, and a registry by name."""

from afl_helpers.losses.functional import binary_cross_entropy, focal_loss, reduce_loss
from afl_helpers.losses.modules import AdaptiveFocalLoss, BinaryCrossEntropy, FocalLoss, MultiLabelLoss
from afl_helpers.losses.registry import LOSSES, LossInfo, build_loss

__all__ = [
    "LOSSES",
    "AdaptiveFocalLoss",
    "BinaryCrossEntropy",
    "FocalLoss",
    "LossInfo",
    "MultiLabelLoss",
    "binary_cross_entropy",
    "build_loss",
    "focal_loss",
    "reduce_loss",
]
