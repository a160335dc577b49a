"""Losses of imbalanced multi-label learning: pure functions, modules, and a registry by name."""

from afl_helpers.losses.functional import (
    asymmetric_loss,
    asymmetric_polynomial_loss,
    binary_cross_entropy,
    distribution_balanced_loss,
    flsd_loss,
    focal_loss,
    ldam_loss,
    reduce_loss,
    robust_asymmetric_loss,
)
from afl_helpers.losses.modules import (
    AdaptiveFocalLoss,
    AsymmetricLoss,
    AsymmetricPolynomialLoss,
    BinaryCrossEntropy,
    ClassBalancedLoss,
    DistributionBalancedLoss,
    FocalLoss,
    LDAMLoss,
    MultiLabelLoss,
    RobustAsymmetricLoss,
    SampleDependentFocalLoss,
    WeightedAsymmetricLoss,
    WeightedBinaryCrossEntropy,
)
from afl_helpers.losses.partial import PartialLabelMaskingLoss
from afl_helpers.losses.registry import LOSSES, LossInfo, build_loss

__all__ = [
    "LOSSES",
    "AdaptiveFocalLoss",
    "AsymmetricLoss",
    "AsymmetricPolynomialLoss",
    "BinaryCrossEntropy",
    "ClassBalancedLoss",
    "DistributionBalancedLoss",
    "FocalLoss",
    "LDAMLoss",
    "LossInfo",
    "MultiLabelLoss",
    "PartialLabelMaskingLoss",
    "RobustAsymmetricLoss",
    "SampleDependentFocalLoss",
    "WeightedAsymmetricLoss",
    "WeightedBinaryCrossEntropy",
    "asymmetric_loss",
    "asymmetric_polynomial_loss",
    "binary_cross_entropy",
    "build_loss",
    "distribution_balanced_loss",
    "flsd_loss",
    "focal_loss",
    "ldam_loss",
    "reduce_loss",
    "robust_asymmetric_loss",
]
