"""Count the exact genre sets of the CMU metadata, and write `afl_helpers/data/genre_sets.json`.

The embedded corpus draws the labels of its documents from this table. The folder must hold `cmu/movie.metadata.tsv.gz`:

    python tools/make_genre_sets.py $AFL_DATA_DIR
"""

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

TARGET = Path(__file__).parent.parent / "afl_helpers" / "data" / "genre_sets.json"
SOURCE = (
    "CMU Movie Summary Corpus (Bamman, O'Connor and Smith 2013), movie.metadata.tsv, "
    "git blob hash 3a047d6cd6b5bb551de35ac3e4a003b92a3ea905, CC BY-SA"
)
MEANING = (
    "sets: how many movies carry exactly this set of the genres below and no other of them, "
    "a set being the genres' positions, from 0; movies that carry none of them are left out"
)

# Genres with a theme that a text can have, from the most frequent to the rarest; one of each group of near-synonyms
# ("Comedy", "Comedy film").
GENRES = (
    "Drama", "Comedy", "Romance Film", "Action", "Thriller", "Crime Fiction", "Documentary", "Horror",
    "Silent film", "Adventure", "Family Film", "Musical", "Animation", "Mystery", "Science Fiction",
    "Fantasy", "War film", "Western", "Sports", "Martial Arts Film", "Coming of age", "Slasher",
    "Supernatural", "Film noir", "Spy", "Creature Film", "Road movie", "Superhero movie",
)  # fmt: skip


def count_sets(metadata: Path) -> tuple[dict[str, str], Counter[tuple[int, ...]]]:
    """Return the Freebase id of each genre, and the number of movies by their set of genres (positions)."""
    ids: dict[str, Counter[str]] = {name: Counter() for name in GENRES}
    sets: Counter[tuple[int, ...]] = Counter()
    with gzip.open(metadata, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            genres = json.loads(line.rstrip("\n").split("\t")[8])
            for genre_id, name in genres.items():
                if name in ids:
                    ids[name][genre_id] += 1
            names = set(genres.values())
            chosen = tuple(i for i, name in enumerate(GENRES) if name in names)
            if chosen:
                sets[chosen] += 1
    # A few names have two ids: the more frequent one stands for the genre.
    return {name: counts.most_common(1)[0][0] for name, counts in ids.items()}, sets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path, help="folder with cmu/movie.metadata.tsv.gz")
    ids, sets = count_sets(parser.parse_args().data_dir / "cmu" / "movie.metadata.tsv.gz")
    by_frequency = sorted(sets.items(), key=lambda item: (-item[1], item[0]))
    table = {
        "source": SOURCE,
        "meaning": MEANING,
        "genres": {ids[name]: name for name in GENRES},
        "sets": {",".join(map(str, key)): n for key, n in by_frequency},
    }
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    # One key per line at the top level, so that a change shows as a small difference.
    for key in ("meaning", "genres", "sets"):
        text = text.replace(f',"{key}":', f',\n"{key}":', 1)
    TARGET.write_text(text + "\n", encoding="utf-8", newline="\n")
    print(f"{TARGET}: {len(sets):,} sets of {sum(sets.values()):,} movies, {len(text):,} characters")


if __name__ == "__main__":
    main()
