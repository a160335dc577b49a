"""The embedded corpus `toy`: generated plots with real label statistics, in the layout of the CMU corpus.

Real are the frequency of each genre and which genres occur together: `genre_sets.json` holds, for 28 genres, how many
movies of the CMU metadata carry exactly each set of them (`tools/make_genre_sets.py` counts), and the genre sets of the
documents are a systematic sample of that table. All else is generated, including titles, dates and plots. Each title says
so, each Freebase id starts with `/m/toy_`, and ids count from 1.

A plot fills the slots of a few sentence patterns with the phrases of `toy_phrases.toml`. A genre shows in themes, never by
its name, and is hard to recognise on purpose: a genre of the document may not show, a genre it does not carry may show,
some phrases belong to several genres, and rare genres show only a few of their phrases.

Besides the 2,400 documents with a plot and a genre there are rows that a reader must drop and count: movies without a plot,
movies without a genre, and plots without a movie (constants below).

The bytes depend on the seed alone: every choice is made with `random.Random(seed).random()`, which is the same in all
versions of Python and on all machines.
"""

import json
import random
import re
import tomllib
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, TypeVar

from afl_helpers.data.genres import genre_sets
from afl_helpers.errors import UsageError

T = TypeVar("T")

N_DOCUMENTS = 2400  # movies with a plot and at least one genre
MOVIES_WITHOUT_PLOT = 12
MOVIES_WITHOUT_GENRE = 8  # they have a plot
PLOTS_WITHOUT_MOVIE = 5  # the metadata lacks their ids
MIN_WORDS, MAX_WORDS = 30, 48

EXPRESSED = 0.85  # probability that a genre of the document shows in its plot
SECOND_CUE = 0.45  # probability that a free slot shows a genre that shows already
FOREIGN_CUE = 0.02  # probability that a free slot shows a genre of some other document
REMARK = 0.4  # probability of a neutral remark between the two events
SHARED_CUE = 0.15  # probability that a genre shows by a phrase that belongs to several genres

SLOTS = ("who", "place", "goal", "event", "event", "end")

# {name} is the full name of the main character, who is {n} and {they} afterwards.
OPENINGS = (
    ("{name} is WHO PLACE.", "{they} GOAL."),
    ("PLACE, {name}, WHO, GOAL.",),
    ("{name}, WHO PLACE, GOAL.",),
    ("PLACE we meet {name}, WHO.", "{they} GOAL."),
    ("{name} is WHO.", "PLACE, {they} GOAL."),
)
BEFORE_FIRST_EVENT = ("", "", "One evening ", "Then ", "Soon ", "But ", "Before long ", "That same week ")
BEFORE_SECOND_EVENT = ("", "", "Meanwhile ", "And then ", "Worse still, ", "Some days later ", "Just then ")
BEFORE_END = ("", "", "", "In the end ", "Finally ", "After all this ")

RELATIONS = (
    "neighbour", "old friend", "colleague", "former classmate", "rival", "childhood friend",
    "business partner", "new acquaintance", "pen friend", "assistant",
)  # fmt: skip

# First names of women, of men, and surnames, by language or region.
NAMES = (
    ("Amara Ngozi Ifeoma", "Chidi Emeka Obinna", "Okafor Eze Nwosu"),
    ("Wanjiru Akinyi Makena", "Kamau Otieno Juma", "Mwangi Odhiambo Kariuki"),
    ("Thandiwe Naledi Zanele", "Sipho Themba Lwazi", "Dlamini Mokoena Nkosi"),
    ("Layla Samira Nour", "Karim Youssef Tariq", "Haddad Mansour Khoury"),
    ("Shirin Parisa Leila", "Dariush Kaveh Reza", "Karimi Farahani Tehrani"),
    ("Priya Kavita Meera", "Arjun Ravi Sanjay", "Sharma Nair Banerjee"),
    ("Mei Xiulan Jia", "Wei Jun Haoran", "Chen Zhang Lin"),
    ("Hana Yuki Sachiko", "Kenji Haruto Takeshi", "Tanaka Mori Ishikawa"),
    ("Jiwoo Soyeon Minji", "Minho Jisung Taeyang", "Kim Park Choi"),
    ("Linh Thuy Huong", "Minh Duc Quang", "Nguyen Tran Pham"),
    ("Lucía Carmen Ximena", "Mateo Diego Andrés", "Herrera Salazar Quispe"),
    ("Beatriz Joana Iracema", "Thiago Rui Caetano", "Moreira Carvalho Souza"),
    ("Chiara Giulia Elena", "Marco Luca Pietro", "Ricci Ferrara Conti"),
    ("Camille Solène Margot", "Julien Rémi Bastien", "Moreau Lefèvre Girard"),
    ("Ingrid Astrid Liv", "Lars Henrik Nils", "Lindqvist Berg Halvorsen"),
    ("Agnieszka Jana Milena", "Tomasz Marek Goran", "Kowalski Novak Petrov"),
    ("Greta Annika Lotte", "Jonas Matthias Felix", "Brandt Keller Vogel"),
    ("Niamh Morag Harriet", "Declan Alasdair Edwin", "Gallagher Fraser Whitlock"),
    ("Ayşe Elif Defne", "Emre Kerem Mehmet", "Yılmaz Demir Aydın"),
    ("Leilani Aroha Mele", "Tane Keoni Sione", "Kahale Parata Tupou"),
    ("Ruth Miriam Tamar", "Eli Noam Avi", "Levin Stern Katz"),
    ("Winona Tallulah Grace", "Dakota Isaac Jerome", "Whitehorse Freeman Brooks"),
)
PRONOUNS = (("she", "her", "her"), ("he", "him", "his"))

TITLE_ADJECTIVES = (
    "Last Crooked Paper Second Borrowed Hollow Golden Restless Distant Narrow Forgotten Wooden Patient "
    "Broken Northern Bitter Glass Quiet Burning Seventh Unfinished Pale Wandering Hidden Blue"
).split()  # fmt: skip
TITLE_NOUNS = (
    "Lantern Harbour Orchard Promise Ledger Staircase Window River Letter Winter Stranger Bridge Garden "
    "Compass Mirror Carousel Violin Key Island Hour Tide Sparrow Kitchen Shadow Passage"
).split()  # fmt: skip
TITLES = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "{name} and the {noun}",
    "The {noun} and the {second}",
)

LANGUAGES: tuple[dict[str, str], ...] = (
    {"/m/02h40lc": "English Language"}, {"/m/02h40lc": "English Language"}, {"/m/064_8sq": "French Language"},
    {"/m/06nm1": "Spanish Language"}, {"/m/03k50": "Hindi Language"}, {},
)  # fmt: skip
COUNTRIES: tuple[dict[str, str], ...] = (
    {"/m/09c7w0": "United States of America"}, {"/m/07ssc": "United Kingdom"}, {"/m/03rk0": "India"},
    {"/m/0f8l9c": "France"}, {},
)  # fmt: skip


def toy_files(seed: int = 0) -> dict[str, bytes]:
    """Generate the two files of the embedded corpus; return their content by their names in the CMU archive.

    Both are in CMU's layout (see `sources/cmu.py`), in UTF-8, with "\\n" as line end.

    Args:
        seed: a non-negative integer; the same seed gives the same bytes everywhere.

    Raises:
        UsageError: the seed is not a non-negative integer.
    """
    if not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed is {seed!r}; pass a non-negative integer")
    metadata, plots = _generate(seed)
    return {"movie.metadata.tsv": metadata, "plot_summaries.txt": plots}


@lru_cache(maxsize=1)  # it takes longer than reading them, and a study reads them for every split
def _generate(seed: int) -> tuple[bytes, bytes]:
    """Return the content of the two files: metadata, plots."""
    rng = random.Random(seed)
    documents = _draw_sets(rng, N_DOCUMENTS)
    entries = [(genres, True) for genres in documents]
    entries += [(genres, False) for genres in _draw_sets(rng, MOVIES_WITHOUT_PLOT)]
    entries += [((), True)] * MOVIES_WITHOUT_GENRE
    _shuffle(rng, entries)
    rows, plots = [], []
    for movie_id, (genres, has_plot) in enumerate(entries, start=1):
        rows.append(_metadata_row(rng, movie_id, genres))
        if has_plot:
            plots.append(f"{movie_id}\t{_plot(rng, genres, documents)}\n")
    for movie_id in range(len(entries) + 1, len(entries) + 1 + PLOTS_WITHOUT_MOVIE):
        plots.append(f"{movie_id}\t{_plot(rng, (), documents)}\n")
    return "".join(rows).encode(), "".join(plots).encode()


@cache
def _phrases() -> dict[str, Any]:
    return tomllib.loads((files("afl_helpers.data.sources") / "toy_phrases.toml").read_text(encoding="utf-8"))


def _choose(rng: random.Random, items: Sequence[T]) -> T:
    return items[int(rng.random() * len(items))]


def _shuffle(rng: random.Random, items: list[T]) -> None:
    for last in range(len(items) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        items[last], items[other] = items[other], items[last]


def _draw_sets(rng: random.Random, n: int) -> list[tuple[int, ...]]:
    """Draw a systematic sample of `n` genre sets: every (total / n)-th movie of the table, from a random start.

    The table is ordered by rarest genre first (positions are by frequency), so that the count of a rare genre differs
    from its expected value by at most one.
    """
    counts = genre_sets()[1]
    ordered = sorted(counts, key=lambda genres: genres[::-1], reverse=True)
    total = sum(counts.values())
    position = int(rng.random() * total)  # in n-ths of a movie, so that all numbers are integers
    drawn, passed = [], 0
    for genres in ordered:
        passed += counts[genres] * n
        while position < passed:
            drawn.append(genres)
            position += total
    return drawn


def _assign_genres(rng: random.Random, genres: tuple[int, ...], documents: list[tuple[int, ...]]) -> list[int | None]:
    """Return the genre that each slot of a plot shows; None for a neutral slot."""
    shown = [genre for genre in genres if rng.random() < EXPRESSED]
    _shuffle(rng, shown)
    slots: list[int | None] = list(shown[: len(SLOTS)])
    while len(slots) < len(SLOTS):
        draw = rng.random()
        if draw < FOREIGN_CUE:
            slots.append(_choose(rng, _choose(rng, documents)))
        elif shown and draw < FOREIGN_CUE + SECOND_CUE:
            slots.append(_choose(rng, shown))
        else:
            slots.append(None)
    _shuffle(rng, slots)
    return slots


def _phrase(rng: random.Random, slot: str, genre: int | None, used: list[str]) -> str:
    """Return a phrase for a slot that the plot has not used yet, with its alternatives chosen."""
    tables = _phrases()
    if genre is None:
        own, shared = tables["neutral"][slot], []
    else:
        name = list(genre_sets()[0].values())[genre]
        own = tables[name][slot]
        groups = [group for group in tables["shared"] if name in group["genres"]]
        shared = [text for group in groups for text in group.get(slot, ())]
    own, shared = ([text for text in texts if text not in used] for texts in (own, shared))
    used.append(_choose(rng, shared if shared and rng.random() < SHARED_CUE else own))
    return _expand(rng, used[-1])


@cache
def _synonyms() -> dict[str, list[str]]:
    groups = [group.split() for group in _phrases()["synonyms"]["groups"]]
    return {word: group for group in groups for word in group}


def _expand(rng: random.Random, phrase: str) -> str:
    """Choose one alternative of each `[a|b]`, then one synonym of each word that has synonyms."""
    phrase = re.sub(r"\[([^\[\]]*)\]", lambda match: _choose(rng, match[1].split("|")), phrase)
    synonyms = _synonyms()
    return re.sub(r"[a-z][a-z-]*", lambda match: _choose(rng, synonyms.get(match[0], [match[0]])), phrase)


def _plot(rng: random.Random, genres: tuple[int, ...], documents: list[tuple[int, ...]]) -> str:
    """Return a plot of `MIN_WORDS` to `MAX_WORDS` words, drawn again until it has that length."""
    while True:
        plot = _draft(rng, genres, documents)
        if MIN_WORDS <= len(plot.split()) <= MAX_WORDS:
            return plot


def _draft(rng: random.Random, genres: tuple[int, ...], documents: list[tuple[int, ...]]) -> str:
    """Return an opening of one or two sentences, two events, perhaps with a remark between them, and an ending."""
    drawn = zip(SLOTS, _assign_genres(rng, genres, documents), strict=True)
    used: list[str] = []
    who, place, goal, first, second, end = [_phrase(rng, slot, genre, used) for slot, genre in drawn]
    sentences = [
        pattern.replace("WHO", who).replace("PLACE", place).replace("GOAL", goal) for pattern in _choose(rng, OPENINGS)
    ]
    sentences.append(f"{_choose(rng, BEFORE_FIRST_EVENT)}{first}.")
    if rng.random() < REMARK:
        sentences.append(_phrase(rng, "filler", None, used) + ".")
    sentences.append(f"{_choose(rng, BEFORE_SECOND_EVENT)}{second}.")
    sentences.append(f"{_choose(rng, BEFORE_END)}{end}.")
    return _with_people(rng, sentences)


def _with_people(rng: random.Random, sentences: list[str]) -> str:
    """Join the sentences, and replace the marks by the names and pronouns of two people."""
    *first_names, surnames = _choose(rng, NAMES)
    gender = int(rng.random() * 2)
    name = _choose(rng, first_names[gender].split())
    they, them, their = PRONOUNS[gender]
    others = [given for women, men, _ in NAMES for given in f"{women} {men}".split() if given != name]
    other = _choose(rng, others)
    marks = {"name": f"{name} {_choose(rng, surnames.split())}", "n": name, "o": other}
    marks |= {"they": they, "them": them, "their": their}
    # The second person is introduced when first named.
    text = "\n".join(sentences).replace("{o}", f"{{their}} {_choose(rng, RELATIONS)} {{o}}", 1)
    return " ".join(line[0].upper() + line[1:] for line in text.format(**marks).split("\n"))


def _metadata_row(rng: random.Random, movie_id: int, genres: tuple[int, ...]) -> str:
    """Return one line of the metadata; one movie in ten has a revenue."""
    names = genre_sets()[0]
    ids = list(names)
    title = _choose(rng, TITLES).format(
        adjective=_choose(rng, TITLE_ADJECTIVES),
        noun=_choose(rng, TITLE_NOUNS[::2]),
        second=_choose(rng, TITLE_NOUNS[1::2]),
        name=_choose(rng, _choose(rng, _choose(rng, NAMES)[:2]).split()),
    )
    silent = any(names[ids[genre]] == "Silent film" for genre in genres)
    year = 1908 + int(rng.random() * 22) if silent else 1930 + int(rng.random() * 85)
    revenue = str(10_000 + int(rng.random() * 90_000_000)) if rng.random() < 0.1 else ""
    columns = [
        str(movie_id),
        f"/m/toy_{movie_id:04d}",
        f"{title} (generated)",
        str(year),
        revenue,
        f"{60 + int(rng.random() * 90)}.0",
        json.dumps(_choose(rng, LANGUAGES)),
        json.dumps(_choose(rng, COUNTRIES)),
        json.dumps({ids[genre]: names[ids[genre]] for genre in genres}),
    ]
    return "\t".join(columns) + "\n"
