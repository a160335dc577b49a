"""The doctor: what is to be known about a table before anything is trained.

>>> from afl_helpers.data import load_corpus
>>> from afl_helpers.doctor import examine
>>> findings = examine(load_corpus("toy"))
>>> findings[0].severity in ("check", "note")  # nothing to fix
True
"""

from afl_helpers.doctor.examination import examine
from afl_helpers.doctor.finding import Finding
from afl_helpers.doctor.page import render_page
from afl_helpers.doctor.study_draft import draft_study, write_study

__all__ = ["Finding", "draft_study", "examine", "render_page", "write_study"]
