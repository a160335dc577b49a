"""Draw the figure of the README from the committed results.

Usage: python tools/draw_main_figure.py
"""

from pathlib import Path

from afl_helpers.chapters.figures import set_style, settings_by_rule
from afl_helpers.results import results_table
from afl_helpers.studies import complete_blocks

ROOT = Path(__file__).resolve().parent.parent
CORPORA = {"film genres": "cmu-leads", "film genres, masked": "cmu-leads-masked", "news topics": "reuters"}


def main() -> None:
    set_style(svg=False)
    table = results_table(complete_blocks("frozen-encoder", ROOT / "results"))
    tables = {title: table[table["corpus"] == corpus] for title, corpus in CORPORA.items()}
    settings = ["bce", "afl", "afl-log10", "afl-information"]
    figure = settings_by_rule(tables, settings, ["at_0.5", "tuned_common", "tuned_proportional"])
    figure.savefig(ROOT / "book" / "_static" / "main-figure.png", dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
