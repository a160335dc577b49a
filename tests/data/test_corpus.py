import numpy as np
import pandas
import pytest
import torch
from scipy import sparse

from afl_helpers.data import Corpus, load_corpus
from afl_helpers.errors import UsageError


def make(**changes) -> Corpus:
    fields = {
        "name": "small",
        "texts": ["a b", "c", "d", "e"],
        "labels": np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.uint8),
        "label_names": ["y", "x", "z"],
        "document_ids": ["1", "2", "3", "4"],
    }
    return Corpus(**(fields | changes))


def test_counts_and_sizes():
    corpus = make()
    assert (len(corpus), corpus.n_documents, corpus.n_labels) == (4, 4, 3)
    assert corpus.label_counts.tolist() == [2, 2, 1]
    assert corpus.label_counts.dtype == np.int64


def test_counts_do_not_overflow_the_byte_of_a_label():
    n = 300
    corpus = make(
        texts=["t"] * n,
        labels=np.ones((n, 1), np.uint8),
        label_names=["x"],
        document_ids=[str(i) for i in range(n)],
    )
    assert corpus.label_counts.tolist() == [300]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"document_ids": ["1", "2", "3"]}, "document_ids has 3 entries for 4 texts"),
        ({"document_ids": ["1", "2", "3", "1"]}, "document_ids holds '1' 2 times"),
        ({"label_names": ["y", "x", "y"]}, "label_names holds 'y' 2 times"),
        ({"label_names": ["y", "x"]}, r"labels has shape \(4, 3\); pass .* \(4, 2\)"),
        ({"labels": np.full((4, 3), 0.5)}, "0 and 1 only"),
        ({"labels": np.full((4, 3), np.nan)}, "0 and 1 only"),
        ({"labels": [["y"], ["x"], ["y"], ["z"]]}, "Corpus.from_frame for names of labels"),
        ({"labels": [[0, 1, 0], [0]] * 2}, "rows of different lengths"),
        ({"unlabelled": "yes"}, "unlabelled must be 'keep' or 'drop'"),
        ({"labels": np.full((4, 3), 2)}, "0 and 1 only"),
        ({"labels": np.full((4, 3), -1)}, "0 and 1 only"),
        ({"labels": np.zeros(4, np.uint8)}, "two dimensions"),
        ({"texts": ["a", "b", "c", None]}, r"texts\[3\] is of type NoneType"),
        ({"texts": "abcd"}, "pass a list of strings"),
        ({"subset": ["train", "test"]}, "subset has 2 entries"),
        ({"subset": ["train", "test", "fold 1", "test"]}, "subset holds 'fold 1'"),
    ],
)
def test_the_constructor_refuses_what_does_not_fit(changes, message):
    with pytest.raises(UsageError, match=message):
        make(**changes)


def test_boolean_and_sparse_labels_become_bytes():
    dense = make().labels
    assert make(labels=dense.astype(bool)).labels.dtype == np.uint8
    as_sparse = make(labels=sparse.coo_array(dense.astype(np.int64))).labels
    assert isinstance(as_sparse, sparse.csr_array) and as_sparse.dtype == np.uint8


def test_fingerprint_is_that_of_the_content():
    # Fixed: it must be the same on every machine and in every later version.
    expected = "d5d9f959da25b08e1f53885f6965c2fc712c3990a4d8a3f49e71f1bef967069a"
    dense = make()
    assert dense.fingerprint == make(labels=sparse.csr_array(dense.labels), name="other").fingerprint
    assert dense.fingerprint == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"texts": ["a", "bc", "d", "e"]},
        {"texts": ["a bc", "", "d", "e"]},  # the same characters, divided otherwise
        {"document_ids": ["1", "2", "3", "5"]},
        {"label_names": ["y", "x", "w"]},
        {"labels": np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]], np.uint8)},
    ],
)
def test_fingerprint_changes_with_each_part(changes):
    assert make(**changes).fingerprint != make().fingerprint


@pytest.mark.parametrize(
    "kind",
    [
        lambda labels: labels.tolist(),
        lambda labels: labels.astype(bool),
        lambda labels: labels.astype(np.float16),
        lambda labels: labels.astype(object),
        lambda labels: pandas.DataFrame(labels),
        lambda labels: torch.tensor(labels, dtype=torch.float64, requires_grad=True),
        lambda labels: torch.tensor(labels).to_sparse(),
        lambda labels: sparse.coo_matrix(labels.astype(np.float64)),
    ],
)
def test_zeros_and_ones_of_any_kind(kind):
    corpus = make(labels=kind(make().labels))
    assert corpus.fingerprint == make().fingerprint
    assert corpus.labels.dtype == np.uint8


def test_ids_and_names_are_made_where_none_are_given():
    frame = pandas.DataFrame({"y": [1, 0], "x": [True, True]})
    corpus = Corpus("small", ["a", "b"], frame)
    assert corpus.label_names == ["y", "x"] and corpus.document_ids == ["1", "2"]
    assert corpus.labels.tolist() == [[1, 1], [0, 1]]
    assert Corpus("small", ["a", "b"], [[1], [0]], ["y"]).document_ids == ["1", "2"]


def test_select_labels_drops_documents_where_the_corpus_says_so():
    corpus = make(report={"documents": 4}, unlabelled="drop")
    for selected in (corpus.select_labels(min_count=2), make().select_labels(min_count=2, unlabelled="drop")):
        assert selected.label_names == ["y", "x"]
        assert selected.document_ids == ["1", "2", "3"]
        assert selected.labels.tolist() == [[1, 1], [1, 0], [0, 1]]
        assert selected.report["labels_not_selected"] == selected.report["documents_without_selected_label"] == 1
        assert repr(selected) == "Corpus('small', 3 documents, 2 labels; 1 without a selected label left out)"
        assert selected.notes == ("1 document without a selected label left out",)


def test_select_labels_keeps_documents_by_default():
    selected = make(report={"documents": 4}).select_labels(min_count=2)
    assert selected.document_ids == ["1", "2", "3", "4"]
    assert selected.labels.tolist() == [[1, 1], [1, 0], [0, 1], [0, 0]]
    assert selected.n_unlabelled == 1
    assert "1 document without a label (kept)" in selected.describe()
    assert selected.report == {"documents": 4, "labels_not_selected": 1}


def test_a_given_validation_split_is_kept():
    corpus = make(subset=["train", "test", "dev", "train"])
    assert corpus.subset == ["train", "test", "validation", "train"]
    assert [split.document_ids for split in corpus.official_split()] == [["1", "4"], ["3"], ["2"]]


def test_select_labels_top_breaks_ties_by_name():
    selected = make(unlabelled="drop").select_labels(top=1)
    assert selected.label_names == ["x"]  # as frequent as "y"
    assert selected.document_ids == ["1", "3"]
    assert make().select_labels(top=99).label_names == ["y", "x", "z"]


@pytest.mark.parametrize("arguments", [{}, {"min_count": 1, "top": 1}, {"min_count": 0}, {"top": 0}, {"min_count": 3}])
def test_select_labels_refuses(arguments):
    with pytest.raises(UsageError):
        make().select_labels(**arguments)


def test_select_labels_of_a_sparse_corpus():
    labels = sparse.csr_array(make().labels)
    assert make(labels=labels).select_labels(top=2).fingerprint == make().select_labels(top=2).fingerprint


def test_select_documents_keeps_order_and_subset():
    corpus = make(subset=["train", "train", "test", "test"])
    chosen = corpus.select_documents([3, 0])
    assert chosen.texts == ["e", "a b"] and chosen.subset == ["test", "train"]
    assert chosen.labels.tolist() == [[0, 0, 1], [1, 1, 0]]
    masked = corpus.select_documents(np.array([True, False, False, True]))
    assert masked.document_ids == ["1", "4"]
    assert len(corpus.select_documents([])) == 0


@pytest.mark.parametrize("indices", [[4], [-1], [0, 0], [0.5], np.array([True])])
def test_select_documents_refuses(indices):
    with pytest.raises(UsageError):
        make().select_documents(indices)


def test_to_frame():
    frame = make().to_frame()
    assert list(frame.columns) == ["id", "text", "labels"]
    assert frame["labels"].tolist() == [["y", "x"], ["y"], ["x"], ["z"]]


def test_to_dataset():
    dataset = make().to_dataset()
    assert dataset.column_names == ["id", "text", "labels"]
    assert dataset.features["labels"].feature.dtype == "float32"
    assert dataset[0] == {"id": "1", "text": "a b", "labels": [1.0, 1.0, 0.0]}
    assert make(labels=sparse.csr_array(make().labels)).to_dataset()["labels"][3] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("labels", [make().labels, sparse.csr_array(make().labels)], ids=["dense", "sparse"])
def test_dense_labels_are_an_array_of_bytes(labels):
    dense = make(labels=labels).dense_labels
    assert isinstance(dense, np.ndarray) and dense.dtype == np.uint8
    assert dense.tolist() == make().labels.tolist()


def test_a_sample_is_the_first_split_of_its_share():
    corpus = load_corpus("toy")
    sample = corpus.sample(300, seed=2)
    assert sample.fingerprint == corpus.split(300 / 2400, 1 - 300 / 2400, 0.0, seed=2)[0].fingerprint
    assert abs(len(sample) - 300) < 30 and sample.label_names == corpus.label_names
    assert sample.label_counts.min() >= 1
    assert corpus.sample(2400) is corpus and corpus.sample(9999) is corpus
    with pytest.raises(UsageError, match="n is 0; pass a whole number from 1"):
        corpus.sample(0)


# --- what the caller keeps ----------------------------------------------------------------------------------------------


def test_later_changes_of_the_caller_do_not_reach_the_corpus():
    dense, report = make().labels, {"rows": 4}
    expected = dense.tolist()
    sparse_labels = sparse.csr_array(dense)
    corpora = [make(labels=dense, report=report), make(labels=sparse_labels)]
    fingerprint = make().fingerprint
    dense[:] = 0
    sparse_labels.data[:] = 0
    report["rows"] = 9
    assert corpora[0].report == {"rows": 4}
    for corpus in corpora:
        assert corpus.label_counts.tolist() == [2, 2, 1]
        assert corpus.dense_labels.tolist() == expected and corpus.fingerprint == fingerprint


def test_sparse_labels_of_the_caller_stay_as_they_are():
    def unordered(values, columns):
        return sparse.csr_array((np.array(values), np.array(columns), np.array([0, 2, 3, 4])), shape=(3, 2))

    explicit_zero = unordered([1.0, 0.0, 1.0, 1.0], [1, 0, 1, 0])
    corpus = Corpus("small", ["a", "b", "c"], explicit_zero, ["x", "y"])
    assert corpus.dense_labels.tolist() == [[0, 1], [0, 1], [1, 0]]
    assert explicit_zero.data.tolist() == [1, 0, 1, 1] and explicit_zero.indices.tolist() == [1, 0, 1, 0]
    twice = unordered([1.0, 1.0, 1.0, 1.0], [1, 1, 1, 0])
    with pytest.raises(UsageError, match="0 and 1 only"):
        Corpus("small", ["a", "b", "c"], twice, ["x", "y"])
    assert twice.data.tolist() == [1, 1, 1, 1]


def test_sparse_labels_that_are_mapped_from_a_file(tmp_path):
    whole = sparse.csr_array(make().labels)
    parts = []
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / name, getattr(whole, name))
        parts.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    corpus = make(labels=sparse.csr_array(tuple(parts), shape=whole.shape))
    assert corpus.fingerprint == make().fingerprint
