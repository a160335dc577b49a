"""What a chapter shows besides figures: findings whose numbers are computed, and small tables."""

import html
import json
import re
from importlib import metadata

import pandas as pd
from IPython.display import HTML, Math, display

from afl_helpers.chapters.figures import title_of
from afl_helpers.losses import LOSSES
from afl_helpers.results import find_results
from afl_helpers.studies import compare_study, describe_convergence, describe_progress, load_study


def we_find(text: str) -> HTML:
    """Return a box titled "We find" around a sentence whose numbers were computed in the cell."""
    return HTML(
        '<div class="admonition we-find"><p class="admonition-title">We find</p>'
        f"<p>{html.escape(text, quote=False)}</p></div>"
    )


def describe_outcomes(table: pd.DataFrame) -> str:
    """Return in a sentence how many of a study's comparisons have each outcome.

    Args:
        table: rows of :func:`afl_helpers.results.compare`.
    """
    counts = table["outcome"].value_counts()
    found = ", ".join(
        f"{counts.get(name, 0)} {words}"
        for name, words in {
            "higher": "are higher",
            "lower": "are lower",
            "within the margin": f"lie within {table['margin'].iloc[0]:g}",
            "undecided": "are undecided",
        }.items()
    )
    if set(counts.index) == {"not converged"}:
        found = "none has a verdict, because longer training still changed the numbers"
    rivals = " and ".join(dict.fromkeys(table["rival"].map(title_of)))
    return (
        f"Adaptive focal loss minus {rivals}, {table.sort_values('n_blocks')['sample'].iloc[0]} each "
        f"({table['setting'].nunique()} readings of Eq. 2, {table['corpus'].nunique()} corpora, "
        f"{table['endpoint'].nunique()} endpoints): of {len(table)} differences {found}."
    )


def describe_detectable(table: pd.DataFrame | None) -> str:
    """Say which differences the undecided comparisons of a table would have found; empty if none is undecided.

    Args:
        table: rows of :func:`afl_helpers.results.compare`, or None.

    Example:
        >>> import pandas as pd
        >>> from afl_helpers.chapters.display import describe_detectable
        >>> table = pd.DataFrame({"outcome": ["undecided", "higher", "undecided"], "detectable": [0.014, 0.02, 0.031]})
        >>> describe_detectable(table)
        'Some are undecided. The smallest true difference that four of five such studies would find is 0.014 to 0.031, depending on the row.'
    """
    if table is None or not len(table) or "undecided" not in set(table["outcome"]):
        return ""
    seen = [f"{value:.3f}" for value in sorted(table.loc[table["outcome"] == "undecided", "detectable"])]
    sizes = seen[0] if seen[0] == seen[-1] else f"{seen[0]} to {seen[-1]}, depending on the row"
    which = "One is" if len(seen) == 1 else "Some are"
    return f"{which} undecided. The smallest true difference that four of five such studies would find is {sizes}."


def registered(name: str) -> tuple[str, pd.DataFrame | None]:
    """Return how far a study is, in words, and its registered comparison, which is None until all runs are there.

    Args:
        name: A study that declares a primary comparison.
    """
    study = load_study(name, find_results())
    progress = describe_progress(study)
    if progress:
        return f"The study {name} is {progress}. Nothing of it is shown before these are there.", None
    return f"The study {name} is complete. {describe_convergence(study)}".strip(), compare_study(study)


def folded(table: pd.DataFrame, title: str) -> HTML:
    """Return a table that opens when its title is pressed."""
    body = table.to_html(border=0)
    return HTML(f"<details><summary>{html.escape(title)}</summary>{body}</details>")


def versions() -> pd.DataFrame:
    """Return the versions of the libraries that a page was built with."""
    names = ("afl-helpers", "torch", "transformers", "scikit-learn", "numpy", "jupyter-book")
    return pd.DataFrame({"version": {name: metadata.version(name) for name in names}})


def loss_card(name: str) -> HTML:
    """Show the equation of a loss in the registry; return its use, its fidelity to the source and its parameters."""
    info = LOSSES[name]
    # Definitions stand below the equation, so that neither is wider than the page.
    display(Math(r"\begin{gathered}" + info.equation.replace(r", \quad", r", \\") + r"\end{gathered}"))
    rows = [
        {"parameter": _code(parameter), "default": _code(repr(info.defaults[parameter])), "meaning": _inline(meaning)}
        for parameter, meaning in info.parameters.items()
        if parameter != "reduction"
    ]
    table = pd.DataFrame(rows).to_html(index=False, escape=False, border=0) if rows else ""
    table = table.replace("<th>", '<th style="text-align: left">')
    call = _code(f"build_loss({name!r}, ...)")
    bce = info.reduces_to_bce
    if bce is not None:
        values = ", ".join(f"{key}={value}" for key, value in bce.items())
        call += f"; binary cross-entropy with {_code(values)}" if values else "; by default, binary cross-entropy"
    text = f"<b>Use.</b> {_inline(info.when)} <b>Fidelity.</b> {_inline(info.fidelity)}. <b>In code</b> {call}"
    return HTML(f"<p>{text}{'' if rows else '; no parameters'}.</p>{table}")


def loss_table() -> HTML:
    """Show how every loss of the registry compares with its sources, what it needs and costs, and when to use it.

    The costs are those that ``benchmarks/losses.py`` recorded; a loss that it did not measure has none.

    On a page of the book, the reader sorts the table by the column whose head is pressed.
    """
    measured = json.loads((find_results() / "benchmarks" / "losses.json").read_text())
    costs = measured.get("costs", {})
    rows = [
        {
            "loss": f"{html.escape(info.title, quote=False)}<br>{_code(name)}",
            "against its sources": info.agreement,
            "properties": ", ".join(
                name
                for name, is_so in (
                    ("counts", info.needs_counts),
                    ("soft", info.soft_targets),
                    ("monotone", info.monotone),
                )
                if is_so
            ),
            "time": costs[name]["time"] if name in costs else "–",
            "memory": costs[name]["memory"] if name in costs else "–",
            "when": _inline(re.split(r"(?<=[.;:]) ", info.when)[0].rstrip(";:")),
        }
        for name, info in LOSSES.items()
    ]
    table = pd.DataFrame(rows).to_html(index=False, escape=False, border=0, classes="sortable")
    table = table.replace("<th>", '<th style="text-align: left">').replace("<td>", '<td style="text-align: left">')
    if costs:
        where = f"{measured['cores']} cores with torch {html.escape(measured['environment']['torch'])}"
        table += (
            f"<p>Time and memory of forward and backward, on {where}: one thread, float32, 512 documents, 10,000 labels."
            " Time is a multiple of that of torch's own binary cross-entropy, memory of the size of the logits, with the"
            " gradient.</p>"
        )
    return HTML(table)


def _code(text: str) -> str:
    return f"<code>{html.escape(text, quote=False)}</code>"


def _inline(text: str) -> str:
    """Return a line of a docstring as HTML, with its literals and references as code."""
    parts = re.split(r":\w+:`~?([^`]+)`|``([^`]+)``", html.escape(text, quote=False))
    return "".join(
        part if i % 3 == 0 else f"<code>{part.rpartition('.')[2] if i % 3 == 1 else part}</code>"
        for i, part in enumerate(parts)
        if part
    )
