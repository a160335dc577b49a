"""``predict``: predict the labels of new texts."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from afl_helpers.advice import DEFAULT_RULE
from afl_helpers.commands.options import (
    Commands,
    add_table_options,
    check_corpus_name,
    check_no_folder,
    check_not_read,
    column_name,
    load_tuning,
)
from afl_helpers.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    from afl_helpers.data.texts import Texts
    from afl_helpers.training.predictor import LabelPredictor, OwnThresholds

#: Texts that are scored at once: enough for batches of similar length, few enough for a progress bar that moves.
CHUNK = 512
#: Ending of the output -> its format.
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "plain"}


def add_predict(commands: Commands) -> None:
    """Add the command ``predict``."""
    command = commands.add_parser(
        "predict",
        help="predict the labels of new texts",
        description="Predict the labels of texts: one row of output per text, in the same order, also for blank texts.",
    )
    command.add_argument("model", type=Path, help="folder that train --save wrote")
    command.add_argument(
        "inputs",
        nargs="*",
        metavar="FILE | TEXT",
        help="a table (.csv, .tsv, .jsonl, .json, .parquet), a .txt file with one text per line, or the texts themselves; "
        "if omitted, read one text per line from standard input",
    )
    add_decision(command)
    command.add_argument("--scores", action="store_true", help="also write the score of each label")
    command.add_argument("--output", type=Path, metavar="FILE", help="write to this file (.csv or .jsonl)")
    command.add_argument(
        "--format",
        choices=("plain", "csv", "jsonl"),
        help="default: what the name of the output says; else plain, or csv where a table is read and the output is no "
        "terminal",
    )
    add_table_options(
        command,
        "how tables are read: --text, --ids, --delimiter and --encoding the input (--encoding also standard input), all of them "
        "the table of --tune",
    )
    command.set_defaults(function=_predict)


def add_decision(command: argparse.ArgumentParser) -> None:
    """Add the options that say when a label is predicted."""
    # No default here, so that --top-k can tell whether a rule was asked for.
    command.add_argument("--rule", metavar="NAME", help=f"threshold rule (default: {DEFAULT_RULE})")
    command.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="[LABEL=]NUMBER",
        help="threshold for all labels, or for one label (the others keep the threshold of the rule); can be repeated",
    )
    command.add_argument("--top-k", type=int, metavar="N", help="predict the N most probable labels of each text")
    command.add_argument(
        "--tune",
        metavar="FILE",
        help="labelled table, read with the options for tables; set the thresholds of all rules anew on its documents",
    )


def load_model(args: argparse.Namespace) -> tuple["LabelPredictor", str, "OwnThresholds | None"]:
    """Return the model, the rule and the thresholds that the options name, the quickest check first."""
    if not args.model.is_dir():
        raise MissingFileError(f"there is no folder {args.model}; pass a folder that train --save wrote")
    thresholds: OwnThresholds | None = parse_thresholds(args.threshold)
    if args.top_k is not None:
        if args.threshold or args.rule:
            raise UsageError("--top-k goes with neither --threshold nor --rule; pass one of them")
        if args.top_k < 1:
            raise UsageError(f"--top-k is {args.top_k}; pass at least 1")
    if args.tune:
        check_corpus_name(args.tune)
    from afl_helpers.evaluation import TopK
    from afl_helpers.training import load_predictor

    if args.top_k is not None:
        thresholds = TopK(args.top_k)
    predictor = load_predictor(args.model)
    if args.tune:
        import warnings

        from afl_helpers.data import CorpusWarning
        from afl_helpers.training.report import align_labels

        corpus = load_tuning(args)
        print(f"thresholds set anew on {corpus.describe()}", file=sys.stderr)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CorpusWarning)  # said below
            predictor = predictor.retune(corpus)
        for note in align_labels(corpus, predictor.label_names).notes():
            print(note, file=sys.stderr)
    rule = args.rule or DEFAULT_RULE
    predictor.choose_thresholds(rule, thresholds)  # a misspelt rule or label is an error before texts are read
    return predictor, rule, thresholds


def _predict(args: argparse.Namespace) -> None:
    table = _input_table(args)
    if args.output:
        _check_output(args, table)
    predictor, rule, thresholds = load_model(args)
    texts = _texts(args, table)
    if texts.note:
        print(texts.note, file=sys.stderr)
    form = args.format or (FORMATS[args.output.suffix.lower()] if args.output else None)
    if form is None:
        form = "csv" if table and not sys.stdout.isatty() else "plain"
    from afl_helpers.commands.predictions import Writer
    from afl_helpers.progress import progress_bar

    chosen = predictor.choose_thresholds(rule, thresholds)
    apart = args.output is not None or not sys.stdout.isatty()  # a bar would run into rows that are shown
    with (
        _output(args.output, form) as file,
        progress_bar(total=len(texts.texts), desc="predict", unit="text", show=apart) as bar,
    ):
        writer = Writer(file, form, predictor.label_names, with_ids=table is not None, with_scores=args.scores)
        for start in range(0, len(texts.texts), CHUNK):
            part = slice(start, start + CHUNK)
            scores = predictor.predict_scores(texts.texts[part])
            writer.write(texts.ids[part], texts.texts[part], predictor.labels_at(scores, chosen), scores)
            bar.update(len(scores))
    if texts.n_blank:
        rows = "1 text is" if texts.n_blank == 1 else f"{texts.n_blank:,} texts are"
        print(f"{rows} blank; what is predicted for them says nothing", file=sys.stderr)
    if texts.n_repeated_ids:
        rows = "1 row has" if texts.n_repeated_ids == 1 else f"{texts.n_repeated_ids:,} rows have"
        print(f"{rows} an id that an earlier row has; all rows are kept, in their order", file=sys.stderr)
    if args.output:
        print(f"{len(texts.texts):,} texts labelled in {args.output}", file=sys.stderr)


def _input_table(args: argparse.Namespace) -> Path | None:
    """Return the file to read, or None for texts of the command line or of standard input."""
    from afl_helpers.data.texts import names_table

    if args.inputs == ["-"]:
        args.inputs = []
    tables = [given for given in args.inputs if given and names_table(given)]  # "" is a blank text, not the folder here
    if tables and len(args.inputs) > 1:
        raise UsageError(f"{tables[0]} is a table; pass one table at a time, and no texts beside it")
    if tables:
        return Path(tables[0]).expanduser()
    if not args.tune and any(given is not None for given in (args.text, args.ids, args.delimiter)):
        raise UsageError("--text, --ids and --delimiter go with one table; pass its file")
    return None


def _texts(args: argparse.Namespace, table: Path | None) -> "Texts":
    from afl_helpers.data.texts import Texts, is_header, lines_of, read_texts

    if table is not None:
        columns = {"text": column_name(args.text), "ids": column_name(args.ids)}
        return read_texts(table, **columns, delimiter=args.delimiter, encoding=args.encoding)
    if args.inputs:
        # Arguments that the system could not decode hold half characters.
        texts = [text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in args.inputs]
        return Texts([str(number) for number in range(1, len(texts) + 1)], [" ".join(text.split()) for text in texts])
    if sys.stdin.isatty():
        print("type one text per line; end with Ctrl-D (Windows: Ctrl-Z, Enter)", file=sys.stderr)
    lines = lines_of(sys.stdin.buffer.read(), "standard input", args.encoding)
    if lines.texts and is_header(lines.texts[0]):
        raise UsageError(
            f"the first line of standard input, {lines.texts[0][:40]!r}, looks like the header of a table; pass the table's file"
        )
    return lines


def _check_output(args: argparse.Namespace, table: Path | None) -> None:
    path: Path = args.output
    check_no_folder(path, "labels.csv")
    if args.format is None and path.suffix.lower() not in FORMATS:
        raise UsageError(f"cannot write {path}; name a file that ends in {', '.join(FORMATS)}, or pass --format")
    check_not_read(path, args, table)
    if not args.inputs and path.is_file() and _is_standard_input(path):
        raise UsageError(f"{path} is read from standard input; name another file for the output")


def _is_standard_input(path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))
    except (OSError, ValueError):  # a stand-in without a file
        return False


@contextmanager
def _output(path: Path | None, form: str) -> Iterator[TextIO]:
    if path is None:
        if form != "plain" and hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8")  # files are UTF-8, also through a redirect
        yield sys.stdout
        return
    from afl_helpers.files import replacing

    with replacing(path, alternative="name another file with --output") as part:
        with open(part, "w", encoding="utf-8", newline="") as file:
            yield file


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
