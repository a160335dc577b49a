"""``predict``: predict the labels of new texts."""

import argparse
import sys
from pathlib import Path

from afl_helpers.commands.options import Commands
from afl_helpers.errors import MissingFileError, UsageError


def add_predict(commands: Commands) -> None:
    """Add the command ``predict``."""
    command = commands.add_parser("predict", help="predict the labels of new texts")
    command.add_argument("model", type=Path, help="folder that train --save wrote")
    command.add_argument(
        "text", nargs="*", help="texts to label; if omitted, read one text per line from standard input"
    )
    command.add_argument("--rule", default="tuned_common", help="threshold rule (default: tuned_common)")
    command.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="[LABEL=]NUMBER",
        help="threshold for all labels, or for one label (the others keep the threshold of the rule); can be repeated",
    )
    command.set_defaults(function=_predict)


def _predict(args: argparse.Namespace) -> None:
    if not args.model.is_dir():
        raise MissingFileError(f"there is no folder {args.model}; pass a folder that train --save wrote")
    thresholds = parse_thresholds(args.threshold)
    from afl_helpers.training import load_predictor

    texts = args.text or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    predicted = load_predictor(args.model).predict(texts, args.rule, thresholds)
    for text, labels in zip(texts, predicted):
        print(f"{'; '.join(labels) or '(none)'}\t{text}")


def parse_thresholds(parts: list[str]) -> float | dict[str, float] | None:
    """Return the number, or the numbers by label, that ``--threshold`` gave; the labels are checked by the model."""
    values: dict[str, float] = {}
    for part in parts:
        label, _, number = part.rpartition("=")
        try:
            values[label] = float(number)
        except ValueError:
            raise UsageError(
                f"--threshold {part!r} is neither a number nor LABEL=NUMBER; write for example 0.3"
            ) from None
        if not 0 <= values[label] <= 1:
            raise UsageError(f"--threshold {part!r} is outside [0, 1]; pass a number in [0, 1]")
    if "" in values and len(parts) > 1:
        raise UsageError(
            "--threshold gives a number for all labels and another value; pass one number, or only LABEL=NUMBER"
        )
    return values.get("", values or None)
