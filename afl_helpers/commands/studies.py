"""``study``, ``compare`` and ``rescore``: run studies and read their results."""

import argparse
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from afl_helpers.commands.options import Commands
from afl_helpers.errors import MissingFileError, UsageError, check_choice

if TYPE_CHECKING:
    from afl_helpers.studies import PlannedRun, Study


def add_study(commands: Commands) -> None:
    """Add the command ``study``."""
    command = commands.add_parser("study", help="run the missing runs of a study, or list the studies")
    command.add_argument(
        "name",
        nargs="?",
        help="name of the study (a folder with a study.yaml under --results), or the path of its folder; if omitted, list "
        "all studies",
    )
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the studies (default: results)"
    )
    command.add_argument("--corpus", action="append", help="run only this corpus; can be repeated")
    command.add_argument("--setting", action="append", metavar="NAME", help="run only this setting; can be repeated")
    command.add_argument(
        "--seed",
        action="append",
        type=int,
        metavar="N",
        help="run only this seed, or this block in a study of blocks; can be repeated",
    )
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="use N processes in parallel (default: 1)")
    command.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="use a Ray cluster; without an address, start one on this machine",
    )
    command.add_argument(
        "--repeat", metavar="RUN", help="repeat a recorded run, keep its scores and compare the results"
    )
    command.add_argument("--dry-run", action="store_true", help="list the missing runs and estimate their time")
    command.add_argument(
        "--calibrate",
        nargs="?",
        type=float,
        const=120.0,
        metavar="SECONDS",
        help="measure a few training steps of each setting on this device, and print how long the study takes "
        "(default: 120 seconds)",
    )
    command.add_argument(
        "--checksums",
        action="store_true",
        help="rewrite the study's checksums after a deliberate change",
    )
    command.set_defaults(function=_study)


def _study(args: argparse.Namespace) -> None:
    from afl_helpers.results import read_all_studies, read_result
    from afl_helpers.studies import (
        calibrate,
        describe_progress,
        describe_seconds,
        device_at_hand,
        estimate_seconds,
        load_study,
        run_study,
    )
    from afl_helpers.training.distributed import is_main

    if args.jobs < 1:
        raise UsageError(f"--jobs is {args.jobs}; pass at least 1")
    _find_study(args)
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
            print(f"{study.name}: {_count(study, study.to_do())}\n    {study.question}")
        return
    if args.repeat:
        return _repeat(args.results / args.name / "runs" / f"{args.repeat}.json")
    study = load_study(args.name, args.results)
    if args.setting or args.seed:
        study = study.only(args.setting, args.seed)
    if args.calibrate is not None:
        print(calibrate(study, args.corpus, args.calibrate).describe())
        return
    missing = study.to_do(args.corpus)
    if not is_main():  # one of several processes that train together prints
        for _ in run_study(study, args.corpus, jobs=args.jobs):
            pass
        return
    print(f"{study.name}: {_count(study, missing)}{' of those selected' if study.selected else ''}")
    results = read_all_studies(args.results, pilots=True) if missing else []
    if missing:
        seconds, unknown = estimate_seconds(study, missing, results)
        device = "a CPU" if device_at_hand() == "CPU" else device_at_hand()
        if unknown < len(missing):
            print(f"estimated time on {device} if they run one after the other: {describe_seconds(seconds)}")
        if unknown:
            print(f"no estimate for {unknown} of them, because no similar run has been recorded on {device}")
            if any(study.method_of(run.setting) == "fine_tune" for run in missing):
                print(f"to measure it here in two minutes: {_command('study', args)} --calibrate")
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
        selected = args.corpus is not None or study.selected is not None
        # Those for tuning are counted apart, as at the start.
        n_pilots = sum(run.is_pilot for run in (missing if selected else study.pilots()))
        n_runs = sum(not run.is_pilot for run in missing) if selected else len(study.runs())
        left_pilots = sum(run.is_pilot for run in left)
        done = _kinds(n_runs - (len(left) - left_pilots), n_pilots - left_pilots)
        print(f"{path}\n  {done} done, {len(left)} left{time}", flush=True)
        reason = results[-1].time.reason
        if study.pilot is not None and results[-1].block == study.pilot and reason.startswith("tuned at an edge"):
            print(f"  {reason}; its runs will not count as converged: give `tune` other values", flush=True)
    left = study.to_do(args.corpus)
    if left:
        print(f"{len(left)} runs are in progress in another process")
    elif study.primary and not describe_progress(study):
        print(f"compare them: {_command('compare', args)}")


def _count(study: "Study", missing: "Sequence[PlannedRun]") -> str:
    return f"{_kinds(len(study.runs()), len(study.pilots()))}, {len(missing)} missing"


def _kinds(n_runs: int, n_pilots: int) -> str:
    return f"{n_runs} runs{f' and {n_pilots} for tuning' if n_pilots else ''}"


def _command(name: str, args: argparse.Namespace) -> str:
    """Return a command on the same study."""
    results = "" if args.results == Path("results") else f" --results {shlex.quote(str(args.results))}"
    return f"python -m afl_helpers {name} {shlex.quote(args.name)}{results}"


def _find_study(args: argparse.Namespace) -> None:
    """Take the path of a study's folder apart into the folder of the studies and the name of the study."""
    if args.name is None:
        return
    inside, given = args.results / args.name, Path(args.name).expanduser()
    is_path = len(given.parts) > 1 and given.parent.is_dir()
    folder = next((path for path in (inside, given) if (path / "study.yaml").is_file()), given if is_path else inside)
    if folder.name in ("", ".."):
        folder = folder.resolve()
    args.results, args.name = folder.parent, folder.name


def _checksums(results: Path, name: str | None) -> None:
    from afl_helpers.results import write_checksums
    from afl_helpers.studies import load_study

    names = [path.parent.name for path in sorted(results.glob("*/study.yaml"))] if name is None else [name]
    for study in names:
        print(write_checksums(load_study(study, results).folder))


def _repeat(path: Path) -> None:
    """Repeat a recorded run, keep its scores, and print how far the two results are apart."""
    from afl_helpers.results import read_result
    from afl_helpers.studies import describe_seconds, difference, repeat
    from afl_helpers.studies.scores import scores_path

    recorded = read_result(path)
    print(f"training {path.stem} again; its recorded run took {describe_seconds(recorded.time.seconds)}", flush=True)
    found = difference(recorded, repeat(recorded, scores_path(path)))
    environment = "the same processor and versions" if found.same_environment else "another processor or versions"
    print(f"{path.stem}, repeated with {environment}")
    print(f"largest difference of a metric: {found.metric:.2g}")
    print(f"counts of decisions that differ: {found.n_decisions}, over {recorded.data.sizes['test']:,} test documents")
    print(f"scores: {scores_path(path)}")


def add_compare(commands: Commands) -> None:
    """Add the command ``compare``."""
    command = commands.add_parser(
        "compare",
        help="answer a study's primary question, once all of its runs are there",
        description="Print the comparisons that a study declares as its primary question: one line per corpus, endpoint "
        "and rival, with the difference, its 95 % interval, the p value (Holm) and the outcome in words. For a study that "
        "lacks runs, print only how many there are.",
    )
    command.add_argument("name", metavar="STUDY", help="name of the study, or the path of its folder")
    command.add_argument(
        "--block",
        type=int,
        metavar="N",
        help="compare the trained models of this block (or seed) over its test documents, in macro and micro F1. That "
        "needs their scores in STUDY/scores; `study STUDY --repeat RUN` makes them again",
    )
    command.add_argument("--corpus", help="with --block: compare on this corpus alone")
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the studies (default: results)"
    )
    command.set_defaults(function=_compare)


def _compare(args: argparse.Namespace) -> None:
    from afl_helpers.results import deciding_interval
    from afl_helpers.studies import (
        compare_documents,
        compare_study,
        describe_convergence,
        describe_progress,
        describe_shifts,
        load_study,
    )

    if args.corpus is not None and args.block is None:
        raise UsageError("--corpus needs --block; a study's own comparison is over all of its corpora")
    _find_study(args)
    study = load_study(args.name, args.results)
    progress = describe_progress(study)
    if study.primary and progress:
        print(f"{study.name}: {progress}")
        return
    table = compare_study(study) if args.block is None else compare_documents(study, args.block, corpus=args.corpus)
    for row in table.to_dict("records"):
        low, high, p_value = deciding_interval(row)
        outcome, plain = row["outcome"], row["outcome_plain"]
        detectable = f", detectable {row['detectable']:.4f}" if outcome == "undecided" else ""
        print(
            f"{row['corpus']}, {row['endpoint']}: {row['setting']} minus {row['rival']} "
            f"{row['estimate']:+z.4f} [{low:+z.4f}, {high:+z.4f}], p {p_value:.3g}, {row['sample']}, "
            f"{row['decided_by']}: {outcome}{detectable}{'' if plain == outcome else f' (by the paired t: {plain})'}"
        )
    first, n_families = table.iloc[0], table["family"].nunique()
    more = f", and so on in {n_families} families" if n_families > 1 else ""
    print(
        f"Intervals: 95 % each. p: Holm within {first['family']!r}, {first['family_size']} rows{more}. "
        f"Margin: {first['margin']:g}."
    )
    if args.block is not None:
        print(
            "Differences are estimates for endlessly many documents of the same kind. They speak of these trained models; "
            "another split or seed gives others."
        )
        endpoints = study.primary.endpoints if study.primary else ()
        if left_out := [name for name in endpoints if name not in set(table["endpoint"])]:
            print(f"Only macro and micro F1 are compared over documents; left out: {', '.join(left_out)}.")
    if "undecided" in set(table["outcome"]):
        print("Detectable: the smallest true difference that four of five such comparisons would find.")
    if shifts := describe_shifts(study):
        print(f"Not converged: {shifts}.")
    if late := describe_convergence(study):
        print(late)


def add_rescore(commands: Commands) -> None:
    """Add the command ``rescore``."""
    command = commands.add_parser("rescore", help="judge a threshold rule on the kept scores of a study's runs")
    command.add_argument("name", help="name of the study, or the path of its folder")
    command.add_argument("--rule", required=True, help="name of the threshold rule")
    command.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the studies (default: results)"
    )
    command.set_defaults(function=_rescore)


def _rescore(args: argparse.Namespace) -> None:
    from afl_helpers.evaluation import THRESHOLD_RULES
    from afl_helpers.studies import load_study, missing_scores, rescore
    from afl_helpers.studies.scores import command_for

    _find_study(args)
    study = load_study(args.name, args.results)
    names = ("f1_micro", "f1_macro", "f1_macro_head", "f1_macro_medium", "f1_macro_tail")
    check_choice("rule", args.rule, THRESHOLD_RULES)
    print(f"{'test metrics under ' + args.rule:50}" + "".join(f"{name.removeprefix('f1_'):>14}" for name in names))
    for result in rescore(study, args.rule):
        print(f"{result.run:50}" + "".join(f"{result.metric(name, args.rule):14.4f}" for name in names))
    missing = missing_scores(study)
    if missing:
        print(f"{len(missing)} finished runs have no scores here; these commands make them again:")
    for path in missing:
        print(f"  {command_for(path)}")
