import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from afl_helpers.data import Corpus
from afl_helpers.data import splits as splits_module
from afl_helpers.errors import UsageError


@st.composite
def corpora(draw) -> Corpus:
    n_labels = draw(st.integers(1, 5))
    row = st.lists(st.integers(0, 1), min_size=n_labels, max_size=n_labels)
    rows = draw(st.lists(row, min_size=1, max_size=40))
    # Few different words, so that texts repeat.
    texts = draw(st.lists(st.sampled_from("ABCabcdefghijklmnop"), min_size=len(rows), max_size=len(rows)))
    return Corpus(
        name="drawn",
        texts=texts,
        labels=np.array(rows, dtype=np.uint8),
        label_names=[f"l{i}" for i in range(n_labels)],
        document_ids=[str(i) for i in range(len(rows))],
        subset=draw(st.lists(st.sampled_from(["train", "test"]), min_size=len(rows), max_size=len(rows))),
    )


fractions = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.6, 0.0, 0.4), (0.1, 0.1, 0.8), (1.0, 0.0, 0.0)])


@settings(deadline=None, max_examples=150)
@given(corpora(), fractions, st.integers(0, 3))
def test_split_properties(corpus, shares, seed):
    splits = corpus.split(*shares, seed=seed)
    ids = [i for split in splits for i in split.document_ids]
    assert sorted(ids) == sorted(corpus.document_ids)
    words = [{text.lower() for text in split.texts} for split in splits]
    assert not (words[0] & words[1] or words[0] & words[2] or words[1] & words[2])
    assert np.all((splits[0].label_counts > 0) == (corpus.label_counts > 0))
    for split, share in zip(splits, shares, strict=True):
        assert split.label_names == corpus.label_names
        assert share > 0 or len(split) == 0
    again = corpus.split(*shares, seed=seed)
    assert [split.fingerprint for split in again] == [split.fingerprint for split in splits]


@settings(deadline=None, max_examples=100)
@given(corpora(), st.integers(0, 10), st.integers(0, 3))
def test_official_split_properties(corpus, validation, seed):
    official = {
        name: [i for i, of in zip(corpus.document_ids, corpus.subset, strict=True) if of == name]
        for name in ("train", "test")
    }
    try:
        train, held_out, test = corpus.official_split(validation, seed=seed)
    except UsageError:
        # Allowed only where the number cannot be had: too few documents, or repeated texts and rare labels.
        singles = len({text.lower() for text in corpus.texts}) == len(corpus)
        assert validation >= len(official["train"]) or not singles or corpus.label_counts.min() <= validation
        return
    assert len(held_out) == validation
    assert test.document_ids == official["test"]
    assert sorted(train.document_ids + held_out.document_ids, key=int) == official["train"]
    assert not {text.lower() for text in train.texts} & {text.lower() for text in held_out.texts}


def regular(n: int = 400) -> Corpus:
    """Label a on every document, b on every 4th, c on every 20th, d on one."""
    numbers = np.arange(n)
    labels = np.stack([numbers >= 0, numbers % 4 == 0, numbers % 20 == 0, numbers == 7], axis=1)
    return Corpus(
        name="regular",
        texts=[f"text {i}" for i in numbers],
        labels=labels.astype(np.uint8),
        label_names=list("abcd"),
        document_ids=[str(i) for i in numbers],
        subset=["train" if i % 4 else "test" for i in numbers],
    )


def test_every_label_gets_its_share():
    train, validation, test = regular().split(0.8, 0.1, 0.1, seed=1)
    for split, expected in ((train, [320, 80, 16]), (validation, [40, 10, 2]), (test, [40, 10, 2])):
        assert split.label_counts[:3] == pytest.approx(expected, abs=2)
    assert [split.label_counts[3] for split in (train, validation, test)] == [1, 0, 0]


def test_seeds_differ_and_repeat():
    corpus = regular()
    first, again, other = (corpus.split(seed=seed)[2].document_ids for seed in (0, 0, 1))
    assert first == again != other


def test_sparse_labels_split_alike():
    corpus = regular()
    as_sparse = Corpus("s", corpus.texts, sparse.csr_array(corpus.labels), corpus.label_names, corpus.document_ids)
    assert as_sparse.split(seed=3)[1].document_ids == corpus.split(seed=3)[1].document_ids


def long_tail(n_units: int, n_labels: int) -> sparse.csr_array:
    rng = np.random.default_rng(0)
    rates = 0.5 / np.arange(1, n_labels + 1)
    return sparse.csr_array((rng.random((n_units, n_labels)) < rates).astype(np.int64))


def test_beyond_the_limit_the_same_method_runs_on_the_labels_present(monkeypatch):
    labels, shares = long_tail(1500, 60), np.array([0.8, 0.1, 0.1])

    def deviation(split: np.ndarray) -> float:
        counts = np.array([labels[split == number].sum(axis=0) for number in range(3)])
        return np.abs(counts - shares[:, None] * labels.sum(axis=0)).mean()

    package = splits_module._stratify(labels, shares, 0)
    monkeypatch.setattr(splits_module, "STRATIFICATION_LIMIT_BYTES", 0)
    ours = splits_module._stratify(labels, shares, 0)
    by_chance = np.random.default_rng(0).choice(3, 1500, p=shares)
    assert deviation(ours) < 1.1 * deviation(package) < 0.5 * deviation(by_chance)
    assert np.abs(np.bincount(ours) - 1500 * shares).max() < 30
    assert (splits_module._stratify(labels, shares, 0) == ours).all() and (
        splits_module._stratify(labels, shares, 1) != ours
    ).any()


def test_a_large_corpus_splits_like_a_small_one(monkeypatch):
    corpus = regular()
    monkeypatch.setattr(splits_module, "STRATIFICATION_LIMIT_BYTES", 0)
    train, validation, test = corpus.split(0.8, 0.1, 0.1)
    assert [split.label_counts[2] for split in (train, validation, test)] == [16, 2, 2]
    assert np.all(train.label_counts > 0)
    assert sorted(train.document_ids + validation.document_ids + test.document_ids) == sorted(corpus.document_ids)


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (1.1, -0.1, 0.0), (float("nan"), 0.5, 0.5)])
def test_fractions_must_make_a_whole(shares):
    with pytest.raises(UsageError, match="sum to 1"):
        regular().split(*shares)


def test_official_split_takes_exactly_what_is_asked_for():
    corpus = regular()
    for validation in (0, 1, 37, 299):
        train, held_out, test = corpus.official_split(validation)
        assert (len(train), len(held_out), len(test)) == (300 - validation, validation, 100)
        assert train.label_counts[3] == 1


def test_official_split_keeps_the_only_document_of_a_label():
    labels = np.eye(3, dtype=np.uint8)
    corpus = Corpus("eye", ["s", "t", "u"], labels, list("abc"), list("123"), subset=["train", "train", "test"])
    with pytest.raises(UsageError, match="no split holds exactly 1 validation document"):
        corpus.official_split(1)


def test_official_split_needs_one():
    corpus = regular()
    plain = Corpus("plain", corpus.texts, corpus.labels, corpus.label_names, corpus.document_ids)
    with pytest.raises(UsageError, match="'plain' has no official split"):
        plain.official_split()
    with pytest.raises(UsageError, match="between 0 and 299"):
        corpus.official_split(300)
