"""What holds for every change of the training split: the tests run for each entry of the registry."""

import inspect

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from afl_helpers.augment import AUGMENTATIONS, Augmentation, build_augmentation
from afl_helpers.data import load_corpus
from afl_helpers.errors import UsageError

CORPUS = load_corpus("toy").sample(300, seed=1)
LABELS = CORPUS.labels
#: The first two dimensions tell one label each; the values are exact in float32.
VECTORS = np.round(np.random.default_rng(0).normal(size=(300, 12)) + LABELS[:, :12] * 2, 2).astype(np.float32)
MARKER = "zzmarkerzz"

every_name = pytest.mark.parametrize("name", AUGMENTATIONS)


def documents(name, labels=LABELS):
    return list(CORPUS.texts) if AUGMENTATIONS[name].takes == "texts" else VECTORS.copy()


def synonyms_of(word):
    """Synonyms for methods that would look them up in WordNet, which need not be installed."""
    return ("film", "moving picture") if word.endswith("e") else ()


def shuffling(texts, labels, rng):
    """A language model that shuffles the words of a document of the label."""
    return lambda label, rng: " ".join(rng.permutation(texts[rng.choice(np.flatnonzero(labels[:, label]))].split()))


def built(name, **params):
    if (
        "synonyms" in inspect.signature(AUGMENTATIONS[name].build).parameters
        and "synonyms" not in AUGMENTATIONS[name].fixed
    ):
        params.setdefault("synonyms", synonyms_of)
    if name == "kmeans_smote":
        pytest.importorskip("imblearn")
        params.setdefault("n_clusters", 1)  # the rare labels of 300 documents are in too few of each cluster of 8
    if name == "generated_texts":
        params.setdefault("model", shuffling)
        params.setdefault("longest_copy", 1000)
    return build_augmentation(name, **params)


def same(one, other):
    if isinstance(one, list):
        return one == other
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)


@every_name
def test_neutral_parameters_return_the_input_bit_for_bit(name):
    info = AUGMENTATIONS[name]
    x, y = built(name, **info.neutral).fit_resample(documents(name), LABELS, 3)
    assert same(x, documents(name)) and same(y, LABELS)


@every_name
def test_the_same_seed_gives_the_same_result_and_the_input_is_left_alone(name):
    x, y = documents(name), LABELS.copy()
    step = built(name)
    first = step.fit_resample(x, y, 5)
    again = built(name).fit_resample(x, y, np.random.default_rng(5))
    assert same(x, documents(name)) and np.array_equal(y, LABELS)
    assert same(first[0], again[0]) and same(first[1], again[1])
    assert not (same(first[0], x) and same(first[1], y)), "the defaults change nothing"
    positions = step.sample_indices_
    assert len(positions) == len(first[0]) == len(first[1])
    assert positions.dtype == np.int64 and positions.min() >= 0 and positions.max() < len(x)


@every_name
def test_sparse_labels_give_sparse_labels(name):
    x, dense = built(name).fit_resample(documents(name), LABELS, 2)
    also, rows = built(name).fit_resample(documents(name), sparse.csr_array(LABELS), 2)
    assert same(x, also) and isinstance(rows, sparse.csr_array) and same(rows.toarray(), dense)


@every_name
def test_nothing_but_the_training_split_can_be_seen(name):
    # The signature takes one split. What stands in another one cannot come back, nor can it change the result.
    assert list(inspect.signature(Augmentation.fit_resample).parameters) == ["self", "X", "Y", "rng"]
    assert type(built(name)).fit_resample is Augmentation.fit_resample
    x, train = documents(name), slice(0, 200)
    alone = built(name).fit_resample(x[train], LABELS[train], 4)
    x[200:] = [MARKER] * 100 if isinstance(x, list) else np.full_like(x[200:], 1e6)
    beside = built(name).fit_resample(x[train], LABELS[train], 4)
    assert same(alone[0], beside[0]) and same(alone[1], beside[1])
    if isinstance(x, list):
        assert MARKER not in " ".join(beside[0]) and x[200:] == [MARKER] * 100
    else:
        assert np.abs(beside[0]).max() < 1e3 and (x[200:] == 1e6).all()


@every_name
def test_an_entry_says_what_it_is(name):
    info = AUGMENTATIONS[name]
    params = built(name).get_params()
    assert info.tuned in params and set(info.neutral) <= set(params) and len(info.values) > 1
    for value in info.values:
        assert getattr(built(name, **{info.tuned: value}), info.tuned) == value
    documentation = inspect.getdoc(info.build)
    assert info.is_ours == info.attribution.startswith("our construction after")
    assert info.is_ours == ("our construction" in documentation.lower()), "docstring and grade disagree"


@every_name
def test_scikit_learn_can_copy_it_and_set_its_parameters(name):
    step, info = built(name), AUGMENTATIONS[name]
    copy = clone(step)
    assert copy is not step and copy.get_params() == step.get_params()
    assert copy.set_params(**{info.tuned: info.values[0]}).get_params()[info.tuned] == info.values[0]
    with pytest.raises(UsageError, match="unknown parameter 'nothing'"):
        copy.set_params(nothing=1)


@every_name
def test_a_split_without_rare_labels_or_with_one_document_is_fine(name):
    x = documents(name)
    for y in (np.ones((4, 3), dtype=np.uint8), np.zeros((4, 3), dtype=np.uint8), np.eye(4, dtype=np.uint8)[:, :3]):
        new, labels = built(name).fit_resample(x[:4], y, 0)
        assert len(new) == len(labels)
    new, labels = built(name).fit_resample(x[:1], np.array([[1, 0]], dtype=np.uint8), 0)
    assert len(new) == len(labels)


@every_name
def test_bad_input_is_named(name):
    step, x = built(name), documents(name)
    with pytest.raises(UsageError, match="X has 299 documents and Y has 300 rows"):
        step.fit_resample(x[:299], LABELS)
    with pytest.raises(UsageError, match=r"Y has shape \(300,\)"):
        step.fit_resample(x, LABELS[:, 0])
    with pytest.raises(UsageError, match="other than 0 and 1"):
        step.fit_resample(x, LABELS * 2)
    with pytest.raises(UsageError, match="rng is 'a'"):
        step.fit_resample(x, LABELS, "a")
    with pytest.raises(UsageError, match=f"{name}: .*nothing"):
        built(name, nothing=1)
    with pytest.raises(UsageError, match=f"{AUGMENTATIONS[name].tuned} is 'a'"):
        built(name, **{AUGMENTATIONS[name].tuned: "a"})


VECTOR_METHODS = [name for name, info in AUGMENTATIONS.items() if info.takes == "vectors"]
TEXT_METHODS = [name for name, info in AUGMENTATIONS.items() if info.takes == "texts"]


@pytest.mark.parametrize("name", VECTOR_METHODS)
def test_vectors_are_checked(name):
    for x, message in (
        (CORPUS.texts, "not numbers"),
        (sparse.csr_array(VECTORS), "X is sparse"),
        (VECTORS[:, 0], r"X has shape \(300,\)"),
        (np.where(VECTORS[0, 0] == VECTORS, np.nan, VECTORS), "not finite"),
    ):
        with pytest.raises(UsageError, match=message):
            built(name).fit_resample(x, LABELS)


@pytest.mark.parametrize("name", TEXT_METHODS)
def test_texts_are_checked(name):
    with pytest.raises(UsageError, match=r"X\[1\] is int"):
        built(name).fit_resample(["a", 1], [[1], [0]])


def test_one_string_is_not_a_list_of_texts():
    with pytest.raises(UsageError, match="X is 'one text'"):
        built("ml_ros").fit_resample("one text", [[1]])


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'ml_ros'"):
        build_augmentation("mlros")


def test_a_name_keeps_its_method():
    with pytest.raises(UsageError, match="mlsmote_union fixes rule; leave it out, or build MLSMOTE itself"):
        build_augmentation("mlsmote_union", rule="ranking")


def test_documents_of_any_kind_are_repeated():
    labels = np.array([[1, 0]] * 3 + [[0, 1]])
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"text": list("abcd")}, index=[7, 8, 9, 10])
    rows, _ = built("ml_ros").fit_resample(frame, labels)
    assert rows["text"].tolist() == list("abcdd")
    counts, _ = built("ml_ros").fit_resample(sparse.coo_array(np.eye(4)), labels)
    assert counts.toarray().argmax(1).tolist() == [0, 1, 2, 3, 3]


def test_it_works_in_a_pipeline_of_imbalanced_learn():
    pipeline = pytest.importorskip("imblearn.pipeline")
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    model = OneVsRestClassifier(LogisticRegression())
    labels = LABELS[:, LABELS.sum(0) > 10]
    chained = clone(pipeline.Pipeline([("ros", built("ml_ros", rate=0.5)), ("model", model)])).fit(VECTORS, labels)
    by_hand = clone(model).fit(*built("ml_ros", rate=0.5).fit_resample(VECTORS, labels))
    assert np.array_equal(chained.predict_proba(VECTORS), by_hand.predict_proba(VECTORS))
