"""Which loss a function computes, from its values."""

import functools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from afl_helpers.losses.cross_entropy import binary_cross_entropy
from afl_helpers.losses.identification.probes import (
    EASY,
    GRID,
    Divisor,
    Form,
    Probe,
    Vector,
    divides_by_positives,
    find_divisor,
    fit,
    fit_smoothed,
    interactions,
    near,
    random_batch,
    undivided,
)
from afl_helpers.losses.registry import LOSSES, build_loss

SIGMOID_TWICE = "the sigmoid is applied twice: p stays between 0.5 and 0.73, so no negative can become easy"
#: Largest relative difference on whole batches from a loss that a function is taken for.
ALIKE = 1e-3


@dataclass(frozen=True)
class Match:
    """A loss whose values a function has; ``elements`` are None where the loss does not fall apart into elements."""

    name: str | None
    params: Mapping[str, object] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    elements: Callable[[Tensor, Tensor], Tensor] | None = None
    divisor: Divisor | None = None
    form: Form | None = None
    reduction: str = "unknown"
    difference: float | None = None


def recognise(probe: Probe, counts: tuple[ArrayLike, int] | None) -> Match | None:
    """Return the loss whose values a function has, or None.

    Args:
        counts: counts per label and number of documents in training, for the losses that depend on them.
    """
    shape = probe(*random_batch(probe.n_labels)).shape
    labels, documents = interactions(probe)
    if labels or documents:
        return _coupled(probe, shape)
    positives = divides_by_positives(probe)
    if positives:
        probe = undivided(probe)
    divisor = Divisor(False, False) if len(shape) == 2 else find_divisor(probe)
    match = (
        (_from_registry(probe, divisor, counts) if counts else None)
        or _formula(probe, divisor)
        or _from_registry(probe, divisor, None)
    )
    if match is None:
        return None
    match = replace(match, difference=_largest_difference(probe, match))
    if match.difference is not None and match.difference > ALIKE:
        return None  # its formula has the right values where one label is tried, and not on whole batches
    if positives:
        note = "it divides by the number of positives, so the weight of a document depends on the rest of its batch"
        reduction = "sum divided by the number of positives"
        return replace(match, reduction=reduction, notes=(*match.notes, note), divisor=None)
    if len(shape) == 1 and probe(*random_batch(probe.n_labels, rows=probe.n_labels + 1)).shape == (probe.n_labels,):
        return replace(
            match, reduction=f"{'mean' if divisor.documents else 'sum'} over the documents, one value per label"
        )
    return replace(match, reduction=_reduction(match.divisor or divisor, shape))


def _largest_difference(probe: Probe, match: Match) -> float | None:
    """Return the largest relative difference of the function from the loss that it was taken for, on random batches."""
    if not match.elements or not match.divisor:
        return None
    values = []
    for seed, rows in ((4, 3), (5, 1), (6, 7)):
        batch = random_batch(probe.n_labels, seed, rows)
        expected = match.elements(*batch).sum().item() / match.divisor(rows, probe.n_labels)
        values.append(abs(probe.total(*batch) / expected - 1))
    return max(values) if all(map(math.isfinite, values)) else math.inf


def _reduction(divisor: Divisor, shape: torch.Size) -> str:
    if len(shape) == 2:
        return "none"
    if len(shape) == 1:
        return f"{'mean' if divisor.labels else 'sum'} over the labels, one value per document"
    names = {(True, True): "mean", (False, False): "sum", (True, False): "sum_over_classes"}
    return names.get((divisor.documents, divisor.labels), "sum over the documents, mean over the labels")


def _curves(probe: Probe, divisor: Divisor) -> Iterator[tuple[Vector, Vector]]:
    """Yield the costs of a positive and of a negative on the grid, for each label, or for their mean."""
    whole = divisor(1, probe.n_labels)
    easy = probe.uniform(-EASY, 0.0)
    if abs(easy) < 1e-6 * abs(probe.uniform(0.0, 0.0)):
        for c in range(probe.n_labels):
            positive, negative = (np.array([probe.one_label(c, v, y) - easy for v in GRID]) for y in (1.0, 0.0))
            yield positive * whole, negative * whole
    else:
        positive, negative = (np.array([probe.uniform(v, y) for v in GRID]) for y in (1.0, 0.0))
        yield positive * whole / probe.n_labels, negative * whole / probe.n_labels


def _formula(probe: Probe, divisor: Divisor) -> Match | None:
    """Return the loss if its values fit the focal or the asymmetric form, or cross-entropy with smoothed targets."""
    curves = list(_curves(probe, divisor))
    smoothing = fit_smoothed(GRID, *curves[0])
    if smoothing is not None:
        note = f"targets are smoothed by {smoothing:g} towards one half"

        def smoothed(z: Tensor, y: Tensor) -> Tensor:
            return binary_cross_entropy(z, y * (1 - smoothing) + smoothing / 2, reduction="none")

        return Match("bce", {"smoothing": smoothing}, (), (note,), smoothed, divisor)
    forms = [fit(GRID, *curve) for curve in curves]
    if all(forms):
        form = _all_labels([form for form in forms if form])
        return _name_form(form, divisor, probe.n_labels)
    squeezed = [fit(1 / (1 + np.exp(-GRID)), *curve) for curve in curves]
    if all(squeezed):
        match = _name_form(_all_labels([form for form in squeezed if form]), divisor, probe.n_labels)
        outer = match.form
        within = replace(match, elements=lambda z, y: outer.elements(z.sigmoid(), y)) if outer else match
        if (_largest_difference(probe, within) or 0.0) > ALIKE:
            return None
        return replace(match, faults=(SIGMOID_TWICE,), elements=None, form=None)
    return None


def _all_labels(forms: list[Form]) -> Form:
    """Return the forms of all labels as one, with one number where all are the same."""

    def joined(values: list[Vector]) -> Vector:
        vector = np.concatenate(values)
        return vector[:1] if np.allclose(vector, vector[0], rtol=1e-3) else vector

    weight, gamma = (
        tuple(joined([getattr(form, part)[i] for form in forms]) for i in (0, 1)) for part in ("weight", "gamma")
    )
    return Form((weight[0], weight[1]), (gamma[0], gamma[1]), forms[0].margin)


def _number(vector: Vector) -> float | list[float]:
    return float(vector[0]) if len(vector) == 1 else [float(value) for value in vector]


def _sums(a: Vector, b: Vector) -> tuple[Vector, ...]:
    """Return the weights of positives and negatives and their sum: in the usual losses one of them is 1."""
    return (a, b, a + b) if len(a) == len(b) or 1 in (len(a), len(b)) else (a, b)


def _name_form(form: Form, divisor: Divisor, n_labels: int) -> Match:
    """Return the loss with its usual name and parameters."""
    (a, b), (plus, minus) = form.weight, form.gamma
    notes: list[str] = []
    if not divisor.certain and any(np.allclose(value, n_labels, rtol=1e-3) for value in _sums(a, b)):
        # What was taken for a mean over the labels is a sum of costs with the usual weights.
        divisor = replace(divisor, labels=False)
        a, b = a / n_labels, b / n_labels
        form = replace(form, weight=(a, b))
    params: dict[str, object] = {}
    same_gamma = len(plus) == len(minus) and np.allclose(plus, minus, atol=1e-3)
    ones = [bool(np.allclose(value, 1, rtol=1e-3)) for value in (a, b)]
    balanced = len(a) == len(b) and np.allclose(a + b, 1, rtol=1e-3)
    alike = len(a) == len(b) and np.allclose(a, b, rtol=1e-3)
    plain = same_gamma and np.allclose(plus, 0, atol=1e-3) and not form.margin
    if plain:
        name = "bce"
    elif form.margin or not same_gamma:
        name = "asl"
        params |= {"gamma_positive": _number(plus), "gamma_negative": _number(minus), "margin": form.margin}
    else:
        name = "focal" if len(plus) == 1 else "afl"
        params["gamma"] = _number(plus)
    if all(ones):
        pass
    elif balanced:
        name = "focal" if plain else name
        params |= {"gamma": 0.0} if plain else {}
        params["alpha"] = _number(a)
    elif ones[1]:
        name = "weighted_bce" if plain else name
        params["pos_weight"] = _number(a)
    elif alike:
        params["weight"] = _number(a)
        notes.append(f"positives and negatives alike are multiplied by {_number(a)}")
    else:
        params |= {"weight_positive": _number(a), "weight_negative": _number(b)}
    if not divisor.certain and not balanced and not all(ones):
        notes.append(
            f"it takes {n_labels} labels alone, so a mean over them cannot be told from a sum with weights {n_labels} times"
            " smaller"
        )
    return Match(name, params, (), tuple(notes), form.elements, divisor, form)


def _from_registry(probe: Probe, divisor: Divisor, counts: tuple[ArrayLike, int] | None) -> Match | None:
    """Return the loss of the registry, with its defaults, whose values these are, perhaps times a constant.

    With counts it is one that depends on them, without, one that does not.
    """
    batches = [random_batch(probe.n_labels, seed, rows=4) for seed in (1, 2, 3)]
    whole = divisor(4, probe.n_labels)
    totals = [probe.total(*batch) * whole for batch in batches]
    for name, info in LOSSES.items():
        if info.unit != "element" or info.needs_counts != bool(counts) or info.reduces_to_bce == {}:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss = build_loss(name, *(counts or ())).eval()
        ratios = [total / loss(*batch, reduction="sum").item() for total, batch in zip(totals, batches)]
        if not all(near(ratio, ratios[0]) for ratio in ratios) or abs(ratios[0]) < 1e-6:
            continue
        params = {key: value for key, value in info.defaults.items() if key != "reduction" and value is not None}
        elements = functools.partial(loss, reduction="none")
        if near(ratios[0], 1):
            return Match(name, params, (), (), elements, divisor)
        if not divisor.certain and near(ratios[0], probe.n_labels):
            return Match(name, params, (), (), elements, replace(divisor, labels=False))
        if not counts:
            note = f"all values are multiplied by {ratios[0]:.4g}"
            return Match(name, params, (), (note,))
    return None


def _coupled(probe: Probe, shape: torch.Size) -> Match | None:
    """Return the loss if it compares labels or documents: one of the registry, a softmax, or a focal loss of a mean."""
    batches = [random_batch(probe.n_labels, seed, rows=4) for seed in (1, 2, 3)]
    z, y = batches[0]
    for name, info in LOSSES.items():
        if info.unit == "element":
            continue
        for params in ({}, {"on_probabilities": True}) if "on_probabilities" in info.parameters else ({},):
            ratios = [probe.total(*batch) / build_loss(name, **params)(*batch).item() for batch in batches]
            if near(ratios[0], ratios[1]) and near(ratios[0], ratios[2]):
                reduction = "mean" if near(ratios[0], 1) else "sum" if near(ratios[0], 4) else "unknown"
                return Match(name, params, reduction="none" if len(shape) == 1 else reduction)
    shift = torch.arange(4.0)[:, None]
    if all(near(probe.total(z + shift, y), probe.total(z, y)) for z, y in batches):
        fault = (
            "it applies a softmax over the labels instead of a sigmoid per label: the labels of a document compete, and"
            " a constant added to all its logits changes nothing"
        )
        return Match(None, {}, (fault,))
    means = [build_loss("bce")(*batch).item() for batch in batches]
    of_mean = [probe.uniform(-math.log(math.expm1(mean)), 1.0) for mean in means]
    if all(near(probe.total(*batch), value) for batch, value in zip(batches, of_mean)):
        positive, negative = (np.array([probe.uniform(v, target) for v in GRID]) for target in (1.0, 0.0))
        form = fit(GRID, positive, negative)
        if form and form.gamma[0].any():
            fault = "the focusing weight is computed from the mean cross-entropy of the batch, not element by element"
            match = _name_form(form, Divisor(True, True), probe.n_labels)
            return replace(match, reduction="mean", faults=(fault,), notes=(), elements=None)
    return None
