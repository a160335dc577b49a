"""Reading a study's file, ``results/<study>/study.yaml``. Everything in it is checked before anything is trained.

This module exceeds 300 lines because every field of the file is checked here and nowhere else.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from afl_helpers.data import CORPORA
from afl_helpers.data.own_files import TableOptions
from afl_helpers.errors import DataError, MissingFileError, UsageError, unknown_name
from afl_helpers.evaluation import evaluate
from afl_helpers.losses import check_loss
from afl_helpers.results import FAMILY_COLUMNS
from afl_helpers.studies.plan import METHODS, Primary, Setting, Study, StudyCorpus
from afl_helpers.training import THRESHOLDS

UNITS = ("block", "seed")

_FIELDS = (
    *("extends", "question", "primary", "note"),
    *("method", "config", "tune", "corpora", "split_seed", "seeds", "settings"),
    *("blocks", "pilot", "tune_extensions", "record_epochs"),
)


def load_study(name: str, folder: str | Path = "results") -> Study:
    """Read and check ``<folder>/<name>/study.yaml``.

    A file that ``extends`` another study takes over the fields that it does not give, and lays its ``config`` over the
    other's. One with blocks takes over no seeds, and one with seeds no blocks.

    Raises:
        UsageError: the name is no string.
        MissingFileError: there is no such study.
        DataError: a field is missing, unknown or wrong; the message names the file and the field.
    """
    if not isinstance(name, str):
        raise UsageError(f"study is {name!r}; pass its name")
    folder = Path(folder) / name
    path = folder / "study.yaml"
    if not path.is_file():
        known = sorted(file.parent.name for file in folder.parent.glob("*/study.yaml"))
        raise MissingFileError(f"{path} does not exist; the studies here are: {', '.join(known) or 'none'}")
    try:
        return _read_study(name, folder, _Reader("", read_study_file(path), _FIELDS))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise DataError(f"{path}{where}: not valid YAML ({getattr(error, 'problem', error)}); correct it") from None
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: {error}") from None


def read_study_file(path: Path) -> dict[str, object]:
    """Return the fields of a study's file as plain objects, with those of the studies that it extends."""
    content, extended = _load(path), {path}
    while "extends" in content:
        name = content.pop("extends")
        path = path.parent.parent / str(name) / "study.yaml"
        if path in extended or not path.is_file():
            raise UsageError(f"extends {name!r}, which is not another study in this folder; name one that is")
        extended.add(path)
        base = _load(path)
        config = _Reader("", base, _FIELDS).mapping("config") | _Reader("", content, _FIELDS).mapping("config")
        for own, others in (("blocks", ("seeds", "split_seed")), ("seeds", ("blocks", "pilot", "record_epochs"))):
            if own in content:
                base = {name: value for name, value in base.items() if name not in others}
        content = base | content | {"config": config}
    return content


def _load(path: Path) -> dict[str, object]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise UsageError("holds no fields; begin with 'question:'")
    return content


class _Reader:
    """One object of a study's file. Each method reads one field, checks its type and names the field in its error."""

    def __init__(self, where: str, content: object, names: Collection[str]):
        self._where = where
        if not isinstance(content, Mapping):
            raise UsageError(f"{content!r} is not {where}; give its fields: {', '.join(names)}")
        for key in content:
            if key not in names:
                raise unknown_name(self._named("field"), key, names)
        self._content = content

    def __contains__(self, name: str) -> bool:
        return self._content.get(name) is not None

    def _named(self, name: str) -> str:
        return f"{name} of {self._where}" if self._where else name

    def get(self, name: str) -> object:
        if name not in self._content:
            raise UsageError(f"{self._named(name)} is missing; add it")
        return self._content[name]

    def wrong(self, name: str, wanted: str) -> UsageError:
        return UsageError(f"{self._named(name)} is {self.get(name)!r}; give {wanted}")

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "some text")
        return value

    def integer(self, name: str, least: int) -> int:
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UsageError(f"{self._named(name)} is {value!r}; pass a whole number from {least}")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        value = self.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def mapping(self, name: str) -> dict[str, object]:
        """Read an object with fields of its own; empty where there is none."""
        value = self._content.get(name, {})
        if not isinstance(value, Mapping):
            raise self.wrong(name, "an object with fields of its own")
        return {str(key): content for key, content in value.items()}

    def items(self, name: str) -> list[object]:
        value = self.get(name)
        if not isinstance(value, list) or not value:
            raise self.wrong(name, "a list of at least one")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.items(name)
        if not all(isinstance(value, str) and value for value in values):
            raise self.wrong(name, "a list of names")
        return tuple(str(value) for value in values)

    def integers(self, name: str, least: int) -> list[int]:
        values = self.items(name)
        whole = [value for value in values if isinstance(value, int) and not isinstance(value, bool) and value >= least]
        if len(whole) < len(values):
            raise self.wrong(name, f"a list of whole numbers from {least}")
        return whole


def _read_study(name: str, folder: Path, reader: _Reader) -> Study:
    method = reader.text("method")
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    settings = [_read_setting(content) for content in reader.items("settings")]
    study = Study(
        name=name,
        folder=folder,
        question=reader.text("question"),
        method=method,
        config=METHODS[method].config.from_dict(reader.mapping("config")),
        tune=_read_tune(reader.mapping("tune")),
        corpora=[_read_corpus(content) for content in reader.items("corpora")],
        split_seed=reader.integer("split_seed", 0) if "split_seed" in reader else 0,
        seeds=[] if "blocks" in reader else reader.integers("seeds", 0),
        settings=settings,
        primary=_read_primary(reader.get("primary"), settings) if "primary" in reader else None,
        blocks=_read_blocks(reader) if "blocks" in reader else [],
        pilot=reader.integer("pilot", 0) if "pilot" in reader else None,
        tune_extensions=reader.integer("tune_extensions", 0) if "tune_extensions" in reader else 10,
        record_epochs=reader.integers("record_epochs", 0) if "record_epochs" in reader else [],
    )
    for name in ("seeds", "split_seed"):
        if study.blocks and name in reader:
            raise UsageError(f"the study has both blocks and {name}; a block is a seed of both, so leave {name} out")
    _check_study(study)
    return study


def _read_blocks(reader: _Reader) -> list[int]:
    """Read the blocks: a number n stands for the blocks 1 to n."""
    if isinstance(reader.get("blocks"), list):
        return reader.integers("blocks", 0)
    return list(range(1, reader.integer("blocks", 1) + 1))


def _read_corpus(content: object) -> StudyCorpus:
    reader = _Reader("a corpus", content, [field.name for field in fields(StudyCorpus)])
    name = reader.text("name")
    if "min_count" in reader and "top" in reader:
        raise UsageError(f"corpus {name!r} has both min_count and top; give one of the two")
    if "path" not in reader and name not in CORPORA and not Path(name).suffix and not Path(name).exists():
        raise unknown_name("corpus", name, CORPORA)
    if "reading" in reader and "path" not in reader:
        raise UsageError(f"corpus {name!r} has reading but no path; give the path of a table")

    def count(option: str) -> int | None:
        return reader.integer(option, 1) if option in reader else None

    if ("train" in reader) != ("validation" in reader):
        raise UsageError(f"corpus {name!r} has only one of train and validation; give both or neither")
    ways = [way for way in ("train", "official_split", "official_folds") if way in reader]
    if len(ways) > 1:
        raise UsageError(f"corpus {name!r} has both {ways[0]} and {ways[1]}; give one of the two")
    return StudyCorpus(
        name=name,
        min_count=count("min_count"),
        top=count("top"),
        n_documents=count("n_documents"),
        official_split=count("official_split"),
        official_folds=count("official_folds"),
        train=count("train"),
        validation=count("validation"),
        blocks=tuple(reader.integers("blocks", 0)) if "blocks" in reader else None,
        settings=reader.texts("settings") if "settings" in reader else None,
        config=reader.mapping("config") if "config" in reader else None,
        tuned_as=reader.text("tuned_as") if "tuned_as" in reader else None,
        path=_read_path(reader) if "path" in reader else None,
        reading=_read_reading(reader.mapping("reading")) if "reading" in reader else None,
    )


def _read_path(reader: _Reader) -> str | dict[str, str]:
    """Read a path, or a path per split."""
    if not isinstance(reader.get("path"), Mapping):
        return reader.text("path")
    paths = reader.mapping("path")
    splits = _Reader("path of a corpus", paths, ("train", "validation", "test"))
    return {split: splits.text(split) for split in paths}


def _read_reading(options: dict[str, object]) -> dict[str, object]:
    """Read the options for a table; each option is checked when the table is read."""
    names = [field.name for field in fields(TableOptions)]
    for name in options:
        if name not in names:
            raise unknown_name("option in reading", name, names)
    return options


def _read_setting(content: object) -> Setting:
    reader = _Reader("a setting", content, [field.name for field in fields(Setting)])
    setting = Setting(
        name=reader.text("name"),
        loss=reader.text("loss") if "loss" in reader else "bce",
        params=reader.mapping("params"),
        config=reader.mapping("config"),
        method=reader.text("method") if "method" in reader else None,
        n_seeds=reader.integer("n_seeds", 1) if "n_seeds" in reader else None,
        blocks=tuple(reader.integers("blocks", 0)) if "blocks" in reader else None,
        corpora=reader.texts("corpora") if "corpora" in reader else None,
        tune=_read_tune(reader.mapping("tune")) if "tune" in reader else None,
        tuned_as=reader.text("tuned_as") if "tuned_as" in reader else None,
    )
    if setting.method not in (None, *METHODS):
        raise unknown_name("method", setting.method, METHODS)
    check_loss(setting.loss, setting.params)
    return setting


def _read_tune(tune: Mapping[str, object]) -> dict[str, list[object]]:
    reader = _Reader("tune", tune, tune.keys())
    return {name: reader.items(name) for name in tune}


def _read_primary(content: object, settings: list[Setting]) -> Primary:
    reader = _Reader("primary", content, [field.name for field in fields(Primary)])
    setting = reader.texts("setting") if isinstance(reader.get("setting"), list) else reader.text("setting")
    against = [_at(text) for text in reader.texts("against")]
    tested = [setting] if isinstance(setting, str) else list(setting)
    names = [setting.name for setting in settings]
    for name in (*tested, *(rival for rival, _ in against)):
        if name not in names:
            raise unknown_name("setting in primary", name, names)
    for _, rule in against:
        _check_rule(rule)
    if len(tested) + len(against) > len({(name, "") for name in tested} | set(against)):
        raise reader.wrong("against", "each setting once, and not one that is itself tested")
    unit = reader.text("unit") if "unit" in reader else None
    if unit == "document":
        raise UsageError(
            "unit in primary is 'document', but a study's question is about settings, not about two trained models; compare "
            "over blocks here, and over the documents of one with: python -m afl_helpers compare STUDY --block N"
        )
    if unit not in (None, *UNITS):
        raise unknown_name("unit in primary", unit, UNITS)
    columns = reader.texts("correct_within") if "correct_within" in reader else None
    for column in columns or ():
        if column not in FAMILY_COLUMNS:
            raise unknown_name("column in correct_within", column, FAMILY_COLUMNS)
    pairs = _Reader("convergence in primary", reader.mapping("convergence"), reader.mapping("convergence"))
    longer = {name: pairs.text(name) for name in reader.mapping("convergence")}
    for name in (*longer, *longer.values()):
        if name not in names:
            raise unknown_name("setting in convergence", name, names)
    outcomes = _Reader("outcomes in primary", reader.mapping("outcomes"), reader.mapping("outcomes"))
    return Primary(
        setting=setting,
        against=tuple(_joined(name, rule) for name, rule in against),
        endpoints=tuple(_read_endpoint(text) for text in reader.texts("endpoints")),
        margin=reader.number("margin", 0, 1),
        unit=unit,
        family=reader.text("family") if "family" in reader else None,
        correct_within=columns,
        convergence=longer,
        outcomes={name: outcomes.text(name) for name in reader.mapping("outcomes")},
    )


def _at(text: str) -> tuple[str, str]:
    """Split ``name@rule``, which a file may also spell ``name at rule``; the rule is empty where there is none."""
    name, _, rule = text.replace(" at ", "@").partition("@")
    return name.strip(), rule.strip()


def _joined(name: str, rule: str) -> str:
    return f"{name}@{rule}" if rule else name


def _check_rule(rule: str) -> None:
    if rule and rule not in THRESHOLDS:
        raise unknown_name("threshold rule", rule, THRESHOLDS)


def _read_endpoint(text: str) -> str:
    metric, rule = _at(text)
    changed_by_thresholds = metrics_changed_by_thresholds()
    if metric not in changed_by_thresholds:
        raise unknown_name("metric", metric, changed_by_thresholds)
    _check_rule(rule)
    if changed_by_thresholds[metric] and not rule:
        raise UsageError(f"endpoint {metric!r} depends on thresholds; name the rule, as in '{metric}@tuned_common'")
    return _joined(metric, rule)


@lru_cache(maxsize=1)
def metrics_changed_by_thresholds() -> dict[str, bool]:
    """Return every metric, and whether thresholds change it; both are taken from scores that are all right."""
    right = np.eye(6)  # enough labels for every metric, precision at 5 among them
    low, high = (evaluate(right, right, threshold, label_counts=range(6, 0, -1)) for threshold in (0.5, np.inf))
    return {name: low[name] != high[name] for name in low}


def _check_study(study: Study) -> None:
    """Check what concerns several fields."""
    for name, values in study.tune.items():
        for value in values:
            METHODS[study.method].config.from_dict(study.config.to_dict() | {name: value})
    _check_blocks(study)
    for setting in study.settings:
        for corpus in study.corpora:
            study.candidates(setting, corpus)
        if setting.n_seeds is not None and not study.blocks and setting.n_seeds > len(study.seeds):
            raise UsageError(
                f"setting {setting.name!r} has n_seeds {setting.n_seeds}; pass a whole number from 1 to {len(study.seeds)}"
            )
    names = [setting.name for setting in study.settings]
    if len(set(names)) != len(names):
        raise UsageError("two settings have the same name; give each its own")
    planned = [run.name for run in study.runs()]
    for run in planned:
        if "/" in run:
            raise UsageError(f"run {run!r} has a '/' in its name; leave it out of the names of corpora and settings")
        if planned.count(run) > 1:
            raise UsageError(f"run {run!r} stands twice; list each corpus and each seed once")


def _check_blocks(study: Study) -> None:
    """Check what belongs to blocks."""
    restricted: list[StudyCorpus | Setting] = [*study.corpora, *study.settings]
    if not study.blocks:
        given = {"pilot": study.pilot is not None, "record_epochs": bool(study.record_epochs)}
        given |= {f"blocks of {one.name!r}": one.blocks is not None for one in restricted}
        given |= {f"tuned_as of {one.name!r}": one.tuned_as is not None for one in restricted}
        given |= {f"corpora of {one.name!r}": one.corpora is not None for one in study.settings}
        for name in (name for name, is_given in given.items() if is_given):
            raise UsageError(f"{name} is for a study with blocks; give blocks instead of seeds")
        return
    if study.pilot in study.blocks:
        raise UsageError(f"pilot is {study.pilot}, which is also a block; a block that tunes is not analysed")
    if any(map(study.tuned_fields, study.settings)) and study.pilot is None:
        raise UsageError("the study tunes but has no pilot; name the block to tune on, as in 'pilot: 0'")
    used = [("record_epochs", study.record_epochs)]
    used += [(f"blocks of {one.name!r}", list(one.blocks or ())) for one in restricted]
    for name, blocks in used:
        if not set(blocks) <= set(study.blocks):
            raise UsageError(f"{name} is {blocks}; give blocks of the study: {study.blocks}")
    for setting in study.settings:
        if setting.n_seeds is not None:
            raise UsageError(f"setting {setting.name!r} has n_seeds, but the study has blocks; give its blocks")
    corpora = [corpus.name for corpus in study.corpora]
    for setting in study.settings:
        for name in setting.corpora or ():
            if name not in corpora:
                raise unknown_name(f"corpus of setting {setting.name!r}:", name, corpora)
    names = [setting.name for setting in study.settings]
    for corpus in study.corpora:
        for name in corpus.settings or ():
            if name not in names:
                raise unknown_name(f"setting of corpus {corpus.name!r}:", name, names)
    each: Sequence[StudyCorpus | Setting]
    for each in (study.corpora, study.settings):
        tuned = [one.name for one in each if one.tuned_as is None]
        for one in each:
            if one.tuned_as is not None and one.tuned_as not in tuned:
                raise unknown_name(f"tuned_as of {one.name!r}", one.tuned_as, tuned)
