"""Upload a trained model with its model card to the Hugging Face hub."""

import tempfile
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from afl_helpers.data import Corpus
from afl_helpers.errors import StorageError, UsageError, first_line
from afl_helpers.training.encoders import ENCODERS
from afl_helpers.training.model_card import render_model_card
from afl_helpers.training.run import Run

#: The base is the error of the HTTP client, which differs by version of huggingface_hub; the others are OSErrors.
_HUB_ERRORS: tuple[type[BaseException], ...] = (*HfHubHTTPError.__bases__, OSError)


def push_to_hub(run: Run, train: Corpus, repository: str, *, private: bool = True) -> str:
    """Upload what :meth:`Run.save` writes, with the model card as README.md, and return the address of the commit.

    Log in first, by ``hf auth login`` or the variable HF_TOKEN. Another machine loads the model by
    ``load_predictor(huggingface_hub.snapshot_download(repository))``.

    Args:
        run: a run of ``fine_tune``, ``probe`` or ``tfidf``.
        train: the corpus that the model was trained on; the card describes it.
        repository: "organisation/name"; it is created if it does not exist.
        private: whether a new repository is private. A repository that exists is left as it is.

    Raises:
        UsageError: the method has nothing to save, or the hub does not allow the name.
        StorageError: the hub refuses the upload or cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="afl-") as scratch:
        folder = run.save(Path(scratch, "model"))
        (folder / "README.md").write_text(_metadata(run) + render_model_card(run, train), encoding="utf-8")
        hub = HfApi(library_name="afl-helpers")
        try:
            hub.create_repo(repository, private=private, exist_ok=True)
            commit = hub.upload_folder(
                repo_id=repository, folder_path=folder, commit_message="Upload the model and its card"
            )
        except HFValidationError as error:
            raise UsageError(
                f"repository is {repository!r}, which the hub does not allow ({first_line(error)}); pass "
                "'organisation/name'"
            ) from None
        except _HUB_ERRORS as error:
            raise StorageError(
                f"{repository} cannot be uploaded to the hub ({first_line(error)}); log in with `hf auth login`, and check "
                "the connection and who may write there"
            ) from error
    return str(commit.commit_url)


def _metadata(run: Run) -> str:
    """Return the lines at the top of a card by which the hub finds and shows a model."""
    encoder = ENCODERS.get(run.encoder or "")
    base = f"base_model: {encoder.repository}\n" if encoder is not None and encoder.repository else ""
    return (
        "---\n"
        f"library_name: {'transformers' if run.method == 'fine_tune' else 'afl-helpers'}\n"
        f"{base}pipeline_tag: text-classification\ntags: [multi-label-classification, afl-helpers]\n"
        "---\n\n"
    )
