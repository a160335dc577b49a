"""The command line and the profiles, as a user meets them."""

import dataclasses
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from afl_helpers import errors
from afl_helpers.__main__ import build_parser, main
from afl_helpers.chapters.profiles import PROFILES, active_profile
from afl_helpers.claims import CLAIMS, claims_table
from afl_helpers.commands.train import _splits
from afl_helpers.data import Corpus, load_corpus
from afl_helpers.errors import UsageError
from afl_helpers.studies import complete_results


def test_data_shows_counts_and_fingerprint(capsys):
    assert main(["data", "toy", "--top", "2"]) == 0
    out = capsys.readouterr().out
    assert "2,400 documents, 28 labels" in out and "movies_without_genre" in out and "Drama 1,117, Comedy 546" in out


def test_train_save_predict(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "cache"))
    table = tmp_path / "mine.csv"
    rows = [
        f'"{word} number {i}",{label}' for i in range(30) for word, label in (("a ship", "sea"), ("a horse", "land"))
    ]
    table.write_text("text,labels\n" + "\n".join(rows) + "\n")
    settings = [
        "--config",
        "encoder=tiny",
        "--config",
        "max_length=16",
        "--config",
        "epochs=2",
        "--config",
        "learning_rate=0.01",
    ]
    assert (
        main(
            [
                "train",
                str(table),
                "--loss",
                "focal",
                "--loss-param",
                "gamma=1.5",
                *settings,
                "--save",
                str(tmp_path / "m"),
            ]
        )
        == 0
    )
    assert "tuned_common" in capsys.readouterr().out
    assert main(["predict", str(tmp_path / "m"), "a ship number 7"]) == 0
    labels, text = capsys.readouterr().out.strip().split("\t")
    assert text == "a ship number 7" and set(labels.split("; ")) <= {"sea", "land", "(none)"}
    assert (
        main(["predict", str(tmp_path / "m"), "--rule", "tuned_common", "a ship", "a horse"]) == 0
    )  # texts behind an option
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == ["a ship", "a horse"]

    def labels(*options):
        assert main(["predict", str(tmp_path / "m"), "a ship number 7", *options]) == 0
        return set(capsys.readouterr().out.strip().split("\t")[0].split("; "))

    for rule in ("tuned_smoothed", "tuned_fbr", "tuned_common_posterior", "tuned_top_k"):
        assert labels("--rule", rule) <= {"sea", "land", "(none)"}
    assert labels("--threshold", "0") == {"sea", "land"} and labels("--threshold", "1") == {"(none)"}
    assert labels("--threshold", "sea=0", "--threshold", "land=1") == {"sea"}
    assert labels("--top-k", "2") == {"sea", "land"}
    for options, words in (
        (["--rule", "tuned_smooth"], "did you mean 'tuned_smoothed'"),
        (["--threshold", "sky=0.5"], "unknown label 'sky'"),
        (["--rule", "tuned_top_k", "--threshold", "sea=0.5"], "has no thresholds for the other labels"),
    ):
        assert main(["predict", str(tmp_path / "m"), "a ship", *options]) == 1
        assert words in capsys.readouterr().err


def test_train_says_what_it_leaves_out_and_how_much_there_is(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path / "cache"))
    table = tmp_path / "mine.csv"
    rows = [f"text number {i},{'often' if i else 'often|rare'}" for i in range(40)]
    table.write_text("text,labels\n" + "\n".join(rows) + "\nbroken\n")
    command = [
        "train",
        str(table),
        "--probe",
        "--config",
        "encoder=tiny",
        "--config",
        "epochs=1",
        "--config",
        "max_length=16",
    ]
    assert main(command) == 1
    assert "--skip-malformed" in capsys.readouterr().err
    assert main([*command, "--skip-malformed"]) == 0
    out = capsys.readouterr().out
    assert "1 of 2 labels are left out because they have fewer than 10 documents (--min-count): rare" in out
    assert "1 labels; documents: 32 train, 4 validation, 4 test" in out
    assert main([*command, "--skip-malformed", "--min-count", "50"]) == 1
    assert "a smaller --min-count" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, words",
    [
        (["--threshold", "1.5"], "--threshold '1.5' is outside"),
        (["--threshold", "sea=nan"], "--threshold 'sea=nan' is outside"),
        (["--threshold", "high"], "is neither a number nor LABEL=NUMBER"),
        (["--threshold", "0.3", "--threshold", "sea=0.5"], "pass one number, or only"),
    ],
)
def test_thresholds_are_checked_before_the_model_is_loaded(options, words, capsys, tmp_path):
    assert main(["predict", str(tmp_path), "a text", *options]) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


@pytest.mark.parametrize("command", [["study"], ["claims"]])
def test_without_studies_there_is_no_answer(command, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 1
    assert "--results" in capsys.readouterr().err


def test_an_unknown_option_is_an_error(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "model", "--rul", "tuned_common", "--fast", "text"])
    error = capsys.readouterr().err
    assert "afl_helpers predict: error: unrecognized arguments: " in error
    assert error.startswith("usage: python -m afl_helpers predict ")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["data", "imdb"], "cmu-leads-masked"),
        (["train", "toy", "--loss", "afll"], "did you mean 'afl'"),
        (["train", "toy", "--method", "tfidf", "--loss", "afll"], "did you mean 'afl'"),
        (["train", "toy", "--config", "epochs"], "NAME=VALUE"),
        (["train", "toy", "--config", "epoch=3"], "did you mean 'epochs'"),
        (["train", "nosuch"], "unknown corpus 'nosuch'"),
        (["train", "no/such.csv"], "no file or folder no/such.csv"),
        (["predict", "nowhere", "text"], "there is no folder nowhere"),
        (["predict", "tests", "text"], "afl_run.json"),
        (["study", "nowhere"], "study.yaml does not exist"),
        (["study", "frozen-losses", "--corpus", "cmu-lead"], "did you mean 'cmu-leads'"),
        (["study", "provenance", "--repeat", "toy--bce--seed9"], "toy--bce--seed9.json does not exist"),
    ],
)
def test_mistakes_end_in_one_sentence(arguments, words, capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parent.parent)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1


def test_a_folder_that_cannot_be_saved_to_is_refused_before_training(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep")
    assert main(["train", "toy", "--save", str(tmp_path)]) == 1
    assert "holds no saved run" in capsys.readouterr().err


def test_studies_are_listed(capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parent.parent)
    assert main(["study"]) == 0
    out = capsys.readouterr().out
    assert "provenance: 4 runs, 0 missing" in out and "frozen-losses: " in out


def test_claims_are_printed_one_per_line_and_in_detail(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    folder = tmp_path / "results"
    folder.mkdir()
    for study in ("tuned-to-the-end", "word-vectors"):  # one that decides claims, and one with runs that are missing
        (folder / study).symlink_to(Path(__file__).resolve().parent.parent / "results" / study)
    results, running = complete_results(folder)
    assert results and running
    table = claims_table(results)
    assert main(["claims", "--results", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(CLAIMS)]] == [claim.id for claim in CLAIMS]
    for line, row in zip(lines, table.itertuples()):
        assert f"{row.verdict}: {row.claim}" in line and row.effect in line and "\033" not in line
    assert len(lines) == len(CLAIMS) + len(running)

    monkeypatch.setenv("COLUMNS", "72")
    assert main(["claims", "--details", "c10", "--results", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "C10 The loss assigns more weight to rare classes" and max(map(len, lines)) <= 72
    out = " ".join(" ".join(lines).split())
    evidence = table.set_index("id").loc["C10", "evidence"]
    assert "The verdict: not reproduced, the equations, at p = 0.5" in out and " ".join(evidence.split()) in out

    assert main(["claims", "--details", "C15", "--results", str(folder)]) == 1
    assert "C15" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["claims", "--details", "C2", "--results", str(tmp_path / "empty")]) == 0
    assert "No study in blocks" in " ".join(capsys.readouterr().out.split())
    assert main(["claims", "--results", str(tmp_path / "nowhere")]) == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["train", "nosuch"], ["predict", "nosuch", "a text"], ["--help"]])
def test_torch_is_not_loaded_for_an_error_about_a_name(arguments):
    code = (
        "import contextlib, sys\nfrom afl_helpers.__main__ import main\n"
        f"with contextlib.suppress(SystemExit):\n    main({arguments})\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_missing_extra_is_one_sentence(monkeypatch, capsys):
    error = errors.MissingExtraError

    def missing(*args, **kwargs):
        raise error("reading corpora needs the extra 'data'; run: pip install 'afl-helpers[data]'")

    monkeypatch.setattr("afl_helpers.data.load_corpus", missing)
    assert main(["data", "toy"]) == 1
    assert capsys.readouterr().err.startswith("error: reading corpora needs")


def test_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "afl_helpers", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("data", "train", "predict", "study", "claims"))


def test_an_output_that_is_full_is_one_sentence():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "afl_helpers", "data", "toy"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: standard output could not be written (No space left on device); ")


def test_another_error_of_the_system_is_not_hidden(monkeypatch):
    def fail(args):
        raise OSError(28, "no room elsewhere")

    monkeypatch.setattr("afl_helpers.commands.data._data", fail)
    with pytest.raises(OSError, match="no room elsewhere"):
        main(["data", "toy"])


def test_help_shows_a_percent_sign_once():
    helps = [part.format_help() for part in build_parser()._subparsers._group_actions[0].choices.values()]
    assert len(helps) > 10 and any("95 % interval" in " ".join(text.split()) for text in helps)
    assert not any("%%" in text for text in helps)


def test_quick_is_the_default_profile(monkeypatch):
    monkeypatch.delenv("AFL_PROFILE", raising=False)
    assert active_profile() is PROFILES["quick"]


def test_unknown_profile_lists_the_valid_ones(monkeypatch):
    monkeypatch.setenv("AFL_PROFILE", "fast")
    with pytest.raises(UsageError, match="choose one of: full, quick"):
        active_profile()


def test_full_profile_says_at_once_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("AFL_PROFILE", "full")
    monkeypatch.setenv("AFL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("afl_helpers.chapters.profiles.has_network", lambda *args, **kwargs: False)
    monkeypatch.setattr("afl_helpers.training.encoders.has_network", lambda *args, **kwargs: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError) as raised:
        active_profile()
    message = str(raised.value)
    assert all(word in message for word in ("no GPU", "CMU plots", "bert-base-uncased", "AFL_PROFILE=quick"))
    assert "\n" not in message


def test_full_profile_has_the_settings_that_the_paper_states():
    config = PROFILES["full"].config
    assert (config.encoder, config.batch_size, config.learning_rate) == ("bert-base-uncased", 16, 2e-5)
    assert (config.schedule, config.warmup_steps, config.epochs) == ("cosine", 500, 100)


def test_data_reads_a_table_as_its_options_say(capsys, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("id;body;tags\n1;caf\xe9;x, y\n2;tea;x\n3;water;\n4;;x\n", encoding="cp1252")
    command = ["data", str(table), "--text", "body", "--labels", "tags"]
    assert main(command) == 1
    assert "it seems to be cp1252; save it as UTF-8, or pass --encoding cp1252" in capsys.readouterr().err
    assert main([*command, "--encoding", "cp1252", "--separator", ",", "--delimiter", ";"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "mine: 4 rows, 3 documents, 2 labels, 1.00 labels per document; 1 document without a label (kept)",
        "mine.csv: texts from 'body', labels from 'tags', ids from 'id'",
        "1 row of mine.csv with a blank text left out",
    ]
    assert lines[-1] == "labels: x 2, y 1"


def test_columns_by_number_and_a_file_of_names(capsys, tmp_path):
    (tmp_path / "a.tsv").write_text("one\t0\ntwo\t1\n")
    (tmp_path / "b.tsv").write_text("three\t2\n")
    (tmp_path / "names.txt").write_text("joy\nfear\nrage\n")
    files = [str(tmp_path / "a.tsv"), "--test", str(tmp_path / "b.tsv")]
    assert main(["data", *files, "--text", "0", "--labels", "1", "--label-names", str(tmp_path / "names.txt")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a: 3 rows, 3 documents, 3 labels, 1.00 labels per document; 0 documents without a label\n")
    assert "documents per split: train 2, test 1" in out
    assert "1 label only in other splits than train; the list of labels keeps them: 'rage'" in out
    assert "labels: joy 1, fear 1, rage 1" in out


def test_train_uses_the_given_splits():
    labels = [[1, place % 2] for place in range(40)]
    subset = ["train"] * 30 + ["test"] * 10
    corpus = Corpus("mine", [f"text {place}" for place in range(40)], labels, ["x", "y"], subset=subset)
    splits, how = _splits(corpus)
    assert [len(split) for split in splits] == [24, 6, 10]
    assert splits[2].document_ids == [str(place) for place in range(31, 41)]
    assert how == "train and test as given; 6 training documents for validation"
    given = dataclasses.replace(corpus, subset=["train"] * 25 + ["dev"] * 5 + ["test"] * 10)
    splits, how = _splits(given)
    assert [len(split) for split in splits] == [25, 5, 10] and how == "as given"
    with pytest.raises(UsageError, match="have no test documents"):
        _splits(dataclasses.replace(corpus, subset=["train"] * 40))
    splits, how = _splits(dataclasses.replace(corpus, subset=None))
    assert [len(split) for split in splits] == [32, 4, 4]


@pytest.mark.skipif(not os.environ.get("AFL_DATA_DIR"), reason="real data is needed: set AFL_DATA_DIR")
def test_train_does_not_train_on_the_test_stories_of_reuters():
    corpus = load_corpus("reuters").select_labels(min_count=10)
    official = {row_id for row_id, name in zip(corpus.document_ids, corpus.subset) if name == "test"}
    splits, how = _splits(corpus)
    assert set(splits[2].document_ids) == official and len(splits[1]) == 1000
    assert not official.intersection(splits[0].document_ids + splits[1].document_ids)
    assert how.startswith("train and test as given; 1,000")


def test_the_doctor_prints_what_may_change_a_number_and_no_folder(monkeypatch, capsys):
    monkeypatch.setenv("AFL_DATA_DIR", "/somebody/private")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("AFL_PROFILE", raising=False)
    assert main(["doctor", "--environment"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["torch"] == importlib.metadata.version("torch") and rows["python"] == platform.python_version()
    assert rows["OMP_NUM_THREADS"] == "3" and rows["AFL_DATA_DIR"] == "set" and "AFL_PROFILE" not in rows
    assert {"afl-helpers", "system", "commit", "device", "processor"} <= set(rows)
