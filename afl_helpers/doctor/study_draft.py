"""A draft of a study for a corpus: the loss that the evidence favours, beside its rivals, in blocks."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from afl_helpers.advice import DEFAULT_LOSS, DEFAULT_MIN_COUNT, DEFAULT_RULE
from afl_helpers.data import CORPORA, Corpus
from afl_helpers.errors import UsageError
from afl_helpers.files import not_written, write_text
from afl_helpers.studies import Study, load_study

_QUESTION = (
    "Is adaptive focal loss better than {loss} on {corpus}: does it rank rare labels better, or decide better under "
    "{rule}?"
)


def draft_study(
    corpus: Corpus,
    path: str | Mapping[str, str] | None = None,
    reading: Mapping[str, object] | None = None,
    *,
    encoder: str = "minilm",
    max_length: int = 128,
) -> str:
    """Return the text of a ``study.yaml`` that compares losses on a corpus, with a head on a frozen encoder.

    Five blocks vary the split, or on a given split the seed. Each setting's learning rate is tuned on a block of its own.

    Args:
        corpus: the corpus, as it was read.
        path: the table, or the tables by split; None for a corpus that has a name.
        reading: the options of :func:`~afl_helpers.data.load_corpus` that it was read with.
        encoder, max_length: the encoder, and how many tokens of each text it reads.

    Raises:
        UsageError: the corpus has no path, and its name is not one of `CORPORA`.
    """
    if path is None and corpus.name not in CORPORA:
        raise UsageError(f"a study reads its corpus again, so {corpus.name!r} needs the path of its table; pass path=")
    entry: dict[str, object] = {"name": corpus.name}
    if path is not None:
        entry["path"] = path if isinstance(path, str) else dict(path)
    options = {name: value for name, value in (reading or {}).items() if value is not None}
    if options:
        entry["reading"] = options
    if np.any(corpus.label_counts < DEFAULT_MIN_COUNT):
        entry["min_count"] = DEFAULT_MIN_COUNT
    if corpus.subset is not None and {"train", "test"} <= set(corpus.subset):
        entry["official_split"] = min(1000, max(1, corpus.subset.count("train") // 5))
    content = {
        "question": _QUESTION.format(loss=DEFAULT_LOSS, corpus=corpus.name, rule=DEFAULT_RULE),
        "primary": {
            "setting": "afl",
            "against": [DEFAULT_LOSS],
            "endpoints": ["average_precision_macro_tail", f"f1_macro at {DEFAULT_RULE}"],
            "margin": 0.01,
            "unit": "block",
            "family": "adaptive focal loss against cross-entropy, by Holm over both endpoints",
        },
        "method": "probe",
        "config": {
            "encoder": encoder,
            "max_length": max_length,
            "epochs": 60,
            "schedule": "cosine",
            "keep": "last",
        },
        "tune": {"learning_rate": [0.0003, 0.001, 0.003]},
        "corpora": [entry],
        "blocks": 5,
        "pilot": 0,
        "settings": [
            {"name": DEFAULT_LOSS, "loss": DEFAULT_LOSS},
            {"name": "afl", "loss": "afl"},
            {"name": "afl-mean", "loss": "afl", "params": {"assignment": "mean"}},
            {"name": "tfidf-linear-svm", "method": "tfidf", "config": {"classifier": "linear_svm"}},
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def write_study(path: Path, text: str) -> Study:
    """Write a study's file, read it back and return the study.

    Raises:
        UsageError: the file is not called study.yaml, is in no folder of its own, or exists already.
        StorageError: the file cannot be written.
        DataError: the file is not a study that can be run.
    """
    path = path.absolute()
    if path.name != "study.yaml" or path.parent == path.parent.parent:
        raise UsageError(f"{path} is not the file of a study; name it for example results/mine/study.yaml")
    if path.exists():
        raise UsageError(f"{path} exists already; choose another folder, or remove it first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(path, error) from None
    write_text(path, text)
    return load_study(path.parent.name, path.parent.parent)
