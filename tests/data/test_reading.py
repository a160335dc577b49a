import pytest
from scipy import sparse

from afl_helpers.data import reading
from afl_helpers.data.reading import MalformedLines, build_corpus
from afl_helpers.errors import DataError


def test_a_malformed_line_is_an_error_in_the_words_of_python_and_of_the_command_line():
    with pytest.raises(DataError) as error:
        MalformedLines("raise").reject("a.csv", 3, "no text")
    assert str(error.value) == "a.csv, line 3: no text; correct the line, or read with on_error='skip'"
    assert error.value.command_line == "a.csv, line 3: no text; correct the line, or pass --skip-malformed"


def test_build_corpus_orders_labels_by_count_then_name():
    corpus = build_corpus("b", ["s", "t", "u"], [["b", "c"], ["a", "c"], ["c"]], ["1", "2", "3"], report={}, source="s")
    assert corpus.label_names == ["c", "a", "b"]
    assert corpus.labels.tolist() == [[1, 0, 1], [1, 1, 0], [1, 0, 0]]
    assert corpus.report == {"documents": 3, "labels": 3}


def test_build_corpus_keeps_large_matrices_sparse(monkeypatch):
    arguments = ("b", ["s", "t"], [["b"], ["a", "b"]], ["1", "2"])
    dense = build_corpus(*arguments, report={}, source="s")
    monkeypatch.setattr(reading, "DENSE_LIMIT_BYTES", 3)
    large = build_corpus(*arguments, report={}, source="s")
    assert sparse.issparse(large.labels) and not sparse.issparse(dense.labels)
    assert large.fingerprint == dense.fingerprint


def test_an_empty_corpus_is_no_result():
    with pytest.raises(DataError, match="no document"):
        build_corpus("b", [], [], [], report={"texts_blank": 2}, source="the file x")
