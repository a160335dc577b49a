"""Errors meant for users, and optional packages that are not installed."""

import pickle
import re
import subprocess
import sys

import pytest

from afl_helpers import errors
from afl_helpers.__main__ import main
from afl_helpers.augment import build_augmentation
from afl_helpers.augment.oversampling import resample
from afl_helpers.errors import MissingExtraError, UsageError, UserError, first_line, require, unknown_name
from afl_helpers.evaluation import fit_thresholds, paper_metrics, tune_thresholds, tune_top_k
from afl_helpers.losses import build_loss
from afl_helpers.relations import build_relation, official_hierarchy
from afl_helpers.studies import compare_study
from afl_helpers.training.encoders import load_encoder

OPTIONAL = ("datasets", "pandas", "pooch", "requests", "sklearn", "torch", "transformers")
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_keeps_its_words_for_the_command_line(kind):
    assert kind("pass a").command_line == "pass a"
    error = pickle.loads(pickle.dumps(kind("pass a", command_line="pass --a")))
    assert type(error) is kind and str(error) == "pass a" and error.command_line == "pass --a"


def test_the_first_line_of_an_error():
    assert first_line(ValueError("\ntoo short\nat byte 7")) == "too short"
    assert first_line(ValueError(" ")) == "ValueError"


def test_a_missing_package_is_one_sentence_with_the_command_that_installs_it():
    assert require("json", "data", "reading") is sys.modules["json"]
    with pytest.raises(MissingExtraError) as error:
        require("no_such_module", "data", "split()")
    assert str(error.value) == 'split() needs no_such_module; run: pip install "afl-helpers[data]"'


def test_the_command_line_prints_it_without_a_traceback(monkeypatch, capsys):
    def needs_a_package(*arguments, **options):
        raise MissingExtraError('reading needs pooch; run: pip install "afl-helpers[data]"')

    monkeypatch.setattr("afl_helpers.data.load_corpus", needs_a_package)
    assert main(["train", "cmu", "--probe"]) == 1
    assert capsys.readouterr().err == 'error: reading needs pooch; run: pip install "afl-helpers[data]"\n'


CORE = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None  # as if it were not installed
from afl_helpers.augment.oversampling import resample
from afl_helpers.data import load_corpus
from afl_helpers.errors import MissingExtraError
corpus = load_corpus("toy").select_labels(top=4)
print(len(corpus.split()), len(resample(corpus.labels, "ml_ros")) > len(corpus))
for call in (corpus.to_dataset, corpus.to_frame, lambda: load_corpus("cmu")):
    try:
        call()
    except MissingExtraError as error:
        print(error)
"""


@pytest.mark.processes
def test_corpora_are_read_with_numpy_and_scipy_alone(monkeypatch):
    monkeypatch.delenv("AFL_DATA_DIR", raising=False)
    monkeypatch.delenv("AFL_CACHE_DIR", raising=False)
    done = subprocess.run([sys.executable, "-c", CORE], capture_output=True, text=True, timeout=300)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0].endswith(" True")
    assert [line.split(" needs ")[0] for line in lines[1:]] == [
        "to_dataset()",
        "to_frame()",
        "finding the user's cache folder",
    ]
    assert all(line.endswith('; run: pip install "afl-helpers[data]"') for line in lines[1:])


@pytest.mark.parametrize("package", ["results", "studies", "claims", "training"])
@pytest.mark.processes
def test_a_package_without_its_extra_says_which_one_it_needs(package):
    # Studies and claims read results, which is then the first that misses something.
    name = "afl_helpers.training.fine_tune" if package == "training" else "afl_helpers.results"
    code = f"""
import sys
for name in ("pandas", "filelock", "transformers"):
    sys.modules[name] = None
from afl_helpers.errors import MissingExtraError
try:
    import afl_helpers.{package} as package
    package.fine_tune
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert re.fullmatch(rf'{name} needs \w+; run: pip install "afl-helpers\[(data|train)\]"\n', done.stdout), (
        done.stderr
    )


@pytest.mark.parametrize(
    "given, meant",
    [("tuned_prop", "tuned_proportional"), ("tuned_top", "tuned_top_k"), ("Tuned_Common", "tuned_common")],
)
def test_the_start_of_a_name_suggests_that_name(given, meant):
    valid = ["tuned_common", "tuned_proportional", "tuned_proportional_posterior", "tuned_top_k"]
    said = re.search(r"did you mean '(\w+)'", str(unknown_name("rule", given, valid)))
    assert said[1] == meant


NAMED = {
    "study": lambda name: compare_study(name),
    "loss": lambda name: build_loss(name),
    "relation": lambda name: build_relation(name),
    "augmentation": lambda name: build_augmentation(name),
    "corpus with an official hierarchy": lambda name: official_hierarchy(name, ["a"]),
    "resampling": lambda name: resample([[1], [0]], name),
    "encoder": lambda name: load_encoder(name),
    "metric": lambda name: tune_top_k([[1], [0]], [[0.5], [0.1]], metric=name),
    "average": lambda name: paper_metrics([[1], [0]], [[0.5], [0.1]], 0.5, average=name),
    "rule": lambda name: tune_thresholds([[1], [0]], [[0.5], [0.1]], name),
}


@pytest.mark.parametrize("rules", ["tuned_common", 5, [["tuned_common"]]], ids=repr)
def test_rules_are_a_list_of_names(rules):
    with pytest.raises(UsageError, match="rules? "):
        fit_thresholds([[1], [0]], [[0.5], [0.1]], [0.5], rules=rules)


@pytest.mark.parametrize("name", [["bce"], ("bce",), {}, None, 3], ids=repr)
@pytest.mark.parametrize("kind", NAMED)
def test_a_name_that_is_no_string_is_one_sentence(kind, name):
    with pytest.raises(UsageError, match=kind) as error:
        NAMED[kind](name)
    assert repr(name) in str(error.value)
