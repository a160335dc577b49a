"""Every field of every configuration has a type and a range, and a wrong one is refused with what is valid."""

import math
import re
from dataclasses import fields

import pytest

from afl_helpers import __main__ as command_line
from afl_helpers.errors import DataError, UsageError
from afl_helpers.studies import load_study
from afl_helpers.training.baselines import BilstmConfig, CnnConfig, PriorsConfig, TfidfConfig
from afl_helpers.training.config import ProbeConfig, TrainingConfig

CONFIGS = (TrainingConfig, ProbeConfig, TfidfConfig, CnnConfig, BilstmConfig, PriorsConfig)
FIELDS = [(config, field) for config in CONFIGS for field in fields(config)]
IDS = [f"{config.__name__}.{field.name}" for config, field in FIELDS]


def wrong_values(config: type, field) -> list[object]:
    """Values of the wrong type or outside the range."""
    if field.type is bool:
        return [1, "true", None]
    if field.name in config._choices:
        return ["no such choice", 1] + ([] if field.type == str | None else [None])
    if field.type is str:
        return [1, None, ["minilm"]]
    low, high = config._ranges[field.name]
    values: list[object] = ["1", None, True, math.nan, [1]]
    values.append(low - 1)
    if not math.isinf(high):
        values += [high + 1, math.inf]
    if field.type in (int, int | None):
        values.append(low + 0.5)
    if field.type in (int | None, float | None):
        values.remove(None)
    return values


@pytest.mark.parametrize(("config", "field"), FIELDS, ids=IDS)
def test_every_field_has_a_range_and_holds_to_it(config, field):
    assert field.type in (bool, int, float, str, int | None, float | None, str | None)
    assert config.from_dict({field.name: field.default}) == config()
    for value in wrong_values(config, field):
        with pytest.raises(UsageError) as refused:
            config.from_dict({field.name: value})
        sentence = str(refused.value)
        assert field.name in sentence and repr(value) in sentence
        assert re.search("pass|choose one of", sentence), sentence
        if field.name in config._ranges:
            assert f"{config._ranges[field.name][0]:g}" in sentence


@pytest.mark.parametrize(("config", "field"), [pair for pair in FIELDS if pair[1].type in (int, float, int | None)])
def test_the_ends_of_a_range_are_valid(config, field):
    for end in config._ranges[field.name]:
        if not math.isinf(end):
            value = float(end) if field.type is float else int(end)
            assert getattr(config.from_dict({field.name: value}), field.name) == end


@pytest.mark.parametrize(("config", "field"), FIELDS, ids=IDS)
def test_a_misspelt_field_is_met_with_its_name(config, field):
    misspelt = field.name[:-2] + field.name[-1] + field.name[-2] + "s"
    with pytest.raises(UsageError, match=f"did you mean '{field.name}'"):
        config.from_dict({misspelt: field.default})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "epochs=0"], "epochs is 0; pass a whole number from 1 to 10000"),
        (["--config", "epoch=3"], "did you mean 'epochs'"),
        (["--probe", "--config", "batch_size=many"], "batch_size is 'many'; pass a whole number"),
        (["--loss", "focl"], "did you mean 'focal'"),
        (["--loss", "focal", "--loss-param", "gama=1"], "did you mean 'gamma'"),
        (["--loss", "focal", "--loss-param", "gamma=-1"], "gamma"),
    ],
)
def test_the_command_line_refuses_before_a_corpus_is_loaded(monkeypatch, capsys, arguments, words):
    def load(*args, **kwargs):
        raise AssertionError("a corpus was loaded before the settings were checked")

    monkeypatch.setattr("afl_helpers.data.load_corpus", load)
    assert command_line.main(["train", "cmu", *arguments]) == 1
    assert words in capsys.readouterr().err


STUDY = """\
question: Is it refused?
method: probe
config: {encoder: minilm, epochs: 2}
tune: {learning_rate: [0.001, 0.01]}
corpora: [{name: toy, top: 5}]
seeds: [0, 1]
settings:
  - {name: bce}
  - {name: afl, loss: afl, params: {base_gamma: 2.0}}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs: 2", "epochs: 0", "epochs is 0; pass a whole number from 1"),
        ("epochs: 2", "epoch: 2", "did you mean 'epochs'"),
        ("[0.001, 0.01]", "[0.001, 10]", "learning_rate is 10; pass a number from 0 to 1"),
        ("learning_rate: [", "learnin_rate: [", "did you mean 'learning_rate'"),
        ("[0.001, 0.01]", "0.001", "tune"),
        ("loss: afl", "los: afl", "did you mean 'loss'"),
        ("{name: toy, top: 5}", "{name: toi, top: 5}", "did you mean 'toy'"),
        ("top: 5", "topp: 5", "did you mean 'top'"),
        ("top: 5", "top: 0", "top of a corpus is 0; pass a whole number from 1"),
        ("top: 5", "top: five", "top of a corpus is 'five'; pass a whole number"),
        ("seeds: [0, 1]", "seeds: 3", "seeds"),
        ("seeds: [0, 1]", "seeds: [0, one]", "seeds"),
        ("seeds: [0, 1]", "seeds: []", "seeds"),
        ("seeds: [0, 1]", "seed: [0, 1]", "did you mean 'seeds'"),
        ("base_gamma: 2.0", "base_gama: 2.0", "did you mean 'base_gamma'"),
        ("base_gamma: 2.0", "base_gamma: -2.0", "base_gamma"),
        ("corpora: [{name: toy, top: 5}]", "corpora: toy", "corpora"),
        ("{name: toy, top: 5}", "{top: 5}", "name"),
        ("method: probe", "method: prob", "did you mean 'probe'"),
    ],
)
def test_a_study_is_refused_before_a_corpus_is_loaded(tmp_path, old, new, words):
    (tmp_path / "mine").mkdir()
    path = tmp_path / "mine" / "study.yaml"
    path.write_text(STUDY)
    assert len(load_study("mine", tmp_path).runs()) == 4
    assert old in STUDY
    path.write_text(STUDY.replace(old, new))
    with pytest.raises(DataError, match=re.escape(words)) as refused:
        load_study("mine", tmp_path)
    assert str(path) in str(refused.value)
