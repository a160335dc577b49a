"""Focal losses whose gamma varies: with the class (adaptive focal loss) or with the sample (FLSD-53)."""

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from afl_helpers.arrays import check_flag
from afl_helpers.errors import UsageError, check_choice
from afl_helpers.gamma import assign_gamma, check_counts, class_gamma, positive_gradient
from afl_helpers.losses.base import (
    LossInfo,
    MultiLabelLoss,
    PublishedForm,
    check_inputs,
    check_number,
    in_trace,
    widest,
)
from afl_helpers.losses.costs import FocalCost
from afl_helpers.losses.cross_entropy import effective_number_weight
from afl_helpers.losses.elementwise import elementwise_loss
from afl_helpers.losses.focal import focal_loss

#: alpha_c from the training counts, by name.
ALPHAS = ("inverse_frequency", "effective_number")
#: Gammas above it that are all whole numbers are more likely to be counts.
_LARGE_GAMMA = 20


class AdaptiveFocalLoss(MultiLabelLoss):
    """Adaptive focal loss, Eq. 3: ``-alpha_c (1 - p_t)^gamma_c log p_t`` with a gamma per class.

    Warn once, at the first batch, if a gamma is so large that the gradient of its class vanishes, and at once if the gammas
    look like counts of labels.

    Args:
        gamma: number or (n_labels,), at least 0; usually from :func:`afl_helpers.gamma.class_gamma`.
        alpha: number or (n_labels,), at least 0, the weight of a class in Eq. 3: it multiplies positives and negatives
            alike. The paper calls it "a weighting factor" and no more, so it may exceed 1; None is 1.
        gamma_negative: number or (n_labels,), gamma of the negatives alone; None uses ``gamma`` for both, as in Eq. 3.
        rescale_by: the base gamma with which Equalized Focal Loss (Li et al., CVPR 2022) makes up for the loss that a
            larger gamma takes away: the loss is multiplied by ``gamma / rescale_by``. None, as in Eq. 3, does not.
        reduction: ``"sum_over_classes"`` is Eq. 3 itself.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import AdaptiveFocalLoss
        >>> loss = AdaptiveFocalLoss.from_counts([100, 40, 10], n_documents=200)
        >>> loss.gamma.tolist()  # the rarest label is at the upper bound
        [1.0, 2.5, 5.0]
        >>> torch.round(loss(torch.zeros(1, 3), torch.ones(1, 3), reduction="none"), decimals=4)  # log 2 / 2^gamma
        tensor([[0.3466, 0.1225, 0.0217]])
    """

    gamma: Tensor
    alpha: Tensor | None
    gamma_negative: Tensor | None

    def __init__(
        self,
        gamma: ArrayLike,
        alpha: ArrayLike | None = None,
        gamma_negative: ArrayLike | None = None,
        rescale_by: float | None = None,
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self._set_per_class("gamma", gamma)
        self._warn_of_counts()
        self._set_per_class("alpha", alpha, optional=True)
        self._set_per_class("gamma_negative", gamma_negative, optional=True)
        self.rescale_by = None if rescale_by is None else check_number("rescale_by", rescale_by, 0.0, open_low=True)
        self._checked = False

    @classmethod
    def from_counts(
        cls,
        label_counts: ArrayLike,
        n_documents: int,
        base_gamma: float = 2.0,
        normalization: str = "mean",
        bounds: tuple[float, float] | None = (0.5, 5.0),
        rescale: bool = False,
        assignment: str = "frequency",
        assignment_seed: int = 0,
        alpha: ArrayLike | None = None,
        gamma_negative: ArrayLike | None = None,
        reduction: str = "mean",
    ) -> Self:
        """Build the loss with the gammas that Eq. 2 gives for these training counts; ``build_loss("afl")`` calls this.

        Args:
            label_counts, n_documents: see :func:`~afl_helpers.gamma.class_gamma`.
            base_gamma: the paper's base_gamma, at least 0; the paper does not state its value.
            normalization: the reading of "normalised frequency", a name in NORMALIZATIONS.
            bounds: (lowest, highest) gamma, or None for no bounds.
            rescale: multiply the loss of a class by gamma_c / base_gamma, as Equalized Focal Loss does.
            assignment: how gammas are assigned to labels; all but "frequency" are controls for a study.
            assignment_seed: seed of a shuffled assignment.
            alpha: number or (n_labels,), at least 0, multiplies positives and negatives alike; None is 1;
                "inverse_frequency" and "effective_number" come from the counts, scaled to a largest value of 1.
            gamma_negative: number or (n_labels,), gamma of the negatives alone; None uses the same for both.
        """
        base_gamma, rescale = check_number("base_gamma", base_gamma, 0.0), check_flag("rescale", rescale)
        assignment_seed = int(check_number("assignment_seed", assignment_seed, 0, whole=True))
        if isinstance(bounds, Tensor | np.ndarray):
            bounds = tuple(bounds.tolist())
        if rescale and not base_gamma > 0:
            raise UsageError(f"rescale divides by base_gamma, which is {base_gamma}; pass a base above 0")
        gamma = class_gamma(label_counts, n_documents, base_gamma, normalization, bounds)
        if isinstance(alpha, str):
            alpha = _alpha(label_counts, n_documents, alpha)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "gamma holds whole numbers")  # N / n_c may be one
            return cls(
                assign_gamma(gamma, assignment, assignment_seed),
                alpha,
                gamma_negative,
                base_gamma if rescale else None,
                reduction,
            )

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        weight = self.alpha
        if self.rescale_by is not None:
            scale = self.gamma / self.rescale_by
            weight = scale if weight is None else weight * scale
        loss = focal_loss(
            logits, targets, self.gamma, weight, self.gamma_negative, weight, mask=mask, reduction=reduction
        )
        if not self._checked and logits.requires_grad and not logits.is_meta and not in_trace():
            self._checked = True
            self._warn_of_vanishing(logits.detach())
        return loss

    @property
    def posterior_gamma(self) -> Tensor | None:
        return self.gamma if self.gamma_negative is None else None

    def _warn_of_counts(self) -> None:
        """Warn where gammas look like counts of labels, which would turn the method round."""
        gamma = self.gamma
        if gamma.ndim and gamma.numel() and gamma.amax() > _LARGE_GAMMA and not (gamma % 1).any():
            warnings.warn(
                f"gamma holds whole numbers up to {gamma.amax():g}, as counts do; for the counts of labels, use"
                " AdaptiveFocalLoss.from_counts(label_counts, n_documents)",
                stacklevel=3,
            )

    def _warn_of_vanishing(self, logits: Tensor) -> None:
        """Warn of classes whose positives start with almost no gradient, so that they cannot train.

        The start is the mean logit of the class in the first batch, at most 0. Too small is a gradient that Adam's
        epsilon of 1e-8 cuts to a hundredth, or one that the logits' precision cannot hold.
        """
        if not logits.numel():
            return
        mean = logits.to(widest(logits.device)).reshape(-1, logits.shape[-1]).mean(0).nan_to_num().clamp(max=0)
        gradient = positive_gradient(self.gamma.cpu().numpy(), mean.cpu().numpy())
        limit = max(1e-10, torch.finfo(logits.dtype).smallest_normal * torch.finfo(logits.dtype).eps)
        vanishing = gradient < limit
        if vanishing.any():
            gamma = np.broadcast_to(self.gamma.cpu().numpy(), vanishing.shape)[vanishing]
            warnings.warn(
                f"{vanishing.sum()} of {vanishing.size} classes have a gamma (from {gamma.min():.3g} to"
                f" {gamma.max():.3g}) with which a positive has a gradient below {limit:.0e} at the first batch's"
                " logits: they will not train. Start the bias at the class priors (start_bias='prior'), or keep gamma"
                " within bounds, such as (0.5, 5.0).",
                stacklevel=2,
            )


def _alpha(label_counts: ArrayLike, n_documents: int, kind: str) -> NDArray[np.float64]:
    """Return alpha_c of Eq. 3, which the paper leaves undefined; the largest is 1.

    A label without documents counts as if it had one.
    """
    check_choice("alpha", kind, ALPHAS)
    counts = np.maximum(check_counts(label_counts, n_documents), 1.0)
    weights = 1 / counts if kind == ALPHAS[0] else effective_number_weight(counts, n_documents, 0.999)
    scaled: NDArray[np.float64] = weights / weights.max()
    return scaled


def _check_steps(gammas: Sequence[float], limits: Sequence[float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return two gammas and two limits as numbers of Python, or raise an error if they are not two each, or out of range."""
    for name, pair in (("gammas", gammas), ("limits", limits)):
        if torch.compiler.is_compiling():  # it was checked when the loss was built
            continue
        if isinstance(pair, str) or not np.iterable(pair) or len(pair) != 2:
            raise UsageError(f"{name} is {pair!r}; pass two numbers")
    first, second = (check_number(f"gammas[{i}]", value, 0.0) for i, value in enumerate(gammas))
    low, high = (check_number(f"limits[{i}]", value) for i, value in enumerate(limits))
    if not 0 < low <= high < 1:
        raise UsageError(f"limits is {limits}; pass (lower, upper) with 0 < lower <= upper < 1")
    return (first, second), (low, high)


def flsd_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: float = 3.0,
    gammas: tuple[float, float] = (5.0, 3.0),
    limits: tuple[float, float] = (0.2, 0.5),
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the focal loss whose gamma depends on the sample (FLSD-53 of Mukhoti et al., NeurIPS 2020, section 5).

    gamma is ``gammas[0]`` if p_t is below ``limits[0]``, ``gammas[1]`` up to ``limits[1]``, and ``gamma`` above; it is
    not differentiated. The loss jumps whenever gamma falls, so it is not monotone. The authors use a softmax; one
    sigmoid per label is our adaptation. :class:`SampleDependentFocalLoss` describes the parameters.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import flsd_loss
        >>> logits = torch.logit(torch.tensor([[0.19, 0.21]]))
        >>> elements = flsd_loss(logits, torch.ones(1, 2), reduction="none")
        >>> torch.round(elements, decimals=4)  # 0.81^5 * -log 0.19, 0.79^3 * -log 0.21: gamma falls, the loss jumps
        tensor([[0.5791, 0.7695]])
    """
    logits, targets = check_inputs(logits, targets, mask, reduction)
    gamma = check_number("gamma", gamma, 0.0)
    gammas, limits = _check_steps(gammas, limits)
    low, middle = (math.log(p / (1 - p)) for p in limits)

    def gamma_of(x: Tensor) -> Tensor:
        """Return gamma as a function of the logit of 1 - p_t."""
        below_middle, below_low = (x > -middle).to(x.dtype), (x > -low).to(x.dtype)
        return gamma + (gammas[1] - gamma) * below_middle + (gammas[0] - gammas[1]) * below_low

    positive, negative = FocalCost(-1.0, gamma_of), FocalCost(1.0, gamma_of)
    return elementwise_loss(logits, targets, positive, negative, mask, reduction)


class SampleDependentFocalLoss(MultiLabelLoss):
    """Focal loss whose gamma depends on the sample (FLSD-53, Mukhoti et al., NeurIPS 2020), one sigmoid per label.

    Args:
        gamma: number, at least 0: gamma of elements with p_t above both limits.
        gammas: two numbers, at least 0: gamma below the first limit, and from the first to the second.
        limits: two values of p_t in (0, 1), in order.

    Example:
        >>> import torch
        >>> from afl_helpers.losses import FocalLoss, SampleDependentFocalLoss
        >>> logits, targets = torch.logit(torch.tensor([[0.1, 0.3]])), torch.ones(1, 2)
        >>> losses = SampleDependentFocalLoss(), FocalLoss(gamma=[5.0, 3.0])  # gamma is 5 below p_t = 0.2, then 3
        >>> [round(loss(logits, targets).item(), 4) for loss in losses]
        [0.8863, 0.8863]
    """

    def __init__(
        self,
        gamma: float = 3.0,
        gammas: tuple[float, float] = (5.0, 3.0),
        limits: tuple[float, float] = (0.2, 0.5),
        reduction: str = "mean",
    ):
        super().__init__(reduction)
        self.gamma = check_number("gamma", gamma, 0.0)
        self.gammas, self.limits = _check_steps(gammas, limits)

    def compute(self, logits: Tensor, targets: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
        return flsd_loss(logits, targets, self.gamma, self.gammas, self.limits, mask=mask, reduction=reduction)


_ALL_READINGS = {
    "base_gamma": "the paper's base_gamma, at least 0; the paper does not state its value.",
    "normalization": 'the reading of "normalised frequency", a name in NORMALIZATIONS.',
    "bounds": "(lowest, highest) gamma, or None for no bounds.",
    "assignment": 'how gammas are assigned to labels; all but "frequency" are controls for a study.',
    "assignment_seed": "seed of a shuffled assignment.",
    "alpha": "number or (n_labels,), at least 0, multiplies positives and negatives alike; None is 1;"
    ' "inverse_frequency" and "effective_number" come from the counts, scaled to a largest value of 1.',
    "gamma_negative": "number or (n_labels,), gamma of the negatives alone; None uses the same for both.",
    "rescale": "multiply the loss of a class by gamma_c / base_gamma, as Equalized Focal Loss does.",
}

ENTRIES = {
    "afl": LossInfo(
        title="Adaptive focal loss, our reading",
        equation=r"-\alpha_c (1 - p_t)^{\gamma_c} \log p_t, \quad"
        r" \gamma_c = \mathrm{clip}(base_\gamma \, \bar n / n_c, 0.5, 5)",
        reference="labd2025aflbert",
        published=(
            PublishedForm(
                "the paper's Eq. 2 and 3 to the letter", "equal", {"normalization": "documents", "bounds": None}
            ),
        ),
        fidelity="the normalisation of Eq. 2 and its bounds are our reading",
        when="The paper's method, in a reading that trains. Compare it with focal loss at the upper bound before you"
        " credit the adaptation.",
        build=AdaptiveFocalLoss.from_counts,
        parameters=_ALL_READINGS,
        needs_counts=True,
        reduces_to_bce={"base_gamma": 0.0, "bounds": None},
    ),
    "afl-literal": LossInfo(
        title="Adaptive focal loss, to the letter",
        equation=r"-\alpha_c (1 - p_t)^{\gamma_c} \log p_t, \quad \gamma_c = base_\gamma \, N / n_c",
        reference="labd2025aflbert",
        published=(PublishedForm("the paper's Eq. 2 and 3 to the letter", "equal"),),
        fidelity="with f_c the share of documents and alpha_c = 1",
        when="To see what the equation does as printed: rare labels do not train from a zero bias.",
        build=functools.partial(AdaptiveFocalLoss.from_counts, normalization="documents", bounds=None),
        parameters={name: _ALL_READINGS[name] for name in ("base_gamma", "alpha", "gamma_negative", "rescale")},
        needs_counts=True,
        reduces_to_bce={"base_gamma": 0.0},
    ),
    "flsd53": LossInfo(
        title="Sample-dependent focal loss (FLSD-53)",
        equation=r"-(1 - p_t)^{\gamma(p_t)} \log p_t, \quad"
        r" \gamma(p_t) = 5 \;(p_t < 0.2),\; 3 \;(p_t < 0.5),\; \gamma",
        reference="mukhoti2020calibrating",
        published=(
            PublishedForm(
                "the authors' code with two classes per label, present and absent (Mukhoti et al. 2020)", "equal"
            ),
        ),
        fidelity="the source has a softmax over exclusive classes; one sigmoid per label is ours",
        when="For calibration. The loss jumps when gamma changes: at p_t = 0.2, a better score costs more.",
        build=SampleDependentFocalLoss,
        parameters={
            "gamma": "number, at least 0: gamma of elements with p_t above both limits.",
            "gammas": "two numbers, at least 0: gamma below the first limit, and from the first to the second.",
            "limits": "two values of p_t in (0, 1), in order.",
        },
        monotone=False,
        reduces_to_bce={"gamma": 0.0, "gammas": (0.0, 0.0)},
    ),
}
