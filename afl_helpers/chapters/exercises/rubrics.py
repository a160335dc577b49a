"""How to mark the exercises that no program can check: what earns how many points."""

#: Label of an exercise -> points, and what earns them.
RUBRICS: dict[str, tuple[tuple[int, str], ...]] = {
    "ex-rare-labels-2": (
        (1, "a row per threshold, with the labels never predicted and the precision"),
        (1, "says that a lower threshold costs precision on the frequent labels"),
        (1, "says why: scores of labels with different priors lie on different scales"),
    ),
    "ex-data-set-1": (
        (2, "genres, genres per movie and density for the four minimum counts"),
        (1, "names the density, because predicting nothing is right in a share of one minus the density"),
    ),
    "ex-data-set-3": (
        (1, "the file loads, with several labels in one cell"),
        (1, "says that the row without a label is kept, and where it is counted"),
    ),
    "ex-metrics-2": (
        (2, "macro F1 on test for thresholds tuned on validation, with and without shrinkage, and on test"),
        (1, "states the difference as an illusion, and for which average it is largest"),
        (1, "says why: a threshold fits the few positives of a rare label by chance"),
    ),
    "ex-fine-tuning-1": (
        (2, "three sets of scores: alone, padded with the mask, padded without"),
        (1, "says that the first two agree up to rounding, and why the third does not"),
    ),
    "ex-fine-tuning-2": (
        (2, "the gradients of the two halves add up to that of the whole, shown by numbers"),
        (1, "divides by the number of halves, and says that the gradient is twice as large without it"),
    ),
    "ex-results-1": (
        (2, "both comparisons, each with interval or outcome"),
        (1, "says for which of the two metrics lower is better"),
        (1, "relates the Brier score to scores that are squeezed towards one half"),
    ),
    "ex-paper-1": (
        (2, "both ranges, of recall and of precision"),
        (1, "says that the precision suffers, because the recall comes from the AUC"),
    ),
    "ex-paper-3": (
        (2, "a computed answer: no"),
        (1, "gives the reason in words: such an AUC of decisions needs a recall of at least 0.9"),
    ),
    "ex-reproduces-2": (
        (1, "the paper's texts and encoder, with all layers trained"),
        (1, "splits as replicates, and not seeds alone"),
        (1, "a metric of rare labels, with and without thresholds"),
        (1, "shuffled gammas and one gamma of equal mean"),
        (1, "binary cross-entropy with a good threshold rule"),
    ),
    "ex-beyond-1": (
        (2, "the paired difference with its interval"),
        (1, "says what one must value: each genre alike, and false alarms on frequent ones hardly"),
    ),
    "ex-beyond-2": (
        (2, "mean and range of both gammas on the training counts"),
        (1, "names a control: the gammas shuffled, or a static gamma of their mean"),
    ),
    "ex-use-1": (
        (1, "the loss with a mask"),
        (1, "changes the masked targets and shows the same loss"),
    ),
    "ex-use-2": (
        (2, "promised and kept F1 for each number of positives, over repeated draws"),
        (1, "says for which numbers tuning loses most, and what helps"),
    ),
}
