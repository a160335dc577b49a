"""Run texts through an encoder in batches of similar length, and cache the embeddings of a frozen encoder."""

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor, nn

from afl_helpers.errors import StorageError, TrainingError, UsageError
from afl_helpers.files import CACHE_DIR_VARIABLE, cache_dir, reason_of, replacing
from afl_helpers.progress import progress_bar
from afl_helpers.training.encoders import ENCODERS, default_device, load_encoder, load_tokenizer, max_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def check_length(max_length: int, model: "PreTrainedModel | _Pooled") -> None:
    """Raise UsageError if the encoder has fewer positions than ``max_length``."""
    limit = max_tokens(model.config)
    if limit is not None and max_length > limit:
        raise UsageError(f"max_length is {max_length}, but the encoder takes at most {limit} tokens; pass at most that")


def _length_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Yield batches of indices, longest texts first; a padded batch has at most ``max_tokens`` tokens."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        size = max(1, max_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


@contextmanager
def enough_memory(remedy: str) -> Iterator[None]:
    """Turn an out-of-memory error of the block into a TrainingError that ends with ``remedy``."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise TrainingError(f"the GPU's memory is too small; {remedy}") from None
    except MemoryError:
        raise TrainingError(f"the memory is too small; {remedy}") from None
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch's message on a CPU
            raise
        raise TrainingError(f"the memory is too small; {remedy}") from None


@torch.inference_mode()
def forward(
    model: nn.Module,
    tokenizer: "PreTrainedTokenizerBase",
    texts: Sequence[str],
    max_length: int,
    progress: bool = False,
) -> Tensor:
    """Compute the output of ``model`` for each text, (n_texts, width) float32 on the CPU.

    Raises:
        TrainingError: there is too little memory.
    """
    model.eval()
    device = next(model.parameters()).device
    encoded = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    batches = list(_length_batches([len(ids) for ids in encoded], 32 * max_length))
    outputs, positions = [], []
    with progress_bar(total=len(texts), desc="embedding", unit="text", show=progress) as bar:
        for batch in batches:
            padded = tokenizer.pad({"input_ids": [encoded[i] for i in batch]}, return_tensors="pt")
            with enough_memory(f"pass a max_length below {max_length}, or close what else uses it"):
                output = model(**{name: value.to(device) for name, value in padded.items()})
            outputs.append((output if isinstance(output, Tensor) else output.logits).float().cpu())
            positions.append(batch)
            bar.update(len(batch))
    result = torch.cat(outputs)
    return result[torch.from_numpy(np.argsort(np.concatenate(positions)))]


class FrozenEncoder(nn.Module):
    """Standardize the mean-pooled embeddings of a frozen encoder and apply a linear head: (batch, n_labels) logits."""

    mean: Tensor
    scale: Tensor

    def __init__(self, encoder: "PreTrainedModel", n_labels: int, width: int) -> None:
        super().__init__()
        self.encoder: PreTrainedModel = encoder.requires_grad_(False)
        self.head = nn.Linear(width, n_labels)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    @property
    def config(self) -> "PreTrainedConfig":
        """Return the configuration of the encoder."""
        return self.encoder.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute the logits for token ids and their mask, both (batch, length)."""
        return self.head((mean_pool(self.encoder, input_ids, attention_mask) - self.mean) / self.scale)

    def head_state(self) -> dict[str, Tensor]:
        """Return the weights of the head and of the standardization."""
        return {"weight": self.head.weight, "bias": self.head.bias, "mean": self.mean, "scale": self.scale}

    def load_head_state(self, state: dict[str, Tensor]) -> None:
        """Load what :meth:`head_state` returned."""
        self.head.load_state_dict({name: state[name] for name in ("weight", "bias")})
        self.mean.copy_(state["mean"])
        self.scale.copy_(state["scale"])


def mean_pool(encoder: "PreTrainedModel", input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Compute the mean of the last hidden states over the tokens of each text, (batch, width).

    Of word vectors, words without one do not count; a text without any known word gives zeros.
    """
    from afl_helpers.training.word_vectors import WordVectors  # here: it loads models of transformers

    hidden = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    if isinstance(encoder, WordVectors):
        attention_mask = attention_mask * encoder.is_known(input_ids)
    weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)


class _Pooled(nn.Module):
    encoder: "PreTrainedModel"

    def __init__(self, encoder: "PreTrainedModel") -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return mean_pool(self.encoder, input_ids, attention_mask)


def _encoder_identity(encoder: str) -> str:
    """Return the name of an encoder, or the hash of its weights if it is a folder, because these may change."""
    folder = Path(encoder)
    if encoder in ENCODERS or not folder.is_dir():
        return encoder
    digest = hashlib.sha256()
    for weights in sorted(folder.glob("*.safetensors")):
        digest.update(hashlib.sha256(weights.read_bytes()).digest())
    return digest.hexdigest()


def embed(
    texts: Sequence[str], encoder: str = "minilm", max_length: int = 128, progress: bool = True, keep: bool = True
) -> dict[str, NDArray[np.float32]]:
    """Return the embedding of each distinct text, (width,), computed once and kept in the cache folder.

    With ``keep=False``, the cache is neither read nor written: for texts that will not come again.

    A file of the cache holds one set of texts. Texts that stand in another file of the same encoder and length are taken
    from there, so that a document added or another split costs the new texts alone.

    Example:
        >>> from afl_helpers.training import embed
        >>> embed(["A duel at noon."], encoder="tiny", max_length=16, progress=False)["A duel at noon."].shape
        (128,)
    """
    unique = sorted(set(texts))
    if not unique:
        return {}
    if not keep:
        model, tokenizer = _kept_encoder(encoder)
        return dict(zip(unique, forward(model, tokenizer, unique, max_length, progress).numpy()))
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in unique]
    name = hashlib.sha256(json.dumps([_encoder_identity(encoder), max_length]).encode()).hexdigest()[:16]
    path = cache_dir() / "embeddings" / f"{name}-{hashlib.sha256(b''.join(keys)).hexdigest()[:32]}.npy"
    kept = _cached(path)
    if kept is not None and len(kept) == len(unique):
        return dict(zip(unique, kept["vector"]))
    lock = FileLock(path.with_name(f"{name}.lock"))  # only one of several processes embeds the texts
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        acquired = lock.acquire()
    except OSError as error:
        _warn_of_cache(path.parent, reason_of(error))
        return dict(zip(unique, _embed(unique, encoder, max_length, progress)))
    with acquired:
        known = _known(path.parent.glob(f"{name}-*.npy"), set(keys))
        missing = [text for text, key in zip(unique, keys) if key not in known]
        if missing:
            new = _embed(missing, encoder, max_length, progress)
            known |= dict(zip((key for key in keys if key not in known), new))
        vectors = np.stack([known[key] for key in keys])
        try:
            with replacing(path) as part, open(part, "wb") as file:
                np.save(file, _packed(keys, vectors), allow_pickle=False)
        except StorageError as error:
            _warn_of_cache(path.parent, reason_of(error.__cause__ if isinstance(error.__cause__, OSError) else error))
    return dict(zip(unique, vectors))


def _packed(keys: Sequence[bytes], vectors: NDArray[np.float32]) -> NDArray[np.void]:
    """Return one record per text: the SHA-256 of its UTF-8 and its vector."""
    records = np.empty(len(keys), [("key", "V32"), ("vector", "<f4", vectors.shape[1:])])
    records["key"] = np.frombuffer(b"".join(keys), "V32")
    records["vector"] = vectors
    return records


def _known(files: Iterable[Path], wanted: set[bytes]) -> dict[bytes, NDArray[np.float32]]:
    """Return the vectors of the wanted texts that stand in files of the cache."""
    known: dict[bytes, NDArray[np.float32]] = {}
    for file in sorted(files):
        records = _cached(file)
        if records is not None:
            for i, key in enumerate(records["key"]):
                if (found := key.tobytes()) in wanted and found not in known:
                    known[found] = np.array(records["vector"][i])
    return known


@lru_cache(maxsize=1)  # texts that are not kept come a few at a time, and loading takes longer than they do
def _kept_encoder(encoder: str) -> tuple["_Pooled", "PreTrainedTokenizerBase"]:
    return _Pooled(load_encoder(encoder)).to(default_device()), load_tokenizer(encoder)


def _embed(texts: list[str], encoder: str, max_length: int, progress: bool) -> NDArray[np.float32]:
    model = _Pooled(load_encoder(encoder)).to(default_device())
    check_length(max_length, model)
    vectors: NDArray[np.float32] = forward(model, load_tokenizer(encoder), texts, max_length, progress).numpy()
    return vectors


def _warn_of_cache(folder: Path, reason: str) -> None:
    """Say that embeddings are not kept; whoever asked for them gets them all the same."""
    warnings.warn(
        f"embeddings cannot be kept in {folder} ({reason}), so the next run computes them again; set {CACHE_DIR_VARIABLE} to "
        "a folder that can be written",
        stacklevel=3,
    )


def _cached(path: Path) -> NDArray[np.void] | None:
    """Return the records of a file of the cache, or None if it is missing or broken."""
    try:
        records = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return records if records.ndim == 1 and records.dtype.names == ("key", "vector") else None
