"""The committed facts on the real texts are those that the texts give."""

import os
from pathlib import Path

import numpy as np
import pytest

from afl_helpers.data import Corpus, load_corpus
from afl_helpers.data.facts import corpus_facts, count_genre_words, count_labels, count_lengths, token_lengths
from afl_helpers.training.encoders import load_tokenizer

needs_data = pytest.mark.skipif(not os.environ.get("AFL_DATA_DIR"), reason="AFL_DATA_DIR is not set")


def test_a_genre_is_named_by_all_words_of_its_name_but_film():
    corpus = Corpus(
        name="hand",
        texts=["A romantic film.", "Romantic comedies.", "A comedy film", "The war"],
        labels=np.array([[1, 0], [1, 0], [0, 1], [1, 1]], dtype=np.uint8),
        label_names=["Romantic comedy", "War film"],
        document_ids=list("abcd"),
    )
    facts = count_genre_words(corpus, min_count=1)
    assert facts["by_genre"] == {"Romantic comedy": [0.3333, 0.0], "War film": [0.5, 0.0]}
    assert facts["documents_naming_own"] == 0.5 and facts["assignments_named"] == 0.4


def test_lengths_survive_their_counts():
    encoded = [[1, 2], [1], [3, 4], [5, 6, 7]]
    assert token_lengths({"tokens": count_lengths(encoded)}).tolist() == [1, 2, 2, 3]


@needs_data
def test_labels_and_genre_words_of_the_leads():
    corpus, facts = load_corpus("cmu-leads"), corpus_facts()["cmu-leads"]
    assert count_labels(corpus).items() <= facts.items()
    assert count_genre_words(corpus) == facts["genre_words"]


@needs_data
def test_labels_and_lengths_of_reuters():
    corpus, facts = load_corpus("reuters"), corpus_facts()["reuters"]
    assert count_labels(corpus).items() <= facts.items()
    assert count_lengths(load_tokenizer("minilm")(corpus.texts, verbose=False)["input_ids"]) == facts["tokens"]


@needs_data
@pytest.mark.parametrize(
    ("name", "without_label"), [("hoc", 272), ("hoc-nodes", 272), ("unfair-tos", 16_009), ("cmu-leads-masked", 0)]
)
def test_labels_of_other_corpora(name, without_label):
    facts = corpus_facts()[name]
    assert count_labels(load_corpus(name)).items() <= facts.items()
    assert facts["without_label"] == without_label


@needs_data
def test_lengths_of_the_first_plots():
    place = Path(os.environ["AFL_DATA_DIR"]) / "cmu" / "plot_summaries.first72.txt"
    if not place.is_file():
        pytest.skip(f"{place.name} is not in AFL_DATA_DIR")
    plots = [line.split("\t", 1)[1] for line in place.read_text(encoding="utf-8").splitlines()]
    facts = corpus_facts()["cmu, first 72 plots"]
    assert count_lengths(load_tokenizer("minilm")(plots, verbose=False)["input_ids"]) == facts["tokens"]
