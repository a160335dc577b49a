import numpy as np
import pytest

from afl_helpers.augment import GeneratedTexts, TrigramModel
from afl_helpers.errors import UsageError

# Label 0 in all documents, label 1 in three of 3, 4 and 5 words.
TEXTS = ["red fish swim", "red birds fly far", "red dogs run very fast", *(f"blue text {i}" for i in range(9))]
Y = np.array([[1, 1]] * 3 + [[1, 0]] * 9)


def writing(*texts):
    """A language model that writes these texts in turn, and what it was fitted to."""
    seen, rest = {}, list(texts)

    def fit(fitted, labels, rng):
        seen.update(texts=list(fitted), labels=labels.copy())
        return lambda label, rng: rest.pop(0) if rest else ""

    return fit, seen


def test_the_model_sees_the_texts_that_are_passed_and_writes_for_minority_labels():
    model, seen = writing("one two three four", "four three two one", "a b c d", "never asked for")
    step = GeneratedTexts(model=model)
    texts, y = step.fit_resample(TEXTS, Y, 0)
    assert seen["texts"] == TEXTS and np.array_equal(seen["labels"], Y.astype(bool))
    assert texts == [*TEXTS, "one two three four", "four three two one", "a b c d"]
    assert y[12:].tolist() == [[0, 1]] * 3 and step.known_[12:].tolist() == [[False, True]] * 3
    assert step.known_[:12].all() and set(step.sample_indices_[12:].tolist()) <= {0, 1, 2}


def test_texts_of_another_length_or_with_a_copied_run_are_refused():
    # The percentiles of 3, 4 and 5 words are 3.2 and 4.8: four words alone fit.
    model, _ = writing(
        "a b c", "a b c d e", "Red Fish swim now", "red fish fly far", "blue fish swim now", "late one is kept"
    )
    assert GeneratedTexts(model=model, longest_copy=3).fit_resample(TEXTS, Y)[0][12:] == [
        "red fish fly far",
        "blue fish swim now",
        "late one is kept",
    ]


def test_texts_below_the_median_score_are_refused():
    model, _ = writing("a b c r", "r r b c", "r r r d", "r r r r")

    def score(texts, label):
        return [text.count("r") for text in texts]  # the label's documents have 1, 3 and 3

    made = GeneratedTexts(model=model, score=score).fit_resample(TEXTS, Y)[0][12:]
    assert made == ["r r r d", "r r r r"]


def test_it_stops_after_so_many_tries():
    asked = []

    def model(texts, labels, rng):
        return lambda label, rng: asked.append(label) or ""

    assert len(GeneratedTexts(model=model, rate=2, tries=4).fit_resample(TEXTS, Y)[0]) == 12
    assert asked == [1] * 24


def test_without_a_model_the_error_says_what_to_pass():
    with pytest.raises(UsageError, match="GeneratedTexts needs a language model; pass model="):
        GeneratedTexts().fit_resample(TEXTS, Y)
    assert GeneratedTexts(rate=0).fit_resample(TEXTS, Y)[0] == TEXTS


def test_a_short_text_that_is_there_already_is_no_new_text():
    texts = ["a red duel", "a blue duel", *(f"story number {i} here" for i in range(9))]
    labels = [[0, 1], [0, 1], *([[1, 0]] * 9)]
    copying = GeneratedTexts(model=lambda texts, labels, rng: lambda label, rng: "A  red duel", rate=2)
    assert len(copying.fit_resample(texts, labels, 0)[0]) == len(texts)
    new = GeneratedTexts(model=lambda texts, labels, rng: lambda label, rng: "a green duel", rate=2)
    assert len(new.fit_resample(texts, labels, 0)[0]) == len(texts) + 4


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"model": "gpt2"}, "model is 'gpt2'; pass a function"),
        ({"model": 5}, "model is 5; pass a function"),
        ({"model": TrigramModel(), "score": "x"}, "score is 'x'; pass a function"),
        ({"model": lambda *given: None}, "model returns None; it must return a function"),
        ({"model": lambda *given: lambda label, rng: None}, "writer returns None; it must return one text"),
        ({"model": TrigramModel(), "score": lambda texts, label: 0.5}, "score returns an array of shape"),
        ({"model": TrigramModel(), "score": lambda texts, label: [np.nan] * len(texts)}, "not finite"),
        ({"model": TrigramModel(), "score": lambda texts, label: []}, r"shape \(0,\) for 3 texts"),
    ],
)
def test_what_a_model_and_a_score_return_is_checked(arguments, words):
    with pytest.raises(UsageError, match=words):
        GeneratedTexts(**arguments).fit_resample(TEXTS, Y)


def test_it_warns_if_no_text_passes_the_filters():
    copying = GeneratedTexts(model=lambda texts, labels, rng: lambda label, rng: texts[0])
    with pytest.warns(UserWarning, match="none of the texts that the model wrote passed the filters"):
        assert len(copying.fit_resample(TEXTS, Y)[0]) == len(TEXTS)
