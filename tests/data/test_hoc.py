import os
from collections import Counter

import numpy as np
import pytest

from afl_helpers.data import load_corpus
from afl_helpers.data.sources import hoc
from afl_helpers.errors import DataError, MissingFileError

needs_data = pytest.mark.skipif("AFL_DATA_DIR" not in os.environ, reason="AFL_DATA_DIR names no folder of real data")

# Written for this test, in the layout of the real files.
ABSTRACTS = {
    "9": (
        "TNF-\\u03b1  was high .\nResults .\nNothing here .\n",
        "< Fire--Smoke-- ANDFire--Smoke--Ash < Rain-- < NULL",
    ),
    "10": ("We looked .\n", "< "),
    "11": ("Cells died .\nresults  .\n", "<Fire< Snow--Ice--Thaw"),
    "12": ("Results .\nIt rained .\n", "< < Rain-- AND Fire--"),
}
SPLITS = {"9": "train", "10": "train", "11": "validation", "12": "test"}


def files(**changes):
    abstracts = ABSTRACTS | changes
    return {
        f"{folder}/{number}.txt": content.encode()
        for number, pair in abstracts.items()
        for folder, content in zip(("text", "labels"), pair)
    }


def read(content=None, **options):
    return hoc.read_hoc(files() if content is None else content, SPLITS, **options)


def test_documents_by_hand():
    corpus = read()
    assert corpus.document_ids == ["9", "10", "11", "12"]
    assert corpus.subset == ["train", "train", "validation", "test"]
    assert corpus.texts[0] == "TNF-α was high . Results . Nothing here ."
    assert corpus.label_names == ["Fire", "Rain", "Snow"]
    assert corpus.labels.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1], [1, 1, 0]]
    assert corpus.unlabelled == "keep" and corpus.n_unlabelled == 1
    assert corpus.report == {
        "abstracts": 4,
        "sentences": 8,
        "train_documents": 2,
        "validation_documents": 1,
        "test_documents": 1,
        "train_with_label": 1,
        "validation_with_label": 1,
        "test_with_label": 1,
        "documents_without_label": 1,
        "test_texts_also_in_training": 0,
        "texts_with_letters_decoded": 1,
        "malformed_lines_skipped": 0,
        "documents": 4,
        "labels": 3,
    }


def test_a_node_implies_the_nodes_above_it():
    corpus = read(level="nodes")
    assert set(corpus.label_names) == {
        *("Fire", "Fire--Smoke", "Fire--Smoke--Ash", "Rain", "Snow", "Snow--Ice", "Snow--Ice--Thaw"),
    }
    tree = hoc.label_tree(corpus.label_names)
    assert tree["Fire--Smoke--Ash"] == "Fire--Smoke" and tree["Fire--Smoke"] == "Fire" and "Fire" not in tree
    column = {name: c for c, name in enumerate(corpus.label_names)}
    for child, parent in tree.items():
        assert np.all(corpus.labels[:, column[child]] <= corpus.labels[:, column[parent]])


def test_a_test_sentence_that_stands_in_training_is_left_out_and_counted():
    corpus = read(unit="sentences")
    # "Results ." of abstract 12 also stands in 9 and, in other letters, in 11, which stay.
    assert corpus.document_ids == ["9_s0", "9_s1", "9_s2", "10_s0", "11_s0", "11_s1", "12_s1"]
    assert corpus.report["test_texts_also_in_training"] == 1 and corpus.report["sentences"] == 8
    assert "test sentences left out whose text also stands in training or validation: 1" in corpus.describe()
    assert corpus.n_unlabelled == 2


def test_letters_that_are_none_stay_as_written():
    text = "\\u0000 \\ud83d \\u03b2 \\u12"
    corpus = read(files(**{"10": (text + "\n", "<")}))
    assert corpus.texts[1] == "\\u0000 \\ud83d β \\u12"
    corpus.texts[1].encode("utf-8")


@pytest.mark.parametrize("labels", ["", "< <", "x<", "<<<"])
def test_files_that_do_not_fit_together(labels):
    broken = files(**{"10": ("We looked .\n", labels)})
    with pytest.raises(DataError, match=r"^labels/10\.txt, line 1: labels for \d sentences, but text/10\.txt has 1; "):
        read(broken)
    corpus = read(broken, on_error="skip")
    assert corpus.document_ids == ["9", "11", "12"] and corpus.report["malformed_lines_skipped"] == 1
    assert "malformed abstracts skipped: 1" in corpus.notes


def test_bytes_that_are_no_text():
    with pytest.raises(DataError, match="not in UTF-8"):
        read(files() | {"text/10.txt": b"\xff\n"})


def test_a_table_of_a_split():
    assert hoc.read_split(b"labels\tsentence\tindex\n0_1\tA b .\t9_s0\n0_0\tC\t9_s1\n-\tD\t10_s0\n", "dev.tsv") == [
        "9",
        "10",
    ]
    with pytest.raises(DataError, match="^dev.tsv, line 3: the last column"):
        hoc.read_split(b"labels\n9_s0\nA plot\n", "dev.tsv")


def test_a_folder_without_the_abstracts(tmp_path, monkeypatch):
    folder = tmp_path / "hoc"
    (folder / "labels").mkdir(parents=True)
    (folder / "train.tsv").write_text("x")
    with pytest.raises(MissingFileError, match="hoc holds no dev.tsv; get https://github.com/sb895/"):
        load_corpus("hoc", data_dir=tmp_path)


@pytest.fixture(scope="module", params=["hoc", "hoc-nodes", "hoc-sentences"])
def real(request):
    return load_corpus(request.param)


@needs_data
def test_real_counts(real):
    documents = {"train": 1_295, "validation": 186, "test": 371}
    labelled = {"train": 1_098, "validation": 164, "test": 318}
    if real.name == "hoc-sentences":
        documents = {"train": 12_119, "validation": 1_798, "test": 3_547 - 6}
        labelled = {"train": 3_085, "validation": 461, "test": 897}
    assert Counter(real.subset) == documents
    assert {split: real.report[f"{split}_with_label"] for split in labelled} == labelled
    assert real.report["sentences"] == 17_464 and real.report["abstracts"] == 1_852
    assert real.n_labels == (37 if real.name == "hoc-nodes" else 10)
    assert not any("\\u" in text for text in real.texts)
    if real.name != "hoc-sentences":
        assert real.n_unlabelled == 272 and real.report["test_texts_also_in_training"] == 0
        assert np.median([len(text.split()) for text in real.texts]) == 239
        per_labelled = real.labels.sum() / (real.n_documents - real.n_unlabelled)
        assert per_labelled == pytest.approx(3.65 if real.n_labels == 37 else 1.56, abs=0.005)
        assert (real.label_counts.max(), real.label_counts.min()) == (462, 38 if real.n_labels == 37 else 105)


@needs_data
def test_real_splits_are_the_official_ones_and_disjoint_in_their_abstracts(real):
    train, validation, test = real.official_split()
    assert [len(split) for split in (train, validation, test)] == [
        real.subset.count(name) for name in ("train", "validation", "test")
    ]
    abstracts = [{name.partition("_")[0] for name in split.document_ids} for split in (train, validation, test)]
    assert [len(ids) for ids in abstracts] == [1_295, 186, 371] and len(set.union(*abstracts)) == 1_852
    assert min(split.label_counts.min() for split in (train, test)) >= 1


@needs_data
def test_the_real_tree():
    corpus = load_corpus("hoc-nodes")
    tree = hoc.label_tree(corpus.label_names)
    assert len(set(corpus.label_names) - set(tree)) == 10 and len(tree) == 27
    assert set(load_corpus("hoc").label_names) == set(corpus.label_names) - set(tree)
