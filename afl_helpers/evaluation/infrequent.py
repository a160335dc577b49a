"""Threshold rules for labels with few positives, whose best validation threshold is mostly chance."""

import numpy as np

from afl_helpers.evaluation.reductions import ratio
from afl_helpers.evaluation.tuning import TuningData, above_highest, best_label_cuts, threshold_of_cut
from afl_helpers.evaluation.validation import BoolArray, FloatArray, check_probabilities

#: Values of fbr among which SCutFBR chooses (Fan & Lin 2007).
FBR_GRID = np.arange(1, 9) / 10
_FOLDS = 3


def smoothed_thresholds(data: TuningData) -> FloatArray:
    """Return one threshold per label, chosen for micro plus macro F1 (Lin & Lin, CIKM 2023).

    Labels are visited from the most to the least frequent. For the k-th, every cut of its scores is tried. The best
    cut maximises the sum of ``F1 / k``, which is its part of the macro F1 of the labels so far, and their micro F1. Of
    several best cuts, the highest threshold is taken. The micro F1 makes a false positive cost something, so a rare
    label cannot win by predicting many documents for one hit. A label without positives is never predicted.

    It follows the variant "micromacro-freq" of the authors' LibMultiLabel, with these differences:

    - They train the scorer on three folds of the training data for each label, and average the three thresholds. Here
      there is one model and one validation split, without folds.
    - So the counts of the labels so far and those of the label at hand come from the same documents. In their code, the
      former come from three folds and the latter come from one.
    - Frequency is counted on the validation documents.
    - If everything is predicted, the threshold is the lowest score; theirs is one floating-point step below it.
    """
    targets, scores = data.targets, data.scores
    n, n_labels = scores.shape
    predicted = np.arange(n + 1)
    thresholds = np.empty(n_labels)
    true_positives = others = 0  # so far; others: predicted plus actual positives
    for k, c in enumerate(np.argsort(-targets.sum(0), kind="stable"), start=1):
        order = np.argsort(-scores[:, c], kind="stable")
        ranked = scores[order, c]
        hits = np.append(0, targets[order, c].cumsum())
        total = predicted + hits[-1]
        value = ratio(2 * hits, total) / k + ratio(2 * (hits + true_positives), total + others)
        possible = np.append(True, np.append(ranked[:-1] != ranked[1:], True))
        cut = int(np.where(possible, value, -1.0).argmax())
        thresholds[c] = threshold_of_cut(ranked, cut)
        true_positives, others = true_positives + int(hits[cut]), others + int(total[cut])
    return thresholds


def fbr_thresholds(data: TuningData) -> FloatArray:
    """Return one threshold per label by SCutFBR: a label whose F1 stays below a bound, fbr, is hardly ever predicted.

    The threshold of a label is the one with the best F1 if that F1 is higher than at 0.5, else 0.5. If the F1 at this
    threshold is not above fbr, the threshold is just above the highest validation score instead (Yang, SIGIR 2001; Fan &
    Lin 2007).

    fbr is chosen per label among 0.1, 0.2, ..., 0.8 by cross-validation within the validation split: thresholds are
    tuned on two of three folds, and the F1 on the third is added up. The folds are the same for all labels and in every
    call. Of several best values the largest is taken; if the F1 is always 0, fbr is 0.1.

    Fan & Lin train the scorer anew in each fold, and average thresholds over the folds of a second, inner
    cross-validation. Here one model scores all folds.
    """
    targets, scores = data.targets, data.scores
    check_probabilities(scores, 'rule "fbr"')
    folds = np.random.default_rng(0).permutation(len(scores)) % _FOLDS
    grid = FBR_GRID[::-1, None]  # from the largest, so that the first best is the largest
    sums = np.zeros((len(grid), scores.shape[1]))
    for fold in range(min(_FOLDS, len(scores)) if len(scores) > 1 else 0):
        held_out = folds == fold
        tuned, f1, never = _tuned_or_half(targets[~held_out], scores[~held_out])
        f1_tuned, f1_never = (_f1(targets[held_out], scores[held_out] >= value) for value in (tuned, never))
        sums += np.where(f1 > grid, f1_tuned, f1_never)
    fbr = np.where(sums.any(0), grid[sums.argmax(0), 0], FBR_GRID[0])
    tuned, f1, never = _tuned_or_half(targets, scores)
    return np.where(f1 > fbr, tuned, never)


def _tuned_or_half(targets: BoolArray, scores: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the best threshold of each label, or 0.5 if none is better; its F1; and a threshold that predicts none."""
    tuned, best = best_label_cuts(targets, scores)
    at_half = _f1(targets, scores >= 0.5)
    return np.where(best > at_half, tuned, 0.5), np.maximum(best, at_half), above_highest(scores)


def _f1(targets: BoolArray, decisions: BoolArray) -> FloatArray:
    """Return the F1 of each label."""
    return ratio(2 * (targets & decisions).sum(0), targets.sum(0) + decisions.sum(0))
