"""Every change of the training split by name, and the function that builds one."""

from typing import Any

from afl_helpers.augment import (
    eda,
    feature_dictionary,
    floor_oversampling,
    generated_texts,
    hard_examples,
    kmeans_smote,
    lp_resampling,
    mixup,
    ml_resampling,
    mlenn,
    mlsmote,
    mltl,
    over_under_aligned,
    ratio_oversampling,
    remedial,
)
from afl_helpers.augment.base import Augmentation, AugmentationInfo
from afl_helpers.errors import UsageError, check_choice

_MODULES = (
    lp_resampling,
    ml_resampling,
    mlsmote,
    mlenn,
    mltl,
    remedial,
    ratio_oversampling,
    over_under_aligned,
    mixup,
    eda,
    floor_oversampling,
    feature_dictionary,
    hard_examples,
    kmeans_smote,
    generated_texts,
)

#: Name of a method -> its entry.
AUGMENTATIONS: dict[str, AugmentationInfo] = {
    name: info for module in _MODULES for name, info in module.ENTRIES.items()
}


def build_augmentation(name: str, **params: Any) -> Augmentation:
    """Build a change of the training split by its name in :data:`AUGMENTATIONS`.

    Args:
        name: a key of :data:`AUGMENTATIONS`.
        **params: parameters of the method, apart from those that the entry fixes; the others keep their defaults.

    Raises:
        UsageError: an unknown name or parameter, or a parameter with a wrong value.

    Example:
        >>> from afl_helpers.augment import build_augmentation
        >>> step = build_augmentation("ml_ros", rate=0.5)
        >>> texts, labels = step.fit_resample(["a", "b", "c", "d"], [[1, 0], [1, 0], [1, 0], [0, 1]], rng=0)
        >>> texts, step.sample_indices_.tolist()
        (['a', 'b', 'c', 'd', 'd'], [0, 1, 2, 3, 3])
    """
    check_choice("augmentation", name, AUGMENTATIONS)
    info = AUGMENTATIONS[name]
    if set(info.fixed) & set(params):
        fixed = " and ".join(sorted(set(info.fixed) & set(params)))
        raise UsageError(f"{name} fixes {fixed}; leave it out, or build {info.build.__name__} itself")
    try:
        return info.build(**info.fixed, **params)
    except TypeError as error:
        valid = ", ".join(name for name in info.build().get_params() if name not in info.fixed)
        raise UsageError(f"{name}: {error}; its parameters are: {valid}") from None
