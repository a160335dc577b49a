"""Write the reproduction article: its numbers from results/, its pages with Typst, into _build/article.pdf.

The text stands in article/article.typ and holds no number; the layout in article/style.typ. This program computes the values
that the text asks for, with the functions that the chapters use. Where the text says in words what the results show, a
check here fails as soon as they show something else: then the text has to be written anew.

Usage: python tools/make_article.py [--pictures]      (Typst comes with `pip install ".[article]"`)
"""

import argparse
import datetime
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from afl_helpers.chapters.display import registered
from afl_helpers.chapters.figures import PALETTE, RULE_TITLES, title_of
from afl_helpers.chapters.verdicts import TUNED_STUDIES, tuned_differences
from afl_helpers.claims import CLAIMS, REPORTED, VERDICTS, max_auc, reported_range, verdicts
from afl_helpers.claims.definitions import endpoint_title
from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts
from afl_helpers.errors import DataError
from afl_helpers.gamma import class_gamma
from afl_helpers.losses import LOSSES
from afl_helpers.results import Result, compare, deciding_interval, find_results, label_table, read_study, results_table
from afl_helpers.studies import complete_blocks, complete_results, describe_progress, load_study

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
STUDY, RECALL, TUNED, PAPER = "frozen-encoder", "start-and-stop", "tuned-to-the-end", "paper-cmu"
LARGER = "frozen-mpnet"
FIVE = "paper-minilm"
CORPORA = {"cmu-leads": "film genres", "cmu-leads-masked": "film genres, masked", "reuters": "news topics"}
#: How many of the genres that gain most recall are named.
N_TOP = 6
READINGS = ["afl", "afl-log10", "afl-information"]
RULES = ["at_0.5", "tuned_common", "tuned_common_macro", "tuned_proportional"]
WORDS = ["no", *"one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()]
INK = "#1a1a1a"


def in_words(number: int) -> str:
    """Return a count as prose writes it: in words up to fifteen, in digits beyond."""
    return WORDS[number] if 0 <= number < len(WORDS) else f"{number:,}"


def listed(words: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def minus(text: str) -> str:
    """Return a text with minus signs in place of the hyphens before numbers and between settings."""
    return text.replace(" - ", " − ").replace("-0", "−0").replace("-1", "−1")


def signed(row: Mapping[Any, Any]) -> str:
    """Return a difference with the interval of the test that decides."""
    low, high, _ = deciding_interval(row)
    return minus(f"{row['estimate']:+z.3f} [{low:+z.3f}, {high:+z.3f}]")


def require(holds: bool, sentence: str) -> None:
    """Stop if the results no longer show what the article says."""
    if not holds:
        raise DataError(f"article/article.typ says that {sentence}; the results no longer show it, so change the text")


def outcomes(table: pd.DataFrame) -> str:
    """Return how many rows of a comparison have each outcome: "seven higher, two within the margin"."""
    counts = Counter(table["outcome"])
    names = [name for name in ("higher", "lower", "within the margin", "undecided") if counts[name]]
    return listed([f"{in_words(counts[name])} {name}" for name in names])


def about(root: Path) -> dict[str, Any]:
    """Return title, authors and the facts under them, all from CITATION.cff."""
    citation = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    original = citation["references"][0]
    released = citation.get("date-released")
    date = datetime.date.fromisoformat(released) if released else None
    people = [author["family-names"] for author in original["authors"]]
    address = citation.get("repository-code")
    facts = {
        "Original": f"{listed(people)}, {original['journal']} {original['volume']}({original['issue']}), {original['year']}, "
        f"doi:{original['doi']}",
        "Code and results": f"{address or 'the repository that this article comes with'}, version {citation['version']}, "
        + (f"{date.day} {date:%B %Y}" if date else "unreleased"),
        "Licence": f"text and figures CC BY 4.0, code {citation['license']}",
        "State": "written from the result files by make article; not peer reviewed",
    }
    return {
        "title": f"[Re] {original['title']}",
        "running_title": f"[Re] {original['title'].partition(':')[0]}",
        "kind": "Reproduction in machine learning",
        "authors": [
            person.get("name") or f"{person['given-names']} {person['family-names']}" for person in citation["authors"]
        ],
        "description": citation["title"],
        "keywords": citation["keywords"],
        "date": {"year": date.year, "month": date.month, "day": date.day} if date else None,
        "facts": list(facts.items()),
    }


def claims(results: Sequence[Result]) -> dict[str, Any]:
    """Return the table of `python -m afl_helpers claims`, and the verdicts counted."""
    judged = verdicts(results)
    rows = [
        {"id": claim.id, "claim": claim.claim, "verdict": row["verdict"], "effect": minus(row["effect"])}
        for claim, row in zip(CLAIMS, judged.to_dict("records"))
    ]
    counts = Counter(judged["verdict"])
    parts = [f"{in_words(counts[name])} {name}" for name in VERDICTS if counts[name]]
    none = "" if any(name.startswith("reproduced") for name in counts) else "none reproduced, "
    return {"rows": rows, "total": in_words(len(rows)), "counts": f"The verdicts: {none}{listed(parts)}."}


def frozen(table: pd.DataFrame) -> dict[str, Any]:
    """Return what the registered comparison of the decisive study says."""
    margin = float(table["margin"].iloc[0])
    require(bool((table["outcome"] != "higher").all()), "no registered difference is higher")
    low, high, _ = zip(*map(deciding_interval, table.to_dict("records")))
    require(max(high) < margin, "every registered interval ends below the margin")
    require(min(low) < -margin, "some registered intervals reach below minus the margin")
    study = load_study(STUDY, find_results())
    return {
        "name": STUDY,
        "margin": f"{margin:g}",
        "blocks": in_words(int(table["n_blocks"].min())),
        "readings": f"{in_words(table['setting'].nunique())} readings",
        "min_count": str(study.corpora[0].min_count),
        "level": re.search(r"\d+ %", table["interval"].iloc[0])[0],
        "outcomes": f"Of {len(table)} differences, {outcomes(table)}.",
        "summary": f"With MiniLM frozen, none of {len(table)} registered comparisons of AFL with binary "
        f"cross-entropy, in average precision on the rarest third or in macro F1 under the proportional cut, shows a gain of "
        f"{margin:g}; {outcomes(table)}.",
    }


def difference_plot(table: pd.DataFrame) -> dict[str, Any]:
    """Return the figure of the registered comparison: a row per corpus and reading, a panel per endpoint."""
    endpoints = {
        "average_precision_macro_tail": "average precision, tail",
        "f1_macro@tuned_proportional": "macro F1, proportional cut",
    }
    rows: list[dict[str, Any]] = []
    place = {}
    for corpus, title in CORPORA.items():
        rows.append({"name": title, "header": True})
        for reading in READINGS:
            place[corpus, reading] = len(rows)
            rows.append({"name": title_of(reading), "header": False, "colour": INK})
    panels = []
    limits = [deciding_interval(row)[:2] for row in table.to_dict("records")]
    reach = float(np.ceil(np.abs(limits).max() * 200) / 200)
    ticks = [
        {"at": at, "name": minus(f"{at:+z.2f}") if at else "0"}
        for at in (-0.02, -0.01, 0, 0.01, 0.02)
        if abs(at) <= reach
    ]
    for endpoint, title in endpoints.items():
        points = []
        for row in table[table["endpoint"] == endpoint].to_dict("records"):
            low, high, _ = deciding_interval(row)
            points.append(
                {
                    "row": place[row["corpus"], row["setting"]],
                    "at": row["estimate"],
                    "low": low,
                    "high": high,
                    "colour": PALETTE[0],
                    "open": row["outcome"] == "undecided",
                }
            )
        margin = float(table["margin"].iloc[0])
        panels.append(
            {"title": title, "low": -reach, "high": reach, "ticks": ticks, "band": [-margin, margin], "zero": True}
            | {"marks": [], "points": points}
        )
    shown = [
        f"{CORPORA[row['corpus']]}, {title_of(row['setting'])}, {endpoints[row['endpoint']]}: {signed(row)}"
        for row in table.to_dict("records")
    ]
    return {"rows": rows, "panels": panels, "alt": f"Differences from BCE with intervals. {'; '.join(shown)}."}


def rule_plot(table: pd.DataFrame, words: Mapping[str, float]) -> dict[str, Any]:
    """Return the figure of macro F1: a row per threshold rule and loss, a panel per corpus."""
    settings = ["bce", *READINGS]
    colours = dict(zip(settings, (INK, *PALETTE)))
    rows: list[dict[str, Any]] = []
    place = {}
    for rule in RULES:
        rows.append({"name": RULE_TITLES[rule], "header": True})
        for setting in settings:
            place[rule, setting] = len(rows)
            rows.append({"name": title_of(setting), "header": False, "colour": colours[setting]})
    panels, shown = [], []
    for corpus, title in CORPORA.items():
        own = table[table["corpus"] == corpus]
        points = []
        for (rule, setting), row in place.items():
            values = own[(own["thresholds"] == rule) & (own["setting"] == setting)]["f1_macro"]
            found = {"at": float(values.mean()), "low": float(values.min()), "high": float(values.max())}
            points.append({"row": row, "colour": colours[setting], "open": False} | found)
            shown.append(f"{title}, {RULE_TITLES[rule]}, {title_of(setting)}: {found['at']:.3f}")
        low = np.floor(min(point["low"] for point in points) * 20) / 20
        high = np.ceil((words[corpus] + 0.005) * 20) / 20
        ticks = [
            {"at": float(at), "name": f"{at:.1f}"} for at in np.arange(0, 1, 0.1) if low - 1e-9 <= at <= high + 1e-9
        ]
        mark = {
            "at": words[corpus],
            "rows": [place["tuned_proportional", "bce"], len(rows)],
            "name": "word counts, SVM",
        }
        panels.append(
            {"title": title, "low": float(low), "high": float(high), "ticks": ticks, "band": None, "zero": False}
            | {"marks": [mark], "points": points}
        )
    return {"rows": rows, "panels": panels, "alt": f"Macro F1 on test. {'; '.join(shown)}."}


def score_plot(results: Sequence[Result], corpus: str = "cmu-leads") -> dict[str, Any]:
    """Return the figure of the scores of a frequent and of a rare genre, as the front page of the book draws it."""
    own = [run for run in results if run.data.corpus == corpus]
    counts = dict(zip(own[0].labels.name, own[0].labels.training_count))
    rows: list[dict[str, Any]] = []
    for genre, title in {"Drama": "Drama", "Haunted House Film": "Haunted House"}.items():
        cells = []
        for setting in ("bce", "afl"):
            runs = [run for run in own if run.setting == setting and run.summaries]
            heights = {}
            for sign in ("positives", "negatives"):
                total = np.sum([getattr(run.summaries.labels[genre], sign) for run in runs if run.summaries], axis=0)
                heights[sign] = (total / total.max()).round(4).tolist()
            threshold = float(np.mean([run.labels.threshold["tuned_common"] for run in runs]))
            cells.append(heights | {"threshold": threshold, "threshold_name": f"{threshold:.2f}"})
        rows.append({"name": f"{title}\n{counts[genre]:,} films", "cells": cells})
    centres = (np.arange(len(rows[1]["cells"][0]["positives"])) + 0.5) / len(rows[1]["cells"][0]["positives"])
    means = [
        [float(np.average(centres, weights=cell[sign])) for sign in ("positives", "negatives")]
        for cell in rows[1]["cells"]
    ]
    require(all(afl > bce for bce, afl in zip(*means)), "under AFL a rare genre's films and all others score higher")
    return {
        "corpus": corpus,
        "labels": own[0].data.n_labels,
        "columns": [title_of("bce"), title_of("afl")],
        "rows": rows,
        "positives": "films of the genre",
        "negatives": "other films",
        "ends": ["0", "1"],
        "alt": "Histograms of test scores of a frequent and a rare genre. Mean score of the rare genre's films and of others: "
        + "; ".join(f"{name} {p:.2f} and {n:.2f}" for name, (p, n) in zip(("BCE", "AFL"), means))
        + ".",
    }


def corpora(results: Sequence[Result]) -> list[dict[str, str]]:
    rows = []
    for corpus, title in CORPORA.items():
        data = next(run.data for run in results if run.data.corpus == corpus)
        sizes = {name: f"{size:,}" for name, size in data.sizes.items()}
        rows.append(
            {"name": title, "texts": data.source.split(",")[0].split(" (")[0], "labels": str(data.n_labels)} | sizes
        )
    return rows


def studies() -> list[dict[str, str]]:
    """Return every study in blocks that declares a primary comparison, and how far it is."""
    rows = []
    for path in sorted(find_results().glob("*/study.yaml")):
        study = load_study(path.parent.name, path.parent.parent)
        if study.primary is not None and study.blocks:
            names = ", ".join(corpus.name for corpus in study.corpora)
            state = describe_progress(study) or "complete"
            rows.append({"name": study.name, "encoder": study.config.encoder, "corpora": names, "state": state})
    return sorted(rows, key=lambda row: (row["state"] != "complete", row["name"]))


def devices(results: Sequence[Result], others: Sequence[Result] = ()) -> str:
    """Say on what the runs were made: those that decide, and others that are shown."""
    counts = Counter(str(run.environment["device"]).split(",")[0] for run in (*results, *others))
    if set(counts) == {"CPU"}:
        return f"All {counts['CPU']:,} runs of this article were made on CPUs, none on a graphics card."
    made = listed([f"{name} ({n:,})" for name, n in counts.most_common()])
    without = f"; {len(others)} of them are of studies that give no verdict" if others else ""
    return f"Runs were made on {made}{without}."


def of_study(name: str, about: str) -> dict[str, str]:
    """Say how far a study is, and what it says once it is complete."""
    _, table = registered(name)
    if table is None:
        return {"status": f"The study {name}, {about}, is {describe_progress(load_study(name, find_results()))}."}
    if set(table["outcome"]) == {"not converged"}:
        return {"status": f"By its registered rule the study {name} has not converged, and gives no verdict."}
    rows = "; ".join(
        f"{title_of(row['setting'])} minus {title_of(row['rival'])}, {endpoint_title(row['endpoint'])}, {signed(row)}, "
        f"{row['outcome']}"
        for row in table.to_dict("records")
    )
    return {"status": f"The study {name}, {about}, is complete: {rows}."}


def larger_encoder() -> str:
    """Say what the study with a larger frozen encoder shows, and what the learning rates have to do with it."""
    status, table = registered(LARGER)
    if table is None:
        return status
    higher = table[table["outcome"] == "higher"]
    require(
        set(zip(higher["setting"], higher["corpus"], higher["endpoint"]))
        == {(reading, "reuters", "average_precision_macro_tail") for reading in READINGS},
        "with a larger encoder every reading ranks the tail of Reuters better, and nothing else is higher",
    )
    require(not (table["outcome"] == "lower").any(), "with a larger encoder nothing is lower")
    runs, _ = complete_results(study=LARGER, corpus="reuters")
    means = results_table(runs, ["at_0.5"]).groupby("setting")["average_precision_macro_tail"].mean()
    left = means["afl"] - means["bce-rate-of-afl"]
    require(0 < left < (means["afl"] - means["bce"]) / 2, "under n/mean most of it is a difference of learning rates")
    rates = {run.setting: run.config["learning_rate"] for run in runs}
    require(
        rates["afl"] == rates["bce-rate-of-afl"] > rates["bce"] == rates["afl-log10"],
        "AFL under log10 had the rate of BCE, and under n/mean a larger one",
    )
    return (
        f"With MPNet in place of MiniLM, {in_words(len(higher))} of {len(table)} comparisons are higher: every reading ranks the "
        f"tail of Reuters better, by {higher['estimate'].min():.3f} to {higher['estimate'].max():.3f}. Under n/mean "
        f"most of it is a difference of learning rates: in runs that were added later, BCE at AFL's rate is {left:.3f} below it. Under "
        f"log10 AFL had BCE's own rate."
    )


def tuned_order() -> str:
    """Say in which order the studies that tune the whole encoder rank the tail under three losses."""
    table = tuned_differences(["average_precision_macro_tail"]).set_index(["setting", "rival"])
    below, above = table.loc[("afl", "bce")], table.loc[("afl-mean", "bce")]
    n_blocks = int(below["n_blocks"].sum())
    require(bool((below["n_lower"] == below["n_blocks"]).all()), "AFL ranks the tail below BCE in every block")
    require(bool((above["estimate"] > 0).all()), "one gamma of AFL's mean ranks the tail above BCE")
    n_better = int((above["n_blocks"] - above["n_lower"]).sum())
    worse, better = ([minus(f"{value:+z.3f}") for value in rows["estimate"]] for rows in (below, above))
    return (
        f"With the whole encoder tuned, AFL ranks the rarest third of the genres worse than BCE in all {n_blocks} blocks of "
        f"two studies ({listed(worse)}). One gamma for all genres, AFL's mean, ranks them better than BCE in {n_better} ({listed(better)})."
    )


def five_settings() -> str:
    """Say what the study of the paper's five settings with a tuned encoder finds."""
    status, table = registered(FIVE)
    if table is None:
        return status
    tail = table[table["endpoint"] == "average_precision_macro_tail"].set_index("rival")
    overall = table[table["endpoint"] == "f1_micro@at_0.5"]
    gammas = [name for name in tail.index if name.startswith("focal")]
    require(bool((tail.loc[gammas, "outcome"] == "lower").all()), "AFL ranks the tail below every static value")
    require(bool((overall["outcome"] == "within the margin").all()), "micro F1 is within the margin of all four")
    rows = listed([f"{title_of(name)} {signed(tail.loc[name].to_dict())}" for name in tail.index])
    epochs = read_study(FIVE)[0].config["epochs"]
    return (
        f"The registered study {FIVE} trains the paper's five settings for {epochs} epochs, on "
        f"{in_words(int(tail['n_blocks'].min()))} blocks. Average precision of the tail, AFL minus: {rows}. In micro F1 at 0.5 AFL is within "
        f"{table['margin'].iloc[0]:g} of all four. Longer training still raises the tail under these losses."
    )


def found_more(runs: Sequence[Result], setting: str, rival: str) -> dict[str, str]:
    """Say how many of the pairs of document and label that one setting finds and a rival does not lie in a few labels."""
    pairs = label_table(runs, "at_0.5").pivot_table("true_positives", "label", "setting", "sum")
    more = (pairs[setting] - pairs[rival]).sort_values(ascending=False)
    counts = dict(zip(runs[0].labels.name, runs[0].labels.training_count))
    top, tail = more.head(N_TOP), sorted(counts.values())[len(counts) // 3]
    require(min(counts[name] for name in top.index) > tail, "the gain in recall is in frequent genres")
    return {"top": in_words(N_TOP), "share": f"{100 * top.sum() / more.sum():.0f} %", "names": listed(list(top.index))}


def controls() -> str:
    """Say whether the controls of the decisive study are complete."""
    names = ["afl-mean", "afl-shuffled", "afl-reversed"]
    study = load_study(STUDY, find_results())
    planned = [run for run in study.runs() if run.setting.name in names]
    done = sum(study.path(run).is_file() for run in planned)
    titles = listed([title_of(name) for name in names])
    state = (
        "complete; the chapter on results shows them"
        if done == len(planned)
        else f"running: {done} of {len(planned)} runs"
    )
    return f"The controls of {STUDY} ({titles}) are {state}."


def facts(root: Path = ROOT) -> dict[str, Any]:
    """Return every value that article.typ asks for, as JSON can hold it."""
    results, _ = complete_results()
    runs = complete_blocks(STUDY)
    status, table = registered(STUDY)
    recall_status, recall = registered(RECALL)
    for told, said in ((table, status), (recall, recall_status)):
        if told is None:
            raise DataError(f"{said.removesuffix('.')}; the article waits for it: python -m afl_helpers study NAME")
    metrics = results_table(runs)
    baselines = results_table(read_study("word-counts"), ["tuned_proportional"])
    svm = baselines[baselines["setting"] == "tfidf-linear-svm"].groupby("corpus")["f1_macro"].mean()
    means = (
        metrics[metrics["thresholds"].isin(RULES) & metrics["setting"].isin(["bce", *READINGS])]
        .groupby(["corpus", "thresholds", "setting"])["f1_macro"]
        .mean()
        .unstack()
    )
    with_cut = means.xs("tuned_proportional", level="thresholds")
    over_losses = with_cut.max(axis=1) - with_cut.min(axis=1)
    bce = means["bce"].unstack("thresholds")
    over_rules = bce.max(axis=1) - bce.min(axis=1)
    require(bool((over_rules > 2 * over_losses).all()), "the threshold rule matters more than the loss")
    require(bool((svm[list(CORPORA)] > means.unstack().max(axis=1)[list(CORPORA)]).all()), "a linear model is ahead")

    names = {
        "macro": "f1_macro@tuned_common",
        "micro": "f1_micro@tuned_common",
        "tuned_for_macro": "f1_macro@tuned_common_macro",
    }
    one = compare(runs, READINGS, ["bce"], list(names.values()), margin=0.01, family=("corpus", "endpoint"))
    one_by_name = {name: one[one["endpoint"] == endpoint] for name, endpoint in names.items()}
    require(bool((one_by_name["macro"]["outcome"] == "higher").any()), "some macro F1 is gained at one threshold")
    require(bool((one_by_name["micro"]["outcome"] == "lower").any()), "the price is micro F1")

    pairs = recall.set_index(["endpoint", "setting", "rival"]).to_dict("index")
    stopped = pairs["recall_micro@at_0.5", "afl-zero-stopped", "bce-zero-stopped"]
    tail = pairs["recall_macro_tail@at_0.5", "afl-zero-stopped", "bce-zero-stopped"]
    annealed = pairs["recall_micro@at_0.5", "afl-loss-annealed", "bce-prior-annealed"]
    require(annealed["estimate"] < stopped["estimate"] / 2, "start and the moment of stopping make most of the recall")
    require(
        (stopped["outcome"], tail["outcome"], annealed["outcome"])
        == ("higher", "within the margin", "within the margin"),
        "early stopping from zero makes the micro recall, outside the tail",
    )

    told = claims(results)
    by_id = {row["id"]: row for row in told["rows"]}
    require(by_id["C14"]["verdict"] == "reproduced in direction", "overall performance is nearly kept")
    require(by_id["C10"]["verdict"] == "not reproduced", "the loss does not give rare classes more weight")
    reported = REPORTED["afl"]
    low, high = reported_range(reported["f1"])
    most = max_auc(reported["recall_micro"])
    require(
        reported_range(reported["roc_auc"])[0] > most,
        "the reported recall and AUC exclude each other for micro averages",
    )
    counts = np.array(list(genre_counts().values()))
    literal = class_gamma(counts, N_MOVIES_WITH_GENRE, normalization="documents", bounds=None).max()
    defaults = LOSSES["afl"].defaults
    return {
        "about": about(root),
        "palette": list(PALETTE),
        "claims": told,
        "runs": {"total": f"{len(results):,}"},
        "frozen": frozen(table),
        "five": five_settings(),
        "tuned": of_study(TUNED, "with the whole encoder tuned") | {"order": tuned_order()},
        "paper": of_study(PAPER, "under the paper's own conditions"),
        "rules": {
            "half": RULE_TITLES["at_0.5"],
            "common": f"at {RULE_TITLES['tuned_common']}",
            "plot": rule_plot(metrics, {corpus: float(svm[corpus]) for corpus in CORPORA}),
        },
        "gamma": {
            "base": f"{defaults['base_gamma']:g}",
            "alpha": f"{defaults['alpha'] or 1:g}",
            "bounds": "[{:g}, {:g}]".format(*defaults["bounds"]),
            "log10": "The reading log10",
            "information": "the reading information",
            "literal": f"{literal:,.0f}",
        },
        "corpora": corpora(runs),
        "differences": difference_plot(table),
        "scores": score_plot(runs),
        "one": {name: f"{outcomes(part)}, of {in_words(len(part))}" for name, part in one_by_name.items()},
        "recall": {
            "name": RECALL,
            "stopped": signed(stopped),
            "stopped_tail": signed(tail),
            "annealed": signed(annealed),
            **found_more(complete_blocks(RECALL), "afl-zero-stopped", "bce-zero-stopped"),
        },
        "overall": {"effect": by_id["C14"]["effect"]},
        "mechanism": {"effect": by_id["C10"]["effect"]},
        "rule": {
            "over_losses": listed([f"{over_losses[corpus]:.3f} ({title})" for corpus, title in CORPORA.items()]),
            "over_rules": listed([f"{over_rules[corpus]:.3f} ({title})" for corpus, title in CORPORA.items()]),
        },
        "svm": "; ".join(
            f"{svm[corpus]:.3f} on {title}, against {with_cut.loc[corpus, 'bce']:.3f} for BCE"
            for corpus, title in CORPORA.items()
        ),
        "printed": {
            "recall": reported["recall_micro"],
            "auc": reported["roc_auc"],
            "most": f"{most:.4f}",
            "f1": reported["f1"],
            "low": f"{low:g}",
            "high": f"{high:g}",
            "rival": REPORTED["focal-2.0"]["f1"],
        },
        "controls": controls(),
        "larger": larger_encoder(),
        "devices": devices(results, [run for name in TUNED_STUDIES for run in read_study(name)]),
        "studies": studies(),
    }


def write(values: dict[str, Any], folder: Path, root: Path = ROOT) -> Path:
    """Lay out the article in a folder, with the values beside the template; return the PDF's path."""
    import typst

    folder.mkdir(parents=True, exist_ok=True)
    for path in [*sorted((root / "article").glob("*.typ")), root / "references.bib"]:
        shutil.copy(path, folder)
    (folder / "values.json").write_text(json.dumps(values, indent=1, ensure_ascii=False), "utf-8")
    compiler = typst.Compiler(folder / "article.typ", root=folder, ignore_system_fonts=True)
    date = values["about"]["date"]
    stamp = datetime.datetime(date["year"], date["month"], date["day"], tzinfo=datetime.UTC) if date else None
    path = folder.with_suffix(".pdf")
    compiler.compile(output=path, format="pdf", pdf_standards="ua-1", timestamp=stamp)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", action="store_true", help="also write each page as a picture")
    pictures = parser.parse_args(arguments).pictures
    try:
        import typst
    except ImportError:
        print('Typst is not installed; run `pip install ".[article]"`, or `make article`.', file=sys.stderr)
        return 1
    try:
        path = write(facts(), BUILD / "article")
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    if pictures:
        typst.compile(
            BUILD / "article" / "article.typ",
            output=str(BUILD / "article" / "page-{p}.png"),
            ppi=110,
            ignore_system_fonts=True,
        )
    print(f"Open {path}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
