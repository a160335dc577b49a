"""Losses for imbalanced multi-label learning: one file per family, with function, module and registry entry together.

:class:`MultiLabelLoss` says what holds for all of them: shapes, mask, reduction, result and errors.
"""

from afl_helpers.losses.adaptive_focal import AdaptiveFocalLoss, SampleDependentFocalLoss, flsd_loss
from afl_helpers.losses.asymmetric import AsymmetricLoss, asymmetric_loss
from afl_helpers.losses.asymmetric_polynomial import (
    AsymmetricPolynomialLoss,
    RobustAsymmetricLoss,
    asymmetric_polynomial_loss,
    robust_asymmetric_loss,
)
from afl_helpers.losses.base import LossInfo, MultiLabelLoss, PublishedForm, reduce_loss, smooth_labels
from afl_helpers.losses.cross_entropy import (
    BinaryCrossEntropy,
    ClassBalancedLoss,
    WeightedBinaryCrossEntropy,
    binary_cross_entropy,
)
from afl_helpers.losses.focal import FocalLoss, focal_loss
from afl_helpers.losses.gradient_balanced import GradientBalancedLoss, gradient_balanced_loss
from afl_helpers.losses.identification.identify import Identification, identify_loss
from afl_helpers.losses.log_sum_exp import TwoWayLoss, ZLPRLoss, two_way_loss, zlpr_loss
from afl_helpers.losses.logit_adjustment import LogitAdjustedLoss, logit_adjusted_loss
from afl_helpers.losses.margins import LDAMLoss, ldam_loss
from afl_helpers.losses.missing_labels import HillLoss, SPLCLoss, hill_loss, splc_loss
from afl_helpers.losses.partial import PartialLabelMaskingLoss
from afl_helpers.losses.rebalanced import DistributionBalancedLoss, distribution_balanced_loss
from afl_helpers.losses.registry import LOSSES, build_loss, check_loss
from afl_helpers.losses.soft_f1 import SigmoidF1Loss, sigmoid_f1_loss
from afl_helpers.losses.trainer_hook import TrainerHook
from afl_helpers.losses.weighted_asymmetric import WeightedAsymmetricLoss

__all__ = [
    "LOSSES",
    "AdaptiveFocalLoss",
    "AsymmetricLoss",
    "AsymmetricPolynomialLoss",
    "BinaryCrossEntropy",
    "ClassBalancedLoss",
    "DistributionBalancedLoss",
    "FocalLoss",
    "GradientBalancedLoss",
    "HillLoss",
    "Identification",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "LossInfo",
    "MultiLabelLoss",
    "PartialLabelMaskingLoss",
    "PublishedForm",
    "RobustAsymmetricLoss",
    "SPLCLoss",
    "SampleDependentFocalLoss",
    "SigmoidF1Loss",
    "TrainerHook",
    "TwoWayLoss",
    "WeightedAsymmetricLoss",
    "WeightedBinaryCrossEntropy",
    "ZLPRLoss",
    "asymmetric_loss",
    "asymmetric_polynomial_loss",
    "binary_cross_entropy",
    "build_loss",
    "check_loss",
    "distribution_balanced_loss",
    "flsd_loss",
    "focal_loss",
    "gradient_balanced_loss",
    "hill_loss",
    "identify_loss",
    "ldam_loss",
    "logit_adjusted_loss",
    "reduce_loss",
    "robust_asymmetric_loss",
    "sigmoid_f1_loss",
    "smooth_labels",
    "splc_loss",
    "two_way_loss",
    "zlpr_loss",
]
