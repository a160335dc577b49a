import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from afl_helpers.data import Corpus, load_corpus
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


def ids_of(splits) -> list[list[str]]:
    return [split.document_ids for split in splits]


@pytest.mark.filterwarnings("ignore:the splits hold")  # few documents with many labels
@settings(deadline=None, max_examples=150)
@given(corpora(), fractions, st.integers(0, 3), st.randoms(use_true_random=False))
def test_split_properties(corpus, shares, seed, random):
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
    # The order of the documents does not matter.
    order = random.sample(range(len(corpus)), len(corpus))
    shuffled = corpus.select_documents(order).split(*shares, seed=seed)
    assert [sorted(split) for split in ids_of(shuffled)] == [sorted(split) for split in ids_of(splits)]


@settings(deadline=None, max_examples=150)
@given(corpora(), st.data(), st.integers(0, 3))
def test_whole_numbers_of_documents(corpus, data, seed):
    n = len(corpus)
    first = data.draw(st.integers(2, n)) if n > 1 else 0
    second = data.draw(st.integers(2, n - first)) if n - first > 1 else 0
    sizes = data.draw(st.permutations([first, second, None]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        splits = corpus.split(*sizes, seed=seed)
    assert sorted(i for ids in ids_of(splits) for i in ids) == sorted(corpus.document_ids)
    words = [{text.lower() for text in split.texts} for split in splits]
    assert not (words[0] & words[1] or words[0] & words[2] or words[1] & words[2])
    wanted = [n - first - second if size is None else size for size in sizes]
    if [len(split) for split in splits] != wanted:
        assert len({text.lower() for text in corpus.texts}) < n
        assert any("because equal texts stay together" in str(warning.message) for warning in caught)
    if np.any((splits[0].label_counts > 0) != (corpus.label_counts > 0)) and len(splits[0]):
        assert any("labels do not occur in" in str(warning.message) for warning in caught)


@settings(deadline=None, max_examples=100)
@given(corpora(), st.integers(1, 40), st.integers(0, 3))
def test_a_sample_has_the_asked_size(corpus, n, seed):
    sample = corpus.sample(n, seed=seed)
    assert len(sample) == min(n, len(corpus))
    assert sample.document_ids == corpus.sample(n, seed=seed).document_ids


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


@pytest.mark.parametrize("seed", range(10))
def test_every_label_gets_its_share(seed):
    splits = regular().split(0.8, 0.1, 0.1, seed=seed)
    assert [len(split) for split in splits] == [320, 40, 40]
    assert [split.label_counts.tolist() for split in splits] == [[320, 80, 16, 1], [40, 10, 2, 0], [40, 10, 2, 0]]


def test_seeds_differ_and_repeat():
    corpus = regular()
    first, again, other = (corpus.split(seed=seed)[2].document_ids for seed in (0, 0, 1))
    assert first == again != other


def test_sparse_labels_split_alike():
    corpus = regular()
    as_sparse = Corpus("s", corpus.texts, sparse.csr_array(corpus.labels), corpus.label_names, corpus.document_ids)
    assert as_sparse.split(seed=3)[1].document_ids == corpus.split(seed=3)[1].document_ids


def long_tail(texts: list[str], n_labels: int, rate: float = 0.5) -> Corpus:
    """Labels whose frequency falls as 1 / rank."""
    rng = np.random.default_rng(0)
    labels = rng.random((len(texts), n_labels)) < rate / np.arange(1, n_labels + 1)
    names = [f"l{i}" for i in range(n_labels)]
    return Corpus("tail", texts, labels.astype(np.uint8), names, [str(i) for i in range(len(texts))])


def distinct(n: int) -> list[str]:
    return [f"text {i}" for i in range(n)]


REPEATED = {
    "none": distinct(1000),
    "a fifth is one text": ["[deleted]"] * 200 + distinct(800),
    "two fifths are one text": ["[deleted]"] * 400 + distinct(600),
    "three large texts": ["a"] * 300 + ["b"] * 80 + ["c"] * 80 + distinct(540),
    "all twice": distinct(500) * 2,
    "twenty times each": distinct(50) * 20,
    "from 1 to 40 times": [f"text {i}" for i in range(1, 41) for _ in range(i)] + distinct(180),
}


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.7, 0.2, 0.1)])
@pytest.mark.parametrize("case", REPEATED)
def test_repeated_texts_weigh_what_they_weigh(case, shares):
    corpus = long_tail(REPEATED[case], 20)
    for seed in range(10):
        splits = corpus.split(*shares, seed=seed)
        assert [len(split) for split in splits] == pytest.approx([1000 * share for share in shares], rel=0.01)
        # The common labels have their shares; large texts are as coarse as they are.
        if case in ("none", "a fifth is one text", "two fifths are one text", "all twice"):
            for split, share in zip(splits, shares, strict=True):
                assert np.abs(split.label_counts - share * corpus.label_counts).max() < 4


def test_repeated_texts_are_spread():
    corpus = long_tail(distinct(300) * 2 + [f"other {i}" for i in range(400)], 20)
    repeated = [
        [len(split.texts) - len(set(split.texts)) for split in corpus.split(0.8, 0.1, 0.1, seed=s)] for s in range(10)
    ]
    assert np.mean(repeated, axis=0) == pytest.approx([240, 30, 30], abs=8)


def test_a_text_too_large_for_its_split_is_said_in_one_sentence():
    corpus = long_tail(["[deleted]"] * 400 + distinct(600), 5)
    with pytest.warns(UserWarning, match=r"because equal texts stay together \(one stands 400 times\)$") as caught:
        splits = corpus.split(0.3, 0.35, 0.35)
    assert len(caught) == 1 and sorted(len(split) for split in splits)[2] == 400
    assert str(caught[0].message).startswith("the splits hold ") and caught[0].filename == __file__


def test_labels_that_need_more_documents_than_training_has():
    labels = np.eye(50, dtype=np.uint8)
    corpus = Corpus("eye", distinct(50), labels, [f"l{i}" for i in range(50)], [str(i) for i in range(50)])
    with pytest.warns(UserWarning, match="hold 50, 0, 0 documents instead of 40, 5, 5, because every label is kept"):
        assert [len(split) for split in corpus.split()] == [50, 0, 0]
    with pytest.warns(UserWarning, match="10 labels do not occur in the 40 training documents; ask for more"):
        assert [len(split) for split in corpus.split(40, 5, 5)] == [40, 5, 5]
    assert len(corpus.sample(7)) == 7


def test_ten_thousand_labels():
    n, n_labels = 20_000, 10_000
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, n_labels + 1)
    columns = rng.choice(n_labels, 4 * n, p=share / share.sum())
    labels = sparse.csr_array((np.ones(4 * n, np.int64), (np.repeat(np.arange(n), 4), columns)), shape=(n, n_labels))
    labels = (labels > 0).astype(np.uint8)
    corpus = Corpus("wide", distinct(n), labels, [f"l{i}" for i in range(n_labels)], [str(i) for i in range(n)])
    splits = corpus.split(0.8, 0.1, 0.1)
    assert [len(split) for split in splits] == [16_000, 2_000, 2_000]
    assert np.all((splits[0].label_counts > 0) == (corpus.label_counts > 0))
    # A ninth of the documents are the only ones of a label and have to be in training; the others carry more labels.
    common = corpus.label_counts >= 200
    for split, share in zip(splits, (0.8, 0.1, 0.1), strict=True):
        assert split.label_counts[common] / (share * corpus.label_counts[common]) == pytest.approx(1, abs=0.2)


def test_labels_are_shared_out_as_well_as_by_the_package():
    """The package iterative-stratification keeps to the shares of the labels; it does not know the sizes."""
    package = pytest.importorskip("iterstrat.ml_stratifiers")
    corpus, shares = load_corpus("toy"), np.array([0.8, 0.1, 0.1])
    dense = corpus.dense_labels.astype(bool)

    def deviation(numbers: np.ndarray) -> float:
        counts = np.array([dense[numbers == split].sum(axis=0) for split in range(3)])
        return np.abs(counts - shares[:, None] * corpus.label_counts).mean()

    position = {name: i for i, name in enumerate(corpus.document_ids)}
    for seed in range(3):
        ours = np.empty(len(corpus), dtype=int)
        for number, split in enumerate(corpus.split(*shares.tolist(), seed=seed)):
            ours[[position[i] for i in split.document_ids]] = number
        theirs = package.IterativeStratification(dense, shares, np.random.RandomState(seed))
        by_chance = np.random.default_rng(seed).choice(3, len(corpus), p=shares)
        assert deviation(ours) < 1.1 * deviation(theirs) < 0.5 * deviation(by_chance)
        assert np.bincount(ours).tolist() == [1920, 240, 240]


def test_splits_depend_on_ids_and_not_on_texts():
    corpus = regular()
    other = Corpus(
        "m", [text + " masked" for text in corpus.texts], *(corpus.labels, corpus.label_names, corpus.document_ids)
    )
    assert ids_of(other.split(seed=1)) == ids_of(corpus.split(seed=1))


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (1.1, -0.1, 0.0), (float("nan"), 0.5, 0.5)])
def test_fractions_must_make_a_whole(shares):
    with pytest.raises(UsageError, match="sum to 1"):
        regular().split(*shares)


@pytest.mark.parametrize(
    "sizes, message",
    [
        ((300, 101, None), "a split of (300, 101, None) needs more than the 400 documents there are; ask for fewer"),
        ((300, 50, 20), "a split of (300, 50, 20) leaves out some of the 400 documents; pass None for one split"),
        ((300, None, None), "the sizes of a split are (300, None, None); pass None for one split at most"),
        ((-3, 100, None), "whole numbers of documents, or None for the rest, not (-3, 100, None)"),
        ((300.5, 0.1, None), "whole numbers of documents, or None for the rest, not (300.5, 0.1, None)"),
    ],
)
def test_impossible_sizes_are_refused_in_one_sentence(sizes, message):
    with pytest.raises(UsageError) as error:
        regular().split(*sizes)
    assert message in str(error.value)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(UsageError, match="pass a whole number from 0"):
        regular().split(seed=seed)


def test_sizes_in_documents():
    corpus = regular()
    for sizes, expected in [
        ((300, 60, None), [300, 60, 40]),
        ((None, 60, 0), [340, 60, 0]),
        ((300, 0.1, None), [300, 40, 60]),
        ((np.int64(300), 50, 50), [300, 50, 50]),
        ((0.8, None, 0.1), [320, 40, 40]),
        ((2, None, 0), [2, 398, 0]),
        ((1, 0, 0), [400, 0, 0]),
    ]:
        splits = corpus.split(*sizes, seed=2)
        assert [len(split) for split in splits] == expected
    empty = corpus.select_documents([]).split()
    assert [len(split) for split in empty] == [0, 0, 0]


def test_official_split_takes_exactly_what_is_asked_for():
    corpus = regular()
    for validation in (0, 1, 37, 299):
        train, held_out, test = corpus.official_split(validation)
        assert (len(train), len(held_out), len(test)) == (300 - validation, validation, 100)
        assert train.label_counts[3] == 1


def test_official_split_keeps_the_only_document_of_a_label():
    labels = np.eye(3, dtype=np.uint8)
    corpus = Corpus("eye", ["s", "t", "u"], labels, list("abc"), list("123"), subset=["train", "train", "test"])
    with pytest.raises(UsageError, match="no split was found that holds exactly 1 validation document"):
        corpus.official_split(1)


def test_official_split_needs_one():
    corpus = regular()
    plain = Corpus("plain", corpus.texts, corpus.labels, corpus.label_names, corpus.document_ids)
    with pytest.raises(UsageError, match="'plain' has no official split"):
        plain.official_split()
    with pytest.raises(UsageError, match="between 0 and 299"):
        corpus.official_split(300)
