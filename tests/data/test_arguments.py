"""Arguments of corpora that do not fit end in one sentence."""

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
    ],
)
def test_what_does_not_fit_is_one_sentence(call, words, monkeypatch):
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
