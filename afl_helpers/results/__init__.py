"""Results: what a run's file holds, reading and writing it, tables of many runs, and comparisons of settings.

>>> from afl_helpers.results import read_study, results_table  # doctest: +SKIP
>>> results_table(read_study("frozen-encoder")).groupby("setting")["f1_macro"].mean()  # doctest: +SKIP
"""

from afl_helpers.environment import describe_environment
from afl_helpers.errors import needs_extra

with needs_extra("data", "afl_helpers.results"):
    from afl_helpers.results.checksums import CHECKSUMS, read_checksums, verify_checksums, write_checksums
    from afl_helpers.results.comparison import FAMILY_COLUMNS, DocumentDecisions, compare, deciding_interval
    from afl_helpers.results.encoding import KEYS, SCHEMA
    from afl_helpers.results.files import find_results, read_all_studies, read_result, read_study, write_result
    from afl_helpers.results.record import build_result, describe_data
    from afl_helpers.results.schema import (
        DataRecord,
        LabelRecord,
        LossRecord,
        Result,
        ScoreHistogram,
        Summaries,
        TimeRecord,
    )
    from afl_helpers.results.tables import (
        f1_by_count,
        history_table,
        label_table,
        results_table,
        run_table,
        threshold_table,
        tuning_table,
    )

__all__ = [
    "CHECKSUMS",
    "KEYS",
    "SCHEMA",
    "DataRecord",
    "DocumentDecisions",
    "LabelRecord",
    "LossRecord",
    "Result",
    "ScoreHistogram",
    "Summaries",
    "TimeRecord",
    "build_result",
    "compare",
    "FAMILY_COLUMNS",
    "deciding_interval",
    "describe_data",
    "describe_environment",
    "f1_by_count",
    "find_results",
    "history_table",
    "label_table",
    "read_all_studies",
    "read_checksums",
    "read_result",
    "read_study",
    "results_table",
    "run_table",
    "threshold_table",
    "tuning_table",
    "verify_checksums",
    "write_checksums",
    "write_result",
]
