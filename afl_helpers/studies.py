"""Studies: what to run, and running what is missing.

A study is a YAML file, ``results/<study>/study.yaml``: one question, the data, and a list of settings. It expands to
runs (corpus x setting x seed); each run writes one result file under ``results/<study>/runs/``. A run is there whole
or not at all, so a study that was stopped goes on where it was.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import yaml

from afl_helpers.config import ProbeConfig, TrainingConfig
from afl_helpers.data import Corpus, load_corpus
from afl_helpers.errors import DataError, MissingFileError, UsageError, unknown_name
from afl_helpers.files import write_json
from afl_helpers.losses import LOSSES
from afl_helpers.progress import progress_bar
from afl_helpers.results import build_result, describe_data, read_result
from afl_helpers.training import Run, fine_tune, probe

METHODS = {"fine_tune": (fine_tune, TrainingConfig), "probe": (probe, ProbeConfig)}

_FIELDS = {"question", "primary", "note", "method", "config", "tune", "corpora", "split_seed", "seeds", "settings"}


_CORPUS_OPTIONS = ("name", "min_count", "top", "n_documents", "official_split")


@dataclass(frozen=True)
class Setting:
    """One row of a study's tables: a loss and its parameters under a short name."""

    name: str
    loss: str
    params: dict[str, object] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)


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
        """Every run, setting by setting within a corpus, the first seed first."""
        return [
            PlannedRun(corpus, setting, seed)
            for corpus, seed, setting in itertools.product(self.corpora, self.seeds, self.settings)
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


def load_study(name: str, folder: str | Path = "results") -> Study:
    """Read ``<folder>/<name>/study.yaml``.

    Raises:
        MissingFileError: there is no such study.
        DataError: the file has an unknown field, loss, method or a repeated name.
    """
    folder = Path(folder) / name
    path = folder / "study.yaml"
    if not path.is_file():
        known = sorted(file.parent.name for file in folder.parent.glob("*/study.yaml"))
        raise MissingFileError(f"{path} does not exist; the studies here are: {', '.join(known) or 'none'}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return _parse(name, folder, content)
    except (ValueError, KeyError, TypeError) as error:
        detail = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise DataError(f"{path}: {detail}") from None


def _parse(name: str, folder: Path, content: Mapping[str, object]) -> Study:
    for key in content:
        if key not in _FIELDS:
            raise unknown_name("field", key, _FIELDS)
    if content["method"] not in METHODS:
        raise unknown_name("method", content["method"], METHODS)
    for option in itertools.chain(*content["corpora"]):
        if option not in _CORPUS_OPTIONS:
            raise unknown_name("option of a corpus", option, _CORPUS_OPTIONS)
    config = METHODS[content["method"]][1].from_dict(content.get("config", {}))
    settings = [Setting(**setting) for setting in content["settings"]]
    for setting in settings:
        if setting.loss not in LOSSES:
            raise unknown_name("loss", setting.loss, LOSSES)
        replace(config, **setting.config)
        for parameter in setting.params:
            if parameter not in LOSSES[setting.loss].defaults:
                raise unknown_name(f"parameter of loss {setting.loss!r}:", parameter, LOSSES[setting.loss].defaults)
    for values in _grid(content.get("tune", {})):
        type(config).from_dict(config.to_dict() | values)
    names = [setting.name for setting in settings]
    if len(set(names)) != len(names):
        raise UsageError("two settings have the same name; give each its own")
    study = Study(
        name=name,
        folder=folder,
        question=content["question"],
        method=content["method"],
        config=config,
        tune=content.get("tune", {}),
        corpora=content["corpora"],
        split_seed=content.get("split_seed", 0),
        seeds=content["seeds"],
        settings=settings,
    )
    planned = [run.name for run in study.runs()]
    for run in planned:
        if "/" in run or planned.count(run) > 1:
            raise UsageError(
                f"run {run!r} has a '/' in its name or stands twice; a run is named by corpus, setting and seed"
            )
    return study


@lru_cache(maxsize=2)
def _parts(corpus: tuple[tuple[str, object], ...], split_seed: int) -> tuple[Corpus, tuple[Corpus, Corpus, Corpus]]:
    """A corpus with its kept labels and documents, and its split."""
    options = dict(corpus)
    whole = load_corpus(options.pop("name"))
    n_documents = options.pop("n_documents", None)
    official = options.pop("official_split", None)
    if options:
        whole = whole.select_labels(**options)
    if n_documents is not None and n_documents < len(whole):
        share = n_documents / len(whole)
        whole, _, _ = whole.split(share, 1 - share, 0.0, seed=split_seed)
    if official is not None:
        return whole, whole.official_split(validation=official, seed=split_seed)
    return whole, whole.split(0.8, 0.1, 0.1, seed=split_seed)


def _grid(tune: Mapping[str, list]) -> Iterator[dict[str, object]]:
    for values in itertools.product(*tune.values()):
        yield dict(zip(tune, values))


def run_study(study: Study, corpora: Iterable[str] | None = None, progress: bool = True) -> Iterator[Path]:
    """Run what is missing, on the named corpora or all; yields each result file when it is written."""
    runs = study.missing(corpora)
    with progress_bar(runs, unit="run", desc=study.name, show=progress) as bar:
        for planned in bar:
            bar.set_postfix_str(planned.name)
            yield _execute(study, planned)


def _execute(study: Study, planned: PlannedRun) -> Path:
    function = METHODS[study.method][0]
    whole, parts = _parts(tuple(sorted(planned.corpus.items())), study.split_seed)
    base = replace(study.config, **planned.setting.config)

    def train(config) -> Run:
        return function(
            *parts,
            loss=planned.setting.loss,
            config=config,
            seed=planned.seed,
            loss_params=planned.setting.params,
            progress=False,
        )

    tuned: list[dict[str, object]] = []
    if planned.seed == study.seeds[0]:
        candidates = [train(replace(base, **values)) for values in _grid(study.tune)]
        tuned = [
            {**values, base.select_by: run.metrics["validation"]["at_0.5"][base.select_by]}
            for values, run in zip(_grid(study.tune), candidates)
        ]
        run = max(candidates, key=lambda run: run.metrics["validation"]["at_0.5"][base.select_by])
    else:
        first = read_result(study.path(replace(planned, seed=study.seeds[0])))
        run = train(replace(base, **{name: first["config"][name] for name in study.tune}))

    train_part, validation, test = parts
    result = build_result(
        run,
        train_part,
        test,
        study=study.name,
        name=planned.name,
        setting={"name": planned.setting.name, "tuned": tuned},
        data=describe_data(whole, {"train": train_part, "validation": validation, "test": test})
        | {"options": dict(planned.corpus), "split_seed": study.split_seed},
    )
    write_json(study.path(planned), result)
    return study.path(planned)
