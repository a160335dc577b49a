"""The embedded corpus: its bytes, its layout, its label statistics and its texts."""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from afl_helpers.data.sources import toy
from afl_helpers.errors import UsageError

SHA256 = {
    "movie.metadata.tsv": "24f2a4ad2d8e7176a4e5d7f249d502116a3d22d5f53234d3970d8353cb6c8419",
    "plot_summaries.txt": "a62f578d818956dd37e2ff48f6cce3175ad4c54ac77d92d8b7875088b4c40e27",
}

# Inflections of genre names that would give a genre away as well as the name itself.
NAME_FORMS = {
    "romantic", "dramatic", "comic", "comedic", "comedies", "criminal", "criminals", "mysterious",
    "mysteries", "fantastic", "fantasies", "adventurous", "animated", "musicals", "music", "spies",
    "families", "superheroes", "heroes", "hero", "filmed", "horrible", "documentaries",
    "scientist", "scientific", "fictional", "slashed", "roads",
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return toy.toy_files()


@pytest.fixture(scope="module")
def rows(made: dict[str, bytes]) -> list[list[str]]:
    return [line.split("\t") for line in made["movie.metadata.tsv"].decode().split("\n")[:-1]]


@pytest.fixture(scope="module")
def plots(made: dict[str, bytes]) -> dict[str, str]:
    pairs = [line.split("\t") for line in made["plot_summaries.txt"].decode().split("\n")[:-1]]
    assert all(len(pair) == 2 for pair in pairs)
    plots = dict(pairs)
    assert len(plots) == len(pairs)
    return plots


@pytest.fixture(scope="module")
def documents(rows: list[list[str]], plots: dict[str, str]) -> dict[str, list[str]]:
    """Genre names by id, of the movies that have a plot and a genre."""
    genres = {row[0]: list(json.loads(row[8]).values()) for row in rows}
    return {movie_id: names for movie_id, names in genres.items() if names and movie_id in plots}


@pytest.fixture(scope="module")
def table() -> dict:
    return json.loads((files("afl_helpers.data") / "genre_sets.json").read_text(encoding="utf-8"))


def real_counts(table: dict) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    names = list(table["genres"].values())
    single, pairs = Counter(), Counter()
    for key, n in table["sets"].items():
        members = sorted(names[int(position)] for position in key.split(","))
        single.update(dict.fromkeys(members, n))
        pairs.update(dict.fromkeys(combinations(members, 2), n))
    return single, pairs


def test_bytes_of_seed_0_are_pinned(made):
    assert {name: hashlib.sha256(content).hexdigest() for name, content in made.items()} == SHA256


def test_bytes_do_not_depend_on_the_process(made):
    code = (
        "import sys; from afl_helpers.data.sources.toy import toy_files; "
        "sys.stdout.buffer.write(b''.join(toy_files().values()))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONUTF8": "0", "LC_ALL": "C"}
    environment["PYTHONPATH"] = str(Path(toy.__file__).parents[2])
    command = [sys.executable, "-c", code]
    again = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert again == b"".join(made.values())


def test_the_seed_changes_the_texts_and_keeps_the_counts(made):
    other = toy.toy_files(seed=1)
    assert other["plot_summaries.txt"] != made["plot_summaries.txt"]
    lines = {name: content.count(b"\n") for name, content in other.items()}
    assert lines == {name: content.count(b"\n") for name, content in made.items()}


@pytest.mark.parametrize("seed", [-1, 0.5, None, "0"])
def test_a_wrong_seed_is_named(seed):
    with pytest.raises(UsageError, match="seed is .*non-negative integer"):
        toy.toy_files(seed)


def test_layout(rows):
    assert {len(row) for row in rows} == {9}
    assert [row[0] for row in rows] == [str(i) for i in range(1, len(rows) + 1)]
    for _, freebase, title, date, revenue, runtime, languages, countries, genres in rows:
        assert freebase.startswith("/m/toy_") and title.endswith(" (generated)")
        assert re.fullmatch(r"(19|20)\d\d", date)
        assert revenue == "" or int(revenue) > 0
        assert re.fullmatch(r"\d+\.0", runtime)
        assert all(isinstance(json.loads(column), dict) for column in (languages, countries, genres))


def test_rows_that_a_reader_has_to_count(rows, plots, documents):
    without_genre = [row[0] for row in rows if row[8] == "{}"]
    assert len(documents) == 2400
    assert len([row for row in rows if row[0] not in plots]) == 12
    assert len(without_genre) == 8 and set(without_genre) <= set(plots)
    assert len(set(plots) - {row[0] for row in rows}) == 5


def test_long_tail(documents, table):
    counts = Counter(name for names in documents.values() for name in names)
    assert set(counts) == set(table["genres"].values()) and len(counts) == 28
    assert counts["Superhero movie"] == min(counts.values()) >= 10
    assert counts["Drama"] >= 50 * min(counts.values())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_seed_loses_the_rarest_genre(seed):
    lines = toy.toy_files(seed)["movie.metadata.tsv"].decode().split("\n")
    assert sum("Superhero movie" in line for line in lines) >= 10


def test_counts_follow_the_real_ones(documents, table):
    real, real_pairs = real_counts(table)
    counts = Counter(name for names in documents.values() for name in names)
    pairs = Counter(pair for names in documents.values() for pair in combinations(sorted(names), 2))
    scale = len(documents) / sum(table["sets"].values())
    assert spearmanr([counts[name] for name in real], list(real.values())).statistic > 0.99
    assert all(abs(counts[name] - n * scale) <= 4 + 0.1 * n * scale for name, n in real.items())
    every_pair = list(combinations(sorted(real), 2))
    ranks = spearmanr([pairs[pair] for pair in every_pair], [real_pairs[pair] for pair in every_pair])
    assert ranks.statistic > 0.85
    top, real_top = ({pair for pair, _ in tally.most_common(10)} for tally in (pairs, real_pairs))
    assert len(top & real_top) >= 9


def test_table_equals_the_real_metadata(table):
    metadata = Path(os.environ.get("AFL_DATA_DIR", "")) / "cmu" / "movie.metadata.tsv.gz"
    if not metadata.exists():
        pytest.skip("needs AFL_DATA_DIR with cmu/movie.metadata.tsv.gz")
    names = set(table["genres"].values())
    single, pairs, movies = Counter(), Counter(), 0
    with gzip.open(metadata, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            members = sorted(names & set(json.loads(line.rstrip("\n").split("\t")[8]).values()))
            single.update(members)
            pairs.update(combinations(members, 2))
            movies += bool(members)
    assert single["Drama"] == 34007  # of the 79,447 movies with a genre
    assert sum(table["sets"].values()) == movies
    assert real_counts(table) == (single, pairs)


def test_texts_hold_no_word_of_a_genre_name(plots, table):
    words = {word.lower() for name in table["genres"].values() for word in name.split()} - {"of"}
    words |= {word + "s" for word in words} | NAME_FORMS
    used = {word for plot in plots.values() for word in re.findall(r"\w+", plot.lower())}
    assert not used & words


def test_texts_are_distinct_and_of_a_length(plots):
    assert len(set(plots.values())) >= 0.99 * len(plots)
    lengths = [len(plot.split()) for plot in plots.values()]
    assert min(lengths) >= 30 and max(lengths) <= 48


def test_texts_are_clean_sentences(plots):
    for plot in plots.values():
        # No mark left over, no doubled space or full stop, the right article.
        assert not re.search(r"[\[\]{}|<>]|  |\.\.|[A-Z]{2}|\b[Aa] [aeio]|\b[Aa]n [^aeiouh]", plot), plot
        assert all(sentence[0].isupper() for sentence in plot.rstrip(".").split(". ")), plot
        assert plot.endswith(".")


def test_every_genre_has_every_kind_of_phrase(table):
    phrases = toy._phrases()
    for name in table["genres"].values():
        assert set(phrases[name]) == {"who", "place", "goal", "event", "end"}
        assert all(phrases[name].values())
    known = set(table["genres"].values())
    assert all(set(group["genres"]) <= known for group in phrases["shared"])


def test_themes_tell_genres_apart_with_some_noise(plots, documents):
    theme = re.compile("interview|archive|campaigner|scholars|historian|narrator|statistics|zoologist")
    shows = {i: bool(theme.search(plots[i])) for i in documents}
    inside = [shows[i] for i, names in documents.items() if "Documentary" in names]
    outside = [shows[i] for i, names in documents.items() if "Documentary" not in names]
    assert 0.4 < sum(inside) / len(inside) < 0.9  # not each genre is expressed
    assert 0 < sum(outside) / len(outside) < 0.05  # a few documents express a genre that is not theirs
