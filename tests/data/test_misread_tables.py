"""Tables that were once taken in silence for something else, or whose error gave advice that lost rows."""

import gzip
import io
import json
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from afl_helpers.__main__ import main
from afl_helpers.data import Corpus, CorpusWarning, load_corpus
from afl_helpers.data.texts import is_header, names_table, read_texts
from afl_helpers.doctor import examine
from afl_helpers.errors import DataError, MissingFileError, UsageError
from afl_helpers.training.baselines import tfidf

TEXTS = [f"the story of number {i}" for i in range(40)]


def write(path, *rows):
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def test_the_column_of_the_ids_is_named_or_its_lack_is_said(tmp_path):
    table = write(tmp_path / "films.csv", "film_id,plot,genres", "tt7,A chase.,Action", "tt9,A kiss.,Romance")
    plain = load_corpus(table)
    assert plain.document_ids == ["1", "2"] and "ids are row numbers" in plain.describe()
    named = load_corpus(table, ids="film_id")
    assert named.document_ids == ["tt7", "tt9"] and "ids from 'film_id'" in named.describe()
    assert named.texts == plain.texts and named.label_names == plain.label_names
    frame = pd.read_csv(table)
    assert Corpus.from_frame(frame, ids="film_id").document_ids == ["tt7", "tt9"]
    texts = read_texts(table, ids="film_id", text="plot")
    assert texts.ids == ["tt7", "tt9"] and texts.note == "films.csv: texts from 'plot', ids from 'film_id'"
    assert read_texts(table, text="plot").note == "films.csv: texts from 'plot', ids are row numbers"
    (tmp_path / "two.csv").write_text("id,Id,text,labels\na,1,A chase.,Action\n", encoding="utf-8")
    assert load_corpus(tmp_path / "two.csv").document_ids == ["a"]
    with pytest.raises(UsageError, match="names an unknown column 'film'.*film_id"):
        load_corpus(table, ids="film")
    with pytest.raises(UsageError, match="'plot' is named for the ids and for something else"):
        load_corpus(table, text="plot", labels="genres", ids="plot")


def test_columns_with_one_name_are_named_as_left_out(tmp_path):
    rows = [f"text {i},{i % 2},{(i + 1) % 2},1,{i % 3 // 2}" for i in range(30)]
    table = write(tmp_path / "mine.csv", "text,Drama,Drama,Crime,War", *rows)
    with pytest.warns(CorpusWarning, match="not used, because several columns have the name: 'Drama'"):
        corpus = load_corpus(table)
    assert sorted(corpus.label_names) == ["Crime", "War"]
    with pytest.raises(UsageError, match="several columns are named 'Drama'; give each a name of its own"):
        load_corpus(table, labels=["Drama", "War"])


def test_columns_of_0_and_1_are_listed(tmp_path):
    rows = [f"text {i},{i % 2},1,{i % 3 // 2}" for i in range(30)]
    corpus = load_corpus(write(tmp_path / "mine.csv", "text,Drama,has_image,War", *rows))
    assert "3 columns of 0 and 1 ('Drama', 'has_image', 'War')" in corpus.describe()


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("cell, found", [("yes", "'yes'"), ("", "nothing"), ("x", "'x'")])
def test_columns_that_are_not_0_and_1_are_refused_whole(tmp_path, cell, found, on_error):
    rows = [f"text {i},{i % 2},{1 if i % 3 else cell}" for i in range(30)]
    table = write(tmp_path / "mine.csv", "text,Drama,War", *rows)
    with pytest.raises(DataError, match=f"expected 0 or 1 under 'War', found {found} in 10 of 30 rows; write 1 where"):
        load_corpus(table, text="text", labels=["Drama", "War"], on_error=on_error)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_labels_that_are_objects_are_refused_whole(tmp_path, on_error):
    rows = [json.dumps({"text": text, "labels": [{"id": 3, "name": "Drama"}]}) for text in TEXTS]
    with pytest.raises(DataError, match=r"line 1: the labels are objects, such as \{'id': 3, 'name': 'Drama'\}; write"):
        load_corpus(write(tmp_path / "mine.jsonl", *rows), on_error=on_error)


def test_objects_of_a_dataset_are_not_passed_over(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {"text": TEXTS, "labels": [[{"name": "Drama", "score": 0.5}]] * 40, "note": ["seen"] * 40}
    with pytest.raises(DataError, match="the labels are objects"):
        Corpus.from_dataset(datasets.Dataset.from_dict(rows))


def test_labels_numbered_from_1_are_not_shifted(tmp_path):
    table = write(tmp_path / "mine.csv", "text,label_ids", *(f"{text},{1 + i % 3}" for i, text in enumerate(TEXTS)))
    for on_error in ("raise", "skip"):
        with pytest.raises(DataError, match="numbers from 1 to 3, but label_names are numbered from 0"):
            load_corpus(table, label_names=["Action", "Crime", "Drama"], on_error=on_error)
    corpus = load_corpus(table, label_names={1: "Action", 2: "Crime", 3: "Drama"})
    assert corpus.label_counts.tolist() == [14, 13, 13]
    names = write(tmp_path / "names.csv", "id,name", "1,Action", "2,Crime", "3,Drama")
    from_file = load_corpus(table, label_names=names)
    assert from_file.label_names == ["Action", "Crime", "Drama"]
    assert np.array_equal(from_file.dense_labels, corpus.dense_labels)


def test_skipped_rows_are_one_line(tmp_path):
    table = write(tmp_path / "mine.csv", "text,labels", *(f"{text},{'AB'[i % 2]}" for i, text in enumerate(TEXTS)))
    with pytest.warns(CorpusWarning) as caught:
        load_corpus(table, label_names=["A"], on_error="skip")
    lines = [line for warning in caught for line in str(warning.message).splitlines() if "skipped" in line]
    assert len(lines) == 1 and "20 lines of mine.csv skipped, with a label not in label_names" in lines[0]


def test_a_second_separator_is_a_finding_of_the_doctor(tmp_path):
    cells = ["Crime, Drama", "Drama", "Crime", "Crime;Drama"] * 10
    table = write(tmp_path / "mine.csv", "text\tlabels", *(f"{text}\t{cell}" for text, cell in zip(TEXTS, cells)))
    corpus = load_corpus(table, delimiter="tab", separator=",")
    findings = {finding.kind: finding for finding in examine(corpus, separator=",")}
    assert "1 label is made of other labels, with ';' between them" in findings["joined_labels"].sentence
    assert "joined_labels" not in {finding.kind for finding in examine(corpus, separator="")}


def test_a_slash_separates_labels_only_where_many_names_have_it(tmp_path):
    names = ["Action", "Crime", "Drama", "War"]
    pairs = [f"{a} / {b}" for a in names for b in names if a < b]

    def kinds(cells):
        rows = [f"{text}\t{cells[i % len(cells)]}" for i, text in enumerate(TEXTS)]
        corpus = load_corpus(write(tmp_path / "mine.csv", "text\tlabels", *rows), delimiter="tab", separator=",")
        return {finding.kind for finding in examine(corpus, separator=",")}

    with pytest.warns(CorpusWarning, match="separated by '/'"):
        assert "joined_labels" in kinds([*names, *pairs])
    few = [f"L{i}" for i in range(30)]
    assert "joined_labels" not in kinds([*few, "Action", "Adventure", "Action/Adventure"])


def test_what_is_given_to_predict_is_a_text_only_if_it_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    write(tmp_path / "notes.bak", "text")
    assert names_table("A man looks for his brother.") is False
    assert names_table("word " * 2000) is False
    assert names_table("I saw a.csv") is False
    with pytest.raises(MissingFileError, match="there is no file ghosts.csv; check the path"):
        names_table("ghosts.csv")
    write(tmp_path / "ghost story.csv", "text", "hello")
    assert names_table("ghost story.csv") is True
    with pytest.raises(UsageError, match="folder is a folder without a dataset"):
        names_table("folder")
    with pytest.raises(UsageError, match="cannot tell what the file notes.bak is from its name; give a .csv"):
        names_table("notes.bak")
    (tmp_path / "mine.csv.gz").write_bytes(gzip.compress(b"text\nhello\n"))
    assert names_table("mine.csv.gz") is True


def test_the_texts_of_a_dataset_folder_are_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    part = datasets.Dataset.from_dict({"text": ["a", "b"], "id": ["x", "y"]})
    part.save_to_disk(str(tmp_path / "one"))
    assert names_table(str(tmp_path / "one")) is True
    texts = read_texts(tmp_path / "one")
    assert (texts.ids, texts.texts) == (["x", "y"], ["a", "b"])
    datasets.DatasetDict({"train": part, "test": part}).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(UsageError, match="has the splits train, test; pass one, such as .*train"):
        read_texts(tmp_path / "two")
    assert read_texts(tmp_path / "two" / "test").texts == ["a", "b"]


def test_a_word_for_a_missing_text_is_said(tmp_path):
    table = write(tmp_path / "mine.csv", "text,labels", "nan,A", "NULL,B", "no plot,A", "none of us,B")
    with pytest.warns(
        CorpusWarning, match="2 rows of mine.csv with a text that stands for a missing one: 'nan', 'NULL'"
    ):
        assert len(load_corpus(table)) == 4


@pytest.mark.parametrize("line", ["film_id,text", "id;Text;genres", "nr|plot"])
def test_the_header_of_a_table_is_no_text(line):
    assert is_header(line)


@pytest.mark.parametrize("line", ["A text, with a comment.", "the comment text", "drama,comedy", "text", "", "text,"])
def test_a_text_is_no_header(line):
    assert not is_header(line)


def test_a_table_on_standard_input_is_refused(tmp_path, monkeypatch, capsys):
    corpus = load_corpus("toy").select_labels(top=3)
    model = tfidf(*corpus.split(0.8, 0.1, 0.1, seed=0), progress=False).save(tmp_path / "model")
    for content, code in (("film_id,text\n7,A chase.\n", 1), ("A chase.\n", 0)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        assert main(["predict", str(model), "-"]) == code
    captured = capsys.readouterr()
    assert "the first line of standard input, 'film_id,text', looks like the header of a table" in captured.err
    assert captured.out.count("\n") == 1


@pytest.mark.parametrize(
    "empty, full",
    [("set()", "{'Crime', 'War'}"), ("frozenset()", "frozenset({'War', 'Crime'})"), ("{}", "set(['Crime', 'War'])")],
)
def test_sets_as_python_writes_them_are_read_empty_or_not(tmp_path, empty, full):
    rows = [{"text": f"text {i}", "labels": empty if i % 3 == 0 else full} for i in range(30)]
    path = tmp_path / "mine.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    corpus = load_corpus(path)
    assert sorted(corpus.label_names) == ["Crime", "War"]
    assert corpus.dense_labels.sum(axis=1).tolist() == [0 if i % 3 == 0 else 2 for i in range(30)]


@pytest.mark.parametrize("word", ["-", "\u2014", "?", "No label", "unlabelled"])
def test_what_people_write_for_no_label_is_said_and_found(tmp_path, word):
    rows = [f"text {i},{word if i % 3 == 0 else 'Crime'}" for i in range(30)]
    table = write(tmp_path / "mine.csv", "text,labels", *rows)
    with pytest.warns(CorpusWarning, match="for no label, leave the cell empty"):
        corpus = load_corpus(table)
    assert "missing_as_label" in {finding.kind for finding in examine(corpus)}


def test_labels_that_may_be_numbered_from_1_are_said_where_none_is_0(tmp_path):
    """Six names and the numbers 1 to 5: either no document has the first name, or all names are one off."""
    names = write(tmp_path / "names.txt", "Crime", "Drama", "War", "Romance", "Comedy", "Western")
    table = write(tmp_path / "mine.csv", "text,labels", *(f"text {i},{1 + i % 5}" for i in range(40)))
    with pytest.warns(CorpusWarning, match="label 0 .'Crime'. is in no document, and label 1 was read as 'Drama'; if "):
        load_corpus(table, label_names=names)


@pytest.mark.parametrize(
    "form", ["{} ({:.2f})", "{}:{:.3f}", "{} = {:.1f}", "{} (0,{:.0f}7)", "{0}:0,9", "{0} 9{1:.0f}%", "0.9 {0}"]
)
def test_scores_beside_the_labels_are_named(tmp_path, form):
    cells = [form.format(name, 0.5 + i / 100) for i, name in enumerate(["Drama", "Crime", "War"] * 10)]
    table = write(tmp_path / "mine.csv", "text;labels", *(f"text {i};{cell}" for i, cell in enumerate(cells)))
    with pytest.warns(CorpusWarning, match="labels seem to hold a score: .*take the scores off"):
        corpus = load_corpus(table)
    (finding,) = [finding for finding in examine(corpus) if finding.kind == "scores_in_labels"]
    assert finding.severity == "fix"


def test_labels_that_end_in_a_number_are_no_scores(tmp_path, recwarn):
    names = ["Windows 3.1", "Python (3.11)", "Blade Runner (1982)", "F:1", "Section: 4.2"]
    table = write(tmp_path / "mine.csv", "text;labels", *(f"text {i};{names[i % 5]}" for i in range(30)))
    assert load_corpus(table).n_labels == 5
    assert not [warning for warning in recwarn if "score" in str(warning.message)]


def test_a_row_without_an_id_is_numbered_as_no_other_row_is_called(tmp_path):
    table = write(tmp_path / "mine.csv", "id,text", "3,A chase.", "b,A kiss.", ",A war.", ",A song.")
    texts = read_texts(table)
    assert texts.ids == ["3", "b", "row 3", "4"]
    assert texts.note == "mine.csv: texts from 'text', ids from 'id' (2 rows have none: numbered instead)"


def test_the_end_of_an_html_entity_separates_no_labels(tmp_path):
    names = ["Drama &amp; Romance", "Com&eacute;die", "War &amp; Crime", "Drama", "R&#38;B"]
    table = write(tmp_path / "mine.csv", "text,labels", *(f"text {i},{names[i % 5]}" for i in range(40)))
    with pytest.warns(CorpusWarning) as caught:
        corpus = load_corpus(table)
    (warning,) = [str(warning.message) for warning in caught]
    assert "4 labels with an HTML entity: 'Drama &amp; Romance' (8)" in warning and "html.unescape" in warning
    assert corpus.n_labels == 5 and "entities_in_labels" in {finding.kind for finding in examine(corpus)}


def test_a_semicolon_between_labels_with_entities_is_suspected(tmp_path):
    names = ["Drama &amp; Romance;War", "War", "War;Crime", "Crime;Drama &amp; Romance"]
    table = write(tmp_path / "mine.csv", "text,labels", *(f"text {i},{names[i % 4]}" for i in range(40)))
    with pytest.warns(CorpusWarning, match="seem to be separated by ';'"):
        load_corpus(table)


@pytest.mark.parametrize("n_comments, said", [(1, "line 1 begins"), (2, "lines 1 to 2 begin")])
def test_comments_before_the_header_are_named(tmp_path, n_comments, said):
    comments = ["# exported in May", "# by hand, twice, from two systems"][:n_comments]
    table = write(tmp_path / "mine.csv", *comments, "text,labels", *(f"text {i},Drama" for i in range(5)))
    for on_error in ("raise", "skip"):
        with pytest.raises(DataError, match=f"{said} with '#', as comments do; remove what stands before the header"):
            load_corpus(table, on_error=on_error)
    header = write(tmp_path / "other.csv", "#id,text,labels", *(f"{i},text {i},Drama" for i in range(5)))
    assert len(load_corpus(header)) == 5


def test_a_text_column_that_is_there_twice_is_named(tmp_path):
    table = write(tmp_path / "mine.csv", "id,text,text,labels", *(f"{i},text {i},more,Drama" for i in range(5)))
    with pytest.raises(DataError, match="holds the texts, found 'id', 'labels' .and more than once.*: 'text'"):
        load_corpus(table)


def test_a_misspelt_split_is_named(tmp_path, recwarn):
    splits = ["train"] * 20 + ["train_"] + ["test"] * 9
    table = write(tmp_path / "a.csv", "text,labels,part", *(f"text {i},Drama,{part}" for i, part in enumerate(splits)))
    with pytest.warns(CorpusWarning, match="a split is called 'train_' .1 row., not train, validation or test"):
        assert set(load_corpus(table, split_column="part")) == {"train", "train_", "test"}
    folds = write(tmp_path / "b.csv", "text,labels,part", *(f"text {i},Drama,fold {i % 3}" for i in range(30)))
    recwarn.clear()
    assert len(load_corpus(folds, split_column="part")) == 3
    assert not [warning for warning in recwarn if "a split is called" in str(warning.message)]


def test_a_dict_of_labels_and_scores_is_refused(tmp_path):
    table = write(
        tmp_path / "mine.tsv", "text\tlabels", *(f"text {i}\t{{'Drama': 0.9, 'War': 0.{i}}}" for i in range(9))
    )
    with pytest.raises(
        DataError, match="line 2: expected labels, found a dict, .*write the labels that the document has"
    ):
        load_corpus(table, on_error="skip")


@pytest.mark.parametrize(
    "cells",
    [
        ["Drama;War;", "War;Crime;", "Drama;"],
        [";Drama;War", ";War", ";War;Crime"],
        ["War,Drama,", "Drama,War", "Crime"],
    ],
)
def test_a_separator_at_the_end_is_still_suspected(tmp_path, cells):
    sign = ";" if ";" in cells[0] else ","
    table = write(tmp_path / "mine.tsv", "text\tlabels", *(f"text {i}\t{cells[i % len(cells)]}" for i in range(30)))
    with pytest.warns(CorpusWarning, match=f"seem to be separated by '{sign}'"):
        load_corpus(table)
    assert sorted(load_corpus(table, separator=sign).label_names) == ["Crime", "Drama", "War"]


@pytest.mark.parametrize("sign", ["&", "+", ">"])
def test_a_blank_around_a_sign_separates_no_labels(tmp_path, sign, recwarn):
    cells = [f"Drama {sign} War", f"War {sign} Crime", "Crime", f"Crime {sign} Drama", "Drama"]
    table = write(tmp_path / "mine.tsv", "text\tlabels", *(f"text {i}\t{cells[i % 5]}" for i in range(30)))
    load_corpus(table)
    assert not [warning for warning in recwarn if "separated by ' '" in str(warning.message)]


def test_a_row_per_label_is_named(tmp_path, recwarn):
    rows = [(f"text {i}", label) for i in range(10) for label in ("Drama", "War", "Crime")[: 1 + i % 3]]
    table = write(tmp_path / "long.csv", "text,labels", *(f"{text},{label}" for text, label in rows))
    with pytest.warns(CorpusWarning, match="6 texts in several rows, each with another single label; .*groupby"):
        load_corpus(table)
    joined = pd.DataFrame(rows, columns=["text", "labels"]).groupby("text")["labels"].agg("|".join).reset_index()
    recwarn.clear()
    assert len(Corpus.from_frame(joined)) == 10 and not recwarn


def test_a_shell_can_name_tab_and_line_break(tmp_path, capsys):
    path = tmp_path / "mine.csv"
    path.write_text("text,labels\n" + "".join(f'text {i},"Drama\nWar"\n' for i in range(4)), encoding="utf-8")
    assert main(["data", str(path), "--separator", r"\n"]) == 0
    assert "2 labels" in capsys.readouterr().out


VECTORS = [
    '{"text": "a", "labels": [1, 0, 0]}',
    '{"text": "b", "labels": [0, 1, 0]}',
    '{"text": "c", "labels": [0, 0, 1]}',
]


def test_a_row_without_labels_leaves_vectors_what_they_are(tmp_path):
    names = ["anger", "joy", "fear"]
    table = write(tmp_path / "a.jsonl", *VECTORS, '{"text": "d", "labels": null}')
    corpus = load_corpus(table, label_names=names)
    assert corpus.labels.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]] and corpus.label_names == names


@pytest.mark.parametrize("odd", [[0, 1], [0, 2, 0], [2]])
def test_a_row_that_is_no_vector_among_vectors_is_named(tmp_path, odd):
    table = write(tmp_path / "a.jsonl", *VECTORS, json.dumps({"text": "d", "labels": odd}))
    with pytest.raises(DataError, match=r"a.jsonl, line 4: expected 3 zeros and ones, as in other rows, found \["):
        load_corpus(table, label_names=["anger", "joy", "fear"])
    with pytest.warns(CorpusWarning, match="1 line of a.jsonl skipped, because its labels are no vector of 3"):
        assert len(load_corpus(table, on_error="skip")) == 3


def test_lists_of_two_label_numbers_are_no_vectors(tmp_path):
    rows = [json.dumps({"text": f"text {i}", "labels": found}) for i, found in enumerate([[0, 1], [1], [0], [0, 1]])]
    corpus = load_corpus(write(tmp_path / "a.jsonl", *rows), label_names=["anger", "joy"])
    assert corpus.labels.tolist() == [[1, 1], [0, 1], [1, 0], [1, 1]]


def test_zeros_in_front_of_a_code_stay(tmp_path):
    table = write(tmp_path / "codes.csv", "text,labels", "a,01", "b,0110", "c,110", "d,0110|7")
    with pytest.warns(CorpusWarning, match="differ only in zeros in front are kept apart: '0110' and '110'"):
        corpus = load_corpus(table)
    assert sorted(corpus.label_names) == ["01", "0110", "110", "7"]


def test_a_blank_line_in_a_table_of_one_column_is_a_blank_text(tmp_path):
    found = read_texts(write(tmp_path / "one.csv", "text", "A sheriff rides.", "", "A love story.", "", ""))
    assert found.texts == ["A sheriff rides.", "", "A love story."] and found.ids == ["1", "2", "3"]


def test_a_quotation_over_two_rows_of_a_tsv_takes_none_of_them(tmp_path):
    table = write(tmp_path / "q.tsv", "text\tlabels", '"I went home.\tAnger', 'Then I slept."\tJoy', "The end.\tFear")
    for read in (load_corpus, lambda path: read_texts(path, text="text")):
        with pytest.raises(DataError, match="q.tsv, line 2: a quoted cell holds a tab and goes on in line 3"):
            read(table)
    kept = write(tmp_path / "k.tsv", "text\tlabels", '"Two\nlines, one cell."\tJoy', "The end.\tFear")
    assert load_corpus(kept).texts[0] == "Two lines, one cell."


def test_names_in_a_file_belong_to_their_numbers(tmp_path):
    table = write(tmp_path / "a.csv", "text,labels", "a,0|1", "b,2", "c,1")
    header = write(tmp_path / "h.csv", "label", "Anger", "Joy", "Fear")
    with pytest.raises(DataError, match="h.csv, line 1: 'label' looks like a header, which would shift all names"):
        load_corpus(table, label_names=header)
    with pytest.raises(DataError, match="b.txt, line 2 is blank"):
        load_corpus(table, label_names=write(tmp_path / "b.txt", "Anger", "", "Joy", "Fear"))
    reversed_ = write(tmp_path / "r.csv", "name,id", "Joy,1", "Anger,0", "Fear,2")
    assert load_corpus(table, label_names=reversed_).label_counts.tolist() == [2, 1, 1]
    for rows, message in ((("0,Joy", "0,Fear"), "number 0 stands before 2"), (("0,Joy", "1,Joy"), "holds 'Joy' twice")):
        with pytest.raises((DataError, UsageError), match=message):
            load_corpus(table, label_names=write(tmp_path / "twice.csv", *rows))
    stars = write(tmp_path / "s.txt", "1 star", "2 stars", "3 stars")
    assert load_corpus(table, label_names=stars).label_names == ["1 star", "2 stars", "3 stars"]


@pytest.mark.parametrize("values", [("1", "0", "0"), ("True", "False", "False"), ("1.0", "0.0", "0.0")])
def test_a_single_column_of_0_and_1_is_one_label(tmp_path, values):
    rows = [f"text {i},{value}" for i, value in enumerate(values)]
    table = write(tmp_path / "tox.csv", "text,toxic", *rows)
    corpus = load_corpus(table, labels="toxic")
    assert corpus.label_names == ["toxic"] and corpus.labels.tolist() == [[1], [0], [0]]
    assert "labels from 1 column of 0 and 1 ('toxic')" in corpus.describe()
    if values[0] == "1":
        named = load_corpus(table, labels="toxic", label_names=["kind", "toxic"])
        assert named.labels.tolist() == [[0, 1], [1, 0], [1, 0]]


def test_0_and_1_under_a_column_called_label_are_two_labels_with_a_warning(tmp_path):
    table = write(tmp_path / "a.csv", "text,label", "a,0", "b,1", "c,1")
    with pytest.warns(CorpusWarning, match=r"'label' are 0 and 1, and read as two; .* pass labels=\['label'\]"):
        corpus = load_corpus(table)
    assert corpus.label_names == ["1", "0"]
    assert load_corpus(table, labels=["label"]).labels.tolist() == [[0], [1], [1]]


def test_splits_are_read_alike_where_one_of_them_has_only_0_and_1(tmp_path):
    train = write(tmp_path / "a.csv", "text,label", "a,0", "b,1", "c,2")
    test = write(tmp_path / "b.csv", "text,label", "d,0", "e,1")
    splits = load_corpus({"train": train, "test": test})
    assert splits["train"].label_names == splits["test"].label_names == ["0", "1", "2"]


def test_a_blank_behind_the_delimiter_is_no_part_of_a_quoted_cell(tmp_path):
    table = write(tmp_path / "a.csv", "text, labels", '"hello, you", "x"', 'b, "y|x"')
    corpus = load_corpus(table)
    assert corpus.texts == ["hello, you", "b"] and sorted(corpus.label_names) == ["x", "y"]
    single = write(tmp_path / "b.csv", "text,labels", "a,'x'", "b,'y'")
    with pytest.warns(CorpusWarning, match="2 labels in quotation marks"):
        load_corpus(single)


def test_a_header_of_numbers_is_no_document(tmp_path):
    table = write(tmp_path / "h.csv", "0,1", "hello,x", "world,y")
    assert load_corpus(table, text=0, labels=1).texts == ["hello", "world"]


def test_a_header_in_a_txt_file_is_no_text(tmp_path):
    with pytest.raises(DataError, match="t.txt, line 1: 'id,text' looks like the header of a table"):
        read_texts(write(tmp_path / "t.txt", "id,text", "1,A sheriff rides."))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_key_that_stands_twice_is_named(tmp_path, name):
    rows = ['{"text": "a", "labels": ["x"], "labels": ["y"]}', '{"text": "b", "labels": ["x"]}']
    table = write(tmp_path / name, *(rows if name == "a.jsonl" else [f"[{', '.join(rows)}]"]))
    with pytest.raises(DataError, match="(line|row) 1: the key 'labels' stands twice in one object"):
        load_corpus(table)


@pytest.mark.parametrize(
    ("cells", "counts"),
    [
        (["1", "2.0", "2", "1.0"] * 3, {"1": 6, "2": 6}),  # two tables, one of which had a missing value
        (["1.0|2.0", "2", "", "1"] * 3, {"1": 6, "2": 6}),
        (["0.0", "3.0", "3.00"] * 3, {"0": 3, "3": 6}),
    ],
)
def test_whole_numbers_with_a_decimal_point_are_the_labels_without_it(tmp_path, cells, counts):
    path = tmp_path / "own.csv"
    path.write_text("text,labels\n" + "".join(f"text {i},{cell}\n" for i, cell in enumerate(cells)))
    with pytest.warns(CorpusWarning, match="with a decimal point read as whole numbers: '"):
        corpus = load_corpus(str(path))
    assert dict(zip(corpus.label_names, corpus.label_counts.tolist())) == counts


@pytest.mark.parametrize("cells", [["1.5", "2.0"], ["Web 2.0", "2.0"], ["1.0.0", "2.0"]])
def test_a_decimal_point_in_other_labels_stays(tmp_path, cells):
    path = tmp_path / "own.csv"
    path.write_text("text,labels\n" + "".join(f"text {i},{cell}\n" for i, cell in enumerate(cells * 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert set(load_corpus(str(path)).label_names) == set(cells)


def test_the_advice_on_a_row_per_label_names_the_columns(tmp_path):
    path = tmp_path / "own.csv"
    rows = [f"{i},text {i},{label}" for i in range(5) for label in ("sport", "news")]
    path.write_text("id,text,label\n" + "\n".join(rows) + "\n")
    with pytest.warns(CorpusWarning, match=r"frame.groupby\('text'\)\['label'\].agg\('\|'.join\)"):
        load_corpus(str(path))
