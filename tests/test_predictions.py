"""Decisions out: what a saved model predicts, how it is written, evaluated, tuned anew and explained."""

import csv
import dataclasses
import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from afl_helpers.__main__ import main
from afl_helpers.commands.predictions import Writer
from afl_helpers.data import Corpus, CorpusWarning, load_corpus
from afl_helpers.data.texts import lines_of, names_table, read_texts
from afl_helpers.errors import DataError, MissingFileError, UsageError
from afl_helpers.evaluation import DEFAULT_RULE, THRESHOLD_RULES, TopK, evaluate, fit_thresholds
from afl_helpers.training import ProbeConfig, TrainingConfig, fine_tune, load_predictor, probe
from afl_helpers.training.baselines import TfidfConfig, tfidf
from afl_helpers.training.explanation import integrated_gradients
from afl_helpers.training.report import align_labels

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def run(parts):
    return tfidf(*parts, config=TfidfConfig(min_count=1), progress=False)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    return run.save(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def predictor(folder):
    return load_predictor(folder)


class TestSavedWordCounts:
    def test_it_predicts_as_before(self, run, predictor, parts):
        np.testing.assert_allclose(predictor.predict_scores(parts[2].texts), run.scores["test"], atol=1e-7)
        for rule in THRESHOLD_RULES:
            assert predictor.predict(parts[2].texts, rule) == run.predict(parts[2].texts, rule)

    def test_its_folder_holds_no_pickle(self, folder):
        assert {path.name for path in folder.iterdir()} == {"afl_run.json", "words.json", "weights.safetensors"}

    def test_it_keeps_the_counts_of_training(self, predictor, parts):
        assert predictor.label_counts.tolist() == parts[0].label_counts.tolist()
        assert predictor.n_documents == len(parts[0]) and predictor.gamma is None

    def test_broken_files_are_one_sentence(self, run, tmp_path):
        path = run.save(tmp_path / "model")
        words = json.loads((path / "words.json").read_text())
        (path / "words.json").write_text(json.dumps(words | {"features": words["features"][1:]}))
        with pytest.raises(DataError, match=r"cannot be loaded \(weights has shape .* get or save it again"):
            load_predictor(path)
        (path / "words.json").unlink()
        with pytest.raises(DataError, match="cannot be loaded"):
            load_predictor(path)

    def test_a_retuned_model_is_saved_with_its_thresholds(self, predictor, folder, parts, tmp_path):
        tuned = predictor.retune(parts[1].select_documents(range(20)))
        again = load_predictor(tuned.save(tmp_path / "tuned"))
        for rule, value in tuned.thresholds.items():
            np.testing.assert_array_equal(again.thresholds[rule], value)
        np.testing.assert_array_equal(again.predict_scores(parts[2].texts), predictor.predict_scores(parts[2].texts))
        before, after = (json.loads((path / "afl_run.json").read_text()) for path in (folder, tmp_path / "tuned"))
        assert after.pop("retuned_on")["documents"] == 20 and "metrics" not in after
        assert {name for name in after if after[name] != before[name]} == {"thresholds"}
        assert after.keys() == before.keys() - {"metrics"}

    def test_a_model_that_was_not_loaded_says_how_to_save_it(self, run, tmp_path):
        with pytest.raises(UsageError, match=r"save its run with run\.save"):
            run.predictor.save(tmp_path / "model")

    def test_gamma_is_kept_for_the_rules_on_posteriors(self, parts, tmp_path):
        config = ProbeConfig(encoder="tiny", max_length=16, epochs=1)
        saved = probe(*parts, loss="afl", config=config, progress=False)
        loaded = load_predictor(saved.save(tmp_path / "probe"))
        np.testing.assert_array_equal(loaded.gamma, saved.gamma)
        retuned = loaded.retune(parts[1])
        np.testing.assert_array_equal(load_predictor(retuned.save(tmp_path / "tuned")).gamma, saved.gamma)
        again = retuned.thresholds["tuned_common_posterior"]
        np.testing.assert_allclose(again, saved.thresholds["tuned_common_posterior"], atol=1e-5)


class TestPredict:
    def test_the_default_is_the_rule_that_the_book_recommends(self, predictor, parts):
        assert DEFAULT_RULE == "tuned_proportional"
        assert predictor.predict(parts[2].texts) == predictor.predict(parts[2].texts, "tuned_proportional")

    def test_top_k_gives_every_text_the_same_number(self, predictor, parts):
        scores = predictor.predict_scores(parts[2].texts)
        found = predictor.predict(parts[2].texts, thresholds=TopK(2))
        names = predictor.label_names
        assert found == [[names[c] for c in np.argsort(-row, kind="stable")[:2]] for row in scores]

    @pytest.mark.parametrize(
        "texts, words",
        [
            ([None], r"texts\[0\] is None; pass a string, or ''"),
            (["a", float("nan")], r"texts\[1\] is nan"),
            ([b"a"], r"texts\[0\] is b'a'"),
            ([("a", "b")], r"texts\[0\] is \('a', 'b'\)"),
            (["\ud83d"], r"texts\[0\] holds half a surrogate pair"),
            ("a text", "one string"),
            (5, "texts is of type int"),
        ],
    )
    def test_what_is_no_text_is_named(self, predictor, texts, words):
        with pytest.raises(UsageError, match=words):
            predictor.predict(texts)

    def test_any_iterable_of_strings_will_do(self, predictor):
        texts = ["a car chase", "", "love"]
        expected = predictor.predict(texts)
        assert len(expected) == 3
        for same in (iter(texts), np.array(texts), pd.Series(texts), tuple(texts)):
            assert predictor.predict(same) == expected

    def test_a_data_frame_keeps_rows_ids_and_index(self, predictor):
        frame = pd.DataFrame({"body": ["a car chase", "", "love"]}, index=[7, 3, 9])
        found = predictor.predict_frame(frame["body"], ids=["x", "x", "z"], thresholds=0.0, scores=True)
        assert found.index.tolist() == [7, 3, 9] and found["id"].tolist() == ["x", "x", "z"]
        assert found.columns.tolist() == ["id", "text", "labels", *predictor.label_names]
        assert [set(labels) for labels in found["labels"]] == [set(predictor.label_names)] * 3
        np.testing.assert_array_equal(found[predictor.label_names], predictor.predict_scores(frame["body"]))
        with pytest.raises(UsageError, match="ids has 1 entries for 2 texts"):
            predictor.predict_frame(["a", "b"], ids=["x"])


class TestEvaluate:
    def test_metrics_are_those_of_the_run(self, run, predictor, parts):
        report = predictor.evaluate(parts[2])
        for rule, metrics in run.metrics["test"].items():
            assert report.metrics[rule] == pytest.approx(metrics, nan_ok=True), rule
        assert report.rules().loc["at_0.5", "f1_micro"] == report.metrics["at_0.5"]["f1_micro"]
        table = report.by_label()
        assert table["label"].tolist() == parts[0].label_names and table["support"].sum() == parts[2].labels.sum()
        with pytest.raises(UsageError, match="no thresholds of rule 'tuned'"):
            report.by_label("tuned")

    def test_labels_are_aligned_by_name_and_unknown_ones_counted(self, predictor, parts):
        names = predictor.label_names
        labels = [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
        corpus = Corpus("other", ["a", "b", "c"], labels, [names[2], "odd", names[0]])
        aligned = align_labels(corpus, names)
        assert aligned.targets.tolist() == [[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
        assert aligned.unknown == {"odd": 1} and aligned.absent == [names[1], names[3]]
        report = predictor.evaluate(corpus)
        assert "1 label is unknown to the model and left out (documents that carry it): 'odd' (1)" in str(report)
        expected = evaluate(aligned.targets, predictor.predict_scores(corpus.texts), 0.5)
        assert report.metrics["at_0.5"]["f1_micro"] == expected["f1_micro"]
        with pytest.raises(UsageError, match="none of the model's labels: it has 'x', and the model has"):
            predictor.evaluate(Corpus("other", ["a"], [[1]], ["x"]))
        with pytest.raises(UsageError, match="write them in the case of the model's"):
            predictor.evaluate(Corpus("other", ["a"], [[1]], [names[0].swapcase()]))
        with pytest.raises(UsageError, match="no documents"):
            predictor.evaluate(corpus.select_documents([]))

    def test_thresholds_are_set_anew_by_every_rule(self, predictor, parts):
        tuned = predictor.retune(parts[2])
        scores = predictor.predict_scores(parts[2].texts)
        expected = fit_thresholds(parts[2].labels, scores, parts[0].label_counts / len(parts[0]))
        assert tuned.thresholds.keys() == expected.keys() == THRESHOLD_RULES.keys()
        for rule, value in expected.items():
            np.testing.assert_array_equal(tuned.thresholds[rule], value)
        wanted = np.rint(parts[0].label_counts / len(parts[0]) * len(parts[2]))
        assert (scores >= tuned.thresholds["tuned_proportional"]).sum(0).tolist() == wanted.tolist()
        assert predictor.thresholds is not tuned.thresholds
        with pytest.raises(UsageError, match="without the training counts"):
            dataclasses.replace(predictor, label_counts=None).retune(parts[2])

    def test_labels_that_the_model_does_not_know_are_said_or_refused(self, predictor, parts):
        names = predictor.label_names
        corpus = Corpus("other", ["a", "b", "c"], [[1, 0, 1], [1, 1, 0], [0, 0, 0]], [names[2], "odd", names[0]])
        with pytest.warns(CorpusWarning, match=r"other: 1 label is unknown to the model and left out .*'odd' \(1\)"):
            tuned = predictor.retune(corpus)
        targets = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
        expected = fit_thresholds(
            targets, predictor.predict_scores(corpus.texts), parts[0].label_counts / len(parts[0])
        )
        np.testing.assert_array_equal(tuned.thresholds["tuned_common"], expected["tuned_common"])
        joined = [f"{names[0]}; {names[1]}", f"{names[2]}; {names[0]}", "odd", names[3]]
        corpus = Corpus("other", ["a", "b", "c"], [[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1]], joined)
        with pytest.raises(UsageError, match="does not know 4 of the 5 labels that the documents of 'other'") as raised:
            predictor.retune(corpus)
        assert all(repr(name) in str(raised.value) for name in joined[:3])
        assert str(raised.value).endswith("or say what separates them in a cell (separator=';')")
        assert raised.value.command_line.endswith("in a cell (--separator ';')")


class TestExplain:
    def test_word_counts_are_exact(self, predictor, parts):
        """Against the weights and an own TF-IDF: 1 + ln(count), times idf, at unit length."""
        text = parts[2].texts[0]
        [found] = predictor.explain(text, predictor.label_names[1])
        features = predictor.vectorizer.get_feature_names_out().tolist()
        counts = TfidfVectorizer(ngram_range=(1, 2), use_idf=False, norm=None, vocabulary=features).fit_transform(
            [text]
        )
        raw = {c: (1 + np.log(n)) * predictor.vectorizer.idf_[c] for c, n in zip(counts.indices, counts.data)}
        length = np.sqrt(sum(value**2 for value in raw.values()))
        expected = {features[c]: value / length * predictor.weights[1, c] for c, value in raw.items()}
        assert dict(found.words) == pytest.approx(expected, abs=1e-9) and len(expected) > 20
        score = predictor.predict_scores([text])[0, 1]
        assert found.start + sum(dict(found.words).values()) == pytest.approx(np.log(score / (1 - score)), abs=1e-9)
        assert found.start == predictor.bias[1]
        frame = found.to_frame()
        assert frame.columns.tolist() == ["label", "word", "contribution"]
        assert frame["contribution"].abs().is_monotonic_decreasing and len(frame) == len(expected)

    def test_by_default_the_predicted_labels_are_explained_or_the_likeliest(self, predictor, parts):
        text = parts[2].texts[0]
        assert [found.label for found in predictor.explain(text)] == predictor.predict([text])[0]
        best = predictor.label_names[int(predictor.predict_scores([text])[0].argmax())]
        assert [found.label for found in predictor.explain(text, thresholds=1.0)] == [best]
        with pytest.raises(UsageError, match="unknown label 'Dramma'"):
            predictor.explain(text, "Dramma")
        for blank in ("", " \n"):
            with pytest.raises(UsageError, match="the text is blank"):
                predictor.explain(blank, predictor.label_names[0])

    @pytest.mark.parametrize("method", ["probe", "fine_tune"])
    def test_gradients_of_an_encoder_add_up_to_the_difference(self, method, parts):
        if method == "probe":
            config = ProbeConfig(encoder="tiny", max_length=16, epochs=20, learning_rate=0.01)
            trained = probe(*parts, loss="bce", config=config, progress=False)
        else:
            config = TrainingConfig(encoder="tiny", max_length=16, epochs=1, learning_rate=1e-3)
            trained = fine_tune(*parts, loss="bce", config=config, progress=False)
        text = "Thunderstruck cowboys ride; unbelievably, a kiss. " * 3
        scores = trained.predictor.predict_scores([text])[0]
        for label, found in enumerate(trained.predictor.explain(text, parts[0].label_names)):
            assert found.label == parts[0].label_names[label]
            assert found.log_odds == pytest.approx(np.log(scores[label] / (1 - scores[label])), abs=1e-4)
            assert sum(value for _, value in found.words) == pytest.approx(found.log_odds - found.start, abs=2e-3)
            assert found.start != pytest.approx(found.log_odds, abs=1e-6)
        words = [word for word, _ in found.words]
        assert words[:3] == ["Thunderstruck", "cowboys", "ride"] and len(words) < 16  # the pieces of a word are joined

    def test_the_gradient_is_that_of_a_model_that_is_known(self):
        """Of a sum of embeddings, w x, the contribution of a token is w (x - baseline), whatever the path."""

        class Linear(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = torch.nn.Embedding(10, 3)
                self.weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0, 0.5]]))

            def get_input_embeddings(self):
                return self.embedding

            def forward(self, input_ids, attention_mask):
                return self.embedding(input_ids).sum(1) @ self.weight.T

        class Encoded(dict):
            def word_ids(self):
                return [None, 0, 0, 1, None]

        def tokenizer(text, **options):
            return Encoded(
                input_ids=[1, 4, 5, 6, 2],
                special_tokens_mask=[1, 0, 0, 0, 1],
                offset_mapping=[(0, 0), (0, 2), (2, 4), (5, 7), (0, 0)],
            )

        tokenizer.pad_token_id = 0
        model = Linear()
        [(end, start, words)] = integrated_gradients(model, tokenizer, "abcd ef", 8, [0], n_steps=3)
        value = (model.embedding.weight @ model.weight[0]).tolist()
        assert [word for word, _ in words] == ["abcd", "ef"]
        assert [found for _, found in words] == pytest.approx(
            [value[4] + value[5] - 2 * value[0], value[6] - value[0]], abs=1e-5
        )
        assert end == pytest.approx(sum(value[i] for i in (1, 4, 5, 6, 2)), abs=1e-5)
        assert start == pytest.approx(value[1] + 3 * value[0] + value[2], abs=1e-5)


class TestReadTexts:
    ROWS = [("7", "one\ntwo"), ("7", ""), ("9", 'a "quoted", text')]

    def write(self, folder, ending):
        frame = pd.DataFrame(self.ROWS, columns=["id", "body"])
        path = folder / f"new{ending}"
        if ending in (".csv", ".tsv", ".csv.gz"):
            frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
        elif ending == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_json(path, orient="records", lines=ending == ".jsonl")
        return path

    @pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".tsv", ".jsonl", ".json", ".parquet"])
    def test_every_row_of_every_table_comes_in(self, tmp_path, ending):
        found = read_texts(self.write(tmp_path, ending))
        assert found.texts == ["one two", "", 'a "quoted", text'] and found.ids == ["7", "7", "9"]
        assert found.n_blank == 1

    def test_columns_are_named_or_numbered(self, tmp_path):
        path = tmp_path / "new.csv"
        path.write_text("a,text,b\nx,y,z\n")
        assert read_texts(path).texts == ["y"] and read_texts(path, text="b").texts == ["z"]
        assert read_texts(path, text=0).texts == ["a", "x"] and read_texts(path, text=0).ids == ["1", "2"]
        with pytest.raises(UsageError, match="text names an unknown column 'c'"):
            read_texts(path, text="c")
        path.write_text("a,b\nx,y\n")
        with pytest.raises(DataError, match="cannot tell which one holds the texts"):
            read_texts(path)

    def test_lines_of_a_text_file(self, tmp_path):
        path = tmp_path / "new.txt"
        path.write_bytes(b"\xef\xbb\xbfone\r\n\r\ntwo, three\n")
        assert read_texts(path).texts == ["one", "", "two, three"] and read_texts(path).ids == ["1", "2", "3"]
        assert lines_of(b"a\n\n", "x").texts == ["a", ""] and lines_of(b"", "x").texts == []

    @pytest.mark.parametrize(
        "name, content, words",
        [
            ("a.csv", "id,text\n1,x\n2\n", "line 3: expected 2 columns, found 1; correct the line, since none may be"),
            ("a.jsonl", '{"text": "x"}\n{"text": 5}\n', "line 2: expected a string under 'text', found '5'"),
            ("a.jsonl", '{"text": "x"}\n{"body": 5}\n', "line 2: expected a string under 'text', found nothing"),
            ("a.jsonl", '{"text": "\\ud83d"}\n', "line 1: half a surrogate pair"),
        ],
    )
    def test_a_row_that_cannot_be_read_is_never_skipped(self, tmp_path, name, content, words):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=words) as raised:
            read_texts(tmp_path / name)
        assert "skip" not in raised.value.command_line

    def test_a_text_is_told_from_the_name_of_a_table(self, tmp_path):
        (tmp_path / "a b.csv").write_text("text\nx\n")
        assert names_table(str(tmp_path / "a b.csv")) and not names_table("I saw a.csv") and not names_table("a text")
        with pytest.raises(MissingFileError, match=r"there is no file a\.csv"):
            names_table("a.csv")


@pytest.mark.parametrize("names", [["a", "b c"], ["a|b", "c"], ["[x", "y"], [" a", "b"]])
def test_rows_of_csv_are_read_back_as_they_were(tmp_path, names):
    labels = [[names[0]], [], [names[1], names[0]], [names[1]]]
    path = tmp_path / "out.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = Writer(file, "csv", names, with_ids=True, with_scores=True)
        writer.write(["1", "2", "3", "4"], [""] * 4, labels, np.full((4, 2), 0.123456789))
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"] and rows[0][f"score:{names[0]}"] == "0.123457"
    frame = pd.DataFrame({"text": ["p", "q", "r", "s"], "labels": [row["labels"] for row in rows]})
    corpus = Corpus.from_frame(frame)
    # The reader takes blanks around a label for an accident.
    assert corpus.to_frame()["labels"].map(set).tolist() == [{name.strip() for name in row} for row in labels]


class TestCommands:
    @pytest.fixture
    def table(self, tmp_path, parts):
        frame = parts[2].to_frame()
        frame["labels"] = frame["labels"].map("|".join)
        frame.loc[1, "text"] = ""
        frame.to_csv(tmp_path / "new.csv", index=False)
        return tmp_path / "new.csv"

    def test_a_table_goes_in_and_a_table_comes_out(self, folder, predictor, table, tmp_path, capsys):
        read = read_texts(table)
        expected = predictor.predict(read.texts)
        assert main(["predict", str(folder), str(table), "--output", str(tmp_path / "out.csv"), "--scores"]) == 0
        captured = capsys.readouterr()
        assert captured.out == "" and "1 text is blank" in captured.err and "earlier row" not in captured.err
        out = pd.read_csv(tmp_path / "out.csv", dtype={"id": str, "labels": str}, keep_default_na=False)
        assert out["id"].tolist() == read.ids
        assert [labels.split("|") if labels else [] for labels in out["labels"]] == expected
        scores = out[[f"score:{name}" for name in predictor.label_names]]
        np.testing.assert_allclose(scores, predictor.predict_scores(read.texts), rtol=1e-5)

        assert main(["predict", str(folder), str(table), "--format", "jsonl", "--top-k", "1"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [row["id"] for row in rows] == read.ids and all(len(row["labels"]) == 1 for row in rows)
        assert main(["predict", str(folder), str(table)]) == 0
        assert capsys.readouterr().out.splitlines()[0] == "id,labels"  # the output is no terminal
        assert main(["predict", str(folder), str(table), "--format", "plain", "--scores", "--threshold", "0"]) == 0
        first = capsys.readouterr().out.splitlines()[0].split("\t")
        assert first[0] == read.ids[0] and first[1].count("(0.") == 4 and first[2] == read.texts[0]

    def test_repeated_ids_are_counted(self, folder, tmp_path, capsys):
        (tmp_path / "new.csv").write_text("id,text\n7,a\n8,b\n7,c\n7,a\n")
        assert main(["predict", str(folder), str(tmp_path / "new.csv")]) == 0
        captured = capsys.readouterr()
        assert [row["id"] for row in csv.DictReader(io.StringIO(captured.out))] == ["7", "8", "7", "7"]
        assert "2 rows have an id that an earlier row has; all rows are kept, in their order\n" in captured.err

    def test_standard_input_loses_no_line(self, folder, monkeypatch, capsys):
        def given(content):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))

        given("\ufeffcafé\n\n  two\twords \n".encode())
        assert main(["predict", str(folder), "--top-k", "1"]) == 0
        assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == ["café", "", "two words"]
        given(b"ok\nCaf\xe9\n")
        assert main(["predict", str(folder)]) == 1
        error = capsys.readouterr().err
        assert "standard input, line 2" in error and "--encoding cp1252" in error and error.count("\n") == 1
        given(b"ok\nCaf\xe9\n")
        assert main(["predict", str(folder), "--encoding", "cp1252"]) == 0
        assert capsys.readouterr().out.splitlines()[1].endswith("\tCafé")

    def test_an_output_without_emoji_gets_their_number(self, folder, monkeypatch):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        assert main(["predict", str(folder), "so funny \U0001f602", "--top-k", "1"]) == 0
        sys.stdout.flush()
        assert raw.getvalue().endswith(b"\tso funny \\U0001f602\n")

    @pytest.mark.parametrize(
        "options, words",
        [
            (["new.csv", "--output", "."], "is a folder; name a file"),
            (["new.csv", "--output", "new.csv"], "is the table that is read"),
            (["new.csv", "--output", "out.xlsx"], "cannot write out.xlsx; name a file that ends in .csv, .jsonl, "),
            (["new.csv", "--output", "out"], "or pass --format"),
            (["a text", "--text", "body"], "pass its file"),
            (["a text", "--ids", "film"], "pass its file"),
            (["a text", "--top-k", "0"], "--top-k is 0"),
            (["a text", "--top-k", "1", "--rule", "at_0.5"], "--top-k goes with neither"),
            (["gone.csv"], "there is no file gone.csv"),
            (["a text", "--tune", "gone.csv"], "no file or folder gone.csv"),
        ],
    )
    def test_mistakes_end_in_one_sentence(self, folder, table, options, words, monkeypatch, capsys):
        monkeypatch.chdir(table.parent)
        assert main(["predict", str(folder), *options]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and words in error and error.count("\n") == 1

    @pytest.mark.parametrize(
        "command, option",
        [
            *(("predict", option) for option in ("", "--label-names", "--tune")),
            *(("doctor", option) for option in ("", "--label-names", "--validation", "--test")),
            *(("evaluate", option) for option in ("", "--label-names", "--tune", "--validation", "--test")),
        ],
    )
    def test_a_file_that_is_read_is_not_written(self, folder, table, command, option, monkeypatch, capsys):
        monkeypatch.chdir(table.parent)
        other = table.with_name("other.csv")
        other.write_bytes(table.read_bytes())
        (table.parent / "link.csv").symlink_to(other if option else table)
        model = [] if command == "doctor" else [str(folder)]
        output = ["--html" if command == "doctor" else "--output", "link.csv"]
        assert main([command, *model, "new.csv", *([option, "other.csv"] if option else []), *output]) == 1
        what = f"the file of {option}" if option else "the table"
        assert capsys.readouterr().err == (
            f"error: link.csv is {what} that is read; name another file for the output\n"
        )
        assert other.read_bytes() == table.read_bytes()

    def test_standard_input_is_not_written(self, folder, tmp_path, monkeypatch, capsys):
        path = tmp_path / "new.txt"
        path.write_text("a car chase\n")
        with open(path) as file:
            monkeypatch.setattr(sys, "stdin", file)
            assert main(["predict", str(folder), "--output", str(path)]) == 1
        assert "is read from standard input; name another file" in capsys.readouterr().err
        assert path.read_text() == "a car chase\n"

    def test_an_empty_argument_is_a_blank_text(self, folder, capsys):
        assert main(["predict", str(folder), "a car chase", "", "--top-k", "1"]) == 0
        captured = capsys.readouterr()
        assert [line.split("\t")[1] for line in captured.out.splitlines()] == ["a car chase", ""]
        assert "1 text is blank" in captured.err

    def test_evaluate_refuses_labels_that_were_not_separated(self, folder, predictor, tmp_path, capsys):
        """Metrics over the few documents with one label would be printed for all."""
        one, other, *_ = predictor.label_names
        rows = [f'text {i},"{one}, {other}"' for i in range(20)] + [f"text {i},{one}" for i in range(20, 30)]
        table = tmp_path / "comma.csv"
        table.write_text("\n".join(["text,labels", *rows, ""]), encoding="utf-8")
        assert main(["evaluate", str(folder), str(table)]) == 1
        assert "does not know 20 of the 30 labels" in (error := capsys.readouterr().err) and "--separator ," in error

    def test_evaluate_prints_the_report_of_a_table(self, folder, predictor, table, tmp_path, capsys):
        frame = pd.read_csv(table, keep_default_na=False)
        frame.loc[0, "labels"] = "odd|" + frame.loc[0, "labels"]
        frame.to_csv(table, index=False)
        command = ["evaluate", str(folder), str(table)]
        assert main([*command, "--threshold", "0.3", "--output", str(tmp_path / "labels.csv")]) == 0
        out = capsys.readouterr().out
        corpus = load_corpus(table)
        assert "1 row of new.csv with a blank text left out" in out and "'odd' (1)" in out
        aligned = align_labels(corpus, predictor.label_names)
        expected = evaluate(aligned.targets, predictor.predict_scores(corpus.texts), 0.3)
        [line] = [line for line in out.splitlines() if line.startswith("own thresholds")]
        assert line.split()[2:4] == [f"{expected['f1_micro']:.4f}", f"{expected['f1_macro']:.4f}"]
        saved = pd.read_csv(tmp_path / "labels.csv")
        assert saved["label"].tolist() == predictor.label_names and saved["f1"].mean() == pytest.approx(
            expected["f1_macro"]
        )
        assert main([*command, "--tune", str(table)]) == 0
        tuned = predictor.retune(corpus).evaluate(corpus).metrics["tuned_common"]["f1_micro"]
        [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("tuned_common ")]
        assert line.split()[1] == f"{tuned:.4f}"
        assert main([*command, "--output", "labels.xlsx"]) == 1
        assert "cannot write labels.xlsx; name a file that ends in .csv" in capsys.readouterr().err
        assert main(["evaluate", str(folder)]) == 1
        assert "name a table after the model" in capsys.readouterr().err

    def test_evaluate_saves_the_thresholds_that_it_tuned(self, folder, predictor, table, tmp_path, capsys):
        command = ["evaluate", str(folder), str(table), "--save", str(tmp_path / "tuned")]
        assert main(command) == 1
        assert "pass --tune FILE with it" in capsys.readouterr().err
        assert main([*command, "--tune", str(table), "--threshold", "0.3"]) == 0
        assert capsys.readouterr().out.endswith(f"saved to {tmp_path / 'tuned'}\n")
        expected, again = predictor.retune(load_corpus(table)), load_predictor(tmp_path / "tuned")
        assert again.thresholds.keys() == expected.thresholds.keys()
        for rule, value in expected.thresholds.items():
            np.testing.assert_array_equal(again.thresholds[rule], value)
        assert main([*command, "--tune", str(table)]) == 1
        assert "replace it with --force" in capsys.readouterr().err
        assert main([*command, "--tune", str(table), "--force"]) == 0

    @pytest.mark.parametrize("command", ["predict", "evaluate", "explain"])
    def test_a_table_to_tune_on_is_read_as_the_options_say(self, folder, predictor, parts, command, tmp_path, capsys):
        frame = parts[2].to_frame().rename(columns={"text": "Inhalt", "labels": "Marken"})
        frame = frame[frame["Marken"].map(len) > 1].reset_index(drop=True)
        frame["Marken"] = frame["Marken"].map(", ".join)
        frame.loc[0, "Inhalt"] += " Caf\xe9"
        frame.loc[0, "Marken"] += ", odd"
        path = tmp_path / "excel.csv"
        frame.to_csv(path, index=False, sep=";", encoding="cp1252", errors="replace")
        options = {"text": "Inhalt", "labels": "Marken", "encoding": "cp1252", "delimiter": ";", "separator": ","}
        with pytest.warns(CorpusWarning, match="unknown to the model"):
            tuned = predictor.retune(load_corpus(path, **options))
        given = [part for name, value in options.items() for part in (f"--{name}", value)]
        arguments = [command, str(folder), "a car chase" if command == "explain" else str(path), "--tune", str(path)]
        assert main([*arguments, *given]) == 0
        captured = capsys.readouterr()
        assert "1 label is unknown to the model and left out (documents that carry it): 'odd' (1)" in captured.err
        if command == "predict":
            found = [row["labels"] for row in csv.DictReader(io.StringIO(captured.out))]
            texts = read_texts(path, text="Inhalt", encoding="cp1252").texts
            assert found == ["|".join(labels) for labels in tuned.predict(texts)]
        assert main([*arguments, *given[:-2]]) == 1  # without the separator
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: the model does not know ") and error.endswith("(--separator ,)")

    def test_of_given_splits_the_test_documents_are_evaluated(self, folder, table, capsys):
        frame = pd.read_csv(table, keep_default_na=False).drop(index=1)
        frame["split"] = ["train", "test"] * (len(frame) // 2) + ["test"] * (len(frame) % 2)
        frame.to_csv(table, index=False)
        assert main(["evaluate", str(folder), str(table), "--split-column", "split"]) == 0
        out = capsys.readouterr().out
        assert "evaluated on the given test documents alone" in out
        assert f"\n{(frame['split'] == 'test').sum()} documents, 4 labels\n" in out

    def test_word_counts_are_trained_saved_and_used(self, table, tmp_path, capsys):
        command = ["train", str(table), "--min-count", "3", "--method", "tfidf"]
        assert main([*command, "--loss", "afl"]) == 1
        assert "tfidf has its own loss" in capsys.readouterr().err
        assert main([*command, "--config", "epochs=3"]) == 1
        assert "unknown field of TfidfConfig" in capsys.readouterr().err
        options = ["--config", "classifier=linear_svm", "--config", "min_count=1"]
        assert main([*command, *options, "--save", str(tmp_path / "m")]) == 0
        assert "tuned_proportional" in capsys.readouterr().out
        assert load_predictor(tmp_path / "m").vectorizer.ngram_range == (1, 2)
        assert main(["predict", str(tmp_path / "m"), "a car chase"]) == 0
        assert capsys.readouterr().out.endswith("\ta car chase\n")

    def test_explain_shows_the_strongest_words(self, folder, predictor, capsys):
        text = "a car chase and a wedding"
        assert main(["explain", str(folder), text, "--label", predictor.label_names[0], "--top", "2"]) == 0
        lines = capsys.readouterr().out.splitlines()
        [found] = predictor.explain(text, predictor.label_names[0])
        sum_of = f"{found.start:+.3f} without words {found.log_odds - found.start:+.3f} by words"
        assert lines[0].startswith(f"{found.label}: log odds {found.log_odds:+.3f} = {sum_of}; ")
        assert lines[1:] == [f"  {value:+.3f}  {word}" for word, value in found.strongest(2)]

    @pytest.mark.parametrize(
        "options, state",
        [
            (["--threshold", "0.5"], "{} because its threshold lies at +0.000"),
            (["--threshold", "0"], "predicted, because its threshold lies at -inf"),
            (["--threshold", "1"], "not predicted, because its threshold lies at +inf"),
            (["--top-k", "4"], "predicted"),
        ],
    )
    def test_explain_says_whether_a_label_is_predicted(self, folder, predictor, options, state, capsys):
        label = predictor.label_names[0]
        assert main(["explain", str(folder), "a car chase and a wedding", "--label", label, *options]) == 0
        line = capsys.readouterr().out.splitlines()[0]
        above = float(line.split()[3]) >= 0
        assert line.split("; ")[1] == state.format("predicted," if above else "not predicted,")
