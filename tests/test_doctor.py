"""The doctor finds what was planted in a table, and nothing else."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afl_helpers.__main__ import main
from afl_helpers.advice import DEFAULT_LOSS, DEFAULT_RULE
from afl_helpers.data import Corpus, load_corpus
from afl_helpers.doctor import Finding, draft_study, examine, render_page, write_study
from afl_helpers.doctor.evidence import evidence, gains_of, kept_share
from afl_helpers.doctor.finding import excerpt, named, percent, worst_first
from afl_helpers.doctor.near_duplicates import nearly_equal, same_words
from afl_helpers.doctor.texts import misread_utf8
from afl_helpers.errors import UsageError
from afl_helpers.evaluation import THRESHOLD_RULES
from afl_helpers.losses import LOSSES
from afl_helpers.results import read_study

ROOT = Path(__file__).resolve().parent.parent
#: What every corpus is told.
ALWAYS = {"counts", "imbalance", "tuned_thresholds", "advice", "lengths"}
WORDS = [
    f"{first}{second}" for first in "b d f g k l m n p r s t".split() for second in "ala ero imi onu uta esk".split()
]


def texts(n, seed=0, length=20):
    """Texts of random words, no two of them alike."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, length)) for _ in range(n)]


def kinds(findings, severity=None):
    return {finding.kind for finding in findings if severity in (None, finding.severity)}


def by_kind(findings):
    return {finding.kind: finding for finding in findings}


@pytest.fixture(scope="module")
def sound():
    """A corpus without faults: 2,000 documents, four labels."""
    rng = np.random.default_rng(1)
    labels = rng.random((2000, 4)) < [0.6, 0.5, 0.4, 0.3]
    return Corpus("sound", texts(2000), labels, ["billing", "login", "refund", "shipping"])


def test_nothing_is_to_fix_or_to_check_in_a_sound_corpus(sound):
    findings = examine(sound)
    assert kinds(findings, "fix") == kinds(findings, "check") == set()
    assert kinds(findings) == {*ALWAYS, "unlabelled"}


# --- a table with many faults ---------------------------------------------------------------------------------------


def planted_rows():
    """Rows of id, text, labels, split, and the faults in them by kind."""
    rng = np.random.default_rng(2)
    rows = []
    for number, text in enumerate(texts(1500, seed=3)):
        labels = [name for name, rate in (("billing", 0.5), ("login", 0.3), ("refund", 0.2)) if rng.random() < rate]
        split = ("train", "train", "train", "validation", "test")[number % 5]
        rows.append([str(number), text, ["ticket", *labels], split])
    planted = {"labels_everywhere"}  # "ticket"

    def plant(kind, place, *, text=None, add=(), labels=None, split=None, row_id=None):
        planted.add(kind)
        row = rows[place]
        row[0] = row_id or row[0]
        row[1] = row[1] if text is None else text
        row[2] = [*row[2], *add] if labels is None else labels
        row[3] = split or row[3]

    for place in range(0, 40):
        plant("labels_always_together", place, add=["urgent", "now"], split="train" if place < 30 else "test")
    plant("joined_labels", 40, labels=["ticket", "billing; refund"])
    plant("joined_labels", 41, labels=["ticket", "login; billing"])
    for place in range(42, 55):
        plant("similar_labels", place, add=["Log-in", "log in"][place % 2 : place % 2 + 1])
    plant("missing_as_label", 55, labels=["ticket", "nan"])
    plant("leftover_signs", 56, labels=["ticket", "'login'"])
    plant("too_rare_to_learn", 57, add=["fraud"])
    for place, split in [*((place, "train") for place in range(60, 72)), (72, "test")]:
        plant("too_rare_to_test", place, add=["legal"], split=split)
    for place in (74, 79):
        assert rows[place][3] == "test"
        plant("labels_not_in_train", place, add=["recall"])
    plant("repeated_texts", 80, text=rows[85][1].upper() + "!", labels=rows[85][2], split=rows[85][3])
    plant("conflicting_labels", 90, text=rows[95][1], labels=["ticket", "login", "refund"], split=rows[95][3])
    rows[95][2] = ["ticket", "billing"]
    words = rows[105][1].split()
    plant("nearly_equal_texts", 100, text=" ".join([*words[:-1], "another"]), split=rows[105][3])
    plant("leakage_test", 109, text=rows[110][1], labels=rows[110][2], split="test")
    words = rows[111][1].split()
    plant("leakage_validation", 118, text=" ".join([*words[:9], "else", *words[10:]]), split="validation")
    plant("misread_encoding", 121, text=rows[121][1] + " cafÃ© â€™s")
    plant("lost_characters", 122, text=rows[122][1] + " caf\ufffd")
    plant("control_characters", 123, text=rows[123][1] + " \x07 bell")
    plant("markup", 124, text="<p>" + rows[124][1] + "<br/>new line &amp; more</p>")
    plant("texts_blank", 125, text=" ")
    plant("repeated_ids", 126, row_id="7")
    for place in range(130, 150):
        plant("short_texts", place, text=f"ok {place}")
    for place in range(200, 400):
        plant("lengths", place, text=" ".join(texts(1, seed=place, length=200)))
    plant("malformed_lines_skipped", 127)
    return rows, planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The table's path, and the kinds of its faults."""
    rows, found = planted_rows()
    path = tmp_path_factory.mktemp("planted") / "tickets.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "labels", "split"])
        for number, (row_id, text, labels, split) in enumerate(rows):
            writer.writerow([row_id, text, "|".join(labels), split, *(["one cell too many"] if number == 127 else [])])
    return path, found


@pytest.mark.filterwarnings("ignore::afl_helpers.data.CorpusWarning")
def test_all_planted_faults_are_found_and_no_other(planted):
    path, faults = planted
    corpora = load_corpus(path, split_column="split", on_error="skip")
    findings = examine(corpora)
    found = kinds(findings) - (ALWAYS - {"lengths"})
    assert found == faults | {"labels_not_in_test"} and len(faults) >= 20
    one = by_kind(findings)
    assert {kind for kind in faults if one[kind].severity == "fix"} == {
        *("joined_labels", "similar_labels", "missing_as_label", "leftover_signs", "labels_not_in_train"),
        *("leakage_test", "leakage_validation", "misread_encoding", "lost_characters", "texts_blank"),
        "malformed_lines_skipped",
    }
    assert one["leakage_test"].sentence.startswith(
        "1 test document is in training, too: 1 with the same words, 0 nearly"
    )
    assert one["leakage_validation"].sentence.startswith("1 validation document is in training, too: 0 with the same")
    assert one["misread_encoding"].examples[0].startswith("'Ã©' for 'é' in ")
    assert one["labels_always_together"].examples == ("'now' and 'urgent'",)
    assert one["joined_labels"].examples == ("'billing; refund' (1)", "'login; billing' (1)")
    assert one["conflicting_labels"].sentence == "1 text stands several times, with different labels."
    # Rows 80, 90 and 109 repeat an earlier or later text.
    assert one["repeated_texts"].sentence.startswith("3 documents have the words of an earlier one")
    assert one["nearly_equal_texts"].sentence.startswith("2 texts differ from another one")
    assert [finding.severity for finding in findings] == sorted(
        (finding.severity for finding in findings), key=["fix", "check", "note"].index
    )
    for finding in findings:
        assert finding.sentence.endswith(".") and "\n" not in finding.sentence and 0 <= finding.share <= 1


def test_the_command_prints_the_findings_worst_first_and_writes_page_and_study(planted, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    path, _ = planted
    page, study = tmp_path / "page.html", tmp_path / "results" / "tickets" / "study.yaml"
    command = ["doctor", str(path), "--split-column", "split", "--skip-malformed"]
    assert main([*command, "--html", str(page), "--study", str(study)]) == 0
    out = capsys.readouterr().out
    assert out.index("TO FIX") < out.index("TO CHECK") < out.index("GOOD TO KNOW") < out.index("HOW IT WAS READ")
    assert out.startswith("tickets: 1,499 rows, 1,498 documents")
    assert max(map(len, out[: out.index("HOW IT WAS READ")].splitlines()[1:])) <= 90
    assert "1 test document is in training, too" in out and f"{study}: a study of 20 runs" in out
    html = page.read_text(encoding="utf-8")
    assert "<b>" not in html and "&lt;p&gt;" in html and "To fix" in html and "official_split" in html
    assert main([*command, "--study", str(study)]) == 1
    assert "exists already" in capsys.readouterr().err


# --- one fault at a time --------------------------------------------------------------------------------------------


def test_a_separator_that_was_not_split(sound):
    names = ["Crime, Drama", "Drama", "Crime", "Comedy, Drama", "Comedy"]
    labels = np.eye(5, dtype=int)[np.arange(600) % 5]
    corpus = Corpus("films", texts(600), labels, names)
    finding = by_kind(examine(corpus))["separator"]
    assert finding.severity == "fix" and "separated by ','" in finding.sentence and "--separator ','" in finding.advice
    assert "separator" not in kinds(examine(corpus, separator=""))


def test_names_with_a_slash_or_a_comma_of_their_own_are_not_doubted(sound):
    for names in (
        ["Action", "Adventure", "Action/Adventure", "Children's"],
        ["Gay, Lesbian", "Gay", "Drama", "Directors’"],
        ["a (b)", "'Tis", '"Weird Al" songs', "[sic]"],
    ):
        assert kinds(examine(replace(sound, label_names=names)), "fix") == set()


@pytest.mark.parametrize(
    "labels, names, kind",
    [
        (np.eye(4, dtype=int)[np.arange(400) % 4], ["a", "b", "c", "d"], "one_label_each"),
        (
            np.eye(4, dtype=int)[np.arange(400) % 4] * (np.arange(400) < 100)[:, None],
            ["a", "b", "c", "d"],
            "unlabelled",
        ),
        (np.eye(4, dtype=int)[np.arange(400) % 3], ["a", "b", "c", "d"], "labels_without_document"),
        (np.eye(4, dtype=int)[np.arange(40) % 4], ["a", "b", "c", "d"], "few_documents"),
    ],
)
def test_counts_that_are_to_be_checked(labels, names, kind):
    corpus = Corpus("mine", texts(len(labels)), labels, names)
    assert by_kind(examine(corpus))[kind].severity == "check"


def test_labels_without_names():
    corpus = Corpus("mine", texts(400), np.eye(4, dtype=int)[np.arange(400) % 4], ["0", "1", "2", "3"])
    assert by_kind(examine(corpus))["numbers_as_labels"].severity == "note"


def test_an_empty_corpus_and_unfit_splits_are_refused(sound):
    with pytest.raises(UsageError, match="has no document"):
        examine(sound.select_documents([]))
    with pytest.raises(UsageError, match="'part-1' is no split"):
        examine({"part-1": sound})
    with pytest.raises(UsageError, match="different lists of labels"):
        examine({"train": sound, "test": replace(sound, label_names=["a", "b", "c", "d"])})
    with pytest.raises(UsageError, match="did you mean 'minilm'"):
        examine(sound, encoder="minilmm")


def test_splits_given_apart_are_examined_together(sound):
    train, test = sound.select_documents(range(1500)), sound.select_documents(range(1490, 2000))
    findings = by_kind(examine({"train": train, "test": test}))
    assert findings["leakage_test"].sentence.startswith("10 test documents are in training, too")
    assert findings["counts"].sentence.startswith("There are 2,010 documents and 4 labels")


def test_a_sparse_corpus_is_examined_alike(sound):
    from scipy import sparse

    assert examine(replace(sound, labels=sparse.csr_array(sound.labels))) == examine(sound)


def test_without_the_tokenizer_lengths_are_estimated(sound, monkeypatch):
    def missing(name):
        from afl_helpers.errors import MissingFileError

        raise MissingFileError("not installed")

    monkeypatch.setattr("afl_helpers.training.encoders.load_tokenizer", missing)
    assert "estimated: 1.3 per word" in by_kind(examine(sound))["lengths"].sentence


# --- near duplicates ------------------------------------------------------------------------------------------------


def test_nearly_equal_is_what_the_exact_comparison_says():
    """Pairs with known similarity, beside the Jaccard index computed from sets of pairs of words."""
    rng = np.random.default_rng(0)
    base = texts(60, seed=5, length=60)
    changed = []
    for n_changed, text in zip(np.arange(60) % 12, base):
        words = text.split()
        for place in rng.choice(60, n_changed, replace=False):
            words[place] = "other"
        changed.append(" ".join(words))
    groups = nearly_equal([*base, *changed])
    for i, (one, other) in enumerate(zip(base, changed)):
        pairs = [set(zip(words, words[1:])) for words in (one.split(), other.split())]
        similarity = len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1])
        assert (groups[i] == groups[60 + i]) == (similarity >= 0.8), similarity
    assert len(set(groups[:60].tolist())) == 60


def test_short_texts_are_alike_only_if_their_words_are():
    groups = nearly_equal(["order number 7", "order number 8", "Order number 7!", "😀", "😀 ", "🙃"])
    assert groups[0] == groups[2] != groups[1] and groups[3] != groups[5]
    assert same_words(["a b", "A, b", "ab"]).tolist() == [0, 0, 1]
    assert nearly_equal([]).size == 0


def test_accents_that_are_meant_are_not_doubted():
    for text in ("Ångström", "CAÇÃO", "«É» ÀÉ", "naïve café", "Москва", "日本語", "𝄞 😀 …", "É» È» ’"):
        assert misread_utf8(text) is None, text
    for text in ("caf\u00e9 \u2019s", "Москва", "Ångström", "10 €"):
        for encoding in ("cp1252", "latin-1"):
            try:
                misread = text.encode("utf-8").decode(encoding)
            except UnicodeError:
                continue
            assert misread_utf8(misread) is not None, misread


# --- evidence and study ---------------------------------------------------------------------------------------------


def test_the_evidence_is_that_of_the_recorded_runs():
    runs = [run for run in read_study("frozen-encoder", ROOT / "results") if run.setting == "bce"]
    for corpus, rules in evidence()["rules"].items():
        own = [run for run in runs if run.data.corpus == corpus]
        assert len(own) == 10
        for rule, metrics in rules.items():
            for name, value in metrics.items():
                recorded = np.mean([run.metrics["test"][rule][name] for run in own])
                assert abs(recorded - value) <= 0.00005 + 1e-12
    survival = evidence()["survival"]
    # Every label of every run with a validation document is in one group.
    assert sum(row["labels"] for row in survival) <= sum(run.data.n_labels for run in runs)
    assert [row["validation_positives_from"] for row in survival] == [1, 3, 6, 11, 31, 101]
    assert all(0 < row["f1_test"] < row["f1_validation"] < 1 for row in survival)


def test_more_validation_documents_keep_more_of_a_tuned_threshold():
    shares = kept_share([0, 1, 2, 3, 30, 31, 100, 101, 5000])
    assert np.isnan(shares[0]) and np.all(np.diff(shares[1:]) >= 0) and 0.6 < shares[1] < 0.7 and shares[-1] > 0.98
    assert shares[1] == shares[2] < shares[3] and shares[4] < shares[5] == shares[6] < shares[7] == shares[8]


def test_the_advice_names_what_exists_and_agrees_with_the_evidence():
    assert DEFAULT_LOSS in LOSSES and DEFAULT_RULE in THRESHOLD_RULES
    for rival in ("tuned_common", "tuned_per_label"):
        assert all(gain > 0 for gain in gains_of(DEFAULT_RULE, rival, "f1_macro").values())
    assert evidence()["loss"] == {"comparisons": 18, "above": 0, "margin": 0.01}


def test_a_drafted_study_loads_and_reads_the_table_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [[text, "x; y" if place % 3 else "y", place] for place, text in enumerate(texts(60))]
    with open("mine.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t").writerows([["body", "tags", "number"], *rows])
    assert (
        main(
            [
                "doctor",
                "mine.csv",
                "--text",
                "body",
                "--labels",
                "tags",
                "--separator",
                ";",
                "--study",
                "r/a/study.yaml",
            ]
        )
        == 0
    )
    from afl_helpers.studies import load_study
    from afl_helpers.studies.run import corpus_splits

    study = load_study("a", "r")
    whole, splits = corpus_splits(study.corpora[0], 1)
    assert whole.name == "mine" and whole.label_names == ["y", "x"] and [len(split) for split in splits] == [48, 6, 6]
    assert study.corpora[0].to_dict()["reading"]["separator"] == ";"
    json.dumps(study.corpora[0].to_dict())  # a result file holds it


def test_a_study_reads_given_splits(tmp_path):
    rows = "\n".join(f'"{text}",{"a|b" if place % 2 else "a"}' for place, text in enumerate(texts(40)))
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("text,labels\n" + rows + "\n")
    paths = {split: str(tmp_path / f"{split}.csv") for split in ("train", "test")}
    corpus = replace(
        Corpus("mine", texts(80), [[1, place % 2] for place in range(80)], ["a", "b"]),
        subset=["train"] * 40 + ["test"] * 40,
    )
    text = draft_study(corpus, paths, {"separator": None})
    study = write_study(tmp_path / "results" / "mine" / "study.yaml", text)
    from afl_helpers.studies.run import corpus_splits

    _, splits = corpus_splits(study.corpora[0], 0)
    assert [len(split) for split in splits] == [32, 8, 40] and "reading" not in text


def test_a_study_of_a_named_corpus_needs_no_path(tmp_path):
    text = draft_study(load_corpus("toy"))
    assert "path" not in text and write_study(tmp_path / "toy" / "study.yaml", text).corpora[0].name == "toy"
    with pytest.raises(UsageError, match="needs the path of its table"):
        draft_study(Corpus("mine", ["a"], [[1]], ["x"]))
    with pytest.raises(UsageError, match="name it for example results/mine/study.yaml"):
        write_study(tmp_path / "toy.yaml", text)


def test_words_of_findings():
    assert percent(0.004) == "less than 1 %" and percent(0) == "0 %" and percent(0.5) == "50 %"
    assert excerpt("a\n b" + "c" * 100, 5) == "a bc…" and named(["a", "b"], [1, 2], 1) == ("'a' (1)", "and 1 more")
    order = worst_first(
        [Finding("a", "note", ""), Finding("b", "check", "", share=0.1), Finding("c", "check", "", share=0.2)]
    )
    assert [finding.kind for finding in order] == ["c", "b", "a"]


def test_the_page_escapes_what_the_table_holds():
    corpus = Corpus("<script>x", ["<i>text</i> &amp;", "b"], [[1], [0]], ["<b>"])
    page = render_page(corpus, examine(corpus), "question: <q>")
    assert "<script>x" not in page and "<b>" not in page and "<q>" not in page and page.count("<h1>") == 1
    assert "http" not in page  # nothing is loaded


# --- real corpora ---------------------------------------------------------------------------------------------------

COUNTS = {"too_rare_to_learn", "too_rare_to_test", "tuned_thresholds", "lengths"}
REPEATS = {"repeated_texts", "nearly_equal_texts", "conflicting_labels"}
#: What is to be fixed or checked in each; all of it was looked up in the texts.
REAL = {
    # "Gross out" and "Gross-out film" are on the same 14 films; 43 shorts share one list as their text.
    "cmu-leads": (set(), {*COUNTS, *REPEATS, "labels_always_together"}),
    # Stories that the agency sent twice lie on both sides of the official split.
    "reuters": ({"leakage_test"}, {*COUNTS, *REPEATS}),
}


@pytest.mark.skipif(not os.environ.get("AFL_DATA_DIR"), reason="real data is needed: set AFL_DATA_DIR")
@pytest.mark.parametrize("name", REAL)
def test_nothing_is_invented_on_real_corpora(name):
    corpus = load_corpus(name)
    findings = examine(corpus)
    fix, check = REAL[name]
    assert (kinds(findings, "fix"), kinds(findings, "check")) == (fix, check)
    one = by_kind(findings)
    distinct = {
        " ".join("".join(sign if sign.isalnum() or sign == "_" else " " for sign in text.casefold()).split())
        for text in corpus.texts
    }
    repeats = len(corpus) - len(distinct)
    assert one["repeated_texts"].sentence.startswith(f"{repeats:,} documents have the words of an earlier one")
    if name == "reuters":
        assert "6 with the same words, 5 nearly equal" in one["leakage_test"].sentence


@pytest.mark.skipif(not os.environ.get("AFL_DATA_DIR"), reason="real data is needed: set AFL_DATA_DIR")
def test_nothing_is_invented_on_hoc():
    corpus = load_corpus("hoc")
    findings = examine(corpus)
    assert kinds(findings, "fix") == {"lost_characters"}
    n_lost = sum("\ufffd" in text for text in corpus.texts)
    assert n_lost and by_kind(findings)["lost_characters"].sentence.startswith(f"{n_lost} texts hold the sign")
    assert kinds(findings, "check") <= {*COUNTS, *REPEATS, "unlabelled"}
