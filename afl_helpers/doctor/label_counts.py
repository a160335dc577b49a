"""Checks of the counts of the labels: how many documents each has, now and in each split, and what follows from that."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afl_helpers.advice import DEFAULT_LOSS, DEFAULT_MIN_COUNT, DEFAULT_RULE
from afl_helpers.data import Corpus
from afl_helpers.data.imbalance import imbalance_ratios, scumble
from afl_helpers.doctor.evidence import evidence, gains_of, kept_share
from afl_helpers.doctor.finding import Finding, named, number, percent
from afl_helpers.evaluation import THRESHOLD_RULES

#: With fewer test documents, one of them moves the recall of a label by 20 points or more.
LEAST_TEST_DOCUMENTS = 5
#: With fewer documents, test has fewer than 30.
LEAST_DOCUMENTS = 300
#: From this number of validation documents with a label, tuning its threshold keeps nearly all of the F1 that it promises.
MANY_VALIDATION_DOCUMENTS = 101
#: Labels are about equally frequent if the most frequent one has at most this many times the documents of the rarest.
EVEN = 3


@dataclass(frozen=True)
class SplitCounts:
    """The number of documents with each label in each split, (n_labels,): counted if given, else expected."""

    train: NDArray[np.float64]
    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    given: bool


def split_counts(corpus: Corpus) -> SplitCounts:
    """Return how many documents of each label are in training, validation and test, as ``train`` splits a corpus."""
    subset = None if corpus.subset is None else np.array(corpus.subset)
    if subset is None or not (np.any(subset == "train") and np.any(subset == "test")):
        counts = corpus.label_counts.astype(np.float64)
        return SplitCounts(0.8 * counts, 0.1 * counts, 0.1 * counts, False)
    train, validation, test = (
        corpus.select_documents(subset == split).label_counts.astype(np.float64)
        for split in ("train", "validation", "test")
    )
    if not np.any(subset == "validation"):  # as many as the command train takes from training
        n_train = int(np.sum(subset == "train"))
        share = min(1000, max(1, n_train // 5)) / n_train
        train, validation = (1 - share) * train, share * train
    return SplitCounts(train, validation, test, True)


def check_label_counts(corpus: Corpus) -> Iterator[Finding]:
    """Yield what the counts of the labels show."""
    yield from _how_many(corpus)
    yield from _imbalance(corpus)
    yield from _extremes(corpus)
    yield from _rare(corpus)
    yield from _missing_in_train(corpus)
    yield from _always_together(corpus)
    yield from _thresholds(corpus)
    yield _advice(corpus)


def _how_many(corpus: Corpus) -> Iterator[Finding]:
    counts = corpus.label_counts
    per_document = np.asarray(corpus.labels.sum(axis=1, dtype=np.int64)).reshape(-1)
    yield Finding(
        "counts",
        "note",
        f"There are {number(len(corpus), 'document')} and {number(corpus.n_labels, 'label')}, "
        f"{per_document.mean():.2f} labels per document, at most {per_document.max(initial=0)}.",
        examples=named(corpus.label_names, counts.tolist()),
    )
    if len(corpus) < LEAST_DOCUMENTS:
        yield Finding(
            "few_documents",
            "check",
            f"There are only {number(len(corpus), 'document')}: a test split of 10 % has about {len(corpus) / 10:.0f}.",
            "Take metrics on so few documents as a rough sign only.",
            share=1.0,
        )
    if corpus.n_unlabelled:
        share = corpus.n_unlabelled / len(corpus)
        what = "they are negatives of every label"
        yield Finding(
            "unlabelled",
            "check" if share > 0.5 else "note",
            f"{number(corpus.n_unlabelled, 'document has', 'documents have')} no label ({percent(share)}); {what}.",
            "If they were never labelled, leave them out (unlabelled='drop', --unlabelled drop).",
            share=share,
        )
    if corpus.n_labels > 1 and per_document.max(initial=0) == 1:
        yield Finding(
            "one_label_each",
            "check",
            "No document has more than one label.",
            "If labels exclude each other, a softmax over them fits better than one decision per label; if not, check how "
            "cells with several labels are separated.",
            share=1.0,
        )


def _imbalance(corpus: Corpus) -> Iterator[Finding]:
    counts = corpus.label_counts[corpus.label_counts > 0]
    if counts.size < 2:
        return
    order = np.sort(counts)[::-1].cumsum()
    half = int(np.searchsorted(order, order[-1] / 2)) + 1
    yield Finding(
        "imbalance",
        "note",
        f"The most frequent label has {counts.max():,} documents, the rarest {counts.min():,}; "
        f"{half} of {number(counts.size, 'label')} {'has' if half == 1 else 'have'} half of all assignments "
        f"(MeanIR {imbalance_ratios(counts).mean():,.1f}, SCUMBLE {scumble(corpus.labels).mean():.2f}).",
    )


def _extremes(corpus: Corpus) -> Iterator[Finding]:
    counts = corpus.label_counts
    empty = [name for name, count in zip(corpus.label_names, counts) if count == 0]
    if empty:
        yield Finding(
            "labels_without_document",
            "check",
            f"{number(len(empty), 'label has', 'labels have')} no document.",
            "Check how the label is written in the table, or take it off the list of names.",
            named(empty),
            len(empty) / corpus.n_labels,
        )
    everywhere = [place for place, count in enumerate(counts) if len(corpus) >= 20 and count > 0.95 * len(corpus)]
    if everywhere:
        yield Finding(
            "labels_everywhere",
            "check",
            f"{number(len(everywhere), 'label is', 'labels are')} on more than 95 % of the documents.",
            "There is little to learn about such a label; leave it out.",
            named([corpus.label_names[place] for place in everywhere], counts[everywhere].tolist()),
            len(everywhere) / corpus.n_labels,
        )


def _rare(corpus: Corpus) -> Iterator[Finding]:
    counts = corpus.label_counts
    rare = [place for place, count in enumerate(counts) if 0 < count < DEFAULT_MIN_COUNT]
    if rare:
        yield Finding(
            "too_rare_to_learn",
            "check",
            f"{number(len(rare), 'label has', 'labels have')} fewer than {DEFAULT_MIN_COUNT} documents, too few to learn from.",
            f"`train` leaves them out (--min-count {DEFAULT_MIN_COUNT}). Find more documents, or join labels.",
            named([corpus.label_names[place] for place in rare], counts[rare].tolist()),
            len(rare) / corpus.n_labels,
        )
    splits = split_counts(corpus)
    few = [
        place
        for place, count in enumerate(counts)
        if count >= DEFAULT_MIN_COUNT and splits.test[place] < LEAST_TEST_DOCUMENTS
    ]
    if few:
        where = "in test" if splits.given else "in a test split of 10 %"
        verb = "has" if len(few) == 1 else "have"
        enough = f" with {DEFAULT_MIN_COUNT} documents or more" if rare else ""  # findings are sorted
        yield Finding(
            "too_rare_to_test",
            "check",
            f"{number(len(few), 'label')}{enough} {verb} fewer than {LEAST_TEST_DOCUMENTS} documents "
            f"{where}: one document moves the recall of such a label by 20 points or more.",
            "Do not read the F1 of these labels one by one; average over splits (blocks of a study), or find more "
            "documents.",
            named([corpus.label_names[place] for place in few], counts[few].tolist()),
            len(few) / corpus.n_labels,
        )


def _missing_in_train(corpus: Corpus) -> Iterator[Finding]:
    if corpus.subset is None:
        return
    subset = np.array(corpus.subset)
    for split, kind in (("train", "labels_not_in_train"), ("test", "labels_not_in_test")):
        counts = corpus.select_documents(subset == split).label_counts
        absent = [place for place in range(corpus.n_labels) if counts[place] == 0 < corpus.label_counts[place]]
        if absent and np.any(subset == split):
            sentence = f"{number(len(absent), 'label is', 'labels are')} in no {split} document, but in other splits."
            advice = (
                "No model can learn them; move documents to training, or leave the labels out."
                if split == "train"
                else "Nothing can be said about them; move documents to test, or leave the labels out."
            )
            yield Finding(
                kind,
                "fix" if split == "train" else "check",
                sentence,
                advice,
                named([corpus.label_names[place] for place in absent], corpus.label_counts[absent].tolist()),
                len(absent) / corpus.n_labels,
            )


def _always_together(corpus: Corpus) -> Iterator[Finding]:
    """Find labels that are on the same documents, so that one of the two says nothing."""
    kept = np.flatnonzero(corpus.label_counts >= DEFAULT_MIN_COUNT)
    columns: dict[bytes, list[str]] = {}
    labels = corpus.labels.T.tocsr() if not isinstance(corpus.labels, np.ndarray) else corpus.labels.T
    for place in kept.tolist():
        row = labels[place] if isinstance(labels, np.ndarray) else labels[[place]].toarray()
        columns.setdefault(np.packbits(row).tobytes(), []).append(corpus.label_names[place])
    groups = [names for names in columns.values() if len(names) > 1]
    if groups:
        yield Finding(
            "labels_always_together",
            "check",
            f"{number(sum(map(len, groups)), 'label is', 'labels are')} always on the same documents as another one.",
            "Keep one of each; together they count twice in every mean over labels.",
            tuple(" and ".join(map(repr, names[:3])) for names in groups[:3]),
            sum(map(len, groups)) / corpus.n_labels,
        )


def _thresholds(corpus: Corpus) -> Iterator[Finding]:
    """Say how much of the F1 of tuned thresholds will be left on test, from the recorded studies."""
    positives = np.rint(split_counts(corpus).validation)[corpus.label_counts >= DEFAULT_MIN_COUNT]
    if not positives.size:
        return
    shares = kept_share(positives)
    tuned = shares[~np.isnan(shares)]
    parts = []
    rows = evidence()["survival"]
    for row, after in zip(rows, [*rows[1:], None]):
        low = row["validation_positives_from"]
        high = np.inf if after is None else after["validation_positives_from"] - 1
        concerned = int(np.sum((positives >= low) & (positives <= high)))
        if concerned:
            span = f"{low} or more" if after is None else f"{low} to {high}"
            share = row["f1_test"] / row["f1_validation"]
            parts.append(f"{percent(share)} for {number(concerned, 'label')} with {span} validation documents")
    none = int(np.isnan(shares).sum())
    if none:
        parts.append(f"{number(none, 'label has', 'labels have')} none and cannot be tuned")
    mean = float(tuned.mean()) if tuned.size else 0.0
    yield Finding(
        "tuned_thresholds",
        "check" if mean < 0.9 or none else "note",
        f"Of the F1 that thresholds tuned per label promise on validation, about {percent(mean)} will be left on test: "
        f"{'; '.join(parts)}.",
        f"These shares are from {evidence()['source'].partition(';')[0]}. "
        "Use a rule that is not tuned per label, or have more validation documents."
        if mean < 0.9 or none
        else f"These shares are from {evidence()['source'].partition(';')[0]}.",
        share=1 - mean,
    )


def _advice(corpus: Corpus) -> Finding:
    """Say which loss and which rule the recorded studies favour for such data."""
    counts = corpus.label_counts[corpus.label_counts >= DEFAULT_MIN_COUNT]
    macro = gains_of(DEFAULT_RULE, "tuned_common", "f1_macro")
    micro = gains_of(DEFAULT_RULE, "tuned_common", "f1_micro")
    loss = evidence()["loss"]
    sentence = (
        f"Begin with the loss {DEFAULT_LOSS!r} and the rule {DEFAULT_RULE!r} ({THRESHOLD_RULES[DEFAULT_RULE].title}). Beside "
        f"one tuned threshold, that rule changed macro F1 by {_listed(macro)} and micro F1 by {_listed(micro)} on "
        f"{', '.join(macro)}. {loss['above'] or 'None'} of {loss['comparisons']} comparisons of adaptive focal loss with "
        f"{DEFAULT_LOSS!r} there {'favours' if loss['above'] < 2 else 'favour'} it by {loss['margin']:g}."
    )
    more = "They are the defaults of `train` and `predict`."
    if counts.size and counts.max() <= EVEN * counts.min():
        more += (
            " Your labels are about equally frequent, and those of the studies were not: compare the other rules, too."
        )
    elif counts.size and split_counts(corpus).validation[corpus.label_counts >= DEFAULT_MIN_COUNT].min() >= (
        MANY_VALIDATION_DOCUMENTS
    ):
        more += " Your labels have many validation documents each: compare 'tuned_per_label' and 'tuned_common', too."
    return Finding("advice", "note", sentence, more, share=1.0)


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{value:+z.3f}" for value in values.values())
