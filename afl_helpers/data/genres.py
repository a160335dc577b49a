"""The genres of the CMU movies: how many movies carry each genre and each set of genres, without any texts."""

import csv
import json
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

#: The number of movies with a genre in the complete metadata.
N_MOVIES_WITH_GENRE = 79_447


def genre_counts() -> dict[str, int]:
    """Return the number of movies by genre name, most frequent first: 363 genres of 79,447 movies.

    The counts are of the complete metadata: all 81,741 rows of movie.metadata.tsv, with or without a plot. A test counts
    them again if the metadata is available.
    """
    text = resources.files("afl_helpers.data").joinpath("genre_counts.csv").read_text(encoding="utf-8")
    return {row["genre"]: int(row["movies"]) for row in csv.DictReader(text.splitlines())}


@cache
def genre_sets() -> tuple[dict[str, str], dict[tuple[int, ...], int]]:
    """Return the names of 28 genres by Freebase id, and the number of real movies by set of these genres.

    A set holds the positions of its genres in the first result.

    Example:
        >>> from afl_helpers.data.genres import genre_sets
        >>> names, counts = genre_sets()
        >>> list(names.values())[:2], counts[(0, 1)] > 1000  # movies with these two of the 28 genres and no other
        (['Drama', 'Comedy'], True)
    """
    table = json.loads(resources.files("afl_helpers.data").joinpath("genre_sets.json").read_text(encoding="utf-8"))
    return table["genres"], {tuple(map(int, key.split(","))): n for key, n in table["sets"].items()}


def genre_matrix() -> tuple[NDArray[np.uint8], list[str]]:
    """Return the 28 genres of each movie in the complete metadata: real labels, without titles or texts.

    Returns:
        uint8 of shape (n_movies, 28), one row per movie that carries at least one of the genres, in no particular order;
        and the names of the genres, most frequent first.

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
