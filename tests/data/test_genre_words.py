import pytest

from afl_helpers.data.sources.genre_words import mask_genre_words, word_forms


def test_masking_by_hand():
    names = [
        "Comedy",
        "Romance Film",
        "Children's/Family",
        "Sci-Fi Horror",
        "Coming of age",
        "Crime",
        "B-movie",
        "Zombie Film",
    ]
    texts = [
        "A sci-fi COMEDY film, comedic and Romantic; comedies of ages.",
        "The child's familial crimes: criminals aged 40, filmmakers & horrors.",
        "Becoming of B-movies and zombies in Hollywood.",
    ]
    assert mask_genre_words(texts, names) == [
        "A [MASK]-[MASK] [MASK] [MASK], [MASK] and [MASK]; [MASK] of [MASK].",
        "The [MASK]'s [MASK] [MASK]: [MASK] aged 40, filmmakers & [MASK].",
        "Becoming of B-[MASK] and [MASK] in Hollywood.",
    ]


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("comedy", {"comedy", "comedies", "comedic"}),
        ("movies", {"movie", "movies"}),
        ("western", {"western", "westerns"}),
        ("history", {"history", "histories", "historical"}),
        ("women", {"women", "woman"}),
        ("illnesses", {"illness", "illnesses"}),
        ("realism", {"realism", "realist", "realistic"}),
        ("superhero", {"superhero", "superheroes"}),
        ("drama", {"drama", "dramas", "dramatic"}),
        ("musical", {"musical", "musicals"}),
    ],
)
def test_word_forms(word, forms):
    assert forms <= word_forms(word)
