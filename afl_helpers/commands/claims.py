"""``claims``: list the claims of the paper, each with its verdict."""

import argparse
import os
import shutil
import sys
import textwrap
from pathlib import Path

from afl_helpers.commands.options import Commands
from afl_helpers.errors import unknown_name


def add_claims(commands: Commands) -> None:
    """Add the command ``claims``."""
    command = commands.add_parser("claims", help="list the paper's claims, each with its verdict")
    command.add_argument(
        "--results", type=Path, metavar="FOLDER", help="folder of the studies (default: the nearest results folder)"
    )
    command.add_argument("--details", metavar="CLAIM", help="the evidence on one claim, such as C7")
    command.set_defaults(function=_claims)


def _claims(args: argparse.Namespace) -> None:
    from afl_helpers.claims import CLAIMS, findings, verdicts
    from afl_helpers.results import find_results
    from afl_helpers.studies import complete_results

    claims = {claim.id: claim for claim in CLAIMS}
    if args.details and args.details.upper() not in claims:
        raise unknown_name("claim", args.details, claims)
    results, running = complete_results(find_results() if args.results is None else args.results)
    rows = {row["id"]: row for row in verdicts(results).to_dict("records")}
    if not args.details:
        for name, row in rows.items():
            effect = f"; {row['effect']}" if row["effect"] else ""
            _print_wrapped(f"{name:4} {_colour(row['verdict'])}: {claims[name].claim}{effect}", indent=5)
        for sentence in running:
            _print_wrapped(sentence, indent=2)
        return
    claim = claims[args.details.upper()]
    row = rows[claim.id]
    under = f", {row['conditions']}" if row["conditions"] else ""
    print(f"{claim.id} {claim.claim}")
    for title, text in (
        ("The paper", f"{claim.reported} ({claim.source})"),
        ("The rule", str(claim.rule)),
        ("The verdict", f"{_colour(row['verdict'])}{under}"),
        ("It rests on", row["effect"]),
    ):
        if text:
            _print_wrapped(f"{title}: {text}", indent=2)
    found = findings(results)
    found = found[(found["id"] == claim.id) & (found["unit"] == "block")]
    for (counts, study, corpus, n), lines in found.groupby(["counts", "study", "corpus", "n"], sort=False):
        print(f"\n{study} on {corpus}, {n} blocks{'' if counts else ' (beside: the verdict does not rest on it)'}")
        for line in lines.to_dict("records"):
            if line["about"] == "claim":
                subject = ", ".join(filter(None, [line["reading"], line["alternative"]]))
                _print_wrapped(f"{subject}: {line['outcome']}; {line['effect']}", indent=4, first=2)
            elif counts:
                _print_wrapped(f"control: {line['effect']} ({line['outcome']})", indent=6, first=4)
    if found.empty:
        print()
        for sentence in row["evidence"].splitlines():
            _print_wrapped(sentence, indent=2, first=2)
    for sentence in running:
        print()
        _print_wrapped(sentence, indent=2)


def _print_wrapped(text: str, indent: int, first: int = 0) -> None:
    """Print a text wrapped to the terminal, without breaking names such as cmu-leads."""
    width = max(40, shutil.get_terminal_size().columns)
    print(
        textwrap.fill(text, width, initial_indent=" " * first, subsequent_indent=" " * indent, break_on_hyphens=False)
    )


#: Beginning of a verdict -> colour of a terminal: green, red, yellow.
_COLOURS = {"reproduced": 32, "not reproduced": 31, "impossible": 31, "undecided": 33}


def _colour(verdict: str) -> str:
    """Return a verdict in its colour where the output is a terminal."""
    code = next((code for start, code in _COLOURS.items() if verdict.startswith(start)), None)
    if code is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return verdict
    return f"\033[{code}m{verdict}\033[0m"
