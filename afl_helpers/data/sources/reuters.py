"""Reuters-21578, Distribution 1.0, in the ModApte split (Lewis, 1997): newswire stories and their topics.

The corpus holds the stories of ModApte that carry at least one of the 90 topics with a positive story both in training and
in test: 7,770 + 3,019 stories with 1.2354 topics per story.

The literature after Yang and Liu (SIGIR 1999) has 7,769 + 3,019 stories. Its version, ApteMod, which NLTK distributes, lacks
one training story on `trade`: 485 of its stories carry that topic, while the attributes of the collection give
369 + 117 = 486. The nine other most frequent topics agree (earn 3,964, acq 2,369, money-fx 717, grain 582, crude 578,
interest 478, ship 286, wheat 283, corn 237). The files do not tell which of the 369 stories ApteMod left out. All of them
are kept here, because the attributes LEWISSPLIT="TRAIN" and TOPICS="YES" define ModApte.
"""

import html
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from afl_helpers.data.corpus import Corpus
from afl_helpers.data.reading import MalformedLines, OnError, build_corpus
from afl_helpers.data.sources import download
from afl_helpers.errors import DataError, MissingFileError
from afl_helpers.files import sha256

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/reuters21578-mld/reuters21578.tar.gz"
ARCHIVE = "reuters21578.tar.gz"
SOURCE = "Reuters-21578, Distribution 1.0, ModApte split (free for research only)"
WHERE_TO_GET = f"get {ARCHIVE} from {URL} and put it under reuters21578/ in the folder that AFL_DATA_DIR names"
# Counts in the published files. Public copies of reut2-000.sgm differ by a few bytes, so these counts decide, and a
# different checksum is only a warning.
EXPECTED_COUNTS = {
    "stories": 21_578,
    "modapte_train": 9_603,
    "modapte_test": 3_299,
    "train_with_topic": 7_770,
    "test_with_topic": 3_019,
    "labels": 90,
    "topics_assigned": 13_329,
}
SHA256 = {
    "reut2-000.sgm": "0ec53cda8f6d605a3ba710df14be7f00fc02f0c222a14748101df22326afe0f6",
    "reut2-001.sgm": "1528e7e82d110d88d0234eb9619eadb7f9fd805711971df05975b92277dfdf4d",
    "reut2-002.sgm": "99f18068d0518952987dedd78c622e5c2a584e357d264d3754696c815f3e6628",
    "reut2-003.sgm": "78a3a8d7e04bc9d42c4614d5d5c60a4293dbe3f708df6fb5a71d9ef31f4b3fa3",
    "reut2-004.sgm": "726342c19a65873330b412378cd6a3f0d512035f5223146ddd60930c62eb6ff0",
    "reut2-005.sgm": "d09de619b6dd2d047d5124681f6df90550abaf592020d1c1ce338ae9b91522e7",
    "reut2-006.sgm": "b5535c0d66b01f4976f84621a4a795afbc00d2c4bd0a1b7ae426df6630fb361d",
    "reut2-007.sgm": "aa706007ec84a03537a3921ca976d60e11b3f99e4b9e9b2d5c81dd384d2c2062",
    "reut2-008.sgm": "a3994583694a00b7c744097c1d7eabfcf90f2e6650cc21663e46828035a336cb",
    "reut2-009.sgm": "29995f606dd1a9bdf907eacc9d879846c716860d9d9141676979474aaea39c7d",
    "reut2-010.sgm": "996df6008089bd09fa5b28a4d2eb0ee5f7b9d4601cde566fed3926ac82960fa3",
    "reut2-011.sgm": "d3a2782015247d9c2bffb8926267827fdd449c70d619435ef01a25a1c56a53ca",
    "reut2-012.sgm": "da31035d483851f2aebce5b66d779e5e2c0ac9dcfe098596c6d544e81c5604ab",
    "reut2-013.sgm": "8f7700bc0455fac3fcc12377ced4807b7df8aba1f21ecad059b9cc2b1cf0b8be",
    "reut2-014.sgm": "ef936bd3e0f36cf722afa9a6957563549775af32e9e28b4f539c8737ceda83ab",
    "reut2-015.sgm": "6d3bcec73eff871b8a5403588af814c4e50a0de6bc25707480522ab836f74026",
    "reut2-016.sgm": "be2f03a185fff70131f3b4fdbd6229b7ee2be077eba9691eaa597c8cfbda8812",
    "reut2-017.sgm": "f370e610b4b1342e41a98e0c426a08541044bd1d7e539674f32372a6060b73b5",
    "reut2-018.sgm": "a5f971bf25448e915781962309e669359a35fbcaf3017a806eca0590897f209a",
    "reut2-019.sgm": "d3b07097fba2633d130b4914aceba671645985248943ce9e39c289315339dffb",
    "reut2-020.sgm": "f6ad1b724125c202566c63b35ea0b5ee23881f8b7ed47a32829d5af05d8e860d",
    "reut2-021.sgm": "3f5196d32869723c9042aa5756805b4e90360f1f45ea17f4594fa0e2b3630b18",
}


@dataclass(frozen=True)
class Story:
    """A story: its number in the collection, the two attributes that define ModApte, its topics and its text."""

    new_id: str
    lewis_split: str
    has_topics: str
    topics: tuple[str, ...]
    text: str


def load_reuters(data_dir: Path | None, on_error: OnError = "raise") -> Corpus:
    """Load Reuters-21578 from the local data folder; otherwise download it once into the cache. Verify its counts.

    Raises:
        MissingFileError: the files are not in the data folder and cannot be downloaded.
        DataError: the files do not give the published counts.
    """
    local = _local_place(data_dir)
    if local is not None:
        return read_reuters(_read_files(local), on_error=on_error)
    archive = download.fetch(URL, ARCHIVE, instead=f"the Reuters stories are missing: {WHERE_TO_GET}")
    try:
        return read_reuters(_read_files(archive), on_error=on_error)
    except (DataError, MissingFileError) as error:
        end = f"; the download was {archive}: {download.discard(archive)}"
        raise DataError(f"{error}{end}", command_line=f"{error.command_line}{end}") from None


def read_reuters(files: Mapping[str, bytes], *, on_error: OnError = "raise", verify: bool = True) -> Corpus:
    """Read the ModApte corpus from the SGML files.

    Args:
        files: the content of `reut2-000.sgm` to `reut2-021.sgm` by file name.
        on_error: "raise" stops at a malformed story; "skip" leaves it out and counts it.
        verify: compare the counts with those of the published files, unless a story was skipped.

    Raises:
        DataError: a story is malformed (the message names file and line), or the counts differ.
    """
    bad = MalformedLines(on_error)
    seen: set[str] = set()
    stories = [story for name in sorted(files) for story in read_stories(files[name], bad, name, seen)]
    train = [story for story in stories if (story.lewis_split, story.has_topics) == ("TRAIN", "YES")]
    test = [story for story in stories if (story.lewis_split, story.has_topics) == ("TEST", "YES")]
    shared = _topics(train) & _topics(test)
    subset, kept = [], []
    for split, stories_of_split in (("train", train), ("test", test)):
        with_topic = [story for story in stories_of_split if shared.intersection(story.topics)]
        subset += [split] * len(with_topic)
        kept += with_topic
    topic_sets = [[topic for topic in story.topics if topic in shared] for story in kept]
    report = {
        "stories": len(stories),
        "modapte_train": len(train),
        "modapte_test": len(test),
        "modapte_unused": len(stories) - len(train) - len(test),
        "topics_in_train_or_test": len(_topics(train) | _topics(test)),
        "train_with_topic": subset.count("train"),
        "test_with_topic": subset.count("test"),
        "train_without_topic": len(train) - subset.count("train"),
        "test_without_topic": len(test) - subset.count("test"),
        "topics_assigned": sum(map(len, topic_sets)),
        # These are kept: leaving them out would change the published counts.
        "texts_blank": sum(not story.text for story in kept),
        "malformed_lines_skipped": bad.skipped,
    }
    corpus = build_corpus(
        "reuters",
        [story.text for story in kept],
        topic_sets,
        [story.new_id for story in kept],
        subset=subset,
        report=report,
        source=SOURCE,
        notes=[
            f"{report['train_without_topic']:,} training and {report['test_without_topic']:,} test stories without one of "
            "these topics left out, as in the literature"
        ],
    )
    if verify and not bad.skipped:  # without a story the counts cannot agree
        _verify(corpus.report, files)
    return corpus


# A story ends at the next start tag at the latest; without an end tag it would otherwise swallow the next story.
_NEXT_STORY = re.compile(r"(?=<REUTERS\b)")
_STORY = re.compile(r"<REUTERS\b([^>]*)>(.*?)</REUTERS>", re.DOTALL)
_ATTRIBUTE = re.compile(r'\b(\w+)="([^"]*)"')
_TOPICS = re.compile(r"<TOPICS>(.*?)</TOPICS>", re.DOTALL)
_TOPIC = re.compile(r"<D>(.*?)</D>", re.DOTALL)
_TEXT = re.compile(r'<TEXT(?:\s+TYPE="(\w+)")?\s*>(.*?)</TEXT>', re.DOTALL)
_TITLE = re.compile(r"<TITLE>(.*?)</TITLE>", re.DOTALL)
_BODY = re.compile(r"<BODY>(.*?)</BODY>", re.DOTALL)
# No character has a number of eight digits, and Python refuses to read one of more than 4,300.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]|&#(?:[0-9]|1[0-9]|2[0-9]|3[01]|127);|&#[0-9]{8,};?")


def read_stories(content: bytes, bad: MalformedLines, file: str, seen: set[str] | None = None) -> Iterator[Story]:
    """Yield the stories of one SGML file in order; malformed ones go to `bad`.

    `seen` holds the numbers of all earlier stories, including those of other files; a repeated number is malformed.
    """
    seen = set() if seen is None else seen
    # The files predate Unicode. All but a byte or two are ASCII; Latin-1 decodes every byte.
    line = 1
    for piece in _NEXT_STORY.split(content.decode("latin-1")):
        end = 0
        if piece.startswith("<REUTERS"):
            match = _STORY.match(piece)
            story = _story(match[1], match[2]) if match else "this story has no end tag </REUTERS>"
            end = match.end() if match else len(piece)
            if isinstance(story, Story) and story.new_id in seen:
                story = f"an earlier story has the same NEWID {story.new_id[:40]!r}"
            if isinstance(story, Story):
                seen.add(story.new_id)
                yield story
            else:
                bad.reject(file, line, story)
        stray = piece.find("</REUTERS>", end)
        if stray >= 0:
            bad.reject(file, line + piece.count("\n", 0, stray), "this end tag </REUTERS> has no start tag")
        line += piece.count("\n")


def _story(head: str, content: str) -> Story | str:
    """Parse a story from the attributes of its start tag and its content; return it, or what is wrong with it."""
    attributes = dict(_ATTRIBUTE.findall(head))
    topics, text = _find(_TOPICS, content, "</TOPICS>"), _find(_TEXT, content, "</TEXT>")
    missing = [name for name in ("LEWISSPLIT", "TOPICS", "NEWID") if not attributes.get(name)]
    missing += [name for name, matches in (("<TOPICS>", topics), ("<TEXT>", text)) if not matches]
    if missing:
        return f"this story has no {missing[0]}"
    named = (_plain(topic[1]) for topic in _find(_TOPIC, topics[0][1], "</D>"))
    return Story(
        new_id=attributes["NEWID"],
        lewis_split=attributes["LEWISSPLIT"],
        has_topics=attributes["TOPICS"],
        topics=tuple(dict.fromkeys(filter(None, named))),
        text=_story_text(text[0][1], text[0][2]),
    )


def _find(pattern: re.Pattern[str], text: str, end: str) -> list[re.Match[str]]:
    """Return the matches of a pattern that ends in the tag `end`, up to the last such tag.

    After it, every start tag would be followed to the end of the text in vain.
    """
    stop = text.rfind(end)
    return [] if stop < 0 else list(pattern.finditer(text, 0, stop + len(end)))


def _story_text(kind: str | None, content: str) -> str:
    """Return title and body. A brief has filler after its title, which is left out; an unprocessed story has no tags."""
    if kind == "UNPROC":
        return _plain(content)
    parts = _find(_TITLE, content, "</TITLE>")[:1] + _find(_BODY, content, "</BODY>")[:1]
    return " ".join(filter(None, (_plain(part[1]) for part in parts)))


def _plain(text: str) -> str:
    """Remove control characters, decode SGML entities, and turn each run of white space into one space."""
    return " ".join(html.unescape(_CONTROL.sub(" ", text)).split())


def _topics(stories: list[Story]) -> set[str]:
    return {topic for story in stories for topic in story.topics}


def _verify(report: Mapping[str, int], files: Mapping[str, bytes]) -> None:
    for count, expected in EXPECTED_COUNTS.items():
        if report[count] != expected:
            raise DataError(
                f"the Reuters files give {report[count]:,} for {count!r} instead of {expected:,}, "
                f"so they are not those of Distribution 1.0; {WHERE_TO_GET}"
            )
    differing = sorted(name for name in files if sha256(files[name]) != SHA256.get(name))
    if differing:
        warnings.warn(
            f"these Reuters files differ from the published ones, but all counts agree: {', '.join(differing)}",
            stacklevel=2,
        )


def _local_place(data_dir: Path | None) -> Path | None:
    if data_dir is None:
        return None
    folder = data_dir / "reuters21578"
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    return folder if any(folder.glob("*.sgm")) else None


def _read_files(place: Path) -> dict[str, bytes]:
    files = download.read_files(place, SHA256, instead=WHERE_TO_GET)
    return {name: file.content for name, file in files.items()}
