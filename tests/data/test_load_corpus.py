from pathlib import Path

import pandas
import pytest

from afl_helpers.data import CORPORA, load_corpus
from afl_helpers.errors import MissingFileError, UsageError


def test_the_embedded_corpus_needs_nothing(monkeypatch):
    monkeypatch.setenv("AFL_DATA_DIR", "/nowhere")
    corpus = load_corpus()
    assert corpus.name == "toy"
    assert corpus.n_documents >= 2000 and corpus.n_labels >= 20
    assert corpus.label_counts.max() >= 50 * corpus.label_counts.min()
    assert "generated" in corpus.source


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(UsageError) as error:
        load_corpus("cmu-lead")
    assert all(name in str(error.value) for name in CORPORA)
    assert "did you mean 'cmu-leads'" in str(error.value) and "path of a table" in str(error.value)


@pytest.mark.parametrize("path", ["no/such/folder", "nothing.csv", "nothing.tar.gz", Path("nothing")])
def test_a_path_that_is_not_there(path):
    with pytest.raises(MissingFileError, match="no file or folder"):
        load_corpus(path)


def test_what_is_no_name_and_no_path_is_refused():
    with pytest.raises(UsageError, match="not a DataFrame; use Corpus.from_frame"):
        load_corpus(pandas.DataFrame({"text": ["a"], "labels": ["b"]}))


def test_on_error_is_checked_first():
    with pytest.raises(UsageError, match="on_error must be 'raise' or 'skip'"):
        load_corpus("cmu", on_error="ignore")
