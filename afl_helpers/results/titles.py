"""Endpoints in words."""

#: Metric -> title; a metric that is not here is shown by its name.
METRIC_TITLES = {
    "f1_micro": "micro F1",
    "f1_macro": "macro F1",
    "f1_macro_tail": "macro F1 of the tail",
    "recall_micro": "micro recall",
    "precision_micro": "micro precision",
    "roc_auc_micro_of_decisions": "micro ROC AUC of decisions",
    "average_precision_macro_tail": "average precision of the tail",
}
#: Threshold rule -> title.
THRESHOLD_TITLES = {
    "at_0.5": "at 0.5",
    "tuned_common": "at one tuned threshold",
    "tuned_proportional": "with the proportional cut",
}


def endpoint_title(endpoint: str) -> str:
    """Return an endpoint in words: "f1_micro@at_0.5" is "micro F1 at 0.5"."""
    metric, _, threshold = endpoint.partition("@")
    title = METRIC_TITLES.get(metric, metric)
    return f"{title} {THRESHOLD_TITLES.get(threshold, threshold)}" if threshold else title
