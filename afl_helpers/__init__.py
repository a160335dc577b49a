"""Losses, data, training and evaluation for imbalanced multi-label learning, after the paper AFL-BERT."""

from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from afl_helpers.estimators import MultiLabelClassifier, ThresholdedClassifier

__all__ = ["MultiLabelClassifier", "ThresholdedClassifier", "__version__"]


def __getattr__(name: str) -> object:
    # Imported on first use (PEP 562): the core has no scikit-learn, and torch and transformers take seconds.
    if name in ("MultiLabelClassifier", "ThresholdedClassifier"):
        from afl_helpers.errors import needs_extra

        with needs_extra("train", name):
            from afl_helpers import estimators
        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
