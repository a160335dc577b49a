"""Tables of a study's runs: data frames with documented columns, for chapters and for readers' own analyses."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from afl_helpers.errors import DataError, unknown_name
from afl_helpers.evaluation import frequency_groups
from afl_helpers.results.schema import Result

KEY_COLUMNS = ("study", "corpus", "setting", "seed", "block")


def _table(rows: Sequence[Mapping[str, Any]], *columns: str) -> pd.DataFrame:
    """Return the rows as a data frame; without a row, one that has the columns all the same."""
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*KEY_COLUMNS, *columns])


def _joined(tables: Sequence[pd.DataFrame], *columns: str) -> pd.DataFrame:
    """Return the rows of all tables; without a table, one that has the columns all the same."""
    return pd.concat(tables, ignore_index=True) if tables else _table([], *columns)


def _key(result: Result) -> dict[str, Any]:
    """The columns that every table starts with."""
    values = (result.study, result.data.corpus, result.setting, result.seed, result.block)
    return dict(zip(KEY_COLUMNS, values, strict=True))


def run_table(results: Sequence[Result]) -> pd.DataFrame:
    """Tabulate what was run, one row per run.

    Returns:
        Columns ``study, corpus, setting, seed, block, run, method, encoder, loss, n_labels, n_train, n_validation,
        n_test, epochs, best_epoch, converged, seconds, device``, and ``config.<field>`` for each field of the
        configuration. Values that do not apply to a method are NaN or None.
    """
    return _table(
        [
            {
                **_key(result),
                "run": result.run,
                "method": result.method,
                "encoder": result.encoder,
                "loss": result.loss.name,
                "n_labels": result.data.n_labels,
                **{f"n_{split}": size for split, size in result.data.sizes.items()},
                "epochs": result.time.epochs,
                "best_epoch": result.time.best_epoch,
                "converged": result.time.converged,
                "seconds": result.time.seconds,
                "device": result.environment["device"],
                **{f"config.{name}": value for name, value in result.config.items()},
            }
            for result in results
        ],
        *("run", "method", "encoder", "loss", "n_labels", "n_train", "n_validation", "n_test"),
        *("epochs", "best_epoch", "converged", "seconds", "device"),
    )


def results_table(results: Sequence[Result], rules: Sequence[str] | None = None) -> pd.DataFrame:
    """Tabulate the test metrics, one row per run and threshold rule.

    Args:
        results: the runs of one or more studies.
        rules: threshold rules to include, one or several; by default, all that each run has.

    Returns:
        Columns ``study, corpus, setting, seed, block, encoder, method, thresholds`` (the rule) and every metric that the
        files keep, by the names of :func:`~afl_helpers.evaluation.evaluate`; NaN if a metric is not defined.

    Raises:
        UsageError: a run has no such rule.
    """
    wanted = [rules] if isinstance(rules, str) else rules
    return _table(
        [
            {
                **_key(result),
                "encoder": result.encoder,
                "method": result.method,
                "thresholds": rule,
                **_test_metrics(result, rule),
            }
            for result in results
            for rule in (result.metrics["test"] if wanted is None else wanted)
        ],
        *("encoder", "method", "thresholds"),
    )


def _test_metrics(result: Result, rule: str) -> dict[str, float]:
    kept = result.metrics["test"]
    if rule not in kept:
        raise unknown_name("threshold rule", rule, kept)
    return kept[rule]


def label_table(results: Sequence[Result], rule: str = "tuned_common") -> pd.DataFrame:
    """Tabulate the test results of each label, one row per run and label.

    Args:
        results: the runs of one or more studies.
        rule: a threshold rule.

    Returns:
        Columns ``study, corpus, setting, seed, block, label, training_count, support, average_precision, predicted,
        true_positives, expected``. ``expected`` is how many test documents would get the label if it were as
        frequent as in training.

    Raises:
        DataError: a run keeps no decisions under this rule.
    """
    tables = []
    for result in results:
        labels, sizes = result.labels, result.data.sizes
        if rule not in labels.predicted:
            raise DataError(f"run {result.run!r} keeps no counts of decisions under {rule!r}; run it again")
        columns = {
            **_key(result),
            "label": labels.name,
            "training_count": labels.training_count,
            "support": labels.support,
            "average_precision": labels.average_precision,
            "predicted": labels.predicted[rule],
            "true_positives": labels.true_positives[rule],
            "expected": labels.training_count / sizes["train"] * sizes["test"],
        }
        tables.append(pd.DataFrame(columns))
    return _joined(
        tables,
        *("label", "training_count", "support", "average_precision", "predicted", "true_positives", "expected"),
    )


def threshold_table(results: Sequence[Result]) -> pd.DataFrame:
    """Tabulate the thresholds that are one number for all labels, one row per run.

    Returns:
        Columns ``study, corpus, setting, seed, block`` and one per threshold rule.
    """
    return _table([{**_key(result), **result.labels.threshold} for result in results])


def tuning_table(results: Sequence[Result]) -> pd.DataFrame:
    """Tabulate the values that were tried, one row per run and trial.

    Returns:
        Columns ``study, corpus, setting, seed, block``, each tuned field of the configuration, and the validation score
        by which the best trial was chosen.
    """
    return _table([{**_key(result), **trial} for result in results for trial in result.tuned])


def history_table(results: Sequence[Result]) -> pd.DataFrame:
    """Tabulate the epochs, one row per run and epoch, for the runs that keep a history.

    Returns:
        Columns ``study, corpus, setting, seed, block, epoch``, ``loss`` (of training) where the method records it, and the
        validation metrics of each epoch.
    """
    return _joined(
        [pd.DataFrame({**_key(result), **result.time.history}) for result in results if result.time.history],
        *("epoch", "loss"),
    )


def f1_by_count(
    results: Sequence[Result], rule: str = "tuned_common", cutoffs: tuple[int, int] | Literal["rank"] = "rank"
) -> pd.DataFrame:
    """Tabulate micro and macro F1 on test for labels grouped by training frequency.

    Args:
        results: the runs of one or more studies.
        rule: a threshold rule.
        cutoffs: as in :func:`~afl_helpers.evaluation.frequency_groups`.

    Returns:
        One row per run and group ("total", "head", "medium", "tail"): ``study, corpus, setting, seed, block, group,
        n_labels, f1_micro, f1_macro``; NaN if a group has no label.

    Raises:
        DataError: a run keeps no decisions under this rule.
    """
    rows = []
    for result in results:
        labels = label_table([result], rule)
        hits, either = 2.0 * labels["true_positives"].to_numpy(), (labels["predicted"] + labels["support"]).to_numpy()
        f1 = np.divide(hits, either, out=np.zeros(len(hits)), where=either > 0)
        groups: Mapping[str, np.ndarray[Any, Any]] = {
            "total": np.ones(len(hits), dtype=bool),
            **frequency_groups(labels["training_count"], cutoffs),
        }
        for group, members in groups.items():
            all_hits, all_either = hits[members].sum(), either[members].sum()
            rows.append(
                {
                    **_key(result),
                    "group": group,
                    "n_labels": int(members.sum()),
                    "f1_micro": (all_hits / all_either if all_either else 0.0) if members.any() else np.nan,
                    "f1_macro": f1[members].mean() if members.any() else np.nan,
                }
            )
    return _table(rows, "group", "n_labels", "f1_micro", "f1_macro")
