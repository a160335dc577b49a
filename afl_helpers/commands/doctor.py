"""``doctor``: say what is to be known about a table before anything is trained."""

import argparse
import os
import platform
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from afl_helpers.commands.options import (
    Commands,
    add_reading,
    check_corpus_name,
    check_no_folder,
    check_not_read,
    read,
    reading_options,
    table_source,
)
from afl_helpers.errors import needs_extra

if TYPE_CHECKING:
    from afl_helpers.doctor import Finding

#: Variables that change what is computed, or where it is read from.
_VARIABLES = (
    "AFL_PROFILE",
    "AFL_DATA_DIR",
    "AFL_CACHE_DIR",
    "HF_HUB_OFFLINE",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
)
_HEADINGS = {"fix": "TO FIX", "check": "TO CHECK", "note": "GOOD TO KNOW"}


def add_doctor(commands: Commands) -> None:
    """Add the command ``doctor``."""
    command = commands.add_parser(
        "doctor",
        help="examine a table before training: faults, rare labels, leakage, and which loss and rule to begin with",
        description="Print what is to be known about a corpus before anything is trained, worst first.",
    )
    add_reading(command)
    command.add_argument("--encoder", default="minilm", metavar="NAME", help="the encoder to train (default: minilm)")
    command.add_argument(
        "--max-length", type=int, default=128, metavar="N", help="tokens of a text that it reads (default: 128)"
    )
    command.add_argument("--html", type=Path, metavar="FILE", help="write the findings as a page, too")
    command.add_argument(
        "--study", type=Path, metavar="FILE", help="write a study to begin with, such as results/mine/study.yaml"
    )
    command.add_argument(
        "--environment",
        action="store_true",
        help="print versions, device and settings instead, to be pasted into a report",
    )
    command.set_defaults(function=_doctor)


def _doctor(args: argparse.Namespace) -> None:
    if args.environment:
        return _print_environment()
    check_corpus_name(args.corpus)
    if args.html:
        check_no_folder(args.html, "findings.html")
        check_not_read(args.html, args)
    corpus = read(args)
    from afl_helpers.files import write_text

    with needs_extra("train", "the command doctor"):
        from afl_helpers.doctor import draft_study, examine, render_page, write_study

    findings = examine(corpus, encoder=args.encoder, max_length=args.max_length, separator=args.separator)
    first, *how_read = corpus.describe().splitlines()
    print(first)
    _print_findings(findings)
    if how_read:
        print("\nHOW IT WAS READ")
        for line in how_read:
            _print_wrapped(line, "  ", "    ")
    study = None
    if args.study:
        options = {
            name: value for name, value in reading_options(args).items() if name != "on_error" or value == "skip"
        }
        options["split_column"] = args.split_column
        named = corpus.name == args.corpus  # a corpus of the library needs no path
        study = draft_study(
            corpus,
            None if named else table_source(args),
            None if named else options,
            encoder=args.encoder,
            max_length=args.max_length,
        )
        planned = write_study(args.study, study)
        print(
            f"\n{args.study}: a study of {len(planned.runs())} runs; python -m afl_helpers study {planned.name} --results "
            f"{planned.folder.parent} does them"
        )
    if args.html:
        write_text(args.html, render_page(corpus, findings, study))
        print(f"\nwritten to {args.html}")


def _print_environment() -> None:
    """Print what may change a number here: versions, device, processor and variables."""
    from afl_helpers import __version__
    from afl_helpers.environment import describe_environment

    rows = {"afl-helpers": __version__, "system": platform.platform(), **describe_environment()}
    for name in _VARIABLES:
        if name in os.environ:
            # A folder is the user's own business.
            rows[name] = "set" if name.endswith("_DIR") else os.environ[name]
    for name, value in rows.items():
        print(f"{name:24} {'none' if value is None else value}")


def _print_findings(findings: "list[Finding]") -> None:
    heading = ""
    for finding in findings:
        if _HEADINGS[finding.severity] != heading:
            heading = _HEADINGS[finding.severity]
            print(f"\n{heading}")
        _print_wrapped(finding.sentence, "- ", "  ")
        if finding.advice:
            _print_wrapped(finding.advice, "  ", "  ")
        if finding.examples:
            _print_wrapped(f"Such as {'; '.join(finding.examples)}", "    ", "    ")


def _print_wrapped(text: str, first: str, other: str) -> None:
    width = max(40, min(110, shutil.get_terminal_size().columns))
    # A no-break space keeps a number and its sign on one line; a terminal need not be able to show it.
    lines = textwrap.wrap(
        text.replace(" %", "\xa0%"), width, initial_indent=first, subsequent_indent=other, break_on_hyphens=False
    )
    print("\n".join(lines).replace("\xa0%", " %"))
