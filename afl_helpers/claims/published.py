"""Results that others have published on the same data, for comparison with ours."""

import pandas as pd

#: Huang et al. (EMNLP 2021), Table 2, Reuters-21578: F1 in per cent, micro and macro, for all 90 topics and for those
#: with 35 training stories or more, 8 to 35, and 8 or fewer. Rows by our name for the loss.
_REUTERS = {
    "tfidf-linear-svm": (87.60, 51.63, 89.87, 78.47, 66.92, 61.00, 22.54, 13.83),
    "bce": (89.14, 47.32, 91.75, 82.81, 66.28, 57.26, 0.00, 0.00),
    "focal-2.0": (89.97, 56.83, 91.83, 82.64, 76.16, 70.63, 27.40, 15.37),
    "class-balanced": (89.23, 52.96, 91.56, 80.44, 71.64, 66.61, 23.08, 9.93),
    "rebalanced-focal": (89.47, 54.35, 91.59, 80.39, 72.86, 66.69, 25.00, 14.22),
    "ntr-focal": (90.70, 60.70, 92.37, 82.65, 79.35, 75.34, 39.51, 22.33),
    "cb-ntr": (90.74, 63.31, 92.46, 83.28, 78.42, 72.98, 46.32, 32.31),
    "distribution-balanced": (90.62, 64.47, 92.14, 83.48, 80.25, 77.01, 48.89, 31.39),
}

#: (head_from, medium_from) of that table; it does not say to which group a topic of exactly 8 belongs; we use the tail.
REUTERS_CUTOFFS = (35, 9)


def published_reuters() -> pd.DataFrame:
    """Return the F1 on Reuters-21578 that Huang et al. (EMNLP 2021) report in Table 2, as shares.

    Their encoder is ``bert-base-cased``, fine-tuned; the threshold is tuned on validation documents for micro F1; the
    SVM is linear, on TF-IDF.

    Returns:
        One row per setting, by our names; columns (group, average), "total", "head", "medium", "tail" by "micro",
        "macro". :data:`REUTERS_CUTOFFS` are the groups' cutoffs.

    Example:
        >>> from afl_helpers.claims import published_reuters
        >>> published_reuters().loc[["bce", "distribution-balanced"], ("tail", "micro")].round(4).to_dict()
        {'bce': 0.0, 'distribution-balanced': 0.4889}
    """
    columns = pd.MultiIndex.from_product([("total", "head", "medium", "tail"), ("micro", "macro")])
    return pd.DataFrame.from_dict(_REUTERS, orient="index", columns=columns) / 100
