"""How a result is written to the JSON of its file, and read back with every key checked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from afl_helpers.errors import DataError
from afl_helpers.results.schema import (
    N_BINS,
    PILOT,
    Counts,
    DataRecord,
    Floats,
    LabelRecord,
    LossRecord,
    Metrics,
    Result,
    ScoreHistogram,
    Summaries,
    TimeRecord,
)
from afl_helpers.results.shared_parts import FILE, first_key

#: Version of the layout.
SCHEMA = 2

#: The keys of a result file, in order.
KEYS = (
    "schema",
    "study",
    "run",
    "setting",
    "block",
    "data",
    "encoder",
    "loss",
    "seed",
    "config",
    "metrics",
    "labels",
    "summaries",
    "environment",
    "time",
)

#: In a file, metrics that are equal under every threshold rule are written once, under this name.
_ALL_RULES = "all_rules"

_GROUPS = ("head", "medium", "tail")

#: The metrics of a frequency group that a file keeps; the rest follow from the counts of its labels.
_KEPT_OF_GROUPS = ("f1_macro", "recall_macro", "roc_auc_macro", "average_precision_macro")

#: The test metrics that a file keeps of the rules but 0.5; what else is of labels follows from the counts of its labels.
_KEPT_OF_OTHER_RULES = (
    "f1_micro",
    "f1_macro",
    "f1_macro_head",
    "f1_macro_medium",
    "f1_macro_tail",
    "precision_micro",
    "recall_micro",
    "n_labels_never_predicted",
)

#: What it keeps of the one common threshold: more, because pages and claims read it.
_KEPT_OF_COMMON = (
    *_KEPT_OF_OTHER_RULES,
    "precision_macro",
    "recall_macro",
    "recall_macro_head",
    "recall_macro_medium",
    "recall_macro_tail",
    "roc_auc_micro_of_decisions",
    "roc_auc_macro_of_decisions",
    "roc_auc_samples_of_decisions",
)

#: The validation metrics that a file keeps.
_KEPT_OF_VALIDATION = (
    "f1_micro",
    "f1_macro",
    "average_precision_micro",
    "average_precision_macro",
    "average_precision_macro_tail",
)


# --- writing --------------------------------------------------------------------------------------------------------


def to_json(result: Result) -> dict[str, Any]:
    """Return the content of a result file; arrays become lists, and metrics that no file keeps are left out."""
    labels = result.labels
    return {
        "schema": SCHEMA,
        "study": result.study,
        "run": result.run,
        "setting": {"name": result.setting, "tuned": result.tuned},
        "block": result.block,
        "data": asdict(result.data),
        "encoder": result.encoder,
        "loss": asdict(result.loss),
        "seed": result.seed,
        "config": {"method": result.method, **result.config},
        "metrics": {split: _factored(split, rules) for split, rules in result.metrics.items()},
        "labels": {
            "name": labels.name,
            "training_count": labels.training_count.tolist(),
            "support": labels.support.tolist(),
            "average_precision": _rounded(labels.average_precision),
            "predicted": _without_repeats(labels.predicted),
            "true_positives": _without_repeats(labels.true_positives),
            "threshold": labels.threshold,
        },
        "summaries": None if result.summaries is None else _histograms(result.summaries),
        "environment": result.environment,
        "time": asdict(result.time) | {"history": _constants_once(result.time.history)},
    }


def _is_kept(split: str, name: str) -> bool:
    if split == "validation":
        return name in _KEPT_OF_VALIDATION
    base, _, group = name.rpartition("_")
    return group not in _GROUPS or base in _KEPT_OF_GROUPS


def _factored(split: str, rules: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Metrics per rule, those that are equal under every rule only once, of further rules only the main ones."""
    kept = {rule: {name: v for name, v in values.items() if _is_kept(split, name)} for rule, values in rules.items()}
    first = next(iter(kept.values()), {})
    if len(kept) < 2:
        return {_ALL_RULES: {}, **kept}
    common = {name: value for name, value in first.items() if all(_same(own.get(name), value) for own in kept.values())}
    return {
        _ALL_RULES: common,
        **{
            rule: {
                name: value
                for name, value in values.items()
                if name not in common
                and (rule == "at_0.5" or name in (_KEPT_OF_COMMON if rule == "tuned_common" else _KEPT_OF_OTHER_RULES))
            }
            for rule, values in kept.items()
        },
    }


def _constants_once(history: Mapping[str, list[float]]) -> dict[str, list[float] | float]:
    """Write the epochs 1 to n as n, and a column that is the same after every epoch as one number."""
    written: dict[str, list[float] | float] = {}
    for name, values in history.items():
        if name == "epoch":
            written[name] = len(values) if values == [*range(1, len(values) + 1)] else values
        else:
            written[name] = values[0] if len(set(values)) == 1 else values
    return written


def _without_repeats(rules: Mapping[str, Counts]) -> dict[str, list[int] | str]:
    """Replace counts that equal those of an earlier rule by that rule's name: without a gamma, rules coincide."""
    kept: dict[str, list[int] | str] = {}
    for rule, counts in rules.items():
        own = _without_last_zeros(counts)
        kept[rule] = next((name for name, earlier in kept.items() if earlier == own), own)
    return kept


def _without_last_zeros(counts: Counts) -> list[int]:
    """Leave out the zeros at the end: rare labels, and high scores, have many. Reading puts them back."""
    filled = np.flatnonzero(counts)
    return [int(count) for count in counts[: filled[-1] + 1 if filled.size else 0]]


def _same(first: float | None, second: float) -> bool:
    return first is not None and (first == second or (math.isnan(first) and math.isnan(second)))


def _rounded(values: Floats, digits: int = 5) -> list[float]:
    return [float(value) for value in np.round(values, digits)]


def _histograms(summaries: Summaries) -> dict[str, dict[str, dict[str, list[int]]]]:
    return {
        kind: {
            name: {
                "positives": _without_last_zeros(one.positives),
                "negatives": _without_last_zeros(one.negatives),
            }
            for name, one in own.items()
        }
        for kind, own in (("groups", summaries.groups), ("labels", summaries.labels))
    }


# --- reading --------------------------------------------------------------------------------------------------------


def from_json(content: object, source: object = "result") -> Result:
    """Return the result that a file holds.

    Args:
        content: what the file's JSON parses to.
        source: named in errors, such as the file's path.

    Raises:
        DataError: a key is missing, unknown or of another kind, or the file is of another version.
    """
    top = _object(content, "", source)
    schema = top.get("schema")
    if schema != SCHEMA:
        later = isinstance(schema, int) and schema > SCHEMA
        remedy = "install a newer afl_helpers" if later else "run the study again"
        raise DataError(f"{source}: schema is {schema!r}, this version reads {SCHEMA}; {remedy}")
    _check_keys(top, KEYS, "", source)
    if key := first_key(top):
        raise DataError(f"{source}: {key} is a key of the study's {FILE}; read the file with read_result")
    setting = _record(top, "setting", ("name", "tuned"), source)
    data = _record(top, "data", tuple(DataRecord.__dataclass_fields__), source)
    loss = _record(top, "loss", ("name", "params"), source)
    labels = dict(_object(top["labels"], "labels", source))
    labels.pop("mean_score", None)  # files of version 0.1 have it
    labels = _record({"labels": labels}, "labels", tuple(LabelRecord.__dataclass_fields__), source)
    timed = {"time": {"reason": ""} | _object(top["time"], "time", source)}  # files of version 0.1 have no reason
    time = _record(timed, "time", tuple(TimeRecord.__dataclass_fields__), source)
    history = dict(_object(time["history"], "time.history", source))
    if isinstance(n_epochs := history.get("epoch", []), int):
        history["epoch"] = [*range(1, n_epochs + 1)]
    time["history"] = {
        name: values if isinstance(values, list) else [values] * len(history["epoch"])
        for name, values in history.items()
    }
    config = dict(_object(top["config"], "config", source))
    if "method" not in config:
        raise DataError(f"{source}: config misses method; run the study again")
    try:
        return Result(
            study=top["study"],
            run=top["run"],
            setting=setting["name"],
            tuned=[dict(row) for row in setting["tuned"]],
            block=top["block"],
            data=DataRecord(**data),
            encoder=top["encoder"],
            loss=LossRecord(**loss),
            seed=top["seed"],
            method=config.pop("method"),
            config=config,
            metrics=_metrics(top["metrics"], source, pilot=str(top["run"]).endswith(PILOT)),
            labels=_labels(labels, source),
            summaries=_summaries(top["summaries"], source),
            environment=dict(_object(top["environment"], "environment", source)),
            time=TimeRecord(**time),
        )
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{source}: a value is of the wrong kind ({error}); run the study again") from None


def _object(content: object, key: str, source: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        what = f"{key} is {type(content).__name__}" if key else f"holds {type(content).__name__}"
        raise DataError(f"{source}: {what}, not an object; run the study again")
    return content


def _check_keys(content: Mapping[str, Any], names: Sequence[str], key: str, source: object) -> None:
    missing, unknown = [name for name in names if name not in content], [name for name in content if name not in names]
    if missing or unknown:
        what = f"misses {', '.join(missing)}" if missing else f"has unknown {', '.join(unknown)}"
        raise DataError(f"{source}: {key + ' ' if key else ''}{what}; run the study again")


def _record(top: Mapping[str, Any], key: str, names: Sequence[str], source: object) -> dict[str, Any]:
    content = _object(top[key], key, source)
    _check_keys(content, names, key, source)
    return content


def _metrics(content: object, source: object, pilot: bool = False) -> Metrics:
    splits = _object(content, "metrics", source)
    _check_keys(splits, ("validation", "test"), "metrics", source)
    metrics: Metrics = {}
    for split, found in splits.items():
        rules = dict(_object(found, f"metrics.{split}", source))
        if _ALL_RULES not in rules:
            raise DataError(f"{source}: metrics.{split} misses {_ALL_RULES}; run the study again")
        common = _object(rules.pop(_ALL_RULES), f"metrics.{split}.{_ALL_RULES}", source)
        metrics[split] = {
            rule: {name: _number(value) for name, value in {**common, **_object(values, rule, source)}.items()}
            for rule, values in rules.items()
        }
    every = {"at_0.5", *metrics["validation"], *metrics["test"]}
    for split, found in metrics.items():
        missing = sorted(every - set(found)) if found or not pilot else []
        if missing:
            raise DataError(f"{source}: metrics.{split} misses {', '.join(missing)}; run the study again")
    return metrics


def _number(value: float | None) -> float:
    """Undefined values are null in JSON."""
    return math.nan if value is None else value


def _with_last_zeros(counts: Sequence[int], length: int) -> Counts:
    full = np.zeros(length, dtype=np.int64)
    full[: len(counts)] = counts
    return full


def _labels(content: dict[str, Any], source: object) -> LabelRecord:
    def counts(key: str) -> dict[str, Counts]:
        rules = _object(content[key], f"labels.{key}", source)
        return {
            rule: _with_last_zeros(rules[values] if isinstance(values, str) else values, len(content["name"]))
            for rule, values in rules.items()
        }

    return LabelRecord(
        name=list(content["name"]),
        training_count=np.array(content["training_count"], dtype=np.int64),
        support=np.array(content["support"], dtype=np.int64),
        average_precision=np.array(content["average_precision"], dtype=np.float64),
        predicted=counts("predicted"),
        true_positives=counts("true_positives"),
        threshold=dict(_object(content["threshold"], "labels.threshold", source)),
    )


def _summaries(content: object, source: object) -> Summaries | None:
    if content is None:
        return None
    kinds = _object(content, "summaries", source)
    _check_keys(kinds, ("groups", "labels"), "summaries", source)

    def histograms(kind: str) -> dict[str, ScoreHistogram]:
        found = {}
        for name, one in _object(kinds[kind], f"summaries.{kind}", source).items():
            _check_keys(_object(one, name, source), ("positives", "negatives"), f"summaries.{kind}.{name}", source)
            found[name] = ScoreHistogram(
                _with_last_zeros(one["positives"], N_BINS), _with_last_zeros(one["negatives"], N_BINS)
            )
        return found

    return Summaries(histograms("groups"), histograms("labels"))
