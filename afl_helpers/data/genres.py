"""Which genres the movies of the CMU corpus carry, and how many movies each: the real labels, without the texts."""

import csv
import json
from functools import cache
from importlib import resources

import numpy as np

#: Movies in the complete metadata that have a genre.
N_MOVIES_WITH_GENRE = 79_447


def genre_counts() -> dict[str, int]:
    """Genre name -> movies with it, most frequent first; 363 genres of 79,447 movies.

    The counts are facts of the corpus's metadata (all 81,741 rows of movie.metadata.tsv, with or without a plot);
    a test counts them again where the metadata is at hand.
    """
    text = resources.files("afl_helpers.data").joinpath("genre_counts.csv").read_text(encoding="utf-8")
    return {row["genre"]: int(row["movies"]) for row in csv.DictReader(text.splitlines())}


@cache
def genre_sets() -> tuple[dict[str, str], dict[tuple[int, ...], int]]:
    """Names of 28 genres by Freebase id; and the number of real movies by genre set (positions in that order).

    Example:
        >>> from afl_helpers.data.genres import genre_sets
        >>> names, counts = genre_sets()
        >>> list(names.values())[:2], counts[(0, 1)] > 1000  # movies that are both, and nothing else of the 28
        (['Drama', 'Comedy'], True)
    """
    table = json.loads(resources.files("afl_helpers.data").joinpath("genre_sets.json").read_text(encoding="utf-8"))
    return table["genres"], {tuple(map(int, key.split(","))): n for key, n in table["sets"].items()}


def genre_matrix() -> tuple[np.ndarray, list[str]]:
    """Which of 28 genres each movie of the complete metadata carries: real labels, without titles or texts.

    Returns:
        (n_movies, 28) uint8, a row for each movie that carries one of them at least, in no particular order; and the
        genres, from the most frequent.

    Example:
        >>> from afl_helpers.data.genres import genre_matrix
        >>> labels, names = genre_matrix()
        >>> int(labels[:, names.index("Western")].sum()) > 2000
        True
    """
    genres, counts = genre_sets()
    sets = np.zeros((len(counts), len(genres)), dtype=np.uint8)
    for row, members in enumerate(counts):
        sets[row, list(members)] = 1
    return np.repeat(sets, list(counts.values()), axis=0), list(genres.values())
