"""What a chapter shows besides figures: findings whose numbers are computed, and small tables."""

import html
import re
from importlib import metadata

import pandas as pd
from IPython.display import HTML, Math, display


def we_find(text: str) -> HTML:
    """A box titled "We find" around a sentence whose numbers were computed in the cell."""
    return HTML(
        '<div class="admonition we-find"><p class="admonition-title">We find</p>'
        f"<p>{html.escape(text, quote=False)}</p></div>"
    )


def runs_table(results: list[dict[str, object]]) -> pd.DataFrame:
    """What the runs of a study were measured on and how, one row a corpus."""
    rows = {}
    for result in results:
        data, config = result["data"], result["config"]
        row = rows.setdefault(
            data["corpus"],
            {
                "corpus": data["corpus"],
                "texts": data["source"].split(",")[0].split(" (")[0],
                "labels": data["n_labels"],
                "documents (train / validation / test)": " / ".join(f"{n:,}" for n in data["parts"].values()),
                "method": config["method"].replace("_", "-"),
                "encoder": result["encoder"],
                "tokens": config["max_length"],
                "device": result["environment"]["device"].split(",")[0],
                "runs": 0,
                "seeds": set(),
                "not converged": 0,
            },
        )
        row["runs"] += 1
        row["seeds"].add(result["seed"])
        row["not converged"] += result["time"]["converged"] is False
    table = pd.DataFrame(rows.values())
    return table.assign(seeds=table["seeds"].map(len)).set_index("corpus").T


def versions() -> pd.DataFrame:
    """The versions of the libraries that a page was built with."""
    names = ("afl-helpers", "torch", "transformers", "scikit-learn", "numpy", "jupyter-book")
    return pd.DataFrame({"version": {name: metadata.version(name) for name in names}})


def loss_card(name: str) -> HTML:
    """A loss of the registry: shows its equation, returns its fidelity, when to use it, and its parameters."""
    from afl_helpers.losses import LOSSES

    info = LOSSES[name]
    # Definitions below the equation, so that neither is wider than a page.
    display(Math(r"\begin{gathered}" + info.equation.replace(r", \quad", r", \\") + r"\end{gathered}"))
    rows = [
        {"parameter": _code(parameter), "default": _code(repr(info.defaults[parameter])), "meaning": _inline(meaning)}
        for parameter, meaning in info.parameters.items()
        if parameter != "reduction"
    ]
    table = pd.DataFrame(rows).to_html(index=False, escape=False, border=0) if rows else ""
    table = table.replace("<th>", '<th style="text-align: left">')
    call = _code(f"build_loss({name!r}, ...)")
    text = f"<b>Use.</b> {_inline(info.when)} <b>Fidelity.</b> {_inline(info.fidelity)}. <b>In code</b> {call}"
    return HTML(f"<p>{text}{'' if rows else '; no parameters'}.</p>{table}")


def _code(text: str) -> str:
    return f"<code>{html.escape(text, quote=False)}</code>"


def _inline(text: str) -> str:
    """A docstring's line as HTML: its literals and references as code."""
    parts = re.split(r":\w+:`~?([^`]+)`|``([^`]+)``", html.escape(text, quote=False))
    return "".join(
        part if i % 3 == 0 else f"<code>{part.rpartition('.')[2] if i % 3 == 1 else part}</code>"
        for i, part in enumerate(parts)
        if part
    )
