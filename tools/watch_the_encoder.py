"""The interactive part "watch": how three losses move scores and metrics while the whole encoder is tuned.

Its data are the epochs that the study `tuned-to-the-end` keeps of its first block: metrics and scores on validation, nothing
of a test split. They are written when the registered runs of the study are all there, so that nobody looks at them early;
until then the page says that the study is running. ``python tools/make_explorables.py watch`` calls :func:`make_watch`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from explorable_files import ROOT, save, write

from afl_helpers.chapters.figures.style import PALETTE, title_of
from afl_helpers.studies import Study, load_study

STUDY, BLOCK, CORPUS = "tuned-to-the-end", 1, "cmu-leads"
#: The settings of the primary comparison.
ARMS = ("bce", "afl-mean", "afl")
METRICS = {
    "average_precision_macro": "average precision",
    "recall_macro": "recall at 0.5",
    "f1_macro": "F1 at 0.5",
}
THIRDS = ("head", "medium", "tail")
#: Of the scores from 0 to 1; one half is an edge.
BINS = 30
#: How near to the end an average precision counts as "as good as at the end".
NEAR = 0.01
GOALS = [
    f"Find the first epoch at which each loss ranks the tail as well as at the end, within {NEAR:g} or better.",
    "Find the genre and the epoch at which the losses differ most in how many of its films pass one half.",
]


def kept_files(study: Study) -> list[Path] | None:
    """Return the files of the epochs, one per arm, or None while a registered run of the study is missing."""
    if any(not study.is_exploratory(run) for run in study.missing([CORPUS])):
        return None
    return [study.folder / "epochs" / f"{CORPUS}--{arm}--block{BLOCK}.json" for arm in ARMS]


def watch_data(kept: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the page reads, from the content of one kept file per arm.

    Scores become counts in bins, of the films with a label and of those without it.
    """
    first = kept[0]
    epochs = [row["epoch"] for row in first["epochs"] if row["scores"] is not None]
    for one in kept[1:]:
        if one["labels"] != first["labels"] or [row["epoch"] for row in one["epochs"] if row["scores"]] != epochs:
            raise SystemExit(f"{one['run']} and {first['run']} differ in labels or epochs; both must be of one block")
    arms = []
    for arm, one in zip(ARMS, kept):
        rows = [row for row in one["epochs"] if row["scores"] is not None]
        labels: list[dict[str, list[list[int]]]] = []
        for place, label in enumerate(one["labels"]):
            counts: dict[str, list[list[int]]] = {"positives": [], "negatives": []}
            for row in rows:
                scores, has = np.array(row["scores"][place]), np.zeros(one["n_documents"], dtype=bool)
                has[label["positives"]] = True
                for kind, chosen in (("positives", scores[has]), ("negatives", scores[~has])):
                    # As the page's charts do: a score at an edge belongs to the bin above it.
                    bins = np.minimum((chosen * BINS).astype(int), BINS - 1)
                    counts[kind].append(np.bincount(bins, minlength=BINS).tolist())
            labels.append(counts)
        thirds = {
            name: {third: [row["metrics"][f"{name}_{third}"] for row in rows] for third in THIRDS} for name in METRICS
        }
        arms.append({"name": arm, "title": title_of(arm), "thirds": thirds, "labels": labels})
    return {
        "epochs": epochs,
        "ticks": sorted({epochs[0], *epochs[4::5], epochs[-1]}),
        "bins": BINS,
        "threshold": 0.5,
        "near": NEAR,
        "nFilms": first["n_documents"],
        "thirds": THIRDS,
        "metrics": [*METRICS.items()],
        "labels": [
            {"name": one["name"], "third": one["group"], "count": one["training_count"]} for one in first["labels"]
        ],
        "arms": arms,
        "goals": GOALS,
    }


def make_watch() -> None:
    """Write the data of "watch", or that the study is running, and its picture."""
    paths = kept_files(load_study(STUDY, ROOT / "results"))
    data = None if paths is None else watch_data([json.loads(path.read_text(encoding="utf-8")) for path in paths])
    write("watch", data or {"running": True})
    draw_watch(data)


def draw_watch(data: dict[str, Any] | None) -> None:
    """Draw the average precision of the thirds by epoch, one panel per loss; the panels are empty without data."""
    figure, axes = plt.subplots(1, len(ARMS), figsize=(10, 3), sharey=True)
    for place, one in enumerate(axes):
        one.set(title=title_of(ARMS[place]), xlabel="epoch", ylim=(0, 1))
        if data is None:
            one.text(0.5, 0.5, "the study is running", ha="center", va="center", transform=one.transAxes, color="0.4")
            one.set_xticks([])
            continue
        for third, colour in zip(THIRDS, PALETTE):
            values = data["arms"][place]["thirds"]["average_precision_macro"][third]
            one.plot(data["epochs"], values, color=colour, label=third)
        one.legend(fontsize=8)
    axes[0].set_ylabel("average precision")
    save(figure, "watch")
