"""Result files: their schema, one JSON file a run, written whole or not at all; and the checksums of a study's files."""

import base64
import itertools
import json
import platform
import re
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from scipy.stats import norm

from afl_helpers.data import Corpus
from afl_helpers.errors import DataError, MissingFileError
from afl_helpers.evaluation import (
    average_precision_per_label,
    bootstrap_average_precision,
    bootstrap_decisions,
    frequency_groups,
    paired_difference,
    resampling_weights,
)
from afl_helpers.evaluation.validation import ratio
from afl_helpers.files import json_text, sha256, write_text
from afl_helpers.training.config import THRESHOLDS

if TYPE_CHECKING:  # importing it takes seconds, which a page that only reads results is spared
    from afl_helpers.training import Run

SCHEMA = 1

KEYS = (
    "schema",
    "study",
    "run",
    "setting",
    "data",
    "encoder",
    "loss",
    "seed",
    "config",
    "metrics",
    "labels",
    "bootstrap",
    "environment",
    "time",
)

#: What every result has inside its objects, as far as anything reads it.
_FIELDS = {
    "setting": ("name", "tuned"),
    "data": ("corpus", "fingerprint", "n_labels", "parts", "options", "split_seed"),
    "loss": ("name", "params"),
    "config": ("method",),
    "metrics": ("validation", "test"),
    "labels": ("name", "training_count", "support"),
    "bootstrap": ("n_replicates", "replicates", "decisions"),
    "environment": (),
    "time": ("seconds", "epochs"),
}

#: The file of a study's checksums, in the format of `sha256sum`; `sha256sum --check checksums.sha256` verifies it too.
CHECKSUMS = "checksums.sha256"

#: The threshold rules with replicates and stored decisions.
TUNED = tuple(rule for rule in THRESHOLDS if rule.startswith("tuned"))

#: So many replicates must lie beyond each end of a percentile interval.
_BEYOND = 5

_VERSIONS = ("torch", "transformers", "numpy", "scikit-learn", "iterative-stratification")


# --- building -------------------------------------------------------------------------------------------------------


def describe_data(corpus: Corpus, parts: Mapping[str, Corpus]) -> dict[str, object]:
    """What a run was measured on: corpus, fingerprint, sizes."""
    return {
        "corpus": corpus.name,
        "source": corpus.source,
        "fingerprint": corpus.fingerprint,
        "n_documents": len(corpus),
        "n_labels": corpus.n_labels,
        "parts": {name: len(part) for name, part in parts.items()},
    }


def _processor() -> str:
    """Its name, family and model where the system tells, and the vector instructions that torch uses."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "model name" not in found:
        return f"{platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    family = f"family {found.get('cpu family')}, model {found.get('model')}"
    return f"{found['model name']} ({family}), {torch.backends.cpu.get_cpu_capability()}"


def describe_environment() -> dict[str, object]:
    """Versions, commit, device and processor."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _VERSIONS},
        "commit": commit,
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"CPU, {torch.get_num_threads()} threads",
        "processor": _processor(),
    }


def pack_decisions(decisions: np.ndarray) -> str:
    """A boolean (n_documents, n_labels) array as text: bits, deflated, base64.

    Example:
        >>> import numpy as np
        >>> from afl_helpers.results import pack_decisions, unpack_decisions
        >>> decisions = np.array([[True, False], [False, True]])
        >>> bool((unpack_decisions(pack_decisions(decisions), (2, 2)) == decisions).all())
        True
    """
    return base64.b64encode(zlib.compress(np.packbits(decisions).tobytes(), 9)).decode()


def unpack_decisions(text: str, shape: tuple[int, int]) -> np.ndarray:
    """The inverse of :func:`pack_decisions`."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)


def _rounded(values: np.ndarray, digits: int = 5) -> list[float]:
    return [float(value) for value in np.round(np.asarray(values, float), digits)]


def _significant(content: object, digits: int = 6) -> object:
    """Every float of a nested result at so many significant digits: enough to compare, short to store."""
    if isinstance(content, Mapping):
        return {key: _significant(value, digits) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_significant(value, digits) for value in content]
    return float(f"{content:.{digits}g}") if isinstance(content, float) else content


def build_result(
    run: "Run",
    train: Corpus,
    test: Corpus,
    *,
    study: str,
    name: str,
    setting: Mapping[str, object],
    data: Mapping[str, object],
    n_replicates: int = 1000,
) -> dict[str, object]:
    """The content of a result file from a finished run.

    ``bootstrap`` has ``n_replicates`` of the headline metrics on the test set: micro and macro F1 under each tuned
    threshold rule, average precision macro over all and over the tail labels. Figures are kept to 6 digits,
    replicates to 4 decimals.
    """
    targets = test.dense_labels
    scores = run.scores["test"]
    decided = {rule: scores >= value for rule, value in run.thresholds.items()}
    decisions = {rule: decided[rule] for rule in TUNED}
    weights = resampling_weights(len(test), n_replicates)
    replicates = {
        f"{metric}@{rule}": values
        for rule in TUNED
        for metric, values in bootstrap_decisions(targets, decisions[rule], weights).items()
        if metric.startswith("f1")
    }
    precision = bootstrap_average_precision(targets, scores, weights)
    tail = frequency_groups(train.label_counts)["tail"]
    replicates["average_precision_macro"] = _row_means(precision)
    replicates["average_precision_macro_tail"] = _row_means(precision[:, tail])
    return {
        "schema": SCHEMA,
        "study": study,
        "run": name,
        "setting": dict(setting),
        "data": dict(data),
        "encoder": run.config.encoder,
        "loss": run.loss,
        "seed": run.seed,
        "config": {"method": run.method, **run.config.to_dict()},
        "metrics": _significant(run.metrics),
        "labels": {
            "name": test.label_names,
            "training_count": train.label_counts.tolist(),
            "support": targets.sum(0).tolist(),
            "mean_score": _rounded(scores.mean(0)),
            "average_precision": _rounded(average_precision_per_label(targets.astype(bool), scores)),
            "predicted": {rule: values.sum(0).tolist() for rule, values in decided.items()},
            "true_positives": {
                rule: (values & targets.astype(bool)).sum(0).tolist() for rule, values in decided.items()
            },
            "threshold": {
                rule: _significant(np.broadcast_to(value, scores.shape[1]).tolist())
                for rule, value in run.thresholds.items()
            },
        },
        "bootstrap": {
            "n_replicates": n_replicates,
            "replicates": {metric: _rounded(values, 4) for metric, values in replicates.items()},
            "decisions": {rule: pack_decisions(values) for rule, values in decisions.items()},
        },
        "environment": describe_environment(),
        "time": {
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(run.seconds, 2),
            "documents_per_second": round(len(train) * len(run.history) / run.seconds, 2),
            "epochs": len(run.history),
            "best_epoch": run.best_epoch,
            "converged": run.converged,
            "history": _significant(run.history),
        },
    }


def _row_means(values: np.ndarray) -> np.ndarray:
    """Mean of the defined values of each row; NaN where a row has none."""
    defined = (~np.isnan(values)).sum(1)
    return np.divide(np.nansum(values, 1), defined, out=np.full(len(values), np.nan), where=defined > 0)


# --- files ----------------------------------------------------------------------------------------------------------


def validate_result(result: object, source: object = "result") -> dict[str, object]:
    """The result, or a DataError that names the key that is missing, extra or wrong."""
    if not isinstance(result, dict):
        raise DataError(f"{source}: holds {type(result).__name__}, not an object; run the study again")
    schema = result.get("schema")
    if schema != SCHEMA:
        later = isinstance(schema, int) and schema > SCHEMA
        remedy = "install a newer afl_helpers" if later else "run the study again"
        raise DataError(f"{source}: schema is {schema!r}, this version reads {SCHEMA}; {remedy}")
    missing, extra = [key for key in KEYS if key not in result], [key for key in result if key not in KEYS]
    if missing or extra:
        what = f"misses {', '.join(missing)}" if missing else f"has unknown {', '.join(extra)}"
        raise DataError(f"{source}: {what}; run the study again")
    for key, names in _FIELDS.items():
        _check_object(result[key], key, names, source)
    for part in ("validation", "test"):
        _check_object(result["metrics"][part], f"metrics.{part}", THRESHOLDS, source)
    return result


def _check_object(content: object, key: str, names: Sequence[str], source: object) -> None:
    if not isinstance(content, dict):
        raise DataError(f"{source}: {key} is {type(content).__name__}, not an object; run the study again")
    for name in names:
        if name not in content:
            raise DataError(f"{source}: {key} misses {name}; run the study again")


def read_result(path: Path) -> dict[str, object]:
    """Read and validate one result file; in a study with checksums, also that it is as it was written."""
    return _read(path, read_checksums(path.parent.parent) if path.parent.name == "runs" else None)


def _read(path: Path, checksums: Mapping[str, str] | None) -> dict[str, object]:
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; run what is missing of the study")
    content = path.read_bytes()
    if checksums is not None:
        _verify(path, content, checksums.get(f"runs/{path.name}"), path.parent.parent)
    try:
        return validate_result(json.loads(content.decode("utf-8"), parse_constant=_refuse_constant), path)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}); run the study again") from None
    except (UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise DataError(f"{path}: not valid JSON ({error}); run the study again") from None


def _refuse_constant(name: str) -> None:
    raise ArithmeticError(f"it holds {name}")


# --- checksums ------------------------------------------------------------------------------------------------------


def write_result(path: Path, result: Mapping[str, object]) -> None:
    """Write a result file of a study, and its line among the study's checksums.

    The line comes first. A process that is killed in between leaves a line without a file: that run is missing, and
    done again it writes both. So a file without a line was not written here, and is refused. Where a study has no
    checksums yet, the first result that is written takes in the files that are there.
    """
    text, folder = json_text(result), path.parent.parent
    lock = folder / ".locks" / "checksums.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        checksums = read_checksums(folder)
        checksums = _checksums_of_files(folder) if checksums is None else checksums
        if (folder / "study.yaml").is_file():
            checksums["study.yaml"] = sha256((folder / "study.yaml").read_bytes())
        _write_checksums(folder, checksums | {f"runs/{path.name}": sha256(text.encode())})
    write_text(path, text)


def write_checksums(folder: str | Path) -> Path:
    """Write the checksums of a study's folder anew, from its files as they are: after a change that was meant.

    ``python -m afl_helpers study NAME --checksums`` does it.
    """
    folder = Path(folder)
    _write_checksums(folder, _checksums_of_files(folder))
    return folder / CHECKSUMS


def verify_checksums(folder: str | Path) -> None:
    """Check that ``study.yaml`` and every run of a study's folder are as they were written.

    Raises:
        MissingFileError: the folder has no checksums.
        DataError: a file was changed, is not listed, or is listed and not there; the message names it.
    """
    folder = Path(folder)
    files = _files(folder)  # before the checksums: a file that another process writes meanwhile has its line first
    checksums = read_checksums(folder)
    if checksums is None:
        raise MissingFileError(f"{folder / CHECKSUMS} does not exist; {_remedy(folder)}")
    for path in files:
        _verify(path, path.read_bytes(), checksums.get(path.relative_to(folder).as_posix()), folder)
    for name in checksums:
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is listed in {CHECKSUMS} and not there; run what is missing of the study")


def read_checksums(folder: str | Path) -> dict[str, str] | None:
    """File name -> SHA-256 as listed in a study's folder; None where nothing is listed."""
    path = Path(folder) / CHECKSUMS
    if not path.is_file():
        return None
    checksums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        found = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if not found:
            raise DataError(f"{path}, line {number}: is not a checksum and a file's name; {_remedy(path.parent)}")
        checksums[found[2]] = found[1]
    return checksums


def _remedy(folder: Path) -> str:
    return f"look at the files and list them with: python -m afl_helpers study {folder.name} --checksums"


def _files(folder: Path) -> list[Path]:
    return [path for path in (folder / "study.yaml", *sorted(folder.glob("runs/*.json"))) if path.is_file()]


def _checksums_of_files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()) for path in _files(folder)}


def _write_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    lines = [f"{digest}  {name}\n" for name, digest in sorted(checksums.items())]
    write_text(folder / CHECKSUMS, "".join(lines))


def _verify(path: Path, content: bytes, expected: str | None, folder: Path) -> None:
    if expected is None:
        raise DataError(f"{path} is not listed in {CHECKSUMS}; delete it, or {_remedy(folder)}")
    if sha256(content) != expected:
        raise DataError(
            f"{path} was changed after it was written, by {CHECKSUMS}; take the old one back, or if it was meant, "
            f"{_remedy(folder)}"
        )


# --- studies --------------------------------------------------------------------------------------------------------


def find_results() -> Path:
    """The nearest folder ``results`` in this folder or above it; chapters lie one folder below it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "results").is_dir():
            return folder / "results"
    sentence = f"there is no folder 'results' in {here} or above it;"
    raise MissingFileError(
        f"{sentence} pass the folder of the results",
        command_line=f"{sentence} name the folder of the results with --results",
    )


def read_study(study: str, folder: str | Path | None = None) -> list[dict[str, object]]:
    """All runs of a study so far, in order of file name; ``folder`` is :func:`find_results` unless given."""
    runs = (find_results() if folder is None else Path(folder)) / study / "runs"
    if not runs.is_dir() and not (runs.parent / "study.yaml").is_file():
        raise MissingFileError(f"{runs} does not exist; run: python -m afl_helpers study {study}")
    paths = sorted(runs.glob("*.json"))  # before the checksums: a file that is written meanwhile has its line first
    checksums = read_checksums(runs.parent)
    return [_read(path, checksums) for path in paths]


def results_table(results: list[dict[str, object]], rules: tuple[str, ...] = THRESHOLDS) -> pd.DataFrame:
    """One row per run and threshold rule: corpus, encoder, setting, seed, and every test metric."""
    return pd.DataFrame(
        [
            {
                "corpus": result["data"]["corpus"],
                "encoder": result["encoder"],
                "method": result["config"]["method"],
                "setting": result["setting"]["name"],
                "seed": result["seed"],
                "thresholds": rule,
                **result["metrics"]["test"][rule],
            }
            for result in results
            for rule in rules
        ]
    )


def f1_by_count(
    results: list[dict[str, object]], rule: str = "tuned_common", cutoffs: tuple[int, int] | str = "rank"
) -> pd.DataFrame:
    """F1 on test by training count of the labels, micro and macro within each group.

    Args:
        results: the runs of a study.
        rule: a threshold rule.
        cutoffs: as in :func:`~afl_helpers.evaluation.frequency_groups`.

    Returns:
        One row per run and group ("total", "head", "medium", "tail"): ``corpus, setting, seed, group, n_labels, f1_micro,
        f1_macro``; NaN where a group has no label.

    Raises:
        DataError: a run was recorded before result files held the counts of each label.
    """
    rows = []
    for result in results:
        labels = result["labels"]
        if "true_positives" not in labels:
            raise DataError(f"run {result['run']!r} holds no counts of its labels' decisions; run it again")
        hits, predicted, support = (
            np.array(values, dtype=float)
            for values in (labels["true_positives"][rule], labels["predicted"][rule], labels["support"])
        )
        groups = {"total": np.ones(len(hits), dtype=bool), **frequency_groups(labels["training_count"], cutoffs)}
        for group, members in groups.items():
            own, either = 2 * hits[members], (predicted + support)[members]
            rows.append(
                {
                    "corpus": result["data"]["corpus"],
                    "setting": result["setting"]["name"],
                    "seed": result["seed"],
                    "group": group,
                    "n_labels": int(members.sum()),
                    "f1_micro": float(ratio(own.sum(), either.sum())) if members.any() else np.nan,
                    "f1_macro": float(ratio(own, either).mean()) if members.any() else np.nan,
                }
            )
    return pd.DataFrame(rows)


def label_decisions(results: list[dict[str, object]], rule: str = "tuned_common") -> pd.DataFrame:
    """How often each label is predicted on test, beside how often it should be by its frequency in training.

    Args:
        results: the runs of a study.
        rule: a tuned threshold rule.

    Returns:
        One row per run and label: ``corpus, setting, seed, label, training_count, predicted, expected``, the last two in
        documents.
    """
    tables = []
    for result in results:
        data, labels = result["data"], result["labels"]
        decisions = unpack_decisions(result["bootstrap"]["decisions"][rule], (data["parts"]["test"], data["n_labels"]))
        counts = np.array(labels["training_count"])
        tables.append(
            pd.DataFrame(
                {
                    "corpus": data["corpus"],
                    "setting": result["setting"]["name"],
                    "seed": result["seed"],
                    "label": labels["name"],
                    "training_count": counts,
                    "predicted": decisions.sum(0),
                    "expected": counts / data["parts"]["train"] * data["parts"]["test"],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _seeds(
    results: list[dict[str, object]], corpus: str, setting: str, seeds: Sequence[int] | None = None
) -> dict[int, dict[str, object]]:
    """The runs of one setting on one corpus, by seed: all, or exactly those asked for."""
    runs = {
        result["seed"]: result
        for result in results
        if result["data"]["corpus"] == corpus
        and result["setting"]["name"] == setting
        and (seeds is None or result["seed"] in seeds)
    }
    if not runs or (seeds is not None and set(runs) != set(seeds)):
        which = "no run" if not runs else f"only seeds {sorted(runs)} of {sorted(seeds)}"
        raise DataError(f"{which} of setting {setting!r} on corpus {corpus!r} in this study; run what is missing")
    return runs


def _mean_over_seeds(runs: Mapping[int, dict[str, object]], metric: str) -> tuple[float, np.ndarray]:
    """A metric on test and its bootstrap replicates, (n_replicates,), both averaged over seeds."""
    name, _, rule = metric.partition("@")
    observed = [run["metrics"]["test"][rule or "at_0.5"][name] for run in runs.values()]
    replicates = [run["bootstrap"]["replicates"][metric] for run in runs.values()]
    return float(np.mean(observed)), np.array(replicates, dtype=float).mean(0)


def paired_differences(
    results: list[dict[str, object]],
    setting: str | Sequence[str],
    against: Sequence[str],
    metrics: Sequence[str],
    seeds: Sequence[int] | None = None,
) -> pd.DataFrame:
    """How much better settings are than others, with simultaneous 95 % intervals.

    The mean over seeds of ``setting`` minus that of each other setting, on the same resampled test documents. The
    intervals are widened for the number of comparisons (Bonferroni: each at 1 - 0.05 / rows): percentiles of the replicates, or
    where too few of these lie beyond, the normal distribution with their standard deviation.

    Args:
        results: the runs of one study.
        setting: its name, or several.
        against: names of settings; ``"bce@tuned_proportional"`` is taken under that threshold rule, whichever the metric
            names, and is compared in metrics of decisions only.
        metrics: names of stored replicates, such as ``"f1_macro@tuned_common"`` or ``"average_precision_macro"``.
        seeds: only these. Without it all, which must be the same for both sides.

    Returns:
        One row per corpus, metric, setting and comparison: ``corpus, metric, setting, comparison, difference, low, high,
        p_value``, the last not corrected.

    Raises:
        DataError: a run is missing.
    """
    corpora = list(dict.fromkeys(result["data"]["corpus"] for result in results))
    settings = [setting] if isinstance(setting, str) else list(setting)
    keys = [
        (corpus, metric, own, other)
        for corpus, metric, own, other in itertools.product(corpora, metrics, settings, against)
        if own != other and ("@" in metric or "@" not in other)
    ]
    level = 1 - 0.05 / max(1, len(keys))
    rows = []
    for corpus, metric, own, other in keys:
        name, _, rule = other.partition("@")
        other_metric = f"{metric.partition('@')[0]}@{rule}" if rule else metric
        ours, theirs = (_seeds(results, corpus, one, seeds) for one in (own, name))
        if set(ours) != set(theirs):
            raise DataError(
                f"on corpus {corpus!r}, {own!r} has seeds {sorted(ours)} and {name!r} {sorted(theirs)}; "
                "run what is missing, or pass the seeds that both have"
            )
        (first, first_replicates), (second, second_replicates) = (
            _mean_over_seeds(runs, one) for runs, one in ((ours, metric), (theirs, other_metric))
        )
        found = paired_difference(first_replicates, second_replicates, level)
        found["difference"] = first - second
        if len(first_replicates) * (1 - level) / 2 < _BEYOND:
            half = norm.ppf((1 + level) / 2) * np.nanstd(first_replicates - second_replicates, ddof=1)
            found |= {"low": first - second - half, "high": first - second + half}
        rows.append({"corpus": corpus, "metric": metric, "setting": own, "comparison": other, **found})
    return pd.DataFrame(rows)
