"""The data cards, by the rules of Croissant 1.0; and by its own library."""

import json
import os

import mlcroissant
import numpy as np
import pytest

from afl_helpers.__main__ import main
from afl_helpers.data import CORPORA, Corpus, data_card, load_corpus
from afl_helpers.data.card import ORIGINS

needs_data = pytest.mark.skipif("AFL_DATA_DIR" not in os.environ, reason="AFL_DATA_DIR names no folder of real data")
REAL = [name for name in CORPORA if name not in ("toy", "cmu")]


@pytest.fixture(scope="module", params=["own", "toy", *(pytest.param(name, marks=needs_data) for name in REAL)])
def corpus(request):
    if request.param == "own":
        return Corpus("mine", ["A duel.", "A kiss."], np.eye(2, dtype=np.uint8), ["Western", 'Film "noir"'])
    return load_corpus(request.param)


def test_every_named_corpus_has_an_origin():
    assert ORIGINS.keys() == CORPORA.keys()
    assert all(origin.licence and origin.citation for origin in ORIGINS.values())
    assert "GPL" in ORIGINS["hoc"].licence.upper() and "by/4.0" in ORIGINS["unfair-tos"].licence


def test_every_reference_is_to_something_in_the_card(corpus):
    card = data_card(corpus)
    ids = {entry["@id"] for entry in (*card.get("distribution", []), *card["recordSet"])}
    fields = [field for record_set in card["recordSet"] for field in record_set["field"]]
    for field in fields:
        if "source" in field:
            assert field["source"]["fileSet"]["@id"] in ids
    for entry in card.get("distribution", []):
        if entry["@type"] == "cr:FileSet":
            assert entry["containedIn"]["@id"] in ids
        else:
            assert entry["contentUrl"].startswith("http") and entry["sha256"]
    names = [field["@id"] for field in fields]
    assert len(set(names)) == len(names) and not any(" " in name for name in (*names, *ids))
    for record_set in card["recordSet"]:  # two sources in one would need a join
        assert len({field["source"]["fileSet"]["@id"] for field in record_set["field"] if "source" in field}) <= 1


def test_it_holds_the_labels_and_no_text(corpus):
    card = data_card(corpus)
    rows = card["recordSet"][0]["data"]
    assert {row["labels/name"]: row["labels/count"] for row in rows} == dict(
        zip(corpus.label_names, corpus.label_counts.tolist())
    )
    written = json.dumps(card, ensure_ascii=False)
    assert json.loads(written) == card and card["identifier"].endswith(corpus.fingerprint)
    assert not any(text in written for text in corpus.texts if len(text) > 60)


def test_its_own_library_accepts_it(corpus, tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(data_card(corpus)), encoding="utf-8")
    dataset = mlcroissant.Dataset(path)
    assert not dataset.metadata.ctx.issues.errors
    assert len(list(dataset.records("labels"))) == corpus.n_labels


def test_the_command_prints_the_card_alone(capsys):
    assert main(["data", "toy", "--card"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads(json.dumps(data_card(load_corpus("toy"))))
    assert captured.err.startswith("toy: 2,400 documents")
