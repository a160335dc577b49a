"""Tables as people have them. Every kind of file that was once misread has a test here."""

import gzip
import io
import json
import warnings

import datasets
import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afl_helpers.data import Corpus, CorpusWarning, load_corpus
from afl_helpers.errors import DataError, MissingFileError, UsageError

ROWS = [
    ("A duel at noon.", ["Western"]),
    ("Two lovers, in Paris.", ["Drama", "Romance"]),
    ("A clown and a ghost.", ["Comedy", "Horror"]),
    ("A heist goes wrong.", ["Crime", "Drama"]),
    ("A robot falls in love.", ["Romance", "Science Fiction"]),
    ("Rain.", []),
] * 4
TEXTS = [text for text, _ in ROWS]
NAMES = ["Drama", "Romance", "Comedy", "Crime", "Horror", "Science Fiction", "Western"]  # by count, then by name
ONE_HOT = [[int(name in labels) for name in NAMES] for _, labels in ROWS]


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def csv_text(join, *, header="text,labels", end="\n", delimiter=",") -> str:
    frame = pandas.DataFrame({"text": TEXTS, "labels": [join(labels) for _, labels in ROWS]})
    body = frame.to_csv(index=False, header=False, sep=delimiter, lineterminator=end)
    return header + end + body


def pipes(labels):
    return "|".join(labels)


def check(corpus: Corpus, names=NAMES) -> None:
    assert corpus.texts == TEXTS
    assert corpus.label_names == names
    assert corpus.labels.tolist() == ONE_HOT
    assert corpus.n_unlabelled == 4


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    """A table without faults gives no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CorpusWarning)
        yield


# --- text files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.csv", csv_text(pipes), {}),
        ("a.csv", csv_text(", ".join), {"separator": ","}),
        ("a.csv", csv_text(";".join), {"separator": ";"}),
        ("a.csv", csv_text(json.dumps), {}),
        ("a.csv", csv_text(repr), {}),
        ("a.csv", csv_text(lambda labels: str(np.array(labels, dtype=object))), {}),
        ("a.csv", csv_text(lambda labels: repr(tuple(labels)) if len(labels) > 1 else pipes(labels)), {}),
        ("a.csv", csv_text(pipes, end="\r\n"), {}),
        ("a.csv", csv_text(pipes, end="\r"), {}),
        ("a.csv", "\ufeff" + csv_text(pipes, header="text;labels", delimiter=";"), {}),
        ("a.csv", "sep=;\r\n" + csv_text(pipes, header="text;labels", delimiter=";", end="\r\n"), {}),
        ("a.csv", csv_text(pipes, header="text~labels", delimiter="~"), {"delimiter": "~"}),
        ("a.csv", csv_text(";".join, header="text\tlabels", delimiter="\t"), {"separator": ";"}),
        ("a.tsv", csv_text(pipes, header="text\tlabels", delimiter="\t"), {}),
        ("a.tsv", csv_text(pipes, header="x", delimiter="\t").removeprefix("x\n"), {"text": 0, "labels": 1}),
        ("a.csv", csv_text(pipes, header="Comment_Text,Tags"), {}),
        ("a.csv", csv_text(pipes, header="words,Tags"), {}),
        ("a.csv", csv_text(pipes, header="text,anything"), {}),
        ("a.csv", csv_text(pipes, header="a,b"), {"text": "a", "labels": "b"}),
        ("A.CSV", csv_text(pipes), {}),
    ],
)
def test_text_files(tmp_path, name, content, options):
    check(load_corpus(write(tmp_path / name, content), **options))
    if name == "a.csv":
        check(load_corpus(write(tmp_path / "b.csv.gz", gzip.compress(content.encode())), **options))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-8-sig"])
def test_encodings(tmp_path, encoding):
    path = write(tmp_path / "a.csv", "text,labels\nà la carte,Comédie\n", encoding)
    corpus = load_corpus(path, encoding=encoding)
    assert (corpus.texts, corpus.label_names) == (["à la carte"], ["Comédie"])
    if encoding != "utf-8-sig":
        with pytest.raises(DataError, match=f"seems to be {encoding}; save it as UTF-8, or pass encoding='{encoding}'"):
            load_corpus(path)
    with pytest.raises(UsageError, match="encoding 'utf-9' is unknown"):
        load_corpus(path, encoding="utf-9")


def test_an_encoding_that_is_not_that_of_the_file(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "labels": ["x"]}\n{"text": "é", "labels": ["x"]}\n', "cp1252")
    with pytest.raises(DataError, match="line 2: .* seems to be cp1252"):
        load_corpus(path)
    assert load_corpus(path, encoding="cp1252").texts == ["a", "é"]
    with pytest.raises(DataError, match="line 2: a byte is not ascii"):
        load_corpus(path, encoding="ascii")


@pytest.mark.parametrize("line", [2, 3, 7])
def test_an_unclosed_quote_is_named_where_it_opens(tmp_path, line):
    lines = [f"row {number},x" for number in range(2, 9)]
    lines[line - 2] = f'"He said,{lines[line - 2]}'
    with pytest.raises(DataError, match=f"line {line}: a quote in the row that begins here .*correct the quoting"):
        load_corpus(write(tmp_path / "a.csv", "\n".join(["text,labels", *lines, ""])))
    with pytest.raises(DataError, match=f"line {line + 1}: "):
        load_corpus(write(tmp_path / "a.csv", "\n".join(["sep=,", "text,labels", *lines, ""])))


def test_options_that_do_not_fit(tmp_path):
    path = write(tmp_path / "a.csv", csv_text(pipes))
    for options, problem in (
        ({"text": "txt"}, "text names an unknown column 'txt' .did you mean 'text'"),
        ({"labels": "tags"}, "labels names an unknown column 'tags'"),
        ({"labels": []}, "labels is an empty list"),
        ({"labels": ["labels", "labels"]}, "the column 'labels' twice"),
        ({"split_column": "fold"}, "split_column names an unknown column 'fold'"),
        ({"delimiter": ";;"}, "pass one character"),
        ({"unlabelled": "forget"}, "unlabelled must be 'keep' or 'drop'"),
        ({"label_names": 3}, "label_names is a int"),
        ({"label_names": ["a", "a"]}, "label_names holds 'a' twice"),
    ):
        with pytest.raises(UsageError, match=problem):
            load_corpus(path, **options)
    with pytest.raises(
        DataError, match="expected 0 or 1 under 'labels', found 'Western', .* in 24 of 24 rows; write 1"
    ):
        load_corpus(path, labels=["labels"])
    with pytest.raises(UsageError, match="separator is an option for tables of your own"):
        load_corpus("toy", separator=",")


# --- what a cell holds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "/", " ", ", ", "\n"])
def test_another_separator_is_suspected(tmp_path, separator):
    path = write(tmp_path / "a.csv", csv_text(lambda labels: separator.join(name.replace(" ", "_") for name in labels)))
    with pytest.warns(CorpusWarning) as warned:
        load_corpus(path)
    [warning] = warned
    sign = separator.strip() or separator
    assert f"pass separator={sign!r}" in str(warning.message)
    first = separator.join(["Crime", "Drama"])
    assert f"{first!r} (4)" in str(warning.message)
    assert load_corpus(path, separator=sign).labels.tolist() == ONE_HOT


@pytest.mark.parametrize(
    "labels",
    [
        ["Science Fiction", "Crime Fiction", "Romance Film", "Crime Film", "Drama"],
        ["Action, Adventure", "Drama", "Comedy"],
        ["R&D/IT", "Sales", "Human Resources", "Human Rights"],
        ["a", "b", "c"],
    ],
)
def test_no_separator_is_invented(tmp_path, labels):
    rows = "".join(f'text {number},"{label}"\n' for number, label in enumerate(labels * 3))
    assert set(load_corpus(write(tmp_path / "a.csv", "text,labels\n" + rows)).label_names) == set(labels)
    # Nor is one where some cell is split already.
    rows += 'more,"Crime, Drama|Drama"\nmore,"Crime, Film|Drama"\n'
    assert load_corpus(write(tmp_path / "a.csv", "text,labels\n" + rows)).n_labels > len(labels)


@pytest.mark.parametrize(("written", "given"), [(", ", "/"), (",", ";"), ("|", ",")])
def test_a_wrong_separator_is_said(tmp_path, written, given):
    path = write(tmp_path / "a.csv", csv_text(written.join))
    with pytest.warns(CorpusWarning) as warned:
        load_corpus(path, separator=given)
    [warning] = warned
    sign = written.strip()
    common = ", ".join(f"{written.join(names)!r} (4)" for _, names in ROWS[1:4])
    assert f"are read as one: {common}; pass separator={sign!r} (--separator {sign!r})" in str(warning.message)


@pytest.mark.parametrize(
    ("given", "leftover", "advice"),
    [
        (", ", "Crime,Drama", "pass separator=',' (--separator ',') to split them, too"),
        (", ", "Crime / Drama", "separate them by ', ', as in the other cells"),
        (None, "Crime;Drama", "separate them by '|', as in the other cells"),
    ],
)
def test_a_few_cells_with_another_separator_are_named(tmp_path, given, leftover, advice):
    content = csv_text((given or "|").join) + f'More.,"{leftover}"\nStill.,Crime\n'
    sign = next(character for character in ",;/" if character in leftover)
    message = f"1 label seems to be several, with {sign!r} between them: {leftover!r} (1); {advice}"
    with pytest.warns(CorpusWarning) as warned:
        load_corpus(write(tmp_path / "a.csv", content), separator=given)
    assert [str(warning.message) for warning in warned] == [f"a: {message}"]


def test_an_empty_separator_splits_nothing(tmp_path):
    rows = 'a,"x|y, z"\nb,"y, z"\nc,z\nd,"x, z"\n'
    corpus = load_corpus(write(tmp_path / "a.csv", "text,labels\n" + rows), separator="")
    assert corpus.label_names == ["x, z", "x|y, z", "y, z", "z"]


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("[Non-fiction]", ["[Non-fiction]"]),
        ("[x]|y", ["[x]", "y"]),
        ('"[""[x"", ""y""]"', ["[x", "y"]),
        ("(1984)", ["(1984)"]),
        ("{x}", ["{x}"]),
        ('"[\'it\' ""it\'s""]"', ["it", "it's"]),
        ("\"['a'\n 'b']\"", ["a", "b"]),
        ("\"['a','b',]\"", ["a", "b"]),
        (r"['a\'\\b\xe9']", ["a'\\bé"]),
        ("\"{'a', 'b'}\"", ["a", "b"]),
        ("日本映画|😂", ["日本映画", "😂"]),
        ("[]", []),
        (" | ", []),
        ("C++|C#", ["C#", "C++"]),
    ],
)
def test_cells(tmp_path, cell, labels):
    corpus = load_corpus(write(tmp_path / "a.csv", f"text,labels\na,{cell}\nb,z\n"))
    assert [name for name, there in zip(corpus.label_names, corpus.labels[0]) if there] == labels


@pytest.mark.parametrize("cell", ['"[a, b]"', "['a' 'b'", "\"['a''b']\"", '"[""a"", 3]"', '"[[""a""]]"', "[[[["])
def test_cells_that_are_half_a_list(tmp_path, cell):
    with pytest.raises(DataError, match="line 2: expected .*list of strings"):
        load_corpus(write(tmp_path / "a.csv", f"text,labels\na,{cell}\nb,z\n"))


def test_labels_that_look_the_same(tmp_path):
    rows = [
        "drama",
        "Drama",
        "Drama ",
        "Dra\u200bma",
        "Come\u0301die",
        "Com\u00e9die",
        "Com\u00e9die",
        "Sci  Fi",
        "nan",
    ]
    path = write(tmp_path / "a.csv", "text,labels\n" + "".join(f"{n} x,{row}\n" for n, row in enumerate(rows)))
    with pytest.warns(CorpusWarning) as warned:
        corpus = load_corpus(path)
    assert dict(zip(corpus.label_names, corpus.label_counts.tolist())) == {
        "Com\u00e9die": 3,
        "Drama": 3,
        "Sci Fi": 1,
        "drama": 1,
        "nan": 1,
    }
    told = "\n".join(str(warning.message) for warning in warned)
    assert "2 labels joined with one that differs" in told and "'Comédie', 'Drama'" in told
    assert "kept apart: 'Drama' (3) and 'drama' (1)" in told
    assert "read as a label: 'nan'; for no label, leave the cell empty" in told
    assert all(str(warning.message).removeprefix("a: ") in corpus.describe() for warning in warned)


# --- numbers, vectors and columns -------------------------------------------------------------------------------------

IDS = [[NAMES.index(name) for name in labels] for _, labels in ROWS]


@pytest.mark.parametrize("kind", ["list", "txt", "numbered", "json", "json object", "gz"])
def test_numbers_and_a_file_of_names(tmp_path, kind):
    path = write(tmp_path / "a.csv", csv_text(lambda labels: ",".join(str(NAMES.index(name)) for name in labels)))
    names = {
        "list": lambda: NAMES,
        "txt": lambda: write(tmp_path / "names.txt", "\ufeff" + "\r\n".join(NAMES) + "\r\n"),
        "numbered": lambda: write(tmp_path / "n.tsv", "".join(f"{i}\t{name}\n" for i, name in enumerate(NAMES))),
        "json": lambda: write(tmp_path / "n.json", json.dumps(NAMES)),
        "json object": lambda: write(tmp_path / "n.json", json.dumps(dict(enumerate(NAMES)))),
        "gz": lambda: write(tmp_path / "n.txt.gz", gzip.compress("\n".join(NAMES).encode())),
    }[kind]()
    check(load_corpus(path, separator=",", label_names=names))


@pytest.mark.parametrize("form", [repr, lambda ids: str(np.array(ids, dtype=int)), json.dumps])
def test_lists_of_numbers_in_cells(tmp_path, form):
    path = write(tmp_path / "a.csv", csv_text(lambda labels: form([NAMES.index(name) for name in labels])))
    check(load_corpus(path, label_names=NAMES))
    unnamed = load_corpus(path)
    assert unnamed.label_names == list("0123456") and unnamed.labels.tolist() == ONE_HOT
    assert "pass label_names=" in unnamed.describe()


def test_labels_that_are_not_in_the_list_are_refused_or_counted(tmp_path):
    path = write(tmp_path / "a.csv", "text,labels\na,x\nb,y|z\nc,\n")
    with pytest.raises(DataError, match=r"a.csv, line 3: label 'z' is not in label_names"):
        load_corpus(path, label_names=["y", "x", "w"])
    with pytest.warns(CorpusWarning, match="1 line of a.csv skipped, with a label not in label_names"):
        corpus = load_corpus(path, label_names=["y", "x", "w"], on_error="skip")
    assert corpus.label_names == ["y", "x", "w"] and corpus.labels.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert corpus.report["malformed_lines_skipped"] == 1
    numbers = write(tmp_path / "b.csv", "text,labels\na,0\nb,1|5\n")
    with pytest.raises(DataError, match=r"b.csv, line 3: there is no label name for the number 5"):
        load_corpus(numbers, label_names=["y", "x", "w"])


def frame_of(**columns):
    return pandas.DataFrame({"text": TEXTS, **columns})


def wide(kind=int):
    return frame_of(**{name: [kind(row[place]) for row in ONE_HOT] for place, name in enumerate(NAMES)})


@pytest.mark.parametrize("kind", [int, bool, float, str])
def test_one_column_per_label(tmp_path, kind):
    frame = wide(kind)
    for written in (frame.to_csv(index=False), frame.to_csv()):
        check(load_corpus(write(tmp_path / "a.csv", written), labels=NAMES))
    check(Corpus.from_frame(frame))
    chosen = Corpus.from_frame(frame.rename(columns={"text": "body"}), text="body", labels=["Western", "Drama"])
    assert chosen.label_names == ["Western", "Drama"] and chosen.n_documents == 24
    assert "not used: 'Romance', 'Comedy'" in chosen.describe()


def test_a_cell_that_is_neither_zero_nor_one():
    frame = wide(float)
    frame.loc[2, "Drama"] = np.nan
    with pytest.raises(DataError, match="the data frame, row 3: expected 0 or 1 under 'Drama', found nothing"):
        Corpus.from_frame(frame, labels=NAMES)
    frame.loc[2, "Drama"] = -1
    with pytest.raises(DataError, match="row 3: expected 0 or 1 under 'Drama', found '-1.0'"):
        Corpus.from_frame(frame, labels=NAMES)


@pytest.mark.parametrize("value", ["2", "yes", "x"])
def test_an_odd_cell_in_a_column_of_zeros_and_ones_is_named(tmp_path, value):
    frame = wide(str)
    frame.loc[4, "Drama"] = value
    path = write(tmp_path / "a.csv", frame.to_csv(index=False))
    problem = (
        f"line 6: expected 0 or 1 under 'Drama', as in nearly all of its cells, found {value!r}; correct the line, "
    )
    with pytest.raises(DataError, match=problem) as raised:
        load_corpus(path)
    assert raised.value.command_line.endswith("pass --skip-malformed, or name each label column with --labels")
    with pytest.warns(CorpusWarning, match="1 line of a.csv skipped, malformed"):
        corpus = load_corpus(path, on_error="skip")
    assert set(corpus.label_names) == set(NAMES) and corpus.n_documents == 23
    others = load_corpus(path, labels=NAMES[1:])
    assert others.n_documents == 24 and "Drama" not in others.label_names
    frame["Drama"] = range(24)  # a column of other numbers is no column of labels
    assert Corpus.from_frame(frame).label_names == NAMES[1:]


def test_columns_of_yes_and_no_are_said_or_refused(tmp_path):
    frame = wide(str)
    frame["Drama"] = ["yes" if cell == "1" else "No" for cell in frame["Drama"]]
    path = write(tmp_path / "a.csv", frame.to_csv(index=False))
    with pytest.warns(CorpusWarning, match="a.csv: not used, because they hold yes and no: 'Drama'; write 1 and 0"):
        corpus = load_corpus(path)
    assert corpus.label_names == NAMES[1:]
    assert load_corpus(path, labels=NAMES[1:]).label_names == NAMES[1:]  # asked for, so there is nothing to say
    frame[NAMES] = np.where(np.array(ONE_HOT), "yes", "no")
    with pytest.raises(DataError, match="a.csv: 'Drama' and other columns hold yes and no; write 1 and 0 instead"):
        load_corpus(write(path, frame.to_csv(index=False)))


@pytest.mark.parametrize("kind", [list, np.array, lambda row: [float(one) for one in row]])
def test_vectors(kind):
    frame = frame_of(labels=[kind(row) for row in ONE_HOT])
    check(Corpus.from_frame(frame, label_names=NAMES))
    assert Corpus.from_frame(frame).label_names == list("0123456")
    with pytest.raises(UsageError, match="vectors of 7 zeros and ones, but there are 2 label names"):
        Corpus.from_frame(frame, label_names=["a", "b"])


# --- JSON, data frames and datasets -----------------------------------------------------------------------------------


def test_json_in_every_layout(tmp_path):
    frame = frame_of(labels=[labels for _, labels in ROWS])
    records = frame.to_dict("records")
    for value in (records, {"version": 1, "data": records}, frame.to_dict("list"), json.loads(frame.to_json())):
        check(load_corpus(write(tmp_path / "a.json", json.dumps(value))))
    check(load_corpus(write(tmp_path / "a.ndjson", "\n".join(map(json.dumps, records)))))
    check(load_corpus(write(tmp_path / "a.jsonl.gz", gzip.compress("\n".join(map(json.dumps, records)).encode()))))
    for content, problem in (
        ('{"a": 1}\n{"a": 2}\n', "name the file .jsonl"),
        ("[1, 2]", "row 1: expected a JSON object"),
        ("3", "expected a list of objects"),
        ("[" * 10_000, "not JSON"),
    ):
        with pytest.raises(DataError, match=problem):
            load_corpus(write(tmp_path / "a.json", content))


def test_keys_of_json_lines(tmp_path):
    rows = [{"plot": text, "genres": labels, "year": 1990 + len(labels)} for text, labels in ROWS]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    check(load_corpus(path, text="plot", labels="genres"))
    check(load_corpus(path))
    with pytest.raises(UsageError, match="unknown column 'text'; choose one of: genres, plot, year"):
        load_corpus(path, text="text")
    rows[3].pop("genres")
    with pytest.raises(DataError, match="line 4: there is nothing under 'genres'"):
        load_corpus(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))))


def test_data_frames(tmp_path):
    lists = frame_of(labels=[labels for _, labels in ROWS], id=range(10, 34))
    corpus = Corpus.from_frame(lists, name="films")
    check(corpus)
    assert corpus.name == "films" and corpus.document_ids[0] == "10"
    strings = frame_of(labels=[pipes(labels) if labels else np.nan for _, labels in ROWS])
    check(Corpus.from_frame(strings))
    check(Corpus.from_frame(strings.astype("string")))
    check(Corpus.from_frame(frame_of(labels=[set(labels) for _, labels in ROWS])))
    lists.to_parquet(tmp_path / "a.parquet")
    check(load_corpus(tmp_path / "a.parquet"))
    buffer = io.StringIO(Corpus.from_frame(lists).to_frame().to_csv())
    check(load_corpus(write(tmp_path / "again.csv", buffer.getvalue())))
    with pytest.raises(DataError, match="row 1: expected a string under 'text'"):
        Corpus.from_frame(pandas.DataFrame({"text": [3], "labels": ["x"]}))
    with pytest.raises(DataError, match="cannot be read as parquet"):
        load_corpus(write(tmp_path / "b.parquet", "nothing"))


def sequence_of_classes() -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "labels": datasets.Sequence(datasets.ClassLabel(names=NAMES))}
    )
    return datasets.Dataset.from_dict({"text": TEXTS, "labels": IDS}, features=features)


def test_datasets(tmp_path):
    dataset = sequence_of_classes()
    check(Corpus.from_dataset(dataset))
    check(Corpus.from_dataset(dataset.with_format("numpy")))
    dataset.save_to_disk(tmp_path / "saved")
    check(load_corpus(tmp_path / "saved"))
    dataset.to_parquet(tmp_path / "a.parquet")
    check(load_corpus(tmp_path / "a.parquet"))
    corpus = Corpus.from_dataset(dataset)
    check(Corpus.from_dataset(corpus.to_dataset(), label_names=corpus.label_names))
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    single = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    assert Corpus.from_dataset(single).labels.tolist() == [[0, 1], [1, 0], [0, 0]]
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read as a dataset"):
        load_corpus(tmp_path / "saved")


# --- documents and ids ------------------------------------------------------------------------------------------------


def test_documents_without_a_label_are_dropped_only_on_request(tmp_path):
    path = write(tmp_path / "a.csv", csv_text(pipes))
    with pytest.warns(CorpusWarning, match="4 rows without a label left out, because unlabelled is 'drop'"):
        corpus = load_corpus(path, unlabelled="drop")
    assert (corpus.n_documents, corpus.n_unlabelled, corpus.unlabelled) == (20, 0, "drop")
    assert load_corpus(path).select_labels(top=1).n_documents == 24
    assert load_corpus("toy").unlabelled == "drop" and load_corpus("toy", unlabelled="keep").unlabelled == "keep"


def test_blank_and_repeated_ids_lose_no_row(tmp_path):
    path = write(tmp_path / "a.csv", "id,text,labels\n,A,x\n ,B,x\nu,C,x\nu,D,y\nu,E,y\nu#2,F,y\n4,G,y\n")
    with pytest.warns(CorpusWarning) as warned:
        corpus = load_corpus(path)
    assert corpus.texts == list("ABCDEFG")
    assert corpus.document_ids == ["1", "2", "u", "u#3", "u#4", "u#2", "4"]
    assert [str(warning.message) for warning in warned] == [
        "a: 2 rows of a.csv without an id, numbered instead",
        "a: 2 rows with an id that an earlier row has, such as 'u'; '#2', '#3' and so on is added",
    ]


# --- given splits -----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    parts = {
        "train": "text,labels\na,x\nb,y\nc,x|y\n",
        "dev": "text,labels\nd,y\n",
        "test": "labels,text\nz|y,e\nx,f\n",
    }
    return {name: write(tmp_path / f"{name}.csv", content) for name, content in parts.items()}


def test_files_of_one_corpus_have_one_list_of_labels(files):
    with pytest.warns(
        CorpusWarning, match="1 label only in other splits than train; the list of labels keeps them: 'z'"
    ):
        splits = load_corpus(files)
    assert list(splits) == ["train", "dev", "test"]
    assert {tuple(split.label_names) for split in splits.values()} == {("y", "x", "z")}
    assert splits["train"].labels.tolist() == [[0, 1, 0], [1, 0, 0], [1, 1, 0]]
    assert splits["test"].labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert splits["train"].report["labels_not_in_train"] == 1
    ids = [row_id for split in splits.values() for row_id in split.document_ids]
    assert ids == ["train/1", "train/2", "train/3", "dev/1", "test/1", "test/2"]
    fixed = load_corpus({"train": files["train"], "dev": files["dev"]}, label_names=["x", "z", "y"])
    assert fixed["dev"].label_names == ["x", "z", "y"] and fixed["dev"].labels.tolist() == [[0, 0, 1]]


def test_a_split_column_gives_the_same(tmp_path, files):
    rows = "a,x,train\nb,y,train\nc,x|y,Train\nd,y,dev\ne,z|y,test\nf,x,test\n"
    path = write(tmp_path / "all.csv", "text,labels,split\n" + rows)
    with pytest.warns(CorpusWarning, match="only in other splits"):
        splits = load_corpus(path, split_column="split")
        parts = load_corpus(files)
    assert list(splits) == ["train", "validation", "test"]
    for one, other in zip(splits.values(), parts.values()):
        assert (one.texts, one.label_names, one.labels.tolist()) == (
            other.texts,
            other.label_names,
            other.labels.tolist(),
        )
    assert "pass split_column='split'" in load_corpus(path).describe()
    blank = write(tmp_path / "b.csv", "text,labels,split\na,x,train\nb,y,\n")
    with pytest.raises(DataError, match="line 3: the split under 'split' is blank"):
        load_corpus(blank, split_column="split")


def test_texts_in_several_splits_are_counted(tmp_path):
    frames = {"train": pandas.DataFrame({"text": ["a", "b"], "labels": ["x", "x"]})}
    frames["test"] = frames["train"].iloc[:1]
    with pytest.warns(CorpusWarning, match="1 text in more than one split"):
        assert load_corpus(frames)["test"].report["texts_in_several_splits"] == 1


def test_splits_of_datasets(tmp_path):
    dataset = sequence_of_classes()
    parts = {"train": dataset.select(range(12)), "validation": dataset.select([0]), "test": dataset.select(range(1, 3))}
    whole = datasets.DatasetDict(parts)
    whole.save_to_disk(str(tmp_path / "saved"))
    with pytest.warns(CorpusWarning, match="in more than one split"):
        splits, corpus = load_corpus(whole), load_corpus(tmp_path / "saved")
    assert [len(split) for split in splits.values()] == [12, 1, 2]
    assert all(split.label_names == NAMES for split in splits.values())
    assert [split.texts for split in corpus.official_split()] == [split.texts for split in splits.values()]


def test_splits_that_do_not_fit(tmp_path, files):
    for source, options, problem in (
        ({}, {}, "the dict of splits is empty"),
        (files, {"split_column": "split"}, "split_column does not go with a dict"),
        ({"train": 3}, {}, "a table is a path, a data frame or a datasets.Dataset, not a int"),
        ({"train": tmp_path}, {}, "is no folder that save_to_disk"),
        ({"train": tmp_path / "a.xyz"}, {}, "no file or folder"),
    ):
        with pytest.raises((UsageError, MissingFileError), match=problem):
            load_corpus(source, **options)


def test_a_public_layout_in_one_call_and_a_probe_in_two_more(tmp_path):
    """Three tab-separated files without header, gzip, with numbers of labels and a file of names."""
    from afl_helpers.training import ProbeConfig, probe

    names = write(tmp_path / "emotions.txt", "joy\nanger\nfear\n")
    emotions = ["0", "1", "0,1", "2", ""]
    files = {}
    for name, count in (("train", 40), ("dev", 10), ("test", 10)):
        rows = "".join(f"Text {name} {row}\t{emotions[row % 5]}\tuser{row}\n" for row in range(count))
        files[name] = write(tmp_path / f"{name}.tsv.gz", gzip.compress(rows.encode()))
    splits = load_corpus(files, text=0, labels=1, separator=",", label_names=names)
    config = ProbeConfig(encoder="tiny", max_length=8, epochs=1)
    run = probe(splits["train"], splits["dev"], splits["test"], loss="afl", config=config, progress=False)
    assert run.metrics["test"]["at_0.5"].keys() >= {"f1_micro"}
    assert splits["train"].label_counts.tolist() == [16, 16, 8] and splits["train"].n_unlabelled == 8


# --- every table that we write comes back the same ---------------------------------------------------------------------

characters = st.characters(exclude_categories=["Cs", "Cc", "Z", "Cf"], exclude_characters="\u00ad")
words = st.text(characters, min_size=1, max_size=6)
texts = st.lists(words, min_size=1, max_size=4).map(" ".join)
labels = texts.filter(lambda name: name.lower() not in ("nan",))


@st.composite
def corpora(draw) -> Corpus:
    """Draw a corpus whose labels are in the order of the readers."""
    names = draw(st.lists(labels, min_size=1, max_size=5, unique=True))
    rows = draw(st.lists(st.tuples(texts, st.sets(st.sampled_from(names))), min_size=1, max_size=8))
    counts = {name: sum(name in row for _, row in rows) for name in names}
    names = sorted((name for name in names if counts[name]), key=lambda name: (-counts[name], name))
    matrix = np.array([[name in row for name in names] for _, row in rows]).reshape(len(rows), len(names))
    return Corpus("drawn", [text for text, _ in rows], matrix, names)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(corpus=corpora().filter(lambda corpus: corpus.n_labels), data=st.data())
def test_tables_that_we_write_come_back(tmp_path, corpus, data):
    warnings.simplefilter("ignore", CorpusWarning)  # a drawn name may look like a list or like another name
    frame = corpus.to_frame()
    form = data.draw(
        st.sampled_from(["json cells", "python cells", ".tsv", ".jsonl", ".json", ".parquet", "frame", "0/1"])
    )
    gz = data.draw(st.booleans())
    options = {"label_names": corpus.label_names}
    cells = frame["labels"].map(lambda names: json.dumps(list(names), ensure_ascii=False))
    path = tmp_path / {"json cells": "a.csv", "python cells": "a.csv", "frame": "a.csv", "0/1": "a.csv"}.get(
        form, f"a{form}"
    )
    path = path if form == ".parquet" or not gz else path.with_name(path.name + ".gz")
    if form == "json cells":
        frame.assign(labels=cells).to_csv(path, index=False)
    elif form == "python cells":
        frame.to_csv(path, index=False)
    elif form == ".tsv":
        frame.assign(labels=cells).to_csv(path, index=False, sep="\t")
    elif form in (".json", ".jsonl"):
        frame.to_json(path, orient="records", lines=form == ".jsonl")
    elif form == ".parquet":
        frame.to_parquet(path)
    elif form == "0/1":
        columns = {f"label {name}": corpus.labels[:, place] for place, name in enumerate(corpus.label_names)}
        pandas.DataFrame({"id": frame["id"], "text": frame["text"], **columns}).to_csv(path, index=False)
        again = load_corpus(path, text="text", labels=list(columns))
        assert [name.removeprefix("label ") for name in again.label_names] == corpus.label_names
        assert (again.texts, again.labels.tolist()) == (corpus.texts, corpus.labels.tolist())
        return
    again = Corpus.from_frame(frame, **options) if form == "frame" else load_corpus(path, **options)
    assert again.fingerprint == corpus.fingerprint
