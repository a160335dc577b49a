"""What holds for every method that uses relations between labels: the tests run for each entry of the registry."""

import inspect
import math

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone

from afl_helpers.errors import UsageError
from afl_helpers.relations import RELATIONS, Hierarchy, Relation, build_relation

RNG = np.random.default_rng(0)
N, L, D = 160, 6, 10
LABELS = (RNG.random((N, L)) < [0.6, 0.4, 0.3, 0.25, 0.2, 0.15]).astype(np.uint8)
VECTORS = (RNG.normal(size=(N, D)) + np.pad(LABELS, ((0, 0), (0, D - L)))).astype(np.float32)
#: 0 and 5 above two labels each, and a group that stands above 0 alone.
TREE = Hierarchy(("a", "b", "c", "d", "e", "f", "group"), (6, 0, 0, 5, 5, -1, -1), L)
TOKENS = [
    np.concatenate([VECTORS[i] + RNG.normal(size=(1 + i % 4, D)), VECTORS[i : i + 1]]).astype(np.float16)
    for i in range(N)
]
SCORES = 1 / (1 + np.exp(-VECTORS[:, :L].astype(float)))
INPUTS = {"vectors": VECTORS, "features": VECTORS, "token states": TOKENS, "scores": SCORES}

every_name = pytest.mark.parametrize("name", RELATIONS)
hierarchical = pytest.mark.parametrize("name", [n for n, i in RELATIONS.items() if i.uses_hierarchy and not i.fixed])


def built(name, **params):
    info = RELATIONS[name]
    names = build_relation(name).get_params()
    if "epochs" in names:
        params = {"epochs": 3, "batch_size": 64, "learning_rate": 0.02, **params}
    for small in ("width", "hidden"):
        if small in names:
            params.setdefault(small, 4)
    if "n_queries" in names:
        params = {"top_k": 2, "n_queries": 4, **params}
    if info.uses_hierarchy and "hierarchy" not in info.fixed:
        params.setdefault("hierarchy", TREE)
    return build_relation(name, **params)


def scores(name, takes=None, X=None, Y=LABELS, seed=3, **params):
    X = INPUTS[takes or RELATIONS[name].takes] if X is None else X
    return built(name, **params).fit(X, Y, seed).scores(X)


@every_name
def test_neutral_parameters_give_the_baseline_bit_for_bit(name):
    info = RELATIONS[name]
    if info.baseline is None:
        assert not info.neutral
        return
    neutral = scores(name, **info.neutral)
    expected = SCORES if info.baseline == "scores" else scores(info.baseline, takes=info.takes)
    assert np.array_equal(neutral, expected)
    assert not np.array_equal(scores(name), expected), "the defaults change nothing"


@every_name
def test_the_same_seed_gives_the_same_scores_and_the_input_is_left_alone(name):
    X = INPUTS[RELATIONS[name].takes]
    before, labels = [np.array(x) for x in X], LABELS.copy()
    first, again = scores(name), scores(name, seed=np.random.default_rng(3))
    assert np.array_equal(first, again) and np.array_equal(labels, LABELS)
    assert all(np.array_equal(one, other) for one, other in zip(before, X))
    assert first.shape == (N, L) and first.dtype == np.float64 and first.min() >= 0 and first.max() <= 1


@every_name
def test_a_document_is_scored_alone(name):
    takes = RELATIONS[name].takes
    model = built(name).fit(INPUTS[takes], LABELS)
    together, alone = model.scores(INPUTS[takes][:5]), [model.scores(INPUTS[takes][i : i + 1])[0] for i in range(5)]
    assert np.allclose(together, alone, atol=1e-6)


@every_name
def test_nothing_but_the_training_split_can_be_seen(name):
    # The signature takes one split. What stands in another one, here a marker, can change neither model nor scores.
    assert list(inspect.signature(Relation.fit).parameters) == ["self", "X", "Y", "rng"]
    assert type(built(name)).fit is Relation.fit
    takes = RELATIONS[name].takes
    X, Y = [np.array(x) for x in INPUTS[takes]], LABELS.copy()
    X = X if takes == "token states" else np.stack(X)
    alone = built(name).fit(X[:100], Y[:100], 4).scores(X[:20])
    Y[100:] = 1
    for i in range(100, N):
        X[i] = np.full_like(X[i], 1.0 if takes == "scores" else 1e4)
    beside = built(name).fit(X[:100], Y[:100], 4)
    beside.scores(X[100:])
    assert np.array_equal(beside.scores(X[:20]), alone)


@hierarchical
def test_a_random_hierarchy_is_one_argument(name):
    true, random = scores(name), scores(name, shuffle_seed=1)
    assert np.array_equal(random, scores(name, hierarchy=TREE.shuffled(1))) and not np.array_equal(random, true)


@every_name
def test_an_entry_says_what_it_is(name):
    info, params = RELATIONS[name], built(name).get_params()
    assert info.tuned in params and set(info.neutral) | set(info.fixed) <= set(params) and len(info.values) > 1
    for value in info.values:
        assert getattr(built(name, **{info.tuned: value}), info.tuned) == value
    assert info.baseline in {None, "scores", *RELATIONS} and (info.baseline is None) <= (not info.neutral)
    assert info.attribution.startswith("our construction after") == info.is_ours
    assert info.is_ours == ("our construction" in inspect.getdoc(info.build).lower()), "docstring and entry disagree"
    # What is not run as its authors do says how it differs; a baseline differs from nothing.
    assert bool(info.differs) == (info.grade != "textbook") and info.differs in info.attribution
    assert not info.differs.endswith(".")


@every_name
def test_scikit_learn_can_copy_it_and_set_its_parameters(name):
    step, info = built(name), RELATIONS[name]
    copy = clone(step, safe=False)
    assert copy is not step and copy.get_params().keys() == step.get_params().keys()
    assert copy.set_params(**{info.tuned: info.values[0]}).get_params()[info.tuned] == info.values[0]
    with pytest.raises(UsageError, match="unknown parameter 'nothing'"):
        copy.set_params(nothing=1)


@every_name
def test_labels_without_documents_and_a_single_document_are_fine(name):
    X = INPUTS[RELATIONS[name].takes]
    for y in (np.zeros((4, L), dtype=np.uint8), np.ones((4, L), dtype=np.uint8), np.eye(4, L, dtype=np.uint8)):
        assert np.isfinite(built(name).fit(X[:4], y).scores(X[:9])).all()
    assert np.isfinite(built(name).fit(X[:1], LABELS[:1]).scores(X[:2])).all()


@every_name
def test_bad_input_is_named(name):
    info, step = RELATIONS[name], built(name)
    X = INPUTS[info.takes]
    with pytest.raises(UsageError, match=r"Y has shape \(160,\)"):
        step.fit(X, LABELS[:, 0])
    with pytest.raises(UsageError, match="other than 0 and 1"):
        step.fit(X, LABELS * 2)
    with pytest.raises(UsageError, match=r"Y has shape \(0, 6\)"):
        step.fit(X[:0], LABELS[:0])
    with pytest.raises(UsageError, match="rng is 'a'"):
        step.fit(X, LABELS, "a")
    with pytest.raises(UsageError, match=f"{name}: .*nothing"):
        built(name, nothing=1)
    with pytest.raises(UsageError, match=f"{info.tuned} is 'a'"):
        built(name, **{info.tuned: "a"})
    if info.takes != "scores":
        with pytest.raises(UsageError, match="X has 159 documents and Y has 160 rows"):
            step.fit(X[:159], LABELS)
    narrower = [x[..., :-1] for x in X] if info.takes == "token states" else X[:, :-1]
    with pytest.raises(UsageError, match=r"X has \d+ columns, but the model was fitted on \d+"):
        step.fit(X, LABELS).scores(narrower)


@every_name
def test_a_refused_parameter_changes_nothing_and_is_refused_again(name):
    step, info = built(name), RELATIONS[name]
    before = step.get_params()
    with pytest.raises(UsageError, match=f"{info.tuned} is -1"):
        step.set_params(**{info.tuned: -1})
    assert step.get_params() == before
    setattr(step, info.tuned, -1)
    with pytest.raises(UsageError, match=f"{info.tuned} is -1"):
        step.fit(INPUTS[info.takes], LABELS)


@every_name
def test_infinity_is_refused(name):
    for parameter, value in built(name).get_params().items():
        if parameter == "C":  # scikit-learn's, which is then without regularization
            assert np.isfinite(scores(name, C=math.inf)).all()
        elif isinstance(value, int | float) and not isinstance(value, bool):
            with pytest.raises(UsageError, match=f"{parameter} is inf; pass a"):
                built(name, **{parameter: math.inf})


@every_name
def test_the_default_type_of_torch_changes_nothing(name):
    expected = scores(name)
    sparse_counts = sparse.csr_array(np.maximum(VECTORS, 0)) if RELATIONS[name].takes == "features" else None
    of_counts = None if sparse_counts is None else scores(name, X=sparse_counts)
    torch.set_default_dtype(torch.float64)
    try:
        assert np.array_equal(scores(name), expected)
        assert sparse_counts is None or np.array_equal(scores(name, X=sparse_counts), of_counts)
    finally:
        torch.set_default_dtype(torch.float32)


@every_name
def test_labels_and_features_may_be_tensors(name):
    X = INPUTS[RELATIONS[name].takes]
    tensors = [torch.tensor(x).requires_grad_() for x in X]
    tensors = tensors if isinstance(X, list) else torch.tensor(X).requires_grad_()
    model = built(name).fit(tensors, torch.tensor(LABELS).bfloat16(), 3)
    assert np.array_equal(model.scores(tensors), scores(name))


@every_name
def test_rows_and_hierarchies_in_another_order_are_refused(name):
    pd = pytest.importorskip("pandas")
    X, step = INPUTS[RELATIONS[name].takes], built(name)
    labels = pd.DataFrame(LABELS, columns=list("abcdef"))
    step.fit(X, labels)
    step.fit(X, pd.DataFrame(LABELS))  # numbers that pandas gives agree with any names
    if RELATIONS[name].takes in ("vectors", "features"):
        with pytest.raises(UsageError, match="X and Y have the same index in another order"):
            step.fit(pd.DataFrame(X), labels.sample(frac=1, random_state=0))
    if getattr(step, "hierarchy", None) is not None:
        with pytest.raises(UsageError, match="hierarchy and Y have the labels in different orders, 'a' and 'f' at 0"):
            step.fit(X, labels[list("fedcba")])
        with pytest.raises(UsageError, match="hierarchy and Y name the labels differently, 'f' and 'z' at 5"):
            step.fit(X, labels.rename(columns={"f": "z"}))
        built(name, hierarchy=Hierarchy.flat(L), **({"contrast": 0} if name == "label_graph_contrast" else {})).fit(
            X, labels
        )


@pytest.mark.parametrize("name", [n for n, i in RELATIONS.items() if i.takes != "token states"])
def test_columns_in_another_order_are_refused(name):
    pd = pytest.importorskip("pandas")
    reranks = RELATIONS[name].takes == "scores"
    X = INPUTS[RELATIONS[name].takes]
    frame = pd.DataFrame(X, columns=list("abcdefghij")[: X.shape[1]])
    labels = pd.DataFrame(LABELS, columns=list("abcdef"))
    model = built(name).fit(frame, labels)
    assert np.array_equal(model.scores(frame), model.scores(X))
    message = (
        r"Y and X have the labels in different orders, 'a' and 'f' at 0; pass X\[columns of Y\]"
        if reranks
        else "X has the columns of fit in another order, 'j' for 'a' at 0; pass them in the order of fit"
    )
    with pytest.raises(UsageError, match=message):
        model.scores(frame[frame.columns[::-1]])


@pytest.mark.parametrize("name", [n for n, i in RELATIONS.items() if i.takes == "features"])
def test_features_in_another_form_than_those_of_fit_are_refused(name):
    forms = {"a dense array": VECTORS, "a sparse matrix": sparse.csr_array(VECTORS), "token states": TOKENS}
    for fitted, X in forms.items():
        model = built(name).fit(X, LABELS)
        for given, other in forms.items():
            if given != fitted:
                with pytest.raises(UsageError, match=f"X is {given}, but the model was fitted on {fitted}"):
                    model.scores(other)


@hierarchical
def test_a_hierarchy_of_other_labels_is_named(name):
    X = INPUTS[RELATIONS[name].takes]
    with pytest.raises(UsageError, match="hierarchy has 6 labels and Y has 5 columns"):
        built(name).fit(X, LABELS[:, :5])
    with pytest.raises(UsageError, match="hierarchy is a dict"):
        built(name, hierarchy={"a": "b"})
    with pytest.raises(UsageError, match="shuffle_seed is True"):
        built(name, shuffle_seed=True)


@pytest.mark.parametrize(
    ("takes", "bad", "message"),
    [
        ("vectors", sparse.csr_array(VECTORS), "X is sparse"),
        ("vectors", ["a"] * N, "not numbers"),
        ("features", VECTORS[:, 0], r"X has shape \(160,\)"),
        ("features", np.full((N, D), np.nan), "not finite"),
        ("features", sparse.csr_array(np.full((N, D), np.inf)), "not finite"),
        ("token states", [*TOKENS[:-1], TOKENS[-1][0]], r"X\[159\] has shape \(10,\)"),
        ("token states", [*TOKENS[:-1], TOKENS[-1][:0]], r"X\[159\] has shape \(0, 10\)"),
        ("token states", [*TOKENS[:-1], TOKENS[-1][:, :3]], r"X\[159\] has width 3 and X\[0\] 10"),
        ("token states", [*TOKENS[:-1], TOKENS[-1] * np.float16(np.nan)], r"X\[159\] has values that are not finite"),
        ("token states", sparse.csr_array(VECTORS), "pass one array of shape"),
        ("features", torch.tensor(VECTORS).to_sparse(), "X is a sparse tensor; pass X.to_dense"),
        ("vectors", np.ma.array(VECTORS, mask=VECTORS > 1), "X hold masked values"),
        ("features", np.ma.array(VECTORS, mask=VECTORS > 1), "X hold masked values"),
        ("token states", [*TOKENS[:-1], np.ma.array(TOKENS[-1], mask=TOKENS[-1] > 0)], r"X\[159\] hold masked values"),
        ("features", [[[1.0, 2.0], [3.0]]] * N, "pass vectors of shape"),
        (
            "token states",
            [*TOKENS[:-1], [[1.0, 2.0], [3.0]]],
            r"X\[159\] has rows of different lengths; pass one array of shape",
        ),
    ],
)
def test_wrong_features_are_named(takes, bad, message):
    for name, info in RELATIONS.items():
        if info.takes == takes:
            with pytest.raises(UsageError, match=message):
                built(name).fit(bad, LABELS)


def test_scores_that_are_no_probabilities_are_named():
    with pytest.raises(UsageError, match="outside 0 to 1; pass probabilities"):
        built("cooccurrence_reranking").fit(None, LABELS).scores(VECTORS[:, :L])


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'label_graph'"):
        build_relation("label_grap")


@pytest.mark.parametrize("name", [n for n, i in RELATIONS.items() if i.takes == "features"])
def test_word_counts_and_token_states_are_features_too(name):
    assert scores(name, X=sparse.csr_array(np.maximum(VECTORS, 0))).shape == (N, L)
    pooled = np.stack([x.astype(np.float32).mean(axis=0) for x in TOKENS])
    assert np.allclose(scores(name, X=TOKENS), scores(name, X=pooled), atol=1e-3)
