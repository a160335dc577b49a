"""A corpus: texts, the labels of each, and an account of how they were read."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import sparse

from afl_helpers.data import splits
from afl_helpers.errors import DataError, UsageError

if TYPE_CHECKING:
    import datasets
    import pandas

OnError = Literal["raise", "skip"]
LabelMatrix = np.ndarray | sparse.csr_array

# A label matrix that would be larger than this as a dense array (one byte an entry) is kept sparse.
DENSE_LIMIT_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts with several labels each.

    Attributes:
        name: what the corpus is called, e.g. "cmu-leads".
        texts: one string a document.
        labels: 0 or 1, uint8, of shape (n_documents, n_labels): a numpy array, or a `scipy.sparse.csr_array`
            where the array would be larger than `DENSE_LIMIT_BYTES`.
        label_names: one a column of `labels`, without repetition. The readers order them by decreasing
            count, then by name.
        document_ids: one a document, without repetition.
        subset: "train" or "test" for each document where the corpus has an official split, else None.
        report: what was read, joined and dropped when the corpus was made, and how many of each. A part of
            a corpus keeps the report of the whole.
        source: where the texts are from, in words.

    Raises:
        UsageError: lengths, shape, values or names do not fit together.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.data import Corpus
        >>> labels = np.array([[1, 0], [1, 1], [0, 1]], dtype=np.uint8)
        >>> corpus = Corpus("mine", ["A duel.", "A duel and a kiss.", "A kiss."], labels, ["Western", "Romance"], ["a", "b", "c"])
        >>> corpus
        Corpus('mine', 3 documents, 2 labels)
        >>> corpus.label_counts.tolist()
        [2, 2]
    """

    name: str
    texts: list[str]
    labels: LabelMatrix
    label_names: list[str]
    document_ids: list[str]
    subset: list[str] | None = None
    report: dict[str, int] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        # A frozen dataclass sets its own fields this way.
        object.__setattr__(self, "texts", _strings("texts", self.texts))
        object.__setattr__(self, "label_names", _unique_strings("label_names", self.label_names))
        object.__setattr__(self, "document_ids", _unique_strings("document_ids", self.document_ids))
        object.__setattr__(self, "labels", _label_matrix(self.labels))
        if self.subset is not None:
            object.__setattr__(self, "subset", _subset(self.subset, len(self.texts)))
        if len(self.document_ids) != len(self.texts):
            raise UsageError(f"document_ids has {len(self.document_ids)} entries for {len(self.texts)} texts")
        expected = (len(self.texts), len(self.label_names))
        if self.labels.shape != expected:
            raise UsageError(
                f"labels has shape {self.labels.shape}; expected (n_documents, n_labels) = {expected}, "
                "one row a text and one column a label name"
            )

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"Corpus({self.name!r}, {self.n_documents:,} documents, {self.n_labels} labels)"

    @property
    def n_documents(self) -> int:
        """How many documents there are."""
        return len(self.texts)

    @property
    def n_labels(self) -> int:
        """How many labels there are."""
        return len(self.label_names)

    @property
    def dense_labels(self):
        return self.labels.toarray() if sparse.issparse(self.labels) else self.labels

    @cached_property
    def label_counts(self) -> np.ndarray:
        """How many documents carry each label, (n_labels,) int64."""
        return np.asarray(self.labels.sum(axis=0, dtype=np.int64)).reshape(-1)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of texts, ids, label names and labels.

        Equal corpora have equal fingerprints on every machine, however the label matrix is stored.
        """
        digest = hashlib.sha256()
        for strings in (self.texts, self.document_ids, self.label_names):
            digest.update(len(strings).to_bytes(8, "little"))
            for string in strings:
                # The length in front tells ["ab", "c"] and ["a", "bc"] apart.
                encoded = string.encode("utf-8", "surrogatepass")
                digest.update(len(encoded).to_bytes(8, "little"))
                digest.update(encoded)
        rows = sparse.csr_array(self.labels)
        rows.sort_indices()
        digest.update(rows.indptr.astype("<i8").tobytes())
        digest.update(rows.indices.astype("<i8").tobytes())
        return digest.hexdigest()

    def select_labels(self, *, min_count: int | None = None, top: int | None = None) -> "Corpus":
        """Keep frequent labels, and the documents that carry at least one of them.

        Args:
            min_count: keep the labels that at least this many documents of this corpus carry.
            top: keep this many of the most frequent labels; of equally frequent ones the first by name.

        Returns:
            A corpus with the kept labels in their present order. Its report counts the labels and documents
            that were dropped.

        Raises:
            UsageError: not exactly one of the two is given, or nothing would be left.

        Example:
            >>> from afl_helpers.data import load_corpus
            >>> corpus = load_corpus("toy").select_labels(top=3)
            >>> dict(zip(corpus.label_names, corpus.label_counts.tolist()))
            {'Drama': 1117, 'Comedy': 546, 'Romance Film': 336}
        """
        if (min_count is None) == (top is None):
            raise UsageError("select_labels takes exactly one of min_count and top")
        limit = top if min_count is None else min_count
        if limit < 1:
            raise UsageError(f"min_count and top must be at least 1, not {limit}")
        if top is None:
            kept = np.flatnonzero(self.label_counts >= min_count)
        else:
            ranked = sorted(range(self.n_labels), key=lambda i: (-self.label_counts[i], self.label_names[i]))
            kept = np.array(sorted(ranked[:top]), dtype=np.int64)
        if kept.size == 0:
            raise UsageError(f"no label of {self.name!r} is carried by {limit} documents; give a smaller min_count")

        labels = self.labels[:, kept]
        documents = np.flatnonzero(np.asarray(labels.sum(axis=1, dtype=np.int64)).reshape(-1))
        report = Counter(self.report)
        report["labels_not_selected"] += self.n_labels - kept.size
        report["documents_without_selected_label"] += self.n_documents - documents.size
        narrowed = replace(self, labels=labels, label_names=[self.label_names[i] for i in kept], report=dict(report))
        return narrowed.select_documents(documents)

    def select_documents(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """The documents at these positions, in this order; labels and report stay as they are.

        Args:
            indices: positions from 0, each at most once, or one boolean a document.

        Raises:
            UsageError: a position is out of range or repeated.
        """
        indices = np.asarray(indices)
        if indices.dtype == bool:
            if indices.shape != (self.n_documents,):
                raise UsageError(f"a boolean selection needs {self.n_documents} entries, not {indices.shape}")
            indices = np.flatnonzero(indices)
        if indices.size and not np.issubdtype(indices.dtype, np.integer):
            raise UsageError(f"indices must be whole numbers or booleans, not {indices.dtype}")
        indices = indices.astype(np.int64).reshape(-1)
        if indices.size and not (indices.min() >= 0 and indices.max() < self.n_documents):
            raise UsageError(f"indices must lie between 0 and {self.n_documents - 1}")
        if np.unique(indices).size != indices.size:
            raise UsageError("indices must name each document at most once")
        return replace(
            self,
            texts=[self.texts[i] for i in indices],
            labels=self.labels[indices],
            document_ids=[self.document_ids[i] for i in indices],
            subset=None if self.subset is None else [self.subset[i] for i in indices],
        )

    def split(
        self, train: float = 0.8, validation: float = 0.1, test: float = 0.1, *, seed: int = 0
    ) -> tuple["Corpus", "Corpus", "Corpus"]:
        """Divide the documents into three parts with about the same share of every label.

        Every document is in exactly one part. Texts that are equal but for case and white space stay
        together, and every label is kept in train where train is not empty.

        Args:
            train, validation, test: fractions, at least 0 and 1 together. A fraction of 0 gives an empty
                part.
            seed: the same seed gives the same parts.

        Raises:
            UsageError: the fractions do not sum to 1, or one of them is negative.

        Example:
            >>> from afl_helpers.data import load_corpus
            >>> parts = load_corpus("toy").select_labels(top=3).split(0.8, 0.1, 0.1, seed=0)
            >>> sum(len(part) for part in parts) == len(load_corpus("toy").select_labels(top=3))
            True
        """
        parts = splits.stratified_parts(self.texts, self.labels, (train, validation, test), seed=seed)
        return tuple(self.select_documents(np.flatnonzero(parts == part)) for part in range(3))

    def official_split(self, validation: int = 1000, *, seed: int = 0) -> tuple["Corpus", "Corpus", "Corpus"]:
        """Train, validation and test after the split that came with the corpus.

        The official test documents are left as they are. Exactly `validation` documents are taken out of the
        official training documents, in the way of `split`.

        Args:
            validation: how many documents the validation part holds.
            seed: the same seed gives the same parts.

        Raises:
            UsageError: the corpus has no official split, or fewer training documents than asked for.
        """
        if self.subset is None:
            raise UsageError(f"the corpus {self.name!r} has no official split; use split(0.8, 0.1, 0.1) instead")
        is_test = np.array([part == "test" for part in self.subset], dtype=bool)
        official_train = self.select_documents(~is_test)
        held_out = splits.stratified_sample(official_train.texts, official_train.labels, validation, seed=seed)
        return (
            official_train.select_documents(~held_out),
            official_train.select_documents(held_out),
            self.select_documents(is_test),
        )

    def to_dataset(self) -> "datasets.Dataset":
        """As a `datasets.Dataset` with the columns id, text and labels (float32 vectors of n_labels)."""
        import datasets  # here, because importing it takes seconds

        features = datasets.Features(
            {
                "id": datasets.Value("string"),
                "text": datasets.Value("string"),
                "labels": datasets.Sequence(datasets.Value("float32")),
            }
        )
        labels = self.labels.toarray() if sparse.issparse(self.labels) else self.labels
        columns = {"id": self.document_ids, "text": self.texts, "labels": list(labels.astype(np.float32))}
        return datasets.Dataset.from_dict(columns, features=features)

    def to_frame(self) -> "pandas.DataFrame":
        """As a pandas table with the columns id, text and labels (a list of label names).

        Example:
            >>> from afl_helpers.data import load_corpus
            >>> load_corpus("toy").to_frame().columns.tolist()
            ['id', 'text', 'labels']
        """
        import pandas

        rows = sparse.csr_array(self.labels)
        rows.sort_indices()
        names = [
            [self.label_names[column] for column in rows.indices[start:stop]]
            for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
        ]
        return pandas.DataFrame({"id": self.document_ids, "text": self.texts, "labels": names})


def build_corpus(
    name: str,
    texts: list[str],
    label_sets: Sequence[Collection[str]],
    document_ids: list[str],
    *,
    report: dict[str, int],
    source: str,
    subset: list[str] | None = None,
) -> Corpus:
    """A corpus from the label names of each document; `documents` and `labels` are added to the report.

    Raises:
        DataError: there is no document.
    """
    if not texts:
        raise DataError(f"{source}: no document with a text and a label is left; the counts are {report}")
    counts = Counter(label for labels in label_sets for label in labels)
    label_names = sorted(counts, key=lambda label: (-counts[label], label))
    column = {label: position for position, label in enumerate(label_names)}
    indices = np.array([column[label] for labels in label_sets for label in labels], dtype=np.int64)
    indptr = np.cumsum([0, *map(len, label_sets)])
    matrix = sparse.csr_array(
        (np.ones(indices.size, dtype=np.uint8), indices, indptr), shape=(len(texts), len(label_names))
    )
    return Corpus(
        name=name,
        texts=texts,
        labels=matrix if len(texts) * len(label_names) > DENSE_LIMIT_BYTES else matrix.toarray(),
        label_names=label_names,
        document_ids=document_ids,
        subset=subset,
        report=report | {"documents": len(texts), "labels": len(label_names)},
        source=source,
    )


class MalformedLines:
    """What a reader does with a line it cannot read: raise an error, or skip and count it."""

    def __init__(self, on_error: OnError) -> None:
        if on_error not in ("raise", "skip"):
            raise UsageError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        self.skip = on_error == "skip"
        self.skipped = 0

    def reject(self, file: str, line: int, problem: str) -> None:
        """Count the line, or raise a DataError that names it. Lines are counted from 1."""
        if not self.skip:
            raise DataError(f"{file}, line {line}: {problem}; correct the line, or read with on_error='skip'")
        self.skipped += 1


def _strings(argument: str, values: Iterable[str]) -> list[str]:
    if isinstance(values, str):
        raise UsageError(f"{argument} must be a list of strings, not one string")
    values = list(values)
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise UsageError(f"{argument}[{position}] must be a string, not {type(value).__name__}")
    return values


def _unique_strings(argument: str, values: Iterable[str]) -> list[str]:
    values = _strings(argument, values)
    if len(set(values)) != len(values):
        repeated, count = Counter(values).most_common(1)[0]
        raise UsageError(f"{argument} holds {repeated!r} {count} times; each may occur once")
    return values


def _subset(values: Iterable[str], n_documents: int) -> list[str]:
    values = _strings("subset", values)
    if len(values) != n_documents:
        raise UsageError(f"subset has {len(values)} entries for {n_documents} texts; give one a text")
    strange = set(values) - {"train", "test"}
    if strange:
        raise UsageError(f"subset may hold 'train' and 'test' only, not {sorted(strange)[0]!r}")
    return values


def _label_matrix(labels: LabelMatrix) -> LabelMatrix:
    is_sparse = sparse.issparse(labels)
    if not is_sparse and not isinstance(labels, np.ndarray):
        raise UsageError(f"labels must be a numpy array or a scipy sparse array, not {type(labels).__name__}")
    if labels.ndim != 2:
        raise UsageError(f"labels must have two dimensions, (n_documents, n_labels), not {labels.ndim}")
    if labels.dtype.kind not in "bui":
        raise UsageError(f"labels must be uint8 (or another whole-number type), not {labels.dtype}")
    if is_sparse:
        labels = sparse.csr_array(labels)
        labels.sum_duplicates()
        labels.eliminate_zeros()
    values = labels.data if is_sparse else labels
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise UsageError("labels may hold 0 and 1 only")
    return labels.astype(np.uint8, copy=False)
