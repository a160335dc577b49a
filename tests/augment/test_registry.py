"""What holds for every change of the training split: the tests run for each entry of the registry."""

import inspect
import math

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from afl_helpers.augment import AUGMENTATIONS, MLROS, Augmentation, HardExamples, PlainCopies, build_augmentation
from afl_helpers.augment.oversampling import resample
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


@every_name
def test_a_refused_parameter_changes_nothing_and_is_refused_again(name):
    step, tuned = built(name), AUGMENTATIONS[name].tuned
    before = step.get_params()
    with pytest.raises(UsageError, match=f"{tuned} is -1"):
        step.set_params(**{tuned: -1})
    with pytest.raises(UsageError, match="unknown parameter 'nothing'"):
        step.set_params(**{tuned: AUGMENTATIONS[name].values[0], "nothing": 1})
    assert step.get_params() == before
    setattr(step, tuned, -1)
    with pytest.raises(UsageError, match=f"{tuned} is -1"):
        step.fit_resample(documents(name), LABELS)


@every_name
def test_infinity_is_refused_where_no_parameter_documents_it(name):
    for parameter, value in built(name).get_params().items():
        if parameter == "level":  # of REMEDIAL, which then copies nothing
            built(name, level=math.inf).fit_resample(documents(name), LABELS)
        elif (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and parameter not in AUGMENTATIONS[name].fixed
        ):
            with pytest.raises(UsageError, match=f"{parameter} is inf; pass a"):
                built(name, **{parameter: math.inf})


@every_name
def test_labels_that_are_no_numbers_are_named(name):
    pd = pytest.importorskip("pandas")
    step, x = built(name), documents(name)[:4]
    with pytest.raises(UsageError, match="Y hold rows of different lengths"):
        step.fit_resample(x, [[1], [1, 0], [0], [1]])
    for wrong in (pd.DataFrame({"a": pd.array([1, 0, None, 1], dtype="Int64")}), [["1"], ["0"], ["1"], ["1"]]):
        with pytest.raises(UsageError, match="Y has values other than 0 and 1"):
            step.fit_resample(x, wrong)
    with pytest.raises(UsageError, match="Y hold masked values"):
        step.fit_resample(x, np.ma.array([[1], [0], [1], [1]], mask=[[0], [1], [0], [0]]))


@every_name
def test_tensors_are_labels_too(name):
    torch = pytest.importorskip("torch")
    expected = built(name).fit_resample(documents(name), LABELS.astype(np.float32), 2)
    labels = torch.tensor(LABELS, dtype=torch.float32)
    for y in (labels, labels.clone().requires_grad_(), labels.bfloat16(), labels.to_sparse(), list(labels)):
        x, new = built(name).fit_resample(documents(name), y, 2)
        assert same(x, expected[0]) and same(new, expected[1])


@every_name
def test_no_labels_at_all_are_fine(name):
    for y in (LABELS[:, :0], sparse.csr_array(LABELS[:, :0])):
        new, labels = built(name).fit_resample(documents(name), y)
        assert labels.shape == (len(new), 0)


@every_name
def test_rows_of_pandas_in_another_order_are_refused(name):
    pd = pytest.importorskip("pandas")
    x = documents(name)
    x = pd.Series(x) if isinstance(x, list) else pd.DataFrame(x)
    y = pd.DataFrame(LABELS)
    built(name).fit_resample(x, y)
    built(name).fit_resample(x, y.set_axis(y.index + 1000))  # another index: nothing but the position to go by
    with pytest.raises(UsageError, match=r"X and Y have the same index in another order.* pass Y.loc\[X.index\]"):
        built(name).fit_resample(x, y.sample(frac=1, random_state=0))


VECTOR_METHODS = [name for name, info in AUGMENTATIONS.items() if info.takes == "vectors"]
TEXT_METHODS = [name for name, info in AUGMENTATIONS.items() if info.takes == "texts"]


@pytest.mark.parametrize("name", VECTOR_METHODS)
def test_vectors_are_checked(name):
    for x, message in (
        (CORPUS.texts, "not numbers"),
        (sparse.csr_array(VECTORS), "X is sparse"),
        (VECTORS[:, 0], r"X has shape \(300,\)"),
        (np.where(VECTORS[0, 0] == VECTORS, np.nan, VECTORS), "not finite"),
        (np.ma.array(VECTORS, mask=VECTORS > 1), "X hold masked values"),
        ([*VECTORS[:-1], VECTORS[-1, :3]], "pass vectors of shape"),
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


def test_documents_come_back_in_the_type_of_x():
    labels, texts = np.array([[1, 0]] * 3 + [[0, 1]]), list("abcd")
    torch, pa, datasets = (pytest.importorskip(name) for name in ("torch", "pyarrow", "datasets"))
    tensor = torch.arange(8.0).reshape(4, 2).requires_grad_()
    rows, _ = MLROS().fit_resample(tensor, labels)
    assert isinstance(rows, torch.Tensor) and rows[:, 0].tolist() == [0, 2, 4, 6, 6]
    for column in (pa.array(texts), pa.chunked_array([texts[:3], texts[3:]]), pa.table({"text": texts})):
        rows, _ = MLROS().fit_resample(column, labels)
        assert type(rows) is type(column) and len(rows) == 5
    rows, _ = MLROS().fit_resample(datasets.Dataset.from_dict({"text": texts}), labels)
    assert isinstance(rows, datasets.Dataset) and rows["text"][:] == list("abcdd")


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor")
def test_documents_without_an_order_or_rows_are_refused():
    labels = np.array([[1, 0]] * 3 + [[0, 1]])
    for x, message in (
        (set("abcd"), "X is {.*; pass one row or text per document"),
        (dict.fromkeys("abcd"), "X is {.*; pass one row or text per document"),
        (np.array(5), "X is array.5.; pass one row or text per document"),
        (np.ma.array(np.eye(4), mask=np.eye(4)), "X hold masked values"),
    ):
        with pytest.raises(UsageError, match=message):
            MLROS().fit_resample(x, labels)
    torch = pytest.importorskip("torch")
    for method in ("ml_ros", "mlsmote"):
        for x in (torch.eye(4).to_sparse(), torch.eye(4).to_sparse_csr()):
            with pytest.raises(UsageError, match="X is a sparse tensor; pass X.to_dense"):
                built(method).fit_resample(x, labels)


def test_vectors_may_be_tensors_of_any_kind():
    torch = pytest.importorskip("torch")
    vectors = torch.tensor(VECTORS).bfloat16().requires_grad_()
    x, _ = built("mlsmote").fit_resample(vectors, LABELS)
    assert same(x, built("mlsmote").fit_resample(vectors.detach().float().numpy(), LABELS)[0])


def test_scores_of_hard_examples_may_be_tensors_and_name_their_labels():
    torch, pd = pytest.importorskip("torch"), pytest.importorskip("pandas")
    scores = np.random.default_rng(1).random(LABELS.shape).astype(np.float32)
    expected = HardExamples(scores=scores).fit_resample(VECTORS, LABELS)[0]
    for given in (
        torch.tensor(scores).requires_grad_(),
        torch.tensor(scores).to_sparse(),
        sparse.csr_array(scores),
        list(torch.tensor(scores)),
    ):
        assert same(HardExamples(scores=given).fit_resample(VECTORS, LABELS)[0], expected)
    with pytest.raises(UsageError, match="scores hold rows of different lengths"):
        HardExamples(scores=[[0.1], [0.2, 0.3]]).fit_resample(VECTORS, LABELS)
    with pytest.raises(UsageError, match="scores hold 'a'; pass numbers"):
        HardExamples(scores=np.full(LABELS.shape, "a")).fit_resample(VECTORS, LABELS)
    names = [f"label {i}" for i in range(LABELS.shape[1])]
    labels, frame = pd.DataFrame(LABELS, columns=names), pd.DataFrame(scores, columns=names)
    for method in (HardExamples, lambda scores: PlainCopies(of=HardExamples(scores=scores))):
        with pytest.raises(UsageError, match="Y and scores have the labels in different orders"):
            method(scores=frame[names[::-1]]).fit_resample(VECTORS, labels)
        with pytest.raises(UsageError, match="Y and scores have the same index in another order"):
            method(scores=frame[::-1]).fit_resample(VECTORS, labels)


def test_positions_of_a_resampled_set_are_those_of_checked_labels():
    for labels, message in (([[7, 8], [3, 4]], "other than 0 and 1"), ([[1], [1, 0]], "rows of different lengths")):
        assert resample(labels, "none").tolist() == [0, 1]
        with pytest.raises(UsageError, match=message):
            resample(labels, "ml_ros")
    with pytest.raises(UsageError, match="rate is 'a'; pass a number from 0 to below 1"):
        resample([[1]], "ml_ros", rate="a")


def test_it_works_in_a_pipeline_of_imbalanced_learn():
    pipeline = pytest.importorskip("imblearn.pipeline")
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    model = OneVsRestClassifier(LogisticRegression())
    labels = LABELS[:, LABELS.sum(0) > 10]
    chained = clone(pipeline.Pipeline([("ros", built("ml_ros", rate=0.5)), ("model", model)])).fit(VECTORS, labels)
    by_hand = clone(model).fit(*built("ml_ros", rate=0.5).fit_resample(VECTORS, labels))
    assert np.array_equal(chained.predict_proba(VECTORS), by_hand.predict_proba(VECTORS))
