import json

import pytest

from afl_helpers.data import CorpusWarning, load_corpus
from afl_helpers.data.texts import names_table
from afl_helpers.errors import DataError, MissingFileError

# Those tests that are about them ask for them.
pytestmark = pytest.mark.filterwarnings("ignore::afl_helpers.data.CorpusWarning")


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


CSV = (
    "id,text,labels\n"
    'a,"One, ""two""\nthree",x|y\n'
    'b,Four,"[""x|z"", ""y""]"\n'
    "c,,x\n"
    "d,Five, | \n"
    "a,Six,x\n"
    "\n"
    "e,Seven, x | x \n"
)
EXPECTED = {
    "rows": 6,
    "rows_with_repeated_id": 1,
    "rows_without_label": 1,
    "texts_blank": 1,
    "malformed_lines_skipped": 0,
    "documents": 5,
    "labels": 3,
}


def test_csv(tmp_path):
    with pytest.warns(CorpusWarning) as warned:
        corpus = load_corpus(write(tmp_path / "mine.csv", CSV))
    assert corpus.name == "mine"
    assert corpus.document_ids == ["a", "b", "d", "a#2", "e"]
    assert corpus.texts == ['One, "two" three', "Four", "Five", "Six", "Seven"]
    assert corpus.label_names == ["x", "y", "x|z"]
    assert corpus.labels.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert corpus.report == EXPECTED
    assert [str(warning.message) for warning in warned] == [
        "mine: 1 row of mine.csv with a blank text left out",
        "mine: 1 row with an id that an earlier row has, such as 'a'; '#2', '#3' and so on is added",
    ]
    assert all(warning.filename == __file__ for warning in warned)
    assert corpus.describe().splitlines() == [
        "mine: 6 rows, 5 documents, 3 labels, 1.20 labels per document; 1 document without a label (kept)",
        "mine.csv: texts from 'text', labels from 'labels', ids from 'id'",
        *(str(warning.message).removeprefix("mine: ") for warning in warned),
    ]


def test_jsonl_gives_the_same(tmp_path):
    rows = [
        {"id": "a", "text": 'One, "two"\nthree', "labels": ["x", "y"]},
        {"id": "b", "text": "Four", "labels": ["x|z", "y"]},
        {"id": "c", "text": " ", "labels": ["x"]},
        {"id": "d", "text": "Five", "labels": []},
        {"id": "a", "text": "Six", "labels": ["x"]},
        {"id": "e", "text": "Seven", "labels": ["x", "x"]},
    ]
    path = write(tmp_path / "mine.jsonl", "\n".join(map(json.dumps, rows)))
    corpus = load_corpus(str(path))
    assert corpus.report == EXPECTED
    assert corpus.fingerprint == load_corpus(write(tmp_path / "mine.csv", CSV)).fingerprint


def test_rows_without_id_are_numbered(tmp_path):
    corpus = load_corpus(write(tmp_path / "mine.csv", b"\xef\xbb\xbftext,labels\r\nA,x\r\n,x\r\nB,y\r\n"))
    assert corpus.document_ids == ["1", "3"]


def test_long_cells_are_read(tmp_path):
    corpus = load_corpus(write(tmp_path / "mine.csv", "text,labels\n" + "a" * 200_000 + ",x\n"))
    assert len(corpus.texts[0]) == 200_000


@pytest.mark.parametrize(
    ("name", "content", "line", "problem"),
    [
        ("t.csv", b'text,labels\n"two\nlines",y\nA,x,z\n', 4, "expected 2 columns, found 3"),
        ("t.csv", b'text,labels\nB,y\nA,"[""x"", 3]"\n', 3, "expected a list of strings or of whole numbers"),
        ("t.csv", b"text,labels\nB,y\ncaf\xe9,x\n", 3, "not UTF-8"),
        ("t.jsonl", b'{"text": "B", "labels": ["y"]}\n\nnothing\n', 3, "expected a JSON object"),
        ("t.jsonl", b'{"text": "B", "labels": ["y"]}\n[1]\n', 2, "expected a JSON object"),
        (
            "t.jsonl",
            b'{"text": "B", "labels": ["y"]}\n{"text": 1, "labels": ["x"]}\n',
            2,
            "string under 'text'",
        ),
        ("t.jsonl", b'{"text": "B", "labels": ["y"]}\n{"text": "a", "labels": [0.5]}\n', 2, "a list of strings"),
        (
            "t.jsonl",
            b'{"text": "B", "labels": ["y"]}\n{"id": [], "text": "a", "labels": ["x"]}\n',
            2,
            "under 'id'",
        ),
        ("t.jsonl", b'{"text": "B", "labels": ["y"]}\n{"text": "caf\xe9", "labels": ["x"]}\n', 2, "UTF-8"),
        (
            "t.jsonl",
            b'{"text": "B", "labels": ["y"]}\n{"text": "\\ud800", "labels": ["x"]}\n',
            2,
            "surrogate",
        ),
    ],
)
def test_a_malformed_row_is_named_or_skipped(tmp_path, name, content, line, problem):
    path = write(tmp_path / name, content)
    with pytest.raises(DataError) as error:
        load_corpus(path)
    assert f"{name}, line {line}: " in str(error.value) and problem in str(error.value)
    corpus = load_corpus(path, on_error="skip")
    assert corpus.report["malformed_lines_skipped"] == 1
    assert "y" in corpus.label_names


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,b,c\nA,x,y\n", "line 1: expected a header .* found 'a', 'b', 'c'; name the columns with text= and labels="),
        ("text,a,b\nA,x,y\n", "which one holds the labels, found 'text', 'a', 'b'; name the columns with labels="),
        (
            "text,comment,labels,tags\n",
            "^the file t.csv: there are no rows; give one row per document, below the names",
        ),
        ("content,comment,labels\nA,B,x\n", "which one holds the texts"),
        ("text,text,labels\nA,B,x\n", "which one holds the texts"),
        ("text/labels\nA/x\n", "or their delimiter with delimiter="),
        ("text,labels\nA,\n", "none of the 1 rows has a label"),
        ("", "t.csv: the file is empty; check how it was written"),
        ("\ufeff \n", "t.csv: the file is empty"),
        ('text,labels\nA,x\n"open,x\n', "line 3: .*quoting"),
        ("text,labels\n,x\n", r"no document with a text and a label is left \(rows: 1, texts blank: 1\); check"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, content, problem):
    with pytest.raises(DataError, match=problem):
        load_corpus(write(tmp_path / "t.csv", content), on_error="skip")


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot tell what .* give a .csv"):
        load_corpus(write(tmp_path / "mine.doc", CSV))
    for name in ("mine.xlsx", "mine.XLS"):
        path = write(tmp_path / name, CSV)
        for read in (load_corpus, names_table):
            with pytest.raises(ValueError, match=f"{name} is a spreadsheet; save it as CSV in Excel"):
                read(str(path))
    for name in ("gone.xlsx", "gone.csv"):
        for read in (load_corpus, names_table):
            with pytest.raises(MissingFileError, match=f"there is no file .*{name}; check the path"):
                read(name)
