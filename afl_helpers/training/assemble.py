"""What every method of training shares: the loss, checks of its input and numbers, and the run made of its scores."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from afl_helpers.data import Corpus
from afl_helpers.errors import TrainingError, UsageError
from afl_helpers.evaluation import average_precision_per_label, evaluate_rules, fit_thresholds
from afl_helpers.losses import MultiLabelLoss, build_loss
from afl_helpers.training.config import EpochConfig
from afl_helpers.training.run import LabelPredictor, Run, Thresholds
from afl_helpers.training.seen_texts import sketch_of

#: (train, validation, test)
Splits = tuple[Corpus, Corpus, Corpus]
#: Called after an epoch with its number, from 1, and the validation scores, (n_documents, n_labels).
OnEpoch = Callable[[int, NDArray[np.float64]], None]


def check_splits(train: Corpus, validation: Corpus, test: Corpus) -> None:
    """Raise UsageError for a split without documents or with other labels, or a validation split without positives."""
    for name, split in (("train", train), ("validation", validation), ("test", test)):
        if not isinstance(split, Corpus):
            raise UsageError(f"{name} is {split!r}; pass a Corpus, such as those that corpus.split returns")
        if len(split) == 0:
            raise UsageError(f"{name} has no documents; split the corpus so that every split has some")
        if split.label_names != train.label_names:
            if sorted(split.label_names) == sorted(train.label_names):
                raise UsageError(
                    f"{name} has the labels of train in another order; split one corpus, so that all parts share it"
                )
            raise UsageError(f"{name} has other labels than train; select labels before splitting")
    if not validation.label_counts.any():
        raise UsageError("no document of validation carries a label; the best epoch cannot be chosen on it")


def resolve_loss(
    loss: str | MultiLabelLoss, loss_params: Mapping[str, object] | None, train: Corpus
) -> tuple[MultiLabelLoss, dict[str, Any]]:
    """Return the loss module, and its ``name`` and ``params`` as configured."""
    if isinstance(loss, MultiLabelLoss):
        if loss_params:
            raise UsageError("loss_params goes with a loss name; the loss passed is already built")
        state = {name: value.tolist() for name, value in loss.state_dict().items()}
        loss = copy.deepcopy(loss)  # a loss with a state starts every run as it was passed
        return loss, {"name": type(loss).__name__, "params": {"reduction": loss.reduction} | state}
    params = {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value
        for name, value in (loss_params or {}).items()
    }
    return build_loss(loss, train.label_counts, len(train), **params), {"name": loss, "params": params}


def not_finite(what: str, value: float, step: int, documents: Sequence[str], config: EpochConfig) -> TrainingError:
    """Return the error for a loss or gradient that is not finite; it names the step and up to 16 documents."""
    more = f" and {len(documents) - 16} more" if len(documents) > 16 else ""
    precision = "" if getattr(config, "precision", "float32") == "float32" else ', or pass precision="float32"'
    return TrainingError(
        f"at step {step} the {what} is {value}, with documents {', '.join(map(str, documents[:16]))}{more}; lower the "
        f"learning_rate ({config.learning_rate:g}) and check gamma and the loss's other parameters{precision}"
    )


def selection_metrics(targets: NDArray[Any], scores: NDArray[Any]) -> dict[str, float]:
    """Compute the metrics that can choose an epoch, named in ``SELECTION_METRICS``.

    ``average_precision_weighted`` and ``average_precision_macro`` are means over the labels with a positive, weighted by
    the positives or not; ``average_precision_micro`` ranks all (document, label) pairs together. Both arrays are
    (n_documents, n_labels).

    Raises:
        TrainingError: a score is not finite.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.training import selection_metrics
        >>> targets = np.array([[1, 0], [0, 1], [0, 0]])
        >>> scores = np.array([[0.9, 0.1], [0.5, 0.2], [0.1, 0.0]])  # perfect within each label, not across labels
        >>> {name: round(value, 3) for name, value in selection_metrics(targets, scores).items()}
        {'average_precision_weighted': 1.0, 'average_precision_micro': 0.833, 'average_precision_macro': 1.0}
    """
    n = scores.size - np.isfinite(scores).sum()
    if n:
        raise TrainingError(
            f"{n} of {scores.size} scores are not finite; lower the learning_rate and check gamma and the loss's other "
            "parameters"
        )
    targets = targets.astype(bool)
    flat = average_precision_per_label(targets.reshape(-1, 1), scores.reshape(-1, 1))
    positives, by_label = targets.sum(0), average_precision_per_label(targets, scores)
    return {
        "average_precision_weighted": float(np.average(by_label[positives > 0], weights=positives[positives > 0])),
        "average_precision_micro": float(flat[0]),
        "average_precision_macro": float(np.nanmean(by_label)),
    }


def tuned_thresholds(
    train: Corpus, validation: Corpus, scores: NDArray[np.float64], gamma: NDArray[np.float64] | None = None
) -> Thresholds:
    """Tune the thresholds of every rule in :data:`THRESHOLDS` on validation scores, (n_documents, n_labels).

    The proportional rule also needs the label frequencies of ``train``, and the rules on posteriors the ``gamma`` of the
    loss: a number, (n_labels,), or None if it has none.
    """
    rates = train.label_counts / len(train)
    return fit_thresholds(validation.dense_labels, scores, rates, gamma=gamma)


def finish(
    method: str,
    splits: Splits,
    predictor: LabelPredictor,
    scores: dict[str, NDArray[np.float64]],
    started: float,
    *,
    loss_module: MultiLabelLoss | None = None,
    **details: Any,
) -> Run:
    """Tune the thresholds, evaluate validation and test under each rule, and return the run.

    Args:
        started: the value of ``time.perf_counter()`` when training started.
        loss_module: the loss that was trained, whose gamma the rules on posteriors need; None for a method without one.
        details: further fields of Run.
    """
    train, validation, test = splits
    gamma = None
    # Scores that were adjusted after training are no longer those that the loss asked for.
    if loss_module is not None and not getattr(details["config"], "logit_adjustment", 0.0):
        own = loss_module.posterior_gamma
        gamma = None if own is None else np.broadcast_to(own.double().cpu().numpy(), train.n_labels).copy()
    predictor.label_counts, predictor.n_documents, predictor.gamma = train.label_counts, len(train), gamma
    predictor.seen = sketch_of([*train.texts, *validation.texts])
    predictor.thresholds = tuned_thresholds(train, validation, scores["validation"], gamma)
    metrics = {
        name: evaluate_rules(split.dense_labels, scores[name], predictor.thresholds, train.label_counts)
        for name, split in (("validation", validation), ("test", test))
    }
    return Run(
        method=method,
        scores=scores,
        metrics=metrics,
        thresholds=predictor.thresholds,
        predictor=predictor,
        seconds=time.perf_counter() - started,
        gamma=gamma,
        **details,
    )
