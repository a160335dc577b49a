"""The models and threshold rules of this package as scikit-learn estimators.

>>> from afl_helpers.estimators import MultiLabelClassifier, ThresholdedClassifier

`MultiLabelClassifier` trains on texts; `ThresholdedClassifier` gives our threshold rules to any classifier with scores.
Both pass scikit-learn's own checks of estimators (`sklearn.utils.estimator_checks`). These pass rows of numbers, which are
written out as words for `MultiLabelClassifier`. The checks that do not apply:

- ``check_estimators_dtypes``, ``check_classifier_data_not_an_array``, ``check_classifiers_classes``,
  ``check_fit2d_1feature``; for `ThresholdedClassifier` also ``check_estimator_sparse_array`` and
  ``check_estimator_sparse_matrix``: their ``y`` is one column of classes, where ours is a column of 0 and 1 per label.
- ``check_complex_data``, for `ThresholdedClassifier`: its ``y`` is complex too, and is refused first, in other words.
- ``check_classifiers_train``: it expects the probabilities of both classes of one label.
- ``check_classifier_not_supporting_multiclass``: it expects the sentence that only binary targets are taken.
- ``check_classifier_multioutput``: it expects decisions at 0.5. It passes with ``rule="at_0.5"``.
- ``check_estimators_nan_inf``, for `MultiLabelClassifier`: it trains on five documents, too few to hold some out.
"""

from afl_helpers.estimators.multi_label import MultiLabelClassifier
from afl_helpers.estimators.thresholded import ThresholdedClassifier

__all__ = ["MultiLabelClassifier", "ThresholdedClassifier"]
