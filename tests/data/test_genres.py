"""The committed genre counts are those of the real metadata."""

import os
from collections import Counter
from pathlib import Path

import pytest

from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts, genre_matrix
from afl_helpers.data.reading import MalformedLines
from afl_helpers.data.sources import cmu


def test_the_published_long_tail():
    counts = genre_counts()
    assert len(counts) == 363 and counts["Drama"] == 34_007 and next(iter(counts)) == "Drama"
    assert sum(count < 10 for count in counts.values()) == 82 and sum(count == 1 for count in counts.values()) == 13


def test_the_matrix_has_the_counts_of_its_genres():
    labels, names = genre_matrix()
    counts = genre_counts()
    assert labels.sum(0).tolist() == [counts[name] for name in names] and labels.any(1).all()


@pytest.mark.skipif(not os.environ.get("AFL_DATA_DIR"), reason="AFL_DATA_DIR is not set")
def test_equal_to_the_real_metadata():
    metadata = cmu.local_metadata(Path(os.environ["AFL_DATA_DIR"]))
    movies = [movie for movie in cmu.read_movies(metadata, MalformedLines("raise"), Counter()) if movie.genres]
    assert len(movies) == N_MOVIES_WITH_GENRE
    assert Counter(genre for movie in movies for genre in movie.genres) == genre_counts()
