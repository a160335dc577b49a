"""``explain``: say which words of a text made its labels."""

import argparse
from pathlib import Path

from afl_helpers.commands.options import Commands, add_table_options
from afl_helpers.commands.predict import add_decision, load_model


def add_explain(commands: Commands) -> None:
    """Add the command ``explain``."""
    command = commands.add_parser(
        "explain",
        help="say which words of a text made its labels",
        description="Print what each word of a text adds to the log odds of a label: exactly for a tfidf model, by "
        "integrated gradients for an encoder.",
    )
    command.add_argument("model", type=Path, help="folder that train --save wrote")
    command.add_argument("explained", metavar="text", help="the text")
    command.add_argument(
        "--label",
        action="append",
        metavar="NAME",
        help="label to explain (default: the predicted ones); can be repeated",
    )
    command.add_argument("--top", type=int, default=10, metavar="N", help="show the N strongest words (default: 10)")
    add_decision(command)
    add_table_options(command, "how the table of --tune is read")
    command.set_defaults(function=_explain)


def _explain(args: argparse.Namespace) -> None:
    predictor, rule, thresholds = load_model(args)
    import numpy as np
    from scipy.special import logit

    from afl_helpers.evaluation import TopK

    chosen = predictor.choose_thresholds(rule, thresholds)
    scores = predictor.predict_scores([args.explained])
    predicted = set(predictor.labels_at(scores, chosen)[0])
    for explanation in predictor.explain(args.explained, args.label, rule, thresholds):
        rest = explanation.log_odds - explanation.start
        state = "predicted" if explanation.label in predicted else "not predicted"
        if not isinstance(chosen, TopK):
            threshold = np.broadcast_to(chosen, len(predictor.label_names))[
                predictor.label_names.index(explanation.label)
            ]
            state += f", because its threshold lies at {logit(threshold):+z.3f}"
        print(
            f"{explanation.label}: log odds {explanation.log_odds:+z.3f} = {explanation.start:+z.3f} without words {rest:+z.3f} "
            f"by words; {state}"
        )
        for word, contribution in explanation.strongest(args.top):
            print(f"  {contribution:+z.3f}  {word}")
