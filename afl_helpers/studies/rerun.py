"""A run done again from its result file alone: does it come out as recorded?"""

import math
from collections.abc import Mapping

import numpy as np

from afl_helpers.errors import DataError
from afl_helpers.results import TUNED, build_result, unpack_decisions
from afl_helpers.studies.plan import METHODS
from afl_helpers.studies.run import corpus_parts

#: Metrics that have another name since a result was recorded: old -> new.
_RENAMED = {
    "calibration_error": "expected_calibration_error",
    "calibration_error_macro": "expected_calibration_error_macro",
}


def repeat(result: Mapping[str, object]) -> dict[str, object]:
    """The content of a new result file, from what an old one says was done.

    Raises:
        DataError: the data are no longer those of the old run.
    """
    data, config = result["data"], dict(result["config"])
    whole, parts = corpus_parts(tuple(sorted(data["options"].items())), data["split_seed"])
    if whole.fingerprint != data["fingerprint"]:
        raise DataError(
            f"run {result['run']!r} was measured on {data['corpus']} with fingerprint {data['fingerprint']}, and what "
            f"is here has {whole.fingerprint}; use the archive that the run was measured on"
        )
    function, kind = METHODS[config.pop("method")]
    run = function(
        *parts,
        loss=result["loss"]["name"],
        config=kind.from_dict(config),
        seed=result["seed"],
        loss_params=result["loss"]["params"],
        progress=False,
    )
    train, _, test = parts
    kept = {key: result[key] for key in ("study", "setting", "data")}
    return build_result(run, train, test, name=result["run"], **kept)


def difference(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, object]:
    """How far two results of one run are apart.

    Returns:
        ``metric``: largest difference of a metric on test, relative where the metric is above 1;
        ``n_documents``: test documents that get other labels under some tuned threshold rule;
        ``same_environment``: whether processor and versions are the same.
    """
    metric = max(
        _distance(value, again[name if name in again else _RENAMED[name]])
        for rule, metrics in first["metrics"]["test"].items()
        for again in [second["metrics"]["test"][rule]]
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
    """Infinite where one of the two is undefined."""
    one, two = (math.nan if value is None else float(value) for value in (first, second))
    if math.isnan(one) or math.isnan(two):
        return 0.0 if math.isnan(one) and math.isnan(two) else math.inf
    return abs(one - two) / max(1.0, abs(one))
