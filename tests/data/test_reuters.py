import io
import os
import tarfile
from collections import Counter

import pytest

from afl_helpers.data import load_corpus
from afl_helpers.data.sources import reuters
from afl_helpers.errors import DataError, MissingFileError

needs_data = pytest.mark.skipif("AFL_DATA_DIR" not in os.environ, reason="AFL_DATA_DIR names no folder of real data")


def story(number: int, split: str, topics: list[str], text: str, *, has_topics: str = "YES") -> str:
    listed = "".join(f"<D>{topic}</D>" for topic in topics)
    return (
        f'<REUTERS TOPICS="{has_topics}" LEWISSPLIT="{split}" OLDID="9" NEWID="{number}">\n'
        f"<DATE>26-FEB-1987</DATE>\n<TOPICS>{listed}</TOPICS>\n<PLACES><D>usa</D></PLACES>\n{text}\n</REUTERS>\n"
    )


NORMAL = """<TEXT>&#2;
<TITLE>A &lt;B&gt; DEAL</TITLE>
<DATELINE> N.Y. - </DATELINE><BODY>It  said
R&amp;D.
&#3;</BODY></TEXT>"""
BRIEF = """<TEXT TYPE="BRIEF">&#2;
******<TITLE>ONLY A TITLE
</TITLE>Blah blah blah.
&#3;</TEXT>"""
UNPROCESSED = """<TEXT TYPE="UNPROC">&#2;
RATES
  1.0&#127;  2.0
&#3;</TEXT>"""


def titled(title: str) -> str:
    return f"<TEXT><TITLE>{title}</TITLE><BODY>x</BODY></TEXT>"


FILE = "<!DOCTYPE lewis SYSTEM>\n" + "".join(
    [
        story(1, "TRAIN", ["acq", "trade"], NORMAL),
        story(2, "TRAIN", ["acq", "acq"], BRIEF),
        story(3, "TRAIN", ["rye"], titled("NO TEST STORY ON RYE")),
        story(4, "TRAIN", [], titled("NO TOPIC")),
        story(5, "TRAIN", ["acq"], titled("NOT INDEXED"), has_topics="BYPASS"),
        story(6, "NOT-USED", ["acq"], titled("UNUSED")),
        story(7, "TEST", ["acq"], UNPROCESSED),
        story(8, "TEST", ["trade", "gold"], "<TEXT><TITLE>\x80LAST\xfc</TITLE></TEXT>"),
        story(9, "TEST", ["trade"], "<TEXT> </TEXT>"),
    ]
)


def read(text: str = FILE, **options):
    return reuters.read_reuters({"reut2-000.sgm": text.encode("latin-1")}, **({"verify": False} | options))


def test_modapte_by_hand():
    corpus = read()
    assert corpus.document_ids == ["1", "2", "7", "8", "9"]
    assert corpus.subset == ["train", "train", "test", "test", "test"]
    assert corpus.texts == ["A <B> DEAL It said R&D.", "ONLY A TITLE", "RATES 1.0 2.0", "LASTü", ""]
    assert corpus.label_names == ["acq", "trade"]
    assert corpus.labels.tolist() == [[1, 1], [1, 0], [1, 0], [0, 1], [0, 1]]
    assert corpus.report == {
        "stories": 9,
        "modapte_train": 4,
        "modapte_test": 3,
        "modapte_unused": 2,
        "topics_in_train_or_test": 4,
        "train_with_topic": 2,
        "test_with_topic": 3,
        "train_without_topic": 2,
        "test_without_topic": 0,
        "topics_assigned": 6,
        "texts_blank": 1,
        "malformed_lines_skipped": 0,
        "documents": 5,
        "labels": 2,
    }


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('LEWISSPLIT="NOT-USED"', "", "no LEWISSPLIT"),
        ("<TEXT><TITLE>UNUSED</TITLE><BODY>x</BODY></TEXT>", "", "no <TEXT>"),
    ],
)
def test_a_malformed_story_is_named_or_skipped(old, new, problem):
    text = FILE.replace(old, new)
    line = FILE[: FILE.index('NEWID="6"')].count("\n") + 1
    with pytest.raises(DataError, match=rf"^reut2-000\.sgm, line {line}: this story has {problem}"):
        read(text)
    corpus = read(text, on_error="skip", verify=True)
    assert corpus.report["malformed_lines_skipped"] == 1 and corpus.report["stories"] == 8


def test_a_story_without_end_is_named():
    cut = FILE.replace("</REUTERS>\n", "", 1)
    # The text then runs on into the second story, which is found from its own start tag.
    with pytest.raises(DataError, match="reut2-000.sgm, line "):
        read(cut)


def test_other_counts_than_the_published_are_an_error():
    with pytest.raises(DataError, match="give 9 for 'stories' instead of 21,578"):
        read(verify=True)


def test_missing_files_are_named(tmp_path):
    folder = tmp_path / "reuters21578"
    folder.mkdir()
    (folder / "reut2-000.sgm").write_text(FILE, encoding="latin-1")
    with pytest.raises(MissingFileError, match="holds no reut2-001.sgm"):
        load_corpus("reuters", data_dir=tmp_path)


@pytest.fixture(scope="module")
def real():
    return load_corpus("reuters")


@needs_data
def test_real_counts(real):
    assert (real.report["modapte_train"], real.report["modapte_test"]) == (9_603, 3_299)
    assert Counter(real.subset) == {"train": 7_770, "test": 3_019}
    assert real.n_labels == 90
    assert real.labels.sum() / real.n_documents == pytest.approx(1.2354, abs=5e-5)
    # Counts that the literature prints: earn 2,877 + 1,087, acq 1,650 + 719.
    assert real.label_names[:2] == ["earn", "acq"] and real.label_counts[:2].tolist() == [3_964, 2_369]
    assert real.report["texts_blank"] == 0
    assert not any("&lt;" in text or "\x03" in text for text in real.texts)


@needs_data
def test_real_official_split(real):
    train, validation, test = real.official_split(validation=1000, seed=0)
    assert (len(train), len(validation), len(test)) == (6_770, 1_000, 3_019)
    assert set(test.subset) == {"test"} and set(train.subset) == {"train"}
    assert train.label_counts.min() >= 1


@needs_data
def test_a_differing_copy_with_the_same_counts_is_a_warning(tmp_path):
    with tarfile.open(os.path.join(os.environ["AFL_DATA_DIR"], "reuters21578", "reuters21578.tar.gz")) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    files["reut2-000.sgm"] += b"\n"
    folder = tmp_path / "reuters21578"
    folder.mkdir()
    with tarfile.open(folder / "reuters21578.tar.gz", "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.warns(UserWarning, match=r"differ from the published ones, but all counts agree: reut2-000\.sgm$"):
        corpus = load_corpus("reuters", data_dir=tmp_path)
    assert corpus.n_documents == 10_789
