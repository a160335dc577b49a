"""``train`` as a user meets it: its defaults, what it says about a run, and what it refuses before it trains."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afl_helpers.__main__ import build_parser, main
from afl_helpers.advice import DEFAULT_LOSS
from afl_helpers.data import load_corpus
from afl_helpers.errors import StorageError, UsageError, unknown_name
from afl_helpers.training import Head, ProbeConfig, check_save_folder, embed, fine_tune, load_predictor, probe

TINY = ["--config", "encoder=tiny", "--config", "max_length=16"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of 60 documents with two labels, and a cache of its own."""
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "mine.csv"
    rows = [f"{word} number {i},{label}" for i in range(30) for word, label in (("a ship", "sea"), ("a horse", "land"))]
    path.write_text("text,labels\n" + "\n".join(rows) + "\n")
    return str(path)


def test_the_default_loss_is_what_the_evidence_favours():
    for function in (fine_tune, probe):
        assert inspect.signature(function).parameters["loss"].default == DEFAULT_LOSS
    assert Head().loss == build_parser().parse_args(["train"]).loss == DEFAULT_LOSS


def test_train_says_whether_the_run_converged_and_what_is_saved(table, tmp_path, capsys):
    model = str(tmp_path / "model")
    command = ["train", table, "--probe", *TINY, "--save", model]
    assert main([*command, "--config", "epochs=2"]) == 0
    out = capsys.readouterr().out
    assert "\nnot converged: training ended at its cap of 2 epochs, and the best epoch, " in out
    assert "is too recent to tell; the metrics above may still change" in out and "(--config epochs=4)" in out
    assert "\naverage precision: micro " in out and out.count("(default of predict)\n") == 1
    [default] = [line for line in out.splitlines() if line.endswith("(default of predict)")]
    assert default.split()[0] == "tuned_proportional"
    assert f"saved to {model}: a head, without its encoder; to predict, a machine also needs the encoder 'tiny'" in out
    assert "test has only 6 documents" in out
    before = load_predictor(model).predict_scores(["a ship"])

    assert main(command) == 1  # nothing is trained, and the earlier model stays
    assert "holds a saved run; choose another folder, or replace it with --force" in capsys.readouterr().err
    np.testing.assert_array_equal(load_predictor(model).predict_scores(["a ship"]), before)
    assert main([*command, "--force", "--config", "epochs=200", "--config", "learning_rate=0.01"]) == 0
    out = capsys.readouterr().out
    assert "\nconverged: the average precision on validation rose no more after epoch " in out
    assert "; F1 at a threshold may still change\n" in out
    assert np.abs(load_predictor(model).predict_scores(["a ship"]) - before).max() > 0.01


@pytest.mark.parametrize(
    "options, words",
    [
        (["--seed", "9" * 23], "seed is 9"),
        (["--seed", "-1"], "seed is -1; pass a whole number from 0 to 4294967295"),
        (["--probe", "--checkpoints", "somewhere"], "keeps no checkpoints; leave out --checkpoints"),
        (["--min-count", "0"], "--min-count is 0; pass a whole number from 1"),
        (["--save", "/proc/nosuch/model"], "/proc/nosuch/model could not be written"),
        (["--loss", "AFL"], "did you mean 'afl'"),
    ],
)
def test_what_cannot_work_is_refused_before_training(options, words, table, capsys, monkeypatch):
    monkeypatch.setattr("afl_helpers.training.probing.embed", lambda *a, **k: pytest.fail("trained"))
    assert main(["train", table, *options]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_seed_that_is_too_large_is_refused_in_python(parts):
    for seed in (2**32, -1, 1.5, True):
        with pytest.raises(UsageError, match="pass a whole number from 0 to 4294967295"):
            probe(*parts, config=ProbeConfig(encoder="tiny"), seed=seed)


def test_a_folder_to_save_to_is_tried_and_left_as_it_was(tmp_path):
    assert check_save_folder(tmp_path / "new" / "model") == tmp_path / "new" / "model"
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="name another folder"):
        check_save_folder(tmp_path / "file" / "model")


def test_labels_without_a_test_document_are_named(tmp_path, capsys):
    path = tmp_path / "mine.csv"
    lines = ["text,labels,split"]
    for part, n in (("train", 20), ("validation", 6), ("test", 4)):
        for i in range(n):
            lines.append(f"a ship number {i},sea,{part}")
            lines.append(f"a horse number {i},{'land' if part == 'test' else 'land|falconry'},{part}")
    path.write_text("\n".join(lines) + "\n")
    options = ["--split-column", "split", "--method", "tfidf", "--config", "min_count=1"]
    assert main(["train", str(path), *options, "--save", str(tmp_path / "model")]) == 0
    out = capsys.readouterr().out
    told = "1 label has no test document (falconry): its F1 counts as 0 in macro F1, and macro average precision leaves it out\n"
    assert told in out
    metrics = json.loads((tmp_path / "model" / "afl_run.json").read_text())["metrics"]["test"]["at_0.5"]
    assert metrics["n_labels_without_positives"] == 1  # two of three labels are found without a mistake
    assert metrics["f1_macro"] == pytest.approx(2 / 3) and metrics["average_precision_macro"] == 1


@pytest.mark.parametrize("name", [".", "./", "..", ""])
def test_the_folder_that_one_is_in_is_refused_before_training(name, table, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("afl_helpers.training.baselines.tfidf", lambda *a, **k: pytest.fail("trained"))
    (tmp_path / "new" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "new" / "deeper" if name == ".." else tmp_path / "new")
    assert main(["train", table, "--method", "tfidf", "--save", name, "--force"]) == 1
    error = capsys.readouterr().err
    assert "is the folder that you are in, or above it; name another, such as " in error and error.count("\n") == 1


def test_a_link_to_a_folder_stays_a_link(table, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    command = ["train", table, "--method", "tfidf", "--config", "min_count=1", "--save", str(tmp_path / "link")]
    for options in ([], ["--force"]):
        assert main([*command, *options]) == 0
    assert {path.name for path in tmp_path.iterdir()} <= {"cache", "link", "mine.csv", "model"}
    assert (tmp_path / "link").is_symlink() and load_predictor(tmp_path / "model").label_names


def test_a_table_in_the_folder_of_the_model_is_not_lost(table, tmp_path, capsys):
    model = tmp_path / "model"
    command = ["train", "--method", "tfidf", "--config", "min_count=1", "--save", str(model)]
    assert main([*command, table]) == 0
    inside = Path(table).rename(model / "mine.csv")
    assert main([*command, str(inside), "--force"]) == 1
    assert "would be replaced, and holds the table that is read; choose another folder" in capsys.readouterr().err
    assert inside.is_file()


def test_without_a_cache_folder_texts_are_embedded_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "good"))
    expected = embed(["a text"], "tiny", 16, progress=False)["a text"]
    (tmp_path / "file").write_text("")  # a folder cannot be made below a file, not even by root
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="embeddings cannot be kept in .*; set AFL_CACHE_DIR"):
        np.testing.assert_array_equal(embed(["a text"], "tiny", 16, progress=False)["a text"], expected)


def test_a_cache_that_fills_up_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path))

    def full(*arguments, **options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("afl_helpers.training.embedding.np.save", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert embed(["a text"], "tiny", 16, progress=False)["a text"].shape == (128,)
    assert [path.suffix for path in (tmp_path / "embeddings").iterdir()] in ([], [".lock"])


def test_jobs_below_one_are_refused(capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parent.parent)
    assert main(["study", "frozen-losses", "--jobs", "0", "--dry-run"]) == 1
    assert "--jobs is 0; pass at least 1" in capsys.readouterr().err


def test_an_output_that_cannot_hold_a_character_gets_its_code(tmp_path):
    (tmp_path / "mine.csv").write_text("text,labels\nha,😂\nho,é\n", encoding="utf-8")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "afl_helpers", "data", str(tmp_path / "mine.csv")]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert rb"\U0001f602 1" in done.stdout and rb"\xe9 1" in done.stdout


def test_a_name_in_other_letters_is_suggested():
    assert "did you mean 'afl'?" in str(unknown_name("loss", "AFL", ["afl", "bce"]))
    assert "did you mean 'Drama'?" in str(unknown_name("label", "drama", ["Drama", "Comedy"]))


@pytest.mark.parametrize(
    "options, words",
    [
        (["--probe"], "nothing was kept but embeddings"),
        ([], "with --checkpoints FOLDER"),
        (["--checkpoints", "kept"], "from the last epoch in kept"),
    ],
)
def test_a_stopped_run_says_how_to_go_on(options, words, capsys, monkeypatch):
    def stop(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("afl_helpers.commands.train._train", stop)
    assert main(["train", "toy", *options]) == 130
    error = capsys.readouterr().err
    assert error.startswith("stopped; ") and words in error and error.count("\n") == 1


def test_train_reads_as_much_of_a_text_as_the_doctor_says(table, capsys):
    assert main(["train", table, "--config", "encoder=tiny", "--config", "epochs=1"]) == 0
    out = capsys.readouterr().out
    assert "\nfine_tune: tiny, 1 epochs, learning rate 0.0002\n" in out and "longer than" not in out
    doctor = build_parser().parse_args(["doctor", table])
    assert doctor.max_length == ProbeConfig().max_length

    long = table.replace("mine", "long")
    Path(long).write_text(Path(table).read_text().replace("number", "number " * 10))
    for method in ("fine_tune", "probe"):
        short = ["--config", "encoder=tiny", "--config", "max_length=8", "--config", "epochs=1"]
        assert main(["train", long, "--method", method, *short]) == 0
        assert (
            " are longer than 8; what comes after is not read. If the labels depend on the end"
            in capsys.readouterr().out
        )


def test_splits_that_cannot_be_trained_on_say_why():
    train = load_corpus("toy").select_labels(top=2).select_documents(range(40))
    with pytest.raises(UsageError, match="test is None; pass a Corpus"):
        probe(train, train, None)
