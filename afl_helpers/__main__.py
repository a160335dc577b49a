"""The command line: ``python -m afl_helpers --help``."""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from afl_helpers import __version__
from afl_helpers.commands.claims import add_claims
from afl_helpers.commands.data import add_data
from afl_helpers.commands.doctor import add_doctor
from afl_helpers.commands.evaluate import add_evaluate
from afl_helpers.commands.explain import add_explain
from afl_helpers.commands.identify import add_identify
from afl_helpers.commands.predict import add_predict
from afl_helpers.commands.statcheck import add_statcheck
from afl_helpers.commands.studies import add_compare, add_rescore, add_study
from afl_helpers.commands.train import add_train
from afl_helpers.errors import UserError
from afl_helpers.files import not_written


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m afl_helpers", description="AFL-BERT, reproduced: data, training, studies and claims."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_data = (add_data, add_doctor)
    of_models = (add_train, add_evaluate, add_predict, add_explain)
    of_studies = (add_study, add_compare, add_rescore)
    for add in (*of_data, *of_models, *of_studies, add_identify, add_claims, add_statcheck):
        add(commands)
    for command in commands.choices.values():
        command.set_defaults(error=command.error)  # so that an unknown option shows the usage of its command
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or file that cannot hold a character, such as a smiley, gets its code.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    if rest and args.command == "predict" and not any(part.startswith("-") for part in rest):
        args.inputs += rest  # texts may also follow the options
    elif rest:
        args.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        with contextlib.redirect_stdout(sys.stdout and _Output(sys.stdout)):
            args.function(args)
            print(end="", flush=True)
    except BrokenPipeError:  # the reader of a pipe, such as head, has closed it
        _discard(sys.stdout)
    except UserError as error:
        print(f"error: {error.command_line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped; {_how_to_resume(args)}", file=sys.stderr)
        return 130
    return 0


class _Output:
    """Standard output, of which an error, such as a full disk, is a sentence for users."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._named():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._named():
            self._stream.flush()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            _discard(self._stream)
            raise not_written(Path("standard output"), error) from error


def _discard(stream: TextIO) -> None:
    """Send what is still to be written nowhere, so that the end of the program does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _how_to_resume(args: argparse.Namespace) -> str:
    if args.command == "train" and args.checkpoints:
        return f"the same command resumes from the last epoch in {args.checkpoints}"
    if args.command == "train" and args.method != "fine_tune":
        return "nothing was kept but embeddings; the same command starts over"
    if args.command == "train":
        return "nothing was kept; with --checkpoints FOLDER, the same command would resume from its last epoch"
    return "the same command resumes the study" if args.command == "study" else "the same command starts over"


if __name__ == "__main__":
    sys.exit(main())
