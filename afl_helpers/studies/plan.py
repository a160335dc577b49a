"""What a study is, and the runs that it stands for.

A study asks one question. It names the data and a list of settings, and it expands to runs (corpus x setting x seed).
Each run writes one result file, ``results/<study>/runs/<run>.json``.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from afl_helpers.errors import unknown_name
from afl_helpers.training import Run, fine_tune, probe
from afl_helpers.training.baselines import CnnConfig, PriorsConfig, TfidfConfig, cnn, priors, tfidf
from afl_helpers.training.config import Config, ProbeConfig, TrainingConfig


class Method(NamedTuple):
    """A way to train: the function, and the class of its configuration."""

    train: Callable[..., Run]
    config: type[Config]


#: The methods by which a setting can be trained.
METHODS: dict[str, Method] = {
    "fine_tune": Method(fine_tune, TrainingConfig),
    "probe": Method(probe, ProbeConfig),
    "tfidf": Method(tfidf, TfidfConfig),
    "cnn": Method(cnn, CnnConfig),
    "priors": Method(priors, PriorsConfig),
}


@dataclass(frozen=True)
class StudyCorpus:
    """A corpus of a study, and which of its labels and documents the study uses.

    Args:
        name: a name or path, as in :func:`~afl_helpers.data.load_corpus`.
        min_count, top: the labels that are kept, as in :meth:`Corpus.select_labels
            <afl_helpers.data.Corpus.select_labels>`. At most one of the two is given; without either, all are kept.
        n_documents: the number of documents that are kept, chosen by stratified sampling; None keeps all.
        official_split: use the official test split, and keep this many training documents for validation. With None,
            80 % of the documents are for training, 10 % for validation and 10 % for testing.
    """

    name: str
    min_count: int | None = None
    top: int | None = None
    n_documents: int | None = None
    official_split: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the options that are given, as a study's file and result files list them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Setting:
    """One row of a study's tables: a loss with its parameters, or another method.

    Args:
        name: a short name, which becomes a part of file names.
        loss, params: a key of :data:`afl_helpers.losses.LOSSES`, and parameters of that loss.
        config: fields of the configuration that differ from the study's.
        method: a key of ``METHODS``; None is the study's method. With another method, ``config`` replaces the
            study's configuration, and nothing is tuned.
        n_seeds: use only this many of the study's seeds, from the first; None uses all.
    """

    name: str
    loss: str = "bce"
    params: dict[str, object] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    method: str | None = None
    n_seeds: int | None = None


@dataclass(frozen=True)
class Primary:
    """The comparison that answers a study's question, declared before its runs. All other comparisons are exploratory.

    Args:
        setting: the setting that is tested, or several.
        against: the settings that it is compared with. ``"bce@tuned_per_label"`` is ``bce`` under that threshold rule.
        endpoints: test metrics. A metric of decisions must name its threshold rule (``"f1_macro@tuned_common"``); a
            metric of scores must not need one (``"average_precision_macro_tail"``).
        margin: the smallest difference that matters, from 0 to 1.
        unit: what is resampled or varied to get an interval: "block", "document" or "seed".
        family: the name of the family of comparisons within which p values are corrected.
        outcomes: a possible outcome -> how it is to be read, in words.
    """

    setting: str | tuple[str, ...]
    against: tuple[str, ...]
    endpoints: tuple[str, ...]
    margin: float
    unit: str | None = None
    family: str | None = None
    outcomes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study. Its name is also the name of its result file."""

    corpus: StudyCorpus
    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        return f"{self.corpus.name}--{self.setting.name}--seed{self.seed}"


@dataclass(frozen=True)
class Study:
    """A study, as :func:`~afl_helpers.studies.load_study` reads it.

    ``tune`` maps fields of the configuration to the values to try. For each corpus and setting, every combination is
    trained with the first seed. The combination with the best validation score (the metric that ``select_by`` names) is
    used for all seeds. ``primary`` is None if the study declares no primary comparison.
    """

    name: str
    folder: Path
    question: str
    method: str
    config: Config
    tune: dict[str, list[object]]
    corpora: list[StudyCorpus]
    split_seed: int
    seeds: list[int]
    settings: list[Setting]
    primary: Primary | None = None

    def runs(self) -> list[PlannedRun]:
        """Return all runs, ordered by corpus, then seed, then setting."""
        return [
            PlannedRun(corpus, setting, seed)
            for corpus, seed, setting in itertools.product(self.corpora, self.seeds, self.settings)
            if seed in self.seeds[: setting.n_seeds]
        ]

    def path(self, run: PlannedRun) -> Path:
        """Return the path of a run's result file."""
        return self.folder / "runs" / f"{run.name}.json"

    def missing(self, corpora: Iterable[str] | None = None) -> list[PlannedRun]:
        """Return the runs without a result file, on the named corpora or on all."""
        names = {corpus.name for corpus in self.corpora}
        wanted = names if corpora is None else set(corpora)
        for name in wanted - names:
            raise unknown_name("corpus of this study:", name, names)
        return [run for run in self.runs() if run.corpus.name in wanted and not self.path(run).is_file()]

    def method_of(self, setting: Setting) -> str:
        """Return the name of the method by which a setting is trained."""
        return setting.method or self.method

    def grid(self, setting: Setting) -> Iterator[dict[str, object]]:
        """Yield the tuned fields of each of :meth:`candidates`."""
        tune = self.tune if self.method_of(setting) == self.method else {}
        for values in itertools.product(*tune.values()):
            yield dict(zip(tune, values))

    def candidates(self, setting: Setting) -> list[Config]:
        """Return the configurations that are tried on the first seed; only one where nothing is tuned."""
        method = self.method_of(setting)
        if method != self.method:
            return [METHODS[method].config.from_dict(setting.config)]
        base = self.config.to_dict() | setting.config
        return [METHODS[method].config.from_dict(base | values) for values in self.grid(setting)]

    def first_seed(self, run: PlannedRun) -> PlannedRun:
        """Return the run of the same corpus and setting on the first seed, whose tuned fields the others use."""
        return replace(run, seed=self.seeds[0])

    def is_tuned(self, setting: Setting) -> bool:
        """Return whether several configurations are tried."""
        return len(list(self.grid(setting))) > 1

    def tasks(self, runs: Sequence[PlannedRun], heads: int = 6) -> list[list[PlannedRun]]:
        """Divide runs into tasks; one process does one task at a time.

        A task is one run, with two exceptions. All seeds of a tuned setting are one task, because the first seed
        chooses for the others. Probes on one corpus are trained together: all seeds of up to ``heads`` settings are one
        task.
        """
        by_setting: dict[tuple[object, ...], list[PlannedRun]] = {}
        for run in runs:
            alone = not self.is_tuned(run.setting) and self.method_of(run.setting) != "probe"
            key = (run.corpus.name, run.setting.name, run.seed if alone else None)
            by_setting.setdefault(key, []).append(run)
        tasks: list[list[PlannedRun]] = []
        n_settings = 0
        for group in by_setting.values():
            if tasks and n_settings < heads and self._train_together(tasks[-1][0], group[0]):
                tasks[-1].extend(group)
                n_settings += 1
            else:
                tasks.append(group)
                n_settings = 1
        return tasks

    def _train_together(self, one: PlannedRun, other: PlannedRun) -> bool:
        methods = {self.method_of(one.setting), self.method_of(other.setting)}
        return methods == {"probe"} and one.corpus == other.corpus
