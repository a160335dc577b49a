"""Change the training split before training: repeat, leave out, change or make documents.

Every method is an object with ``fit_resample(X, Y, rng)``; :data:`AUGMENTATIONS` lists them by name.

>>> from afl_helpers.augment import build_augmentation
>>> build_augmentation("ml_ros", rate=0.5)
MLROS(rate=0.5)
"""

from afl_helpers.augment.base import Augmentation, AugmentationInfo
from afl_helpers.augment.eda import EDA, no_synonyms
from afl_helpers.augment.feature_dictionary import FeatureDictionary
from afl_helpers.augment.floor_oversampling import FloorEDA, FloorOversampling
from afl_helpers.augment.generated_texts import GeneratedTexts
from afl_helpers.augment.hard_examples import HardExamples
from afl_helpers.augment.kmeans_smote import KMeansSMOTE
from afl_helpers.augment.lp_resampling import LPROS, LPRUS
from afl_helpers.augment.mixup import BalancedMixup, Mixup
from afl_helpers.augment.ml_resampling import MLROS, MLRUS
from afl_helpers.augment.mlenn import MLeNN
from afl_helpers.augment.mlsmote import MLSMOTE
from afl_helpers.augment.mltl import MLTL
from afl_helpers.augment.over_under_aligned import OverUnderAligned
from afl_helpers.augment.plain_copies import PlainCopies
from afl_helpers.augment.ratio_oversampling import RatioOversampling
from afl_helpers.augment.registry import AUGMENTATIONS, build_augmentation
from afl_helpers.augment.remedial import REMEDIAL, RemedialMLeNN, RemedialMLROS, RemedialMLSMOTE
from afl_helpers.augment.trigram_model import TrigramModel

__all__ = [
    "AUGMENTATIONS",
    "EDA",
    "LPROS",
    "LPRUS",
    "MLROS",
    "MLRUS",
    "MLSMOTE",
    "MLTL",
    "REMEDIAL",
    "Augmentation",
    "AugmentationInfo",
    "BalancedMixup",
    "FeatureDictionary",
    "FloorEDA",
    "FloorOversampling",
    "GeneratedTexts",
    "HardExamples",
    "KMeansSMOTE",
    "MLeNN",
    "Mixup",
    "OverUnderAligned",
    "PlainCopies",
    "RatioOversampling",
    "RemedialMLROS",
    "RemedialMLSMOTE",
    "RemedialMLeNN",
    "TrigramModel",
    "build_augmentation",
    "no_synonyms",
]
