"""A model card: what a saved model is, what it was trained on, what it scored, and where not to trust it."""

import numpy as np

from afl_helpers.data import Corpus
from afl_helpers.training.run import Run

_RULES = {
    "at_0.5": "0.5 for every label",
    "tuned_common": "one threshold, tuned on validation for micro F1",
    "tuned_per_label": "one threshold a label, tuned on validation",
    "tuned_proportional": "each label as often as in training",
}
_METRICS = {"f1_micro": "micro F1", "f1_macro": "macro F1", "recall_macro": "macro recall"}


def model_card(run: Run, train: Corpus, few: int = 10) -> str:
    """A description of a trained model in Markdown, to be put beside it as README.md.

    Args:
        run: what :func:`~afl_helpers.training.fine_tune` or :func:`~afl_helpers.training.probe` returned.
        train: the corpus it was trained on.
        few: labels with fewer training documents are listed as untrustworthy.
    """
    counts = train.label_counts
    params = "".join(f", {name} {value}" for name, value in run.loss["params"].items())
    method = {"probe": "linear head on the frozen encoder"}.get(run.method, "all layers trained")
    rows = [
        f"| {words} | "
        + " | ".join(f"{run.metrics['test'][rule][metric]:.3f}" for metric in _METRICS)
        + f" | {run.metrics['test'][rule]['n_labels_never_predicted']} |"
        for rule, words in _RULES.items()
    ]
    rare = [train.label_names[c] for c in np.flatnonzero(counts < few)]
    converged = "" if run.converged else " The best epoch was the last: training longer might give a better model."
    lines = [
        f"# Model card: {len(train.label_names)} labels, {run.config.encoder}",
        "",
        f"**Training.** {run.config.encoder}, {method}; loss {run.loss['name']}{params}; seed {run.seed}; "
        f"epoch {run.best_epoch} of {len(run.history)}.{converged}",
        "",
        f"**Data.** {len(train):,} training documents of {train.name} ({train.source or 'source not stated'}); fingerprint "
        f"{train.fingerprint[:16]}. A label has {counts.min():,} to {counts.max():,} of them.",
        "",
        f"**On test.** Average precision {run.metrics['test']['at_0.5']['average_precision_micro']:.3f} (micro), "
        f"{run.metrics['test']['at_0.5']['average_precision_macro']:.3f} (macro).",
        "",
        "| thresholds | " + " | ".join(_METRICS.values()) + " | labels never predicted |",
        "|---|" + "---|" * (len(_METRICS) + 1),
        *rows,
        "",
        "**Limits.** "
        + (f"Fewer than {few} training documents: {', '.join(rare)}. " if rare else "")
        + ("" if run.loss["name"] == "bce" else "The loss shifts scores; they are not probabilities. ")
        + "Texts of another kind than the training documents were not tested.",
    ]
    return "\n".join(lines) + "\n"
