"""The findings as one HTML page, which needs no other file."""

import re
from collections.abc import Sequence
from html import escape

import numpy as np

from afl_helpers.data import Corpus
from afl_helpers.doctor.evidence import kept_share
from afl_helpers.doctor.finding import SEVERITIES, Finding, number, percent
from afl_helpers.doctor.label_counts import split_counts

_TITLES = {"fix": "To fix", "check": "To check", "note": "Good to know"}
_STYLE = """
:root { color-scheme: light dark; --fix: #b3261e; --check: #9a6700; --note: #1a5fb4; --bar: #8ab4f8; --line: #8886; }
@media (prefers-color-scheme: dark) { :root { --fix: #f2b8b5; --check: #e8c268; --note: #a8c7fa; --bar: #41659c; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
section { border-left: 4px solid var(--note); padding: 0 0 0 1rem; margin: 1rem 0; }
section.fix { border-color: var(--fix); } section.check { border-color: var(--check); }
p { margin: .3rem 0; } .examples { font-size: .9em; opacity: .85; }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9em; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; min-width: 8rem; overflow-wrap: anywhere; } .bar { background: var(--bar); height: .7em; display: block; }
td.share { width: 20%; }
"""


def render_page(corpus: Corpus, findings: Sequence[Finding], study: str | None = None) -> str:
    """Return an HTML page with the findings, a table of the labels, and how the corpus was read.

    Args:
        corpus: the corpus that was examined.
        findings: what :func:`~afl_helpers.doctor.examine` returned.
        study: the text of a ``study.yaml`` to show.
    """
    parts = [f"<h1>{escape(corpus.name)}: what to know before training</h1>", f"<p>{_summary(findings)}</p>"]
    for severity in SEVERITIES:
        own = [finding for finding in findings if finding.severity == severity]
        if own:
            parts.append(f"<h2>{_TITLES[severity]}</h2>")
            parts += map(_section, own)
    parts += ["<h2>Labels</h2>", _label_table(corpus)]
    lines = "".join(f"<li>{escape(line)}</li>" for line in corpus.describe().splitlines())
    parts.append(f"<h2>How it was read</h2><ul>{lines}</ul>")
    if study is not None:
        parts.append(f"<h2>A study to begin with</h2><pre>{escape(study)}</pre>")
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(corpus.name)}: findings</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _summary(findings: Sequence[Finding]) -> str:
    counts = [sum(finding.severity == severity for finding in findings) for severity in SEVERITIES]
    return f"{number(counts[0], 'finding')} to fix, {counts[1]} to check, {number(counts[2], 'note')}."


def _section(finding: Finding) -> str:
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(finding.advice))
    advice = f"<p>{words}</p>" if words else ""
    examples = f'<p class="examples">{escape("; ".join(finding.examples))}</p>' if finding.examples else ""
    sentence = f"<p><strong>{escape(finding.sentence)}</strong></p>"
    return f'<section class="{finding.severity}" id="{escape(finding.kind)}">{sentence}{advice}{examples}</section>'


def _label_table(corpus: Corpus) -> str:
    """Return the labels with their counts and the share of a tuned threshold's F1 that test will keep."""
    counts, splits = corpus.label_counts, split_counts(corpus)
    most = max(int(counts.max(initial=0)), 1)
    kept = kept_share(np.rint(splits.validation))
    rows = []
    for place in np.argsort(-counts, kind="stable"):
        share = "none to tune on" if np.isnan(kept[place]) else percent(float(kept[place]))
        width = 100 * counts[place] / most
        rows.append(
            f'<tr><td>{escape(corpus.label_names[place])}</td><td>{counts[place]:,}</td><td class="share">'
            f'<span class="bar" style="width:{width:.1f}%"></span></td><td>{splits.train[place]:,.0f}</td>'
            f"<td>{splits.validation[place]:,.0f}</td><td>{splits.test[place]:,.0f}</td><td>{share}</td></tr>"
        )
    how = "given" if splits.given else "expected"
    head = (
        f"<tr><th>label</th><th>documents</th><th></th><th>train ({how})</th><th>validation</th><th>test</th>"
        "<th>F1 kept by a tuned threshold</th></tr>"
    )
    return f'<div class="table"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
