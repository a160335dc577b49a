"""What the evidence favours: the defaults of training and prediction, in one place.

Binary cross-entropy: in the study ``frozen-encoder``, none of the 18 comparisons of an adaptive focal loss with it, on three
corpora, is in favour of the other loss by the margin of .01. The proportional cut: it raised macro F1 on the three corpora,
at a cost in micro F1, and has no threshold that could be fitted to a few positives. The chapters ``results`` and ``use-it``
show both; ``afl_helpers/doctor/evidence.json`` has the numbers.
"""

#: A name in :data:`afl_helpers.losses.LOSSES`.
DEFAULT_LOSS = "bce"
#: A name in :data:`afl_helpers.evaluation.THRESHOLD_RULES`.
DEFAULT_RULE = "tuned_proportional"
#: The fewest documents with a label for which ``train`` keeps it: with fewer, test has no more than one of them.
DEFAULT_MIN_COUNT = 10
