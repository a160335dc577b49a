"""The paper's claims as data, each with its figure, its source and our verdict.

Verdicts: "reproduced", "reproduced in direction", "not reproduced", "impossible as printed", "not testable here",
"not yet tested".
"""

from dataclasses import dataclass

import pandas as pd

#: What the paper prints, in the text of its section V (its tables were figures): setting -> figures.
PAPER_FIGURES = {
    "bce": {"f1": 0.4707, "roc_auc": 0.7118},
    "focal-2.0": {"f1": 0.4923, "roc_auc": 0.7649},
    "focal-2.5": {"f1": 0.4692, "roc_auc": 0.7088},
    "afl": {"f1": 0.5, "roc_auc": 0.79, "recall_micro": 0.5282},
}


@dataclass(frozen=True)
class Claim:
    """One claim of the paper: what it says, the figure it gives, where, and what we can say of it."""

    id: str
    claim: str
    figure: str
    section: str
    verdict: str = "not yet tested"
    evidence: str = ""


CLAIMS = (
    Claim("C1", "BERT with binary cross-entropy is the baseline", "F1 .4707, ROC AUC .7118", "V-A"),
    Claim("C2", "Focal loss at gamma 2.0 beats binary cross-entropy", "F1 .4923, ROC AUC .7649", "V-B"),
    Claim(
        "C3", "Gamma 1.5 and 2.5 are lower; 2.5 is below the baseline", "2.5: F1 .4692, ROC AUC .7088; 1.5: none", "V-B"
    ),
    Claim("C4", "Adaptive focal loss beats every static gamma", "F1 .5, ROC AUC .79", "V-C"),
    Claim("C5", "Adaptive focal loss has the highest micro recall", ".5282", "V-C"),
    Claim("C6", "Gamma 2.5 has the highest precision, at lower recall", "none in the text", "VI"),
    Claim("C7", "Adaptive focal loss improves the detection of minority classes", "none by class", "VI, VIII"),
    Claim("C8", "No manual tuning of gamma is needed", "base gamma and alpha are not stated", "V-C"),
    Claim("C9", "A fixed gamma is sensitive to its value", "the spread over 1.5, 2.0, 2.5", "VI"),
    Claim("C10", "The loss assigns more weight to rare classes", "Eq. 2 and 3", "I, III-B"),
    Claim("C11", "The method fits any architecture with minimal change", "none", "III-C"),
    Claim("C12", "It generalises over data sets of varying imbalance", "one data set", "III-C"),
)


def claims_table() -> pd.DataFrame:
    """The claims, one a row."""
    return pd.DataFrame([vars(claim) for claim in CLAIMS])
