"""The two sizes of the book: ``AFL_PROFILE=quick`` (default) on a laptop, ``AFL_PROFILE=full`` at the paper's scale."""

import os
from dataclasses import dataclass

import torch

from afl_helpers.config import TrainingConfig
from afl_helpers.data import Corpus, load_corpus
from afl_helpers.encoders import ENCODERS, find_encoder
from afl_helpers.errors import UsageError, unknown_name


@dataclass(frozen=True)
class Profile:
    """What the chapters run on: a corpus, the labels kept of it, how much of it is trained on, and the settings."""

    name: str
    corpus: str
    min_count: int
    n_documents: int | None
    config: TrainingConfig

    def load(self) -> Corpus:
        """The corpus with its kept labels, and no more documents than the profile trains on."""
        corpus = load_corpus(self.corpus).select_labels(min_count=self.min_count)
        if self.n_documents is None or self.n_documents >= len(corpus):
            return corpus
        part, _, _ = corpus.split(self.n_documents / len(corpus), 1 - self.n_documents / len(corpus), 0.0, seed=0)
        return part

    def describe(self) -> str:
        """One sentence for the reader: profile, data, encoder, device."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        return (
            f"Profile {self.name}: corpus {self.corpus}, encoder {self.config.encoder} "
            f"({ENCODERS[self.config.encoder].description.split(',')[0]}), on {device}."
        )


PROFILES = {
    "quick": Profile(
        "quick", "toy", 10, 1200,
        TrainingConfig(encoder="minilm", max_length=64, epochs=2, learning_rate=3e-4),
    ),
    "full": Profile("full", "cmu", 10, None, TrainingConfig()),
}


def active_profile() -> Profile:
    """The profile that ``AFL_PROFILE`` names, after a check that it can run here.

    Raises:
        UsageError: an unknown name, and where GPU, data or encoder of the full profile are missing: one sentence that
        names everything that is.
    """
    name = os.environ.get("AFL_PROFILE", "quick")
    if name not in PROFILES:
        raise unknown_name("AFL_PROFILE", name, PROFILES)
    profile = PROFILES[name]
    if name == "full":
        missing = _missing(profile)
        if missing:
            raise UsageError(
                f"AFL_PROFILE=full cannot run here: {'; '.join(missing)}. "
                "Provide what is missing, or use AFL_PROFILE=quick"
            )
    return profile


def _missing(profile: Profile) -> list[str]:
    """What the profile lacks on this machine, each with what to do; found in seconds, without downloading."""
    from afl_helpers.data.cmu import cmu_available

    missing = []
    if not torch.cuda.is_available():
        missing.append("no GPU is visible to torch (install a CUDA build of torch on a machine with a GPU)")
    if not cmu_available():
        missing.append(
            "the CMU plots are neither in AFL_DATA_DIR nor in the cache, and www.cs.cmu.edu cannot be reached "
            "(put plot_summaries.txt into AFL_DATA_DIR/cmu)"
        )
    try:
        find_encoder(profile.config.encoder)
    except OSError as error:
        missing.append(str(error))
    return missing
