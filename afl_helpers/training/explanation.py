"""Which words made a label: exact contributions for a linear model, integrated gradients for an encoder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from afl_helpers.errors import require
from afl_helpers.training.embedding import FrozenEncoder

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: Points of the path from no words to the text: with MiniLM, the contributions then add up to within 0.001.
N_STEPS = 32


@dataclass(frozen=True)
class Explanation:
    """What each word of a text adds to the log odds of a label.

    ``start`` and the contributions add up to ``log_odds``: exactly for a linear model, and up to the error of the
    integral for an encoder.

    Attributes:
        label: name of the label.
        log_odds: of the label for this text; the score is their sigmoid.
        start: the log odds without any words.
        words: (word or words, contribution), in order of the text.
    """

    label: str
    log_odds: float
    start: float
    words: list[tuple[str, float]] = field(repr=False)

    def to_frame(self) -> "pd.DataFrame":
        """Return the words as a data frame, with ``label, word, contribution``; the largest contribution comes first."""
        frame: pd.DataFrame = require("pandas", "data", "to_frame").DataFrame(
            [(self.label, word, contribution) for word, contribution in self.strongest()],
            columns=["label", "word", "contribution"],
        )
        return frame

    def strongest(self, n: int | None = None) -> list[tuple[str, float]]:
        """Return the n words that contribute most, for or against the label; by default all of them."""
        return sorted(self.words, key=lambda item: -abs(item[1]))[:n]


def integrated_gradients(
    model: "PreTrainedModel | FrozenEncoder",
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    max_length: int,
    labels: Sequence[int],
    n_steps: int = N_STEPS,
) -> list[tuple[float, float, list[tuple[str, float]]]]:
    """Return, for each label, the log odds, those of the baseline, and the contribution of each word.

    This is the method of Sundararajan, Taly & Yan (ICML 2017), Eq. 1, on the input embeddings. The baseline is the text
    with every token, other than the special ones, replaced by the padding token. The path is straight; its integral is
    computed by Gauss-Legendre quadrature. The contributions of a word's pieces are added up.

    Args:
        model: returns logits, (batch, n_labels), or an object that has them.
        text: what is beyond ``max_length`` tokens is not read, and so contributes nothing.
        labels: positions of the labels.
        n_steps: points of the path at which the gradient is computed.
    """
    model.eval()
    device = next(model.parameters()).device
    encoded = tokenizer(
        text, truncation=True, max_length=max_length, return_offsets_mapping=True, return_special_tokens_mask=True
    )
    ids = torch.tensor([encoded["input_ids"]], device=device)
    special = torch.tensor([encoded["special_tokens_mask"]], device=device).bool()
    masked = torch.where(special, ids, tokenizer.pad_token_id)
    embedding = (model.encoder if isinstance(model, FrozenEncoder) else model).get_input_embeddings()
    with torch.no_grad():
        end, start = embedding(ids), embedding(masked)
    points, weights = np.polynomial.legendre.leggauss(n_steps)  # on [-1, 1]
    along = torch.tensor((points + 1) / 2, dtype=end.dtype, device=device)
    steps = torch.tensor(weights / 2, dtype=end.dtype, device=device)
    path = (start + along[:, None, None] * (end - start)).requires_grad_(True)

    def logits(embedded: Tensor) -> Tensor:
        mask = torch.ones(embedded.shape[:2], dtype=torch.long, device=device)
        with _embedded_as(embedding, embedded):
            output = model(input_ids=ids.expand(len(embedded), -1), attention_mask=mask)
        return output if isinstance(output, Tensor) else output.logits

    with torch.no_grad():
        at_end, at_start = logits(torch.cat([end, start])).double().tolist()
    along_path = logits(path)
    explained = []
    for label in labels:
        [gradient] = torch.autograd.grad(along_path[:, label] @ steps, path, retain_graph=True)
        by_token = (gradient.sum(0) * (end - start)[0]).sum(-1).double().tolist()
        explained.append((at_end[label], at_start[label], _by_word(text, encoded, by_token)))
    return explained


@contextmanager
def _embedded_as(embedding: nn.Module, values: Tensor) -> Iterator[None]:
    """Let the embedding layer return these values, whatever tokens it is called with."""
    handle = embedding.register_forward_hook(lambda module, inputs, output: values)
    try:
        yield
    finally:
        handle.remove()


def _by_word(text: str, encoded: Any, by_token: Sequence[float]) -> list[tuple[str, float]]:
    """Add up the contributions of the pieces of each word; special tokens belong to no word."""
    words: dict[int, tuple[int, int, float]] = {}
    for word, (first, last), contribution in zip(encoded.word_ids(), encoded["offset_mapping"], by_token):
        if word is not None:
            begin, _, total = words.get(word, (first, last, 0.0))
            words[word] = (begin, last, total + contribution)
    return [(text[first:last], total) for first, last, total in words.values()]
