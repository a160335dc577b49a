"""The book's figures: functions that take data and return a matplotlib figure, or a chart with sliders.

- ``style``: colours, titles, and what all figures share
- ``data``: a corpus: label frequencies, co-occurrence, text lengths, splits
- ``concepts``: an idea: losses, their gradients, readings of gamma
- ``losses``: all losses of the registry side by side, and masking over the epochs
- ``diagrams``: the classifier and the course of a study, as boxes and arrows
- ``evaluation``: a trained model: epochs, thresholds, recall by frequency, calibration
- ``results``: studies: metrics by setting, differences with intervals, ranks
- ``domains``: corpora of several domains side by side
- ``remedies``: a decision tree, effects of remedies side by side, and what methods do to five documents
- ``ranking``: the ranks of settings under each metric, as a table
- ``paper``: the paper's reported values beside our runs, and what they imply
- ``interactive``: charts with sliders

Chapters import names from this package. The package imports a module when one of its names is first used, because
Altair, torch and scikit-learn take seconds each and most chapters need only some of them.
"""

import importlib
from typing import Any

_NAMES = {
    "style": ("PALETTE", "RULE_TITLES", "SETTING_TITLES", "look_at", "look_of", "set_style", "title_of"),
    "data": ("cooccurrence", "long_tail", "split_shares", "text_lengths"),
    "concepts": ("curves", "expected_bce", "focal_curves", "gamma_by_label", "gamma_readings", "loss_curves"),
    "losses": ("loss_gallery", "masking_over_epochs", "value_and_gradient"),
    "diagrams": ("architecture", "workflow"),
    "evaluation": (
        "epochs",
        "metrics_by_threshold",
        "recall_by_frequency",
        "reliability",
        "reliability_plot",
        "roc_of_decisions",
        "score_errors",
        "thresholds_by_rule",
    ),
    "results": (
        "block_differences",
        "by_training_length",
        "differences",
        "panels_by_rule",
        "ranks_by_metric",
        "recall_by_third",
        "registered_differences",
        "score_distributions",
        "settings_by_block",
        "settings_by_rule",
    ),
    "domains": ("effect_beside", "imbalance_dial", "tails"),
    "remedies": (
        "FIVE_METHODS",
        "MORE_METHODS",
        "decision_tree",
        "five_documents",
        "read_documents",
        "related_documents",
        "remedy_effects",
        "written_documents",
    ),
    "ranking": ("RANKED_BY", "ranks"),
    "paper": (
        "AUC_READINGS",
        "PAPER_METRICS",
        "claim_by_reading",
        "implied_by_density",
        "paper_comparison",
        "paper_pairs",
        "published_beside_ours",
    ),
    "interactive": ("InteractiveChart", "cost_slider", "focal_slider", "gamma_slider", "threshold_slider"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
