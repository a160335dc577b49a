"""The paper's claims, the arithmetic of its printed figures, and a verdict on each claim by a stated rule."""

from afl_helpers.claims.printed import (
    PAPER_FIGURES,
    PRINTED,
    READINGS,
    Implied,
    consistency,
    implied,
    max_auc,
    printed_range,
)
from afl_helpers.claims.published import REUTERS_CUTOFFS, published_reuters
from afl_helpers.claims.table import CLAIMS, Claim
from afl_helpers.claims.verdicts import VERDICTS, all_results, claims_table, verdicts

__all__ = [
    "CLAIMS",
    "PAPER_FIGURES",
    "PRINTED",
    "READINGS",
    "REUTERS_CUTOFFS",
    "VERDICTS",
    "Claim",
    "Implied",
    "all_results",
    "claims_table",
    "consistency",
    "implied",
    "max_auc",
    "printed_range",
    "published_reuters",
    "verdicts",
]
