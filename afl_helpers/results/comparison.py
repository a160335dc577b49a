"""Compare settings over blocks, seeds or documents: the one place that says by how much one is better, and how sure that is."""

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from afl_helpers.arrays import check_whole
from afl_helpers.errors import DataError, UsageError, check_choice
from afl_helpers.evaluation import detectable_difference, holm, t_test
from afl_helpers.evaluation.document_intervals import DEGREES_OF_FREEDOM, POPULATION_METRICS, estimate_population
from afl_helpers.evaluation.intervals import TestOfMean, detectable_at
from afl_helpers.evaluation.validation import BoolArray
from afl_helpers.results.schema import Result

Unit = Literal["block", "seed", "document"]
UNITS: tuple[Unit, ...] = ("block", "seed", "document")
CORRECTIONS = ("holm", "none")
#: Columns that can define a family.
FAMILY_COLUMNS = ("corpus", "endpoint", "setting", "rival")

_ONE_TEST_SET = "one official test set: blocks vary only seed, validation and permutation"
_ONE_SPLIT = "one split: seeds vary only the order of training"
_ONE_BLOCK = "one block: documents vary, training does not"


@dataclass(frozen=True, eq=False)
class DocumentDecisions:
    """What a run decided on its test documents.

    Attributes:
        targets, decisions: (n_documents, n_labels).
        label_counts: (n_labels,) counts of the training documents.
    """

    targets: BoolArray
    decisions: BoolArray
    label_counts: NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """One row of :func:`~afl_helpers.results.compare`: one endpoint of a setting minus that of a rival, on one corpus.

    Attributes:
        corpus, endpoint, setting, rival: what is compared.
        estimate: mean of the paired differences, setting minus rival; over documents, the estimated difference in the
            population that they come from.
        low, high: paired Student's t interval of this row alone, at ``level``.
        p: two-sided p value of this row alone.
        p_adjusted: the same, corrected within the family.
        low_corrected, high_corrected, p_corrected, p_corrected_adjusted: the same four by the corrected resampled t of
            Nadeau and Bengio; see :func:`~afl_helpers.evaluation.t_test`. NaN where it does not apply.
        not_corrected_because: why the corrected t does not apply; empty where it does.
        n_blocks: number of paired differences; ``n_lower`` of them are below 0. Over documents, one.
        unit: what they are paired over, "block", "seed" or "document".
        sample: how many of them there are, in words: "10 blocks", "1,900 documents of block 1".
        interval: the kind of ``low, high``, in words; ``decided_by`` says whose interval decides.
        deviation: standard deviation of the paired differences; NaN over documents.
        detectable: the true difference that the deciding test finds with 80 % power at this number of blocks, this
            standard deviation, and the strictest level that the correction can ask for.
        family: the family in which p values are corrected; ``family_size`` is its number of rows.
        correction: "holm" or "none".
        margin: the smallest difference that matters.
        decided_by: the test that decides the outcome: "corrected t" where it applies, else "paired t"; "t over documents".
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
    sample: str
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
    block: int | None = None,
    decisions: Callable[[Result, str], DocumentDecisions] | None = None,
) -> pd.DataFrame:
    """Compare settings with rivals, one row per corpus, endpoint, setting and rival.

    Over blocks the question is which setting is better, whatever the split and seed. Over the documents of one block it is
    which of two trained models is better, on endlessly many documents of the same kind: one split, one seed.

    What is named twice is compared once, and so is a pair that is named from both sides, as it was first.

    Where the blocks are random splits of one corpus, the corrected resampled t decides: between equal classifiers, the
    paired t finds a difference in about 15 % of such studies of ten blocks, the corrected one in 4 % (simulated in
    ``tests/test_comparison.py``). The correction is meant for small test parts. Where the test part is several times as
    large as the training part it is too careful: with 16 % for training and 76 % for testing it finds a difference
    between equal classifiers in fewer than 1 % of studies, not in 5 %, and real differences are undecided more often
    (simulated there, too). Over documents, the interval is that of
    :func:`~afl_helpers.evaluation.difference_interval`, which also holds where labels are rare. It is too careful for
    macro F1 of two models that agree in most decisions: it tells equal ones apart in 1 to 4 % of test sets, not in 5 %.

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
        unit: "block"; "seed" for a study without blocks, all of whose runs share one split; "document" for the test
            documents of one block.
        margin: the smallest difference that matters. With 0, no outcome is "within the margin".
        family: the rows within which p values are corrected. Names of columns, such as ``("corpus",)``, take the rows that
            have the same values in them. Any other text takes all rows, and names the family in the table. It must be
            named, unless there is one row or nothing is corrected.
        correction: "holm" or "none".
        level: of the intervals; 1 - level is the error of the tests.
        block: with ``unit="document"``, the block whose documents are compared, or the seed in a study without blocks.
        decisions: with ``unit="document"``, (run, threshold rule) -> its decisions, as
            :func:`afl_helpers.studies.kept_decisions` takes them from the scores that the run kept.

    Returns:
        One row per comparison; the columns are the attributes of ``Comparison``.

    Raises:
        DataError: runs are missing on one side or stand twice, there are fewer than two blocks (or seeds), a metric is
            undefined, or the runs of one row differ in data, encoder or test documents.
        UsageError: an argument is wrong, or nothing is left to compare. Over documents, the metrics are macro and micro F1.
    """
    check_choice("unit", unit, UNITS)
    if unit == "document" and (decisions is None or block is None):
        raise UsageError(
            "over documents, block and decisions are needed; pass a block, and decisions=kept_decisions of "
            "afl_helpers.studies"
        )
    if decisions is not None and not callable(decisions):
        raise UsageError(f"decisions is a {type(decisions).__name__}; pass a function, such as studies.kept_decisions")
    block = None if block is None else check_whole(block, "block", 0)
    if unit != "document" and (decisions is not None or block is not None):
        raise UsageError(f"block and decisions are for unit='document', and unit is {unit!r}; leave them out")
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
    tests: list[_Tests]
    if decisions is None or block is None:
        tests = [_over_blocks(results, key, unit, level, margin) for key in keys]
    else:
        tests = [_over_documents(results, key, block, decisions, level, margin) for key in keys]
    sizes = [families.count(name) for name in families]
    p_plain, same_plain, p_decisive, same_decisive = (
        _adjust([getattr(test, name) for test in of_a_kind], families, correction)
        for of_a_kind in ([one.plain for one in tests], [one.corrected or one.plain for one in tests])
        for name in ("p_value", "p_equivalence")
    )
    not_applicable = TestOfMean(*[np.nan] * 5)
    rows = []
    for i, (key, found) in enumerate(zip(keys, tests)):
        plain, corrected = found.plain, found.corrected or not_applicable
        rows.append(
            Comparison(
                *key,
                estimate=plain.mean,
                low=plain.low,
                high=plain.high,
                p=plain.p_value,
                p_adjusted=p_plain[i],
                low_corrected=corrected.low,
                high_corrected=corrected.high,
                p_corrected=corrected.p_value,
                p_corrected_adjusted=p_decisive[i] if found.corrected else np.nan,
                not_corrected_because=found.not_corrected_because,
                n_blocks=found.n_blocks,
                n_lower=found.n_lower,
                unit=unit,
                sample=found.sample,
                interval=f"{found.kind} over {unit}s, {100 * level:g} % each",
                deviation=found.deviation,
                detectable=found.detectable(1 - (1 - level) / (sizes[i] if correction == "holm" else 1)),
                family=families[i],
                family_size=sizes[i],
                correction=correction,
                margin=margin,
                decided_by="corrected t" if found.corrected else found.decided_by,
                outcome=_outcome(plain.mean, p_decisive[i], same_decisive[i], 1 - level),
                outcome_plain=_outcome(plain.mean, p_plain[i], same_plain[i], 1 - level),
            )
        )
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
            f"results hold a {type(wrong).__name__}; pass results of a study, as read_study returns them, and compare decisions "
            "of your own with evaluation.difference_interval"
        )
    return runs


def _as_names(argument: str, names: Any) -> list[str]:
    listed = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if not all(isinstance(name, str) for name in listed):
        raise UsageError(f"{argument} is {names!r}; pass a name or several")
    return listed


class _Tests(NamedTuple):
    """The tests of one row; ``corrected`` is None where the corrected t does not apply, and why."""

    plain: TestOfMean
    corrected: TestOfMean | None
    not_corrected_because: str
    n_blocks: int
    n_lower: int
    sample: str
    kind: str
    decided_by: str
    deviation: float
    #: level -> the difference that the deciding test finds
    detectable: Callable[[float], float]


def _over_blocks(
    results: Sequence[Result], key: tuple[str, str, str, str], unit: Unit, level: float, margin: float
) -> _Tests:
    """Test the differences of two settings on one corpus, paired by block."""
    corpus, endpoint, own, rival = key
    ours, theirs = (_by_unit(results, corpus, name.partition("@")[0], unit) for name in (own, rival))
    if set(ours) != set(theirs):
        raise DataError(
            f"on corpus {corpus!r}, {own!r} has {unit}s {sorted(ours)} and {rival!r} {sorted(theirs)}; run what is missing"
        )
    if len(ours) < 2:
        raise DataError(f"on corpus {corpus!r}, {own!r} has one {unit}; a comparison needs at least two, run more")
    runs = [run for block in sorted(ours) for run in (ours[block], theirs[block])]
    _check_alike(runs, unit, f"{own!r} and {rival!r} on corpus {corpus!r}")

    def value(run: Result, name: str) -> float:
        metric, rule = _metric_and_rule(endpoint, name)
        found = run.metric(metric, rule)
        if np.isnan(found):
            raise DataError(f"{endpoint} of run {run.run!r} is undefined; compare in an endpoint that every run has")
        return found

    differences = np.array([value(ours[block], own) - value(theirs[block], rival) for block in sorted(ours)])
    overlap, reason = None, ""
    if unit == "seed":
        reason = _ONE_SPLIT
    elif any("official_split" in run.data.options for run in runs):
        reason = _ONE_TEST_SET
    else:
        overlap = float(np.mean([run.data.sizes["test"] / run.data.sizes["train"] for run in runs]))
    return _Tests(
        plain=t_test(differences, level, margin=margin),
        corrected=None if overlap is None else t_test(differences, level, overlap, margin),
        not_corrected_because=reason,
        n_blocks=len(differences),
        n_lower=int((differences < 0).sum()),
        sample=f"{len(differences)} {unit}s",
        kind="paired t",
        decided_by="paired t",
        deviation=float(differences.std(ddof=1)),
        detectable=lambda at: detectable_difference(differences, at, overlap=overlap or 0.0),
    )


def _over_documents(
    results: Sequence[Result],
    key: tuple[str, str, str, str],
    block: int,
    decisions: Callable[[Result, str], DocumentDecisions],
    level: float,
    margin: float,
) -> _Tests:
    """Test the difference of two trained models, those of one block, over its test documents."""
    corpus, endpoint, own, rival = key
    metric, _ = _metric_and_rule(endpoint, own)
    if metric not in POPULATION_METRICS:
        raise UsageError(
            f"endpoint is {endpoint!r}; over documents, only {' and '.join(POPULATION_METRICS)} can be compared"
        )
    runs: list[Result] = []
    for name in (own, rival):
        setting = name.partition("@")[0]
        found = [run for run in results if (run.data.corpus, run.setting, replicate(run)) == (corpus, setting, block)]
        if not found:
            raise DataError(
                f"on corpus {corpus!r}, setting {setting!r} has no run of block {block}; pass another block"
            )
        if len(found) > 1:
            names = " and ".join(repr(run.run) for run in found)
            raise DataError(f"setting {setting!r} has two runs of block {block}, {names}; pass the runs of one study")
        runs += found
    _check_alike(runs, "block", f"{own!r} and {rival!r} on corpus {corpus!r}")
    ours, theirs = (decisions(run, _metric_and_rule(endpoint, name)[1]) for run, name in zip(runs, (own, rival)))
    for side in (ours, theirs):
        if not isinstance(side, DocumentDecisions):
            raise UsageError(f"decisions returned a {type(side).__name__}; return results.DocumentDecisions")
    same = (np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in ("targets", "label_counts"))
    if not all(same):
        raise DataError(
            f"{own!r} and {rival!r} have other test documents or other counts of training labels; compare decisions on the "
            "same ones"
        )
    sides = {own: ours.decisions, rival: theirs.decisions}
    difference = estimate_population(ours.targets, sides, ours.label_counts, metric)
    return _Tests(
        plain=difference.t_test(level, margin),
        corrected=None,
        not_corrected_because=_ONE_BLOCK,
        n_blocks=1,
        n_lower=int(difference.estimate < 0),
        sample=f"{len(ours.targets):,} documents of {'seed' if runs[0].block is None else 'block'} {block}",
        kind="t",
        decided_by="t over documents",
        deviation=np.nan,
        detectable=lambda at: detectable_at(difference.error, DEGREES_OF_FREEDOM, at),
    )


def _metric_and_rule(endpoint: str, name: str) -> tuple[str, str]:
    """Return the metric, and the rule of a setting: its own, or the endpoint's, or the one at 0.5."""
    metric, _, rule = endpoint.partition("@")
    return metric, name.partition("@")[2] or rule or "at_0.5"


def replicate(run: Result) -> int:
    """Return the block of a run, or its seed in a study without blocks."""
    return run.seed if run.block is None else run.block


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
        own = replicate(run)
        if own in runs:
            raise DataError(
                f"setting {setting!r} on corpus {corpus!r} has two runs of {unit} {own}, {runs[own].run!r} of "
                f"study {runs[own].study!r} and {run.run!r} of {run.study!r}; pass the runs of one study"
            )
        runs[own] = run
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
