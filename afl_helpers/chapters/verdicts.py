"""Verdicts on the paper's claims, as the chapters show them."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from IPython.display import HTML

from afl_helpers.claims import CLAIMS
from afl_helpers.results import Result, compare, read_study
from afl_helpers.studies import check_complete

#: The studies that tune the whole encoder to the end of its schedule -> how much they train on.
TUNED_STUDIES = {
    "tuned-to-the-end": "3,000 films, 93 genres",
    "tuned-to-the-end-minilm": "9,500 films, 227 genres",
}

#: Beginning of a verdict, or an outcome -> the class of its colour in the book's style sheet.
_CLASSES = {
    "reproduced": "holds",
    "not reproduced": "fails",
    "impossible": "fails",
    "undecided": "undecided",
    "holds": "holds",
    "fails": "fails",
}


def tuned_differences(endpoints: Sequence[str], margin: float = 0.02) -> pd.DataFrame:
    """Compare AFL, one gamma of its mean and cross-entropy, two by two, in the studies that tune the whole encoder.

    The three differences in an endpoint of a study are one family.

    Args:
        endpoints: as in :func:`afl_helpers.results.compare`.
        margin: the smallest difference that matters; .02 is that of both studies.

    Returns:
        Rows of :func:`afl_helpers.results.compare`, with ``study``, and ``corpus`` saying how much is trained on.
    """
    check_complete(*TUNED_STUDIES)
    found = []
    for study, size in TUNED_STUDIES.items():
        runs = [run for run in read_study(study) if run.data.corpus == "cmu-leads"]
        rivals = {"afl": ["bce", "afl-mean"], "afl-mean": ["bce"]}
        table = compare(runs, [*rivals], rivals, list(endpoints), margin=margin, family=("corpus", "endpoint"))
        found.append(table.assign(study=study, corpus=size))
    return pd.concat(found, ignore_index=True)


def differences_by_block(
    runs: Sequence[Result], settings: Sequence[str], endpoints: Sequence[str], rival: str = "bce"
) -> pd.DataFrame:
    """Return what each setting gains over a rival on each block; where there are few, they say more than an interval.

    Args:
        runs: of one or more studies with the same blocks, data and encoder. Of a run that stands twice the last counts.
        settings: those to compare, in the order of the rows; a setting without runs on a corpus has no rows there.
        endpoints: as in :func:`afl_helpers.results.compare`.
        rival: a setting.

    Returns:
        One row per corpus, setting and block that both sides have: ``corpus, setting, block``, and for each endpoint
        the setting's value minus the rival's.
    """
    found = {(run.data.corpus, run.setting, run.block): run for run in runs}
    rows = [
        {
            **{"corpus": corpus, "setting": setting, "block": block},
            **{name: run.metric(name) - found[corpus, rival, block].metric(name) for name in endpoints},
        }
        for (corpus, setting, block), run in found.items()
        if setting in settings and (corpus, rival, block) in found
    ]
    table = pd.DataFrame(rows, columns=["corpus", "setting", "block", *endpoints])
    return table.sort_values(
        ["setting", "corpus", "block"],
        key=lambda column: column.map(settings.index) if column.name == "setting" else column,
    ).reset_index(drop=True)


def tail_by_epochs(endpoint: str = "average_precision_macro_tail") -> pd.DataFrame:
    """Return what AFL, one gamma of its mean and cross-entropy reach when they are trained for longer.

    Args:
        endpoint: a metric of the test documents.

    Returns:
        One row per run on the blocks of TUNED_STUDIES on which both AFL and cross-entropy were trained for longer:
        ``size`` (how much is trained on), ``setting``, ``block``, ``epochs``, ``value``.
    """
    check_complete(*TUNED_STUDIES)
    longer = {"tuned-to-the-end": read_study("tuned-for-longer")}
    table = pd.DataFrame(
        {
            "size": size,
            "setting": setting,
            "block": run.block,
            "epochs": run.config["epochs"],
            "value": run.metric(endpoint),
        }
        for study, size in TUNED_STUDIES.items()
        for run in (*read_study(study), *longer.get(study, ()))
        for setting in ("afl-mean", "bce", "afl")
        if re.fullmatch(rf"{setting}(-long|-[0-9]+)?", run.setting) and run.data.corpus == "cmu-leads"
    )
    lengths = table.groupby(["size", "block", "setting"])["epochs"].nunique().unstack()
    trained = lengths[(lengths[["bce", "afl"]] > 1).all(axis=1)].index
    kept = pd.MultiIndex.from_frame(table[["size", "block"]]).isin(trained)
    return table[kept].reset_index(drop=True)


def verdict_table(table: pd.DataFrame) -> HTML:
    """Return the claims with their verdicts first, in colour and words.

    Args:
        table: as :func:`afl_helpers.claims.claims_table` returns it.
    """
    rows = [
        f"<tr><th>{row['id']}</th><td>{_coloured(row['verdict'])}</td><td>{_text(row['claim'])}</td>"
        f"<td>{_text(row['reported'])}</td><td>{_text(row['conditions'])}</td></tr>"
        for row in table.to_dict("records")
    ]
    return HTML(_table(["", "Verdict", "The paper claims", "It reports", "Tested with"], rows))


def reading_table(findings: pd.DataFrame, claim: str) -> HTML:
    """Return what holds for one claim: texts and readings of Eq. 2 down, alternatives of the rule across.

    Args:
        findings: as :func:`afl_helpers.claims.findings` returns them; only those over blocks are shown.
        claim: its id, such as "C7".
    """
    own = findings[(findings["id"] == claim) & (findings["about"] == "claim") & (findings["unit"] == "block")]
    alternatives = list(dict.fromkeys(own["alternative"]))
    rows = []
    for (study, corpus, n, reading), part in own.groupby(["study", "corpus", "n", "reading"], sort=False):
        cells = {row["alternative"]: row for row in part.to_dict("records")}
        columns = "".join(
            f"<td>{_coloured(cells[name]['outcome'])}<br><small>{_numbers(cells[name])}</small></td>"
            for name in alternatives
        )
        name = ", ".join(filter(None, [str(corpus), str(reading)]))
        rows.append(f"<tr><th>{_text(name)}<br><small>{_text(study)}, {n} blocks</small></th>{columns}</tr>")
    return HTML(
        _table(["Texts, reading", *map(_text, alternatives)], rows) if rows else "<p>No complete study yet.</p>"
    )


def claim_evidence(table: pd.DataFrame) -> HTML:
    """Return rule and evidence of every claim, each folded under its verdict.

    Args:
        table: as :func:`afl_helpers.claims.claims_table` returns it.
    """
    parts = []
    for claim, row in zip(CLAIMS, table.to_dict("records")):
        lines = [
            f"The paper: {claim.reported} ({claim.source}).",
            f"The rule: {claim.rule}.",
            *row["evidence"].splitlines(),
        ]
        effect = f"<p>It rests on: {_text(row['effect'])}.</p>" if row["effect"] else ""
        items = "".join(f"<li>{_text(line)}</li>" for line in lines)
        parts.append(
            f"<details><summary>{claim.id} {_text(claim.claim)}: {_coloured(row['verdict'])}</summary>{effect}<ul>{items}</ul>"
            "</details>"
        )
    return HTML("".join(parts))


def _table(heads: list[str], rows: list[str]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f'<table class="verdicts"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _coloured(outcome: str) -> str:
    name = next((name for start, name in _CLASSES.items() if outcome.startswith(start)), "untested")
    return f'<span class="verdict-{name}">{_text(outcome)}</span>'


def _numbers(row: Mapping[Any, Any]) -> str:
    return f"{row['estimate']:+z.3f} [{row['low']:+z.3f}, {row['high']:+z.3f}]"


def _text(words: object) -> str:
    return html.escape(str(words), quote=False)
