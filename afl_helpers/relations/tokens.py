"""The states of the tokens of texts, from a frozen encoder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from afl_helpers.progress import progress_bar
from afl_helpers.training.embedding import check_length, enough_memory
from afl_helpers.training.encoders import default_device, load_encoder, load_tokenizer

_TOGETHER = 32


@torch.inference_mode()
def token_states(
    texts: Sequence[str], encoder: str = "minilm", max_length: int = 128, progress: bool = True
) -> list[NDArray[np.float16]]:
    """Return the last hidden states of the tokens of each text, (n_tokens, width), in the order of the texts.

    Their mean is what :func:`~afl_helpers.training.embed` returns, up to the rounding to float16. They are not cached:
    10,000 texts of 128 tokens take 1 GB for a width of 384.

    Example:
        >>> from afl_helpers.relations import token_states
        >>> [states.shape for states in token_states(["A duel.", "A duel at noon."], "tiny", 16, progress=False)]
        [(5, 128), (7, 128)]
    """
    model: Any = load_encoder(encoder)  # transformers declares its `to` with a wrong type
    model.to(default_device()).eval()
    check_length(max_length, model)
    tokenizer = load_tokenizer(encoder)
    ids = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    order = np.argsort([-len(tokens) for tokens in ids], kind="stable")
    states: list[NDArray[np.float16]] = [np.empty((0, 0), dtype=np.float16)] * len(ids)
    with progress_bar(total=len(ids), desc="token states", unit="text", show=progress) as bar:
        for start in range(0, len(order), _TOGETHER):
            batch = order[start : start + _TOGETHER].tolist()
            padded = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
            with enough_memory(f"pass a max_length below {max_length}, or close what else uses it"):
                hidden = model(**{name: value.to(model.device) for name, value in padded.items()}).last_hidden_state
            for i, document in zip(batch, hidden.half().cpu().numpy()):
                states[i] = document[: len(ids[i])].copy()
            bar.update(len(batch))
    return states
