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
from afl_helpers.claims.table import CLAIMS, Claim
from afl_helpers.claims.verdicts import VERDICTS, all_results, claims_table, verdicts

__all__ = [
    "CLAIMS",
    "PAPER_FIGURES",
    "PRINTED",
    "READINGS",
    "VERDICTS",
    "Claim",
    "Implied",
    "all_results",
    "claims_table",
    "consistency",
    "implied",
    "max_auc",
    "printed_range",
    "verdicts",
]
