import json
import os
from pathlib import Path

import numpy as np
import pytest

from afl_helpers.data import load_corpus
from afl_helpers.errors import UsageError
from afl_helpers.relations import Hierarchy, official_hierarchy, subsumption_hierarchy
from afl_helpers.relations.official import HOC_NODES, reuters_groups

TREE = Hierarchy.from_parents(
    ["grain", "wheat", "durum", "gold"], {"wheat": "grain", "durum": "wheat", "gold": "metal"}
)
real_data = pytest.mark.skipif("AFL_DATA_DIR" not in os.environ, reason="AFL_DATA_DIR is not set")


def test_a_tree_by_hand():
    assert TREE.names == ("grain", "wheat", "durum", "gold", "metal") and TREE.n_labels == 4
    assert TREE.parents == (-1, 0, 1, 4, -1) and TREE.levels.tolist() == [0, 1, 2, 1, 0]
    assert TREE.edges.tolist() == [[0, 1], [1, 2], [4, 3]] and TREE.children(-1) == [0, 4]
    labels = np.array([[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    assert TREE.node_labels(labels).astype(int).tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
    assert TREE.under(labels).astype(int).tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]


def test_a_random_hierarchy_has_the_same_shape():
    labels = [f"label {i}" for i in range(30)]
    tree = Hierarchy.from_parents(
        labels, {labels[i]: labels[i // 3] if i > 9 else f"group {i % 4}" for i in range(3, 30)}
    )
    random = tree.shuffled(5)
    assert random.names == tree.names and random.parents != tree.parents and random.parents == tree.shuffled(5).parents
    assert sorted(random.levels) == sorted(tree.levels)
    for node in range(30, len(tree.names)):  # groups keep their number of children
        assert len(random.children(node)) == len(tree.children(node))
    assert sorted(len(random.children(i)) for i in range(30)) == sorted(len(tree.children(i)) for i in range(30))
    assert random.source.startswith("random") and len({tree.shuffled(seed).parents for seed in range(20)}) == 20


def test_errors_of_a_hierarchy_are_named():
    with pytest.raises(UsageError, match="'a' stands above itself"):
        Hierarchy.from_parents(["a", "b"], {"a": "b", "b": "a"})
    with pytest.raises(UsageError, match="unknown label in parents 'whaet' .did you mean 'wheat'"):
        Hierarchy.from_parents(["wheat", "grain"], {"whaet": "grain"})
    with pytest.raises(UsageError, match="2 entries, 1 of them unique"):
        Hierarchy(("a", "a"), (-1, -1), 2)
    for parent in (2, -2, 0.0, True, None, "a"):
        with pytest.raises(UsageError, match=f"parents hold {parent!r}; pass the position of a node, a whole number"):
            Hierarchy(("a", "b"), (-1, parent), 2)


def test_lists_and_arrays_make_the_same_hierarchy():
    for names, parents in ((["a", "b"], [-1, 0]), (np.array(["a", "b"]), np.array([-1, 0]))):
        tree = Hierarchy(names, parents, 2)
        assert (tree.names, repr(tree.parents)) == (("a", "b"), "(-1, 0)")


def test_a_label_may_have_no_parent_in_words():
    pd = pytest.importorskip("pandas")
    expected = (("a", "b", "c", "d", "g"), (-1, 0, -1, 4, -1))
    for nothing in (None, float("nan"), np.float32("nan"), pd.NA, pd.NaT):
        parents = {"a": nothing, "b": "a", "c": nothing, "d": "g"}
        for given in (parents, pd.Series(parents, dtype=object)):
            tree = Hierarchy.from_parents(list("abcd"), given)
            assert (tree.names, tree.parents) == expected, nothing
    for dtype in ("str", "string", "category"):
        tree = Hierarchy.from_parents(list("abcd"), pd.Series({"a": None, "b": "a", "d": "g"}, dtype=dtype))
        assert (tree.names, tree.parents) == expected, dtype
    assert Hierarchy.from_parents(["a"], {}).parents == (-1,)


def test_parents_in_another_form_are_named():
    pd = pytest.importorskip("pandas")
    with pytest.raises(
        UsageError, match="the parent of 'a' is ''; pass the name of a label or group, or None for none"
    ):
        Hierarchy.from_parents(["a", "b"], {"a": "", "b": "a"})
    with pytest.raises(UsageError, match=r"the parent of 'a' is \['b'\]; pass the name"):
        Hierarchy.from_parents(["a", "b"], {"a": ["b"]})
    for parents in ([("b", "a")], "ab", None, pd.DataFrame({"b": ["a"]})):
        with pytest.raises(UsageError, match=f"parents is a {type(parents).__name__}; pass a mapping from a label to"):
            Hierarchy.from_parents(["a", "b"], parents)
    with pytest.raises(UsageError, match="parents has 'b' twice; pass one parent per label"):
        Hierarchy.from_parents(["a", "b"], pd.Series(["a", "c"], index=["b", "b"]))
    with pytest.raises(UsageError, match="unknown label in parents 'whaet'"):
        Hierarchy.from_parents(["wheat"], {"whaet": None})


def test_names_of_a_suggested_hierarchy_are_those_of_the_columns():
    pd = pytest.importorskip("pandas")
    labels = pd.DataFrame([[1, 1]] * 5 + [[1, 0]] * 3, columns=["grain", "wheat"])
    assert subsumption_hierarchy(labels, ["grain", "wheat"]).parents == (-1, 0)
    with pytest.raises(UsageError, match="labels and label_names have the labels in different orders"):
        subsumption_hierarchy(labels, ["wheat", "grain"])


def test_the_tree_of_hoc_has_37_nodes():
    assert len(HOC_NODES) == len(set(HOC_NODES)) == 37
    tree = official_hierarchy("hoc-nodes", HOC_NODES)
    assert len(tree.names) == 37 and len(tree.children(-1)) == 10 and len(tree.edges) == 27
    recorded = json.loads((Path(__file__).parents[2] / "results" / "remedies" / "shared.json").read_text("utf-8"))
    assert any(sorted(names) == sorted(HOC_NODES) for key, names in recorded.items() if key.startswith("labels.name"))
    some = official_hierarchy("hoc-nodes", ["Resisting cell death--Apoptosis", "Resisting cell death"])
    assert some.parents == (1, -1)
    for wrong in ("nothing", 1, "", "death--Apoptosis"):
        with pytest.raises(UsageError, match=f"{wrong!r} is no node of the hallmarks; pass the labels of the corpus"):
            official_hierarchy("hoc-nodes", [wrong])


@pytest.mark.parametrize(
    "name, full",
    [
        ("Apoptosis", "'Resisting cell death--Apoptosis'"),
        ("DNA damage--Adducts", "'Genomic instability and mutation--DNA damage--Adducts'"),
        (
            "Immune response",
            "'Avoiding immune destruction--Immune response' or 'Tumor promoting inflammation--Immune response'",
        ),
    ],
)
def test_the_end_of_a_node_s_name_is_answered_with_the_full_one(name, full):
    with pytest.raises(UsageError) as error:
        official_hierarchy("hoc-nodes", [name])
    assert str(error.value) == f"{name!r} is the end of a node's name; pass the full name, {full}"


@pytest.mark.parametrize("corpus", ["reuters", "hoc-nodes"])
def test_a_string_and_a_set_are_no_label_names(corpus):
    with pytest.raises(UsageError, match="label_names is 'wheat'; pass a list with one name per label"):
        official_hierarchy(corpus, "wheat")
    with pytest.raises(UsageError, match="label_names is a set, which has no order; pass a list"):
        official_hierarchy(corpus, {"wheat", "corn"})


def test_subsumption_by_hand():
    # x in 10 documents, y in 6 of them, z in 5: all in y. a is in 5, of which 4 carry x.
    labels = np.zeros((12, 4), dtype=int)
    labels[:10, 0] = labels[:6, 1] = labels[:5, 2] = labels[[6, 7, 8, 9, 10], 3] = 1
    names = ["x", "y", "z", "a"]
    assert subsumption_hierarchy(labels, names, 0.8).parents == (
        -1,
        0,
        1,
        0,
    )  # y is rarer than x, so it is the parent of z
    assert subsumption_hierarchy(labels, names, 0.81).parents == (-1, 0, 1, -1)
    assert subsumption_hierarchy(labels, names, 0.8, min_count=6).parents == (-1, 0, -1, -1)
    assert subsumption_hierarchy(labels, names).source.startswith("ours")
    # Of two labels that always occur together, neither is the parent.
    assert subsumption_hierarchy(np.ones((9, 2), dtype=int), ["x", "y"]).parents == (-1, -1)
    # At threshold 0, a label that never occurs with another is still not below it.
    assert subsumption_hierarchy([[1, 0]] * 9 + [[0, 1]] * 5, ["x", "y"], 0).parents == (-1, -1)
    with pytest.raises(UsageError, match="4 columns for 3 label_names"):
        subsumption_hierarchy(labels, names[:3])
    with pytest.raises(UsageError, match="threshold is 2"):
        subsumption_hierarchy(labels, names, 2)


def test_the_official_groups_of_reuters():
    groups = reuters_groups()
    # The file of the distribution lists 135 topics; these are its counts.
    sizes = {"subject": 3, "economic indicator": 16, "currency": 27, "corporate": 2, "energy": 9, "commodity": 78}
    assert {group: list(groups.values()).count(group) for group in sizes} == sizes and len(groups) == 135
    assert groups["earn"] == "corporate" and groups["crude"] == "energy" and groups["money-fx"] == "subject"
    tree = official_hierarchy("reuters", ["wheat", "corn", "dlr"])
    assert tree.names[3:] == ("commodity", "currency") and tree.source.startswith("official")
    with pytest.raises(UsageError, match="'film' is no topic of Reuters"):
        official_hierarchy("reuters", ["film"])
    with pytest.raises(UsageError, match="unknown corpus with an official hierarchy 'hoc' .did you mean 'hoc-nodes'"):
        official_hierarchy("hoc", [])


@real_data
def test_the_hierarchies_of_reuters():
    corpus = load_corpus("reuters")
    tree = official_hierarchy("reuters", corpus.label_names)
    assert (tree.n_labels, len(tree.names), len(tree.edges), tree.levels.max()) == (90, 96, 90, 1)
    train = np.array(corpus.subset) == "train"
    found = subsumption_hierarchy(corpus.labels[train], corpus.label_names, 0.8)
    parents = {found.names[child]: found.names[parent] for parent, child in found.edges}
    # Counted by hand: all 8 stories on oats carry grain, 5 wheat and 6 corn; 8 of 10 on the mark carry dlr.
    assert (
        parents["oat"] == parents["wheat"] == parents["corn"] == parents["rice"] == "grain" and parents["dmk"] == "dlr"
    )
    assert parents["soybean"] == "oilseed" and "earn" not in parents and "rye" not in parents  # rye is in one story


@real_data
def test_the_tree_of_hoc():
    corpus = load_corpus("hoc-nodes")
    tree = official_hierarchy("hoc-nodes", corpus.label_names)
    assert tree.n_labels == len(tree.names) == 37 and len(tree.children(-1)) == 10 and len(tree.edges) == 27
    labels = corpus.labels.astype(bool)
    assert np.array_equal(tree.under(labels), labels)  # a node implies all above it


def test_names_of_labels_have_an_order():
    for names in ({"grain", "wheat"}, frozenset({"grain"})):
        with pytest.raises(UsageError, match="label_names is a set, which has no order"):
            Hierarchy.from_parents(names, {})
        with pytest.raises(UsageError, match="label_names is a set, which has no order"):
            subsumption_hierarchy(np.ones((3, len(names)), dtype=bool), names)
    with pytest.raises(UsageError, match="label_names is 'ab'; pass a list"):
        Hierarchy.from_parents("ab", {})
