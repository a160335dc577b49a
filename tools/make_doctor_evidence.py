"""Compute what the doctor says about thresholds and rules, and write afl_helpers/doctor/evidence.json.

    python tools/make_doctor_evidence.py

It reads the runs of binary cross-entropy in results/frozen-encoder, and their scores, which are beside the runs in
scores/ (git ignores them; ``python -m afl_helpers study frozen-encoder --repeat RUN`` makes those of a run again). The
texts come from AFL_DATA_DIR, or are downloaded.

`survival`: how much of the F1 that tuning promises on validation is left on test. A threshold is tuned for the F1 of each
label, without shrinkage. Labels are grouped by their number of validation positives. The F1 of a group is pooled: twice its
true positives, divided by its predictions and positives. Each number is the mean over the corpora of the mean over blocks;
`labels` counts the (label, block) pairs.

`rules`: test F1 of each corpus under three rules, the mean over blocks.

`loss`: the study's primary comparison: how many of its rows are in favour of the tested loss by the margin.
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afl_helpers.evaluation import binarize, tune_thresholds
from afl_helpers.results import Result, deciding_interval, read_study
from afl_helpers.studies import compare_study, load_study
from afl_helpers.studies.rerun import recorded_splits
from afl_helpers.studies.scores import read_scores, scores_path

ROOT = Path(__file__).parent.parent
STUDY = "frozen-encoder"
TARGET = ROOT / "afl_helpers" / "doctor" / "evidence.json"
#: The least number of validation positives of each group of labels.
GROUPS = (1, 3, 6, 11, 31, 101)
RULES = ("tuned_common", "tuned_per_label", "tuned_proportional")

Counts = NDArray[np.int64]


def counts_by_group(
    targets: NDArray[np.bool], decisions: NDArray[np.bool], groups: NDArray[np.int64]
) -> tuple[Counts, Counts]:
    """Return twice the true positives, and predictions plus positives, of each group."""
    hits = 2 * (targets & decisions).sum(0)
    either = targets.sum(0) + decisions.sum(0)
    size = len(GROUPS) + 1
    return np.bincount(groups, hits, size).astype(np.int64), np.bincount(groups, either, size).astype(np.int64)


def survival_of(result: Result) -> tuple[NDArray[np.float64], Counts]:
    """Return the F1 of each group on validation and test, (2, n_groups), and the number of its labels."""
    _, validation, test = recorded_splits(result)
    scores = read_scores(scores_path(ROOT / "results" / STUDY / "runs" / f"{result.run}.json"), validation, test)
    groups = np.searchsorted(GROUPS, validation.label_counts, side="right")
    thresholds = tune_thresholds(validation.dense_labels, scores["validation"], "per_label", shrinkage=0)
    rows = []
    for corpus, name in ((validation, "validation"), (test, "test")):
        hits, either = counts_by_group(corpus.dense_labels.astype(bool), binarize(scores[name], thresholds), groups)
        rows.append(np.divide(hits, either, out=np.full(len(hits), np.nan), where=either > 0)[1:])
    return np.array(rows), np.bincount(groups, minlength=len(GROUPS) + 1)[1:]


def mean_metrics(results: list[Result], rule: str) -> dict[str, float]:
    """Return the mean test F1 of several runs under a rule."""
    tests = [result.metrics["test"][rule] for result in results]
    return {name: round(float(np.mean([test[name] for test in tests])), 6) for name in ("f1_micro", "f1_macro")}


def main() -> None:
    results = [result for result in read_study(STUDY, ROOT / "results") if result.setting == "bce"]
    by_corpus, labels = defaultdict(list), np.zeros(len(GROUPS), dtype=np.int64)
    for result in results:
        found, n_labels = survival_of(result)
        by_corpus[result.data.corpus].append(found)
        labels += n_labels
    means = np.nanmean([np.nanmean(found, axis=0) for found in by_corpus.values()], axis=0)
    rules = {
        corpus: {
            rule: mean_metrics([result for result in results if result.data.corpus == corpus], rule) for rule in RULES
        }
        for corpus in by_corpus
    }
    compared = compare_study(load_study(STUDY, ROOT / "results"))
    margin = float(compared["margin"].iloc[0])
    above = sum(deciding_interval(row)[0] > margin for row in compared.to_dict("records"))
    content = {
        "source": f"results/{STUDY}: {len(results)} runs of binary cross-entropy; made by tools/{Path(__file__).name}",
        "survival": [
            {
                "validation_positives_from": least,
                "labels": int(count),
                "f1_validation": round(float(promised), 4),
                "f1_test": round(float(kept), 4),
            }
            for least, count, promised, kept in zip(GROUPS, labels, *means)
        ],
        "rules": rules,
        "loss": {"comparisons": len(compared), "above": above, "margin": margin},
    }
    TARGET.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
