"""Repeating a run from its result file alone, and comparing the two results."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from afl_helpers.errors import DataError
from afl_helpers.results import TUNED, build_result, unpack_decisions
from afl_helpers.studies.plan import METHODS, StudyCorpus
from afl_helpers.studies.run import corpus_splits


def repeat(result: Mapping[str, Any]) -> dict[str, object]:
    """Do the run of a result file again, and return the content of the new result file.

    Raises:
        DataError: the data are no longer those of the old run.
    """
    data, config = result["data"], dict(result["config"])
    whole, splits = corpus_splits(StudyCorpus(**data["options"]), data["split_seed"])
    if whole.fingerprint != data["fingerprint"]:
        raise DataError(
            f"run {result['run']!r} was measured on {data['corpus']} with fingerprint {data['fingerprint']}, but the "
            f"data here have {whole.fingerprint}; use the archive that the run was measured on"
        )
    method = METHODS[config.pop("method")]
    run = method.train(
        *splits,
        loss=result["loss"]["name"],
        config=method.config.from_dict(config),
        seed=result["seed"],
        loss_params=result["loss"]["params"],
        progress=False,
    )
    train, _, test = splits
    kept = {key: result[key] for key in ("study", "setting", "data")}
    return build_result(run, train, test, name=result["run"], **kept)


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, object]:
    """Compare two results of one run.

    Returns:
        ``metric``: the largest difference between two metrics on test, relative where the metric is above 1;
        ``n_documents``: the number of test documents whose labels differ under any tuned threshold rule;
        ``same_environment``: whether processor and versions are the same.
    """
    metric = max(
        _distance(value, second["metrics"]["test"][rule][name])
        for rule, metrics in first["metrics"]["test"].items()
        for name, value in metrics.items()
    )
    shape = first["data"]["parts"]["test"], first["data"]["n_labels"]
    decisions = [
        [unpack_decisions(result["bootstrap"]["decisions"][rule], shape) for result in (first, second)]
        for rule in TUNED
    ]
    differs = np.any([(one != other).any(1) for one, other in decisions], axis=0)
    environments = [
        {key: value for key, value in result["environment"].items() if key != "commit"} for result in (first, second)
    ]
    return {
        "metric": metric,
        "n_documents": int(differs.sum()),
        "same_environment": environments[0] == environments[1],
    }


def _distance(first: float | None, second: float | None) -> float:
    """Return the relative difference; infinity where one of the two is undefined."""
    one, two = (math.nan if value is None else float(value) for value in (first, second))
    if math.isnan(one) or math.isnan(two):
        return 0.0 if math.isnan(one) and math.isnan(two) else math.inf
    return abs(one - two) / max(1.0, abs(one))
