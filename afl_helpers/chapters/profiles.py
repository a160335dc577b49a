"""The book's two profiles: ``AFL_PROFILE=quick`` (default) for a laptop, ``AFL_PROFILE=full`` for the paper's scale."""

import os
from dataclasses import dataclass

import torch

from afl_helpers.data import Corpus, load_corpus
from afl_helpers.data.sources import cmu
from afl_helpers.data.sources.download import local_data_dir
from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.files import cache_dir
from afl_helpers.training.config import TrainingConfig
from afl_helpers.training.encoders import ENCODERS, find_encoder, has_network


@dataclass(frozen=True)
class Profile:
    """What the chapters run on.

    Attributes:
        name: Value of ``AFL_PROFILE``.
        corpus: Name of the corpus.
        min_count: Labels on fewer documents are dropped.
        n_documents: Number of documents to use, or None for all.
        config: Configuration of training.
    """

    name: str
    corpus: str
    min_count: int
    n_documents: int | None
    config: TrainingConfig

    def load(self) -> Corpus:
        """Return the corpus with its frequent labels and at most ``n_documents`` documents."""
        corpus = load_corpus(self.corpus).select_labels(min_count=self.min_count)
        return corpus if self.n_documents is None else corpus.sample(self.n_documents)

    def describe(self) -> str:
        """Return one sentence that names profile, corpus, encoder and device."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        return (
            f"Profile {self.name}: corpus {self.corpus}, encoder {self.config.encoder} "
            f"({ENCODERS[self.config.encoder].description.split(',')[0]}), on {device}."
        )


PROFILES = {
    "quick": Profile(
        "quick",
        "toy",
        10,
        1200,
        # Few documents give few steps: small batches add some, and none go to a bias that starts where a constant is best.
        TrainingConfig(encoder="minilm", max_length=64, epochs=2, batch_size=8, learning_rate=2e-4),
    ),
    "full": Profile("full", "cmu", 10, None, TrainingConfig()),
}


def active_profile() -> Profile:
    """Return the profile that ``AFL_PROFILE`` names.

    Raises:
        UsageError: If the name is unknown, or if this machine lacks the GPU, data or encoder of the full profile. The
            message names everything that is missing.
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


def _plots_within_reach() -> bool:
    """Return whether the CMU plots are on this machine or can be downloaded."""
    data_dir = local_data_dir()
    places = [] if data_dir is None else [data_dir / "cmu", data_dir]
    files = [cmu.PLOTS_FILE, f"{cmu.PLOTS_FILE}.gz", cmu.ARCHIVE, f"{cmu.FOLDER}/{cmu.PLOTS_FILE}"]
    here = any((place / file).is_file() for place in places for file in files)
    return here or (cache_dir() / cmu.ARCHIVE).is_file() or has_network("www.cs.cmu.edu", port=80)


def _missing(profile: Profile) -> list[str]:
    """Return what this machine lacks for the profile, each with what to do. Takes seconds and downloads nothing."""
    missing = []
    if not torch.cuda.is_available():
        missing.append("no GPU is visible to torch (install a CUDA build of torch on a machine with a GPU)")
    if not _plots_within_reach():
        missing.append(
            "the CMU plots are neither in AFL_DATA_DIR nor in the cache, and www.cs.cmu.edu cannot be reached "
            "(put plot_summaries.txt into AFL_DATA_DIR/cmu)"
        )
    try:
        find_encoder(profile.config.encoder)
    except OSError as error:
        missing.append(str(error))
    return missing
