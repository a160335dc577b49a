import os
from collections import Counter

import pytest

from afl_helpers.data import load_corpus
from afl_helpers.data.sources import unfair_tos
from afl_helpers.errors import DataError, UsageError

needs_data = pytest.mark.skipif("AFL_DATA_DIR" not in os.environ, reason="AFL_DATA_DIR names no folder of real data")

# Written for this test, in the layout of the real files.
TERMS = {
    "Bank": ("We may stop  at any time.\nHello.\nCourts of Atlantis decide.\n", "ter3 ltd2 \n \nj1 countrym \n"),
    "Air": ("1.\nUse means consent.\n", " \nuse2 ch3\n"),
    "Chat": ("hello.\nWE MAY stop at any time.\nBye.\n", " \nter2\na2 a3 \n"),
}
FOLDS = {"Air": 0, "Bank": 0, "Chat": 1}


def files(**changes):
    return {
        f"{folder}{company}.txt": content.encode()
        for company, pair in (TERMS | changes).items()
        for folder, content in zip((unfair_tos.SENTENCES, unfair_tos.TAGS), pair)
    }


def read(content=None, **options):
    return unfair_tos.read_unfair_tos(files() if content is None else content, FOLDS, **options)


def test_by_hand():
    corpus = read()
    assert corpus.document_ids == ["Air-1", "Air-2", "Bank-1", "Bank-2", "Bank-3", "Chat-1", "Chat-2", "Chat-3"]
    assert corpus.folds == [0, 0, 0, 0, 0, 1, 1, 1] and corpus.n_folds == 2 and corpus.subset is None
    assert corpus.texts[2] == "We may stop at any time."
    named = [{corpus.label_names[c] for c in row.nonzero()[0]} for row in corpus.labels]
    ending, liability = "unilateral termination", "limitation of liability"
    assert named == [
        *(set(), {"contract by using", "unilateral change"}),
        *({ending, liability}, set(), set()),
        *(set(), {ending}, {"arbitration"}),
    ]
    assert corpus.unlabelled == "keep" and corpus.n_unlabelled == 4
    assert corpus.report == {
        "companies": 3,
        "tags_clearly_fair": 1,
        "tags_potentially_unfair": 4,
        "tags_clearly_unfair": 3,
        "documents_without_label": 4,
        "documents_with_several_labels": 2,
        "malformed_lines_skipped": 0,
        "documents": 8,
        "labels": 5,
    }


def test_test_texts_that_stand_in_training_are_left_out_and_counted():
    corpus = read()
    train, validation, test = corpus.official_split(0, fold=1)
    assert test.document_ids == ["Chat-3"] and len(validation) == 0 and len(train) == 5
    assert test.report["test_texts_also_in_training"] == 2
    assert test.notes[-1] == "fold 1: test documents left out whose text also stands in training: 2"
    assert "test_texts_also_in_training" not in train.report
    first = corpus.official_split(0)[2]  # the first fold
    assert first.document_ids == ["Air-1", "Air-2", "Bank-3"] and first.folds == [0, 0, 0]


@pytest.mark.parametrize("fold", [-1, 2, 0.5, "0"])
def test_a_fold_that_is_none(fold):
    with pytest.raises(UsageError, match=r"fold is .*, but the corpus 'unfair-tos' has the folds 0 to 1"):
        read().official_split(0, fold=fold)


def test_folds_of_a_corpus_without_them():
    corpus = load_corpus("toy")
    assert corpus.n_folds == 0
    with pytest.raises(UsageError, match="'toy' has no folds, so leave it out"):
        corpus.official_split(fold=0)


@pytest.mark.parametrize("tag", ["ter4", "ter", "xyz2", "2", "ter2,", "TER2"])
def test_an_unknown_tag_is_named_or_skipped(tag):
    broken = files(Air=("1.\nUse means consent.\n", f" \nuse2 {tag}\n"))
    with pytest.raises(DataError, match=r"^corpus/tags/en/original/Air\.txt, line 2: unknown tag in 'use2 "):
        read(broken)
    corpus = read(broken, on_error="skip")
    assert "Air-2" not in corpus.document_ids and len(corpus) == 7
    assert corpus.notes == ("malformed lines skipped: 1",)


def test_files_of_different_lengths():
    with pytest.raises(DataError, match=r"Air\.txt, line 1: tags for 1 sentences, but the company has 2; "):
        read(files(Air=("1.\n2.\n", "\n")))


def test_lists_of_folds():
    lists = {name: b"" for name in unfair_tos.LISTS} | {unfair_tos.LISTS[4]: b"Air.txt\nBank.txt\n"}
    assert unfair_tos.read_folds(lists) == {"Air": 4, "Bank": 4}
    with pytest.raises(DataError, match="LIST_TEST_4.txt: Air also stands in fold 0"):
        unfair_tos.read_folds(lists | {unfair_tos.LISTS[0]: b"Air.txt"})


def test_other_content_is_an_error(tmp_path):
    for name in unfair_tos.LISTS:
        path = tmp_path / "unfair-tos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Air.txt")
    with pytest.raises(DataError, match="^the terms of service in .*unfair-tos have content hash .* instead of cea20"):
        load_corpus("unfair-tos", data_dir=tmp_path)


@pytest.fixture(scope="module")
def real():
    return load_corpus("unfair-tos")


@needs_data
def test_real_counts(real):
    assert len(real) == 17_383 and real.report["companies"] == 50
    assert real.n_documents - real.n_unlabelled == 1_374
    assert real.report["documents_with_several_labels"] == 120
    assert dict(zip(real.label_names, real.label_counts.tolist())) == {
        "limitation of liability": 498,
        "unilateral termination": 285,
        "unilateral change": 224,
        "contract by using": 119,
        "content removal": 105,
        "jurisdiction": 95,
        "choice of law": 82,
        "arbitration": 64,
        "privacy included": 36,
    }
    assert Counter(real.folds) == {0: 3_816, 1: 3_038, 2: 3_023, 3: 4_535, 4: 2_971}


@needs_data
@pytest.mark.parametrize(("fold", "left_out"), list(enumerate([303, 282, 198, 360, 305])))
def test_real_folds(real, fold, left_out):
    train, validation, test = real.official_split(1000, fold=fold)
    assert test.report["test_texts_also_in_training"] == left_out
    assert len(test) == real.folds.count(fold) - left_out and len(validation) == 1000
    companies = [{name.rpartition("-")[0] for name in split.document_ids} for split in (train, test)]
    assert len(companies[0]) == 40 and not companies[0] & companies[1] and len(companies[1]) <= 10

    def normal(split):
        return {" ".join(text.split()).casefold() for text in split.texts}

    assert not normal(test) & (normal(train) | normal(validation)) and not normal(train) & normal(validation)
    assert min(split.label_counts.min() for split in (train, validation, test)) >= 1
