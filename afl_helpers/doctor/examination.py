"""All checks of a corpus, in one call."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy import sparse

from afl_helpers.data import Corpus
from afl_helpers.data.corpus import SPLIT_NAMES
from afl_helpers.doctor.finding import Finding, worst_first
from afl_helpers.doctor.label_counts import check_label_counts
from afl_helpers.doctor.label_names import check_label_names
from afl_helpers.doctor.lengths import check_lengths
from afl_helpers.doctor.texts import check_texts
from afl_helpers.errors import UsageError


def examine(
    corpus: Corpus | Mapping[str, Corpus],
    *,
    encoder: str = "minilm",
    max_length: int = 128,
    separator: str | None = None,
) -> list[Finding]:
    """Return what is to be known about a corpus before anything is trained, worst first.

    Args:
        corpus: a corpus; or its splits by name, as :func:`~afl_helpers.data.load_corpus` returns them.
        encoder, max_length: the encoder that will read the texts, and how many tokens of each. If its tokenizer is not on
            this machine, tokens are estimated.
        separator: what the table was read with, if it was given: labels that hold other separators are then not doubted.

    Raises:
        UsageError: the corpus has no document, or the encoder or a split is unknown.

    Example:
        >>> from afl_helpers.data import Corpus
        >>> from afl_helpers.doctor import examine
        >>> texts = ["Please pay me.", "please pay me", "Hello to all of you."]
        >>> corpus = Corpus("mine", texts, [[1, 0], [0, 1], [0, 0]], ["billing", "Billing "])
        >>> worst = examine(corpus)[0]
        >>> worst.severity, worst.kind, worst.examples
        ('fix', 'similar_labels', ("'Billing ' (1) and 'billing' (1)",))
    """
    whole = _joined(corpus) if isinstance(corpus, Mapping) else corpus
    if not len(whole):
        raise UsageError(f"the corpus {whole.name!r} has no document; there is nothing to examine")
    return worst_first(
        [
            *check_label_names(whole, separator),
            *check_texts(whole),
            *check_label_counts(whole),
            *check_lengths(whole, encoder, max_length),
        ]
    )


def _joined(splits: Mapping[str, Corpus]) -> Corpus:
    """Return one corpus with a given split."""
    if not splits:
        raise UsageError("there is no split to examine; pass a corpus, or a dict of corpora")
    for name in splits:
        if name not in SPLIT_NAMES:
            raise UsageError(f"{name!r} is no split; name splits train, validation and test")
    parts = list(splits.values())
    if any(part.label_names != parts[0].label_names for part in parts):
        raise UsageError("the splits have different lists of labels; read them together, with load_corpus({...})")
    rows = [sparse.csr_array(part.labels) for part in parts]
    labels = sparse.vstack(rows, format="csr")
    return replace(
        parts[0],
        name=parts[0].name.rpartition("-")[0] or parts[0].name,
        texts=[text for part in parts for text in part.texts],
        labels=labels if not isinstance(parts[0].labels, np.ndarray) else labels.toarray(),
        document_ids=[f"{name}/{row_id}" for name, part in splits.items() for row_id in part.document_ids],
        subset=[SPLIT_NAMES[name] for name, part in splits.items() for _ in part.texts],
    )
