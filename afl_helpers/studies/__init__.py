"""Studies: what to run, and running what is missing.

``plan`` reads a study's file, ``execute`` does single runs, ``pool`` does all that are missing, and ``repeat`` does one
again. A run is there whole or not at all, so a study that was stopped goes on where it was.
"""

from afl_helpers.studies.plan import METHODS, PlannedRun, Setting, Study, load_study
from afl_helpers.studies.rerun import Deviation, difference, repeat
from afl_helpers.studies.run import corpus_parts, execute
from afl_helpers.studies.workers import describe_seconds, estimate_seconds, run_study

__all__ = [
    "Deviation",
    "METHODS",
    "PlannedRun",
    "Setting",
    "Study",
    "corpus_parts",
    "describe_seconds",
    "difference",
    "estimate_seconds",
    "execute",
    "load_study",
    "repeat",
    "run_study",
]
