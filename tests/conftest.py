"""What several modules of tests share."""

import pytest

from afl_helpers.data import Corpus, load_corpus


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """A cache folder of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFL_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def parts() -> tuple[Corpus, Corpus, Corpus]:
    """Train, validation and test of 160 documents with four labels."""
    corpus = load_corpus("toy").select_labels(top=4).sample(160)
    return corpus.split(0.6, 0.2, 0.2, seed=0)
