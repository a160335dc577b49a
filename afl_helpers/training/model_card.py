"""A model card: what a saved model is, what it was trained on, its results, and where not to trust it.

The words are in ``model_card_template.md``; this module fills in the values.
"""

from importlib.resources import files
from string import Template

import numpy as np

from afl_helpers.data import Corpus
from afl_helpers.evaluation import THRESHOLD_RULES
from afl_helpers.training.run import Run

_METHODS = {
    "fine_tune": "all layers trained",
    "probe": "linear head on the frozen encoder",
    "tfidf": "linear model on word counts",
}
_METRICS = ("f1_micro", "f1_macro", "recall_macro")


def render_model_card(run: Run, train: Corpus, few: int = 10) -> str:
    """Describe a trained model in Markdown, for a README.md beside it.

    Args:
        run: what :func:`~afl_helpers.training.fine_tune` or :func:`~afl_helpers.training.probe` returned.
        train: the corpus that the model was trained on.
        few: labels with fewer training documents are listed under the limits.
    """
    counts = train.label_counts
    params = "".join(f", {name} {value}" for name, value in run.loss["params"].items())
    test = run.metrics["test"]
    rows = [
        " | ".join(
            [
                f"| {THRESHOLD_RULES[rule].title if rule in THRESHOLD_RULES else rule}",
                *(f"{metrics[metric]:.3f}" for metric in _METRICS),
                f"{metrics['n_labels_never_predicted']} |",
            ]
        )
        for rule, metrics in test.items()
    ]
    rare = ", ".join(train.label_names[c] for c in np.flatnonzero(counts < few))
    template = files("afl_helpers.training").joinpath("model_card_template.md").read_text(encoding="utf-8")
    return Template(template).substitute(
        n_labels=train.n_labels,
        encoder=run.encoder or "no encoder",
        method=_METHODS.get(run.method, run.method),
        loss=f"{run.loss['name']}{params}",
        seed=run.seed,
        best_epoch=run.best_epoch,
        n_epochs=len(run.history),
        convergence=(
            " The best epoch was the last: training longer might give a better model." if run.converged is False else ""
        ),
        n_documents=f"{len(train):,}",
        corpus=train.name,
        source=train.source or "source not stated",
        fingerprint=train.fingerprint[:16],
        fewest=f"{counts.min():,}",
        most=f"{counts.max():,}",
        average_precision_micro=f"{test['at_0.5']['average_precision_micro']:.3f}",
        average_precision_macro=f"{test['at_0.5']['average_precision_macro']:.3f}",
        results="\n".join(rows),
        rare_labels=f"Fewer than {few} training documents: {rare}. " if rare else "",
        probabilities="" if run.loss["name"] == "bce" else "The loss shifts scores; they are not probabilities. ",
    )
