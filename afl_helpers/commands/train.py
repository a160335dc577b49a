"""``train``: train on a corpus with one loss."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afl_helpers.advice import DEFAULT_LOSS, DEFAULT_MIN_COUNT, DEFAULT_RULE
from afl_helpers.commands.options import Commands, add_reading, check_corpus_name, check_not_read, load, parse_pairs
from afl_helpers.errors import UsageError, needs_extra

if TYPE_CHECKING:
    from afl_helpers.data import Corpus
    from afl_helpers.training import Run

#: With fewer, one document moves every metric of test by several points.
FEW_TEST_DOCUMENTS = 30


def add_train(commands: Commands) -> None:
    """Add the command ``train``."""
    command = commands.add_parser("train", help="train on a corpus with one loss")
    add_reading(command)
    command.add_argument(
        "--loss", default=DEFAULT_LOSS, metavar="NAME", help=f"name of the loss (default: {DEFAULT_LOSS})"
    )
    command.add_argument(
        "--loss-param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter of the loss; can be repeated",
    )
    command.add_argument(
        "--profile",
        choices=("quick", "full"),
        default="quick",
        help="of fine_tune: quick is MiniLM and 2 epochs, full the paper's configuration (default: quick)",
    )
    command.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a field of the configuration; can be repeated",
    )
    command.add_argument(
        "--method",
        choices=("fine_tune", "probe", "tfidf"),
        default="fine_tune",
        help="train all layers of an encoder, only a head on the frozen encoder, or a linear model on word counts "
        "(default: fine_tune)",
    )
    command.add_argument(
        "--probe", dest="method", action="store_const", const="probe", help="the same as --method probe"
    )
    command.add_argument(
        "--min-count",
        type=int,
        default=DEFAULT_MIN_COUNT,
        metavar="N",
        help=f"keep only labels with at least N documents (default: {DEFAULT_MIN_COUNT})",
    )
    command.add_argument("--seed", type=int, default=0, help="seed of initial weights and document order (default: 0)")
    command.add_argument(
        "--checkpoints",
        type=Path,
        metavar="FOLDER",
        help="keep checkpoints in this folder, and resume a stopped run from them",
    )
    command.add_argument("--save", type=Path, metavar="FOLDER", help="save the trained model in this folder")
    command.add_argument("--force", action="store_true", help="replace the model that the folder of --save holds")
    command.set_defaults(function=_train)


def _train(args: argparse.Namespace) -> None:
    # Everything that the user may have misspelt is checked before the corpus is loaded, the quickest check first.
    check_corpus_name(args.corpus)
    values, loss_params = parse_pairs(args.config), parse_pairs(args.loss_param)
    from afl_helpers.training import ProbeConfig, TrainingConfig
    from afl_helpers.training.config import Config, TfidfConfig, check_seed, check_tfidf_loss

    check_seed(args.seed)
    if args.method != "fine_tune" and args.checkpoints:
        raise UsageError(
            f"the method {args.method} trains in seconds and keeps no checkpoints; leave out --checkpoints"
        )
    known_fields: dict[str, type[Config]] = {"fine_tune": TrainingConfig, "probe": ProbeConfig, "tfidf": TfidfConfig}
    known_fields[args.method].from_dict(values)
    from afl_helpers.losses import check_loss

    check_loss(args.loss, loss_params)
    if args.method == "tfidf":
        check_tfidf_loss(args.loss, loss_params)
    with needs_extra("train", "the command train"):
        from afl_helpers.chapters.profiles import PROFILES
        from afl_helpers.training import check_save_folder, fine_tune, probe
        from afl_helpers.training.report import first_five

    if args.save:
        check_save_folder(args.save, replace=args.force)  # before hours of training, not after
        check_not_read(args.save, args)
    whole = load(args)
    corpus = whole.select_labels(min_count=args.min_count)
    dropped = [name for name in whole.label_names if name not in set(corpus.label_names)]
    if dropped:
        print(
            f"{len(dropped)} of {whole.n_labels} labels are left out because they have fewer than {args.min_count} "
            f"documents (--min-count): {first_five(dropped)}"
        )
        for note in corpus.notes[len(whole.notes) :]:
            print(note)
    splits, how = _splits(corpus)
    print(f"splits: {how}")
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in zip(("train", "validation", "test"), splits))
    print(f"{corpus.n_labels} labels; documents: {sizes}")
    if len(splits[2]) < FEW_TEST_DOCUMENTS:
        print(f"test has only {len(splits[2])} documents: take its metrics as a rough sign")
    print(_describe_untested(splits[2]), end="")
    options: dict[str, Any] = {"loss": args.loss, "seed": args.seed, "loss_params": loss_params}
    if args.method == "probe":
        head = ProbeConfig.from_dict(values)
        _print_reading(splits[0], head.encoder, head.max_length)
        run = probe(*splits, config=head, **options)
    elif args.method == "tfidf":
        from afl_helpers.training.baselines import tfidf

        run = tfidf(*splits, config=TfidfConfig.from_dict(values), **options)
    else:
        base = PROFILES[args.profile].config.to_dict()
        if args.profile == "quick":
            base["max_length"] = ProbeConfig().max_length  # the profile's own is for the short texts of "toy"
        config = TrainingConfig.from_dict(base | values)
        print(f"fine_tune: {config.encoder}, {config.epochs} epochs, learning rate {config.learning_rate:g}")
        _print_reading(splits[0], config.encoder, config.max_length)
        run = fine_tune(*splits, config=config, checkpoint_dir=args.checkpoints, **options)
    rules = run.metrics["test"]
    ranking = next(iter(rules.values()))  # the same for every rule
    micro, macro = (ranking[f"average_precision_{average}"] for average in ("micro", "macro"))
    print(f"average precision: micro {micro:.4f}, macro {macro:.4f}")
    width = max(map(len, rules))
    for rule, metrics in rules.items():
        mark = "  (default of predict)" if rule == DEFAULT_RULE else ""
        print(f"{rule:{width}} micro F1 {metrics['f1_micro']:.4f}   macro F1 {metrics['f1_macro']:.4f}{mark}")
    print(_describe_convergence(run))
    if args.save:
        print(f"saved to {run.save(args.save)}{_describe_what_is_saved(run)}")


def _print_reading(train: "Corpus", encoder: str, max_length: int) -> None:
    """Say how much of the texts is read where many of them are cut off."""
    from afl_helpers.doctor.lengths import check_lengths

    for finding in check_lengths(train, encoder, max_length):
        if finding.advice:
            print(f"{finding.sentence} {finding.advice}")


def _describe_convergence(run: "Run") -> str:
    """Say whether a run converged, and what to do if not."""
    from afl_helpers.training.config import EpochConfig, convergence

    converged, reason = convergence(run.config, run.best_epoch)
    if converged is None:
        return "converged: this method is fitted, not trained in epochs"
    keeps_best = getattr(run.config, "keep", "best") == "best"
    if converged and keeps_best:
        return (
            f"converged: the average precision on validation rose no more after epoch {run.best_epoch}; F1 at a threshold "
            "may still change"
        )
    if converged:
        return f"converged: {reason}"
    epochs = run.config.epochs if isinstance(run.config, EpochConfig) else 0
    if keeps_best:
        reason = (
            f"training ended at its cap of {epochs} epochs, and the best epoch, {run.best_epoch}, is too recent to tell"
        )
    return (
        f"not converged: {reason}; the metrics above may still change, so do not compare them with others. Train longer "
        f"(--config epochs={2 * epochs})"
    )


def _describe_untested(test: "Corpus") -> str:
    """Return a line on the labels without a test document, or nothing."""
    from afl_helpers.training.report import first_five

    names = [name for name, count in zip(test.label_names, test.label_counts) if not count]
    if not names:
        return ""
    if len(names) == 1:
        start, its, it = "1 label has", "its F1 counts", "it"
    else:
        start, its, it = f"{len(names)} labels have", "their F1 counts", "them"
    return f"{start} no test document ({first_five(names)}): {its} as 0 in macro F1, and macro average precision leaves {it} out\n"


def _describe_what_is_saved(run: "Run") -> str:
    if run.method != "probe":
        return ""
    return f": a head, without its encoder; to predict, a machine also needs the encoder {run.encoder!r}"


def _splits(corpus: "Corpus") -> tuple[tuple["Corpus", "Corpus", "Corpus"], str]:
    """Return the given splits of a corpus, or splits of our own, and a sentence on where they come from."""
    if corpus.n_folds:
        size = min(1000, max(1, len(corpus) // 5))
        splits = corpus.official_split(size)
        left_out = splits[2].notes[len(corpus.notes) :]
        return splits, "; ".join(
            ["the first official fold for test", f"{size:,} training documents for validation", *left_out]
        )
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
