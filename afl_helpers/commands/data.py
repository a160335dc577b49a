"""``data``: load a corpus, verify it and describe it."""

import argparse
import contextlib
import json
import sys

from afl_helpers.commands.options import Commands, add_reading, load


def add_data(commands: Commands) -> None:
    """Add the command ``data``."""
    command = commands.add_parser("data", help="load a corpus, verify it and describe it")
    add_reading(command)
    command.add_argument("--top", type=int, default=20, metavar="N", help="show the first N labels (default: 20)")
    command.add_argument("--card", action="store_true", help="print the data card alone, as JSON-LD in Croissant 1.0")
    command.set_defaults(function=_data)


def _data(args: argparse.Namespace) -> None:
    if args.card:
        from afl_helpers.data import data_card  # imported here because it takes seconds

        with contextlib.redirect_stdout(sys.stderr):  # so that a file of the output holds the card alone
            corpus = load(args)
        print(json.dumps(data_card(corpus), indent=1, ensure_ascii=False))
        return
    corpus = load(args)
    counts = corpus.label_counts
    print(f"source: {corpus.source}\nfingerprint: {corpus.fingerprint}")
    for name, count in corpus.report.items():
        print(f"  {name}: {count:,}")
    print("labels:", ", ".join(f"{name} {count:,}" for name, count in zip(corpus.label_names[: args.top], counts)))
