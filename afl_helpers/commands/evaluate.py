"""``evaluate``: evaluate a saved model on labelled documents."""

import argparse
from dataclasses import replace
from pathlib import Path

from afl_helpers.commands.options import Commands, add_reading, check_corpus_name, check_no_folder, check_not_read, load
from afl_helpers.commands.predict import add_decision, load_model
from afl_helpers.errors import UsageError


def add_evaluate(commands: Commands) -> None:
    """Add the command ``evaluate``."""
    command = commands.add_parser(
        "evaluate",
        help="evaluate a saved model on labelled documents",
        description="Print the metrics of a saved model on a labelled table, under each threshold rule and for each label. "
        "Labels are matched by name.",
    )
    command.add_argument("model", type=Path, help="folder that train --save wrote")
    add_reading(command)
    add_decision(command)
    command.add_argument(
        "--output", type=Path, metavar="FILE", help="write the table of all labels to this file (.csv)"
    )
    command.add_argument("--top", type=int, default=20, metavar="N", help="show the first N labels (default: 20)")
    command.add_argument(
        "--save", type=Path, metavar="FOLDER", help="with --tune: save the model with its new thresholds in this folder"
    )
    command.add_argument("--force", action="store_true", help="replace the model that the folder of --save holds")
    command.set_defaults(function=_evaluate, corpus=None)


def _evaluate(args: argparse.Namespace) -> None:
    if args.corpus is None:
        raise UsageError("evaluate needs labelled documents; name a table after the model, or a corpus")
    check_corpus_name(args.corpus)
    if args.output:
        check_no_folder(args.output, "labels.csv")
        if args.output.suffix.lower() != ".csv":
            raise UsageError(f"cannot write {args.output}; name a file that ends in .csv")
        check_not_read(args.output, args)
    if args.save:
        if not args.tune:
            raise UsageError("--save keeps the thresholds that --tune sets; pass --tune FILE with it")
        from afl_helpers.training import check_save_folder

        check_save_folder(args.save, replace=args.force)
        check_not_read(args.save, args)
    from afl_helpers.training.report import check_known

    predictor, rule, thresholds = load_model(args)
    retuned = predictor
    corpus = load(args)
    if corpus.subset is not None and "test" in corpus.subset:
        import numpy as np

        corpus = corpus.select_documents(np.array(corpus.subset) == "test")
        print("evaluated on the given test documents alone")
    own = "own thresholds"
    if thresholds is not None:
        chosen = {own: predictor.choose_thresholds(rule, thresholds)}
        predictor = replace(predictor, thresholds=chosen | predictor.thresholds)
        rule = own
    if set(corpus.label_names) & set(predictor.label_names):  # else the report's own error says more
        check_known(corpus, predictor.label_names)
    report = predictor.evaluate(corpus)
    print(report)
    table = report.by_label(rule)
    columns = ["label", "training_count", "support", "predicted", "precision", "recall", "f1", "average_precision"]
    shown = table[[name for name in columns if name in table]].head(args.top)
    print(f"\nunder {rule}:\n{shown.to_string(index=False, float_format='%.4f')}")
    if len(table) > len(shown):
        print(f"and {len(table) - len(shown)} more labels (--top, --output)")
    if args.output:
        from afl_helpers.files import write_text

        write_text(args.output, table.to_csv(index=False))
    if args.save:
        print(f"saved to {retuned.save(args.save)}")
