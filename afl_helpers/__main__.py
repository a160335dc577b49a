"""The command line: ``python -m afl_helpers --help``."""

import argparse
import json
import os
import sys
from pathlib import Path

from afl_helpers import __version__
from afl_helpers.errors import UserError


def _settings(pairs: list[str]) -> dict[str, object]:
    """NAME=VALUE pairs as a dict; values are JSON where they parse as such."""
    from afl_helpers.errors import UsageError

    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair!r} is not NAME=VALUE; write for example learning_rate=3e-5")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def _data(args: argparse.Namespace) -> None:
    from afl_helpers.data import load_corpus

    corpus = load_corpus(args.corpus, on_error="skip" if args.skip_malformed else "raise")
    counts = corpus.label_counts
    print(
        f"{corpus.name}: {len(corpus):,} documents, {corpus.n_labels} labels, {counts.sum() / len(corpus):.2f} a document"
    )
    print(f"source: {corpus.source}\nfingerprint: {corpus.fingerprint}")
    for name, count in corpus.report.items():
        print(f"  {name}: {count:,}")
    print("labels:", ", ".join(f"{name} {count:,}" for name, count in zip(corpus.label_names[: args.top], counts)))


def _train(args: argparse.Namespace) -> None:
    from afl_helpers.chapters.profiles import PROFILES
    from afl_helpers.data import load_corpus
    from afl_helpers.losses import check_loss
    from afl_helpers.training import check_save_folder, fine_tune, probe
    from afl_helpers.training.config import ProbeConfig

    if args.save:
        check_save_folder(args.save)  # before hours of training, not after
    config = ProbeConfig() if args.probe else PROFILES[args.settings].config
    config = type(config).from_dict(config.to_dict() | _settings(args.set))
    loss_params = _settings(args.param)
    check_loss(args.loss, loss_params)
    whole = load_corpus(args.corpus, on_error="skip" if args.skip_malformed else "raise")
    corpus = whole.select_labels(min_count=args.min_count)
    dropped = [name for name in whole.label_names if name not in set(corpus.label_names)]
    if dropped:
        more = f" and {len(dropped) - 5} more" if len(dropped) > 5 else ""
        print(
            f"{len(dropped)} of {whole.n_labels} labels are left out, of fewer than {args.min_count} documents each "
            f"(--min-count): {', '.join(dropped[:5])}{more}"
        )
    parts = corpus.split(0.8, 0.1, 0.1, seed=0)
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in zip(("train", "validation", "test"), parts))
    print(f"{corpus.n_labels} labels; documents: {sizes}")
    options = {} if args.probe else {"checkpoint_dir": args.checkpoints}
    run = (probe if args.probe else fine_tune)(
        *parts, loss=args.loss, config=config, seed=args.seed, loss_params=loss_params, **options
    )
    for rule, metrics in run.metrics["test"].items():
        print(f"{rule:20} micro F1 {metrics['f1_micro']:.4f}   macro F1 {metrics['f1_macro']:.4f}")
    if args.save:
        print(f"saved to {run.save(args.save)}")


def _predict(args: argparse.Namespace) -> None:
    from afl_helpers.training import load_predictor

    texts = args.text or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    for text, labels in zip(texts, load_predictor(args.model).predict(texts, args.rule)):
        print(f"{'; '.join(labels) or '(none)'}\t{text}")


def _study(args: argparse.Namespace) -> None:
    from afl_helpers.claims import all_results
    from afl_helpers.errors import MissingFileError
    from afl_helpers.studies import describe_seconds, estimate_seconds, load_study, run_study
    from afl_helpers.training.distributed import is_main

    if args.checksums:
        return _checksums(args.results, args.name)
    if args.name is None:
        paths = sorted(args.results.glob("*/study.yaml"))
        if not paths:
            raise MissingFileError(
                f"there is no study in {args.results.absolute()}; name the folder of studies with --results"
            )
        for path in paths:
            study = load_study(path.parent.name, args.results)
            print(f"{study.name}: {len(study.runs())} runs, {len(study.missing())} missing\n    {study.question}")
        return
    if args.repeat:
        return _repeat(args.results / args.name / "runs" / f"{args.repeat}.json")
    study = load_study(args.name, args.results)
    missing = study.missing(args.corpus)
    if not is_main():  # of several processes that train together, one talks
        for _ in run_study(study, args.corpus, jobs=args.jobs):
            pass
        return
    print(f"{study.name}: {len(study.runs())} runs, {len(missing)} missing")
    if missing:
        seconds, unknown = estimate_seconds(study, missing, all_results(args.results))
        if unknown < len(missing):
            print(f"one after the other {describe_seconds(seconds)}, by the runs on record")
        if unknown:
            print(f"no run on record tells how long {unknown} of them take")
    if args.dry_run:
        for run in missing:
            print(f"  {run.name}")
        return
    if args.ray is not None:
        from afl_helpers.studies.cluster import run_study_on_ray

        paths = run_study_on_ray(study, args.corpus, args.ray or None)
    else:
        paths = run_study(study, args.corpus, jobs=args.jobs)
    for path in paths:
        print(path, flush=True)
    left = study.missing(args.corpus)
    if left:
        print(f"{len(left)} runs are left to another process that is at them")


def _checksums(results: Path, name: str | None) -> None:
    from afl_helpers.results import write_checksums
    from afl_helpers.studies import load_study

    names = [path.parent.name for path in sorted(results.glob("*/study.yaml"))] if name is None else [name]
    for study in names:
        print(write_checksums(load_study(study, results).folder))


def _repeat(path: Path) -> None:
    from afl_helpers.results import read_result
    from afl_helpers.studies import difference, repeat

    recorded = read_result(path)
    found = difference(recorded, repeat(recorded))
    environment = "the same" if found["same_environment"] else "another"
    print(f"{path.stem}, done again with {environment} processor and versions")
    print(f"largest difference of a metric: {found['metric']:.2g}")
    print(f"documents with other labels: {found['n_documents']} of {recorded['data']['parts']['test']:,}")


def _claims(args: argparse.Namespace) -> None:
    import shutil
    import textwrap

    from afl_helpers.claims import CLAIMS, all_results, verdicts
    from afl_helpers.results import find_results

    indent = " " * 5
    # A name such as cmu-leads stays whole.
    wrapper = textwrap.TextWrapper(max(40, shutil.get_terminal_size().columns), break_on_hyphens=False)
    wrapper.subsequent_indent = indent
    results = all_results(find_results() if args.results is None else args.results)
    found = verdicts(results).set_index("id")
    for claim in CLAIMS:
        verdict, conditions, evidence = found.loc[claim.id]
        under = {"ours": " (under our conditions)", "the paper's": " (under the paper's)"}.get(conditions, "")
        print(wrapper.fill(f"{claim.id:4} {claim.claim}: {verdict}{under}"))
        for line in (f"the paper: {claim.figure} ({claim.source})", f"the rule: {claim.rule}", evidence):
            print(wrapper.fill(indent + line))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m afl_helpers", description="AFL-BERT, reproduced: data, training, studies and claims."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    data = commands.add_parser("data", help="load a corpus, verify it and show what it holds")
    data.add_argument("corpus", nargs="?", default="toy", help="a name, a folder, an archive, a .csv or .jsonl")
    data.add_argument("--top", type=int, default=20, help="show so many labels")
    data.add_argument("--skip-malformed", action="store_true", help="skip and count malformed lines")
    data.set_defaults(function=_data)

    train = commands.add_parser("train", help="train on a corpus with one loss")
    train.add_argument("corpus", nargs="?", default="toy", help="as in data")
    train.add_argument("--loss", default="afl", help="its name; afl without this option")
    train.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the loss")
    train.add_argument("--settings", choices=("quick", "full"), default="quick", help="of the quick or full profile")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of the configuration")
    train.add_argument("--probe", action="store_true", help="train a head on the frozen encoder instead")
    train.add_argument(
        "--min-count", type=int, default=10, help="keep labels of at least so many documents; 10 unless given"
    )
    train.add_argument("--skip-malformed", action="store_true", help="skip malformed lines")
    train.add_argument("--seed", type=int, default=0, help="of initialisation and order")
    train.add_argument("--checkpoints", type=Path, help="folder for checkpoints; a stopped run goes on from there")
    train.add_argument("--save", type=Path, help="folder for the model")
    train.set_defaults(function=_train)

    predict = commands.add_parser("predict", help="labels for new texts, one a line on standard input or as arguments")
    predict.add_argument("model", type=Path, help="a folder that train --save wrote")
    predict.add_argument("text", nargs="*", help="without it, standard input is read")
    predict.add_argument("--rule", default="tuned_common", help="threshold rule, as the model was saved with")
    predict.set_defaults(function=_predict)

    study = commands.add_parser("study", help="run what is missing of a study")
    study.add_argument("name", nargs="?", help="a folder of results/ with a study.yaml; without it they are listed")
    study.add_argument("--results", type=Path, default=Path("results"), help="folder of the studies")
    study.add_argument("--corpus", action="append", help="run only this corpus; may be given several times")
    study.add_argument("--jobs", type=int, default=1, metavar="N", help="so many processes side by side")
    study.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS", help="on a Ray cluster; without an address one starts here"
    )
    study.add_argument("--repeat", metavar="RUN", help="do a recorded run again from its file, and compare")
    study.add_argument("--dry-run", action="store_true", help="list the missing runs and say how long they should take")
    study.add_argument(
        "--checksums",
        action="store_true",
        help="list the study's files with their checksums anew, after a change meant",
    )
    study.set_defaults(function=_study)

    claims = commands.add_parser("claims", help="the paper's claims and what became of them")
    claims.add_argument(
        "--results", type=Path, metavar="FOLDER", help="of the studies; without it the nearest is taken"
    )
    claims.set_defaults(function=_claims)
    return parser


def main(argv: list[str] | None = None) -> int:
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    if rest and args.command == "predict" and not any(part.startswith("-") for part in rest):
        args.text += rest  # texts may stand behind the options, too
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        args.function(args)
    except BrokenPipeError:  # the reader of a pipe, such as head, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        print(f"error: {error.command_line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped; {_how_to_go_on(args)}", file=sys.stderr)
        return 130
    return 0


def _how_to_go_on(args: argparse.Namespace) -> str:
    if args.command == "train" and args.checkpoints:
        return f"the same command goes on from the last epoch in {args.checkpoints}"
    if args.command == "train":
        return "nothing was kept; with --checkpoints FOLDER the same command goes on from its last epoch"
    return "the same command goes on where it was" if args.command == "study" else "the same command starts over"


if __name__ == "__main__":
    sys.exit(main())
