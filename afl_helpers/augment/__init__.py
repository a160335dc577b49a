"""Change the training split before training: repeat documents with rare labels, or leave out other documents."""
