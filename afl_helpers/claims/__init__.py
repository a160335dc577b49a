"""The paper's claims, the arithmetic of its printed figures, and a verdict on each claim by a stated rule."""

from afl_helpers.claims.definitions import CLAIMS, Claim
from afl_helpers.claims.judge import VERDICTS, all_results, claims_table, verdicts
from afl_helpers.claims.published import REUTERS_CUTOFFS, published_reuters
from afl_helpers.claims.reported import (
    PAPER_FIGURES,
    PRINTED,
    READINGS,
    Implied,
    consistency,
    implied,
    max_auc,
    printed_range,
)

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
