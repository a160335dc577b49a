"""Metrics, thresholds, frequency groups and intervals for multi-label scores.

Everywhere, ``targets`` are (n_documents, n_labels) of 0 and 1; ``scores`` have the same shape and are finite. Each may
be an :class:`array <numpy.ndarray>`, nested lists, a :class:`data frame <pandas.DataFrame>`, a
:class:`tensor <torch.Tensor>` or a scipy sparse array. A label is predicted if
``score >= threshold``. Wrong shapes and values raise a ``UsageError`` that says what to pass.
Functions that return a data frame need pandas (``pip install "afl-helpers[data]"``); all others need only numpy and
scipy.

How undefined values are treated:

- precision, recall and F1 with a zero denominator are ``zero_division``: by default 0, as in scikit-learn; NaN leaves
  them out of means. ``n_labels_without_positives`` (recall), ``n_labels_never_predicted`` (precision) and
  ``n_labels_without_f1`` (F1) count the labels concerned;
- ROC AUC needs a positive and a negative, and average precision needs a positive; a label (or document) without them
  is left out of the mean;
- a mean over nothing is NaN.
"""

from afl_helpers.advice import DEFAULT_RULE
from afl_helpers.evaluation.blocks import BlockEvaluation
from afl_helpers.evaluation.bootstrap import bootstrap_average_precision, bootstrap_decisions, bootstrap_weights
from afl_helpers.evaluation.calibration import brier_scores, calibration_bins, expected_calibration_errors
from afl_helpers.evaluation.calibration_maps import IsotonicMaps, Temperature, fit_isotonic, fit_temperature
from afl_helpers.evaluation.document_intervals import difference_interval, metric_interval
from afl_helpers.evaluation.groups import frequency_curve, frequency_groups
from afl_helpers.evaluation.intervals import (
    detectable_difference,
    holm,
    interval,
    paired_difference,
    seed_interval,
    t_test,
)
from afl_helpers.evaluation.metrics import evaluate, evaluate_rules, evaluate_tuned, label_table, paper_metrics
from afl_helpers.evaluation.posterior import (
    best_constant_logit,
    best_constant_score,
    posterior_logits,
    posterior_scores,
)
from afl_helpers.evaluation.ranking import average_precision_per_label, ranking_metrics, roc_auc_per_label
from afl_helpers.evaluation.suspicious import suspicious_labels
from afl_helpers.evaluation.thresholds import (
    THRESHOLD_RULES,
    ThresholdRule,
    binarize,
    fit_thresholds,
    tune_thresholds,
)
from afl_helpers.evaluation.top_k import TopK, tune_top_k

resampling_weights = bootstrap_weights  # the former name, which scripts outside this repository import

__all__ = [
    "DEFAULT_RULE",
    "THRESHOLD_RULES",
    "BlockEvaluation",
    "IsotonicMaps",
    "Temperature",
    "ThresholdRule",
    "TopK",
    "average_precision_per_label",
    "best_constant_logit",
    "best_constant_score",
    "binarize",
    "bootstrap_average_precision",
    "bootstrap_decisions",
    "bootstrap_weights",
    "brier_scores",
    "calibration_bins",
    "detectable_difference",
    "difference_interval",
    "evaluate",
    "evaluate_rules",
    "evaluate_tuned",
    "expected_calibration_errors",
    "fit_isotonic",
    "fit_temperature",
    "fit_thresholds",
    "frequency_curve",
    "frequency_groups",
    "holm",
    "interval",
    "label_table",
    "metric_interval",
    "paired_difference",
    "paper_metrics",
    "posterior_logits",
    "posterior_scores",
    "ranking_metrics",
    "roc_auc_per_label",
    "seed_interval",
    "suspicious_labels",
    "t_test",
    "tune_thresholds",
    "tune_top_k",
]
