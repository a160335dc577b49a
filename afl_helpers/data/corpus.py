"""A corpus: texts, the labels of each, and a report on how they were read.

This module exceeds 300 lines because it holds one class, and half of it is documentation.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from afl_helpers.arrays import check_row_order, is_whole, refuse_masked, refuse_set
from afl_helpers.data import splits
from afl_helpers.errors import UsageError, require
from afl_helpers.evaluation.validation import check_label_order

if TYPE_CHECKING:
    import datasets
    import pandas

LabelMatrix: TypeAlias = NDArray[np.uint8] | sparse.csr_array
Unlabelled: TypeAlias = Literal["keep", "drop"]

#: Names of parts in files -> the names used here.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts with several labels each.

    Attributes:
        name: the name of the corpus, e.g. "cmu-leads".
        texts: one string per document.
        labels: 0 or 1, uint8, of shape (n_documents, n_labels): a numpy array, or a `scipy.sparse.csr_array` where the
            array would take more than 1 GiB. You may pass 0 and 1 in any form: lists, booleans, floats, a data frame
            with one column per label, a tensor or a sparse matrix. The corpus keeps a copy.
        label_names: one unique name per column of `labels`. The readers order them by decreasing count, then by name. If
            you pass none, the columns of the data frame name the labels; names that differ from them are refused.
        document_ids: one unique id per document. If you pass none, documents are numbered from 1.
        subset: "train", "validation" or "test" for each document if the corpus has an official split, else None.
        report: what was read, joined and dropped, and how often. A split keeps the report of the whole corpus.
        source: where the texts come from, in words.
        unlabelled: "keep" if documents without a label are documents of the corpus, "drop" if its published form leaves
            them out. `select_labels` follows it.
        notes: sentences on how the corpus was read; `describe` shows them.
        folds: a number from 0 for each document if the corpus has official folds, else None. The documents of one fold
            are the test documents when this fold is asked for, and all others the training documents.

    Raises:
        UsageError: lengths, shape, values or names do not fit together, or series and data frames have their rows in
            different orders.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.data import Corpus
        >>> labels = np.array([[1, 0], [1, 1], [0, 1]], dtype=np.uint8)
        >>> texts = ["A duel.", "A duel and a kiss.", "A kiss."]
        >>> corpus = Corpus("mine", texts, labels, ["Western", "Romance"], ["a", "b", "c"])
        >>> corpus
        Corpus('mine', 3 documents, 2 labels)
        >>> corpus.label_counts.tolist()
        [2, 2]
    """

    name: str
    texts: list[str]
    labels: LabelMatrix
    label_names: list[str] = field(default_factory=list)
    document_ids: list[str] = field(default_factory=list)
    subset: list[str] | None = None
    report: dict[str, int] = field(default_factory=dict)
    source: str = ""
    unlabelled: Unlabelled = "keep"
    notes: tuple[str, ...] = ()
    folds: list[int] | None = None

    def __post_init__(self) -> None:
        check_row_order(
            texts=self.texts,
            labels=self.labels,
            document_ids=self.document_ids,
            subset=self.subset,
            folds=self.folds,
        )
        # A frozen dataclass sets its own fields this way. What it keeps is its own: later changes of the caller's arrays
        # would contradict label_counts and fingerprint.
        object.__setattr__(self, "report", dict(self.report))
        object.__setattr__(self, "texts", _strings("texts", self.texts))
        check_unlabelled(self.unlabelled)
        columns = _column_names(self.labels)
        names = _unique_strings("label_names", self.label_names) or _unique_strings("label_names", columns)
        if names != columns:
            check_label_order({"labels": self.labels, "label_names": names})
        object.__setattr__(self, "label_names", names)
        numbers = [str(number) for number in range(1, len(self.texts) + 1)]
        object.__setattr__(self, "document_ids", _unique_strings("document_ids", self.document_ids) or numbers)
        object.__setattr__(self, "labels", _label_matrix(self.labels))
        if self.subset is not None:
            object.__setattr__(self, "subset", _subset(self.subset, len(self.texts)))
        if self.folds is not None:
            object.__setattr__(self, "folds", _folds(self.folds, len(self.texts)))
        if len(self.document_ids) != len(self.texts):
            raise UsageError(
                f"document_ids has {len(self.document_ids)} entries for {len(self.texts)} texts; pass one id per text"
            )
        if not self.label_names and self.labels.shape[1]:
            raise UsageError(
                f"label_names is empty; pass one name for each of the {self.labels.shape[1]} columns of labels"
            )
        expected = (len(self.texts), len(self.label_names))
        if self.labels.shape != expected:
            raise UsageError(
                f"labels has shape {self.labels.shape}; pass (n_documents, n_labels) = {expected}, "
                "one row per text and one column per label name"
            )

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        dropped = self.report.get("documents_without_selected_label", 0)
        left_out = f"; {dropped:,} without a selected label left out" if dropped and self.unlabelled == "drop" else ""
        return f"Corpus({self.name!r}, {self.n_documents:,} documents, {self.n_labels} labels{left_out})"

    def describe(self) -> str:
        """Return what was read, in lines: rows, documents, labels; then what was joined or left out.

        Example:
            >>> from afl_helpers.data import load_corpus
            >>> print(load_corpus("toy").describe().splitlines()[0])
            toy: 2,400 documents, 28 labels, 1.92 labels per document; 0 documents without a label
        """
        # A split has the report of the whole corpus, whose rows are not those of the split.
        is_whole = self.n_documents == self.report.get("documents")
        rows = f"{_number(self.report['rows'], 'row')}, " if is_whole and "rows" in self.report else ""
        per_document = self.label_counts.sum() / max(self.n_documents, 1)
        first = (
            f"{self.name}: {rows}{_number(self.n_documents, 'document')}, {_number(self.n_labels, 'label')}, "
            f"{per_document:.2f} labels per document; "
            f"{_number(self.n_unlabelled, 'document')} without a label{' (kept)' if self.n_unlabelled else ''}"
        )
        return "\n".join([first, *self.notes])

    @property
    def n_documents(self) -> int:
        """The number of documents."""
        return len(self.texts)

    @property
    def n_labels(self) -> int:
        """The number of labels."""
        return len(self.label_names)

    @property
    def n_unlabelled(self) -> int:
        """The number of documents without a label."""
        return self.n_documents - int(np.count_nonzero(self._labels_per_document()))

    def _labels_per_document(self) -> NDArray[np.int64]:
        return np.asarray(self.labels.sum(axis=1, dtype=np.int64), dtype=np.int64).reshape(-1)

    @property
    def n_folds(self) -> int:
        """The number of official folds; 0 if there are none."""
        return 0 if self.folds is None else max(self.folds, default=-1) + 1

    @property
    def dense_labels(self) -> NDArray[np.uint8]:
        """`labels` as a numpy array, uint8 of shape (n_documents, n_labels); a new array if `labels` is sparse."""
        return self.labels if isinstance(self.labels, np.ndarray) else self.labels.toarray()

    @cached_property
    def label_counts(self) -> NDArray[np.int64]:
        """The number of documents that carry each label, int64 of shape (n_labels,)."""
        return np.asarray(self.labels.sum(axis=0, dtype=np.int64), dtype=np.int64).reshape(-1)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of texts, ids, label names and labels.

        Equal corpora have equal fingerprints on every machine, whether their labels are dense or sparse.
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

    def select_labels(
        self, *, min_count: int | None = None, top: int | None = None, unlabelled: Unlabelled | None = None
    ) -> "Corpus":
        """Keep the frequent labels.

        Pass either `min_count` or `top`.

        Args:
            min_count: keep the labels that at least this many documents of this corpus carry.
            top: keep this many of the most frequent labels; equally frequent labels are taken in order of their names.
            unlabelled: whether to "keep" or "drop" documents that carry none of the kept labels; by default as the corpus
                says.

        Returns:
            A corpus with the kept labels in their present order. Its report counts the dropped labels, and the documents
            without a kept label; its notes and its `repr` say how many documents were dropped.

        Raises:
            UsageError: neither or both are given, or nothing would be left.

        Example:
            >>> from afl_helpers.data import load_corpus
            >>> corpus = load_corpus("toy").select_labels(top=3)
            >>> dict(zip(corpus.label_names, corpus.label_counts.tolist()))
            {'Drama': 1117, 'Comedy': 546, 'Romance Film': 336}
        """
        if min_count is not None and top is None:
            _check_at_least_one("min_count", min_count)
            kept = np.flatnonzero(self.label_counts >= min_count)
        elif top is not None and min_count is None:
            _check_at_least_one("top", top)
            ranked = sorted(range(self.n_labels), key=lambda i: (-self.label_counts[i], self.label_names[i]))
            kept = np.array(sorted(ranked[:top]), dtype=np.int64)
        else:
            raise UsageError("select_labels takes either min_count or top; pass exactly one of them")
        if kept.size == 0:
            sentence = f"no label of {self.name!r} is carried by {min_count or 1} documents;"
            raise UsageError(
                f"{sentence} pass a smaller min_count", command_line=f"{sentence} pass a smaller --min-count"
            )
        unlabelled = self.unlabelled if unlabelled is None else unlabelled
        check_unlabelled(unlabelled)
        narrowed = replace(self, labels=self.labels[:, kept], label_names=[self.label_names[i] for i in kept])
        documents = np.flatnonzero(narrowed._labels_per_document())
        without = self.n_documents - documents.size
        report = Counter(self.report)
        report["labels_not_selected"] += self.n_labels - kept.size
        if unlabelled == "drop":
            report["documents_without_selected_label"] += without
        notes = list(self.notes)
        if without:
            done = "left out" if unlabelled == "drop" else "kept"
            notes.append(f"{_number(without, 'document')} without a selected label {done}")
        narrowed = replace(narrowed, report=dict(report), notes=tuple(notes), unlabelled=unlabelled)
        return narrowed.select_documents(documents) if unlabelled == "drop" else narrowed

    def select_documents(self, indices: Sequence[int] | NDArray[np.integer] | NDArray[np.bool]) -> "Corpus":
        """Return the documents at the given positions, in the given order; labels and report do not change.

        Args:
            indices: positions from 0, each at most once, or one boolean per document.

        Raises:
            UsageError: a position is out of range or repeated.
        """
        positions = np.asarray(indices)
        if positions.dtype == bool:
            if positions.shape != (self.n_documents,):
                raise UsageError(f"indices has shape {positions.shape}; pass {self.n_documents} booleans, or positions")
            positions = np.flatnonzero(positions)
        if positions.size and not np.issubdtype(positions.dtype, np.integer):
            raise UsageError(f"indices has type {positions.dtype}; pass whole numbers or booleans")
        positions = positions.astype(np.int64).reshape(-1)
        if positions.size and not (positions.min() >= 0 and positions.max() < self.n_documents):
            raise UsageError(f"indices must lie between 0 and {self.n_documents - 1}")
        if np.unique(positions).size != positions.size:
            raise UsageError("indices names a document twice; name each at most once")
        return replace(
            self,
            texts=[self.texts[i] for i in positions],
            labels=self.labels[positions],
            document_ids=[self.document_ids[i] for i in positions],
            subset=None if self.subset is None else [self.subset[i] for i in positions],
            folds=None if self.folds is None else [self.folds[i] for i in positions],
        )

    def sample(self, n: int, *, seed: int = 0) -> "Corpus":
        """Draw `n` documents so that each label keeps its share.

        The sample holds every label if `n` documents can. The list of labels does not change. Equal texts are drawn one by
        one, so a text that stands 40 times in 100 documents stands 4 times in a sample of 10.

        Args:
            n: the number of documents, at least 1. A corpus of at most `n` documents is returned unchanged.
            seed: a whole number from 0; the same seed gives the same documents.

        Raises:
            UsageError: `n` is smaller than 1, or the seed is not a whole number from 0.

        Example:
            >>> from afl_helpers.data import load_corpus
            >>> load_corpus("toy").sample(600)
            Corpus('toy', 600 documents, 28 labels)
        """
        _check_at_least_one("n", n)
        if n >= self.n_documents:
            return self
        return self.select_documents(splits.random_sample(self.document_ids, self.labels, n, seed=seed))

    def split(
        self,
        train: float | None = 0.8,
        validation: float | None = 0.1,
        test: float | None = 0.1,
        *,
        seed: int = 0,
    ) -> tuple["Corpus", "Corpus", "Corpus"]:
        """Divide the documents into training, validation and test splits with about the same share of every label.

        Every document is in exactly one split. Texts that differ only in case and white space stay together. A text that
        stands k times counts as k documents. Each split has the asked size, rounded to whole documents, unless repeated
        texts do not fit; a warning then says so.

        Every label occurs in the training split, unless that split is empty. Where that needs more documents than asked,
        shares give way and training becomes larger; whole numbers do not, and labels are missing. Both are said in a
        warning.

        The result depends on the document ids, the labels, the seed and which texts are equal, but not on the order of the
        documents.

        Args:
            train, validation, test: the size of each split: a share of the documents from 0 to 1, a whole number of
                documents from 2, or None for the rest. Shares without None must sum to 1.
            seed: a whole number from 0; the same seed gives the same splits.

        Raises:
            UsageError: the sizes do not add up to all documents, or the seed is not a whole number from 0.

        Warns:
            UserWarning: a split misses its size by more than 1 % and more than one document, or training lacks a label.

        Example:
            >>> from afl_helpers.data import load_corpus
            >>> [len(split) for split in load_corpus("toy").split(0.8, 0.1, 0.1, seed=0)]
            [1920, 240, 240]
            >>> [len(split) for split in load_corpus("toy").split(1500, 300, None, seed=0)]
            [1500, 300, 600]
        """
        numbers = splits.stratified_split(
            self.document_ids, self.texts, self.labels, (train, validation, test), seed=seed
        )
        return (
            self.select_documents(numbers == 0),
            self.select_documents(numbers == 1),
            self.select_documents(numbers == 2),
        )

    def official_split(
        self, validation: int = 1000, *, fold: int | None = None, seed: int = 0
    ) -> tuple["Corpus", "Corpus", "Corpus"]:
        """Return the training, validation and test splits that the corpus was published with.

        The official test documents stay as they are, and so do the validation documents if there are any. Otherwise they
        are taken from the official training documents and stratified as in :meth:`split`.

        If the corpus has official folds, test documents whose text also stands outside their fold are left out; the report
        and the notes of the test split count them. Case and white space make no difference.

        Args:
            validation: the exact number of validation documents, if the corpus has none of its own.
            fold: which fold is for testing, from 0, if the corpus has folds; by default the first.
            seed: the same seed gives the same splits.

        Raises:
            UsageError: the corpus has no official split or no such fold, or too few training documents.
        """
        if fold is not None and not (isinstance(fold, (int, np.integer)) and 0 <= fold < self.n_folds):
            has = f"the folds 0 to {self.n_folds - 1}" if self.n_folds else "no folds, so leave it out"
            raise UsageError(f"fold is {fold!r}, but the corpus {self.name!r} has {has}")
        if self.folds is not None:
            in_test = np.array(self.folds) == (fold or 0)
            repeated = splits.repeats(self.texts, in_test)
            official_train, test = self.select_documents(~in_test), self.select_documents(in_test & ~repeated)
            left_out = int(repeated.sum())
            note = f"fold {fold or 0}: test documents left out whose text also stands in training: {left_out:,}"
            report = test.report | {"test_texts_also_in_training": left_out}
            test = replace(test, report=report, notes=(*test.notes, note) if left_out else test.notes)
            return self._with_validation(official_train, test, validation, seed)
        if self.subset is None:
            raise UsageError(f"the corpus {self.name!r} has no official split; use split(0.8, 0.1, 0.1) instead")
        subset = np.array(self.subset)
        official_train, test = self.select_documents(subset == "train"), self.select_documents(subset == "test")
        if np.any(subset == "validation"):
            return official_train, self.select_documents(subset == "validation"), test
        return self._with_validation(official_train, test, validation, seed)

    @staticmethod
    def _with_validation(
        train: "Corpus", test: "Corpus", validation: int, seed: int
    ) -> tuple["Corpus", "Corpus", "Corpus"]:
        """Take the validation documents from the training documents."""
        held_out = splits.stratified_sample(train.document_ids, train.texts, train.labels, validation, seed=seed)
        return train.select_documents(~held_out), train.select_documents(held_out), test

    @classmethod
    def from_frame(
        cls,
        frame: "pandas.DataFrame",
        *,
        text: str | None = None,
        labels: str | Sequence[str] | None = None,
        separator: str | None = None,
        label_names: Any = None,
        unlabelled: Unlabelled | None = None,
        ids: str | None = None,
        name: str = "data frame",
    ) -> "Corpus":
        """Build a corpus from a :class:`pandas.DataFrame`.

        Args:
            text, labels, separator, label_names, unlabelled, ids: as in :func:`~afl_helpers.data.load_corpus`.
            name: the name of the corpus.

        Raises:
            UsageError: a column cannot be guessed or does not exist.
            DataError: a row is malformed, or none is left.

        Example:
            >>> import pandas
            >>> from afl_helpers.data import Corpus
            >>> frame = pandas.DataFrame({"body": ["Pay me.", "Hello."], "billing": [1, 0], "spam": [1, 0]})
            >>> corpus = Corpus.from_frame(frame, text="body", labels=["billing", "spam"])
            >>> corpus.labels.tolist()
            [[1, 1], [0, 0]]
        """
        from afl_helpers.data import own_files  # which imports this module
        from afl_helpers.data.table_files import is_frame

        if not is_frame(frame):
            raise UsageError(
                f"from_frame takes a pandas data frame, not a {type(frame).__name__}; wrap it in DataFrame(...)"
            )
        options = own_files.TableOptions(
            text, labels, separator, label_names=label_names, unlabelled=unlabelled, ids=ids
        )
        return own_files.read_corpus(options, frame, name)

    @classmethod
    def from_dataset(
        cls,
        dataset: "datasets.Dataset",
        *,
        text: str | None = None,
        labels: str | Sequence[str] | None = None,
        separator: str | None = None,
        label_names: Any = None,
        unlabelled: Unlabelled | None = None,
        ids: str | None = None,
        name: str = "dataset",
    ) -> "Corpus":
        """Build a corpus from a `datasets.Dataset`. The names of a `ClassLabel` are the label names.

        For a `DatasetDict`, use :func:`~afl_helpers.data.load_corpus`, which returns one corpus per split. Arguments and
        errors are those of :meth:`from_frame`.
        """
        from afl_helpers.data import own_files  # which imports this module

        options = own_files.TableOptions(
            text, labels, separator, label_names=label_names, unlabelled=unlabelled, ids=ids
        )
        return own_files.read_corpus(options, dataset, name)

    def to_dataset(self) -> "datasets.Dataset":
        """Return a `datasets.Dataset` with the columns id, text and labels (float32 vectors of length n_labels).

        Raises:
            MissingExtraError: the package datasets is not installed.
        """
        datasets = require("datasets", "data", "to_dataset()")  # imported here because it takes seconds
        features = datasets.Features(
            {
                "id": datasets.Value("string"),
                "text": datasets.Value("string"),
                "labels": datasets.Sequence(datasets.Value("float32")),
            }
        )
        labels = list(self.dense_labels.astype(np.float32))
        columns = {"id": self.document_ids, "text": self.texts, "labels": labels}
        return datasets.Dataset.from_dict(columns, features=features)

    def to_frame(self) -> "pandas.DataFrame":
        """Return a pandas table with the columns id, text and labels (a list of label names).

        Raises:
            MissingExtraError: pandas is not installed.

        Example:
            >>> from afl_helpers.data import load_corpus
            >>> load_corpus("toy").to_frame().columns.tolist()
            ['id', 'text', 'labels']
        """
        pd = require("pandas", "data", "to_frame()")
        rows = sparse.csr_array(self.labels)
        rows.sort_indices()
        names = [
            [self.label_names[column] for column in rows.indices[start:stop]]
            for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
        ]
        frame: pandas.DataFrame = pd.DataFrame({"id": self.document_ids, "text": self.texts, "labels": names})
        return frame


def _check_at_least_one(argument: str, value: object) -> None:
    if not is_whole(value) or value < 1:
        rest = f"is {value!r}; pass a whole number from 1"
        raise UsageError(f"{argument} {rest}", command_line=f"--{argument.replace('_', '-')} {rest}")


def _strings(argument: str, values: Iterable[str]) -> list[str]:
    if isinstance(values, str):
        raise UsageError(f"{argument} is one string; pass a list of strings")
    refuse_set(argument, values)
    if not isinstance(values, Iterable):
        raise UsageError(f"{argument} is {values!r}; pass a list of strings")
    values = list(values)
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise UsageError(f"{argument}[{position}] is of type {type(value).__name__}; pass a string")
    return values


def _unique_strings(argument: str, values: Iterable[str] | None) -> list[str]:
    values = [] if values is None else _strings(argument, values)
    if len(set(values)) != len(values):
        repeated, count = Counter(values).most_common(1)[0]
        raise UsageError(f"{argument} holds {repeated!r} {count} times; each value may occur once")
    return values


def _subset(values: Iterable[str], n_documents: int) -> list[str]:
    values = _strings("subset", values)
    if len(values) != n_documents:
        raise UsageError(f"subset has {len(values)} entries for {n_documents} texts; pass one per text")
    strange = set(values) - set(SPLIT_NAMES)
    if strange:
        raise UsageError(f"subset holds {sorted(strange)[0]!r}; pass 'train', 'validation' or 'test' for each text")
    return [SPLIT_NAMES[value] for value in values]


def _folds(values: Iterable[int], n_documents: int) -> list[int]:
    numbers = np.asarray(values if n_documents else np.empty(0, dtype=np.int64))
    if numbers.shape != (n_documents,) or numbers.dtype.kind not in "iu" or np.any(numbers < 0):
        raise UsageError(f"folds must hold a whole number from 0 for each of {n_documents} texts")
    return [int(number) for number in numbers]


def check_unlabelled(unlabelled: object) -> None:
    """Raise a UsageError if the value is neither "keep" nor "drop"."""
    if unlabelled not in ("keep", "drop"):
        raise UsageError(f"unlabelled must be 'keep' or 'drop', not {unlabelled!r}")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _column_names(labels: Any) -> list[str]:
    """Return the names of a data frame's columns; none for other kinds of labels."""
    return [str(column) for column in labels.columns] if hasattr(type(labels), "columns") else []


def _label_matrix(labels: Any) -> LabelMatrix:
    """Return 0 and 1 of any kind as uint8, dense or sparse as they come, in an array of its own."""
    is_sparse: bool = sparse.issparse(labels)
    if is_sparse:
        matrix: sparse.csr_array = sparse.csr_array(labels, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        matrix.data = _zeros_and_ones(matrix.data)
        return matrix
    refuse_set("labels", labels)
    refuse_masked("labels", labels)
    if hasattr(type(labels), "detach"):  # a torch tensor, perhaps sparse, perhaps on a GPU
        labels = labels.detach().cpu().to_dense().float()  # numpy has no bfloat16
    try:
        array = np.asarray(labels)
    except ValueError:
        raise UsageError("labels has rows of different lengths; pass one 0 or 1 per label in each row") from None
    if array.ndim != 2:
        raise UsageError(f"labels has {array.ndim} dimensions; pass two dimensions, (n_documents, n_labels)")
    return _zeros_and_ones(array)


def _zeros_and_ones(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            raise UsageError(
                "labels holds values that are no numbers; pass 0 and 1, or use Corpus.from_frame for names of labels"
            ) from None
    if values.dtype.kind not in "buif":
        raise UsageError(f"labels has type {values.dtype}; pass 0 and 1, or use Corpus.from_frame for names of labels")
    if not np.all((values == 0) | (values == 1)):
        raise UsageError("labels holds other values; pass 0 and 1 only")
    return values.astype(np.uint8)
