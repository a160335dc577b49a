"""The splits of all studies, frozen: whoever changes them changes what every recorded number was measured on.

    AFL_DATA_DIR=... python tests/test_frozen_splits.py

adds the corpora of new studies to frozen_splits.json. What stands there is never overwritten.
"""

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from unittest import mock

import pytest

from afl_helpers.data import load_corpus
from afl_helpers.studies import StudyCorpus, corpus_splits, load_study, run

RESULTS = Path(__file__).resolve().parent.parent / "results"
FROZEN = Path(__file__).with_name("frozen_splits.json")
SEEDS = range(11)
# Its plots are not public in the form that the other corpora are, so its splits cannot be checked everywhere.
NOT_FROZEN = {"cmu"}


def fingerprints(corpus: StudyCorpus) -> list[list[str]]:
    """Return for each seed the first 16 hex digits of the SHA-256 of the ids of train, validation and test."""
    with mock.patch.object(run, "load_corpus", lru_cache(load_corpus)):
        return [
            [
                hashlib.sha256("\n".join(split.document_ids).encode()).hexdigest()[:16]
                for split in corpus_splits.__wrapped__(corpus, seed)[1]
            ]
            for seed in SEEDS
        ]


def frozen() -> dict[str, list[list[str]]]:
    return json.loads(FROZEN.read_text())


def studied() -> dict[str, StudyCorpus]:
    """Return the corpora of all studies, each by its options as JSON."""
    corpora = [
        corpus for path in RESULTS.glob("*/study.yaml") for corpus in load_study(path.parent.name, RESULTS).corpora
    ]
    return {json.dumps(corpus.to_dict(), sort_keys=True): corpus for corpus in corpora if corpus.name not in NOT_FROZEN}


@pytest.mark.parametrize("options", frozen() if FROZEN.is_file() else [])
def test_splits_are_as_frozen(options):
    corpus = StudyCorpus(**json.loads(options))
    if corpus.name != "toy" and not os.environ.get("AFL_DATA_DIR"):
        pytest.skip("real data is needed: set AFL_DATA_DIR")
    assert fingerprints(corpus) == frozen()[options]


def test_the_splits_of_every_study_are_frozen():
    missing = sorted(set(studied()) - set(frozen()))
    assert not missing, f"run `python {Path(__file__).name}` with AFL_DATA_DIR set, which adds {missing}"


if __name__ == "__main__":
    known = frozen() if FROZEN.is_file() else {}
    known |= {options: fingerprints(corpus) for options, corpus in studied().items() if options not in known}
    rows = (
        f" {json.dumps(options)}: [\n" + ",\n".join(f"  {json.dumps(row)}" for row in known[options]) + "\n ]"
        for options in sorted(known)
    )
    FROZEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")
