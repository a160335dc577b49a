"""Options that several commands share."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from afl_helpers.errors import UsageError

if TYPE_CHECKING:
    from afl_helpers.data import Corpus
    from afl_helpers.data.reading import OnError

#: What ``ArgumentParser.add_subparsers`` returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parse_pairs(pairs: list[str]) -> dict[str, Any]:
    """Return NAME=VALUE pairs as a dict. A value is JSON if it parses as JSON, else a string."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair!r} is not NAME=VALUE; write for example learning_rate=3e-5")
        try:
            values[name] = json.loads(value)
        except json.JSONDecodeError:
            values[name] = value
    return values


def check_corpus_name(name: str) -> None:
    """Raise the error about a corpus that does not exist, before anything slow happens."""
    from afl_helpers.data import CORPORA, load_corpus

    if name not in CORPORA and not Path(name).expanduser().exists():
        load_corpus(name)


def load(args: argparse.Namespace) -> "Corpus":
    """Load the corpus that the arguments name, and print what was read, joined and left out."""
    corpus = read(args)
    print(corpus.describe())
    return corpus


def read(args: argparse.Namespace) -> "Corpus":
    """Load the corpus that the arguments name."""
    import warnings

    from afl_helpers.data import CorpusWarning, load_corpus
    from afl_helpers.data.own_files import TableOptions, read_corpus

    options, source = reading_options(args), table_source(args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorpusWarning)  # the notes, which are printed, hold the same sentences
        if isinstance(source, dict) or args.split_column:
            return read_corpus(TableOptions(**options, split_column=args.split_column), source)
        return load_corpus(args.corpus, **options)


def table_source(args: argparse.Namespace) -> str | dict[str, str]:
    """Return the corpus, or the tables by split if several are given."""
    parts = {name: getattr(args, name) for name in ("validation", "test") if getattr(args, name)}
    return {"train": args.corpus, **parts} if parts else args.corpus


def load_tuning(args: argparse.Namespace) -> "Corpus":
    """Load the labelled documents of ``--tune``, read as the options for tables say."""
    import warnings

    from afl_helpers.data import CORPORA, CorpusWarning, load_corpus

    options = {} if args.tune in CORPORA else reading_options(args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorpusWarning)  # the notes, which are printed, hold the same sentences
        return load_corpus(args.tune, **options)


def reading_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `load_corpus` that the arguments give, without the column of the splits."""
    on_error: OnError = "skip" if args.skip_malformed else "raise"
    options: dict[str, Any] = {
        name: getattr(args, name) for name in ("separator", "delimiter", "encoding", "label_names")
    }
    options["text"] = column_name(args.text)
    options["ids"] = column_name(args.ids)
    columns = [column_name(name) for name in args.labels or ()]
    options["labels"] = columns[0] if len(columns) == 1 else columns or None
    return options | {"unlabelled": args.unlabelled, "on_error": on_error}


def check_no_folder(output: Path, example: str) -> None:
    """Raise the error about an output that is a folder; the example names a file in it."""
    if output.is_dir():
        raise UsageError(f"{output} is a folder; name a file such as {output / example}")


def check_not_read(output: Path, args: argparse.Namespace, table: Path | None = None) -> None:
    """Raise the error about an output that would replace a file that the command reads, or a folder that holds one.

    Args:
        output: the file or the folder that is written.
        args: the arguments, of which those that name files to read are checked.
        table: the table that is read, where it is no argument of its own.
    """
    read = {name: getattr(args, name, None) for name in ("tune", "validation", "test", "label_names")}
    for option, name in {"": table or getattr(args, "corpus", None), **read}.items():
        path = Path(name).expanduser() if name else None
        if path is None or not path.is_file() or not output.exists():
            continue
        what = f"the file of --{option.replace('_', '-')}" if option else "the table"
        if output.samefile(path):
            raise UsageError(f"{output} is {what} that is read; name another file for the output")
        if output.resolve() in path.resolve().parents:
            raise UsageError(f"{output} would be replaced, and holds {what} that is read; choose another folder")


def column_name(given: str | None) -> str | int | None:
    """Return a column as it was named: a number names a column of a file without a header."""
    return int(given) if given and given.isdigit() else given


def add_reading(command: argparse.ArgumentParser) -> None:
    """Add the corpus and the options for tables of one's own."""
    command.add_argument("corpus", nargs="?", default="toy", help="name, table, folder or archive (default: toy)")
    add_table_options(command, "a table of your own (.csv, .tsv, .jsonl, .json, each also .gz; .parquet)")
    splits = command.add_argument_group("given splits")
    splits.add_argument("--split-column", metavar="COLUMN", help="column that says train, validation or test")
    splits.add_argument("--validation", metavar="FILE", help="table with the validation documents")
    splits.add_argument("--test", metavar="FILE", help="table with the test documents")


def _sign(given: str) -> str:
    """Return what was given, with a tab or a line break for how Python writes it, since a shell passes on the letters."""
    return {r"\t": "\t", r"\n": "\n"}.get(given, given)


def add_table_options(command: argparse.ArgumentParser, title: str) -> None:
    """Add the options that say how to read a table, under a title."""
    table = command.add_argument_group(title)
    table.add_argument("--text", metavar="COLUMN", help="column of the texts (a number from 0 without a header)")
    table.add_argument(
        "--labels",
        action="append",
        metavar="COLUMN",
        help="column of the labels, or of 0 and 1 for one label; repeated: one column of 0 and 1 per label",
    )
    table.add_argument(
        "--ids",
        metavar="COLUMN",
        help="column of the document ids (default: the one called id, else rows are numbered)",
    )
    table.add_argument(
        "--separator",
        metavar="TEXT",
        type=_sign,
        help=r"what separates the labels in a cell, such as ';' or '\n' (default: |)",
    )
    table.add_argument(
        "--delimiter",
        metavar="CHARACTER",
        type=_sign,
        help=r"what separates the columns, such as '\t' (default: guessed)",
    )
    table.add_argument("--encoding", metavar="NAME", help="encoding of the file (default: utf-8)")
    table.add_argument("--label-names", metavar="FILE", help="file with the label names in order, one per line")
    table.add_argument("--unlabelled", choices=("keep", "drop"), help="keep or drop documents without a label")
    table.add_argument("--skip-malformed", action="store_true", help="skip malformed lines and count them")
