"""A study's file, read and checked, and the runs that it stands for.

A study is a YAML file, ``results/<study>/study.yaml``: one question, the data, and a list of settings. It expands to
runs (corpus x setting x seed); each run writes one result file under ``results/<study>/runs/``.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import yaml

from afl_helpers.data import CORPORA
from afl_helpers.errors import DataError, MissingFileError, UsageError, unknown_name
from afl_helpers.losses import check_loss
from afl_helpers.training import fine_tune, probe
from afl_helpers.training.baselines import CnnConfig, PriorsConfig, TfidfConfig, cnn, priors, tfidf
from afl_helpers.training.config import ProbeConfig, TrainingConfig

#: What a setting can be trained with, and the configuration of each.
METHODS: dict[str, tuple[Callable, type]] = {
    "fine_tune": (fine_tune, TrainingConfig),
    "probe": (probe, ProbeConfig),
    "tfidf": (tfidf, TfidfConfig),
    "cnn": (cnn, CnnConfig),
    "priors": (priors, PriorsConfig),
}

_FIELDS = ("extends", "question", "primary", "note", "method", "config", "tune", "corpora", "split_seed", "seeds")
_FIELDS += ("settings",)
_CORPUS_OPTIONS = ("name", "min_count", "top", "n_documents", "official_split")


@dataclass(frozen=True)
class Setting:
    """One row of a study's tables: a loss and its parameters, or another method, under a short name.

    ``config`` is laid over the study's; where ``method`` is another than the study's, it stands alone and is not tuned.
    ``n_seeds``: only the first so many of the study's seeds.
    """

    name: str
    loss: str = "bce"
    params: dict[str, object] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    method: str | None = None
    n_seeds: int | None = None


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study; its name is also its file's."""

    corpus: Mapping[str, object]
    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        return f"{self.corpus['name']}--{self.setting.name}--seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """A study's file, read and checked.

    ``tune`` maps fields of the configuration to the values tried on the first seed, for each corpus and setting
    alike; the value with the best validation ``select_by`` is used for all seeds.
    """

    name: str
    folder: Path
    question: str
    method: str
    config: TrainingConfig | ProbeConfig
    tune: dict[str, list]
    corpora: list[dict[str, object]]
    split_seed: int
    seeds: list[int]
    settings: list[Setting]

    def runs(self) -> list[PlannedRun]:
        """Every run: setting by setting within a seed, seed by seed within a corpus."""
        return [
            PlannedRun(corpus, setting, seed)
            for corpus, seed, setting in itertools.product(self.corpora, self.seeds, self.settings)
            if seed in self.seeds[: setting.n_seeds]
        ]

    def path(self, run: PlannedRun) -> Path:
        return self.folder / "runs" / f"{run.name}.json"

    def missing(self, corpora: Iterable[str] | None = None) -> list[PlannedRun]:
        """The runs, of the named corpora or all, that have no result file yet."""
        names = {corpus["name"] for corpus in self.corpora}
        for name in corpora or ():
            if name not in names:
                raise unknown_name("corpus of this study:", name, names)
        wanted = names if corpora is None else set(corpora)
        return [run for run in self.runs() if run.corpus["name"] in wanted and not self.path(run).is_file()]

    def method_of(self, setting: Setting) -> str:
        return setting.method or self.method

    def candidates(self, setting: Setting) -> list:
        """The configurations tried on the first seed; one where nothing is tuned."""
        if self.method_of(setting) != self.method:
            return [METHODS[setting.method][1].from_dict(setting.config)]
        base = replace(self.config, **setting.config)
        return [replace(base, **values) for values in self.grid(setting)]

    def grid(self, setting: Setting) -> Iterator[dict[str, object]]:
        """The tuned fields of each of :meth:`candidates`."""
        tune = self.tune if self.method_of(setting) == self.method else {}
        for values in itertools.product(*tune.values()):
            yield dict(zip(tune, values))

    def tasks(self, runs: Sequence[PlannedRun], heads: int = 6) -> list[list[PlannedRun]]:
        """The runs, cut into pieces that one process does at a time.

        A piece is one run; where the first seed chooses for the others, all seeds of a setting; where heads are trained
        side by side, those of up to ``heads`` settings of a corpus.
        """
        pieces: dict[tuple, list[PlannedRun]] = {}
        for run in runs:
            key = (run.corpus["name"], run.setting.name)
            tuned = len(self.candidates(run.setting)) > 1
            pieces.setdefault(key if tuned or self.method_of(run.setting) == "probe" else (*key, run.seed), []).append(
                run
            )
        tasks: list[list[PlannedRun]] = []
        sizes: list[int] = []
        for piece in pieces.values():
            last = tasks[-1][-1] if tasks else None
            if (
                last is not None
                and self.method_of(piece[0].setting) == self.method_of(last.setting) == "probe"
                and last.corpus == piece[0].corpus
                and sizes[-1] < heads
            ):
                tasks[-1].extend(piece)
                sizes[-1] += 1
            else:
                tasks.append(list(piece))
                sizes.append(1)
        return tasks


def load_study(name: str, folder: str | Path = "results") -> Study:
    """Read ``<folder>/<name>/study.yaml``. A file that ``extends`` another takes over the fields it does not give;
    its ``config`` is laid over the other's.

    Raises:
        MissingFileError: there is no such study.
        DataError: the file has an unknown field, loss, method or a repeated name.
    """
    folder = Path(folder) / name
    path = folder / "study.yaml"
    if not path.is_file():
        known = sorted(file.parent.name for file in folder.parent.glob("*/study.yaml"))
        raise MissingFileError(f"{path} does not exist; the studies here are: {', '.join(known) or 'none'}")
    try:
        return _parse(name, folder, read_study_file(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise DataError(f"{path}{where}: not valid YAML ({getattr(error, 'problem', error)}); correct it") from None
    except (ValueError, KeyError, TypeError) as error:
        detail = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise DataError(f"{path}: {detail}") from None


def read_study_file(path: Path) -> dict[str, object]:
    """The fields of a study's file, those of the file it extends among them."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise UsageError("holds no fields; begin with 'question:'")
    for key in content:
        if key not in _FIELDS:
            raise unknown_name("field", key, _FIELDS)
    if "extends" not in content:
        return content
    other = path.parent.parent / str(content["extends"]) / "study.yaml"
    if other == path or not other.is_file():
        raise UsageError(f"extends {content['extends']!r}, which is no other study here")
    base = read_study_file(other)
    config = {**base.get("config", {}), **content.get("config", {})}
    return {field: value for field, value in {**base, **content, "config": config}.items() if field != "extends"}


def _check_fields(kind: str, content: object, names: Sequence[str]) -> None:
    if not isinstance(content, Mapping):
        raise UsageError(f"{content!r} is no {kind.rpartition(' a ')[2]}; give its fields, at least 'name'")
    for key in content:
        if key not in names:
            raise unknown_name(kind, key, names)
    if "name" not in content:
        raise KeyError("name")


def _check_number(what: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{what} is {value!r}; pass a whole number from {least}")


def _check_corpus(corpus: object) -> None:
    _check_fields("option of a corpus", corpus, _CORPUS_OPTIONS)
    for option in corpus.keys() - {"name"}:
        _check_number(option, corpus[option], 1)
    name = str(corpus["name"])
    if name not in CORPORA and not Path(name).suffix and not Path(name).exists():
        raise unknown_name("corpus", name, CORPORA)


def _check_tune(study: Study) -> None:
    """Every value that is tried, so that a wrong one is not found after hours."""
    if not isinstance(study.tune, Mapping):
        raise UsageError(f"tune is {study.tune!r}; give a list of values for each field")
    for name, values in study.tune.items():
        if not isinstance(values, list) or not values:
            raise UsageError(f"tune has {values!r} for {name}; give a list of values")
        for value in values:
            type(study.config).from_dict(study.config.to_dict() | {name: value})


def _parse(name: str, folder: Path, content: Mapping[str, object]) -> Study:
    if content["method"] not in METHODS:
        raise unknown_name("method", content["method"], METHODS)
    for name_of_list in ("corpora", "seeds", "settings"):
        if not isinstance(content[name_of_list], list) or not content[name_of_list]:
            raise UsageError(f"{name_of_list} is {content[name_of_list]!r}; give a list of at least one")
    for corpus in content["corpora"]:
        _check_corpus(corpus)
    for seed in (*content["seeds"], content.get("split_seed", 0)):
        _check_number("one of seeds, or split_seed,", seed, 0)
    for setting in content["settings"]:
        _check_fields("field of a setting", setting, [field.name for field in fields(Setting)])
    study = Study(
        name=name,
        folder=folder,
        question=content["question"],
        method=content["method"],
        config=METHODS[content["method"]][1].from_dict(content.get("config", {})),
        tune=content.get("tune", {}),
        corpora=content["corpora"],
        split_seed=content.get("split_seed", 0),
        seeds=content["seeds"],
        settings=[Setting(**setting) for setting in content["settings"]],
    )
    _check_tune(study)
    for setting in study.settings:
        if study.method_of(setting) not in METHODS:
            raise unknown_name("method", setting.method, METHODS)
        check_loss(setting.loss, setting.params)
        if setting.n_seeds is not None and setting.n_seeds not in range(1, len(study.seeds) + 1):
            raise UsageError(
                f"setting {setting.name!r} has n_seeds {setting.n_seeds!r}; pass a whole number from 1 to {len(study.seeds)}"
            )
        study.candidates(setting)
    names = [setting.name for setting in study.settings]
    if len(set(names)) != len(names):
        raise UsageError("two settings have the same name; give each its own")
    planned = [run.name for run in study.runs()]
    for run in planned:
        if "/" in run or planned.count(run) > 1:
            raise UsageError(
                f"run {run!r} has a '/' in its name or stands twice; a run is named by corpus, setting and seed"
            )
    return study
