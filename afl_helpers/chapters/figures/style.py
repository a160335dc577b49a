"""The style that all figures share: colours, titles, and how two settings are told apart."""

from typing import Literal, NamedTuple

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType

from afl_helpers.errors import unknown_name
from afl_helpers.evaluation import THRESHOLD_RULES

#: Colours after Okabe and Ito, which readers of every colour vision can tell apart. Their yellow and light blue are too
#: faint for lines on white; a brown and a violet replace them.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#602020", "#8060E0", "#555555")

#: Titles of settings, in the order in which tables and figures list them.
SETTING_TITLES = {
    "bce": "BCE",
    "focal-1.5": "focal 1.5",
    "focal-2.0": "focal 2.0",
    "focal-2.5": "focal 2.5",
    "afl": "AFL",
    "focal-5.0": "focal 5.0",
    "afl-shuffled": "AFL, shuffled",
    "afl-reversed": "AFL, reversed",
    "afl-mean": "one gamma (AFL's mean)",
    "afl-literal": "AFL, literal",
    "afl-labels": "AFL, n / sum n",
    "afl-max": "AFL, n / max n",
    "afl-mean-unbounded": "AFL, no bounds",
    "afl-median": "AFL, n / median n",
    "afl-sqrt": "AFL, square root",
    "afl-log10": "AFL, log10",
    "afl-information": "AFL, information",
    "afl-rescaled": "AFL, rescaled",
    "afl-base-1": "AFL, base 1",
    "afl-base-4": "AFL, base 4",
    "alpha-inverse-gamma-0": "1/n, gamma 0",
    "alpha-inverse-gamma-2": "1/n, gamma 2",
    "alpha-inverse-afl": "1/n, AFL",
    "alpha-effective-gamma-0": "effective n, gamma 0",
    "alpha-effective-gamma-2": "effective n, gamma 2",
    "alpha-effective-afl": "effective n, AFL",
    "weighted-bce": "weighted BCE",
    "class-balanced": "class-balanced",
    "flsd53": "FLSD-53",
    "asl": "ASL",
    "apl": "APL",
    "ral": "RAL",
    "wal": "WAL (ours, after)",
    "ldam": "LDAM (ours, after)",
    "plm": "PLM",
    "distribution-balanced": "distribution-balanced",
    "rebalanced-focal": "rebalanced focal",
    "ntr-focal": "NTR focal",
    "cb-ntr": "CB-NTR",
    "priors": "label frequencies",
    "tfidf-logistic-regression": "TF-IDF, logistic regr.",
    "tfidf-linear-svm": "TF-IDF, linear SVM",
    "cnn-bce": "CNN, BCE",
    "cnn-focal-2.0": "CNN, focal 2.0",
    "cnn-afl": "CNN, AFL",
}

#: Titles of settings that no figure needs to tell apart from all others.
TABLE_TITLES = {
    "afl-log10-mean": "one gamma (log10's mean)",
    "afl-log10-shuffled": "AFL, log10, shuffled",
    "afl-log10-reversed": "AFL, log10, reversed",
    "afl-information-mean": "one gamma (information's mean)",
    "afl-information-shuffled": "AFL, information, shuffled",
    "afl-information-reversed": "AFL, information, reversed",
    "focal-3.0": "focal 3.0",
    "focal-8.0": "focal 8.0",
    "bce-zero-stopped": "BCE, from 0, stopped early",
    "afl-zero-stopped": "AFL, from 0, stopped early",
    "bce-prior-stopped": "BCE, own start, stopped early",
    "afl-loss-stopped": "AFL, own start, stopped early",
    "bce-zero-annealed": "BCE, from 0, annealed",
    "afl-zero-annealed": "AFL, from 0, annealed",
    "bce-prior-annealed": "BCE, own start, annealed",
    "afl-loss-annealed": "AFL, own start, annealed",
    "afl-prior-annealed": "AFL, log odds, annealed",
    "focal-5.0-zero-stopped": "focal 5.0, from 0, stopped early",
    "focal-5.0-loss-annealed": "focal 5.0, own start, annealed",
    "literal-zero-annealed": "Eq. 2 literal, from 0, annealed",
    "literal-prior-annealed": "Eq. 2 literal, log odds, annealed",
    "logit-adjusted": "logit-adjusted BCE",
    "dbgb": "DBGB",
    "asl-4-0": "ASL, gamma 4, margin 0",
    "asl-2-0.05": "ASL, gamma 2, margin .05",
    "asl-2-0.2": "ASL, gamma 2, margin .2",
    "asl-1-0.05": "ASL, gamma 1, margin .05",
    "hill": "Hill",
    "splc": "SPLC",
    "zlpr": "ZLPR",
    "two-way": "two-way",
    "sigmoid-f1": "sigmoid F1",
    "ml-ros": "ML-ROS",
    "lp-ros": "LP-ROS",
    "ml-rus": "ML-RUS",
    "lp-rus": "LP-RUS",
    "over-under-aligned": "over- and under-sampling (ours)",
    "ratio-oversampling": "copies by imbalance ratio (ours)",
    "floor-oversampling": "copies up to a floor",
    "mlenn": "MLeNN",
    "mltl": "MLTL",
    "remedial": "REMEDIAL",
    "remedial-ml-ros": "REMEDIAL, ML-ROS",
    "mlsmote": "MLSMOTE",
    "mlsmote-union": "MLSMOTE, union",
    "mlsmote-intersection": "MLSMOTE, intersection",
    "remedial-mlsmote": "REMEDIAL, MLSMOTE",
    "kmeans-smote": "K-means SMOTE",
    "feature-dictionary": "feature dictionary (ours)",
    "hard-examples": "hard examples (ours)",
    "mixup": "mixup",
    "balanced-mixup": "balanced mixup (ours)",
    "cooccurrence-reranking": "re-ranking by co-occurrence (ours)",
    "jaccard-contrast": "Jaccard contrast (ours)",
    "hidden-head": "hidden layer",
    "balanced-head": "weighted head",
    "per-parent": "one model per parent",
    "recursive-regularization": "recursive regularisation",
    "label-graph": "label graph",
    "label-graph-contrast": "label graph, contrast",
    "label-attention": "label attention (ours)",
    "positive-view": "positive view (ours)",
    "eda-without-synonyms": "EDA without synonyms",
    "floor-eda-without-synonyms": "floor, EDA without synonyms",
    "generated-texts": "texts from trigrams (ours)",
    "focal": "focal, gamma 2",
    "glove-cnn": "CNN on GloVe, BCE",
    "glove-cnn-focal": "CNN on GloVe, focal 2.0",
    "cnn": "CNN on random vectors, BCE",
    "glove-cnn-frozen": "CNN on fixed GloVe, BCE",
    "ml-ros-default": "ML-ROS, default",
    "mlsmote-default": "MLSMOTE, default",
    "remedial-default": "REMEDIAL, default",
    "keywords": "more weight on keywords",
    "no-teacher": "without a teacher",
    "glove-bilstm": "LSTM on GloVe, BCE",
    "glove-bilstm-frozen": "LSTM on fixed GloVe, BCE",
    "glove-logistic-regression": "mean of GloVe, logistic regr.",
    "glove-linear-svm": "mean of GloVe, linear SVM",
    "glove-nearest-neighbours": "mean of GloVe, neighbours",
    "glove-random-forest": "mean of GloVe, random forest",
}

#: Titles of threshold rules.
RULE_TITLES = {name: rule.short_title for name, rule in THRESHOLD_RULES.items()}

#: Labels of an x axis that shows how many documents carry each label.
DOCUMENTS = "documents with the label (rarer to the right)"
TRAINING_DOCUMENTS = f"training {DOCUMENTS}"


class Look(NamedTuple):
    """How a figure draws one series: a line has a colour, line style and marker; a bar has a colour and hatch."""

    colour: str
    line: LineStyleType
    marker: str
    hatch: str | None


_LINES: tuple[LineStyleType, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (8, 3)),
    (0, (1, 3)),
    (0, (5, 1, 1, 1)),
    (0, (8, 2, 1, 2, 1, 2)),
    (0, (2, 1)),
)
_MARKERS = "o^sDvPX<>"
_HATCHES = (None, "//", "\\\\", "..", "xx", "--", "||", "++", "oo")


def look_at(position: int) -> Look:
    """Return the look of the series at a position in a figure, counted from 0.

    The first seven looks differ by colour alone. After each seven the colours repeat with a new line style, marker and
    hatch, so that 63 looks are distinct.

    Raises:
        ValueError: If the position is 63 or more.
    """
    group, place = divmod(position, len(PALETTE))
    if group >= len(_LINES):
        raise ValueError(f"a figure can show {len(PALETTE) * len(_LINES)} series; draw fewer")
    return Look(PALETTE[place], _LINES[group], _MARKERS[group], _HATCHES[group])


def look_of(setting: str) -> Look:
    """Return the look of a setting, which is the same in every figure that asks for it and belongs to no other setting.

    Raises:
        UsageError: If :data:`SETTING_TITLES` does not list the setting.
    """
    if setting not in SETTING_TITLES:
        raise unknown_name("setting", setting, SETTING_TITLES)
    return look_at(list(SETTING_TITLES).index(setting))


def title_of(setting: str) -> str:
    """Return the title of a setting, or its name if it has no title."""
    return SETTING_TITLES.get(setting) or TABLE_TITLES.get(setting, setting)


def set_style(svg: bool = True) -> None:
    """Set the book's style for all figures drawn after this call.

    Args:
        svg: Whether a notebook shows figures as SVG. This has no effect outside IPython.
    """
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=PALETTE,
        rc={
            "figure.figsize": (7.0, 3.8),
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e3e3e3",
            "font.size": 11,
            "axes.titlesize": 12,
            "legend.frameon": False,
            "svg.hashsalt": "afl",
        },
    )
    if svg:
        try:  # absent outside IPython
            from matplotlib_inline.backend_inline import set_matplotlib_formats
        except ImportError:
            return
        set_matplotlib_formats("svg", metadata={"Date": None})


def one_panel(figsize: tuple[float, float] | None = None) -> tuple[Figure, Axes]:
    """Return a figure with one panel. It is closed for pyplot, so that a notebook shows it once, as a cell's value."""
    figure, axes = plt.subplots(figsize=figsize)
    plt.close(figure)
    return figure, axes


def panels(
    n_columns: int,
    n_rows: int = 1,
    *,
    figsize: tuple[float, float],
    sharex: bool | Literal["none", "all", "row", "col"] = False,
    sharey: bool | Literal["none", "all", "row", "col"] = False,
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, row by row; the figure is closed as in :func:`one_panel`."""
    figure, grid = plt.subplots(n_rows, n_columns, figsize=figsize, sharex=sharex, sharey=sharey, squeeze=False)
    plt.close(figure)
    return figure, list(grid.flat)


def legend_above(figure: Figure, axes: Axes, n_columns: int) -> None:
    """Put the legend of one panel above all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=n_columns, fontsize=9)
