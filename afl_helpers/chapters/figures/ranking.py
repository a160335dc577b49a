"""Rank settings under each metric that a study may report."""

from collections.abc import Sequence

import pandas as pd

#: Title -> (metric, threshold rule): what a study may rank its settings by. Metrics of scores are the same under each
#: rule.
RANKED_BY = {
    "micro F1, at 0.5": ("f1_micro", "at_0.5"),
    "micro F1, tuned": ("f1_micro", "tuned_common"),
    "micro F1, prop. cut": ("f1_micro", "tuned_proportional"),
    "macro F1, at 0.5": ("f1_macro", "at_0.5"),
    "macro F1, tuned": ("f1_macro", "tuned_common"),
    "macro F1, prop. cut": ("f1_macro", "tuned_proportional"),
    "AUC of decisions, at 0.5": ("roc_auc_micro_of_decisions", "at_0.5"),
    "AUC of scores, micro": ("roc_auc_micro", "at_0.5"),
    "AUC of scores, macro": ("roc_auc_macro", "at_0.5"),
    "average precision, micro": ("average_precision_micro", "at_0.5"),
    "average precision, tail": ("average_precision_macro_tail", "at_0.5"),
}


def ranks(table: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Return the rank of each setting under each metric of :data:`RANKED_BY`.

    Args:
        table: Rows of :func:`afl_helpers.results.results_table` for one corpus and method.
        settings: Settings to rank, in the order of the result's rows.

    Returns:
        One row per setting and one column per metric. Rank 1 has the highest mean over seeds; ties share the better rank.
    """
    columns = {}
    for title, (metric, rule) in RANKED_BY.items():
        rows = table[(table["thresholds"] == rule) & table["setting"].isin(settings)]
        columns[title] = rows.groupby("setting")[metric].mean().rank(ascending=False, method="min")
    return pd.DataFrame(columns).loc[list(settings)].astype(int)
