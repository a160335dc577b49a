"""How long a study takes on the device at hand, from a few steps of each of its settings. Nothing is kept."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afl_helpers.errors import UsageError
from afl_helpers.progress import progress_bar
from afl_helpers.studies.estimate import describe_seconds, device_at_hand
from afl_helpers.studies.plan import PlannedRun, Setting, Study
from afl_helpers.studies.run import Splits, corpus_splits
from afl_helpers.training.config import TrainingConfig

if TYPE_CHECKING:
    from afl_helpers.training.speed import Speed


@dataclass(frozen=True)
class Calibration:
    """What was measured, and the plan that follows from it.

    Attributes:
        study: the study.
        device: the name of the GPU, or "CPU".
        runs: the runs that are planned, in their order.
        speeds: (corpus, setting) -> how fast it is.
        sizes: corpus -> split -> number of documents.
    """

    study: Study
    device: str
    runs: Sequence[PlannedRun]
    speeds: Mapping[tuple[str, str], "Speed"]
    sizes: Mapping[str, Mapping[str, int]]

    def seconds(self, run: PlannedRun) -> tuple[float, float]:
        """Return the fewest and the most seconds that a run takes.

        The fewest are those of a run that stops as early as its patience allows; the most are those of all epochs. A pilot run
        trains every candidate, and at most ``tune_extensions`` more for each field that is tuned.
        """
        speed, sizes = self.speeds[run.corpus.name, run.setting.name], self.sizes[run.corpus.name]
        per_validation = sizes["validation"] * speed.seconds_per_document
        scored_at_end = sizes["validation"] + (0 if run.is_pilot else sizes["test"])
        fewest, most = [], []
        for config in _candidates(self.study, run.setting):
            epoch = _steps(config, sizes["train"]) * speed.seconds_per_step
            if config.keep == "best" or (run.block in self.study.record_epochs and not run.is_pilot):
                epoch += per_validation
            end = scored_at_end * speed.seconds_per_document
            fewest.append(_epochs(config)[0] * epoch + end)
            most.append(_epochs(config)[1] * epoch + end)
        if not self.study.trains_all_candidates(run):
            return min(fewest), max(most)
        extensions = self.study.tune_extensions * len(self.study.tune) if run.is_pilot else 0
        return sum(fewest), sum(most) + extensions * max(most)

    def total(self, runs: Iterable[PlannedRun]) -> tuple[float, float]:
        """Return the fewest and the most seconds that runs take one after the other."""
        times = [self.seconds(run) for run in runs]
        return sum(low for low, _ in times), sum(high for _, high in times)

    def parts(self) -> dict[str, list[PlannedRun]]:
        """Return the planned runs up to the end of the first complete comparison, of the primary comparison and of all."""
        primary = [run for run in self.runs if not run.is_pilot and not self.study.is_exploratory(run)]
        parts = {}
        if primary:
            block = (primary[0].block, primary[0].seed)
            parts["the first complete comparison"] = [run for run in primary if (run.block, run.seed) == block]
            if self.study.primary is not None:
                parts["the primary comparison"] = primary
        return {name: self._with_pilots(runs) for name, runs in parts.items()} | {"everything": list(self.runs)}

    def _with_pilots(self, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
        needed = {run.name for run in self.study.pilots(runs)}
        return [*(run for run in self.runs if run.name in needed), *runs]

    def describe(self) -> str:
        """Return the plan in words: a line for each setting, then how long the parts of the study take."""
        what = "a CPU; a GPU needs a calibration of its own" if self.device == "CPU" else self.device
        lines = [f"{self.study.name}, measured on {what}"]
        epochs = set()
        settings = {setting.name: setting for setting in self.study.settings}
        for (corpus, setting), speed in self.speeds.items():
            config = _candidates(self.study, settings[setting])[0]
            steps = _steps(config, self.sizes[corpus]["train"])
            epochs.add(_epochs(config))
            lines.append(
                f"  {corpus}, {setting}: {speed.seconds_per_step:.3g} s per step of {config.batch_size * config.accumulation_steps} documents "
                f"({speed.n_steps} measured), {steps:,} steps and {describe_seconds(steps * speed.seconds_per_step)} per epoch"
            )
        for name, runs in self.parts().items():
            low, high = map(describe_seconds, self.total(runs))
            pilots = sum(run.is_pilot for run in runs)
            tuning = f" and {pilots} pilot runs" if pilots else ""
            lines.append(f"{name}, {len(runs) - pilots} runs{tuning}: {low if low == high else f'{low} to {high}'}")
        return "\n".join([*lines, *self._remarks(epochs)])

    def _remarks(self, epochs: set[tuple[int, int]]) -> list[str]:
        remarks = []
        for low, high in sorted(epochs):
            if low < high:
                remarks.append(
                    f"A run may stop early, after {low} to {high} epochs; the two times are for these numbers."
                )
        if any(run.is_pilot for run in self.runs):
            remarks.append("The longer time counts a grid of tuned values that grows as often as it may.")
        remarks.append("Reading, tokenizing, checkpoints and the tuning of thresholds come on top.")
        return remarks


def calibrate(
    study: Study, corpora: Iterable[str] | None = None, seconds: float = 120, progress: bool = True
) -> Calibration:
    """Measure a few training steps of every setting that has runs to do, and return the plan.

    Args:
        corpora: only the runs on these corpora of the study.
        seconds: about how long the measuring takes, without reading the corpora. Each setting gets the same share, and at
            least five steps.

    Raises:
        UsageError: no missing run of the study fine-tunes an encoder.
    """
    from afl_helpers.training.speed import measure_speed  # here, because it needs Trainer, which takes seconds

    if not seconds > 0:
        raise UsageError(f"seconds is {seconds!r}; pass a number above 0")
    runs = [run for run in study.to_do(corpora) if study.method_of(run.setting) == "fine_tune"]
    if not runs:
        raise UsageError(
            f"no missing run of study {study.name!r} fine-tunes an encoder, so there is nothing to measure"
        )
    first: dict[tuple[str, str], PlannedRun] = {}
    splits: dict[str, Splits] = {}
    for run in runs:
        first.setdefault((run.corpus.name, run.setting.name), run)
        if run.corpus.name not in splits:
            splits[run.corpus.name] = corpus_splits(run.corpus, study.split_seed_of(run))[1]
    speeds: dict[tuple[str, str], Speed] = {}
    end = time.perf_counter() + seconds
    with progress_bar(total=len(first), unit="setting", desc="measuring", show=progress) as bar:
        for key, run in first.items():
            share = max(0.0, end - time.perf_counter()) / (len(first) - len(speeds))
            train, config = splits[run.corpus.name][0], _candidates(study, run.setting)[0]
            speeds[key] = measure_speed(train, run.setting.loss, config, share, loss_params=run.loss_params)
            bar.update()
    sizes = {
        name: {split: len(part) for split, part in zip(("train", "validation", "test"), own)}
        for name, own in splits.items()
    }
    return Calibration(study, device_at_hand(), runs, speeds, sizes)


def _candidates(study: Study, setting: Setting) -> list[TrainingConfig]:
    """Return the configurations of a setting that fine-tunes an encoder."""
    return [config for config in study.candidates(setting) if isinstance(config, TrainingConfig)]


def _steps(config: TrainingConfig, n_documents: int) -> int:
    """Return the number of steps of an epoch."""
    return math.ceil(n_documents / (config.batch_size * config.accumulation_steps))


def _epochs(config: TrainingConfig) -> tuple[int, int]:
    """Return the fewest and the most epochs of a run: one that keeps its best epoch can stop once its patience is over."""
    fewest = min(config.patience + 1, config.epochs) if config.keep == "best" else config.epochs
    return fewest, config.epochs
