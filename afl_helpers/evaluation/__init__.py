"""Metrics, thresholds, frequency groups and intervals for multi-label scores.

A label is predicted where ``score >= threshold``. Rules for what is undefined, the same everywhere:

- precision, recall and F1 with a zero denominator are ``zero_division``: 0 unless given, as in scikit-learn; with NaN they
  are left out of means. ``n_labels_without_positives``, ``n_labels_never_predicted`` and ``n_labels_without_f1`` (both at
  once) say how many labels that concerns;
- ROC AUC and average precision of a label (or document) without both a positive and a negative (average precision:
  without a positive) are left out of the mean;
- a mean over nothing is NaN.
"""

from afl_helpers.evaluation.blocks import BlockEvaluation
from afl_helpers.evaluation.bootstrap import (
    bootstrap_average_precision,
    bootstrap_decisions,
    holm,
    interval,
    paired_difference,
    probability_of_improvement,
    resampling_weights,
    seed_interval,
    summarize_runs,
)
from afl_helpers.evaluation.calibration import brier_scores, calibration_bins, calibration_errors
from afl_helpers.evaluation.groups import frequency_curve, frequency_groups
from afl_helpers.evaluation.metrics import evaluate, evaluate_tuned, label_table, paper_metrics
from afl_helpers.evaluation.ranking import average_precision_per_label, ranking_metrics, roc_auc_per_label
from afl_helpers.evaluation.thresholds import (
    RULES,
    TopK,
    decide,
    fit_thresholds,
    tune_thresholds,
)

__all__ = [
    "RULES",
    "BlockEvaluation",
    "TopK",
    "average_precision_per_label",
    "bootstrap_average_precision",
    "bootstrap_decisions",
    "brier_scores",
    "calibration_bins",
    "calibration_errors",
    "decide",
    "evaluate",
    "evaluate_tuned",
    "fit_thresholds",
    "frequency_curve",
    "frequency_groups",
    "holm",
    "interval",
    "label_table",
    "paired_difference",
    "paper_metrics",
    "probability_of_improvement",
    "ranking_metrics",
    "resampling_weights",
    "roc_auc_per_label",
    "seed_interval",
    "summarize_runs",
    "tune_thresholds",
]
