"""Claim C10, decided from Eq. 2 and 3 and the counts of the corpus's genres, without runs."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from afl_helpers.data.genres import N_MOVIES_WITH_GENRE, genre_counts
from afl_helpers.gamma import class_gamma, positive_gradient


def judge_mechanism() -> tuple[str, str, str]:
    """Return verdict, effect and evidence of claim C10."""
    counts = np.array(list(genre_counts().values()))
    ends = [counts.argmax(), counts.argmin()]
    priors = counts[ends] / N_MOVIES_WITH_GENRE
    gamma = class_gamma(counts, N_MOVIES_WITH_GENRE)[ends]
    literal = class_gamma(counts, N_MOVIES_WITH_GENRE, normalization="documents", bounds=None)[ends]
    at_half, literal_at_half = positive_gradient(gamma), positive_gradient(literal)
    at_prior = np.array([float(positive_gradient(g, float(logit(p)))) for g, p in zip(gamma, priors)])
    crossing = _crossing(*gamma)
    evidence = " ".join(
        [
            "What the loss adds to the gradient of a positive depends on its score p.",
            f"Gamma n/mean in [0.5, 5]: at p = 0.5, where a head without bias starts, it is {at_half[0]:.2g} for the most "
            f"frequent genre (gamma {gamma[0]:.3g}) and {at_half[1]:.2g} for the rarest ({gamma[1]:.3g}).",
            f"The rarest has the larger one only below p = {crossing:.2f}: with each genre at its own prior, "
            f"{at_prior[1]:.2g} against {at_prior[0]:.2g}.",
            f"Eq. 2 to the letter: at p = 0.5 it is {literal_at_half[0]:.2g} (gamma {literal[0]:.3g}) against "
            f"{literal_at_half[1]:.2g} ({literal[1]:.3g}).",
            "Below p = 0.5 a larger gamma also lowers the weight of negatives, p^gamma, more than that of positives, "
            "(1 - p)^gamma. In that sense rare positives gain against their negatives.",
            "Only alpha_c, which the paper leaves undefined, could raise the weight at every p.",
        ]
    )
    fails = at_half[1] < at_half[0] and literal_at_half[1] < literal_at_half[0]
    effect = f"gradient of a positive at p = 0.5: {at_half[1]:.2f} for the rarest genre, {at_half[0]:.2f} for the most frequent"
    return "not reproduced" if fails else "reproduced in direction", effect, evidence


def _crossing(small: float, large: float) -> float:
    """Return the p below which the larger gamma gives a positive the larger gradient."""

    def excess(z: float) -> float:
        return float(positive_gradient(large, z) - positive_gradient(small, z))

    return float(expit(brentq(excess, -6.0, 0.0)))
