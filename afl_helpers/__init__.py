"""Losses, data, training and evaluation for imbalanced multi-label learning, after the paper AFL-BERT."""

__version__ = "0.2.0"
