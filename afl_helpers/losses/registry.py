"""Every loss under one name: what it is, where it comes from, how it is built."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import ArrayLike

from afl_helpers.errors import UsageError, unknown_name
from afl_helpers.gamma import assign_gamma, class_gamma
from afl_helpers.losses.modules import AdaptiveFocalLoss, BinaryCrossEntropy, FocalLoss, MultiLabelLoss


@dataclass(frozen=True)
class LossInfo:
    """One row of the registry. ``equation`` is the loss of one label in LaTeX, ``reference`` a key of the
    bibliography, ``fidelity`` how close the loss is to its source."""

    title: str
    equation: str
    reference: str
    fidelity: str
    build: Callable[..., MultiLabelLoss]
    needs_counts: bool = False

    @property
    def defaults(self) -> dict[str, object]:
        """The parameters of the loss and their defaults."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in ("label_counts", "n_documents")}


def _adaptive(
    label_counts,
    n_documents,
    base_gamma=2.0,
    normalization="mean",
    bounds=(0.5, 5.0),
    assignment="frequency",
    assignment_seed=0,
    alpha=None,
    gamma_negative=None,
    reduction="mean",
):
    gamma = class_gamma(label_counts, n_documents, base_gamma, normalization, bounds)
    return AdaptiveFocalLoss(assign_gamma(gamma, assignment, assignment_seed), alpha, gamma_negative, reduction)


def _literal(label_counts, n_documents, base_gamma=2.0, alpha=None, gamma_negative=None, reduction="mean"):
    gamma = class_gamma(label_counts, n_documents, base_gamma, "documents", bounds=None)
    return AdaptiveFocalLoss(gamma, alpha, gamma_negative, reduction)


LOSSES: dict[str, LossInfo] = {
    "bce": LossInfo(
        "Binary cross-entropy",
        r"-y \log p - (1 - y) \log(1 - p)",
        "bishop2006pattern",
        "textbook",
        BinaryCrossEntropy,
    ),
    "focal": LossInfo(
        "Focal loss",
        r"-\alpha_t (1 - p_t)^{\gamma} \log p_t",
        "lin2017focal",
        "as in its source; the paper's Eq. 1",
        FocalLoss,
    ),
    "afl": LossInfo(
        "Adaptive focal loss, our reading",
        r"-\alpha_c (1 - p_t)^{\gamma_c} \log p_t, \quad"
        r" \gamma_c = \mathrm{clip}(base_\gamma \, \bar n / n_c, 0.5, 5)",
        "labd2025aflbert",
        "the paper's Eq. 3; the normalisation of Eq. 2 and its bounds are our reading",
        _adaptive,
        needs_counts=True,
    ),
    "afl-literal": LossInfo(
        "Adaptive focal loss, to the letter",
        r"-\alpha_c (1 - p_t)^{\gamma_c} \log p_t, \quad \gamma_c = base_\gamma \, N / n_c",
        "labd2025aflbert",
        "the paper's Eq. 2 and 3 to the letter, with f_c the share of documents and alpha_c = 1",
        _literal,
        needs_counts=True,
    ),
}


def build_loss(
    name: str, label_counts: ArrayLike | None = None, n_documents: int | None = None, **params
) -> MultiLabelLoss:
    """Build a loss by its name in :data:`LOSSES`; every name takes the same arguments.

    Args:
        label_counts, n_documents: counts on the training documents; only some losses need them.
        params: parameters of that loss, see ``LOSSES[name].defaults``.

    Raises:
        UsageError: an unknown name or parameter, each with the valid ones, and for missing counts.
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    info = LOSSES[name]
    for parameter in params:
        if parameter not in info.defaults:
            raise unknown_name(f"parameter of loss {name!r}:", parameter, info.defaults)
    if not info.needs_counts:
        return info.build(**params)
    if label_counts is None or n_documents is None:
        raise UsageError(f"loss {name!r} depends on class frequency; pass label_counts and n_documents")
    return info.build(label_counts, n_documents, **params)
