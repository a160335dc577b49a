"""Arguments of corpora that do not fit end in one sentence."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch

from afl_helpers.data import Corpus, load_corpus
from afl_helpers.errors import UserError

CORPUS = Corpus(
    "mine",
    [f"text {place}" for place in range(20)],
    [[1, place % 2] for place in range(20)],
    ["x", "y"],
    subset=["train"] * 15 + ["test"] * 5,
)

FRAME = pd.DataFrame({"x": [1, 0], "y": [0, 1]})
TABLE = FRAME.assign(text=["a", "b"])
NUMBERED = pd.DataFrame({"text": ["a", "b"], "labels": [[0], [1]]})


def stream():
    return datasets.Dataset.from_dict({"text": ["a", "b"], "labels": [["x"], ["y"]]}).to_iterable_dataset()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: CORPUS.official_split(0.1), "validation is 0.1; pass a whole number between 0 and 14"),
        (lambda: CORPUS.official_split("3"), "validation is '3'; pass a whole number"),
        (lambda: CORPUS.official_split(None), "validation is None; pass a whole number"),
        (lambda: CORPUS.split("a", "b", "c"), r"are numbers, or None for the rest, not \(a, b, c\)"),
        (lambda: CORPUS.sample("a"), "n is 'a'; pass a whole number from 1"),
        (lambda: CORPUS.sample(2.5), "n is 2.5; pass a whole number from 1"),
        (lambda: CORPUS.select_labels(min_count="a"), "min_count is 'a'; pass a whole number from 1"),
        (lambda: CORPUS.select_labels(top=1.5), "top is 1.5; pass a whole number from 1"),
        (lambda: load_corpus(""), "the name of the corpus is empty"),
        (lambda: load_corpus("tests"), "of a table, give the path of the file"),
        (lambda: Corpus("mine", None, [[1]], ["x"]), "texts is None; pass a list of strings"),
        (lambda: Corpus("mine", ["a"], [[1, 0]]), "label_names is empty; pass one name for each of the 2 columns"),
        (lambda: Corpus.from_frame({"text": ["a"], "labels": ["x"]}), "not a dict; wrap it in DataFrame"),
        (lambda: Corpus.from_frame(pd.Series(["a"])), "not a Series; wrap it in DataFrame"),
        (lambda: Corpus("mine", ["a", "b"], FRAME, ["y", "x"]), "labels and label_names have the labels in different"),
        (
            lambda: Corpus("mine", pd.Series(["a", "b"]), FRAME.iloc[::-1]),
            r"texts and labels have the same index in another order; rows go by position, so pass labels.loc\[texts.index\]",
        ),
        (
            lambda: Corpus("mine", ["a", "b"], FRAME, document_ids=pd.Series(["1", "2"], index=[1, 0])),
            r"labels and document_ids have the same index in another order",
        ),
        (
            lambda: Corpus("mine", ["a", "b"], FRAME, {"y", "x"}),
            "label_names is a set, which has no order; pass a list",
        ),
        (lambda: Corpus("mine", {"a", "b"}, FRAME), "texts is a set, which has no order; pass a list"),
        (lambda: Corpus("mine", ["a", "b"], [[1], [0]], ["x"], frozenset("ab")), "document_ids is a set, which has no"),
        (lambda: Corpus("mine", ["a", "b"], {(1, 0), (0, 1)}), "labels is a set, which has no order; pass a list"),
        (lambda: Corpus.from_frame(TABLE, labels={"x", "y"}), "labels is a set, which has no order; pass a list"),
        (
            lambda: Corpus.from_frame(NUMBERED, label_names={"x", "y"}),
            "label_names is a set, which has no order; pass a list",
        ),
        (
            lambda: Corpus("mine", ["a", "b"], np.ma.array([[1, 0], [0, 1]], mask=[[True, False]] * 2), ["x", "y"]),
            "labels hold masked values",
        ),
        (
            lambda: Corpus("mine", ["a", "b"], pd.DataFrame([[1, None], [0, 1]], columns=["x", "y"]).astype("Int64")),
            "labels holds values that are no numbers",
        ),
        (lambda: Corpus.from_dataset(stream()), r"pass Dataset.from_list\(list\(dataset\)\)"),
        (lambda: load_corpus({"train": stream()}), r"pass Dataset.from_list\(list\(dataset\)\)"),
        (
            lambda: Corpus.from_frame(TABLE, labels=1.5),
            "labels is 1.5; pass the name of a column, or one name per label",
        ),
        (lambda: Corpus.from_frame(TABLE, labels=["x", "y"], separator=5), "separator is 5; pass a string"),
        (lambda: load_corpus("mine.csv", separator=5), "separator is 5; pass a string"),
        (lambda: load_corpus("mine.csv", delimiter=5), "delimiter is 5; pass a string"),
        (lambda: load_corpus("mine.csv", encoding=5), "encoding is 5; pass a string"),
        (lambda: load_corpus("reuters", data_dir=5), "data_dir is 5; pass the path of a folder"),
    ],
)
def test_what_does_not_fit_is_one_sentence(call, words, tmp_path, monkeypatch):
    (tmp_path / "tests").mkdir()
    (tmp_path / "mine.csv").write_text("text,labels\na,x\nb,y\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_labels_may_be_zero_or_one_of_any_kind():
    expected = [[1, 0], [0, 1]]
    for labels in (
        *(np.array(expected, dtype=kind) for kind in (bool, np.int8, np.uint64, np.float16, np.float64, object)),
        *(torch.tensor(expected, dtype=kind) for kind in (torch.bool, torch.int64, torch.bfloat16, torch.float16)),
        pd.DataFrame(expected, columns=["x", "y"]).astype("boolean"),
        pd.DataFrame(expected, columns=["x", "y"]),
        expected,
    ):
        corpus = Corpus("mine", ["a", "b"], labels, ["x", "y"])
        assert corpus.labels.dtype == np.uint8 and corpus.labels.tolist() == expected
        assert corpus.document_ids == ["1", "2"]


def test_names_and_rows_that_agree_are_taken():
    frame = FRAME.set_index(pd.Index([7, 9]))
    assert Corpus("mine", ["a", "b"], frame, ["x", "y"]).label_names == ["x", "y"]
    assert Corpus("mine", pd.Series(["a", "b"], index=[7, 9]), frame, iter(["x", "y"])).texts == ["a", "b"]
    assert Corpus("mine", pd.Series(["a", "b"]), frame).texts == ["a", "b"]  # two ways of counting rows
    numbered = pd.DataFrame([[1, 0], [0, 1]])
    assert Corpus("mine", ["a", "b"], numbered, ["x", "y"]).label_names == ["x", "y"]
    unmasked = np.ma.array([[1, 0], [0, 1]], mask=False)
    assert Corpus("mine", ["a", "b"], unmasked, ["x", "y"]).labels.tolist() == [[1, 0], [0, 1]]


def test_a_label_may_be_called_as_an_attribute_of_an_array():
    frame = pd.DataFrame({"detach": [1, 0], "cpu": [0, 1]})
    assert Corpus("mine", ["a", "b"], frame).label_names == ["detach", "cpu"]


@pytest.mark.parametrize("number", [np.int64, np.int8])
def test_columns_are_named_by_numbers_of_numpy(number, tmp_path):
    frame = pd.DataFrame([["a", "x"], ["b", "y"]])
    corpus = Corpus.from_frame(frame, text=number(0), labels=number(1))
    assert corpus.label_names == ["x", "y"]
    file = tmp_path / "mine.csv"
    file.write_text("a,1,0\nb,0,1\n")
    assert load_corpus(file, text=number(0), labels=[number(1), number(2)]).labels.tolist() == [[1, 0], [0, 1]]
    file.write_text("a,x\nb,y\n")
    assert load_corpus(file, text=0, labels=number(1)).fingerprint == corpus.fingerprint
