"""How long runs will take, estimated from runs that were recorded on the same device."""

from collections.abc import Sequence

import torch

from afl_helpers.results import Result
from afl_helpers.studies.plan import PlannedRun, Study


def device_at_hand() -> str:
    """Return the name of the GPU that training would use here, or "CPU"."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def estimate_seconds(
    study: Study, runs: Sequence[PlannedRun], results: Sequence[Result], device: str | None = None
) -> tuple[float, int]:
    """Estimate how long runs take one after the other on one kind of device.

    The estimate for a run is the mean over the most similar runs recorded on that device: those of this study, corpus and
    setting; else of this study and corpus; else of this study; else of the same method and encoder (for a remedy, of any
    head on fixed features), scaled by epochs, documents and tokens. Where the epochs are fixed, runs of other settings are scaled by them. On the first seed, or in a
    pilot run, every tuned candidate counts.

    Args:
        runs: runs of the study.
        results: runs of any studies.
        device: the name of a GPU, or "CPU", whose runs count; by default the device at hand. The runs of a CPU say nothing
            about a GPU.

    Returns:
        The seconds, and the number of runs without a similar run recorded on that device, which the seconds leave out.
    """
    device = device or device_at_hand()
    total, unknown = 0.0, 0
    for run in runs:
        seconds = _seconds_of_similar(study, run, results, device)
        if seconds is None:
            seconds = _seconds_by_size(study, run, results, device)
        if seconds is None:
            unknown += 1
        else:
            total += seconds * (
                len(study.candidates(run.setting, run.corpus)) if study.trains_all_candidates(run) else 1
            )
    return total, unknown


def _was_on(device: str, result: Result) -> bool:
    """Return whether a run was on a device; files name a CPU with its number of threads."""
    recorded = str(result.environment["device"])
    return recorded == device or recorded.startswith(f"{device},")


def _seconds_of_similar(study: Study, run: PlannedRun, results: Sequence[Result], device: str) -> float | None:
    own = [result for result in results if result.study == study.name and _was_on(device, result)]
    same_corpus = [result for result in own if result.data.corpus == run.corpus.name]
    same_setting = [result for result in same_corpus if result.setting == run.setting.name]
    similar = same_setting or same_corpus or own
    config = study.candidates(run.setting, run.corpus)[0]
    epochs = getattr(config, "epochs", None) if getattr(config, "keep", "best") == "last" else None

    def seconds(result: Result) -> float:
        scale = epochs / result.time.epochs if epochs and result.time.epochs else 1.0
        return result.time.seconds * scale

    return sum(map(seconds, similar)) / len(similar) if similar else None


def _seconds_by_size(study: Study, run: PlannedRun, results: Sequence[Result], device: str) -> float | None:
    config, method = study.candidates(run.setting, run.corpus)[0], study.method_of(run.setting)
    # A remedy is a head too. Its features are computed beforehand, so it does not matter from which encoder they come.
    methods = (method, "probe") if method == "remedy" else (method,)
    similar = [
        result
        for result in results
        if result.method in methods
        and (method == "remedy" or result.encoder == getattr(config, "encoder", None))
        and _was_on(device, result)
    ]
    sizes = [result.data.sizes["train"] for result in results if result.data.corpus == run.corpus.name]
    if run.corpus.train is not None:
        sizes = [run.corpus.train]
    elif not sizes and run.corpus.n_documents is not None:
        sizes = [round(0.8 * run.corpus.n_documents)]
    if not similar or not sizes:
        return None
    seconds_per_token = sum(
        result.time.seconds
        / ((result.time.epochs or 1) * result.data.sizes["train"] * result.config.get("max_length", 1))
        for result in similar
    ) / len(similar)
    epochs = min(getattr(config, "epochs", 1), max((result.time.epochs or 1) for result in similar))
    return seconds_per_token * epochs * max(sizes) * getattr(config, "max_length", 1)


def describe_seconds(seconds: float) -> str:
    """Return a duration in words, such as "about 2 h 10 min".

    Example:
        >>> from afl_helpers.studies import describe_seconds
        >>> describe_seconds(7800)
        'about 2 h 10 min'
    """
    minutes = max(1, round(seconds / 60))
    return f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {minutes} min"
