import gzip
import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from afl_helpers.data import load_corpus
from afl_helpers.data.reading import MalformedLines
from afl_helpers.data.sources import cmu, download
from afl_helpers.errors import DataError, MissingFileError, UsageError

needs_data = pytest.mark.skipif("AFL_DATA_DIR" not in os.environ, reason="AFL_DATA_DIR names no folder of real data")


def row(movie_id: str, genres: str, title: str = "T", released: str = "2001-08-24") -> str:
    return "\t".join([movie_id, "/m/1", title, released, "", "98.0", "{}", "{}", genres])


METADATA = "\n".join(
    [
        row("1", r'{"/m/1": "Drama", "/m/2": "Romance Film"}', title='The "Big" One'),
        row("2", r'{"/m/3": "Film \u00e0 clef", "/m/4": "Western", "/m/5": "Western"}'),  # one name, two ids
        row("3", "{}"),  # no genre
        row("4", '{"/m/1": " Drama "}'),
        row("4", '{"/m/9": "Horror"}'),  # a repeated id: the first counts
        row("5", '{"/m/1": "Drama"}'),  # no plot
        row("6", '{"/m/1": "Drama"}'),
        row("7", '{"/m/1": "Drama", "/m/8": ""}'),
    ]
)
PLOTS = "\n".join(
    [
        "4\t{{plot}} A  man\u2028walks\x85on. ",
        '1\tShe said:\t"no".',
        "99\tNo such movie.",
        "3\tA plot without a genre.",
        "1\tAgain.",
        "2\tTwo ids \\ one name.",
        "6\t   ",
        "7\t{{quote box}}",
        "",
    ]
)


def read(metadata: str = METADATA, plots: str = PLOTS, **options):
    return cmu.read_cmu(metadata.encode(), plots.encode(), **options)


def test_oddities_are_handled_and_counted():
    corpus = read()
    assert corpus.document_ids == ["4", "1", "2"]
    assert corpus.texts == ["A man walks on.", 'She said: "no".', "Two ids \\ one name."]
    assert corpus.label_names == ["Drama", "Film à clef", "Romance Film", "Western"]
    assert corpus.labels.tolist() == [[1, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert corpus.report == {
        "metadata_lines": 8,
        "movies_with_repeated_id": 1,
        "movies": 7,
        "movies_with_genre": 6,
        "movies_without_genre": 1,
        "genres_in_metadata": 5,
        "genre_names_under_several_ids": 1,
        "plot_lines": 8,
        "plots_with_repeated_id": 1,
        "plots_without_metadata": 1,
        "plots_joined": 6,
        "plots_without_genre": 1,
        "plots_with_genre": 5,
        "texts_with_markup_removed": 2,
        "texts_blank": 2,
        "movies_without_plot": 1,
        "malformed_lines_skipped": 0,
        "documents": 3,
        "labels": 4,
    }


def test_windows_line_ends_and_byte_order_mark_change_nothing():
    content = [b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for text in (METADATA, PLOTS)]
    assert cmu.read_cmu(*content).fingerprint == read().fingerprint


GOOD_METADATA, GOOD_PLOT = row("1", '{"/m/1": "Drama"}'), "1\tA plot."
MALFORMED_METADATA = [
    (b"1\t/m/1\tToo few", "expected 9 columns between tabs, found 3"),
    (row("x1", "{}").encode(), "expected a number as movie id, found 'x1'"),
    (row("2", '{"/m/1": "Dra').encode(), "expected a JSON object of genre names"),
    (row("2", '["Drama"]').encode(), "expected a JSON object of genre names"),
    (row("2", '{"/m/1": 3}').encode(), "expected a JSON object of genre names"),
    (b"2\t\xff", "byte 3 of the line is not UTF-8"),
]
MALFORMED_PLOTS = [
    (b"no tab", "found no tab"),
    (b"x\ttext", "expected a number as movie id, found 'x'"),
    (b"2\tcaf\xe9 noir", "byte 6 of the line is not UTF-8"),
]


@pytest.mark.parametrize(
    ("file", "line", "problem"),
    [(cmu.METADATA_FILE, *case) for case in MALFORMED_METADATA] + [(cmu.PLOTS_FILE, *case) for case in MALFORMED_PLOTS],
)
def test_a_malformed_line_is_named_or_skipped(file, line, problem):
    contents = {cmu.METADATA_FILE: GOOD_METADATA.encode(), cmu.PLOTS_FILE: GOOD_PLOT.encode()}
    contents[file] += b"\n\n" + line + b"\n"
    with pytest.raises(DataError) as error:
        cmu.read_cmu(contents[cmu.METADATA_FILE], contents[cmu.PLOTS_FILE])
    assert str(error.value).startswith(f"{file}, line 3: ") and problem in str(error.value)
    corpus = cmu.read_cmu(contents[cmu.METADATA_FILE], contents[cmu.PLOTS_FILE], on_error="skip")
    assert corpus.report["malformed_lines_skipped"] == 1
    assert corpus.texts == ["A plot."]


def test_an_empty_result_is_an_error():
    with pytest.raises(DataError, match="no document"):
        read(plots="99\tNo such movie.")
    with pytest.raises(UsageError, match="on_error"):
        read(on_error="ignore")


def write_layout(folder: Path, *, compressed: bool = False) -> None:
    folder.mkdir(parents=True)
    for name, text in ((cmu.METADATA_FILE, METADATA), (cmu.PLOTS_FILE, PLOTS)):
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / name).write_bytes(text.encode())


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_folders_and_archives_give_the_same_corpus(tmp_path):
    write_layout(tmp_path / "plain")
    write_layout(tmp_path / "nested" / "MovieSummaries")
    write_layout(tmp_path / "packed", compressed=True)
    files = {f"MovieSummaries/{cmu.METADATA_FILE}": METADATA.encode(), "MovieSummaries/README.txt": b"x",
             f"MovieSummaries/{cmu.PLOTS_FILE}.gz": gzip.compress(PLOTS.encode())}  # fmt: skip
    write_archive(tmp_path / "mine.tar.gz", files)
    corpora = [load_corpus(tmp_path / name) for name in ("plain", "nested", "packed", "mine.tar.gz")]
    assert {corpus.fingerprint for corpus in corpora} == {read().fingerprint}
    assert [corpus.name for corpus in corpora] == ["plain", "nested", "packed", "mine"]
    assert load_corpus(str(tmp_path / "plain")).fingerprint == read().fingerprint


def test_errors_name_the_file_in_its_archive(tmp_path):
    path = tmp_path / "mine.tar.gz"
    write_archive(path, {cmu.METADATA_FILE: METADATA.encode(), cmu.PLOTS_FILE: b"1\tGood.\nbad\n"})
    with pytest.raises(DataError, match=r"mine\.tar\.gz:plot_summaries\.txt, line 2"):
        load_corpus(path)


def test_missing_and_broken_files(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match=r"holds no movie\.metadata\.tsv"):
        load_corpus(tmp_path / "empty")
    (tmp_path / "cut.tar.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="not a complete"):
        load_corpus(tmp_path / "cut.tar.gz")
    write_layout(tmp_path / "cut", compressed=True)
    whole = (tmp_path / "cut" / "plot_summaries.txt.gz").read_bytes()
    (tmp_path / "cut" / "plot_summaries.txt.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match="not a complete gzip"):
        load_corpus(tmp_path / "cut")
    write_archive(tmp_path / "large.tar.gz", {cmu.METADATA_FILE: b"x" * 100})
    monkeypatch.setattr(download, "FILE_LIMIT_BYTES", 99)
    with pytest.raises(DataError, match="larger than 99 bytes"):
        load_corpus(tmp_path / "large.tar.gz")


@pytest.mark.parametrize("place", ["cmu", "cmu/MovieSummaries", "MovieSummaries"])
def test_cmu_is_found_in_the_data_folder(tmp_path, monkeypatch, place):
    write_layout(tmp_path / place)
    monkeypatch.setenv("AFL_DATA_DIR", str(tmp_path))
    with pytest.warns(UserWarning, match="not the published"):
        corpus = load_corpus("cmu")
    assert corpus.name == "cmu" and corpus.fingerprint == read().fingerprint


@needs_data
def test_real_metadata():
    report: Counter[str] = Counter()
    metadata = cmu.local_metadata(Path(os.environ["AFL_DATA_DIR"]))
    assert download.git_blob_hash(metadata.content) == cmu.GIT_BLOB_HASHES[cmu.METADATA_FILE]
    movies = cmu.read_movies(metadata, MalformedLines("raise"), report)
    assert len(movies) == 81_741
    assert (report["movies_with_genre"], report["movies_without_genre"]) == (79_447, 2_294)
    assert (report["genres_in_metadata"], report["genre_names_under_several_ids"]) == (363, 1)
    by_id = {movie.movie_id: movie for movie in movies}
    assert by_id["975900"] == cmu.Movie(
        "975900", "Ghosts of Mars", 2001,
        ("Thriller", "Science Fiction", "Horror", "Adventure", "Supernatural", "Action", "Space western"),
    )  # fmt: skip
    assert by_id["3196793"].title == "Getting Away with Murder: The JonBenét Ramsey Mystery"


@needs_data
def test_real_plots():
    folder = Path(os.environ["AFL_DATA_DIR"]) / "cmu"
    corpus = cmu.read_cmu(folder / "movie.metadata.tsv.gz", folder / "plot_summaries.first72.txt")
    assert (corpus.report["plot_lines"], corpus.report["plots_joined"], corpus.n_documents) == (72, 72, 71)
    assert corpus.report["plots_without_genre"] == 1
    for sign in ("{{", "}}", "[[", "<ref", "&mdash;", "&nbsp;", "http", "  "):
        assert not any(sign in text for text in corpus.texts), sign
    assert json.dumps(corpus.texts[0])[1:12] == "Shlykov, a "
