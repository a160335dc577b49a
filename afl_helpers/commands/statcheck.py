"""``statcheck``: say which averages can have produced the values that a paper prints."""

import argparse

from afl_helpers.commands.options import Commands
from afl_helpers.errors import UsageError


def add_statcheck(commands: Commands) -> None:
    """Add the command ``statcheck``."""
    command = commands.add_parser(
        "statcheck",
        help="say which averages (micro, macro) can have produced a paper's precision, recall, F1 and AUC",
        description="Check printed values against each reading of them. Write values as printed, because the number of digits "
        "says how they were rounded: 0.5 is 0.45 to 0.55, 0.50 is 0.495 to 0.505.",
    )
    for name in ("precision", "recall", "f1", "auc"):
        command.add_argument(f"--{name}", metavar="VALUE", help="as printed, a share such as 0.4707")
    command.add_argument("--labels", type=int, metavar="N", help="number of labels (default: any)")
    command.add_argument(
        "--density",
        metavar="SHARE",
        help="labels per document over number of labels, such as 0.03, or a range such as 0.01:0.2 (default: any)",
    )
    command.set_defaults(function=_statcheck)


def _statcheck(args: argparse.Namespace) -> None:
    from afl_helpers.claims import check_readings

    density = None if args.density is None else _density(args.density)
    checks = check_readings(args.precision, args.recall, args.f1, args.auc, args.labels, density)
    for check in checks:
        print(check)
    if not any(check.possible for check in checks):
        print("No reading gives these values: one of them is printed wrong, or averaged in another way.")


def _density(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise UsageError(f"--density {text!r} is not a number or a range; write for example 0.03 or 0.01:0.2") from None
