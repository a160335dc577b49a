import warnings
from collections import Counter

import numpy as np
import pytest

from afl_helpers.augment import EDA, FloorEDA, FloorOversampling, no_synonyms
from afl_helpers.augment import eda as module
from afl_helpers.augment.eda import clean, delete_words, insert_words, replace_words, swap_words
from afl_helpers.errors import MissingFileError, UsageError

WORDS = "the cat sat on the mat with a cat".split()
SYNONYMS = {"cat": ("feline", "big cat"), "mat": ("rug",), "sat": ()}


def look_up(word):
    return SYNONYMS.get(word, ())


def rngs():
    return map(np.random.default_rng, range(200))


def test_words_are_cleaned_as_eda_does():
    assert clean("Don't—stop: É 3 WELL-known\n") == ["dont", "stop", "well", "known"]
    assert clean(" 12 ! ") == []


def test_replacement_changes_every_place_of_a_word_and_no_function_word():
    found = {" ".join(replace_words(WORDS, 1, look_up, rng)) for rng in rngs()}
    assert found == {
        "the feline sat on the mat with a feline",
        "the big cat sat on the mat with a big cat",
        "the cat sat on the rug with a cat",
    }
    assert {len(replace_words(WORDS, 9, look_up, rng)) for rng in rngs()} == {9, 11}
    assert all("rug" in replace_words(WORDS, 2, look_up, rng) for rng in rngs())
    assert replace_words(WORDS, 3, no_synonyms, np.random.default_rng(0)) == WORDS
    assert replace_words(["the"], 1, lambda word: ("x",), np.random.default_rng(0)) == ["the"]


def test_insertion_adds_synonyms_of_words_of_the_text():
    for rng in rngs():
        added = Counter(insert_words(WORDS, 2, look_up, rng)) - Counter(WORDS)
        assert set(added) <= {"feline", "big", "cat", "rug"} and added.total() <= 4
        assert Counter(insert_words(["mat"], 3, lambda word: ("rug",), rng)) == Counter(["mat", "rug", "rug", "rug"])
    places = {insert_words(["cat", "x", "x"], 1, lambda word: ("y",), rng).index("y") for rng in rngs()}
    assert places == {0, 1, 2}
    assert insert_words(WORDS, 2, no_synonyms, np.random.default_rng(0)) == WORDS


def test_swapping_keeps_the_words():
    words = list("abcdef")
    for rng in rngs():
        swapped = swap_words(words, 1, rng)
        assert sorted(swapped) == words and sum(a != b for a, b in zip(words, swapped)) == 2
    assert swap_words(["a"], 3, np.random.default_rng(0)) == ["a"] and words == list("abcdef")


def test_deletion_keeps_the_order_and_at_least_one_word():
    words = [f"w{i:04}" for i in range(5000)]
    kept = delete_words(words, 0.1, np.random.default_rng(0))
    assert len(kept) == pytest.approx(4500, abs=100) and kept == sorted(kept)
    assert delete_words(words, 0, np.random.default_rng(0)) == words
    assert {tuple(delete_words(["a", "b"], 1, rng)) for rng in rngs()} == {("a",), ("b",)}


def test_each_document_gets_as_many_texts_and_its_own_labels():
    texts, y = ["A cat sat!", "12", "The mat, the mat."], np.array([[1, 0], [1, 1], [0, 1]])
    for n_new, names in ((4, look_up), (3, look_up), (5, no_synonyms), (1, no_synonyms)):
        step = EDA(n_new=n_new, synonyms=names)
        new, labels = step.fit_resample(texts, y, 0)
        assert new[:3] == texts and step.sample_indices_.tolist() == [0, 1, 2] + [0] * n_new + [2] * n_new
        assert np.array_equal(labels, y[step.sample_indices_])


def test_the_four_operations_take_turns():
    # Twelve texts of a long one: three each are longer (insertion), shorter (deletion), reordered (swap), replaced.
    words = [f"w{chr(97 + i)}" for i in range(20)]
    new, _ = EDA(n_new=12, alpha=0.1, synonyms=lambda word: ("syn",)).fit_resample([" ".join(words)], [[1]], 1)
    kinds = Counter()
    for text in new[1:]:
        made = text.split()
        if "syn" in made:
            kinds["inserted" if len(made) > 20 else "replaced"] += made.count("syn")
        else:
            kinds["swapped" if sorted(made) == words else "deleted"] += 1
    made_of_all = EDA(n_new=15, synonyms=lambda word: ("syn",)).fit_resample([" ".join(words)], [[1]], 1)[0]
    assert set(kinds) == {"inserted", "replaced", "swapped", "deleted"} and len(made_of_all) == 16
    assert kinds["inserted"] % 2 == kinds["replaced"] % 2 == 0  # alpha of 20 words is two in each text
    without, _ = EDA(n_new=12, synonyms=no_synonyms).fit_resample([" ".join(words)], [[1]], 1)
    assert all(set(text.split()) <= set(words) for text in without)


def test_fewer_texts_than_operations_come_from_different_operations():
    words = [f"w{chr(97 + i)}" for i in range(20)]
    for seed in range(20):
        step = EDA(n_new=3, alpha=0.3, synonyms=lambda word: ("syn",))
        made = [text.split() for text in step.fit_resample([" ".join(words)], [[1]], seed)[0][1:]]
        assert len({(len(text) > 20, len(text) < 20, "syn" in text) for text in made}) == 3


# Labels alone in their documents; counts 20, 5 and 2.
Y = np.repeat(np.eye(3, dtype=np.uint8), (20, 5, 2), axis=0)
TEXTS = [f"word{i} of the text" for i in "abcdefghijklmnopqrstuvwxyzz"]


def test_copies_raise_labels_to_a_floor():
    for floor, counts in (
        (0, [20, 5, 2]),
        (0.2, [20, 5, 4]),
        (0.5, [20, 10, 10]),
        (0.51, [20, 11, 11]),
        (1, [20, 20, 20]),
    ):
        step = FloorOversampling(floor=floor)
        texts, y = step.fit_resample(TEXTS, Y, 0)
        assert y.sum(0).tolist() == counts and texts == [TEXTS[i] for i in step.sample_indices_]
    assert FloorOversampling(floor=1, max_copies=2).fit_resample(TEXTS, Y, 0)[1].sum(0).tolist() == [20, 15, 6]


def test_a_copy_counts_for_each_of_its_labels():
    # Label 2, the rarest, is raised first; its documents carry label 1 too, which therefore needs no copy of its own.
    y = np.array([[1, 0, 0]] * 6 + [[0, 1, 1]] * 2 + [[0, 0, 0]])
    assert FloorOversampling(floor=0.5).fit_resample(np.arange(9), y, 0)[1].sum(0).tolist() == [6, 3, 3]


def test_eda_raises_labels_to_a_floor_with_changed_texts():
    step, copies = FloorEDA(floor=1, synonyms=no_synonyms), FloorOversampling(floor=1)
    texts, y = step.fit_resample(TEXTS, Y, 0)
    assert y.sum(0).tolist() == [20, 20, 20] and texts[:27] == TEXTS
    copied, labels = copies.fit_resample(TEXTS, Y, 0)
    assert np.array_equal(step.sample_indices_, copies.sample_indices_) and np.array_equal(y, labels)
    changed = np.mean([a != b for a, b in zip(texts[27:], copied[27:])])
    assert all(set(a.split()) <= set(b.split()) for a, b in zip(texts[27:], copied[27:]))
    assert 0.4 < changed < 0.9  # swapped with probability one half; deleted with one half, if a word is then drawn


def test_without_wordnet_the_error_says_what_to_do(monkeypatch):
    def missing(folder=None):
        raise MissingFileError("WordNet is not installed")

    monkeypatch.setattr(module, "wordnet_synonyms", missing)
    with pytest.raises(MissingFileError, match="WordNet is not installed"):
        EDA().fit_resample(["a text"], [[1]])
    assert EDA(n_new=0).fit_resample(["a text"], [[1]])[0] == ["a text"]


def test_wrong_parameters():
    with pytest.raises(UsageError, match="synonyms is 'wordnet'; pass a function"):
        EDA(synonyms="wordnet")
    with pytest.raises(UsageError, match="n_new is -1"):
        EDA(n_new=-1)
    with pytest.raises(UsageError, match="max_copies is 0"):
        FloorOversampling(max_copies=0)


@pytest.mark.parametrize("found", ["xyz", 3, [1, 2], ["a", None], {"a", "b"}, [""], [["a"]], b"ab"])
@pytest.mark.parametrize("step", [EDA, FloorEDA])
def test_what_a_function_of_synonyms_returns_is_checked(step, found):
    method = step(synonyms=lambda word: found if word == "hero" else (), **({"floor": 1.0} if step is FloorEDA else {}))
    with pytest.raises(UsageError) as error:
        method.fit_resample(
            ["hero dragon castle", "hero", "hero"] + ["hero dragon"] * 9, [[1, 0]] * 3 + [[0, 1]] * 9, 0
        )
    assert str(error.value) == (
        f"synonyms returns {found!r} for 'hero'; it must return a list of words, empty or None for a word without synonyms"
    )


def test_synonyms_may_be_any_sequence_or_an_iterator():
    same = [("film", "moving picture"), ["film", "moving picture"], np.array(["film", "moving picture"])]
    made = [EDA(synonyms=lambda word: found).fit_resample(["hero dragon castle"], [[1]], 0)[0] for found in same]  # noqa: B023
    made.append(EDA(synonyms=lambda word: iter(same[0])).fit_resample(["hero dragon castle"], [[1]], 0)[0])
    assert all(texts == made[0] for texts in made) and "film" in " ".join(made[0])


def test_none_is_no_synonym_as_the_get_of_a_dict_returns_it():
    known = {"hero": ["heroine"]}
    both = [EDA(synonyms=function, n_new=16) for function in (known.get, lambda word: known.get(word, []))]
    one, other = (step.fit_resample(["hero dragon castle"], [[1]], 0)[0] for step in both)
    assert one == other and "heroine" in " ".join(one)


@pytest.mark.parametrize("step", [EDA(synonyms=no_synonyms), FloorEDA(synonyms=no_synonyms, floor=1.0)])
def test_letters_that_are_lost_are_warned_of_once(step):
    labels = [[1, 0], [1, 0], [1, 0], [0, 1]]
    with pytest.warns(UserWarning) as caught:
        step.fit_resample(["Größe, schöne Übung"] * 4, labels, 0)
    (warning,) = caught
    assert str(warning.message) == (
        f"{type(step).__name__} is for English: it keeps the letters a to z alone, and 25% of the letters of these texts are "
        "lost; use a method that changes no words, such as MLROS or FloorOversampling"
    )
    assert warning.filename == __file__


def test_a_rare_foreign_letter_is_no_reason_to_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EDA(synonyms=no_synonyms).fit_resample(["a tale of two heroes " * 20 + "in a café", "12 !", ""], [[1]] * 3, 0)


def test_every_operation_makes_its_share_of_the_texts(monkeypatch):
    made = Counter()

    def counting(name):
        def step(words, rng):
            made[name] += 1
            return words

        return step

    for names, n_new, each in (("abcd", 4, 2), ("abcd", 7, 2), ("ab", 4, 3), ("ab", 7, 4)):
        made.clear()
        monkeypatch.setattr(module, "operations", lambda *_, names=names: [*map(counting, names)])
        EDA(n_new=n_new).fit_resample(["a text"], [[1]], 0)
        assert made == dict.fromkeys(names, each)


def test_a_text_without_latin_letters_is_copied_as_it_is():
    texts, labels = ["gut ja", "x y", "日本語 テキスト"], [[1, 0], [1, 0], [0, 1]]
    with pytest.warns(UserWarning, match="100% of the letters"):
        made, _ = FloorEDA(synonyms=no_synonyms, floor=1.0).fit_resample(texts, labels, 0)
    assert len(made) > 3 and made[-1] == texts[-1] and all(made)


def test_texts_may_be_a_column_of_pyarrow():
    column = pytest.importorskip("pyarrow").array(["a red duel at noon", "a blue kiss at night"])
    made, labels = EDA(synonyms=no_synonyms, n_new=1).fit_resample(column, [[1], [0]])
    assert made[:2] == column.to_pylist() and len(made) == len(labels) == 4
