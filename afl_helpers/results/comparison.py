"""Compare settings over blocks: the one place that says by how much one is better than another, and how sure that is.

Over the documents of one block, :func:`afl_helpers.evaluation.difference_interval` does the same from decisions.
"""

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from afl_helpers.errors import DataError, UsageError, check_choice
from afl_helpers.evaluation import detectable_difference, holm, t_test
from afl_helpers.evaluation.intervals import TestOfMean
from afl_helpers.evaluation.validation import FloatArray
from afl_helpers.results.schema import Result

Unit = Literal["block", "seed"]
CORRECTIONS = ("holm", "none")
#: Columns that can define a family.
FAMILY_COLUMNS = ("corpus", "endpoint", "setting", "rival")

_ONE_TEST_SET = "one official test set: blocks vary only seed, validation and permutation"
_ONE_SPLIT = "one split: seeds vary only the order of training"


@dataclass(frozen=True)
class Comparison:
    """One row of :func:`~afl_helpers.results.compare`: one endpoint of a setting minus that of a rival, on one corpus.

    Attributes:
        corpus, endpoint, setting, rival: what is compared.
        estimate: mean of the paired differences, setting minus rival.
        low, high: paired Student's t interval of this row alone, at ``level``.
        p: two-sided p value of this row alone.
        p_adjusted: the same, corrected within the family.
        low_corrected, high_corrected, p_corrected, p_corrected_adjusted: the same four by the corrected resampled t of
            Nadeau and Bengio; see :func:`~afl_helpers.evaluation.t_test`. NaN where it does not apply.
        not_corrected_because: why the corrected t does not apply; empty where it does.
        n_blocks: number of paired differences; ``n_lower`` of them are below 0.
        unit: what they are paired over, "block" or "seed".
        interval: the kind of ``low, high``, in words; ``decided_by`` says whose interval decides.
        deviation: standard deviation of the paired differences.
        detectable: the true difference that the deciding test finds with 80 % power at this number of blocks, this
            standard deviation, and the strictest level that the correction can ask for.
        family: the family in which p values are corrected; ``family_size`` is its number of rows.
        correction: "holm" or "none".
        margin: the smallest difference that matters.
        decided_by: the test that decides the outcome: "corrected t" where it applies, else "paired t".
        outcome: "within the margin" if both one-sided tests show that the difference is smaller than the margin; else
            "higher" or "lower" if the difference is not 0; else "undecided". All tests are corrected within the family.
        outcome_plain: the outcome by the paired t.
    """

    corpus: str
    endpoint: str
    setting: str
    rival: str
    estimate: float
    low: float
    high: float
    p: float
    p_adjusted: float
    low_corrected: float
    high_corrected: float
    p_corrected: float
    p_corrected_adjusted: float
    not_corrected_because: str
    n_blocks: int
    n_lower: int
    unit: str
    interval: str
    deviation: float
    detectable: float
    family: str
    family_size: int
    correction: str
    margin: float
    decided_by: str
    outcome: str
    outcome_plain: str


def compare(
    results: Sequence[Result],
    setting: str | Sequence[str],
    against: str | Sequence[str] | Mapping[str, str | Sequence[str]],
    endpoints: str | Sequence[str],
    *,
    unit: Unit = "block",
    margin: float = 0.0,
    family: str | Sequence[str] | None = None,
    correction: str = "holm",
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare settings with rivals over blocks, one row per corpus, endpoint, setting and rival.

    What is named twice is compared once, and so is a pair that is named from both sides, as it was first.

    Where the blocks are random splits of one corpus, the corrected resampled t decides: between equal classifiers, the
    paired t finds a difference in about 15 % of such studies of ten blocks, the corrected one in 4 % (simulated in
    ``tests/test_comparison.py``). The correction is meant for small test parts. Where the test part is several times as
    large as the training part it is too careful: with 16 % for training and 76 % for testing it finds a difference
    between equal classifiers in fewer than 1 % of studies, not in 5 %, and real differences are undecided more often
    (simulated there, too).

    Args:
        results: the runs of a study. They are taken as they are: whether planned runs are missing is known to
            :func:`afl_helpers.studies.compare_study` and :func:`afl_helpers.studies.complete_results`. Settings that are
            not named here are ignored.
        setting: the setting that is tested, or several. ``"bce@tuned_per_label"`` is ``bce`` under that threshold rule,
            whichever the endpoint names, and is compared only in endpoints of decisions.
        against: the rival or the rivals, in the same form; or setting -> its own rivals, so that several settings are
            compared with controls of their own in one family.
        endpoints: one metric on test or several, such as ``"f1_macro@tuned_common"`` or ``"average_precision_macro"``. A
            metric of decisions without a rule is the one at 0.5.
        unit: "block"; "seed" for a study without blocks, all of whose runs share one split.
        margin: the smallest difference that matters. With 0, no outcome is "within the margin".
        family: the rows within which p values are corrected. Names of columns, such as ``("corpus",)``, take the rows that
            have the same values in them. Any other text takes all rows, and names the family in the table. It must be
            named, unless there is one row or nothing is corrected.
        correction: "holm" or "none".
        level: of the intervals; 1 - level is the error of the tests.

    Returns:
        One row per comparison; the columns are the attributes of ``Comparison``.

    Raises:
        DataError: runs are missing on one side or stand twice, there are fewer than two blocks, a metric is undefined, or
            the runs of one row differ in data or encoder.
        UsageError: an argument is wrong, or nothing is left to compare.
    """
    if unit not in ("block", "seed"):
        raise UsageError(
            f"unit is {unit!r}; pass 'block' or 'seed', and compare over documents with evaluation.difference_interval"
        )
    check_choice("correction", correction, CORRECTIONS)
    numbers = all(isinstance(x, int | float | np.number) and not isinstance(x, bool) for x in (margin, level))
    if not (numbers and margin >= 0 and 0 < level < 1):
        raise UsageError(f"margin is {margin!r} and level {level!r}; pass a margin from 0 and a level between 0 and 1")
    results = _as_results(results)
    tested, metrics = _as_names("setting", setting), _as_names("endpoints", endpoints)
    if isinstance(against, Mapping):
        for name in tested:
            check_choice("setting in against", name, against)
        for name in against:
            check_choice("setting in against", name, tested)
        rivals = {name: _as_names("against", against[name]) for name in tested}
        if not all(rivals.values()):
            raise UsageError(f"against is {against!r}; pass a rival for each setting")
    else:
        rivals = dict.fromkeys(tested, _as_names("against", against))
    rows_once: dict[tuple[str, str, str, str], None] = {}  # a repeat would count twice in the correction
    for corpus, endpoint, own in itertools.product(dict.fromkeys(run.data.corpus for run in results), metrics, tested):
        for rival in rivals[own]:
            is_pair = own != rival and ("@" in endpoint or "@" not in own + rival)
            if is_pair and (corpus, endpoint, rival, own) not in rows_once:
                rows_once[corpus, endpoint, own, rival] = None
    keys = list(rows_once)
    if not keys:
        raise UsageError("there is nothing to compare; pass results, and rivals that differ from the setting")
    families = _families(keys, family if correction == "holm" else family or "none")
    pairs = [_pair(results, *key, unit) for key in keys]
    sizes = [families.count(name) for name in families]
    plain = [t_test(pair.differences, level, margin=margin) for pair in pairs]
    resampled = [
        TestOfMean(*[np.nan] * 5) if pair.overlap is None else t_test(pair.differences, level, pair.overlap, margin)
        for pair in pairs
    ]
    decisive = [one if pair.overlap is None else other for pair, one, other in zip(pairs, plain, resampled)]
    p_plain, same_plain, p_decisive, same_decisive = (
        _adjust([getattr(test, name) for test in tests], families, correction)
        for tests in (plain, decisive)
        for name in ("p_value", "p_equivalence")
    )
    rows = [
        Comparison(
            *key,
            estimate=plain[i].mean,
            low=plain[i].low,
            high=plain[i].high,
            p=plain[i].p_value,
            p_adjusted=p_plain[i],
            low_corrected=resampled[i].low,
            high_corrected=resampled[i].high,
            p_corrected=resampled[i].p_value,
            p_corrected_adjusted=np.nan if pair.overlap is None else p_decisive[i],
            not_corrected_because=pair.not_corrected_because,
            n_blocks=len(pair.differences),
            n_lower=int((pair.differences < 0).sum()),
            unit=unit,
            interval=f"paired t over {unit}s, {100 * level:g} % each",
            deviation=float(pair.differences.std(ddof=1)),
            detectable=detectable_difference(
                pair.differences,
                1 - (1 - level) / (sizes[i] if correction == "holm" else 1),
                overlap=pair.overlap or 0.0,
            ),
            family=families[i],
            family_size=sizes[i],
            correction=correction,
            margin=margin,
            decided_by="paired t" if pair.overlap is None else "corrected t",
            outcome=_outcome(plain[i].mean, p_decisive[i], same_decisive[i], 1 - level),
            outcome_plain=_outcome(plain[i].mean, p_plain[i], same_plain[i], 1 - level),
        )
        for i, (key, pair) in enumerate(zip(keys, pairs))
    ]
    return pd.DataFrame([asdict(row) for row in rows])


def deciding_interval(row: Mapping[Hashable, Any]) -> tuple[float, float, float]:
    """Return low, high and the corrected p value of the test that decides a row of :func:`compare`.

    Example:
        >>> from afl_helpers.results import deciding_interval
        >>> row = {"decided_by": "paired t", "low": -0.1, "high": 0.2, "p_adjusted": 0.4}
        >>> deciding_interval(row)
        (-0.1, 0.2, 0.4)
    """
    ending = "_corrected" if row["decided_by"] == "corrected t" else ""
    return row[f"low{ending}"], row[f"high{ending}"], row[f"p{ending}_adjusted"]


def _as_results(results: Any) -> list[Result]:
    if not isinstance(results, Iterable):
        raise UsageError(f"results is a {type(results).__name__}; pass a list of results, as read_study returns them")
    runs = list(results)
    wrong = next((run for run in runs if not isinstance(run, Result)), None)
    if wrong is not None:
        raise UsageError(
            f"results hold a {type(wrong).__name__}; pass results of a study, as read_study returns them, and compare two runs "
            "over documents with evaluation.difference_interval"
        )
    return runs


def _as_names(argument: str, names: Any) -> list[str]:
    listed = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if not all(isinstance(name, str) for name in listed):
        raise UsageError(f"{argument} is {names!r}; pass a name or several")
    return listed


class _Pair(NamedTuple):
    """Paired differences (n_blocks,); n_test / n_train, or None and why the corrected t does not apply."""

    differences: FloatArray
    overlap: float | None
    not_corrected_because: str


def _pair(results: Sequence[Result], corpus: str, endpoint: str, own: str, rival: str, unit: Unit) -> _Pair:
    """Pair the runs of two settings on one corpus by block."""
    ours, theirs = (_by_unit(results, corpus, name.partition("@")[0], unit) for name in (own, rival))
    if set(ours) != set(theirs):
        raise DataError(
            f"on corpus {corpus!r}, {own!r} has {unit}s {sorted(ours)} and {rival!r} {sorted(theirs)}; run what is missing"
        )
    if len(ours) < 2:
        raise DataError(f"on corpus {corpus!r}, {own!r} has one {unit}; a comparison needs at least two, run more")
    runs = [run for block in sorted(ours) for run in (ours[block], theirs[block])]
    _check_alike(runs, unit, f"{own!r} and {rival!r} on corpus {corpus!r}")
    metric, _, rule = endpoint.partition("@")

    def value(run: Result, name: str) -> float:
        other_rule = name.partition("@")[2] or rule
        found = run.metric(f"{metric}@{other_rule}" if other_rule else metric)
        if np.isnan(found):
            raise DataError(f"{endpoint} of run {run.run!r} is undefined; compare in an endpoint that every run has")
        return found

    differences = np.array([value(ours[block], own) - value(theirs[block], rival) for block in sorted(ours)])
    if unit == "seed":
        return _Pair(differences, None, _ONE_SPLIT)
    if any("official_split" in run.data.options for run in runs):
        return _Pair(differences, None, _ONE_TEST_SET)
    return _Pair(differences, float(np.mean([run.data.sizes["test"] / run.data.sizes["train"] for run in runs])), "")


def _by_unit(results: Sequence[Result], corpus: str, setting: str, unit: Unit) -> dict[int, Result]:
    """Return block or seed -> run of one setting on one corpus."""
    runs: dict[int, Result] = {}
    for run in results:
        if run.data.corpus != corpus or run.setting != setting:
            continue
        if unit == "block" and run.block is None:
            raise DataError(f"run {run.run!r} of study {run.study!r} has no block; compare over its seeds, unit='seed'")
        if unit == "seed" and run.block is not None:
            raise DataError(f"run {run.run!r} of study {run.study!r} has a block; compare over blocks, unit='block'")
        replicate = run.seed if run.block is None else run.block
        if replicate in runs:
            raise DataError(
                f"setting {setting!r} on corpus {corpus!r} has two runs of {unit} {replicate}, {runs[replicate].run!r} of "
                f"study {runs[replicate].study!r} and {run.run!r} of {run.study!r}; pass the runs of one study"
            )
        runs[replicate] = run
    if not runs:
        raise DataError(f"there is no run of setting {setting!r} on corpus {corpus!r}; run what is missing")
    return runs


def _check_alike(runs: Sequence[Result], unit: Unit, what: str) -> None:
    """Refuse runs, ours and theirs by turns, that differ in data or encoder, or whose pairs differ in split or seed."""
    # A study that samples documents draws others in each block; the two sides of a block have the same ones.
    documents = [run.data.fingerprint for run in runs]
    kinds = {(run.data.n_labels, repr(sorted(run.data.options.items()))) for run in runs}
    sampled = unit == "block" and any("n_documents" in run.data.options for run in runs)
    if documents[::2] != documents[1::2] or len(kinds) > 1 or (len(set(documents)) > 1 and not sampled):
        raise DataError(
            f"the runs of {what} were made from different documents or labels; compare runs on the same data"
        )
    encoders = {run.encoder for run in runs} - {None}
    if len(encoders) > 1:
        raise DataError(f"the runs of {what} have encoders {sorted(map(str, encoders))}; compare runs of one encoder")
    splits = [(run.data.split_seed, tuple(sorted(run.data.sizes.items()))) for run in runs]
    pairs = [(*split, run.seed) for split, run in zip(splits, runs)]
    if pairs[::2] != pairs[1::2]:
        raise DataError(f"the runs of {what} differ within a {unit} in split or seed; run one side again")
    if unit == "seed" and len(set(splits)) > 1:
        raise DataError(f"the seeds of {what} have different splits; give the study blocks")


def _families(keys: Sequence[tuple[str, str, str, str]], family: str | Sequence[str] | None) -> list[str]:
    """Return the name of each row's family."""
    if family is None:
        if len(keys) > 1:
            raise UsageError(
                f"{len(keys)} comparisons have no family; pass the columns that define one, such as family=('corpus', "
                "'endpoint'), any other text for one family of all, or correction='none'"
            )
        return ["one comparison"]
    if isinstance(family, str) and family and family not in FAMILY_COLUMNS:
        return [family] * len(keys)
    names = _as_names("family", family)
    if not names or "" in names:
        raise UsageError(f"family is {family!r}; pass columns, or a text that names one family of all")
    for name in names:
        check_choice("column of a family", name, FAMILY_COLUMNS)
    return [", ".join(f"{name} {key[FAMILY_COLUMNS.index(name)]}" for name in names) for key in keys]


def _adjust(p_values: Sequence[float], families: Sequence[str], correction: str) -> list[float]:
    """Correct p values within families."""
    adjusted = np.array(p_values)
    if correction == "holm":
        for name in set(families):
            own = np.array([other == name for other in families])
            adjusted[own] = holm(adjusted[own])
    return [float(value) for value in adjusted]


def _outcome(estimate: float, p_difference: float, p_equivalence: float, error: float) -> str:
    if p_equivalence < error:
        return "within the margin"
    if p_difference < error:
        return "higher" if estimate > 0 else "lower"
    return "undecided"
