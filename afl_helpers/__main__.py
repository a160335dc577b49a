"""The command line: ``python -m afl_helpers --help``.

Each command imports what it needs when it runs, light modules first: torch and transformers take seconds to import, and
neither the help nor an error about a misspelt name should wait for them.

This module exceeds 300 lines because each command's options and its function are kept together.
"""

import argparse
import functools
import importlib
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afl_helpers import __version__
from afl_helpers.errors import MissingFileError, UsageError, UserError, unknown_name

if TYPE_CHECKING:
    from afl_helpers.data import Corpus
    from afl_helpers.data.reading import OnError


def _parse_pairs(pairs: list[str]) -> dict[str, Any]:
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


def _check_corpus_name(name: str) -> None:
    """Raise the error about a corpus that does not exist, before anything slow happens."""
    from afl_helpers.data import CORPORA, load_corpus

    if name not in CORPORA and not Path(name).expanduser().exists():
        load_corpus(name)


def _load(args: argparse.Namespace) -> "Corpus":
    """Load the corpus that the arguments name, and print what was read, joined and left out."""
    import warnings

    from afl_helpers.data import CorpusWarning, load_corpus
    from afl_helpers.data.own_files import TableOptions, read_corpus

    on_error: OnError = "skip" if args.skip_malformed else "raise"
    options: dict[str, Any] = {
        name: getattr(args, name) for name in ("separator", "delimiter", "encoding", "label_names")
    }
    # A number names a column of a file without a header.
    options["text"] = int(args.text) if args.text and args.text.isdigit() else args.text
    columns = [int(name) if name.isdigit() else name for name in args.labels or ()]
    options["labels"] = columns[0] if len(columns) == 1 else columns or None
    options |= {"unlabelled": args.unlabelled, "on_error": on_error}
    parts = {name: getattr(args, name) for name in ("validation", "test") if getattr(args, name)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorpusWarning)  # the notes, which are printed, hold the same sentences
        if parts or args.split_column:
            source = {"train": args.corpus, **parts} if parts else args.corpus
            corpus = read_corpus(TableOptions(**options, split_column=args.split_column), source)
        else:
            corpus = load_corpus(args.corpus, **options)
    print(corpus.describe())
    return corpus


def _data(args: argparse.Namespace) -> None:
    corpus = _load(args)
    counts = corpus.label_counts
    print(f"source: {corpus.source}\nfingerprint: {corpus.fingerprint}")
    for name, count in corpus.report.items():
        print(f"  {name}: {count:,}")
    print("labels:", ", ".join(f"{name} {count:,}" for name, count in zip(corpus.label_names[: args.top], counts)))


def _train(args: argparse.Namespace) -> None:
    # Everything that the user may have misspelt is checked before the corpus is loaded, the quickest check first.
    _check_corpus_name(args.corpus)
    values, loss_params = _parse_pairs(args.config), _parse_pairs(args.loss_param)
    from afl_helpers.training import ProbeConfig, TrainingConfig

    known_fields = ProbeConfig if args.probe else TrainingConfig
    known_fields.from_dict(values)
    from afl_helpers.losses import check_loss

    check_loss(args.loss, loss_params)
    from afl_helpers.chapters.profiles import PROFILES
    from afl_helpers.training import check_save_folder, fine_tune, probe

    if args.save:
        check_save_folder(args.save)  # before hours of training, not after
    whole = _load(args)
    corpus = whole.select_labels(min_count=args.min_count)
    dropped = [name for name in whole.label_names if name not in set(corpus.label_names)]
    if dropped:
        more = f" and {len(dropped) - 5} more" if len(dropped) > 5 else ""
        print(
            f"{len(dropped)} of {whole.n_labels} labels are left out because they have fewer than {args.min_count} "
            f"documents (--min-count): {', '.join(dropped[:5])}{more}"
        )
    for note in corpus.notes[len(whole.notes) :]:
        print(note)
    splits, how = _splits(corpus)
    print(f"splits: {how}")
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in zip(("train", "validation", "test"), splits))
    print(f"{corpus.n_labels} labels; documents: {sizes}")
    options: dict[str, Any] = {"loss": args.loss, "seed": args.seed, "loss_params": loss_params}
    if args.probe:
        run = probe(*splits, config=ProbeConfig.from_dict(values), **options)
    else:
        config = TrainingConfig.from_dict(PROFILES[args.profile].config.to_dict() | values)
        run = fine_tune(*splits, config=config, checkpoint_dir=args.checkpoints, **options)
    for rule, metrics in run.metrics["test"].items():
        print(f"{rule:20} micro F1 {metrics['f1_micro']:.4f}   macro F1 {metrics['f1_macro']:.4f}")
    if args.save:
        print(f"saved to {run.save(args.save)}")


def _identify(args: argparse.Namespace) -> None:
    module_name, colon, name = args.loss.partition(":")
    if not (module_name and colon and name):
        raise UsageError(f"{args.loss!r} is not MODULE:FUNCTION; write for example my_losses:focal_loss")
    params = _parse_pairs(args.param)
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


def _splits(corpus: "Corpus") -> tuple[tuple["Corpus", "Corpus", "Corpus"], str]:
    """Return the given splits of a corpus, or splits of our own, and a sentence on where they come from."""
    if corpus.subset is None:
        return corpus.split(0.8, 0.1, 0.1, seed=0), "80, 10 and 10 % of the documents, stratified by label"
    n_train, n_validation, n_test = (corpus.subset.count(name) for name in ("train", "validation", "test"))
    if not (n_train and n_test):
        lacking = "test" if n_train else "train"
        raise UsageError(f"the given splits of {corpus.name!r} have no {lacking} documents; give all splits, or none")
    if n_validation:
        return corpus.official_split(), "as given"
    # As many as in the studies, where the corpus is large enough.
    size = min(1000, max(1, n_train // 5))
    return corpus.official_split(size), f"train and test as given; {size:,} training documents for validation"


def _predict(args: argparse.Namespace) -> None:
    if not args.model.is_dir():
        raise MissingFileError(f"there is no folder {args.model}; pass a folder that train --save wrote")
    thresholds = _parse_thresholds(args.threshold)
    from afl_helpers.training import load_predictor

    texts = args.text or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    predicted = load_predictor(args.model).predict(texts, args.rule, thresholds)
    for text, labels in zip(texts, predicted):
        print(f"{'; '.join(labels) or '(none)'}\t{text}")


def _parse_thresholds(parts: list[str]) -> float | dict[str, float] | None:
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


def _study(args: argparse.Namespace) -> None:
    from afl_helpers.results import read_all_studies, read_result
    from afl_helpers.studies import (
        calibrate,
        describe_seconds,
        device_at_hand,
        estimate_seconds,
        load_study,
        run_study,
    )
    from afl_helpers.training.distributed import is_main

    if args.checksums:
        return _checksums(args.results, args.name)
    if args.name is None:
        studies = sorted(args.results.glob("*/study.yaml"))
        if not studies:
            raise MissingFileError(
                f"there is no study in {args.results.absolute()}; name the folder of studies with --results"
            )
        for path in studies:
            study = load_study(path.parent.name, args.results)
            print(f"{study.name}: {_count(study.runs(), study.missing())}\n    {study.question}")
        return
    if args.repeat:
        return _repeat(args.results / args.name / "runs" / f"{args.repeat}.json")
    study = load_study(args.name, args.results)
    if args.calibrate is not None:
        print(calibrate(study, args.corpus, args.calibrate).describe())
        return
    missing = study.to_do(args.corpus)
    if not is_main():  # one of several processes that train together prints
        for _ in run_study(study, args.corpus, jobs=args.jobs):
            pass
        return
    print(f"{study.name}: {_count(study.runs(), missing)}")
    results = read_all_studies(args.results, pilots=True) if missing else []
    if missing:
        seconds, unknown = estimate_seconds(study, missing, results)
        device = "a CPU" if device_at_hand() == "CPU" else device_at_hand()
        if unknown < len(missing):
            print(f"estimated time on {device} if they run one after the other: {describe_seconds(seconds)}")
        if unknown:
            print(f"no estimate for {unknown} of them, because no similar run has been recorded on {device}")
            if any(study.method_of(run.setting) == "fine_tune" for run in missing):
                print(f"to measure it here in two minutes: python -m afl_helpers study {study.name} --calibrate")
    if args.dry_run:
        for run in missing:
            print(f"  {run.name}")
        return
    paths: Iterable[Path]
    if args.ray is not None:
        from afl_helpers.studies.cluster import run_study_on_ray

        paths = run_study_on_ray(study, args.corpus, args.ray or None)
    else:
        paths = run_study(study, args.corpus, jobs=args.jobs)
    for path in paths:
        results.append(read_result(path))
        left = study.to_do(args.corpus)
        seconds, unknown = estimate_seconds(study, left, results)
        time = f", {describe_seconds(seconds)}" if unknown < len(left) else ""
        done = len(study.pilots()) + len(study.runs()) - len(left) if args.corpus is None else len(missing) - len(left)
        print(f"{path}\n  {done} runs done, {len(left)} left{time}", flush=True)
    left = study.to_do(args.corpus)
    if left:
        print(f"{len(left)} runs are in progress in another process")


def _count(runs: Sequence[Any], missing: Sequence[Any]) -> str:
    pilots = sum(run.is_pilot for run in missing)
    more = f", and {pilots} pilot runs" if pilots else ""
    return f"{len(runs)} runs, {len(missing) - pilots} missing{more}"


def _checksums(results: Path, name: str | None) -> None:
    from afl_helpers.results import write_checksums
    from afl_helpers.studies import load_study

    names = [path.parent.name for path in sorted(results.glob("*/study.yaml"))] if name is None else [name]
    for study in names:
        print(write_checksums(load_study(study, results).folder))


def _repeat(path: Path) -> None:
    """Repeat a recorded run, keep its scores, and print how far the two results are apart."""
    from afl_helpers.results import read_result
    from afl_helpers.studies import difference, repeat
    from afl_helpers.studies.scores import scores_path

    recorded = read_result(path)
    found = difference(recorded, repeat(recorded, scores_path(path)))
    environment = "the same processor and versions" if found.same_environment else "another processor or versions"
    print(f"{path.stem}, repeated with {environment}")
    print(f"largest difference of a metric: {found.metric:.2g}")
    print(f"counts of decisions that differ: {found.n_decisions}, over {recorded.data.sizes['test']:,} test documents")
    print(f"scores: {scores_path(path)}")


def _rescore(args: argparse.Namespace) -> None:
    from afl_helpers.studies import load_study, missing_scores, rescore
    from afl_helpers.studies.scores import command_for

    study = load_study(args.name, args.results)
    names = ("f1_micro", "f1_macro", "f1_macro_head", "f1_macro_medium", "f1_macro_tail")
    print(f"{'test metrics under ' + args.rule:50}" + "".join(f"{name.removeprefix('f1_'):>14}" for name in names))
    for result in rescore(study, args.rule):
        print(f"{result.run:50}" + "".join(f"{result.metric(name, args.rule):14.4f}" for name in names))
    missing = missing_scores(study)
    if missing:
        print(f"{len(missing)} finished runs have no scores here; these commands make them again:")
    for path in missing:
        print(f"  {command_for(path)}")


def _compare(args: argparse.Namespace) -> None:
    from afl_helpers.results import deciding_interval
    from afl_helpers.studies import compare_study, describe_progress, load_study

    study = load_study(args.name, args.results)
    progress = describe_progress(study)
    if study.primary and progress:
        print(f"{study.name}: {progress}")
        return
    table = compare_study(study)
    for row in table.to_dict("records"):
        low, high, p_value = deciding_interval(row)
        outcome, plain = row["outcome"], row["outcome_plain"]
        print(
            f"{row['corpus']}, {row['endpoint']}: {row['setting']} minus {row['rival']} "
            f"{row['estimate']:+.4f} [{low:+.4f}, {high:+.4f}], p {p_value:.3g}, {row['n_blocks']} {row['unit']}s, "
            f"{row['decided_by']}: {outcome}{'' if plain == outcome else f' (by the paired t: {plain})'}"
        )
    first = table.iloc[0]
    print(
        f"Intervals: 95 % each. p: Holm within {first['family']!r}, {first['family_size']} rows. "
        f"Margin: {first['margin']:g}."
    )


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
            print(f"{sentence}; it counts when it is complete.")
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
        print(f"\n{sentence}; it counts when it is complete.")


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


def _add_reading(command: argparse.ArgumentParser) -> None:
    """Add the corpus and the options for tables of one's own."""
    command.add_argument("corpus", nargs="?", default="toy", help="name, table, folder or archive (default: toy)")
    table = command.add_argument_group("a table of your own (.csv, .tsv, .jsonl, .json, each also .gz; .parquet)")
    table.add_argument("--text", metavar="COLUMN", help="column of the texts (a number from 0 without a header)")
    table.add_argument(
        "--labels",
        action="append",
        metavar="COLUMN",
        help="column of the labels; repeated: one column of 0 and 1 per label",
    )
    table.add_argument("--separator", metavar="TEXT", help="what separates the labels in a cell (default: |)")
    table.add_argument("--delimiter", metavar="CHARACTER", help="what separates the columns (default: guessed)")
    table.add_argument("--encoding", metavar="NAME", help="encoding of the file (default: utf-8)")
    table.add_argument("--label-names", metavar="FILE", help="file with the label names in order, one per line")
    table.add_argument("--unlabelled", choices=("keep", "drop"), help="keep or drop documents without a label")
    table.add_argument("--split-column", metavar="COLUMN", help="column that says train, validation or test")
    table.add_argument("--validation", metavar="FILE", help="table with the validation documents")
    table.add_argument("--test", metavar="FILE", help="table with the test documents")
    table.add_argument("--skip-malformed", action="store_true", help="skip malformed lines and count them")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m afl_helpers", description="AFL-BERT, reproduced: data, training, studies and claims."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    data = commands.add_parser("data", help="load a corpus, verify it and describe it")
    _add_reading(data)
    data.add_argument("--top", type=int, default=20, metavar="N", help="show the first N labels (default: 20)")
    data.set_defaults(function=_data)

    train = commands.add_parser("train", help="train on a corpus with one loss")
    _add_reading(train)
    train.add_argument("--loss", default="afl", metavar="NAME", help="name of the loss (default: afl)")
    train.add_argument(
        "--loss-param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter of the loss; can be repeated",
    )
    train.add_argument(
        "--profile", choices=("quick", "full"), default="quick", help="start from this profile's configuration"
    )
    train.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a field of the configuration; can be repeated",
    )
    train.add_argument("--probe", action="store_true", help="train only a head on the frozen encoder")
    train.add_argument(
        "--min-count",
        type=int,
        default=10,
        metavar="N",
        help="keep only labels with at least N documents (default: 10)",
    )
    train.add_argument("--seed", type=int, default=0, help="seed of initial weights and document order (default: 0)")
    train.add_argument(
        "--checkpoints",
        type=Path,
        metavar="FOLDER",
        help="keep checkpoints in this folder, and resume a stopped run from them",
    )
    train.add_argument("--save", type=Path, metavar="FOLDER", help="save the trained model in this folder")
    train.set_defaults(function=_train)

    predict = commands.add_parser("predict", help="predict the labels of new texts")
    predict.add_argument("model", type=Path, help="folder that train --save wrote")
    predict.add_argument(
        "text", nargs="*", help="texts to label; if omitted, read one text per line from standard input"
    )
    predict.add_argument("--rule", default="tuned_common", help="threshold rule (default: tuned_common)")
    predict.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="[LABEL=]NUMBER",
        help="threshold for all labels, or for one label (the others keep the threshold of the rule); can be repeated",
    )
    predict.set_defaults(function=_predict)

    study = commands.add_parser("study", help="run the missing runs of a study, or list the studies")
    study.add_argument(
        "name",
        nargs="?",
        help="name of the study (a folder with a study.yaml under --results); if omitted, list all studies",
    )
    study.add_argument("--results", type=Path, default=Path("results"), help="folder of the studies (default: results)")
    study.add_argument("--corpus", action="append", help="run only this corpus; can be repeated")
    study.add_argument("--jobs", type=int, default=1, metavar="N", help="use N processes in parallel (default: 1)")
    study.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="use a Ray cluster; without an address, start one on this machine",
    )
    study.add_argument("--repeat", metavar="RUN", help="repeat a recorded run, keep its scores and compare the results")
    study.add_argument("--dry-run", action="store_true", help="list the missing runs and estimate their time")
    study.add_argument(
        "--calibrate",
        nargs="?",
        type=float,
        const=120.0,
        metavar="SECONDS",
        help="measure a few training steps of each setting on this device, and print how long the study takes "
        "(default: 120 seconds)",
    )
    study.add_argument(
        "--checksums",
        action="store_true",
        help="rewrite the study's checksums after a deliberate change",
    )
    study.set_defaults(function=_study)

    compare = commands.add_parser(
        "compare",
        help="answer a study's primary question, once all of its runs are there",
        description="Print the comparisons that a study declares as its primary question: one line per corpus, endpoint "
        "and rival, with the mean difference, its 95 %% interval, the p value (Holm) and the outcome in words. For a study "
        "that lacks runs, print only how many there are.",
    )
    compare.add_argument("name", metavar="STUDY", help="folder with a study.yaml")
    compare.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the studies (default: results)"
    )
    compare.set_defaults(function=_compare)

    rescore = commands.add_parser("rescore", help="judge a threshold rule on the kept scores of a study's runs")
    rescore.add_argument("name", help="folder with a study.yaml")
    rescore.add_argument("--rule", required=True, help="name of the threshold rule")
    rescore.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the studies (default: results)"
    )
    rescore.set_defaults(function=_rescore)

    identify = commands.add_parser(
        "identify",
        help="say which loss a function of yours computes, and what is wrong with it",
        description="Call a loss on small batches and print which known loss it is, with its parameters and its reduction, "
        "and the faults found: caps, NaN, a softmax or a second sigmoid, an alpha on the wrong side and others.",
    )
    identify.add_argument(
        "loss", metavar="MODULE:FUNCTION", help="a function of logits and targets, or a class of such"
    )
    identify.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of the function or class (JSON); can be repeated",
    )
    identify.add_argument(
        "--labels", type=int, default=4, metavar="N", help="number of labels to call it with (default: 4)"
    )
    identify.set_defaults(function=_identify)

    claims = commands.add_parser("claims", help="list the paper's claims, each with its verdict")
    claims.add_argument(
        "--results", type=Path, metavar="FOLDER", help="folder of the studies (default: the nearest results folder)"
    )
    claims.add_argument("--details", metavar="CLAIM", help="the evidence on one claim, such as C7")
    claims.set_defaults(function=_claims)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    if rest and args.command == "predict" and not any(part.startswith("-") for part in rest):
        args.text += rest  # texts may also follow the options
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        args.function(args)
    except BrokenPipeError:  # the reader of a pipe, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        print(f"error: {error.command_line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped; {_how_to_resume(args)}", file=sys.stderr)
        return 130
    return 0


def _how_to_resume(args: argparse.Namespace) -> str:
    if args.command == "train" and args.checkpoints:
        return f"the same command resumes from the last epoch in {args.checkpoints}"
    if args.command == "train":
        return "nothing was kept; with --checkpoints FOLDER, the same command would resume from its last epoch"
    return "the same command resumes the study" if args.command == "study" else "the same command starts over"


if __name__ == "__main__":
    sys.exit(main())
