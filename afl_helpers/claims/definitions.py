"""The claims of the paper, each with what it reports, its source, and the rule that decides it.

The rules were written before the runs of the studies in blocks were read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from afl_helpers.results.titles import THRESHOLD_TITLES, endpoint_title

#: A difference below this does not matter; the studies declare the same.
MARGIN = 0.01

#: How near our value must come to a reported value: about the distance between the paper's own settings.
REPORTED_MARGIN = 0.02

#: The data set of the paper. A claim is judged on it alone, unless it speaks of several data sets.
PAPER_DATA_SET = "cmu"

#: Reading of Eq. 2 -> the setting that has it. A rule about "afl" is judged for each reading.
GAMMA_READINGS = {"n/mean": "afl", "log10": "afl-log10", "information": "afl-information"}

#: Setting -> its controls, reported beside a claim about it: one gamma of equal mean, the same gammas on other labels,
#: one gamma at the upper bound or near it.
CONTROLS = {
    "afl": ("afl-mean", "afl-shuffled", "focal-5.0"),
    "afl-log10": ("afl-log10-mean", "afl-log10-shuffled", "focal-8.0"),
    "afl-information": ("afl-information-mean", "afl-information-shuffled", "focal-3.0"),
}


@dataclass(frozen=True)
class Comparison:
    """The claim that ``setting`` exceeds each setting of ``against`` in every endpoint.

    Attributes:
        margin: a lead must not be shown to be smaller than this; 0 if the paper claims only the sign.
        wanted: "higher"; or "not lower" for the claim that nothing is lost.
    """

    setting: str
    against: tuple[str, ...]
    endpoints: tuple[str, ...]
    margin: float = MARGIN
    wanted: str = "higher"

    def __str__(self) -> str:
        titles = " and ".join(endpoint_title(endpoint) for endpoint in self.endpoints)
        above = "above" if self.wanted == "higher" else "not below"
        return f"{self.setting} {above} {', '.join(self.against)} in {titles}"


@dataclass(frozen=True)
class Order:
    """A rule: in at least one of the alternatives, every comparison holds.

    Attributes:
        alternatives: name -> comparisons. They differ in what the paper leaves open, such as the threshold.
        n_data_sets: it must hold on this many data sets; texts with the same labels are one data set.
    """

    alternatives: Mapping[str, tuple[Comparison, ...]]
    n_data_sets: int = 1

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        return tuple(comparison for all_of in self.alternatives.values() for comparison in all_of)

    @property
    def settings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for c in self.comparisons for name in (c.setting, *c.against)))

    def __str__(self) -> str:
        where = f", on at least {self.n_data_sets} data sets" if self.n_data_sets > 1 else ""
        return "; or ".join("; ".join(map(str, all_of)) for all_of in self.alternatives.values()) + where


@dataclass(frozen=True)
class Spread:
    """A rule: some pair of the settings differs by more than :data:`MARGIN` (``large``), or no pair does."""

    settings: tuple[str, ...]
    large: bool
    endpoints: tuple[str, ...] = ("f1_micro@at_0.5", "f1_micro@tuned_common")
    n_data_sets: int = 1

    def __str__(self) -> str:
        which = "some" if self.large else "no"
        first, *others = (endpoint_title(endpoint) for endpoint in self.endpoints)
        rest = "".join(f", or {which} two in {other}" for other in others)
        return f"{which} two of {', '.join(self.settings)} differ by more than {MARGIN} in {first}{rest}"


@dataclass(frozen=True)
class Match:
    """A rule: our values match those that the paper reports for the settings; only runs under its conditions can show it."""

    settings: tuple[str, ...]

    def __str__(self) -> str:
        thresholds = " or ".join(THRESHOLD_TITLES[name] for name in PAPER_THRESHOLDS)
        return f"the reported values of {', '.join(self.settings)} within {REPORTED_MARGIN}, {thresholds}"


@dataclass(frozen=True)
class Mechanism:
    """A rule on the equations alone, with the counts of the corpus's genres."""

    def __str__(self) -> str:
        return "at p = 0.5 a positive of the rarest label has a larger gradient than one of the most frequent"


@dataclass(frozen=True)
class Architectures:
    """A rule: encoders of at least ``at_least`` designs have been tuned with this loss."""

    loss: str = "afl"
    at_least: int = 2

    def __str__(self) -> str:
        return f"{self.loss} has tuned encoders of at least {self.at_least} designs"


#: The thresholds at which a claim about decisions is judged; the paper names none.
PAPER_THRESHOLDS = ("at_0.5", "tuned_common")


def _at_some_threshold(*comparisons: Comparison) -> Order:
    """Return the rule that all comparisons hold at the same one of the thresholds."""
    return Order(
        {
            THRESHOLD_TITLES[threshold]: tuple(
                replace(c, endpoints=tuple(f"{metric}@{threshold}" for metric in c.endpoints)) for c in comparisons
            )
            for threshold in PAPER_THRESHOLDS
        }
    )


def _minority(n_data_sets: int = 1) -> Order:
    """Return the rule that rare labels are ranked, or decided on, better than by the paper's baseline."""
    endpoints = {
        "in ranking": "average_precision_macro_tail",
        "at 0.5": "f1_macro_tail@at_0.5",
        "at one tuned threshold": "f1_macro_tail@tuned_common",
        "with the proportional cut": "f1_macro_tail@tuned_proportional",
    }
    return Order(
        {name: (Comparison("afl", ("bce",), (endpoint,)),) for name, endpoint in endpoints.items()}, n_data_sets
    )


@dataclass(frozen=True)
class Claim:
    """One claim of the paper: what it says, what it reports, where, and the rule that decides it.

    ``section`` is the short form of ``source``. ``str(rule)`` gives the rule in words. ``reported_values`` names the
    values that our values must match for the verdict "reproduced", as (setting, name in :data:`~afl_helpers.claims.REPORTED`).

    Example:
        >>> from afl_helpers.claims import CLAIMS
        >>> claim = CLAIMS[1]
        >>> claim.id, claim.claim
        ('C2', 'Focal loss at gamma 2.0 beats binary cross-entropy')
        >>> print(claim.rule)
        focal-2.0 above bce in micro F1 at 0.5 and micro ROC AUC of decisions at 0.5; or focal-2.0 above bce in micro F1 at one tuned threshold and micro ROC AUC of decisions at one tuned threshold
    """

    id: str
    claim: str
    reported: str
    section: str
    source: str
    rule: Order | Spread | Match | Mechanism | Architectures
    reported_values: tuple[tuple[str, str], ...] = ()


#: Name of a reported value -> the metric that it is compared with: the reading under which most of the values agree.
METRIC_OF = {"f1": "f1_micro", "roc_auc": "roc_auc_micro_of_decisions", "recall_micro": "recall_micro"}

_F1_AND_AUC = ("f1_micro", "roc_auc_micro_of_decisions")

CLAIMS = (
    Claim(
        "C1",
        "BERT with binary cross-entropy is the baseline",
        "F1 .4707, ROC AUC .7118",
        "V-A",
        "V-A, last sentence",
        Match(("bce",)),
        (("bce", "f1"), ("bce", "roc_auc")),
    ),
    Claim(
        "C2",
        "Focal loss at gamma 2.0 beats binary cross-entropy",
        "F1 .4923, ROC AUC .7649",
        "V-B",
        "V-B, second sentence",
        _at_some_threshold(Comparison("focal-2.0", ("bce",), _F1_AND_AUC)),
        (("focal-2.0", "f1"), ("focal-2.0", "roc_auc")),
    ),
    Claim(
        "C3",
        "Gamma 1.5 and 2.5 are lower; 2.5 is below the baseline",
        "2.5: F1 .4692, ROC AUC .7088; 1.5: none",
        "V-B",
        "V-B, second and third sentence",
        _at_some_threshold(
            Comparison("focal-2.0", ("focal-1.5", "focal-2.5"), _F1_AND_AUC),
            # "Marginally lower": by .0015 in F1.
            Comparison("bce", ("focal-2.5",), _F1_AND_AUC, margin=0.0),
        ),
        (("focal-2.5", "f1"), ("focal-2.5", "roc_auc")),
    ),
    Claim(
        "C4",
        "Adaptive focal loss beats every static gamma",
        "F1 .5, ROC AUC .79",
        "V-C",
        "V-C, second sentence; VI, second finding",
        _at_some_threshold(Comparison("afl", ("focal-1.5", "focal-2.0", "focal-2.5"), _F1_AND_AUC)),
        (("afl", "f1"), ("afl", "roc_auc")),
    ),
    Claim(
        "C5",
        "Adaptive focal loss has the highest micro recall",
        ".5282",
        "V-C, VI",
        "VI, second finding; V-C, second sentence, without 'highest'",
        _at_some_threshold(Comparison("afl", ("bce", "focal-1.5", "focal-2.0", "focal-2.5"), ("recall_micro",))),
        (("afl", "recall_micro"),),
    ),
    Claim(
        "C6",
        "Gamma 2.5 has the highest precision, at lower recall",
        "none in the text",
        "VI",
        "VI, third finding: lower recall and F1 than adaptive focal loss",
        _at_some_threshold(
            Comparison("focal-2.5", ("bce", "focal-1.5", "focal-2.0", "afl"), ("precision_micro",)),
            Comparison("afl", ("focal-2.5",), ("recall_micro", "f1_micro")),
        ),
    ),
    Claim(
        "C7",
        "Adaptive focal loss improves the detection of minority classes",
        "none by class",
        "VI, VIII",
        "abstract; I, third contribution; VI, second finding; VIII, second paragraph",
        # Against the baseline that the paper names; the controls are reported beside it.
        _minority(),
    ),
    Claim(
        "C8",
        "No manual tuning of gamma is needed",
        "base gamma and alpha are not stated",
        "V-C",
        "V-C, second sentence; VI, second finding",
        # What would be tuned is the base gamma, which the paper does not state.
        Spread(("afl-base-1", "afl", "afl-base-4"), large=False),
    ),
    Claim(
        "C9",
        "A fixed gamma is sensitive to its value",
        "the spread over 1.5, 2.0, 2.5",
        "VI",
        "VI, first finding",
        Spread(("focal-1.5", "focal-2.0", "focal-2.5"), large=True),
    ),
    Claim(
        "C10",
        "The loss assigns more weight to rare classes",
        "Eq. 2 and 3",
        "I, III, VIII",
        "I, first contribution; III-C, first feature; VIII, first paragraph",
        Mechanism(),
    ),
    Claim(
        "C11",
        "The method fits any architecture with minimal change",
        "none",
        "III-C",
        "III-C, second feature",
        Architectures(),
    ),
    Claim(
        "C12",
        "It generalises over data sets of varying imbalance",
        "one data set",
        "III-C",
        "III-C, third feature",
        _minority(n_data_sets=2),
    ),
    Claim(
        "C13",
        "Adaptive focal loss beats binary cross-entropy",
        "F1 .5 against .4707, ROC AUC .79 against .7118",
        "abstract, VIII",
        "abstract, fourth sentence; VIII, first paragraph",
        _at_some_threshold(Comparison("afl", ("bce",), _F1_AND_AUC)),
        (("afl", "f1"), ("afl", "roc_auc")),
    ),
    Claim(
        "C14",
        "Overall classification performance is not compromised",
        "F1 .5 against .4707",
        "I, IV-A",
        "IV-A, last paragraph: 'without compromising overall classification performance'; I, first contribution",
        Order(
            {
                "at 0.5 and at one tuned threshold": (
                    Comparison(
                        "afl", ("bce",), tuple(f"f1_micro@{name}" for name in PAPER_THRESHOLDS), wanted="not lower"
                    ),
                )
            }
        ),
    ),
)
