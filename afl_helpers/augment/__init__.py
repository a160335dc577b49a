"""Change the training part before training: repeat documents that carry rare labels, or leave out others."""
