import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from afl_helpers.data import load_corpus
from afl_helpers.data.sources import cmu, cmu_leads, download
from afl_helpers.data.sources.download import SourceFile
from afl_helpers.data.sources.genre_words import FUNCTION_WORDS, MASK_WORD
from afl_helpers.errors import DataError, MissingFileError

needs_data = pytest.mark.skipif("AFL_DATA_DIR" not in os.environ, reason="AFL_DATA_DIR names no folder of real data")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("The Amélie (2001 film)", "amelie"),
        ("A  Trip -- to the Moon!", "trip to the moon"),
        ("Theatre", "theatre"),
        ("The Curtain Pole[1]", "curtain pole 1"),
        ("Æon", "on"),
        ("An", "an"),
    ],
)
def test_titles_are_normalised(title, expected):
    assert cmu_leads.normalised_title(title) == expected


def test_leads_are_joined_by_title_and_year():
    def movie(movie_id, title, released, genres='{"/m/1": "Drama"}'):
        return "\t".join([movie_id, "/m/1", title, released, "", "", "{}", "{}", genres])

    metadata = "\n".join(
        [
            movie("30", "The Same Year", "1950-03-01"),
            movie("20", "Year Before", "1949"),
            movie("10", "Year After", "1951"),
            movie("40", "Both Years", "1950"),
            movie("41", "Both Years", "1949"),
            movie("50", "Twins", "1950"),
            movie("51", "Twins", "1950-12-31"),
            movie("60", "No Genre", "1950", "{}"),
            movie("70", "Two Entries", "1950"),
            movie("80", "Claimed Twice", "1950"),
            movie("90", "No Date", ""),
            movie("95", "No Lead", "1950"),
        ]
    )
    titles = ["Same Year", "Year Before", "Year After", "Both Years", "Twins", "No Genre", "Two Entries",
              "Two Entries (film)", "Claimed Twice", "No Date", "Unknown"]  # fmt: skip
    entries = [{"title": title, "year": 1950, "extract": f"{title}  is\n a film."} for title in titles]
    entries += [{"title": "Claimed Twice", "year": 1951, "extract": "Another."}]
    entries += [{"title": "No Lead", "year": 1950, "extract": " "}, {"title": "No Lead", "year": 1950}]
    joined = cmu_leads.build_leads(
        SourceFile(cmu.METADATA_FILE, metadata.encode()), {"movies.json": json.dumps(entries).encode()}
    )
    assert joined.decode().splitlines() == [
        "10\tYear After is a film.",
        "20\tYear Before is a film.",
        "30\tSame Year is a film.",
        "40\tBoth Years is a film.",
    ]


def test_a_list_that_is_missing_or_not_the_published_one(tmp_path):
    (tmp_path / "movies-1900s.json").write_text("[]")
    with pytest.raises(MissingFileError, match="holds no movies-1910s.json"):
        cmu_leads.read_wikipedia(tmp_path)
    for name in cmu_leads.WIKIPEDIA_SHA256:
        (tmp_path / name).write_text("[]")
    with pytest.raises(DataError, match=r"movies-1900s\.json in .* has SHA-256 \w{64} instead of 5a42dfc3"):
        cmu_leads.read_wikipedia(tmp_path)


@pytest.fixture(scope="module")
def data_dir() -> Path:
    return Path(os.environ["AFL_DATA_DIR"])


@pytest.fixture(scope="module")
def leads():
    return load_corpus("cmu-leads")


@needs_data
def test_real_leads(leads):
    assert (leads.n_documents, leads.n_labels) == (19_075, 332)
    assert int((leads.label_counts >= 10).sum()) == 227
    assert leads.labels.sum() / leads.n_documents == pytest.approx(4.17, abs=0.005)
    assert leads.select_labels(min_count=10).n_labels == 227
    assert leads.report["plot_lines"] == leads.report["plots_joined"] == 19_075


@needs_data
def test_leads_built_from_their_sources_equal_the_archive(data_dir, tmp_path, monkeypatch, leads):
    built = cmu_leads.build_leads(
        cmu.local_metadata(data_dir),
        cmu_leads.read_wikipedia(data_dir / "wikipedia-movies" / "wikipedia-movie-data.tar.gz"),
    )
    with tarfile.open(data_dir / "cmu-leads" / "MovieSummaries.tar.gz") as tar:
        archived = tar.extractfile("MovieSummaries/plot_summaries.txt").read()
    assert built.count(b"\n") == 19_075
    assert built == archived

    # And through load_corpus, from a data folder without the archive: built once, then read from the cache.
    for name in ("cmu", "wikipedia-movies"):
        shutil.copytree(data_dir / name, tmp_path / "data" / name)
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "cache"))
    assert load_corpus("cmu-leads", data_dir=tmp_path / "data").fingerprint == leads.fingerprint
    assert [path.name for path in (tmp_path / "cache" / "cmu-leads").iterdir()] == [cmu.ARCHIVE]
    monkeypatch.setattr(cmu_leads, "build_leads", None)
    (tmp_path / "empty").mkdir()
    assert load_corpus("cmu-leads", data_dir=tmp_path / "empty").fingerprint == leads.fingerprint


@needs_data
def test_masked_leads_hold_no_genre_word(leads):
    masked = load_corpus("cmu-leads-masked")
    assert masked.document_ids == leads.document_ids and masked.label_names == leads.label_names
    assert np.array_equal(masked.labels, leads.labels)
    genre_words = {word for name in leads.label_names for word in re.findall("[a-z]{2,}", name.lower())}
    genre_words |= set("comedies comedic dramas dramatic westerns romantic musicals documentaries criminal".split())
    genre_words -= FUNCTION_WORDS
    left = genre_words & {word for text in masked.texts for word in re.findall(r"[^\W\d_]+", text.lower())}
    assert left == set()
    share = sum(MASK_WORD in text for text in masked.texts) / len(masked)
    assert share > 0.91


@needs_data
def test_real_split(leads):
    corpus = leads.select_labels(min_count=10)
    splits = corpus.split(0.8, 0.1, 0.1, seed=0)
    texts = [{" ".join(text.lower().split()) for text in split.texts} for split in splits]
    assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])
    assert sorted(i for split in splits for i in split.document_ids) == sorted(corpus.document_ids)
    assert splits[0].label_counts.min() >= 1
    shares = [len(split) / len(corpus) for split in splits]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.002)
    frequent = corpus.label_counts >= 100
    assert splits[2].label_counts[frequent] / corpus.label_counts[frequent] == pytest.approx(0.1, abs=0.02)


def test_the_cached_archive_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / cmu.ARCHIVE
    with pytest.raises(TypeError):
        cmu_leads._write_archive(path, {cmu.METADATA_FILE: b"x", cmu.PLOTS_FILE: None})
    assert list(path.parent.iterdir()) == []
    cmu_leads._write_archive(path, {cmu.METADATA_FILE: b"x", cmu.PLOTS_FILE: b"y"})
    assert download.read_members(path, cmu.GIT_BLOB_HASHES) == {cmu.METADATA_FILE: b"x", cmu.PLOTS_FILE: b"y"}
