"""The twelve claims of the paper, each with what it reports, its source, and the rule that decides it."""

from collections.abc import Iterable
from dataclasses import dataclass

#: A difference below this does not matter; the first studies declare the same.
MARGIN = 0.01

#: How near our value must come to a reported value: about the distance between the paper's own settings.
REPORTED_MARGIN = 0.02

METRIC_TITLES = {
    "f1_micro": "micro F1",
    "f1_macro": "macro F1",
    "recall_micro": "micro recall",
    "precision_micro": "micro precision",
    "roc_auc_micro_of_decisions": "micro ROC AUC of decisions",
    "average_precision_macro_tail": "average precision of the tail",
}
THRESHOLD_TITLES = {"at_0.5": "at 0.5", "tuned_common": "at one tuned threshold"}


def _titles(metrics: Iterable[str]) -> str:
    return " and ".join(METRIC_TITLES[metric] for metric in metrics)


def at_thresholds(thresholds: Iterable[str]) -> str:
    return " or ".join(THRESHOLD_TITLES[threshold] for threshold in thresholds)


@dataclass(frozen=True)
class Comparison:
    """The claim that ``setting`` exceeds each setting of ``against`` in every metric.

    It fails if the interval excludes a lead of ``margin``, which is 0 if the paper claims only the sign.
    """

    setting: str
    against: tuple[str, ...]
    metrics: tuple[str, ...]
    margin: float = MARGIN


@dataclass(frozen=True)
class Order:
    """A rule: every comparison holds on at least ``n_data_sets`` data sets; texts with the same labels are one data set."""

    comparisons: tuple[Comparison, ...]
    thresholds: tuple[str, ...] = ("at_0.5", "tuned_common")
    n_data_sets: int = 1

    @property
    def settings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for c in self.comparisons for name in (c.setting, *c.against)))

    def __str__(self) -> str:
        parts = [f"{c.setting} above {', '.join(c.against)} in {_titles(c.metrics)}" for c in self.comparisons]
        where = f" on at least {self.n_data_sets} data sets" if self.n_data_sets > 1 else ""
        return f"{'; '.join(parts)}{where}, {at_thresholds(self.thresholds)}"


@dataclass(frozen=True)
class Spread:
    """A rule: some pair of the settings differs by more than :data:`MARGIN` (``large``), or no pair does."""

    settings: tuple[str, ...]
    metrics: tuple[str, ...]
    large: bool
    thresholds: tuple[str, ...] = ("at_0.5", "tuned_common")

    def __str__(self) -> str:
        which = "some" if self.large else "no"
        where = f"in {_titles(self.metrics)}, {at_thresholds(self.thresholds)}"
        return f"{which} two of {', '.join(self.settings)} differ by more than {MARGIN} {where}"


@dataclass(frozen=True)
class Match:
    """A rule: our values match those that the paper reports for the settings; only runs under its conditions can show it."""

    settings: tuple[str, ...]
    thresholds: tuple[str, ...] = ("at_0.5", "tuned_common")

    def __str__(self) -> str:
        return f"the reported values of {', '.join(self.settings)} within {REPORTED_MARGIN}, {at_thresholds(self.thresholds)}"


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
        >>> str(claim.rule)
        'focal-2.0 above bce in micro F1 and micro ROC AUC of decisions, at 0.5 or at one tuned threshold'
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
_MINORITY = ("f1_macro", "average_precision_macro_tail")

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
        Order((Comparison("focal-2.0", ("bce",), _F1_AND_AUC),)),
        (("focal-2.0", "f1"), ("focal-2.0", "roc_auc")),
    ),
    Claim(
        "C3",
        "Gamma 1.5 and 2.5 are lower; 2.5 is below the baseline",
        "2.5: F1 .4692, ROC AUC .7088; 1.5: none",
        "V-B",
        "V-B, second and third sentence",
        Order(
            (
                Comparison("focal-2.0", ("focal-1.5", "focal-2.5"), _F1_AND_AUC),
                # "Marginally lower": by .0015 in F1.
                Comparison("bce", ("focal-2.5",), _F1_AND_AUC, margin=0.0),
            )
        ),
        (("focal-2.5", "f1"), ("focal-2.5", "roc_auc")),
    ),
    Claim(
        "C4",
        "Adaptive focal loss beats every static gamma",
        "F1 .5, ROC AUC .79",
        "V-C",
        "V-C, second sentence; VI, second finding",
        Order((Comparison("afl", ("focal-1.5", "focal-2.0", "focal-2.5"), _F1_AND_AUC),)),
        (("afl", "f1"), ("afl", "roc_auc")),
    ),
    Claim(
        "C5",
        "Adaptive focal loss has the highest micro recall",
        ".5282",
        "V-C, VI",
        "VI, second finding; V-C, second sentence, without 'highest'",
        Order((Comparison("afl", ("bce", "focal-1.5", "focal-2.0", "focal-2.5"), ("recall_micro",)),)),
        (("afl", "recall_micro"),),
    ),
    Claim(
        "C6",
        "Gamma 2.5 has the highest precision, at lower recall",
        "none in the text",
        "VI",
        "VI, third finding: lower recall and F1 than adaptive focal loss",
        Order(
            (
                Comparison("focal-2.5", ("bce", "focal-1.5", "focal-2.0", "afl"), ("precision_micro",)),
                Comparison("afl", ("focal-2.5",), ("recall_micro", "f1_micro")),
            )
        ),
    ),
    Claim(
        "C7",
        "Adaptive focal loss improves the detection of minority classes",
        "none by class",
        "VI, VIII",
        "abstract; I, third contribution; VI, second finding; VIII, second paragraph",
        # Both endpoints of the studies, against the controls too: else "adaptive" cannot be told from "larger".
        Order(
            (Comparison("afl", ("bce", "focal-2.0", "focal-5.0", "afl-shuffled"), _MINORITY),),
            thresholds=("tuned_common",),
        ),
    ),
    Claim(
        "C8",
        "No manual tuning of gamma is needed",
        "base gamma and alpha are not stated",
        "V-C",
        "V-C, second sentence; VI, second finding",
        # Nothing is left to tune if all readings of what Eq. 2 leaves open give the same result.
        Spread(("afl", "afl-log10", "afl-literal"), ("f1_micro",), large=False),
    ),
    Claim(
        "C9",
        "A fixed gamma is sensitive to its value",
        "the spread over 1.5, 2.0, 2.5",
        "VI",
        "VI, first finding",
        Spread(("focal-1.5", "focal-2.0", "focal-2.5"), ("f1_micro",), large=True),
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
        Order((Comparison("afl", ("bce", "focal-2.0"), _MINORITY),), thresholds=("tuned_common",), n_data_sets=2),
    ),
)
