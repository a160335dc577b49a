"""What a study is, and the runs that it stands for.

A study asks one question. It names the data and a list of settings, and it expands to runs: corpus x setting x block, or
corpus x setting x seed in a study without blocks. Each run writes one result file, ``results/<study>/runs/<run>.json``.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.studies.remedies import RemedyConfig, remedy
from afl_helpers.training import Run, probe
from afl_helpers.training.baselines import (
    BilstmConfig,
    CnnConfig,
    PriorsConfig,
    TfidfConfig,
    bilstm,
    cnn,
    priors,
    tfidf,
)
from afl_helpers.training.config import Config, ProbeConfig, TrainingConfig
from afl_helpers.training.keyword_attention import KeywordDistillationConfig, keyword_distillation
from afl_helpers.training.vector_classifiers import VectorClassifierConfig, vector_classifier


class Method(NamedTuple):
    """A way to train: the function, and the class of its configuration."""

    train: Callable[..., Run]
    config: type[Config]


def _fine_tune(*args: Any, **options: Any) -> Run:
    from afl_helpers.training import fine_tune  # here: a study that is read needs no Trainer, which takes seconds

    return fine_tune(*args, **options)


#: The methods by which a setting can be trained.
METHODS: dict[str, Method] = {
    "fine_tune": Method(_fine_tune, TrainingConfig),
    "probe": Method(probe, ProbeConfig),
    "tfidf": Method(tfidf, TfidfConfig),
    "cnn": Method(cnn, CnnConfig),
    "bilstm": Method(bilstm, BilstmConfig),
    "priors": Method(priors, PriorsConfig),
    "vector_classifier": Method(vector_classifier, VectorClassifierConfig),
    "keyword_distillation": Method(keyword_distillation, KeywordDistillationConfig),
    "remedy": Method(remedy, RemedyConfig),
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
        official_folds: use the official fold of each block for testing (the number of the block modulo the number of
            folds), and keep this many training documents for validation.
        train, validation: about how many documents are for training and for validation; all others are for testing.
        blocks: use only these blocks of the study.
        settings: use only these settings of the study.
        config: fields of the configuration that differ from the study's on this corpus, such as the length of texts.
        tuned_as: use the tuned fields of the same settings on this other corpus of the study.
        path: the table to read, if `name` is only what results are called by; or a dict of tables by split.
        reading: options of :func:`~afl_helpers.data.load_corpus` for that table, such as ``{"separator": ","}``.
    """

    name: str
    min_count: int | None = None
    top: int | None = None
    n_documents: int | None = None
    official_split: int | None = None
    official_folds: int | None = None
    train: int | None = None
    validation: int | None = None
    blocks: tuple[int, ...] | None = None
    settings: tuple[str, ...] | None = None
    config: Mapping[str, object] | None = field(default=None, hash=False)
    tuned_as: str | None = None
    # A dict has no hash; equality still compares them.
    path: str | Mapping[str, str] | None = field(default=None, hash=False)
    reading: Mapping[str, object] | None = field(default=None, hash=False)

    def to_dict(self) -> dict[str, object]:
        """Return the options that are given and that decide which documents are used, as result files list them."""
        planned = ("blocks", "settings", "config", "tuned_as")
        return {name: value for name, value in asdict(self).items() if value is not None and name not in planned}


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
        blocks: use only these of the study's blocks; None uses all.
        corpora: use only these of the study's corpora; None uses all.
        tune: fields of the configuration to tune, and their values, in place of those of the study.
        tuned_as: use the tuned fields of this other setting instead of tuning.
    """

    name: str
    loss: str = "bce"
    params: dict[str, object] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    method: str | None = None
    n_seeds: int | None = None
    blocks: tuple[int, ...] | None = None
    corpora: tuple[str, ...] | None = None
    tune: dict[str, list[object]] | None = None
    tuned_as: str | None = None


@dataclass(frozen=True)
class Primary:
    """The comparison that answers a study's question, declared before its runs. All other comparisons are exploratory.

    Args:
        setting: the setting that is tested, or several.
        against: the settings that it is compared with. ``"bce@tuned_per_label"`` is ``bce`` under that threshold rule.
        endpoints: test metrics. A metric of decisions must name its threshold rule (``"f1_macro@tuned_common"``); a
            metric of scores must not need one (``"average_precision_macro_tail"``).
        margin: the smallest difference that matters, from 0 to 1.
        unit: what is varied to get an interval: "block" or "seed".
        family: the family of comparisons within which p values are corrected, in words.
        correct_within: the same as columns of the comparison: rows that have the same values in them are one family. None
            makes all rows one family.
        convergence: setting -> the same setting trained for longer, on some of the blocks. Where an endpoint of the two
            differs by ``margin`` or more, the outcome is "not converged".
        outcomes: a possible outcome -> how it is to be read, in words.
    """

    setting: str | tuple[str, ...]
    against: tuple[str, ...]
    endpoints: tuple[str, ...]
    margin: float
    unit: str | None = None
    family: str | None = None
    correct_within: tuple[str, ...] | None = None
    convergence: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> set[str]:
        """The settings that are tested, and those that they are compared with."""
        tested = [self.setting] if isinstance(self.setting, str) else self.setting
        return {*tested, *(name.partition("@")[0] for name in self.against)}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study. Its name is also the name of its result file.

    ``block`` is None in a study with seeds. A pilot run tunes a setting on a block that is not analysed.
    """

    corpus: StudyCorpus
    setting: Setting
    seed: int
    block: int | None = None
    is_pilot: bool = False

    @property
    def name(self) -> str:
        last = f"seed{self.seed}" if self.block is None else f"block{self.block}"
        return f"{self.corpus.name}--{self.setting.name}--{'pilot' if self.is_pilot else last}"

    @property
    def loss_params(self) -> dict[str, object]:
        """The parameters of the loss. In a block, a shuffled assignment is a permutation of the block's own."""
        params = self.setting.params
        if self.block is None or params.get("assignment") != "shuffled":
            return params
        return {"assignment_seed": self.block} | params


@dataclass(frozen=True)
class Study:
    """A study, as :func:`~afl_helpers.studies.load_study` reads it.

    A block is a replicate: it fixes the split of the documents, the seed of training and the permutation of every
    shuffled assignment. A study has either ``blocks`` or ``seeds`` and one ``split_seed``.

    ``tune`` maps fields of the configuration to the values to try; the combination with the best validation ``select_by``
    is used. With blocks, every setting is tuned on each corpus on the block ``pilot``, which is never analysed. While the
    best value is the lowest or highest one that was tried, another one is tried beyond it, at most ``tune_extensions``
    times. With seeds, every combination is trained on the first seed, and all seeds use the best.

    ``record_epochs`` lists the blocks whose runs keep validation scores after every epoch. ``primary`` is None where the
    study declares no primary comparison. ``selected`` has the names of the runs that :meth:`only` leaves to do, or is None.
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
    blocks: list[int] = field(default_factory=list)
    pilot: int | None = None
    tune_extensions: int = 10
    record_epochs: list[int] = field(default_factory=list)
    selected: frozenset[str] | None = None

    def only(self, settings: Iterable[str] | None = None, seeds: Iterable[int] | None = None) -> "Study":
        """Return the study with nothing left to do but the runs of these settings and seeds, and the runs that tune for them.

        Args:
            settings: names of settings; None: all.
            seeds: seeds, or the blocks of a study with blocks; None: all.

        Raises:
            UsageError: the study has no such setting, seed or run.
        """
        names, numbers = [setting.name for setting in self.settings], self.blocks or self.seeds
        wanted = names if settings is None else list(settings)
        chosen = numbers if seeds is None else list(seeds)
        for name in wanted:
            if name not in names:
                raise unknown_name("setting of this study:", name, names)
        for number in chosen:
            if number not in numbers:
                kind = "blocks" if self.blocks else "seeds"
                raise UsageError(f"seed {number} is not in this study; its {kind} are {', '.join(map(str, numbers))}")
        runs = [run for run in self.runs() if run.setting.name in wanted and run.seed in chosen]
        if not runs:
            raise UsageError(
                "this study has no run of that setting with that seed; --dry-run lists the runs that it has"
            )
        choosers = [run for run in map(self.chooser, runs) if run is not None]
        return replace(self, selected=frozenset(run.name for run in (*runs, *choosers)))

    def runs(self) -> list[PlannedRun]:
        """Return all runs that are analysed, in the order in which they are done.

        With blocks, the runs of the primary comparison come first, block by block, then the exploratory ones, block by
        block. With seeds, they are ordered by corpus, then seed, then setting.
        """
        if not self.blocks:
            return [
                PlannedRun(corpus, setting, seed)
                for corpus, seed, setting in itertools.product(self.corpora, self.seeds, self.settings)
                if seed in self.seeds[: setting.n_seeds]
            ]
        runs = [
            PlannedRun(corpus, setting, block, block)
            for block, corpus, setting in itertools.product(self.blocks, self.corpora, self.settings)
            if block in (corpus.blocks or self.blocks)
            and block in (setting.blocks or self.blocks)
            and setting.name in (corpus.settings or (setting.name,))
            and corpus.name in (setting.corpora or (corpus.name,))
        ]
        return sorted(runs, key=self.is_exploratory)

    def is_exploratory(self, run: PlannedRun) -> bool:
        """Return whether a run is outside the primary comparison: by its setting, or because it has only some blocks or corpora."""
        restricted = (run.corpus.blocks, run.corpus.settings, run.setting.blocks, run.setting.corpora)
        if any(only is not None for only in restricted):
            return True
        return self.primary is not None and run.setting.name not in self.primary.settings

    def pilots(self, runs: Iterable[PlannedRun] | None = None) -> list[PlannedRun]:
        """Return the pilot runs that tune for the given runs, or for all."""
        choosers = map(self.chooser, self.runs() if runs is None else runs)
        return list({run.name: run for run in choosers if run is not None and run.is_pilot}.values())

    def chooser(self, run: PlannedRun) -> PlannedRun | None:
        """Return the run whose result says which tuned fields this one uses; None for a run that is not tuned."""
        if run.is_pilot or not self.is_tuned(run.setting):
            return None
        if not self.blocks:
            return replace(run, seed=self.seeds[0])
        if self.pilot is None:
            return None
        corpus = next((one for one in self.corpora if one.name == run.corpus.tuned_as), run.corpus)
        setting = next((one for one in self.settings if one.name == run.setting.tuned_as), run.setting)
        return PlannedRun(corpus, setting, self.pilot, self.pilot, is_pilot=True)

    def path(self, run: PlannedRun) -> Path:
        """Return the path of a run's result file."""
        return self.folder / "runs" / f"{run.name}.json"

    def missing(self, corpora: Iterable[str] | None = None) -> list[PlannedRun]:
        """Return the analysed runs without a result file, on the named corpora or on all."""
        names = {corpus.name for corpus in self.corpora}
        wanted = names if corpora is None else set(corpora)
        for name in wanted - names:
            raise unknown_name("corpus of this study:", name, names)
        return [
            run
            for run in self.runs()
            if run.corpus.name in wanted
            and (self.selected is None or run.name in self.selected)
            and not self.path(run).is_file()
        ]

    def to_do(self, corpora: Iterable[str] | None = None) -> list[PlannedRun]:
        """Return :meth:`missing`, with the missing pilot runs put before the first run that needs one of them.

        The pilot runs of exploratory settings come after the primary comparison.
        """
        missing, runs = self.missing(corpora), list[PlannedRun]()
        if not self.blocks:
            return missing
        for exploratory in (False, True):
            own = [run for run in missing if self.is_exploratory(run) == exploratory]
            first = next((i for i, run in enumerate(own) if not self.is_ready(run, runs)), len(own))
            pilots = [run for run in self.pilots(own) if run not in runs and not self.path(run).is_file()]
            runs += [*own[:first], *pilots, *own[first:]]
        return runs

    def is_ready(self, run: PlannedRun, planned: Sequence[PlannedRun] = ()) -> bool:
        """Return whether the pilot run that tunes for a run is done or among those planned, if there is one."""
        chooser = self.chooser(run)
        return chooser is None or not chooser.is_pilot or chooser in planned or self.path(chooser).is_file()

    def split_seed_of(self, run: PlannedRun) -> int:
        """Return the seed of the split of the documents."""
        return self.split_seed if run.block is None else run.block

    def method_of(self, setting: Setting) -> str:
        """Return the name of the method by which a setting is trained."""
        return setting.method or self.method

    def tuned_fields(self, setting: Setting) -> dict[str, list[object]]:
        """Return the fields that are tuned for a setting, each with the values to try."""
        source = next((one for one in self.settings if one.name == setting.tuned_as), setting)
        if source.tune is not None:
            return source.tune
        return self.tune if self.method_of(setting) == self.method else {}

    def grid(self, setting: Setting) -> Iterator[dict[str, object]]:
        """Yield the tuned fields of each of :meth:`candidates`."""
        tune = self.tuned_fields(setting)
        for values in itertools.product(*tune.values()):
            yield dict(zip(tune, values))

    def candidates(self, setting: Setting, corpus: StudyCorpus | None = None) -> list[Config]:
        """Return the configurations that are tried on a corpus, or on any; only one where nothing is tuned."""
        return [self.configure(setting, corpus, values) for values in self.grid(setting)]

    def configure(self, setting: Setting, corpus: StudyCorpus | None, tuned: Mapping[str, object]) -> Config:
        """Return the configuration of a setting on a corpus with these tuned fields."""
        method = self.method_of(setting)
        own = dict(corpus.config or {}) if corpus else {}
        base = self.config.to_dict() | own if method == self.method else {}
        return METHODS[method].config.from_dict({**base, **setting.config, **tuned})

    def is_tuned(self, setting: Setting) -> bool:
        """Return whether several configurations are tried."""
        return len(list(self.grid(setting))) > 1

    def trains_all_candidates(self, run: PlannedRun) -> bool:
        """Return whether a run trains every candidate: a pilot run does, and with seeds the first seed."""
        return run.is_pilot if self.blocks else run.seed == self.seeds[0]

    def tasks(self, runs: Sequence[PlannedRun], heads: int = 6) -> list[list[PlannedRun]]:
        """Divide runs into tasks; one process does one task at a time.

        With blocks, a task is one run, or up to ``heads`` probes of one corpus and block that follow each other and are
        trained together. With seeds, it is one run, with two exceptions. All seeds of a tuned setting are one task,
        because the first seed chooses for the others. All seeds of up to ``heads`` probes on one corpus are one task.
        """
        by_setting: dict[tuple[object, ...], list[PlannedRun]] = {}
        for run in runs:
            alone = not self.is_tuned(run.setting) and self.method_of(run.setting) != "probe"
            key = (run.corpus.name, run.setting.name, run.seed if alone or self.blocks else None, run.is_pilot)
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
        same = one.corpus == other.corpus and (one.block, one.is_pilot) == (other.block, other.is_pilot)
        return methods == {"probe"} and same
