"""The reader of WordNet's files, on a small folder in their format and on the real one where it is installed."""

import pytest

from afl_helpers.augment.wordnet import PARTS, WordNet, find_wordnet
from afl_helpers.errors import MissingFileError

LICENCE = "  1 This line stands for the licence, which is indented.\n"


@pytest.fixture
def folder(tmp_path):
    """Nouns dog, hound, goose, man-eater and film in three synsets; the verb dog; a fair adjective with a marker."""
    synsets = {
        "noun": ["03 n 03 dog 0 hound 1 domestic_Dog 0 000 | a pet", "03 n 02 goose 0 Man-eater 0 000 | no such thing"],
        "verb": ["03 v 02 dog 0 chase_after 0 000 | to follow"],
        "adj": ["03 s 02 fair(p) 0 just 0 000 | as it should be", "03 a 01 big 0 000 | large"],
        "adv": ["03 r 01 fairly 0 000 | so"],
    }
    index: dict[str, dict[str, list[int]]] = {part: {} for part in PARTS}
    for part in PARTS:
        data = LICENCE
        for synset in synsets[part]:
            offset = len(data)
            data += f"{offset:08} {synset}  \n"
            fields = synset.split()
            for i in range(int(fields[2], 16)):
                word = fields[3 + 2 * i].partition("(")[0].lower()
                index[part].setdefault(word, []).append(offset)
        (tmp_path / f"data.{part}").write_text(data)
        lines = [
            f"{word} {part[0]} {len(offsets)} 1 @ {len(offsets)} 0 {' '.join(f'{o:08}' for o in offsets)}  \n"
            for word, offsets in sorted(index[part].items())
        ]
        (tmp_path / f"index.{part}").write_text(LICENCE + "".join(lines))
    (tmp_path / "noun.exc").write_text("geese goose\n")
    return tmp_path


def test_synonyms_are_the_other_words_of_all_synsets(folder):
    wordnet = WordNet(folder)
    assert wordnet.synonyms("dog") == ("hound", "domestic dog", "chase after")
    assert wordnet.synonyms("Dog") == wordnet.synonyms("dog")
    assert wordnet.synonyms("goose") == ("man eater",)
    assert wordnet.synonyms("just") == ("fair",)
    assert wordnet.synonyms("unheard") == wordnet.synonyms("") == ()


def test_forms_have_the_synonyms_of_the_words_they_come_from(folder):
    wordnet = WordNet(folder)
    assert wordnet.synonyms("dogs") == ("dog", "hound", "domestic dog", "chase after")
    assert wordnet.synonyms("geese") == ("goose", "man eater")
    assert wordnet.lemmas("dogged", "verb") == []  # the doubled letter is a matter of WordNet's list of exceptions
    assert wordnet.lemmas("fairest", "adj") == ["fair"]


def test_the_folder_is_found_or_the_error_says_what_to_do(folder, tmp_path_factory, monkeypatch):
    for name in ("WNSEARCHDIR", "WNHOME", "NLTK_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("afl_helpers.augment.wordnet.Path.home", lambda: folder / "nobody")
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    assert find_wordnet() == folder
    home = tmp_path_factory.mktemp("home")
    (home / "dict").symlink_to(folder)
    (home / "corpora").mkdir()
    (home / "corpora" / "wordnet").symlink_to(folder)
    monkeypatch.delenv("WNSEARCHDIR")
    monkeypatch.setenv("WNHOME", str(home))
    assert find_wordnet() == home / "dict"
    with pytest.raises(MissingFileError, match="no files of WordNet there; pass the folder that holds index.noun"):
        find_wordnet(home)
    monkeypatch.delenv("WNHOME")
    monkeypatch.setattr("afl_helpers.augment.wordnet._is_wordnet", lambda place: False)
    with pytest.raises(MissingFileError, match="WordNet is not installed; install it .* or name the folder"):
        find_wordnet()


def test_synonyms_of_the_installed_wordnet_are_those_that_nltk_finds():
    # What EDA's own code returns with nltk 3.10.4 and WordNet 3.0. Of 9,532 words that were compared, none differed.
    try:
        wordnet = WordNet()
    except MissingFileError as error:
        pytest.skip(str(error))
    assert {word: sorted(wordnet.synonyms(word)) for word in PEER} == PEER


PEER = {
    "geese": ["bozo", "cuckoo", "fathead", "goof", "goofball", "goose", "jackass", "twat", "zany"],
    "happiest": ["felicitous", "glad", "happy", "well chosen"],
    "lies": [
        "consist",
        "dwell",
        "lie",
        "lie down",
        "lie in",
        "prevarication",
        "rest",
        "trygve halvden lie",
        "trygve lie",
    ],
    "the": [],
    "murdered": ["bump off", "dispatch", "hit", "mangle", "murder", "mutilate", "off", "polish off", "remove", "slay"],
}
