"""What a chapter shows besides figures: findings whose numbers are computed, and small tables."""

import html
import re
from importlib import metadata

import pandas as pd
from IPython.display import HTML, Markdown


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
        row["not converged"] += not result["time"]["converged"]
    table = pd.DataFrame(rows.values())
    return table.assign(seeds=table["seeds"].map(len)).set_index("corpus").T


def versions() -> pd.DataFrame:
    """The versions of the libraries that a page was built with."""
    names = ("afl-helpers", "torch", "transformers", "scikit-learn", "numpy", "jupyter-book")
    return pd.DataFrame({"version": {name: metadata.version(name) for name in names}})


def loss_card(name: str) -> Markdown:
    """A loss of the registry as text: its equation, fidelity, when to use it, and its parameters."""
    from afl_helpers.losses import LOSSES

    info = LOSSES[name]
    rows = [
        f"| `{parameter}` | `{info.defaults[parameter]!r}` | {meaning.replace('|', chr(92) + '|')} |"
        for parameter, meaning in info.parameters.items()
        if parameter != "reduction"
    ]
    table = ["| parameter | default | meaning |", "|---|---|---|", *rows] if rows else ["No parameters."]
    parts = [
        f"$$\n{info.equation}\n$$",
        f"**In code** `build_loss({name!r}, ...)`. **Fidelity** {info.fidelity}.",
        f"**When** {info.when}",
        "\n".join(table),
    ]
    return Markdown("\n\n".join(re.sub(r":\w+:`~?([\w.]+\.)?(\w+)`|``([^`]+)``", r"`\2\3`", part) for part in parts))
