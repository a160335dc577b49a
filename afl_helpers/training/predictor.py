"""What every trained model can do with texts: score them, choose labels, be evaluated, and set its thresholds anew."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from afl_helpers.data import Corpus, CorpusWarning
from afl_helpers.data.table_files import SURROGATE
from afl_helpers.errors import UsageError, check_choice, require, unknown_name
from afl_helpers.evaluation import DEFAULT_RULE, THRESHOLD_RULES, TopK, binarize, fit_thresholds
from afl_helpers.files import write_json
from afl_helpers.training.explanation import Explanation
from afl_helpers.training.report import Report, align_labels, check_known, report_on
from afl_helpers.training.saving import DETAILS, describe_predictor, write_folder
from afl_helpers.training.seen_texts import SIZE, count_seen, sketch_of

if TYPE_CHECKING:
    import pandas as pd

#: Threshold rule -> one threshold, one per label (n_labels,), or a number of labels per document.
Thresholds = dict[str, float | NDArray[np.float64] | TopK]
#: Thresholds of one's own: a number, label -> number, (n_labels,), or a number of labels per document.
OwnThresholds = float | Mapping[str, float] | Sequence[float] | NDArray[np.floating] | TopK


@dataclass
class LabelPredictor:
    """Label names and thresholds for anything that scores texts.

    ``label_counts`` (n_labels,) and ``n_documents`` are those of the training documents, and ``gamma`` (n_labels,) is that
    of the focal loss, if one was trained: with them, every rule can be set anew. A model that was saved by an earlier
    version has None for all three. ``details`` says how a saved model was trained, and ``seen`` is a sketch of the texts of
    training and validation, by which :meth:`evaluate` notices that it is given some of them.
    """

    label_names: list[str]
    thresholds: Thresholds
    label_counts: NDArray[np.int64] | None = field(default=None, kw_only=True, repr=False)
    n_documents: int | None = field(default=None, kw_only=True, repr=False)
    gamma: NDArray[np.float64] | None = field(default=None, kw_only=True, repr=False)
    details: dict[str, Any] | None = field(default=None, kw_only=True, repr=False)
    seen: list[int] | None = field(default=None, kw_only=True, repr=False)

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        raise NotImplementedError

    def _explain(self, text: str, labels: Sequence[int]) -> list[Explanation]:
        raise UsageError(
            "this model cannot say which words made a label; use a tfidf model, a probe or a fine-tuned one"
        )

    def write(self, folder: Path) -> None:
        """Write the weights, and what else scoring needs, to a folder. :meth:`Run.save` writes the rest."""
        raise UsageError(f"a {type(self).__name__} cannot be saved; save a tfidf model, a probe or a fine-tuned one")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write this model, with its thresholds, to a folder for :func:`~afl_helpers.training.load_predictor`.

        The folder is written completely or not at all. A saved run is replaced; a folder with anything else is refused.

        Raises:
            UsageError: the folder holds something else, or this model was not loaded by ``load_predictor``.
            StorageError: the folder cannot be written; an earlier run in it is still there.
        """
        details = self.details
        if details is None:
            raise UsageError("only a loaded model can be saved; save its run with run.save(...), and load that folder")

        def write(folder: Path) -> None:
            self.write(folder)
            write_json(folder / DETAILS, details | describe_predictor(self))

        return write_folder(path, write)

    def predict_scores(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return the probability of each label, (n_texts, n_labels).

        Raises:
            UsageError: ``texts`` is one string, or one of them is no string that can be read.
        """
        texts = check_texts(texts)
        return self._scores(texts) if texts else np.empty((0, len(self.label_names)))

    def predict(
        self, texts: Iterable[str], rule: str = DEFAULT_RULE, thresholds: OwnThresholds | None = None
    ) -> list[list[str]]:
        """Return the labels of each text, the most probable first.

        Args:
            texts: the texts; a blank text is scored like any other.
            rule: a threshold rule, one of :data:`~afl_helpers.training.THRESHOLDS`; by default the proportional cut. A
                model that was saved by an earlier version has fewer of them; ``thresholds`` lists those that it has.
            thresholds: thresholds of your own in [0, 1] instead: one number, (n_labels,), or a dict of label and number,
                in which labels that are not named keep the rule's threshold. Or ``TopK(k)`` for k labels per text.

        Raises:
            UsageError: a rule that does not exist or that this model does not have, a label that does not exist, a
                threshold outside [0, 1], or something else than strings.
        """
        chosen = self.choose_thresholds(rule, thresholds)
        return self.labels_at(self.predict_scores(texts), chosen)

    def predict_frame(
        self,
        texts: Iterable[str],
        ids: Iterable[Any] | None = None,
        rule: str = DEFAULT_RULE,
        thresholds: OwnThresholds | None = None,
        *,
        scores: bool = False,
    ) -> "pd.DataFrame":
        """Return the labels as a data frame with one row per text.

        Args:
            texts, rule, thresholds: as in :meth:`predict`. ``texts`` may be a column of a data frame, whose index is kept.
            ids: one per text, for a column ``id``.
            scores: add one column per label, with its name, that holds its probability.

        Returns:
            The columns ``id`` (if given), ``text``, ``labels`` (a list of names, the most probable first), then the
            scores.

        Raises:
            UsageError: as in :meth:`predict`, or not one id per text.
        """
        pandas = require("pandas", "data", "predict_frame")
        index = getattr(texts, "index", None) if hasattr(texts, "to_numpy") else None
        texts, chosen = check_texts(texts), self.choose_thresholds(rule, thresholds)
        matrix = self.predict_scores(texts)
        columns: dict[str, Any] = {"text": texts, "labels": self.labels_at(matrix, chosen)}
        if ids is not None:
            columns = {"id": list(ids)} | columns
            if len(columns["id"]) != len(texts):
                raise UsageError(f"ids has {len(columns['id'])} entries for {len(texts)} texts; pass one id per text")
        frame: pd.DataFrame = pandas.DataFrame(columns, index=index)
        if scores:
            own = pandas.DataFrame(matrix, index=frame.index, columns=self.label_names)
            frame = pandas.concat([frame, own], axis=1)
        return frame

    def labels_at(self, scores: NDArray[np.float64], thresholds: float | NDArray[np.float64] | TopK) -> list[list[str]]:
        """Return the labels of each row of scores under thresholds, the most probable first."""
        chosen = binarize(scores, thresholds)
        return [
            [self.label_names[c] for c in np.argsort(-row, kind="stable") if keep[c]]
            for row, keep in zip(scores, chosen)
        ]

    def explain(
        self,
        text: str,
        labels: str | Sequence[str] | None = None,
        rule: str = DEFAULT_RULE,
        thresholds: OwnThresholds | None = None,
    ) -> list[Explanation]:
        """Return which words of a text made each label.

        For a model on word counts the contributions are exact: weight times tf-idf value. For an encoder they are
        integrated gradients (:func:`~afl_helpers.training.explanation.integrated_gradients`).

        Args:
            text: one text.
            labels: a label or several; by default those that are predicted under the rule, or the one with the highest
                score if there are none.
            rule, thresholds: as in :meth:`predict`.

        Raises:
            UsageError: a blank text, a label or rule that does not exist, or a model that cannot explain itself.
        """
        [text] = check_texts([text])
        if not text.strip():
            raise UsageError("the text is blank, so no word made its labels; pass a text with words")
        if labels is None:
            scores = self.predict_scores([text])
            labels = self.labels_at(scores, self.choose_thresholds(rule, thresholds))[0]
            labels = labels or [self.label_names[int(scores[0].argmax())]]
        names = [labels] if isinstance(labels, str) else list(labels)
        for name in names:
            if name not in self.label_names:
                raise unknown_name("label", name, self.label_names)
        return self._explain(text, [self.label_names.index(name) for name in names])

    def evaluate(self, corpus: Corpus) -> Report:
        """Return the metrics of this model on labelled documents, under every rule that it has.

        Labels are aligned by name. A label that the model does not know cannot be evaluated; the report counts it. It also
        says if the model was trained, or its thresholds were tuned, on some of the texts.

        Raises:
            UsageError: the corpus has no documents, or none of the model's labels.
        """
        report = report_on(corpus, self.label_names, self.predict_scores, self.thresholds, self.label_counts)
        return report if self.seen is None else replace(report, seen=count_seen(self.seen, corpus.texts))

    def retune(self, corpus: Corpus) -> Self:
        """Return this model with the thresholds of every rule set anew on labelled documents.

        Use it where new documents differ from those of training. The proportional cut then predicts each label as often
        among them as it occurred in training. Labels are aligned by name; those that the model does not know are left out,
        with a ``CorpusWarning``.

        Args:
            corpus: labelled documents; :func:`~afl_helpers.data.load_corpus` reads them from a table in any encoding.

        Raises:
            UsageError: the corpus has no documents, the model does not know half of the labels that they carry, or it was
                saved without its training counts.
        """
        if self.label_counts is None or self.n_documents is None:
            raise UsageError("this model was saved without the training counts of its labels; train it again")
        check_known(corpus, self.label_names)
        labels = align_labels(corpus, self.label_names)
        if labels.unknown:
            warnings.warn(f"{corpus.name}: {labels.notes()[0]}", CorpusWarning, stacklevel=2)
        rates = self.label_counts / self.n_documents
        thresholds = fit_thresholds(labels.targets, self.predict_scores(corpus.texts), rates, gamma=self.gamma)
        details = self.details
        if details is not None:  # the metrics of training are those of other thresholds
            details = {name: value for name, value in details.items() if name != "metrics"}
            details["retuned_on"] = {"corpus": corpus.name, "fingerprint": corpus.fingerprint, "documents": len(corpus)}
        seen = None if self.seen is None else sorted({*self.seen, *sketch_of(corpus.texts)})[:SIZE]
        return replace(self, thresholds=thresholds, details=details, seen=seen)

    def _of_rule(self, rule: str) -> float | NDArray[np.float64] | TopK:
        if isinstance(rule, str) and rule in THRESHOLD_RULES and rule not in self.thresholds:
            raise UsageError(
                f"this model was saved without thresholds of rule {rule!r}; choose one of "
                f"{', '.join(sorted(self.thresholds))}, or train it again"
            )
        check_choice("rule", rule, self.thresholds)
        return self.thresholds[rule]

    def choose_thresholds(
        self, rule: str = DEFAULT_RULE, thresholds: OwnThresholds | None = None
    ) -> float | NDArray[np.float64] | TopK:
        """Return the thresholds to predict with, checked; the arguments are those of :meth:`predict`."""
        if thresholds is None:
            return self._of_rule(rule)
        if isinstance(thresholds, TopK):
            return thresholds
        if not isinstance(thresholds, Mapping):
            values = _numbers(thresholds)
            if values.shape not in ((), (len(self.label_names),)):
                raise UsageError(
                    f"thresholds have shape {values.shape}; pass one number, {len(self.label_names)} numbers, or a dict "
                    "of label and number"
                )
            _check_in_range(values, "thresholds hold")
            return values
        start = self._of_rule(rule)
        if isinstance(start, TopK):
            raise UsageError(f"rule {rule!r} has no thresholds for the other labels; choose another rule")
        values = np.broadcast_to(start, len(self.label_names)).copy()
        position = {name: c for c, name in enumerate(self.label_names)}
        for name, value in thresholds.items():
            if name not in position:
                raise unknown_name("label", name, self.label_names)
            number = _numbers(value)
            if number.shape:
                raise UsageError(f"the threshold of {name!r} has shape {number.shape}; pass one number")
            _check_in_range(number, f"the threshold of {name!r} is")
            values[position[name]] = number
        return values


def check_texts(texts: Iterable[str]) -> list[str]:
    """Return the texts as a list.

    Raises:
        UsageError: ``texts`` is one string or cannot be iterated, or one of them is no string, or half a character.
    """
    if isinstance(texts, str | bytes):
        raise UsageError("texts is one string; pass a list of strings")
    try:
        listed = list(texts)
    except TypeError:
        raise UsageError(f"texts is of type {type(texts).__name__}; pass a list of strings") from None
    for position, text in enumerate(listed):
        if not isinstance(text, str):
            shown = repr(text)[:40]
            raise UsageError(f"texts[{position}] is {shown}; pass a string, or '' where a text is missing")
        if SURROGATE.search(text):
            raise UsageError(
                f"texts[{position}] holds half a surrogate pair, which is not a character; decode the text again, "
                "or replace it"
            )
    return [str(text) for text in listed]


def _numbers(values: object) -> NDArray[np.float64]:
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "bSU":  # True is no threshold, and "0.5" is a text
            return given.astype(np.float64)
    except (TypeError, ValueError):
        pass
    raise UsageError(f"thresholds are {values!r}; pass numbers in [0, 1]")


def _check_in_range(values: NDArray[np.float64], start: str) -> None:
    wrong = values[~((values >= 0) & (values <= 1))]  # a NaN fails both
    if wrong.size:
        raise UsageError(f"{start} {wrong[0]:g}; pass numbers in [0, 1]")
