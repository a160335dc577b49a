"""Draw the README's figure from the committed results: python tools/draw_main_figure.py"""

from pathlib import Path

from afl_helpers.figures import by_selection_and_rule, set_style
from afl_helpers.results import read_study, results_table

ROOT = Path(__file__).resolve().parent.parent
STUDIES = {"epoch by micro AP": "first-probe", "epoch by macro AP": "first-probe-macro"}


def main() -> None:
    set_style(svg=False)
    tables = {title: results_table(read_study(study, ROOT / "results")) for title, study in STUDIES.items()}
    tables = {title: table[table["corpus"] == "cmu-leads"] for title, table in tables.items()}
    figure = by_selection_and_rule(tables, ["bce", "focal-2.0", "focal-5.0", "afl", "afl-shuffled"])
    figure.savefig(ROOT / "book" / "_static" / "main-figure.png", dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
