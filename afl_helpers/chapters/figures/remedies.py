"""Figures of remedies for rare labels: a decision tree, effects side by side, and what methods do to five documents."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from afl_helpers.augment import TrigramModel, build_augmentation
from afl_helpers.chapters.figures.style import legend_above, look_at, one_panel, panels, title_of
from afl_helpers.relations import Hierarchy, build_relation
from afl_helpers.relations.jaccard_contrast import jaccard_indices
from afl_helpers.results import deciding_interval
from afl_helpers.training.keyword_attention import label_keywords

#: Five documents in two dimensions, and whether each carries D, a frequent label, and H, a rare one.
FIVE_VECTORS = np.array([[0.1, 0.3], [0.22, 0.74], [0.52, 0.22], [0.9, 0.76], [0.78, 0.22]])
FIVE_LABELS = np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 1]])

#: Name in AUGMENTATIONS -> title, what it does, its parameters, and the seed of the draw that is shown.
FIVE_METHODS: dict[str, tuple[str, str, dict[str, float], int]] = {
    "ml_ros": ("ML-ROS", "copies documents with H", {"rate": 0.4}, 1),
    "lp_ros": ("LP-ROS", "copies rare label sets", {"rate": 0.4}, 0),
    "ml_rus": ("ML-RUS", "drops documents without H", {"rate": 0.4}, 0),
    "mlenn": ("MLeNN", "drops D beside other labels", {"n_neighbors": 1}, 0),
    "mltl": ("MLTL", "drops D, with or without H", {"threshold": 0.3}, 0),
    "remedial": ("REMEDIAL", "splits D+H into two", {}, 0),
    "mlsmote": ("MLSMOTE", "makes documents between H", {}, 31),
    "mixup": ("mixup", "moves towards a partner", {"alpha": 1.0}, 221),
}
#: The same for further methods that need no text.
MORE_METHODS: dict[str, tuple[str, str, dict[str, float], int]] = {
    "lp_rus": ("LP-RUS", "drops frequent label sets", {"rate": 0.4}, 0),
    "ratio_oversampling": ("copies by imbalance ratio", "the rarer, the more", {"rate": 0.4}, 0),
    "floor_oversampling": ("copies up to a floor", "up to a number", {"floor": 0.6}, 1),
    "remedial_ml_ros": ("REMEDIAL, ML-ROS", "splits D+H, copies H", {"rate": 0.4}, 1),
    "over_under_aligned": ("over- and under-sampling", "copies some, drops others", {}, 0),
    "remedial_mlsmote": ("REMEDIAL, MLSMOTE", "splits D+H, makes H", {}, 31),
    "mlsmote_union": ("MLSMOTE, union", "new ones get all labels", {}, 31),
    "mlsmote_intersection": ("MLSMOTE, intersection", "new ones get shared labels", {}, 31),
    "kmeans_smote": ("K-means SMOTE", "makes H within a cluster", {"n_clusters": 1, "k_neighbors": 1}, 179),
    "balanced_mixup": ("balanced mixup", "partner drawn by label", {"alpha": 1.0}, 133),
    "feature_dictionary": ("feature dictionary", "moves H towards typical vectors", {"n_atoms": 3, "strength": 0.8}, 1),
    "hard_examples": ("hard examples", "changes H that D is near", {"n_neighbors": 2, "share": 1.0}, 2),
}
_NAMES = ("D", "H")
_FILLS = {"D": "#cfe3f2", "H": "#fbd9c5", "D+H": "#e6dcf5", "N": "#d7ecdf", "–": "#ffffff"}

#: The five documents for methods that relate labels: D, H and N, where H and N lie below C.
RELATED_LABELS = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]])
RELATED_TREE = Hierarchy.from_parents(["D", "H", "N"], {"H": "C", "N": "C"})
#: Texts for the methods that read words; each word has a state of its own.
FIVE_TEXTS = ("mother leaves home", "mother and son", "home at war", "son fears ghosts", "spy leaves town")
_WORDS = [text.split() for text in FIVE_TEXTS]
_VOCABULARY = sorted({word for text in _WORDS for word in text})
_IDS = [[_VOCABULARY.index(word) for word in text] for text in _WORDS]
#: The same as FIVE_METHODS, for methods that write texts.
WRITTEN_METHODS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "eda_without_synonyms": ("EDA without synonyms", "swaps or leaves out words", {"n_new": 1, "alpha": 0.3}, 1),
    "floor_eda_without_synonyms": (
        "floor, EDA without synonyms",
        "the same for H and N",
        {"floor": 0.6, "alpha": 0.3},
        1,
    ),
    "generated_texts": ("texts from trigrams", "writes for H and N", {"model": TrigramModel(discount=0.75)}, 17),
}
#: The head that the panels start from, trained on the five documents.
_HEAD = {"epochs": 60, "learning_rate": 0.05}


def five_documents(further: bool = False, columns: int = 3) -> Figure:
    """Draw what methods of ``AUGMENTATIONS`` do to five documents, by calling them: one panel each.

    Args:
        further: whether to draw MORE_METHODS; else the documents themselves and FIVE_METHODS.
        columns: number of panels side by side.
    """
    methods = MORE_METHODS if further else FIVE_METHODS
    n_panels = len(methods) + (not further)
    n_rows = -(-n_panels // columns)
    figure, all_axes = panels(columns, n_rows, figsize=(7.4, 2.73 * n_rows))
    if not further:
        _documents(all_axes[0], "five documents", "D frequent, H rare", FIVE_VECTORS, FIVE_LABELS, np.arange(5))
    for axes, (name, (title, does, params, seed)) in zip(all_axes[n_panels - len(methods) :], methods.items()):
        step = build_augmentation(name, **params)
        vectors, labels = step.fit_resample(FIVE_VECTORS, FIVE_LABELS, seed)
        _documents(axes, title, does, vectors, labels, step.sample_indices_)
    for axes in all_axes[n_panels:]:
        axes.set_visible(False)
    return figure


def related_documents() -> Figure:
    """Draw what four methods of ``RELATIONS`` make of relations between labels on five documents, by their own code."""
    figure, all_axes = panels(2, 2, figsize=(7.4, 7.4))
    rerank, contrast, parent, regularization = all_axes

    scores = build_relation("linear_head", **_HEAD).fit(FIVE_VECTORS, RELATED_LABELS, rng=0).scores(FIVE_VECTORS)
    reranker = build_relation("cooccurrence_reranking", beta=2, top_k=1, shrinkage=0).fit(None, RELATED_LABELS)
    changes = [f"{_share(a)}\n→{_share(b)}" for a, b in zip(scores[:, 2], reranker.scores(scores)[:, 2])]
    _related(
        rerank, "re-ranking by co-occurrence", "lowers N where D is likely", "scores of N, before and after", changes
    )

    weights = jaccard_indices(torch.from_numpy(RELATED_LABELS).float()).numpy()
    for i, j in zip(*np.nonzero(np.triu(weights, 1))):
        contrast.plot(*FIVE_VECTORS[[i, j]].T, color="#595959", linewidth=4 * weights[i, j], zorder=1)
    _related(contrast, "Jaccard contrast", "draws together what shares labels", "thickness: shared labels")

    unseen = ~RELATED_TREE.under(RELATED_LABELS.astype(bool))[:, RELATED_TREE.names.index("C")]
    parent.plot(*FIVE_VECTORS[unseen].T, "x", color="black", markersize=22, markeredgewidth=1.5, zorder=4)
    _related(parent, "one model per parent", "tells H and N apart within C", "crossed: not seen by that model")

    for strength, style in ((0.0, ":"), (1.0, "-")):
        step = build_relation("recursive_regularization", strength=strength, hierarchy=RELATED_TREE, **_HEAD)
        model = step.fit(FIVE_VECTORS, RELATED_LABELS, rng=0)
        for label, colour in ((1, "#b3470d"), (2, "#1b7340")):
            _boundary(regularization, model, label, colour, style)
    for name, x, y, colour in (("H", 0.2, 0.9, "#b3470d"), ("N", 0.42, 0.06, "#1b7340")):
        regularization.text(x, y, name, ha="right", va="center", fontsize=12, fontweight="bold", color=colour)
    below = "where scores are 1/2; dotted: without"
    _related(regularization, "recursive regularisation", "turns H and N the same way", below)
    return figure


def read_documents() -> Figure:
    """Draw what three networks of ``RELATIONS`` do with five documents, by their own code."""
    figure, (graph, texts, attention, view) = panels(2, 2, figsize=(7.4, 7.4))
    model: Any = build_relation("label_graph", width=4, hierarchy=RELATED_TREE, **_HEAD)
    model = model.fit(FIVE_VECTORS, RELATED_LABELS, rng=0)
    after = model.scores(FIVE_VECTORS)[:, 2]
    model.network.messages = model.network.messages[:1]  # what each node tells itself
    changes = [f"{_share(a)}\n→{_share(b)}" for a, b in zip(model.scores(FIVE_VECTORS)[:, 2], after)]
    _related(graph, "label graph", "labels tell each other, along a tree", "scores of N, before and after", changes)

    states = [np.eye(len(_VOCABULARY))[own] for own in _IDS]
    _words(texts, "five texts", "and their labels", "for the panels below")

    model = build_relation("label_attention", top_k=1, n_queries=2, width=8, **_HEAD)
    model = model.fit(states, RELATED_LABELS, rng=0)
    batch = model.features(states)[torch.arange(len(states))]
    with torch.no_grad():
        chosen = model.network.chosen(model.network.first(batch))
        looks = model.network.attention(batch, chosen).argmax(2)
    names = [
        {
            position: "+".join(RELATED_TREE.names[label] for label, at in zip(row, own) if at == position)
            for position in own.tolist()
        }
        for row, own in zip(chosen.tolist(), looks)
    ]
    seen = [[position in own for position in range(len(text))] for own, text in zip(names, _WORDS)]
    below = "below a word: the label that looks at it"
    _words(attention, "label attention", "two labels look at words", below, seen, names)

    model = build_relation("positive_view", threshold=0.5, width=8, hidden=8, hierarchy=RELATED_TREE, **_HEAD)
    model = model.fit(states, RELATED_LABELS, rng=1)
    with torch.no_grad():
        kept = model.network.kept(batch, torch.from_numpy(RELATED_LABELS).float()) > 0
    _words(view, "positive view", "learns from some words once more", "bold: words that its labels keep", kept.tolist())
    return figure


def written_documents() -> Figure:
    """Draw what WRITTEN_METHODS make of five texts, and the keywords of their labels, by the code of the methods."""
    figure, all_axes = panels(2, 2, figsize=(7.4, 7.4))
    for axes, (name, (title, does, params, seed)) in zip(all_axes, WRITTEN_METHODS.items()):
        step = build_augmentation(name, **params)
        texts, labels = step.fit_resample(list(FIVE_TEXTS), RELATED_LABELS, seed)
        _words(axes, title, does, "in blue: new texts and their labels")
        made: dict[tuple[int, str], list[str]] = {}
        for position, text, row in list(zip(step.sample_indices_.tolist(), texts, labels))[len(FIVE_TEXTS) :]:
            made.setdefault((position, _carried(row)), []).append(text)
        for (position, name), own in made.items():
            y = 0.93 - 0.21 * position
            axes.text(-0.05, y, f"{name}: {' / '.join(own)}", va="top", fontsize=10.5, color="#0b5394")

    keywords = label_keywords(_IDS, RELATED_LABELS.astype(np.uint8), len(_VOCABULARY), n_keywords=2)
    label_of = {token: name for name, own in zip(RELATED_TREE.names, keywords) for token in own.tolist()}
    notes = [{position: label_of[token] for position, token in enumerate(own) if token in label_of} for own in _IDS]
    bold = [[token in label_of for token in own] for own in _IDS]
    _words(all_axes[3], "keywords", "weigh more in the mean", "below a word: the label it stands for", bold, notes)
    return figure


def _words(
    axes: Axes,
    title: str,
    does: str,
    below: str,
    bold: Sequence[Sequence[bool]] | None = None,
    notes: Sequence[Mapping[int, str]] | None = None,
) -> None:
    """Draw the five texts under each other, some words bold and the others grey, with a note below a word if it has one."""
    for line, (words, row) in enumerate(zip(_WORDS, RELATED_LABELS)):
        y = 1.0 - 0.21 * line
        name = _carried(row)
        box = {"boxstyle": "round,pad=0.28", "facecolor": _FILLS[name], "edgecolor": "black", "linewidth": 0.7}
        axes.text(0.06, y, name, ha="center", va="center", fontsize=12, color="black", bbox=box)
        for position, word in enumerate(words):
            x = 0.34 + 0.3 * position
            style: dict[str, Any] = {"color": "black"}
            if bold is not None:
                style = {"color": "black", "fontweight": "bold"} if bold[line][position] else {"color": "#767676"}
            axes.text(x, y, word, ha="center", va="center", fontsize=11, **style)
            note = notes[line].get(position) if notes else None
            if note:
                axes.text(x, y - 0.065, note, ha="center", va="top", fontsize=10.5, color="#0b5394")
    _finish(axes, title, does, below)


def _related(axes: Axes, title: str, does: str, below: str, words: list[str] | None = None) -> None:
    """Draw the five documents with their three labels, with words below each if there are any."""
    for position, (vector, row) in enumerate(zip(FIVE_VECTORS, RELATED_LABELS)):
        name = _carried(row)
        box = {"boxstyle": "round,pad=0.28", "facecolor": _FILLS[name], "edgecolor": "black", "linewidth": 0.7}
        x, y = vector
        axes.text(x, y, name, ha="center", va="center", fontsize=12, color="black", zorder=3, bbox=box)
        if words is not None:
            axes.text(x, y - 0.07, words[position], ha="center", va="top", fontsize=10.5)
    _finish(axes, title, does, below)


def _boundary(axes: Axes, model: Any, label: int, colour: str, style: str) -> None:
    """Draw where a label has the score 1/2."""
    x, y = np.meshgrid(np.linspace(-0.08, 1.1, 60), np.linspace(0, 1.1, 60))
    scores = model.scores(np.column_stack([x.ravel(), y.ravel()]))[:, label].reshape(x.shape)
    axes.contour(x, y, scores, levels=[0.5], colors=[colour], linestyles=[style], linewidths=1.8, zorder=1)


def _carried(row: NDArray[np.integer]) -> str:
    """The labels of a row of RELATED_LABELS, in words."""
    return "+".join(name for name, value in zip(RELATED_TREE.names, row) if value)


def _share(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _documents(
    axes: Axes,
    title: str,
    does: str,
    vectors: NDArray[np.float64],
    labels: NDArray[np.float64],
    positions: NDArray[np.int64],
) -> None:
    """Draw documents after a method: new ones with a bold frame, those that left as a cross, moves as dotted lines."""
    for position in set(range(len(FIVE_VECTORS))) - set(positions.tolist()):
        x, y = FIVE_VECTORS[position]
        axes.plot(x, y, "x", color="#595959", markersize=13, markeredgewidth=2)
    seen: dict[tuple[float, ...], int] = {}
    for vector, row, position in zip(vectors, labels, positions):
        place = tuple(vector)
        again = seen.get(place, 0)
        seen[place] = again + 1
        moved = not np.allclose(vector, FIVE_VECTORS[position])
        x, y = np.array(vector) + again * np.array([0.0, 0.19])  # a copy lies on its original; shown beside it
        if moved:
            axes.annotate(
                "", (x, y), FIVE_VECTORS[position], arrowprops={"arrowstyle": "-", "color": "#595959", "linestyle": ":"}
            )
        axes.text(
            x,
            y,
            _text(row),
            ha="center",
            va="center",
            fontsize=12 if np.isin(row, (0, 1)).all() else 10,
            color="black",
            zorder=3,
            bbox={
                "boxstyle": "round,pad=0.28",
                "facecolor": _FILLS[_set(row)],
                "edgecolor": "black",
                "linewidth": 2.2 if again or moved else 0.7,
            },
        )
    counts = [
        f"{name} {_number(n)}" if labels is FIVE_LABELS else f"{name} {_number(before)} → {_number(n)}"
        for name, before, n in zip(_NAMES, FIVE_LABELS.sum(axis=0), labels.sum(axis=0))
    ]
    _finish(axes, title, does, ", ".join(counts))


def _finish(axes: Axes, title: str, does: str, below: str) -> None:
    axes.set_title(f"{title}\n", fontsize=12, fontweight="bold")
    axes.text(0.5, 1.03, does, transform=axes.transAxes, ha="center", fontsize=10.5)
    axes.set(xlim=(-0.08, 1.1), ylim=(0, 1.1), xticks=[], yticks=[], xlabel=below)
    axes.spines[["top", "right"]].set_visible(True)
    axes.grid(False)


def _set(row: NDArray[np.float64]) -> str:
    return "+".join(name for name, value in zip(_NAMES, row) if value > 0) or "–"


def _text(row: NDArray[np.float64]) -> str:
    """Return the labels of a document, with their shares where they are soft."""
    if np.isin(row, (0, 1)).all():
        return _set(row)
    return "\n".join(f"{name} {value:.1f}".replace("0.", ".") for name, value in zip(_NAMES, row) if value >= 0.05)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def remedy_effects(table: pd.DataFrame, titles: Mapping[str, str], corpora: Mapping[str, str]) -> Figure:
    """Draw the effect of each remedy with its interval, one panel per endpoint, sorted by the mean effect in all of them.

    Args:
        table: rows of :func:`afl_helpers.results.compare`, all with one margin.
        titles: endpoint -> label of its panel.
        corpora: name of a corpus -> title.
    """
    order = table.groupby("setting")["estimate"].mean().sort_values(ascending=False).index.tolist()
    shown = [name for name in corpora if name in set(table["corpus"])]
    step = 0.2 if len(shown) > 1 else 0.0
    figure, all_axes = panels(
        len(titles), figsize=(8.4, 1.4 + len(order) * (0.2 + 0.07 * len(shown))), sharey=True, sharex=True
    )
    limit = max(0.06, 1.2 * float(table["estimate"].abs().max()))
    margin = float(table["margin"].iloc[0])
    for axes, (endpoint, title) in zip(all_axes, titles.items()):
        axes.axvspan(-margin, margin, color="#ebebeb", zorder=0)
        axes.axvline(0, color="black", linewidth=1)
        for i, corpus in enumerate(shown):
            rows = table[(table["endpoint"] == endpoint) & (table["corpus"] == corpus)]
            look = look_at(i)
            y = np.array([order.index(name) for name in rows["setting"]]) + (i - (len(shown) - 1) / 2) * step
            ends = np.array([deciding_interval(row)[:2] for row in rows.to_dict("records")]).clip(-limit, limit)
            axes.hlines(y, ends[:, 0], ends[:, 1], color=look.colour, linewidth=1.6)
            for end, marker in ((0, "<"), (1, ">")):  # an interval that goes on beyond the panel
                beyond = np.abs(ends[:, end]) == limit
                if beyond.any():
                    axes.plot(ends[beyond, end], y[beyond], marker, color=look.colour, markersize=6)
            axes.plot(rows["estimate"], y, look.marker, color=look.colour, markersize=5, label=corpora[corpus])
        axes.set(xlabel=title, xlim=(-limit, limit))
        axes.set_title(title, fontsize=10)  # the figure is taller than a screen
        axes.tick_params(axis="x", top=True, labeltop=True)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(False, axis="y")
        for line in range(0, len(order), 2):
            axes.axhspan(line - 0.5, line + 0.5, color="black", alpha=0.03, linewidth=0, zorder=0)
    all_axes[0].set_yticks(range(len(order)), [title_of(name) for name in order])
    all_axes[0].set_ylim(len(order) - 0.5, -0.5)
    legend_above(figure, all_axes[0], n_columns=len(shown))
    return figure


def decision_tree() -> Figure:
    """Draw the questions that lead from a reader's labels to advice, from top to bottom."""
    steps = [
        ("Was every document judged\nfor every label?", "no", "1  Mask what nobody has\nlooked at, then go on"),
        ("Has a label fewer than\n10 documents?", "yes", "2  Leave it out or collect\nmore, then go on"),
        ("Do you know how many false\nalarms, c, a miss costs?", "yes", "3  Threshold 1/(1+c) on\ncalibrated scores"),
        (
            "Is micro F1 your metric, or do\ncounts differ less than 8-fold?",
            "yes",
            "4  One threshold,\ntuned on validation",
        ),
        ("Has every label 100\nvalidation documents?", "yes", "5  A tuned threshold\nfor each label"),
    ]
    figure, axes = one_panel(figsize=(7.0, 7.6))
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 12, "color": "black"}
    box: dict[str, Any] = {"boxstyle": "round,pad=0.45", "linewidth": 1.2, "edgecolor": "black"}
    heights = np.arange(len(steps) + 2)[::-1].astype(float)
    start = "First train two baselines: a linear\nSVM on words, and cross-entropy."
    axes.text(0.27, heights[0], start, bbox=box | {"facecolor": "#f0f0f0"}, **style)
    for height, (question, answer, leaf) in zip(heights[1:], steps):
        axes.text(0.26, height, question, bbox=box | {"facecolor": "white"}, **style)
        axes.text(0.79, height, leaf, bbox=box | {"facecolor": "#d7ecdf"}, **style)
        axes.annotate("", (0.575, height), (0.475, height), arrowprops={"arrowstyle": "-|>", "color": "black"})
        axes.text(0.525, height + 0.1, answer, ha="center", va="bottom", fontsize=11)
        other = "yes" if answer == "no" else "no"
        axes.text(0.29, height - 0.5, other, ha="left", va="center", fontsize=11)
    for upper in heights[:-1]:
        axes.annotate(
            "", (0.26, upper - 0.66), (0.26, upper - 0.34), arrowprops={"arrowstyle": "-|>", "color": "black"}
        )
    axes.text(0.26, heights[-1], "6  The proportional cut", bbox=box | {"facecolor": "#d7ecdf"}, **style)
    axes.set(xlim=(0, 1.03), ylim=(-0.5, heights[0] + 0.5))
    axes.axis("off")
    return figure
