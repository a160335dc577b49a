"""What the chapters of the book use: figures, tables, exercises and profiles. Training a model does not need it.

Where the code of each chapter is:

================ ========================================
chapter          package
================ ========================================
index            afl_helpers.results
rare-labels      afl_helpers.data, afl_helpers.evaluation
data-set         afl_helpers.data
metrics          afl_helpers.evaluation
focal-loss       afl_helpers.losses
adaptive-gamma   afl_helpers.gamma
fine-tuning      afl_helpers.training
results          afl_helpers.results, afl_helpers.studies
paper-numbers    afl_helpers.claims
what-reproduces  afl_helpers.claims, afl_helpers.results, afl_helpers.studies
beyond-films     afl_helpers.results, afl_helpers.studies
beyond-the-paper afl_helpers.results
what-to-do       afl_helpers.augment
use-it           afl_helpers.data, afl_helpers.estimators, afl_helpers.training
own-trainer      afl_helpers.losses
only-thresholds  afl_helpers.evaluation
losses           afl_helpers.losses
more-metrics     afl_helpers.data, afl_helpers.evaluation
more-results     afl_helpers.results, afl_helpers.studies
more-remedies    afl_helpers.results, afl_helpers.studies
reference-files  afl_helpers.results
speed            afl_helpers.studies
================ ========================================
"""
