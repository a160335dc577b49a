"""Draw the figure of the README from the committed results.

Usage: python tools/draw_main_figure.py
"""

from pathlib import Path

from afl_helpers.chapters.figures import panels_by_rule, set_style
from afl_helpers.results import read_study, results_table

ROOT = Path(__file__).resolve().parent.parent
CORPORA = {"film genres": "cmu-leads", "film genres, masked": "cmu-leads-masked", "news topics": "reuters"}


def main() -> None:
    set_style(svg=False)
    table = results_table(read_study("probe", ROOT / "results"))
    tables = {title: table[table["corpus"] == corpus] for title, corpus in CORPORA.items()}
    figure = panels_by_rule(tables, ["bce", "focal-2.0", "focal-5.0", "afl", "afl-shuffled"])
    figure.savefig(ROOT / "book" / "_static" / "main-figure.png", dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
