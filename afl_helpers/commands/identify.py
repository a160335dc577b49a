"""``identify``: say which loss a function computes."""

import argparse
import functools
import importlib
import sys

from afl_helpers.commands.options import Commands, parse_pairs
from afl_helpers.errors import MissingFileError, UsageError, unknown_name


def add_identify(commands: Commands) -> None:
    """Add the command ``identify``."""
    command = commands.add_parser(
        "identify",
        help="say which loss a function of yours computes, and what is wrong with it",
        description="Call a loss on small batches and print which known loss it is, with its parameters and its reduction, "
        "and the faults found: caps, NaN, a softmax or a second sigmoid, an alpha on the wrong side and others.",
    )
    command.add_argument("loss", metavar="MODULE:FUNCTION", help="a function of logits and targets, or a class of such")
    command.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of the function or class (JSON); can be repeated",
    )
    command.add_argument(
        "--labels", type=int, default=4, metavar="N", help="number of labels to call it with (default: 4)"
    )
    command.set_defaults(function=_identify)


def _identify(args: argparse.Namespace) -> None:
    module_name, colon, name = args.loss.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"{args.loss!r} is not MODULE:FUNCTION; write for example my_losses:focal_loss")
    params = parse_pairs(args.param)
    sys.path.insert(0, "")  # the current folder, also where the command is not started with -m
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise MissingFileError(
            f"there is no module {error.name}; run the command in the folder that holds it, or install it"
        ) from None
    function = getattr(module, name, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if callable(value) and value.__module__ == module_name]
        raise unknown_name(f"function of {module_name}:", name, own)
    from afl_helpers.losses import identify_loss

    if isinstance(function, type):
        function = function(**params)
    elif params:
        function = functools.partial(function, **params)
    print(identify_loss(function, args.labels))
