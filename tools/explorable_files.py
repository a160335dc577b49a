"""Where the files of the interactive parts lie, and how their data and still pictures are written."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "book" / "_static" / "explorables"


def write(name: str, data: object) -> Path:
    """Write data as a script that a page loads: a page opened from disk cannot fetch JSON."""
    path = TARGET / "data" / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    lines = (
        "// Written by tools/make_explorables.py.",
        "(function (root) { root.Explorables = root.Explorables || {}; root.Explorables.data = root.Explorables.data || {};",
        f"root.Explorables.data.{name} = {text};",
        '}(typeof window === "undefined" ? globalThis : window));',
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(name: str) -> Any:
    """Return the data that :func:`write` wrote."""
    line = (TARGET / "data" / f"{name}.js").read_text(encoding="utf-8").splitlines()[2]
    return json.loads(line.partition(" = ")[2].rstrip(";"))


def save(figure: Figure, name: str) -> None:
    """Save a still picture; its bytes do not depend on the day or on a random salt."""
    with plt.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(TARGET / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
