"""Change the training split before training: repeat, leave out, change or make documents.

Every method is an object with ``fit_resample(X, Y, rng)``; :data:`AUGMENTATIONS` lists them by name.

>>> from afl_helpers.augment import build_augmentation
>>> build_augmentation("ml_ros", rate=0.5)
MLROS(rate=0.5)
"""

from afl_helpers.augment.base import Augmentation, AugmentationInfo
from afl_helpers.augment.lp_resampling import LPROS, LPRUS
from afl_helpers.augment.ml_resampling import MLROS, MLRUS
from afl_helpers.augment.mlsmote import MLSMOTE
from afl_helpers.augment.registry import AUGMENTATIONS, build_augmentation

__all__ = [
    "AUGMENTATIONS",
    "LPROS",
    "LPRUS",
    "MLROS",
    "MLRUS",
    "MLSMOTE",
    "Augmentation",
    "AugmentationInfo",
    "build_augmentation",
]
