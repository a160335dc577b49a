"""The readers on lines that were damaged at random, or made to take them down.

Whatever a file holds, the outcome is a sound corpus, of which what was not damaged is the same as ever, or an error
that names file and line; in about linear time, for which a limit on the test stands.
"""

import contextlib
import csv
import functools
import gzip
import io
import json
import os
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from afl_helpers.data import load_corpus
from afl_helpers.data.reading import MalformedLines
from afl_helpers.data.sources import cmu, cmu_leads, reuters, wiki_markup
from afl_helpers.data.sources.download import SourceFile
from afl_helpers.data.sources.genre_words import mask_genre_words
from afl_helpers.data.sources.wiki_markup import clean_text
from afl_helpers.errors import DataError

# In quadratic time the crafted texts below would take minutes.
pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore::afl_helpers.data.CorpusWarning")]
quick = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
long = settings(quick, max_examples=10_000)

FORMS = ["synthetic", "real"]


def real_folder() -> Path:
    if "AFL_DATA_DIR" not in os.environ:
        pytest.skip("AFL_DATA_DIR names no folder of real data")
    return Path(os.environ["AFL_DATA_DIR"])


def check_corpus(corpus) -> None:
    """Shapes fit, nothing is missing or doubled, and every string can be written to a file."""
    assert corpus.labels.shape == (len(corpus.texts), len(corpus.label_names))
    assert corpus.label_counts.min() >= 1
    assert len(set(corpus.document_ids)) == len(corpus.texts)
    for string in (*corpus.texts, *corpus.label_names, *corpus.document_ids):
        string.encode("utf-8")
    assert all(corpus.label_names)


def check_error(error: DataError, file: str, first: int, last: int) -> None:
    """The message is one sentence, and names a line within the damage; or nothing was left to read."""
    message = str(error)
    assert len(message.splitlines()) == 1 and len(message) < 2000, message
    message.encode("utf-8")
    named = re.match(rf"(?:.*/)?{re.escape(file)}, line (\d+): ", message)
    if named:
        assert first <= int(named[1]) <= last, message
    else:
        assert "no document with a text and a label is left" in message, message


def labelled(corpus) -> dict[str, tuple[str, frozenset[str]]]:
    """Text and labels by id."""
    rows = corpus.to_frame()
    return {row.id: (row.text, frozenset(row.labels)) for row in rows.itertuples()}


TOKENS = [
    *(sign.encode() for sign in ("\t", "\r", "\n", "\0", "\x0b", "\x1c", "\u2028", "\u0085", "\ufeff", "\U0001f600")),
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xfe\xff", b"\xff\xfe", b"\\ud800", b"\\u0000", b"\\", b'"', b"'", b","),
    *(b"{{", b"}}", b"{", b"}", b"[[", b"]]", b"|", b"[", b"]", b"<ref", b"<ref>", b"</ref>", b"/>", b"<!--", b"-->"),
    *(b"[http://x ", b"<b>", b"''", b"==", b"&", b"&#", b"&#55296;", b"&#xD800;", b"&#" + b"9" * 5000 + b";", b"&lt;"),
    *(b"<REUTERS", b"<REUTERS ", b">", b"</REUTERS>", b"<TEXT>", b"</TEXT>", b"<TOPICS>", b"</TOPICS>", b"<D>"),
    *(b"</D>", b"<D> </D>", b"<TITLE>", b"<BODY>", b"</BODY>", b'NEWID="', b"null", b"[" * 10_000, b'{"a":' * 10_000),
    *(b"9" * 5000, b"1e999", b"NaN", b"-1", b"0", b"   "),
]


@st.composite
def damage(draw, seeds: list[bytes]) -> bytes:
    """A line of the seeds after a few insertions, deletions, flips, repetitions, cuts and splices."""
    line = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start, stop = sorted(draw(st.tuples(*[st.integers(0, len(line))] * 2)))
        kind = draw(st.sampled_from(["token", "bytes", "delete", "flip", "repeat", "cut", "splice"]))
        if kind == "token":
            line = line[:start] + draw(st.sampled_from(TOKENS)) + line[start:]
        elif kind == "bytes":
            line = line[:start] + draw(st.binary(max_size=8)) + line[start:]
        elif kind == "delete":
            line = line[:start] + line[min(stop, start + draw(st.integers(1, 40))) :]
        elif kind == "flip" and line:
            start = min(start, len(line) - 1)
            line = line[:start] + bytes([line[start] ^ 1 << draw(st.integers(0, 7))]) + line[start + 1 :]
        elif kind == "repeat":
            line = line[:start] + line[start:stop] * 2 + line[stop:]
        elif kind == "cut":
            line = line[:start]
        elif kind == "splice":
            other = draw(st.sampled_from(seeds))
            line = line[:start] + other[draw(st.integers(0, len(other))) :]
    return line


# The layout of the CMU corpus.


def cmu_row(movie_id: int, genres: dict[str, str]) -> bytes:
    columns = [str(movie_id), f"/m/{movie_id}", f"Títle {movie_id}", "2001-08-24", "", "98.0", "{}", "{}"]
    return "\t".join([*columns, json.dumps(genres)]).encode()


@functools.cache
def cmu_seeds(form: str) -> tuple[list[bytes], list[bytes]]:
    """Lines of metadata and lines of plots, of the same movies in the same order."""
    if form == "synthetic":
        rows = [cmu_row(10 + n, {"/m/1": "Drama", f"/m/{n}": f"Genre à {n}"}) for n in range(6)]
        markup = "{{plot}} A [[man|ship]]<ref name=x>y</ref> &mdash; <b>walks</b> [http://x.org on] <!-- z -->\u2028"
        return rows, [f"{10 + n}\t{markup * n} café {n}.".encode() for n in range(6)]
    folder = real_folder() / "cmu"
    rows = dict(
        (line.partition(b"\t")[0], line)
        for line in gzip.decompress((folder / "movie.metadata.tsv.gz").read_bytes()).split(b"\n")
    )
    plots = (folder / "plot_summaries.first72.txt").read_bytes().split(b"\n")
    plots = [line for line in plots if 0 < len(line) < 1500 and rows[line.partition(b"\t")[0]].strip().endswith(b'"}')]
    return [rows[line.partition(b"\t")[0]] for line in plots[:8]], plots[:8]


@functools.cache
def cmu_alone(form: str) -> dict[str, tuple[str, frozenset[str]]]:
    """What the reader gives for each movie by itself."""
    pairs = zip(*cmu_seeds(form), strict=True)
    return {k: v for row, plot in pairs for k, v in labelled(cmu.read_cmu(row, plot)).items()}


def check_cmu(form: str, data) -> None:
    rows, plots = (list(lines) for lines in cmu_seeds(form))
    alone = cmu_alone(form)
    assert len(alone) == len(plots)
    lines, file = data.draw(st.sampled_from([(rows, cmu.METADATA_FILE), (plots, cmu.PLOTS_FILE)]))
    place = data.draw(st.integers(0, len(lines) - 1))
    damaged = data.draw(damage(lines))
    lines[place] = damaged
    metadata, texts = b"\n".join(rows), b"\n".join(plots)
    try:
        check_corpus(cmu.read_cmu(metadata, texts))
    except DataError as error:
        check_error(error, file, place + 1, place + 1 + damaged.count(b"\n"))
    found = cmu.read_cmu(metadata, texts, on_error="skip")
    check_corpus(found)
    # A damaged line may have got the id of another one.
    damaged = damaged.removeprefix(b"\xef\xbb\xbf")
    touched = {line.partition(b"\t")[0].decode("latin-1") for line in damaged.split(b"\n")} | {list(alone)[place]}
    found = labelled(found)
    for movie_id in alone.keys() - touched:
        assert found[movie_id] == alone[movie_id]
    assert found.keys() <= alone.keys() | touched
    if lines is plots:
        known = {genre for _, genres in alone.values() for genre in genres}
        assert all(genres <= known for _, genres in found.values())


@pytest.mark.parametrize("form", FORMS)
@quick
@given(data=st.data())
def test_damaged_lines_of_the_cmu_layout(form, data):
    check_cmu(form, data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", FORMS)
@long
@given(data=st.data())
def test_many_damaged_lines_of_the_cmu_layout(form, data):
    check_cmu(form, data)


# Reuters.

STORY = """<REUTERS TOPICS="YES" LEWISSPLIT="{split}" CGISPLIT="x" OLDID="5" NEWID="{number}">
<DATE>26-FEB-1987</DATE>
<TOPICS><D>earn</D><D>topic{number}</D></TOPICS>
<UNKNOWN>&#5;&#5;</UNKNOWN>
<TEXT{kind}>&#2;
<TITLE>A &lt;B&gt; DEAL {number}</TITLE>
<DATELINE> N.Y. - </DATELINE><BODY>It  said R&amp;D.
&#3;</BODY></TEXT>
</REUTERS>"""


@functools.cache
def reuters_seeds(form: str) -> list[bytes]:
    """Stories, half of them of training."""
    if form == "synthetic":
        return [
            STORY.format(split=split, number=number, kind=kind).encode()
            for number, (split, kind) in enumerate(
                [("TRAIN", ""), ("TRAIN", ' TYPE="BRIEF"'), ("TEST", ""), ("TEST", ' TYPE="UNPROC"')], start=1
            )
        ]
    stories = []
    with tarfile.open(real_folder() / "reuters21578" / "reuters21578.tar.gz") as archive:
        for member in archive:
            if member.name in ("reut2-000.sgm", "reut2-020.sgm"):
                parts = archive.extractfile(member).read().split(b"</REUTERS>")
                short = [part[part.index(b"<REUTERS") :] + b"</REUTERS>" for part in parts[:-1] if len(part) < 1500]
                stories += [part for part in short if b'TOPICS="YES"' in part and b"<D>" in part][:4]
    return stories


@functools.cache
def stories_alone(form: str) -> list[reuters.Story]:
    return [next(reuters.read_stories(seed, MalformedLines("raise"), "a")) for seed in reuters_seeds(form)]


def check_reuters(form: str, data) -> None:
    seeds, alone = list(reuters_seeds(form)), stories_alone(form)
    place = data.draw(st.integers(0, len(seeds) - 1))
    damaged = data.draw(damage(seeds))
    first = sum(seed.count(b"\n") + 1 for seed in seeds[:place]) + 1
    seeds[place] = damaged
    content = b"\n".join(seeds) + b"\n"
    file = "reut2-000.sgm"
    for options in ({}, {"on_error": "skip"}):
        try:
            check_corpus(reuters.read_reuters({file: content}, verify=False, **options))
        except DataError as error:
            # Of two stories with one number, the one that comes later is named.
            last = content.count(b"\n") + 1 if "has the same NEWID" in str(error) else first + damaged.count(b"\n")
            check_error(error, file, first, last)
    stories = list(reuters.read_stories(content, MalformedLines("skip"), file))
    for position, story in enumerate(alone):
        if position != place and f'NEWID="{story.new_id}"'.encode() not in damaged:
            assert story in stories


@pytest.mark.parametrize("form", FORMS)
@quick
@given(data=st.data())
def test_damaged_stories_of_reuters(form, data):
    check_reuters(form, data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", FORMS)
@long
@given(data=st.data())
def test_many_damaged_stories_of_reuters(form, data):
    check_reuters(form, data)


# Tables.


@functools.cache
def table_seeds(form: str, ending: str) -> list[bytes]:
    rows = [
        {"id": plot.partition(b"\t")[0].decode(), "text": " ".join(plot.partition(b"\t")[2].decode().split())}
        for plot in cmu_seeds(form)[1]
    ]
    for number, row in enumerate(rows):
        row["text"] = row["text"] or "blank"
        row["labels"] = ["Drama", f"Genre à {number}"]
    if ending == ".jsonl":
        return [json.dumps(row, ensure_ascii=number % 2 == 0).encode() for number, row in enumerate(rows)]
    lines = []
    for number, row in enumerate(rows):
        labels = json.dumps(row["labels"]) if number % 2 else "|".join(row["labels"])
        written = io.StringIO()
        csv.writer(written, lineterminator="").writerow([row["id"], row["text"], labels])
        lines.append(written.getvalue().encode())
    return lines


def check_table(form: str, ending: str, folder: Path, data) -> None:
    seeds = list(table_seeds(form, ending))
    header = [b"id,text,labels"] if ending == ".csv" else []
    path = folder / f"t{ending}"
    path.write_bytes(b"\n".join(header + seeds))
    alone = labelled(load_corpus(path))
    assert len(alone) == len(seeds)
    place = data.draw(st.integers(0, len(seeds) - 1))
    damaged = data.draw(damage(seeds))
    touched = {list(alone)[place]} | {row_id for row_id in alone if row_id.encode() in damaged}
    seeds[place] = damaged
    path.write_bytes(b"\n".join(header + seeds))
    first = len(header) + place + 1
    lines = len(re.findall(rb"\r\n?|\n", damaged) if header else re.findall(rb"\n", damaged))
    # A quote that is not closed takes the lines after it into its cell, up to the next quote; that is CSV.
    quoting = bool(header) and b'"' in damaged
    last = len(header + seeds) + lines if quoting else first + lines
    try:
        check_corpus(load_corpus(path))
    except DataError as error:
        check_error(error, path.name, first, last)
    try:
        corpus = load_corpus(path, on_error="skip")
    except DataError as error:
        assert quoting
        check_error(error, path.name, first, last)
        return
    check_corpus(corpus)
    found = labelled(corpus)
    for position, row_id in enumerate(alone):
        if row_id not in touched and (position < place or not quoting):
            assert found[row_id] == alone[row_id]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@pytest.mark.parametrize("form", FORMS)
@settings(quick, max_examples=150)
@given(data=st.data())
def test_damaged_rows_of_tables(tmp_path, form, ending, data):
    check_table(form, ending, tmp_path, data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@pytest.mark.parametrize("form", FORMS)
@long
@given(data=st.data())
def test_many_damaged_rows_of_tables(tmp_path, form, ending, data):
    check_table(form, ending, tmp_path, data)


# Cases that chance would not find.

GOOD_ROW, GOOD_PLOT = cmu_row(1, {"/m/1": "Drama"}), b"1\tA plot."


def refused_or_skipped(metadata: bytes, plots: bytes, file: str, line: int) -> str:
    """The message of the error; read with on_error='skip', the good movie alone is left."""
    with pytest.raises(DataError) as error:
        cmu.read_cmu(metadata, plots)
    message = str(error.value)
    assert message.startswith(f"{file}, line {line}: ") and len(message) < 300
    message.encode("utf-8")
    corpus = cmu.read_cmu(metadata, plots, on_error="skip")
    assert (corpus.texts, corpus.label_names) == (["A plot."], ["Drama"])
    assert corpus.report["malformed_lines_skipped"] == 1
    return message


@pytest.mark.parametrize(
    "genres",
    [
        b"",
        b"[]",
        b'["Drama"]',
        b"3",
        b"null",
        b'"Drama"',
        b'{"/m/1": null}',
        b'{"/m/1": ["Drama"]}',
        b'{"/m/1": {"/m/2": "Drama"}}',
        b'{"/m/1": "Drama"',
        b'{"/m/1": "Drama"}}',
        b"{'/m/1': 'Drama'}",
        b'{"/m/1": "\\ud800"}',
        b'{"/m/1": "\\udc00\\ud800"}',
        b'{"/m/1": "a\0b"}',
        b'{"/m/1": ' + b"9" * 5000 + b"}",
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b'"x"' + b"}" * 10_000,
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda genres: ascii(genres[:30]),
)
def test_genres_that_are_no_object_of_names(genres):
    bad = cmu_row(2, {}).removesuffix(b"{}") + genres
    message = refused_or_skipped(GOOD_ROW + b"\n" + bad, GOOD_PLOT, cmu.METADATA_FILE, 2)
    assert "expected a JSON object of genre names" in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1", "cp037"])
@pytest.mark.parametrize("file", [cmu.METADATA_FILE, cmu.PLOTS_FILE])
def test_files_in_another_encoding_are_refused(file, encoding):
    contents = {cmu.METADATA_FILE: GOOD_ROW, cmu.PLOTS_FILE: "1\tEin Café.".encode()}
    contents[file] = contents[file].decode().encode(encoding)
    with pytest.raises(DataError, match=rf"^{re.escape(file)}, line 1: "):
        cmu.read_cmu(*contents.values())
    with pytest.raises(DataError, match="no document"):
        cmu.read_cmu(*contents.values(), on_error="skip")


@pytest.mark.parametrize("change", [-8, -1, 1, 1000])
def test_missing_and_extra_columns(change):
    columns = cmu_row(2, {}).split(b"\t")
    bad = b"\t".join(columns[:change] if change < 0 else columns + [b"x"] * change)
    assert f"found {9 + change}" in refused_or_skipped(GOOD_ROW + b"\n" + bad, GOOD_PLOT, cmu.METADATA_FILE, 2)


@pytest.mark.parametrize("movie_id", [b"", b"-1", b" 1", b"1.0", "\u0661".encode(), "\u00b2".encode(), b"9" * 5000])
def test_ids_that_are_no_plain_numbers(movie_id):
    bad = movie_id + b"\tA plot."
    refused_or_skipped(GOOD_ROW, GOOD_PLOT + b"\n" + bad, cmu.PLOTS_FILE, 2)


def test_line_ends_and_separators():
    plots = [b"1\tA\rb\x0bc\x1cd\x1de\x85".replace(b"\x85", "\u2028f\u2029g\u0085h".encode())]
    rows = [GOOD_ROW]
    expected = "A b c d e f g h"
    for end in (b"", b"\n", b"\r\n", b"\n\n\n", b"\r\n\r\n"):
        for start in (b"", b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"):
            corpus = cmu.read_cmu(start + rows[0] + end, start + plots[0] + end)
            assert corpus.texts == [expected]
    # A lone CR ends no line: two rows joined by one are one row of too many columns.
    with pytest.raises(DataError, match="line 1: expected 9 columns"):
        cmu.read_cmu(GOOD_ROW + b"\r" + GOOD_ROW, GOOD_PLOT)


def test_nul_and_escapes_in_a_text_stay_text():
    corpus = cmu.read_cmu(GOOD_ROW, b"1\ta\0b \\ud800 \x1b[0m &#0; &#xD800; &#55296; &#1114112; &#9999999;")
    check_corpus(corpus)
    assert corpus.texts[0].startswith("a\0b \\ud800 \x1b[0m \ufffd \ufffd")


def test_repeated_ids_count_once():
    corpus = cmu.read_cmu((GOOD_ROW + b"\n") * 1000, (GOOD_PLOT + b"\n") * 1000)
    assert corpus.n_documents == 1
    assert (corpus.report["movies_with_repeated_id"], corpus.report["plots_with_repeated_id"]) == (999, 999)


@pytest.mark.parametrize("content", [b"", b"\n", b"\n" * 100_000, b"\r\n" * 10, b"\xef\xbb\xbf"])
def test_files_without_lines(tmp_path, content):
    for metadata, plots in ((content, GOOD_PLOT), (GOOD_ROW, content), (content, content)):
        with pytest.raises(DataError, match="no document"):
            cmu.read_cmu(metadata, plots)
    with pytest.raises(DataError, match="no document"):
        reuters.read_reuters({"reut2-000.sgm": content})
    for ending in (".csv", ".jsonl"):
        (tmp_path / f"t{ending}").write_bytes(content)
        with pytest.raises(DataError, match="the file is empty"):
            load_corpus(tmp_path / f"t{ending}")


LENGTH = 10_000_000


def test_ten_million_characters_in_a_line(tmp_path):
    text = b"word " * (LENGTH // 5)
    assert len(cmu.read_cmu(GOOD_ROW, b"1\t" + text).texts[0]) == LENGTH - 1
    assert "columns" in refused_or_skipped(GOOD_ROW + b"\n" + text, GOOD_PLOT, cmu.METADATA_FILE, 2)
    assert "no tab" in refused_or_skipped(GOOD_ROW, GOOD_PLOT + b"\n" + text, cmu.PLOTS_FILE, 2)
    assert "number" in refused_or_skipped(GOOD_ROW, GOOD_PLOT + b"\n" + b"9" * LENGTH + b"\tx", cmu.PLOTS_FILE, 2)
    (tmp_path / "t.csv").write_bytes(b"text,labels\n" + text + b",x\n")
    (tmp_path / "t.jsonl").write_bytes(b'{"text": "' + text + b'", "labels": ["x"]}')
    for name in ("t.csv", "t.jsonl"):
        assert len(load_corpus(tmp_path / name).texts[0]) == LENGTH - 1
    (tmp_path / "t.csv").write_bytes(b"x" * LENGTH)
    (tmp_path / "t.jsonl").write_bytes(b"x" * LENGTH)
    for name in ("t.csv", "t.jsonl"):
        with pytest.raises(DataError, match="line 1: ") as error:
            load_corpus(tmp_path / name)
        assert len(str(error.value)) < 500


MANY = 100_000
CRAFTED = {
    **{ascii(sign): sign * MANY for sign in (
        "{{", "}}", "{", "{{a", "{{{{}}", "{{|", "[[", "]]", "[", "[[a", "[[a|", "[[image:a", "[[image:a|1",
        "[[image:|thumb",
        "[http://", "[http://a", "[https://a ", "http://", "<", "<ref", "<ref ", "<ref>", "<REF>", "<ref/", "<!--",
        "<!-- ", "<!", "<b ", "<b", "</", "</ref", "</ref ", "&", "&a", "&#", "&#1", "'", "=", "<ref {", "<ref>{",
    )},
    "nested templates": "{{" * MANY + "}}" * MANY,
    "nested templates with text": "{{a" * MANY + "b}}" * MANY,
    "one long template": "{{" + "a" * MANY,
    "one long link": "[http://" + "a" * MANY,
    "one long link of words": "[http://" + "a " * MANY,
    "one long tag": "<b " + "a" * MANY,
    "one long reference": "<ref " + "/" * MANY,
    "one long name": "&" + "a" * MANY,
    "an end before the starts": "--></ref>]" + ("<!--" + "<ref>" + "[http://a ") * MANY,
    "spaces": " " * MANY + "<" + " " * MANY,
    "spaces in an end tag": "<ref>" * MANY + "</ref" + " " * MANY,
}  # fmt: skip


@pytest.mark.parametrize("text", CRAFTED.values(), ids=CRAFTED)
def test_crafted_markup_takes_about_linear_time(text):
    cleaned, _ = clean_text(text)
    assert len(cleaned) <= len(text)
    cmu_leads.normalised_title(text)
    mask_genre_words([text], ["Drama"])


def test_templates_are_removed_in_a_bounded_number_of_passes(monkeypatch):
    passes = []

    class Counting:
        def sub(self, replacement, text):
            passes.append(len(text))
            return template.sub(replacement, text)

    template = wiki_markup._TEMPLATE
    monkeypatch.setattr(wiki_markup, "_TEMPLATE", Counting())
    for depth in (10, 100, 1000):
        passes.clear()
        assert clean_text("a " + "{{b" * depth + "}}" * depth)[0].startswith("a")
        assert len(passes) <= 41
    assert clean_text("a" + "{{b" * 30 + "}}" * 30 + "c")[0] == "a c"


def test_a_title_of_brackets_takes_about_linear_time():
    assert cmu_leads.normalised_title("The (x" + "(" * MANY) == "x"
    assert cmu_leads.normalised_title("A (x)" + "(y" * MANY) == " ".join(["y"] * MANY)


START = '<REUTERS LEWISSPLIT="TRAIN" TOPICS="YES" NEWID="{}">'
CRAFTED_SGML = {
    **{ascii(sign): sign * MANY for sign in (
        "<REUTERS", "<REUTERS ", "<REUTERS>", "</REUTERS>", "<REUTERS></REUTERS>", "<", ">", "<REUTERS\n>",
        "<REUTERS a=",
    )},
    **{f"{sign} in a story": START.format(1) + sign * MANY + "</REUTERS>" for sign in (
        "<TOPICS>", "<TOPICS><D>", "<TEXT>", "<TEXT ", "<TEXT TYPE=", "<TOPICS></TOPICS><TEXT>", "&#", "&",
        "<TITLE>", "\x02",
    )},
    **{f"{sign} in a text": f"{START.format(1)}<TOPICS></TOPICS><TEXT>{sign * MANY}</TEXT></REUTERS>" for sign in (
        "<TITLE>", "<BODY>", "<TITLE></TITLE>", "<TEXT>", "&#1", "&#1;", "&lt", "&", "&a",
    )},
    "topics": START.format(1) + "<TOPICS>" + "<D>" * MANY + "</TOPICS><TEXT></TEXT></REUTERS>",
    "topics before their end": START.format(1) + "<TOPICS></D>" + "<D>" * MANY + "</TOPICS><TEXT></TEXT></REUTERS>",
    "an attribute's name": "<REUTERS " + "a" * MANY + ">" + "</REUTERS>",
    "attributes": "<REUTERS " + 'a="' * MANY + ">" + "</REUTERS>",
}  # fmt: skip


@pytest.mark.parametrize("text", CRAFTED_SGML.values(), ids=CRAFTED_SGML)
def test_crafted_stories_take_about_linear_time(text):
    for on_error in ("raise", "skip"):
        try:
            list(reuters.read_stories(text.encode("latin-1"), MalformedLines(on_error), "a.sgm"))
        except DataError as error:
            assert on_error == "raise" and re.match(r"a\.sgm, line \d+: ", str(error))


def test_many_malformed_stories_are_counted_in_linear_time():
    content = (START.format(1) + "\n" * 20 + "</REUTERS>\n") * 50_000
    bad = MalformedLines("skip")
    assert list(reuters.read_stories(content.encode(), bad, "a.sgm")) == []
    assert bad.skipped == 50_000


def stories(*changes: tuple[int, str, str]) -> dict[str, bytes]:
    """The synthetic stories after some replacements, (position from 0, old, new), in one file."""
    texts = [seed.decode() for seed in reuters_seeds("synthetic")]
    for position, old, new in changes:
        assert old in texts[position]
        texts[position] = texts[position].replace(old, new)
    return {"reut2-000.sgm": ("\n".join(texts) + "\n").encode("latin-1")}


@pytest.mark.parametrize(
    ("change", "line", "problem", "left"),
    [
        ((1, "</REUTERS>", ""), 10, "this story has no end tag </REUTERS>", ["1", "3", "4"]),
        ((1, "<REUTERS", "<BEUTERS"), 18, "this end tag </REUTERS> has no start tag", ["1", "3", "4"]),
        ((0, "<REUTERS", "<BEUTERS"), 9, "this end tag </REUTERS> has no start tag", ["2", "3", "4"]),
        ((1, 'NEWID="2"', 'NEWID="1"'), 10, "an earlier story has the same NEWID '1'", ["1", "3", "4"]),
        ((1, 'NEWID="2"', 'NEWID=""'), 10, "this story has no NEWID", ["1", "3", "4"]),
        ((1, "</TOPICS>", ""), 10, "this story has no <TOPICS>", ["1", "3", "4"]),
        ((1, "</TEXT>", ""), 10, "this story has no <TEXT>", ["1", "3", "4"]),
    ],
)
def test_a_broken_story_takes_no_other_with_it(change, line, problem, left):
    with pytest.raises(DataError) as error:
        reuters.read_reuters(stories(change), verify=False)
    assert str(error.value).startswith(f"reut2-000.sgm, line {line}: {problem}; ")
    corpus = reuters.read_reuters(stories(change), verify=False, on_error="skip")
    assert corpus.document_ids == left
    assert corpus.report["malformed_lines_skipped"] == 1


def test_a_number_that_comes_again_in_another_file_is_refused():
    files = stories() | {"reut2-001.sgm": stories()["reut2-000.sgm"]}
    with pytest.raises(DataError, match=r"^reut2-001\.sgm, line 1: an earlier story has the same NEWID '1'"):
        reuters.read_reuters(files, verify=False)


def test_characters_that_do_not_exist_and_topics_without_name():
    corpus = reuters.read_reuters(
        stories(
            (0, "It  said", "&#" + "9" * 5000 + "; &#xD800; &#55296; &#0; \x00\x85 said"),
            (0, "<D>earn", "<D> </D><D>earn"),
        ),
        verify=False,
    )
    check_corpus(corpus)
    assert corpus.texts[0] == "A <B> DEAL 1 \ufffd \ufffd said R&D."
    assert corpus.label_names == ["earn"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp037"])
def test_stories_in_another_encoding_are_refused(encoding):
    content = stories()["reut2-000.sgm"].decode("latin-1").encode(encoding)
    for on_error in ("raise", "skip"):
        with pytest.raises(DataError, match="no document"):
            reuters.read_reuters({"reut2-000.sgm": content}, on_error=on_error)


def test_lone_cr_and_crlf_change_no_story():
    plain = reuters.read_reuters(stories(), verify=False)
    for end in (b"\r\n", b"\r"):
        files = {name: content.replace(b"\n", end) for name, content in stories().items()}
        assert reuters.read_reuters(files, verify=False).fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("t.csv", b'1,A,"[""\\ud800""]"'),
        ("t.csv", b'1,A,"[3.5]"'),
        ("t.csv", b"1,A," + b"[" * 10_000),
        ("t.csv", b"1,\xed\xa0\x80,x"),
        ("t.csv", b"\xff,A,x"),
        ("t.csv", b"1,A"),
        ("t.csv", b"1,A,x,y"),
        ("t.jsonl", b'{"id": "\\ud800", "text": "A", "labels": ["x"]}'),
        ("t.jsonl", b'{"id": 1, "text": "A", "labels": ["\\udfff"]}'),
        ("t.jsonl", b'{"id": 1, "text": "\xed\xa0\x80", "labels": ["x"]}'),
        ("t.jsonl", b'{"id": ' + b"9" * 5000 + b', "text": "A", "labels": ["x"]}'),
        ("t.jsonl", b'{"id": NaN, "text": "A", "labels": ["x"]}'),
        ("t.jsonl", b"[" * 10_000),
        ("t.jsonl", b'{"text": "A", "labels": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
        ("t.jsonl", b"null"),
        ("t.jsonl", b"\0"),
        ("t.jsonl", b"\xff\xfe{\0}\0"),
    ],
)
def test_a_bad_row_is_named_or_skipped(tmp_path, name, bad):
    good = b"a,Good,y" if name == "t.csv" else b'{"id": "a", "text": "Good", "labels": ["y"]}'
    path = tmp_path / name
    path.write_bytes(b"\n".join([b"id,text,labels"] * (name == "t.csv") + [good, bad]))
    with pytest.raises(DataError, match=rf"{re.escape(name)}, line {3 if name == 't.csv' else 2}: ") as error:
        load_corpus(path)
    assert len(str(error.value)) < 400
    str(error.value).encode("utf-8")
    corpus = load_corpus(path, on_error="skip")
    assert (corpus.texts, corpus.report["malformed_lines_skipped"]) == (["Good"], 1)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_tables_in_another_encoding_are_refused(tmp_path, name, encoding):
    text = "id,text,labels\na,Good,y\n" if name == "t.csv" else '\n{"text": "Good", "labels": ["y"]}\n'
    (tmp_path / name).write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"line \d: ") as error:
        load_corpus(tmp_path / name)
    str(error.value).encode("utf-8")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_separators_inside_a_cell_end_no_row(tmp_path, end):
    path = tmp_path / "t.csv"
    text = "A\x0bb\x1cc\u2028d\u0085e"
    path.write_bytes(b"\xef\xbb\xbf" + end.join([b"text,labels", f'"{text}",x'.encode(), b'"f\ng",y']))
    assert load_corpus(path).texts == ["A b c d e", "f g"]
    if end != b"\r":
        path = tmp_path / "t.jsonl"
        path.write_bytes(json.dumps({"text": text, "labels": ["x"]}, ensure_ascii=False).encode() + end)
        assert load_corpus(path).texts == ["A b c d e"]


@pytest.mark.parametrize("text", ['"' * MANY, "," * MANY, "\\" * MANY, "a\n" * MANY, '""\n' * MANY, "a,b,c\n" * MANY])
def test_crafted_tables_take_about_linear_time(tmp_path, text):
    for name, header in (("t.csv", "id,text,labels\n"), ("t.jsonl", "")):
        (tmp_path / name).write_text(header + text)
        for on_error in ("raise", "skip"):
            with contextlib.suppress(DataError):
                check_corpus(load_corpus(tmp_path / name, on_error=on_error))


# The list of leads.

ENTRY = '{"title": "T", "year": 2001, "extract": "A lead."}'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "{",
        "3",
        '{"title": "T"}',
        "[3]",
        "[null]",
        "[[]]",
        "[{}]",
        '[{"title": 3, "year": 2001}]',
        '[{"title": "T", "year": "2001"}]',
        '[{"title": "T", "year": 2001, "extract": 3}]',
        '[{"title": "T", "year": 2001, "extract": "\\ud800"}]',
        "[" * 10_000,
        f"[{ENTRY}, " + "9" * 5000 + "]",
        "[\xff",
    ],
    ids=lambda content: ascii(content[:40]),
)
def test_a_list_of_leads_that_is_something_else(content):
    with pytest.raises(DataError, match=r"^movies-2000s\.json is not a JSON list of movies with .*; get the files"):
        cmu_leads.build_leads(SourceFile(cmu.METADATA_FILE, GOOD_ROW), {"movies-2000s.json": content.encode("latin-1")})


def test_leads_keep_the_ids_of_the_metadata():
    rows = [cmu_row(1, {"/m/1": "Drama"}).replace(b"1\t", movie_id + b"\t", 1) for movie_id in (b"10", b"007", b"9")]
    rows = [row.replace("Títle 1".encode(), b"T%d" % number) for number, row in enumerate(rows)]
    entries = [{"title": f"T{number}", "year": 2001, "extract": f"Lead {number}."} for number in range(3)]
    plots = cmu_leads.build_leads(SourceFile("metadata", b"\n".join(rows)), {"a.json": json.dumps(entries).encode()})
    assert plots == b"007\tLead 1.\n9\tLead 2.\n10\tLead 0.\n"
    assert cmu.read_cmu(b"\n".join(rows), plots).n_documents == 3


@quick
@given(st.text())
@example("{{" * 50 + "}}" * 50)
@example("a\ud800")
def test_cleaning_any_text(text):
    cleaned, had_markup = clean_text(text)
    assert cleaned == " ".join(cleaned.split())
    assert had_markup or cleaned == " ".join(text.split())


def test_counts_add_up_after_damage():
    report: Counter[str] = Counter()
    bad = MalformedLines("skip")
    rows = [GOOD_ROW, b"x", b"", b"\xff", cmu_row(1, {}), cmu_row(2, {})]
    movies = cmu.read_movies(SourceFile("metadata", b"\n".join(rows)), bad, report)
    assert report["metadata_lines"] == len(movies) + bad.skipped + report["movies_with_repeated_id"] == 5
