"""The paper's claims, the arithmetic of its reported values, and a verdict on each claim by a stated rule."""

from afl_helpers.errors import needs_extra

with needs_extra("data", "afl_helpers.claims"):
    from afl_helpers.claims.definitions import CLAIMS, Claim
    from afl_helpers.claims.judge import VERDICTS, claims_table, findings, verdicts
    from afl_helpers.claims.published import REUTERS_CUTOFFS, published_reuters
    from afl_helpers.claims.reported import (
        READINGS,
        REPORTED,
        REPORTED_VALUES,
        Implied,
        consistency,
        implied,
        max_auc,
        reported_range,
    )
    from afl_helpers.claims.statcheck import AUC_SOURCES, AVERAGES, ReadingCheck, check_readings

__all__ = [
    "AUC_SOURCES",
    "AVERAGES",
    "CLAIMS",
    "REPORTED_VALUES",
    "REPORTED",
    "READINGS",
    "REUTERS_CUTOFFS",
    "VERDICTS",
    "Claim",
    "Implied",
    "ReadingCheck",
    "check_readings",
    "claims_table",
    "consistency",
    "findings",
    "implied",
    "max_auc",
    "reported_range",
    "published_reuters",
    "verdicts",
]
