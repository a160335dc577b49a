"""The linear model on word counts: it predicts, says which words made a label, and is saved without a pickle."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy import sparse

from afl_helpers.files import write_json
from afl_helpers.training.explanation import Explanation
from afl_helpers.training.predictor import LabelPredictor

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

_WORDS = "words.json"
_WEIGHTS = "weights.safetensors"


def new_vectorizer(ngrams: int, **options: Any) -> "TfidfVectorizer":
    """Return the vectorizer of the model: features of up to ``ngrams`` words, lower case, with sublinear counts."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # here, because it takes a second

    return TfidfVectorizer(ngram_range=(1, ngrams), sublinear_tf=True, **options)


@dataclass
class WordCountPredictor(LabelPredictor):
    """One linear classifier per label on TF-IDF features.

    Args:
        weights: (n_labels, n_features).
        bias: (n_labels,).
    """

    vectorizer: "TfidfVectorizer" = field(repr=False)
    weights: NDArray[np.floating] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        margins = sparse.csr_array(self.vectorizer.transform(texts)) @ self.weights.T + self.bias
        return torch.sigmoid(torch.from_numpy(margins)).numpy()

    def _explain(self, text: str, labels: Sequence[int]) -> list[Explanation]:
        row = sparse.csr_array(self.vectorizer.transform([text]))
        words = self.vectorizer.get_feature_names_out()[row.indices]
        explained = []
        for label in labels:
            contributions = row.data * self.weights[label, row.indices]
            start = float(self.bias[label])
            pairs = [(str(word), float(value)) for word, value in zip(words, contributions)]
            explained.append(Explanation(self.label_names[label], start + float(contributions.sum()), start, pairs))
        return explained

    def write(self, folder: Path) -> None:
        """Write the features to JSON and the weights, rounded to float32, to safetensors."""
        features = self.vectorizer.get_feature_names_out().tolist()
        write_json(folder / _WORDS, {"ngrams": self.vectorizer.ngram_range[1], "features": features})
        arrays: dict[str, NDArray[Any]] = {
            "weights": np.ascontiguousarray(self.weights, dtype=np.float32),
            "bias": np.asarray(self.bias, dtype=np.float64),
            "idf": np.asarray(self.vectorizer.idf_, dtype=np.float64),
        }
        save_file(arrays, folder / _WEIGHTS)

    @classmethod
    def read(cls, folder: Path, **shared: Any) -> Self:
        """Read what :meth:`write` wrote; ``shared`` are the fields of every predictor.

        Raises:
            ValueError: the files do not fit together.
        """
        words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
        arrays = load_file(folder / _WEIGHTS)
        vectorizer = new_vectorizer(words["ngrams"], vocabulary=words["features"])
        expected = {
            "weights": (len(shared["label_names"]), len(words["features"])),
            "bias": (len(shared["label_names"]),),
            "idf": (len(words["features"]),),
        }
        for name, shape in expected.items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} has shape {arrays[name].shape}, not {shape}")
        vectorizer.idf_ = arrays["idf"]
        return cls(**shared, vectorizer=vectorizer, weights=arrays["weights"], bias=arrays["bias"])
