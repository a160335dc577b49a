"""Studies: what to run, and running what is missing.

``study_file`` reads a study's file into the types of ``plan``. ``run`` does single tasks, ``workers`` does all that is
missing, and ``cluster`` does so through Ray. ``estimate`` says how long it will take, and ``calibration`` measures it on a new device; ``rerun`` repeats a recorded run.
``primary`` makes the comparison that a study declares. ``scores`` keeps the scores of runs, and ``rescoring`` judges a
threshold rule on them. ``tuning`` extends a grid of tuned values; ``epochs`` keeps what a run was like after each epoch.
A result file is there whole or not at all, so a study can be stopped at any time and started again.
"""

from afl_helpers.errors import needs_extra

with needs_extra("train", "afl_helpers.studies"):
    from afl_helpers.studies.calibration import Calibration, calibrate
    from afl_helpers.studies.estimate import describe_seconds, device_at_hand, estimate_seconds
    from afl_helpers.studies.plan import METHODS, PlannedRun, Primary, Setting, Study, StudyCorpus
    from afl_helpers.studies.primary import (
        check_complete,
        compare_documents,
        compare_study,
        complete_blocks,
        complete_results,
        convergence_shifts,
        describe_convergence,
        describe_progress,
        describe_shifts,
    )
    from afl_helpers.studies.rerun import Deviation, difference, repeat
    from afl_helpers.studies.rescoring import kept_decisions, missing_scores, rescore
    from afl_helpers.studies.run import corpus_splits, execute
    from afl_helpers.studies.study_file import load_study
    from afl_helpers.studies.workers import run_study

__all__ = [
    "Calibration",
    "Deviation",
    "METHODS",
    "PlannedRun",
    "Primary",
    "Setting",
    "Study",
    "StudyCorpus",
    "calibrate",
    "check_complete",
    "compare_documents",
    "compare_study",
    "complete_blocks",
    "complete_results",
    "convergence_shifts",
    "corpus_splits",
    "describe_convergence",
    "describe_progress",
    "describe_seconds",
    "describe_shifts",
    "device_at_hand",
    "difference",
    "estimate_seconds",
    "execute",
    "kept_decisions",
    "load_study",
    "missing_scores",
    "repeat",
    "rescore",
    "run_study",
]
